//! Where Terraform finds the AWS provider: a local copy if the machine has one, a download otherwise.
//!
//! The provider is about 700 MB unpacked and nine roots use it. Left alone, `init` would download it nine times; behind a
//! firewall, not once. In this order:
//!
//! 1. the user's own Terraform configuration, which is left as it is;
//! 2. the folder that TF_PLUGIN_CACHE_DIR names, when it holds the provider;
//! 3. the folders in which Terraform itself looks (its implied mirrors);
//! 4. the usual places for installed software, a few levels deep;
//! 5. a download into a cache that all roots share.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use semver::{Version, VersionReq};

const PROVIDER: &str = "registry.terraform.io/hashicorp/aws";
const CLI_CONFIG: &str = "TF_CLI_CONFIG_FILE";
const PLUGIN_CACHE: &str = "TF_PLUGIN_CACHE_DIR";

/// Maximum depth of a mirror below a prefix, and maximum number of folders to search, so that the search takes milliseconds.
const DEPTH: usize = 3;
const FOLDERS: usize = 4_000;

/// Terraform's configuration of providers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ProviderSource {
    /// Environment variables to set.
    pub set: Vec<(OsString, OsString)>,
    /// Environment variables to take away.
    pub unset: Vec<OsString>,
    /// In words, for the log.
    pub description: String,
}

impl ProviderSource {
    /// Whether a cache is filled by what `init` downloads. Terraform doesn't guard it against two that fill it at once.
    pub fn fills_cache(&self) -> bool {
        self.set.iter().any(|(name, _)| name == PLUGIN_CACHE)
    }
}

/// The machine, as far as the choice depends on it.
#[derive(Debug, Clone)]
pub struct Machine {
    pub cli_config: Option<PathBuf>,
    pub home: Option<PathBuf>,
    pub plugin_cache: Option<PathBuf>,
    pub implied_mirrors: Vec<PathBuf>,
    pub prefixes: Vec<PathBuf>,
    /// As in the mirror's folder names: `linux_amd64`.
    pub platform: String,
}

impl Machine {
    pub fn here() -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = variable("HOME");
        let mut implied_mirrors =
            vec!["/usr/local/share/terraform/plugins".into(), "/usr/share/terraform/plugins".into()];
        let mut prefixes: Vec<PathBuf> =
            ["/opt", "/usr/local", "/usr/share", "/usr/lib", "/var/lib", "/srv"].map(Into::into).into();
        if let Some(home) = &home {
            implied_mirrors.push(home.join(".terraform.d/plugins"));
            implied_mirrors.push(home.join("Library/Application Support/io.terraform/plugins"));
            implied_mirrors
                .push(variable("XDG_DATA_HOME").unwrap_or_else(|| home.join(".local/share")).join("terraform/plugins"));
            prefixes.push(home.join(".local"));
            prefixes.push(home.join(".terraform.d"));
        }
        Self {
            cli_config: variable(CLI_CONFIG),
            home,
            plugin_cache: variable(PLUGIN_CACHE),
            implied_mirrors,
            prefixes,
            platform: platform(std::env::consts::OS, std::env::consts::ARCH),
        }
    }

    /// The user's Terraform configuration, if there is one.
    fn user_config(&self) -> Option<PathBuf> {
        let own = self.home.as_ref().map(|home| home.join(".terraformrc"));
        self.cli_config.clone().or(own).filter(|path| path.is_file())
    }
}

/// Chooses, and writes a configuration file and the cache's folder below `folder` if needed. `constraint` is the version
/// that the roots ask for: a mirror without such a version would only stand in the way of a download.
pub fn choose(machine: &Machine, folder: &Path, constraint: &str) -> Result<ProviderSource> {
    let mut source = ProviderSource::default();
    if machine.cli_config.as_ref().is_some_and(|path| !path.is_file()) {
        source.unset.push(CLI_CONFIG.into());
    }
    let fits = |mirror: &Path| holds_provider(mirror, &machine.platform, constraint);

    if let Some(config) = machine.user_config() {
        source.description = format!("as {} says", config.display());
        let caches = fs::read_to_string(&config)
            .is_ok_and(|text| text.contains("plugin_cache_dir") || text.contains("filesystem_mirror"));
        if !caches && machine.plugin_cache.is_none() {
            share_downloads(&mut source, folder)?;
        }
        return Ok(source);
    }
    let mirror = if let Some(cache) = machine.plugin_cache.as_ref().filter(|cache| fits(cache)) {
        Some(cache.clone())
    } else if let Some(implied) = machine.implied_mirrors.iter().find(|mirror| fits(mirror)) {
        source.description = format!("from {}", implied.display());
        return Ok(source);
    } else {
        find_mirror(&machine.prefixes, &fits)
    };
    match mirror {
        Some(mirror) => {
            fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
            let config = folder.join("cli-config.tfrc");
            fs::write(&config, configuration(&mirror))
                .with_context(|| format!("failed to write {}", config.display()))?;
            source.set.push((CLI_CONFIG.into(), config.into()));
            source.unset.retain(|name| name != CLI_CONFIG);
            // A mirror is linked to, a cache would copy it.
            source.unset.push(PLUGIN_CACHE.into());
            source.description = format!("from {}", mirror.display());
        }
        None => {
            source.description = "from the Terraform registry".to_owned();
            if machine.plugin_cache.is_none() {
                share_downloads(&mut source, folder)?;
            }
        }
    }
    Ok(source)
}

