//! The contract's decision table, implemented a second time: the expected outcome of each event, in the order in
//! which events are recorded.

use std::collections::BTreeMap;

use product_creator::models::change_event::{ChangeEvent, ChangeType};
use product_creator::models::identifiers::EventId;

/// One product, as the table's columns see it.
#[derive(Debug, Default)]
pub struct Model {
    product: Option<Known>,
    outcomes: BTreeMap<EventId, &'static str>,
}

#[derive(Debug)]
struct Known {
    deleted: bool,
    version: u64,
    last: EventId,
    created_with: String,
}

impl Model {
    /// Records an event; one that was recorded before changes nothing.
    pub fn record(&mut self, event: &ChangeEvent) {
        if self.outcomes.contains_key(&event.event_id) {
            return;
        }
        let outcome = self.outcome(event);
        self.outcomes.insert(event.event_id, outcome);
        if outcome == "APPLIED" {
            let version = self.product.as_ref().map_or(0, |known| known.version) + 1;
            let created_with = self.product.take().map_or_else(|| event.fingerprint(), |known| known.created_with);
            let deleted = event.change_type() == ChangeType::Delete;
            self.product = Some(Known { deleted, version, last: event.event_id, created_with });
        }
    }

    /// What became of each event so far.
    pub fn outcomes(&self) -> &BTreeMap<EventId, &'static str> {
        &self.outcomes
    }

    fn outcome(&self, event: &ChangeEvent) -> &'static str {
        let column = match &self.product {
            None => "no product",
            Some(known) if known.deleted && event.event_id < known.last => "deleted since",
            Some(known) if known.deleted => "deleted",
            Some(known) if event.event_id < known.last => "newer applied",
            Some(_) => "older applied",
        };
        let known = self.product.as_ref();
        let same = known.is_some_and(|known| known.created_with == event.fingerprint());
        let met = event.expected_version().is_none_or(|expected| known.is_some_and(|known| known.version == expected));
        match (event.change_type(), column) {
            (ChangeType::Create, "no product") => "APPLIED",
            (ChangeType::Create, "older applied" | "newer applied") if same => "DUPLICATE",
            (ChangeType::Create, _) => "REJECTED ALREADY_EXISTS",
            (_, "no product") => "REJECTED NOT_FOUND",
            (_, "newer applied" | "deleted since") => "SUPERSEDED",
            (ChangeType::Delete, "deleted") => "DUPLICATE",
            (ChangeType::Update, "deleted") => "REJECTED NOT_FOUND",
            (_, _) if met => "APPLIED",
            (_, _) => "REJECTED PRECONDITION_FAILED",
        }
    }
}
