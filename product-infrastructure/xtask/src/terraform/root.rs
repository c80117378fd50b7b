//! A Terraform root: committed in a repository, copied to a working folder, never written to.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::stack::Stack;
use crate::workspace::{INFRASTRUCTURE, Workspace};

/// A Terraform root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// Everything shared.
    Infrastructure,
    /// The API keys, whose state no function's role may read.
    ApiKeys,
    /// The roles of the pipelines. No part of a local stack: it is deployed to by its owner.
    DeployRoles,
    /// A function's own resources.
    Function(&'static str),
}

/// Files in a root that Terraform writes or that an apply doesn't need.
const NOT_COPIED: [&str; 5] = [".terraform", "tests", "api-keys", "deploy-roles", "local_override.tf"];
/// What stays in a working copy although the committed root does not have it.
const KEPT: [&str; 3] = [".terraform", "local_override.tf", ".terraform.lock.hcl"];

impl Root {
    /// Those of a stack, in an order in which they can be applied.
    pub fn of_a_stack(workspace: &Workspace) -> impl DoubleEndedIterator<Item = Self> {
        [Self::Infrastructure, Self::ApiKeys]
            .into_iter()
            .chain(workspace.functions().iter().copied().map(Self::Function))
    }

    /// All that are committed.
    pub fn all(workspace: &Workspace) -> impl Iterator<Item = Self> {
        Self::of_a_stack(workspace).chain([Self::DeployRoles])
    }

    /// The root's name, which is also its folder's below a stack's Terraform folder.
    pub fn name(self) -> String {
        match self {
            Self::Infrastructure => INFRASTRUCTURE.to_owned(),
            Self::ApiKeys => format!("{INFRASTRUCTURE}/api-keys"),
            Self::DeployRoles => format!("{INFRASTRUCTURE}/deploy-roles"),
            Self::Function(name) => name.to_owned(),
        }
    }

    /// The repository that holds it.
    pub fn repository(self) -> &'static str {
        match self {
            Self::Infrastructure | Self::ApiKeys | Self::DeployRoles => INFRASTRUCTURE,
            Self::Function(name) => name,
        }
    }

    /// The name as part of a file's name.
    pub fn slug(self) -> String {
        self.name().replace('/', "-")
    }

    /// The committed root, below a folder that holds the repositories.
    pub fn committed(self, workspace: &Workspace) -> PathBuf {
        match self {
            Self::Infrastructure => workspace.repository(INFRASTRUCTURE).join("terraform"),
            Self::ApiKeys => workspace.repository(INFRASTRUCTURE).join("terraform/api-keys"),
            Self::DeployRoles => workspace.repository(INFRASTRUCTURE).join("terraform/deploy-roles"),
            Self::Function(name) => workspace.repository(name).join("terraform"),
        }
    }

    /// The working copy that Terraform runs in.
    pub fn working_copy(self, stack: &Stack) -> PathBuf {
        match self {
            // A separate folder: the copy of the API keys' root must not be inside it.
            Self::Infrastructure => stack.terraform().join(INFRASTRUCTURE).join("shared"),
            Self::ApiKeys => stack.terraform().join(INFRASTRUCTURE).join("api-keys"),
            Self::DeployRoles => stack.terraform().join(INFRASTRUCTURE).join("deploy-roles"),
            Self::Function(name) => stack.terraform().join(name),
        }
    }

    /// Whether the root reads the infrastructure's outputs through its remote state.
    pub fn reads_remote_state(self) -> bool {
        !matches!(self, Self::Infrastructure | Self::DeployRoles)
    }
}

/// Makes the working copy hold exactly the committed files, and returns those files' relative paths and contents.
///
/// Files are written only when they differ, so that Terraform's own cache beside them stays valid.
pub fn copy(from: &Path, to: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    for path in files_below(from, &NOT_COPIED)? {
        let content =
            fs::read(from.join(&path)).with_context(|| format!("failed to read {}", from.join(&path).display()))?;
        files.push((path, content));
    }
    let wanted: BTreeSet<&Path> = files.iter().map(|(path, _)| path.as_path()).collect();
    if to.exists() {
        for surplus in files_below(to, &KEPT)?.iter().filter(|path| !wanted.contains(path.as_path())) {
            fs::remove_file(to.join(surplus))
                .with_context(|| format!("failed to delete {}", to.join(surplus).display()))?;
        }
    }
    for (path, content) in &files {
        let target = to.join(path);
        if fs::read(&target).is_ok_and(|existing| existing == *content) {
            continue;
        }
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
        }
        fs::write(&target, content).with_context(|| format!("failed to write {}", target.display()))?;
    }
    Ok(files)
}

/// The files below a folder as sorted relative paths, without those entries at its top.
fn files_below(folder: &Path, without: &[&str]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(relative) = folders.pop() {
        let current = folder.join(&relative);
        for entry in fs::read_dir(&current).with_context(|| format!("failed to read {}", current.display()))? {
            let entry = entry.with_context(|| format!("failed to read {}", current.display()))?;
            let name = entry.file_name();
            if relative.as_os_str().is_empty() && without.iter().any(|left_out| name == *left_out) {
                continue;
            }
            let path = relative.join(&name);
            if entry.path().is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, content: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    #[test]
    fn applies_shared_roots_before_functions() {
        let workspace = crate::workspace::fixture::workspace(&["list-products", "get-product"]);
        let names: Vec<String> = Root::all(&workspace).map(Root::name).collect();
        assert_eq!(
            names,
            [
                "product-infrastructure",
                "product-infrastructure/api-keys",
                "get-product",
                "list-products",
                "product-infrastructure/deploy-roles"
            ]
        );
        assert_eq!(Root::ApiKeys.slug(), "product-infrastructure-api-keys");
        assert!(!Root::Infrastructure.reads_remote_state() && Root::Function("get-product").reads_remote_state());
    }

    #[test]
    fn copy_follows_committed_files_and_keeps_terraforms_own() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        write(&from.join("main.tf"), "one");
        write(&from.join("environments/dev.tfvars"), "two");
        write(&from.join("tests/a.tftest.hcl"), "not copied");
        write(&from.join("api-keys/main.tf"), "another root");
        write(&to.join("old.tf"), "stale");
        write(&to.join("main.tf"), "changed");
        write(&to.join(".terraform/modules.json"), "kept");
        write(&to.join("local_override.tf"), "kept");

        let files = copy(&from, &to).unwrap();
        let paths: Vec<&str> = files.iter().filter_map(|(path, _)| path.to_str()).collect();
        assert_eq!(paths, ["environments/dev.tfvars", "main.tf"]);
        assert_eq!(fs::read_to_string(to.join("main.tf")).unwrap(), "one");
        assert!(!to.join("old.tf").exists() && !to.join("tests").exists());
        assert!(to.join(".terraform/modules.json").exists() && to.join("local_override.tf").exists());
        assert!(from.join("tests/a.tftest.hcl").exists());
    }
}
