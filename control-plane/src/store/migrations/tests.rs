//! Databases of earlier versions become those of this one.

use super::*;
use crate::store::Store;
use crate::store::hooks::{self, AddressHash};
#[cfg(unix)]
use crate::testing::Postgres;

const LIVE: &str = "1veaddre55000000000000000000000000000000000000000001";
const OFF: &str = "0ffaddre55000000000000000000000000000000000000000002";
const GONE: &str = "g0neaddre550000000000000000000000000000000000000003z";
/// Of a webhook that was taken long ago: it is in free pages only.
const TAKEN: &str = "taken0addre55000000000000000000000000000000000000004";

/// What a program of before has left in a database.
const BEFORE: &str = "
    insert into tenants (id, name, created_at) values ('t1', 'first', 1);
    insert into agents (id, tenant, name, host, platform, agent_version, signing, recipient, fingerprint, enrolled_at)
        values ('a1', 't1', 'one', 'host', 'linux', '0.1', '00', 'age1x', '00', 1);
    insert into hooks (id, tenant, agent, connection, created_by, created_at, deleted_at, disabled_at, headers, largest_body,
        per_second, burst, most_bytes, keep_millis, received, refused, last_at) values
        ('LIVE', 't1', 'a1', 'cards', 'x', 11, null, null, '[\"x-s\"]', 1, 2, 3, 4, 5, 6, 7, 8),
        ('OFF', 't1', 'a1', 'bills', 'y', 12, null, 99, '[]', 1, 2, 3, 4, 5, 0, 0, null),
        ('GONE', 't1', 'a1', 'old', 'z', 13, 50, null, '[]', 1, 2, 3, 4, 5, 0, 0, null);
    insert into deliveries (id, tenant, agent, kind, hook, body, bytes, created_at) values
        ('w1', 't1', 'a1', 'webhook', 'LIVE', '{}', 70, 1), ('w2', 't1', 'a1', 'webhook', 'GONE', '{}', 80, 1),
        ('w3', 't1', 'a1', 'webhook', 'TAKEN', '{}', 90, 1), ('c1', 't1', 'a1', 'command', null, '{}', 10, 1);
    delete from deliveries where id = 'w3';
";

/// A database as the step before the hashes left it.
async fn of_before(url: &str) {
    let engine = Engine::of(url).unwrap();
    let (readers, writers) = engine.connect(url, crate::store::Patience::default()).await.unwrap();
    let mut connection = writers.acquire().await.unwrap();
    let before = MIGRATIONS.iter().position(|step| step.number == 320).unwrap();
    apply_all(engine, &mut connection, &MIGRATIONS[..before]).await.unwrap();
    let addresses = [("LIVE", LIVE), ("OFF", OFF), ("GONE", GONE), ("TAKEN", TAKEN)];
    let sql = addresses
        .into_iter()
        .fold(BEFORE.to_owned(), |sql, (word, it)| sql.replace(&format!("'{word}'"), &format!("'{it}'")));
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await.unwrap();
    drop(connection);
    readers.close().await;
    writers.close().await;
}

/// What is asked of a database of before, on both engines, at each of several starts.
async fn senders_and_people_notice_nothing(url: &str) {
    let mut seen = Vec::new();
    for _ in 0..3 {
        let store = Store::open(url).await.unwrap();
        let mut connection = store.read().await.unwrap();
        let (live, recipient) =
            hooks::by_address(&mut connection, &AddressHash::of(LIVE)).await.unwrap().unwrap();
        assert_eq!((live.connection.as_str(), recipient.as_str()), ("cards", "age1x"));
        assert_eq!((live.headers.as_slice(), live.created_by.as_str()), (&["x-s".to_owned()][..], "x"));
        let ceilings = live.ceilings;
        let numbers = (ceilings.largest_body, ceilings.per_second, ceilings.burst, ceilings.most_bytes);
        assert_eq!((numbers, ceilings.keep), ((1, 2, 3, 4), 5));
        assert_eq!((live.received, live.refused, live.last_at, live.created_at), (6, 7, Some(8), 11));
        let (off, _) = hooks::by_address(&mut connection, &AddressHash::of(OFF)).await.unwrap().unwrap();
        assert_eq!(off.disabled_at, Some(99));
        assert_eq!(hooks::by_address(&mut connection, &AddressHash::of(GONE)).await.unwrap(), None);
        assert_eq!(hooks::stored(&mut connection, &live.id).await.unwrap(), 70, "what waits is its own");
        let named = sqlx::query_scalar::<_, i64>(
            "select count(*) from deliveries where hook in (select id from hooks) or (hook is null and id = 'c1')",
        );
        assert_eq!(named.fetch_one(&mut *connection).await.unwrap(), 3);
        // The name that it has in the audit log.
        assert_eq!(live.id, "h681fa50d1495576555c44981");
        seen.push((live, off));
        drop(connection);
        store.close().await;
    }
    assert!(seen.iter().all(|hooks| *hooks == seen[0]));
}

