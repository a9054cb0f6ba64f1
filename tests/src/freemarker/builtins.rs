//! The built-ins: what stands after `?`.

use super::ast::Expression;
use super::decimal::Decimal;
use super::eval::Run;
use super::value::{DateKind, Sequence, Value};
use super::{Error, format};
use std::rc::Rc;

const KNOWN: &[&str] = &[
    "abs",
    "c",
    "cap_first",
    "contains",
    "counter",
    "date",
    "datetime",
    "default",
    "ends_with",
    "exists",
    "first",
    "floor",
    "has_content",
    "has_next",
    "html",
    "if_exists",
    "index",
    "index_of",
    "int",
    "is_boolean",
    "is_date",
    "is_date_like",
    "is_enumerable",
    "is_first",
    "is_hash",
    "is_hash_ex",
    "is_indexable",
    "is_last",
    "is_macro",
    "is_number",
    "is_sequence",
    "is_string",
    "join",
    "js_string",
    "json_string",
    "keys",
    "last",
    "left_pad",
    "length",
    "lower_case",
    "number",
    "replace",
    "reverse",
    "right_pad",
    "round",
    "seq_contains",
    "size",
    "split",
    "starts_with",
    "string",
    "substring",
    "then",
    "time",
    "trim",
    "uncap_first",
    "upper_case",
    "xhtml",
    "xml",
];

pub(super) fn is_known(name: &str) -> bool {
    KNOWN.binary_search(&name).is_ok()
}

type Applied<'a> = Result<Option<Value<'a>>, Error>;

pub(super) fn apply<'a>(
    run: &mut Run<'_, 'a>,
    whole: &Expression,
    left: &Expression,
    name: &str,
    arguments: Option<&[Expression]>,
) -> Applied<'a> {
    let arguments = arguments.unwrap_or(&[]);
    if let Some(result) = tolerant(run, left, name, arguments) {
        return result;
    }
    if let Some(value) = about_loop(run, whole, left, name)? {
        return Ok(Some(value));
    }
    let value = run.require(left)?;
    if let Some(value) = about_type(&value, name) {
        return Ok(Some(Value::Bool(value)));
    }
    let mut call = Call { run, whole, left, name, arguments };
    match name {
        "c" | "string" => call.printed(&value).map(Some),
        "then" => call.then(&value),
        "size" | "join" | "first" | "last" | "reverse" | "seq_contains" | "keys" => call.sequence(&value),
        "abs" | "floor" | "round" | "int" => call.numeric(&value).map(Some),
        "date" | "datetime" | "time" => call.date(&value).map(Some),
        _ => call.text(&value).map(Some),
    }
}

/// Built-ins that may be asked of something missing.
fn tolerant<'a>(
    run: &mut Run<'_, 'a>,
    left: &Expression,
    name: &str,
    arguments: &[Expression],
) -> Option<Applied<'a>> {
    if !matches!(name, "has_content" | "exists" | "if_exists" | "default") {
        return None;
    }
    let value = match run.tolerant(left) {
        Ok(value) => value,
        Err(error) => return Some(Err(error)),
    };
    Some(match (name, value) {
        ("has_content", value) => Ok(Some(Value::Bool(value.is_some_and(|v| has_content(&v))))),
        ("exists", value) => Ok(Some(Value::Bool(value.is_some()))),
        (_, Some(value)) => Ok(Some(value)),
        ("default", None) => match arguments.first() {
            Some(default) => run.eval(default),
            None => Ok(None),
        },
        (_, None) => Ok(Some(Value::text(""))),
    })
}

fn has_content(value: &Value<'_>) -> bool {
    match value {
        Value::Text(text) => !text.is_empty(),
        Value::Sequence(items) => !items.is_empty(),
        Value::Hash(hash) => !hash.keys().is_empty(),
        Value::Number(_) | Value::Bool(_) | Value::Date(..) | Value::Macro(_) => true,
    }
}

fn about_loop<'a>(
    run: &Run<'_, 'a>,
    whole: &Expression,
    left: &Expression,
    name: &str,
) -> Result<Option<Value<'a>>, Error> {
    if !matches!(name, "index" | "counter" | "has_next" | "is_first" | "is_last") {
        return Ok(None);
    }
    let Some(found) = run.loop_of(left) else {
        return Err(run.failure(
            whole.start,
            whole.end,
            "the left side of this built-in must be a loop variable",
        ));
    };
    let integer = |value: usize| Value::integer(i64::try_from(value).unwrap_or(i64::MAX));
    Ok(Some(match name {
        "index" => integer(found.index),
        "counter" => integer(found.index + 1),
        "has_next" => Value::Bool(found.index + 1 < found.size),
        "is_first" => Value::Bool(found.index == 0),
        _ => Value::Bool(found.index + 1 == found.size),
    }))
}

