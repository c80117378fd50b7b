//! FILE.rejects.csv: the rows that have to be corrected, with the reasons, to be imported in their turn.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use csv::{StringRecord, Writer, WriterBuilder};
use tempfile::NamedTempFile;

use super::columns::{JSON_COLUMN, REJECT_COLUMNS, is_of_rejects};
use super::contract::Violation;
use super::rows::{Row, Source};
use crate::private_file;
use crate::spreadsheet::{guarded, unguarded};

/// The file of rejected rows: written beside the source, and renamed once it is complete.
pub struct Rejects {
    path: PathBuf,
    header: Vec<String>,
    /// How many columns of the source aren't repeated: it may be a file of rejected rows.
    skipped: usize,
    delimiter: u8,
    writer: Option<Writer<NamedTempFile>>,
}

impl Rejects {
    /// `header` is the source's, if it has one.
    pub fn new(source: &Path, header: Option<&StringRecord>, delimiter: u8) -> Self {
        let mut path = OsString::from(source);
        path.push(".rejects.csv");
        let skipped = header.filter(|header| is_of_rejects(header)).map_or(0, |_| REJECT_COLUMNS.len());
        let header = match header {
            Some(header) => header.iter().skip(skipped).map(str::to_owned).collect(),
            None => vec![JSON_COLUMN.to_owned()],
        };
        Self { path: path.into(), header, skipped, delimiter, writer: None }
    }

    /// Adds a row with everything that is wrong with it.
    pub fn add(&mut self, row: &Row, found: &[Violation]) -> Result<()> {
        let failed = format!("failed to write {}", self.path.display());
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                let file = private_file::beside(&self.path).context(failed.clone())?;
                // A row with too many cells keeps them.
                let mut writer = WriterBuilder::new().flexible(true).delimiter(self.delimiter).from_writer(file);
                let header = REJECT_COLUMNS.into_iter().chain(self.header.iter().map(String::as_str));
                writer.write_record(header).context(failed.clone())?;
                none.insert(writer)
            }
        };
        let joined = |part: fn(&Violation) -> &str| found.iter().map(part).collect::<Vec<_>>().join("; ");
        let reason = [
            row.origin.to_string(),
            row.line.to_string(),
            joined(|violation| &violation.field),
            joined(|violation| &violation.code),
            joined(|violation| &violation.message),
        ];
        // A message can quote the row. The cells mean the same when they are imported again: what is guarded already isn't
        // guarded twice.
        let reason = reason.iter().map(|cell| guarded(cell.as_bytes()));
        let again = |cell| guarded(std::str::from_utf8(cell).map_or(cell, |cell| unguarded(cell).as_bytes()));
        match &row.source {
            Source::Cells(cells) => writer.write_record(reason.chain(cells.iter().skip(self.skipped).map(again))),
            Source::Line(line) => writer.write_record(reason.chain([guarded(line)])),
        }
        .context(failed)
    }

    /// Replaces the file of an earlier run, or removes it if no row was rejected. Returns the file's path.
    pub fn finish(self) -> Result<Option<PathBuf>> {
        let failed = || format!("failed to write {}", self.path.display());
        let Some(writer) = self.writer else {
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_context(failed),
                _ => Ok(None),
            };
        };
        let file = writer.into_inner().map_err(csv::IntoInnerError::into_error).with_context(failed)?;
        file.persist(&self.path).with_context(failed)?;
        Ok(Some(self.path))
    }
}
