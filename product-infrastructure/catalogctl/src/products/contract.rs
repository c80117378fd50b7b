//! The contract's JSON Schemas for the request bodies of POST and PATCH, applied to one row.

use std::sync::LazyLock;

use jsonschema::Validator;
use jsonschema::error::{ValidationError, ValidationErrorKind};
use serde_json::{Map, Value};

/// The size of a request body that the API accepts, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// The fields that every product has.
pub const REQUIRED: [&str; 3] = ["name", "price", "currency"];

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The column that a person has to correct, such as `price`, `tags[1]` or `attributes.colour`; empty for the whole row.
    pub field: String,
    /// One of the codes in `openapi.yaml`. The API can name a more specific one: a schema doesn't say which part of a rule
    /// is broken.
    pub code: String,
    /// The rule, for people.
    pub message: String,
}

impl Violation {
    pub fn new(field: impl Into<String>, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), code: code.into(), message: message.into() }
    }

    pub fn required(field: &str) -> Self {
        Self::new(field, "REQUIRED", "is required")
    }
}

static PRODUCT_CONTENT: LazyLock<Validator> =
    LazyLock::new(|| validator(include_str!("../../../contracts/product-content.schema.json")));
static PRODUCT_PATCH: LazyLock<Validator> =
    LazyLock::new(|| validator(include_str!("../../../contracts/product-patch.schema.json")));

fn validator(schema: &str) -> Validator {
    let schema = serde_json::from_str(schema).expect("the contract's schema is JSON");
    jsonschema::options().should_validate_formats(true).build(&schema).expect("the contract's schema is a JSON Schema")
}

/// Every violation of a merge patch, in the order in which the schema finds them; none if the API would accept it.
///
/// A patch with all required fields can create a product, so it is checked as a whole product. Without one of them it can
/// only change a product that exists.
pub fn violations(patch: &Map<String, Value>) -> Vec<Violation> {
    // The schema allows null in no required field; "has an invalid type" would puzzle who left a cell empty.
    let removed: Vec<&str> = REQUIRED.into_iter().filter(|field| patch.get(*field) == Some(&Value::Null)).collect();
    let mut found: Vec<Violation> = removed.iter().map(|field| Violation::required(field)).collect();
    let is_whole = REQUIRED.iter().all(|field| patch.contains_key(*field));
    let (schema, body) = if is_whole { (&PRODUCT_CONTENT, content(patch)) } else { (&PRODUCT_PATCH, patch.clone()) };
    let size = serde_json::to_string(&body).map_or(0, |json| json.len());
    let body = Value::Object(body);
    let others = schema.iter_errors(&body).map(|error| violation(&error));
    found.extend(others.filter(|violation| !removed.contains(&violation.field.as_str())));
    if size > MAX_BODY {
        let message = format!("the row must be at most {} KiB of JSON", MAX_BODY / 1024);
        found.push(Violation::new("", "PAYLOAD_TOO_LARGE", message));
    }
    found
}

/// The product that a merge patch (RFC 7396) creates: the patch without what it removes.
pub fn content(patch: &Map<String, Value>) -> Map<String, Value> {
    let mut content = Value::Object(Map::new());
    json_patch::merge(&mut content, &Value::Object(patch.clone()));
    match content {
        Value::Object(content) => content,
        _ => Map::new(),
    }
}

fn violation(error: &ValidationError<'_>) -> Violation {
    let field = field(error);
    let with = |code: &str, message: String| Violation::new(field.clone(), code, message);
    match error.kind() {
        ValidationErrorKind::Required { property } => Violation::required(property.as_str().unwrap_or_default()),
        ValidationErrorKind::AnyOf { context } if field.is_empty() => amount(context),
        // The other branch of an optional field is null, so what isn't about the type is about the value.
        ValidationErrorKind::AnyOf { context } => context
            .iter()
            .flatten()
            .find(|error| !matches!(error.kind(), ValidationErrorKind::Type { .. }))
            .map_or_else(|| with("INVALID_TYPE", "has an invalid type".to_owned()), violation),
        ValidationErrorKind::MaxLength { limit } => {
            with("TOO_LONG", format!("must contain at most {limit} characters"))
        }
        ValidationErrorKind::MinLength { limit } => {
            with("TOO_SHORT", format!("must contain at least {limit} characters"))
        }
        ValidationErrorKind::MaxItems { limit } => with("TOO_MANY", format!("must contain at most {limit} items")),
        ValidationErrorKind::MaxProperties { limit } => {
            with("TOO_MANY", format!("must contain at most {limit} entries"))
        }
        ValidationErrorKind::Type { .. } => with("INVALID_TYPE", "has an invalid type".to_owned()),
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            Violation::new(unexpected.join(", "), "UNKNOWN_FIELD", "isn't a recognized field")
        }
        ValidationErrorKind::UniqueItems => with("DUPLICATE", "must not contain duplicate items".to_owned()),
        ValidationErrorKind::PropertyNames { .. } => with("INVALID_FORMAT", "contains an invalid name".to_owned()),
        _ => with("INVALID_FORMAT", expected_format(&field).to_owned()),
    }
}

