//! Brings a stack up, in order: the emulator, the shared infrastructure and meanwhile the builds, the functions, the API's
//! deployment. What has not changed since the last time is skipped, so the same way serves the first `up` and the tenth.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::digest::{Inputs, Stamp};
use crate::emulator::{DEFAULT_PORT, Emulator};
use crate::environment::Environment;
use crate::local_aws::{self, LocalAws};
use crate::packages::{self, Package, Profile};
use crate::prerequisites::{self, Prerequisites};
use crate::progress::{Meter, Progress, size};
use crate::stack::{ACCESS_KEY_ID, ENVIRONMENT, REGION, SECRET_ACCESS_KEY, Stack};
use crate::status::{Facts, FunctionFacts, write_api_key};
use crate::terraform::root::Root;
use crate::terraform::{Applied, Terraform, Variables, local_override};
use crate::workspace::Workspace;

/// How many function roots are applied at once. Each runs a provider of about 150 MB; more than this gains nothing on two
/// cores.
const AT_ONCE: usize = 3;

/// A stack that is up.
#[derive(Debug)]
pub struct Ready {
    pub emulator: Emulator,
    pub facts: Facts,
    /// Whether it ran before; then it is not this command's to stop.
    pub was_running: bool,
}

/// Brings the stack up. When that fails, an emulator that was started for it is stopped again.
pub async fn up(
    workspace: &Workspace,
    stack: &Stack,
    profile: Profile,
    port: Option<u16>,
    progress: &Progress,
) -> Result<Ready> {
    let found = prerequisites::check(stack).await?;
    Environment::emulator(workspace).ensure(&found.python, stack, progress).await?;
    let (emulator, was_running) = match Emulator::running(stack) {
        Some(running) if port.is_some_and(|port| port != running.port) => bail!(
            "the stack already runs on port {}; `cargo xtask down{}` stops it, then it can be started on another",
            running.port,
            stack.option()
        ),
        Some(running) => (running, true),
        None => {
            let step = progress.step("start the emulator");
            let port = port.or_else(|| Facts::read(stack).map(|facts| facts.port)).unwrap_or(DEFAULT_PORT);
            let emulator = Emulator::start(workspace, stack, port).await?;
            step.done(emulator.endpoint());
            (emulator, false)
        }
    };
    match provision(workspace, stack, profile, &found, &emulator, progress).await {
        Ok(facts) => Ok(Ready { emulator, facts, was_running }),
        Err(error) => {
            if !was_running {
                emulator.stop(stack).await?;
            }
            Err(error)
        }
    }
}

async fn provision(
    workspace: &Workspace,
    stack: &Stack,
    profile: Profile,
    found: &Prerequisites,
    emulator: &Emulator,
    progress: &Progress,
) -> Result<Facts> {
    let endpoint = emulator.endpoint();
    let aws = LocalAws::at(&endpoint)?;
    let terraform = Terraform::new(workspace, stack, emulator.port, &found.terraform)?;
    if let Some(facts) = Facts::read(stack) {
        let functions = facts.functions.values().map(|function| function.function_name.as_str());
        if !aws.holds_stack(&facts.rest_api_id, functions).await {
            progress.say("  ! the emulator has lost its data; applying everything again");
            terraform.forget();
        }
    }
    aws.ensure_bucket(&local_override::state_bucket()).await?;

    // Terraform waits for AWS most of the time, the compiler for nothing: together they take as long as one of them.
    // Both are waited for even if one fails, because a Terraform that is cut off forgets what it has made.
    let (shared, packages) =
        tokio::join!(apply_shared(&terraform, stack, &aws, progress), build_all(workspace, stack, profile, progress));
    let (packages, outputs) = (packages?, shared?);

    let functions = apply_functions(&terraform, &packages, &outputs, progress).await?;
    let rest_api_id = text(&outputs, "api_gateway_id")?;
    deploy_api(workspace, stack, &aws, &rest_api_id, &terraform, progress).await?;
    write_api_key(stack, &aws.api_key().await?)?;

    let base_path = text(&outputs, "api_base_path")?;
    let facts = Facts {
        environment: ENVIRONMENT.to_owned(),
        region: REGION.to_owned(),
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key: SECRET_ACCESS_KEY.to_owned(),
        api_url: format!("{endpoint}/restapis/{rest_api_id}/{ENVIRONMENT}/_user_request_{base_path}"),
        endpoint_url: endpoint,
        port: emulator.port,
        rest_api_id,
        table_name: text(&outputs, "dynamodb_table_name")?,
        change_queue_url: text(&outputs, "sqs_queue_url")?,
        change_dlq_url: text(&outputs, "change_dlq_url")?,
        audit_queue_url: text(&outputs, "audit_queue_url")?,
        audit_dlq_url: text(&outputs, "audit_dlq_url")?,
        audit_bucket: text(&outputs, "s3_audit_bucket_name")?,
        functions,
        versions: [
            ("xtask", env!("CARGO_PKG_VERSION").to_owned()),
            ("emulator", Environment::emulator(workspace).version()?),
            ("rust", found.rust.clone()),
            ("terraform", found.terraform.clone()),
        ]
        .map(|(name, version)| (name.to_owned(), version))
        .into(),
    };
    facts.write(stack)?;
    emulator.save_state();
    Ok(facts)
}

