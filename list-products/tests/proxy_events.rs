//! Whatever comes in, an answer goes out that the contract describes.

mod support;

use list_products::handler::handle;
use list_products::http::proxy_integration::serve;
use list_products::telemetry;
use support::catalogue::Entry;
use support::memory_index::MemoryIndex;
use support::proxy_events::bombard;

#[test]
fn any_event_is_answered_as_the_contract_says_and_logged_in_one_line() {
    let index = MemoryIndex::default();
    for number in 0..50 {
        let currency = ["EUR", "USD", "JPY"][number as usize % 3];
        index.put(&Entry::new(number, "Oak table", currency, u64::from(number) * 100), 4);
    }

    bombard(
        "GET",
        "/products",
        &[],
        |log| telemetry::subscriber("trace", log),
        |event| serve(event, |request| handle(request, &index, 4)),
    );
}
