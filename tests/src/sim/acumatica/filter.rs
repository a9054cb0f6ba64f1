//! `$filter` in the style of OData 3: comparisons, `and`, `or`, `not`, three text functions, and literals that say what
//! they are.

use chrono::{DateTime, NaiveDate, Utc};

use super::contract::{Entity, Kind, Shape};
use super::json::Json;
use super::literal::Style;
use super::record::Record;
use super::refusal::{Outcome, Refusal};
use crate::sim::amount::Amount;

/// A condition.
#[derive(Debug)]
pub(super) enum Filter {
    Or(Box<Filter>, Box<Filter>),
    And(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
    Compare(Field, Comparison, Literal),
    Text(TextTest, Field, String),
    /// A condition on a detail: nobody knows what it finds.
    Nonsense,
}

/// A field with the way to it.
#[derive(Clone, Debug)]
pub(super) struct Field {
    linked: Vec<&'static str>,
    name: String,
    kind: Option<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextTest {
    Contains,
    Starts,
    Ends,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    Text(String),
    Number(Amount),
    Flag(bool),
    Moment(DateTime<Utc>),
    Day(NaiveDate),
    Guid(String),
    Null,
}

/// What a filter is read with.
pub(super) struct Reading {
    pub(super) entity: &'static Entity,
    /// Status of a malformed date.
    pub(super) bad_literal: u16,
    /// `date'..'` is known.
    pub(super) dates: bool,
}

/// How texts are compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Eye {
    pub(super) style: Style,
    pub(super) any_case: bool,
}

impl Filter {
    pub(super) fn parse(text: &str, reading: &Reading) -> Outcome<Self> {
        let mut parser = Parser { tokens: tokens(text)?, at: 0, reading };
        let filter = parser.or(0)?;
        match parser.tokens.get(parser.at) {
            None => Ok(filter),
            Some(token) => Err(syntax(&format!("Syntax error at '{}'.", token.shown()))),
        }
    }

    /// The text that a field of the record itself must have.
    pub(super) fn demanded(&self, name: &str) -> Option<&str> {
        match self {
            Self::And(left, right) => left.demanded(name).or_else(|| right.demanded(name)),
            Self::Compare(field, Comparison::Eq, Literal::Text(text))
                if field.linked.is_empty() && field.name == name =>
            {
                Some(text)
            }
            _ => None,
        }
    }

    /// Whether it joins a field of another view with one of the main view: the vendor then finds nothing.
    pub(super) fn joins_views(&self, foreign: &[String]) -> bool {
        match self {
            Self::And(left, right) => {
                let mut names = Vec::new();
                left.names(&mut names);
                right.names(&mut names);
                let there = |name: &String| foreign.contains(name);
                (names.iter().any(there) && !names.iter().all(there))
                    || left.joins_views(foreign)
                    || right.joins_views(foreign)
            }
            Self::Or(left, right) => left.joins_views(foreign) || right.joins_views(foreign),
            Self::Not(inner) => inner.joins_views(foreign),
            Self::Compare(..) | Self::Text(..) | Self::Nonsense => false,
        }
    }

    fn names(&self, found: &mut Vec<String>) {
        match self {
            Self::And(left, right) | Self::Or(left, right) => {
                left.names(found);
                right.names(found);
            }
            Self::Not(inner) => inner.names(found),
            Self::Compare(field, ..) | Self::Text(_, field, _) => found.push(field.path()),
            Self::Nonsense => {}
        }
    }

    pub(super) fn is_nonsense(&self) -> bool {
        match self {
            Self::And(left, right) | Self::Or(left, right) => left.is_nonsense() || right.is_nonsense(),
            Self::Not(inner) => inner.is_nonsense(),
            Self::Compare(..) | Self::Text(..) => false,
            Self::Nonsense => true,
        }
    }

