//! Parses expressions. Precedence and quirks follow the manual: `a!b` takes as much as it can on its right, `>` ends a
//! tag unless it stands in parentheses.

use super::ast::{Expression, Kind, Node, Operator};
use super::decimal::Decimal;
use super::scan::{end_of_literal, is_raw, scan_literal};
use super::{Error, syntax};

/// Nesting of parentheses, brackets and operators.
const MAX_DEPTH: usize = 40;
/// Expressions in one tag, counting those that were tried and taken back.
const MAX_WORK: usize = 10_000;
/// Operators of one kind in a row.
const MAX_CHAIN: usize = 100;

pub(super) struct Parser<'s> {
    source: &'s str,
    at: usize,
    end: usize,
    depth: usize,
    work: usize,
}

type Parsed = Result<Expression, Error>;

impl<'s> Parser<'s> {
    pub(super) fn new(source: &'s str, start: usize, end: usize) -> Self {
        Self { source, at: start, end, depth: 0, work: 0 }
    }

    /// The whole range as one expression.
    pub(super) fn only(mut self) -> Parsed {
        let expression = self.expression()?;
        self.finish()?;
        Ok(expression)
    }

    pub(super) fn finish(&mut self) -> Result<(), Error> {
        if self.is_at_end() { Ok(()) } else { Err(self.unexpected()) }
    }

    pub(super) fn is_at_end(&mut self) -> bool {
        self.skip_space();
        self.at >= self.end
    }

    pub(super) fn fail(&self, message: &str) -> Error {
        syntax(self.source, self.at, message)
    }

    fn unexpected(&self) -> Error {
        let found: String = self.rest().chars().take(20).collect();
        syntax(self.source, self.at, format!("Encountered \"{found}\", which was not expected here"))
    }