/// Builds one function, releases it to a running stack and returns its new facts.
pub async fn release(
    workspace: &Workspace,
    stack: &Stack,
    function: &'static str,
    profile: Profile,
    progress: &Progress,
) -> Result<FunctionFacts> {
    let (Some(emulator), Some(mut facts)) = (Emulator::running(stack), Facts::read(stack)) else {
        bail!("the stack isn't running. Start it with `cargo xtask up --detach{}`", stack.option());
    };
    let found = prerequisites::check(stack).await?;
    let terraform = Terraform::new(workspace, stack, emulator.port, &found.terraform)?;
    let step = progress.step(format!("build {function}"));
    let package = packages::build(workspace, stack, function, profile, &step.meter()).await?;
    step.done(size(package.bytes));

    let step = progress.step(format!("release {function}"));
    let outputs = terraform.outputs(Root::Infrastructure)?;
    let upstream = digest_of(&outputs);
    let root = Root::Function(function);
    terraform.apply(root, &variables(root, stack), &[&upstream, &package.digest], step.meter()).await?;
    let released = function_facts(&terraform, &package)?;
    step.done(format!("version {}", released.version));

    let aws = LocalAws::at(&emulator.endpoint())?;
    deploy_api(workspace, stack, &aws, &facts.rest_api_id, &terraform, progress).await?;
    facts.functions.insert(function.to_owned(), released.clone());
    facts.write(stack)?;
    emulator.save_state();
    Ok(released)
}

/// The roots that a plan would change, on a running stack.
pub async fn differing_roots(
    workspace: &Workspace,
    stack: &Stack,
    progress: &Progress,
) -> Result<Vec<(Root, std::path::PathBuf)>> {
    let Some(emulator) = Emulator::running(stack) else {
        bail!("the stack isn't running. Start it with `cargo xtask up --detach{}`", stack.option());
    };
    let found = prerequisites::check(stack).await?;
    let terraform = Terraform::new(workspace, stack, emulator.port, &found.terraform)?;
    let step = progress.step("plan every Terraform root");
    let meter = step.meter();
    meter.length(Root::of_a_stack(workspace).count() as u64);
    let plans = in_parallel(Root::of_a_stack(workspace).collect(), &meter, |root| {
        let (terraform, variables) = (terraform.clone(), variables(root, stack));
        async move { Ok((root, terraform.differs(root, &variables).await?)) }
    })
    .await?;
    let differing: Vec<_> = plans
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(root, _)| (root, terraform.log(root, "plan")))
        .collect();
    step.done(if differing.is_empty() { "no changes".to_owned() } else { format!("{} with changes", differing.len()) });
    Ok(differing)
}

/// A plan of every root, as JSON, on a running stack.
pub async fn plans(workspace: &Workspace, stack: &Stack, progress: &Progress) -> Result<Vec<(Root, String)>> {
    let Some(emulator) = Emulator::running(stack) else {
        bail!("the stack isn't running");
    };
    let found = prerequisites::check(stack).await?;
    let terraform = Terraform::new(workspace, stack, emulator.port, &found.terraform)?;
    let step = progress.step("plan every Terraform root");
    let meter = step.meter();
    meter.length(Root::of_a_stack(workspace).count() as u64);
    let plans = in_parallel(Root::of_a_stack(workspace).collect(), &meter, |root| {
        let (terraform, variables) = (terraform.clone(), variables(root, stack));
        async move { Ok((root, terraform.plan(root, &variables).await?)) }
    })
    .await?;
    step.done("");
    Ok(plans)
}

