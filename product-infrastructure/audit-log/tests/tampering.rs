//! An audit log as the functions write it passes; with a byte altered, a record deleted, inserted, moved, cut off or
//! spliced into another product, it does not, and the first bad object is named.

mod support;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use audit_log::finding::{Fault, Finding, Verdict};
use audit_log::json::sha256;
use audit_log::lock::{Lock, Mode, RequiredRetention, Retention};
use audit_log::record::{Record, check};
use audit_log::table_item::{Known, read};
use audit_log::verification::{Claim, Content, Form, Integrity, Object, Report, TableFacts, Verification};
use audit_log::window::{Window, day};
use serde_json::{Value, json};
use support::lives::{Catalogue, event_id, fingerprint, object, product_id, seal, timestamp};

/// What S3 has under a key.
#[derive(Clone)]
struct Stored {
    bytes: Vec<u8>,
    versions: u64,
    markers: u64,
}

type Bucket = BTreeMap<String, Stored>;

/// A catalogue with what its bucket and its table hold.
struct World {
    catalogue: Catalogue,
    bucket: Bucket,
    table: TableFacts,
}

impl World {
    fn new() -> Self {
        Self::of(Catalogue::grown(4, 12))
    }

    fn of(catalogue: Catalogue) -> Self {
        let store = |(key, bytes)| (key, Stored { bytes, versions: 1, markers: 0 });
        let bucket = catalogue.objects().into_iter().map(store).collect();
        let table = facts(&catalogue);
        Self { catalogue, bucket, table }
    }

    fn entry(&self, key: &str) -> &Value {
        self.catalogue.entries.iter().find(|entry| object(entry).0 == key).unwrap()
    }

    /// Keys of the changes, in event order.
    fn changes(&self) -> Vec<String> {
        self.bucket.keys().filter(|key| key.starts_with("events/")).cloned().collect()
    }

    /// Keys of one product's applied changes, in event order.
    fn chain(&self, number: u64) -> Vec<String> {
        let id = product_id(number);
        let applied = self.catalogue.entries.iter().filter(|entry| entry["outcome"] == "APPLIED");
        applied.filter(|entry| entry["productId"] == id.as_str()).map(|entry| object(entry).0).collect()
    }
}

fn facts(catalogue: &Catalogue) -> TableFacts {
    let mut facts = TableFacts::default();
    for item in catalogue.items().into_iter().chain(catalogue.journal()) {
        match read(item) {
            Some(Ok(Known::Product(product, known))) => drop(facts.products.insert(product, known)),
            Some(Ok(Known::Entry(event, entry))) => drop(facts.journal.insert(event, entry)),
            Some(Ok(Known::Claim(sku, claim))) => drop(facts.claims.insert(sku, claim)),
            other => panic!("{other:?}"),
        }
    }
    facts
}

fn verify_in(window: Window, bucket: &Bucket, table: Option<TableFacts>) -> Report {
    static VERIFICATIONS: AtomicUsize = AtomicUsize::new(0);
    // Each verification is interrupted once, each after another object.
    let interruption = VERIFICATIONS.fetch_add(1, Ordering::Relaxed) % bucket.len().max(1);
    verify_with_interruptions(window, bucket, table, |place| place == interruption)
}

/// `interrupted`: whether the verification is saved and continued after the object at this place.
fn verify_with_interruptions(
    window: Window,
    bucket: &Bucket,
    table: Option<TableFacts>,
    interrupted: impl Fn(usize) -> bool,
) -> Report {
    let mut verification = Verification::new(window, table);
    let stretches = window.all_keys();
    let inside = |key: &str| {
        stretches.iter().any(|keys| key > keys.after.as_str() && keys.before.as_deref().is_none_or(|end| key < end))
    };
    for (place, (key, stored)) in bucket.iter().filter(|(key, _)| inside(key)).enumerate() {
        let Stored { bytes, versions, markers } = stored;
        let content = if *versions == 0 { Content::Gone } else { content(checked(key, bytes), bytes) };
        let digest = (*versions > 0).then(|| sha256(bytes));
        let (versions, delete_markers, lock) = (*versions, *markers, Lock::Locked);
        let object = Object { key: key.clone(), versions, delete_markers, first: None, digest, lock, content };
        verification.take(&object);
        if interrupted(place) {
            verification = continued(&verification);
        }
    }
    verification.finish(u64::MAX)
}

