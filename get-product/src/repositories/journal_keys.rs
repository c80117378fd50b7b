//! The sort key of a journal entry, which lies under its product's partition key.

use crate::models::identifiers::EventId;

/// What the sort keys of all journal entries begin with.
pub const EVENT_PREFIX: &str = "EVENT#";

/// Sort key of the journal entry of an event. A product's entries sort by the order of its events.
pub fn journal_sk(id: EventId) -> String {
    format!("{EVENT_PREFIX}{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_key_as_contract_specifies() {
        let id = "019c141b-9a00-7d2e-9f10-2b3c4d5e6f70".parse().unwrap();
        assert_eq!(journal_sk(id), "EVENT#019c141b-9a00-7d2e-9f10-2b3c4d5e6f70");
    }
}
