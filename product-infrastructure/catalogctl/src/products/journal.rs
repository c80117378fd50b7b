//! FILE.import.ndjson: what an import has done so far, so that the next run continues an interrupted one.
//!
//! The first line says which import it is, each further line what became of a row, and a last one that the import is
//! complete. A row without a line is imported again, which is harmless.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

/// What a run must have in common with an earlier one to continue it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    pub file_sha256: String,
    /// The options that change what a row means.
    pub options: String,
    pub api: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    import_id: String,
    #[serde(flatten)]
    identity: Identity,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fate {
    Created,
    Updated,
    Unchanged,
    Rejected,
    Failed,
}

/// How many rows ended in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub created: u64,
    pub updated: u64,
    pub unchanged: u64,
    pub rejected: u64,
    pub failed: u64,
}

impl Counts {
    pub fn add(&mut self, outcome: Fate) {
        *match outcome {
            Fate::Created => &mut self.created,
            Fate::Updated => &mut self.updated,
            Fate::Unchanged => &mut self.unchanged,
            Fate::Rejected => &mut self.rejected,
            Fate::Failed => &mut self.failed,
        } += 1;
    }

    /// All rows.
    pub fn sum(&self) -> u64 {
        self.created + self.updated + self.unchanged + self.rejected + self.failed
    }
}

/// A row of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    pub row: u64,
    pub outcome: Fate,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Entry {
    /// A row that wasn't imported.
    pub fn error(row: u64, outcome: Fate, error: String) -> Self {
        Self { row, outcome, product_id: None, event_id: None, error: Some(error) }
    }
}

/// The journal of a running import.
pub struct Journal {
    path: PathBuf,
    file: File,
    pub import_id: String,
    /// The rows that an earlier run has imported; bit by bit, so that a million take 128 KB.
    done: Vec<u64>,
    /// What became of them.
    pub earlier: Counts,
}

