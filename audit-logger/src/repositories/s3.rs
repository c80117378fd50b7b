//! The port's adapter for Amazon S3.

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;

use super::audit_log::{AuditLog, AuditLogError, Written};
use crate::models::audit_object::AuditObject;

/// Client errors (4xx) that may succeed later: a concurrent write of the same key, a slow request, too many requests.
const RETRYABLE_STATUSES: [u16; 3] = [408, 409, 429];

pub struct S3AuditLog {
    client: Client,
    bucket: String,
}

impl S3AuditLog {
    /// The client names the bucket in the path: a host name for each bucket would need DNS for it, also locally.
    pub fn new(sdk: &aws_config::SdkConfig, bucket: impl Into<String>) -> Self {
        let config = Builder::from(sdk).force_path_style(true).build();
        Self { client: Client::from_conf(config), bucket: bucket.into() }
    }

    async fn compare(&self, object: &AuditObject) -> Result<Written, AuditLogError> {
        let there = self.client.get_object().bucket(&self.bucket).key(&object.key).send().await.map_err(classify)?;
        let bytes = there.body.collect().await.map_err(|error| AuditLogError::Unavailable(error.into()))?;
        if bytes.into_bytes() == object.bytes {
            Ok(Written::Existed)
        } else {
            Err(AuditLogError::Different(object.key.clone()))
        }
    }
}

#[async_trait]
impl AuditLog for S3AuditLog {
    async fn write(&self, object: &AuditObject) -> Result<Written, AuditLogError> {
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(&object.key)
            .content_type("application/json")
            .if_none_match("*")
            .body(ByteStream::from(object.bytes.clone()))
            .send()
            .await;
        match put {
            Ok(_) => Ok(Written::Created),
            Err(SdkError::ServiceError(answer)) if answer.raw().status().as_u16() == 412 => self.compare(object).await,
            Err(error) => Err(classify(error)),
        }
    }
}

fn classify<E: std::error::Error + Send + Sync + 'static>(error: SdkError<E>) -> AuditLogError {
    let refused = match &error {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status();
            status.is_client_error() && !RETRYABLE_STATUSES.contains(&status.as_u16())
        }
        SdkError::ConstructionFailure(_) => true,
        _ => false,
    };
    if refused { AuditLogError::Refused(error.into()) } else { AuditLogError::Unavailable(error.into()) }
}
