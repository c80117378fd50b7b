//! The hash chains: what two records of one product say of each other.
//!
//! Records come in the order of their event ids, which is the order of the objects' keys. Of each product only the end of
//! its chain is kept, some 400 bytes, so the bucket may be larger than the memory.
//!
//! A break between two records says that one of them is not what it was, but not which. The next record decides: whichever
//! of the two it goes on from was there when it was made. At the end of a chain the table's product decides, if there is
//! a table; otherwise the older of the two is named, and the finding says that it may be the other.

use std::collections::HashMap;

use super::finding::{Fault, Finding};
use super::ids::{EventId, ProductId};
use super::json::Digest;
use super::record::{Change, Link};

/// How far back a record may fit that a forged one had pushed away from its predecessor.
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
}

/// A break of which it is not yet known which side is wrong. The newer side is the head.
#[derive(Debug, Clone)]
enum Open {
    /// Two continuations of one record; the older one begins with `first` and ends with `end`, the newer one is the head.
    Fork { first: EventId, end: Head },
    /// The head does not follow the record before it.
    Break { before: EventId },
}

impl Chain {
    fn begin(event: EventId, link: &Link) -> Self {
        let created = (link.version == 1).then_some((event, link.fingerprint));
        Self { head: Head::of(event, link), created, recent: Vec::new(), open: None }
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

    /// Whether the head is right, given how the chain ends; `None` when that decides nothing.
    fn head_is_right(&self, (hash, version): (Digest, u64)) -> Option<bool> {
        if hash == self.head.hash {
            return Some(true);
        }
        let other = match &self.open {
            Some(Open::Fork { end, .. }) => end.hash == hash,
            _ => version == self.head.version,
        };
        other.then_some(false)
    }

    /// Decides an open break by whether the head is known to be right (`true`), to be wrong (`false`), or neither.
    fn settle(&mut self, head_is_right: Option<bool>) -> Option<Finding> {
        let open = self.open.take()?;
        let head = self.head.event;
        let key = EventId::object_key;
        Some(match (open, head_is_right) {
            (Open::Fork { first, .. }, Some(true)) => {
                Finding::new(key(first), Fault::Inserted, format!("the chain goes on past it, to {}", key(head)))
            }
            (Open::Fork { first, end }, Some(false)) => {
                self.head = end;
                Finding::new(key(head), Fault::Inserted, format!("the chain goes on past it, from {}", key(first)))
            }
            (Open::Fork { first, .. }, None) => Finding::new(
                key(first),
                Fault::Inserted,
                format!("two records continue the same one: this and {}; one of them was inserted", key(head)),
            ),
            (Open::Break { before }, Some(true)) => Finding::new(
                key(before),
                Fault::Altered,
                format!("its hash is not the `prevHash` of {}: it was altered and its hash made anew", key(head)),
            ),
            (Open::Break { before }, Some(false)) => Finding::new(
                key(head),
                Fault::Altered,
                format!("it follows {} and does not fit, nor does what comes after fit it", key(before)),
            ),
            (Open::Break { before }, None) => Finding::new(
                key(before),
                Fault::Altered,
                format!("its hash is not the `prevHash` of {}: one of the two was altered", key(head)),
            ),
        })
    }
}

impl Head {
    fn of(event: EventId, link: &Link) -> Self {
        Self { event, hash: link.hash, version: link.version, after: link.after }
    }
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

    pub fn len(&self) -> usize {
        self.products.len()
    }

    pub fn is_empty(&self) -> bool {
        self.products.is_empty()
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

    /// Takes the next record; gives what is now known to be wrong, which may be an earlier one.
    pub fn follow(&mut self, change: &Change) -> Vec<Finding> {
        let Some(link) = &change.link else { return Vec::new() };
        let (product, event) = (change.product_id, change.event_id);
        let findings = match self.products.get_mut(&product) {
            None => self.begin(product, event, link),
            Some(chain) => continue_chain(chain, event, link),
        };
        findings.into_iter().map(|finding| finding.of(product)).collect()
    }

    fn begin(&mut self, product: ProductId, event: EventId, link: &Link) -> Vec<Finding> {
        self.products.insert(product, Chain::begin(event, link));
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
            let right = true_end(*product).and_then(|end| chain.head_is_right(end));
            findings.extend(chain.settle(right).map(|finding| finding.of(*product)));
        }
        findings
    }
}

fn continue_chain(chain: &mut Chain, event: EventId, link: &Link) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(Open::Fork { end, .. }) = &chain.open
        && end.hash == link.prev_hash
    {
        // The older branch is the one that goes on.
        findings.extend(chain.settle(Some(false)));
    } else if chain.open.is_some() {
        let fits = link.prev_hash == chain.head.hash;
        let wrong_head = matches!(chain.open, Some(Open::Break { .. })) && !fits;
        findings.extend(chain.settle(if fits { Some(true) } else { wrong_head.then_some(false) }));
        if wrong_head {
            // The record between the two breaks explains both.
            chain.advance(Head::of(event, link));
            return findings;
        }
    }
    let head = &chain.head;
    if link.prev_hash == head.hash && link.version == head.version + 1 {
        if link.before.is_none_or(|(before, _)| before != head.after) {
            let why = format!("its `before` is not the `after` of {}", head.event.object_key());
            findings.push(Finding::new(event.object_key(), Fault::Content, why));
        }
    } else {
        findings.extend(break_at(chain, event, link));
    }
    chain.advance(Head::of(event, link));
    findings
}

/// What a record tells that does not follow the head; what it leaves open is noted in the chain.
fn break_at(chain: &mut Chain, event: EventId, link: &Link) -> Option<Finding> {
    let remembered: Vec<(EventId, Digest)> = chain.newest_first().collect();
    let head = &chain.head;
    if let Some(place) = remembered.iter().position(|(_, hash)| *hash == link.prev_hash)
        && place > 0
    {
        chain.open = Some(Open::Fork { first: remembered[place - 1].0, end: head.clone() });
        return None;
    }
    let Some((_, before)) = link.before else {
        let why = format!("a second beginning of a chain that is at version {} already", head.version);
        return Some(Finding::new(event.object_key(), Fault::Inserted, why));
    };
    if link.version > head.version + 1 && before > head.event {
        return Some(missing(before, event, head.version + 1, link.version));
    }
    chain.open = Some(Open::Break { before: head.event });
    None
}

/// The record of `before`, which `event` names as the one before it, is not there; nor are others back to `first`.
fn missing(before: EventId, event: EventId, first: u64, version: u64) -> Finding {
    let also = match version.saturating_sub(1) {
        last if last == first => String::new(),
        last => format!(", nor are the others from version {first} to {last}"),
    };
    let why = format!("it is not there{also}; {} names it as the change before it", event.object_key());
    Finding::new(before.object_key(), Fault::Missing, why)
}
