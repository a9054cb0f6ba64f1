//! One list of behaviours, on both engines.

mod accounts;
mod addresses;
mod expiry;
mod panics;
#[cfg(unix)]
mod silence;

use super::agents::NewAgent;
use super::codes::NewCode;
use super::commands::NewCommand;
use super::deliveries::NewDelivery;
use super::revisions::NewRevision;
use super::sealed::NewSecret;
use super::*;
use crate::secrets::{code_hash, draw_id};
#[cfg(unix)]
use crate::testing::Postgres;
use accounts::{
    an_answer_is_kept_once_per_key, people_are_found_changed_and_removed,
    removed_agents_leave_nothing_but_their_past, sessions_and_tokens_end,
    the_admin_audit_log_is_a_chain_that_nobody_changes,
};
use addresses::{
    an_address_of_a_hook_cannot_be_kept_with_a_webhook, hooks_keep_to_what_is_allowed,
    live_addresses_are_those_that_can_be_called,
};
use expiry::{
    webhooks_that_nobody_fetched_are_told_of_when_they_go,
    what_was_written_by_a_clock_that_was_ahead_does_not_hold_for_as_long,
};
use panics::a_panic_undoes_its_operation_and_no_other;
use purser_proto::link::command::{CommandResult, Outcome, Verb};
use purser_proto::link::configuration::RevisionVerdict;
use purser_proto::link::enrollment::PublicKeys;
use purser_proto::link::report::{Notice, NoticeLevel, StatusReport};
use purser_proto::link::sync::DeliveryBody;
use secrecy::ExposeSecret as _;

type Check = fn(Store) -> BoxFuture<'static, ()>;

macro_rules! list {
    ($($name:ident),* $(,)?) => {
        const LIST: &[(&str, Check)] = &[$((stringify!($name), |store| Box::pin($name(store)))),*];
    };
}

list! {
    an_error_undoes_its_operation_and_no_other,
    a_panic_undoes_its_operation_and_no_other,
    many_operations_are_written_together,
    a_code_is_used_up_once,
    nonces_are_remembered_and_forgotten,
    deliveries_wait_in_order_until_they_are_taken,
    an_answer_holds_only_so_much,
    revisions_count_on_and_replace_what_waits,
    a_revision_that_is_not_newer_is_not_given_out,
    commands_end_once,
    webhooks_that_nobody_fetched_are_told_of_when_they_go,
    what_was_written_by_a_clock_that_was_ahead_does_not_hold_for_as_long,
    secrets_go_when_they_are_decided,
    statuses_notices_and_counts_are_kept,
    templates_are_changed_by_one_at_a_time,
    hooks_keep_to_what_is_allowed,
    live_addresses_are_those_that_can_be_called,
    an_address_of_a_hook_cannot_be_kept_with_a_webhook,
    a_foreign_tenant_sees_nothing,
    revoked_agents_get_nothing_more,
    removed_agents_leave_nothing_but_their_past,
    the_admin_audit_log_is_a_chain_that_nobody_changes,
    an_answer_is_kept_once_per_key,
    people_are_found_changed_and_removed,
    sessions_and_tokens_end,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_behaviour_holds_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("sqlite:{}/control.db", folder.path().display())).await.unwrap();
    for (name, check) in LIST {
        eprintln!("{name}");
        check(store.clone()).await;
    }
    store.close().await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_behaviour_holds_on_postgresql() {
    let server = Postgres::start().await;
    let store = Store::open(&server.database().await).await.unwrap();
    for (name, check) in LIST {
        eprintln!("{name}");
        check(store.clone()).await;
    }
    nodes_that_start_together_take_turns(&server).await;
    store.close().await;
}

#[cfg(unix)]
async fn nodes_that_start_together_take_turns(server: &Postgres) {
    let url = server.database().await;
    let opened = futures_util::future::join_all((0..4).map(|_| Store::open(&url))).await;
    for store in opened {
        store.unwrap().close().await;
    }
}

