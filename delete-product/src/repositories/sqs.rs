//! The adapter of the change queue port: SQS.

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

use super::change_publisher::{ChangePublisher, PublishError};
use super::sdk_error::is_retryable;
use crate::models::change_event::ChangeEvent;

pub struct SqsChangeQueue {
    client: Client,
    queue_url: String,
}

impl SqsChangeQueue {
    pub fn new(client: Client, queue_url: impl Into<String>) -> Self {
        Self { client, queue_url: queue_url.into() }
    }
}

#[async_trait]
impl ChangePublisher for SqsChangeQueue {
    async fn publish(&self, event: &ChangeEvent) -> Result<(), PublishError> {
        let body = serde_json::to_string(event).map_err(|error| PublishError::Refused(error.into()))?;
        self.client.send_message().queue_url(&self.queue_url).message_body(body).send().await?;
        Ok(())
    }
}

impl<E> From<SdkError<E>> for PublishError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    fn from(error: SdkError<E>) -> Self {
        if is_retryable(&error) { Self::Unavailable(error.into()) } else { Self::Refused(error.into()) }
    }
}
