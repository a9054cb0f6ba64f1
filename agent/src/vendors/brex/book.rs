//! What the options of custom fields are to the ERP. Expenses name a field and an option by Brex's own ids only (D); the
//! Fields API knows the remote ids of both, so one set of settings serves both surfaces.

use super::Brex;
use super::calls;
use super::coding::option_of;
use super::outcome::Refusal;
use super::page::Walk;
use super::wire::{Expense, Field, FieldValue};
use chrono::TimeDelta;
use spend::Timestamp;
use spend::posting::Failure;
use std::collections::{BTreeMap, BTreeSet};

/// An option that Brex did not list is looked for again after this time: somebody may just have made it.
const ASK_AGAIN: TimeDelta = TimeDelta::hours(1);

/// One field as the settings name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BookField {
    /// Its remote id.
    pub(super) remote_id: Option<String>,
    /// Remote ids of its values, by Brex's id.
    pub(super) values: BTreeMap<String, Option<String>>,
}

/// The fields that matter, by Brex's id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Book {
    pub(super) fields: BTreeMap<String, BookField>,
    /// Field ids that were asked for, whether or not they are in the book.
    asked: BTreeSet<String>,
    /// Options of fields in the book that Brex did not list when it was asked.
    unlisted: BTreeMap<Choice, Timestamp>,
}

/// A field and the option that an expense has of it, by Brex's ids.
type Choice = (String, Option<String>);

impl Book {
    /// Whether asking would tell nothing new about a choice.
    fn knows(&self, choice: &Choice, now: Timestamp) -> bool {
        let (field, option) = choice;
        let lists =
            |field: &BookField| option.as_ref().is_none_or(|option| field.values.contains_key(option));
        let asked_lately = || self.unlisted.get(choice).is_some_and(|at| now - *at < ASK_AGAIN);
        self.asked.contains(field) && (self.fields.get(field).is_none_or(lists) || asked_lately())
    }

    /// Remembers what was asked for, so that an option which Brex does not list costs no reading each time.
    fn note(&mut self, choices: BTreeSet<Choice>, now: Timestamp) {
        for choice in choices {
            let lacks =
                |field: &BookField| choice.1.as_ref().is_some_and(|id| !field.values.contains_key(id));
            self.asked.insert(choice.0.clone());
            if self.fields.get(&choice.0).is_some_and(lacks) {
                self.unlisted.insert(choice, now);
            }
        }
    }
}

impl Brex {
    /// Looks fields and options up that expenses name for the first time. Without the right to read fields the settings
    /// must name Brex's own ids, and codes come from `value_codes` alone; any other failure fails the reading, because
    /// without the book the same expense would be coded in another way.
    pub(super) async fn learn_fields(&self, expenses: &[(Option<String>, Expense)]) -> Result<Book, Failure> {
        let now = self.clock.now();
        let mut book = self.book.lock().await;
        let fields = expenses.iter().flat_map(|(_, expense)| expense.custom_fields.iter().flatten());
        let mut named: BTreeSet<Choice> = fields
            .filter_map(|field| Some((field.key.clone()?, option_of(field).map(str::to_owned))))
            .collect();
        named.retain(|choice| !book.knows(choice, now));
        if named.is_empty() {
            return Ok(book.clone());
        }
        match self.read_book().await {
            Ok(fields) => book.fields = fields,
            Err(refusal) if refusal.is_missing_right() => {
                tracing::warn!(failure = %refusal.failure, "fields cannot be read: expenses have no codes of the ERP");
            }
            Err(refusal) => return Err(refusal.failure),
        }
        book.note(named, now);
        Ok(book.clone())
    }

    async fn read_book(&self) -> Result<BTreeMap<String, BookField>, Refusal> {
        let settings = &self.settings;
        let used =
            |name: &str| settings.gl_fields.iter().chain(&settings.tag_fields).any(|field| field == name);
        let mut fields = BTreeMap::new();
        for item in Walk::all(calls::fields(), self).await? {
            let field: Field = serde_json::from_str(item.raw.get()).unwrap_or_default();
            let Some(id) = field.brex_id else { continue };
            if !used(&id) && !field.remote_id.as_deref().is_some_and(used) {
                continue;
            }
            let mut values = BTreeMap::new();
            for item in Walk::all(calls::field_values(&id, &[]), self).await? {
                let value: FieldValue = serde_json::from_str(item.raw.get()).unwrap_or_default();
                if let Some(id) = value.brex_id {
                    values.insert(id, value.remote_id);
                }
            }
            fields.insert(id, BookField { remote_id: field.remote_id, values });
        }
        Ok(fields)
    }
}
