//! Refusals in the audit trail. Whoever may knock, a stranger who has found a hook's address or a control plane in an
//! enemy's hands, can be refused without end; the trail must not grow with it. The first of an hour are written one by one,
//! with everything that is known of them; the others are counted, and the hour's count is one entry.
//!
//! Counts are written in the transaction that refuses, so a restart loses none.

use crate::store::{AuditDraft, AuditKind, Batch, StateTable, Store, StoreError};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use spend::Timestamp;
use std::collections::BTreeMap;

/// Entries of one kind in an hour that are written one by one.
const EACH: u64 = 20;
/// What is counted together.
const PERIOD: TimeDelta = TimeDelta::hours(1);

/// Those of one hour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Tally {
    /// When the first came.
    since: Timestamp,
    written: u64,
    /// Those that were only counted, by reason.
    counted: BTreeMap<String, u64>,
}

/// What is counted in one place of the store; the kinds are few and given by the program or the configuration.
pub(super) struct Refusals {
    place: &'static str,
    tallies: BTreeMap<String, Tally>,
    changed: bool,
}

impl Refusals {
    /// What was counted so far.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn load(store: &Store, place: &'static str) -> Result<Self, StoreError> {
        Ok(Self { place, tallies: store.get(StateTable::Meta, place)?.unwrap_or_default(), changed: false })
    }

    /// One more of a kind, for a reason: as an entry of its own, or counted.
    pub(super) fn add(&mut self, batch: &mut Batch, kind: &str, code: &str, entry: AuditDraft) {
        let now = entry.at;
        self.changed = true;
        let tally = self.tallies.entry(kind.to_owned()).or_insert_with(|| Tally::begun(now));
        if tally.is_over(now) {
            let over = std::mem::replace(tally, Tally::begun(now));
            over.tell(batch, kind, now);
        }
        if tally.written < EACH {
            tally.written += 1;
            batch.audit(entry);
        } else {
            *tally.counted.entry(code.to_owned()).or_default() += 1;
        }
    }

    /// Writes the counts of hours that are over. Whether there were any.
    pub(super) fn close(&mut self, batch: &mut Batch, now: Timestamp) -> bool {
        let before = self.tallies.len();
        self.tallies.retain(|kind, tally| {
            let over = tally.is_over(now);
            if over {
                tally.tell(batch, kind, now);
            }
            !over
        });
        let closed = self.tallies.len() < before;
        self.changed |= closed;
        closed
    }

    /// Remembers the counts, once the batch is durable.
    pub(super) fn save(&self, batch: &mut Batch) {
        if self.changed {
            batch.put(StateTable::Meta, self.place, &self.tallies);
        }
    }
}

impl Tally {
    fn begun(now: Timestamp) -> Self {
        Self { since: now, ..Self::default() }
    }

    /// A clock that was set back ends it too.
    fn is_over(&self, now: Timestamp) -> bool {
        (now - self.since).abs() >= PERIOD
    }

    fn tell(&self, batch: &mut Batch, kind: &str, now: Timestamp) {
        let count: u64 = self.counted.values().sum();
        if count > 0 {
            let detail = serde_json::json!({
                "what": "refused and only counted", "of": kind, "since": self.since, "count": count, "codes": self.counted,
                "written_one_by_one": self.written,
            });
            batch.audit(AuditDraft::new(now, AuditKind::Security, detail));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::store::StoreKeys;

    #[test]
    fn the_trail_grows_by_hours_and_not_by_refusals_and_nothing_goes_uncounted() {
        let folder = tempfile::tempdir().unwrap();
        let at: Timestamp = "2026-08-10T12:00:00Z".parse().unwrap();
        let store =
            Store::open(folder.path(), StoreKeys::from_data_key(&[7; 32]), Clock::manual(at)).unwrap();
        let refuse = |minute: i64, code: &str| {
            let now = at + TimeDelta::minutes(minute);
            let mut batch = Batch::new();
            // Read anew each time, as after a restart.
            let mut refusals = Refusals::load(&store, "x").unwrap();
            let entry = AuditDraft::new(now, AuditKind::Security, serde_json::json!({ "what": "webhook" }));
            refusals.add(&mut batch, "cards", code, entry);
            refusals.save(&mut batch);
            store.commit_blocking(batch).unwrap();
        };
        for n in 0..300 {
            refuse(n / 10, if n % 2 == 0 { "bad-signature" } else { "too-old" });
        }
        for _ in 0..25 {
            refuse(61, "bad-signature");
        }
        let mut batch = Batch::new();
        let mut refusals = Refusals::load(&store, "x").unwrap();
        assert!(!refusals.close(&mut batch, at + TimeDelta::minutes(100)));
        assert!(refusals.close(&mut batch, at + TimeDelta::minutes(121)));
        assert!(!refusals.close(&mut batch, at + TimeDelta::minutes(200)), "once");
        store.commit_blocking(batch).unwrap();
        let mut details = Vec::new();
        store.audit().for_each(0, |entry| details.push(entry.draft.detail.clone())).unwrap();
        let counts: Vec<&serde_json::Value> = details.iter().filter(|d| d["what"] != "webhook").collect();
        assert_eq!(details.len(), 2 * 20 + 2);
        assert_eq!((counts[0]["count"].as_u64(), counts[1]["count"].as_u64()), (Some(280), Some(5)));
        assert_eq!(counts[0]["codes"]["too-old"], 140);
        assert_eq!(counts[0]["since"], "2026-08-10T12:00:00Z");
    }
}
