//! What the functions cost, measured as they are shipped: [`measure`] says what, in what order, and how often.
//!
//! Everything happens on this machine and in one run: the functions and the [floor](subject::FLOOR), which does nothing,
//! take turns, so that a busy minute falls on all of them. Each asks [`runtime_api`] for events, which are from
//! [`events`], and calls [`backend`] instead of AWS; [`program`] and [`cpu_share`] see to where it runs and what it may
//! use. [`statistics`], [`report`], [`plot`] and [`budgets`] say what came of it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use crate::progress::{Meter, Progress};
use crate::tree::{INFRASTRUCTURE, Tree};

pub mod backend;
pub mod budgets;
pub mod cpu_share;
pub mod engine;
pub mod events;
pub mod growth;
pub mod growth_plot;
pub mod http;
pub mod load;
pub mod local_stack;
pub mod measure;
pub mod metric;
pub mod plot;
pub mod program;
pub mod progress;
pub mod report;
pub mod runtime_api;
pub mod server;
pub mod shipped;
pub mod statistics;
pub mod subject;
pub mod tree;

/// Enough for a tenth and a ninetieth percentile that mean something.
const ROUNDS: usize = 11;

/// Measure the functions as they are shipped: cold, warm, and beside a program that does nothing.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// One JSON object instead of Markdown.
    #[arg(long)]
    pub json: bool,
    /// How often everything is measured.
    #[arg(long, default_value_t = ROUNDS, value_name = "N", value_parser = rounds)]
    pub rounds: usize,
    /// Only this function, beside the floor; may be repeated.
    #[arg(long, value_name = "FUNCTION", value_parser = chosen)]
    pub only: Vec<&'static str>,
    /// Measure get-product in Python beside them: what the language makes of it. `cargo xtask bench` installs what that
    /// needs and names the interpreter in CATALOGUE_PYTHON.
    #[arg(long)]
    pub python: bool,
    /// Write the Markdown into this file too, for a run whose JSON is kept as well.
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Draw the figures into this file.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Say which budgets of `bench/budgets.toml` are kept, and by how much. One that is not fails nothing.
    #[arg(long)]
    pub budgets: bool,
}

/// What else can be measured.
#[derive(Debug, Subcommand)]
pub enum Command {
    Growth(growth::Arguments),
    Load(load::Arguments),
}

fn rounds(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(rounds @ 1..=1_000) => Ok(rounds),
        _ => Err("a number from 1 to 1000".to_owned()),
    }
}

fn chosen(name: &str) -> Result<&'static str, String> {
    let found = subject::FUNCTIONS.iter().find(|function| **function == name);
    found.copied().ok_or_else(|| format!("one of {}", subject::FUNCTIONS.join(", ")))
}

/// Builds, measures and reports.
pub async fn run(tree: &Tree, arguments: &Arguments, progress: &Progress) -> Result<ExitCode> {
    match &arguments.command {
        Some(Command::Growth(arguments)) => return growth::run(tree, arguments, progress).await,
        Some(Command::Load(arguments)) => return load::run(arguments, progress).await,
        None => {}
    }
    let budgets = if arguments.budgets {
        budgets::read(&tree.repository(INFRASTRUCTURE).join("bench/budgets.toml"))?
    } else {
        Vec::new()
    };
    let folder = tempfile::tempdir().context("there is no room for the unpacked functions")?;
    let mut subjects = subject::prepare(tree, &arguments.only, folder.path(), progress)?;
    if arguments.python {
        subjects.push(subject::baseline(tree)?);
    }

    let step = progress.step("measure");
    let (rounds, meter) = (arguments.rounds, step.meter());
    // A thread of its own: it is kept on one core, and so is every thread that it starts.
    let measuring = std::thread::spawn(move || measure_all(&subjects, rounds, &meter));
    let mut report = tokio::task::spawn_blocking(move || measuring.join())
        .await?
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    step.done(format!("{rounds} rounds"));

    if arguments.budgets {
        report.budgets = Some(budgets::compare(&budgets, &report.by_name()));
    }
    if let Some(path) = &arguments.svg {
        plot::write(&report, path)?;
    }
    let markdown = report.markdown(&budgets);
    if let Some(path) = &arguments.markdown {
        std::fs::write(path, &markdown).with_context(|| format!("failed to write {}", path.display()))?;
    }
    progress.print(&if arguments.json {
        serde_json::to_string_pretty(&report)?
    } else {
        markdown.trim_end().to_owned()
    });
    Ok(ExitCode::SUCCESS)
}

/// Measures the programs in turns, on the thread that calls it and those that it starts: they stay on one core.
pub fn measure_all(subjects: &[subject::Subject], rounds: usize, meter: &Meter) -> Result<report::Report> {
    let cores = program::Cores::choose();
    let machine = report::Machine::read(cores);
    if let Some(cores) = cores {
        cores.enter().context("failed to pin this thread to a core")?;
    }
    let bench = measure::Bench { cores, tls: backend::Tls::new()?, share: cpu_share::CpuShare::new() };
    let mut samples = vec![metric::Samples::default(); subjects.len()];
    meter.length((rounds * subjects.len()) as u64);
    for round in 1..=rounds {
        for (subject, samples) in subjects.iter().zip(&mut samples) {
            meter.now(format!("round {round}: {}", subject.name));
            bench
                .round(subject, samples)
                .with_context(|| format!("failed to measure {} (round {round})", subject.name))?;
            meter.advance();
        }
    }
    let mut not_measured = Vec::new();
    if let Err(reason) = &bench.share {
        not_measured.push(format!("at 128 MB ({}): {reason}", cpu_share::description()));
    }
    let programs = subjects.iter().zip(&samples);
    let programs = programs
        .map(|(subject, samples)| report::Measured { name: subject.name.to_owned(), metrics: samples.summaries() })
        .collect();
    Ok(report::Report { machine, rounds, programs, not_measured, budgets: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_invalid_arguments() {
        assert_eq!(rounds("3"), Ok(3));
        assert!(rounds("0").is_err() && rounds("many").is_err());
        assert_eq!(chosen("get-product"), Ok("get-product"));
        assert!(chosen("floor").is_err());
    }
}
