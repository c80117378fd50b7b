//! The API keys: the current one for whoever calls the API, and their rotation.

pub mod deployed;
pub mod export;
pub mod generations;
pub mod git;
pub mod rotate;
