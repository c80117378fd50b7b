//! Dead-letter queues: `peek` shows their messages and why each failed, `save` writes them to a file, `redrive` sends them
//! back, and `remove` deletes some for good.

pub mod diagnosis;
pub mod peek;
pub mod redrive;
pub mod remove;
pub mod save;
