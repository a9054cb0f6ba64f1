//! What Kinetic sends and takes, in its own spelling. Rows are kept whole as raw JSON: they are hundreds of columns
//! wide, tenants add their own (`*_c`), and every column that we do not know has to go back untouched. Amounts stay
//! the text they were written in, so no binary float ever sees them.

pub(super) use crate::vendors::answers::Unreadable;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use spend::Date;
use std::collections::BTreeMap;

/// One row of a table: column name to raw value.
pub(super) type Row = BTreeMap<String, Box<RawValue>>;

/// A page of an entity set; the name of the link is that of OData 4, then that of OData 3.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) value: Vec<Row>,
    #[serde(default, rename = "@odata.nextLink", alias = "odata.nextLink")]
    pub(super) next_link: Option<String>,
}

impl Page {
    /// Reads the answer to a query of an entity set.
    pub(super) fn read(body: &[u8]) -> Result<Self, Unreadable> {
        let mut page: Page =
            serde_json::from_slice(body).map_err(|e| Unreadable::json("a page of an entity set", e))?;
        for row in &mut page.value {
            row.retain(|column, _| !column.contains("odata."));
        }
        Ok(page)
    }
}

/// The answer of a service method: the return value and the `ref`/`out` parameters.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Envelope {
    #[serde(default, rename = "returnObj")]
    pub(super) return_obj: Option<Box<RawValue>>,
    #[serde(default)]
    pub(super) parameters: BTreeMap<String, Box<RawValue>>,
}

impl Envelope {
    /// Reads the answer of a method; an empty body is an empty envelope.
    pub(super) fn read(body: &[u8]) -> Result<Self, Unreadable> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        serde_json::from_slice(body).map_err(|e| Unreadable::json("the answer of a method", e))
    }

    /// The tableset: the parameter `ds`, or the return value of a `Get` method.
    pub(super) fn dataset(&self) -> Result<Dataset, Unreadable> {
        let raw =
            self.parameters.get("ds").or(self.return_obj.as_ref()).ok_or(Unreadable::new("a tableset"))?;
        Dataset::read(raw.get())
    }

    /// A flag among the out parameters, by any of its spellings.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        let (_, raw) = self.parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        serde_json::from_str(raw.get()).ok()
    }

    /// A text among the out parameters; empty when it is missing.
    pub(super) fn text(&self, name: &str) -> String {
        let found = self.parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, raw)| plain(raw)).unwrap_or_default()
    }
}

/// A tableset: tables by name, each an array of rows. Members that are not arrays are carried along.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct Dataset(BTreeMap<String, Box<RawValue>>);

impl Dataset {
    /// Reads a tableset.
    pub(super) fn read(text: &str) -> Result<Self, Unreadable> {
        serde_json::from_str(text).map_err(|e| Unreadable::json("a tableset", e))
    }

    /// The rows of a table; none when the table is missing or null.
    pub(super) fn rows(&self, table: &str) -> Result<Vec<Row>, Unreadable> {
        let Some(raw) = self.0.get(table).filter(|raw| raw.get() != "null") else { return Ok(Vec::new()) };
        serde_json::from_str(raw.get()).map_err(|e| Unreadable::json("a table of rows", e))
    }

    /// Replaces the rows of a table.
    pub(super) fn put(&mut self, table: &str, rows: &[Row]) {
        self.0.insert(table.to_owned(), raw(&rows));
    }

    /// Changes the last row that `pick` takes; `false` = there is none. Never by position: the edited row may stand
    /// anywhere among before-images.
    pub(super) fn edit(
        &mut self,
        table: &str,
        pick: impl Fn(&Row) -> bool,
        change: impl FnOnce(&mut Row),
    ) -> Result<bool, Unreadable> {
        let mut rows = self.rows(table)?;
        let Some(row) = rows.iter_mut().rev().find(|row| pick(row)) else { return Ok(false) };
        change(row);
        self.put(table, &rows);
        Ok(true)
    }

    /// After a save every row is unchanged again.
    pub(super) fn settle(&mut self, tables: &[&str]) -> Result<(), Unreadable> {
        for table in tables {
            let mut rows = self.rows(table)?;
            if rows.iter().any(|row| row.get("RowMod").is_none_or(|mark| mark.get() != "\"\"")) {
                rows.iter_mut().for_each(|row| mark(row, ""));
                self.put(table, &rows);
            }
        }
        Ok(())
    }

    /// A tableset of one table.
    pub(super) fn of(table: &str, rows: &[Row]) -> Self {
        let mut dataset = Self::default();
        dataset.put(table, rows);
        dataset
    }
}

/// The token answer; PascalCase from the token resource, snake_case from an identity provider.
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    #[serde(alias = "access_token")]
    #[serde(rename = "AccessToken")]
    pub(super) access_token: String,
    #[serde(default, rename = "ExpiresIn", alias = "expires_in")]
    pub(super) expires_in: Option<u32>,
}

/// A value as raw JSON.
pub(super) fn raw<T: Serialize>(value: &T) -> Box<RawValue> {
    // Text, numbers and rows always have a JSON form.
    serde_json::value::to_raw_value(value).unwrap_or_default()
}

/// A decimal text as a JSON number, digit for digit.
pub(super) fn number(decimal: &str) -> Box<RawValue> {
    RawValue::from_string(decimal.to_owned()).unwrap_or_else(|_| raw(&decimal))
}

/// The text of a JSON value: the content of a string, the digits of a number, nothing for null.
fn plain(value: &RawValue) -> String {
    let json = value.get().trim();
    if json == "null" {
        return String::new();
    }
    serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned())
}

/// The text in a column; empty when it is missing or null.
pub(super) fn text(row: &Row, column: &str) -> String {
    row.get(column).map(|value| plain(value)).unwrap_or_default()
}

/// The whole number in a column.
pub(super) fn int(row: &Row, column: &str) -> Option<i64> {
    text(row, column).parse().ok()
}

/// The flag in a column; false when it is missing.
pub(super) fn flag(row: &Row, column: &str) -> bool {
    text(row, column).eq_ignore_ascii_case("true")
}

/// The calendar date in a column: the first ten characters, whatever offset or time follows.
pub(super) fn date(row: &Row, column: &str) -> Option<Date> {
    let text = text(row, column);
    text.get(..10)?.parse().ok()
}

/// Sets a column to a text.
pub(super) fn set(row: &mut Row, column: &str, value: &str) {
    row.insert(column.to_owned(), raw(&value));
}

/// Sets a column to a decimal number.
pub(super) fn set_number(row: &mut Row, column: &str, decimal: &str) {
    row.insert(column.to_owned(), number(decimal));
}

/// What is to happen with a row: `A` add, `U` update, `D` delete, empty = unchanged.
pub(super) fn mark(row: &mut Row, row_mod: &str) {
    set(row, "RowMod", row_mod);
}

/// Whether a row is the new one of its tableset.
pub(super) fn is_added(row: &Row) -> bool {
    text(row, "RowMod") == "A"
}
