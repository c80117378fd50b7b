//! All lock files choose the same version of a crate.
//!
//! Each repository locks for itself, so nothing keeps them together but this check. Apart, the same dependency is compiled
//! several times, and a fix of a flaw reaches some functions and not others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, bail};
use semver::Version;
use serde::Deserialize;

use super::tally::Tally;
use crate::workspace::{INFRASTRUCTURE, Workspace};

#[derive(Deserialize)]
struct LockFile {
    #[serde(default)]
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: Version,
}

/// Versions of one crate that Cargo would treat as interchangeable, and who locks which.
type Versions = BTreeMap<Version, BTreeSet<&'static str>>;

pub fn check(workspace: &Workspace) -> Result<Tally> {
    let mut files = Vec::new();
    // The program that get-product is measured beside: what differs must be the choices, not the versions.
    let compared = ("bench/defaults", workspace.repository(INFRASTRUCTURE).join("bench/defaults"));
    let repositories = workspace.repositories().map(|name| (name, workspace.repository(name)));
    for (repository, folder) in repositories.chain([compared]) {
        let path = folder.join("Cargo.lock");
        let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        files.push((repository, text));
    }
    let differing = differing(&files)?;
    if !differing.is_empty() {
        bail!(
            "the lock files differ; `cargo update CRATE --precise VERSION` in a repository aligns it:\n{}",
            differing.join("\n")
        );
    }
    Ok(Tally::default())
}

fn differing(files: &[(&'static str, String)]) -> Result<Vec<String>> {
    let mut crates: BTreeMap<(String, (u64, u64, u64)), Versions> = BTreeMap::new();
    for (repository, text) in files {
        let lock: LockFile =
            toml::from_str(text).with_context(|| format!("the lock file of {repository} is invalid"))?;
        for package in lock.package {
            let series = series(&package.version);
            crates.entry((package.name, series)).or_default().entry(package.version).or_default().insert(repository);
        }
    }
    let describe = |(name, versions): (String, Versions)| {
        let versions = versions.into_iter().map(|(version, repositories)| {
            format!("{version} in {}", repositories.into_iter().collect::<Vec<_>>().join(", "))
        });
        format!("  {name}: {}", versions.collect::<Vec<_>>().join("; "))
    };
    let split = crates.into_iter().filter(|(_, versions)| versions.len() > 1);
    Ok(split.map(|((name, _), versions)| describe((name, versions))).collect())
}

/// What versions that can stand in for each other share: the numbers up to the first that is not zero. Two versions that
/// differ in it may both be needed.
fn series(version: &Version) -> (u64, u64, u64) {
    match (version.major, version.minor) {
        (0, 0) => (0, 0, version.patch),
        (0, minor) => (0, minor, 0),
        (major, _) => (major, 0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(packages: &[(&str, &str)]) -> String {
        packages
            .iter()
            .map(|(name, version)| format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n"))
            .collect()
    }

    #[test]
    fn reports_crate_locked_in_two_versions() {
        let files = [
            ("get-product", lock(&[("tokio", "1.54.1"), ("syn", "1.0.109"), ("syn", "2.0.1")])),
            ("list-products", lock(&[("tokio", "1.54.0"), ("syn", "2.0.1")])),
        ];
        assert_eq!(differing(&files).unwrap(), ["  tokio: 1.54.0 in list-products; 1.54.1 in get-product"]);
        assert!(differing(&files[..1]).unwrap().is_empty());
    }

    #[test]
    fn versions_are_grouped_as_cargo_groups_them() {
        let cases = [
            ("1.2.3", (1, 0, 0)),
            ("0.12.1", (0, 12, 0)),
            ("0.0.7", (0, 0, 7)),
            ("0.0.0", (0, 0, 0)),
            ("1.0.0-rc.1", (1, 0, 0)),
        ];
        for (version, expected) in cases {
            assert_eq!(series(&version.parse().unwrap()), expected);
        }
    }
}
