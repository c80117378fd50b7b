//! Structured logs, one JSON object a line, to standard output, where Lambda collects them.
//!
//! What may be logged: ids, outcomes, codes, durations, counts. Never a body, a product's free text, a header's value
//! or a key: a log is read by more people than the catalogue.

use std::io;
use std::panic;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, filter, fmt};

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
    let own_crate = env!("CARGO_CRATE_NAME");
    let others = own.min(LevelFilter::INFO);
    let lines = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(writer)
        .with_filter(filter::filter_fn(move |line| {
            let most = if line.target().starts_with(own_crate) { own } else { others };
            *line.level() <= most
        }));
    Registry::default().with(lines)
}
