//! A whole audit log: every object, every chain, and the table beside it.
//!
//! Without the table, nothing in the bucket tells that the newest records of a chain are gone: the chain just ends
//! earlier. The table's product knows how its chain ends, and for 90 days the table's journal holds every record. What is
//! found with and without it is set out in `contracts/README.md`.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use crate::chain::{Chain, Chains};
use crate::finding::{Fault, Finding};
use crate::ids::{EventId, ProductId};
use crate::json::Digest;
use crate::record::{Change, Record};
use crate::window::Window;

/// An object of the bucket.
#[derive(Debug)]
pub struct Object {
    pub key: String,
    pub versions: u64,
    pub delete_markers: u64,
    /// The version whose content this is, when there is more than one.
    pub first: Option<String>,
    pub content: Content,
}

/// What an object holds.
#[derive(Debug)]
pub enum Content {
    Checked(Result<Record, Finding>),
    /// In an archive, from which it would have to be restored first.
    Archived,
    /// Only delete markers are left of it.
    Gone,
}

/// What the table says, to compare with.
#[derive(Debug, Clone, Default)]
pub struct TableFacts {
    pub products: HashMap<ProductId, ProductFacts>,
    pub journal: HashMap<EventId, EntryFacts>,
    /// Items that nobody but a hand can have written so.
    pub findings: Vec<Finding>,
}

/// A product item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductFacts {
    pub version: u64,
    pub last_event: EventId,
    pub chain_hash: Digest,
    /// As [`crate::record::product_digest`] makes it.
    pub product: Digest,
    pub created: (EventId, Digest),
}

/// A journal entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryFacts {
    pub product: ProductId,
    /// Of the bytes that its object must have.
    pub digest: Digest,
    /// In milliseconds since 1970.
    pub recorded_at: u64,
    /// Whether its object has been come across.
    pub seen: bool,
}

/// What was found, and what was read to find it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub result: Outcome,
    /// In event order: the first is the first bad object.
    pub findings: Vec<Finding>,
    pub objects: u64,
    /// Journal entries among the objects.
    pub changes: u64,
    /// Of them those in chains.
    pub applied: u64,
    /// Changes past the functions that the bucket tells of, but for expired journal entries.
    pub made_by_hand: u64,
    /// Products that have a chain.
    pub products: u64,
    /// Chains that were followed from a record in the middle, since the window begins there.
    pub chains_begun_before: u64,
    /// Objects in an archive: not checked.
    pub archived: u64,
    /// Changes that were recorded a moment ago and may still be on their way to the bucket.
    pub on_their_way: u64,
    pub compared_with_table: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Intact,
    Broken,
    /// Nothing is wrong with what could be read, but not all could.
    Incomplete,
}

/// A verification under way.
#[derive(Debug)]
pub struct Verification {
    window: Window,
    chains: Chains,
    table: Option<TableFacts>,
    /// By object, one each, in event order; what is no change comes last.
    findings: BTreeMap<(bool, String), Finding>,
    objects: u64,
    changes: u64,
    applied: u64,
    made_by_hand: u64,
    archived: u64,
    /// The highest version that a change claims to have left in place, by product, and its event.
    claimed: HashMap<ProductId, (u64, EventId)>,
}

impl Verification {
    pub fn new(window: Window, table: Option<TableFacts>) -> Self {
        Self {
            window,
            chains: Chains::new(window.from.is_some()),
            table,
            findings: BTreeMap::new(),
            objects: 0,
            changes: 0,
            applied: 0,
            made_by_hand: 0,
            archived: 0,
            claimed: HashMap::new(),
        }
    }

    pub fn chains(&self) -> &Chains {
        &self.chains
    }

    /// Takes the next object. Those under `events/` come in the order of their keys.
    pub fn take(&mut self, object: &Object) {
        self.objects += 1;
        let (key, versions, markers) = (object.key.as_str(), object.versions, object.delete_markers);
        if markers > 0 {
            let why = format!("it was deleted: S3 has {markers} delete markers and {versions} versions of it");
            self.find(Finding::new(key, Fault::Deleted, why));
        } else if versions > 1 {
            let why = format!("it was written {versions} times; what is checked below is what was written first");
            self.find(Finding::new(key, Fault::Overwritten, why));
        }
        match &object.content {
            Content::Checked(Ok(Record::Change(change))) => self.change(change),
            Content::Checked(Ok(Record::OutOfBand(change))) => self.made_by_hand += u64::from(!change.by_ttl),
            Content::Checked(Err(finding)) => self.find(finding.clone()),
            Content::Archived => {
                self.archived += 1;
                let event = key.rsplit('/').next().and_then(|name| EventId::parse(name.strip_suffix(".json")?));
                // It is there, whatever it holds.
                event.and_then(|event| self.journalled(event));
                self.chains.may_have_begun();
            }
            Content::Gone => {}
        }
    }

    fn change(&mut self, change: &Change) {
        self.changes += 1;
        self.applied += u64::from(change.link.is_some());
        let vouched = self.journalled(change.event_id).map(|entry| entry.digest == change.digest);
        if vouched == Some(false) {
            let why = "the table's journal holds another entry of this event";
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

    /// The journal's entry of an event whose object is there.
    fn journalled(&mut self, event: EventId) -> Option<EntryFacts> {
        let entry = self.table.as_mut()?.journal.get_mut(&event)?;
        entry.seen = true;
        Some(*entry)
    }

    fn find(&mut self, finding: Finding) {
        self.findings.entry(place(&finding.object)).or_insert(finding);
    }

    /// Products whose item was not, when it was read, what their chain ends with: it has to be read again, since the
    /// product may have changed meanwhile.
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

    /// Replaces what is known of a product, and adds journal entries of its that were not known.
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
            table.journal.entry(event).or_insert(entry);
        }
    }

