//! The measured programs: release builds of the functions, the floor, and Python.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::backend::{BATCH, PRODUCT_ID};
use crate::events::{Call, Messages, call, patch, product, request};
use crate::items::{self, SHARDS};
use crate::program::Launch;
use crate::progress::{Meter, Progress};
use crate::shipped::{self, Shipped};
use crate::tree::{INFRASTRUCTURE, Tree};

/// The measured functions.
pub const FUNCTIONS: &[&str] = &[
    "list-products",
    "get-product",
    "create-product",
    "update-product",
    "delete-product",
    "product-creator",
    "audit-logger",
];

/// The name of the function that does nothing.
pub const FLOOR: &str = "floor";

/// The name of `get-product` in Python.
pub const PYTHON: &str = "python";

/// The name of `get-product` with every library's defaults.
pub const DEFAULTS: &str = "defaults";

/// A program and its events.
#[derive(Debug, Clone)]
pub struct Subject {
    pub name: &'static str,
    pub launch: Launch,
    /// The event of one call.
    pub event: Arc<str>,
    pub answer: Answer,
    /// Whether it calls AWS.
    pub calls_aws: bool,
    /// Whether the products that it reads exist.
    pub has_products: bool,
    /// The messages of its batches, if it takes batches.
    pub messages: Option<Messages>,
    pub zip_bytes: Option<u64>,
}

/// The expected response. A wrong response is often quick, and must not be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A proxy integration response with this status.
    Status(u16),
    /// A partial batch response in which no message failed.
    NoFailures,
}

impl Answer {
    /// Fails if the response is another one.
    pub fn check(self, body: &[u8]) -> Result<()> {
        let answer: Value = serde_json::from_slice(body).context("the response isn't JSON")?;
        let right = match self {
            Self::Status(status) => answer["statusCode"] == status,
            Self::NoFailures => answer["batchItemFailures"].as_array().is_some_and(Vec::is_empty),
        };
        if !right {
            bail!("expected {self:?}, got {answer}");
        }
        Ok(())
    }
}

