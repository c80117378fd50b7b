//! The outcome of one change, as far as it is recorded.

use std::time::Duration;

use crate::models::change::RecordedChange;
use crate::models::identifiers::{EventId, ProductId};
use crate::models::timestamp::Timestamp;
use crate::repositories::product_reader::{ProductReader, ReadError};

/// How long an accepted change can wait to be recorded: 4 days in the change queue and 14 in its dead-letter queue.
const MAX_PENDING_AGE: Duration = Duration::from_secs(18 * 24 * 60 * 60);
/// How far the clock of the machine that made an event ID may be ahead of this machine's.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// What is known of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Recorded(Box<RecordedChange>),
    /// Accepted and not recorded yet, or never accepted: nothing distinguishes the two.
    Pending,
}

/// The change, or `None` if there can't be one with this ID any more, or not yet.
///
/// The product need not exist: the change may be its creation, or one that was rejected because there is no product.
pub async fn get_change(
    products: &dyn ProductReader,
    product_id: ProductId,
    event_id: EventId,
    now: Timestamp,
) -> Result<Option<Change>, ReadError> {
    if let Some(recorded) = products.change(product_id, event_id).await? {
        return Ok(Some(Change::Recorded(Box::new(recorded))));
    }
    let (made, now) = (Duration::from_millis(event_id.unix_millis()), Duration::from_millis(now.unix_millis()));
    let may_be_pending = made + MAX_PENDING_AGE >= now && made <= now + MAX_CLOCK_SKEW;
    Ok(may_be_pending.then_some(Change::Pending))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repositories::product_reader::MockProductReader;

    const NOW: u64 = 1_800_000_000_000;

    async fn unrecorded(made_at: u64) -> Option<Change> {
        let mut products = MockProductReader::new();
        products.expect_change().times(1).returning(|_, _| Ok(None));
        let event_id = EventId::after(None, Timestamp::from_unix_millis(made_at));
        let now = Timestamp::from_unix_millis(NOW);
        get_change(&products, ProductId::random(), event_id, now).await.unwrap()
    }

    #[tokio::test]
    async fn decides_pending_by_time_of_event_id() {
        const DAY: u64 = 24 * 60 * 60 * 1_000;
        const MINUTE: u64 = 60 * 1_000;
        for made_at in [NOW, NOW - 18 * DAY, NOW + 5 * MINUTE] {
            assert_eq!(unrecorded(made_at).await, Some(Change::Pending), "{made_at}");
        }
        for made_at in [0, NOW - 18 * DAY - 1, NOW + 5 * MINUTE + 1] {
            assert_eq!(unrecorded(made_at).await, None, "{made_at}");
        }
    }

    #[tokio::test]
    async fn reports_outage_as_error_and_not_as_pending() {
        let mut products = MockProductReader::new();
        products.expect_change().returning(|_, _| Err(ReadError::Unavailable("down".into())));
        let event_id = EventId::after(None, Timestamp::now());
        let change = get_change(&products, ProductId::random(), event_id, Timestamp::now()).await;
        assert!(matches!(change, Err(ReadError::Unavailable(_))));
    }
}
