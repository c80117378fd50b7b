//! The few calls to a local stack that Terraform does not make.
//!
//! `up` needs seven of them, to three services, and `chaos` and `rehearse` a few more. Their SDK crates would be most of what
//! the first `up` compiles before it can
//! begin, so the requests are made here: signed as AWS wants it, because the emulator checks signatures. What only the
//! tests ask is asked with the AWS CLI, which they need in any case.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use regex_lite::Regex;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::environment::Environment;
use crate::process::External;
use crate::stack::{ACCESS_KEY_ID, ACCOUNT_ID, ENVIRONMENT, REGION, SECRET_ACCESS_KEY};
use crate::terraform::foreign_settings;
use crate::workspace::Workspace;

/// How long the emulator may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How often a deployment is tried again, and for how long: API Gateway allows one in five seconds per account, and the
/// emulator does too. <https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html>
const DEPLOYMENT_RETRY: Duration = Duration::from_secs(1);
const DEPLOYMENT_LIMIT: Duration = Duration::from_secs(30);

/// The statement of a bucket's policy that refuses every object.
const REFUSAL: &str = "Chaos";

/// An alarm's state, and the email that it sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    pub state: String,
    pub description: String,
}

/// The AWS that a local stack plays.
#[derive(Debug, Clone)]
pub struct LocalAws {
    endpoint: String,
    http: reqwest::Client,
}

