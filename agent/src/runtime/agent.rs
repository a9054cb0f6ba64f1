//! The whole agent. [`Agent::start`] is the start order and reads like a diagram; what it connects is in `wiring`.

use super::audit_log::AuditLog;
use super::commands::{Obeyed, Order};
use super::connection::ConnectionHandle;
use super::flow::{FlowHandle, ReferenceHandle};
use super::keep_alive;
use super::obey::nobody_replays;
use super::runs::run_when_due;
use super::scheduler::{Jitter, LastRun, RunNow, ScheduleMemory, Scheduler, SchedulerHandle};
use super::status::{AgentStatus, FlowStatus};
use super::supervisor::{ActorStatus, Policy};
use super::wiring::{start_connection, start_flow, start_reference};
use crate::clock::Clock;
use crate::config::routes;
use crate::flows::RunReport;
use crate::flows::replay::Decision;
use crate::store::{AuditDraft, AuditKind, Batch, StateTable, Store, StoreError, dir_of};
use crate::vendors::http::Paces;
use crate::vendors::registry::Shared;
use crate::vendors::sites::Sites;
use purser_proto::validate::ValidConfig;
use serde::{Deserialize, Serialize};
use spend::Timestamp;
use spend::guard::GuardLimits;
use spend::ids::{ConnectionId, FlowId};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Longest time that work in flight gets to finish when the agent stops.
pub const STOP_WITHIN: Duration = Duration::from_secs(20);

/// Why an actor begins anew when a person says so.
const ASKED: &str = "a person asked for it";

/// What an agent is made from.
#[derive(Clone)]
pub struct Parts {
    /// Valid configuration.
    pub config: ValidConfig,
    /// The posting log.
    pub store: Store,
    /// Home folder; holds the identity to which secrets on their way are sealed.
    pub home: PathBuf,
    /// Time.
    pub clock: Clock,
    /// Supervision policy.
    pub policy: Policy,
    /// Accept orders that only tests give.
    pub test_hooks: bool,
    /// Limits of this machine that count beside those of the configuration.
    pub machine: Vec<GuardLimits>,
    /// Why flows must not run: another machine with the same identity is older.
    pub fenced: Option<String>,
}

/// A running agent.
pub struct Agent {
    parts: Parts,
    started: Timestamp,
    connections: BTreeMap<ConnectionId, ConnectionHandle>,
    flows: BTreeMap<FlowId, FlowHandle>,
    references: BTreeMap<FlowId, ReferenceHandle>,
    stop: watch::Sender<bool>,
    /// Held while webhooks are judged.
    receiving: tokio::sync::Mutex<()>,
}

/// A person's pause of a flow, kept in the store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pause {
    /// Stopped, else running.
    pub paused: bool,
    /// Who, and why.
    pub decision: Decision,
    /// When.
    pub at: Timestamp,
}

impl Pause {
    /// Where that of a flow is kept, among the switches of flows.
    pub(super) fn place(flow: &FlowId) -> String {
        format!("{flow}/pause")
    }
}

/// What a flow has under way that was renamed or taken out is looked after by nobody; the log says so at each start.
fn warn_of_unattended(parts: &Parts) {
    match parts.store.under_way() {
        Ok(under_way) => {
            for (flow, count) in routes::unattended(&parts.config, under_way) {
                tracing::warn!(%flow, count, "postings under way of a flow that the configuration does not name; {}", routes::ATTEND);
            }
        }
        Err(error) => {
            tracing::error!(%error, "cannot look for postings of flows that the configuration does not name")
        }
    }
}

impl Agent {
    /// Starts connections, then the flows between them. Must be called on an actix system.
    pub fn start(parts: Parts) -> Self {
        let (stop, stopping) = watch::channel(false);
        warn_of_unattended(&parts);
        let shared = Shared {
            paces: Arc::new(Paces::new(parts.clock.clone()).remembering(dir_of(&parts.home).join("paces"))),
            log: Arc::new(AuditLog { store: parts.store.clone(), home: parts.home.clone() }),
            clock: parts.clock.clone(),
            sites: Sites::default(),
        };
        let connections: BTreeMap<ConnectionId, ConnectionHandle> = parts
            .config
            .connections
            .iter()
            .map(|config| (config.id.clone(), start_connection(config.clone(), &parts, shared.clone())))
            .collect();
        let flows = parts
            .config
            .flows
            .iter()
            .map(|config| (config.id.clone(), start_flow(config, &connections, &parts, stopping.clone())))
            .collect();
        let references = parts
            .config
            .references
            .iter()
            .map(|config| {
                (config.id.clone(), start_reference(config, &connections, &parts, stopping.clone()))
            })
            .collect();
        let started = parts.clock.now();
        Self {
            parts,
            started,
            connections,
            flows,
            references,
            stop,
            receiving: tokio::sync::Mutex::default(),
        }
    }

    /// One flow that books.
    pub fn flow(&self, id: &FlowId) -> Option<&FlowHandle> {
        self.flows.get(id)
    }

