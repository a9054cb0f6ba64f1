//! What nobody fetched.

use super::*;

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
        store.write(move |tx| Box::pin(async move { hooks::create(tx, &new, 1).await })).await.unwrap();
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
