//! A secret must not lie where git would take it: `git add .` is typed without thinking, and what was pushed once has to
//! be rotated.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// What would turn git's answers to those about another repository, as inside a hook.
const FOREIGN: [&str; 4] = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"];

/// Fails when git tracks a file, or would: inside a work tree only an ignored path is taken for a secret.
pub fn refuse_if_taken(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Links are followed here, as they will be when the file is written: what counts is where it comes to lie.
    let folder = folder.canonicalize().with_context(|| format!("the folder {} is not there", folder.display()))?;
    let Some(name) = path.file_name() else { bail!("{} names no file", path.display()) };
    // Never taken for an option.
    let file = PathBuf::from(".").join(name);
    if !inside_work_tree(&folder)? {
        return Ok(());
    }
    let shown = folder.join(name);
    // A name such as `*` is a name, not a pattern; check-ignore takes no patterns anyway.
    if run(&folder, &["--literal-pathspecs", "ls-files", "--error-unmatch", "--"], Some(&file))?.status.success() {
        bail!(
            "git tracks {}: a key in it would be in the next commit. Take another file, or remove this one from git",
            shown.display()
        );
    }
    match run(&folder, &["check-ignore", "--quiet", "--"], Some(&file))?.status.code() {
        Some(0) => Ok(()),
        Some(1) => bail!(
            "{} lies in a git work tree and is not ignored: a key in it would be in the next `git add`. Take a file \
             outside, or one that .gitignore names",
            shown.display()
        ),
        _ => bail!("git does not say whether it ignores {}", shown.display()),
    }
}

fn inside_work_tree(folder: &Path) -> Result<bool> {
    let repository = folder.ancestors().find(|folder| folder.join(".git").exists());
    match (run(folder, &["rev-parse", "--is-inside-work-tree"], None), repository) {
        (Ok(answer), _) if answer.status.success() => Ok(answer.stdout.starts_with(b"true")),
        // Neither git nor a look knows of a repository.
        (_, None) => Ok(false),
        // There is one, and git will not or cannot read it: one that belongs to somebody else, for example.
        (Ok(answer), Some(repository)) => bail!(
            "git does not say what it tracks in {}: {}",
            repository.display(),
            String::from_utf8_lossy(&answer.stderr).trim()
        ),
        (Err(error), Some(_)) => Err(error),
    }
}

fn run(folder: &Path, arguments: &[&str], file: Option<&Path>) -> Result<Output> {
    let mut command = Command::new("git");
    FOREIGN.iter().for_each(|name| {
        command.env_remove(name);
    });
    command.args(arguments).args(file).current_dir(folder);
    command.output().context("git cannot be asked whether it would take the file")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn git(folder: &Path, arguments: &[&str]) {
        assert!(run(folder, arguments, None).unwrap().status.success(), "{arguments:?}");
    }

    #[test]
    fn only_what_git_ignores_is_taken_inside_a_work_tree() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert!(refuse_if_taken(&root.join("key")).is_ok(), "no repository, no danger");
        git(root, &["init", "--quiet"]);
        fs::write(root.join(".gitignore"), "/ignored\n*.secret\n/private/\n!kept.secret\n").unwrap();
        fs::create_dir(root.join("private")).unwrap();
        fs::create_dir(root.join("open")).unwrap();
        for ignored in ["ignored", "a.secret", "private/key", "open/b.secret", ".git/key"] {
            refuse_if_taken(&root.join(ignored)).unwrap();
        }
        for open in ["key", "open/ignored", "kept.secret", "-q", "*"] {
            let error = refuse_if_taken(&root.join(open)).unwrap_err().to_string();
            assert!(error.contains("is not ignored"), "{open}: {error}");
        }
        // Ignored or not, what is tracked is committed.
        fs::write(root.join("t.secret"), "").unwrap();
        git(root, &["add", "--force", "t.secret"]);
        for _ in 0..2 {
            let error = refuse_if_taken(&root.join("t.secret")).unwrap_err().to_string();
            assert!(error.contains("git tracks"), "{error}");
            let _ = fs::remove_file(root.join("t.secret"));
        }
    }

    #[test]
    fn a_link_to_a_folder_in_a_work_tree_hides_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let repository = folder.path().join("repository");
        fs::create_dir(&repository).unwrap();
        git(&repository, &["init", "--quiet"]);
        std::os::unix::fs::symlink(&repository, folder.path().join("link")).unwrap();
        assert!(refuse_if_taken(&folder.path().join("link/key")).is_err());
        assert!(refuse_if_taken(&folder.path().join("none/key")).unwrap_err().to_string().contains("not there"));
        assert!(refuse_if_taken(Path::new("/")).is_err());
    }

    #[test]
    fn a_repository_that_git_cannot_read_is_no_permission() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".git"), "gitdir: /nowhere\n").unwrap();
        let error = refuse_if_taken(&folder.path().join("key")).unwrap_err().to_string();
        assert!(error.contains("git does not say"), "{error}");
    }
}