fn share_downloads(source: &mut ProviderSource, folder: &Path) -> Result<()> {
    let cache = folder.join("providers");
    fs::create_dir_all(&cache).with_context(|| format!("failed to create {}", cache.display()))?;
    source.set.push((PLUGIN_CACHE.into(), cache.into()));
    Ok(())
}

/// Variables to take away even before a source is chosen: a configuration file that does not exist makes Terraform warn
/// on every call, `version -json` included.
pub fn missing_cli_config() -> Vec<&'static str> {
    match std::env::var_os(CLI_CONFIG) {
        Some(path) if !Path::new(&path).is_file() => vec![CLI_CONFIG],
        _ => Vec::new(),
    }
}

fn configuration(mirror: &Path) -> String {
    let path = mirror.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        "# Written by xtask: a local copy of the provider was found.\n\
         provider_installation {{\n  \
           filesystem_mirror {{\n    path    = \"{path}\"\n    include = [\"{PROVIDER}\"]\n  }}\n  \
           direct {{\n    exclude = [\"{PROVIDER}\"]\n  }}\n}}\n"
    )
}

/// Breadth first, so that the nearest is found; hidden folders and links are left out.
fn find_mirror(prefixes: &[PathBuf], fits: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    let mut level: Vec<PathBuf> = prefixes.to_vec();
    let mut seen = 0;
    for _ in 0..=DEPTH {
        let mut next = Vec::new();
        for folder in level {
            seen += 1;
            if seen > FOLDERS {
                return None;
            }
            if fits(&folder) {
                return Some(folder);
            }
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            next.extend(
                folders.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')).map(|entry| entry.path()),
            );
        }
        next.sort();
        level = next;
    }
    None
}

/// Whether a mirror holds the provider, unpacked or packed, in a version that fits, for this platform.
fn holds_provider(mirror: &Path, platform: &str, constraint: &str) -> bool {
    let Ok(entries) = fs::read_dir(mirror.join(PROVIDER)) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            return satisfies(&name, constraint) && entry.path().join(platform).is_dir();
        }
        let packed = name
            .strip_prefix("terraform-provider-aws_")
            .and_then(|name| name.strip_suffix(&format!("_{platform}.zip")));
        packed.is_some_and(|version| satisfies(version, constraint))
    })
}

/// Whether a version fits a Terraform constraint. A form that only Terraform knows is left to Terraform.
fn satisfies(version: &str, constraint: &str) -> bool {
    // The last number given may grow: `~> 5.100` is Cargo's `^5.100`, and `~> 5.100.3` its `~5.100.3`.
    let requirement = match constraint.trim().strip_prefix("~>").map(str::trim) {
        // Terraform's bare version is exactly that one, Cargo's is a range.
        None if constraint.trim().starts_with(|first: char| first.is_ascii_digit()) => {
            format!("={}", constraint.trim())
        }
        None => constraint.to_owned(),
        Some(lowest) => match lowest.matches('.').count() {
            0 => format!(">={lowest}"),
            1 => format!("^{lowest}"),
            _ => format!("~{lowest}"),
        },
    };
    match (Version::parse(version), VersionReq::parse(&requirement)) {
        (Ok(version), Ok(requirement)) => requirement.matches(&version),
        (Ok(_), Err(_)) => true,
        (Err(_), _) => false,
    }
}

/// The version of the AWS provider that a root's `versions.tf` asks for.
pub fn constraint(versions_tf: &str) -> Option<String> {
    let after = &versions_tf[versions_tf.find("hashicorp/aws")?..];
    let value = after[after.find("version")?..].split('"').nth(1)?;
    Some(value.to_owned())
}

