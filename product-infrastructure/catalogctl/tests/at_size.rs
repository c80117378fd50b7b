//! Commands on much data: the audit commands on a bucket of many records, which answers as slowly as S3 does, and an import of
//! many rows into an API that answers as slowly as API Gateway does. Records or rows a second, and memory.
//!
//! ```sh
//! cargo test --release --workspace --test at_size -- --nocapture
//! ```
//!
//! `RECORDS` is the number of records (default 1,000,000: about eight minutes for each command at 2,100 records a second).
//! `COMMANDS` names some of the commands, such as `verify,export`; `rebuild` fills a table in memory, of 1 kB for each record. `ROWS` is the number of rows of the import (default 100,000:
//! about seven minutes at the highest rate, 1,000 requests a second). The bucket or API and the command are two processes on one
//! machine, so the records and rows a second are a lower bound.

mod support;

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use support::audit_bucket::{Bucket, Latency};
use support::lives::{Catalogue, product_id};
use support::product_api::{KEY, ProductApi};
use support::{products_table, system};

/// The median times of S3 in a region, measured by others: 20 ms for a small object, 60 ms for a page of keys.
const LATENCY: Latency = Latency { get: Duration::from_millis(20), list: Duration::from_millis(60) };
/// Changes of each product.
const ROUNDS: u64 = 10;
/// The days over which the changes are spread.
const DAYS: u64 = 80;
const POLL: Duration = Duration::from_millis(50);
/// A call through API Gateway to a warm function that reads one item.
const API_LATENCY: Duration = Duration::from_millis(30);

