//! The port's adapter for DynamoDB.

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, CancellationReason, ConditionCheck, Delete, Put, TransactWriteItem};
use serde::Deserialize;

use super::change_store::{ChangeStore, ChangeStoreError, ClaimWrite, Commit, Committed};
use super::index_keys::{
    CATEGORY_INDEX, CHANGE_INDEX, Index, NAME_INDEX, PRICE_INDEX, active_pk, category_pk, feed_pk, feed_sk, name_pk,
    name_sk, price_sk, shard_of,
};
use super::journal_keys::journal_sk;
use super::product_item::{Item, UnreadableItem, read_product};
use super::provenance_item::ProvenanceItem;
use super::sdk_error::is_retryable;
use super::sku_claim_keys::{CLAIM, sku_pk};
use super::table_keys::{META, product_pk};
use crate::models::folded_text::FoldedText;
use crate::models::identifiers::ProductId;
use crate::models::journal::JournalEntry;
use crate::models::product::Product;
use crate::models::product_content::Category;
use crate::models::product_state::ProductState;
use crate::models::product_status::Status;

/// How long the table keeps a journal entry. The audit log keeps it for good.
const JOURNAL_SECONDS: i64 = 90 * 24 * 60 * 60;

pub struct DynamoDbChanges {
    client: Client,
    table: String,
    shards: u32,
}

impl DynamoDbChanges {
    /// `shards`: the number of partition keys over which products are spread, the same as in list-products.
    pub fn new(client: Client, table: impl Into<String>, shards: u32) -> Self {
        Self { client, table: table.into(), shards }
    }

    /// The product's part of the transaction: its new form, or only the condition that it is as it was read.
    fn product_write(&self, commit: &Commit) -> Result<TransactWriteItem, ChangeStoreError> {
        let (condition, seen) = match commit.seen {
            Some(event_id) => ("lastEventId = :seen", Some((":seen", event_id.to_string()))),
            None => ("attribute_not_exists(PK)", None),
        };
        match &commit.next {
            Some(next) => self.put(meta_item(next, self.shards)?, condition, seen),
            None => self.check(product_pk(commit.entry.product_id), META, condition, seen),
        }
    }

    fn journal_write(&self, entry: &JournalEntry) -> Result<TransactWriteItem, ChangeStoreError> {
        self.put(journal_item(entry)?, "attribute_not_exists(PK)", None)
    }

    fn claim_write(&self, claim: &ClaimWrite, entry: &JournalEntry) -> Result<TransactWriteItem, ChangeStoreError> {
        const HELD: &str = "productId = :holder";
        let pk = sku_pk(claim.sku());
        let held_by = |holder: ProductId| Some((":holder", holder.to_string()));
        let me = entry.product_id;
        match claim {
            ClaimWrite::Take { .. } => {
                let item = [
                    ("PK", pk),
                    ("SK", CLAIM.to_owned()),
                    ("productId", me.to_string()),
                    ("eventId", entry.event_id.to_string()),
                ];
                let item = item.map(|(name, value)| (name.to_owned(), AttributeValue::S(value))).into();
                self.put(item, "attribute_not_exists(PK) OR productId = :holder", held_by(me))
            }
            ClaimWrite::Release { .. } => self.delete(pk, CLAIM, HELD, held_by(me)),
            ClaimWrite::Check { holder, .. } => self.check(pk, CLAIM, HELD, held_by(*holder)),
        }
    }

    fn put(&self, item: Item, condition: &str, value: Value) -> Result<TransactWriteItem, ChangeStoreError> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(condition)
            .set_expression_attribute_values(value.map(expression_value));
        Ok(TransactWriteItem::builder().put(put.build().map_err(refused)?).build())
    }

    fn delete(
        &self,
        pk: String,
        sk: &str,
        condition: &str,
        value: Value,
    ) -> Result<TransactWriteItem, ChangeStoreError> {
        let delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(key(pk, sk)))
            .condition_expression(condition)
            .set_expression_attribute_values(value.map(expression_value));
        Ok(TransactWriteItem::builder().delete(delete.build().map_err(refused)?).build())
    }

    fn check(
        &self,
        pk: String,
        sk: &str,
        condition: &str,
        value: Value,
    ) -> Result<TransactWriteItem, ChangeStoreError> {
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(key(pk, sk)))
            .condition_expression(condition)
            .set_expression_attribute_values(value.map(expression_value));
        Ok(TransactWriteItem::builder().condition_check(check.build().map_err(refused)?).build())
    }

    async fn get(&self, pk: String, sk: &str) -> Result<Option<Item>, ChangeStoreError> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(key(pk, sk))).consistent_read(true);
        Ok(get.send().await?.item)
    }
}

