//! A stack's status: recorded by `up`, shown by `status`, read by the system tests.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::emulator::Emulator;
use crate::private_file;
use crate::stack::Stack;

/// What `up` found out about a stack, in the file that `catalogctl` reads too. Its credentials open nothing else, and the
/// API key isn't among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    pub environment: String,
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub api_url: String,
    pub endpoint_url: String,
    pub port: u16,
    pub rest_api_id: String,
    pub table_name: String,
    pub change_queue_url: String,
    pub change_dlq_url: String,
    pub audit_queue_url: String,
    pub audit_dlq_url: String,
    pub audit_bucket: String,
    pub functions: BTreeMap<String, FunctionFacts>,
    pub versions: BTreeMap<String, String>,
}

/// One function of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionFacts {
    pub function_name: String,
    /// The published version that the alias points to.
    pub version: String,
    pub zip_bytes: u64,
}

impl Facts {
    /// What the last `up` recorded.
    pub fn read(stack: &Stack) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(stack.facts()).ok()?).ok()
    }

    pub fn write(&self, stack: &Stack) -> Result<()> {
        let json = serde_json::to_vec_pretty(self).context("failed to serialise the stack's status")?;
        fs::write(stack.facts(), json).with_context(|| format!("failed to write {}", stack.facts().display()))
    }
}

/// Writes the API key to its file.
pub fn write_api_key(stack: &Stack, key: &str) -> Result<()> {
    private_file::write(&stack.api_key(), key)
}

/// Whether a stack runs, and where.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    pub state: State,
    #[serde(flatten)]
    pub running: Option<Running>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Running,
    Stopped,
}

/// The status of a running stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    pub pid: u32,
    pub api_key: String,
    #[serde(flatten)]
    pub facts: Facts,
}

impl Status {
    pub fn of(stack: &Stack) -> Result<Self> {
        let running = match (Emulator::running(stack), Facts::read(stack)) {
            (Some(emulator), Some(facts)) => {
                let path = stack.api_key();
                let key = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
                Some(Running { pid: emulator.process.pid, api_key: key.trim().to_owned(), facts })
            }
            _ => None,
        };
        Ok(Self { state: if running.is_some() { State::Running } else { State::Stopped }, running })
    }

    /// The status for people; it names the key's file, not the key.
    pub fn text(&self, stack: &Stack) -> String {
        let Some(running) = &self.running else {
            return format!("The product catalogue is stopped. `cargo xtask up{}` starts it.", stack.option());
        };
        let facts = &running.facts;
        let mut text = format!(
            "The product catalogue is running (process {}).\n  API        {}\n  API key    {}\n  AWS        {} in {} (key id and secret: {})\n  \
             Table      {}\n  Changes    {}\n  Audit      s3://{}\n",
            running.pid,
            facts.api_url,
            stack.api_key().display(),
            facts.endpoint_url,
            facts.region,
            facts.access_key_id,
            facts.table_name,
            facts.change_queue_url,
            facts.audit_bucket,
        );
        for (name, function) in &facts.functions {
            text.push_str(&format!(
                "  {name:<16} version {}, {}\n",
                function.version,
                crate::progress::size(function.zip_bytes)
            ));
        }
        for (name, version) in &facts.versions {
            text.push_str(&format!("  {name:<16} {version}\n"));
        }
        text.truncate(text.trim_end().len());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::identity::Identity;
    use crate::workspace::Workspace;
    use std::os::unix::fs::PermissionsExt;

    fn facts() -> Facts {
        let function =
            FunctionFacts { function_name: "bbws-get-product-dev".into(), version: "1".into(), zip_bytes: 5 };
        Facts {
            environment: "dev".into(),
            region: "eu-west-1".into(),
            access_key_id: "test".into(),
            secret_access_key: "test".into(),
            api_url: "http://127.0.0.1:4566/restapis/a/dev/_user_request_/v1.0".into(),
            endpoint_url: "http://127.0.0.1:4566".into(),
            port: 4566,
            rest_api_id: "a".into(),
            table_name: "products".into(),
            change_queue_url: "c".into(),
            change_dlq_url: "cd".into(),
            audit_queue_url: "a".into(),
            audit_dlq_url: "ad".into(),
            audit_bucket: "bucket".into(),
            functions: [("get-product".into(), function)].into(),
            versions: [("terraform".into(), "1.11.4".into())].into(),
        }
    }

    #[test]
    fn stack_is_stopped_without_emulator() {
        let folder = tempfile::tempdir().unwrap();
        let tool = folder.path().join("product-infrastructure/xtask");
        fs::create_dir_all(&tool).unwrap();
        fs::create_dir_all(folder.path().join(".catalogue")).unwrap();
        fs::write(tool.join("Cargo.toml"), "").unwrap();
        let stack = Stack::new(&Workspace::above(folder.path()).unwrap(), "local");
        facts().write(&stack).unwrap();
        write_api_key(&stack, "old").unwrap();
        write_api_key(&stack, "secret").unwrap();
        assert_eq!(fs::metadata(stack.api_key()).unwrap().permissions().mode() & 0o777, 0o600);

        let stopped = Status::of(&stack).unwrap();
        assert_eq!(stopped.state, State::Stopped);
        let json = serde_json::to_value(&stopped).unwrap();
        assert_eq!((json["state"].as_str(), json.get("apiKey")), (Some("stopped"), None));
        assert!(stopped.text(&stack).contains("cargo xtask up"));

        let emulator = Emulator { process: Identity::of(std::process::id()).unwrap(), port: 4566 };
        fs::write(stack.pid_file(), serde_json::to_vec(&emulator).unwrap()).unwrap();
        let running = Status::of(&stack).unwrap();
        let json = serde_json::to_value(&running).unwrap();
        for (field, value) in [
            ("state", "running"),
            ("apiKey", "secret"),
            ("tableName", "products"),
            ("accessKeyId", "test"),
            ("environment", "dev"),
        ] {
            assert_eq!(json[field], value, "{field}");
        }
        assert_eq!(json["functions"]["get-product"]["functionName"], "bbws-get-product-dev");
        assert_eq!(serde_json::from_value::<Status>(json).unwrap().running.unwrap().facts, facts());
        let text = running.text(&stack);
        assert!(text.contains("api-key") && !text.contains("secret\n"), "{text}");
    }
}
