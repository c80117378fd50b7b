//! A new function's repository: a copy of a living sibling without its business.
//!
//! What all functions of a kind hold is copied as it is; `duplicates.toml` says which files those are. The sibling's own
//! files lose its name, ports and rules. Only the handler and its test are written here, since they are the business.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cargo;
use crate::duplicates::Manifest;
use crate::git;
use crate::workspace::Workspace;

/// `bbws-NAME-prod` names an IAM role, of at most 64 characters.
const MAX_NAME_LENGTH: usize = 54;

/// What invokes a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Api,
    Queue,
}

impl Kind {
    /// The file that makes a function one of this kind.
    const fn mark(self) -> &'static str {
        match self {
            Self::Api => "terraform/api_gateway_integration.tf",
            Self::Queue => "terraform/sqs_event_source.tf",
        }
    }

    const fn handler(self) -> &'static str {
        match self {
            Self::Api => include_str!("../new-function/api/handler.rs"),
            Self::Queue => include_str!("../new-function/queue/handler.rs"),
        }
    }

    const fn test(self) -> &'static str {
        match self {
            Self::Api => include_str!("../new-function/api/function.rs"),
            Self::Queue => include_str!("../new-function/queue/function.rs"),
        }
    }

    fn of(folder: &Path) -> Option<Self> {
        [Self::Api, Self::Queue].into_iter().find(|kind| folder.join(kind.mark()).is_file())
    }
}

/// The new repository, and what its author has to do.
pub struct Created {
    pub folder: PathBuf,
    pub remaining: Vec<String>,
}

/// Makes the repository `name` in `into`, after the sibling `like`.
pub async fn create(workspace: &Workspace, name: &str, like: &str, into: &Path, log: &Path) -> Result<Created> {
    check_name(name)?;
    let like = workspace.function(like)?;
    let source = workspace.repository(like);
    let Some(kind) = Kind::of(&source) else {
        bail!("{like} has no {} and no {}", Kind::Api.mark(), Kind::Queue.mark())
    };
    let folder = into.join(name);
    if folder.exists() {
        bail!("{} already exists; choose another name or delete it", folder.display());
    }

    let manifest = Manifest::read(workspace)?;
    let siblings: Vec<&str> = workspace
        .functions()
        .iter()
        .copied()
        .filter(|one| Kind::of(&workspace.repository(one)) == Some(kind))
        .collect();
    let common = manifest.held_by_all(&siblings);
    let files = git::listed_files(&source, log).await?;
    let is_common = |file: &Path| common.iter().any(|top| file.starts_with(top));
    let kept: BTreeSet<PathBuf> = files.into_iter().filter(|file| is_common(file) || is_skeleton(file)).collect();

    let sibling = Sibling { name: like, new_name: name, source: &source, kept: &kept };
    for file in &kept {
        let target = folder.join(file);
        create_parent(&target)?;
        if is_common(file) {
            // Copies the permissions too.
            fs::copy(source.join(file), &target).with_context(|| format!("failed to write {}", target.display()))?;
        } else {
            write(&target, &sibling.without_business(file)?)?;
        }
    }
    write(&folder.join("src/handler.rs"), kind.handler())?;
    write(&folder.join("tests/function.rs"), &sibling.test(kind)?)?;

    // Its name may have moved it among the imports.
    cargo::command(log).directory(&folder).arg("fmt").run("`cargo fmt` in the new repository").await?;
    Ok(Created { folder, remaining: remaining(kind, name, like, &manifest.groups_with(&siblings)) })
}

/// A name and a sibling for each kind of function.
pub fn samples(workspace: &Workspace) -> Result<Vec<(&'static str, &'static str)>> {
    let samples = [(Kind::Api, "new-api-function"), (Kind::Queue, "new-queue-function")];
    let like = |kind| workspace.functions().iter().find(|one| Kind::of(&workspace.repository(one)) == Some(kind));
    samples
        .into_iter()
        .map(|(kind, name)| Ok((name, *like(kind).with_context(|| format!("no function has {}", kind.mark()))?)))
        .collect()
}

