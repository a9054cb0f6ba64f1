//! Runs a template: directives and variables. Loop variables belong to the frame of the macro (or of the template)
//! that loops; a macro sees its own parameters and the template's variables, not its caller's.

use super::ast::{
    AssignOperator, CallNode, Expression, Kind, ListNode, MacroDefinition, Node, Operator, Scope,
};
use super::value::{Hash, Range, Sequence, Value};
use super::{Error, Limits, Settings, builtins, format, position};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// How a block ended.
#[derive(PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Return,
}

/// A loop in progress.
pub(super) struct Loop<'a> {
    pub(super) name: String,
    pub(super) value: Value<'a>,
    pub(super) index: usize,
    pub(super) size: usize,
}

/// What a macro (or the template itself) sees as its own.
#[derive(Default)]
struct Frame<'a> {
    locals: Vec<(String, Value<'a>)>,
    loops: Vec<Loop<'a>>,
    /// What `<#nested>` runs, one frame below.
    nested: Option<Arc<[Node]>>,
    returned: Option<Value<'a>>,
}

impl<'a> Frame<'a> {
    fn set_local(&mut self, name: &str, value: Value<'a>) {
        match self.locals.iter_mut().find(|(n, _)| n == name) {
            Some(slot) => slot.1 = value,
            None => self.locals.push((name.to_owned(), value)),
        }
    }
}

/// One rendering.
pub(super) struct Run<'s, 'a> {
    source: &'s str,
    data: Rc<dyn Hash<'a> + 'a>,
    variables: BTreeMap<String, Value<'a>>,
    /// Frames of the macro calls, the innermost in `frame`.
    callers: Vec<Frame<'a>>,
    frame: Frame<'a>,
    output: String,
    settings: Settings,
    limits: Limits,
    number_format: Option<String>,
    steps: u64,
    depth: usize,
}

impl<'s, 'a> Run<'s, 'a> {
    pub(super) fn new(
        source: &'s str,
        data: Rc<dyn Hash<'a> + 'a>,
        settings: Settings,
        limits: Limits,
    ) -> Self {
        Self {
            source,
            data,
            variables: BTreeMap::new(),
            callers: Vec::new(),
            frame: Frame::default(),
            output: String::new(),
            settings,
            limits,
            number_format: None,
            steps: 0,
            depth: 0,
        }
    }

    pub(super) fn render(&mut self, nodes: &[Node]) -> Result<String, Error> {
        self.hoist(nodes);
        self.block(nodes)?;
        Ok(std::mem::take(&mut self.output))
    }

    /// Macros are known from the start of the template, wherever they stand.
    fn hoist(&mut self, nodes: &[Node]) {
        for node in nodes {
            if let Node::Macro(definition) = node {
                self.variables.insert(definition.name.clone(), Value::Macro(Arc::clone(definition)));
            }
        }
    }

    fn block(&mut self, nodes: &[Node]) -> Result<Flow, Error> {
        self.enter(0, 0)?;
        for node in nodes {
            let flow = self.node(node)?;
            if flow != Flow::Next {
                self.depth -= 1;
                return Ok(flow);
            }
        }
        self.depth -= 1;
        Ok(Flow::Next)
    }

    fn enter(&mut self, start: usize, end: usize) -> Result<(), Error> {
        self.steps += 1;
        self.depth += 1;
        if self.steps > self.limits.steps {
            return Err(self.failure(start, end, "the template takes too many steps"));
        }
        if self.depth > self.limits.depth {
            return Err(self.failure(start, end, "evaluation is nested too deeply"));
        }
        Ok(())
    }