#[tokio::test]
async fn what_is_no_database_is_refused_with_words() {
    assert!(matches!(Store::open("mysql://x").await, Err(StoreError::Url)));
    assert!(matches!(Store::open("sqlite::memory:").await, Err(StoreError::InMemory)));
    let error = Store::open("sqlite:/nowhere/at/all/control.db").await.unwrap_err();
    assert!(error.to_string().contains("cannot be opened"), "{error}");
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/control.db", folder.path().display());
    let store = Store::open(&url).await.unwrap();
    let op = store.write(|tx| {
        Box::pin(async move {
            let insert = sqlx::query("insert into migrations (number, name) values (9999, '9999_later')");
            insert.execute(tx.connection()).await?;
            Ok(())
        })
    });
    op.await.unwrap();
    store.close().await;
    assert!(matches!(Store::open(&url).await, Err(StoreError::Newer { found: 9999, .. })));
}

#[test]
fn both_engines_have_the_same_tables() {
    let tables = |sql: &str| -> Vec<String> {
        let lines = sql.lines().map(str::trim).filter(|line| !line.starts_with("--") && !line.is_empty());
        let plain = lines.map(|line| {
            line.replace(
                "bigint generated always as identity primary key",
                "integer primary key autoincrement",
            )
            .replace("bigint", "integer")
            .replace(") strict, without rowid;", ");")
            .replace(") strict;", ");")
        });
        plain.collect()
    };
    for migration in migrations::MIGRATIONS {
        let same = |sql: &'static str| {
            let differ = [
                "-- Agents to be woken",
                "-- Nothing in the log is changed",
                "-- Nor can they keep a webhook",
            ];
            differ.into_iter().fold(sql, |sql, from| sql.split(from).next().unwrap())
        };
        assert_eq!(tables(same(migration.sqlite)), tables(same(migration.postgres)), "{}", migration.name);
    }
}

async fn an_error_undoes_its_operation_and_no_other(store: Store) {
    let bad = store.write(|tx| {
        Box::pin(async move {
            tenants::create(tx, "half", 1).await?;
            tenants::create(tx, "half", 1).await?;
            Ok(())
        })
    });
    let good = store.write(|tx| Box::pin(async move { tenants::create(tx, "whole", 1).await }));
    let (bad, good) = tokio::join!(bad, good);
    assert!(matches!(bad, Err(StoreError::Conflict(_))), "{bad:?}");
    assert_eq!(good.unwrap().name, "whole");
    let mut connection = store.read().await.unwrap();
    assert!(matches!(tenants::find(&mut connection, "half").await, Err(StoreError::Missing { .. })));
    assert_eq!(tenants::find(&mut connection, "whole").await.unwrap().created_at, 1);
}

async fn many_operations_are_written_together(store: Store) {
    let agent = agent(&store).await;
    let ops = (0..300).map(|n| {
        let delivery = delivery(&agent, &format!("w{n}"), 10);
        store.append(move |tx| Box::pin(async move { deliveries::insert(tx, &delivery, 1).await }))
    });
    for done in futures_util::future::join_all(ops).await {
        done.unwrap();
    }
    let mut connection = store.read().await.unwrap();
    assert_eq!(deliveries::count(&mut connection, &agent.id).await.unwrap(), 300);
    assert_eq!(deliveries::waiting(&mut connection, &agent.id, 0, 2).await.unwrap().len(), 256);
}

async fn a_code_is_used_up_once(store: Store) {
    let tenant = tenant(&store).await;
    let new =
        NewCode { tenant: tenant.clone(), name: String::new(), approve: true, by: "x".into(), minutes: 1 };
    let made = store.write(move |tx| Box::pin(async move { codes::create(tx, &new, 0).await }));
    let (shown, code) = made.await.unwrap();
    let found = codes::by_hash(&mut store.read().await.unwrap(), &code_hash(shown.expose_secret())).await;
    assert_eq!(found.unwrap(), Some(code.clone()));
    let id = code.id.clone();
    let late = store.write(move |tx| Box::pin(async move { codes::use_up(tx, &id, "a", 60_000).await }));
    assert!(!late.await.unwrap());
    let tries = (0..20).map(|n| {
        let (id, agent) = (code.id.clone(), format!("a{n}"));
        store.write(move |tx| Box::pin(async move { codes::use_up(tx, &id, &agent, 59_999).await }))
    });
    let won = futures_util::future::join_all(tries).await;
    assert_eq!(won.into_iter().filter(|won| *won.as_ref().unwrap()).count(), 1);
    let id = code.id;
    let revoked = store.write(move |tx| Box::pin(async move { codes::revoke(tx, &tenant, &id, 5).await }));
    assert!(matches!(revoked.await, Err(StoreError::Missing { .. })));
}

