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

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::pipeline::{
    Checkout, administrator, append, assume, claims, emulators_python, repository_id, role, stack,
};

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
    let _others_may_deploy = STAGE.read().unwrap_or_else(PoisonError::into_inner);
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
    let ended = apply.run_with("apply.sh", &["rollback"], &[("VERSION", &old)]);
    administrator(&["s3api", "delete-object", state[0], state[1], state[2], state[3]]).unwrap();
    ended.expect_success();
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
    let _others_may_deploy = STAGE.read().unwrap_or_else(PoisonError::into_inner);
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
    let _others_may_deploy = STAGE.read().unwrap_or_else(PoisonError::into_inner);
    let before = Checkout::of("delete-product").live();
    let (apply, ended) = release("delete-product", GOOD_ONLY_WHEN_TRIED.as_bytes());
    let ended = ended.expect_failure("The release failed. Going back to version");
    assert!(ended.said.contains("answered 500"), "it was live, and failed: {}", ended.said);
    assert_eq!(apply.live(), before);
    apply.run("smoke.sh", &["live"]).expect_success();
}

#[test]
fn of_two_that_publish_the_api_at_once_neither_takes_the_others_methods_away() {
    let _nobody_else_deploys = STAGE.write().unwrap_or_else(PoisonError::into_inner);
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
    let _others_may_deploy = STAGE.read().unwrap_or_else(PoisonError::into_inner);
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
    let _others_may_deploy = STAGE.read().unwrap_or_else(PoisonError::into_inner);
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
    let _nobody_else_deploys = STAGE.write().unwrap_or_else(PoisonError::into_inner);
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

/// All of them run their own program again, in a package with another digest.
fn release_again(repository: &'static str) -> (Checkout, support::pipeline::Ended) {
    let program = Checkout::of(repository).deployed();
    release(repository, &program)
}

#[test]
fn releases_five_functions_at_once() {
    let _nobody_else_deploys = STAGE.write().unwrap_or_else(PoisonError::into_inner);
    let functions = ["create-product", "delete-product", "get-product", "list-products", "update-product"];
    std::thread::scope(|scope| {
        let releases = functions.map(|function| (function, scope.spawn(move || release_again(function))));
        for (function, release) in releases {
            let (apply, ended) = release.join().unwrap();
            ended.expect_success();
            assert!(apply.summary().contains("is live"), "{function}: {}", apply.summary());
        }
    });
    // Nobody's snapshot lacks another's methods: each answers over HTTP.
    for function in functions {
        Checkout::of(function).run("smoke.sh", &["live"]).expect_success();
    }
}

#[test]
fn names_the_method_that_blocks_every_deployment() {
    let _nobody_else_deploys = STAGE.write().unwrap_or_else(PoisonError::into_inner);
    let checkout = Checkout::of("list-products").in_github_environment("dev");
    fs::create_dir_all(checkout.path("target/package")).unwrap();
    let backend = "-backend-config=environments/dev.s3.tfbackend";
    checkout.terraform("terraform", &["init", "-input=false", backend]).expect_success();
    let api = stack().facts.rest_api_id;
    let resources = administrator(&["apigateway", "get-resources", "--rest-api-id", &api]).unwrap();
    let products = resources["items"].as_array().unwrap().iter().find(|item| item["path"] == "/v1.0/products").unwrap();
    let method = ["--rest-api-id", &api, "--resource-id", products["id"].as_str().unwrap(), "--http-method", "OPTIONS"];
    administrator(&[&["apigateway", "put-method"], &method[..], &["--authorization-type", "NONE"]].concat()).unwrap();
    let ended = checkout.run_with("deploy-api.sh", &["create"], &[("DEPLOYMENT_PAUSE_SECONDS", "0")]);
    administrator(&[&["apigateway", "delete-method"], &method[..]].concat()).unwrap();
    ended.expect_failure("Method without integration: OPTIONS /v1.0/products");
    checkout.run("deploy-api.sh", &["create"]).expect_success();
}

#[test]
fn restores_alias_and_stage_after_a_release_is_killed() {
    let _nobody_else_deploys = STAGE.write().unwrap_or_else(PoisonError::into_inner);
    for signal in ["INT", "KILL"] {
        let (plan, before) =
            (Checkout::of("get-product").in_github_environment("dev-plan"), Checkout::of("get-product").live());
        let digest = plan.package(&Checkout::of("get-product").deployed());
        plan.run_with("plan.sh", &["release"], &[("DIGEST", &digest)]).expect_success();
        let apply = Checkout::of("get-product").in_github_environment("dev");
        carry(&plan, &apply);
        // The last smoke test never ends: alias and stage have been switched by then.
        let slow = "#!/bin/sh\nif [ \"$1\" = live ]; then touch target/switched; exec sleep 600; fi\n";
        fs::write(apply.path("scripts/smoke.sh"), slow).unwrap();
        let mut step = apply.start("apply.sh", &["release"]);
        let started = Instant::now();
        while !apply.path("target/switched").exists() {
            assert!(
                started.elapsed() < Duration::from_secs(300) && step.try_wait().unwrap().is_none(),
                "{signal}: not reached"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
        assert_ne!(apply.live(), before, "{signal}");
        let group = format!("-{}", step.id());
        assert!(Command::new("kill").args(["-s", signal, "--", &group]).status().unwrap().success());
        assert!(!step.wait().unwrap().success());
        apply.run("apply.sh", &["restore"]).expect_success();
        assert_eq!(apply.live(), before, "{signal}");
        Checkout::of("get-product").run("smoke.sh", &["live"]).expect_success();
        // Nothing is left locked, and the next release works.
        release_again("get-product").1.expect_success();
    }
}

#[test]
fn rolls_back_with_stale_plan_and_without_artifact() {
    let _others_may_deploy = STAGE.read().unwrap_or_else(PoisonError::into_inner);
    let program = Checkout::of("update-product").deployed();
    let plan = Checkout::of("update-product").in_github_environment("dev-plan");
    let digest = plan.package(&program);
    plan.run_with("plan.sh", &["release"], &[("DIGEST", &digest)]).expect_success();
    let old = Checkout::of("update-product").live();

    // Another release is applied between the plan and its approval.
    std::thread::sleep(Duration::from_secs(2));
    release_again("update-product").1.expect_success();
    let newer = Checkout::of("update-product").live();
    assert_ne!(newer, old);
    let apply = Checkout::of("update-product").in_github_environment("dev");
    carry(&plan, &apply);
    apply.run("apply.sh", &["release"]).expect_failure("Saved plan is stale");
    assert_eq!(apply.live(), newer);

    // The artifact has expired: nothing was downloaded.
    let apply = Checkout::of("update-product").in_github_environment("dev");
    fs::create_dir_all(apply.path("target/package")).unwrap();
    let digests = [digest.clone(), plan.output("plan_digest")];
    apply.run("verify-digests.sh", &[&digests[0], &digests[1]]).expect_failure("No such file");
    apply.run("apply.sh", &["release"]).expect_failure("reviewed.tfplan");
    assert_eq!(apply.live(), newer);

    // From both states: back, with nothing but the number of the version.
    let apply = Checkout::of("update-product").in_github_environment("dev");
    apply.run_with("apply.sh", &["rollback"], &[("VERSION", &old)]).expect_success();
    assert_eq!(apply.live(), old);
}

#[test]
fn refuses_to_promote_deleted_package() {
    let _others_may_deploy = STAGE.read().unwrap_or_else(PoisonError::into_inner);
    let (apply, ended) = release_again("delete-product");
    ended.expect_success();
    let digest = support::pipeline::sha256(&apply.path("target/package/bootstrap.zip"));
    let package = format!("delete-product/releases/{digest}.zip");
    let bucket = ["--bucket", "bbws-terraform-state-dev"];
    administrator(&["s3api", "delete-object", bucket[0], bucket[1], "--key", &package]).unwrap();
    let promote = Checkout::of("delete-product").in_github_environment("dev-plan");
    promote.run("release-record.sh", &["read"]).expect_failure("is no longer in the bucket");
    apply.run("release-record.sh", &["write", &apply.live()]).expect_success();
    promote.run("release-record.sh", &["read"]).expect_success();
}

#[test]
fn promotes_terraform_only_commit_after_its_own_proof() {
    let _others_may_deploy = STAGE.read().unwrap_or_else(PoisonError::into_inner);
    let program = Checkout::of("create-product").deployed();
    let job = |from: &Checkout, message: &str, package: Option<&[u8]>| {
        let plan = Checkout::of("create-product").in_github_environment("dev-plan");
        append(&plan.path("terraform/main.tf"), &format!("# {message}\n"));
        let commit = plan.commit(message);
        fs::create_dir_all(plan.path("target/package")).unwrap();
        let digest = match package {
            Some(package) => plan.package(package),
            None => {
                let path = "target/package/bootstrap.zip";
                fs::copy(from.path(path), plan.path(path)).unwrap();
                support::pipeline::sha256(&plan.path(path))
            }
        };
        plan.run_with("plan.sh", &["release"], &[("DIGEST", &digest)]).expect_success();
        (plan, commit, digest)
    };
    let promoted = || {
        let promote = Checkout::of("create-product").in_github_environment("dev-plan");
        promote.run("release-record.sh", &["read"]).expect_success().said
    };
    let apply = |plan: &Checkout| {
        let apply = Checkout::of("create-product").in_github_environment("dev");
        carry(plan, &apply);
        fs::rename(plan.path(".git"), apply.path(".git")).unwrap();
        apply
    };

    let nothing = Checkout::of("create-product");
    let (plan, first, digest) = job(&nothing, "first", Some(&program));
    apply(&plan).run("apply.sh", &["release"]).expect_success();
    assert!(promoted().contains(&format!("commit={first}\ndigest={digest}")), "{}", promoted());

    // The same package: its digest is proven, the commit isn't. Planned and reviewed is not enough, and applied is not enough.
    let (plan, second, same) = job(&plan, "Terraform alone", None);
    assert_eq!(same, digest);
    let (failing, released) = (apply(&plan), promoted());
    assert!(released.contains(&first) && !released.contains(&second), "{released}");
    fs::write(failing.path("scripts/smoke.sh"), "#!/bin/sh\necho 'it fails' >&2\nexit 1\n").unwrap();
    failing.run("apply.sh", &["release"]).expect_failure("it fails");
    assert!(promoted().contains(&first), "{}", promoted());

    let (plan, third, _) = job(&plan, "Terraform alone, again", None);
    apply(&plan).run("apply.sh", &["release"]).expect_success();
    assert!(promoted().contains(&format!("commit={third}\ndigest={digest}")), "{}", promoted());
}

#[test]
fn promotes_infrastructure_after_its_smoke_test() {
    let _nobody_else_deploys = STAGE.write().unwrap_or_else(PoisonError::into_inner);
    let commit = |arguments: &[&str]| {
        let job = Checkout::of("product-infrastructure").in_github_environment("dev-plan");
        job.run("applied-commit.sh", arguments)
    };
    let apply = |fails: bool| {
        let plan = Checkout::of("product-infrastructure").in_github_environment("dev-plan");
        plan.run("plan.sh", &["shared"]).expect_success();
        let digest = plan.output("digest");
        let apply = Checkout::of("product-infrastructure").in_github_environment("dev");
        fs::create_dir_all(apply.path("target/deployment")).unwrap();
        let reviewed = "target/deployment/reviewed.tfplan";
        fs::copy(plan.path(reviewed), apply.path(reviewed)).unwrap();
        if fails {
            fs::write(apply.path("scripts/smoke.sh"), "#!/bin/sh\necho 'it fails' >&2\nexit 1\n").unwrap();
        }
        let commit = apply.commit("infrastructure");
        (apply.run("apply.sh", &["shared", &digest]), commit)
    };
    let (ended, unproven) = apply(true);
    ended.expect_failure("it fails");
    commit(&["shared"]).expect_failure("isn't proven");
    assert!(commit(&["shared", "any"]).expect_success().said.contains(&unproven));
    let (ended, proven) = apply(false);
    ended.expect_success();
    assert!(commit(&["shared"]).expect_success().said.contains(&proven));
    let sit = Checkout::of("product-infrastructure").in_github_environment("dev-plan");
    sit.run_with("applied-commit.sh", &["shared"], &[("ENVIRONMENT", "sit")])
        .expect_failure("has not been applied to sit yet");
}

#[test]
fn prints_no_key_through_a_whole_rotation() {
    let _nobody_else_deploys = STAGE.write().unwrap_or_else(PoisonError::into_inner);
    let keys = || {
        let keys = administrator(&["apigateway", "get-api-keys", "--include-values"]).unwrap();
        let keys = keys["items"].as_array().unwrap().clone();
        keys.into_iter()
            .map(|key| (key["name"].as_str().unwrap().to_owned(), key["value"].as_str().unwrap().to_owned()))
    };
    let registered = || {
        let listed = ["s3api", "list-objects-v2", "--bucket", "bbws-product-audit-logs-dev", "--prefix", "clients/"];
        let listed = administrator(&listed).unwrap();
        let keys =
            listed["Contents"].as_array().unwrap().iter().map(|object| object["Key"].as_str().unwrap().to_owned());
        keys.collect::<BTreeSet<String>>()
    };
    let known = registered();
    let generation =
        |name: &str| name.strip_prefix("bbws-product-api-dev-").map(|number| number.parse::<u64>().unwrap());
    let old = keys().filter_map(|(name, _)| generation(&name)).max().expect("a key");
    let new = old + 1;
    let (mut values, mut outputs) = (Vec::new(), Vec::new());
    // Begin; disable the old key; enable it again; and end with the old one, because the stack's other users hold it: the new
    // one is deleted, as the old one would be.
    for (generations, disabled) in [
        (format!("[{old}, {new}]"), "[]".to_owned()),
        (format!("[{old}, {new}]"), format!("[{old}]")),
        (format!("[{old}, {new}]"), "[]".to_owned()),
        (format!("[{old}]"), "[]".to_owned()),
    ] {
        let declare = |checkout: &Checkout| {
            let path = checkout.path("terraform/api-keys/environments/dev.key-generations.tfvars.json");
            let json = format!("{{\"key_generations\": {generations}, \"disabled_generations\": {disabled}}}");
            fs::write(path, json).unwrap();
        };
        let plan = Checkout::of("product-infrastructure").in_github_environment("dev-plan");
        declare(&plan);
        outputs.push(plan.run("plan.sh", &["api-keys"]).expect_success().said);
        outputs.push(plan.summary());
        // Whoever can read the repository can read what is handed over.
        let handed = fs::read_dir(plan.path("target/deployment")).unwrap().map(|file| file.unwrap().path());
        outputs.extend(handed.map(|file| String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned()));
        let apply = Checkout::of("product-infrastructure").in_github_environment("dev");
        declare(&apply);
        apply.commit("rotation");
        outputs.push(apply.run("apply.sh", &["api-keys", &plan.output("digest")]).expect_success().said);
        outputs.push(apply.summary());
        values.extend(keys().map(|(_, value)| value));
        outputs.push(Checkout::of("get-product").run("smoke.sh", &["live"]).expect_success().said);

        let drift = Checkout::of("product-infrastructure").in_github_environment("dev-plan");
        declare(&drift);
        fs::rename(apply.path(".git"), drift.path(".git")).unwrap();
        let said = drift.run_with("drift.sh", &["api-keys"], &[("AWS_ROLE", "set")]).expect_success().said;
        assert!(said.contains("No drift of api-keys in dev."), "{said}");
        outputs.push(said);
    }
    values.sort();
    values.dedup();
    assert!(values.len() >= 2, "two keys have been used");

    Checkout::of("product-infrastructure").run("register-keys.sh", &["check"]).expect_success();
    // The key that came and went stays in the register.
    let added: Vec<String> = registered().difference(&known).cloned().collect();
    let [added] = added.as_slice() else { panic!("one key is new: {added:?}") };
    let apply = Checkout::of("product-infrastructure").in_github_environment("dev");
    let entry = apply.path("entry");
    let bucket = ["--bucket", "bbws-product-audit-logs-dev", "--key"];
    let get = ["s3api", "get-object", bucket[0], bucket[1], bucket[2], added, entry.to_str().unwrap()];
    administrator(&get).unwrap();
    let read: Value = serde_json::from_slice(&fs::read(&entry).unwrap()).unwrap();
    assert_eq!((&read["client"], &read["generation"]), (&json!("default"), &json!(new)));
    assert_eq!(*added, format!("clients/{}.json", read["apiKeyId"].as_str().unwrap()));
    let denied = |arguments: &[&str]| {
        let said = apply.aws(&[&["s3api"], arguments].concat()).expect_err("denied");
        assert!(said.contains("AccessDenied") || said.contains("Forbidden"), "{arguments:?}: {said}");
    };
    // A write without `If-None-Match` is for the bucket's policy to refuse: the emulator doesn't know the condition keys.
    denied(&["put-object", bucket[0], bucket[1], bucket[2], "events/x.json", "--if-none-match", "*"]);
    denied(&["delete-object", bucket[0], bucket[1], bucket[2], added]);
    for output in outputs {
        assert!(values.iter().all(|value| !output.contains(value)), "a key is in: {output}");
    }
}

#[test]
fn reports_what_was_changed_by_hand() {
    let _nobody_else_deploys = STAGE.write().unwrap_or_else(PoisonError::into_inner);
    let role = [("AWS_ROLE", "set")];
    // Released from a commit, so that there is something to compare with.
    let program = Checkout::of("list-products").deployed();
    let plan = Checkout::of("list-products").in_github_environment("dev-plan");
    let commit = plan.commit("released");
    let digest = plan.package(&program);
    plan.run_with("plan.sh", &["release"], &[("DIGEST", &digest)]).expect_success();
    let apply = Checkout::of("list-products").in_github_environment("dev");
    carry(&plan, &apply);
    fs::rename(plan.path(".git"), apply.path(".git")).unwrap();
    apply.run("apply.sh", &["release"]).expect_success();
    fs::rename(apply.path(".git"), plan.path(".git")).unwrap();
    let drift = plan;
    let said = drift.run_with("drift.sh", &[], &role).expect_success().said;
    assert!(said.contains("No drift in dev.") && !commit.is_empty(), "{said}");

    let alarm = ["--alarm-names", "bbws-list-products-dev-errors"];
    administrator(&["cloudwatch", "delete-alarms", alarm[0], alarm[1]]).unwrap();
    drift
        .run_with("drift.sh", &[], &role)
        .expect_failure("dev differs from what was released: create aws_cloudwatch_metric_alarm.errors");
    drift.run_with("drift.sh", &[], &[("AWS_ROLE", "")]).expect_success();
    drift.run_with("drift.sh", &[], &[("AWS_ROLE", "set"), ("ENVIRONMENT", "sit")]).expect_success();
    // A release puts it back.
    release_again("list-products").1.expect_success();
    administrator(&["cloudwatch", "describe-alarms", alarm[0], alarm[1]]).unwrap();
}

#[test]
fn runs_canary_through_every_function() {
    let _others_may_deploy = STAGE.read().unwrap_or_else(PoisonError::into_inner);
    let job = Checkout::of("product-infrastructure").in_github_environment("dev-plan");
    job.run("canary.sh", &[]).expect_success();
    job.run_with("canary.sh", &[], &[("ENVIRONMENT", "prod")]).expect_failure("doesn't run in prod");
}

#[test]
fn verifies_the_audit_log_and_publishes_the_result() {
    let job = Checkout::of("product-infrastructure").in_github_environment("dev-audit");
    let programs = std::env::current_exe().unwrap();
    let catalogctl = programs.ancestors().nth(2).unwrap().join("catalogctl");
    job.program("catalogctl", &format!("#!/bin/sh\nexec '{}' \"$@\"\n", catalogctl.display()));
    job.run("verify-audit.sh", &[]).expect_success(); // Without a role there is nothing to verify.
    let ended = job.run_with("verify-audit.sh", &[], &[("AWS_ROLE", "set")]);
    assert!(ended.said.contains("dev: integrity ") && ended.said.contains(", digest "), "{}", ended.said);
    assert!(job.summary().starts_with("**dev**: integrity "), "{}", job.summary());
    let namespace = ["--namespace", "ProductCatalogue/Audit", "--query", "Metrics[].MetricName"];
    let metrics = administrator(&[&["cloudwatch", "list-metrics"][..], &namespace].concat()).unwrap();
    let names: std::collections::BTreeSet<_> =
        metrics.as_array().unwrap().iter().filter_map(|name| name.as_str()).collect();
    assert_eq!(names, ["Findings", "VerifiedRecords"].into());

    // A namespace that other alarms look at, a key, a record.
    for refused in [
        &[
            "cloudwatch",
            "put-metric-data",
            "--namespace",
            "ProductCatalogue",
            "--metric-name",
            "Applied",
            "--value",
            "1",
        ][..],
        &["secretsmanager", "get-secret-value", "--secret-id", "bbws/product-api/key-dev"],
        &["s3api", "delete-object", "--bucket", "bbws-product-audit-logs-dev", "--key", "x"],
    ] {
        let said = job.aws(refused).unwrap_err();
        assert!(said.contains("AccessDenied"), "{refused:?}: {said}");
    }
    // No other job reads records.
    for environment in ["dev-plan", "dev"] {
        let said = assume(&role("product-infrastructure", "audit"), &claims("product-infrastructure", environment));
        assert!(said.unwrap_err().contains("AccessDenied"), "{environment}");
    }
}

#[test]
fn auditor_queries_records_and_changes_nothing() {
    let auditor = Checkout::of("product-infrastructure").as_auditor();
    let document = fs::read_to_string(auditor.path("docs/compliance.md")).unwrap();
    let (_, section) = document.split_once("## Query with Athena").expect("the section");
    let (_, commands) = section.split_once("```sh\n").expect("its commands");
    let (commands, _) = commands.split_once("```").unwrap();
    let ended = auditor.shell(&commands.replace("env=prod", "env=dev")).expect_success();
    assert!(ended.said.starts_with("SUCCEEDED") && ended.said.contains("ResultSet"), "{}", ended.said);

    auditor.aws(&["s3api", "get-object-lock-configuration", "--bucket", "bbws-product-audit-logs-dev"]).unwrap();
    for refused in [
        &["athena", "start-query-execution", "--work-group", "primary", "--query-string", "SELECT 1"][..],
        &["athena", "delete-work-group", "--work-group", "bbws-product-audit-dev"],
        &[
            "cloudwatch",
            "put-metric-data",
            "--namespace",
            "ProductCatalogue/Audit",
            "--metric-name",
            "Findings",
            "--value",
            "0",
        ],
        &["dynamodb", "delete-item", "--table-name", "products", "--key", r#"{"PK":{"S":"x"},"SK":{"S":"x"}}"#],
        &["s3api", "delete-object", "--bucket", "bbws-product-audit-logs-dev", "--key", "x"],
        &["s3api", "put-object", "--bucket", "bbws-product-audit-queries-dev", "--key", "x"],
        &[
            "s3api",
            "get-object",
            "--bucket",
            "bbws-terraform-state-dev",
            "--key",
            "product-infrastructure/terraform.tfstate",
            "x",
        ],
    ] {
        let said = auditor.aws(refused).unwrap_err();
        assert!(said.contains("AccessDenied"), "{refused:?}: {said}");
    }
}

#[test]
fn checks_account_before_anything_is_created() {
    let check = |account: &str, with: &[(&str, &str)]| {
        Checkout::of("product-infrastructure").run_with("check-account.sh", &["dev", account], with)
    };
    // The emulator's account is that of dev, with its buckets and roles.
    role("product-infrastructure", "apply");
    let said = check("000000000000", &[]).expect_success().said;
    assert!(said.contains("OK    bucket bbws-terraform-state-dev exists in this account"), "{said}");
    check("111122223333", &[]).expect_failure("expected 111122223333");
    // A new account, whose bucket names are someone else's.
    let checkout = Checkout::of("product-infrastructure");
    let answers = r#"#!/bin/sh
case "$1 $2" in
  "sts get-caller-identity") echo 000000000000 ;;
  "s3api head-bucket") echo 'An error occurred (403) when calling the HeadBucket operation: Forbidden' >&2; exit 254 ;;
  "lambda get-account-settings") echo 10 ;;
  "iam list-open-id-connect-providers") echo arn:aws:iam::000000000000:oidc-provider/token.actions.githubusercontent.com ;;
  *) echo None ;;
