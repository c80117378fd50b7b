//! The products table in a real DynamoDB engine, in this process.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use serde_json::Value;

/// The attributes that are keys of the table or of an index.
const ATTRIBUTES: [&str; 9] = ["PK", "SK", "GSI1_PK", "GSI1_SK", "GSI2_PK", "GSI2_SK", "GSI3_PK", "GSI4_PK", "GSI4_SK"];

/// Starts an engine and returns its endpoint. It ends with the test's runtime.
pub async fn start() -> String {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let database = dynoxide::Database::memory().unwrap();
    tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()));
    endpoint
}

/// Creates a table with the keys and indexes of the products table.
pub async fn create(client: &Client, table: &str) {
    let attribute = |name: &str| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build().unwrap()
    };
    let key =
        |name: &str, kind: KeyType| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    let index = |name: &str, hash: &str, range: &str| {
        GlobalSecondaryIndex::builder()
            .index_name(name)
            .key_schema(key(hash, KeyType::Hash))
            .key_schema(key(range, KeyType::Range))
            .projection(Projection::builder().projection_type(ProjectionType::All).build())
            .build()
            .unwrap()
    };
    client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(ATTRIBUTES.map(attribute).to_vec()))
        .key_schema(key("PK", KeyType::Hash))
        .key_schema(key("SK", KeyType::Range))
        .global_secondary_indexes(index("ProductsByPriceIndex", "GSI1_PK", "GSI1_SK"))
        .global_secondary_indexes(index("ProductsByNameIndex", "GSI2_PK", "GSI2_SK"))
        .global_secondary_indexes(index("ProductsByCategoryIndex", "GSI3_PK", "GSI1_SK"))
        .global_secondary_indexes(index("ProductsByChangeIndex", "GSI4_PK", "GSI4_SK"))
        .send()
        .await
        .unwrap();
}

/// Stores a JSON object as an item: strings, integers, lists and maps.
pub async fn put(client: &Client, table: &str, item: Value) {
    let item: HashMap<String, AttributeValue> = serde_dynamo::to_item(item).unwrap();
    client.put_item().table_name(table).set_item(Some(item)).send().await.unwrap();
}

/// Every item of a table, sorted by its keys.
pub async fn items(client: &Client, table: &str) -> Vec<HashMap<String, AttributeValue>> {
    let pages = client.scan().table_name(table).consistent_read(true).into_paginator().items().send();
    let mut items: Vec<HashMap<String, AttributeValue>> = pages.collect::<Result<_, _>>().await.unwrap();
    items.sort_by_key(|item| (item["PK"].as_s().unwrap().clone(), item["SK"].as_s().unwrap().clone()));
    items
}
