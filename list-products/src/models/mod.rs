//! What the catalogue is about. The same files stand in every function that needs them.

pub mod folded_text;
pub mod identifiers;
pub mod money;
pub mod product;
pub mod selection;
pub mod timestamp;
pub mod violation;
