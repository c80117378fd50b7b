//! `catalogctl products import`: a file of products, checked row by row against the contract; [`apply`] imports it.

use std::collections::HashSet;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::access::Access;
use super::apply;
use super::columns::{Asked, Key, Mapping};
use super::contract::{REQUIRED, Violation, violations};
use super::digest::half;
use super::rejects::Rejects;
use super::rows::{Format, Reading, Row, Rows, Source};
use crate::exit_status::ExitStatus;
use crate::output;
use crate::progress::Progress;
use crate::target::System;

/// Rows between two points at which the program can be interrupted.
const ROWS_AT_ONCE: u64 = 256;

/// Create and update products from a file (default: check the file, offline)
///
/// Without --apply every row is checked against the API's contract, and nothing is sent. With --apply each valid row creates
/// a product, updates it, or leaves it as it is if nothing differs; the change is followed until it is applied. Importing a
/// file again is harmless.
///
/// CSV is UTF-8 and begins with a header. Its columns are name, price, currency, sku, description, category, tags, imageUrls
/// (the items of the last two separated by --list-delimiter, or a JSON array), and attributes (a JSON object) or attributes.NAME.
/// Newline-delimited JSON has an object with these fields on each line. An absent column or field leaves the product's field
/// unchanged; an empty cell or null removes it. An apostrophe before =, +, -, @ or another apostrophe at the start of a cell is
/// removed: an export writes it so that no spreadsheet takes the cell for a formula. A product needs name, price and currency: a
/// row without one of them can only change a product. Fields that the API sets, such as version and updatedAt, are ignored.
///
/// No two rows can have the same SKU or product ID. --key selects how a row's product is found; `row` is for products that
/// have neither.
///
/// Rejected rows are written to FILE.rejects.csv, with the columns row, line, field, code and message before their own (for
/// JSON, the column json holds the line). Correct the rows there and import that file with the same options: the five columns
/// are ignored. A FILE.rejects.csv of an earlier run is replaced, or removed if no row is rejected.
///
/// FILE.import.ndjson records what became of each row. After an interruption the same command continues there, as long as
/// FILE and the options are the same. Requests are repeated after 429 and 503, as the API asks for it. Each row takes one
/// request if it is unchanged, and three or more if it changes a product.
///
/// Exit codes: 0 every row was imported (without --apply: is valid); 1 the command failed, or some rows failed and can be
/// retried; 2 there are rejected rows.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// File of products
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Field that identifies a row's product
    #[arg(long, value_name = "KEY", default_value = "sku")]
    pub key: Key,
    /// Field that a column of another name holds, such as 'Preis=price'; can be repeated
    #[arg(long, value_name = "COLUMN=FIELD")]
    pub map: Vec<Mapping>,
    /// Format of the file (default: ndjson for FILE.ndjson and FILE.jsonl, csv for others)
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Character between two cells of CSV, such as ';', or tab
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = delimiter)]
    pub delimiter: u8,
    /// Character between two items of a cell of tags or imageUrls
    #[arg(long, value_name = "CHARACTER", default_value = "|", value_parser = delimiter)]
    pub list_delimiter: u8,
    /// Send the rows to the API (default: check them)
    #[arg(long)]
    pub apply: bool,
    /// Print the output as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub access: Access,
}

/// The result of a check.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    pub rows: u64,
    pub valid: u64,
    pub rejected: u64,
    /// Rows with a tag that contains a comma or a semicolon, which may be meant as a delimiter; for people.
    #[serde(skip)]
    pub tags_with_delimiter: u64,
    /// The file of the rejected rows, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejects_file: Option<PathBuf>,
}

/// Checks or imports the file, and prints the counts.
pub async fn run(system: &System, arguments: &Arguments, progress: &Progress) -> Result<ExitStatus> {
    if arguments.apply {
        return apply::run(system, arguments, progress).await;
    }
    let step = progress.step("Checking rows");
    let checked = check(arguments).await?;
    step.done(format!("{} rows", checked.rows));
    if arguments.json {
        output::print_json(&checked)?;
    } else {
        output::print(&text(&checked))?;
    }
    Ok(if checked.rejected == 0 { ExitStatus::Success } else { ExitStatus::NeedsAttention })
}

fn text(checked: &Checked) -> String {
    let mut text = format!("Rows:     {}\nValid:    {}\nRejected: {}", checked.rows, checked.valid, checked.rejected);
    if let Some(file) = &checked.rejects_file {
        text.push_str(&format!("\nThe rejected rows and the reasons are in {}.", file.display()));
    }
    if checked.tags_with_delimiter > 0 {
        text.push_str(&format!(
            "\nA comma or a semicolon is part of a tag in {} rows. If it separates tags, add --list-delimiter.",
            checked.tags_with_delimiter
        ));
    }
    text
}

/// Checks the file row by row; memory grows with the distinct SKUs only, by some twenty bytes for each.
async fn check(arguments: &Arguments) -> Result<Checked> {
    let file = arguments.file.as_path();
    let failed = || format!("failed to read {}", file.display());
    let mut rows = Rows::open(file, reading(arguments)).with_context(failed)?;
    let mut rejects = Rejects::new(file, rows.header(), arguments.delimiter);
    let (mut checked, mut check) = (Checked::default(), Check::new(arguments.key));
    while let Some(row) = rows.next_row().with_context(failed)? {
        checked.rows += 1;
        let found = check.violations(&row);
        checked.tags_with_delimiter += u64::from(has_delimiter_in_tag(&row));
        if found.is_empty() {
            checked.valid += 1;
        } else {
            checked.rejected += 1;
            rejects.add(&row, &found)?;
        }
        if checked.rows.is_multiple_of(ROWS_AT_ONCE) {
            tokio::task::yield_now().await;
        }
    }
    checked.rejects_file = rejects.finish()?;
    Ok(checked)
}

