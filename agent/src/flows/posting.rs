//! Writing postings exactly once: read again what has waited, look up, claim, write, settle, acknowledge, in batches that
//! share commits.
//!
//! The order inside a batch is the protocol: one reading of what was read too long ago (`reread`), every look-up of the
//! batch, one durable claim for all that may be written, the writes, one durable commit of their answers, and only then
//! the acknowledgement at the source. What the source answered to that announces nothing, so it becomes durable with the
//! next commit, whichever that is.

use super::intake::OFFERED_AGAIN;
use super::reread::Withheld;
use super::spend_flow::{RunError, Session, SpendFlow, is_connection_wide};
use super::trail::Entry;
use crate::store::Batch;
use crate::vendors::http::CallContext;
use crate::vendors::{Claimed, Exported};
use futures_util::{StreamExt, stream};
use spend::ids::{PostingKey, RunId, SourceId};
use spend::posting::{Event, Failure, FailureClass, LookUp, NextAction, Posting, PostingState};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Most records marked by one call to the source.
const ACKNOWLEDGE_AT_ONCE: usize = 100;
/// Most rounds over what is due in one run: a posting that comes back due at once for ever is a bug, not a loop.
const MOST_ROUNDS: usize = 10_000;

/// Records without a confirmed mark that a report names.
const UNCONFIRMED_NAMED: usize = 5;

/// Answers are made durable together, but none waits longer than this.
const FLUSH_AFTER: Duration = Duration::from_secs(2);

/// Answers that are on their way into the store.
struct Answered {
    commit: Batch,
    keys: Vec<PostingKey>,
    in_erp: Vec<Posting>,
    since: Instant,
}

impl Default for Answered {
    fn default() -> Self {
        Self { commit: Batch::new(), keys: Vec::new(), in_erp: Vec::new(), since: Instant::now() }
    }
}

impl Answered {
    fn add(&mut self, posting: Posting, entry: Entry) {
        self.commit.audit(entry);
        self.commit.put_posting(&posting);
        self.keys.push(posting.key.clone());
        if matches!(posting.state, PostingState::Posted { .. }) {
            self.in_erp.push(posting);
        }
    }
}

/// Postings of one batch by what is to be done with them.
#[derive(Default)]
struct Work {
    look_up: Vec<Posting>,
    acknowledge: Vec<Posting>,
    /// Postings whose next action has not come; they only have to be stored.
    settled: Vec<Posting>,
}

/// A posting that may be written, with what the look-up before it found.
pub(super) struct Writable {
    pub(super) posting: Posting,
    pub(super) found: LookUp,
}

/// Postings whose claim is durable.
struct ClaimedBatch {
    tickets: Vec<Claimed>,
    by_key: BTreeMap<PostingKey, Posting>,
    found: BTreeMap<PostingKey, LookUp>,
}

impl SpendFlow {
    /// A process that died between claim and answer leaves claims behind. Those that were provably never sent are
    /// released; all others are in doubt.
    pub(super) async fn recover(&self, session: &mut Session) -> Result<(), RunError> {
        let mut batch = Batch::new();
        let left_over = self.store.claimed(self.settings.flow())?;
        if left_over.is_empty() {
            return Ok(());
        }
        tracing::warn!(flow = %self.settings.flow(), claims = left_over.len(), "claims without an answer found");
        for posting in left_over {
            let event =
                if self.store.may_have_been_sent(&posting.key) { Event::Recovered } else { Event::Released };
            let (next, entry) = self.step(session, &posting, event)?;
            batch.put_posting(next);
            batch.audit(entry);
        }
        self.commit(batch).await
    }

    /// Works on everything of this flow that is due, until nothing is, or the ERP or a stop request ends it.
    pub(super) async fn work_off(&self, session: &mut Session) -> Result<(), RunError> {
        let mut limit = self.settings.batch_size;
        for _ in 0..MOST_ROUNDS {
            if self.stopping() || (session.erp_down && session.source_down) {
                break;
            }
            // Marks that are not stored yet would be due again.
            self.commit_late(session).await?;
            let due = self.store.due(self.settings.flow(), self.clock.now(), limit)?;
            let all = due.len() < limit;
            let mut work = self.sort(due.into_iter().map(|p| (p, "")).collect(), session);
            if work.look_up.is_empty() && work.acknowledge.is_empty() {
                if all {
                    break;
                }
                // One side is down and its postings fill the list; those of the other side are behind them.
                limit = limit.saturating_mul(2);
                continue;
            }
            work.settled.clear();
            work.look_up.truncate(self.settings.batch_size);
            work.acknowledge.truncate(self.settings.batch_size);
            self.batch(work, Batch::new(), session).await?;
            self.show(session);
        }
        Ok(())
    }

