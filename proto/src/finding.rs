//! One fault of a configuration: where it is, what is wrong, why that matters and how to mend it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One fault of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConfigFinding {
    /// Where: `flow[0].schedule`, `connection[1].url`; empty = the whole file.
    pub path: String,
    /// Line in the text, from 1, when it was read from a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Column in that line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// What is wrong.
    pub what: String,
    /// Why that is refused; empty when it goes without saying.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// How to mend it.
    pub fix: String,
}

impl ConfigFinding {
    /// A fault at a path.
    pub fn new(path: impl Into<String>, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            line: None,
            column: None,
            what: what.into(),
            why: String::new(),
            fix: fix.into(),
        }
    }

    /// Says why.
    #[must_use]
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    /// Says where in a text, from a byte offset.
    #[must_use]
    pub fn at_offset(mut self, text: &str, offset: usize) -> Self {
        let before = text.get(..offset.min(text.len())).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        self.line = Some(before.matches('\n').count() + 1);
        self.column = Some(before[line_start..].chars().count() + 1);
        self
    }
}

impl fmt::Display for ConfigFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.path.is_empty() { "configuration" } else { &self.path };
        f.write_str(place)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, " (line {line}, column {column})")?;
        }
        write!(f, ": {}", self.what)?;
        if !self.why.is_empty() {
            write!(f, ", because {}", self.why)?;
        }
        write!(f, "; {}", self.fix)
    }
}
