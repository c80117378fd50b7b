//! Where the functions' repositories lie, and where the programs' output goes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The repository that this program lives in.
pub const INFRASTRUCTURE: &str = "product-infrastructure";

/// The folder that holds the repositories.
#[derive(Debug, Clone)]
pub struct Tree {
    root: PathBuf,
    logs: PathBuf,
}

impl Tree {
    /// The tree that `cargo xtask bench` names, or the one that the working directory is in.
    pub fn find() -> Result<Self> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        let here = std::env::current_dir().context("failed to read the working directory")?;
        let Some(tree) = variable("CATALOGUE_TREE").map(Self::at).or_else(|| Self::above(&here)) else {
            bail!("{} is not inside the catalogue's tree: `cargo xtask bench` starts this program", here.display());
        };
        Ok(Self { logs: variable("CATALOGUE_LOGS").unwrap_or(tree.logs), ..tree })
    }

    /// The nearest tree, from `start` upwards.
    pub fn above(start: &Path) -> Option<Self> {
        let root = start.ancestors().find(|folder| folder.join(INFRASTRUCTURE).join("bench/budgets.toml").is_file())?;
        Some(Self::at(root.to_owned()))
    }

    pub fn at(root: PathBuf) -> Self {
        let logs = root.join(".catalogue/logs");
        Self { root, logs }
    }

    /// A repository's folder.
    pub fn repository(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// An empty file for a program's output.
    pub fn empty_log(&self, name: &str) -> Result<PathBuf> {
        let log = self.logs.join(format!("bench-{name}.log"));
        std::fs::create_dir_all(&self.logs).with_context(|| format!("failed to create {}", self.logs.display()))?;
        std::fs::write(&log, "").with_context(|| format!("failed to write {}", log.display()))?;
        Ok(log)
    }
}
