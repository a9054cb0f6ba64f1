//! Hooks, and that their addresses are kept nowhere.

use super::*;
use crate::store::hooks::{AddressHash, Ceilings, NewHook};

pub(super) async fn hooks_keep_to_what_is_allowed(store: Store) {
    let agent = agent(&store).await;
    let make = |headers: &[&str], ceilings| {
        let new = NewHook {
            tenant: agent.tenant.clone(),
            agent: agent.id.clone(),
            connection: "brex".into(),
            headers: headers.iter().map(|name| (*name).to_owned()).collect(),
            ceilings,
            by: "x".into(),
        };
        store.write(move |tx| Box::pin(async move { hooks::create(tx, &new, 1).await }))
    };
    assert!(make(&["Authorization"], Ceilings::default()).await.is_err());
    assert!(make(&[], Ceilings { largest_body: 1 << 21, ..Ceilings::default() }).await.is_err());
    let made = make(&["X-Secret"], Ceilings::default()).await.unwrap();
    let (hook, path) = (made.hook.clone(), made.path());
    assert_eq!((hook.headers.as_slice(), hook.id.len()), (["x-secret".to_owned()].as_slice(), 25));
    let address = AddressHash::of(path.strip_prefix("/hooks/").unwrap());
    let bytes = delivery(&agent, &format!("w{}", agent.id), 100);
    let bytes = NewDelivery { hook: Some(hook.id.clone()), ..bytes };
    let length = i64::try_from(bytes.body.len()).unwrap();
    let id = hook.id.clone();
    let op = store.write(move |tx| {
        Box::pin(async move {
            deliveries::insert(tx, &bytes, 1).await?;
            hooks::count(tx, &id, 3, 1, Some(9)).await
        })
    });
    op.await.unwrap();
    {
        let mut connection = store.read().await.unwrap();
        let (found, recipient) = hooks::by_address(&mut connection, &address).await.unwrap().unwrap();
        assert_eq!((found.received, found.refused, found.last_at), (3, 1, Some(9)));
        assert!(found.id == hook.id && recipient.starts_with("age1"));
        let by_name = hooks::by_address(&mut connection, &AddressHash::of(&hook.id)).await.unwrap();
        assert_eq!(by_name, None, "a name opens nothing");
        assert_eq!(hooks::stored(&mut connection, &hook.id).await.unwrap(), length);
        assert_eq!(hooks::of_agent(&mut connection, &agent.tenant, &agent.id).await.unwrap().len(), 1);
    }
    let (tenant, id) = (agent.tenant.clone(), hook.id.clone());
    let rotated = store.write(move |tx| {
        Box::pin(async move {
            hooks::disable(tx, &tenant, &id, Some(7)).await?;
            hooks::rotate(tx, &tenant, &id, "y", 2).await
        })
    });
    let rotated = rotated.await.unwrap();
    let another = AddressHash::of(rotated.path().strip_prefix("/hooks/").unwrap());
    let mut connection = store.read().await.unwrap();
    assert_eq!(hooks::by_address(&mut connection, &address).await.unwrap(), None);
    let (found, _) = hooks::by_address(&mut connection, &another).await.unwrap().unwrap();
    assert_eq!(found, rotated.hook);
    assert_eq!((found.disabled_at, found.headers, found.ceilings), (Some(7), hook.headers, hook.ceilings));
    let (tenant, id) = (agent.tenant.clone(), found.id);
    store.write(move |tx| Box::pin(async move { hooks::delete(tx, &tenant, &id, 3).await })).await.unwrap();
    assert_eq!(hooks::by_address(&mut connection, &another).await.unwrap(), None);
}

pub(super) async fn live_addresses_are_those_that_can_be_called(store: Store) {
    let (one, two) = (agent(&store).await, agent(&store).await);
    let make = async |agent: &agents::Agent, at| {
        let new = NewHook {
            tenant: agent.tenant.clone(),
            agent: agent.id.clone(),
            connection: "brex".into(),
            headers: vec![],
            ceilings: Ceilings::default(),
            by: "x".into(),
        };
        let made = store.write(move |tx| Box::pin(async move { hooks::create(tx, &new, at).await }));
        let made = made.await.unwrap();
        (AddressHash::of(made.path().strip_prefix("/hooks/").unwrap()), made.hook)
    };
    // Later than those of the other tests.
    const NOW: i64 = 4_000_000_000_000;
    let (first, second) = (make(&one, NOW + 1).await, make(&one, NOW + 2).await);
    let (deleted, revoked) = (make(&one, NOW + 3).await, make(&two, NOW + 4).await);
    let (tenant, id) = (one.tenant.clone(), deleted.1.id);
    let (theirs, other) = (two.tenant.clone(), two.id.clone());
    let op = store.write(move |tx| {
        Box::pin(async move {
            hooks::delete(tx, &tenant, &id, 9).await?;
            agents::revoke(tx, &theirs, &other, "x", 9).await.map(drop)
        })
    });
    op.await.unwrap();
    let live = async |since, most| {
        let mut all = Vec::new();
        let mut connection = store.read().await.unwrap();
        hooks::live(&mut connection, since, most, |hash, at| all.push((hash, at))).await.unwrap();
        all
    };
    let (first, second) = ((first.0, NOW + 1), (second.0, NOW + 2));
    assert_eq!(live(NOW, 10).await, [second, first]);
    assert_eq!(live(NOW, 1).await, [second]);
    assert_eq!(live(NOW + 2, 10).await, [second]);
    assert!(live(i64::MIN, 1000).await.iter().all(|(hash, _)| *hash != revoked.0 && *hash != deleted.0));
}

pub(super) async fn an_address_of_a_hook_cannot_be_kept_with_a_webhook(store: Store) {
    let agent = agent(&store).await;
    let webhook = |hook: &str| {
        let new = delivery(&agent, &format!("w{}-{}", hook.len(), agent.id), 10);
        let new = NewDelivery { hook: Some(hook.to_owned()), ..new };
        store.append(move |tx| Box::pin(async move { deliveries::insert(tx, &new, 1).await }))
    };
    assert!(matches!(webhook(&"x".repeat(52)).await, Err(StoreError::Database(_))));
    webhook(&"x".repeat(25)).await.unwrap();
}
