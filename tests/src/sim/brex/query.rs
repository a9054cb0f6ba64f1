//! Queries and pages. Cursors say limit and offset in base64, so pages shift when a list changes between them.

use super::BrexSim;
use super::knobs::{CursorForm, PageEnd};
use super::refusal::{Outcome, Refusal};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Items where a call names no `limit`.
const DEFAULT_LIMIT: usize = 100;
/// What a constant cursor says.
const CONSTANT: &str = "Y29uc3RhbnQ=";

/// The parameters of a call.
#[derive(Clone, Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        Self(url::form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    pub(super) fn one(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).filter(|v| !v.is_empty())
    }

    /// Each value of a repeated parameter.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    /// Whether a repeated parameter is absent or names this value.
    pub(super) fn allows(&self, name: &str, value: Option<&str>) -> bool {
        let wanted = self.all(name);
        wanted.is_empty() || value.is_some_and(|value| wanted.contains(&value))
    }

    pub(super) fn flag(&self, name: &str) -> Outcome<bool> {
        match self.one(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Refusal::malformed()),
        }
    }

    /// A moment in UTC: with or without zone, or a date.
    pub(super) fn moment(&self, name: &str) -> Outcome<Option<DateTime<Utc>>> {
        self.one(name).map(|text| moment(text).ok_or_else(Refusal::malformed)).transpose()
    }

    /// Names that the call uses and the route does not have.
    pub(super) fn unknown<'q>(&'q self, known: &[&str]) -> BTreeSet<&'q str> {
        self.0.iter().map(|(key, _)| key.as_str()).filter(|key| !known.contains(key)).collect()
    }
}

fn moment(text: &str) -> Option<DateTime<Utc>> {
    let zoned = DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.with_timezone(&Utc));
    zoned
        .or_else(|| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok().map(|m| m.and_utc()))
        .or_else(|| {
            NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|d| d.and_time(NaiveTime::MIN).and_utc())
        })
}

/// One page and how it goes on.
pub(super) struct Page {
    pub(super) items: Vec<Value>,
    pub(super) next: Option<String>,
    pub(super) total: usize,
}

impl BrexSim {
    /// The page of `all` that a call asks for; `render` is called for its items only.
    pub(super) fn page<T>(
        &self,
        query: &Query,
        largest: usize,
        all: &[T],
        render: impl Fn(&T) -> Value,
    ) -> Outcome<Page> {
        let limit = match query.one("limit").map(str::parse::<usize>) {
            None => DEFAULT_LIMIT.min(largest),
            Some(Ok(limit)) if (1..=largest).contains(&limit) => limit,
            Some(_) => return Err(Refusal::bad(format!("limit must be between 1 and {largest}"))),
        };
        let offset = self.offset(query)?;
        let items = all.iter().skip(offset).take(limit).map(render).collect();
        let end = offset.saturating_add(limit);
        let more = end < all.len();
        let next = match self.knobs.cursors {
            CursorForm::Constant => Some(CONSTANT.to_owned()),
            CursorForm::Offset if !more => None,
            CursorForm::Offset | CursorForm::Endless => {
                let overlap = if more { self.knobs.page_overlap.min(limit - 1) } else { 0 };
                Some(cursor(limit, end - overlap))
            }
        };
        Ok(Page { items, next, total: all.len() })
    }

    fn offset(&self, query: &Query) -> Outcome<usize> {
        let Some(text) = query.one("cursor") else { return Ok(0) };
        if self.knobs.cursors == CursorForm::Constant {
            return Ok(0);
        }
        let unreadable = || Refusal::bad("cursor is invalid");
        let bytes = STANDARD.decode(text).map_err(|_| unreadable())?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|_| unreadable())?;
        let offset = value.get("offset").and_then(Value::as_u64).ok_or_else(unreadable)?;
        usize::try_from(offset).map_err(|_| unreadable())
    }

    /// `{"next_cursor":..,"items":[..]}`.
    pub(super) fn page_body(&self, page: Page) -> Value {
        let mut body = json!({"items": page.items});
        match (page.next, self.knobs.page_end) {
            (Some(next), _) => body["next_cursor"] = next.into(),
            (None, PageEnd::Null) => body["next_cursor"] = Value::Null,
            (None, PageEnd::Empty) => body["next_cursor"] = "".into(),
            (None, PageEnd::Absent) => {}
        }
        body
    }

    /// A whole list answer outside `/v3`.
    pub(super) fn listed<T>(&self, query: &Query, all: &[T], render: impl Fn(&T) -> Value) -> Outcome<Value> {
        Ok(self.page_body(self.page(query, 1_000, all, render)?))
    }
}

fn cursor(limit: usize, offset: usize) -> String {
    STANDARD.encode(json!({"limit": limit, "offset": offset}).to_string())
}