    fn node(&mut self, node: &Node) -> Result<Flow, Error> {
        match node {
            Node::Text(text) => self.write(text)?,
            Node::Output(expression) => {
                let value = self.require(expression)?;
                if let Value::Text(text) = &value {
                    self.write(text)?;
                } else {
                    let text = self.printed(expression, &value)?;
                    self.write(&text)?;
                }
            }
            Node::If(branches) => return self.conditional(branches),
            Node::List(list) => return self.list(list),
            Node::Sep(body) => {
                let more = self.frame.loops.last().is_some_and(|l| l.index + 1 < l.size);
                return if more { self.block(body) } else { Ok(Flow::Next) };
            }
            Node::Assign(scope, name, operator, expression) => {
                self.assign(*scope, name, *operator, expression)?
            }
            Node::Capture(scope, name, body) => {
                let outer = std::mem::take(&mut self.output);
                let result = self.block(body);
                let captured = std::mem::replace(&mut self.output, outer);
                result?;
                self.set(*scope, name, Value::text(captured));
            }
            Node::Macro(definition) => {
                self.variables.insert(definition.name.clone(), Value::Macro(Arc::clone(definition)));
            }
            Node::Call(call) => return self.call(call),
            Node::Nested => return self.nested(),
            Node::Return(expression) => {
                self.frame.returned = match expression {
                    Some(expression) => Some(self.require(expression)?),
                    None => None,
                };
                return Ok(Flow::Return);
            }
            Node::Break => return Ok(Flow::Break),
            Node::Stop(expression) => return Err(self.stopped(expression.as_ref())),
            Node::Setting(name, expression) => self.setting(name, expression)?,
        }
        Ok(Flow::Next)
    }

    fn stopped(&mut self, expression: Option<&Expression>) -> Error {
        let Some(expression) = expression else { return self.failure(0, 0, "Encountered #stop instruction") };
        match self.require(expression) {
            Ok(value) => {
                let text = self.printed(expression, &value).unwrap_or_default();
                self.failure(
                    expression.start,
                    expression.end,
                    &format!("Encountered #stop instruction: {text}"),
                )
            }
            Err(error) => error,
        }
    }

    fn write(&mut self, text: &str) -> Result<(), Error> {
        self.steps += 1;
        if self.output.len() + text.len() > self.limits.output {
            return Err(self.failure(0, 0, "the output is too large"));
        }
        self.output.push_str(text);
        Ok(())
    }

    fn conditional(&mut self, branches: &[(Option<Expression>, Vec<Node>)]) -> Result<Flow, Error> {
        for (condition, body) in branches {
            let holds = match condition {
                Some(condition) => self.truth(condition)?,
                None => true,
            };
            if holds {
                return self.block(body);
            }
        }
        Ok(Flow::Next)
    }

    fn list(&mut self, list: &ListNode) -> Result<Flow, Error> {
        let value = self.require(&list.sequence)?;
        let Value::Sequence(items) = value else {
            return Err(self.expected(&list.sequence, "sequence or collection", &value));
        };
        let size = items.len();
        if size == 0 {
            return list.otherwise.as_ref().map_or(Ok(Flow::Next), |body| self.block(body));
        }
        for index in 0..size {
            let Some(value) = items.get(index) else { continue };
            self.frame.loops.push(Loop { name: list.variable.clone(), value, index, size });
            let flow = self.block(&list.body);
            self.frame.loops.pop();
            match flow? {
                Flow::Next => {}
                Flow::Break => break,
                Flow::Return => return Ok(Flow::Return),
            }
        }
        Ok(Flow::Next)
    }

    fn assign(
        &mut self,
        scope: Scope,
        name: &str,
        operator: AssignOperator,
        expression: &Expression,
    ) -> Result<(), Error> {
        let value = self.require(expression)?;
        let arithmetic = match operator {
            AssignOperator::Set => {
                self.set(scope, name, value);
                return Ok(());
            }
            AssignOperator::Add => Operator::Add,
            AssignOperator::Subtract => Operator::Subtract,
            AssignOperator::Multiply => Operator::Multiply,
            AssignOperator::Divide => Operator::Divide,
            AssignOperator::Remainder => Operator::Remainder,
        };
        let old = self.lookup(name).ok_or_else(|| self.missing(expression))?;
        let value = self.calculate(arithmetic, expression, old, value)?;
        self.set(scope, name, value);
        Ok(())
    }

    fn set(&mut self, scope: Scope, name: &str, value: Value<'a>) {
        match scope {
            Scope::Local => self.frame.set_local(name, value),
            Scope::Template | Scope::Global => {
                self.variables.insert(name.to_owned(), value);
            }
        }
    }

    fn setting(&mut self, name: &str, expression: &Expression) -> Result<(), Error> {
        let value = self.require(expression)?;
        if name != "number_format" {
            return Ok(());
        }
        let Value::Text(pattern) = &value else { return Err(self.expected(expression, "string", &value)) };
        self.number_format = Some(pattern.clone().into_owned());
        Ok(())
    }

