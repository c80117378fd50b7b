//! What a change does to a product: a pure function of the product as it is and the event, and the whole rule.
//!
//! Events come at least once and in any order. An event's id orders it: what is older than the last applied event of
//! its product is superseded. See the table in `contracts/README.md` of product-infrastructure.

use crate::models::change_event::{Change, ChangeEvent};
use crate::models::identifiers::EventId;
use crate::models::journal::Reason;
use crate::models::product::{Product, ProductDetails, Status};

/// A product with what only its writer needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductState {
    pub product: Product,
    /// `hash` of the newest applied journal entry.
    pub chain_hash: String,
    pub create_event_id: EventId,
    pub create_fingerprint: String,
}

/// What is to be done about an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The product becomes this.
    Apply(Box<Product>),
    /// Nothing: it is so already.
    Duplicate,
    Reject(Reason),
    Supersede,
    /// Nothing, not even a journal entry: this very event made the product what it is.
    Redelivered,
}

/// Decides about `event`, given its product as it is (`None`: there never was one).
pub fn decide(current: Option<&ProductState>, event: &ChangeEvent) -> Decision {
    let Some(state) = current else {
        return match &event.change {
            Change::Create(details) => Decision::Apply(Box::new(created(event, details))),
            Change::Update { .. } | Change::Delete { .. } => Decision::Reject(Reason::NotFound),
        };
    };
    let product = &state.product;
    if event.event_id == product.last_event_id {
        return Decision::Redelivered;
    }
    if let Change::Create(_) = event.change {
        // A creation is never superseded: newer or older, the id is taken. A repetition of the one that was applied is
        // told from another one by its content.
        let repeated = product.status == Status::Active && event.fingerprint() == state.create_fingerprint;
        return if repeated { Decision::Duplicate } else { Decision::Reject(Reason::AlreadyExists) };
    }
    if event.event_id < product.last_event_id {
        return Decision::Supersede;
    }
    match (&event.change, product.status) {
        (Change::Delete { .. }, Status::Deleted) => Decision::Duplicate,
        (_, Status::Deleted) => Decision::Reject(Reason::NotFound),
        (_, Status::Active) if event.expected_version().is_some_and(|expected| expected != product.version) => {
            Decision::Reject(Reason::PreconditionFailed)
        }
        (Change::Update { details, .. }, Status::Active) => {
            let next = Product { details: details.clone(), ..changed(product, event) };
            Decision::Apply(Box::new(next))
        }
        (Change::Delete { .. } | Change::Create(_), Status::Active) => {
            let next = Product { status: Status::Deleted, ..changed(product, event) };
            Decision::Apply(Box::new(next))
        }
    }
}

fn created(event: &ChangeEvent, details: &ProductDetails) -> Product {
    Product {
        id: event.product_id,
        details: details.clone(),
        status: Status::Active,
        version: 1,
        created_at: event.occurred_at,
        updated_at: event.occurred_at,
        last_event_id: event.event_id,
    }
}

