//! The hash chains: whether the records of one product follow from each other.
//!
//! Records are taken in the order of their event IDs, which is the order of the objects' keys. Only the end of each product's
//! chain is kept, about 500 bytes, so the bucket may be larger than the memory.
//!
//! A break between two records proves that one of them was altered, but not which. The next record decides, because it
//! continues the one that existed when it was written. At the end of a chain the table's product decides. Without the table
//! the older record is reported, and the finding says that it may be the other.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::finding::{Fault, Finding};
use crate::ids::{EventId, ProductId};
use crate::json::Digest;
use crate::record::{Change, Link};

/// Number of records before the newest that are kept, to recognise records inserted between two genuine ones.
const RECENT: usize = 4;

/// The chains of all products, as far as they were read.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Chains {
    products: HashMap<ProductId, Chain>,
    /// Whether a chain may have begun before the first record that is read.
    may_have_begun: bool,
    begun_before: u64,
}

/// The end of one chain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Chain {
    pub head: Head,
    /// The event ID and fingerprint of the CREATE, unless the chain began before the window.
    pub created: Option<(EventId, Digest)>,
    /// The SKU that the product holds and the change that took it; no change if it was before the window.
    pub sku: Option<(String, Option<EventId>)>,
    /// Event and hash of the records before the head, newest last.
    recent: Vec<(EventId, Digest)>,
    /// In a box, because few chains have one, and it is as large as all the rest.
    open: Option<Box<Open>>,
}

/// A chain's newest record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub event: EventId,
    pub hash: Digest,
    pub version: u64,
    /// Digest of the product as the record leaves it.
    pub after: Digest,
    /// Whether the table's journal has the same record; `None` if it has none of this event.
    pub vouched: Option<bool>,
}

/// A break between the head and the record before it. The next record shows which of the two is wrong.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Open {
    kind: Break,
    /// The former head and the chain's state with it.
    former: Head,
    created: Option<(EventId, Digest)>,
    sku: Option<(String, Option<EventId>)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Break {
    /// The head continues an older record and skips those from `first` to the former head.
    Fork { first: EventId },
    /// The head names `before` as the record before it; `first` is the version that would come next.
    Gap { before: EventId, first: u64 },
    /// The head has the next version, but another `prevHash`.
    Unfit,
}

/// What is known about the head of an open break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It is in the chain.
    Right,
    /// The chain continues from the former head, so the head never was in the chain.
    Inserted,
    /// It was altered after the next record was written.
    Altered,
    Unknown,
}

impl Chain {
    fn begin(head: Head, link: &Link) -> Self {
        let sku = link.sku.clone().map(|(sku, taken)| (sku, taken.then_some(head.event)));
        Self { created: created(head.event, link), head, sku, recent: Vec::new(), open: None }
    }

    fn advance(&mut self, head: Head, link: &Link) {
        let taken_before = self.sku.take();
        self.sku = link.sku.clone().map(|(sku, taken)| {
            let event = match taken_before {
                _ if taken => Some(head.event),
                Some((former, event)) if former == sku => event,
                _ => None,
            };
            (sku, event)
        });
        let former = std::mem::replace(&mut self.head, head);
        if self.recent.len() == RECENT {
            self.recent.remove(0);
        }
        self.recent.push((former.event, former.hash));
    }

