//! Progress of long steps on standard error: bars on a terminal, lines in a log.

use std::io::Write;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::printable::printable;

/// The steps that are running.
#[derive(Debug, Clone)]
pub struct Progress {
    bars: MultiProgress,
    mode: Mode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Terminal,
    Log,
    Hidden,
}

impl Progress {
    /// Bars on standard error when that is a terminal. Standard output stays free for results.
    pub fn new() -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let mode = if bars.is_hidden() { Mode::Log } else { Mode::Terminal };
        Self { bars, mode }
    }

    /// Shows nothing.
    pub fn hidden() -> Self {
        Self { bars: MultiProgress::with_draw_target(ProgressDrawTarget::hidden()), mode: Mode::Hidden }
    }

    /// Prints a line that stays. Characters that a terminal would act upon are escaped.
    pub fn say(&self, line: impl AsRef<str>) {
        let line = printable(line.as_ref());
        // A closed standard error must not fail the command.
        let _ = match self.mode {
            Mode::Terminal => self.bars.println(line),
            Mode::Log => writeln!(std::io::stderr(), "{line}"),
            Mode::Hidden => Ok(()),
        };
    }

    /// Prints a line to a log; on a terminal the bar shows the same.
    pub fn note(&self, line: impl AsRef<str>) {
        if self.mode == Mode::Log {
            self.say(line);
        }
    }

    /// A step of unknown length.
    pub fn step(&self, name: impl Into<String>) -> Step {
        let name = name.into();
        let bar = ProgressBar::new_spinner().with_style(spinner());
        let is_terminal = self.mode == Mode::Terminal;
        let bar = if is_terminal { self.bars.add(bar) } else { ProgressBar::hidden() };
        bar.set_prefix(name.clone());
        if is_terminal {
            bar.enable_steady_tick(Duration::from_millis(120));
        } else {
            self.say(format!("  … {name}"));
        }
        Step { progress: self.clone(), bar, name, started: Instant::now(), ended: false }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

/// A running step. Dropping it without [`Step::done`] reports it as failed.
#[derive(Debug)]
pub struct Step {
    progress: Progress,
    bar: ProgressBar,
    name: String,
    started: Instant,
    ended: bool,
}

impl Step {
    /// A handle that updates the step's bar.
    pub fn meter(&self) -> Meter {
        Meter(self.bar.clone())
    }

    /// Reports the step as done, with its result.
    pub fn done(mut self, note: impl AsRef<str>) {
        self.end("✓", note.as_ref());
    }

    fn end(&mut self, mark: &str, note: &str) {
        self.ended = true;
        self.bar.finish_and_clear();
        let note = if note.is_empty() { String::new() } else { format!(" · {note}") };
        self.progress.say(format!("  {mark} {} ({}){note}", self.name, duration(self.started.elapsed())));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.ended {
            self.end("✗", "");
        }
    }
}

/// Updates a step's bar.
#[derive(Debug, Clone)]
pub struct Meter(ProgressBar);

impl Meter {
    /// Shows nothing.
    pub fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    /// Shows the current item.
    pub fn now(&self, message: impl Into<String>) {
        self.0.set_message(message.into());
    }

    /// Shows a bar of that length.
    pub fn length(&self, length: u64) {
        if length > 0 {
            self.0.set_style(bar());
            self.0.set_length(length);
        }
    }

    /// Adds to the bar's length.
    pub fn lengthen(&self, by: u64) {
        if self.0.length().is_none() {
            self.0.set_style(bar());
            self.0.set_length(0);
        }
        self.0.inc_length(by);
    }

    /// Advances the bar by one.
    pub fn advance(&self) {
        self.0.inc(1);
    }
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("  {spinner} {prefix} [{elapsed}] {wide_msg}").expect("a valid template")
}

fn bar() -> ProgressStyle {
    ProgressStyle::with_template("  {spinner} {prefix} [{elapsed}] {bar:24} {pos}/{len} {wide_msg}")
        .expect("a valid template")
}

/// A duration for people: `0.4 s`, `12 s`, `3 min 05 s`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        _ => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_durations() {
        assert_eq!(duration(Duration::from_millis(432)), "0.4 s");
        assert_eq!(duration(Duration::from_secs(12)), "12 s");
        assert_eq!(duration(Duration::from_secs(185)), "3 min 05 s");
    }

    #[test]
    fn step_ends_once() {
        let progress = Progress::new();
        let step = progress.step("step");
        let meter = step.meter();
        meter.length(2);
        meter.now("one");
        meter.advance();
        step.done("fine");
        drop(progress.step("failing step"));
    }
}
