//! Webhooks on their way in.

use super::House;
use crate::clock::{Clock, millis};
use crate::ingress::Answer;
use crate::server::sweep_once;
use crate::store::commands::{self, NewCommand};
use crate::store::deliveries;
use crate::store::hooks::{self, Ceilings, Hook, NewHook};
use crate::testing::TestAgent;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use futures_util::StreamExt as _;
use purser_proto::link::command::Verb;
use purser_proto::link::sync::DeliveryBody;
use std::time::{Duration, Instant};

/// A hook, and the end of its path.
struct Called {
    hook: Hook,
    address: String,
}

async fn hook(house: &House, agent: &TestAgent, ceilings: Ceilings) -> Called {
    let new = NewHook {
        tenant: house.tenant.clone(),
        agent: agent.id.clone(),
        connection: "brex".into(),
        headers: vec!["X-Shared-Secret".into()],
        ceilings,
        by: "somebody".into(),
    };
    let made =
        house.plane.services.store.write(move |tx| Box::pin(async move { hooks::create(tx, &new, 1).await }));
    let made = made.await.unwrap();
    let address = made.path().strip_prefix("/hooks/").unwrap().to_owned();
    Called { hook: made.hook, address }
}

async fn call(house: &House, agent: &TestAgent, id: &str, body: &[u8]) -> u16 {
    let request = agent.client().post(format!("{}/hooks/{id}", house.plane.base));
    let request =
        request.header("svix-id", "m1").header("x-shared-secret", "s3").header("authorization", "no");
    let answer = request.header("content-type", "application/json").body(body.to_vec()).send().await.unwrap();
    answer.status().as_u16()
}

#[tokio::test]
async fn a_webhook_is_sealed_kept_and_delivered_at_once() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    let hook = hook(&house, &agent, Ceilings::default()).await;
    let body = b"{\"canary\": \"c4n4ry\"}\r\n";
    let says = agent.waits(50);
    let begun = Instant::now();
    let (answer, status) = tokio::join!(agent.sync(&says), async {
        while house.plane.services.wake.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        call(&house, &agent, &hook.address, body).await
    });
    assert_eq!(status, 200);
    assert!(begun.elapsed() < Duration::from_secs(20));
    let answer = answer.unwrap();
    let DeliveryBody::Webhook(webhook) = &answer.deliveries.as_slice()[0].body else { panic!("{answer:?}") };
    let received = agent.open(webhook);
    assert_eq!((received.agent.as_str(), received.connection.as_str()), (agent.id.as_str(), "brex"));
    assert_eq!(STANDARD.decode(&received.body_base64).unwrap(), body);
    let names: Vec<&str> = received.headers.keys().map(String::as_str).collect();
    assert_eq!(names, ["content-type", "svix-id", "x-shared-secret"]);
    house.plane.services.ingress.flush().await.unwrap();
    let store = &house.plane.services.store;
    let counted = hooks::of(&mut store.read().await.unwrap(), &house.tenant, &hook.hook.id).await.unwrap();
    assert_eq!((counted.received, counted.refused), (1, 0));
    for file in std::fs::read_dir(house._folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for canary in [&b"c4n4ry"[..], &STANDARD.encode(body).into_bytes()] {
            assert!(
                !bytes.windows(canary.len()).any(|window| window == canary),
                "the database can read a webhook"
            );
        }
    }
    house.plane.stop().await;
}

#[tokio::test]
async fn senders_are_never_told_to_give_up() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    let small = Ceilings { largest_body: 100, ..Ceilings::default() };
    let hook = hook(&house, &agent, small).await;
    assert_eq!(call(&house, &agent, "unknown", b"x").await, 503);
    assert_eq!(call(&house, &agent, &"x".repeat(3000), b"x").await, 503);
    for id in ["", "a/b", "%ff%fe", "a%2fb", "..%2f"] {
        assert_eq!(call(&house, &agent, id, b"x").await, 503, "{id}");
    }
    assert_eq!(call(&house, &agent, &hook.address, &[b'x'; 101]).await, 503);
    assert_eq!(call(&house, &agent, &hook.address, &[b'x'; 100]).await, 200);
    let (tenant, id) = (house.tenant.clone(), hook.hook.id.clone());
    let store = &house.plane.services.store;
    store.write(move |tx| Box::pin(async move { hooks::delete(tx, &tenant, &id, 2).await })).await.unwrap();
    assert_eq!(house.notices().await, ["webhook-too-large"]);
    house.plane.stop().await;
}

