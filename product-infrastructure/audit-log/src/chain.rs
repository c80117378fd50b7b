//! The hash chains: what two records of one product say of each other.
//!
//! Records come in the order of their event ids, which is the order of the objects' keys. Of each product only the end of
//! its chain is kept, some 500 bytes, so the bucket may be larger than the memory.
//!
//! A break between two records says that one of them is not what it was, but not which. The next record decides: whichever
//! of the two it goes on from was there when it was made. At the end of a chain the table's product decides, if there is
//! a table; otherwise the older of the two is named, and the finding says that it may be the other.

use std::collections::HashMap;

use crate::finding::{Fault, Finding};
use crate::ids::{EventId, ProductId};
use crate::json::Digest;
use crate::record::{Change, Link};

/// How far back a record may fit that forged ones had pushed away from its predecessor.
const RECENT: usize = 4;

/// All products' chains, as far as they have been followed.
#[derive(Debug, Default)]
pub struct Chains {
    products: HashMap<ProductId, Chain>,
    /// Whether a chain may have begun before the first record that is read.
    may_have_begun: bool,
    begun_before: u64,
}

/// The end of one chain.
#[derive(Debug, Clone)]
pub struct Chain {
    pub head: Head,
    /// The change that made the product and its fingerprint, unless the chain began before what was read.
    pub created: Option<(EventId, Digest)>,
    /// Event and hash of the records before the head, newest last.
    recent: Vec<(EventId, Digest)>,
    open: Option<Open>,
}

/// A chain's newest record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub event: EventId,
    pub hash: Digest,
    pub version: u64,
    /// Digest of the product as the record leaves it.
    pub after: Digest,
    /// Whether the table's journal has the very same record; `None` when it has none of this event.
    pub vouched: Option<bool>,
}

/// A break between the head and the record before it, of which it is not yet known which side is wrong.
#[derive(Debug, Clone)]
struct Open {
    kind: Break,
    /// The head as it was before, and what it says of the chain's beginning.
    former: Head,
    created: Option<(EventId, Digest)>,
}

#[derive(Debug, Clone)]
enum Break {
    /// The head continues an older record, past those from `first` to the former head.
    Fork { first: EventId },
    /// The head names `before` as the record before it; `first` is the version that would come next.
    Gap { before: EventId, first: u64 },
    /// The head comes next by its version and does not fit.
    Unfit,
}

/// What became known of the head of an open break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It is in the chain.
    Right,
    /// The chain goes on from the former head: it never was in the chain.
    Inserted,
    /// It is not what it was when the next record was made.
    Altered,
    Unknown,
}

impl Chain {
    fn begin(head: Head, link: &Link) -> Self {
        Self { created: created(head.event, link), head, recent: Vec::new(), open: None }
    }

    fn advance(&mut self, head: Head) {
        let former = std::mem::replace(&mut self.head, head);
        if self.recent.len() == RECENT {
            self.recent.remove(0);
        }
        self.recent.push((former.event, former.hash));
    }

