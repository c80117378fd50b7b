//! An administrator's commands, on services in this process: bootstrap, key export and key rotation.

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::account::{ACCOUNT, Account, KEY, SHOP_KEY};
use support::system::{Ended, run_in};

/// The file that a rotation writes.
const GENERATIONS: &str = "environments/dev.key-generations.tfvars.json";

/// A folder like `terraform/api-keys`, so that the tests change no committed file.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("environments")).unwrap();
    std::fs::write(folder.path().join("environments/dev.tfvars"), "environment = \"dev\"\n").unwrap();
    folder
}

struct Dev {
    account: Account,
    folder: tempfile::TempDir,
}

impl Dev {
    async fn new() -> Self {
        Self { account: Account::start().await, folder: folder() }
    }

    async fn run(&self, arguments: &[&str]) -> Ended {
        run_in(self.folder.path(), &self.account.endpoint, arguments).await
    }

    async fn rotate(&self, step: &str, arguments: &[&str]) -> Ended {
        self.run(&[&["keys", "--env", "dev", "rotate", step, "--terraform-root", "."], arguments].concat()).await
    }

    /// The key generations and the disabled ones, as the file declares them.
    fn generations(&self) -> Value {
        let json = std::fs::read(self.folder.path().join(GENERATIONS)).unwrap();
        let file: Value = serde_json::from_slice(&json).unwrap();
        json!([file["key_generations"], file["disabled_generations"]])
    }

    /// The generations of the other clients.
    fn client_generations(&self) -> Value {
        let json = std::fs::read(self.folder.path().join(GENERATIONS)).unwrap();
        serde_json::from_slice::<Value>(&json).unwrap()["client_key_generations"].clone()
    }
}

#[tokio::test]
async fn bootstrap_creates_the_state_bucket_once() {
    let dev = Dev::new().await;
    let look = dev.run(&["bootstrap", "--env", "dev"]).await.expect(2);
    assert!(look.stdout.contains("to create in eu-west-1") && look.stdout.contains("Dry run"), "{}", look.stdout);
    assert!(look.stderr.contains(ACCOUNT), "{}", look.stderr);
    assert!(!dev.account.buckets().contains_key("bbws-terraform-state-dev"));

    let made = dev.run(&["bootstrap", "--env", "dev", "--account-id", ACCOUNT, "--apply", "--json"]).await.expect(0);
    assert_eq!((&made.json()["create"], made.json()["settings"].as_array().unwrap().len()), (&json!(true), 6));
    let bucket = dev.account.buckets()["bbws-terraform-state-dev"].clone();
    for (what, said) in [
        ("versioning", "<Status>Enabled</Status>"),
        ("encryption", "<SSEAlgorithm>AES256</SSEAlgorithm>"),
        ("publicAccessBlock", "<RestrictPublicBuckets>true</RestrictPublicBuckets>"),
        ("ownershipControls", "BucketOwnerEnforced"),
        ("lifecycle", "<NoncurrentDays>90</NoncurrentDays>"),
        ("lifecycle", "<DaysAfterInitiation>7</DaysAfterInitiation>"),
        ("policy", "aws:SecureTransport"),
    ] {
        assert!(bucket[what].contains(said), "{what}: {}", bucket[what]);
    }
    let again = dev.run(&["bootstrap", "--env", "dev"]).await.expect(0);
    assert!(again.stdout.contains("no changes needed"), "{}", again.stdout);
}

#[tokio::test]
async fn bootstrap_adds_missing_settings_and_keeps_others() {
    let dev = Dev::new().await;
    dev.run(&["bootstrap", "--env", "sit", "--apply"]).await.expect(0);
    let name = "bbws-terraform-state-sit";
    let statement = json!({"Sid": "Audit", "Effect": "Allow"});
    dev.account.set(name, "policy", &json!({"Version": "2012-10-17", "Statement": [statement]}).to_string());
    let rule = "<Rule><ID>other</ID><Filter><Prefix>x</Prefix></Filter><Status>Enabled</Status>\
                <Expiration><Days>1</Days></Expiration></Rule>";
    dev.account.set(name, "lifecycle", &format!("<LifecycleConfiguration>{rule}</LifecycleConfiguration>"));
    dev.account.set(
        name,
        "versioning",
        "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>",
    );

    let report = dev.run(&["bootstrap", "--env", "sit", "--apply", "--json"]).await.expect(0).json();
    assert_eq!(report["settings"], json!(["versioned", "lifecycle", "tls-only"]));
    let bucket = dev.account.buckets()[name].clone();
    let policy: Value = serde_json::from_str(&bucket["policy"]).unwrap();
    assert_eq!((&policy["Statement"][0], &policy["Statement"][1]["Sid"]), (&statement, &json!("TlsOnly")));
    assert!(bucket["lifecycle"].contains("<ID>other</ID>") && bucket["lifecycle"].contains("<NoncurrentDays>90"));
    dev.run(&["bootstrap", "--env", "sit"]).await.expect(0);
}