/// The value that a condition refers to, by its name.
type Value = Option<(&'static str, String)>;

fn expression_value((name, value): (&str, String)) -> Item {
    [(name.to_owned(), AttributeValue::S(value))].into()
}

fn key(pk: String, sk: &str) -> Item {
    [("PK".to_owned(), AttributeValue::S(pk)), ("SK".to_owned(), AttributeValue::S(sk.to_owned()))].into()
}

#[async_trait]
impl ChangeStore for DynamoDbChanges {
    async fn current(&self, id: ProductId) -> Result<Option<ProductState>, ChangeStoreError> {
        let Some(item) = self.get(product_pk(id), META).await? else { return Ok(None) };
        let provenance = ProvenanceItem::read(item.clone())?;
        Ok(Some(ProductState {
            product: read_product(item)?,
            recorded_at: provenance.recorded_at,
            chain_hash: provenance.chain_hash,
            create_event_id: provenance.create_event_id,
            create_fingerprint: provenance.create_fingerprint,
        }))
    }

    async fn holder(&self, sku: &str) -> Result<Option<ProductId>, ChangeStoreError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Claim {
            product_id: ProductId,
        }
        let Some(item) = self.get(sku_pk(sku), CLAIM).await? else { return Ok(None) };
        let claim: Claim = serde_dynamo::from_item(item).map_err(UnreadableItem::from)?;
        Ok(Some(claim.product_id))
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed, ChangeStoreError> {
        // The cancellation reasons come in this order.
        let claims = commit.claims.iter().map(|claim| self.claim_write(claim, &commit.entry));
        let transaction = self
            .client
            .transact_write_items()
            .transact_items(self.product_write(commit)?)
            .transact_items(self.journal_write(&commit.entry)?);
        let transaction = claims.into_iter().try_fold(transaction, |transaction, claim| {
            Ok::<_, ChangeStoreError>(transaction.transact_items(claim?))
        })?;
        match transaction.send().await {
            Ok(_) => Ok(Committed::Done),
            Err(error) => match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    read_reasons(cancelled.cancellation_reasons(), &commit.claims).map_err(|kind| kind(error.into()))
                }
                _ => Err(error.into()),
            },
        }
    }
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why DynamoDB cancelled a transaction because of one of its items.
/// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cancellation {
    None,
    ConditionFailed,
    /// Another transaction is writing the item.
    Conflict,
    /// Throttled. The same call may succeed later.
    Throttled,
    /// The item is invalid or too large. The same call fails again.
    Invalid,
}

impl From<&CancellationReason> for Cancellation {
    fn from(reason: &CancellationReason) -> Self {
        match reason.code() {
            None | Some("None") => Self::None,
            Some("ConditionalCheckFailed") => Self::ConditionFailed,
            Some("TransactionConflict") => Self::Conflict,
            Some("ThrottlingError" | "ProvisionedThroughputExceeded") => Self::Throttled,
            // ItemCollectionSizeLimitExceeded, ValidationError, AccessDenied, and codes to come.
            Some(_) => Self::Invalid,
        }
    }
}

/// The result of a cancelled transaction: an outcome, or the kind of error.
fn read_reasons(
    reasons: &[CancellationReason],
    claims: &[ClaimWrite],
) -> Result<Committed, fn(Cause) -> ChangeStoreError> {
    let reasons: Vec<Cancellation> = reasons.iter().map(Cancellation::from).collect();
    let reason = |index: usize| reasons.get(index).copied().unwrap_or(Cancellation::None);
    // A redelivered event fails the other conditions as well, so the journal's comes first. A product that has changed is
    // decided again anyway, so its condition comes before those of the claims.
    if reason(1) == Cancellation::ConditionFailed {
        return Ok(Committed::AlreadyRecorded);
    }
    if reason(0) == Cancellation::ConditionFailed || reasons.contains(&Cancellation::Conflict) {
        return Ok(Committed::Outdated);
    }
    let failed_claim = claims.iter().enumerate().find(|(index, _)| reason(index + 2) == Cancellation::ConditionFailed);
    if let Some((_, claim)) = failed_claim {
        return Ok(Committed::ClaimFailed(claim.sku().to_owned()));
    }
    if reasons.contains(&Cancellation::Throttled) {
        return Err(ChangeStoreError::Unavailable);
    }
    Err(ChangeStoreError::Refused)
}

