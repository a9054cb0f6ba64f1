//! The query options of OData 4 that this vendor understands, and the SQL-like `whereClause` of its read methods.
//! Everything is checked against the table's columns before a row is looked at.

use percent_encoding::percent_decode_str;

use super::amount::Amount;
use super::columns::{Table, Type};
use super::json::Json;
use super::refusal::{Outcome, Refusal};

/// The query options of one read.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) select: Option<Vec<String>>,
    pub(super) filter: Option<Filter>,
    pub(super) order: Vec<(String, bool)>,
    pub(super) top: Option<usize>,
    pub(super) skip: usize,
    pub(super) count: bool,
    pub(super) expand: Vec<String>,
}

/// A condition.
#[derive(Clone, Debug)]
pub(super) enum Filter {
    Or(Box<Filter>, Box<Filter>),
    And(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
    Compare(Operand, Comparison, Operand),
    Text(TextTest, Operand, Operand),
    Flag(String),
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
    StartsWith,
    EndsWith,
    Contains,
}

#[derive(Clone, Debug)]
pub(super) enum Operand {
    Column(String, Type),
    Text(String),
    Number(Amount),
    Flag(bool),
    Date(String),
    Guid(String),
    Null,
}

/// Name and value pairs of a query, decoded; names as sent.
pub(super) fn pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

impl Query {
    pub(super) fn parse(text: &str, table: &Table, width: usize) -> Outcome<Self> {
        let mut query = Self::default();
        for (name, value) in pairs(text) {
            match name.as_str() {
                "$select" => query.select = Some(columns(&value, table, width)?),
                "$filter" => query.filter = Some(Filter::parse(&value, table, width)?),
                "$orderby" => query.order = order(&value, table, width)?,
                "$top" => query.top = Some(count_of(&name, &value)?),
                "$skip" => query.skip = count_of(&name, &value)?,
                "$count" => query.count = value == "true",
                "$expand" => query.expand = value.split(',').map(|part| part.trim().to_owned()).collect(),
                "api-key" => {}
                other if other.starts_with('$') => {
                    return Err(Refusal::odata(format!("The query option '{other}' is not supported.")));
                }
                _ => {}
            }
        }
        Ok(query)
    }
}

fn columns(text: &str, table: &Table, width: usize) -> Outcome<Vec<String>> {
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    for name in &names {
        known(name, table, width)?;
    }
    Ok(names)
}

fn known(name: &str, table: &Table, width: usize) -> Outcome<Type> {
    table
        .type_of(name, width)
        .ok_or_else(|| Refusal::odata(format!("Could not find a property named '{name}' on the type.")))
}

fn order(text: &str, table: &Table, width: usize) -> Outcome<Vec<(String, bool)>> {
    text.split(',')
        .map(|part| {
            let mut words = part.split_whitespace();
            let name = words.next().unwrap_or_default();
            known(name, table, width)?;
            match words.next() {
                None | Some("asc") => Ok((name.to_owned(), false)),
                Some("desc") => Ok((name.to_owned(), true)),
                Some(word) => Err(Refusal::odata(format!("Syntax error at '{word}' in $orderby."))),
            }
        })
        .collect()
}

fn count_of(name: &str, value: &str) -> Outcome<usize> {
    value.parse().map_err(|_| Refusal::odata(format!("Invalid value '{value}' for {name}.")))
}

impl Filter {
    pub(super) fn parse(text: &str, table: &Table, width: usize) -> Outcome<Self> {
        Self::read(text, table, width, false)
    }

    /// The `whereClause` of `GetRows` and `GetList`: `=`, `<>`, `>=` ... instead of words.
    pub(super) fn parse_where(text: &str, table: &Table, width: usize) -> Outcome<Option<Self>> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        Self::read(text, table, width, true).map(Some)
    }

    fn read(text: &str, table: &Table, width: usize, sql: bool) -> Outcome<Self> {
        let mut parser = Parser { tokens: tokens(text, sql)?, at: 0, table, width };
        let filter = parser.or(0)?;
        match parser.tokens.get(parser.at) {
            None => Ok(filter),
            Some(token) => Err(Refusal::odata(format!("Syntax error at '{}' in $filter.", token.text()))),
        }
    }

