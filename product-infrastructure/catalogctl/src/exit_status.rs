//! How `catalogctl` ends. Scripts, workflows and runbooks rely on these codes.

use std::process::{ExitCode, Termination};

/// The exit codes of every command; each command's help says what its own cases are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// Everything is in order, or was done.
    Success = 0,
    /// The command failed: bad arguments, no credentials, access denied, a call that failed, an unwritable output.
    Failure = 1,
    /// The command succeeded and found something that a person should look at.
    NeedsAttention = 2,
    /// Interrupted by a signal, as shells report SIGINT (128 + 2).
    Interrupted = 130,
    /// The reader of standard output closed it, as shells report SIGPIPE (128 + 13); `head` does so.
    OutputClosed = 141,
}

impl Termination for ExitStatus {
    fn report(self) -> ExitCode {
        ExitCode::from(self as u8)
    }
}
