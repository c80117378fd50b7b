//! The repositories that lie side by side, and the git-ignored folder for everything made at run time.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The repository that this tool lives in.
pub const INFRASTRUCTURE: &str = "product-infrastructure";

/// The function repositories, each named like its function and its binary.
pub const FUNCTIONS: [&str; 7] = [
    "list-products",
    "get-product",
    "create-product",
    "update-product",
    "delete-product",
    "product-creator",
    "audit-logger",
];

/// The folder that holds the repositories.
#[derive(Debug, Clone)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Finds the workspace that the working directory is in.
    pub fn discover() -> Result<Self> {
        let here = std::env::current_dir().context("the working directory cannot be read")?;
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
        start
            .ancestors()
            .find(|folder| folder.join(INFRASTRUCTURE).join("xtask").join("Cargo.toml").is_file())
            .map(|folder| Self { root: folder.to_owned() })
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

    /// All repositories' names, in the order in which they are worked on.
    pub fn repositories() -> impl Iterator<Item = &'static str> {
        std::iter::once(INFRASTRUCTURE).chain(FUNCTIONS)
    }

    /// Where everything made at run time lies; ignored by git.
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

/// The name of a function repository, or what may be typed instead.
pub fn function(name: &str) -> Result<&'static str> {
    match FUNCTIONS.into_iter().find(|function| *function == name) {
        Some(function) => Ok(function),
        None => bail!("there is no function {name:?}; one of: {}", FUNCTIONS.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_workspace_is_found_from_a_folder_inside_it() {
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
    fn an_unknown_function_is_answered_with_the_known_ones() {
        assert_eq!(function("get-product").unwrap(), "get-product");
        let message = function("get-products").unwrap_err().to_string();
        assert!(message.contains("get-products") && message.contains("audit-logger"), "{message}");
    }
}
