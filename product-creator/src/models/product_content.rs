//! The content of a product: the fields that a client supplies.
//!
//! [`ProductContent`] is the content in every place: in a change event, in a product's JSON, in the table. Its fields are
//! listed twice: here, and by the reader of untrusted JSON (`product_rules`, in the functions that have one). Serde reads
//! what the catalogue itself stored, so its `Deserialize` checks types only: a rule that became stricter must not hide an
//! older product.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::money::Money;

macro_rules! text_types {
    ($($(#[$documentation:meta])* $name:ident)+) => {$(
        $(#[$documentation])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub(super) String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    )+};
}

text_types! {
    ProductName
    /// Unique among active products. Compared exactly.
    Sku
    Description
    Category
    Tag
    /// An absolute https URL.
    ImageUrl
    AttributeName
    AttributeValue
}

/// The content as JSON. Optional fields that are not set, and empty arrays and objects, are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductContent {
    pub name: ProductName,
    /// The members `price` and `currency`.
    #[serde(flatten)]
    pub price: Money,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<Sku>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_urls: Vec<ImageUrl>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<AttributeName, AttributeValue>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn writes_what_it_read_and_leaves_out_what_is_not_set() {
        let minimal = json!({"name": "Oak table", "price": "19.99", "currency": "EUR"});
        let full = json!({
            "name": "Oak table", "price": "19.99", "currency": "EUR", "sku": "OAK-1", "description": "", "category": "tables",
            "tags": ["oak"], "imageUrls": ["https://x.example/a"], "attributes": {"width": "90 cm"},
        });
        for document in [minimal, full] {
            let content: ProductContent = serde_json::from_value(document.clone()).unwrap();
            assert_eq!(serde_json::to_value(content).unwrap(), document);
        }
    }

    #[test]
    fn reads_stored_content_that_today_would_be_refused() {
        let stored = json!({"name": "\u{200b}", "price": "1.00", "currency": "HRK", "category": " "});
        assert!(serde_json::from_value::<ProductContent>(stored).is_ok());
    }
}
