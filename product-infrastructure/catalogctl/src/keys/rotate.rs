//! `catalogctl keys rotate`: one key is replaced by the next, in steps, without a moment in which no key works.
//!
//! Every stage is declared in Terraform, the disabled key too: what is changed beside Terraform, its next apply undoes.
//! So on AWS a step is an edit of the environment's file of variables, which is then reviewed and deployed like any other
//! change. A local stack has no pipeline: there the step is applied at once, and its file lies with the stack's data.
//!
//! A step that builds on another first asks API Gateway whether that one has arrived: a file can be edited three times
//! before it is deployed, and then no client would ever have had two keys.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;

use super::deployed::{self, DeployedKey, Use};
use super::generations::{Generations, Step};
use crate::audit::verify::BROKEN;
use crate::progress::Progress;
use crate::provision;
use crate::stack::{ENVIRONMENT, Stack};
use crate::target::{Place, Target};
use crate::terraform::root::Root;
use crate::workspace::Workspace;

/// Take a step of a rotation of the API key. A dry run unless --apply is given.
///
///   show    say how far it is
///   begin   a second key, valid beside the first; the secret then holds the second. Move the clients over
///   finish  the old key is disabled: it opens nothing, and can be enabled again
///   reopen  takes `finish` back: a client was forgotten
///   remove  the old key is deleted, for good
///
/// On AWS (--env) a step is written to terraform/api-keys/environments/ENV.tfvars, to be committed and deployed; on the
/// local stack it is applied at once. A step that was taken already changes nothing.
///
/// Exit code: 0 done, or would be; 1 could not be done; 2 the old key is still used, and nothing was done.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Which step.
    #[arg(value_enum, hide_possible_values = true)]
    pub step: Step,
    /// Do it.
    #[arg(long)]
    pub apply: bool,
    /// Disable the old key although it was used since yesterday: it is known to strangers, for example.
    #[arg(long)]
    pub although_used: bool,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What was done, or would be.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// "prod (AWS, eu-west-1)".
    pub on: String,
    pub step: Step,
    pub applied: bool,
    /// Whether the step is held back because the old key is still used.
    pub still_used: bool,
    pub file: PathBuf,
    pub before: Generations,
    pub after: Generations,
    /// The keys that API Gateway has now; `null` when the step need not know.
    pub deployed: Option<Vec<DeployedKey>>,
    /// How much the old key was used since yesterday, when a step asks for it.
    pub old_key_use: Option<Use>,
    /// What is to be done next.
    pub next: String,
}

/// Where the stages are declared.
struct Declared {
    /// The file of variables that a step edits.
    file: PathBuf,
    generations: Generations,
}

/// Takes the step and says what came of it.
pub async fn run(
    workspace: &Workspace,
    stack: &Stack,
    environment: Option<&str>,
    arguments: &Arguments,
    progress: &Progress,
) -> Result<ExitCode> {
    let rotation = rotate(workspace, stack, environment, arguments, progress).await?;
    if arguments.json {
        progress.print(&serde_json::to_string_pretty(&rotation)?);
    } else {
        progress.print(&text(&rotation));
    }
    Ok(if rotation.still_used { ExitCode::from(BROKEN) } else { ExitCode::SUCCESS })
}

