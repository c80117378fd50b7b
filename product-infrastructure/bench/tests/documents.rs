//! The commands that the documents tell people to type are commands of this program.

use std::fs;
use std::path::Path;

use bench::Arguments;
use clap::Parser;

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    _arguments: Arguments,
}

#[test]
fn commands_of_documents_are_valid() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/measurements.md");
    let content = fs::read_to_string(&path).unwrap();
    let mut count = 0;
    for line in content.lines().filter(|line| line.starts_with("cargo xtask ")) {
        // `xtask` passes on what follows the command.
        let Some((_, arguments)) = line.split_once(" bench") else { continue };
        let words = ["bench"].into_iter().chain(arguments.split_whitespace());
        if let Err(error) = Cli::try_parse_from(words) {
            panic!("{line}\n{error}");
        }
        count += 1;
    }
    assert!(count >= 3, "{count} commands");
}