    pub(super) fn holds(&self, record: &Record, eye: Eye) -> bool {
        match self {
            Self::Or(left, right) => left.holds(record, eye) || right.holds(record, eye),
            Self::And(left, right) => left.holds(record, eye) && right.holds(record, eye),
            Self::Not(inner) => !inner.holds(record, eye),
            // Every other record, whatever the condition says.
            Self::Nonsense => record.revision % 2 == 0,
            Self::Compare(field, comparison, literal) => {
                compare(&field.of(record), *comparison, literal, eye)
            }
            Self::Text(test, field, part) => {
                let Some(Json::Str(text)) = field.of(record) else { return false };
                let (text, part) = (seen(&text, eye), seen(part, eye));
                match test {
                    TextTest::Contains => text.contains(&part),
                    TextTest::Starts => text.starts_with(&part),
                    TextTest::Ends => text.ends_with(&part),
                }
            }
        }
    }
}

fn seen(text: &str, eye: Eye) -> String {
    if eye.any_case { text.trim_end().to_lowercase() } else { text.trim_end().to_owned() }
}

fn compare(value: &Option<Json>, comparison: Comparison, literal: &Literal, eye: Eye) -> bool {
    use std::cmp::Ordering;
    let order = match (value, literal) {
        (None, Literal::Null) => Some(Ordering::Equal),
        (Some(Json::Str(text)), Literal::Text(wanted)) => Some(seen(text, eye).cmp(&seen(wanted, eye))),
        (None, Literal::Text(wanted)) if wanted.is_empty() => Some(Ordering::Equal),
        (Some(value @ Json::Num(_)), Literal::Number(wanted)) => value.as_amount().map(|a| a.cmp(wanted)),
        (Some(Json::Bool(flag)), Literal::Flag(wanted)) => Some(flag.cmp(wanted)),
        (Some(Json::Str(id)), Literal::Guid(wanted)) => Some(id.to_lowercase().cmp(&wanted.to_lowercase())),
        (Some(Json::Str(text)), Literal::Moment(wanted)) => {
            let moment = match text.parse::<NaiveDate>() {
                Ok(day) => Some(eye.style.midnight(day).to_utc()),
                Err(_) => text.parse::<DateTime<Utc>>().ok(),
            };
            moment.map(|moment| moment.cmp(wanted))
        }
        (Some(Json::Str(text)), Literal::Day(wanted)) => {
            text.parse::<NaiveDate>().ok().map(|day| day.cmp(wanted))
        }
        _ => None,
    };
    match (order, comparison) {
        (Some(order), Comparison::Eq) => order.is_eq(),
        (Some(order), Comparison::Ne) => order.is_ne(),
        (Some(order), Comparison::Gt) => order.is_gt(),
        (Some(order), Comparison::Ge) => order.is_ge(),
        (Some(order), Comparison::Lt) => order.is_lt(),
        (Some(order), Comparison::Le) => order.is_le(),
        // An empty field differs from everything.
        (None, comparison) => comparison == Comparison::Ne,
    }
}

impl Field {
    fn path(&self) -> String {
        let mut parts: Vec<&str> = self.linked.clone();
        parts.push(&self.name);
        parts.join("/")
    }

    fn of(&self, record: &Record) -> Option<Json> {
        let mut record = record;
        for name in &self.linked {
            record = record.linked.get(name)?;
        }
        if let Some((view, field)) = self.name.strip_prefix("cf.").and_then(|name| name.split_once('.')) {
            let value = record.custom.get(view)?.as_row()?.get(field)?.as_row()?.get("value");
            return value.cloned();
        }
        if matches!(self.name.as_str(), "id" | "NoteID") {
            return Some(Json::str(&record.id));
        }
        record.fields.get(self.name.as_str()).cloned()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Comma,
    Word(String),
    Text(String),
    /// `datetimeoffset'..'` and its like.
    Typed(String, String),
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Self::Open => "(".to_owned(),
            Self::Close => ")".to_owned(),
            Self::Comma => ",".to_owned(),
            Self::Word(word) => word.clone(),
            Self::Text(text) => format!("'{text}'"),
            Self::Typed(kind, text) => format!("{kind}'{text}'"),
        }
    }
}

fn syntax(text: &str) -> Box<Refusal> {
    Refusal::malformed("$filter", text)
}

fn tokens(text: &str) -> Outcome<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let used = match first {
            '(' => {
                tokens.push(Token::Open);
                1
            }
            ')' => {
                tokens.push(Token::Close);
                1
            }
            ',' => {
                tokens.push(Token::Comma);
                1
            }
            '\'' => {
                let (value, used) = quoted(rest)?;
                tokens.push(Token::Text(value));
                used
            }
            _ => {
                let stop = |letter: char| letter.is_whitespace() || matches!(letter, '(' | ')' | ',' | '\'');
                let end = rest.find(stop).unwrap_or(rest.len());
                let word = rest[..end].to_owned();
                if rest[end..].starts_with('\'') {
                    let (value, used) = quoted(&rest[end..])?;
                    tokens.push(Token::Typed(word, value));
                    end + used
                } else {
                    tokens.push(Token::Word(word));
                    end
                }
            }
        };
        rest = rest[used..].trim_start();
    }
    Ok(tokens)
}

