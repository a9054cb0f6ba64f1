//! The whole: an agent, its scheduler and its link in one process. A revision exchanges the agent, a fence stops its
//! flows, a call that would have sent a secret astray is told.

use super::bench::wish;
use super::plane::Plane;
use crate::clock::Clock;
use crate::config::revisions::{effective, known};
use crate::flows::replay::Decision;
use crate::runtime::agent::Agent;
use crate::runtime::agent::Parts;
use crate::runtime::audit_log::AuditLog;
use crate::runtime::commands::{self, Obeyed, Order};
use crate::runtime::host::Host;
use crate::runtime::link::enroll::enroll;
use crate::runtime::obey;
use crate::runtime::scheduler::Jitter;
use crate::runtime::supervisor::{Policy, RunState};
use crate::secret::Origin;
use crate::store::{Store, StoredSecret, dir_of, key};
use crate::vendors::http::{CallContext, CallLog as _, CallRecord};
use secrecy::SecretString;
use serde_json::{Value, json};
use spend::ids::{ConnectionId, FlowId};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

const REVISION: &str = r#"
version = 1
[[connection]]
id = "cards"
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
source = "cards"
target = "erp"
company = "EPIC06"
document = "journal"
prefix = "CRD"
start = "2026-01-01"
[flow.mapping]
use_category_code = true
offset_card = "2200"
offset_reimbursable = "2100"
"#;

/// For whatever only has to come at all.
const DEADLINE: Duration = Duration::from_secs(60);

struct Stage {
    plane: Plane,
    host: Host,
    store: Store,
    _home: tempfile::TempDir,
}

fn parts(home: &Path, file: &Path, store: &Store, clock: &Clock) -> Parts {
    let effective = effective(known(store).unwrap(), home, file).unwrap();
    Parts {
        config: effective.valid,
        store: store.clone(),
        home: home.to_owned(),
        clock: clock.clone(),
        policy: Policy::default(),
        test_hooks: false,
        machine: effective.machine,
        fenced: None,
    }
}

impl Stage {
    /// An enrolled agent that has no configuration yet.
    async fn begin() -> Self {
        let plane = Plane::start().await;
        plane.lock().patience = Some(Duration::from_secs(3));
        let home = tempfile::tempdir().unwrap();
        std::fs::write(
            home.path().join("guard-rails.toml"),
            "version = 1\norigins = [\"http://127.0.0.1:1\"]\n",
        )
        .unwrap();
        let file: PathBuf = home.path().join("purser.toml");
        let clock = Clock::system();
        let keys = key::create_or_open(home.path(), None).unwrap();
        let store = Store::open(&dir_of(home.path()), keys, clock.clone()).unwrap();
        let enrolled = enroll(wish(&plane.url, "AAAA-BBBB"), &clock).await.unwrap();
        store.commit(enrolled.batch("person:ann".to_owned())).await.unwrap();
        let host = Host::start(parts(home.path(), &file, &store, &clock), Jitter::Off, file);
        Self { plane, host, store, _home: home }
    }

    /// Goes on until it is so.
    async fn until(&mut self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let work = async {
            while !wanted(self) {
                tokio::select! {
                    () = self.host.step() => {}
                    () = tokio::time::sleep(Duration::from_millis(20)) => {}
                }
            }
        };
        tokio::time::timeout(DEADLINE, work).await.unwrap_or_else(|_| panic!("never: {what}"));
    }
}

fn revision(number: u64, toml: &str) -> Value {
    json!({
        "number": number, "toml": toml, "hash": blake3::hash(toml.as_bytes()).to_hex().to_string(),
        "by": "ann", "at": "2026-08-10T11:00:00Z",
    })
}