    fn rest(&self) -> &'s str {
        self.source.get(self.at..self.end).unwrap_or("")
    }

    fn skip_space(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
            self.at += rest.len() - trimmed.len();
            match trimmed.strip_prefix("<#--").and_then(|c| c.find("-->")) {
                Some(length) => self.at += length + 7,
                None => return,
            }
        }
    }

    /// Takes the symbol when it is next.
    pub(super) fn take(&mut self, symbol: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(symbol);
        if found {
            self.at += symbol.len();
        }
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), Error> {
        if self.take(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn peek_word(&mut self) -> Option<&'s str> {
        self.skip_space();
        let rest = self.rest();
        let first = rest.chars().next()?;
        if !(first.is_alphabetic() || first == '_' || first == '@' || first == '$') {
            return None;
        }
        let end = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '@' || c == '$'))
            .unwrap_or(rest.len());
        Some(&rest[..end])
    }

    /// Takes a name.
    pub(super) fn word(&mut self) -> Option<&'s str> {
        let word = self.peek_word()?;
        self.at += word.len();
        Some(word)
    }

    /// Takes that very word.
    pub(super) fn keyword(&mut self, keyword: &str) -> bool {
        let found = self.peek_word() == Some(keyword);
        if found {
            self.at += keyword.len();
        }
        found
    }

    /// `name=` as in named arguments; `==` does not count.
    pub(super) fn named_argument(&mut self) -> Option<&'s str> {
        let before = self.at;
        if let Some(name) = self.word()
            && self.take("=")
            && !self.rest().starts_with('=')
        {
            return Some(name);
        }
        self.at = before;
        None
    }

    pub(super) fn expression(&mut self) -> Parsed {
        self.depth += 1;
        self.work += 1;
        if self.depth > MAX_DEPTH || self.work > MAX_WORK {
            return Err(self.fail("the expression is nested too deeply"));
        }
        let result = self.binary(0);
        self.depth -= 1;
        result
    }

    /// `or` binds loosest; comparison does not chain.
    fn binary(&mut self, level: usize) -> Parsed {
        if level == 4 {
            return self.range();
        }
        let mut left = self.binary(level + 1)?;
        let mut links = 0;
        while let Some(operator) = self.operator(level) {
            self.count_link(&mut links)?;
            let right = self.binary(level + 1)?;
            left = join(operator, left, right);
            if level == 2 || level == 3 {
                break;
            }
        }
        Ok(left)
    }

    fn operator(&mut self, level: usize) -> Option<Operator> {
        let table: &[(&str, Operator)] = match level {
            0 => &[("||", Operator::Or)],
            1 => &[("&&", Operator::And)],
            2 => &[("!=", Operator::NotEqual), ("==", Operator::Equal), ("=", Operator::Equal)],
            3 => &[
                ("<=", Operator::LessEqual),
                (">=", Operator::GreaterEqual),
                ("<", Operator::Less),
                (">", Operator::Greater),
                ("&lt;=", Operator::LessEqual),
                ("&gt;=", Operator::GreaterEqual),
                ("&lt;", Operator::Less),
                ("&gt;", Operator::Greater),
            ],
            5 => &[("+", Operator::Add), ("-", Operator::Subtract)],
            _ => &[("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)],
        };
        if level == 3
            && let Some(operator) = self.worded_operator()
        {
            return Some(operator);
        }
        table.iter().find(|(symbol, _)| self.take(symbol)).map(|(_, operator)| *operator)
    }

    fn worded_operator(&mut self) -> Option<Operator> {
        let operator = match self.peek_word()? {
            "lt" => Operator::Less,
            "lte" => Operator::LessEqual,
            "gt" => Operator::Greater,
            "gte" => Operator::GreaterEqual,
            _ => return None,
        };
        self.word();
        Some(operator)
    }

    fn range(&mut self) -> Parsed {
        let from = self.arithmetic(5)?;
        self.skip_space();
        if !self.rest().starts_with("..") {
            return Ok(from);
        }
        self.at += 2;
        if self.rest().starts_with('*') {
            return Err(self.fail("..* is not supported"));
        }
        let exclusive = self.take("<") || self.take("!");
        let (before, start) = (self.at, from.start);
        let to = match self.arithmetic(5) {
            Ok(to) => Some(Box::new(to)),
            Err(_) if !exclusive => {
                self.at = before;
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Expression { kind: Kind::Range(Box::new(from), to, exclusive), start, end: self.at })
    }

    /// 5 = sums, 6 = products.
    fn arithmetic(&mut self, level: usize) -> Parsed {
        if level == 7 {
            return self.unary();
        }
        let mut left = self.arithmetic(level + 1)?;
        let mut links = 0;
        while let Some(operator) = self.operator(level) {
            self.count_link(&mut links)?;
            let right = self.arithmetic(level + 1)?;
            left = join(operator, left, right);
        }
        Ok(left)
    }

    fn count_link(&self, links: &mut usize) -> Result<(), Error> {
        *links += 1;
        if *links > MAX_CHAIN { Err(self.fail("the expression is too long")) } else { Ok(()) }
    }

    fn unary(&mut self) -> Parsed {
        self.skip_space();
        let start = self.at;
        let negate = match self.rest().chars().next() {
            Some('!') => Kind::Not as fn(Box<Expression>) -> Kind,
            Some('-') => Kind::Negate,
            Some('+') => {
                self.at += 1;
                return self.nested_unary();
            }
            _ => return self.primary(),
        };
        self.at += 1;
        let inner = self.nested_unary()?;
        let end = inner.end;
        Ok(Expression { kind: negate(Box::new(inner)), start, end })
    }

    fn nested_unary(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.fail("the expression is nested too deeply"));
        }
        let result = self.unary();
        self.depth -= 1;
        result
    }

    fn primary(&mut self) -> Parsed {
        let mut expression = self.atom()?;
        let mut steps = 0;
        loop {
            steps += 1;
            if steps > MAX_DEPTH {
                return Err(self.fail("the expression has too many steps"));
            }
            let start = expression.start;
            let kind = match self.suffix(expression)? {
                Suffix::Grown(kind) => kind,
                Suffix::Done(expression) => return Ok(expression),
            };
            expression = Expression { kind, start, end: self.at };
        }
    }

    fn suffix(&mut self, left: Expression) -> Result<Suffix, Error> {
        self.skip_space();
        let rest = self.rest();
        let kind = if rest.starts_with("??") {
            self.at += 2;
            Kind::Exists(Box::new(left))
        } else if rest.starts_with('?') {
            self.at += 1;
            self.built_in(left)?
        } else if rest.starts_with('.') && !rest.starts_with("..") {
            self.at += 1;
            let name = self.word().ok_or_else(|| self.unexpected())?;
            Kind::Member(Box::new(left), name.to_owned())
        } else if rest.starts_with('[') {
            self.at += 1;
            let key = self.expression()?;
            self.expect("]")?;
            Kind::Index(Box::new(left), Box::new(key))
        } else if rest.starts_with('(') {
            self.at += 1;
            Kind::Call(Box::new(left), self.arguments(")")?)
        } else if rest.starts_with('!') && !rest.starts_with("!=") {
            self.at += 1;
            Kind::Default(Box::new(left), self.default_value())
        } else {
            return Ok(Suffix::Done(left));
        };
        Ok(Suffix::Grown(kind))
    }

    fn built_in(&mut self, left: Expression) -> Result<Kind, Error> {
        let name = self.word().ok_or_else(|| self.unexpected())?.to_owned();
        if !super::builtins::is_known(&name) {
            return Err(self.fail(&format!("Unknown built-in: \"{name}\"")));
        }
        let arguments = if self.rest().starts_with('(') {
            self.at += 1;
            Some(self.arguments(")")?)
        } else {
            None
        };
        Ok(Kind::BuiltIn(Box::new(left), name, arguments))
    }

    /// The right side of `!` is whatever parses there; nothing is the empty value.
    fn default_value(&mut self) -> Option<Box<Expression>> {
        let (before, depth) = (self.at, self.depth);
        self.skip_space();
        let spaced = self.at > before;
        if self.rest().is_empty() || (spaced && self.rest().starts_with(['=', '('])) {
            self.at = before;
            return None;
        }
        match self.expression() {
            Ok(expression) => Some(Box::new(expression)),
            Err(_) => {
                self.at = before;
                self.depth = depth;
                None
            }
        }
    }

    fn arguments(&mut self, close: &str) -> Result<Vec<Expression>, Error> {
        let mut arguments = Vec::new();
        while !self.take(close) {
            if !arguments.is_empty() {
                self.take(",");
            }
            arguments.push(self.expression()?);
        }
        Ok(arguments)
    }

    fn atom(&mut self) -> Parsed {
        self.skip_space();
        let start = self.at;
        let Some(first) = self.rest().chars().next() else {
            return Err(self.fail("Unexpected end of the expression"));
        };
        let raw = first == 'r' && matches!(self.rest().as_bytes().get(1), Some(b'"' | b'\''));
        let kind = match first {
            '"' | '\'' => self.literal()?,
            'r' if raw => {
                self.at += 1;
                self.literal()?
            }
            '0'..='9' => self.number()?,
            '(' => {
                self.at += 1;
                let inner = self.expression()?;
                self.expect(")")?;
                Kind::Paren(Box::new(inner))
            }
            '[' => {
                self.at += 1;
                Kind::List(self.arguments("]")?)
            }
            '{' => self.map()?,
            _ => self.name()?,
        };
        Ok(Expression { kind, start, end: self.at })
    }

    fn name(&mut self) -> Result<Kind, Error> {
        match self.word() {
            Some("true") => Ok(Kind::Bool(true)),
            Some("false") => Ok(Kind::Bool(false)),
            Some(reserved @ ("lt" | "lte" | "gt" | "gte" | "in" | "as" | "using")) => {
                self.at -= reserved.len();
                Err(self.unexpected())
            }
            Some(name) => Ok(Kind::Name(name.to_owned())),
            None => Err(self.unexpected()),
        }
    }

    fn number(&mut self) -> Result<Kind, Error> {
        let rest = self.rest();
        let whole = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let fraction = rest[whole..]
            .strip_prefix('.')
            .map_or(0, |tail| tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len()));
        let length = if fraction > 0 { whole + 1 + fraction } else { whole };
        let number = Decimal::parse(&rest[..length]).ok_or_else(|| self.fail("the number is too long"))?;
        self.at += length;
        Ok(Kind::Number(number))
    }

    fn map(&mut self) -> Result<Kind, Error> {
        self.at += 1;
        let mut members = Vec::new();
        while !self.take("}") {
            if !members.is_empty() {
                self.expect(",")?;
            }
            let key = self.expression()?;
            if !self.take(":") {
                self.expect(",")?;
            }
            members.push((key, self.expression()?));
        }
        Ok(Kind::Map(members))
    }

    fn literal(&mut self) -> Result<Kind, Error> {
        let start = self.at + 1;
        let close = end_of_literal(self.source, self.at)?;
        if close >= self.end {
            return Err(self.fail("unclosed string literal"));
        }
        let raw = is_raw(self.source.as_bytes(), self.at);
        self.at = close + 1;
        if raw {
            return Ok(Kind::Text(self.source[start..close].to_owned()));
        }
        let outputs = scan_literal(self.source, start, close)?;
        if outputs.is_empty() {
            return Ok(Kind::Text(unescape(self.source, start, close)?));
        }
        self.composed(start, close, &outputs)
    }

    fn composed(&mut self, start: usize, close: usize, outputs: &[(usize, usize)]) -> Result<Kind, Error> {
        let mut nodes = Vec::new();
        let mut at = start;
        for (from, to) in outputs {
            nodes.push(Node::Text(unescape(self.source, at, from - 2)?));
            let mut inner = Parser::new(self.source, *from, *to);
            (inner.depth, inner.work) = (self.depth + 1, self.work + 100);
            nodes.push(Node::Output(inner.only()?));
            self.work += 100;
            at = to + 1;
        }
        nodes.push(Node::Text(unescape(self.source, at, close)?));
        Ok(Kind::Composed(nodes))
    }
}

