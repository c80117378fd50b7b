//! What the checks need beyond a compiler, installed when it is missing.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::cargo;
use crate::environment::Environment;
use crate::prerequisites;
use crate::process::{External, find_program};
use crate::progress::Progress;
use crate::stack::Stack;
use crate::workspace::Workspace;

/// A subcommand of Cargo that a check calls, pinned because its output decides whether the check passes.
struct Subcommand {
    package: &'static str,
    version: &'static str,
}

/// Measures coverage.
const COVERAGE: Subcommand = Subcommand { package: "cargo-llvm-cov", version: "0.9.1" };

/// Judges dependencies.
const DENY: Subcommand = Subcommand { package: "cargo-deny", version: "0.20.2" };

/// jq, written in Rust: the deployment scripts call it, a runner has it, this machine may not.
const JAQ: Subcommand = Subcommand { package: "jaq", version: "3.1.2" };

/// The oldest that all the programs written in Python support. To run the catalogue, an older one is enough.
const CHECKS_PYTHON: (u32, u32) = (3, 11);

/// What the chosen checks call for.
#[derive(Debug, Clone, Copy)]
pub struct Needs {
    pub coverage: bool,
    pub lints: bool,
    pub system: bool,
    pub workflows: bool,
    pub checkov: bool,
    pub dependencies: bool,
}

/// Installs missing components and reports them.
pub async fn ensure(workspace: &Workspace, stack: &Stack, needs: Needs, progress: &Progress) -> Result<()> {
    let mut components = Vec::new();
    if needs.lints {
        components.extend(["rustfmt", "clippy"]);
    }
    if needs.coverage {
        components.push("llvm-tools");
    }
    if !components.is_empty() {
        // Where a repository's `rust-toolchain.toml` decides which toolchain is meant.
        let folder = workspace.tools_workspace();
        ensure_components(&folder, &components, stack, progress).await?;
    }
    if needs.coverage {
        COVERAGE.ensure(workspace, stack, progress).await?;
    }
    if needs.dependencies {
        DENY.ensure(workspace, stack, progress).await?;
    }
    if needs.system && find_program("jq").is_none() {
        JAQ.ensure(workspace, stack, progress).await?;
        let (jaq, jq) = (workspace.tools().join("bin/jaq"), workspace.tools().join("bin/jq"));
        if !jq.exists() {
            std::os::unix::fs::symlink(&jaq, &jq).with_context(|| format!("failed to link {}", jq.display()))?;
        }
    }
    let environments = [
        (needs.workflows, Environment::workflows(workspace)),
        (needs.checkov, Environment::checkov(workspace)),
        (needs.system, Environment::schemathesis(workspace)),
        (needs.system, Environment::aws_cli(workspace)),
        (needs.system, Environment::policies(workspace)),
    ];
    let needed = environments.into_iter().filter_map(|(needed, environment)| needed.then_some(environment));
    ensure_environments(needed.collect(), stack, progress).await
}

async fn ensure_environments(environments: Vec<Environment>, stack: &Stack, progress: &Progress) -> Result<()> {
    if environments.is_empty() {
        return Ok(());
    }
    let python = prerequisites::check(stack).await?.python;
    if !prerequisites::at_least(&python.version, CHECKS_PYTHON) {
        let (major, minor) = CHECKS_PYTHON;
        bail!(
            "the checks `workflows`, `checkov` and `system` need Python {major}.{minor} or newer; `python3` is {}",
            python.version
        );
    }
    for environment in environments {
        environment.ensure(&python, stack, progress).await?;
    }
    Ok(())
}

async fn ensure_components(folder: &Path, components: &[&str], stack: &Stack, progress: &Progress) -> Result<()> {
    let log = stack.log("tools");
    let traces = || cargo::traces(std::env::vars_os().map(|(name, _)| name));
    if find_program("rustup").is_none() {
        return without_rustup(&log).await;
    }
    let installed = External::new("rustup", &log)
        .directory(folder)
        .without_env(traces())
        .args(["component", "list", "--installed"])
        .run("asking rustup what is installed")
        .await?;
    let missing: Vec<&str> =
        components.iter().copied().filter(|component| !is_installed(&installed.stdout, component)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let step = progress.step(format!("install {} for this toolchain", missing.join(", ")));
    External::new("rustup", &log)
        .append()
        .directory(folder)
        .without_env(traces())
        .args(["component", "add"])
        .args(missing)
        .run("`rustup component add`")
        .await?;
    step.done("");
    Ok(())
}

/// A distribution's Rust brings its components along, or not at all.
async fn without_rustup(log: &Path) -> Result<()> {
    let sysroot = External::new("rustc", log).args(["--print", "sysroot"]).run("asking rustc for its folder").await?;
    let libraries = Path::new(sysroot.stdout.trim()).join("lib/rustlib");
    let folders = std::fs::read_dir(&libraries).with_context(|| format!("failed to read {}", libraries.display()))?;
    if folders.flatten().any(|folder| folder.path().join("bin/llvm-profdata").is_file()) {
        return Ok(());
    }
    bail!("coverage needs the Rust component llvm-tools. Install Rust with rustup: https://rustup.rs")
}

/// Components are listed with the target behind them: `clippy-x86_64-unknown-linux-gnu`.
fn is_installed(list: &str, component: &str) -> bool {
    list.lines().any(|line| line.strip_prefix(component).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')))
}

impl Subcommand {
    async fn ensure(&self, workspace: &Workspace, stack: &Stack, progress: &Progress) -> Result<()> {
        let (package, version, tools) = (self.package, self.version, workspace.tools());
        let log = stack.log("tools");
        let program = tools.join("bin").join(package);
        if program.is_file() {
            // Cargo calls it with its own name as the first argument.
            let name = package.trim_start_matches("cargo-");
            let installed = External::new(&program, &log).append().args([name, "--version"]).finish().await?;
            if installed.stdout.split_whitespace().nth(1) == Some(version) {
                return Ok(());
            }
        }
        let step = progress.step(format!("install {package} {version} into {}", tools.display()));
        cargo::command(&log)
            .append()
            .directory(workspace.root())
            // Unoptimised is compiled in half the time, and neither has much to compute.
            .args(["install", "--locked", "--debug", "--force", "--root"])
            .arg(tools)
            .arg(format!("{package}@{version}"))
            .run(&format!("installing {package}"))
            .await?;
        step.done("");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_recognised_with_and_without_a_target() {
        let list = "cargo-x86_64-unknown-linux-gnu\nclippy-x86_64-unknown-linux-gnu\nrustfmt\n";
        assert!(is_installed(list, "clippy") && is_installed(list, "rustfmt"));
        assert!(!is_installed(list, "llvm-tools") && !is_installed(list, "rust"));
    }
}
