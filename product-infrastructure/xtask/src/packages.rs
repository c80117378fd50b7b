//! The functions, compiled for this machine and packed as Lambda takes them: a zip with one file, `bootstrap`.
//!
//! A release is packed by each repository's own `scripts/package.sh`, because a repository that is alone has no xtask. That
//! script needs cargo-lambda and zig and takes a fat link of several minutes, too long for a local stack.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::cargo;
use crate::digest::{Inputs, Stamp};
use crate::progress::Meter;
use crate::stack::Stack;
use crate::workspace::Workspace;

/// How a function is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Quick to compile.
    Dev,
    /// As shipped.
    Release,
}

impl Profile {
    pub fn new(release: bool) -> Self {
        if release { Self::Release } else { Self::Dev }
    }
}

/// A function's zip.
#[derive(Debug, Clone)]
pub struct Package {
    pub function: &'static str,
    pub path: PathBuf,
    pub bytes: u64,
    /// Of the zip's content.
    pub digest: String,
}

/// This machine's architecture, as Lambda names it.
pub fn architecture() -> &'static str {
    if std::env::consts::ARCH == "aarch64" { "arm64" } else { "x86_64" }
}

/// Compiles and packs a function; quick when nothing has changed.
pub async fn build(
    workspace: &Workspace,
    stack: &Stack,
    function: &'static str,
    profile: Profile,
    meter: &Meter,
) -> Result<Package> {
    // From here Cargo and rustup find the repository's toolchain and, above it, the shared target directory.
    build_crate(&workspace.repository(function), stack, function, profile, meter).await
}

/// The same for the crate in `folder`, whose binary is `function`.
pub async fn build_crate(
    folder: &Path,
    stack: &Stack,
    function: &'static str,
    profile: Profile,
    meter: &Meter,
) -> Result<Package> {
    let watching = meter.clone();
    // `rustc` instead of `build` hands the last argument to the binary alone: its dependencies are those of every other
    // build. Line tables are two thirds of a debug binary, and a Lambda package has no use for them. The release profile
    // says itself what it strips.
    let stripped: &[&str] = if profile == Profile::Dev { &["--", "-C", "strip=debuginfo"] } else { &[] };
    let finished = cargo::command(stack.log(&format!("build-{function}")))
        .directory(folder)
        .args(["rustc", "--locked", "--message-format=json-render-diagnostics"])
        .args(["--bin", function])
        .args((profile == Profile::Release).then_some("--release"))
        .args(stripped)
        .watch(move |line| {
            if let Some(crate_name) = line.trim_start().strip_prefix("Compiling ") {
                watching.now(format!("{function}: {crate_name}"));
            }
        })
        .run(&format!("the build of {function}"))
        .await?;
    let binary = cargo::executable(&finished.stdout, function)
        .with_context(|| format!("the build of {function} produced no binary"))?;
    pack(stack, function, &binary)
}

/// Packs a binary, unless it is the one packed last.
fn pack(stack: &Stack, function: &'static str, binary: &Path) -> Result<Package> {
    let content = fs::read(binary).with_context(|| format!("failed to read {}", binary.display()))?;
    let digest = Inputs::new().bytes(&content).digest();
    let path = stack.packages().join(format!("{function}.zip"));
    let stamp = Stamp::at(stack.packages().join(format!("{function}.digest")));
    if !path.is_file() || !stamp.matches(&digest) {
        fs::create_dir_all(stack.packages())
            .with_context(|| format!("failed to create {}", stack.packages().display()))?;
        let zip = zip(&content).with_context(|| format!("failed to pack {}", binary.display()))?;
        fs::write(&path, zip).with_context(|| format!("failed to write {}", path.display()))?;
        stamp.record(&digest)?;
    }
    let bytes = fs::metadata(&path).with_context(|| format!("failed to read {}", path.display()))?.len();
    Ok(Package { function, path, bytes, digest })
}

/// The same binary gives the same bytes: Terraform and the promotion of an artefact both go by the zip's hash.
fn zip(binary: &[u8]) -> Result<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(6))
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("bootstrap", options)?;
    writer.write_all(binary)?;
    Ok(writer.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn the_same_binary_gives_the_same_zip() {
        let binary = b"\x7fELF".repeat(1_000);
        let first = zip(&binary).unwrap();
        assert_eq!(first, zip(&binary).unwrap());
        assert!(first.len() < binary.len());

        let mut archive = zip::ZipArchive::new(Cursor::new(first)).unwrap();
        assert_eq!(archive.len(), 1);
        let mut file = archive.by_name("bootstrap").unwrap();
        assert_eq!(file.unix_mode().map(|mode| mode & 0o777), Some(0o755));
        let mut unpacked = Vec::new();
        file.read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, binary);
    }

    #[test]
    fn does_not_repack_unchanged_binary() {
        let folder = tempfile::tempdir().unwrap();
        let tool = folder.path().join("product-infrastructure/xtask");
        fs::create_dir_all(&tool).unwrap();
        fs::write(tool.join("Cargo.toml"), "").unwrap();
        let stack = Stack::new(&Workspace::above(folder.path()).unwrap(), "test");
        let binary = folder.path().join("get-product");
        fs::write(&binary, "one").unwrap();
        let first = pack(&stack, "get-product", &binary).unwrap();
        fs::write(&first.path, "marked").unwrap();
        assert_eq!(pack(&stack, "get-product", &binary).unwrap().bytes, 6);
        fs::write(&binary, "two").unwrap();
        let second = pack(&stack, "get-product", &binary).unwrap();
        assert_ne!(second.digest, first.digest);
        assert_ne!(second.bytes, 6);
    }
}
