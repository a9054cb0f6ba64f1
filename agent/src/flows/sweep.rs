//! The wide look for records that wait, once a day, at sources that ask for it: a record can wait in somebody's review
//! for longer than any overlap reaches.

use super::spend_flow::{RunError, SpendFlow};
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
    /// The first day to read from: the usual one, or once a day one much earlier. Never before the flow's start.
    pub(super) fn sweep_from(&self, usual: Date) -> Result<Date, RunError> {
        let now = self.clock.now();
        let Some(last) = self.last_sweep()?.filter(|last| last.days > 0 && now - last.at >= EVERY) else {
            return Ok(usual);
        };
        let wide = now.date_naive().checked_sub_days(Days::new(last.days.into())).unwrap_or(usual);
        Ok(usual.min(wide.max(self.settings.start)))
    }

    /// Notes that everything from `from` on was looked for. The first run reads from the flow's start anyway.
    pub(super) async fn swept(&self, from: Date, usual: Date, habits: SourceHabits) -> Result<(), RunError> {
        let last = self.last_sweep()?;
        let wide = from < usual || last.is_none();
        let known = last.is_some_and(|last| last.days == habits.sweep_days);
        if known && !wide || habits.sweep_days == 0 && last.is_none() {
            return Ok(());
        }
        let at = last.filter(|_| !wide).map_or_else(|| self.clock.now(), |last| last.at);
        let mut batch = Batch::new();
        batch.put(StateTable::Flow, &self.sweep_name(), &Sweep { at, days: habits.sweep_days });
        self.commit(batch).await
    }

    fn last_sweep(&self) -> Result<Option<Sweep>, RunError> {
        Ok(self.store.get(StateTable::Flow, &self.sweep_name())?)
    }

    fn sweep_name(&self) -> String {
        format!("{}/sweep", self.settings.flow())
    }
}
