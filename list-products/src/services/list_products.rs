//! One page of the catalogue: the shards are read at once and merged into one order.
//!
//! A page starts after a sort key rather than at a stored place in each shard. Sort keys are unique and say nothing of
//! shards, so their number may be raised between two pages without a product being skipped or repeated.

use futures_util::future::try_join_all;

use crate::models::product::Status;
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
    // The indexes hold active products only. The check keeps a row that was edited by hand from being shown.
    rows.retain(|row| Some(row.sort_key.as_str()) != after && row.product.status == Status::Active);
    match selection.order {
        Order::Ascending => rows.sort_unstable_by(|one, other| one.sort_key.cmp(&other.sort_key)),
        Order::Descending => rows.sort_unstable_by(|one, other| other.sort_key.cmp(&one.sort_key)),
    }
    let more = rows.len() > limit;
    rows.truncate(limit);
    Ok(Page { rows, more })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ops::RangeInclusive;

    use async_trait::async_trait;
    use proptest::prelude::*;

    use super::*;
    use crate::models::identifiers::{EventId, ProductId};
    use crate::models::money::{Currency, Money};
    use crate::models::product::{Product, ProductDetails};
    use crate::models::timestamp::Timestamp;

    /// Shards that answer as DynamoDB does, in memory, so that thousands of walks can be tried.
    struct Shards(Vec<BTreeMap<String, Product>>);

    #[async_trait]
    impl ProductIndex for Shards {
        async fn rows(
            &self,
            partition: &Partition,
            range: &KeyRange,
            order: Order,
            limit: usize,
        ) -> Result<Vec<Row>, StoreError> {
            let Partition::Shard(shard) = partition else { return Ok(vec![]) };
            let range: RangeInclusive<String> = range.first.clone()..=range.last.clone();
            let rows = self.0[usize::try_from(*shard).unwrap()].range(range);
            let row = |(key, product): (&String, &Product)| Row { sort_key: key.clone(), product: product.clone() };
            Ok(match order {
                Order::Ascending => rows.map(row).take(limit).collect(),
                Order::Descending => rows.rev().map(row).take(limit).collect(),
            })
        }
    }

    fn product() -> Product {
        let now = Timestamp::from_unix_millis(0);
        Product {
            id: ProductId::random(),
            details: ProductDetails {
                name: "Oak table".to_owned(),
                price: Money::parse("1", Currency::EUR).unwrap(),
                sku: None,
                description: None,
                category: None,
                tags: vec![],
                image_urls: vec![],
                attributes: [].into(),
            },
            status: Status::Active,
            version: 1,
            created_at: now,
            updated_at: now,
            last_event_id: EventId::after(None, now),
        }
    }

    fn walk(index: &Shards, shards: u32, order: Order, limit: usize) -> Vec<String> {
        let range = KeyRange { first: "a".to_owned(), last: "z".to_owned() };
        let selection = Selection { name: None, range, order };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut seen: Vec<String> = Vec::new();
        loop {
            let page = runtime
                .block_on(list_products(index, shards, &selection, seen.last().map(String::as_str), limit))
                .unwrap();
            assert!(!page.more || page.rows.len() == limit);
            seen.extend(page.rows.into_iter().map(|row| row.sort_key));
            if !page.more {
                return seen;
            }
        }
    }

    proptest! {
        #[test]
        fn pages_concatenate_to_the_sorted_whole(
            keys in proptest::collection::btree_map("[b-y]{1,4}", 0..8_u32, 0..120),
            shards in prop_oneof![Just(1_u32), Just(4), Just(8)],
            limit in 1..30_usize,
            descending in any::<bool>(),
        ) {
            let mut index = Shards(vec![BTreeMap::new(); 8]);
            for (key, place) in &keys {
                index.0[usize::try_from(place % shards).unwrap()].insert(key.clone(), product());
            }
            let order = if descending { Order::Descending } else { Order::Ascending };
            let mut sorted: Vec<String> = keys.into_keys().collect();
            if descending {
                sorted.reverse();
            }
            prop_assert_eq!(walk(&index, shards, order, limit), sorted);
        }
    }
}