/// The verification after it was saved and read again.
fn continued(verification: &Verification) -> Verification {
    serde_json::from_str(&serde_json::to_string(verification).unwrap()).unwrap()
}

fn content(checked: Result<Record, Finding>, bytes: &[u8]) -> Content {
    checked.map_or_else(|finding| Content::Invalid(finding, bytes.to_vec()), Content::Record)
}

/// An object with one version.
fn object_of(key: &str, bytes: &[u8]) -> Object {
    let content = content(check(key, bytes), bytes);
    let (digest, lock) = (Some(sha256(bytes)), Lock::Locked);
    Object { key: key.to_owned(), versions: 1, delete_markers: 0, first: None, digest, lock, content }
}

/// Checks an object. The result is kept, because most objects are the same in many tests.
fn checked(key: &str, bytes: &[u8]) -> Result<Record, Finding> {
    type Checked = (Vec<u8>, Result<Record, Finding>);
    thread_local! {
        static FIRST: RefCell<BTreeMap<String, Checked>> = const { RefCell::new(BTreeMap::new()) };
    }
    FIRST.with_borrow_mut(|first| match first.get(key) {
        Some((known, record)) if known == bytes => record.clone(),
        Some(_) => check(key, bytes),
        None => first.entry(key.to_owned()).insert_entry((bytes.to_vec(), check(key, bytes))).get().1.clone(),
    })
}

fn verify(bucket: &Bucket, table: Option<&TableFacts>) -> Report {
    verify_in(Window::default(), bucket, table.cloned())
}

/// Fails unless the first bad object is this one.
fn assert_first(report: &Report, key: &str, what: &str) {
    let first = report.findings_of(Verdict::Integrity).next().unwrap_or_else(|| panic!("{what}: not found"));
    assert_eq!(first.object, key, "{what}: {:#?}", report.findings);
    assert_eq!(report.integrity, Integrity::Broken, "{what}");
}

/// Replaces an object's content, or adds one; another key may follow from the content.
fn put(bucket: &mut Bucket, key: &str, bytes: Vec<u8>) {
    bucket.insert(key.to_owned(), Stored { bytes, versions: 1, markers: 0 });
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }
}

#[test]
fn untouched_log_is_intact() {
    let world = World::new();
    for table in [None, Some(&world.table)] {
        let report = verify(&world.bucket, table);
        assert_eq!(report.findings, [], "with the table: {}", table.is_some());
        assert_eq!((report.integrity, report.form), (Integrity::Intact, Form::Ok));
        assert_eq!(report.compared_with_table, table.is_some());
        let expected = (world.bucket.len() as u64, world.catalogue.entries.len() as u64, 4, 2);
        assert_eq!((report.objects, report.changes, report.products, report.made_by_hand), expected);
        assert!(report.applied > 24 && report.applied < report.changes, "{report:?}");
    }
}

#[test]
fn interrupted_verification_reports_the_same() {
    let world = World::new();
    let keys = world.changes();
    let mut bucket = world.bucket.clone();
    bucket.remove(&keys[7]);
    bucket.get_mut(&keys[20]).unwrap().bytes[100] ^= 1;
    bucket.get_mut(&keys[30]).unwrap().versions = 2;
    let windows = [Window::default(), Window { from: day("2020-01-01").ok(), to: day("2100-01-01").ok() }];
    for (window, table) in windows.into_iter().flat_map(|window| [(window, None), (window, Some(&world.table))]) {
        let run = |interrupted| verify_with_interruptions(window, &bucket, table.cloned(), |_| interrupted);
        let report = run(false);
        assert_eq!(report.integrity, Integrity::Broken);
        assert_eq!(json!(run(true)), json!(report), "saved and continued after each object");
    }
}

#[test]
fn detects_every_altered_byte() {
    let world = World::new();
    let (mut numbers, mut tampered) = (Numbers(1), 0);
    for key in world.changes() {
        let applied = world.entry(&key)["outcome"] == "APPLIED";
        for _ in 0..25 {
            let mut bucket = world.bucket.clone();
            let bytes = &mut bucket.get_mut(&key).unwrap().bytes;
            let place = numbers.below(bytes.len());
            let printable = b' ' + u8::try_from(numbers.below(94)).unwrap();
            bytes[place] = if bytes[place] == printable { b'~' } else { printable };
            let what = format!("byte {place} of {key}");
            assert_first(&verify(&bucket, Some(&world.table)), &key, &what);
            if applied {
                assert_first(&verify(&bucket, None), &key, &what);
            }
            tampered += 1;
        }
    }
    assert!(tampered >= 1_000, "{tampered}");
}

