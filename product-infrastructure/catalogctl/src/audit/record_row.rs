//! A record as a row of a table, for those who read it in a spreadsheet or in a report.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::keys::register::Register;
use audit_log::finding::Finding;
use audit_log::json::{Digest, hex};
use audit_log::record::{Record, decimal};

/// A record's cells. What a record doesn't have is an empty string.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// CHANGE, OUT_OF_BAND or INVALID.
    pub record_type: String,
    /// When the change was accepted; of a change made outside the API, when it was observed.
    pub occurred_at: String,
    pub recorded_at: String,
    pub product_id: String,
    /// CREATE, UPDATE or DELETE; of a change made outside the API, INSERT, MODIFY or REMOVE.
    pub change_type: String,
    pub outcome: String,
    /// Of a rejection; of a change made outside the API, its cause, MANUAL or TTL.
    pub reason: String,
    pub version: String,
    pub api_key_id: String,
    /// The client that the API key belongs to, if the register has the key.
    pub client: String,
    pub source_ip: String,
    pub request_id: String,
    pub event_id: String,
    /// Name and SKU after the change, or else before it, or else as requested.
    pub name: String,
    pub sku: String,
    /// Prices are decimals with all digits of their currency.
    pub currency_before: String,
    pub price_before: String,
    pub currency_after: String,
    pub price_after: String,
    pub currency_requested: String,
    pub price_requested: String,
    /// Names of the members that differ before and after.
    pub changed: String,
    /// Keys of the table's item, of a change made outside the API.
    pub item: String,
    /// The object's key in the bucket, and the SHA-256 of its content.
    pub object: String,
    pub sha256: String,
    /// What is wrong with an INVALID record.
    pub fault: String,
    pub why: String,
}

/// Members that differ in every change.
const ALWAYS_CHANGED: [&str; 3] = ["version", "updatedAt", "lastEventId"];

impl Row {
    /// The row of a record that was read from the object `key`.
    pub fn new(key: &str, digest: Option<&Digest>, record: &Record, register: &Register) -> Self {
        let document = record.document();
        let text = |path: &str| document.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let [before, after] = ["before", "after"].map(|name| document.get(name));
        let requested = document.pointer("/requested/product").or(document.pointer("/requested/patch"));
        let newest = |name: &str| {
            let found = [after, before, requested].into_iter().flatten().find_map(|product| product[name].as_str());
            found.unwrap_or_default().to_owned()
        };
        let (is_change, item) = match record {
            Record::Change(_) => (true, String::new()),
            Record::OutOfBand(_) => (false, format!("{} {}", text("/key/PK"), text("/key/SK"))),
        };
        Self {
            record_type: text("/recordType"),
            occurred_at: text(if is_change { "/occurredAt" } else { "/observedAt" }),
            recorded_at: text("/recordedAt"),
            product_id: record.product_id().map(|id| id.to_string()).unwrap_or_default(),
            change_type: text(if is_change { "/type" } else { "/changeType" }),
            outcome: text("/outcome"),
            reason: text(if is_change { "/reason" } else { "/cause" }),
            version: document["version"].as_u64().map(|version| version.to_string()).unwrap_or_default(),
            client: register.client(&text("/actor/apiKeyId")).unwrap_or_default().to_owned(),
            api_key_id: text("/actor/apiKeyId"),
            source_ip: text("/actor/sourceIp"),
            request_id: text("/requestId"),
            event_id: text("/eventId"),
            name: newest("name"),
            sku: newest("sku"),
            currency_before: currency(before),
            price_before: price(before),
            currency_after: currency(after),
            price_after: price(after),
            currency_requested: currency(requested),
            price_requested: price(requested),
            changed: changed(before, after),
            item,
            ..Self::of_object(key, digest)
        }
    }

    /// The row of an object that can't be read.
    pub fn of_object(key: &str, digest: Option<&Digest>) -> Self {
        Self { object: key.to_owned(), sha256: digest.map(|digest| hex(digest)).unwrap_or_default(), ..Self::default() }
    }

    /// The same row, marked as that of an invalid record.
    pub fn invalid(self, finding: &Finding) -> Self {
        Self {
            record_type: "INVALID".to_owned(),
            fault: finding.fault.name().to_owned(),
            why: finding.why.clone(),
            ..self
        }
    }