/// Price and currency are one rule of the schema, with a branch for each number of decimals.
fn amount(branches: &[Vec<ValidationError<'static>>]) -> Violation {
    let only_price = |errors: &Vec<ValidationError<'_>>| errors.iter().all(|error| field(error) == "price");
    if branches.iter().any(only_price) {
        let message = "must be a decimal such as 1299.00, at least 0 and below 10^12, with at most as many decimals as \
                       the currency has";
        Violation::new("price", "INVALID_FORMAT", message)
    } else {
        Violation::new("currency", "UNKNOWN_CURRENCY", "must be an active ISO 4217 currency code such as EUR")
    }
}

/// `tags[1]` or `attributes.colour`, which is the column's name; empty for the product itself.
fn field(error: &ValidationError<'_>) -> String {
    let pointer = error.instance_path().as_str();
    let mut name = String::new();
    for part in pointer.split('/').skip(1) {
        if part.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() && !name.starts_with("attributes") {
            name.push_str(&format!("[{part}]"));
        } else {
            if !name.is_empty() {
                name.push('.');
            }
            name.push_str(&part.replace("~1", "/").replace("~0", "~"));
        }
    }
    name
}

fn expected_format(field: &str) -> &'static str {
    match field.split(['[', '.']).next().unwrap_or_default() {
        "name" => "must be one line of at most 200 characters with at least one visible character",
        "sku" => "isn't a valid SKU",
        "imageUrls" => "must be an absolute https URL without credentials and whitespace",
        "description" | "attributes" => "must not contain control characters",
        _ => "must be one line with at least one visible character",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(change: impl FnOnce(&mut Value)) -> Vec<(String, String)> {
        let mut product = json!({"name": "Desk lamp", "price": "19.99", "currency": "EUR", "sku": "LAMP-1"});
        change(&mut product);
        let Value::Object(patch) = product else { unreachable!() };
        violations(&patch).into_iter().map(|violation| (violation.field, violation.code)).collect()
    }

    #[test]
    fn accepts_valid_product_and_valid_patch() {
        assert_eq!(found(|_| {}), []);
        assert_eq!(found(|product| *product = json!({"sku": "A", "price": "1.999", "category": null})), []);
        assert_eq!(found(|product| product["category"] = Value::Null), []);
        assert_eq!(found(|product| product["attributes"] = json!({"colour": null})), []);
    }

    #[test]
    fn names_field_and_code_of_each_violation() {
        let one = |field: &str, code: &str| vec![(field.to_owned(), code.to_owned())];
        assert_eq!(found(|product| product["price"] = json!("1.299,00")), one("price", "INVALID_FORMAT"));
        assert_eq!(found(|product| product["price"] = json!("1.999")), one("price", "INVALID_FORMAT"));
        assert_eq!(found(|product| product["price"] = json!("-1")), one("price", "INVALID_FORMAT"));
        assert_eq!(found(|product| product["price"] = Value::Null), one("price", "REQUIRED"));
        assert_eq!(found(|product| product["currency"] = json!("EURO")), one("currency", "UNKNOWN_CURRENCY"));
        assert_eq!(found(|product| product["name"] = json!("a\tb")), one("name", "INVALID_FORMAT"));
        assert_eq!(found(|product| product["name"] = json!(7)), one("name", "INVALID_TYPE"));
        assert_eq!(found(|product| product["colour"] = json!("red")), one("colour", "UNKNOWN_FIELD"));
        assert_eq!(found(|product| product["tags"] = json!(["sale", "sale"])), one("tags", "DUPLICATE"));
        assert_eq!(found(|product| product["tags"] = json!(["a", "x".repeat(51)])), one("tags[1]", "TOO_LONG"));
        let images = json!(["http://example.com/a.png"]);
        assert_eq!(found(|product| product["imageUrls"] = images), one("imageUrls[0]", "INVALID_FORMAT"));
        let attributes = json!({"7": "x".repeat(501)});
        assert_eq!(found(|product| product["attributes"] = attributes), one("attributes.7", "TOO_LONG"));
    }

    #[test]
    fn names_field_and_code_of_each_violation_of_a_patch() {
        let of = |patch: Value| found(|product| *product = patch);
        let one = |field: &str, code: &str| vec![(field.to_owned(), code.to_owned())];
        assert_eq!(of(json!({"name": null})), one("name", "REQUIRED"));
        assert_eq!(of(json!({"price": "1.299,00"})), one("price", "INVALID_FORMAT"));
        assert_eq!(of(json!({"price": "1.999", "currency": "EUR"})), one("price", "INVALID_FORMAT"));
        assert_eq!(of(json!({"currency": "EURO"})), one("currency", "UNKNOWN_CURRENCY"));
        assert_eq!(of(json!({"attributes": {"colour": "x".repeat(501)}})), one("attributes.colour", "TOO_LONG"));
    }

    #[test]
    fn rejects_row_that_exceeds_a_request_body() {
        let urls: Vec<String> = (0..10).map(|_| format!("https://x.example/{}", "u".repeat(2_020))).collect();
        let attributes: Map<String, Value> = (0..50).map(|n| (n.to_string(), "ä".repeat(500).into())).collect();
        let large = json!({"imageUrls": urls, "attributes": attributes});
        assert_eq!(found(|product| *product = large), [(String::new(), "PAYLOAD_TOO_LARGE".to_owned())]);
    }

    #[test]
    fn creates_product_without_what_the_patch_removes() {
        let patch = json!({"name": "Lamp", "sku": null, "attributes": {"colour": "red", "size": null}});
        let expected = json!({"name": "Lamp", "attributes": {"colour": "red"}});
        assert_eq!(Value::Object(content(patch.as_object().unwrap())), expected);
    }
}
