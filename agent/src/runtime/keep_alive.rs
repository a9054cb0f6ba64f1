//! Keeps credentials alive that die when they are not used: a connection that has been idle for a week has its vendor's
//! read-only checks made. On the same round the hour's refused webhooks are counted.

use super::agent::Agent;
use super::words;
use crate::vendors::{Probe, StoreNotes, Verdict, last_use, registry};
use spend::Date;
use spend::ids::ConnectionId;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// The first look; flows that run at the start come before it.
const FIRST_LOOK: Duration = Duration::from_secs(60);
/// How often it is looked.
const LOOK: Duration = Duration::from_secs(3600);

/// Looks from time to time, until the agent is gone.
pub(super) fn begin(agent: &Rc<Agent>) {
    actix_rt::spawn(watch(Rc::downgrade(agent)));
}

async fn watch(agent: Weak<Agent>) {
    let mut tried = BTreeMap::new();
    tokio::time::sleep(FIRST_LOOK).await;
    while let Some(agent) = agent.upgrade() {
        agent.keep_alive(&mut tried).await;
        if let Err(error) = agent.close_refusals().await {
            tracing::warn!(error = words(&error), "refused webhooks cannot be counted");
        }
        drop(agent);
        tokio::time::sleep(LOOK).await;
    }
}

impl Agent {
    /// Makes a call through each connection whose credential was idle for too long; `tried` remembers the day of the
    /// last attempt.
    async fn keep_alive(&self, tried: &mut BTreeMap<ConnectionId, Date>) {
        let today = self.now().date_naive();
        for connection in &self.config().connections {
            let life = registry::vendor(&connection.kind).and_then(|vendor| vendor.idle_life);
            let (Some(life), Some(handle)) = (life, self.connection(&connection.id)) else { continue };
            let last = last_use(&StoreNotes::new(self.store(), &connection.id));
            if !life.wants_a_call(last, tried.get(&connection.id).copied(), today) {
                continue;
            }
            tried.insert(connection.id.clone(), today);
            tracing::info!(connection = %connection.id, "making a call to keep the credential alive");
            for result in handle.probe().await.iter().filter(|result| result.verdict == Verdict::Fail) {
                tracing::warn!(connection = %connection.id, check = result.check, detail = result.detail, "check failed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::config;
    use crate::runtime::agent::Parts;
    use crate::runtime::supervisor::Policy;
    use crate::secret::Origin;
    use crate::store::{AuditKind, Batch, Store, StoredSecret, dir_of, key};
    use crate::vendors::{LAST_USE, Notes};
    use chrono::{Days, TimeDelta};
    use secrecy::SecretString;

    /// Nobody listens there: a call is seen by its record in the audit trail.
    const URL: &str = "http://127.0.0.1:1";

    fn parts(folder: &std::path::Path, clock: &Clock) -> Parts {
        let file = folder.join("purser.toml");
        let text = format!(
            "version = 1\n[[connection]]\nid = \"cards\"\nkind = \"brex\"\nurl = \"{URL}\"\n\
             network = {{ proxy = \"none\", allow_plain_loopback = true }}\n"
        );
        std::fs::write(&file, text).unwrap();
        let keys = key::create_or_open(folder, None).unwrap();
        let store = Store::open(&dir_of(folder), keys, clock.clone()).unwrap();
        let secret = StoredSecret {
            kind: "brex".to_owned(),
            origins: vec![Origin::parse(URL).unwrap()],
            fields: [("token".to_owned(), SecretString::from("x"))].into(),
        };
        let mut batch = Batch::new();
        batch.put_secret("cards", secret);
        store.commit_blocking(batch).unwrap();
        Parts {
            config: config::load(&file).unwrap().1,
            store,
            home: folder.to_owned(),
            clock: clock.clone(),
            policy: Policy::default(),
            test_hooks: false,
            machine: Vec::new(),
            fenced: None,
        }
    }

    /// Calls so far; notes are written with the next commit, so one is made.
    fn calls(store: &Store) -> usize {
        store.commit_blocking(Batch::new()).unwrap();
        let mut calls = 0;
        store.audit().for_each(1, |entry| calls += usize::from(entry.draft.kind == AuditKind::Call)).unwrap();
        calls
    }

    /// Sheet item: Brex 13
    #[actix_rt::test]
    async fn a_connection_that_was_idle_for_a_week_is_called_once_a_day_until_it_answers() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual("2026-08-10T12:00:00Z".parse().unwrap());
        let today = clock.now().date_naive();
        let agent = Agent::start(parts(folder.path(), &clock));
        let notes = StoreNotes::new(agent.store(), &ConnectionId::new("cards"));
        let mut tried = BTreeMap::new();

        notes.write(LAST_USE, &(today - Days::new(6)).to_string()).unwrap();
        agent.keep_alive(&mut tried).await;
        assert_eq!(calls(agent.store()), 0, "six days are no idle week");

        notes.write(LAST_USE, &(today - Days::new(7)).to_string()).unwrap();
        agent.keep_alive(&mut tried).await;
        let once = calls(agent.store());
        assert!(once > 0);
        agent.keep_alive(&mut tried).await;
        assert_eq!(calls(agent.store()), once, "once a day is enough");
        clock.advance(TimeDelta::days(1));
        agent.keep_alive(&mut tried).await;
        assert!(calls(agent.store()) > once);
        agent.stop().await;
    }
}
