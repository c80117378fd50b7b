//! The runbooks' commands, run as they stand on a running stack, and the first command of each alarm's email.
//!
//! A reader replaces what belongs to an incident, such as a message's ID, and so does [`EXAMPLES`]. What can't be run here has
//! its reason in [`NOT_HERE`]. The AWS CLI is version 1: version 2 isn't on the Python package index.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::Context;
use crate::companions;
use crate::environment::Environment;
use crate::local_aws::{self, LocalAws};
use crate::process::{External, tail};
use crate::stack::{ACCESS_KEY_ID, ENVIRONMENT, REGION, SECRET_ACCESS_KEY, Stack};
use crate::status::Running;
use crate::workspace::INFRASTRUCTURE;

/// What stands for something of an incident: page, text, and a variable of [`PREPARATION`] in its place.
const EXAMPLES: [(&str, &str, &str); 6] = [
    ("README", "id=0b1c2d3e-4f50-4617-8829-3a4b5c6d7e8f", "id=$product"),
    ("README", "version=41", "version=$live"),
    ("change-dlq-depth", "message=0b1c2d3e-4f50-4617-8829-3a4b5c6d7e8f", "message=$change_message"),
    ("change-dlq-depth", "id=0b1c2d3e-4f50-4617-8829-3a4b5c6d7e8f", "id=$product"),
    ("events-dlq-depth", "message=0b1c2d3e-4f50-4617-8829-3a4b5c6d7e8f", "message=$events_message"),
    ("audit-broken", "key=events/year=2026/month=11/day=25/019abc00-0000-7000-8000-000000000000.json", "key=$object"),
];

/// A page's blocks that contain a string and aren't run, and why.
const NOT_HERE: [(&str, &str, &str); 3] = [
    (
        "table-lost",
        "catalogctl audit rebuild",
        "it needs an empty table, and the test `rebuilds_the_table_as_product_creator_wrote_it` makes one",
    ),
    ("audit-unverified", "gh run", "the runs are on GitHub"),
    ("audit-unverified", "gh workflow run", "the workflow is on GitHub"),
];

/// What an incident would have left: a message in two dead-letter queues, one of them the position of a record.
const PREPARATION: &str = r#"
change_message=$(aws sqs send-message --queue-url "$(queue change-dlq)" --message-body '{"rehearsal"' --query MessageId --output text)
stream=$(aws dynamodb describe-table --table-name products --query Table.LatestStreamArn --output text)
shard=$(aws dynamodbstreams describe-stream --stream-arn "$stream" --query 'StreamDescription.Shards[0].ShardId' --output text)
first=$(aws dynamodbstreams get-shard-iterator --stream-arn "$stream" --shard-id "$shard" --shard-iterator-type TRIM_HORIZON \
  --query ShardIterator --output text)
sequence=$(aws dynamodbstreams get-records --shard-iterator "$first" --limit 1 --query 'Records[0].dynamodb.SequenceNumber' --output text)
position="{\"DDBStreamBatchInfo\":{\"streamArn\":\"$stream\",\"shardId\":\"$shard\",\"startSequenceNumber\":\"$sequence\",\"batchSize\":1}}"
events_message=$(aws sqs send-message --queue-url "$(queue events-dlq)" --message-body "$position" --query MessageId --output text)
object=$(aws s3api list-objects-v2 --bucket "bbws-product-audit-logs-$env" --prefix events/ --max-keys 1 --no-paginate \
  --query 'Contents[0].Key' --output text)
live=$(aws lambda get-alias --function-name "bbws-get-product-$env" --name live --query FunctionVersion --output text)
declare -p change_message events_message object live > prepared.sh
"#;

/// The pages delete what [`PREPARATION`] has sent. `catalogctl` ends with 2 if it finds nothing to delete, which a walk allows.
const END: &str = r#"
for queue in change-dlq events-dlq; do
  left=$(aws sqs get-queue-attributes --queue-url "$(queue "$queue")" --query Attributes --output text \
    --attribute-names ApproximateNumberOfMessages ApproximateNumberOfMessagesNotVisible)
  if [ "$(echo $left)" != "0 0" ]; then echo "$queue still has a message: $left" >&2; exit 1; fi
