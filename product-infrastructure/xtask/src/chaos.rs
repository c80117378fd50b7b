//! `cargo xtask chaos`: all calls on the running stack while its parts fail, then a check that every accepted change has
//! ended and that the audit log is intact.
//!
//! The calls and the check are those of `bench load`. The faults are made here, one after the other, each for a few seconds:
//! they touch this stack's processes and resources only, and each is undone before the next, also when the run is interrupted.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use crate::companions;
use crate::emulator::Emulator;
use crate::function_processes;
use crate::local_aws::LocalAws;
use crate::process;
use crate::progress::Progress;
use crate::stack::Stack;
use crate::status::{Running, Status};
use crate::workspace::Workspace;

/// How long a fault lasts, and how long the stack has for itself before the next.
const FAULT: Duration = Duration::from_secs(4);
const REST: Duration = Duration::from_secs(3);

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Every process of a function is killed (SIGKILL), several times.
    KilledFunctions,
    /// The pipe from the table's stream to the events topic is stopped.
    StoppedPipe,
    /// The audit bucket refuses every object.
    RefusedObjects,
    /// The whole of AWS is stopped, and the functions with it.
    RestartedEmulator,
}

impl Fault {
    const ALL: [Self; 4] = [Self::KilledFunctions, Self::StoppedPipe, Self::RefusedObjects, Self::RestartedEmulator];

    fn name(self) -> &'static str {
        match self {
            Self::KilledFunctions => "functions killed",
            Self::StoppedPipe => "pipe stopped",
            Self::RefusedObjects => "audit bucket refuses objects",
            Self::RestartedEmulator => "AWS stopped and started",
        }
    }
}

/// Makes faults for `seconds` while clients make calls, waits until every accepted change has ended, and reports. The exit
/// code is that of `bench load`: 1 if a change was lost or the audit log isn't intact.
pub async fn run(workspace: &Workspace, stack: &Stack, seconds: u64, progress: &Progress) -> Result<ExitCode> {
    let Some(running) = Status::of(stack)?.running else {
        bail!("the stack isn't running. Start it with `cargo xtask up --detach{}`", stack.option());
    };
    let _lock = stack.lock()?;
    let arguments = ["load", "--tolerate-errors", "--seconds", &seconds.to_string()].map(Into::into);
    let mut load = companions::bench_command(workspace, stack, &arguments, progress).await?;
    let mut load = load.kill_on_drop(true).spawn().context("failed to start bench")?;

    // The last seconds are without a fault: the calls must succeed again.
    let end = Instant::now() + Duration::from_secs(seconds).saturating_sub(REST);
    let outcome = make_faults(workspace, stack, &running, end, progress).await;
    // An interrupted run, too, leaves a stack that works.
    heal(workspace, stack, &running).await?;
    for (fault, times) in Fault::ALL.into_iter().zip(outcome?) {
        progress.say(format!("    {}: {times} times", fault.name()));
    }
    let status = load.wait().await.context("failed to wait for bench")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Makes the faults in turn until `end`. Returns how often each was made.
async fn make_faults(
    workspace: &Workspace,
    stack: &Stack,
    running: &Running,
    end: Instant,
    progress: &Progress,
) -> Result<[u32; Fault::ALL.len()]> {
    let aws = LocalAws::at(&running.facts.endpoint_url)?;
    let mut times = [0; Fault::ALL.len()];
    for number in (0..Fault::ALL.len()).cycle() {
        if Instant::now() + FAULT + REST > end {
            break;
        }
        let fault = Fault::ALL[number];
        rest(REST).await?;
        let step = progress.step(fault.name());
        match fault {
            Fault::KilledFunctions => {
                let mut killed = 0;
                let until = Instant::now() + FAULT;
                while Instant::now() < until {
                    killed += function_processes::signal(&running.facts.endpoint_url, None, Signal::KILL);
                    rest(FAULT / 4).await?;
                }
                step.done(format!("{killed} processes"));
            }
            Fault::StoppedPipe => {
                aws.stop_pipe().await?;
                rest(FAULT).await?;
                aws.start_pipe().await?;
                step.done("");
            }
            Fault::RefusedObjects => {
                aws.refuse_objects(&running.facts.audit_bucket).await?;
                rest(FAULT).await?;
                aws.accept_objects(&running.facts.audit_bucket).await?;
                step.done("");
            }
            Fault::RestartedEmulator => {
                if let Some(emulator) = Emulator::running(stack) {
                    emulator.stop(stack).await?;
                }
                rest(FAULT / 4).await?;
                Emulator::start(workspace, stack, running.facts.port).await?;
                step.done("");
            }
        }
        times[number] += 1;
    }
    Ok(times)
}

/// Undoes every fault that may be in force.
async fn heal(workspace: &Workspace, stack: &Stack, running: &Running) -> Result<()> {
    if Emulator::running(stack).is_none() {
        Emulator::start(workspace, stack, running.facts.port).await?;
    }
    let aws = LocalAws::at(&running.facts.endpoint_url)?;
    aws.start_pipe().await?;
    aws.accept_objects(&running.facts.audit_bucket).await
}

/// Waits, unless the user interrupts.
async fn rest(time: Duration) -> Result<()> {
    tokio::select! {
        () = tokio::time::sleep(time) => Ok(()),
        () = process::interruption() => bail!("interrupted"),
    }
}
