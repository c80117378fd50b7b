//! `cargo xtask bench instructions`: how many instructions a warm call takes, counted by Valgrind's callgrind.
//!
//! Unlike a duration, the count hardly depends on the machine and on what else runs on it: a change of one per cent shows on a
//! busy machine too. What it doesn't show is the kernel's part, caches and waiting.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;

use crate::backend::{Backend, Behaviour, Tls};
use crate::program::{Launch, Program, last_words};
use crate::progress::Progress;
use crate::runtime_api::RuntimeApi;
use crate::subject::{self, Subject};
use crate::tree::Tree;

/// The calls of the shorter and of the longer run. What the longer one has more is the price of the calls that it has more:
/// start, first call and the end cancel out.
const CALLS: [usize; 2] = [50, 150];

/// Count the instructions of a warm call, with Valgrind; independent of the machine's load
#[derive(Debug, Args)]
pub struct Arguments {
    /// Print the output as JSON (default: Markdown)
    #[arg(long)]
    pub json: bool,
    /// Count only this function and the floor; may be repeated
    #[arg(long, value_name = "FUNCTION", value_parser = crate::chosen)]
    pub only: Vec<&'static str>,
    /// Also count get-product in Rust with every library's defaults, which takes minutes to build
    #[arg(long)]
    pub defaults: bool,
}

/// One program's count.
#[derive(Debug, Serialize)]
pub struct Count {
    pub name: &'static str,
    /// Instructions of a warm call over HTTP, in thousands.
    pub thousands: f64,
}

/// Builds, counts and reports.
pub fn run(tree: &Tree, arguments: &Arguments, progress: &Progress) -> Result<ExitCode> {
    let valgrind = find("valgrind").context(
        "`valgrind` isn't installed; Debian and Ubuntu: `apt-get install valgrind`. It counts the instructions",
    )?;
    let folder = tempfile::tempdir().context("failed to create a temporary directory")?;
    let mut subjects = subject::prepare(tree, &arguments.only, folder.path(), progress)?;
    if arguments.defaults {
        subjects.push(subject::defaults(tree, folder.path(), progress)?);
    }
    let step = progress.step("count");
    let meter = step.meter();
    meter.length(subjects.len() as u64);
    let mut counts = Vec::new();
    for subject in &subjects {
        meter.now(subject.name);
        counts.push(
            count(subject, &valgrind, folder.path())
                .with_context(|| format!("failed to count {}. {}", subject.name, last_words(&subject.launch)))?,
        );
        meter.advance();
    }
    step.done("");
    progress.print(&if arguments.json { serde_json::to_string_pretty(&counts)? } else { markdown(&counts) });
    Ok(ExitCode::SUCCESS)
}

fn count(subject: &Subject, valgrind: &Path, folder: &Path) -> Result<Count> {
    let [few, many] = CALLS;
    let more = total(subject, many, valgrind, folder)?.saturating_sub(total(subject, few, valgrind, folder)?);
    Ok(Count { name: subject.name, thousands: more as f64 / (many - few) as f64 / 1e3 })
}

/// The instructions of a process that answers that many events.
fn total(subject: &Subject, calls: usize, valgrind: &Path, folder: &Path) -> Result<u64> {
    let profile = folder.join(format!("{}.callgrind", subject.name));
    let mut launch: Launch = subject.launch.clone();
    let mut file = std::ffi::OsString::from("--callgrind-out-file=");
    file.push(&profile);
    launch.command.splice(0..0, [valgrind.to_owned(), "--tool=callgrind".into(), PathBuf::from(file)]);
    let backend = Backend::start(None, Behaviour { has_products: subject.has_products, ..Behaviour::default() })?;
    let (api, tls) = (RuntimeApi::start()?, Tls::new()?);
    let program = Program::start(&launch, None, api.address(), &backend.url(), &tls)?;
    api.first_next()?;
    for invocation in api.invoke(std::iter::repeat_n(subject.event.clone(), calls))? {
        subject.answer.check(&invocation.body)?;
    }
    program.terminate()?;
    let text = std::fs::read_to_string(&profile).context("Valgrind has written no profile")?;
    totals(&text).context("Valgrind's profile has no total")
}

/// The sum at the end of a profile (Valgrind manual, "Callgrind Format Specification").
fn totals(profile: &str) -> Option<u64> {
    profile.lines().find_map(|line| line.strip_prefix("totals:"))?.split_whitespace().next()?.parse().ok()
}

/// A program of the search path. Measured programs get no search path of their own.
fn find(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn markdown(counts: &[Count]) -> String {
    let floor = counts.first().map_or(0.0, |floor| floor.thousands);
    let mut text = String::from("| | thousands of instructions a warm call | above the floor |\n|---|---:|---:|\n");
    for Count { name, thousands } in counts {
        let _ = writeln!(text, "| {name} | {thousands:.0} | {:.0} |", thousands - floor);
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_total_of_a_profile() {
        assert_eq!(totals("events: Ir\nfn=(1) main\n12 34\n\ntotals: 123456\n"), Some(123_456));
        assert_eq!(totals("events: Ir\n"), None);
        assert_eq!(totals("totals: many\n"), None);
    }

    #[test]
    fn shows_what_is_above_the_floor() {
        let counts = [Count { name: "floor", thousands: 10.0 }, Count { name: "get-product", thousands: 510.4 }];
        let text = markdown(&counts);
        assert!(text.ends_with("| floor | 10 | 0 |\n| get-product | 510 | 500 |"), "{text}");
    }
}