    /// One reference flow.
    pub fn reference(&self, id: &FlowId) -> Option<&ReferenceHandle> {
        self.references.get(id)
    }

    /// The names of all flows, of both kinds.
    pub fn flow_ids(&self) -> impl Iterator<Item = &FlowId> {
        self.references.keys().chain(self.flows.keys())
    }

    /// Counters of a flow's run under way as they change.
    pub fn progress(&self, id: &FlowId) -> Option<watch::Receiver<RunReport>> {
        let booking = self.flows.get(id).map(FlowHandle::progress);
        booking.or_else(|| self.references.get(id).map(ReferenceHandle::progress))
    }

    /// One connection.
    pub fn connection(&self, id: &ConnectionId) -> Option<&ConnectionHandle> {
        self.connections.get(id)
    }

    /// The turn of judging webhooks.
    pub(super) fn receiving(&self) -> &tokio::sync::Mutex<()> {
        &self.receiving
    }

    /// Whether it is ending.
    pub(super) fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Resolves when it is ending.
    pub(super) async fn stopping(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.stop.subscribe().wait_for(|stopping| *stopping).await;
    }

    /// What it was configured with.
    pub fn config(&self) -> &ValidConfig {
        &self.parts.config
    }

    /// What it was made from.
    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Its clock.
    pub fn clock(&self) -> &Clock {
        &self.parts.clock
    }

    /// Its home folder.
    pub fn home(&self) -> &Path {
        &self.parts.home
    }

    /// The posting log.
    pub fn store(&self) -> &Store {
        &self.parts.store
    }

    /// Whether a person paused a flow.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn is_paused(&self, flow: &FlowId) -> Result<bool, StoreError> {
        let pause: Option<Pause> = self.parts.store.get(StateTable::Flow, &Pause::place(flow))?;
        Ok(pause.is_some_and(|pause| pause.paused))
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// Does what the command line ordered.
    pub async fn obey(&self, order: Order) -> Obeyed {
        match order {
            Order::Run { flow, expect, consent } => self.run_as_agreed(&flow, expect, consent).await,
            Order::Preview { flow } => self.preview(&flow).await,
            Order::Proof { flow, from, to } => self.proof(&flow, from, to).await,
            Order::Probe { connection } => self.probe(&connection).await,
            Order::PutSecret { name, sealed, decision } => self.put_secret(&name, &sealed, &decision).await,
            Order::RemoveSecret { name, decision } => self.remove_secret(&name, &decision).await,
            Order::Receive { connection, sealed, decision } => {
                self.receive(&connection, &sealed, &decision).await
            }
            Order::Pause { flow, paused, decision } => self.pause(&flow, paused, decision).await,
            Order::Replay { flow, key, decision } => match self.flow(&flow) {
                Some(handle) => handle.replay(key, decision).await,
                None => nobody_replays(&flow),
            },
            Order::Choose { flow, key, vendor, decision } => match self.flow(&flow) {
                Some(handle) => handle.choose(key, vendor, decision).await,
                None => no_flow(&flow),
            },
            Order::Forget { flow, merchant, decision } => self.forget(&flow, &merchant, &decision).await,
            Order::Handle { flow, key, decision, report_failure } => match self.flow(&flow) {
                Some(handle) => handle.handle(key, decision, report_failure).await,
                None => self.close_unattended(&flow, &key, &decision, report_failure).await,
            },
            Order::Join { sealed, decision } => self.join(&sealed, &decision).await,
            Order::Leave { decision } => self.leave(&decision).await,
            Order::Revive { name } => self.revive(&name),
            Order::Panic { connection } => self.panic(&connection),
        }
    }

    async fn pause(&self, flow: &FlowId, paused: bool, decision: Decision) -> Obeyed {
        if !self.flows.contains_key(flow) && !self.references.contains_key(flow) {
            return no_flow(flow);
        }
        let at = self.parts.clock.now();
        let mut batch = Batch::new();
        batch.audit(AuditDraft {
            at,
            kind: AuditKind::Decision,
            connection: None,
            flow: Some(flow.clone()),
            run: None,
            posting: None,
            actor: decision.actor(),
            detail: serde_json::json!({ "verb": if paused { "pause" } else { "resume" }, "note": decision.note }),
        });
        batch.put(StateTable::Flow, &Pause::place(flow), &Pause { paused, decision, at });
        match self.parts.store.commit(batch).await {
            Ok(()) => Obeyed::Done,
            Err(error) => Obeyed::Refused { why: format!("the posting log refused: {error}") },
        }
    }

    fn revive(&self, name: &str) -> Obeyed {
        let connection = self.connections.get(&ConnectionId::new(name)).map(|c| c.actor().restart(ASKED));
        let flow = self.flows.get(&FlowId::new(name)).map(|f| f.actor().restart(ASKED));
        let reference = self.references.get(&FlowId::new(name)).map(|f| f.actor().restart(ASKED));
        match connection.or(flow).or(reference) {
            Some(()) => Obeyed::Done,
            None => Obeyed::Refused { why: format!("there is neither a connection nor a flow `{name}`") },
        }
    }

