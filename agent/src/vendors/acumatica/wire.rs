//! What Acumatica sends and takes, in its own spelling: business fields are objects with a `value`, an empty field is
//! `{}`, and `id`, `rowNumber`, `error`, `delete`, `custom` and `_links` are never wrapped. Amounts stay the text they
//! were written in, so no binary float ever sees them.

pub(super) use crate::vendors::answers::Unreadable;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use spend::money::{Currency, Money};
use spend::{Date, Timestamp};
use std::collections::BTreeMap;

/// One record as it was answered, or one of its detail rows.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Record(BTreeMap<String, Box<RawValue>>);

#[derive(Deserialize)]
struct Wrapped {
    #[serde(default)]
    value: Option<Box<RawValue>>,
}

impl Record {
    /// Reads one record.
    pub(super) fn read(body: &[u8]) -> Result<Self, Unreadable> {
        serde_json::from_slice(body).map_err(|e| Unreadable::json("a record", e))
    }

    /// Reads a list of records.
    pub(super) fn read_list(body: &[u8]) -> Result<Vec<Self>, Unreadable> {
        serde_json::from_slice(body).map_err(|e| Unreadable::json("a list of records", e))
    }

    /// The record's own identifier, which is not wrapped.
    pub(super) fn id(&self) -> String {
        self.0.get("id").map(|raw| plain(raw.get())).unwrap_or_default()
    }

    fn value(&self, field: &str) -> Option<Box<RawValue>> {
        let wrapped: Wrapped = serde_json::from_str(self.0.get(field)?.get()).ok()?;
        wrapped.value.filter(|raw| raw.get() != "null")
    }

    /// A field as text, without the blanks that keys are padded with; empty when it has no value.
    pub(super) fn text(&self, field: &str) -> String {
        self.value(field).map(|raw| plain(raw.get()).trim().to_owned()).unwrap_or_default()
    }

    /// The same; `None` when it has no value.
    pub(super) fn filled(&self, field: &str) -> Option<String> {
        Some(self.text(field)).filter(|text| !text.is_empty())
    }

    /// A flag; `None` when it has no value.
    pub(super) fn flag(&self, field: &str) -> Option<bool> {
        match self.text(field).to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// An amount; `None` when it has no value or cannot be read.
    pub(super) fn amount(&self, field: &str, currency: Currency) -> Option<Money> {
        Money::parse(&self.text(field), currency).ok()
    }

    /// The date part of a field: documents bear the site's offset, so only the day counts.
    pub(super) fn date(&self, field: &str) -> Option<Date> {
        self.text(field).get(..10)?.parse().ok()
    }

    /// A moment with its offset.
    pub(super) fn moment(&self, field: &str) -> Option<Timestamp> {
        let text = self.text(field);
        chrono::DateTime::parse_from_rfc3339(&text).ok().map(|moment| moment.to_utc())
    }

    /// Detail rows; none when they were not asked for.
    pub(super) fn rows(&self, field: &str) -> Result<Vec<Self>, Unreadable> {
        let Some(raw) = self.0.get(field).filter(|raw| raw.get() != "null") else { return Ok(Vec::new()) };
        serde_json::from_str(raw.get()).map_err(|e| Unreadable::json("a list of detail rows", e))
    }

    /// A linked entity, which is a record of its own.
    pub(super) fn linked(&self, field: &str) -> Self {
        self.0.get(field).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }

    /// The content of business fields as one text, for a compare by hash. What a change of nothing else changes too
    /// (moment of the change, row number, links) is left out.
    pub(super) fn content(&self) -> String {
        const LEFT_OUT: [&str; 6] =
            ["id", "rowNumber", "_links", "files", "LastModifiedDateTime", "CreatedDateTime"];
        let kept: Vec<String> = self
            .0
            .iter()
            .filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()))
            .map(|(name, raw)| format!("{name}={}", raw.get()))
            .collect();
        kept.join("\n")
    }
}

/// A JSON scalar as text: strings unquoted, numbers and flags as they are written.
fn plain(raw: &str) -> String {
    serde_json::from_str::<String>(raw).unwrap_or_else(|_| raw.to_owned())
}

/// A record to be sent.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct Fields(BTreeMap<String, Box<RawValue>>);

#[derive(Serialize)]
struct Value<T> {
    value: T,
}

impl Fields {
    /// A record that is already there, addressed by its identifier.
    pub(super) fn of(id: &str) -> Self {
        let mut fields = Self::default();
        fields.0.insert("id".to_owned(), raw(&id));
        fields
    }

    /// Sets a text.
    pub(super) fn text(&mut self, field: &str, value: &str) -> &mut Self {
        self.set(field, &Value { value })
    }

    /// Sets a flag.
    pub(super) fn flag(&mut self, field: &str, value: bool) -> &mut Self {
        self.set(field, &Value { value })
    }

    /// Sets a number from its decimal text.
    pub(super) fn number(&mut self, field: &str, decimal: &str) -> &mut Self {
        // Decimal texts of amounts are JSON numbers by their making.
        let value = RawValue::from_string(decimal.to_owned()).unwrap_or_default();
        self.set(field, &Value { value })
    }

    /// Sets a day.
    pub(super) fn day(&mut self, field: &str, date: Date) -> &mut Self {
        self.text(field, &date.format("%Y-%m-%dT00:00:00").to_string())
    }

    /// Sets detail rows. Rows without an identifier are added to those that are there.
    pub(super) fn rows(&mut self, field: &str, rows: &[Fields]) -> &mut Self {
        self.set(field, &rows)
    }

    /// Sets a member as it is.
    pub(super) fn set<T: Serialize>(&mut self, field: &str, value: &T) -> &mut Self {
        self.0.insert(field.to_owned(), raw(value));
        self
    }

    /// The body of a request.
    pub(super) fn body(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned())
    }
}

fn raw<T: Serialize + ?Sized>(value: &T) -> Box<RawValue> {
    // Texts, flags, numbers and records always have a JSON form.
    serde_json::value::to_raw_value(value).unwrap_or_default()
}

/// The answer of the token endpoint.
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    pub(super) access_token: String,
    #[serde(default)]
    pub(super) expires_in: Option<u32>,
    #[serde(default)]
    pub(super) refresh_token: Option<String>,
}
