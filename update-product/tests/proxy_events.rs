//! Any event gets a response that the contract describes, and every queued message matches the contract.

mod support;

use async_trait::async_trait;
use serde_json::json;
use support::change_queue::is_allowed;
use support::contract::assert_keeps;
use support::proxy_events::bombard;
use update_product::handler::handle;
use update_product::http::proxy_integration::serve;
use update_product::models::change_event::ChangeEvent;
use update_product::models::identifiers::{EventId, ProductId};
use update_product::models::product_content::Sku;
use update_product::models::product_status::Status;
use update_product::models::timestamp::Timestamp;
use update_product::repositories::change_publisher::{ChangePublisher, PublishError};
use update_product::repositories::current_products::{CurrentProduct, CurrentProducts, ReadError};
use update_product::telemetry;

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
        let content = json!({"name": "Oak table", "price": "19.99", "currency": "EUR", "sku": "OAK-1"});
        let content = serde_json::from_value(content).unwrap();
        Ok(Some(CurrentProduct { status, version: 3, last_event_id, content }))
    }

    /// The other product has every SKU of an even length.
    async fn sku_holder(&self, sku: &Sku) -> Result<Option<ProductId>, ReadError> {
        Ok(sku.as_str().len().is_multiple_of(2).then(|| DELETED.parse().unwrap()))
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

fn respond_to_any(method: &'static str) {
    bombard(
        method,
        "/products/{productId}",
        &[ACTIVE, DELETED],
        |log| telemetry::subscriber("trace", log),
        |event| serve(event, |request| handle(request, &TwoProducts, &StrictQueue)),
    );
}

#[test]
fn responds_to_any_put_as_contract_describes_and_logs_one_line() {
    respond_to_any("PUT");
}

#[test]
fn responds_to_any_patch_as_contract_describes_and_logs_one_line() {
    respond_to_any("PATCH");
}
