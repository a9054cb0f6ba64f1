//! JSON as the simulated ERPs treat it: numbers stay the text they were sent as, so that no amount passes through a binary
//! float, and rows keep members that nobody knows.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::amount::Amount;

/// A row: members by name.
pub(super) type Row = BTreeMap<Cow<'static, str>, Json>;

/// Deepest nesting taken.
const DEEPEST: usize = 64;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) enum Json {
    #[default]
    Null,
    Bool(bool),
    /// A number as text.
    Num(Box<str>),
    Str(String),
    Arr(Vec<Json>),
    Obj(Row),
}

impl Json {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        reader.blanks();
        if reader.at == text.len() {
            Ok(value)
        } else {
            Err(format!("something follows the value at {}", reader.at))
        }
    }

    pub(super) fn str(text: &str) -> Self {
        Self::Str(text.to_owned())
    }

    pub(super) fn int(number: i64) -> Self {
        Self::Num(number.to_string().into())
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Num(text) => text.parse().ok(),
            _ => None,
        }
    }

    pub(super) fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    pub(super) fn as_amount(&self) -> Option<Amount> {
        match self {
            Self::Num(text) => Amount::parse(text),
            _ => None,
        }
    }

    pub(super) fn as_row(&self) -> Option<&Row> {
        match self {
            Self::Obj(row) => Some(row),
            _ => None,
        }
    }

    pub(super) fn rows(&self) -> &[Json] {
        match self {
            Self::Arr(rows) => rows,
            _ => &[],
        }
    }

    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Num(text) => out.push_str(text),
            Self::Str(text) => quote(text, out),
            Self::Arr(values) => {
                out.push('[');
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    value.write(out);
                }
                out.push(']');
            }
            Self::Obj(row) => {
                out.push('{');
                for (index, (name, value)) in row.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    quote(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Json {
    fn from(value: i64) -> Self {
        Self::int(value)
    }
}

impl From<i32> for Json {
    fn from(value: i32) -> Self {
        Self::int(i64::from(value))
    }
}

impl From<&str> for Json {
    fn from(value: &str) -> Self {
        Self::str(value)
    }
}

impl From<String> for Json {
    fn from(value: String) -> Self {
        Self::Str(value)
    }
}

impl From<Amount> for Json {
    fn from(value: Amount) -> Self {
        Self::Num(value.to_string().into())
    }
}

impl From<Row> for Json {
    fn from(value: Row) -> Self {
        Self::Obj(value)
    }
}

impl From<Vec<Json>> for Json {
    fn from(value: Vec<Json>) -> Self {
        Self::Arr(value)
    }
}

/// A row from pairs.
pub(super) fn row<const N: usize>(pairs: [(&'static str, Json); N]) -> Row {
    pairs.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect()
}

/// Sets a member.
pub(super) fn put(row: &mut Row, name: &'static str, value: impl Into<Json>) {
    row.insert(Cow::Borrowed(name), value.into());
}

/// A text member; absent and null read as empty.
pub(super) fn text_of<'a>(row: &'a Row, name: &str) -> &'a str {
    row.get(name).and_then(Json::as_str).unwrap_or_default()
}

/// An integer member; absent reads as 0.
pub(super) fn int_of(row: &Row, name: &str) -> i64 {
    row.get(name).and_then(Json::as_i64).unwrap_or_default()
}

/// An amount member; absent reads as 0.
pub(super) fn amount_of(row: &Row, name: &str) -> Amount {
    row.get(name).and_then(Json::as_amount).unwrap_or_default()
}

/// A flag; absent reads as false.
pub(super) fn flag_of(row: &Row, name: &str) -> bool {
    row.get(name).and_then(Json::as_bool).unwrap_or_default()
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if (control as u32) < 0x20 => {
                // Writing to a String cannot fail.
                let _written = write!(out, "\\u{:04x}", control as u32);
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, token: &str, value: Json) -> Result<Json, String> {
        if self.text[self.at..].starts_with(token) {
            self.at += token.len();
            Ok(value)
        } else {
            Err(format!("unexpected text at {}", self.at))
        }
    }

    fn value(&mut self, depth: usize) -> Result<Json, String> {
        if depth > DEEPEST {
            return Err("nested too deeply".to_owned());
        }
        self.blanks();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Json::Str),
            Some(b't') => self.expect("true", Json::Bool(true)),
            Some(b'f') => self.expect("false", Json::Bool(false)),
            Some(b'n') => self.expect("null", Json::Null),
            Some(b'-' | b'0'..=b'9') => Ok(self.number()),
            _ => Err(format!("unexpected text at {}", self.at)),
        }
    }

    fn number(&mut self) -> Json {
        let start = self.at;
        while matches!(self.peek(), Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            self.at += 1;
        }
        Json::Num(self.text[start..self.at].into())
    }

    fn array(&mut self, depth: usize) -> Result<Json, String> {
        self.at += 1;
        let mut values = Vec::new();
        loop {
            self.blanks();
            match self.peek() {
                Some(b']') if values.is_empty() => {
                    self.at += 1;
                    return Ok(Json::Arr(values));
                }
                _ => values.push(self.value(depth + 1)?),
            }
            if self.next_or_end(b']')? {
                return Ok(Json::Arr(values));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, String> {
        self.at += 1;
        let mut members = Row::new();
        loop {
            self.blanks();
            match self.peek() {
                Some(b'}') if members.is_empty() => {
                    self.at += 1;
                    return Ok(Json::Obj(members));
                }
                Some(b'"') => {}
                _ => return Err(format!("a member name is expected at {}", self.at)),
            }
            let name = self.string()?;
            self.blanks();
            self.expect(":", Json::Null)?;
            let value = self.value(depth + 1)?;
            members.insert(Cow::Owned(name), value);
            if self.next_or_end(b'}')? {
                return Ok(Json::Obj(members));
            }
        }
    }

    fn next_or_end(&mut self, end: u8) -> Result<bool, String> {
        self.blanks();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(false)
            }
            Some(byte) if byte == end => {
                self.at += 1;
                Ok(true)
            }
            _ => Err(format!("a comma or an end is expected at {}", self.at)),
        }
    }

    fn string(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let stop = rest.find(['"', '\\']).ok_or("a text has no end")?;
            out.push_str(&rest[..stop]);
            self.at += stop + 1;
            if rest.as_bytes()[stop] == b'"' {
                return Ok(out);
            }
            let escape = self.peek().ok_or("a text has no end")?;
            self.at += 1;
            match escape {
                b'"' | b'\\' | b'/' => out.push(escape as char),
                b'b' => out.push('\u{8}'),
                b'f' => out.push('\u{c}'),
                b'n' => out.push('\n'),
                b'r' => out.push('\r'),
                b't' => out.push('\t'),
                b'u' => out.push(self.escaped_letter()?),
                _ => return Err(format!("unknown escape at {}", self.at)),
            }
        }
    }

    fn escaped_letter(&mut self) -> Result<char, String> {
        let first = self.hex4()?;
        if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with("\\u") {
            self.at += 2;
            let second = self.hex4()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return char::from_u32(code).ok_or_else(|| "bad escape".to_owned());
            }
            return Err("half of a surrogate pair".to_owned());
        }
        char::from_u32(first).ok_or_else(|| "half of a surrogate pair".to_owned())
    }

    fn hex4(&mut self) -> Result<u32, String> {
        let digits = self.text.get(self.at..self.at + 4).ok_or("bad escape")?;
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|_| "bad escape".to_owned())
    }
}
