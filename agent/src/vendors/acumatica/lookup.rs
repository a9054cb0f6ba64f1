//! Finds what stands in Acumatica under a reference, and compares it with the plan. The filter has one predicate on one
//! field: with predicates on two views of a screen a list can come back empty although records match, and a false
//! "nothing there" would book twice. Vendor, type and module are looked at here.

use super::calls::{Query, literal};
use super::client::Client;
use super::convert::{Found, Kind, Likeness, compare};
use super::naming::VendorRef;
use super::outcome::{self, Refusal};
use super::wire::{Members as _, Record};
use crate::vendors::http::Effect;
use spend::plan::PostingPlan;
use spend::posting::{ErpReceipt, Failure, FailureClass, LookUp};

const BILL_FIELDS: &[&str] =
    &["Type", "ReferenceNbr", "Vendor", "VendorRef", "Status", "Amount", "Description"];
const JOURNAL_FIELDS: &[&str] = &["Module", "BatchNbr", "Status", "Description"];
/// What says whether a document is of the plan's record: a row that does not show it is no row to pass over.
const BILL_NEEDED: &[&str] = &["Type", "VendorRef"];
const JOURNAL_NEEDED: &[&str] = &["Module", "Description"];

/// Looks a plan up and says how what is there compares with it.
pub(super) async fn look_up(client: &Client, plan: &PostingPlan) -> Result<LookUp, Failure> {
    Ok(state(client, plan).await?.0)
}

/// The state of a planned document; with a half-written one, that document and the numbers of its missing lines.
pub(super) async fn state(
    client: &Client,
    plan: &PostingPlan,
) -> Result<(LookUp, Option<(Found, Vec<usize>)>), Refusal> {
    let kin = kin(client, plan).await?;
    let (mut ours, others): (Vec<Found>, Vec<Found>) =
        kin.into_iter().partition(|found| bears(client, plan, found));
    // A reversal bears the reference of what it reverses, under another type.
    if ours.iter().any(|found| found.is_of_class(plan)) {
        ours.retain(|found| found.is_of_class(plan));
    }
    let other = others.first();
    if ours.len() > 1 {
        let names: Vec<String> = ours.iter().map(|found| found.receipt().document).collect();
        let differs = format!("{} documents bear this reference: {}", names.len(), names.join(", "));
        let receipt = ours.remove(0).receipt();
        return Ok((LookUp::Different { receipt, differs }, None));
    }
    let Some(found) = ours.pop() else { return Ok((another_revision(other), None)) };
    // The list shows what it pleases of a document; the document itself is read before it counts.
    let found = whole(client, &found).await?;
    let receipt = found.receipt();
    Ok(match compare(plan, &found, &client.settings) {
        Likeness::Equal => (LookUp::Complete { receipt }, None),
        Likeness::Part(_) if other.is_some() => (another_revision(other), None),
        Likeness::Part(missing) => {
            let all = plan.document.amounts().len();
            let words = format!("{} of {all} lines are missing", missing.len());
            (LookUp::Unfinished { receipt, missing: words }, Some((found, missing)))
        }
        Likeness::Other(differs) => (LookUp::Different { receipt, differs }, None),
    })
}

fn another_revision(other: Option<&Found>) -> LookUp {
    let Some(other) = other else { return LookUp::Absent };
    LookUp::Different {
        receipt: other.receipt(),
        differs: format!("another revision of the same record is there as `{}`", reference_in(other)),
    }
}

/// The reference that a found document bears.
pub(super) fn reference_in(found: &Found) -> String {
    match found.kind {
        Kind::Bill => super::naming::found_reference(&found.bears, &found.description),
        Kind::Journal => found.bears.split(' ').next().unwrap_or_default().to_owned(),
    }
}

/// Whether it bears exactly the plan's reference.
fn bears(client: &Client, plan: &PostingPlan, found: &Found) -> bool {
    match found.kind {
        Kind::Bill => VendorRef::of(&plan.reference, client.settings.vendor_ref_length).is(&found.bears),
        Kind::Journal => plan.reference.is_in(&found.bears),
    }
}

