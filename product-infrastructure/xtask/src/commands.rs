//! What each command does.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::chaos;
use crate::cli::{
    Bench, Chaos, Cli, Command, Deploy, Down, NewFunction, Rehearse, Status as StatusArguments, Sync, Test, Up,
};
use crate::companions;
use crate::duplicates::Manifest;
use crate::emulator::Emulator;
use crate::git;
use crate::new_function;
use crate::packages::Profile;
use crate::process;
use crate::progress::Progress;
use crate::provision::{self, Ready};
use crate::reference;
use crate::rehearse;
use crate::stack::{DEFAULT_STACK, Stack, StackLock};
use crate::status::{State, Status};
use crate::verification;
use crate::workspace::Workspace;

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
        Command::Deploy(arguments) => deploy(&workspace, &stack, &arguments).await,
        Command::Drift => drift(&workspace, &stack).await,
        Command::Sync(arguments) => sync(&workspace, &arguments),
        Command::NewFunction(arguments) => new_function(&workspace, &stack, &arguments).await,
        Command::Docs => docs(&workspace, &stack).await,
        Command::Test(arguments) => test(&workspace, stack, &arguments).await,
        Command::Bench(arguments) => bench(&workspace, stack, &arguments).await,
        Command::Chaos(Chaos { seconds }) => chaos::run(&workspace, &stack, seconds, &Progress::new()).await,
        Command::Rehearse(arguments) => rehearse(&workspace, &stack, &arguments).await,
    }
}

async fn up(workspace: &Workspace, stack: &Stack, arguments: &Up) -> Result<ExitCode> {
    let progress = Progress::new();
    let lock = stack.lock()?;
    let ready = provision::up(workspace, stack, Profile::new(arguments.release), arguments.port, &progress).await?;
    // The stack is up whether or not what a rehearsal left can be repaired; the next one tries again.
    if let Err(error) = rehearse::repair_left(workspace, stack, &progress).await {
        progress.say(format!("  ! {error:#}"));
    }
    drop(lock);
    let stays = arguments.detach || ready.was_running;
    println!("{}", welcome(workspace, stack, &ready, stays));
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
            // The process that stopped it removes its record shortly afterwards.
            tokio::time::sleep(Duration::from_secs(1)).await;
            if !stack.pid_file().exists() {
                eprintln!("Stopped by another command.");
                return Ok(ExitCode::SUCCESS);
            }
            let log = stack.log("emulator");
            bail!("the emulator has exited. End of {}:\n{}", log.display(), process::tail(&log, 20));
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
fn welcome(workspace: &Workspace, stack: &Stack, ready: &Ready, stays: bool) -> String {
    let key = stack.api_key();
    let url = &ready.facts.api_url;
    // The stack is up whether or not the page can be written.
    let reference = match reference::refresh(workspace) {
        Ok(Some(page)) => page.display().to_string(),
        _ => "`cargo xtask docs` writes it".to_owned(),
    };
    let stop = if stays { format!("cargo xtask down{}", stack.option()) } else { "Ctrl-C".to_owned() };
    format!(
        "\nThe product catalogue is up.\n\n  API        {url}\n  API key    in {key}\n  Try        curl -s -H \"x-api-key: $(cat '{key}')\" \
         '{url}/products'\n  Reference  {reference}\n  Logs       {logs}\n  Stop       {stop} (the data stays)",
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
        None => println!("The local system isn't running."),
    }
    if arguments.purge {
        stack.purge()?;
        println!("Deleted its data.");
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
        println!("No changes: the stack is what the Terraform roots say.");
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
    println!("Nothing is left of the Terraform roots. `cargo xtask down{} --purge` deletes the rest.", stack.option());
    Ok(ExitCode::SUCCESS)
}

async fn deploy(workspace: &Workspace, stack: &Stack, arguments: &Deploy) -> Result<ExitCode> {
    let function = workspace.function(&arguments.repository)?;
    let progress = Progress::new();
    let _lock = stack.lock()?;
    let released = provision::release(workspace, stack, function, Profile::new(arguments.release), &progress).await?;
    println!("{} serves version {}.", released.function_name, released.version);
    Ok(ExitCode::SUCCESS)
}

async fn drift(workspace: &Workspace, stack: &Stack) -> Result<ExitCode> {
    let manifest = Manifest::read(workspace)?;
    let findings = manifest.drift(workspace)?;
    let files = git::listed_files_of_all(workspace, &stack.log("drift")).await?;
    let unlisted = manifest.unlisted(workspace, &files)?;
    findings.iter().for_each(|finding| println!("{finding}"));
    unlisted.iter().for_each(|twins| println!("{twins}"));
    if findings.is_empty() && unlisted.is_empty() {
        println!("{} entries of duplicates.toml: no copy differs, and no copy is unlisted.", manifest.file.len());
        return Ok(ExitCode::SUCCESS);
    }
    if !findings.is_empty() {
        println!("\n{} files differ. `cargo xtask sync FILE --from REPO` copies one to the others.", findings.len());
    }
    if !unlisted.is_empty() {
        println!("\n{} files are identical without being listed in duplicates.toml.", unlisted.len());
    }
    Ok(ExitCode::FAILURE)
}

fn sync(workspace: &Workspace, arguments: &Sync) -> Result<ExitCode> {
    let manifest = Manifest::read(workspace)?;
    let changed = manifest.sync(workspace, &arguments.file, &arguments.from)?;
    for path in &changed {
        println!("{}", path.display());
    }
    println!("{} changed.", if changed.is_empty() { "Nothing".to_owned() } else { format!("{} files", changed.len()) });
    Ok(ExitCode::SUCCESS)
}

async fn new_function(workspace: &Workspace, stack: &Stack, arguments: &NewFunction) -> Result<ExitCode> {
    let into = arguments.into.as_deref().unwrap_or(workspace.root());
    let log = stack.log("new-function");
    let created = new_function::create(workspace, &arguments.name, &arguments.like, into, &log).await?;
    println!("Created {}. What remains to be done by hand:\n", created.folder.display());
    created.remaining.iter().for_each(|task| println!("- {task}"));
    Ok(ExitCode::SUCCESS)
}

async fn docs(workspace: &Workspace, stack: &Stack) -> Result<ExitCode> {
    println!("{}", reference::build(workspace, stack, &Progress::new()).await?.display());
    Ok(ExitCode::SUCCESS)
}

async fn test(workspace: &Workspace, stack: Stack, arguments: &Test) -> Result<ExitCode> {
    // Never the developer's own stack: its data is not the tests' to delete.
    let stack = if stack.name() == DEFAULT_STACK { Stack::new(workspace, "test") } else { stack };
    verification::run(workspace, stack, arguments, &Progress::new()).await
}

async fn rehearse(workspace: &Workspace, stack: &Stack, arguments: &Rehearse) -> Result<ExitCode> {
    if arguments.list {
        println!("{}", rehearse::list());
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = if arguments.all { rehearse::ALL.iter().collect() } else { rehearse::named(&arguments.alarms)? };
    rehearse::run(workspace, stack, &chosen, arguments.hold, &Progress::new()).await
}

async fn bench(workspace: &Workspace, stack: Stack, arguments: &Bench) -> Result<ExitCode> {
    companions::bench(workspace, &stack, &arguments.arguments, &Progress::new()).await
}
