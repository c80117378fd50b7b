//! Other programs: run with their output in a log, and ended in order when the user interrupts.
//!
//! Each runs in a process group of its own, so a Ctrl-C reaches this program alone and is passed on from here. Otherwise
//! the emulator could stop before the Terraform that still has to write its state there.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, LazyLock, Mutex};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group, setpriority_pgrp};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal as on_signal};
use tokio::sync::watch;

/// How much of a log a failure shows.
const TAIL_LINES: usize = 30;

/// In the scale of `nice`: a tenth of the share that a program of priority 0 gets.
const LOW_PRIORITY: i32 = 10;

static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());
static INTERRUPTION: LazyLock<watch::Sender<bool>> = LazyLock::new(|| watch::Sender::new(false));

/// A program failed.
#[derive(Debug, thiserror::Error)]
#[error("{what} failed ({status}). The end of {}:\n{tail}", log.display())]
pub struct Failed {
    pub what: String,
    pub status: String,
    pub log: PathBuf,
    pub tail: String,
}

/// A program that ran to its end.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    status: String,
    log: PathBuf,
}

impl Finished {
    /// Turns an exit code other than zero into a failure that shows the log's end.
    pub fn expect_success(self, what: &str) -> Result<Self> {
        self.expect_success_or_show(what, TAIL_LINES)
    }

    /// The same for a program whose findings are its output: shows at most this number of lines.
    pub fn expect_success_or_show(self, what: &str, lines: usize) -> Result<Self> {
        if self.code == Some(0) {
            return Ok(self);
        }
        Err(Failed { what: what.to_owned(), status: self.status, tail: tail(&self.log, lines), log: self.log }.into())
    }
}

type LineWatcher = Arc<Mutex<dyn FnMut(&str) + Send>>;

/// How a line of output is written to the log; `None` leaves it out.
type Rendering = fn(&str) -> Option<String>;

/// A program to run.
pub struct External {
    command: Command,
    shown: String,
    log: PathBuf,
    append: bool,
    low_priority: bool,
    rendering: Option<Rendering>,
    watcher: Option<LineWatcher>,
    started: Option<Box<dyn FnOnce(u32) + Send>>,
}

impl External {
    /// A program whose output, both streams, replaces the content of `log`.
    pub fn new(program: impl AsRef<OsStr>, log: impl Into<PathBuf>) -> Self {
        let shown = program.as_ref().to_string_lossy().into_owned();
        let mut command = Command::new(program);
        command.process_group(0);
        Self {
            command,
            shown,
            log: log.into(),
            append: false,
            low_priority: false,
            rendering: None,
            watcher: None,
            started: None,
        }
    }

    /// Gives way to programs that are waited for: it gets what they leave of the processor.
    pub fn at_low_priority(mut self) -> Self {
        self.low_priority = true;
        self
    }

