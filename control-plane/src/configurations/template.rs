//! Templates: TOML with `{{name}}` where agents differ. Pure.
//!
//! A value can never become more than a value: within a quoted string it is escaped, elsewhere it is written as TOML. So
//! one agent's values cannot add a connection or end a string early.

use purser_proto::finding::ConfigFinding;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const OPEN: &str = "{{";
const CLOSE: &str = "}}";

/// Where in TOML a place lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Outside of strings and comments.
    Bare,
    /// Behind `#`, to the end of the line.
    Comment,
    /// In `"…"` or `"""…"""`, where a backslash escapes.
    Basic { long: bool },
    /// In `'…'` or `'''…'''`, where nothing escapes.
    Literal { long: bool },
}

/// Fills in the values.
///
/// # Errors
/// Every name without a value, every value without a place, and every value that cannot stand where it should.
pub fn render(text: &str, values: &BTreeMap<String, Value>) -> Result<String, Vec<ConfigFinding>> {
    let mut rendered = String::with_capacity(text.len());
    let mut findings = Vec::new();
    let mut used = BTreeSet::new();
    let mut place = Place::Bare;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if place != Place::Comment && rest.starts_with(OPEN) {
            let Some((name, length)) = name(rest) else {
                findings.push(finding(text, at, "`{{` without a name and `}}`", "write `{{name}}`"));
                break;
            };
            used.insert(name);
            match values.get(name) {
                None => findings.push(finding(
                    text,
                    at,
                    &format!("there is no value for `{name}`"),
                    "give the agent a value of this name",
                )),
                Some(value) => match written(value, place) {
                    Ok(value) => rendered.push_str(&value),
                    Err(why) => findings.push(finding(
                        text,
                        at,
                        &format!("the value of `{name}` {why}"),
                        "change the value or where it stands",
                    )),
                },
            }
            at += length;
            continue;
        }
        let (length, next) = step(rest, place);
        rendered.push_str(&rest[..length]);
        (at, place) = (at + length, next);
    }
    for name in values.keys().filter(|name| !used.contains(name.as_str())) {
        let what = format!("the value `{name}` has no place in the template");
        findings.push(ConfigFinding::new("", what, "remove the value or use it as `{{name}}`"));
    }
    if findings.is_empty() { Ok(rendered) } else { Err(findings) }
}

/// The names that a template asks for.
pub fn names(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let (mut at, mut place) = (0, Place::Bare);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if place != Place::Comment
            && let Some((name, length)) = name(rest)
        {
            names.insert(name.to_owned());
            at += length;
            continue;
        }
        let (length, next) = step(rest, place);
        (at, place) = (at + length, next);
    }
    names
}

/// The name of `{{name}}` and how long all of it is.
fn name(rest: &str) -> Option<(&str, usize)> {
    let (name, _) = rest.strip_prefix(OPEN)?.split_once(CLOSE)?;
    let length = OPEN.len() + name.len() + CLOSE.len();
    let name = name.trim();
    let good =
        !name.is_empty() && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    good.then_some((name, length))
}

/// How much of the text is taken as it is, and where that leads.
fn step(rest: &str, place: Place) -> (usize, Place) {
    let first = rest.chars().next().map_or(1, char::len_utf8);
    let go = |token: &str, next| (token.len(), next);
    match place {
        Place::Comment => (first, if rest.starts_with('\n') { Place::Bare } else { place }),
        Place::Bare => match rest {
            _ if rest.starts_with("\"\"\"") => go("\"\"\"", Place::Basic { long: true }),
            _ if rest.starts_with("'''") => go("'''", Place::Literal { long: true }),
            _ if rest.starts_with('"') => go("\"", Place::Basic { long: false }),
            _ if rest.starts_with('\'') => go("'", Place::Literal { long: false }),
            _ if rest.starts_with('#') => go("#", Place::Comment),
            _ => (first, place),
        },
        Place::Basic { .. } if rest.starts_with('\\') => {
            (1 + rest[1..].chars().next().map_or(0, char::len_utf8), place)
        }
        Place::Basic { long: true } if rest.starts_with("\"\"\"") => go("\"\"\"", Place::Bare),
        Place::Basic { long: false } if rest.starts_with(['"', '\n']) => (1, Place::Bare),
        Place::Literal { long: true } if rest.starts_with("'''") => go("'''", Place::Bare),
        Place::Literal { long: false } if rest.starts_with(['\'', '\n']) => (1, Place::Bare),
        Place::Basic { .. } | Place::Literal { .. } => (first, place),
    }
}

