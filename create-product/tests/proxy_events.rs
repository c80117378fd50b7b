//! Any event gets a response that the contract describes, and every queued message matches the contract.

mod support;

use async_trait::async_trait;
use create_product::handler::handle;
use create_product::http::proxy_integration::serve;
use create_product::models::change_event::{ChangeEvent, fingerprint};
use create_product::models::identifiers::{EventId, ProductId};
use create_product::models::product_content::Sku;
use create_product::models::timestamp::Timestamp;
use create_product::repositories::change_publisher::{ChangePublisher, PublishError};
use create_product::repositories::product_lookup::{Creation, LookupError, ProductLookup};
use create_product::telemetry;
use support::change_queue::is_allowed;
use support::contract::assert_keeps;
use support::proxy_events::bombard;

const HOLDER: &str = "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84";

/// Has every third product that a key could name, and every SKU of an even length.
struct SomeProducts;

#[async_trait]
impl ProductLookup for SomeProducts {
    async fn creation(&self, id: ProductId) -> Result<Option<Creation>, LookupError> {
        let exists = id.to_string().bytes().map(u32::from).sum::<u32>() % 3 == 0;
        let event_id = EventId::after(None, Timestamp::from_unix_millis(0));
        Ok(exists.then(|| Creation { event_id, fingerprint: fingerprint(None) }))
    }

    async fn sku_holder(&self, sku: &Sku) -> Result<Option<ProductId>, LookupError> {
        Ok(sku.as_str().len().is_multiple_of(2).then(|| HOLDER.parse().unwrap()))
    }
}

/// Accepts messages that match the contract and that SQS accepts.
struct StrictQueue;

#[async_trait]
impl ChangePublisher for StrictQueue {
    async fn publish(&self, event: &ChangeEvent) -> Result<(), PublishError> {
        let text = serde_json::to_string(event).unwrap();
        assert!(is_allowed(&text), "{text}");
        assert_keeps("change-event", &serde_json::from_str(&text).unwrap());
        Ok(())
    }
}

#[test]
fn responds_to_any_event_as_contract_describes_and_logs_one_line() {
    bombard(
        "POST",
        "/products",
        &[],
        |log| telemetry::subscriber("trace", log),
        |event| serve(event, |request| handle(request, &SomeProducts, &StrictQueue)),
    );
}