    /// Appends to the log.
    pub fn append(mut self) -> Self {
        self.append = true;
        self
    }

    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.shown.push(' ');
        self.shown.push_str(&argument.as_ref().to_string_lossy());
        self.command.arg(argument);
        self
    }

    pub fn args(self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    pub fn directory(mut self, directory: impl AsRef<Path>) -> Self {
        self.command.current_dir(directory);
        self
    }

    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn envs(mut self, variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>) -> Self {
        self.command.envs(variables);
        self
    }

    pub fn without_env(mut self, names: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        for name in names {
            self.command.env_remove(name);
        }
        self
    }

    /// Writes the log in another form than the program's: a person reads it, also when a program reads the output.
    pub fn log_as(mut self, rendering: Rendering) -> Self {
        self.rendering = Some(rendering);
        self
    }

    /// Sees each line as it is written, for progress.
    pub fn watch(mut self, watcher: impl FnMut(&str) + Send + 'static) -> Self {
        self.watcher = Some(Arc::new(Mutex::new(watcher)));
        self
    }

    /// Receives the program's process ID once it runs.
    pub fn when_started(mut self, started: impl FnOnce(u32) + Send + 'static) -> Self {
        self.started = Some(Box::new(started));
        self
    }

    /// Runs the program and returns its result, successful or not.
    pub async fn finish(mut self) -> Result<Finished> {
        if is_interrupted() {
            bail!("interrupted");
        }
        let log = Arc::new(Mutex::new(self.open_log()?));
        let mut child = self
            .command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("failed to start `{}`", self.shown))?;
        let _group = child.id().map(Group::enter);
        if self.low_priority {
            let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
            // Not worth a failure: it only takes longer.
            let _ = setpriority_pgrp(group, LOW_PRIORITY);
        }
        if let (Some(started), Some(id)) = (self.started.take(), child.id()) {
            started(id);
        }
        let stdout = child.stdout.take().context("the program has no standard output")?;
        let stderr = child.stderr.take().context("the program has no standard error")?;
        let (stdout, stderr, status) = tokio::join!(
            collect(stdout, log.clone(), self.rendering, self.watcher.clone(), true),
            collect(stderr, log, self.rendering, self.watcher, false),
            child.wait()
        );
        stderr?;
        let status = status.with_context(|| format!("failed to wait for `{}`", self.shown))?;
        Ok(Finished { code: status.code(), stdout: stdout?, status: status.to_string(), log: self.log })
    }

    /// Runs the program, which must succeed. `what` names it in the error: "the build of get-product".
    pub async fn run(self, what: &str) -> Result<Finished> {
        let finished = self.finish().await?;
        if is_interrupted() {
            bail!("interrupted");
        }
        finished.expect_success(what)
    }

    fn open_log(&self) -> Result<File> {
        if let Some(folder) = self.log.parent() {
            fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
        }
        let mut options = OpenOptions::new();
        options.create(true).write(true);
        if self.append {
            options.append(true)
        } else {
            options.truncate(true)
        };
        let mut file = options.open(&self.log).with_context(|| format!("failed to open {}", self.log.display()))?;
        writeln!(file, "$ {}", self.shown).with_context(|| format!("failed to write {}", self.log.display()))?;
        Ok(file)
    }
}

/// Copies a stream to the log line by line, and keeps it if asked.
async fn collect(
    stream: impl AsyncRead + Unpin,
    log: Arc<Mutex<File>>,
    rendering: Option<Rendering>,
    watcher: Option<LineWatcher>,
    keep: bool,
) -> Result<String> {
    let mut reader = BufReader::new(stream);
    let mut kept = String::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).await.context("failed to read the output of a program")? == 0 {
            return Ok(kept);
        }
        let text = String::from_utf8_lossy(&line);
        let logged = match rendering {
            None => line.clone(),
            Some(rendering) => {
                rendering(text.trim_end()).map(|text| format!("{text}\n").into_bytes()).unwrap_or_default()
            }
        };
        log.lock().expect("no panic while writing").write_all(&logged).context("failed to write a log")?;
        if keep {
            kept.push_str(&text);
        }
        if let Some(watcher) = &watcher {
            (watcher.lock().expect("no panic while watching"))(text.trim_end());
        }
    }
}

/// The last lines of a file, indented; a message when it cannot be read.
pub fn tail(path: &Path, lines: usize) -> String {
    let content = match fs::read(path) {
        Ok(content) => content,
        Err(error) => return format!("  (failed to read: {error})"),
    };
    let content = String::from_utf8_lossy(&content);
    let all: Vec<&str> = content.lines().collect();
    all[all.len().saturating_sub(lines)..].iter().map(|line| format!("  │ {line}")).collect::<Vec<_>>().join("\n")
}

/// Registers a child's process group for as long as it runs.
struct Group(i32);

impl Group {
    fn enter(id: u32) -> Self {
        let id = id.cast_signed();
        RUNNING.lock().expect("no panic while registering").insert(id);
        Self(id)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        RUNNING.lock().expect("no panic while registering").remove(&self.0);
    }
}