done
"#;

/// A runbook and its shell blocks.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    name: String,
    blocks: Vec<String>,
}

/// Walks every runbook on that stack. `products` is a page of the list of products.
pub async fn check(context: &Context<'_>, stack: &Stack, running: &Running, products: &str) -> Result<()> {
    let folder = stack.folder().join("runbooks");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("failed to delete {}", folder.display()))?;
    }
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).with_context(|| format!("failed to create {}", bin.display()))?;
    // Not AWS_ENDPOINT_URL alone, which version 1 of the CLI doesn't honour for SQS.
    let cli = Environment::aws_cli(context.workspace).program("aws");
    program(&bin.join("aws"), &format!("exec '{}' --endpoint-url \"$AWS_ENDPOINT_URL\" \"$@\"", cli.display()))?;
    // 2 is a finding, such as a message in a dead-letter queue.
    let catalogctl = companions::build(context.workspace, stack, "catalogctl", context.progress).await?;
    program(&bin.join("catalogctl"), &format!("'{}' \"$@\" || [ $? = 2 ]", catalogctl.display()))?;

    let pages = pages(&context.workspace.repository(INFRASTRUCTURE).join("docs/runbooks"))?;
    let readme = pages.iter().find(|page| page.name == "README").context("the runbooks have no README")?;
    let start = readme.blocks.first().context("the runbooks' README has no block to start with")?;
    let products: Value = serde_json::from_str(products).context("the list of products isn't JSON")?;
    let product = products["items"][0]["productId"].as_str().context("the stack has no product")?;
    let start = format!("{}\nproduct={product}\n", start.replace("env=prod", &format!("env={ENVIRONMENT}")));

    let runner = Runner { context, running, folder: &folder, bin: &bin };
    runner.run("preparation", &format!("{start}{PREPARATION}")).await?;
    let (mut walked, mut blocks) = (0, 0);
    for page in &pages {
        let script = page.script();
        walked += usize::from(!script.is_empty());
        blocks += script.len();
        runner.run(&page.name, &format!("{start}. ./prepared.sh\n{}", script.join("\n"))).await?;
        if page.name == "api-5xx" {
            // It has put the stage back on the deployment before.
            LocalAws::at(&running.facts.endpoint_url)?.deploy_api(&running.facts.rest_api_id).await?;
        }
    }
    runner.run("end", &format!("{start}{END}")).await?;
    let commands = runner.first_commands().await?;
    runner.run("first commands", &format!("{start}{}", Vec::from_iter(commands.iter().cloned()).join("\n"))).await?;
    let (commands, skipped) = (commands.len(), NOT_HERE.len());
    context.progress.say(format!(
        "    runbooks: {walked} pages, {blocks} blocks, {skipped} not here; {commands} first commands of alarms"
    ));
    Ok(())
}

struct Runner<'a> {
    context: &'a Context<'a>,
    running: &'a Running,
    folder: &'a Path,
    bin: &'a Path,
}

