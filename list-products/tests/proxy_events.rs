//! Every event gets a response that the contract describes.

mod support;

use list_products::handler::handle;
use list_products::http::proxy_integration::serve;
use list_products::telemetry;
use support::catalogue::Entry;
use support::memory_index::MemoryIndex;
use support::proxy_events::bombard;

fn answers_any_event(resource: &'static str) {
    let index = MemoryIndex::default();
    for number in 0..50 {
        let currency = ["EUR", "USD", "JPY"][number as usize % 3];
        let entry = Entry::new(number, "Oak table", currency, u64::from(number) * 100).in_category("Furniture");
        index.put(&if number % 5 == 0 { entry.deleted() } else { entry }, 4);
    }

    bombard(
        "GET",
        resource,
        &[],
        |log| telemetry::subscriber("trace", log),
        |event| serve(event, |request| handle(request, &index, 4)),
    );
}

#[test]
fn answers_any_event_for_list_and_logs_one_line() {
    answers_any_event("/products");
}

#[test]
fn answers_any_event_for_feed_and_logs_one_line() {
    answers_any_event("/products/changes");
}