    /// The newest record and those before it that are remembered, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = (EventId, Digest)> {
        std::iter::once((self.head.event, self.head.hash)).chain(self.recent.iter().rev().copied())
    }

    /// What the journal says of an open break, which counts for more than what other records say.
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

    /// What the chain's true end, its hash and version, says of an open break.
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

    /// Closes an open break; gives what is wrong.
    fn settle(&mut self, verdict: Verdict) -> Option<Finding> {
        let Open { kind, former, created } = self.open.take()?;
        let (head, version) = (self.head.event, self.head.version);
        let (head_key, former_key) = (head.object_key(), former.event.object_key());
        if verdict == Verdict::Inserted {
            self.head = former;
            self.created = created;
            self.recent.pop();
            return Some(Finding::new(
                head_key,
                Fault::Inserted,
                format!("the chain goes on past it, from {former_key}"),
            ));
        }
        Some(match (kind, verdict) {
            (Break::Gap { before, first }, _) => missing(before, head, first, version),
            (Break::Fork { first }, Verdict::Right) => {
                Finding::new(first.object_key(), Fault::Inserted, format!("the chain goes on past it, to {head_key}"))
            }
            (Break::Fork { first }, _) => {
                let why = format!("it and {head_key} continue the same record; one of them was inserted");
                Finding::new(first.object_key(), Fault::Inserted, why)
            }
            (Break::Unfit, Verdict::Altered) => {
                let why = format!("it follows {former_key} and does not fit, nor does what comes after fit it");
                Finding::new(head_key, Fault::Altered, why)
            }
            (Break::Unfit, Verdict::Right) => {
                let why = format!("its hash is not the `prevHash` of {head_key}: it was modified and rehashed");
                Finding::new(former_key, Fault::Altered, why)
            }
            (Break::Unfit, _) => {
                let why = format!("its hash is not the `prevHash` of {head_key}: one of the two was altered");
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
                self.advance(next);
                return findings;
            }
        }
        let head = &self.head;
        if link.prev_hash == head.hash && link.version == head.version + 1 {
            if link.before.is_none_or(|(before, _)| before != head.after) {
                let why = format!("its `before` is not the `after` of {}", head.event.object_key());
                findings.push(Finding::new(event.object_key(), Fault::Content, why));
            }
        } else if link.before.is_none() && head.version > 1 {
            let why = format!("a second beginning of a chain that is at version {} already", head.version);
            findings.push(Finding::new(event.object_key(), Fault::Inserted, why));
            return findings;
        } else {
            let open = Open { kind: self.break_before(link), former: head.clone(), created: self.created };
            self.open = Some(open);
            if link.before.is_none() {
                self.created = created(event, link);
            }
        }
        self.advance(next);
        findings
    }

    /// How a record breaks with the head.
    fn break_before(&self, link: &Link) -> Break {
        let Some((_, before)) = link.before else { return Break::Fork { first: self.head.event } };
        let remembered: Vec<(EventId, Digest)> = self.newest_first().collect();
        let place = remembered.iter().position(|(_, hash)| *hash == link.prev_hash);
        match place {
            Some(place) if place > 0 => Break::Fork { first: remembered[place - 1].0 },
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
    /// `may_have_begun`: what is read begins somewhere in the middle, so a product's first record may be any of its chain.
    pub fn new(may_have_begun: bool) -> Self {
        Self { may_have_begun, ..Self::default() }
    }

    /// From now on a chain may begin with any record: some that cannot be read came before.
    pub fn may_have_begun(&mut self) {
        self.may_have_begun = true;
    }

    /// How many chains began before what was read.
    pub fn begun_before(&self) -> u64 {
        self.begun_before
    }

    /// How many products have a chain.
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
    pub fn into_ends(self) -> impl Iterator<Item = Chain> {
        self.products.into_values()
    }

    /// Takes the next record, and whether the table's journal has the very same; gives what is now known to be wrong, which
    /// may be an earlier one.
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

    /// The records are at an end. `true_end` gives the hash and the version that the product's chain ends with, as far as
    /// they are known from elsewhere; they decide the breaks that no later record decided.
    pub fn finish(&mut self, true_end: impl Fn(ProductId) -> Option<(Digest, u64)>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (product, chain) in &mut self.products {
            let verdict = chain.judge(chain.verdict(true_end(*product)));
            findings.extend(chain.settle(verdict).map(|finding| finding.of(*product)));
        }
        findings
    }
}

/// The record of `before`, which `event` names as the one before it, is not there; nor are others back to `first`.
fn missing(before: EventId, event: EventId, first: u64, version: u64) -> Finding {
    let also = match version.saturating_sub(1) {
        last if last <= first => String::new(),
        last => format!(", nor are the others from version {first} to {last}"),
    };
    let why = format!("it is not there{also}; {} names it as the change before it", event.object_key());
    Finding::new(before.object_key(), Fault::Missing, why)
}
