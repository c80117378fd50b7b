//! The rules of a product's content: what the catalogue accepts from a client or from the change queue.
//!
//! The edge checks them to give a clear answer, and product-creator checks them again: a message may come from an older
//! version of the edge, or from a hand. `contracts/product-content.schema.json` accepts exactly the same documents, and a
//! property test of create-product compares the two. Lengths are counted in Unicode scalar values.

use fluent_uri::Uri;
use fluent_uri::component::Authority;
use icu_properties::CodePointSetData;
use icu_properties::props::DefaultIgnorableCodePoint;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::field_reader::{DocumentKind, FieldReader, Issue, ParseField};
use super::identifiers::ProductId;
use super::json_object::JsonObject;
use super::money::Currency;
use super::product_content::{
    AttributeName, AttributeValue, Category, Description, ImageUrl, ProductContent, ProductName, Sku, Tag,
};
use super::violation::{DetailCode, Violation};

const MAX_NAME: usize = 200;
const MAX_SKU: usize = 64;
const MAX_DESCRIPTION: usize = 4_000;
const MAX_CATEGORY: usize = 100;
const MAX_TAGS: usize = 20;
const MAX_TAG: usize = 50;
const MAX_IMAGE_URLS: usize = 10;
const MAX_IMAGE_URL: usize = 2_048;
const MAX_ATTRIBUTES: usize = 50;
/// A patch can replace all attributes by as many others.
const MAX_PATCHED_ATTRIBUTES: usize = 2 * MAX_ATTRIBUTES;
const MAX_ATTRIBUTE_NAME: usize = 64;
const MAX_ATTRIBUTE_VALUE: usize = 500;

/// The fields that the catalogue adds to a product. A client can't set them.
const OUTPUT_FIELDS: [&str; 6] = ["productId", "status", "version", "createdAt", "updatedAt", "lastEventId"];

/// How the fields of [`OUTPUT_FIELDS`] are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFields {
    /// A replacement of this product takes back what a read of it returned.
    IgnoredFor(ProductId),
    ReadOnly,
    Unknown,
}

impl ProductContent {
    /// Parses a whole product.
    ///
    /// # Errors
    /// Every violation: of each field that is missing, unknown or repeated, or breaks a rule.
    pub fn parse(object: &JsonObject, output_fields: OutputFields) -> Result<Self, Vec<Violation>> {
        let mut reader = FieldReader::new(object, DocumentKind::Whole);
        let content = Self::read(&mut reader, output_fields);
        reader.finish()?;
        Ok(content.expect("a missing or invalid field is a violation"))
    }

    /// Parses a JSON merge patch (RFC 7396) of a product's content, and returns it in normal form: strings are trimmed, and
    /// prices are strings, with the currency's decimals if the patch has a currency.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), for the fields that the patch has.
    pub fn parse_patch(object: &JsonObject) -> Result<Map<String, Value>, Vec<Violation>> {
        let mut reader = FieldReader::new(object, DocumentKind::Patch);
        Self::read(&mut reader, OutputFields::ReadOnly);
        reader.finish()
    }

    /// The content as JSON.
    pub fn to_json(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(members)) => members,
            _ => unreachable!("a struct with strings, arrays and maps of strings is a JSON object"),
        }
    }

    fn read(reader: &mut FieldReader<'_>, output_fields: OutputFields) -> Option<Self> {
        let name = reader.required_string("name");
        let price = reader.money(parse_currency);
        let sku = reader.optional_string("sku");
        let description = reader.optional_string("description");
        let category = reader.optional_string("category");
        let tags = reader.string_array("tags", MAX_TAGS, true);
        let image_urls = reader.string_array("imageUrls", MAX_IMAGE_URLS, false);
        let attributes = reader.string_map("attributes", MAX_ATTRIBUTES, MAX_PATCHED_ATTRIBUTES);
        match output_fields {
            OutputFields::IgnoredFor(id) => {
                let is_other = |value: &RawValue| {
                    let text = serde_json::from_str::<String>(value.get());
                    text.ok().and_then(|text| text.parse().ok()) != Some(id)
                };
                if reader.take("productId").is_some_and(is_other) {
                    reader.report("productId", DetailCode::ReadOnlyField, "must be the product ID in the path");
                }
                for field in OUTPUT_FIELDS {
                    reader.take(field);
                }
            }
            OutputFields::ReadOnly => {
                for field in OUTPUT_FIELDS {
                    if reader.take(field).is_some() {
                        reader.report(field, DetailCode::ReadOnlyField, "is read-only");
                    }
                }
            }
            OutputFields::Unknown => {}
        }
        Some(Self { name: name?, price: price?, sku, description, category, tags, image_urls, attributes })
    }
}

