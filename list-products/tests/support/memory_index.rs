//! The two indexes in memory, answering as DynamoDB does, so that walks and events can be tried by the thousand.
//! That DynamoDB itself answers so is shown where the same walks run over the real engine.

use std::collections::BTreeMap;
use std::sync::RwLock;

use async_trait::async_trait;
use list_products::models::product::Product;
use list_products::repositories::product_index::{IndexError, KeyRange, Order, Partition, ProductIndex, Row};
use list_products::repositories::table_keys::{name_pk, shard_of, shard_pk};

use super::catalogue::Entry;

/// Partition key, then sort key.
#[derive(Default)]
pub struct MemoryIndex(RwLock<BTreeMap<String, BTreeMap<String, Product>>>);

impl MemoryIndex {
    /// Stores a product as it is written when there are so many shards.
    pub fn put(&self, entry: &Entry, shards: u32) {
        self.remove(entry);
        let mut partitions = self.0.write().unwrap();
        for partition in [shard_pk(shard_of(entry.product_id(), shards)), name_pk(entry.name)] {
            partitions.entry(partition).or_default().insert(entry.sort_key(), entry.product());
        }
    }

    /// Removes a product, wherever it stands.
    pub fn remove(&self, entry: &Entry) {
        let id = entry.product_id();
        for rows in self.0.write().unwrap().values_mut() {
            rows.retain(|_, product| product.id != id);
        }
    }
}

#[async_trait]
impl ProductIndex for MemoryIndex {
    async fn rows(
        &self,
        partition: &Partition,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, IndexError> {
        let partition = match partition {
            Partition::Shard(shard) => shard_pk(*shard),
            Partition::Name(name) => name_pk(name),
        };
        let partitions = self.0.read().unwrap();
        let Some(rows) = partitions.get(&partition) else { return Ok(vec![]) };
        let rows = rows.range(range.first.clone()..=range.last.clone());
        let row = |(key, product): (&String, &Product)| Row { sort_key: key.clone(), product: product.clone() };
        Ok(match order {
            Order::Ascending => rows.map(row).take(limit).collect(),
            Order::Descending => rows.rev().map(row).take(limit).collect(),
        })
    }
}