    /// The text that a column must equal, when the condition as a whole demands one.
    pub(super) fn demanded(&self, column: &str) -> Option<String> {
        match self {
            Self::And(left, right) => left.demanded(column).or_else(|| right.demanded(column)),
            Self::Compare(Operand::Column(name, _), Comparison::Eq, value)
            | Self::Compare(value, Comparison::Eq, Operand::Column(name, _))
                if name == column =>
            {
                match value {
                    Operand::Text(text) => Some(text.clone()),
                    Operand::Number(number) => Some(number.to_string().trim_end_matches(".00").to_owned()),
                    Operand::Column(..)
                    | Operand::Flag(_)
                    | Operand::Date(_)
                    | Operand::Guid(_)
                    | Operand::Null => None,
                }
            }
            Self::Or(..) | Self::Not(_) | Self::Compare(..) | Self::Text(..) | Self::Flag(_) => None,
        }
    }

    pub(super) fn mentions(&self, column: &str) -> bool {
        let is = |operand: &Operand| matches!(operand, Operand::Column(name, _) if name == column);
        match self {
            Self::Or(left, right) | Self::And(left, right) => left.mentions(column) || right.mentions(column),
            Self::Not(inner) => inner.mentions(column),
            Self::Compare(left, _, right) | Self::Text(_, left, right) => is(left) || is(right),
            Self::Flag(name) => name == column,
        }
    }

    pub(super) fn holds(&self, get: &dyn Fn(&str) -> Json) -> bool {
        match self {
            Self::Or(left, right) => left.holds(get) || right.holds(get),
            Self::And(left, right) => left.holds(get) && right.holds(get),
            Self::Not(inner) => !inner.holds(get),
            Self::Flag(name) => get(name) == Json::Bool(true),
            Self::Compare(left, comparison, right) => {
                let (left, right) = (left.value(get), right.value(get));
                match comparison {
                    Comparison::Eq => left == right,
                    Comparison::Ne => left != right,
                    // Nothing is greater or smaller than null.
                    _ if left == Ordered::Null || right == Ordered::Null => false,
                    Comparison::Gt => left > right,
                    Comparison::Ge => left >= right,
                    Comparison::Lt => left < right,
                    Comparison::Le => left <= right,
                }
            }
            Self::Text(test, value, part) => match (value.value(get), part.value(get)) {
                (Ordered::Text(value), Ordered::Text(part)) => match test {
                    TextTest::StartsWith => value.starts_with(&part),
                    TextTest::EndsWith => value.ends_with(&part),
                    TextTest::Contains => value.contains(&part),
                },
                _ => false,
            },
        }
    }
}

/// A value that can be compared and sorted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ordered {
    Null,
    Flag(bool),
    Number(i128),
    Text(String),
}

impl Ordered {
    pub(super) fn of(value: &Json) -> Self {
        match value {
            Json::Bool(value) => Self::Flag(*value),
            Json::Num(text) => Self::Number(fixed(text)),
            Json::Str(text) => Self::Text(text.clone()),
            Json::Null | Json::Arr(_) | Json::Obj(_) => Self::Null,
        }
    }
}

/// A decimal text as hundred-thousandths; wide enough for row versions.
fn fixed(text: &str) -> i128 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let negative = whole.starts_with('-');
    let whole: i128 = whole.trim_start_matches('-').parse().unwrap_or_default();
    let part: i128 = format!("{part:0<5.5}").parse().unwrap_or_default();
    let value = whole * 100_000 + part;
    if negative { -value } else { value }
}

impl Operand {
    fn value(&self, get: &dyn Fn(&str) -> Json) -> Ordered {
        match self {
            Self::Column(name, _) => Ordered::of(&get(name)),
            Self::Text(text) | Self::Date(text) | Self::Guid(text) => Ordered::Text(text.clone()),
            Self::Number(number) => Ordered::Number(fixed(&number.to_string())),
            Self::Flag(value) => Ordered::Flag(*value),
            Self::Null => Ordered::Null,
        }
    }

