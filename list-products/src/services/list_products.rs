//! One page of the catalogue: the shards are read at once and merged into one order.
//!
//! A page starts after a sort key rather than at a stored place in each shard. Sort keys are unique and say nothing of
//! shards, so their number may be raised between two pages without a product being skipped or repeated.

use futures_util::future::try_join_all;

use crate::repositories::product_index::{KeyRange, Order, Partition, ProductIndex, Row};
use crate::repositories::store_error::StoreError;

/// Which products, and in which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Only products of this name; case and white space make no difference.
    pub name: Option<String>,
    /// Only products in this part of the order.
    pub range: KeyRange,
    pub order: Order,
}

/// A part of what is selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub rows: Vec<Row>,
    /// Whether more follow the last row.
    pub more: bool,
}

/// The first `limit` selected products after the one at sort key `after`.
///
/// `after` must lie in the selection's range; it need not exist any more.
pub async fn list_products(
    index: &dyn ProductIndex,
    shards: u32,
    selection: &Selection,
    after: Option<&str>,
    limit: usize,
) -> Result<Page, StoreError> {
    let mut range = selection.range.clone();
    if let Some(after) = after {
        match selection.order {
            Order::Ascending => range.first = after.to_owned(),
            Order::Descending => range.last = after.to_owned(),
        }
    }
    // One more tells whether there are more; a range that begins at `after` may hold that row itself.
    let wanted = limit + 1 + usize::from(after.is_some());
    let partitions: Vec<Partition> = match &selection.name {
        Some(name) => vec![Partition::Name(name.clone())],
        None => (0..shards).map(Partition::Shard).collect(),
    };
    let reads = partitions.iter().map(|partition| index.rows(partition, &range, selection.order, wanted));

    let mut rows: Vec<Row> = try_join_all(reads).await?.into_iter().flatten().collect();
    rows.retain(|row| Some(row.sort_key.as_str()) != after);
    match selection.order {
        Order::Ascending => rows.sort_unstable_by(|one, other| one.sort_key.cmp(&other.sort_key)),
        Order::Descending => rows.sort_unstable_by(|one, other| other.sort_key.cmp(&one.sort_key)),
    }
    let more = rows.len() > limit;
    rows.truncate(limit);
    Ok(Page { rows, more })
}
