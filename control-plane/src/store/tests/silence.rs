//! A PostgreSQL server that falls silent: no connection is closed, and nothing arrives any more.

use super::*;
use crate::testing::Relay;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// No wait is longer, by far.
const ENDS: Duration = Duration::from_secs(20);

async fn create(store: &Store, name: String) -> Result<tenants::Tenant, StoreError> {
    let made = store.write(move |tx| Box::pin(async move { tenants::create(tx, &name, 1).await }));
    timeout(ENDS, made).await.expect("a write ends")
}

async fn names(store: &Store) -> Result<Vec<tenants::Tenant>, StoreError> {
    let read = async { tenants::all(&mut *store.read().await?).await };
    timeout(ENDS, read).await.expect("a read ends")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_silent_server_ends_and_the_next_connection_is_used() {
    let server = Postgres::start().await;
    let relay = Relay::open(&server);
    let patience = Patience { statement: Duration::from_millis(1000), ping: Duration::from_millis(200) };
    let store = Store::open_with(&relay.through(&server.database().await), patience).await.unwrap();
    create(&store, "before".into()).await.unwrap();
    // One of each is in the middle of something.
    let (began, begun) = oneshot::channel();
    let (go, goes) = oneshot::channel::<()>();
    let writing = store.write(move |tx| {
        Box::pin(async move {
            tenants::create(tx, "cut off", 1).await?;
            began.send(()).unwrap();
            goes.await.unwrap();
            tenants::create(tx, "never", 1).await
        })
    });
    let reading = async {
        let mut connection = store.read().await.unwrap();
        begun.await.unwrap();
        relay.silence();
        go.send(()).unwrap();
        let first = tenants::all(&mut connection).await;
        (first, tenants::all(&mut connection).await)
    };
    let (written, (first, second)) = timeout(ENDS, async { tokio::join!(writing, reading) }).await.unwrap();
    for error in [written.unwrap_err(), first.unwrap_err(), second.unwrap_err()] {
        assert!(error.to_string().contains("does not answer"), "{error}");
    }
    // All that lay idle are as dead. Once they count as used no more, they are found out when they are taken.
    relay.silence();
    tokio::time::sleep(Duration::from_millis(600)).await;
    for n in 0..30 {
        create(&store, format!("after{n}")).await.unwrap();
    }
    for found in futures_util::future::join_all((0..20).map(|_| names(&store))).await {
        let found: Vec<String> = found.unwrap().into_iter().map(|tenant| tenant.name).collect();
        assert!(found.contains(&"after29".to_owned()) && found.contains(&"before".to_owned()));
        assert!(!found.contains(&"cut off".to_owned()) && !found.contains(&"never".to_owned()));
    }
    timeout(ENDS, store.close()).await.expect("what is silent holds no end up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_itself_ends_a_statement_that_takes_too_long() {
    let server = Postgres::start().await;
    let patience = Patience { statement: Duration::from_millis(300), ..Patience::default() };
    let store = Store::open_with(&server.database().await, patience).await.unwrap();
    let mut connection = store.read().await.unwrap();
    let error = sqlx::query("select 1 from pg_sleep(60)").execute(&mut *connection).await.unwrap_err();
    assert!(error.to_string().contains("statement timeout"), "{error}");
    sqlx::query("select 1").execute(&mut *connection).await.unwrap();
}
