//! What Acumatica sends and takes, in its own spelling: business fields are objects with a `value`, an empty field is
//! `{}`, and `id`, `rowNumber`, `error`, `delete`, `custom` and `_links` are never wrapped. Amounts stay the text they
//! were written in, so no binary float ever sees them.

pub(super) use crate::vendors::answers::Unreadable;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use spend::money::{Currency, Money};
use spend::{Date, Timestamp};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Reads members of what was answered.
pub(super) trait Members {
    /// A member in its JSON form, as it is written; `None` when it is not there.
    fn member(&self, name: &str) -> Option<&str>;

    /// A field as text, without the blanks that keys are padded with; empty when it has no value.
    fn text(&self, field: &str) -> String {
        let wrapped = self.member(field).and_then(|raw| serde_json::from_str::<Wrapped<'_>>(raw).ok());
        let value = wrapped.and_then(|wrapped| wrapped.value).filter(|raw| raw.get() != "null");
        value.map(|raw| trimmed(plain(raw.get()))).unwrap_or_default()
    }

    /// The same; `None` when it has no value.
    fn filled(&self, field: &str) -> Option<String> {
        Some(self.text(field)).filter(|text| !text.is_empty())
    }

    /// A flag; `None` when it has no value.
    fn flag(&self, field: &str) -> Option<bool> {
        match self.text(field).to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// An amount; `None` when it has no value or cannot be read.
    fn amount(&self, field: &str, currency: Currency) -> Option<Money> {
        Money::parse(&self.text(field), currency).ok()
    }

    /// The date part of a field: documents bear the site's offset, so only the day counts.
    fn date(&self, field: &str) -> Option<Date> {
        self.text(field).get(..10)?.parse().ok()
    }

    /// A moment with its offset.
    fn moment(&self, field: &str) -> Option<Timestamp> {
        let text = self.text(field);
        chrono::DateTime::parse_from_rfc3339(&text).ok().map(|moment| moment.to_utc())
    }
}

#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
}

/// One record as it was answered: its text, and where in it the members stand. It has dozens of them, so none is copied.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    text: Box<str>,
    members: Vec<(Box<str>, Range<usize>)>,
}

impl Members for Record {
    fn member(&self, name: &str) -> Option<&str> {
        let (_, place) = self.members.iter().rev().find(|(own, _)| **own == *name)?;
        self.text.get(place.clone())
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        let Row(members) = serde_json::from_str(text).map_err(D::Error::custom)?;
        // A member is a part of the text, so the distance of their beginnings is its place there.
        let place = |raw: &RawValue| {
            let begins = raw.get().as_ptr().addr() - text.as_ptr().addr();
            begins..begins + raw.get().len()
        };
        let members = members.iter().map(|(name, raw)| (Box::from(&**name), place(raw))).collect();
        Ok(Self { text: text.into(), members })
    }
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
        self.member("id").map(plain).unwrap_or_default()
    }

    /// Detail rows; none when they were not asked for.
    pub(super) fn rows(&self, field: &str) -> Result<Vec<Row<'_>>, Unreadable> {
        let Some(raw) = self.member(field).filter(|raw| *raw != "null") else { return Ok(Vec::new()) };
        serde_json::from_str(raw).map_err(|e| Unreadable::json("a list of detail rows", e))
    }

    /// A linked entity, which is a record of its own.
    pub(super) fn linked(&self, field: &str) -> Self {
        self.member(field).and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default()
    }

    /// The content of business fields as one text, for a compare by hash. What a change of nothing else changes too
    /// (moment of the change, row number, links) is left out.
    pub(super) fn content(&self) -> String {
        const LEFT_OUT: [&str; 6] =
            ["id", "rowNumber", "_links", "files", "LastModifiedDateTime", "CreatedDateTime"];
        let names: BTreeSet<&str> = self.members.iter().map(|(name, _)| &**name).collect();
        let kept = names.into_iter().filter(|name| !LEFT_OUT.contains(name));
        let lines: Vec<String> =
            kept.filter_map(|name| Some(format!("{name}={}", self.member(name)?))).collect();
        lines.join("\n")
    }
}

/// A detail row of a record. It has dozens of members of which a handful is wanted, so none is copied.
#[derive(Debug)]
pub(super) struct Row<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl Members for Row<'_> {
    fn member(&self, name: &str) -> Option<&str> {
        // As in a map, the last one of a name counts.
        self.0.iter().rev().find(|(own, _)| own == name).map(|(_, raw)| raw.get())
    }
}

impl<'de> Deserialize<'de> for Row<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Row<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a detail row")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row<'de>, A::Error> {
                let mut members = Vec::with_capacity(map.size_hint().unwrap_or(24));
                while let Some((Name(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Row(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// The name of a member, borrowed unless it is written with escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// A JSON scalar as text: strings unquoted, numbers and flags as they are written.
fn plain(raw: &str) -> String {
    match raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(text) if !text.contains('\\') => text.to_owned(),
        Some(_) => serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned()),
        None => raw.to_owned(),
    }
}

/// Without blanks around it.
fn trimmed(text: String) -> String {
    let bare = text.trim();
    if bare.len() == text.len() { text } else { bare.to_owned() }
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