    fn nested(&mut self) -> Result<Flow, Error> {
        let (Some(body), Some(caller)) = (self.frame.nested.clone(), self.callers.pop()) else {
            return Ok(Flow::Next);
        };
        let own = std::mem::replace(&mut self.frame, caller);
        let result = self.block(&body);
        let caller = std::mem::replace(&mut self.frame, own);
        self.callers.push(caller);
        result
    }

    fn call(&mut self, call: &CallNode) -> Result<Flow, Error> {
        let value = self.require(&call.name)?;
        let Value::Macro(definition) = value else {
            return Err(self.expected(&call.name, "macro", &value));
        };
        let mut arguments = Vec::new();
        for expression in &call.positional {
            arguments.push((None, self.eval(expression)?));
        }
        for (name, expression) in &call.named {
            arguments.push((Some(name.as_str()), self.eval(expression)?));
        }
        self.invoke(&definition, arguments, call.body.clone(), &call.name)?;
        Ok(Flow::Next)
    }

    fn invoke(
        &mut self,
        definition: &MacroDefinition,
        arguments: Vec<(Option<&str>, Option<Value<'a>>)>,
        nested: Option<Arc<[Node]>>,
        at: &Expression,
    ) -> Result<Option<Value<'a>>, Error> {
        let mut frame = Frame { nested, ..Frame::default() };
        let mut rest = Vec::new();
        for (position, (name, value)) in arguments.into_iter().enumerate() {
            let slot = match name {
                Some(name) => definition.parameters.iter().find(|(n, _)| n == name),
                None => definition.parameters.get(position),
            };
            match (slot, value) {
                (Some((name, _)), Some(value)) => frame.set_local(name, value),
                (None, Some(value)) if definition.rest.is_some() => rest.push(value),
                (None, _) => {
                    let message = format!("\"{}\" has no parameter for an argument", definition.name);
                    return Err(self.failure(at.start, at.end, &message));
                }
                (Some(_), None) => {}
            }
        }
        if let Some(name) = &definition.rest {
            frame.set_local(name, Value::list(rest));
        }
        let caller = std::mem::replace(&mut self.frame, frame);
        self.callers.push(caller);
        let result = self.run_macro(definition, at);
        let caller = self.callers.pop().unwrap_or_default();
        let done = std::mem::replace(&mut self.frame, caller);
        result.map(|_| done.returned)
    }

    fn run_macro(&mut self, definition: &MacroDefinition, at: &Expression) -> Result<Flow, Error> {
        for (name, default) in &definition.parameters {
            if self.frame.locals.iter().any(|(n, _)| n == name) {
                continue;
            }
            let Some(default) = default else {
                let message = format!(
                    "When calling {kind} \"{}\", required parameter \"{name}\" was specified, but had null/missing value, or was not specified",
                    definition.name,
                    kind = if definition.is_function { "function" } else { "macro" },
                );
                return Err(self.failure(at.start, at.end, &message));
            };
            let value = self.require(default)?;
            self.frame.set_local(name, value);
        }
        self.block(&definition.body)
    }

