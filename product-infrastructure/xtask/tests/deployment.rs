//! The pipelines: what the workflows' jobs run, run here, in the same order, as the same scripts, under the roles that AWS
//! would give those jobs, on a running stack that enforces their policies.
//!
//! `cargo xtask test` starts a stack and runs these after all others, because they release to it; `CATALOGUE_STATUS`
//! holds what `cargo xtask status --json` says. By hand, with the AWS CLI and jq on the PATH:
//!
//! ```sh
//! CATALOGUE_STATUS="$(cargo xtask status --json)" \
//!     cargo test --manifest-path product-infrastructure/xtask/Cargo.toml --test deployment
//! ```

mod support;

use std::fs;
use std::sync::RwLock;

use support::pipeline::{Checkout, administrator, append, assume, role, stack};

/// One API, one stage: a test that looks at who deployed last keeps the others from deploying meanwhile.
static STAGE: RwLock<()> = RwLock::new(());

/// Runs the job `plan` and the job `apply` of a release, the second in a checkout of its own, as on another runner.
fn release(repository: &'static str, package: &[u8]) -> (Checkout, support::pipeline::Ended) {
    let plan = Checkout::of(repository).in_github_environment("dev-plan");
    let digest = plan.package(package);
    plan.run("plan.sh", &["release", &digest]).expect_success();
    assert_eq!(plan.output("package_digest"), digest);
    assert!(plan.summary().contains(&digest), "whoever approves is told which package: {}", plan.summary());

    let apply = Checkout::of(repository).in_github_environment("dev");
    carry(&plan, &apply);
    apply.run("verify-digests.sh", &[&digest, &plan.output("plan_digest")]).expect_success();
    let ended = apply.run("apply.sh", &["release"]);
    (apply, ended)
}

/// What the jobs hand over as an artifact.
fn carry(from: &Checkout, to: &Checkout) {
    fs::create_dir_all(to.path("target/package")).unwrap();
    for file in ["bootstrap.zip", "reviewed.tfplan"] {
        let path = format!("target/package/{file}");
        fs::copy(from.path(&path), to.path(&path)).unwrap();
    }
}

#[test]
fn a_release_is_planned_reviewed_applied_tried_and_taken_back() {
    let _others_may_deploy = STAGE.read().unwrap();
    let before = Checkout::of("get-product");
    let (old, program) = (before.live(), before.deployed());

    let (apply, ended) = release("get-product", &program);
    ended.expect_success();
    let new = apply.live();
    assert!(new.parse::<u64>().unwrap() > old.parse::<u64>().unwrap(), "{old} → {new}");
    assert!(apply.summary().contains(&format!("Version {new} of bbws-get-product-dev is live")), "{}", apply.summary());

    // What was approved is what is applied: not one byte of the plan or the package may be another.
    let (package, plan) = (apply.path("target/package/bootstrap.zip"), apply.path("target/package/reviewed.tfplan"));
    let digests = [&package, &plan].map(|path| support::pipeline::sha256(path));
    apply.run("verify-digests.sh", &[&digests[0], &digests[1]]).expect_success();
    append(&plan, "x");
    apply.run("verify-digests.sh", &[&digests[0], &digests[1]]).expect_failure("reviewed.tfplan: FAILED");

    let plan = Checkout::of("get-product").in_github_environment("dev-plan");
    plan.run("plan.sh", &["rollback", "latest"]).expect_failure("A version is a number, not 'latest'");
    plan.run("plan.sh", &["rollback", "4711"]).expect_failure("ResourceNotFoundException");
    plan.run("plan.sh", &["rollback", &old]).expect_success();
    assert!(plan.summary().contains(&format!("`live` goes back to {old}")), "{}", plan.summary());
    let apply = Checkout::of("get-product").in_github_environment("dev");
    carry(&plan, &apply);
    apply.run("apply.sh", &["rollback"]).expect_success();
    assert_eq!(apply.live(), old);
}

#[test]
fn a_package_other_than_the_one_proven_is_not_planned() {
    let plan = Checkout::of("list-products").in_github_environment("dev-plan");
    plan.package(b"one");
    let another = "0".repeat(64);
    plan.run("plan.sh", &["release", &another]).expect_failure(&format!("not {another}"));
    assert!(!plan.path("target/package/reviewed.tfplan").exists());
}

