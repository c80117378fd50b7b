//! The port: everything this function asks of the table.

use async_trait::async_trait;

use crate::models::folded_text::FoldedText;
use crate::models::identifiers::ProductId;
use crate::models::product::{Product, Status};
use crate::models::selection::{FeedPosition, NameFilter, Order, Position, PriceRange};
use crate::models::timestamp::Timestamp;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the table or an index could not be read.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The table was unreachable, throttled or failing, after the client's own retries. The same call may succeed later.
    #[error("the products table is unavailable")]
    Unavailable(#[source] Cause),
    /// The table refused the call, and will refuse it again: a missing permission or table, an invalid request.
    #[error("the products table refused the call")]
    Refused(#[source] Cause),
    /// The table holds an item that no version of the functions writes.
    #[error("the products table holds an unreadable item")]
    Unreadable(#[source] Cause),
}

/// A product at its position in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub position: Position,
    pub product: Product,
}

/// A product at its position in the feed, active or deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangedProduct {
    pub position: FeedPosition,
    pub version: u64,
    pub status: Status,
}

/// `dynamodb:Query` on the indexes, `dynamodb:GetItem` and `dynamodb:BatchGetItem` on the table only.
///
/// Lists return the first `limit` rows after `after`, which need not exist any more. Fewer rows mean that there are no more.
/// All reads are eventually consistent.
#[async_trait]
pub trait ProductIndex: Send + Sync {
    /// Active products of one shard, in the order of prices.
    async fn by_price(
        &self,
        shard: u32,
        prices: &PriceRange,
        order: Order,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Row>, IndexError>;

    /// Active products of a category, in the order of prices.
    async fn by_category(
        &self,
        category: &FoldedText,
        prices: &PriceRange,
        order: Order,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Row>, IndexError>;

    /// Active products with these names, in the order of names.
    async fn by_name(
        &self,
        filter: &NameFilter,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Row>, IndexError>;

    /// The product that claims the SKU. It may have been changed or deleted since.
    async fn sku_holder(&self, sku: &str) -> Result<Option<ProductId>, IndexError>;

    /// Those of at most 100 different products that exist, deleted or not, in any order.
    async fn by_ids(&self, ids: &[ProductId]) -> Result<Vec<Product>, IndexError>;

    /// Products of one shard of the feed that changed until `until`, oldest change first.
    async fn changed(
        &self,
        shard: u32,
        until: Timestamp,
        after: Option<FeedPosition>,
        limit: usize,
    ) -> Result<Vec<ChangedProduct>, IndexError>;
}
