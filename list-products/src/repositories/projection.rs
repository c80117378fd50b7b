//! What a list reads of each product: the attributes of [`ProductItem`](super::product_item::ProductItem).
//!
//! An item has a dozen attributes more: keys of the table and its indexes, and what only product-creator needs. Leaving
//! them in the table costs the same read units, and saves the time to receive and to parse them for every product of a page.

use std::collections::HashMap;

/// `ProductItem`'s attributes.
const ATTRIBUTES: [&str; 15] = [
    "productId",
    "name",
    "priceMinor",
    "currency",
    "sku",
    "description",
    "category",
    "tags",
    "imageUrls",
    "attributes",
    "status",
    "version",
    "createdAt",
    "updatedAt",
    "lastEventId",
];

/// `ProjectionExpression`: the attributes by placeholder, since `name`, `status` and `attributes` are reserved words of
/// DynamoDB's expressions.
pub fn expression() -> String {
    let mut text = String::with_capacity(ATTRIBUTES.len() * 14);
    for name in ATTRIBUTES {
        text.push_str(if text.is_empty() { "#" } else { ",#" });
        text.push_str(name);
    }
    text
}

/// `ExpressionAttributeNames`: what each placeholder stands for.
pub fn names() -> HashMap<String, String> {
    ATTRIBUTES.iter().map(|name| (format!("#{name}"), (*name).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::models::identifiers::{EventId, ProductId};
    use crate::models::product::Status;
    use crate::models::timestamp::Timestamp;
    use crate::repositories::product_item::{Item, ProductItem};

    #[test]
    fn reads_every_attribute_of_a_product_and_no_other() {
        let (now, text) = (Timestamp::now(), || Some("text".to_owned()));
        let item = ProductItem {
            product_id: ProductId::random(),
            name: "Oak table".to_owned(),
            price_minor: 1,
            currency: "EUR".to_owned(),
            sku: text(),
            description: text(),
            category: text(),
            tags: vec!["oak".to_owned()],
            image_urls: vec!["https://images.example/1.jpg".to_owned()],
            attributes: [("width".to_owned(), "90 cm".to_owned())].into(),
            status: Status::Active,
            version: 1,
            created_at: now,
            updated_at: now,
            last_event_id: EventId::after(None, now),
        };
        let stored: Item = serde_dynamo::to_item(item).unwrap();
        let read: BTreeSet<String> = names().into_values().collect();
        assert_eq!(read, stored.into_keys().collect::<BTreeSet<_>>());
        let expression = expression();
        let placeholders: BTreeSet<&str> = expression.split(',').collect();
        assert_eq!(placeholders, names().keys().map(String::as_str).collect::<BTreeSet<_>>());
    }
}
