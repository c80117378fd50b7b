//! CloudWatch Logs in this process, as far as FilterLogEvents with alternatives of terms goes: `?"a" ?"b"`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Lines with their times.
type Lines = Vec<(u64, Value)>;

/// The lines by log group; each page has one line, and an empty page comes first, as on AWS.
#[derive(Clone, Default)]
pub struct LogGroups {
    groups: Arc<Mutex<BTreeMap<String, Lines>>>,
    requests: Arc<Mutex<Vec<Value>>>,
    endless: Arc<Mutex<bool>>,
}

impl LogGroups {
    /// Adds a line to the log of the API (`api`) or of a function in the environment dev.
    pub fn add(&self, log: &str, millis: u64, line: Value) {
        let group = match log {
            "api" => "/aws/apigateway/bbws-product-api-dev".to_owned(),
            function => format!("/aws/lambda/bbws-{function}-dev"),
        };
        self.groups.lock().unwrap().entry(group).or_default().push((millis, line));
    }

    /// From now on each page is followed by another one.
    pub fn never_end(&self) {
        *self.endless.lock().unwrap() = true;
    }

    /// The requests since the last call.
    pub fn take_requests(&self) -> Vec<Value> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }

    pub fn filter(&self, input: &Value) -> Response {
        self.requests.lock().unwrap().push(input.clone());
        let groups = self.groups.lock().unwrap();
        let Some(lines) = groups.get(input["logGroupName"].as_str().unwrap()) else {
            let error =
                json!({"__type": "ResourceNotFoundException", "message": "The specified log group does not exist."});
            return (StatusCode::BAD_REQUEST, Json(error)).into_response();
        };
        let (start, end) = (input["startTime"].as_u64().unwrap(), input["endTime"].as_u64().unwrap_or(u64::MAX));
        let terms: Vec<&str> = input["filterPattern"].as_str().unwrap().split(' ').collect();
        let terms: Vec<&str> = terms.iter().map(|term| term.trim_start_matches("?\"").trim_end_matches('"')).collect();
        let found: Vec<Value> = lines
            .iter()
            .filter(|(millis, line)| {
                (start..end).contains(millis) && terms.iter().any(|term| line.to_string().contains(term))
            })
            .map(|(millis, line)| json!({"timestamp": millis, "logStreamName": "s", "message": format!("{line}\n")}))
            .collect();
        let page = input["nextToken"].as_str().map_or(0, |token| token.parse::<usize>().unwrap());
        let events: Vec<&Value> = page.checked_sub(1).and_then(|index| found.get(index)).into_iter().collect();
        let mut answer = json!({"events": events});
        if page < found.len() || *self.endless.lock().unwrap() {
            answer["nextToken"] = json!((page + 1).to_string());
        }
        Json(answer).into_response()
    }
}