/// Active codes of ISO 4217 list one that have a minor unit.
fn parse_currency(code: &str) -> Result<Currency, Issue> {
    let currency = Currency::from_code(code).filter(|currency| currency.exponent().is_some());
    let unknown = |message: String| Issue { code: DetailCode::UnknownCurrency, message: message.into() };
    let expected = "must be an active ISO 4217 currency code such as EUR";
    let currency = currency.ok_or_else(|| unknown(expected.to_owned()))?;
    match currency.is_superseded() {
        // Venezuela has two: VED did not replace VES (ISO 4217 amendment 170).
        Some(successor) if currency != Currency::VES => {
            Err(unknown(format!("{expected}; {} was replaced by {}", currency.code(), successor.code())))
        }
        _ => Ok(currency),
    }
}

macro_rules! parse_fields {
    ($($name:ident: $rule:expr),+ $(,)?) => {$(
        impl ParseField for $name {
            fn parse(text: &str) -> Result<Self, Vec<Issue>> {
                $rule(text).map(Self)
            }
        }
    )+};
}

parse_fields! {
    ProductName: |text: &str| one_line(text.trim(), MAX_NAME),
    Sku: |text: &str| one_line(text.trim(), MAX_SKU),
    Description: |text: &str| free_text(text, MAX_DESCRIPTION),
    Category: |text: &str| one_line(text, MAX_CATEGORY),
    Tag: |text: &str| one_line(text, MAX_TAG),
    ImageUrl: https_url,
    AttributeName: |text: &str| one_line(text, MAX_ATTRIBUTE_NAME),
    AttributeValue: |text: &str| free_text(text, MAX_ATTRIBUTE_VALUE),
}

/// One line with at least one visible character.
fn one_line(text: &str, max: usize) -> Result<String, Vec<Issue>> {
    if text.trim().is_empty() {
        return Err(vec![issue(DetailCode::TooShort, "must not be blank")]);
    }
    let mut issues = length_issues(text, max);
    if text.contains(char::is_control) {
        issues.push(issue(DetailCode::InvalidFormat, "must not contain control characters"));
    } else if !text.contains(is_visible) {
        issues.push(issue(DetailCode::InvalidFormat, "must contain a visible character"));
    }
    if issues.is_empty() { Ok(text.to_owned()) } else { Err(issues) }
}

/// Any number of lines.
fn free_text(text: &str, max: usize) -> Result<String, Vec<Issue>> {
    let mut issues = length_issues(text, max);
    if text.contains(|character: char| character.is_control() && !matches!(character, '\t' | '\n' | '\r')) {
        let message = "must not contain control characters other than tabs and line breaks";
        issues.push(issue(DetailCode::InvalidFormat, message));
    }
    if issues.is_empty() { Ok(text.to_owned()) } else { Err(issues) }
}

fn length_issues(text: &str, max: usize) -> Vec<Issue> {
    let mut issues = Vec::new();
    if text.chars().count() > max {
        issues.push(issue(DetailCode::TooLong, format!("must contain at most {max} characters")));
    }
    // A decoder put it in the place of bytes that aren't UTF-8: what the client wrote is lost.
    if text.contains('\u{fffd}') {
        let message = "must not contain the replacement character U+FFFD; encode the request body as UTF-8";
        issues.push(issue(DetailCode::InvalidFormat, message));
    }
    // Amazon SQS refuses a message with one of them (SendMessage, "Unicode characters"). JSON escapes the control
    // characters that SQS refuses as well, but not these two.
    if text.contains(['\u{fffe}', '\u{ffff}']) {
        issues.push(issue(DetailCode::InvalidFormat, "must not contain the noncharacters U+FFFE and U+FFFF"));
    }
    issues
}