#[test]
fn a_version_that_does_not_start_is_never_called() {
    let _others_may_deploy = STAGE.read().unwrap();
    let before = Checkout::of("create-product").live();
    let (apply, ended) = release("create-product", b"#!/bin/sh\nexit 1\n");
    ended.expect_failure("failed:");
    assert_eq!(apply.live(), before);
    // The old version still answers, over HTTP too.
    apply.run("smoke.sh", &["live"]).expect_success();
}

/// Answers the smoke test's own event as it should, and every call over HTTP with 500.
const GOOD_ONLY_WHEN_TRIED: &str = r#"#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
event=$(mktemp)
while :; do
  id=$(curl --silent --dump-header - --output "$event" "$api/next" | tr -d '\r' \
    | sed -n 's/^[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: *//p')
  status=500
  if grep -q '"requestId": *"smoke-test"' "$event"; then status=404; fi
  curl --silent --output "$event" --data "{\"statusCode\":$status,\"body\":\"{}\"}" "$api/$id/response"
done
"#;

#[test]
fn a_version_that_fails_when_it_is_called_is_taken_back() {
    let _others_may_deploy = STAGE.read().unwrap();
    let before = Checkout::of("delete-product").live();
    let (apply, ended) = release("delete-product", GOOD_ONLY_WHEN_TRIED.as_bytes());
    let ended = ended.expect_failure("The release failed. Going back to version");
    assert!(ended.said.contains("answered 500"), "it was live, and failed: {}", ended.said);
    assert_eq!(apply.live(), before);
    apply.run("smoke.sh", &["live"]).expect_success();
}

#[test]
fn of_two_that_publish_the_api_at_once_neither_takes_the_others_methods_away() {
    let _nobody_else_deploys = STAGE.write().unwrap();
    let checkouts = ["get-product", "list-products"].map(|repository| {
        let checkout = Checkout::of(repository).in_github_environment("dev");
        fs::create_dir_all(checkout.path("target/package")).unwrap();
        let backend = "-backend-config=environments/dev.s3.tfbackend";
        checkout.terraform("terraform", &["init", "-input=false", backend]).expect_success();
        checkout
    });
    let api = stack().facts.rest_api_id;
    let stage = || {
        let stage = administrator(&["apigateway", "get-stage", "--rest-api-id", &api, "--stage-name", "dev"]).unwrap();
        stage["deploymentId"].as_str().unwrap().to_owned()
    };
    let before = stage();

    std::thread::scope(|scope| {
        for checkout in &checkouts {
            scope.spawn(|| checkout.run("deploy-api.sh", &["create"]).expect_success());
        }
    });
    let served = stage();
    assert_ne!(served, before);
    let deployment =
        administrator(&["apigateway", "get-deployment", "--rest-api-id", &api, "--deployment-id", &served]).unwrap();
    let methods = |path: &str| deployment["apiSummary"][path].as_object().map(|methods| methods.contains_key("GET"));
    for path in ["/v1.0/products", "/v1.0/products/{productId}"] {
        assert_eq!(methods(path), Some(true), "{path} of {deployment:#}");
    }
    let dates = administrator(&["apigateway", "get-deployments", "--rest-api-id", &api]).unwrap();
    let newest = dates["items"].as_array().unwrap().iter().max_by(|a, b| {
        let date = |deployment: &serde_json::Value| deployment["createdDate"].to_string();
        date(a).cmp(&date(b))
    });
    assert_eq!(newest.unwrap()["id"], served.as_str(), "the newest snapshot must stay: {dates:#}");

    // Whoever made another deployment than the one that is served leaves the stage as it is when it goes back …
    let made = |checkout: &Checkout| fs::read_to_string(checkout.path("target/package/made-deployment")).unwrap();
    let (mine, other) = if made(&checkouts[0]).trim() == served {
        (&checkouts[0], &checkouts[1])
    } else {
        (&checkouts[1], &checkouts[0])
    };
    let said = other.run("deploy-api.sh", &["restore"]).expect_success().said;
    assert!(said.contains("Somebody else has deployed the API since"), "{said}");
    assert_eq!(stage(), served);
    // … and whoever made it takes it back.
    mine.run("deploy-api.sh", &["restore"]).expect_success();
    assert_ne!(stage(), served);
    mine.run("deploy-api.sh", &["create"]).expect_success();
}

