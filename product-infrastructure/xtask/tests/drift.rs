//! `cargo xtask drift` as a developer types it, in a small tree of its own.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Long enough that two equal files are copies and not equal by chance.
fn rule() -> String {
    "pub const MAX_TAGS: usize = 20;\n".repeat(32)
}

fn write(tree: &Path, path: &str, content: &str) {
    let path = tree.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Two function repositories that share `src/rule.rs`, which is listed.
fn tree() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    let root = tree.path();
    write(root, "product-infrastructure/xtask/Cargo.toml", "");
    let listed = "[[file]]\npath = \"src/rule.rs\"\nrepositories = [\"@functions\"]\n";
    write(root, "product-infrastructure/duplicates.toml", listed);
    for repository in ["get-product", "list-products"] {
        write(root, &format!("{repository}/Cargo.toml"), "");
        write(root, &format!("{repository}/terraform/lambda.tf"), "");
        write(root, &format!("{repository}/src/rule.rs"), &rule());
    }
    let git = Command::new("git").args(["init", "--quiet"]).current_dir(root).status().unwrap();
    assert!(git.success());
    tree
}

fn drift(tree: &Path) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_xtask")).arg("drift").current_dir(tree).output().unwrap();
    (status.code(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}

#[test]
fn succeeds_when_each_copy_is_listed_and_equal() {
    let tree = tree();
    assert_eq!(drift(tree.path()).0, Some(0), "{}", drift(tree.path()).1);
}

#[test]
fn fails_over_unlisted_twin_whatever_its_name() {
    let tree = tree();
    let twin = rule().replace("MAX_TAGS", "MAX_URLS");
    write(tree.path(), "get-product/src/limits.rs", &twin);
    write(tree.path(), "list-products/src/models/limits.rs", &twin);

    let (code, output) = drift(tree.path());

    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("get-product/src/limits.rs, list-products/src/models/limits.rs"), "{output}");
}

#[test]
fn fails_over_copy_that_differs() {
    let tree = tree();
    write(tree.path(), "list-products/src/rule.rs", "pub const MAX_TAGS: usize = 30;\n");

    let (code, output) = drift(tree.path());

    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("src/rule.rs differs"), "{output}");
}