#[actix_rt::test]
async fn an_agent_without_a_configuration_takes_one_up_obeys_and_stops_when_it_is_fenced() {
    let mut stage = Stage::begin().await;
    assert_eq!(stage.host.agent().flow_ids().count(), 0);
    stage.plane.deliver("d1", "revision", revision(1, REVISION));
    stage.until("the flow of the revision", |stage| stage.host.agent().flow_ids().count() == 1).await;
    stage.until("the verdict", |stage| stage.plane.told("revision").len() == 1).await;
    let expires = (Clock::system().now() + chrono::TimeDelta::hours(1)).to_rfc3339();
    let command = json!({ "by": "ann", "reason": "month end", "expires": expires,
                          "verb": { "verb": "pause", "flow": "cards" } });
    stage.plane.deliver("d2", "command", command);
    stage.until("the result", |stage| stage.plane.told("result").len() == 1).await;
    assert_eq!(stage.plane.told("result")[0]["result"]["outcome"], "done");
    assert!(stage.host.agent().is_paused(&FlowId::new("cards")).unwrap());
    stage.plane.lock().fenced = Some("another machine is older".to_owned());
    stage.until("the fence", |stage| stage.host.agent().parts().fenced.is_some()).await;
    stage.until("that it is shown", |stage| stage.host.status().link.unwrap().fenced.is_some()).await;
    let order = Order::Run { flow: FlowId::new("cards"), expect: None, consent: None };
    let Obeyed::Refused { why } = stage.host.agent().obey(order).await else { panic!("it ran") };
    assert!(why.contains("fenced") && why.contains("another machine is older"), "{why}");
    stage.host.stop().await;
}

#[actix_rt::test]
async fn a_call_that_would_have_sent_a_secret_astray_is_told_to_the_control_plane() {
    let mut stage = Stage::begin().await;
    let record = CallRecord {
        at: Clock::system().now(),
        connection: "erp".into(),
        operation: "x".to_owned(),
        method: "GET".to_owned(),
        url: "https://evil.example.test/".to_owned(),
        request_headers: Vec::new(),
        request_body: String::new(),
        status: None,
        answer_body: String::new(),
        duration_ms: 0,
        error: Some("a secret of this call is bound to https://erp.example.test:443".to_owned()),
        security_event: true,
        context: CallContext::default(),
    };
    AuditLog { store: stage.store.clone(), home: stage.host.agent().home().to_owned() }.record(record);
    let is_told = |stage: &Stage| !stage.plane.told("notice").is_empty();
    stage.until("the notice", is_told).await;
    let notice = stage.plane.told("notice").pop().unwrap();
    assert_eq!(
        (notice["code"].as_str(), notice["concerns"].as_str()),
        (Some("secret-for-another-origin"), Some("erp"))
    );
    stage.host.stop().await;
}

fn secret(value: &str) -> StoredSecret {
    let origins = vec![Origin::parse("http://127.0.0.1:1").unwrap()];
    let fields = [("token".to_owned(), SecretString::from(value))].into();
    StoredSecret { kind: "brex".to_owned(), origins, fields }
}

fn by() -> Decision {
    Decision { by: "ann".to_owned(), note: String::new() }
}

/// The secret of the connection `cards`, in the store.
fn stored(stage: &Stage) -> Option<String> {
    let credential = stage.store.secret("cards").unwrap()?;
    Some(credential.get("token").unwrap().expose().to_owned())
}

impl Stage {
    /// Another agent is at work.
    async fn until_exchanged(&mut self, before: &Rc<Agent>) {
        self.until("the next agent", |stage| !Rc::ptr_eq(stage.host.agent(), before)).await;
    }
}

