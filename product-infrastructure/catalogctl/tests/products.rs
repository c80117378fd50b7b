//! `catalogctl products` on files, as a program.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

const HEADER: &str = "sku,name,Preis,currency,tags,imageUrls\n";

fn import(file: &Path, options: &[&str]) -> Output {
    let arguments = ["products", "import", "--json"];
    Command::new(env!("CARGO_BIN_EXE_catalogctl")).args(arguments).args(options).arg(file).output().unwrap()
}

fn check(file: &Path) -> Output {
    import(file, &["--map", "Preis=price"])
}

fn counts(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Header and rows of a CSV file.
fn read_csv(file: &Path) -> (String, Vec<csv::StringRecord>) {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(file).unwrap();
    let header = reader.headers().unwrap().iter().collect::<Vec<_>>().join(",");
    (format!("{header}\n"), reader.records().map(Result::unwrap).collect())
}

#[test]
fn accepts_valid_file_and_removes_former_rejects() {
    let folder = tempfile::tempdir().unwrap();
    let (file, rejects) = (folder.path().join("a.csv"), folder.path().join("a.csv.rejects.csv"));
    fs::write(&rejects, "old").unwrap();
    fs::write(&file, format!("\u{feff}{HEADER}A,Lamp,19.90,EUR,sale|new,\nB,\"Straße, \"\"7\"\"\",1299,JPY,,\n"))
        .unwrap();
    let output = check(&file);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(counts(&output), json!({"rows": 2, "valid": 2, "rejected": 0}));
    assert!(!rejects.exists());
}

#[test]
fn splits_tags_at_the_list_delimiter_and_suggests_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.csv");
    fs::write(&file, format!("{HEADER}A,Lamp,19.90,EUR,\"sale, new\",\nB,Lamp,5,EUR,\"sale, sale\",\n")).unwrap();
    let text = |options: &[&str]| {
        let arguments = ["products", "import", "--map", "Preis=price"];
        let output =
            Command::new(env!("CARGO_BIN_EXE_catalogctl")).args(arguments).args(options).arg(&file).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let whole = text(&[]);
    assert!(whole.contains("Valid:    2") && whole.contains("part of a tag in 2 rows"), "{whole}");
    let split = text(&["--list-delimiter", ","]);
    assert!(split.contains("Valid:    1") && !split.contains("part of a tag"), "{split}");
}

#[test]
fn writes_rejected_rows_that_can_be_corrected_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let (file, rejects) = (folder.path().join("a.csv"), folder.path().join("a.csv.rejects.csv"));
    let rows = "A,Lamp,19.90,EUR,,\n\
                B,\"two\nlines\",\"1.299,00\",EUR,,\n\
                A,Lamp,5,EUR,,\n\
                C,Lamp,5,EUR\n\
                D,Lamp,5,EUR,\"sale|sale\",http://example.com/a.png\n\
                E,,5,EUR,,\n";
    fs::write(&file, format!("{HEADER}{rows}")).unwrap();
    let output = check(&file);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let rejects_file = rejects.to_str().unwrap();
    assert_eq!(counts(&output), json!({"rows": 6, "valid": 1, "rejected": 5, "rejectsFile": rejects_file}));

    let (header, found) = read_csv(&rejects);
    assert_eq!(header, format!("row,line,field,code,message,{HEADER}"));
    let reasons: Vec<[&str; 4]> = found.iter().map(|row| [&row[0], &row[1], &row[2], &row[3]]).collect();
    let expected = [
        ["2", "3", "name; price", "INVALID_FORMAT; INVALID_FORMAT"],
        ["3", "5", "sku", "DUPLICATE"],
        ["4", "6", "", "INVALID_FORMAT"],
        ["5", "7", "imageUrls[0]; tags", "INVALID_FORMAT; DUPLICATE"],
        ["6", "8", "name", "REQUIRED"],
    ];
    assert_eq!(reasons, expected);

    // The number of a row stays the one of the first file.
    let corrected =
        format!("row,line,field,code,message,{HEADER}2,3,name,a,b,B,Two lines,1299.00,EUR,,\n4,6,,,,C,Lamp\n");
    fs::write(&rejects, corrected).unwrap();
    let output = check(&rejects);
    let rejects_file = format!("{rejects_file}.rejects.csv");
    assert_eq!(counts(&output), json!({"rows": 2, "valid": 1, "rejected": 1, "rejectsFile": rejects_file}));
    let (header, found) = read_csv(Path::new(&rejects_file));
    assert_eq!((header, &found[0][0]), (format!("row,line,field,code,message,{HEADER}"), "4"));
}

