//! DynamoDB, SQS and S3 with canned responses, over TLS or plain HTTP: the same work for a function in every call, and little
//! of its own.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::http::{Connection, Request, answer, forward};
use crate::items;
use crate::server::Server;

/// Number of products: more than a page has.
const PRODUCTS: usize = 100;
/// Number of journal entries of a product.
const ENTRIES: usize = 30;
/// Number of products in the response to a batch read.
pub const BATCH: usize = 20;

/// Where Debian's family and Red Hat's, Lambda's among it, keep the certificates that they trust.
const ROOTS: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// The product that API events name.
pub const PRODUCT_ID: &str = "00000000-0000-4000-8000-000000000000";

/// What all ids begin with.
const ID_START: &str = "00000000-0000-4000-8000-";

/// The calls that a backend has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calls {
    pub count: usize,
    /// The most that were under way at one time.
    pub at_once: usize,
}

/// How a backend behaves.
#[derive(Debug, Clone, Copy, Default)]
pub struct Behaviour {
    /// Each call takes this much longer.
    pub delay: Duration,
    /// Whether a product that is asked for exists.
    pub has_products: bool,
}

/// A certificate authority of this run, and a certificate of it for `localhost`.
#[derive(Debug)]
pub struct Tls {
    config: Arc<ServerConfig>,
    authority: PathBuf,
    roots: PathBuf,
    /// Deletes both files.
    _folder: tempfile::TempDir,
}

impl Tls {
    pub fn new() -> Result<Self> {
        let authority_key = KeyPair::generate()?;
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        authority.distinguished_name.push(DnType::CommonName, "cargo xtask bench");
        let root = authority.self_signed(&authority_key)?;
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate()?;
        let mut leaf = CertificateParams::new(["localhost".to_owned()])?;
        // Python asks for it.
        leaf.use_authority_key_identifier_extension = true;
        let leaf = leaf.signed_by(&key, &issuer)?;

        let folder = tempfile::tempdir()?;
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, root.pem()).with_context(|| format!("failed to write {}", path.display()))?;
        let roots = folder.path().join("roots.pem");
        let of_machine = ROOTS.iter().find_map(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        std::fs::write(&roots, format!("{of_machine}\n{}", root.pem()))
            .with_context(|| format!("failed to write {}", roots.display()))?;
        let chain: Vec<CertificateDer<'static>> = vec![leaf.der().clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Self { config: Arc::new(config), authority: path, roots, _folder: folder })
    }

    /// The authority's certificate, for SDKs that are configured with a trusted authority: `AWS_CA_BUNDLE`.
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// The same among all that this machine trusts, for programs that read those: `SSL_CERT_FILE`. They read as many on
    /// AWS, and how long that takes is part of what they cost.
    pub fn roots(&self) -> &Path {
        &self.roots
    }
}

/// A backend that answers until it is dropped.
#[derive(Debug)]
pub struct Backend {
    server: Server,
    scheme: &'static str,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    behaviour: Behaviour,
    /// Who answers for DynamoDB, if not [`ANSWERS`].
    engine: Option<SocketAddr>,
    in_engine: Mutex<InEngine>,
    count: AtomicUsize,
    under_way: AtomicUsize,
    at_once: AtomicUsize,
}

/// How long at least one call to the engine was under way.
#[derive(Debug, Default)]
struct InEngine {
    under_way: usize,
    since: Option<Instant>,
    total: Duration,
}

impl InEngine {
    fn enter(&mut self) {
        self.under_way += 1;
        self.since.get_or_insert_with(Instant::now);
    }

    fn leave(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
        if self.under_way == 0 {
            self.total += self.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        }
    }
}

impl Backend {
    /// Over TLS if given one.
    pub fn start(tls: Option<&Tls>, behaviour: Behaviour) -> Result<Self> {
        Self::serve(tls, behaviour, None)
    }

    /// Over plain HTTP, with an engine that answers for DynamoDB and whose time is taken.
    pub fn before(engine: SocketAddr) -> Result<Self> {
        Self::serve(None, Behaviour::default(), Some(engine))
    }