async fn nonces_are_remembered_and_forgotten(store: Store) {
    let who = draw_id('a').unwrap();
    let remember = |at: i64| {
        let signed_at = at;
        let who = who.clone();
        store.write(move |tx| Box::pin(async move { nonces::remember(tx, &who, "n", signed_at, at).await }))
    };
    assert!(remember(-10).await.unwrap());
    assert!(!remember(-9).await.unwrap());
    store.write(|tx| Box::pin(nonces::forget(tx, -9, -8))).await.unwrap();
    assert!(!remember(-9).await.unwrap(), "nobody knows any more whether it was used");
    assert!(remember(-8).await.unwrap());
}

async fn deliveries_wait_in_order_until_they_are_taken(store: Store) {
    let agent = agent(&store).await;
    for name in ["one", "two", "three"] {
        let delivery = NewDelivery {
            expires_at: (name == "two").then_some(100),
            kind: if name == "two" { "command" } else { "webhook" },
            ..delivery(&agent, &format!("{}-{name}", agent.id), 10)
        };
        store
            .write(move |tx| Box::pin(async move { deliveries::insert(tx, &delivery, 1).await }))
            .await
            .unwrap();
    }
    let waiting = |at| {
        let (store, id) = (store.clone(), agent.id.clone());
        async move {
            let mut connection = store.read().await.unwrap();
            let all = deliveries::waiting(&mut connection, &id, 0, at).await.unwrap();
            all.iter().map(|one| one.id.as_str().rsplit('-').next().unwrap().to_owned()).collect::<Vec<_>>()
        }
    };
    assert_eq!(waiting(99).await, ["one", "two", "three"]);
    assert_eq!(waiting(100).await, ["one", "three"]);
    let (id, taken) = (agent.id.clone(), format!("{}-one", agent.id));
    let other = format!("{}-three", agent.id);
    let foreign =
        store.write(move |tx| Box::pin(async move { deliveries::taken(tx, "nobody", &[&other], 9).await }));
    foreign.await.unwrap();
    let op = store
        .write(move |tx| Box::pin(async move { deliveries::taken(tx, &id, &[&taken, "what"], 9).await }));
    op.await.unwrap();
    assert_eq!(waiting(100).await, ["three"]);
    deliveries::expire(&store, 100).await.unwrap();
    assert_eq!(waiting(1).await, ["three"]);
}

async fn an_answer_holds_only_so_much(store: Store) {
    let agent = agent(&store).await;
    for n in 0..6 {
        let delivery = delivery(&agent, &format!("{}-{n}", agent.id), 1_900_000);
        store
            .write(move |tx| Box::pin(async move { deliveries::insert(tx, &delivery, 1).await }))
            .await
            .unwrap();
    }
    let mut connection = store.read().await.unwrap();
    let first = deliveries::waiting(&mut connection, &agent.id, 0, 1).await.unwrap();
    assert_eq!(first.len(), 4);
    let bytes = serde_json::to_vec(&first).unwrap().len();
    assert!(bytes < purser_proto::link::limits::LARGEST_MESSAGE, "{bytes}");
}

