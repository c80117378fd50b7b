//! Which process is meant: a number alone is reused, a number with a start time and a command line is not.

use std::fs;

use serde::{Deserialize, Serialize};

/// A process that was seen running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    pub pid: u32,
    /// When it started, in the system's own format.
    pub started: String,
    pub command: String,
}

impl Identity {
    /// The process with that number, or nothing when none runs (a zombie does not).
    pub fn of(pid: u32) -> Option<Self> {
        let (started, command) = if cfg!(target_os = "linux") { linux(pid) } else { portable(pid) }?;
        (!command.is_empty()).then_some(Self { pid, started, command })
    }
}

/// From `/proc`, which is there even where `ps` is not installed.
fn linux(pid: u32) -> Option<(String, String)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let command = String::from_utf8_lossy(&command).replace('\0', " ").trim().to_owned();
    Some((start_time(&stat)?, command))
}

/// Field 22 of `/proc/PID/stat`. The second field, the program's name, may itself hold spaces and parentheses.
fn start_time(stat: &str) -> Option<String> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(19).map(str::to_owned)
}

fn portable(pid: u32) -> Option<(String, String)> {
    let ask = |column: &str| {
        let output = std::process::Command::new("ps")
            .args(["-o", column, "-p", &pid.to_string()])
            .env("LC_ALL", "C")
            .output()
            .ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let command = ask("command=")?;
    if command.ends_with("<defunct>") {
        return None;
    }
    Some((ask("lstart=")?, command))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A program's command line appears a moment after it was started.
    pub fn started(pid: u32) -> Identity {
        loop {
            match Identity::of(pid) {
                Some(identity) if identity.command.contains("sleep") => return identity,
                _ => std::thread::yield_now(),
            }
        }
    }

    #[test]
    fn finds_start_time_after_any_program_name() {
        let fields: Vec<String> = (3..=30).map(|field| field.to_string()).collect();
        let stat = format!("17 (a (strange) name) {}", fields.join(" "));
        assert_eq!(start_time(&stat).as_deref(), Some("22"));
        assert_eq!(start_time("17 (cut off"), None);
    }

    #[test]
    fn process_identity_is_stable() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let seen = started(child.id());
        assert!(seen.command.contains("sleep"));
        assert_eq!(Identity::of(child.id()).as_ref(), Some(&seen));
        assert_ne!(Identity::of(std::process::id()).as_ref(), Some(&seen));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(Identity::of(child.id()), None);
    }

    #[test]
    fn portable_identity_matches() {
        if crate::process::find_program("ps").is_some() {
            let (_, command) = portable(std::process::id()).unwrap();
            assert_eq!(linux(std::process::id()).map_or(command.clone(), |(_, command)| command), command);
        }
    }
}
