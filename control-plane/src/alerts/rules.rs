//! What is wrong, from what is known. Each rule has two limits: one from which it is wrong, and one, a little better, until
//! which it stays wrong, so that a figure that goes to and fro does not ring twice an hour.

use super::Kind;
use crate::clock::Millis;
use purser_proto::link::report::StatusReport;

/// Most conditions of one agent; the rest waits until some of these are mended.
const PER_AGENT: usize = 50;
/// Longest name within a text.
const NAME: usize = 128;
/// How long something that happened once stays wrong.
pub const EVENT: Millis = 24 * HOUR;

const MINUTE: Millis = 60_000;
const HOUR: Millis = 60 * MINUTE;

/// From when on something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Minutes without a word; 0 = not watched.
    pub offline_minutes: i64,
    /// Days until a credential dies; 0 = not watched.
    pub credential_days: i64,
    /// Held postings of a flow; 0 = not watched.
    pub holds: i64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { offline_minutes: 15, credential_days: 14, holds: 25 }
    }
}

/// What is known of an agent that is approved and not revoked.
#[derive(Clone, Debug, Default)]
pub struct AgentFacts {
    /// Its id.
    pub agent: String,
    /// Its name.
    pub name: String,
    /// When it spoke last, or was enrolled.
    pub last_seen: Millis,
    /// What it said of itself last.
    pub status: Option<StatusReport>,
    /// Number of its newest revision, if it was refused.
    pub refused_revision: Option<i64>,
    /// Security notices: code and what they concern, the latest of each.
    pub security: Vec<Happened>,
    /// When its audit trail was found shorter last.
    pub audit_went_back: Option<Millis>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// Stable word.
    pub code: String,
    /// Connection or flow.
    pub concerns: Option<String>,
    /// When it was heard of.
    pub at: Millis,
}

/// What an alert is about, and which of several.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// What it is about.
    pub kind: Kind,
    /// Which agent.
    pub agent: String,
    /// Which connection, flow or code; empty for the agent itself.
    pub concerns: String,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What and where.
    pub key: Key,
    /// The agent's name.
    pub agent_name: String,
    /// One sentence.
    pub title: String,
}

/// What is wrong with one agent. `is_open` says whether there is an alert of it already; `listening_since` is when this
/// control plane began to listen: what it could not hear is nobody's silence.
pub fn conditions(
    facts: &AgentFacts,
    thresholds: Thresholds,
    listening_since: Millis,
    now: Millis,
    is_open: impl Fn(&Key) -> bool,
) -> Vec<Condition> {
    let mut found = Found { facts, name: named(&facts.name), is_open, list: Vec::new() };
    found.offline(thresholds, listening_since, now);
    found.events(now);
    found.refused();
    found.credentials(thresholds);
    found.holds(thresholds);
    found.list.truncate(PER_AGENT);
    found.list
}

struct Found<'a, F> {
    facts: &'a AgentFacts,
    name: String,
    is_open: F,
    list: Vec<Condition>,
}

impl<F: Fn(&Key) -> bool> Found<'_, F> {
    /// Adds a condition if it holds; `wrong` is told whether there is an alert of it already.
    fn add(
        &mut self,
        kind: Kind,
        concerns: &str,
        wrong: impl FnOnce(bool) -> bool,
        title: impl FnOnce(&str) -> String,
    ) {
        let key = Key { kind, agent: self.facts.agent.clone(), concerns: named(concerns) };
        if wrong((self.is_open)(&key)) {
            let title = title(&self.name);
            self.list.push(Condition { key, agent_name: self.name.clone(), title });
        }
    }

    fn offline(&mut self, thresholds: Thresholds, listening_since: Millis, now: Millis) {
        let limit = thresholds.offline_minutes * MINUTE;
        let silent = now - self.facts.last_seen.max(listening_since);
        let known = self.facts.last_seen;
        self.add(
            Kind::AgentOffline,
            "",
            |open| limit > 0 && (silent >= limit || (open && known < listening_since)),
            |name| format!("agent {name} has not been heard from for {} minutes", (now - known) / MINUTE),
        );
    }

    fn events(&mut self, now: Millis) {
        let facts = self.facts;
        for event in &facts.security {
            let which = match &event.concerns {
                Some(concerns) => format!("{} ({concerns})", event.code),
                None => event.code.clone(),
            };
            self.add(
                Kind::SecurityEvent,
                &which,
                |_| now - event.at < EVENT,
                |name| format!("agent {name} reports a security event: {}", named(&which)),
            );
        }
        if let Some(at) = facts.audit_went_back {
            self.add(
                Kind::AuditWentBack,
                "",
                |_| now - at < EVENT,
                |name| format!("the audit trail of agent {name} is shorter than it was"),
            );
        }
    }

    fn refused(&mut self) {
        if let Some(number) = self.facts.refused_revision {
            self.add(
                Kind::ConfigurationRefused,
                "",
                |_| true,
                |name| format!("agent {name} refuses revision {number} of its configuration"),
            );
        }
    }

    fn credentials(&mut self, thresholds: Thresholds) {
        let limit = thresholds.credential_days;
        let facts = self.facts;
        let Some(status) = &facts.status else { return };
        for (connection, report) in &status.connections {
            let Some(days) = report.credential_days else { continue };
            self.add(
                Kind::CredentialExpiring,
                connection,
                |open| limit > 0 && days <= limit + i64::from(open),
                |name| match days {
                    ..=0 => format!(
                        "the credential of connection {} of agent {name} may be dead",
                        named(connection)
                    ),
                    _ => format!(
                        "the credential of connection {} of agent {name} expires in {days} days",
                        named(connection)
                    ),
                },
            );
        }
    }

    fn holds(&mut self, thresholds: Thresholds) {
        let limit = u64::try_from(thresholds.holds).unwrap_or_default();
        let facts = self.facts;
        let Some(status) = &facts.status else { return };
        for (flow, report) in &status.flows {
            let held = report.postings.get("held").copied().unwrap_or_default();
            self.add(
                Kind::Holds,
                flow,
                |open| limit > 0 && held >= if open { (limit * 4 / 5).max(1) } else { limit },
                |name| format!("flow {} of agent {name} holds {held} postings", named(flow)),
            );
        }
    }
}

/// A name as it is shown: short, on one line, without anything that a terminal or a mail header would obey.
pub fn named(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(NAME)
        .collect::<String>()
        .trim()
        .to_owned()
}
