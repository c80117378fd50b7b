//! What the catalogue is about. The same files stand in every function that needs them.

pub mod canonical_json;
pub mod change_event;
pub mod folded_text;
pub mod identifiers;
pub mod journal;
pub mod merge;
pub mod money;
pub mod product;
pub mod product_content;
pub mod product_patch;
pub mod product_state;
pub mod timestamp;
pub mod violation;
