//! Alerts from facts in a real store to a receiver's socket, with a clock that is moved by hand.

mod mails;
mod receiver;
mod webhooks;

use super::{Evaluated, Notify};
use crate::alerts::Kind;
use crate::clock::{Clock, Millis, millis, timestamp};
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::store::agents::{self, NewAgent};
use crate::store::alerts::{self, Alert, Destination, NewDestination, Way, Wishes};
use crate::store::reports::{self, Origin};
use crate::store::{Store, alert_messages, tenants, times};
use chrono::TimeDelta;
use purser_proto::link::enrollment::PublicKeys;
use purser_proto::link::report::{FlowReport, Notice, NoticeLevel, StatusReport};
use tempfile::TempDir;

const MINUTE: Millis = 60_000;
const EVERY: Millis = 30_000;

/// A tenant with one agent, and somebody who tells.
struct Scene {
    store: Store,
    clock: Clock,
    notify: Notify,
    tenant: String,
    folder: TempDir,
}

impl Scene {
    async fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/control.db", folder.path().display());
        Self::on(&url, folder, change).await
    }

    async fn on(url: &str, folder: TempDir, change: impl FnOnce(&mut Settings)) -> Self {
        let store = Store::open(url).await.unwrap();
        let clock = Clock::manual(timestamp(1_800_000_000_000));
        let mut settings = Settings::defaults();
        settings.alerts.http_to_loopback = true;
        settings.alerts.key = Some("a-key-of-32-characters-for-tests".to_owned().into());
        change(&mut settings);
        let notify = Notify::new(store.clone(), clock.clone(), Metrics::new(), &settings).unwrap();
        let now = millis(&clock);
        let tenant =
            store.write(move |tx| Box::pin(async move { tenants::create(tx, "Example", now).await }));
        let tenant = tenant.await.unwrap().id;
        Self { store, clock, notify, tenant, folder }
    }

    fn now(&self) -> Millis {
        millis(&self.clock)
    }

    fn pass(&self, time: Millis) {
        self.clock.advance(TimeDelta::milliseconds(time));
    }

    async fn agent(&self, id: &str, name: &str) {
        let new = NewAgent {
            id: id.to_owned(),
            tenant: self.tenant.clone(),
            name: name.to_owned(),
            host: "host".into(),
            platform: "linux-x86_64".into(),
            agent_version: "1".into(),
            keys: PublicKeys { signing: format!("{id}-signing").as_str().into(), recipient: "age1".into() },
            approved: true,
        };
        let now = self.now();
        let made = self.store.write(move |tx| Box::pin(async move { agents::insert(tx, &new, now).await }));
        made.await.unwrap();
    }

    /// The agent speaks, and says how many postings its flow holds.
    async fn speaks(&self, id: &str, held: u64) {
        let (now, id, tenant) = (self.now(), id.to_owned(), self.tenant.clone());
        let mut status = StatusReport::default();
        let flow = FlowReport { postings: [("held".to_owned(), held)].into(), ..FlowReport::default() };
        status.flows.insert("expenses".into(), flow);
        let said = self.store.write(move |tx| {
            Box::pin(async move {
                let update = sqlx::query("update agents set last_seen = $1 where id = $2");
                update.bind(now).bind(id.as_str()).execute(tx.connection()).await?;
                let agent = agents::of(tx.connection(), &tenant, &id).await?;
                reports::put_status(tx, &agent, &status, now, now).await
            })
        });
        said.await.unwrap();
    }

    async fn notice(&self, id: &str, level: NoticeLevel, code: &str) {
        let (now, id, tenant) = (self.now(), id.to_owned(), self.tenant.clone());
        let notice = Notice {
            level,
            code: code.into(),
            concerns: Some("erp".into()),
            what: "canary-what".into(),
            fix: "canary-fix".into(),
        };
        let said = self.store.write(move |tx| {
            Box::pin(async move {
                reports::notice(tx, &tenant, &id, Origin::ControlPlane, &notice, now, now).await
            })
        });
        said.await.unwrap();
    }

    async fn destination(&self, way: Way, target: &str) -> Destination {
        let target = self.notify.checked(way, target).unwrap();
        let new = NewDestination { way, target, kinds: vec![], digest: true, by: "owner".into() };
        let (tenant, now) = (self.tenant.clone(), self.now());
        let made = self
            .store
            .write(move |tx| Box::pin(async move { alerts::add_destination(tx, &tenant, &new, now).await }));
        made.await.unwrap()
    }

    /// Puts a trial into the queue of a destination.
    async fn trial(&self, to: &Destination) {
        let (to, now) = (to.clone(), self.now());
        let message = crate::alerts::message::trial(&to.tenant, now);
        let queued = self
            .store
            .write(move |tx| Box::pin(async move { alert_messages::enqueue(tx, &to, &message, now).await }));
        queued.await.unwrap();
    }

    async fn wish(&self, wishes: Wishes) {
        let (tenant, now) = (self.tenant.clone(), self.now());
        let made = self
            .store
            .write(move |tx| Box::pin(async move { alerts::wish(tx, &tenant, &wishes, "owner", now).await }));
        made.await.unwrap();
    }

    async fn evaluate(&self) -> Evaluated {
        self.notify.evaluate(EVERY).await.unwrap()
    }

    async fn open(&self) -> Vec<Alert> {
        alerts::open(&mut self.store.read().await.unwrap(), &self.tenant).await.unwrap()
    }

    async fn sent(&self, destination: &Destination) -> Vec<alert_messages::Sent> {
        let mut connection = self.store.read().await.unwrap();
        alert_messages::sent(&mut connection, &self.tenant, &destination.id, 100).await.unwrap()
    }
}

