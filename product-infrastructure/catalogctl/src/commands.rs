//! What each command does.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::audit;
use crate::bench;
use crate::bootstrap;
use crate::cli::{
    Audit, AuditCommand, Cli, Command, DeployLocal, Dlq, DlqCommand, Down, Keys, KeysCommand,
    Status as StatusArguments, Sync, Test, Up,
};
use crate::dlq;
use crate::duplicates::Manifest;
use crate::emulator::Emulator;
use crate::keys;
use crate::packages::Profile;
use crate::process;
use crate::progress::Progress;
use crate::provision::{self, Ready};
use crate::stack::{DEFAULT_STACK, Stack, StackLock};
use crate::status::{State, Status};
use crate::target::{Place, Target};
use crate::verification;
use crate::workspace::{Workspace, function};

/// Runs a command to its end.
pub async fn run(cli: Cli) -> Result<ExitCode> {
    let workspace = Workspace::discover()?;
    let stack = Stack::new(&workspace, &cli.stack);
    match cli.command {
        Command::Up(arguments) => up(&workspace, &stack, &arguments).await,
        Command::Down(arguments) => down(&stack, &arguments).await,
        Command::Status(arguments) => status(&stack, &arguments),
        Command::Plan => plan(&workspace, &stack).await,
        Command::Destroy => destroy(&workspace, &stack).await,
        Command::DeployLocal(arguments) => deploy_local(&workspace, &stack, &arguments).await,
        Command::Drift => drift(&workspace),
        Command::Sync(arguments) => sync(&workspace, &arguments),
        Command::Test(arguments) => test(&workspace, stack, &arguments).await,
        Command::Bench(arguments) => bench(&workspace, stack, &arguments).await,
        Command::Audit(arguments) => audit(&stack, &arguments).await,
        Command::Dlq(arguments) => dead_letters(&stack, &arguments).await,
        Command::Keys(arguments) => api_keys(&workspace, &stack, &arguments).await,
        Command::Bootstrap(arguments) => interruptible(bootstrap::run(&arguments, &Progress::new())).await,
    }
}

async fn audit(stack: &Stack, arguments: &Audit) -> Result<ExitCode> {
    let (target, progress) = (Target::find(stack, &arguments.place).await?, Progress::new());
    progress.say(format!("On {}.", target.name));
    let work = async {
        match &arguments.command {
            AuditCommand::History(arguments) => audit::history::run(&target, arguments, &progress).await,
            AuditCommand::Verify(arguments) => audit::verify::run(&target, arguments, &progress).await,
            AuditCommand::Export(arguments) => audit::export::run(&target, arguments, &progress).await,
            AuditCommand::Rebuild(arguments) => audit::rebuild::run(&target, arguments, &progress).await,
            AuditCommand::Repair(arguments) => audit::repair::run(&target, arguments, &progress).await,
        }
    };
    interruptible(work).await
}

async fn dead_letters(stack: &Stack, arguments: &Dlq) -> Result<ExitCode> {
    let (target, progress) = (Target::find(stack, &arguments.place).await?, Progress::new());
    progress.say(format!("On {}.", target.name));
    let work = async {
        match &arguments.command {
            DlqCommand::Peek(arguments) => dlq::peek::run(&target, arguments, &progress).await,
            DlqCommand::Redrive(arguments) => dlq::redrive::run(&target, arguments, &progress).await,
        }
    };
    interruptible(work).await
}

async fn api_keys(workspace: &Workspace, stack: &Stack, arguments: &Keys) -> Result<ExitCode> {
    let (environment, progress) = (arguments.env.as_deref(), Progress::new());
    match &arguments.command {
        KeysCommand::Export(export) => {
            let place = Place { env: arguments.env.clone(), ..Place::default() };
            let target = Target::find(stack, &place).await?;
            let usual = match environment {
                Some(environment) => workspace.catalogue().join(format!("api-key-{environment}")),
                None => stack.api_key(),
            };
            interruptible(keys::export::run(&target, export, &usual, &progress)).await
        }
        // Not to be dropped anywhere: a Terraform that is interrupted wants to write down what it has made.
        KeysCommand::Rotate(rotate) => keys::rotate::run(workspace, stack, environment, rotate, &progress).await,
    }
}

/// Work that may be dropped anywhere: what it had begun is there or not, and is safe to begin again.
async fn interruptible(work: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    tokio::select! {
        outcome = work => outcome,
        () = process::interruption() => bail!("interrupted"),
    }
}

async fn up(workspace: &Workspace, stack: &Stack, arguments: &Up) -> Result<ExitCode> {
    let progress = Progress::new();
    let lock = stack.lock()?;
    let ready = provision::up(workspace, stack, Profile::new(arguments.release), arguments.port, &progress).await?;
    drop(lock);
    let stays = arguments.detach || ready.was_running;
    println!("{}", welcome(stack, &ready, stays));
    if stays {
        return Ok(ExitCode::SUCCESS);
    }
    watch(stack, &ready.emulator).await
}