/// The product's next version, its content not yet changed.
fn changed(product: &Product, event: &ChangeEvent) -> Product {
    Product {
        version: product.version + 1,
        updated_at: event.occurred_at,
        last_event_id: event.event_id,
        ..product.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::change_event::{Actor, fingerprint};
    use crate::models::identifiers::ProductId;
    use crate::models::journal::CHAIN_START;
    use crate::models::money::{Currency, Money};
    use crate::models::timestamp::Timestamp;

    fn details(name: &str) -> ProductDetails {
        ProductDetails {
            name: name.to_owned(),
            price: Money::parse("19.99", Currency::EUR).unwrap(),
            sku: None,
            description: None,
            category: None,
            tags: vec![],
            image_urls: vec![],
            attributes: [].into(),
        }
    }

    fn at(second: u64) -> Timestamp {
        Timestamp::from_unix_millis(1_800_000_000_000 + second * 1_000)
    }

    fn event(second: u64, change: Change) -> ChangeEvent {
        ChangeEvent {
            event_id: EventId::after(None, at(second)),
            product_id: "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84".parse::<ProductId>().unwrap(),
            occurred_at: at(second),
            actor: Actor::default(),
            request_id: "req-1".to_owned(),
            change,
        }
    }

    /// A product created at second 10 as "first" and last changed at second 20, now at version 4.
    fn state(status: Status) -> ProductState {
        let create = event(10, Change::Create(details("first")));
        ProductState {
            product: Product {
                status,
                version: 4,
                last_event_id: EventId::after(None, at(20)),
                ..created(&create, &details("now"))
            },
            chain_hash: CHAIN_START.to_owned(),
            create_event_id: create.event_id,
            create_fingerprint: fingerprint(Some(&details("first"))),
        }
    }

    fn update(expected_version: Option<u64>) -> Change {
        Change::Update { details: details("next"), expected_version }
    }

    fn delete(expected_version: Option<u64>) -> Change {
        Change::Delete { expected_version }
    }

    /// What is decided, without the product that it makes.
    fn decided(current: Option<Status>, second: u64, change: Change) -> &'static str {
        match decide(current.map(state).as_ref(), &event(second, change)) {
            Decision::Apply(_) => "applied",
            Decision::Duplicate => "duplicate",
            Decision::Reject(Reason::AlreadyExists) => "already exists",
            Decision::Reject(Reason::NotFound) => "not found",
            Decision::Reject(Reason::PreconditionFailed) => "precondition failed",
            Decision::Supersede => "superseded",
            Decision::Redelivered => "redelivered",
        }
    }

    #[test]
    fn the_whole_table() {
        const OLDER: u64 = 15;
        const NEWER: u64 = 25;
        let (active, deleted) = (Some(Status::Active), Some(Status::Deleted));
        let same = || Change::Create(details("first"));
        let other = || Change::Create(details("other"));
        for (current, second, change, expected) in [
            (None, NEWER, same(), "applied"),
            (None, NEWER, update(None), "not found"),
            (None, NEWER, update(Some(1)), "not found"),
            (None, NEWER, delete(None), "not found"),
            (active, NEWER, same(), "duplicate"),
            (active, OLDER, same(), "duplicate"),
            (active, NEWER, other(), "already exists"),
            (active, OLDER, other(), "already exists"),
            (active, NEWER, update(None), "applied"),
            (active, NEWER, update(Some(4)), "applied"),
            (active, NEWER, update(Some(3)), "precondition failed"),
            (active, NEWER, update(Some(5)), "precondition failed"),
            (active, OLDER, update(None), "superseded"),
            (active, OLDER, update(Some(3)), "superseded"),
            (active, NEWER, delete(None), "applied"),
            (active, NEWER, delete(Some(4)), "applied"),
            (active, NEWER, delete(Some(3)), "precondition failed"),
            (active, OLDER, delete(None), "superseded"),
            (deleted, NEWER, same(), "already exists"),
            (deleted, OLDER, same(), "already exists"),
            (deleted, NEWER, other(), "already exists"),
            (deleted, NEWER, update(None), "not found"),
            (deleted, OLDER, update(None), "superseded"),
            (deleted, NEWER, delete(None), "duplicate"),
            (deleted, OLDER, delete(None), "superseded"),
        ] {
            let label = format!("{current:?} {second} {change:?}");
            assert_eq!(decided(current, second, change), expected, "{label}");
        }
    }

    #[test]
    fn the_event_that_made_the_product_what_it_is_is_known_again() {
        for status in [Status::Active, Status::Deleted] {
            let state = state(status);
            for change in [Change::Create(details("first")), update(None), delete(None)] {
                let again = ChangeEvent { event_id: state.product.last_event_id, ..event(20, change) };
                assert_eq!(decide(Some(&state), &again), Decision::Redelivered);
            }
        }
    }

    #[test]
    fn a_new_product_takes_its_times_and_id_from_the_event() {
        let create = event(10, Change::Create(details("first")));
        let Decision::Apply(product) = decide(None, &create) else { panic!("not applied") };
        assert_eq!((product.version, product.status, product.id), (1, Status::Active, create.product_id));
        assert_eq!((product.created_at, product.updated_at, product.last_event_id), (at(10), at(10), create.event_id));
    }

    #[test]
    fn a_replacement_replaces_everything_that_the_caller_says() {
        let mut before = state(Status::Active);
        before.product.details.sku = Some("OLD".to_owned());
        let change = event(30, update(None));
        let Decision::Apply(product) = decide(Some(&before), &change) else { panic!("not applied") };
        assert_eq!(product.details, details("next"));
        assert_eq!((product.version, product.updated_at, product.last_event_id), (5, at(30), change.event_id));
        assert_eq!((product.created_at, product.id), (before.product.created_at, before.product.id));
    }

    #[test]
    fn a_tombstone_keeps_the_content() {
        let before = state(Status::Active);
        let Decision::Apply(product) = decide(Some(&before), &event(30, delete(None))) else { panic!("not applied") };
        assert_eq!((product.status, product.version, product.details), (Status::Deleted, 5, before.product.details));
    }
}
