//! The wide look for records that wait, once a day, at sources that ask for it: a record can wait in somebody's review
//! for longer than any overlap reaches.

use super::spend_flow::{RunError, SpendFlow, happened_within};
use crate::store::{Batch, StateTable};
use crate::vendors::SourceHabits;
use chrono::{Days, TimeDelta};
use serde::{Deserialize, Serialize};
use spend::{Date, Timestamp};

/// Least time from one wide look to the next.
const EVERY: TimeDelta = TimeDelta::hours(24);

/// What a flow remembers of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sweep {
    /// When everything that waits was last looked for.
    at: Timestamp,
    /// How far back the source wants it.
    days: u16,
}

impl SpendFlow {
    /// The first day to read from, and whether that is the wide look: once a day one much earlier than usual, never
    /// before the flow's start.
    pub(super) fn sweep_from(&self, usual: Date) -> Result<(Date, bool), RunError> {
        let now = self.clock.now();
        let Some(last) =
            self.last_sweep()?.filter(|last| last.days > 0 && !happened_within(last.at, EVERY, now))
        else {
            return Ok((usual, false));
        };
        let wide = now.date_naive().checked_sub_days(Days::new(last.days.into())).unwrap_or(usual);
        Ok((usual.min(wide.max(self.settings.start)), true))
    }

    /// Notes that everything that waits was read. The first run reads from the flow's start anyway.
    pub(super) async fn swept(&self, wide: bool, habits: SourceHabits) -> Result<(), RunError> {
        let days = habits.sweep_days;
        let now = self.clock.now();
        let next = match self.last_sweep()? {
            None if days == 0 => return Ok(()),
            None => Sweep { at: now, days },
            Some(last) if !wide && last.days == days => return Ok(()),
            Some(last) => Sweep { at: if wide { now } else { last.at }, days },
        };
        let mut batch = Batch::new();
        batch.put(StateTable::Flow, &self.sweep_name(), &next);
        self.commit(batch).await
    }

    fn last_sweep(&self) -> Result<Option<Sweep>, RunError> {
        Ok(self.store.get(StateTable::Flow, &self.sweep_name())?)
    }

    fn sweep_name(&self) -> String {
        format!("{}/sweep", self.settings.flow())
    }
}
