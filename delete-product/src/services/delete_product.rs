//! Queues the deletion of an existing product; a repeated deletion changes nothing.
//!
//! The product is read first. A caller's typo is a 404 at once instead of a message that nobody can apply, and the event ID
//! is greater than that of the last change seen, whatever this machine's clock says.

use crate::models::change_event::{ChangeEvent, ChangeType, Origin};
use crate::models::expected_version::{Evaluation, ExpectedVersion};
use crate::models::identifiers::{EventId, ProductId};
use crate::models::product_status::Status;
use crate::models::timestamp::Timestamp;
use crate::repositories::change_publisher::{ChangePublisher, PublishError};
use crate::repositories::current_products::{CurrentProducts, ReadError};

/// A request to delete a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteProductRequest {
    pub product_id: ProductId,
    /// The conditions of the request's headers.
    pub expected: ExpectedVersion,
    pub origin: Origin,
    pub now: Timestamp,
}

/// The outcome of an understood request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Accepted(EventId),
    /// The product was deleted before, by this event. Nothing is queued.
    AlreadyDeleted(EventId),
    /// The product was never created.
    NotFound,
    /// The product's version doesn't meet the caller's conditions.
    PreconditionFailed {
        failed: Evaluation,
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

/// Queues the deletion. product-creator checks the version again, with authority: another change may be under way.
///
/// A repeated deletion succeeds whatever version it expects: the product is in the requested state (RFC 9110 §13.1.1 allows
/// that), and a caller that repeats a request because it lost the response needs it.
pub async fn delete_product(
    products: &dyn CurrentProducts,
    queue: &dyn ChangePublisher,
    request: DeleteProductRequest,
) -> Result<Outcome, DeleteProductError> {
    let DeleteProductRequest { product_id, expected, origin, now } = request;
    let Some(current) = products.current(product_id).await? else { return Ok(Outcome::NotFound) };
    if current.status == Status::Deleted {
        return Ok(Outcome::AlreadyDeleted(current.last_event_id));
    }
    let failed = expected.evaluate(current.version);
    if failed != Evaluation::Met {
        return Ok(Outcome::PreconditionFailed { failed, current_version: current.version });
    }
    let mut event = ChangeEvent::new(ChangeType::Delete, product_id, Some(current.last_event_id), now, origin, None);
    event.expected_version = expected.required_version(current.version);
    queue.publish(&event).await?;
    Ok(Outcome::Accepted(event.event_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repositories::change_publisher::MockChangePublisher;
    use crate::repositories::current_products::{CurrentProduct, MockCurrentProducts};

    const NOW: u64 = 1_800_000_000_000;

    fn request() -> DeleteProductRequest {
        DeleteProductRequest {
            product_id: ProductId::random(),
            expected: ExpectedVersion::default(),
            origin: Origin::default(),
            now: Timestamp::from_unix_millis(NOW),
        }
    }

    fn table_with(status: Status, last_event_id: EventId) -> MockCurrentProducts {
        let mut products = MockCurrentProducts::new();
        products.expect_current().returning(move |_| Ok(Some(CurrentProduct { status, version: 3, last_event_id })));
        products
    }

    #[tokio::test]
    async fn takes_event_id_after_change_that_was_seen_even_if_clock_is_behind() {
        let last = EventId::after(None, Timestamp::from_unix_millis(NOW + 5_000));
        let mut queue = MockChangePublisher::new();
        queue.expect_publish().withf(move |event| event.event_id > last).times(1).returning(|_| Ok(()));
        let outcome = delete_product(&table_with(Status::Active, last), &queue, request()).await.unwrap();
        assert!(matches!(outcome, Outcome::Accepted(_)));
    }

    #[tokio::test]
    async fn returns_first_event_for_repeated_deletion_and_queues_nothing() {
        let last = EventId::after(None, Timestamp::from_unix_millis(NOW));
        let outcome = delete_product(&table_with(Status::Deleted, last), &MockChangePublisher::new(), request()).await;
        assert_eq!(outcome.unwrap(), Outcome::AlreadyDeleted(last));
    }

    #[tokio::test]
    async fn queues_nothing_for_unknown_product() {
        let mut products = MockCurrentProducts::new();
        products.expect_current().returning(|_| Ok(None));
        let outcome = delete_product(&products, &MockChangePublisher::new(), request()).await;
        assert_eq!(outcome.unwrap(), Outcome::NotFound);
    }
}
