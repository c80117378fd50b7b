//! Wiring only: see `lib.rs` for what the function does.

use std::time::{Duration, SystemTime};

use audit_logger::aws::{Aws, Service};
use audit_logger::config::Config;
use audit_logger::models::timestamp::Timestamp;
use audit_logger::repositories::s3::S3AuditLog;
use audit_logger::{handler, metrics, telemetry};
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

/// Time reserved for the response: when Lambda itself ends an invocation, the whole batch is redelivered.
const RESERVE: Duration = Duration::from_millis(500);

// A Lambda instance processes one batch at a time: more threads would only cost memory and start-up time.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = Config::from_env().map_err(|error| error.to_string())?;
    telemetry::init(&config.log_level);
    let aws = Aws::from_env().map_err(|error| error.to_string())?;
    let log = &S3AuditLog::new(&aws.sdk(Service::S3), config.audit_bucket);
    aws.open_connections(&[Service::S3]).await;

    run(service_fn(|event: LambdaEvent<SqsEvent>| async move {
        let time = event.context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
        let result = handler::handle(event.payload, log, time.saturating_sub(RESERVE)).await?;
        let name = &event.context.env_config.function_name;
        metrics::write(&mut std::io::stdout(), name, Timestamp::now().unix_millis(), &result.metrics)?;
        Ok::<SqsBatchResponse, Error>(result.response)
    }))
    .await
}
