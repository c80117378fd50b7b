//! Every environment variable that the function reads.

/// The function's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `AUDIT_BUCKET`: the bucket of the audit log.
    pub audit_bucket: String,
    /// `LOG_LEVEL`: `error`, `warn`, `info` (the default), `debug` or `trace`.
    pub log_level: String,
}

/// A missing or empty variable.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {0} is not set")]
pub struct MissingVariable(&'static str);

impl Config {
    /// Reads the process's environment.
    pub fn from_env() -> Result<Self, MissingVariable> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// `lookup` takes the place of the environment, which tests running in parallel can't change.
    fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, MissingVariable> {
        let required = |name| lookup(name).filter(|value| !value.is_empty()).ok_or(MissingVariable(name));
        Ok(Self {
            audit_bucket: required("AUDIT_BUCKET")?,
            log_level: required("LOG_LEVEL").unwrap_or_else(|_| "info".to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_variables() {
        let config = Config::read(|name| (name == "AUDIT_BUCKET").then(|| "audit".to_owned())).unwrap();
        assert_eq!(config, Config { audit_bucket: "audit".to_owned(), log_level: "info".to_owned() });
    }

    #[test]
    fn names_missing_or_empty_variable() {
        for value in [None, Some(String::new())] {
            let error = Config::read(|_| value.clone()).unwrap_err();
            assert_eq!(error.to_string(), "the environment variable AUDIT_BUCKET is not set");
        }
    }
}
