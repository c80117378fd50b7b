//! The crates that a repository is built from: their licences, their versions, where they come from. What is accepted, and
//! why, is in each repository's `deny.toml`.

use anyhow::{Context as _, Result, bail};

use super::tally::Tally;
use super::{Context, SHOWN};
use crate::cargo;
use crate::process::External;

pub async fn check(context: &Context<'_>, repository: &str) -> Result<Tally> {
    let folder = context.workspace.repository(repository);
    // Without it cargo-deny would judge by rules of its own.
    if !folder.join("deny.toml").is_file() {
        bail!("{repository} has no deny.toml");
    }
    let log = context.log(&format!("dependencies {repository}"));
    // A licence is read from the crate itself, and a build does not download what only other systems need.
    cargo::command(&log)
        .directory(&folder)
        .args(["fetch", "--locked"])
        .run(&format!("downloading the dependencies of {repository}"))
        .await?;
    let name = std::env::vars_os().map(|(name, _)| name);
    let finished = External::new(context.workspace.tools().join("bin/cargo-deny"), &log)
        .directory(&folder)
        .without_env(cargo::traces(name))
        .args(["--offline", "--locked", "--color", "never"])
        // The graph of who needs a crate buries the finding; `cargo tree --invert CRATE` shows it.
        .args(["check", "--hide-inclusion-graph", "--show-stats", "bans", "licenses", "sources"])
        .finish()
        .await?
        .expect_success_or_show(&format!("judging the dependencies of {repository}"), SHOWN)?;
    let crates = licensed(&finished.stdout).context("cargo-deny didn't report the number of licences")?;
    if crates == 0 {
        bail!("cargo-deny checked no licence");
    }
    context.progress.say(format!("    {crates} crates"));
    Ok(Tally::default())
}

/// From ` licenses ok: 0 errors, 0 warnings, 207 notes`: a note for each crate.
fn licensed(output: &str) -> Option<u64> {
    let line = output.lines().find_map(|line| line.trim().strip_prefix("licenses ok: "))?;
    line.rsplit(", ").next()?.strip_suffix(" notes")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_are_counted() {
        let output = "     bans ok: 0 errors, 2 warnings, 4 notes\n licenses ok: 0 errors, 0 warnings, 207 notes\n";
        assert_eq!(licensed(output), Some(207));
        assert_eq!(licensed("bans ok, licenses FAILED, sources ok"), None);
    }
}
