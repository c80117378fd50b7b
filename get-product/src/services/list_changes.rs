//! The recorded changes of one product, page by page, newest first.

use crate::models::change::RecordedChange;
use crate::models::identifiers::{EventId, ProductId};
use crate::repositories::product_reader::{ProductReader, ReadError, RecordedChanges};

/// A page of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub changes: Vec<RecordedChange>,
    /// Whether older changes follow.
    pub more: bool,
    /// Whether the whole list, over all pages, reaches back to the product's creation.
    pub complete: bool,
}

/// At most `limit` changes older than `before`, or `None` if nothing is known of the product.
///
/// A product that exists but whose changes are all older than the journal has an empty page. An ID with rejected changes
/// only (a creation whose SKU was taken, say) has a page without a product; there is no creation that could be missing.
pub async fn list_changes(
    products: &dyn ProductReader,
    id: ProductId,
    before: Option<EventId>,
    limit: usize,
) -> Result<Option<Page>, ReadError> {
    let RecordedChanges { changes, more } = products.changes(id, before, limit).await?;
    let complete = if changes.iter().any(RecordedChange::is_creation) {
        true
    } else {
        match products.creation(id).await? {
            Some(creation) => products.change(id, creation).await?.is_some(),
            None if changes.is_empty() && before.is_none() => return Ok(None),
            None => true,
        }
    };
    Ok(Some(Page { changes, more, complete }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::change::{ChangeType, Outcome};
    use crate::models::timestamp::Timestamp;
    use crate::repositories::product_reader::MockProductReader;

    fn change(change_type: ChangeType, outcome: Outcome) -> RecordedChange {
        let now = Timestamp::from_unix_millis(1_800_000_000_000);
        RecordedChange {
            event_id: EventId::after(None, now),
            product_id: ProductId::random(),
            change_type,
            outcome,
            reason: None,
            version: Some(1),
            occurred_at: now,
            recorded_at: now,
            request_id: "req-1".to_owned(),
            requested: None,
            before: None,
            after: None,
            prev_hash: None,
            hash: None,
        }
    }

    /// What a caller gets of these changes: `None` for "not found", or whether the list is complete.
    async fn list(changes: &[RecordedChange], creation: Option<EventId>, recorded: bool) -> Option<bool> {
        let mut products = MockProductReader::new();
        let changes = changes.to_vec();
        products
            .expect_changes()
            .returning(move |_, _, _| Ok(RecordedChanges { changes: changes.clone(), more: false }));
        products.expect_creation().returning(move |_| Ok(creation));
        let entry = recorded.then(|| change(ChangeType::Create, Outcome::Applied));
        products.expect_change().returning(move |_, _| Ok(entry.clone()));
        let page = list_changes(&products, ProductId::random(), None, 20).await.unwrap();
        page.map(|page| page.complete)
    }

    #[tokio::test]
    async fn is_complete_if_creation_is_still_recorded() {
        let creation = Some(EventId::after(None, Timestamp::now()));
        let update = change(ChangeType::Update, Outcome::Applied);
        let create = change(ChangeType::Create, Outcome::Applied);
        assert_eq!(list(&[update.clone(), create], creation, false).await, Some(true), "on the page itself");
        assert_eq!(list(std::slice::from_ref(&update), creation, true).await, Some(true), "on a later page");
        assert_eq!(list(&[update], creation, false).await, Some(false), "expired");
        assert_eq!(list(&[], creation, false).await, Some(false), "all expired");
    }

    #[tokio::test]
    async fn knows_nothing_of_id_without_product_and_changes() {
        assert_eq!(list(&[], None, false).await, None);
        assert_eq!(list(&[change(ChangeType::Update, Outcome::Rejected)], None, false).await, Some(true));
    }
}
