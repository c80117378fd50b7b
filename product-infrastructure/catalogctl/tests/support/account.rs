//! An account in this process: buckets and their settings, a secret, API keys and their use, and whose account it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};

/// The account's id.
pub const ACCOUNT: &str = "111122223333";
/// The key that the default client's secret holds.
pub const KEY: &str = "0123456789012345678901234567890123456789";
/// The key that the secret of client shop holds.
pub const SHOP_KEY: &str = "9876543210987654321098765432109876543210";

/// A bucket's settings, by the name of their part of the API, as they were put.
type Buckets = BTreeMap<String, BTreeMap<String, String>>;

/// What an account holds.
#[derive(Clone)]
pub struct Account {
    pub endpoint: String,
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held {
    buckets: Buckets,
    /// Names that another account has.
    taken: Vec<String>,
    keys: Vec<(u32, bool)>,
    /// The keys of client shop.
    shop_keys: Vec<(u32, bool)>,
    /// Requests yesterday with the first key of either client; `None` when there was none at all.
    requests: Option<i64>,
}

impl Account {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let account = Self { endpoint, held: Arc::default() };
        let router = Router::new().fallback(answer).with_state(account.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        account
    }

    pub fn buckets(&self) -> Buckets {
        self.held.lock().unwrap().buckets.clone()
    }

    pub fn set(&self, bucket: &str, setting: &str, value: &str) {
        let mut held = self.held.lock().unwrap();
        held.buckets.get_mut(bucket).unwrap().insert(setting.to_owned(), value.to_owned());
    }

    /// Somebody else's bucket has this name.
    pub fn take(&self, bucket: &str) {
        self.held.lock().unwrap().taken.push(bucket.to_owned());
    }

    /// What API Gateway has: generations, whether they are enabled, and how often the one asked for was used.
    pub fn keys(&self, keys: &[(u32, bool)], requests: Option<i64>) {
        let mut held = self.held.lock().unwrap();
        (held.keys, held.requests) = (keys.to_vec(), requests);
    }

    /// The same of client shop.
    pub fn shop_keys(&self, keys: &[(u32, bool)], requests: Option<i64>) {
        let mut held = self.held.lock().unwrap();
        (held.shop_keys, held.requests) = (keys.to_vec(), requests);
    }
}

type Parameters = Query<BTreeMap<String, String>>;

async fn answer(
    State(account): State<Account>,
    method: Method,
    uri: Uri,
    Query(parameters): Parameters,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    assert!(headers.contains_key("authorization"), "{method} {uri} is not signed");
    let mut held = account.held.lock().unwrap();
    let parts: Vec<&str> = uri.path().split('/').filter(|part| !part.is_empty()).collect();
    let text = String::from_utf8(body.to_vec()).unwrap();
    match parts.as_slice() {
        [] if text.contains("Action=GetCallerIdentity") => caller(),
        [] => secret(&text),
        ["apikeys"] => {
            assert_eq!(parameters["name"], "bbws-product-api-dev-");
            let keys = [(&held.keys, "k", ""), (&held.shop_keys, "s", "shop-")].map(|(keys, id, client)| {
                let key = |(generation, enabled): &(u32, bool)| {
                    let name = format!("bbws-product-api-dev-{client}{generation}");
                    json!({"id": format!("{id}{generation}"), "name": name, "enabled": enabled})
                };
                keys.iter().map(key).collect::<Vec<_>>()
            });
            Json(json!({"item": keys.concat()})).into_response()
        }
        ["usageplans"] => {
            let throttle = json!({"rateLimit": 500.0, "burstLimit": 1000});
            let plan = json!({"id": "p1", "name": "bbws-product-api-dev", "throttle": throttle});
            let shop = json!({"id": "p2", "name": "bbws-product-api-dev-shop"});
            Json(json!({"item": [plan, shop]})).into_response()
        }
        ["restapis"] => {
            let apis =
                ["another", "bbws-product-api-dev"].map(|name| json!({"id": format!("id-{name}"), "name": name}));
            Json(json!({"item": apis})).into_response()
        }
        ["usageplans", plan @ ("p1" | "p2"), "usage"] => {
            let key = if *plan == "p1" { "k1" } else { "s1" };
            assert_eq!(parameters["keyId"], key);
            let days = |count: i64| json!({key: [[count, -1], [0, -1]]});
            Json(json!({"usagePlanId": plan, "values": held.requests.map_or(json!({}), days)})).into_response()
        }
        [bucket] => bucket_call(&mut held, bucket, &method, &uri, &headers, text),
        other => panic!("{method} {other:?} is not spoken here"),
    }
}

fn caller() -> Response {
    let xml = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Account>{ACCOUNT}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
    );
    ([("content-type", "text/xml")], xml).into_response()
}

fn secret(request: &str) -> Response {
    let request: Value = serde_json::from_str(request).unwrap();
    for (name, key) in [("bbws/product-api/key-dev", KEY), ("bbws/product-api/key-dev/shop", SHOP_KEY)] {
        if request["SecretId"] == name {
            return Json(json!({"Name": name, "SecretString": key})).into_response();
        }
    }
    (StatusCode::BAD_REQUEST, Json(json!({"__type": "ResourceNotFoundException"}))).into_response()
}

fn bucket_call(
    held: &mut Held,
    bucket: &str,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: String,
) -> Response {
    let query = uri.query().unwrap_or_default();
    let setting = query.split('&').map(|pair| pair.trim_end_matches('=')).find(|name| !name.starts_with("x-id"));
    let setting = setting.filter(|name| !name.is_empty()).map(str::to_owned);
    let made = held.buckets.contains_key(bucket);
    if held.taken.iter().any(|taken| taken == bucket) {
        return StatusCode::FORBIDDEN.into_response();
    }
    if !(setting.is_none() && method == Method::PUT) {
        assert_eq!(headers["x-amz-expected-bucket-owner"], ACCOUNT, "{method} {uri}");
    }
    match (method, setting) {
        (&Method::HEAD, None) if made => StatusCode::OK.into_response(),
        (&Method::HEAD, None) => StatusCode::NOT_FOUND.into_response(),
        (&Method::PUT, None) => {
            assert!(!made && body.contains("<LocationConstraint>eu-west-1<"), "{body}");
            held.buckets.insert(bucket.to_owned(), BTreeMap::new());
            StatusCode::OK.into_response()
        }
        (&Method::PUT, Some(setting)) => {
            held.buckets.get_mut(bucket).unwrap().insert(setting, body);
            StatusCode::OK.into_response()
        }
        (&Method::GET, Some(setting)) => match held.buckets[bucket].get(&setting) {
            Some(value) => value.clone().into_response(),
            None => not_set(&setting),
        },
        other => panic!("{other:?} is not spoken here"),
    }
}

/// How S3 says of each setting that there is none.
fn not_set(setting: &str) -> Response {
    let code = match setting {
        "publicAccessBlock" => "NoSuchPublicAccessBlockConfiguration",
        "ownershipControls" => "OwnershipControlsNotFoundError",
        "encryption" => "ServerSideEncryptionConfigurationNotFoundError",
        "lifecycle" => "NoSuchLifecycleConfiguration",
        "policy" => "NoSuchBucketPolicy",
        "versioning" => return "<VersioningConfiguration/>".into_response(),
        other => panic!("{other} is not spoken here"),
    };
    (StatusCode::NOT_FOUND, format!("<Error><Code>{code}</Code><Message>no</Message></Error>")).into_response()
}
