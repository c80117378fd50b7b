//! One row, brought to the API: the product is looked up, and created, changed or left as it is; then the change is followed
//! to its end.

use std::time::{Duration, Instant};

use anyhow::Result;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::api::{Api, ApiError, Call, Response, change_time};
use super::columns::{Asked, Key};
use super::contract::{REQUIRED, Violation, content};
use super::digest::uuid;
use super::journal::Fate;

/// How often a row is tried because another client was faster.
const MAX_ROUNDS: u32 = 3;
/// How long a change may stay pending before its row counts as failed.
const MAX_PENDING: Duration = Duration::from_secs(300);
const MAX_POLL: Duration = Duration::from_secs(10);
/// The API's clock is read to the second.
const CLOCK_PRECISION: u64 = 1_000;
/// The fields of a product that a client supplies.
const CONTENT: [&str; 9] =
    ["name", "price", "currency", "sku", "description", "category", "tags", "imageUrls", "attributes"];

/// What became of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Done { fate: Fate, product_id: String, event_id: Option<String> },
    Rejected(Vec<Violation>),
    Failed(String),
}

/// What the rows of an import have in common.
pub struct Importer<'a> {
    pub api: &'a Api,
    pub key: Key,
    pub import_id: &'a str,
    /// The name of the file, for rows that have no other key.
    pub file_name: &'a str,
    /// The API's time at which the import began, in milliseconds since 1970.
    pub started: u64,
    pub max_pending: Duration,
}

/// A step of a row: an end, or another round.
enum Step {
    End(Outcome),
    Again,
}

