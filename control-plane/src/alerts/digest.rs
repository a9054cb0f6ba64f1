//! The daily digest: how many agents, what is open, what is held. It comes also when all is well, so that its absence says
//! something.

use super::Kind;
use super::message::{Message, envelope};
use crate::clock::{Millis, timestamp};
use serde::Serialize;
use std::collections::BTreeMap;

/// Most lines of one list.
const LINES: usize = 20;
/// Milliseconds of a day.
pub const DAY: Millis = 24 * 3_600_000;

/// What a digest tells of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Digest {
    /// Agents that are not revoked.
    pub agents: u64,
    /// Those that have not been heard from.
    pub offline: u64,
    /// Postings by state, of all flows.
    pub postings: BTreeMap<String, u64>,
    /// Open alerts by kind.
    pub open: BTreeMap<&'static str, u64>,
    /// Sentences of open alerts, the oldest first.
    pub titles: Vec<String>,
}

/// Whether the digest of today is due: the hour (UTC) has come, and today's has not been written.
pub fn is_due(hour: Option<i64>, last_day: i64, now: Millis) -> bool {
    let (day, in_day) = (now.div_euclid(DAY), now.rem_euclid(DAY));
    hour.is_some_and(|hour| in_day >= hour * 3_600_000 && last_day < day)
}

/// The digest in words.
pub fn message(tenant: &str, name: &str, digest: &Digest, now: Millis) -> Message {
    #[derive(Serialize)]
    struct Data<'a> {
        tenant: &'a str,
        #[serde(flatten)]
        digest: &'a Digest,
    }
    let open: u64 = digest.open.values().sum();
    let date = timestamp(now).format("%Y-%m-%d").to_string();
    let mut text =
        format!("{name}, {date}\n\nAgents: {} ({} not heard from)\n", digest.agents, digest.offline);
    if !digest.postings.is_empty() {
        let states: Vec<String> =
            digest.postings.iter().map(|(state, count)| format!("{count} {state}")).collect();
        text.push_str(&format!("Postings: {}\n", states.join(", ")));
    }
    text.push_str(&format!("Open alerts: {open}\n"));
    for kind in Kind::ALL {
        if let Some(count) = digest.open.get(kind.word()) {
            text.push_str(&format!("  {count} {}\n", kind.many()));
        }
    }
    if !digest.titles.is_empty() {
        text.push('\n');
        digest.titles.iter().take(LINES).for_each(|title| text.push_str(&format!("- {title}\n")));
        if digest.titles.len() > LINES {
            text.push_str(&format!("- and {} more\n", digest.titles.len() - LINES));
        }
    }
    let short = Digest { titles: digest.titles.iter().take(LINES).cloned().collect(), ..digest.clone() };
    Message {
        kind: None,
        event: "digest",
        subject: format!("[Purser] {name}: {} agents, {open} open alerts", digest.agents),
        text,
        json: envelope("digest", now, Data { tenant, digest: &short }),
    }
}
