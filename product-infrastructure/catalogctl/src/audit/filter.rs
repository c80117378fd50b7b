//! Which records of a window a command selects.

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::history::product;
use crate::keys::register::Register;
use audit_log::finding::Finding;
use audit_log::ids::ProductId;
use audit_log::record::Record;

/// The options that select records. Each can be repeated: one of its values must match. All options that are given must match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Serialize)]
#[command(next_help_heading = "Filter")]
pub struct Filter {
    /// Records of this product; repeatable
    #[arg(long = "product", value_name = "ID", value_parser = product)]
    #[serde(rename = "product", skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<ProductId>,
    /// Changes requested with this API key ID or from this source address; repeatable
    #[arg(long = "actor", value_name = "ACTOR")]
    #[serde(rename = "actor", skip_serializing_if = "Vec::is_empty")]
    pub actors: Vec<String>,
    /// Changes requested with a key of this client, past and present keys; repeatable
    #[arg(long = "client", value_name = "NAME")]
    #[serde(rename = "client", skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<String>,
    /// Changes of this type; repeatable
    #[arg(long = "type", value_name = "TYPE", value_enum, ignore_case = true)]
    #[serde(rename = "type", skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<ChangeType>,
    /// Changes with this outcome; repeatable
    #[arg(long = "outcome", value_name = "OUTCOME", value_enum, ignore_case = true)]
    #[serde(rename = "outcome", skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<Outcome>,
}

/// What kind of change a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ChangeType {
    Create,
    /// A PUT or a PATCH.
    Update,
    Delete,
    /// Made outside the API.
    #[value(alias = "out_of_band")]
    OutOfBand,
}

impl ChangeType {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::OutOfBand => "OUT_OF_BAND",
        }
    }
}

/// What became of a change that was requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    Applied,
    Rejected,
    Superseded,
    Duplicate,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Applied => "APPLIED",
            Self::Rejected => "REJECTED",
            Self::Superseded => "SUPERSEDED",
            Self::Duplicate => "DUPLICATE",
        }
    }
}

impl Filter {
    /// Fails when a client has no key in the register: its name is misspelt, or it never had one.
    pub fn check(&self, register: &Register) -> Result<()> {
        for client in &self.clients {
            ensure!(register.has_client(client), "client {client:?} has no API key in the register of keys");
        }
        Ok(())
    }

    /// Whether the record matches. A change made outside the API has neither actor nor outcome.
    pub fn selects(&self, record: &Record, register: &Register) -> bool {
        let document = record.document();
        let text = |path: &str| document.pointer(path).and_then(|value| value.as_str()).unwrap_or_default();
        let change_type = match record {
            Record::Change(_) => text("/type"),
            Record::OutOfBand(_) => ChangeType::OutOfBand.name(),
        };
        let one_of = |expected: &[&str], found: &[&str]| {
            expected.is_empty() || expected.iter().any(|expected| found.contains(expected))
        };
        let clients: Vec<&str> = self.clients.iter().map(String::as_str).collect();
        let actors: Vec<&str> = self.actors.iter().map(String::as_str).collect();
        let types: Vec<&str> = self.types.iter().map(|kind| kind.name()).collect();
        let outcomes: Vec<&str> = self.outcomes.iter().map(|outcome| outcome.name()).collect();
        (self.products.is_empty() || record.product_id().is_some_and(|id| self.products.contains(&id)))
            && one_of(&actors, &[text("/actor/apiKeyId"), text("/actor/sourceIp")])
            && one_of(&clients, &[register.client(text("/actor/apiKeyId")).unwrap_or_default()])
            && one_of(&types, &[change_type])
            && one_of(&outcomes, &[text("/outcome")])
    }

    /// Whether an object that can't be read may be a record that matches: unless it is known to be of another product.
    pub fn may_select(&self, unreadable: &Finding) -> bool {
        self.products.is_empty() || unreadable.product_id.is_none_or(|id| self.products.contains(&id))
    }