    fn serve(tls: Option<&Tls>, behaviour: Behaviour, engine: Option<SocketAddr>) -> Result<Self> {
        let shared = Arc::new(Shared {
            behaviour,
            engine,
            in_engine: Mutex::default(),
            count: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            at_once: AtomicUsize::new(0),
        });
        let (serving, config) = (shared.clone(), tls.map(|tls| tls.config.clone()));
        let server = Server::start(move |stream: TcpStream| match &config {
            None => serving.serve(Connection::new(stream)),
            Some(config) => {
                let session = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
                serving.serve(Connection::new(StreamOwned::new(session, stream)))
            }
        })?;
        Ok(Self { server, scheme: if tls.is_some() { "https" } else { "http" }, shared })
    }

    /// `AWS_ENDPOINT_URL`: by name, since a function has to look up the name of an AWS service as well.
    pub fn url(&self) -> String {
        format!("{}://localhost:{}", self.scheme, self.server.address().port())
    }

    /// The calls since the last time that this was asked.
    pub fn take_calls(&self) -> Calls {
        let take = |counter: &AtomicUsize| counter.swap(0, Ordering::Relaxed);
        Calls { count: take(&self.shared.count), at_once: take(&self.shared.at_once) }
    }

    /// For how long the engine was at work since the last time that this was asked.
    pub fn take_engine_time(&self) -> Duration {
        std::mem::take(&mut self.shared.in_engine().total)
    }
}

impl Shared {
    fn in_engine(&self) -> std::sync::MutexGuard<'_, InEngine> {
        self.in_engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve<S: io::Read + io::Write>(&self, mut connection: Connection<S>) -> io::Result<()> {
        let mut engine = None;
        while let Some(request) = connection.read()? {
            let now = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
            self.at_once.fetch_max(now, Ordering::Relaxed);
            self.count.fetch_add(1, Ordering::Relaxed);
            if !self.behaviour.delay.is_zero() {
                thread::sleep(self.behaviour.delay);
            }
            let answered = match (self.engine, request.target.as_deref()) {
                (Some(address), Some(target)) if target.starts_with("DynamoDB") => {
                    Some(self.ask(address, &mut engine, &request)?)
                }
                _ => None,
            };
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            match answered {
                Some(answer) => connection.write(&answer)?,
                None => connection.write(&ANSWERS.to(&request, self.behaviour.has_products))?,
            }
        }
        Ok(())
    }
}

impl Shared {
    /// The engine's answer, over a connection that is as old as the program's.
    fn ask(&self, address: SocketAddr, engine: &mut Option<TcpStream>, request: &Request) -> io::Result<Vec<u8>> {
        let stream = match engine {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                engine.insert(stream)
            }
        };
        self.in_engine().enter();
        let answer = forward(stream, request);
        self.in_engine().leave();
        answer
    }
}

/// The same for every backend, so that a response that one has made is there for the next.
static ANSWERS: LazyLock<Answers> = LazyLock::new(Answers::new);

/// The responses, ready to be written.
#[derive(Debug)]
struct Answers {
    product: Vec<u8>,
    entry: Vec<u8>,
    claim: Vec<u8>,
    nothing: Vec<u8>,
    /// The first product, the first two, and so on, in the order of every index.
    products: Vec<Vec<u8>>,
    /// The same rows of the change index.
    feed: Vec<Vec<u8>>,
    /// A product's newest journal entry, the newest two, and so on.
    journal: Vec<Vec<u8>>,
    batch: Vec<u8>,
    sent: Vec<u8>,
    put: Vec<u8>,
    object: Vec<u8>,
    unknown: Vec<u8>,
    /// The responses to requests with a projection: made once, so that making them isn't measured.
    projected: Mutex<HashMap<Projected, Vec<u8>>>,
}

/// What decides a response to a request with a projection.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Projected {
    /// The address of the whole response.
    whole: usize,
    expression: String,
    placeholders: Vec<String>,
}

