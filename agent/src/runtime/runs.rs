//! When and how flows run: by their schedule, because something is due, because of a webhook, because a person says so.
//! What calls for a run outlives it until a run has done what it called for.

use super::agent::Agent;
use super::commands::{Obeyed, Order};
use super::scheduler::{RunNow, SchedulerHandle, Trigger};
use super::webhooks::memory;
use super::words;
use crate::flows::preview::Agreed;
use crate::flows::reference_flow::{self, Agreement, MirrorEnded};
use crate::flows::{RunReport, unread};
use chrono::TimeDelta;
use spend::Timestamp;
use spend::ids::FlowId;
use spend::posting::is_due;
use std::rc::Rc;

/// A run that failed as a whole is tried again after this time, also without a schedule.
const AFTER_FAILURE: TimeDelta = TimeDelta::seconds(60);
/// Least time between two runs that only settle what is open.
const LEAST_PAUSE: TimeDelta = TimeDelta::seconds(1);

impl Agent {
    /// When something of a flow is due that its schedule does not say.
    pub fn next_due(&self, id: &FlowId) -> Option<Timestamp> {
        let store = self.store();
        // A webhook that no run has answered yet. Where a run has tried and could not read, its delay counts.
        let woken = || Ok(memory::woken(store, id)?.map(|at| at.min(self.now())));
        let due = if self.reference(id).is_some() {
            [woken(), reference_flow::next_due(store, id)]
        } else {
            let unread = unread::again_at(store, id);
            [unread.and_then(|at| at.map_or_else(woken, |at| Ok(Some(at)))), store.next_due(id)]
        };
        let now = self.now();
        let due = due.into_iter().filter_map(|at| at.ok().flatten());
        due.map(|at| if is_due(at, now) { at.min(now) } else { at }).min()
    }

    /// Runs a flow unless it is paused.
    ///
    /// # Errors
    /// Why it did not run, in words.
    pub async fn run_flow(&self, id: &FlowId, trigger: &str) -> Result<RunReport, String> {
        self.run_flow_only(id, trigger, None).await
    }

    /// [`Agent::run_flow`], which with `agreed` books nothing else.
    ///
    /// # Errors
    /// As [`Agent::run_flow`].
    pub async fn run_flow_only(
        &self,
        id: &FlowId,
        trigger: &str,
        agreed: Option<Agreed>,
    ) -> Result<RunReport, String> {
        if self.reference(id).is_some() {
            return match self.mirror(id, trigger, Agreement::default()).await? {
                MirrorEnded::Ran(report) => Ok(report),
                MirrorEnded::Changed(_) => {
                    Err(format!("flow `{id}`: nothing was agreed to, and yet it differs"))
                }
            };
        }
        self.may_run(id)?;
        let flow = self.flow(id).ok_or_else(|| format!("there is no flow `{id}` in the configuration"))?;
        let (began, whole) = (self.now(), agreed.is_none());
        let report = flow.run(trigger, agreed).await?;
        if whole {
            let again_at = unread::again_at(self.store(), id).map_err(|error| words(&error))?;
            self.answered(id, again_at, began).await;
        }
        Ok(report)
    }

    /// Runs a reference flow unless it is paused.
    pub(super) async fn mirror(
        &self,
        id: &FlowId,
        trigger: &str,
        agreed: Agreement,
    ) -> Result<MirrorEnded, String> {
        self.may_run(id)?;
        let flow =
            self.reference(id).ok_or_else(|| format!("there is no flow `{id}` in the configuration"))?;
        let began = self.now();
        let ended = flow.run(trigger, agreed).await?;
        if let MirrorEnded::Ran(report) = &ended
            && !self.is_stopping()
        {
            self.answered(id, report.next_due, began).await;
        }
        Ok(ended)
    }

    /// Takes back the wish of a webhook after a run that began at this moment, unless it could not read everything and
    /// looks again.
    async fn answered(&self, id: &FlowId, again_at: Option<Timestamp>, began: Timestamp) {
        if again_at.is_none()
            && let Err(error) = memory::ran(self.store(), id, began, self.now()).await
        {
            tracing::warn!(flow = %id, %error, "the flow will run once more because of a webhook");
        }
    }

    /// A paused flow does not run.
    fn may_run(&self, id: &FlowId) -> Result<(), String> {
        if let Some(why) = &self.parts().fenced {
            return Err(format!(
                "flow `{id}` does not run, because this agent is fenced ({why}); `purser status` says what to do"
            ));
        }
        match self.is_paused(id) {
            Ok(false) => Ok(()),
            Ok(true) => Err(format!("flow `{id}` is paused; continue it with `purser flows resume {id}`")),
            Err(error) => Err(format!("flow `{id}`: the posting log cannot be read: {error}")),
        }
    }

    /// Does what the command line ordered, and has flows woken for what that made due.
    pub async fn obey_and_wake(&self, scheduler: &SchedulerHandle, order: Order) -> Obeyed {
        let obeyed = self.obey(order).await;
        // What runs now has its next run planned when it ends.
        for flow in self.flow_ids().filter(|flow| !self.is_running(flow)) {
            // Only ever earlier: a run that failed may have asked to be tried again, and stands nowhere else.
            if let Some(at) = self.next_due(flow) {
                scheduler.wake_by(flow, at);
            }
        }
        obeyed
    }

    fn is_running(&self, id: &FlowId) -> bool {
        self.flow(id).is_some_and(|flow| flow.is_running())
            || self.reference(id).is_some_and(|flow| flow.is_running())
    }

    /// Whether a run of a flow waits for its turn that will do all there is to do.
    fn run_waits(&self, id: &FlowId) -> bool {
        let booking = self.flow(id).is_some_and(|flow| flow.run_waits());
        booking || self.reference(id).is_some_and(|flow| flow.run_waits())
    }
}

/// Runs a flow that the scheduler found due, then asks to be woken for what the run left open.
pub(super) async fn run_when_due(agent: Rc<Agent>, scheduler: SchedulerHandle, due: RunNow) {
    let trigger = match &due.trigger {
        Trigger::Schedule(key) => format!("schedule {key}"),
        Trigger::Retry => "retry".to_owned(),
        Trigger::Webhook => "webhook".to_owned(),
    };
    // Behind a run that takes long others would queue up, each of them with nothing left to do.
    if agent.run_waits(&due.flow) {
        tracing::info!(flow = %due.flow, trigger, "a run of the flow waits already, this one is left out");
        return;
    }
    scheduler.wake_at(&due.flow, None);
    if agent.parts().fenced.is_some() {
        tracing::warn!(flow = %due.flow, "the agent is fenced, the run is left out");
        return;
    }
    if agent.is_paused(&due.flow).unwrap_or(true) {
        tracing::info!(flow = %due.flow, "flow is paused, the run is left out");
        return;
    }
    let next = match agent.run_flow(&due.flow, &trigger).await {
        Ok(report) => report.next_due,
        Err(why) => {
            tracing::error!(flow = %due.flow, why, "run failed");
            Some(agent.now() + AFTER_FAILURE)
        }
    };
    scheduler.wake_at(&due.flow, next.map(|at| at.max(agent.now() + LEAST_PAUSE)));
}

#[cfg(test)]
mod tests;
