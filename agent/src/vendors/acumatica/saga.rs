//! One posting from claim to verdict. A document goes out in one request that can only insert, so a repeated one never
//! changes what is there; long ones continue by requests that can only update. What a failure means depends on how far
//! the document has got: before its first write nothing has happened; afterwards it is compared, resumed, cleaned up or
//! in doubt, and never simply failed.

use super::calls::{self, Put};
use super::client::Client;
use super::convert::{self, Found, Kind};
use super::lookup::{conflict, look_up, state};
use super::outcome::{self, Refusal, own_refusal};
use super::release;
use super::wire::{Fields, Record};
use crate::vendors::Claimed;
use crate::vendors::http::Effect;
use crate::vendors::saga::{self, Cause, Next, Progress, doubt, settled};
use spend::finding::FindingCode;
use spend::plan::PostingPlan;
use spend::posting::{ErpReceipt, Failure, LookUp};

/// Writes a claimed posting, verified by reading it back.
pub(super) async fn post(client: &Client, claimed: &Claimed, found: &LookUp) -> Result<ErpReceipt, Failure> {
    let plan = claimed.plan();
    match found {
        LookUp::Complete { receipt } => Ok(receipt.clone()),
        LookUp::Different { receipt, differs } => Err(conflict(receipt, differs)),
        LookUp::Absent => {
            let mut progress = Progress::Nothing;
            let done = insert(client, plan, &mut progress).await;
            conclude(client, plan, done, progress).await
        }
        LookUp::Unfinished { .. } => resume(client, plan).await,
    }
}

/// Inserts the document with its first lines, then adds the others.
async fn insert(client: &Client, plan: &PostingPlan, progress: &mut Progress) -> Result<(), Refusal> {
    let all: Vec<usize> = (0..plan.document.amounts().len()).collect();
    let (first, rest) = all.split_at(all.len().min(client.settings.lines_per_request.into()));
    let fields = convert::record(plan, &client.settings, first)?;
    let contract = client.contract().await?;
    let kind = Kind::of(plan);
    let call = calls::put(operation(kind), &client.site, &contract, kind.entity(), &fields, Put::Insert);
    *progress = Progress::FirstSent;
    let answer = client.send(call).await?;
    *progress = Progress::Written;
    if rest.is_empty() {
        return Ok(());
    }
    let saved = Record::read(&answer.body)
        .map_err(|why| client.asked(operation(kind), Effect::Write).unreadable(&why))?;
    append(client, plan, &saved.id(), rest).await
}

const fn operation(kind: Kind) -> &'static str {
    match kind {
        Kind::Bill => "acumatica.bill.put",
        Kind::Journal => "acumatica.journal.put",
    }
}

/// Adds lines to a document that is there. Each request says that it only updates, and nothing sends one twice: rows
/// without an identifier would be added twice.
async fn append(client: &Client, plan: &PostingPlan, id: &str, lines: &[usize]) -> Result<(), Refusal> {
    let kind = Kind::of(plan);
    if id.is_empty() {
        let why = "the answer does not name the saved document";
        return Err(client.asked(operation(kind), Effect::Write).unreadable(&why));
    }
    let contract = client.contract().await?;
    for part in lines.chunks(client.settings.lines_per_request.into()) {
        let mut fields = Fields::of(id);
        fields.rows("Details", &convert::rows(plan, &client.settings, part)?);
        let call = calls::put(operation(kind), &client.site, &contract, kind.entity(), &fields, Put::Update);
        client.send(call).await?;
    }
    // A part is saved on hold whatever the settings say; the whole is as they say.
    if !client.settings.hold && !client.settings.release {
        release::take_off_hold(client, kind, id).await?;
    }
    Ok(())
}

/// Goes on with a half-written document. It is read again first: what the look-up saw may be old.
async fn resume(client: &Client, plan: &PostingPlan) -> Result<ErpReceipt, Failure> {
    match state(client, plan).await.map_err(still_half)? {
        (LookUp::Unfinished { .. }, Some((found, missing))) => {
            let done = append(client, plan, &found.id, &missing).await;
            conclude(client, plan, done, Progress::Written).await
        }
        (moved, _) => saga::moved_on(&moved, conflict),
    }
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
    use outcome::Kind;
    let cause = match refusal.kind {
        Kind::Duplicate => Cause::Duplicate,
        Kind::Missing
        | Kind::NotOffered
        | Kind::NotExportable
        | Kind::BadQuery
        | Kind::Stale
        | Kind::Refused
        | Kind::NotSetUp
        | Kind::Unauthorised
        | Kind::Forbidden
        | Kind::Exception
        | Kind::Other => Cause::Other,
    };
    saga::after(progress, cause, &refusal.failure.class)
}

/// Reads the document back; only an equal one counts as posted. Then it is released, when the settings say so.
async fn verified(client: &Client, plan: &PostingPlan) -> Result<ErpReceipt, Failure> {
    let receipt = saga::read_back(look_up(client, plan).await)?;
    Ok(release::released(client, plan, receipt).await)
}

/// The insert was refused as a duplicate.
async fn compared(client: &Client, plan: &PostingPlan, refusal: Failure) -> Result<ErpReceipt, Failure> {
    saga::compared(look_up(client, plan).await, conflict, || {
        own_refusal(
            FindingCode::ErpConflict,
            "reference",
            format!("refused as a duplicate of a document that cannot be seen: {refusal}"),
            "check whether the integration user may see every document of the company, then replay",
        )
    })
}

/// Takes away what was written of a document that was refused, so that nothing is left that finance could release.
async fn clean_up(client: &Client, plan: &PostingPlan, refusal: Failure) -> Result<ErpReceipt, Failure> {
    let first = refusal.message.clone();
    let unclean =
        |why: &dyn std::fmt::Display| doubt(&format!("{first}; what was written still stands: {why}"));
    match state(client, plan).await {
        Ok((LookUp::Unfinished { .. }, Some((found, _)))) => {
            delete(client, &found).await.map_err(|failed| unclean(&failed.failure))?;
        }
        Ok((state, _)) => return settled(state, refusal, unclean),
        Err(failed) => return Err(unclean(&failed.failure)),
    }
    match look_up(client, plan).await {
        Ok(state) => settled(state, refusal, unclean),
        Err(failure) => Err(unclean(&failure)),
    }
}

async fn delete(client: &Client, found: &Found) -> Result<(), Refusal> {
    let operation = match found.kind {
        Kind::Bill => "acumatica.bill.delete",
        Kind::Journal => "acumatica.journal.delete",
    };
    let contract = client.contract().await?;
    let call = calls::delete(operation, &client.site, &contract, found.kind.entity(), &found.id);
    client.send(call).await.map(drop)
}

/// A half-written document that cannot be read just now is still half-written.
fn still_half(refusal: Refusal) -> Failure {
    doubt(&format!("a part of the document stands in Acumatica: {}", refusal.failure))
}
