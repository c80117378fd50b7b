//! The adapter of the index port: DynamoDB. Key ranges are made here and nowhere else.

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use serde::Deserialize;

use super::index_keys::{
    CATEGORY_INDEX, CHANGE_INDEX, Index, NAME_INDEX, PRICE_INDEX, active_pk, category_pk, currency_prefix,
    exact_name_prefix, feed_pk, feed_sk, name_pk, name_prefix, price_prefix, price_sk,
};
use super::product_index::{ChangedProduct, IndexError, ProductIndex, Row};
use super::product_item::{Item, ProductItem, UnreadableItem};
use super::projection;
use super::sdk_error::is_retryable;
use super::sku_claim_keys::{CLAIM, sku_pk};
use super::table_keys::{META, product_pk};
use crate::models::folded_text::FoldedText;
use crate::models::identifiers::ProductId;
use crate::models::money::{Currency, Money};
use crate::models::product::{Product, Status};
use crate::models::selection::{FeedPosition, NameFilter, Order, Position, PriceRange};
use crate::models::timestamp::Timestamp;

/// Rounds of a batch read. DynamoDB leaves keys out of an answer that would exceed 16 MB, or when it is throttled.
const MAX_BATCH_ROUNDS: usize = 5;

pub struct DynamoDbIndex {
    client: Client,
    table: String,
}

/// Sort keys from `first` to `last`, both included. Neither need exist.
struct KeyRange {
    first: String,
    last: String,
}

impl DynamoDbIndex {
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// The first `limit` rows of a partition after the one at the key `after`, as far as `read` accepts them.
    async fn rows<T>(
        &self,
        (index, partition): (Index, String),
        mut range: KeyRange,
        order: Order,
        after: Option<String>,
        limit: usize,
        read: impl Fn(Item) -> Result<Option<T>, UnreadableItem>,
    ) -> Result<Vec<T>, IndexError> {
        // A key condition has one range, whose ends belong to it: the row at `after` may be read, and is left out.
        if let Some(after) = &after {
            match order {
                Order::Ascending => range.first.clone_from(after),
                Order::Descending => range.last.clone_from(after),
            }
        }
        if range.first > range.last {
            return Ok(Vec::new());
        }
        let query = self.query(index, partition, range).scan_index_forward(order == Order::Ascending);
        // DynamoDB reads at most 1 MB at once, whatever the limit is.
        let mut rows = Vec::new();
        let mut start = None;
        loop {
            let missing = limit - rows.len() + usize::from(after.is_some() && start.is_none());
            let limit_now = i32::try_from(missing).unwrap_or(i32::MAX);
            let answer = query.clone().limit(limit_now).set_exclusive_start_key(start).send().await?;
            for item in answer.items.unwrap_or_default() {
                let is_after =
                    |key: &String| matches!(item.get(index.sort_key), Some(AttributeValue::S(own)) if own == key);
                if !after.as_ref().is_some_and(is_after) {
                    rows.extend(read(item)?);
                }
            }
            start = answer.last_evaluated_key;
            if start.is_none() || rows.len() >= limit {
                rows.truncate(limit);
                return Ok(rows);
            }
        }
    }

    fn query(&self, index: Index, partition: String, range: KeyRange) -> QueryFluentBuilder {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(index.name)
            .key_condition_expression("#partition = :partition AND #sort BETWEEN :first AND :last")
            .expression_attribute_names("#partition", index.partition_key)
            .expression_attribute_names("#sort", index.sort_key)
            .expression_attribute_values(":partition", AttributeValue::S(partition))
            .expression_attribute_values(":first", AttributeValue::S(range.first))
            .expression_attribute_values(":last", AttributeValue::S(range.last));
        // The change index holds little more than its keys.
        if index == CHANGE_INDEX {
            return query;
        }
        projection::names()
            .into_iter()
            .fold(query, |query, (placeholder, name)| query.expression_attribute_names(placeholder, name))
            // The sort key is the row's position.
            .projection_expression(format!("#sort,{}", projection::expression()))
    }
}

/// The sort keys that begin with `prefix`, which ends in an ASCII character: `EUR#` gives `EUR#` to `EUR$`. No key is equal
/// to the last one, since what follows a prefix in a key is never empty.
fn keys_with_prefix(prefix: String) -> KeyRange {
    let mut last = prefix.clone().into_bytes();
    if let Some(byte) = last.last_mut() {
        *byte += 1;
    }
    KeyRange { first: prefix, last: String::from_utf8(last).expect("an ASCII character after another one is ASCII") }
}

