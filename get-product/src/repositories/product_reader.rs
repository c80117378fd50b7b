//! The port: everything this function asks of the table.

use async_trait::async_trait;

use super::store_error::StoreError;
use crate::models::identifiers::ProductId;
use crate::models::product::Product;

/// `dynamodb:GetItem`, and no more.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait ProductReader: Send + Sync {
    /// The product, deleted or not; `None` for an id that was never created.
    ///
    /// The read is eventually consistent: it costs half, and who has just been told 202 polls anyway.
    async fn read(&self, id: ProductId) -> Result<Option<Product>, StoreError>;
}