#[actix_rt::test]
async fn a_secret_that_comes_while_agents_are_exchanged_is_what_the_next_one_works_with() {
    let mut stage = Stage::begin().await;
    stage.plane.deliver("d1", "revision", revision(1, REVISION));
    stage.until("the flow of the revision", |stage| stage.host.agent().flow_ids().count() == 1).await;
    let cards = ConnectionId::new("cards");
    for round in 0..6 {
        let desk = stage.host.desk().clone();
        let before = Rc::clone(stage.host.agent());
        let batch = |value: &str| obey::putting(Clock::system().now(), "cards", secret(value), &by());
        // Right before: it is stored by the time at which the next one begins.
        let name = format!("before {round}");
        let mut told = Box::pin(desk.secret("cards", batch(&name)));
        assert!(futures_util::poll!(told.as_mut()).is_pending());
        desk.renew();
        stage.until_exchanged(&before).await;
        assert_eq!(stored(&stage).as_deref(), Some(name.as_str()));
        assert_eq!(told.await, Ok(()));
        // While it ends: the next one stores it, and its connection begins anew with it.
        let before = Rc::clone(stage.host.agent());
        desk.renew();
        let name = format!("while {round}");
        let mut told = Box::pin(desk.secret("cards", batch(&name)));
        assert!(futures_util::poll!(told.as_mut()).is_pending());
        stage.until_exchanged(&before).await;
        // Its connection has read the secret of before: a life that begins later would read the new one and need no other.
        let actor = stage.host.agent().connection(&cards).unwrap().actor().clone();
        let running = actor.wait_for(|status| status.state == RunState::Running);
        tokio::time::timeout(DEADLINE, running).await.expect("the connection of the next agent runs");
        let is_told = async { assert_eq!(told.await, Ok(())) };
        let stepping = async {
            loop {
                stage.host.step().await;
            }
        };
        tokio::select! {
            () = is_told => {}
            () = stepping => {}
        }
        assert_eq!(stored(&stage).as_deref(), Some(name.as_str()));
        let anew = actor.wait_for(|status| status.restarted.as_deref() == Some("its secret was changed"));
        tokio::time::timeout(DEADLINE, anew).await.expect("the connection begins anew with it");
    }
    stage.host.stop().await;
}

#[actix_rt::test]
async fn orders_that_come_while_agents_are_exchanged_are_obeyed_by_the_next() {
    let mut stage = Stage::begin().await;
    let home = stage.host.agent().home().to_owned();
    commands::prepare(&home).unwrap();
    let before = Rc::clone(stage.host.agent());
    stage.host.desk().renew();
    stage.host.step().await;
    let sealed = secret("x").seal(&home, "cards").unwrap();
    let order = Order::PutSecret { name: "cards".to_owned(), sealed, decision: by() };
    let mut given = Box::pin(commands::give(&home, &order, Duration::from_secs(60)));
    assert!(futures_util::poll!(given.as_mut()).is_pending());
    stage.host.obey_orders();
    let waiting = || std::fs::read_dir(commands::folder(&home)).unwrap().count();
    assert_eq!(waiting(), 1, "it is not taken by an agent that ends");
    stage.until_exchanged(&before).await;
    stage.host.obey_orders();
    assert_eq!(waiting(), 0);
    assert_eq!(given.await.unwrap(), Some(Obeyed::Done));
    stage.host.stop().await;
}

#[actix_rt::test]
async fn what_was_taken_in_hand_is_done_and_answered_before_the_process_ends() {
    let mut stage = Stage::begin().await;
    stage.plane.deliver("d1", "revision", revision(1, REVISION));
    stage.until("the flow of the revision", |stage| stage.host.agent().flow_ids().count() == 1).await;
    let home = stage.host.agent().home().to_owned();
    commands::prepare(&home).unwrap();
    let sealed = secret("by hand").seal(&home, "cards").unwrap();
    let put = Order::PutSecret { name: "cards".to_owned(), sealed, decision: by() };
    let pause = Order::Pause { flow: FlowId::new("cards"), paused: true, decision: by() };
    let mut given = Box::pin(async {
        let patience = Duration::from_secs(60);
        futures_util::join!(commands::give(&home, &put, patience), commands::give(&home, &pause, patience))
    });
    assert!(futures_util::poll!(given.as_mut()).is_pending());
    let desk = stage.host.desk().clone();
    let from_afar = obey::putting(Clock::system().now(), "erp", secret("from afar"), &by());
    let mut told = Box::pin(desk.secret("erp", from_afar));
    assert!(futures_util::poll!(told.as_mut()).is_pending());
    // All of it is taken in hand, and nothing has begun.
    stage.host.obey_orders();
    while futures_util::poll!(Box::pin(stage.host.step())).is_ready() {}
    let Stage { host, store, plane: _plane, _home } = stage;
    host.stop().await;
    // Nothing is waited for from here on: the process ends.
    let value = |name: &str| {
        let credential = store.secret(name).unwrap()?;
        Some(credential.get("token").unwrap().expose().to_owned())
    };
    assert_eq!((value("cards").as_deref(), value("erp").as_deref()), (Some("by hand"), Some("from afar")));
    assert_eq!(futures_util::FutureExt::now_or_never(told), Some(Ok(())));
    let answers = std::fs::read_dir(commands::folder(&home)).unwrap();
    let answers = answers.filter(|file| file.as_ref().unwrap().path().extension().unwrap() == "answer");
    assert_eq!(answers.count(), 2);
    let (put, paused) = given.await;
    assert_eq!((put.unwrap(), paused.unwrap()), (Some(Obeyed::Done), Some(Obeyed::Done)));
}

