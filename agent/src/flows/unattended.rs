//! Closing what a flow has left that the configuration does not name any more. No actor looks after it, so nothing is called
//! and nothing is settled here: what a write was begun of waits for its flow to be named again. The rules are those of a
//! flow that is configured, because a person knows no more of the ERP for having renamed something.

use super::replay::{Decided, Decision, no_posting};
use super::rivals::left_to;
use super::trail;
use crate::clock::Clock;
use crate::config::routes::ATTEND;
use crate::store::{Batch, Store, StoreError};
use spend::ids::{FlowId, PostingKey};
use spend::posting::{Event, Posting, PostingPolicy, PostingState, TransitionError};
use spend::route::Route;
use std::collections::BTreeMap;

/// Closes a posting of a flow that is not among those configured, with a note: it was dealt with by hand, or another flow
/// goes on with its record.
///
/// # Errors
/// When the posting log is unusable.
pub async fn close(
    store: &Store,
    clock: &Clock,
    configured: &BTreeMap<FlowId, Route>,
    flow: &FlowId,
    key: &PostingKey,
    decision: &Decision,
) -> Result<Decided, StoreError> {
    // Two that close at the same moment come one after the other, and none while a flow makes up its mind.
    let _turn = store.claim_turn().await;
    let Some(posting) = store.posting(key)?.filter(|posting| posting.flow == *flow) else {
        return Ok(no_posting(key, flow));
    };
    let event = Event::Handled {
        note: decision.note.clone(),
        by: decision.by.clone(),
        reported: false,
        left_to: left_to(&posting, configured),
    };
    let name = event.name();
    // Neither policy nor chance has a say in this.
    let closed = match posting.apply(event, &PostingPolicy::default(), 0.0, &clock.reading()) {
        Ok(closed) => closed,
        Err(why) => return Ok(not_closed(&posting, why)),
    };
    let mut batch = Batch::new();
    batch.audit(trail::decided(clock.now(), &posting, decision, "handle"));
    batch.audit(trail::about(clock.now(), &closed, trail::told(&closed, name, None)));
    batch.put_posting(closed);
    store.commit(batch).await?;
    Ok(match posting.state.receipt() {
        Some(receipt) => Decided::LeftUnmarked { receipt: receipt.clone() },
        None => Decided::Handled,
    })
}

fn not_closed(posting: &Posting, why: TransitionError) -> Decided {
    let so_far = match (&posting.state, why) {
        (PostingState::Acknowledged { receipt, .. }, _) => {
            return Decided::AlreadyPosted { receipt: receipt.clone() };
        }
        (PostingState::Posted { receipt, .. }, _) => {
            format!("it is booked as {} and not marked in the spend system yet", receipt.document)
        }
        (
            PostingState::Planned
            | PostingState::Waiting { .. }
            | PostingState::Claimed { .. }
            | PostingState::InDoubt { .. },
            _,
        ) => {
            format!("a write of it was begun and is not settled (it is {})", posting.state.name())
        }
        (PostingState::Held(_) | PostingState::Superseded { .. } | PostingState::Handled { .. }, why) => {
            return Decided::Refused { why: why.to_string() };
        }
    };
    let flow = &posting.flow;
    Decided::Refused {
        why: format!("{so_far}, and there is no flow `{flow}` in the configuration; {ATTEND}"),
    }
}
