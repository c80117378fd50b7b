//! The generations of each client's API key that the Terraform root `terraform/api-keys` declares, and how a rotation changes
//! them.
//!
//! They are in a file of Terraform variables of their own, in JSON, because a program writes it: `{env}.key-generations.tfvars.json`
//! beside the environment's other variables.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::client::Client;

/// Generations of a client's API key, oldest first; the last is the current one, which the secret holds.
///
/// At most two: the rotation's old and new key. The members are named like the Terraform variables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generations {
    pub key_generations: Vec<u32>,
    #[serde(default)]
    pub disabled_generations: Vec<u32>,
}

/// The file of variables: the generations of the default client, and those of the others by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variables {
    key_generations: Vec<u32>,
    disabled_generations: Vec<u32>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    client_key_generations: BTreeMap<String, Generations>,
}

/// A step of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// Show the rotation's state
    Show,
    /// Add a second key, valid beside the first; the secret then holds the second. Then move the clients over
    Begin,
    /// Disable the old key. It can be enabled again
    Finish,
    /// Undo `finish`: enable the old key again, such as for a client that was forgotten
    Reopen,
    /// Delete the old key for good
    Remove,
}

impl Generations {
    /// The Terraform variables' defaults.
    pub fn initial() -> Self {
        Self { key_generations: vec![1], disabled_generations: Vec::new() }
    }

    /// The generation that a rotation replaces, while there are two.
    pub fn old(&self) -> Option<u32> {
        match self.key_generations[..] {
            [old, _] => Some(old),
            _ => None,
        }
    }

    /// The generation that the secret holds.
    pub fn current(&self) -> u32 {
        *self.key_generations.last().expect("validated: there is at least one generation")
    }

    /// The generations after a step. A step that was already taken changes nothing.
    pub fn after(&self, step: Step) -> Result<Self> {
        let current = self.current();
        let (keys, disabled) = match (step, self.old(), self.disabled_generations.is_empty()) {
            (Step::Show, ..)
            | (Step::Begin | Step::Reopen, Some(_), true)
            | (Step::Finish, Some(_), false)
            | (Step::Remove, None, _) => return Ok(self.clone()),
            (Step::Begin, None, _) => (vec![current, current + 1], vec![]),
            (Step::Begin, Some(old), false) => bail!(
                "generation {old} is disabled and not yet removed, and at most two generations can exist. Run \
                 `keys rotate remove` first"
            ),
            (Step::Finish, Some(old), true) => (self.key_generations.clone(), vec![old]),
            (Step::Finish, None, _) => {
                bail!("generation {current} is the only key. Run `keys rotate begin` first")
            }
            (Step::Reopen, Some(_), false) => (self.key_generations.clone(), vec![]),
            (Step::Reopen, None, _) => {
                bail!("generation {current} is the only key and is enabled. A removed key can't be restored")
            }
            (Step::Remove, Some(_), false) => (vec![current], vec![]),
            (Step::Remove, Some(old), true) => bail!(
                "generation {old} is still enabled, and a removed key can't be restored. Run `keys rotate finish` first"
            ),
        };
        Ok(Self { key_generations: keys, disabled_generations: disabled })
    }

    /// Fails unless they follow the rules of the Terraform variables' validations.
    fn check(&self) -> Result<()> {
        let keys = &self.key_generations;
        ensure!(matches!(keys.len(), 1 | 2), "key_generations must have one or two generations");
        ensure!(
            keys[0] > 0 && keys.is_sorted_by(|a, b| a < b),
            "key_generations must be ascending and start at 1 or more"
        );
        let disabled = &self.disabled_generations;
        ensure!(
            disabled.is_empty() || (disabled.len() == 1 && self.old() == Some(disabled[0])),
            "disabled_generations must be empty or have the older of two generations"
        );
        Ok(())
    }
}

impl Variables {
    /// The variables that declare these generations of the default client and no others.
    pub fn new(default_client: Generations) -> Self {
        Self {
            key_generations: default_client.key_generations,
            disabled_generations: default_client.disabled_generations,
            client_key_generations: BTreeMap::new(),
        }
    }

    /// The generations that are declared for a client; `None` for another than the default client that isn't listed.
    pub fn of(&self, client: &Client) -> Option<Generations> {
        if client.is_default() {
            return Some(Generations {
                key_generations: self.key_generations.clone(),
                disabled_generations: self.disabled_generations.clone(),
            });
        }
        self.client_key_generations.get(client.name()).cloned()
    }

    /// The same variables with other generations of a client.
    pub fn with(mut self, client: &Client, generations: Generations) -> Self {
        if client.is_default() {
            let Generations { key_generations, disabled_generations } = generations;
            return Self { key_generations, disabled_generations, ..self };
        }
        self.client_key_generations.insert(client.name().to_owned(), generations);
        self
    }

    /// Reads a file of variables; `None` when it doesn't exist.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let json = match fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            json => json.with_context(|| format!("failed to read {}", path.display()))?,
        };
        Self::parse(&json).map(Some).with_context(|| format!("failed to parse {}", path.display()))
    }

    /// Writes a file of variables.
    pub fn write(&self, path: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(self)? + "\n";
        fs::write(path, json).with_context(|| format!("failed to write {}", path.display()))
    }

    fn parse(json: &str) -> Result<Self> {
        let found: Self = serde_json::from_str(json)?;
        found.of(&Client::default()).map_or(Ok(()), |generations| generations.check())?;
        for (client, generations) in &found.client_key_generations {
            client.parse::<Client>().map_err(|why| anyhow::anyhow!("client {client:?} {why}"))?;
            generations.check().with_context(|| format!("client {client}"))?;
        }
        Ok(found)
    }
}

