//! Something that is not as it must be, and where.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::ids::ProductId;

/// What is wrong with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// An object that no audit record can be: under a strange key.
    Foreign,
    /// Written more than once.
    Overwritten,
    /// Deleted; S3 keeps what was there behind a marker.
    Deleted,
    /// No JSON: cut off, or never any.
    Unreadable,
    /// Not what the schema allows.
    Schema,
    /// The right content in other bytes than those that audit-logger writes.
    Bytes,
    /// Under the key of another record.
    Key,
    /// Its hash is not that of its content.
    Hash,
    /// Members that contradict each other.
    Content,
    /// Its neighbours in the chain, or the table, tell of other content.
    Altered,
    /// Not there, although a neighbour or the table names it.
    Missing,
    /// The chain goes on past it.
    Inserted,
    /// The table's product is not what the record says.
    Table,
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Foreign => "FOREIGN",
            Self::Overwritten => "OVERWRITTEN",
            Self::Deleted => "DELETED",
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
        })
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The object's key, whether it is there or not.
    pub object: String,
    pub fault: Fault,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_id: Option<ProductId>,
    /// In words.
    pub why: String,
}

impl Finding {
    pub fn new(object: impl Into<String>, fault: Fault, why: impl Into<String>) -> Self {
        Self { object: object.into(), fault, product_id: None, why: why.into() }
    }

    pub fn of(self, product: ProductId) -> Self {
        Self { product_id: Some(product), ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}\n    {}: {}", self.object, self.fault, self.why)
    }
}
