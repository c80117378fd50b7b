//! Reads a file of products row by row: CSV, or newline-delimited JSON.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Result, bail};
use csv::{ByteRecord, ReaderBuilder, StringRecord};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::columns::{Asked, Columns, Key, Mapping, OUTPUT_ONLY, deleted};
use super::contract::Violation;

/// The longest line of newline-delimited JSON, in bytes; the API accepts at most 64 KiB.
const MAX_LINE: u64 = 1024 * 1024;

/// The format of a file of products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Csv,
    Ndjson,
}

impl Format {
    /// The format that a file's name stands for; CSV if it says nothing.
    pub fn of(file: &Path) -> Self {
        let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if ["ndjson", "jsonl"].iter().any(|name| extension.eq_ignore_ascii_case(name)) {
            Self::Ndjson
        } else {
            Self::Csv
        }
    }
}

/// How to read a file.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    pub format: Format,
    /// The character between two cells of CSV.
    pub delimiter: u8,
    /// The character between two items of a cell that holds a list.
    pub list_delimiter: u8,
    pub mappings: &'a [Mapping],
    pub key: Key,
}

/// A row of the file.
#[derive(Debug, Clone)]
pub struct Row {
    /// The row's number in the file, from 1, without the header.
    pub number: u64,
    pub line: u64,
    /// The row's number in the file that rejected rows come from, if this is a file of rejected rows; else its number.
    pub origin: u64,
    pub source: Source,
    /// What the row asks for, or why it can't be read.
    pub asked: Result<Asked, Vec<Violation>>,
}

/// What the file holds, to be repeated in the file of rejected rows.
#[derive(Debug, Clone)]
pub enum Source {
    Cells(ByteRecord),
    Line(Vec<u8>),
}

/// A file of products.
pub enum Rows<'a> {
    /// `behind` is how many lines the reader's count is behind: it ends a row at the carriage return, and counts line feeds.
    Csv {
        reader: Box<csv::Reader<File>>,
        header: StringRecord,
        columns: Columns,
        number: u64,
        behind: u64,
    },
    Ndjson {
        reader: BufReader<File>,
        mappings: &'a [Mapping],
        number: u64,
        line: u64,
    },
}

impl<'a> Rows<'a> {
    /// Opens the file and reads the header of CSV.
    pub fn open(file: &Path, reading: Reading<'a>) -> Result<Self> {
        let Reading { format, delimiter, list_delimiter, mappings, key } = reading;
        match format {
            Format::Csv => {
                // Rows of another length are rejected one by one, with their line.
                let mut reader = ReaderBuilder::new().flexible(true).delimiter(delimiter).from_path(file)?;
                let header = reader.headers()?.clone();
                let columns = Columns::new(&header, mappings, key, list_delimiter)?;
                let lines_of_header = 1 + header.as_slice().bytes().filter(|byte| *byte == b'\n').count() as u64;
                let behind = (1 + lines_of_header).saturating_sub(reader.position().line());
                Ok(Self::Csv { reader: Box::new(reader), header, columns, number: 0, behind })
            }
            Format::Ndjson => {
                Ok(Self::Ndjson { reader: BufReader::new(File::open(file)?), mappings, number: 0, line: 0 })
            }
        }
    }

    /// The header of CSV.
    pub fn header(&self) -> Option<&StringRecord> {
        match self {
            Self::Csv { header, .. } => Some(header),
            Self::Ndjson { .. } => None,
        }
    }

    /// The next row; `None` at the end of the file.
    pub fn next_row(&mut self) -> Result<Option<Row>> {
        match self {
            Self::Csv { reader, columns, number, behind, .. } => {
                let mut record = ByteRecord::new();
                if !reader.read_byte_record(&mut record)? {
                    return Ok(None);
                }
                *number += 1;
                let line = record.position().map_or(0, |position| position.line() + *behind);
                let (asked, origin) = (read_cells(columns, &record), columns.origin(&record).unwrap_or(*number));
                Ok(Some(Row { number: *number, line, origin, source: Source::Cells(record), asked }))
            }
            Self::Ndjson { reader, mappings, number, line } => loop {
                let mut text = Vec::new();
                let read = reader.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut text)?;
                if read == 0 {
                    return Ok(None);
                }
                *line += 1;
                if u64::try_from(read).is_ok_and(|read| read > MAX_LINE) {
                    bail!("line {line} is longer than {} KiB", MAX_LINE / 1024);
                }
                if text.trim_ascii().is_empty() {
                    continue;
                }
                *number += 1;
                let text = text.trim_ascii().to_vec();
                let asked = read_line(&text, mappings);
                return Ok(Some(Row {
                    number: *number,
                    line: *line,
                    origin: *number,
                    source: Source::Line(text),
                    asked,
                }));
            },
        }
    }
}

fn read_cells(columns: &Columns, record: &ByteRecord) -> Result<Asked, Vec<Violation>> {
    let Ok(row) = StringRecord::from_byte_record(record.clone()) else {
        return Err(vec![Violation::new("", "INVALID_FORMAT", "the row must be UTF-8")]);
    };
    if row.len() != columns.len() {
        let message =
            format!("the row must contain {} cells, as the header does; it contains {}", columns.len(), row.len());
        return Err(vec![Violation::new("", "INVALID_FORMAT", message)]);
    }
    columns.read(&row)
}

