//! The products table in a real DynamoDB engine in this process, filled to any size and served over HTTP.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, anyhow};
use dynoxide::types::AttributeValue;
use dynoxide::{Database, ImportOptions};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::items;

type Item = HashMap<String, AttributeValue>;

/// Items of one transaction while the table is filled.
const CHUNK: usize = 10_000;

/// The name of the table.
const TABLE: &str = "products";

/// An engine with the products table, until it is dropped.
pub struct Engine {
    address: SocketAddr,
    filled: usize,
    database: Database,
    _runtime: Runtime,
    /// On disk: a million products are several gigabytes.
    _folder: TempDir,
}

impl Engine {
    /// Starts an engine with an empty table; its threads run where the calling thread may run.
    pub fn start() -> Result<Self> {
        let folder = tempfile::tempdir().context("failed to create a temporary directory")?;
        let path = folder.path().join("products.db");
        let database = Database::new(path.to_str().context("the temporary directory's name isn't UTF-8")?)
            .map_err(|error| anyhow!("failed to start the engine: {error}"))?;
        let table = serde_json::from_value(definition()).context("failed to parse the table's definition")?;
        database.create_table(table).map_err(|error| anyhow!("failed to create the table: {error}"))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let listener = runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        runtime.spawn(dynoxide::server::serve_with_shutdown(listener, database.clone(), std::future::pending()));
        Ok(Self { address, filled: 0, database, _runtime: runtime, _folder: folder })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds products with their SKU claims until there are `count`; with `with_journal` also their journal entries.
    pub fn fill(&mut self, count: usize, with_journal: bool, mut at: impl FnMut(usize)) -> Result<()> {
        self.database.enable_bulk_loading().map_err(|error| anyhow!("{error}"))?;
        while self.filled < count {
            let end = count.min(self.filled + CHUNK);
            let mut items = Vec::with_capacity(3 * (end - self.filled));
            for number in self.filled..end {
                items.extend([product(number)?, claim(number)?]);
                if with_journal {
                    items.push(journal_entry(number)?);
                }
            }
            self.database
                .import_items(TABLE, items, ImportOptions::default())
                .map_err(|error| anyhow!("failed to fill the table: {error}"))?;
            self.filled = end;
            at(end);
        }
        self.database.disable_bulk_loading().map_err(|error| anyhow!("{error}"))?;
        Ok(())
    }
}

/// The keys and indexes of `terraform/dynamodb.tf`.
fn definition() -> Value {
    let key = |hash: &str, range: &str| json!([{"AttributeName": hash, "KeyType": "HASH"}, {"AttributeName": range, "KeyType": "RANGE"}]);
    let index = |name: &str, hash: &str, range: &str| json!({"IndexName": name, "KeySchema": key(hash, range), "Projection": {"ProjectionType": "ALL"}});
    let attributes = ["PK", "SK", "GSI1_PK", "GSI1_SK", "GSI2_PK", "GSI2_SK", "GSI3_PK", "GSI4_PK", "GSI4_SK"];
    json!({
        "TableName": TABLE,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": attributes.map(|name| json!({"AttributeName": name, "AttributeType": "S"})),
        "KeySchema": key("PK", "SK"),
        "GlobalSecondaryIndexes":
            [index("ProductsByPriceIndex", "GSI1_PK", "GSI1_SK"), index("ProductsByNameIndex", "GSI2_PK", "GSI2_SK"),
             index("ProductsByCategoryIndex", "GSI3_PK", "GSI1_SK"), index("ProductsByChangeIndex", "GSI4_PK", "GSI4_SK")],
    })
}

/// The id of a product: spread over the key space as random ones are, and the same in every run.
pub fn product_id(number: usize) -> String {
    let digest = Sha256::digest(number.to_be_bytes());
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

/// The price of a product: below [`PRICES`], in no order.
fn price(number: usize) -> u64 {
    number as u64 * 7_919 % PRICES
}

/// In minor units.
pub const PRICES: u64 = 1_000_003;

/// A product item.
fn product(number: usize) -> Result<Item> {
    item(items::product(&product_id(number), number, price(number)))
}

/// The journal entry of a product's creation.
fn journal_entry(number: usize) -> Result<Item> {
    item(items::journal_entry(&product_id(number), number, price(number)))
}

/// The claim of a product's SKU.
fn claim(number: usize) -> Result<Item> {
    item(items::claim(&product_id(number), number))
}

fn item(json: Value) -> Result<Item> {
    serde_json::from_value(json).context("an item isn't in DynamoDB's JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Backend;
    use crate::http::{Request, forward};
    use std::net::TcpStream;
    use std::time::{Duration, Instant};

    #[test]
    fn engine_has_the_requested_number_of_products() {
        let mut engine = Engine::start().unwrap();
        engine.fill(3, false, |_| {}).unwrap();
        let mut seen = 0;
        engine.fill(5, true, |count| seen = count).unwrap();
        assert_eq!(seen, 5);
        let count = |filter: &str| {
            let request = json!({"TableName": TABLE});
            let answer = engine.database.scan(serde_json::from_value(request).unwrap()).unwrap();
            let items = serde_json::to_value(answer).unwrap();
            items["Items"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|item| item["SK"]["S"].as_str().unwrap().starts_with(filter))
                .count()
        };
        assert_eq!((count("META"), count("EVENT#")), (5, 2));
    }

    #[test]
    fn engine_responds_through_the_backend_and_is_timed() {
        let mut engine = Engine::start().unwrap();
        engine.fill(3, false, |_| {}).unwrap();
        let backend = Backend::before(engine.address()).unwrap();
        let address = backend.url().replace("http://", "");
        let mut stream = TcpStream::connect(address).unwrap();
        let mut ask = |target: &str, body: Value| {
            let request = Request {
                method: "POST".to_owned(),
                path: "/".to_owned(),
                target: Some(target.to_owned()),
                body: body.to_string().into_bytes(),
                read_at: Instant::now(),
            };
            String::from_utf8(forward(&mut stream, &request).unwrap()).unwrap()
        };
        let key = json!({"PK": {"S": format!("PRODUCT#{}", product_id(2))}, "SK": {"S": "META"}});
        let answer = ask("DynamoDB_20120810.GetItem", json!({"TableName": TABLE, "Key": key}));
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Desk lamp 2"), "{answer}");
        assert!(backend.take_engine_time() > Duration::ZERO);
        // SQS has no engine: its answer is the canned one.
        assert!(ask("AmazonSQS.SendMessage", json!({})).contains("MessageId"));
        assert_eq!((backend.take_engine_time(), backend.take_calls().count), (Duration::ZERO, 2));
    }
}
