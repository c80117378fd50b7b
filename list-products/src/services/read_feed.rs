//! The feed: each product at the position of its newest change, deleted ones included, for incremental sync.
//!
//! A product moves to a later position with each change. Whoever follows the positions sees every product at least once after
//! its last change; the last state wins.

use std::collections::HashMap;
use std::time::Duration;

use super::merge::first_rows;
use crate::models::identifiers::ProductId;
use crate::models::product::{Product, Status};
use crate::models::selection::{FeedPosition, Order};
use crate::models::timestamp::Timestamp;
use crate::repositories::product_index::{ChangedProduct, IndexError, ProductIndex};

/// How long a change rests before the feed returns it.
///
/// product-creator takes the time of a record before it writes it, and the index follows the table later: a row can appear
/// behind rows with later times. What is older than this has settled, so that no row appears behind a position returned.
const SETTLE_TIME: Duration = Duration::from_secs(30);

/// A changed product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedItem {
    pub position: FeedPosition,
    pub id: ProductId,
    /// As the product is now: it may have changed once more within the settle time, and is returned again then.
    pub version: u64,
    pub status: Status,
    /// Only for an active product.
    pub product: Option<Product>,
}

/// A part of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedPage {
    pub items: Vec<FeedItem>,
    /// Whether settled changes follow the last item.
    pub more: bool,
}

/// The first `limit` products that changed after `after`.
///
/// The position to go on from is that of the last item, and without items it stays: moving on to the end of the settle time
/// would skip a row that took longer than expected.
pub async fn read_feed(
    index: &dyn ProductIndex,
    shards: u32,
    after: Option<FeedPosition>,
    limit: usize,
    now: Timestamp,
) -> Result<FeedPage, IndexError> {
    let settle_millis = u64::try_from(SETTLE_TIME.as_millis()).unwrap_or(u64::MAX);
    let until = Timestamp::from_unix_millis(now.unix_millis().saturating_sub(settle_millis));
    let read = async |shard, after, limit| index.changed(shard, until, after, limit).await;
    let mut changed = first_rows::<ChangedProduct>(shards, Order::Ascending, after, limit, read).await?;
    let more = changed.len() > limit;
    changed.truncate(limit);

    let active: Vec<ProductId> =
        changed.iter().filter(|changed| changed.status == Status::Active).map(|changed| changed.position.id).collect();
    let mut products: HashMap<ProductId, Product> =
        index.by_ids(&active).await?.into_iter().map(|product| (product.id, product)).collect();
    let item = |changed: ChangedProduct| {
        let product = products.remove(&changed.position.id);
        FeedItem {
            position: changed.position,
            id: changed.position.id,
            version: product.as_ref().map_or(changed.version, |product| product.version),
            status: product.as_ref().map_or(changed.status, |product| product.status),
            product: product.filter(|product| product.status == Status::Active),
        }
    };
    Ok(FeedPage { items: changed.into_iter().map(item).collect(), more })
}
