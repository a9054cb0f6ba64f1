//! What is forgotten and what is not, on both engines, by a clock that is moved by hand.

use super::*;
use crate::settings::Settings;
use crate::testing::Postgres;
use sqlx::AssertSqlSafe;

const DAY: Millis = 86_400_000;
const NOW: Millis = 1_000 * DAY;

/// One row of each kind, as old as it is said; `{}` is its number, `{at}` its moment.
const ROWS: &[(&str, &str)] = &[
    (
        "notices",
        "insert into notices (tenant, agent, origin, at, received_at, level, code, what, fix) values ('t1', 'a1', 'agent', \
         {at}, {at}, 'info', 'c', 'w', 'f')",
    ),
    (
        "commands",
        "insert into commands (id, tenant, agent, word, verb, author, reason, created_at, expires_at, state, finished_at) \
         values ('c{}', 't1', 'a1', 'run', 'v', 'b', 'r', {at}, {at}, 'done', {at})",
    ),
    (
        "secrets",
        "insert into secrets (id, tenant, agent, name, author, created_at, state, decided_at) values ('s{}', 't1', 'a1', \
         'n', 'b', {at}, 'stored', {at})",
    ),
    (
        "webhook_outcomes",
        "insert into webhook_outcomes (agent, tenant, day, outcome, code, count) values ('a1', 't1', {at}, 'accepted', '', 1)",
    ),
    (
        "codes",
        "insert into codes (id, tenant, hash, name, approve, created_by, created_at, expires_at) values ('k{}', 't1', 'h{}', \
         'n', 0, 'b', {at}, {at})",
    ),
    ("wakes", "insert into wakes (agent, at) values ('a1', {at})"),
    (
        "alerts",
        "insert into alerts (id, tenant, agent, agent_name, kind, concerns, title, open, opened_at, seen_at, told_at, \
         resolved_at) values ('l{}', 't1', 'a1', 'n', 'holds', '{}', 't', 0, {at}, {at}, {at}, {at})",
    ),
    (
        "alert_messages",
        "insert into alert_messages (id, tenant, destination, event, subject, body, created_at, state, finished_at) values \
         ('m{}', 't1', 'd1', 'e', 's', 'b', {at}, 'delivered', {at})",
    ),
];

/// What is never too old.
const KEPT: &[&str] = &[
    "insert into tenants (id, name, created_at) values ('t1', 'Example', 1)",
    "insert into agents (id, tenant, name, host, platform, agent_version, signing, recipient, fingerprint, enrolled_at) \
     values ('a1', 't1', 'n', 'h', 'p', 'v', 's', 'r', 'f', 1)",
    "insert into alert_destinations (id, tenant, kind, target, digest, enabled, rotated_at, created_by, created_at) values \
     ('d1', 't1', 'mail', 'a@example.test', 0, 1, 1, 'b', 1)",
    "insert into revisions (agent, tenant, number, delivery, toml, hash, author, note, created_at, diff, state) values \
     ('a1', 't1', 1, 'r1', '', '', 'b', '', 1, '', 'applied')",
    "insert into alerts (id, tenant, agent, agent_name, kind, concerns, title, open, opened_at, seen_at, told_at) values \
     ('l-open', 't1', 'a1', 'n', 'holds', 'open', 't', 1, 1, 1, 1)",
    "insert into alert_messages (id, tenant, destination, event, subject, body, created_at, next_at, state) values \
     ('m-waiting', 't1', 'd1', 'e', 's', 'b', 1, 1, 'waiting')",
    "insert into secrets (id, tenant, agent, name, author, created_at, state) values ('s-waiting', 't1', 'a1', 'n', 'b', 1, \
     'waiting')",
];

async fn execute(store: &Store, sql: String) {
    let done = store.write(move |tx| {
        Box::pin(async move {
            sqlx::query(AssertSqlSafe(sql)).execute(tx.connection()).await?;
            Ok(())
        })
    });
    done.await.unwrap();
}

async fn count(store: &Store, table: &str) -> i64 {
    let query = sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {table}")));
    query.fetch_one(&mut *store.read().await.unwrap()).await.unwrap()
}

async fn old_rows_go_and_the_rest_stays(store: &Store) {
    for sql in KEPT {
        execute(store, (*sql).to_owned()).await;
    }
    let mut always = std::collections::BTreeMap::new();
    let here = || ROWS.iter().filter(|(table, _)| store.engine() == Engine::Sqlite || *table != "wakes");
    for (table, insert) in here() {
        always.insert(*table, count(store, table).await);
        for (number, age) in [0, 1, 29, 89, 91, 400].into_iter().enumerate() {
            let sql =
                insert.replace("{}", &number.to_string()).replace("{at}", &(NOW - age * DAY).to_string());
            execute(store, sql).await;
        }
    }
    let kept = Settings::defaults().retention;
    assert!(forget(store, &kept, NOW).await.unwrap() > 0);
    for (table, _) in here() {
        let left = match *table {
            "wakes" => 1,
            "codes" => 3,
            _ => 4,
        };
        assert_eq!(count(store, table).await - always[table], left, "{table}");
    }
    assert_eq!(forget(store, &kept, NOW).await.unwrap(), 0, "there is nothing more to forget");
    assert!(forget(store, &kept, NOW + 10_000 * DAY).await.unwrap() > 0);
    for (table, _) in here() {
        assert_eq!(count(store, table).await, always[table], "{table}");
    }
    assert_eq!((count(store, "revisions").await, count(store, "agents").await), (1, 1));
}

#[tokio::test]
async fn old_rows_are_forgotten_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("sqlite:{}/control.db", folder.path().display())).await.unwrap();
    old_rows_go_and_the_rest_stays(&store).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_rows_are_forgotten_on_postgresql() {
    let server = Postgres::start().await;
    let store = Store::open(&server.database().await).await.unwrap();
    old_rows_go_and_the_rest_stays(&store).await;
    store.close().await;
}

#[tokio::test]
async fn many_rows_go_in_portions() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("sqlite:{}/control.db", folder.path().display())).await.unwrap();
    let many = PORTION * 2 + 500;
    let insert = format!(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < {many}) insert into wakes (agent, at) \
         select 'a', 1 from n"
    );
    execute(&store, insert).await;
    assert_eq!(forget(&store, &Settings::defaults().retention, NOW).await.unwrap(), many.unsigned_abs());
    store.close().await;
}
