//! Custom fields and their values: accounts and dimensions, outside `/v3`.

use super::books::{Field, FieldValue};
use super::query::Query;
use super::refusal::{Outcome, Refusal};
use super::{BrexSim, done, wire};
use crate::server::Reply;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// Most items in one write.
const MOST_ITEMS: usize = 1_000;

impl BrexSim {
    pub(super) fn list_fields(&self, query: &Query) -> Outcome<Value> {
        let found: Vec<&Field> =
            self.books.fields.iter().filter(|field| query.allows("field_id[]", Some(&field.id))).collect();
        self.listed(query, &found, |field| field_body(field))
    }

    pub(super) fn one_field(&self, id: &str) -> Outcome<Value> {
        Ok(field_body(self.books.fields.iter().find(|field| field.id == id).ok_or_else(no_field)?))
    }

    pub(super) fn create_field(&mut self, body: &Value, now: DateTime<Utc>) -> Outcome<Value> {
        let name = required(body, "name")?;
        let group = required(body, "group")?;
        if !matches!(group.as_str(), "ACCOUNTING" | "USER" | "ERP" | "TRAVEL") {
            return Err(Refusal::bad("group is invalid"));
        }
        let integration_id = optional(body, "integration_id")?;
        let active = |id: &String| self.integrations.iter().any(|known| known.id == *id && known.active);
        if group == "ERP" && !integration_id.as_ref().is_some_and(active) {
            return Err(Refusal::bad("integration_id of an active integration is required for group ERP"));
        }
        let remote_id = optional(body, "remote_id")?;
        if remote_id.is_some() && self.books.fields.iter().any(|known| known.remote_id == remote_id) {
            return Err(Refusal::bad("A field with this remote_id already exists"));
        }
        let field = Field {
            id: wire::id(&mut self.rng, "extended_field"),
            name,
            remote_id,
            group,
            integration_id,
            disabled: switch(body, "is_disabled")?.unwrap_or(false),
            updated: now,
            values: Vec::new(),
        };
        let answer = field_body(&field);
        self.books.fields.push(field);
        Ok(answer)
    }

    pub(super) fn update_field(&mut self, id: &str, body: &Value, now: DateTime<Utc>) -> Outcome<Value> {
        let (name, disabled) = (optional(body, "name")?, switch(body, "is_disabled")?);
        let field = self.field_mut(id)?;
        field.name = name.unwrap_or_else(|| field.name.clone());
        field.disabled = disabled.unwrap_or(field.disabled);
        field.updated = now;
        Ok(field_body(field))
    }

    pub(super) fn delete_field(&mut self, id: &str) -> Outcome<Reply> {
        self.field_mut(id)?;
        self.wrong("a field was deleted; records of the past refer to it".to_owned());
        self.books.fields.retain(|field| field.id != id);
        Ok(done())
    }

    pub(super) fn list_values(&self, id: &str, query: &Query) -> Outcome<Value> {
        let field = self.books.fields.iter().find(|field| field.id == id).ok_or_else(no_field)?;
        let wanted = |value: &&FieldValue| {
            query.allows("brex_id[]", Some(&value.id))
                && query.allows("value_id[]", value.value_id.as_deref())
                && query.allows("remote_id[]", value.remote_id.as_deref())
                && query.one("value").is_none_or(|text| value.value == text)
        };
        let found: Vec<&FieldValue> = field.values.iter().filter(wanted).collect();
        self.listed(query, &found, |value| value_body(&field.id, value))
    }

    pub(super) fn one_value(&self, field: &str, id: &str) -> Outcome<Value> {
        let field = self.books.fields.iter().find(|known| known.id == field).ok_or_else(no_field)?;
        Ok(value_body(&field.id, field.values.iter().find(|value| value.id == id).ok_or_else(no_value)?))
    }

    pub(super) fn create_values(&mut self, id: &str, body: &Value, now: DateTime<Utc>) -> Outcome<Value> {
        let mut made = Vec::new();
        for item in items(body)? {
            made.push(FieldValue {
                id: wire::id(&mut self.rng, "efo"),
                value: required(item, "value")?,
                value_id: optional(item, "value_id")?,
                remote_id: optional(item, "remote_id")?,
                disabled: switch(item, "is_disabled")?.unwrap_or(false),
                updated: now,
            });
        }
        let field = self.field_mut(id)?;
        let taken = |new: &FieldValue, others: &[FieldValue]| {
            others
                .iter()
                .any(|old| new.remote_id.is_some() && old.remote_id == new.remote_id && old.id != new.id)
        };
        if made.iter().any(|new| taken(new, &field.values) || taken(new, &made)) {
            return Err(Refusal::bad("A value with this remote_id already exists"));
        }
        let answers: Vec<Value> = made.iter().map(|value| value_body(id, value)).collect();
        field.values.extend(made);
        Ok(json!({"items": answers}))
    }

