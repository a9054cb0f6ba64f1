//! Many agents that enroll, keep a sync waiting each, tell how they are, and take a new configuration.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use purser_proto::link::configuration::{InForce, Revision, RevisionVerdict};
use purser_proto::link::report::{ConnectionReport, FlowReport, Report, ReportBody, StatusReport};
use purser_proto::link::sync::{DeliveryBody, SyncAnswer, SyncRequest};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::control::lean::Lean;

/// Agents that enroll at the same time.
const ENROLLING: usize = 16;

/// What all agents are to do, and what they have done.
#[derive(Default)]
pub(super) struct Orders {
    /// How long each sync may wait, in seconds.
    pub(super) wait: AtomicU16,
    /// Whether each sync carries a status.
    pub(super) status: AtomicBool,
    /// Syncs that were answered.
    pub(super) answered: AtomicU64,
    /// Syncs that were not, or with a refusal.
    pub(super) failed: AtomicU64,
    first_failure: Mutex<Option<String>>,
}

impl Orders {
    /// Why the first sync failed that did.
    pub(super) fn first_failure(&self) -> Option<String> {
        self.first_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn failed(&self, why: &anyhow::Error) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut first = self.first_failure.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| format!("{why:#}"));
    }
}

/// When an agent had a revision, and when the control plane had its word that it works with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changed {
    /// The revision came.
    pub(super) got: Instant,
    /// It was acknowledged.
    pub(super) acknowledged: Instant,
}

/// Enrolls all of them, each with a code of its own; how long that took.
pub(super) async fn enroll(agents: Vec<Lean>, codes: Vec<String>) -> Result<(Vec<Lean>, Duration)> {
    ensure!(agents.len() == codes.len(), "{} codes for {} agents", codes.len(), agents.len());
    let count = agents.len();
    let queue: Vec<(Lean, String)> = agents.into_iter().zip(codes).collect();
    let queue = Arc::new(Mutex::new(queue));
    let began = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..ENROLLING {
        let queue = queue.clone();
        workers.spawn(async move {
            let mut enrolled = Vec::new();
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let Some((mut agent, code)) = next else { return anyhow::Ok(enrolled) };
                agent.enroll(&code).await?;
                enrolled.push(agent);
            }
        });
    }
    let mut enrolled = Vec::with_capacity(count);
    while let Some(some) = workers.join_next().await {
        enrolled.extend(some??);
    }
    Ok((enrolled, began.elapsed()))
}

/// The agents at work. They end when this goes.
pub(super) struct Fleet {
    /// What they are to do.
    pub(super) orders: Arc<Orders>,
    /// Their ids.
    pub(super) ids: Vec<String>,
    /// Revisions that they have taken.
    pub(super) changes: mpsc::UnboundedReceiver<Changed>,
    _tasks: JoinSet<()>,
}

impl Fleet {
    /// Sets them to work.
    pub(super) fn start(agents: Vec<Lean>, wait: u16) -> Self {
        let orders = Arc::new(Orders { wait: wait.into(), ..Orders::default() });
        let (changed, changes) = mpsc::unbounded_channel();
        let ids = agents.iter().map(|agent| agent.agent.id.clone()).collect();
        let mut tasks = JoinSet::new();
        for agent in agents {
            let at_work = AtWork { agent, reported: 0, in_force: InForce::default() };
            tasks.spawn(at_work.live(orders.clone(), changed.clone()));
        }
        Self { orders, ids, changes, _tasks: tasks }
    }
}

/// One agent and what it remembers.
pub(super) struct AtWork {
    pub(super) agent: Lean,
    reported: u64,
    in_force: InForce,
}

impl AtWork {
    /// As it is after its enrollment.
    pub(super) fn new(agent: Lean) -> Self {
        Self { agent, reported: 0, in_force: InForce::default() }
    }

    async fn live(mut self, orders: Arc<Orders>, changed: mpsc::UnboundedSender<Changed>) {
        loop {
            let most = orders.wait.load(Ordering::Relaxed);
            // Agents that were woken together do not come back together.
            let wait = if orders.status.load(Ordering::Relaxed) { fastrand::u16(1..=2 * most) } else { most };
            let said = self.says(wait, orders.status.load(Ordering::Relaxed));
            match self.agent.sync(&said).await {
                Ok(answer) => {
                    orders.answered.fetch_add(1, Ordering::Relaxed);
                    match self.takes(answer).await {
                        // Nobody listens any more when the measurement has ended.
                        Ok(Some(change)) => drop(changed.send(change)),
                        Ok(None) => {}
                        Err(error) => orders.failed(&error),
                    }
                }
                Err(error) => {
                    orders.failed(&error);
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// What it says next.
    pub(super) fn says(&mut self, wait: u16, with_status: bool) -> SyncRequest {
        let mut said = self.agent.agent.waits(wait);
        said.in_force = self.in_force.clone();
        if with_status {
            said.reports = [self.report(ReportBody::Status(Box::new(status())))].into_iter().collect();
        }
        said
    }

    fn report(&mut self, body: ReportBody) -> Report {
        self.reported += 1;
        Report { id: self.reported, at: self.agent.agent.clock.now(), body }
    }

    /// Takes a revision as an agent does: it says that it has it and works with it.
    async fn takes(&mut self, answer: SyncAnswer) -> Result<Option<Changed>> {
        let Some(delivery) = answer.deliveries.as_slice().last() else { return Ok(None) };
        let DeliveryBody::Revision(Revision { number, hash, .. }) = &delivery.body else { return Ok(None) };
        let got = Instant::now();
        self.in_force = InForce { number: *number, hash: hash.clone() };
        let verdict = RevisionVerdict { number: *number, refused: [].into_iter().collect() };
        let mut said = self.says(0, false);
        said.taken = answer.deliveries.as_slice().iter().map(|delivery| delivery.id.clone()).collect();
        said.reports = [self.report(ReportBody::Revision(verdict))].into_iter().collect();
        self.agent.sync(&said).await?;
        Ok(Some(Changed { got, acknowledged: Instant::now() }))
    }
}

/// A status like that of an agent with one flow.
fn status() -> StatusReport {
    let connection = |days| ConnectionReport { state: "running".into(), why: None, credential_days: days };
    let postings = [("acknowledged", 1890), ("held", 12), ("in-doubt", 0)];
    let flow = FlowReport {
        state: "idle".into(),
        last: "12 new, 11 posted, 1 held".into(),
        postings: postings.map(|(state, count)| (state.to_owned(), count)).into(),
        ..FlowReport::default()
    };
    StatusReport {
        agent_version: "0.1.0".into(),
        started: None,
        connections: BTreeMap::from([
            ("brex".to_owned(), connection(Some(80))),
            ("epicor".to_owned(), connection(None)),
        ]),
        flows: BTreeMap::from([("cards".to_owned(), flow)]),
    }
}
