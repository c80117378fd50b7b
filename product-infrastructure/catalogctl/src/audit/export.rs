//! `catalogctl audit export`: the records, one per line, in the order of time.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufWriter, IntoInnerError, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use futures_util::TryStreamExt;
use serde_json::json;
use time::Date;

use super::filter::Filter;
use super::manifest::{self, Manifest, Measured, Source};
use super::record_row::Row;
use super::verify::Days;
use crate::audit_bucket::{Bucket, Listed};
use crate::exit_status::ExitStatus;
use crate::keys::register::Register;
use crate::output::OutputError;
use crate::printable::{printable, printable_json};
use crate::private_file;
use crate::progress::{Meter, Progress};
use crate::spreadsheet::guarded;
use crate::target::Target;
use audit_log::finding::{Fault, Finding};
use audit_log::json::Digest;
use audit_log::record::Record;
use audit_log::verification::{Content, Object, ObjectsDigest};

/// Write the audit records as newline-delimited JSON or as CSV, in the order of time
///
/// In newline-delimited JSON, a line is an object of the bucket, byte for byte. Changes made outside the API are placed at the
/// time at which they were observed. An object that isn't a valid record is written as
/// {"recordType":"INVALID","object":KEY,"fault":…,"why":…,"content":TEXT} with its content as a string, or, if it isn't UTF-8,
/// with "contentBase64"; archived and deleted objects are reported and omitted.
///
/// In CSV, a row has a record's outcome, actor, client and times, its prices before, after and as requested with all decimals of their
/// currency, and the object's key and SHA-256. A cell that begins with = + - @ ' or a control character gets a leading ', so
/// that no spreadsheet takes it for a formula.
///
/// With --out, FILE.manifest.json says what the file is and what it was made from: its SHA-256, the days, the filter, and the
/// digest that `audit verify` prints for the same days.
///
/// On a terminal, control characters are escaped. A record is written if it matches each filter option that is given; of an
/// option that is repeated, one value must match. An object that can't be read is written unless it is known to be of another
/// product.
///
/// Exit codes: 0 every object was read and is a valid record; 1 the command failed; 2 there are invalid, archived or deleted
/// objects.
#[derive(Debug, Clone, Default, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    #[command(flatten)]
    pub days: Days,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// File to create, readable by its owner only; `-` is standard output (default: standard output)
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub filter: Filter,
}

/// How records are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Newline-delimited JSON: the evidence
    #[default]
    Ndjson,
    /// A table for a spreadsheet
    Csv,
}

/// The result of an export.
#[derive(Debug, Default)]
pub struct Exported {
    /// The records that were written, by their outcome, or else OUT_OF_BAND or INVALID.
    pub written: BTreeMap<String, u64>,
    /// Records that the filter didn't select.
    pub not_selected: u64,
    pub archived: u64,
    /// Objects that were read, selected or not, and the digest over them.
    pub objects: u64,
    pub digest: String,
    /// Objects that were written as invalid, or deleted ones, which were omitted.
    pub findings: Vec<Finding>,
}

impl Exported {
    /// The number of records that were written.
    pub fn records(&self) -> u64 {
        self.written.values().sum()
    }

    /// The counts in words.
    pub fn describe(&self) -> String {
        let kinds: Vec<String> = self.written.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
        let not_selected = match self.not_selected {
            0 => String::new(),
            count => format!(" Not selected by the filter: {count}."),
        };
        format!("Records written: {}{kinds}.{not_selected}", self.records())
    }
}

