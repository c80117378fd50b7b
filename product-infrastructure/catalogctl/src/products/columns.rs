//! The columns of a CSV file, and the merge patch that a row of it describes.

use std::collections::BTreeSet;
use std::str::FromStr;

use anyhow::{Result, bail};
use csv::{ByteRecord, StringRecord};
use serde_json::{Map, Value};

use super::contract::Violation;
use super::rows::read_json;
use crate::spreadsheet::unguarded;

/// The columns that a file of rejected rows begins with.
pub const REJECT_COLUMNS: [&str; 5] = ["row", "line", "field", "code", "message"];
/// The only further column of a file of rejected rows whose source is newline-delimited JSON: a line of it.
pub const JSON_COLUMN: &str = "json";

const TEXTS: [&str; 6] = ["name", "price", "currency", "sku", "description", "category"];
const LISTS: [&str; 2] = ["tags", "imageUrls"];
const ATTRIBUTES: &str = "attributes";
const ATTRIBUTE: &str = "attributes.";
/// What an export contains and the API sets by itself.
pub const OUTPUT_ONLY: [&str; 6] = ["productId", "version", "createdAt", "updatedAt", "lastEventId", "changedAt"];

/// The field that identifies the product of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Key {
    /// The product with the row's SKU, or else a new product
    #[value(name = "sku")]
    Sku,
    /// The product with the row's product ID, which must exist
    #[value(name = "productId")]
    ProductId,
    /// The product that an earlier import of the same row created, or else a new product
    #[value(name = "row")]
    Row,
}

/// `COLUMN=FIELD`: the field that a column of another name holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    pub column: String,
    pub field: String,
}

