//! What a change does to a product: a pure function of the product, the event and what is known of SKU claims. See the table
//! in `contracts/README.md` of product-infrastructure.
//!
//! Events are delivered at least once and in any order. The event ID orders them: an event older than the last applied one
//! of its product is superseded.

use crate::models::change_event::{Change, ChangeEvent};
use crate::models::identifiers::ProductId;
use crate::models::journal::Reason;
use crate::models::product::Product;
use crate::models::product_content::ProductContent;
use crate::models::product_state::{KnownClaims, ProductState};
use crate::models::product_status::Status;
use crate::models::violation::Violation;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The product becomes this.
    Apply(Box<Product>),
    /// The product is already as requested.
    Duplicate,
    Reject(Reason),
    /// Another product holds the SKU.
    RejectSku {
        sku: String,
        holder: ProductId,
    },
    Supersede,
    /// This event made the product what it is, so it was recorded before.
    Redelivered,
}

/// Decides about `event`, given the current state of its product (`None`: never created).
pub fn decide(current: Option<&ProductState>, event: &ChangeEvent, claims: &KnownClaims) -> Decision {
    if current.is_some_and(|state| state.product.last_event_id == event.event_id) {
        return Decision::Redelivered;
    }
    let decision = match &event.change {
        Change::Create(content) => decide_create(current, event, content),
        Change::Update { content, .. } => decide_update(current, event, |_| Ok(content.clone())),
        Change::Patch { patch, .. } => decide_update(current, event, |content| content.merge(patch.as_map())),
        Change::Delete { .. } => decide_delete(current, event),
    };
    match decision {
        Decision::Apply(product) => check_sku(product, claims),
        other => other,
    }
}

/// A creation is never superseded: whether newer or older, the ID is taken. The fingerprint distinguishes a repeated request
/// from another one with the same ID.
fn decide_create(current: Option<&ProductState>, event: &ChangeEvent, content: &ProductContent) -> Decision {
    match current {
        None => Decision::Apply(Box::new(created(event, content))),
        Some(state) if state.product.status == Status::Active && state.create_fingerprint == event.fingerprint() => {
            Decision::Duplicate
        }
        Some(_) => Decision::Reject(Reason::AlreadyExists),
    }
}

fn decide_update(
    current: Option<&ProductState>,
    event: &ChangeEvent,
    next_content: impl FnOnce(&ProductContent) -> Result<ProductContent, Vec<Violation>>,
) -> Decision {
    let Some(ProductState { product, .. }) = current else { return Decision::Reject(Reason::NotFound) };
    if event.event_id < product.last_event_id {
        return Decision::Supersede;
    }
    match product.status {
        Status::Deleted => Decision::Reject(Reason::NotFound),
        Status::Active if !expects(event, product.version) => Decision::Reject(Reason::PreconditionFailed),
        Status::Active => match next_content(&product.content) {
            Ok(content) => Decision::Apply(Box::new(Product { content, ..changed(product, event) })),
            Err(_) => Decision::Reject(Reason::InvalidResult),
        },
    }
}

fn decide_delete(current: Option<&ProductState>, event: &ChangeEvent) -> Decision {
    let Some(ProductState { product, .. }) = current else { return Decision::Reject(Reason::NotFound) };
    if event.event_id < product.last_event_id {
        return Decision::Supersede;
    }
    match product.status {
        Status::Deleted => Decision::Duplicate,
        Status::Active if !expects(event, product.version) => Decision::Reject(Reason::PreconditionFailed),
        Status::Active => Decision::Apply(Box::new(Product { status: Status::Deleted, ..changed(product, event) })),
    }
}

fn check_sku(product: Box<Product>, claims: &KnownClaims) -> Decision {
    let other = product.claimed_sku().and_then(|sku| Some((sku.to_owned(), claims.other_holder(sku, product.id)?)));
    match other {
        Some((sku, holder)) => Decision::RejectSku { sku, holder },
        None => Decision::Apply(product),
    }
}

/// Whether the event expects this version, or any.
fn expects(event: &ChangeEvent, version: u64) -> bool {
    event.expected_version().is_none_or(|expected| expected == version)
}

fn created(event: &ChangeEvent, content: &ProductContent) -> Product {
    Product {
        id: event.product_id,
        content: content.clone(),
        status: Status::Active,
        version: 1,
        created_at: event.occurred_at,
        updated_at: event.occurred_at,
        last_event_id: event.event_id,
    }
}

