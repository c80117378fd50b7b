//! `catalogctl products import --apply` and `products export` as programs, on an API in this process.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use catalogctl::products::access;
use catalogctl::target::Target;
use serde_json::{Value, json};
use support::account::Account;
use support::product_api::{KEY, ProductApi};
use support::system::{Ended, configuration};

const ROWS: &str = "sku,name,price,currency,category\nA,Lamp,19.90,EUR,Light\nB,Table,120,EUR,\nC,Chair,45.5,EUR,Oak\n";

/// An API, and a folder with a key and a file of products.
struct Shop {
    api: ProductApi,
    base: String,
    folder: tempfile::TempDir,
}

impl Shop {
    async fn with(name: &str, content: &str) -> Self {
        let api = ProductApi::default();
        let base = api.serve().await;
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("key"), format!("{KEY}\n")).unwrap();
        fs::write(folder.path().join(name), content).unwrap();
        Self { api, base, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn run(&self, arguments: &[&str]) -> Ended {
        let access = ["--api-url", &self.base, "--key-file", "key", "--rate", "1000"];
        let arguments = [&["products"], arguments, &access].concat();
        let mut command = support::system::program(self.folder.path(), &arguments);
        // No AWS configuration is needed.
        command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY").env_remove("AWS_REGION");
        let output = command.output().await.unwrap();
        Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    async fn import(&self, options: &[&str]) -> Ended {
        self.run(&[&["import", "--apply", "--json"], options].concat()).await
    }
}

fn counts(ended: &Ended) -> [u64; 5] {
    let json = ended.json();
    ["created", "updated", "unchanged", "rejected", "failed"].map(|name| json[name].as_u64().unwrap())
}

fn csv_rows(file: &Path) -> Vec<csv::StringRecord> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(file).unwrap();
    reader.records().map(Result::unwrap).collect()
}

#[tokio::test]
async fn creates_then_leaves_unchanged_then_updates() {
    let shop = Shop::with("a.csv", ROWS).await;
    let created = shop.import(&["a.csv"]).await.expect(0);
    assert_eq!((counts(&created), &created.json()["rows"]), ([3, 0, 0, 0, 0], &json!(3)));
    assert!(!shop.file("a.csv.rejects.csv").exists());
    let lamp = json!({"sku": "A", "name": "Lamp", "price": "19.90", "currency": "EUR", "category": "Light"});
    assert_eq!(shop.api.products()["A"], lamp);

    shop.api.take_requests("POST");
    assert_eq!(counts(&shop.import(&["a.csv"]).await.expect(0)), [0, 0, 3, 0, 0]);
    assert_eq!(shop.api.take_requests("POST"), 0);

    // An absent column leaves a field, an empty cell removes it.
    fs::write(shop.file("b.csv"), "sku,price,category\nA,18,\nB,120.0,\n").unwrap();
    assert_eq!(counts(&shop.import(&["b.csv"]).await.expect(0)), [0, 1, 1, 0, 0]);
    assert_eq!(shop.api.products()["A"], json!({"sku": "A", "name": "Lamp", "price": "18", "currency": "EUR"}));
}

#[tokio::test]
async fn creates_deleted_product_again() {
    let shop = Shop::with("a.csv", ROWS).await;
    shop.import(&["a.csv"]).await.expect(0);
    shop.api.delete(&shop.api.ids()[0]);
    assert_eq!(counts(&shop.import(&["a.csv"]).await.expect(0)), [1, 0, 2, 0, 0]);
}

#[tokio::test]
async fn rejected_rows_are_importable_once_corrected() {
    let rows = "sku,name,price,currency\nA,refused,1,EUR\nB,Table,\"1,5\",EUR\nC,Chair,2,EUR\n";
    let shop = Shop::with("a.csv", rows).await;
    assert_eq!(counts(&shop.import(&["a.csv"]).await.expect(2)), [1, 0, 0, 2, 0]);
    let rejects = shop.file("a.csv.rejects.csv");
    let mut found = csv_rows(&rejects);
    found.sort_by_key(|row| row[0].to_owned());
    let reasons: Vec<[&str; 5]> = found.iter().map(|row| [&row[0], &row[1], &row[2], &row[3], &row[5]]).collect();
    assert_eq!(reasons, [["1", "2", "name", "INVALID_FORMAT", "A"], ["2", "3", "price", "INVALID_FORMAT", "B"]]);
    assert_eq!(&found[0][4], "must be another one");

    let corrected = fs::read_to_string(&rejects).unwrap().replace("refused", "Lamp").replace("\"1,5\"", "1.5");
    fs::write(&rejects, corrected).unwrap();
    assert_eq!(counts(&shop.import(&["a.csv.rejects.csv"]).await.expect(0)), [2, 0, 0, 0, 0]);
    assert_eq!(shop.api.products().len(), 3);
}

#[tokio::test]
async fn row_without_required_fields_creates_nothing() {
    let shop = Shop::with("a.csv", "sku,price\nA,1\n").await;
    assert_eq!(counts(&shop.import(&["a.csv"]).await.expect(2)), [0, 0, 0, 1, 0]);
    assert_eq!(&csv_rows(&shop.file("a.csv.rejects.csv"))[0][2], "name; currency");
}

#[tokio::test]
async fn finds_products_by_id() {
    let shop = Shop::with("a.csv", ROWS).await;
    shop.import(&["a.csv"]).await.expect(0);
    let id = shop.api.id_of("A");
    let unknown = "3f0c2f5e-8d1b-4c6a-9e57-2b8a4d1f6c03";
    fs::write(shop.file("b.csv"), format!("productId,price\n{id},1\n{unknown},2\n")).unwrap();
    assert_eq!(counts(&shop.import(&["b.csv", "--key", "productId"]).await.expect(2)), [0, 1, 0, 1, 0]);
    let rejects = csv_rows(&shop.file("b.csv.rejects.csv"));
    assert_eq!([&rejects[0][2], &rejects[0][3], &rejects[0][5]], ["productId", "NOT_FOUND", unknown]);
    assert_eq!(shop.api.products()["A"]["price"], "1");
}

#[tokio::test]
async fn finds_products_by_row() {
    let rows = "{\"name\":\"Lamp\",\"price\":1,\"currency\":\"EUR\"}\n".repeat(2);
    let shop = Shop::with("a.ndjson", &rows).await;
    let options = ["a.ndjson", "--key", "row"];
    assert_eq!(counts(&shop.import(&options).await.expect(0)), [2, 0, 0, 0, 0]);
    assert_eq!(shop.api.ids().len(), 2);
    // The API's clock has a precision of one second.
    tokio::time::sleep(std::time::Duration::from_millis(2_100)).await;
    assert_eq!(counts(&shop.import(&options).await.expect(0)), [0, 0, 2, 0, 0]);
    shop.api.delete(&shop.api.ids()[0]);
    assert_eq!(counts(&shop.import(&options).await.expect(2)), [0, 0, 1, 1, 0]);
    assert_eq!(&csv_rows(&shop.file("a.ndjson.rejects.csv"))[0][3], "NOT_FOUND");
}

#[tokio::test]
async fn honours_throttling_and_outages() {
    let shop = Shop::with("a.csv", ROWS).await;
    shop.api.fail(429, "TOO_MANY_REQUESTS", 2);
    shop.api.fail(503, "SERVICE_UNAVAILABLE", 1);
    let started = std::time::Instant::now();
    assert_eq!(counts(&shop.import(&["a.csv"]).await.expect(0)), [3, 0, 0, 0, 0]);
    // The pause that the API asks for.
    assert!(started.elapsed().as_secs() >= 3, "{:?}", started.elapsed());
}

#[tokio::test]
async fn reports_outcomes_that_are_not_applied() {
    let shop = Shop::with("a.csv", "sku,name,price,currency\nA,Lamp,1,EUR\n").await;
    shop.import(&["a.csv"]).await.expect(0);
    fs::write(shop.file("b.csv"), "sku,price\nA,2\n").unwrap();
    // A superseded change is sent again.
    shop.api.reject("SUPERSEDED", None);
    shop.api.take_requests("");
    assert_eq!(counts(&shop.import(&["b.csv"]).await.expect(0)), [0, 1, 0, 0, 0]);
    assert_eq!(shop.api.take_requests("PATCH"), 2);
    fs::write(shop.file("b.csv"), "sku,price\nA,3\n").unwrap();
    shop.api.reject("REJECTED", Some("INVALID_RESULT"));
    assert_eq!(counts(&shop.import(&["b.csv"]).await.expect(2)), [0, 0, 0, 1, 0]);
    assert_eq!(&csv_rows(&shop.file("b.csv.rejects.csv"))[0][3], "INVALID_RESULT");
}

#[tokio::test]
async fn continues_interrupted_import() {
    let shop = Shop::with("a.csv", ROWS).await;
    shop.import(&["a.csv"]).await.expect(0);
    // As if the first run had been interrupted after two rows.
    let journal = shop.file("a.csv.import.ndjson");
    let lines: Vec<String> = fs::read_to_string(&journal).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 5, "{lines:?}");
    fs::write(&journal, lines[..3].join("\n")).unwrap();
    shop.api.take_requests("");
    let continued = shop.import(&["a.csv"]).await.expect(0);
    assert_eq!(counts(&continued), [2, 0, 1, 0, 0]);
    assert!(continued.stderr.contains("2 rows are done"), "{}", continued.stderr);
    // One look-up, and the call that checks key and address.
    assert_eq!(shop.api.take_requests("GET"), 2);
}