fn holds(folder: &std::path::Path, address: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|file| {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        bytes.windows(address.len()).any(|window| window == address.as_bytes())
    })
}

#[tokio::test]
async fn hooks_of_an_earlier_version_are_hashed_and_work_on_with_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/control.db", folder.path().display());
    of_before(&url).await;
    for address in [LIVE, OFF, GONE, TAKEN] {
        assert!(holds(folder.path(), address), "the search finds nothing");
    }
    senders_and_people_notice_nothing(&url).await;
    for address in [LIVE, OFF, GONE, TAKEN] {
        assert!(!holds(folder.path(), address), "{address} is left in the file");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn hooks_of_an_earlier_version_are_hashed_and_work_on_with_postgresql() {
    let server = Postgres::start().await;
    let url = server.database().await;
    of_before(&url).await;
    senders_and_people_notice_nothing(&url).await;
    let store = Store::open(&url).await.unwrap();
    let mut connection = store.read().await.unwrap();
    let tables = sqlx::query_scalar::<_, String>(
        "select cast(table_name as text) from information_schema.tables where table_schema = 'public'",
    );
    let tables = tables.fetch_all(&mut *connection).await.unwrap();
    assert!(tables.len() > 10, "{tables:?}");
    for table in tables {
        let rows =
            format!("select cast(coalesce(string_agg(cast(t as text), ' '), '') as text) from {table} as t");
        let rows: String = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_one(&mut *connection).await.unwrap();
        for address in [LIVE, OFF, GONE, TAKEN] {
            assert!(!rows.contains(address), "{address} is left in {table}");
        }
    }
    drop(connection);
    store.close().await;
}

#[tokio::test]
async fn hooks_are_hashed_all_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/control.db", folder.path().display());
    of_before(&url).await;
    let raw = async |sql: &'static str| {
        let (readers, writers) =
            Engine::Sqlite.connect(&url, crate::store::Patience::default()).await.unwrap();
        let rows = sqlx::query(sql).fetch_all(&writers).await.unwrap();
        readers.close().await;
        writers.close().await;
        rows.len()
    };
    // The last of the hooks cannot be moved.
    raw("create trigger full before update on deliveries when new.bytes = 80 begin select raise(abort, 'full'); end").await;
    let refused = Store::open(&url).await.unwrap_err();
    assert!(matches!(refused, StoreError::Migration { number: 320, .. }), "{refused:?}");
    assert_eq!(raw("select id from hooks where length(id) = 52").await, 3);
    assert_eq!(raw("select id from deliveries where length(hook) = 52").await, 2);
    raw("drop trigger full").await;
    senders_and_people_notice_nothing(&url).await;
}

#[tokio::test]
async fn a_file_that_somebody_reads_is_served_and_written_anew_at_a_later_start() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/control.db", folder.path().display());
    of_before(&url).await;
    let (readers, writers) = Engine::Sqlite.connect(&url, crate::store::Patience::default()).await.unwrap();
    let mut reading = readers.begin().await.unwrap();
    sqlx::query("select id from hooks").fetch_all(&mut *reading).await.unwrap();
    let store = Store::open(&url).await.unwrap();
    let found = hooks::by_address(&mut store.read().await.unwrap(), &AddressHash::of(LIVE)).await.unwrap();
    assert!(found.is_some());
    assert!(holds(folder.path(), LIVE), "nothing kept it");
    store.close().await;
    drop(reading);
    readers.close().await;
    writers.close().await;
    Store::open(&url).await.unwrap().close().await;
    for address in [LIVE, OFF, GONE, TAKEN] {
        assert!(!holds(folder.path(), address), "{address} is left in the file");
    }
}
