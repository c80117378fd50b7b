//! What the catalogue is about. The same files stand in every function that needs them.

pub mod canonical_json;
pub mod change_event;
pub mod expected_version;
pub mod identifiers;
pub mod product_status;
pub mod timestamp;
pub mod violation;
