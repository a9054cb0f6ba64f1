//! The optional second step: taking a verified document off hold and releasing it. The document is safe whatever comes
//! of that: a release that fails, which the site may tell long after it has accepted it, leaves the document for a
//! person, and the receipt says so. One whose end is not known is told as submitted: it may still come.

use super::calls::{self, Put};
use super::client::Client;
use super::convert::{Found, Kind};
use super::lookup::whole;
use super::outcome::{self, ErrorBody, Refusal};
use super::wire::Fields;
use crate::vendors::http::{Answer, Call};
use spend::plan::{PostingPlan, Stage};
use spend::posting::{ErpReceipt, Failure, FailureClass};
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks at a release that runs.
const POLL: Duration = Duration::from_secs(1);

/// How a release ended.
enum Ended {
    /// The site says that it is done.
    Done,
    /// It was accepted, or may have been, and is not known to have ended; why nothing more is known, if it is not the
    /// time that ran out.
    Running(Option<String>),
}

/// Releases a verified document when the settings say so. What keeps it from that is told in the receipt.
pub(super) async fn released(client: &Client, plan: &PostingPlan, receipt: ErpReceipt) -> ErpReceipt {
    if !client.settings.release || receipt.stage != Stage::Staged {
        return receipt;
    }
    match release(client, plan).await {
        Ok(receipt) => receipt,
        Err(refusal) => {
            let why = refusal.failure.message;
            tracing::warn!(document = receipt.document, why, "saved and not released");
            not_released(receipt, &why)
        }
    }
}

fn not_released(receipt: ErpReceipt, why: &str) -> ErpReceipt {
    ErpReceipt { document: format!("{}, not released: {why}", receipt.document), ..receipt }
}

fn under_way(receipt: ErpReceipt, why: Option<String>) -> ErpReceipt {
    let document = match why {
        Some(why) => format!("{}, its release was begun: {why}", receipt.document),
        None => receipt.document,
    };
    ErpReceipt { document, group: None, stage: Stage::Submitted }
}

async fn release(client: &Client, plan: &PostingPlan) -> Result<ErpReceipt, Refusal> {
    let kind = Kind::of(plan);
    let mut found = again(client, plan).await?;
    if found.is_on_hold() {
        take_off_hold(client, kind, &found.id).await?;
        found = again(client, plan).await?;
    }
    if found.stage() != Stage::Staged {
        return Ok(found.receipt());
    }
    if !found.status.eq_ignore_ascii_case("Balanced") {
        return Ok(not_released(found.receipt(), &format!("its status is {}", found.status)));
    }
    let ended = run(client, kind, &found).await?;
    let now = match again(client, plan).await {
        Ok(now) => now,
        Err(refusal) => return Ok(under_way(found.receipt(), Some(refusal.failure.message))),
    };
    let receipt = now.receipt();
    Ok(match (ended, receipt.stage) {
        (_, Stage::InLedger | Stage::Submitted) => receipt,
        (Ended::Running(why), Stage::Staged) => under_way(receipt, why),
        (Ended::Done, Stage::Staged) => {
            not_released(receipt, &format!("the site says done, its status is {}", now.status))
        }
    })
}

/// The document as it stands now.
async fn again(client: &Client, plan: &PostingPlan) -> Result<Found, Refusal> {
    let gone = || Failure::new(FailureClass::Unavailable, "the document cannot be read before its release");
    let found = super::lookup::exact(client, plan).await?.ok_or_else(gone)?;
    whole(client, &found).await
}

/// Takes a document off hold.
pub(super) async fn take_off_hold(client: &Client, kind: Kind, id: &str) -> Result<(), Refusal> {
    let operation = match kind {
        Kind::Bill => "acumatica.bill.take-off-hold",
        Kind::Journal => "acumatica.journal.take-off-hold",
    };
    let mut fields = Fields::of(id);
    fields.flag("Hold", false);
    let contract = client.contract().await?;
    let call = calls::put(operation, &client.site, &contract, kind.entity(), &fields, Put::Update);
    client.send(call).await.map(drop)
}

/// Starts the release and follows it to its end, with no other call of this connection beside it.
async fn run(client: &Client, kind: Kind, found: &Found) -> Result<Ended, Refusal> {
    let (start, poll) = match kind {
        Kind::Bill => ("acumatica.bill.release", "acumatica.bill.release-status"),
        Kind::Journal => ("acumatica.journal.release", "acumatica.journal.release-status"),
    };
    let contract = client.contract().await?;
    let action = (kind.entity(), kind.release());
    let call = calls::action(start, &client.site, &contract, action, &found.keys());
    let asked = call.url.clone();
    let _alone = client.alone().await;
    let answer = match client.dispatch_alone(call).await {
        Err(lost) if lost.failure.class == FailureClass::InDoubt => {
            return Ok(Ended::Running(Some(lost.failure.message)));
        }
        answered => answered?,
    };
    // 204 = done; the `Location` it may bear leads nowhere.
    if answer.status != 202 {
        return Ok(Ended::Done);
    }
    let location = answer.headers.get("location").and_then(|to| client.site.followed(&asked, to));
    let Some(status) = location else { return Ok(Ended::Running(None)) };
    watched(client, &calls::get(poll, status)).await
}

/// Looks at a release that was accepted until it has ended or the time is up.
async fn watched(client: &Client, look: &Call) -> Result<Ended, Refusal> {
    let until = Instant::now() + Duration::from_secs(client.settings.release_seconds.into());
    loop {
        tokio::time::sleep(POLL).await;
        let unseen = match client.dispatch_alone(look.clone()).await {
            Ok(answer) if answer.status == 202 => None,
            // An error object under a good status is a failure all the same.
            Ok(answer) if says_failed(&answer) => {
                let why = ErrorBody::read(&answer.body).words();
                return Err(Failure::new(FailureClass::Unavailable, why).into());
            }
            Ok(_) => return Ok(Ended::Done),
            Err(refusal) if tells_the_end(refusal.kind) => return Err(refusal),
            Err(refusal) => Some(refusal.failure.message),
        };
        if Instant::now() >= until {
            return Ok(Ended::Running(unseen));
        }
    }
}

/// Whether a refused look at a release is what the release ended with, rather than a look that failed.
const fn tells_the_end(kind: outcome::Kind) -> bool {
    use outcome::Kind;
    match kind {
        Kind::Duplicate
        | Kind::Missing
        | Kind::NotExportable
        | Kind::BadQuery
        | Kind::Refused
        | Kind::NotSetUp
        | Kind::Exception => true,
        Kind::NotOffered | Kind::Stale | Kind::Unauthorised | Kind::Forbidden | Kind::Other => false,
    }
}

fn says_failed(answer: &Answer) -> bool {
    let body = ErrorBody::read(&answer.body);
    !body.exception_message.is_empty() || !body.exception_type.is_empty()
}