fn price_keys(prices: &PriceRange) -> KeyRange {
    let Some(currency) = prices.currency else {
        // Every key begins with a currency's code, and `[` is the character after `Z`.
        return KeyRange { first: "A".to_owned(), last: "[".to_owned() };
    };
    let bound = |price: Option<Money>| price.map_or_else(|| currency_prefix(currency), price_prefix);
    KeyRange { first: bound(prices.min), last: keys_with_prefix(bound(prices.max)).last }
}

fn name_keys(filter: &NameFilter) -> KeyRange {
    match filter {
        NameFilter::Exact(name) => keys_with_prefix(exact_name_prefix(name)),
        // A prefix may end in any character, and the key after it in none; U+10FFFF sorts after whatever a name holds.
        NameFilter::Prefix(prefix) => {
            let first = name_prefix(prefix).to_owned();
            KeyRange { last: format!("{first}\u{10ffff}"), first }
        }
    }
}

#[async_trait]
impl ProductIndex for DynamoDbIndex {
    async fn by_price(
        &self,
        shard: u32,
        prices: &PriceRange,
        order: Order,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Row>, IndexError> {
        let after = after.map(|after| price_sk(after.price, after.id));
        let partition = (PRICE_INDEX, active_pk(shard));
        self.rows(partition, price_keys(prices), order, after, limit, |item| read_row(item, PRICE_INDEX)).await
    }

    async fn by_category(
        &self,
        category: &FoldedText,
        prices: &PriceRange,
        order: Order,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Row>, IndexError> {
        let after = after.map(|after| price_sk(after.price, after.id));
        let partition = (CATEGORY_INDEX, category_pk(category));
        self.rows(partition, price_keys(prices), order, after, limit, |item| read_row(item, CATEGORY_INDEX)).await
    }

    async fn by_name(
        &self,
        filter: &NameFilter,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Row>, IndexError> {
        let after = after.map(|after| format!("{}\t{}", after.name, price_sk(after.price, after.id)));
        let (NameFilter::Exact(name) | NameFilter::Prefix(name)) = filter;
        // The key may hold only the beginning of a long name, so the whole of it is compared.
        let matches = |row: &Row| {
            let own = FoldedText::new(&row.product.details.name);
            match filter {
                NameFilter::Exact(name) => own == *name,
                NameFilter::Prefix(prefix) => own.as_str().starts_with(prefix.as_str()),
            }
        };
        let read = |item| Ok(read_row(item, NAME_INDEX)?.filter(|row| matches(row)));
        self.rows((NAME_INDEX, name_pk(name)), name_keys(filter), Order::Ascending, after, limit, read).await
    }

    async fn sku_holder(&self, sku: &str) -> Result<Option<ProductId>, IndexError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Claim {
            product_id: ProductId,
        }
        let answer =
            self.client.get_item().table_name(&self.table).set_key(Some(key(sku_pk(sku), CLAIM))).send().await?;
        let claim = answer.item.map(serde_dynamo::from_item::<_, Claim>).transpose().map_err(UnreadableItem::from)?;
        Ok(claim.map(|claim| claim.product_id))
    }

    async fn by_ids(&self, ids: &[ProductId]) -> Result<Vec<Product>, IndexError> {
        let keys = ids.iter().map(|id| key(product_pk(*id), META)).collect();
        let request = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .projection_expression(projection::expression())
            .set_expression_attribute_names(Some(projection::names()))
            .build();
        let mut request = Some(request.map_err(|error| IndexError::Refused(error.into()))?).filter(|_| !ids.is_empty());
        let mut products = Vec::with_capacity(ids.len());
        for _ in 0..MAX_BATCH_ROUNDS {
            let Some(keys) = request else { return Ok(products) };
            let answer = self.client.batch_get_item().request_items(&self.table, keys).send().await?;
            for item in answer.responses.unwrap_or_default().into_values().flatten() {
                products.push(ProductItem::read(item)?.into_product()?);
            }
            request = answer.unprocessed_keys.unwrap_or_default().into_values().next();
        }
        if request.is_none() { Ok(products) } else { Err(IndexError::Unavailable("keys remained unprocessed".into())) }
    }

    async fn changed(
        &self,
        shard: u32,
        until: Timestamp,
        after: Option<FeedPosition>,
        limit: usize,
    ) -> Result<Vec<ChangedProduct>, IndexError> {
        // `$` is the character after `#`: the range ends with the last key of `until`.
        let range = KeyRange { first: "0".to_owned(), last: format!("{until}$") };
        let after = after.map(|after| feed_sk(after.recorded_at, after.id));
        let partition = (CHANGE_INDEX, feed_pk(shard));
        self.rows(partition, range, Order::Ascending, after, limit, |item| read_changed(item).map(Some)).await
    }
}

fn key(partition_key: String, sort_key: &str) -> Item {
    Item::from([
        ("PK".to_owned(), AttributeValue::S(partition_key)),
        ("SK".to_owned(), AttributeValue::S(sort_key.to_owned())),
    ])
}

/// A row of a list, or `None` for a product that isn't active: the indexes hold active products only, but a row that was
/// edited by hand must neither be listed nor take the place of another one.
fn read_row(item: Item, index: Index) -> Result<Option<Row>, UnreadableItem> {
    let position =
        sort_key(&item, index.sort_key).and_then(read_position).ok_or(UnreadableItem::Key(index.sort_key))?;
    let product = ProductItem::read(item)?.into_product()?;
    Ok((product.status == Status::Active).then_some(Row { position, product }))
}

fn read_changed(item: Item) -> Result<ChangedProduct, UnreadableItem> {
    #[derive(Deserialize)]
    struct Projection {
        version: u64,
        status: Status,
    }
    let position = sort_key(&item, CHANGE_INDEX.sort_key).and_then(|key| key.parse().ok());
    let position = position.ok_or(UnreadableItem::Key(CHANGE_INDEX.sort_key))?;
    let Projection { version, status } = serde_dynamo::from_item(item)?;
    Ok(ChangedProduct { position, version, status })
}

fn sort_key<'a>(item: &'a Item, attribute: &str) -> Option<&'a str> {
    item.get(attribute)?.as_s().ok().map(String::as_str)
}