#[tokio::test]
async fn bootstrap_rejects_another_account_and_its_bucket() {
    let dev = Dev::new().await;
    let other = dev.run(&["bootstrap", "--env", "dev", "--account-id", "999999999999", "--apply"]).await.expect(1);
    assert!(other.stderr.contains(&format!("belong to account {ACCOUNT}, not to 999999999999")), "{}", other.stderr);
    dev.account.take("bbws-terraform-state-dev");
    let taken = dev.run(&["bootstrap", "--env", "dev", "--apply"]).await.expect(1);
    assert!(taken.stderr.contains("belongs to another account"), "{}", taken.stderr);
    dev.run(&["bootstrap", "--env", "test"]).await.expect(1);
}

#[tokio::test]
async fn key_is_exported_only_to_files_that_git_ignores() {
    let dev = Dev::new().await;
    let exported = dev.run(&["keys", "export", "--env", "dev"]).await.expect(0);
    let file = dev.folder.path().join(".catalogue/api-key-dev");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{KEY}\n"));
    assert!(!exported.stdout.contains(KEY) && !exported.stderr.contains(KEY));
    // Again, over the first.
    let exported = dev.run(&["keys", "export", "--env", "dev", "--json"]).await.expect(0);
    assert_eq!(exported.json()["secret"], "bbws/product-api/key-dev");
    assert!(!exported.stdout.contains(KEY));

    git_init(dev.folder.path());
    let refused = dev.run(&["keys", "export", "--env", "dev"]).await.expect(1);
    assert!(refused.stderr.contains("isn't ignored"), "{}", refused.stderr);
    std::fs::write(dev.folder.path().join(".gitignore"), "/.catalogue/\n").unwrap();
    dev.run(&["keys", "export", "--env", "dev"]).await.expect(0);
    let none = dev.run(&["keys", "export", "--env", "sit"]).await.expect(1);
    assert!(none.stderr.contains("secret bbws/product-api/key-sit failed: not found"), "{}", none.stderr);
}

#[tokio::test]
async fn key_of_a_client_is_exported_to_a_file_of_its_own() {
    let dev = Dev::new().await;
    let exported = dev.run(&["keys", "export", "--env", "dev", "--client", "shop", "--json"]).await.expect(0);
    let file = dev.folder.path().join(".catalogue/api-key-dev-shop");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{SHOP_KEY}\n"));
    assert_eq!(
        (&exported.json()["client"], &exported.json()["secret"]),
        (&json!("shop"), &json!("bbws/product-api/key-dev/shop"))
    );
    assert!(!exported.stdout.contains(SHOP_KEY) && !exported.stderr.contains(SHOP_KEY));
    assert!(!dev.folder.path().join(".catalogue/api-key-dev").exists());
    let unknown = dev.run(&["keys", "export", "--env", "dev", "--client", "other"]).await.expect(1);
    assert!(unknown.stderr.contains("secret bbws/product-api/key-dev/other failed: not found"), "{}", unknown.stderr);
    let invalid = dev.run(&["keys", "export", "--env", "dev", "--client", "Shop"]).await.expect(1);
    assert!(invalid.stderr.contains("lower-case letters"), "{}", invalid.stderr);
}

fn git_init(folder: &Path) {
    assert!(std::process::Command::new("git").args(["init", "-q"]).current_dir(folder).status().unwrap().success());
}

