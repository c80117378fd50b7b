//! The body of a request that carries a product, read strictly.
//!
//! Each field is kept as the text it was sent as until its type is known: a price is a decimal from the first moment
//! and is never read as a float, a name that is given twice is seen, and all faults can be told at once.

use std::collections::BTreeMap;
use std::fmt;

use lambda_http::http::header::CONTENT_TYPE;
use lambda_http::{Body, Request};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::error::{ErrorCode, Failure};
use crate::models::product::ProductDetails;
use crate::models::product_content::ProductContent;
use crate::models::violation::{DetailCode, Violation};

/// Bytes of the largest body: a product, before and after a change, must fit a message of 256 KiB on its way to the
/// audit log (an Amazon SNS quota).
const LARGEST_BODY: usize = 64 * 1024;

const FIELDS: [&str; 9] =
    ["name", "price", "currency", "sku", "description", "category", "tags", "imageUrls", "attributes"];

/// Reads and checks the product in a request.
///
/// # Errors
/// 415 for another media type than JSON, 413 for a body over 64 KiB, 400 `MALFORMED_JSON` for what is no JSON in UTF-8,
/// 400 `VALIDATION_FAILED` with a detail for each field that is missing, unknown, given twice or against a rule.
pub fn read_product(request: &Request) -> Result<ProductDetails, Failure> {
    require_json(request)?;
    let bytes: &[u8] = match request.body() {
        Body::Text(text) => text.as_bytes(),
        Body::Binary(bytes) => bytes,
        _ => &[],
    };
    if bytes.len() > LARGEST_BODY {
        let message = format!("The body is larger than {LARGEST_BODY} bytes.");
        return Err(Failure::new(ErrorCode::PayloadTooLarge, message));
    }
    let object = read_object(bytes)?;
    read_content(&object).and_then(ProductContent::check).map_err(|violations| {
        Failure::new(ErrorCode::ValidationFailed, "The product cannot be accepted as it is.").with_details(violations)
    })
}

fn require_json(request: &Request) -> Result<(), Failure> {
    let mut values = request.headers().get_all(CONTENT_TYPE).iter();
    let media: Option<mime::Mime> = values.next().and_then(|value| value.to_str().ok()?.parse().ok());
    let is_json = media.is_some_and(|media| {
        let utf8 = media.get_param(mime::CHARSET).is_none_or(|charset| charset == mime::UTF_8);
        media.essence_str() == mime::APPLICATION_JSON.essence_str() && utf8
    });
    if is_json && values.next().is_none() {
        return Ok(());
    }
    Err(Failure::new(ErrorCode::UnsupportedMediaType, "The Content-Type must be application/json, in UTF-8."))
}