    fn kind(&self) -> Option<Type> {
        match self {
            Self::Column(_, kind) => Some(*kind),
            Self::Text(_) => Some(Type::Text),
            Self::Number(_) => Some(Type::Decimal),
            Self::Flag(_) => Some(Type::Flag),
            Self::Date(_) => Some(Type::Date),
            Self::Guid(_) => Some(Type::Guid),
            Self::Null => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Comma,
    Word(String),
    Text(String),
}

impl Token {
    fn text(&self) -> String {
        match self {
            Self::Open => "(".to_owned(),
            Self::Close => ")".to_owned(),
            Self::Comma => ",".to_owned(),
            Self::Word(word) => word.clone(),
            Self::Text(text) => format!("'{text}'"),
        }
    }
}

fn tokens(text: &str, sql: bool) -> Outcome<Vec<Token>> {
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
            '=' | '<' | '>' if sql => {
                let used = rest.find(|letter| !matches!(letter, '=' | '<' | '>')).unwrap_or(rest.len());
                let word = match &rest[..used] {
                    "=" => "eq",
                    "<>" => "ne",
                    ">" => "gt",
                    ">=" => "ge",
                    "<" => "lt",
                    "<=" => "le",
                    other => {
                        return Err(Refusal::odata(format!(
                            "Syntax error at '{other}' in the where clause."
                        )));
                    }
                };
                tokens.push(Token::Word(word.to_owned()));
                used
            }
            _ => {
                let stop = |letter: char| {
                    letter.is_whitespace()
                        || matches!(letter, '(' | ')' | ',' | '\'')
                        || (sql && matches!(letter, '=' | '<' | '>'))
                };
                let used = rest.find(stop).unwrap_or(rest.len()).max(first.len_utf8());
                let word = &rest[..used];
                tokens.push(Token::Word(if sql { sql_word(word) } else { word.to_owned() }));
                used
            }
        };
        rest = rest[used..].trim_start();
    }
    Ok(tokens)
}

fn sql_word(word: &str) -> String {
    match word.to_ascii_lowercase().as_str() {
        lower @ ("and" | "or" | "not" | "true" | "false" | "null") => lower.to_owned(),
        _ => word.to_owned(),
    }
}

