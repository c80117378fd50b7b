//! A replacement is queued for a product that is there and has the version that the caller expects.
//!
//! The product is read first. A caller's typo is answered with 404 at once instead of becoming a message that nobody
//! can apply, and the event id is made greater than that of the last change seen, whatever this machine's clock says.

use crate::models::change_event::{Actor, Change, ChangeEvent};
use crate::models::expected_version::{Evaluation, ExpectedVersion};
use crate::models::identifiers::{EventId, ProductId};
use crate::models::product::{ProductDetails, Status};
use crate::models::timestamp::Timestamp;
use crate::repositories::change_publisher::{ChangePublisher, PublishError};
use crate::repositories::current_product::{CurrentProducts, ReadError};

/// A request to replace a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Updating {
    pub product_id: ProductId,
    pub details: ProductDetails,
    /// The conditions of the request's headers.
    pub expected: ExpectedVersion,
    pub actor: Actor,
    pub request_id: String,
    pub now: Timestamp,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Accepted(EventId),
    /// There is no such product, or it is deleted.
    NotFound,
    /// The product's version doesn't meet the caller's conditions.
    PreconditionFailed {
        current_version: u64,
    },
}

/// Why a replacement was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum UpdateProductError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Queues the replacement. product-creator checks the version again, and has the last word: another change may be on
/// its way.
pub async fn update_product(
    products: &dyn CurrentProducts,
    queue: &dyn ChangePublisher,
    updating: Updating,
) -> Result<Outcome, UpdateProductError> {
    let Updating { product_id, details, expected, actor, request_id, now } = updating;
    let Some(current) = products.current(product_id).await?.filter(|current| current.status == Status::Active) else {
        return Ok(Outcome::NotFound);
    };
    if expected.evaluate(current.version) != Evaluation::Met {
        return Ok(Outcome::PreconditionFailed { current_version: current.version });
    }
    let expected_version = expected.required_version(current.version);
    let event = ChangeEvent {
        event_id: EventId::after(Some(current.last_event_id), now),
        product_id,
        occurred_at: now,
        actor,
        request_id,
        change: Change::Update { details, expected_version },
    };
    queue.publish(&event).await?;
    Ok(Outcome::Accepted(event.event_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::money::{Currency, Money};
    use crate::repositories::change_publisher::MockChangePublisher;
    use crate::repositories::current_product::{CurrentProduct, MockCurrentProducts};

    const NOW: u64 = 1_800_000_000_000;

    fn updating() -> Updating {
        let details = ProductDetails {
            name: "Oak table".to_owned(),
            price: Money::parse("19.99", Currency::EUR).unwrap(),
            sku: None,
            description: None,
            category: None,
            tags: vec![],
            image_urls: vec![],
            attributes: [].into(),
        };
        Updating {
            product_id: ProductId::random(),
            details,
            expected: ExpectedVersion::default(),
            actor: Actor::default(),
            request_id: "req-1".to_owned(),
            now: Timestamp::from_unix_millis(NOW),
        }
    }

    fn table_with(status: Status, last_event_millis: u64) -> MockCurrentProducts {
        let last_event_id = EventId::after(None, Timestamp::from_unix_millis(last_event_millis));
        let mut products = MockCurrentProducts::new();
        products.expect_current().returning(move |_| Ok(Some(CurrentProduct { status, version: 3, last_event_id })));
        products
    }

    #[tokio::test]
    async fn the_event_follows_the_change_that_was_seen_even_if_the_clock_runs_behind() {
        let mut queue = MockChangePublisher::new();
        queue
            .expect_publish()
            .withf(|event| event.event_id.unix_millis() == NOW + 5_001 && event.occurred_at.unix_millis() == NOW)
            .times(1)
            .returning(|_| Ok(()));
        let outcome = update_product(&table_with(Status::Active, NOW + 5_000), &queue, updating()).await.unwrap();
        assert!(matches!(outcome, Outcome::Accepted(_)));
    }

    #[tokio::test]
    async fn nothing_is_queued_for_a_product_that_is_not_there() {
        let mut nothing = MockCurrentProducts::new();
        nothing.expect_current().returning(|_| Ok(None));
        for products in [nothing, table_with(Status::Deleted, NOW)] {
            let outcome = update_product(&products, &MockChangePublisher::new(), updating()).await.unwrap();
            assert_eq!(outcome, Outcome::NotFound);
        }
    }
}
