//! The products table in a real DynamoDB engine, behind the real SDK client.
//!
//! The engine is one in this process, or the one that TABLE_ENGINE names, such as the local stack's emulator:
//! `TABLE_ENGINE=127.0.0.1:4566 cargo test`. Every test passes on both, so none depends on an engine's own ways.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};

/// Name of the table in tests.
pub const TABLE: &str = "products";

/// An engine with an empty table.
pub struct Engine {
    pub client: Client,
    pub address: SocketAddr,
    /// The access key ID of whoever else works on this table.
    pub access_key_id: String,
}

/// A client of an empty table of its own. An engine in this process ends with the test's runtime.
pub async fn start() -> Client {
    start_engine().await.client
}

/// The same, and how a program reaches the table.
pub async fn start_engine() -> Engine {
    let address = match std::env::var("TABLE_ENGINE") {
        Ok(address) => address.parse().expect("TABLE_ENGINE must be an IP address and a port"),
        Err(_) => start_in_process().await,
    };
    let access_key_id = new_account();
    let client = client(&format!("http://{address}"), &access_key_id);
    create_table(&client).await;
    Engine { client, address, access_key_id }
}

async fn start_in_process() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let database = dynoxide::Database::memory().unwrap();
    tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()));
    address
}

/// An account that no other test has: the emulator takes an access key ID of twelve digits for one, with tables of its own.
fn new_account() -> String {
    static ACCOUNTS: AtomicU64 = AtomicU64::new(0);
    // Tests run in several threads and programs at once: the time tells programs apart, the counter threads.
    let run = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
    format!("{:012}", (run + ACCOUNTS.fetch_add(1, Ordering::Relaxed)) % 1_000_000_000_000)
}

/// A client whose endpoint refuses connections.
pub fn unreachable() -> Client {
    // Port 1 of the loopback interface refuses connections at once.
    client("http://127.0.0.1:1", "test")
}

fn client(endpoint: &str, access_key_id: &str) -> Client {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .credentials_provider(Credentials::new(access_key_id, "test", None, None, "test"))
        .region(Region::new("eu-west-1"))
        .endpoint_url(endpoint)
        .build();
    Client::from_conf(config)
}

async fn create_table(client: &Client) {
    let attribute = |name: &str| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build().unwrap()
    };
    let key =
        |name: &str, kind: KeyType| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    let index = |name: &str, partition: &str, sort: &str, projection: Projection| {
        GlobalSecondaryIndex::builder()
            .index_name(name)
            .key_schema(key(partition, KeyType::Hash))
            .key_schema(key(sort, KeyType::Range))
            .projection(projection)
            .build()
            .unwrap()
    };
    let all = || Projection::builder().projection_type(ProjectionType::All).build();
    let feed = ["version", "status", "lastEventId"].map(str::to_owned).to_vec();
    let feed =
        Projection::builder().projection_type(ProjectionType::Include).set_non_key_attributes(Some(feed)).build();
    let attributes =
        ["PK", "SK", "GSI1_PK", "GSI1_SK", "GSI2_PK", "GSI2_SK", "GSI3_PK", "GSI4_PK", "GSI4_SK"].map(attribute);
    client
        .create_table()
        .table_name(TABLE)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(attributes.to_vec()))
        .key_schema(key("PK", KeyType::Hash))
        .key_schema(key("SK", KeyType::Range))
        .global_secondary_indexes(index("ProductsByPriceIndex", "GSI1_PK", "GSI1_SK", all()))
        .global_secondary_indexes(index("ProductsByNameIndex", "GSI2_PK", "GSI2_SK", all()))
        .global_secondary_indexes(index("ProductsByCategoryIndex", "GSI3_PK", "GSI1_SK", all()))
        .global_secondary_indexes(index("ProductsByChangeIndex", "GSI4_PK", "GSI4_SK", feed))
        .send()
        .await
        .unwrap();
}

/// Stores a JSON object as an item.
pub async fn put(client: &Client, item: serde_json::Value) {
    let item = serde_dynamo::to_item::<_, std::collections::HashMap<String, AttributeValue>>(item).unwrap();
    client.put_item().table_name(TABLE).set_item(Some(item)).send().await.unwrap();
}

/// A stored product as product-creator writes it: version 3, EUR 19.99, active in shard 0.
pub fn product(id: &str) -> serde_json::Value {
    serde_json::json!({
        "PK": format!("PRODUCT#{id}"),
        "SK": "META",
        "GSI1_PK": "ACTIVE#0",
        "GSI1_SK": format!("EUR#0000000000001999#{id}"),
        "GSI2_PK": "NAME#oa",
        "GSI2_SK": format!("oak table\tEUR#0000000000001999#{id}"),
        "GSI3_PK": "CATEGORY#furniture",
        "GSI4_PK": "FEED#0",
        "GSI4_SK": format!("2026-02-01T12:00:01.000Z#{id}"),
        "productId": id,
        "name": "Oak table",
        "priceMinor": 1999,
        "currency": "EUR",
        "sku": "OAK-1",
        "description": "A table of oak.",
        "category": "furniture",
        "tags": ["oak", "table"],
        "imageUrls": ["https://images.example/oak.jpg"],
        "attributes": {"width": "90 cm"},
        "status": "ACTIVE",
        "version": 3,
        "createdAt": "2026-01-31T12:00:00.000Z",
        "updatedAt": "2026-02-01T12:00:00.000Z",
        "lastEventId": "019c1941-fe00-7d2e-9f10-2b3c4d5e6f70",
        "recordedAt": "2026-02-01T12:00:01.000Z",
        "chainHash": "0".repeat(64),
        "createEventId": "019c141b-9a00-7d2e-9f10-2b3c4d5e6f70",
        "createFingerprint": "0".repeat(64),
    })
}
