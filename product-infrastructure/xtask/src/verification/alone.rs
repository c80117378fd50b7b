//! Repositories that stand alone: each is copied to an empty folder outside the tree, and built and tested there.
//!
//! No parent folder's configuration is found from there, no sibling can be reached. Compiled dependencies are shared all
//! the same: Cargo tells them apart by what they are made of, not by who asks for them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tokio::sync::Mutex;

use super::tally::{Counter, Failed, Tally};
use super::{Context, expectations};
use crate::cargo;
use crate::git;
use crate::process::External;
use crate::terraform::root::Root;
use crate::terraform::{foreign_settings, provider_source};
use crate::workspace::INFRASTRUCTURE;

/// The share of lines, in per cent, that a repository's tests must execute.
const LINES: &str = "80";

/// The folder for the copies, deleted at the end.
pub struct Alone {
    folder: PathBuf,
    /// Two checks may want the copy of one repository.
    copying: Mutex<()>,
}

impl Alone {
    pub fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("catalogue-alone-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
        // Cargo and llvm-cov compare paths, and a temporary folder may be reached through a link.
        let folder = folder.canonicalize().with_context(|| format!("failed to resolve {}", folder.display()))?;
        Ok(Self { folder, copying: Mutex::default() })
    }

    /// Builds and tests a repository's crate; a function must cover its lines by its own tests.
    pub async fn tests(&self, context: &Context<'_>, repository: &'static str) -> Result<Tally, Failed> {
        let counter = Counter::new(context.progress);
        let folder = self.copy(context, repository).await?;
        let watching = counter.clone();
        let log = format!("tests {repository}");
        if repository == INFRASTRUCTURE {
            // `--no-report` adds to what is there; this is the first run to be added.
            self.coverage_command(context, &folder, &log)
                .args(["llvm-cov", "clean", "--workspace"])
                .run("cleaning up after earlier measurements")
                .await?;
        }
        let command = self.coverage_command(context, &folder, &log).args(["llvm-cov", "--locked"]);
        // The tests of faults read it.
        let command = command.envs(context.long.then_some(("FAULTS", "long")));
        // This tool is measured when the system test has run it too.
        let command = if repository == INFRASTRUCTURE {
            command.arg("--no-report")
        } else {
            command.args(["--fail-under-lines", LINES])
        };
        command
            .watch(move |line| watching.see(line))
            .run(&format!("the tests of {repository} (at least {LINES} % of its lines must be covered)"))
            .await
            .map_err(|error| counter.failed(error))?;
        if counter.tally().passed == 0 {
            return Err(counter.failed(anyhow::anyhow!("{repository} has no tests")));
        }
        if repository == INFRASTRUCTURE {
            self.build_instrumented(context, &folder).await.map_err(|error| counter.failed(error))?;
        }
        Ok(counter.tally())
    }

    /// Checks and tests a Terraform root with no backend and no account.
    pub async fn terraform(&self, context: &Context<'_>, root: Root) -> Result<Tally, Failed> {
        let counter = Counter::new(context.progress);
        let repository = match root {
            Root::Infrastructure | Root::ApiKeys | Root::DeployRoles => INFRASTRUCTURE,
            Root::Function(name) => name,
        };
        let copy = self.copy(context, repository).await?;
        let folder = match root {
            Root::ApiKeys => copy.join("terraform/api-keys"),
            Root::DeployRoles => copy.join("terraform/deploy-roles"),
            Root::Infrastructure | Root::Function(_) => copy.join("terraform"),
        };
        expectations::check(&folder)?;
        let source = provider_source(context.workspace)?;
        let log = context.log(&format!("terraform {}", root.name()));
        let mut first = true;
        for arguments in [
            ["init", "-backend=false", "-input=false", "-no-color"].as_slice(),
            &["validate", "-no-color"],
            &["fmt", "-check", "-recursive", "-diff", "-no-color"],
            &["test", "-no-color"],
        ] {
            let watching = counter.clone();
            let command = External::new("terraform", &log);
            let command = if std::mem::take(&mut first) { command } else { command.append() };
            command
                .directory(&folder)
                .without_env(foreign_settings(std::env::vars_os().map(|(name, _)| name)))
                .without_env(&source.unset)
                .envs(source.set.iter().map(|(name, value)| (name, value)))
                .env("CHECKPOINT_DISABLE", "1")
                .env("TF_IN_AUTOMATION", "1")
                .env("AWS_EC2_METADATA_DISABLED", "true")
                .args(arguments)
                .watch(move |line| watching.see(line))
                .run(&format!("`terraform {}` of {}", arguments[0], root.name()))
                .await
                .map_err(|error| counter.failed(error))?;
        }
        if counter.tally().passed == 0 {
            return Err(counter.failed(anyhow::anyhow!("{} has no `terraform test`s", root.name())));
        }
        Ok(counter.tally())
    }

