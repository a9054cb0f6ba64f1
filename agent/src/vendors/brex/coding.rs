//! From the coding of a line to category and tags; pure. Which field is which is said by settings; a value without a
//! code of its own gets one from an explicit table or none at all, never by guessing.

use super::book::Book;
use super::convert::{cut, text, tidy};
use super::settings::Settings;
use super::wire::{CustomField, FieldChoice, Person};
use serde_json::Value;
use spend::document::Tag;

/// What the coding of a line says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Coded {
    pub(super) category: Option<String>,
    pub(super) category_code: Option<String>,
    pub(super) tags: Vec<Tag>,
}

/// One value of one field, on either surface.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Choice<'a> {
    /// What the field may be called by.
    field: [Option<&'a str>; 2],
    /// The value's id at Brex.
    id: Option<&'a str>,
    /// The id that the ERP's side gave it.
    remote: Option<&'a str>,
    /// Its name.
    name: String,
}

impl Choice<'_> {
    fn is_of(&self, field: &str) -> bool {
        self.field.iter().flatten().any(|name| *name == field)
    }

    /// What people see: the name, else the id.
    fn shown(&self) -> String {
        if self.name.is_empty() {
            self.remote.or(self.id).unwrap_or_default().to_owned()
        } else {
            self.name.clone()
        }
    }

    /// The ERP's code: the remote id without its prefix, else what the table says.
    fn code(&self, field: &str, settings: &Settings) -> Option<String> {
        let own = self.remote.and_then(|remote| remote.strip_prefix(settings.remote_prefix.as_str()));
        if let Some(own) = own.map(str::trim).filter(|own| !own.is_empty()) {
            return Some(own.to_owned());
        }
        let table = settings.value_codes.get(field)?;
        let first_word = self.name.split(' ').next().filter(|word| !word.is_empty());
        let keys = [self.id, Some(self.name.as_str()), first_word];
        keys.into_iter().flatten().find_map(|key| table.get(key)).cloned()
    }
}

/// The coding of a line of a record.
pub(super) fn of_choices(
    choices: &[FieldChoice],
    person: Option<&Person>,
    settings: &Settings,
) -> Result<Coded, String> {
    let choices: Vec<Choice<'_>> = choices
        .iter()
        .map(|choice| Choice {
            field: [text(choice.remote_field_id.as_deref()), text(choice.brex_field_id.as_deref())],
            id: text(choice.brex_field_value_id.as_deref()),
            remote: text(choice.remote_field_value_id.as_deref()),
            name: choice.field_value_name.as_deref().map(tidy).unwrap_or_default(),
        })
        .collect();
    coded(&choices, &Place::of(person), settings)
}

/// The coding of an expense: its custom fields, else Brex's own category as a name.
pub(super) fn of_custom_fields(
    fields: &[CustomField],
    own_category: Option<&str>,
    place: &Place<'_>,
    book: &Book,
    settings: &Settings,
) -> Result<Coded, String> {
    let choices: Vec<Choice<'_>> = fields
        .iter()
        .filter_map(|field| {
            let mut found = Found::default();
            found.look(field.value.as_ref()?, 0);
            let key = text(field.key.as_deref());
            let known = key.and_then(|key| book.fields.get(key));
            let remote = known.zip(found.id).and_then(|(known, id)| known.values.get(id)?.as_deref());
            (found.id.is_some() || !found.name.is_empty()).then(|| Choice {
                field: [known.and_then(|known| text(known.remote_id.as_deref())), key],
                id: found.id,
                remote: text(remote),
                name: found.name,
            })
        })
        .collect();
    let coded = coded(&choices, place, settings)?;
    let category = coded.category.or_else(|| text(own_category).map(str::to_owned));
    Ok(Coded { category, ..coded })
}

/// Brex's id of the option that a custom field holds.
pub(super) fn option_of(field: &CustomField) -> Option<&str> {
    let mut found = Found::default();
    found.look(field.value.as_ref()?, 0);
    found.id
}

/// Where the person who spent belongs to.
#[derive(Debug, Default)]
pub(super) struct Place<'a> {
    pub(super) department: (Option<&'a str>, Option<&'a str>),
    pub(super) location: (Option<&'a str>, Option<&'a str>),
}

impl<'a> Place<'a> {
    fn of(person: Option<&'a Person>) -> Self {
        let Some(person) = person else { return Self::default() };
        Self {
            department: (text(person.department_id.as_deref()), text(person.department_name.as_deref())),
            location: (text(person.location_id.as_deref()), text(person.location_name.as_deref())),
        }
    }

    fn choice(&self, field: &'a str) -> Option<Choice<'a>> {
        let (id, name) = match field {
            "user:department" => self.department,
            "user:location" => self.location,
            _ => return None,
        };
        let name = name.map(tidy).unwrap_or_default();
        (id.is_some() || !name.is_empty()).then_some(Choice {
            field: [Some(field), None],
            id,
            remote: None,
            name,
        })
    }
}

fn coded(choices: &[Choice<'_>], place: &Place<'_>, settings: &Settings) -> Result<Coded, String> {
    let mut coded = Coded::default();
    for field in &settings.gl_fields {
        if let Some(choice) = the_one(choices, field)? {
            let code = choice.code(field, settings);
            coded.category = Some(choice.shown()).filter(|name| !name.is_empty());
            coded.category_code = code.map(|code| segments(&code, &settings.remote_separator));
            break;
        }
    }
    for (level, field) in (1_u8..).zip(&settings.tag_fields) {
        let placed = place.choice(field);
        let choice = match the_one(choices, field)? {
            Some(choice) => Some(choice),
            None => placed.as_ref(),
        };
        let Some(choice) = choice else { continue };
        coded.tags.push(Tag { level, value: choice.shown(), code: choice.code(field, settings) });
    }
    Ok(coded)
}

/// The value of a field. Two different ones would be a choice that nobody made.
fn the_one<'c, 'a>(choices: &'c [Choice<'a>], field: &str) -> Result<Option<&'c Choice<'a>>, String> {
    let mut found = choices.iter().filter(|choice| choice.is_of(field));
    let Some(first) = found.next() else { return Ok(None) };
    match found.find(|other| *other != first) {
        None => Ok(Some(first)),
        Some(other) => Err(format!(
            "field `{}` has two values, `{}` and `{}`",
            cut(field),
            cut(&first.shown()),
            cut(&other.shown())
        )),
    }
}

/// Segments as the rules know them, joined with `|`.
fn segments(code: &str, separator: &str) -> String {
    if separator.is_empty() { code.to_owned() } else { code.replace(separator, "|") }
}

/// Deepest nesting of a custom field that is looked into.
const DEEPEST: u8 = 8;

/// What a custom field holds, wherever in its wrappers it stands.
#[derive(Default)]
struct Found<'a> {
    id: Option<&'a str>,
    name: String,
}

impl<'a> Found<'a> {
    fn look(&mut self, value: &'a Value, depth: u8) {
        if depth > DEEPEST || self.id.is_some() {
            return;
        }
        let Value::Object(object) = value else { return };
        let text_of =
            |key: &str| object.get(key).and_then(Value::as_str).map(str::trim).filter(|t| !t.is_empty());
        if let Some(id) = text_of("option_id") {
            self.id = Some(id);
            self.name = text_of("option_label").map(tidy).unwrap_or_default();
            return;
        }
        for key in ["data", "value"] {
            match object.get(key) {
                Some(Value::String(text)) if self.name.is_empty() => self.name = tidy(text),
                Some(inner @ Value::Object(_)) => self.look(inner, depth + 1),
                _ => {}
            }
        }
    }
}
