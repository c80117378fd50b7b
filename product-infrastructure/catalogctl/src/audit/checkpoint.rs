//! The file from which an interrupted verification continues.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::verify::{TOOL, now};
use crate::private_file;
use audit_log::verification::Verification;
use audit_log::window::Window;

/// Saving takes at most this share of the time: the file grows with the products.
const MAX_SHARE: u32 = 20;

/// What is verified, and by which program. A checkpoint of anything else isn't continued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    tool: String,
    system: String,
    bucket: String,
    table: Option<String>,
    days: Window,
}

impl Identity {
    /// `table`: what the bucket is compared with, if anything.
    pub fn new(system: &str, bucket: &str, table: Option<String>, days: Window) -> Self {
        Self { tool: TOOL.to_owned(), system: system.to_owned(), bucket: bucket.to_owned(), table, days }
    }
}

/// The file's content.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Saved<I, V> {
    of: I,
    /// When the verification began.
    begun_at: String,
    /// The key of the last object that was taken.
    after: String,
    verification: V,
}

/// A verification's file.
pub struct Checkpoint {
    path: PathBuf,
    identity: Identity,
    /// When the verification began, RFC 3339.
    pub begun_at: String,
    every: Duration,
    next_save: Instant,
    saved: Option<(Verification, String)>,
}

impl Checkpoint {
    /// Reads the file if there is one. Fails if it is the checkpoint of another verification.
    pub fn open(path: &Path, identity: Identity, every: Duration) -> Result<Self> {
        let failed = || format!("failed to read checkpoint {}", path.display());
        let saved: Option<Saved<Identity, Verification>> = match File::open(path) {
            Ok(file) => Some(serde_json::from_reader(BufReader::new(file)).with_context(failed)?),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(failed),
        };
        if saved.as_ref().is_some_and(|saved| saved.of != identity) {
            bail!(
                "{} is the checkpoint of a verification with other options, of another bucket or by another version; \
                 delete it, or specify another file",
                path.display()
            );
        }
        let begun_at = match &saved {
            Some(saved) => saved.begun_at.clone(),
            None => now()?,
        };
        let saved = saved.map(|saved| (saved.verification, saved.after));
        Ok(Self { path: path.to_owned(), identity, begun_at, every, next_save: Instant::now() + every, saved })
    }

    /// The verification as it was saved, and the key of the last object that it has taken.
    pub fn take_saved(&mut self) -> Option<(Verification, String)> {
        self.saved.take()
    }

    /// Whether it is time to save.
    pub fn is_due(&self) -> bool {
        Instant::now() >= self.next_save
    }

    /// Replaces the file, so that an interruption leaves the old or the new one.
    pub fn save(&mut self, after: &str, verification: &Verification) -> Result<()> {
        let begun = Instant::now();
        let (begun_at, after) = (self.begun_at.clone(), after.to_owned());
        let saved = Saved { of: &self.identity, begun_at, after, verification };
        let write = || -> Result<()> {
            let mut file = private_file::beside(&self.path)?;
            let mut writer = BufWriter::new(file.as_file_mut());
            serde_json::to_writer(&mut writer, &saved)?;
            writer.flush()?;
            drop(writer);
            file.as_file().sync_all()?;
            file.persist(&self.path)?;
            Ok(())
        };
        write().with_context(|| format!("failed to write checkpoint {}", self.path.display()))?;
        self.next_save = Instant::now() + self.every.max(begun.elapsed() * MAX_SHARE);
        Ok(())
    }

    /// Removes the file: the verification has ended.
    pub fn remove(self) -> Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("failed to remove checkpoint {}", self.path.display()))
            }
            _ => Ok(()),
        }
    }
}
