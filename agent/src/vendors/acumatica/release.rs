//! The optional second step: taking a verified document off hold and releasing it. The document is safe whatever comes
//! of that: a release that fails, which the site may tell long after it has accepted it, leaves the document for a
//! person, and the receipt says so.

use super::calls::{self, Put};
use super::client::Client;
use super::convert::{Found, Kind};
use super::lookup::whole;
use super::outcome::Refusal;
use super::wire::Fields;
use crate::vendors::http::Answer;
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
    /// It was accepted and still runs.
    Running,
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
    let now = again(client, plan).await?;
    let receipt = now.receipt();
    Ok(match (ended, receipt.stage) {
        (_, Stage::InLedger | Stage::Submitted) => receipt,
        (Ended::Running, Stage::Staged) => ErpReceipt { group: None, stage: Stage::Submitted, ..receipt },
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
    let answer = client.dispatch_alone(call).await?;
    // 204 = done; the `Location` it may bear leads nowhere.
    if answer.status != 202 {
        return Ok(Ended::Done);
    }
    let location = answer.headers.get("location").and_then(|to| client.site.followed(&asked, to));
    let Some(status) = location else { return Ok(Ended::Running) };
    let until = Instant::now() + Duration::from_secs(client.settings.release_seconds.into());
    loop {
        tokio::time::sleep(POLL).await;
        let answer = client.dispatch_alone(calls::get(poll, status.clone())).await?;
        match answer.status {
            202 if Instant::now() >= until => return Ok(Ended::Running),
            202 => {}
            // An error object under a good status is a failure all the same.
            _ if says_failed(&answer) => {
                let why = super::outcome::ErrorBody::read(&answer.body).words();
                return Err(Failure::new(FailureClass::Unavailable, why).into());
            }
            _ => return Ok(Ended::Done),
        }
    }
}

fn says_failed(answer: &Answer) -> bool {
    let body = super::outcome::ErrorBody::read(&answer.body);
    !body.exception_message.is_empty() || !body.exception_type.is_empty()
}
