//! Files that several repositories hold copies of, on purpose. `duplicates.toml` lists them; here the copies are compared
//! and, on request, made equal.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::workspace::{INFRASTRUCTURE, Workspace};

/// Below this size two files may be equal by coincidence: lists of modules, lone settings.
const COINCIDENCE_BYTES: usize = 512;

/// Built-in groups: the functions, and the functions with product-infrastructure.
const BUILT_IN: [&str; 2] = ["functions", "repositories"];

/// The content of `duplicates.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Repositories by a common name.
    #[serde(default)]
    groups: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub file: Vec<Entry>,
}

/// A file, or a folder with everything below it, and who holds a copy.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The path inside each of the repositories.
    pub path: PathBuf,
    /// Names, and `@GROUP`s, which stand for their members.
    pub repositories: Vec<String>,
    /// The path of one more copy, in product-infrastructure.
    pub source: Option<PathBuf>,
}

/// One copy of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Copy {
    repository: String,
    path: PathBuf,
}

/// A difference between copies.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// The path that most copies have.
    pub path: PathBuf,
    /// Groups of copies that are equal among themselves, the largest first; `None` is where the file is missing.
    pub groups: Vec<(Option<String>, Vec<String>)>,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} differs:", self.path.display())?;
        for (content, repositories) in &self.groups {
            match content {
                Some(digest) => write!(formatter, "\n  {} in {}", &digest[..12], repositories.join(", "))?,
                None => write!(formatter, "\n  missing in {}", repositories.join(", "))?,
            }
        }
        Ok(())
    }
}

/// Files that are equal in several repositories, and not listed.
#[derive(Debug, PartialEq, Eq)]
pub struct Twins(Vec<PathBuf>);

impl fmt::Display for Twins {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<_> = self.0.iter().map(|path| path.display().to_string()).collect();
        write!(formatter, "identical and not listed: {}", paths.join(", "))
    }
}

impl Manifest {
    /// The manifest of these repositories, with its groups resolved.
    pub fn read(workspace: &Workspace) -> Result<Self> {
        let path = workspace.duplicates_manifest();
        let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        Self::parse(workspace, &text).with_context(|| format!("{} is invalid", path.display()))
    }

    fn parse(workspace: &Workspace, text: &str) -> Result<Self> {
        let mut manifest: Self = toml::from_str(text)?;
        let owned = |names: &mut dyn Iterator<Item = &'static str>| names.map(str::to_owned).collect();
        // These two are what lies in the tree, so a new repository holds what all hold from its first day.
        let functions = owned(&mut workspace.functions().iter().copied());
        let repositories = owned(&mut workspace.repositories());
        for (name, members) in BUILT_IN.into_iter().zip([functions, repositories]) {
            if manifest.groups.insert(name.to_owned(), members).is_some() {
                bail!("the group {name} is built in and can't be redefined");
            }
        }
        for entry in &mut manifest.file {
            let mut resolved = Vec::new();
            for name in &entry.repositories {
                match name.strip_prefix('@') {
                    None => resolved.push(name.clone()),
                    Some(group) => match manifest.groups.get(group) {
                        Some(members) => resolved.extend(members.iter().cloned()),
                        None => bail!("{}: unknown group {name}", entry.path.display()),
                    },
                }
            }
            entry.repositories = resolved;
            entry.validate(workspace)?;
        }
        Ok(manifest)
    }

    /// Of these files, those that are equal in several repositories without being listed.
    pub fn unlisted(&self, workspace: &Workspace, files: &[PathBuf]) -> Result<Vec<Twins>> {
        let listed: Vec<PathBuf> =
            self.file.iter().flat_map(Entry::copies).map(|copy| Path::new(&copy.repository).join(copy.path)).collect();
        let repositories: BTreeSet<&str> = workspace.repositories().collect();
        let mut equal: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for file in files {
            let Some(repository) = file.components().next() else { continue };
            if !repositories.contains(repository.as_os_str().to_string_lossy().as_ref())
                || listed.iter().any(|top| file.starts_with(top))
            {
                continue;
            }
            let path = workspace.root().join(file);
            let content = fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
            if content.len() >= COINCIDENCE_BYTES {
                let digest = crate::digest::Inputs::new().bytes(&content).digest();
                equal.entry(digest).or_default().push(file.clone());
            }
        }
        let several = |paths: &Vec<PathBuf>| {
            let first: BTreeSet<_> = paths.iter().filter_map(|path| path.components().next()).collect();
            first.len() > 1
        };
        let mut twins: Vec<Twins> = equal.into_values().filter(several).map(Twins).collect();
        twins.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(twins)
    }

    /// The paths of which each of these repositories holds a copy.
    pub fn held_by_all(&self, repositories: &[&str]) -> Vec<PathBuf> {
        let holds = |entry: &&Entry| repositories.iter().all(|name| entry.repositories.iter().any(|held| held == name));
        self.file.iter().filter(holds).map(|entry| entry.path.clone()).collect()
    }

