//! A tableset as it travels: arrays of rows by table, of which only rows marked `A`, `U` or `D` are saved.

use super::columns::Type;
use super::json::{Json, Row, put, row, text_of};
use super::methods;
use super::refusal::{Outcome, Refusal};

/// What a row's `RowMod` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Add,
    Update,
    Delete,
}

/// The change that a row asks for; `None` = a before-image or an untouched row.
pub(super) fn change_of(row: &Row) -> Option<Change> {
    match text_of(row, "RowMod") {
        "A" => Some(Change::Add),
        "U" => Some(Change::Update),
        "D" => Some(Change::Delete),
        _ => None,
    }
}

/// The `ds` argument.
pub(super) fn dataset_of(arguments: &mut Row) -> Outcome<Row> {
    match arguments.remove("ds") {
        Some(Json::Obj(dataset)) => Ok(dataset),
        Some(Json::Null) | None => Ok(Row::new()),
        Some(_) => Err(Refusal::bad_input("Parameter ds must be an object.")),
    }
}

pub(super) fn rows_of(dataset: &Row, table: &str) -> Vec<Row> {
    dataset
        .get(table)
        .map(Json::rows)
        .unwrap_or_default()
        .iter()
        .filter_map(|row| row.as_row().cloned())
        .collect()
}

pub(super) fn set_rows(dataset: &mut Row, table: &'static str, rows: Vec<Row>) {
    put(dataset, table, rows.into_iter().map(Json::Obj).collect::<Vec<_>>());
}

pub(super) fn push_row(dataset: &mut Row, table: &'static str, new: Row) {
    let mut rows = rows_of(dataset, table);
    rows.push(new);
    set_rows(dataset, table, rows);
}

/// Edits the newest row of a table that is being added or changed: what the screen's `Change...` methods act on.
pub(super) fn edit(dataset: &mut Row, table: &'static str, change: impl FnOnce(&mut Row)) -> Outcome<()> {
    let mut rows = rows_of(dataset, table);
    let chosen = rows.iter().rposition(|row| change_of(row).is_some());
    let Some(row) = chosen.and_then(|at| rows.get_mut(at)) else {
        return Err(Refusal::business("", "", format!("No row of {table} is being changed.")).wrong_call());
    };
    change(row);
    set_rows(dataset, table, rows);
    Ok(())
}

/// A wide new row.
pub(super) fn skeleton(table: &str, width: usize, known: Row) -> Row {
    let mut out = known;
    put(&mut out, "RowMod", "A");
    methods::table_of(table).widen(&mut out, width);
    out
}

/// The types of what a caller sends in known columns must fit.
pub(super) fn check_types(table: &'static str, row: &Row) -> Outcome<()> {
    for (name, kind) in &methods::table_of(table).columns {
        let fits = match (row.get(*name), kind) {
            (None | Some(Json::Null), _) => true,
            (Some(Json::Str(_)), Type::Text | Type::Guid | Type::Date)
            | (Some(Json::Bool(_)), Type::Flag) => true,
            (Some(value @ Json::Num(_)), Type::Int) => value.as_i64().is_some(),
            (Some(value @ Json::Num(_)), Type::Decimal) => value.as_amount().is_some(),
            _ => false,
        };
        if !fits {
            return Err(Refusal::bad_input(format!(
                "The value of {table}.{name} could not be deserialised."
            )));
        }
    }
    Ok(())
}

/// The server's row over the caller's: what nobody knows is echoed.
pub(super) fn echoed(sent: &Row, saved: Row, table: &str, width: usize) -> Row {
    let mut out = sent.clone();
    out.extend(saved);
    put(&mut out, "RowMod", "");
    methods::table_of(table).widen(&mut out, width);
    out
}

/// `{"parameters": {"ds": ...}}`.
pub(super) fn dataset_answer(mut dataset: Row) -> Row {
    dataset.entry("ExtensionTables".into()).or_insert_with(|| Json::Arr(Vec::new()));
    super::parameters(row([("ds", dataset.into())]))
}

/// `dataset_answer` with further out parameters.
pub(super) fn dataset_answer_with(dataset: Row, more: Row) -> Row {
    let mut answer = dataset_answer(dataset);
    if let Some(Json::Obj(parameters)) = answer.get_mut("parameters") {
        parameters.extend(more);
    }
    answer
}
