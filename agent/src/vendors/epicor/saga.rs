//! One posting from claim to verdict. What a failure means depends on how far the document has got: before its first
//! write nothing has happened; once something is written, the document is resumed, cleaned up or in doubt, and never
//! simply failed.

use super::client::Client;
use super::lookup::{invoice_state, journal_state, look_up};
use super::outcome::{Kind, Refusal, refused};
use super::profile::{AP_POST_PARAMETERS, AP_PREPOST, AP_SUBMIT, GL_CHECK_POST, GL_SUBMIT};
use super::wire::{number, raw, set};
use super::{convert, invoice, journal};
use crate::vendors::Claimed;
use crate::vendors::saga::{self, Cause, Next, Progress, doubt, settled};
use spend::finding::FindingCode;
use spend::plan::{PlannedDocument, PostingPlan, Stage};
use spend::posting::{ErpReceipt, Failure, LookUp};

/// Keeps the progress while the steps run.
#[derive(Debug)]
pub(super) struct Trail(Progress);

impl Trail {
    pub(super) fn first_write(&mut self) {
        self.0 = Progress::FirstSent;
    }

    pub(super) fn written(&mut self) {
        self.0 = Progress::Written;
    }
}

/// Writes a claimed posting, verified by reading it back.
pub(super) async fn post(client: &Client, claimed: &Claimed, found: &LookUp) -> Result<ErpReceipt, Failure> {
    let plan = claimed.plan();
    match found {
        LookUp::Complete { receipt } => Ok(receipt.clone()),
        LookUp::Different { receipt, differs } => Err(conflict(receipt, differs)),
        LookUp::Absent => {
            let mut trail = Trail(Progress::Nothing);
            let done = match &plan.document {
                PlannedDocument::Journal { .. } => journal::begin(client, plan, &mut trail).await,
                PlannedDocument::ApInvoice { .. } => invoice::begin(client, plan, &mut trail).await,
            };
            conclude(client, plan, done, trail.0).await
        }
        LookUp::Unfinished { .. } => resume(client, plan).await,
    }
}

/// Goes on with a half-written document. It is read again first: what the look-up saw may be old.
async fn resume(client: &Client, plan: &PostingPlan) -> Result<ErpReceipt, Failure> {
    let done = match &plan.document {
        PlannedDocument::Journal { .. } => match journal_state(client, plan).await.map_err(still_half)? {
            (LookUp::Unfinished { .. }, Some(found)) => journal::resume(client, plan, found).await,
            (state, _) => return saga::moved_on(&state, conflict),
        },
        PlannedDocument::ApInvoice { .. } => match invoice_state(client, plan).await.map_err(still_half)? {
            (LookUp::Unfinished { .. }, Some((found, lines))) => {
                invoice::resume(client, plan, found, &lines).await
            }
            (state, _) => return saga::moved_on(&state, conflict),
        },
    };
    conclude(client, plan, done, Progress::Written).await
}

async fn conclude(
    client: &Client,
    plan: &PostingPlan,
    done: Result<(), Refusal>,
    progress: Progress,
) -> Result<ErpReceipt, Failure> {
    match done {
        Ok(()) => verified(client, plan).await,
        Err(refusal) => match after(progress, &refusal) {
            Next::Report(class) => Err(Failure::new(class, refusal.failure.message)),
            Next::Compare => compared(client, plan, refusal.failure).await,
            Next::CleanUp => clean_up(client, plan, refusal.failure).await,
        },
    }
}

pub(super) fn after(progress: Progress, refusal: &Refusal) -> Next {
    let cause = match refusal.kind {
        Kind::Duplicate => Cause::Duplicate,
        Kind::NotSaved => Cause::NotSaved,
        Kind::RecordMissing
        | Kind::NotOffered
        | Kind::BadQuery
        | Kind::Stale
        | Kind::Business
        | Kind::Unauthorised
        | Kind::Forbidden
        | Kind::Other => Cause::Other,
    };
    saga::after(progress, cause, &refusal.failure.class)
}

/// Reads the document back; only an equal one counts as posted.
async fn verified(client: &Client, plan: &PostingPlan) -> Result<ErpReceipt, Failure> {
    let receipt = saga::read_back(look_up(client, plan).await)?;
    Ok(submitted(client, plan, receipt).await)
}

/// The header was refused as a duplicate.
async fn compared(client: &Client, plan: &PostingPlan, refusal: Failure) -> Result<ErpReceipt, Failure> {
    saga::compared(look_up(client, plan).await, conflict, || {
        refused(
            FindingCode::ErpConflict,
            "reference",
            format!("refused as a duplicate of a document that cannot be seen: {refusal}"),
            "check whether the integration user may see every invoice of the company, then replay",
        )
    })
}