/// Completes when the user or the system asks this program to end.
pub async fn signal() {
    let wait = |kind| async move {
        match on_signal(kind) {
            Ok(mut stream) => {
                stream.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::hangup()) => {}
    }
}

/// Passes an interruption on to every program under way and starts no further one.
pub fn interrupt() {
    INTERRUPTION.send_replace(true);
    signal_all(Signal::INT);
}

/// Ends every program under way at once.
pub fn kill() {
    signal_all(Signal::KILL);
}

/// Interrupts a program as Ctrl-C in its terminal would.
pub fn interrupt_program(id: u32) {
    if let Some(pid) = Pid::from_raw(id.cast_signed()) {
        let _ = kill_process(pid, Signal::INT);
    }
}

/// Whether the user has asked this program to end.
pub fn is_interrupted() -> bool {
    *INTERRUPTION.borrow()
}

/// Completes when the user has asked this program to end.
pub async fn interruption() {
    let mut interruption = INTERRUPTION.subscribe();
    // The sender is static: it is never closed.
    let _ = interruption.wait_for(|interrupted| *interrupted).await;
}

fn signal_all(signal: Signal) {
    for &group in RUNNING.lock().expect("no panic while registering").iter() {
        if let Some(group) = Pid::from_raw(group) {
            let _ = kill_process_group(group, signal);
        }
    }
}

/// The program of that name on the PATH.
pub fn find_program(name: &str) -> Option<PathBuf> {
    find_program_in(name, &std::env::var_os("PATH").unwrap_or_default())
}

fn find_program_in(name: &str, path: &OsString) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_streams_reach_the_log_and_standard_output_the_caller() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("logs/step.log");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = lines.clone();
        let finished = External::new("sh", &log)
            .args(["-c", "echo out $NAME; echo err >&2"])
            .env("NAME", "x")
            .directory(folder.path())
            .watch(move |line| seen.lock().unwrap().push(line.to_owned()))
            .run("the step")
            .await
            .unwrap();
        assert_eq!(finished.stdout, "out x\n");
        let logged = fs::read_to_string(&log).unwrap();
        assert!(logged.starts_with("$ sh -c") && logged.contains("out x") && logged.contains("err"), "{logged}");
        assert_eq!(lines.lock().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn low_priority_holds_for_what_a_program_starts() {
        let folder = tempfile::tempdir().unwrap();
        // Set after the start: at the first question it may not be.
        let script = "for try in $(seq 500); do [ $(nice) -lt 10 ] || break; done; sh -c nice";
        let external = External::new("sh", folder.path().join("log")).args(["-c", script]).at_low_priority();
        let niceness: i32 = external.run("x").await.unwrap().stdout.trim().parse().unwrap();
        // Not equal: who runs the tests at a still lower priority can't raise it.
        assert!(niceness >= LOW_PRIORITY, "{niceness}");
    }

    #[tokio::test]
    async fn log_is_rendered_and_output_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("step.log");
        let finished = External::new("printf", &log)
            .arg("{one}\\n{two}\\n")
            .log_as(|line| line.contains("one").then(|| format!("rendered {line}")))
            .run("the step")
            .await
            .unwrap();
        assert_eq!(finished.stdout, "{one}\n{two}\n");
        let logged = fs::read_to_string(&log).unwrap();
        assert!(logged.ends_with("\nrendered {one}\n"), "{logged}");
    }

    #[tokio::test]
    async fn failure_names_step_and_end_of_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("step.log");
        let error = External::new("sh", &log).args(["-c", "echo broken; exit 3"]).run("the step").await.unwrap_err();
        let message = format!("{error:#}");
        assert!(message.contains("the step failed"), "{message}");
        assert!(message.contains("step.log") && message.contains("│ broken"), "{message}");
        let finished = External::new("sh", &log).append().args(["-c", "exit 3"]).finish().await.unwrap();
        assert_eq!(finished.code, Some(3));
        assert!(fs::read_to_string(&log).unwrap().contains("broken"));
    }

    #[tokio::test]
    async fn error_names_missing_program() {
        let folder = tempfile::tempdir().unwrap();
        let error = External::new("no-such-program", folder.path().join("log")).run("x").await.unwrap_err();
        assert!(format!("{error:#}").contains("no-such-program"));
        assert!(find_program("no-such-program").is_none());
        assert!(find_program("sh").is_some());
    }

    #[test]
    fn tail_returns_the_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "a\nb\nc\n").unwrap();
        assert_eq!(tail(&path, 2), "  │ b\n  │ c");
        assert!(tail(&folder.path().join("none"), 2).contains("failed to read"));
    }
}
