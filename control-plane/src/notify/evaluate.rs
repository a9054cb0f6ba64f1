//! Asks the rules: which alerts begin, go on and end, and what is said about that.

use super::Notify;
use super::facts::TenantFacts;
use crate::alerts::Kind;
use crate::alerts::digest::{self, DAY, Digest};
use crate::alerts::message::{Event, Message, Told, messages};
use crate::alerts::rules::{AgentFacts, Condition, Key, conditions};
use crate::alerts::state::{Open, Step, step};
use crate::clock::{Millis, millis, passed};
use crate::metrics::{Outcome, count};
use crate::store::alerts::{self, Alert, Wishes};
use crate::store::tenants::{self, Tenant};
use crate::store::{Store, StoreError, Tx, alert_messages, turns};
use std::collections::HashMap;

/// How long a node keeps the turn of asking; more than any interval of asking.
const TURN: Millis = 2 * 3_600_000;
const HOUR: Millis = 3_600_000;

/// What one round of asking did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evaluated {
    /// Alerts that began.
    pub opened: u64,
    /// Alerts that were told again.
    pub repeated: u64,
    /// Alerts that ended.
    pub resolved: u64,
}

/// What is to be written about one alert.
enum Change {
    Begin(Condition),
    GoOn { alert: Alert, title: String, told: bool },
    End(Alert),
}

/// All that is known of a tenant in one round.
struct Round {
    tenant: Tenant,
    wishes: Wishes,
    open: HashMap<Key, Alert>,
    changes: Vec<Change>,
    digest: Digest,
    since: Millis,
    now: Millis,
}

impl Notify {
    /// Asks the rules about every tenant, writes what changes, and puts messages into the queues. Another node that has
    /// the turn does it in this one's place.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn evaluate(&self, every: Millis) -> Result<Evaluated, StoreError> {
        let now = millis(&self.clock);
        let node = self.node.clone();
        // Three rounds, so that a late one does not lose it; and never for long after the node's death.
        let turn = (3 * every).min(TURN);
        let mine = self
            .store
            .write(move |tx| Box::pin(async move { turns::take(tx, "alerts", &node, turn, now).await }));
        if !mine.await? {
            return Ok(Evaluated::default());
        }
        let since = now - (passed(&self.clock) - self.since);
        let mut all = Evaluated::default();
        let tenants = tenants::all(&mut *self.store.read().await?).await?;
        for tenant in tenants {
            let round = Round::read(&self.store, tenant, since, now).await?;
            let done = round.write(&self.store).await?;
            all.opened += done.opened;
            all.repeated += done.repeated;
            all.resolved += done.resolved;
        }
        self.counted(all);
        self.metrics.alerts_evaluated.set(now / 1000);
        Ok(all)
    }

    fn counted(&self, done: Evaluated) {
        for (outcome, number) in
            [("opened", done.opened), ("repeated", done.repeated), ("resolved", done.resolved)]
        {
            self.metrics.alerts.get_or_create(&Outcome { outcome }).inc_by(number);
        }
        if done != Evaluated::default() {
            count(&self.metrics.alerts, "rounds");
            tracing::info!(
                opened = done.opened,
                repeated = done.repeated,
                resolved = done.resolved,
                "alerts changed"
            );
        }
    }
}

impl Round {
    async fn read(store: &Store, tenant: Tenant, since: Millis, now: Millis) -> Result<Self, StoreError> {
        let mut connection = store.read().await?;
        let wishes = alerts::wishes(&mut connection, &tenant.id).await?;
        let open = alerts::open(&mut connection, &tenant.id).await?;
        let titles = open.iter().map(|alert| alert.title.clone()).collect();
        let open = open.into_iter().filter_map(|alert| Some((alert.key()?, alert))).collect();
        let digest = Digest { titles, ..Digest::default() };
        let mut round = Self { tenant, wishes, open, changes: Vec::new(), digest, since, now };
        let mut facts = TenantFacts::read(&mut connection, &round.tenant.id, now).await?;
        let mut after = String::new();
        loop {
            let agents = facts.agents(&mut connection, &round.tenant.id, &after).await?;
            let Some(last) = agents.last() else { break };
            after.clone_from(&last.agent);
            agents.iter().for_each(|agent| round.agent(agent));
        }
        round.rest();
        Ok(round)
    }

