//! `catalogctl audit verify`: is the audit log what was written?

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::Args;
use futures_util::TryStreamExt;
use time::Date;

use crate::exit_status::ExitStatus;
use crate::output;
use crate::progress::Progress;
use crate::target::Target;
use audit_log::verification::{Outcome, Report, Verification};
use audit_log::window::{Window, day};

/// Verify the audit log: every object's key, bytes, form and hash, and every product's chain.
///
/// Reads every object and names the first that was altered, deleted, inserted, moved, cut off or written twice, in event
/// order; then the others. Compares with the table, which alone can tell that the newest records of a product are gone,
/// and whose journal tells the same of every record of the last 90 days.
///
/// With --from, a chain that began earlier is followed from its first record inside; that its beginning is right is then
/// not known.
///
/// Exit code: 0 intact; 1 could not be done, or not wholly (archived objects); 2 broken.
#[derive(Debug, Clone, Default, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    #[command(flatten)]
    pub days: Days,
    /// Read the bucket only. Then it cannot be noticed that the newest records of a product are gone.
    #[arg(long)]
    pub without_table: bool,
    /// A change that was recorded less than so many seconds ago may still be on its way to the bucket.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub settle: u64,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
}

/// A window of days, by the dates of the event ids.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Days {
    /// The first day (UTC), such as 2026-01-31; a record's day is that of its event id.
    #[arg(long, value_name = "DATE", value_parser = day)]
    pub from: Option<Date>,
    /// The last day (UTC).
    #[arg(long, value_name = "DATE", value_parser = day)]
    pub to: Option<Date>,
}

impl Days {
    pub fn window(self) -> Window {
        Window { from: self.from, to: self.to }
    }
}

/// Verifies and says what was found.
pub async fn run(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<ExitStatus> {
    let report = verify(target, arguments, progress).await?;
    if arguments.json {
        output::print_json(&report)?;
    } else {
        output::print(&text(&report))?;
    }
    Ok(match report.result {
        Outcome::Intact => ExitStatus::Success,
        Outcome::Incomplete => ExitStatus::Failure,
        Outcome::Broken => ExitStatus::NeedsAttention,
    })
}

/// Reads the bucket, and the table unless told otherwise. An error means that something could not be read.
pub async fn verify(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<Report> {
    let (bucket, table) = (target.audit_bucket(), target.products());
    let facts = if arguments.without_table {
        None
    } else {
        let step = progress.step(format!("read the table {}", target.table));
        let facts = table.facts(&step.meter()).await?;
        step.done(format!("{} products, {} journal entries", facts.products.len(), facts.journal.len()));
        Some(facts)
    };

    let step = progress.step(format!("verify {}", bucket.name()));
    let window = arguments.days.window();
    let mut verification = Verification::new(window, facts);
    let mut objects = std::pin::pin!(bucket.objects(window.all_keys(), &step.meter()));
    let mut read = 0_u64;
    while let Some(object) = objects.try_next().await? {
        verification.take(&object);
        read += 1;
    }
    step.done(format!("{read} objects"));

    let unsettled = verification.unsettled();
    if !unsettled.is_empty() {
        let step = progress.step("read again what changed meanwhile");
        let meter = step.meter();
        meter.length(unsettled.len() as u64);
        for product in unsettled {
            let after = verification.chains().get(product).map(|chain| chain.head.event);
            let (facts, entries) = table.product(product, after).await?;
            verification.read_again(product, facts, entries);
            meter.advance();
        }
        step.done("");
    }
    Ok(verification.finish(millis_ago(Duration::from_secs(arguments.settle))))
}

/// A moment in the past, in milliseconds since 1970.
pub fn millis_ago(ago: Duration) -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(ago);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The report for people. Findings beyond the first hundred are counted only; `--json` has them all.
pub fn text(report: &Report) -> String {
    const SHOWN: usize = 100;
    let mut lines = Vec::new();
    match report.findings.split_first() {
        None => lines.push(match report.result {
            Outcome::Incomplete => "Verification incomplete. Readable records are intact.".to_owned(),
            _ => "Intact.".to_owned(),
        }),
        Some((first, others)) => {
            lines.push(format!("BROKEN. The first bad object:\n\n  {first}"));
            if !others.is_empty() {
                lines.push(format!("\nAnd {} more:\n", others.len()));
                lines.extend(others.iter().take(SHOWN).map(|finding| format!("  {finding}")));
            }
            if others.len() > SHOWN {
                lines.push(format!("  … and {} more; --json has them all", others.len() - SHOWN));
            }
            lines.push(String::new());
        }
    }
    lines.push(format!(
        "Objects: {}, of them {} changes; {} were applied, to {} products.",
        report.objects, report.changes, report.applied, report.products
    ));
    let notes = [
        (report.chains_begun_before, "chains began before the window and were followed from their first record inside"),
        (report.archived, "objects are archived and were not read: restore them, or begin later with --from"),
        (report.on_their_way, "changes were recorded a moment ago and are not in the bucket yet: verify again later"),
        (report.made_by_hand, "changes to the table were made outside the API; `audit history` shows a product's"),
    ];
    lines.extend(notes.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}.")));
    if !report.compared_with_table {
        lines.push(
            "Not compared with the table: that the newest records of a product are gone was not looked for.".into(),
        );
    }
    lines.join("\n")
}
