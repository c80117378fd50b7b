//! API keys on a running stack: in a rotation two keys overlap, the old one is disabled, enabled again, and deleted; a client has
//! a key, a throttle and a name of its own.
//!
//! Run like `operations`, which see; a file of its own because it changes the key that the others call the API with.

mod support;

use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use catalogctl::aws;
use catalogctl::local_stack::StackFile;
use serde_json::{Value, json};
use support::system::{Ended, run_locally};
use tokio::sync::{Mutex, MutexGuard};

/// What `cargo xtask status --json` says of a running stack, as far as these tests need it.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Running {
    #[serde(flatten)]
    facts: StackFile,
}

/// One test at a time: each applies Terraform.
static ALONE: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);

struct Stack {
    running: Running,
    http: reqwest::Client,
    _alone: MutexGuard<'static, ()>,
}

impl Stack {
    async fn new() -> Self {
        let status =
            std::env::var("CATALOGUE_STATUS").expect("CATALOGUE_STATUS must hold a `cargo xtask status --json`");
        Self {
            running: serde_json::from_str(&status).expect("CATALOGUE_STATUS is not a running stack"),
            http: reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap(),
            _alone: ALONE.lock().await,
        }
    }

    async fn run(&self, arguments: &[&str]) -> Ended {
        run_locally(arguments).await
    }

    /// Takes a step, and has Terraform apply what it declares.
    async fn step(&self, step: &str) -> Value {
        self.step_of("default", step).await
    }

    /// The same for another client's key.
    async fn step_of(&self, client: &str, step: &str) -> Value {
        let report = self.rotate(step, &["--client", client, "--apply", "--json"]).await.expect(0).json();
        self.up().await;
        report
    }

    /// Has Terraform apply what is declared.
    async fn up(&self) {
        let variable = |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} must be set"));
        let up = tokio::process::Command::new(variable("CATALOGUE_XTASK"))
            .args(["--stack", &variable("CATALOGUE_STACK"), "up", "--detach"])
            .output()
            .await
            .unwrap();
        assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
    }

    /// A file of variables beside the one that describes the stack.
    fn variables(&self, name: &str) -> PathBuf {
        let stack = std::env::var_os("CATALOGUE_LOCAL").expect("CATALOGUE_LOCAL must name the stack's file");
        PathBuf::from(stack).with_file_name(name)
    }

    async fn rotate(&self, step: &str, arguments: &[&str]) -> Ended {
        self.run(&[&["keys", "rotate", step], arguments].concat()).await
    }

    /// The key that `keys export` writes.
    async fn current(&self) -> String {
        self.current_of("default").await
    }

    /// The same of another client.
    async fn current_of(&self, client: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let exported =
            self.run(&["keys", "export", "--client", client, "--out", file.to_str().unwrap()]).await.expect(0);
        let key = std::fs::read_to_string(&file).unwrap().trim().to_owned();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!key.is_empty() && !exported.stdout.contains(&key) && !exported.stderr.contains(&key));
        key
    }

    /// What a key opens: 200 or 403.
    async fn opens(&self, key: &str) -> u16 {
        let url = format!("{}/products", self.running.facts.api_url);
        self.http.get(url).header("x-api-key", key).send().await.expect("the API answers").status().as_u16()
    }

    async fn expect(&self, key: &str, status: u16) {
        let what = format!("the key opens with {status}");
        eventually(&what, || async { (self.opens(key).await == status).then_some(()) }).await;
    }
}

async fn eventually<T, Ask, Answer>(what: &str, mut ask: Ask) -> T
where
    Ask: FnMut() -> Answer,
    Answer: Future<Output = Option<T>>,
{
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "within ten seconds it did not happen that {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn generations(report: &Value) -> (Value, Value) {
    (report["after"]["key_generations"].clone(), report["after"]["disabled_generations"].clone())
}

