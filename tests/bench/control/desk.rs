//! Whoever sits at the control plane: makes tenants, codes, hooks and revisions on the same database, beside the server
//! that runs, as the command line does.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use purser_control::clock::{Clock, millis};
use purser_control::configurations::{Configurations, Wanted};
use purser_control::store::codes::{self, NewCode};
use purser_control::store::hooks::{self, Ceilings, NewHook};
use purser_control::store::{Store, deliveries, tenants};
use secrecy::ExposeSecret as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Operations on the database under way at a time.
const AT_ONCE: usize = 16;
/// Who does everything here.
const BY: &str = "benchmark";
/// What every agent is to work with: the example that the agent ships with.
const CONFIGURATION: &str = include_str!("../../../agent/src/cli/configuration/example.toml");

pub(super) struct Desk {
    store: Store,
    clock: Clock,
    tenant: String,
}

impl Desk {
    /// Opens the database, makes its tables and a tenant.
    pub(super) async fn open(database: &str) -> Result<Self> {
        let (store, clock) = (Store::open(database).await?, Clock::system());
        let now = millis(&clock);
        let made = store.write(move |tx| Box::pin(async move { tenants::create(tx, "bench", now).await }));
        let tenant = made.await?.id;
        Ok(Self { store, clock, tenant })
    }

    /// New enrollment codes.
    pub(super) async fn codes(&self, count: usize) -> Result<Vec<String>> {
        let mut asked = JoinSet::new();
        let now = millis(&self.clock);
        for _ in 0..count {
            let (store, tenant) = (self.store.clone(), self.tenant.clone());
            let new =
                NewCode { tenant, name: String::new(), approve: false, by: BY.to_owned(), minutes: 600 };
            asked.spawn(async move {
                let made = store.write(move |tx| Box::pin(async move { codes::create(tx, &new, now).await }));
                anyhow::Ok(made.await?.0.expose_secret().to_owned())
            });
        }
        let mut codes = Vec::with_capacity(count);
        while let Some(code) = asked.join_next().await {
            codes.push(code??);
        }
        Ok(codes)
    }

    /// A hook of an agent that takes all that can come; its path.
    pub(super) async fn hook(&self, agent: &str) -> Result<String> {
        let ceilings =
            Ceilings { per_second: 100_000, burst: 1_000_000, most_bytes: 1 << 40, ..Ceilings::default() };
        let new = NewHook {
            tenant: self.tenant.clone(),
            agent: agent.to_owned(),
            connection: "brex".to_owned(),
            headers: Vec::new(),
            ceilings,
            by: BY.to_owned(),
        };
        let now = millis(&self.clock);
        let made = self.store.write(move |tx| Box::pin(async move { hooks::create(tx, &new, now).await }));
        Ok(made.await?.path())
    }

    /// A revision for each agent; answers when the last is written.
    pub(super) async fn configure(&self, agents: &[String]) -> Result<()> {
        let all = Configurations::new(self.store.clone(), self.clock.clone());
        let room = Arc::new(Semaphore::new(AT_ONCE));
        let mut asked = JoinSet::new();
        for agent in agents {
            let place = room.clone().acquire_owned().await?;
            let (all, tenant, agent) = (all.clone(), self.tenant.clone(), agent.clone());
            asked.spawn(async move {
                let toml = format!("# {agent}\n{CONFIGURATION}");
                let wanted = Wanted { tenant, agent, toml, by: BY.to_owned(), note: "benchmark".to_owned() };
                let made = all.apply(wanted).await.map_err(|error| anyhow::anyhow!("{error}"));
                drop(place);
                made?.context("a revision changes nothing")
            });
        }
        while let Some(made) = asked.join_next().await {
            made??;
        }
        Ok(())
    }

    /// How many deliveries wait for an agent.
    pub(super) async fn waiting(&self, agent: &str) -> Result<usize> {
        let count = deliveries::count(&mut *self.store.read().await?, agent).await?;
        Ok(usize::try_from(count)?)
    }

    /// Closes the database.
    pub(super) async fn leave(self) {
        self.store.close().await;
    }
}
