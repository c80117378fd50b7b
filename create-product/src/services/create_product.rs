//! Queues the creation of a product; a repeated request gets the response of the first.

use crate::models::change_event::{ChangeEvent, ChangeType, Origin, Requested, fingerprint};
use crate::models::identifiers::{EventId, ProductId};
use crate::models::product_content::ProductContent;
use crate::models::timestamp::Timestamp;
use crate::repositories::change_publisher::{ChangePublisher, PublishError};
use crate::repositories::product_lookup::{LookupError, ProductLookup};

/// A request to create a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateProductRequest {
    /// The ID that the request's idempotency key names; `None` for a request without one.
    pub named_id: Option<ProductId>,
    pub content: ProductContent,
    pub origin: Origin,
    pub now: Timestamp,
}

/// The outcome of an understood request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Queued, now or by an earlier request with the same key and content.
    Accepted { product_id: ProductId, event_id: EventId },
    /// The key was used before, with different content.
    KeyReused,
    /// Another active product has the SKU.
    SkuTaken { holder: ProductId },
}

/// Why a creation was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum CreateProductError {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Queues the creation, unless the key's product exists or another product has the SKU.
///
/// While an earlier request with the key is under way, this one is queued too, for the same product ID: product-creator
/// applies one of them and records the other as its duplicate, or rejects it. It also decides about the SKU with authority:
/// the look here only spares the client a change that cannot succeed.
pub async fn create_product(
    products: &dyn ProductLookup,
    queue: &dyn ChangePublisher,
    creation: CreateProductRequest,
) -> Result<Outcome, CreateProductError> {
    let CreateProductRequest { named_id, content, origin, now } = creation;
    let requested = Requested::Product(content.to_json());
    if let Some(product_id) = named_id
        && let Some(earlier) = products.creation(product_id).await?
    {
        let is_repeated = earlier.fingerprint == fingerprint(Some(&requested));
        return Ok(if is_repeated {
            Outcome::Accepted { product_id, event_id: earlier.event_id }
        } else {
            Outcome::KeyReused
        });
    }
    if let Some(sku) = &content.sku
        && let Some(holder) = products.sku_holder(sku).await?
        && named_id != Some(holder)
    {
        return Ok(Outcome::SkuTaken { holder });
    }
    let product_id = named_id.unwrap_or_else(ProductId::random);
    let event = ChangeEvent::new(ChangeType::Create, product_id, None, now, origin, Some(requested));
    queue.publish(&event).await?;
    Ok(Outcome::Accepted { product_id, event_id: event.event_id })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::change_event::Actor;
    use crate::repositories::change_publisher::MockChangePublisher;
    use crate::repositories::product_lookup::{Creation, MockProductLookup};
    use serde_json::json;

    fn content() -> serde_json::Value {
        json!({"name": "Oak table", "price": "19.99", "currency": "EUR", "sku": "OAK-1"})
    }

    fn requested() -> Requested {
        Requested::Product(content().as_object().unwrap().clone())
    }

    fn request(named_id: Option<ProductId>) -> CreateProductRequest {
        CreateProductRequest {
            named_id,
            content: serde_json::from_value(content()).unwrap(),
            origin: Origin {
                actor: Actor { api_key_id: Some("key-1".to_owned()), source_ip: None },
                request_id: "req-1".to_owned(),
            },
            now: Timestamp::from_unix_millis(1_800_000_000_000),
        }
    }

    fn queue_expecting(messages: usize) -> MockChangePublisher {
        let mut queue = MockChangePublisher::new();
        queue.expect_publish().times(messages).returning(|_| Ok(()));
        queue
    }

    fn table_with(creation: Option<Creation>, sku_holder: Option<ProductId>) -> MockProductLookup {
        let mut products = MockProductLookup::new();
        products.expect_creation().returning(move |_| Ok(creation.clone()));
        products.expect_sku_holder().returning(move |_| Ok(sku_holder));
        products
    }

    #[tokio::test]
    async fn creates_new_product_for_each_request_without_key() {
        let mut ids = Vec::new();
        for _ in 0..2 {
            let mut products = MockProductLookup::new();
            products.expect_creation().never();
            products.expect_sku_holder().returning(|_| Ok(None));
            let outcome = create_product(&products, &queue_expecting(1), request(None)).await.unwrap();
            let Outcome::Accepted { product_id, .. } = outcome else { panic!("{outcome:?}") };
            ids.push(product_id);
        }
        assert_ne!(ids[0], ids[1]);
    }

    #[tokio::test]
    async fn queues_what_was_requested() {
        let mut queue = MockChangePublisher::new();
        queue
            .expect_publish()
            .withf(|event| {
                event.change_type == ChangeType::Create
                    && event.requested == Some(requested())
                    && event.origin == request(None).origin
                    && event.occurred_at == event.event_id.timestamp()
            })
            .times(1)
            .returning(|_| Ok(()));
        create_product(&table_with(None, None), &queue, request(None)).await.unwrap();
    }

    #[tokio::test]
    async fn uses_id_that_key_names() {
        let id = ProductId::random();
        let outcome = create_product(&table_with(None, None), &queue_expecting(1), request(Some(id))).await.unwrap();
        assert!(matches!(outcome, Outcome::Accepted { product_id, .. } if product_id == id));
    }

    #[tokio::test]
    async fn returns_first_event_for_repeated_request_and_queues_nothing() {
        let (id, event_id) = (ProductId::random(), EventId::after(None, Timestamp::now()));
        let earlier = Creation { event_id, fingerprint: fingerprint(Some(&requested())) };
        // The product itself has the SKU by now.
        let products = table_with(Some(earlier), Some(id));
        let outcome = create_product(&products, &queue_expecting(0), request(Some(id))).await;
        assert_eq!(outcome.unwrap(), Outcome::Accepted { product_id: id, event_id });
    }

    #[tokio::test]
    async fn refuses_key_that_was_used_with_different_content() {
        let event_id = EventId::after(None, Timestamp::now());
        let earlier = Creation { event_id, fingerprint: fingerprint(None) };
        let products = table_with(Some(earlier), None);
        let outcome = create_product(&products, &queue_expecting(0), request(Some(ProductId::random()))).await;
        assert_eq!(outcome.unwrap(), Outcome::KeyReused);
    }

    #[tokio::test]
    async fn refuses_sku_of_another_product_and_accepts_its_own() {
        let holder = ProductId::random();
        for named_id in [None, Some(ProductId::random())] {
            let products = table_with(None, Some(holder));
            let outcome = create_product(&products, &queue_expecting(0), request(named_id)).await.unwrap();
            assert_eq!(outcome, Outcome::SkuTaken { holder });
        }
        let products = table_with(None, Some(holder));
        let outcome = create_product(&products, &queue_expecting(1), request(Some(holder))).await.unwrap();
        assert!(matches!(outcome, Outcome::Accepted { .. }));
    }
}
