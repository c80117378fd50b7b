//! What the catalogue is about. The same files stand in every function that needs them.

pub mod change;
pub mod expected_version;
pub mod identifiers;
pub mod money;
pub mod product;
pub mod timestamp;
pub mod violation;
