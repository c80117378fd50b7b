//! `catalogctl audit export`: the records, one a line, in the order in which things happened.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufWriter, IntoInnerError, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use futures_util::TryStreamExt;
use tempfile::NamedTempFile;
use time::Date;

use super::verify::Days;
use crate::audit_bucket::{Bucket, Listed};
use crate::exit_status::ExitStatus;
use crate::progress::{Meter, Progress};
use crate::target::Target;
use audit_log::finding::Finding;
use audit_log::verification::{Content, Object};

/// Write the audit records as newline-delimited JSON, in the order in which things happened.
///
/// A line is an object of the bucket, byte for byte. Changes come in the order of their event ids; what was changed past
/// the functions comes in between, at the time at which it was observed. Objects that are not what audit-logger writes are
/// named and left out; `audit verify` judges the rest.
///
/// Exit code: 0 all was written; 1 could not be done, or not wholly (archived objects); 2 some were left out.
#[derive(Debug, Clone, Default, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    #[command(flatten)]
    pub days: Days,
    /// Write to this file, which must not exist and which only its owner may read, instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// What was written, and what was not.
#[derive(Debug, Default)]
pub struct Exported {
    pub lines: u64,
    pub archived: u64,
    pub left_out: Vec<Finding>,
}

/// Exports to where it was asked for.
pub async fn run(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<ExitStatus> {
    let exported = match &arguments.out {
        Some(path) => into_file(target, arguments, path, progress).await?,
        None => export(target, arguments, &mut BufWriter::new(std::io::stdout()), progress).await?,
    };
    for finding in &exported.left_out {
        progress.say(format!("LEFT OUT  {finding}"));
    }
    if exported.archived > 0 {
        progress.say(format!("{} objects are archived and are not in the export: restore them", exported.archived));
    }
    progress.say(format!("{} records written, {} left out.", exported.lines, exported.left_out.len()));
    Ok(match (exported.left_out.is_empty(), exported.archived) {
        (false, _) => ExitStatus::NeedsAttention,
        (true, 0) => ExitStatus::Success,
        (true, _) => ExitStatus::Failure,
    })
}

/// The file appears when it is complete, never half-written, and takes no other's place.
async fn into_file(target: &Target, arguments: &Arguments, path: &Path, progress: &Progress) -> Result<Exported> {
    if path.exists() {
        bail!("{} exists already", path.display());
    }
    let cannot = || format!("failed to create {}", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = NamedTempFile::new_in(folder).with_context(cannot)?;
    let mut writer = BufWriter::new(file);
    let exported = export(target, arguments, &mut writer, progress).await?;
    let file = writer.into_inner().map_err(IntoInnerError::into_error).with_context(cannot)?;
    file.persist_noclobber(path).with_context(cannot)?;
    Ok(exported)
}

/// Writes the records of the window.
pub async fn export(
    target: &Target,
    arguments: &Arguments,
    writer: &mut impl Write,
    progress: &Progress,
) -> Result<Exported> {
    let bucket = target.audit_bucket();
    let step = progress.step(format!("export {}", bucket.name()));
    let (meter, window) = (step.meter(), arguments.days.window());
    let listed: Vec<Listed> = bucket.list(vec![window.keys("out-of-band")], meter.clone()).try_collect().await?;
    let mut aside =
        Aside { bucket: bucket.clone(), meter: meter.clone(), days: by_day(listed), waiting: VecDeque::new() };
    let mut lines = Lines { writer, exported: Exported::default() };
    let mut changes = std::pin::pin!(bucket.objects(vec![window.keys("events")], &meter));
    while let Some(object) = changes.try_next().await? {
        if let Content::Checked(Ok(record)) = &object.content {
            aside.before(record.millis(), &mut lines).await?;
        }
        lines.write(object)?;
    }
    aside.before(u64::MAX, &mut lines).await?;
    lines.writer.flush().context("failed to write the export")?;
    step.done(format!("{} records", lines.exported.lines));
    Ok(lines.exported)
}

/// Out-of-band objects by their days, which their keys say; what has no day comes last.
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

/// Where lines go.
struct Lines<'a, W> {
    writer: &'a mut W,
    exported: Exported,
}

impl<W: Write> Lines<'_, W> {
    fn write(&mut self, object: Object) -> Result<()> {
        match object.content {
            Content::Checked(Ok(record)) => {
                writeln!(self.writer, "{}", record.line()).context("failed to write the export")?;
                self.exported.lines += 1;
            }
            Content::Checked(Err(finding)) => self.exported.left_out.push(finding),
            Content::Archived => self.exported.archived += 1,
            Content::Gone => {
                let why = "it was deleted: only delete markers are left of it";
                self.exported.left_out.push(Finding::new(object.key, audit_log::finding::Fault::Deleted, why));
            }
        }
        Ok(())
    }
}

/// Out-of-band records, a day of them at a time: within a day their keys have no order in time.
struct Aside {
    bucket: Bucket,
    meter: Meter,
    days: BTreeMap<Date, Vec<Listed>>,
    waiting: VecDeque<(u64, Object)>,
}

impl Aside {
    /// Writes what was observed before a moment.
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
                objects.push((millis_of(&object), object));
            }
            objects.sort_by(|one, other| (one.0, &one.1.key).cmp(&(other.0, &other.1.key)));
            self.waiting = objects.into();
        }
    }
}

fn millis_of(object: &Object) -> u64 {
    match &object.content {
        Content::Checked(Ok(record)) => record.millis(),
        _ => 0,
    }
}
