//! Wiring only: see `lib.rs` for what the function does.

use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use product_creator::aws::{Aws, Service};
use product_creator::config::Config;
use product_creator::models::timestamp::Timestamp;
use product_creator::repositories::dynamodb::DynamoDbChanges;
use product_creator::{handler, metrics, telemetry};

/// Time reserved for the response: when Lambda itself ends an invocation, the whole batch is redelivered.
const RESERVE: Duration = Duration::from_millis(500);

// A Lambda instance processes one batch at a time: more threads would only cost memory and start-up time.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = Config::from_env().map_err(|error| error.to_string())?;
    telemetry::init(&config.log_level);
    let aws = Aws::from_env().map_err(|error| error.to_string())?;
    let client = aws_sdk_dynamodb::Client::new(&aws.sdk(Service::DynamoDb));
    let store = &DynamoDbChanges::new(client, config.table_name, config.list_shards);
    aws.open_connections(&[Service::DynamoDb]).await;

    run(service_fn(|event: LambdaEvent<SqsEvent>| async move {
        let time = event.context.deadline().duration_since(std::time::SystemTime::now()).unwrap_or_default();
        let result = handler::handle(event.payload, store, time.saturating_sub(RESERVE)).await?;
        let name = &event.context.env_config.function_name;
        metrics::write(&mut std::io::stdout(), name, Timestamp::now().unix_millis(), &result.metrics)?;
        Ok::<SqsBatchResponse, Error>(result.response)
    }))
    .await
}