#[test]
fn a_function_before_its_infrastructure_is_told_so_in_one_sentence() {
    let checkout = Checkout::of("get-product");
    let digest = checkout.package(b"x");
    let said = checkout
        .run_with("plan.sh", &["release", &digest], &[("ENVIRONMENT", "sit")])
        .expect_failure("There is no infrastructure in sit")
        .said;
    assert!(said.contains("deploy product-infrastructure to sit first") && !said.contains("Error:"), "{said}");
}

#[test]
fn the_infrastructure_is_planned_and_applied_by_its_own_roles() {
    let _others_may_deploy = STAGE.read().unwrap();
    let key = stack().api_key;
    for root in ["shared", "api-keys"] {
        let plan = Checkout::of("product-infrastructure").in_github_environment("dev-plan");
        plan.run("plan.sh", &[root]).expect_success();
        let digest = plan.output("digest");

        let apply = Checkout::of("product-infrastructure").in_github_environment("dev");
        fs::create_dir_all(apply.path("target/deployment")).unwrap();
        for file in fs::read_dir(plan.path("target/deployment")).unwrap() {
            let file = file.unwrap();
            let content = fs::read(file.path()).unwrap();
            assert!(
                !content.windows(key.len()).any(|window| window == key.as_bytes()),
                "{} is handed over and holds the key",
                file.path().display()
            );
            fs::copy(file.path(), apply.path("target/deployment").join(file.file_name())).unwrap();
        }
        assert!(!plan.summary().contains(&key), "the key is in the summary");

        apply.run("apply.sh", &[root, &"0".repeat(64)]).expect_failure("FAILED");
        let said = apply.run("apply.sh", &[root, &digest]).expect_success().said;
        assert!(said.contains("Apply complete!") && !said.contains(&key), "{said}");
    }
}

#[test]
fn only_a_repositorys_own_jobs_get_its_roles() {
    let apply = role("get-product", "apply");
    assume(&apply, "repo:example-shop/get-product:environment:dev").unwrap();
    for subject in [
        // The environment without reviewers, another stage, another repository, a fork, a branch without environment.
        "repo:example-shop/get-product:environment:dev-plan",
        "repo:example-shop/get-product:environment:prod",
        "repo:example-shop/list-products:environment:dev",
        "repo:somebody-else/get-product:environment:dev",
        "repo:example-shop/get-product:ref:refs/heads/main",
    ] {
        let said = assume(&apply, subject).unwrap_err();
        assert!(said.contains("AccessDenied"), "{subject}: {said}");
    }
}

#[test]
fn a_pipeline_can_touch_nothing_but_its_own_function() {
    let job = Checkout::of("get-product").in_github_environment("dev");
    let planning = Checkout::of("get-product").in_github_environment("dev-plan");
    let denied = |job: &Checkout, arguments: &[&str]| {
        let said = job.aws(arguments).expect_err(&format!("{arguments:?} must be denied"));
        assert!(said.contains("AccessDenied") || said.contains("not authorized"), "{arguments:?}: {said}");
    };
    let state = "product-infrastructure/api-keys/terraform.tfstate";
    denied(&job, &["s3api", "get-object", "--bucket", "bbws-terraform-state-dev", "--key", state, "/dev/null"]);
    denied(&job, &["dynamodb", "scan", "--table-name", "products"]);
    denied(&job, &["s3api", "list-objects-v2", "--bucket", "bbws-product-audit-logs-dev"]);
    let sibling = ["--function-name", "bbws-list-products-dev"];
    denied(&job, &["lambda", "update-alias", sibling[0], sibling[1], "--name", "live", "--function-version", "1"]);
    denied(&job, &["lambda", "delete-function", sibling[0], sibling[1]]);
    // A role without the boundary could do whatever the repository writes into its policy.
    let trust = r#"{"Version":"2012-10-17","Statement":[]}"#;
    let new_role =
        ["iam", "create-role", "--role-name", "bbws-get-product-dev", "--assume-role-policy-document", trust];
    denied(&job, &new_role);
    let administrator_policy = "arn:aws:iam::aws:policy/AdministratorAccess";
    let own = ["--role-name", "bbws-get-product-dev"];
    denied(&job, &["iam", "attach-role-policy", own[0], own[1], "--policy-arn", administrator_policy]);
    // Its own rights are not its to change.
    let deploy = ["--role-name", "bbws-deploy-get-product-dev"];
    denied(&job, &["iam", "put-role-policy", deploy[0], deploy[1], "--policy-name", "x", "--policy-document", trust]);
    // Who plans reads.
    let own = ["--function-name", "bbws-get-product-dev"];
    denied(&planning, &["lambda", "update-alias", own[0], own[1], "--name", "live", "--function-version", "1"]);
    let secret = ["secretsmanager", "get-secret-value", "--secret-id", "bbws/product-api/key-dev"];
    denied(&planning, &secret);
    job.aws(&secret).expect("the smoke test reads the key");
}

