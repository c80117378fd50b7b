//! The scripts that need no stack: those that set up GitHub, split the tree and release `catalogctl`, with stand-ins for the
//! programs that would reach the network. The scripts of a deployment are tested on a stack, in `deployment.rs`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

const REPOSITORIES: [&str; 8] = [
    "audit-logger",
    "create-product",
    "delete-product",
    "get-product",
    "list-products",
    "product-creator",
    "product-infrastructure",
    "update-product",
];

/// How a script ended, and what it printed on both streams.
struct Ended {
    code: Option<i32>,
    said: String,
}

/// A folder with this repository's scripts, and stand-ins that are found before the machine's programs.
struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let scripts = folder.path().join("product-infrastructure/scripts");
        fs::create_dir_all(&scripts).unwrap();
        for file in fs::read_dir(repository.join("scripts")).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), scripts.join(file.file_name())).unwrap();
        }
        Self { folder }
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    fn write(&self, relative: &str, content: &str) -> PathBuf {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// A stand-in for a program. Each call is a line of `calls`: its arguments, then what it reads if it is to read.
    fn program(&self, name: &str, script: &str) {
        let path =
            self.write(&format!("programs/{name}"), &format!("#!/usr/bin/env bash\nset -euo pipefail\n{script}"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(&self, script: &str, arguments: &[&str]) -> Ended {
        self.run_with(script, arguments, &[])
    }

    fn run_with(&self, script: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        let own = std::env::var_os("PATH").unwrap_or_default();
        let path =
            std::env::join_paths([self.path("programs")].into_iter().chain(std::env::split_paths(&own))).unwrap();
        let output = Command::new("bash")
            .arg(self.path(&format!("product-infrastructure/scripts/{script}")))
            .args(arguments)
            .current_dir(self.folder.path())
            .env("PATH", path)
            .env("CALLS", self.path("calls"))
            .env("HOME", self.folder.path())
            .envs(variables.iter().copied())
            .output()
            .expect("bash runs");
        let said = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
        Ended { code: output.status.code(), said }
    }

    fn calls(&self) -> Vec<String> {
        fs::read_to_string(self.path("calls")).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

impl Ended {
    #[track_caller]
    fn expect(self, code: i32, said: &str) -> Self {
        assert!(
            self.code == Some(code) && self.said.contains(said),
            "expected {code} and {said:?}: {:?}\n{}",
            self.code,
            self.said
        );
        self
    }
}

/// GitHub's command-line tool with two accounts and nothing else set up. Reads answer; every change is a line of `calls`.
const GH: &str = r#"
case "$*" in
  "api users/example-shop --jq .id") echo 1001; exit ;;
  "api repos/example-shop/"*" --jq .id") echo "2$(wc -c <<< "$2")$(cksum <<< "$2" | cut -c 1-5)"; exit ;;
  "api orgs/example-shop/teams/deployers --jq .id") echo 77; exit ;;
  *"contents/.github/CODEOWNERS --jq .sha") [[ -n ${EXISTING:-} ]] && echo 0a1b || exit 1; exit ;;
  *"deployment-branch-policies --jq "*) if [[ -n ${EXISTING:-} ]]; then echo 0; else echo null; fi; exit ;;
  *"rulesets --jq "*) if [[ -n ${EXISTING:-} ]]; then echo 42; fi; exit ;;
esac
body=''
if [[ $* == *"--input -"* ]]; then body=$(cat); fi
printf '%s %s\n' "$*" "$body" >> "$CALLS"
"#;

