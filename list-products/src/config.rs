//! Every environment variable that the function reads.

/// The function's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `TABLE_NAME`: the products table.
    pub table_name: String,
    /// `LIST_SHARDS`: over how many partition keys the active products are spread (1–32), as in product-creator.
    pub list_shards: u32,
    /// `LOG_LEVEL`: `error`, `warn`, `info` (the default), `debug` or `trace`.
    pub log_level: String,
}

/// A variable that is missing or cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVariable {
    #[error("the environment variable {0} is not set")]
    Missing(&'static str),
    #[error("the environment variable LIST_SHARDS must be a whole number from 1 to 32")]
    Shards,
}

impl Config {
    /// Reads the process's environment.
    pub fn from_env() -> Result<Self, InvalidVariable> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// `lookup` stands in for the environment, which tests cannot change without disturbing one another.
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
        let expected = Config { table_name: "products".to_owned(), list_shards: 4, log_level: "info".to_owned() };
        assert_eq!(read("products", "4"), Ok(expected));
    }

    #[test]
    fn a_variable_that_is_missing_or_wrong_names_itself() {
        for (table, shards, named) in [
            ("", "4", "TABLE_NAME"),
            ("products", "", "LIST_SHARDS"),
            ("products", "0", "LIST_SHARDS"),
            ("products", "many", "LIST_SHARDS"),
        ] {
            assert!(read(table, shards).unwrap_err().to_string().contains(named), "{table:?} {shards:?}");
        }
    }
}
