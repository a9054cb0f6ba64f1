//! The transitions of a posting. The rule everything here serves: between a claim and the next one there is either a
//! definite answer that nothing was written, or look-ups after the settle window that prove it as far as anybody can.

use super::delay::Moment;
use super::settle::Doubt;
use super::settle::conflict;
use super::{
    ErpReceipt, Event, Failure, FailureClass, Hold, LookUp, Posting, PostingPolicy, PostingState,
    TransitionError,
};
use crate::Timestamp;
use crate::document::SpendDocument;
use crate::finding::{Finding, FindingCode};
use crate::ids::{FlowId, PostingKey, Revision};
use crate::now::Now;
use crate::plan::PostingPlan;
use chrono::TimeDelta;
use std::sync::Arc;

impl Posting {
    /// The posting after an event. `jitter` (0 to 1, drawn by the caller) spreads retries.
    ///
    /// # Errors
    /// [`TransitionError`] when the event is not allowed in this state; the posting is unchanged then.
    pub fn apply(
        &self,
        event: Event,
        policy: &PostingPolicy,
        jitter: f64,
        now: &Now,
    ) -> Result<Posting, TransitionError> {
        let moment = Moment { policy, jitter, now: now.at, tick: &now.tick };
        let name = event.name();
        let mut next = match event {
            Event::Claimed => self.claim(&moment, name),
            Event::LookedUp { found, unique } => self.looked_up(found, unique, &moment, name),
            Event::LookUpFailed(failure) => self.look_up_failed(failure, &moment, name),
            Event::PutOff(failure) => self.put_off(failure, &moment, name),
            Event::OutOfDate(failure) => {
                self.put_off(failure, &moment, name).map(|waits| Posting { attempts: 0, ..waits })
            }
            Event::PostAnswered(answer) => self.post_answered(answer, &moment, name),
            Event::Recovered => self.recover(&moment, name),
            Event::Released => self.release(name),
            Event::Acknowledged => self.acknowledge(&moment, name),
            Event::AcknowledgeFailed(failure) => self.acknowledge_failed(&failure, &moment, name),
            Event::Replanned(plan, document) => self.replan(&plan, &document, name),
            Event::Held(findings) => self.hold_for(findings, false, &moment, name),
            Event::HeldUnfinished(findings) => self.hold_for(findings, true, &moment, name),
            Event::Replay => self.replay(&moment, name),
            Event::Handled { note, by, reported, left_to } => {
                let left_to =
                    left_to.filter(|flow| !reported && self.waits_for_flow().as_ref() == Some(flow));
                self.handle(note, by, reported, left_to, &moment, name)
            }
            Event::Superseded { by } => self.supersede(by, &moment, name),
        }?;
        next.updated_at = now.at;
        Ok(next)
    }

    pub(super) fn with_state(&self, state: PostingState) -> Posting {
        Posting { state, ..self.clone() }
    }

    pub(super) fn planned_anew(&self) -> Posting {
        Posting { failures: 0, ..self.with_state(PostingState::Planned) }
    }

    fn refuse(&self, event: &'static str) -> Result<Posting, TransitionError> {
        match self.state.receipt() {
            Some(receipt) => Err(TransitionError::AlreadyPosted { receipt: receipt.clone() }),
            None => Err(TransitionError::Illegal { state: self.state.name(), event }),
        }
    }

    fn claim(&self, moment: &Moment<'_>, event: &'static str) -> Result<Posting, TransitionError> {
        match &self.state {
            PostingState::Waiting { next_at, .. } if *next_at > moment.now => {
                Err(TransitionError::NotDue { at: *next_at })
            }
            PostingState::Planned | PostingState::Waiting { .. } if self.plan.is_none() => {
                Err(TransitionError::NoPlan)
            }
            PostingState::Planned | PostingState::Waiting { .. } => Ok(Posting {
                attempts: self.attempts.saturating_add(1),
                ..self.with_state(PostingState::Claimed { at: moment.now })
            }),
            PostingState::Claimed { .. }
            | PostingState::InDoubt { .. }
            | PostingState::Posted { .. }
            | PostingState::Acknowledged { .. }
            | PostingState::Held(_)
            | PostingState::Superseded { .. }
            | PostingState::Handled { .. } => self.refuse(event),
        }
    }

