//! What a repository checks by a script of its own: the golden examples against their schemas and digests, in Python, which
//! shares no code with the functions.

use anyhow::{Result, bail};

use super::tally::Tally;
use super::{Context, SHOWN};
use crate::process::External;
use crate::workspace::INFRASTRUCTURE;

pub async fn check(context: &Context<'_>) -> Result<Tally> {
    let finished = External::new("scripts/check-contracts.sh", context.log("scripts contracts"))
        .directory(context.workspace.repository(INFRASTRUCTURE))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .finish()
        .await?
        .expect_success_or_show("scripts/check-contracts.sh", SHOWN)?;
    match finished.stdout.lines().last() {
        Some(line) if examples(line).is_some_and(|count| count > 0) => context.progress.say(format!("    {line}")),
        _ => bail!("scripts/check-contracts.sh checked no example"),
    }
    Ok(Tally::default())
}

/// From `70 examples, 12 links in 3 chains: all as they claim.`
fn examples(line: &str) -> Option<u64> {
    line.split_once(" examples")?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_counted() {
        assert_eq!(examples("70 examples, 12 links in 3 chains: all as they claim."), Some(70));
        assert_eq!(examples("there are no examples"), None);
    }
}
