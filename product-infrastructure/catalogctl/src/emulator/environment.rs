//! The emulator's private Python environment, made from the hash-pinned requirements.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::digest::{Inputs, Stamp};
use crate::prerequisites::Python;
use crate::process::External;
use crate::progress::Progress;
use crate::stack::Stack;
use crate::workspace::{INFRASTRUCTURE, Workspace};

/// The interpreter inside the environment.
pub fn python(workspace: &Workspace) -> PathBuf {
    workspace.virtual_environment().join("bin/python")
}

/// Installs the emulator, unless exactly these requirements are installed already.
pub async fn ensure(workspace: &Workspace, stack: &Stack, system: &Python, progress: &Progress) -> Result<()> {
    let requirements = requirements(workspace);
    let digest = Inputs::new().file(&requirements)?.text(&system.version).digest();
    let environment = workspace.virtual_environment();
    let stamp = Stamp::at(environment.join("requirements.digest"));
    if stamp.matches(&digest) && python(workspace).exists() {
        return Ok(());
    }
    let step = progress.step("install the emulator");
    if environment.exists() {
        fs::remove_dir_all(&environment).with_context(|| format!("{} cannot be deleted", environment.display()))?;
    }
    let log = stack.log("emulator-install");
    External::new(&system.program, &log)
        .args(["-m", "venv"])
        .arg(&environment)
        .run("making the emulator's Python environment")
        .await
        .context("`python3 -m venv` does not work; on Debian and Ubuntu: `apt-get install python3-venv`")?;
    External::new(python(workspace), &log)
        .append()
        .args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--require-hashes"])
        // A source distribution runs its own code while it is installed, and needs compilers.
        .args(["--only-binary", ":all:", "--requirement"])
        .arg(&requirements)
        .run("installing the emulator")
        .await
        .context("the Python package index must be reachable once; a mirror is set with PIP_INDEX_URL")?;
    stamp.record(&digest)?;
    step.done(version(workspace)?);
    Ok(())
}

/// The pinned emulator, as `ministack 1.2.3`.
pub fn version(workspace: &Workspace) -> Result<String> {
    let path = requirements(workspace);
    let content = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    pinned(&content).with_context(|| format!("{} pins no ministack", path.display()))
}

fn pinned(requirements: &str) -> Option<String> {
    let line = requirements.lines().find_map(|line| line.strip_prefix("ministack=="))?;
    Some(format!("ministack {}", line.split_whitespace().next()?))
}

fn requirements(workspace: &Workspace) -> PathBuf {
    workspace.repository(INFRASTRUCTURE).join("local/requirements.txt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_version_is_read() {
        let requirements =
            "# ministack==9\nh2==4.4.1 \\\n    --hash=sha256:00\nministack==1.5.33 \\\n    --hash=sha256:01\n";
        assert_eq!(pinned(requirements).as_deref(), Some("ministack 1.5.33"));
        assert_eq!(pinned("h2==4.4.1"), None);
    }
}
