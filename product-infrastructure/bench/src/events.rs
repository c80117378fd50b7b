//! The events that the functions are measured with: the requests of their own smoke tests, and messages made from the
//! contracts' golden examples.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::items::attributes;
use crate::tree::{INFRASTRUCTURE, Tree};

const CREATION: &str = "contracts/examples/change-event/valid/create-minimal.json";
const ENTRY: &str = "contracts/examples/journal-entry/valid/life-1-create-applied.json";

/// A source of messages.
#[derive(Debug, Clone)]
pub struct Messages {
    kind: Kind,
    example: Value,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Change,
    StreamRecord,
}

impl Messages {
    /// Creations of products, as the API functions queue them for product-creator.
    pub fn changes(tree: &Tree) -> Result<Self> {
        let example = read(&tree.repository(INFRASTRUCTURE).join(CREATION))?;
        Ok(Self { kind: Kind::Change, example })
    }

    /// Records of the table's stream, as the pipe queues them for audit-logger.
    pub fn stream_records(tree: &Tree) -> Result<Self> {
        let example = read(&tree.repository(INFRASTRUCTURE).join(ENTRY))?;
        Ok(Self { kind: Kind::StreamRecord, example })
    }

    /// A batch of messages, each of another product.
    pub fn batch(&self, size: usize) -> Result<Arc<str>> {
        self.batch_from(0, size)
    }

    /// The same, numbered from `first`: batches of different numbers have no message in common.
    pub fn batch_from(&self, first: usize, size: usize) -> Result<Arc<str>> {
        let records = (first..first + size).map(|number| self.record(number)).collect::<Result<Vec<_>>>()?;
        Ok(json!({ "Records": records }).to_string().into())
    }

    fn record(&self, number: usize) -> Result<Value> {
        let mut document = self.example.clone();
        let event_id = renumbered(&document["eventId"], number)?;
        let product_id = renumbered(&document["productId"], number)?;
        document["eventId"] = json!(event_id);
        document["productId"] = json!(product_id);
        let body = match self.kind {
            Kind::Change => document,
            Kind::StreamRecord => {
                if document.get("after").is_some() {
                    document["after"]["productId"] = json!(product_id);
                    document["after"]["lastEventId"] = json!(event_id);
                }
                stream_record(&product_id, &event_id, document, number)
            }
        };
        Ok(json!({
            "messageId": format!("00000000-0000-4000-8000-{number:012}"),
            "receiptHandle": format!("handle-{number}"),
            "body": body.to_string(),
            "attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": "1769860800000",
                "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                "ApproximateFirstReceiveTimestamp": "1769860800001",
            },
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:bench",
            "awsRegion": "eu-west-1",
        }))
    }
}

/// The request of a function's smoke test, with another body if one is given.
pub fn request(tree: &Tree, function: &str, body: Option<&Value>) -> Result<Arc<str>> {
    let mut event = read(&tree.repository(function).join("tests/smoke/event.json"))?;
    if let Some(body) = body {
        event["body"] = json!(body.to_string());
    }
    Ok(event.to_string().into())
}

/// A product as a client sends it.
pub fn product(tree: &Tree) -> Result<Value> {
    let creation = read(&tree.repository(INFRASTRUCTURE).join(CREATION))?;
    match creation.get("product") {
        Some(product) => Ok(product.clone()),
        None => bail!("{CREATION} has no product"),
    }
}

fn read(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not valid JSON", path.display()))
}

/// An identifier of the same version and, in a UUIDv7, of the same moment, with another end.
fn renumbered(id: &Value, number: usize) -> Result<String> {
    match id.as_str().and_then(|id| id.rsplit_once('-')) {
        Some((start, _)) => Ok(format!("{start}-{number:012}")),
        None => bail!("{id} isn't an identifier"),
    }
}

/// A journal entry's insertion as a record of the table's stream.
fn stream_record(product_id: &str, event_id: &str, entry: Value, number: usize) -> Value {
    let keys = json!({"PK": format!("PRODUCT#{product_id}"), "SK": format!("EVENT#{event_id}")});
    let mut item = entry;
    item["PK"] = keys["PK"].clone();
    item["SK"] = keys["SK"].clone();
    item["expiresAt"] = json!(1_777_636_800);
    json!({
        "eventID": format!("{number:032}"),
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-west-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_769_860_800,
            "Keys": attributes(&keys),
            "NewImage": attributes(&item),
            "SequenceNumber": format!("{}", 111 + number),
            "SizeBytes": 900,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": "arn:aws:dynamodb:eu-west-1:123456789012:table/products/stream/2026-01-31T00:00:00.000",
    })
}

