//! The products table in a real DynamoDB engine, in this process: as large as is asked for, and served over HTTP.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, anyhow};
use dynoxide::types::AttributeValue;
use dynoxide::{Database, ImportOptions};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::backend::SHARDS;

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
    /// On disk: a million products with two indexes are 3 GB.
    _folder: TempDir,
}

impl Engine {
    /// Starts an engine with an empty table; its threads run where the calling thread may run.
    pub fn start() -> Result<Self> {
        let folder = tempfile::tempdir().context("there is no room for the table")?;
        let path = folder.path().join("products.db");
        let database = Database::new(path.to_str().context("the temporary folder's name is not text")?)
            .map_err(|error| anyhow!("the engine does not start: {error}"))?;
        let table = serde_json::from_value(definition()).context("the table's definition is not understood")?;
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

    /// Adds products until there are `count`, each with the journal entry of its creation if asked.
    pub fn fill(&mut self, count: usize, with_journal: bool, mut at: impl FnMut(usize)) -> Result<()> {
        self.database.enable_bulk_loading().map_err(|error| anyhow!("{error}"))?;
        while self.filled < count {
            let end = count.min(self.filled + CHUNK);
            let products = (self.filled..end).map(product);
            let items: Vec<Item> = if with_journal {
                products
                    .zip((self.filled..end).map(journal_entry))
                    .flat_map(|(product, entry)| [product, entry])
                    .collect()
            } else {
                products.collect()
            };
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
    let index = |name: &str, hash: &str| json!({"IndexName": name, "KeySchema": key(hash, "GSI1_SK"), "Projection": {"ProjectionType": "ALL"}});
    let attributes = ["PK", "SK", "GSI1_PK", "GSI1_SK", "GSI2_PK"];
    json!({
        "TableName": TABLE,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": attributes.map(|name| json!({"AttributeName": name, "AttributeType": "S"})),
        "KeySchema": key("PK", "SK"),
        "GlobalSecondaryIndexes":
            [index("ProductsByPriceIndex", "GSI1_PK"), index("ProductsByNameIndex", "GSI2_PK")],
    })
}

/// The id of a product: spread over the key space as random ones are, and the same in every run.
pub fn product_id(number: usize) -> String {
    let digest = Sha256::digest(number.to_be_bytes());
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

/// The name of a product.
pub fn product_name(number: usize) -> String {
    format!("Desk lamp {number}")
}

fn shard(id: &str) -> usize {
    let digest = Sha256::digest(id);
    let first = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    (first % SHARDS as u64) as usize
}

/// The price of a product: below [`PRICES`], in no order.
fn price(number: usize) -> u64 {
    number as u64 * 7_919 % PRICES
}

/// In minor units.
pub const PRICES: u64 = 1_000_003;

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn event_id(number: usize) -> String {
    format!("019c13ec-9e00-728a-83f3-{number:012}")
}

/// A product as `product-creator` stores it, keys of the indexes included (`contracts/README.md`, "The table").
fn product(number: usize) -> Item {
    let (id, name, price) = (product_id(number), product_name(number), price(number));
    let members = [
        ("PK", text(format!("PRODUCT#{id}"))),
        ("SK", text("META")),
        ("GSI1_PK", text(format!("ACTIVE#{}", shard(&id)))),
        ("GSI1_SK", text(format!("EUR#{price:016}#{id}"))),
        ("GSI2_PK", text(format!("NAME#{}", name.to_lowercase()))),
        ("productId", text(id)),
        ("name", text(name)),
        ("priceMinor", AttributeValue::N(price.to_string())),
        ("currency", text("EUR")),
        ("sku", text(format!("LAMP-{number}"))),
        ("description", text("A lamp for the desk, with an arm that stays where it is put.")),
        ("category", text("Lighting")),
        ("tags", AttributeValue::L(vec![text("desk"), text("lamp")])),
        (
            "attributes",
            AttributeValue::M(
                [("colour".to_owned(), text("blue")), ("width".to_owned(), text("20 cm"))].into_iter().collect(),
            ),
        ),
        ("status", text("ACTIVE")),
        ("version", AttributeValue::N("1".to_owned())),
        ("createdAt", text("2026-01-31T12:00:00.000Z")),
        ("updatedAt", text("2026-01-31T12:00:00.000Z")),
        ("lastEventId", text(event_id(number))),
        ("chainHash", text("88eff81503f77d68364258f0feeaf9727fdf5be153f9a8736b1d134a04da457b")),
        ("createEventId", text(event_id(number))),
        ("createFingerprint", text("3cf7e7f32c620b89097b2efecf34070eea1aac568b10d748e6863cd608f9b1e4")),
    ];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The journal entry beside it: keys and as many bytes as a creation's entry has.
fn journal_entry(number: usize) -> Item {
    let (id, event) = (product_id(number), event_id(number));
    let members = [
        ("PK", text(format!("PRODUCT#{id}"))),
        ("SK", text(format!("EVENT#{event}"))),
        ("recordType", text("CHANGE")),
        ("type", text("CREATE")),
        ("outcome", text("APPLIED")),
        ("eventId", text(event)),
        ("productId", text(id)),
        ("version", AttributeValue::N("1".to_owned())),
        ("expiresAt", AttributeValue::N("1777636800".to_owned())),
        ("hash", text("88eff81503f77d68364258f0feeaf9727fdf5be153f9a8736b1d134a04da457b")),
        ("prevHash", text("0".repeat(64))),
        ("fingerprint", text("3cf7e7f32c620b89097b2efecf34070eea1aac568b10d748e6863cd608f9b1e4")),
        ("after", text("x".repeat(400))),
    ];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Backend;
    use crate::http::{Request, forward};
    use std::net::TcpStream;
    use std::time::{Duration, Instant};

    #[test]
    fn shards_are_those_of_the_contract() {
        // contracts/README.md, "The table".
        assert_eq!(shard("3f0c2f5e-8d1b-4c6a-9e57-2b8a4d1f6c03"), 0);
        let per_shard = (0..1_000).fold([0; SHARDS], |mut counts, number| {
            counts[shard(&product_id(number))] += 1;
            counts
        });
        assert!(per_shard.iter().all(|count| (200..300).contains(count)), "{per_shard:?}");
    }

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
