//! `catalogctl audit verify`: is the audit log what was written, and does each record match its schema?

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use clap::Args;
use futures_util::TryStreamExt;
use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime};

use super::checkpoint::{Checkpoint, Identity};
use crate::audit_bucket::DefaultRetention;
use crate::exit_status::ExitStatus;
use crate::keys::register::Register;
use crate::output;
use crate::products_table::Table;
use crate::progress::Progress;
use crate::target::Target;
use audit_log::finding::{Finding, Verdict};
use audit_log::lock::{Lock, RequiredRetention};
use audit_log::verification::{Form, Integrity, Object, Report, TableFacts, Verification};
use audit_log::window::{Window, date_text, day};

/// Findings that the text shows for each verdict; `--json` has all.
const MAX_FINDINGS: usize = 100;
/// Reads of a product that changes while it is compared.
const MAX_READS: usize = 3;

/// Verify the audit log: its integrity and its form
///
/// Integrity: no record was altered, deleted, inserted, moved or overwritten, and each is locked. Each product's records form
/// a hash chain. The table holds the end of each chain and the last 90 days' records, so the removal of the newest records is
/// noticed too. In prod a lock must be in compliance mode and last for at least 2,557 days, seven years, from when the record
/// was written; elsewhere any mode and a day are enough. The bucket's default, which locks new records, must be the same.
/// Form: each record matches its schema. A record that fails this is reported and followed in its chain all the same.
///
/// With --from, chains that began earlier are verified from their first record in the window on.
///
/// The digest is the SHA-256 of what `sha256sum` prints for all objects that were read, in the order of their keys: two
/// verifications with the same digest have read the same bytes.
///
/// With --checkpoint, a verification that was interrupted continues where it stopped and comes to the same result. FILE holds
/// product IDs, SKUs and hashes. Whoever can write to it can decide the result, so keep it where only you can.
///
/// Exit codes: 0 intact, and every record matches its schema; 1 the command failed; 2 anything else: broken, incomplete
/// (archived objects, or none at all), or records that don't match their schema.
#[derive(Debug, Clone, Default, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    #[command(flatten)]
    pub options: Options,
    /// Save the progress in FILE, and continue from it if it exists. It is removed at the end
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Seconds between two saves of the progress
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "checkpoint")]
    pub checkpoint_every: u64,
    /// Print the output as JSON
    #[arg(long)]
    pub json: bool,
}

/// What a verification reads.
#[derive(Debug, Clone, Default, Args)]
pub struct Options {
    #[command(flatten)]
    pub days: Days,
    /// Read only the bucket. The removal of a product's newest records then can't be noticed
    #[arg(long)]
    pub without_table: bool,
    /// Seconds within which a recorded change's object may still be missing
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub settle: u64,
}

/// A window of days, by the dates in the event IDs.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Days {
    /// First day (UTC), such as 2026-01-31; a record's day is the one in its event ID (default: no limit)
    #[arg(long, value_name = "DATE", value_parser = day)]
    pub from: Option<Date>,
    /// Last day (UTC), inclusive (default: no limit)
    #[arg(long, value_name = "DATE", value_parser = day)]
    pub to: Option<Date>,
}

impl Days {
    /// The window. Fails when it ends before it begins.
    pub fn window(self) -> Result<Window> {
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from > to
        {
            bail!("--from {from} is after --to {to}");
        }
        Ok(Window { from: self.from, to: self.to })
    }
}

/// The window in words.
pub fn describe(window: &Window) -> String {
    match (window.from, window.to) {
        (None, None) => "all days".to_owned(),
        (Some(from), None) => format!("from {from}"),
        (None, Some(to)) => format!("to {to}"),
        (Some(from), Some(to)) => format!("from {from} to {to}"),
    }
}

/// A verification's result with all that a reader needs to repeat it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// "prod (AWS, eu-west-1)".
    pub system: String,
    pub environment: String,
    pub bucket: String,
    /// The table that the log was compared with, if any.
    pub table: Option<String>,
    /// First and last day; `null` is unlimited.
    #[serde(serialize_with = "date_text::serialize")]
    pub from: Option<Date>,
    #[serde(serialize_with = "date_text::serialize")]
    pub to: Option<Date>,
    /// What the environment requires of each object's lock and of the bucket's default.
    pub required_retention: RequiredRetention,
    /// What new objects get from the bucket.
    pub default_retention: DefaultRetention,
    /// Program and version.
    pub tool: &'static str,
    /// When the verification began, RFC 3339.
    pub verified_at: String,
    #[serde(flatten)]
    pub report: Report,
}

impl Verified {
    /// Whether nothing needs attention.
    pub fn is_fine(&self) -> bool {
        self.report.integrity == Integrity::Intact && self.report.form == Form::Ok
    }

    /// The days, in words.
    pub fn days(&self) -> String {
        describe(&Window { from: self.from, to: self.to })
    }
}