impl LocalAws {
    pub fn at(endpoint: &str) -> Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(TIMEOUT)
            .build()
            .context("failed to create an HTTP client")?;
        Ok(Self { endpoint: endpoint.to_owned(), http })
    }

    /// Makes the bucket for Terraform's states, unless it is there.
    pub async fn ensure_bucket(&self, bucket: &str) -> Result<()> {
        if self.call("s3", Method::HEAD, &format!("/{bucket}"), &[], "").await?.status().is_success() {
            return Ok(());
        }
        let configuration = format!(
            "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>{REGION}\
             </LocationConstraint></CreateBucketConfiguration>"
        );
        let made = self.call("s3", Method::PUT, &format!("/{bucket}"), &[], &configuration).await?;
        expect_success(made).await.with_context(|| format!("failed to create the bucket {bucket}"))?;
        Ok(())
    }

    /// Deploys the REST API's current methods to the stage. Waits when the last deployment was less than five seconds ago,
    /// at most 30 seconds.
    pub async fn deploy_api(&self, rest_api_id: &str) -> Result<()> {
        let path = format!("/restapis/{rest_api_id}/deployments");
        let deployment = json!({ "stageName": ENVIRONMENT, "description": "cargo xtask" }).to_string();
        let headers = [("content-type", "application/json")];
        let started = Instant::now();
        let made = loop {
            let made = self.call("apigateway", Method::POST, &path, &headers, &deployment).await?;
            if made.status() != StatusCode::TOO_MANY_REQUESTS || started.elapsed() > DEPLOYMENT_LIMIT {
                break made;
            }
            tokio::time::sleep(DEPLOYMENT_RETRY).await;
        };
        expect_success(made)
            .await
            .with_context(|| format!("failed to deploy the API {rest_api_id} to the stage {ENVIRONMENT}"))?;
        Ok(())
    }

    /// Writes each API key into the register in the audit bucket, as scripts/register-keys.sh does after a deployment.
    pub async fn register_keys(&self, audit_bucket: &str) -> Result<()> {
        let prefix = format!("bbws-product-api-{ENVIRONMENT}-");
        let path = format!("/apikeys?limit=500&name={prefix}");
        let found = expect_success(self.call("apigateway", Method::GET, &path, &[], "").await?).await;
        let found: Value = serde_json::from_str(&found.context("failed to list the API keys")?)
            .context("the list of API keys isn't JSON")?;
        for key in found["item"].as_array().into_iter().flatten() {
            let Some((id, entry)) = register_entry(key, &prefix) else { continue };
            let headers = [("content-type", "application/json"), ("if-none-match", "*")];
            let path = format!("/{audit_bucket}/clients/{id}.json");
            let written = self.call("s3", Method::PUT, &path, &headers, &entry.to_string()).await?;
            // 412: registered before.
            if written.status() != StatusCode::PRECONDITION_FAILED {
                expect_success(written).await.with_context(|| format!("failed to register API key {id}"))?;
            }
        }
        Ok(())
    }

    /// Stops the pipe from the table's stream to the events topic.
    pub async fn stop_pipe(&self) -> Result<()> {
        self.order_pipe("stop").await
    }

    /// Starts it again; a running one goes on running.
    pub async fn start_pipe(&self) -> Result<()> {
        self.order_pipe("start").await
    }

    async fn order_pipe(&self, order: &str) -> Result<()> {
        let name = format!("bbws-product-events-{ENVIRONMENT}");
        let answer = self.call("pipes", Method::POST, &format!("/v1/pipes/{name}/{order}"), &[], "").await?;
        expect_success(answer).await.with_context(|| format!("failed to {order} the pipe {name}"))?;
        Ok(())
    }

    /// Has the bucket refuse every new object, whoever writes it.
    pub async fn refuse_objects(&self, bucket: &str) -> Result<()> {
        let mut policy = self.accepting_policy(bucket).await?;
        let refusal = json!({
            "Sid": REFUSAL,
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": format!("arn:aws:s3:::{bucket}/*"),
        });
        policy["Statement"].as_array_mut().context("the bucket's policy has no statements")?.push(refusal);
        self.put_policy(bucket, &policy).await
    }

    /// Takes [`Self::refuse_objects`] back.
    pub async fn accept_objects(&self, bucket: &str) -> Result<()> {
        let policy = self.accepting_policy(bucket).await?;
        self.put_policy(bucket, &policy).await
    }

    /// The bucket's policy without the refusal.
    async fn accepting_policy(&self, bucket: &str) -> Result<Value> {
        let answer = self.call("s3", Method::GET, &format!("/{bucket}?policy"), &[], "").await?;
        let answer = expect_success(answer).await.with_context(|| format!("failed to read the policy of {bucket}"))?;
        let mut policy: Value = serde_json::from_str(&answer).context("the bucket's policy isn't JSON")?;
        if let Some(statements) = policy["Statement"].as_array_mut() {
            statements.retain(|statement| statement["Sid"] != REFUSAL);
        }
        Ok(policy)
    }

    async fn put_policy(&self, bucket: &str, policy: &Value) -> Result<()> {
        let answer = self.call("s3", Method::PUT, &format!("/{bucket}?policy"), &[], &policy.to_string()).await?;
        expect_success(answer).await.with_context(|| format!("failed to set the policy of {bucket}"))?;
        Ok(())
    }

    /// The state of an alarm; `None` if it does not exist.
    pub async fn alarm(&self, name: &str) -> Result<Option<Alarm>> {
        let headers = [
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", "GraniteServiceVersion20100801.DescribeAlarms"),
        ];
        let question = json!({ "AlarmNames": [name] }).to_string();
        let answer = self.call("monitoring", Method::POST, "/", &headers, &question).await?;
        let answer = expect_success(answer).await.with_context(|| format!("failed to read the alarm {name}"))?;
        let answer: Value = serde_json::from_str(&answer).with_context(|| format!("the alarm {name} isn't JSON"))?;
        let member = |field: &str| answer["MetricAlarms"][0][field].as_str().map(str::to_owned);
        Ok(member("StateValue")
            .map(|state| Alarm { state, description: member("AlarmDescription").unwrap_or_default() }))
    }

    /// The current API key's value.
    pub async fn api_key(&self) -> Result<String> {
        let name = format!("bbws/product-api/key-{ENVIRONMENT}");
        let headers =
            [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "secretsmanager.GetSecretValue")];
        let question = json!({ "SecretId": name }).to_string();
        let answer = self.call("secretsmanager", Method::POST, "/", &headers, &question).await?;
        let answer = expect_success(answer).await.with_context(|| format!("failed to read the secret {name}"))?;
        let secret: Value = serde_json::from_str(&answer).with_context(|| format!("the secret {name} isn't JSON"))?;
        match secret["SecretString"].as_str() {
            Some(value) if !value.is_empty() => Ok(value.to_owned()),
            _ => bail!("the secret {name} is empty"),
        }
    }

    /// Whether the emulator still holds what was applied to it. It writes its state when it stops, and a crash can undo what
    /// Terraform's state, written at once, still describes.
    pub async fn holds_stack(&self, rest_api_id: &str, functions: impl Iterator<Item = &str>) -> bool {
        let stage = format!("/restapis/{rest_api_id}/stages/{ENVIRONMENT}");
        let stage = self.call("apigateway", Method::GET, &stage, &[], "").await;
        if !stage.is_ok_and(|answer| answer.status().is_success()) || self.api_key().await.is_err() {
            return false;
        }
        for function in functions {
            // Where the emulator keeps the functions' packages.
            let url = format!("{}/_ministack/lambda-code/{ACCOUNT_ID}/{REGION}/{function}", self.endpoint);
            if !self.http.get(url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return false;
            }
        }
        true
    }

    /// A signed request, with Signature Version 4.
    async fn call(
        &self,
        service: &str,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Response> {
        let url = format!("{}{path}", self.endpoint);
        let identity = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "local stack").into();
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(REGION)
            .name(service)
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .context("failed to sign a request")?;
        let body_bytes = SignableBody::Bytes(body.as_bytes());
        let request = SignableRequest::new(method.as_str(), &url, headers.iter().copied(), body_bytes)
            .context("failed to sign a request")?;
        let (instructions, _) = sign(request, &parameters.into()).context("failed to sign a request")?.into_parts();
        let mut request = self.http.request(method, &url).body(body.to_owned());
        for (name, value) in headers.iter().copied().chain(instructions.headers()) {
            request = request.header(name, value);
        }
        request.send().await.with_context(|| format!("{url} didn't respond"))
    }
}

/// A key's ID and its entry in the register; `None` for another key than Terraform's. Its name ends with CLIENT-GENERATION, or
/// with GENERATION alone for the default client.
fn register_entry<'a>(key: &'a Value, prefix: &str) -> Option<(&'a str, Value)> {
    let (id, end) = (key["id"].as_str()?, key["name"].as_str()?.strip_prefix(prefix)?);
    // The same expression as in scripts/register-keys.sh.
    let form = Regex::new("^(?:(?<client>[a-z](?:[a-z0-9-]{0,28}[a-z0-9])?)-)?(?<generation>[1-9][0-9]*)$")
        .expect("the expression is valid");
    let form = form.captures(end)?;
    let client = form.name("client").map_or("default", |client| client.as_str());
    let generation: u32 = form["generation"].parse().ok()?;
    let entry = json!({"apiKeyId": id, "client": client, "generation": generation, "schemaVersion": 1});
    Some((id, entry))
}

async fn expect_success(answer: Response) -> Result<String> {
    let status: StatusCode = answer.status();
    let body = answer.text().await.context("the response was truncated")?;
    if !status.is_success() {
        bail!("HTTP {status}: {body}");
    }
    Ok(body)
}

/// The AWS CLI on a local stack, answering in JSON.
pub fn cli(workspace: &Workspace, endpoint: &str, log: &Path) -> External {
    External::new(Environment::aws_cli(workspace).program("aws"), log)
        .append()
        .without_env(foreign_settings(std::env::vars_os().map(|(name, _)| name)))
        .env("AWS_REGION", REGION)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("NO_PROXY", "*")
        // Not AWS_ENDPOINT_URL, which version 1 of the CLI does not honour for SQS.
        .args(["--output", "json", "--endpoint-url", endpoint])
}

/// Deletes every version of every object, those under a governance lock too; a bucket that is not there is empty.
pub async fn empty_bucket(workspace: &Workspace, endpoint: &str, bucket: &str, log: &Path) -> Result<()> {
    let aws = |arguments: &[&str]| cli(workspace, endpoint, log).arg("s3api").args(arguments);
    if aws(&["head-bucket", "--bucket", bucket]).finish().await?.code != Some(0) {
        return Ok(());
    }
    loop {
        let listed = aws(&["list-object-versions", "--bucket", bucket, "--max-items", "500"])
            .run(&format!("listing the bucket {bucket}"))
            .await?;
        let doomed = versions(&listed.stdout)?;
        if doomed.is_empty() {
            return Ok(());
        }
        let doomed = json!({ "Objects": doomed, "Quiet": true }).to_string();
        aws(&["delete-objects", "--bucket", bucket, "--bypass-governance-retention", "--delete", &doomed])
            .run(&format!("emptying the bucket {bucket}"))
            .await?;
    }
}

/// Versions and delete markers, as `delete-objects` takes them. The CLI prints nothing for an empty bucket.
fn versions(listed: &str) -> Result<Vec<Value>> {
    if listed.trim().is_empty() {
        return Ok(Vec::new());
    }
    let listed: Value = serde_json::from_str(listed).context("failed to parse the list of a bucket")?;
    let all = ["Versions", "DeleteMarkers"].into_iter().filter_map(|kind| listed[kind].as_array()).flatten();
    Ok(all.map(|one| json!({ "Key": one["Key"], "VersionId": one["VersionId"] })).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_versions_and_delete_markers() {
        let listed = r#"{"Versions": [{"Key": "a", "VersionId": "1", "Size": 2}], "DeleteMarkers": [{"Key": "a", "VersionId": "2"}]}"#;
        assert_eq!(
            versions(listed).unwrap(),
            [json!({"Key": "a", "VersionId": "1"}), json!({"Key": "a", "VersionId": "2"})]
        );
        assert!(versions("\n").unwrap().is_empty() && versions("{}").unwrap().is_empty());
        assert!(versions("An error occurred").is_err());
    }

    /// `scripts/register-keys.sh` is held to the same examples, in `tests/scripts.rs`.
    #[test]
    fn register_entry_is_that_of_the_contract() {
        let entry = |id: &str, name: &str| {
            register_entry(&json!({"id": id, "name": name}), "p-").map(|(_, entry)| entry.to_string())
        };
        let named = include_str!("../../contracts/examples/register-entry/valid/named-client.json");
        let default = include_str!("../../contracts/examples/register-entry/valid/default-client.json");
        let [named, default] =
            [named, default].map(|text| Some(serde_json::from_str::<Value>(text).unwrap().to_string()));
        assert_eq!(entry("a1b2c3d4e5", "p-price-feed-2"), named);
        assert_eq!(entry("f6g7h8i9j0", "p-1"), default);
        for name in ["p-shop", "other-1", "p-0", "p-shop-0", "p-shop-01", "p-shop-+1", "p-Shop-1", "p--1", "p-shop--1"]
        {
            assert_eq!(entry("k", name), None, "{name}");
        }
    }

    /// An AWS that gives these answers, one to a request, and what it was asked.
    async fn answering(answers: &'static [&'static str]) -> (LocalAws, tokio::task::JoinHandle<Vec<String>>) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let aws = LocalAws::at(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let server = tokio::spawn(async move {
            let mut requests = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4_096];
                let length = stream.read(&mut request).await.unwrap();
                let answer = format!("HTTP/1.1 {answer}\r\nConnection: close\r\nContent-Length: 6\r\n\r\nanswer");
                stream.write_all(answer.as_bytes()).await.unwrap();
                requests.push(String::from_utf8_lossy(&request[..length]).to_lowercase());
            }
            requests
        });
        (aws, server)
    }

    #[tokio::test]
    async fn signs_requests_and_reports_refusals() {
        let (aws, server) = answering(&["403 Forbidden"]).await;
        let error = format!("{:#}", aws.deploy_api("abc").await.unwrap_err());
        let [request] = <[String; 1]>::try_from(server.await.unwrap()).unwrap();
        assert!(error.contains("403") && error.contains("answer"), "{error}");
        assert!(request.starts_with("post /restapis/abc/deployments "), "{request}");
        for header in
            ["authorization: aws4-hmac-sha256 credential=test/", "/eu-west-1/apigateway/", "x-amz-content-sha256: "]
        {
            assert!(request.contains(header), "{header}: {request}");
        }
    }

    #[tokio::test]
    async fn waits_for_the_deployment_before() {
        let (aws, server) = answering(&["429 Too Many Requests", "201 Created"]).await;
        aws.deploy_api("abc").await.unwrap();
        assert_eq!(server.await.unwrap().len(), 2);
    }
}
