//! What a merge patch makes of a product.

use serde_json::Value;

use super::product::ProductDetails;
use super::product_content::ProductContent;
use super::product_patch::ProductPatch;
use super::violation::Violation;

/// Bytes of JSON that a patched product's content may have: as many as a request body. Field by field a product could grow
/// beyond that, until before and after no longer fit the message that carries them to the audit log.
const MAX_CONTENT_BYTES: usize = 64 * 1024;

/// Why the result of a merge isn't a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidResult {
    TooLarge,
    Rules(Vec<Violation>),
}

/// The content after `patch` (RFC 7396), if it is a product's content.
pub fn merge(content: &ProductDetails, patch: &ProductPatch) -> Result<ProductDetails, InvalidResult> {
    let before = ProductContent::from(content.clone());
    let size_before = size(&before);
    let mut document = serde_json::to_value(before).expect("a product's content is a JSON document");
    json_patch::merge(&mut document, &Value::Object(patch.as_map().clone()));
    let after: ProductContent =
        serde_json::from_value(document).expect("a patch keeps the required fields, and the type of each field");
    // A replacement may have made a product that is slightly larger: a price gains digits when it is stored.
    if size(&after) > MAX_CONTENT_BYTES.max(size_before) {
        return Err(InvalidResult::TooLarge);
    }
    after.check().map_err(InvalidResult::Rules)
}

/// Bytes of the content's JSON.
fn size(content: &ProductContent) -> usize {
    serde_json::to_vec(content).expect("a product's content is a JSON document").len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn content() -> ProductDetails {
        let content = json!({
            "name": "Oak table", "price": "19.99", "currency": "EUR", "sku": "OAK-1", "tags": ["oak", "table"],
            "attributes": {"width": "90 cm", "depth": "60 cm"},
        });
        serde_json::from_value::<ProductContent>(content).unwrap().check().unwrap()
    }

    fn merged(patch: Value) -> Result<Value, InvalidResult> {
        let patch: ProductPatch = serde_json::from_value(patch).unwrap();
        Ok(serde_json::to_value(ProductContent::from(merge(&content(), &patch)?)).unwrap())
    }

    #[test]
    fn replaces_removes_and_adds_members() {
        let patch = json!({
            "price": "24.50", "sku": null, "description": "Solid", "tags": ["beech"],
            "attributes": {"width": null, "height": "75 cm"},
        });
        assert_eq!(
            merged(patch),
            Ok(json!({
                "name": "Oak table", "price": "24.50", "currency": "EUR", "description": "Solid", "tags": ["beech"],
                "attributes": {"depth": "60 cm", "height": "75 cm"},
            }))
        );
    }

    #[test]
    fn changes_nothing_for_empty_patch_and_for_absent_fields() {
        let unchanged = serde_json::to_value(ProductContent::from(content())).unwrap();
        assert_eq!(merged(json!({})), Ok(unchanged.clone()));
        assert_eq!(merged(json!({"category": null, "attributes": {"colour": null}})), Ok(unchanged));
    }

    #[test]
    fn leaves_out_emptied_arrays_and_objects() {
        let result = merged(json!({"tags": [], "attributes": {"width": null, "depth": null}})).unwrap();
        assert_eq!((result.get("tags"), result.get("attributes")), (None, None));
    }

    #[test]
    fn refuses_results_larger_than_a_request_body() {
        let attributes = |letter: char| -> Value {
            (0..45)
                .map(|name| (name.to_string(), Value::from(letter.to_string().repeat(480))))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        // 480 characters of 2 bytes each in 45 attributes are less than 64 KiB, of 4 bytes each they are more.
        assert!(merged(json!({"attributes": attributes('ü')})).is_ok());
        assert_eq!(merged(json!({"attributes": attributes('🔥')})), Err(InvalidResult::TooLarge));
    }

    #[test]
    fn refuses_results_that_are_not_products() {
        // Each member alone would be possible; together with the rest of the product they break a rule.
        for patch in [json!({"currency": "JPY"}), json!({"price": "19.999"}), json!({"name": ""})] {
            assert!(matches!(merged(patch.clone()), Err(InvalidResult::Rules(_))), "{patch}");
        }
    }
}
