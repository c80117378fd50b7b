//! A developer's local stack, as far as an operator's program needs it: its endpoint, credentials and resource names.
//!
//! `cargo xtask up` writes `stack.json` into the stack's folder, `.catalogue` for the developer's own. That file is all that
//! the two programs share; `--local` or CATALOGUE_LOCAL names another one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The file's path, from a folder of the developer's tree.
const DEFAULT_FILE: &str = ".catalogue/stack.json";

/// A local stack, as its file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalStack {
    /// The folder of the file: the stack's other files lie there too.
    pub folder: PathBuf,
    pub file: StackFile,
}

/// The file's content; it also has members that only `xtask` reads.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StackFile {
    pub endpoint_url: String,
    /// The API's address, up to /v1.0.
    pub api_url: String,
    pub environment: String,
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub table_name: String,
    pub audit_bucket: String,
}

impl LocalStack {
    /// The stack that `file` describes, or the one whose `.catalogue` is in `folder` or the nearest folder above it.
    pub fn find(file: Option<&Path>, folder: &Path) -> Result<Self> {
        if let Some(file) = file {
            return Self::read(file);
        }
        match folder.ancestors().map(|folder| folder.join(DEFAULT_FILE)).find(|file| file.is_file()) {
            Some(file) => Self::read(&file),
            None => bail!(
                "no environment and no local stack to work on. Use --env dev, sit or prod; or start a local stack with \
                 `cargo xtask up --detach`, which writes {DEFAULT_FILE} (searched in {} and the folders above it), or \
                 name its file with --local FILE",
                folder.display()
            ),
        }
    }

    fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))?;
        let stack = serde_json::from_str(&text)
            .with_context(|| format!("{} doesn't describe a local stack", file.display()))?;
        Ok(Self { folder: file.parent().unwrap_or(Path::new("")).to_owned(), file: stack })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"endpointUrl": "http://127.0.0.1:4566", "apiUrl": "http://127.0.0.1:4566/v1.0", "environment": "dev", "region": "eu-west-1",
        "accessKeyId": "test", "secretAccessKey": "test", "tableName": "products", "auditBucket": "audit", "port": 4566}"#;

    #[test]
    fn finds_nearest_stack_above_folder() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().join("a/b");
        fs::create_dir_all(&here).unwrap();
        let missing = LocalStack::find(None, &here).unwrap_err().to_string();
        assert!(missing.contains("--env dev") && missing.contains("--local FILE"), "{missing}");

        fs::create_dir(folder.path().join(".catalogue")).unwrap();
        fs::write(folder.path().join(DEFAULT_FILE), FILE).unwrap();
        let found = LocalStack::find(None, &here).unwrap();
        assert_eq!((found.folder, found.file.table_name.as_str()), (folder.path().join(".catalogue"), "products"));
    }

    #[test]
    fn error_names_file_that_isnt_a_stack() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("stack.json");
        assert!(LocalStack::find(Some(&file), folder.path()).unwrap_err().to_string().contains("failed to read"));
        fs::write(&file, "{}").unwrap();
        assert!(LocalStack::find(Some(&file), folder.path()).unwrap_err().to_string().contains("doesn't describe"));
        fs::write(&file, FILE).unwrap();
        assert!(LocalStack::find(Some(&file), folder.path()).is_ok());
    }
}
