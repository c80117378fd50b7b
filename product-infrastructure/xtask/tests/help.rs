//! The help of every command and the commonest usage errors, as snapshots: a change of wording is seen in the diff.

#[test]
fn help_and_usage_errors_match_their_snapshots() {
    // `TRYCMD=overwrite cargo test --workspace --test help` rewrites them.
    trycmd::TestCases::new().case("tests/help/*.trycmd");
}

#[test]
fn every_command_has_a_snapshot() {
    use clap::CommandFactory;
    let cli = xtask::cli::Cli::command();
    let commands = cli.get_subcommands().map(|command| format!("xtask-{}", command.get_name()));
    for name in std::iter::once("xtask".to_owned()).chain(commands) {
        let file = format!("{}/tests/help/{name}.trycmd", env!("CARGO_MANIFEST_DIR"));
        assert!(std::path::Path::new(&file).is_file(), "{name} has no snapshot");
    }
}
