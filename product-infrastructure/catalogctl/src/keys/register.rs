//! The register of API keys: which client a key's ID belongs to, also of keys that were deleted.
//!
//! One object of the audit bucket for each key, `clients/KEY_ID.json`, written when the key is deployed. Like a record, an entry
//! can't be overwritten or deleted, so that a record's key ID keeps its client's name.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use anyhow::Result;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;

use super::client::Client;
use crate::audit_bucket::{Body, Bucket, Listed};
use crate::progress::{Meter, Progress};
use audit_log::finding::{Fault, Finding};
use audit_log::lock::Lock;
use audit_log::window::Keys;

/// Entries that are read concurrently.
const MAX_CONCURRENCY: usize = 16;

/// Clients by API key ID.
#[derive(Debug, Clone, Default)]
pub struct Register {
    clients: BTreeMap<String, String>,
    /// What is wrong with entries. Such an entry may name no client.
    pub findings: Vec<Finding>,
}

/// The version of an entry's form: alone, because another version may have other members.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    schema_version: u32,
}

/// An entry's content, as `contracts/register-entry.schema.json` says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    #[serde(rename = "schemaVersion")]
    _schema_version: u32,
    api_key_id: String,
    client: String,
    #[serde(rename = "generation")]
    _generation: NonZeroU32,
}

impl Register {
    /// Reads every entry. Fails when a call fails; an entry that can't be used is a finding.
    pub async fn read(bucket: &Bucket) -> Result<Self> {
        let listed: Vec<Listed> = bucket.list(vec![Keys::of_register()], Meter::hidden()).try_collect().await?;
        let mut entries = stream::iter(listed)
            .map(|listed| async move { bucket.read(&listed).await.map(|(body, lock)| (listed, body, lock)) })
            .buffered(MAX_CONCURRENCY);
        let mut register = Self::default();
        while let Some((listed, body, lock)) = entries.try_next().await? {
            register.take(&listed, &body, lock);
        }
        Ok(register)
    }

    /// Reads the entries of these keys alone, in their current version: enough to show a name, and it needs only s3:GetObject.
    /// A key without an entry has no name. Fails when a call fails.
    pub async fn read_keys(bucket: &Bucket, api_key_ids: &BTreeSet<&str>) -> Result<Self> {
        let mut register = Self::default();
        for id in api_key_ids {
            let listed = Listed::once(format!("clients/{id}.json"));
            register.take(&listed, &bucket.read_key(&listed.key).await?, Lock::Unknown);
        }
        Ok(register)
    }

    /// The same as [`Register::read`], and reports what is wrong with entries.
    pub async fn read_and_report(bucket: &Bucket, progress: &Progress) -> Result<Self> {
        let register = Self::read(bucket).await?;
        for finding in &register.findings {
            progress.say(format!("Register of API keys: {finding}"));
        }
        Ok(register)
    }

    fn take(&mut self, listed: &Listed, body: &Body, lock: Lock) {
        let mut find = |fault, why: &str| self.findings.push(Finding::new(&listed.key, fault, why));
        if listed.versions > 1 {
            find(Fault::Overwritten, "the entry has several versions; the oldest one counts");
        }
        if listed.delete_markers > 0 {
            find(Fault::Deleted, "the entry has a delete marker");
        }
        if let Some(finding) = lock.finding(&listed.key) {
            find(finding.fault, &finding.why);
        }
        let bytes = match body {
            Body::Bytes(bytes) => bytes,
            Body::Archived => return find(Fault::Unreadable, "the entry is archived"),
            // A delete marker is a finding already.
            Body::Gone => return,
        };
        if let Ok(Version { schema_version }) = serde_json::from_slice(bytes)
            && schema_version != 1
        {
            return find(Fault::Unreadable, &format!("unsupported schemaVersion {schema_version} (supported: 1)"));
        }
        match serde_json::from_slice::<Entry>(bytes) {
            Ok(entry) if entry.api_key_id.is_empty() => find(Fault::Unreadable, "the entry has no API key ID"),
            Ok(entry) if listed.key != format!("clients/{}.json", entry.api_key_id) => {
                find(Fault::Key, "the entry is of another API key");
            }
            Ok(entry) if entry.client.parse::<Client>().is_err() => {
                find(Fault::Unreadable, "the entry has no valid client name");
            }
            Ok(entry) => {
                self.clients.insert(entry.api_key_id, entry.client);
            }
            Err(_) => find(Fault::Unreadable, "the entry doesn't match register-entry.schema.json"),
        }
    }

