//! Finds the products that have or had a SKU or a name: in the audit records, or in the table's indexes.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use futures_util::TryStreamExt;
use serde::Serialize;
use serde_json::Value;

use crate::progress::Progress;
use crate::table_text::table;
use crate::target::Target;
use audit_log::ids::ProductId;
use audit_log::product_item::folded;
use audit_log::record::Record;
use audit_log::verification::Content;
use audit_log::window::Window;

/// Products that are listed when more than one matches.
const MAX_MATCHES: usize = 100;

/// A product's SKU or name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Description {
    /// Compared exactly, without surrounding whitespace.
    Sku(String),
    /// Compared by canonical caseless matching, as the API compares names.
    Name { given: String, folded: String },
}

impl Description {
    /// Parses a SKU.
    pub fn sku(text: &str) -> Result<Self, String> {
        match text.trim() {
            "" => Err("must not be empty".to_owned()),
            sku => Ok(Self::Sku(sku.to_owned())),
        }
    }

    /// Parses a name.
    pub fn name(text: &str) -> Result<Self, String> {
        match folded(text) {
            folded if folded.is_empty() => Err("must not be empty".to_owned()),
            folded => Ok(Self::Name { given: text.trim().to_owned(), folded }),
        }
    }

    fn matches(&self, product: &Value) -> bool {
        match self {
            Self::Sku(sku) => product["sku"] == sku.as_str(),
            Self::Name { folded: expected, .. } => {
                product["name"].as_str().is_some_and(|name| folded(name) == *expected)
            }
        }
    }
}

impl fmt::Display for Description {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sku(sku) => write!(formatter, "SKU {sku:?}"),
            Self::Name { given, .. } => write!(formatter, "name {given:?}"),
        }
    }
}

/// A product that matches, in the newest state that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Match {
    pub product_id: ProductId,
    pub status: String,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// When the product got this state, RFC 3339.
    pub updated_at: String,
}

impl Match {
    fn new(product_id: ProductId, product: &Value) -> Self {
        let text = |name: &str| product[name].as_str().unwrap_or_default().to_owned();
        let sku = product["sku"].as_str().map(str::to_owned);
        Self { product_id, status: text("status"), name: text("name"), sku, updated_at: text("updatedAt") }
    }
}

/// The products that match.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Matches {
    /// At most 100, in the order of their IDs.
    pub matches: Vec<Match>,
    /// More products match than are listed.
    pub truncated: bool,
    /// Archived objects, which weren't searched.
    pub archived: u64,
    /// Objects that aren't records that can be read, which weren't searched.
    pub unreadable: u64,
}

impl Matches {
    /// What wasn't searched; `None` if everything was.
    pub fn gaps(&self) -> Option<String> {
        let parts = [
            (self.archived, "archived objects, which `audit restore` makes readable"),
            (self.unreadable, "unreadable objects, which `audit verify` lists"),
        ];
        let parts: Vec<String> =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        (!parts.is_empty()).then(|| format!("Not searched: {}.", parts.join("; ")))
    }

    /// The products, for somebody who has to choose one.
    pub fn text(&self, description: &Description) -> String {
        let rows: Vec<[String; 5]> = self
            .matches
            .iter()
            .map(|product| {
                let Match { product_id, status, name, sku, updated_at } = product.clone();
                [product_id.to_string(), status, name, sku.unwrap_or_default(), updated_at]
            })
            .collect();
        let more = if self.truncated { format!(" The first {MAX_MATCHES} are listed.") } else { String::new() };
        format!(
            "More than one product has or had the {description}.{more}\n\n{}\n\
             Choose one by its ID: catalogctl audit history ID",
            table(["product", "status", "name", "SKU", "last change (UTC)"], &rows)
        )
    }
}

/// Searches the records of a window for products that had the SKU or the name before or after a change, deleted ones too.
pub async fn in_records(
    target: &Target,
    description: &Description,
    window: Window,
    progress: &Progress,
) -> Result<Matches> {
    let bucket = target.audit_bucket();
    let step = progress.step(format!("search bucket {} for the {description}", bucket.name()));
    let mut search = Search::new(description);
    let (mut archived, mut unreadable) = (0, 0);
    let mut objects = std::pin::pin!(bucket.objects(window.all_keys(), &step.meter()));
    while let Some(object) = objects.try_next().await? {
        match &object.content {
            Content::Record(record) => search.take(record),
            Content::Archived => archived += 1,
            Content::Invalid(..) | Content::Gone => unreadable += 1,
        }
    }
    step.done(format!("{} products", search.found.len()));
    let matches = search.found.into_values().map(|(_, product)| product).collect();
    Ok(Matches { matches, truncated: search.truncated, archived, unreadable })
}

