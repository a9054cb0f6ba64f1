//! Cuts a template into text, interpolations, directives and comments, and strips the white space that FreeMarker
//! strips: lines that hold only directives leave nothing behind, not even their line break.

use super::{Error, syntax};

/// A piece of a template. Offsets are bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Text(String),
    /// What stands between `${` and `}`.
    Output {
        start: usize,
        end: usize,
    },
    /// `<#name inside>`: the name, then from after the name to before `>` or `/>`.
    Open {
        name: String,
        start: usize,
        end: usize,
    },
    /// `</#name>`.
    Close {
        name: String,
        start: usize,
    },
    /// `<@inside>`; `empty` = closed by `/>`.
    Call {
        start: usize,
        end: usize,
        empty: bool,
    },
    /// `</@name>`.
    CloseCall {
        start: usize,
    },
    Comment,
}

pub(super) fn scan(source: &str) -> Result<Vec<Token>, Error> {
    let mut scanner = Scanner { source, at: 0, tokens: Vec::new(), text: String::new() };
    scanner.run()?;
    let mut tokens = scanner.tokens;
    strip(&mut tokens);
    Ok(tokens)
}

/// Cuts the contents of a text literal: only text and interpolations.
pub(super) fn scan_literal(source: &str, start: usize, end: usize) -> Result<Vec<(usize, usize)>, Error> {
    let mut outputs = Vec::new();
    let mut at = start;
    while let Some(found) = source[at..end].find("${") {
        let inner = at + found + 2;
        let close = end_of_interpolation(source, inner)?;
        if close > end {
            return Err(syntax(source, inner, "unclosed interpolation in a string literal"));
        }
        outputs.push((inner, close));
        at = close + 1;
    }
    Ok(outputs)
}

struct Scanner<'s> {
    source: &'s str,
    at: usize,
    tokens: Vec<Token>,
    text: String,
}

impl Scanner<'_> {
    fn run(&mut self) -> Result<(), Error> {
        let source = self.source;
        while self.at < source.len() {
            let rest = &source[self.at..];
            if rest.starts_with("${") {
                let start = self.at + 2;
                let end = end_of_interpolation(self.source, start)?;
                self.push(Token::Output { start, end }, end + 1);
            } else if rest.starts_with("#{") {
                return Err(syntax(self.source, self.at, "#{...} is not supported, use ${...}"));
            } else if rest.starts_with("<#--") {
                let end = rest.find("-->").ok_or_else(|| syntax(self.source, self.at, "unclosed comment"))?;
                self.push(Token::Comment, self.at + end + 3);
            } else if let Some(inner) = rest.strip_prefix("</#") {
                self.close(inner)?;
            } else if rest.starts_with("</@") {
                let end = rest.find('>').ok_or_else(|| syntax(self.source, self.at, "unclosed tag"))?;
                self.push(Token::CloseCall { start: self.at }, self.at + end + 1);
            } else if let Some(inner) = rest.strip_prefix("<#") {
                self.open(inner)?;
            } else if rest.starts_with("<@") {
                let start = self.at + 2;
                let (end, next, empty) = end_of_tag(self.source, start)?;
                self.push(Token::Call { start, end, empty }, next);
            } else {
                self.plain(rest);
            }
        }
        self.flush();
        Ok(())
    }

    fn plain(&mut self, rest: &str) {
        let first = rest.chars().next().map_or(1, char::len_utf8);
        let length = rest[first..].find(['<', '$', '#']).map_or(rest.len(), |found| found + first);
        self.text.push_str(&rest[..length]);
        self.at += length;
    }

    fn open(&mut self, inner: &str) -> Result<(), Error> {
        let name = directive_name(inner);
        if name.is_empty() {
            self.text.push_str("<#");
            self.at += 2;
            return Ok(());
        }
        let start = self.at + 2 + name.len();
        let (name, token_start) = (name.to_owned(), start);
        let (end, next, _) = end_of_tag(self.source, start)?;
        if name == "noparse" {
            return self.no_parse(next);
        }
        self.push(Token::Open { name, start: token_start, end }, next);
        Ok(())
    }

    fn no_parse(&mut self, next: usize) -> Result<(), Error> {
        const END: &str = "</#noparse>";
        let length =
            self.source[next..].find(END).ok_or_else(|| syntax(self.source, self.at, "unclosed #noparse"))?;
        let raw = self.source[next..next + length].to_owned();
        self.push(Token::Comment, next);
        self.text.push_str(&raw);
        self.at = next + length + END.len();
        Ok(())
    }

    fn close(&mut self, inner: &str) -> Result<(), Error> {
        let name = directive_name(inner).to_owned();
        let after = inner[name.len()..].trim_start();
        if name.is_empty() || !after.starts_with('>') {
            return Err(syntax(self.source, self.at, "malformed end tag"));
        }
        let next = self.source.len() - after.len() + 1;
        self.push(Token::Close { name, start: self.at }, next);
        Ok(())
    }

    fn push(&mut self, token: Token, next: usize) {
        self.flush();
        self.tokens.push(token);
        self.at = next;
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.tokens.push(Token::Text(std::mem::take(&mut self.text)));
        }
    }
}

