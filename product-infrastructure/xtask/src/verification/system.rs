//! The system test: a stack of its own comes up from nothing, is what Terraform says, passes the tests in
//! `tests/system.rs`, answers as `openapi.yaml` says, survives a restart with its data, and goes down without a trace.
//!
//! It uses this tool as a user does, as a program. The developer's own stack is not touched.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::sync::Notify;

use super::alone::Alone;
use super::contract;
use super::tally::{Counter, Failed, Tally};
use super::{Context, clients, leftovers, libtest, permissions, policies, readme, rehearsals, runbooks, secrets};
use crate::cargo;
use crate::duplicates::Manifest;
use crate::emulator::{DEFAULT_PORT, Emulator, find_free_port};
use crate::prerequisites;
use crate::process::{self, External, interrupt_program};
use crate::progress::duration;
use crate::stack::Stack;
use crate::status::{Running, Status};
use crate::terraform::root::Root;
use crate::terraform::{Terraform, Variables};

/// The test targets that need a running stack.
pub const TARGETS: [&str; 4] = ["system", "operations", "keys", "deployment"];

/// Clear of the developer's own stack.
pub const FIRST_PORT: u16 = DEFAULT_PORT + 10;

/// Within this time a second `up` with nothing changed must be ready.
const SECOND_UP: Duration = Duration::from_secs(20);

pub async fn check(context: &Context<'_>) -> Result<Tally, Failed> {
    let counter = Counter::default();
    let tool = Tool::new(context)?;
    if !context.tour_precedes_system {
        // What an earlier run may have left.
        tool.run("down", &["down", "--purge"]).await?;
    }
    let outcome = exercise(context, &tool, &counter).await;
    let down = tool.run("down", &["down", "--purge"]).await;
    outcome.map_err(|error| counter.failed(error))?;
    down.map_err(|error| counter.failed(error))?;
    Ok(counter.tally())
}

/// The tour in README.md brings the stack up from nothing. The system test continues on it when it runs too: a second stack
/// would take two more minutes.
pub async fn tour(context: &Context<'_>) -> Result<Tally> {
    let tool = Tool::new(context)?;
    tool.run("down", &["down", "--purge"]).await?;
    let outcome = readme::check(context, &tool.stack).await;
    if outcome.is_err() || !context.tour_precedes_system {
        tool.run("down", &["down", "--purge"]).await?;
    }
    outcome.map(|()| Tally::default())
}

async fn exercise(context: &Context<'_>, tool: &Tool<'_>, counter: &Counter) -> Result<()> {
    refusals(tool).await?;
    let port = find_free_port(FIRST_PORT).context("no loopback port is free for the stack under test")?.to_string();
    let mut up = vec!["up", "--detach"];
    if !context.tour_precedes_system {
        up.extend(["--port", &port]);
    }
    tool.run("up", &up).await?;
    tool.run("status", &["status"]).await?;
    tool.run("plan", &["plan"]).await.context("a second plan of every root must be empty")?;

    tests(context, tool, counter, &["system", "operations"]).await?;
    let running = tool.running()?;
    contract::check(context, &tool.stack, &running).await?;
    clients::check(context, &running).await?;

    let before = products(&running).await?;
    runbooks::check(context, &tool.stack, &running, &before).await?;
    let rehearse = |alarms: &[&str]| tool.command("rehearse", &[&["rehearse"], alarms].concat());
    rehearsals::check(context, &tool.stack, &running, rehearse).await?;
    let before = products(&running).await?;
    tool.run("down", &["down"]).await?;
    if Emulator::running(&tool.stack).is_some() {
        bail!("the emulator is still running after `down`");
    }
    in_the_foreground(context, tool, &before).await?;

    tool.run("up-again", &["up", "--detach"]).await?;
    tool.run("deploy", &["deploy", "get-product"]).await?;
    tool.run("plan-after-deploy", &["plan"]).await.context("a plan after `deploy` must be empty")?;
    other_commands(context, tool).await?;

    let endpoint = tool.running()?.facts.endpoint_url;
    let granted = permissions::check(context, &tool.stack, &endpoint).await?;
    context.progress.say(format!("    {granted} permissions of the functions: exactly those that are used"));
    // The shortest form: `cargo xtask chaos` takes five minutes.
    tool.run("chaos", &["chaos", "--seconds", "40"]).await.context("no accepted change may be lost")?;
    // After everything that uses the key: it is replaced.
    tests(context, tool, counter, &["keys"]).await?;
    tool.run("plan-after-keys", &["plan"]).await.context("a plan after a rotation must be empty")?;
    // Last, because they release other packages than this tree's.
    tests(context, tool, counter, &["deployment"]).await?;
    policies::check(context, &endpoint).await?;
    secrets::check(context, &tool.stack).await?;
    tool.run("destroy", &["destroy"]).await?;
    destroy_deploy_roles(context, tool).await?;
    leftovers::check(context, &endpoint).await
}