/// Exports to the file or to standard output.
pub async fn run(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<ExitStatus> {
    let exported = match &arguments.out {
        Some(path) if path != Path::new("-") => into_file(target, arguments, path, progress).await?,
        _ => {
            let stdout = std::io::stdout();
            let is_terminal = stdout.is_terminal();
            let mut lines = Lines::new(BufWriter::new(stdout), arguments);
            lines.for_terminal = is_terminal;
            export(target, arguments, lines, progress).await?
        }
    };
    for finding in &exported.findings {
        progress.say(format!("INVALID  {finding}"));
    }
    if exported.archived > 0 {
        progress.say(format!("Archived objects, not in the export: {}. Restore them first.", exported.archived));
    }
    progress.say(exported.describe());
    let fine = exported.findings.is_empty() && exported.archived == 0;
    Ok(if fine { ExitStatus::Success } else { ExitStatus::NeedsAttention })
}

/// Creates the file when it is complete, and its manifest; never replaces another.
async fn into_file(target: &Target, arguments: &Arguments, path: &Path, progress: &Progress) -> Result<Exported> {
    manifest::require_new(path)?;
    let window = arguments.days.window()?;
    let cannot = || format!("failed to create {}", path.display());
    let mut writer = BufWriter::new(Measured::new(private_file::beside(path).with_context(cannot)?));
    let exported = export(target, arguments, Lines::new(&mut writer, arguments), progress).await?;
    let (file, content) = writer.into_inner().map_err(IntoInnerError::into_error).with_context(cannot)?.finish();
    file.persist_noclobber(path).with_context(cannot)?;
    let source = Source { records: exported.records(), objects: exported.objects, digest: exported.digest.clone() };
    Manifest::new(path, content, target, window, &arguments.filter, source)?.write(path)?;
    progress.say(format!("Manifest: {}", manifest::beside(path).display()));
    Ok(exported)
}

/// Writes the records of the window.
async fn export(
    target: &Target,
    arguments: &Arguments,
    mut lines: Lines<'_, impl Write>,
    progress: &Progress,
) -> Result<Exported> {
    let bucket = target.audit_bucket();
    lines.register = Register::read_and_report(&bucket, progress).await?;
    arguments.filter.check(&lines.register)?;
    let step = progress.step(format!("export {}", bucket.name()));
    lines.begin()?;
    let (meter, window) = (step.meter(), arguments.days.window()?);
    let listed: Vec<Listed> = bucket.list(vec![window.keys("out-of-band")], meter.clone()).try_collect().await?;
    let mut aside = Aside {
        bucket: bucket.clone(),
        meter: meter.clone(),
        days: by_day(listed),
        waiting: VecDeque::new(),
        read: BTreeMap::new(),
    };
    let mut digest = ObjectsDigest::default();
    let mut changes = std::pin::pin!(bucket.objects(vec![window.keys("events")], &meter));
    while let Some(object) = changes.try_next().await? {
        if let Content::Record(record) = &object.content {
            aside.before(record.millis(), &mut lines).await?;
        }
        if let Some(content) = &object.digest {
            digest.add(&object.key, content);
            lines.exported.objects += 1;
        }
        lines.write(object)?;
    }
    aside.before(u64::MAX, &mut lines).await?;
    // The keys of out-of-band records are behind those of events.
    for (key, content) in &aside.read {
        digest.add(key, content);
        lines.exported.objects += 1;
    }
    lines.writer.flush().map_err(OutputError::from)?;
    lines.exported.digest = digest.finish();
    step.done(format!("{} records", lines.exported.records()));
    Ok(lines.exported)
}

/// Out-of-band objects by the days in their keys; keys without a day come last.
fn by_day(listed: Vec<Listed>) -> BTreeMap<Date, Vec<Listed>> {
    let mut days: BTreeMap<Date, Vec<Listed>> = BTreeMap::new();
    for listed in listed {
        let mut parts = listed.key.split('/').skip(1).map(|part| part.split_once('=').map(|(_, number)| number));
        let mut part = || parts.next().flatten();
        let day = match (part(), part(), part()) {
            (Some(year), Some(month), Some(day)) => audit_log::window::day(&format!("{year}-{month}-{day}")).ok(),
            _ => None,
        };
        days.entry(day.unwrap_or(Date::MAX)).or_default().push(listed);
    }
    days
}

/// Writes the selected records as lines.
struct Lines<'a, W> {
    writer: W,
    format: Format,
    filter: &'a Filter,
    register: Register,
    /// Characters that a terminal would act upon are escaped.
    for_terminal: bool,
    exported: Exported,
}

impl<'a, W: Write> Lines<'a, W> {
    fn new(writer: W, arguments: &'a Arguments) -> Self {
        Self {
            writer,
            format: arguments.format,
            filter: &arguments.filter,
            register: Register::default(),
            for_terminal: false,
            exported: Exported::default(),
        }
    }

    /// Writes what comes before the records.
    fn begin(&mut self) -> Result<()> {
        match self.format {
            Format::Ndjson => Ok(()),
            Format::Csv => self.line(&csv_line(Row::default().columns().map(|(name, _)| name))?),
        }
    }

    fn write(&mut self, object: Object) -> Result<()> {
        let row = |record: &Record, register| Row::new(&object.key, object.digest.as_ref(), record, register);
        match &object.content {
            Content::Record(record) if !self.filter.selects(record, &self.register) => {
                self.exported.not_selected += 1;
                Ok(())
            }
            Content::Record(record) => match (record.form(), self.format) {
                (Some(finding), _) => self.invalid(finding, record.line().into_bytes(), row(record, &self.register)),
                (None, Format::Ndjson) => self.record(kind(record), &record.line()),
                (None, Format::Csv) => self.record(kind(record), &csv_row(&row(record, &self.register))?),
            },
            Content::Invalid(finding, _) if !self.filter.may_select(finding) => {
                self.exported.not_selected += 1;
                Ok(())
            }
            Content::Invalid(finding, bytes) => {
                self.invalid(finding, bytes.clone(), Row::of_object(&object.key, object.digest.as_ref()))
            }
            Content::Archived => {
                self.exported.archived += 1;
                Ok(())
            }
            Content::Gone => {
                self.exported.findings.push(Finding::new(object.key, Fault::Deleted, "only delete markers are left"));
                Ok(())
            }
        }
    }