    fn agent(&mut self, facts: &AgentFacts) {
        self.digest.agents += 1;
        for flow in facts.status.iter().flat_map(|status| status.flows.values()) {
            for (state, number) in &flow.postings {
                *self.digest.postings.entry(crate::alerts::rules::named(state)).or_default() += number;
            }
        }
        let open = &self.open;
        let found =
            conditions(facts, self.wishes.thresholds, self.since, self.now, |key| open.contains_key(key));
        for condition in found {
            *self.digest.open.entry(condition.key.kind.word()).or_default() += 1;
            self.digest.offline += u64::from(condition.key.kind == Kind::AgentOffline);
            let alert = self.open.remove(&condition.key);
            let before = alert.as_ref().map(|alert| Open { seen_at: alert.seen_at, told_at: alert.told_at });
            let told = match step(before, true, self.wishes.repeat_hours * HOUR, self.now) {
                Step::Open => {
                    self.changes.push(Change::Begin(condition));
                    continue;
                }
                Step::Repeat => true,
                Step::Note => false,
                Step::Rest | Step::Resolve => continue,
            };
            self.changes.extend(alert.map(|alert| Change::GoOn { alert, title: condition.title, told }));
        }
    }

    /// Alerts whose conditions were not found.
    fn rest(&mut self) {
        for alert in std::mem::take(&mut self.open).into_values() {
            let open = Open { seen_at: alert.seen_at, told_at: alert.told_at };
            if step(Some(open), false, 0, self.now) == Step::Resolve {
                self.changes.push(Change::End(alert));
            }
        }
    }

    async fn write(self, store: &Store) -> Result<Evaluated, StoreError> {
        let digest = digest::is_due(self.wishes.digest_hour, self.wishes.digest_day, self.now);
        if self.changes.is_empty() && !digest {
            return Ok(Evaluated::default());
        }
        store.write(move |tx| Box::pin(async move { self.written(tx, digest).await })).await
    }

    async fn written(self, tx: &mut Tx, digest: bool) -> Result<Evaluated, StoreError> {
        let (tenant, now) = (self.tenant.id, self.now);
        let mut happened = Vec::new();
        for change in self.changes {
            happened.extend(changed(tx, &tenant, change, now).await?);
        }
        let number = |wanted| happened.iter().filter(|(event, _)| *event == wanted).count() as u64;
        let done = Evaluated {
            opened: number(Event::Opened),
            repeated: number(Event::Repeated),
            resolved: number(Event::Resolved),
        };
        let mut all = messages(&tenant, happened, now);
        if digest && alerts::take_digest(tx, &tenant, now.div_euclid(DAY)).await? {
            all.push(digest::message(&tenant, &self.tenant.name, &self.digest, now));
        }
        enqueue(tx, &tenant, &all, now).await?;
        Ok(done)
    }
}

/// Writes one change; what is to be told of it.
async fn changed(
    tx: &mut Tx,
    tenant: &str,
    change: Change,
    now: Millis,
) -> Result<Option<(Event, Told)>, StoreError> {
    Ok(match change {
        Change::Begin(condition) => alerts::begin(tx, tenant, &condition, now).await?.map(|alert| {
            let Key { kind, agent, concerns } = condition.key;
            let told = Told {
                alert,
                kind,
                agent,
                agent_name: condition.agent_name,
                concerns,
                title: condition.title,
                since: now,
            };
            (Event::Opened, told)
        }),
        Change::GoOn { alert, title, told } => {
            let gone_on = alerts::go_on(tx, tenant, &alert.id, &title, told, now).await?;
            (gone_on && told).then(|| tell(alert, Event::Repeated, title)).flatten()
        }
        Change::End(alert) => {
            let ended = alerts::resolve(tx, tenant, &alert.id, now).await?;
            let title = alert.title.clone();
            ended.then(|| tell(alert, Event::Resolved, title)).flatten()
        }
    })
}

fn tell(alert: Alert, event: Event, title: String) -> Option<(Event, Told)> {
    let Key { kind, agent, concerns } = alert.key()?;
    let told = Told {
        alert: alert.id,
        kind,
        agent,
        agent_name: alert.agent_name,
        concerns,
        title,
        since: alert.opened_at,
    };
    Some((event, told))
}

/// Puts messages into the queues of those who want them.
async fn enqueue(tx: &mut Tx, tenant: &str, all: &[Message], now: Millis) -> Result<(), StoreError> {
    if all.is_empty() {
        return Ok(());
    }
    for destination in alerts::destinations(tx.connection(), tenant).await? {
        for message in all.iter().filter(|message| destination.wants(message)) {
            alert_messages::enqueue(tx, &destination, message, now).await?;
        }
    }
    Ok(())
}
