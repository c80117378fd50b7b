//! What a repository checks by a script of its own: the golden examples against their schemas and digests, in Python, which
//! shares no code with the functions.

use anyhow::Result;

use super::tally::Tally;
use super::{Context, SHOWN};
use crate::process::External;
use crate::workspace::INFRASTRUCTURE;

/// The exit code alone decides: the script fails by itself when there are no schemas, no examples or no operations.
pub async fn check(context: &Context<'_>) -> Result<Tally> {
    External::new("scripts/check-contracts.sh", context.log("scripts contracts"))
        .directory(context.workspace.repository(INFRASTRUCTURE))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .finish()
        .await?
        .expect_success_or_show("scripts/check-contracts.sh", SHOWN)?;
    Ok(Tally::default())
}
