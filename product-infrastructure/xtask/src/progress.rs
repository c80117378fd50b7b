//! What the user sees while a long step runs: a bar on a terminal, plain lines in a log.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The steps under way.
#[derive(Debug, Clone)]
pub struct Progress {
    bars: MultiProgress,
    terminal: bool,
}

impl Progress {
    /// Bars on standard error when that is a terminal. Standard output stays free for results.
    pub fn new() -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let terminal = !bars.is_hidden();
        Self { bars, terminal }
    }

    /// A line that stays.
    pub fn say(&self, line: impl AsRef<str>) {
        if self.terminal {
            // Printed above the bars; a closed terminal must not cause a failure.
            let _ = self.bars.println(line);
        } else {
            eprintln!("{}", line.as_ref());
        }
    }

    /// A result, on standard output.
    pub fn print(&self, text: &str) {
        self.bars.suspend(|| println!("{text}"));
    }

    /// A step of unknown length.
    pub fn step(&self, name: impl Into<String>) -> Step {
        let name = name.into();
        let bar = ProgressBar::new_spinner().with_style(spinner());
        let bar = if self.terminal { self.bars.add(bar) } else { ProgressBar::hidden() };
        bar.set_prefix(name.clone());
        if self.terminal {
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

/// A step under way. Dropped without an end, it has failed.
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

/// How far a step is.
#[derive(Debug, Clone)]
pub struct Meter(ProgressBar);

impl Meter {
    /// Shows nothing.
    pub fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    /// What is being done just now.
    pub fn now(&self, message: impl Into<String>) {
        self.0.set_message(message.into());
    }

    /// Turns the step into a bar of that length.
    pub fn length(&self, length: u64) {
        if length > 0 {
            self.0.set_style(bar());
            self.0.set_length(length);
        }
    }

    /// Adds to the number of things to be done.
    pub fn lengthen(&self, by: u64) {
        if self.0.length().is_none() {
            self.0.set_style(bar());
            self.0.set_length(0);
        }
        self.0.inc_length(by);
    }

    /// One more of [`Meter::length`] is done.
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

/// A size for people.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_readable() {
        assert_eq!(duration(Duration::from_millis(432)), "0.4 s");
        assert_eq!(duration(Duration::from_secs(12)), "12 s");
        assert_eq!(duration(Duration::from_secs(185)), "3 min 05 s");
        assert_eq!((size(9_999), size(48_000), size(12_340_000)), ("9999 B".into(), "48 kB".into(), "12.3 MB".into()));
    }

    #[test]
    fn a_step_ends_once() {
        let progress = Progress::new();
        let step = progress.step("a step");
        let meter = step.meter();
        meter.length(2);
        meter.now("one");
        meter.advance();
        step.done("fine");
        drop(progress.step("a step that fails"));
    }
}