#[test]
fn detects_altered_record_with_recomputed_hash() {
    let world = World::new();
    for number in 0..4 {
        let chain = world.chain(number);
        for (place, key) in chain.iter().enumerate() {
            let mut entry = world.entry(key).clone();
            entry["actor"] = json!({"apiKeyId": "somebody else"});
            seal(&mut entry);
            let mut bucket = world.bucket.clone();
            put(&mut bucket, key, object(&entry).1);
            assert_first(&verify(&bucket, Some(&world.table)), key, "with the table");
            let without_journal = TableFacts { journal: Default::default(), ..world.table.clone() };
            assert_first(&verify(&bucket, Some(&without_journal)), key, "after the journal has expired");
            let report = verify(&bucket, None);
            if place + 1 < chain.len() {
                assert_first(&report, key, "without the table");
            } else {
                // What is documented: only the table knows how a chain ends.
                assert_eq!(report.findings, []);
            }
        }
    }
}

#[test]
fn detects_altered_price_with_recomputed_hashes() {
    let world = World::new();
    for key in world.chain(0) {
        let mut entry = world.entry(&key).clone();
        if entry["type"] == "DELETE" {
            continue;
        }
        entry["after"]["price"] = json!("0.01");
        fingerprint(&mut entry);
        seal(&mut entry);
        let mut bucket = world.bucket.clone();
        put(&mut bucket, &key, object(&entry).1);
        assert_first(&verify(&bucket, Some(&world.table)), &key, "a price");
        assert_first(&verify(&bucket, None), &key, "a price, without the table");
    }
}

#[test]
fn newest_record_that_was_rehashed_is_altered_and_not_missing() {
    let world = World::new();
    let without_journal = TableFacts { journal: Default::default(), ..world.table.clone() };
    let mut count = 0;
    for key in (0..4).map(|number| world.chain(number).pop().unwrap()) {
        let mut entry = world.entry(&key).clone();
        if entry["type"] == "DELETE" {
            continue;
        }
        entry["after"]["price"] = json!("0.01");
        fingerprint(&mut entry);
        seal(&mut entry);
        let mut bucket = world.bucket.clone();
        put(&mut bucket, &key, object(&entry).1);
        let report = verify(&bucket, Some(&without_journal));
        assert_first(&report, &key, "rehashed");
        assert_eq!(report.findings_of(Verdict::Integrity).next().unwrap().fault, Fault::Altered);
        count += 1;
    }
    assert!(count > 0, "each of the products was deleted last");
}

#[test]
fn detects_every_deleted_record() {
    let world = World::new();
    let ends: Vec<String> = (0..4).map(|number| world.chain(number).pop().unwrap()).collect();
    for key in world.changes() {
        let mut bucket = world.bucket.clone();
        bucket.remove(&key);
        let report = verify(&bucket, Some(&world.table));
        assert_first(&report, &key, "with the table");
        assert_eq!(report.findings[0].fault, Fault::Missing);
        assert!(report.findings[0].why.contains("audit repair"), "{}", report.findings[0].why);
        let applied = world.entry(&key)["outcome"] == "APPLIED";
        let without_journal = TableFacts { journal: Default::default(), ..world.table.clone() };
        if applied {
            assert_first(&verify(&bucket, Some(&without_journal)), &key, "after the journal has expired");
            if !ends.contains(&key) {
                assert_first(&verify(&bucket, None), &key, "without the table");
            }
        } else {
            // What is documented: what was not applied is in no chain.
            assert_eq!(verify(&bucket, None).findings, []);
        }
    }
}

#[test]
fn chains_cut_off_at_their_end_are_found_with_the_table() {
    let world = World::new();
    for number in 0..4 {
        let chain = world.chain(number);
        for kept in 0..chain.len() {
            let mut bucket = world.bucket.clone();
            chain[kept..].iter().for_each(|key| drop(bucket.remove(key)));
            let report = verify(&bucket, Some(&world.table));
            assert_first(&report, &chain[kept], "with the journal");
            assert_eq!(report.findings.len(), chain.len() - kept);
            let without_journal = TableFacts { journal: Default::default(), ..world.table.clone() };
            let report = verify(&bucket, Some(&without_journal));
            assert_first(&report, chain.last().unwrap(), "without the journal");
            if (1..chain.len() - 1).contains(&kept) {
                let newest = format!("the {} newest records", chain.len() - kept);
                assert!(report.findings[0].why.contains(&newest), "{newest}: {}", report.findings[0].why);
            }
        }
    }
}

