//! The whole agent: start order and wiring. [`Agent::start`] reads like a diagram.

use super::alarm::CredentialAlarm;
use super::audit_log::AuditLog;
use super::commands::{Obeyed, Order};
use super::connection::{ConnectionErp, ConnectionHandle, ConnectionReference, ConnectionSource};
use super::flow::{FlowHandle, ReferenceHandle};
use super::keep_alive;
use super::runs::run_when_due;
use super::scheduler::{Jitter, LastRun, RunNow, ScheduleMemory, Scheduler, SchedulerHandle};
use super::status::{AgentStatus, FlowStatus};
use super::supervisor::{ActorStatus, Lease, Policy, supervise};
use super::words;
use super::worker::Worker;
use crate::clock::Clock;
use crate::flows::replay::Decision;
use crate::flows::{FlowSettings, ReferenceFlow, ReferenceSettings, RunReport, SpendFlow};
use crate::store::{AuditDraft, AuditKind, Batch, StateTable, Store, StoreError, dir_of};
use crate::vendors::http::Paces;
use crate::vendors::registry::{self, Connection, Shared};
use crate::vendors::{StoreKeeper, StoreNotes};
use chrono::TimeDelta;
use purser_proto::validate::{ValidConfig, ValidConnection, ValidFlow, ValidReference};
use serde::{Deserialize, Serialize};
use spend::Timestamp;
use spend::ids::{CompanyId, ConnectionId, FlowId};
use spend::posting::PostingPolicy;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Longest time that work in flight gets to finish when the agent stops.
pub const STOP_WITHIN: Duration = Duration::from_secs(20);

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

