//! Programs compiled as they are shipped, for this machine.

use std::fs;
use std::io::{Cursor, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// What Cargo and rustup set for the programs that they start, and what would win over a repository's own choice.
const TRACES: [&str; 3] = ["CARGO", "RUSTUP_TOOLCHAIN", "RUST_RECURSION_COUNT"];

/// A compiled program.
#[derive(Debug, Clone)]
pub struct Shipped {
    pub binary: PathBuf,
    /// Of the zip that Lambda would get.
    pub zip_bytes: u64,
}

/// This machine's architecture, as Lambda names it.
pub fn architecture() -> &'static str {
    if std::env::consts::ARCH == "aarch64" { "arm64" } else { "x86_64" }
}

/// Compiles the crate in `source`, whose binary is `name`, and copies the program into `folder`.
pub fn build(source: &Path, name: &str, folder: &Path) -> Result<Shipped> {
    let mut command = Command::new("cargo");
    for name in TRACES {
        command.env_remove(name);
    }
    // From its folder, Cargo finds the repository's toolchain and, above it, the shared target directory.
    let output = command
        .current_dir(source)
        .args(["build", "--release", "--locked", "--message-format=json-render-diagnostics", "--bin", name])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .context("failed to start cargo")?;
    if !output.status.success() {
        bail!("failed to build {name}:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let built = executable(&messages, name).with_context(|| format!("the build of {name} made no such binary"))?;
    copy(&built, folder, name)
}

/// A copy of the program, executable as on Lambda, that the next build doesn't replace.
fn copy(built: &Path, folder: &Path, name: &str) -> Result<Shipped> {
    let content = fs::read(built).with_context(|| format!("failed to read {}", built.display()))?;
    let zip_bytes = zipped(&content).with_context(|| format!("failed to pack {}", built.display()))?;
    let binary = folder.join(format!("{name}.bootstrap"));
    fs::write(&binary, content).with_context(|| format!("failed to write {}", binary.display()))?;
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("failed to make {} executable", binary.display()))?;
    Ok(Shipped { binary, zip_bytes })
}

/// The path of the built binary, from Cargo's messages.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()).find_map(|message| {
        (message["target"]["name"] == name).then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
    })
}

/// How many bytes the program's package has.
fn zipped(binary: &[u8]) -> Result<u64> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(6))
        .unix_permissions(0o755);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("bootstrap", options)?;
    writer.write_all(binary)?;
    Ok(writer.finish()?.into_inner().len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_program_and_counts_its_package() {
        let folder = tempfile::tempdir().unwrap();
        let built = folder.path().join("get-product");
        fs::write(&built, "a program ".repeat(1_000)).unwrap();
        let shipped = copy(&built, folder.path(), "get-product").unwrap();
        assert_eq!(shipped.binary, folder.path().join("get-product.bootstrap"));
        assert_eq!(fs::read(&shipped.binary).unwrap(), fs::read(&built).unwrap());
        assert_eq!(fs::metadata(&shipped.binary).unwrap().permissions().mode() & 0o777, 0o755);
        assert!((100..1_000).contains(&shipped.zip_bytes), "{}", shipped.zip_bytes);
    }

    #[test]
    fn finds_binary_in_cargo_messages() {
        let messages = concat!(
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"get_product\"},\"executable\":null}\n",
            "not JSON\n",
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"get-product\"},\"executable\":\"/t/get-product\"}\n",
        );
        assert_eq!(executable(messages, "get-product"), Some(PathBuf::from("/t/get-product")));
        assert_eq!(executable(messages, "list-products"), None);
    }
}