/// Takes a running stack down with Terraform, as one would take down an environment: functions, keys, infrastructure. What
/// is left is the bucket with the states, which hold nothing any more.
pub async fn destroy(workspace: &Workspace, stack: &Stack, progress: &Progress) -> Result<()> {
    let Some(emulator) = Emulator::running(stack) else {
        bail!("the stack isn't running. Start it with `cargo xtask up --detach{}`", stack.option());
    };
    let found = prerequisites::check(stack).await?;
    let terraform = Terraform::new(workspace, stack, emulator.port, &found.terraform)?;
    let step = progress.step("destroy the functions");
    let meter = step.meter();
    meter.length(workspace.functions().len() as u64);
    in_parallel(workspace.functions().iter().copied().map(Root::Function).collect(), &meter, |root| {
        let (terraform, variables) = (terraform.clone(), variables(root, stack));
        async move { terraform.destroy(root, &variables).await }
    })
    .await?;
    step.done("");
    let step = progress.step("destroy the API keys");
    terraform.destroy(Root::ApiKeys, &variables(Root::ApiKeys, stack)).await?;
    step.done("");
    let step = progress.step("destroy the shared infrastructure");
    Environment::aws_cli(workspace).ensure(&found.python, stack, progress).await?;
    let bucket = format!("bbws-product-audit-logs-{ENVIRONMENT}");
    local_aws::empty_bucket(workspace, &emulator.endpoint(), &bucket, &stack.log("empty-bucket")).await?;
    terraform.destroy(Root::Infrastructure, &Variables::default()).await?;
    step.done("");
    Stamp::at(stack.stamps().join("api-deployment")).clear();
    emulator.save_state();
    Ok(())
}

/// The infrastructure and the API keys; returns the infrastructure's outputs.
async fn apply_shared(
    terraform: &Terraform,
    stack: &Stack,
    aws: &LocalAws,
    progress: &Progress,
) -> Result<Map<String, Value>> {
    let step = progress.step("apply the shared infrastructure");
    let applied = terraform.apply(Root::Infrastructure, &Variables::default(), &[], step.meter()).await?;
    step.done(note(applied));
    let outputs = terraform.outputs(Root::Infrastructure)?;
    let step = progress.step("apply the API keys");
    let variables = variables(Root::ApiKeys, stack);
    let applied = terraform.apply(Root::ApiKeys, &variables, &[&digest_of(&outputs)], step.meter()).await;
    // Also after a failure: a key that was created before it is valid.
    aws.register_keys(&text(&outputs, "s3_audit_bucket_name")?).await?;
    step.done(note(applied?));
    Ok(outputs)
}

/// One after the other: Cargo builds into one target directory at a time, and each build has both cores anyway.
async fn build_all(
    workspace: &Workspace,
    stack: &Stack,
    profile: Profile,
    progress: &Progress,
) -> Result<Vec<Package>> {
    let step = progress.step("build the functions");
    let meter = step.meter();
    meter.length(workspace.functions().len() as u64);
    let mut packages = Vec::with_capacity(workspace.functions().len());
    for function in workspace.functions().iter().copied() {
        meter.now(function);
        packages.push(packages::build(workspace, stack, function, profile, &meter).await?);
        meter.advance();
    }
    step.done(size(packages.iter().map(|package| package.bytes).sum()));
    Ok(packages)
}

async fn apply_functions(
    terraform: &Terraform,
    packages: &[Package],
    outputs: &Map<String, Value>,
    progress: &Progress,
) -> Result<BTreeMap<String, FunctionFacts>> {
    let step = progress.step("apply the functions");
    let meter = step.meter();
    meter.length(packages.len() as u64);
    let upstream = digest_of(outputs);
    let applied = in_parallel(packages.to_vec(), &meter, |package| {
        let (terraform, upstream) = (terraform.clone(), upstream.clone());
        async move {
            let root = Root::Function(package.function);
            let variables = package_variables(&package.path);
            // The bar counts roots here, not resources.
            let applied = terraform.apply(root, &variables, &[&upstream, &package.digest], Meter::hidden()).await?;
            Ok((package.function.to_owned(), applied, function_facts(&terraform, &package)?))
        }
    })
    .await?;
    let changed = applied.iter().filter(|(_, applied, _)| *applied == Applied::Changed).count();
    step.done(if changed == 0 { note(Applied::Skipped) } else { format!("{changed} changed") });
    Ok(applied.into_iter().map(|(function, _, facts)| (function, facts)).collect())
}