fn is_visible(character: char) -> bool {
    !character.is_whitespace()
        && !character.is_control()
        && !matches!(character, '\u{fffd}'..='\u{ffff}')
        && !CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
}

/// An absolute https URL (RFC 3986) with a host name and without credentials.
///
/// Nothing is repaired that browsers would repair (whitespace, a missing slash, a backslash): other clients don't repair
/// it. An IP address in the place of the host name is refused: it means another machine to each client that follows it.
fn https_url(text: &str) -> Result<String, Vec<Issue>> {
    if text.chars().count() > MAX_IMAGE_URL {
        return Err(length_issues(text, MAX_IMAGE_URL));
    }
    let invalid = |message: String| vec![issue(DetailCode::InvalidFormat, message)];
    let has_scheme = text.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"));
    if !has_scheme {
        return Err(invalid("must be an https URL".to_owned()));
    }
    let uri = Uri::parse(text).map_err(|error| invalid(url_error(&text[error.index()..])))?;
    let is_sound = |authority: Authority<'_>| {
        !authority.has_userinfo() && is_host_name(authority.host()) && authority.port_to_u16().is_ok()
    };
    if uri.authority().is_some_and(is_sound) {
        return Ok(text.to_owned());
    }
    Err(invalid("must have a host name, no credentials and a port of at most 65535".to_owned()))
}

/// Names the character at which a URL is malformed, and how to write it.
fn url_error(rest: &str) -> String {
    let Some(character) = rest.chars().next() else { return "must be an https URL".to_owned() };
    if character == '%' {
        return "must not contain % without two hexadecimal digits; write the character % as %25".to_owned();
    }
    let mut bytes = [0; 4];
    let encoded: String = character.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")).collect();
    // A control character or a bidirectional one would be invisible, or change how the message is read.
    let shown = if character.is_ascii_graphic() || character.is_alphabetic() {
        format!("the character {character}")
    } else if character == ' ' {
        "a space".to_owned()
    } else {
        format!("the character U+{:04X}", u32::from(character))
    };
    format!("must not contain {shown}; percent-encode it as {encoded}")
}

/// Letters, digits, hyphens and underscores between dots (RFC 3986 §3.2.2); the last label begins with a letter, or it
/// could be an address.
fn is_host_name(host: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    host.split('.').all(is_label) && last.starts_with(|first: char| first.is_ascii_alphabetic())
}

