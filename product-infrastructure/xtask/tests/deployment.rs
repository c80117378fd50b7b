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

use support::pipeline::{Checkout, administrator, append, assume, claims, repository_id, role, stack};

/// One API, one stage: a test that looks at who deployed last keeps the others from deploying meanwhile.
static STAGE: RwLock<()> = RwLock::new(());

/// Runs the job `plan` and the job `apply` of a release, the second in a checkout of its own, as on another runner.
fn release(repository: &'static str, package: &[u8]) -> (Checkout, support::pipeline::Ended) {
    let plan = Checkout::of(repository).in_github_environment("dev-plan");
    let digest = plan.package(package);
    plan.run_with("plan.sh", &["release"], &[("DIGEST", &digest)]).expect_success();
    assert_eq!(plan.output("package_digest"), digest);
    assert!(plan.summary().contains(&digest), "the plan's summary names the package: {}", plan.summary());

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
fn plans_applies_tries_and_rolls_back_a_release() {
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
    let to = |version: &str| plan.run_with("plan.sh", &["rollback"], &[("VERSION", version)]);
    to("latest").expect_failure("A version must be a number, not 'latest'");
    to("4711").expect_failure("ResourceNotFoundException");
    to(&old).expect_success();
    assert!(plan.summary().contains(&format!("`live` moves from {new} to {old}")), "{}", plan.summary());

    // A rollback needs no plan, no package and no state: it works although the state is locked, and nothing is handed over.
    let apply = Checkout::of("get-product").in_github_environment("dev");
    let state = ["--bucket", "bbws-terraform-state-dev", "--key", "get-product/terraform.tfstate.tflock"];
    administrator(&["s3api", "put-object", state[0], state[1], state[2], state[3]]).unwrap();
    apply.run_with("apply.sh", &["rollback"], &[("VERSION", &old)]).expect_success();
    administrator(&["s3api", "delete-object", state[0], state[1], state[2], state[3]]).unwrap();
    assert_eq!(apply.live(), old);
}

#[test]
fn rejects_unproven_package() {
    let plan = Checkout::of("list-products").in_github_environment("dev-plan");
    plan.package(b"one");
    let another = "0".repeat(64);
    plan.run_with("plan.sh", &["release"], &[("DIGEST", &another)]).expect_failure(&format!("expected {another}"));
    assert!(!plan.path("target/package/reviewed.tfplan").exists());
}

#[test]
fn does_not_call_version_that_does_not_start() {
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
fn rolls_back_version_that_fails_when_called() {
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
    assert!(said.contains("Another repository has deployed the API since"), "{said}");
    assert_eq!(stage(), served);
    // … and whoever made it takes it back.
    mine.run("deploy-api.sh", &["restore"]).expect_success();
    assert_ne!(stage(), served);
    mine.run("deploy-api.sh", &["create"]).expect_success();
}

#[test]
fn names_missing_infrastructure() {
    let checkout = Checkout::of("get-product");
    let digest = checkout.package(b"x");
    let said = checkout
        .run_with("plan.sh", &["release"], &[("ENVIRONMENT", "sit"), ("DIGEST", &digest)])
        .expect_failure("Infrastructure of sit not found")
        .said;
    assert!(said.contains("Deploy product-infrastructure to sit first") && !said.contains("Error:"), "{said}");
}

#[test]
fn plans_and_applies_the_infrastructure_with_its_own_roles() {
    let _others_may_deploy = STAGE.read().unwrap();
    let key = stack().api_key;
    for root in ["shared", "api-keys"] {
        let plan = Checkout::of("product-infrastructure").in_github_environment("dev-plan");
        let said = plan.run("plan.sh", &[root]).expect_success().said;
        assert!(!said.contains(&key), "the key is in the log of the plan");
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
    let own = claims("get-product", "dev");
    assume(&apply, &own).unwrap();
    let id = repository_id("get-product");
    let with = |name: &str, value: String| {
        let mut other = own.clone();
        other[name] = value.into();
        other
    };
    for other in [
        // The environment without reviewers, another stage, another repository, a branch without environment.
        claims("get-product", "dev-plan"),
        claims("get-product", "prod"),
        claims("list-products", "dev"),
        with("sub", format!("repo:example-shop@1001/get-product@{id}:ref:refs/heads/main")),
        // A fork; the same names, registered again by someone else; the subject of repositories from before the IDs.
        with("sub", format!("repo:someone-else@1002/get-product@{id}:environment:dev")),
        with("sub", "repo:example-shop@1009/get-product@2999:environment:dev".to_owned()),
        with("sub", "repo:example-shop/get-product:environment:dev".to_owned()),
        with("repository_id", "2999".to_owned()),
        // A branch that a repository's administrator let into the environment.
        with("ref", "refs/heads/feature".to_owned()),
    ] {
        let said = assume(&apply, &other).unwrap_err();
        assert!(said.contains("AccessDenied"), "{other}: {said}");
    }
}

#[test]
fn pipeline_can_change_only_its_own_function() {
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

#[test]
fn promotes_commit_and_package_of_the_last_proven_release_together() {
    let _others_may_deploy = STAGE.read().unwrap();
    let program = Checkout::of("list-products").deployed();
    let (first, ended) = release("list-products", &program);
    ended.expect_success();
    let digest = support::pipeline::sha256(&first.path("target/package/bootstrap.zip"));

    // What another job reads, with the role that reads: no artifact, nothing that expires at GitHub.
    let promote = Checkout::of("list-products").in_github_environment("dev-plan");
    let said = promote.run("release-record.sh", &["read"]).expect_success().said;
    assert!(
        said.contains(&format!("digest={digest}")) && said.contains(&format!("version={}", first.live())),
        "{said}"
    );
    assert_eq!(support::pipeline::sha256(&promote.path("target/package/bootstrap.zip")), digest);

    // A commit that changed Terraform alone has the same package, and isn't proven until it was released itself.
    let record = ["--bucket", "bbws-terraform-state-dev", "--key", "list-products/releases/released.json"];
    let out = promote.path("record.json");
    let out = out.to_str().unwrap();
    administrator(&["s3api", "get-object", record[0], record[1], record[2], record[3], out]).unwrap();
    let released: serde_json::Value = serde_json::from_slice(&fs::read(out).unwrap()).unwrap();
    assert!(released["commit"].is_string() && released["provenAt"].is_string(), "{released}");

    // A package that was replaced is not promoted.
    let package = format!("list-products/releases/{digest}.zip");
    let other = promote.path("other.zip");
    fs::write(&other, "x").unwrap();
    let body = other.to_str().unwrap();
    administrator(&["s3api", "put-object", record[0], record[1], "--key", &package, "--body", body]).unwrap();
    promote.run("release-record.sh", &["read"]).expect_failure(&format!("expected {digest}"));
    first.run("release-record.sh", &["write", &first.live()]).expect_success();

    // The role that reads can't record a release, and no pipeline writes a sibling's.
    let refused = promote.run("release-record.sh", &["write", "1"]).expect_failure("AccessDenied").said;
    assert!(!refused.contains("digest="), "{refused}");
    Checkout::of("create-product")
        .in_github_environment("dev-plan")
        .run_with("release-record.sh", &["read"], &[("ENVIRONMENT", "sit")])
        .expect_failure("No release of create-product found in sit");
}

#[test]
fn restores_alias_and_stage_after_a_cancelled_apply() {
    let _nobody_else_deploys = STAGE.write().unwrap();
    let checkout = Checkout::of("get-product").in_github_environment("dev");
    let (before, work) = (checkout.live(), checkout.path("target/package"));
    fs::create_dir_all(&work).unwrap();
    // The job was cut off after the switch: the step that was killed left these behind.
    fs::write(work.join("live-before"), format!("{before}\n")).unwrap();
    let name = ["--function-name", "bbws-get-product-dev"];
    checkout.aws(&["lambda", "update-alias", name[0], name[1], "--name", "live", "--function-version", "1"]).unwrap();
    let backend = "-backend-config=environments/dev.s3.tfbackend";
    checkout.terraform("terraform", &["init", "-input=false", backend]).expect_success();
    checkout.run("deploy-api.sh", &["create"]).expect_success();
    checkout.run("apply.sh", &["restore"]).expect_success();
    assert_eq!(checkout.live(), before);
    // Nothing left to restore: a second time, or after a proven release, changes nothing.
    checkout.run("apply.sh", &["restore"]).expect_success();
    assert_eq!(checkout.live(), before);
}

/// Responds as GitHub's API does for an environment with these protection rules.
fn gh(checkout: &Checkout, rules: &str) {
    let script =
        format!("#!/usr/bin/env bash\nexec jq --raw-output \"${{@: -1}}\" <<< '{{\"protection_rules\": {rules}}}'\n");
    checkout.program("gh", &script);
}

#[test]
fn refuses_prod_without_required_reviewers() {
    let checkout = Checkout::of("get-product");
    let check = |environment: &str| {
        let variables = [("GITHUB_REPOSITORY", "example-shop/get-product"), ("ENVIRONMENT", environment)];
        checkout.run_with("check-protection.sh", &[], &variables)
    };
    gh(&checkout, r#"[{"type": "branch_policy"}]"#);
    check("prod").expect_failure("has no required reviewers");
    check("dev").expect_success();
    gh(&checkout, r#"[{"type": "branch_policy"}, {"type": "required_reviewers"}]"#);
    check("prod").expect_success();
    checkout.program("gh", "#!/bin/sh\necho 'gh: Not Found (HTTP 404)' >&2\nexit 1\n");
    check("dev").expect_failure("Create it first");
}

#[test]
fn pipeline_cannot_become_administrator() {
    let job = Checkout::of("product-infrastructure").in_github_environment("dev");
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"*"}}]}"#;
    let role = ["--role-name", "bbws-product-events-pipe-dev"];
    for arguments in [
        &["iam", "put-role-policy", role[0], role[1], "--policy-name", "x", "--policy-document", policy][..],
        &["iam", "update-assume-role-policy", role[0], role[1], "--policy-document", trust],
        &["iam", "delete-role-permissions-boundary", role[0], role[1]],
        &["iam", "create-role", "--role-name", "bbws-product-api-logging-dev", "--assume-role-policy-document", trust],
        &[
            "iam",
            "create-policy-version",
            "--policy-arn",
            "arn:aws:iam::000000000000:policy/bbws-product-service-boundary-dev",
            "--policy-document",
            policy,
        ],
    ] {
        let said = job.aws(arguments).expect_err(&format!("{arguments:?} must be denied"));
        assert!(said.contains("AccessDenied") || said.contains("not authorized"), "{arguments:?}: {said}");
    }
}
