//! The HTTP contract, `tests/openapi.yaml`: the contract describes every response of a function.
//!
//! The OpenAPI document is what client generators can read. What it cannot express, the schemas in `tests/contracts`
//! enforce: a component with `x-contract: product` is checked against `product.schema.json` too, and an error's code is one
//! of the response's `x-error-codes`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

use jsonschema::{Registry, Validator};
use lambda_http::Body;
use lambda_http::http::header::CONTENT_TYPE;
use lambda_http::http::{HeaderMap, Response};
use serde_json::{Value, json};

/// An operation's response with one status, ready for comparison.
struct Described {
    /// Schemas of the JSON body, the OpenAPI document's and the strict one; none if there is no body.
    body: Vec<Validator>,
    /// Codes that the response may have if it is an error.
    error_codes: Vec<Value>,
    /// Lower-case name, whether the header is required, and its schema.
    headers: HashMap<String, (bool, Validator)>,
}

/// Fails unless the contract describes the operation's response: its status, every header, and the body.
pub fn assert_describes(method: &str, path: &str, response: &Response<Body>) {
    static KNOWN: LazyLock<Mutex<HashMap<(String, u16), &'static Described>>> = LazyLock::new(Mutex::default);
    let status = response.status().as_u16();
    let described: &Described = KNOWN
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry((format!("{method} {path}"), status))
        .or_insert_with(|| Box::leak(Box::new(describe(method, path, status))));

    let name = format!("{method} {path} {status}");
    check_headers(&name, described, response.headers());
    if described.body.is_empty() {
        assert_eq!(*response.body(), Body::Empty, "{name} has no body");
        return;
    }
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json", "{name}");
    let body: Value = serde_json::from_slice(response.body())
        .unwrap_or_else(|error| panic!("{name}: {error}: {:?}", response.body()));
    for schema in &described.body {
        assert_valid(&name, schema, &body);
    }
    if status >= 400 {
        let code = &body["error"]["code"];
        assert!(
            described.error_codes.contains(code),
            "{name} has the code {code}, expected {:?}",
            described.error_codes
        );
    }
}

fn check_headers(name: &str, described: &Described, headers: &HeaderMap) {
    for (header, value) in headers.iter().filter(|(header, _)| *header != CONTENT_TYPE) {
        let Some((_, schema)) = described.headers.get(header.as_str()) else {
            panic!("{name} has a header that the contract does not describe: {header}");
        };
        let text = value.to_str().unwrap();
        let number = text.parse::<u64>().ok().map(Value::from).filter(|number| schema.is_valid(number));
        assert_valid(&format!("{name} {header}"), schema, &number.unwrap_or_else(|| json!(text)));
        assert_eq!(headers.get_all(header).iter().count(), 1, "{name} repeats the header {header}");
    }
    for (header, (required, _)) in &described.headers {
        assert!(!required || headers.contains_key(header), "{name} lacks the header {header}");
    }
}

fn assert_valid(name: &str, schema: &Validator, value: &Value) {
    if schema.is_valid(value) {
        return;
    }
    let errors: Vec<String> =
        schema.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    panic!("{name} does not match the contract: {errors:#?}\n{value:#}");
}

fn describe(method: &str, path: &str, status: u16) -> Described {
    static CONTRACT: LazyLock<Value> = LazyLock::new(|| read("openapi.yaml"));
    let operation = format!("/paths/{}/{}", path.replace('/', "~1"), method.to_lowercase());
    let (pointer, response) = follow(&CONTRACT, &format!("{operation}/responses/{status}"));
    let mut body = Vec::new();
    if response.get("content").is_some() {
        let (pointer, component) = follow(&CONTRACT, &format!("{pointer}/content/application~1json/schema"));
        body.push(schema(&pointer));
        let strict = component["x-contract"].as_str().unwrap_or_else(|| panic!("{pointer} has no x-contract"));
        body.push(validator(&read(&format!("contracts/{strict}.schema.json"))));
    }
    let headers = response["headers"].as_object().into_iter().flatten().map(|(name, _)| {
        let (pointer, header) = follow(&CONTRACT, &format!("{pointer}/headers/{name}"));
        let required = header["required"].as_bool().unwrap_or_default();
        (name.to_lowercase(), (required, schema(&format!("{pointer}/schema"))))
    });
    let error_codes = response["x-error-codes"].as_array().cloned().unwrap_or_default();
    Described { body, error_codes, headers: headers.collect() }
}

/// The value at `pointer`, or at the place that its `$ref` names.
fn follow<'a>(contract: &'a Value, pointer: &str) -> (String, &'a Value) {
    let value = contract.pointer(pointer).unwrap_or_else(|| panic!("the contract has no {pointer}"));
    match value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
        Some(elsewhere) => follow(contract, elsewhere),
        None => (pointer.to_owned(), value),
    }
}

/// The OpenAPI document's schema at `pointer`.
fn schema(pointer: &str) -> Validator {
    // A path's `{productId}` must be percent-encoded in a URI (RFC 3986).
    let fragment = pointer.replace('{', "%7B").replace('}', "%7D");
    validator(&json!({"$ref": format!("file:///openapi.yaml#{fragment}")}))
}

fn validator(schema: &Value) -> Validator {
    static DOCUMENT: LazyLock<Registry<'static>> = LazyLock::new(|| {
        Registry::new().extend([("file:///openapi.yaml", read("openapi.yaml"))]).unwrap().prepare().unwrap()
    });
    jsonschema::draft202012::options().should_validate_formats(true).with_registry(&DOCUMENT).build(schema).unwrap()
}

fn read(path: &str) -> Value {
    let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).join(path);
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    // JSON is YAML.
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
