//! A manifest beside a file that is handed over: it ties the file to the objects of the bucket that it was made from.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use time::Date;

use super::filter::Filter;
use super::verify;
use crate::private_file;
use crate::target::Target;
use audit_log::json::hex;
use audit_log::window::{Window, date_text};

/// What a file is and what it was made from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Name of the file, without its folder.
    pub file: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Size of the file.
    pub bytes: u64,
    /// "prod (AWS, eu-west-1)".
    pub system: String,
    pub environment: String,
    pub bucket: String,
    /// First and last day; `null` is unlimited.
    #[serde(serialize_with = "date_text::serialize")]
    pub from: Option<Date>,
    #[serde(serialize_with = "date_text::serialize")]
    pub to: Option<Date>,
    pub filter: Filter,
    /// Number of records in the file.
    pub records: u64,
    /// Number of objects that were read, whether the filter selects them or not.
    pub objects: u64,
    /// The digest over these objects that `audit verify` prints for the same days.
    pub digest: String,
    /// Program and version.
    pub tool: &'static str,
    /// When the file was complete, RFC 3339.
    pub created_at: String,
}

/// What was read from the bucket for a file.
#[derive(Debug, Clone, Default)]
pub struct Source {
    pub records: u64,
    pub objects: u64,
    pub digest: String,
}

impl Manifest {
    /// The manifest of a file that has been written, as its [`Measured`] writer knows it.
    pub fn new(
        path: &Path,
        content: Content,
        target: &Target,
        window: Window,
        filter: &Filter,
        source: Source,
    ) -> Result<Self> {
        Ok(Self {
            file: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            sha256: content.sha256,
            bytes: content.bytes,
            system: target.name.clone(),
            environment: target.environment.clone(),
            bucket: target.bucket.clone(),
            from: window.from,
            to: window.to,
            filter: filter.clone(),
            records: source.records,
            objects: source.objects,
            digest: source.digest,
            tool: verify::TOOL,
            created_at: verify::now()?,
        })
    }

    /// Creates the manifest beside its file, readable by its owner only.
    pub fn write(&self, path: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(self).context("failed to serialize the manifest")?;
        private_file::create(&beside(path), &format!("{json}\n"))
    }
}

/// Where a file's manifest is.
pub fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".manifest.json");
    PathBuf::from(name)
}

/// Fails if the file or its manifest exists already.
pub fn require_new(path: &Path) -> Result<()> {
    private_file::require_new(path)?;
    private_file::require_new(&beside(path))
}

/// What a writer has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub sha256: String,
    pub bytes: u64,
}

/// Writes to another writer, and computes size and SHA-256 on the way.
#[derive(Debug)]
pub struct Measured<W> {
    writer: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Measured<W> {
    pub fn new(writer: W) -> Self {
        Self { writer, hash: Sha256::new(), bytes: 0 }
    }

    /// The writer, and what was written to it.
    pub fn finish(self) -> (W, Content) {
        (self.writer, Content { sha256: hex(&self.hash.finalize()), bytes: self.bytes })
    }
}

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use audit_log::json::sha256;

    #[test]
    fn measures_what_was_written() {
        let mut writer = Measured::new(Vec::new());
        writer.write_all(b"one").unwrap();
        writer.write_all(b" two").unwrap();
        let (written, content) = writer.finish();
        assert_eq!(content, Content { sha256: hex(&sha256(&written)), bytes: 7 });
    }

    #[test]
    fn manifest_lies_beside_its_file() {
        assert_eq!(beside(Path::new("a/b.csv")), Path::new("a/b.csv.manifest.json"));
    }
}
