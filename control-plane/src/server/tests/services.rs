//! The whole server over a real store: an agent that waits, the figures, the end.

use super::*;
use crate::clock::{Clock, millis};
use crate::server::{Addresses, Services, Stopper, serve_until};
use crate::store::codes::{self, NewCode};
use crate::store::hooks::{self, Ceilings, NewHook};
use crate::store::{Store, tenants};
use crate::testing::TestAgent;
use secrecy::ExposeSecret as _;
use std::time::Instant;
use tokio::sync::oneshot;

struct Plane {
    addresses: Addresses,
    services: Services,
    end: oneshot::Sender<()>,
    ended: actix_web::rt::task::JoinHandle<Result<(), crate::server::ServeError>>,
}

async fn start(folder: &std::path::Path) -> Plane {
    let store = Store::open(&format!("sqlite:{}/control.db", folder.display())).await.unwrap();
    let settings = settings(|settings| {
        settings.proxy.trusted = vec!["127.0.0.1".parse().unwrap()];
        settings.metrics.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        settings.alerts.key = Some("a-key-of-32-characters-for-tests".to_owned().into());
    });
    let services = Services::with(store, Clock::system(), settings);
    let (bound, addresses) = oneshot::channel();
    let (end, ends) = oneshot::channel::<()>();
    let serving = services.clone();
    let ended = actix_web::rt::spawn(async move {
        let stop = async move |stopper: Stopper| {
            ends.await.unwrap();
            stopper.stop().await;
        };
        serve_until(serving, |addresses| bound.send(addresses).unwrap(), stop).await
    });
    Plane { addresses: addresses.await.unwrap(), services, end, ended }
}

impl Plane {
    async fn agent(&self) -> TestAgent {
        let now = millis(&self.services.clock);
        let made = self.services.store.write(move |tx| {
            Box::pin(async move {
                let tenant = tenants::create(tx, "Example", now).await?.id;
                let new =
                    NewCode { tenant, name: String::new(), approve: false, by: "test".into(), minutes: 60 };
                codes::create(tx, &new, now).await
            })
        });
        let code = made.await.unwrap().0;
        let mut agent = TestAgent::new(&format!("http://{}", self.addresses.main));
        agent.enroll(code.expose_secret()).await.unwrap();
        agent
    }

    async fn figures(&self) -> String {
        let own = TcpStream::connect(self.addresses.metrics.unwrap()).await.unwrap();
        ask(own, &get("/metrics", "connection: close\r\n")).await
    }
}

#[actix_web::test]
async fn an_agent_that_waits_is_seen_in_the_figures_and_sent_home_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let plane = start(folder.path()).await;
    let agent = plane.agent().await;
    agent.sync(&agent.says_nothing()).await.unwrap();
    let parked = actix_web::rt::spawn(async move { agent.sync(&agent.waits(50)).await });
    let waits = async {
        while plane.services.wake.waiting() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waits).await.unwrap();
    let text = plane.figures().await;
    for figure in [
        "purser_control_parked_syncs 1",
        "purser_control_syncs_total{outcome=\"ok\"} 1",
        "purser_control_enrollments_total{outcome=\"ok\"} 1",
        "route=\"/v1/agent/sync\",status=\"200\"",
        "purser_control_writer_queue 0",
    ] {
        assert!(text.contains(figure), "{figure}: {text}");
    }
    let io = TcpStream::connect(plane.addresses.main).await.unwrap();
    assert_eq!(status(&ask(io, &get("/readyz", "connection: close\r\n")).await), 200);
    let began = Instant::now();
    plane.end.send(()).unwrap();
    let answer = tokio::time::timeout(PATIENCE, parked).await.unwrap().unwrap().unwrap();
    assert!(answer.deliveries.is_empty());
    tokio::time::timeout(PATIENCE, plane.ended).await.unwrap().unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    // The database is closed, and whole for whoever comes next.
    let store = Store::open(&format!("sqlite:{}/control.db", folder.path().display())).await.unwrap();
    assert_eq!(tenants::all(&mut store.read().await.unwrap()).await.unwrap().len(), 1);
    store.close().await;
}

#[actix_web::test]
async fn clients_behind_a_trusted_proxy_that_guess_hooks_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let plane = start(folder.path()).await;
    let guess = async |client: &str, number: u16| {
        let io = TcpStream::connect(plane.addresses.main).await.unwrap();
        let head = format!(
            "POST /hooks/guess{number} HTTP/1.1\r\nhost: control.example.test\r\nx-forwarded-for: {client}\r\n\
             content-length: 0\r\nconnection: close\r\n\r\n"
        );
        status(&ask(io, &head).await)
    };
    let mut statuses = Vec::new();
    for number in 0..100 {
        statuses.push(guess("192.0.2.1", number).await);
    }
    assert!(statuses[..60].iter().all(|status| *status == 503) && statuses.contains(&429), "{statuses:?}");
    assert_eq!(guess("192.0.2.2", 0).await, 503, "another client pays for the first");
    plane.end.send(()).unwrap();
    tokio::time::timeout(PATIENCE, plane.ended).await.unwrap().unwrap().unwrap();
}

