//! A measured program: started on its own core, its CPU time and memory read, and stopped.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::backend::Tls;

/// The AWS settings of a function, which reaches nothing of AWS.
const REGION: &str = "eu-west-1";
const ACCESS_KEY_ID: &str = "test";
const SECRET_ACCESS_KEY: &str = "test";

/// How much of a program's output a failure shows.
const TAIL_LINES: usize = 20;

/// Who runs where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cores {
    /// The bench itself: the Runtime API and the backend.
    pub bench: usize,
    /// The program that is measured.
    pub program: usize,
}

impl Cores {
    /// Two of the cores that this process may use, or `None` if it has only one.
    ///
    /// The last two: most machines give their interrupts to the first.
    pub fn choose() -> Option<Self> {
        let allowed = sched_getaffinity(None).ok()?;
        let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
        match cores[..] {
            [.., bench, program] => Some(Self { bench, program }),
            _ => None,
        }
    }

    /// Keeps this thread, and those that it starts, on the bench's core.
    pub fn enter(&self) -> io::Result<()> {
        pin(self.bench)
    }
}

fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// How a program is started.
#[derive(Debug, Clone)]
pub struct Launch {
    pub command: Vec<PathBuf>,
    /// Its own variables, besides those that Lambda sets.
    pub variables: Vec<(&'static str, String)>,
    /// What it writes, both streams.
    pub log: PathBuf,
}

/// A running program. It ends when this is dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    /// Just before it was started.
    pub started: Instant,
}

impl Program {
    /// Starts the program on its core with the variables that Lambda sets.
    pub fn start(launch: &Launch, cores: Option<Cores>, api: SocketAddr, endpoint: &str, tls: &Tls) -> Result<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&launch.log)
            .with_context(|| format!("failed to open {}", launch.log.display()))?;
        let [program, arguments @ ..] = &launch.command[..] else { anyhow::bail!("there is no program to start") };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", api.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "bench")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_REGION", REGION)
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
            // As long as those that Lambda hands out: it is in every signature.
            .env("AWS_SESSION_TOKEN", "t".repeat(1_000))
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_CA_BUNDLE", tls.authority())
            .env("SSL_CERT_FILE", tls.roots())
            .envs(launch.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        // A child starts where the thread is that starts it.
        if let Some(cores) = cores {
            pin(cores.program)?;
        }
        let started = Instant::now();
        let child = command.spawn();
        if let Some(cores) = cores {
            pin(cores.bench)?;
        }
        let child = child.with_context(|| format!("failed to start {}", program.display()))?;
        Ok(Self { child, started })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it with SIGTERM and waits, so that it can write what it has to write.
    pub fn terminate(mut self) -> Result<()> {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).context("failed to end the program")?;
        self.child.wait().context("failed to wait for the program's end")?;
        Ok(())
    }

    /// What its threads have used of their core so far. A thread that has ended is not counted any more; the functions
    /// end none within the seconds that a measurement takes.
    pub fn cpu(&self) -> Result<Cpu> {
        let tasks = format!("/proc/{}/task", self.id());
        let mut sum = Cpu::default();
        for task in fs::read_dir(&tasks).with_context(|| format!("failed to read {tasks}"))? {
            // A thread may end between the two.
            if let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) {
                let of_thread =
                    Cpu::read(&text).with_context(|| format!("{tasks}/*/schedstat is not understood: {text:?}"))?;
                sum = Cpu { used: sum.used + of_thread.used, waited: sum.waited + of_thread.waited };
            }
        }
        Ok(sum)
    }

    /// The most memory that it has had resident, in bytes.
    pub fn peak_memory(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.id());
        let text = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
        peak_memory(&text).with_context(|| format!("{path} has no VmHWM"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last lines of a program's output, for error messages.
pub fn last_words(launch: &Launch) -> String {
    let content = fs::read(&launch.log).unwrap_or_default();
    let content = String::from_utf8_lossy(&content);
    let lines: Vec<&str> = content.lines().collect();
    let tail: String =
        lines[lines.len().saturating_sub(TAIL_LINES)..].iter().map(|line| format!("\n  │ {line}")).collect();
    format!("The end of {}:{tail}", launch.log.display())
}

/// Time on a core, and time in which others were on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cpu {
    pub used: Duration,
    pub waited: Duration,
}

impl Cpu {
    /// The first two of schedstat's three numbers, in nanoseconds.
    fn read(schedstat: &str) -> Option<Self> {
        let mut numbers = schedstat.split_whitespace().map(|number| number.parse().ok().map(Duration::from_nanos));
        Some(Self { used: numbers.next()??, waited: numbers.next()?? })
    }

    /// What has come to it since.
    pub fn since(self, before: Self) -> Self {
        Self { used: self.used.saturating_sub(before.used), waited: self.waited.saturating_sub(before.waited) }
    }
}

fn peak_memory(status: &str) -> Option<u64> {
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(kilobytes.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_figures() {
        let (used, waited) = (Duration::from_nanos(1_234_567), Duration::from_nanos(890));
        assert_eq!(Cpu::read("1234567 890 12\n"), Some(Cpu { used, waited }));
        assert_eq!(Cpu::read("1234567"), None);
        assert_eq!(peak_memory("Name:\tx\nVmPeak:\t  999 kB\nVmHWM:\t    5120 kB\n"), Some(5_242_880));
        assert_eq!(peak_memory("Name:\tx\n"), None);
    }

    #[test]
    fn starts_measures_and_stops_a_program() {
        let folder = tempfile::tempdir().unwrap();
        let launch = Launch {
            command: vec!["/bin/sh".into(), "-c".into(), "echo $GREETING; exec sleep 60".into()],
            variables: vec![("GREETING", "hello".to_owned())],
            log: folder.path().join("log"),
        };
        let api = SocketAddr::from(([127, 0, 0, 1], 1));
        let tls = Tls::new().unwrap();
        let program = Program::start(&launch, None, api, "http://localhost:1", &tls).unwrap();
        let id = program.id();
        while fs::read_to_string(&launch.log).unwrap().is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        // The kernel may count what a program has used only once it stops running.
        while program.cpu().unwrap().used == Duration::ZERO {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(program.peak_memory().unwrap() > 0);
        assert!(last_words(&launch).contains("hello"));
        drop(program);
        assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
    }
}