    /// Whether the window holds the end of the product's chain, or all that comes after it.
    fn concerns(&self, facts: &ProductFacts) -> bool {
        self.window.to.is_none_or(|to| facts.last_event.date() <= to)
    }

    /// Judges. Changes recorded after `settled` (milliseconds since 1970) need not be in the bucket yet.
    pub fn finish(self, settled: u64) -> Report {
        self.finish_with_chains(settled).0
    }

    /// As [`Verification::finish`], with the ends of the chains.
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
        let mut on_their_way = 0;
        match &table {
            Some(table) => on_their_way = self.compare(table, settled),
            None => self.compare_with_claims(),
        }
        let report = Report {
            result: match (self.findings.is_empty(), self.archived) {
                (false, _) => Outcome::Broken,
                (true, 0) => Outcome::Intact,
                (true, _) => Outcome::Incomplete,
            },
            objects: self.objects,
            changes: self.changes,
            applied: self.applied,
            made_by_hand: self.made_by_hand,
            products: self.chains.count(),
            chains_begun_before: self.chains.begun_before(),
            archived: self.archived,
            on_their_way,
            compared_with_table: table.is_some(),
            findings: self.findings.into_values().collect(),
        };
        (report, self.chains)
    }

    /// Compares with the table; gives how many changes may still be on their way.
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
                    let why = "the table has no such product, and products are never removed from it";
                    Finding::new(chain.head.event.object_key(), Fault::Table, why).of(product)
                },
            ))
            .collect();
        for finding in findings {
            self.find(finding);
        }
        let mut on_their_way = 0;
        for (event, entry) in &table.journal {
            if entry.seen || !self.window.contains(event.date()) {
                continue;
            }
            let key = event.object_key();
            if entry.recorded_at <= settled {
                let why = "it is not there; the table's journal has it: `catalogctl audit repair` sends it again";
                let finding = self.findings.entry(place(&key));
                let finding = finding.or_insert_with(|| Finding::new(key, Fault::Missing, why).of(entry.product));
                if finding.fault == Fault::Missing {
                    finding.why = why.to_owned();
                }
            } else {
                on_their_way += 1;
                if self.findings.get(&place(&key)).is_some_and(|finding| finding.fault == Fault::Missing) {
                    self.findings.remove(&place(&key));
                }
            }
        }
        on_their_way
    }

    /// How the product's chain does not end as its item says.
    fn ends_otherwise(&self, product: ProductId, facts: &ProductFacts) -> Option<Finding> {
        let last = facts.last_event.object_key();
        let Some(chain) = self.chains.get(product) else {
            // Before the window, or in the archive.
            if !self.window.contains(facts.last_event.date()) || self.archived > 0 {
                return None;
            }
            let why = format!("it is not there, and no other of the product's chain, which has {}", facts.version);
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
                ("the product's members", facts.product == head.after),
            ];
            let differs: Vec<&str> = differs.into_iter().filter(|(_, equal)| !equal).map(|(what, _)| what).collect();
            let why = format!("the table's product item differs from it in {}", differs.join(", "));
            return (!differs.is_empty()).then(|| Finding::new(end, Fault::Table, why));
        }
        if facts.version > head.version {
            let why = match facts.version - head.version {
                1 => "it is not there; the table's product was last changed by it".to_owned(),
                many => format!("it is not there; the table's product was last changed by it, and {many} are missing"),
            };
            return Some(Finding::new(last, Fault::Missing, why));
        }
        if facts.version == head.version {
            let why = "its hash is not the `chainHash` of the table's product: it was modified and rehashed";
            return Some(Finding::new(end, Fault::Altered, why));
        }
        let remembered: Vec<(EventId, Digest)> = chain.newest_first().collect();
        let place = remembered.iter().position(|(_, hash)| *hash == facts.chain_hash).unwrap_or(1);
        let first = remembered[place.saturating_sub(1).min(remembered.len() - 1)].0;
        let why = format!("the table's product ends with version {}, its chain here goes on", facts.version);
        Some(Finding::new(first.object_key(), Fault::Inserted, why))
    }

    /// What records outside the chains tell of its length: all that there is without the table.
    fn compare_with_claims(&mut self) {
        let findings: Vec<Finding> = self
            .claimed
            .iter()
            .filter_map(|(product, (version, event))| {
                let reached = self.chains.get(*product).map_or(0, |chain| chain.head.version);
                let followed = reached > 0 || (self.window.from.is_none() && self.archived == 0);
                let why = format!("it was decided at version {version}, and the chain ends with version {reached}");
                (followed && *version > reached)
                    .then(|| Finding::new(event.object_key(), Fault::Missing, why).of(*product))
            })
            .collect();
        for finding in findings {
            self.find(finding);
        }
    }
}

/// Where a finding comes in a report.
fn place(object: &str) -> (bool, String) {
    (!object.starts_with("events/"), object.to_owned())
}
