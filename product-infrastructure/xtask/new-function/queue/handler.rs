//! Takes a batch of messages and returns those to redeliver (a partial batch response).

use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};

use crate::batch::{Batch, MissingMessageId};
use crate::metrics::Metric;

#[derive(Debug)]
pub struct BatchResult {
    pub response: SqsBatchResponse,
    pub metrics: Vec<Metric>,
}

/// Processes a batch within `_time`. Messages not done by then are redelivered.
pub async fn handle(event: SqsEvent, _time: Duration) -> Result<BatchResult, MissingMessageId> {
    // No message is marked as done, so an unfinished function loses none.
    let response = Batch::new(&event).into_response()?;
    tracing::error!(error = "not implemented", "batch returned for redelivery");
    let metrics = vec![Metric::count("BatchItemFailures", response.batch_item_failures.len())];
    Ok(BatchResult { response, metrics })
}
