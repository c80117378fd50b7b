//! Rehearsals on a running stack: alarms ring and end, Ctrl-C repairs the fault, and what a killed rehearsal leaves is repaired
//! by the next one.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::{Notify, oneshot};

use super::Context;
use crate::process::{External, tail};
use crate::stack::Stack;
use crate::status::Running;

/// How long a rehearsal may take to make its fault, or to make its alarm ring.
const LIMIT: Duration = Duration::from_secs(200);

/// Rehearses a sample of the alarms, or all of them. `rehearse` is this tool's command with these arguments; its output goes to
/// `system rehearse`.
pub async fn check(
    context: &Context<'_>,
    stack: &Stack,
    running: &Running,
    rehearse: impl Fn(&[&str]) -> External,
) -> Result<()> {
    let api = Api::of(running)?;
    let fails = async |_| while api.lists().await {};
    let killed = end(rehearse(&["api-5xx"]), fails, Signal::KILL).await?;
    if killed.is_some() || !stack.fault_record().exists() || !stack.alarm_speed().exists() {
        bail!("a killed rehearsal must leave its fault and the record of it");
    }

    let alarms = if context.long { vec!["--all"] } else { vec!["change-oldest-message", "events-pipe-failed"] };
    rehearse(&alarms).run("the rehearsal").await.context("each alarm must ring, and end")?;
    let said = tail(&context.log("system rehearse"), usize::MAX);
    if !said.contains("repair the fault that the rehearsal of api-5xx left") {
        bail!("the rehearsal must say that it repairs what the killed one left; its output:\n{said}");
    }
    expect_repaired(stack, &api).await?;

    let held = async |held: Arc<Notify>| held.notified().await;
    let interrupted = end(rehearse(&["api-5xx", "--hold"]), held, Signal::INT).await?;
    if interrupted != Some(130) {
        bail!("an interrupted rehearsal must end with 130, not {interrupted:?}");
    }
    expect_repaired(stack, &api).await
}

async fn expect_repaired(stack: &Stack, api: &Api<'_>) -> Result<()> {
    if !api.lists().await {
        bail!("a rehearsal must repair its fault");
    }
    if stack.fault_record().exists() || stack.alarm_speed().exists() {
        bail!("a rehearsal must delete its files at the end");
    }
    Ok(())
}

/// The API that a rehearsal of `api-5xx` makes fail.
struct Api<'a> {
    http: reqwest::Client,
    running: &'a Running,
}

impl<'a> Api<'a> {
    fn of(running: &'a Running) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { http, running })
    }

    /// Whether it lists products.
    async fn lists(&self) -> bool {
        let request = self.http.get(format!("{}/products", self.running.facts.api_url));
        let response = request.header("x-api-key", &self.running.api_key).send().await;
        response.is_ok_and(|response| response.status().is_success())
    }
}

/// Ends a rehearsal by a signal at a moment, for which it gets a notification that the fault is held. Returns its exit code.
async fn end(rehearsal: External, moment: impl AsyncFnOnce(Arc<Notify>), signal: Signal) -> Result<Option<i32>> {
    let (sender, receiver) = oneshot::channel();
    let held = Arc::new(Notify::new());
    let noted = held.clone();
    let program = rehearsal
        .when_started(move |id| {
            let _ = sender.send(id);
        })
        .watch(move |line| {
            if line.contains("The fault stays") {
                noted.notify_one();
            }
        });
    let mut program = pin!(program.finish());
    tokio::select! {
        finished = &mut program => bail!("the rehearsal ended by itself, with {:?}", finished?.code),
        reached = tokio::time::timeout(LIMIT, moment(held)) => reached.context("the rehearsal made no fault")?,
    }
    let id = receiver.await.context("the rehearsal has no process ID")?;
    let pid = Pid::from_raw(id.cast_signed()).context("the rehearsal has no process ID")?;
    kill_process(pid, signal).context("failed to end the rehearsal")?;
    Ok(program.await?.code)
}