    fn invalid(&mut self, finding: &Finding, content: Vec<u8>, row: Row) -> Result<()> {
        self.exported.findings.push(finding.clone());
        if self.format == Format::Csv {
            return self.record(INVALID, &csv_row(&row.invalid(finding))?);
        }
        let mut marked = json!({
            "recordType": INVALID, "object": finding.object, "fault": finding.fault, "why": finding.why,
        });
        match String::from_utf8(content) {
            Ok(text) => marked["content"] = text.into(),
            Err(error) => marked["contentBase64"] = STANDARD.encode(error.as_bytes()).into(),
        }
        self.record(INVALID, &marked.to_string())
    }

    fn record(&mut self, kind: &str, line: &str) -> Result<()> {
        self.line(line)?;
        *self.exported.written.entry(kind.to_owned()).or_default() += 1;
        Ok(())
    }

    fn line(&mut self, line: &str) -> Result<()> {
        let line = match (self.for_terminal, self.format) {
            (false, _) => Cow::Borrowed(line),
            (true, Format::Ndjson) => printable_json(line),
            (true, Format::Csv) => printable(line),
        };
        Ok(writeln!(self.writer, "{line}").map_err(OutputError::from)?)
    }
}

/// The kind of an object that isn't a valid record.
pub const INVALID: &str = "INVALID";

/// What a record counts as: its outcome, or OUT_OF_BAND.
pub fn kind(record: &Record) -> &str {
    match record {
        Record::Change(change) => change.document["outcome"].as_str().unwrap_or(INVALID),
        Record::OutOfBand(_) => "OUT_OF_BAND",
    }
}

/// A row as CSV (RFC 4180), without a line feed at its end.
fn csv_row(row: &Row) -> Result<String> {
    csv_line(row.columns().map(|(_, cell)| guarded(cell.as_bytes())))
}

fn csv_line<const COLUMNS: usize>(cells: [impl AsRef<[u8]>; COLUMNS]) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells.each_ref().map(AsRef::as_ref)).context("failed to write a row")?;
    let line = String::from_utf8(writer.into_inner().context("failed to write a row")?)?;
    Ok(line.trim_end_matches('\n').to_owned())
}

/// Out-of-band records, read by day, because within a day their keys aren't in the order of time.
struct Aside {
    bucket: Bucket,
    meter: Meter,
    days: BTreeMap<Date, Vec<Listed>>,
    waiting: VecDeque<(u64, Object)>,
    /// The digests of what was read, in the order of the keys.
    read: BTreeMap<String, Digest>,
}

impl Aside {
    /// Writes the records observed before a moment.
    async fn before(&mut self, millis: u64, lines: &mut Lines<'_, impl Write>) -> Result<()> {
        let today = audit_log::ids::date_of(millis);
        loop {
            while self.waiting.front().is_some_and(|(observed, _)| *observed < millis) {
                let Some((_, object)) = self.waiting.pop_front() else { break };
                lines.write(object)?;
            }
            let next = self.days.first_key_value().map(|(day, _)| *day);
            if !self.waiting.is_empty() || next.is_none_or(|day| day > today) {
                return Ok(());
            }
            let Some((_, listed)) = self.days.pop_first() else { return Ok(()) };
            let mut objects = Vec::with_capacity(listed.len());
            let mut read = std::pin::pin!(self.bucket.read_listed(listed));
            while let Some(object) = read.try_next().await? {
                self.meter.advance();
                self.read.extend(object.digest.map(|digest| (object.key.clone(), digest)));
                objects.push((millis_of(&object), object));
            }
            objects.sort_by(|one, other| (one.0, &one.1.key).cmp(&(other.0, &other.1.key)));
            self.waiting = objects.into();
        }
    }
}

fn millis_of(object: &Object) -> u64 {
    match &object.content {
        Content::Record(record) => record.millis(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_for_a_terminal_only() {
        let line = "{\"name\":\"\u{9b}31m\u{202e}\"}";
        for (for_terminal, expected) in
            [(false, format!("{line}\n")), (true, "{\"name\":\"\\u009b31m\\u202e\"}\n".to_owned())]
        {
            let arguments = Arguments::default();
            let mut lines = Lines { for_terminal, ..Lines::new(Vec::new(), &arguments) };
            lines.line(line).unwrap();
            assert_eq!(String::from_utf8(lines.writer).unwrap(), expected);
        }
    }

    #[test]
    fn csv_quotes_separators() {
        let row = Row { name: "=Lamp, \"large\"\nred".to_owned(), ..Row::default() };
        let line = csv_row(&row).unwrap();
        assert!(line.contains(",\"'=Lamp, \"\"large\"\"\nred\","), "{line}");
    }
}