/// A quoted text at the start of `rest`, with how many bytes it took.
fn quoted(rest: &str) -> Outcome<(String, usize)> {
    let mut value = String::new();
    let mut at = 1;
    loop {
        let stop = rest[at..]
            .find('\'')
            .ok_or_else(|| Refusal::odata("There is an unterminated string literal."))?;
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
    table: &'a Table,
    width: usize,
}

/// Deepest nesting of a condition.
const DEEPEST: usize = 200;

impl Parser<'_> {
    fn is_word(&self, word: &str) -> bool {
        matches!(self.tokens.get(self.at), Some(Token::Word(found)) if found == word)
    }

    fn take(&mut self, token: &Token) -> Outcome<()> {
        if self.tokens.get(self.at) == Some(token) {
            self.at += 1;
            return Ok(());
        }
        Err(Refusal::odata(format!("'{}' is expected in $filter.", token.text())))
    }

    fn or(&mut self, depth: usize) -> Outcome<Filter> {
        if depth > DEEPEST {
            return Err(Refusal::odata("The filter is nested too deeply."));
        }
        let mut left = self.and(depth)?;
        while self.is_word("or") {
            self.at += 1;
            left = Filter::Or(Box::new(left), Box::new(self.and(depth)?));
        }
        Ok(left)
    }

    fn and(&mut self, depth: usize) -> Outcome<Filter> {
        let mut left = self.not(depth)?;
        while self.is_word("and") {
            self.at += 1;
            left = Filter::And(Box::new(left), Box::new(self.not(depth)?));
        }
        Ok(left)
    }

    fn not(&mut self, depth: usize) -> Outcome<Filter> {
        if self.is_word("not") {
            self.at += 1;
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
        if self.tokens.get(self.at + 1) == Some(&Token::Open)
            && let Some(Token::Word(name)) = self.tokens.get(self.at).cloned()
        {
            return self.function(&name);
        }
        let left = self.operand()?;
        let comparison = match self.tokens.get(self.at) {
            Some(Token::Word(word)) => match word.as_str() {
                "eq" => Some(Comparison::Eq),
                "ne" => Some(Comparison::Ne),
                "gt" => Some(Comparison::Gt),
                "ge" => Some(Comparison::Ge),
                "lt" => Some(Comparison::Lt),
                "le" => Some(Comparison::Le),
                _ => None,
            },
            _ => None,
        };
        let Some(comparison) = comparison else {
            return match left {
                Operand::Column(name, Type::Flag) => Ok(Filter::Flag(name)),
                _ => Err(Refusal::odata("A comparison is expected in $filter.")),
            };
        };
        self.at += 1;
        let right = self.operand()?;
        compatible(&left, &right)?;
        Ok(Filter::Compare(left, comparison, right))
    }

    fn function(&mut self, name: &str) -> Outcome<Filter> {
        let test = match name {
            "startswith" => TextTest::StartsWith,
            "endswith" => TextTest::EndsWith,
            "contains" => TextTest::Contains,
            _ => return Err(Refusal::odata(format!("An unknown function with name '{name}' was found."))),
        };
        self.at += 2;
        let value = self.operand()?;
        self.take(&Token::Comma)?;
        let part = self.operand()?;
        self.take(&Token::Close)?;
        if value.kind() != Some(Type::Text) || part.kind() != Some(Type::Text) {
            return Err(Refusal::odata(format!("No function signature for '{name}' matches its arguments.")));
        }
        Ok(Filter::Text(test, value, part))
    }

    fn operand(&mut self) -> Outcome<Operand> {
        let token =
            self.tokens.get(self.at).cloned().ok_or_else(|| Refusal::odata("The filter ends too early."))?;
        self.at += 1;
        match token {
            Token::Text(text) => Ok(Operand::Text(text)),
            Token::Word(word) => self.word(word),
            Token::Open | Token::Close | Token::Comma => {
                Err(Refusal::odata(format!("Syntax error at '{}' in $filter.", token.text())))
            }
        }
    }

    fn word(&self, word: String) -> Outcome<Operand> {
        if matches!(self.tokens.get(self.at), Some(Token::Text(_))) {
            return Err(Refusal::odata(format!("Unrecognized '{word}' literal in $filter.")));
        }
        Ok(match word.as_str() {
            "true" => Operand::Flag(true),
            "false" => Operand::Flag(false),
            "null" => Operand::Null,
            _ if word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
                && !is_guid(&word) =>
            {
                let kind = known(&word, self.table, self.width)?;
                Operand::Column(word, kind)
            }
            _ if is_guid(&word) => Operand::Guid(word.to_ascii_lowercase()),
            _ => match (Amount::parse(&word), date_literal(&word)) {
                (Some(number), _) => Operand::Number(number),
                (None, Some(date)) => Operand::Date(date),
                (None, None) => return Err(Refusal::odata(format!("Syntax error at '{word}' in $filter."))),
            },
        })
    }
}

fn is_guid(word: &str) -> bool {
    word.len() == 36
        && word.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// A date literal in the form of the rows.
fn date_literal(word: &str) -> Option<String> {
    use chrono::{DateTime, NaiveDate, NaiveDateTime};
    const FORM: &str = "%Y-%m-%dT%H:%M:%S";
    if let Ok(moment) = DateTime::parse_from_rfc3339(word) {
        return Some(moment.naive_utc().format(FORM).to_string());
    }
    if let Ok(moment) = NaiveDateTime::parse_from_str(word, "%Y-%m-%dT%H:%M:%S%.f") {
        return Some(moment.format(FORM).to_string());
    }
    let date = NaiveDate::parse_from_str(word, "%Y-%m-%d").ok()?;
    Some(date.format("%Y-%m-%dT00:00:00").to_string())
}

fn compatible(left: &Operand, right: &Operand) -> Outcome<()> {
    let number = |kind| matches!(kind, Type::Int | Type::Decimal);
    match (left.kind(), right.kind()) {
        (None, _) | (_, None) => Ok(()),
        (Some(left), Some(right)) if left == right || (number(left) && number(right)) => Ok(()),
        _ => Err(Refusal::odata("A binary operator with incompatible types was detected.")),
    }
}
