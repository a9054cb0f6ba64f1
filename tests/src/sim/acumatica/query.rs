//! The query options, and how a record is shown with them.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;

use super::contract::{Entity, Shape};
use super::filter::{Filter, Reading};
use super::json::{Json, Row, put, row};
use super::literal::Style;
use super::record::Record;
use super::refusal::{Outcome, Refusal};

/// The options of one call.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) select: Option<BTreeSet<String>>,
    pub(super) expand: BTreeSet<String>,
    pub(super) custom: Vec<(String, String)>,
    pub(super) filter: Option<Filter>,
    pub(super) top: Option<usize>,
    pub(super) skip: usize,
    /// Options that are not documented.
    pub(super) strange: Vec<String>,
}

/// Name and value pairs of a query or a form, decoded. A plus is a blank.
pub(super) fn pairs(query: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}

impl Query {
    pub(super) fn parse(text: &str, reading: &Reading) -> Outcome<Self> {
        let mut query = Self::default();
        let list = |value: &str| value.split(',').map(|part| part.trim().to_owned()).collect::<BTreeSet<_>>();
        for (name, value) in pairs(text) {
            match name.as_str() {
                "$select" => query.select = Some(list(&value)),
                "$expand" => query.expand = list(&value),
                "$custom" => {
                    query.custom = list(&value)
                        .iter()
                        .filter_map(|part| part.split_once('.'))
                        .map(|(view, field)| (view.to_owned(), field.to_owned()))
                        .collect();
                }
                "$filter" => query.filter = Some(Filter::parse(&value, reading)?),
                "$top" => query.top = Some(number(&name, &value)?),
                "$skip" => query.skip = number(&name, &value)?,
                other => query.strange.push(other.to_owned()),
            }
        }
        if let Some(unknown) = query.select.iter().flatten().find(|path| !is_path(reading.entity.shape, path))
        {
            query.strange.push(format!("$select={unknown}"));
        }
        if let Some(unknown) = query.expand.iter().find(|path| !is_expandable(reading.entity.shape, path)) {
            query.strange.push(format!("$expand={unknown}"));
        }
        Ok(query)
    }

    /// Whether a linked entity or a detail is asked for.
    fn expands(&self, path: &str) -> bool {
        let below = format!("{path}/");
        self.expand.iter().any(|wanted| wanted == path || wanted.starts_with(&below))
    }

    /// Whether a field is asked for, when fields are chosen at this level.
    fn selects(&self, prefix: &str, name: &str) -> Option<bool> {
        let select = self.select.as_ref()?;
        let chosen = prefix.is_empty() || select.iter().any(|path| path.starts_with(prefix));
        chosen.then(|| select.contains(&format!("{prefix}{name}")))
    }

    /// The fields of the record itself that a list would export.
    pub(super) fn exports(&self, shape: &Shape) -> Vec<&'static str> {
        let wanted = |name: &str| self.selects("", name).unwrap_or(true);
        shape.fields.iter().map(|(name, _)| *name).filter(|name| wanted(name)).collect()
    }
}

fn number(name: &str, value: &str) -> Outcome<usize> {
    value.parse().map_err(|_| Refusal::malformed(name, format!("{value} is no number.")))
}

fn is_path(shape: &Shape, path: &str) -> bool {
    match path.split_once('/') {
        None => shape.field(path).is_some() || matches!(path, "id" | "note"),
        Some((head, rest)) => {
            shape.linked(head).or_else(|| shape.detail(head)).is_some_and(|(_, inner)| is_path(inner, rest))
        }
    }
}

fn is_expandable(shape: &Shape, path: &str) -> bool {
    let (head, rest) = path.split_once('/').unwrap_or((path, ""));
    match shape.linked(head).or_else(|| shape.detail(head)) {
        None => head == "files",
        Some((_, inner)) => rest.is_empty() || is_expandable(inner, rest),
    }
}

/// How records are shown.
pub(super) struct Show<'a> {
    pub(super) entity: &'static Entity,
    pub(super) query: &'a Query,
    pub(super) style: Style,
    /// Path of the endpoint, for links.
    pub(super) base: &'a str,
    /// Only the fields that were sent (the answer to a PUT without `$select`).
    pub(super) only_sent: bool,
}

impl Show<'_> {
    pub(super) fn record(&self, record: &Record, number: usize) -> Row {
        let mut shown = self.level(record, self.entity.shape, "", number);
        let own = format!("{}{}/{}", self.base, self.entity.name, record.id);
        let files =
            format!("{}{}/{}/{}/{{filename}}", self.base, self.entity.name, self.entity.view, record.id);
        put(&mut shown, "_links", row([("self", own.clone().into()), ("files:put", files.into())]));
        if self.query.expands("files") {
            let files = record.files.iter().map(|name| {
                Json::Obj(row([
                    ("id", record.id.as_str().into()),
                    ("filename", name.as_str().into()),
                    ("href", format!("{own}/files/{name}").into()),
                ]))
            });
            put(&mut shown, "files", files.collect::<Vec<_>>());
        }
        shown
    }

    fn level(&self, record: &Record, shape: &Shape, prefix: &str, number: usize) -> Row {
        let mut shown = row([
            ("id", record.id.as_str().into()),
            ("rowNumber", i64::try_from(number).unwrap_or_default().into()),
            ("note", row([("value", record.note.as_str().into())]).into()),
            ("custom", self.custom(record).into()),
        ]);
        for (name, kind) in shape.fields {
            let sent = !self.only_sent || record.sent.contains(name);
            if self.query.selects(prefix, name).unwrap_or(sent) {
                put(&mut shown, name, self.style.wrapped(*kind, record.fields.get(*name)));
            }
        }
        for (name, inner) in shape.linked {
            let path = format!("{prefix}{name}");
            if self.query.expands(&path) {
                let empty = Record::default();
                let linked = record.linked.get(name).unwrap_or(&empty);
                put(&mut shown, name, self.level(linked, inner, &format!("{path}/"), 1));
            }
        }
        for (name, inner) in shape.details {
            let path = format!("{prefix}{name}");
            if self.query.expands(&path) {
                let rows = record.rows(name).iter().enumerate().map(|(index, line)| {
                    let mut row_shown = self.level(line, inner, &format!("{path}/"), index + 1);
                    let files = format!("{}{}/{name}/{}/{{filename}}", self.base, self.entity.name, line.id);
                    put(&mut row_shown, "_links", row([("files:put", files.into())]));
                    Json::Obj(row_shown)
                });
                put(&mut shown, name, rows.collect::<Vec<_>>());
            }
        }
        shown
    }

    /// Custom fields that are asked for.
    fn custom(&self, record: &Record) -> Row {
        let mut shown = Row::new();
        for (view, field) in &self.query.custom {
            let stored = record.custom.get(view.as_str()).and_then(Json::as_row);
            let empty = row([("type", "CustomStringField".into())]);
            let value = stored.and_then(|fields| fields.get(field.as_str())).cloned().unwrap_or(empty.into());
            if let Json::Obj(fields) = shown.entry(view.clone().into()).or_insert_with(|| Row::new().into()) {
                fields.insert(field.clone().into(), value);
            }
        }
        shown
    }
}