#[test]
fn rejected_rows_hold_no_formulas_and_mean_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (file, rejects) = (folder.path().join("a.csv"), folder.path().join("a.csv.rejects.csv"));
    fs::write(&file, format!("{HEADER}=A,Lamp,1,EUR,,\n=A,=1+1,1,EUR,'@a,\n")).unwrap();
    assert_eq!(counts(&check(&file))["rejected"], 1);
    let (_, found) = read_csv(&rejects);
    assert_eq!(&found[0][4], "'=A duplicates the SKU of an earlier row");
    assert_eq!([&found[0][5], &found[0][6], &found[0][9]], ["'=A", "'=1+1", "'@a"]);
    let lines = folder.path().join("a.ndjson");
    fs::write(&lines, "=1+1\n").unwrap();
    check(&lines);
    assert_eq!(&read_csv(&folder.path().join("a.ndjson.rejects.csv")).1[0][5], "'=1+1");
}

#[test]
fn rejected_lines_of_json_can_be_corrected_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let (file, rejects) = (folder.path().join("a.ndjson"), folder.path().join("a.ndjson.rejects.csv"));
    let lines =
        "{\"sku\": \"A\", \"Preis\": 19.90}\n\n{\"sku\": \"B\", \"Preis\": \"1,5\", \"tags\": null}\n{\"sku\": \n";
    fs::write(&file, lines).unwrap();
    let output = check(&file);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let rejects_file = rejects.to_str().unwrap();
    assert_eq!(counts(&output), json!({"rows": 3, "valid": 1, "rejected": 2, "rejectsFile": rejects_file}));
    let (header, found) = read_csv(&rejects);
    assert_eq!(header, "row,line,field,code,message,json\n");
    let reasons: Vec<[&str; 4]> = found.iter().map(|row| [&row[0], &row[1], &row[2], &row[3]]).collect();
    assert_eq!(reasons, [["2", "3", "price", "INVALID_FORMAT"], ["3", "4", "", "MALFORMED_JSON"]]);

    fs::write(&rejects, fs::read_to_string(&rejects).unwrap().replace("1,5", "1.5")).unwrap();
    assert_eq!(counts(&check(&rejects))["valid"], 1);
}

#[test]
fn reads_other_delimiters_and_keys() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.txt");
    fs::write(&file, "Name;Preis;currency\nLamp;1;EUR\nLamp;2;EUR\n").unwrap();
    let options = ["--map", "Preis=price", "--map", "Name=name", "--delimiter", ";", "--key", "row"];
    assert_eq!(counts(&import(&file, &options)), json!({"rows": 2, "valid": 2, "rejected": 0}));
    fs::write(&file, "productId;price\n3f0c2f5e-8d1b-4c6a-9e57-2b8a4d1f6c03;1\n3;2\n").unwrap();
    let output = import(&file, &["--delimiter", ";", "--key", "productId"]);
    assert_eq!((&counts(&output)["valid"], output.status.code()), (&json!(1), Some(2)));
}

#[test]
fn fails_for_unreadable_file_and_unknown_column() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.csv");
    assert_eq!(check(&file).status.code(), Some(1));
    for (header, expected) in
        [("sku,name,Preis,colour\n", "unknown column \"colour\""), ("name,Preis\n", "no column holds sku")]
    {
        fs::write(&file, header).unwrap();
        let output = check(&file);
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(expected), "{error}");
    }
}
