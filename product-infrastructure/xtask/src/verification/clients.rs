//! Generated clients on a running stack: `scripts/check-clients.sh` generates them from `openapi.yaml`, type-checks them and
//! uses two of them.

use anyhow::Result;

use super::Context;
use crate::process::External;
use crate::status::Running;
use crate::workspace::INFRASTRUCTURE;

/// Fails when a generator or a client fails; prints the generators' table.
pub async fn check(context: &Context<'_>, running: &Running) -> Result<()> {
    let finished = External::new("scripts/check-clients.sh", context.log("system clients"))
        .directory(context.workspace.repository(INFRASTRUCTURE))
        // Never an argument: those are logged.
        .env("API_KEY", &running.api_key)
        .env("API_URL", &running.facts.api_url)
        .env("NO_PROXY", "*")
        .arg(context.workspace.catalogue().join("clients"))
        .run("generating clients from openapi.yaml and using them")
        .await?;
    context.progress.print(finished.stdout.trim_end());
    Ok(())
}