fn issue(code: DetailCode, message: impl Into<std::borrow::Cow<'static, str>>) -> Issue {
    Issue { code, message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    type Found = Vec<(String, &'static str)>;

    fn content() -> Value {
        json!({"name": "Oak table", "price": "19.99", "currency": "EUR"})
    }

    fn object(json: &str) -> JsonObject {
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
    }

    fn parse(document: &Value) -> Result<Value, Vec<Violation>> {
        let parsed = ProductContent::parse(&object(&document.to_string()), OutputFields::Unknown)?;
        Ok(serde_json::to_value(parsed).unwrap())
    }

    fn with(field: &str, value: Value) -> Value {
        let mut document = content();
        document[field] = value;
        document
    }

    fn codes(violations: Vec<Violation>) -> Found {
        violations.into_iter().map(|violation| (violation.field, violation.code.name())).collect()
    }

    fn violations_of(json: &str) -> Vec<Violation> {
        ProductContent::parse(&object(json), OutputFields::Unknown).expect_err(json)
    }

    fn message(field: &str, value: Value) -> String {
        let violations = parse(&with(field, value)).unwrap_err();
        assert_eq!(violations.len(), 1, "{violations:?}");
        violations[0].message.to_string()
    }

    #[test]
    fn accepts_limits() {
        assert_eq!(parse(&content()), Ok(content()));
        let largest = json!({
            "name": "ä".repeat(200), "price": "999999999999.99", "currency": "EUR", "sku": "s".repeat(64),
            "description": "line\n\t".repeat(666), "category": "c".repeat(100),
            "tags": (0..20).map(|tag| format!("{tag:050}")).collect::<Vec<_>>(),
            "imageUrls": vec![format!("https://x.example/{}", "u".repeat(2_030)); 10],
            "attributes": (0..50).map(|name| (format!("{name:064}"), "v".repeat(500).into())).collect::<Map<_, _>>(),
        });
        assert_eq!(parse(&largest), Ok(largest));
    }

    #[test]
    fn rejects_each_broken_rule() {
        let many: Map<_, _> = (0..51).map(|name| (name.to_string(), "".into())).collect();
        for (field, value, path, code) in [
            ("name", json!(""), "name", "TOO_SHORT"),
            ("name", json!("x".repeat(201)), "name", "TOO_LONG"),
            ("name", json!("a\u{7}b"), "name", "INVALID_FORMAT"),
            ("name", json!("a\nb"), "name", "INVALID_FORMAT"),
            ("name", json!("a\u{ffff}"), "name", "INVALID_FORMAT"),
            ("price", json!("1e3"), "price", "INVALID_FORMAT"),
            ("price", json!("-1"), "price", "OUT_OF_RANGE"),
            ("price", json!("-0"), "price", "INVALID_FORMAT"),
            ("price", json!("1.001"), "price", "TOO_MANY_DECIMALS"),
            ("price", json!(true), "price", "INVALID_TYPE"),
            ("price", json!([1]), "price", "INVALID_TYPE"),
            ("currency", json!("EURO"), "currency", "UNKNOWN_CURRENCY"),
            ("currency", json!("eur"), "currency", "UNKNOWN_CURRENCY"),
            ("currency", json!("XAU"), "currency", "UNKNOWN_CURRENCY"),
            ("sku", json!(""), "sku", "TOO_SHORT"),
            ("sku", json!("x".repeat(65)), "sku", "TOO_LONG"),
            ("sku", json!(5), "sku", "INVALID_TYPE"),
            ("description", json!("x".repeat(4_001)), "description", "TOO_LONG"),
            ("description", json!("\0"), "description", "INVALID_FORMAT"),
            ("category", json!("x".repeat(101)), "category", "TOO_LONG"),
            ("category", json!(" \t"), "category", "TOO_SHORT"),
            ("tags", json!(vec!["x"; 21]), "tags", "TOO_MANY"),
            ("tags", json!(["x", "x"]), "tags[1]", "DUPLICATE"),
            ("tags", json!(["a", "x".repeat(51)]), "tags[1]", "TOO_LONG"),
            ("tags", json!(["  "]), "tags[0]", "TOO_SHORT"),
            ("tags", json!("oak"), "tags", "INVALID_TYPE"),
            ("imageUrls", json!(vec!["https://a"; 11]), "imageUrls", "TOO_MANY"),
            ("imageUrls", json!([format!("https://a/{}", "x".repeat(2_039))]), "imageUrls[0]", "TOO_LONG"),
            ("attributes", json!({"": "x"}), "attributes[\"\"]", "TOO_SHORT"),
            ("attributes", json!({"a": "x".repeat(501)}), "attributes[\"a\"]", "TOO_LONG"),
            ("attributes", json!({"a": null}), "attributes[\"a\"]", "INVALID_TYPE"),
            ("attributes", json!({"a": "\0"}), "attributes[\"a\"]", "INVALID_FORMAT"),
            ("attributes", json!(many), "attributes", "TOO_MANY"),
            ("colour", json!("red"), "colour", "UNKNOWN_FIELD"),
            ("version", json!(1), "version", "UNKNOWN_FIELD"),
            ("", json!(1), "(empty)", "UNKNOWN_FIELD"),
        ] {
            let label = format!("{field}: {value}");
            assert_eq!(codes(parse(&with(field, value)).expect_err(&label)), [(path.to_owned(), code)], "{label}");
        }
    }

    #[test]
    fn reports_every_violation_at_once() {
        let found = codes(violations_of(
            r#"{"price":true,"currency":"EUR","currency":"USD","colour":"red","sku":5,"tags":["a","a",7],
                "attributes":{"a":"1","a":"2","b":3},"imageUrls":"https://x.example"}"#,
        ));
        let expected = [
            ("colour", "UNKNOWN_FIELD"),
            ("currency", "DUPLICATE"),
            ("name", "REQUIRED"),
            ("price", "INVALID_TYPE"),
            ("sku", "INVALID_TYPE"),
            ("tags[1]", "DUPLICATE"),
            ("tags[2]", "INVALID_TYPE"),
            ("attributes[\"a\"]", "DUPLICATE"),
            ("attributes[\"b\"]", "INVALID_TYPE"),
            ("imageUrls", "INVALID_TYPE"),
        ];
        for (field, code) in expected {
            assert!(found.contains(&(field.to_owned(), code)), "{field} {code} is not in {found:?}");
        }
        assert_eq!(found.len(), expected.len(), "{found:?}");
    }

    #[test]
    fn reports_negative_price_beside_unknown_currency() {
        let found = codes(violations_of(r#"{"name":"","price":-1,"currency":"??"}"#));
        let expected = [("name", "TOO_SHORT"), ("currency", "UNKNOWN_CURRENCY"), ("price", "OUT_OF_RANGE")];
        assert_eq!(found, expected.map(|(field, code)| (field.to_owned(), code)));
    }

    #[test]
    fn reports_missing_and_null_required_fields() {
        let expected = ["name", "price", "currency"].map(|field| (field.to_owned(), "REQUIRED"));
        assert_eq!(codes(violations_of("{}")), expected);
        assert_eq!(codes(violations_of(r#"{"name":null,"price":null,"currency":null}"#)), expected);
    }

    #[test]
    fn reads_price_exactly_from_number_or_string() {
        for (price, currency, written) in [
            ("19.99", "EUR", "19.99"),
            ("\"19.99\"", "EUR", "19.99"),
            ("19.990", "EUR", "19.99"),
            ("0.1", "EUR", "0.10"),
            ("999999999999.99", "EUR", "999999999999.99"),
            ("1200", "JPY", "1200"),
        ] {
            let json = format!(r#"{{"name":"Oak table","price":{price},"currency":"{currency}"}}"#);
            let content = ProductContent::parse(&object(&json), OutputFields::Unknown).unwrap();
            assert_eq!(content.price.to_string(), written, "{price}");
        }
        for price in ["-0", "-0.0", "1e3", "1E3"] {
            let json = format!(r#"{{"name":"Oak table","price":{price},"currency":"EUR"}}"#);
            assert_eq!(codes(violations_of(&json)), [("price".to_owned(), "INVALID_FORMAT")], "{price}");
        }
    }

    #[test]
    fn trims_name_and_sku_only() {
        let document = json!({
            "name": "\u{a0} Oak table\n", "price": "1.00", "currency": "EUR", "sku": " OAK-1\t", "category": " c ",
            "tags": [" t "], "description": " d\r\n", "attributes": {" n ": " v "},
        });
        let parsed = parse(&document).unwrap();
        assert_eq!((&parsed["name"], &parsed["sku"]), (&json!("Oak table"), &json!("OAK-1")));
        for field in ["category", "tags", "description", "attributes"] {
            assert_eq!(parsed[field], document[field], "{field}");
        }
    }

    #[test]
    fn treats_null_and_empty_as_not_set() {
        let fields = ["sku", "description", "category", "tags", "imageUrls", "attributes"];
        for field in fields {
            assert_eq!(parse(&with(field, Value::Null)), Ok(content()), "{field}");
        }
        for (field, empty) in [("tags", json!([])), ("imageUrls", json!([])), ("attributes", json!({}))] {
            assert_eq!(parse(&with(field, empty)), Ok(content()), "{field}");
        }
    }

    #[test]
    fn rejects_text_without_visible_character() {
        for text in ["\u{200b}", "\u{2060}\u{feff}", "\u{ad}", " \u{3164} ", "\u{e0041}", "\u{fe0f}"] {
            assert_eq!(message("name", json!(text)), "must contain a visible character", "{text:?}");
            assert_eq!(message("tags", json!([text])), "must contain a visible character", "{text:?}");
        }
        for text in ["a\u{200b}", "👩\u{200d}🚀", "\u{202e}x", "·"] {
            assert!(parse(&with("name", json!(text))).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn rejects_replacement_characters_everywhere() {
        let text = json!("B\u{fffd}rste");
        for (field, value) in [
            ("name", text.clone()),
            ("sku", text.clone()),
            ("description", text.clone()),
            ("category", text.clone()),
            ("tags", json!([text])),
            ("attributes", json!({"a": text})),
            ("attributes", json!({"B\u{fffd}rste": "a"})),
        ] {
            let message = message(field, value);
            assert!(message.contains("U+FFFD") && message.contains("UTF-8"), "{field}: {message}");
        }
    }

    #[test]
    fn names_unpaired_surrogates() {
        for (json, field) in [
            (r#"{"name":"BUG-\ud83d","price":1,"currency":"EUR"}"#, "name"),
            (r#"{"name":"x","price":1,"currency":"EUR","tags":["\ud83d"]}"#, "tags[0]"),
            (r#"{"name":"x","price":"\ud83d","currency":"EUR"}"#, "price"),
            (r#"{"name":"x","price":1,"currency":"\ud83d"}"#, "currency"),
            (r#"{"name":"x","price":1,"currency":"EUR","attributes":{"\ud83d":"x"}}"#, "attributes"),
            (r#"{"name":"x","price":1,"currency":"EUR","\ud83d":"x"}"#, "body"),
        ] {
            let violations = violations_of(json);
            assert_eq!(violations.len(), 1, "{violations:?}");
            assert_eq!(violations[0].field, field, "{json}");
            assert_eq!(violations[0].message, r"must not contain the unpaired surrogate \ud83d", "{json}");
        }
    }

    #[test]
    fn accepts_active_currencies_and_names_successor_of_withdrawn_ones() {
        for active in ["EUR", "VES", "VED", "XCG", "CLF", "XAF", "ZWG"] {
            assert!(parse_currency(active).is_ok(), "{active}");
        }
        for withdrawn in ["HRK", "BGN", "CUC", "SLL", "ZWL", "ANG", "DEM"] {
            assert_eq!(parse_currency(withdrawn).unwrap_err().code, DetailCode::UnknownCurrency, "{withdrawn}");
        }
        let expected = "must be an active ISO 4217 currency code such as EUR; HRK was replaced by EUR";
        assert_eq!(message("currency", json!("HRK")), expected);
    }

    #[test]
    fn accepts_all_parts_of_a_url() {
        for url in [
            "https://x.example",
            "HTTPS://X-1.example:8443/a/b%20c.jpg?size=2&of=a/b#top",
            "https://localhost/a.jpg",
            "https://x.example:",
            "https://x.example:00080/",
            "https://my_bucket.x.example/a.jpg",
        ] {
            assert!(parse(&with("imageUrls", json!([url]))).is_ok(), "{url}");
        }
    }

    #[test]
    fn names_invalid_character_of_a_url() {
        let space = "must not contain a space; percent-encode it as %20";
        let brace = "must not contain the character {; percent-encode it as %7B";
        let umlaut = "must not contain the character ü; percent-encode it as %C3%BC";
        let percent = "must not contain % without two hexadecimal digits; write the character % as %25";
        let bidi = "must not contain the character U+202E; percent-encode it as %E2%80%AE";
        let host = "must have a host name, no credentials and a port of at most 65535";
        let https = "must be an https URL";
        for (url, expected) in [
            ("https://x.example/a b.jpg", space),
            ("https://x.example/{width}.jpg", brace),
            ("https://x.example/büste.jpg", umlaut),
            ("https://bücher.example/a.jpg", umlaut),
            ("https://x.example/%zz.jpg", percent),
            ("https://x.example/\u{202e}.jpg", bidi),
            ("https://x.example\\a.jpg", "must not contain the character \\; percent-encode it as %5C"),
            ("https://", host),
            ("https://203.0.113.9/a.jpg", host),
            ("https://[2001:db8::9]/a.jpg", host),
            ("https://user:password@x.example/a.jpg", host),
            ("https://x..example/a.jpg", host),
            ("https://x.example*/a.jpg", host),
            ("https://x.example:65536/a.jpg", host),
            ("http://x.example/a.jpg", https),
            ("https:x.example", https),
            (" https://x.example", https),
            ("data:,", https),
            ("", https),
        ] {
            assert_eq!(message("imageUrls", json!([url])), expected, "{url}");
        }
    }

    #[test]
    fn treats_output_fields_as_requested() {
        let id: ProductId = "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84".parse().unwrap();
        let read_back = |id: &str| {
            format!(
                r#"{{"name":"Oak table","price":"1.00","currency":"EUR","version":3,"status":{{}},"productId":"{id}"}}"#
            )
        };
        let replace = |json: &str| ProductContent::parse(&object(json), OutputFields::IgnoredFor(id)).map_err(codes);
        assert!(replace(&read_back(&id.to_string())).is_ok());
        assert!(replace(&read_back(&id.to_string().to_uppercase())).is_ok());
        for other in ["x", "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a85"] {
            assert_eq!(replace(&read_back(other)), Err(vec![("productId".to_owned(), "READ_ONLY_FIELD")]), "{other}");
        }
        let json = r#"{"name":"Oak table","price":"1.00","currency":"EUR","version":3,"productId":"x"}"#;
        let expected = |code| [("productId".to_owned(), code), ("version".to_owned(), code)];
        let read_only = ProductContent::parse(&object(json), OutputFields::ReadOnly).unwrap_err();
        assert_eq!(codes(read_only), expected("READ_ONLY_FIELD"));
        assert_eq!(codes(violations_of(json)), expected("UNKNOWN_FIELD"));
    }

    fn patch(json: &str) -> Result<Value, Found> {
        ProductContent::parse_patch(&object(json)).map(Value::Object).map_err(codes)
    }

    #[test]
    fn normalizes_patches() {
        for (sent, normalized) in [
            ("{}", json!({})),
            (r#"{"name":" x ","price":1.5}"#, json!({"name": "x", "price": "1.5"})),
            (r#"{"price":1.50,"currency":"KWD"}"#, json!({"price": "1.500", "currency": "KWD"})),
            (r#"{"sku":null,"tags":[],"attributes":{}}"#, json!({"sku": null, "tags": null})),
            (r#"{"attributes":{"a":null,"b":"1"}}"#, json!({"attributes": {"a": null, "b": "1"}})),
            (r#"{"attributes":null,"imageUrls":null}"#, json!({"attributes": null, "imageUrls": null})),
        ] {
            assert_eq!(patch(sent), Ok(normalized), "{sent}");
        }
    }

    #[test]
    fn rejects_patches_that_no_product_can_take() {
        for (sent, field, code) in [
            (r#"{"name":null}"#, "name", "REQUIRED"),
            (r#"{"price":null}"#, "price", "REQUIRED"),
            (r#"{"currency":null}"#, "currency", "REQUIRED"),
            (r#"{"price":"x"}"#, "price", "INVALID_FORMAT"),
            (r#"{"price":"1.5","currency":"JPY"}"#, "price", "TOO_MANY_DECIMALS"),
            (r#"{"currency":"HRK"}"#, "currency", "UNKNOWN_CURRENCY"),
            (r#"{"tags":[null]}"#, "tags[0]", "INVALID_TYPE"),
            (r#"{"version":1}"#, "version", "READ_ONLY_FIELD"),
            (r#"{"productId":null}"#, "productId", "READ_ONLY_FIELD"),
            (r#"{"colour":null}"#, "colour", "UNKNOWN_FIELD"),
            (r#"{"sku":"a","sku":"b"}"#, "sku", "DUPLICATE"),
            (r#"{"attributes":{"a":null,"a":"b"}}"#, "attributes[\"a\"]", "DUPLICATE"),
        ] {
            assert_eq!(patch(sent), Err(vec![(field.to_owned(), code)]), "{sent}");
        }
        let many: Map<_, _> = (0..101).map(|name| (name.to_string(), Value::Null)).collect();
        let sent = json!({"attributes": many}).to_string();
        assert_eq!(patch(&sent), Err(vec![("attributes".to_owned(), "TOO_MANY")]));
    }
}
