//! A file for a secret or for what customers sent: written atomically, and readable only by its owner from the first byte on.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use tempfile::NamedTempFile;

/// Replaces a file by one line that only its owner can read (mode 0600).
///
/// The line is written to a temporary file beside it and renamed, so a reader finds the old line or the new one. A symbolic
/// link is rejected: the rename would replace the link, and whoever made it expects its target to change.
pub fn write(path: &Path, line: &str) -> Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        bail!("{} is a symbolic link or a directory, not a regular file", path.display());
    }
    let write = || -> std::io::Result<()> {
        temporary(path, &format!("{line}\n"))?.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("failed to write {}", path.display()))
}

/// Creates a file that only its owner can read (mode 0600). Fails if there is one already.
pub fn create(path: &Path, content: &str) -> Result<()> {
    let create = || -> std::io::Result<()> {
        temporary(path, content)?.persist_noclobber(path)?;
        Ok(())
    };
    create().with_context(|| format!("failed to create {}", path.display()))
}

/// Fails if there is something at `path`, for commands that would find out only after long work.
pub fn require_new(path: &Path) -> Result<()> {
    if path.exists() {
        bail!("{} already exists", path.display());
    }
    Ok(())
}

/// An empty temporary file beside `path` that only its owner can read, to be renamed to it.
pub fn beside(path: &Path) -> std::io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::Builder::new().prefix(".catalogctl-").permissions(Permissions::from_mode(0o600)).tempfile_in(folder)
}

/// The content on disk, in a temporary file beside `path`.
fn temporary(path: &Path, content: &str) -> std::io::Result<NamedTempFile> {
    let mut file = beside(path)?;
    file.write_all(content.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_existing_file_with_private_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "a longer line that was there before\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        // A reader that has the old file open doesn't see the secret.
        let open = fs::File::open(&path).unwrap();
        write(&path, "secret").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "secret\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(std::io::read_to_string(open).unwrap().starts_with("a longer line"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn creates_private_file_and_never_replaces_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("saved");
        create(&path, "first\n").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(create(&path, "second\n").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "first\n");
    }

    #[test]
    fn rejects_symbolic_link() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        for target_exists in [false, true] {
            if target_exists {
                fs::write(&target, "untouched").unwrap();
            }
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(&target, &link).unwrap();
            assert!(write(&link, "secret").unwrap_err().to_string().contains("a symbolic link"), "{target_exists}");
        }
        assert_eq!(fs::read_to_string(&target).unwrap(), "untouched");
        assert!(write(folder.path(), "secret").is_err());
    }

    #[test]
    fn error_names_missing_folder() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(&folder.path().join("none/key"), "secret").unwrap_err();
        assert!(format!("{error:#}").contains("none/key"), "{error:#}");
    }
}