#[tokio::test]
async fn rotation_on_aws_writes_a_file_and_requires_its_deployment() {
    let dev = Dev::new().await;
    dev.rotate("begin", &[]).await.expect(0);
    assert!(!dev.folder.path().join(GENERATIONS).exists(), "a dry run writes nothing");
    let begun = dev.rotate("begin", &["--apply"]).await.expect(0);
    assert!(begun.stdout.contains("\"Deploy to DEV\" with root: api-keys"), "{}", begun.stdout);
    assert_eq!(dev.generations(), json!([[1, 2], []]));

    // Written, but not deployed: API Gateway has the first key only.
    dev.account.keys(&[(1, true)], None);
    let early = dev.rotate("finish", &["--apply"]).await.expect(1);
    assert!(early.stderr.contains("deploy `api-keys` to dev first"), "{}", early.stderr);

    // Deployed, but somebody still uses the old key.
    dev.account.keys(&[(1, true), (2, true)], Some(12));
    let used = dev.rotate("finish", &["--apply", "--json"]).await.expect(2).json();
    assert_eq!((&used["stillUsed"], &used["applied"]), (&json!(true), &json!(false)));
    assert_eq!(used["oldKeyUse"]["requests"]["count"], 12);
    assert_eq!(dev.generations(), json!([[1, 2], []]));
    dev.rotate("finish", &["--although-used"]).await.expect(0);

    dev.account.keys(&[(1, true), (2, true)], Some(0));
    let finished = dev.rotate("finish", &["--apply"]).await.expect(0);
    assert!(finished.stdout.contains("used for 0 requests"), "{}", finished.stdout);
    assert_eq!(dev.generations(), json!([[1, 2], [1]]));
    let early = dev.rotate("remove", &["--apply"]).await.expect(1);
    assert!(early.stderr.contains("still enabled in API Gateway"), "{}", early.stderr);

    let shown = dev.rotate("show", &[]).await.expect(0).stdout;
    assert!(shown.contains("The declared generations aren't deployed: deploy `api-keys` to dev first"), "{shown}");

    dev.account.keys(&[(1, false), (2, true)], Some(0));
    let shown = dev.rotate("show", &[]).await.expect(0).stdout;
    assert!(shown.contains("Generation 1 is disabled") && shown.contains("Generation 2 is valid"), "{shown}");
    dev.rotate("remove", &["--apply"]).await.expect(0);
    assert_eq!(dev.generations(), json!([[2], []]));
    let other = dev.run(&["keys", "--env", "dev", "rotate", "begin", "--terraform-root", "other"]).await.expect(1);
    assert!(other.stderr.contains("other isn't the folder terraform/api-keys"), "{}", other.stderr);
    let unnamed = dev.run(&["keys", "--env", "dev", "rotate", "begin"]).await.expect(1);
    assert!(unnamed.stderr.contains("--terraform-root is required"), "{}", unnamed.stderr);
}

#[tokio::test]
async fn rotation_of_a_client_leaves_the_others_alone() {
    let dev = Dev::new().await;
    let shop = |more: &'static [&'static str]| [&["--client", "shop"], more].concat();
    dev.account.keys(&[(1, true)], None);
    dev.account.shop_keys(&[(1, true)], None);
    dev.rotate("begin", &shop(&["--apply"])).await.expect(0);
    assert_eq!(dev.generations(), json!([[1], []]));
    assert_eq!(dev.client_generations(), json!({"shop": {"key_generations": [1, 2], "disabled_generations": []}}));

    // API Gateway has the default client's second key, but not the client's.
    dev.account.keys(&[(1, true), (2, true)], None);
    let early = dev.rotate("finish", &shop(&["--apply"])).await.expect(1);
    assert!(early.stderr.contains("deploy `api-keys` to dev first"), "{}", early.stderr);

    dev.account.shop_keys(&[(1, true), (2, true)], Some(12));
    let used = dev.rotate("finish", &shop(&["--apply", "--json"])).await.expect(2).json();
    assert_eq!((&used["client"], &used["oldKeyUse"]["requests"]["count"]), (&json!("shop"), &json!(12)));
    assert_eq!(used["deployed"].as_array().unwrap().len(), 2, "only the client's keys: {used}");
    dev.account.shop_keys(&[(1, true), (2, true)], Some(0));
    let finished = dev.rotate("finish", &shop(&["--apply"])).await.expect(0).stdout;
    assert!(finished.starts_with("Client: shop\n") && finished.contains("rotate reopen --client shop`"), "{finished}");
    assert_eq!(dev.client_generations()["shop"]["disabled_generations"], json!([1]));

    // The default client's rotation keeps the other's generations.
    dev.rotate("begin", &["--apply"]).await.expect(0);
    assert_eq!(dev.generations(), json!([[1, 2], []]));
    assert_eq!(dev.client_generations()["shop"], json!({"key_generations": [1, 2], "disabled_generations": [1]}));
}