    /// Stores fresh postings and works on them right away, so that intake and claim share a commit.
    pub(super) async fn work_on(
        &self,
        mut fresh: Vec<(Posting, &'static str)>,
        session: &mut Session,
    ) -> Result<(), RunError> {
        while !fresh.is_empty() {
            let rest = fresh.split_off(fresh.len().min(self.settings.batch_size));
            let chunk = std::mem::replace(&mut fresh, rest);
            // Encoded one by one: a hundred plans as trees of values would take ten times the room.
            let mut entries = Batch::new();
            for (posting, event) in &chunk {
                entries.audit(self.audit(session, posting, event));
            }
            self.store_revived(&chunk, &mut entries).await?;
            let work = self.sort(chunk, session);
            self.batch(work, entries, session).await?;
            self.show(session);
        }
        Ok(())
    }

    /// A revision that was superseded or reported as not exported, and is the newest again, must be so in the store before it can be claimed; what it
    /// takes the place of must be superseded by then, or a death in between leaves two that want to be written.
    async fn store_revived(
        &self,
        chunk: &[(Posting, &'static str)],
        entries: &mut Batch,
    ) -> Result<(), RunError> {
        if chunk.iter().all(|(_, event)| !["replanned", OFFERED_AGAIN].contains(event)) {
            return Ok(());
        }
        let mut batch = std::mem::take(entries);
        for (posting, _) in chunk {
            batch.put_posting(posting);
        }
        self.commit(batch).await
    }

    fn sort(&self, postings: Vec<(Posting, &'static str)>, session: &Session) -> Work {
        let now = self.clock.now();
        let mut work = Work::default();
        for (posting, _) in postings {
            match posting.next_action(now) {
                NextAction::LookUpThenClaim
                    if !posting.plan.as_ref().is_some_and(|plan| session.may_book(plan)) =>
                {
                    work.settled.push(posting);
                }
                // Without the source, what must be read again first cannot be written.
                NextAction::LookUpThenClaim if session.source_down && self.is_stale(&posting, session) => {
                    work.settled.push(posting);
                }
                NextAction::LookUpThenClaim | NextAction::LookUp if !session.erp_down && !self.stopping() => {
                    work.look_up.push(posting);
                }
                NextAction::Acknowledge if !session.source_down && !self.stopping() => {
                    work.acknowledge.push(posting);
                }
                NextAction::LookUpThenClaim
                | NextAction::LookUp
                | NextAction::Acknowledge
                | NextAction::WaitUntil(_)
                | NextAction::Nothing => work.settled.push(posting),
            }
        }
        work
    }

    /// One batch through the protocol. `entries` holds audit entries of postings that are not stored yet.
    async fn batch(&self, work: Work, entries: Batch, session: &mut Session) -> Result<(), RunError> {
        let mut commit = std::mem::take(&mut session.late);
        commit.append(entries);
        for posting in work.settled {
            commit.put_posting(posting);
        }
        let (due, withheld) = self.read_again(work.look_up, &mut commit, session).await?;
        let writable = self.look_up_all(due, withheld, &mut commit, session).await?;
        let claimed = self.claim_all(writable, commit, session).await?;
        let answered = self.write_all(claimed, session).await?;
        let mut to_mark = work.acknowledge;
        to_mark.extend(answered);
        self.acknowledge_all(to_mark, session).await
    }

    /// Looks postings up, a few at a time. What may be written comes back, without what is withheld; everything else is
    /// in `commit`.
    async fn look_up_all(
        &self,
        postings: Vec<Posting>,
        mut withheld: Withheld,
        commit: &mut Batch,
        session: &mut Session,
    ) -> Result<Vec<Writable>, RunError> {
        let answers: Vec<(Posting, Result<LookUp, Failure>)> = stream::iter(postings)
            .map(|posting| async {
                let answer = self.look_up(&posting, session).await;
                (posting, answer)
            })
            .buffered(self.settings.concurrency)
            .collect()
            .await;
        let mut writable = Vec::new();
        for (posting, answer) in answers {
            let wanted_to_write = posting.next_action(self.clock.now()) == NextAction::LookUpThenClaim;
            let event = match answer.clone() {
                Ok(found) => Event::LookedUp { found, unique: self.is_unique(&posting) },
                Err(failure) => {
                    session.erp_failed("looking a posting up", &failure);
                    Event::LookUpFailed(failure)
                }
            };
            let (next, entry) = self.step(session, &posting, event)?;
            commit.audit(entry);
            session.count(&posting, &next);
            match (answer, &next.state) {
                (Ok(found), PostingState::Planned) if wanted_to_write => match withheld.remove(&next.key) {
                    Some(why) if why.stands_against(&found) => {
                        self.withhold(&next, &found, why, commit, session)?;
                    }
                    Some(why) => {
                        session.newer.extend(why.newer());
                        writable.push(Writable { posting: next, found });
                    }
                    None => writable.push(Writable { posting: next, found }),
                },
                _ => {
                    commit.put_posting(next);
                }
            }
        }
        Ok(writable)
    }

    async fn look_up(&self, posting: &Posting, session: &Session) -> Result<LookUp, Failure> {
        let Some(plan) = &posting.plan else {
            return Err(Failure::new(
                spend::posting::FailureClass::Unavailable,
                "a posting without a plan cannot be looked up",
            ));
        };
        self.context(&session.run, &posting.key).scope(self.erp.look_up(plan)).await
    }

    fn is_unique(&self, posting: &Posting) -> bool {
        posting.plan.as_ref().is_some_and(|plan| self.erp.refuses_duplicates(plan))
    }

    /// Makes intent durable for all that may be booked and that the limits allow. Between looking at what other flows have
    /// booked and spent and the claim no other flow does the same.
    async fn claim_all(
        &self,
        writable: Vec<Writable>,
        mut commit: Batch,
        session: &mut Session,
    ) -> Result<ClaimedBatch, RunError> {
        let _turn = match writable.is_empty() {
            true => None,
            false => self.store.claim_turn().await,
        };
        let writable = self.without_rivals(writable, &mut commit, session)?;
        let writable = self.within_guard_rails(writable, &mut commit, session)?;
        let mut claimed = Vec::with_capacity(writable.len());
        let mut found = BTreeMap::new();
        for one in writable {
            let (posting, entry) = self.step(session, &one.posting, Event::Claimed)?;
            commit.audit(entry);
            found.insert(posting.key.clone(), one.found);
            claimed.push(posting);
        }
        self.still_current()?;
        let tickets = self.store.claim(&claimed, commit).await?;
        let by_key = claimed.into_iter().map(|p| (p.key.clone(), p)).collect();
        Ok(ClaimedBatch { tickets, by_key, found })
    }

    /// Writes claimed postings a few at a time, and makes the answers durable. Answers the postings that are in the ERP
    /// now.
    async fn write_all(
        &self,
        claimed: ClaimedBatch,
        session: &mut Session,
    ) -> Result<Vec<Posting>, RunError> {
        let ClaimedBatch { tickets, mut by_key, mut found } = claimed;
        let run = session.run.clone();
        let gone = AtomicBool::new(false);
        let answers = stream::iter(tickets)
            .map(|ticket| {
                let before = found.remove(&ticket.plan().key).unwrap_or(LookUp::Absent);
                self.write(ticket, before, &run, &gone)
            })
            .buffer_unordered(self.settings.concurrency);
        let mut answers = pin!(answers);
        let mut answered = Answered::default();
        while let Some((key, event)) = answers.next().await {
            let Some(posting) = by_key.remove(&key) else { continue };
            if let Event::PostAnswered(Err(failure)) = &event {
                session.erp_failed("writing a posting", failure);
            }
            let (next, entry) = self.step(session, &posting, event)?;
            session.count(&posting, &next);
            answered.add(next, entry);
            if answered.since.elapsed() > FLUSH_AFTER {
                self.flush(&mut answered).await?;
            }
        }
        self.flush(&mut answered).await?;
        Ok(answered.in_erp)
    }

    /// Makes answers durable that are in memory only.
    async fn flush(&self, answered: &mut Answered) -> Result<(), RunError> {
        if answered.commit.is_empty() {
            return Ok(());
        }
        self.commit(std::mem::take(&mut answered.commit)).await?;
        self.store.forget_sent(&std::mem::take(&mut answered.keys))?;
        answered.since = Instant::now();
        Ok(())
    }

    /// Writes one claimed posting. A claim that is not needed any more is released unsent.
    async fn write(
        &self,
        ticket: Claimed,
        found: LookUp,
        run: &RunId,
        gone: &AtomicBool,
    ) -> (PostingKey, Event) {
        let key = ticket.plan().key.clone();
        if self.stopping() || gone.load(Ordering::Relaxed) {
            return (key, Event::Released);
        }
        if let Err(error) = self.store.mark_sent(&key) {
            let failure =
                Failure::new(FailureClass::NotSent, format!("noting that a posting is sent: {error}"));
            return (key, Event::PostAnswered(Err(failure)));
        }
        let answer = self.context(run, &key).scope(self.erp.post(&ticket, &found)).await;
        if answer.as_ref().is_err_and(is_connection_wide) {
            gone.store(true, Ordering::Relaxed);
        }
        (key, Event::PostAnswered(answer))
    }

    /// Marks what is in the ERP at the source. A failure here is retried alone; it never touches the ERP again.
    async fn acknowledge_all(&self, postings: Vec<Posting>, session: &mut Session) -> Result<(), RunError> {
        let now = self.clock.now();
        let due: Vec<Posting> =
            postings.into_iter().filter(|p| p.next_action(now) == NextAction::Acknowledge).collect();
        for chunk in due.chunks(ACKNOWLEDGE_AT_ONCE) {
            if session.source_down {
                break;
            }
            let exported: Vec<Exported> = chunk.iter().filter_map(exported).collect();
            let answer = self.source.acknowledge(&exported).await;
            let marked: BTreeSet<_> =
                answer.as_ref().map(|ids| ids.iter().cloned().collect()).unwrap_or_default();
            let failure = match answer {
                Ok(_) => {
                    session.report.errors.extend(unconfirmed(chunk, &marked));
                    Failure::new(
                        FailureClass::Unavailable,
                        "the source did not confirm the mark of this record",
                    )
                }
                Err(failure) => {
                    session.source_failed("marking records as exported", &failure);
                    failure
                }
            };
            for posting in chunk {
                let event = if marked.contains(&posting.source_id) {
                    Event::Acknowledged
                } else {
                    Event::AcknowledgeFailed(failure.clone())
                };
                let (next, entry) = self.step(session, posting, event)?;
                session.count(posting, &next);
                session.late.audit(entry);
                session.late.put_posting(next);
            }
        }
        Ok(())
    }

    pub(super) fn context(&self, run: &RunId, key: &PostingKey) -> CallContext {
        CallContext {
            flow: Some(self.settings.flow().clone()),
            run: Some(run.clone()),
            posting: Some(key.clone()),
        }
    }
}

/// Words for the records that are in the ERP and that the source has not confirmed as marked, if any.
fn unconfirmed(asked: &[Posting], marked: &BTreeSet<SourceId>) -> Option<String> {
    let mut open = asked.iter().map(|posting| &posting.source_id).filter(|id| !marked.contains(*id));
    let named: Vec<&str> = open.by_ref().take(UNCONFIRMED_NAMED).map(SourceId::as_str).collect();
    if named.is_empty() {
        return None;
    }
    let more = match open.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!(
        "marking records as exported: the spend system did not confirm {}{more}; it is tried again, and one that can \
         never be marked is closed with `purser records handle`",
        named.join(", ")
    ))
}

/// What the source is told of a posting that is in the ERP.
fn exported(posting: &Posting) -> Option<Exported> {
    let PostingState::Posted { receipt, .. } = &posting.state else { return None };
    Some(Exported { id: posting.source_id.clone(), receipt: receipt.clone() })
}
