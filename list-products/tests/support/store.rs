//! Where a test's products are: in memory, or in a real engine.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use list_products::repositories::dynamodb::DynamoDbIndex;
use list_products::repositories::product_index::ProductIndex;
use list_products::repositories::table_keys::{META, product_pk};

use super::catalogue::Entry;
use super::memory_index::MemoryIndex;
use super::products_table::{self, TABLE};

/// Where products are stored and listed from.
pub enum Store {
    Memory(MemoryIndex),
    Engine { client: Client, index: DynamoDbIndex },
}

impl Store {
    pub fn memory() -> Self {
        Self::Memory(MemoryIndex::default())
    }

    pub async fn engine() -> Self {
        let client = products_table::start().await;
        Self::Engine { index: DynamoDbIndex::new(client.clone(), TABLE), client }
    }

    pub fn index(&self) -> &dyn ProductIndex {
        match self {
            Self::Memory(index) => index,
            Self::Engine { index, .. } => index,
        }
    }

    pub async fn put(&self, entry: &Entry, shards: u32) {
        match self {
            Self::Memory(index) => index.put(entry, shards),
            Self::Engine { client, .. } => products_table::put(client, entry.item(shards)).await,
        }
    }

    pub async fn remove(&self, entry: &Entry) {
        match self {
            Self::Memory(index) => index.remove(entry),
            Self::Engine { client, .. } => {
                let key = |text: String| AttributeValue::S(text);
                let item = client.delete_item().table_name(TABLE).key("PK", key(product_pk(entry.product_id())));
                item.key("SK", key(META.to_owned())).send().await.unwrap();
            }
        }
    }
}