#[actix_rt::test]
async fn an_agent_that_ends_waits_until_its_answers_are_kept() {
    let mut stage = Stage::begin().await;
    let desk = stage.host.desk().clone();
    let mut asked = Box::pin(desk.order(Order::Revive { name: "cards".to_owned() }));
    assert!(futures_util::poll!(asked.as_mut()).is_pending());
    while futures_util::poll!(Box::pin(stage.host.step())).is_ready() {}
    let Stage { host, store: _store, plane: _plane, _home } = stage;
    let ended = std::cell::Cell::new(false);
    let ending = async {
        host.stop().await;
        ended.set(true);
    };
    let keeping = async {
        let (obeyed, kept) = asked.await.expect("it was taken in hand");
        assert!(matches!(obeyed, Obeyed::Refused { .. }), "there is no such connection: {obeyed:?}");
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(!ended.get(), "the answer is not stored yet");
        drop(kept);
    };
    futures_util::join!(ending, keeping);
}

#[actix_rt::test]
async fn what_a_control_plane_asked_that_the_agent_has_left_is_not_obeyed() {
    let mut stage = Stage::begin().await;
    let desk = stage.host.desk().clone();
    let mut asked = Box::pin(desk.order(Order::Revive { name: "cards".to_owned() }));
    assert!(futures_util::poll!(asked.as_mut()).is_pending());
    assert_eq!(stage.host.agent().obey(Order::Leave { decision: by() }).await, Obeyed::Done);
    stage.host.keep_link();
    assert!(desk.is_deserted());
    assert!(asked.await.is_none(), "and nobody says that it was refused or done");
    stage.host.stop().await;
}

#[actix_rt::test]
async fn a_running_agent_is_enrolled_and_leaves_without_a_restart() {
    let mut stage = Stage::begin().await;
    stage.until("the first sync", |stage| !stage.plane.lock().syncs.is_empty()).await;
    let by = crate::flows::replay::Decision { by: "ann".to_owned(), note: String::new() };
    assert_eq!(stage.host.agent().obey(Order::Leave { decision: by.clone() }).await, Obeyed::Done);
    stage.host.keep_link();
    assert!(stage.host.status().link.is_none() && stage.store.enrollment().unwrap().is_none());
    stage.plane.lock().code = "CCCC-DDDD".to_owned();
    let enrolled = enroll(wish(&stage.plane.url, "CCCC-DDDD"), &Clock::system()).await.unwrap();
    let sealed = enrolled.seal(stage.host.agent().home()).unwrap();
    let join = Order::Join { sealed, decision: by };
    assert_eq!(stage.host.agent().obey(join).await, Obeyed::Done);
    stage.host.keep_link();
    let before = stage.plane.lock().syncs.len();
    stage.until("a sync of the new identity", |stage| stage.plane.lock().syncs.len() > before).await;
    stage.host.stop().await;
}
