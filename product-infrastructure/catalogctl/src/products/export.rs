//! `catalogctl products export`: the products, or those that changed since an earlier export, from the change feed.

use std::io::{BufWriter, IntoInnerError, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::{Value, json};

use super::access::Access;
use super::api::{Api, Call};
use super::rows::Format;
use crate::exit_status::ExitStatus;
use crate::output::{self, OutputError};
use crate::printable::{printable, printable_json};
use crate::private_file;
use crate::progress::{Meter, Progress};
use crate::spreadsheet::guarded;
use crate::target::System;

/// The most that the API returns.
const PAGE: usize = 100;
/// The columns of CSV: those of an import, and what the API sets.
const COLUMNS: [&str; 15] = [
    "productId",
    "sku",
    "name",
    "price",
    "currency",
    "description",
    "category",
    "tags",
    "imageUrls",
    "attributes",
    "status",
    "version",
    "createdAt",
    "updatedAt",
    "lastEventId",
];

/// Write the products as newline-delimited JSON or CSV
///
/// The products come from the change feed, in the order of their last changes, up to about 30 s ago. A product that changes
/// during the export can appear twice: the line with the higher version is the newer one. With --since only products that
/// changed after an earlier export are written, also deleted ones (status DELETED, without further fields). The cursor for
/// the next --since is printed at the end; without --out, to standard error.
///
/// The file can be edited and imported again. In CSV, tags and imageUrls are separated by `|` or, if an item contains that
/// character, a JSON array; attributes is a JSON object, and an empty cell is an empty string or an absent field. A cell that
/// begins with = + - @ ' or a control character gets a leading ', so that no spreadsheet takes it for a formula; an import
/// removes it. Programs that read the file are better off with JSON.
///
/// Exit codes: 0 the products were written; 1 the command failed.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Only products that changed after this cursor, which an earlier export printed
    #[arg(long, value_name = "CURSOR")]
    pub since: Option<String>,
    /// File to create, readable by its owner only (default: standard output)
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Format of the output (default: csv for a FILE that isn't called .ndjson or .jsonl, ndjson for standard output)
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Print counts, cursor and the file's path as JSON
    #[arg(long, requires = "out")]
    pub json: bool,
    #[command(flatten)]
    pub access: Access,
}

/// The result of an export.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Exported {
    products: u64,
    deleted: u64,
    next_cursor: String,
}

/// Exports to the file or to standard output.
pub async fn run(system: &System, arguments: &Arguments, progress: &Progress) -> Result<ExitStatus> {
    let (api, _) = arguments.access.api(system, progress).await?;
    progress.say(format!("API: {}", api.base()));
    let step = progress.step("Exporting products");
    let meter = step.meter();
    let Some(path) = &arguments.out else {
        let stdout = std::io::stdout();
        let for_terminal = stdout.is_terminal();
        let lines =
            Lines { for_terminal, ..Lines::new(arguments.format.unwrap_or(Format::Ndjson), BufWriter::new(stdout)) };
        let exported = export(&api, arguments.since.as_deref(), lines, &meter).await?;
        step.done(counts(&exported));
        progress.say(format!("Next cursor: {}", exported.next_cursor));
        return Ok(ExitStatus::Success);
    };
    private_file::require_new(path)?;
    let failed = || format!("failed to create {}", path.display());
    let mut writer = BufWriter::new(private_file::beside(path).with_context(failed)?);
    let lines = Lines::new(arguments.format.unwrap_or_else(|| Format::of(path)), &mut writer);
    let exported = export(&api, arguments.since.as_deref(), lines, &meter).await?;
    let file = writer.into_inner().map_err(IntoInnerError::into_error).with_context(failed)?;
    file.persist_noclobber(path).with_context(failed)?;
    step.done(counts(&exported));
    print(&exported, path, arguments.json)?;
    Ok(ExitStatus::Success)
}

fn counts(exported: &Exported) -> String {
    format!("{} products, {} deleted", exported.products, exported.deleted)
}

fn print(exported: &Exported, path: &Path, as_json: bool) -> Result<(), OutputError> {
    if as_json {
        let mut json = json!(exported);
        json["file"] = json!(path);
        return output::print_json(&json);
    }
    let Exported { products, deleted, next_cursor } = exported;
    output::print(&format!(
        "Wrote {}.\nProducts:    {products}\nDeleted:     {deleted}\nNext cursor: {next_cursor}",
        path.display()
    ))
}

