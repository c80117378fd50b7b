//! Partial batch responses: which messages of a batch are done with, and which must come again.
//!
//! Every message that is not reported as done is reported as failed. So what is cut short by a time-out, or dropped by a
//! mistake, comes again instead of being lost.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};

/// A failure that cannot be named: an empty name would mean that the whole batch succeeded, so the whole batch fails.
#[derive(Debug, thiserror::Error)]
#[error("a message without an id failed")]
pub struct Unnamed;

/// The messages of a batch by their place in it.
pub struct Batch {
    ids: Vec<Option<String>>,
    done: Mutex<HashSet<usize>>,
}

impl Batch {
    pub fn new(event: &SqsEvent) -> Self {
        let id = |message: &aws_lambda_events::sqs::SqsMessage| message.message_id.clone().filter(|id| !id.is_empty());
        Self { ids: event.records.iter().map(id).collect(), done: Mutex::default() }
    }

    /// The id under which SQS knows the message, for the log.
    pub fn message_id(&self, place: usize) -> Option<&str> {
        self.ids.get(place)?.as_deref()
    }

    /// The message need not come again.
    pub fn done(&self, place: usize) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).insert(place);
    }

    /// Logs why a message will come again, with all causes.
    pub fn failed(&self, place: usize, error: &dyn std::error::Error) {
        let mut causes = error.to_string();
        let mut next = error.source();
        while let Some(cause) = next {
            causes.push_str(": ");
            causes.push_str(&cause.to_string());
            next = cause.source();
        }
        tracing::error!(messageId = self.message_id(place), error = causes, "message will come again");
    }

    /// What SQS is told. Everything that is not done has failed.
    pub fn into_response(self) -> Result<SqsBatchResponse, Unnamed> {
        let done = self.done.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut response = SqsBatchResponse::default();
        for (_, id) in self.ids.into_iter().enumerate().filter(|(place, _)| !done.contains(place)) {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id.ok_or(Unnamed)?;
            response.batch_item_failures.push(failure);
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lambda_events::sqs::SqsMessage;

    fn batch(ids: &[Option<&str>]) -> Batch {
        let message = |id: &Option<&str>| {
            let mut message = SqsMessage::default();
            message.message_id = id.map(str::to_owned);
            message
        };
        let mut event = SqsEvent::default();
        event.records = ids.iter().map(message).collect();
        Batch::new(&event)
    }

    #[test]
    fn what_is_not_done_has_failed() {
        let batch = batch(&[Some("a"), Some("b"), Some("c")]);
        batch.done(1);
        let failures = batch.into_response().unwrap().batch_item_failures;
        assert_eq!(failures.into_iter().map(|failure| failure.item_identifier).collect::<Vec<_>>(), ["a", "c"]);
    }

    #[test]
    fn a_failure_that_cannot_be_named_fails_the_batch() {
        for id in [None, Some("")] {
            assert!(batch(&[Some("a"), id]).into_response().is_err());
            let done = batch(&[id]);
            done.done(0);
            assert!(done.into_response().is_ok(), "nothing failed");
        }
    }
}
