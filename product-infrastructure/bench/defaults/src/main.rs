//! get-product as it would be written from AWS's examples: every library with its defaults, Cargo's own release profile.
//!
//! Less than the real one, to its advantage: no conditional requests, no time-outs, no rounding rules of currencies.

use std::collections::BTreeMap;

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use lambda_http::{Body, Error, Request, RequestExt, Response, run, service_fn, tracing};
use serde::{Deserialize, Serialize};

/// The item, and the product as it is answered.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Product {
    product_id: String,
    name: String,
    #[serde(skip_serializing)]
    price_minor: i64,
    #[serde(default)]
    price: String,
    currency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sku: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    image_urls: Vec<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    status: String,
    version: u64,
    created_at: String,
    updated_at: String,
    last_event_id: String,
}

async fn handle(client: &Client, table: &str, request: Request) -> Result<Response<Body>, Error> {
    let parameters = request.path_parameters();
    let id = parameters.first("productId").unwrap_or_default();
    tracing::info!(product_id = id, "get product");
    let answer = client
        .get_item()
        .table_name(table)
        .key("PK", AttributeValue::S(format!("PRODUCT#{id}")))
        .key("SK", AttributeValue::S("META".to_owned()))
        .consistent_read(true)
        .send()
        .await?;
    let response = Response::builder().header("content-type", "application/json");
    let Some(item) = answer.item else { return Ok(response.status(404).body("{}".into())?) };
    let mut product: Product = serde_dynamo::from_item(item)?;
    product.price = format!("{}.{:02}", product.price_minor / 100, product.price_minor % 100);
    let body = serde_json::to_string(&product)?;
    Ok(response.header("etag", format!("\"{}\"", product.version)).body(body.into())?)
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let client = Client::new(&aws_config::load_defaults(BehaviorVersion::latest()).await);
    let table = std::env::var("TABLE_NAME")?;
    run(service_fn(|request| handle(&client, &table, request))).await
}
