//! A developer's local stack, as far as an operator's program needs to know it: where it answers and what is in it.
//!
//! `cargo xtask up` writes `stack.json` into the stack's folder, `.catalogue` for the developer's own. That file is all that
//! the two programs share; `--local` or CATALOGUE_LOCAL names another one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// Where the file lies, from a folder of the developer's tree.
const USUAL: &str = ".catalogue/stack.json";

/// A local stack, as its file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalStack {
    /// The folder of the file: the stack's other files lie there too.
    pub folder: PathBuf,
    pub facts: Facts,
}

/// What the file holds, besides much that only `xtask` needs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    pub endpoint_url: String,
    pub environment: String,
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub table_name: String,
    pub audit_bucket: String,
}

impl LocalStack {
    /// The stack of that file, or the one whose `.catalogue` lies in `here` or the nearest folder above it.
    pub fn find(file: Option<&Path>, here: &Path) -> Result<Self> {
        if let Some(file) = file {
            return Self::read(file);
        }
        match here.ancestors().map(|folder| folder.join(USUAL)).find(|file| file.is_file()) {
            Some(file) => Self::read(&file),
            None => bail!(
                "name the environment to work on: `--env dev`. There is no local stack to work on instead: no {USUAL} in {} \
                 or a folder above it; `cargo xtask up --detach` writes it, and `--local FILE` names another",
                here.display()
            ),
        }
    }

    fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let facts = serde_json::from_str(&text)
            .with_context(|| format!("{} does not describe a local stack", file.display()))?;
        Ok(Self { folder: file.parent().unwrap_or(Path::new("")).to_owned(), facts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"endpointUrl": "http://127.0.0.1:4566", "environment": "dev", "region": "eu-west-1",
        "accessKeyId": "test", "secretAccessKey": "test", "tableName": "products", "auditBucket": "audit", "port": 4566}"#;

    #[test]
    fn finds_nearest_stack_above_folder() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().join("a/b");
        fs::create_dir_all(&here).unwrap();
        let none = LocalStack::find(None, &here).unwrap_err().to_string();
        assert!(none.contains("--env dev") && none.contains("--local FILE"), "{none}");

        fs::create_dir(folder.path().join(".catalogue")).unwrap();
        fs::write(folder.path().join(USUAL), FILE).unwrap();
        let found = LocalStack::find(None, &here).unwrap();
        assert_eq!((found.folder, found.facts.table_name.as_str()), (folder.path().join(".catalogue"), "products"));
    }

    #[test]
    fn names_file_that_describes_no_stack() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("stack.json");
        assert!(LocalStack::find(Some(&file), folder.path()).unwrap_err().to_string().contains("cannot be read"));
        fs::write(&file, "{}").unwrap();
        assert!(LocalStack::find(Some(&file), folder.path()).unwrap_err().to_string().contains("does not describe"));
        fs::write(&file, FILE).unwrap();
        assert!(LocalStack::find(Some(&file), folder.path()).is_ok());
    }
}
