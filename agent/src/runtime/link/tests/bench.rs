//! An enrolled agent of which only the link is real: who it asks writes down what was asked.

use super::plane::Plane;
use crate::clock::Clock;
use crate::flows::RunReport;
use crate::runtime::commands::{Obeyed, Order};
use crate::runtime::link::LinkParts;
use crate::runtime::link::desk::{Ask, Desk};
use crate::runtime::link::enroll::{Enrolled, Wish, enroll};
use crate::runtime::link::exchange::{Exchange, Round};
use crate::runtime::link::identity::begin_life;
use crate::runtime::link::status::{LinkStatus, Shown};
use crate::runtime::status::{AgentStatus, FlowStatus};
use crate::runtime::supervisor::{ActorStatus, RunState};
use crate::runtime::webhooks::{Outcome, Receipt};
use crate::store::{Batch, Options, Store, dir_of, key};
use crate::vendors::http::LinkClient;
use purser_proto::config::NetworkSettings;
use secrecy::SecretString;
use spend::ids::{ConnectionId, FlowId};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// Stands in everything that must never leave the machine by default.
pub(super) const CANARY: &str = "CANARY-osprey";

/// What the machine itself is configured with.
pub(super) const OWN: &str = r#"
version = 1
[[connection]]
id = "cards"
kind = "brex"
url = "https://cards.example.test"
[[connection]]
id = "erp"
kind = "epicor"
url = "https://erp.example.test/site"
"#;

/// What a person on the machine writes right before the next sealed secret is stored.
pub(super) type Meanwhile = Rc<RefCell<Option<Batch>>>;

/// The disk under the store, as far as it is full.
#[derive(Clone, Default)]
pub(super) struct Disk {
    full: Arc<AtomicBool>,
    refused: Arc<AtomicU64>,
}

impl Disk {
    pub(super) fn fill(&self) {
        self.full.store(true, Ordering::SeqCst);
    }

    pub(super) fn free(&self) {
        self.full.store(false, Ordering::SeqCst);
    }

    /// Waits until something was refused since it was filled, and gives it room again.
    pub(super) async fn refuses(&self) {
        let before = self.refused.load(Ordering::SeqCst);
        while self.refused.load(Ordering::SeqCst) == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.free();
    }

    fn options(&self) -> Options {
        let disk = self.clone();
        let free = move |_: &Path| {
            let full = disk.full.load(Ordering::SeqCst);
            disk.refused.fetch_add(u64::from(full), Ordering::SeqCst);
            Ok(if full { 0 } else { u64::MAX })
        };
        Options { free_space: Arc::new(free), ..Options::default() }
    }
}

/// What the agent answers to orders.
pub(super) type Answers = Rc<RefCell<VecDeque<Obeyed>>>;

pub(super) struct Bench {
    pub(super) plane: Plane,
    pub(super) home: TempDir,
    pub(super) disk: Disk,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) exchange: Exchange,
    /// Answers to the next orders, in place of the usual ones.
    pub(super) answers: Answers,
    pub(super) meanwhile: Meanwhile,
    /// What was asked of the agent, in words.
    pub(super) asked: Rc<RefCell<Vec<String>>>,
}

/// Who stands in for the agent.
#[derive(Clone)]
struct Clerk {
    store: Store,
    asked: Rc<RefCell<Vec<String>>>,
    answers: Answers,
    meanwhile: Meanwhile,
}

pub(super) fn network() -> NetworkSettings {
    NetworkSettings {
        proxy: Some("none".to_owned()),
        allow_plain_loopback: true,
        ..NetworkSettings::default()
    }
}

pub(super) fn wish(url: &str, code: &str) -> Wish {
    Wish {
        url: url.to_owned(),
        code: SecretString::from(code),
        network: network(),
        proxy: None,
        host: "books".to_owned(),
    }
}

impl Bench {
    pub(super) async fn start() -> Self {
        let plane = Plane::start().await;
        // Whatever names a path says a word that it must not.
        let home = tempfile::Builder::new().prefix(CANARY).tempdir().unwrap();
        std::fs::write(home.path().join("purser.toml"), OWN).unwrap();
        let clock = Clock::manual("2026-08-10T12:00:00Z".parse().unwrap());
        let keys = key::create_or_open(home.path(), None).unwrap();
        let disk = Disk::default();
        let store = Store::open_with(&dir_of(home.path()), keys, clock.clone(), disk.options()).unwrap();
        let enrolled: Enrolled = enroll(wish(&plane.url, "AAAA-BBBB"), &clock).await.unwrap();
        store.commit(enrolled.batch("person:ann".to_owned())).await.unwrap();
        let clerk = Clerk {
            store: store.clone(),
            asked: Rc::default(),
            answers: Answers::default(),
            meanwhile: Meanwhile::default(),
        };
        let exchange = exchange(&home, &store, &clock, clerk.desk());
        let Clerk { asked, answers, meanwhile, .. } = clerk;
        Self { plane, home, disk, store, clock, exchange, answers, meanwhile, asked }
    }

    /// The process dies and is started again.
    pub(super) fn restart(&mut self) {
        let clerk = Clerk {
            store: self.store.clone(),
            asked: Rc::clone(&self.asked),
            answers: Rc::clone(&self.answers),
            meanwhile: Rc::clone(&self.meanwhile),
        };
        self.exchange = exchange(&self.home, &self.store, &self.clock, clerk.desk());
    }