    fn looked_up(
        &self,
        found: LookUp,
        unique: bool,
        moment: &Moment<'_>,
        event: &'static str,
    ) -> Result<Posting, TransitionError> {
        match &self.state {
            PostingState::Planned | PostingState::Waiting { .. } => Ok(match found {
                LookUp::Complete { receipt } => self.posted(receipt, true, moment),
                LookUp::Different { receipt, differs } => {
                    self.held_with(vec![conflict(&receipt, &differs)], false, moment)
                }
                LookUp::Absent | LookUp::Unfinished { .. } => self.with_state(PostingState::Planned),
            }),
            PostingState::InDoubt { cut_at, cut_tick, empty_look_ups, empty_tick, why, .. } => {
                let (cut_tick, empty_tick) = (cut_tick.as_ref(), empty_tick.as_ref());
                let doubt = Doubt { cut_at: *cut_at, cut_tick, empty_look_ups, empty_tick, why };
                Ok(self.settle(found, unique, &doubt, moment))
            }
            PostingState::Held(hold) => Ok(match found {
                LookUp::Complete { receipt } => self.posted(receipt, true, moment),
                LookUp::Different { receipt, differs } => {
                    self.held_with(vec![conflict(&receipt, &differs)], hold.in_doubt, moment)
                }
                LookUp::Absent | LookUp::Unfinished { .. } => self.clone(),
            }),
            PostingState::Claimed { .. }
            | PostingState::Posted { .. }
            | PostingState::Acknowledged { .. }
            | PostingState::Superseded { .. }
            | PostingState::Handled { .. } => self.refuse(event),
        }
    }

    fn look_up_failed(
        &self,
        failure: Failure,
        moment: &Moment<'_>,
        event: &'static str,
    ) -> Result<Posting, TransitionError> {
        match &self.state {
            PostingState::Planned | PostingState::Waiting { .. } => Ok(match failure.class {
                FailureClass::Rejected { findings } => {
                    self.held_with(refusal(findings, &failure.message), false, moment)
                }
                FailureClass::Throttled { until } => self.waiting(moment.throttled(until), failure.message),
                FailureClass::Unauthorised => self.waiting(moment.credential_pause(), failure.message),
                FailureClass::NotSent | FailureClass::InDoubt | FailureClass::Unavailable => {
                    self.failed_once_more(failure.message, moment)
                }
            }),
            PostingState::InDoubt { cut_at, cut_tick, empty_look_ups, empty_tick, why, .. } => {
                let failures = self.failures.saturating_add(1);
                let next_at = match failure.class {
                    FailureClass::Throttled { until } => moment.throttled(until),
                    FailureClass::Unauthorised => moment.credential_pause(),
                    FailureClass::NotSent
                    | FailureClass::Rejected { .. }
                    | FailureClass::InDoubt
                    | FailureClass::Unavailable => moment.backoff(failures),
                };
                let state = PostingState::InDoubt {
                    cut_at: *cut_at,
                    cut_tick: cut_tick.clone(),
                    empty_look_ups: empty_look_ups.clone(),
                    empty_tick: empty_tick.clone(),
                    next_at,
                    why: why.clone(),
                };
                Ok(Posting { failures, ..self.with_state(state) })
            }
            PostingState::Held(_) => Ok(self.clone()),
            PostingState::Claimed { .. }
            | PostingState::Posted { .. }
            | PostingState::Acknowledged { .. }
            | PostingState::Superseded { .. }
            | PostingState::Handled { .. } => self.refuse(event),
        }
    }

    /// Nothing is written by an old reading. A refusal concerns the source and not the document, so it is tried again like
    /// any other failure, for a bounded number of times.
    fn put_off(
        &self,
        failure: Failure,
        moment: &Moment<'_>,
        event: &'static str,
    ) -> Result<Posting, TransitionError> {
        match &self.state {
            PostingState::Planned | PostingState::Waiting { .. } => Ok(match failure.class {
                FailureClass::Throttled { until } => self.waiting(moment.throttled(until), failure.message),
                FailureClass::Unauthorised => self.waiting(moment.credential_pause(), failure.message),
                FailureClass::NotSent
                | FailureClass::Rejected { .. }
                | FailureClass::InDoubt
                | FailureClass::Unavailable => self.failed_once_more(failure.message, moment),
            }),
            PostingState::Claimed { .. }
            | PostingState::InDoubt { .. }
            | PostingState::Posted { .. }
            | PostingState::Acknowledged { .. }
            | PostingState::Held(_)
            | PostingState::Superseded { .. }
            | PostingState::Handled { .. } => self.refuse(event),
        }
    }

