//! Alerts in words: the JSON of a webhook, the subject and text of a mail. Many alerts of one kind at once become one
//! message, because nobody reads the two hundredth.

use super::Kind;
use crate::clock::{Millis, timestamp};
use serde::Serialize;
use std::collections::BTreeMap;

/// From how many on alerts of one kind become one message.
const MANY: usize = 10;
/// Most names in such a message.
const NAMES: usize = 20;

/// What happened to an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// It began.
    Opened,
    /// It still is.
    Repeated,
    /// It is over.
    Resolved,
}

impl Event {
    /// The type of the webhook.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Opened => "alert.opened",
            Self::Repeated => "alert.repeated",
            Self::Resolved => "alert.resolved",
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Opened => "",
            Self::Repeated => "still: ",
            Self::Resolved => "resolved: ",
        }
    }
}

/// One alert to which something happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// The alert.
    pub alert: String,
    /// What it is about.
    #[serde(serialize_with = "word")]
    pub kind: Kind,
    /// The agent's id.
    pub agent: String,
    /// The agent's name.
    pub agent_name: String,
    /// Connection, flow or code.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub concerns: String,
    /// One sentence.
    pub title: String,
    /// Since when.
    #[serde(serialize_with = "time")]
    pub since: Millis,
}

fn word<S: serde::Serializer>(kind: &Kind, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(kind.word())
}

fn time<S: serde::Serializer>(at: &Millis, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&timestamp(*at).to_rfc3339())
}

/// A message as it is sent, to whatever kind of destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What the alerts are about; `None` for the digest and the trial, which go to all that want them.
    pub kind: Option<Kind>,
    /// Type of the webhook.
    pub event: &'static str,
    /// Subject of the mail.
    pub subject: String,
    /// Text of the mail.
    pub text: String,
    /// Body of the webhook.
    pub json: String,
}

#[derive(Serialize)]
struct Envelope<T> {
    #[serde(rename = "type")]
    event: &'static str,
    #[serde(serialize_with = "time")]
    timestamp: Millis,
    data: T,
}

#[derive(Serialize)]
struct Several<'a> {
    tenant: &'a str,
    #[serde(serialize_with = "word")]
    kind: Kind,
    count: usize,
    alerts: &'a [Told],
}

#[derive(Serialize)]
struct Single<'a> {
    tenant: &'a str,
    #[serde(flatten)]
    alert: &'a Told,
}

/// The body of a webhook.
pub(super) fn envelope<T: Serialize>(event: &'static str, timestamp: Millis, data: T) -> String {
    // Maps have text as keys and no number is infinite, so this is always JSON.
    serde_json::to_string(&Envelope { event, timestamp, data }).unwrap_or_default()
}

/// The messages about what happened in one tenant.
pub fn messages(tenant: &str, happened: Vec<(Event, Told)>, now: Millis) -> Vec<Message> {
    let mut groups: BTreeMap<(Event, Kind), Vec<Told>> = BTreeMap::new();
    for (event, told) in happened {
        groups.entry((event, told.kind)).or_default().push(told);
    }
    let mut messages = Vec::new();
    for ((event, kind), told) in groups {
        if told.len() >= MANY {
            messages.push(several(tenant, event, kind, &told, now));
        } else {
            messages.extend(told.iter().map(|told| single(tenant, event, told, now)));
        }
    }
    messages
}

fn single(tenant: &str, event: Event, told: &Told, now: Millis) -> Message {
    Message {
        kind: Some(told.kind),
        event: event.word(),
        subject: format!("[Purser] {}{}", event.prefix(), told.title),
        text: format!(
            "{}{}\n\nSince: {}\nKind: {}\nAgent: {} ({})\nAlert: {}\n",
            event.prefix(),
            told.title,
            timestamp(told.since).to_rfc3339(),
            told.kind,
            told.agent_name,
            told.agent,
            told.alert,
        ),
        json: envelope(event.word(), now, Single { tenant, alert: told }),
    }
}

fn several(tenant: &str, event: Event, kind: Kind, told: &[Told], now: Millis) -> Message {
    let shown = &told[..told.len().min(NAMES)];
    let mut text = format!("{}{} {}\n\n", event.prefix(), told.len(), kind.many());
    shown.iter().for_each(|told| text.push_str(&format!("- {}\n", told.title)));
    if told.len() > shown.len() {
        text.push_str(&format!("- and {} more\n", told.len() - shown.len()));
    }
    Message {
        kind: Some(kind),
        event: event.word(),
        subject: format!("[Purser] {}{} {}", event.prefix(), told.len(), kind.many()),
        text,
        json: envelope(event.word(), now, Several { tenant, kind, count: told.len(), alerts: shown }),
    }
}

/// A message that says nothing but that messages arrive.
pub fn trial(tenant: &str, now: Millis) -> Message {
    #[derive(Serialize)]
    struct Trial<'a> {
        tenant: &'a str,
    }
    Message {
        kind: None,
        event: "alert.trial",
        subject: "[Purser] trial".to_owned(),
        text: "This is a trial: alerts of this tenant arrive here.\n".to_owned(),
        json: envelope("alert.trial", now, Trial { tenant }),
    }
}