/// The product's next version, with unchanged content.
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
    use crate::models::change_event::{Actor, Requested, fingerprint};
    use crate::models::identifiers::EventId;
    use crate::models::journal::CHAIN_START;
    use crate::models::timestamp::Timestamp;
    use serde_json::json;

    fn content(name: &str) -> ProductContent {
        let content = json!({"name": name, "price": "19.99", "currency": "EUR", "sku": "SKU-1"});
        serde_json::from_value(content).unwrap()
    }

    /// The same with a description.
    fn described(name: &str) -> ProductContent {
        let content = json!({"name": name, "price": "19.99", "currency": "EUR", "sku": "SKU-1", "description": "old"});
        serde_json::from_value(content).unwrap()
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
        let create = event(10, Change::Create(content("first")));
        ProductState {
            product: Product {
                status,
                version: 4,
                last_event_id: EventId::after(None, at(20)),
                ..created(&create, &content("now"))
            },
            recorded_at: at(21),
            chain_hash: CHAIN_START.to_owned(),
            create_event_id: create.event_id,
            create_fingerprint: fingerprint(Some(&Requested::Product(content("first")))),
        }
    }

    fn update(expected_version: Option<u64>) -> Change {
        Change::Update { content: content("next"), expected_version }
    }

    fn patch(patch: serde_json::Value, expected_version: Option<u64>) -> Change {
        Change::Patch { patch: serde_json::from_value(patch).unwrap(), expected_version }
    }

    fn delete(expected_version: Option<u64>) -> Change {
        Change::Delete { expected_version }
    }

    /// The claim of `content`'s SKU by another product.
    fn taken() -> KnownClaims {
        let mut claims = KnownClaims::default();
        claims.insert("SKU-1".to_owned(), Some(other_product()));
        claims
    }

    fn other_product() -> ProductId {
        "0d7f1f0e-5a53-4a07-8a5b-6a2f3c1d4e5f".parse().unwrap()
    }

    fn name(decision: &Decision) -> &'static str {
        match decision {
            Decision::Apply(_) => "applied",
            Decision::Duplicate => "duplicate",
            Decision::Reject(Reason::AlreadyExists) => "already exists",
            Decision::Reject(Reason::NotFound) => "not found",
            Decision::Reject(Reason::PreconditionFailed) => "precondition failed",
            Decision::Reject(Reason::InvalidResult) => "invalid result",
            Decision::Reject(Reason::SkuTaken) | Decision::RejectSku { .. } => "SKU taken",
            Decision::Supersede => "superseded",
            Decision::Redelivered => "redelivered",
        }
    }

    #[test]
    fn decides_as_contract_table_specifies() {
        const OLDER: u64 = 15;
        const NEWER: u64 = 25;
        let (active, deleted) = (Some(Status::Active), Some(Status::Deleted));
        let same = || Change::Create(content("first"));
        let other = || Change::Create(content("other"));
        let patched = |expected_version| patch(json!({"description": "new"}), expected_version);
        let invalid = |expected_version| patch(json!({"currency": "JPY"}), expected_version);
        // The outcome while the SKU is free, and while another product holds it.
        for (current, second, change, expected, expected_while_taken) in [
            (None, NEWER, same(), "applied", "SKU taken"),
            (None, NEWER, update(None), "not found", "not found"),
            (None, NEWER, update(Some(1)), "not found", "not found"),
            (None, NEWER, patched(None), "not found", "not found"),
            (None, NEWER, invalid(None), "not found", "not found"),
            (None, NEWER, delete(None), "not found", "not found"),
            (active, NEWER, same(), "duplicate", "duplicate"),
            (active, OLDER, same(), "duplicate", "duplicate"),
            (active, NEWER, other(), "already exists", "already exists"),
            (active, OLDER, other(), "already exists", "already exists"),
            (active, NEWER, update(None), "applied", "SKU taken"),
            (active, NEWER, update(Some(4)), "applied", "SKU taken"),
            (active, NEWER, update(Some(3)), "precondition failed", "precondition failed"),
            (active, NEWER, update(Some(5)), "precondition failed", "precondition failed"),
            (active, OLDER, update(None), "superseded", "superseded"),
            (active, OLDER, update(Some(3)), "superseded", "superseded"),
            (active, NEWER, patched(None), "applied", "SKU taken"),
            (active, NEWER, patched(Some(4)), "applied", "SKU taken"),
            (active, NEWER, patched(Some(3)), "precondition failed", "precondition failed"),
            (active, OLDER, patched(None), "superseded", "superseded"),
            (active, NEWER, invalid(None), "invalid result", "invalid result"),
            (active, NEWER, invalid(Some(3)), "precondition failed", "precondition failed"),
            (active, OLDER, invalid(None), "superseded", "superseded"),
            (active, NEWER, delete(None), "applied", "applied"),
            (active, NEWER, delete(Some(4)), "applied", "applied"),
            (active, NEWER, delete(Some(3)), "precondition failed", "precondition failed"),
            (active, OLDER, delete(None), "superseded", "superseded"),
            (deleted, NEWER, same(), "already exists", "already exists"),
            (deleted, OLDER, same(), "already exists", "already exists"),
            (deleted, NEWER, other(), "already exists", "already exists"),
            (deleted, NEWER, update(None), "not found", "not found"),
            (deleted, OLDER, update(None), "superseded", "superseded"),
            (deleted, NEWER, patched(None), "not found", "not found"),
            (deleted, OLDER, invalid(None), "superseded", "superseded"),
            (deleted, NEWER, delete(None), "duplicate", "duplicate"),
            (deleted, OLDER, delete(None), "superseded", "superseded"),
        ] {
            let label = format!("{current:?} {second} {change:?}");
            let (current, event) = (current.map(state), event(second, change));
            let decided = |claims: &KnownClaims| name(&decide(current.as_ref(), &event, claims));
            assert_eq!(decided(&KnownClaims::default()), expected, "{label}");
            assert_eq!(decided(&taken()), expected_while_taken, "{label}, SKU taken");
        }
    }

    #[test]
    fn names_holder_of_taken_sku() {
        let decision = decide(None, &event(1, Change::Create(content("first"))), &taken());
        assert_eq!(decision, Decision::RejectSku { sku: "SKU-1".to_owned(), holder: other_product() });
    }

    #[test]
    fn applies_change_whose_sku_is_free_or_its_own() {
        let create = event(1, Change::Create(content("first")));
        for holder in [None, Some(create.product_id)] {
            let mut claims = KnownClaims::default();
            claims.insert("SKU-1".to_owned(), holder);
            assert_eq!(name(&decide(None, &create, &claims)), "applied");
        }
    }

    #[test]
    fn recognizes_last_applied_event() {
        for status in [Status::Active, Status::Deleted] {
            let state = state(status);
            for change in [Change::Create(content("first")), update(None), delete(None)] {
                let again = ChangeEvent { event_id: state.product.last_event_id, ..event(20, change) };
                assert_eq!(decide(Some(&state), &again, &taken()), Decision::Redelivered);
            }
        }
    }

    fn applied(current: Option<&ProductState>, event: &ChangeEvent) -> Product {
        match decide(current, event, &KnownClaims::default()) {
            Decision::Apply(product) => *product,
            other => panic!("not applied: {other:?}"),
        }
    }

    #[test]
    fn takes_times_and_id_of_new_product_from_event() {
        let create = event(10, Change::Create(content("first")));
        let product = applied(None, &create);
        assert_eq!((product.version, product.status, product.id), (1, Status::Active, create.product_id));
        assert_eq!((product.created_at, product.updated_at, product.last_event_id), (at(10), at(10), create.event_id));
    }

    #[test]
    fn replaces_whole_content_for_update() {
        let mut before = state(Status::Active);
        before.product.content = described("now");
        let change = event(30, update(None));
        let product = applied(Some(&before), &change);
        assert_eq!(product.content, content("next"));
        assert_eq!((product.version, product.updated_at, product.last_event_id), (5, at(30), change.event_id));
        assert_eq!((product.created_at, product.id), (before.product.created_at, before.product.id));
    }

    #[test]
    fn merges_patch_into_current_content() {
        let mut before = state(Status::Active);
        before.product.content = described("now");
        let change = event(30, patch(json!({"name": "patched", "sku": null}), None));
        let product = applied(Some(&before), &change);
        let mut expected = described("patched");
        expected.sku = None;
        assert_eq!(product.content, expected);
        assert_eq!((product.version, product.updated_at, product.last_event_id), (5, at(30), change.event_id));
    }

    #[test]
    fn keeps_content_of_deleted_product_and_releases_its_sku() {
        let before = state(Status::Active);
        let product = applied(Some(&before), &event(30, delete(None)));
        assert_eq!((product.claimed_sku(), product.status, product.version), (None, Status::Deleted, 5));
        assert_eq!(product.content, before.product.content);
    }
}