    fn post_answered(
        &self,
        answer: Result<ErpReceipt, Failure>,
        moment: &Moment<'_>,
        event: &'static str,
    ) -> Result<Posting, TransitionError> {
        match (&self.state, answer) {
            (PostingState::Claimed { .. } | PostingState::InDoubt { .. }, Ok(receipt)) => {
                Ok(self.posted(receipt, false, moment))
            }
            (PostingState::Held(hold), Ok(receipt)) if hold.in_doubt => {
                Ok(self.posted(receipt, false, moment))
            }
            (PostingState::Claimed { .. }, Err(failure)) => Ok(self.write_failed(failure, moment)),
            (
                PostingState::Planned
                | PostingState::InDoubt { .. }
                | PostingState::Waiting { .. }
                | PostingState::Posted { .. }
                | PostingState::Acknowledged { .. }
                | PostingState::Held(_)
                | PostingState::Superseded { .. }
                | PostingState::Handled { .. },
                Ok(_) | Err(_),
            ) => self.refuse(event),
        }
    }

    fn write_failed(&self, failure: Failure, moment: &Moment<'_>) -> Posting {
        match failure.class {
            FailureClass::Rejected { findings } => {
                self.held_with(refusal(findings, &failure.message), false, moment)
            }
            FailureClass::NotSent => self.failed_once_more(failure.message, moment),
            FailureClass::Throttled { until } => self.waiting(moment.throttled(until), failure.message),
            FailureClass::Unauthorised => self.waiting(moment.credential_pause(), failure.message),
            FailureClass::InDoubt | FailureClass::Unavailable => self.with_state(PostingState::InDoubt {
                // Not from the claim: claims come in batches, and this request may have left long after its claim.
                cut_at: moment.now,
                cut_tick: Some(moment.tick.clone()),
                empty_look_ups: Vec::new(),
                empty_tick: None,
                next_at: moment.before_settled(TimeDelta::zero()),
                why: failure.message,
            }),
        }
    }

    fn recover(&self, moment: &Moment<'_>, event: &'static str) -> Result<Posting, TransitionError> {
        match &self.state {
            PostingState::Claimed { .. } => Ok(self.with_state(PostingState::InDoubt {
                // The process died at some moment between the claim and now; only now is certainly not too early.
                cut_at: moment.now,
                cut_tick: Some(moment.tick.clone()),
                empty_look_ups: Vec::new(),
                empty_tick: None,
                next_at: moment.now,
                why: "the agent stopped between the claim and its result".to_owned(),
            })),
            PostingState::Planned
            | PostingState::InDoubt { .. }
            | PostingState::Waiting { .. }
            | PostingState::Posted { .. }
            | PostingState::Acknowledged { .. }
            | PostingState::Held(_)
            | PostingState::Superseded { .. }
            | PostingState::Handled { .. } => self.refuse(event),
        }
    }

    fn release(&self, event: &'static str) -> Result<Posting, TransitionError> {
        match &self.state {
            PostingState::Claimed { .. } => Ok(Posting {
                attempts: self.attempts.saturating_sub(1),
                ..self.with_state(PostingState::Planned)
            }),
            PostingState::Planned
            | PostingState::InDoubt { .. }
            | PostingState::Waiting { .. }
            | PostingState::Posted { .. }
            | PostingState::Acknowledged { .. }
            | PostingState::Held(_)
            | PostingState::Superseded { .. }
            | PostingState::Handled { .. } => self.refuse(event),
        }
    }

    fn acknowledge(&self, moment: &Moment<'_>, event: &'static str) -> Result<Posting, TransitionError> {
        match &self.state {
            PostingState::Posted { receipt, at, .. } => Ok(self.with_state(PostingState::Acknowledged {
                receipt: receipt.clone(),
                posted_at: *at,
                at: moment.now,
                unmarked: None,
            })),
            PostingState::Acknowledged { .. } => Ok(self.clone()),
            PostingState::Planned
            | PostingState::Claimed { .. }
            | PostingState::InDoubt { .. }
            | PostingState::Waiting { .. }
            | PostingState::Held(_)
            | PostingState::Superseded { .. }
            | PostingState::Handled { .. } => self.refuse(event),
        }
    }