fn read_line(line: &[u8], mappings: &[Mapping]) -> Result<Asked, Vec<Violation>> {
    let Ok(text) = std::str::from_utf8(line) else {
        return Err(vec![Violation::new("", "INVALID_FORMAT", "the line must be UTF-8")]);
    };
    read_json(text, mappings)
}

/// What a JSON object asks for. A price that is a number becomes the digits that the file holds.
pub fn read_json(text: &str, mappings: &[Mapping]) -> Result<Asked, Vec<Violation>> {
    let members: Members = serde_json::from_str(text).map_err(|error| {
        let message = match error.classify() {
            serde_json::error::Category::Data => "the line must be a JSON object".to_owned(),
            _ => format!("malformed JSON at column {}", error.column()),
        };
        vec![Violation::new("", "MALFORMED_JSON", message)]
    })?;
    let (mut asked, mut found) = (Asked::default(), Vec::new());
    for (name, value) in members.0 {
        let field =
            mappings.iter().find(|mapping| mapping.column == name).map_or(name, |mapping| mapping.field.clone());
        let value = match value.get().as_bytes().first() {
            Some(b'-' | b'0'..=b'9') if field == "price" => Value::from(value.get()),
            _ => serde_json::from_str(value.get()).unwrap_or_default(),
        };
        match (field.as_str(), value) {
            ("productId", value) => {
                asked.product_id = value.as_str().map(|id| id.trim().to_ascii_lowercase());
            }
            ("status", value) => found.extend(deleted(value.as_str().unwrap_or_default())),
            (field, _) if OUTPUT_ONLY.contains(&field) => {}
            (field, value) => {
                let value = match value {
                    // The API trims these two.
                    Value::String(text) if matches!(field, "name" | "sku") => Value::from(text.trim()),
                    value => value,
                };
                if asked.patch.insert(field.to_owned(), value).is_some() {
                    found.push(Violation::new(field, "DUPLICATE", "appears more than once"));
                }
            }
        }
    }
    if found.is_empty() { Ok(asked) } else { Err(found) }
}

/// The members of an object in their order, repeated ones too.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Result<Value, Vec<String>> {
        let mapping = "Preis=price".parse().unwrap();
        let asked = read_line(text.as_bytes(), &[mapping]);
        asked.map(|asked| Value::Object(asked.patch)).map_err(|found| {
            found.into_iter().map(|violation| format!("{} {}", violation.code, violation.field)).collect()
        })
    }

    #[test]
    fn reads_object_and_keeps_digits_of_numbers() {
        let line = r#"{"productId": "x", "version": 3, "status": "ACTIVE", "sku": " A ", "Preis": 999999999999.9990, "tags": null}"#;
        assert_eq!(read(line), Ok(json!({"sku": "A", "price": "999999999999.9990", "tags": null})));
    }

    #[test]
    fn rejects_line_that_is_not_an_object_with_distinct_members() {
        let errors = |text: &str| read(text).unwrap_err();
        assert_eq!(errors("[1]"), ["MALFORMED_JSON "]);
        assert_eq!(errors("{\"a\": "), ["MALFORMED_JSON "]);
        assert_eq!(errors("{\"sku\": 1, \"sku\": 2}"), ["DUPLICATE sku"]);
        assert_eq!(errors("{\"status\": \"DELETED\"}"), ["NOT_ALLOWED status"]);
        assert_eq!(read_line(b"\xff", &[]).unwrap_err()[0].code, "INVALID_FORMAT");
    }

    #[test]
    fn format_follows_from_the_name() {
        for (name, format) in [("a.ndjson", Format::Ndjson), ("a.JSONL", Format::Ndjson), ("a.csv", Format::Csv)] {
            assert_eq!(Format::of(Path::new(name)), format, "{name}");
        }
    }

    #[test]
    fn counts_lines_as_an_editor_does() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let reading =
            Reading { format: Format::Csv, delimiter: b',', list_delimiter: b'|', mappings: &[], key: Key::Row };
        let csv = "name,\"price\"\nLamp,1\n\"Desk\nlamp\",2\nTable,3\n";
        for text in [csv.to_owned(), csv.replace('\n', "\r\n")] {
            std::fs::write(file.path(), &text).unwrap();
            let mut rows = Rows::open(file.path(), reading).unwrap();
            let lines: Vec<u64> = std::iter::from_fn(|| rows.next_row().unwrap()).map(|row| row.line).collect();
            assert_eq!(lines, [2, 3, 5], "{text:?}");
        }
    }

    #[test]
    fn bounds_a_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![b'x'; 2 * 1024 * 1024]).unwrap();
        let reading =
            Reading { format: Format::Ndjson, delimiter: b',', list_delimiter: b'|', mappings: &[], key: Key::Sku };
        let error = Rows::open(file.path(), reading).unwrap().next_row().unwrap_err().to_string();
        assert_eq!(error, "line 1 is longer than 1024 KiB");
    }
}