impl Answers {
    fn new() -> Self {
        let dynamodb = |body: Value| ok("application/x-amz-json-1.0", &body);
        let products: Vec<Value> = (0..PRODUCTS).map(item).collect();
        let feed: Vec<Value> = products.iter().map(items::feed_row).collect();
        let journal: Vec<Value> =
            (0..ENTRIES).rev().map(|number| items::journal_entry(PRODUCT_ID, number, 1_999)).collect();
        let pages = |items: &[Value], keys: &[&str]| -> Vec<Vec<u8>> {
            let page = |limit: usize| {
                let mut page = json!({"Items": items[..limit], "Count": limit, "ScannedCount": limit});
                if limit < items.len() {
                    let key = keys.iter().map(|name| ((*name).to_owned(), items[limit - 1][*name].clone()));
                    page["LastEvaluatedKey"] = Value::Object(key.collect());
                }
                dynamodb(page)
            };
            (1..=items.len()).map(page).collect()
        };
        Self {
            product: dynamodb(json!({"Item": products[0]})),
            entry: dynamodb(json!({"Item": items::journal_entry(PRODUCT_ID, 0, 1_999)})),
            claim: dynamodb(json!({"Item": items::claim(PRODUCT_ID, 0)})),
            nothing: dynamodb(json!({})),
            products: pages(&products, &["PK", "SK", "GSI1_PK", "GSI1_SK", "GSI2_PK", "GSI2_SK", "GSI3_PK"]),
            feed: pages(&feed, &["PK", "SK", "GSI4_PK", "GSI4_SK"]),
            journal: pages(&journal, &["PK", "SK"]),
            batch: dynamodb(json!({"Responses": {"products": products[..BATCH]}, "UnprocessedKeys": {}})),
            // Without the message's digest: the SDK for Rust doesn't compare it.
            sent: dynamodb(json!({"MessageId": "5fea7756-0ea4-451a-a703-a558b933e274"})),
            put: answer(
                "200 OK",
                &[("etag", "\"0\""), ("x-amz-request-id", "0A49CE4060975EAC"), ("x-amz-id-2", "bench")],
                b"",
            ),
            object: ok("application/json", &json!({})),
            unknown: answer(
                "400 Bad Request",
                &[("content-type", "application/x-amz-json-1.0")],
                br#"{"__type":"UnknownOperationException","message":"the benchmark's backend has no such operation"}"#,
            ),
            projected: Mutex::default(),
        }
    }

    fn to(&self, request: &Request, has_products: bool) -> Cow<'_, [u8]> {
        let whole = self.whole(request, has_products);
        let text = std::str::from_utf8(&request.body).unwrap_or_default();
        let Some((_, rest)) = text.split_once("\"ProjectionExpression\":\"") else { return Cow::Borrowed(whole) };
        let key = Projected {
            whole: whole.as_ptr().addr(),
            expression: rest.split('"').next().unwrap_or_default().to_owned(),
            placeholders: placeholders(text),
        };
        let mut projected = self.projected.lock().unwrap_or_else(PoisonError::into_inner);
        let made = projected.entry(key);
        Cow::Owned(
            made.or_insert_with(|| project(whole, &request.body).unwrap_or_else(|| self.unknown.clone())).clone(),
        )
    }

    /// The response with all attributes of its items.
    fn whole(&self, request: &Request, has_products: bool) -> &[u8] {
        let Some(target) = &request.target else {
            return match request.method.as_str() {
                "PUT" => &self.put,
                "GET" => &self.object,
                _ => &self.unknown,
            };
        };
        match target.rsplit('.').next().unwrap_or_default() {
            "GetItem" if has_products => self.item(&request.body),
            "GetItem" | "PutItem" | "TransactWriteItems" => &self.nothing,
            "BatchGetItem" if has_products => &self.batch,
            "Query" => self.page(&request.body).unwrap_or(&self.unknown),
            "SendMessage" => &self.sent,
            _ => &self.unknown,
        }
    }

    fn item(&self, request: &[u8]) -> &[u8] {
        let text = std::str::from_utf8(request).unwrap_or_default();
        match () {
            () if text.contains("\"EVENT#") => &self.entry,
            () if text.contains("\"SKU#") => &self.claim,
            () => &self.product,
        }
    }

    /// The first rows of an index or of a product's journal, as many as the query's limit. A second query, from a row on,
    /// isn't supported and fails the measurement.
    fn page(&self, query: &[u8]) -> Option<&[u8]> {
        let text = std::str::from_utf8(query).ok()?;
        let pages = match () {
            () if text.contains("\"ProductsByChangeIndex\"") => &self.feed,
            () if text.contains("\"IndexName\"") => &self.products,
            () => &self.journal,
        };
        if text.contains("\"IndexName\"") && text.contains(ID_START) {
            return None;
        }
        let limit = number_after(text, "\"Limit\":")?.min(pages.len());
        pages.get(limit.checked_sub(1)?).map(Vec::as_slice)
    }
}

