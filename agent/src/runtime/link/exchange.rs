//! The loop that syncs. Three things go on side by side in one life and end with it: the exchange with the control plane,
//! the look at how the agent is, and commands under way.

use super::identity;
use super::outbox::Built;
use super::pace::Pace;
use super::pending::Pending;
use super::status::{FENCE_FIX, LinkState, Shown};
use super::transport::{LinkError, Wire};
use super::{LinkParts, words};
use crate::config::ConfigError;
use crate::config::guard_rails::MachineRails;
use crate::store::{Batch, Enrollment, LinkKeyring, StoreError};
use crate::vendors::http::LinkClient;
use chrono::TimeDelta;
use futures_util::FutureExt as _;
use purser_proto::link::report::{Notice, NoticeLevel, ReportBody};
use purser_proto::link::sync::{Instance, SyncAnswer};
use purser_proto::link::{Problem, SYNC, understood};
use spend::now::Tick;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

/// What happens at the same time goes up together.
const GATHER: Duration = Duration::from_millis(200);
/// A request that took this long was kept back.
const KEPT_BACK: Duration = Duration::from_secs(1);
/// Between two requests that wait for an approval.
const BREATH: Duration = Duration::from_secs(2);
/// Between two requests of a fenced life.
const FENCED_PAUSE: Duration = Duration::from_secs(60);

/// One life of the link.
pub(super) struct Exchange {
    pub(super) parts: LinkParts,
    pub(super) enrollment: Enrollment,
    /// Of this enrollment; whatever is written for it says so.
    pub(super) mark: blake3::Hash,
    pub(super) instance: Instance,
    pub(super) wire: Wire,
    pub(super) shown: Shown,
    keys: RefCell<Rc<LinkKeyring>>,
    /// Deliveries that are taken and have still to be told.
    pub(super) to_tell: RefCell<BTreeSet<String>>,
    /// How many deliveries this life has decided about.
    pub(super) decided: Cell<u64>,
    /// There is something to report.
    pub(super) news: Notify,
    pub(super) commands: mpsc::UnboundedSender<Pending>,
    pub(super) ordered: RefCell<Option<mpsc::UnboundedReceiver<Pending>>>,
    /// Commands that wait to be carried out, or for their end.
    pub(super) waiting: Cell<u64>,
    /// Number of the command that was written down last.
    pub(super) last_command: Cell<Option<u64>>,
    fenced: Cell<bool>,
    introduced: Cell<bool>,
    keys_looked_at: RefCell<Option<Tick>>,
    /// Held while keys are replaced.
    rotating: tokio::sync::Mutex<()>,
    /// A person has still to approve the agent: until then nothing is answered.
    pub(super) unapproved: Cell<bool>,
}

/// What became of one request.
#[derive(Debug)]
pub(super) enum Round {
    /// Something was said or heard: go on.
    Busy,
    /// Nothing was said or heard.
    Quiet,
    /// This life must not work.
    Fenced,
    /// No good answer.
    Failed(LinkError),
    /// The store refused.
    Stuck(StoreError),
}

impl Exchange {
    pub(super) fn new(
        parts: LinkParts,
        (enrollment, mark): (Enrollment, blake3::Hash),
        instance: Instance,
        client: LinkClient,
        keys: LinkKeyring,
        shown: Shown,
    ) -> Self {
        let (commands, ordered) = mpsc::unbounded_channel();
        let fenced = identity::fenced(&parts.store).ok().flatten();
        Self {
            wire: Wire::new(client, parts.clock.clone()),
            parts,
            enrollment,
            mark,
            instance,
            shown,
            keys: RefCell::new(Rc::new(keys)),
            to_tell: RefCell::default(),
            decided: Cell::default(),
            news: Notify::new(),
            commands,
            ordered: RefCell::new(Some(ordered)),
            waiting: Cell::default(),
            last_command: Cell::default(),
            fenced: Cell::new(fenced.is_some()),
            introduced: Cell::new(false),
            keys_looked_at: RefCell::default(),
            rotating: tokio::sync::Mutex::default(),
            unapproved: Cell::new(false),
        }
    }

    /// A batch of this link, which is not written once the agent has left its control plane.
    pub(super) fn batch(&self) -> Batch {
        Batch::only_for(self.mark)
    }

