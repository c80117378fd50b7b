//! Whatever comes in, an answer goes out that the contract describes.

mod support;

use async_trait::async_trait;
use get_product::handler::handle;
use get_product::http::proxy_integration::serve;
use get_product::models::identifiers::{EventId, ProductId};
use get_product::models::money::{Currency, Money};
use get_product::models::product::{Product, ProductDetails, Status};
use get_product::models::timestamp::Timestamp;
use get_product::repositories::product_reader::{ProductReader, ReadError};
use get_product::telemetry;
use support::proxy_events::bombard;

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
}

#[test]
fn any_event_is_answered_as_the_contract_says_and_logged_in_one_line() {
    bombard(
        "GET",
        "/products/{productId}",
        &[ACTIVE, DELETED],
        |log| telemetry::subscriber("trace", log),
        |event| serve(event, |request| handle(request, &TwoProducts)),
    );
}