#[tokio::test]
async fn an_alert_opens_goes_on_repeats_and_is_resolved() {
    let scene = Scene::new(|_| {}).await;
    scene.agent("a1", "north").await;
    assert_eq!(scene.evaluate().await, Evaluated::default());
    scene.pass(15 * MINUTE);
    assert_eq!(scene.evaluate().await.opened, 1);
    assert_eq!(scene.evaluate().await, Evaluated::default(), "one alert, not one a round");
    for _ in 0..24 {
        scene.pass(60 * MINUTE);
        scene.evaluate().await;
    }
    let open = scene.open().await;
    assert_eq!((open.len(), open[0].kind.as_str(), open[0].repeats), (1, "agent-offline", 1));
    scene.speaks("a1", 0).await;
    assert_eq!(scene.evaluate().await.resolved, 0, "it has just come back");
    scene.pass(5 * MINUTE);
    scene.speaks("a1", 0).await;
    assert_eq!(scene.evaluate().await.resolved, 1);
    assert!(scene.open().await.is_empty());
    let all =
        alerts::list(&mut scene.store.read().await.unwrap(), &scene.tenant, false, "", 10).await.unwrap();
    assert_eq!(all.len(), 1);
    assert!(all[0].resolved_at.is_some());
    // It is the next one when it happens again.
    scene.pass(15 * MINUTE);
    assert_eq!(scene.evaluate().await.opened, 1);
    assert_eq!(scene.notify.metrics.alerts_evaluated.get(), scene.now() / 1000);
}