/// A quoted text at the start of `rest`, with how many bytes it took.
fn quoted(rest: &str) -> Outcome<(String, usize)> {
    let mut value = String::new();
    let mut at = 1;
    loop {
        let stop = rest[at..].find('\'').ok_or_else(|| syntax("There is an unterminated literal."))?;
        value.push_str(&rest[at..at + stop]);
        at += stop + 1;
        if !rest[at..].starts_with('\'') {
            return Ok((value, at));
        }
        value.push('\'');
        at += 1;
    }
}

struct Parser<'a> {
    tokens: Vec<Token>,
    at: usize,
    reading: &'a Reading,
}

/// Deepest nesting of a condition.
const DEEPEST: usize = 100;

impl Parser<'_> {
    fn word(&mut self, word: &str) -> bool {
        let there = matches!(self.tokens.get(self.at), Some(Token::Word(found)) if found == word);
        self.at += usize::from(there);
        there
    }

    fn take(&mut self, token: &Token) -> Outcome<()> {
        if self.tokens.get(self.at) == Some(token) {
            self.at += 1;
            return Ok(());
        }
        Err(syntax(&format!("'{}' is expected.", token.shown())))
    }

    fn next(&mut self) -> Outcome<Token> {
        let token = self.tokens.get(self.at).cloned().ok_or_else(|| syntax("The filter ends too early."))?;
        self.at += 1;
        Ok(token)
    }

    fn or(&mut self, depth: usize) -> Outcome<Filter> {
        if depth > DEEPEST {
            return Err(syntax("The filter is nested too deeply."));
        }
        let mut left = self.and(depth)?;
        while self.word("or") {
            left = Filter::Or(Box::new(left), Box::new(self.and(depth)?));
        }
        Ok(left)
    }

    fn and(&mut self, depth: usize) -> Outcome<Filter> {
        let mut left = self.not(depth)?;
        while self.word("and") {
            left = Filter::And(Box::new(left), Box::new(self.not(depth)?));
        }
        Ok(left)
    }

    fn not(&mut self, depth: usize) -> Outcome<Filter> {
        if depth > DEEPEST {
            return Err(syntax("The filter is nested too deeply."));
        }
        if self.word("not") {
            return Ok(Filter::Not(Box::new(self.not(depth + 1)?)));
        }
        if self.tokens.get(self.at) == Some(&Token::Open) {
            self.at += 1;
            let inner = self.or(depth + 1)?;
            self.take(&Token::Close)?;
            return Ok(inner);
        }
        self.test()
    }

    fn test(&mut self) -> Outcome<Filter> {
        let Token::Word(name) = self.next()? else {
            return Err(syntax("A field or a function is expected."));
        };
        let called = self.tokens.get(self.at) == Some(&Token::Open);
        let test = match name.as_str() {
            "substringof" if called => Some(TextTest::Contains),
            "startswith" if called => Some(TextTest::Starts),
            "endswith" if called => Some(TextTest::Ends),
            _ if called && !name.starts_with("cf.") => {
                return Err(syntax(&format!("The function {name} is not known.")));
            }
            _ => None,
        };
        if let Some(test) = test {
            return self.function(test);
        }
        let field = self.field(&name)?;
        let comparison = match self.next()? {
            Token::Word(word) => comparison(&word)?,
            other => return Err(syntax(&format!("'{}' is no comparison.", other.shown()))),
        };
        let literal = self.literal()?;
        let Some(field) = field else { return Ok(Filter::Nonsense) };
        self.check_type(&field, &literal)?;
        Ok(Filter::Compare(field, comparison, literal))
    }

    /// `substringof('x',Field)`, `startswith(Field,'x')`, `endswith(Field,'x')`.
    fn function(&mut self, test: TextTest) -> Outcome<Filter> {
        self.take(&Token::Open)?;
        let first = self.next()?;
        self.take(&Token::Comma)?;
        let second = self.next()?;
        self.take(&Token::Close)?;
        let (name, part) = match (test, first, second) {
            (TextTest::Contains, Token::Text(part), Token::Word(name))
            | (TextTest::Starts | TextTest::Ends, Token::Word(name), Token::Text(part)) => (name, part),
            _ => return Err(syntax("The arguments of the function are not a text and a field.")),
        };
        let Some(field) = self.field(&name)? else { return Ok(Filter::Nonsense) };
        self.check_type(&field, &Literal::Text(String::new()))?;
        Ok(Filter::Text(test, field, part))
    }

    /// `None` = a field of a detail.
    fn field(&mut self, path: &str) -> Outcome<Option<Field>> {
        if path.starts_with("cf.") {
            self.take(&Token::Open)?;
            let Token::Typed(_, name) = self.next()? else {
                return Err(syntax("A custom field is named f='View.Field'."));
            };
            self.take(&Token::Close)?;
            return Ok(Some(Field { linked: Vec::new(), name: format!("cf.{name}"), kind: None }));
        }
        let mut shape: &'static Shape = self.reading.entity.shape;
        let mut linked = Vec::new();
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_some() {
                if shape.detail(part).is_some() {
                    return Ok(None);
                }
                let (name, inner) = shape.linked(part).ok_or_else(|| unknown(path))?;
                linked.push(name);
                shape = inner;
            } else {
                let kind = match part {
                    "id" | "NoteID" => None,
                    _ => Some(shape.field(part).ok_or_else(|| unknown(path))?.1),
                };
                return Ok(Some(Field { linked, name: part.to_owned(), kind }));
            }
        }
        Err(unknown(path))
    }

    fn literal(&mut self) -> Outcome<Literal> {
        let bad = |text: &str| {
            let text = format!("The literal {text} could not be parsed.");
            Refusal::new(self.reading.bad_literal, "Microsoft.Data.OData.ODataException", text).wrong_call()
        };
        match self.tokens.get(self.at).cloned() {
            Some(Token::Text(text)) => {
                self.at += 1;
                Ok(Literal::Text(text))
            }
            Some(Token::Typed(kind, text)) => {
                let literal = match kind.as_str() {
                    "datetimeoffset" => DateTime::parse_from_rfc3339(&text)
                        .ok()
                        .filter(|_| !text.contains(' '))
                        .map(|moment| Literal::Moment(moment.to_utc())),
                    "guid" => Some(Literal::Guid(text.clone())),
                    "date" if self.reading.dates => text.parse().ok().map(Literal::Day),
                    _ => None,
                };
                let literal = literal.ok_or_else(|| bad(&format!("{kind}'{text}'")))?;
                self.at += 1;
                Ok(literal)
            }
            Some(Token::Word(word)) => {
                let literal = match word.as_str() {
                    "true" => Some(Literal::Flag(true)),
                    "false" => Some(Literal::Flag(false)),
                    "null" => Some(Literal::Null),
                    number => {
                        let digits = number.trim_end_matches(['M', 'm']);
                        Amount::parse(digits).map(Literal::Number)
                    }
                };
                let literal = literal.ok_or_else(|| bad(&word))?;
                self.at += 1;
                Ok(literal)
            }
            _ => Err(syntax("A literal is expected.")),
        }
    }

    /// A literal of another type than the field's ends in a general error of the server; a date as a text is a
    /// malformed literal.
    fn check_type(&self, field: &Field, literal: &Literal) -> Outcome<()> {
        let fits = match (field.kind, literal) {
            (_, Literal::Null) | (None, _) => true,
            (Some(Kind::Text), Literal::Text(_)) => true,
            (Some(Kind::Decimal | Kind::Whole), Literal::Number(_)) => true,
            (Some(Kind::Flag), Literal::Flag(_)) => true,
            (Some(Kind::Moment | Kind::Date), Literal::Moment(_)) => true,
            (Some(Kind::Date), Literal::Day(_)) => true,
            (Some(_), _) => false,
        };
        if fits {
            return Ok(());
        }
        let text = format!("The literal for {} has another type than the field.", field.path());
        let status = match field.kind {
            Some(Kind::Moment | Kind::Date) => self.reading.bad_literal,
            _ => 500,
        };
        Err(Refusal::new(status, "System.InvalidOperationException", text).wrong_call())
    }
}

fn unknown(path: &str) -> Box<Refusal> {
    syntax(&format!("The field {path} is not in the contract."))
}

fn comparison(word: &str) -> Outcome<Comparison> {
    Ok(match word {
        "eq" => Comparison::Eq,
        "ne" => Comparison::Ne,
        "gt" => Comparison::Gt,
        "ge" => Comparison::Ge,
        "lt" => Comparison::Lt,
        "le" => Comparison::Le,
        other => return Err(syntax(&format!("'{other}' is no comparison."))),
    })
}
