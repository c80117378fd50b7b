//! Verification of an audit log: every object, every chain, and the table beside it.
//!
//! Without the table, removing the newest records of a chain can't be noticed: the chain just ends earlier. The table's product
//! has the hash of its chain's end, and for 90 days the table's journal has every record. `contracts/README.md` says what is
//! found with and without the table.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest as _, Sha256};

use crate::chain::{Chain, Chains};
use crate::finding::{Fault, Finding, Verdict};
use crate::ids::{EventId, ProductId};
use crate::json::{Digest, hex};
use crate::lock::Lock;
use crate::record::{Change, Record};
use crate::window::Window;

/// An object of the bucket.
#[derive(Debug)]
pub struct Object {
    pub key: String,
    pub versions: u64,
    pub delete_markers: u64,
    /// The version whose content this is, if there is more than one.
    pub first: Option<String>,
    /// SHA-256 of the content; `None` if it wasn't read.
    pub digest: Option<Digest>,
    pub lock: Lock,
    pub content: Content,
}

/// The SHA-256 of one line for each object that was read, in the order of the keys: the SHA-256 of its content, two spaces, its
/// key, a line feed. That is the output format of `sha256sum`.
#[derive(Debug, Clone, Default)]
pub struct ObjectsDigest(Sha256);

impl ObjectsDigest {
    /// Takes the next object, in the order of the keys.
    pub fn add(&mut self, key: &str, content: &Digest) {
        self.0.update(format!("{}  {key}\n", hex(content)));
    }

    /// The digest in hexadecimal.
    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

impl Serialize for ObjectsDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.serialize())
    }
}

impl<'de> Deserialize<'de> for ObjectsDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let malformed = || D::Error::custom("malformed state of a SHA-256");
        let state: Vec<u8> = Deserialize::deserialize(deserializer)?;
        let state = state.as_slice().try_into().map_err(|_| malformed())?;
        Ok(Self(Sha256::deserialize(state).map_err(|_| malformed())?))
    }
}

/// An object's content.
#[derive(Debug)]
pub enum Content {
    Record(Record),
    /// Not a record, or one that contradicts itself; with the object's bytes.
    Invalid(Finding, Vec<u8>),
    /// Archived: it must be restored before it can be read.
    Archived,
    /// Only delete markers are left.
    Gone,
}

/// The table's data to compare with.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TableFacts {
    pub products: HashMap<ProductId, ProductFacts>,
    pub journal: HashMap<EventId, EntryFacts>,
    /// The claims by SKU.
    pub claims: HashMap<String, Claim>,
    /// Items that product-creator can't have written.
    pub findings: Vec<Finding>,
}

/// A product item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductFacts {
    pub version: u64,
    pub last_event: EventId,
    pub chain_hash: Digest,
    /// The product's [`crate::record::product_digest`].
    pub product: Digest,
    pub created: (EventId, Digest),
    /// The SKU of an active product.
    pub sku: Option<String>,
}

/// A SKU claim: the active product with the SKU, and the change that took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub product: ProductId,
    pub event: EventId,
}

/// A journal entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryFacts {
    pub product: ProductId,
    /// SHA-256 of the bytes that its object must have.
    pub digest: Digest,
    /// In milliseconds since 1970.
    pub recorded_at: u64,
    /// Whether its object exists.
    pub seen: bool,
}

/// The result of a verification.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub integrity: Integrity,
    pub form: Form,
    /// The [`ObjectsDigest`] of the objects that were read.
    pub digest: String,
    /// In event order, those of objects under `events/` first.
    pub findings: Vec<Finding>,
    pub objects: u64,
    /// Number of journal entries.
    pub changes: u64,
    /// Number of journal entries that were applied: the records in chains.
    pub applied: u64,
    /// Number of changes made outside the API. Expired journal entries aren't counted.
    pub made_by_hand: u64,
    /// Number of products with a chain.
    pub products: u64,
    /// Number of chains that began before the window.
    pub chains_begun_before: u64,
    /// Number of archived objects, which weren't read.
    pub archived: u64,
    /// Number of changes recorded so recently that their objects need not exist yet.
    pub pending: u64,
    /// Number of objects whose lock couldn't be read.
    pub locks_unknown: u64,
    pub compared_with_table: bool,
}