    fn acknowledge_failed(
        &self,
        failure: &Failure,
        moment: &Moment<'_>,
        event: &'static str,
    ) -> Result<Posting, TransitionError> {
        match &self.state {
            PostingState::Posted { receipt, at, adopted, ack_attempts, .. } => {
                let ack_attempts = ack_attempts.saturating_add(1);
                let next_ack_at = match &failure.class {
                    FailureClass::Throttled { until } => moment.throttled(*until),
                    FailureClass::Unauthorised => moment.credential_pause(),
                    FailureClass::NotSent
                    | FailureClass::Rejected { .. }
                    | FailureClass::InDoubt
                    | FailureClass::Unavailable => moment.backoff(ack_attempts),
                };
                let (receipt, at, adopted) = (receipt.clone(), *at, *adopted);
                Ok(self.with_state(PostingState::Posted { receipt, at, adopted, ack_attempts, next_ack_at }))
            }
            PostingState::Planned
            | PostingState::Claimed { .. }
            | PostingState::InDoubt { .. }
            | PostingState::Waiting { .. }
            | PostingState::Acknowledged { .. }
            | PostingState::Held(_)
            | PostingState::Superseded { .. }
            | PostingState::Handled { .. } => self.refuse(event),
        }
    }

    fn replan(
        &self,
        plan: &Arc<PostingPlan>,
        document: &Arc<SpendDocument>,
        event: &'static str,
    ) -> Result<Posting, TransitionError> {
        let found = PostingKey::derive(&self.flow, &document.source_id, &document.revision);
        for key in [&plan.key, &found] {
            if *key != self.key {
                return Err(TransitionError::OtherPosting { expected: self.key.clone(), found: key.clone() });
            }
        }
        let replanned = |state| Posting {
            total: plan.total,
            plan: Some(Arc::clone(plan)),
            document: Arc::clone(document),
            ..self.with_state(state)
        };
        match &self.state {
            PostingState::Planned => Ok(replanned(PostingState::Planned)),
            PostingState::Waiting { next_at, why } => {
                Ok(replanned(PostingState::Waiting { next_at: *next_at, why: why.clone() }))
            }
            PostingState::Held(hold) if hold.in_doubt => self.refuse(event),
            PostingState::Held(hold) if hold.findings.iter().any(|finding| finding.code.needs_decision()) => {
                Ok(replanned(PostingState::Held(hold.clone())))
            }
            PostingState::Held(_) => Ok(Posting { failures: 0, ..replanned(PostingState::Planned) }),
            PostingState::Claimed { .. }
            | PostingState::InDoubt { .. }
            | PostingState::Posted { .. }
            | PostingState::Acknowledged { .. }
            | PostingState::Superseded { .. }
            | PostingState::Handled { .. } => self.refuse(event),
        }
    }

    fn hold_for(
        &self,
        findings: Vec<Finding>,
        in_doubt: bool,
        moment: &Moment<'_>,
        event: &'static str,
    ) -> Result<Posting, TransitionError> {
        if findings.is_empty() {
            return Err(TransitionError::NoFindings);
        }
        match &self.state {
            PostingState::Planned | PostingState::Waiting { .. } => {
                Ok(self.held_with(findings, in_doubt, moment))
            }
            PostingState::Held(hold) => Ok(self.with_state(PostingState::Held(Hold {
                findings,
                since: hold.since,
                in_doubt: hold.in_doubt || in_doubt,
            }))),
            PostingState::Claimed { .. }
            | PostingState::InDoubt { .. }
            | PostingState::Posted { .. }
            | PostingState::Acknowledged { .. }
            | PostingState::Superseded { .. }
            | PostingState::Handled { .. } => self.refuse(event),
        }
    }

    fn replay(&self, moment: &Moment<'_>, event: &'static str) -> Result<Posting, TransitionError> {
        match &self.state {
            PostingState::Planned | PostingState::Waiting { .. } | PostingState::Held(_)
                if self.plan.is_none() =>
            {
                Err(TransitionError::NoPlan)
            }
            PostingState::Planned | PostingState::Waiting { .. } | PostingState::Held(_) => {
                Ok(self.planned_anew())
            }
            PostingState::InDoubt { cut_at, cut_tick, empty_look_ups, empty_tick, why, .. } => Ok(self
                .with_state(PostingState::InDoubt {
                    cut_at: *cut_at,
                    cut_tick: cut_tick.clone(),
                    empty_look_ups: empty_look_ups.clone(),
                    empty_tick: empty_tick.clone(),
                    next_at: moment.now,
                    why: why.clone(),
                })),
            PostingState::Claimed { .. }
            | PostingState::Posted { .. }
            | PostingState::Acknowledged { .. }
            | PostingState::Superseded { .. }
            | PostingState::Handled { .. } => self.refuse(event),
        }
    }

