//! Repositories that stand alone: each is copied to an empty folder outside the tree, where its own scripts check it, those
//! that its pipeline runs. Green here is green there.
//!
//! No parent folder's configuration is found from there, no sibling can be reached. Compiled dependencies are shared all
//! the same: Cargo tells them apart by what they are made of, not by who asks for them.
//!
//! The functions' checks have a target directory of their own, which begins with the dependencies that the tree's has: a
//! measurement of coverage first removes what an earlier one left, and another lane may be using it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, bail};

use super::tally::{Failed, Tally};
use super::{Context, expectations, libtest};
use crate::cargo;
use crate::git;
use crate::process::External;
use crate::terraform::events::{self, Event};
use crate::terraform::root::Root;
use crate::terraform::{foreign_settings, provider_source};
use crate::workspace::{INFRASTRUCTURE, Workspace};

/// The folder for the copies, deleted at the end.
pub struct Alone {
    folder: PathBuf,
    /// Two checks may want the copy of one repository.
    copying: tokio::sync::Mutex<()>,
    /// The functions' target directory.
    target: PathBuf,
}

impl Alone {
    pub fn new(workspace: &Workspace) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("catalogue-alone-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
        // Cargo and llvm-cov compare paths, and a temporary folder may be reached through a link.
        let folder = folder.canonicalize().with_context(|| format!("failed to resolve {}", folder.display()))?;
        Ok(Self { folder, copying: tokio::sync::Mutex::default(), target: workspace.target().join("alone") })
    }

    /// Runs a repository's `check.sh`: format, lints, tests and coverage.
    pub async fn tests(&self, context: &Context<'_>, repository: &'static str) -> Result<Tally, Failed> {
        let folder = self.copy(context, repository).await?;
        let (log, progress) = (format!("tests {repository}"), context.progress.clone());
        // This tool's own records stay where the checks on a stack add theirs.
        let target = if repository == INFRASTRUCTURE { context.workspace.target() } else { self.target.clone() };
        self.script(context, &folder, &target, "check.sh", &log)
            .at_low_priority()
            // The tests of faults read it.
            .envs(context.long.then_some(("FAULTS", "long")))
            .watch(move |line| libtest::show(line, &progress))
            .run(&format!("scripts/check.sh of {repository}"))
            .await?;
        let options: &[&str] = if repository == INFRASTRUCTURE { &["--workspace"] } else { &[] };
        let list = || {
            // As the script has built them, and without adding to what it has recorded.
            self.coverage_command(context, &folder, &target, &format!("tests {repository} list"))
                .at_low_priority()
                .args(["llvm-cov", "--locked", "--no-report"])
                .args(options)
        };
        let tally = libtest::passed(list, repository).await?;
        if repository == INFRASTRUCTURE {
            let built = self.build_instrumented(context, &folder).await;
            built.map_err(|error| Failed { tally, error })?;
        }
        Ok(tally)
    }

    /// Runs a repository's `check-terraform.sh`, with no backend and no account. Each of its roots must have tests.
    pub async fn terraform(&self, context: &Context<'_>, repository: &'static str) -> Result<Tally, Failed> {
        let folder = self.copy(context, repository).await?;
        let roots: Vec<Root> = Root::all(context.workspace).filter(|root| root.repository() == repository).collect();
        for root in &roots {
            let committed = root.committed(context.workspace);
            let within = committed.strip_prefix(context.workspace.repository(repository));
            expectations::check(&folder.join(within.context("a root lies outside its repository")?))?;
        }
        let source = provider_source(context.workspace)?;
        let summaries = Arc::new(Mutex::new(Vec::new()));
        let seen = summaries.clone();
        let outcome =
            External::new(folder.join("scripts/check-terraform.sh"), context.log(&format!("terraform {repository}")))
                .directory(&folder)
                .at_low_priority()
                .without_env(foreign_settings(std::env::vars_os().map(|(name, _)| name)))
                .without_env(&source.unset)
                .envs(source.set.iter().map(|(name, value)| (name, value)))
                .env("CHECKPOINT_DISABLE", "1")
                .env("TF_IN_AUTOMATION", "1")
                .env("AWS_EC2_METADATA_DISABLED", "true")
                .env("TF_CLI_ARGS_init", "-no-color")
                .env("TF_CLI_ARGS_validate", "-no-color")
                // The script shows its reader prose, and this reader JSON.
                .env("TF_CLI_ARGS_test", "-json")
                .log_as(events::readable)
                .watch(move |line| {
                    if let Some(Event::TestSummary { test_summary }) = Event::parse(line) {
                        seen.lock().expect("no panic while noting").push(test_summary);
                    }
                })
                .run(&format!("scripts/check-terraform.sh of {repository}"))
                .await;
        let summaries = summaries.lock().expect("no panic while noting").clone();
        let tally = summaries.iter().fold(Tally::default(), |sum, summary| {
            sum + Tally { passed: summary.passed, failed: summary.failed + summary.errored }
        });
        outcome.map_err(|error| Failed { tally, error })?;
        if summaries.len() != roots.len() || summaries.iter().any(|summary| summary.passed == 0) {
            let error = anyhow::anyhow!("{repository} has {} Terraform roots, and not all have tests", roots.len());
            return Err(Failed { tally, error });
        }
        Ok(tally)
    }

    /// This tool with coverage instrumentation; it exists once its tests have run.
    pub fn instrumented(&self) -> Option<PathBuf> {
        Some(self.folder.join("xtask")).filter(|path| path.is_file())
    }

