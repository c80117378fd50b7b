//! Every environment variable that the function reads.

/// The function's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `TABLE_NAME`: the products table.
    pub table_name: String,
    /// `CHANGE_QUEUE_URL`: the queue that product-creator reads.
    pub change_queue_url: String,
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
            change_queue_url: required("CHANGE_QUEUE_URL")?,
            log_level: required("LOG_LEVEL").unwrap_or_else(|_| "info".to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_variables() {
        let config = Config::read(|name| (name != "LOG_LEVEL").then(|| name.to_lowercase())).unwrap();
        assert_eq!((config.table_name.as_str(), config.change_queue_url.as_str()), ("table_name", "change_queue_url"));
        assert_eq!(config.log_level, "info");
    }

    #[test]
    fn error_names_missing_or_empty_variable() {
        for name in ["TABLE_NAME", "CHANGE_QUEUE_URL"] {
            for value in [None, Some(String::new())] {
                let error = Config::read(|asked| if asked == name { value.clone() } else { Some("x".to_owned()) });
                assert_eq!(error.unwrap_err().to_string(), format!("the environment variable {name} is not set"));
            }
        }
    }
}
