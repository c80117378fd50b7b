//! Structured logs, one JSON object a line, to standard output, where Lambda collects them.
//!
//! What may be logged: ids, outcomes, codes, durations, counts. Never a body, a product's free text, a header's value
//! or a key: a log is read by more people than the catalogue.

use std::io;
use std::panic;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, fmt};

/// Starts logging at `level` (`error`, `warn`, `info`, `debug`, `trace`; anything else is `info`).
///
/// A panic is logged as well, with its place only: its message may quote what was being worked on, and Rust's own report
/// is neither JSON nor one line.
pub fn init(level: &str) {
    // A second call would be a mistake in `main`; the first subscriber stays.
    let _ = tracing::subscriber::set_global_default(subscriber(level, io::stdout));
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panicked");
    }));
}

/// What `init` starts, for lines to go elsewhere.
///
/// The AWS SDK logs through the same subscriber. At `debug` it writes whole requests, so the function's own lines only
/// are let through below `info`.
pub fn subscriber<Writer>(level: &str, writer: Writer) -> impl Subscriber + Send + Sync
where
    Writer: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let own: LevelFilter = level.parse().unwrap_or(LevelFilter::INFO);
    // `Targets` and not a closure: what it lets through is known before the first line, and the many places at which the
    // libraries could log something finer are switched off once, not asked each time.
    let levels = Targets::new().with_default(own.min(LevelFilter::INFO)).with_target(env!("CARGO_CRATE_NAME"), own);
    let lines = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(writer)
        .with_filter(levels);
    Registry::default().with(lines)
}
