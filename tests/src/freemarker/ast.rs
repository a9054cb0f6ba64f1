//! What a template is made of once it is parsed.

use super::decimal::Decimal;
use std::sync::Arc;

/// An expression and where it stands in the source.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Text(String),
    /// A text with interpolations inside.
    Composed(Vec<Node>),
    Number(Decimal),
    Bool(bool),
    Name(String),
    List(Vec<Expression>),
    Map(Vec<(Expression, Expression)>),
    Paren(Box<Expression>),
    Member(Box<Expression>, String),
    Index(Box<Expression>, Box<Expression>),
    Call(Box<Expression>, Vec<Expression>),
    BuiltIn(Box<Expression>, String, Option<Vec<Expression>>),
    Default(Box<Expression>, Option<Box<Expression>>),
    Exists(Box<Expression>),
    Not(Box<Expression>),
    Negate(Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
    /// From, to (`None` = open), exclusive.
    Range(Box<Expression>, Option<Box<Expression>>, bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    And,
    Or,
}

/// A directive, an interpolation or text.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    Output(Expression),
    If(Vec<(Option<Expression>, Vec<Node>)>),
    List(Box<ListNode>),
    Sep(Vec<Node>),
    Assign(Scope, String, AssignOperator, Expression),
    Capture(Scope, String, Vec<Node>),
    Macro(Arc<MacroDefinition>),
    Call(Box<CallNode>),
    Nested,
    Return(Option<Expression>),
    Break,
    Stop(Option<Expression>),
    Setting(String, Expression),
}

#[derive(Clone, Debug)]
pub(super) struct ListNode {
    pub(super) sequence: Expression,
    pub(super) variable: String,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Option<Vec<Node>>,
}

#[derive(Clone, Debug)]
pub(super) struct CallNode {
    pub(super) name: Expression,
    pub(super) positional: Vec<Expression>,
    pub(super) named: Vec<(String, Expression)>,
    pub(super) body: Option<Arc<[Node]>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Template,
    Local,
    Global,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AssignOperator {
    Set,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// A macro or a function.
#[derive(Clone, Debug)]
pub struct MacroDefinition {
    pub(super) name: String,
    pub(super) is_function: bool,
    /// Parameters with their default.
    pub(super) parameters: Vec<(String, Option<Expression>)>,
    /// Name of the parameter that takes what is left.
    pub(super) rest: Option<String>,
    pub(super) body: Vec<Node>,
}
