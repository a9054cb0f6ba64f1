//! What holds for people, sessions, tokens, the admin audit log and kept answers, on both engines.

use super::*;
use crate::clock::Millis;
use crate::store::admin_audit::{Deed, append, verify};
use crate::store::hooks::{Ceilings, NewHook};
use crate::store::idempotency::{Claim, KEPT, claim, finish};
use crate::store::sessions::Session;
use crate::store::tokens::Token;
use crate::store::users::NewUser;

const NOW: Millis = 1_800_000_000_000;

fn deed(tenant: &str, action: &str) -> Deed {
    let text = |text: &str| text.to_owned();
    Deed { tenant: text(tenant), at: NOW, who: text("dora"), action: text(action), ..Deed::default() }
}

pub(super) async fn the_admin_audit_log_is_a_chain_that_nobody_changes(store: Store) {
    let tenant = draw_id('t').unwrap();
    let writes = (0..20).map(|number| {
        let deed = deed(&tenant, &format!("deed.{number}"));
        store.write(move |tx| Box::pin(async move { append(tx.connection(), &deed).await }))
    });
    let mut numbers: Vec<i64> =
        futures_util::future::join_all(writes).await.into_iter().map(Result::unwrap).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    assert_eq!(verify(&mut store.read().await.unwrap(), &tenant).await.unwrap(), Ok(20));
    for sql in ["update admin_audit set who = 'eve'", "delete from admin_audit"] {
        let tried = store.write(move |tx| {
            Box::pin(async move { Ok(sqlx::query(sql).execute(tx.connection()).await.map(drop)?) })
        });
        assert!(tried.await.is_err(), "{sql}");
    }
    let undone = deed(&tenant, "undone");
    let failed = store.write(move |tx| {
        Box::pin(async move {
            append(tx.connection(), &undone).await?;
            Err::<(), _>(StoreError::Conflict("no".into()))
        })
    });
    assert!(failed.await.is_err());
    assert_eq!(verify(&mut store.read().await.unwrap(), &tenant).await.unwrap(), Ok(20));
}

async fn claimed(store: &Store, owner: &str, key: &str, request: &str, now: Millis) -> Claim {
    let (owner, key, request) = (owner.to_owned(), key.to_owned(), request.to_owned());
    let op = store.write(move |tx| {
        Box::pin(async move {
            let claim = claim(tx.connection(), &owner, &key, &request, now).await?;
            if claim == Claim::New {
                finish(tx.connection(), &owner, &key, 201, "sealed").await?;
            }
            Ok(claim)
        })
    });
    op.await.unwrap()
}

pub(super) async fn an_answer_is_kept_once_per_key(store: Store) {
    let owner = draw_id('u').unwrap();
    let all = futures_util::future::join_all((0..20).map(|_| claimed(&store, &owner, "k", "r", NOW))).await;
    assert_eq!(all.iter().filter(|claim| **claim == Claim::New).count(), 1);
    let done = Claim::Done { status: 201, sealed: "sealed".into() };
    assert_eq!(claimed(&store, &owner, "k", "r", NOW + KEPT - 1).await, done);
    assert_eq!(claimed(&store, &owner, "k", "other", NOW).await, Claim::OtherRequest);
    assert_eq!(claimed(&store, "somebody else", "k", "r", NOW).await, Claim::New);
    assert_eq!(claimed(&store, &owner, "k", "r", NOW + KEPT).await, Claim::New);
}

fn newcomer(tenant: &str, email: &str, role: &str) -> NewUser {
    NewUser {
        id: draw_id('u').unwrap(),
        tenant: tenant.to_owned(),
        email: email.to_owned(),
        name: "Dora".into(),
        role: role.to_owned(),
        password: Some("phc".into()),
        at: NOW,
        by: "test".into(),
    }
}

async fn created(store: &Store, new: NewUser) -> Result<String, StoreError> {
    let id = new.id.clone();
    store.write(move |tx| Box::pin(async move { users::create(tx.connection(), &new).await })).await?;
    Ok(id)
}