fn check_name(name: &str) -> Result<()> {
    let valid = name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.len() <= MAX_NAME_LENGTH
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !valid {
        bail!("{name:?} must be at most {MAX_NAME_LENGTH} lower-case letters, digits and hyphens, a letter first");
    }
    Ok(())
}

/// Files that each repository has of its own, and that are kept without what is particular to the sibling.
fn is_skeleton(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default();
    let below = |folder: &str| file.starts_with(folder);
    match () {
        () if below("src") => {
            name == "mod.rs"
                || ["src/main.rs", "src/lib.rs", "src/config.rs"].iter().any(|kept| file == Path::new(kept))
        }
        () if below("tests") => below("tests/smoke") || file == Path::new("tests/support/mod.rs"),
        () => true,
    }
}

/// The repository that is copied, and the name of the copy.
struct Sibling<'a> {
    name: &'a str,
    new_name: &'a str,
    source: &'a Path,
    kept: &'a BTreeSet<PathBuf>,
}

impl Sibling<'_> {
    fn read(&self, file: &str) -> Result<String> {
        let path = self.source.join(file);
        fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))
    }

    fn without_business(&self, file: &Path) -> Result<String> {
        let text = self.read(&file.to_string_lossy())?;
        Ok(match file.to_string_lossy().as_ref() {
            // Its variables are those of the Terraform root, which are kept as well.
            "src/config.rs" => text,
            "Cargo.toml" => manifest(&text, self.name, self.new_name),
            "Cargo.lock" => lock_file(&text, self.name, self.new_name),
            "CHANGELOG.md" => changelog(&text, self.name),
            "README.md" => self.rename(&readme(&text)),
            "src/main.rs" => self.rename(&wiring(&text)),
            "src/lib.rs" => format!(
                "//! What the function does, and the path of an event through its modules.\n\n{}",
                self.modules(Path::new("src"), without_module_comment(&text))
            ),
            "terraform/main.tf" => self.rename(&terraform_locals(&text)),
            "terraform/iam.tf" => self.rename(&role(&text)),
            "terraform/tests/contract.tftest.hcl" => self.rename(&terraform_test(&text)),
            _ if file.ends_with("mod.rs") => self.modules(file.parent().unwrap_or(Path::new("")), &text),
            _ => self.rename(&text),
        })
    }

    fn rename(&self, text: &str) -> String {
        text.replace(self.name, self.new_name).replace(&crate_name(self.name), &crate_name(self.new_name))
    }

    /// A list of modules without those that are not kept.
    fn modules(&self, folder: &Path, text: &str) -> String {
        let kept = |module: &str| {
            module == "handler"
                || self.kept.contains(&folder.join(format!("{module}.rs")))
                || self.kept.contains(&folder.join(module).join("mod.rs"))
        };
        let mut list = String::new();
        for line in text.lines() {
            match module_name(line) {
                None => list.push_str(&format!("{line}\n")),
                // Public, since nothing uses it until there is an adapter.
                Some(module) if kept(module) => list.push_str(&format!("pub mod {module};\n")),
                Some(_) => {}
            }
        }
        list
    }

    fn test(&self, kind: Kind) -> Result<String> {
        let config = self.read("src/config.rs")?;
        let variables: BTreeSet<String> = config
            .split("required(\"")
            .skip(1)
            .filter_map(|rest| rest.split_once('"'))
            .filter(|(name, _)| *name != "LOG_LEVEL")
            // Every variable accepts it: as a name, and as a number.
            .map(|(name, _)| format!("(\"{name}\", \"1\")"))
            .collect();
        let variables: Vec<String> = variables.into_iter().collect();
        let text = kind
            .test()
            .replace("EXE_NAME", &format!("EXE_{}", self.new_name))
            .replace("&[VARIABLES]", &format!("&[{}]", variables.join(", ")))
            .replace("CRATE", &crate_name(self.new_name));
        if kind == Kind::Queue {
            return Ok(text);
        }
        let process = self.read("tests/process.rs")?;
        let constant = |name: &str| {
            let line = process.lines().find_map(|line| line.strip_prefix(&format!("const {name}: &str = \"")));
            line.and_then(|line| line.strip_suffix("\";")).with_context(|| format!("tests/process.rs has no {name}"))
        };
        Ok(text
            .replace("METHOD", constant("METHOD")?)
            .replace("\"RESOURCE\"", &format!("\"{}\"", constant("RESOURCE")?)))
    }
}

