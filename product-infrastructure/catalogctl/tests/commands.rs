//! The commands for on-call and compliance as somebody types them, on a DynamoDB engine, a bucket and queues in this
//! process.

mod support;

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::audit_bucket;
use support::lives::{self, Catalogue, object, product_id, seal};
use support::products_table::{self, items};
use support::system::{Ended, System, TABLE, run_alone};

/// The number of shards of the tests' catalogues.
const SHARDS: &str = "4";
const CHANGE_DLQ: &str = "bbws-product-change-dlq-dev";
const CHANGE: &str = "bbws-product-change-dev";
const AUDIT_DLQ: &str = "bbws-product-audit-dlq-dev";
const AUDIT: &str = "bbws-product-audit-dev";

fn catalogue() -> Catalogue {
    Catalogue::grown(3, 9)
}

fn applied(catalogue: &Catalogue, number: u64) -> Vec<Value> {
    let id = product_id(number);
    let of_product = catalogue.entries.iter().filter(|entry| entry["productId"] == id.as_str());
    of_product.filter(|entry| entry["outcome"] == "APPLIED").cloned().collect()
}

#[tokio::test]
async fn verifies_intact_log() {
    let catalogue = catalogue();
    let system = System::of(&catalogue).await;
    let verified = system.run(&["audit", "verify"]).await.expect(0);
    assert!(verified.stdout.contains("Integrity: INTACT\nForm:      OK"), "{}", verified.stdout);
    assert!(verified.stderr.contains("System: dev (http://127.0.0.1:"), "{}", verified.stderr);
    let report = system.run(&["audit", "verify", "--json"]).await.expect(0).json();
    assert_eq!(report["changes"], catalogue.entries.len());
    assert_eq!((&report["products"], &report["madeByHand"]), (&json!(3), &json!(2)));
    assert_eq!((&report["integrity"], &report["form"]), (&json!("INTACT"), &json!("OK")));

    let alone = system.run(&["audit", "verify", "--without-table"]).await.expect(0);
    assert!(alone.stdout.contains("Not compared with the table"), "{}", alone.stdout);
    let first = catalogue.entries[20]["occurredAt"].as_str().unwrap()[..10].to_owned();
    let window = system.run(&["audit", "verify", "--from", &first, "--to", &first, "--json"]).await.expect(0).json();
    assert!(window["changes"].as_u64().unwrap() < catalogue.entries.len() as u64, "{window}");
    assert!(window["chainsBegunBefore"].as_u64().unwrap() > 0, "{window}");
}

#[tokio::test]
async fn reports_altered_removed_and_hidden_objects() {
    let catalogue = catalogue();
    let system = System::of(&catalogue).await;
    let chain = applied(&catalogue, 0);
    let mut altered = chain[2].clone();
    altered["after"]["name"] = json!("Altered");
    let (key, bytes) = object(&altered);
    system.bucket.alter(&key, &bytes);
    let (last, _) = object(chain.last().unwrap());
    system.bucket.remove(&last);
    let (hidden, _) = object(&applied(&catalogue, 1)[3]);
    system.bucket.delete(&hidden);

    let report = system.run(&["audit", "verify", "--json"]).await.expect(2).json();
    let objects: BTreeSet<&str> =
        report["findings"].as_array().unwrap().iter().map(|finding| finding["object"].as_str().unwrap()).collect();
    assert_eq!(objects, BTreeSet::from([key.as_str(), last.as_str(), hidden.as_str()]));
    assert_eq!(report["findings"][0]["object"].as_str(), objects.first().copied());
    let text = system.run(&["audit", "verify"]).await.expect(2).stdout;
    assert!(text.contains("Integrity: BROKEN"), "{text}");
    assert!(text.contains("HASH: the hash isn't that of the content"), "{text}");
    assert!(text.contains("DELETED: the object was deleted"), "{text}");

    let history = system.run(&["audit", "history", &product_id(0)]).await.expect(2).stdout;
    assert!(history.contains("BROKEN") && history.contains(&key), "{history}");
}

#[tokio::test]
async fn follows_the_first_version_of_overwritten_objects() {
    let catalogue = catalogue();
    let system = System::of(&catalogue).await;
    for entry in applied(&catalogue, 0).iter().chain(&applied(&catalogue, 1)) {
        system.bucket.put(&object(entry).0, b"{}");
    }
    let report = system.run(&["audit", "verify", "--json"]).await.expect(2).json();
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.iter().all(|finding| finding["fault"] == "OVERWRITTEN"), "{findings:#?}");
    assert_eq!(findings.len(), applied(&catalogue, 0).len() + applied(&catalogue, 1).len());
}

/// Rewrites an applied record so that it breaks its schema without being altered since: a product that the API once accepted.
fn admit_by_mistake(entry: &mut Value) {
    entry["requestId"] = json!("");
    seal(entry);
}

#[tokio::test]
async fn passes_by_a_record_that_breaks_its_schema() {
    let mut catalogue = catalogue();
    // The last record of a product's chain, so that no other hash changes.
    let id = product_id(1);
    let last =
        catalogue.entries.iter().rposition(|entry| entry["productId"] == id.as_str() && entry["outcome"] == "APPLIED");
    let entry = &mut catalogue.entries[last.unwrap()];
    admit_by_mistake(entry);
    let (key, hash) = (object(entry).0, entry["hash"].clone());
    catalogue.products.get_mut(&id).unwrap()["chainHash"] = hash;
    let system = System::of(&catalogue).await;

    let report = system.run(&["audit", "verify", "--json"]).await.expect(2).json();
    assert_eq!((&report["integrity"], &report["form"]), (&json!("INTACT"), &json!("INVALID")), "{report:#}");
    let finding = &report["findings"][0];
    assert_eq!(
        (&finding["object"], &finding["verdict"], &finding["fault"]),
        (&json!(key), &json!("FORM"), &json!("SCHEMA"))
    );
    let text = system.run(&["audit", "verify"]).await.expect(2).stdout;
    assert!(
        text.contains("Integrity: INTACT\nForm:      INVALID. These records don't match their schema:\n  events/"),
        "{text}"
    );

    let history = system.run(&["audit", "history", &id]).await.expect(2).stdout;
    assert!(history.contains("Hash chain intact.\nThese records don't match their schema:"), "{history}");
    let exported = system.run(&["audit", "export"]).await.expect(2);
    assert_eq!(exported.stdout.lines().count(), catalogue.objects().len());
    assert_eq!(exported.stdout.matches("\"recordType\":\"INVALID\"").count(), 1);
    products_table::create(&system.dynamodb, "again").await;
    let rebuilt =
        system.run(&["audit", "rebuild", "--list-shards", SHARDS, "--into", "again", "--json"]).await.expect(0);
    assert_eq!(rebuilt.json()["products"], 3, "{}", rebuilt.stdout);
    assert_eq!(items(&system.dynamodb, "again").await, items(&system.dynamodb, TABLE).await);
}

#[tokio::test]
async fn verify_reports_what_it_read() {
    let catalogue = catalogue();
    let system = System::of(&catalogue).await;
    let report = system.run(&["audit", "verify", "--json"]).await.expect(0).json();
    assert_eq!((&report["environment"], &report["bucket"]), (&json!("dev"), &json!("bbws-product-audit-logs-dev")));
    assert_eq!(report["tool"], format!("catalogctl {}", env!("CARGO_PKG_VERSION")));
    assert!(report["verifiedAt"].as_str().unwrap().ends_with('Z'), "{report}");
    // What `sha256sum` prints for a copy of the bucket.
    let lines: String =
        catalogue.objects().iter().map(|(key, bytes)| format!("{}  {key}\n", lives::sha256(bytes))).collect();
    assert_eq!(report["digest"], lives::sha256(lines.as_bytes()));
    let text = system.run(&["audit", "verify"]).await.expect(0).stdout;
    for part in ["System:    dev (http", "bbws-product-audit-logs-dev, all days", "Verified:  20", "Digest:    "] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test]