#[tokio::test]
async fn a_clock_that_goes_back_hides_no_silence_and_ends_no_alert_later() {
    let scene = Scene::new(|_| {}).await;
    scene.agent("a1", "north").await;
    scene.agent("a2", "south").await;
    scene.pass(15 * MINUTE);
    scene.speaks("a2", 0).await;
    assert_eq!(scene.evaluate().await.opened, 1);
    scene.clock.set_by(TimeDelta::days(-400));
    let now = scene.now();
    scene.store.write(move |tx| Box::pin(times::bring_back(tx, now))).await.unwrap();
    scene.speaks("a1", 0).await;
    scene.pass(5 * MINUTE);
    assert_eq!(scene.evaluate().await.resolved, 1);
    scene.pass(10 * MINUTE);
    let opened = scene.evaluate().await;
    assert_eq!(opened.opened, 2, "both are silent: {opened:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_holds_on_postgresql() {
    let server = crate::testing::Postgres::start().await;
    let scene = Scene::on(&server.database().await, tempfile::tempdir().unwrap(), |_| {}).await;
    let receiver = receiver::Receiver::start().await;
    let destination = scene.destination(Way::Webhook, &receiver.url()).await;
    scene.wish(Wishes { digest_hour: Some(0), ..Wishes::default() }).await;
    scene.agent("a1", "north").await;
    scene.notice("a1", NoticeLevel::Security, "secret-for-another-origin").await;
    scene.pass(15 * MINUTE);
    assert_eq!(scene.evaluate().await.opened, 2);
    assert_eq!(scene.notify.send_due().await.unwrap(), 2);
    receiver.answers("500 Away");
    scene.pass(25 * 60 * MINUTE);
    assert_eq!(scene.evaluate().await, Evaluated { opened: 0, repeated: 1, resolved: 1 });
    assert!(scene.notify.send_due().await.unwrap() > 0);
    scene.speaks("a1", 30).await;
    scene.pass(5 * MINUTE);
    scene.speaks("a1", 30).await;
    let done = scene.evaluate().await;
    assert_eq!((done.opened, done.resolved), (1, 1));
    receiver.answers("200 Back");
    scene.pass(60 * MINUTE);
    while scene.notify.send_due().await.unwrap() > 0 {}
    let sent = scene.sent(&destination).await;
    assert!(sent.iter().all(|message| message.state == "delivered"), "{sent:?}");
    assert_eq!(sent.iter().filter(|message| message.event == "digest").count(), 1);
    let (tenant, id) = (scene.tenant.clone(), destination.id);
    let removed = scene
        .store
        .write(move |tx| Box::pin(async move { alerts::remove_destination(tx, &tenant, &id).await }));
    removed.await.unwrap();
    scene.store.close().await;
}

#[tokio::test]
async fn what_the_link_noticed_becomes_an_alert_without_its_words() {
    let scene = Scene::new(|_| {}).await;
    scene.agent("a1", "north").await;
    scene.notice("a1", NoticeLevel::Security, "secret-for-another-origin").await;
    scene.notice("a1", NoticeLevel::Fault, "audit-went-back").await;
    scene.notice("a1", NoticeLevel::Warning, "disk-nearly-full").await;
    scene.speaks("a1", 40).await;
    assert_eq!(scene.evaluate().await.opened, 3);
    let open = scene.open().await;
    let mut kinds: Vec<_> = open.iter().map(|alert| alert.kind.as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["audit-went-back", "holds", "security-event"]);
    assert!(!format!("{open:?}").contains("canary"), "{open:?}");
    scene.pass(25 * 60 * MINUTE);
    scene.speaks("a1", 3).await;
    scene.evaluate().await;
    scene.pass(5 * MINUTE);
    scene.evaluate().await;
    assert!(scene.open().await.is_empty(), "{:?}", scene.open().await);
}

#[tokio::test]
async fn a_revoked_agent_is_no_news_any_more() {
    let scene = Scene::new(|_| {}).await;
    scene.agent("a1", "north").await;
    scene.pass(60 * MINUTE);
    assert_eq!(scene.evaluate().await.opened, 1);
    let revoke = scene.store.write(|tx| {
        Box::pin(async move {
            sqlx::query("update agents set revoked_at = 1 where id = 'a1'").execute(tx.connection()).await?;
            Ok(())
        })
    });
    revoke.await.unwrap();
    scene.pass(6 * MINUTE);
    assert_eq!(scene.evaluate().await.resolved, 1);
}

#[tokio::test]
async fn two_nodes_take_turns() {
    let scene = Scene::new(|_| {}).await;
    scene.agent("a1", "north").await;
    let settings = Settings::defaults();
    let other = Notify::new(scene.store.clone(), scene.clock.clone(), Metrics::new(), &{
        let mut settings = settings;
        settings.alerts.key = Some("a-key-of-32-characters-for-tests".to_owned().into());
        settings
    })
    .unwrap();
    scene.pass(60 * MINUTE);
    assert_eq!(scene.evaluate().await.opened, 1);
    scene.pass(EVERY);
    assert_eq!(other.evaluate(EVERY).await.unwrap(), Evaluated::default());
    assert_eq!(other.metrics.alerts_evaluated.get(), 0, "the first node has the turn");
    // The first node is gone for three rounds.
    scene.pass(3 * EVERY);
    other.evaluate(EVERY).await.unwrap();
    assert_eq!(other.metrics.alerts_evaluated.get(), scene.now() / 1000);
}

#[tokio::test]
async fn a_foreign_tenant_sees_and_changes_no_destination() {
    let scene = Scene::new(|_| {}).await;
    let destination = scene.destination(Way::Mail, "ops@example.test").await;
    let id = destination.id.clone();
    let foreign = scene.store.write(move |tx| {
        Box::pin(async move {
            assert!(alerts::destination(tx.connection(), "t-other", &id).await.is_err());
            assert!(alerts::rotate(tx, "t-other", &id, 1).await.is_err());
            assert!(
                alerts::change_destination(tx, "t-other", &id, &[Kind::Holds], false, false).await.is_err()
            );
            assert!(alerts::remove_destination(tx, "t-other", &id).await.is_err());
            alerts::destinations(tx.connection(), "t-other").await
        })
    });
    assert_eq!(foreign.await.unwrap(), []);
    let mut connection = scene.store.read().await.unwrap();
    assert_eq!(alerts::destinations(&mut connection, &scene.tenant).await.unwrap(), [destination]);
    let wrong = Wishes { repeat_hours: -1, ..Wishes::default() };
    let tenant = scene.tenant.clone();
    drop(connection);
    let refused = scene
        .store
        .write(move |tx| Box::pin(async move { alerts::wish(tx, &tenant, &wrong, "owner", 1).await }));
    assert!(refused.await.unwrap_err().to_string().contains("repeat_hours is from 0"));
}
