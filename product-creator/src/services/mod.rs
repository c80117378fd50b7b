//! The rules of this function; they know ports and models, no AWS type.

pub mod apply_change;
pub mod decide;
