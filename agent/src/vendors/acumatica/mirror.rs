//! What changed among reference records since they were last read: by `LastModifiedDateTime` with an overlap, by full
//! compare of hashes where an entity has no such field (subaccounts) or a site does not filter by it. What was deleted
//! shows in a full read only.

use super::calls::{Query, moment_literal};
use super::client::Client;
use super::reference::{ACCOUNTS, EMPLOYEES, PROJECTS, SUBACCOUNTS, VENDORS};
use super::wire::{Members as _, Record};
use chrono::TimeDelta;
use spend::Timestamp;
use spend::posting::Failure;
use std::collections::BTreeMap;

/// How far below the newest moment seen is read again: clocks and zones of a site differ (I).
const OVERLAP: TimeDelta = TimeDelta::minutes(5);

/// Which records are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// Natural accounts.
    Accounts,
    /// Subaccounts, which bear no moment of change.
    Subaccounts,
    /// Vendors.
    Vendors,
    /// Employees.
    Employees,
    /// Projects.
    Projects,
}

impl Watched {
    fn query(self) -> Query {
        match self {
            Self::Accounts => ACCOUNTS,
            Self::Subaccounts => SUBACCOUNTS,
            Self::Vendors => VENDORS,
            Self::Employees => EMPLOYEES,
            Self::Projects => PROJECTS,
        }
    }

    const fn key(self) -> &'static str {
        match self {
            Self::Accounts => "AccountCD",
            Self::Subaccounts => "SubaccountCD",
            Self::Vendors => "VendorID",
            Self::Employees => "EmployeeID",
            Self::Projects => "ProjectID",
        }
    }
}

/// Hashes of records by key, with the newest moment of change seen.
#[derive(Clone, Debug, Default)]
pub struct Mirror {
    rows: BTreeMap<String, String>,
    newest: Option<Timestamp>,
    unfiltered: bool,
}

/// What changed since the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Keys that are new or have other content.
    pub changed: Vec<String>,
    /// Keys that are gone; found by a full read only.
    pub gone: Vec<String>,
}

impl Mirror {
    /// The filter of the next delta; `None` = read in full.
    pub fn delta_filter(&self) -> Option<String> {
        let newest = self.newest.filter(|_| !self.unfiltered)?;
        Some(format!("LastModifiedDateTime gt {}", moment_literal(newest - OVERLAP)))
    }

    fn take(&mut self, watched: Watched, records: &[Record], all: bool) -> Changes {
        let before = if all { std::mem::take(&mut self.rows) } else { BTreeMap::new() };
        let mut changes = Changes::default();
        for record in records {
            let Some(key) = record.filled(watched.key()) else { continue };
            self.newest = self.newest.max(record.moment("LastModifiedDateTime"));
            let hash = blake3::hash(record.content().as_bytes()).to_hex().to_string();
            let known = if all { before.get(&key) } else { self.rows.get(&key) };
            if known != Some(&hash) {
                changes.changed.push(key.clone());
            }
            self.rows.insert(key, hash);
        }
        changes.gone = before.into_keys().filter(|key| !self.rows.contains_key(key)).collect();
        changes
    }
}

/// Brings a mirror up to date and says what changed. `full` reads everything, which alone finds what was deleted.
pub(super) async fn changes(
    client: &Client,
    watched: Watched,
    mirror: &mut Mirror,
    full: bool,
) -> Result<Changes, Failure> {
    if let Some(filter) = mirror.delta_filter().filter(|_| !full) {
        match client.list(&Query { filter, ..watched.query() }).await {
            Ok(records) => return Ok(mirror.take(watched, &records, false)),
            Err(refusal) if refusal.kind.is_of_query() => mirror.unfiltered = true,
            Err(refusal) => return Err(refusal.failure),
        }
    }
    let records = client.list(&watched.query()).await?;
    Ok(mirror.take(watched, &records, true))
}