#[test]
fn without_the_table_a_missing_end_shows_only_in_what_was_decided_after_it() {
    let world = World::new();
    // Product 1 was asked for once more at its end, and the refusal names its version.
    let mut bucket = world.bucket.clone();
    bucket.remove(world.chain(1).last().unwrap());
    let report = verify(&bucket, None);
    assert_eq!(report.findings.len(), 1);
    assert!(report.findings[0].why.contains("the chain ends with version"), "{:?}", report.findings);
    // In a window too, if the chain has a record in it.
    let window = Window { from: Some(day("2020-01-01").unwrap()), to: None };
    assert_eq!(verify_in(window, &bucket, None).findings, report.findings);
}

#[test]
fn detects_truncated_object() {
    let world = World::new();
    let mut numbers = Numbers(7);
    for key in world.changes() {
        let mut bucket = world.bucket.clone();
        let bytes = &mut bucket.get_mut(&key).unwrap().bytes;
        bytes.truncate(numbers.below(bytes.len()));
        for table in [None, Some(&world.table)] {
            let report = verify(&bucket, table);
            assert_first(&report, &key, "truncated");
            assert_eq!(report.findings[0].fault, Fault::Unreadable);
        }
    }
}

#[test]
fn exchanged_records_are_found() {
    let world = World::new();
    let (keys, mut numbers) = (world.changes(), Numbers(3));
    for (place, key) in keys.iter().enumerate() {
        let other = &keys[(place + 1 + numbers.below(keys.len() - 1)) % keys.len()];
        let mut bucket = world.bucket.clone();
        let (one, two) = (world.bucket[key].bytes.clone(), world.bucket[other].bytes.clone());
        put(&mut bucket, key, two);
        put(&mut bucket, other, one);
        for table in [None, Some(&world.table)] {
            let report = verify(&bucket, table);
            assert_first(&report, key.min(other), "exchanged");
            assert_eq!(report.findings[0].fault, Fault::Key);
        }
    }
}

/// An applied record of a product's, to be put where it does not belong.
fn forged(after: &Value, moment: u64) -> Value {
    let mut entry = after.clone();
    let version = after["version"].as_u64().unwrap() + 1;
    entry["type"] = json!("UPDATE");
    entry["before"] = after["after"].clone();
    entry["prevHash"] = after["hash"].clone();
    entry["version"] = json!(version);
    entry["eventId"] = json!(event_id(moment, 77));
    entry["occurredAt"] = json!(timestamp(moment));
    entry["recordedAt"] = json!(timestamp(moment + 5));
    entry["after"]["version"] = json!(version);
    entry["after"]["lastEventId"] = entry["eventId"].clone();
    entry["after"]["updatedAt"] = entry["occurredAt"].clone();
    entry["after"]["name"] = json!("Forged");
    fingerprint(&mut entry);
    seal(&mut entry);
    entry
}

fn moment_of(entry: &Value) -> u64 {
    audit_log::ids::EventId::parse(entry["eventId"].as_str().unwrap()).unwrap().millis()
}

#[test]
fn detects_inserted_record_that_continues_the_chain() {
    let world = World::new();
    for number in 0..4 {
        let chain = world.chain(number);
        let active = chain.iter().filter(|key| world.entry(key)["type"] != "DELETE");
        for key in active {
            let after = world.entry(key);
            let one = forged(after, moment_of(after) + 1_000);
            let (forged_key, bytes) = object(&one);
            let mut bucket = world.bucket.clone();
            put(&mut bucket, &forged_key, bytes);
            let report = verify(&bucket, Some(&world.table));
            assert_first(&report, &forged_key, "inserted");
            assert_eq!(report.findings[0].fault, Fault::Inserted);
            if Some(key) != chain.last() {
                assert_first(&verify(&bucket, None), &forged_key, "inserted, without the table");
            }
            // Two in a row, the second continuing the first.
            let (second_key, bytes) = object(&forged(&one, moment_of(after) + 2_000));
            put(&mut bucket, &second_key, bytes);
            assert_first(&verify(&bucket, Some(&world.table)), &forged_key, "two inserted");
            if Some(key) != chain.last() {
                assert_first(&verify(&bucket, None), &forged_key, "two inserted, without the table");
            }
        }
    }
}

