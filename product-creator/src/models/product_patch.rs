//! A partial change of a product's content: a JSON merge patch (RFC 7396).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How many attributes a patch may name: enough to replace all attributes of one product with as many others. Without a
/// limit, a patch that removes thousands of absent attributes would make a journal entry that no message can carry.
const MAX_ATTRIBUTES: usize = 100;

/// A merge patch that names content fields only and holds no number or boolean, as no content field does.
///
/// What a patch makes of a product depends on the product, so the rules of the fields are checked after the merge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>", into = "Map<String, Value>")]
pub struct ProductPatch(Map<String, Value>);

/// A patch that names another field or too many attributes, or sets a field to a value that no field can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the patch must hold product fields only, with strings, arrays of strings, objects with string values, or null"
)]
pub struct InvalidPatch;

impl ProductPatch {
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }
}

impl TryFrom<Map<String, Value>> for ProductPatch {
    type Error = InvalidPatch;

    fn try_from(members: Map<String, Value>) -> Result<Self, Self::Error> {
        if members.iter().all(|(field, value)| is_possible(field, value)) {
            Ok(Self(members))
        } else {
            Err(InvalidPatch)
        }
    }
}

impl From<ProductPatch> for Map<String, Value> {
    fn from(patch: ProductPatch) -> Self {
        patch.0
    }
}

/// Whether a patch may set this field to a value of this type. `null` removes a field, or an attribute.
fn is_possible(field: &str, value: &Value) -> bool {
    match (field, value) {
        ("name" | "price" | "currency", Value::String(_)) => true,
        ("sku" | "description" | "category", Value::String(_) | Value::Null) => true,
        ("tags" | "imageUrls", Value::Array(items)) => items.iter().all(Value::is_string),
        ("attributes", Value::Object(members)) => {
            members.len() <= MAX_ATTRIBUTES && members.values().all(|member| member.is_string() || member.is_null())
        }
        ("tags" | "imageUrls" | "attributes", Value::Null) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn accepts_content_fields_and_null() {
        for patch in [
            json!({}),
            json!({"name": "Oak table", "price": "19.99", "currency": "EUR", "sku": null, "description": null}),
            json!({"category": "tables", "tags": ["oak"], "imageUrls": [], "attributes": {"width": null, "depth": "1 m"}}),
        ] {
            let parsed: ProductPatch = serde_json::from_value(patch.clone()).unwrap();
            assert_eq!(serde_json::to_value(parsed).unwrap(), patch);
        }
    }

    #[test]
    fn refuses_other_fields_and_values_that_no_field_can_have() {
        for patch in [
            json!({"colour": "red"}),
            json!({"productId": "x"}),
            json!({"version": null}),
            json!({"price": 19.99}),
            json!({"name": true}),
            json!({"name": null}),
            json!({"currency": null}),
            json!({"sku": ["OAK-1"]}),
            json!({"tags": "oak"}),
            json!({"tags": [1]}),
            json!({"tags": [null]}),
            json!({"attributes": {"width": 90}}),
            json!({"attributes": {"width": {"cm": "90"}}}),
            json!([]),
            json!(null),
        ] {
            assert!(serde_json::from_value::<ProductPatch>(patch.clone()).is_err(), "{patch}");
        }
    }

    #[test]
    fn limits_number_of_attributes() {
        let removing = |number: usize| {
            let attributes: Map<String, Value> = (0..number).map(|name| (name.to_string(), Value::Null)).collect();
            serde_json::from_value::<ProductPatch>(json!({"attributes": attributes}))
        };
        assert!(removing(100).is_ok());
        assert!(removing(101).is_err());
    }
}
