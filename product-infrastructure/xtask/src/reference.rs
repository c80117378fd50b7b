//! The API reference: `openapi.yaml` and a viewer of it, Scalar's browser bundle, in one page that contacts no other host.
//!
//! The bundle is one file of an npm package. The package's archive is downloaded without its dependencies, which the bundle
//! holds, and its digest is compared with the pinned one before it is opened.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use sha2::{Digest as _, Sha256, Sha512};

use crate::digest::{Inputs, Stamp};
use crate::node::Node;
use crate::process::External;
use crate::progress::Progress;
use crate::stack::Stack;
use crate::workspace::{INFRASTRUCTURE, Workspace};

/// The pinned viewer, the page's frame and its script.
const FOLDER: &str = "api-reference";
const VIEWER: &str = "scalar.toml";
/// The folder in an npm archive that holds the package.
const ARCHIVE_ROOT: &str = "package";

/// The pinned viewer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Viewer {
    package: String,
    version: String,
    /// In the npm registry's form, `sha512-` and Base64.
    integrity: String,
    bundle: PathBuf,
}

/// What the page is made from, except the viewer's bundle.
#[derive(Debug)]
pub struct Sources {
    viewer: Viewer,
    frame: String,
    start: String,
    /// The text of `openapi.yaml`.
    pub openapi: String,
}

impl Sources {
    /// Reads them from the repository.
    pub fn read(workspace: &Workspace) -> Result<Self> {
        let repository = workspace.repository(INFRASTRUCTURE);
        let read = |path: &Path| {
            let path = repository.join(path);
            fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))
        };
        let folder = Path::new(FOLDER);
        let viewer =
            toml::from_str(&read(&folder.join(VIEWER))?).with_context(|| format!("failed to parse {VIEWER}"))?;
        Ok(Self {
            viewer,
            frame: read(&folder.join("page.html"))?,
            start: read(&folder.join("start.js"))?,
            openapi: read(Path::new("openapi.yaml"))?,
        })
    }

    /// The page, with the text of the viewer's bundle.
    pub fn page(&self, bundle: &str) -> Result<String> {
        let script = format!(
            "\nconst openapi = {};\nconst viewer = {};\n{}",
            string_literal(&self.openapi)?,
            string_literal(bundle)?,
            self.start
        );
        let scripts = format!("{} {}", allowed(&script), allowed(bundle));
        let viewer = format!("{} {}", self.viewer.package, self.viewer.version);
        fill(&self.frame, &[("{scripts}", &scripts), ("{viewer}", &viewer), ("{script}", &script)])
    }
}

/// Downloads the viewer, unless exactly the pinned one is there, writes the page and returns its path.
pub async fn build(workspace: &Workspace, stack: &Stack, progress: &Progress) -> Result<PathBuf> {
    let sources = Sources::read(workspace)?;
    let download = Download::of(workspace)?;
    if !download.is_complete() {
        let step = progress.step("download the viewer of the API reference");
        download
            .run(&sources.viewer, &Node::find(workspace, stack, progress).await?, &stack.log("api-reference"))
            .await?;
        step.done(format!("{} {}", sources.viewer.package, sources.viewer.version));
    }
    write(workspace, &sources, &download)
}

/// Writes the page again if that needs no download, and returns its path.
pub fn refresh(workspace: &Workspace) -> Result<Option<PathBuf>> {
    let download = Download::of(workspace)?;
    if !download.is_complete() {
        return Ok(None);
    }
    write(workspace, &Sources::read(workspace)?, &download).map(Some)
}

fn write(workspace: &Workspace, sources: &Sources, download: &Download) -> Result<PathBuf> {
    let path = workspace.catalogue().join("api-reference.html");
    fs::write(&path, sources.page(&download.bundle(&sources.viewer)?)?)
        .with_context(|| format!("failed to write {}", path.display()))?;
    Ok(path)
}

/// The viewer's files on this machine.
struct Download {
    folder: PathBuf,
    stamp: Stamp,
    digest: String,
}

impl Download {
    fn of(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.catalogue().join(FOLDER);
        let pinned = workspace.repository(INFRASTRUCTURE).join(FOLDER).join(VIEWER);
        let digest = Inputs::new().file(&pinned)?.digest();
        Ok(Self { stamp: Stamp::at(folder.join("downloaded.digest")), folder, digest })
    }

    fn is_complete(&self) -> bool {
        self.stamp.matches(&self.digest)
    }

    fn bundle(&self, viewer: &Viewer) -> Result<String> {
        let path = self.folder.join(ARCHIVE_ROOT).join(&viewer.bundle);
        fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))
    }

    async fn run(&self, viewer: &Viewer, node: &Node, log: &Path) -> Result<()> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).with_context(|| format!("failed to delete {}", self.folder.display()))?;
        }
        let packed = self.folder.join("archive");
        let archive = node.pack(&viewer.package, &viewer.version, &packed, log).await?;
        verify(&archive, &viewer.integrity)?;
        External::new("tar", log)
            .append()
            .arg("-xzf")
            .arg(&archive)
            .arg("-C")
            .arg(&self.folder)
            .arg(Path::new(ARCHIVE_ROOT).join(&viewer.bundle))
            .run("unpacking the viewer of the API reference")
            .await?;
        // It holds much that the page doesn't need.
        fs::remove_dir_all(&packed).with_context(|| format!("failed to delete {}", packed.display()))?;
        self.stamp.record(&self.digest)
    }
}

