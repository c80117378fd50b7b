//! A runner's checkout of a repository, and a pipeline's job in it: the scripts that the workflows run, under the role that
//! the workflows have, against a running stack.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{Cursor, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::packages::architecture;
use xtask::stack::{ACCESS_KEY_ID, ACCOUNT_ID, DEFAULT_STACK, ENVIRONMENT, REGION, SECRET_ACCESS_KEY, Stack};
use xtask::status::Running;
use xtask::terraform::local_override::{self, BACKEND};
use xtask::terraform::root::Root;
use xtask::terraform::{foreign_settings, provider_source};
use xtask::workspace::{INFRASTRUCTURE, Workspace};
use zip::write::SimpleFileOptions;
use zip::{DateTime, ZipArchive, ZipWriter};

/// Owner of the repositories in these tests, and GitHub's ID of it.
pub const OWNER: &str = "example-shop";
pub const OWNER_ID: u64 = 1001;

/// The IAM user who may assume the auditor's role in these tests.
const AUDITOR: &str = "auditor";

/// GitHub's ID of a repository in these tests.
pub fn repository_id(repository: &str) -> u64 {
    2001 + workspace().repositories().position(|name| name == repository).expect("a repository") as u64
}

/// What GitHub signs for a job of `main`, in that GitHub environment.
pub fn claims(repository: &str, environment: &str) -> Value {
    let id = repository_id(repository);
    json!({
        "iss": "https://token.actions.githubusercontent.com",
        "aud": "sts.amazonaws.com",
        "sub": format!("repo:{OWNER}@{OWNER_ID}/{repository}@{id}:environment:{environment}"),
        "repository_id": id.to_string(),
        "ref": "refs/heads/main",
    })
}

/// How a script ended, and what it said on both streams.
#[derive(Debug)]
pub struct Ended {
    pub success: bool,
    pub said: String,
}

impl Ended {
    fn of(output: &Output) -> Self {
        let said = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
        Self { success: output.status.success(), said }
    }

    #[track_caller]
    pub fn expect_success(self) -> Self {
        assert!(self.success, "{}", self.said);
        self
    }

    /// Fails unless the script failed, and said this.
    #[track_caller]
    pub fn expect_failure(self, said: &str) -> Self {
        assert!(!self.success && self.said.contains(said), "expected a failure with {said:?}:\n{}", self.said);
        self
    }
}

/// The stack under test.
pub fn stack() -> Running {
    let status = std::env::var("CATALOGUE_STATUS").expect("CATALOGUE_STATUS must hold a `cargo xtask status --json`");
    serde_json::from_str(&status).expect("CATALOGUE_STATUS is not a running stack")
}

