//! The programs that are measured: as they are shipped, unpacked from their zips as Lambda does it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::backend::SHARDS;
use super::events::{Messages, product, request};
use super::program::Launch;
use crate::packages::{self, Package, Profile};
use crate::progress::Progress;
use crate::stack::Stack;
use crate::workspace::{FUNCTIONS, INFRASTRUCTURE, Workspace};

/// The name of the program that does nothing.
pub const FLOOR: &str = "floor";

/// A program and what it is measured with.
#[derive(Debug, Clone)]
pub struct Subject {
    pub name: &'static str,
    pub launch: Launch,
    /// What one call is made with.
    pub event: Arc<str>,
    pub answer: Answer,
    /// Whether it calls AWS at all.
    pub calls_aws: bool,
    /// Whether the products exist that it asks for.
    pub has_products: bool,
    /// What its batches are made of, if it takes batches.
    pub messages: Option<Messages>,
    pub zip_bytes: Option<u64>,
}

/// What a right answer is. A wrong one is quick as often as not, and must not be measured for a right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// API Gateway's form, with this status.
    Status(u16),
    /// A partial batch response in which no message failed.
    NoFailures,
}

impl Answer {
    /// Fails with the answer if it is another one.
    pub fn check(self, body: &[u8]) -> Result<()> {
        let answer: Value = serde_json::from_slice(body).context("the answer is not JSON")?;
        let right = match self {
            Self::Status(status) => answer["statusCode"] == status,
            Self::NoFailures => answer["batchItemFailures"].as_array().is_some_and(Vec::is_empty),
        };
        if !right {
            bail!("{self:?} was expected; the answer is {answer}");
        }
        Ok(())
    }
}

/// Builds the floor and the functions, those of `only` if it names any, and unpacks them into `folder`.
pub async fn prepare(
    workspace: &Workspace,
    stack: &Stack,
    only: &[&'static str],
    folder: &Path,
    progress: &Progress,
) -> Result<Vec<Subject>> {
    let chosen: Vec<&'static str> =
        FUNCTIONS.into_iter().filter(|function| only.is_empty() || only.contains(function)).collect();
    let step = progress.step("build the floor and the functions as they are shipped");
    let meter = step.meter();
    meter.length(chosen.len() as u64 + 1);
    let floor = packages::build_crate(
        &workspace.repository(INFRASTRUCTURE).join("bench/floor"),
        stack,
        FLOOR,
        Profile::Release,
        &meter,
    )
    .await?;
    let mut subjects = vec![Subject {
        // The floor reads none of it.
        event: request(workspace, "get-product", None)?,
        answer: Answer::Status(200),
        calls_aws: false,
        has_products: false,
        messages: None,
        ..unpacked(&floor, stack, folder)?
    }];
    meter.advance();
    for function in chosen {
        let package = packages::build(workspace, stack, function, Profile::Release, &meter).await?;
        subjects.push(subject(workspace, unpacked(&package, stack, folder)?)?);
        meter.advance();
    }
    step.done("");
    Ok(subjects)
}

/// A function's events and what they are answered with, by its contract.
fn subject(workspace: &Workspace, bare: Subject) -> Result<Subject> {
    let name = bare.name;
    let api = |body: Option<Value>, status| -> Result<Subject> {
        let event = request(workspace, name, body.as_ref())?;
        Ok(Subject { event, answer: Answer::Status(status), has_products: true, ..bare.clone() })
    };
    let batches = |messages: Messages| -> Result<Subject> {
        Ok(Subject { event: messages.batch(1)?, answer: Answer::NoFailures, messages: Some(messages), ..bare.clone() })
    };
    match name {
        "list-products" | "get-product" => api(None, 200),
        "create-product" => api(Some(product(workspace)?), 202),
        "update-product" => api(None, 202),
        "delete-product" => api(None, 204),
        "product-creator" => batches(Messages::changes(workspace)?),
        "audit-logger" => batches(Messages::stream_records(workspace)?),
        name => bail!("there is no event to measure {name} with"),
    }
}

fn unpacked(package: &Package, stack: &Stack, folder: &Path) -> Result<Subject> {
    let binary = folder.join(package.function);
    unpack(&package.path, &binary).with_context(|| format!("{} cannot be unpacked", package.path.display()))?;
    let variables = vec![
        ("TABLE_NAME", "products".to_owned()),
        ("LIST_SHARDS", SHARDS.to_string()),
        ("CHANGE_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/123456789012/change".to_owned()),
        ("AUDIT_BUCKET", "audit".to_owned()),
    ];
    let log = stack.log(&format!("bench-{}", package.function));
    fs::write(&log, "").with_context(|| format!("{} cannot be written", log.display()))?;
    Ok(Subject {
        name: package.function,
        launch: Launch { command: vec![binary], variables, log },
        event: "".into(),
        answer: Answer::NoFailures,
        calls_aws: true,
        has_products: false,
        messages: None,
        zip_bytes: Some(package.bytes),
    })
}

fn unpack(zip: &Path, binary: &PathBuf) -> Result<()> {
    let mut archive = zip::ZipArchive::new(File::open(zip)?)?;
    io::copy(&mut archive.by_name("bootstrap")?, &mut File::create(binary)?)?;
    fs::set_permissions(binary, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_answer_is_told_from_a_right_one() {
        assert!(Answer::Status(200).check(br#"{"statusCode":200}"#).is_ok());
        let error = Answer::Status(200).check(br#"{"statusCode":404}"#).unwrap_err().to_string();
        assert!(error.contains("Status(200)") && error.contains("404"), "{error}");
        assert!(Answer::NoFailures.check(br#"{"batchItemFailures":[]}"#).is_ok());
        assert!(Answer::NoFailures.check(br#"{"batchItemFailures":[{"itemIdentifier":"1"}]}"#).is_err());
        assert!(Answer::NoFailures.check(b"{}").is_err());
        assert!(Answer::NoFailures.check(b"no").is_err());
    }

    #[test]
    fn every_function_has_an_event() {
        let workspace = Workspace::above(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        for name in FUNCTIONS {
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
            let subject = subject(&workspace, bare).unwrap();
            assert!(subject.event.starts_with('{'), "{name}");
            assert_eq!(subject.messages.is_some(), subject.answer == Answer::NoFailures, "{name}");
        }
    }

    #[test]
    fn the_floor_is_built_as_the_functions_are() {
        let workspace = Workspace::above(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        let profile = |folder: PathBuf| {
            let text = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
            toml::from_str::<toml::Table>(&text).unwrap()["profile"]["release"].clone()
        };
        let floor = profile(workspace.repository(INFRASTRUCTURE).join("bench/floor"));
        for function in FUNCTIONS {
            assert_eq!(profile(workspace.repository(function)), floor, "{function}");
        }
        let toolchain = |folder: PathBuf| fs::read_to_string(folder.join("rust-toolchain.toml")).unwrap();
        assert_eq!(
            toolchain(workspace.repository(INFRASTRUCTURE).join("bench/floor")),
            toolchain(workspace.repository(FUNCTIONS[0]))
        );
    }
}