impl Importer<'_> {
    /// Imports a valid row; `origin` is its number. Fails only if no other row could be imported either.
    pub async fn import(&self, origin: u64, asked: &Asked) -> Result<Outcome> {
        for _ in 0..MAX_ROUNDS {
            match self.round(origin, asked).await {
                Ok(Step::End(outcome)) => return Ok(outcome),
                Ok(Step::Again) => {}
                Err(error) if error.is_fatal() => return Err(error.into()),
                Err(error) => return Ok(Outcome::Failed(error.to_string())),
            }
        }
        Ok(Outcome::Failed(format!("another client changed the product {MAX_ROUNDS} times meanwhile")))
    }

    async fn round(&self, origin: u64, asked: &Asked) -> Result<Step, ApiError> {
        match self.key {
            Key::Sku => {
                let sku = asked.patch.get("sku").and_then(Value::as_str).unwrap_or_default();
                match self.product_with_sku(sku).await? {
                    Found::Product(product) => self.update(&product, asked).await,
                    Found::Nothing => {
                        let missing = REQUIRED.into_iter().filter(|field| !asked.patch.contains_key(*field));
                        let missing: Vec<_> = missing.map(Violation::required).collect();
                        if !missing.is_empty() {
                            return Ok(Step::End(Outcome::Rejected(missing)));
                        }
                        // With the import's ID: the same row can create the product again after somebody deleted it.
                        self.create(asked, &[self.import_id, sku]).await
                    }
                    Found::Unexpected(response) => Ok(Step::End(unexpected(&response))),
                }
            }
            Key::ProductId => self.update_by_id(asked.product_id.as_deref().unwrap_or_default(), asked).await,
            Key::Row => self.create(asked, &[self.file_name, &origin.to_string()]).await,
        }
    }

    async fn product_with_sku(&self, sku: &str) -> Result<Found, ApiError> {
        let path = format!("/products?sku={}", utf8_percent_encode(sku, NON_ALPHANUMERIC));
        let response = self.api.call(&Call::get(path)).await?;
        Ok(match response.body["items"].as_array() {
            Some(items) if response.status == StatusCode::OK => {
                items.first().map_or(Found::Nothing, |product| Found::Product(product.clone()))
            }
            _ => Found::Unexpected(response),
        })
    }

    async fn update_by_id(&self, id: &str, asked: &Asked) -> Result<Step, ApiError> {
        let response = self.api.call(&Call::get(format!("/products/{id}"))).await?;
        match response.status {
            StatusCode::OK => self.update(&response.body, asked).await,
            StatusCode::NOT_FOUND => {
                let (field, message) = match self.key {
                    Key::Row => ("", format!("the product {id} that an earlier import of the row created was deleted")),
                    _ => ("productId", "must be the ID of an active product".to_owned()),
                };
                Ok(Step::End(Outcome::Rejected(vec![Violation::new(field, "NOT_FOUND", message)])))
            }
            _ => Ok(Step::End(unexpected(&response))),
        }
    }

    /// Changes a product by the row's merge patch, unless it has this state already.
    async fn update(&self, product: &Value, asked: &Asked) -> Result<Step, ApiError> {
        let id = product["productId"].as_str().unwrap_or_default().to_owned();
        if is_unchanged(product, &asked.patch) {
            return Ok(Step::End(Outcome::Done { fate: Fate::Unchanged, product_id: id, event_id: None }));
        }
        let response = self
            .api
            .call(&Call {
                method: Method::PATCH,
                path: format!("/products/{id}"),
                headers: vec![(CONTENT_TYPE, HeaderValue::from_static("application/merge-patch+json"))],
                body: Some(Value::Object(asked.patch.clone())),
            })
            .await?;
        match response.status {
            StatusCode::ACCEPTED => match self.outcome(&response).await? {
                Ok(change) => Ok(match (change.status.as_str(), change.reason.as_str()) {
                    ("APPLIED" | "DUPLICATE", _) => Step::End(change.done(Fate::Updated)),
                    ("SUPERSEDED", _) | ("REJECTED", "NOT_FOUND") => Step::Again,
                    _ => Step::End(change.rejected()),
                }),
                Err(outcome) => Ok(Step::End(outcome)),
            },
            // Somebody deleted the product meanwhile.
            StatusCode::NOT_FOUND => Ok(Step::Again),
            _ => Ok(Step::End(refused(&response))),
        }
    }

    /// Creates a product. The same names and the same content name the same product, so that a repetition creates no second
    /// one.
    async fn create(&self, asked: &Asked, names: &[&str]) -> Result<Step, ApiError> {
        let body = Value::Object(content(&asked.patch));
        let mut digest = Sha256::new();
        for name in names {
            digest.update(name);
            digest.update([0]);
        }
        digest.update(body.to_string());
        let key = HeaderValue::from_str(&uuid(digest)).expect("a UUID is a header value");
        let response = self
            .api
            .call(&Call {
                method: Method::POST,
                path: "/products".to_owned(),
                headers: vec![
                    (CONTENT_TYPE, HeaderValue::from_static("application/json")),
                    (HeaderName::from_static("idempotency-key"), key),
                ],
                body: Some(body),
            })
            .await?;
        match response.status {
            StatusCode::ACCEPTED => match self.outcome(&response).await? {
                Ok(change) => self.created(change, asked).await,
                Err(outcome) => Ok(Step::End(outcome)),
            },
            // Another client was faster, or an earlier run whose change wasn't applied yet.
            StatusCode::CONFLICT if self.key == Key::Sku => Ok(Step::Again),
            _ => Ok(Step::End(refused(&response))),
        }
    }

    async fn created(&self, change: Change, asked: &Asked) -> Result<Step, ApiError> {
        Ok(match (change.status.as_str(), change.reason.as_str()) {
            ("APPLIED" | "DUPLICATE", _) => {
                let is_earlier = change_time(&change.event_id)
                    .is_some_and(|time| time.saturating_add(CLOCK_PRECISION) < self.started);
                // An earlier import created the product; since then it may have been changed or deleted.
                match self.key {
                    Key::Row if is_earlier => return self.update_by_id(&change.product_id, asked).await,
                    _ => Step::End(change.done(Fate::Created)),
                }
            }
            ("REJECTED", "SKU_TAKEN") if self.key == Key::Sku => Step::Again,
            _ => Step::End(change.rejected()),
        })
    }

    /// Follows an accepted change to its end. Its address is made of the IDs in the response, as the contract's link does it:
    /// the key goes nowhere else.
    async fn outcome(&self, accepted: &Response) -> Result<Result<Change, Outcome>, ApiError> {
        let id = |name: &str| accepted.body[name].as_str().unwrap_or_default().to_owned();
        let (product_id, event_id) = (id("productId"), id("eventId"));
        let call = Call::get(format!("/products/{product_id}/changes/{event_id}"));
        let deadline = Instant::now() + self.max_pending;
        let mut pause = accepted.retry_after().unwrap_or(Duration::from_secs(1));
        loop {
            tokio::time::sleep(pause).await;
            let response = self.api.call(&call).await?;
            if response.status != StatusCode::OK {
                return Ok(Err(unexpected(&response)));
            }
            let text = |name: &str| response.body[name].as_str().unwrap_or_default().to_owned();
            if response.body["done"] == true {
                return Ok(Ok(Change { product_id, event_id, status: text("status"), reason: text("reason") }));
            }
            if Instant::now() > deadline {
                let seconds = self.max_pending.as_secs();
                return Ok(Err(Outcome::Failed(format!(
                    "the change {event_id} of product {product_id} is still pending after {seconds} s"
                ))));
            }
            // Under load the wait grows, so that the polls don't use up the rate.
            pause = response.retry_after().unwrap_or(pause).max(pause * 3 / 2).min(MAX_POLL);
        }
    }
}