/// Asks the table's indexes, which have the active products only.
pub async fn in_table(target: &Target, description: &Description) -> Result<Matches> {
    let table = target.products();
    let mut products = match description {
        Description::Sku(sku) => {
            let item = match table.claim(sku).await? {
                Some(claim) => table.item(claim.product, "META").await?,
                None => None,
            };
            item.map(crate::products_table::document).transpose()?.into_iter().collect()
        }
        Description::Name { folded, .. } => table.named(folded, MAX_MATCHES + 1).await?,
    };
    // The claim may have been released between the two reads.
    products.retain(|product| description.matches(product));
    let truncated = products.len() > MAX_MATCHES;
    products.truncate(MAX_MATCHES);
    let id = |product: &Value| product["productId"].as_str().and_then(ProductId::parse);
    let matches = products.iter().filter_map(|product| Some(Match::new(id(product)?, product))).collect();
    Ok(Matches { matches, truncated, ..Matches::default() })
}

/// The products found so far, each with the time of its state in milliseconds since 1970.
struct Search<'a> {
    description: &'a Description,
    found: BTreeMap<ProductId, (u64, Match)>,
    truncated: bool,
}

impl<'a> Search<'a> {
    fn new(description: &'a Description) -> Self {
        Self { description, found: BTreeMap::new(), truncated: false }
    }

    fn take(&mut self, record: &Record) {
        let Some(id) = record.product_id() else { return };
        let document = record.document();
        // A change outside the API may concern another item of the product.
        let is_product = |image: &&Value| image.get("name").is_some() && image["productId"].is_string();
        let [before, after] = ["before", "after"].map(|name| document.get(name).filter(is_product));
        let Some(state) = after.or(before) else { return };
        if !self.found.contains_key(&id) {
            if ![before, after].into_iter().flatten().any(|product| self.description.matches(product)) {
                return;
            }
            if self.found.len() >= MAX_MATCHES {
                self.truncated = true;
                return;
            }
        }
        let moment = record.millis();
        let newest = self.found.entry(id).or_insert_with(|| (moment, Match::new(id, state)));
        if moment >= newest.0 {
            *newest = (moment, Match::new(id, state));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use audit_log::record::OutOfBand;
    use serde_json::json;

    fn id(number: usize) -> ProductId {
        ProductId::parse(&format!("3f0c2f5e-8d1b-4c6a-9e57-{number:012}")).unwrap()
    }

    fn product(number: usize, name: &str, sku: &str) -> Value {
        json!({"productId": id(number), "name": name, "sku": sku, "status": "ACTIVE", "updatedAt": "t"})
    }

    fn record(number: usize, observed_at: u64, before: Value, after: Value) -> Record {
        let document = json!({"recordType": "OUT_OF_BAND", "before": before, "after": after});
        Record::OutOfBand(Box::new(OutOfBand {
            product_id: Some(id(number)),
            by_ttl: false,
            observed_at,
            form: None,
            document,
        }))
    }

    #[test]
    fn compares_names_caseless_and_skus_exactly() {
        let lamp = product(1, "Straßen  Lampe", "L-1");
        for name in ["STRASSEN LAMPE", " straßen\tlampe "] {
            assert!(Description::name(name).unwrap().matches(&lamp), "{name}");
        }
        assert!(!Description::name("Lampe").unwrap().matches(&lamp));
        assert!(Description::sku(" L-1 ").unwrap().matches(&lamp));
        assert!(!Description::sku("l-1").unwrap().matches(&lamp));
        assert!(Description::sku(" ").is_err() && Description::name("\u{a0}").is_err());
    }

    #[test]
    fn reports_newest_state_of_former_name() {
        let description = Description::name("lamp").unwrap();
        let mut search = Search::new(&description);
        search.take(&record(1, 2, product(1, "Lamp", "S"), product(1, "Desk", "S")));
        search.take(&record(1, 3, product(1, "Desk", "S"), product(1, "Chair", "T")));
        search.take(&record(1, 1, Value::Null, product(1, "Lamp", "S")));
        search.take(&record(2, 4, Value::Null, product(2, "Desk", "U")));
        // An item of the product that isn't the product.
        search.take(&record(3, 5, Value::Null, json!({"name": "Lamp"})));
        let found: Vec<&str> = search.found.values().map(|(_, product)| product.name.as_str()).collect();
        assert_eq!(found, ["Chair"]);
    }

    #[test]
    fn keeps_at_most_a_hundred_products() {
        let description = Description::name("Lamp").unwrap();
        let mut search = Search::new(&description);
        for number in 0..MAX_MATCHES {
            search.take(&record(number, 1, Value::Null, product(number, "Lamp", "S")));
        }
        assert!(!search.truncated);
        search.take(&record(MAX_MATCHES, 1, Value::Null, product(MAX_MATCHES, "Lamp", "S")));
        assert!(search.truncated && search.found.len() == MAX_MATCHES);
    }
}