/// Writes page by page, so that memory doesn't grow with the catalogue.
async fn export(api: &Api, since: Option<&str>, mut lines: Lines<impl Write>, meter: &Meter) -> Result<Exported> {
    let mut exported = Exported { next_cursor: since.unwrap_or_default().to_owned(), ..Exported::default() };
    lines.header()?;
    loop {
        let after = match exported.next_cursor.as_str() {
            "" => String::new(),
            cursor => format!("&after={}", utf8_percent_encode(cursor, NON_ALPHANUMERIC)),
        };
        let page = api.call(&Call::get(format!("/products/changes?limit={PAGE}{after}"))).await?;
        let (items, next) = (page.body["items"].as_array(), page.body["nextCursor"].as_str());
        let (StatusCode::OK, Some(items), Some(next)) = (page.status, items, next) else {
            let error = page.error();
            bail!("failed to read the change feed: {} {} {}", page.status, error.code, error.message);
        };
        for item in items {
            match item.get("product") {
                Some(product) => {
                    exported.products += 1;
                    lines.write(product)?;
                }
                // The whole catalogue is what there is; a client that follows it must learn what there is no more.
                None if since.is_some() => {
                    exported.deleted += 1;
                    lines.write(item)?;
                }
                None => {}
            }
        }
        exported.next_cursor = next.to_owned();
        meter.now(counts(&exported));
        if page.body["caughtUp"] == true {
            lines.writer.flush().map_err(OutputError::from)?;
            return Ok(exported);
        }
        if items.is_empty() {
            // Only what changed within the last 30 s is left.
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    }
}

/// Writes products as lines.
struct Lines<W> {
    format: Format,
    writer: W,
    /// Characters that a terminal would act upon are escaped.
    for_terminal: bool,
}

impl<W: Write> Lines<W> {
    fn new(format: Format, writer: W) -> Self {
        Self { format, writer, for_terminal: false }
    }

    fn header(&mut self) -> Result<()> {
        match self.format {
            Format::Csv => self.record(COLUMNS.map(str::to_owned).as_slice()),
            Format::Ndjson => Ok(()),
        }
    }

    fn write(&mut self, product: &Value) -> Result<()> {
        match self.format {
            Format::Csv => self.record(COLUMNS.map(|name| cell(&product[name])).as_slice()),
            Format::Ndjson => {
                let line = product.to_string();
                let line = if self.for_terminal { printable_json(&line) } else { line.into() };
                Ok(writeln!(self.writer, "{line}").map_err(OutputError::from)?)
            }
        }
    }

    fn record(&mut self, cells: &[String]) -> Result<()> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer
            .write_record(cells.iter().map(|cell| guarded(cell.as_bytes())))
            .context("failed to write a row of CSV")?;
        let row = writer.into_inner().context("failed to write a row of CSV")?;
        if self.for_terminal {
            let row = String::from_utf8_lossy(&row);
            Ok(self.writer.write_all(printable(&row).as_bytes()).map_err(OutputError::from)?)
        } else {
            Ok(self.writer.write_all(&row).map_err(OutputError::from)?)
        }
    }
}

/// A value as a cell that an import reads back.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            let is_plain = |item: &&str| !item.contains('|') && item.trim() == *item && !item.starts_with('[');
            if items.iter().all(is_plain) { items.join("|") } else { json!(items).to_string() }
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_can_be_imported() {
        assert_eq!(cell(&json!(["a", "b"])), "a|b");
        for items in [json!(["a|b", "c"]), json!([" a"]), json!(["[1]"])] {
            assert_eq!(cell(&items), items.to_string());
        }
        assert_eq!([cell(&Value::Null), cell(&json!(3)), cell(&json!("x"))], ["", "3", "x"]);
    }

    #[test]
    fn row_holds_no_formula() {
        let mut lines = Lines::new(Format::Csv, Vec::new());
        lines.write(&json!({"sku": "-1", "name": "=1+1", "tags": ["@a", "b"]})).unwrap();
        assert_eq!(String::from_utf8(lines.writer).unwrap(), ",'-1,'=1+1,,,,,'@a|b,,,,,,,\n");
    }

    #[test]
    fn escapes_for_a_terminal_only() {
        let product = json!({"name": "a\u{9b}31m, \"a\""});
        for (for_terminal, expected) in [(false, "a\u{9b}31m"), (true, "a\\u{9b}31m")] {
            let mut lines = Lines { for_terminal, ..Lines::new(Format::Csv, Vec::new()) };
            lines.write(&product).unwrap();
            let row = String::from_utf8(lines.writer).unwrap();
            assert_eq!(row, format!(",,\"{expected}, \"\"a\"\"\",,,,,,,,,,,,\n"));
        }
    }
}
