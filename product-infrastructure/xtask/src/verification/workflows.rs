//! Workflows, other YAML and shell scripts, read by programs that know what goes wrong in them.
//!
//! zizmor looks for what an attacker could use, GitHub's own schema says what a workflow may hold, yamllint keeps the form,
//! shellcheck knows the shell. All four read what git has, or would have, of the repositories.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::tally::Tally;
use super::{Context, SHOWN};
use crate::environment::Environment;
use crate::git;
use crate::process::External;

/// What continuous integration runs, at the top level; without the ending of a script.
const CI: &str = ".ci/run";

/// What there is to read, below one folder.
struct Files {
    workflows: Vec<PathBuf>,
    yaml: Vec<PathBuf>,
    scripts: Vec<PathBuf>,
}

impl Files {
    /// A repository must have some of each.
    fn of(repository: &str, listed: &[PathBuf]) -> Result<Self> {
        let own: Vec<&Path> = listed.iter().filter_map(|path| path.strip_prefix(repository).ok()).collect();
        let those = |wanted: fn(&Path) -> bool| own.iter().filter(|path| wanted(path)).map(PathBuf::from).collect();
        let files = Self {
            workflows: those(|path| is_yaml(path) && path.starts_with(".github/workflows")),
            yaml: those(is_yaml),
            scripts: those(|path| has_ending(path, "sh")),
        };
        for (what, found) in [("workflow", &files.workflows), ("shell script", &files.scripts)] {
            if found.is_empty() {
                bail!("{repository} has no {what}");
            }
        }
        Ok(files)
    }
}

fn is_yaml(path: &Path) -> bool {
    has_ending(path, "yml") || has_ending(path, "yaml")
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|extension| extension == ending)
}

/// Runs all of them and reports all findings.
pub async fn check(context: &Context<'_>) -> Result<Tally> {
    let scanner = Scanner { context, environment: Environment::workflows(context.workspace) };
    let listed = git::listed_files_of_all(context.workspace, &context.log("workflows files")).await?;
    let repositories = context
        .workspace
        .repositories()
        .map(|repository| Ok((repository, Files::of(repository, &listed)?)))
        .collect::<Result<Vec<_>>>()?;
    let count = |files: fn(&Files) -> &[PathBuf]| repositories.iter().map(|(_, own)| files(own).len()).sum::<usize>();
    let workflows = count(|files| &files.workflows);

    let github: Vec<&Path> = listed.iter().map(PathBuf::as_path).filter(|path| is_read_by_zizmor(path)).collect();
    let mut results = vec![scanner.zizmor(&github).await];
    for (repository, files) in &repositories {
        results.push(scanner.schema(repository, &files.workflows).await);
        results.push(scanner.yamllint(repository, &files.yaml).await);
        results.push(scanner.shellcheck(repository, repository, &files.scripts).await);
    }
    // Repositories that were cloned side by side have no top level of their own.
    let has_ci = context.workspace.root().join(CI).is_file();
    if has_ci {
        results.push(scanner.shellcheck("", "ci", &[CI.into()]).await);
    }

    let findings: Vec<String> = results.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect();
    if !findings.is_empty() {
        bail!("{}", findings.join("\n"));
    }
    context.progress.say(format!(
        "    {workflows} workflows, {} YAML files in all, {} scripts",
        count(|files| &files.yaml),
        count(|files| &files.scripts) + usize::from(has_ci)
    ));
    Ok(Tally::default())
}

struct Scanner<'a> {
    context: &'a Context<'a>,
    environment: Environment,
}