/// The position in the key of a price index or of the name index, which begins with a name and a tab.
fn read_position(key: &str) -> Option<Position> {
    let (name, price_key) = key.rsplit_once('\t').unwrap_or(("", key));
    let mut parts = price_key.splitn(3, '#');
    let currency = Currency::from_code(parts.next()?)?;
    let price = Money::from_minor_units(parts.next()?.parse().ok()?, currency)?;
    Some(Position { name: name.to_owned(), price, id: parts.next()?.parse().ok()? })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(range: KeyRange) -> (String, String) {
        (range.first, range.last)
    }

    fn pair(first: &str, last: &str) -> (String, String) {
        (first.to_owned(), last.to_owned())
    }

    #[test]
    fn makes_key_range_of_prices() {
        let prices = |currency: Currency, min: Option<u64>, max: Option<u64>| {
            let money = |minor: Option<u64>| minor.and_then(|minor| Money::from_minor_units(minor, currency));
            bounds(price_keys(&PriceRange { currency: Some(currency), min: money(min), max: money(max) }))
        };
        assert_eq!(bounds(price_keys(&PriceRange::default())), pair("A", "["));
        assert_eq!(prices(Currency::EUR, None, None), pair("EUR#", "EUR$"));
        assert_eq!(
            prices(Currency::EUR, Some(500), Some(1_999)),
            pair("EUR#0000000000000500#", "EUR#0000000000001999$")
        );
        assert_eq!(prices(Currency::JPY, Some(5), None), pair("JPY#0000000000000005#", "JPY$"));
    }

    #[test]
    fn makes_key_range_of_names() {
        let name = FoldedText::new("Oak Table");
        assert_eq!(bounds(name_keys(&NameFilter::Exact(name.clone()))), pair("oak table\t", "oak table\n"));
        assert_eq!(bounds(name_keys(&NameFilter::Prefix(name))), pair("oak table", "oak table\u{10ffff}"));
    }

    #[test]
    fn reads_position_from_keys() {
        let id = "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84";
        let read = |key: String| read_position(&key).map(|position| position.to_string());
        assert_eq!(read(format!("EUR#0000000000001999#{id}")), Some(format!("EUR#1999#{id}#")));
        assert_eq!(read(format!("oak\tEUR#0000000000001999#{id}")), Some(format!("EUR#1999#{id}#oak")));
        assert_eq!(read(format!("XAU#0000000000001999#{id}")), None);
        assert_eq!(read("EUR#1999".to_owned()), None);
    }
}