    /// The groups of the file that all of these repositories are in.
    pub fn groups_with(&self, repositories: &[&str]) -> Vec<String> {
        let with = |members: &Vec<String>| repositories.iter().all(|name| members.iter().any(|member| member == name));
        let own = self.groups.iter().filter(|(name, _)| !BUILT_IN.contains(&name.as_str()));
        own.filter(|(_, members)| with(members)).map(|(name, _)| name.clone()).collect()
    }

    /// Every difference between copies.
    pub fn drift(&self, workspace: &Workspace) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for entry in &self.file {
            for relative in entry.files(workspace)? {
                findings.extend(entry.compare(workspace, &relative)?);
            }
        }
        Ok(findings)
    }

    /// Copies a file, or every file of a folder entry, from one repository to all others that hold it. Returns the paths
    /// that changed.
    pub fn sync(&self, workspace: &Workspace, file: &Path, from: &str) -> Result<Vec<PathBuf>> {
        let mut changed = Vec::new();
        let mut known = false;
        for entry in &self.file {
            let Some(inside) = entry.locate(file) else { continue };
            known = true;
            let Some(origin) = entry.copies().into_iter().find(|copy| copy.repository == from) else {
                continue;
            };
            let all = entry.files(workspace)?;
            for relative in all.iter().filter(|relative| relative.starts_with(&inside)) {
                let source = origin.absolute(workspace, relative);
                for copy in entry.copies().into_iter().filter(|copy| *copy != origin) {
                    let target = copy.absolute(workspace, relative);
                    if replace(&source, &target)? {
                        changed.push(target);
                    }
                }
            }
            // Only a folder may lose files: that the origin of a single file is missing is a mistake.
            if !all.iter().any(|relative| origin.absolute(workspace, relative).is_file()) {
                bail!("{from} has no {}", origin.path.display());
            }
            return Ok(changed);
        }
        if known {
            bail!("{from} has no copy of {}; see `duplicates.toml`", file.display());
        }
        bail!("{} isn't in `duplicates.toml`", file.display());
    }
}

impl Entry {
    fn validate(&self, workspace: &Workspace) -> Result<()> {
        let path = self.path.display();
        let least = if self.source.is_some() { 1 } else { 2 };
        if self.repositories.len() < least {
            bail!("{path}: must be in at least {least} repositories");
        }
        let known: BTreeSet<&str> = workspace.repositories().collect();
        let mut seen = BTreeSet::new();
        for repository in &self.repositories {
            if !known.contains(repository.as_str()) {
                bail!("{path}: unknown repository {repository:?}");
            }
            if !seen.insert(repository) {
                bail!("{path}: {repository} appears more than once");
            }
        }
        if self.source.as_ref() == Some(&self.path) && self.repositories.iter().any(|name| name == INFRASTRUCTURE) {
            bail!("{path}: with a `source` of the same path, the repositories must not include {INFRASTRUCTURE}");
        }
        for part in std::iter::once(&self.path).chain(&self.source) {
            if part.is_absolute() || part.components().any(|component| component == std::path::Component::ParentDir) {
                bail!("{}: must be inside its repository", part.display());
            }
        }
        Ok(())
    }

    fn copies(&self) -> Vec<Copy> {
        let source = self.source.iter().map(|path| Copy { repository: INFRASTRUCTURE.to_owned(), path: path.clone() });
        let named =
            self.repositories.iter().map(|repository| Copy { repository: repository.clone(), path: self.path.clone() });
        source.chain(named).collect()
    }

    /// The files of the entry, relative to it: the union over all copies. A single file is the empty path.
    fn files(&self, workspace: &Workspace) -> Result<BTreeSet<PathBuf>> {
        let mut files = BTreeSet::new();
        for copy in self.copies() {
            let top = copy.absolute(workspace, Path::new(""));
            if top.is_dir() {
                collect(&top, Path::new(""), &mut files)?;
            }
        }
        if files.is_empty() {
            files.insert(PathBuf::new());
        }
        Ok(files)
    }

    /// Whether a path is this entry's, and which part of it: the entry itself, or a file or folder below it.
    fn locate(&self, file: &Path) -> Option<PathBuf> {
        std::iter::once(&self.path).chain(&self.source).find_map(|top| file.strip_prefix(top).ok().map(Path::to_owned))
    }

