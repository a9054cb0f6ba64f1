//! Texts and lists that cannot be longer than they may be. What is made here is cut, because a status that is too long
//! is still worth sending; what is read from outside is refused, because a cut text could mean something else.

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::marker::PhantomData;

/// A text of at most `MAX` bytes.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Text<const MAX: usize>(String);

/// An id, a name, a version.
pub type Name = Text<128>;
/// A sentence.
pub type Line = Text<512>;
/// A paragraph.
pub type Words = Text<4096>;
/// A whole configuration.
pub type Document = Text<{ 512 << 10 }>;
/// A sealed secret, armored.
pub type Armor = Text<{ 64 << 10 }>;
/// A sealed webhook, base64.
pub type SealedBody = Text<{ 2 << 20 }>;

/// Most reports in one request, and most deliveries in one answer.
pub const PER_MESSAGE: usize = 256;
/// Largest request or answer of the link, in bytes.
pub const LARGEST_MESSAGE: usize = 8 << 20;

impl<const MAX: usize> Text<MAX> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a text as it is.
    ///
    /// # Errors
    /// [`TooLong`] when it has more than `MAX` bytes.
    pub fn whole(text: impl Into<String>) -> Result<Self, TooLong> {
        let text = text.into();
        if text.len() > MAX { Err(TooLong { is: text.len(), most: MAX }) } else { Ok(Self(text)) }
    }
}

/// A text that is longer than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("has {is} bytes, at most {most} are allowed")]
pub struct TooLong {
    /// How long it is.
    pub is: usize,
    /// How long it may be.
    pub most: usize,
}

impl<const MAX: usize> From<String> for Text<MAX> {
    fn from(mut text: String) -> Self {
        if text.len() > MAX {
            const CUT: &str = "…";
            let mut end = MAX.saturating_sub(CUT.len());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            if MAX >= CUT.len() {
                text.push_str(CUT);
            }
        }
        Self(text)
    }
}

impl<const MAX: usize> From<&str> for Text<MAX> {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX: usize> fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::whole(String::deserialize(from)?).map_err(|error| D::Error::custom(format!("a text {error}")))
    }
}

/// A list of at most `MAX` entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct List<T, const MAX: usize = PER_MESSAGE>(Vec<T>);

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> List<T, MAX> {
    /// The entries.
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }

    /// The entries, to keep.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The first `MAX` of them.
impl<T, const MAX: usize> FromIterator<T> for List<T, MAX> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        Self(entries.into_iter().take(MAX).collect())
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(ListVisitor::<T, MAX>(PhantomData)).map(Self)
    }
}

struct ListVisitor<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for ListVisitor<T, MAX> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX} entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element()? {
            if list.len() == MAX {
                return Err(A::Error::custom(format!("a list has more than {MAX} entries")));
            }
            list.push(entry);
        }
        Ok(list)
    }
}