impl Report {
    /// The findings of one verdict.
    pub fn findings_of(&self, verdict: Verdict) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.verdict == verdict)
    }
}

/// Is the log what was written?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Integrity {
    /// Every object was read, and nothing is wrong.
    Intact,
    /// An object was altered, removed, inserted or reordered.
    Broken,
    /// Nothing is wrong with what was read, but archived objects weren't read, or there were no objects at all.
    Incomplete,
}

/// Does each record match its schema?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Form {
    Ok,
    Invalid,
}

/// One for each object and verdict, in the report's order (see [`order`]).
type Findings = BTreeMap<(bool, String, bool), Finding>;

const DAY_MILLIS: u64 = 24 * 60 * 60 * 1_000;

/// A running verification. It can be saved between two objects and continued later: a continued one comes to the same report
/// as one that never stopped.
#[derive(Debug, Serialize, Deserialize)]
pub struct Verification {
    window: Window,
    chains: Chains,
    table: Option<TableFacts>,
    #[serde(serialize_with = "findings_only", deserialize_with = "findings_in_order")]
    findings: Findings,
    digests: ObjectsDigest,
    objects: u64,
    changes: u64,
    applied: u64,
    made_by_hand: u64,
    archived: u64,
    locks_unknown: u64,
    /// Until when the journal reaches, in milliseconds since 1970.
    journal_until: u64,
    /// Records that are too recent for the journal as it was read. They exist, if it has them when it is read again.
    too_recent: HashSet<EventId>,
    /// By product, the highest version that a change outside the chain was decided at, and its event.
    claimed: HashMap<ProductId, (u64, EventId)>,
}

impl Verification {
    pub fn new(window: Window, table: Option<TableFacts>) -> Self {
        let journal = table.iter().flat_map(|table| table.journal.values());
        Self {
            journal_until: journal.map(|entry| entry.recorded_at).max().unwrap_or_default(),
            too_recent: HashSet::new(),
            window,
            chains: Chains::new(window.from.is_some()),
            table,
            findings: BTreeMap::new(),
            digests: ObjectsDigest::default(),
            objects: 0,
            changes: 0,
            applied: 0,
            made_by_hand: 0,
            archived: 0,
            locks_unknown: 0,
            claimed: HashMap::new(),
        }
    }

    /// Number of objects that were taken.
    pub fn objects(&self) -> u64 {
        self.objects
    }

    pub fn chains(&self) -> &Chains {
        &self.chains
    }

    /// Takes the next object, in the order of the keys.
    pub fn take(&mut self, object: &Object) {
        self.objects += 1;
        if let Some(digest) = &object.digest {
            self.digests.add(&object.key, digest);
        }
        let (key, versions, markers) = (object.key.as_str(), object.versions, object.delete_markers);
        if markers > 0 {
            let why = format!("the object was deleted: {markers} delete markers, {versions} versions");
            self.find(Finding::new(key, Fault::Deleted, why));
        } else if versions > 1 {
            let why = format!("the object was written {versions} times; the first version is checked");
            self.find(Finding::new(key, Fault::Overwritten, why));
        }
        if let Content::Record(record) = &object.content {
            record.form().into_iter().for_each(|finding| self.find(finding.clone()));
        }
        match &object.content {
            Content::Record(Record::Change(change)) => self.change(change),
            Content::Record(Record::OutOfBand(change)) => self.made_by_hand += u64::from(!change.by_ttl),
            Content::Invalid(finding, _) => {
                // The object exists, so it isn't missing; the journal may know its product.
                let entry = event_of(key).and_then(|event| self.journalled(event));
                let product_id = finding.product_id.or(entry.map(|entry| entry.product));
                self.find(Finding { product_id, ..finding.clone() });
            }
            Content::Archived => {
                self.archived += 1;
                event_of(key).and_then(|event| self.journalled(event));
                self.chains.may_have_begun();
            }
            Content::Gone => {}
        }
        object.lock.finding(key).into_iter().for_each(|finding| self.find(finding));
        self.locks_unknown += u64::from(object.lock == Lock::Unknown && versions > 0);
    }

