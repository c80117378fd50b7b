//! A deletion is queued for a product that is there; one that is deleted already stays so.
//!
//! The product is read first. A caller's typo is answered with 404 at once instead of becoming a message that nobody
//! can apply, and the event id is made greater than that of the last change seen, whatever this machine's clock says.

use crate::models::change_event::{Actor, Change, ChangeEvent};
use crate::models::expected_version::{Evaluation, ExpectedVersion};
use crate::models::identifiers::{EventId, ProductId};
use crate::models::product::Status;
use crate::models::timestamp::Timestamp;
use crate::repositories::change_publisher::{ChangePublisher, PublishError};
use crate::repositories::current_product::{CurrentProducts, ReadError};

/// A request to delete a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleting {
    pub product_id: ProductId,
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
    /// It is deleted already, by this event. Nothing is queued.
    Deleted(EventId),
    /// There never was such a product.
    NotFound,
    /// The product's version doesn't meet the caller's conditions.
    PreconditionFailed {
        current_version: u64,
    },
}

/// Why a deletion was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteProductError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Queues the deletion. product-creator checks the version again, and has the last word: another change may be on its
/// way.
///
/// A repeated deletion succeeds whatever version it expects: what it asks for is so (RFC 9110 §13.1.1 allows that, and
/// a caller that repeats a request whose answer was lost needs it).
pub async fn delete_product(
    products: &dyn CurrentProducts,
    queue: &dyn ChangePublisher,
    deleting: Deleting,
) -> Result<Outcome, DeleteProductError> {
    let Deleting { product_id, expected, actor, request_id, now } = deleting;
    let Some(current) = products.current(product_id).await? else { return Ok(Outcome::NotFound) };
    if current.status == Status::Deleted {
        return Ok(Outcome::Deleted(current.last_event_id));
    }
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
        change: Change::Delete { expected_version },
    };
    queue.publish(&event).await?;
    Ok(Outcome::Accepted(event.event_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repositories::change_publisher::MockChangePublisher;
    use crate::repositories::current_product::{CurrentProduct, MockCurrentProducts};

    const NOW: u64 = 1_800_000_000_000;

    fn deleting() -> Deleting {
        Deleting {
            product_id: ProductId::random(),
            expected: ExpectedVersion::default(),
            actor: Actor::default(),
            request_id: "req-1".to_owned(),
            now: Timestamp::from_unix_millis(NOW),
        }
    }

    fn table_with(status: Status, last_event_id: EventId) -> MockCurrentProducts {
        let mut products = MockCurrentProducts::new();
        products.expect_current().returning(move |_| Ok(Some(CurrentProduct { status, version: 3, last_event_id })));
        products
    }

    #[tokio::test]
    async fn the_event_follows_the_change_that_was_seen_even_if_the_clock_runs_behind() {
        let last = EventId::after(None, Timestamp::from_unix_millis(NOW + 5_000));
        let mut queue = MockChangePublisher::new();
        queue.expect_publish().withf(move |event| event.event_id > last).times(1).returning(|_| Ok(()));
        let outcome = delete_product(&table_with(Status::Active, last), &queue, deleting()).await.unwrap();
        assert!(matches!(outcome, Outcome::Accepted(_)));
    }

    #[tokio::test]
    async fn a_repeated_deletion_names_the_first_one_and_queues_nothing() {
        let last = EventId::after(None, Timestamp::from_unix_millis(NOW));
        let outcome = delete_product(&table_with(Status::Deleted, last), &MockChangePublisher::new(), deleting()).await;
        assert_eq!(outcome.unwrap(), Outcome::Deleted(last));
    }

    #[tokio::test]
    async fn nothing_is_queued_for_a_product_that_never_was() {
        let mut products = MockCurrentProducts::new();
        products.expect_current().returning(|_| Ok(None));
        let outcome = delete_product(&products, &MockChangePublisher::new(), deleting()).await;
        assert_eq!(outcome.unwrap(), Outcome::NotFound);
    }
}
