//! `new-function` makes repositories that are formatted, have no lint, pass their tests and are valid, for each kind of
//! function. They are made in an empty folder, so that nothing of the tree reaches them.

use anyhow::{Context as _, Result};

use super::Context;
use super::tally::Tally;
use crate::cargo;
use crate::new_function;
use crate::process::External;
use crate::terraform::{foreign_settings, provider_source};

pub async fn check(context: &Context<'_>) -> Result<Tally> {
    let folder = tempfile::tempdir().context("failed to create a temporary folder")?;
    let source = provider_source(context.workspace)?;
    for (name, like) in new_function::samples(context.workspace)? {
        let log = context.log(&format!("new function like {like}"));
        let created = new_function::create(context.workspace, name, like, folder.path(), &log).await?;
        for arguments in [
            ["fmt", "--check"].as_slice(),
            &["clippy", "--locked", "--all-targets", "--", "--deny", "warnings"],
            &["test", "--locked"],
        ] {
            cargo::command(&log)
                .append()
                .at_low_priority()
                .directory(&created.folder)
                // Its dependencies are those of its siblings, compiled as for their tests.
                .env("CARGO_TARGET_DIR", context.alone.target())
                .env("CARGO_PROFILE_DEV_DEBUG", "0")
                .args(arguments)
                .run(&format!("`cargo {}` in a new function like {like}", arguments[0]))
                .await?;
        }
        External::new(created.folder.join("scripts/check-terraform.sh"), &log)
            .append()
            .at_low_priority()
            .directory(&created.folder)
            .without_env(foreign_settings(std::env::vars_os().map(|(name, _)| name)))
            .without_env(&source.unset)
            .envs(source.set.iter().map(|(name, value)| (name, value)))
            .env("CHECKPOINT_DISABLE", "1")
            .env("TF_IN_AUTOMATION", "1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .run(&format!("scripts/check-terraform.sh in a new function like {like}"))
            .await?;
        context.progress.say(format!("    like {like}: builds, passes its tests, is valid"));
    }
    Ok(Tally::default())
}