    fn change(&mut self, change: &Change) {
        self.changes += 1;
        self.applied += u64::from(change.link.is_some());
        let vouched = self.journalled(change.event_id).map(|entry| entry.digest == change.digest);
        // The clocks of the functions differ by less than a day.
        if self.table.is_some() && vouched.is_none() && change.recorded_at + DAY_MILLIS > self.journal_until {
            self.too_recent.insert(change.event_id);
        }
        if vouched == Some(false) {
            let why = "the table's journal has another entry of this event";
            self.find(Finding::new(change.event_id.object_key(), Fault::Altered, why).of(change.product_id));
        }
        for finding in self.chains.follow(change, vouched) {
            self.find(finding);
        }
        if let (None, Some(version)) = (&change.link, change.version) {
            let claimed = self.claimed.entry(change.product_id).or_insert((version, change.event_id));
            if version > claimed.0 {
                *claimed = (version, change.event_id);
            }
        }
    }

    /// Marks an event's journal entry as present in the bucket and returns it.
    fn journalled(&mut self, event: EventId) -> Option<EntryFacts> {
        let entry = self.table.as_mut()?.journal.get_mut(&event)?;
        entry.seen = true;
        Some(*entry)
    }

    /// Adds a finding. The first one of an object stays, but a later one may know the product.
    fn find(&mut self, finding: Finding) {
        let product = finding.product_id;
        let kept = self.findings.entry(order(&finding.object, finding.verdict)).or_insert(finding);
        kept.product_id = kept.product_id.or(product);
    }

    /// Products whose item differs from the end of their chain. They must be read again, because a product may have changed
    /// between the two reads.
    pub fn unsettled(&self) -> Vec<ProductId> {
        let Some(table) = &self.table else { return Vec::new() };
        let differs = |product: ProductId, chain: Option<&Chain>| match (table.products.get(&product), chain) {
            (Some(facts), Some(chain)) => facts.chain_hash != chain.head.hash && self.concerns(facts),
            (Some(facts), None) => self.concerns(facts),
            (None, chain) => chain.is_some(),
        };
        let known = table.products.keys().map(|product| (*product, self.chains.get(*product)));
        let unknown = self.chains.iter().map(|(product, chain)| (product, Some(chain)));
        let products: HashSet<ProductId> =
            known.chain(unknown).filter(|(product, chain)| differs(*product, *chain)).map(|(id, _)| id).collect();
        products.into_iter().collect()
    }

    /// Products whose SKU and claim differ. They must be read again, because the table isn't read in one moment.
    pub fn unsettled_claims(&self) -> Vec<(String, ProductId)> {
        let Some(table) = &self.table else { return Vec::new() };
        let of_products = table.products.iter().filter_map(|(product, facts)| Some((facts.sku.clone()?, *product)));
        let of_claims = table.claims.iter().map(|(sku, claim)| (sku.clone(), claim.product));
        let differs = |sku: &String, product: &ProductId| {
            table.claims.get(sku).is_none_or(|claim| claim.product != *product)
                || table.products.get(product).is_none_or(|facts| facts.sku.as_ref() != Some(sku))
        };
        let differing: HashSet<_> = of_products.chain(of_claims).filter(|(sku, id)| differs(sku, id)).collect();
        differing.into_iter().collect()
    }