    fn compare(&self, workspace: &Workspace, relative: &Path) -> Result<Option<Finding>> {
        let mut groups: Vec<(Option<String>, Vec<String>)> = Vec::new();
        for copy in self.copies() {
            let content = fingerprint(&copy.absolute(workspace, relative))?;
            match groups.iter_mut().find(|(other, _)| *other == content) {
                Some((_, repositories)) => repositories.push(copy.repository),
                None => groups.push((content, vec![copy.repository])),
            }
        }
        groups.sort_by_key(|(_, repositories)| std::cmp::Reverse(repositories.len()));
        let agreed = groups.len() == 1 && groups[0].0.is_some();
        Ok((!agreed).then(|| Finding { path: join(&self.path, relative), groups }))
    }
}

impl Copy {
    fn absolute(&self, workspace: &Workspace, relative: &Path) -> PathBuf {
        join(&workspace.repository(&self.repository).join(&self.path), relative)
    }
}

/// `Path::join` with an empty path appends a slash, and a file with a slash behind it is not found.
fn join(top: &Path, relative: &Path) -> PathBuf {
    if relative.as_os_str().is_empty() { top.to_owned() } else { top.join(relative) }
}

fn collect(top: &Path, relative: &Path, files: &mut BTreeSet<PathBuf>) -> Result<()> {
    let folder = join(top, relative);
    for entry in fs::read_dir(&folder).with_context(|| format!("failed to read {}", folder.display()))? {
        let entry = entry.with_context(|| format!("failed to read {}", folder.display()))?;
        let path = relative.join(entry.file_name());
        if entry.path().is_dir() {
            collect(top, &path, files)?;
        } else {
            files.insert(path);
        }
    }
    Ok(())
}

/// A file's digest, which covers whether it can be executed; `None` if the file doesn't exist.
fn fingerprint(path: &Path) -> Result<Option<String>> {
    if !path.is_file() {
        return Ok(None);
    }
    let mode = fs::metadata(path).with_context(|| format!("failed to read {}", path.display()))?.permissions().mode();
    let executable = if mode & 0o111 == 0 { "" } else { "executable" };
    Ok(Some(crate::digest::Inputs::new().file(path)?.text(executable).digest()))
}