fn workspace() -> Workspace {
    Workspace::above(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("the repositories lie side by side")
}

/// The Python that runs the emulator, with its packages.
pub fn emulators_python() -> PathBuf {
    workspace().catalogue().join("venv/bin/python")
}

/// A checkout of one repository.
pub struct Checkout {
    folder: TempDir,
    repository: &'static str,
    variables: Vec<(String, String)>,
}

impl Checkout {
    /// What git has, or would have, of the repository, made to work on the stack. The account's administrator's.
    pub fn of(repository: &'static str) -> Self {
        let (from, folder) = (workspace().repository(repository), tempfile::tempdir().unwrap());
        let listed = Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
            .current_dir(&from)
            .output()
            .expect("git runs");
        for path in String::from_utf8(listed.stdout).unwrap().split_terminator('\0') {
            let target = folder.path().join(path);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            // A file that was deleted and not committed yet is still listed.
            if from.join(path).exists() {
                fs::copy(from.join(path), target).unwrap();
            }
        }
        let checkout = Self { folder, repository, variables: credentials(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None) };
        checkout.localise();
        checkout
    }

    /// What is generated for every local stack, and this machine's architecture.
    fn localise(&self) {
        let roots: &[(Root, &str)] = match workspace().functions().iter().find(|function| **function == self.repository)
        {
            Some(function) => &[(Root::Function(function), "terraform")],
            None => &[
                (Root::Infrastructure, "terraform"),
                (Root::ApiKeys, "terraform/api-keys"),
                (Root::DeployRoles, "terraform/deploy-roles"),
            ],
        };
        for (root, folder) in roots {
            let folder = self.path(folder);
            fs::write(folder.join(local_override::FILE), local_override::content(*root)).unwrap();
            let settings: String = BACKEND.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
            for environment in ["dev", "sit"] {
                append(&folder.join(format!("environments/{environment}.s3.tfbackend")), &settings);
            }
        }
        // Clients and rotations of a local stack are written down there, and not in a committed file.
        let stack = std::env::var("CATALOGUE_STACK").unwrap_or_else(|_| DEFAULT_STACK.to_owned());
        let stack = Stack::new(&workspace(), &stack);
        let variables = "terraform/api-keys/environments";
        for (from, to) in [
            (stack.key_generations(), format!("{variables}/{ENVIRONMENT}.key-generations.tfvars.json")),
            (stack.clients(), "terraform/api-keys/clients.auto.tfvars.json".to_owned()),
        ] {
            if self.repository == INFRASTRUCTURE && from.exists() {
                fs::copy(from, self.path(&to)).unwrap();
            }
        }
        if self.repository != INFRASTRUCTURE {
            append(
                &self.path("terraform/environments/dev.tfvars"),
                &format!("architecture = \"{}\"\n", architecture()),
            );
        }
    }

    /// The same checkout in a job of that GitHub environment: with the role that AWS gives such a job.
    pub fn in_github_environment(mut self, environment: &str) -> Self {
        // `dev`, `dev-plan` or `dev-audit`.
        let action = environment.split_once('-').map_or("apply", |(_, action)| action);
        self.variables = assume(&role(self.repository, action), &claims(self.repository, environment))
            .unwrap_or_else(|said| panic!("{said}"));
        self
    }

    /// The same checkout as an auditor, whom `auditor_principals` names.
    pub fn as_auditor(mut self) -> Self {
        role(INFRASTRUCTURE, "plan"); // Applies the root that creates the auditor's role.
        let response = administrator(&["iam", "create-access-key", "--user-name", AUDITOR]).unwrap();
        let text = |response: &Value, name: &str| response[name].as_str().expect("a key").to_owned();
        let own = ["AccessKeyId", "SecretAccessKey"].map(|name| text(&response["AccessKey"], name));
        let role = format!("arn:aws:iam::{ACCOUNT_ID}:role/bbws-product-auditor-{ENVIRONMENT}");
        let response = aws(
            &credentials(&own[0], &own[1], None),
            &["sts", "assume-role", "--role-arn", &role, "--role-session-name", AUDITOR],
        )
        .unwrap();
        administrator(&["iam", "delete-access-key", "--user-name", AUDITOR, "--access-key-id", &own[0]]).unwrap();
        let [id, secret, token] =
            ["AccessKeyId", "SecretAccessKey", "SessionToken"].map(|name| text(&response["Credentials"], name));
        self.variables = credentials(&id, &secret, Some(&token));
        self
    }

    /// A file of the checkout.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Puts a program of that name before the machine's own.
    pub fn program(&self, name: &str, script: &str) -> PathBuf {
        let path = self.path("programs").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Commits what the checkout holds, and returns the commit, which the scripts record.
    pub fn commit(&self, message: &str) -> String {
        let git = |arguments: &[&str]| {
            let mut command = Command::new("git");
            command.args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]).args(arguments);
            let output = command.current_dir(self.folder.path()).output().expect("git runs");
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        git(&["init", "--quiet"]);
        git(&["add", "--all", "--", ".", ":!outputs", ":!summary", ":!programs"]);
        git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        git(&["rev-parse", "HEAD"])
    }

    /// Starts a script as the leader of a process group, like a step of a job that will be cancelled.
    pub fn start(&self, script: &str, arguments: &[&str]) -> Child {
        let mut command = self.script(script, arguments, &[]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().expect("bash runs")
    }

    /// Runs a script as a step of a job does. Its outputs and its summary begin empty.
    pub fn run(&self, script: &str, arguments: &[&str]) -> Ended {
        self.run_with(script, arguments, &[])
    }

    /// The same with further variables.
    pub fn run_with(&self, script: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        let ended = Ended::of(&self.script(script, arguments, variables).output().expect("bash runs"));
        // Version 1 warns of every `fileb://` with these two, although both versions send the file's bytes.
        const OF_EACH_FILE: [&str; 2] =
            ["For input parameters that have a prefix of", "When specifying a blob-type parameter"];
        let differs = |line: &&str| {
            line.contains("AWS CLI v2 UPGRADE WARNING") && !OF_EACH_FILE.iter().any(|known| line.contains(known))
        };
        assert_eq!(ended.said.lines().find(differs), None, "{}", ended.said);
        ended
    }

    fn script(&self, script: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        for file in ["outputs", "summary"] {
            fs::write(self.path(file), "").unwrap();
        }
        // Bash can't trap a signal that was ignored when it began, as SIGINT is below a shell's background job.
        let mut command = command("env", &self.variables);
        command
            .args(["--default-signal=INT", "bash"])
            .arg(format!("scripts/{script}"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env("PATH", path_with(&workspace(), &[self.path("programs")]))
            .env("ENVIRONMENT", ENVIRONMENT)
            .env("API_URL", stack().facts.api_url.trim_end_matches("/v1.0"))
            .env("SMOKE_TEST_PAUSE_SECONDS", "1")
            .env("GITHUB_OUTPUT", self.path("outputs"))
            .env("GITHUB_STEP_SUMMARY", self.path("summary"))
            .envs(variables.iter().copied());
        command
    }

    /// Runs commands of a document.
    pub fn shell(&self, commands: &str) -> Ended {
        let output = command("bash", &self.variables)
            .args(["-euo", "pipefail", "-c", commands])
            .current_dir(self.folder.path())
            .output();
        Ended::of(&output.expect("bash runs"))
    }

    /// Runs Terraform in a root of the checkout.
    pub fn terraform(&self, root: &str, arguments: &[&str]) -> Ended {
        let output = command("terraform", &self.variables).current_dir(self.path(root)).args(arguments).output();
        Ended::of(&output.expect("terraform runs"))
    }

    /// An output of the step before.
    #[track_caller]
    pub fn output(&self, name: &str) -> String {
        let outputs = fs::read_to_string(self.path("outputs")).unwrap();
        let line = outputs.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("no output {name} in {outputs:?}")).to_owned()
    }

    /// The summary of the step before, for the approver.
    pub fn summary(&self) -> String {
        fs::read_to_string(self.path("summary")).unwrap()
    }

    /// Puts a package in its place and returns its SHA-256.
    pub fn package(&self, bootstrap: &[u8]) -> String {
        let path = self.path("target/package/bootstrap.zip");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, pack(bootstrap)).unwrap();
        sha256(&path)
    }

    /// The program that the stack was brought up with: it works. Lambda would hand out what is deployed, but the emulator hands
    /// out the newest version whichever is asked for, and some of these tests deploy programs that fail.
    pub fn deployed(&self) -> Vec<u8> {
        let stack = std::env::var("CATALOGUE_STACK").unwrap_or_else(|_| DEFAULT_STACK.to_owned());
        let package = Stack::new(&workspace(), &stack).packages().join(format!("{}.zip", self.repository));
        let (mut package, mut bootstrap) = (ZipArchive::new(fs::File::open(package).unwrap()).unwrap(), Vec::new());
        package.by_name("bootstrap").unwrap().read_to_end(&mut bootstrap).unwrap();
        bootstrap
    }

    /// The AWS CLI in the name of the job.
    pub fn aws(&self, arguments: &[&str]) -> Result<Value, String> {
        aws(&self.variables, arguments)
    }

    /// The version that `live` points to.
    pub fn live(&self) -> String {
        let name = format!("bbws-{}-{ENVIRONMENT}", self.repository);
        let alias = self.aws(&["lambda", "get-alias", "--function-name", &name, "--name", "live"]).unwrap();
        alias["FunctionVersion"].as_str().unwrap().to_owned()
    }
}

/// The AWS CLI as the account's administrator.
pub fn administrator(arguments: &[&str]) -> Result<Value, String> {
    aws(&credentials(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None), arguments)
}

fn aws(variables: &[(String, String)], arguments: &[&str]) -> Result<Value, String> {
    let output = command("aws", variables).args(arguments).args(["--output", "json"]).output().expect("aws runs");
    let ended = Ended::of(&output);
    if !ended.success {
        return Err(ended.said);
    }
    Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
}

/// Assumes the role with a token of GitHub's with those claims, as aws-actions/configure-aws-credentials does. The emulator
/// doesn't check the token's signature; it compares its claims with the role's trust policy.
pub fn assume(role: &str, claims: &Value) -> Result<Vec<(String, String)>, String> {
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let token = format!("{}.{}.", part(json!({ "alg": "none" })), part(claims.clone()));
    let answer = administrator(&[
        "sts",
        "assume-role-with-web-identity",
        "--role-arn",
        role,
        "--role-session-name",
        "job",
        "--web-identity-token",
        &token,
    ])?;
    let text = |name: &str| answer["Credentials"][name].as_str().expect("credentials").to_owned();
    Ok(credentials(&text("AccessKeyId"), &text("SecretAccessKey"), Some(&text("SessionToken"))))
}

/// The role of a repository's job, from the root that makes them, which is applied once.
pub fn role(repository: &str, action: &str) -> String {
    static ROLES: OnceLock<Value> = OnceLock::new();
    let roles = ROLES.get_or_init(|| {
        let (checkout, root) = (Checkout::of(INFRASTRUCTURE), "terraform/deploy-roles");
        let backend = format!("-backend-config=environments/{ENVIRONMENT}.s3.tfbackend");
        checkout.terraform(root, &["init", "-input=false", &backend]).expect_success();
        let repositories: Vec<_> =
            workspace().repositories().map(|name| format!("\"{name}\":\"{}\"", repository_id(name))).collect();
        let variables = format!("-var-file=environments/{ENVIRONMENT}.tfvars");
        let [owner, owner_id] = [format!("-var=github_owner={OWNER}"), format!("-var=github_owner_id={OWNER_ID}")];
        let ids = format!("-var=github_repository_ids={{{}}}", repositories.join(","));
        // Without anybody who may assume it, the auditor's role isn't created.
        create_auditor();
        let auditors = format!("-var=auditor_principals=[\"arn:aws:iam::{ACCOUNT_ID}:user/{AUDITOR}\"]");
        let inputs = ["-input=false", &variables, &owner, &owner_id, &ids, &auditors];
        checkout
            .terraform(root, &[&["apply", "-auto-approve", "-parallelism=30"], &inputs[..]].concat())
            .expect_success();
        checkout.terraform(root, &[&["plan", "-detailed-exitcode"], &inputs[..]].concat()).expect_success();
        let roles = checkout.terraform(root, &["output", "-json", "role_arns"]).expect_success().said;
        serde_json::from_str(&roles).expect("an output is JSON")
    });
    roles[format!("{repository}/{action}")].as_str().expect("each repository has two roles").to_owned()
}

/// The user exists before the role that names it, as AWS demands. Both sides allow it, because the emulator doesn't know that the
/// role's side is enough.
fn create_auditor() {
    let statement = json!({ "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*" });
    let policy = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
    match administrator(&["iam", "create-user", "--user-name", AUDITOR]) {
        Err(said) if !said.contains("EntityAlreadyExists") => panic!("{said}"),
        _ => {}
    }
    let put =
        ["iam", "put-user-policy", "--user-name", AUDITOR, "--policy-name", "assume", "--policy-document", &policy];
    administrator(&put).unwrap();
}

fn credentials(id: &str, secret: &str, token: Option<&str>) -> Vec<(String, String)> {
    let mut variables = vec![("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret)];
    variables.extend(token.map(|token| ("AWS_SESSION_TOKEN", token)));
    variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A program that finds the stack where it would find AWS, and nothing of this machine's own account.
fn command(program: &str, variables: &[(String, String)]) -> Command {
    let (workspace, mut command) = (workspace(), Command::new(program));
    for name in foreign_settings(std::env::vars_os().map(|(name, _)| name)) {
        command.env_remove(name);
    }
    let source = provider_source(&workspace).expect("the provider is to be found");
    // A runner has no local stack, whose file the tests get in a variable.
    let of_the_tests = ["CATALOGUE_LOCAL", "CATALOGUE_STATUS"].map(OsString::from);
    for name in source.unset.iter().chain(&of_the_tests) {
        command.env_remove(name);
    }
    command
        .envs(source.set)
        .env("PATH", path_with(&workspace, &[]))
        // Version 1 then warns of each call that version 2, which runners have, treats differently.
        .env("AWS_CLI_UPGRADE_DEBUG_MODE", "true")
        .env("AWS_CONFIG_FILE", workspace.tools_workspace().join("local/aws-cli/config"))
        .env("AWS_ENDPOINT_URL", stack().facts.endpoint_url)
        .env("AWS_REGION", REGION)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_PAGER", "")
        .env("TF_IN_AUTOMATION", "1")
        .env("TF_CLI_ARGS", "-no-color")
        .env("TF_VAR_account_id", ACCOUNT_ID)
        .env("TF_VAR_stream_settle_seconds", "0")
        .env("TF_VAR_audit_verified_daily", "false")
        .env("CHECKPOINT_DISABLE", "1")
        .env("NO_PROXY", "*")
        .envs(variables.iter().map(|(name, value)| (name, value)));
    command
}

fn path_with(workspace: &Workspace, first: &[PathBuf]) -> OsString {
    let own = std::env::var_os("PATH").unwrap_or_default();
    let folders = first.iter().cloned().chain([aws_cli(workspace), workspace.tools().join("bin")]);
    std::env::join_paths(folders.chain(std::env::split_paths(&own))).expect("a PATH")
}

/// Of the first version 2 whose `s3api put-object` certainly has `--if-none-match`.
const MIN_AWS_CLI_2_MINOR: u32 = 18;

/// A folder with nothing but the AWS CLI: the machine's version 2, which runners have, if it is new enough for conditional
/// writes to S3 (Debian 12's isn't), or the version 1 that `cargo xtask test` installs, because the Python package index has no other.
fn aws_cli(workspace: &Workspace) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let find = || {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let programs = std::env::split_paths(&path).map(|folder| folder.join("aws")).collect::<Vec<_>>();
        let version_2 = programs.into_iter().find(|program| {
            let output = Command::new(program).arg("--version").output();
            let version = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
            let minor = version.strip_prefix("aws-cli/2.").and_then(|rest| rest.split('.').next());
            minor.and_then(|minor| minor.parse::<u32>().ok()).is_some_and(|minor| minor >= MIN_AWS_CLI_2_MINOR)
        });
        let program = version_2.unwrap_or_else(|| workspace.catalogue().join("venv-aws-cli/bin/aws"));
        let folder = workspace.catalogue().join("aws-cli");
        fs::create_dir_all(&folder).unwrap();
        // Version 2 before 2.13, such as Debian 12's, doesn't read the variable, and version 1 doesn't for SQS.
        let wrapper = format!("#!/bin/sh\nexec '{}' --endpoint-url \"$AWS_ENDPOINT_URL\" \"$@\"\n", program.display());
        // Renamed into its place: another test program may do the same at this moment.
        let fresh = tempfile::tempdir_in(&folder).unwrap();
        fs::write(fresh.path().join("aws"), wrapper).unwrap();
        fs::set_permissions(fresh.path().join("aws"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(fresh.path().join("aws"), folder.join("aws")).unwrap();
        folder
    };
    FOLDER.get_or_init(find).clone()
}

/// A package that was never deployed: what tells it from the last one of the same program is its date.
fn pack(bootstrap: &[u8]) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let part = |unit: u64, of: u64| u8::try_from(now / unit % of).unwrap();
    // A ZIP file counts seconds in twos; a release takes longer.
    let date = DateTime::from_date_and_time(2026, 1, 1 + part(86_400, 28), part(3_600, 24), part(60, 60), part(1, 60));
    let options = SimpleFileOptions::default().last_modified_time(date.unwrap()).unix_permissions(0o755);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("bootstrap", options).unwrap();
    writer.write_all(bootstrap).unwrap();
    writer.finish().unwrap().into_inner()
}

pub fn sha256(path: &Path) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(fs::read(path).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn append(path: &Path, text: &str) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}
