//! What came of it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::harness::{Route, Sandbox, System};

/// States in the order of what they tell about the moment of a kill: the first that any posting is in counts.
const TELLING: [(&str, &str); 5] = [
    ("claimed", "claimed: some write may be under way"),
    ("in-doubt", "in doubt: a write's answer is missing"),
    ("posted", "posted: not marked at the source yet"),
    ("waiting", "waiting for a next attempt"),
    ("planned", "planned"),
];

/// Counts of one torment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CrashReport {
    /// Agents killed with SIGKILL.
    pub kills: u32,
    /// Agents started, without the last ones that were left in peace.
    pub starts: u32,
    /// Worlds worked through.
    pub worlds: u32,
    /// Documents in the ERP in the end, over all worlds.
    pub documents: usize,
    /// Where in the protocol the kills fell: states of the postings afterwards.
    pub fell: BTreeMap<String, u32>,
    /// The last call that a vendor had received at the kill.
    pub last_call: BTreeMap<String, u32>,
    /// Documents that an undisturbed run books and this one did not.
    pub lost: usize,
    /// Documents that are there more than once.
    pub doubled: usize,
    /// Documents that differ from those of an undisturbed run.
    pub altered: usize,
    /// Everything that must not be, in words.
    pub faults: Vec<String>,
    /// How long it took.
    pub seconds: f32,
}

impl CrashReport {
    /// Nothing lost, doubled, altered, left open or wrongly called.
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty() && self.lost + self.doubled + self.altered == 0
    }

    /// Adds another one.
    pub fn add(&mut self, other: Self) {
        self.kills += other.kills;
        self.starts += other.starts;
        self.worlds += other.worlds;
        self.documents += other.documents;
        for (mine, theirs) in [(&mut self.fell, other.fell), (&mut self.last_call, other.last_call)] {
            theirs.into_iter().for_each(|(what, count)| *mine.entry(what).or_default() += count);
        }
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.altered += other.altered;
        self.faults.extend(other.faults);
        self.seconds += other.seconds;
    }

    pub(super) fn count_states(&mut self, counts: &Value) {
        let some = |state: &str| counts.get(state).and_then(Value::as_u64).unwrap_or_default() > 0;
        let told = TELLING.iter().find(|(state, _)| some(state)).map(|(_, words)| *words);
        let any = counts.as_object().is_some_and(|counts| !counts.is_empty());
        let told = told.unwrap_or(if any { "nothing open" } else { "before the first posting was stored" });
        *self.fell.entry(told.to_owned()).or_default() += 1;
    }

    pub(super) fn count_call(&mut self, sandbox: &Sandbox, route: Route) {
        let last = |system: System| (system.name(), sandbox.running(system).journal().pop());
        let calls = [last(route.source()), last(route.erp())];
        let latest =
            calls.into_iter().filter_map(|(who, call)| call.map(|call| (call.at.clone(), who, call)));
        if let Some((_, who, call)) = latest.max_by(|a, b| a.0.cmp(&b.0)) {
            *self.last_call.entry(format!("{who} {}", call.operation)).or_default() += 1;
        }
    }
}

impl fmt::Display for CrashReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} kills over {} starts and {} worlds in {:.0} s: {} lost, {} doubled, {} altered of {} documents",
            self.kills,
            self.starts,
            self.worlds,
            self.seconds,
            self.lost,
            self.doubled,
            self.altered,
            self.documents
        )?;
        for (title, counts) in [("where they fell", &self.fell), ("last call received", &self.last_call)] {
            writeln!(f, "{title}:")?;
            counts.iter().try_for_each(|(what, count)| writeln!(f, "  {count:>5}  {what}"))?;
        }
        self.faults.iter().try_for_each(|fault| writeln!(f, "FAULT {fault}"))
    }
}
