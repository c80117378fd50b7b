//! `catalogctl keys rotate`: one key is replaced by the next, in steps, without a moment in which no key works.
//!
//! Every stage is declared in Terraform, the disabled key too: what is changed beside Terraform, its next apply undoes.
//! So a step is an edit of a file of Terraform variables. On AWS that is the environment's file in a checkout, which is
//! then reviewed and deployed like any other change; for a local stack it lies with the stack's data, and
//! `cargo xtask up` applies it.
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
use crate::target::{Place, Target};

/// Where a local stack's generations are declared, beside the file that describes the stack.
const LOCAL_VARIABLES: &str = "api-keys.tfvars";

/// Take a step of a rotation of the API key. A dry run unless --apply is given.
///
///   show    say how far it is
///   begin   a second key, valid beside the first; the secret then holds the second. Move the clients over
///   finish  the old key is disabled: it opens nothing, and can be enabled again
///   reopen  takes `finish` back: a client was forgotten
///   remove  the old key is deleted, for good
///
/// A step is written to a file of Terraform variables. On AWS (--env) that is terraform/api-keys/environments/ENV.tfvars of
/// a checkout, named with --variables, to be committed and deployed; for a local stack it is its own file, which
/// `cargo xtask up` applies. A step that was taken already changes nothing.
///
/// Exit code: 0 done, or would be; 1 could not be done; 2 the old key is still used, and nothing was done.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Which step.
    #[arg(value_enum, hide_possible_values = true)]
    pub step: Step,
    /// The file that declares the keys: terraform/api-keys/environments/ENV.tfvars of a checkout of product-infrastructure.
    /// Needed with --env.
    #[arg(long, value_name = "FILE")]
    pub variables: Option<PathBuf>,
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
pub async fn run(place: &Place, arguments: &Arguments, progress: &Progress) -> Result<ExitCode> {
    let rotation = rotate(place, arguments).await?;
    if arguments.json {
        progress.print(&serde_json::to_string_pretty(&rotation)?);
    } else {
        progress.print(&text(&rotation));
    }
    Ok(if rotation.still_used { ExitCode::from(BROKEN) } else { ExitCode::SUCCESS })
}

async fn rotate(place: &Place, arguments: &Arguments) -> Result<Rotation> {
    let (step, environment) = (arguments.step, place.env.as_deref());
    // To begin, or to take a step back, is right whatever is deployed; it needs no credentials either.
    let looks = environment.is_none() || !matches!(step, Step::Begin | Step::Reopen);
    let target = if looks { Some(Target::find(place).await?) } else { None };
    let Declared { file, generations: before } = declared(environment, arguments, target.as_ref()).await?;
    let after = before.after(step)?;

    let (deployed, old_key_use) = match &target {
        Some(target) => look(target, step, &before).await?,
        None => (None, None),
    };
    if let (Some(deployed), true) = (&deployed, before != after) {
        has_arrived(step, &before, deployed, &first(environment))?;
    }
    let used = matches!(old_key_use, Some(Use::Requests { count, .. }) if count > 0);
    let still_used = step == Step::Finish && before != after && used && !arguments.although_used;
    let applied = arguments.apply && !still_used && step != Step::Show;
    if applied && before != after {
        after.write(&file)?;
    }
    let on = target.map_or_else(|| environment.unwrap_or_default().to_owned(), |target| target.name);
    let reached = if applied { &after } else { &before };
    let behind = !applied && deployed.as_ref().is_some_and(|deployed| !is_deployed(&before, deployed));
    let next = if behind && before == after {
        format!("What is declared is not what API Gateway has: {}.", first(environment))
    } else {
        next(environment, arguments, still_used, reached, before != after)
    };
    Ok(Rotation { on, step, applied, still_used, file, before, after, deployed, old_key_use, next })
}

/// What is declared now. A stack on which no key was rotated declares nothing and has what Terraform gave it.
async fn declared(environment: Option<&str>, arguments: &Arguments, target: Option<&Target>) -> Result<Declared> {
    let stack = target.and_then(|target| target.local.as_ref());
    let file = match (&arguments.variables, stack, environment) {
        (Some(file), ..) => file.clone(),
        (None, Some(stack), _) => stack.folder.join(LOCAL_VARIABLES),
        (None, None, environment) => bail!(
            "the file that declares the keys must be named: `--variables terraform/api-keys/environments/{}.tfvars`, of a \
             checkout of product-infrastructure",
            environment.unwrap_or("ENV")
        ),
    };
    match (Generations::read(&file)?, environment, target) {
        (Some(generations), ..) => Ok(Declared { file, generations }),
        (None, None, Some(target)) => {
            let generations = of_deployed(&deployed::keys(target).await?);
            Ok(Declared { file, generations })
        }
        _ => bail!("{} is not there", file.display()),
    }
}

fn of_deployed(deployed: &[DeployedKey]) -> Generations {
    if deployed.is_empty() {
        return Generations::initial();
    }
    let generations = |enabled: Option<bool>| {
        let wanted = deployed.iter().filter(|key| enabled.is_none_or(|enabled| key.enabled == enabled));
        wanted.map(|key| key.generation).collect()
    };
    Generations { key_generations: generations(None), disabled_generations: generations(Some(false)) }
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
fn first(environment: Option<&str>) -> String {
    match environment {
        Some(environment) => format!("deploy `api-keys` to {environment} first"),
        None => "bring the stack up to date with `cargo xtask up --detach` first".to_owned(),
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
    arguments: &Arguments,
    still_used: bool,
    reached: &Generations,
    differs: bool,
) -> String {
    let command = match environment {
        Some(environment) => format!("`catalogctl keys --env {environment} rotate "),
        None => "`catalogctl keys rotate ".to_owned(),
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
        None if differs => format!("Apply it with `cargo xtask up --detach`. After it: {then}"),
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

    #[test]
    fn infers_declaration_from_deployed_keys() {
        let key = |generation, enabled| DeployedKey { generation, id: "a".into(), enabled };
        assert_eq!(of_deployed(&[]), Generations::initial());
        let found = of_deployed(&[key(2, false), key(3, true)]);
        assert_eq!(found, Generations { key_generations: vec![2, 3], disabled_generations: vec![2] });
    }
}
