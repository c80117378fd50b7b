//! A product: as the functions think of it (`Product`), and as JSON shows it (`ProductDocument`).
//!
//! Two types although they hold the same: the document's field names and text forms are a contract with callers and
//! with the audit log, and must not move because a function finds another shape handier.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::identifiers::{EventId, ProductId};
use super::money::Money;
use super::timestamp::Timestamp;

/// What a caller says of a product; everything else the catalogue adds itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductDetails {
    pub name: String,
    pub price: Money,
    pub sku: Option<String>,
    pub description: Option<String>,
    pub category: Option<String>,
    pub tags: Vec<String>,
    pub image_urls: Vec<String>,
    pub attributes: BTreeMap<String, String>,
}

/// A deleted product stays in the table as a tombstone: its id, version and history remain, no index shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    Active,
    Deleted,
}

/// A product with what the catalogue knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    pub id: ProductId,
    pub details: ProductDetails,
    pub status: Status,
    /// 1 for a new product, one more with each change.
    pub version: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// The change that made this version.
    pub last_event_id: EventId,
}

/// A product in JSON: what callers get, and the before and after of the audit log.
/// Optional fields that are not set, and empty lists and maps, are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductDocument {
    pub product_id: ProductId,
    pub name: String,
    /// A decimal with exactly the currency's minor digits; text, because a JSON number would be read as a float.
    pub price: String,
    /// ISO 4217.
    pub currency: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_urls: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    pub status: Status,
    pub version: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub last_event_id: EventId,
}

impl From<Product> for ProductDocument {
    fn from(product: Product) -> Self {
        let Product { id, details, status, version, created_at, updated_at, last_event_id } = product;
        Self {
            product_id: id,
            name: details.name,
            price: details.price.to_string(),
            currency: details.price.currency().code().to_owned(),
            sku: details.sku,
            description: details.description,
            category: details.category,
            tags: details.tags,
            image_urls: details.image_urls,
            attributes: details.attributes,
            status,
            version,
            created_at,
            updated_at,
            last_event_id,
        }
    }
}
