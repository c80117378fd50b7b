//! `catalogctl products import --apply`: brings the valid rows to the API, many at a time, and records what became of each.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use audit_log::json::hex;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::change::{Importer, Outcome};
use super::contract::Violation;
use super::import::{Arguments, Check, reading};
use super::journal::{Counts, Entry, Fate, Identity, Journal};
use super::rejects::Rejects;
use super::rows::{Row, Rows};
use crate::exit_status::ExitStatus;
use crate::output;
use crate::progress::{Meter, Progress, duration};
use crate::target::System;

/// Rows under way at once, at most. Each waits for its change most of the time.
const MAX_UNDER_WAY: usize = 64;
/// Failed rows that are reported one by one; the journal has all.
const MAX_REPORTED: u64 = 20;
/// Between two lines of progress in a log.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// The result of an import.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Imported {
    rows: u64,
    #[serde(flatten)]
    counts: Counts,
    /// The file of the rejected rows, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    rejects_file: Option<PathBuf>,
    journal: PathBuf,
}

/// Imports the file and prints what became of its rows.
pub async fn run(system: &System, arguments: &Arguments, progress: &Progress) -> Result<ExitStatus> {
    let failed = || format!("failed to read {}", arguments.file.display());
    let (api, rate) = arguments.access.api(system, progress).await?;
    progress.say(format!("API: {}, at most {rate} requests per second", api.base()));
    let started = api.time().await?;
    let (total, file_sha256) = measure(arguments).with_context(failed)?;
    let options = format!("{:?}", reading(arguments));
    let identity = Identity { file_sha256, options, api: api.base().to_owned() };
    let journal = Journal::open(&arguments.file, &identity)?;
    if journal.earlier.sum() > 0 {
        let (rows, path) = (journal.earlier.sum(), journal.path().display());
        progress.say(format!("Continuing the interrupted import: {rows} rows are done, according to {path}."));
    }
    let name = arguments.file.file_name().unwrap_or_default().to_string_lossy();
    let import_id = journal.import_id.clone();
    // Corrected rows are still rows of the first file.
    let importer = Importer::new(&api, arguments.key, &import_id, name.trim_end_matches(".rejects.csv"), started);
    let step = progress.step("Importing rows");
    step.meter().length(total);
    let rows = Rows::open(&arguments.file, reading(arguments)).with_context(failed)?;
    let rejects = Rejects::new(&arguments.file, rows.header(), arguments.delimiter);
    let mut run = Run {
        arguments,
        counts: journal.earlier,
        check: Check::new(arguments.key),
        rows,
        rejects,
        journal,
        reports: Reports {
            progress,
            meter: step.meter(),
            total,
            begun: Instant::now(),
            imported: 0,
            said: Instant::now(),
        },
    };
    run.import(&importer).await?;
    let Run { counts, rejects, mut journal, .. } = run;
    let rejects_file = rejects.finish()?;
    if counts.failed == 0 {
        journal.complete()?;
    }
    step.done(format!("{total} rows"));
    let imported = Imported { rows: total, counts, rejects_file, journal: journal.path().to_owned() };
    if arguments.json {
        output::print_json(&imported)?;
    } else {
        output::print(&text(&imported))?;
    }
    Ok(match counts {
        Counts { failed: 1.., .. } => ExitStatus::Failure,
        Counts { rejected: 1.., .. } => ExitStatus::NeedsAttention,
        _ => ExitStatus::Success,
    })
}

/// The number of rows, and the digest of the file.
fn measure(arguments: &Arguments) -> Result<(u64, String)> {
    let (mut digest, mut file, mut buffer) = (Sha256::new(), File::open(&arguments.file)?, vec![0; 64 * 1024]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => digest.update(&buffer[..read]),
        }
    }
    let mut rows = Rows::open(&arguments.file, reading(arguments))?;
    let mut total = 0;
    while let Some(row) = rows.next_row()? {
        total = row.number;
    }
    Ok((total, hex(&digest.finalize())))
}

struct Run<'a> {
    arguments: &'a Arguments,
    counts: Counts,
    check: Check,
    rows: Rows<'a>,
    rejects: Rejects,
    journal: Journal,
    reports: Reports<'a>,
}

