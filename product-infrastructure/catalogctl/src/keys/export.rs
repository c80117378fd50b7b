//! `catalogctl keys export`: the current API key, from the secret into a file that only its owner can read.
//!
//! Into a file and not onto the screen: a terminal keeps what it has shown, and a pipeline's log is read by many.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use super::git;
use crate::aws;
use crate::private_file;
use crate::progress::Progress;
use crate::target::Target;

/// Write the current API key to a file that only you can read. The key itself is never shown.
///
/// Refused when git tracks the file or would: inside a work tree the file must be ignored.
///
/// Exit code: 0 written; 1 could not be done.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// The file. Without it, `.catalogue/api-key-ENV`, or the one that `cargo xtask up` writes for a local stack.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// One JSON object, which says where the key is, not what it is.
    #[arg(long)]
    pub json: bool,
}

/// Reads the secret and writes the file; `usual` is where it goes unless told otherwise.
pub async fn run(target: &Target, arguments: &Arguments, usual: &Path, progress: &Progress) -> Result<ExitCode> {
    let file = match &arguments.out {
        Some(file) => file.as_path(),
        None => {
            let folder = usual.parent().context("the usual file lies nowhere")?;
            std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
            usual
        }
    };
    // Before the secret is read: what is not written need not be fetched, and every read of a secret is on record.
    git::refuse_if_taken(file)?;
    let key = aws::api_key(&target.config, &target.environment).await?;
    private_file::write(file, &key)?;
    let secret = aws::api_key_secret(&target.environment);
    if arguments.json {
        progress.print(&serde_json::to_string_pretty(&json!({
            "environment": target.environment, "secret": secret, "file": file,
        }))?);
    } else {
        progress.print(&format!("The API key of {} is in {}.", target.name, file.display()));
    }
    Ok(ExitCode::SUCCESS)
}