/// A call that is made like a request of a smoke test, on another resource or with parameters.
#[derive(Debug, Clone, Copy, Default)]
pub struct Call<'a> {
    /// The resource below `/v1.0/products`: `/{productId}/changes`.
    pub resource: &'a str,
    pub path_parameters: &'a [(&'a str, &'a str)],
    pub query: &'a [(&'a str, &'a str)],
}

impl Call<'_> {
    /// Turns the request into this call.
    pub fn apply(&self, event: &mut Value) {
        let resource = format!("/v1.0/products{}", self.resource);
        let mut path = resource.clone();
        let mut parameters = Map::new();
        for (name, value) in self.path_parameters {
            path = path.replace(&format!("{{{name}}}"), value);
            parameters.insert((*name).to_owned(), json!(value));
        }
        event["resource"] = json!(resource);
        event["path"] = json!(path);
        event["pathParameters"] = if parameters.is_empty() { Value::Null } else { Value::Object(parameters) };
        event["requestContext"]["resourcePath"] = event["resource"].clone();
        event["requestContext"]["path"] = event["path"].clone();
        for (name, value) in self.query {
            event["queryStringParameters"][*name] = json!(value);
            event["multiValueQueryStringParameters"][*name] = json!([value]);
        }
    }
}

/// The request of a function's smoke test, made into another call.
pub fn call(tree: &Tree, function: &str, call: Call<'_>) -> Result<Arc<str>> {
    let mut event = read(&tree.repository(function).join("tests/smoke/event.json"))?;
    call.apply(&mut event);
    Ok(event.to_string().into())
}

/// A PATCH of the product that the smoke test of update-product replaces.
pub fn patch(tree: &Tree) -> Result<Arc<str>> {
    let mut event = read(&tree.repository("update-product").join("tests/smoke/event.json"))?;
    event["httpMethod"] = json!("PATCH");
    event["requestContext"]["httpMethod"] = json!("PATCH");
    let media_type = "application/merge-patch+json";
    for (name, value) in [("headers", json!(media_type)), ("multiValueHeaders", json!([media_type]))] {
        if let Some(headers) = event[name].as_object_mut() {
            headers.retain(|name, _| !name.eq_ignore_ascii_case("content-type"));
        }
        event[name]["content-type"] = value;
    }
    event["body"] = json!(r#"{"price":"24.50","description":null,"attributes":{"colour":"red"}}"#);
    event["isBase64Encoded"] = json!(false);
    Ok(event.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn tree() -> Tree {
        Tree::above(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    fn bodies(batch: &str) -> Vec<Value> {
        let batch: Value = serde_json::from_str(batch).unwrap();
        let records = batch["Records"].as_array().unwrap();
        records.iter().map(|record| serde_json::from_str(record["body"].as_str().unwrap()).unwrap()).collect()
    }

    #[test]
    fn batch_messages_are_valid_and_of_different_products() {
        let schema = read(&tree().repository(INFRASTRUCTURE).join("contracts/change-event.schema.json")).unwrap();
        let schema = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        let bodies = bodies(&Messages::changes(&tree()).unwrap().batch(100).unwrap());
        for member in ["eventId", "productId"] {
            let distinct: BTreeSet<&str> = bodies.iter().map(|body| body[member].as_str().unwrap()).collect();
            assert_eq!(distinct.len(), 100, "{member}");
        }
        assert!(bodies.iter().all(|body| schema.is_valid(body)), "{}", bodies[0]);
    }

    #[test]
    fn stream_record_has_the_entry_and_its_keys() {
        let bodies = bodies(&Messages::stream_records(&tree()).unwrap().batch(2).unwrap());
        let image = &bodies[1]["dynamodb"]["NewImage"];
        let event_id = image["eventId"]["S"].as_str().unwrap();
        assert!(event_id.ends_with("-000000000001"));
        assert_eq!(bodies[1]["dynamodb"]["Keys"]["SK"]["S"], format!("EVENT#{event_id}"));
        assert_eq!(image["after"]["M"]["lastEventId"]["S"], event_id);
        assert_eq!(image["version"]["N"], "1");
    }

    #[test]
    fn requests_are_the_smoke_tests_with_valid_bodies() {
        let folder = tempfile::tempdir().unwrap();
        let smoke = folder.path().join("create-product/tests/smoke");
        fs::create_dir_all(&smoke).unwrap();
        fs::write(smoke.join("event.json"), r#"{"httpMethod":"POST","body":"{}"}"#).unwrap();
        let there = Tree::at(folder.path().to_owned());
        let body = product(&tree()).unwrap();
        let event: Value = serde_json::from_str(&request(&there, "create-product", Some(&body)).unwrap()).unwrap();
        assert_eq!(event["httpMethod"], "POST");
        assert!(event["body"].as_str().unwrap().contains("Desk lamp"));
        assert!(request(&there, "get-product", None).unwrap_err().to_string().contains("get-product"));
    }
}