pub(super) async fn people_are_found_changed_and_removed(store: Store) {
    let tenant = draw_id('t').unwrap();
    let email = format!("Dora@{tenant}.example.test");
    let id = created(&store, newcomer(&tenant, &email, "owner")).await.unwrap();
    let twice = created(&store, newcomer("another", &email.to_uppercase(), "viewer")).await;
    assert!(matches!(twice, Err(StoreError::Conflict(_))), "{twice:?}");
    let mut reader = store.read().await.unwrap();
    let user = users::by_email(&mut reader, &format!(" {email} ")).await.unwrap().unwrap();
    assert_eq!((user.id.as_str(), user.password.as_deref(), user.totp), (id.as_str(), Some("phc"), None));
    assert!(matches!(users::get(&mut reader, "another", &id).await, Err(StoreError::Missing { .. })));
    let who = id.clone();
    let op = store.write(move |tx| {
        Box::pin(async move {
            let connection = tx.connection();
            let used = [
                users::use_totp_step(connection, &who, 7).await?,
                users::use_totp_step(connection, &who, 7).await?,
            ];
            let tied = [
                users::tie(connection, &who, "p", &who).await?,
                users::tie(connection, &who, "p", "x").await?,
            ];
            Ok((used, tied))
        })
    });
    assert_eq!(op.await.unwrap(), ([true, false], [true, false]));
    let (of, who) = (tenant.clone(), id.clone());
    let last =
        store.write(move |tx| Box::pin(async move { users::remove(tx.connection(), &of, &who).await }));
    assert!(matches!(last.await, Err(StoreError::Conflict(_))), "the last owner stays");
    assert!(users::by_subject(&mut reader, &tenant, "p", &id).await.unwrap().is_some());
    assert!(users::by_subject(&mut reader, "another", "p", &id).await.unwrap().is_none());
}

pub(super) async fn sessions_and_tokens_end(store: Store) {
    let tenant = draw_id('t').unwrap();
    let user =
        created(&store, newcomer(&tenant, &format!("emil@{tenant}.example.test"), "owner")).await.unwrap();
    let session = |id: &str, seen_at: Millis| Session {
        id: format!("{id}{tenant}"),
        tenant: tenant.clone(),
        user: user.clone(),
        how: "password".into(),
        address: String::new(),
        browser: String::new(),
        created_at: NOW,
        seen_at,
    };
    for session in [session("s1", NOW), session("s2", NOW - 9000)] {
        let op = store.write(move |tx| {
            Box::pin(async move {
                let hash = format!("hash of {}", session.id);
                sessions::create(tx.connection(), &session, &hash).await
            })
        });
        op.await.unwrap();
    }
    let token = Token {
        id: draw_id('k').unwrap(),
        hash: "hash".into(),
        tenant: tenant.clone(),
        user: user.clone(),
        name: "plan".into(),
        scopes: vec!["agents-read".into(), "codes-read".into()],
        created_at: NOW,
        expires_at: NOW + 10,
        used_at: None,
        revoked_at: None,
    };
    let (kept, of) = (token.clone(), tenant.clone());
    let op = store.write(move |tx| {
        Box::pin(async move {
            tokens::create(tx.connection(), &kept).await?;
            assert!(tokens::revoke(tx.connection(), "another", &kept.id, NOW).await.is_err());
            tokens::revoke(tx.connection(), &of, &kept.id, NOW + 1).await?;
            sessions::prune(tx.connection(), NOW - 20_000, NOW - 5000).await
        })
    });
    assert!(op.await.unwrap() >= 1);
    let mut reader = store.read().await.unwrap();
    let alive: Vec<String> =
        sessions::of_user(&mut reader, &user).await.unwrap().into_iter().map(|s| s.id).collect();
    assert_eq!(alive, [format!("s1{tenant}")]);
    let read = tokens::get(&mut reader, &tenant, &token.id).await.unwrap();
    assert_eq!(read, Token { revoked_at: Some(NOW + 1), ..token });
    assert!(!read.is_alive(NOW));
}

pub(super) async fn removed_agents_leave_nothing_but_their_past(store: Store) {
    let name = draw_id('n').unwrap();
    let tenant = store
        .write(move |tx| Box::pin(async move { tenants::create(tx, &name, NOW).await }))
        .await
        .unwrap()
        .id;
    let agent = NewAgent {
        id: draw_id('a').unwrap(),
        tenant: tenant.clone(),
        name: "works".into(),
        host: String::new(),
        platform: String::new(),
        agent_version: String::new(),
        keys: PublicKeys { signing: draw_id('k').unwrap().into(), recipient: "age1x".into() },
        approved: true,
    };
    let id = agent.id.clone();
    let op = store.write(move |tx| {
        Box::pin(async move {
            agents::insert(tx, &agent, NOW).await?;
            let hook = NewHook {
                tenant: tenant.clone(),
                agent: agent.id.clone(),
                connection: "cards".into(),
                headers: Vec::new(),
                ceilings: Ceilings::default(),
                by: "test".into(),
            };
            hooks::create(tx, &hook, NOW).await?;
            let early = agents::remove(tx, &tenant, &agent.id).await;
            agents::revoke(tx, &tenant, &agent.id, "test", NOW).await?;
            let foreign = agents::remove(tx, "another", &agent.id).await;
            agents::remove(tx, &tenant, &agent.id).await?;
            Ok((early.is_err(), foreign.is_err()))
        })
    });
    assert_eq!(op.await.unwrap(), (true, true));
    assert!(agents::by_id(&mut store.read().await.unwrap(), &id).await.unwrap().is_none());
}
