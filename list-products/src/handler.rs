//! `GET` of the list and of the feed: request in, response out.

use lambda_http::http::{Response, StatusCode};
use lambda_http::{Body, Request, RequestExt};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::http::error::Failure;
use crate::http::parameters::{FeedParameters, ListParameters, canonical};
use crate::http::proxy_integration::Resource;
use crate::http::{cursor, response};
use crate::models::identifiers::ProductId;
use crate::models::product::{ProductDocument, Status};
use crate::models::selection::{FeedPosition, Position, RequestedId, Selection};
use crate::models::timestamp::Timestamp;
use crate::repositories::product_index::{IndexError, ProductIndex};
use crate::services::list_products::{find_by_ids, list_products};
use crate::services::read_feed::read_feed;

/// A page ends before its items exceed this. A function's response is at most 6 MB (an AWS Lambda quota), and the body is a
/// JSON string within a JSON text: escaping can double it.
const MAX_BODY_BYTES: usize = 2_900_000;

/// The query that feed cursors are bound to, and the position of a reader that has seen nothing.
const FEED: &str = "feed";
const FEED_START: &str = "start";

/// Handles one request by the resource that it matched in API Gateway.
pub async fn handle(request: Request, index: &dyn ProductIndex, shards: u32) -> Result<Response<Body>, Failure> {
    let resource = request.extensions().get::<Resource>().map_or("", |resource| resource.0.as_str());
    let query = request.query_string_parameters();
    if resource.ends_with("/changes") {
        return respond_with_feed(FeedParameters::parse(query.iter())?, index, shards).await;
    }
    let ListParameters { selection, limit, cursor } = ListParameters::parse(query.iter())?;
    match &selection {
        Selection::ByIds(ids) => respond_with_known(&selection, ids, cursor.as_deref(), index).await,
        _ => respond_with_list(&selection, limit, cursor.as_deref(), index, shards).await,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageDocument<'a> {
    items: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<Vec<&'a str>>,
}

async fn respond_with_list(
    selection: &Selection,
    limit: usize,
    given: Option<&str>,
    index: &dyn ProductIndex,
    shards: u32,
) -> Result<Response<Body>, Failure> {
    let query = canonical(selection);
    let position = |text: &str| text.parse::<Position>().ok().filter(|position| selection.contains(position));
    let after = given.map(|given| cursor::decode(&query, "cursor", given, position)).transpose()?;

    let page = list_products(index, shards, selection, after.as_ref(), limit).await?;

    let mut items = Items::default();
    let mut last = None;
    let mut more = page.more;
    for row in page.rows {
        if !items.push(&ProductDocument::from(row.product))? {
            more = true;
            break;
        }
        last = Some(row.position);
    }
    let next_cursor = last.filter(|_| more).map(|last| cursor::encode(&query, &last.to_string()));
    response::json(StatusCode::OK, &PageDocument { items: items.items, next_cursor, missing: None })
}

/// All requested products; a cursor only if they are too large for one response. It counts the IDs that are done.
async fn respond_with_known(
    selection: &Selection,
    ids: &[RequestedId],
    given: Option<&str>,
    index: &dyn ProductIndex,
) -> Result<Response<Body>, Failure> {
    let query = canonical(selection);
    let count =
        |text: &str| text.parse().ok().filter(|count| (1..ids.len()).contains(count) && count.to_string() == text);
    let done: usize = given.map(|given| cursor::decode(&query, "cursor", given, count)).transpose()?.unwrap_or(0);
    let requested = &ids[done..];

    let (products, missing) = find_by_ids(index, requested).await?;

    let mut items = Items::default();
    let mut next_cursor = None;
    let mut end = requested.len();
    for product in products {
        let id = product.id;
        if !items.push(&ProductDocument::from(product))? {
            end = requested.iter().position(|requested| requested.id == Some(id)).unwrap_or(end);
            next_cursor = Some(cursor::encode(&query, &(done + end).to_string()));
            break;
        }
    }
    let before_end = |missing: &&RequestedId| requested[..end].contains(missing);
    let missing = missing.into_iter().filter(before_end).map(|missing| missing.text.as_str()).collect();
    response::json(StatusCode::OK, &PageDocument { items: items.items, next_cursor, missing: Some(missing) })
}

async fn respond_with_feed(
    parameters: FeedParameters,
    index: &dyn ProductIndex,
    shards: u32,
) -> Result<Response<Body>, Failure> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct ItemDocument {
        product_id: ProductId,
        version: u64,
        status: Status,
        changed_at: Timestamp,
        #[serde(skip_serializing_if = "Option::is_none")]
        product: Option<ProductDocument>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct FeedDocument {
        items: Vec<Box<RawValue>>,
        next_cursor: String,
        caught_up: bool,
    }

    let position = |text: &str| match text {
        FEED_START => Some(None),
        _ => text.parse::<FeedPosition>().ok().map(Some),
    };
    let given = parameters.after.as_deref();
    let after = given.map(|given| cursor::decode(FEED, "after", given, position)).transpose()?.flatten();

    let page = read_feed(index, shards, after, parameters.limit, Timestamp::now()).await?;

    let mut items = Items::default();
    let mut last = after;
    let mut caught_up = !page.more;
    for item in page.items {
        let document = ItemDocument {
            product_id: item.id,
            version: item.version,
            status: item.status,
            changed_at: item.position.recorded_at,
            product: item.product.map(ProductDocument::from),
        };
        if !items.push(&document)? {
            caught_up = false;
            break;
        }
        last = Some(item.position);
    }
    let position = last.map_or_else(|| FEED_START.to_owned(), |last| last.to_string());
    let next_cursor = cursor::encode(FEED, &position);
    response::json(StatusCode::OK, &FeedDocument { items: items.items, next_cursor, caught_up })
}

/// Items of a page, as JSON.
#[derive(Default)]
struct Items {
    items: Vec<Box<RawValue>>,
    bytes: usize,
}

impl Items {
    /// Adds an item, unless the page would grow too large by it. The first one is always added.
    fn push<T: Serialize>(&mut self, item: &T) -> Result<bool, Failure> {
        let item = to_raw_value(item).map_err(Failure::internal)?;
        self.bytes += item.get().len() + 1;
        if self.bytes > MAX_BODY_BYTES && !self.items.is_empty() {
            return Ok(false);
        }
        self.items.push(item);
        Ok(true)
    }
}

impl From<IndexError> for Failure {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Unavailable(_) => Self::unavailable(error),
            IndexError::Refused(_) | IndexError::Unreadable(_) => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_page_before_its_items_exceed_the_limit() {
        // A string in JSON has two quotation marks, and an item in an array a comma.
        let of_bytes = |bytes: usize| "x".repeat(bytes - 3);
        for (last, fits) in [(MAX_BODY_BYTES - 30, true), (MAX_BODY_BYTES - 29, false)] {
            let mut items = Items::default();
            for item in [of_bytes(10), of_bytes(20)] {
                assert!(items.push(&item).unwrap());
            }
            assert_eq!(items.push(&of_bytes(last)).unwrap(), fits, "{last} bytes");
            assert_eq!(items.items.len(), if fits { 3 } else { 2 });
        }
        assert!(Items::default().push(&of_bytes(MAX_BODY_BYTES + 1)).unwrap(), "a page is never empty");
    }
}
