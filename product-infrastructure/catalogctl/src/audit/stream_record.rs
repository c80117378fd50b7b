//! A journal item as the table's stream tells of it, which is how the pipe hands it on.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::ids::EventId;
use super::table::Item;

/// The message that the pipe would send for this new journal item.
///
/// In all that a reader may rely on it is the stream's own record. The stream's `SequenceNumber` is left out: nobody but
/// the stream knows it. `eventID`, which names a record in the stream, is made from the event's id.
pub fn insertion(item: &Item, event: EventId, recorded_at: u64, region: &str, stream: Option<&str>) -> Result<String> {
    let image: serde_dynamo::Item = item.clone().into();
    let image = serde_json::to_value(image).context("the item cannot be written as JSON")?;
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
    Ok(record.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_dynamodb::types::AttributeValue;

    #[test]
    fn an_item_is_written_in_the_tables_own_json() {
        let event = EventId::parse("019c13ec-9e00-728a-83f3-929b1085347a").unwrap();
        let item = Item::from([
            ("PK".to_owned(), AttributeValue::S("PRODUCT#1".to_owned())),
            ("SK".to_owned(), AttributeValue::S(format!("EVENT#{event}"))),
            ("version".to_owned(), AttributeValue::N("7".to_owned())),
            ("tags".to_owned(), AttributeValue::L(vec![AttributeValue::S("a".to_owned())])),
        ]);
        let record: Value =
            serde_json::from_str(&insertion(&item, event, 1_769_860_800_412, "eu-west-1", Some("arn")).unwrap())
                .unwrap();
        assert_eq!(record["dynamodb"]["NewImage"]["version"], json!({"N": "7"}));
        assert_eq!(record["dynamodb"]["NewImage"]["tags"], json!({"L": [{"S": "a"}]}));
        assert_eq!(record["dynamodb"]["Keys"]["PK"], json!({"S": "PRODUCT#1"}));
        assert_eq!(record["dynamodb"]["ApproximateCreationDateTime"], 1_769_860_800);
        assert_eq!((&record["eventSourceARN"], &record["eventName"]), (&json!("arn"), &json!("INSERT")));
    }
}
