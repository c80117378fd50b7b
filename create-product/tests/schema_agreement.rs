//! The validators and the JSON Schemas accept exactly the same products, field by field and in any combination.

mod support;

use create_product::models::change_event::{ChangeType, Requested, fingerprint};
use create_product::models::json_object::JsonObject;
use create_product::models::money::Currency;
use create_product::models::product_content::ProductContent;
use create_product::models::product_rules::OutputFields;
use proptest::prelude::*;
use serde_json::{Value, json};
use support::content::{self, FIELDS};
use support::contract::{assert_keeps, examples, keeps};
use support::scale::scale;

fn parse(text: &str) -> Result<ProductContent, String> {
    let object: JsonObject = serde_json::from_str(text).map_err(|error| error.to_string())?;
    ProductContent::parse(&object, OutputFields::Unknown).map_err(|violations| format!("{violations:?}"))
}

/// Both accept the document, or neither does. An accepted one makes a change event that matches the contract.
fn assert_agreement(document: &Value) {
    let parsed = parse(&document.to_string());
    let is_valid = keeps("product-content", document);
    assert_eq!(parsed.is_ok(), is_valid, "validator: {parsed:?}; schema: {is_valid}; {document}");
    let Ok(parsed) = parsed else { return };
    let content = parsed.to_json();
    let requested = Requested::Product(content.clone());
    let event = json!({
        "schemaVersion": 1, "eventId": "019c1941-fe00-7d2e-9f10-2b3c4d5e6f70", "type": ChangeType::Create,
        "productId": "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84", "occurredAt": "2026-01-31T12:00:00.000Z", "actor": {},
        "requestId": "req-1", "fingerprint": fingerprint(Some(&requested)), "product": content,
    });
    assert_keeps("change-event", &event);
    // What is stored can be sent again and means the same.
    let again = parse(&event["product"].to_string());
    assert_eq!(again.map(|content| content.to_json()).as_ref(), Ok(event["product"].as_object().unwrap()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: scale(2_000, 200_000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agree_on_each_field(field in prop::sample::select(FIELDS.to_vec()).prop_flat_map(content::field)) {
        let (name, value) = field;
        let mut document = json!({"name": "Oak table", "price": "19", "currency": "EUR"});
        document[name] = value;
        assert_agreement(&document);
    }

    #[test]
    fn agree_on_price_and_currency(price in content::field("price"), currency in content::field("currency")) {
        assert_agreement(&json!({"name": "Oak table", "price": price.1, "currency": currency.1}));
    }

    #[test]
    fn agree_on_string_literals(members in content::members_with_literal()) {
        let text = format!("{{\"name\":\"Oak table\",\"price\":\"19\",\"currency\":\"EUR\",{members}}}");
        // Repeated members are refused by the validator, and invisible to a schema.
        let repeated = ["name", "price", "currency"].iter().find(|name| members.starts_with(&format!("\"{name}\"")));
        let text = match repeated {
            Some(name) => text.replacen(&format!("\"{name}\":"), "\"sku\":", 1),
            None => text,
        };
        let valid = serde_json::from_str(&text).is_ok_and(|document: Value| keeps("product-content", &document));
        prop_assert_eq!(parse(&text).is_ok(), valid, "{}: {:?}", text, parse(&text));
    }

    #[test]
    fn agree_on_whole_products(fields in prop::collection::vec(
        prop::sample::select(FIELDS.to_vec()).prop_flat_map(content::field), 0..6,
    )) {
        let mut document = json!({"name": "Oak table", "price": "19", "currency": "EUR"});
        for (name, value) in fields {
            document[name] = value;
        }
        assert_agreement(&document);
    }
}

/// Every character by itself, between two letters, and at either end.
#[test]
fn agree_on_every_character() {
    for field in ["name", "category", "description"] {
        for character in content::notable_characters() {
            for text in
                [format!("{character}"), format!("a{character}b"), format!("{character}a"), format!("a{character}")]
            {
                assert_agreement(&json!({"name": "x", "price": "1", "currency": "EUR", field: text}));
            }
        }
    }
}

#[test]
fn agree_on_every_currency_code() {
    let letters = || 'A'..='Z';
    let codes =
        letters().flat_map(|a| letters().flat_map(move |b| letters().map(move |c| String::from_iter([a, b, c]))));
    for code in codes {
        let price = match Currency::from_code(&code).and_then(|currency| currency.exponent()) {
            Some(decimals) if decimals > 0 => format!("1.{}", "1".repeat(usize::from(decimals))),
            _ => "1".to_owned(),
        };
        assert_agreement(&json!({"name": "x", "price": price, "currency": code}));
        assert_agreement(&json!({"name": "x", "price": format!("{price}1"), "currency": code}));
    }
}

#[test]
fn agree_on_golden_examples() {
    for (name, text) in examples("product-content", "valid") {
        assert!(parse(&text).is_ok(), "{name}: {:?}", parse(&text));
    }
    for (name, text) in examples("product-content", "invalid") {
        assert!(parse(&text).is_err(), "{name} was accepted");
    }
}
