//! The port: everything this function asks of the table.

use std::cmp::Ordering;

use async_trait::async_trait;

use crate::models::product::Product;

/// A part of an index that DynamoDB keeps in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partition {
    /// One shard of the active products, in `ProductsByPriceIndex`.
    Shard(u32),
    /// The active products of one name, in `ProductsByNameIndex`.
    Name(String),
}

/// Sort keys from `first` to `last`, both included. Neither need exist; `first` must not lie after `last`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    pub first: String,
    pub last: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Ascending,
    Descending,
}

impl KeyRange {
    /// Leaves out what comes before `key`.
    pub fn start_at(&mut self, key: &str, order: Order) {
        match order {
            Order::Ascending => key.clone_into(&mut self.first),
            Order::Descending => key.clone_into(&mut self.last),
        }
    }
}

impl Order {
    /// `Less` if `one` comes first.
    pub fn compare(self, one: &str, other: &str) -> Ordering {
        match self {
            Self::Ascending => one.cmp(other),
            Self::Descending => other.cmp(one),
        }
    }
}

/// A product where it stands in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub sort_key: String,
    pub product: Product,
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why an index could not be read.
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

/// `dynamodb:Query` on the two indexes only.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait ProductIndex: Send + Sync {
    /// The first `limit` active products of the partition that lie in `range`, in `order`. Fewer mean that there are no
    /// more.
    async fn rows(
        &self,
        partition: &Partition,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, IndexError>;
}
