//! A secret must not be written where `git add .` would pick it up: a key that was pushed once has to be rotated.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// Variables that make git answer about another repository, as inside a hook.
const REPOSITORY_VARIABLES: [&str; 4] = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"];

/// Fails when git tracks the file or would add it: inside a work tree, only an ignored path may hold a secret.
pub fn require_ignored(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Symbolic links are resolved, because they are when the file is written.
    let folder = folder.canonicalize().with_context(|| format!("folder {} doesn't exist", folder.display()))?;
    let Some(name) = path.file_name() else { bail!("{} isn't a file name", path.display()) };
    // With `./`, a name such as `-q` isn't read as an option.
    let file = PathBuf::from(".").join(name);
    if !inside_work_tree(&folder)? {
        return Ok(());
    }
    let full_path = folder.join(name);
    // A name such as `*` is a name, not a pattern; check-ignore takes no patterns anyway.
    if run(&folder, &["--literal-pathspecs", "ls-files", "--error-unmatch", "--"], Some(&file))?.status.success() {
        bail!(
            "git tracks {}, so the key would be part of the next commit. Choose another file, or remove this one from git",
            full_path.display()
        );
    }
    match run(&folder, &["check-ignore", "--quiet", "--"], Some(&file))?.status.code() {
        Some(0) => Ok(()),
        Some(1) => bail!(
            "{} is in a git work tree and isn't ignored, so `git add` would include the key. Choose a file outside, or add \
             it to .gitignore",
            full_path.display()
        ),
        _ => bail!("failed to find out whether git ignores {}", full_path.display()),
    }
}

fn inside_work_tree(folder: &Path) -> Result<bool> {
    let repository = folder.ancestors().find(|folder| folder.join(".git").exists());
    match (run(folder, &["rev-parse", "--is-inside-work-tree"], None), repository) {
        (Ok(answer), _) if answer.status.success() => Ok(answer.stdout.starts_with(b"true")),
        // Without git and without a .git folder there is no repository.
        (_, None) => Ok(false),
        // There is a repository that git can't read, such as one of another owner.
        (Ok(answer), Some(repository)) => bail!(
            "failed to read the git repository {}: {}",
            repository.display(),
            String::from_utf8_lossy(&answer.stderr).trim()
        ),
        (Err(error), Some(_)) => Err(error),
    }
}

fn run(folder: &Path, arguments: &[&str], file: Option<&Path>) -> Result<Output> {
    let mut command = Command::new("git");
    REPOSITORY_VARIABLES.iter().for_each(|name| {
        command.env_remove(name);
    });
    command.args(arguments).args(file).current_dir(folder);
    command.output().context("failed to run git")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn git(folder: &Path, arguments: &[&str]) {
        assert!(run(folder, arguments, None).unwrap().status.success(), "{arguments:?}");
    }

    #[test]
    fn accepts_only_ignored_files_inside_work_tree() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert!(require_ignored(&root.join("key")).is_ok(), "outside of a work tree");
        git(root, &["init", "--quiet"]);
        fs::write(root.join(".gitignore"), "/ignored\n*.secret\n/private/\n!kept.secret\n").unwrap();
        fs::create_dir(root.join("private")).unwrap();
        fs::create_dir(root.join("open")).unwrap();
        for ignored in ["ignored", "a.secret", "private/key", "open/b.secret", ".git/key"] {
            require_ignored(&root.join(ignored)).unwrap();
        }
        for open in ["key", "open/ignored", "kept.secret", "-q", "*"] {
            let error = require_ignored(&root.join(open)).unwrap_err().to_string();
            assert!(error.contains("isn't ignored"), "{open}: {error}");
        }
        // A tracked file is committed, ignored or not.
        fs::write(root.join("t.secret"), "").unwrap();
        git(root, &["add", "--force", "t.secret"]);
        for _ in 0..2 {
            let error = require_ignored(&root.join("t.secret")).unwrap_err().to_string();
            assert!(error.contains("git tracks"), "{error}");
            let _ = fs::remove_file(root.join("t.secret"));
        }
    }

    #[test]
    fn resolves_symbolic_link_to_folder_in_work_tree() {
        let folder = tempfile::tempdir().unwrap();
        let repository = folder.path().join("repository");
        fs::create_dir(&repository).unwrap();
        git(&repository, &["init", "--quiet"]);
        std::os::unix::fs::symlink(&repository, folder.path().join("link")).unwrap();
        assert!(require_ignored(&folder.path().join("link/key")).is_err());
        assert!(require_ignored(&folder.path().join("none/key")).unwrap_err().to_string().contains("doesn't exist"));
        assert!(require_ignored(Path::new("/")).is_err());
    }

    #[test]
    fn rejects_file_in_unreadable_repository() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".git"), "gitdir: /nowhere\n").unwrap();
        let error = require_ignored(&folder.path().join("key")).unwrap_err().to_string();
        assert!(error.contains("failed to read the git repository"), "{error}");
    }
}
