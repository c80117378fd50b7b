//! The adapter of the table port: DynamoDB.

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;

use super::current_product::{CurrentProduct, CurrentProducts, ReadError};
use super::product_item::{ProductItem, UnreadableItem};
use super::sdk_error::is_retryable;
use super::table_keys::{META, product_pk};
use crate::models::identifiers::ProductId;

pub struct DynamoDbProducts {
    client: Client,
    table: String,
}

impl DynamoDbProducts {
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }
}

#[async_trait]
impl CurrentProducts for DynamoDbProducts {
    async fn current(&self, id: ProductId) -> Result<Option<CurrentProduct>, ReadError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("PK", AttributeValue::S(product_pk(id)))
            .key("SK", AttributeValue::S(META.to_owned()))
            .consistent_read(true)
            .send()
            .await?;
        let item = answer.item.map(ProductItem::read).transpose()?;
        Ok(item.map(|item| CurrentProduct {
            status: item.status,
            version: item.version,
            last_event_id: item.last_event_id,
        }))
    }
}

impl<E> From<SdkError<E>> for ReadError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    fn from(error: SdkError<E>) -> Self {
        if is_retryable(&error) { Self::Unavailable(error.into()) } else { Self::Refused(error.into()) }
    }
}

impl From<UnreadableItem> for ReadError {
    fn from(error: UnreadableItem) -> Self {
        Self::Unreadable(error.into())
    }
}