/// Terraform with deploy-roles applied.
fn terraform() -> String {
    let roles = REPOSITORIES.iter().flat_map(|repository| ["plan", "apply"].map(|action| (*repository, action)));
    let variables: serde_json::Map<String, Value> = roles
        .chain([("product-infrastructure", "audit")])
        .map(|(repository, action)| {
            let role = format!("arn:aws:iam::111122223333:role/bbws-deploy-{repository}-{action}");
            let values = json!({ "AWS_ACCOUNT_ID": "111122223333", "AWS_REGION": "eu-west-1", "AWS_ROLE_ARN": role });
            (format!("{repository}/{action}"), values)
        })
        .collect();
    format!(
        "[[ $* == '-chdir=terraform/deploy-roles output -json environment_variables' ]] || exit 1\ncat <<'JSON'\n{}\nJSON\n",
        Value::Object(variables)
    )
}

fn github() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.program("gh", GH);
    sandbox.program("terraform", &terraform());
    sandbox
}

#[test]
fn prints_githubs_ids_as_terraform_variables() {
    let said = github().run("setup-github.sh", &["ids", "example-shop"]).expect(0, "github_owner_id = \"1001\"").said;
    for repository in REPOSITORIES {
        assert!(said.contains(&format!("  {repository} = \"2")), "{repository}: {said}");
    }
}

#[test]
fn a_dry_run_of_the_setup_changes_nothing() {
    let sandbox = github();
    for arguments in [
        &["environments", "example-shop", "dev"][..],
        &["environments", "example-shop", "prod", "--reviewers", "deployers"],
        &["owners", "example-shop", "deployers"],
        &["rules", "example-shop"],
    ] {
        sandbox.run("setup-github.sh", arguments).expect(0, "Dry run: no changes made. Re-run with --apply.");
    }
    assert!(sandbox.calls().is_empty(), "{:?}", sandbox.calls());
}

