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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: &str) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        tracing::subscriber::with_default(subscriber(level, move || writer.clone()), || {
            tracing::trace!("own trace");
            tracing::info!("own info");
            tracing::debug!(target: "aws_smithy_runtime", "a whole request");
            tracing::info!(target: "aws_smithy_runtime", "of the SDK");
        });
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn what_the_sdk_says_of_a_request_is_never_logged_and_the_own_lines_follow_the_level() {
        for (level, own_trace, own_info, of_the_sdk) in [
            ("trace", true, true, true),
            ("info", false, true, true),
            ("no level", false, true, true),
            ("error", false, false, false),
        ] {
            let log = logged(level);
            assert!(!log.contains("a whole request"), "{level}: {log}");
            assert_eq!(log.contains("own trace"), own_trace, "{level}: {log}");
            assert_eq!(log.contains("own info"), own_info, "{level}: {log}");
            assert_eq!(log.contains("of the SDK"), of_the_sdk, "{level}: {log}");
        }
    }
}
