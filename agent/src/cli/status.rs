//! `purser status`: what the agent is doing, and what the posting log holds.

mod link;

use super::context::Context;
use super::{Exit, Format, Global, output};
use crate::config::{ConfigError, routes};
use crate::flows::reference_flow;
use crate::runtime::agent::Pause;
use crate::runtime::status::{self, AgentStatus};
use crate::runtime::supervisor::{ActorStatus, RunState};
use crate::store::{AuditHead, RunRecord, StateTable, Store, StoreError, StoreStats};
use crate::vendors::idle::Idle;
use crate::vendors::{StoreNotes, Verdict, last_use, registry};
use anyhow::Result;
use link::LinkOverview;
use purser_proto::finding::ConfigFinding;
use purser_proto::validate::ValidConfig;
use serde::Serialize;
use spend::Timestamp;
use spend::ids::{ConnectionId, FlowId};
use std::collections::{BTreeMap, BTreeSet};

/// Examples and exit codes.
pub const AFTER_HELP: &str = "\
Examples:
  purser status
  purser status --output json | jq .flows

Exit code 4: the configuration cannot be used, a part has failed, the agent is stuck, a credential
is refused or about to die unused, the control plane refuses or has fenced this agent, postings wait
for a person, or postings are under way of a flow that the configuration does not name.";

/// How the process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Process {
    Running,
    /// Its process lives and says nothing.
    Silent,
    Stopped,
}

/// All that is shown.
#[derive(Debug, Serialize)]
pub(super) struct Overview {
    process: Process,
    home: String,
    version: &'static str,
    /// What it says of itself; of a stopped one, what it said last.
    agent: Option<AgentStatus>,
    /// Why the configuration cannot be used: what it says of flows and credentials is missing below.
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration: Option<Refused>,
    flows: BTreeMap<FlowId, FlowOverview>,
    /// Credentials that die unused, by connection.
    credentials: BTreeMap<ConnectionId, Idle>,
    /// Figures of the store; `None` before the first start.
    store: Option<StoreStats>,
    audit: Option<AuditHead>,
    /// Its control plane, of an enrolled agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<LinkOverview>,
}

/// A configuration that cannot be used.
#[derive(Debug, Serialize)]
struct Refused {
    error: String,
    causes: Vec<String>,
    findings: Vec<ConfigFinding>,
}

impl Refused {
    fn of(error: &anyhow::Error) -> Self {
        let findings = match error.downcast_ref::<ConfigError>() {
            Some(ConfigError::Refused { findings, .. }) => findings.clone(),
            Some(ConfigError::Unreadable { .. }) | None => Vec::new(),
        };
        let causes = error.chain().skip(1).map(ToString::to_string).collect();
        Self { error: error.to_string(), causes, findings }
    }
}

#[derive(Debug, Default, Serialize)]
struct FlowOverview {
    counts: BTreeMap<&'static str, u64>,
    paused: bool,
    last_run: Option<RunRecord>,
    next_run: Option<Timestamp>,
    /// Of a reference flow: when both sides were equal last.
    #[serde(skip_serializing_if = "Option::is_none")]
    fresh_at: Option<Timestamp>,
    /// When an open posting is looked at again, or a reference flow tries again.
    next_due: Option<Timestamp>,
    /// Postings under way that nobody looks after, because the configuration has no flow of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    unattended: Option<u64>,
}

/// Prints the state of the agent.
///
/// # Errors
/// A store that cannot be read.
pub fn run(global: &Global) -> Result<Exit> {
    let context = Context::new(global)?;
    let overview = overview(&context)?;
    match global.output {
        Format::Json => output::json(&overview)?,
        Format::Text => print(&context, &overview),
    }
    Ok(verdict(&overview))
}

pub(super) fn overview(context: &Context) -> Result<Overview> {
    let agent = status::read(context.home());
    let process = match &agent {
        Some(agent) if status::is_current(agent, context.clock.now()) => Process::Running,
        Some(agent) if crate::service::process::alive(agent.pid) == Some(true) => Process::Silent,
        Some(_) | None => Process::Stopped,
    };
    let (config, refused) = match context.config() {
        Ok(config) => (Some(config), None),
        // Where nothing was ever begun, nothing is wrong.
        Err(_) if context.is_untouched() => (None, None),
        Err(error) => (None, Some(Refused::of(&error))),
    };
    let config = config.as_ref();
    let mut whole = Overview {
        process,
        home: context.home().display().to_string(),
        version: env!("CARGO_PKG_VERSION"),
        agent,
        configuration: refused,
        flows: BTreeMap::new(),
        credentials: BTreeMap::new(),
        store: None,
        audit: None,
        link: None,
    };
    if crate::store::dir_of(context.home()).is_dir() {
        let store = context.look()?;
        whole.flows = flows(context, config, &store, whole.agent.as_ref())?;
        whole.credentials = credentials(context, config, &store);
        whole.store = Some(store.stats());
        whole.audit = Some(store.audit().head()?);
        let said = whole.agent.as_ref().filter(|_| whole.process == Process::Running);
        whole.link = LinkOverview::read(&store, said)?;
    }
    Ok(whole)
}

