//! The table, as DynamoDB holds it.

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, CancellationReason, ConditionCheck, Put, TransactWriteItem};

use super::change_store::{ChangeStore, ChangeStoreError, Commit, Committed};
use super::index_keys::{
    CATEGORY_INDEX, Index, NAME_INDEX, PRICE_INDEX, active_pk, category_pk, name_pk, name_sk, price_sk, shard_of,
};
use super::journal_keys::journal_sk;
use super::product_item::{Item, ProductItem, UnreadableItem};
use super::sdk_error::is_retryable;
use super::table_keys::{META, product_pk};
use crate::models::folded_text::FoldedText;
use crate::models::identifiers::ProductId;
use crate::models::journal::JournalEntry;
use crate::models::product::Status;
use crate::services::decide::ProductState;

/// How long the table keeps a journal entry; the audit log keeps it for ever.
const JOURNAL_SECONDS: i64 = 90 * 24 * 60 * 60;

pub struct DynamoDbChanges {
    client: Client,
    table: String,
    shards: u32,
}

impl DynamoDbChanges {
    /// `shards`: over how many partition keys active products are spread, as list-products is told.
    pub fn new(client: Client, table: impl Into<String>, shards: u32) -> Self {
        Self { client, table: table.into(), shards }
    }

    /// The product's part of the transaction: its new form, or only the condition that it is as it was seen.
    fn product_write(&self, commit: &Commit) -> Result<TransactWriteItem, ChangeStoreError> {
        let id = commit.entry.product_id;
        let (condition, seen) = match commit.seen {
            Some(event_id) => ("lastEventId = :seen", Some(AttributeValue::S(event_id.to_string()))),
            None => ("attribute_not_exists(PK)", None),
        };
        let values = seen.map(|seen| [(":seen".to_owned(), seen)].into());
        match &commit.next {
            Some(next) => {
                let put = Put::builder()
                    .table_name(&self.table)
                    .set_item(Some(meta_item(next, self.shards)?))
                    .condition_expression(condition)
                    .set_expression_attribute_values(values)
                    .build();
                Ok(TransactWriteItem::builder().put(put.map_err(refused)?).build())
            }
            None => {
                let check = ConditionCheck::builder()
                    .table_name(&self.table)
                    .key("PK", AttributeValue::S(product_pk(id)))
                    .key("SK", AttributeValue::S(META.to_owned()))
                    .condition_expression(condition)
                    .set_expression_attribute_values(values)
                    .build();
                Ok(TransactWriteItem::builder().condition_check(check.map_err(refused)?).build())
            }
        }
    }

    fn journal_write(&self, entry: &JournalEntry) -> Result<TransactWriteItem, ChangeStoreError> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(journal_item(entry)?))
            .condition_expression("attribute_not_exists(PK)")
            .build();
        Ok(TransactWriteItem::builder().put(put.map_err(refused)?).build())
    }
}