async fn interrupted_verification_continues_from_its_checkpoint_with_the_same_result() {
    let catalogue = catalogue();
    let system = System::of(&catalogue).await;
    // A finding in the part that is read before the interruption.
    let mut altered = catalogue.entries[2].clone();
    altered["after"]["name"] = json!("Altered");
    let (key, bytes) = object(&altered);
    system.bucket.alter(&key, &bytes);
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("verify.json");
    let keys = system.bucket.keys();
    let middle = &keys[keys.len() / 2];
    let path = checkpoint.to_str().unwrap();
    let verify = ["audit", "verify", "--json", "--checkpoint", path, "--checkpoint-every", "0"];
    let result = |ended: Ended| {
        let mut report = ended.expect(2).json();
        report.as_object_mut().unwrap().remove("verifiedAt");
        report
    };
    let uninterrupted = result(system.run(&["audit", "verify", "--json"]).await);

    // Killed while it waits for an object.
    system.bucket.stall(middle);
    let arguments = [&verify[..], &["--env", "dev"]].concat();
    let mut killed = support::system::program(folder.path(), &arguments);
    let mut killed = killed.env("AWS_ENDPOINT_URL", &system.endpoint).stdout(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !checkpoint.exists() {
        assert!(Instant::now() < deadline && killed.try_wait().unwrap().is_none(), "no checkpoint was saved");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    killed.kill().await.unwrap();
    system.bucket.recover();

    // Continued, until S3 refuses an object.
    system.bucket.refuse(middle);
    let refused = system.run(&verify).await.expect(1);
    assert!(refused.stderr.contains("run the same command again to continue"), "{}", refused.stderr);
    system.bucket.recover();
    let before = system.bucket.reads(&keys[0]);
    for other in [&["--without-table"][..], &["--to", "2030-01-01"]] {
        let other = system.run(&[&verify[..], other].concat()).await.expect(1);
        assert!(other.stderr.contains("is the checkpoint of a verification with other options"), "{}", other.stderr);
    }

    let continued = result(system.run(&verify).await);
    assert_eq!(continued, uninterrupted);
    assert_eq!(before, 2, "read by the uninterrupted verification and by the killed one, and never again");
    assert_eq!(system.bucket.reads(&keys[0]), before);
    assert!(!checkpoint.exists(), "the checkpoint of a finished verification is removed");
}

#[tokio::test]
async fn escapes_terminal_controls_of_records() {
    let mut catalogue = catalogue();
    let newest = catalogue.entries.iter_mut().rfind(|entry| entry["outcome"] == "APPLIED" && entry["type"] == "UPDATE");
    let entry = newest.unwrap();
    let id = entry["productId"].as_str().unwrap().to_owned();
    entry["after"]["description"] = json!("\u{9b}31m red");
    entry["after"]["attributes"] = json!({"k\u{202e}": "\u{2066}"});
    lives::fingerprint(entry);
    seal(entry);
    let system = System::of(&catalogue).await;
    // The name of an object comes from outside as well.
    system.bucket.put("events/\u{202e}gpj.json", b"{}");
    for arguments in [
        ["audit", "history", &id].as_slice(),
        &["audit", "history", &id, "--json"],
        &["audit", "verify"],
        &["audit", "verify", "--json"],
        &["audit", "export", "--out", "/dev/null/none"],
    ] {
        let ended = system.run(arguments).await;
        for printed in [&ended.stdout, &ended.stderr] {
            assert!(!printed.contains(['\u{9b}', '\u{202e}', '\u{2066}']), "{arguments:?}: {printed:?}");
        }
        assert!(arguments[1] == "export" || ended.stdout.contains("202e"), "{arguments:?}: {}", ended.stdout);
    }
    // A pipe or a file gets the bytes as they are.
    assert!(system.run(&["audit", "export"]).await.expect(2).stdout.contains("\u{9b}31m red"));
}

#[tokio::test]
async fn finds_unlocked_objects() {
    let catalogue = catalogue();
    let system = System::of(&catalogue).await;
    let key = object(&catalogue.entries[2]).0;
    system.bucket.unlock(&key);
    let report = system.run(&["audit", "verify", "--json"]).await.expect(2).json();
    assert_eq!(report["findings"].as_array().unwrap().len(), 1, "{report:#}");
    assert_eq!((&report["findings"][0]["object"], &report["findings"][0]["fault"]), (&json!(key), &json!("UNLOCKED")));
    assert_eq!(report["locksUnknown"], 0);
}

#[tokio::test]
async fn finds_locks_that_are_weaker_than_required() {
    let catalogue = catalogue();
    let system = System::of(&catalogue).await;
    let verify = |environment: &'static str| {
        let endpoint = system.endpoint.clone();
        async move {
            let arguments = ["audit", "verify", "--json", "--env", environment, "--bucket", audit_bucket::BUCKET];
            run_alone(&endpoint, &arguments).await
        }
    };
    let intact = verify("prod").await.expect(0).json();
    assert_eq!(intact["requiredRetention"], json!({"mode": "COMPLIANCE", "days": 2557}));
    assert_eq!(intact["defaultRetention"], json!({"mode": "COMPLIANCE", "days": 2557}));

    let [archived, short, liftable] = [0, 1, 2].map(|place| object(&catalogue.entries[place]).0);
    system.bucket.relock(&short, ("COMPLIANCE", 2_556));
    system.bucket.relock(&liftable, ("GOVERNANCE", 2_557));
    // An archived object is locked all the same.
    system.bucket.relock(&archived, ("COMPLIANCE", 30));
    system.bucket.archive(&archived);
    system.bucket.put("clients/k1.json", br#"{"apiKeyId":"k1","client":"shop","generation":1,"schemaVersion":1}"#);
    system.bucket.relock("clients/k1.json", ("COMPLIANCE", 365));
    // Whoever lowers the default lowers what new objects get, and not what is required.
    system.bucket.set_default_retention(Ok(Some(("COMPLIANCE", 30))));
    let report = verify("prod").await.expect(2).json();
    let mut found: Vec<(&str, &str)> = report["findings"].as_array().unwrap().iter().map(fault_of).collect();
    found.sort_unstable();
    let mut expected =
        [&short, &liftable, &archived, "clients/k1.json", audit_bucket::BUCKET].map(|key| (key, "WEAK_LOCK"));
    expected.sort_unstable();
    assert_eq!(found, expected, "{report:#}");
    assert_eq!(report["integrity"], "BROKEN");
    // The same locks are enough where an administrator may correct a mistake.
    let dev = verify("dev").await.expect(2).json();
    assert_eq!((&dev["integrity"], &dev["findings"]), (&json!("INCOMPLETE"), &json!([])), "one object is archived");

    system.bucket.set_default_retention(Ok(None));
    let without = verify("dev").await.expect(2).json();
    let found: Vec<_> = without["findings"].as_array().unwrap().iter().map(fault_of).collect();
    assert_eq!(found, [(audit_bucket::BUCKET, "UNLOCKED")]);
    assert_eq!((&without["integrity"], &without["defaultRetention"]), (&json!("BROKEN"), &json!("NONE")));
    system.bucket.set_default_retention(Err(()));
    let denied = verify("dev").await.expect(2).json();
    assert_eq!((&denied["findings"], &denied["defaultRetention"]), (&json!([]), &json!("UNKNOWN")));
}

/// A finding's object and fault.
fn fault_of(finding: &Value) -> (&str, &str) {
    (finding["object"].as_str().unwrap(), finding["fault"].as_str().unwrap())
}

#[tokio::test]
async fn windows_without_records_are_not_intact() {
    let catalogue = catalogue();
    let system = System::of(&catalogue).await;
    let empty = ["audit", "verify", "--without-table", "--from", "2020-01-01", "--to", "2020-12-31"];
    let empty = system.run(&empty).await.expect(2).stdout;
    assert!(empty.contains("Integrity: INCOMPLETE. No objects were found."), "{empty}");
    for command in ["verify", "export"] {
        let reversed = system.run(&["audit", command, "--from", "2027-01-01", "--to", "2026-01-01"]).await.expect(1);
        assert!(reversed.stderr.contains("--from 2027-01-01 is after --to 2026-01-01"), "{}", reversed.stderr);
    }
    let outside = system.run(&["audit", "history", &product_id(0), "--from", "2030-01-01"]).await.expect(1);
    assert!(outside.stderr.contains("in this window (from 2030-01-01)"), "{}", outside.stderr);
}

#[tokio::test]
async fn sku_claims_are_compared_with_the_products() {
    let catalogue = catalogue();
    let system = System::of(&catalogue).await;
    let (sku, claim) = catalogue.claims.first_key_value().unwrap();
    let mut other = claim.clone();
    other["productId"] = json!(product_id(1));
    products_table::put(&system.dynamodb, TABLE, other).await;
    let report = system.run(&["audit", "verify", "--json"]).await.expect(2).json();
    let objects: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|finding| finding["object"].as_str().unwrap()).collect();
    let holder = format!("PRODUCT#{} META", claim["productId"].as_str().unwrap());
    assert_eq!(objects, [holder, format!("SKU#{sku} CLAIM")]);
}

#[tokio::test]
async fn unreadable_resources_are_no_verdict() {
    let catalogue = catalogue();
    let system = System::of(&catalogue).await;
    for key in &system.bucket.keys()[..4] {
        system.bucket.archive(key);
    }
    let archived = system.run(&["audit", "verify"]).await.expect(2);
    assert!(archived.stdout.contains("Integrity: INCOMPLETE. Readable records are intact."), "{}", archived.stdout);
    assert!(
        archived.stdout.contains("Archived objects, not read: restore them, or use --from: 4"),
        "{}",
        archived.stdout
    );
    system.run(&["audit", "verify", "--table", "nothing"]).await.expect(1);
    let missing = system.run(&["audit", "verify", "--bucket", "nothing"]).await.expect(1);
    assert!(missing.stderr.contains("s3:ListBucketVersions on bucket nothing failed: not found"), "{}", missing.stderr);
    let wrong = system.run(&["audit", "verify", "--from", "31.1.2026"]).await.expect(1);
    assert!(wrong.stderr.contains("2026-01-31"), "{}", wrong.stderr);
    system.run(&["audit", "--help"]).await.expect(0);
}

#[tokio::test]
async fn accepts_a_change_made_during_verification() {
    // The table's product is newer than the bucket; its entry was recorded just now.
    let mut catalogue = catalogue();
    let system = System::of(&catalogue).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    // An odd round has no SKU, so there is no claim to write.
    catalogue.apply("UPDATE", 1, 51, now);
    products_table::put(&system.dynamodb, TABLE, catalogue.products[&product_id(1)].clone()).await;
    products_table::put(&system.dynamodb, TABLE, catalogue.journal().pop().unwrap()).await;
    let report = system.run(&["audit", "verify", "--json"]).await.expect(0).json();
    assert_eq!(report["pending"], 1);
    let text = system.run(&["audit", "verify"]).await.expect(0).stdout;
    assert!(text.contains("whose objects don't exist yet"), "{text}");
    let settled = system.run(&["audit", "verify", "--settle", "0"]).await.expect(2).stdout;
    assert!(settled.contains("audit repair"), "{settled}");
    // A repair doesn't claim that the bucket has what it didn't look for.
    let repair = system.run(&["audit", "repair"]).await.expect(0).stdout;
    assert!(repair.contains("No older record is missing") && repair.contains("--settle 0"), "{repair}");
}

#[tokio::test]
async fn shows_history_by_search_and_by_chain() {
    let catalogue = catalogue();
    let system = System::of(&catalogue).await;
    let id = product_id(0);
    let shown = system.run(&["audit", "history", &id]).await.expect(0).stdout;
    for part in [
        "CREATE",
        "UPDATE",
        "DELETE",
        "REJECTED NOT_FOUND",
        "OUT_OF_BAND",
        "outside the API",
        "requested currency",
        "Hash chain intact.",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let all = system.run(&["audit", "history", &id.to_uppercase(), "--json"]).await.expect(0).json();
    let of_product = catalogue.entries.iter().filter(|entry| entry["productId"] == id.as_str()).count();
    assert_eq!(all["records"].as_array().unwrap().len(), of_product + catalogue.out_of_band.len());
    assert_eq!(all["findings"], json!([]));

    let quick = system.run(&["audit", "history", &id, "--quick", "--json"]).await.expect(0).json();
    let events = |history: &Value| -> Vec<Value> {
        let records = history["records"].as_array().unwrap().iter();
        records.filter(|record| record["recordType"] == "CHANGE").map(|record| record["eventId"].clone()).collect()
    };
    assert_eq!(events(&quick), events(&all));

    let unknown = system.run(&["audit", "history", &product_id(99)]).await.expect(1);
    assert!(unknown.stderr.contains("no record of product"), "{}", unknown.stderr);
    system.run(&["audit", "history", "lamp"]).await.expect(1);
}

#[tokio::test]
async fn finds_history_by_sku_and_name() {
    let catalogue = catalogue();
    let system = System::of(&catalogue).await;
    let history =
        async |arguments: &[&str], code| system.run(&[&["audit", "history"], arguments].concat()).await.expect(code);
    // Deleted: no index of the table has it. It had the first SKU before it was patched.
    let deleted = history(&[&product_id(0), "--json"], 0).await.stdout;
    for arguments in [["--name", "  LA\u{308}M\u{1f4a1} p 0"], ["--sku", "SKU-0-0"], ["--sku", " PATCHED-0-2 "]] {
        assert_eq!(history(&[&arguments[..], &["--json"]].concat(), 0).await.stdout, deleted, "{arguments:?}");
    }
    let other_case = history(&["--sku", "sku-0-0"], 1).await.stderr;
    assert!(other_case.contains("no audit record (all days) has a product with the SKU \"sku-0-0\""), "{other_case}");
    let quick = history(&["--name", "läm\u{1f4a1} P 0", "--quick"], 1).await.stderr;
    assert!(quick.contains("no active product") && quick.contains("Without --quick"), "{quick}");
    for (arguments, number) in [(["--name", "läm\u{1f4a1} P 1"], 1), (["--sku", "SKU-2-2"], 2)] {
        let quick = history(&[&arguments[..], &["--quick", "--json"]].concat(), 0).await.json();
        assert_eq!(quick["productId"], product_id(number));
    }

    // All three once had this name.
    let several = history(&["--name", "PATCHED 2"], 2).await.stdout;
    assert!((0..3).all(|number| several.contains(&product_id(number))), "{several}");
    assert!(several.contains("DELETED") && several.contains("catalogctl audit history ID"), "{several}");
    let several = history(&["--name", "PATCHED 2", "--json"], 2).await.json();
    assert_eq!((&several["matches"][0]["status"], &several["truncated"]), (&json!("DELETED"), &json!(false)));

    for entry in applied(&catalogue, 1) {
        system.bucket.archive(&object(&entry).0);
    }
    let archived = history(&["--name", "läm\u{1f4a1} P 1"], 1).await.stderr;
    assert!(archived.contains("Not searched: ") && archived.contains("archived objects"), "{archived}");
    history(&[], 1).await;
    history(&[&product_id(0), "--sku", "SKU-0-0"], 1).await;
}

#[tokio::test]
async fn archived_records_are_restored_on_request() {
    let catalogue = catalogue();
    let system = System::of(&catalogue).await;
    let keys = system.bucket.keys();
    keys[..5].iter().for_each(|key| system.bucket.archive(key));
    let state = |ended: &support::system::Ended| {
        let report = ended.json();
        ["archived", "inProgress", "restored", "requested"].map(|name| report[name].as_u64().unwrap())
    };

    let dry = system.run(&["audit", "restore", "--json"]).await.expect(2);
    assert_eq!((state(&dry), dry.json()["objects"].as_u64()), ([5, 0, 0, 0], Some(keys.len() as u64)));
    let requested = system.run(&["audit", "restore", "--apply", "--json"]).await.expect(2);
    assert_eq!(state(&requested), [0, 5, 0, 5]);
    let waiting = system.run(&["audit", "restore", "--apply"]).await.expect(2).stdout;
    assert!(waiting.contains("Restored: 0. In progress: 5. Archived: 0."), "{waiting}");
    system.bucket.finish_restores();
    assert_eq!(state(&system.run(&["audit", "restore", "--json"]).await.expect(0)), [0, 0, 5, 0]);
    system.run(&["audit", "verify"]).await.expect(0);

    let before = ["audit", "restore", "--to", "2020-12-31", "--json"];
    assert_eq!(system.run(&before).await.expect(0).json()["objects"], 0);
}

#[tokio::test]
async fn rebuilds_the_table_item_for_item() {
    let catalogue = catalogue();
    let system = System::of(&catalogue).await;
    products_table::create(&system.dynamodb, "again").await;
    let rebuilt =
        system.run(&["audit", "rebuild", "--list-shards", SHARDS, "--into", "again", "--json"]).await.expect(0).json();
    assert_eq!((&rebuilt["products"], &rebuilt["journalEntries"]), (&json!(3), &json!(catalogue.entries.len())));
    assert_eq!(items(&system.dynamodb, "again").await, items(&system.dynamodb, TABLE).await);

    let again = system.run(&["audit", "rebuild", "--list-shards", SHARDS, "--into", "again"]).await.expect(1);
    assert!(again.stderr.contains("table again isn't empty"), "{}", again.stderr);
    let live = system.run(&["audit", "rebuild", "--list-shards", SHARDS, "--into", TABLE]).await.expect(1);
    assert!(live.stderr.contains("is the live table"), "{}", live.stderr);
    let missing = system.run(&["audit", "rebuild", "--list-shards", SHARDS, "--into", "nowhere"]).await.expect(1);
    assert!(missing.stderr.contains("table nowhere failed: not found"), "{}", missing.stderr);

    products_table::create(&system.dynamodb, "products-only").await;
    let text = system
        .run(&["audit", "rebuild", "--list-shards", SHARDS, "--into", "products-only", "--products-only"])
        .await
        .expect(0)
        .stdout;
    assert!(text.contains("3 products, 1 SKU claims, 0 journal entries. Not written: 0 products."), "{text}");
    assert_eq!(items(&system.dynamodb, "products-only").await.len(), 4);
}

#[tokio::test]
async fn rebuilds_a_lost_table_under_its_own_name() {
    let (catalogue, system) = (catalogue(), System::empty().await);
    for (key, bytes) in catalogue.objects() {
        system.bucket.put(&key, &bytes);
    }
    system.run(&["audit", "rebuild", "--list-shards", SHARDS, "--into", TABLE]).await.expect(1);
    system.run(&["audit", "rebuild", "--list-shards", SHARDS, "--into", TABLE, "--table", "none"]).await.expect(0);
    system.run(&["audit", "verify"]).await.expect(0);
}

#[tokio::test]
async fn leaves_broken_products_out_of_a_rebuild() {
    let catalogue = catalogue();
    let system = System::of(&catalogue).await;
    let (gone, _) = object(&applied(&catalogue, 1)[1]);
    system.bucket.remove(&gone);
    let (unreadable, _) = object(&applied(&catalogue, 2)[0]);
    system.bucket.alter(&unreadable, b"{");
    let rebuild = ["audit", "rebuild", "--list-shards", SHARDS, "--into"];
    products_table::create(&system.dynamodb, "again").await;
    let text = system.run(&[rebuild.as_slice(), &["again"]].concat()).await.expect(2).stdout;
    assert!(text.contains(&format!("Not written: product {}: {gone}: MISSING", product_id(1))), "{text}");
    assert!(text.contains(&format!("Not written: product {}: {unreadable}: UNREADABLE", product_id(2))), "{text}");
    let live = items(&system.dynamodb, TABLE).await;
    let expected: Vec<_> = live.iter().filter(|item| item["PK"].as_s().unwrap().ends_with(&product_id(0))).collect();
    assert_eq!(items(&system.dynamodb, "again").await.iter().collect::<Vec<_>>(), expected);

    products_table::create(&system.dynamodb, "despite").await;
    let despite = [rebuild.as_slice(), &["despite", "--despite-findings", "--products-only", "--json"]].concat();
    let rebuilt = system.run(&despite).await.expect(2).json();
    assert_eq!(rebuilt["products"], 2);
    assert!(rebuilt["leftOut"][0].as_str().unwrap().contains(&product_id(2)), "{rebuilt}");
    let made = items(&system.dynamodb, "despite").await;
    assert!(made.iter().all(|item| live.contains(item)), "the newest records are there, so the products are");

    system.bucket.archive(&object(&applied(&catalogue, 0)[0]).0);
    products_table::create(&system.dynamodb, "third").await;
    let archived = system.run(&["audit", "rebuild", "--list-shards", SHARDS, "--into", "third"]).await.expect(1);
    assert!(archived.stderr.contains("archived"), "{}", archived.stderr);
}

#[tokio::test]
async fn exports_every_record_in_order() {
    let catalogue = catalogue();
    let system = System::of(&catalogue).await;
    let exported = system.run(&["audit", "export"]).await.expect(0);
    let lines: BTreeSet<&[u8]> = exported.stdout.lines().map(str::as_bytes).collect();
    let objects = catalogue.objects();
    assert_eq!(lines, objects.values().map(Vec::as_slice).collect());
    let moment = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        let moment = record.get("occurredAt").or(record.get("observedAt")).unwrap();
        moment.as_str().unwrap().to_owned()
    };
    let moments: Vec<String> = exported.stdout.lines().map(moment).collect();
    assert!(moments.is_sorted(), "{moments:#?}");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.ndjson");
    let name = file.to_str().unwrap();
    system.run(&["audit", "export", "--out", name]).await.expect(0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), exported.stdout);
    let taken = system.run(&["audit", "export", "--out", name]).await.expect(1);
    assert!(taken.stderr.contains("already exists"), "{}", taken.stderr);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "the file and its manifest, nothing half-written");

    let day = &moments[10][..10];
    let window = system.run(&["audit", "export", "--from", day, "--to", day]).await.expect(0).stdout;
    let expected: String = exported
        .stdout
        .lines()
        .filter(|line| moment(line).starts_with(day))
        .fold(String::new(), |text, line| text + line + "\n");
    assert_eq!(window, expected);
}

