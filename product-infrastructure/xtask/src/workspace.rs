//! The repositories that lie side by side, and the git-ignored folder for everything made at run time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

/// The repository that this tool lives in.
pub const INFRASTRUCTURE: &str = "product-infrastructure";

/// The folder that holds the repositories.
#[derive(Debug, Clone)]
pub struct Workspace {
    root: PathBuf,
    functions: Arc<[&'static str]>,
}

impl Workspace {
    /// Finds the workspace that the working directory is in.
    pub fn discover() -> Result<Self> {
        let here = std::env::current_dir().context("failed to read the working directory")?;
        match Self::above(&here) {
            Some(workspace) => Ok(workspace),
            None => bail!(
                "{} is not inside the catalogue: no folder above it holds {INFRASTRUCTURE}/xtask.\n  \
                 Change to the folder that holds the repositories and run the command again.",
                here.display()
            ),
        }
    }

    /// The nearest folder, from `start` upwards, that holds this tool's repository.
    pub fn above(start: &Path) -> Option<Self> {
        let root =
            start.ancestors().find(|folder| folder.join(INFRASTRUCTURE).join("xtask").join("Cargo.toml").is_file())?;
        Some(Self { functions: functions_below(root).into(), root: root.to_owned() })
    }

    /// The folder that holds the repositories.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A repository's folder.
    pub fn repository(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The Cargo workspace that this tool belongs to.
    pub fn tools_workspace(&self) -> PathBuf {
        self.repository(INFRASTRUCTURE)
    }

    /// The names of the function repositories, which are also those of their functions and binaries.
    pub fn functions(&self) -> &[&'static str] {
        &self.functions
    }

    /// All repositories' names.
    pub fn repositories(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(INFRASTRUCTURE).chain(self.functions.iter().copied())
    }

    /// The name of a function repository, or what may be typed instead.
    pub fn function(&self, name: &str) -> Result<&'static str> {
        match self.functions.iter().find(|function| **function == name) {
            Some(function) => Ok(function),
            None => bail!("unknown function {name:?}; expected one of: {}", self.functions.join(", ")),
        }
    }

    /// The folder of everything made at run time; git ignores it.
    pub fn catalogue(&self) -> PathBuf {
        self.root.join(".catalogue")
    }

    /// Programs that `test` installs for itself.
    pub fn tools(&self) -> PathBuf {
        self.catalogue().join("tools")
    }

    /// The list of files kept in more than one repository.
    pub fn duplicates_manifest(&self) -> PathBuf {
        self.repository(INFRASTRUCTURE).join("duplicates.toml")
    }

    /// The target directory that the repositories share while they lie side by side.
    pub fn target(&self) -> PathBuf {
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.root.join("target"), PathBuf::from)
    }
}

/// The folders that are function repositories: whatever else a folder holds, a crate with a function in Terraform is one.
/// This is the only list of them. A new repository is on it as soon as it's there.
fn functions_below(root: &Path) -> Vec<&'static str> {
    let is_function =
        |folder: &Path| folder.join("Cargo.toml").is_file() && folder.join("terraform/lambda.tf").is_file();
    let folders = std::fs::read_dir(root).into_iter().flatten().flatten().filter(|entry| is_function(&entry.path()));
    let mut names: Vec<String> = folders.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    // Read once at the start of a program that ends soon: names without a lifetime keep every other signature simple.
    names.into_iter().map(|name| &*name.leak()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn finds_workspace_from_inner_folder() {
        let folder = tempfile::tempdir().unwrap();
        let tool = folder.path().join(INFRASTRUCTURE).join("xtask");
        fs::create_dir_all(tool.join("src")).unwrap();
        fs::write(tool.join("Cargo.toml"), "").unwrap();
        let workspace = Workspace::above(&tool.join("src")).unwrap();
        assert_eq!(workspace.root(), folder.path());
        assert_eq!(workspace.repository("get-product"), folder.path().join("get-product"));
        assert!(Workspace::above(Path::new("/")).is_none());
    }

    #[test]
    fn lists_crates_that_hold_a_function() {
        let workspace = fixture::workspace(&["list-products", "get-product"]);
        std::fs::create_dir(workspace.root().join("target")).unwrap();
        assert_eq!(workspace.functions(), ["get-product", "list-products"]);
        assert_eq!(workspace.repositories().next(), Some(INFRASTRUCTURE));
        assert_eq!(workspace.function("get-product").unwrap(), "get-product");
        let message = workspace.function("get-products").unwrap_err().to_string();
        assert!(message.contains("get-products") && message.contains("list-products"), "{message}");
    }
}

/// A tree for tests.
#[cfg(test)]
pub mod fixture {
    use std::ops::Deref;

    use super::{INFRASTRUCTURE, Workspace};

    /// A tree that is deleted when it goes out of scope.
    pub struct Tree {
        workspace: Workspace,
        _folder: tempfile::TempDir,
    }

    impl Deref for Tree {
        type Target = Workspace;

        fn deref(&self) -> &Workspace {
            &self.workspace
        }
    }

    impl Tree {
        pub fn write(&self, path: &str, content: &str) {
            let path = self.root().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
    }

    /// An infrastructure repository and these function repositories, as empty as can be.
    pub fn workspace(functions: &[&str]) -> Tree {
        let folder = tempfile::tempdir().unwrap();
        let tool = folder.path().join(INFRASTRUCTURE).join("xtask");
        std::fs::create_dir_all(&tool).unwrap();
        std::fs::write(tool.join("Cargo.toml"), "").unwrap();
        for function in functions {
            let terraform = folder.path().join(function).join("terraform");
            std::fs::create_dir_all(&terraform).unwrap();
            std::fs::write(terraform.join("lambda.tf"), "").unwrap();
            std::fs::write(folder.path().join(function).join("Cargo.toml"), "").unwrap();
        }
        Tree { workspace: Workspace::above(folder.path()).unwrap(), _folder: folder }
    }
}
