//! Dead-letter queues: `peek` shows their messages and why each failed, `redrive` sends them back.

pub mod diagnosis;
pub mod peek;
pub mod redrive;
