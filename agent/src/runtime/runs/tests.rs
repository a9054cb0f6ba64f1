//! What calls for a run, over an agent whose connections have no secrets: every call fails at once.

use super::*;
use crate::clock::Clock;
use crate::config;
use crate::flows::replay::Decision;
use crate::runtime::agent::Parts;
use crate::runtime::scheduler::Jitter;
use crate::runtime::supervisor::{Policy, RunState};
use crate::secret::Origin;
use crate::store::{Batch, Store, StoredSecret, dir_of, key};
use secrecy::SecretString;
use spend::ids::ConnectionId;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

const CONFIG: &str = r#"
version = 1
[[connection]]
id = "brex"
kind = "brex"
url = "http://127.0.0.1:1"
network = { proxy = "none", allow_plain_loopback = true }
[[connection]]
id = "erp"
kind = "epicor"
url = "http://127.0.0.1:1"
network = { proxy = "none", allow_plain_loopback = true }
[[flow]]
id = "cards"
source = "brex"
target = "erp"
company = "EPIC06"
document = "journal"
prefix = "CRD"
start = "2026-01-01"
[flow.mapping]
use_category_code = true
offset_card = "2200"
offset_reimbursable = "2100"
[[reference]]
id = "suppliers"
from = "erp"
to = "brex"
company = "EPIC06"
set = "vendors"
"#;

fn parts(folder: &Path) -> Parts {
    parts_with(folder, CONFIG)
}

fn parts_with(folder: &Path, config: &str) -> Parts {
    let file = folder.join("purser.toml");
    std::fs::write(&file, config).unwrap();
    let clock = Clock::manual("2026-08-10T12:00:00Z".parse().unwrap());
    let keys = key::create_or_open(folder, None).unwrap();
    Parts {
        config: config::load(&file).unwrap().1,
        store: Store::open(&dir_of(folder), keys, clock.clone()).unwrap(),
        home: folder.to_owned(),
        clock,
        policy: Policy::default(),
        test_hooks: false,
        machine: Vec::new(),
        fenced: None,
    }
}

fn cards() -> FlowId {
    FlowId::new("cards")
}

/// An ERP that refuses every credential.
fn locked_erp() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            let answer = "HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

async fn woken(agent: &Agent, flow: &FlowId) {
    let mut batch = Batch::new();
    memory::wake(flow, agent.now(), &mut batch);
    agent.store().commit(batch).await.unwrap();
    assert_eq!(agent.next_due(flow), Some(agent.now()));
}

#[actix_rt::test]
async fn a_webhook_whose_run_could_not_read_is_kept_and_the_run_made_up() {
    let folder = tempfile::tempdir().unwrap();
    let parts = parts(folder.path());
    let clock = parts.clock.clone();
    let agent = Agent::start(parts);
    woken(&agent, &cards()).await;
    let report = agent.run_flow(&cards(), "webhook").await.unwrap();
    assert!(!report.errors.is_empty());
    let due = report.next_due.unwrap();
    assert!(due > clock.now());
    assert_eq!(
        agent.next_due(&cards()),
        Some(due),
        "its delay counts, so that a refused login is not hammered"
    );
    assert!(memory::woken(agent.store(), &cards()).unwrap().is_some());
    clock.advance(due - clock.now());
    assert!(agent.run_flow(&cards(), "retry").await.unwrap().next_due.unwrap() > clock.now());
    agent.stop().await;
}

#[actix_rt::test]
async fn a_webhook_of_a_reference_flow_is_answered_by_a_run_that_ends() {
    let folder = tempfile::tempdir().unwrap();
    let erp = locked_erp();
    let config = CONFIG.replacen(
        "kind = \"epicor\"\nurl = \"http://127.0.0.1:1\"",
        &format!("kind = \"epicor\"\nurl = \"{erp}\""),
        1,
    );
    let agent = Agent::start(parts_with(folder.path(), &config));
    let suppliers = FlowId::new("suppliers");
    woken(&agent, &suppliers).await;
    let report = agent.run_flow(&suppliers, "webhook").await.unwrap();
    assert!(report.next_due.is_some(), "without a secret, and so is the flow's wish: {report:?}");
    assert!(memory::woken(agent.store(), &suppliers).unwrap().is_some());

    let fields = ["user", "password", "api_key"].map(|name| (name.to_owned(), SecretString::from("x")));
    let origins = vec![Origin::parse(&erp).unwrap()];
    let mut batch = Batch::new();
    batch.put_secret("erp", StoredSecret { kind: "epicor".to_owned(), origins, fields: fields.into() });
    agent.store().commit(batch).await.unwrap();
    let connection = agent.connection(&ConnectionId::new("erp")).unwrap().actor();
    connection.restart("its secret was changed");
    connection.wait_for(|status| status.state == RunState::Running && status.epoch > 1).await;
    let report = agent.run_flow(&suppliers, "webhook").await.unwrap();
    assert_eq!(report.next_due, None, "only a person can help: {report:?}");
    assert_eq!(memory::woken(agent.store(), &suppliers).unwrap(), None);
    assert_eq!(agent.next_due(&suppliers), None);
    agent.stop().await;
}

#[actix_rt::test]
async fn behind_a_run_that_takes_long_one_more_waits_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let agent = Rc::new(Agent::start(parts(folder.path())));
    let scheduler = agent.schedule(Jitter::Off);
    let flow = agent.flow(&cards()).unwrap();
    flow.actor().wait_for(|status| status.state == RunState::Running).await;
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let (begun, long) = tokio::sync::oneshot::channel::<()>();
    let long_run = flow.ask(move |_| {
        Box::pin(async move {
            begun.send(()).unwrap();
            released.await.unwrap();
        })
    });
    let fires = async {
        long.await.unwrap();
        let fires = (0..5).map(|n| {
            let trigger = if n == 0 { Trigger::Schedule("now".to_owned()) } else { Trigger::Retry };
            run_when_due(Rc::clone(&agent), scheduler.clone(), RunNow { flow: cards(), trigger })
        });
        let fires = futures_util::future::join_all(fires);
        let release = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            release.send(()).unwrap();
        };
        tokio::join!(fires, release);
    };
    let (long_run, ()) = tokio::join!(long_run, fires);
    long_run.unwrap();
    assert!(!flow.run_waits());
    let runs = agent.store().runs(Some(&cards()), 99).unwrap();
    assert_eq!(runs.iter().map(|run| run.trigger.as_str()).collect::<Vec<_>>(), ["schedule now"]);
    agent.stop().await;
}

#[actix_rt::test]
async fn an_order_does_not_take_back_the_retry_of_a_failed_run() {
    let folder = tempfile::tempdir().unwrap();
    let agent = Rc::new(Agent::start(parts(folder.path())));
    let scheduler = agent.schedule(Jitter::Off);
    let retry = agent.now() + AFTER_FAILURE;
    scheduler.wake_at(&cards(), Some(retry));
    let decision = Decision { by: "ann".to_owned(), note: String::new() };
    let order = Order::Pause { flow: FlowId::new("suppliers"), paused: true, decision };
    assert_eq!(agent.obey_and_wake(&scheduler, order).await, Obeyed::Done);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(scheduler.next().get(&cards()), Some(&retry));
    agent.stop().await;
}
