//! A product that is there can be read; a deleted one cannot.

use crate::models::identifiers::ProductId;
use crate::models::product::{Product, Status};
use crate::repositories::product_reader::{ProductReader, ReadError};

/// The product, or `None` when the id names none or a deleted one.
pub async fn get_product(products: &dyn ProductReader, id: ProductId) -> Result<Option<Product>, ReadError> {
    let product = products.read(id).await?;
    Ok(product.filter(|product| product.status == Status::Active))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::identifiers::EventId;
    use crate::models::money::{Currency, Money};
    use crate::models::product::ProductDetails;
    use crate::models::timestamp::Timestamp;
    use crate::repositories::product_reader::MockProductReader;

    fn product(id: ProductId, status: Status) -> Product {
        let now = Timestamp::now();
        Product {
            id,
            details: ProductDetails {
                name: "Oak table".to_owned(),
                price: Money::parse("19.99", Currency::EUR).unwrap(),
                sku: None,
                description: None,
                category: None,
                tags: vec![],
                image_urls: vec![],
                attributes: [].into(),
            },
            status,
            version: 1,
            created_at: now,
            updated_at: now,
            last_event_id: EventId::after(None, now),
        }
    }

    #[tokio::test]
    async fn returns_active_product_and_hides_tombstone() {
        for (status, shown) in [(Status::Active, true), (Status::Deleted, false)] {
            let mut products = MockProductReader::new();
            products.expect_read().returning(move |id| Ok(Some(product(id, status))));
            assert_eq!(get_product(&products, ProductId::random()).await.unwrap().is_some(), shown, "{status:?}");
        }
    }

    #[tokio::test]
    async fn distinguishes_outage_from_absence() {
        let mut products = MockProductReader::new();
        products.expect_read().returning(|_| Err(ReadError::Unavailable("down".into())));
        assert!(matches!(get_product(&products, ProductId::random()).await, Err(ReadError::Unavailable(_))));
    }
}
