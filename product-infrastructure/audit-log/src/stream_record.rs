//! A journal item as the table's stream tells of it, which is how the pipe hands it on.

use serde_json::{Value, json};

use crate::ids::EventId;
use crate::table_item::Item;

/// The message that the pipe would send for this new journal item.
///
/// In all that a reader may rely on it is the stream's own record. The stream's `SequenceNumber` is left out: nobody but
/// the stream knows it. `eventID`, which names a record in the stream, is made from the event's id.
pub fn insertion(item: &Item, event: EventId, recorded_at: u64, region: &str, stream: Option<&str>) -> String {
    let image: Value = item.iter().map(|(name, value)| (name.clone(), typed(value))).collect();
    let mut record = json!({
        "eventID": event.to_string().replace('-', ""),
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": region,
        "dynamodb": {
            "ApproximateCreationDateTime": recorded_at / 1_000,
            "Keys": {"PK": image["PK"], "SK": image["SK"]},
            "SizeBytes": image.to_string().len(),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            "NewImage": image,
        },
    });
    if let Some(stream) = stream {
        record["eventSourceARN"] = Value::from(stream);
    }
    record.to_string()
}

/// A value as DynamoDB writes it, under the name of its type.
fn typed(value: &Value) -> Value {
    match value {
        Value::Null => json!({"NULL": true}),
        Value::Bool(truth) => json!({"BOOL": truth}),
        Value::Number(number) => json!({"N": number.to_string()}),
        Value::String(text) => json!({"S": text}),
        Value::Array(items) => json!({"L": items.iter().map(typed).collect::<Vec<_>>()}),
        Value::Object(members) => {
            json!({"M": members.iter().map(|(name, value)| (name.clone(), typed(value))).collect::<Item>()})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_an_item_in_the_tables_own_json() {
        let event = EventId::parse("019c13ec-9e00-728a-83f3-929b1085347a").unwrap();
        let item = json!({"PK": "PRODUCT#1", "SK": format!("EVENT#{event}"), "version": 7, "tags": ["a"],
            "attributes": {"colour": "red"}, "kept": true, "gone": null});
        let item = item.as_object().unwrap();
        let record: Value =
            serde_json::from_str(&insertion(item, event, 1_769_860_800_412, "eu-west-1", Some("arn"))).unwrap();
        assert_eq!(record["dynamodb"]["NewImage"]["version"], json!({"N": "7"}));
        assert_eq!(record["dynamodb"]["NewImage"]["tags"], json!({"L": [{"S": "a"}]}));
        assert_eq!(record["dynamodb"]["NewImage"]["attributes"], json!({"M": {"colour": {"S": "red"}}}));
        assert_eq!(record["dynamodb"]["NewImage"]["kept"], json!({"BOOL": true}));
        assert_eq!(record["dynamodb"]["NewImage"]["gone"], json!({"NULL": true}));
        assert_eq!(record["dynamodb"]["Keys"]["PK"], json!({"S": "PRODUCT#1"}));
        assert_eq!(record["dynamodb"]["ApproximateCreationDateTime"], 1_769_860_800);
        assert_eq!((&record["eventSourceARN"], &record["eventName"]), (&json!("arn"), &json!("INSERT")));
    }
}