    /// The filter as it was typed, such as `--type DELETE --actor k`; `None` if it selects every record.
    pub fn describe(&self) -> Option<String> {
        let options = |option: &str, values: Vec<String>| {
            values.into_iter().map(|value| format!("--{option} {value}")).collect::<Vec<_>>()
        };
        let parts = [
            options("product", self.products.iter().map(ToString::to_string).collect()),
            options("actor", self.actors.clone()),
            options("client", self.clients.clone()),
            options("type", self.types.iter().map(|kind| kind.name().to_owned()).collect()),
            options("outcome", self.outcomes.iter().map(|outcome| outcome.name().to_owned()).collect()),
        ]
        .concat();
        (!parts.is_empty()).then(|| parts.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use audit_log::finding::Fault;
    use audit_log::record::{OutOfBand, check_entry};
    use clap::Parser;

    use crate::keys::register::tests::register;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        filter: Filter,
    }

    fn filter(arguments: &[&str]) -> Filter {
        Program::parse_from([&["program"], arguments].concat()).filter
    }

    /// A golden example of the contract.
    fn example(name: &str) -> Record {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts/examples/journal-entry/valid");
        let text = std::fs::read_to_string(format!("{folder}/{name}.json")).unwrap();
        Record::Change(Box::new(check_entry(name, serde_json::from_str(&text).unwrap()).unwrap()))
    }

    #[test]
    fn options_select_by_any_value_and_together() {
        let update = example("life-4-update-applied");
        let id = update.product_id().unwrap().to_string();
        let actor = update.document()["actor"]["apiKeyId"].as_str().unwrap().to_owned();
        let address = update.document()["actor"]["sourceIp"].as_str().unwrap().to_owned();
        let register = register(&[(&actor, "shop"), ("another", "feed")]);
        let other = "3f0c2f5e-8d1b-4c6a-9e57-000000000009";
        for (arguments, expected) in [
            (vec![], true),
            (vec!["--product", &id], true),
            (vec!["--product", other], false),
            (vec!["--product", other, "--product", &id], true),
            (vec!["--actor", &actor], true),
            (vec!["--actor", &address], true),
            (vec!["--actor", "nobody"], false),
            (vec!["--client", "shop"], true),
            (vec!["--client", "feed"], false),
            (vec!["--client", "feed", "--client", "shop"], true),
            (vec!["--type", "UPDATE"], true),
            (vec!["--type", "update", "--type", "delete"], true),
            (vec!["--type", "delete"], false),
            (vec!["--outcome", "applied", "--type", "update"], true),
            (vec!["--outcome", "rejected", "--type", "update"], false),
        ] {
            assert_eq!(filter(&arguments).selects(&update, &register), expected, "{arguments:?}");
        }
    }

    #[test]
    fn change_outside_the_api_has_no_outcome() {
        let document = serde_json::json!({"recordType": "OUT_OF_BAND", "changeType": "MODIFY"});
        let edit = Record::OutOfBand(Box::new(OutOfBand {
            product_id: None,
            by_ttl: false,
            observed_at: 0,
            form: None,
            document,
        }));
        assert!(
            filter(&["--type", "out-of-band"]).selects(&edit, &Register::default())
                && filter(&["--type", "OUT_OF_BAND"]).selects(&edit, &Register::default())
        );
        assert!(!filter(&["--outcome", "applied"]).selects(&edit, &Register::default()));
        assert!(!filter(&["--type", "update"]).selects(&edit, &Register::default()));
    }

    #[test]
    fn unreadable_objects_are_left_out_only_if_they_are_of_another_product() {
        let unreadable = Finding::new("a", Fault::Unreadable, "why");
        let id = "3f0c2f5e-8d1b-4c6a-9e57-000000000001";
        let known = unreadable.clone().of(product(id).unwrap());
        assert!(filter(&["--type", "delete"]).may_select(&unreadable) && filter(&["--product", id]).may_select(&known));
        assert!(filter(&["--product", id]).may_select(&unreadable));
        assert!(!filter(&["--product", "3f0c2f5e-8d1b-4c6a-9e57-000000000002"]).may_select(&known));
    }

    #[test]
    fn rejects_client_without_a_key() {
        let register = register(&[("k", "shop")]);
        assert!(filter(&["--client", "shop"]).check(&register).is_ok());
        assert!(filter(&["--client", "shpo"]).check(&register).is_err());
    }

    #[test]
    fn describes_itself_as_typed() {
        assert_eq!(Filter::default().describe(), None);
        let arguments = ["--actor", "k", "--client", "shop", "--type", "DELETE", "--outcome", "APPLIED"];
        assert_eq!(filter(&arguments).describe(), Some(arguments.join(" ")));
    }
}