    fn panic(&self, connection: &ConnectionId) -> Obeyed {
        if !self.parts.test_hooks {
            return Obeyed::Refused { why: "the agent was started without test hooks".to_owned() };
        }
        match self.connections.get(connection) {
            Some(handle) => {
                handle.panic_for_test();
                Obeyed::Done
            }
            None => Obeyed::Refused { why: format!("there is no connection `{connection}`") },
        }
    }

    /// Starts the scheduler: flows run at their times and whenever one of their postings is due.
    pub fn schedule(self: &Rc<Self>, jitter: Jitter) -> SchedulerHandle {
        let memory = Arc::new(StoredMemory(self.parts.store.clone()));
        let agent = Rc::downgrade(self);
        let handle: Rc<OnceCell<SchedulerHandle>> = Rc::default();
        let shared = Rc::clone(&handle);
        let fire = move |due: RunNow| {
            if let (Some(agent), Some(handle)) = (agent.upgrade(), shared.get()) {
                actix_rt::spawn(run_when_due(agent, handle.clone(), due));
            }
        };
        let (scheduler, control) = Scheduler::new(self.parts.clock.clone(), jitter, memory, fire);
        let booking = self.parts.config.flows.iter().map(|flow| (flow.id.clone(), flow.schedule.clone()));
        let references = self.parts.config.references.iter();
        control.set_flows(booking.chain(references.map(|flow| (flow.id.clone(), flow.schedule.clone()))));
        for flow in self.flow_ids() {
            // What a dead process left open is due at once.
            control.wake_at(flow, self.next_due(flow));
        }
        let _ = handle.set(control.clone());
        // It ends with its agent, so that an agent that has taken its place is not woken twice.
        let mut stopping = self.stop.subscribe();
        actix_rt::spawn(async move {
            tokio::select! {
                () = scheduler.run() => {}
                _ = stopping.wait_for(|stopping| *stopping) => {}
            }
        });
        keep_alive::begin(self);
        control
    }

    /// What the agent says of itself. `next_run` tells when a flow's schedule fires next.
    pub fn status(&self, next_run: &BTreeMap<FlowId, Timestamp>) -> AgentStatus {
        AgentStatus {
            at: self.parts.clock.now(),
            started: self.started,
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            connections: self.connections.iter().map(|(id, c)| (id.clone(), c.actor().status())).collect(),
            alarms: self.connections.iter().filter_map(|(id, c)| Some((id.clone(), c.alarm()?))).collect(),
            flows: self
                .flows
                .iter()
                .map(|(id, flow)| (id, flow.actor().status(), flow.is_running(), flow.last_report()))
                .chain(
                    self.references
                        .iter()
                        .map(|(id, flow)| (id, flow.actor().status(), flow.is_running(), flow.last_report())),
                )
                .map(|(id, actor, running, last)| {
                    (id.clone(), self.flow_status(id, actor, running, last, next_run))
                })
                .collect(),
            link: None,
        }
    }

    fn flow_status(
        &self,
        id: &FlowId,
        actor: ActorStatus,
        running: bool,
        last: Option<RunReport>,
        next_run: &BTreeMap<FlowId, Timestamp>,
    ) -> FlowStatus {
        let paused = self.is_paused(id).unwrap_or(false);
        FlowStatus { actor, running, paused, next_run: next_run.get(id).copied(), last }
    }

    /// Ends gracefully: nothing new is begun, what is in flight gets [`STOP_WITHIN`], claims that were not sent are
    /// released, and the rest is settled by look-up at the next start.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let quiet = async {
            while self.flows.values().any(FlowHandle::is_running)
                || self.references.values().any(ReferenceHandle::is_running)
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(STOP_WITHIN, quiet).await.is_err() {
            tracing::warn!("work in flight did not end in time; it is settled by look-up at the next start");
        }
        for flow in self.flows.values() {
            flow.actor().stop();
        }
        for flow in self.references.values() {
            flow.actor().stop();
        }
        for connection in self.connections.values() {
            connection.actor().stop();
        }
    }
}

/// The last run of each schedule, in the store.
struct StoredMemory(Store);

#[async_trait::async_trait]
impl ScheduleMemory for StoredMemory {
    async fn last(&self, flow: &FlowId) -> anyhow::Result<Option<LastRun>> {
        Ok(self.0.get(StateTable::Schedule, flow.as_str())?)
    }

    async fn record(&self, flow: &FlowId, run: &LastRun) -> anyhow::Result<()> {
        let mut batch = Batch::new();
        batch.put(StateTable::Schedule, flow.as_str(), run);
        Ok(self.0.commit(batch).await?)
    }
}

pub(super) fn no_flow(flow: &FlowId) -> Obeyed {
    Obeyed::Refused { why: format!("there is no flow `{flow}` in the configuration") }
}