fn directive_name(inner: &str) -> &str {
    let end = inner.find(|c: char| !c.is_ascii_alphabetic() && c != '_').unwrap_or(inner.len());
    &inner[..end]
}

/// Where the tag's inside ends, where the text goes on, and whether it ended with `/>`.
fn end_of_tag(source: &str, start: usize) -> Result<(usize, usize, bool), Error> {
    let bytes = source.as_bytes();
    let (mut at, mut nesting) = (start, 0_usize);
    while at < bytes.len() {
        match bytes[at] {
            b'"' | b'\'' => at = end_of_literal(source, at)?,
            b'<' if source[at..].starts_with("<#--") => {
                let end = source[at..].find("-->").ok_or_else(|| syntax(source, at, "unclosed comment"))?;
                at += end + 2;
            }
            b'(' | b'[' | b'{' => nesting += 1,
            b')' | b']' | b'}' => nesting = nesting.saturating_sub(1),
            b'/' if nesting == 0 && bytes.get(at + 1) == Some(&b'>') => return Ok((at, at + 2, true)),
            b'>' if nesting == 0 => return Ok((at, at + 1, false)),
            _ => {}
        }
        at += 1;
    }
    Err(syntax(source, start, "unclosed tag: \">\" is missing"))
}

fn end_of_interpolation(source: &str, start: usize) -> Result<usize, Error> {
    let bytes = source.as_bytes();
    let (mut at, mut nesting) = (start, 0_usize);
    while at < bytes.len() {
        match bytes[at] {
            b'"' | b'\'' => at = end_of_literal(source, at)?,
            b'{' => nesting += 1,
            b'}' if nesting == 0 => return Ok(at),
            b'}' => nesting -= 1,
            _ => {}
        }
        at += 1;
    }
    Err(syntax(source, start, "unclosed interpolation: \"}\" is missing"))
}

/// Offset of the closing quote. A raw literal (`r"..."`) knows no escapes.
pub(super) fn end_of_literal(source: &str, start: usize) -> Result<usize, Error> {
    let bytes = source.as_bytes();
    let quote = bytes[start];
    let raw = is_raw(bytes, start);
    let mut at = start + 1;
    while at < bytes.len() {
        if bytes[at] == b'\\' && !raw {
            at += 1;
        } else if bytes[at] == quote {
            return Ok(at);
        }
        at += 1;
    }
    Err(syntax(source, start, "unclosed string literal"))
}

/// Whether the quote at `start` opens a raw literal.
pub(super) fn is_raw(bytes: &[u8], start: usize) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    start > 0 && bytes[start - 1] == b'r' && (start < 2 || !word(bytes[start - 2]))
}

/// What white-space stripping needs to know of a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trim {
    Left,
    Right,
    Both,
    None,
}

fn trim_of(token: &Token) -> Option<Trim> {
    let Token::Open { name, .. } = token else { return None };
    match name.as_str() {
        "t" => Some(Trim::Both),
        "lt" => Some(Trim::Left),
        "rt" => Some(Trim::Right),
        "nt" => Some(Trim::None),
        _ => None,
    }
}

fn strip(tokens: &mut Vec<Token>) {
    let stripped: Vec<Option<String>> = (0..tokens.len()).map(|index| stripped_text(tokens, index)).collect();
    for (token, text) in tokens.iter_mut().zip(stripped) {
        if let Some(text) = text {
            *token = Token::Text(text);
        }
    }
    drop_ignorable(tokens);
}

fn stripped_text(tokens: &[Token], index: usize) -> Option<String> {
    let Token::Text(text) = &tokens[index] else { return None };
    let (from, kept) = opening_strip(tokens, index, text);
    let (to, tail) = trailing_strip(tokens, index, text);
    Some(kept + text.get(from..to).unwrap_or("") + tail)
}