/// Builds the floor and the functions, those of `only` if it names any, into `folder`.
pub fn prepare(tree: &Tree, only: &[&'static str], folder: &Path, progress: &Progress) -> Result<Vec<Subject>> {
    let chosen: Vec<&'static str> =
        FUNCTIONS.iter().copied().filter(|function| only.is_empty() || only.contains(function)).collect();
    let step = progress.step("build the floor and the functions");
    let meter = step.meter();
    meter.length(chosen.len() as u64 + 1);
    let mut subjects = vec![floor(tree, folder, &meter)?];
    meter.advance();
    for function in chosen {
        compiled_alike(&tree.repository(INFRASTRUCTURE).join("bench/floor"), &tree.repository(function))?;
        meter.now(function);
        let shipped = shipped::build(&tree.repository(function), function, folder)?;
        subjects.extend(calls(tree, bare(tree, function, shipped)?)?);
        meter.advance();
    }
    step.done("");
    Ok(subjects)
}

/// The function that does nothing.
pub fn floor(tree: &Tree, folder: &Path, meter: &Meter) -> Result<Subject> {
    meter.now(FLOOR);
    let shipped = shipped::build(&tree.repository(INFRASTRUCTURE).join("bench/floor"), FLOOR, folder)?;
    Ok(Subject {
        // The floor doesn't read it.
        event: request(tree, "get-product", None)?,
        answer: Answer::Status(200),
        calls_aws: false,
        ..bare(tree, FLOOR, shipped)?
    })
}

/// `get-product` in Rust with every library's defaults, built into `folder`.
pub fn defaults(tree: &Tree, folder: &Path, progress: &Progress) -> Result<Subject> {
    let step = progress.step("build get-product with every default");
    let shipped = shipped::build(&tree.repository(INFRASTRUCTURE).join("bench/defaults"), DEFAULTS, folder)?;
    step.done("");
    Ok(Subject {
        event: request(tree, "get-product", None)?,
        answer: Answer::Status(200),
        has_products: true,
        ..bare(tree, DEFAULTS, shipped)?
    })
}

/// `get-product` in Python, with the interpreter that `cargo xtask bench` has prepared.
pub fn baseline(tree: &Tree) -> Result<Subject> {
    let python = std::env::var_os("CATALOGUE_PYTHON").map(PathBuf::from);
    let python = python.context("--python requires CATALOGUE_PYTHON: an interpreter with boto3")?;
    let bootstrap = tree.repository(INFRASTRUCTURE).join("bench/python/bootstrap.py");
    Ok(Subject {
        name: PYTHON,
        launch: Launch {
            command: vec![python, bootstrap],
            // On Lambda the disk is read-only too.
            variables: [variables(), vec![("PYTHONDONTWRITEBYTECODE", "1".to_owned())]].concat(),
            log: tree.empty_log(PYTHON)?,
        },
        event: request(tree, "get-product", None)?,
        answer: Answer::Status(200),
        calls_aws: true,
        has_products: true,
        messages: None,
        zip_bytes: None,
    })
}

/// A function and its further calls.
fn calls(tree: &Tree, bare: Subject) -> Result<Vec<Subject>> {
    let further = |name, event| Subject {
        name,
        event,
        answer: Answer::Status(if name == "update-product, PATCH" { 202 } else { 200 }),
        has_products: true,
        // The package is the same.
        zip_bytes: None,
        ..bare.clone()
    };
    let list = |name, query: &[(&str, &str)]| -> Result<Subject> {
        Ok(further(name, call(tree, "list-products", Call { query, ..Call::default() })?))
    };
    let mut subjects = vec![subject(tree, bare.clone())?];
    match bare.name {
        "get-product" => {
            let event_id = items::event_id(0);
            let (id, event) = (("productId", PRODUCT_ID), ("eventId", event_id.as_str()));
            for (name, resource, path_parameters) in [
                ("get-product, change", "/{productId}/changes/{eventId}", [id, event].as_slice()),
                ("get-product, changes", "/{productId}/changes", &[id]),
            ] {
                let event = call(tree, bare.name, Call { resource, path_parameters, query: &[] })?;
                subjects.push(further(name, event));
            }
        }
        "list-products" => {
            let ids: Vec<String> = (0..BATCH).map(|number| format!("00000000-0000-4000-8000-{number:012}")).collect();
            subjects.push(list("list-products, category", &[("category", items::CATEGORY)])?);
            subjects.push(list("list-products, namePrefix", &[("namePrefix", "Desk")])?);
            subjects.push(list("list-products, sku", &[("sku", &items::sku(0))])?);
            subjects.push(list("list-products, ids", &[("ids", &ids.join(","))])?);
            let feed = Call { resource: "/changes", query: &[("limit", "20")], ..Call::default() };
            subjects.push(further("list-products, feed", call(tree, bare.name, feed)?));
        }
        "update-product" => subjects.push(further("update-product, PATCH", patch(tree)?)),
        _ => {}
    }
    Ok(subjects)
}

/// A function's events and expected responses.
fn subject(tree: &Tree, bare: Subject) -> Result<Subject> {
    let name = bare.name;
    let api = |body: Option<Value>, status| -> Result<Subject> {
        let event = request(tree, name, body.as_ref())?;
        Ok(Subject { event, answer: Answer::Status(status), has_products: true, ..bare.clone() })
    };
    let batches = |messages: Messages| -> Result<Subject> {
        Ok(Subject { event: messages.batch(1)?, answer: Answer::NoFailures, messages: Some(messages), ..bare.clone() })
    };
    match name {
        "list-products" | "get-product" => api(None, 200),
        "create-product" => api(Some(product(tree)?), 202),
        "update-product" => api(None, 202),
        "delete-product" => api(None, 204),
        "product-creator" => batches(Messages::changes(tree)?),
        "audit-logger" => batches(Messages::stream_records(tree)?),
        name => bail!("no event for {name}"),
    }
}

/// Fails if two crates' release profiles differ: one could be quicker for that alone.
fn compiled_alike(one: &Path, other: &Path) -> Result<()> {
    let profile = |folder: &Path| -> Result<toml::Value> {
        let path = folder.join("Cargo.toml");
        let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        let manifest: toml::Table = toml::from_str(&text).with_context(|| format!("{} is invalid", path.display()))?;
        let release = manifest.get("profile").and_then(|profiles| profiles.get("release"));
        release.cloned().with_context(|| format!("{} has no release profile", path.display()))
    };
    if profile(one)? != profile(other)? {
        bail!("{} and {} have different release profiles: make them equal", one.display(), other.display());
    }
    Ok(())
}

/// A program without its events.
fn bare(tree: &Tree, name: &'static str, shipped: Shipped) -> Result<Subject> {
    Ok(Subject {
        name,
        launch: Launch { command: vec![shipped.binary], variables: variables(), log: tree.empty_log(name)? },
        event: "".into(),
        answer: Answer::NoFailures,
        calls_aws: true,
        has_products: false,
        messages: None,
        zip_bytes: Some(shipped.zip_bytes),
    })
}

/// What the functions are configured with, each reading its part.
fn variables() -> Vec<(&'static str, String)> {
    vec![
        ("TABLE_NAME", "products".to_owned()),
        ("LIST_SHARDS", SHARDS.to_string()),
        ("CHANGE_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/123456789012/change".to_owned()),
        ("AUDIT_BUCKET", "audit".to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detects_wrong_response() {
        assert!(Answer::Status(200).check(br#"{"statusCode":200}"#).is_ok());
        let error = Answer::Status(200).check(br#"{"statusCode":404}"#).unwrap_err().to_string();
        assert!(error.contains("Status(200)") && error.contains("404"), "{error}");
        assert!(Answer::NoFailures.check(br#"{"batchItemFailures":[]}"#).is_ok());
        assert!(Answer::NoFailures.check(br#"{"batchItemFailures":[{"itemIdentifier":"1"}]}"#).is_err());
        assert!(Answer::NoFailures.check(b"{}").is_err());
        assert!(Answer::NoFailures.check(b"no").is_err());
    }

    /// A workspace with this repository's contracts and a request for each function.
    fn tree(folder: &Path) -> Tree {
        let own = Tree::above(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap().repository(INFRASTRUCTURE);
        let examples = |kind: &str| format!("contracts/examples/{kind}");
        let write = |path: PathBuf, content: String| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        for kind in ["change-event/valid/create-minimal.json", "journal-entry/valid/life-1-create-applied.json"] {
            let content = fs::read_to_string(own.join(examples(kind))).unwrap();
            write(folder.join(INFRASTRUCTURE).join(examples(kind)), content);
        }
        for function in FUNCTIONS {
            write(folder.join(function).join("tests/smoke/event.json"), r#"{"httpMethod":"GET"}"#.to_owned());
        }
        Tree::at(folder.to_owned())
    }

    #[test]
    fn has_an_event_for_each_function() {
        let folder = tempfile::tempdir().unwrap();
        let tree = tree(folder.path());
        for name in FUNCTIONS.iter().copied() {
            let bare = Subject {
                name,
                launch: Launch { command: vec![], variables: vec![], log: PathBuf::new() },
                event: "".into(),
                answer: Answer::NoFailures,
                calls_aws: true,
                has_products: false,
                messages: None,
                zip_bytes: None,
            };
            for subject in calls(&tree, bare).unwrap() {
                assert!(subject.name.starts_with(name) && subject.event.starts_with('{'), "{}", subject.name);
                assert_eq!(subject.messages.is_some(), subject.answer == Answer::NoFailures, "{}", subject.name);
            }
        }
    }

    #[test]
    fn floor_has_the_functions_release_profile() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = |name: &str, content: &str| {
            fs::create_dir_all(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("Cargo.toml"), content).unwrap();
            folder.path().join(name)
        };
        let one = manifest("one", "[profile.release]\nlto = \"fat\"\npanic = \"unwind\"\n");
        let same = manifest("same", "[profile.release]\npanic = \"unwind\"\nlto = \"fat\"\n");
        let other = manifest("other", "[profile.release]\nlto = \"thin\"\n");
        assert!(compiled_alike(&one, &same).is_ok());
        assert!(compiled_alike(&one, &other).unwrap_err().to_string().contains("release profile"));
    }

    #[test]
    fn compared_programs_have_this_repositorys_toolchain() {
        let own = Tree::above(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap().repository(INFRASTRUCTURE);
        let toolchain = |folder: &str| fs::read_to_string(own.join(folder).join("rust-toolchain.toml")).unwrap();
        for name in [FLOOR, DEFAULTS] {
            assert_eq!(toolchain(&format!("bench/{name}")), toolchain(""), "{name}");
        }
    }

    /// Otherwise Cargo takes the folder for a member of the repository's workspace, and refuses to build it.
    #[test]
    fn compared_programs_are_workspaces_of_their_own() {
        for name in [FLOOR, DEFAULTS] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
            let described = std::process::Command::new("cargo")
                .args(["metadata", "--locked", "--offline", "--no-deps", "--format-version", "1"])
                .current_dir(&folder)
                .output()
                .unwrap();
            assert!(described.status.success(), "{name}: {}", String::from_utf8_lossy(&described.stderr));
            let described: serde_json::Value = serde_json::from_slice(&described.stdout).unwrap();
            assert_eq!(described["workspace_root"], folder.to_str().unwrap());
        }
    }
}
