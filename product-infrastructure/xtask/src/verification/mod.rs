//! Everything that CI runs. A failure does not keep the other checks from running: one run reports everything that is
//! wrong.
//!
//! First what is cheap, and this tool's own tests, whose build the others use. Then two lanes at once, because each alone
//! leaves a core idle for most of its time: the checks on a running stack, which mostly wait for Terraform and for one
//! process that stands in for AWS; and those of each repository by itself, at a lower priority.

mod alone;
mod checkov;
mod clients;
mod contract;
mod dependencies;
mod expectations;
mod layout;
mod leftovers;
mod libtest;
mod links;
mod lock_files;
mod new_function;
mod permissions;
mod policies;
mod prose;
mod readme;
mod reference;
mod rehearsals;
mod runbooks;
mod scripts;
mod secrets;
mod system;
mod tally;
mod tools;
mod workflows;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures_util::{StreamExt, stream};

use crate::cli;
use crate::duplicates::Manifest;
use crate::git;
use crate::process::is_interrupted;
use crate::progress::{Progress, duration};
use crate::stack::Stack;
use crate::terraform::root::Root;
use crate::workspace::{INFRASTRUCTURE, Workspace};
use alone::Alone;
use tally::Tally;

/// One of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// Copies that must be equal are.
    Duplicates,
    /// The top level holds the repositories, and none depends on another.
    Layout,
    /// All repositories lock the same versions.
    LockFiles,
    /// Workflows, other YAML and shell scripts have no finding.
    Workflows,
    /// Documents and messages use the field's terms, and no phrase that a reader stumbles over.
    Prose,
    /// Links between documents lead to a file and a heading.
    Links,
    /// The API reference holds the whole contract and contacts no other host.
    Reference,
    /// A repository's own check script.
    Scripts,
    /// A crate's dependencies have licences, versions and sources that are accepted.
    Dependencies(&'static str),
    /// A root has no setting that is known to be unsafe, unless the reason stands beside it.
    Checkov(Root),
    /// A repository, alone in an empty folder, passes its own `scripts/check.sh`: format, lints, tests, coverage.
    Tests(&'static str),
    /// The same of its `scripts/check-terraform.sh`: its roots are formatted, valid and pass their tests.
    Terraform(&'static str),
    /// `new-function` makes repositories that build and pass their tests.
    NewFunction,
    /// The tour in README.md works as it stands.
    Readme,
    /// A whole stack comes up, works, keeps the HTTP contract, survives a restart and goes down.
    System,
    /// This tool's lines, as its own tests and the system test together executed them.
    Coverage,
}

impl Check {
    fn all(workspace: &Workspace) -> Vec<Self> {
        let mut checks = vec![
            Self::Duplicates,
            Self::Layout,
            Self::LockFiles,
            Self::Workflows,
            Self::Prose,
            Self::Links,
            Self::Reference,
            Self::Scripts,
        ];
        checks.push(Self::Tests(INFRASTRUCTURE));
        checks.extend([Self::Readme, Self::System]);
        checks.extend(workspace.repositories().map(Self::Dependencies));
        checks.extend(Root::all(workspace).map(Self::Checkov));
        checks.extend(workspace.repositories().map(Self::Terraform));
        checks.extend(workspace.functions().iter().copied().map(Self::Tests));
        checks.extend([Self::NewFunction, Self::Coverage]);
        checks
    }

    fn lane(self) -> Lane {
        match self {
            Self::Readme | Self::System => Lane::Stack,
            Self::Dependencies(_) | Self::Checkov(_) | Self::Terraform(_) | Self::NewFunction => Lane::Repositories,
            Self::Tests(repository) if repository != INFRASTRUCTURE => Lane::Repositories,
            Self::Coverage => Lane::End,
            _ => Lane::Start,
        }
    }

    /// Whether it can run in parallel with another of its kind, because it uses one core only.
    fn shares_the_machine(self) -> bool {
        matches!(self, Self::Terraform(_) | Self::Checkov(_))
    }
}

impl fmt::Display for Check {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicates => formatter.write_str("duplicates"),
            Self::Layout => formatter.write_str("layout"),
            Self::LockFiles => formatter.write_str("lock files"),
            Self::Workflows => formatter.write_str("workflows"),
            Self::Prose => formatter.write_str("prose"),
            Self::Links => formatter.write_str("links"),
            Self::Reference => formatter.write_str("reference"),
            Self::Scripts => formatter.write_str("scripts"),
            Self::Dependencies(repository) => write!(formatter, "dependencies {repository}"),
            Self::Checkov(root) => write!(formatter, "checkov {}", root.name()),
            Self::Tests(repository) => write!(formatter, "tests {repository}"),
            Self::Terraform(repository) => write!(formatter, "terraform {repository}"),
            Self::NewFunction => formatter.write_str("new function"),
            Self::Readme => formatter.write_str("readme"),
            Self::System => formatter.write_str("system"),
            Self::Coverage => write!(formatter, "coverage {INFRASTRUCTURE}"),
        }
    }
}