/// The fields of a JSON object, in the order they were sent, a name that is there twice included.
struct Fields(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Fields(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

fn read_object(bytes: &[u8]) -> Result<Fields, Failure> {
    serde_json::from_slice(bytes).map_err(|error| {
        // Another type is seen at its first byte; whether the rest is JSON decides what there is to tell.
        let malformed = if error.is_data() { serde_json::from_slice::<IgnoredAny>(bytes).err() } else { Some(error) };
        let Some(error) = malformed else {
            let detail = Violation::new("body", DetailCode::InvalidType, "must be a JSON object");
            let message = "The product cannot be accepted as it is.";
            return Failure::new(ErrorCode::ValidationFailed, message).with_details(vec![detail]);
        };
        // Only the place is told: serde_json's own words may quote the body.
        let place = format!("is no JSON from line {}, column {} on", error.line(), error.column());
        let detail = Violation::new("body", DetailCode::InvalidFormat, place);
        Failure::new(ErrorCode::MalformedJson, "The body is not valid JSON in UTF-8.").with_details(vec![detail])
    })
}

fn read_content(fields: &Fields) -> Result<ProductContent, Vec<Violation>> {
    let mut found = Vec::new();
    let mut given: BTreeMap<&str, &RawValue> = BTreeMap::new();
    for (name, value) in &fields.0 {
        if !FIELDS.contains(&name.as_str()) {
            let shown: String = name.chars().take(64).collect();
            let field = if shown.is_empty() { "(empty)".to_owned() } else { shown };
            found.push(Violation::new(field, DetailCode::UnknownField, "is no field of a product"));
        } else if given.insert(name, value).is_some() {
            found.push(Violation::new(name, DetailCode::Duplicate, "is given twice"));
        }
    }
    // An optional field may be null, which is how many serialisers write what is not set.
    given.retain(|_, value| value.get() != "null");
    let mut required = |field: &'static str, found: &mut Vec<Violation>| {
        let value = given.remove(field);
        if value.is_none() {
            found.push(Violation::new(field, DetailCode::Required, "is missing"));
        }
        value
    };
    let name = required("name", &mut found).map(|raw| text("name", raw, &mut found));
    let price = required("price", &mut found).map(|raw| decimal("price", raw, &mut found));
    let currency = required("currency", &mut found).map(|raw| text("currency", raw, &mut found));
    let mut optional = |field: &'static str| given.remove(field).and_then(|raw| text(field, raw, &mut found));
    let (sku, description, category) = (optional("sku"), optional("description"), optional("category"));
    let tags = given.remove("tags").map(|raw| texts("tags", raw, &mut found)).unwrap_or_default();
    let image_urls = given.remove("imageUrls").map(|raw| texts("imageUrls", raw, &mut found)).unwrap_or_default();
    let attributes = given.remove("attributes").map(|raw| text_map("attributes", raw, &mut found)).unwrap_or_default();

    let content = |name: String, price, currency| ProductContent {
        name: name.trim().to_owned(),
        price,
        currency,
        sku,
        description,
        category,
        tags,
        image_urls,
        attributes,
    };
    match (name.flatten(), price.flatten(), currency.flatten()) {
        (Some(name), Some(price), Some(currency)) if found.is_empty() => Ok(content(name, price, currency)),
        (name, price, currency) => {
            // Also tell of the rules that the readable fields break. A field that could not be read is told of
            // already; what stands in for it breaks no rule but, perhaps, its own.
            let told: Vec<String> = found.iter().map(|violation| violation.field.clone()).collect();
            let readable = content(name.unwrap_or_default(), price.unwrap_or_default(), currency.unwrap_or_default());
            let rules = readable.check().err().unwrap_or_default();
            found.extend(rules.into_iter().filter(|rule| !told.contains(&rule.field)));
            Err(found)
        }
    }
}

fn wrong_type(field: &str, expected: &str) -> Violation {
    Violation::new(field, DetailCode::InvalidType, format!("must be {expected}"))
}

fn text(field: &str, raw: &RawValue, found: &mut Vec<Violation>) -> Option<String> {
    let text = serde_json::from_str(raw.get()).ok();
    if text.is_none() {
        found.push(wrong_type(field, "a text"));
    }
    text
}

/// The digits of a price, whether sent as a number or as a text.
fn decimal(field: &str, raw: &RawValue, found: &mut Vec<Violation>) -> Option<String> {
    if raw.get().starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Some(raw.get().to_owned());
    }
    let text = serde_json::from_str(raw.get()).ok();
    if text.is_none() {
        found.push(wrong_type(field, "a number, or a text with one"));
    }
    text
}

fn texts(field: &str, raw: &RawValue, found: &mut Vec<Violation>) -> Vec<String> {
    let Ok(items) = serde_json::from_str::<Vec<Box<RawValue>>>(raw.get()) else {
        found.push(wrong_type(field, "a list of texts"));
        return Vec::new();
    };
    // What is no text leaves an empty one, so that the places of those behind it stay true.
    let item = |(place, item): (usize, &RawValue)| text(&format!("{field}[{place}]"), item, found).unwrap_or_default();
    items.iter().map(AsRef::as_ref).enumerate().map(item).collect()
}

