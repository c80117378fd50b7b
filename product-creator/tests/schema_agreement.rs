//! The function and the JSON Schema of a change event accept exactly the same messages, and each accepted change makes a
//! journal entry that matches its schema.

mod support;

use std::sync::Mutex;

use async_trait::async_trait;
use product_creator::models::canonical_json::canonical_digest;
use product_creator::models::change_event::{ChangeEvent, ChangeEventDocument};
use product_creator::models::identifiers::ProductId;
use product_creator::models::journal::{JournalEntry, Outcome};
use product_creator::models::product_state::ProductState;
use product_creator::repositories::change_store::{ChangeStore, ChangeStoreError, Commit, Committed};
use product_creator::services::apply_change::apply_change;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};
use support::content::{self, FIELDS};
use support::contract::{assert_keeps, examples, keeps};
use support::scale::scale;

/// A table with one product or none, that takes every commit.
struct OneProduct {
    current: Option<ProductState>,
    committed: Mutex<Option<Commit>>,
}

#[async_trait]
impl ChangeStore for OneProduct {
    async fn current(&self, _: ProductId) -> Result<Option<ProductState>, ChangeStoreError> {
        Ok(self.current.clone())
    }

    async fn holder(&self, _: &str) -> Result<Option<ProductId>, ChangeStoreError> {
        Ok(None)
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed, ChangeStoreError> {
        *self.committed.lock().unwrap() = Some(commit.clone());
        Ok(Committed::Done)
    }
}

fn read(text: &str) -> Result<ChangeEvent, String> {
    let document = ChangeEventDocument::parse(text).map_err(|error| error.to_string())?;
    document.try_into().map_err(|error| format!("{error}"))
}

fn commit(current: Option<ProductState>, event: &ChangeEvent) -> Commit {
    let store = OneProduct { current, committed: Mutex::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(apply_change(&store, event)).unwrap().unwrap();
    store.committed.into_inner().unwrap().unwrap()
}

/// A message of a change. `requested` is `product`, `patch` or nothing, with its value.
fn message(change_type: &str, requested: Option<(&str, &Value)>) -> Value {
    let content: Map<_, _> = requested.iter().map(|(member, value)| ((*member).to_owned(), (*value).clone())).collect();
    let mut message = json!({
        "schemaVersion": 1, "eventId": "019c1941-fe00-7d2e-9f10-2b3c4d5e6f70", "type": change_type,
        "productId": "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84", "occurredAt": "2026-01-31T12:00:00.000Z", "actor": {},
        "requestId": "req-1", "fingerprint": canonical_digest(&content),
    });
    message.as_object_mut().unwrap().extend(content);
    message
}

/// The function and the schema accept the message, or neither does. The entry of an accepted one matches its schema.
fn assert_agreement(message: &Value) {
    let event = read(&message.to_string());
    let valid = keeps("change-event", message);
    assert_eq!(event.is_ok(), valid, "function: {event:?}; schema: {valid}; {message}");
    let Ok(event) = event else { return };
    assert_eq!(serde_json::to_value(ChangeEventDocument::from(&event)).unwrap(), *message, "is written as it was read");
    for current in [None, Some(product())] {
        assert_keeps_schema(&commit(current, &event).entry);
    }
}

fn assert_keeps_schema(entry: &JournalEntry) {
    assert_keeps("journal-entry", &serde_json::to_value(entry).unwrap());
}

/// The product of an earlier message.
fn product() -> ProductState {
    let content = json!({
        "name": "Oak table", "price": "19.99", "currency": "EUR", "tags": ["oak"], "attributes": {"width": "90 cm"},
    });
    let mut create = message("CREATE", Some(("product", &content)));
    create["eventId"] = json!("019c1941-0000-7d2e-9f10-2b3c4d5e6f70");
    commit(None, &read(&create.to_string()).unwrap()).next.unwrap()
}

fn members() -> impl Strategy<Value = Map<String, Value>> {
    let field = select(FIELDS.to_vec()).prop_flat_map(content::field);
    prop::collection::vec(field, 0..5)
        .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Values for the members of a message, such as are valid and such as are almost valid.
fn awkward() -> impl Strategy<Value = Value> {
    let text = select(vec![
        "",
        " ",
        "x",
        "019c1941-fe00-7d2e-9f10-2b3c4d5e6f70",
        "019C1941-FE00-7D2E-9F10-2B3C4D5E6F70",
        "019c1941fe007d2e9f102b3c4d5e6f70",
        "{019c1941-fe00-7d2e-9f10-2b3c4d5e6f70}",
        "019c1941-fe00-7d2e-cf10-2b3c4d5e6f70",
        "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "3f0c1a52-8d4e-9b6a-9f37-0c5d2e1b7a84",
        "3f0c1a52-8d4e-1b6a-8f37-0c5d2e1b7a84",
        "2026-01-31T12:00:00Z",
        "2026-01-31T12:00:00.000Z",
        "2026-01-31t12:00:00.000z",
        "2026-02-30T12:00:00.000Z",
        "2026-01-31T12:00:00.0000Z",
        "2026-01-31T12:00:00.000+00:00",
        "2026-01-31T24:00:00.000Z",
        "2026-12-31T23:59:60.000Z",
        "0000-01-01T00:00:00.000Z",
        "9999-12-31T23:59:59.999Z",
        "2024-02-29T00:00:00.000Z",
        "2026-01-31 12:00:00.000Z",
        "CREATE",
        "UPDATE",
        "DELETE",
        "create",
    ]);
    let other = select(vec![
        json!(null),
        json!(0),
        json!(1),
        json!(2),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(true),
        json!([]),
        json!({}),
        json!({"apiKeyId": "k"}),
        json!({"apiKeyId": ""}),
        json!({"apiKeyId": null}),
        json!({"sourceIp": ""}),
        json!({"sourceIp": "203.0.113.9"}),
        json!({"apiKey": "k"}),
        json!({"name": "x", "price": "1.00", "currency": "EUR"}),
    ]);
    prop_oneof![text.prop_map(Value::from), other]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: scale(2_000, 200_000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agree_on_each_field_of_product(field in select(FIELDS.to_vec()).prop_flat_map(content::field)) {
        let (name, value) = field;
        let mut product = json!({"name": "Oak table", "price": "19.00", "currency": "EUR"});
        product[name] = value;
        assert_agreement(&message("CREATE", Some(("product", &product))));
    }

    #[test]
    fn agree_on_whole_products(
        members in members(),
        price in content::field("price"),
        currency in content::field("currency"),
        kind in select(vec!["CREATE", "UPDATE", "DELETE"]),
    ) {
        let mut product = json!({"name": "Oak table", "price": price.1, "currency": currency.1});
        product.as_object_mut().unwrap().extend(members);
        assert_agreement(&message(kind, Some(("product", &product))));
    }

    #[test]
    fn agree_on_patches(members in members(), kind in select(vec!["UPDATE", "UPDATE", "CREATE", "DELETE"])) {
        assert_agreement(&message(kind, Some(("patch", &members.into()))));
    }

    #[test]
    fn agree_on_string_literals(members in content::members_with_literal()) {
        // The fingerprint of a value that serde can't hold is out of reach, and the first rule that is checked is the syntax.
        let document: Option<Value> = serde_json::from_str(&format!("{{{members}}}")).ok();
        let fingerprint = canonical_digest(&json!({"patch": document}));
        let mut message = message("UPDATE", None);
        message["fingerprint"] = json!(fingerprint);
        let text = message.to_string();
        let text = format!("{},\"patch\":{{{members}}}}}", &text[..text.len() - 1]);
        let valid = serde_json::from_str(&text).is_ok_and(|message: Value| keeps("change-event", &message));
        prop_assert_eq!(read(&text).is_ok(), valid, "{}: {:?}", text, read(&text));
    }

    #[test]
    fn agree_on_other_members(
        kind in select(vec!["CREATE", "UPDATE", "PATCH", "DELETE"]),
        changes in prop::collection::vec((select(vec![
            "schemaVersion", "eventId", "type", "productId", "occurredAt", "actor", "requestId", "expectedVersion",
            "product", "patch", "unknown",
        ]), prop::option::of(awkward())), 1..3),
    ) {
        let content = json!({"name": "Oak table", "price": "19.99", "currency": "EUR"});
        let mut message = match kind {
            "PATCH" => message("UPDATE", Some(("patch", &content))),
            "DELETE" => message("DELETE", None),
            _ => message(kind, Some(("product", &content))),
        };
        for (member, value) in changes {
            match value {
                Some(value) => message[member] = value,
                None => drop(message.as_object_mut().unwrap().remove(member)),
            }
        }
        let members = message.as_object().unwrap();
        let requested: Map<_, _> =
            ["product", "patch"].into_iter().filter_map(|name| Some((name.to_owned(), members.get(name)?.clone()))).collect();
        message["fingerprint"] = json!(canonical_digest(&requested));
        assert_agreement(&message);
    }
}

#[test]
fn agree_on_golden_examples() {
    for (name, text) in examples("change-event", "valid") {
        assert!(read(&text).is_ok(), "{name}: {:?}", read(&text));
    }
    for (name, text) in examples("change-event", "invalid") {
        assert!(read(&text).is_err(), "{name} was accepted");
    }
}

#[test]
fn merges_into_product_that_schema_accepts_or_rejects() {
    let state = product();
    for (patch, outcome) in [
        (json!({"name": "Desk"}), Outcome::Applied),
        (json!({"currency": "KWD"}), Outcome::Rejected),
        (json!({"name": " Desk"}), Outcome::Rejected),
        (json!({"imageUrls": ["https://x.example:00080/"]}), Outcome::Applied),
        (json!({"imageUrls": ["http://x.example/"]}), Outcome::Rejected),
        (json!({"category": "\u{200b}"}), Outcome::Rejected),
        (json!({"description": "B\u{fffd}rste"}), Outcome::Rejected),
        (json!({"attributes": {"width": null}}), Outcome::Applied),
    ] {
        let event = read(&message("UPDATE", Some(("patch", &patch))).to_string()).unwrap();
        let commit = commit(Some(state.clone()), &event);
        assert_eq!(commit.entry.outcome, outcome, "{patch}");
        assert_keeps_schema(&commit.entry);
    }
}
