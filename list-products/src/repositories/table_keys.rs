//! The keys of the `products` table and its two indexes: every format in one place, since readers and the one writer
//! must agree on each byte. See `contracts/README.md` of product-infrastructure for the table.

use crate::models::identifiers::{EventId, ProductId};
use crate::models::money::{Currency, Money};
use sha2::{Digest, Sha256};

/// Sort key of the item that holds a product.
pub const META: &str = "META";

/// Width of an amount in a sort key: 10^12 units of a currency with four decimals, less one, has 16 digits.
/// Padded with zeros, strings sort as the amounts do.
pub const AMOUNT_WIDTH: usize = 16;

/// Partition key of everything that belongs to a product.
pub fn product_pk(id: ProductId) -> String {
    format!("PRODUCT#{id}")
}

/// Sort key of the journal entry of an event: a product's entries follow one another as its events do.
pub fn journal_sk(id: EventId) -> String {
    format!("EVENT#{id}")
}

/// Partition key of `ProductsByPriceIndex` for one shard of the active products.
pub fn shard_pk(shard: u32) -> String {
    format!("ACTIVE#{shard}")
}

/// The shard of a product: the first eight bytes of the SHA-256 of its id's text, big-endian, modulo `shards`.
///
/// One partition key for all active products would cap the whole catalogue at what one DynamoDB partition takes
/// (1,000 writes a second). A cryptographic hash is more than is needed, but it is the same in every language.
pub fn shard_of(id: ProductId, shards: u32) -> u32 {
    let digest = Sha256::digest(id.to_string().as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    let shard = u64::from_be_bytes(first) % u64::from(shards.max(1));
    u32::try_from(shard).unwrap_or_default()
}

/// Sort key of both indexes: currency, amount, id. No two products share one, so it is a total order.
pub fn price_sk(price: Money, id: ProductId) -> String {
    format!("{}{id}", price_prefix(price))
}

/// What the sort keys of all products of this very price begin with.
pub fn price_prefix(price: Money) -> String {
    format!("{}{:0AMOUNT_WIDTH$}#", currency_prefix(price.currency()), price.minor_units())
}

/// What the sort keys of all products of a currency begin with.
pub fn currency_prefix(currency: Currency) -> String {
    format!("{}#", currency.code())
}

/// Partition key of `ProductsByNameIndex`: names that differ only in case or whitespace share it.
pub fn name_pk(name: &str) -> String {
    let words: Vec<String> = name.split_whitespace().map(str::to_lowercase).collect();
    format!("NAME#{}", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> ProductId {
        "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84".parse().unwrap()
    }

    #[test]
    fn keys_are_as_the_contract_writes_them() {
        let price = Money::parse("19.99", Currency::EUR).unwrap();
        assert_eq!(product_pk(id()), "PRODUCT#3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84");
        assert_eq!(shard_pk(3), "ACTIVE#3");
        let event = "019c141b-9a00-7d2e-9f10-2b3c4d5e6f70".parse().unwrap();
        assert_eq!(journal_sk(event), "EVENT#019c141b-9a00-7d2e-9f10-2b3c4d5e6f70");
        assert_eq!(price_sk(price, id()), "EUR#0000000000001999#3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84");
    }

    #[test]
    fn sort_keys_sort_as_prices_do() {
        let mut prices = ["0", "0.01", "9.99", "10", "100", "999999999999.99"]
            .map(|text| Money::parse(text, Currency::EUR).unwrap());
        prices.sort_by_key(|price| price_sk(*price, id()));
        assert!(prices.is_sorted_by_key(|price| price.minor_units()));
    }

    #[test]
    fn names_that_differ_in_case_or_white_space_are_one() {
        assert_eq!(name_pk("  Oak \t Table\u{a0}XL "), "NAME#oak table xl");
        assert_eq!(name_pk("ÄPFEL"), name_pk("äpfel"));
    }

    #[test]
    fn a_product_keeps_its_shard_and_shards_fill_evenly() {
        assert_eq!(shard_of(id(), 4), shard_of(id(), 4));
        assert_eq!(shard_of(id(), 1), 0);
        let mut filled = [0_u32; 4];
        for _ in 0..4_000 {
            filled[usize::try_from(shard_of(ProductId::random(), 4)).unwrap()] += 1;
        }
        assert!(filled.iter().all(|count| (850..1_150).contains(count)), "{filled:?}");
    }
}
