//! Whether a product exists for clients.

use serde::{Deserialize, Serialize};

/// A deleted product stays in the table as a tombstone: its ID, version and history remain, and no index lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    Active,
    Deleted,
}