#[actix_web::test]
async fn hooks_are_known_from_the_start_and_followed_so_that_strangers_beside_their_senders_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let before = start(folder.path()).await;
    let agent = before.agent().await.id;
    let hook = async |store: Store| {
        let tenant = tenants::all(&mut store.read().await.unwrap()).await.unwrap().remove(0).id;
        let (agent, headers, ceilings) = (agent.clone(), Vec::new(), Ceilings::default());
        let new = NewHook { tenant, agent, connection: "cards".into(), headers, ceilings, by: "x".into() };
        let made = store.write(move |tx| Box::pin(async move { hooks::create(tx, &new, 1).await }));
        made.await.unwrap().path()
    };
    let first = hook(before.services.store.clone()).await;
    before.end.send(()).unwrap();
    tokio::time::timeout(PATIENCE, before.ended).await.unwrap().unwrap().unwrap();

    let plane = start(folder.path()).await;
    let call = async |path: &str| {
        let io = TcpStream::connect(plane.addresses.main).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: control.example.test\r\nx-forwarded-for: 192.0.2.1\r\n\
             content-length: 0\r\nconnection: close\r\n\r\n"
        );
        status(&ask(io, &head).await)
    };
    let guessed_until_refused = async || {
        let mut number = 0;
        while call(&format!("/hooks/guess{number}")).await != 429 {
            number += 1;
            assert!(number < 1000, "nobody is slowed down");
        }
    };
    guessed_until_refused().await;
    assert_eq!(call(&first).await, 200, "the hook was there before the start");
    let second = hook(plane.services.store.clone()).await;
    let learned = async {
        while !plane.services.ingress.knows(second.strip_prefix("/hooks/").unwrap()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, learned).await.expect("new hooks are followed");
    guessed_until_refused().await;
    assert_eq!(call(&second).await, 200);
    plane.end.send(()).unwrap();
    tokio::time::timeout(PATIENCE, plane.ended).await.unwrap().unwrap().unwrap();
}

#[actix_web::test]
async fn a_known_address_names_its_methods() {
    let folder = tempfile::tempdir().unwrap();
    let plane = start(folder.path()).await;
    for (line, allowed) in [
        ("POST /healthz", "GET, HEAD"),
        ("DELETE /readyz", "GET, HEAD"),
        ("GET /v1/agent/enroll", "POST"),
        ("GET /v1/agent/keys", "POST"),
        ("PUT /v1/agent/sync", "POST"),
    ] {
        let io = TcpStream::connect(plane.addresses.main).await.unwrap();
        let head = format!(
            "{line} HTTP/1.1\r\nhost: control.example.test\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        let answer = ask(io, &head).await;
        assert_eq!((status(&answer), header(&answer, "allow")), (405, Some(allowed)), "{line}: {answer}");
        assert_eq!(header(&answer, "content-type"), Some("application/problem+json"), "{line}");
    }
    plane.end.send(()).unwrap();
    tokio::time::timeout(PATIENCE, plane.ended).await.unwrap().unwrap().unwrap();
}

#[actix_web::test]
async fn readiness_notices_a_store_of_another_version() {
    let folder = tempfile::tempdir().unwrap();
    let plane = start(folder.path()).await;
    let later = plane.services.store.write(|tx| {
        Box::pin(async move {
            let insert = sqlx::query("insert into migrations (number, name) values (9999, 'later')");
            insert.execute(tx.connection()).await?;
            Ok(())
        })
    });
    later.await.unwrap();
    let io = TcpStream::connect(plane.addresses.main).await.unwrap();
    let answer = ask(io, &get("/readyz", "connection: close\r\n")).await;
    assert_eq!(status(&answer), 503);
    assert!(answer.contains("belongs to another version"), "{answer}");
    plane.end.send(()).unwrap();
    tokio::time::timeout(PATIENCE, plane.ended).await.unwrap().unwrap().unwrap();
}

#[actix_web::test]
async fn readiness_notices_a_store_that_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let plane = start(folder.path()).await;
    let run = async |statement: &'static str| {
        let done = plane.services.store.write(move |tx| {
            Box::pin(async move {
                sqlx::query(statement).execute(tx.connection()).await?;
                Ok(())
            })
        });
        done.await
    };
    let ready = async || {
        let io = TcpStream::connect(plane.addresses.main).await.unwrap();
        ask(io, &get("/readyz", "connection: close\r\n")).await
    };
    run("create trigger full before insert on turns begin select raise(abort, 'full'); end").await.unwrap();
    run("rollback").await.unwrap_err();
    let answer = ready().await;
    assert_eq!(status(&answer), 503);
    assert!(answer.contains("takes nothing that is written"), "{answer}");
    run("drop trigger full").await.unwrap();
    assert_eq!(status(&ready().await), 200);
    plane.end.send(()).unwrap();
    tokio::time::timeout(PATIENCE, plane.ended).await.unwrap().unwrap().unwrap();
}
