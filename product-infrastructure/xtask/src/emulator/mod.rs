//! The local AWS: installed once, started, watched and stopped.

pub mod identity;

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::process::tail;
use crate::stack::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, Stack};
use crate::workspace::{INFRASTRUCTURE, Workspace};
use identity::Identity;

/// The port unless another is asked for.
pub const DEFAULT_PORT: u16 = 4566;

/// How long the emulator may take to answer; half a second is usual.
const START: Duration = Duration::from_secs(60);
/// How long it may take to write its state and end.
const STOP: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// The record of a started emulator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Emulator {
    #[serde(flatten)]
    pub process: Identity,
    pub port: u16,
}

impl Emulator {
    /// The stack's emulator, if it runs.
    ///
    /// A record outlives a crash or a reboot, and its number may be another process's by then: only a process that
    /// started at the recorded moment with the recorded command line is the emulator.
    pub fn running(stack: &Stack) -> Option<Self> {
        let record = fs::read_to_string(stack.pid_file()).ok()?;
        let emulator: Self = serde_json::from_str(&record).ok()?;
        emulator.is_alive().then_some(emulator)
    }

    /// Starts the emulator and waits until it answers.
    pub async fn start(workspace: &Workspace, stack: &Stack, port: u16) -> Result<Self> {
        free_port(port, stack)?;
        let folder = stack.emulator();
        for part in ["state", "s3", "tmp"] {
            let part = folder.join(part);
            fs::create_dir_all(&part).with_context(|| format!("failed to create {}", part.display()))?;
        }
        let log_path = stack.log("emulator");
        fs::create_dir_all(stack.logs()).with_context(|| format!("failed to create {}", stack.logs().display()))?;
        let log = File::create(&log_path).with_context(|| format!("failed to open {}", log_path.display()))?;
        let endpoint = endpoint(port);

        let mut command = Command::new(Environment::emulator(workspace).program("python"));
        command
            .arg(workspace.repository(INFRASTRUCTURE).join("local/emulator.py"))
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("failed to share the emulator's log")?)
            .stderr(log)
            // The functions inherit the emulator's environment: nothing of this machine's may reach them.
            .env_clear()
            .envs(["PATH", "HOME", "LANG"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .env("TMPDIR", folder.join("tmp"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONUNBUFFERED", "1")
            // The default is every interface.
            .env("BIND_HOST", Ipv4Addr::LOCALHOST.to_string())
            .env("GATEWAY_PORT", port.to_string())
            .env("MINISTACK_HOST", "localhost")
            .env("MINISTACK_REGION", REGION)
            .env("AWS_ENDPOINT_URL", &endpoint)
            .env("AWS_REGION", REGION)
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
            // Policies, boundaries and signatures count, as they do on AWS.
            .env("AUTH", "true")
            .env("USED_PERMISSIONS", folder.join("used-permissions"))
            .env("EMULATOR_ALARM_SPEED", stack.alarm_speed())
            .env("LAMBDA_EXECUTOR", "local")
            // Both: without the second, Terraform's state is lost on a restart while what it describes is kept.
            .env("PERSIST_STATE", "1")
            .env("STATE_DIR", folder.join("state"))
            .env("S3_PERSIST", "1")
            .env("S3_DATA_DIR", folder.join("s3"))
            // Servers of their own on ports of their own, for services that nothing here uses.
            .env("SFTP_ENABLED", "0")
            .env("IOT_MTLS_ENABLED", "0");
        let mut child = command.spawn().context("failed to start the emulator")?;

        let started = Instant::now();
        let mut healthy = false;
        while started.elapsed() < START {
            if let Some(status) = child.try_wait().context("failed to wait for the emulator")? {
                bail!(
                    "the emulator ended at once ({status}). The end of {}:\n{}",
                    log_path.display(),
                    tail(&log_path, 20)
                );
            }
            if answers(port).await {
                healthy = true;
                break;
            }
            tokio::time::sleep(POLL).await;
        }
        let process = Identity::of(child.id()).context("failed to read the emulator's process")?;
        let emulator = Self { process, port };
        if !healthy {
            let _ = child.kill();
            bail!(
                "the emulator did not answer within {} s. The end of {}:\n{}",
                START.as_secs(),
                log_path.display(),
                tail(&log_path, 20)
            );
        }
        let record = serde_json::to_vec(&emulator).context("failed to serialise the emulator's record")?;
        fs::write(stack.pid_file(), record)
            .with_context(|| format!("failed to write {}", stack.pid_file().display()))?;
        // Its parent reaps it: otherwise it would stay in the process table as long as an `up` in the foreground runs.
        std::thread::spawn(move || child.wait());
        Ok(emulator)
    }

    pub fn endpoint(&self) -> String {
        endpoint(self.port)
    }

    pub fn is_alive(&self) -> bool {
        Identity::of(self.process.pid).is_some_and(|observed| observed == self.process)
    }

    /// Has the emulator write its state now, not only when it stops.
    pub fn save_state(&self) {
        self.send(Signal::USR1);
    }

    /// Stops the emulator, which writes its state, and then the functions that are still running.
    pub async fn stop(&self, stack: &Stack) -> Result<()> {
        self.send(Signal::TERM);
        let asked = Instant::now();
        while self.is_alive() {
            if asked.elapsed() > STOP {
                self.send(Signal::KILL);
                bail!(
                    "the emulator (process {}) did not stop within {} s and was killed; changes since the last `up` may be lost. \
                     Its log: {}",
                    self.process.pid,
                    STOP.as_secs(),
                    stack.log("emulator").display()
                );
            }
            tokio::time::sleep(POLL).await;
        }
        // The emulator leads a session of its own. A group's number is not given away while it has members.
        if let Some(group) = self.pid() {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = fs::remove_file(stack.pid_file());
        Ok(())
    }

    fn send(&self, signal: Signal) {
        if let Some(pid) = self.pid().filter(|_| self.is_alive()) {
            // It may have ended in between, which is as good.
            let _ = kill_process(pid, signal);
        }
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.process.pid.cast_signed())
    }
}

/// Where a local AWS on that port is reached. An address instead of a name: the SDKs then put the bucket into the path.
pub fn endpoint(port: u16) -> String {
    format!("http://{}:{port}", Ipv4Addr::LOCALHOST)
}

/// Whether the emulator on that port answers its health check.
async fn answers(port: u16) -> bool {
    let Ok(client) = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build() else {
        return false;
    };
    let health = client.get(format!("{}/_ministack/health", endpoint(port))).send().await;
    health.is_ok_and(|response| response.status().is_success())
}

/// Fails if the port is in use. The message says what to do.
fn free_port(port: u16, stack: &Stack) -> Result<()> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(error) => bail!(
            "failed to listen on port {port} of {}: {error}.\n  Stop the program that uses it, or choose another port: \
             `cargo xtask up --port {}{}`.",
            Ipv4Addr::LOCALHOST,
            port.saturating_add(1),
            stack.option()
        ),
    }
}

/// A free port at `first` or soon above it.
pub fn find_free_port(first: u16) -> Option<u16> {
    (first..first.saturating_add(100)).find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn stack(folder: &Path) -> Stack {
        let tool = folder.join(INFRASTRUCTURE).join("xtask");
        fs::create_dir_all(&tool).unwrap();
        fs::write(tool.join("Cargo.toml"), "").unwrap();
        fs::create_dir_all(folder.join(".catalogue")).unwrap();
        Stack::new(&Workspace::above(folder).unwrap(), crate::stack::DEFAULT_STACK)
    }

    #[test]
    fn names_taken_port_and_proposes_another() {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let message = free_port(port, &stack(folder.path())).unwrap_err().to_string();
        assert!(message.contains(&port.to_string()) && message.contains("--port"), "{message}");
        assert_ne!(find_free_port(port), Some(port));
    }

    #[tokio::test]
    async fn stale_record_does_not_end_another_process() {
        let folder = tempfile::tempdir().unwrap();
        let stack = stack(folder.path());
        let mut foreign = Command::new("sleep").arg("60").spawn().unwrap();
        let mut process = identity::tests::started(foreign.id());
        process.started.push('0');
        let stale = Emulator { process, port: 1 };
        fs::write(stack.pid_file(), serde_json::to_vec(&stale).unwrap()).unwrap();

        assert_eq!(Emulator::running(&stack), None);
        stale.send(Signal::KILL);
        assert!(foreign.try_wait().unwrap().is_none(), "the foreign process was ended");
        foreign.kill().unwrap();
        foreign.wait().unwrap();
    }

    #[test]
    fn reads_written_record() {
        let folder = tempfile::tempdir().unwrap();
        let stack = stack(folder.path());
        assert_eq!(Emulator::running(&stack), None);
        let own = Emulator { process: Identity::of(std::process::id()).unwrap(), port: 4566 };
        fs::write(stack.pid_file(), serde_json::to_vec(&own).unwrap()).unwrap();
        assert_eq!(Emulator::running(&stack), Some(own.clone()));
        assert_eq!(own.endpoint(), "http://127.0.0.1:4566");
    }
}
