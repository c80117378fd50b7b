//! Benchmarks of the functions' release builds: [`measure`] says what is measured, in which order, and how often.
//!
//! Everything runs on this machine in one run. The functions and the [floor](subject::FLOOR), a function that does nothing,
//! are measured in turns, so that a busy minute affects all of them. Each gets its events from [`runtime_api`], which
//! [`events`] makes, and calls [`backend`] instead of AWS; [`program`] pins it to a core and [`cpu_share`] limits its CPU.
//! [`statistics`], [`report`], [`plot`] and [`budgets`] make the report.

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
pub mod instructions;
pub mod items;
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

/// Enough rounds for a tenth and a ninetieth percentile.
const ROUNDS: usize = 11;

/// Benchmark the functions' release builds, cold and warm, against a function that does nothing
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Print the output as JSON (default: Markdown)
    #[arg(long)]
    pub json: bool,
    /// Number of rounds
    #[arg(long, default_value_t = ROUNDS, value_name = "N", value_parser = rounds)]
    pub rounds: usize,
    /// Measure only this function and the floor; may be repeated
    #[arg(long, value_name = "FUNCTION", value_parser = chosen)]
    pub only: Vec<&'static str>,
    /// Also measure get-product in Python, with the interpreter in CATALOGUE_PYTHON, which `cargo xtask bench` installs
    #[arg(long)]
    pub python: bool,
    /// Also measure get-product in Rust with every library's defaults, which takes minutes to build
    #[arg(long)]
    pub defaults: bool,
    /// File to write the Markdown to, in addition to the output
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// File to draw the figures to
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Report which budgets of `bench/budgets.toml` are met. A missed budget doesn't fail the run
    #[arg(long)]
    pub budgets: bool,
}

/// Further benchmarks.
#[derive(Debug, Subcommand)]
pub enum Command {
    Growth(growth::Arguments),
    Instructions(instructions::Arguments),
    Load(load::Arguments),
}

fn rounds(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(rounds @ 1..=1_000) => Ok(rounds),
        _ => Err("must be a number from 1 to 1000".to_owned()),
    }
}

fn chosen(name: &str) -> Result<&'static str, String> {
    let found = subject::FUNCTIONS.iter().find(|function| **function == name);
    found.copied().ok_or_else(|| format!("must be one of: {}", subject::FUNCTIONS.join(", ")))
}

/// Builds, measures and reports.
pub async fn run(tree: &Tree, arguments: &Arguments, progress: &Progress) -> Result<ExitCode> {
    match &arguments.command {
        Some(Command::Growth(arguments)) => return growth::run(tree, arguments, progress).await,
        Some(Command::Instructions(arguments)) => return instructions::run(tree, arguments, progress),
        Some(Command::Load(arguments)) => return load::run(arguments, progress).await,
        None => {}
    }
    let budgets = if arguments.budgets {
        budgets::read(&tree.repository(INFRASTRUCTURE).join("bench/budgets.toml"))?
    } else {
        Vec::new()
    };
    let folder = tempfile::tempdir().context("failed to create a temporary directory")?;
    let mut subjects = subject::prepare(tree, &arguments.only, folder.path(), progress)?;
    if arguments.defaults {
        subjects.push(subject::defaults(tree, folder.path(), progress)?);
    }
    if arguments.python {
        subjects.push(subject::baseline(tree)?);
    }

    let step = progress.step("measure");
    let (rounds, meter) = (arguments.rounds, step.meter());
    // A separate thread, because it is pinned to one core with every thread that it starts.
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

/// Measures the programs in turns, on the calling thread and those that it starts, which stay on one core.
pub fn measure_all(subjects: &[subject::Subject], rounds: usize, meter: &Meter) -> Result<report::Report> {
    let cores = program::Cores::choose();
    let machine = report::Machine::read(cores);
    if let Some(cores) = cores {
        cores.enter().context("failed to pin this thread to a core")?;
    }
    let bench = measure::Bench { cores, tls: backend::Tls::new()?, share: cpu_share::CpuShare::new() };
    let mut samples = vec![metric::Samples::default(); subjects.len()];
    for subject in subjects {
        bench.prepare(subject).with_context(|| format!("{} can't be measured", subject.name))?;
    }
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
