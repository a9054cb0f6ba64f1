//! What [`Agent::start`](super::agent::Agent::start) connects: a connection to its vendor, a flow to its connections.

use super::agent::Parts;
use super::alarm::CredentialAlarm;
use super::connection::{ConnectionErp, ConnectionHandle, ConnectionReference, ConnectionSource};
use super::flow::{FlowHandle, ReferenceHandle};
use super::supervisor::{Lease, supervise};
use super::words;
use super::worker::Worker;
use crate::clock::Clock;
use crate::config::routes;
use crate::flows::{FlowSettings, ReferenceFlow, ReferenceSettings, RunReport, SpendFlow};
use crate::store::{Store, StoreError};
use crate::vendors::registry::{self, Connection, Shared};
use crate::vendors::{StoreKeeper, StoreNotes};
use chrono::TimeDelta;
use purser_proto::validate::{ValidConfig, ValidConnection, ValidFlow, ValidReference};
use spend::ids::{CompanyId, ConnectionId};
use spend::mapping::DocumentKind;
use spend::posting::PostingPolicy;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::watch;

/// The supervised actor of one connection. Each life reads the secret again, so a rotated one is taken up by a
/// restart.
pub(super) fn start_connection(config: ValidConnection, parts: &Parts, shared: Shared) -> ConnectionHandle {
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

pub(super) fn start_flow(
    config: &ValidFlow,
    connections: &BTreeMap<ConnectionId, ConnectionHandle>,
    parts: &Parts,
    stopping: watch::Receiver<bool>,
) -> FlowHandle {
    let (route, mut others) = (routes::of(config, &parts.config), routes::all(&parts.config));
    others.remove(&config.id);
    let settings = FlowSettings::new(config, route, others, &parts.config.guard_rails, &parts.machine);
    let source = connections.get(&config.source).cloned();
    let target = connections.get(&config.target).cloned();
    let unique = unique_kinds(config, parts);
    let (store, clock, policy) = (parts.store.clone(), parts.clock.clone(), parts.policy.clone());
    FlowHandle::start(config.id.clone(), policy, parts.clock.clone(), move |progress, lease| {
        // Proven by validation: a flow refers to connections that exist.
        let source = source.clone().expect("the configuration names an existing source");
        let target = target.clone().expect("the configuration names an existing target");
        build_flow(&settings, &store, &clock, source, target, unique, stopping.clone(), progress, lease)
    })
}

#[expect(clippy::too_many_arguments, reason = "wiring: each part is named once")]
fn build_flow(
    settings: &FlowSettings,
    store: &Store,
    clock: &Clock,
    source: ConnectionHandle,
    target: ConnectionHandle,
    unique: &'static [DocumentKind],
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

pub(super) fn start_reference(
    config: &ValidReference,
    connections: &BTreeMap<ConnectionId, ConnectionHandle>,
    parts: &Parts,
    stopping: watch::Receiver<bool>,
) -> ReferenceHandle {
    let settings = ReferenceSettings::new(config, parts.config.connection(&config.to));
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
            Arc::new(ConnectionErp::new(from, &[])),
            Arc::new(ConnectionReference(to)),
            clock.clone(),
            stopping.clone(),
            progress,
            move || lease.is_current(),
        )
    })
}

/// Kinds of documents of which the flow's ERP refuses duplicates.
fn unique_kinds(config: &ValidFlow, parts: &Parts) -> &'static [DocumentKind] {
    let Some(target) = parts.config.connection(&config.target) else { return &[] };
    registry::vendor(&target.kind).map_or(&[], |vendor| (vendor.unique)(&target.settings))
}