/// Takes away what was written of a document that was refused, so that nothing is left that finance could post.
async fn clean_up(client: &Client, plan: &PostingPlan, refusal: Failure) -> Result<ErpReceipt, Failure> {
    let first = refusal.message.clone();
    let unclean =
        |why: &dyn std::fmt::Display| doubt(&format!("{first}; what was written still stands: {why}"));
    let deleted = match &plan.document {
        PlannedDocument::Journal { .. } => match journal_state(client, plan).await {
            Ok((LookUp::Unfinished { .. }, Some(found))) => journal::delete(client, plan, found).await,
            Ok((state, _)) => return settled(state, refusal, unclean),
            Err(failed) => return Err(unclean(&failed.failure)),
        },
        PlannedDocument::ApInvoice { .. } => match invoice_state(client, plan).await {
            Ok((LookUp::Unfinished { .. }, Some((found, _)))) => invoice::delete(client, plan, found).await,
            Ok((state, _)) => return settled(state, refusal, unclean),
            Err(failed) => return Err(unclean(&failed.failure)),
        },
    };
    if let Err(failed) = deleted {
        return Err(unclean(&failed.failure));
    }
    match look_up(client, plan).await {
        Ok(state) => settled(state, refusal, unclean),
        Err(failure) => Err(unclean(&failure)),
    }
}

/// Hands a verified document to the posting process, when the settings say so. The document is safe whatever comes
/// of that: a failed hand-over leaves it staged for a person, and says so in the receipt.
async fn submitted(client: &Client, plan: &PostingPlan, mut receipt: ErpReceipt) -> ErpReceipt {
    let Some(group) =
        receipt.group.clone().filter(|_| client.settings.submit && receipt.stage == Stage::Staged)
    else {
        return receipt;
    };
    if group != convert::group_id(plan, &client.settings) {
        tracing::warn!(document = receipt.document, group, "left staged: its group may hold other documents");
        return receipt;
    }
    let done = match &plan.document {
        PlannedDocument::Journal { .. } => submit_journals(client, plan, &group).await,
        PlannedDocument::ApInvoice { .. } => submit_invoices(client, plan, &group).await,
    };
    match done {
        Ok(()) => receipt.stage = Stage::Submitted,
        Err(refusal) => {
            tracing::warn!(document = receipt.document, group, error = %refusal.failure, "left staged: not submitted");
        }
    }
    receipt
}

async fn submit_journals(client: &Client, plan: &PostingPlan, group: &str) -> Result<(), Refusal> {
    let id = raw(&group);
    client.invoke(&plan.company, &GL_CHECK_POST, &[("groupID", id.clone())]).await?;
    let posted = client.invoke(&plan.company, &GL_SUBMIT, &[("postGroupID", id)]).await?;
    match posted.text("NotAllPostedMessage") {
        message if message.is_empty() => Ok(()),
        message => Err(doubt(&message).into()),
    }
}

async fn submit_invoices(client: &Client, plan: &PostingPlan, group: &str) -> Result<(), Refusal> {
    const TABLE: &str = "APInvoicePostParam";
    let company = &plan.company;
    let checked = client.invoke(company, &AP_PREPOST, &[("PostGroupID", raw(&group))]).await?;
    let variance = checked.text("VarianceMessage");
    if !variance.is_empty() {
        return Err(doubt(&variance).into());
    }
    let parameters = client.invoke_read(company, &AP_POST_PARAMETERS, &[]).await?;
    let unreadable = |why| Refusal::from(doubt(&format!("{}: {why}", AP_POST_PARAMETERS.operation)));
    let mut dataset = parameters.dataset().map_err(unreadable)?;
    dataset.edit(TABLE, |_| true, |row| set(row, "GroupID", group)).map_err(unreadable)?;
    let values = [
        ("ds", raw(&dataset)),
        ("agentID", raw(&client.settings.posting_agent)),
        ("agentSchedNum", number("0")),
        ("agentTaskNum", number("0")),
        ("maintProgram", raw(&"")),
    ];
    client.invoke(company, &AP_SUBMIT, &values).await.map(drop)
}

fn conflict(receipt: &ErpReceipt, differs: &str) -> Failure {
    refused(
        FindingCode::ErpConflict,
        "reference",
        format!("{} stands under this reference: {differs}", receipt.document),
        "compare both documents; delete or correct the one in Kinetic, then replay, or close this record by hand",
    )
}

/// A half-written document that cannot be read just now is still half-written.
fn still_half(refusal: Refusal) -> Failure {
    doubt(&format!("a part of the document stands in Kinetic: {}", refusal.failure))
}