async fn rotate(
    workspace: &Workspace,
    stack: &Stack,
    environment: Option<&str>,
    arguments: &Arguments,
    progress: &Progress,
) -> Result<Rotation> {
    let step = arguments.step;
    let _lock = environment.is_none().then(|| stack.lock()).transpose()?;
    let Declared { file, generations: before } = match environment {
        Some(environment) => on_aws(workspace, environment)?,
        None => on_stack(workspace, stack)?,
    };
    let after = before.after(step)?;

    // To begin, or to take a step back, is right whatever is deployed; it needs no credentials either.
    let looks = environment.is_none() || !matches!(step, Step::Begin | Step::Reopen);
    let place = Place { env: environment.map(str::to_owned), ..Place::default() };
    let target = if looks { Some(Target::find(stack, &place).await?) } else { None };
    let (deployed, old_key_use) = match &target {
        Some(target) => look(target, step, &before).await?,
        None => (None, None),
    };
    if let (Some(deployed), true) = (&deployed, before != after) {
        has_arrived(step, &before, deployed, &first(environment, stack))?;
    }
    let used = matches!(old_key_use, Some(Use::Requests { count, .. }) if count > 0);
    let still_used = step == Step::Finish && before != after && used && !arguments.although_used;
    let applied = arguments.apply && !still_used && step != Step::Show;
    if applied {
        if before != after {
            after.write(&file)?;
        }
        // Also when nothing changes: what was written before may not have been applied to its end.
        if environment.is_none() {
            provision::apply_api_keys(workspace, stack, progress).await?;
        }
    }
    let on = target.map_or_else(|| environment.unwrap_or_default().to_owned(), |target| target.name);
    let reached = if applied { &after } else { &before };
    let behind = !applied && deployed.as_ref().is_some_and(|deployed| !is_deployed(&before, deployed));
    let next = if behind && before == after {
        let how = first(environment, stack);
        format!("What is declared is not what API Gateway has: {how}.")
    } else {
        next(environment, stack, arguments, still_used, reached, before != after)
    };
    let deployed = match (applied, environment) {
        // What the step came to.
        (true, None) => Some(deployed::keys(&Target::find(stack, &place).await?).await?),
        _ => deployed,
    };
    Ok(Rotation { on, step, applied, still_used, file, before, after, deployed, old_key_use, next })
}

fn committed(workspace: &Workspace, environment: &str) -> PathBuf {
    Root::ApiKeys.committed(workspace).join(format!("environments/{environment}.tfvars"))
}

fn on_aws(workspace: &Workspace, environment: &str) -> Result<Declared> {
    let file = committed(workspace, environment);
    match Generations::read(&file)? {
        Some(generations) => Ok(Declared { file, generations }),
        None => bail!("there is no {}: is {environment:?} an environment?", file.display()),
    }
}

/// A stack that never rotated follows the committed file of the environment that it plays.
fn on_stack(workspace: &Workspace, stack: &Stack) -> Result<Declared> {
    let file = stack.key_generations();
    let generations = match Generations::read(&file)? {
        Some(generations) => generations,
        None => Generations::read(&committed(workspace, ENVIRONMENT))?.unwrap_or_else(Generations::initial),
    };
    Ok(Declared { file, generations })
}

async fn look(target: &Target, step: Step, before: &Generations) -> Result<(Option<Vec<DeployedKey>>, Option<Use>)> {
    let deployed = deployed::keys(target).await?;
    let old = before.old().filter(|_| matches!(step, Step::Show | Step::Finish));
    let old = old.and_then(|old| deployed.iter().find(|key| key.generation == old));
    let used = match old {
        Some(old) => Some(deployed::recent_use(target, old).await),
        None => None,
    };
    Ok((Some(deployed), used))
}

/// How API Gateway gets what is declared.
fn first(environment: Option<&str>, stack: &Stack) -> String {
    match environment {
        Some(environment) => format!("deploy `api-keys` to {environment} first"),
        None => format!("bring the stack up to date with `cargo catalogctl up --detach{}` first", stack.option()),
    }
}

/// Whether API Gateway has exactly what is declared.
fn is_deployed(declared: &Generations, deployed: &[DeployedKey]) -> bool {
    let keys = declared.key_generations.iter().map(|key| (*key, !declared.disabled_generations.contains(key)));
    keys.eq(deployed.iter().map(|key| (key.generation, key.enabled)))
}

/// Fails unless API Gateway has what the step builds upon.
fn has_arrived(step: Step, before: &Generations, deployed: &[DeployedKey], first: &str) -> Result<()> {
    let enabled = |generation| deployed.iter().any(|key| key.generation == generation && key.enabled);
    let current = before.current();
    if step == Step::Finish && !enabled(current) {
        bail!("generation {current} is not among the valid keys of API Gateway: {first}, and move the clients over");
    }
    if let (Step::Remove, Some(old)) = (step, before.old().filter(|old| enabled(*old))) {
        bail!("generation {old} is still enabled in API Gateway: {first}, and see whether a client misses it");
    }
    Ok(())
}