    /// Replaces a SKU's claim.
    pub fn read_claim_again(&mut self, sku: String, claim: Option<Claim>) {
        let Some(table) = &mut self.table else { return };
        match claim {
            Some(claim) => table.claims.insert(sku, claim),
            None => table.claims.remove(&sku),
        };
    }

    /// Replaces a product's facts and adds journal entries that are new.
    pub fn read_again(
        &mut self,
        product: ProductId,
        facts: Option<ProductFacts>,
        entries: impl IntoIterator<Item = (EventId, EntryFacts)>,
    ) {
        let Some(table) = &mut self.table else { return };
        match facts {
            Some(facts) => table.products.insert(product, facts),
            None => table.products.remove(&product),
        };
        for (event, entry) in entries {
            let seen = self.too_recent.contains(&event);
            table.journal.entry(event).or_insert(EntryFacts { seen, ..entry });
        }
    }

    /// Whether the product's chain ends in the window or before it.
    fn concerns(&self, facts: &ProductFacts) -> bool {
        self.window.to.is_none_or(|to| facts.last_event.date() <= to)
    }

    /// Reports. Objects of changes recorded after `settled` (milliseconds since 1970) need not exist yet.
    pub fn finish(self, settled: u64) -> Report {
        self.finish_with_chains(settled).0
    }

    /// Like [`Verification::finish`], with the chains.
    pub fn finish_with_chains(mut self, settled: u64) -> (Report, Chains) {
        let table = self.table.take();
        let ends: HashMap<ProductId, (Digest, u64)> = match &table {
            Some(table) => table
                .products
                .iter()
                .filter(|(_, facts)| self.concerns(facts))
                .map(|(product, facts)| (*product, (facts.chain_hash, facts.version)))
                .collect(),
            None => HashMap::new(),
        };
        for finding in self.chains.finish(|product| ends.get(&product).copied()) {
            self.find(finding);
        }
        let mut pending = 0;
        match &table {
            Some(table) => pending = self.compare(table, settled),
            None => self.compare_with_claims(),
        }
        let report = Report {
            integrity: if self.has(Verdict::Integrity) {
                Integrity::Broken
            } else if self.archived > 0 || self.objects == 0 {
                Integrity::Incomplete
            } else {
                Integrity::Intact
            },
            form: if self.has(Verdict::Form) { Form::Invalid } else { Form::Ok },
            digest: self.digests.finish(),
            objects: self.objects,
            changes: self.changes,
            applied: self.applied,
            made_by_hand: self.made_by_hand,
            products: self.chains.count(),
            chains_begun_before: self.chains.begun_before(),
            archived: self.archived,
            pending,
            locks_unknown: self.locks_unknown,
            compared_with_table: table.is_some(),
            findings: self.findings.into_values().collect(),
        };
        (report, self.chains)
    }

    fn has(&self, verdict: Verdict) -> bool {
        self.findings.values().any(|finding| finding.verdict == verdict)
    }

    /// Compares with the table; returns the number of changes whose objects need not exist yet.
    fn compare(&mut self, table: &TableFacts, settled: u64) -> u64 {
        for finding in &table.findings {
            self.find(finding.clone());
        }
        let findings: Vec<Finding> = table
            .products
            .iter()
            .filter(|(_, facts)| self.concerns(facts))
            .filter_map(|(product, facts)| Some(self.ends_otherwise(*product, facts)?.of(*product)))
            .chain(self.chains.iter().filter(|(product, _)| !table.products.contains_key(product)).map(
                |(product, chain)| {
                    let why = "the table has no item of this product, and product items are never removed";
                    Finding::new(chain.head.event.object_key(), Fault::Table, why).of(product)
                },
            ))
            .chain(unmatched_claims(table))
            .chain(self.chains.iter().filter_map(|(product, chain)| claimed_by_another_change(table, product, chain)))
            .collect();
        for finding in findings {
            self.find(finding);
        }
        let mut pending = 0;
        for (event, entry) in &table.journal {
            if entry.seen || !self.window.contains(event.date()) {
                continue;
            }
            let key = event.object_key();
            if entry.recorded_at <= settled {
                let why = "the object is missing; the table's journal has the entry, so `catalogctl audit repair` can write it";
                let finding = self.findings.entry(order(&key, Verdict::Integrity));
                let finding = finding.or_insert_with(|| Finding::new(key, Fault::Missing, why).of(entry.product));
                if finding.fault == Fault::Missing {
                    finding.why = why.to_owned();
                }
            } else {
                pending += 1;
                let order = order(&key, Verdict::Integrity);
                if self.findings.get(&order).is_some_and(|finding| finding.fault == Fault::Missing) {
                    self.findings.remove(&order);
                }
            }
        }
        pending
    }

