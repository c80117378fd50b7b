//! Cargo, called from a program that Cargo itself started.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::process::External;

/// Cargo with the environment that a user's shell would give it.
///
/// `cargo xtask` leaves its own traces behind: the toolchain it chose, which would win over a repository's
/// `rust-toolchain.toml`, and the paths of this tool's package.
pub fn command(log: impl Into<PathBuf>) -> External {
    External::new("cargo", log).without_env(traces(std::env::vars_os().map(|(name, _)| name)))
}

/// The variables that Cargo and rustup set for the programs they start. Variables that a user sets for Cargo are kept.
pub fn traces(names: impl Iterator<Item = OsString>) -> Vec<OsString> {
    const EXACT: [&str; 6] = [
        "CARGO",
        "RUSTUP_TOOLCHAIN",
        "RUST_RECURSION_COUNT",
        "CARGO_CRATE_NAME",
        "CARGO_BIN_NAME",
        "CARGO_PRIMARY_PACKAGE",
    ];
    const PREFIXES: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_EXE_"];
    names
        .filter(|name| {
            let name = name.to_string_lossy();
            EXACT.contains(&name.as_ref()) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        })
        .collect()
}

/// The path of the built binary, from Cargo's messages.
pub fn executable(messages: &str, function: &str) -> Option<PathBuf> {
    messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()).find_map(|message| {
        (message["target"]["name"] == function).then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_outer_cargos_variables_and_keeps_the_users() {
        let names =
            ["CARGO", "CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "RUSTUP_TOOLCHAIN", "CARGO_HOME", "CARGO_TARGET_DIR"];
        let removed = traces(names.map(OsString::from).into_iter());
        assert_eq!(removed, ["CARGO", "CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "RUSTUP_TOOLCHAIN"]);
    }

    #[test]
    fn finds_binary_in_cargos_messages() {
        let messages = concat!(
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"get_product\"},\"executable\":null}\n",
            "not JSON\n",
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"get-product\"},\"executable\":\"/t/get-product\"}\n",
        );
        assert_eq!(executable(messages, "get-product"), Some(PathBuf::from("/t/get-product")));
        assert_eq!(executable(messages, "list-products"), None);
    }
}
