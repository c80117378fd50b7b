//! A client of the API, by the name that `clients` in `terraform/api-keys` gives it.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// The client that exists without being declared.
const DEFAULT: &str = "default";

/// A client's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client(String);

impl Default for Client {
    fn default() -> Self {
        Self(DEFAULT.to_owned())
    }
}

impl Client {
    pub fn is_default(&self) -> bool {
        self.0 == DEFAULT
    }

    pub fn name(&self) -> &str {
        &self.0
    }

    /// The option that names this client on a command line, for messages; empty for the default client.
    pub fn option(&self) -> String {
        if self.is_default() { String::new() } else { format!(" --client {self}") }
    }

    /// The secret that holds the client's current key in an environment.
    pub fn secret(&self, environment: &str) -> String {
        let secret = format!("bbws/product-api/key-{environment}");
        if self.is_default() { secret } else { format!("{secret}/{self}") }
    }

    /// The usage plan of the client's keys in an environment.
    pub fn usage_plan(&self, environment: &str) -> String {
        let plan = format!("bbws-product-api-{environment}");
        if self.is_default() { plan } else { format!("{plan}-{self}") }
    }

    /// Client and generation of an environment's API key; `None` if the name isn't that of such a key.
    pub fn of_key(name: &str, environment: &str) -> Option<(Self, u32)> {
        let end = name.strip_prefix(&format!("bbws-product-api-{environment}-"))?;
        match end.rsplit_once('-') {
            Some((client, generation)) => Some((client.parse().ok()?, generation.parse().ok()?)),
            None => Some((Self::default(), end.parse().ok()?)),
        }
    }
}

impl FromStr for Client {
    type Err = String;

    /// The rule is that of the Terraform variable `clients`.
    fn from_str(name: &str) -> Result<Self, String> {
        let is_allowed = |character: char| matches!(character, 'a'..='z' | '0'..='9' | '-');
        let is_valid = (1..=30).contains(&name.len())
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && !name.ends_with('-')
            && name.chars().all(is_allowed);
        if is_valid {
            return Ok(Self(name.to_owned()));
        }
        Err("must be 1 to 30 lower-case letters, digits and hyphens, begin with a letter and end with a letter or a digit"
            .to_owned())
    }
}

impl fmt::Display for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for Client {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_client_and_environment() {
        let shop: Client = "shop".parse().unwrap();
        assert_eq!(shop.secret("dev"), "bbws/product-api/key-dev/shop");
        assert_eq!(shop.usage_plan("dev"), "bbws-product-api-dev-shop");
        assert_eq!(Client::default().secret("dev"), "bbws/product-api/key-dev");
        assert_eq!(Client::default().usage_plan("dev"), "bbws-product-api-dev");
        assert_eq!((shop.option().as_str(), Client::default().option().as_str()), (" --client shop", ""));
    }

    #[test]
    fn key_names_have_client_and_generation() {
        let of_key =
            |name: &str| Client::of_key(name, "dev").map(|(client, generation)| (client.to_string(), generation));
        for (name, expected) in [
            ("bbws-product-api-dev-3", Some(("default", 3))),
            ("bbws-product-api-dev-shop-1", Some(("shop", 1))),
            ("bbws-product-api-dev-shop-2-1", Some(("shop-2", 1))),
            ("bbws-product-api-dev-shop", None),
            ("bbws-product-api-dev-Shop-1", None),
            ("bbws-product-api-sit-1", None),
        ] {
            let expected = expected.map(|(client, generation)| (client.to_owned(), generation));
            assert_eq!(of_key(name), expected, "{name}");
        }
    }

    #[test]
    fn rejects_names_that_terraform_rejects() {
        for name in ["", "1", "shop-", "-shop", "Shop", "shop/eu", "shöp", &"a".repeat(31)] {
            assert!(name.parse::<Client>().is_err(), "{name}");
        }
        for name in ["a", "shop-2", &"a".repeat(30)] {
            assert!(name.parse::<Client>().is_ok(), "{name}");
        }
        let variables = include_str!("../../../terraform/api-keys/variables.tf");
        assert!(variables.contains(r#"regex("^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$", name)"#), "the rule has changed");
    }
}
