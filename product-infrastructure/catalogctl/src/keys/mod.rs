//! API keys: `export` writes a client's current key to a file, `rotate` replaces it step by step; the register of which key
//! belongs to which client.

pub mod client;
pub mod deployed;
pub mod export;
pub mod generations;
pub mod git;
pub mod register;
pub mod rotate;
