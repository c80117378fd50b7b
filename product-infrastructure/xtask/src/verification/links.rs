//! Every relative link in a document leads to a file, and to a heading of it, in the document's own repository: on GitHub, a
//! repository has no siblings.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use pulldown_cmark::{Event, LinkType, Options, Parser, Tag, TagEnd};

use super::Context;
use super::tally::Tally;
use crate::git;

/// What a document says about links.
#[derive(Debug, Default)]
struct Document {
    /// Targets, each with its line.
    links: Vec<(usize, String)>,
    /// The headings' anchors, as GitHub makes them.
    anchors: BTreeSet<String>,
}

pub async fn check(context: &Context<'_>) -> Result<Tally> {
    let root = context.workspace.root();
    let files = git::listed_files(root, &context.log("links files")).await?;
    let mut documents = BTreeMap::new();
    for path in files.iter().filter(|path| is_document(path)) {
        let text = fs::read_to_string(root.join(path)).with_context(|| format!("failed to read {}", path.display()))?;
        documents.insert(path.clone(), Document::parse(&text));
    }
    let count: usize = documents.values().map(|document| document.links.len()).sum();
    if count == 0 {
        bail!("found no links");
    }
    let repositories: BTreeSet<&str> = context.workspace.repositories().collect();
    let findings = findings(&files.into_iter().collect(), &documents, &repositories);
    if !findings.is_empty() {
        bail!("{}", findings.join("\n"));
    }
    context.progress.say(format!("    {count} links in {} documents", documents.len()));
    Ok(Tally::default())
}

fn is_document(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md")
}

fn findings(
    files: &BTreeSet<PathBuf>,
    documents: &BTreeMap<PathBuf, Document>,
    repositories: &BTreeSet<&str>,
) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, document) in documents {
        for (line, link) in &document.links {
            if let Some(problem) = problem(path, link, files, documents, repositories) {
                findings.push(format!("{}:{line}: {link}: {problem}", path.display()));
            }
        }
    }
    findings
}

/// Why a link leads nowhere.
fn problem(
    from: &Path,
    link: &str,
    files: &BTreeSet<PathBuf>,
    documents: &BTreeMap<PathBuf, Document>,
    repositories: &BTreeSet<&str>,
) -> Option<&'static str> {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() { Some(from.to_owned()) } else { resolve(from.parent()?, Path::new(path)) };
    let Some(target) = target else { return Some("leads out of the tree") };
    let own =
        from.components().next().filter(|top| top.as_os_str().to_str().is_some_and(|top| repositories.contains(top)));
    if own.is_some() && own != target.components().next() {
        return Some("leads out of its repository");
    }
    let is_folder = || files.iter().any(|file| file.starts_with(&target));
    if !files.contains(&target) && !is_folder() {
        return Some("no such file");
    }
    let has_anchor = |document: &Document| document.anchors.contains(anchor);
    (!anchor.is_empty() && documents.get(&target).is_some_and(|document| !has_anchor(document)))
        .then_some("no such heading")
}

/// The path below the tree; `None` if it isn't below it.
fn resolve(folder: &Path, path: &Path) -> Option<PathBuf> {
    let mut resolved = folder.to_owned();
    for component in path.components() {
        match component {
            Component::ParentDir => resolved.pop().then_some(())?,
            Component::CurDir => {}
            Component::Normal(name) => resolved.push(name),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(resolved)
}

impl Document {
    fn parse(text: &str) -> Self {
        let (mut document, mut heading) = (Self::default(), None::<String>);
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            match event {
                // The parser leaves out the scheme of an email address in angle brackets.
                Event::Start(Tag::Link { link_type: LinkType::Email, .. }) => {}
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) if !has_scheme(&dest_url) => {
                    document.links.push((line(text, &range), dest_url.into_string()));
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::Text(part) | Event::Code(part) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&part);
                    }
                }
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = anchor(&heading.take().unwrap_or_default());
                    let earlier = times.entry(anchor.clone()).or_default();
                    document.anchors.insert(if *earlier == 0 { anchor } else { format!("{anchor}-{earlier}") });
                    *earlier += 1;
                }
                _ => {}
            }
        }
        document
    }
}

/// `https:`, `mailto:` and the like.
fn has_scheme(link: &str) -> bool {
    link.split_once(':')
        .is_some_and(|(scheme, _)| !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphabetic()))
}

fn line(text: &str, range: &Range<usize>) -> usize {
    text[..range.start].matches('\n').count() + 1
}

/// A heading's anchor on GitHub.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '));
    kept.map(|c| if c == ' ' { '-' } else { c }).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings_of(documents: &[(&str, &str)]) -> Vec<String> {
        let parsed: BTreeMap<PathBuf, Document> =
            documents.iter().map(|(path, text)| (PathBuf::from(path), Document::parse(text))).collect();
        let mut files: BTreeSet<PathBuf> = parsed.keys().cloned().collect();
        files.insert("get-product/src/lib.rs".into());
        findings(&files, &parsed, &["get-product", "list-products"].into())
    }

    #[test]
    fn accepts_files_folders_headings_and_other_hosts() {
        let readme = "# A `b`: c_d\n\n# Same\n# Same\n\n[f](src/lib.rs) [d](src) [h](#a-b-c_d) [2](#same-1)\n\n\
                      | t |\n|---|\n| [x](https://example.com/#x) <a@example.com> |\n\n    [code](nowhere)\n\n`[code](nowhere)`\n";
        let top = "[r](get-product/README.md#same) [l](list-products/README.md)";
        assert_eq!(
            findings_of(&[("get-product/README.md", readme), ("README.md", top), ("list-products/README.md", "")]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn reports_each_kind_of_dead_link_with_its_line() {
        let readme = "# Title\n\n[a](src/main.rs)\n[b](#tittle)\n[c](../list-products/README.md)\n[d](../../x)\n[e][e]\n\n[e]: ./docs\n";
        assert_eq!(
            findings_of(&[("get-product/README.md", readme), ("list-products/README.md", "")]),
            [
                "get-product/README.md:3: src/main.rs: no such file",
                "get-product/README.md:4: #tittle: no such heading",
                "get-product/README.md:5: ../list-products/README.md: leads out of its repository",
                "get-product/README.md:6: ../../x: leads out of the tree",
                "get-product/README.md:7: ./docs: no such file",
            ]
        );
    }
}
