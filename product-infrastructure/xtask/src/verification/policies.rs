//! IAM policies, as Terraform has rendered them on a running stack, against AWS's service authorization reference: an action, a
//! resource or a condition key that AWS doesn't know grants nothing there, and the emulator accepts it.

use anyhow::{Result, bail};

use super::{Context, SHOWN};
use crate::environment::Environment;
use crate::process::External;
use crate::stack::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use crate::workspace::INFRASTRUCTURE;

/// Fails with every finding that has no reason in `scanners/policies.py`. The deployment tests must have applied deploy-roles.
pub async fn check(context: &Context<'_>, endpoint: &str) -> Result<()> {
    let python = Environment::policies(context.workspace).program("python");
    let finished = External::new(python, context.log("policies"))
        .directory(context.workspace.repository(INFRASTRUCTURE))
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
        .env("NO_PROXY", "*")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(["-W", "ignore", "scanners/policies.py", endpoint])
        .finish()
        .await?
        .expect_success_or_show("scanners/policies.py", SHOWN)?;
    match finished.stdout.lines().last() {
        Some(line) if line.contains(" policies, none ") => context.progress.say(format!("    {line}")),
        _ => bail!("scanners/policies.py has checked nothing"),
    }
    Ok(())
}