/// Fails unless the file has the digest, which is in the npm registry's form.
fn verify(file: &Path, integrity: &str) -> Result<()> {
    let content = fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
    let actual = format!("sha512-{}", BASE64.encode(Sha512::digest(content)));
    if actual != integrity {
        bail!("{} has the digest {actual}; {VIEWER} pins {integrity}", file.display());
    }
    Ok(())
}

/// A JavaScript string in which a browser finds no tag or comment.
fn string_literal(text: &str) -> Result<String> {
    let json = serde_json::to_string(text).context("failed to serialise a string")?;
    Ok(json.replace('<', "\\u003c"))
}

/// The source in a content security policy that allows exactly this script.
fn allowed(script: &str) -> String {
    format!("'sha256-{}'", BASE64.encode(Sha256::digest(script)))
}

/// Puts each value in its place. They are in the frame's order: a value is never searched for the next place.
fn fill(frame: &str, values: &[(&str, &str)]) -> Result<String> {
    let (mut page, mut rest) = (String::new(), frame);
    for (place, value) in values {
        let (before, after) = rest.split_once(place).with_context(|| format!("page.html lacks {place}"))?;
        page.push_str(before);
        page.push_str(value);
        rest = after;
    }
    page.push_str(rest);
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    fn sources() -> Sources {
        Sources::read(&Workspace::above(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap()).unwrap()
    }

    /// The page's own script, as a browser finds it.
    fn script(page: &str) -> &str {
        let (_, script) = page.split_once("<script>").unwrap();
        script.split_once("</script").unwrap().0
    }

    #[test]
    fn text_cannot_end_the_script() {
        let mut sources = sources();
        for attack in
            ["</script><img src=x onerror=alert(1)>", "<!-- <script>", "</SCRIPT >", "\" + alert(1) + \"", "{script}"]
        {
            sources.openapi = format!("info:\n  description: '{attack}'\n");
            let page = sources.page(&format!("const a = `{attack}`")).unwrap();
            assert_eq!(page.to_lowercase().matches("</script").count(), 1, "{attack}");
            assert_eq!(page.to_lowercase().matches("<script").count(), 1, "{attack}");
            let script = script(&page);
            assert!(script.trim_end().ends_with("});"), "{attack}");
            let literal = script.lines().find_map(|line| line.strip_prefix("const openapi = ")).unwrap();
            let read: String = serde_json::from_str(literal.trim_end_matches(';')).unwrap();
            assert_eq!(read, sources.openapi);
        }
    }

    #[test]
    fn policy_allows_the_two_scripts_and_no_connection() {
        let page = sources().page("the bundle").unwrap();
        let (_, policy) = page.split_once("http-equiv=\"Content-Security-Policy\" content=\"").unwrap();
        let (policy, _) = policy.split_once('"').unwrap();
        let sources = format!("script-src {} {}", allowed(script(&page)), allowed("the bundle"));
        assert_eq!(
            policy.split("; ").collect::<Vec<_>>(),
            [
                "default-src 'none'",
                sources.as_str(),
                "style-src 'unsafe-inline'",
                "img-src data:",
                "font-src data:",
                "base-uri 'none'",
                "form-action 'none'"
            ]
        );
    }

    #[test]
    fn page_is_refreshed_only_with_the_pinned_viewer() {
        let tree = workspace::fixture::workspace(&[]);
        let pin = |version: &str| {
            let pinned = format!("package = \"v\"\nversion = \"{version}\"\nintegrity = \"\"\nbundle = \"a/b.js\"\n");
            tree.write("product-infrastructure/api-reference/scalar.toml", &pinned);
        };
        pin("1");
        tree.write("product-infrastructure/api-reference/page.html", "{scripts} {viewer} {script}");
        tree.write("product-infrastructure/api-reference/start.js", "start();");
        tree.write("product-infrastructure/openapi.yaml", "openapi: 3.1.1");
        assert_eq!(refresh(&tree).unwrap(), None);

        tree.write(".catalogue/api-reference/package/a/b.js", "bundle();");
        let download = Download::of(&tree).unwrap();
        download.stamp.record(&download.digest).unwrap();
        let page = fs::read_to_string(refresh(&tree).unwrap().unwrap()).unwrap();
        assert!(
            page.contains("v 1 \nconst openapi = \"openapi: 3.1.1\";\nconst viewer = \"bundle();\";\nstart();"),
            "{page}"
        );
        pin("2");
        assert_eq!(refresh(&tree).unwrap(), None);
    }

    #[test]
    fn rejects_archive_with_another_digest() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "abc").unwrap();
        let integrity =
            "sha512-3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==";
        verify(file.path(), integrity).unwrap();
        fs::write(file.path(), "abd").unwrap();
        assert!(verify(file.path(), integrity).unwrap_err().to_string().contains("pins sha512-3a81"));
    }

    #[test]
    fn names_missing_place_of_the_frame() {
        assert_eq!(fill("a{x}b{y}c", &[("{x}", "{y}"), ("{y}", "1")]).unwrap(), "a{y}b1c");
        assert!(fill("a{x}b", &[("{y}", "1")]).unwrap_err().to_string().contains("{y}"));
    }
}