esac
"#;
    checkout.program("aws", answers);
    let said =
        checkout.run("check-account.sh", &["dev", "000000000000"]).expect_failure("belongs to another account").said;
    for finding in ["set bucket_suffix", "request 1,000 in Service Quotas", "set create_oidc_provider = false"] {
        assert!(said.contains(finding), "{finding}: {said}");
    }
    checkout.run("check-account.sh", &["staging"]).expect_failure("check-account.sh ENVIRONMENT ACCOUNT_ID");
}

#[test]
fn rejects_package_without_attestation() {
    let checkout = Checkout::of("get-product");
    checkout.package(b"x");
    let verify = |attestations: &str| {
        let variables = [("GITHUB_REPOSITORY", "example-shop/get-product"), ("ATTESTATIONS", attestations)];
        checkout.run_with("verify-provenance.sh", &[], &variables)
    };
    checkout.program("gh", "#!/bin/sh\necho \"$*\"\n");
    let said = verify("").expect_success().said;
    for part in [
        "attestation verify target/package/bootstrap.zip",
        "--source-ref refs/heads/main",
        "get-product/.github/workflows/deploy.yml",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    checkout.program("gh", "#!/bin/sh\necho 'no attestations found' >&2\nexit 1\n");
    verify("on").expect_failure("no attestations found");
    verify("off").expect_success();
}

#[test]
fn lists_crates_linked_into_the_package() {
    let checkout = Checkout::of("get-product");
    let digest = checkout.package(b"x");
    checkout.run("sbom.sh", &[]).expect_success();
    let sbom: serde_json::Value =
        serde_json::from_slice(&fs::read(checkout.path("target/package/sbom.cdx.json")).unwrap()).unwrap();
    assert_eq!(sbom["metadata"]["component"]["hashes"][0]["content"], digest);
    let crates: Vec<_> =
        sbom["components"].as_array().unwrap().iter().map(|component| component["name"].as_str().unwrap()).collect();
    // mockall is linked into tests only.
    assert!(
        crates.contains(&"lambda_runtime") && !crates.contains(&"mockall") && !crates.contains(&"get-product"),
        "{crates:?}"
    );
}

/// Tools of Rust and Python that write down how they are called. `cargo` makes a file where the build would.
fn toolchain(checkout: &Checkout) {
    let note = "#!/usr/bin/env bash\nprintf '%s %s\\n' \"${0##*/}\" \"$*\" >> calls\n";
    checkout.program("rustup", note);
    let cargo = r#"
if [[ $1 == lambda ]]; then mkdir -p target/lambda/get-product && echo binary > target/lambda/get-product/bootstrap; fi
if [[ $1 == deny ]]; then exit "${VULNERABLE:-0}"; fi
if [[ $1 == fmt ]]; then exit "${UNFORMATTED:-0}"; fi
"#;
    checkout.program("cargo", &format!("{note}{cargo}"));
}

#[test]
fn builds_equal_packages_from_equal_programs() {
    let digests = [0, 1].map(|_| {
        let checkout = Checkout::of("get-product");
        toolchain(&checkout);
        // The environment that install-tools.sh makes, without its downloads.
        fs::create_dir_all(checkout.path("target/tools/bin")).unwrap();
        let python = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().unwrap();
        let python = String::from_utf8(python.stdout).unwrap();
        std::os::unix::fs::symlink(python.trim(), checkout.path("target/tools/bin/python")).unwrap();
        checkout.run("package.sh", &[]).expect_success();
        let calls = fs::read_to_string(checkout.path("calls")).unwrap();
        assert!(calls.contains("lambda build --release --locked --arm64"), "{calls}");
        // A ZIP file counts seconds in twos.
        std::thread::sleep(Duration::from_secs(2));
        checkout.output("digest")
    });
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn stops_checks_at_the_first_failure() {
    let checkout = Checkout::of("get-product");
    toolchain(&checkout);
    let calls = || fs::read_to_string(checkout.path("calls")).unwrap();
    checkout.run_with("check.sh", &[], &[("UNFORMATTED", "1")]).expect_failure("");
    assert!(!calls().contains("clippy"), "{}", calls());
    checkout.run("check.sh", &[]).expect_success();
    assert!(calls().contains("llvm-cov") && calls().contains("--fail-under-lines 80"), "{}", calls());
    checkout.run("install-tools.sh", &["coverage"]).expect_success();
    checkout.run("install-tools.sh", &["advisories"]).expect_success();
    checkout.run("install-tools.sh", &["nothing"]).expect_failure("usage: install-tools.sh");
    checkout.run("check-advisories.sh", &[]).expect_success();
    checkout.run_with("check-advisories.sh", &[], &[("VULNERABLE", "1")]).expect_failure("");
    checkout.program("terraform", "#!/bin/sh\necho \"terraform $*\" >> ../calls\n");
    checkout.run("check-terraform.sh", &[]).expect_success();
    assert!(
        calls().contains("terraform init -backend=false") && calls().ends_with("validate\nterraform test\n"),
        "{}",
        calls()
    );
    assert!(calls().contains("rustup toolchain install") && calls().contains("install cargo-deny"), "{}", calls());
}

#[test]
fn runs_every_script_in_a_test() {
    /// Scripts that run elsewhere in `cargo xtask test`, and where.
    const ELSEWHERE: [(&str, &str); 3] = [
        ("check-clients.sh", "src/verification/clients.rs"),
        ("check-contracts.sh", "src/verification/scripts.rs"),
        ("coverage.sh", "src/verification/alone.rs"),
    ];
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
    let tests = read("tests/deployment.rs") + &read("tests/scripts.rs") + &read("tests/support/pipeline.rs");
    let (mut listed, mut missing) = (0, Vec::new());
    for repository in ["get-product", "product-infrastructure"] {
        let checkout = Checkout::of(repository);
        let scripts = checkout.path("scripts").read_dir().unwrap();
        // `deployment.sh` is sourced by the others.
        let names = scripts.map(|file| file.unwrap().file_name().into_string().unwrap());
        for name in names.filter(|name| name.ends_with(".sh") && name != "deployment.sh") {
            listed += 1;
            let called = format!("(\"{name}\"");
            let elsewhere =
                ELSEWHERE.iter().any(|(script, file)| *script == name && read(file).contains(name.as_str()));
            if !tests.contains(&called) && !elsewhere {
                missing.push(format!("{repository}/scripts/{name}"));
            }
        }
    }
    assert!(missing.is_empty() && listed > 30, "no test runs {missing:?} ({listed} scripts)");
}

#[test]
fn emulator_refuses_what_aws_refuses() {
    let checkout = Checkout::of("product-infrastructure");
    let mut tests = Command::new(emulators_python());
    tests.args(["-m", "unittest", "test_emulator", "test_observation"]).current_dir(checkout.path("local"));
    let output = tests.env("PYTHONDONTWRITEBYTECODE", "1").output().expect("Python runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("Ran "), "{said}");
}