#[test]
fn detects_inserted_record_without_predecessor() {
    let world = World::new();
    for number in 0..4 {
        let chain = world.chain(number);
        for key in &chain[..chain.len() - 2] {
            let after = world.entry(key);
            let mut entry = forged(after, moment_of(after) + 1_000);
            entry["prevHash"] = json!("1".repeat(64));
            seal(&mut entry);
            let (forged_key, bytes) = object(&entry);
            let mut bucket = world.bucket.clone();
            put(&mut bucket, &forged_key, bytes);
            for table in [None, Some(&world.table)] {
                assert_first(&verify(&bucket, table), &forged_key, "unfit");
            }
        }
    }
}

#[test]
fn detects_second_create() {
    let world = World::new();
    for number in 0..4 {
        let chain = world.chain(number);
        let create = world.entry(&chain[0]);
        for offset in [-1_000_i64, 1_000, 4_000_000_000_i64] {
            let moment = moment_of(create).checked_add_signed(offset).unwrap();
            let mut entry = create.clone();
            entry["eventId"] = json!(event_id(moment, 9));
            entry["occurredAt"] = json!(timestamp(moment));
            for (member, value) in
                [("createdAt", "occurredAt"), ("updatedAt", "occurredAt"), ("lastEventId", "eventId")]
            {
                entry["after"][member] = entry[value].clone();
            }
            seal(&mut entry);
            let (forged_key, bytes) = object(&entry);
            let mut bucket = world.bucket.clone();
            put(&mut bucket, &forged_key, bytes);
            for table in [None, Some(&world.table)] {
                assert_first(&verify(&bucket, table), &forged_key, "a second beginning");
            }
        }
    }
}

#[test]
fn detects_product_unknown_to_the_table() {
    let world = World::new();
    let mut stranger = Catalogue::default();
    stranger.apply("CREATE", 99, 0, moment_of(&world.catalogue.entries[5]) + 1_000);
    let (key, bytes) = object(&stranger.entries[0]);
    let mut bucket = world.bucket.clone();
    put(&mut bucket, &key, bytes);
    let report = verify(&bucket, Some(&world.table));
    assert_first(&report, &key, "a stranger");
    assert_eq!(report.findings[0].fault, Fault::Table);
    assert_eq!(
        verify(&bucket, None).findings,
        [],
        "what is documented: without the table it is a product like any other"
    );
}

#[test]
fn copies_and_foreign_objects_are_found() {
    let world = World::new();
    let record = world.bucket[&world.changes()[3]].bytes.clone();
    for key in [
        "events/year=2026/month=01/day=01/notes.txt",
        "events/year=2026/month=01/day=31/019c13ec-9e00-728a-83f3-929b1085347a.json",
        "events/copy.json",
    ] {
        let mut bucket = world.bucket.clone();
        put(&mut bucket, key, record.clone());
        assert_first(&verify(&bucket, Some(&world.table)), key, "a copy");
        assert_first(&verify(&bucket, None), key, "a copy");
    }
    for key in ["backup/a.json", "z", "out-of-band/year=2026/month=01/day=31/x.json"] {
        let mut bucket = world.bucket.clone();
        put(&mut bucket, key, record.clone());
        assert_first(&verify(&bucket, None), key, "a foreign object");
    }
}

#[test]
fn detects_moved_record() {
    let world = World::new();
    for number in 0..4 {
        let chain = world.chain(number);
        for pair in chain.windows(2).skip(1) {
            // The later of two gets an id before the earlier one's, and everything that follows from it.
            let (earlier, mut moved) = (world.entry(&pair[0]), world.entry(&pair[1]).clone());
            let moment = moment_of(earlier) - 1_000;
            moved["eventId"] = json!(event_id(moment, 5));
            moved["occurredAt"] = json!(timestamp(moment));
            moved["after"]["lastEventId"] = moved["eventId"].clone();
            moved["after"]["updatedAt"] = moved["occurredAt"].clone();
            seal(&mut moved);
            let (key, bytes) = object(&moved);
            let mut bucket = world.bucket.clone();
            bucket.remove(&pair[1]);
            put(&mut bucket, &key, bytes);
            for table in [None, Some(&world.table)] {
                assert_first(&verify(&bucket, table), &key, "moved");
            }
        }
    }
}