#[test]
fn sets_up_two_environments_in_each_repository_and_one_for_the_audit() {
    let sandbox = github();
    sandbox.run("setup-github.sh", &["environments", "example-shop", "dev", "--apply"]).expect(0, "");
    let calls = sandbox.calls();
    let of_each = |repository| [(repository, "dev", "apply"), (repository, "dev-plan", "plan")];
    for (repository, name, action) in
        REPOSITORIES.into_iter().flat_map(of_each).chain([("product-infrastructure", "dev-audit", "audit")])
    {
        let environment = format!("repos/example-shop/{repository}/environments/{name}");
        let made =
            calls.iter().any(|call| call.contains(&format!("PUT {environment} ")) && !call.contains("reviewers"));
        let main = calls.iter().any(|call| {
            call.contains(&format!("POST {environment}/deployment-branch-policies"))
                && call.ends_with(r#"{"name":"main"}"#)
        });
        let role = format!(
            "variable set AWS_ROLE_ARN --repo example-shop/{repository} --env {name} --body arn:aws:iam::111122223333:role/bbws-deploy-{repository}-{action} "
        );
        assert!(made && main && calls.contains(&role), "{environment}: {calls:#?}");
    }
    assert_eq!(calls.len(), (8 * 2 + 1) * 5, "an environment, its branch and three variables each");
}

/// The alarms watch what is published, so the cases matter: a finding, none, and no verification.
#[test]
fn publishes_findings_and_nothing_when_verification_fails() {
    let verify = |report: Value, code: i32| {
        let sandbox = Sandbox::new();
        sandbox.write(
            "product-infrastructure/terraform/environments/sit.s3.tfbackend",
            "bucket       = \"bbws-terraform-state-sit-shop\"\nkey          = \"x\"\n",
        );
        let script = format!("echo \"catalogctl $*\" >> \"$CALLS\"\ncat <<'JSON'\n{report}\nJSON\nexit {code}\n");
        sandbox.program("catalogctl", &script);
        sandbox.program("aws", "echo \"aws $*\" >> \"$CALLS\"\n");
        let ended = sandbox.run_with("verify-audit.sh", &[], &[("ENVIRONMENT", "sit"), ("AWS_ROLE", "set")]);
        (ended, sandbox.calls())
    };
    let report = |findings: usize, objects: usize, unread: usize| {
        let integrity = if findings > 0 { "BROKEN" } else { "INTACT" };
        let findings: Vec<_> =
            (0..findings).map(|number| json!({ "object": format!("events/{number}.json") })).collect();
        json!({ "integrity": integrity, "form": "OK", "objects": objects, "digest": "abc", "findings": findings,
            "archived": 0, "locksUnknown": unread, "defaultRetention": {"mode": "GOVERNANCE", "days": 30}, "from": "2026-11-22", "verifiedAt": "2026-11-29T05:00:00Z" })
    };
    let published = |findings: usize, objects: usize| {
        format!(
            "aws cloudwatch put-metric-data --namespace ProductCatalogue/Audit --metric-data \
             MetricName=Findings,Unit=Count,Value={findings} MetricName=VerifiedRecords,Unit=Count,Value={objects}"
        )
    };

    let (ended, calls) = verify(report(0, 12, 0), 0);
    ended.expect(0, "sit: integrity INTACT, form OK, 0 findings, 12 records");
    assert!(
        calls[0].starts_with("catalogctl audit verify --env sit --bucket bbws-product-audit-logs-sit-shop --from 2")
    );
    assert_eq!(calls[1..], [published(0, 12)]);
    // No change in 7 days: catalogctl reports an incomplete verification.
    let (ended, calls) = verify(report(0, 0, 0), 2);
    ended.expect(0, "0 records");
    assert_eq!(calls[1..], [published(0, 0)]);

    let (ended, calls) = verify(report(2, 12, 0), 2);
    let said = ended.expect(2, "::error::The audit log of sit has 2 findings").said;
    assert!(!said.contains("events/"), "a run's log has more readers than the bucket: {said}");
    assert_eq!(calls[1..], [published(2, 12)]);

    let (ended, calls) = verify(json!({}), 1);
    ended.expect(1, "::error::The audit log of sit wasn't verified: catalogctl ended with 1.");
    assert_eq!(calls.len(), 1, "nothing is published: {calls:?}");
    let (ended, calls) = verify(report(0, 12, 3), 0);
    ended.expect(1, "3 records or locks couldn't be read");
    assert_eq!(calls.len(), 1, "nothing is published: {calls:?}");
    let mut without_default = report(0, 12, 0);
    without_default["defaultRetention"] = json!("UNKNOWN");
    let (ended, calls) = verify(without_default, 0);
    ended.expect(1, "1 records or locks couldn't be read");
    assert_eq!(calls.len(), 1, "nothing is published: {calls:?}");
}

/// An entry of `contracts/examples/register-entry`.
fn register_example(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/examples/register-entry");
    serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap()
}

/// What register-keys.sh does in sit when API Gateway has these keys and the bucket these objects. Each put is a call: the
/// arguments up to the file, then what the file holds.
fn register_keys(mode: &str, keys: &[(&str, &str)], registered: &Value) -> (Ended, Vec<String>) {
    let sandbox = Sandbox::new();
    sandbox.write(
        "product-infrastructure/terraform/environments/sit.s3.tfbackend",
        "bucket       = \"bbws-terraform-state-sit-shop\"\n",
    );
    sandbox.program(
        "aws",
        r#"
case "$1 $2" in
  "apigateway get-api-keys") echo "$KEYS" ;;
  "s3api list-objects-v2") echo "$REGISTERED" ;;
  "s3api put-object")
    [[ $* == *"--checksum-algorithm SHA256 --if-none-match *" ]]
    echo "$4 $6 $(cat "$8")" >> "$CALLS" ;;
  *) exit 1 ;;
esac
"#,
    );
    let keys = keys.iter().map(|(id, end)| json!([id, format!("bbws-product-api-sit-{end}")])).collect::<Value>();
    let variables = [("ENVIRONMENT", "sit"), ("KEYS", &keys.to_string()), ("REGISTERED", &registered.to_string())];
    let ended = sandbox.run_with("register-keys.sh", &[mode], &variables);
    (ended, sandbox.calls())
}

