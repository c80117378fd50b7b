//! Whatever comes in, an answer goes out that the contract describes, and what is queued can be read.

mod support;

use async_trait::async_trait;
use create_product::handler::handle;
use create_product::http::proxy_integration::serve;
use create_product::models::change_event::{ChangeEvent, ChangeEventDocument, fingerprint};
use create_product::models::identifiers::{EventId, ProductId};
use create_product::models::timestamp::Timestamp;
use create_product::repositories::change_publisher::{ChangePublisher, PublishError};
use create_product::repositories::creation_reader::{Creation, CreationReader, ReadError};
use create_product::telemetry;
use support::change_queue::is_allowed;
use support::proxy_events::bombard;

/// Knows every third product that a key could name.
struct SomeProducts;

#[async_trait]
impl CreationReader for SomeProducts {
    async fn creation(&self, id: ProductId) -> Result<Option<Creation>, ReadError> {
        let known = id.to_string().bytes().map(u32::from).sum::<u32>() % 3 == 0;
        let event_id = EventId::after(None, Timestamp::from_unix_millis(0));
        Ok(known.then(|| Creation { event_id, fingerprint: fingerprint(None) }))
    }
}

/// Takes what product-creator can read, and SQS would take.
struct StrictQueue;

#[async_trait]
impl ChangePublisher for StrictQueue {
    async fn publish(&self, event: &ChangeEvent) -> Result<(), PublishError> {
        let text = serde_json::to_string(&ChangeEventDocument::from(event)).unwrap();
        assert!(is_allowed(&text), "{text}");
        let document: ChangeEventDocument = serde_json::from_str(&text).unwrap();
        assert_eq!(ChangeEvent::try_from(document).as_ref(), Ok(event));
        Ok(())
    }
}

#[test]
fn any_event_is_answered_as_the_contract_says_and_logged_in_one_line() {
    bombard(
        "POST",
        "/products",
        &[],
        |log| telemetry::subscriber("trace", log),
        |event| serve(event, |request| handle(request, &SomeProducts, &StrictQueue)),
    );
}
