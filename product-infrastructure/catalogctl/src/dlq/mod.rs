//! What has been set aside, and sending it on its way again: `catalogctl dlq …`.
//!
//! [`queue`] moves messages, [`diagnosis`] says why one failed, [`peek`] and [`redrive`] are the commands.

pub mod diagnosis;
pub mod peek;
pub mod queue;
pub mod redrive;