#[test]
fn registers_keys_as_the_contract_says() {
    let keys = [("a1b2c3d4e5", "price-feed-2"), ("f6g7h8i9j0", "1")];
    let (ended, calls) = register_keys("write", &keys, &Value::Null);
    ended.expect(0, "Registered API key a1b2c3d4e5 of client price-feed.");
    let puts: Vec<(&str, Value)> = calls
        .iter()
        .map(|call| call.rsplit_once(' ').unwrap())
        .map(|(object, entry)| (object, serde_json::from_str(entry).unwrap()))
        .collect();
    let object = |id: &str| format!("bbws-product-audit-logs-sit-shop clients/{id}.json");
    let (named, default) = (object("a1b2c3d4e5"), object("f6g7h8i9j0"));
    let expected = [
        (named.as_str(), register_example("valid/named-client.json")),
        (default.as_str(), register_example("valid/default-client.json")),
    ];
    assert_eq!(puts, expected);

    let (ended, calls) = register_keys("check", &keys, &json!(["clients/a1b2c3d4e5.json"]));
    ended.expect(1, "API key f6g7h8i9j0 isn't in the register of keys");
    assert_eq!(calls, [""; 0], "a check writes nothing");
    let (ended, calls) = register_keys("write", &keys[..1], &json!(["clients/a1b2c3d4e5.json"]));
    ended.expect(0, "");
    assert_eq!(calls, [""; 0], "an entry is written once");
}

/// Only client and generation come from a key's name, and as strings: the other invalid examples can't reach the script.
#[test]
fn registers_no_key_whose_entry_would_break_the_contract() {
    for example in [
        "client-ends-with-hyphen",
        "client-in-upper-case",
        "client-too-long",
        "client-with-bidi-character",
        "generation-not-whole",
        "generation-zero",
    ] {
        let entry = register_example(&format!("invalid/{example}.json"));
        let end = format!("{}-{}", entry["client"].as_str().unwrap(), entry["generation"]);
        let keys = [("a1b2c3d4e5", end.as_str()), ("f6g7h8i9j0", "1")];
        let (ended, calls) = register_keys("write", &keys, &Value::Null);
        ended.expect(0, "Registered API key f6g7h8i9j0 of client default.");
        assert_eq!(calls.len(), 1, "{example}: {calls:?}");
    }
}

#[test]
fn prod_is_set_up_with_reviewers_only() {
    let sandbox = github();
    sandbox
        .run("setup-github.sh", &["environments", "example-shop", "prod", "--apply"])
        .expect(1, "prod needs --reviewers TEAM");
    assert!(sandbox.calls().is_empty());
    let arguments = ["environments", "example-shop", "prod", "--reviewers", "deployers", "--apply"];
    sandbox.run("setup-github.sh", &arguments).expect(0, "");
    let reviewed: Vec<_> = sandbox.calls().into_iter().filter(|call| call.contains("reviewers")).collect();
    assert_eq!(reviewed.len(), 8, "{reviewed:#?}");
    for call in reviewed {
        let body: Value = serde_json::from_str(&call[call.find('{').unwrap()..]).unwrap();
        assert!(
            call.contains("/environments/prod ") && body["reviewers"] == json!([{ "type": "Team", "id": 77 }]),
            "{call}"
        );
        assert_eq!(body["prevent_self_review"], true, "{call}");
    }
}

