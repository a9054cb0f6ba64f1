//! Writes a GL journal: group, header, lines. Kinetic knows no natural key for journals, so the reference at the
//! head of every description is the only thing that makes one findable again.

use super::client::Client;
use super::convert::{self, compare_journal, day, fill_entry, journal_comment, journal_description};
use super::group::{GL_GROUPS, ensure_group};
use super::lookup::{FoundJournal, JournalKey, header_query};
use super::outcome::{Kind, Refusal};
use super::profile::{GL_DELETE, GL_HEADER_NEW, GL_LINE_NEW, GL_PRE_SAVE, GL_SAVE, Step};
use super::saga::Trail;
use super::wire::{Dataset, Row, Unreadable, int, is_added, mark, number, raw, set, text};
use crate::vendors::http::Effect;
use spend::plan::{JournalLine, PlannedDocument, PostingPlan};
use spend::posting::{Failure, FailureClass};

const HEADER: &str = "GLJrnHed";
const LINES: &str = "GLJrnDtlMnl";

/// Writes the whole journal.
pub(super) async fn begin(client: &Client, plan: &PostingPlan, trail: &mut Trail) -> Result<(), Refusal> {
    let group = convert::group_id(plan, &client.settings);
    ensure_group(client, plan, &GL_GROUPS, &group).await?;
    let values = [("GroupID", raw(&group)), ("ds", number("{}"))];
    let mut dataset = client.dataset(&plan.company, &GL_HEADER_NEW, &values).await?;
    edit_added(&mut dataset, HEADER, &GL_HEADER_NEW, |row| {
        set(row, "Description", &journal_description(plan, &client.settings));
        set(row, "CommentText", &journal_comment(plan));
        set(row, "JEDate", &day(plan.date));
        set(row, "CurrencyCode", plan.currency.code());
    })?;
    let dataset = pre_save(client, plan, dataset).await?;
    trail.first_write();
    let dataset = client.dataset(&plan.company, &GL_SAVE, &[("ds", raw(&dataset))]).await?;
    trail.written();
    let header = match saved_header(&dataset, plan).map_err(|why| in_doubt(&GL_SAVE, &why))? {
        Some(header) => header,
        None => read_header(client, plan).await?,
    };
    let PlannedDocument::Journal { lines } = &plan.document else { return Ok(()) };
    let all: Vec<usize> = (0..lines.len()).collect();
    write_lines(client, plan, header, dataset, &all).await
}

/// Adds the lines that a half-written journal lacks.
pub(super) async fn resume(client: &Client, plan: &PostingPlan, found: FoundJournal) -> Result<(), Refusal> {
    let (_, missing) = compare_journal(plan, &found.entries(plan.currency), found.posted);
    let header = header_of(&found)?;
    let mut dataset = Dataset::of(HEADER, std::slice::from_ref(&header));
    dataset.put(LINES, &found.lines);
    write_lines(client, plan, header, dataset, &missing).await
}

/// Deletes a half-written journal.
pub(super) async fn delete(client: &Client, plan: &PostingPlan, found: FoundJournal) -> Result<(), Refusal> {
    let mut header = header_of(&found)?;
    mark(&mut header, "D");
    client.invoke(&plan.company, &GL_DELETE, &[("ds", raw(&Dataset::of(HEADER, &[header])))]).await.map(drop)
}

async fn write_lines(
    client: &Client,
    plan: &PostingPlan,
    header: Row,
    mut dataset: Dataset,
    indexes: &[usize],
) -> Result<(), Refusal> {
    let PlannedDocument::Journal { lines } = &plan.document else { return Ok(()) };
    let key = JournalKey::of(&header);
    for (index, line) in indexes.iter().filter_map(|index| Some((*index, lines.get(*index)?))) {
        dataset = write_line(client, plan, &key, dataset, (index, line)).await?;
    }
    Ok(())
}

