//! Repositories side by side, and nothing else; none of them reaches into another.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::tally::Tally;
use crate::git::listed_files;
use crate::workspace::Workspace;

/// Besides the repositories and dot files.
const README: &str = "README.md";

pub async fn check(workspace: &Workspace, log: &Path) -> Result<Tally> {
    let files = listed_files(workspace.root(), log).await?;
    let mut findings = surplus_and_missing(workspace, &files);
    for repository in workspace.repositories() {
        let manifests = files.iter().filter(|file| file.starts_with(repository) && file.ends_with("Cargo.toml"));
        for manifest in manifests {
            let path = workspace.root().join(manifest);
            let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
            findings.extend(outside_paths(repository, manifest.parent().unwrap_or(Path::new("")), &text)?);
        }
    }
    if !findings.is_empty() {
        bail!("{}", findings.join("\n"));
    }
    Ok(Tally::default())
}

fn surplus_and_missing(workspace: &Workspace, files: &[PathBuf]) -> Vec<String> {
    let top: BTreeSet<String> = files
        .iter()
        .filter_map(|file| file.components().next())
        .map(|component| component.as_os_str().to_string_lossy().into_owned())
        .collect();
    let expected: BTreeSet<&str> = workspace.repositories().chain([README]).collect();
    let surplus = top.iter().filter(|name| !name.starts_with('.') && !expected.contains(name.as_str()));
    let missing = expected.iter().filter(|name| !top.contains(**name));
    surplus
        .map(|name| {
            format!("{name} does not belong to the top level, which holds the repositories, {README} and dot files")
        })
        .chain(missing.map(|name| format!("{name} is missing at the top level")))
        .collect()
}

/// The `path`s in a manifest that lead out of their repository.
fn outside_paths(repository: &str, folder: &Path, manifest: &str) -> Result<Vec<String>> {
    let manifest: toml::Table =
        toml::from_str(manifest).with_context(|| format!("the Cargo.toml of {repository} is invalid"))?;
    let mut paths = Vec::new();
    collect_paths(&toml::Value::Table(manifest), &mut paths);
    let outside = paths.into_iter().filter(|path| !stays_below(Path::new(repository), &folder.join(path)));
    Ok(outside
        .map(|path| format!("{repository} depends on {path:?}, outside itself; it must build when it is copied alone"))
        .collect())
}

fn collect_paths(value: &toml::Value, paths: &mut Vec<String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                match value {
                    toml::Value::String(path) if key == "path" => paths.push(path.clone()),
                    value => collect_paths(value, paths),
                }
            }
        }
        toml::Value::Array(values) => values.iter().for_each(|value| collect_paths(value, paths)),
        _ => {}
    }
}

/// Whether a relative path, its `..` resolved, lies below `top`.
fn stays_below(top: &Path, path: &Path) -> bool {
    let mut resolved = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                if !resolved.pop() {
                    return false;
                }
            }
            Component::CurDir => {}
            Component::Normal(name) => resolved.push(name),
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    resolved.starts_with(top)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(workspace: &Workspace) -> Vec<PathBuf> {
        workspace
            .repositories()
            .map(|name| Path::new(name).join("README.md"))
            .chain([README.into(), ".ci/run".into()])
            .collect()
    }

    #[test]
    fn top_level_has_only_repositories_and_dot_files() {
        let workspace = crate::workspace::fixture::workspace(&["get-product", "list-products"]);
        assert_eq!(surplus_and_missing(&workspace, &complete(&workspace)), Vec::<String>::new());
        let mut files = complete(&workspace);
        files.push("Makefile".into());
        files.retain(|file| !file.starts_with("get-product"));
        let findings = surplus_and_missing(&workspace, &files);
        assert_eq!(findings.len(), 2);
        assert!(
            findings[0].starts_with("Makefile") && findings[1].starts_with("get-product is missing"),
            "{findings:?}"
        );
    }

    #[test]
    fn finds_dependency_on_sibling_in_any_table() {
        let check = |manifest: &str| outside_paths("get-product", Path::new("get-product"), manifest).unwrap().len();
        assert_eq!(check("[dependencies]\nmodels = { path = \"../list-products\" }"), 1);
        assert_eq!(check("[target.'cfg(unix)'.dev-dependencies.models]\npath = \"/elsewhere\""), 1);
        assert_eq!(
            check("[[bin]]\nname = \"a\"\npath = \"src/main.rs\"\n[dependencies]\nb = { path = \"./crates/../b\" }"),
            0
        );
        let tool = "[dependencies]\na = { path = \"../contracts\" }\nb = { path = \"../../get-product\" }";
        let findings =
            outside_paths("product-infrastructure", Path::new("product-infrastructure/xtask"), tool).unwrap();
        assert_eq!(findings.len(), 1);
    }
}