    /// Each column's name and cell, in the order of the columns.
    pub fn columns(&self) -> [(&'static str, &str); 27] {
        [
            ("recordType", &self.record_type),
            ("occurredAt", &self.occurred_at),
            ("recordedAt", &self.recorded_at),
            ("productId", &self.product_id),
            ("type", &self.change_type),
            ("outcome", &self.outcome),
            ("reason", &self.reason),
            ("version", &self.version),
            ("apiKeyId", &self.api_key_id),
            ("client", &self.client),
            ("sourceIp", &self.source_ip),
            ("requestId", &self.request_id),
            ("eventId", &self.event_id),
            ("name", &self.name),
            ("sku", &self.sku),
            ("currencyBefore", &self.currency_before),
            ("priceBefore", &self.price_before),
            ("currencyAfter", &self.currency_after),
            ("priceAfter", &self.price_after),
            ("currencyRequested", &self.currency_requested),
            ("priceRequested", &self.price_requested),
            ("changed", &self.changed),
            ("item", &self.item),
            ("object", &self.object),
            ("sha256", &self.sha256),
            ("fault", &self.fault),
            ("why", &self.why),
        ]
    }
}

fn currency(product: Option<&Value>) -> String {
    product.and_then(|product| product["currency"].as_str()).unwrap_or_default().to_owned()
}

/// The price of a product, of a patch, or of the table's item, which has it in minor units.
fn price(product: Option<&Value>) -> String {
    let Some(product) = product else { return String::new() };
    match (product["price"].as_str(), product["priceMinor"].as_u64(), product["currency"].as_str()) {
        (Some(price), _, _) => price.to_owned(),
        (None, Some(units), Some(currency)) => decimal(units, currency).unwrap_or_default(),
        _ => String::new(),
    }
}

/// Names of the members that differ, if there is a product before and after.
fn changed(before: Option<&Value>, after: Option<&Value>) -> String {
    let (Some(before), Some(after)) = (before.and_then(Value::as_object), after.and_then(Value::as_object)) else {
        return String::new();
    };
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let names = names.into_iter().filter(|name| !ALWAYS_CHANGED.contains(&name.as_str()));
    names.filter(|name| before.get(*name) != after.get(*name)).cloned().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use audit_log::record::{OutOfBand, check_entry};
    use serde_json::json;

    fn row(name: &str) -> Row {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts/examples/journal-entry/valid");
        let text = std::fs::read_to_string(format!("{folder}/{name}.json")).unwrap();
        let change = check_entry(name, serde_json::from_str(&text).unwrap()).unwrap();
        let key = change.event_id.object_key();
        let register = crate::keys::register::tests::register(&[("a1b2c3d4e5", "shop")]);
        Row::new(&key, Some(&change.digest.clone()), &Record::Change(Box::new(change)), &register)
    }

    #[test]
    fn has_prices_before_and_after_digit_by_digit() {
        let update = row("full-2-update-applied");
        assert_eq!((update.price_before.as_str(), update.currency_before.as_str()), ("12.500", "KWD"));
        assert_eq!((update.price_after.as_str(), update.currency_after.as_str()), ("11.750", "KWD"));
        assert_eq!((update.outcome.as_str(), update.version.as_str()), ("APPLIED", "2"));
        assert_eq!(update.changed, "attributes imageUrls price tags");
        assert!(update.object.ends_with("/019c186e-2e80-7a50-8749-3f7bb64316e5.json") && update.sha256.len() == 64);
        let create = row("full-1-create-applied");
        assert_eq!((create.price_before.as_str(), create.price_after.as_str()), ("", "12.500"));
    }

    #[test]
    fn names_the_client_of_a_registered_key() {
        let update = row("life-4-update-applied");
        assert_eq!((update.api_key_id.as_str(), update.client.as_str()), ("a1b2c3d4e5", "shop"));
        assert_eq!(row("full-2-update-applied").client, "", "the record has no API key");
    }

    #[test]
    fn reads_the_price_of_the_tables_item() {
        let item = |price: Value| json!({"productId": "x", "name": "Lamp", "priceMinor": price, "currency": "KWD"});
        let document = json!({
            "recordType": "OUT_OF_BAND", "cause": "MANUAL", "changeType": "MODIFY", "observedAt": "t",
            "key": {"PK": "PRODUCT#1", "SK": "META"}, "before": item(json!(12_500)), "after": item(json!(0.5)),
        });
        let edit = OutOfBand { product_id: None, by_ttl: false, observed_at: 0, form: None, document };
        let row = Row::new("key", None, &Record::OutOfBand(Box::new(edit)), &Register::default());
        assert_eq!((row.price_before.as_str(), row.price_after.as_str()), ("12.500", ""), "0.5 isn't a price");
        assert_eq!(
            (row.changed.as_str(), row.item.as_str(), row.reason.as_str()),
            ("priceMinor", "PRODUCT#1 META", "MANUAL")
        );
    }

    #[test]
    fn column_names_are_unique() {
        let row = Row::default();
        let names: BTreeSet<&str> = row.columns().iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), row.columns().len());
    }
}
