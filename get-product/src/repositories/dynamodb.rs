//! The adapter of the table port: DynamoDB.

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;

use super::journal_keys::{EVENT_PREFIX, journal_sk};
use super::product_item::{Item, ProductItem, UnreadableItem};
use super::product_reader::{ProductReader, ReadError, RecordedChanges};
use super::sdk_error::is_retryable;
use super::table_keys::{META, product_pk};
use crate::models::change::RecordedChange;
use crate::models::identifiers::{EventId, ProductId};
use crate::models::product::Product;

pub struct DynamoDbProducts {
    client: Client,
    table: String,
}

impl DynamoDbProducts {
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }
}

fn key(id: ProductId, sort_key: &str) -> Item {
    Item::from([
        ("PK".to_owned(), AttributeValue::S(product_pk(id))),
        ("SK".to_owned(), AttributeValue::S(sort_key.to_owned())),
    ])
}

#[async_trait]
impl ProductReader for DynamoDbProducts {
    async fn read(&self, id: ProductId) -> Result<Option<Product>, ReadError> {
        let answer = self.client.get_item().table_name(&self.table).set_key(Some(key(id, META))).send().await?;
        let item = answer.item.map(ProductItem::read).transpose()?;
        Ok(item.map(ProductItem::into_product).transpose()?)
    }

    async fn creation(&self, id: ProductId) -> Result<Option<EventId>, ReadError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key(id, META)))
            .projection_expression("createEventId")
            .consistent_read(true)
            .send()
            .await?;
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Creation {
            create_event_id: EventId,
        }
        let item = answer.item.map(serde_dynamo::from_item::<_, Creation>).transpose();
        Ok(item.map_err(UnreadableItem::from)?.map(|creation| creation.create_event_id))
    }

    async fn change(&self, id: ProductId, event_id: EventId) -> Result<Option<RecordedChange>, ReadError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key(id, &journal_sk(event_id))))
            .consistent_read(true)
            .send()
            .await?;
        Ok(answer.item.map(serde_dynamo::from_item).transpose().map_err(UnreadableItem::from)?)
    }

    async fn changes(
        &self,
        id: ProductId,
        before: Option<EventId>,
        limit: usize,
    ) -> Result<RecordedChanges, ReadError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("PK = :product AND begins_with(SK, :event)")
            .expression_attribute_values(":product", AttributeValue::S(product_pk(id)))
            .expression_attribute_values(":event", AttributeValue::S(EVENT_PREFIX.to_owned()))
            .set_exclusive_start_key(before.map(|event_id| key(id, &journal_sk(event_id))))
            .scan_index_forward(false)
            .consistent_read(true)
            // One more shows whether the page is the last one.
            .limit(i32::try_from(limit + 1).unwrap_or(i32::MAX))
            .send()
            .await?;
        let items = answer.items.unwrap_or_default();
        let mut changes: Vec<RecordedChange> = serde_dynamo::from_items(items).map_err(UnreadableItem::from)?;
        let more = changes.len() > limit || answer.last_evaluated_key.is_some();
        changes.truncate(limit);
        Ok(RecordedChanges { changes, more })
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