/// From `pub mod name;`, with any visibility.
fn module_name(line: &str) -> Option<&str> {
    let declaration = line.strip_suffix(';')?;
    ["mod ", "pub mod ", "pub(crate) mod "].iter().find_map(|start| declaration.strip_prefix(start))
}

fn crate_name(name: &str) -> String {
    name.replace('-', "_")
}

fn lines<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.flat_map(|line| [line, "\n"]).collect()
}

fn without_module_comment(text: &str) -> &str {
    let end = text.find("\n\n").map_or(0, |end| end + 2);
    if text.starts_with("//!") { &text[end..] } else { text }
}

fn manifest(text: &str, name: &str, new_name: &str) -> String {
    let text = text.replacen(&format!("name = \"{name}\""), &format!("name = \"{new_name}\""), 1);
    lines(text.lines().map(|line| {
        if line.starts_with("description = ") { "description = \"A function of the product catalogue\"" } else { line }
    }))
}

/// Cargo sorts packages by name, and `--locked` refuses another order.
fn lock_file(text: &str, name: &str, new_name: &str) -> String {
    const START: &str = "[[package]]\n";
    let mut parts: Vec<String> = text.split(START).map(|part| part.trim_end().to_owned()).collect();
    let head = parts.remove(0);
    let key = |part: &str| part.lines().next().unwrap_or_default().to_owned();
    let old = format!("name = \"{name}\"");
    for part in &mut parts {
        if key(part) == old {
            *part = part.replacen(&old, &format!("name = \"{new_name}\""), 1);
        }
    }
    let name_of = |part: &String| key(part).trim_start_matches("name = ").trim_matches('"').to_owned();
    parts.sort_by_key(name_of);
    let packages: Vec<String> = parts.iter().map(|part| format!("{START}{part}\n")).collect();
    format!("{head}\n\n{}", packages.join("\n"))
}

fn changelog(text: &str, like: &str) -> String {
    let head = text.split_inclusive("## [Unreleased]\n").next().unwrap_or_default();
    format!("{head}\n### Added\n\n- The repository, after {like}.\n")
}

/// Sections that hold for every function, without the rows of calls.
fn readme(text: &str) -> String {
    const OWN: [&str; 2] = ["What it does", "API"];
    let mut sections = text.split("\n## ");
    let title = sections.next().and_then(|head| head.lines().next()).unwrap_or_default();
    let mut result = format!(
        "{title}\n\nWhat the function does, in one sentence.\n\nPart of the product catalogue. The repository builds, tests \
         and deploys alone. In product-infrastructure are\nthe HTTP contract, `openapi.yaml`, and the description of the \
         whole system, `docs/architecture.md`.\n"
    );
    for section in sections {
        let heading = section.lines().next().unwrap_or_default();
        if OWN.contains(&heading) {
            continue;
        }
        let is_call = |line: &&str| {
            heading == "Permissions"
                && line.starts_with("| ")
                && *line != "| call | permission |"
                && !line.contains("`sqs:ReceiveMessage`")
        };
        result.push_str("\n## ");
        result.push_str(&lines(section.trim_end().lines().filter(|line| !is_call(line))));
    }
    result
}

/// `main.rs` without adapters: no imports, no statements that make one, no arguments for the handler.
fn wiring(text: &str) -> String {
    let Some((head, body)) = text.split_once("async fn main()") else { return text.to_owned() };
    let mut main = lines(head.lines().filter(|line| !line.contains("::repositories::")));
    main.truncate(main.trim_end().len());
    main = main.replace("::aws::{Aws, Service}", "::aws::Aws");
    main.push_str("\nasync fn main()");
    for statement in body.split_inclusive(";\n") {
        let is_kept = ["run(service_fn", "telemetry::init"].iter().any(|part| statement.contains(part));
        let is_adapter = [" config.", "(config.", "aws_sdk_"].iter().any(|part| statement.contains(part));
        if statement.contains("open_connections") {
            main.push_str("    aws.open_connections(&[]).await;\n");
        } else if is_kept || !is_adapter {
            main.push_str(statement);
        }
    }
    without_ports(&main).replace("|request| handler::handle(request)", "handler::handle")
}