impl std::fmt::Display for Generations {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "key_generations = {:?}, disabled_generations = {:?}",
            self.key_generations, self.disabled_generations
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generations(keys: &[u32], disabled: &[u32]) -> Generations {
        Generations { key_generations: keys.to_vec(), disabled_generations: disabled.to_vec() }
    }

    #[test]
    fn rotation_goes_from_one_key_over_two_to_the_next() {
        let one = generations(&[1], &[]);
        let both = one.after(Step::Begin).unwrap();
        assert_eq!(both, generations(&[1, 2], &[]));
        let disabled = both.after(Step::Finish).unwrap();
        assert_eq!(disabled, generations(&[1, 2], &[1]));
        assert_eq!(disabled.after(Step::Reopen).unwrap(), both);
        let removed = disabled.after(Step::Remove).unwrap();
        assert_eq!(removed, generations(&[2], &[]));
        assert_eq!(removed.after(Step::Begin).unwrap(), generations(&[2, 3], &[]));
    }

    #[test]
    fn repeated_step_changes_nothing() {
        for (found, step) in [
            (generations(&[1, 2], &[]), Step::Begin),
            (generations(&[1, 2], &[1]), Step::Finish),
            (generations(&[1, 2], &[]), Step::Reopen),
            (generations(&[2], &[]), Step::Remove),
            (generations(&[1, 2], &[1]), Step::Show),
        ] {
            assert_eq!(found.after(step).unwrap(), found, "{step:?}");
        }
    }

    #[test]
    fn step_out_of_order_names_the_first_one() {
        for (found, step, first) in [
            (generations(&[1, 2], &[1]), Step::Begin, "`keys rotate remove` first"),
            (generations(&[1], &[]), Step::Finish, "`keys rotate begin` first"),
            (generations(&[1, 2], &[]), Step::Remove, "`keys rotate finish` first"),
            (generations(&[2], &[]), Step::Reopen, "can't be restored"),
        ] {
            let error = found.after(step).unwrap_err().to_string();
            assert!(error.contains(first), "{step:?}: {error}");
        }
    }

    #[test]
    fn written_file_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("dev.key-generations.tfvars.json");
        assert_eq!(Variables::read(&file).unwrap(), None);
        for generations in [generations(&[1], &[]), generations(&[1, 2], &[1]), generations(&[7], &[])] {
            let variables = Variables::new(generations.clone());
            variables.write(&file).unwrap();
            assert!(!fs::read_to_string(&file).unwrap().contains("client"), "no client is declared");
            assert_eq!(Variables::read(&file).unwrap(), Some(variables));
        }
    }

    #[test]
    fn each_client_has_generations_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("dev.key-generations.tfvars.json");
        let (default, shop, feed) = (Client::default(), "shop".parse().unwrap(), "feed".parse().unwrap());
        let variables = Variables::new(generations(&[2], &[])).with(&shop, generations(&[3, 4], &[3]));
        variables.write(&file).unwrap();
        let read = Variables::read(&file).unwrap().unwrap();
        assert_eq!(read.of(&default), Some(generations(&[2], &[])));
        assert_eq!((read.of(&shop), read.of(&feed)), (Some(generations(&[3, 4], &[3])), None));
        let after = read.with(&default, generations(&[2, 3], &[]));
        assert_eq!((after.of(&default), after.of(&shop)), (Some(generations(&[2, 3], &[])), variables.of(&shop)));
    }

    #[test]
    fn rejects_impossible_generations() {
        for (keys, disabled) in [
            ("[]", "[]"),
            ("[2, 1]", "[]"),
            ("[1, 1]", "[]"),
            ("[1, 2, 3]", "[]"),
            ("[0]", "[]"),
            ("[1.5]", "[]"),
            ("[1]", "[1]"),
            ("[1, 2]", "[2]"),
            ("[1, 2]", "[1, 1]"),
            ("[1, 2]", "[], \"other\": 1"),
        ] {
            let json = format!("{{\"key_generations\": {keys}, \"disabled_generations\": {disabled}}}");
            assert!(Variables::parse(&json).is_err(), "{json}");
        }
        for clients in ["{\"shop\": {\"key_generations\": []}}", "{\"Shop\": {\"key_generations\": [1]}}"] {
            let json = format!(
                "{{\"key_generations\": [1], \"disabled_generations\": [], \"client_key_generations\": {clients}}}"
            );
            assert!(Variables::parse(&json).is_err(), "{json}");
        }
    }

    #[test]
    fn terraform_root_has_the_variables_and_their_defaults() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../terraform/api-keys");
        let variables = fs::read_to_string(root.join("variables.tf")).unwrap();
        for (name, default) in
            [("key_generations", "[1]"), ("disabled_generations", "[]"), ("client_key_generations", "{}")]
        {
            let (_, variable) = variables.split_once(&format!("variable \"{name}\" {{")).expect(name);
            let variable = variable.split("\nvariable ").next().unwrap();
            let found =
                variable.lines().filter_map(|line| line.trim().strip_prefix("default")?.trim().strip_prefix("= "));
            assert_eq!(found.collect::<Vec<_>>(), [default], "{name}");
        }
    }
}
