//! One page of the active products that a caller selects.

use std::collections::HashMap;

use super::merge::first_rows;
use crate::models::identifiers::ProductId;
use crate::models::product::{Product, Status};
use crate::models::selection::{Position, RequestedId, Selection};
use crate::repositories::product_index::{IndexError, ProductIndex, Row};

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub rows: Vec<Row>,
    /// Whether more rows follow the last one.
    pub more: bool,
}

/// The first `limit` selected products after the one at `after`, which need not exist any more.
///
/// A selection by IDs has no such order: see [`find_by_ids`].
pub async fn list_products(
    index: &dyn ProductIndex,
    shards: u32,
    selection: &Selection,
    after: Option<&Position>,
    limit: usize,
) -> Result<Page, IndexError> {
    let mut rows = match selection {
        Selection::ByPrice { category: None, prices, order } => {
            let read = async |shard, after: Option<Position>, limit| {
                index.by_price(shard, prices, *order, after.as_ref(), limit).await
            };
            first_rows(shards, *order, after.cloned(), limit, read).await?
        }
        Selection::ByPrice { category: Some(category), prices, order } => {
            index.by_category(category, prices, *order, after, limit + 1).await?
        }
        Selection::ByName(filter) => index.by_name(filter, after, limit + 1).await?,
        Selection::BySku(sku) => find_by_sku(index, sku).await?.into_iter().collect(),
        Selection::ByIds(_) => Vec::new(),
    };
    let more = rows.len() > limit;
    rows.truncate(limit);
    Ok(Page { rows, more })
}

/// The active product with a SKU.
async fn find_by_sku(index: &dyn ProductIndex, sku: &str) -> Result<Option<Row>, IndexError> {
    let Some(id) = index.sku_holder(sku).await? else { return Ok(None) };
    // The claim may have been released between the two reads.
    let is_holder = |product: &Product| product.status == Status::Active && product.details.sku.as_deref() == Some(sku);
    let product = index.by_ids(&[id]).await?.into_iter().find(is_holder);
    Ok(product.map(|product| Row {
        position: Position { name: String::new(), price: product.details.price, id: product.id },
        product,
    }))
}

/// The active products among the requested ones, in the order of the request, each once; and the others.
pub async fn find_by_ids<'a>(
    index: &dyn ProductIndex,
    requested: &'a [RequestedId],
) -> Result<(Vec<Product>, Vec<&'a RequestedId>), IndexError> {
    let ids: Vec<ProductId> = requested.iter().filter_map(|requested| requested.id).collect();
    let products = index.by_ids(&ids).await?.into_iter().filter(|product| product.status == Status::Active);
    let mut products: HashMap<ProductId, Product> = products.map(|product| (product.id, product)).collect();
    let (mut found, mut missing) = (Vec::with_capacity(products.len()), Vec::new());
    for requested in requested {
        match requested.id.and_then(|id| products.remove(&id)) {
            Some(product) => found.push(product),
            None => missing.push(requested),
        }
    }
    Ok((found, missing))
}
