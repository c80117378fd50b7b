//! The API key: `export` writes the current key to a file, `rotate` replaces it step by step.

pub mod deployed;
pub mod export;
pub mod generations;
pub mod git;
pub mod rotate;
