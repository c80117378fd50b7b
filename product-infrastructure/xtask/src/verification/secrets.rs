//! The API key of a stack is where it belongs, and nowhere else: not in a state that functions' deployments can read, not in
//! a plan, a log, a record, a product, or a file of a repository.
//!
//! The key is one that the stack has used for every call of the tests, so it has been through everything that could have
//! kept it. That the search is not blind shows itself: it must find the key where it is known to be.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::Context;
use crate::git;
use crate::local_aws;
use crate::provision;
use crate::stack::{ENVIRONMENT, Stack};
use crate::status::Status;
use crate::terraform::local_override::state_bucket;
use crate::terraform::root::Root;

/// The state of the root that makes the keys, which no function's role may read.
const KEYS_STATE: &str = "product-infrastructure/api-keys/terraform.tfstate";

/// Fails with every place that holds the key and may not.
pub async fn check(context: &Context<'_>, stack: &Stack) -> Result<()> {
    let running = Status::of(stack)?.running.context("the stack isn't running")?;
    let (key, facts) = (running.api_key, running.facts);
    let mut found = Vec::new();

    let states = objects_with(context, &facts.endpoint_url, &state_bucket(), &key).await?;
    if !states.iter().any(|state| state == KEYS_STATE) {
        bail!("{KEYS_STATE} doesn't contain the key, so this search doesn't work");
    }
    found.extend(states.into_iter().filter(|state| state != KEYS_STATE).map(|state| format!("the state {state}")));
    let records = objects_with(context, &facts.endpoint_url, &facts.audit_bucket, &key).await?;
    found.extend(records.into_iter().map(|record| format!("the audit record {record}")));
    let log = context.log("secrets scan");
    let scan = local_aws::cli(context.workspace, &facts.endpoint_url, &log)
        .args(["dynamodb", "scan", "--table-name", &facts.table_name])
        .run("reading the table")
        .await?;
    if scan.stdout.contains(&key) {
        found.push(format!("the table {}", facts.table_name));
    }
    // What was read has just been written down.
    fs::remove_file(&log).with_context(|| format!("failed to delete {}", log.display()))?;

    for (root, plan) in provision::plans(context.workspace, stack, context.progress).await? {
        // That of the keys' root holds them; scripts/plan.sh keeps it from being handed over.
        if root != Root::ApiKeys && plan.contains(&key) {
            found.push(format!("a plan of {}", root.name()));
        }
    }
    let mut folders = vec![context.stack.logs(), stack.logs(), stack.terraform(), stack.stamps()];
    folders.retain(|folder| folder.exists());
    for folder in folders {
        found.extend(holding(&folder, &key)?.into_iter().map(|path| path.display().to_string()));
    }
    found.extend(logged(context, &facts.endpoint_url, &key).await?);
    let root = context.workspace.root();
    for file in git::listed_files(root, &context.log("secrets files")).await? {
        let path = root.join(&file);
        if path.is_file() && contains(&read(&path)?, &key) {
            found.push(path.display().to_string());
        }
    }

    let mode = fs::metadata(stack.api_key()).context("the stack has no API key file")?.permissions().mode();
    if mode & 0o077 != 0 {
        found.push(format!("{}, which others may read (mode {:o})", stack.api_key().display(), mode & 0o777));
    }
    if found.is_empty() {
        return Ok(());
    }
    bail!("the API key of {ENVIRONMENT} is in\n  {}", found.join("\n  "))
}

/// The keys of the objects that contain `text`, in their newest versions.
async fn objects_with(context: &Context<'_>, endpoint: &str, bucket: &str, text: &str) -> Result<Vec<String>> {
    let folder = tempfile::tempdir().context("failed to create a temporary directory")?;
    local_aws::cli(context.workspace, endpoint, &context.log("secrets objects"))
        .args(["s3", "sync", "--only-show-errors", &format!("s3://{bucket}")])
        .arg(folder.path())
        .run(&format!("reading the bucket {bucket}"))
        .await?;
    let keys = holding(folder.path(), text)?
        .into_iter()
        .map(|path| path.strip_prefix(folder.path()).unwrap_or(&path).to_string_lossy().into_owned());
    Ok(keys.collect())
}

/// The log groups of the stack that contain `text`.
async fn logged(context: &Context<'_>, endpoint: &str, text: &str) -> Result<Vec<String>> {
    let log = context.log("secrets groups");
    let ask = |arguments: Vec<String>| {
        let what = format!("`aws {}`", arguments.join(" "));
        let command = local_aws::cli(context.workspace, endpoint, &log).args(arguments);
        async move { Ok::<_, anyhow::Error>(command.run(&what).await?.stdout) }
    };
    let groups =
        ask(["logs", "describe-log-groups", "--query", "logGroups[].logGroupName"].map(str::to_owned).into()).await?;
    let groups: Vec<String> = serde_json::from_str(&groups).context("the log groups aren't an array")?;
    if groups.is_empty() {
        bail!("the stack has no log groups");
    }
    let mut found = Vec::new();
    for group in groups {
        let events = ask(["logs", "filter-log-events", "--log-group-name", &group].map(str::to_owned).into()).await?;
        if events.contains(text) {
            found.push(format!("the log group {group}"));
        }
    }
    // What was asked has just been written down.
    fs::remove_file(&log).with_context(|| format!("failed to delete {}", log.display()))?;
    Ok(found)
}

/// The files below a folder that contain `text`.
pub fn holding(folder: &Path, text: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("failed to read {}", folder.display()))? {
        let entry = entry.with_context(|| format!("failed to read {}", folder.display()))?;
        let path = entry.path();
        // A link, such as that to a provider, leads out of the folder.
        let kind = entry.file_type().with_context(|| format!("failed to read {}", path.display()))?;
        if kind.is_dir() {
            found.extend(holding(&path, text)?);
        } else if kind.is_file() && contains(&read(&path)?, text) {
            found.push(path);
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("failed to read {}", path.display()))
}

fn contains(content: &[u8], text: &str) -> bool {
    content.windows(text.len()).any(|window| window == text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_secret_in_any_file() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        fs::write(folder.path().join("harmless"), "the key is [Filtered]").unwrap();
        fs::write(inner.join("report"), b"\xff x-api-key: s3cret\n").unwrap();
        std::os::unix::fs::symlink(folder.path(), inner.join("round")).unwrap();
        assert_eq!(holding(folder.path(), "s3cret").unwrap(), [inner.join("report")]);
        assert!(holding(folder.path(), "another").unwrap().is_empty());
    }
}