#[tokio::test]
async fn rotates_key_without_an_outage() {
    let stack = Stack::new().await;
    let found = stack.rotate("show", &["--json"]).await.expect(0).json();
    let (before, _) = generations(&found);
    let old = before[0].as_u64().unwrap();
    let new = old + 1;
    let first = stack.current().await;
    stack.expect(&first, 200).await;
    let refused = stack.rotate("finish", &["--apply"]).await.expect(1);
    assert!(refused.stderr.contains("`keys rotate begin` first"), "{}", refused.stderr);

    // Looked at, nothing is changed.
    stack.rotate("begin", &[]).await.expect(0);
    assert_eq!(stack.current().await, first);

    assert_eq!(generations(&stack.step("begin").await), (json!([old, new]), json!([])));
    let second = stack.current().await;
    assert_ne!(first, second);
    stack.expect(&first, 200).await;
    stack.expect(&second, 200).await;
    let refused = stack.rotate("remove", &["--apply"]).await.expect(1);
    assert!(refused.stderr.contains("`keys rotate finish` first"), "{}", refused.stderr);

    let finished = stack.step("finish").await;
    assert_eq!(generations(&finished), (json!([old, new]), json!([old])));
    assert!(finished["oldKeyUse"]["unknown"].is_string(), "the emulator counts nothing, and that is said: {finished}");
    stack.expect(&first, 403).await;
    stack.expect(&second, 200).await;
    // Done again, nothing changes.
    let shown = stack.rotate("finish", &["--apply", "--json"]).await.expect(0).json();
    let enabled = |number: usize| &shown["deployed"][number]["enabled"];
    assert_eq!((enabled(0), enabled(1)), (&json!(false), &json!(true)));

    stack.step("reopen").await;
    stack.expect(&first, 200).await;
    stack.step("finish").await;
    stack.expect(&first, 403).await;

    assert_eq!(generations(&stack.step("remove").await), (json!([new]), json!([])));
    stack.expect(&first, 403).await;
    stack.expect(&second, 200).await;
    assert_eq!(stack.current().await, second);
    let shown = stack.rotate("remove", &["--apply", "--json"]).await.expect(0).json();
    assert_eq!(shown["deployed"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn client_has_key_throttle_and_name_of_its_own() {
    let stack = Stack::new().await;
    let default_key = stack.current().await;
    let clients = stack.variables("clients.tfvars.json");
    // One request every two seconds, so that the second of two is refused.
    std::fs::write(&clients, r#"{"clients": {"shop": {"rate_limit": 0.5, "burst_limit": 1}}}"#).unwrap();
    stack.up().await;
    let first = stack.current_of("shop").await;
    assert_ne!(first, default_key);
    stack.expect(&first, 429).await;
    for _ in 0..5 {
        assert_eq!(stack.opens(&default_key).await, 200, "the other client's throttle isn't touched");
    }

    let product = eventually("the client creates a product", || async {
        let url = format!("{}/products", stack.running.facts.api_url);
        let body = json!({"name": "Lamp of a named client", "price": "1.00", "currency": "EUR"});
        let request = stack.http.post(url).header("x-api-key", &first).header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.unwrap().text().await.unwrap();
        let accepted: Value = serde_json::from_str(&answer).unwrap();
        accepted["productId"].as_str().map(str::to_owned)
    })
    .await;

    let (before, _) = generations(&stack.rotate("show", &["--json"]).await.expect(0).json());
    assert_eq!(generations(&stack.step_of("shop", "begin").await), (json!([1, 2]), json!([])));
    let second = stack.current_of("shop").await;
    assert_ne!(first, second);
    stack.expect(&first, 200).await;
    stack.expect(&second, 200).await;
    stack.step_of("shop", "finish").await;
    stack.expect(&first, 403).await;
    stack.expect(&second, 200).await;
    stack.step_of("shop", "remove").await;
    assert_eq!(stack.opens(&default_key).await, 200);
    let (after, _) = generations(&stack.rotate("show", &["--json"]).await.expect(0).json());
    assert_eq!((before, stack.current().await), (after, default_key.clone()));
    let status = stack.run(&["status", "--json"]).await.json();
    let of_shop = |key: &&Value| key["client"] == "shop";
    let keys: Vec<&Value> = status["keys"].as_array().unwrap().iter().filter(of_shop).collect();
    assert_eq!((keys.len(), &keys[0]["generation"], &keys[0]["enabled"]), (1, &json!(2), &json!(true)));

    // The client goes: from `clients`, and from the generations.
    std::fs::remove_file(&clients).unwrap();
    let file = stack.variables("key-generations.tfvars.json");
    let mut declared: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    declared.as_object_mut().unwrap().remove("client_key_generations").unwrap();
    std::fs::write(&file, declared.to_string()).unwrap();
    stack.up().await;
    stack.expect(&second, 403).await;
    assert_eq!(stack.opens(&default_key).await, 200);
    let gone = stack.run(&["keys", "export", "--client", "shop", "--out", "/dev/null"]).await.expect(1);
    assert!(gone.stderr.contains("not found"), "{}", gone.stderr);

    // Its first key was deleted long ago, and the record still shows whose it was.
    let history = eventually("the change is in the audit log", || async {
        let history = stack.run(&["audit", "history", &product]).await;
        (history.code == 0).then_some(history.stdout)
    })
    .await;
    assert!(history.contains("shop ("), "{history}");
    let exported = stack.run(&["audit", "export", "--client", "shop", "--format", "csv"]).await.expect(0).stdout;
    assert!(exported.contains(",shop,") && exported.contains(&product), "{exported}");
    stack.run(&["audit", "verify"]).await.expect(0);
}

#[tokio::test]
async fn configures_state_bucket_on_the_emulator() {
    let stack = Stack::new().await;
    let endpoint = &stack.running.facts.endpoint_url;
    // An earlier run may have left it.
    let s3 = aws::s3(&aws::local(&stack.running.facts).await);
    let _ = s3.delete_bucket().bucket("bbws-terraform-state-sit").send().await;
    let made = support::system::run_alone(endpoint, &["bootstrap", "--env", "sit", "--apply", "--json"]).await;
    assert_eq!(made.expect(0).json()["create"], true);
    support::system::run_alone(endpoint, &["bootstrap", "--env", "sit"]).await.expect(0);
    s3.delete_bucket().bucket("bbws-terraform-state-sit").send().await.unwrap();
}