/// The value as it stands in this place.
fn written(value: &Value, place: Place) -> Result<String, &'static str> {
    let inside = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    };
    match (place, value) {
        (Place::Bare | Place::Comment, _) => bare(value),
        (_, Value::Null | Value::Array(_) | Value::Object(_)) => Err("is a list and stands within a string"),
        (Place::Basic { .. }, _) => Ok(escaped(&inside)),
        (Place::Literal { .. }, _) if inside.contains(['\'', '\n', '\r']) => {
            Err("has a quote or a new line and stands within '…', where nothing can be escaped")
        }
        (Place::Literal { .. }, _) => Ok(inside),
    }
}

fn bare(value: &Value) -> Result<String, &'static str> {
    match value {
        Value::String(text) => Ok(format!("\"{}\"", escaped(text))),
        Value::Number(number) if number.is_i64() => Ok(number.to_string()),
        Value::Bool(truth) => Ok(truth.to_string()),
        Value::Array(entries) => {
            let entries: Result<Vec<String>, _> = entries.iter().map(bare).collect();
            Ok(format!("[{}]", entries?.join(", ")))
        }
        Value::Null | Value::Object(_) | Value::Number(_) => {
            Err("is neither text, whole number, truth value nor a list of these")
        }
    }
}

/// A text as it stands within double quotes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            c if c.is_control() => escaped.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}

fn finding(text: &str, at: usize, what: &str, fix: &str) -> ConfigFinding {
    ConfigFinding::new("", what, fix).at_offset(text, at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn values(values: Value) -> BTreeMap<String, Value> {
        serde_json::from_value(values).unwrap()
    }

    #[test]
    fn values_stand_in_strings_and_as_values() {
        let text = "# {{ignored}}\nurl = \"https://{{ host }}/x\"\nport = {{port}}\non = {{on}}\nids = {{ids}}\nraw = '{{host}}'\n";
        let rendered =
            render(text, &values(json!({"host": "a.test", "port": 8, "on": true, "ids": ["a", "b"]})));
        let expected = "# {{ignored}}\nurl = \"https://a.test/x\"\nport = 8\non = true\nids = [\"a\", \"b\"]\nraw = 'a.test'\n";
        assert_eq!(rendered.unwrap(), expected);
        assert_eq!(names(text).into_iter().collect::<Vec<_>>(), ["host", "ids", "on", "port"]);
    }

    #[test]
    fn every_missing_and_superfluous_value_is_told() {
        let findings = render("a = {{one}}\nb = \"{{two}}\"\n", &values(json!({"three": 3}))).unwrap_err();
        assert_eq!(findings.len(), 3);
        assert_eq!((findings[0].line, findings[1].line), (Some(1), Some(2)));
        assert!(findings[2].what.contains("three"));
    }

    #[test]
    fn lists_and_quotes_cannot_stand_everywhere() {
        for (text, value) in
            [("a = \"{{v}}\"", json!([1])), ("a = '{{v}}'", json!("it's")), ("a = {{v}}", json!(1.5))]
        {
            assert_eq!(render(text, &values(json!({ "v": value }))).unwrap_err().len(), 1);
        }
        assert!(render("a = {{v", &values(json!({"v": 1}))).is_err());
    }

    proptest! {
        #[test]
        fn no_value_becomes_more_than_a_value(value in any::<String>()) {
            let text = "a = \"x{{v}}y\"\nb = {{v}}\nc = \"\"\"{{v}}\"\"\"\n[t]\nd = 1\n";
            let rendered = render(text, &values(json!({ "v": value }))).unwrap();
            let read: toml::Table = rendered.parse().unwrap();
            let within = format!("x{value}y");
            prop_assert_eq!(read["a"].as_str(), Some(within.as_str()));
            prop_assert_eq!(read["b"].as_str(), Some(value.as_str()));
            prop_assert_eq!(read["c"].as_str(), Some(value.as_str()));
            prop_assert_eq!(read.len(), 4);
        }
    }
}