/// Checks that run one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    /// Before all others.
    Start,
    /// On a running stack.
    Stack,
    /// Of each repository by itself, at the same time as [`Lane::Stack`].
    Repositories,
    /// After all others.
    End,
}

/// How many lines of a scanner's findings are shown. The log has them all.
const SHOWN: usize = 400;

/// What the checks share.
struct Context<'a> {
    workspace: &'a Workspace,
    /// Its folder holds the logs; the stack that the system test brings up is named after it.
    stack: Stack,
    progress: &'a Progress,
    alone: Alone,
    /// This program. Asked for at the start: the tests of this tool rebuild it, and then the kernel calls the file that
    /// runs deleted.
    program: PathBuf,
    /// Whether the system test follows the tour, which then leaves it its stack.
    tour_precedes_system: bool,
    /// Whether faults are tried in their long form.
    long: bool,
}

impl Context<'_> {
    fn log(&self, name: &str) -> PathBuf {
        self.stack.log(&name.replace([' ', '/'], "-"))
    }
}

/// How many of the checks that can share the machine run at once: the cores that a small machine has.
const AT_ONCE: usize = 2;

/// How a check ended.
struct Outcome {
    check: Check,
    tally: Tally,
    took: Duration,
    failure: Option<String>,
}

/// Runs the checks asked for, prints a table, and succeeds if all of them did.
pub async fn run(workspace: &Workspace, stack: Stack, arguments: &cli::Test, progress: &Progress) -> Result<ExitCode> {
    let checks = select(workspace, &arguments.only)?;
    if arguments.list {
        checks.iter().for_each(|check| println!("{check}"));
        return Ok(ExitCode::SUCCESS);
    }
    let _lock = stack.lock()?;
    let needs = tools::Needs {
        coverage: checks.iter().any(|check| matches!(check, Check::Tests(_) | Check::Coverage)),
        lints: checks.iter().any(|check| matches!(check, Check::Tests(_) | Check::NewFunction)),
        system: checks.iter().any(|check| matches!(check, Check::Readme | Check::System)),
        workflows: checks.contains(&Check::Workflows),
        checkov: checks.iter().any(|check| matches!(check, Check::Checkov(_))),
        dependencies: checks.iter().any(|check| matches!(check, Check::Dependencies(_))),
    };
    let program = std::env::current_exe().context("failed to find this program's path")?;
    tools::ensure(workspace, &stack, needs, progress).await?;
    let tour_precedes_system = [Check::Readme, Check::System].iter().all(|check| checks.contains(check));
    let long = arguments.long;
    let context =
        Context { workspace, stack, progress, alone: Alone::new(workspace)?, program, tour_precedes_system, long };

    let started = Instant::now();
    let lane = |lane| in_turn(&context, checks.iter().copied().filter(|check| check.lane() == lane).collect());
    let mut outcomes = lane(Lane::Start).await?;
    if checks.iter().any(|check| matches!(check.lane(), Lane::Repositories)) {
        context.alone.take_dependencies(&context)?;
    }
    if checks.iter().any(|check| matches!(check, Check::Terraform(_) | Check::NewFunction)) {
        context.alone.fill_provider_cache(&context).await?;
    }
    let (stack, repositories) = tokio::join!(lane(Lane::Stack), lane(Lane::Repositories));
    outcomes.extend(stack?);
    outcomes.extend(repositories?);
    outcomes.extend(lane(Lane::End).await?);
    Ok(conclude(&outcomes, started.elapsed(), progress))
}

/// Performs the checks of a lane; neighbours that can share the machine run together.
async fn in_turn(context: &Context<'_>, checks: Vec<Check>) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for group in checks.chunk_by(|one, next| one.shares_the_machine() && next.shares_the_machine()) {
        let group: Vec<Outcome> =
            stream::iter(group).map(|check| perform_visibly(context, *check)).buffered(AT_ONCE).collect().await;
        outcomes.extend(group);
        if is_interrupted() {
            bail!("interrupted");
        }
    }
    Ok(outcomes)
}

async fn perform_visibly(context: &Context<'_>, check: Check) -> Outcome {
    let started = Instant::now();
    let step = context.progress.step(check.to_string());
    let (tally, failure) = match perform(context, check).await {
        Ok(tally) => (tally.at_least_passed(), None),
        Err(failed) => (failed.tally.at_least_failed(), Some(format!("{:#}", failed.error))),
    };
    match &failure {
        None => step.done(tally.to_string()),
        Some(failure) => {
            drop(step);
            context.progress.say(failure);
        }
    }
    Outcome { check, tally, took: started.elapsed(), failure }
}

/// The checks whose names contain one of `only`; all if it is empty.
fn select(workspace: &Workspace, only: &[String]) -> Result<Vec<Check>> {
    let wanted = |check: &Check| only.is_empty() || only.iter().any(|text| check.to_string().contains(text.as_str()));
    let checks: Vec<Check> = Check::all(workspace).into_iter().filter(wanted).collect();
    if checks.is_empty() {
        bail!("no check's name contains {}; `cargo xtask test --list` names them", only.join(" or "));
    }
    Ok(checks)
}