#[tokio::test]
async fn exported_products_are_unchanged_when_they_are_imported() {
    let rows = "sku,name,price,currency,tags,attributes.colour,description\n\
                A,\"Lamp, \"\"7\"\"\",19.90,EUR,\"[\"\"a|b\"\", \"\"c\"\"]\",red,\"two\nlines\"\n\
                B,Table,120,EUR,old|oak,,\n";
    let shop = Shop::with("a.csv", rows).await;
    shop.import(&["a.csv"]).await.expect(0);
    assert_eq!(shop.api.products()["A"]["tags"], json!(["a|b", "c"]));
    // What a spreadsheet would take for formulas, and what begins with an apostrophe of its own.
    let line =
        json!({"sku": "-C", "name": "=1+1", "price": "1", "currency": "EUR", "tags": ["@a"], "category": "''+s"});
    fs::write(shop.file("c.ndjson"), line.to_string()).unwrap();
    shop.import(&["c.ndjson"]).await.expect(0);
    for name in ["b.csv", "b.ndjson"] {
        let exported = shop.run(&["export", "--out", name, "--json"]).await.expect(0).json();
        assert_eq!(exported, json!({"products": 3, "deleted": 0, "nextCursor": "3", "file": name}));
        for key in ["sku", "productId"] {
            assert_eq!(counts(&shop.import(&[name, "--key", key]).await.expect(0)), [0, 0, 3, 0, 0], "{name} {key}");
        }
        let again = shop.run(&["export", "--out", name]).await.expect(1).stderr;
        assert!(again.contains("already exists"), "{again}");
    }
}