#[tokio::test]
async fn a_hook_that_is_switched_off_takes_nothing_and_says_later() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    let hook = hook(&house, &agent, Ceilings::default()).await;
    let store = &house.plane.services.store;
    let switch = async |since| {
        let (tenant, id) = (house.tenant.clone(), hook.hook.id.clone());
        let op =
            store.write(move |tx| Box::pin(async move { hooks::disable(tx, &tenant, &id, since).await }));
        op.await.unwrap();
    };
    let until = async |wanted| {
        let begun = Instant::now();
        loop {
            let got = call(&house, &agent, &hook.address, b"x").await;
            if got == wanted {
                return;
            }
            assert!([200, 503].contains(&got), "{got}");
            assert!(begun.elapsed() < Duration::from_secs(20), "still {got}");
        }
    };
    until(200).await;
    switch(Some(5)).await;
    until(503).await;
    let waiting = async || deliveries::count(&mut store.read().await.unwrap(), &agent.id).await.unwrap();
    let before = waiting().await;
    assert_eq!(call(&house, &agent, &hook.address, b"x").await, 503);
    assert_eq!(call(&house, &agent, &hook.address, &vec![b'x'; 2 << 20]).await, 503);
    assert_eq!(waiting().await, before, "a webhook was kept of a hook that is switched off");
    house.plane.services.ingress.flush().await.unwrap();
    let counted = hooks::of(&mut store.read().await.unwrap(), &house.tenant, &hook.hook.id).await.unwrap();
    assert_eq!((counted.disabled_at, counted.received), (Some(5), before));
    assert!(counted.refused >= 2);
    switch(None).await;
    until(200).await;
    house.plane.stop().await;
}

#[tokio::test]
async fn who_guesses_addresses_is_slowed_down_and_known_hooks_work_on() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    let hook = hook(&house, &agent, Ceilings::default()).await;
    assert_eq!(call(&house, &agent, &hook.address, b"x").await, 200);
    let mut guessed = Vec::new();
    for number in 0..100 {
        guessed.push(call(&house, &agent, &format!("guess{number}"), b"x").await);
    }
    assert_eq!(guessed[..60], [503; 60]);
    assert!(
        guessed.contains(&429) && guessed.iter().all(|status| [429, 503].contains(status)),
        "{guessed:?}"
    );
    assert_eq!(call(&house, &agent, &hook.address, b"x").await, 200);
    house.plane.stop().await;
}

#[tokio::test]
async fn the_largest_body_of_all_fits_into_a_delivery() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    let hook = hook(&house, &agent, Ceilings::default()).await;
    let body = vec![0xff; usize::try_from(hooks::LARGEST_BODY).unwrap()];
    assert_eq!(call(&house, &agent, &hook.address, &body).await, 200);
    let answer = agent.sync(&agent.says_nothing()).await.unwrap();
    let DeliveryBody::Webhook(webhook) = &answer.deliveries.as_slice()[0].body else { panic!("no webhook") };
    assert_eq!(STANDARD.decode(agent.open(webhook).body_base64).unwrap(), body);
    house.plane.stop().await;
}

#[tokio::test]
async fn more_than_the_rate_is_sent_away_for_a_while() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    let slow = Ceilings { per_second: 1, burst: 3, ..Ceilings::default() };
    let hook = hook(&house, &agent, slow).await;
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(call(&house, &agent, &hook.address, b"x").await);
    }
    assert_eq!(statuses[..3], [200; 3]);
    assert!(
        statuses[3..].contains(&429) && statuses.iter().all(|status| [200, 429].contains(status)),
        "{statuses:?}"
    );
    house.plane.stop().await;
}

#[tokio::test]
async fn what_waits_is_bounded_and_there_is_room_again_when_the_agent_comes() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    let little = Ceilings { largest_body: 1000, most_bytes: 8000, ..Ceilings::default() };
    let hook = hook(&house, &agent, little).await;
    let mut taken = 0;
    while call(&house, &agent, &hook.address, &[b'x'; 500]).await == 200 {
        taken += 1;
        assert!(taken < 20, "nothing bounds what waits");
    }
    assert!(taken > 1);
    let store = &house.plane.services.store;
    assert!(hooks::stored(&mut store.read().await.unwrap(), &hook.hook.id).await.unwrap() <= 8000);
    let answer = agent.sync(&agent.says_nothing()).await.unwrap();
    let ids: Vec<&str> = answer.deliveries.as_slice().iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids.len(), taken);
    agent.sync(&agent.takes(&ids)).await.unwrap();
    let begun = Instant::now();
    while call(&house, &agent, &hook.address, &[b'x'; 500]).await != 200 {
        assert!(begun.elapsed() < Duration::from_secs(20), "there is room, but nothing is taken");
    }
    house.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_burst_nothing_that_was_answered_is_lost() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    let hook = hook(&house, &agent, Ceilings::default()).await;
    let bodies: Vec<Vec<u8>> = (0..1000).map(|n: u32| n.to_be_bytes().to_vec()).collect();
    let calls = bodies.iter().map(|body| call(&house, &agent, &hook.address, body));
    let statuses: Vec<u16> = futures_util::stream::iter(calls).buffer_unordered(64).collect().await;
    assert!(statuses.iter().all(|status| *status == 200));
    let mut seen = std::collections::BTreeSet::new();
    let mut taken: Vec<String> = Vec::new();
    loop {
        let ids: Vec<&str> = taken.iter().map(String::as_str).collect();
        let answer = agent.sync(&agent.takes(&ids)).await.unwrap();
        if answer.deliveries.is_empty() {
            break;
        }
        taken = answer.deliveries.as_slice().iter().map(|one| one.id.to_string()).collect();
        for delivery in answer.deliveries.as_slice() {
            let DeliveryBody::Webhook(webhook) = &delivery.body else { panic!("{delivery:?}") };
            seen.insert(STANDARD.decode(agent.open(webhook).body_base64).unwrap());
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), bodies);
    let mut connection = house.plane.services.store.read().await.unwrap();
    assert_eq!(deliveries::count(&mut connection, &agent.id).await.unwrap(), 0);
    drop(connection);
    house.plane.stop().await;
}

