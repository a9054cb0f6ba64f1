//! The link to a control plane, as `purser status` shows it.

use crate::cli::context::Context;
use crate::cli::output;
use crate::config::revisions::{Kept, in_force};
use crate::runtime::link::fenced;
use crate::runtime::link::status::{FENCE_FIX, LinkState, LinkStatus, SKEW_SHOWN};
use crate::runtime::status::AgentStatus;
use crate::store::{OutboxStats, Store};
use anyhow::Result;
use serde::Serialize;
use spend::Timestamp;

/// What an enrolled agent knows of its control plane.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct LinkOverview {
    url: String,
    agent: String,
    name: String,
    tenant: String,
    enrolled: Timestamp,
    fingerprint: String,
    recipient: String,
    /// The revision in force; `None` = the machine's own file.
    revision: Option<InForce>,
    outbox: Option<OutboxStats>,
    fenced: Option<String>,
    /// What the running agent says of it.
    said: Option<LinkStatus>,
}

#[derive(Debug, Serialize)]
struct InForce {
    number: u64,
    hash: String,
    by: String,
    note: String,
    since: Timestamp,
}

impl LinkOverview {
    /// What the store knows; `None` = the agent is not enrolled. `agent` is what a running one says.
    pub(in crate::cli) fn read(store: &Store, agent: Option<&AgentStatus>) -> Result<Option<Self>> {
        let (Some(enrollment), Some(keys)) = (store.enrollment()?, store.link_keys()?) else {
            return Ok(None);
        };
        let public = keys.current.public();
        Ok(Some(Self {
            url: enrollment.url,
            agent: enrollment.agent,
            name: enrollment.name,
            tenant: enrollment.tenant,
            enrolled: enrollment.at,
            fingerprint: public.fingerprint(),
            recipient: public.recipient.as_str().to_owned(),
            revision: in_force(store)?.map(InForce::of),
            outbox: store.outbox_stats()?,
            fenced: fenced(store)?,
            said: agent.and_then(|agent| agent.link.clone()),
        }))
    }

    /// Whether somebody should look. A control plane that does not answer is no reason: the agent works without it.
    pub(in crate::cli) fn wants_attention(&self) -> bool {
        let state = self.said.as_ref().map(|said| said.state);
        let bad = [
            LinkState::Broken,
            LinkState::ClockSkewed,
            LinkState::Fenced,
            LinkState::Refused,
            LinkState::WaitsForApproval,
        ];
        self.fenced.is_some() || state.is_some_and(|state| bad.contains(&state))
    }

    pub(in crate::cli) fn print(&self, context: &Context) {
        output::line(format!(
            "\ncontrol plane {}: this is {} ({}), tenant {}",
            self.url, self.name, self.agent, self.tenant
        ));
        output::line(format!("  fingerprint {}", self.fingerprint));
        output::line(format!("  recipient   {}", self.recipient));
        output::line(match &self.revision {
            Some(kept) => format!(
                "  configuration: revision {} by {}, in force since {}",
                kept.number,
                kept.by,
                output::moment(kept.since)
            ),
            None => format!("  configuration: {}; none came from there", context.config_file().display()),
        });
        match &self.said {
            Some(said) => print_said(said),
            None => output::line("  link: not running"),
        }
        if let Some(outbox) = &self.outbox {
            let left = if outbox.left_out > 0 {
                format!(", {} news left out", outbox.left_out)
            } else {
                String::new()
            };
            output::line(format!(
                "  outbox: {} report(s), {} KiB wait to be told{left}",
                outbox.reports,
                outbox.bytes >> 10
            ));
        }
        if let Some(why) = &self.fenced {
            output::line(format!("  FENCED: flows do not run: {why}\n    {FENCE_FIX}"));
        }
    }
}

impl InForce {
    fn of(kept: Kept) -> Self {
        Self { number: kept.number, hash: kept.hash, by: kept.by, note: kept.note, since: kept.since }
    }
}

fn print_said(said: &LinkStatus) {
    let last = said.last_sync.map_or("never".to_owned(), output::moment);
    output::line(format!(
        "  link: {} since {}, last sync {last}",
        said.state.words(),
        output::moment(said.since)
    ));
    if let Some(actor) = &said.actor {
        output::line(format!("    its part of the agent is {actor}"));
    }
    if let Some(why) = said.why.as_ref().filter(|_| said.fenced.is_none()) {
        output::line(format!("    {why}"));
        if let Some(fix) = &said.fix {
            output::line(format!("    {fix}"));
        }
    }
    if let Some(next) = said.next_try {
        output::line(format!("    next try {}", output::moment(next)));
    }
    if let Some(skew) = said.skew_seconds.filter(|skew| skew.abs() > SKEW_SHOWN) {
        output::line(format!("    this machine's clock is {skew} s ahead of the control plane's"));
    }
    if let Some(release) = &said.release {
        output::line(format!("    release {release} is known there"));
    }
}