#[async_trait]
impl ChangeStore for DynamoDbChanges {
    async fn current(&self, id: ProductId) -> Result<Option<ProductState>, ChangeStoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("PK", AttributeValue::S(product_pk(id)))
            .key("SK", AttributeValue::S(META.to_owned()))
            .consistent_read(true)
            .send()
            .await?;
        let Some(item) = answer.item.map(ProductItem::read).transpose()? else { return Ok(None) };
        Ok(Some(ProductState {
            chain_hash: item.chain_hash.clone(),
            create_event_id: item.create_event_id,
            create_fingerprint: item.create_fingerprint.clone(),
            product: item.into_product()?,
        }))
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed, ChangeStoreError> {
        // The order of the two is the order of the reasons for which a transaction is cancelled.
        let outcome = self
            .client
            .transact_write_items()
            .transact_items(self.product_write(commit)?)
            .transact_items(self.journal_write(&commit.entry)?)
            .send()
            .await;
        match outcome {
            Ok(_) => Ok(Committed::Done),
            Err(error) => match &error {
                SdkError::ServiceError(answer) => match answer.err() {
                    TransactWriteItemsError::TransactionCanceledException(cancelled) => {
                        read_reasons(cancelled.cancellation_reasons()).map_err(|kind| kind(error.into()))
                    }
                    _ => Err(error.into()),
                },
                _ => Err(error.into()),
            },
        }
    }
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Reads why a transaction was cancelled: an outcome of ours, or the kind of error that it is.
fn read_reasons(reasons: &[CancellationReason]) -> Result<Committed, fn(Cause) -> ChangeStoreError> {
    let codes: Vec<&str> = reasons.iter().map(|reason| reason.code().unwrap_or("None")).collect();
    // A redelivered event fails both conditions, and then the journal's word counts.
    if codes.get(1) == Some(&"ConditionalCheckFailed") {
        return Ok(Committed::AlreadyRecorded);
    }
    if codes.first() == Some(&"ConditionalCheckFailed") || codes.contains(&"TransactionConflict") {
        return Ok(Committed::Outdated);
    }
    let throttled = |code: &&str| matches!(*code, "ThrottlingError" | "ProvisionedThroughputExceeded");
    if codes.iter().any(throttled) { Err(ChangeStoreError::Unavailable) } else { Err(ChangeStoreError::Refused) }
}

fn refused(error: impl std::error::Error + Send + Sync + 'static) -> ChangeStoreError {
    ChangeStoreError::Refused(Box::new(error))
}

/// The stored form of a product. Only an active one has keys of the indexes: what has none is in none.
fn meta_item(state: &ProductState, shards: u32) -> Result<Item, ChangeStoreError> {
    let product = &state.product;
    let details = product.details.clone();
    let stored = ProductItem {
        product_id: product.id,
        name: details.name,
        price_minor: details.price.minor_units(),
        currency: details.price.currency().code().to_owned(),
        sku: details.sku,
        description: details.description,
        category: details.category,
        tags: details.tags,
        image_urls: details.image_urls,
        attributes: details.attributes,
        status: product.status,
        version: product.version,
        created_at: product.created_at,
        updated_at: product.updated_at,
        last_event_id: product.last_event_id,
        chain_hash: state.chain_hash.clone(),
        create_event_id: state.create_event_id,
        create_fingerprint: state.create_fingerprint.clone(),
    };
    let mut item: Item = serde_dynamo::to_item(&stored).map_err(refused)?;
    item.insert("PK".to_owned(), AttributeValue::S(product_pk(product.id)));
    item.insert("SK".to_owned(), AttributeValue::S(META.to_owned()));
    if product.status == Status::Active {
        let name = FoldedText::new(&product.details.name);
        let price = product.details.price;
        insert_keys(&mut item, PRICE_INDEX, active_pk(shard_of(product.id, shards)), price_sk(price, product.id));
        insert_keys(&mut item, NAME_INDEX, name_pk(&name), name_sk(&name, price, product.id));
        if let Some(category) = &product.details.category {
            let partition_key = category_pk(&FoldedText::new(category));
            insert_keys(&mut item, CATEGORY_INDEX, partition_key, price_sk(price, product.id));
        }
    }
    Ok(item)
}

fn insert_keys(item: &mut Item, index: Index, partition_key: String, sort_key: String) {
    item.insert(index.partition_key.to_owned(), AttributeValue::S(partition_key));
    item.insert(index.sort_key.to_owned(), AttributeValue::S(sort_key));
}

fn journal_item(entry: &JournalEntry) -> Result<Item, ChangeStoreError> {
    let mut item: Item = serde_dynamo::to_item(entry).map_err(refused)?;
    let expires_at = entry.recorded_at.unix_seconds() + JOURNAL_SECONDS;
    item.insert("PK".to_owned(), AttributeValue::S(product_pk(entry.product_id)));
    item.insert("SK".to_owned(), AttributeValue::S(journal_sk(entry.event_id)));
    item.insert("expiresAt".to_owned(), AttributeValue::N(expires_at.to_string()));
    Ok(item)
}

impl<E> From<SdkError<E>> for ChangeStoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    fn from(error: SdkError<E>) -> Self {
        if is_retryable(&error) { Self::Unavailable(error.into()) } else { Self::Refused(error.into()) }
    }
}

impl From<UnreadableItem> for ChangeStoreError {
    fn from(error: UnreadableItem) -> Self {
        Self::Unreadable(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(codes: [&str; 2]) -> Result<Committed, &'static str> {
        let reasons = codes.map(|code| CancellationReason::builder().code(code).build());
        match read_reasons(&reasons) {
            Ok(committed) => Ok(committed),
            Err(kind) => match kind("why".into()) {
                ChangeStoreError::Unavailable(_) => Err("unavailable"),
                ChangeStoreError::Refused(_) => Err("refused"),
                ChangeStoreError::Unreadable(_) => Err("unreadable"),
            },
        }
    }

    #[test]
    fn each_reason_for_a_cancelled_transaction_is_told_apart() {
        let (failed, none) = ("ConditionalCheckFailed", "None");
        assert_eq!(read([failed, none]), Ok(Committed::Outdated));
        assert_eq!(read([none, failed]), Ok(Committed::AlreadyRecorded));
        assert_eq!(read([failed, failed]), Ok(Committed::AlreadyRecorded));
        assert_eq!(read(["TransactionConflict", none]), Ok(Committed::Outdated));
        assert_eq!(read([none, "TransactionConflict"]), Ok(Committed::Outdated));
        assert_eq!(read(["ThrottlingError", none]), Err("unavailable"));
        assert_eq!(read([none, "ProvisionedThroughputExceeded"]), Err("unavailable"));
        assert_eq!(read(["ValidationError", none]), Err("refused"));
        assert_eq!(read([none, "ItemCollectionSizeLimitExceeded"]), Err("refused"));
    }
}
