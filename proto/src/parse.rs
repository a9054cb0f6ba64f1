//! From the text of `purser.toml` to the raw configuration, and back. Unknown fields are all listed, each with its
//! place and the nearest known name; a fault of syntax or type is listed with its line and field.

use crate::config::Config;
use crate::finding::ConfigFinding;
use crate::suggest::nearest;
use serde_json::Value;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads a configuration.
///
/// # Errors
/// Every unknown field, or the fault of syntax or type, with line and column.
pub fn parse_toml(text: &str) -> Result<Config, Vec<ConfigFinding>> {
    let (table, faults) = DeTable::parse_recoverable(text);
    if !faults.is_empty() {
        let place = |error: &toml::de::Error| match error.span() {
            Some(span) => field_before(table.get_ref(), text, span.start),
            None => String::new(),
        };
        let mut found: Vec<_> = faults.iter().map(|error| fault(text, &place(error), error)).collect();
        // What follows a fault on its own line is mostly its echo.
        found.sort_by_key(|finding| finding.line);
        found.dedup_by_key(|finding| finding.line);
        return Err(found);
    }
    let schema = schemars::schema_for!(Config).to_value();
    let mut unknown = Vec::new();
    Fields { text, root: &schema, unknown: &mut unknown }.table(table.get_ref(), &schema, "");
    if !unknown.is_empty() {
        return Err(unknown);
    }
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let path = error.span().map(|span| path_of(table.get_ref(), &span)).unwrap_or_default();
        vec![fault(text, &path, &error)]
    })
}

/// Writes a configuration. [`parse_toml`] reads it back unchanged.
///
/// # Errors
/// When the vendor settings hold something that TOML has no form for, such as `null`.
pub fn print_toml(config: &Config) -> Result<String, toml::ser::Error> {
    toml::to_string_pretty(config)
}

fn fault(text: &str, path: &str, error: &toml::de::Error) -> ConfigFinding {
    let mut message = error.message().trim_end().replace('\n', ", ");
    if let Some(key) = error.span().and_then(|span| text.get(span)).filter(|_| message == "duplicate key") {
        message = format!("duplicate key `{}`", key.chars().take(80).collect::<String>());
    }
    let fix = if message.starts_with("missing field") {
        "add the field here"
    } else if message.contains("duplicate key") {
        "keep one of the two"
    } else if message.starts_with("invalid type") || message.starts_with("unknown variant") {
        "write the expected form; `purser config schema` lists every field"
    } else {
        "mend the text at this place; texts stand in double quotes, lists in square brackets"
    };
    let finding = ConfigFinding::new(path, message, fix);
    match error.span() {
        Some(span) => finding.at_offset(text, span.start),
        None => finding,
    }
}

/// Walks a table beside its schema and collects fields that the schema does not know.
struct Fields<'a> {
    text: &'a str,
    root: &'a Value,
    unknown: &'a mut Vec<ConfigFinding>,
}

impl Fields<'_> {
    fn table(&mut self, table: &DeTable<'_>, schema: &Value, path: &str) {
        let schema = resolve(self.root, schema);
        let properties = schema.get("properties").and_then(Value::as_object);
        let closed = schema.get("additionalProperties") == Some(&Value::Bool(false))
            && schema.get("patternProperties").is_none();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let place = joined(path, name);
            match properties.and_then(|known| known.get(name)) {
                Some(below) => self.value(value, below, &place),
                None if closed => {
                    let known: Vec<&str> =
                        properties.into_iter().flat_map(|known| known.keys().map(String::as_str)).collect();
                    let fix = match nearest(name, known.iter().copied()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("known here: {}", known.join(", ")),
                    };
                    let finding = ConfigFinding::new(place, format!("unknown field `{name}`"), fix)
                        .because("a misspelled field would silently be without effect")
                        .at_offset(self.text, key.span().start);
                    self.unknown.push(finding);
                }
                None => {
                    if let Some(below) = schema.get("additionalProperties").filter(|below| below.is_object())
                    {
                        self.value(value, below, &place);
                    }
                }
            }
        }
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, schema: &Value, path: &str) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(table, schema, path),
            DeValue::Array(items) => {
                let schema = resolve(self.root, schema);
                let Some(below) = schema.get("items") else { return };
                for (index, item) in items.iter().enumerate() {
                    self.value(item, below, &format!("{path}[{index}]"));
                }
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {}
        }
    }
}

/// Follows `$ref`, and the one branch of an optional value that is not `null`.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut schema = schema;
    for _ in 0..16 {
        if let Some(pointer) = schema.get("$ref").and_then(Value::as_str) {
            match root.pointer(pointer.trim_start_matches('#')) {
                Some(target) => schema = target,
                None => return schema,
            }
        } else if let Some(branches) = schema.get("anyOf").and_then(Value::as_array) {
            let null = |branch: &&Value| branch.get("type").and_then(Value::as_str) != Some("null");
            match branches.iter().find(null) {
                Some(branch) => schema = branch,
                None => return schema,
            }
        } else {
            return schema;
        }
    }
    schema
}

fn joined(path: &str, name: &str) -> String {
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let name = if plain { name.to_owned() } else { format!("{name:?}") };
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

/// The innermost field whose key or value holds a place in the text.
fn path_of(table: &DeTable<'_>, span: &Range<usize>) -> String {
    let mut path = String::new();
    descend(table, span, &mut path);
    path
}

fn descend(table: &DeTable<'_>, span: &Range<usize>, path: &mut String) {
    for (key, value) in table {
        // A header table's own span covers its header line only, so what is below it is always looked at.
        let mut below = joined(path, key.get_ref());
        let before = below.clone();
        inside(value, span, &mut below);
        if below != before || holds(&key.span(), span) || holds(&value.span(), span) {
            *path = below;
            return;
        }
    }
}

fn inside(value: &Spanned<DeValue<'_>>, span: &Range<usize>, path: &mut String) {
    if let Some(table) = value.get_ref().as_table() {
        descend(table, span, path);
    } else if let Some(items) = value.get_ref().as_array() {
        for (index, item) in items.iter().enumerate() {
            let mut below = format!("{path}[{index}]");
            let before = below.clone();
            inside(item, span, &mut below);
            if below != before || holds(&item.span(), span) {
                *path = below;
                return;
            }
        }
    }
}

/// The last field that begins before a place, on the same line.
fn field_before(table: &DeTable<'_>, text: &str, offset: usize) -> String {
    let line = text.get(..offset).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let mut best = (line, String::new());
    nearest_key(table, offset, "", &mut best);
    best.1
}

fn nearest_key(table: &DeTable<'_>, offset: usize, path: &str, best: &mut (usize, String)) {
    for (key, value) in table {
        let place = joined(path, key.get_ref());
        if (best.0..=offset).contains(&key.span().start) {
            *best = (key.span().start, place.clone());
        }
        if let Some(below) = value.get_ref().as_table() {
            nearest_key(below, offset, &place, best);
        }
        for (index, item) in value.get_ref().as_array().into_iter().flatten().enumerate() {
            if let Some(below) = item.get_ref().as_table() {
                nearest_key(below, offset, &format!("{place}[{index}]"), best);
            }
        }
    }
}

fn holds(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end && outer.start < outer.end
}

#[cfg(test)]
pub(crate) mod tests;
