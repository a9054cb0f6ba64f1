//! What is shown of the link: in the status file, by `status` and `doctor`.

use crate::runtime::supervisor::{ActorStatus, RunState};
use crate::store::{Enrollment, OutboxStats};
use serde::{Deserialize, Serialize};
use spend::Timestamp;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How the link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkState {
    /// Nothing is known yet.
    Connecting,
    /// The last sync was good.
    Connected,
    /// A person has still to approve the fingerprint.
    WaitsForApproval,
    /// No answer.
    Unreachable,
    /// This machine's clock and the control plane's are too far apart.
    ClockSkewed,
    /// The control plane refuses this agent.
    Refused,
    /// Another machine with the same identity is older: this one must not work.
    Fenced,
    /// The link itself cannot be used.
    Broken,
}

impl LinkState {
    /// The words on screen.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::WaitsForApproval => "waits for approval of its fingerprint",
            Self::Unreachable => "no answer",
            Self::ClockSkewed => "refused because of the clock",
            Self::Refused => "refused",
            Self::Fenced => "FENCED",
            Self::Broken => "cannot be used",
        }
    }
}

/// The link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Origin of the control plane.
    pub url: String,
    /// The agent's id there.
    pub agent: String,
    /// Its name there.
    pub name: String,
    /// The tenant's name.
    pub tenant: String,
    /// How it stands.
    pub state: LinkState,
    /// Since when.
    pub since: Timestamp,
    /// The last good sync.
    pub last_sync: Option<Timestamp>,
    /// Why it does not work.
    pub why: Option<String>,
    /// What to do.
    pub fix: Option<String>,
    /// When it is tried again.
    pub next_try: Option<Timestamp>,
    /// This machine's clock minus the control plane's.
    pub skew_seconds: Option<i64>,
    /// What waits to be told.
    pub outbox: Option<OutboxStats>,
    /// Why flows do not book, while this life is fenced.
    pub fenced: Option<String>,
    /// The last release that the control plane told of.
    #[serde(default)]
    pub release: Option<String>,
    /// Its actor, when that does not run.
    #[serde(default)]
    pub actor: Option<String>,
}

/// Differences of the clocks beyond this are shown.
pub const SKEW_SHOWN: i64 = 60;

impl LinkStatus {
    /// A link that was just begun.
    pub fn new(enrollment: &Enrollment, now: Timestamp) -> Self {
        Self {
            url: enrollment.url.clone(),
            agent: enrollment.agent.clone(),
            name: enrollment.name.clone(),
            tenant: enrollment.tenant.clone(),
            state: LinkState::Connecting,
            since: now,
            last_sync: None,
            why: None,
            fix: None,
            next_try: None,
            skew_seconds: None,
            outbox: None,
            fenced: None,
            release: None,
            actor: None,
        }
    }
}

/// What to do about a fence.
pub const FENCE_FIX: &str = "if this machine is the copy, stop it, or enroll it as an agent of its own (`purser enroll \
                             --again`); if the other one is, stop that and lift the fence at the control plane";

/// The status, shared between the link's thread and whoever shows it.
#[derive(Clone, Debug)]
pub struct Shown(Arc<Mutex<LinkStatus>>);

impl Shown {
    pub(super) fn new(status: LinkStatus) -> Self {
        Self(Arc::new(Mutex::new(status)))
    }

    fn lock(&self) -> MutexGuard<'_, LinkStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn with_actor(&self, actor: ActorStatus) -> LinkStatus {
        let mut status = self.lock().clone();
        status.actor = (actor.state != RunState::Running).then(|| actor.describe());
        status
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut LinkStatus)) {
        change(&mut self.lock());
    }

    /// Goes over to a state; its beginning stays when it lasts.
    pub(super) fn state(&self, now: Timestamp, state: LinkState, why: Option<String>, fix: Option<String>) {
        self.change(|status| {
            if status.state != state {
                (status.state, status.since) = (state, now);
            }
            (status.why, status.fix) = (why, fix);
            if state == LinkState::Connected || state == LinkState::Fenced {
                (status.last_sync, status.next_try) = (Some(now), None);
            }
        });
    }

    pub(super) fn broken(&self, now: Timestamp, why: &str) {
        let fix = "mend that; the agent tries again by itself";
        self.state(now, LinkState::Broken, Some(why.to_owned()), Some(fix.to_owned()));
    }
}
