//! Terraform, run in working copies of the committed roots against the emulator.

pub mod events;
pub mod local_override;
pub mod root;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use crate::digest::{Inputs, Stamp};
use crate::emulator::endpoint;
use crate::process::External;
use crate::progress::Meter;
use crate::provider_mirror::{self, Machine, ProviderSource};
use crate::stack::{ACCESS_KEY_ID, ACCOUNT_ID, ENVIRONMENT, REGION, SECRET_ACCESS_KEY, Stack};
use crate::workspace::{INFRASTRUCTURE, Workspace};
use events::{Event, Operation};
use root::Root;

/// The providers' checksums. Terraform adds to the working copy's, so it is copied only before an `init`.
const LOCK_FILE: &str = ".terraform.lock.hcl";

/// A root's variables, beside those in its `environments/dev.tfvars`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables {
    pub values: Vec<(&'static str, String)>,
    /// Files with further ones.
    pub files: Vec<PathBuf>,
}

/// What an apply came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The inputs were those of the last apply, so Terraform was not asked.
    Skipped,
    /// Terraform found nothing to change.
    Unchanged,
    Changed,
}

/// Terraform for one stack.
#[derive(Debug, Clone)]
pub struct Terraform {
    workspace: Workspace,
    stack: Stack,
    endpoint: String,
    version: String,
    environment: Vec<(OsString, OsString)>,
    without: Vec<OsString>,
    /// Two `init`s at once may damage the cache that they share.
    initialising: Arc<Mutex<()>>,
}

/// A root whose working copy is ready to run in.
struct Prepared {
    folder: PathBuf,
    files: Vec<(PathBuf, Vec<u8>)>,
    overrides: String,
}

impl Terraform {
    pub fn new(workspace: &Workspace, stack: &Stack, port: u16, version: &str) -> Result<Self> {
        let source = provider_source(workspace)?;
        let endpoint = endpoint(port);
        let mut environment = source.set;
        let settings = [
            ("AWS_ENDPOINT_URL", endpoint.as_str()),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("TF_IN_AUTOMATION", "1"),
            ("CHECKPOINT_DISABLE", "1"),
            ("TF_VAR_account_id", ACCOUNT_ID),
            // The emulator's streams can be read immediately, unless it is configured otherwise.
            ("TF_VAR_stream_settle_seconds", "0"),
            // No workflow runs here.
            ("TF_VAR_audit_verified_daily", "false"),
        ];
        environment.extend(settings.map(|(name, value)| (name.into(), value.into())));
        let mut without = foreign_settings(std::env::vars_os().map(|(name, _)| name));
        without.extend(source.unset);
        Ok(Self {
            workspace: workspace.clone(),
            stack: stack.clone(),
            endpoint,
            version: version.to_owned(),
            environment,
            without,
            initialising: Arc::default(),
        })
    }

    /// Applies a root, unless nothing that it is made from has changed. `upstream` are further inputs: the
    /// infrastructure's outputs, a package's digest.
    pub async fn apply(&self, root: Root, variables: &Variables, upstream: &[&str], meter: Meter) -> Result<Applied> {
        let prepared = self.prepare(root)?;
        let digest = self.digest(&prepared, variables, upstream);
        let stamp = self.stamp(root);
        if stamp.matches(&digest) {
            return Ok(Applied::Skipped);
        }
        stamp.clear();
        meter.now("init");
        self.initialise(root, &prepared).await?;
        meter.now("plan");
        let watching = meter.clone();
        let finished = self
            .command(&prepared, self.log(root, "apply"))
            // The stack's own lock keeps others away, and a lock object would outlive a Terraform that was killed.
            // Most of an apply is the provider waiting and asking again, so more at once is sooner.
            .args(["apply", "-json", "-input=false", "-auto-approve", "-lock=false", "-parallelism=30"])
            .args(arguments(variables))
            .log_as(events::readable)
            .watch(move |line| report(line, &watching))
            .run(&format!("applying {}", root.name()))
            .await?;
        self.record_outputs(root, &prepared).await?;
        stamp.record(&digest)?;
        let changes = applied_changes(&finished.stdout)
            .with_context(|| format!("`terraform apply` of {} reported no summary", root.name()))?;
        Ok(if changes == 0 { Applied::Unchanged } else { Applied::Changed })
    }