impl FromStr for Mapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A column's name may contain an equals sign, a field's name may not.
        match text.rsplit_once('=') {
            Some((column, field)) if !column.is_empty() && !field.is_empty() => {
                Ok(Self { column: column.to_owned(), field: field.to_owned() })
            }
            _ => Err("must have the form COLUMN=FIELD".to_owned()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Column {
    /// A column of a file of rejected rows, or one that the API sets.
    Ignored,
    /// The number that the row had in the file that the rejected rows come from.
    Row,
    ProductId,
    Status,
    Text(String),
    /// A list, and the character between its items.
    List(String, char),
    Attributes,
    Attribute(String),
    /// A line of newline-delimited JSON, whose members can have other names.
    Json(Vec<Mapping>),
}

/// What a row asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Asked {
    /// The fields to set, or to remove by null.
    pub patch: Map<String, Value>,
    pub product_id: Option<String>,
}

/// The columns of a file, from its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns(Vec<Column>);

impl Columns {
    /// Fails for an unknown or repeated column: ignoring it would import a product without what the column holds.
    pub fn new(header: &StringRecord, mappings: &[Mapping], key: Key, list_delimiter: u8) -> Result<Self> {
        let of_rejects = is_of_rejects(header);
        if of_rejects && header.iter().skip(REJECT_COLUMNS.len()).eq([JSON_COLUMN]) {
            let ignored = std::iter::repeat_n(Column::Ignored, REJECT_COLUMNS.len() - 1);
            let columns = std::iter::once(Column::Row).chain(ignored).chain([Column::Json(mappings.to_vec())]);
            return Ok(Self(columns.collect()));
        }
        for mapping in mappings {
            if !header.iter().any(|name| name.trim() == mapping.column) {
                bail!("--map names column {:?}, which the file doesn't have", mapping.column);
            }
        }
        let (mut columns, mut seen) = (Vec::new(), BTreeSet::new());
        for (index, name) in header.iter().enumerate() {
            if of_rejects && index < REJECT_COLUMNS.len() {
                columns.push(if index == 0 { Column::Row } else { Column::Ignored });
                continue;
            }
            let name = name.trim();
            let field = mappings.iter().find(|mapping| mapping.column == name).map_or(name, |mapping| &mapping.field);
            if !seen.insert(field.to_owned()) {
                bail!("more than one column holds {field}");
            }
            columns.push(column(field, key, char::from(list_delimiter))?);
        }
        let needed = match key {
            Key::Sku => Some("sku"),
            Key::ProductId => Some("productId"),
            Key::Row => None,
        };
        if let Some(field) = needed.filter(|field| !seen.contains(*field)) {
            bail!(
                "no column holds {field}, by which products are found. Name it with --map 'COLUMN={field}', or choose \
                 another --key"
            );
        }
        if seen.contains(ATTRIBUTES) && seen.iter().any(|field| field.starts_with(ATTRIBUTE)) {
            bail!("attributes must be either one column or columns of their own, not both");
        }
        Ok(Self(columns))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number that a row had in the file that the rejected rows come from.
    pub fn origin(&self, row: &ByteRecord) -> Option<u64> {
        let cell = self.0.first().filter(|column| **column == Column::Row).and_then(|_| row.get(0))?;
        std::str::from_utf8(cell).ok()?.trim().parse().ok()
    }

    /// What a row asks for: an empty cell removes the field. A price stays the text that the file holds. An export's guard
    /// against formulas is removed.
    pub fn read(&self, row: &StringRecord) -> Result<Asked, Vec<Violation>> {
        let (mut asked, mut attributes, mut found) = (Asked::default(), Map::new(), Vec::new());
        for (column, cell) in self.0.iter().zip(row.iter().map(unguarded)) {
            let is_empty = cell.trim().is_empty();
            let or_null = |value: Value| if is_empty { Value::Null } else { value };
            match column {
                Column::Ignored | Column::Row => {}
                Column::ProductId => asked.product_id = (!is_empty).then(|| cell.trim().to_ascii_lowercase()),
                Column::Status => found.extend(deleted(cell.trim())),
                Column::Text(field) => {
                    // The API trims these two, and a currency or a price with whitespace is never valid.
                    let is_trimmed = matches!(field.as_str(), "name" | "price" | "currency" | "sku");
                    let text = if is_trimmed { cell.trim() } else { cell };
                    asked.patch.insert(field.clone(), or_null(Value::from(text)));
                }
                Column::List(field, delimiter) => {
                    asked.patch.insert(field.clone(), or_null(list(cell, *delimiter)));
                }
                Column::Attributes => match serde_json::from_str::<Map<String, Value>>(cell) {
                    Ok(object) => drop(asked.patch.insert(ATTRIBUTES.to_owned(), Value::Object(object))),
                    Err(_) if is_empty => drop(asked.patch.insert(ATTRIBUTES.to_owned(), Value::Null)),
                    Err(_) => found.push(Violation::new(
                        ATTRIBUTES,
                        "INVALID_FORMAT",
                        "must be a JSON object such as {\"colour\": \"red\"}",
                    )),
                },
                Column::Attribute(name) => {
                    attributes.insert(name.clone(), or_null(Value::from(cell)));
                }
                Column::Json(mappings) => return read_json(cell, mappings),
            }
        }
        if !attributes.is_empty() {
            asked.patch.insert(ATTRIBUTES.to_owned(), Value::Object(attributes));
        }
        if found.is_empty() { Ok(asked) } else { Err(found) }
    }
}

/// Whether a header is the one of a file of rejected rows.
pub fn is_of_rejects(header: &StringRecord) -> bool {
    header.iter().take(REJECT_COLUMNS.len()).eq(REJECT_COLUMNS)
}

/// A row of an export can be a deleted product.
pub fn deleted(status: &str) -> Option<Violation> {
    let message = "must not be DELETED: an import doesn't delete products";
    (status == "DELETED").then(|| Violation::new("status", "NOT_ALLOWED", message))
}

fn column(field: &str, key: Key, list_delimiter: char) -> Result<Column> {
    Ok(match field.strip_prefix(ATTRIBUTE) {
        Some(attribute) if !attribute.is_empty() => Column::Attribute(attribute.to_owned()),
        _ if field == "productId" && key == Key::ProductId => Column::ProductId,
        _ if field == "status" => Column::Status,
        _ if field == ATTRIBUTES => Column::Attributes,
        _ if OUTPUT_ONLY.contains(&field) => Column::Ignored,
        _ if TEXTS.contains(&field) => Column::Text(field.to_owned()),
        _ if LISTS.contains(&field) => Column::List(field.to_owned(), list_delimiter),
        _ => bail!(
            "unknown column {field:?}; expected one of: {}, {}, {ATTRIBUTES}, {ATTRIBUTE}NAME. Remove the column, or \
             name its field with --map '{field}=FIELD'",
            TEXTS.join(", "),
            LISTS.join(", ")
        ),
    })
}

/// A JSON array of strings, or the items between the delimiters, without surrounding whitespace.
fn list(cell: &str, delimiter: char) -> Value {
    match serde_json::from_str::<Vec<String>>(cell) {
        Ok(items) => items.into(),
        Err(_) => cell.split(delimiter).map(|item| Value::from(item.trim())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn columns(header: &[&str], mappings: &[&str], key: Key) -> Result<Columns> {
        let mappings: Vec<Mapping> = mappings.iter().map(|mapping| mapping.parse().unwrap()).collect();
        Columns::new(&StringRecord::from(header.to_vec()), &mappings, key, b'|')
    }

    fn read(header: &[&str], cells: &[&str]) -> Result<Asked, Vec<Violation>> {
        columns(header, &[], Key::Row).unwrap().read(&StringRecord::from(cells.to_vec()))
    }

    #[test]
    fn empty_cell_removes_field_and_absent_column_leaves_it() {
        let header = ["name", "Preis", "tags", "description", "attributes.colour", "attributes.size"];
        let columns = columns(&header, &["Preis=price"], Key::Row).unwrap();
        let row = StringRecord::from(vec![" Lamp ", "19.90", "sale | new", "", "red", " "]);
        let expected = json!({
            "name": "Lamp", "price": "19.90", "tags": ["sale", "new"], "description": null,
            "attributes": {"colour": "red", "size": null},
        });
        assert_eq!(Value::Object(columns.read(&row).unwrap().patch), expected);
    }

    #[test]
    fn reads_cells_of_an_export() {
        let header = ["productId", "version", "status", "tags", "attributes"];
        let asked = read(&header, &["x", "3", "ACTIVE", "[\"a|b\"]", "{\"colour\": \"red\"}"]).unwrap();
        assert_eq!(Value::Object(asked.patch), json!({"tags": ["a|b"], "attributes": {"colour": "red"}}));
        let found = read(&header, &["x", "3", "DELETED", "", "red"]).unwrap_err();
        let fields: Vec<&str> = found.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["status", "attributes"]);
    }

    #[test]
    fn splits_lists_at_the_delimiter_only() {
        let header = StringRecord::from(vec!["name", "tags"]);
        let row = StringRecord::from(vec!["Lamp, red", "sale, new | old"]);
        let tags = |delimiter| {
            let columns = Columns::new(&header, &[], Key::Row, delimiter).unwrap();
            columns.read(&row).unwrap().patch["tags"].clone()
        };
        assert_eq!(tags(b'|'), json!(["sale, new", "old"]));
        assert_eq!(tags(b','), json!(["sale", "new | old"]));
    }

    #[test]
    fn takes_product_id_as_key_only() {
        let row = StringRecord::from(vec!["3F0C2F5E-8D1B-4C6A-9E57-2B8A4D1F6C03", "5"]);
        let header = ["productId", "price"];
        let id = |key| columns(&header, &[], key).unwrap().read(&row).unwrap().product_id;
        assert_eq!(id(Key::ProductId).as_deref(), Some("3f0c2f5e-8d1b-4c6a-9e57-2b8a4d1f6c03"));
        assert_eq!(id(Key::Row), None);
    }

    #[test]
    fn reads_original_row_number_and_line_of_rejected_rows() {
        let header = [&REJECT_COLUMNS[..], &[JSON_COLUMN]].concat();
        let cells = ["7", "9", "price", "X", "is wrong", "{\"price\": 5.10}"];
        let asked = read(&header, &cells).unwrap();
        assert_eq!(Value::Object(asked.patch), json!({"price": "5.10"}));
        let origin =
            |header: &[&str]| columns(header, &[], Key::Row).unwrap().origin(&ByteRecord::from(cells.to_vec()));
        assert_eq!((origin(&header), origin(&["name", "price"])), (Some(7), None));
    }

    #[test]
    fn rejects_unknown_repeated_and_missing_columns() {
        let error = |header: &[&str], mappings: &[&str], key| columns(header, mappings, key).unwrap_err().to_string();
        assert!(error(&["name", "prise"], &[], Key::Row).contains("unknown column \"prise\""));
        assert!(error(&["name", "row"], &[], Key::Row).contains("unknown column \"row\""));
        let twice = error(&["price", "Preis"], &["Preis=price"], Key::Row);
        assert!(twice.contains("more than one column holds price"));
        assert!(error(&["name"], &["Preis=price"], Key::Row).contains("--map names column \"Preis\""));
        assert!(error(&["name"], &[], Key::Sku).contains("no column holds sku"));
        assert!(error(&["name"], &[], Key::ProductId).contains("no column holds productId"));
        assert!(error(&["attributes", "attributes.size"], &[], Key::Row).contains("not both"));
        assert!("Preis".parse::<Mapping>().is_err());
    }
}