#[tokio::test]
async fn what_waits_outlives_a_clock_that_leaps_ahead_and_is_told_of_when_it_goes() {
    let clock = Clock::manual(Clock::system().now());
    let house = House::at(clock.clone()).await;
    let services = &house.plane.services;
    let agent = house.plane.agent(&house.tenant).await;
    let hook = hook(&house, &agent, Ceilings::default()).await;
    assert_eq!(call(&house, &agent, &hook.address, b"x").await, 200);
    let command = NewCommand {
        tenant: house.tenant.clone(),
        agent: agent.id.clone(),
        verb: Verb::Run { flow: "f".into() },
        by: "somebody".into(),
        reason: "because".into(),
        expires_at: millis(&clock) + 3_600_000,
    };
    let now = millis(&clock);
    services
        .store
        .write(move |tx| Box::pin(async move { commands::create(tx, &command, now).await }))
        .await
        .unwrap();
    let left = async || {
        sweep_once(services).await.unwrap();
        deliveries::count(&mut services.store.read().await.unwrap(), &agent.id).await.unwrap()
    };
    assert_eq!(left().await, 2);
    clock.set_by(TimeDelta::days(400));
    assert_eq!(left().await, 2);
    clock.set_by(TimeDelta::days(-400));
    assert_eq!(left().await, 2);
    assert_eq!(agent.sync(&agent.says_nothing()).await.unwrap().deliveries.as_slice().len(), 2);
    clock.advance(TimeDelta::milliseconds(hook.hook.ceilings.keep));
    assert_eq!((left().await, house.notices().await.len()), (1, 0));
    clock.advance(TimeDelta::hours(1));
    assert_eq!((left().await, house.notices().await), (0, vec!["webhooks-expired".to_owned()]));
    house.plane.stop().await;
}

#[tokio::test]
async fn what_waits_to_be_written_is_bounded_by_its_bytes() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    let hook = hook(&house, &agent, Ceilings::default()).await;
    let services = &house.plane.services;
    // Sealed and written out, each takes about 18 kB.
    let ingress = services.ingress.clone().with_queue(45_000, Duration::from_millis(100));
    let (go, wait) = tokio::sync::oneshot::channel::<()>();
    let (began, begun) = tokio::sync::oneshot::channel::<()>();
    let stalled = services.store.append(move |_| {
        Box::pin(async move {
            began.send(()).unwrap();
            wait.await.unwrap();
            Ok(())
        })
    });
    let take = async || {
        let admitted = ingress.admit(&hook.address, std::net::Ipv4Addr::LOCALHOST.into()).await.ok().unwrap();
        ingress.take(&admitted, std::iter::empty(), &[7; 10_000]).await
    };
    let senders = async {
        begun.await.unwrap();
        let mut waiting: futures_util::stream::FuturesUnordered<_> = (0..20).map(|_| take()).collect();
        let mut sent_away = 0;
        while sent_away < 18 {
            assert_eq!(waiting.next().await, Some(Answer::Unavailable));
            sent_away += 1;
        }
        go.send(()).unwrap();
        waiting.collect::<Vec<_>>().await
    };
    let (stalled, kept) = tokio::join!(stalled, senders);
    stalled.unwrap();
    assert_eq!(kept, [Answer::Taken, Answer::Taken]);
    assert_eq!(take().await, Answer::Taken);
    house.plane.stop().await;
}

#[tokio::test]
async fn what_was_counted_and_could_not_be_written_is_counted_later() {
    let house = House::new().await;
    let agent = house.plane.agent(&house.tenant).await;
    let hook = hook(&house, &agent, Ceilings { largest_body: 10, ..Ceilings::default() }).await;
    let services = &house.plane.services;
    let run = async |statement: &'static str| {
        let done = services.store.write(move |tx| {
            Box::pin(async move {
                sqlx::query(statement).execute(tx.connection()).await?;
                Ok(())
            })
        });
        done.await.unwrap();
    };
    assert_eq!(call(&house, &agent, &hook.address, b"x").await, 200);
    assert_eq!(call(&house, &agent, &hook.address, &[b'x'; 11]).await, 503);
    run("create trigger full before update on hooks begin select raise(abort, 'full'); end").await;
    services.ingress.flush().await.unwrap_err();
    run("drop trigger full").await;
    assert_eq!(call(&house, &agent, &hook.address, b"x").await, 200);
    services.ingress.flush().await.unwrap();
    services.ingress.flush().await.unwrap();
    let mut connection = services.store.read().await.unwrap();
    let counted = hooks::of(&mut connection, &house.tenant, &hook.hook.id).await.unwrap();
    assert_eq!((counted.received, counted.refused), (2, 1));
    drop(connection);
    house.plane.stop().await;
}
