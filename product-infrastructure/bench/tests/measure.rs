//! The benchmark's measurements from one end to the other, with the program that does nothing.

use std::path::Path;
use std::process::Command;

use bench::events::Messages;
use bench::measure_all;
use bench::metric::Metric;
use bench::program::Launch;
use bench::progress::Meter;
use bench::subject::{Answer, Subject};
use bench::tree::{INFRASTRUCTURE, Tree};

/// The floor, unoptimised: this is about what is measured, not about how much it is. It answers whatever it is asked with
/// status 200, so it passes for a function that takes batches as well.
fn floor(tree: &Tree, folder: &Path) -> Subject {
    let repository = tree.repository(INFRASTRUCTURE).join("bench/floor");
    let binary = folder.join("floor");
    // Not Cargo: it would build with the settings of a measurement of coverage, and be counted in it.
    let compiled = Command::new("rustc")
        .current_dir(&repository)
        .args(["--edition", "2024", "src/main.rs", "-o"])
        .arg(&binary)
        .status()
        .unwrap();
    assert!(compiled.success());
    Subject {
        name: "floor",
        launch: Launch { command: vec![binary], variables: vec![], log: folder.join("log") },
        event: "{}".into(),
        answer: Answer::Status(200),
        calls_aws: true,
        has_products: true,
        messages: Some(Messages::changes(tree).unwrap()),
        zip_bytes: Some(1),
    }
}

#[test]
fn measures_every_figure() {
    let tree = Tree::above(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let floor = floor(&tree, folder.path());
    let bare = Subject { calls_aws: false, messages: None, zip_bytes: None, ..floor.clone() };
    // The thread ends with the restriction to one core that it is put under.
    let measuring = std::thread::spawn(move || measure_all(&[floor, bare], 2, &Meter::hidden()));
    let report = measuring.join().unwrap().unwrap();

    let [floor, bare] = &report.programs[..] else { panic!("two programs") };
    let timed = [Metric::InitMs, Metric::FirstCallMs, Metric::WarmP50Us, Metric::WarmCpuUs, Metric::RssMb];
    for metric in timed.into_iter().chain([Metric::WarmTlsP50Us, Metric::Batch10Ms, Metric::Batch100Ms]) {
        assert!(floor.metrics[&metric].median > 0.0, "{metric:?}");
        assert_eq!(floor.metrics[&metric].samples, 2, "{metric:?}");
        assert_eq!(bare.metrics.contains_key(&metric), timed.contains(&metric), "{metric:?}");
    }
    assert_eq!(floor.metrics[&Metric::Batch10Calls].median, 0.0);
    // A control group may be forbidden here; then the report says why.
    assert_eq!(floor.metrics.contains_key(&Metric::FirstCall128MbMs), report.not_measured.is_empty());
    assert!(report.markdown(&[]).contains("| floor |"));
}

#[test]
fn does_not_measure_wrong_response() {
    let tree = Tree::above(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let floor = Subject { answer: Answer::Status(404), ..floor(&tree, folder.path()) };
    let measuring = std::thread::spawn(move || measure_all(&[floor], 1, &Meter::hidden()));
    let error = format!("{:#}", measuring.join().unwrap().unwrap_err());
    assert!(error.contains("floor can't be measured") && error.contains("Status(404)"), "{error}");
}
