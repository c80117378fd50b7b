//! A product with what only its writer needs to know.

use std::collections::BTreeMap;

use super::identifiers::{EventId, ProductId};
use super::product::Product;
use super::product_content::Sku;
use super::product_status::Status;
use super::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductState {
    pub product: Product,
    /// `recordedAt` of the newest applied journal entry.
    pub recorded_at: Timestamp,
    /// `hash` of the newest applied journal entry.
    pub chain_hash: String,
    pub create_event_id: EventId,
    pub create_fingerprint: String,
}

impl Product {
    /// The SKU that the product claims: a deleted product claims none.
    pub fn claimed_sku(&self) -> Option<&str> {
        match self.status {
            Status::Active => self.content.sku.as_ref().map(Sku::as_str),
            Status::Deleted => None,
        }
    }
}

/// The holders of SKUs, as far as they were read: only after a claim has failed, because nearly every claim succeeds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownClaims(BTreeMap<String, Option<ProductId>>);

impl KnownClaims {
    pub fn insert(&mut self, sku: String, holder: Option<ProductId>) {
        self.0.insert(sku, holder);
    }

    /// The product that is known to hold the SKU, if it is another one than `id`.
    pub fn other_holder(&self, sku: &str, id: ProductId) -> Option<ProductId> {
        self.0.get(sku).copied().flatten().filter(|holder| *holder != id)
    }

    /// Whether `id` is known not to hold the SKU.
    pub fn is_lost(&self, sku: &str, id: ProductId) -> bool {
        self.0.get(sku).is_some_and(|holder| *holder != Some(id))
    }
}
