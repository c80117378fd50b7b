//! The programs that must be installed: Rust, Python 3 and Terraform. The error says where to get a missing one.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::process::{External, find_program};
use crate::provider_mirror;
use crate::stack::Stack;

/// `use_lockfile` of the S3 backend came with it.
const TERRAFORM: (u32, u32) = (1, 11);
/// The oldest that the emulator's pinned packages support.
const PYTHON: (u32, u32) = (3, 10);

/// A Python interpreter.
#[derive(Debug, Clone)]
pub struct Python {
    pub program: PathBuf,
    pub version: String,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Prerequisites {
    pub python: Python,
    pub terraform: String,
    pub rust: String,
}

/// Looks for everything at once, so that a bare machine learns the whole list from one run.
pub async fn check(stack: &Stack) -> Result<Prerequisites> {
    let log = stack.log("prerequisites");
    let (rust, python, terraform) = (rust(&log).await, python(&log).await, terraform(&log).await);
    let missing: Vec<String> = [rust.as_ref().err(), python.as_ref().err(), terraform.as_ref().err()]
        .into_iter()
        .flatten()
        .map(|e| format!("  - {e:#}"))
        .collect();
    match (rust, python, terraform) {
        (Ok(rust), Ok(python), Ok(terraform)) => Ok(Prerequisites { python, terraform, rust }),
        _ => bail!("this machine lacks something:\n{}\n  Install it and run the command again.", missing.join("\n")),
    }
}

async fn rust(log: &std::path::Path) -> Result<String> {
    match version_of("cargo", &["--version"], log).await {
        Some(output) => Ok(output.split_whitespace().nth(1).unwrap_or_default().to_owned()),
        None => bail!("Rust: `cargo --version` failed. Install Rust: https://rustup.rs"),
    }
}

/// Looks for Python alone.
pub async fn python(log: &std::path::Path) -> Result<Python> {
    let needed = format!("Python {}.{} or newer, with venv", PYTHON.0, PYTHON.1);
    let Some(program) = find_program("python3") else {
        bail!(
            "{needed}: there is no `python3`; Debian and Ubuntu: `apt-get install python3 python3-venv`, macOS: `brew install python`"
        );
    };
    let Some(output) =
        version_of("python3", &["-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"], log).await
    else {
        bail!("{needed}: `python3` isn't installed");
    };
    let version = output.trim().to_owned();
    if !at_least(&version, PYTHON) {
        bail!("{needed}: `python3` is {version}");
    }
    // Debian keeps `venv` importable and leaves out what it needs to work.
    if version_of("python3", &["-c", "import ensurepip, venv"], log).await.is_none() {
        bail!(
            "{needed}: this Python cannot make virtual environments; Debian and Ubuntu: `apt-get install python3-venv`"
        );
    }
    Ok(Python { program, version })
}

async fn terraform(log: &std::path::Path) -> Result<String> {
    let needed = format!("Terraform {}.{} or newer", TERRAFORM.0, TERRAFORM.1);
    let get = "https://developer.hashicorp.com/terraform/install";
    let Some(output) = version_of("terraform", &["version", "-json"], log).await else {
        bail!("{needed}: `terraform version` failed; {get}");
    };
    let version = terraform_version(&output).unwrap_or_default();
    if !at_least(&version, TERRAFORM) {
        bail!("{needed}: `terraform` is {version}; {get}");
    }
    Ok(version)
}

/// Warnings on the configuration precede the JSON on some versions.
fn terraform_version(output: &str) -> Option<String> {
    let json: serde_json::Value = serde_json::from_str(&output[output.find('{')?..]).ok()?;
    json.get("terraform_version")?.as_str().map(str::to_owned)
}

async fn version_of(program: &str, arguments: &[&str], log: &std::path::Path) -> Option<String> {
    let finished = External::new(program, log)
        .append()
        .args(arguments)
        .env("CHECKPOINT_DISABLE", "1")
        .without_env(provider_mirror::missing_cli_config())
        .finish()
        .await
        .ok()?;
    (finished.code == Some(0)).then_some(finished.stdout)
}

/// Compares `1.11.4` with (1, 11).
pub fn at_least(version: &str, (major, minor): (u32, u32)) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(at_least("1.11.4", (1, 11)));
        assert!(at_least("2.0.0", (1, 11)));
        assert!(!at_least("1.9.8", (1, 11)));
        assert!(!at_least("", (1, 11)));
    }

    #[test]
    fn terraform_names_its_version_behind_a_warning() {
        let output = "Warning: something\n{\"terraform_version\": \"1.11.4\"}";
        assert_eq!(terraform_version(output).as_deref(), Some("1.11.4"));
        assert_eq!(terraform_version("no JSON"), None);
    }
}
