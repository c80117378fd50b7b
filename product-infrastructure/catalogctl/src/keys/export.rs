//! `catalogctl keys export`: a client's current API key, from the secret into a file that only its owner can read.
//!
//! The key goes to a file and not to standard output: terminals keep their history, and many people read pipeline logs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use super::client::Client;
use super::git;
use crate::aws;
use crate::exit_status::ExitStatus;
use crate::output;
use crate::private_file;
use crate::target::Target;

/// Write a client's current API key to a file that only you can read
///
/// The key is never printed. Inside a git work tree, the file must be ignored by git.
///
/// Exit codes: 0 the key was written; 1 the command failed.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Client whose key is written
    #[arg(long, value_name = "NAME", default_value_t)]
    pub client: Client,
    /// File to write (default: .catalogue/api-key-ENV, or api-key-ENV-NAME with --client; for a local stack, the file that
    /// `cargo xtask up` writes, or api-key-NAME beside it)
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print the output as JSON: the file's path, without the key
    #[arg(long)]
    pub json: bool,
}

/// Reads the secret and writes the file; `default_file` is used without `--out`.
pub async fn run(target: &Target, arguments: &Arguments, default_file: &Path) -> Result<ExitStatus> {
    let file = match &arguments.out {
        Some(file) => file.as_path(),
        None => {
            let folder = default_file.parent().context("the default file has no folder")?;
            std::fs::create_dir_all(folder).with_context(|| format!("failed to create folder {}", folder.display()))?;
            default_file
        }
    };
    // Checked before the secret is read: each read of a secret is recorded in CloudTrail.
    git::require_ignored(file)?;
    let client = &arguments.client;
    let secret = client.secret(&target.environment);
    let key = aws::api_key(&target.config, &secret).await?;
    private_file::write(file, &key)?;
    if arguments.json {
        output::print_json(
            &json!({"environment": target.environment, "client": client, "secret": secret, "file": file}),
        )?;
    } else {
        output::print(&format!("Wrote the API key of client {client} of {} to {}.", target.name, file.display()))?;
    }
    Ok(ExitStatus::Success)
}
