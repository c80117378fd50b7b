//! A new product is queued; a request that was made before is answered as it was then.

use crate::models::change_event::{Actor, Change, ChangeEvent, fingerprint};
use crate::models::identifiers::{EventId, ProductId};
use crate::models::product::ProductDetails;
use crate::models::timestamp::Timestamp;
use crate::repositories::change_publisher::{ChangePublisher, PublishError};
use crate::repositories::creation_reader::{CreationReader, ReadError};

/// A request to create a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creating {
    /// The id that the request's idempotency key names; `None` for a request without one.
    pub named: Option<ProductId>,
    pub details: ProductDetails,
    pub actor: Actor,
    pub request_id: String,
    pub now: Timestamp,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Queued, now or by an earlier request with the same key and content.
    Accepted { product_id: ProductId, event_id: EventId },
    /// The key was used before, for something else.
    KeyReused,
}

/// Why a creation was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum CreateProductError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Queues the creation, unless the key's product exists.
///
/// While an earlier request with the key is still on its way, this one is queued too, for the same product id:
/// product-creator then applies one of them, and takes the other for its duplicate or rejects it.
pub async fn create_product(
    products: &dyn CreationReader,
    queue: &dyn ChangePublisher,
    creating: Creating,
) -> Result<Outcome, CreateProductError> {
    let Creating { named, details, actor, request_id, now } = creating;
    if let Some(product_id) = named
        && let Some(earlier) = products.creation(product_id).await?
    {
        let repeated = earlier.fingerprint == fingerprint(Some(&details));
        return Ok(if repeated {
            Outcome::Accepted { product_id, event_id: earlier.event_id }
        } else {
            Outcome::KeyReused
        });
    }
    let event = ChangeEvent {
        event_id: EventId::after(None, now),
        product_id: named.unwrap_or_else(ProductId::random),
        occurred_at: now,
        actor,
        request_id,
        change: Change::Create(details),
    };
    queue.publish(&event).await?;
    Ok(Outcome::Accepted { product_id: event.product_id, event_id: event.event_id })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::money::{Currency, Money};
    use crate::repositories::change_publisher::MockChangePublisher;
    use crate::repositories::creation_reader::{Creation, MockCreationReader};

    fn details() -> ProductDetails {
        ProductDetails {
            name: "Oak table".to_owned(),
            price: Money::parse("19.99", Currency::EUR).unwrap(),
            sku: None,
            description: None,
            category: None,
            tags: vec![],
            image_urls: vec![],
            attributes: [].into(),
        }
    }

    fn creating(named: Option<ProductId>) -> Creating {
        Creating {
            named,
            details: details(),
            actor: Actor { api_key_id: Some("key-1".to_owned()), source_ip: None },
            request_id: "req-1".to_owned(),
            now: Timestamp::from_unix_millis(1_800_000_000_000),
        }
    }

    fn queue_that_takes(times: usize) -> MockChangePublisher {
        let mut queue = MockChangePublisher::new();
        queue.expect_publish().times(times).returning(|_| Ok(()));
        queue
    }

    fn table_with(creation: Option<Creation>) -> MockCreationReader {
        let mut products = MockCreationReader::new();
        products.expect_creation().times(1).returning(move |_| Ok(creation.clone()));
        products
    }

    #[tokio::test]
    async fn without_a_key_each_request_is_a_new_product_and_the_table_is_not_asked() {
        let mut seen = Vec::new();
        for _ in 0..2 {
            let outcome =
                create_product(&MockCreationReader::new(), &queue_that_takes(1), creating(None)).await.unwrap();
            let Outcome::Accepted { product_id, .. } = outcome else { panic!("{outcome:?}") };
            seen.push(product_id);
        }
        assert_ne!(seen[0], seen[1]);
    }

    #[tokio::test]
    async fn what_is_queued_is_what_was_asked_for() {
        let mut queue = MockChangePublisher::new();
        queue
            .expect_publish()
            .withf(|event| {
                event.change == Change::Create(details())
                    && event.request_id == "req-1"
                    && event.actor.api_key_id.as_deref() == Some("key-1")
                    && event.occurred_at == event.event_id.timestamp()
            })
            .times(1)
            .returning(|_| Ok(()));
        create_product(&MockCreationReader::new(), &queue, creating(None)).await.unwrap();
    }

    #[tokio::test]
    async fn a_new_key_names_the_new_product() {
        let named = ProductId::random();
        let outcome = create_product(&table_with(None), &queue_that_takes(1), creating(Some(named))).await.unwrap();
        assert!(matches!(outcome, Outcome::Accepted { product_id, .. } if product_id == named));
    }

    #[tokio::test]
    async fn a_repeated_request_is_answered_as_the_first_and_queues_nothing() {
        let (named, event_id) = (ProductId::random(), EventId::after(None, Timestamp::now()));
        let earlier = Creation { event_id, fingerprint: fingerprint(Some(&details())) };
        let outcome = create_product(&table_with(Some(earlier)), &queue_that_takes(0), creating(Some(named))).await;
        assert_eq!(outcome.unwrap(), Outcome::Accepted { product_id: named, event_id });
    }

    #[tokio::test]
    async fn a_key_used_for_something_else_is_refused_and_queues_nothing() {
        let earlier = Creation { event_id: EventId::after(None, Timestamp::now()), fingerprint: "0".repeat(64) };
        let creating = creating(Some(ProductId::random()));
        let outcome = create_product(&table_with(Some(earlier)), &queue_that_takes(0), creating).await;
        assert_eq!(outcome.unwrap(), Outcome::KeyReused);
    }

    #[tokio::test]
    async fn a_change_that_the_queue_did_not_take_is_not_accepted() {
        let mut queue = MockChangePublisher::new();
        queue.expect_publish().returning(|_| Err(PublishError::Unavailable("down".into())));
        let outcome = create_product(&MockCreationReader::new(), &queue, creating(None)).await;
        assert!(matches!(outcome, Err(CreateProductError::Publish(PublishError::Unavailable(_)))));
    }
}