#[test]
fn detects_record_spliced_into_another_product() {
    let world = World::new();
    let mut spliced = 0;
    for number in 0..4 {
        for other in (0..4).filter(|other| *other != number) {
            let chain = world.chain(number);
            for key in &chain[1..chain.len() - 1] {
                let mut entry = world.entry(key).clone();
                let text = entry.to_string().replace(&product_id(number), &product_id(other));
                entry = serde_json::from_str(&text).unwrap();
                let mut bucket = world.bucket.clone();
                put(&mut bucket, key, object(&entry).1);
                assert_first(&verify(&bucket, None), key, "spliced");
                seal(&mut entry);
                put(&mut bucket, key, object(&entry).1);
                assert_first(&verify(&bucket, Some(&world.table)), key, "spliced and sealed");
                let report = verify(&bucket, None);
                let named = report.findings.iter().any(|finding| &finding.object == key);
                assert!(named, "spliced, sealed, without the table: {:#?}", report.findings);
                spliced += 1;
            }
        }
    }
    assert!(spliced > 50, "{spliced}");
}

#[test]
fn detects_tails_swapped_between_products() {
    let world = World::new();
    let (one, other) = (world.chain(1), world.chain(2));
    for place in 1..one.len().min(other.len()) {
        let mut bucket = world.bucket.clone();
        for (chain, from, to) in [(&one, 1, 2), (&other, 2, 1)] {
            for key in &chain[place..] {
                let text = world.entry(key).to_string().replace(&product_id(from), &product_id(to));
                let mut entry: Value = serde_json::from_str(&text).unwrap();
                seal(&mut entry);
                put(&mut bucket, key, object(&entry).1);
            }
        }
        let report = verify(&bucket, Some(&world.table));
        assert_first(&report, one[place].as_str().min(other[place].as_str()), "tails exchanged");
        assert!(!verify(&bucket, None).findings.is_empty());
    }
}

#[test]
fn versions_reveal_overwritten_and_hidden_objects() {
    let world = World::new();
    for key in world.bucket.keys() {
        for (versions, markers, fault) in [(2, 0, Fault::Overwritten), (1, 1, Fault::Deleted), (0, 1, Fault::Deleted)] {
            let mut bucket = world.bucket.clone();
            let stored = bucket.get_mut(key).unwrap();
            (stored.versions, stored.markers) = (versions, markers);
            for table in [None, Some(&world.table)] {
                let report = verify(&bucket, table);
                let named = report.findings.iter().find(|finding| &finding.object == key).expect("named");
                assert_eq!(named.fault, fault);
                if key.starts_with("events/") {
                    assert_first(&report, key, "versions");
                }
            }
        }
    }
}

#[test]
fn accepts_only_out_of_band_records_as_written() {
    let world = World::new();
    let mut numbers = Numbers(9);
    for key in world.bucket.keys().filter(|key| key.starts_with("out-of-band/")) {
        let mut bucket = world.bucket.clone();
        let bytes = &mut bucket.get_mut(key).unwrap().bytes;
        bytes.truncate(numbers.below(bytes.len()));
        assert_first(&verify(&bucket, None), key, "truncated");
    }
}

#[test]
fn detects_product_changed_in_the_table() {
    let world = World::new();
    let id = product_id(2);
    for (member, value) in [
        ("priceMinor", json!(1)),
        ("name", json!("Cheap")),
        ("note", json!("by hand")),
        ("version", json!(1)),
        ("lastEventId", world.catalogue.products[&id]["createEventId"].clone()),
        ("createFingerprint", json!("0".repeat(64))),
        ("chainHash", json!("0".repeat(64))),
    ] {
        let mut catalogue = world.catalogue.clone();
        catalogue.products.get_mut(&id).unwrap()[member] = value;
        let report = verify(&world.bucket, Some(&facts(&catalogue)));
        assert_first(&report, world.chain(2).last().unwrap(), member);
    }
    let mut broken = world.catalogue.products[&id].clone();
    broken.as_object_mut().unwrap().remove("chainHash");
    let finding = read(broken).unwrap().unwrap_err();
    let table = TableFacts { findings: vec![finding], ..world.table.clone() };
    assert_eq!(verify(&world.bucket, Some(&table)).findings[0].fault, Fault::Table);
}

