//! What a PUT sends: every business field wrapped in an object, details as arrays. A patch is checked against the
//! contract first and applied to a draft afterwards.

use std::collections::BTreeMap;

use super::contract::Shape;
use super::json::{Json, Row};
use super::literal::Style;
use super::record::Record;
use super::refusal::{Outcome, Refusal};
use super::trouble::Trouble;

/// The sent members of an entity, of a linked one or of a detail row.
#[derive(Debug, Default)]
pub(super) struct Patch {
    pub(super) id: String,
    pub(super) delete: bool,
    pub(super) note: Option<String>,
    /// Null clears.
    pub(super) fields: BTreeMap<&'static str, Json>,
    pub(super) linked: BTreeMap<&'static str, Patch>,
    pub(super) details: BTreeMap<&'static str, Vec<Patch>>,
    pub(super) custom: Row,
}

/// Members that are never wrapped.
const BARE: [&str; 7] = ["id", "rowNumber", "error", "delete", "custom", "files", "_links"];

impl Patch {
    /// Reads a body.
    pub(super) fn parse(body: &[u8], shape: &'static Shape, style: Style) -> Outcome<Self> {
        match Json::parse(body) {
            Ok(Json::Obj(sent)) => Self::read(&sent, shape, style, "entity"),
            Ok(_) => Err(Refusal::malformed("entity", "The body is not an object.")),
            Err(error) => Err(Refusal::malformed("entity", format!("The body is not JSON: {error}."))),
        }
    }

    pub(super) fn read(sent: &Row, shape: &'static Shape, style: Style, path: &str) -> Outcome<Self> {
        let mut patch = Self::default();
        for (name, value) in sent {
            let path = format!("{path}.{name}");
            if BARE.contains(&name.as_ref()) {
                patch.bare(name, value, &path)?;
            } else if let Some((name, inner)) = shape.detail(name) {
                let Json::Arr(rows) = value else {
                    return Err(Refusal::malformed(&path, "An array is expected."));
                };
                let rows = rows.iter().enumerate().map(|(index, row)| match row {
                    Json::Obj(row) => Self::read(row, inner, style, &format!("{path}[{index}]")),
                    _ => Err(Refusal::malformed(&path, "An object is expected.")),
                });
                patch.details.insert(name, rows.collect::<Outcome<_>>()?);
            } else if let Some((name, inner)) = shape.linked(name) {
                let Json::Obj(linked) = value else {
                    return Err(Refusal::malformed(&path, "An object is expected."));
                };
                patch.linked.insert(name, Self::read(linked, inner, style, &path)?);
            } else {
                patch.wrapped(name, value, shape, style, &path)?;
            }
        }
        Ok(patch)
    }

    fn bare(&mut self, name: &str, value: &Json, path: &str) -> Outcome<()> {
        match (name, value) {
            ("id", Json::Str(id)) => id.to_lowercase().clone_into(&mut self.id),
            ("delete", Json::Bool(delete)) => self.delete = *delete,
            ("custom", Json::Obj(custom)) => self.custom.clone_from(custom),
            ("id" | "delete" | "custom", _) => {
                return Err(Refusal::malformed(path, "The value has another type."));
            }
            _ => {}
        }
        Ok(())
    }

    /// Fields that the contract lacks are tolerated, but they must be wrapped as well.
    fn wrapped(&mut self, name: &str, value: &Json, shape: &Shape, style: Style, path: &str) -> Outcome<()> {
        let Json::Obj(wrapper) = value else {
            return Err(Refusal::malformed(
                path,
                "Error converting the value: an object with `value` is expected.",
            ));
        };
        let Some(value) = wrapper.get("value") else { return Ok(()) };
        if name == "note" {
            self.note = Some(value.as_str().unwrap_or_default().to_owned());
            return Ok(());
        }
        let Some((name, kind)) = shape.field(name) else { return Ok(()) };
        let taken = style.taken(kind, value);
        let taken =
            taken.ok_or_else(|| Refusal::malformed(path, "The value has another type than the field."))?;
        self.fields.insert(name, taken);
        Ok(())
    }

    /// A sent text that is not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).and_then(Json::as_str).filter(|text| !text.is_empty())
    }

    /// Puts it onto a draft. A detail row with an id changes that row, one without is a new row.
    pub(super) fn apply(&self, draft: &mut Record, new_id: &mut dyn FnMut() -> String) -> Trouble {
        let mut trouble = Trouble::default();
        draft.sent = self.fields.keys().copied().collect();
        for (name, value) in &self.fields {
            draft.set(name, value.clone());
        }
        if let Some(note) = &self.note {
            draft.note.clone_from(note);
        }
        for (view, fields) in &self.custom {
            draft.custom.insert(view.clone(), fields.clone());
        }
        draft.linked.values_mut().for_each(|linked| linked.sent.clear());
        for (name, patch) in &self.linked {
            let linked = draft.linked.entry(name).or_insert_with(|| empty(new_id()));
            trouble.linked.insert(name, patch.apply(linked, new_id));
        }
        draft.details.values_mut().flatten().for_each(|line| line.sent.clear());
        for (name, patches) in &self.details {
            let rows = draft.details.entry(name).or_default();
            for patch in patches {
                let place = rows.iter().position(|line| !patch.id.is_empty() && line.id == patch.id);
                match place {
                    Some(at) if patch.delete => {
                        rows.remove(at);
                    }
                    Some(at) => {
                        patch.apply(&mut rows[at], new_id);
                    }
                    None if patch.delete => {}
                    None => {
                        let mut line = empty(new_id());
                        patch.apply(&mut line, new_id);
                        rows.push(line);
                        if !patch.id.is_empty() {
                            let text = "The record cannot be found in the system.".to_owned();
                            trouble.row(name, rows.len() - 1).entity = Some(text);
                        }
                    }
                }
            }
        }
        trouble
    }
}

fn empty(id: String) -> Record {
    Record { id, ..Record::default() }
}
