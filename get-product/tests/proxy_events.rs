//! Every event gets a response that the contract describes.

mod support;

use async_trait::async_trait;
use get_product::handler::handle;
use get_product::http::proxy_integration::serve;
use get_product::models::change::{ChangeType, Outcome, RecordedChange};
use get_product::models::identifiers::{EventId, ProductId};
use get_product::models::money::{Currency, Money};
use get_product::models::product::{Product, ProductDetails, Status};
use get_product::models::timestamp::Timestamp;
use get_product::repositories::product_reader::{ProductReader, ReadError, RecordedChanges};
use get_product::telemetry;
use support::proxy_events::{RECORDED_EVENT, bombard};

const ACTIVE: &str = "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84";
const DELETED: &str = "9b2d7c41-56ae-4f08-8c13-7e5d0a9b3f26";

/// Two products, one of them deleted.
struct TwoProducts;

#[async_trait]
impl ProductReader for TwoProducts {
    async fn read(&self, id: ProductId) -> Result<Option<Product>, ReadError> {
        let status = match id.to_string().as_str() {
            ACTIVE => Status::Active,
            DELETED => Status::Deleted,
            _ => return Ok(None),
        };
        let now = Timestamp::from_unix_millis(1_769_860_800_000);
        let details = ProductDetails {
            name: "Oak table \"XL\"".to_owned(),
            price: Money::parse("19.9", Currency::EUR).unwrap(),
            sku: None,
            description: Some("\r\n\0".to_owned()),
            category: None,
            tags: vec!["oak".to_owned()],
            image_urls: vec![],
            attributes: [("width".to_owned(), "90 cm".to_owned())].into(),
        };
        let last_event_id = EventId::after(None, now);
        Ok(Some(Product { id, details, status, version: 3, created_at: now, updated_at: now, last_event_id }))
    }

    async fn creation(&self, id: ProductId) -> Result<Option<EventId>, ReadError> {
        Ok(self.read(id).await?.map(|product| product.last_event_id))
    }

    async fn change(&self, id: ProductId, event_id: EventId) -> Result<Option<RecordedChange>, ReadError> {
        Ok(Some(rejected(id)).filter(|change| change.event_id == event_id && id.to_string() == ACTIVE))
    }

    async fn changes(
        &self,
        id: ProductId,
        before: Option<EventId>,
        limit: usize,
    ) -> Result<RecordedChanges, ReadError> {
        let changes = match id.to_string().as_str() {
            ACTIVE if before.is_none() => vec![rejected(id); limit],
            _ => vec![],
        };
        Ok(RecordedChanges { more: !changes.is_empty(), changes })
    }
}

fn rejected(id: ProductId) -> RecordedChange {
    let event_id: EventId = RECORDED_EVENT.parse().unwrap();
    RecordedChange {
        event_id,
        product_id: id,
        change_type: ChangeType::Update,
        outcome: Outcome::Rejected,
        reason: Some("PRECONDITION_FAILED".to_owned()),
        version: Some(3),
        occurred_at: event_id.timestamp(),
        recorded_at: event_id.timestamp(),
        request_id: "req-1".to_owned(),
        requested: Some(serde_json::json!({"patch": {"name": "Oak table"}})),
        before: None,
        after: None,
        prev_hash: None,
        hash: None,
    }
}

fn answers_any_event(resource: &'static str) {
    bombard(
        "GET",
        resource,
        &[ACTIVE, DELETED],
        |log| telemetry::subscriber("trace", log),
        |event| serve(event, |request| handle(request, &TwoProducts)),
    );
}

#[test]
fn answers_any_event_for_product_and_logs_one_line() {
    answers_any_event("/products/{productId}");
}

#[test]
fn answers_any_event_for_changes_and_logs_one_line() {
    answers_any_event("/products/{productId}/changes");
}

#[test]
fn answers_any_event_for_change_and_logs_one_line() {
    answers_any_event("/products/{productId}/changes/{eventId}");
}
