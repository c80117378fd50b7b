//! The API reference, with the pinned viewer: the page holds the whole contract and refers to no other host. What scripts do
//! at run time, the page's content security policy limits.

use std::fs;

use anyhow::{Context as _, Result, bail};
use regex_lite::Regex;

use super::Context;
use super::tally::Tally;
use crate::reference::{self, Sources};

/// The guides that a caller needs, headings in the description of `openapi.yaml`.
const GUIDES: [&str; 11] = [
    "First requests",
    "API keys",
    "Browsers",
    "Following a change",
    "Concurrent updates",
    "Pagination",
    "Change feed",
    "Errors",
    "Limits",
    "Support",
    "Compatibility",
];

pub async fn check(context: &Context<'_>) -> Result<Tally> {
    let path = reference::build(context.workspace, &context.stack, context.progress).await?;
    let page = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let findings = findings(&page, &Sources::read(context.workspace)?.openapi)?;
    if !findings.is_empty() {
        bail!("{}:\n{}", path.display(), findings.join("\n"));
    }
    Ok(Tally::default())
}

/// What the page lacks of the contract, and what it would fetch from elsewhere.
fn findings(page: &str, openapi: &str) -> Result<Vec<String>> {
    let operation = Regex::new(r"(?m)^ {6}(operationId: \w+)$")?;
    let operations: Vec<&str> =
        operation.captures_iter(openapi).filter_map(|found| found.get(1)).map(|found| found.as_str()).collect();
    if operations.is_empty() {
        bail!("openapi.yaml has no operation");
    }
    // Line breaks are escaped in the page's string.
    let guides = GUIDES.map(|guide| format!("    ## {guide}\\n"));
    let expected = operations.iter().copied().map(|operation| format!("{operation}\\n")).chain(guides);
    let mut findings: Vec<String> = expected
        .filter(|text| !page.contains(text.as_str()))
        .map(|text| format!("lacks {}", text.trim_end_matches("\\n").trim()))
        .collect();

    let scripts = Regex::new(r"(?is)(<script\b[^>]*>).*?(</script)")?;
    let markup = scripts.replace_all(page, "$1$2");
    let elsewhere = Regex::new(
        r#"(?i)\b(?:src|srcset|href|data|action)\s*=\s*["']?\s*(?:[a-z]+:)?//[^\s"'>]*|@import[^;]*|url\([^)]*\)"#,
    )?;
    findings.extend(elsewhere.find_iter(&markup).map(|found| format!("refers to another host: {}", found.as_str())));
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Workspace;
    use std::path::Path;

    fn sources() -> Sources {
        Sources::read(&Workspace::above(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap()).unwrap()
    }

    #[test]
    fn page_holds_each_operation_and_guide_and_refers_to_no_host() {
        let sources = sources();
        let page = sources.page("load(`<link href=https://fonts.example.com>`)").unwrap();
        assert_eq!(findings(&page, &sources.openapi).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn reports_missing_operation_and_guide() {
        let sources = sources();
        let page = sources.page("").unwrap();
        let page = page.replace("operationId: getProduct\\n", "").replace("## Browsers\\n", "");
        assert_eq!(findings(&page, &sources.openapi).unwrap(), ["lacks operationId: getProduct", "lacks ## Browsers"]);
        assert!(findings(&page, "").is_err());
    }

    #[test]
    fn reports_reference_to_another_host() {
        let sources = sources();
        let page = sources.page("").unwrap();
        for reference in [
            "<script src=\"https://cdn.example.com/viewer.js\"></script>",
            "<link rel=stylesheet href='//cdn.example.com/a.css'>",
            "<img src=http://example.com/a.png>",
            "<style>@import 'https://example.com/a.css';</style>",
            "<style>body { background: url(https://example.com/a.png) }</style>",
        ] {
            let page = page.replace("</head>", &format!("{reference}</head>"));
            assert_eq!(findings(&page, &sources.openapi).unwrap().len(), 1, "{reference}");
        }
    }
}
