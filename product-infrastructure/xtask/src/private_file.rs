//! A file for a secret: complete or not there, and readable by its owner only from the first byte on.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Replaces a file by one line that only its owner can read (mode 0600).
///
/// It is written beside its place and then renamed, so whoever reads it finds the old line or the new one. A rename does
/// not follow a link, so a link could not lead the secret elsewhere; it is refused all the same, because whoever made it
/// expects another file to change.
pub fn write(path: &Path, line: &str) -> Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        bail!("{} is a symbolic link or a directory, not a regular file", path.display());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix(".xtask-")
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(folder)?;
        writeln!(file, "{line}")?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("failed to write {}", path.display()))
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
        // Somebody who has the old file open does not see the secret through it.
        let open = fs::File::open(&path).unwrap();
        write(&path, "secret").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "secret\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(std::io::read_to_string(open).unwrap().starts_with("a longer line"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn rejects_symbolic_link() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        for there in [false, true] {
            if there {
                fs::write(&target, "untouched").unwrap();
            }
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(&target, &link).unwrap();
            assert!(write(&link, "secret").unwrap_err().to_string().contains("a symbolic link"), "{there}");
        }
        assert_eq!(fs::read_to_string(&target).unwrap(), "untouched");
        assert!(write(folder.path(), "secret").is_err());
    }

    #[test]
    fn error_names_missing_folder() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(&folder.path().join("none/key"), "secret").unwrap_err();
        assert!(
            format!("{error:#}").contains("failed to write") && format!("{error:#}").contains("none/key"),
            "{error:#}"
        );
    }
}