    /// The client that a key belongs to or belonged to.
    pub fn client(&self, api_key_id: &str) -> Option<&str> {
        self.clients.get(api_key_id).map(String::as_str)
    }

    /// Whether any key is the client's.
    pub fn has_client(&self, name: &str) -> bool {
        self.clients.values().any(|client| client == name)
    }

    /// A key for people: `shop (a1b2c3d4e5)`, or the ID alone when the register doesn't have it.
    pub fn describe(&self, api_key_id: &str) -> String {
        match self.client(api_key_id) {
            Some(client) => format!("{client} ({api_key_id})"),
            None => api_key_id.to_owned(),
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A register with these keys and clients.
    pub fn register(entries: &[(&str, &str)]) -> Register {
        let mut register = Register::default();
        for (id, client) in entries {
            let text =
                format!("{{\"apiKeyId\":\"{id}\",\"client\":\"{client}\",\"generation\":1,\"schemaVersion\":1}}");
            let listed = Listed::once(format!("clients/{id}.json"));
            register.take(&listed, &Body::Bytes(text.into_bytes()), Lock::Locked);
        }
        register
    }

    #[test]
    fn names_clients_of_registered_keys() {
        let register = register(&[("k1", "default"), ("k2", "shop")]);
        assert_eq!(register.findings, []);
        assert_eq!((register.client("k2"), register.client("k3")), (Some("shop"), None));
        assert_eq!((register.describe("k2").as_str(), register.describe("k3").as_str()), ("shop (k2)", "k3"));
        assert!(register.has_client("shop") && !register.has_client("k2"));
    }

    #[test]
    fn takes_exactly_the_entries_that_the_contract_allows() {
        let examples = |verdict: &str| {
            let folder = format!("{}/../contracts/examples/register-entry/{verdict}", env!("CARGO_MANIFEST_DIR"));
            let files = std::fs::read_dir(folder).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
            files.collect::<Vec<_>>()
        };
        let schema = include_str!("../../../contracts/register-entry.schema.json");
        let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
        let taken = |bytes: &[u8]| {
            let entry: serde_json::Value = serde_json::from_slice(bytes).unwrap();
            let id = entry["apiKeyId"].as_str().unwrap_or_default();
            let mut register = Register::default();
            let listed = Listed::once(format!("clients/{id}.json"));
            register.take(&listed, &Body::Bytes(bytes.to_vec()), Lock::Locked);
            let faults: Vec<Fault> = register.findings.iter().map(|finding| finding.fault).collect();
            (register.client(id).map(str::to_owned), faults, entry)
        };
        for example in examples("valid") {
            let (client, faults, entry) = taken(&example);
            assert_eq!((client.as_deref(), faults), (entry["client"].as_str(), vec![]), "{entry}");
            assert!(schema.is_valid(&entry), "{entry}");
        }
        for example in examples("invalid") {
            let (client, faults, entry) = taken(&example);
            assert_eq!((client, faults), (None, vec![Fault::Unreadable]), "{entry}");
            assert!(!schema.is_valid(&entry), "{entry}");
        }
    }

    #[test]
    fn reports_entries_that_cannot_be_trusted() {
        let faults = |key: &str, versions, delete_markers, body: Body, lock| {
            let mut register = Register::default();
            let mut listed = Listed::once(key.to_owned());
            (listed.versions, listed.delete_markers) = (versions, delete_markers);
            register.take(&listed, &body, lock);
            register.findings.iter().map(|finding| finding.fault.name()).collect::<Vec<_>>()
        };
        let entry = |text: &str| Body::Bytes(text.as_bytes().to_vec());
        let valid = r#"{"apiKeyId":"k1","client":"shop","generation":1,"schemaVersion":1}"#;
        let key = "clients/k1.json";
        assert_eq!(faults(key, 1, 0, entry(valid), Lock::Locked), [""; 0]);
        assert_eq!(faults(key, 2, 1, entry(valid), Lock::Unlocked), ["OVERWRITTEN", "DELETED", "UNLOCKED"]);
        assert_eq!(faults("clients/k2.json", 1, 0, entry(valid), Lock::Locked), ["KEY"]);
        for body in [
            entry("{}"),
            entry("\u{ff}"),
            entry(&valid.replace("shop", "\u{202e}shop")),
            entry(&valid.replace("\"schemaVersion\":1", "\"schemaVersion\":2")),
            Body::Archived,
        ] {
            assert_eq!(faults(key, 1, 0, body.clone(), Lock::Locked), ["UNREADABLE"], "{body:?}");
        }
        assert_eq!(faults(key, 0, 1, Body::Gone, Lock::Unknown), ["DELETED"]);
    }
}