/// The handler's call with the event, and the time for it, as its only arguments.
fn without_ports(main: &str) -> String {
    const CALL: &str = "handler::handle(";
    let Some((before, call)) = main.split_once(CALL) else { return main.to_owned() };
    let mut depth = 1;
    let end = call.find(|c| {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        depth == 0
    });
    let (arguments, after) = call.split_at(end.unwrap_or(0));
    let own = |argument: &&str| ["request", "event.", "time."].iter().any(|start| argument.starts_with(start));
    let arguments: Vec<&str> = arguments.split(", ").filter(own).collect();
    format!("{before}{CALL}{}{after}", arguments.join(", "))
}

fn terraform_locals(text: &str) -> String {
    let body = text.lines().skip_while(|line| line.starts_with('#'));
    let body = lines(body.map(|line| match line.split_whitespace().next() {
        Some("description") => "  description   = \"A function of the product catalogue\"",
        Some("impact") => "  impact  = \"not described yet.\"",
        _ => line,
    }));
    format!(
        "# Everything specific to this function is here and in iam.tf; the other files are the same in every function's\n\
         # repository.\n{body}"
    )
}

/// The role without the calls of the sibling's adapters.
fn role(text: &str) -> String {
    const CALLS: &str = "data \"aws_iam_policy_document\" \"calls\" {\n";
    let Some((before, calls)) = text.split_once(CALLS) else { return text.to_owned() };
    let of_every_function =
        |statement: &&str| ["\"SendTraces\"", "\"ReadTheQueue\""].iter().any(|sid| statement.contains(sid));
    let statements: Vec<&str> =
        calls.trim_end().trim_end_matches('}').trim_end().split("\n\n").filter(of_every_function).collect();
    format!("{before}{CALLS}{}\n}}\n", statements.join("\n\n"))
}

/// The root's test without the calls of the sibling's adapters, aligned as `terraform fmt` does.
fn terraform_test(text: &str) -> String {
    const OF_EVERY_QUEUE: [&str; 3] = ["\"sqs:DeleteMessage\"", "\"sqs:GetQueueAttributes\"", "\"sqs:ReceiveMessage\""];
    let width = OF_EVERY_QUEUE.iter().map(|action| action.len()).max().unwrap_or_default();
    let mut result = String::new();
    for line in text.lines() {
        match line.trim_start().split_once(" = sort([").map(|(action, resources)| (action.trim_end(), resources)) {
            None => result.push_str(&format!("{line}\n")),
            Some((action, resources)) if OF_EVERY_QUEUE.contains(&action) => {
                result.push_str(&format!("      {action:<width$} = sort([{resources}\n"));
            }
            // A call of an adapter.
            Some(_) => {}
        }
    }
    result
}

fn remaining(kind: Kind, name: &str, like: &str, groups: &[String]) -> Vec<String> {
    let source = match kind {
        Kind::Api => [
            "API resource: add it and its output to product-infrastructure/terraform/api.tf and outputs.tf, its operation to \
             product-infrastructure/openapi.yaml (then `cargo xtask sync`)"
                .to_owned(),
            format!("Routes: replace those of {like} in terraform/main.tf and terraform/tests/contract.tftest.hcl"),
        ],
        Kind::Queue => [
            "Queue: add it, its dead-letter queue, alarms and outputs to product-infrastructure/terraform/queues.tf and \
             outputs.tf"
                .to_owned(),
            format!("Queue: replace the one of {like} in terraform/main.tf and terraform/tests/contract.tftest.hcl"),
        ],
    };
    let mut remaining: Vec<String> = source.into();
    remaining.extend([
        "Business: src/handler.rs and its test tests/function.rs; rules in src/services, ports and adapters in \
         src/repositories"
            .to_owned(),
        "Configuration: the variables in src/config.rs, terraform/main.tf and terraform/tests/contract.tftest.hcl".to_owned(),
        "Permissions: a statement in terraform/iam.tf for each call of an adapter, and its line in \
         terraform/tests/contract.tftest.hcl"
            .to_owned(),
        "Description: Cargo.toml, README.md, src/lib.rs, and description and impact in terraform/main.tf".to_owned(),
        "Smoke test: tests/smoke/event.json and expected.json, the result of a function that works".to_owned(),
        format!("Dependencies: remove from Cargo.toml those of {like} that stay unused"),
        format!(
            "Deploy role: add {name} to product-infrastructure/terraform/deploy-roles/variables.tf and its test, and to \
             product-infrastructure/scripts/repositories.txt"
        ),
        format!(
            "Duplicates: add {name} to the groups {} of product-infrastructure/duplicates.toml; `cargo xtask drift` lists \
             the other files that it shares",
            groups.join(", ")
        ),
        "Documents: the table of repositories in README.md".to_owned(),
    ]);
    remaining
}

