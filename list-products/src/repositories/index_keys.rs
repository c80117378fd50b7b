//! The indexes of the `products` table and their keys. Readers and the writer must agree on each byte, so each format is
//! defined once, here. See `contracts/README.md` of product-infrastructure for the table.

use crate::models::folded_text::FoldedText;
use crate::models::identifiers::ProductId;
use crate::models::money::{Currency, Money};
use crate::models::timestamp::Timestamp;
use sha2::{Digest, Sha256};

/// A global secondary index: its name and the attributes that hold its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Index {
    pub name: &'static str,
    pub partition_key: &'static str,
    pub sort_key: &'static str,
}

/// Active products by currency and price, in shards.
pub const PRICE_INDEX: Index = Index { name: "ProductsByPriceIndex", partition_key: "GSI1_PK", sort_key: "GSI1_SK" };
/// Active products by folded name; products of the same name by currency and price.
pub const NAME_INDEX: Index = Index { name: "ProductsByNameIndex", partition_key: "GSI2_PK", sort_key: "GSI2_SK" };
/// Active products of a category by currency and price.
pub const CATEGORY_INDEX: Index =
    Index { name: "ProductsByCategoryIndex", partition_key: "GSI3_PK", sort_key: "GSI1_SK" };
/// All products, deleted ones too, by the time of their newest applied change, in shards.
pub const CHANGE_INDEX: Index = Index { name: "ProductsByChangeIndex", partition_key: "GSI4_PK", sort_key: "GSI4_SK" };

/// Width of an amount in a sort key: the largest amount below 10^12 units of a currency with four decimals has 16
/// digits. Padded with zeros, strings sort as the amounts do.
pub const AMOUNT_WIDTH: usize = 16;

/// How much of a folded name a sort key holds. DynamoDB limits a sort key to 1,024 bytes, and folding can make a name
/// three times as long.
pub const MAX_NAME_BYTES: usize = 900;

/// Partition key of `PRICE_INDEX` for one shard of the active products.
pub fn active_pk(shard: u32) -> String {
    format!("ACTIVE#{shard}")
}

/// Partition key of `CHANGE_INDEX` for one shard of the products.
pub fn feed_pk(shard: u32) -> String {
    format!("FEED#{shard}")
}

/// The shard of a product: the first eight bytes of the SHA-256 of its id, big-endian, modulo `shards`. A hash that every
/// language has, because the audit tools compute the same key.
pub fn shard_of(id: ProductId, shards: u32) -> u32 {
    let digest = Sha256::digest(id.to_string().as_bytes());
    let first = u64::from_be_bytes(std::array::from_fn(|place| digest[place]));
    // The remainder of a division by a u32 fits a u32.
    u32::try_from(first % u64::from(shards.max(1))).unwrap_or(u32::MAX)
}

/// Sort key of `PRICE_INDEX` and `CATEGORY_INDEX`: currency, amount, id. It is unique, so the order is total.
pub fn price_sk(price: Money, id: ProductId) -> String {
    format!("{}{id}", price_prefix(price))
}

/// What the price sort keys of all products of this price begin with.
pub fn price_prefix(price: Money) -> String {
    format!("{}{:0AMOUNT_WIDTH$}#", currency_prefix(price.currency()), price.minor_units())
}

/// What the price sort keys of all products of a currency begin with.
pub fn currency_prefix(currency: Currency) -> String {
    format!("{}#", currency.code())
}

/// Partition key of `NAME_INDEX`, of a name or of a prefix of at least two characters: the first two characters.
pub fn name_pk(name: &FoldedText) -> String {
    let first: String = name.as_str().chars().take(2).collect();
    format!("NAME#{first}")
}

/// Sort key of `NAME_INDEX`.
pub fn name_sk(name: &FoldedText, price: Money, id: ProductId) -> String {
    format!("{}{}", exact_name_prefix(name), price_sk(price, id))
}

