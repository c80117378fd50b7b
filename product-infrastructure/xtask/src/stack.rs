//! One local stack: its name, and where its files lie.
//!
//! A developer's stack is `.catalogue` itself; any other, such as the one that `test` brings up, is a folder of its own
//! below it, so that the two never share data, ports or Terraform state.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// The developer's stack.
pub const DEFAULT_STACK: &str = "local";

/// What every local stack is, to Terraform and the functions.
pub const ENVIRONMENT: &str = "dev";

/// The region that the emulator plays.
pub const REGION: &str = "eu-west-1";

/// The account that the emulator plays.
pub const ACCOUNT_ID: &str = "000000000000";

/// The credentials that the emulator expects; they open nothing else.
pub const ACCESS_KEY_ID: &str = "test";
pub const SECRET_ACCESS_KEY: &str = "test";

/// A stack's files.
#[derive(Debug, Clone)]
pub struct Stack {
    name: String,
    folder: PathBuf,
}

impl Stack {
    pub fn new(workspace: &Workspace, name: &str) -> Self {
        let catalogue = workspace.catalogue();
        let folder = if name == DEFAULT_STACK { catalogue } else { catalogue.join(name) };
        Self { name: name.to_owned(), folder }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The emulator's state, S3 objects and temporary files.
    pub fn emulator(&self) -> PathBuf {
        self.folder.join("emulator")
    }

    /// How much faster time passes for the stack's alarms; see `local/observation.py`. Not there while it passes as on AWS.
    pub fn alarm_speed(&self) -> PathBuf {
        self.emulator().join("alarm-speed")
    }

    /// The fault that a rehearsal has made and not repaired yet; see [`crate::fault_record`].
    pub fn fault_record(&self) -> PathBuf {
        self.folder.join("rehearsal")
    }

    /// Which process is the emulator.
    pub fn pid_file(&self) -> PathBuf {
        self.folder.join("emulator.pid")
    }

    /// Logs of everything that runs, one file each.
    pub fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    /// Working copies of the Terraform roots.
    pub fn terraform(&self) -> PathBuf {
        self.folder.join("terraform")
    }

    /// The functions' zips.
    pub fn packages(&self) -> PathBuf {
        self.folder.join("packages")
    }

    /// What each Terraform root was last applied with.
    pub fn stamps(&self) -> PathBuf {
        self.folder.join("stamps")
    }

    /// The stack's status; see [`crate::status`].
    pub fn facts(&self) -> PathBuf {
        self.folder.join("stack.json")
    }

    /// The API key, readable by its owner only.
    pub fn api_key(&self) -> PathBuf {
        self.folder.join("api-key")
    }

    /// The clients of this stack beside the default one: a file of Terraform variables with `clients`, for people to write.
    pub fn clients(&self) -> PathBuf {
        self.folder.join("clients.tfvars.json")
    }

    /// How far a rotation of a key has come on this stack: a file of Terraform variables, which `catalogctl keys rotate`
    /// writes. Not there before the first one.
    pub fn key_generations(&self) -> PathBuf {
        self.folder.join("key-generations.tfvars.json")
    }

    /// The options that name this stack on a command line, for messages.
    pub fn option(&self) -> String {
        if self.name == DEFAULT_STACK { String::new() } else { format!(" --stack {}", self.name) }
    }

    /// Keeps other `xtask` processes from changing this stack while the lock is held.
    ///
    /// The operating system releases it however the process ends, so there is no stale lock to remove.
    pub fn lock(&self) -> Result<StackLock> {
        fs::create_dir_all(&self.folder).with_context(|| format!("failed to create {}", self.folder.display()))?;
        let path = self.folder.join("lock");
        let file = File::create(&path).with_context(|| format!("failed to open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(StackLock { file }),
            Err(TryLockError::WouldBlock) => bail!(
                "another xtask is changing the stack {:?}; wait until it is done, or end it, and try again",
                self.name
            ),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("failed to lock {}", path.display())),
        }
    }

    /// Deletes the stack's data and everything derived from it. Tools, build output and logs stay.
    pub fn purge(&self) -> Result<()> {
        for folder in [self.emulator(), self.terraform(), self.packages(), self.stamps()] {
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("failed to delete {}", folder.display()));
                }
                _ => {}
            }
        }
        for file in [self.facts(), self.api_key(), self.clients(), self.key_generations(), self.fault_record()] {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("failed to delete {}", file.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Held while a command changes a stack.
#[derive(Debug)]
pub struct StackLock {
    file: File,
}

impl Drop for StackLock {
    /// Unlocks instead of only closing: a program that another thread is starting has a copy of the file, and the lock with
    /// it, until it runs (flock(2)).
    fn drop(&mut self) {
        // A lock that can't be released here ends with this process.
        _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(folder: &Path) -> Workspace {
        let tool = folder.join("product-infrastructure/xtask");
        fs::create_dir_all(&tool).unwrap();
        fs::write(tool.join("Cargo.toml"), "").unwrap();
        Workspace::above(folder).unwrap()
    }

    #[test]
    fn stacks_share_no_folder() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = workspace(folder.path());
        let local = Stack::new(&workspace, DEFAULT_STACK);
        let test = Stack::new(&workspace, "test");
        assert_eq!(local.emulator(), folder.path().join(".catalogue/emulator"));
        assert_eq!(test.emulator(), folder.path().join(".catalogue/test/emulator"));
        assert_eq!((local.option().as_str(), test.option().as_str()), ("", " --stack test"));
    }

    #[test]
    fn locks_the_stack_for_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let stack = Stack::new(&workspace(folder.path()), "test");
        let held = stack.lock().unwrap();
        assert!(stack.lock().unwrap_err().to_string().contains("another xtask"));
        // As of a program that is being started.
        let _copy = held.file.try_clone().unwrap();
        drop(held);
        stack.lock().unwrap();
    }

    #[test]
    fn purge_deletes_data_and_keeps_logs() {
        let folder = tempfile::tempdir().unwrap();
        let stack = Stack::new(&workspace(folder.path()), "test");
        for path in [stack.emulator(), stack.stamps(), stack.logs()] {
            fs::create_dir_all(path).unwrap();
        }
        fs::write(stack.api_key(), "secret").unwrap();
        fs::write(stack.clients(), "").unwrap();
        fs::write(stack.key_generations(), "").unwrap();
        fs::write(stack.fault_record(), "").unwrap();
        stack.purge().unwrap();
        assert!(!stack.emulator().exists() && !stack.stamps().exists());
        assert!(!stack.api_key().exists() && !stack.clients().exists() && !stack.key_generations().exists());
        assert!(!stack.fault_record().exists());
        assert!(stack.logs().exists());
        stack.purge().unwrap();
    }
}
