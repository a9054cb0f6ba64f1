//! Commands that are written down and not answered yet, in the order in which they came, and what becomes of one that was
//! begun when the process died.
//!
//! Whether it may be carried out once more is a matter of each verb:
//!
//! | Verb | Begun and not answered | Because |
//! |---|---|---|
//! | `run`, `refresh-reference` | again | as a schedule that fires once more: the posting log books nothing twice, a mirror writes what differs |
//! | `preview`, `test-connection`, `diagnostics` | again | they write nothing |
//! | `pause`, `resume` | as the switch of the flow shows | what it was when the command was begun is written down: as it was, and nobody has done it, so it is done; another, and it is not done again |
//! | `replay` | not known | a posting that was held anew meanwhile would be released a second time by one consent |
//! | `handle` | not known | what it closes may have been booked or planned meanwhile, and closing that means something else |
//! | `rotate-keys` | not known | keys that were begun are brought to an end by the link itself; once more would make further ones |
//!
//! All are marked as begun, durably, before they are carried out; whoever asked for one whose end is not known is told so and
//! decides after a look. Whatever was not begun is carried out as if it had just come, until it expires; one that was begun
//! and has expired since is not done again, and is answered by what is known of it: `expired` says that it was not done.

use super::commands::{done, expired, failed};
use super::exchange::Exchange;
use super::words;
use crate::runtime::agent::Pause;
use crate::store::{StateTable, StoreError};
use purser_proto::link::command::{Command, CommandResult, Verb};
use purser_proto::link::limits::Name;
use serde::{Deserialize, Serialize};
use spend::Timestamp;
use spend::ids::FlowId;

/// Before the number of a command among what the agent remembers of its control plane.
const UNDER_WAY: &str = "command/";

/// A command under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Pending {
    /// The delivery that brought it.
    pub(super) id: Name,
    pub(super) command: Command,
    /// When it was begun, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) begun: Option<Timestamp>,
    /// Which value the switch had that it was about to set; in a text of its own, since clocks do not say what came first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) switch: Option<String>,
    /// Where it is written down.
    #[serde(skip)]
    pub(super) place: String,
}

/// What becomes of a verb that was begun.
#[derive(Debug, PartialEq, Eq)]
enum Repeated {
    Harmless,
    /// The flow whose switch says it, and whether that is to be off.
    BySwitch(FlowId, bool),
    Never,
}

fn repeated(verb: &Verb) -> Repeated {
    match verb {
        Verb::Run { .. }
        | Verb::RefreshReference { .. }
        | Verb::Preview { .. }
        | Verb::TestConnection { .. }
        | Verb::Diagnostics
        | Verb::Unknown => Repeated::Harmless,
        Verb::Pause { flow } => Repeated::BySwitch(FlowId::new(flow.as_str()), true),
        Verb::Resume { flow } => Repeated::BySwitch(FlowId::new(flow.as_str()), false),
        Verb::Replay { .. } | Verb::Handle { .. } | Verb::RotateKeys => Repeated::Never,
    }
}

impl Exchange {
    /// Where the next command is written down: numbers keep the order, and names are listed in theirs.
    pub(super) fn next_place(&self, id: &Name) -> Result<String, StoreError> {
        let last = match self.last_command.get() {
            Some(last) => last,
            None => {
                let names = self.parts.store.names(StateTable::Link)?;
                names.iter().filter_map(|name| number(name)).max().unwrap_or(0)
            }
        };
        self.last_command.set(Some(last + 1));
        Ok(format!("{UNDER_WAY}{:020}/{id}", last + 1))
    }

