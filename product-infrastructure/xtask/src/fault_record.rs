//! Which fault a rehearsal has made on a stack, until it is repaired.
//!
//! A file of the stack holds it, so that a rehearsal that was killed is repaired by the next `rehearse` or `up`.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::private_file;
use crate::stack::Stack;

/// A queue and its dead-letter queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Queue {
    Change,
    Audit,
}

/// The rehearsal, and what can't be found out again when its fault is repaired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// The rehearsal's name.
    pub rehearsal: String,
    /// Milliseconds since 1970.
    pub started: u64,
    /// For how many seconds a received message is hidden, by queue.
    pub visibility: [(Queue, String); 2],
}

/// The record of a fault that isn't repaired.
#[derive(Debug)]
pub struct FaultRecord {
    path: PathBuf,
    before: Before,
}

impl FaultRecord {
    /// Writes the record, before the fault is made.
    pub fn create(stack: &Stack, before: Before) -> Result<Self> {
        let path = stack.fault_record();
        let line = serde_json::to_string(&before).context("failed to serialize a fault's record")?;
        // Complete or not there: an incomplete one would be a fault that nobody can repair.
        private_file::write(&path, &line)?;
        Ok(Self { path, before })
    }

    /// The record that an earlier rehearsal left.
    pub fn find(stack: &Stack) -> Result<Option<Self>> {
        let path = stack.fault_record();
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        let first = text.lines().next().unwrap_or_default();
        match serde_json::from_str(first) {
            Ok(before) => Ok(Some(Self { path, before })),
            Err(error) => bail!(
                "{} isn't a fault's record: {error}. `cargo xtask down{} --purge` deletes it together with the stack's data",
                path.display(),
                stack.option()
            ),
        }
    }

    pub fn before(&self) -> &Before {
        &self.before
    }

    /// Notes a product that the rehearsal has created.
    pub fn add_product(&self, id: &str) -> Result<()> {
        let add = || writeln!(OpenOptions::new().append(true).open(&self.path)?, "{id}");
        add().with_context(|| format!("failed to write {}", self.path.display()))
    }

    /// The products that the rehearsal has created.
    pub fn products(&self) -> Result<Vec<String>> {
        let text = fs::read_to_string(&self.path).with_context(|| format!("failed to read {}", self.path.display()))?;
        Ok(text.lines().skip(1).map(str::to_owned).collect())
    }

    /// Deletes the record, after the fault is repaired.
    pub fn delete(self) -> Result<()> {
        fs::remove_file(&self.path).with_context(|| format!("failed to delete {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Workspace;

    fn stack(folder: &std::path::Path) -> Stack {
        let tool = folder.join("product-infrastructure/xtask");
        fs::create_dir_all(&tool).unwrap();
        fs::write(tool.join("Cargo.toml"), "").unwrap();
        let stack = Stack::new(&Workspace::above(folder).unwrap(), "test");
        fs::create_dir_all(stack.folder()).unwrap();
        stack
    }

    #[test]
    fn is_found_with_its_products_until_it_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let stack = stack(folder.path());
        assert!(FaultRecord::find(&stack).unwrap().is_none());
        let visibility = [(Queue::Change, "60".to_owned()), (Queue::Audit, "360".to_owned())];
        let before = Before { rehearsal: "api-5xx".to_owned(), started: 1_700_000_000_000, visibility };
        let made = FaultRecord::create(&stack, before.clone()).unwrap();
        made.add_product("one").unwrap();
        made.add_product("two").unwrap();
        drop(made);
        let found = FaultRecord::find(&stack).unwrap().unwrap();
        assert_eq!((found.before(), found.products().unwrap()), (&before, vec!["one".to_owned(), "two".to_owned()]));
        found.delete().unwrap();
        assert!(FaultRecord::find(&stack).unwrap().is_none());
    }

    #[test]
    fn file_of_another_kind_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let stack = stack(folder.path());
        fs::write(stack.fault_record(), "api-5xx\n").unwrap();
        assert!(FaultRecord::find(&stack).unwrap_err().to_string().contains("down --stack test --purge"));
    }
}
