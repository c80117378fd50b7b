//! The tour in the front page's README, run as it stands there, on a stack that it starts and stops itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context as _, Result, bail};

use super::system::FIRST_PORT;
use super::{Alone, Context};
use crate::emulator::find_free_port;
use crate::process::{External, tail};
use crate::stack::Stack;

/// The section that holds the tour.
const TITLE: &str = "## A tour in five minutes";

/// What a reader sees after a block, by the first word of the block's paragraph.
///
/// Header names are compared without regard to case, because HTTP does.
const EXPECTED: &[(&str, &[&str])] = &[
    ("Start", &["The product catalogue is up."]),
    ("Create", &["HTTP/1.1 202", "operation-location: products/", r#""status":"APPLIED""#, r#""name":"Desk lamp""#]),
    ("Update", &["HTTP/1.1 202", r#""status":"APPLIED""#, r#""price":"17.50""#, "HTTP/1.1 412", r#"etag: "2""#]),
    ("Find", &[r#""price":"17.50""#, r#""nextCursor":null"#, "INVALID_PARAMETER", "maxprice"]),
    ("Synchronise", &[r#""caughtUp":"#]),
    ("Delete", &["HTTP/1.1 204", r#""status":"APPLIED""#, "NOT_FOUND", r#""complete":true"#]),
    ("Read", &["CREATE", "UPDATE", "DELETE"]),
    ("Stop", &["Stopped."]),
];

/// A shell block of the tour, and the first word of the paragraph before it.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    word: String,
    script: String,
}

/// Runs the tour on `stack`. The stack's data stays.
pub async fn check(context: &Context<'_>, stack: &Stack) -> Result<()> {
    let path = context.workspace.root().join("README.md");
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let blocks = blocks(&text)?;
    let port = find_free_port(FIRST_PORT).context("no loopback port is free for the tour")?.to_string();

    let folder = context.stack.folder().join("readme");
    fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    let script = folder.join("tour.sh");
    let tour: String =
        blocks.iter().map(|block| format!("printf '\\n{}\\n'\n{}\n", marker(&block.word), block.script)).collect();
    fs::write(&script, tour).with_context(|| format!("failed to write {}", script.display()))?;

    let log = context.log("readme");
    let finished = External::new("bash", &log)
        .directory(context.workspace.root())
        .args(["-euo", "pipefail"])
        .arg(&script)
        .env("PATH", path_with_tool(context, &folder)?)
        .env("LLVM_PROFILE_FILE", Alone::records(context))
        .env("CATALOGUE_STACK", stack.name())
        .env("CATALOGUE_PORT", port)
        .env("CATALOGUE_LOCAL", stack.facts())
        .env("NO_PROXY", "*")
        .run("the tour of README.md")
        .await?;
    let wrong = unexpected(&finished.stdout, &blocks);
    if !wrong.is_empty() {
        bail!("the tour of README.md failed:\n{}\nEnd of {}:\n{}", wrong.join("\n"), log.display(), tail(&log, 60));
    }
    context.progress.say(format!("    the tour of README.md: {} blocks", blocks.len()));
    Ok(())
}

/// The shell blocks of the tour, in order; each expectation must belong to one of them, and each to an expectation.
fn blocks(readme: &str) -> Result<Vec<Block>> {
    let Some((_, section)) = readme.split_once(TITLE) else { bail!("README.md has no section {TITLE:?}") };
    let section = section.split("\n## ").next().unwrap_or_default();
    let mut blocks = Vec::new();
    for part in section.split("```sh\n").skip(1) {
        let Some((script, _)) = part.split_once("\n```") else { bail!("README.md has an open block") };
        blocks.push(script);
    }
    let words: Vec<&str> = section.split("\n**").skip(1).filter_map(|text| text.split(['*', ' ']).next()).collect();
    let expected: Vec<&str> = EXPECTED.iter().map(|(word, _)| *word).collect();
    if words != expected || blocks.len() != expected.len() {
        bail!("the tour of README.md has the blocks {words:?}; expected {expected:?}");
    }
    Ok(words
        .iter()
        .zip(blocks)
        .map(|(word, script)| Block { word: (*word).to_owned(), script: script.to_owned() })
        .collect())
}

fn marker(word: &str) -> String {
    format!("=== {word} ===")
}

/// What the output of each block lacks.
fn unexpected(output: &str, blocks: &[Block]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut rest = output;
    for (index, block) in blocks.iter().enumerate() {
        let after = rest.split_once(&marker(&block.word)).map_or("", |(_, after)| after);
        rest = after;
        let end = blocks.get(index + 1).and_then(|next| after.find(&marker(&next.word))).unwrap_or(after.len());
        let printed = after[..end].to_ascii_lowercase();
        let expected = EXPECTED.iter().find(|(word, _)| *word == block.word).map_or(&[] as &[&str], |(_, texts)| texts);
        for text in expected.iter().filter(|text| !printed.contains(&text.to_ascii_lowercase())) {
            wrong.push(format!("the output of {:?} has no {text}", block.word));
        }
    }
    wrong
}

/// A search path on which `cargo xtask` is this program, so that what the tour executes counts as covered; every other
/// command of Cargo is Cargo's.
fn path_with_tool(context: &Context<'_>, folder: &std::path::Path) -> Result<std::ffi::OsString> {
    let old = std::env::var_os("PATH").unwrap_or_default();
    let Some(program) = context.alone.instrumented() else { return Ok(old) };
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).with_context(|| format!("failed to create {}", bin.display()))?;
    let cargo = bin.join("cargo");
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = xtask ]; then shift; exec '{}' \"$@\"; fi\nPATH=${{PATH#*:}}\nexec cargo \"$@\"\n",
        program.display()
    );
    fs::write(&cargo, script).with_context(|| format!("failed to write {}", cargo.display()))?;
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("failed to make {} executable", cargo.display()))?;
    std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&old))).context("invalid PATH")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A front page like the catalogue's, which a repository on its own does not have.
    fn readme() -> String {
        let paragraphs = EXPECTED.iter().map(|(word, _)| {
            format!("**{word}** the system.\n\n```sh\ncargo xtask {}\n```\n\n", word.to_ascii_lowercase())
        });
        let tour: String = paragraphs.collect();
        format!(
            "# Product catalogue\n\n{TITLE}\n\nOne paragraph first.\n\n{tour}## Tests\n\n```sh\ncargo xtask test\n```\n"
        )
    }

    #[test]
    fn reads_the_blocks_of_the_readme() {
        let blocks = blocks(&readme()).unwrap();
        assert_eq!(blocks.len(), EXPECTED.len());
        assert_eq!(blocks[0].script, "cargo xtask start");
        assert_eq!(blocks.last().unwrap().script, "cargo xtask stop");
    }

    #[test]
    fn rejects_a_block_without_an_expectation() {
        let readme = readme().replace("**Stop** the system.", "**Pause** the system.");
        assert!(blocks(&readme).unwrap_err().to_string().contains("Pause"));
        assert!(blocks("# Product catalogue").is_err());
    }

    #[test]
    fn reports_what_the_output_of_a_block_lacks() {
        let blocks = blocks(&readme()).unwrap();
        let complete: String = EXPECTED
            .iter()
            .map(|(word, texts)| format!("{}\n{}\n", marker(word), texts.join("\n").to_uppercase()))
            .collect();
        assert!(unexpected(&complete, &blocks).is_empty(), "{:?}", unexpected(&complete, &blocks));
        let moved = complete.replace("HTTP/1.1 204", "").replace("HTTP/1.1 412", "HTTP/1.1 204");
        assert_eq!(
            unexpected(&moved, &blocks),
            ["the output of \"Update\" has no HTTP/1.1 412", "the output of \"Delete\" has no HTTP/1.1 204"]
        );
        assert_eq!(unexpected("", &blocks).len(), EXPECTED.iter().map(|(_, texts)| texts.len()).sum::<usize>());
    }
}
