//! Records of the table's stream, as a pipe sends them.

use serde_json::{Map, Value, json};

use super::contract::examples;

/// The product that the records are of.
pub const ID: &str = "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84";

/// A record of the stream, as a pipe sends it.
pub fn record(name: &str, sk: &str, before: Option<Value>, after: Option<Value>) -> Value {
    let pk = format!("PRODUCT#{ID}");
    let image = |item: Value| {
        let mut item = item;
        item["PK"] = json!(pk);
        item["SK"] = json!(sk);
        dynamodb_json(&item)
    };
    let mut dynamodb = json!({
        "ApproximateCreationDateTime": 1_769_860_800,
        "Keys": {"PK": {"S": pk}, "SK": {"S": sk}},
        "SequenceNumber": "111", "SizeBytes": 26, "StreamViewType": "NEW_AND_OLD_IMAGES",
    });
    if let Some(item) = before {
        dynamodb["OldImage"] = image(item);
    }
    if let Some(item) = after {
        dynamodb["NewImage"] = image(item);
    }
    json!({
        "eventID": "c81e728d9d4c2f636f067f89cc14862c", "eventName": name, "eventVersion": "1.1",
        "eventSource": "aws:dynamodb", "awsRegion": "eu-west-1", "dynamodb": dynamodb,
        "eventSourceARN": "arn:aws:dynamodb:eu-west-1:123456789012:table/products/stream/2026-01-31T00:00:00.000",
    })
}

/// The attributes of an object, in DynamoDB's JSON.
pub fn dynamodb_json(object: &Value) -> Value {
    fn value(value: &Value) -> Value {
        match value {
            Value::Null => json!({"NULL": true}),
            Value::Bool(flag) => json!({"BOOL": flag}),
            Value::Number(number) => json!({"N": number.to_string()}),
            Value::String(text) => json!({"S": text}),
            Value::Array(list) => json!({"L": list.iter().map(self::dynamodb_value).collect::<Vec<_>>()}),
            Value::Object(_) => json!({"M": dynamodb_json(value)}),
        }
    }
    let object = object.as_object().unwrap();
    Value::Object(object.iter().map(|(name, member)| (name.clone(), value(member))).collect::<Map<_, _>>())
}

pub fn dynamodb_value(value: &Value) -> Value {
    dynamodb_json(&json!({"v": value}))["v"].clone()
}

/// A new journal entry, as product-creator stores it.
pub fn journalled(entry: &Value) -> Value {
    let mut item = entry.clone();
    item["expiresAt"] = json!(1_777_636_800);
    record("INSERT", &format!("EVENT#{}", entry["eventId"].as_str().unwrap()), None, Some(item))
}

pub fn entries() -> Vec<(String, Value)> {
    let examples = examples("journal-entry", "valid").into_iter();
    examples.map(|(name, text)| (name, serde_json::from_str(&text).unwrap())).collect()
}
