//! Wiring only: see `lib.rs` for what the function does.

use std::convert::Infallible;

use lambda_http::{Error, run, service_fn};
use list_products::config::Config;
use list_products::repositories::dynamodb::DynamoDbIndex;
use list_products::{aws, handler, telemetry};

// One request at a time comes to a Lambda instance: further threads would only cost memory and start-up time.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = Config::from_env()?;
    telemetry::init(&config.log_level);
    let sdk = aws::sdk_config().await;
    let index = DynamoDbIndex::new(aws_sdk_dynamodb::Client::new(&sdk), config.table_name);

    run(service_fn(|request| async { Ok::<_, Infallible>(handler::handle(request, &index, config.list_shards).await) }))
        .await
}
