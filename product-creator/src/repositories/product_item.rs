//! The stored form of a product: the `META` item of the `products` table.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::models::money::{Currency, Money};
use crate::models::product::Product;

/// An item of the table, attribute by attribute.
pub type Item = HashMap<String, AttributeValue>;

/// An item that no version of the functions can have written: edited by hand, or damaged.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableItem {
    #[error("the item isn't a product")]
    Shape(#[from] serde_dynamo::Error),
    #[error("the item has no price in a currency with a minor unit")]
    Price,
}

/// Reads the product of a `META` item; its keys, and attributes of later versions, are ignored.
///
/// An item has the product's members, with `priceMinor` in the place of `price`: an integer, so the store never rounds it.
pub fn read_product(mut item: Item) -> Result<Product, UnreadableItem> {
    let price = stored_price(&item).ok_or(UnreadableItem::Price)?;
    item.insert("price".to_owned(), AttributeValue::S(price.to_string()));
    Ok(serde_dynamo::from_item(item)?)
}

fn stored_price(item: &Item) -> Option<Money> {
    let currency = Currency::from_code(item.get("currency")?.as_s().ok()?)?;
    Money::from_minor_units(item.get("priceMinor")?.as_n().ok()?.parse().ok()?, currency)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::product_status::Status;

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
    fn reads_item_as_product() {
        let product = read_product(item()).unwrap();
        assert_eq!((product.version, product.status), (1, Status::Active));
        assert_eq!(
            serde_json::to_value(product.content).unwrap(),
            serde_json::json!({
                "name": "Oak table", "price": "19.99", "currency": "EUR", "tags": ["oak"], "attributes": {"width": "90 cm"},
            })
        );
    }

    #[test]
    fn reads_withdrawn_currency() {
        let mut kuna = item();
        kuna.insert("currency".to_owned(), AttributeValue::S("HRK".to_owned()));
        assert_eq!(read_product(kuna).unwrap().content.price.currency(), Currency::HRK);
    }

    #[test]
    fn rejects_item_with_missing_or_wrong_attribute() {
        for attribute in ["productId", "name", "priceMinor", "currency", "status", "version", "lastEventId"] {
            let mut without = item();
            without.remove(attribute);
            assert!(read_product(without).is_err(), "{attribute} missing");
            let mut wrong = item();
            wrong.insert(attribute.to_owned(), AttributeValue::Bool(true));
            assert!(read_product(wrong).is_err(), "{attribute} of another type");
        }
        let mut gold = item();
        gold.insert("currency".to_owned(), AttributeValue::S("XAU".to_owned()));
        assert!(read_product(gold).is_err());
    }
}