    /// As [`Bench::restart`], with an agent that the test plays.
    pub(super) fn restart_at(&mut self, desk: Desk) {
        self.exchange = exchange(&self.home, &self.store, &self.clock, desk);
    }

    /// Rounds until nothing new is said or heard.
    pub(super) async fn settle(&self) {
        for _ in 0..50 {
            let before = self.plane.lock().syncs.len();
            let round = self.exchange.round().await;
            self.carry_out().await;
            let quiet = self.store.outbox_stats().unwrap().unwrap().reports == 0;
            let told = self.exchange.to_tell.borrow().is_empty() || self.plane.lock().repeat;
            match round {
                Round::Busy | Round::Quiet if quiet && told && self.plane.lock().syncs.len() > before => {
                    return;
                }
                Round::Busy | Round::Quiet | Round::Fenced => {}
                Round::Failed(error) => panic!("{error}"),
                Round::Stuck(error) => panic!("{error}"),
            }
        }
        panic!("it does not come to rest");
    }

    /// What was asked of the agent so far.
    pub(super) async fn asked(&self) -> Vec<String> {
        // Questions are answered in their order, so those before this one were written down.
        self.exchange.parts.desk.status().await.unwrap();
        self.asked.borrow().clone()
    }

    /// Carries out what was ordered so far.
    pub(super) async fn carry_out(&self) {
        let mut pending = Vec::new();
        if let Some(ordered) = self.exchange.ordered.borrow_mut().as_mut() {
            while let Ok(one) = ordered.try_recv() {
                pending.push(one);
            }
        }
        for one in pending {
            self.exchange.carry_out(one).await;
        }
    }

    pub(super) fn rails(&self, text: &str) {
        std::fs::write(self.home.path().join("guard-rails.toml"), text).unwrap();
    }

    /// Everything that was ever sent up.
    pub(super) fn sent(&self) -> String {
        serde_json::to_string(&self.plane.lock().syncs).unwrap()
    }
}

fn exchange(home: &TempDir, store: &Store, clock: &Clock, desk: Desk) -> Exchange {
    let (enrollment, mark) = store.marked_enrollment().unwrap().unwrap();
    let parts = LinkParts {
        store: store.clone(),
        home: home.path().to_owned(),
        config_file: home.path().join("purser.toml"),
        clock: clock.clone(),
        desk,
    };
    let client = LinkClient::new(&enrollment.url, &enrollment.network, None).unwrap();
    let keys = store.link_keys().unwrap().unwrap();
    let shown = Shown::new(LinkStatus::new(&enrollment, clock.now()));
    let instance = begin_life(store, clock).unwrap();
    Exchange::new(parts, (enrollment, mark), instance, client, keys, shown)
}

impl Clerk {
    /// A desk at which it answers.
    fn desk(&self) -> Desk {
        let (desk, mut questions) = Desk::new();
        let clerk = self.clone();
        actix_rt::spawn(async move {
            while let Some(ask) = questions.recv().await {
                answer(&clerk, ask).await;
            }
        });
        desk
    }
}

async fn answer(Clerk { store, asked, answers, meanwhile }: &Clerk, ask: Ask) {
    let note = |words: String| asked.borrow_mut().push(words);
    match ask {
        Ask::Renew => note("renew".to_owned()),
        Ask::Status(reply) => drop(reply.send((status(), BTreeMap::new()))),
        Ask::Order(order, reply) => {
            note(serde_json::to_string(&*order).unwrap());
            let planted = answers.borrow_mut().pop_front();
            let usual = match *order {
                Order::Run { .. } => Obeyed::Ran {
                    report: RunReport {
                        read: 3,
                        posted: 2,
                        held: 1,
                        errors: vec![format!("{CANARY} is a merchant")],
                        ..RunReport::default()
                    },
                },
                _ => Obeyed::Done,
            };
            reply.answer(planted.unwrap_or(usual)).await;
        }
        Ask::Secret { name, batch, reply } => {
            let person = meanwhile.borrow_mut().take();
            if let Some(person) = person {
                store.commit(person).await.unwrap();
            }
            note(format!("secret {name}"));
            drop(reply.send(store.commit(batch).await.map_err(|error| error.to_string())));
        }
        Ask::Webhooks { connection, lines, with, reply } => {
            note(format!("{} webhook(s) of {connection}", lines.len()));
            let receipt = Receipt {
                outcome: Outcome::Accepted,
                id: None,
                event: None,
                code: None,
                why: None,
                records: 0,
            };
            let receipts = vec![receipt; lines.len()];
            store.commit(with(&receipts)).await.unwrap();
            drop(reply.send(Ok(())));
        }
    }
}

fn status() -> AgentStatus {
    let at = spend::Timestamp::UNIX_EPOCH;
    let actor = ActorStatus {
        name: "cards".to_owned(),
        state: RunState::Failed,
        epoch: 1,
        restarts: 0,
        last_error: Some(format!("panic: {CANARY}")),
        restarted: None,
        since: at,
    };
    let flow = FlowStatus { actor: actor.clone(), running: false, paused: false, next_run: None, last: None };
    AgentStatus {
        at,
        started: at,
        pid: 1,
        version: "1".to_owned(),
        connections: [(ConnectionId::new("cards"), actor.clone())].into(),
        alarms: BTreeMap::new(),
        flows: [(FlowId::from("expensify-epicor"), flow)].into(),
        link: None,
    }
}
