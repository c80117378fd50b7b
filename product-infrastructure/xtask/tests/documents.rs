//! The commands that the documents tell people to type are commands of this program.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use xtask::cli::Cli;

fn documents(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "md"))
}

#[test]
fn commands_of_documents_are_valid() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let docs = repository.join("docs");
    let mut count = 0;
    for path in documents(&docs).chain(documents(&docs.join("runbooks"))).chain([repository.join("README.md")]) {
        let content = fs::read_to_string(&path).unwrap();
        for line in content.lines().map(str::trim).filter(|line| line.starts_with("cargo xtask ")) {
            let words = shlex::split(line).unwrap_or_else(|| panic!("{}: {line}", path.display()));
            let words = words.iter().skip(1).take_while(|word| !word.starts_with(['<', '>', '|']));
            if let Err(error) = Cli::try_parse_from(words) {
                panic!("{}: {line}\n{error}", path.display());
            }
            count += 1;
        }
    }
    assert!(count > 12, "{count} commands");
}
