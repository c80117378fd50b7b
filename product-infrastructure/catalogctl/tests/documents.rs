//! The commands that the runbooks, the other documents and the alarms' e-mails tell people to type are commands of this program.

use std::fs;
use std::path::{Path, PathBuf};

use catalogctl::cli::Cli;
use clap::Parser;

/// What a reader has set before.
const VARIABLES: [(&str, &str); 5] = [
    ("${var.environment}", "dev"),
    ("$function", "get-product"),
    ("$id", "0b1c2d3e-4f50-4617-8829-3a4b5c6d7e8f"),
    ("$product", "3f0c2f5e-8d1b-4c6a-9e57-2b8a4d1f6c03"),
    ("$shards", "1"),
];

/// Fails unless the line is a command of this program, with arguments that it accepts.
fn check(source: &str, line: &str) {
    let mut line = line.to_owned();
    for (variable, value) in VARIABLES {
        line = line.replace(variable, value);
    }
    let words = shlex::split(&line).unwrap_or_else(|| panic!("{source}: {line}"));
    let words = words.iter().take_while(|word| !matches!(word.as_str(), "|" | ">"));
    if let Err(error) = Cli::try_parse_from(words) {
        panic!("{source}: {line}\n{error}");
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The documents of a folder.
fn documents(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "md"))
}

#[test]
fn commands_of_documents_are_valid() {
    let (docs, mut count) = (repository().join("docs"), 0);
    for path in documents(&docs).chain(documents(&docs.join("runbooks"))).chain([repository().join("README.md")]) {
        let content = fs::read_to_string(&path).unwrap();
        for line in content.lines().map(str::trim).filter(|line| line.starts_with("catalogctl ")) {
            check(&path.display().to_string(), line);
            count += 1;
        }
    }
    assert!(count > 30, "{count} commands");
}

#[test]
fn first_commands_of_alarms_are_valid() {
    let terraform = fs::read_to_string(repository().join("terraform/alerts.tf")).unwrap();
    let mut count = 0;
    for part in terraform.split("catalogctl ").skip(1) {
        // It ends with the code in the description, or with the string.
        let part = part.replace("\\\"", "\u{0}");
        let end = part.find(['`', '"']).unwrap();
        check("alerts.tf", &format!("catalogctl {}", part[..end].replace('\u{0}', "\"")));
        count += 1;
    }
    assert!(count >= 8, "{count} commands");
}
