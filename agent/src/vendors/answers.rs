//! What the answers of every ERP have in common: a body that cannot be read, members of the wrong type, a refusal with
//! its cause in the vendor's own terms.

use super::http::Effect;
use serde::Deserialize as _;
use serde_json::Value;
use spend::posting::{Failure, FailureClass};

/// What an answer could not be read as.
#[derive(Debug, thiserror::Error)]
#[error("the answer is not {wanted}")]
pub struct Unreadable {
    wanted: &'static str,
    #[source]
    source: Option<serde_json::Error>,
}

impl Unreadable {
    /// Its content is another one.
    pub fn new(wanted: &'static str) -> Self {
        Self { wanted, source: None }
    }

    /// Its JSON is.
    pub fn json(wanted: &'static str, source: serde_json::Error) -> Self {
        Self { wanted, source: Some(source) }
    }
}

/// A text, or whatever stands in its place: a member of the wrong type must not hide the rest of an error body.
///
/// # Errors
/// What is no JSON at all.
pub fn lenient<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    })
}

/// The causes by which a vendor's client decides what is done next.
pub trait Causes {
    /// The identity was refused.
    const UNAUTHORISED: Self;
    /// Nothing more is known than the class of the failure.
    const OTHER: Self;
}

/// One printable line of at most 300 characters, without a full stop.
pub fn one_line(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    let line: String = words.join(" ").chars().take(300).collect();
    line.trim_end_matches('.').to_owned()
}

/// What to know about the call whose answer is judged.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Name of the operation.
    pub operation: &'static str,
    /// Whether it may have changed something.
    pub effect: Effect,
    /// How long a maintenance is waited for whose end is not told.
    pub maintenance_minutes: u16,
}

impl Asked {
    /// The class of an outcome that says nothing about the effect.
    pub fn unknown(&self) -> FailureClass {
        match self.effect {
            Effect::Read => FailureClass::Unavailable,
            Effect::Write => FailureClass::InDoubt,
        }
    }

    /// A success whose body cannot be read.
    pub fn unreadable<K: Causes>(&self, why: &dyn std::fmt::Display) -> Refusal<K> {
        let message = format!("{}: unreadable answer: {why}", self.operation);
        Refusal { kind: K::OTHER, failure: Failure::new(self.unknown(), message) }
    }
}

/// A call that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal<K> {
    /// What it means to the step that made it.
    pub kind: K,
    /// What the flow sees.
    pub failure: Failure,
}

impl<K: Causes> From<Failure> for Refusal<K> {
    fn from(failure: Failure) -> Self {
        let unauthorised = failure.class == FailureClass::Unauthorised;
        Self { kind: if unauthorised { K::UNAUTHORISED } else { K::OTHER }, failure }
    }
}

impl<K> From<Refusal<K>> for Failure {
    fn from(refusal: Refusal<K>) -> Self {
        refusal.failure
    }
}
