//! What nobody fetched, and what a clock that was ahead has left.

use super::*;
use crate::store::hooks::{Ceilings, NewHook};

pub(super) async fn webhooks_that_nobody_fetched_are_told_of_when_they_go(store: Store) {
    const HOUR: i64 = 3_600_000;
    let agent = agent(&store).await;
    let new = NewHook {
        tenant: agent.tenant.clone(),
        agent: agent.id.clone(),
        connection: "brex".into(),
        headers: vec![],
        ceilings: Ceilings::default(),
        by: "somebody".into(),
    };
    let hook =
        store.write(move |tx| Box::pin(async move { hooks::create(tx, &new, 1).await })).await.unwrap().hook;
    for (n, expires_at) in [100, 200, 2 * HOUR].into_iter().enumerate() {
        let delivery = NewDelivery {
            hook: Some(hook.id.clone()),
            expires_at: Some(expires_at),
            ..delivery(&agent, &format!("{}-{n}", agent.id), 10)
        };
        store
            .write(move |tx| Box::pin(async move { deliveries::insert(tx, &delivery, 1).await }))
            .await
            .unwrap();
    }
    let told = async |now: i64| {
        deliveries::expire(&store, now).await.unwrap();
        let mut connection = store.read().await.unwrap();
        let left = deliveries::count(&mut connection, &agent.id).await.unwrap();
        let all = reports::notices(&mut connection, &agent.tenant, None, i64::MAX, 9).await.unwrap();
        (left, all.into_iter().map(|notice| (notice.code, notice.what)).collect::<Vec<_>>())
    };
    // Several go together, so that there is one notice in an hour.
    assert_eq!(told(HOUR + 99).await, (3, vec![]));
    let (left, notices) = told(HOUR + 100).await;
    assert_eq!((left, notices.len(), notices[0].0.as_str()), (1, 1, "webhooks-expired"));
    assert!(notices[0].1.starts_with("2 webhooks of brex"), "{notices:?}");
    assert_eq!(told(2 * HOUR).await.0, 1);
}

pub(super) async fn what_was_written_by_a_clock_that_was_ahead_does_not_hold_for_as_long(store: Store) {
    const NOW: i64 = 1_800_000_000_000;
    const AHEAD: i64 = NOW + 400 * 86_400_000;
    let agent = agent(&store).await;
    let (id, name) = (agent.id.clone(), format!("turn-{}", agent.id));
    let ahead = store.write(move |tx| {
        Box::pin(async move {
            let seen =
                sqlx::query("update agents set last_seen = $1 where id = $2").bind(AHEAD).bind(id.as_str());
            seen.execute(tx.connection()).await?;
            nonces::remember(tx, &id, "n", AHEAD, AHEAD).await
        })
    });
    assert!(ahead.await.unwrap());
    let turn = async |holder: &'static str, now: i64| {
        let name = name.clone();
        let taken =
            store.write(move |tx| Box::pin(async move { turns::take(tx, &name, holder, 1000, now).await }));
        taken.await.unwrap()
    };
    assert!(turn("one", AHEAD).await);
    assert!(!turn("two", AHEAD).await);
    assert!(turn("two", NOW).await);
    assert!(!turn("one", NOW + 999).await && turn("one", NOW + 1000).await);
    let brought = store.write(|tx| Box::pin(times::bring_back(tx, NOW))).await.unwrap();
    assert_eq!(brought, 2);
    assert_eq!(store.write(|tx| Box::pin(times::bring_back(tx, NOW))).await.unwrap(), 0);
    let mut connection = store.read().await.unwrap();
    let agent = agents::of(&mut connection, &agent.tenant, &agent.id).await.unwrap();
    assert_eq!(agent.last_seen, Some(NOW));
    drop(connection);
    // Not by others, which are older.
    let gone = store.write(|tx| Box::pin(nonces::forget(tx, NOW + 1, i64::MIN))).await.unwrap();
    assert!(gone >= 1);
    assert_eq!(nonces::count(&mut store.read().await.unwrap()).await.unwrap(), 0);
}