/// Runs the work for each item, a few at a time. All are waited for; the first failure is returned.
async fn in_parallel<Item, Output, Work>(
    items: Vec<Item>,
    meter: &Meter,
    work: impl Fn(Item) -> Work,
) -> Result<Vec<Output>>
where
    Output: Send + 'static,
    Work: Future<Output = Result<Output>> + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for item in items {
        let (permits, work) = (permits.clone(), work(item));
        tasks.spawn(async move {
            let _permit = permits.acquire_owned().await.context("the semaphore was closed")?;
            work.await
        });
    }
    let mut outcomes = Vec::new();
    while let Some(outcome) = tasks.join_next().await {
        outcomes.push(outcome.context("a task panicked or was cancelled")?);
        meter.advance();
    }
    outcomes.into_iter().collect()
}

/// Deploys the API when any root has been applied since it was last deployed.
async fn deploy_api(
    workspace: &Workspace,
    stack: &Stack,
    aws: &LocalAws,
    rest_api_id: &str,
    terraform: &Terraform,
    progress: &Progress,
) -> Result<()> {
    let mut inputs = Inputs::new().text(rest_api_id);
    for root in Root::of_a_stack(workspace) {
        inputs = inputs.text(terraform.applied(root).unwrap_or_default());
    }
    let digest = inputs.digest();
    let stamp = Stamp::at(stack.stamps().join("api-deployment"));
    if !stamp.matches(&digest) {
        let step = progress.step("deploy the API");
        aws.deploy_api(rest_api_id).await?;
        stamp.record(&digest)?;
        step.done("");
    }
    Ok(())
}

/// The variables that a root takes beside those in its `dev.tfvars`.
fn variables(root: Root, stack: &Stack) -> Variables {
    match root {
        Root::Infrastructure | Root::DeployRoles => Variables::default(),
        // Clients and rotations on this stack are the stack's own, and not to be seen in a committed file.
        Root::ApiKeys => {
            let files = [stack.clients(), stack.key_generations()].into_iter().filter(|file| file.is_file());
            Variables { files: files.collect(), ..Variables::default() }
        }
        Root::Function(function) => package_variables(&stack.packages().join(format!("{function}.zip"))),
    }
}

fn package_variables(package: &std::path::Path) -> Variables {
    let values =
        vec![("package_path", package.display().to_string()), ("architecture", packages::architecture().to_owned())];
    Variables { values, ..Variables::default() }
}

fn function_facts(terraform: &Terraform, package: &Package) -> Result<FunctionFacts> {
    let outputs = terraform.outputs(Root::Function(package.function))?;
    Ok(FunctionFacts {
        function_name: text(&outputs, "function_name")?,
        version: text(&outputs, "published_version")?,
        zip_bytes: package.bytes,
    })
}

fn text(outputs: &Map<String, Value>, name: &str) -> Result<String> {
    let value =
        outputs.get(name).and_then(Value::as_str).with_context(|| format!("Terraform has no output {name:?}"))?;
    Ok(value.to_owned())
}

fn digest_of(outputs: &Map<String, Value>) -> String {
    // A map of serde_json is sorted, so equal outputs are equal text.
    Inputs::new().text(Value::Object(outputs.clone()).to_string()).digest()
}

fn note(applied: Applied) -> String {
    match applied {
        Applied::Skipped => "unchanged since the last time",
        Applied::Unchanged => "nothing to change",
        Applied::Changed => "",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_for_every_task_and_returns_the_failure() {
        let done = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let outcome = in_parallel((0..7).collect(), &Meter::hidden(), |number: usize| {
            let done = done.clone();
            async move {
                done.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                if number == 2 { bail!("the third") } else { Ok(number) }
            }
        })
        .await;
        assert_eq!(outcome.unwrap_err().to_string(), "the third");
        assert_eq!(done.load(std::sync::atomic::Ordering::SeqCst), 7);
    }

    #[test]
    fn names_missing_output() {
        let outputs = serde_json::json!({"a": "1", "b": 2});
        let outputs = outputs.as_object().unwrap();
        assert_eq!(text(outputs, "a").unwrap(), "1");
        for missing in ["b", "c"] {
            assert!(text(outputs, missing).unwrap_err().to_string().contains(missing));
        }
    }
}