impl Journal {
    /// Opens the journal of a file of products: an interrupted import of the same is continued, any other one is replaced.
    ///
    /// Fails while another process imports the file.
    pub fn open(source: &Path, identity: &Identity) -> Result<Self> {
        let mut path = OsString::from(source);
        path.push(".import.ndjson");
        let path = PathBuf::from(path);
        let failed = || format!("failed to open {}", path.display());
        // It holds product IDs, which are nobody else's business.
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = file.with_context(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another import of {} is running", source.display()),
            Err(TryLockError::Error(error)) => return Err(error).with_context(failed),
        }
        let interrupted = read(&file, identity).with_context(failed)?;
        let continued = interrupted.is_some();
        let Read { import_id, done, earlier } = interrupted.unwrap_or_else(Read::new);
        if continued {
            file.seek(SeekFrom::End(0)).with_context(failed)?;
        } else {
            file.set_len(0).and_then(|()| file.rewind()).with_context(failed)?;
        }
        let mut journal = Self { path, file, import_id, done, earlier };
        if continued {
            // An interruption may have cut the last line.
            journal.write("")?;
        } else {
            let header = Header { import_id: journal.import_id.clone(), identity: identity.clone() };
            journal.line(&header)?;
        }
        Ok(journal)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether an earlier run has imported the row.
    pub fn has(&self, row: u64) -> bool {
        let (word, bit) = position(row);
        self.done.get(word).is_some_and(|bits| bits >> bit & 1 == 1)
    }

    /// Adds a row.
    pub fn add(&mut self, entry: &Entry) -> Result<()> {
        self.line(entry)
    }

    /// Adds that the import is complete: the next run begins a new one.
    pub fn complete(&mut self) -> Result<()> {
        self.line(&json!({"complete": true}))
    }

    fn line(&mut self, line: &impl Serialize) -> Result<()> {
        self.write(&serde_json::to_string(line).context("failed to serialise a line of the journal")?)
    }

    fn write(&mut self, line: &str) -> Result<()> {
        let written = self.file.write_all(format!("{line}\n").as_bytes());
        written.with_context(|| format!("failed to write {}", self.path.display()))
    }
}

impl Drop for Journal {
    /// Unlocks instead of only closing: a program that another thread is starting has a copy of the file, and the lock with
    /// it, until it runs (flock(2)).
    fn drop(&mut self) {
        // A lock that can't be released here ends with this process.
        _ = self.file.unlock();
    }
}

#[derive(Default)]
struct Read {
    import_id: String,
    done: Vec<u64>,
    earlier: Counts,
}

impl Read {
    /// A new import, of an ID that no other has.
    fn new() -> Self {
        Self { import_id: Uuid::new_v4().to_string(), ..Self::default() }
    }
}

/// The rows that an interrupted import of the same has imported; `None` without such an import.
fn read(file: &File, identity: &Identity) -> std::io::Result<Option<Read>> {
    let mut lines = BufReader::new(file).lines();
    let header = lines.next().transpose()?.and_then(|line| serde_json::from_str::<Header>(&line).ok());
    let Some(header) = header.filter(|header| header.identity == *identity) else { return Ok(None) };
    let mut found = Read { import_id: header.import_id, ..Read::default() };
    for line in lines {
        let line = line?;
        if line == "{\"complete\":true}" {
            return Ok(None);
        }
        // Rejected and failed rows are tried again: what was in their way may be gone.
        if let Ok(Entry { row, outcome: outcome @ (Fate::Created | Fate::Updated | Fate::Unchanged), .. }) =
            serde_json::from_str(&line)
        {
            let (word, bit) = position(row);
            if found.done.len() <= word {
                found.done.resize(word + 1, 0);
            }
            found.done[word] |= 1 << bit;
            found.earlier.add(outcome);
        }
    }
    Ok(Some(found))
}

fn position(row: u64) -> (usize, u32) {
    (usize::try_from(row / 64).unwrap_or(usize::MAX), u32::try_from(row % 64).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(options: &str) -> Identity {
        let text = |text: &str| text.to_owned();
        Identity { file_sha256: text("00"), options: text(options), api: text("https://a.example/v1.0") }
    }

    fn entry(row: u64, outcome: Fate) -> Entry {
        Entry { row, outcome, product_id: None, event_id: None, error: None }
    }

    #[test]
    fn continues_interrupted_import_of_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("a.csv");
        let mut journal = Journal::open(&source, &identity("sku")).unwrap();
        let first = journal.import_id.clone();
        for (row, outcome) in [(1, Fate::Created), (64, Fate::Unchanged), (2, Fate::Rejected), (3, Fate::Failed)] {
            journal.add(&entry(row, outcome)).unwrap();
        }
        // Cut by an interruption.
        journal.file.write_all(b"{\"row\":5,\"outc").unwrap();
        assert!(Journal::open(&source, &identity("sku")).err().unwrap().to_string().contains("is running"));
        // As of a program that is being started.
        let _copy = journal.file.try_clone().unwrap();
        drop(journal);

        let mut journal = Journal::open(&source, &identity("sku")).unwrap();
        assert_eq!(journal.import_id, first);
        let done: Vec<u64> = (0..200).filter(|row| journal.has(*row)).collect();
        assert_eq!(done, [1, 64]);
        assert_eq!(journal.earlier, Counts { created: 1, unchanged: 1, ..Counts::default() });
        journal.add(&entry(5, Fate::Updated)).unwrap();
        drop(journal);
        assert!(Journal::open(&source, &identity("sku")).unwrap().has(5));
    }

    #[test]
    fn replaces_complete_import_and_any_other() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("a.csv");
        let mut journal = Journal::open(&source, &identity("sku")).unwrap();
        let first = journal.import_id.clone();
        journal.add(&entry(1, Fate::Created)).unwrap();
        drop(journal);
        let mut other = Journal::open(&source, &identity("row")).unwrap();
        assert!(other.import_id != first && !other.has(1));
        other.add(&entry(1, Fate::Created)).unwrap();
        other.complete().unwrap();
        drop(other);
        assert!(!Journal::open(&source, &identity("row")).unwrap().has(1));
    }
}
