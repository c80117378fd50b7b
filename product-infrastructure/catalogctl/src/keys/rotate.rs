//! `catalogctl keys rotate`: replaces the API key in steps, so that at every moment some key is valid.
//!
//! Each stage is declared in Terraform, including the disabled key, because Terraform's next apply would undo any other
//! change. So a step edits a file of Terraform variables. For an environment on AWS the file is in a checkout, to be
//! reviewed and deployed like any change; for a local stack it is with the stack's data, and `cargo xtask up` applies it.
//!
//! A step that depends on another first asks API Gateway whether that one was deployed. Otherwise three edits before one
//! deployment would replace the key without a time in which both are valid.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::Serialize;

use super::client::Client;
use super::deployed::{self, DeployedKey, Use};
use super::generations::{Generations, Step, Variables};
use crate::exit_status::ExitStatus;
use crate::output;
use crate::target::{Environment, System, Target};

/// The file of a local stack's generations, beside the file that describes the stack.
const LOCAL_FILE: &str = "key-generations.tfvars.json";

/// Take one step of the rotation of a client's API key (default: dry run)
///
///   show    show the rotation's state
///   begin   add a second key, valid beside the first; the secret then holds the second. Then move the clients over
///   finish  disable the old key; it can be enabled again
///   reopen  undo `finish`: enable the old key again, such as for a client that was forgotten
///   remove  delete the old key for good
///
/// A step writes a file of Terraform variables. With --env, the file is environments/ENV.key-generations.tfvars.json in
/// --terraform-root, to be committed and deployed. For a local stack, `cargo xtask up` applies it. A step that was already
/// taken changes nothing.
///
/// Exit codes: 0 the step was taken (dry run: can be taken); 1 the command failed; 2 the old key is still used, and nothing
/// was changed.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Step of the rotation
    #[arg(value_enum, hide_possible_values = true)]
    pub step: Step,
    /// Client whose key is rotated
    #[arg(long, value_name = "NAME", default_value_t)]
    pub client: Client,
    /// Folder terraform/api-keys of a checkout of product-infrastructure (required with --env)
    #[arg(long, value_name = "FOLDER")]
    pub terraform_root: Option<PathBuf>,
    /// Apply the changes (default: dry run)
    #[arg(long)]
    pub apply: bool,
    /// Disable the old key even though it was used since yesterday, such as a key that has leaked
    #[arg(long)]
    pub although_used: bool,
    /// Print the output as JSON
    #[arg(long)]
    pub json: bool,
}

/// The result of a step or of its dry run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// "prod (AWS, eu-west-1)".
    pub system: String,
    pub client: Client,
    pub step: Step,
    pub applied: bool,
    /// Whether the step is held back because the old key is still used.
    pub still_used: bool,
    pub file: PathBuf,
    pub before: Generations,
    pub after: Generations,
    /// The client's keys in API Gateway; `null` when the step doesn't depend on them.
    pub deployed: Option<Vec<DeployedKey>>,
    /// How much the old key was used since yesterday, for steps that depend on it.
    pub old_key_use: Option<Use>,
    /// What to do next.
    pub next: String,
}

/// The generations that Terraform is given.
struct Declared {
    file: PathBuf,
    /// Of every client.
    variables: Variables,
    /// Of the client whose key is rotated.
    generations: Generations,
}

/// Takes the step and prints the result.
pub async fn run(system: &System, arguments: &Arguments) -> Result<ExitStatus> {
    let rotation = rotate(system, arguments).await?;
    if arguments.json {
        output::print_json(&rotation)?;
    } else {
        output::print(&text(&rotation))?;
    }
    Ok(if rotation.still_used { ExitStatus::NeedsAttention } else { ExitStatus::Success })
}

async fn rotate(system: &System, arguments: &Arguments) -> Result<Rotation> {
    let (step, environment) = (arguments.step, system.env);
    // `begin` and `reopen` are safe whatever is deployed, so with --env they need no credentials.
    let depends_on_deployed = environment.is_none() || !matches!(step, Step::Begin | Step::Reopen);
    let target = if depends_on_deployed { Some(Target::find(system).await?) } else { None };
    let Declared { file, variables, generations: before } = declared(environment, arguments, target.as_ref()).await?;
    let after = before.after(step)?;

    let (deployed, old_key_use) = match &target {
        Some(target) => read_deployed(target, &arguments.client, step, &before).await?,
        None => (None, None),
    };
    if let (Some(deployed), true) = (&deployed, before != after) {
        require_deployed(step, &before, deployed, &how_to_deploy(environment))?;
    }
    let used = matches!(old_key_use, Some(Use::Requests { count, .. }) if count > 0);
    let still_used = step == Step::Finish && before != after && used && !arguments.although_used;
    let applied = arguments.apply && !still_used && step != Step::Show;
    if applied && before != after {
        variables.with(&arguments.client, after.clone()).write(&file)?;
    }
    let system = match (target, environment) {
        (Some(target), _) => target.name,
        (None, environment) => environment.map_or_else(String::new, |environment| environment.to_string()),
    };
    let reached = if applied { &after } else { &before };
    let outdated = !applied && deployed.as_ref().is_some_and(|deployed| !is_deployed(&before, deployed));
    let next = if outdated && before == after {
        format!("The declared generations aren't deployed: {}.", how_to_deploy(environment))
    } else {
        next(environment, arguments, still_used, reached, before != after)
    };
    let client = arguments.client.clone();
    Ok(Rotation { system, client, step, applied, still_used, file, before, after, deployed, old_key_use, next })
}

