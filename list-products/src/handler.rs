//! `GET /v1.0/products`: request in, answer out.

use lambda_http::http::{Response, StatusCode};
use lambda_http::{Body, Request, RequestExt};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::http::error::Failure;
use crate::http::parameters::ListParameters;
use crate::http::{cursor, response};
use crate::models::product::ProductDocument;
use crate::repositories::product_index::{IndexError, ProductIndex};
use crate::services::list_products::list_products;

/// A page ends before its body grows over this. A function may answer at most 6 MB (an AWS Lambda quota), and the body
/// is a JSON text inside a JSON text: escaping can double it.
const LARGEST_BODY: usize = 2_900_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageDocument {
    items: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

/// Handles one request.
pub async fn handle(request: Request, index: &dyn ProductIndex, shards: u32) -> Result<Response<Body>, Failure> {
    let query = request.query_string_parameters();
    let ListParameters { selection, limit, cursor } = ListParameters::parse(query.iter())?;
    let after = cursor.map(|cursor| cursor::decode(&selection, &cursor)).transpose()?;

    let page = list_products(index, shards, &selection, after.as_deref(), limit).await?;

    let mut items: Vec<Box<RawValue>> = Vec::with_capacity(page.rows.len());
    let mut bytes = 0;
    let mut position = None;
    let mut more = page.more;
    for row in page.rows {
        let item = to_raw_value(&ProductDocument::from(row.product)).map_err(Failure::internal)?;
        bytes += item.get().len() + 1;
        if bytes > LARGEST_BODY && !items.is_empty() {
            more = true;
            break;
        }
        items.push(item);
        position = Some(row.sort_key);
    }
    let next_cursor = position.filter(|_| more).map(|position| cursor::encode(&selection, &position));
    response::json(StatusCode::OK, &PageDocument { items, next_cursor })
}

impl From<IndexError> for Failure {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Unavailable(_) => Self::unavailable(error),
            IndexError::Refused(_) | IndexError::Unreadable(_) => Self::internal(error),
        }
    }
}
