//! Products to list, in the two forms that tests store.

use list_products::models::folded_text::FoldedText;
use list_products::models::identifiers::{EventId, ProductId};
use list_products::models::money::{Currency, Money};
use list_products::models::product::{Product, ProductDetails, Status};
use list_products::models::selection::{FeedPosition, Position};
use list_products::models::timestamp::Timestamp;
use list_products::repositories::index_keys::{
    active_pk, category_pk, feed_pk, feed_sk, name_pk, name_prefix, name_sk, price_sk, shard_of,
};
use list_products::repositories::sku_claim_keys::sku_pk;
use serde_json::{Value, json};

use super::products_table;

/// The time of the first record, some years ago: everything has settled.
const FIRST_RECORD: u64 = 1_769_860_800_000;

/// What decides where a product is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Makes the ID and the SKU.
    pub number: u32,
    pub currency: &'static str,
    pub minor: u64,
    pub name: &'static str,
    pub category: Option<&'static str>,
    pub status: Status,
    pub version: u64,
    /// Milliseconds after the first record.
    pub recorded: u64,
}

impl Entry {
    pub fn new(number: u32, name: &'static str, currency: &'static str, minor: u64) -> Self {
        let recorded = u64::from(number);
        Self { number, currency, minor, name, category: None, status: Status::Active, version: 1, recorded }
    }

    pub fn in_category(self, category: &'static str) -> Self {
        Self { category: Some(category), ..self }
    }

    pub fn deleted(self) -> Self {
        Self { status: Status::Deleted, ..self }
    }

    pub fn id(&self) -> String {
        id(self.number)
    }

    pub fn sku(&self) -> String {
        format!("SKU-{}", self.number)
    }

    pub fn product_id(&self) -> ProductId {
        self.id().parse().unwrap()
    }

    pub fn price(&self) -> Money {
        Money::from_minor_units(self.minor, Currency::from_code(self.currency).unwrap()).unwrap()
    }

    pub fn position(&self) -> Position {
        Position { name: String::new(), price: self.price(), id: self.product_id() }
    }

    pub fn position_by_name(&self) -> Position {
        Position { name: name_prefix(&FoldedText::new(self.name)).to_owned(), ..self.position() }
    }

    pub fn feed_position(&self) -> FeedPosition {
        FeedPosition { recorded_at: self.recorded_at(), id: self.product_id() }
    }

    pub fn recorded_at(&self) -> Timestamp {
        Timestamp::from_unix_millis(FIRST_RECORD + self.recorded)
    }

    /// The item in the table, as product-creator writes it with this number of shards.
    pub fn item(&self, shards: u32) -> Value {
        let (id, shard) = (self.product_id(), shard_of(self.product_id(), shards));
        let mut item = products_table::product(&self.id());
        let name = FoldedText::new(self.name);
        let keys = [
            ("GSI1_PK", Some(active_pk(shard))),
            ("GSI1_SK", Some(price_sk(self.price(), id))),
            ("GSI2_PK", Some(name_pk(&name))),
            ("GSI2_SK", Some(name_sk(&name, self.price(), id))),
            ("GSI3_PK", self.category.map(|category| category_pk(&FoldedText::new(category)))),
        ];
        for (key, value) in keys {
            match value.filter(|_| self.status == Status::Active) {
                Some(value) => item[key] = json!(value),
                None => drop(item.as_object_mut().unwrap().remove(key)),
            }
        }
        item["GSI4_PK"] = json!(feed_pk(shard));
        item["GSI4_SK"] = json!(feed_sk(self.recorded_at(), id));
        item["recordedAt"] = json!(self.recorded_at());
        item["name"] = json!(self.name);
        item["currency"] = json!(self.currency);
        item["priceMinor"] = json!(self.minor);
        item["sku"] = json!(self.sku());
        item["status"] = json!(self.status);
        item["version"] = json!(self.version);
        match self.category {
            Some(category) => item["category"] = json!(category),
            None => drop(item.as_object_mut().unwrap().remove("category")),
        }
        item
    }

    /// The SKU's claim, as product-creator writes it.
    pub fn claim(&self) -> Value {
        json!({
            "PK": sku_pk(&self.sku()), "SK": "CLAIM", "productId": self.id(),
            "eventId": "019c141b-9a00-7d2e-9f10-2b3c4d5e6f70",
        })
    }

    pub fn product(&self) -> Product {
        let now = Timestamp::from_unix_millis(FIRST_RECORD);
        Product {
            id: self.product_id(),
            details: ProductDetails {
                name: self.name.to_owned(),
                price: self.price(),
                sku: Some(self.sku()),
                description: None,
                category: self.category.map(str::to_owned),
                tags: vec![],
                image_urls: vec![],
                attributes: [].into(),
            },
            status: self.status,
            version: self.version,
            created_at: now,
            updated_at: now,
            last_event_id: EventId::after(None, now),
        }
    }
}

/// IDs in an order of their own, so that nothing is in order by accident.
pub fn id(number: u32) -> String {
    format!("{:08x}-0000-4000-8000-000000000000", number.wrapping_mul(2_654_435_761))
}