    /// How the end of the product's chain differs from its item.
    fn ends_otherwise(&self, product: ProductId, facts: &ProductFacts) -> Option<Finding> {
        let last = facts.last_event.object_key();
        let Some(chain) = self.chains.get(product) else {
            // The chain is before the window or archived.
            if !self.window.contains(facts.last_event.date()) || self.archived > 0 {
                return None;
            }
            let why = format!("the object is missing, as are all {} records of the product's chain", facts.version);
            return Some(Finding::new(last, Fault::Missing, why));
        };
        let head = &chain.head;
        let end = head.event.object_key();
        if facts.chain_hash == head.hash {
            let created = chain.created.is_none_or(|created| created == facts.created);
            let differs = [
                ("version", facts.version == head.version),
                ("lastEventId", facts.last_event == head.event),
                ("createEventId or createFingerprint", created),
                ("members of the product", facts.product == head.after),
            ];
            let differs: Vec<&str> = differs.into_iter().filter(|(_, equal)| !equal).map(|(what, _)| what).collect();
            let why = format!("the table's product item differs in {}", differs.join(", "));
            return (!differs.is_empty()).then(|| Finding::new(end, Fault::Table, why));
        }
        if facts.version > head.version {
            let why = match facts.version - head.version {
                1 => "the object is missing; it is the table's last change of the product".to_owned(),
                many => format!(
                    "the object is missing, as are the {many} newest records; it is the table's last change of the product"
                ),
            };
            return Some(Finding::new(last, Fault::Missing, why));
        }
        if facts.version == head.version {
            let why = "the hash isn't the `chainHash` of the table's product: the record was modified and rehashed";
            return Some(Finding::new(end, Fault::Altered, why));
        }
        let remembered: Vec<(EventId, Digest)> = chain.newest_first().collect();
        let index = remembered.iter().position(|(_, hash)| *hash == facts.chain_hash).unwrap_or(1);
        let first = remembered[index.saturating_sub(1)].0;
        let why = format!("the chain continues after version {}, the last one of the table's product", facts.version);
        Some(Finding::new(first.object_key(), Fault::Inserted, why))
    }

    /// Compares with the versions that changes outside the chains were decided at: the only evidence without the table.
    fn compare_with_claims(&mut self) {
        let findings: Vec<Finding> = self
            .claimed
            .iter()
            .filter_map(|(product, (version, event))| {
                let reached = self.chains.get(*product).map_or(0, |chain| chain.head.version);
                let followed = reached > 0 || (self.window.from.is_none() && self.archived == 0);
                let why =
                    format!("the change was decided at version {version}, but the chain ends with version {reached}");
                (followed && *version > reached)
                    .then(|| Finding::new(event.object_key(), Fault::Missing, why).of(*product))
            })
            .collect();
        for finding in findings {
            self.find(finding);
        }
    }
}