    /// The newest record and the ones kept before it, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = (EventId, Digest)> {
        std::iter::once((self.head.event, self.head.hash)).chain(self.recent.iter().rev().copied())
    }

    /// Decides an open break by the table's journal, which outweighs other records.
    fn judge(&self, verdict: Verdict) -> Verdict {
        let Some(open) = &self.open else { return verdict };
        let wrong = if matches!(open.kind, Break::Unfit) { Verdict::Altered } else { Verdict::Inserted };
        match (open.former.vouched, self.head.vouched, verdict) {
            (Some(true), Some(false), Verdict::Right | Verdict::Unknown) => wrong,
            (_, Some(true), Verdict::Unknown) => Verdict::Right,
            (_, Some(false), Verdict::Unknown) => wrong,
            (Some(true), None, Verdict::Unknown) if wrong == Verdict::Altered => wrong,
            _ => verdict,
        }
    }

    /// Decides an open break by the chain's true end, its hash and version.
    fn verdict(&self, end: Option<(Digest, u64)>) -> Verdict {
        let (Some((hash, version)), Some(open)) = (end, &self.open) else { return Verdict::Unknown };
        if hash == self.head.hash {
            Verdict::Right
        } else if hash == open.former.hash {
            Verdict::Inserted
        } else if matches!(open.kind, Break::Unfit) && version == self.head.version {
            Verdict::Altered
        } else {
            Verdict::Unknown
        }
    }

    /// Closes an open break and reports it.
    fn settle(&mut self, verdict: Verdict) -> Option<Finding> {
        let Open { kind, former, created, sku } = *self.open.take()?;
        let (head, version) = (self.head.event, self.head.version);
        let (head_key, former_key) = (head.object_key(), former.event.object_key());
        if verdict == Verdict::Inserted {
            self.head = former;
            self.created = created;
            self.sku = sku;
            self.recent.pop();
            return Some(Finding::new(
                head_key,
                Fault::Inserted,
                format!("the chain continues without it, from {former_key}"),
            ));
        }
        Some(match (kind, verdict) {
            (Break::Gap { before, first }, _) => missing(before, head, first, version),
            (Break::Fork { first }, Verdict::Right) => Finding::new(
                first.object_key(),
                Fault::Inserted,
                format!("the chain continues without it, to {head_key}"),
            ),
            (Break::Fork { first }, _) => {
                let why = format!("this record and {head_key} continue the same record; one of them was inserted");
                Finding::new(first.object_key(), Fault::Inserted, why)
            }
            (Break::Unfit, Verdict::Altered) => {
                let why = format!("the record matches neither {former_key} before it nor the record after it");
                Finding::new(head_key, Fault::Altered, why)
            }
            (Break::Unfit, Verdict::Right) => {
                let why = format!("the hash isn't the `prevHash` of {head_key}: the record was modified and rehashed");
                Finding::new(former_key, Fault::Altered, why)
            }
            (Break::Unfit, _) => {
                let why = format!("the hash isn't the `prevHash` of {head_key}: one of the two was altered");
                Finding::new(former_key, Fault::Altered, why)
            }
        })
    }

    /// Takes the next record.
    fn take(&mut self, next: Head, link: &Link) -> Vec<Finding> {
        let event = next.event;
        let mut findings = Vec::new();
        if let Some(open) = &self.open {
            let verdict = if link.prev_hash == self.head.hash {
                Verdict::Right
            } else if link.prev_hash == open.former.hash {
                Verdict::Inserted
            } else if matches!(open.kind, Break::Unfit) {
                Verdict::Altered
            } else {
                Verdict::Unknown
            };
            let verdict = self.judge(verdict);
            findings.extend(self.settle(verdict));
            if verdict == Verdict::Altered {
                // The record between two breaks explains both.
                self.advance(next, link);
                return findings;
            }
        }
        let head = &self.head;
        if link.prev_hash == head.hash && link.version == head.version + 1 {
            if link.before.is_none_or(|(before, _)| before != head.after) {
                let why = format!("`before` isn't the `after` of {}", head.event.object_key());
                findings.push(Finding::new(event.object_key(), Fault::Content, why));
            }
        } else if link.before.is_none() && head.version > 1 {
            let why = format!("a second CREATE in a chain at version {}", head.version);
            findings.push(Finding::new(event.object_key(), Fault::Inserted, why));
            return findings;
        } else {
            let (kind, sku) = (self.break_before(link), self.sku.clone());
            let open = Open { kind, former: head.clone(), created: self.created, sku };
            self.open = Some(Box::new(open));
            if link.before.is_none() {
                self.created = created(event, link);
            }
        }
        self.advance(next, link);
        findings
    }

    /// The kind of break between the head and a record.
    fn break_before(&self, link: &Link) -> Break {
        let Some((_, before)) = link.before else { return Break::Fork { first: self.head.event } };
        let remembered: Vec<(EventId, Digest)> = self.newest_first().collect();
        let index = remembered.iter().position(|(_, hash)| *hash == link.prev_hash);
        match index {
            Some(index) if index > 0 => Break::Fork { first: remembered[index - 1].0 },
            _ if link.version > self.head.version + 1 && before > self.head.event => {
                Break::Gap { before, first: self.head.version + 1 }
            }
            _ => Break::Unfit,
        }
    }
}

