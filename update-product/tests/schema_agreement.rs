//! The validators and the JSON Schema of the request accept exactly the same patches, field by field and in any
//! combination.

mod support;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use support::content::{self, FIELDS};
use support::contract::{assert_keeps, examples, keeps};
use support::scale::scale;
use update_product::models::change_event::{ChangeType, Requested, fingerprint};
use update_product::models::json_object::JsonObject;
use update_product::models::product_content::ProductContent;

fn parse(text: &str) -> Result<Map<String, Value>, String> {
    let object: JsonObject = serde_json::from_str(text).map_err(|error| error.to_string())?;
    ProductContent::parse_patch(&object).map_err(|violations| format!("{violations:?}"))
}

/// Both accept the patch, or neither does. An accepted one makes a change event that matches the contract, and a merged
/// product that is as valid as any other.
fn assert_agreement(patch: &Value) {
    let parsed = parse(&patch.to_string());
    let is_valid = keeps("product-patch", patch);
    assert_eq!(parsed.is_ok(), is_valid, "validator: {parsed:?}; schema: {is_valid}; {patch}");
    let Ok(parsed) = parsed else { return };
    let requested = Requested::Patch(parsed.clone());
    let event = json!({
        "schemaVersion": 1, "eventId": "019c1941-fe00-7d2e-9f10-2b3c4d5e6f70", "type": ChangeType::Update,
        "productId": "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84", "occurredAt": "2026-01-31T12:00:00.000Z", "actor": {},
        "requestId": "req-1", "fingerprint": fingerprint(Some(&requested)), "patch": parsed,
    });
    assert_keeps("change-event", &event);
    assert_eq!(parse(&event["patch"].to_string()).as_ref(), Ok(&parsed), "a normalized patch is normal");
    assert_merge(&parsed);
}

/// The audit log proves a patch by merging it again: the merged content is the merged document, but for empty attributes.
fn assert_merge(patch: &Map<String, Value>) {
    let content = json!({
        "name": "Oak table", "price": "19.99", "currency": "EUR", "tags": ["oak"], "attributes": {"width": "90 cm"},
    });
    let current: ProductContent = serde_json::from_value(content.clone()).unwrap();
    let Ok(merged) = current.merge(patch) else { return };
    let mut expected = content;
    json_patch::merge(&mut expected, &Value::Object(patch.clone()));
    let members = expected.as_object_mut().unwrap();
    members.retain(|_, value| value != &json!({}));
    assert_eq!(&merged.to_json(), members);
    assert!(keeps("product-content", &expected), "{expected}");
}

fn value(name: &'static str) -> impl Strategy<Value = (&'static str, Value)> {
    prop_oneof![9 => content::field(name), 1 => Just((name, Value::Null))]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: scale(2_000, 200_000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agree_on_each_field(field in prop::sample::select(FIELDS.to_vec()).prop_flat_map(value)) {
        assert_agreement(&json!({field.0: field.1}));
    }

    #[test]
    fn agree_on_whole_patches(
        fields in prop::collection::vec(prop::sample::select(FIELDS.to_vec()).prop_flat_map(value), 0..6),
    ) {
        let members: Map<_, _> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_agreement(&Value::Object(members));
    }

    #[test]
    fn agree_on_price_and_currency(price in value("price"), currency in value("currency")) {
        assert_agreement(&json!({"price": price.1, "currency": currency.1}));
    }

    #[test]
    fn agree_on_string_literals(members in content::members_with_literal()) {
        let text = format!("{{{members}}}");
        let valid = serde_json::from_str(&text).is_ok_and(|patch: Value| keeps("product-patch", &patch));
        prop_assert_eq!(parse(&text).is_ok(), valid, "{}: {:?}", text, parse(&text));
    }

    #[test]
    fn agree_on_removed_attributes(members in prop::collection::btree_map(
        content::text(64), prop_oneof![Just(Value::Null), Just(json!("x")), Just(json!(1))], 0..4,
    )) {
        assert_agreement(&json!({"attributes": members}));
    }
}

#[test]
fn agree_on_number_of_attributes() {
    for number in [50, 51, 100, 101] {
        let members: Map<_, _> = (0..number).map(|name| (name.to_string(), Value::Null)).collect();
        assert_agreement(&json!({"attributes": members}));
    }
}

#[test]
fn agree_on_golden_examples() {
    for (name, text) in examples("product-patch", "valid") {
        assert!(parse(&text).is_ok(), "{name}: {:?}", parse(&text));
    }
    for (name, text) in examples("product-patch", "invalid") {
        assert!(parse(&text).is_err(), "{name} was accepted");
    }
}
