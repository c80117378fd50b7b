//! The crates that a repository is built from: their licences, their versions, where they come from. What is accepted, and
//! why, is in each repository's `deny.toml`.

use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::tally::Tally;
use super::{Context, SHOWN};
use crate::cargo;
use crate::process::External;

pub async fn check(context: &Context<'_>, repository: &str) -> Result<Tally> {
    let folder = context.workspace.repository(repository);
    // Without it cargo-deny would use its default rules.
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
    let summary = Arc::new(Mutex::new(None));
    let seen = summary.clone();
    External::new(context.workspace.tools().join("bin/cargo-deny"), &log)
        .directory(&folder)
        .without_env(cargo::traces(name))
        .args(["--offline", "--locked", "--color", "never", "--format", "json"])
        // The graph of who needs a crate buries the finding; `cargo tree --invert CRATE` shows it.
        .args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"])
        .log_as(readable)
        .watch(move |line| {
            if let Ok(Message::Summary { licenses }) = serde_json::from_str(line) {
                *seen.lock().expect("no panic while noting") = Some(licenses);
            }
        })
        .finish()
        .await?
        .expect_success_or_show(&format!("judging the dependencies of {repository}"), SHOWN)?;
    let licenses = summary.lock().expect("no panic while noting").take();
    let crates = licenses.context("cargo-deny reported no summary")?.crates();
    if crates == 0 {
        bail!("cargo-deny checked no licence");
    }
    context.progress.say(format!("    {crates} crates"));
    Ok(Tally::default())
}

/// One line of `cargo-deny --format json`, which writes it to standard error.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", content = "fields", rename_all = "snake_case")]
enum Message {
    Diagnostic(Diagnostic),
    /// Why it couldn't judge.
    Log {
        message: String,
    },
    Summary {
        licenses: Counts,
    },
}

#[derive(Debug, Deserialize)]
struct Diagnostic {
    severity: String,
    message: String,
    #[serde(default)]
    labels: Vec<Label>,
    #[serde(default)]
    notes: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Label {
    message: String,
    span: String,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Counts {
    notes: u64,
    helps: u64,
}

impl Counts {
    /// The licences that were accepted: a note for each crate.
    fn crates(&self) -> u64 {
        self.notes + self.helps
    }
}

/// A message for the log.
fn readable(line: &str) -> Option<String> {
    match serde_json::from_str(line) {
        Ok(Message::Diagnostic(Diagnostic { severity, message, labels, notes })) => {
            let labels = labels.into_iter().map(|label| format!("\n  {}: {}", label.message, label.span));
            let notes = notes.into_iter().map(|note| format!("\n  {note}"));
            Some(format!("{severity}: {message}{}", labels.chain(notes).collect::<String>()))
        }
        Ok(Message::Log { message }) => Some(message),
        Ok(Message::Summary { .. }) | Err(_) => Some(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_crates_of_the_summary() {
        let line = r#"{"fields":{"bans":{"errors":0,"helps":0,"notes":4,"warnings":2},"licenses":{"errors":0,"helps":0,"notes":207,"warnings":0},"sources":{"errors":0,"helps":0,"notes":0,"warnings":0}},"type":"summary"}"#;
        let Ok(Message::Summary { licenses }) = serde_json::from_str(line) else { panic!("{line}") };
        assert_eq!(licenses.crates(), 207);
        assert!(serde_json::from_str::<Message>("licenses ok: 0 errors, 0 warnings, 207 notes").is_err());
    }

    #[test]
    fn log_names_the_finding() {
        let line = r#"{"fields":{"code":"rejected","graphs":[],"labels":[{"column":12,"line":3,"message":"license expression retrieved via Cargo.toml `license`","span":"GPL-3.0"}],"message":"failed to satisfy license requirements","notes":["x v1.0.0"],"severity":"error"},"type":"diagnostic"}"#;
        assert_eq!(
            readable(line).unwrap(),
            "error: failed to satisfy license requirements\n  license expression retrieved via Cargo.toml `license`: GPL-3.0\n  x v1.0.0"
        );
        assert_eq!(readable("a warning").as_deref(), Some("a warning"));
    }
}