impl Head {
    fn of(event: EventId, link: &Link, vouched: Option<bool>) -> Self {
        Self { event, hash: link.hash, version: link.version, after: link.after, vouched }
    }
}

fn created(event: EventId, link: &Link) -> Option<(EventId, Digest)> {
    link.before.is_none().then_some((event, link.fingerprint))
}

impl Chains {
    /// `may_have_begun`: reading starts in the middle, so any record of a product's chain may be the first.
    pub fn new(may_have_begun: bool) -> Self {
        Self { may_have_begun, ..Self::default() }
    }

    /// From now on, a chain may begin with any record, because earlier ones can't be read.
    pub fn may_have_begun(&mut self) {
        self.may_have_begun = true;
    }

    /// Number of chains that began before the window.
    pub fn begun_before(&self) -> u64 {
        self.begun_before
    }

    /// Number of products with a chain.
    pub fn count(&self) -> u64 {
        self.products.len() as u64
    }

    pub fn get(&self, product: ProductId) -> Option<&Chain> {
        self.products.get(&product)
    }

    pub fn iter(&self) -> impl Iterator<Item = (ProductId, &Chain)> {
        self.products.iter().map(|(product, chain)| (*product, chain))
    }

    /// The ends of all chains.
    pub fn into_ends(self) -> impl Iterator<Item = (ProductId, Chain)> {
        self.products.into_iter()
    }

    /// Takes the next record. `vouched`: whether the table's journal has the same record. Returns what is now known to be
    /// wrong, which may be an earlier record.
    pub fn follow(&mut self, change: &Change, vouched: Option<bool>) -> Vec<Finding> {
        let Some(link) = &change.link else { return Vec::new() };
        let (product, head) = (change.product_id, Head::of(change.event_id, link, vouched));
        let findings = match self.products.get_mut(&product) {
            None => self.begin(product, head, link),
            Some(chain) => chain.take(head, link),
        };
        findings.into_iter().map(|finding| finding.of(product)).collect()
    }

    fn begin(&mut self, product: ProductId, head: Head, link: &Link) -> Vec<Finding> {
        let event = head.event;
        self.products.insert(product, Chain::begin(head, link));
        match link.before {
            None => Vec::new(),
            Some(_) if self.may_have_begun => {
                self.begun_before += 1;
                Vec::new()
            }
            Some((_, before)) => vec![missing(before, event, 1, link.version)],
        }
    }

    /// Decides the breaks that no later record decided. `true_end` is the hash and version of a chain's last record, as far
    /// as the table has them.
    pub fn finish(&mut self, true_end: impl Fn(ProductId) -> Option<(Digest, u64)>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (product, chain) in &mut self.products {
            let verdict = chain.judge(chain.verdict(true_end(*product)));
            findings.extend(chain.settle(verdict).map(|finding| finding.of(*product)));
        }
        findings
    }
}

