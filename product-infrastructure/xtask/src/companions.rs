//! The workspace's other programs, started as programs: this tool shares no module with them, and compiles them only when
//! they are asked for.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::cargo;
use crate::environment::Environment;
use crate::prerequisites;
use crate::progress::Progress;
use crate::stack::Stack;
use crate::status::Status;
use crate::workspace::Workspace;

/// Builds a program of the workspace with its locked dependencies and returns its path.
pub async fn build(workspace: &Workspace, stack: &Stack, name: &str, progress: &Progress) -> Result<PathBuf> {
    let step = progress.step(format!("build {name}"));
    let finished = cargo::command(stack.log(&format!("build-{name}")))
        .directory(workspace.tools_workspace())
        .args(["build", "--locked", "--workspace", "--bin", name, "--message-format=json-render-diagnostics"])
        .run(&format!("the build of {name}"))
        .await?;
    let binary =
        cargo::executable(&finished.stdout, name).with_context(|| format!("the build of {name} produced no binary"))?;
    step.done("");
    Ok(binary)
}

/// `bench`, with what it needs of this machine: an interpreter for the baseline, the running stack, `catalogctl`.
pub async fn bench(
    workspace: &Workspace,
    stack: &Stack,
    arguments: &[OsString],
    progress: &Progress,
) -> Result<ExitCode> {
    let mut command = bench_command(workspace, stack, arguments, progress).await?;
    let status = command.status().await.context("failed to start bench")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The same, not yet started.
pub async fn bench_command(
    workspace: &Workspace,
    stack: &Stack,
    arguments: &[OsString],
    progress: &Progress,
) -> Result<tokio::process::Command> {
    let program = build(workspace, stack, "bench", progress).await?;
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).env("CATALOGUE_TREE", workspace.root()).env("CATALOGUE_LOGS", stack.logs());
    if arguments.iter().any(|argument| argument == "--python") {
        let python = prerequisites::python(&stack.log("prerequisites")).await?;
        let environment = Environment::baseline(workspace);
        environment.ensure(&python, stack, progress).await?;
        command.env("CATALOGUE_PYTHON", environment.program("python"));
    }
    if arguments.iter().any(|argument| argument == "load") {
        command
            .env("CATALOGUE_STATUS", serde_json::to_string(&Status::of(stack)?).context("failed to parse the status")?)
            .env("CATALOGUE_LOCAL", stack.facts())
            .env("CATALOGUE_CATALOGCTL", build(workspace, stack, "catalogctl", progress).await?);
    }
    Ok(command)
}
