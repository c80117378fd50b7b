//! The stored form of a product: the `META` item of the `products` table.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use crate::models::identifiers::{EventId, ProductId};
use crate::models::money::{Currency, Money};
use crate::models::product::{Product, ProductDetails, Status};
use crate::models::timestamp::Timestamp;

/// An item of the table, attribute by attribute.
pub type Item = HashMap<String, AttributeValue>;

/// The `META` item without its keys, which follow from the product, and without what only some functions read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductItem {
    pub product_id: ProductId,
    pub name: String,
    /// The price in the currency's minor units: an integer, so the store never rounds it.
    pub price_minor: u64,
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

/// An item that no version of the functions writes: edited by hand, or damaged.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableItem {
    #[error("the item has missing or invalid attributes")]
    Shape(#[from] serde_dynamo::Error),
    #[error("the currency {0:?} has no minor unit, or the amount is out of range")]
    Price(String),
    #[error("the item lacks the key {0}")]
    Key(&'static str),
}

impl ProductItem {
    /// Reads a `META` item. Its keys, and attributes of later versions, are ignored.
    pub fn read(item: Item) -> Result<Self, UnreadableItem> {
        Ok(serde_dynamo::from_item(item)?)
    }

    /// The product in the item.
    pub fn into_product(self) -> Result<Product, UnreadableItem> {
        let price = Currency::from_code(&self.currency)
            .and_then(|currency| Money::from_minor_units(self.price_minor, currency))
            .ok_or(UnreadableItem::Price(self.currency))?;
        Ok(Product {
            id: self.product_id,
            details: ProductDetails {
                name: self.name,
                price,
                sku: self.sku,
                description: self.description,
                category: self.category,
                tags: self.tags,
                image_urls: self.image_urls,
                attributes: self.attributes,
            },
            status: self.status,
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
            last_event_id: self.last_event_id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item() -> Item {
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let number = |value: u64| AttributeValue::N(value.to_string());
        HashMap::from([
            ("PK".to_owned(), text("PRODUCT#3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84")),
            ("SK".to_owned(), text("META")),
            ("productId".to_owned(), text("3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84")),
            ("name".to_owned(), text("Oak table")),
            ("priceMinor".to_owned(), number(1_999)),
            ("currency".to_owned(), text("EUR")),
            ("tags".to_owned(), AttributeValue::L(vec![text("oak")])),
            ("attributes".to_owned(), AttributeValue::M(HashMap::from([("width".to_owned(), text("90 cm"))]))),
            ("status".to_owned(), text("ACTIVE")),
            ("version".to_owned(), number(1)),
            ("createdAt".to_owned(), text("2026-01-31T12:00:00.000Z")),
            ("updatedAt".to_owned(), text("2026-01-31T12:00:00.000Z")),
            ("lastEventId".to_owned(), text("019c141b-9a00-7d2e-9f10-2b3c4d5e6f70")),
        ])
    }

    #[test]
    fn reads_product_from_item() {
        let product = ProductItem::read(item()).unwrap().into_product().unwrap();
        assert_eq!(product.details.price.to_string(), "19.99");
        assert_eq!(product.details.tags, ["oak"]);
        assert_eq!(product.details.attributes["width"], "90 cm");
        assert_eq!(product.details.sku, None);
        assert_eq!(product.status, Status::Active);
    }

    #[test]
    fn rejects_item_with_missing_or_invalid_attribute() {
        for attribute in ["productId", "name", "priceMinor", "currency", "status", "version", "lastEventId"] {
            let mut without = item();
            without.remove(attribute);
            assert!(ProductItem::read(without).is_err(), "{attribute} missing");
            let mut wrong = item();
            wrong.insert(attribute.to_owned(), AttributeValue::Bool(true));
            assert!(ProductItem::read(wrong).is_err(), "{attribute} of another type");
        }
        let mut gold = item();
        gold.insert("currency".to_owned(), AttributeValue::S("XAU".to_owned()));
        assert!(ProductItem::read(gold).unwrap().into_product().is_err());
    }
}