#[test]
fn protects_main_by_code_owners_and_the_jobs_of_ci() {
    let sandbox = github();
    sandbox.run("setup-github.sh", &["owners", "example-shop", "deployers", "--apply"]).expect(0, "");
    sandbox.run("setup-github.sh", &["rules", "example-shop", "--apply"]).expect(0, "");
    let calls = sandbox.calls();
    let body = |call: &String| serde_json::from_str::<Value>(&call[call.find('{').unwrap()..]).unwrap();
    let owners: Vec<_> = calls.iter().filter(|call| call.contains("CODEOWNERS")).map(body).collect();
    // `* @example-shop/deployers`
    assert!(
        owners.len() == 8 && owners.iter().all(|body| body["content"] == "KiBAZXhhbXBsZS1zaG9wL2RlcGxveWVycwo="),
        "{owners:#?}"
    );

    let rules: Vec<_> = calls.iter().filter(|call| call.contains("rulesets")).collect();
    assert_eq!(rules.len(), 8);
    for call in rules {
        let rules = body(call)["rules"].as_array().unwrap().clone();
        let parameters = |kind: &str| &rules.iter().find(|rule| rule["type"] == kind).unwrap()["parameters"];
        assert_eq!(parameters("pull_request")["require_code_owner_review"], true);
        let checks = parameters("required_status_checks")["required_status_checks"].as_array().unwrap();
        let mut checks: Vec<_> = checks.iter().map(|check| check["context"].as_str().unwrap().to_owned()).collect();
        checks.sort();
        let workflow = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(".github/workflows/ci.yml");
        if call.contains("product-infrastructure") {
            assert_eq!(
                checks,
                jobs(&fs::read_to_string(workflow).unwrap()),
                "a check that no job reports blocks every merge"
            );
        } else {
            assert_eq!(checks, ["Format, lint, test", "Scripts", "Terraform"]);
        }
    }
}

