//! Everything that CI runs.
use crate::cli::Test;
use crate::progress::Progress;
use crate::workspace::Workspace;
use std::process::ExitCode;
pub async fn run(_: &Workspace, _: &Test, _: &Progress) -> anyhow::Result<ExitCode> {
    todo!()
}
