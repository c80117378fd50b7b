//! The HTTP contract, `tests/openapi.yaml`: every answer of a function must be one that it describes.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

use jsonschema::{Registry, Validator};
use lambda_http::Body;
use lambda_http::http::header::CONTENT_TYPE;
use lambda_http::http::{HeaderMap, Response};
use serde_json::{Value, json};

/// The contract, and the schemas that it refers to.
const DOCUMENT_PATHS: [&str; 5] = [
    "openapi.yaml",
    "contracts/accepted.schema.json",
    "contracts/error.schema.json",
    "contracts/list-page.schema.json",
    "contracts/product.schema.json",
];

/// An operation's answer with one status, ready to be compared.
struct Described {
    /// Schema of the JSON body; none if there is no body.
    body: Option<Validator>,
    /// Lower-case name, whether it is always there, and its schema.
    headers: HashMap<String, (bool, Validator)>,
}

/// Fails unless the contract says that the operation may answer so: status, every header, and the body.
pub fn assert_describes(method: &str, path: &str, answer: &Response<Body>) {
    static KNOWN: LazyLock<Mutex<HashMap<(String, u16), &'static Described>>> = LazyLock::new(Mutex::default);
    let status = answer.status().as_u16();
    let described: &Described = KNOWN
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry((format!("{method} {path}"), status))
        .or_insert_with(|| Box::leak(Box::new(describe(method, path, status))));

    let name = format!("{method} {path} {status}");
    check_headers(&name, described, answer.headers());
    match (&described.body, answer.body()) {
        (None, body) => assert_eq!(*body, Body::Empty, "{name} has no body"),
        (Some(schema), body) => {
            assert_eq!(answer.headers()[CONTENT_TYPE], "application/json", "{name}");
            let body: Value = serde_json::from_slice(body).unwrap_or_else(|error| panic!("{name}: {error}: {body:?}"));
            assert_valid(&name, schema, &body);
        }
    }
}

fn check_headers(name: &str, described: &Described, headers: &HeaderMap) {
    for (header, value) in headers.iter().filter(|(header, _)| *header != CONTENT_TYPE) {
        let Some((_, schema)) = described.headers.get(header.as_str()) else {
            panic!("{name} has a header that the contract does not know: {header}");
        };
        let text = value.to_str().unwrap();
        let number = text.parse::<u64>().ok().map(Value::from);
        assert_valid(&format!("{name} {header}"), schema, &number.unwrap_or_else(|| json!(text)));
        assert_eq!(headers.get_all(header).iter().count(), 1, "{name} {header} is there more than once");
    }
    for (header, (required, _)) in &described.headers {
        assert!(!required || headers.contains_key(header), "{name} lacks the header {header}");
    }
}

fn assert_valid(what: &str, schema: &Validator, value: &Value) {
    if schema.is_valid(value) {
        return;
    }
    let errors: Vec<String> =
        schema.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    panic!("{what} is not what the contract describes: {errors:#?}\n{value:#}");
}

fn describe(method: &str, path: &str, status: u16) -> Described {
    static CONTRACT: LazyLock<Value> = LazyLock::new(|| read("openapi.yaml"));
    let operation = format!("/paths/{}/{}", path.replace('/', "~1"), method.to_lowercase());
    let (pointer, response) = follow(&CONTRACT, &format!("{operation}/responses/{status}"));
    let body = response.get("content").map(|_| schema(&format!("{pointer}/content/application~1json/schema")));
    let headers = response["headers"].as_object().into_iter().flatten().map(|(name, _)| {
        let (pointer, header) = follow(&CONTRACT, &format!("{pointer}/headers/{name}"));
        let required = header["required"].as_bool().unwrap_or_default();
        (name.to_lowercase(), (required, schema(&format!("{pointer}/schema"))))
    });
    Described { body, headers: headers.collect() }
}

/// What stands at `pointer`, or where the `$ref` there leads to.
fn follow<'a>(contract: &'a Value, pointer: &str) -> (String, &'a Value) {
    let value = contract.pointer(pointer).unwrap_or_else(|| panic!("the contract has no {pointer}"));
    match value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
        Some(elsewhere) => follow(contract, elsewhere),
        None => (pointer.to_owned(), value),
    }
}

fn schema(pointer: &str) -> Validator {
    static DOCUMENTS: LazyLock<Registry<'static>> = LazyLock::new(|| {
        let documents = DOCUMENT_PATHS.map(|path| (format!("file:///{path}"), read(path)));
        Registry::new().extend(documents).unwrap().prepare().unwrap()
    });
    // A path's `{productId}` is no part of a URI as it stands (RFC 3986).
    let fragment = pointer.replace('{', "%7B").replace('}', "%7D");
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        .with_registry(&DOCUMENTS)
        .build(&json!({"$ref": format!("file:///openapi.yaml#{fragment}")}))
        .unwrap()
}

fn read(path: &str) -> Value {
    let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).join(path);
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    // JSON is YAML.
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