fn ok(content_type: &str, body: &Value) -> Vec<u8> {
    let id = "2UHEPDPM2A9R1CB2JVGB6LQQ3RVV4KQNSO5AEMVJF66Q9ASUAAJG";
    answer("200 OK", &[("content-type", content_type), ("x-amzn-requestid", id)], body.to_string().as_bytes())
}

/// A response whose items have only the attributes that the request's projection names.
fn project(response: &[u8], request: &[u8]) -> Option<Vec<u8>> {
    let request: Value = serde_json::from_slice(request).ok()?;
    let of_table = || request["RequestItems"].as_object()?.values().next();
    let projection = if request["ProjectionExpression"].is_string() { &request } else { of_table()? };
    let name = |placeholder: &str| {
        let placeholder = placeholder.trim();
        projection["ExpressionAttributeNames"][placeholder].as_str().unwrap_or(placeholder).to_owned()
    };
    let names: BTreeSet<String> = projection["ProjectionExpression"].as_str()?.split(',').map(name).collect();
    let head = response.windows(4).position(|window| window == b"\r\n\r\n")?;
    let mut body: Value = serde_json::from_slice(&response[head + 4..]).ok()?;
    let Value::Object(members) = &mut body else { return None };
    for (name, member) in members {
        let items: Vec<&mut Value> = match (name.as_str(), member) {
            ("Item", item) => vec![item],
            ("Items", Value::Array(items)) => items.iter_mut().collect(),
            ("Responses", Value::Object(tables)) => {
                tables.values_mut().filter_map(Value::as_array_mut).flatten().collect()
            }
            _ => vec![],
        };
        for item in items.into_iter().filter_map(Value::as_object_mut) {
            item.retain(|name, _| names.contains(name));
        }
    }
    Some(ok("application/x-amz-json-1.0", &body))
}

/// What the placeholders of a request stand for, sorted, since a request has them in another order each time.
fn placeholders(request: &str) -> Vec<String> {
    let names = request.split_once("\"ExpressionAttributeNames\":{").and_then(|(_, rest)| rest.split('}').next());
    let mut names: Vec<String> = names.unwrap_or_default().split(',').map(str::to_owned).collect();
    names.sort_unstable();
    names
}

