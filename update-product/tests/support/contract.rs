//! The shared contracts: JSON Schemas that what a function sends must keep, and golden examples.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

use jsonschema::Validator;
use serde_json::Value;

/// Fails unless `document` keeps `tests/contracts/{schema}.schema.json`; formats are checked too.
pub fn assert_keeps(schema: &str, document: &Value) {
    let validator = validator(schema);
    if validator.is_valid(document) {
        return;
    }
    let errors: Vec<String> =
        validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    panic!("not a valid {schema}: {errors:#?}\n{document:#}");
}

/// Whether `document` matches `tests/contracts/{schema}.schema.json`.
pub fn keeps(schema: &str, document: &Value) -> bool {
    validator(schema).is_valid(document)
}

/// Each is made once: some tests check documents by the hundred thousand.
fn validator(schema: &str) -> &'static Validator {
    static KNOWN: LazyLock<Mutex<HashMap<String, &'static Validator>>> = LazyLock::new(Mutex::default);
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).entry(schema.to_owned()).or_insert_with(|| {
        let text = std::fs::read_to_string(contracts().join(format!("{schema}.schema.json"))).unwrap();
        let document = serde_json::from_str(&text).unwrap();
        Box::leak(Box::new(jsonschema::options().should_validate_formats(true).build(&document).unwrap()))
    })
}

/// The golden examples of a schema, `valid` or `invalid`: file name and text.
pub fn examples(schema: &str, validity: &str) -> Vec<(String, String)> {
    let folder = contracts().join("examples").join(schema).join(validity);
    let mut examples: Vec<(String, String)> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    assert!(!examples.is_empty(), "no example in {}", folder.display());
    examples.sort();
    examples
}

fn contracts() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/contracts"))
}
