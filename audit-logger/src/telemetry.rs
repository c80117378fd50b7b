//! Structured logs, one JSON object a line, to standard output, where Lambda collects them.
//!
//! What may be logged: ids, outcomes, codes, durations, counts. Never a body, a product's free text, a header's value
//! or a key: a log is read by more people than the catalogue.

use tracing::level_filters::LevelFilter;

/// Starts logging at `level` (`error`, `warn`, `info`, `debug`, `trace`; anything else is `info`).
///
/// The AWS SDK logs through the same subscriber. At `debug` it writes whole requests, so the functions' own lines only
/// are let through below `info`.
pub fn init(level: &str) {
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::{Layer, Registry, filter, fmt};

    let own: LevelFilter = level.parse().unwrap_or(LevelFilter::INFO);
    let own_crate = env!("CARGO_CRATE_NAME");
    let others = own.min(LevelFilter::INFO);
    let lines = fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false).with_filter(
        filter::filter_fn(move |line| {
            let most = if line.target().starts_with(own_crate) { own } else { others };
            *line.level() <= most
        }),
    );
    // A second call would be a mistake in `main`; the first subscriber stays.
    let _ = tracing::subscriber::set_global_default(Registry::default().with(lines));
}