/// What to do now, as somebody who does this once a year wants to read it.
fn next(
    environment: Option<&str>,
    stack: &Stack,
    arguments: &Arguments,
    still_used: bool,
    reached: &Generations,
    differs: bool,
) -> String {
    let command = match environment {
        Some(environment) => format!("`cargo catalogctl keys --env {environment} rotate "),
        None => format!("`cargo catalogctl{} keys rotate ", stack.option()),
    };
    if still_used {
        return "Move the clients that still use the old key over, and try again tomorrow; or --although-used.".into();
    }
    if differs && !arguments.apply {
        return "A dry run. --apply does it.".into();
    }
    let then = match (reached.old(), reached.disabled_generations.is_empty()) {
        (None, _) => format!("One key is valid. {command}begin` starts a rotation."),
        (Some(old), true) => {
            format!(
                "Both keys are valid, and the secret holds the new one. Move the clients over, then {command}finish` disables generation {old}."
            )
        }
        (Some(old), false) => {
            format!(
                "Generation {old} opens nothing. If a client misses it: {command}reopen`. If none does: {command}remove`."
            )
        }
    };
    match environment {
        Some(environment) if differs => format!(
            "Commit the file, then start the workflow \"Deploy to {}\" with root: api-keys. After it: {then}",
            environment.to_uppercase()
        ),
        _ => then,
    }
}

fn text(rotation: &Rotation) -> String {
    let mut text = String::new();
    for key in rotation.deployed.iter().flatten() {
        let state = if key.enabled { "valid" } else { "disabled" };
        text.push_str(&format!("Generation {} is {state} ({}).\n", key.generation, key.id));
    }
    match &rotation.old_key_use {
        Some(Use::Requests { count, since }) => {
            text.push_str(&format!("The old key was used for {count} requests since {since}.\n"));
        }
        Some(Use::Unknown(why)) => {
            text.push_str(&format!("Whether the old key is still used cannot be told: {why}.\n"))
        }
        None => {}
    }
    let shown = |generations: &Generations| {
        let variables = generations.variables();
        variables.iter().map(|(name, value)| format!("{name} = {value}")).collect::<Vec<_>>().join(", ")
    };
    let Rotation { before, after, file, applied, .. } = rotation;
    text.push_str(&match (before == after, applied) {
        (true, _) => format!("Declared: {}.\n", shown(before)),
        (false, true) => format!("Declared: {}, in {}; before: {}.\n", shown(after), shown_path(file), shown(before)),
        (false, false) => {
            format!("Declared: {}; it would become {}, in {}.\n", shown(before), shown(after), shown_path(file))
        }
    });
    text + &rotation.next
}

/// A path as one would type it here.
fn shown_path(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_waits_for_the_one_before_to_be_deployed() {
        let before =
            |disabled: &[u32]| Generations { key_generations: vec![1, 2], disabled_generations: disabled.into() };
        let key = |generation, enabled| DeployedKey { generation, id: "a".into(), enabled };
        let arrived = |step, disabled: &[u32], deployed: &[DeployedKey]| {
            has_arrived(step, &before(disabled), deployed, "deploy `api-keys` to dev first")
                .map_err(|error| error.to_string())
        };
        assert!(arrived(Step::Finish, &[], &[key(1, true)]).unwrap_err().contains("deploy `api-keys` to dev first"));
        assert!(arrived(Step::Finish, &[], &[key(1, true), key(2, false)]).is_err());
        assert!(arrived(Step::Finish, &[], &[key(1, true), key(2, true)]).is_ok());
        assert!(arrived(Step::Remove, &[1], &[key(1, true), key(2, true)]).unwrap_err().contains("still enabled"));
        assert!(arrived(Step::Remove, &[1], &[key(1, false), key(2, true)]).is_ok());
        assert!(arrived(Step::Remove, &[1], &[key(2, true)]).is_ok());
        assert!(is_deployed(&before(&[1]), &[key(1, false), key(2, true)]));
        assert!(!is_deployed(&before(&[1]), &[key(1, true), key(2, true)]));
        assert!(!is_deployed(&before(&[1]), &[key(2, true)]));
    }
}
