//! The table and its indexes in memory, with the answers of DynamoDB, for walks and events by the thousand. The same walks
//! run over the real engine and show that DynamoDB gives these answers.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::RwLock;

use async_trait::async_trait;
use list_products::models::folded_text::FoldedText;
use list_products::models::identifiers::ProductId;
use list_products::models::product::{Product, Status};
use list_products::models::selection::{FeedPosition, NameFilter, Order, Position, PriceRange, Selection};
use list_products::models::timestamp::Timestamp;
use list_products::repositories::index_keys::shard_of;
use list_products::repositories::product_index::{ChangedProduct, IndexError, ProductIndex, Row};

use super::catalogue::Entry;

#[derive(Default)]
pub struct MemoryIndex(RwLock<Content>);

type Rows = BTreeMap<Position, Product>;

#[derive(Default)]
struct Content {
    products: BTreeMap<ProductId, Product>,
    skus: BTreeMap<String, ProductId>,
    shards: BTreeMap<u32, Rows>,
    categories: BTreeMap<FoldedText, Rows>,
    names: Rows,
    feed: BTreeMap<u32, BTreeMap<FeedPosition, ChangedProduct>>,
    /// Where each product is listed.
    entries: BTreeMap<ProductId, (Entry, u32)>,
}

impl MemoryIndex {
    /// Stores a product, active or deleted, as it is written with this number of shards.
    pub fn put(&self, entry: &Entry, shards: u32) {
        self.remove(entry);
        let mut content = self.0.write().unwrap();
        let (id, product, shard) = (entry.product_id(), entry.product(), shard_of(entry.product_id(), shards));
        content.products.insert(id, product.clone());
        content.entries.insert(id, (entry.clone(), shard));
        let changed = ChangedProduct { position: entry.feed_position(), version: entry.version, status: entry.status };
        content.feed.entry(shard).or_default().insert(changed.position, changed);
        if entry.status == Status::Active {
            content.skus.insert(entry.sku(), id);
            content.shards.entry(shard).or_default().insert(entry.position(), product.clone());
            content.names.insert(entry.position_by_name(), product.clone());
            if let Some(category) = entry.category {
                content.categories.entry(FoldedText::new(category)).or_default().insert(entry.position(), product);
            }
        }
    }

    /// Removes a product from everywhere.
    pub fn remove(&self, entry: &Entry) {
        let mut content = self.0.write().unwrap();
        let Some((old, shard)) = content.entries.remove(&entry.product_id()) else { return };
        content.products.remove(&old.product_id());
        content.skus.remove(&old.sku());
        content.names.remove(&old.position_by_name());
        content.shards.entry(shard).or_default().remove(&old.position());
        content.feed.entry(shard).or_default().remove(&old.feed_position());
        for rows in content.categories.values_mut() {
            rows.remove(&old.position());
        }
    }
}

fn first_rows(
    rows: Option<&Rows>,
    selection: &Selection,
    order: Order,
    after: Option<&Position>,
    limit: usize,
) -> Vec<Row> {
    let Some(rows) = rows else { return Vec::new() };
    let row = |(position, product): (&Position, &Product)| Row { position: position.clone(), product: product.clone() };
    let selected = |(position, _): &(&Position, &Product)| selection.contains(position);
    let after = after.map_or(Unbounded, Excluded);
    match order {
        Order::Ascending => rows.range((after, Unbounded)).filter(selected).map(row).take(limit).collect(),
        Order::Descending => rows.range((Unbounded, after)).rev().filter(selected).map(row).take(limit).collect(),
    }
}

#[async_trait]
impl ProductIndex for MemoryIndex {
    async fn by_price(
        &self,
        shard: u32,
        prices: &PriceRange,
        order: Order,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Row>, IndexError> {
        let selection = Selection::ByPrice { category: None, prices: *prices, order };
        Ok(first_rows(self.0.read().unwrap().shards.get(&shard), &selection, order, after, limit))
    }

    async fn by_category(
        &self,
        category: &FoldedText,
        prices: &PriceRange,
        order: Order,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Row>, IndexError> {
        let selection = Selection::ByPrice { category: None, prices: *prices, order };
        Ok(first_rows(self.0.read().unwrap().categories.get(category), &selection, order, after, limit))
    }

    async fn by_name(
        &self,
        filter: &NameFilter,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Row>, IndexError> {
        let content = self.0.read().unwrap();
        let after = after.map_or(Unbounded, Excluded);
        let matches = |(position, _): &(&Position, &Product)| match filter {
            NameFilter::Exact(name) => position.name == name.as_str(),
            NameFilter::Prefix(prefix) => position.name.starts_with(prefix.as_str()),
        };
        let row =
            |(position, product): (&Position, &Product)| Row { position: position.clone(), product: product.clone() };
        Ok(content.names.range((after, Unbounded)).filter(matches).map(row).take(limit).collect())
    }

    async fn sku_holder(&self, sku: &str) -> Result<Option<ProductId>, IndexError> {
        Ok(self.0.read().unwrap().skus.get(sku).copied())
    }

    async fn by_ids(&self, ids: &[ProductId]) -> Result<Vec<Product>, IndexError> {
        let content = self.0.read().unwrap();
        // In another order than requested, as DynamoDB may.
        Ok(ids.iter().rev().filter_map(|id| content.products.get(id).cloned()).collect())
    }

    async fn changed(
        &self,
        shard: u32,
        until: Timestamp,
        after: Option<FeedPosition>,
        limit: usize,
    ) -> Result<Vec<ChangedProduct>, IndexError> {
        let content = self.0.read().unwrap();
        let Some(rows) = content.feed.get(&shard) else { return Ok(Vec::new()) };
        let rows = rows.range((after.map_or(Unbounded, Excluded), Unbounded)).map(|(_, row)| *row);
        Ok(rows.take_while(|row| row.position.recorded_at <= until).take(limit).collect())
    }
}