/// Runs tests that work on the stack.
async fn tests(context: &Context<'_>, tool: &Tool<'_>, counter: &Counter, names: &[&str]) -> Result<()> {
    let started = Instant::now();
    let status = serde_json::to_string(&tool.running()?).context("failed to parse the status")?;
    for name in TARGETS.into_iter().filter(|name| names.contains(name)) {
        let progress = context.progress.clone();
        let command = || {
            cargo::command(context.log(&format!("system tests {name}")))
                .directory(context.workspace.tools_workspace())
                // The whole workspace: one package alone would have its dependencies compiled again, with other features.
                .args(["test", "--locked", "--workspace", "--test", name])
        };
        command()
            .env("CATALOGUE_STATUS", &status)
            .env("CATALOGUE_LOCAL", tool.stack.facts())
            // A rotated key is applied by `up`.
            .env("CATALOGUE_STACK", tool.stack.name())
            .env("CATALOGUE_XTASK", &tool.program)
            // A backtrace would push what failed out of the log's end, which is all that CI shows.
            .env("RUST_BACKTRACE", "0")
            .watch(move |line| libtest::show(line, &progress))
            .run(&format!("the tests {name} on the stack"))
            .await?;
        counter.add(libtest::passed(command, &format!("the system's part {name}")).await?);
    }
    context.progress.say(format!("    tests {}: {}", names.join(" and "), duration(started.elapsed())));
    Ok(())
}

/// The deployment tests have applied this root, which doesn't belong to a stack.
async fn destroy_deploy_roles(context: &Context<'_>, tool: &Tool<'_>) -> Result<()> {
    let found = prerequisites::check(&tool.stack).await?;
    let port = tool.running()?.facts.port;
    let terraform = Terraform::new(context.workspace, &tool.stack, port, &found.terraform)?;
    // What the deployment tests applied it with (support/pipeline.rs).
    let repositories: Vec<_> =
        context.workspace.repositories().zip(2001..).map(|(name, id)| format!("\"{name}\":\"{id}\"")).collect();
    let values = vec![
        ("github_owner", "example-shop".to_owned()),
        ("github_owner_id", "1001".to_owned()),
        ("github_repository_ids", format!("{{{}}}", repositories.join(","))),
    ];
    terraform.destroy(Root::DeployRoles, &Variables { values, ..Variables::default() }).await
}

/// What cannot be done is said in one message that helps on.
async fn refusals(tool: &Tool<'_>) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no loopback port is available")?;
    let taken = listener.local_addr().context("a listener has no address")?.port().to_string();
    tool.refused("status", &["status"], "`cargo xtask up").await?;
    tool.refused("plan", &["plan"], "isn't running").await?;
    tool.refused("deploy", &["deploy", "get-product"], "isn't running").await?;
    tool.refused("deploy", &["deploy", "get-products"], "unknown function").await?;
    tool.refused("test", &["test", "--only", "nothing of that name"], "--list").await?;
    tool.refused("sync", &["sync", "no/such/file", "--from", "get-product"], "isn't in `duplicates.toml`").await?;
    tool.refused("sync", &["sync", "LICENSE", "--from", "get-products"], "get-products has no copy of LICENSE").await?;
    tool.refused("port", &["up", "--port", &taken], "choose another port").await
}

/// The commands that need no stack.
async fn other_commands(context: &Context<'_>, tool: &Tool<'_>) -> Result<()> {
    tool.run("drift", &["drift"]).await?;
    let manifest = Manifest::read(context.workspace)?;
    let entry = manifest.file.first().context("`duplicates.toml` is empty")?;
    tool.run("sync", &["sync", &entry.path.to_string_lossy(), "--from", &entry.repositories[0]]).await?;
    tool.run("list", &["test", "--list"]).await?;
    tool.run("docs", &["docs"]).await?;
    tool.run("checks", &["test", "--only", "duplicates", "--only", "layout", "--only", "lock files"]).await
}