/// What the name sort keys of all products of this name begin with. Names longer than `MAX_NAME_BYTES` can share it, so a
/// reader compares the whole name. The tab ends the name: no name contains one, and it sorts before the space.
pub fn exact_name_prefix(name: &FoldedText) -> String {
    format!("{}\t", name_prefix(name))
}

/// What the name sort keys of all products whose names begin with `prefix` begin with.
pub fn name_prefix(prefix: &FoldedText) -> &str {
    let text = prefix.as_str();
    &text[..text.floor_char_boundary(MAX_NAME_BYTES)]
}

/// Partition key of `CATEGORY_INDEX`.
pub fn category_pk(category: &FoldedText) -> String {
    format!("CATEGORY#{}", category.as_str())
}

/// Sort key of `CHANGE_INDEX`.
pub fn feed_sk(recorded_at: Timestamp, id: ProductId) -> String {
    format!("{recorded_at}#{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> ProductId {
        "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84".parse().unwrap()
    }

    fn eur(amount: &str) -> Money {
        Money::parse(amount, Currency::EUR).unwrap()
    }

    #[test]
    fn writes_keys_as_contract_specifies() {
        assert_eq!(active_pk(3), "ACTIVE#3");
        assert_eq!(price_sk(eur("19.99"), id()), "EUR#0000000000001999#3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84");
        let name = FoldedText::new(" Oak  Table ");
        assert_eq!(name_pk(&name), "NAME#oa");
        assert_eq!(
            name_sk(&name, eur("19.99"), id()),
            "oak table\tEUR#0000000000001999#3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84"
        );
        assert_eq!(name_pk(&FoldedText::new("X")), "NAME#x");
        assert_eq!(category_pk(&FoldedText::new("Garden Chairs")), "CATEGORY#garden chairs");
        assert_eq!(feed_pk(0), "FEED#0");
        let recorded_at = Timestamp::from_unix_millis(1_769_860_800_000);
        assert_eq!(feed_sk(recorded_at, id()), "2026-01-31T12:00:00.000Z#3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84");
    }

    #[test]
    fn sorts_keys_by_price() {
        let mut prices = ["0", "0.01", "9.99", "10", "100", "999999999999.99"].map(eur);
        prices.sort_by_key(|price| price_sk(*price, id()));
        assert!(prices.is_sorted_by_key(|price| price.minor_units()));
    }

    #[test]
    fn sorts_name_before_longer_name_that_begins_with_it() {
        let [oak, oak_table, oaks] =
            ["Oak", "Oak table", "Oaks"].map(|name| name_sk(&FoldedText::new(name), eur("1"), id()));
        assert!(oak < oak_table && oak_table < oaks);
        assert!(oak_table.starts_with(name_prefix(&FoldedText::new("OAK"))));
    }

    #[test]
    fn cuts_long_folded_name_at_a_character() {
        // One byte, then two bytes each: byte 900 is in the middle of a character.
        let name = FoldedText::new(&format!("x{}", "\u{390}".repeat(199)));
        assert_eq!(name_prefix(&name).len(), 899);
        assert!(name.as_str().starts_with(name_prefix(&name)));
        assert!(name_sk(&name, eur("1"), id()).len() <= 1_024);
    }

    #[test]
    fn spreads_products_evenly_over_shards() {
        assert_eq!(shard_of("3f0c2f5e-8d1b-4c6a-9e57-2b8a4d1f6c03".parse().unwrap(), 4), 0, "the contract's example");
        assert_eq!((shard_of(id(), 4), shard_of(id(), 31)), (3, 17));
        assert_eq!(shard_of(id(), 1), 0);
        let mut sizes = [0_u32; 4];
        for _ in 0..4_000 {
            sizes[usize::try_from(shard_of(ProductId::random(), 4)).unwrap()] += 1;
        }
        assert!(sizes.iter().all(|size| (850..1_150).contains(size)), "{sizes:?}");
    }
}
