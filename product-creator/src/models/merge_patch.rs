//! What a JSON merge patch (RFC 7396) makes of a product's content.

use serde_json::{Map, Value};

use super::json_object::JsonObject;
use super::product_content::ProductContent;
use super::product_rules::OutputFields;
use super::violation::{DetailCode, Violation};

/// Bytes of JSON that a patched product's content may have: as many as a request body. Field by field a product could grow
/// beyond that, until before and after no longer fit the message that carries them to the audit log.
const MAX_CONTENT_BYTES: usize = 64 * 1024;

impl ProductContent {
    /// The content after a normalized `patch` (see [`parse_patch`](Self::parse_patch)).
    ///
    /// # Errors
    /// Every rule that the merged content breaks. The merged content must be in normal form, since the audit log proves a
    /// patch by merging it again: a patch can't give a product a currency with other decimals without a price.
    pub fn merge(&self, patch: &Map<String, Value>) -> Result<Self, Vec<Violation>> {
        let before = self.to_json();
        let size_before = size(&before);
        let mut document = Value::Object(before);
        json_patch::merge(&mut document, &Value::Object(patch.clone()));
        let object: JsonObject = serde_json::from_str(&document.to_string()).expect("a merged object is an object");
        let merged = Self::parse(&object, OutputFields::Unknown)?;
        let after = merged.to_json();
        if after["price"] != document["price"] {
            let message = "is required when the number of decimals changes with the currency";
            return Err(vec![Violation::new("price", DetailCode::Required, message)]);
        }
        // The edge trims what it queues, so only a message from another origin gets here.
        let untrimmed = ["name", "sku"].into_iter().filter(|field| after.get(*field) != document.get(*field));
        let message = "must not begin or end with whitespace";
        let violations: Vec<_> =
            untrimmed.map(|field| Violation::new(field, DetailCode::InvalidFormat, message)).collect();
        if !violations.is_empty() {
            return Err(violations);
        }
        // A replacement may have made a product that is slightly larger: a price gains digits when it is stored.
        if size(&after) > MAX_CONTENT_BYTES.max(size_before) {
            return Err(vec![Violation::new("body", DetailCode::TooLong, "makes the product larger than 64 KiB")]);
        }
        Ok(merged)
    }
}

/// Bytes of the content's JSON.
fn size(content: &Map<String, Value>) -> usize {
    serde_json::to_vec(content).expect("a JSON object can be written").len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn merged(patch: Value) -> Result<Value, Vec<(String, &'static str)>> {
        let content: ProductContent = serde_json::from_value(json!({
            "name": "Oak table", "price": "19.99", "currency": "EUR", "sku": "OAK-1", "tags": ["oak", "table"],
            "attributes": {"width": "90 cm", "depth": "60 cm"},
        }))
        .unwrap();
        let merged = content.merge(patch.as_object().unwrap());
        merged.map(|content| Value::Object(content.to_json())).map_err(|violations| {
            violations.into_iter().map(|violation| (violation.field, violation.code.name())).collect()
        })
    }

    #[test]
    fn replaces_removes_and_adds_members() {
        let patch = json!({
            "price": "24.50", "sku": null, "description": "Solid", "tags": ["beech"],
            "attributes": {"width": null, "height": "75 cm"},
        });
        let expected = json!({
            "name": "Oak table", "price": "24.50", "currency": "EUR", "description": "Solid", "tags": ["beech"],
            "attributes": {"depth": "60 cm", "height": "75 cm"},
        });
        assert_eq!(merged(patch), Ok(expected));
    }

    #[test]
    fn changes_nothing_for_empty_patch_and_for_absent_fields() {
        let unchanged = merged(json!({})).unwrap();
        assert_eq!(merged(json!({"category": null, "attributes": {"colour": null}})), Ok(unchanged));
    }

    #[test]
    fn leaves_out_emptied_attributes() {
        let content = merged(json!({"attributes": {"width": null, "depth": null}})).unwrap();
        assert_eq!(content.get("attributes"), None);
    }

    #[test]
    fn rejects_results_that_break_a_rule() {
        for (patch, field, code) in [
            (json!({"name": null}), "name", "REQUIRED"),
            (json!({"price": "19.999"}), "price", "TOO_MANY_DECIMALS"),
            (json!({"currency": "JPY"}), "price", "TOO_MANY_DECIMALS"),
            (json!({"currency": "KWD"}), "price", "REQUIRED"),
            (json!({"price": "5"}), "price", "REQUIRED"),
            (json!({"colour": "red"}), "colour", "UNKNOWN_FIELD"),
            (json!({"name": " Oak table"}), "name", "INVALID_FORMAT"),
            (json!({"sku": "OAK-1 "}), "sku", "INVALID_FORMAT"),
        ] {
            assert_eq!(merged(patch.clone()), Err(vec![(field.to_owned(), code)]), "{patch}");
        }
        assert!(merged(json!({"currency": "USD"})).is_ok());
        assert!(merged(json!({"currency": "KWD", "price": "1.500"})).is_ok());
    }

    #[test]
    fn rejects_results_larger_than_a_request_body() {
        let attributes = |letter: char| -> Value {
            let texts = (0..45).map(|name| (name.to_string(), Value::from(letter.to_string().repeat(480))));
            json!({"attributes": texts.collect::<Map<_, _>>()})
        };
        // 480 characters of 2 bytes each in 45 attributes are less than 64 KiB, of 4 bytes each they are more.
        assert!(merged(attributes('ü')).is_ok());
        let too_long = Err(vec![("body".to_owned(), "TOO_LONG")]);
        assert_eq!(merged(attributes('🔥')), too_long);
        // Exactly 64 KiB, and one byte more.
        let described = |length: usize| {
            let mut patch = attributes('あ');
            patch["description"] = "x".repeat(length).into();
            merged(patch)
        };
        let room = MAX_CONTENT_BYTES - described(1).unwrap().to_string().len();
        assert!(described(1 + room).is_ok());
        assert_eq!(described(2 + room), too_long);
    }
}
