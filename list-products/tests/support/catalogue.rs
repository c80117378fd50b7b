//! Products to be listed, in the two forms that tests store.

use list_products::models::identifiers::{EventId, ProductId};
use list_products::models::money::{Currency, Money};
use list_products::models::product::{Product, ProductDetails, Status};
use list_products::models::timestamp::Timestamp;
use list_products::repositories::table_keys::{name_pk, price_sk, shard_of, shard_pk};
use serde_json::{Value, json};

use super::products_table;

/// What decides where a product stands in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Makes the id.
    pub number: u32,
    pub currency: &'static str,
    pub minor: u64,
    pub name: &'static str,
}

impl Entry {
    pub fn new(number: u32, name: &'static str, currency: &'static str, minor: u64) -> Self {
        Self { number, currency, minor, name }
    }

    pub fn id(&self) -> String {
        id(self.number)
    }

    pub fn product_id(&self) -> ProductId {
        self.id().parse().unwrap()
    }

    /// The place in the order of all products.
    pub fn sort_key(&self) -> String {
        price_sk(self.price(), self.product_id())
    }

    pub fn price(&self) -> Money {
        Money::from_minor_units(self.minor, Currency::from_code(self.currency).unwrap()).unwrap()
    }

    /// The item in the table, as product-creator writes it for this number of shards.
    pub fn item(&self, shards: u32) -> Value {
        let mut item = products_table::product(&self.id());
        item["GSI1_PK"] = json!(shard_pk(shard_of(self.product_id(), shards)));
        item["GSI1_SK"] = json!(self.sort_key());
        item["GSI2_PK"] = json!(name_pk(self.name));
        item["name"] = json!(self.name);
        item["currency"] = json!(self.currency);
        item["priceMinor"] = json!(self.minor);
        item
    }

    pub fn product(&self) -> Product {
        let now = Timestamp::from_unix_millis(1_769_860_800_000);
        Product {
            id: self.product_id(),
            details: ProductDetails {
                name: self.name.to_owned(),
                price: self.price(),
                sku: None,
                description: None,
                category: None,
                tags: vec![],
                image_urls: vec![],
                attributes: [].into(),
            },
            status: Status::Active,
            version: 1,
            created_at: now,
            updated_at: now,
            last_event_id: EventId::after(None, now),
        }
    }
}

/// Ids in an order of their own, so that nothing is in order by accident.
pub fn id(number: u32) -> String {
    format!("{:08x}-0000-4000-8000-000000000000", number.wrapping_mul(2_654_435_761))
}