/// How credentials stand that die when they are not used.
fn credentials(
    context: &Context,
    config: Option<&ValidConfig>,
    store: &Store,
) -> BTreeMap<ConnectionId, Idle> {
    let today = context.clock.now().date_naive();
    let connections = config.into_iter().flat_map(|config| &config.connections);
    let watched = connections.filter_map(|connection| {
        let life = registry::vendor(&connection.kind)?.idle_life?;
        let last = last_use(&StoreNotes::new(store, &connection.id));
        Some((connection.id.clone(), life.judge(last, today)))
    });
    watched.collect()
}

/// Flows of the configuration, and flows that only the posting log still knows.
fn flows(
    context: &Context,
    config: Option<&ValidConfig>,
    store: &Store,
    agent: Option<&AgentStatus>,
) -> Result<BTreeMap<FlowId, FlowOverview>, StoreError> {
    let counts = store.counts()?;
    let left: BTreeMap<FlowId, u64> = match config {
        Some(config) => routes::unattended(config, store.under_way()?).collect(),
        None => BTreeMap::new(),
    };
    let mut ids: BTreeSet<FlowId> = counts.keys().map(|(flow, _)| flow.clone()).collect();
    ids.extend(config.into_iter().flat_map(|config| config.flow_ids().cloned()));
    let mut flows = BTreeMap::new();
    for id in ids {
        let pause: Option<Pause> = store.get(StateTable::Flow, &format!("{id}/pause"))?;
        let schedule = config.and_then(|config| match config.reference(&id) {
            Some(reference) => reference.schedule.clone(),
            None => config.flow(&id)?.schedule.clone(),
        });
        let mirrors = config.is_some_and(|config| config.reference(&id).is_some());
        let said = agent.and_then(|agent| agent.flows.get(&id)?.next_run);
        let one = FlowOverview {
            counts: counts.iter().filter(|((flow, _), _)| *flow == id).map(|((_, s), n)| (*s, *n)).collect(),
            paused: pause.is_some_and(|pause| pause.paused),
            last_run: store.runs(Some(&id), 1)?.into_iter().next(),
            next_run: said.or_else(|| schedule.and_then(|s| s.next_after(context.clock.now()))),
            next_due: if mirrors { reference_flow::next_due(store, &id)? } else { store.next_due(&id)? },
            fresh_at: if mirrors { reference_flow::fresh_at(store, &id)? } else { None },
            unattended: left.get(&id).copied(),
        };
        flows.insert(id, one);
    }
    Ok(flows)
}

/// Whether somebody should look: a configuration that cannot be used, an actor that was given up, a credential that is
/// refused or about to die, or postings that wait for a person.
fn verdict(overview: &Overview) -> Exit {
    let actors = overview.agent.iter().filter(|_| overview.process == Process::Running).flat_map(actors);
    let failed = actors.into_iter().any(|(_, actor)| actor.state == RunState::Failed);
    let alarms =
        overview.agent.iter().any(|agent| overview.process == Process::Running && !agent.alarms.is_empty());
    let held = overview.flows.values().any(|flow| flow.counts.get("held").is_some_and(|n| *n > 0));
    let left = overview.flows.values().any(|flow| flow.unattended.is_some());
    let idle = overview.credentials.values().any(|idle| idle.verdict == Verdict::Warn);
    let stuck = overview.configuration.is_some() || overview.process == Process::Silent;
    let link = overview.link.as_ref().is_some_and(LinkOverview::wants_attention);
    if failed || alarms || held || left || idle || stuck || link { Exit::Attention } else { Exit::Done }
}

fn actors(agent: &AgentStatus) -> Vec<(&'static str, &ActorStatus)> {
    let connections = agent.connections.values().map(|actor| ("connection", actor));
    connections.chain(agent.flows.values().map(|flow| ("flow", &flow.actor))).collect()
}

fn print(context: &Context, overview: &Overview) {
    output::line(process_line(context, overview));
    output::line(format!("home {}", overview.home));
    if let Some(agent) = overview.agent.as_ref().filter(|_| overview.process == Process::Running) {
        print_actors(agent);
        print_alarms(agent);
    }
    if let Some(refused) = &overview.configuration {
        print_refused(refused);
    }
    if overview.flows.is_empty() && overview.configuration.is_none() {
        output::line("\nno flow yet: the configuration has none and nothing was ever posted");
    }
    if !overview.flows.is_empty() {
        print_flows(overview);
    }
    for (connection, idle) in &overview.credentials {
        let head = if idle.verdict == Verdict::Warn { "warning: " } else { "" };
        output::line(format!("\n{head}credential of connection {connection}: {}", idle.words()));
        if !idle.fix().is_empty() {
            output::line(format!("  {}", idle.fix()));
        }
    }
    if let Some(link) = &overview.link {
        link.print(context);
    }
    if let Some(store) = &overview.store {
        print_store(store, overview.audit.as_ref());
    }
}