    fn handle(
        &self,
        note: String,
        by: String,
        reported: bool,
        left_to: Option<FlowId>,
        moment: &Moment<'_>,
        event: &'static str,
    ) -> Result<Posting, TransitionError> {
        match &self.state {
            PostingState::Planned | PostingState::Waiting { .. } if self.attempts > 0 => {
                Err(TransitionError::WriteBegun)
            }
            PostingState::Held(_) if reported && self.may_be_in_erp() => Err(TransitionError::MayBeBooked),
            PostingState::Planned | PostingState::Waiting { .. } | PostingState::Held(_) => {
                Ok(self.with_state(PostingState::Handled { note, by, at: moment.now, reported, left_to }))
            }
            // Nothing is written here, and nothing is told to the source: the only mark that was open is given up.
            PostingState::Posted { receipt, at, ack_attempts, .. } if *ack_attempts > 0 && !reported => {
                let (receipt, posted_at) = (receipt.clone(), *at);
                let unmarked = Some(note);
                Ok(self.with_state(PostingState::Acknowledged {
                    receipt,
                    posted_at,
                    at: moment.now,
                    unmarked,
                }))
            }
            PostingState::Claimed { .. }
            | PostingState::InDoubt { .. }
            | PostingState::Posted { .. }
            | PostingState::Acknowledged { .. }
            | PostingState::Superseded { .. }
            | PostingState::Handled { .. } => self.refuse(event),
        }
    }

    fn supersede(
        &self,
        by: Revision,
        moment: &Moment<'_>,
        event: &'static str,
    ) -> Result<Posting, TransitionError> {
        if by == self.revision {
            return self.refuse(event);
        }
        match &self.state {
            PostingState::Planned | PostingState::Waiting { .. } if self.attempts > 0 => {
                Err(TransitionError::WriteBegun)
            }
            PostingState::Held(hold) if hold.in_doubt => Err(TransitionError::WriteBegun),
            PostingState::Planned | PostingState::Waiting { .. } | PostingState::Held(_) => {
                Ok(self.with_state(PostingState::Superseded { by, at: moment.now }))
            }
            PostingState::Claimed { .. }
            | PostingState::InDoubt { .. }
            | PostingState::Posted { .. }
            | PostingState::Acknowledged { .. }
            | PostingState::Superseded { .. }
            | PostingState::Handled { .. } => self.refuse(event),
        }
    }

    pub(super) fn posted(&self, receipt: ErpReceipt, adopted: bool, moment: &Moment<'_>) -> Posting {
        let now = moment.now;
        let state = PostingState::Posted { receipt, at: now, adopted, ack_attempts: 0, next_ack_at: now };
        Posting { failures: 0, ..self.with_state(state) }
    }

    pub(super) fn held_with(&self, findings: Vec<Finding>, in_doubt: bool, moment: &Moment<'_>) -> Posting {
        self.with_state(PostingState::Held(Hold { findings, since: moment.now, in_doubt }))
    }

    fn waiting(&self, next_at: Timestamp, why: String) -> Posting {
        self.with_state(PostingState::Waiting { next_at, why })
    }

    fn failed_once_more(&self, why: String, moment: &Moment<'_>) -> Posting {
        let failures = self.failures.saturating_add(1);
        let next = if failures > moment.policy.max_failures {
            let finding = Finding::document(
                FindingCode::AttemptsExhausted,
                "posting",
                "",
                format!("{failures} attempts failed, last: {why}"),
                "mend the cause (`purser doctor` names it), then replay",
            );
            self.held_with(vec![finding], false, moment)
        } else {
            self.waiting(moment.backoff(failures), why)
        };
        Posting { failures, ..next }
    }
}

fn refusal(findings: Vec<Finding>, message: &str) -> Vec<Finding> {
    if !findings.is_empty() {
        return findings;
    }
    vec![Finding::document(
        FindingCode::ErpRefused,
        "posting",
        "",
        format!("the ERP refused it: {message}"),
        "mend what the message names in the ERP or in flow.mapping in purser.toml, then replay",
    )]
}
