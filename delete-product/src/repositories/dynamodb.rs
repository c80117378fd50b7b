//! The adapter of the table port: DynamoDB.

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;

use super::current_products::{CurrentProduct, CurrentProducts, ReadError};
use super::sdk_error::is_retryable;
use super::table_keys::{META, product_pk};
use crate::models::identifiers::{EventId, ProductId};
use crate::models::product_status::Status;

pub struct DynamoDbProducts {
    client: Client,
    table: String,
}

/// As much of a product's item as decides whether it can be deleted.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CurrentItem {
    status: Status,
    version: u64,
    last_event_id: EventId,
}

impl DynamoDbProducts {
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }
}

#[async_trait]
impl CurrentProducts for DynamoDbProducts {
    async fn current(&self, id: ProductId) -> Result<Option<CurrentProduct>, ReadError> {
        let output = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("PK", AttributeValue::S(product_pk(id)))
            .key("SK", AttributeValue::S(META.to_owned()))
            .consistent_read(true)
            .send()
            .await?;
        let item: Option<CurrentItem> = output.item.map(serde_dynamo::from_item).transpose()?;
        Ok(item.map(|CurrentItem { status, version, last_event_id }| CurrentProduct { status, version, last_event_id }))
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

impl From<serde_dynamo::Error> for ReadError {
    fn from(error: serde_dynamo::Error) -> Self {
        Self::Unreadable(error.into())
    }
}