impl<'a> Importer<'a> {
    pub fn new(api: &'a Api, key: Key, import_id: &'a str, file_name: &'a str, started: u64) -> Self {
        Self { api, key, import_id, file_name, started, max_pending: MAX_PENDING }
    }
}

enum Found {
    Product(Value),
    Nothing,
    Unexpected(Response),
}

/// A change with its outcome.
struct Change {
    product_id: String,
    event_id: String,
    status: String,
    reason: String,
}

impl Change {
    fn done(self, fate: Fate) -> Outcome {
        Outcome::Done { fate, product_id: self.product_id, event_id: Some(self.event_id) }
    }

    fn rejected(self) -> Outcome {
        let (field, message) = match self.reason.as_str() {
            "SKU_TAKEN" => ("sku", "belongs to another product".to_owned()),
            "INVALID_RESULT" => ("", "the row would make the product invalid".to_owned()),
            "ALREADY_EXISTS" => ("", "the product exists with other content, or was deleted".to_owned()),
            _ => ("", "the change wasn't applied".to_owned()),
        };
        let code = if self.reason.is_empty() { self.status } else { self.reason };
        let message = format!("{message} (product {}, event {})", self.product_id, self.event_id);
        Outcome::Rejected(vec![Violation::new(field, code, message)])
    }
}

/// A request that the API understood and refused: the row has to be corrected.
fn refused(response: &Response) -> Outcome {
    let error = response.error();
    let is_about_row = matches!(response.status.as_u16(), 400 | 409 | 413 | 422) && !error.code.is_empty();
    if !is_about_row {
        return unexpected(response);
    }
    let mut found: Vec<Violation> =
        error.details.into_iter().map(|detail| Violation::new(detail.field, detail.code, detail.message)).collect();
    if found.is_empty() {
        found.push(Violation::new("", error.code, error.message));
    }
    Outcome::Rejected(found)
}

fn unexpected(response: &Response) -> Outcome {
    let error = response.error();
    Outcome::Failed(
        format!("unexpected response {} {} {}", response.status, error.code, error.message).trim().to_owned(),
    )
}

/// Whether a product has the state that a merge patch asks for.
fn is_unchanged(product: &Value, patch: &Map<String, Value>) -> bool {
    let current = product.as_object().into_iter().flatten().filter(|(name, _)| CONTENT.contains(&name.as_str()));
    let current: Map<String, Value> = current.map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut merged = Value::Object(current.clone());
    json_patch::merge(&mut merged, &Value::Object(patch.clone()));
    normal(merged) == normal(Value::Object(current))
}

/// Content as the API returns it: a price without additional zeros, no empty array and no empty object.
fn normal(mut content: Value) -> Value {
    if let Value::Object(members) = &mut content {
        if let Some(Value::String(price)) = members.get_mut("price")
            && price.contains('.')
        {
            *price = price.trim_end_matches('0').trim_end_matches('.').to_owned();
        }
        members.retain(|_, value| {
            !matches!(value, Value::Array(items) if items.is_empty())
                && !matches!(value, Value::Object(members) if members.is_empty())
        });
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn compares_as_the_api_stores() {
        let product = json!({
            "productId": "1", "version": 3, "name": "Lamp", "price": "19.90", "currency": "EUR", "tags": ["a"],
            "attributes": {"colour": "red"},
        });
        let unchanged = |patch: Value| is_unchanged(&product, patch.as_object().unwrap());
        for patch in [
            json!({"price": "19.9"}),
            json!({"price": "19.900", "tags": ["a"], "name": "Lamp"}),
            json!({"sku": null, "imageUrls": [], "attributes": {"size": null}}),
            json!({"attributes": {"colour": "red"}}),
        ] {
            assert!(unchanged(patch.clone()), "{patch}");
        }
        for patch in [
            json!({"price": "19.91"}),
            json!({"price": "190"}),
            json!({"tags": null}),
            json!({"tags": []}),
            json!({"sku": "A"}),
            json!({"attributes": {"colour": null}}),
            json!({"description": ""}),
        ] {
            assert!(!unchanged(patch.clone()), "{patch}");
        }
    }
}