/// How many bytes at the start of the text fall away, and what replaces them.
fn opening_strip(tokens: &[Token], index: usize, text: &str) -> (usize, String) {
    let Some(newline) = text.find('\n') else { return (0, String::new()) };
    let first_line = &text[..=newline];
    let mut plain = index > 0;
    for before in (0..index).rev() {
        match trim_of(&tokens[before]) {
            Some(Trim::Right | Trim::Both) => return (newline + 1, first_line.trim_end().to_owned()),
            Some(Trim::None) => return (0, String::new()),
            Some(Trim::Left) | None => {}
        }
        match &tokens[before] {
            Token::Output { .. } => plain = false,
            Token::Text(other) => {
                let line = other.rsplit('\n').next().unwrap_or("");
                let breaks = other.contains('\n');
                plain &= (line.trim().is_empty() && breaks) || ignorable(tokens, before);
                if breaks {
                    break;
                }
            }
            Token::Open { .. }
            | Token::Close { .. }
            | Token::Call { .. }
            | Token::CloseCall { .. }
            | Token::Comment => {}
        }
    }
    if plain && first_line.trim().is_empty() { (newline + 1, String::new()) } else { (0, String::new()) }
}

/// Up to where the text stays as it is, and what is left of its last line after that.
fn trailing_strip<'t>(tokens: &[Token], index: usize, text: &'t str) -> (usize, &'t str) {
    let from = match text.rfind('\n') {
        Some(newline) => newline + 1,
        None if index == 0 => 0,
        None => return (text.len(), ""),
    };
    let last_line = &text[from..];
    let mut plain = index > 0;
    for after in index + 1..tokens.len() {
        match trim_of(&tokens[after]) {
            Some(Trim::Left | Trim::Both) => return (from, last_line.trim_start()),
            Some(Trim::None) => return (text.len(), ""),
            Some(Trim::Right) | None => {}
        }
        match &tokens[after] {
            Token::Output { .. } => plain = false,
            Token::Text(other) => {
                let line = other.split('\n').next().unwrap_or("");
                let breaks = other.contains('\n');
                plain &= (line.trim().is_empty() && breaks) || ignorable(tokens, after);
                if breaks {
                    break;
                }
            }
            Token::Open { .. }
            | Token::Close { .. }
            | Token::Call { .. }
            | Token::CloseCall { .. }
            | Token::Comment => {}
        }
    }
    if plain && last_line.trim().is_empty() { (from, "") } else { (text.len(), "") }
}

/// White space between definitions is no output.
fn ignorable(tokens: &[Token], index: usize) -> bool {
    let Token::Text(text) = &tokens[index] else { return false };
    let silent_before = match index.checked_sub(1).map(|i| &tokens[i]) {
        None | Some(Token::Comment) => true,
        Some(Token::Close { name, .. }) => is_definition(name),
        Some(Token::Open { name, .. }) => is_single_definition(name) && !opens_block(tokens, index - 1),
        Some(_) => false,
    };
    let silent_after = match tokens.get(index + 1) {
        None | Some(Token::Comment) => true,
        Some(Token::Open { name, .. }) => is_definition(name) || is_single_definition(name),
        Some(_) => false,
    };
    text.trim().is_empty() && silent_before && silent_after
}

fn is_definition(name: &str) -> bool {
    matches!(name, "macro" | "function" | "assign" | "global" | "local")
}

fn is_single_definition(name: &str) -> bool {
    matches!(name, "assign" | "global" | "local" | "setting" | "ftl" | "import")
}

/// Whether the assignment at `index` is the kind that captures what follows.
fn opens_block(tokens: &[Token], index: usize) -> bool {
    let Token::Open { name, .. } = &tokens[index] else { return false };
    tokens[index + 1..]
        .iter()
        .find_map(|t| match t {
            Token::Close { name: closed, .. } if closed == name => Some(true),
            Token::Open { name: opened, .. } if opened == name => Some(false),
            _ => None,
        })
        .unwrap_or(false)
}

fn drop_ignorable(tokens: &mut Vec<Token>) {
    let mut index = 0;
    while index < tokens.len() {
        let empty = matches!(&tokens[index], Token::Text(text) if text.is_empty());
        if empty || ignorable(tokens, index) {
            tokens.remove(index);
        } else {
            index += 1;
        }
    }
}
