//! What is wrong with an object of the audit log, or with an item of the table beside it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::ProductId;

/// The kind of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Fault {
    /// The key isn't that of an audit record.
    Foreign,
    /// The object has several versions.
    Overwritten,
    /// The object has a delete marker.
    Deleted,
    /// Nothing in the object's lock keeps it from being deleted.
    Unlocked,
    /// The object's lock can be lifted, or ends, earlier than its environment requires.
    WeakLock,
    /// The bytes aren't JSON, or not a record that can be identified.
    Unreadable,
    /// The record doesn't match its schema.
    Schema,
    /// The content is right, but audit-logger writes it in other bytes.
    Bytes,
    /// The record belongs under another key.
    Key,
    /// The hash isn't that of the content.
    Hash,
    /// Members contradict each other.
    Content,
    /// The neighbours in the chain, or the table, say that the content was different.
    Altered,
    /// A neighbour in the chain or the table names an object that doesn't exist.
    Missing,
    /// The chain continues without this record.
    Inserted,
    /// The table's item isn't what the newest record says.
    Table,
}

/// The two questions that a verification answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Is the log what was written? A record that was altered, removed, inserted, reordered or not locked as required breaks it.
    Integrity,
    /// Does each record match its schema? A record can fail this without having been touched since it was written.
    Form,
}

impl Fault {
    /// Which verdict a finding of this kind belongs to.
    pub fn verdict(self) -> Verdict {
        if self == Self::Schema { Verdict::Form } else { Verdict::Integrity }
    }

    /// As in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Foreign => "FOREIGN",
            Self::Overwritten => "OVERWRITTEN",
            Self::Deleted => "DELETED",
            Self::Unlocked => "UNLOCKED",
            Self::WeakLock => "WEAK_LOCK",
            Self::Unreadable => "UNREADABLE",
            Self::Schema => "SCHEMA",
            Self::Bytes => "BYTES",
            Self::Key => "KEY",
            Self::Hash => "HASH",
            Self::Content => "CONTENT",
            Self::Altered => "ALTERED",
            Self::Missing => "MISSING",
            Self::Inserted => "INSERTED",
            Self::Table => "TABLE",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The object's key, whether it exists or not; for an item of the table, its key; for a setting of the bucket, its name.
    pub object: String,
    pub verdict: Verdict,
    pub fault: Fault,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_id: Option<ProductId>,
    /// The reason, for people. It quotes no value of a record.
    pub why: String,
}

impl Finding {
    pub fn new(object: impl Into<String>, fault: Fault, why: impl Into<String>) -> Self {
        Self { object: object.into(), verdict: fault.verdict(), fault, product_id: None, why: why.into() }
    }

    /// The same finding, of a product.
    pub fn of(self, product: ProductId) -> Self {
        Self { product_id: Some(product), ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}\n    {}: {}", self.object, self.fault.name(), self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn report_and_json_have_the_same_names() {
        for fault in [
            Fault::Foreign,
            Fault::Overwritten,
            Fault::Deleted,
            Fault::Unlocked,
            Fault::WeakLock,
            Fault::Unreadable,
            Fault::Schema,
            Fault::Bytes,
            Fault::Key,
            Fault::Hash,
            Fault::Content,
            Fault::Altered,
            Fault::Missing,
            Fault::Inserted,
            Fault::Table,
        ] {
            assert_eq!(json!(fault), fault.name());
            let finding = Finding::new("events/a.json", fault, "the reason");
            assert_eq!(finding.to_string(), format!("events/a.json\n    {}: the reason", fault.name()));
            let expected = if fault == Fault::Schema { Verdict::Form } else { Verdict::Integrity };
            assert_eq!(finding.verdict, expected);
        }
    }
}