enum Suffix {
    Grown(Kind),
    Done(Expression),
}

fn join(operator: Operator, left: Expression, right: Expression) -> Expression {
    let (start, end) = (left.start, right.end);
    Expression { kind: Kind::Binary(operator, Box::new(left), Box::new(right)), start, end }
}

fn unescape(source: &str, start: usize, end: usize) -> Result<String, Error> {
    let mut out = String::with_capacity(end - start);
    let mut chars = source[start..end].char_indices();
    while let Some((offset, c)) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let escape = chars.next().map(|(_, c)| c);
        out.push(match escape {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some('f') => '\u{c}',
            Some('b') => '\u{8}',
            Some('g') => '>',
            Some('l') => '<',
            Some('a') => '&',
            Some(same @ ('\\' | '\'' | '"' | '$' | '{' | '=')) => same,
            Some('x') => {
                let digits: String =
                    chars.clone().map(|(_, c)| c).take(4).take_while(char::is_ascii_hexdigit).collect();
                for _ in 0..digits.len() {
                    chars.next();
                }
                u32::from_str_radix(&digits, 16)
                    .ok()
                    .and_then(char::from_u32)
                    .ok_or_else(|| syntax(source, start + offset, "invalid \\x escape"))?
            }
            _ => return Err(syntax(source, start + offset, "invalid escape sequence in a string literal")),
        });
    }
    Ok(out)
}