/// Verifies and prints the result.
pub async fn run(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<ExitStatus> {
    let options = &arguments.options;
    let mut checkpoint = None;
    if let Some(path) = &arguments.checkpoint {
        let (table, window) = ((!options.without_table).then(|| target.table.clone()), options.days.window()?);
        let identity = Identity::new(&target.name, &target.bucket, table, window);
        checkpoint = Some(Checkpoint::open(path, identity, Duration::from_secs(arguments.checkpoint_every))?);
    }
    let verified = verified(target, options, progress, checkpoint.as_mut(), |_| {}).await?;
    if let Some(checkpoint) = checkpoint {
        checkpoint.remove()?;
    }
    if arguments.json {
        output::print_json(&verified)?;
    } else {
        output::print(&text(&verified))?;
    }
    Ok(if verified.is_fine() { ExitStatus::Success } else { ExitStatus::NeedsAttention })
}

/// The program and its version.
pub const TOOL: &str = concat!("catalogctl ", env!("CARGO_PKG_VERSION"));

/// Now, RFC 3339.
pub fn now() -> Result<String> {
    Ok(OffsetDateTime::now_utc().replace_millisecond(0)?.format(&Rfc3339)?)
}

/// Verifies, and says what was verified. Passes each object that it reads to `see`, in the order of the keys; a verification
/// that continues from a checkpoint doesn't read those before it.
pub async fn verified(
    target: &Target,
    options: &Options,
    progress: &Progress,
    checkpoint: Option<&mut Checkpoint>,
    see: impl FnMut(&Object),
) -> Result<Verified> {
    let verified_at = match &checkpoint {
        Some(checkpoint) => checkpoint.begun_at.clone(),
        None => now()?,
    };
    let window = options.days.window()?;
    let required_retention = RequiredRetention::in_environment(&target.environment);
    let mut report = verify(target, options, progress, checkpoint, see).await?;
    let default_retention = target.audit_bucket().default_retention().await?;
    if let Some(finding) = weak_default(&target.bucket, required_retention, default_retention) {
        report.integrity = Integrity::Broken;
        report.findings.push(finding);
    }
    Ok(Verified {
        system: target.name.clone(),
        environment: target.environment.clone(),
        bucket: target.bucket.clone(),
        table: (!options.without_table).then(|| target.table.clone()),
        from: window.from,
        to: window.to,
        required_retention,
        default_retention,
        tool: TOOL,
        verified_at,
        report,
    })
}

/// What is wrong with the retention that new objects get, if anything is.
fn weak_default(bucket: &str, required: RequiredRetention, default: DefaultRetention) -> Option<Finding> {
    let finding = match default {
        DefaultRetention::Unknown => None,
        DefaultRetention::None => Lock::Unlocked.finding(bucket),
        DefaultRetention::Set(retention) => required.lock(retention).finding(bucket),
    };
    finding.map(|finding| Finding { why: format!("the bucket's default for new objects: {}", finding.why), ..finding })
}

/// Reads the bucket and, unless the options say otherwise, the table. Fails when a call fails.
async fn verify(
    target: &Target,
    options: &Options,
    progress: &Progress,
    mut checkpoint: Option<&mut Checkpoint>,
    mut see: impl FnMut(&Object),
) -> Result<Report> {
    let window = options.days.window()?;
    let (bucket, table) =
        (target.audit_bucket().with_locks(RequiredRetention::in_environment(&target.environment)), target.products());
    let (mut verification, after) = match checkpoint.as_mut().and_then(|checkpoint| checkpoint.take_saved()) {
        Some((verification, after)) => {
            progress
                .say(format!("  ✓ continued from a checkpoint · {} objects were read before", verification.objects()));
            (verification, after)
        }
        None => (Verification::new(window, facts(&table, target, options, progress).await?), String::new()),
    };

    let step = progress.step(format!("read bucket {}", bucket.name()));
    let keys = window.all_keys().into_iter().filter_map(|keys| keys.left_after(&after)).collect();
    let mut objects = std::pin::pin!(bucket.objects(keys, &step.meter()));
    let mut last = after;
    loop {
        match objects.try_next().await {
            Ok(None) => break,
            Ok(Some(object)) => {
                verification.take(&object);
                see(&object);
                last = object.key;
                if let Some(checkpoint) = checkpoint.as_mut().filter(|checkpoint| checkpoint.is_due()) {
                    checkpoint.save(&last, &verification)?;
                }
            }
            Err(error) => {
                if let Some(checkpoint) = checkpoint {
                    checkpoint.save(&last, &verification)?;
                    progress.say("  the progress is saved: run the same command again to continue");
                }
                return Err(error);
            }
        }
    }
    step.done(format!("{} objects", verification.objects()));
    read_again(&mut verification, &table, progress).await?;
    let mut report = verification.finish(millis_ago(Duration::from_secs(options.settle)));
    if window.is_whole() {
        // The register of API keys is of no day. What is wrong with an entry puts a name in doubt, and so the log's integrity.
        let findings = Register::read(&bucket).await?.findings;
        if !findings.is_empty() {
            report.integrity = Integrity::Broken;
            report.findings.extend(findings);
        }
    }
    Ok(report)
}

async fn facts(table: &Table, target: &Target, options: &Options, progress: &Progress) -> Result<Option<TableFacts>> {
    if options.without_table {
        return Ok(None);
    }
    let step = progress.step(format!("read table {}", target.table));
    let facts = table.facts(&step.meter()).await?;
    step.done(format!("{} products, {} journal entries", facts.products.len(), facts.journal.len()));
    Ok(Some(facts))
}

/// Reads products and claims again that changed while the log was read.
async fn read_again(verification: &mut Verification, table: &Table, progress: &Progress) -> Result<()> {
    for _ in 0..MAX_READS {
        let (products, claims) = (verification.unsettled(), verification.unsettled_claims());
        if products.is_empty() && claims.is_empty() {
            return Ok(());
        }
        let step = progress.step("read changed products again");
        let meter = step.meter();
        meter.length((products.len() + claims.len()) as u64);
        for (sku, product) in claims {
            verification.read_claim_again(sku.clone(), table.claim(&sku).await?);
            let (facts, entries) = table.product(product, None).await?;
            verification.read_again(product, facts, entries);
            meter.advance();
        }
        for product in products {
            let after = verification.chains().get(product).map(|chain| chain.head.event);
            let (facts, entries) = table.product(product, after).await?;
            verification.read_again(product, facts, entries);
            meter.advance();
        }
        step.done("");
    }
    Ok(())
}

/// A moment in the past, in milliseconds since 1970.
pub fn millis_ago(ago: Duration) -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(ago);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn text(verified: &Verified) -> String {
    let Verified { system, bucket, table, tool, verified_at, report, .. } = verified;
    let mut lines = vec![format!("System:    {system}"), format!("Bucket:    {bucket}, {}", verified.days())];
    lines.extend(table.iter().map(|table| format!("Table:     {table}")));
    lines.push(format!("Retention: {}", retention(verified)));
    lines.push(format!("Verified:  {verified_at} by {tool}"));
    lines.push(format!(
        "Read:      {} objects; {} changes, of which {} applied to {} products",
        report.objects, report.changes, report.applied, report.products
    ));
    lines.push(format!("Digest:    {}", report.digest));
    lines.push(verdicts(report));
    if report.locks_unknown > 0 {
        lines.push(format!(
            "Objects whose lock wasn't read, which needs s3:GetObjectRetention: {}",
            report.locks_unknown
        ));
    }
    lines.join("\n")
}

/// What is required of the locks, and what new objects get, in words.
pub fn retention(verified: &Verified) -> String {
    let default = match verified.default_retention {
        DefaultRetention::Set(retention) => retention.to_string(),
        DefaultRetention::None => "none".to_owned(),
        DefaultRetention::Unknown => "not read, which needs s3:GetBucketObjectLockConfiguration".to_owned(),
    };
    format!("required: {}; default for new objects: {default}", verified.required_retention)
}

/// The two verdicts with their findings and notes.
pub fn verdicts(report: &Report) -> String {
    let integrity = match report.integrity {
        Integrity::Intact => "INTACT",
        Integrity::Broken => "BROKEN",
        Integrity::Incomplete if report.objects == 0 => "INCOMPLETE. No objects were found.",
        Integrity::Incomplete => "INCOMPLETE. Readable records are intact.",
    };
    let mut lines = vec![format!("Integrity: {integrity}")];
    lines.extend(findings(report, Verdict::Integrity));
    lines.push(match report.form {
        Form::Ok => "Form:      OK".to_owned(),
        Form::Invalid => "Form:      INVALID. These records don't match their schema:".to_owned(),
    });
    lines.extend(findings(report, Verdict::Form));
    let notes = [
        (report.chains_begun_before, "Chains that began before the window, verified from their first record in it"),
        (report.archived, "Archived objects, not read: restore them, or use --from"),
        (report.pending, "Changes recorded just now whose objects don't exist yet: verify again later"),
        (report.made_by_hand, "Changes made outside the API: see `audit history`"),
    ];
    lines.extend(notes.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{what}: {count}")));
    if !report.compared_with_table {
        lines.push(
            "Not compared with the table: the removal of a product's newest records can't be noticed.".to_owned(),
        );
    }
    lines.join("\n")
}

fn findings(report: &Report, verdict: Verdict) -> Vec<String> {
    let all: Vec<&Finding> = report.findings_of(verdict).collect();
    let mut lines: Vec<String> = all.iter().take(MAX_FINDINGS).map(|finding| format!("  {finding}")).collect();
    if all.len() > MAX_FINDINGS {
        lines.push(format!("  … and {} more; see --json", all.len() - MAX_FINDINGS));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_window_that_ends_before_it_begins() {
        let days = |from, to| Days { from: day(from).ok(), to: day(to).ok() };
        assert!(
            days("2027-01-01", "2026-01-01").window().unwrap_err().to_string().contains("is after --to 2026-01-01")
        );
        assert!(days("2026-01-01", "2026-01-01").window().is_ok());
    }
}