#[test]
fn window_follows_chains_from_their_first_record_in_it() {
    let world = World::new();
    let keys = world.changes();
    let middle = &keys[keys.len() / 2];
    let date = |key: &str| {
        let part = |from: &str| key.split(from).nth(1).unwrap().split('/').next().unwrap().to_owned();
        day(&format!("{}-{}-{}", part("year="), part("month="), part("day="))).unwrap()
    };
    let window = Window { from: Some(date(middle)), to: None };
    let begun: BTreeSet<u64> =
        (0..4).filter(|number| world.chain(*number).iter().any(|key| date(key) >= date(middle))).collect();
    assert!(!begun.is_empty());
    for table in [None, Some(world.table.clone())] {
        let report = verify_in(window, &world.bucket, table);
        assert_eq!((report.findings.as_slice(), report.chains_begun_before), ([].as_slice(), begun.len() as u64));
    }
    let until = Window { from: None, to: Some(date(middle)) };
    let report = verify_in(until, &world.bucket, Some(world.table.clone()));
    assert_eq!(report.findings, []);
    assert!(report.changes > 0 && report.changes < keys.len() as u64);

    // Within the window a deletion is found as everywhere.
    let inside: Vec<&String> = keys.iter().filter(|key| date(key) >= date(middle)).collect();
    for key in inside {
        let mut bucket = world.bucket.clone();
        bucket.remove(key);
        assert_first(&verify_in(window, &bucket, Some(world.table.clone())), key, "in a window");
    }
}

#[test]
fn recent_changes_are_pending() {
    let world = World::new();
    let newest_applied = (0..4).filter_map(|number| world.chain(number).pop()).max().unwrap();
    for newest in [world.changes().pop().unwrap(), newest_applied] {
        let entry = world.table.journal.iter().find(|(event, _)| event.object_key() == newest);
        let recorded_at = entry.unwrap().1.recorded_at;
        let mut bucket = world.bucket.clone();
        bucket.remove(&newest);
        let run = |settled| {
            let mut verification = Verification::new(Window::default(), Some(world.table.clone()));
            for (key, stored) in &bucket {
                verification.take(&object_of(key, &stored.bytes));
            }
            verification.finish(settled)
        };
        let report = run(recorded_at - 1);
        assert_eq!((report.integrity, report.pending), (Integrity::Intact, 1), "{:?}", report.findings);
        assert_first(&run(recorded_at), &newest, "settled");
    }
}

#[test]
fn archived_objects_make_verification_incomplete() {
    let world = World::new();
    let keys = world.changes();
    let mut verification = Verification::new(Window::default(), Some(world.table.clone()));
    for (index, key) in keys.iter().enumerate() {
        let mut object = object_of(key, &world.bucket[key].bytes);
        if index < 10 {
            (object.content, object.digest) = (Content::Archived, None);
        }
        verification.take(&object);
    }
    let report = verification.finish(0);
    assert_eq!((report.integrity, report.archived), (Integrity::Incomplete, 10), "{:?}", report.findings);
}

#[test]
fn reports_broken_schema_as_form_only() {
    let world = World::new();
    let mut stranger = Catalogue::default();
    stranger.apply("CREATE", 50, 1, moment_of(&world.catalogue.entries[9]) + 1_000);
    let mut entry = stranger.entries.remove(0);
    entry["after"]["imageUrls"] = json!(["http://images.example/"]);
    fingerprint(&mut entry);
    seal(&mut entry);
    let (key, bytes) = object(&entry);
    let mut bucket = world.bucket.clone();
    put(&mut bucket, &key, bytes);
    let report = verify(&bucket, None);
    assert_eq!((report.integrity, report.form), (Integrity::Intact, Form::Invalid), "{:#?}", report.findings);
    let named: Vec<&str> = report.findings.iter().map(|finding| finding.object.as_str()).collect();
    assert_eq!(named, [key.as_str()]);
    assert_eq!(report.objects, bucket.len() as u64, "the verification continues");
    assert_eq!(report.products, 5, "the record is in its product's chain");
}

#[test]
fn finds_others_beside_unreadable_object() {
    let world = World::new();
    let chain = world.chain(1);
    let mut bucket = world.bucket.clone();
    put(&mut bucket, &chain[1], b"{\"recordType\":\"CHANGE\"}".to_vec());
    bucket.remove(&chain[3]);
    let report = verify(&bucket, Some(&world.table));
    let found: Vec<_> = report.findings.iter().map(|finding| (finding.object.as_str(), finding.fault)).collect();
    assert_eq!(found, [(chain[1].as_str(), Fault::Unreadable), (chain[3].as_str(), Fault::Missing)]);
    assert!(report.findings.iter().all(|finding| finding.product_id.is_some()), "the chain knows the product");
}

