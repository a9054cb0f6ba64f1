//! Commands: judged, written down with who asks and why, carried out, and answered. What becomes of one that was begun when
//! the process died is in `pending`.

use super::desk::Kept;
use super::exchange::Exchange;
use super::pending::Pending;
use super::reports::{result_of, why_not};
use super::words;
use crate::config::guard_rails::LocalRails;
use crate::config::revisions;
use crate::flows::replay::Decision;
use crate::runtime::commands::Order;
use crate::runtime::visible::Sight;
use crate::store::{AuditKind, StateTable, StoreError};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use purser_proto::link::command::{Command, CommandResult, Outcome, Verb};
use purser_proto::link::limits::{Name, Text};
use purser_proto::link::report::ReportBody;
use spend::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// Commands that wait to be carried out, or for their end, at most; what is beyond is refused.
const MOST_WAITING: u64 = 200;
/// How long the next command waits for the one before it.
const HEAD_START: Duration = Duration::from_secs(1);
/// How long a full disk is given until a command is begun or answered once more.
const ROOM_AFTER: Duration = Duration::from_secs(2);

/// How a command ended.
struct Ended {
    result: CommandResult,
    /// What only the machine may know of why it was not done.
    why: Option<String>,
    /// Held until the result is stored: an agent that ends waits for it.
    kept: Option<Kept>,
}

impl Ended {
    fn plain(result: CommandResult) -> Self {
        Self { result, why: None, kept: None }
    }
}

impl Exchange {
    pub(super) async fn take_command(&self, id: &Name, command: Command) -> Result<(), StoreError> {
        let judged = match self.rails() {
            _ if self.waiting.get() >= MOST_WAITING => Err(refused(format!(
                "{MOST_WAITING} commands wait already or are under way; give it again when some are done"
            ))),
            Ok(rails) => judge(&command, &rails.local, self.parts.clock.now()),
            Err(error) => {
                let what = "the machine's guard rails cannot be read";
                Err(refused(self.sight().because(what, &words(&error))))
            }
        };
        tracing::info!(verb = command.verb.word(), by = %command.by, good = judged.is_ok(), "command");
        let mut batch = self.taking(id);
        let entry = self.command_entry(&command, judged.as_ref().err());
        match judged {
            Ok(()) => {
                batch.audit(entry);
                let place = self.next_place(id)?;
                let pending = Pending { id: id.clone(), command, begun: None, switch: None, place };
                batch.put(StateTable::Link, &pending.place, &pending);
                self.decide(id, batch).await?;
                self.hand_on(pending);
            }
            Err(result) => {
                self.audit_refused(&mut batch, "commands", [("refused", entry)])?;
                batch.report(self.parts.clock.now(), &ReportBody::Result { delivery: id.clone(), result });
                self.decide(id, batch).await?;
            }
        }
        Ok(())
    }

    fn command_entry(&self, command: &Command, refused: Option<&CommandResult>) -> crate::store::AuditDraft {
        let mut detail = serde_json::json!({
            "what": "command", "command": command.verb, "reason": command.reason, "expires": command.expires,
        });
        if let Some(result) = refused {
            detail["refused"] = serde_json::json!(result.words);
        }
        self.entry(AuditKind::Decision, command.by.as_str(), detail)
    }

    pub(super) fn hand_on(&self, pending: Pending) {
        self.waiting.set(self.waiting.get() + 1);
        drop(self.commands.send(pending));
    }

    /// Carries commands out, for as long as it is polled: in their order, but none waits long for one that takes its time.
    pub(super) async fn obey(&self) {
        let Some(mut ordered) = self.ordered.borrow_mut().take() else { return };
        let mut work = FuturesUnordered::new();
        let mut head_start = Instant::now();
        loop {
            let free = work.is_empty() || head_start.elapsed() >= HEAD_START;
            tokio::select! {
                Some(pending) = ordered.recv(), if free => {
                    work.push(self.carry_out(pending));
                    head_start = Instant::now();
                }
                Some(()) = work.next(), if !work.is_empty() => {}
                () = tokio::time::sleep(HEAD_START), if !free => {}
            }
        }
    }

    pub(super) async fn carry_out(&self, pending: Pending) {
        self.work_off(&pending).await;
        self.waiting.set(self.waiting.get().saturating_sub(1));
    }

    async fn work_off(&self, pending: &Pending) {
        if self.parts.desk.is_deserted() {
            // It is written down and not begun, and the next life does both.
            return;
        }
        let answered = loop {
            match self.begin(pending).await {
                Ok(answered) => break answered,
                Err(error) if is_passing(&error) => wait_for_room(&error).await,
                // It is still written down, and the next life begins it.
                Err(error) => return tracing::error!(error = words(&error), "a command cannot be begun"),
            }
        };
        let Ended { result, why, kept } = match answered {
            Some(result) => Ended::plain(result),
            None => match self.done(&pending.command).await {
                Some(ended) => ended,
                // It is still written down as begun, and the next life answers it by what is known then.
                None if self.parts.desk.is_deserted() => return,
                None => Ended::plain(lost(&pending.command)),
            },
        };
        while let Err(error) = self.answer(pending, &result, why.as_deref()).await {
            if !is_passing(&error) {
                // It is still written down, and the next life answers it.
                return tracing::error!(error = words(&error), "the result of a command cannot be stored");
            }
            wait_for_room(&error).await;
        }
        drop(kept);
        self.news.notify_one();
    }

