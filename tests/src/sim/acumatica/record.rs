//! Records as they are stored: plain values by field, linked records, detail rows; and the sets that keep them with
//! their indexes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::contract::Entity;
use super::json::{Json, Row, amount_of, flag_of, text_of};
use crate::sim::amount::Amount;

/// A record. A field that is absent is empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) note: String,
    pub(super) fields: Row,
    pub(super) linked: BTreeMap<&'static str, Record>,
    pub(super) details: BTreeMap<&'static str, Vec<Record>>,
    /// As sent: view, field, `{type, value}`.
    pub(super) custom: Row,
    /// Names of attached files.
    pub(super) files: Vec<String>,
    /// Fields that the last PUT sent.
    pub(super) sent: BTreeSet<&'static str>,
    /// Grows with every change.
    pub(super) revision: i64,
}

impl Record {
    pub(super) fn text(&self, name: &str) -> &str {
        text_of(&self.fields, name)
    }

    pub(super) fn amount(&self, name: &str) -> Amount {
        amount_of(&self.fields, name)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        flag_of(&self.fields, name)
    }

    /// Sets a field; null and empty text clear it.
    pub(super) fn set(&mut self, name: &'static str, value: impl Into<Json>) {
        match value.into() {
            Json::Null => {
                self.fields.remove(name);
            }
            Json::Str(text) if text.is_empty() => {
                self.fields.remove(name);
            }
            value => {
                self.fields.insert(name.into(), value);
            }
        }
    }

    pub(super) fn lines(&self) -> &[Record] {
        self.rows("Details")
    }

    pub(super) fn rows(&self, name: &str) -> &[Record] {
        self.details.get(name).map_or(&[], Vec::as_slice)
    }

    /// Sum of a field over the rows.
    pub(super) fn sum(&self, name: &str) -> Amount {
        self.lines().iter().map(|line| line.amount(name)).sum()
    }
}

/// Key values without the padding and the case that the vendor does not mind.
pub(super) fn folded(text: &str) -> String {
    text.trim_end().to_uppercase()
}

/// The records of one entity.
#[derive(Debug)]
pub(super) struct Set {
    entity: &'static Entity,
    records: Vec<Record>,
    by_id: HashMap<String, usize>,
    by_key: HashMap<Vec<String>, usize>,
    by_index: HashMap<String, BTreeSet<usize>>,
}

impl Set {
    pub(super) fn new(entity: &'static Entity) -> Self {
        Self {
            entity,
            records: Vec::new(),
            by_id: HashMap::new(),
            by_key: HashMap::new(),
            by_index: HashMap::new(),
        }
    }

    pub(super) fn records(&self) -> &[Record] {
        &self.records
    }

    pub(super) fn get(&self, at: usize) -> Option<&Record> {
        self.records.get(at)
    }

    pub(super) fn by_id(&self, id: &str) -> Option<usize> {
        self.by_id.get(&id.to_lowercase()).copied()
    }

    /// The record that holds a detail row.
    pub(super) fn with_detail(&self, id: &str) -> Option<usize> {
        let holds = |record: &Record| record.details.values().flatten().any(|line| line.id == id);
        self.records.iter().position(holds)
    }

    pub(super) fn by_keys<'k>(&self, keys: impl IntoIterator<Item = &'k str>) -> Option<usize> {
        self.by_key.get(&keys.into_iter().map(folded).collect::<Vec<_>>()).copied()
    }

    /// The record with a single key.
    pub(super) fn named(&self, key: &str) -> Option<&Record> {
        self.by_keys([key]).and_then(|at| self.get(at))
    }

    /// Where the indexed field has that text, whatever its case.
    pub(super) fn indexed(&self, text: &str) -> Vec<usize> {
        self.by_index.get(&folded(text)).map(|found| found.iter().copied().collect()).unwrap_or_default()
    }

    pub(super) fn push(&mut self, record: Record) {
        self.records.push(record);
        self.enter(self.records.len() - 1);
    }

    pub(super) fn replace(&mut self, at: usize, record: Record) {
        let Some(old) = self.records.get(at) else { return };
        if let Some(found) = self.by_index.get_mut(&folded(old.text(self.entity.indexed))) {
            found.remove(&at);
        }
        let old = self.keys_of(old);
        self.by_key.remove(&old);
        self.records[at] = record;
        self.enter(at);
    }

    pub(super) fn remove(&mut self, at: usize) -> Option<Record> {
        if at >= self.records.len() {
            return None;
        }
        let removed = self.records.remove(at);
        self.by_id.clear();
        self.by_key.clear();
        self.by_index.clear();
        (0..self.records.len()).for_each(|at| self.enter(at));
        Some(removed)
    }

    fn keys_of(&self, record: &Record) -> Vec<String> {
        self.entity.keys.iter().map(|key| folded(record.text(key))).collect()
    }

    fn enter(&mut self, at: usize) {
        let record = &self.records[at];
        self.by_id.insert(record.id.clone(), at);
        self.by_key.insert(self.keys_of(record), at);
        if !self.entity.indexed.is_empty() {
            self.by_index.entry(folded(record.text(self.entity.indexed))).or_default().insert(at);
        }
    }
}