    /// What an earlier process had not answered, in the order in which it came.
    pub(super) fn take_up_commands(&self) -> Result<(), StoreError> {
        let store = &self.parts.store;
        let names = store.names(StateTable::Link)?;
        let mut places: Vec<&String> = names.iter().filter(|name| name.starts_with(UNDER_WAY)).collect();
        // The release before wrote no numbers; what it has left came first.
        places.sort_by_key(|place| number(place).unwrap_or(0));
        for place in places {
            match store.get::<Pending>(StateTable::Link, place) {
                Ok(Some(pending)) => self.hand_on(Pending { place: place.clone(), ..pending }),
                Ok(None) => {}
                // It stays where it is, for a release that can read it, and keeps no other back.
                Err(error) => tracing::error!(place, error = words(&error), "a command cannot be read"),
            }
        }
        Ok(())
    }

    /// Writes down that a command is begun; or how one is answered that is too late, or that was begun before.
    pub(super) async fn begin(&self, pending: &Pending) -> Result<Option<CommandResult>, StoreError> {
        let (command, now) = (&pending.command, self.parts.clock.now());
        if let Some(begun) = pending.begun {
            return self.begun_before(pending, begun, now);
        }
        if command.expires <= now {
            // It may have waited for the process to be started again.
            return Ok(Some(expired(command, now)));
        }
        let switch = match repeated(&command.verb) {
            Repeated::BySwitch(flow, _) => Some(self.switch(&flow)?.1),
            Repeated::Harmless | Repeated::Never => None,
        };
        let mut batch = self.batch();
        let begun = Pending { begun: Some(now), switch, ..pending.clone() };
        batch.put(StateTable::Link, &pending.place, &begun);
        self.parts.store.commit(batch).await?;
        Ok(None)
    }

    /// How a command is answered that an earlier process has begun; `None` = it is to be done.
    fn begun_before(
        &self,
        pending: &Pending,
        begun: Timestamp,
        now: Timestamp,
    ) -> Result<Option<CommandResult>, StoreError> {
        let command = &pending.command;
        let is_late = command.expires <= now;
        let (flow, off) = match repeated(&command.verb) {
            Repeated::Never => return Ok(Some(unknown(command, begun))),
            Repeated::Harmless => return Ok(is_late.then(|| unknown(command, begun))),
            Repeated::BySwitch(flow, off) => (flow, off),
        };
        let (pause, switch) = self.switch(&flow)?;
        // The release before wrote down no switch, and gave the moment only.
        let as_it_was = match &pending.switch {
            Some(before) => *before == switch,
            None => pause.as_ref().is_none_or(|pause| pause.at < begun),
        };
        Ok(match pause {
            _ if as_it_was => is_late.then(|| expired(command, now)),
            Some(pause) if pause.paused == off => Some(is_set(&flow, off)),
            Some(_) | None => Some(overtaken(command)),
        })
    }

    /// The switch of a flow, and a word that differs from one decision to the next.
    fn switch(&self, flow: &FlowId) -> Result<(Option<Pause>, String), StoreError> {
        let (pause, stamp) = self.parts.store.get_stamped(StateTable::Flow, &Pause::place(flow))?;
        let word =
            stamp.map_or_else(|| "none".to_owned(), |stamp| blake3::Hash::from(stamp).to_hex().to_string());
        Ok((pause, word))
    }
}

fn number(place: &str) -> Option<u64> {
    let rest = place.strip_prefix(UNDER_WAY)?;
    rest.split_once('/')?.0.parse().ok()
}

fn unknown(command: &Command, begun: Timestamp) -> CommandResult {
    let verb = command.verb.word();
    failed(format!(
        "`{verb}` was begun at {begun}, and the agent's process ended before it was done; its end is not known, and it was \
         not done again. Look at the status, and give it again if it is still wanted"
    ))
}

fn is_set(flow: &FlowId, off: bool) -> CommandResult {
    let how = if off { "paused" } else { "not paused" };
    done(format!(
        "flow `{flow}` is {how}; the agent's process ended while this was carried out, so somebody else may have done it"
    ))
}

fn overtaken(command: &Command) -> CommandResult {
    let verb = command.verb.word();
    failed(format!(
        "`{verb}` was begun when the agent's process ended, and somebody has decided otherwise since"
    ))
}
