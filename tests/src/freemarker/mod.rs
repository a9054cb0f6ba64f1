//! An interpreter for the part of FreeMarker that report templates use. It follows the manual where it covers
//! something and refuses by name what it does not cover; it never guesses. A template cannot hang or exhaust the
//! process: steps, output, depth and text sizes are limited.

mod ast;
mod builtins;
mod decimal;
mod eval;
mod expression;
mod format;
mod parse;
mod scan;
#[cfg(test)]
mod tests;
mod value;

pub use decimal::Decimal;
pub use value::{Hash, Sequence, Value};

use std::rc::Rc;

/// A parsed template.
#[derive(Debug)]
pub struct Template {
    source: String,
    body: Vec<ast::Node>,
}

/// How values are printed.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `${1234567}` prints `1,234,567` instead of `1234567`.
    pub grouped_numbers: bool,
    /// `${true}` is an error, as in FreeMarker as shipped, instead of printing nothing, as this vendor has it.
    pub strict_booleans: bool,
}

/// Bounds of one rendering.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Nodes and expressions evaluated.
    pub steps: u64,
    /// Bytes written.
    pub output: usize,
    /// Nested evaluations.
    pub depth: usize,
    /// Bytes of one text value.
    pub text: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps: 5_000_000, output: 64 << 20, depth: 150, text: 1 << 20 }
    }
}

/// What is wrong with a template or its evaluation, worded much as FreeMarker does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It does not parse.
    #[error("Syntax error in template \"template\" in line {line}, column {column}:\n{message}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What was found and expected.
        message: String,
    },
    /// A variable or member is missing.
    #[error(
        "The following has evaluated to null or missing:\n==> {expression}  [in template \"template\" at line {line}, column {column}]"
    )]
    Missing {
        /// The expression as written.
        expression: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// Any other failure.
    #[error("{message}\n==> {expression}  [in template \"template\" at line {line}, column {column}]")]
    Evaluation {
        /// What happened.
        message: String,
        /// The expression as written.
        expression: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
}

impl Template {
    /// Parses.
    ///
    /// # Errors
    /// Where and why it is no template.
    pub fn parse(source: &str) -> Result<Self, Error> {
        let body = parse::parse(source)?;
        Ok(Self { source: source.to_owned(), body })
    }

    /// Renders with the members of `data` as top-level variables.
    ///
    /// # Errors
    /// The first failure; what was written until then is lost, as a file that is never finished.
    pub fn render<'a>(
        &self,
        data: Rc<dyn Hash<'a> + 'a>,
        settings: &Settings,
        limits: Limits,
    ) -> Result<String, Error> {
        let mut run = eval::Run::new(&self.source, data, settings.clone(), limits);
        run.render(&self.body)
    }
}

/// Line and column (from 1) of a byte offset.
fn position(source: &str, offset: usize) -> (usize, usize) {
    let before = source.get(..offset).unwrap_or(source);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    (line, column)
}

fn syntax(source: &str, offset: usize, message: impl Into<String>) -> Error {
    let (line, column) = position(source, offset);
    Error::Syntax { line, column, message: message.into() }
}
