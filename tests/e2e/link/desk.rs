//! Whoever sits at the control plane. The floors below the HTTP interface are used as the command line uses them: on the
//! same database, beside the server that runs.

use purser_control::clock::{Clock, millis};
use purser_control::configurations::{Configurations, Wanted};
use purser_control::store::agents::{self, Agent};
use purser_control::store::commands::{self, CommandRow, NewCommand};
use purser_control::store::hooks::{self, Ceilings, NewHook};
use purser_control::store::reports::{self, NoticeRow};
use purser_control::store::revisions::{self, RevisionRow};
use purser_control::store::sealed::{self, NewSecret, SecretRow};
use purser_control::store::{Store, tenants};
use purser_proto::link::command::Verb;
use sandbox::harness::Control;

/// Who does everything here.
const BY: &str = "ada@example.test";

pub(super) struct Desk {
    store: Store,
    clock: Clock,
    tenant: String,
}

impl Desk {
    pub(super) async fn at(control: &Control) -> Self {
        let store = Store::open(control.database()).await.unwrap();
        let tenant = tenants::find(&mut store.read().await.unwrap(), control.tenant()).await.unwrap().id;
        Self { store, clock: Clock::system(), tenant }
    }

    /// Before the database is exchanged.
    pub(super) async fn leave(self) {
        self.store.close().await;
    }

    pub(super) async fn agent(&self, agent: &str) -> Agent {
        agents::of(&mut self.store.read().await.unwrap(), &self.tenant, agent).await.unwrap()
    }

    /// A new revision; its number.
    pub(super) async fn configure(&self, agent: &str, toml: &str) -> i64 {
        let wanted = Wanted {
            tenant: self.tenant.clone(),
            agent: agent.to_owned(),
            toml: toml.to_owned(),
            by: BY.to_owned(),
            note: "test".to_owned(),
        };
        let configurations = Configurations::new(self.store.clone(), self.clock.clone());
        configurations.apply(wanted).await.unwrap().expect("a text that is new").number
    }

    pub(super) async fn revision(&self, agent: &str, number: i64) -> RevisionRow {
        revisions::of(&mut self.store.read().await.unwrap(), &self.tenant, agent, number).await.unwrap()
    }

    pub(super) async fn hand_in(&self, agent: &str, name: &str, armored: &str) -> String {
        let (tenant, agent, by) = (self.tenant.clone(), agent.to_owned(), BY.to_owned());
        let new = NewSecret { tenant, agent, name: name.to_owned(), armored: armored.to_owned(), by };
        let now = millis(&self.clock);
        self.store
            .write(move |tx| Box::pin(async move { sealed::hand_in(tx, new, now).await }))
            .await
            .unwrap()
    }

    pub(super) async fn secret(&self, agent: &str, id: &str) -> SecretRow {
        let all = sealed::of_agent(&mut self.store.read().await.unwrap(), &self.tenant, agent).await.unwrap();
        all.into_iter().find(|secret| secret.id == id).unwrap()
    }

    /// A hook of a connection; its path.
    pub(super) async fn hook(&self, agent: &str, connection: &str) -> String {
        let new = NewHook {
            tenant: self.tenant.clone(),
            agent: agent.to_owned(),
            connection: connection.to_owned(),
            headers: Vec::new(),
            ceilings: Ceilings::default(),
            by: BY.to_owned(),
        };
        let now = millis(&self.clock);
        let made =
            self.store.write(move |tx| Box::pin(async move { hooks::create(tx, &new, now).await })).await;
        made.unwrap().path()
    }

    /// Outcomes of webhooks as the agent told them: outcome, code, how many.
    pub(super) async fn webhooks(&self, agent: &str) -> Vec<(String, String, i64)> {
        reports::webhooks(&mut self.store.read().await.unwrap(), &self.tenant, agent, 0).await.unwrap()
    }

    pub(super) async fn command(&self, agent: &str, verb: Verb) -> String {
        let new = NewCommand {
            tenant: self.tenant.clone(),
            agent: agent.to_owned(),
            verb,
            by: BY.to_owned(),
            reason: "test".to_owned(),
            expires_at: millis(&self.clock) + 30 * 60_000,
        };
        let now = millis(&self.clock);
        self.store
            .write(move |tx| Box::pin(async move { commands::create(tx, &new, now).await }))
            .await
            .unwrap()
    }

    pub(super) async fn outcome(&self, command: &str) -> CommandRow {
        commands::of(&mut self.store.read().await.unwrap(), &self.tenant, command).await.unwrap()
    }

    /// Latest first.
    pub(super) async fn notices(&self, agent: &str) -> Vec<NoticeRow> {
        let mut connection = self.store.read().await.unwrap();
        reports::notices(&mut connection, &self.tenant, Some(agent), i64::MAX, 1000).await.unwrap()
    }
}
