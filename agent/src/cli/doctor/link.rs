//! The link to a control plane: the way there, and whether this agent is known and believed.

use super::{Section, check};
use crate::cli::context::Context;
use crate::runtime::link::fenced;
use crate::runtime::link::status::{FENCE_FIX, LinkState, LinkStatus};
use crate::store::{Enrollment, Store};
use crate::vendors::http::LinkClient;
use crate::vendors::{ProbeResult, Verdict};

/// Examines the link of an enrolled agent.
pub(super) fn examine(context: &Context) -> Option<Section> {
    if !crate::store::dir_of(context.home()).is_dir() {
        return None;
    }
    let store = context.look().ok()?;
    let enrollment = store.enrollment().ok().flatten()?;
    let mut checks = way(context, &store, &enrollment);
    checks.push(standing(context));
    checks.extend(fence(&store));
    let name = format!("control plane {} (agent {})", enrollment.url, enrollment.agent);
    Some(Section { name, checks })
}

fn way(context: &Context, store: &Store, enrollment: &Enrollment) -> Vec<ProbeResult> {
    let proxy = enrollment.network.proxy_secret.as_ref().and_then(|name| store.secret(name).ok().flatten());
    match LinkClient::new(&enrollment.url, &enrollment.network, proxy) {
        Ok(client) => actix::System::new().block_on(client.examine(&context.clock)),
        Err(error) => {
            let fix = "mend what is named there, or enroll anew (`purser enroll --again`)";
            vec![check("link", Verdict::Fail, error.to_string(), fix)]
        }
    }
}

/// What the running agent's last sync said of its standing.
fn standing(context: &Context) -> ProbeResult {
    let Some(said) = context.running().and_then(|agent| agent.link) else {
        return check(
            "identity",
            Verdict::Skipped,
            "not checked: only a running agent syncs",
            "start it with `purser run`",
        );
    };
    let verdict = match said.state {
        LinkState::Connected => Verdict::Pass,
        // The way is judged above; the agent works without the control plane.
        LinkState::Connecting | LinkState::Unreachable => Verdict::Warn,
        LinkState::WaitsForApproval => Verdict::Warn,
        LinkState::ClockSkewed | LinkState::Refused | LinkState::Fenced | LinkState::Broken => Verdict::Fail,
    };
    check("identity", verdict, words(&said), said.fix.unwrap_or_default())
}

fn words(said: &LinkStatus) -> String {
    let why = said.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let outbox = said.outbox.map_or(0, |outbox| outbox.reports);
    format!("{}{why}; {outbox} report(s) wait", said.state.words())
}

fn fence(store: &Store) -> Option<ProbeResult> {
    match fenced(store) {
        Ok(why) => {
            why.map(|why| check("fence", Verdict::Fail, format!("flows do not run: {why}"), FENCE_FIX))
        }
        Err(error) => Some(check("fence", Verdict::Fail, error.to_string(), "do what is said there")),
    }
}
