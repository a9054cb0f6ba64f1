//! Which keys a mirror is about: a code, the beginning of one, or a range of codes of equal length.

use super::fold;

/// One pattern of `include` or `exclude`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Exactly this key.
    Key(String),
    /// Keys that begin so.
    Beginning(String),
    /// Keys between two of the same length, both included.
    Range(String, String),
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing in it.
    #[error("the pattern is empty")]
    Empty,
    /// A star elsewhere than at the end.
    #[error("a `*` stands elsewhere than at the end")]
    Star,
    /// The ends of a range differ in length, or stand the wrong way round.
    #[error("the ends of the range differ in length or stand the wrong way round")]
    Range,
}

impl Pattern {
    /// Reads `6100`, `61*` or `6000..6999`.
    ///
    /// # Errors
    /// [`PatternError`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let text = fold(text);
        if let Some((from, to)) = text.split_once("..") {
            let sound = !from.is_empty() && from.chars().count() == to.chars().count() && from <= to;
            let plain = !from.contains('*') && !to.contains('*');
            return if sound && plain {
                Ok(Self::Range(from.to_owned(), to.to_owned()))
            } else {
                Err(PatternError::Range)
            };
        }
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        match text.strip_suffix('*') {
            Some(beginning) if !beginning.contains('*') => Ok(Self::Beginning(beginning.to_owned())),
            None if !text.contains('*') => Ok(Self::Key(text)),
            Some(_) | None => Err(PatternError::Star),
        }
    }

    /// Whether a key is meant.
    pub fn holds(&self, key: &str) -> bool {
        let key = fold(key);
        match self {
            Self::Key(own) => key == *own,
            Self::Beginning(beginning) => key.starts_with(beginning),
            Self::Range(from, to) => {
                key.chars().count() == from.chars().count() && *from <= key && key <= *to
            }
        }
    }
}

/// Whether a key is among those that rules are about. Patterns that cannot be read were refused with the configuration.
pub(super) fn admits(include: &[Pattern], exclude: &[Pattern], key: &str) -> bool {
    let within = include.is_empty() || include.iter().any(|pattern| pattern.holds(key));
    within && !exclude.iter().any(|pattern| pattern.holds(key))
}