/// The one document that bears exactly the plan's reference.
pub(super) async fn exact(client: &Client, plan: &PostingPlan) -> Result<Option<Found>, Refusal> {
    let mut ours = kin(client, plan).await?;
    ours.retain(|found| bears(client, plan, found) && found.is_of_class(plan));
    Ok(ours.pop().filter(|_| ours.is_empty()))
}

/// Every document of any revision of the plan's record, annulled ones of other revisions left out.
async fn kin(client: &Client, plan: &PostingPlan) -> Result<Vec<Found>, Refusal> {
    let kind = Kind::of(plan);
    let mut found = match kind {
        Kind::Bill => {
            let name = VendorRef::of(&plan.reference, client.settings.vendor_ref_length);
            let begins = format!("startswith(VendorRef,{})", literal(&name.beginning()));
            let records = match told(client, &bills(begins)).await {
                // The function is not known there; every other refusal may hide another revision.
                Err(refusal) if refusal.kind == outcome::Kind::BadQuery => {
                    told(client, &bills(format!("VendorRef eq {}", literal(&name.to_string())))).await?
                }
                records => records?,
            };
            let mut found: Vec<Found> = records.into_iter().map(|r| Found::of(kind, r)).collect();
            found.retain(|found| {
                name.is_kin(&found.bears) && (found.is_bill() || found.is_debit_adjustment())
            });
            found
        }
        Kind::Journal => {
            let beginning = format!("{}-", plan.reference.stem());
            let records =
                told(client, &journals(format!("substringof({},Description)", literal(&beginning)))).await?;
            let mut found: Vec<Found> = records.into_iter().map(|r| Found::of(kind, r)).collect();
            // Releasing a bill makes journals of another module with its description.
            found.retain(|found| plan.reference.stem_is_in(&found.bears) && found.is_of_class(plan));
            found
        }
    };
    found.retain(|found| !found.is_void() || bears(client, plan, found));
    Ok(found)
}

/// The rows of a query, each with what is decided by.
async fn told(client: &Client, query: &Query) -> Result<Vec<Record>, Refusal> {
    let rows = client.list(query).await?;
    let untold = |row: &Record| query.needed.iter().find(|field| row.filled(field).is_none());
    match rows.iter().find_map(untold) {
        None => Ok(rows),
        Some(field) => {
            let why = format!("a row of {} without `{field}`", query.entity);
            Err(client.asked(query.operation, Effect::Read).unreadable(&why))
        }
    }
}

pub(super) fn bills(filter: String) -> Query {
    Query {
        operation: "acumatica.bill.find",
        entity: "Bill",
        select: BILL_FIELDS,
        needed: BILL_NEEDED,
        expand: &[],
        filter,
        dropped: Vec::new(),
    }
}

pub(super) fn journals(filter: String) -> Query {
    Query {
        operation: "acumatica.journal.find",
        entity: "JournalTransaction",
        select: JOURNAL_FIELDS,
        needed: JOURNAL_NEEDED,
        expand: &[],
        filter,
        dropped: Vec::new(),
    }
}

/// The document with its lines. One that was listed and is not there contradicts itself, gone meanwhile or not: what was
/// seen is not told as absent.
pub(super) async fn whole(client: &Client, found: &Found) -> Result<Found, Refusal> {
    let operation = match found.kind {
        Kind::Bill => "acumatica.bill.read",
        Kind::Journal => "acumatica.journal.read",
    };
    let record = client.record(operation, found.kind.entity(), &found.id, &["Details"]).await?;
    let gone = || {
        let message = format!("{operation}: {} is listed and not there", found.receipt().document);
        Refusal::from(Failure::new(FailureClass::Unavailable, message))
    };
    Ok(Found::of(found.kind, record.ok_or_else(gone)?))
}

/// What the conflict of a found document is told as.
pub(super) fn conflict(receipt: &ErpReceipt, differs: &str) -> Failure {
    outcome::own_refusal(
        spend::finding::FindingCode::ErpConflict,
        "reference",
        format!("{} stands under this reference: {differs}", receipt.document),
        "compare both documents; delete or correct the one in Acumatica, then replay, or close this record by hand",
    )
}