fn text_map(field: &str, raw: &RawValue, found: &mut Vec<Violation>) -> BTreeMap<String, String> {
    let Ok(Fields(pairs)) = serde_json::from_str(raw.get()) else {
        found.push(wrong_type(field, "an object of texts"));
        return BTreeMap::new();
    };
    let mut map = BTreeMap::new();
    for (name, value) in pairs {
        let shown: String = name.chars().take(64).collect();
        let path = format!("{field}[{shown:?}]");
        let value = text(&path, &value, found).unwrap_or_default();
        if map.insert(name, value).is_some() {
            found.push(Violation::new(path, DetailCode::Duplicate, "is given twice"));
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_http::http::HeaderValue;

    fn request(content_type: &str, body: impl Into<Body>) -> Request {
        let mut request = Request::new(body.into());
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
        request
    }

    fn read(body: &str) -> Result<ProductDetails, Failure> {
        read_product(&request("application/json", body))
    }

    fn refused(body: &str) -> Vec<(String, &'static str)> {
        let failure = read(body).expect_err(body);
        assert_eq!(failure.code, ErrorCode::ValidationFailed, "{body}");
        failure.details.into_iter().map(|detail| (detail.field, detail.code.name())).collect()
    }

    /// A body whose price is written as `price`.
    fn priced(price: &str, currency: &str) -> String {
        format!(r#"{{"name":"Oak table","price":{price},"currency":"{currency}"}}"#)
    }

    #[test]
    fn a_price_is_read_exactly_from_number_or_text() {
        for (price, currency, written) in [
            ("19.99", "EUR", "19.99"),
            ("\"19.99\"", "EUR", "19.99"),
            ("19.990", "EUR", "19.99"),
            ("0.1", "EUR", "0.10"),
            ("-0", "EUR", "0.00"),
            ("999999999999.99", "EUR", "999999999999.99"),
            ("1200", "JPY", "1200"),
        ] {
            assert_eq!(read(&priced(price, currency)).unwrap().price.to_string(), written, "{price}");
        }
    }

    #[test]
    fn a_price_that_is_no_exact_amount_is_refused() {
        for (price, currency, code) in [
            ("1e3", "EUR", "INVALID_FORMAT"),
            ("\"NaN\"", "EUR", "INVALID_FORMAT"),
            ("\"\"", "EUR", "INVALID_FORMAT"),
            ("\" 1\"", "EUR", "INVALID_FORMAT"),
            ("19.999", "EUR", "TOO_MANY_DECIMALS"),
            ("1200.5", "JPY", "TOO_MANY_DECIMALS"),
            ("-0.01", "EUR", "OUT_OF_RANGE"),
            ("99999999999999999999", "EUR", "OUT_OF_RANGE"),
            ("true", "EUR", "INVALID_TYPE"),
            ("[1]", "EUR", "INVALID_TYPE"),
        ] {
            assert_eq!(refused(&priced(price, currency)), [("price".to_owned(), code)], "{price}");
        }
        for malformed in ["NaN", "Infinity", "01", "+1", "1.", ".5"] {
            assert_eq!(read(&priced(malformed, "EUR")).unwrap_err().code, ErrorCode::MalformedJson, "{malformed}");
        }
    }

    #[test]
    fn a_name_is_trimmed_and_null_means_not_set() {
        let details = read(r#"{"name":"  Oak table\n","price":1,"currency":"EUR","sku":null,"tags":null}"#).unwrap();
        assert_eq!((details.name.as_str(), details.sku, details.tags.len()), ("Oak table", None, 0));
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let found = refused(
            r#"{"price":true,"currency":"EUR","currency":"USD","colour":"red","sku":5,"tags":["a","a",7],
                "attributes":{"a":"1","a":"2","b":3},"imageUrls":"https://x.example"}"#,
        );
        let expect = [
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
        for (field, code) in expect {
            assert!(found.contains(&(field.to_owned(), code)), "{field} {code} is not in {found:?}");
        }
        assert_eq!(found.len(), expect.len(), "{found:?}");
    }

    #[test]
    fn a_missing_field_is_named_and_blank_is_not_a_name() {
        let all = ["name", "price", "currency"].map(|field| (field.to_owned(), "REQUIRED"));
        assert_eq!(refused("{}"), all);
        assert_eq!(refused(r#"{"name":null,"price":null,"currency":null}"#), all);
        assert_eq!(refused(r#"{"name":"  ","price":1,"currency":"EUR"}"#), [("name".to_owned(), "TOO_SHORT")]);
    }

    #[test]
    fn what_is_no_json_object_is_told_apart_from_what_is_no_json() {
        for body in ["[]", "null", "5", "\"text\""] {
            assert_eq!(refused(body), [("body".to_owned(), "INVALID_TYPE")], "{body}");
        }
        for body in ["", "{", "{\"name\":}", "{} {}", "{'name':1}", "\u{feff}{}", "nul", "[", "5 5", "\"a"] {
            assert_eq!(read(body).unwrap_err().code, ErrorCode::MalformedJson, "{body:?}");
        }
        let latin1 = Body::from(b"{\"name\":\"\xe4\"}".to_vec());
        let failure = read_product(&request("application/json", latin1)).unwrap_err();
        assert_eq!(failure.code, ErrorCode::MalformedJson);
    }

    #[test]
    fn a_deeply_nested_body_is_an_answer_and_no_crash() {
        let deep = format!(r#"{{"name":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
        assert!(read(&deep).is_err());
    }

    #[test]
    fn only_json_in_utf_8_is_taken() {
        let body = priced("1", "EUR");
        for good in ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=\"UTF-8\""] {
            assert!(read_product(&request(good, body.as_str())).is_ok(), "{good}");
        }
        for bad in [
            "text/plain",
            "application/json; charset=latin1",
            "application/jsonx",
            "application/xml, application/json",
            "",
        ] {
            let failure = read_product(&request(bad, body.as_str())).unwrap_err();
            assert_eq!(failure.code, ErrorCode::UnsupportedMediaType, "{bad}");
        }
        assert_eq!(read_product(&Request::new(body.into())).unwrap_err().code, ErrorCode::UnsupportedMediaType);
    }

    #[test]
    fn a_body_of_64_kib_is_taken_and_one_byte_more_is_not() {
        let mut body = priced("1", "EUR");
        body.push_str(&" ".repeat(LARGEST_BODY - body.len()));
        assert!(read(&body).is_ok());
        body.push(' ');
        assert_eq!(read(&body).unwrap_err().code, ErrorCode::PayloadTooLarge);
    }
}