async fn perform(context: &Context<'_>, check: Check) -> Result<Tally, tally::Failed> {
    let name = check.to_string();
    match check {
        Check::Duplicates => Ok(duplicates(context).await?),
        Check::Layout => Ok(layout::check(context.workspace, &context.log(&name)).await?),
        Check::LockFiles => Ok(lock_files::check(context.workspace)?),
        Check::Workflows => Ok(workflows::check(context).await?),
        Check::Prose => Ok(prose::check(context).await?),
        Check::Links => Ok(links::check(context).await?),
        Check::Reference => Ok(reference::check(context).await?),
        Check::Scripts => Ok(scripts::check(context).await?),
        Check::Dependencies(repository) => Ok(dependencies::check(context, repository).await?),
        Check::Checkov(root) => Ok(checkov::check(context, root).await?),
        Check::Tests(repository) => context.alone.tests(context, repository).await,
        Check::Terraform(repository) => context.alone.terraform(context, repository).await,
        Check::NewFunction => Ok(new_function::check(context).await?),
        Check::Readme => Ok(system::tour(context).await?),
        Check::System => system::check(context).await,
        Check::Coverage => Ok(context.alone.coverage(context).await?),
    }
}

async fn duplicates(context: &Context<'_>) -> Result<Tally> {
    let (workspace, manifest) = (context.workspace, Manifest::read(context.workspace)?);
    let differing = manifest.drift(workspace)?.iter().map(ToString::to_string).collect::<Vec<_>>();
    if !differing.is_empty() {
        bail!(
            "{}\nRun `cargo xtask sync FILE --from REPO` to copy the right version to the others",
            differing.join("\n")
        );
    }
    let files = git::listed_files_of_all(workspace, &context.log("duplicates files")).await?;
    let unlisted = manifest.unlisted(workspace, &files)?.iter().map(ToString::to_string).collect::<Vec<_>>();
    if !unlisted.is_empty() {
        bail!("{}\nAdd each to duplicates.toml, or make the files different", unlisted.join("\n"));
    }
    Ok(Tally::default())
}

/// The table, and in the last line the sum, alone and in a fixed form for programs that read it.
fn conclude(outcomes: &[Outcome], took: Duration, progress: &Progress) -> ExitCode {
    let total = outcomes.iter().fold(Tally::default(), |sum, outcome| sum + outcome.tally);
    let mut table = String::from("\n");
    for outcome in outcomes {
        let mark = if outcome.failure.is_none() { "ok    " } else { "FAILED" };
        table.push_str(&format!(
            "{mark} {:<44} {:>12}  {}\n",
            outcome.check.to_string(),
            duration(outcome.took),
            outcome.tally
        ));
    }
    table.push_str(&format!("       {:<44} {:>12}", "all", duration(took)));
    progress.print(&table);
    progress.print(&format!("{} passed, {} failed", total.passed, total.failed));
    if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covers_every_repository() {
        let workspace = crate::workspace::fixture::workspace(&["get-product", "list-products"]);
        let checks = Check::all(&workspace);
        let count = |wanted: fn(&Check) -> bool| checks.iter().filter(|check| wanted(check)).count();
        assert_eq!(count(|check| matches!(check, Check::Dependencies(_))), 3);
        assert_eq!(count(|check| matches!(check, Check::Checkov(_))), 5);
        assert_eq!(count(|check| matches!(check, Check::Tests(_))), 3);
        assert_eq!(count(|check| matches!(check, Check::Terraform(_))), 3);
        assert_eq!(checks.last(), Some(&Check::Coverage));
        let lane = |check: Check| check.lane();
        assert_eq!(lane(Check::Tests("get-product")), Lane::Repositories);
        // The checks on a stack use its build, and `Coverage` the records of both.
        assert_eq!(lane(Check::Tests(INFRASTRUCTURE)), Lane::Start);
        assert_eq!((lane(Check::Readme), lane(Check::System)), (Lane::Stack, Lane::Stack));
    }

    #[test]
    fn checks_are_chosen_by_part_of_their_name() {
        let workspace = crate::workspace::fixture::workspace(&["get-product"]);
        let chosen = select(&workspace, &["tests get".to_owned(), "layout".to_owned()]).unwrap();
        assert_eq!(chosen, [Check::Layout, Check::Tests("get-product")]);
        assert!(select(&workspace, &["nothing".to_owned()]).unwrap_err().to_string().contains("--list"));
    }

    #[test]
    fn one_failure_fails_the_run() {
        let outcome =
            |failure: Option<String>, tally| Outcome { check: Check::Layout, tally, took: Duration::ZERO, failure };
        let passed = outcome(None, Tally { passed: 3, failed: 0 });
        let failed = outcome(Some("broken".to_owned()), Tally { passed: 1, failed: 1 });
        assert_eq!(conclude(&[passed], Duration::ZERO, &Progress::new()), ExitCode::SUCCESS);
        assert_eq!(conclude(&[failed], Duration::ZERO, &Progress::new()), ExitCode::FAILURE);
    }
}