/// SKU claims that don't match the active products.
fn unmatched_claims(table: &TableFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (product, facts) in &table.products {
        let Some(sku) = &facts.sku else { continue };
        if table.claims.get(sku).is_none_or(|claim| claim.product != *product) {
            let why = "the table has no SKU claim of this active product";
            findings.push(Finding::new(format!("PRODUCT#{product} META"), Fault::Table, why).of(*product));
        }
    }
    for (sku, claim) in &table.claims {
        let holds = table.products.get(&claim.product).is_some_and(|facts| facts.sku.as_ref() == Some(sku));
        if !holds {
            let why = "the SKU claim's product isn't active or has another SKU";
            findings.push(Finding::new(format!("SKU#{sku} CLAIM"), Fault::Table, why).of(claim.product));
        }
    }
    findings
}

/// A claim names the change that gave the product its SKU, if the chain knows it.
fn claimed_by_another_change(table: &TableFacts, product: ProductId, chain: &Chain) -> Option<Finding> {
    let (sku, taken) = chain.sku.as_ref()?;
    let claim = table.claims.get(sku).filter(|claim| claim.product == product)?;
    // A product that has changed since is read at another moment than its claim.
    let is_current = table.products.get(&product).is_some_and(|facts| facts.chain_hash == chain.head.hash);
    let differs = is_current && taken.is_some_and(|event| event != claim.event);
    let why = "the SKU claim names another change than the one that gave the product its SKU";
    differs.then(|| Finding::new(format!("SKU#{sku} CLAIM"), Fault::Table, why).of(product))
}

fn findings_only<S: Serializer>(findings: &Findings, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(findings.values())
}

fn findings_in_order<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Findings, D::Error> {
    let findings: Vec<Finding> = Deserialize::deserialize(deserializer)?;
    Ok(findings.into_iter().map(|finding| (order(&finding.object, finding.verdict), finding)).collect())
}

/// The event that an object key is for.
fn event_of(key: &str) -> Option<EventId> {
    let event = EventId::parse(key.rsplit('/').next()?.strip_suffix(".json")?)?;
    (event.object_key() == key).then_some(event)
}

