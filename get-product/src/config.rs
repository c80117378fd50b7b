//! Every environment variable that the function reads.

/// The function's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `TABLE_NAME`: the products table.
    pub table_name: String,
    /// `LOG_LEVEL`: `error`, `warn`, `info` (the default), `debug` or `trace`.
    pub log_level: String,
}

/// A variable that is missing or empty.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {0} is not set")]
pub struct MissingVariable(&'static str);

impl Config {
    /// Reads the process's environment.
    pub fn from_env() -> Result<Self, MissingVariable> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// `lookup` stands in for the environment, which tests cannot change without disturbing one another.
    fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, MissingVariable> {
        let required = |name| lookup(name).filter(|value| !value.is_empty()).ok_or(MissingVariable(name));
        Ok(Self {
            table_name: required("TABLE_NAME")?,
            log_level: required("LOG_LEVEL").unwrap_or_else(|_| "info".to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_variables() {
        let config = Config::read(|name| (name == "TABLE_NAME").then(|| "products".to_owned())).unwrap();
        assert_eq!(config, Config { table_name: "products".to_owned(), log_level: "info".to_owned() });
    }

    #[test]
    fn error_names_missing_or_empty_variable() {
        for value in [None, Some(String::new())] {
            let error = Config::read(|_| value.clone()).unwrap_err();
            assert_eq!(error.to_string(), "the environment variable TABLE_NAME is not set");
        }
    }
}