    /// Whether an apply would change anything; the log holds the plan.
    pub async fn differs(&self, root: Root, variables: &Variables) -> Result<bool> {
        let prepared = self.prepare(root)?;
        self.initialise(root, &prepared).await?;
        let finished = self
            .command(&prepared, self.log(root, "plan"))
            .args(["plan", "-input=false", "-no-color", "-lock=false", "-detailed-exitcode"])
            .args(arguments(variables))
            .finish()
            .await?;
        match finished.code {
            Some(0) => Ok(false),
            Some(2) => Ok(true),
            _ => {
                finished.expect_success(&format!("planning {}", root.name()))?;
                bail!("terraform plan of {} ended with an unknown exit code", root.name())
            }
        }
    }

    /// What an apply would do, in Terraform's JSON, which holds every value that the plan's file holds.
    pub async fn plan(&self, root: Root, variables: &Variables) -> Result<String> {
        let prepared = self.prepare(root)?;
        self.initialise(root, &prepared).await?;
        let file = tempfile::NamedTempFile::new().context("failed to create a temporary file")?;
        self.command(&prepared, self.log(root, "plan"))
            .args(["plan", "-input=false", "-no-color", "-lock=false"])
            .arg(format!("-out={}", file.path().display()))
            .args(arguments(variables))
            .run(&format!("planning {}", root.name()))
            .await?;
        // Not into a log of this machine: it may hold what nobody should read.
        let log = tempfile::NamedTempFile::new().context("failed to create a temporary file")?;
        let shown = self
            .command(&prepared, log.path().to_owned())
            .args(["show", "-json"])
            .arg(file.path())
            .run(&format!("reading the plan of {}", root.name()))
            .await?;
        Ok(shown.stdout)
    }

    /// Destroys all resources of a root, including those that are protected on AWS.
    pub async fn destroy(&self, root: Root, variables: &Variables) -> Result<()> {
        let prepared = self.prepare(root)?;
        let path = prepared.folder.join(local_override::FILE);
        let overrides = format!("{}{}", prepared.overrides, local_override::unprotected(root));
        fs::write(&path, overrides).with_context(|| format!("failed to write {}", path.display()))?;
        self.initialise(root, &prepared).await?;
        self.stamp(root).clear();
        self.command(&prepared, self.log(root, "destroy"))
            .args(["destroy", "-input=false", "-auto-approve", "-no-color", "-lock=false", "-parallelism=30"])
            .args(arguments(variables))
            .run(&format!("destroying {}", root.name()))
            .await?;
        let left = self
            .command(&prepared, self.log(root, "state-list"))
            .args(["state", "list"])
            .run(&format!("reading the state of {}", root.name()))
            .await?;
        if !left.stdout.trim().is_empty() {
            bail!("{} still manages {}", root.name(), left.stdout.split_whitespace().collect::<Vec<_>>().join(", "));
        }
        Ok(())
    }

    /// A root's outputs, by name, as of its last apply.
    pub fn outputs(&self, root: Root) -> Result<Map<String, Value>> {
        let path = self.outputs_file(root);
        let json = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        output_values(&json).with_context(|| format!("failed to parse the outputs of {}", root.name()))
    }

    /// Kept beside the stamp: asking Terraform takes a second a root, too long for an `up` that has nothing to do.
    async fn record_outputs(&self, root: Root, prepared: &Prepared) -> Result<()> {
        let finished = self
            .command(prepared, self.log(root, "output"))
            .args(["output", "-json", "-no-color"])
            .run(&format!("reading the outputs of {}", root.name()))
            .await?;
        let path = self.outputs_file(root);
        fs::create_dir_all(self.stack.stamps())
            .with_context(|| format!("failed to create {}", self.stack.stamps().display()))?;
        fs::write(&path, finished.stdout).with_context(|| format!("failed to write {}", path.display()))
    }

    fn outputs_file(&self, root: Root) -> PathBuf {
        self.stack.stamps().join(format!("{}.outputs.json", root.slug()))
    }

    /// Where a command's output is kept.
    pub fn log(&self, root: Root, verb: &str) -> PathBuf {
        self.stack.log(&format!("terraform-{}-{verb}", root.slug()))
    }