fn print_refused(refused: &Refused) {
    output::line(format!("\nCONFIGURATION: {}", refused.error));
    for cause in &refused.causes {
        output::line(format!("  because {cause}"));
    }
    for finding in &refused.findings {
        output::line(format!("  {finding}"));
    }
}

fn process_line(context: &Context, overview: &Overview) -> String {
    let now = context.clock.now();
    match (overview.process, &overview.agent) {
        (Process::Running, Some(agent)) => format!(
            "agent {} is running (process {}) since {}",
            agent.version,
            agent.pid,
            output::moment(agent.started)
        ),
        (Process::Silent, Some(agent)) => format!(
            "agent is stuck: process {} lives and has said nothing for {} s; see the log in {}, then restart it",
            agent.pid,
            (now - agent.at).num_seconds(),
            context.logs().display()
        ),
        (_, Some(agent)) => format!(
            "agent is not running; it last said something at {}. Start it with `purser run`",
            output::moment(agent.at)
        ),
        (_, None) => {
            "agent is not running, and none has said anything in this home yet. Start it with `purser run`"
                .to_owned()
        }
    }
}

fn print_actors(agent: &AgentStatus) {
    let mut table = output::table(&["part", "name", "state", "since", "restarts", "last error"]);
    for (part, actor) in actors(agent) {
        table.add_row([
            output::cell(part),
            output::cell(&actor.name),
            output::cell(actor.state.name()),
            output::cell(output::moment(actor.since)),
            output::right(actor.restarts),
            output::cell(ended(actor)),
        ]);
    }
    output::line("");
    output::show(&table);
}

/// Why the life before the present one ended.
fn ended(actor: &ActorStatus) -> String {
    let asked = actor.restarted.as_ref().map(|why| format!("none; begun anew: {why}"));
    actor.last_error.clone().or(asked).unwrap_or_else(|| "-".to_owned())
}

fn print_alarms(agent: &AgentStatus) {
    for (connection, alarm) in &agent.alarms {
        output::line(format!(
            "\nCREDENTIAL REFUSED: connection {connection} pauses since {}, next try at {}\n  {}\n  {}",
            output::moment(alarm.since),
            output::moment(alarm.next_at),
            alarm.why,
            alarm.fix
        ));
    }
}

fn print_flows(overview: &Overview) {
    let mut table = output::table(&["flow", "postings", "last run", "result", "next run"]);
    for (id, flow) in &overview.flows {
        let counts = flow.counts.iter().filter(|(_, n)| **n > 0);
        let counts: Vec<String> = counts.map(|(state, n)| format!("{n} {state}")).collect();
        let running = overview.process == Process::Running
            && overview.agent.as_ref().and_then(|agent| agent.flows.get(id)).is_some_and(|flow| flow.running);
        table.add_row([
            output::cell(id.as_str()),
            output::cell(match (counts.is_empty(), flow.fresh_at) {
                (false, _) => counts.join(", "),
                (true, Some(at)) => format!("equal at {}", output::moment(at)),
                (true, None) => "none".to_owned(),
            }),
            output::cell(flow.last_run.as_ref().map_or("never".to_owned(), |run| output::moment(run.ended))),
            output::cell(flow.last_run.as_ref().map(result).unwrap_or_default()),
            output::cell(next(flow, running, overview.process)),
        ]);
    }
    output::line("");
    output::show(&table);
    if overview.flows.values().any(|flow| flow.counts.get("held").is_some_and(|n| *n > 0)) {
        output::line("what is held waits for a person: purser records list --state held");
    }
    for (id, flow) in &overview.flows {
        if let Some(count) = flow.unattended {
            output::line(format!(
                "warning: {count} posting(s) of flow {id} are under way, and the configuration has no flow of that name\n  {}",
                routes::ATTEND
            ));
        }
    }
}

fn result(run: &RunRecord) -> String {
    let report = &run.report;
    let mut words = match &report.mirrored {
        _ if report.could_not_begin => "could not begin".to_owned(),
        Some(counts) => output::mirrored(counts),
        None => {
            format!("{} read, {} posted, {} held", report.read, report.posted + report.adopted, report.held)
        }
    };
    if let Some(first) = report.errors.first() {
        words.push_str(&format!("; {}", output::short(first, 80)));
    }
    words
}

fn next(flow: &FlowOverview, running: bool, process: Process) -> String {
    if flow.paused {
        return "paused".to_owned();
    }
    if running {
        return "running".to_owned();
    }
    let times = [flow.next_run, flow.next_due.filter(|_| process == Process::Running)];
    match (times.into_iter().flatten().min(), process) {
        (Some(at), Process::Running) => output::moment(at),
        (Some(at), Process::Silent | Process::Stopped) => format!("{} if the agent runs", output::moment(at)),
        (None, _) => "by hand only".to_owned(),
    }
}

fn print_store(store: &StoreStats, audit: Option<&AuditHead>) {
    let free = store.free_disk.map_or("unknown".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
    output::line(format!("\nstore: {} KiB used, {free} free on its disk", store.used >> 10));
    if let Some(head) = audit {
        output::line(format!("audit: {} entries, head {}", head.entries, &head.hash.to_string()[..16]));
    }
}
