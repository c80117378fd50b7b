//! `catalogctl audit report`: a verification and its records as one HTML page, for an auditor.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::export::{INVALID, kind};
use super::filter::Filter;
use super::manifest::{self, Manifest, Measured, Source};
use super::record_row::Row;
use super::report_page;
use super::verify::{self, Verified, verdicts};
use crate::exit_status::ExitStatus;
use crate::keys::register::Register;
use crate::output;
use crate::private_file;
use crate::progress::Progress;
use crate::target::Target;
use audit_log::ids::EventId;
use audit_log::verification::{Content, Object};

/// Write a report for an auditor: the verdicts of a verification, what was verified, and the records
///
/// Verifies the audit log as `audit verify` does, and writes one HTML page that needs nothing else: environment, bucket, days,
/// counts, verdicts, findings, records with prices before and after, what the report proves and what it doesn't. The filter
/// selects the records that are listed; the verification covers all of the days.
///
/// FILE.manifest.json ties the page to the bucket: it has the page's SHA-256 and the digest of the verification.
///
/// Exit codes: 0 intact, and every record matches its schema; 1 the command failed, and there is no report; 2 anything else:
/// broken, incomplete (archived objects, or none at all), or records that don't match their schema.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    #[command(flatten)]
    pub verification: verify::Options,
    /// File to create, readable by its owner only
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Maximum number of records to list, the earliest first; `audit export` writes all of them
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(0..=20_000))]
    pub records: u32,
    /// Print the manifest as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub filter: Filter,
}

/// Verifies, and creates the report and its manifest. Never replaces another file.
pub async fn run(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<ExitStatus> {
    let path = &arguments.out;
    manifest::require_new(path)?;
    let register = Register::read_and_report(&target.audit_bucket(), progress).await?;
    arguments.filter.check(&register)?;
    let mut selected = Selected::new(&arguments.filter, &register, arguments.records as usize);
    let verified =
        verify::verified(target, &arguments.verification, progress, None, |object| selected.take(object)).await?;

    let cannot = || format!("failed to create {}", path.display());
    let mut writer = Measured::new(private_file::beside(path).with_context(cannot)?);
    let page = report_page::page(&verified, &arguments.filter, &selected.listed()).into_string();
    writer.write_all(page.as_bytes()).and_then(|()| writer.flush()).with_context(cannot)?;
    let (file, content) = writer.finish();
    file.persist_noclobber(path).with_context(cannot)?;
    let source = Source {
        records: selected.listed().rows.len() as u64,
        objects: selected.objects_read,
        digest: verified.report.digest.clone(),
    };
    let window = arguments.verification.days.window()?;
    let manifest = Manifest::new(path, content, target, window, &arguments.filter, source)?;
    manifest.write(path)?;
    if arguments.json {
        output::print_json(&manifest)?;
    } else {
        output::print(&text(&verified, &manifest, path))?;
    }
    Ok(if verified.is_fine() { ExitStatus::Success } else { ExitStatus::NeedsAttention })
}

fn text(verified: &Verified, manifest: &Manifest, path: &std::path::Path) -> String {
    format!(
        "{}\nReport:    {}\nSHA-256:   {}\nManifest:  {}",
        verdicts(&verified.report),
        path.display(),
        manifest.sha256,
        manifest::beside(path).display()
    )
}

/// The records that the filter selects: counts of all, and the earliest ones.
struct Selected<'a> {
    filter: &'a Filter,
    register: &'a Register,
    max_rows: usize,
    rows: BTreeMap<(u64, String), Row>,
    counts: BTreeMap<String, u64>,
    /// Objects of the window that were read, selected or not.
    objects_read: u64,
}

/// The records of a report.
#[derive(Debug, Default)]
pub struct Listed<'a> {
    /// In the order of time.
    pub rows: Vec<&'a Row>,
    /// The number of records that the filter selects, by their outcome, or else OUT_OF_BAND or INVALID.
    pub counts: BTreeMap<&'a str, u64>,
}

impl Listed<'_> {
    /// The number of records that the filter selects.
    pub fn selected(&self) -> u64 {
        self.counts.values().sum()
    }
}

impl<'a> Selected<'a> {
    fn new(filter: &'a Filter, register: &'a Register, max_rows: usize) -> Self {
        Self { filter, register, max_rows, rows: BTreeMap::new(), counts: BTreeMap::new(), objects_read: 0 }
    }

    fn take(&mut self, object: &Object) {
        let (key, digest) = (object.key.as_str(), object.digest.as_ref());
        self.objects_read += u64::from(digest.is_some());
        match &object.content {
            Content::Record(record) if self.filter.selects(record, self.register) => {
                let is_valid = record.form().is_none();
                self.count(if is_valid { kind(record) } else { INVALID });
                let register = self.register;
                self.keep(record.millis(), key, || {
                    let row = Row::new(key, digest, record, register);
                    match record.form() {
                        Some(finding) => row.invalid(finding),
                        None => row,
                    }
                });
            }
            Content::Invalid(finding, _) if self.filter.may_select(finding) => {
                self.count(INVALID);
                self.keep(millis_of(key), key, || Row::of_object(key, digest).invalid(finding));
            }
            _ => {}
        }
    }

    fn count(&mut self, kind: &str) {
        *self.counts.entry(kind.to_owned()).or_default() += 1;
    }

    /// Keeps a row if it is among the earliest.
    fn keep(&mut self, millis: u64, key: &str, row: impl FnOnce() -> Row) {
        let order = (millis, key.to_owned());
        let is_full = self.rows.len() >= self.max_rows;
        if is_full && self.rows.last_key_value().is_none_or(|(last, _)| order >= *last) {
            return;
        }
        self.rows.insert(order, row());
        if self.rows.len() > self.max_rows {
            self.rows.pop_last();
        }
    }

    fn listed(&self) -> Listed<'_> {
        let counts = self.counts.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
        Listed { rows: self.rows.values().collect(), counts }
    }
}

/// The moment in an object's key, if it has one.
fn millis_of(key: &str) -> u64 {
    let name = key.rsplit('/').next().and_then(|name| name.strip_suffix(".json"));
    name.and_then(EventId::parse).map(EventId::millis).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_the_earliest_records() {
        let (filter, register) = (Filter::default(), Register::default());
        let mut selected = Selected::new(&filter, &register, 2);
        for (millis, key) in [(5, "e"), (3, "c"), (9, "i"), (1, "a"), (3, "b")] {
            selected.keep(millis, key, || Row::of_object(key, None));
        }
        let keys: Vec<&str> = selected.listed().rows.iter().map(|row| row.object.as_str()).collect();
        assert_eq!(keys, ["a", "b"]);
        let mut none = Selected::new(&filter, &register, 0);
        none.keep(1, "a", || Row::of_object("a", None));
        assert!(none.listed().rows.is_empty());
    }
}