    /// The digest of the inputs of a root's last apply.
    pub fn applied(&self, root: Root) -> Option<String> {
        self.stamp(root).recorded()
    }

    /// Removes the records of what was applied, because the emulator has lost it.
    pub fn forget(&self) {
        Root::of_a_stack(&self.workspace).for_each(|root| self.stamp(root).clear());
    }

    fn prepare(&self, root: Root) -> Result<Prepared> {
        let committed = root.committed(&self.workspace);
        if !committed.join("versions.tf").is_file() {
            bail!("{} doesn't exist. Is the repository complete?", committed.join("versions.tf").display());
        }
        let folder = root.working_copy(&self.stack);
        let files = root::copy(&committed, &folder)?;
        let overrides = local_override::content(root);
        let path = folder.join(local_override::FILE);
        fs::write(&path, &overrides).with_context(|| format!("failed to write {}", path.display()))?;
        Ok(Prepared { folder, files, overrides })
    }

    /// Runs `init`, unless providers and backend are those of the last one.
    async fn initialise(&self, root: Root, prepared: &Prepared) -> Result<()> {
        let backend = format!("environments/{ENVIRONMENT}.s3.tfbackend");
        let decisive = ["versions.tf", LOCK_FILE, backend.as_str()];
        let mut inputs = Inputs::new().text(&self.version).text(&self.endpoint);
        for (path, content) in
            prepared.files.iter().filter(|(path, _)| decisive.iter().any(|name| path == Path::new(name)))
        {
            inputs = inputs.text(path.to_string_lossy()).bytes(content);
        }
        for (name, value) in &self.environment {
            inputs = inputs.text(name.to_string_lossy()).text(value.to_string_lossy());
        }
        let digest = inputs.digest();
        let stamp = Stamp::at(prepared.folder.join(".terraform/init.digest"));
        if stamp.matches(&digest) {
            return Ok(());
        }
        if let Some((_, lock)) = prepared.files.iter().find(|(path, _)| path == Path::new(LOCK_FILE)) {
            fs::write(prepared.folder.join(LOCK_FILE), lock).context("failed to copy the provider lock file")?;
        }
        let _one_at_a_time = self.initialising.lock().await;
        self.command(prepared, self.log(root, "init"))
            .args(["init", "-input=false", "-no-color", "-reconfigure"])
            .arg(format!("-backend-config={backend}"))
            .args(local_override::BACKEND.map(|(name, value)| format!("-backend-config={name}={value}")))
            .run(&format!("initialising {}", root.name()))
            .await?;
        stamp.record(&digest)
    }

    fn command(&self, prepared: &Prepared, log: PathBuf) -> External {
        External::new("terraform", log)
            .directory(&prepared.folder)
            .without_env(&self.without)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
    }

    fn digest(&self, prepared: &Prepared, variables: &Variables, upstream: &[&str]) -> String {
        let mut inputs = Inputs::new().text(&self.version).text(&self.endpoint).text(&prepared.overrides);
        for (path, content) in &prepared.files {
            inputs = inputs.text(path.to_string_lossy()).bytes(content);
        }
        for (name, value) in &variables.values {
            inputs = inputs.text(name).text(value);
        }
        for file in &variables.files {
            inputs = inputs.bytes(&fs::read(file).unwrap_or_default());
        }
        upstream.iter().fold(inputs, |inputs, digest| inputs.text(digest)).digest()
    }

    fn stamp(&self, root: Root) -> Stamp {
        Stamp::at(self.stack.stamps().join(root.slug()))
    }
}

/// The provider's source on this machine; generated configuration is in the run-time folder.
pub fn provider_source(workspace: &Workspace) -> Result<ProviderSource> {
    let versions = workspace.repository(INFRASTRUCTURE).join("terraform/versions.tf");
    let text = fs::read_to_string(&versions).with_context(|| format!("failed to read {}", versions.display()))?;
    let constraint = provider_mirror::constraint(&text)
        .with_context(|| format!("{} doesn't require hashicorp/aws", versions.display()))?;
    provider_mirror::choose(&Machine::here(), &workspace.catalogue().join("terraform-cli"), &constraint)
}