#[tokio::test(flavor = "multi_thread")]
async fn reads_every_record() {
    let records: u64 = std::env::var("RECORDS").map_or(1_000_000, |text| text.parse().expect("RECORDS is a number"));
    let products = records / ROUNDS;
    let bucket = Bucket::distant(LATENCY);
    let started = Instant::now();
    fill(&bucket, products);
    println!("{records} records of {products} products, made in {:.0} s", started.elapsed().as_secs_f64());

    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = bucket.router();
    tokio::spawn(async move { axum::serve(listener, router).await });

    let (product, sku) = (product_id(products / 2), format!("SKU-{}-0", products / 2));
    let table = products_table::start().await;
    products_table::create(&aws_sdk_dynamodb::Client::new(&system::configuration(&table)), "again").await;
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.html").display().to_string();

    let commands =
        std::env::var("COMMANDS").unwrap_or_else(|_| "verify,history,history-by-sku,export,report,rebuild".to_owned());
    for command in commands.split(',') {
        let arguments: &[&str] = match command {
            "verify" => &["audit", "verify", "--without-table", "--json"],
            "history" => &["audit", "history", &product, "--json"],
            "history-by-sku" => &["audit", "history", "--sku", &sku, "--json"],
            "export" => &["audit", "export"],
            "report" => &["audit", "report", "--without-table", "--out", &report, "--json"],
            "rebuild" => &["audit", "rebuild", "--into", "again", "--json"],
            _ => panic!(
                "COMMANDS names {command:?}; expected verify, history, history-by-sku, export, report or rebuild"
            ),
        };
        let output = tempfile::NamedTempFile::new().unwrap();
        let (seconds, kibibytes) = run([&endpoint, &table], arguments, &output).await;
        let printed = fs::read_to_string(output.path()).unwrap();
        let lines = u64::try_from(printed.lines().count()).unwrap();
        match command {
            "verify" => assert!(printed.contains("\"INTACT\"") && printed.contains(&format!("\"objects\": {records}"))),
            "history" | "history-by-sku" => assert_eq!(printed.matches("\"recordType\"").count() as u64, ROUNDS),
            "report" => assert!(printed.contains("\"sha256\""), "{printed}"),
            "rebuild" => assert!(
                printed.contains(&format!("\"products\": {products}"))
                    && printed.contains(&format!("\"journalEntries\": {records}")),
                "{printed}"
            ),
            _ => assert_eq!(lines, records),
        }
        println!(
            "{command}: {seconds:.0} s, {:.0} records/s, at most {} MiB of memory",
            records as f64 / seconds,
            kibibytes / 1_024
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_every_row() {
    let rows: u64 = std::env::var("ROWS").map_or(100_000, |text| text.parse().expect("ROWS is a number"));
    let api = ProductApi::distant(API_LATENCY);
    let base = api.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let mut content = "sku,name,price,currency,category,tags,attributes.colour\n".to_owned();
    for number in 0..rows {
        let (euros, cents) = (number % 900 + 1, number % 100);
        let row = format!("SKU-{number:07},Lamp number {number},{euros}.{cents:02},EUR,Light,new|sale,red\n");
        content.push_str(&row);
    }
    fs::write(folder.path().join("a.csv"), content).unwrap();
    fs::write(folder.path().join("key"), KEY).unwrap();
    for (run, expected) in [("first", "created"), ("second", "unchanged")] {
        let arguments = ["products", "import", "a.csv", "--apply", "--json", "--quiet", "--rate", "1000"];
        let arguments = [&arguments[..], &["--api-url", &base, "--key-file", "key"]].concat();
        let command = support::system::program(folder.path(), &arguments);
        let output = tempfile::NamedTempFile::new().unwrap();
        let (seconds, kibibytes) = measure(command, &output).await;
        let printed: serde_json::Value = serde_json::from_str(&fs::read_to_string(output.path()).unwrap()).unwrap();
        assert_eq!(printed[expected], rows, "{printed}");
        println!(
            "import, {run} run: {rows} rows {expected}, {seconds:.0} s, {:.0} rows/s, at most {} MiB of memory",
            rows as f64 / seconds,
            kibibytes / 1_024
        );
    }
}

/// Products that are created and then changed in turn.
fn fill(bucket: &Bucket, products: u64) {
    let start = SystemTime::now() - Duration::from_secs(DAYS * 24 * 60 * 60);
    let start = u64::try_from(start.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let step = (DAYS * 24 * 60 * 60 * 1_000 / (products * ROUNDS)).max(1);
    for number in 0..products {
        let mut catalogue = Catalogue::default();
        for round in 0..ROUNDS {
            let kind = match round {
                0 => "CREATE",
                4 => "PATCH",
                _ => "UPDATE",
            };
            catalogue.apply(kind, number, round, start + (round * products + number) * step);
        }
        for (key, bytes) in catalogue.objects() {
            bucket.put(&key, &bytes);
        }
    }
}

/// Runs a command on the bucket and the engine of tables at these addresses; see [`measure`].
async fn run([bucket, tables]: [&str; 2], arguments: &[&str], output: &tempfile::NamedTempFile) -> (f64, u64) {
    let mut command = support::system::program(std::path::Path::new(env!("CARGO_MANIFEST_DIR")), arguments);
    command.args(["--env", "dev", "--quiet"]).env("AWS_ENDPOINT_URL", bucket).env("AWS_ENDPOINT_URL_DYNAMODB", tables);
    measure(command, output).await
}

/// Runs a command; its time in seconds, and the most memory that it held, in KiB.
async fn measure(mut command: tokio::process::Command, output: &tempfile::NamedTempFile) -> (f64, u64) {
    command.stdout(output.reopen().unwrap()).stderr(Stdio::inherit());
    let started = Instant::now();
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id().unwrap());
    let mut most = 0;
    loop {
        if let Some(peak) = fs::read_to_string(&status).ok().and_then(|text| peak(&text)) {
            most = most.max(peak);
        }
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{command:?} ended with {status}");
            return (started.elapsed().as_secs_f64(), most);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The peak of the resident set, of `VmHWM:  123 kB`.
fn peak(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.parse().ok()
}
