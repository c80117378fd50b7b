//! The help of every command and the commonest usage errors, as snapshots: a change of wording is seen in the diff.

#[test]
fn help_and_usage_errors_match_their_snapshots() {
    // `TRYCMD=overwrite cargo test --test help` rewrites them.
    trycmd::TestCases::new().env("AWS_REGION", "eu-west-1").case("tests/help/*.trycmd");
}

#[test]
fn every_command_has_a_snapshot() {
    use clap::CommandFactory;
    fn names(command: &clap::Command, prefix: &str, found: &mut Vec<String>) {
        found.push(prefix.to_owned());
        for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
            names(command, &format!("{prefix}-{}", command.get_name()), found);
        }
    }
    let mut found = Vec::new();
    names(&catalogctl::cli::Cli::command(), "catalogctl", &mut found);
    for name in found {
        let file = format!("{}/tests/help/{name}.trycmd", env!("CARGO_MANIFEST_DIR"));
        assert!(std::path::Path::new(&file).is_file(), "{name} has no snapshot");
    }
}
