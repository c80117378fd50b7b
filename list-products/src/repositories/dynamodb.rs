//! The indexes, as DynamoDB holds them.

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;

use super::product_index::{IndexError, KeyRange, Order, Partition, ProductIndex, Row};
use super::product_item::{Item, ProductItem, UnreadableItem};
use super::sdk_error::is_retryable;
use super::table_keys::{name_pk, shard_pk};
use crate::models::product::Status;

pub struct DynamoDbIndex {
    client: Client,
    table: String,
}

impl DynamoDbIndex {
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }
}

#[async_trait]
impl ProductIndex for DynamoDbIndex {
    async fn rows(
        &self,
        partition: &Partition,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, IndexError> {
        let (index, partition_attribute, partition_key) = match partition {
            Partition::Shard(shard) => ("ProductsByPriceIndex", "GSI1_PK", shard_pk(*shard)),
            Partition::Name(name) => ("ProductsByNameIndex", "GSI2_PK", name_pk(name)),
        };
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(index)
            .key_condition_expression("#partition = :partition AND GSI1_SK BETWEEN :first AND :last")
            .expression_attribute_names("#partition", partition_attribute)
            .expression_attribute_values(":partition", AttributeValue::S(partition_key))
            .expression_attribute_values(":first", AttributeValue::S(range.first.clone()))
            .expression_attribute_values(":last", AttributeValue::S(range.last.clone()))
            .scan_index_forward(order == Order::Ascending);

        // DynamoDB ends an answer at 1 MB, whatever the limit: with large products one answer is not all.
        let mut rows = Vec::new();
        let mut start = None;
        loop {
            let missing = i32::try_from(limit - rows.len()).unwrap_or(i32::MAX);
            let answer = query.clone().limit(missing).set_exclusive_start_key(start).send().await?;
            for item in answer.items.unwrap_or_default() {
                let row = read_row(item)?;
                // The indexes hold active products only. A row that was edited by hand must not be shown, nor must it
                // take the place of one behind it.
                if row.product.status == Status::Active {
                    rows.push(row);
                }
            }
            start = answer.last_evaluated_key;
            if start.is_none() || rows.len() >= limit {
                return Ok(rows);
            }
        }
    }
}

fn read_row(item: Item) -> Result<Row, UnreadableItem> {
    let sort_key = match item.get("GSI1_SK") {
        Some(AttributeValue::S(key)) => key.clone(),
        _ => return Err(UnreadableItem::Key("GSI1_SK")),
    };
    Ok(Row { sort_key, product: ProductItem::read(item)?.into_product()? })
}

impl<E> From<SdkError<E>> for IndexError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    fn from(error: SdkError<E>) -> Self {
        if is_retryable(&error) { Self::Unavailable(error.into()) } else { Self::Refused(error.into()) }
    }
}

impl From<UnreadableItem> for IndexError {
    fn from(error: UnreadableItem) -> Self {
        Self::Unreadable(error.into())
    }
}