/// Whether a tag of a CSV row looks like several.
fn has_delimiter_in_tag(row: &Row) -> bool {
    if !matches!(row.source, Source::Cells(_)) {
        return false;
    }
    let tags = row.asked.as_ref().ok().and_then(|asked| asked.patch.get("tags")?.as_array());
    tags.is_some_and(|tags| tags.iter().any(|tag| tag.as_str().is_some_and(|tag| tag.contains([',', ';']))))
}

/// How the file is read.
pub fn reading(arguments: &Arguments) -> Reading<'_> {
    Reading {
        format: arguments.format.unwrap_or_else(|| Format::of(&arguments.file)),
        delimiter: arguments.delimiter,
        list_delimiter: arguments.list_delimiter,
        mappings: &arguments.map,
        key: arguments.key,
    }
}

/// One ASCII character, or `tab`, which is hard to type.
fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" => Ok(b'\t'),
        [character] if character.is_ascii() && !matches!(character, b'"' | b'\n' | b'\r') => Ok(*character),
        _ => Err("must be one ASCII character other than a quotation mark, or tab".to_owned()),
    }
}

/// The rules of a row, and of rows among each other.
pub struct Check {
    key: Key,
    /// Digests instead of the SKUs and IDs themselves, which can be several times as long.
    seen: HashSet<[u8; 16]>,
}

impl Check {
    pub fn new(key: Key) -> Self {
        Self { key, seen: HashSet::new() }
    }

    /// What is wrong with a row, as far as the file itself shows.
    pub fn violations(&mut self, row: &Row) -> Vec<Violation> {
        let asked = match &row.asked {
            Ok(asked) => asked,
            Err(found) => return found.clone(),
        };
        let mut found = violations(&asked.patch);
        found.extend(self.key_violation(asked));
        if self.key == Key::Row {
            let missing = REQUIRED.into_iter().filter(|field| !asked.patch.contains_key(*field));
            found.extend(missing.map(Violation::required));
        }
        let sku = asked.patch.get("sku").and_then(Value::as_str);
        let id = asked.product_id.as_deref().filter(|_| self.key == Key::ProductId);
        for (field, name, value) in [("sku", "SKU", sku), ("productId", "product ID", id)] {
            if let Some(value) = value.filter(|value| !self.seen.insert(half(field, value))) {
                found.push(Violation::new(
                    field,
                    "DUPLICATE",
                    format!("{value} duplicates the {name} of an earlier row"),
                ));
            }
        }
        found
    }

    fn key_violation(&self, asked: &Asked) -> Option<Violation> {
        match (self.key, &asked.product_id) {
            (Key::Sku, _) if asked.patch.get("sku").is_none_or(Value::is_null) => Some(Violation::required("sku")),
            (Key::ProductId, None) => Some(Violation::required("productId")),
            (Key::ProductId, Some(id)) if audit_log::ids::ProductId::parse(id).is_none() => {
                Some(Violation::new("productId", "INVALID_FORMAT", "must be a UUID"))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::read_json;
    use super::*;

    fn row(number: u64, json: &str) -> Row {
        Row { number, line: number, origin: number, source: Source::Line(json.into()), asked: read_json(json, &[]) }
    }

    fn found(key: Key, rows: &[&str]) -> Vec<(String, String)> {
        let mut check = Check::new(key);
        let found = (1..).zip(rows).flat_map(|(number, json)| check.violations(&row(number, json)));
        found.map(|violation| (violation.field, violation.code)).collect()
    }

    #[test]
    fn requires_key_and_distinct_skus_and_ids() {
        let one = |field: &str, code: &str| vec![(field.to_owned(), code.to_owned())];
        assert_eq!(found(Key::Sku, &[r#"{"sku": "A", "price": "1"}"#, r#"{"sku": "B", "price": "1"}"#]), []);
        assert_eq!(found(Key::Sku, &[r#"{"price": "1"}"#]), one("sku", "REQUIRED"));
        assert_eq!(found(Key::Sku, &[r#"{"sku": null, "price": "1"}"#]), one("sku", "REQUIRED"));
        assert_eq!(found(Key::Sku, &[r#"{"sku": "A"}"#, r#"{"sku": "A"}"#]), one("sku", "DUPLICATE"));
        assert_eq!(found(Key::ProductId, &[r#"{"price": "1"}"#]), one("productId", "REQUIRED"));
        assert_eq!(found(Key::ProductId, &[r#"{"productId": "1", "price": "1"}"#]), one("productId", "INVALID_FORMAT"));
        let id = r#"{"productId": "3f0c2f5e-8d1b-4c6a-9e57-2b8a4d1f6c03", "price": "1"}"#;
        assert_eq!(found(Key::ProductId, &[id]), []);
        assert_eq!(found(Key::ProductId, &[id, id]), one("productId", "DUPLICATE"));
    }

    #[test]
    fn row_that_creates_needs_required_fields() {
        let missing = found(Key::Row, &[r#"{"price": "1"}"#]);
        let fields: Vec<&str> = missing.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["name", "currency"]);
    }

    #[test]
    fn delimiter_is_one_character_or_tab() {
        assert_eq!((delimiter(";"), delimiter("tab")), (Ok(b';'), Ok(b'\t')));
        assert!(delimiter("").is_err() && delimiter("ä").is_err() && delimiter("\"").is_err());
    }
}
