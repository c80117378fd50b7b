//! Every environment variable that the function reads.

/// The function's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `TABLE_NAME`: the products table.
    pub table_name: String,
    /// `LIST_SHARDS`: the number of partition keys over which products are spread (1–32). list-products and
    /// product-creator must agree.
    pub list_shards: u32,
    /// `LOG_LEVEL`: `error`, `warn`, `info` (the default), `debug` or `trace`.
    pub log_level: String,
}

/// A missing or invalid variable.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVariable {
    #[error("the environment variable {0} is not set")]
    Missing(&'static str),
    #[error("the environment variable LIST_SHARDS must be an integer from 1 to 32")]
    Shards,
}

impl Config {
    /// Reads the process's environment.
    pub fn from_env() -> Result<Self, InvalidVariable> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// `lookup` takes the place of the environment, which tests running in parallel can't change.
    fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidVariable> {
        let required = |name| lookup(name).filter(|value| !value.is_empty()).ok_or(InvalidVariable::Missing(name));
        let shards = required("LIST_SHARDS")?.parse().ok().filter(|shards| (1..=32).contains(shards));
        Ok(Self {
            table_name: required("TABLE_NAME")?,
            list_shards: shards.ok_or(InvalidVariable::Shards)?,
            log_level: required("LOG_LEVEL").unwrap_or_else(|_| "info".to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(table: &str, shards: &str) -> Result<Config, InvalidVariable> {
        Config::read(|name| match name {
            "TABLE_NAME" => Some(table.to_owned()),
            "LIST_SHARDS" => Some(shards.to_owned()),
            _ => None,
        })
    }

    #[test]
    fn reads_its_variables() {
        for list_shards in [1, 32] {
            let expected = Config { table_name: "products".to_owned(), list_shards, log_level: "info".to_owned() };
            assert_eq!(read("products", &list_shards.to_string()), Ok(expected));
        }
    }

    #[test]
    fn names_missing_or_invalid_variable() {
        for (table, shards, named) in [
            ("", "4", "TABLE_NAME"),
            ("products", "", "LIST_SHARDS"),
            ("products", "0", "LIST_SHARDS"),
            ("products", "33", "LIST_SHARDS"),
            ("products", "many", "LIST_SHARDS"),
        ] {
            assert!(read(table, shards).unwrap_err().to_string().contains(named), "{table:?} {shards:?}");
        }
    }
}
