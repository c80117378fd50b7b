//! Partial batch responses: which messages of a batch are done, and which are to be redelivered.
//!
//! Each message that is not marked as done is reported as failed. So a message whose processing was cut short, by a deadline
//! or by a bug, is redelivered instead of lost.

use std::collections::HashSet;
use std::error::Error;
use std::sync::{Mutex, PoisonError};

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};

/// A failed message without an ID. An empty ID in the response would mean that the whole batch succeeded, so the whole batch
/// fails.
#[derive(Debug, thiserror::Error)]
#[error("a message without an ID failed")]
pub struct MissingMessageId;

/// The messages of a batch by their index.
pub struct Batch {
    ids: Vec<Option<String>>,
    done: Mutex<HashSet<usize>>,
}

impl Batch {
    pub fn new(event: &SqsEvent) -> Self {
        let id = |message: &aws_lambda_events::sqs::SqsMessage| message.message_id.clone().filter(|id| !id.is_empty());
        Self { ids: event.records.iter().map(id).collect(), done: Mutex::default() }
    }

    /// The message's ID in SQS, for the log.
    pub fn message_id(&self, index: usize) -> Option<&str> {
        self.ids.get(index)?.as_deref()
    }

    /// Marks the message as done: it is not to be redelivered.
    pub fn set_done(&self, index: usize) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).insert(index);
    }

    /// The response to SQS. Each message that is not done has failed.
    pub fn into_response(self) -> Result<SqsBatchResponse, MissingMessageId> {
        let done = self.done.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut response = SqsBatchResponse::default();
        for (_, id) in self.ids.into_iter().enumerate().filter(|(index, _)| !done.contains(index)) {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id.ok_or(MissingMessageId)?;
            response.batch_item_failures.push(failure);
        }
        Ok(response)
    }
}

/// An error with its causes, each once: some errors of the SDK repeat their cause's message in their own.
pub fn with_causes(error: &dyn Error) -> String {
    let mut causes = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let message = cause.to_string();
        if !causes.contains(&message) {
            causes.push_str(": ");
            causes.push_str(&message);
        }
        next = cause.source();
    }
    causes
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
    fn reports_messages_that_are_not_done_as_failed() {
        let batch = batch(&[Some("a"), Some("b"), Some("c")]);
        batch.set_done(1);
        let failures = batch.into_response().unwrap().batch_item_failures;
        assert_eq!(failures.into_iter().map(|failure| failure.item_identifier).collect::<Vec<_>>(), ["a", "c"]);
    }

    #[test]
    fn fails_batch_when_failed_message_has_no_id() {
        for id in [None, Some("")] {
            assert!(batch(&[Some("a"), id]).into_response().is_err());
            let done = batch(&[id]);
            done.set_done(0);
            assert!(done.into_response().is_ok(), "nothing failed");
        }
    }

    #[test]
    fn names_each_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Level(&'static str, #[source] Option<Box<Level>>);
        let level = |message, source: Option<Level>| Level(message, source.map(Box::new));
        let repeated = level("write failed: throttled", Some(level("throttled", None)));
        assert_eq!(
            with_causes(&level("change not recorded", Some(repeated))),
            "change not recorded: write failed: throttled"
        );
    }
}