/// A finding's order in the report.
fn order(object: &str, verdict: Verdict) -> (bool, String, bool) {
    (!object.starts_with("events/"), object.to_owned(), verdict == Verdict::Integrity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::sha256;

    #[test]
    fn digest_is_that_of_what_sha256sum_prints() {
        let mut digest = ObjectsDigest::default();
        digest.add("events/1.json", &sha256("a"));
        digest.add("events/2.json", &sha256("b"));
        // printf a >events/1.json; printf b >events/2.json; sha256sum events/*.json | sha256sum
        assert_eq!(digest.finish(), "92025210820e69e6baab2bad89ea1b5f831f7b1dfa0a80349427eff9881f5e2d");
    }

    fn object(key: String, content: Content) -> Object {
        Object { key, versions: 1, delete_markers: 0, first: None, digest: None, lock: Lock::Unknown, content }
    }

    #[test]
    fn counts_the_objects_it_takes() {
        let mut verification = Verification::new(Window::default(), None);
        for taken in 0..3 {
            assert_eq!(verification.objects(), taken);
            verification.take(&object(format!("events/{taken}.json"), Content::Gone));
        }
        assert_eq!(verification.finish(0).objects, 3);
    }

    #[test]
    fn journal_names_the_product_of_an_unreadable_record() {
        let event = EventId::parse("019c1f00-5a00-7000-8000-000000000001").unwrap();
        let product = ProductId::parse("3f0c2f5e-8d1b-4c6a-9e57-2b8a4d1f6c03").unwrap();
        let entry = EntryFacts { product, digest: sha256(""), recorded_at: 0, seen: false };
        let journal = HashMap::from([(event, entry)]);
        let mut verification =
            Verification::new(Window::default(), Some(TableFacts { journal, ..TableFacts::default() }));
        let unreadable = Finding::new(event.object_key(), Fault::Unreadable, "not JSON");
        verification.take(&object(event.object_key(), Content::Invalid(unreadable, b"{".to_vec())));
        let findings = verification.finish(u64::MAX).findings;
        let found: Vec<_> = findings.iter().map(|finding| (finding.fault, finding.product_id)).collect();
        assert_eq!(found, [(Fault::Unreadable, Some(product))], "the journal's entry isn't missing either");
    }

    const EVENTS: [&str; 2] = ["019c1f00-5a00-7000-8000-000000000001", "019c1f00-5a00-7000-8000-000000000002"];

    fn event(number: usize) -> EventId {
        EventId::parse(EVENTS[number]).unwrap()
    }

    fn product() -> ProductId {
        ProductId::parse("3f0c2f5e-8d1b-4c6a-9e57-2b8a4d1f6c03").unwrap()
    }

    /// Windows and numbers of archived objects, and whether a record before them can be missing.
    fn circumstances() -> [(Window, usize, bool); 3] {
        let later = Window { from: Some(event(0).date().next_day().unwrap()), to: None };
        [(Window::default(), 0, true), (later, 0, false), (Window::default(), 1, false)]
    }

    fn archived() -> Object {
        object("events/year=2020/month=01/day=01/x.json".to_owned(), Content::Archived)
    }

    #[test]
    fn version_that_a_refusal_names_must_have_been_reached() {
        for (window, count, found) in circumstances() {
            let mut verification = Verification::new(window, None);
            (0..count).for_each(|_| verification.take(&archived()));
            for number in [0, 1] {
                let change = Change {
                    event_id: event(number),
                    product_id: product(),
                    version: Some(3),
                    recorded_at: 0,
                    digest: sha256(""),
                    link: None,
                    form: None,
                    document: serde_json::Value::Null,
                };
                let content = Content::Record(Record::Change(Box::new(change)));
                verification.take(&object(event(number).object_key(), content));
            }
            let findings = verification.finish(0).findings;
            let named: Vec<_> = findings.iter().map(|finding| (finding.object.clone(), finding.fault)).collect();
            let expected = (event(0).object_key(), Fault::Missing);
            assert_eq!(named, Vec::from_iter(found.then_some(expected)), "{window:?}, {count} archived");
        }
    }

    #[test]
    fn product_of_the_table_must_have_records() {
        for (window, count, found) in circumstances() {
            let facts = ProductFacts {
                version: 2,
                last_event: event(0),
                chain_hash: sha256(""),
                product: sha256(""),
                created: (event(0), sha256("")),
                sku: None,
            };
            let products = HashMap::from([(product(), facts)]);
            let table = TableFacts { products, ..TableFacts::default() };
            let mut verification = Verification::new(window, Some(table));
            (0..count).for_each(|_| verification.take(&archived()));
            let findings = verification.finish(0).findings;
            assert_eq!(findings.len(), usize::from(found), "{window:?}, {count} archived: {findings:?}");
            assert!(findings.iter().all(|finding| finding.object == event(0).object_key()));
        }
    }

    #[test]
    fn findings_are_in_the_order_of_events() {
        let mut verification = Verification::new(Window::default(), None);
        let found = [
            ("out-of-band/1.json", Fault::Bytes),
            ("events/2.json", Fault::Bytes),
            ("events/1.json", Fault::Bytes),
            ("events/1.json", Fault::Schema),
        ];
        found.iter().for_each(|(object, fault)| verification.find(Finding::new(*object, *fault, "")));
        let findings = verification.finish(0).findings;
        let order: Vec<_> = findings.iter().map(|finding| (finding.object.as_str(), finding.fault)).collect();
        assert_eq!(order, [found[3], found[2], found[1], found[0]]);
    }

    #[test]
    fn lock_of_a_version_is_known_or_counted() {
        let mut verification = Verification::new(Window::default(), None);
        verification.take(&Object {
            versions: 0,
            delete_markers: 1,
            ..object("events/1.json".to_owned(), Content::Gone)
        });
        verification.take(&object("events/2.json".to_owned(), Content::Archived));
        assert_eq!(verification.finish(0).locks_unknown, 1);
    }
}