/// The generations declared now. A file that doesn't exist, or doesn't list the client, stands for the Terraform variables'
/// defaults, except on a local stack, whose keys may come from an earlier file.
async fn declared(
    environment: Option<Environment>,
    arguments: &Arguments,
    target: Option<&Target>,
) -> Result<Declared> {
    let stack = target.and_then(|target| target.local.as_ref());
    let file = match (&arguments.terraform_root, environment, stack) {
        (Some(root), Some(environment), _) => file_in(root, environment)?,
        (None, Some(environment), _) => bail!(
            "--terraform-root is required with --env {environment}: the folder product-infrastructure/terraform/api-keys of \
             a checkout"
        ),
        (_, None, Some(stack)) => stack.folder.join(LOCAL_FILE),
        (_, None, None) => bail!("no environment and no local stack"),
    };
    let client = &arguments.client;
    let local = target.filter(|_| stack.is_some());
    let variables = match (Variables::read(&file)?, local) {
        (Some(variables), _) => variables,
        (None, Some(target)) => Variables::new(of_deployed(&deployed::keys_of(target, &Client::default()).await?)),
        (None, None) => Variables::new(Generations::initial()),
    };
    let generations = match (variables.of(client), local) {
        (Some(generations), _) => generations,
        (None, Some(target)) => match deployed::keys_of(target, client).await?.as_slice() {
            [] => bail!("client {client} has no API key on {}. Declare it in `clients` first", target.name),
            keys => of_deployed(keys),
        },
        (None, None) => Generations::initial(),
    };
    Ok(Declared { file, variables, generations })
}

