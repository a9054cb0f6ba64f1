//! Builds the tree of directives from the scanned tokens.

use super::ast::{AssignOperator, CallNode, Expression, ListNode, MacroDefinition, Node, Scope};
use super::expression::Parser;
use super::scan::{Token, scan};
use super::{Error, syntax};
use std::sync::Arc;

/// Nesting of directives.
const MAX_DEPTH: usize = 40;

pub(super) fn parse(source: &str) -> Result<Vec<Node>, Error> {
    let mut builder = Builder { source, tokens: scan(source)?.into_iter().peekable(), depth: 0 };
    let (nodes, stop) = builder.block()?;
    match stop {
        Stop::End => Ok(nodes),
        Stop::Close(name, at) => Err(syntax(source, at, format!("Unexpected end tag: {name}"))),
        Stop::Branch(name, start, _) => Err(syntax(source, start, format!("Unexpected #{name}"))),
    }
}

/// Why a block ended.
enum Stop {
    End,
    /// Name and offset.
    Close(String, usize),
    /// `else` or `elseif`, with the range of its condition.
    Branch(String, usize, usize),
}

struct Builder<'s> {
    source: &'s str,
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    depth: usize,
}

impl Builder<'_> {
    fn block(&mut self) -> Result<(Vec<Node>, Stop), Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(syntax(self.source, 0, "directives are nested too deeply"));
        }
        let mut nodes = Vec::new();
        let stop = loop {
            let Some(token) = self.tokens.next() else { break Stop::End };
            match token {
                Token::Text(text) => nodes.push(Node::Text(text)),
                Token::Output { start, end } => nodes.push(Node::Output(self.expression(start, end)?)),
                Token::Comment => {}
                Token::Call { start, end, empty } => nodes.push(self.call(start, end, empty)?),
                Token::Close { name, start } => break Stop::Close(format!("#{name}"), start),
                Token::CloseCall { start } => break Stop::Close("@".to_owned(), start),
                Token::Open { name, start, end } if name == "else" || name == "elseif" => {
                    break Stop::Branch(name, start, end);
                }
                // An open `<#sep>` ends where its list ends.
                Token::Open { name, .. } if name == "sep" => {
                    let (inner, stop) = self.block()?;
                    nodes.push(Node::Sep(inner));
                    if !matches!(&stop, Stop::Close(name, _) if name == "#sep") {
                        break stop;
                    }
                }
                Token::Open { name, start, end } => nodes.extend(self.directive(&name, start, end)?),
            }
        };
        self.depth -= 1;
        Ok((nodes, stop))
    }

    /// A block that must end with that end tag.
    fn body(&mut self, name: &str, start: usize) -> Result<Vec<Node>, Error> {
        let (nodes, stop) = self.block()?;
        match stop {
            Stop::Close(closed, _) if closed == name => Ok(nodes),
            Stop::Close(closed, at) => {
                Err(syntax(self.source, at, format!("Encountered end of {closed}, expected end of {name}")))
            }
            Stop::Branch(branch, at, _) => Err(syntax(self.source, at, format!("Unexpected #{branch}"))),
            Stop::End => Err(syntax(self.source, start, format!("{name} is not closed"))),
        }
    }

    fn expression(&self, start: usize, end: usize) -> Result<Expression, Error> {
        Parser::new(self.source, start, end).only()
    }

    fn directive(&mut self, name: &str, start: usize, end: usize) -> Result<Option<Node>, Error> {
        let is_empty = self.source[start..end].trim().is_empty();
        Ok(Some(match name {
            "if" => self.conditional(start, end)?,
            "list" => self.list(start, end)?,
            "assign" => self.assign(Scope::Template, "#assign", start, end)?,
            "local" => self.assign(Scope::Local, "#local", start, end)?,
            "global" => self.assign(Scope::Global, "#global", start, end)?,
            "macro" | "function" => self.definition(name, start, end)?,
            "nested" if is_empty => Node::Nested,
            "return" if is_empty => Node::Return(None),
            "return" => Node::Return(Some(self.expression(start, end)?)),
            "break" if is_empty => Node::Break,
            "stop" if is_empty => Node::Stop(None),
            "stop" => Node::Stop(Some(self.expression(start, end)?)),
            "setting" => self.setting(start, end)?,
            "ftl" | "t" | "lt" | "rt" | "nt" | "flush" => return Ok(None),
            other => return Err(syntax(self.source, start, format!("Unknown directive: #{other}"))),
        }))
    }

    fn conditional(&mut self, start: usize, end: usize) -> Result<Node, Error> {
        let mut branches = Vec::new();
        let mut condition = Some(self.expression(start, end)?);
        loop {
            let (nodes, stop) = self.block()?;
            let is_else = condition.is_none();
            branches.push((condition.take(), nodes));
            match stop {
                Stop::Close(name, _) if name == "#if" => return Ok(Node::If(branches)),
                Stop::Branch(_, at, _) if is_else => {
                    return Err(syntax(self.source, at, "Unexpected branch after #else"));
                }
                Stop::Branch(name, from, to) if name == "elseif" => {
                    condition = Some(self.expression(from, to)?);
                }
                Stop::Branch(..) => {}
                Stop::Close(name, at) => {
                    return Err(syntax(
                        self.source,
                        at,
                        format!("Encountered end of {name}, expected end of #if"),
                    ));
                }
                Stop::End => return Err(syntax(self.source, start, "#if is not closed")),
            }
        }
    }

    fn list(&mut self, start: usize, end: usize) -> Result<Node, Error> {
        let mut parser = Parser::new(self.source, start, end);
        let sequence = parser.expression()?;
        if !parser.keyword("as") {
            return Err(parser.fail("expected \"as\"; #items is not supported"));
        }
        let variable = parser.word().ok_or_else(|| parser.fail("expected a loop variable"))?.to_owned();
        parser.finish()?;
        let (body, stop) = self.block()?;
        let otherwise = match stop {
            Stop::Close(name, _) if name == "#list" => None,
            Stop::Branch(name, ..) if name == "else" => Some(self.body("#list", start)?),
            Stop::Branch(name, at, _) => return Err(syntax(self.source, at, format!("Unexpected #{name}"))),
            Stop::Close(name, at) => {
                return Err(syntax(
                    self.source,
                    at,
                    format!("Encountered end of {name}, expected end of #list"),
                ));
            }
            Stop::End => return Err(syntax(self.source, start, "#list is not closed")),
        };
        Ok(Node::List(Box::new(ListNode { sequence, variable, body, otherwise })))
    }

    fn assign(&mut self, scope: Scope, tag: &str, start: usize, end: usize) -> Result<Node, Error> {
        let mut parser = Parser::new(self.source, start, end);
        let name = parser.word().ok_or_else(|| parser.fail("expected a variable name"))?.to_owned();
        if parser.is_at_end() {
            return Ok(Node::Capture(scope, name, self.body(tag, start)?));
        }
        let operators = [
            ("+=", AssignOperator::Add),
            ("-=", AssignOperator::Subtract),
            ("*=", AssignOperator::Multiply),
            ("/=", AssignOperator::Divide),
            ("%=", AssignOperator::Remainder),
            ("=", AssignOperator::Set),
        ];
        let operator = operators.into_iter().find(|(symbol, _)| parser.take(symbol)).map(|(_, o)| o);
        let operator = operator.ok_or_else(|| parser.fail("expected \"=\""))?;
        let value = parser.expression()?;
        parser.finish().map_err(|_| parser.fail("only one assignment in a tag is supported"))?;
        Ok(Node::Assign(scope, name, operator, value))
    }

    fn definition(&mut self, tag: &str, start: usize, end: usize) -> Result<Node, Error> {
        let mut parser = Parser::new(self.source, start, end);
        let name = parser.word().ok_or_else(|| parser.fail("expected a name"))?.to_owned();
        let parenthesised = parser.take("(");
        let (mut parameters, mut rest) = (Vec::new(), None);
        while !parser.is_at_end() {
            if parenthesised && parser.take(")") {
                break;
            }
            parser.take(",");
            if let Some(name) = parser.named_argument() {
                parameters.push((name.to_owned(), Some(parser.expression()?)));
                continue;
            }
            let parameter = parser.word().ok_or_else(|| parser.fail("expected a parameter"))?.to_owned();
            if parser.take("...") {
                rest = Some(parameter);
            } else {
                parameters.push((parameter, None));
            }
        }
        parser.finish()?;
        let body = self.body(&format!("#{tag}"), start)?;
        let is_function = tag == "function";
        Ok(Node::Macro(Arc::new(MacroDefinition { name, is_function, parameters, rest, body })))
    }

    fn setting(&mut self, start: usize, end: usize) -> Result<Node, Error> {
        let mut parser = Parser::new(self.source, start, end);
        let name = parser.named_argument().ok_or_else(|| parser.fail("expected name=value"))?.to_owned();
        let value = parser.expression()?;
        parser.finish()?;
        Ok(Node::Setting(name, value))
    }

    fn call(&mut self, start: usize, end: usize, empty: bool) -> Result<Node, Error> {
        let mut parser = Parser::new(self.source, start, end);
        let name_start = start;
        let name = parser.word().ok_or_else(|| parser.fail("expected the name of a macro"))?;
        let name = Expression {
            kind: super::ast::Kind::Name(name.to_owned()),
            start: name_start,
            end: name_start + name.len(),
        };
        let (mut positional, mut named) = (Vec::new(), Vec::new());
        while !parser.is_at_end() {
            if let Some(argument) = parser.named_argument() {
                named.push((argument.to_owned(), parser.expression()?));
            } else {
                positional.push(parser.expression()?);
                parser.take(",");
            }
        }
        if !named.is_empty() && !positional.is_empty() {
            return Err(parser.fail("named and positional arguments cannot be mixed"));
        }
        let body = if empty { None } else { Some(self.body("@", start)?.into()) };
        Ok(Node::Call(Box::new(CallNode { name, positional, named, body })))
    }
}
