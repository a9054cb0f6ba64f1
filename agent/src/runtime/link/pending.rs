//! Commands that are written down and not answered yet, in the order in which they came, and what becomes of one that was
//! begun when the process died.
//!
//! Whether it may be carried out once more is a matter of each verb:
//!
//! | Verb | Begun and not answered | Because |
//! |---|---|---|
//! | `run`, `refresh-reference` | again | as a schedule that fires once more: the posting log books nothing twice, a mirror writes what differs |
//! | `preview`, `test-connection`, `diagnostics` | again | they write nothing |
//! | `pause`, `resume` | again, unless somebody has paused or resumed the flow since | the same switch in the same position; a later decision counts more |
//! | `replay` | not known | a posting that was held anew meanwhile would be released a second time by one consent |
//! | `handle` | not known | what it closes may have been booked or planned meanwhile, and closing that means something else |
//! | `rotate-keys` | not known | keys that were begun are brought to an end by the link itself; once more would make further ones |
//!
//! Those of the last kinds are marked as begun, durably, before they are carried out; whoever asked is told that the end is
//! not known and decides after a look. Whatever was not begun is carried out as if it had just come, until it expires.

use super::commands::failed;
use super::exchange::Exchange;
use crate::runtime::agent::Pause;
use crate::store::{StateTable, StoreError};
use purser_proto::link::command::{Command, CommandResult, Verb};
use purser_proto::link::limits::Name;
use serde::{Deserialize, Serialize};
use spend::Timestamp;

/// Before the number of a command among what the agent remembers of its control plane.
const UNDER_WAY: &str = "command/";

/// A command under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Pending {
    /// The delivery that brought it.
    pub(super) id: Name,
    pub(super) command: Command,
    /// When it was begun, where that must be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) begun: Option<Timestamp>,
    /// Where it is written down.
    #[serde(skip)]
    pub(super) place: String,
}

/// What a verb that was begun needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeated {
    Harmless,
    UnlessDecidedSince,
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
        Verb::Pause { .. } | Verb::Resume { .. } => Repeated::UnlessDecidedSince,
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
            if let Some(pending) = store.get::<Pending>(StateTable::Link, place)? {
                self.hand_on(Pending { place: place.clone(), ..pending });
            }
        }
        Ok(())
    }

    /// Writes down that a command is begun, where that must be known; or how one is answered that was begun before.
    pub(super) async fn begin(&self, pending: &Pending) -> Result<Option<CommandResult>, StoreError> {
        let kind = repeated(&pending.command.verb);
        match (kind, pending.begun) {
            (Repeated::Harmless, _) => return Ok(None),
            (Repeated::Never, Some(begun)) => return Ok(Some(unknown(&pending.command, begun))),
            (Repeated::UnlessDecidedSince, Some(begun)) => {
                return Ok(self
                    .is_decided_since(&pending.command, begun)?
                    .then(|| overtaken(&pending.command)));
            }
            (Repeated::UnlessDecidedSince | Repeated::Never, None) => {}
        }
        let mut batch = self.batch();
        let begun = Pending { begun: Some(self.parts.clock.now()), ..pending.clone() };
        batch.put(StateTable::Link, &pending.place, &begun);
        self.parts.store.commit(batch).await?;
        Ok(None)
    }

    /// Whether somebody else has paused or resumed the flow since.
    fn is_decided_since(&self, command: &Command, begun: Timestamp) -> Result<bool, StoreError> {
        let (Verb::Pause { flow } | Verb::Resume { flow }) = &command.verb else { return Ok(false) };
        let place = Pause::place(&spend::ids::FlowId::new(flow.as_str()));
        let pause: Option<Pause> = self.parts.store.get(StateTable::Flow, &place)?;
        let wanted = matches!(command.verb, Verb::Pause { .. });
        Ok(pause.is_some_and(|pause| pause.at >= begun && pause.paused != wanted))
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

fn overtaken(command: &Command) -> CommandResult {
    let verb = command.verb.word();
    failed(format!(
        "`{verb}` was begun when the agent's process ended, and somebody has decided otherwise since"
    ))
}