impl Runner<'_> {
    /// Runs a script that must succeed, each of its commands too.
    async fn run(&self, name: &str, script: &str) -> Result<()> {
        let path = self.folder.join(format!("{name}.sh"));
        fs::write(&path, script).with_context(|| format!("failed to write {}", path.display()))?;
        let log = self.context.log(&format!("runbook {name}"));
        let old = std::env::var_os("PATH").unwrap_or_default();
        let search = std::iter::once(self.bin.to_owned()).chain(std::env::split_paths(&old));
        let finished = External::new("bash", &log)
            .directory(self.folder)
            .without_env(["AWS_PROFILE", "CATALOGUE_LOCAL", "CATALOGUE_ENV", "CATALOGUE_STATUS"])
            .args(["-euo", "pipefail"])
            .arg(&path)
            .env("PATH", std::env::join_paths(search).context("invalid PATH")?)
            .env("AWS_ENDPOINT_URL", &self.running.facts.endpoint_url)
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("NO_PROXY", "*")
            .finish()
            .await?;
        if finished.code != Some(0) {
            bail!("the commands of the runbook {name} failed. End of {}:\n{}", log.display(), tail(&log, 40));
        }
        Ok(())
    }

    /// The command that each alarm's email begins with.
    async fn first_commands(&self) -> Result<BTreeSet<String>> {
        let endpoint = &self.running.facts.endpoint_url;
        let described = local_aws::cli(self.context.workspace, endpoint, &self.context.log("runbook alarms"))
            .args(["cloudwatch", "describe-alarms", "--query", "MetricAlarms[].AlarmDescription"])
            .run("reading the alarms")
            .await?;
        let described: Vec<String> = serde_json::from_str(&described.stdout).context("failed to parse the alarms")?;
        let command = |description: &String| {
            let command = crate::rehearse::first_command(description).map(str::to_owned);
            command.with_context(|| format!("the alarm names no first command: {description}"))
        };
        described.iter().map(command).collect()
    }
}

fn program(path: &Path, line: &str) -> Result<()> {
    fs::write(path, format!("#!/bin/sh\n{line}\n")).with_context(|| format!("failed to write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("failed to make {} executable", path.display()))
}

/// The runbooks in the order of their names.
fn pages(folder: &Path) -> Result<Vec<Page>> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("failed to read {}", folder.display()))? {
        let path = entry.with_context(|| format!("failed to read {}", folder.display()))?.path();
        let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        let name = path.file_stem().and_then(|name| name.to_str()).context("a runbook's name isn't UTF-8")?.to_owned();
        pages.push(Page { blocks: blocks(&text).with_context(|| format!("{name} has an open block"))?, name });
    }
    pages.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(pages)
}

/// The shell blocks of a document, those in a list too; `None` if the last one is open.
fn blocks(text: &str) -> Option<Vec<String>> {
    let (mut blocks, mut lines) = (Vec::new(), text.lines());
    while let Some(line) = lines.next() {
        if line.trim_start() != "```sh" {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let mut block = String::new();
        loop {
            match lines.next()? {
                line if line.trim() == "```" => break,
                line => block += &format!("{}\n", line.get(indent..).unwrap_or_default()),
            }
        }
        blocks.push(block);
    }
    Some(blocks)
}

impl Page {
    /// What is run of the page.
    fn script(&self) -> Vec<String> {
        let skipped =
            |block: &String| NOT_HERE.iter().any(|(page, text, _)| *page == self.name && block.contains(text));
        // The README's first block comes before each page.
        let first = usize::from(self.name == "README");
        let run = self.blocks.iter().skip(first).filter(|block| !skipped(block));
        run.map(|block| {
            let examples = EXAMPLES.iter().filter(|(page, ..)| *page == self.name);
            examples.fold(block.clone(), |block, (_, text, value)| block.replace(text, value))
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_blocks_also_in_lists() {
        let text = "# a\n\n```sh\none\n```\n\n1. x\n\n   ```sh\n   two\n     three\n   ```\n\n```json\nfour\n```\n";
        assert_eq!(blocks(text).unwrap(), ["one\n", "two\n  three\n"]);
        assert!(blocks("```sh\none\n").is_none());
    }

    #[test]
    fn every_example_and_exception_stands_in_its_page() {
        let pages = pages(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/runbooks")).unwrap();
        let texts = EXAMPLES
            .iter()
            .map(|(page, text, _)| (page, text))
            .chain(NOT_HERE.iter().map(|(page, text, _)| (page, text)));
        for (name, text) in texts {
            let page = pages.iter().find(|page| page.name == **name).unwrap_or_else(|| panic!("no page {name}"));
            assert!(page.blocks.iter().any(|block| block.contains(text)), "{name} has no {text}");
        }
        let blocks: usize = pages.iter().map(|page| page.script().len()).sum();
        assert!(blocks >= 30, "{blocks} blocks");
        assert!(
            pages.iter().flat_map(Page::script).all(|block| !block.contains("0b1c2d3e")),
            "an example isn't replaced"
        );
    }
}