fn refused(error: impl std::error::Error + Send + Sync + 'static) -> ChangeStoreError {
    ChangeStoreError::Refused(Box::new(error))
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

/// The stored form of a product. An item without an index's keys is not in that index: a deleted product is only in the
/// feed.
fn meta_item(state: &ProductState, shards: u32) -> Result<Item, ChangeStoreError> {
    let product = &state.product;
    let mut item = product_item(product)?;
    item.extend(serde_dynamo::to_item::<_, Item>(ProvenanceItem::from(state)).map_err(refused)?);
    item.extend(key(product_pk(product.id), META));
    let shard = shard_of(product.id, shards);
    insert_keys(&mut item, CHANGE_INDEX, feed_pk(shard), feed_sk(state.recorded_at, product.id));
    if product.status == Status::Active {
        let name = FoldedText::new(product.content.name.as_str());
        let price = product.content.price;
        insert_keys(&mut item, PRICE_INDEX, active_pk(shard), price_sk(price, product.id));
        insert_keys(&mut item, NAME_INDEX, name_pk(&name), name_sk(&name, price, product.id));
        if let Some(category) = product.content.category.as_ref().map(Category::as_str) {
            let partition_key = category_pk(&FoldedText::new(category));
            insert_keys(&mut item, CATEGORY_INDEX, partition_key, price_sk(price, product.id));
        }
    }
    Ok(item)
}

/// The attributes that [`read_product`] reads.
fn product_item(product: &Product) -> Result<Item, ChangeStoreError> {
    let mut item: Item = serde_dynamo::to_item(product).map_err(refused)?;
    item.remove("price");
    let minor_units = product.content.price.minor_units().to_string();
    item.insert("priceMinor".to_owned(), AttributeValue::N(minor_units));
    Ok(item)
}

fn insert_keys(item: &mut Item, index: Index, partition_key: String, sort_key: String) {
    item.insert(index.partition_key.to_owned(), AttributeValue::S(partition_key));
    item.insert(index.sort_key.to_owned(), AttributeValue::S(sort_key));
}

fn journal_item(entry: &JournalEntry) -> Result<Item, ChangeStoreError> {
    let mut item: Item = serde_dynamo::to_item(entry).map_err(refused)?;
    let expires_at = entry.recorded_at.unix_seconds() + JOURNAL_SECONDS;
    item.extend(key(product_pk(entry.product_id), &journal_sk(entry.event_id)));
    item.insert("expiresAt".to_owned(), AttributeValue::N(expires_at.to_string()));
    Ok(item)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a transaction with two claims, A and B, makes of these cancellation codes.
    fn read(codes: &[&str]) -> Result<Committed, &'static str> {
        let reasons: Vec<_> = codes.iter().map(|code| CancellationReason::builder().code(*code).build()).collect();
        let claims = ["A", "B"].map(|sku| ClaimWrite::Take { sku: sku.to_owned() });
        match read_reasons(&reasons, &claims) {
            Ok(committed) => Ok(committed),
            Err(kind) => match kind("why".into()) {
                ChangeStoreError::Unavailable(_) => Err("unavailable"),
                ChangeStoreError::Refused(_) => Err("refused"),
                ChangeStoreError::Unreadable(_) => Err("unreadable"),
            },
        }
    }

    #[test]
    fn distinguishes_reasons_for_cancelled_transaction() {
        let (failed, none, conflict) = ("ConditionalCheckFailed", "None", "TransactionConflict");
        let claim_failed = |sku: &str| Ok(Committed::ClaimFailed(sku.to_owned()));
        for (codes, expected) in [
            (vec![failed, none], Ok(Committed::Outdated)),
            (vec![none, failed], Ok(Committed::AlreadyRecorded)),
            (vec![failed, failed], Ok(Committed::AlreadyRecorded)),
            (vec![failed, failed, failed, failed], Ok(Committed::AlreadyRecorded)),
            (vec![failed, none, failed, none], Ok(Committed::Outdated)),
            (vec![none, none, failed, none], claim_failed("A")),
            (vec![none, none, none, failed], claim_failed("B")),
            (vec![none, none, failed, failed], claim_failed("A")),
            (vec![none, none, failed, conflict], Ok(Committed::Outdated)),
            (vec![conflict, none], Ok(Committed::Outdated)),
            (vec![none, conflict], Ok(Committed::Outdated)),
            (vec![none, none, conflict, none], Ok(Committed::Outdated)),
            (vec!["ThrottlingError", none], Err("unavailable")),
            (vec![none, "ProvisionedThroughputExceeded"], Err("unavailable")),
            (vec![none, none, "ThrottlingError"], Err("unavailable")),
            (vec!["ValidationError", none], Err("refused")),
            (vec![none, "ItemCollectionSizeLimitExceeded"], Err("refused")),
            (vec![none, none, "AccessDenied"], Err("refused")),
            (vec![], Err("refused")),
        ] {
            assert_eq!(read(&codes), expected, "{codes:?}");
        }
    }
}