/// Stays until the user ends it, or something else does.
async fn watch(stack: &Stack, emulator: &Emulator) -> Result<ExitCode> {
    loop {
        tokio::select! {
            () = process::interruption() => {
                eprintln!("\nStopping; the data stays.");
                let _lock = lock_patiently(stack).await;
                emulator.stop(stack).await?;
                return Ok(ExitCode::SUCCESS);
            }
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        if !emulator.is_alive() {
            // Whoever stopped it takes its record away a moment later.
            tokio::time::sleep(Duration::from_secs(1)).await;
            if !stack.pid_file().exists() {
                eprintln!("Stopped by another command.");
                return Ok(ExitCode::SUCCESS);
            }
            let log = stack.log("emulator");
            bail!("the emulator ended by itself. The end of {}:\n{}", log.display(), process::tail(&log, 20));
        }
    }
}

/// Waits for a command that is changing the stack, but not for ever: Ctrl-C means stop.
async fn lock_patiently(stack: &Stack) -> Option<StackLock> {
    for _ in 0..30 {
        if let Ok(lock) = stack.lock() {
            return Some(lock);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    None
}

/// What the user can do now.
fn welcome(stack: &Stack, ready: &Ready, stays: bool) -> String {
    let key = stack.api_key();
    let url = &ready.facts.api_url;
    let stop = if stays { format!("cargo catalogctl down{}", stack.option()) } else { "Ctrl-C".to_owned() };
    format!(
        "\nThe product catalogue is up.\n\n  API      {url}\n  API key  in {key}\n  Try      curl -s -H \"x-api-key: $(cat '{key}')\" \
         '{url}/products'\n  Logs     {logs}\n  Stop     {stop} (the data stays)",
        key = key.display(),
        logs = stack.logs().display(),
    )
}

async fn down(stack: &Stack, arguments: &Down) -> Result<ExitCode> {
    let _lock = stack.lock()?;
    match Emulator::running(stack) {
        Some(emulator) => {
            emulator.stop(stack).await?;
            println!("Stopped.");
        }
        None => println!("It was not running."),
    }
    if arguments.purge {
        stack.purge()?;
        println!("Its data is deleted.");
    }
    Ok(ExitCode::SUCCESS)
}

fn status(stack: &Stack, arguments: &StatusArguments) -> Result<ExitCode> {
    let status = Status::of(stack)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        println!("{}", status.text(stack));
    }
    // For scripts, as `systemctl status` does it.
    Ok(if status.state == State::Running { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

async fn plan(workspace: &Workspace, stack: &Stack) -> Result<ExitCode> {
    let progress = Progress::new();
    let _lock = stack.lock()?;
    let differing = provision::differing_roots(workspace, stack, &progress).await?;
    if differing.is_empty() {
        println!("No changes: the stack is what the nine roots say.");
        return Ok(ExitCode::SUCCESS);
    }
    for (root, log) in &differing {
        println!("{} would change; {}:\n{}", root.name(), log.display(), process::tail(log, 60));
    }
    Ok(ExitCode::FAILURE)
}

async fn destroy(workspace: &Workspace, stack: &Stack) -> Result<ExitCode> {
    let progress = Progress::new();
    let _lock = stack.lock()?;
    provision::destroy(workspace, stack, &progress).await?;
    println!("Nothing is left of the nine roots. `cargo catalogctl down{} --purge` deletes the rest.", stack.option());
    Ok(ExitCode::SUCCESS)
}

async fn deploy_local(workspace: &Workspace, stack: &Stack, arguments: &DeployLocal) -> Result<ExitCode> {
    let function = function(&arguments.repository)?;
    let progress = Progress::new();
    let _lock = stack.lock()?;
    let released = provision::release(workspace, stack, function, Profile::new(arguments.release), &progress).await?;
    println!("{} serves version {}.", released.function_name, released.version);
    Ok(ExitCode::SUCCESS)
}

fn drift(workspace: &Workspace) -> Result<ExitCode> {
    let manifest = Manifest::read(&workspace.duplicates_manifest())?;
    let findings = manifest.drift(workspace)?;
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!("{} duplicated entries: no copy differs.", manifest.file.len());
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "\n{} of the copies differ. `cargo catalogctl sync FILE --from REPO` copies the right one to the others.",
        findings.len()
    );
    Ok(ExitCode::FAILURE)
}

fn sync(workspace: &Workspace, arguments: &Sync) -> Result<ExitCode> {
    let manifest = Manifest::read(&workspace.duplicates_manifest())?;
    let changed = manifest.sync(workspace, &arguments.file, &arguments.from)?;
    for path in &changed {
        println!("{}", path.display());
    }
    println!("{} changed.", if changed.is_empty() { "Nothing".to_owned() } else { format!("{} files", changed.len()) });
    Ok(ExitCode::SUCCESS)
}

async fn test(workspace: &Workspace, stack: Stack, arguments: &Test) -> Result<ExitCode> {
    // Never the developer's own stack: its data is not the tests' to delete.
    let stack = if stack.name() == DEFAULT_STACK { Stack::new(workspace, "test") } else { stack };
    verification::run(workspace, stack, arguments, &Progress::new()).await
}

async fn bench(workspace: &Workspace, stack: Stack, arguments: &bench::Arguments) -> Result<ExitCode> {
    // Of all that is measured, load alone is put on a running stack, and builds nothing.
    if let Some(bench::Command::Load(arguments)) = &arguments.command {
        return interruptible(bench::load::run(&stack, arguments, &Progress::new())).await;
    }
    // Packages as they are shipped would take the place of those that the developer's stack runs.
    let stack = if stack.name() == DEFAULT_STACK { Stack::new(workspace, "bench") } else { stack };
    let _lock = stack.lock()?;
    bench::run(workspace, &stack, arguments, &Progress::new()).await
}