async fn write_line(
    client: &Client,
    plan: &PostingPlan,
    key: &JournalKey,
    mut dataset: Dataset,
    (index, line): (usize, &JournalLine),
) -> Result<Dataset, Refusal> {
    dataset.settle(&[HEADER, LINES]).map_err(|why| in_doubt(&GL_SAVE, &why))?;
    let values = [
        ("bookID", raw(&key.book)),
        ("fiscalYear", raw(&key.year)),
        ("fiscalYearSuffix", raw(&key.suffix)),
        ("journalCode", raw(&key.code)),
        ("journalNum", raw(&key.number)),
        ("journalLine", number("0")),
        ("ds", raw(&dataset)),
    ];
    let mut dataset = client.dataset(&plan.company, &GL_LINE_NEW, &values).await?;
    edit_added(&mut dataset, LINES, &GL_LINE_NEW, |row| {
        fill_entry(row, plan, index, line, &client.settings)
    })?;
    client.dataset(&plan.company, &GL_SAVE, &[("ds", raw(&dataset))]).await
}

/// Lets the instance check the header; a question that it would ask a person is a refusal.
async fn pre_save(client: &Client, plan: &PostingPlan, dataset: Dataset) -> Result<Dataset, Refusal> {
    if !client.resolved(&plan.company, &GL_PRE_SAVE).await?.offered {
        return Ok(dataset);
    }
    let answer = match client.invoke(&plan.company, &GL_PRE_SAVE, &[("ds", raw(&dataset))]).await {
        Err(refusal) if refusal.kind == Kind::NotOffered => return Ok(dataset),
        answer => answer?,
    };
    let asked = super::outcome::Asked {
        operation: GL_PRE_SAVE.operation,
        effect: Effect::Read,
        maintenance_minutes: 0,
    };
    super::outcome::saved(asked, &answer)?;
    Ok(answer.dataset().unwrap_or(dataset))
}

/// The header row with the number that the save gave it.
fn saved_header(dataset: &Dataset, plan: &PostingPlan) -> Result<Option<Row>, Unreadable> {
    let numbered = |row: &Row| {
        plan.reference.is_in(&text(row, "Description"))
            && int(row, "JournalNum").is_some_and(|number| number > 0)
    };
    Ok(dataset.rows(HEADER)?.into_iter().rev().find(numbered))
}

async fn read_header(client: &Client, plan: &PostingPlan) -> Result<Row, Refusal> {
    let whole = journal_description(plan, &client.settings);
    let filter = format!("Description eq {}", super::calls::literal(&whole));
    let mut rows = client.rows(&plan.company, &header_query(filter)).await?;
    match (rows.pop(), rows.is_empty()) {
        (Some(row), true) => Ok(row),
        _ => Err(in_doubt(&GL_SAVE, &"the saved header cannot be identified")),
    }
}

fn header_of(found: &FoundJournal) -> Result<Row, Refusal> {
    let header = found.header.clone().filter(|_| !found.posted);
    header.ok_or_else(|| in_doubt(&GL_SAVE, &"the journal has been posted meanwhile"))
}

fn in_doubt(step: &Step, why: &dyn std::fmt::Display) -> Refusal {
    Failure::new(FailureClass::InDoubt, format!("{}: {why}", step.operation)).into()
}

/// Changes the new row that a `GetNew...` added.
pub(super) fn edit_added(
    dataset: &mut Dataset,
    table: &str,
    step: &Step,
    change: impl FnOnce(&mut Row),
) -> Result<(), Refusal> {
    let unavailable = |why: &dyn std::fmt::Display| {
        Refusal::from(Failure::new(FailureClass::Unavailable, format!("{}: {why}", step.operation)))
    };
    match dataset.edit(table, is_added, change) {
        Ok(true) => Ok(()),
        Ok(false) => Err(unavailable(&format!("the answer holds no new row of {table}"))),
        Err(why) => Err(unavailable(&why)),
    }
}