    fn lookup(&self, name: &str) -> Option<Value<'a>> {
        if let Some(found) = self.frame.loops.iter().rev().find(|l| l.name == name) {
            return Some(found.value.clone());
        }
        if let Some((_, value)) = self.frame.locals.iter().find(|(n, _)| n == name) {
            return Some(value.clone());
        }
        if let Some(value) = self.variables.get(name) {
            return Some(value.clone());
        }
        self.data.get(name).or_else(|| self.old_loop_variable(name))
    }

    /// `x_index` and `x_has_next`, the old spelling.
    fn old_loop_variable(&self, name: &str) -> Option<Value<'a>> {
        let find = |name: &str| self.frame.loops.iter().rev().find(|l| l.name == name);
        if let Some(found) = name.strip_suffix("_has_next").and_then(find) {
            return Some(Value::Bool(found.index + 1 < found.size));
        }
        let found = name.strip_suffix("_index").and_then(find)?;
        i64::try_from(found.index).ok().map(Value::integer)
    }

    /// The loop whose variable the expression names, for `?index` and its like.
    pub(super) fn loop_of(&self, expression: &Expression) -> Option<&Loop<'a>> {
        let Kind::Name(name) = &expression.kind else { return None };
        self.frame.loops.iter().rev().find(|l| &l.name == name)
    }

    /// The value, or an error when it is missing.
    pub(super) fn require(&mut self, expression: &Expression) -> Result<Value<'a>, Error> {
        self.eval(expression)?.ok_or_else(|| self.missing(expression))
    }

    fn truth(&mut self, expression: &Expression) -> Result<bool, Error> {
        match self.require(expression)? {
            Value::Bool(value) => Ok(value),
            other => Err(self.expected(expression, "boolean", &other)),
        }
    }

    /// `None` = the last step is missing.
    pub(super) fn eval(&mut self, expression: &Expression) -> Result<Option<Value<'a>>, Error> {
        self.enter(expression.start, expression.end)?;
        let depth = self.depth;
        let value = self.eval_kind(expression);
        self.depth = depth - 1;
        value
    }

    fn eval_kind(&mut self, expression: &Expression) -> Result<Option<Value<'a>>, Error> {
        Ok(Some(match &expression.kind {
            Kind::Text(text) => Value::text(text.clone()),
            Kind::Composed(nodes) => self.composed(nodes)?,
            Kind::Number(number) => Value::Number(*number),
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Name(name) => return Ok(self.lookup(name)),
            Kind::List(items) => {
                let values: Result<Vec<_>, _> = items.iter().map(|i| self.require(i)).collect();
                Value::list(values?)
            }
            Kind::Map(members) => self.map(members)?,
            Kind::Paren(inner) => return self.eval(inner),
            Kind::Member(left, name) => {
                let value = self.require(left)?;
                return self.member(left, &value, name);
            }
            Kind::Index(left, key) => return self.index(left, key),
            Kind::Call(left, arguments) => return self.call_function(left, arguments),
            Kind::BuiltIn(left, name, arguments) => {
                return builtins::apply(self, expression, left, name, arguments.as_deref());
            }
            Kind::Default(left, default) => return self.default(left, default.as_deref()),
            Kind::Exists(left) => Value::Bool(self.tolerant(left)?.is_some()),
            Kind::Not(inner) => Value::Bool(!self.truth(inner)?),
            Kind::Negate(inner) => match self.require(inner)? {
                Value::Number(number) => Value::Number(number.negated()),
                other => return Err(self.expected(inner, "number", &other)),
            },
            Kind::Binary(operator, left, right) => self.binary(expression, *operator, left, right)?,
            Kind::Range(from, to, exclusive) => self.range(from, to.as_deref(), *exclusive)?,
        }))
    }

    fn composed(&mut self, nodes: &[Node]) -> Result<Value<'a>, Error> {
        let outer = std::mem::take(&mut self.output);
        let result = self.block(nodes);
        let text = std::mem::replace(&mut self.output, outer);
        result?;
        Ok(Value::text(text))
    }

    fn map(&mut self, members: &[(Expression, Expression)]) -> Result<Value<'a>, Error> {
        let mut map = BTreeMap::new();
        for (key, value) in members {
            let key_value = self.require(key)?;
            let name = self.printed(key, &key_value)?;
            map.insert(name, self.require(value)?);
        }
        Ok(Value::Hash(Rc::new(map)))
    }

    fn member(
        &mut self,
        left: &Expression,
        value: &Value<'a>,
        name: &str,
    ) -> Result<Option<Value<'a>>, Error> {
        match value {
            Value::Hash(hash) => Ok(hash.get(name)),
            other => Err(self.expected(left, "hash", other)),
        }
    }

    fn index(&mut self, left: &Expression, key: &Expression) -> Result<Option<Value<'a>>, Error> {
        let value = self.require(left)?;
        let key_value = self.require(key)?;
        match (&value, &key_value) {
            (Value::Sequence(items), Value::Number(number)) => {
                let index = number.truncated().to_i64().and_then(|i| usize::try_from(i).ok());
                Ok(index.and_then(|i| items.get(i)))
            }
            (Value::Text(text), Value::Number(number)) => {
                let index = number.truncated().to_i64().and_then(|i| usize::try_from(i).ok());
                Ok(index.and_then(|i| text.chars().nth(i)).map(|c| Value::text(c.to_string())))
            }
            (_, Value::Text(name)) => self.member(left, &value, name),
            _ => Err(self.expected(key, "number or string", &key_value)),
        }
    }

    fn call_function(
        &mut self,
        left: &Expression,
        arguments: &[Expression],
    ) -> Result<Option<Value<'a>>, Error> {
        let value = self.require(left)?;
        let Value::Macro(definition) = &value else { return Err(self.expected(left, "method", &value)) };
        if !definition.is_function {
            return Err(self.expected(left, "function", &value));
        }
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            values.push((None, self.eval(argument)?));
        }
        // What a function prints goes nowhere.
        let outer = std::mem::take(&mut self.output);
        let result = self.invoke(&Arc::clone(definition), values, None, left);
        self.output = outer;
        result
    }

    fn default(
        &mut self,
        left: &Expression,
        default: Option<&Expression>,
    ) -> Result<Option<Value<'a>>, Error> {
        match (self.tolerant(left)?, default) {
            (Some(value), _) => Ok(Some(value)),
            (None, Some(default)) => self.eval(default),
            (None, None) => Ok(Some(Value::text(""))),
        }
    }

    /// In parentheses any step may be missing; without, only the last one.
    pub(super) fn tolerant(&mut self, left: &Expression) -> Result<Option<Value<'a>>, Error> {
        let depth = self.depth;
        match self.eval(left) {
            Err(Error::Missing { .. }) if matches!(left.kind, Kind::Paren(_)) => {
                self.depth = depth;
                Ok(None)
            }
            other => other,
        }
    }

    fn range(
        &mut self,
        from: &Expression,
        to: Option<&Expression>,
        exclusive: bool,
    ) -> Result<Value<'a>, Error> {
        let start = self.integer(from)?;
        let Some(to) = to else {
            return Ok(Value::Sequence(Rc::new(Range { from: start, count: usize::MAX >> 1, step: 1 })));
        };
        let end = self.integer(to)?;
        let distance = usize::try_from(start.abs_diff(end)).unwrap_or(usize::MAX >> 1);
        let count = distance.saturating_add(usize::from(!exclusive));
        let step = if start <= end { 1 } else { -1 };
        Ok(Value::Sequence(Rc::new(Range { from: start, count, step })))
    }

    pub(super) fn integer(&mut self, expression: &Expression) -> Result<i64, Error> {
        let value = self.require(expression)?;
        match &value {
            Value::Number(number) => number
                .truncated()
                .to_i64()
                .ok_or_else(|| self.failure(expression.start, expression.end, "the number is too large")),
            other => Err(self.expected(expression, "number", other)),
        }
    }

    fn binary(
        &mut self,
        whole: &Expression,
        operator: Operator,
        left: &Expression,
        right: &Expression,
    ) -> Result<Value<'a>, Error> {
        match operator {
            Operator::And => return Ok(Value::Bool(self.truth(left)? && self.truth(right)?)),
            Operator::Or => return Ok(Value::Bool(self.truth(left)? || self.truth(right)?)),
            _ => {}
        }
        let (a, b) = (self.require(left)?, self.require(right)?);
        let holds: fn(Ordering) -> bool = match operator {
            Operator::Equal => Ordering::is_eq,
            Operator::NotEqual => Ordering::is_ne,
            Operator::Less => Ordering::is_lt,
            Operator::LessEqual => Ordering::is_le,
            Operator::Greater => Ordering::is_gt,
            Operator::GreaterEqual => Ordering::is_ge,
            _ => return self.calculate(operator, whole, a, b),
        };
        let equality = matches!(operator, Operator::Equal | Operator::NotEqual);
        let order = match (&a, &b) {
            (Value::Number(a), Value::Number(b)) => a.compare(*b),
            (Value::Date(a, _), Value::Date(b, _)) => a.cmp(b),
            (Value::Text(a), Value::Text(b)) if equality => a.cmp(b),
            (Value::Bool(a), Value::Bool(b)) if equality => a.cmp(b),
            _ => {
                let message = format!("Can't compare values of these types: {} and {}", a.kind(), b.kind());
                return Err(self.failure(whole.start, whole.end, &message));
            }
        };
        Ok(Value::Bool(holds(order)))
    }

    fn calculate(
        &mut self,
        operator: Operator,
        at: &Expression,
        a: Value<'a>,
        b: Value<'a>,
    ) -> Result<Value<'a>, Error> {
        match (&a, &b, operator) {
            (Value::Number(a), Value::Number(b), _) => {
                let result = match operator {
                    Operator::Add => a.add(*b),
                    Operator::Subtract => a.add(b.negated()),
                    Operator::Multiply => a.multiply(*b),
                    Operator::Divide => a.divide(*b),
                    _ => a.remainder(*b),
                };
                result.map(Value::Number).ok_or_else(|| {
                    self.failure(
                        at.start,
                        at.end,
                        "Arithmetic operation failed: too large or divided by zero",
                    )
                })
            }
            (Value::Sequence(a), Value::Sequence(b), Operator::Add) => self.concatenate(at, &**a, &**b),
            (Value::Text(_), _, Operator::Add) | (_, Value::Text(_), Operator::Add) => {
                let text = self.printed(at, &a)? + &self.printed(at, &b)?;
                self.bounded(at, text)
            }
            _ => Err(self.expected(at, "number", if matches!(a, Value::Number(_)) { &b } else { &a })),
        }
    }

    fn concatenate(
        &mut self,
        at: &Expression,
        a: &(dyn Sequence<'a> + 'a),
        b: &(dyn Sequence<'a> + 'a),
    ) -> Result<Value<'a>, Error> {
        let size = a.len().saturating_add(b.len());
        self.spend(at, size)?;
        let items = |s: &(dyn Sequence<'a> + 'a)| (0..s.len()).filter_map(|i| s.get(i)).collect::<Vec<_>>();
        let mut joined = items(a);
        joined.extend(items(b));
        Ok(Value::list(joined))
    }

    /// Counts work that is done in one go.
    pub(super) fn spend(&mut self, at: &Expression, amount: usize) -> Result<(), Error> {
        self.steps = self.steps.saturating_add(amount as u64);
        if self.steps > self.limits.steps || amount > self.limits.text {
            return Err(self.failure(at.start, at.end, "the template takes too many steps"));
        }
        Ok(())
    }

    /// A text value that is not too long.
    pub(super) fn bounded(&mut self, at: &Expression, text: String) -> Result<Value<'a>, Error> {
        if text.len() > self.limits.text {
            return Err(self.failure(at.start, at.end, "the text is too long"));
        }
        self.spend(at, text.len() / 64)?;
        Ok(Value::text(text))
    }

    /// The value as `${...}` prints it.
    pub(super) fn printed(&self, at: &Expression, value: &Value<'a>) -> Result<String, Error> {
        match value {
            Value::Text(text) => Ok(text.clone().into_owned()),
            Value::Number(number) => Ok(self.number(*number)),
            Value::Date(moment, kind) => Ok(format::default_date(*moment, *kind)),
            Value::Bool(_) if !self.settings.strict_booleans => Ok(String::new()),
            other => Err(self.expected(at, "string or something automatically convertible to string", other)),
        }
    }

    fn number(&self, number: super::Decimal) -> String {
        match &self.number_format {
            Some(pattern) => format::number(number, pattern),
            None if self.settings.grouped_numbers => format::number(number, ",##0.###"),
            None => format::number(number, "0.###"),
        }
    }

    pub(super) fn missing(&self, expression: &Expression) -> Error {
        let (line, column) = position(self.source, expression.start);
        Error::Missing { expression: self.excerpt(expression.start, expression.end), line, column }
    }

    pub(super) fn expected(&self, expression: &Expression, wanted: &str, found: &Value<'a>) -> Error {
        let message = format!("Expected a {wanted}, but this has evaluated to a {}:", found.kind());
        self.failure(expression.start, expression.end, &message)
    }

    pub(super) fn failure(&self, start: usize, end: usize, message: &str) -> Error {
        let (line, column) = position(self.source, start);
        Error::Evaluation { message: message.to_owned(), expression: self.excerpt(start, end), line, column }
    }

    fn excerpt(&self, start: usize, end: usize) -> String {
        self.source.get(start..end).unwrap_or("").chars().take(120).collect()
    }
}