    fn ours(&self) -> identity::Ours<'_> {
        identity::Ours { store: &self.parts.store, mark: self.mark }
    }

    pub(super) fn keys(&self) -> Rc<LinkKeyring> {
        Rc::clone(&self.keys.borrow())
    }

    pub(super) fn is_fenced(&self) -> bool {
        self.fenced.get()
    }

    /// The machine's guard rails as they are in this moment.
    pub(super) fn rails(&self) -> Result<MachineRails, ConfigError> {
        MachineRails::load(&self.parts.home, &self.parts.config_file)
    }

    /// Runs for as long as it is polled.
    pub(super) async fn run(self) {
        if let Err(error) = self.take_up_commands() {
            tracing::error!(error = words(&error), "commands of an earlier life cannot be read");
        }
        futures_util::join!(self.talk(), self.watch(), self.obey());
    }

    async fn talk(&self) {
        let mut pace = Pace::default();
        tokio::time::sleep(Pace::first(fastrand::f64())).await;
        let mut worked = Instant::now();
        loop {
            let began = Instant::now();
            let round = self.round().await;
            if matches!(round, Round::Busy | Round::Quiet) {
                self.renew_old_keys().await;
            }
            let since = worked.elapsed();
            if matches!(round, Round::Busy) {
                worked = Instant::now();
            }
            tokio::time::sleep(self.pause(&mut pace, round, began.elapsed(), since)).await;
        }
    }

    /// How long the next request waits. The round took so long, and the last one that worked is so long ago.
    pub(super) fn pause(&self, pace: &mut Pace, round: Round, took: Duration, since: Duration) -> Duration {
        match round {
            Round::Busy => pace.after_work(since),
            Round::Quiet => pace.after_nothing(),
            Round::Fenced => FENCED_PAUSE,
            Round::Failed(error) if error.is_approval() => {
                // The request was kept back, so that an approval is heard of at once; else somebody only says so.
                let wait = if took >= KEPT_BACK { BREATH } else { pace.after_nothing() };
                self.show_failure(&error, wait);
                wait
            }
            Round::Failed(error) => {
                let wait = pace.after_failure(fastrand::f64(), error.retry_after());
                self.show_failure(&error, wait);
                wait
            }
            Round::Stuck(StoreError::OtherEnrollment) => {
                tracing::info!("the agent has left this control plane; its link ends");
                pace.after_failure(fastrand::f64(), None)
            }
            Round::Stuck(error) => {
                tracing::error!(error = words(&error), "the link waits for the store");
                pace.after_failure(fastrand::f64(), None)
            }
        }
    }

    /// One request and all that its answer brings. A request that is kept back is given up when there is news.
    pub(super) async fn round(&self) -> Round {
        // What is told below is no news any more.
        let _told = self.news.notified().now_or_never();
        let built = match self.prepare().await {
            Ok(built) => built,
            Err(error) => return Round::Stuck(error),
        };
        let news = async {
            if !built.parks() {
                std::future::pending::<()>().await;
            }
            self.news.notified().await;
            tokio::time::sleep(GATHER).await;
        };
        let (asked, keys) = (self.parts.clock.tick(), self.keys());
        let answer = tokio::select! {
            answer = self.send(&built) => answer,
            () = news => return Round::Busy,
        };
        match answer {
            Ok(answer) => {
                let kept_back = self.parts.clock.tick().since(&asked) >= TimeDelta::seconds(1);
                self.heed(&built, answer, kept_back).await.unwrap_or_else(Round::Stuck)
            }
            // The keys were replaced while the request was under way.
            Err(error) if error.is_disbelief() && !Rc::ptr_eq(&keys, &self.keys()) => Round::Busy,
            Err(error) => {
                self.unapproved.set(error.is_approval());
                Round::Failed(error)
            }
        }
    }

    async fn prepare(&self) -> Result<Built, StoreError> {
        if !self.introduced.get() {
            identity::introduce(&self.ours(), &self.instance).await?;
            self.introduced.set(true);
        }
        self.build()
    }

    async fn send(&self, built: &Built) -> Result<SyncAnswer, LinkError> {
        let keys = self.keys();
        let wait = Duration::from_secs(built.request.wait_seconds.into());
        let agent = self.enrollment.agent.as_str();
        let sent = self.wire.exchange(SYNC, agent, &keys.current, &built.request, wait).await;
        let answer: SyncAnswer = match (sent, &keys.next) {
            // The answer to new keys may have been lost: then only those are believed.
            (Err(error), Some(next)) if error.is_disbelief() => {
                let again = self.wire.exchange(SYNC, agent, next, &built.request, wait).await;
                let answer = again.map_err(|_| error)?;
                self.promote().await;
                answer
            }
            (sent, _) => sent?,
        };
        if understood(answer.version) {
            return Ok(answer);
        }
        let problem = Box::new(Problem::version(answer.version));
        Err(LinkError::Refused { problem, retry_after: None })
    }

    async fn heed(&self, built: &Built, answer: SyncAnswer, kept_back: bool) -> Result<Round, StoreError> {
        let store = &self.parts.store;
        self.unapproved.set(false);
        let through = answer.reported.min(built.last);
        if through > 0 {
            let mut batch = self.batch();
            batch.reported(through);
            store.commit(batch).await?;
        }
        for id in &built.told {
            self.to_tell.borrow_mut().remove(id);
        }
        self.heed_fence(answer.fenced.as_ref().map(|why| why.as_str().to_owned())).await?;
        self.show_success();
        if self.is_fenced() {
            return Ok(Round::Fenced);
        }
        let brought = answer.deliveries.into_vec();
        // What was told and comes again is told again, in no hurry.
        let heard = through > 0 || (!built.told.is_empty() && brought.is_empty());
        let fresh = if store.outbox_stats()?.is_some_and(|outbox| outbox.is_full()) {
            // Whatever is taken makes a report, and there is no room for one.
            tracing::warn!("deliveries wait until the outbox has room");
            0
        } else {
            self.take(brought).await?
        };
        // An answer that was kept back and brought nothing is how an idle link breathes.
        Ok(if heard || fresh > 0 || (built.parks() && kept_back) { Round::Busy } else { Round::Quiet })
    }

    /// A life that is fenced stops to book within one sync, and after every restart until the fence is lifted.
    async fn heed_fence(&self, fenced: Option<String>) -> Result<(), StoreError> {
        if self.fenced.get() == fenced.is_some() {
            return Ok(());
        }
        let mut batch = self.batch();
        identity::put_fence(&mut batch, fenced.as_deref());
        let (level, what, fix) = match &fenced {
            Some(why) => (NoticeLevel::Security, format!("this life was fenced: {why}"), FENCE_FIX),
            None => (NoticeLevel::Info, "the fence was lifted; flows book again".to_owned(), ""),
        };
        tracing::error!(what, "fence");
        let notice =
            Notice { level, code: "fenced".into(), concerns: None, what: what.into(), fix: fix.into() };
        batch.report(self.parts.clock.now(), &ReportBody::Notice(notice));
        self.parts.store.commit(batch).await?;
        self.fenced.set(fenced.is_some());
        self.parts.desk.renew();
        Ok(())
    }

    fn show_success(&self) {
        let now = self.parts.clock.now();
        let fence = identity::fenced(&self.parts.store).ok().flatten();
        let state = if fence.is_some() { LinkState::Fenced } else { LinkState::Connected };
        self.shown.state(now, state, fence.clone(), fence.is_some().then(|| FENCE_FIX.to_owned()));
        self.shown.change(|status| {
            status.skew_seconds = self.wire.skew();
            status.fenced = fence;
        });
    }

    pub(super) fn show_failure(&self, error: &LinkError, wait: Duration) {
        let now = self.parts.clock.now();
        let state = match error {
            LinkError::Unreachable(_) | LinkError::Strange(_) => LinkState::Unreachable,
            LinkError::Skewed { .. } => LinkState::ClockSkewed,
            LinkError::Refused { .. } if error.is_approval() => LinkState::WaitsForApproval,
            LinkError::Refused { .. } => LinkState::Refused,
        };
        tracing::warn!(why = words(error), wait_seconds = wait.as_secs(), "no sync");
        self.shown.state(now, state, Some(error.to_string()), Some(error.fix()));
        self.shown.change(|status| {
            status.next_try = now.checked_add_signed(TimeDelta::from_std(wait).unwrap_or_default());
            status.skew_seconds = self.wire.skew();
        });
    }

    /// Makes new keys when those in use are old, or when new ones were not confirmed; looks once an hour.
    pub(super) async fn renew_old_keys(&self) {
        let now = self.parts.clock.reading();
        let looked = self.keys_looked_at.take();
        if looked.as_ref().is_some_and(|at| now.tick.since(at) < TimeDelta::hours(1)) {
            self.keys_looked_at.replace(looked);
            return;
        }
        self.keys_looked_at.replace(Some(now.tick));
        let old = identity::are_old(&self.parts.store, &self.enrollment, now.at);
        if !old.unwrap_or_default() && self.keys().next.is_none() {
            return;
        }
        match self.rotate().await {
            Ok(()) => tracing::info!("the link has new keys"),
            Err(error) => tracing::warn!(error = words(&error), "new keys are not in use yet"),
        }
    }

    /// Makes new keys.
    pub(super) async fn rotate(&self) -> Result<(), identity::RotateError> {
        let _turn = self.rotating.lock().await;
        let Some(keys) = self.parts.store.link_keys()? else { return Ok(()) };
        let agent = self.enrollment.agent.as_str();
        let (keys, rotated) = identity::rotate(&self.ours(), &self.wire, agent, keys).await;
        self.keys.replace(Rc::new(keys));
        rotated
    }

    async fn promote(&self) {
        if let Ok(Some(keys)) = self.parts.store.link_keys() {
            let (keys, stored) = identity::confirm(&self.ours(), keys).await;
            if let Err(error) = stored {
                tracing::error!(error = words(&error), "new keys are in use and could not be stored as such");
            }
            self.keys.replace(Rc::new(keys));
        }
    }
}
