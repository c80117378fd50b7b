//! `catalogctl audit export`: the records, one per line, in the order of time.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufWriter, IntoInnerError, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use futures_util::TryStreamExt;
use serde_json::json;
use time::Date;

use super::verify::Days;
use crate::audit_bucket::{Bucket, Listed};
use crate::exit_status::ExitStatus;
use crate::output::OutputError;
use crate::printable::printable_json;
use crate::private_file;
use crate::progress::{Meter, Progress};
use crate::target::Target;
use audit_log::finding::{Fault, Finding};
use audit_log::verification::{Content, Object};

/// Write the audit records as newline-delimited JSON, in the order of time
///
/// A line is an object of the bucket, byte for byte; on a terminal, control characters are escaped. Changes made outside the
/// API are placed at the time at which they were observed. An object that isn't a valid record is written as
/// {"recordType":"INVALID","object":KEY,"fault":…,"why":…,"content":TEXT} with its content as a string, or, if it isn't UTF-8,
/// with "contentBase64"; archived and deleted objects are reported and omitted.
///
/// Exit codes: 0 every object was written and is a valid record; 1 the command failed; 2 there are invalid, archived or
/// deleted objects.
#[derive(Debug, Clone, Default, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    #[command(flatten)]
    pub days: Days,
    /// File to create, readable by its owner only; `-` is standard output (default: standard output)
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// The result of an export.
#[derive(Debug, Default)]
pub struct Exported {
    pub lines: u64,
    pub archived: u64,
    /// Objects that were written as invalid, or deleted ones, which were omitted.
    pub findings: Vec<Finding>,
}

/// Exports to the file or to standard output.
pub async fn run(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<ExitStatus> {
    let exported = match &arguments.out {
        Some(path) if path != Path::new("-") => into_file(target, arguments, path, progress).await?,
        _ => {
            let stdout = std::io::stdout();
            let is_terminal = stdout.is_terminal();
            let mut lines = Lines::new(BufWriter::new(stdout));
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
    progress.say(format!("Lines written: {}", exported.lines));
    let fine = exported.findings.is_empty() && exported.archived == 0;
    Ok(if fine { ExitStatus::Success } else { ExitStatus::NeedsAttention })
}

/// Creates the file when it is complete, and never replaces another.
async fn into_file(target: &Target, arguments: &Arguments, path: &Path, progress: &Progress) -> Result<Exported> {
    private_file::require_new(path)?;
    let cannot = || format!("failed to create {}", path.display());
    let file = private_file::beside(path).with_context(cannot)?;
    let mut writer = BufWriter::new(file);
    let exported = export(target, arguments, Lines::new(&mut writer), progress).await?;
    let file = writer.into_inner().map_err(IntoInnerError::into_error).with_context(cannot)?;
    file.persist_noclobber(path).with_context(cannot)?;
    Ok(exported)
}

/// Writes the records of the window.
async fn export(
    target: &Target,
    arguments: &Arguments,
    mut lines: Lines<impl Write>,
    progress: &Progress,
) -> Result<Exported> {
    let bucket = target.audit_bucket();
    let step = progress.step(format!("export {}", bucket.name()));
    let (meter, window) = (step.meter(), arguments.days.window()?);
    let listed: Vec<Listed> = bucket.list(vec![window.keys("out-of-band")], meter.clone()).try_collect().await?;
    let mut aside =
        Aside { bucket: bucket.clone(), meter: meter.clone(), days: by_day(listed), waiting: VecDeque::new() };
    let mut changes = std::pin::pin!(bucket.objects(vec![window.keys("events")], &meter));
    while let Some(object) = changes.try_next().await? {
        if let Content::Record(record) = &object.content {
            aside.before(record.millis(), &mut lines).await?;
        }
        lines.write(object)?;
    }
    aside.before(u64::MAX, &mut lines).await?;
    lines.writer.flush().map_err(OutputError::from)?;
    step.done(format!("{} records", lines.exported.lines));
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

/// Writes records as lines.
struct Lines<W> {
    writer: W,
    /// Characters that a terminal would act upon are escaped, as JSON escapes them.
    for_terminal: bool,
    exported: Exported,
}

impl<W: Write> Lines<W> {
    fn new(writer: W) -> Self {
        Self { writer, for_terminal: false, exported: Exported::default() }
    }

    fn write(&mut self, object: Object) -> Result<()> {
        match object.content {
            Content::Record(record) => match record.form().cloned() {
                Some(finding) => self.invalid(finding, record.line().into_bytes()),
                None => self.line(&record.line()),
            },
            Content::Invalid(finding, bytes) => self.invalid(finding, bytes),
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

    fn invalid(&mut self, finding: Finding, content: Vec<u8>) -> Result<()> {
        let mut marked = json!({
            "recordType": "INVALID", "object": finding.object, "fault": finding.fault, "why": finding.why,
        });
        match String::from_utf8(content) {
            Ok(text) => marked["content"] = text.into(),
            Err(error) => marked["contentBase64"] = STANDARD.encode(error.as_bytes()).into(),
        }
        self.exported.findings.push(finding);
        self.line(&marked.to_string())
    }

    fn line(&mut self, line: &str) -> Result<()> {
        let line = if self.for_terminal { printable_json(line) } else { line.into() };
        writeln!(self.writer, "{line}").map_err(OutputError::from)?;
        self.exported.lines += 1;
        Ok(())
    }
}

/// Out-of-band records, read by day, because within a day their keys aren't in the order of time.
struct Aside {
    bucket: Bucket,
    meter: Meter,
    days: BTreeMap<Date, Vec<Listed>>,
    waiting: VecDeque<(u64, Object)>,
}

impl Aside {
    /// Writes the records observed before a moment.
    async fn before(&mut self, millis: u64, lines: &mut Lines<impl Write>) -> Result<()> {
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
            let mut lines = Lines { for_terminal, ..Lines::new(Vec::new()) };
            lines.line(line).unwrap();
            assert_eq!(String::from_utf8(lines.writer).unwrap(), expected);
        }
    }
}