/// The settings of this machine that would change what Terraform does or whom it talks to: a profile or an endpoint of
/// a real account above all. How to reach the network and where to find providers stays the machine's business.
pub fn foreign_settings(names: impl Iterator<Item = OsString>) -> Vec<OsString> {
    const TERRAFORM: [&str; 5] = ["TF_VAR_", "TF_CLI_ARGS", "TF_WORKSPACE", "TF_DATA_DIR", "TF_INPUT"];
    names
        .filter(|name| {
            let name = name.to_string_lossy();
            (name.starts_with("AWS_") && name != "AWS_CA_BUNDLE")
                || TERRAFORM.iter().any(|prefix| name.starts_with(prefix))
        })
        .collect()
}

fn arguments(variables: &Variables) -> Vec<String> {
    let file = format!("-var-file=environments/{ENVIRONMENT}.tfvars");
    let further = variables.files.iter().map(|file| format!("-var-file={}", file.display()));
    let values = variables.values.iter().map(|(name, value)| format!("-var={name}={value}"));
    std::iter::once(file).chain(further).chain(values).collect()
}

/// Advances the bar by Terraform's own events.
fn report(line: &str, meter: &Meter) {
    match Event::parse(line) {
        Some(Event::ChangeSummary { changes }) if changes.operation == Operation::Plan => {
            meter.length(changes.count());
            meter.now("apply");
        }
        Some(Event::ApplyComplete { hook }) => {
            meter.advance();
            meter.now(hook.resource.addr);
        }
        _ => {}
    }
}

/// The number of changes that an apply made.
fn applied_changes(output: &str) -> Option<u64> {
    output.lines().filter_map(Event::parse).find_map(|event| match event {
        Event::ChangeSummary { changes } if changes.operation == Operation::Apply => Some(changes.count()),
        _ => None,
    })
}

fn output_values(json: &str) -> Result<Map<String, Value>> {
    let outputs: Map<String, Value> = serde_json::from_str(json)?;
    Ok(outputs.into_iter().map(|(name, mut output)| (name, output["value"].take())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Progress;

    #[test]
    fn clears_the_machines_aws_account() {
        let names = [
            "AWS_PROFILE",
            "AWS_ENDPOINT_URL_S3",
            "TF_VAR_environment",
            "TF_CLI_ARGS_plan",
            "AWS_CA_BUNDLE",
            "TF_PLUGIN_CACHE_DIR",
            "PATH",
        ];
        let removed = foreign_settings(names.map(OsString::from).into_iter());
        assert_eq!(removed, ["AWS_PROFILE", "AWS_ENDPOINT_URL_S3", "TF_VAR_environment", "TF_CLI_ARGS_plan"]);
    }

    #[test]
    fn reads_number_of_applied_changes() {
        let summary = |operation: &str, add: u64| {
            format!(
                r#"{{"@level":"info","@message":"x","changes":{{"add":{add},"change":0,"import":0,"remove":0,"operation":"{operation}"}},"type":"change_summary"}}"#
            )
        };
        let output = |add| format!("{}\n{}\n", summary("plan", 7), summary("apply", add));
        assert_eq!(applied_changes(&output(0)), Some(0));
        assert_eq!(applied_changes(&output(10)), Some(10));
        assert_eq!(applied_changes(&summary("plan", 7)), None);
        assert_eq!(applied_changes("Apply complete! Resources: 0 added, 0 changed, 0 destroyed."), None);
        let step = Progress::new().step("apply");
        report(&summary("plan", 7), &step.meter());
        step.done("");
    }

    #[test]
    fn outputs_are_reduced_to_their_values() {
        let outputs = output_values(r#"{"list_shards":{"sensitive":false,"type":"number","value":4}}"#).unwrap();
        assert_eq!(outputs["list_shards"], 4);
        assert!(output_values("[]").is_err());
    }

    #[test]
    fn variables_become_arguments() {
        let values = vec![("architecture", "arm64".to_owned())];
        let arguments = arguments(&Variables { values, files: vec!["further.tfvars".into()] });
        assert_eq!(
            arguments,
            ["-var-file=environments/dev.tfvars", "-var-file=further.tfvars", "-var=architecture=arm64"]
        );
    }
}
