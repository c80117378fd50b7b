//! The language of what people read: one spelling of each term in the documents (textlint), and no phrase that a reader
//! stumbles over in documents, help, and the comments and strings of the code (`scanners/prose/phrases.toml`).

use std::borrow::Cow;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use regex_lite::{Regex, RegexBuilder};
use serde::Deserialize;

use super::tally::Tally;
use super::{Context, SHOWN};
use crate::git;
use crate::node::Node;
use crate::workspace::{INFRASTRUCTURE, Workspace};

/// Where the rules and the pinned packages are.
const FOLDER: &str = "scanners/prose";
const PHRASES: &str = "phrases.toml";

/// Files that people read: documents, help (`trycmd`), and code with its comments and strings.
const EXTENSIONS: [&str; 11] = ["hcl", "json", "md", "py", "rs", "sh", "tf", "toml", "trycmd", "yaml", "yml"];
/// Those of them that are read among tests, of which Rust's strings are data.
const AMONG_TESTS: [&str; 2] = ["rs", "trycmd"];

/// A phrase to avoid.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// In lower case. Every match contains one of them; they are faster to look for than the pattern.
    words: Vec<String>,
    pattern: String,
    /// What a match may contain all the same.
    unless: Option<String>,
    instead: String,
    reason: String,
    /// What the rule catches, and what every rule lets pass: for readers, and for the test.
    #[cfg_attr(not(test), expect(dead_code))]
    example: String,
    #[cfg_attr(not(test), expect(dead_code))]
    clean: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    phrase: Vec<Rule>,
}

#[derive(Debug)]
struct Phrase {
    rule: Rule,
    pattern: Regex,
    unless: Option<Regex>,
}

impl Phrase {
    fn new(rule: Rule) -> Result<Self> {
        let compile = |pattern: &str| {
            RegexBuilder::new(pattern)
                .case_insensitive(true)
                .build()
                .with_context(|| format!("invalid pattern {pattern}"))
        };
        let (pattern, unless) = (compile(&rule.pattern)?, rule.unless.as_deref().map(compile).transpose()?);
        Ok(Self { rule, pattern, unless })
    }

    /// What the line has of it.
    fn find<'a>(&self, line: &'a str) -> Option<&'a str> {
        let lower = line.to_ascii_lowercase();
        if !self.rule.words.iter().any(|word| lower.contains(word.as_str())) {
            return None;
        }
        self.pattern
            .find_iter(line)
            .map(|found| found.as_str())
            .find(|found| self.unless.as_ref().is_none_or(|unless| !unless.is_match(found)))
    }
}

/// Reads the list of phrases.
fn phrases(workspace: &Workspace) -> Result<Vec<Phrase>> {
    let path = workspace.repository(INFRASTRUCTURE).join(FOLDER).join(PHRASES);
    let content = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let rules: Rules = toml::from_str(&content).with_context(|| format!("failed to parse {}", path.display()))?;
    rules.phrase.into_iter().map(Phrase::new).collect()
}

/// A phrase in a file.
#[derive(Debug, PartialEq, Eq)]
struct Finding<'a> {
    place: String,
    found: String,
    instead: &'a str,
    reason: &'a str,
}

impl fmt::Display for Finding<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: \"{}\"; write {} ({})", self.place, self.found, self.instead, self.reason)
    }
}

/// All phrases of a file that its users read.
fn findings<'a>(phrases: &'a [Phrase], path: &Path, content: &str) -> Vec<Finding<'a>> {
    let mut found = Vec::new();
    for (index, line) in content.lines().enumerate() {
        let text = visible(path, line);
        for phrase in phrases {
            if let Some(matched) = phrase.find(&text) {
                let place = format!("{}:{}", path.display(), index + 1);
                let rule = &phrase.rule;
                found.push(Finding { place, found: matched.to_owned(), instead: &rule.instead, reason: &rule.reason });
            }
        }
    }
    found
}

/// What people read of a line: of Rust, comments and strings; of other files, all.
fn visible<'a>(path: &Path, line: &'a str) -> Cow<'a, str> {
    let is_rust = path.extension().is_some_and(|extension| extension == "rs");
    if !is_rust || line.trim_start().starts_with("//") {
        line.into()
    } else if is_among_tests(path) {
        "".into()
    } else {
        strings(line).join("\n").into()
    }
}

/// The string literals of a line; one that goes on in the next line counts to the end of this one.
fn strings(line: &str) -> Vec<String> {
    let (mut strings, mut current, mut escaped) = (Vec::new(), None::<String>, false);
    for character in line.chars() {
        match (&mut current, character) {
            (Some(string), _) if escaped => {
                string.push(character);
                escaped = false;
            }
            (Some(_), '\\') => escaped = true,
            (Some(_), '"') => strings.extend(current.take()),
            (Some(string), _) => string.push(character),
            (None, '"') => current = Some(String::new()),
            (None, _) => {}
        }
    }
    strings.extend(current);
    strings
}

/// Examples break rules on purpose, and the list holds its own phrases.
fn is_read(path: &Path) -> bool {
    let known: &[&str] = if is_among_tests(path) { &AMONG_TESTS } else { &EXTENSIONS };
    path.extension().is_some_and(|extension| known.iter().any(|known| extension == *known))
        && !has_folder(path, "examples")
        && !path.ends_with(PHRASES)
        && !path.ends_with("package-lock.json")
}