/// A finding for the record of `before`, which `event` names as the previous one, and for those back to version `first`.
fn missing(before: EventId, event: EventId, first: u64, version: u64) -> Finding {
    let also = match version.saturating_sub(1) {
        last if last <= first => String::new(),
        last => format!(", as are all from version {first} to {last}"),
    };
    let why = format!("the object is missing{also}; {} names it as the previous change", event.object_key());
    Finding::new(before.object_key(), Fault::Missing, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u64) -> EventId {
        EventId::parse(&format!("019c13ec-9e00-7000-8000-{number:012}")).unwrap()
    }

    fn head(number: u8, vouched: Option<bool>) -> Head {
        let version = u64::from(number);
        Head { event: event(version), hash: [number; 32], version, after: [number; 32], vouched }
    }

    /// A chain whose head, record 2, doesn't fit the former head, record 1.
    fn broken(kind: Break, former: Option<bool>, newest: Option<bool>) -> Chain {
        let open = Open { kind, former: head(1, former), created: None, sku: None };
        Chain { head: head(2, newest), created: None, sku: None, recent: Vec::new(), open: Some(Box::new(open)) }
    }

    fn gap() -> Break {
        Break::Gap { before: event(1), first: 2 }
    }

    #[test]
    fn journal_outweighs_other_records() {
        use Verdict::{Altered, Inserted, Right, Unknown};
        let (yes, no) = (Some(true), Some(false));
        for (kind, former, newest, verdict, expected) in [
            (Break::Unfit, yes, no, Right, Altered),
            (Break::Unfit, yes, no, Unknown, Altered),
            (Break::Unfit, yes, no, Inserted, Inserted),
            (Break::Unfit, yes, None, Unknown, Altered),
            (Break::Unfit, yes, None, Right, Right),
            (Break::Unfit, yes, yes, Right, Right),
            (Break::Unfit, None, no, Unknown, Altered),
            (Break::Unfit, None, no, Right, Right),
            (Break::Unfit, no, yes, Unknown, Right),
            (Break::Unfit, None, None, Unknown, Unknown),
            (gap(), yes, no, Right, Inserted),
            (gap(), None, no, Unknown, Inserted),
            (gap(), None, yes, Unknown, Right),
            (gap(), yes, None, Unknown, Unknown),
        ] {
            let label = format!("{kind:?} {former:?} {newest:?} {verdict:?}");
            assert_eq!(broken(kind, former, newest).judge(verdict), expected, "{label}");
        }
    }

    #[test]
    fn end_of_the_chain_decides_a_break() {
        for (kind, end, expected) in [
            (Break::Unfit, None, Verdict::Unknown),
            (Break::Unfit, Some(([2; 32], 2)), Verdict::Right),
            (Break::Unfit, Some(([1; 32], 1)), Verdict::Inserted),
            (Break::Unfit, Some(([9; 32], 2)), Verdict::Altered),
            (Break::Unfit, Some(([9; 32], 3)), Verdict::Unknown),
            (gap(), Some(([9; 32], 2)), Verdict::Unknown),
        ] {
            let label = format!("{kind:?} {end:?}");
            assert_eq!(broken(kind, None, None).verdict(end), expected, "{label}");
        }
    }

    #[test]
    fn remembers_the_change_that_took_the_sku_and_the_newest_records() {
        let link = |number: u8, sku: Option<(&str, bool)>| Link {
            hash: [number; 32],
            prev_hash: [number - 1; 32],
            version: u64::from(number),
            fingerprint: [0; 32],
            before: None,
            after: [number; 32],
            sku: sku.map(|(sku, taken)| (sku.to_owned(), taken)),
        };
        let mut chain = Chain::begin(head(1, None), &link(1, Some(("A", true))));
        let mut seen = vec![chain.sku.clone()];
        for (number, sku) in
            [(2, ("A", false)), (3, ("B", false)), (4, ("B", true)), (5, ("B", false)), (6, ("B", false))]
        {
            chain.advance(head(number, None), &link(number, Some(sku)));
            seen.push(chain.sku.clone());
        }
        let took = |sku: &str, number: Option<u64>| Some((sku.to_owned(), number.map(event)));
        let expected = [("A", Some(1)), ("A", Some(1)), ("B", None), ("B", Some(4)), ("B", Some(4)), ("B", Some(4))];
        assert_eq!(seen, expected.map(|(sku, number)| took(sku, number)));
        let newest: Vec<EventId> = chain.newest_first().map(|(event, _)| event).collect();
        assert_eq!(newest, [6, 5, 4, 3, 2].map(event), "the head and four before it");
    }

    /// The record of version `version`, which names record `prev` as the one before it.
    fn record(number: u8, version: u64, prev: u8) -> (Head, Link) {
        let before = Some(([prev; 32], event(u64::from(prev))));
        let link = Link {
            hash: [number; 32],
            prev_hash: [prev; 32],
            version,
            fingerprint: [0; 32],
            before: before.filter(|_| prev > 0),
            after: [number; 32],
            sku: None,
        };
        (Head::of(event(u64::from(number)), &link, None), link)
    }

    /// What is found in a chain of these records after its first one, and at its end, by the number of the record.
    fn found(records: impl IntoIterator<Item = (Head, Link)>) -> Vec<(Fault, u64)> {
        let (head, link) = record(1, 1, 0);
        let mut chain = Chain::begin(head, &link);
        let mut findings: Vec<Finding> = records.into_iter().flat_map(|(head, link)| chain.take(head, &link)).collect();
        findings.extend(chain.settle(Verdict::Unknown));
        let number = |finding: &Finding| (0..10).find(|number| finding.object == event(*number).object_key()).unwrap();
        findings.iter().map(|finding| (finding.fault, number(finding))).collect()
    }

    #[test]
    fn finds_the_record_that_breaks_a_chain() {
        assert_eq!(found([record(2, 2, 1), record(3, 3, 2)]), []);
        let altered = [record(2, 2, 9), record(3, 3, 7), record(4, 4, 3)];
        assert_eq!(found(altered), [(Fault::Altered, 2)], "the record between two breaks explains both");
        let (head, link) = record(3, 3, 2);
        let other_before = Link { before: Some(([8; 32], event(2))), ..link };
        assert_eq!(
            found([record(2, 2, 9), (head, other_before)]),
            [(Fault::Altered, 1), (Fault::Content, 3)],
            "a break that is decided doesn't hide another fault"
        );
        assert_eq!(found([record(2, 2, 1), record(3, 5, 2)]), [(Fault::Altered, 2)], "a version too high");
        assert_eq!(found([record(2, 2, 1), record(4, 4, 3)]), [(Fault::Missing, 3)]);
        assert_eq!(found([record(2, 2, 1), record(4, 4, 3), record(5, 5, 4)]), [(Fault::Missing, 3)]);
        for after_it in [vec![], vec![record(5, 4, 4)]] {
            let fork = [record(2, 2, 1), record(3, 3, 2), record(4, 3, 2)];
            assert_eq!(found(fork.into_iter().chain(after_it)), [(Fault::Inserted, 3)], "4 continues 2");
        }
        let fork = [record(2, 2, 1), record(3, 3, 2), record(4, 4, 3), record(5, 3, 2)];
        assert_eq!(found(fork), [(Fault::Inserted, 3)], "the first of two that 5 skips");
        let original = [record(2, 2, 1), record(3, 3, 2), record(4, 3, 2), record(5, 4, 3)];
        assert_eq!(found(original), [(Fault::Inserted, 4)], "5 continues 3");
        assert_eq!(
            found([record(2, 2, 1), record(3, 1, 0), record(4, 3, 2)]),
            [(Fault::Inserted, 3)],
            "a second CREATE"
        );
        assert_eq!(found([record(2, 2, 1), record(3, 1, 0)]), [(Fault::Inserted, 3)], "a second CREATE at the end");
        assert_eq!(found([record(2, 1, 0)]), [(Fault::Inserted, 1)], "two records begin the chain");
    }

    #[test]
    fn finding_says_how_many_records_are_missing() {
        for (prev, missing) in
            [(2, "the object is missing; "), (4, "the object is missing, as are all from version 2 to 4; ")]
        {
            let (head, link) = record(1, 1, 0);
            let mut chain = Chain::begin(head, &link);
            let (head, link) = record(prev + 1, u64::from(prev) + 1, prev);
            assert_eq!(chain.take(head, &link), []);
            let finding = chain.settle(Verdict::Unknown).unwrap();
            let names = format!("{} names it as the previous change", event(u64::from(prev) + 1).object_key());
            assert_eq!(finding.why, format!("{missing}{names}"));
        }
    }
}
