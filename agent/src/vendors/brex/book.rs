//! What the options of custom fields are to the ERP. Expenses name a field and an option by Brex's own ids only (D); the
//! Fields API knows the remote ids of both, so one set of settings serves both surfaces.

use super::Brex;
use super::calls;
use super::page::Walk;
use super::wire::{Expense, Field, FieldValue};
use std::collections::{BTreeMap, BTreeSet};

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
}

impl Brex {
    /// Looks fields up that expenses name for the first time. Without the right to read fields the settings must name
    /// Brex's own ids, and codes come from `value_codes` alone.
    pub(super) async fn learn_fields(&self, expenses: &[(Option<String>, Expense)]) -> Book {
        let mut book = self.book.lock().await;
        let choices = expenses.iter().flat_map(|(_, expense)| expense.custom_fields.iter().flatten());
        let named: BTreeSet<String> = choices.filter_map(|choice| choice.key.clone()).collect();
        if named.iter().all(|key| book.asked.contains(key)) {
            return book.clone();
        }
        match self.read_book().await {
            Ok(fields) => {
                book.fields = fields;
                book.asked.extend(named);
            }
            Err(refusal) => {
                tracing::warn!(failure = %refusal.failure, "fields cannot be read: expenses have no codes of the ERP");
                if refusal.denied.is_some() {
                    book.asked.extend(named);
                }
            }
        }
        book.clone()
    }

    async fn read_book(&self) -> Result<BTreeMap<String, BookField>, super::outcome::Refusal> {
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