fn about_type(value: &Value<'_>, name: &str) -> Option<bool> {
    Some(match name {
        "is_string" => matches!(value, Value::Text(_)),
        "is_number" => matches!(value, Value::Number(_)),
        "is_boolean" => matches!(value, Value::Bool(_)),
        "is_date" | "is_date_like" => matches!(value, Value::Date(..)),
        "is_sequence" | "is_enumerable" | "is_indexable" => matches!(value, Value::Sequence(_)),
        "is_hash" | "is_hash_ex" => matches!(value, Value::Hash(_)),
        "is_macro" => matches!(value, Value::Macro(_)),
        _ => return None,
    })
}

struct Call<'r, 's, 'a, 'e> {
    run: &'r mut Run<'s, 'a>,
    whole: &'e Expression,
    left: &'e Expression,
    name: &'e str,
    arguments: &'e [Expression],
}

impl<'a> Call<'_, '_, 'a, '_> {
    fn wrong(&self, wanted: &str, found: &Value<'a>) -> Error {
        self.run.expected(self.left, wanted, found)
    }

    fn fail(&self, message: &str) -> Error {
        self.run.failure(self.whole.start, self.whole.end, &format!("?{}: {message}", self.name))
    }

    fn argument(&mut self, index: usize) -> Result<Value<'a>, Error> {
        let arguments = self.arguments;
        match arguments.get(index) {
            Some(expression) => self.run.require(expression),
            None => Err(self.fail(&format!("argument {} is missing", index + 1))),
        }
    }

    fn text_argument(&mut self, index: usize) -> Result<String, Error> {
        let value = self.argument(index)?;
        self.run.printed(self.whole, &value)
    }

    fn printed(&mut self, value: &Value<'a>) -> Result<Value<'a>, Error> {
        let computer = self.name == "c";
        Ok(Value::text(match value {
            Value::Number(number) if computer => format::computer(*number),
            Value::Number(number) if !self.arguments.is_empty() => {
                let pattern = self.text_argument(0)?;
                format::number(*number, &pattern)
            }
            Value::Bool(value) if self.arguments.len() == 2 && !computer => {
                self.text_argument(usize::from(!*value))?
            }
            Value::Bool(value) => value.to_string(),
            Value::Date(moment, _) if !self.arguments.is_empty() && !computer => {
                let pattern = self.text_argument(0)?;
                format::date(*moment, &pattern)
            }
            other if computer => return Err(self.wrong("number or boolean", other)),
            other => self.run.printed(self.whole, other)?,
        }))
    }

    fn then(&mut self, value: &Value<'a>) -> Applied<'a> {
        let Value::Bool(condition) = value else { return Err(self.wrong("boolean", value)) };
        self.argument(usize::from(!*condition)).map(Some)
    }

    fn sequence(&mut self, value: &Value<'a>) -> Applied<'a> {
        if let (Value::Hash(hash), "keys" | "size") = (value, self.name) {
            let keys = hash.keys();
            let size = Value::integer(i64::try_from(keys.len()).unwrap_or(i64::MAX));
            let keys = keys.into_iter().map(Value::text).collect();
            return Ok(Some(if self.name == "size" { size } else { Value::list(keys) }));
        }
        let Value::Sequence(items) = value else { return Err(self.wrong("sequence", value)) };
        let items = Rc::clone(items);
        match self.name {
            "size" => Ok(Some(Value::integer(i64::try_from(items.len()).unwrap_or(i64::MAX)))),
            "first" => Ok(items.get(0)),
            "last" => Ok(items.len().checked_sub(1).and_then(|i| items.get(i))),
            "keys" => Err(self.wrong("hash", value)),
            _ => {
                self.run.spend(self.whole, items.len())?;
                self.whole_sequence(&*items).map(Some)
            }
        }
    }

    fn whole_sequence(&mut self, items: &(dyn Sequence<'a> + 'a)) -> Result<Value<'a>, Error> {
        let values: Vec<Value<'a>> = (0..items.len()).filter_map(|i| items.get(i)).collect();
        if self.name == "reverse" {
            return Ok(Value::list(values.into_iter().rev().collect()));
        }
        let needle = self.text_argument(0)?;
        if self.name == "seq_contains" {
            let mut texts = values.iter().map(|v| self.run.printed(self.whole, v));
            return texts.try_fold(false, |found, text| Ok(found || text? == needle)).map(Value::Bool);
        }
        let mut joined = String::new();
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                joined.push_str(&needle);
            }
            joined.push_str(&self.run.printed(self.whole, value)?);
            self.run.spend(self.whole, joined.len() / (index + 1))?;
        }
        self.run.bounded(self.whole, joined)
    }

    fn numeric(&mut self, value: &Value<'a>) -> Result<Value<'a>, Error> {
        let Value::Number(number) = value else { return Err(self.wrong("number", value)) };
        let half = Decimal::parse("0.5").unwrap_or(*number);
        let down = |number: Decimal| {
            let cut = number.truncated();
            if number.is_negative() && cut != number {
                cut.add(Decimal::from(-1)).unwrap_or(cut)
            } else {
                cut
            }
        };
        Ok(Value::Number(match self.name {
            "abs" if number.is_negative() => number.negated(),
            "abs" => *number,
            "int" => number.truncated(),
            "floor" => down(*number),
            _ => down(number.add(half).unwrap_or(*number)),
        }))
    }

    fn date(&mut self, value: &Value<'a>) -> Result<Value<'a>, Error> {
        let (kind, usual) = match self.name {
            "date" => (DateKind::Date, "yyyy-MM-dd"),
            "time" => (DateKind::Time, "HH:mm:ss"),
            _ => (DateKind::DateTime, "yyyy-MM-dd HH:mm:ss"),
        };
        if let Value::Date(moment, _) = value {
            return Ok(Value::Date(*moment, kind));
        }
        let Value::Text(text) = value else { return Err(self.wrong("string or date", value)) };
        let pattern = if self.arguments.is_empty() { usual.to_owned() } else { self.text_argument(0)? };
        match format::parse_date(text, &pattern) {
            Some(moment) => Ok(Value::Date(moment, kind)),
            None => {
                Err(self.fail(&format!("The string doesn't match the expected date format \"{pattern}\"")))
            }
        }
    }

    fn text(&mut self, value: &Value<'a>) -> Result<Value<'a>, Error> {
        let owned;
        let text = match value {
            Value::Text(text) => &**text,
            Value::Number(_) | Value::Date(..) => {
                owned = self.run.printed(self.left, value)?;
                &owned
            }
            other => return Err(self.wrong("string", other)),
        };
        let converted = match self.name {
            "json_string" => format::script(text, true),
            "js_string" => format::script(text, false),
            "html" | "xhtml" | "xml" => format::html(text),
            "trim" => text.trim().to_owned(),
            "upper_case" => text.to_uppercase(),
            "lower_case" => text.to_lowercase(),
            "cap_first" => recased(text, char::to_ascii_uppercase),
            "uncap_first" => recased(text, char::to_ascii_lowercase),
            _ => return self.text_with_arguments(text),
        };
        self.run.bounded(self.whole, converted)
    }

    fn text_with_arguments(&mut self, text: &str) -> Result<Value<'a>, Error> {
        let count = |n: usize| Value::integer(i64::try_from(n).unwrap_or(i64::MAX));
        match self.name {
            "length" => Ok(count(text.encode_utf16().count())),
            "number" => Decimal::parse(text)
                .map(Value::Number)
                .ok_or_else(|| self.fail(&format!("Can't convert this string to number: \"{text}\""))),
            "contains" => Ok(Value::Bool(text.contains(&self.text_argument(0)?))),
            "starts_with" => Ok(Value::Bool(text.starts_with(&self.text_argument(0)?))),
            "ends_with" => Ok(Value::Bool(text.ends_with(&self.text_argument(0)?))),
            "index_of" => {
                let needle = self.text_argument(0)?;
                Ok(text
                    .find(&needle)
                    .map_or(Value::integer(-1), |at| count(text[..at].encode_utf16().count())))
            }
            "replace" => self.replace(text),
            "split" => {
                let separator = self.text_argument(0)?;
                self.run.spend(self.whole, text.len())?;
                Ok(Value::list(text.split(&separator).map(|p| Value::text(p.to_owned())).collect()))
            }
            "substring" => self.substring(text),
            "left_pad" | "right_pad" => self.pad(text),
            _ => Err(self.fail("is not applicable here")),
        }
    }

    fn replace(&mut self, text: &str) -> Result<Value<'a>, Error> {
        let (from, to) = (self.text_argument(0)?, self.text_argument(1)?);
        if self.arguments.len() > 2 {
            return Err(self.fail("flags are not supported"));
        }
        let hits = text.matches(&from).count();
        self.run.spend(self.whole, text.len().saturating_add(hits.saturating_mul(to.len())))?;
        self.run.bounded(self.whole, text.replace(&from, &to))
    }

    fn substring(&mut self, text: &str) -> Result<Value<'a>, Error> {
        let arguments = self.arguments;
        let mut bound = |index: usize| match arguments.get(index) {
            Some(expression) => self.run.integer(expression).map(|n| usize::try_from(n).ok()),
            None => Ok(Some(usize::MAX)),
        };
        let (from, to) = (bound(0)?, bound(1)?);
        let size = text.chars().count();
        match (from, to.map(|to| if to == usize::MAX { size } else { to })) {
            (Some(from), Some(to)) if from <= to && to <= size => {
                Ok(Value::text(text.chars().skip(from).take(to - from).collect::<String>()))
            }
            _ => Err(self.fail("the indexes are out of bounds")),
        }
    }

    fn pad(&mut self, text: &str) -> Result<Value<'a>, Error> {
        let arguments = self.arguments;
        let Some(width) = arguments.first() else { return Err(self.fail("argument 1 is missing")) };
        let width = usize::try_from(self.run.integer(width)?).unwrap_or(0);
        self.run.spend(self.whole, width)?;
        let fill = if arguments.len() > 1 { self.text_argument(1)? } else { " ".to_owned() };
        let missing = width.saturating_sub(text.chars().count());
        let padding: String = fill.chars().cycle().take(missing).collect();
        let padded = if self.name == "left_pad" { padding + text } else { text.to_owned() + &padding };
        self.run.bounded(self.whole, padded)
    }
}

fn recased(text: &str, change: fn(&char) -> char) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| change(&first).to_string() + chars.as_str())
}