#[test]
fn reports_incomplete_without_objects() {
    let report = verify(&Bucket::new(), None);
    assert_eq!((report.integrity, report.objects), (Integrity::Incomplete, 0));
}

#[test]
fn finds_object_that_is_not_locked_as_required() {
    let world = World::new();
    let key = &world.changes()[5];
    let run = |lock: Lock| {
        let mut verification = Verification::new(Window::default(), None);
        for (other, stored) in &world.bucket {
            let lock = if other == key { lock } else { Lock::Locked };
            verification.take(&Object { lock, ..object_of(other, &stored.bytes) });
        }
        verification.finish(u64::MAX)
    };
    let report = run(Lock::Unlocked);
    assert_first(&report, key, "unlocked");
    assert_eq!(report.findings[0].fault, Fault::Unlocked);
    let prod = RequiredRetention::in_environment("prod");
    let report = run(prod.lock(Retention { mode: Mode::Governance, days: 30 }));
    assert_first(&report, key, "too weak: GOVERNANCE for 30 days (required: COMPLIANCE for at least 2557 days)");
    assert_eq!((report.findings[0].fault, report.integrity), (Fault::WeakLock, Integrity::Broken));
    let report = run(Lock::Unknown);
    assert_eq!((report.integrity, report.locks_unknown), (Integrity::Intact, 1));
}

#[test]
fn finds_claim_that_differs_from_chain() {
    let (mut catalogue, moment) = (Catalogue::default(), 1_769_860_800_000);
    // An even round has a SKU, an odd one has none.
    catalogue.apply("CREATE", 0, 1, moment);
    catalogue.apply("UPDATE", 0, 4, moment + 1_000);
    catalogue.apply("CREATE", 1, 1, moment + 2_000);
    let world = World::of(catalogue);
    let (sku, claim) = world.table.claims.iter().next().expect("an active product has a SKU");
    let (product, object) = (claim.product, format!("SKU#{sku} CLAIM"));
    let other = *world.table.products.keys().find(|other| **other != product).unwrap();
    assert_eq!(verify(&world.bucket, Some(&world.table)).findings, []);
    let with = |changed: Option<Claim>| {
        let mut table = world.table.clone();
        match changed {
            Some(changed) => table.claims.insert(sku.clone(), changed),
            None => table.claims.remove(sku),
        };
        let report = verify(&world.bucket, Some(&table));
        assert_eq!(report.integrity, Integrity::Broken);
        report.findings.iter().map(|finding| finding.object.clone()).collect::<BTreeSet<_>>()
    };
    let item = format!("PRODUCT#{product} META");
    assert_eq!(with(None), BTreeSet::from([item.clone()]), "no claim");
    assert_eq!(
        with(Some(Claim { product: other, ..*claim })),
        BTreeSet::from([item, object.clone()]),
        "another holder"
    );
    let create = world.table.products[&product].created.0;
    assert_ne!(create, claim.event, "the SKU was taken by a later change");
    assert_eq!(with(Some(Claim { event: create, ..*claim })), BTreeSet::from([object]), "another change");
}

#[test]
fn reads_again_what_changed_between_two_reads() {
    let (mut catalogue, moment) = (Catalogue::default(), 1_769_860_800_000);
    catalogue.apply("CREATE", 0, 1, moment);
    let earlier = facts(&catalogue);
    catalogue.apply("UPDATE", 0, 4, moment + 1_000);
    let world = World::of(catalogue);
    let (product, current) = world.table.products.iter().next().unwrap();
    let mut verification = Verification::new(Window::default(), Some(earlier));
    for (key, stored) in &world.bucket {
        verification.take(&object_of(key, &stored.bytes));
    }
    assert_eq!(verification.unsettled(), [*product]);
    assert_eq!(verification.chains().get(*product).unwrap().head.version, current.version);
    let journal = world.table.journal.iter().map(|(event, entry)| (*event, *entry));
    verification.read_again(*product, Some(current.clone()), journal);
    assert_eq!(verification.unsettled(), []);
    let sku = current.sku.clone().unwrap();
    assert_eq!(verification.unsettled_claims(), [(sku.clone(), *product)], "the claim was read before the product");
    verification.read_claim_again(sku.clone(), world.table.claims.get(&sku).copied());
    assert_eq!(verification.unsettled_claims(), []);
    assert_eq!(verification.finish(u64::MAX).findings, []);
}
