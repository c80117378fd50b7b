//! Wiring only: see `lib.rs` for what the function does.

use delete_product::aws::{Aws, Service};
use delete_product::config::Config;
use delete_product::http::proxy_integration::serve;
use delete_product::repositories::dynamodb::DynamoDbProducts;
use delete_product::repositories::sqs::SqsChangeQueue;
use delete_product::{handler, telemetry};
use lambda_http::lambda_runtime::run;
use lambda_http::{Error, service_fn};

// One request at a time comes to a Lambda instance: further threads would only cost memory and start-up time.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = Config::from_env().map_err(|error| error.to_string())?;
    telemetry::init(&config.log_level);
    let aws = Aws::from_env().map_err(|error| error.to_string())?;
    let products = DynamoDbProducts::new(aws_sdk_dynamodb::Client::new(&aws.sdk(Service::DynamoDb)), config.table_name);
    let queue = SqsChangeQueue::new(aws_sdk_sqs::Client::new(&aws.sdk(Service::Sqs)), config.change_queue_url);
    aws.open_connections(&[Service::DynamoDb, Service::Sqs]).await;

    run(service_fn(|event| serve(event, |request| handler::handle(request, &products, &queue)))).await
}