fn platform(os: &str, architecture: &str) -> String {
    let os = if os == "macos" { "darwin" } else { os };
    let architecture = match architecture {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{os}_{architecture}")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixture {
        folder: tempfile::TempDir,
        machine: Machine,
    }

    fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine {
            cli_config: None,
            home: Some(folder.path().join("home")),
            plugin_cache: None,
            implied_mirrors: vec![folder.path().join("implied")],
            prefixes: vec![folder.path().join("none"), folder.path().join("opt")],
            platform: "linux_amd64".to_owned(),
        };
        Fixture { folder, machine }
    }

    fn mirror(at: &Path, version: &str) {
        fs::create_dir_all(at.join(PROVIDER).join(version).join("linux_amd64")).unwrap();
    }

    impl Fixture {
        fn choose(&self) -> ProviderSource {
            choose(&self.machine, &self.folder.path().join("out"), "~> 5.100").unwrap()
        }
    }

    #[test]
    fn downloads_a_missing_provider_once_for_all_roots() {
        let fixture = fixture();
        let cache = fixture.folder.path().join("out/providers");
        let source = fixture.choose();
        assert_eq!(source.set, [(PLUGIN_CACHE.into(), cache.clone().into_os_string())]);
        assert!(source.fills_cache());
        assert!(cache.is_dir());
    }

    #[test]
    fn finds_and_configures_mirror_below_a_prefix() {
        let fixture = fixture();
        let at = fixture.folder.path().join("opt/vendor/terraform");
        mirror(&at, "5.100.0");
        let source = fixture.choose();
        let config = fixture.folder.path().join("out/cli-config.tfrc");
        assert_eq!(source.set, [(CLI_CONFIG.into(), config.clone().into_os_string())]);
        let text = fs::read_to_string(config).unwrap();
        assert!(text.contains(&format!("path    = \"{}\"", at.display())) && text.contains("direct"), "{text}");
    }

    #[test]
    fn ignores_mirrors_of_other_versions_and_platforms() {
        let mut fixture = fixture();
        mirror(&fixture.folder.path().join("opt/terraform"), "4.67.0");
        assert!(fixture.choose().description.contains("registry"));
        mirror(&fixture.folder.path().join("opt/terraform"), "5.101.2");
        assert!(!fixture.choose().description.contains("registry"));
        fixture.machine.platform = "darwin_arm64".to_owned();
        assert!(fixture.choose().description.contains("registry"));
    }

    #[test]
    fn an_implied_mirror_needs_no_configuration() {
        let fixture = fixture();
        mirror(&fixture.folder.path().join("implied"), "5.100.0");
        mirror(&fixture.folder.path().join("opt"), "5.100.0");
        let source = fixture.choose();
        assert_eq!((source.set.len(), source.unset.len()), (0, 0));
    }

    #[test]
    fn accepts_plugin_cache_as_mirror() {
        let mut fixture = fixture();
        let cache = fixture.folder.path().join("cache");
        fixture.machine.plugin_cache = Some(cache.clone());
        assert_eq!(fixture.choose().set, []);
        mirror(&cache, "5.100.0");
        assert_eq!(fixture.choose().description, format!("from {}", cache.display()));
    }

    #[test]
    fn users_configuration_wins_and_missing_one_is_removed() {
        let mut fixture = fixture();
        mirror(&fixture.folder.path().join("opt"), "5.100.0");
        let config = fixture.folder.path().join("own.tfrc");
        fixture.machine.cli_config = Some(config.clone());
        let source = fixture.choose();
        assert!(source.set.iter().any(|(name, _)| name == CLI_CONFIG), "{source:?}");

        fs::write(&config, "provider_installation { filesystem_mirror {} }").unwrap();
        let source = fixture.choose();
        assert_eq!((source.set.len(), source.unset.len()), (0, 0));

        fs::remove_file(&config).unwrap();
        fixture.machine.prefixes.clear();
        assert_eq!(fixture.choose().unset, [CLI_CONFIG]);
    }

    #[test]
    fn constraints_are_read_and_compared() {
        let versions = "terraform {\n  required_version = \">= 1.11\"\n  required_providers {\n    aws = {\n      source  = \"hashicorp/aws\"\n      version = \"~> 5.100\"\n    }\n  }\n}\n";
        assert_eq!(constraint(versions).as_deref(), Some("~> 5.100"));
        assert_eq!(constraint("terraform {}"), None);
        for (version, fits) in [("5.100.0", true), ("5.101.0", true), ("5.99.1", false), ("6.0.0", false), ("x", false)]
        {
            assert_eq!(satisfies(version, "~> 5.100"), fits, "{version}");
        }
        assert!(satisfies("5.100.7", "~> 5.100.3") && !satisfies("5.101.0", "~> 5.100.3"));
        assert!(satisfies("1.0.0", ">= 1") && satisfies("5.100.0", "!= 5.99.0, ~> 5.1"));
        assert!(satisfies("5.100.0", "5.100.0") && !satisfies("5.101.0", "5.100.0"));
        assert!(!satisfies("6.0.0-beta1", "~> 5.100") && satisfies("6.0.0", "~> 5"));
    }

    #[test]
    fn platforms_are_named_as_terraform_names_them() {
        assert_eq!(platform("linux", "x86_64"), "linux_amd64");
        assert_eq!(platform("macos", "aarch64"), "darwin_arm64");
    }

    #[test]
    fn accepts_packed_mirror() {
        let folder = tempfile::tempdir().unwrap();
        let packed = folder.path().join(PROVIDER);
        fs::create_dir_all(&packed).unwrap();
        fs::write(packed.join("terraform-provider-aws_5.100.0_linux_amd64.zip"), "").unwrap();
        assert!(holds_provider(folder.path(), "linux_amd64", "~> 5.100"));
        assert!(!holds_provider(folder.path(), "linux_arm64", "~> 5.100"));
    }
}
