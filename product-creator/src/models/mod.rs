//! What the catalogue is about. The same files stand in every function that needs them.

pub mod canonical_json;
pub mod change_event;
pub mod field_reader;
pub mod folded_text;
pub mod identifiers;
pub mod journal;
pub mod json_object;
pub mod merge_patch;
pub mod money;
pub mod product;
pub mod product_content;
pub mod product_patch;
pub mod product_rules;
pub mod product_state;
pub mod product_status;
pub mod timestamp;
pub mod violation;
