//! Whatever comes in, an answer goes out that the contract describes, and what is queued can be read.

mod support;

use async_trait::async_trait;
use delete_product::handler::handle;
use delete_product::http::proxy_integration::serve;
use delete_product::models::change_event::{ChangeEvent, ChangeEventDocument};
use delete_product::models::identifiers::{EventId, ProductId};
use delete_product::models::product::Status;
use delete_product::models::timestamp::Timestamp;
use delete_product::repositories::change_publisher::{ChangePublisher, PublishError};
use delete_product::repositories::current_product::{CurrentProduct, CurrentProducts, ReadError};
use delete_product::telemetry;
use support::change_queue::is_allowed;
use support::proxy_events::bombard;

const ACTIVE: &str = "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84";
const DELETED: &str = "9b2d7c41-56ae-4f08-8c13-7e5d0a9b3f26";

/// Two products, one of them deleted.
struct TwoProducts;

#[async_trait]
impl CurrentProducts for TwoProducts {
    async fn current(&self, id: ProductId) -> Result<Option<CurrentProduct>, ReadError> {
        let status = match id.to_string().as_str() {
            ACTIVE => Status::Active,
            DELETED => Status::Deleted,
            _ => return Ok(None),
        };
        let last_event_id = EventId::after(None, Timestamp::from_unix_millis(1_769_860_800_000));
        Ok(Some(CurrentProduct { status, version: 3, last_event_id }))
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
        "DELETE",
        "/products/{productId}",
        &[ACTIVE, DELETED],
        |log| telemetry::subscriber("trace", log),
        |event| serve(event, |request| handle(request, &TwoProducts, &StrictQueue)),
    );
}