    /// All or nothing: a value that is not there refuses the call.
    pub(super) fn update_values(&mut self, id: &str, body: &Value, now: DateTime<Utc>) -> Outcome<Value> {
        let list = items(body)?;
        let field = self.field_mut(id)?;
        let mut changes = Vec::new();
        for item in list {
            let at = position(&field.values, item)?;
            let data = item.get("data").filter(|data| data.is_object()).ok_or_else(Refusal::malformed)?;
            changes.push((at, optional(data, "value")?, switch(data, "is_disabled")?));
        }
        let mut answers = Vec::new();
        for (at, text, disabled) in changes {
            let Some(value) = field.values.get_mut(at) else { continue };
            value.value = text.unwrap_or_else(|| value.value.clone());
            value.disabled = disabled.unwrap_or(value.disabled);
            value.updated = now;
            answers.push(value_body(id, value));
        }
        Ok(json!({"items": answers}))
    }

    pub(super) fn delete_values(&mut self, id: &str, body: &Value) -> Outcome<Value> {
        let list = items(body)?;
        let field = self.field_mut(id)?;
        let mut gone = Vec::new();
        for item in list {
            gone.push(field.values[position(&field.values, item)?].id.clone());
        }
        field.values.retain(|value| !gone.contains(&value.id));
        self.wrong("values of a field were deleted; records of the past refer to them".to_owned());
        Ok(json!({}))
    }

    fn field_mut(&mut self, id: &str) -> Outcome<&mut Field> {
        self.books.fields.iter_mut().find(|field| field.id == id).ok_or_else(no_field)
    }
}

fn no_field() -> Refusal {
    Refusal::not_found("Field not found", Some("FIELD_NOT_FOUND"))
}

fn no_value() -> Refusal {
    Refusal::not_found("Field value not found", Some("FIELD_VALUE_NOT_FOUND"))
}

fn items(body: &Value) -> Outcome<&Vec<Value>> {
    let list = body.get("items").and_then(Value::as_array).ok_or_else(Refusal::malformed)?;
    if (1..=MOST_ITEMS).contains(&list.len()) {
        Ok(list)
    } else {
        Err(Refusal::bad("1 to 1000 items are taken"))
    }
}

/// The value that an item names by one of its three ids.
fn position(values: &[FieldValue], item: &Value) -> Outcome<usize> {
    let (id, code, remote) =
        (optional(item, "brex_id")?, optional(item, "value_id")?, optional(item, "remote_id")?);
    let named = [&id, &code, &remote].into_iter().flatten().count();
    if named != 1 {
        return Err(Refusal::bad("each item names one of brex_id, value_id, remote_id"));
    }
    let fits = |value: &FieldValue| {
        id.as_ref().is_some_and(|id| value.id == *id)
            || (code.is_some() && value.value_id == code)
            || (remote.is_some() && value.remote_id == remote)
    };
    values.iter().position(fits).ok_or_else(no_value)
}

fn field_body(field: &Field) -> Value {
    json!({
        "brex_id": field.id, "name": field.name, "remote_id": field.remote_id, "group": field.group,
        "integration_id": field.integration_id, "is_disabled": field.disabled,
        "updated_at": wire::seconds(field.updated)})
}

fn value_body(field: &str, value: &FieldValue) -> Value {
    json!({
        "brex_id": value.id, "field_id": field, "remote_id": value.remote_id, "value_id": value.value_id,
        "value": value.value, "is_disabled": value.disabled, "updated_at": wire::seconds(value.updated)})
}

/// A text that must be there.
pub(super) fn required(body: &Value, name: &str) -> Outcome<String> {
    optional(body, name)?
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Refusal::bad(format!("{name} is required")))
}

/// A text that may be missing or null. Control characters are refused.
pub(super) fn optional(body: &Value, name: &str) -> Outcome<Option<String>> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.chars().any(char::is_control) => Ok(Some(text.clone())),
        Some(_) => Err(Refusal::bad(format!("{name} is invalid"))),
    }
}

fn switch(body: &Value, name: &str) -> Outcome<Option<bool>> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(on)) => Ok(Some(*on)),
        Some(_) => Err(Refusal::bad(format!("{name} is invalid"))),
    }
}
