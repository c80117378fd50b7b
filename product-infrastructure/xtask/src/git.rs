//! What git knows of the repositories' files.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::process::External;
use crate::workspace::Workspace;

/// The files of all repositories, below the folder that holds them. It may be one git repository or hold one for each.
pub async fn listed_files_of_all(workspace: &Workspace, log: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for repository in workspace.repositories() {
        let own = listed_files(&workspace.repository(repository), log).await?;
        files.extend(own.into_iter().map(|path| Path::new(repository).join(path)));
    }
    Ok(files)
}

/// The files that git tracks, and untracked files that aren't ignored.
pub async fn listed_files(folder: &Path, log: &Path) -> Result<Vec<PathBuf>> {
    let listed = External::new("git", log)
        .directory(folder)
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .run("listing the files with git")
        .await?;
    // A file that is deleted and not yet committed is still listed.
    Ok(listed
        .stdout
        .split('\0')
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .filter(|path| folder.join(path).is_file())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[tokio::test]
    async fn files_of_all_are_listed_in_one_git_repository_and_in_one_each() {
        for is_split in [false, true] {
            let tree = crate::workspace::fixture::workspace(&["get-product"]);
            let log = tree.root().join("git.log");
            tree.write("README.md", "not in a repository");
            let repositories: Vec<_> = tree.repositories().map(|name| tree.repository(name)).collect();
            for folder in if is_split { repositories } else { vec![tree.root().to_owned()] } {
                External::new("git", &log).directory(&folder).args(["init", "--quiet"]).run("git init").await.unwrap();
            }
            let mut files = listed_files_of_all(&tree, &log).await.unwrap();
            files.sort();
            let expected = [
                "get-product/Cargo.toml",
                "get-product/terraform/lambda.tf",
                "product-infrastructure/xtask/Cargo.toml",
            ];
            assert_eq!(files, expected.map(PathBuf::from), "split: {is_split}");
        }
    }

    #[tokio::test]
    async fn deleted_and_ignored_files_are_not_listed() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("git.log");
        let write = |path: &str, content: &str| fs::write(folder.path().join(path), content).unwrap();
        write(".gitignore", "ignored\n*.log\n");
        write("ignored", "");
        write("kept", "");
        External::new("git", &log).directory(folder.path()).args(["init", "--quiet"]).run("git init").await.unwrap();
        let mut files = listed_files(folder.path(), &log).await.unwrap();
        files.sort();
        assert_eq!(files, [Path::new(".gitignore"), Path::new("kept")]);
    }
}