#[tokio::test]
async fn export_marks_invalid_objects() {
    let catalogue = catalogue();
    let system = System::of(&catalogue).await;
    let (broken, hidden) = (object(&catalogue.entries[3]).0, object(&catalogue.entries[5]).0);
    system.bucket.alter(&broken, b"{\n}");
    system.bucket.remove(&hidden);
    system.bucket.delete(&hidden);
    let exported = system.run(&["audit", "export"]).await.expect(2);
    assert!(exported.stderr.contains(&broken) && exported.stderr.contains(&hidden), "{}", exported.stderr);
    assert_eq!(exported.stdout.lines().count(), catalogue.objects().len() - 1, "the deleted object is omitted");
    let marked: Value =
        serde_json::from_str(exported.stdout.lines().find(|line| line.contains("INVALID")).unwrap()).unwrap();
    assert_eq!(
        (&marked["object"], &marked["fault"], &marked["content"]),
        (&json!(broken), &json!("UNREADABLE"), &json!("{\n}"))
    );
    let latin_1 = object(&catalogue.entries[3]).0;
    system.bucket.alter(&latin_1, b"\xff\n");
    let exported = system.run(&["audit", "export", "--out", "-"]).await.expect(2);
    assert!(exported.stdout.contains("\"contentBase64\":\"/wo=\""), "{}", exported.stdout);
    assert!(!std::path::Path::new("-").exists(), "- is standard output");
    system.bucket.archive(&object(&catalogue.entries[6]).0);
    let archived = system.run(&["audit", "export"]).await.expect(2);
    assert!(archived.stderr.contains("Archived objects, not in the export: 1"), "{}", archived.stderr);
}