/// The names of a workflow's jobs, sorted.
fn jobs(workflow: &str) -> Vec<String> {
    let mut names: Vec<_> =
        workflow.lines().filter_map(|line| line.strip_prefix("    name: ")).map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn a_second_setup_changes_what_is_there() {
    let sandbox = github();
    let there = [("EXISTING", "yes")];
    sandbox.run_with("setup-github.sh", &["environments", "example-shop", "dev", "--apply"], &there).expect(0, "");
    assert!(!sandbox.calls().iter().any(|call| call.contains("branch-policies")), "the policy exists already");
    sandbox.run_with("setup-github.sh", &["owners", "example-shop", "deployers", "--apply"], &there).expect(0, "");
    sandbox.run_with("setup-github.sh", &["rules", "example-shop", "--apply"], &there).expect(0, "");
    let calls = sandbox.calls();
    let count = |text: &str| calls.iter().filter(|call| call.contains(text)).count();
    assert_eq!((count("PUT repos/example-shop/get-product/rulesets/42 "), count("POST")), (1, 0), "{calls:#?}");
    assert_eq!(count(r#""sha":"0a1b""#), 8);
}

#[test]
fn a_failed_call_ends_the_setup() {
    let sandbox = github();
    sandbox.program("gh", "[[ $* == *--jq* ]] && exit 0\necho 'gh: Not Found (HTTP 404)' >&2\nexit 1\n");
    sandbox.run("setup-github.sh", &["rules", "example-shop", "--apply"]).expect(1, "HTTP 404");
}

#[test]
fn explains_its_usage() {
    for arguments in [
        &[][..],
        &["ids"],
        &["environments", "example-shop", "production"],
        &["owners", "example-shop", "--apply"],
        &["rules", "example-shop", "--reviewers", "deployers"],
        &["everything", "example-shop"],
    ] {
        github().run("setup-github.sh", arguments).expect(2, "setup-github.sh environments OWNER ENVIRONMENT");
    }
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "init.defaultBranch=main"])
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .output()
        .expect("git runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A tree of eight folders with three commits, and eight empty bare repositories.
fn tree(sandbox: &Sandbox) -> (PathBuf, String) {
    let tree = sandbox.path("tree");
    fs::create_dir_all(&tree).unwrap();
    git(&tree, &["init", "--quiet"]);
    for repository in REPOSITORIES {
        sandbox.write(&format!("tree/{repository}/README.md"), &format!("# {repository}\n"));
        git(sandbox.folder.path(), &["init", "--quiet", "--bare", &format!("remote/{repository}.git")]);
    }
    sandbox.write("tree/README.md", "# All\n");
    git(&tree, &["add", "--all"]);
    git(&tree, &["commit", "--quiet", "--message", "First"]);
    for repository in ["get-product", "audit-logger"] {
        sandbox.write(&format!("tree/{repository}/src/main.rs"), "fn main() {}\n");
        git(&tree, &["add", "--all"]);
        git(&tree, &["commit", "--quiet", "--message", &format!("Change {repository}")]);
    }
    (tree, format!("{}/NAME.git", sandbox.path("remote").display()))
}

#[test]
fn splits_the_tree_into_repositories_with_their_history() {
    let sandbox = Sandbox::new();
    let (tree, target) = tree(&sandbox);
    let remote = |repository: &str| sandbox.path(&format!("remote/{repository}.git"));
    let split = |arguments: &[&str]| {
        let tree = tree.to_str().unwrap();
        sandbox.run("split-repositories.sh", &[&[tree, &target], arguments].concat())
    };
    split(&[]).expect(0, "Dry run: no changes made.");
    assert_eq!(git(&remote("get-product"), &["branch"]), "");

    split(&["--push"]).expect(0, "get-product: 2 commits pushed");
    let log = |repository: &str| git(&remote(repository), &["log", "--format=%s %an", "main"]);
    assert_eq!(log("get-product"), "Change get-product Ada\nFirst Ada");
    assert_eq!(log("list-products"), "First Ada");
    for repository in REPOSITORIES {
        let content = git(&remote(repository), &["rev-parse", "main^{tree}"]);
        assert_eq!(content, git(&tree, &["rev-parse", &format!("HEAD:{repository}")]), "{repository}");
    }

    // Cloned side by side, they are a tree again.
    let source = format!("file://{target}");
    sandbox.run("clone-siblings.sh", &[&source, sandbox.path("again").to_str().unwrap()]).expect(0, "get-product: ");
    for repository in REPOSITORIES {
        let head = |folder: &Path| git(folder, &["rev-parse", "HEAD"]);
        assert_eq!(head(&sandbox.path(&format!("again/{repository}"))), head(&remote(repository)), "{repository}");
    }
    sandbox
        .run("clone-siblings.sh", &[&source, sandbox.path("again").to_str().unwrap()])
        .expect(0, "get-product: there already");
    sandbox.run("clone-siblings.sh", &["somewhere", "."]).expect(2, "clone-siblings.sh SOURCE FOLDER");

    // A repository that holds something already is left alone.
    split(&["--push"]).expect(1, "get-product: skipped");
    sandbox.write("tree/README.md", "# Changed\n");
    split(&[]).expect(1, "has changes that aren't committed");
    split(&["--force"]).expect(2, "split-repositories.sh TREE TARGET [--push]");
}

/// Tools of Rust and Python that write down how they are called. `cargo` makes a file where the build would.
fn toolchain(sandbox: &Sandbox) {
    let note = "printf '%s %s\\n' \"${0##*/}\" \"$*\" >> \"$CALLS\"\n";
    sandbox.program("rustup", note);
    sandbox.program(
        "python3",
        &format!("{note}if [[ $2 == venv ]]; then mkdir -p \"$3/bin\" && cp \"$0\" \"$3/bin/pip\" && ln -sf /usr/bin/env \"$3/bin/python\"; fi\n"),
    );
    let cargo = r#"
if [[ $1 == zigbuild ]]; then
  folder=target/${*: -1}/release
  mkdir -p "$folder"
  echo "binary for ${*: -1}" > "$folder/catalogctl"
fi
if [[ $1 == deny ]]; then exit "${VULNERABLE:-0}"; fi
"#;
    sandbox.program("cargo", &format!("{note}{cargo}"));
}

#[test]
fn packages_catalogctl_for_both_architectures_with_checksums() {
    let sandbox = Sandbox::new();
    toolchain(&sandbox);
    let said = sandbox.run("package-catalogctl.sh", &[]).expect(0, "catalogctl-linux-aarch64").said;
    let sums = fs::read_to_string(sandbox.path("product-infrastructure/target/catalogctl/SHA256SUMS")).unwrap();
    assert!(said.contains(&sums) && sums.lines().count() == 2, "{said}\n{sums}");
    sandbox.run("package-catalogctl.sh", &["riscv64"]).expect(2, "unknown architecture riscv64");
}

#[test]
fn fails_when_a_dependency_has_a_vulnerability() {
    let sandbox = Sandbox::new();
    toolchain(&sandbox);
    sandbox.run("install-tools.sh", &["advisories"]).expect(0, "");
    sandbox.run("install-tools.sh", &[]).expect(2, "usage");
    sandbox.run("check-advisories.sh", &[]).expect(0, "");
    sandbox.run_with("check-advisories.sh", &[], &[("VULNERABLE", "1")]).expect(1, "");
    let calls = sandbox.calls();
    assert!(calls.iter().any(|call| call.starts_with("cargo install cargo-deny --locked --version ")), "{calls:?}");
    assert!(calls.iter().any(|call| call.contains("check advisories")), "{calls:?}");
}

#[test]
fn a_release_of_catalogctl_needs_the_tag_of_its_version() {
    let sandbox = Sandbox::new();
    sandbox.program(
        "cargo",
        r#"echo '{"packages": [{"name": "xtask", "version": "9.9.9"}, {"name": "catalogctl", "version": "1.2.3"}]}'"#,
    );
    let check = |tag: &str| sandbox.run_with("check-release-tag.sh", &[], &[("GITHUB_REF_NAME", tag)]);
    check("catalogctl-v1.2.3").expect(0, "");
    check("catalogctl-v9.9.9").expect(1, "the tag catalogctl-v9.9.9 isn't catalogctl-v1.2.3");
    check("").expect(1, "(none)");
}

#[test]
fn two_builds_in_two_folders_must_be_equal() {
    let sandbox = Sandbox::new();
    let tree = sandbox.folder.path();
    git(tree, &["init", "--quiet"]);
    sandbox.write("get-product/scripts/install-tools.sh", "#!/bin/sh\n");
    sandbox.write("get-product/scripts/package.sh", "#!/bin/sh\necho digest=abc > \"$GITHUB_OUTPUT\"\n");
    for script in ["install-tools.sh", "package.sh"] {
        let path = sandbox.path(&format!("get-product/scripts/{script}"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    git(tree, &["add", "get-product"]);
    sandbox.run("check-reproducible.sh", &[]).expect(0, "get-product: reproducible");
    sandbox.write("get-product/scripts/package.sh", "#!/bin/sh\necho \"digest=$PWD\" > \"$GITHUB_OUTPUT\"\n");
    sandbox.run("check-reproducible.sh", &["get-product"]).expect(1, "the same sources made different packages");
    sandbox.run("check-reproducible.sh", &["nothing"]).expect(2, "nothing has no scripts/package.sh");
}

#[test]
fn checks_format_lints_and_tests_in_order() {
    let sandbox = Sandbox::new();
    toolchain(&sandbox);
    sandbox.run("check.sh", &[]).expect(0, "");
    let called: Vec<_> = sandbox.calls().iter().map(|call| call.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(called, ["fmt", "clippy", "llvm-cov", "llvm-cov", "llvm-cov", "llvm-cov"], "clean, test, show, enforce");
    assert!(sandbox.calls().last().unwrap().contains("--fail-under-lines 80"), "{:?}", sandbox.calls());

    sandbox.program("terraform", "echo \"terraform $*\" >> \"$CALLS\"");
    sandbox.run("check-terraform.sh", &[]).expect(0, "");
    for root in ["terraform", "terraform/api-keys", "terraform/deploy-roles"] {
        assert!(sandbox.calls().contains(&format!("terraform -chdir={root} test")), "{root}: {:?}", sandbox.calls());
    }
}