#[tokio::test]
async fn exports_page_by_page_and_since_a_cursor() {
    let rows: String =
        (0..250).map(|n| format!("{{\"sku\":\"{n}\",\"name\":\"P\",\"price\":1,\"currency\":\"EUR\"}}\n")).collect();
    let shop = Shop::with("a.ndjson", &rows).await;
    shop.import(&["a.ndjson"]).await.expect(0);
    let ids = shop.api.ids();
    shop.api.bury(&ids[249]);
    let all = shop.run(&["export"]).await.expect(0);
    assert_eq!(all.stdout.lines().count(), 249);
    assert!(all.stderr.contains("Next cursor: 250"), "{}", all.stderr);

    let since = shop.run(&["export", "--since", "248"]).await.expect(0);
    let lines: Vec<Value> = since.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found: Vec<_> = lines.iter().map(|line| (&line["productId"], &line["status"])).collect();
    assert_eq!(found, [(&json!(ids[248]), &json!("ACTIVE")), (&json!(ids[249]), &json!("DELETED"))]);
    // An import deletes nothing.
    fs::write(shop.file("b.ndjson"), &since.stdout).unwrap();
    assert_eq!(counts(&shop.import(&["b.ndjson", "--key", "productId"]).await.expect(2)), [0, 0, 1, 1, 0]);
}

#[tokio::test]
async fn export_fails_for_invalid_cursor() {
    let shop = Shop::with("a.csv", ROWS).await;
    shop.api.fail(400, "INVALID_CURSOR", 1);
    let failed = shop.run(&["export", "--since", "x", "--out", "b.csv"]).await.expect(1).stderr;
    assert!(failed.contains("failed to read the change feed: 400 Bad Request INVALID_CURSOR"), "{failed}");
    assert!(!shop.file("b.csv").exists());
}

#[tokio::test]
async fn fails_for_bad_key_and_address() {
    let shop = Shop::with("a.csv", ROWS).await;
    fs::write(shop.file("key"), "another").unwrap();
    let forbidden = shop.import(&["a.csv"]).await.expect(1).stderr;
    assert!(forbidden.contains("missing or invalid API key"), "{forbidden}");
    let arguments = ["products", "import", "--apply", "a.csv", "--key-file", "key"];
    for (url, expected) in [
        ("http://catalogue.example/v1.0", "must begin with https://"),
        ("http://127.0.0.1:9/v1.0", "couldn't be reached"),
    ] {
        let output = support::system::program(shop.folder.path(), &[&arguments[..], &["--api-url", url]].concat());
        let mut command = output;
        let output = command.output().await.unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn finds_address_and_rate_of_an_environment() {
    let account = Account::start().await;
    let target = Target::by_contract(configuration(&account.endpoint), "dev", "dev".to_owned());
    let url = access::published_url(&target).await.unwrap();
    assert_eq!(url, "https://id-bbws-product-api-dev.execute-api.eu-west-1.amazonaws.com/dev/v1.0");
    assert_eq!(access::plan_rate(&target).await.unwrap(), 375);
    let other = Target::by_contract(configuration(&account.endpoint), "sit", "sit".to_owned());
    let error = access::published_url(&other).await.unwrap_err().to_string();
    assert!(error.contains("REST API bbws-product-api-sit not found"), "{error}");
}

#[tokio::test]
async fn failed_row_is_retried_by_the_next_run() {
    let shop = Shop::with("a.csv", ROWS).await;
    shop.import(&["a.csv"]).await.expect(0);
    fs::write(shop.file("b.csv"), "sku,price\nA,2\n").unwrap();
    for _ in 0..3 {
        shop.api.reject("SUPERSEDED", None);
    }
    let failed = shop.import(&["b.csv"]).await.expect(1);
    assert_eq!(counts(&failed), [0, 0, 0, 0, 1]);
    assert!(failed.stderr.contains("FAILED  row 1, line 2: another client changed the product"), "{}", failed.stderr);
    assert_eq!(counts(&shop.import(&["b.csv"]).await.expect(0)), [0, 1, 0, 0, 0]);
}
