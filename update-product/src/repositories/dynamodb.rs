//! The adapter of the table port: DynamoDB.

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;

use super::current_products::{CurrentProduct, CurrentProducts, ReadError};
use super::product_item::{Item, UnreadableItem, read_product};
use super::sdk_error::is_retryable;
use super::sku_claim_keys::{CLAIM, sku_pk};
use super::table_keys::{META, product_pk};
use crate::models::identifiers::ProductId;
use crate::models::product_content::Sku;

pub struct DynamoDbProducts {
    client: Client,
    table: String,
}

/// As much of a SKU claim as names its holder.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimItem {
    product_id: ProductId,
}

impl DynamoDbProducts {
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    async fn get(&self, pk: String, sk: &str) -> Result<Option<Item>, ReadError> {
        let output = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("PK", AttributeValue::S(pk))
            .key("SK", AttributeValue::S(sk.to_owned()))
            .consistent_read(true)
            .send()
            .await?;
        Ok(output.item)
    }
}

#[async_trait]
impl CurrentProducts for DynamoDbProducts {
    async fn current(&self, id: ProductId) -> Result<Option<CurrentProduct>, ReadError> {
        let product = self.get(product_pk(id), META).await?.map(read_product).transpose()?;
        Ok(product.map(|product| CurrentProduct {
            status: product.status,
            version: product.version,
            last_event_id: product.last_event_id,
            content: product.content,
        }))
    }

    async fn sku_holder(&self, sku: &Sku) -> Result<Option<ProductId>, ReadError> {
        let item = self.get(sku_pk(sku.as_str()), CLAIM).await?;
        let claim: Option<ClaimItem> = item.map(serde_dynamo::from_item).transpose()?;
        Ok(claim.map(|claim| claim.product_id))
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

impl From<UnreadableItem> for ReadError {
    fn from(error: UnreadableItem) -> Self {
        Self::Unreadable(error.into())
    }
}