impl Scanner<'_> {
    /// One of the programs, without the user's configuration.
    fn program(&self, name: &str, what: &str) -> External {
        const SETTINGS: [&str; 3] = ["SHELLCHECK_OPTS", "YAMLLINT_CONFIG_FILE", "ZIZMOR_CONFIG"];
        External::new(self.environment.program(name), self.context.log(&format!("workflows {name} {what}")))
            .without_env(SETTINGS)
            .env("PYTHONDONTWRITEBYTECODE", "1")
    }

    /// Looks at all repositories' `.github`, by its strictest rules; what it passes over says why in the file.
    ///
    /// Each file is named: zizmor fails when it can't read one of them, whereas in a folder it chooses by itself.
    async fn zizmor(&self, files: &[&Path]) -> Result<()> {
        let finished = self
            .program("zizmor", "all")
            .directory(self.context.workspace.root())
            .args(["--offline", "--no-progress", "--color", "never", "--persona", "auditor", "--strict-collection"])
            .args(["--format", "json"])
            .args(files)
            .finish()
            .await?;
        let findings = serde_json::from_str::<Vec<Finding>>(&finished.stdout);
        match (findings, finished.code) {
            (Ok(findings), Some(0)) if findings.iter().all(|finding| finding.ignored) => Ok(()),
            (Ok(findings), _) if !findings.is_empty() => {
                let open: Vec<String> =
                    findings.iter().filter(|finding| !finding.ignored).map(Finding::describe).collect();
                bail!("zizmor:\n{}", open.join("\n"))
            }
            (findings, _) => {
                finished.expect_success_or_show("zizmor", SHOWN)?;
                findings.map(|_| ()).context("failed to parse zizmor's report")
            }
        }
    }

    async fn schema(&self, repository: &str, workflows: &[PathBuf]) -> Result<()> {
        self.program("check-jsonschema", repository)
            .directory(self.context.workspace.repository(repository))
            .args(["--builtin-schema", "vendor.github-workflows"])
            .args(workflows)
            .finish()
            .await?
            .expect_success_or_show(&format!("check-jsonschema in {repository}"), SHOWN)?;
        Ok(())
    }

    /// By the repository's own `.yamllint.yaml`.
    async fn yamllint(&self, repository: &str, files: &[PathBuf]) -> Result<()> {
        self.program("yamllint", repository)
            .directory(self.context.workspace.repository(repository))
            .args(["--strict", "--format", "parsable", "--config-file", ".yamllint.yaml"])
            .args(files)
            .finish()
            .await?
            .expect_success_or_show(&format!("yamllint in {repository}"), SHOWN)?;
        Ok(())
    }

    /// From the repository's folder: what a script sources is named from there.
    async fn shellcheck(&self, folder: &str, name: &str, scripts: &[PathBuf]) -> Result<()> {
        self.program("shellcheck", name)
            .directory(self.context.workspace.repository(folder))
            .args(["--external-sources", "--severity", "style", "--color=never"])
            .args(scripts)
            .finish()
            .await?
            .expect_success_or_show(&format!("shellcheck in {name}"), SHOWN)?;
        Ok(())
    }
}

/// Workflows, and Dependabot's configuration beside them.
fn is_read_by_zizmor(path: &Path) -> bool {
    is_yaml(path) && path.components().any(|component| component.as_os_str() == ".github")
}

/// One of zizmor's findings, as it writes them in JSON.
#[derive(Debug, Deserialize)]
struct Finding {
    ident: String,
    desc: String,
    /// The file says why it is passed over.
    ignored: bool,
    locations: Vec<Location>,
}

#[derive(Debug, Deserialize)]
struct Location {
    symbolic: Symbolic,
    concrete: Concrete,
}

#[derive(Debug, Deserialize)]
struct Symbolic {
    key: Key,
    annotation: String,
}

#[derive(Debug, Deserialize)]
enum Key {
    Local { verbatim_path: String },
}

#[derive(Debug, Deserialize)]
struct Concrete {
    location: Span,
}

#[derive(Debug, Deserialize)]
struct Span {
    start_point: Point,
}

#[derive(Debug, Deserialize)]
struct Point {
    row: usize,
}

impl Finding {
    fn describe(&self) -> String {
        let mut text = format!("{}: {}", self.ident, self.desc);
        for Location { symbolic, concrete } in &self.locations {
            let Key::Local { verbatim_path } = &symbolic.key;
            text.push_str(&format!(
                "\n  {verbatim_path}:{}: {}",
                concrete.location.start_point.row + 1,
                symbolic.annotation
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classifies_files_and_requires_workflows() {
        let listed: Vec<PathBuf> = [
            "get-product/.github/workflows/ci.yml",
            "get-product/.yamllint.yaml",
            "get-product/scripts/check.sh",
            "get-product/src/main.rs",
            "list-products/scripts/check.sh",
        ]
        .map(PathBuf::from)
        .into();
        let files = Files::of("get-product", &listed).unwrap();
        assert_eq!(files.workflows, [Path::new(".github/workflows/ci.yml")]);
        assert_eq!(files.yaml.len(), 2);
        assert_eq!(files.scripts, [Path::new("scripts/check.sh")]);
        let error = Files::of("list-products", &listed).err().unwrap().to_string();
        assert_eq!(error, "list-products has no workflow");
    }

    #[test]
    fn finding_names_rule_file_and_line() {
        let json = r#"[{"ident":"artipacked","desc":"credential persistence","url":"https://x",
            "determinations":{"confidence":"Low","severity":"Medium","persona":"Regular"},"ignored":false,
            "locations":[{"symbolic":{"key":{"Local":{"verbatim_path":"a/.github/workflows/ci.yml"}},
            "annotation":"does not set persist-credentials: false","route":{"route":[]},"kind":"Primary"},
            "concrete":{"location":{"start_point":{"row":5,"column":8},"end_point":{"row":5,"column":33}},"feature":""}}]}]"#;
        let findings: Vec<Finding> = serde_json::from_str(json).unwrap();
        assert_eq!(
            findings[0].describe(),
            "artipacked: credential persistence\n  a/.github/workflows/ci.yml:6: does not set persist-credentials: false"
        );
        assert!(is_read_by_zizmor(Path::new("a/.github/dependabot.yml")));
        assert!(!is_read_by_zizmor(Path::new("a/.yamllint.yaml")));
    }
}
