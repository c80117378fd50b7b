//! Structured logs: one JSON object a line, to standard output, where Lambda collects them.
//!
//! A line has timestamp, level, target, message, and the fields of the event and of the spans around it, all at the top.
//! A message is constant text (an object and a past participle, such as "request completed"); data goes into fields.
//!
//! Logged are IDs, outcomes, codes, durations and counts. Never a body, a product's content, a header's value or a key:
//! more people read the log than the catalogue.

use std::fmt;
use std::io;
use std::panic;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields, MakeWriter, layer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

use crate::models::timestamp::Timestamp;

/// Starts logging at `level` (`error`, `warn`, `info`, `debug`, `trace`; anything else is `info`).
///
/// A panic is logged with its location only: its message may quote the data, and Rust's own report is not JSON.
pub fn init(level: &str) {
    // A second call would be a mistake in `main`; the first subscriber stays.
    let _ = tracing::subscriber::set_global_default(subscriber(level, io::stdout));
    panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        tracing::error!(location, "code panicked");
    }));
}

/// The subscriber that `init` starts, with a writer of the caller's choice.
///
/// The AWS SDK logs through the same subscriber. At `debug` it writes whole requests, so below `info` only the function's
/// own lines are let through.
pub fn subscriber<Output>(level: &str, writer: Output) -> impl Subscriber + Send + Sync
where
    Output: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let own: LevelFilter = level.parse().unwrap_or(LevelFilter::INFO);
    // `Targets` and not a closure: its levels are known in advance, so that each finer log statement of the libraries is
    // switched off once instead of being asked each time.
    let levels = Targets::new().with_default(own.min(LevelFilter::INFO)).with_target(env!("CARGO_CRATE_NAME"), own);
    let lines = layer().fmt_fields(JsonFields::new()).event_format(JsonLine).with_writer(writer).with_filter(levels);
    Registry::default().with(lines)
}

/// An event as one JSON object. (`tracing_subscriber`'s own JSON nests a span's fields; a query by `requestId` should not
/// have to know whether a span or an event carries it.)
struct JsonLine;

impl<S> FormatEvent<S, JsonFields> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<JsonFields>>();
            if let Some(Ok(fields)) = fields.map(|fields| serde_json::from_str::<Map<String, Value>>(fields)) {
                line.extend(fields);
            }
        }
        event.record(&mut Recorder(&mut line));
        line.insert("timestamp".to_owned(), Timestamp::now().to_string().into());
        line.insert("level".to_owned(), event.metadata().level().as_str().into());
        line.insert("target".to_owned(), event.metadata().target().into());
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// Collects an event's fields.
struct Recorder<'a>(&'a mut Map<String, Value>);

impl Recorder<'_> {
    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Recorder<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }
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

    fn logged(level: &str, log: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        tracing::subscriber::with_default(subscriber(level, move || writer.clone()), log);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn logs_own_lines_by_level_and_never_the_requests_of_the_sdk() {
        for (level, own_trace, own_info, sdk_info) in [
            ("trace", true, true, true),
            ("info", false, true, true),
            ("no level", false, true, true),
            ("error", false, false, false),
        ] {
            let log = logged(level, || {
                tracing::trace!("own trace");
                tracing::info!("own info");
                tracing::debug!(target: "aws_smithy_runtime", "a whole request");
                tracing::info!(target: "aws_smithy_runtime", "of the SDK");
            });
            assert!(!log.contains("a whole request"), "{level}: {log}");
            assert_eq!(log.contains("own trace"), own_trace, "{level}: {log}");
            assert_eq!(log.contains("own info"), own_info, "{level}: {log}");
            assert_eq!(log.contains("of the SDK"), sdk_info, "{level}: {log}");
        }
    }

    #[test]
    fn writes_fields_of_event_and_spans_at_the_top_of_one_line() {
        let log = logged("error", || {
            let span = tracing::error_span!("request", requestId = "r-1", productId = tracing::field::Empty);
            let _entered = span.enter();
            span.record("productId", tracing::field::display("p-1"));
            tracing::error!(
                status = 503_u64,
                clock = -7_i64,
                share = 0.5,
                cold = true,
                error = "a\n\"b\"",
                outcome = ?Some(1),
                "request failed"
            );
        });
        let mut line: Map<String, Value> = serde_json::from_str(&log).unwrap();
        let timestamp = line.remove("timestamp").unwrap();
        assert!(timestamp.as_str().unwrap().parse::<Timestamp>().is_ok());
        assert_eq!(log.lines().count(), 1);
        assert_eq!(
            Value::Object(line),
            serde_json::json!({
                "level": "ERROR", "target": module_path!(), "message": "request failed",
                "requestId": "r-1", "productId": "p-1",
                "status": 503, "clock": -7, "share": 0.5, "cold": true, "error": "a\n\"b\"", "outcome": "Some(1)",
            })
        );
    }
}