/// Makes `target` equal to `source`, by deleting it if there is no source. Says whether that changed anything.
fn replace(source: &Path, target: &Path) -> Result<bool> {
    if fingerprint(source)? == fingerprint(target)? {
        return Ok(false);
    }
    if source.is_file() {
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
        }
        // Copies the permissions too.
        fs::copy(source, target).with_context(|| format!("failed to write {}", target.display()))?;
    } else {
        fs::remove_file(target).with_context(|| format!("failed to delete {}", target.display()))?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::fixture::{Tree, workspace};

    fn fixture() -> Tree {
        workspace(&["audit-logger", "create-product", "get-product", "list-products"])
    }

    fn read(tree: &Tree, path: &str) -> Option<String> {
        fs::read_to_string(tree.root().join(path)).ok()
    }

    const ONE_FILE: &str = "[[file]]\npath = \"src/telemetry.rs\"\nrepositories = [\"get-product\", \"list-products\", \"audit-logger\"]\n";
    const WITH_SOURCE: &str =
        "[[file]]\npath = \"tests/contracts\"\nsource = \"contracts\"\nrepositories = [\"get-product\"]\n";

    #[test]
    fn equal_copies_are_no_finding() {
        let fixture = fixture();
        for repository in ["get-product", "list-products", "audit-logger"] {
            fixture.write(&format!("{repository}/src/telemetry.rs"), "same");
        }
        assert_eq!(Manifest::parse(&fixture, ONE_FILE).unwrap().drift(&fixture).unwrap(), []);
    }

    #[test]
    fn names_changed_and_missing_copies() {
        let fixture = fixture();
        fixture.write("get-product/src/telemetry.rs", "one");
        fixture.write("list-products/src/telemetry.rs", "two");
        let findings = Manifest::parse(&fixture, ONE_FILE).unwrap().drift(&fixture).unwrap();
        assert_eq!(findings.len(), 1);
        let text = findings[0].to_string();
        assert!(text.contains("src/telemetry.rs differs") && text.contains("missing in audit-logger"), "{text}");
    }

    #[test]
    fn compares_the_executable_bit() {
        let fixture = fixture();
        for repository in ["get-product", "list-products", "audit-logger"] {
            fixture.write(&format!("{repository}/src/telemetry.rs"), "same");
        }
        let script = fixture.root().join("get-product/src/telemetry.rs");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let manifest = Manifest::parse(&fixture, ONE_FILE).unwrap();
        assert_eq!(manifest.drift(&fixture).unwrap().len(), 1);
        let changed = manifest.sync(&fixture, Path::new("src/telemetry.rs"), "get-product").unwrap();
        assert_eq!(changed.len(), 2);
        assert_eq!(manifest.drift(&fixture).unwrap(), []);
    }

    #[test]
    fn compares_and_synchronises_folders() {
        let fixture = fixture();
        fixture.write("product-infrastructure/contracts/a.json", "a");
        fixture.write("product-infrastructure/contracts/deep/b.json", "b");
        fixture.write("get-product/tests/contracts/a.json", "changed");
        fixture.write("get-product/tests/contracts/surplus.json", "c");
        let manifest = Manifest::parse(&fixture, WITH_SOURCE).unwrap();
        assert_eq!(manifest.drift(&fixture).unwrap().len(), 3);

        // One file below the entry, by the name it has at its source.
        manifest.sync(&fixture, Path::new("contracts/a.json"), INFRASTRUCTURE).unwrap();
        assert_eq!(read(&fixture, "get-product/tests/contracts/a.json").as_deref(), Some("a"));
        assert_eq!(manifest.drift(&fixture).unwrap().len(), 2);

        manifest.sync(&fixture, Path::new("tests/contracts"), INFRASTRUCTURE).unwrap();
        assert_eq!(read(&fixture, "get-product/tests/contracts/deep/b.json").as_deref(), Some("b"));
        assert_eq!(read(&fixture, "get-product/tests/contracts/surplus.json"), None);
        assert_eq!(manifest.drift(&fixture).unwrap(), []);
    }

    #[test]
    fn sync_rejects_unlisted_files() {
        let fixture = fixture();
        fixture.write("get-product/src/telemetry.rs", "one");
        let manifest = Manifest::parse(&fixture, ONE_FILE).unwrap();
        for (file, from, expected) in [
            ("src/handler.rs", "get-product", "isn't in `duplicates.toml`"),
            ("src/telemetry.rs", "create-product", "has no copy of"),
            ("src/telemetry.rs", "list-products", "list-products has no"),
        ] {
            let message = manifest.sync(&fixture, Path::new(file), from).unwrap_err().to_string();
            assert!(message.contains(expected), "{file} from {from}: {message}");
        }
    }

    #[test]
    fn rejects_invalid_manifest() {
        let fixture = fixture();
        for (text, expected) in [
            ("[[file]]\npath = \"a\"\nrepositories = [\"get-product\"]\n", "at least 2"),
            ("[[file]]\npath = \"a\"\nrepositories = [\"get-product\", \"x\"]\n", "unknown repository"),
            ("[[file]]\npath = \"a\"\nrepositories = [\"get-product\", \"get-product\"]\n", "more than once"),
            ("[[file]]\npath = \"../a\"\nrepositories = [\"get-product\", \"list-products\"]\n", "inside"),
            (
                "[[file]]\npath = \"a\"\nsource = \"a\"\nrepositories = [\"product-infrastructure\"]\n",
                "must not include",
            ),
            ("[[file]]\npath = \"a\"\nrepos = []\n", "unknown field"),
            ("[[file]]\npath = \"a\"\nrepositories = [\"@nobody\"]\n", "unknown group @nobody"),
            ("[groups]\nfunctions = []\n", "built in"),
        ] {
            let message = format!("{:#}", Manifest::parse(&fixture, text).unwrap_err());
            assert!(message.contains(expected), "{text}: {message}");
        }
        assert!(Manifest::read(&fixture).is_err());
    }

    #[test]
    fn resolves_groups_of_the_manifest_and_of_the_tree() {
        let fixture = fixture();
        let text = "[groups]\napi = [\"get-product\", \"list-products\"]\n[[file]]\npath = \"a\"\nrepositories = [\"@api\"]\n\
            [[file]]\npath = \"b\"\nrepositories = [\"@repositories\"]\n";
        let manifest = Manifest::parse(&fixture, text).unwrap();
        assert_eq!(manifest.file[0].repositories, ["get-product", "list-products"]);
        assert_eq!(manifest.file[1].repositories.len(), 5);
        assert_eq!(manifest.file[1].repositories[0], INFRASTRUCTURE);
    }

    #[test]
    fn reports_identical_file_that_is_not_listed() {
        let fixture = fixture();
        let manifest = Manifest::parse(&fixture, ONE_FILE).unwrap();
        let twin = "the same rule, written twice\n".repeat(40);
        let paths = ["get-product/src/rule.rs", "list-products/src/other_name.rs", "get-product/src/telemetry.rs"];
        let small = ["get-product/src/mod.rs", "list-products/src/mod.rs"];
        let files: Vec<PathBuf> = paths.iter().chain(&small).map(PathBuf::from).collect();
        paths.iter().for_each(|path| fixture.write(path, &twin));
        small.iter().for_each(|path| fixture.write(path, "pub mod a;\n"));
        let unlisted = manifest.unlisted(&fixture, &files).unwrap();
        assert_eq!(
            unlisted.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["identical and not listed: get-product/src/rule.rs, list-products/src/other_name.rs"]
        );
        // Twice in one repository is that repository's own business.
        fixture.write("list-products/src/other_name.rs", "changed");
        assert!(manifest.unlisted(&fixture, &files).unwrap().is_empty());
    }
}
