//! The change queue, as SQS holds it.

use async_trait::async_trait;
use aws_sdk_sqs::Client;

use super::change_publisher::ChangePublisher;
use super::store_error::StoreError;
use crate::models::change_event::{ChangeEvent, ChangeEventDocument};

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
    async fn publish(&self, event: &ChangeEvent) -> Result<(), StoreError> {
        let body = serde_json::to_string(&ChangeEventDocument::from(event))
            .map_err(|error| StoreError::Refused(error.into()))?;
        self.client.send_message().queue_url(&self.queue_url).message_body(body).send().await?;
        Ok(())
    }
}
