//! Values of a data model. Sequences and hashes are looked at lazily, so that a data model of many thousand reports
//! needs no copy.

use super::ast::MacroDefinition;
use super::decimal::Decimal;
use chrono::NaiveDateTime;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// A value. Cheap to copy: texts of the data model are borrowed.
#[derive(Clone)]
pub enum Value<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// Number.
    Number(Decimal),
    /// Boolean.
    Bool(bool),
    /// Date, time or both.
    Date(NaiveDateTime, DateKind),
    /// Sequence.
    Sequence(Rc<dyn Sequence<'a> + 'a>),
    /// Hash.
    Hash(Rc<dyn Hash<'a> + 'a>),
    /// A macro or function of the template.
    #[doc(hidden)]
    Macro(Arc<MacroDefinition>),
}

/// Which parts of a date are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateKind {
    /// Date only.
    Date,
    /// Time only.
    Time,
    /// Both.
    DateTime,
}

/// Members by name.
pub trait Hash<'a> {
    /// The member; `None` = missing.
    fn get(&self, key: &str) -> Option<Value<'a>>;

    /// Names of the members, where they are known.
    fn keys(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Items by position.
pub trait Sequence<'a> {
    /// Number of items.
    fn len(&self) -> usize;

    /// The item.
    fn get(&self, index: usize) -> Option<Value<'a>>;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> Hash<'a> for BTreeMap<String, Value<'a>> {
    fn get(&self, key: &str) -> Option<Value<'a>> {
        BTreeMap::get(self, key).cloned()
    }

    fn keys(&self) -> Vec<String> {
        BTreeMap::keys(self).cloned().collect()
    }
}

impl<'a> Sequence<'a> for Vec<Value<'a>> {
    fn len(&self) -> usize {
        Vec::len(self)
    }

    fn get(&self, index: usize) -> Option<Value<'a>> {
        <[Value<'a>]>::get(self, index).cloned()
    }
}

impl<'a> Value<'a> {
    /// Borrowed or owned text.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }

    /// An integer.
    pub fn integer(value: i64) -> Self {
        Self::Number(Decimal::from(value))
    }

    /// A sequence of ready values.
    pub fn list(items: Vec<Value<'a>>) -> Self {
        Self::Sequence(Rc::new(items))
    }

    /// A hash of ready values.
    pub fn hash<const N: usize>(members: [(&str, Value<'a>); N]) -> Self {
        let members: BTreeMap<String, Value<'a>> =
            members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self::Hash(Rc::new(members))
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "string",
            Value::Number(_) => "number",
            Value::Bool(_) => "boolean",
            Value::Date(..) => "date_or_time_or_datetime",
            Value::Sequence(_) => "sequence",
            Value::Hash(_) => "hash",
            Value::Macro(_) => "macro",
        }
    }
}

/// `from..to`, never laid out in memory.
pub(super) struct Range {
    pub(super) from: i64,
    pub(super) count: usize,
    pub(super) step: i64,
}

impl<'a> Sequence<'a> for Range {
    fn len(&self) -> usize {
        self.count
    }

    fn get(&self, index: usize) -> Option<Value<'a>> {
        let offset = i64::try_from(index).ok().filter(|_| index < self.count)?;
        self.from.checked_add(self.step.checked_mul(offset)?).map(Value::integer)
    }
}