impl Run<'_> {
    async fn import(&mut self, importer: &Importer<'_>) -> Result<()> {
        let mut under_way = FuturesUnordered::new();
        let mut ended = false;
        loop {
            while !ended && under_way.len() < MAX_UNDER_WAY {
                match self.next_valid_row()? {
                    Some(row) => under_way.push(async move {
                        let outcome = match &row.asked {
                            Ok(asked) => importer.import(row.origin, asked).await,
                            Err(found) => Ok(Outcome::Rejected(found.clone())),
                        };
                        (row, outcome)
                    }),
                    None => ended = true,
                }
            }
            match under_way.next().await {
                Some((row, outcome)) => self.record(&row, outcome?)?,
                None if ended => return Ok(()),
                None => {}
            }
        }
    }

    /// The next row to import; rows that the file itself shows to be invalid are rejected on the way.
    fn next_valid_row(&mut self) -> Result<Option<Row>> {
        let failed = || format!("failed to read {}", self.arguments.file.display());
        while let Some(row) = self.rows.next_row().with_context(failed)? {
            let found = self.check.violations(&row);
            if !found.is_empty() {
                self.reject(&row, &found)?;
            } else if self.journal.has(row.number) {
                self.reports.skip();
            } else {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    fn record(&mut self, row: &Row, outcome: Outcome) -> Result<()> {
        match outcome {
            Outcome::Rejected(found) => return self.reject(row, &found),
            Outcome::Done { fate, product_id, event_id } => {
                self.counts.add(fate);
                let product_id = Some(product_id);
                self.journal.add(&Entry { row: row.number, outcome: fate, product_id, event_id, error: None })?;
            }
            Outcome::Failed(error) => {
                self.counts.add(Fate::Failed);
                if self.counts.failed <= MAX_REPORTED {
                    self.reports.progress.say(format!("FAILED  row {}, line {}: {error}", row.number, row.line));
                }
                self.journal.add(&Entry::error(row.number, Fate::Failed, error))?;
            }
        }
        self.reports.advance();
        Ok(())
    }

    fn reject(&mut self, row: &Row, found: &[Violation]) -> Result<()> {
        self.counts.add(Fate::Rejected);
        self.rejects.add(row, found)?;
        let reasons: Vec<String> = found.iter().map(|found| format!("{} {}", found.field, found.code)).collect();
        self.journal.add(&Entry::error(row.number, Fate::Rejected, reasons.join("; ").trim().to_owned()))?;
        self.reports.advance();
        Ok(())
    }
}

/// Progress: rows per second and the time left.
struct Reports<'a> {
    progress: &'a Progress,
    meter: Meter,
    total: u64,
    begun: Instant,
    /// Rows of this run; without those of an earlier one, which took no time.
    imported: u64,
    said: Instant,
}

impl Reports<'_> {
    fn skip(&mut self) {
        self.total -= 1;
        self.meter.advance();
    }

    fn advance(&mut self) {
        self.imported += 1;
        self.meter.advance();
        let pace = pace(self.imported, self.total, self.begun.elapsed());
        if self.said.elapsed() >= LOG_INTERVAL {
            self.said = Instant::now();
            self.progress.note(format!("    {} of {} rows, {pace}", self.imported, self.total));
        }
        self.meter.now(pace);
    }
}

fn pace(rows: u64, total: u64, elapsed: Duration) -> String {
    let per_second = rows as f64 / elapsed.as_secs_f64().max(0.001);
    let left = Duration::from_secs_f64(total.saturating_sub(rows) as f64 / per_second.max(0.001));
    format!("{per_second:.0} rows/s, {} left", duration(left))
}

fn text(imported: &Imported) -> String {
    let Imported { rows, counts, rejects_file, journal } = imported;
    let Counts { created, updated, unchanged, rejected, failed } = counts;
    let mut text = format!(
        "Rows:      {rows}\nCreated:   {created}\nUpdated:   {updated}\nUnchanged: {unchanged}\nRejected:  {rejected}\n\
         Failed:    {failed}"
    );
    if let Some(file) = rejects_file {
        text.push_str(&format!("\nThe rejected rows and the reasons are in {}.", file.display()));
    }
    if *failed > 0 {
        text.push_str(&format!(
            "\nThe failed rows are in {}. Run the same command again to retry them.",
            journal.display()
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_rate_and_time_left() {
        assert_eq!(pace(100, 1_000, Duration::from_secs(10)), "10 rows/s, 1 min 30 s left");
        assert_eq!(pace(5, 5, Duration::ZERO), "5000 rows/s, 0.0 s left");
    }
}