/// `up` without `--detach`: quick, with its data, and ended by Ctrl-C.
async fn in_the_foreground(context: &Context<'_>, tool: &Tool<'_>, before: &str) -> Result<()> {
    let started = Instant::now();
    let (ready, seen) = (Arc::new(Notify::new()), Arc::new(Mutex::new(None)));
    let (tell_ready, tell_id) = (ready.clone(), seen.clone());
    let program = tool
        .command("up-foreground", &["up"])
        .when_started(move |id| *tell_id.lock().expect("no panic while noting") = Some(id))
        .watch(move |line| {
            if line.contains("The product catalogue is up") {
                tell_ready.notify_one();
            }
        })
        .finish();
    let mut program = std::pin::pin!(program);
    tokio::select! {
        finished = &mut program => {
            finished?.expect_success("`up` in the foreground")?;
            bail!("`up` in the foreground has exited");
        }
        () = ready.notified() => {}
    }
    let took = started.elapsed();
    context.progress.say(format!("    second up: {}", duration(took)));
    let after = products(&tool.running()?).await;
    if let Some(id) = *seen.lock().expect("no panic while noting") {
        interrupt_program(id);
    }
    program.await?.expect_success("ending `up` with Ctrl-C")?;
    if Emulator::running(&tool.stack).is_some() {
        bail!("the emulator is still running after Ctrl-C");
    }
    if after? != before {
        bail!("the products differ after a restart");
    }
    if took > SECOND_UP {
        bail!("a second `up` without changes took {}; the limit is {}", duration(took), duration(SECOND_UP));
    }
    Ok(())
}

/// The list of products as the API returns it, of which there must be some.
async fn products(running: &Running) -> Result<String> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(30))
        .build()
        .context("failed to create an HTTP client")?;
    let url = format!("{}/products?limit=100", running.facts.api_url);
    let response =
        client.get(url).header("x-api-key", &running.api_key).send().await.context("the API didn't respond")?;
    let text = response
        .error_for_status()
        .context("the list request failed")?
        .text()
        .await
        .context("the list is truncated")?;
    if !text.contains("productId") {
        bail!("the list of products is empty: {text}");
    }
    Ok(text)
}

/// This tool as a program, working on the stack under test.
struct Tool<'a> {
    context: &'a Context<'a>,
    program: std::path::PathBuf,
    stack: Stack,
}

impl<'a> Tool<'a> {
    /// Instrumented if this tool's own tests have run before, so that the system test counts towards its coverage.
    fn new(context: &'a Context<'a>) -> Result<Self> {
        let program = context.alone.instrumented().unwrap_or_else(|| context.program.clone());
        let stack = Stack::new(context.workspace, &format!("{}-system", context.stack.name()));
        Ok(Self { context, program, stack })
    }

    fn command(&self, name: &str, arguments: &[&str]) -> External {
        External::new(&self.program, self.context.log(&format!("system {name}")))
            .directory(self.context.workspace.root())
            .env("LLVM_PROFILE_FILE", Alone::records(self.context))
            .args(["--stack", self.stack.name()])
            .args(arguments)
    }

    async fn run(&self, name: &str, arguments: &[&str]) -> Result<()> {
        let started = Instant::now();
        let shown = format!("xtask {}", arguments.join(" "));
        self.command(name, arguments).run(&format!("`{shown}`")).await?;
        self.context.progress.say(format!("    {shown}: {}", duration(started.elapsed())));
        Ok(())
    }

    /// Runs a command that must fail with that message.
    async fn refused(&self, name: &str, arguments: &[&str], expected: &str) -> Result<()> {
        let shown = format!("xtask {}", arguments.join(" "));
        let log = format!("refused {name}");
        let finished = self.command(&log, arguments).finish().await?;
        let said = process::tail(&self.context.log(&format!("system {log}")), 20);
        if finished.code == Some(0) || !said.contains(expected) {
            bail!(
                "`{shown}` must fail with {expected:?}; its exit code is {:?} and its output:\n{said}",
                finished.code
            );
        }
        Ok(())
    }

    fn running(&self) -> Result<Running> {
        Status::of(&self.stack)?.running.context("the stack under test does not run")
    }
}