fn create_parent(path: &Path) -> Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    create_parent(path)?;
    fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_names_that_aws_and_cargo_accept() {
        for name in ["search-products", "a1"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "Search", "1st", "-a", "a-", "a_b", "../a", &"a".repeat(55)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn reads_module_of_any_visibility() {
        for line in ["mod a;", "pub mod a;", "pub(crate) mod a;"] {
            assert_eq!(module_name(line), Some("a"), "{line}");
        }
        assert_eq!(module_name("//! mod a;"), None);
        assert_eq!(module_name("mod tests {"), None);
    }

    #[test]
    fn removes_adapters_from_wiring() {
        let main = "use a::aws::{Aws, Service};\nuse a::repositories::dynamodb::Table;\n\n// One thread.\n\
            async fn main() -> Result<(), Error> {\n    let config = Config::from_env()?;\n    telemetry::init(&config.log_level);\n    \
            let aws = Aws::from_env()?;\n    let client = aws_sdk_dynamodb::Client::new(&aws.sdk(Service::DynamoDb));\n    \
            let table = Table::new(client, config.table_name);\n    // All.\n    aws.open_connections(&[Service::DynamoDb]).await;\n\n    \
            run(service_fn(|event| serve(event, |request| handler::handle(request, &table, config.shards)))).await\n}\n";
        assert_eq!(
            wiring(main),
            "use a::aws::Aws;\n\n// One thread.\nasync fn main() -> Result<(), Error> {\n    let config = Config::from_env()?;\n    \
            telemetry::init(&config.log_level);\n    let aws = Aws::from_env()?;\n    aws.open_connections(&[]).await;\n\n    \
            run(service_fn(|event| serve(event, handler::handle))).await\n}\n"
        );
    }

    #[test]
    fn sorts_renamed_package_into_lock_file() {
        let lock = "# made\nversion = 4\n\n[[package]]\nname = \"anyhow\"\n\n[[package]]\nname = \"get-product\"\nversion = \"0.1.0\"\n\n\
            [[package]]\nname = \"tokio\"\n";
        assert_eq!(lock_file(lock, "get-product", "get-product"), lock);
        assert_eq!(
            lock_file(lock, "get-product", "a-product"),
            "# made\nversion = 4\n\n[[package]]\nname = \"a-product\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"anyhow\"\n\n\
            [[package]]\nname = \"tokio\"\n"
        );
    }

    #[test]
    fn keeps_permissions_of_every_function_only() {
        let role_text = "data \"aws_iam_policy_document\" \"calls\" {\n  # Why.\n  statement {\n    sid = \"Read\"\n  }\n\n  statement {\n    \
            sid = \"SendTraces\"\n  }\n}\n";
        let expected =
            "data \"aws_iam_policy_document\" \"calls\" {\n  statement {\n    sid = \"SendTraces\"\n  }\n}\n";
        assert_eq!(role(role_text), expected);
        let test = "  a = {\n      \"dynamodb:ConditionCheckItem\" = sort([\"t\"])\n      \"sqs:DeleteMessage\"           = sort([\"q\"])\n  }\n";
        assert_eq!(terraform_test(test), "  a = {\n      \"sqs:DeleteMessage\"      = sort([\"q\"])\n  }\n");
    }
}