    /// Where an instrumented program writes its records: where the report looks for them.
    pub fn records(context: &Context<'_>) -> PathBuf {
        context.workspace.target().join("product-infrastructure-%p-%10m.profraw")
    }

    /// Counts the whole workspace's coverage, from all records so far.
    pub async fn coverage(&self, context: &Context<'_>) -> Result<Tally> {
        if self.instrumented().is_none() {
            bail!("there is nothing to report: the tests of {INFRASTRUCTURE} have not run");
        }
        let folder = self.copy(context, INFRASTRUCTURE).await?;
        let progress = context.progress.clone();
        self.script(context, &folder, &context.workspace.target(), "coverage.sh", "coverage")
            .watch(move |line| libtest::show(line, &progress))
            .run(&format!("measuring the coverage of {INFRASTRUCTURE}"))
            .await?;
        Ok(Tally::default())
    }

    /// Keeps a copy of the binary out of the way of other builds.
    async fn build_instrumented(&self, context: &Context<'_>, folder: &Path) -> Result<()> {
        self.coverage_command(context, folder, &context.workspace.target(), "build-instrumented")
            .args(["llvm-cov", "run", "--locked", "--bin", "xtask", "--no-report", "--", "--version"])
            .run("building xtask for the system test")
            .await?;
        let built = context.workspace.target().join("debug/xtask");
        let kept = self.folder.join("xtask");
        fs::copy(&built, &kept).with_context(|| format!("failed to copy {}", built.display()))?;
        Ok(())
    }

    /// The target directory of the functions' checks.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Downloads Terraform's provider into the cache, if there is one to fill, before two checks would do it at once.
    pub async fn fill_provider_cache(&self, context: &Context<'_>) -> Result<()> {
        let source = provider_source(context.workspace)?;
        if !source.fills_cache() {
            return Ok(());
        }
        let step = context.progress.step("download Terraform's provider");
        let folder = self.copy(context, context.workspace.functions()[0]).await?;
        External::new("terraform", context.log("provider"))
            .directory(folder.join("terraform"))
            .without_env(foreign_settings(std::env::vars_os().map(|(name, _)| name)))
            .without_env(&source.unset)
            .envs(source.set.iter().map(|(name, value)| (name, value)))
            .args(["init", "-backend=false", "-input=false", "-no-color"])
            .run("downloading Terraform's provider")
            .await?;
        step.done("");
        Ok(())
    }

    /// Gives the functions' checks what the tree has compiled so far. Nothing may be compiled at the same time.
    pub fn take_dependencies(&self, context: &Context<'_>) -> Result<()> {
        // Neither Cargo's lock, which would then hold both directories, nor what a compiler changes in place.
        for part in [".fingerprint", "build", "deps"] {
            let part = Path::new("debug").join(part);
            link_files(&context.workspace.target().join(&part), &self.target.join(&part))?;
        }
        Ok(())
    }

    fn coverage_command(&self, context: &Context<'_>, folder: &Path, target: &Path, log: &str) -> External {
        shared(context, target, cargo::command(context.log(log)).directory(folder))
    }

    /// One of a repository's scripts.
    fn script(&self, context: &Context<'_>, folder: &Path, target: &Path, name: &str, log: &str) -> External {
        let script = External::new(folder.join("scripts").join(name), context.log(log))
            .without_env(cargo::traces(std::env::vars_os().map(|(name, _)| name)));
        shared(context, target, script.directory(folder))
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

/// With this tree's tools and the compiled dependencies in `target`.
fn shared(context: &Context<'_>, target: &Path, command: External) -> External {
    let mut path = vec![context.workspace.tools().join("bin")];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    command
        .env("PATH", std::env::join_paths(path).unwrap_or_default())
        // Only the crate itself is instrumented, so its dependencies are those that every other build has made. What keeps
        // them the same is that no build here wants debug information of them.
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_LLVM_COV_TARGET_DIR", target)
        .env("CARGO_LLVM_COV_BUILD_DIR", target)
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
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

/// Makes `to` hold the files of `from`, by hard links: same content, same times, no space. What `to` has stays as it is.
fn link_files(from: &Path, to: &Path) -> Result<()> {
    if !from.exists() {
        return Ok(());
    }
    fs::create_dir_all(to).with_context(|| format!("failed to create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("failed to read {}", from.display()))? {
        let entry = entry.with_context(|| format!("failed to read {}", from.display()))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().with_context(|| format!("failed to read {}", source.display()))?.is_dir() {
            link_files(&source, &target)?;
        } else if !target.exists() {
            fs::hard_link(&source, &target).with_context(|| format!("failed to link {}", target.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_lie_outside_the_tree_and_go_away() {
        let alone = Alone::new(&crate::workspace::fixture::workspace(&["get-product"])).unwrap();
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

    #[test]
    fn linked_files_keep_content_and_time_and_replace_none() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        link_files(&from, &to).unwrap();
        assert!(!to.exists());
        fs::create_dir_all(from.join("deps")).unwrap();
        fs::create_dir_all(to.join("deps")).unwrap();
        fs::write(from.join("deps/a"), "compiled").unwrap();
        fs::write(from.join("deps/b"), "the tree's").unwrap();
        fs::write(to.join("deps/b"), "its own").unwrap();
        link_files(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("deps/a")).unwrap(), "compiled");
        assert_eq!(fs::read_to_string(to.join("deps/b")).unwrap(), "its own");
        let modified = |path: PathBuf| fs::metadata(path).unwrap().modified().unwrap();
        assert_eq!(modified(to.join("deps/a")), modified(from.join("deps/a")));
    }
}