impl Agent {
    /// Starts connections, then the flows between them. Must be called on an actix system.
    pub fn start(parts: Parts) -> Self {
        let (stop, stopping) = watch::channel(false);
        let shared = Shared {
            paces: Arc::new(Paces::new(parts.clock.clone()).remembering(dir_of(&parts.home).join("paces"))),
            log: Arc::new(AuditLog(parts.store.clone())),
            clock: parts.clock.clone(),
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

    /// What it was configured with.
    pub fn config(&self) -> &ValidConfig {
        &self.parts.config
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
        let pause: Option<Pause> = self.parts.store.get(StateTable::Flow, &format!("{flow}/pause"))?;
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
                None => no_flow(&flow),
            },
            Order::Choose { flow, key, vendor, decision } => match self.flow(&flow) {
                Some(handle) => handle.choose(key, vendor, decision).await,
                None => no_flow(&flow),
            },
            Order::Forget { flow, merchant, decision } => self.forget(&flow, &merchant, &decision).await,
            Order::Handle { flow, key, decision, report_failure } => match self.flow(&flow) {
                Some(handle) => handle.handle(key, decision, report_failure).await,
                None => no_flow(&flow),
            },
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
            actor: format!("person:{}", decision.by),
            detail: serde_json::json!({ "verb": if paused { "pause" } else { "resume" }, "note": decision.note }),
        });
        batch.put(StateTable::Flow, &format!("{flow}/pause"), &Pause { paused, decision, at });
        match self.parts.store.commit(batch).await {
            Ok(()) => Obeyed::Done,
            Err(error) => Obeyed::Refused { why: format!("the posting log refused: {error}") },
        }
    }

    fn revive(&self, name: &str) -> Obeyed {
        let connection = self.connections.get(&ConnectionId::new(name)).map(|c| c.actor().restart());
        let flow = self.flows.get(&FlowId::new(name)).map(|f| f.actor().restart());
        let reference = self.references.get(&FlowId::new(name)).map(|f| f.actor().restart());
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
        actix_rt::spawn(scheduler.run());
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

/// The supervised actor of one connection. Each life reads the secret again, so a rotated one is taken up by a
/// restart.
fn start_connection(config: ValidConnection, parts: &Parts, shared: Shared) -> ConnectionHandle {
    let id = config.id.clone();
    let store = parts.store.clone();
    let companies = companies_of(&parts.config, &id);
    let make = move |_: &mut actix::Context<_>, _: &Lease| {
        Worker::concurrent(open_connection(&config, &companies, &store, &shared))
    };
    let handle = supervise(id.as_str(), make, parts.policy.clone(), parts.clock.clone());
    let alarm = CredentialAlarm::new(id.clone(), parts.clock.clone(), longest_delay(&parts.config, &id));
    ConnectionHandle::new(id, handle, alarm)
}

/// The longest delay between two attempts that a flow over this connection allows.
fn longest_delay(config: &ValidConfig, connection: &ConnectionId) -> TimeDelta {
    let users = config.flows.iter().filter(|flow| [&flow.source, &flow.target].contains(&connection));
    let longest = users.map(|flow| flow.policy.backoff_max).max();
    longest.map_or(PostingPolicy::default().backoff_max, |seconds| TimeDelta::seconds(seconds.into()))
}

/// Companies that flows post to or read reference data from through a connection.
fn companies_of(config: &ValidConfig, connection: &ConnectionId) -> Vec<CompanyId> {
    let booked = config.flows.iter().filter(|flow| flow.target == *connection).map(|flow| &flow.company);
    let read = config.references.iter().filter(|flow| flow.from == *connection).map(|flow| &flow.company);
    let companies: BTreeSet<&CompanyId> = booked.chain(read).collect();
    companies.into_iter().cloned().collect()
}

/// Makes a connection from its configuration and the stored secrets; one that cannot be used says why when asked.
fn open_connection(
    config: &ValidConnection,
    companies: &[CompanyId],
    store: &Store,
    shared: &Shared,
) -> Connection {
    let read = || -> Result<_, StoreError> {
        let keeper = Arc::new(StoreKeeper::new(store, &shared.clock, &config.id, &config.secret)?);
        let credential = store.secret(&config.secret)?;
        let proxy =
            config.network.proxy_secret.as_ref().map(|name| store.secret(name)).transpose()?.flatten();
        Ok((keeper, credential, proxy))
    };
    let opened = match read() {
        Ok((keeper, credential, proxy)) => {
            let notes = Arc::new(StoreNotes::new(store, &config.id));
            registry::connect(config, credential, proxy, companies.to_vec(), keeper, notes, shared)
                .map_err(|error| words(&error))
        }
        Err(error) => Err(words(&error)),
    };
    opened.unwrap_or_else(|why| {
        tracing::error!(connection = %config.id, why, "connection cannot be used");
        Connection::unusable(config.id.clone(), why)
    })
}

fn start_flow(
    config: &ValidFlow,
    connections: &BTreeMap<ConnectionId, ConnectionHandle>,
    parts: &Parts,
    stopping: watch::Receiver<bool>,
) -> FlowHandle {
    let settings = FlowSettings::new(config, &parts.config.guard_rails);
    let source = connections.get(&config.source).cloned();
    let target = connections.get(&config.target).cloned();
    let unique = unique_rule(config, parts);
    let (store, clock, policy) = (parts.store.clone(), parts.clock.clone(), parts.policy.clone());
    FlowHandle::start(config.id.clone(), policy, parts.clock.clone(), move |progress, lease| {
        // Proven by validation: a flow refers to connections that exist.
        let source = source.clone().expect("the configuration names an existing source");
        let target = target.clone().expect("the configuration names an existing target");
        build_flow(
            &settings,
            &store,
            &clock,
            source,
            target,
            Arc::clone(&unique),
            stopping.clone(),
            progress,
            lease,
        )
    })
}

#[expect(clippy::too_many_arguments, reason = "wiring: each part is named once")]
fn build_flow(
    settings: &FlowSettings,
    store: &Store,
    clock: &Clock,
    source: ConnectionHandle,
    target: ConnectionHandle,
    unique: UniqueRule,
    stopping: watch::Receiver<bool>,
    progress: watch::Sender<RunReport>,
    lease: Lease,
) -> SpendFlow {
    SpendFlow::new(
        settings.clone(),
        store.clone(),
        Arc::new(ConnectionSource(source)),
        Arc::new(ConnectionErp::new(target, unique)),
        clock.clone(),
        fastrand::u64(..),
        stopping,
        progress,
    )
    .while_current(move || lease.is_current())
}

fn start_reference(
    config: &ValidReference,
    connections: &BTreeMap<ConnectionId, ConnectionHandle>,
    parts: &Parts,
    stopping: watch::Receiver<bool>,
) -> ReferenceHandle {
    let settings = ReferenceSettings::new(config);
    let from = connections.get(&config.from).cloned();
    let to = connections.get(&config.to).cloned();
    let (store, clock, policy) = (parts.store.clone(), parts.clock.clone(), parts.policy.clone());
    ReferenceHandle::start(config.id.clone(), policy, parts.clock.clone(), move |progress, lease| {
        // Proven by validation: a flow refers to connections that exist.
        let from = from.clone().expect("the configuration names an existing ERP");
        let to = to.clone().expect("the configuration names an existing spend system");
        ReferenceFlow::new(
            settings.clone(),
            store.clone(),
            Arc::new(ConnectionErp::new(from, Arc::new(|_| false))),
            Arc::new(ConnectionReference(to)),
            clock.clone(),
            stopping.clone(),
            progress,
            move || lease.is_current(),
        )
    })
}

type UniqueRule = Arc<dyn Fn(&spend::plan::PostingPlan) -> bool + Send + Sync>;

fn unique_rule(config: &ValidFlow, parts: &Parts) -> UniqueRule {
    let target = parts.config.connection(&config.target);
    let rule =
        target.and_then(|c| registry::vendor(&c.kind).map(|vendor| (vendor.unique, c.settings.clone())));
    Arc::new(move |plan| rule.as_ref().is_some_and(|(unique, settings)| unique(settings, plan)))
}