/// The environment's file in the Terraform root. Fails when the folder isn't that root.
fn file_in(root: &Path, environment: Environment) -> Result<PathBuf> {
    let folder = root.join("environments");
    let variables = folder.join(format!("{environment}.tfvars"));
    ensure!(
        variables.is_file(),
        "{} isn't the folder terraform/api-keys: it has no environments/{environment}.tfvars",
        root.display()
    );
    Ok(folder.join(format!("{environment}.{LOCAL_FILE}")))
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

async fn read_deployed(
    target: &Target,
    client: &Client,
    step: Step,
    before: &Generations,
) -> Result<(Option<Vec<DeployedKey>>, Option<Use>)> {
    let deployed = deployed::keys_of(target, client).await.context("failed to list the deployed keys")?;
    let old = before.old().filter(|_| matches!(step, Step::Show | Step::Finish));
    let old = old.and_then(|old| deployed.iter().find(|key| key.generation == old));
    let used = match old {
        Some(old) => Some(deployed::recent_use(target, old).await),
        None => None,
    };
    Ok((Some(deployed), used))
}

/// How the declared generations are deployed.
fn how_to_deploy(environment: Option<Environment>) -> String {
    match environment {
        Some(environment) => format!("deploy `api-keys` to {environment} first"),
        None => "run `cargo xtask up --detach` first".to_owned(),
    }
}

/// Whether API Gateway has exactly the declared generations.
fn is_deployed(declared: &Generations, deployed: &[DeployedKey]) -> bool {
    let keys = declared.key_generations.iter().map(|key| (*key, !declared.disabled_generations.contains(key)));
    keys.eq(deployed.iter().map(|key| (key.generation, key.enabled)))
}

/// Fails unless the step before this one is deployed.
fn require_deployed(step: Step, before: &Generations, deployed: &[DeployedKey], how_to_deploy: &str) -> Result<()> {
    let enabled = |generation| deployed.iter().any(|key| key.generation == generation && key.enabled);
    let current = before.current();
    if step == Step::Finish && !enabled(current) {
        bail!("generation {current} isn't a valid key in API Gateway: {how_to_deploy}, then move the clients over");
    }
    if let (Step::Remove, Some(old)) = (step, before.old().filter(|old| enabled(*old))) {
        bail!("generation {old} is still enabled in API Gateway: {how_to_deploy}, then check that no client fails");
    }
    Ok(())
}

/// What to do next, for somebody who does this once a year.
fn next(
    environment: Option<Environment>,
    arguments: &Arguments,
    still_used: bool,
    reached: &Generations,
    differs: bool,
) -> String {
    let environment_option = environment.map(|environment| format!(" --env {environment}")).unwrap_or_default();
    let command =
        |step: &str| format!("`catalogctl keys{environment_option} rotate {step}{}`", arguments.client.option());
    if still_used {
        return "The old key is still used. Move its clients over and retry tomorrow, or use --although-used.".into();
    }
    if differs && !arguments.apply {
        return "Dry run: no changes made. Re-run with --apply.".into();
    }
    let then = match (reached.old(), reached.disabled_generations.is_empty()) {
        (None, _) => format!("One key is valid. {} starts a rotation.", command("begin")),
        (Some(old), true) => format!(
            "Both keys are valid, and the secret holds the new one. Move the clients over, then disable generation {old} \
             with {}.",
            command("finish")
        ),
        (Some(old), false) => format!(
            "Generation {old} is disabled. If a client still needs it, run {}; otherwise {}.",
            command("reopen"),
            command("remove")
        ),
    };
    match environment {
        Some(environment) if differs => format!(
            "Commit the file, then run the workflow \"Deploy to {}\" with root: api-keys. Afterwards: {then}",
            environment.name().to_uppercase()
        ),
        None if differs => format!("Apply it with `cargo xtask up --detach`. Afterwards: {then}"),
        _ => then,
    }
}

fn text(rotation: &Rotation) -> String {
    let mut text = format!("Client: {}\n", rotation.client);
    for key in rotation.deployed.iter().flatten() {
        let state = if key.enabled { "valid" } else { "disabled" };
        text.push_str(&format!("Generation {} is {state} (key ID {}).\n", key.generation, key.id));
    }
    match &rotation.old_key_use {
        Some(Use::Requests { count, since }) => {
            text.push_str(&format!("The old key was used for {count} requests since {since}.\n"));
        }
        Some(Use::Unknown(why)) => {
            text.push_str(&format!("Failed to find out whether the old key is still used: {why}.\n"))
        }
        None => {}
    }
    let Rotation { before, after, file, applied, .. } = rotation;
    let file = relative(file);
    text.push_str(&match (before == after, applied) {
        (true, _) => format!("Declared: {before}.\n"),
        (false, true) => format!("Declared: {after} (before: {before}), in {file}.\n"),
        (false, false) => format!("Declared: {before}. The step would declare {after}, in {file}.\n"),
    });
    text + &rotation.next
}

/// A path as one would type it in the working directory.
fn relative(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_requires_previous_step_to_be_deployed() {
        let before =
            |disabled: &[u32]| Generations { key_generations: vec![1, 2], disabled_generations: disabled.into() };
        let key = |generation, enabled| DeployedKey {
            client: Client::default(),
            generation,
            id: "a".into(),
            enabled,
            created_at: None,
        };
        let required = |step, disabled: &[u32], deployed: &[DeployedKey]| {
            require_deployed(step, &before(disabled), deployed, "deploy `api-keys` to dev first")
                .map_err(|error| error.to_string())
        };
        assert!(required(Step::Finish, &[], &[key(1, true)]).unwrap_err().contains("deploy `api-keys` to dev first"));
        assert!(required(Step::Finish, &[], &[key(1, true), key(2, false)]).is_err());
        assert!(required(Step::Finish, &[], &[key(1, true), key(2, true)]).is_ok());
        assert!(required(Step::Remove, &[1], &[key(1, true), key(2, true)]).unwrap_err().contains("still enabled"));
        assert!(required(Step::Remove, &[1], &[key(1, false), key(2, true)]).is_ok());
        assert!(required(Step::Remove, &[1], &[key(2, true)]).is_ok());
        assert!(is_deployed(&before(&[1]), &[key(1, false), key(2, true)]));
        assert!(!is_deployed(&before(&[1]), &[key(1, true), key(2, true)]));
        assert!(!is_deployed(&before(&[1]), &[key(2, true)]));
    }

    #[test]
    fn infers_declaration_from_deployed_keys() {
        let key = |generation, enabled| DeployedKey {
            client: Client::default(),
            generation,
            id: "a".into(),
            enabled,
            created_at: None,
        };
        assert_eq!(of_deployed(&[]), Generations::initial());
        let found = of_deployed(&[key(2, false), key(3, true)]);
        assert_eq!(found, Generations { key_generations: vec![2, 3], disabled_generations: vec![2] });
    }
}