    async fn answer(
        &self,
        Pending { id, command, place, .. }: &Pending,
        result: &CommandResult,
        why: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut batch = self.batch();
        let detail = serde_json::json!({
            "what": "command carried out", "verb": command.verb.word(), "delivery": id, "outcome": result.outcome,
            "why": why,
        });
        batch.audit(self.entry(AuditKind::Decision, command.by.as_str(), detail));
        batch.remove(StateTable::Link, place);
        let body = ReportBody::Result { delivery: id.clone(), result: result.clone() };
        batch.report(self.parts.clock.now(), &body);
        self.parts.store.commit(batch).await
    }

    /// What came of it; `None` when nobody has said.
    async fn done(&self, command: &Command) -> Option<Ended> {
        let sight = self.sight();
        match order_of(command) {
            Some(Order::Run { flow, .. }) if self.is_wrong_kind(command, &flow) => {
                Some(Ended::plain(refused(format!("`{flow}` is no reference flow; ask for `run`"))))
            }
            Some(order) => {
                let (obeyed, kept) = self.parts.desk.order(order).await?;
                let why = why_not(&obeyed);
                Some(Ended { result: result_of(obeyed, sight), why, kept: Some(kept) })
            }
            None => Some(self.done_here(command, sight).await),
        }
    }

    /// What the link does itself.
    async fn done_here(&self, command: &Command, sight: Sight) -> Ended {
        let result = match command.verb {
            Verb::RotateKeys => match self.rotate().await {
                Ok(()) => {
                    let fingerprint = self.keys().current.public().fingerprint();
                    done(format!("new keys are in use; fingerprint {fingerprint}"))
                }
                Err(error) => {
                    let why = words(&error);
                    let result = failed(sight.reason(why.clone()));
                    return Ended { result, why: Some(why), kept: None };
                }
            },
            Verb::Diagnostics => self.diagnostics(sight).await,
            Verb::Run { .. }
            | Verb::Preview { .. }
            | Verb::Pause { .. }
            | Verb::Resume { .. }
            | Verb::Replay { .. }
            | Verb::Handle { .. }
            | Verb::TestConnection { .. }
            | Verb::RefreshReference { .. }
            | Verb::Unknown => refused("this release does not know the command; update the agent".to_owned()),
        };
        Ended::plain(result)
    }

    /// `refresh-reference` is for flows that mirror; a flow that books is run by `run`, which is allowed by itself.
    fn is_wrong_kind(&self, command: &Command, flow: &spend::ids::FlowId) -> bool {
        let wants_reference = matches!(command.verb, Verb::RefreshReference { .. });
        let (home, file) = (&self.parts.home, &self.parts.config_file);
        let known = revisions::known(&self.parts.store).unwrap_or_default();
        let read = revisions::effective(known, home, file);
        wants_reference && read.is_ok_and(|read| read.valid.flow(flow).is_some())
    }
}

/// Whether a command may be carried out; if not, how it is answered.
pub(super) fn judge(command: &Command, rails: &LocalRails, now: Timestamp) -> Result<(), CommandResult> {
    if command.verb == Verb::Unknown {
        return Err(refused("this release does not know the command; update the agent".to_owned()));
    }
    if command.expires <= now {
        return Err(expired(command, now));
    }
    let word = command.verb.word();
    if !rails.commands.contains(word) {
        let why =
            format!("`{word}` is not allowed here; add it to commands in guard-rails.toml on the machine");
        return Err(refused(why));
    }
    Ok(())
}

fn order_of(command: &Command) -> Option<Order> {
    let decision = Decision::from_afar(command.by.as_str(), command.reason.as_str());
    let flow_of = |flow: &Name| spend::ids::FlowId::new(flow.as_str());
    Some(match &command.verb {
        Verb::Run { flow } | Verb::RefreshReference { flow } => {
            Order::Run { flow: flow_of(flow), expect: None, consent: None }
        }
        Verb::Preview { flow } => Order::Preview { flow: flow_of(flow) },
        Verb::Pause { flow } => Order::Pause { flow: flow_of(flow), paused: true, decision },
        Verb::Resume { flow } => Order::Pause { flow: flow_of(flow), paused: false, decision },
        Verb::Replay { flow, posting } => {
            Order::Replay { flow: flow_of(flow), key: posting.as_str().into(), decision }
        }
        Verb::Handle { flow, posting } => Order::Handle {
            flow: flow_of(flow),
            key: posting.as_str().into(),
            decision,
            report_failure: false,
        },
        Verb::TestConnection { connection } => Order::Probe { connection: connection.as_str().into() },
        Verb::Diagnostics | Verb::RotateKeys | Verb::Unknown => return None,
    })
}

pub(super) fn done(words: String) -> CommandResult {
    answer(Outcome::Done, words)
}

pub(super) fn failed(words: String) -> CommandResult {
    answer(Outcome::Failed, words)
}

pub(super) fn refused(words: String) -> CommandResult {
    answer(Outcome::Refused, words)
}

/// Whether the store refuses for a while only.
fn is_passing(error: &StoreError) -> bool {
    matches!(error, StoreError::DiskFull { .. })
}

async fn wait_for_room(error: &StoreError) {
    tracing::warn!(error = words(error), "a command waits for the store");
    tokio::time::sleep(ROOM_AFTER).await;
}

fn lost(command: &Command) -> CommandResult {
    let verb = command.verb.word();
    failed(format!(
        "`{verb}` was begun, and its end is not known: the agent's log says why; look at the status, and give it again if \
         it is still wanted"
    ))
}

pub(super) fn expired(command: &Command, now: Timestamp) -> CommandResult {
    let words = format!("it was to be obeyed until {}; here it is {now}", command.expires);
    answer(Outcome::Expired, words)
}

fn answer(outcome: Outcome, words: String) -> CommandResult {
    CommandResult { outcome, words: words.into(), detail: Text::default() }
}