/// Answers as GitHub's API would, with the artifacts in a file beside it.
const GH: &str = r#"#!/usr/bin/env bash
set -euo pipefail
folder=$(dirname "$0")
for argument; do
  case $argument in
    repos/*artifacts*name=*) name=${argument##*name=} ;;
    repos/*artifacts*) name= ;;
    repos/*) exec jq --raw-output .default_branch <<< '{"default_branch": "main"}' ;;
  esac
  expression=$argument
done
jq --arg name "$name" '{artifacts: [.[] | select($name == "" or .name == $name)]}' "$folder/artifacts.json" \
  | jq --raw-output "$expression"
"#;

/// An artifact of run `run`: expired or not, of that branch, built by this repository or by a fork.
fn artifact(name: &str, run: u64, expired: bool, branch: &str, fork: bool) -> serde_json::Value {
    serde_json::json!({
        "name": name, "expired": expired, "created_at": format!("2026-01-{run:02}T00:00:00Z"),
        "workflow_run": {
            "id": run, "head_sha": format!("commit{run}"), "head_branch": branch,
            "repository_id": 1, "head_repository_id": if fork { 2 } else { 1 },
        },
    })
}

#[test]
fn only_a_package_of_the_default_branch_that_was_proven_before_is_promoted() {
    let checkout = Checkout::of("get-product");
    let [good, foreign, unproven, old] = ["a", "b", "c", "d"].map(|digit| digit.repeat(64));
    let artifacts = [
        artifact(&format!("package-{good}"), 3, false, "main", false),
        artifact(&format!("package-{good}"), 9, false, "main", true),
        artifact(&format!("proven-in-sit-{good}"), 4, false, "main", false),
        artifact(&format!("package-{foreign}"), 5, false, "main", true),
        artifact(&format!("package-{foreign}"), 6, false, "feature", false),
        artifact(&format!("proven-in-sit-{foreign}"), 6, false, "main", false),
        artifact(&format!("package-{unproven}"), 7, false, "main", false),
        artifact(&format!("proven-in-sit-{unproven}"), 7, false, "feature", false),
        artifact(&format!("package-{old}"), 1, true, "main", false),
        artifact(&format!("proven-in-sit-{old}"), 2, false, "main", false),
    ];
    let gh = checkout.program("gh", GH);
    fs::write(gh.with_file_name("artifacts.json"), serde_json::to_vec(&artifacts).unwrap()).unwrap();

    let find = |digest: &str| {
        let variables = [("GITHUB_REPOSITORY", "example-shop/get-product"), ("DIGEST", digest), ("PROVEN_IN", "sit")];
        checkout.run_with("find-package.sh", &["release"], &variables)
    };
    assert_eq!(find(&good).expect_success().said, "run_id=3\ncommit=commit3\n");
    find(&foreign).expect_failure("was not built on main");
    find(&unproven).expect_failure("has not been released to sit from main");
    find(&old).expect_failure("was not built on main in the last 90 days");
    find("latest").expect_failure("A digest is 64 lower-case hex digits");

    let last = |environment: &str| {
        let variables = [("GITHUB_REPOSITORY", "example-shop/get-product"), ("ENVIRONMENT", environment)];
        checkout.run_with("find-package.sh", &["rollback"], &variables).said
    };
    // In sit the newest is one whose package is from elsewhere: what cannot be had is said, not replaced by another.
    assert!(last("sit").contains("was not built on main"), "{}", last("sit"));
    assert_eq!(last("prod"), "");
}