/// The number that follows `mark`.
fn number_after(text: &str, mark: &str) -> Option<usize> {
    let (_, rest) = text.split_once(mark)?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn id(number: usize) -> String {
    format!("{ID_START}{number:012}")
}

fn item(number: usize) -> Value {
    items::product(&id(number), number, 1_999 + number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::time::Instant;

    fn request(target: &str, body: &str) -> Request {
        Request {
            method: "POST".to_owned(),
            path: "/".to_owned(),
            target: Some(target.to_owned()),
            body: body.as_bytes().to_vec(),
            read_at: Instant::now(),
        }
    }

    #[test]
    fn responds_to_each_call() {
        let answers = Answers::new();
        let text = |target: &str, body: &str, has_products: bool| {
            String::from_utf8_lossy(&answers.to(&request(target, body), has_products)).into_owned()
        };
        assert!(text("DynamoDB_20120810.GetItem", "{}", true).contains(PRODUCT_ID));
        assert!(text("DynamoDB_20120810.GetItem", "{}", false).ends_with("\r\n\r\n{}"));
        let get =
            |key: &str| text("DynamoDB_20120810.GetItem", &format!(r#"{{"Key":{{"SK":{{"S":"{key}"}}}}}}"#), true);
        assert!(get("EVENT#1").contains("prevHash") && get("SKU#A").contains("CLAIM"));
        let query = |index: &str, limit: usize, first: &str| {
            let body = format!(r#"{{{index}"Values":{{":first":{{"S":"{first}"}}}},"Limit":{limit}}}"#);
            text("DynamoDB_20120810.Query", &body, true)
        };
        for index in [r#""IndexName":"ProductsByPriceIndex","#, r#""IndexName":"ProductsByChangeIndex","#, ""] {
            let page = query(index, 11, "A");
            assert!(page.contains("\"Count\":11") && page.contains("LastEvaluatedKey"), "{page}");
            assert!(!query(index, PRODUCTS, "A").contains("LastEvaluatedKey"));
        }
        let second = query(r#""IndexName":"ProductsByPriceIndex","#, 11, &format!("EUR#{}", id(3)));
        assert!(second.starts_with("HTTP/1.1 400"), "{second}");
        assert!(text("DynamoDB_20120810.BatchGetItem", "{}", true).contains("Responses"));
        assert!(text("AmazonSQS.SendMessage", "{}", true).contains("MessageId"));
        assert!(text("DynamoDB_20120810.Scan", "{}", true).starts_with("HTTP/1.1 400"));
        assert!(text("DynamoDB_20120810.Query", "{}", true).starts_with("HTTP/1.1 400"));
    }

    #[test]
    fn returns_projected_attributes_only() {
        let answers = Answers::new();
        let text =
            |target: &str, body: &str| String::from_utf8_lossy(&answers.to(&request(target, body), true)).into_owned();
        let projection = r##""ProjectionExpression":"#name, version","ExpressionAttributeNames":{"#name":"name"}"##;
        let bodies = [
            ("DynamoDB_20120810.GetItem", format!("{{{projection}}}")),
            ("DynamoDB_20120810.Query", format!(r#"{{"IndexName":"ProductsByPriceIndex",{projection},"Limit":3}}"#)),
            ("DynamoDB_20120810.BatchGetItem", format!(r#"{{"RequestItems":{{"products":{{{projection}}}}}}}"#)),
        ];
        for (target, body) in &bodies {
            let (first, second) = (text(target, body), text(target, body));
            assert!(first.contains("\"name\"") && first.contains("\"version\""), "{first}");
            assert!(!first.contains("priceMinor"), "{first}");
            assert_eq!(first, second);
        }
        let names = |names: &str| {
            format!(
                r##"{{"IndexName":"I","ProjectionExpression":"#a,#b","ExpressionAttributeNames":{{{names}}},"Limit":3}}"##
            )
        };
        for body in [names(r##""#a":"name","#b":"version""##), names(r##""#b":"version","#a":"name""##)] {
            text("DynamoDB_20120810.Query", &body);
        }
        assert_eq!(answers.projected.lock().unwrap().len(), bodies.len() + 1, "a response was made twice");
        // The same expression for another index stands for other attributes.
        let other = text("DynamoDB_20120810.Query", &names(r##""#a":"PK","#b":"SK""##));
        assert!(other.contains("\"PK\"") && !other.contains("\"name\""), "{other}");
    }

    #[test]
    fn calls_are_counted() {
        let delay = Duration::from_millis(30);
        let backend = Backend::start(None, Behaviour { delay, has_products: true }).unwrap();
        let address = backend.server.address();
        let call = move || {
            let mut stream = TcpStream::connect(address).unwrap();
            let head = "POST / HTTP/1.1\r\nx-amz-target: DynamoDB_20120810.GetItem\r\ncontent-length: 2\r\n\r\n{}";
            stream.write_all(head.as_bytes()).unwrap();
            let mut buffer = [0; 4096];
            assert!(stream.read(&mut buffer).unwrap() > 0);
        };
        let threads = [thread::spawn(call), thread::spawn(call), thread::spawn(call)];
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let calls = backend.take_calls();
        assert_eq!(calls.count, 3);
        assert!((1..=3).contains(&calls.at_once));
        assert_eq!(backend.take_calls(), Calls { count: 0, at_once: 0 });
    }

    #[test]
    fn writes_authority_file() {
        let tls = Tls::new().unwrap();
        let pem = std::fs::read_to_string(tls.authority()).unwrap();
        assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"), "{pem}");
        assert!(std::fs::read_to_string(tls.roots()).unwrap().ends_with(&pem));
        let backend = Backend::start(Some(&tls), Behaviour::default()).unwrap();
        assert!(backend.url().starts_with("https://localhost:"), "{}", backend.url());
    }
}
