//! Digests of the inputs of steps, so that a step is skipped when its inputs haven't changed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};

/// Collects inputs. Each is preceded by its length, so that moving a byte from one to the next changes the digest.
#[derive(Default)]
pub struct Inputs(Sha256);

impl Inputs {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    pub fn text(self, text: impl AsRef<str>) -> Self {
        self.bytes(text.as_ref().as_bytes())
    }

    pub fn file(self, path: &Path) -> Result<Self> {
        let content = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
        Ok(self.bytes(&content))
    }

    /// The digest in lower-case hexadecimal.
    pub fn digest(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The recorded digest of a step that succeeded.
#[derive(Debug, Clone)]
pub struct Stamp(PathBuf);

impl Stamp {
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Whether the step last succeeded with exactly these inputs.
    pub fn matches(&self, digest: &str) -> bool {
        self.recorded().is_some_and(|recorded| recorded == digest)
    }

    /// The digest of the last success.
    pub fn recorded(&self) -> Option<String> {
        fs::read_to_string(&self.0).ok()
    }

    /// Records a success. To be called after the step, never before it.
    pub fn record(&self, digest: &str) -> Result<()> {
        if let Some(folder) = self.0.parent() {
            fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
        }
        fs::write(&self.0, digest).with_context(|| format!("failed to write {}", self.0.display()))
    }

    /// Forgets a success, so that the step runs again even if it is interrupted half-way this time.
    pub fn clear(&self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_depends_on_input_boundaries() {
        let one = Inputs::new().text("ab").text("c").digest();
        let other = Inputs::new().text("a").text("bc").digest();
        assert_ne!(one, other);
        assert_eq!(one, Inputs::new().bytes(b"ab").bytes(b"c").digest());
        assert_eq!(one.len(), 64);
    }

    #[test]
    fn stamp_matches_only_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        let stamp = Stamp::at(folder.path().join("stamps/root"));
        assert!(!stamp.matches("a"));
        stamp.record("a").unwrap();
        assert!(stamp.matches("a") && !stamp.matches("b"));
        stamp.clear();
        assert!(!stamp.matches("a"));
    }
}