fn is_among_tests(path: &Path) -> bool {
    has_folder(path, "tests")
}

fn has_folder(path: &Path, folder: &str) -> bool {
    path.components().any(|part| part.as_os_str() == folder)
}

pub async fn check(context: &Context<'_>) -> Result<Tally> {
    let root = context.workspace.root();
    let listed = git::listed_files(root, &context.log("prose files")).await?;
    let phrases = phrases(context.workspace)?;
    let (mut reports, mut read) = (Vec::new(), 0);
    for path in listed.iter().filter(|path| is_read(path)) {
        let content =
            fs::read_to_string(root.join(path)).with_context(|| format!("failed to read {}", path.display()))?;
        reports.extend(findings(&phrases, path, &content).iter().map(ToString::to_string));
        read += 1;
    }
    let documents: Vec<PathBuf> =
        listed.iter().filter(|path| path.extension().is_some_and(|extension| extension == "md")).cloned().collect();
    if documents.is_empty() {
        bail!("found no documents");
    }
    reports.extend(terms(context, &documents).await?);
    if !reports.is_empty() {
        let count = reports.len();
        reports.truncate(SHOWN);
        bail!("{}\n{count} findings", reports.join("\n"));
    }
    context.progress.say(format!("    {} documents, {read} files, {} phrases", documents.len(), phrases.len()));
    Ok(Tally::default())
}

/// Textlint's findings in one file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Linted {
    file_path: String,
    messages: Vec<Message>,
}

#[derive(Debug, Deserialize)]
struct Message {
    line: u64,
    message: String,
}

/// Has textlint read the documents.
async fn terms(context: &Context<'_>, documents: &[PathBuf]) -> Result<Vec<String>> {
    let root = context.workspace.root();
    let node = Node::find(context.workspace, &context.stack, context.progress).await?;
    let packages = context.workspace.catalogue().join("prose");
    node.install(&context.workspace.repository(INFRASTRUCTURE).join(FOLDER), &packages, &context.log("prose install"))
        .await?;
    let log = context.log("prose textlint");
    let finished = node
        .script(&packages.join("node_modules/textlint/bin/textlint.js"), &log)
        .directory(&packages)
        .args(["--format", "json"])
        .args(documents.iter().map(|document| root.join(document)))
        .finish()
        .await?;
    reports(&finished.stdout, root).with_context(|| format!("textlint failed; see {}", log.display()))
}

/// The findings in textlint's JSON.
fn reports(json: &str, root: &Path) -> Result<Vec<String>> {
    let linted: Vec<Linted> = serde_json::from_str(json.trim())?;
    let file = |path: &str| Path::new(path).strip_prefix(root).unwrap_or(Path::new(path)).display().to_string();
    Ok(linted
        .iter()
        .flat_map(|one| one.messages.iter().map(|it| format!("{}:{}: {}", file(&one.file_path), it.line, it.message)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Vec<Phrase> {
        phrases(&Workspace::above(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap()).unwrap()
    }

    #[test]
    fn each_rule_catches_its_example_and_passes_clean_text() {
        let phrases = list();
        assert!(phrases.len() >= 15);
        for phrase in &phrases {
            assert!(phrase.find(&phrase.rule.example).is_some(), "{:?}", phrase.rule);
            for other in &phrases {
                assert_eq!(other.find(&phrase.rule.clean), None, "{:?}", other.rule);
            }
        }
    }

    #[test]
    fn reports_documents_comments_and_strings() {
        let phrases = list();
        let bad = &phrases[0].rule.example;
        let found = |path: &str, content: String| -> Vec<String> {
            findings(&phrases, Path::new(path), &content).into_iter().map(|finding| finding.place).collect()
        };
        let source = format!("/// {bad}\nlet x = 'x'; // {bad}\nlet message = \"a \\\"b\\\": {bad}\";\n");
        assert_eq!(found("a/src/x.rs", source.clone()), ["a/src/x.rs:1", "a/src/x.rs:3"]);
        assert_eq!(found("a/tests/x.rs", source), ["a/tests/x.rs:1"]);
        assert_eq!(found("a/tests/help/x.trycmd", bad.clone()).len(), 1);
        assert_eq!(found("a/x.md", format!("# {bad}")).len(), 1);
        assert_eq!(found("a/x.tf", format!("  # {bad}")).len(), 1);
    }

    #[test]
    fn reads_the_strings_of_a_line() {
        assert_eq!(strings(r#"f("a", x, "b \" c", 'd', "open \"#), ["a", "b \" c", "open "]);
    }

    #[test]
    fn ignores_data_of_tests_and_the_list_itself() {
        assert!(is_read(Path::new("get-product/src/handler.rs")) && is_read(Path::new("README.md")));
        assert!(is_read(Path::new("get-product/tests/api.rs")) && is_read(Path::new("a/tests/help/a.trycmd")));
        for path in ["a/tests/b.json", "contracts/examples/a.json", "scanners/prose/phrases.toml", "a.svg"] {
            assert!(!is_read(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn reads_the_findings_from_json() {
        let json = r#"[{"filePath":"/t/README.md","messages":[{"line":3,"message":"Incorrect term"}]},{"filePath":"/t/b.md","messages":[]}]"#;
        assert_eq!(reports(json, Path::new("/t")).unwrap(), ["README.md:3: Incorrect term"]);
        assert!(reports("not JSON", Path::new("/t")).is_err());
    }
}
