//! Errors of a refused record, each where it belongs: at the record, at a field, in a linked record, in a detail row.

use std::collections::BTreeMap;

use super::contract::Shape;
use super::json::{Json, Row, put, row};
use super::literal::Style;
use super::record::Record;

/// The errors.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    pub(super) entity: Option<String>,
    pub(super) fields: BTreeMap<&'static str, String>,
    pub(super) linked: BTreeMap<&'static str, Trouble>,
    pub(super) details: BTreeMap<&'static str, BTreeMap<usize, Trouble>>,
}

impl Trouble {
    pub(super) fn is_empty(&self) -> bool {
        self.entity.is_none()
            && self.fields.is_empty()
            && self.linked.values().all(Self::is_empty)
            && self.details.values().flat_map(BTreeMap::values).all(Self::is_empty)
    }

    /// An error at a field; the first one stays.
    pub(super) fn field(&mut self, name: &'static str, text: impl Into<String>) {
        self.fields.entry(name).or_insert_with(|| text.into());
    }

    /// The errors of a detail row.
    pub(super) fn row(&mut self, name: &'static str, index: usize) -> &mut Self {
        self.details.entry(name).or_default().entry(index).or_default()
    }

    /// All errors, each with its path.
    pub(super) fn sentences(&self, path: &str) -> Vec<String> {
        let mut found: Vec<String> = self.entity.iter().map(|text| format!("{path}: {text}")).collect();
        found.extend(self.fields.iter().map(|(name, text)| format!("{path}/{name}: {text}")));
        for (name, linked) in &self.linked {
            found.extend(linked.sentences(&format!("{path}/{name}")));
        }
        for (name, rows) in &self.details {
            for (index, trouble) in rows {
                found.extend(trouble.sentences(&format!("{path}/{name}[{index}]")));
            }
        }
        found
    }

    /// The record echoed with its errors: what was sent, and what is wrong.
    pub(super) fn echo(&self, draft: &Record, shape: &Shape, style: Style, number: usize) -> Row {
        let mut tree = row([
            ("id", draft.id.as_str().into()),
            ("rowNumber", i64::try_from(number).unwrap_or_default().into()),
            ("note", row([("value", draft.note.as_str().into())]).into()),
            ("custom", Row::new().into()),
        ]);
        if let Some(text) = &self.entity {
            put(&mut tree, "error", text.as_str());
        }
        for (name, kind) in shape.fields {
            let error = self.fields.get(name);
            if error.is_none() && !draft.sent.contains(name) {
                continue;
            }
            let mut wrapped = style.wrapped(*kind, draft.fields.get(*name));
            if let Some(text) = error {
                put(&mut wrapped, "error", text.as_str());
            }
            put(&mut tree, name, wrapped);
        }
        let none = Self::default();
        for (name, inner) in shape.linked {
            if let (Some(linked), Some(trouble)) = (draft.linked.get(name), self.linked.get(name)) {
                put(&mut tree, name, trouble.echo(linked, inner, style, 1));
            }
        }
        for (name, inner) in shape.details {
            let rows = draft.rows(name);
            if rows.is_empty() {
                continue;
            }
            let known = self.details.get(name);
            let echoed = rows.iter().enumerate().map(|(index, line)| {
                let trouble = known.and_then(|rows| rows.get(&index)).unwrap_or(&none);
                Json::Obj(trouble.echo(line, inner, style, index + 1))
            });
            put(&mut tree, name, echoed.collect::<Vec<_>>());
        }
        tree
    }
}
