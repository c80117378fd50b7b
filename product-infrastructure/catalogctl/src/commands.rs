//! What each command does.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;

use crate::audit;
use crate::bootstrap;
use crate::cli::{Audit, AuditCommand, Cli, Command, Dlq, DlqCommand, Keys, KeysCommand};
use crate::dlq;
use crate::keys;
use crate::progress::Progress;
use crate::target::Target;

/// Runs a command to its end.
pub async fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Audit(arguments) => audit(&arguments).await,
        Command::Dlq(arguments) => dead_letters(&arguments).await,
        Command::Keys(arguments) => api_keys(&arguments).await,
        Command::Bootstrap(arguments) => bootstrap::run(&arguments, &Progress::new()).await,
    }
}

async fn audit(arguments: &Audit) -> Result<ExitCode> {
    let (target, progress) = (Target::find(&arguments.place).await?, Progress::new());
    progress.say(format!("On {}.", target.name));
    match &arguments.command {
        AuditCommand::History(arguments) => audit::history::run(&target, arguments, &progress).await,
        AuditCommand::Verify(arguments) => audit::verify::run(&target, arguments, &progress).await,
        AuditCommand::Export(arguments) => audit::export::run(&target, arguments, &progress).await,
        AuditCommand::Rebuild(arguments) => audit::rebuild::run(&target, arguments, &progress).await,
        AuditCommand::Repair(arguments) => audit::repair::run(&target, arguments, &progress).await,
    }
}

async fn dead_letters(arguments: &Dlq) -> Result<ExitCode> {
    let (target, progress) = (Target::find(&arguments.place).await?, Progress::new());
    progress.say(format!("On {}.", target.name));
    match &arguments.command {
        DlqCommand::Peek(arguments) => dlq::peek::run(&target, arguments, &progress).await,
        DlqCommand::Redrive(arguments) => dlq::redrive::run(&target, arguments, &progress).await,
    }
}

async fn api_keys(arguments: &Keys) -> Result<ExitCode> {
    let (place, progress) = (arguments.place(), Progress::new());
    match &arguments.command {
        KeysCommand::Export(export) => {
            let target = Target::find(&place).await?;
            let usual = match (&arguments.env, &target.local) {
                (None, Some(stack)) => stack.folder.join("api-key"),
                _ => PathBuf::from(".catalogue").join(format!("api-key-{}", target.environment)),
            };
            keys::export::run(&target, export, Path::new(&usual), &progress).await
        }
        KeysCommand::Rotate(rotate) => keys::rotate::run(&place, rotate, &progress).await,
    }
}