/// The rows of a CSV, each with its cells by the names of their columns.
fn rows(csv: &str) -> Vec<std::collections::BTreeMap<String, String>> {
    csv::Reader::from_reader(csv.as_bytes()).deserialize().collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn exports_prices_as_columns() {
    let mut catalogue = catalogue();
    let newest = catalogue.entries.iter_mut().rfind(|entry| entry["outcome"] == "APPLIED" && entry["type"] == "UPDATE");
    let entry = newest.unwrap();
    entry["after"]["name"] = json!("=HYPERLINK(\"https://example.com\")");
    lives::fingerprint(entry);
    seal(entry);
    let formula = entry["eventId"].as_str().unwrap().to_owned();
    let system = System::of(&catalogue).await;
    let exported = system.run(&["audit", "export", "--format", "csv"]).await.expect(0);
    for part in ["Records written: 30 (", " APPLIED, 1 DUPLICATE, 3 OUT_OF_BAND, "] {
        assert!(exported.stderr.contains(part), "{part}: {}", exported.stderr);
    }
    let rows = rows(&exported.stdout);
    assert_eq!(rows.len(), catalogue.objects().len());
    for row in rows.iter().filter(|row| row["recordType"] == "CHANGE") {
        let entry = catalogue.entries.iter().find(|entry| entry["eventId"] == row["eventId"].as_str()).unwrap();
        let text = |path: &str| entry.pointer(path).map_or("", |value| value.as_str().unwrap());
        for (column, path) in [
            ("priceBefore", "/before/price"),
            ("currencyBefore", "/before/currency"),
            ("priceAfter", "/after/price"),
            ("outcome", "/outcome"),
            ("reason", "/reason"),
            ("apiKeyId", "/actor/apiKeyId"),
            ("occurredAt", "/occurredAt"),
        ] {
            assert_eq!(row[column], text(path), "{column} of {row:?}");
        }
        let bytes = system.bucket.read(&row["object"]).unwrap();
        assert_eq!(row["sha256"], lives::sha256(&bytes));
        if row["outcome"] == "REJECTED" {
            assert_eq!(row["priceRequested"], text("/requested/product/price"));
        }
    }
    let risky = rows.iter().find(|row| row["eventId"] == formula).unwrap();
    assert_eq!(risky["name"], "'=HYPERLINK(\"https://example.com\")");

    let (broken, _) = object(&catalogue.entries[3]);
    system.bucket.alter(&broken, b"{");
    let marked = system.run(&["audit", "export", "--format", "csv"]).await.expect(2).stdout;
    let invalid = self::rows(&marked).into_iter().find(|row| row["recordType"] == "INVALID").unwrap();
    assert_eq!((invalid["object"].as_str(), invalid["fault"].as_str()), (broken.as_str(), "UNREADABLE"));
    let empty = system.run(&["audit", "export", "--format", "csv", "--to", "2020-01-01"]).await.expect(0).stdout;
    assert!(empty.starts_with("recordType,occurredAt,") && empty.lines().count() == 1, "{empty}");
}

#[tokio::test]
async fn exports_selected_records() {
    let catalogue = catalogue();
    let system = System::of(&catalogue).await;
    let count = |matches: &dyn Fn(&Value) -> bool| catalogue.entries.iter().filter(|entry| matches(entry)).count();
    let (first, second) = (product_id(0), product_id(1));
    for (options, expected) in [
        (vec!["--product", &first], count(&|entry| entry["productId"] == first.as_str()) + 3),
        (
            vec!["--product", &first, "--product", &second, "--outcome", "rejected"],
            count(&|entry| entry["productId"] != product_id(2).as_str() && entry["outcome"] == "REJECTED"),
        ),
        (vec!["--type", "delete"], count(&|entry| entry["type"] == "DELETE")),
        (vec!["--type", "out-of-band"], 3),
        (vec!["--actor", "203.0.113.7"], catalogue.entries.len()),
        (vec!["--actor", "nobody"], 0),
    ] {
        let exported = system.run(&[&["audit", "export"], options.as_slice()].concat()).await.expect(0);
        assert_eq!(exported.stdout.lines().count(), expected, "{options:?}");
        let not_selected = catalogue.objects().len() - expected;
        let counts = format!("Not selected by the filter: {not_selected}.");
        assert!(not_selected == 0 || exported.stderr.contains(&counts), "{options:?}: {}", exported.stderr);
    }

    // It may be of any product.
    system.bucket.alter(&object(&catalogue.entries[4]).0, b"{");
    let unreadable = system.run(&["audit", "export", "--product", &product_id(0)]).await.expect(2).stdout;
    assert_eq!(unreadable.matches("\"INVALID\"").count(), 1);
    let unknown = system.run(&["audit", "export", "--type", "patch"]).await.expect(1).stderr;
    assert!(unknown.contains("create, update, delete, out-of-band"), "{unknown}");
}

#[tokio::test]
async fn shows_names_of_clients_from_a_register_that_only_grows() {
    let catalogue = catalogue();
    let system = System::of(&catalogue).await;
    let entry = |key: &str, client: &str| {
        json!({"apiKeyId": key, "client": client, "generation": 1, "schemaVersion": 1}).to_string()
    };
    let (id, key) = (product_id(0), "clients/a1b2c3d4e5.json");
    let before = system.run(&["audit", "history", &id]).await.expect(0).stdout;
    assert!(before.contains("  a1b2c3d4e5 203.0.113.7"), "{before}");
    system.bucket.put(key, entry("a1b2c3d4e5", "shop").as_bytes());
    system.bucket.put("clients/fffff55555.json", entry("fffff55555", "feed").as_bytes());

    for quick in [&["audit", "history", &id][..], &["audit", "history", &id, "--quick"]] {
        let shown = system.run(quick).await.expect(0).stdout;
        assert!(shown.contains("  shop (a1b2c3d4e5) 203.0.113.7"), "{shown}");
    }
    let history = system.run(&["audit", "history", &id, "--json"]).await.expect(0).json();
    assert_eq!(history["clients"], json!({"a1b2c3d4e5": "shop"}));

    let export = async |options: &[&str], code| {
        system.run(&[&["audit", "export", "--format", "csv"], options].concat()).await.expect(code)
    };
    for row in rows(&export(&[], 0).await.stdout) {
        let expected = if row["recordType"] == "CHANGE" { "shop" } else { "" };
        assert_eq!(row["client"], expected, "{row:?}");
    }
    assert_eq!(rows(&export(&["--client", "shop"], 0).await.stdout).len(), catalogue.entries.len());
    assert_eq!(rows(&export(&["--client", "feed"], 0).await.stdout).len(), 0);
    let unknown = export(&["--client", "shpo"], 1).await.stderr;
    assert!(unknown.contains("client \"shpo\" has no API key in the register"), "{unknown}");

    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.html");
    system.run(&["audit", "report", "--out", report.to_str().unwrap()]).await.expect(0);
    assert!(std::fs::read_to_string(&report).unwrap().contains("<td>shop (a1b2c3d4e5) 203.0.113.7</td>"));
    assert_eq!(system.run(&["audit", "verify", "--json"]).await.expect(0).json()["objects"], catalogue.objects().len());

    // The oldest version counts, and the second is found.
    system.bucket.put(key, entry("a1b2c3d4e5", "feed").as_bytes());
    let shown = system.run(&["audit", "history", &id]).await.expect(0);
    assert!(shown.stdout.contains("shop (a1b2c3d4e5)"), "{}", shown.stdout);
    assert!(shown.stderr.contains("OVERWRITTEN: the entry has several versions"), "{}", shown.stderr);
    let verified = system.run(&["audit", "verify"]).await.expect(2).stdout;
    assert!(verified.contains("Integrity: BROKEN") && verified.contains(key), "{verified}");
}

/// The manifest beside a file, which must be that of the file and be readable by its owner only.
fn manifest(file: &std::path::Path) -> Value {
    use std::os::unix::fs::PermissionsExt;
    let path = format!("{}.manifest.json", file.display());
    let manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let content = std::fs::read(file).unwrap();
    assert_eq!(manifest["sha256"], lives::sha256(&content));
    assert_eq!(
        (&manifest["bytes"], &manifest["file"]),
        (&json!(content.len()), &json!(file.file_name().unwrap().to_str()))
    );
    for path in [file, path.as_ref()] {
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    manifest
}

#[tokio::test]
async fn manifest_ties_an_export_to_the_bucket() {
    let catalogue = catalogue();
    let system = System::of(&catalogue).await;
    let folder = tempfile::tempdir().unwrap();
    let (first, again) = (folder.path().join("first.csv"), folder.path().join("again.csv"));
    let day = catalogue.entries[12]["occurredAt"].as_str().unwrap()[..10].to_owned();
    let days = ["--from", day.as_str()];
    for file in [&first, &again] {
        let out = ["--format", "csv", "--type", "update", "--out", file.to_str().unwrap()];
        let exported = system.run(&[&["audit", "export"], &days[..], &out].concat()).await.expect(0);
        assert!(
            exported.stderr.contains("first.csv.manifest.json") || exported.stderr.contains("again.csv.manifest.json")
        );
    }
    let verified = system.run(&[&["audit", "verify", "--json"], &days[..]].concat()).await.expect(0).json();
    let (one, other) = (manifest(&first), manifest(&again));
    assert_eq!(one["sha256"], other["sha256"], "the same objects make the same file");
    assert_eq!((&one["digest"], &one["objects"]), (&verified["digest"], &verified["objects"]));
    assert_eq!((&one["from"], &one["to"], &one["filter"]), (&json!(day), &Value::Null, &json!({"type": ["UPDATE"]})));
    assert!(one["records"].as_u64() < one["objects"].as_u64(), "{one}");

    system.bucket.alter(&object(&catalogue.entries[20]).0, b"{");
    let changed = folder.path().join("changed.csv");
    let out = ["--format", "csv", "--type", "update", "--out", changed.to_str().unwrap()];
    system.run(&[&["audit", "export"], &days[..], &out].concat()).await.expect(2);
    assert_ne!(manifest(&changed)["digest"], one["digest"]);
    std::fs::remove_file(&first).unwrap();
    let taken = system.run(&["audit", "export", "--out", first.to_str().unwrap()]).await.expect(1);
    assert!(taken.stderr.contains("first.csv.manifest.json already exists"), "{}", taken.stderr);
}

#[tokio::test]
async fn reports_for_an_auditor() {
    let mut catalogue = catalogue();
    let newest = catalogue.entries.iter_mut().rfind(|entry| entry["outcome"] == "APPLIED" && entry["type"] == "UPDATE");
    let entry = newest.unwrap();
    entry["after"]["name"] = json!("<img src=x onerror=alert(1)>");
    lives::fingerprint(entry);
    seal(entry);
    let system = System::of(&catalogue).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let report = async |name: &str, options: &[&str], code| {
        let path = file(name);
        let arguments = [&["audit", "report", "--out", path.to_str().unwrap()], options].concat();
        (system.run(&arguments).await.expect(code), std::fs::read_to_string(&path).unwrap_or_default())
    };

    // The table has another product than the newest record says.
    let (ended, page) = report("all.html", &["--without-table"], 0).await;
    assert!(ended.stdout.starts_with("Integrity: INTACT\nForm:      OK\n"), "{}", ended.stdout);
    for part in [
        "Integrity: <strong>INTACT</strong>",
        "bbws-product-audit-logs-dev",
        "all days",
        "30 records: ",
        "1 DUPLICATE",
        "this verification didn't compare the records with the database",
        "&lt;img src=x onerror=alert(1)&gt;",
        "outside the API",
        "SKU SKU-0-0",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("<img") && !page.contains("<script"));
    let written = manifest(&file("all.html"));
    let verified = system.run(&["audit", "verify", "--without-table", "--json"]).await.expect(0).json();
    assert_eq!((&written["digest"], &written["objects"]), (&verified["digest"], &verified["objects"]));
    assert!(page.contains(written["digest"].as_str().unwrap()));

    let options = ["--without-table", "--type", "delete", "--outcome", "applied", "--json"];
    let (ended, page) = report("deletions.html", &options, 0).await;
    assert_eq!(ended.json(), manifest(&file("deletions.html")));
    assert!(page.contains("1 records match <code>--type DELETE --outcome APPLIED</code>: 1 APPLIED"), "{page}");
    let (_, page) = report("few.html", &["--without-table", "--records", "2"], 0).await;
    assert!(page.contains("The first 2 are listed") && page.matches("<tr><td>20").count() == 2, "{page}");

    let (gone, _) = object(&applied(&catalogue, 1)[1]);
    system.bucket.remove(&gone);
    let (_, page) = report("broken.html", &["--without-table"], 2).await;
    assert!(page.contains("<strong>BROKEN</strong>") && page.contains("MISSING") && page.contains(&gone), "{page}");
    let (taken, _) = report("all.html", &[], 1).await;
    assert!(taken.stderr.contains("already exists"), "{}", taken.stderr);
}

/// What a reader of docs/compliance.md types, as it stands there but for the environment, and for a product of this system.
#[tokio::test]
async fn commands_of_compliance_md_work() {
    let catalogue = catalogue();
    let system = System::of(&catalogue).await;
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/compliance.md")).unwrap();
    let blocks = document.split("```sh\n").skip(1).map(|part| part.split_once("\n```").unwrap().0);
    // These tests leave out the AWS CLI, and a profile that this machine doesn't have.
    let scripts: Vec<&str> = blocks.filter(|block| block.contains("catalogctl ")).collect();
    let mut commands = BTreeSet::new();
    for script in scripts {
        for line in script.lines().filter(|line| !line.is_empty()) {
            commands.extend(line.split_once("catalogctl audit ").map(|(_, rest)| rest.split(' ').next().unwrap()));
        }
        let folder = tempfile::tempdir().unwrap();
        let script = script
            .replace("--env prod", "--env dev")
            .replace("3f0c2f5e-8d1b-4c6a-9e57-2b8a4d1f6c03", &product_id(1))
            .replace("--sku L-1", "--sku SKU-0-0")
            .replace("Desk lamp", "l\u{e4}m\u{1f4a1} P 1");
        let (program, tool) = ("bash", std::path::Path::new(env!("CARGO_BIN_EXE_catalogctl")));
        let path = format!("{}:{}", tool.parent().unwrap().display(), std::env::var("PATH").unwrap());
        // The examples of restore leave the environment to CATALOGUE_ENV. 2 is a finding, such as archived records.
        let script = format!("set -u\ncatalogctl() {{ command catalogctl \"$@\" || [ $? = 2 ]; }}\nset -e\n{script}");
        let ended = tokio::process::Command::new(program)
            .args(["-c", &script])
            .current_dir(folder.path())
            .env("PATH", path)
            .env("AWS_ENDPOINT_URL", &system.endpoint)
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("CATALOGUE_ENV", "dev")
            .env_remove("AWS_PROFILE")
            .env_remove("CATALOGUE_LOCAL")
            .output()
            .await
            .unwrap();
        assert!(ended.status.success(), "{script}\n{}", String::from_utf8_lossy(&ended.stderr));
    }
    assert_eq!(commands, BTreeSet::from(["export", "history", "report", "restore", "verify"]));
}

/// Writes the objects of stream records, as audit-logger does.
fn run_audit_logger(system: &System) {
    let bucket = system.bucket.clone();
    system.queues.consume(move |body| {
        let record: Value = serde_json::from_str(body).unwrap();
        assert_eq!((&record["eventName"], &record["awsRegion"]), (&json!("INSERT"), &json!("eu-west-1")));
        assert!(record["eventID"].is_string() && record["dynamodb"]["SizeBytes"].is_i64(), "{record}");
        let image: serde_dynamo::Item = serde_json::from_value(record["dynamodb"]["NewImage"].clone()).unwrap();
        let mut entry: Value = serde_dynamo::from_item(image).unwrap();
        for member in ["PK", "SK", "expiresAt"] {
            entry.as_object_mut().unwrap().remove(member);
        }
        let (key, bytes) = object(&entry);
        if bucket.read(&key).is_none() {
            bucket.put(&key, &bytes);
        }
    });
}

#[tokio::test]
async fn repairs_missing_records() {
    let catalogue = catalogue();
    let system = System::of(&catalogue).await;
    let whole = system.run(&["audit", "repair"]).await.expect(0);
    assert!(whole.stdout.contains("Nothing is missing"), "{}", whole.stdout);

    let gone: Vec<String> = catalogue.entries.iter().step_by(3).map(|entry| object(entry).0).collect();
    gone.iter().for_each(|key| system.bucket.remove(key));
    let dry = system.run(&["audit", "repair"]).await.expect(2);
    assert!(gone.iter().all(|key| dry.stdout.contains(key)), "{}", dry.stdout);
    assert_eq!(system.queues.bodies(AUDIT).len(), 0, "a dry run sends nothing");

    run_audit_logger(&system);
    let repaired = system.run(&["audit", "repair", "--apply", "--rate", "1000", "--json"]).await.expect(0).json();
    assert_eq!((&repaired["sent"], &repaired["pending"]), (&json!(gone.len()), &json!([])));
    let again = system.run(&["audit", "repair", "--apply", "--json"]).await.expect(0).json();
    assert_eq!((&again["sent"], &again["missing"]), (&json!(0), &json!([])));
    for (key, bytes) in catalogue.objects() {
        assert_eq!(system.bucket.read(&key), Some(bytes), "{key}");
    }
    system.run(&["audit", "verify"]).await.expect(0);
}

#[tokio::test]
async fn repair_reports_pending_objects_and_rejects_forged_entries() {
    let catalogue = catalogue();
    let system = System::of(&catalogue).await;
    let (first, second) = (object(&catalogue.entries[2]).0, object(&catalogue.entries[7]).0);
    system.bucket.remove(&first);
    system.bucket.remove(&second);
    let mut forged = catalogue.journal()[7].clone();
    forged["after"] = json!({"name": "forged"});
    products_table::put(&system.dynamodb, TABLE, forged).await;
    let arguments = ["audit", "repair", "--apply", "--wait", "0", "--settle", "0"];
    let ended = system.run(&arguments).await.expect(2);
    assert!(ended.stdout.contains(&format!("INVALID  {second}")), "{}", ended.stdout);
    assert!(ended.stdout.contains(&format!("PENDING  {first}")), "{}", ended.stdout);
    assert!(ended.stdout.contains("dlq peek audit"), "{}", ended.stdout);
    assert_eq!(system.queues.bodies(AUDIT).len(), 1);
}

/// A change event for a product, as its function sends it.
fn change_event(name: &str) -> Value {
    let product = json!({"name": name, "price": "1.00", "currency": "EUR"});
    let fingerprint = serde_json_canonicalizer::to_vec(&json!({"product": product})).unwrap();
    json!({
        "schemaVersion": 1, "eventId": "019c13ec-9e00-728a-83f3-929b1085347a", "type": "UPDATE",
        "productId": product_id(1), "occurredAt": "2026-01-31T12:00:00.000Z", "actor": {}, "requestId": "r",
        "fingerprint": support::lives::sha256(&fingerprint), "product": product,
    })
}

#[tokio::test]
async fn diagnoses_each_dead_change() {
    let catalogue = catalogue();
    let system = System::of(&catalogue).await;
    let empty = system.run(&["dlq", "peek", "change"]).await.expect(0);
    assert!(empty.stdout.contains(&format!("Messages in {CHANGE_DLQ}: 0")), "{}", empty.stdout);

    let readable = change_event("Readable");
    let mut done = readable.clone();
    done["eventId"] = catalogue.entries[1]["eventId"].clone();
    let mut version = readable.clone();
    version["schemaVersion"] = json!(2);
    let mut invalid = readable.clone();
    invalid["product"]["price"] = json!(1.5);
    invalid["colour"] = json!("red");
    let bodies =
        ["not JSON".to_owned(), readable.to_string(), done.to_string(), version.to_string(), invalid.to_string()];
    bodies.iter().for_each(|body| system.queues.add(CHANGE_DLQ, body, Some(CHANGE)));

    let shown = system.run(&["dlq", "peek", "change", "--json"]).await.expect(2).json();
    let messages = shown["messages"].as_array().unwrap();
    let kinds: Vec<&str> = messages.iter().map(|message| message["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["UNREADABLE", "KEPT_FAILING", "ALREADY_PROCESSED", "UNSUPPORTED_VERSION", "INVALID"]);
    assert_eq!(messages[0]["body"], "not JSON");
    assert_eq!((&messages[0]["attempts"], &messages[0]["movedFrom"]), (&json!(5), &json!(CHANGE)));
    assert!(messages[0]["sentAt"].as_str().unwrap().starts_with("2026-01-31T12:00:00.0"), "{}", messages[0]["sentAt"]);
    let reason = |place: usize| messages[place]["reason"].as_str().unwrap();
    assert!(reason(2).contains("the journal has it as APPLIED"), "{}", reason(2));
    assert!(reason(3).contains("unsupported schemaVersion 2"), "{}", reason(3));
    assert!(reason(4).contains("/product/price") && reason(4).contains("colour"), "{}", reason(4));

    let text = system.run(&["dlq", "peek", "change", "--limit", "2"]).await.expect(2).stdout;
    assert!(
        text.contains("moved from bbws-product-change-dev after 5 attempts")
            && text.contains("Messages in bbws-product-change-dlq-dev: 2"),
        "{text}"
    );
    assert_eq!(system.queues.visible(CHANGE_DLQ), 5, "a look leaves everything where it is");
}

#[tokio::test]
async fn redrives_dead_changes() {
    let system = System::empty().await;
    for number in 0..23 {
        system.queues.add(CHANGE_DLQ, &change_event(&format!("Change {number}")).to_string(), Some(CHANGE));
    }
    system.queues.add(CHANGE_DLQ, "not JSON", Some(CHANGE));

    let dry = system.run(&["dlq", "redrive", "change"]).await.expect(2);
    assert!(
        dry.stdout.contains(&format!("Dry run: no changes made. To send from {CHANGE_DLQ} to {CHANGE}: 23. Left: 1.")),
        "{}",
        dry.stdout
    );
    assert_eq!((system.queues.bodies(CHANGE).len(), system.queues.visible(CHANGE_DLQ)), (0, 24));

    let limited = system.run(&["dlq", "redrive", "change", "--apply", "--limit", "3", "--rate", "500"]).await.expect(0);
    assert!(limited.stdout.contains(": 3. Left: 0."), "{}", limited.stdout);
    assert_eq!((system.queues.bodies(CHANGE).len(), system.queues.visible(CHANGE_DLQ)), (3, 21));

    // A refused message stays where it is; it is neither lost nor doubled.
    system.queues.refuse(1);
    let arguments = ["dlq", "redrive", "change", "--apply", "--rate", "500", "--json"];
    let redriven = system.run(&arguments).await.expect(2).json();
    assert_eq!((redriven["sent"].as_array().unwrap().len(), redriven["left"].as_array().unwrap().len()), (19, 2));
    let redriven = system.run(&arguments).await.expect(2).json();
    assert_eq!(redriven["sent"].as_array().unwrap().len(), 1);
    let mut bodies = system.queues.bodies(CHANGE);
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 23);
    assert_eq!(system.queues.bodies(CHANGE_DLQ), ["not JSON"]);

    let all = system.run(&["dlq", "redrive", "change", "--apply", "--include-unreadable"]).await.expect(0);
    assert!(all.stdout.contains(&format!("Sent from {CHANGE_DLQ} to {CHANGE}: 1. Left: 0.")), "{}", all.stdout);
    assert_eq!(system.queues.bodies(CHANGE_DLQ).len(), 0);
}

#[tokio::test]
async fn saves_removes_and_redrives_chosen_dead_changes() {
    let system = System::empty().await;
    for number in 0..25 {
        system.queues.add(CHANGE_DLQ, &change_event(&format!("Change {number}")).to_string(), Some(CHANGE));
    }
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let lines = |name: &str| -> Vec<Value> {
        let saved = std::fs::read_to_string(file(name)).unwrap();
        saved.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };

    system.run(&["dlq", "save", "change", &file("all")]).await.expect(0);
    let all = lines("all");
    assert_eq!(all.len(), 25);
    assert_eq!(all[7]["body"], system.queues.bodies(CHANGE_DLQ)[7]);
    assert_eq!(system.queues.visible(CHANGE_DLQ), 25, "saving leaves everything where it is");
    let again = system.run(&["dlq", "save", "change", &file("all")]).await.expect(1);
    assert!(again.stderr.contains("already exists"), "{}", again.stderr);

    // The 21st and 22nd message: not in the first batches.
    let id = |place: usize| all[place]["messageId"].as_str().unwrap().to_owned();
    let (saved, wanted) = (file("removed"), id(20));
    let remove = ["dlq", "remove", "change", "--message", &wanted, "--save", &saved];
    let dry = system.run(&remove).await.expect(0);
    assert!(dry.stdout.contains(&format!("To delete from {CHANGE_DLQ}: 1.")), "{}", dry.stdout);
    assert!(!std::path::Path::new(&saved).exists());
    assert_eq!(system.queues.visible(CHANGE_DLQ), 25);
    let both = [&remove[..], &["--message", "no-such-message", "--apply", "--json"]].concat();
    let removed = system.run(&both).await.expect(2).json();
    assert_eq!(
        (&removed["removed"][0]["messageId"], &removed["notFound"]),
        (&json!(wanted), &json!(["no-such-message"]))
    );
    assert_eq!(lines("removed"), [all[20].clone()]);
    assert_eq!(system.queues.visible(CHANGE_DLQ), 24);
    assert!(!system.queues.bodies(CHANGE_DLQ).contains(&all[20]["body"].as_str().unwrap().to_owned()));

    let chosen = id(21);
    let redrive = ["dlq", "redrive", "change", "--apply", "--message", &chosen];
    let sent = system.run(&redrive).await.expect(0);
    assert!(sent.stdout.contains(": 1. Left: 0."), "{}", sent.stdout);
    assert_eq!(system.queues.bodies(CHANGE), [all[21]["body"].as_str().unwrap()]);
    assert_eq!(system.queues.visible(CHANGE_DLQ), 23);
    let gone = system.run(&redrive).await.expect(2);
    assert!(gone.stdout.contains(&format!("NOT FOUND  {chosen}")), "{}", gone.stdout);
}

#[tokio::test]
async fn keeps_saved_messages_when_deleting_them_fails() {
    let system = System::empty().await;
    let bodies = ["first", "second"];
    bodies.iter().for_each(|body| system.queues.add(CHANGE_DLQ, body, Some(CHANGE)));
    let shown = system.run(&["dlq", "peek", "change", "--json"]).await.expect(2).json();
    let ids = [0, 1].map(|place: usize| shown["messages"][place]["messageId"].as_str().unwrap().to_owned());
    system.queues.refuse_to_delete(&ids[1]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("removed.ndjson");
    let file = file.to_str().unwrap();

    let remove = ["dlq", "remove", "change", "--message", &ids[0], "--message", &ids[1], "--save", file, "--apply"];
    let failed = system.run(&remove).await.expect(1);

    let saved = format!("the messages are saved in {file}, but not all are deleted");
    let cause = format!("failed to delete 1 messages from {CHANGE_DLQ}: InternalError. They are still there");
    assert!(failed.stderr.contains(&saved) && failed.stderr.contains(&cause), "{}", failed.stderr);
    assert_eq!(failed.stdout, "", "nothing is reported as deleted");
    let lines = std::fs::read_to_string(file).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["body"].as_str().unwrap()).collect::<Vec<_>>(), bodies);
    assert_eq!(system.queues.bodies(CHANGE_DLQ), ["second"]);
    assert_eq!(system.queues.visible(CHANGE_DLQ), 1, "what wasn't deleted is visible again at once");
    let again = system.run(&remove).await.expect(1);
    assert!(again.stderr.contains("already exists"), "the saved messages aren't overwritten: {}", again.stderr);
}

#[tokio::test]
async fn removes_messages_of_audit_and_events_queues() {
    let system = System::empty().await;
    let position = json!({"context": {"condition": "RetryAttemptsExhausted"}, "DDBStreamBatchInfo": {"batchSize": 3}});
    for (queue, name, body, kind) in [
        ("audit", AUDIT_DLQ, "not JSON".to_owned(), "UNREADABLE"),
        ("events", "bbws-product-events-dlq-dev", position.to_string(), "STREAM_POSITION"),
    ] {
        system.queues.add(name, &body, None);
        system.queues.add(name, "another", None);
        let shown = system.run(&["dlq", "peek", queue, "--json"]).await.expect(2).json();
        let id = shown["messages"][0]["messageId"].as_str().unwrap().to_owned();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("removed.ndjson");
        let remove = ["dlq", "remove", queue, "--message", &id, "--save", file.to_str().unwrap(), "--apply"];

        let removed = system.run(&[&remove[..], &["--json"]].concat()).await.expect(0).json();

        assert_eq!((&removed["from"], &removed["removed"][0]["kind"]), (&json!(name), &json!(kind)));
        let saved: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(saved["body"], body);
        assert_eq!(system.queues.bodies(name), ["another"]);
    }
}

#[tokio::test]
async fn redrive_respects_its_rate() {
    let system = System::empty().await;
    for number in 0..5 {
        system.queues.add(CHANGE_DLQ, &change_event(&format!("Change {number}")).to_string(), Some(CHANGE));
    }
    let started = std::time::Instant::now();
    system.run(&["dlq", "redrive", "change", "--apply", "--rate", "2"]).await.expect(0);
    assert!(started.elapsed() >= std::time::Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn diagnoses_and_redrives_each_dead_audit_record() {
    let catalogue = catalogue();
    let system = System::of(&catalogue).await;
    let record = |entry: &Value| {
        let item = Catalogue { entries: vec![entry.clone()], ..Catalogue::default() }.journal().remove(0);
        let image: serde_dynamo::Item = serde_dynamo::to_item(&item).unwrap();
        let image = serde_json::to_value(image).unwrap();
        json!({
            "eventID": "1", "eventName": "INSERT", "awsRegion": "eu-west-1",
            "dynamodb": {"Keys": {"PK": image["PK"], "SK": image["SK"]}, "SizeBytes": 1, "NewImage": image},
        })
    };
    let (there, gone) = (&catalogue.entries[0], &catalogue.entries[4]);
    system.bucket.remove(&object(gone).0);
    let mut other = catalogue.entries[8].clone();
    other["requestId"] = json!("another");
    if other["outcome"] == "APPLIED" {
        seal(&mut other);
    }
    let mut renamed = record(there);
    renamed["eventName"] = json!("TRUNCATE");
    let mut without_image = record(there);
    without_image["dynamodb"]["NewImage"] = json!({"a": {"Z": 1}});
    let removal = json!({
        "eventID": "1", "eventName": "REMOVE", "awsRegion": "eu-west-1",
        "dynamodb": {"Keys": {"PK": {"S": "PRODUCT#1"}, "SK": {"S": "META"}}, "SizeBytes": 1},
    });
    for (body, source) in [
        (json!("x"), None),
        (record(there), Some(AUDIT)),
        (record(gone), None),
        (record(&other), Some(AUDIT)),
        (renamed, None),
        (without_image, None),
        (removal, Some(AUDIT)),
        (json!([record(there), record(gone)]), None),
        (json!([]), None),
    ] {
        system.queues.add(AUDIT_DLQ, &body.to_string(), source);
    }
    system.queues.add(AUDIT_DLQ, "{", None);
    let shown = system.run(&["dlq", "peek", "audit", "--json"]).await.expect(2).json();
    let messages = shown["messages"].as_array().unwrap();
    let kinds: Vec<&str> = messages.iter().map(|message| message["kind"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "INVALID",
            "ALREADY_PROCESSED",
            "KEPT_FAILING",
            "CONFLICT",
            "INVALID",
            "INVALID",
            "KEPT_FAILING",
            "KEPT_FAILING",
            "ALREADY_PROCESSED",
            "UNREADABLE"
        ]
    );
    assert!(messages[3]["reason"].as_str().unwrap().contains(&object(&other).0), "{}", messages[3]);
    let text = system.run(&["dlq", "peek", "audit"]).await.expect(2).stdout;
    assert!(text.contains("first sent 2026-01-31T12:00:00.001Z\n"), "a topic makes no attempts: {text}");
    assert!(text.contains("another record exists under"), "{text}");

    let redriven =
        system.run(&["dlq", "redrive", "audit", "--apply", "--rate", "500", "--json"]).await.expect(2).json();
    assert_eq!(redriven["sent"].as_array().unwrap().len(), 5);
    assert_eq!(redriven["to"], AUDIT);
    assert_eq!(system.queues.bodies(AUDIT).len(), 5);
}

#[tokio::test]
async fn stream_positions_cannot_be_redriven() {
    let system = System::empty().await;
    let body = json!({
        "context": {"condition": "RetryAttemptsExhausted"},
        "DDBStreamBatchInfo": {"shardId": "shardId-1", "startSequenceNumber": "1", "endSequenceNumber": "9",
            "approximateArrivalOfFirstRecord": "a", "approximateArrivalOfLastRecord": "b", "batchSize": 3},
    });
    system.queues.add("bbws-product-events-dlq-dev", &body.to_string(), None);
    let shown = system.run(&["dlq", "peek", "events"]).await.expect(2).stdout;
    assert!(shown.contains("3 changes of the table") && shown.contains("audit repair"), "{shown}");
    let refused = system.run(&["dlq", "redrive", "events", "--apply"]).await.expect(1);
    assert!(refused.stderr.contains("can't be redriven"), "{}", refused.stderr);
}

#[tokio::test]
async fn missing_system_names_the_options() {
    let empty = tempfile::tempdir().unwrap();
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_catalogctl"))
        .args(["audit", "verify"])
        .env_remove("CATALOGUE_ENV")
        .env_remove("CATALOGUE_LOCAL")
        .current_dir(empty.path())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("cargo xtask up --detach") && said.contains("--env dev"), "{said}");
}
