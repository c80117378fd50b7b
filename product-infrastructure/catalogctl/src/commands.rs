//! Dispatch: each command with the system it works on.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::audit;
use crate::bootstrap;
use crate::cli::{Audit, AuditCommand, Command, Dlq, DlqCommand, Keys, KeysCommand, ProductsCommand};
use crate::dlq;
use crate::exit_status::ExitStatus;
use crate::keys;
use crate::logs;
use crate::products;
use crate::progress::Progress;
use crate::status;
use crate::target::Target;
use crate::trace;

/// Runs a command to its end.
pub async fn run(command: Command, progress: &Progress) -> Result<ExitStatus> {
    match command {
        Command::Status(arguments) => state(&arguments, progress).await,
        Command::Logs(arguments) => log_lines(&arguments, progress).await,
        Command::Trace(arguments) => trace_id(&arguments, progress).await,
        Command::Audit(arguments) => audit(&arguments, progress).await,
        Command::Dlq(arguments) => dead_letters(&arguments, progress).await,
        Command::Keys(arguments) => api_keys(&arguments).await,
        // They find their system by themselves: a check needs none.
        Command::Products(products) => match &products.command {
            ProductsCommand::Import(arguments) => products::import::run(&products.system, arguments, progress).await,
            ProductsCommand::Export(arguments) => products::export::run(&products.system, arguments, progress).await,
        },
        Command::Bootstrap(arguments) => bootstrap::run(&arguments, progress).await,
    }
}

async fn state(arguments: &status::Arguments, progress: &Progress) -> Result<ExitStatus> {
    let target = Target::find(&arguments.system).await?;
    progress.say(format!("System: {}", target.name));
    status::run(&target, arguments, progress).await
}

async fn log_lines(arguments: &logs::Arguments, progress: &Progress) -> Result<ExitStatus> {
    let target = Target::find(&arguments.system).await?;
    progress.say(format!("System: {}", target.name));
    logs::run(&target, arguments, progress).await
}

async fn trace_id(arguments: &trace::Arguments, progress: &Progress) -> Result<ExitStatus> {
    let target = Target::with_resources(&arguments.resources).await?;
    progress.say(format!("System: {}", target.name));
    trace::run(&target, arguments, progress).await
}

async fn audit(arguments: &Audit, progress: &Progress) -> Result<ExitStatus> {
    let target = Target::with_resources(&arguments.resources).await?;
    progress.say(format!("System: {}", target.name));
    match &arguments.command {
        AuditCommand::History(arguments) => audit::history::run(&target, arguments, progress).await,
        AuditCommand::Verify(arguments) => audit::verify::run(&target, arguments, progress).await,
        AuditCommand::Export(arguments) => audit::export::run(&target, arguments, progress).await,
        AuditCommand::Report(arguments) => audit::report::run(&target, arguments, progress).await,
        AuditCommand::Rebuild(arguments) => audit::rebuild::run(&target, arguments, progress).await,
        AuditCommand::Repair(arguments) => audit::repair::run(&target, arguments, progress).await,
        AuditCommand::Restore(arguments) => audit::restore::run(&target, arguments, progress).await,
    }
}

async fn dead_letters(arguments: &Dlq, progress: &Progress) -> Result<ExitStatus> {
    let target = Target::with_resources(&arguments.resources).await?;
    progress.say(format!("System: {}", target.name));
    match &arguments.command {
        DlqCommand::Peek(arguments) => dlq::peek::run(&target, arguments, progress).await,
        DlqCommand::Save(arguments) => dlq::save::run(&target, arguments, progress).await,
        DlqCommand::Remove(arguments) => dlq::remove::run(&target, arguments, progress).await,
        DlqCommand::Redrive(arguments) => dlq::redrive::run(&target, arguments, progress).await,
    }
}

async fn api_keys(arguments: &Keys) -> Result<ExitStatus> {
    match &arguments.command {
        KeysCommand::Export(export) => {
            let target = Target::find(&arguments.system).await?;
            let client = if export.client.is_default() { String::new() } else { format!("-{}", export.client) };
            let default_file = match &target.local {
                Some(stack) => stack.folder.join(format!("api-key{client}")),
                None => PathBuf::from(".catalogue").join(format!("api-key-{}{client}", target.environment)),
            };
            keys::export::run(&target, export, Path::new(&default_file)).await
        }
        KeysCommand::Rotate(rotate) => keys::rotate::run(&arguments.system, rotate).await,
    }
}