    /// This tool, built so that it records which of its lines run; there once its tests have run.
    pub fn instrumented(&self) -> Option<PathBuf> {
        Some(self.folder.join("xtask")).filter(|path| path.is_file())
    }

    /// Where an instrumented program writes its records: where the report looks for them.
    pub fn records(context: &Context<'_>) -> PathBuf {
        context.workspace.target().join("product-infrastructure-%p-%10m.profraw")
    }

    /// Reports this tool's coverage from all records so far.
    pub async fn coverage(&self, context: &Context<'_>) -> Result<Tally> {
        if self.instrumented().is_none() {
            bail!("there is nothing to report: the tests of {INFRASTRUCTURE} have not run");
        }
        let folder = self.copy(context, INFRASTRUCTURE).await?;
        let counter = Counter::new(context.progress);
        self.coverage_command(context, &folder, "coverage")
            .args(["llvm-cov", "report", "--fail-under-lines", LINES])
            .watch(move |line| counter.see(line))
            .run(&format!("measuring the coverage of {INFRASTRUCTURE} (at least {LINES} % of its lines)"))
            .await?;
        Ok(Tally::default())
    }

    /// Keeps a copy of the binary out of the way of other builds.
    async fn build_instrumented(&self, context: &Context<'_>, folder: &Path) -> Result<()> {
        self.coverage_command(context, folder, "build-instrumented")
            .args(["llvm-cov", "run", "--locked", "--package", "xtask", "--no-report", "--", "--version"])
            .run("building xtask for the system test")
            .await?;
        let built = context.workspace.target().join("debug/xtask");
        let kept = self.folder.join("xtask");
        fs::copy(&built, &kept).with_context(|| format!("failed to copy {}", built.display()))?;
        Ok(())
    }

    fn coverage_command(&self, context: &Context<'_>, folder: &Path, log: &str) -> External {
        let target = context.workspace.target();
        let mut path = vec![context.workspace.tools().join("bin")];
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        cargo::command(context.log(log))
            .directory(folder)
            .env("PATH", std::env::join_paths(path).unwrap_or_default())
            // Only the crate itself is instrumented, so its dependencies are those that every other build has made. What
            // keeps them the same is that no build here wants debug information of them.
            .env("CARGO_TARGET_DIR", &target)
            .env("CARGO_LLVM_COV_TARGET_DIR", &target)
            .env("CARGO_LLVM_COV_BUILD_DIR", &target)
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
    }

    /// A copy of what git has, or would have, of a repository; made once.
    async fn copy(&self, context: &Context<'_>, repository: &str) -> Result<PathBuf> {
        let from = context.workspace.repository(repository);
        let to = self.folder.join(repository);
        let _one_at_a_time = self.copying.lock().await;
        if !to.exists() {
            let log = context.log(&format!("copy {repository}"));
            copy_files(&from, &git::listed_files(&from, &log).await?, &to)?;
        }
        Ok(to)
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn copy_files(from: &Path, files: &[PathBuf], to: &Path) -> Result<()> {
    for file in files {
        let (source, target) = (from.join(file), to.join(file));
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
        }
        fs::copy(&source, &target).with_context(|| format!("failed to copy {}", source.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_lie_outside_the_tree_and_go_away() {
        let alone = Alone::new().unwrap();
        let folder = alone.folder.clone();
        let from = folder.join("from");
        fs::create_dir_all(from.join("src")).unwrap();
        fs::write(from.join("src/main.rs"), "x").unwrap();
        copy_files(&from, &["src/main.rs".into()], &folder.join("to")).unwrap();
        assert_eq!(fs::read_to_string(folder.join("to/src/main.rs")).unwrap(), "x");
        assert!(alone.instrumented().is_none());
        drop(alone);
        assert!(!folder.exists());
    }
}
