//! The adapter of the table port: DynamoDB.

use std::collections::HashMap;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;

use super::product_lookup::{Creation, LookupError, ProductLookup};
use super::sdk_error::is_retryable;
use super::sku_claim_keys::{CLAIM, sku_pk};
use super::table_keys::{META, product_pk};
use crate::models::identifiers::{EventId, ProductId};
use crate::models::product_content::Sku;

pub struct DynamoDbProducts {
    client: Client,
    table: String,
}

/// As much of a product's item as its creation left in it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreationItem {
    create_event_id: EventId,
    create_fingerprint: String,
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

    async fn get(&self, pk: String, sk: &str) -> Result<Option<HashMap<String, AttributeValue>>, LookupError> {
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
impl ProductLookup for DynamoDbProducts {
    async fn creation(&self, id: ProductId) -> Result<Option<Creation>, LookupError> {
        let item: Option<CreationItem> =
            self.get(product_pk(id), META).await?.map(serde_dynamo::from_item).transpose()?;
        Ok(item.map(|item| Creation { event_id: item.create_event_id, fingerprint: item.create_fingerprint }))
    }

    async fn sku_holder(&self, sku: &Sku) -> Result<Option<ProductId>, LookupError> {
        let item = self.get(sku_pk(sku.as_str()), CLAIM).await?;
        let claim: Option<ClaimItem> = item.map(serde_dynamo::from_item).transpose()?;
        Ok(claim.map(|claim| claim.product_id))
    }
}

impl<E> From<SdkError<E>> for LookupError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    fn from(error: SdkError<E>) -> Self {
        if is_retryable(&error) { Self::Unavailable(error.into()) } else { Self::Refused(error.into()) }
    }
}

impl From<serde_dynamo::Error> for LookupError {
    fn from(error: serde_dynamo::Error) -> Self {
        Self::Unreadable(error.into())
    }
}
