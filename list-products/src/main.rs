//! Wiring only: see `lib.rs` for what the function does.

use lambda_http::lambda_runtime::run;
use lambda_http::{Error, service_fn};
use list_products::aws::{Aws, Service};
use list_products::config::Config;
use list_products::http::proxy_integration::serve;
use list_products::repositories::dynamodb::DynamoDbIndex;
use list_products::{handler, telemetry};

// One request at a time comes to a Lambda instance: further threads would only cost memory and start-up time.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = Config::from_env().map_err(|error| error.to_string())?;
    telemetry::init(&config.log_level);
    let aws = Aws::from_env().map_err(|error| error.to_string())?;
    let index = DynamoDbIndex::new(aws_sdk_dynamodb::Client::new(&aws.sdk(Service::DynamoDb)), config.table_name);
    // A page reads all shards at once.
    aws.open_connections(&vec![Service::DynamoDb; config.list_shards as usize]).await;

    run(service_fn(|event| serve(event, |request| handler::handle(request, &index, config.list_shards)))).await
}