async fn revisions_count_on_and_replace_what_waits(store: Store) {
    let agent = agent(&store).await;
    let make = |base, toml: &str| {
        let new = revision(&agent, base, toml);
        store.write(move |tx| Box::pin(revisions::insert(tx, new, 5)))
    };
    assert_eq!(make(0, "a").await.unwrap().number, 1);
    assert!(matches!(make(0, "b").await, Err(StoreError::Conflict(_))));
    let second = make(1, "b").await.unwrap();
    assert_eq!((second.number, second.state.as_str()), (2, "waiting"));
    {
        let mut connection = store.read().await.unwrap();
        let waiting = deliveries::waiting(&mut connection, &agent.id, 0, 9).await.unwrap();
        let [only] = &waiting[..] else { panic!("{waiting:?}") };
        let DeliveryBody::Revision(revision) = &only.body else { panic!("{only:?}") };
        assert!(revision.is_whole() && revision.number == 2);
        let first = revisions::of(&mut connection, &agent.tenant, &agent.id, 1).await.unwrap();
        assert_eq!(first.state, "superseded");
    }
    let id = agent.id.clone();
    let verdict = RevisionVerdict { number: 2, refused: [].into_iter().collect() };
    let decide =
        store.write(move |tx| Box::pin(async move { revisions::decide(tx, &id, &verdict, 9).await }));
    decide.await.unwrap();
    let mut connection = store.read().await.unwrap();
    let all = revisions::of_agent(&mut connection, &agent.tenant, &agent.id, i64::MAX, 10).await.unwrap();
    assert_eq!(all.iter().map(|one| one.number).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(
        (all[0].state.as_str(), all[0].decided_at, all[0].findings.as_str()),
        ("applied", Some(9), "[]")
    );
    assert_eq!(deliveries::count(&mut connection, &agent.id).await.unwrap(), 0);
}

async fn a_revision_that_is_not_newer_is_not_given_out(store: Store) {
    let agent = agent(&store).await;
    let id = agent.id.clone();
    let works = store.write(move |tx| {
        Box::pin(async move {
            let update = sqlx::query("update agents set in_force = 41 where id = $1");
            update.bind(id).execute(tx.connection()).await?;
            Ok(())
        })
    });
    works.await.unwrap();
    let new = revision(&agent, 0, "a");
    let made = store.write(move |tx| Box::pin(revisions::insert(tx, new, 5))).await.unwrap();
    assert_eq!(made.number, 42);
    let mut connection = store.read().await.unwrap();
    for (in_force, expected) in [(41, 1), (42, 0), (90, 0)] {
        let waiting = deliveries::waiting(&mut connection, &agent.id, in_force, 9).await.unwrap();
        assert_eq!(waiting.len(), expected, "{in_force}");
    }
}

async fn commands_end_once(store: Store) {
    let agent = agent(&store).await;
    let new = NewCommand {
        tenant: agent.tenant.clone(),
        agent: agent.id.clone(),
        verb: Verb::Run { flow: "f".into() },
        by: "somebody".into(),
        reason: "because".into(),
        expires_at: 1000,
    };
    let id =
        store.write(move |tx| Box::pin(async move { commands::create(tx, &new, 1).await })).await.unwrap();
    let finish = |outcome, agent: &str| {
        let (agent, id) = (agent.to_owned(), id.clone());
        let result = CommandResult { outcome, words: "well".into(), detail: "{}".into() };
        store.write(move |tx| Box::pin(async move { commands::finish(tx, &agent, &id, &result, 7).await }))
    };
    finish(Outcome::Failed, "another agent").await.unwrap();
    finish(Outcome::Done, &agent.id).await.unwrap();
    finish(Outcome::Failed, &agent.id).await.unwrap();
    store.write(|tx| Box::pin(commands::expire(tx, 5000))).await.unwrap();
    let mut connection = store.read().await.unwrap();
    let row = commands::of(&mut connection, &agent.tenant, &id).await.unwrap();
    assert_eq!((row.state.as_str(), row.finished_at, row.word.as_str()), ("done", Some(7), "run"));
    let all = commands::of_agent(&mut connection, &agent.tenant, &agent.id, 2, 10).await.unwrap();
    assert_eq!(all, [row]);
}

async fn secrets_go_when_they_are_decided(store: Store) {
    let agent = agent(&store).await;
    let hand_in = |armored: &str| {
        let new = NewSecret {
            tenant: agent.tenant.clone(),
            agent: agent.id.clone(),
            name: "brex-main".into(),
            armored: armored.to_owned(),
            by: "somebody".into(),
        };
        store.write(move |tx| Box::pin(sealed::hand_in(tx, new, 1)))
    };
    assert!(matches!(hand_in("my password").await, Err(StoreError::Conflict(_))));
    let armored = "-----BEGIN AGE ENCRYPTED FILE-----\nCANARY\n-----END AGE ENCRYPTED FILE-----\n";
    hand_in(armored).await.unwrap();
    let id = hand_in(armored).await.unwrap();
    let count = |store: &Store| {
        let (store, agent) = (store.clone(), agent.id.clone());
        async move { deliveries::count(&mut store.read().await.unwrap(), &agent).await.unwrap() }
    };
    assert_eq!(count(&store).await, 1, "the later one takes the place of the one that waits");
    let (who, which) = (agent.id.clone(), id.clone());
    let done =
        store.write(move |tx| Box::pin(async move { sealed::finish(tx, &who, &which, None, 9).await }));
    done.await.unwrap();
    assert_eq!(count(&store).await, 0);
    let mut connection = store.read().await.unwrap();
    let all = sealed::of_agent(&mut connection, &agent.tenant, &agent.id).await.unwrap();
    let states: Vec<&str> = all.iter().map(|secret| secret.state.as_str()).collect();
    assert!(states.contains(&"stored") && states.contains(&"superseded") && states.len() == 2, "{states:?}");
    let kept: i64 = sqlx::query_scalar("select count(*) from deliveries where body like '%CANARY%'")
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    assert_eq!(kept, 0);
}

async fn statuses_notices_and_counts_are_kept(store: Store) {
    let agent = agent(&store).await;
    for at in [5, 6] {
        let who = agent.clone();
        let status = StatusReport { agent_version: format!("0.{at}").into(), ..StatusReport::default() };
        let op = store.write(move |tx| {
            Box::pin(async move {
                reports::put_status(tx, &who, &status, at, at + 1).await?;
                reports::count_webhook(tx, &who, "refused", "bad-signature", 86_400_000 + at).await?;
                let notice = Notice {
                    level: NoticeLevel::Security,
                    code: "something".into(),
                    concerns: Some("brex".into()),
                    what: format!("at {at}").into(),
                    fix: "mend it".into(),
                };
                let origin = reports::Origin::Agent(at);
                reports::notice(tx, &who.tenant, &who.id, origin, &notice, at, at + 1).await
            })
        });
        op.await.unwrap();
    }
    let mut connection = store.read().await.unwrap();
    let status = reports::status(&mut connection, &agent.tenant, &agent.id).await.unwrap().unwrap();
    assert_eq!((status.at, status.status.agent_version.as_str()), (6, "0.6"));
    assert_eq!(agents::of(&mut connection, &agent.tenant, &agent.id).await.unwrap().agent_version, "0.6");
    let counts = reports::webhooks(&mut connection, &agent.tenant, &agent.id, 0).await.unwrap();
    assert_eq!(counts, [("refused".to_owned(), "bad-signature".to_owned(), 2)]);
    let newest =
        reports::notices(&mut connection, &agent.tenant, Some(&agent.id), i64::MAX, 1).await.unwrap();
    assert_eq!((newest[0].what.as_str(), newest[0].level.as_str()), ("at 6", "security"));
    let older = reports::notices(&mut connection, &agent.tenant, None, newest[0].seq, 9).await.unwrap();
    assert_eq!(older.iter().map(|one| one.what.as_str()).collect::<Vec<_>>(), ["at 5"]);
}

async fn templates_are_changed_by_one_at_a_time(store: Store) {
    let agent = agent(&store).await;
    let tenant = agent.tenant.clone();
    let made = store
        .write(move |tx| Box::pin(async move { templates::create(tx, &tenant, "fleet", "a", "x", 1).await }));
    let made = made.await.unwrap();
    let change = |toml: &str| {
        let (template, toml) = (made.clone(), toml.to_owned());
        store.write(move |tx| Box::pin(async move { templates::change(tx, &template, &toml, "y", 2).await }))
    };
    assert_eq!(change("b").await.unwrap().version, 2);
    assert!(matches!(change("c").await, Err(StoreError::Conflict(_))));
    let (who, template) = (agent.clone(), made.id.clone());
    let assign = store.write(move |tx| {
        Box::pin(
            async move { templates::assign(tx, &who.tenant, &who.id, Some(&template), "{\"a\":1}").await },
        )
    });
    assign.await.unwrap();
    let (who, template) = (agent.clone(), made.id.clone());
    let delete =
        store.write(move |tx| Box::pin(async move { templates::delete(tx, &who.tenant, &template).await }));
    assert!(matches!(delete.await, Err(StoreError::Conflict(_))));
    let mut connection = store.read().await.unwrap();
    let users = templates::users(&mut connection, &agent.tenant, &made.id).await.unwrap();
    assert_eq!(users, [(agent.id, "{\"a\":1}".to_owned())]);
}

async fn a_foreign_tenant_sees_nothing(store: Store) {
    let (agent, foreign) = (agent(&store).await, tenant(&store).await);
    let new = revision(&agent, 0, "a");
    store.write(move |tx| Box::pin(revisions::insert(tx, new, 5))).await.unwrap();
    let id = agent.id.clone();
    let mut connection = store.read().await.unwrap();
    assert!(agents::of(&mut connection, &foreign, &id).await.is_err());
    assert!(agents::of_tenant(&mut connection, &foreign, "", 10).await.unwrap().is_empty());
    assert!(revisions::of(&mut connection, &foreign, &id, 1).await.is_err());
    assert!(revisions::newest(&mut connection, &foreign, &id).await.unwrap().is_none());
    let new = NewRevision { tenant: foreign.clone(), ..revision(&agent, 1, "b") };
    assert!(store.write(move |tx| Box::pin(revisions::insert(tx, new, 5))).await.is_err());
    let (tenant, who) = (foreign.clone(), id.clone());
    let revoke =
        store.write(move |tx| Box::pin(async move { agents::revoke(tx, &tenant, &who, "x", 1).await }));
    assert!(revoke.await.is_err());
    let (tenant, who) = (foreign.clone(), id.clone());
    let forget = store.write(move |tx| Box::pin(async move { lives::forget(tx, &tenant, &who).await }));
    assert!(forget.await.is_err());
    assert!(agents::by_id(&mut connection, &id).await.unwrap().unwrap().revoked_at.is_none());
}

async fn revoked_agents_get_nothing_more(store: Store) {
    let agent = agent(&store).await;
    let waits = delivery(&agent, &format!("w{}", agent.id), 1);
    let who = agent.clone();
    let op = store.write(move |tx| {
        Box::pin(async move {
            deliveries::insert(tx, &waits, 1).await?;
            agents::revoke(tx, &who.tenant, &who.id, "x", 3).await
        })
    });
    op.await.unwrap();
    let new = revision(&agent, 0, "a");
    let made = store.write(move |tx| Box::pin(revisions::insert(tx, new, 5)));
    assert!(matches!(made.await, Err(StoreError::Conflict(_))));
    assert_eq!(deliveries::count(&mut store.read().await.unwrap(), &agent.id).await.unwrap(), 0);
}

async fn tenant(store: &Store) -> String {
    let name = draw_id('n').unwrap();
    store.write(move |tx| Box::pin(async move { tenants::create(tx, &name, 1).await })).await.unwrap().id
}

async fn agent(store: &Store) -> agents::Agent {
    let (tenant, id) = (tenant(store).await, draw_id('a').unwrap());
    let recipient = age::x25519::Identity::generate().to_public().to_string();
    let new = NewAgent {
        id: id.clone(),
        tenant: tenant.clone(),
        name: "one".into(),
        host: "host".into(),
        platform: "linux-x86_64".into(),
        agent_version: "0.1".into(),
        keys: PublicKeys { signing: "00".repeat(32).into(), recipient: recipient.into() },
        approved: true,
    };
    store.write(move |tx| Box::pin(async move { agents::insert(tx, &new, 1).await })).await.unwrap();
    agents::of(&mut store.read().await.unwrap(), &tenant, &id).await.unwrap()
}

fn delivery(agent: &agents::Agent, id: &str, bytes: usize) -> NewDelivery {
    let webhook = purser_proto::link::sealed::SealedWebhook {
        connection: "brex".into(),
        sealed: "x".repeat(bytes).into(),
    };
    NewDelivery {
        id: id.to_owned(),
        tenant: agent.tenant.clone(),
        agent: agent.id.clone(),
        hook: None,
        number: None,
        body: deliveries::body_text(id, &DeliveryBody::Webhook(webhook)).unwrap(),
        kind: "webhook",
        expires_at: None,
    }
}

fn revision(agent: &agents::Agent, base: i64, toml: &str) -> NewRevision {
    NewRevision {
        tenant: agent.tenant.clone(),
        agent: agent.id.clone(),
        toml: toml.to_owned(),
        by: "somebody".into(),
        note: "because".into(),
        diff: String::new(),
        base,
        rolls_back: None,
    }
}
