//! Groups: the containers that a person releases documents from. One flow's documents of one day share a group; it
//! is made when it is missing, and a group that somebody works in is left alone.

use super::calls::{Query, literal};
use super::client::Client;
use super::convert::day;
use super::journal::edit_added;
use super::outcome::{Kind, Refusal};
use super::profile::{
    AP_GROUP_NEW, AP_GROUP_SAVE, AP_GROUP_UNLOCK, GL_GROUP_NEW, GL_GROUP_SAVE, GL_GROUP_UNLOCK,
    GL_YEAR_CHECK, Step,
};
use super::settings::Settings;
use super::wire::{Dataset, Row, flag, raw, set, text};
use spend::plan::PostingPlan;
use spend::posting::{Failure, FailureClass};

/// The groups of one kind of document.
pub(super) struct Groups {
    service: &'static str,
    set: &'static str,
    table: &'static str,
    new: &'static Step,
    check: Option<&'static Step>,
    save: &'static Step,
    unlock: &'static Step,
    fill: fn(&mut Row, &PostingPlan, &Settings),
}

/// Groups of invoices.
pub(super) static AP_GROUPS: Groups = Groups {
    service: "Erp.BO.APInvGrpSvc",
    set: "APInvGrps",
    table: "APInvGrp",
    new: &AP_GROUP_NEW,
    check: None,
    save: &AP_GROUP_SAVE,
    unlock: &AP_GROUP_UNLOCK,
    fill: |row, plan, _| set(row, "ApplyDate", &day(plan.date)),
};

/// Groups of journals.
pub(super) static GL_GROUPS: Groups = Groups {
    service: "Erp.BO.GLJrnGrpSvc",
    set: "GLJrnGrps",
    table: "GLJrnGrp",
    new: &GL_GROUP_NEW,
    check: Some(&GL_YEAR_CHECK),
    save: &GL_GROUP_SAVE,
    unlock: &GL_GROUP_UNLOCK,
    fill: |row, plan, settings| {
        set(row, "BookID", &settings.book);
        set(row, "BookMode", "S");
        set(row, "JEDate", &day(plan.date));
        set(row, "JournalCode", &settings.journal_code);
    },
};

/// Makes sure that the group is there and free.
pub(super) async fn ensure_group(
    client: &Client,
    plan: &PostingPlan,
    groups: &'static Groups,
    id: &str,
) -> Result<(), Refusal> {
    if let Some(group) = find(client, plan, groups, id).await? {
        return free(client, plan, groups, &group).await;
    }
    match create(client, plan, groups, id).await {
        // Somebody, perhaps an answer of ours that got lost, made it meanwhile.
        Err(refusal) if refusal.kind == Kind::Duplicate => match find(client, plan, groups, id).await? {
            Some(group) => free(client, plan, groups, &group).await,
            None => Err(refusal),
        },
        done => done,
    }
}

async fn find(
    client: &Client,
    plan: &PostingPlan,
    groups: &'static Groups,
    id: &str,
) -> Result<Option<Row>, Refusal> {
    let query = Query {
        operation: "epicor.group.find",
        service: groups.service,
        set: groups.set,
        named: None,
        select: &[],
        filter: format!("GroupID eq {}", literal(id)),
        order: "",
    };
    Ok(client.some(&plan.company, &query, 1).await?.pop())
}

async fn create(
    client: &Client,
    plan: &PostingPlan,
    groups: &'static Groups,
    id: &str,
) -> Result<(), Refusal> {
    let no_rows: &[Row] = &[];
    let empty = Dataset::of(groups.table, no_rows);
    let mut dataset = client.dataset(&plan.company, groups.new, &[("ds", raw(&empty))]).await?;
    edit_added(&mut dataset, groups.table, groups.new, |row| {
        set(row, "GroupID", id);
        (groups.fill)(row, plan, &client.settings);
    })?;
    if let Some(check) = groups.check {
        let values = [("cGroupID", raw(&id)), ("cJEDate", raw(&day(plan.date))), ("ds", raw(&dataset))];
        dataset = client.refine(&plan.company, check, &values, dataset).await?;
    }
    client.invoke(&plan.company, groups.save, &[("ds", raw(&dataset))]).await.map(drop)
}

/// A group in use is respected; only a lock of our own user, left over from a call that was cut, is taken off.
async fn free(
    client: &Client,
    plan: &PostingPlan,
    groups: &'static Groups,
    group: &Row,
) -> Result<(), Refusal> {
    let id = text(group, "GroupID");
    let busy = |words: String| Err(Failure::new(FailureClass::NotSent, words).into());
    if flag(group, "PostInProcess") {
        return busy(format!("group {id} is being posted: the document waits for that"));
    }
    let user = text(group, "ActiveUserID");
    if user.is_empty() {
        return Ok(());
    }
    let ours = client.settings.user_id.as_ref().is_some_and(|ours| ours.eq_ignore_ascii_case(&user));
    if !ours {
        return busy(format!("group {id} is locked by {user}: the document waits until it is closed there"));
    }
    client
        .invoke(&plan.company, groups.unlock, &[("InGroupID", raw(&id)), ("groupID", raw(&id))])
        .await
        .map(drop)
}
