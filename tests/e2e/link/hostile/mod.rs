//! The hostile control plane: whoever runs it gets neither money nor credentials nor code execution. Every attack is sent
//! to a real agent with real secrets; after each one the ERP's books, the foreign listener and the agent are looked at.

mod attacks;
mod listener;
mod server;

use attacks::{Attack, Blow, Knowledge, Taken, revision};
use listener::Foreign;
use sandbox::harness::{Agent, Route, SandboxOptions, Secrets};
use sandbox::invariants::Needles;
use serde_json::{Value, json};
use server::{Heard, Hostile};

use crate::stage::{Stage, quick, wait_for};

/// Where the route's flow stands in the configuration.
const ROUTE: Route = Route::BrexEpicor;
/// Nothing in the world is as large; in minor units.
const BEYOND: i64 = 2_000_000_00;

struct Siege {
    stage: Stage,
    hostile: Hostile,
    foreign: Foreign,
    needles: Needles,
    agent: Agent,
    sent: usize,
}

impl Siege {
    /// An agent that is enrolled at an enemy, works, and has booked what was there.
    async fn lay() -> Self {
        let options = SandboxOptions { secrets: Secrets::canaries(0xBAD), plant: true, ..quick(30) };
        let stage = Stage::set_route(ROUTE, options, |_| {}).await;
        let hidden = stage.hidden().into_iter().map(str::to_owned).collect::<Vec<_>>();
        let needles = Needles::default()
            .with("a secret", hidden.iter().map(String::as_str))
            .with("a text of a record", stage.sandbox.planted.iter().map(String::as_str));
        let rails = format!(
            "version = 1\norigins = [{:?}, {:?}]\ncompanies = [{:?}]\ndocument_kinds = [\"journal\"]\n\
             max_per_document = {{ USD = \"100000.00\" }}\n",
            stage.config.brex, stage.config.epicor, stage.config.company
        );
        std::fs::write(stage.home.path().join("guard-rails.toml"), rails).unwrap();
        let (hostile, foreign) = (Hostile::start().await, Foreign::open().await);
        assert_eq!(
            stage.purser.enroll(&hostile.url(), "ABCD-EFGH-JKMN-PQRS", &[]).await.unwrap(),
            server::AGENT
        );
        let agent = stage.purser.spawn(&["run", "--no-jitter"]).unwrap();
        let mut siege = Self { stage, hostile, foreign, needles, agent, sent: 0 };
        let number = siege.send(revision(1, &siege.stage.config.render()));
        siege.told("the first revision", |heard| verdict(heard, 1)).await;
        assert_eq!(number, "d-1");
        siege.put_beyond();
        siege.run().await;
        siege
    }

    /// A record beyond the machine's ceiling, ready to be booked.
    fn put_beyond(&self) {
        let spend = self.stage.sandbox.spend.iter().find(|one| one.lines.len() == 1 && one.fault.is_none());
        let mut spend = serde_json::to_value(spend.unwrap()).unwrap();
        spend["kind"] = "purchase".into();
        spend["state"] = "ready".into();
        for name in ["amount", "original"] {
            spend["lines"][0][name] = BEYOND.into();
        }
        self.stage.sandbox.brex.control("add-spend", &spend).unwrap();
    }

    fn send(&mut self, body: Value) -> String {
        self.sent += 1;
        let id = format!("d-{}", self.sent);
        self.hostile.deliver(&id, body);
        id
    }

    /// What the agent has said, once it has said this.
    async fn told<T>(&self, what: &str, found: impl Fn(&Heard) -> Option<T>) -> T {
        let mut answer = None;
        let told = wait_for(|| {
            answer = found(&self.hostile.heard());
            answer.is_some()
        });
        if !told.await {
            panic!("waited in vain for: {what}; last said: {:#?}", self.hostile.heard().reports.last());
        }
        answer.unwrap()
    }

    /// Has the flow run, by the command that every machine allows.
    async fn run(&mut self) -> Value {
        let expires = (chrono::Utc::now() + chrono::TimeDelta::minutes(10)).to_rfc3339();
        let verb = json!({ "verb": "run", "flow": ROUTE.flow() });
        let body =
            json!({ "kind": "command", "by": "mallory", "reason": "go", "expires": expires, "verb": verb });
        let id = self.send(body);
        let result = self.told("the run", |heard| report_of(heard, &id)).await;
        assert_eq!(result["result"]["outcome"], "done", "{result:#}");
        result
    }

    async fn suffer(&mut self, number: usize, attack: Attack) {
        let name = format!("{number}. {}", attack.what);
        let in_force = self.hostile.heard().in_force;
        let reports = self.hostile.heard().reports.len();
        let id = match attack.blow {
            Blow::Delivery(body) => self.send(body),
            Blow::Repeated(id, body) => {
                self.hostile.deliver(&id, body);
                id
            }
            Blow::Raw(raw) => {
                let sent = self.hostile.heard().raw_sent;
                self.hostile.answer_raw(raw);
                self.told(&name, |heard| (heard.raw_sent > sent).then_some(())).await;
                self.begin_anew().await;
                String::new()
            }
        };
        let report = || async { self.told(&name, |heard| report_of(heard, &id)).await };
        match attack.taken {
            Taken::RevisionRefused | Taken::Harmless => {
                let body = self.told(&name, |heard| after(heard, reports, "revision")).await;
                let refused = body["refused"].as_array().map_or(0, Vec::len);
                assert_eq!(refused > 0, attack.taken == Taken::RevisionRefused, "{name}: {body:#}");
            }
            Taken::SecretRefused => assert!(report().await["refused"].is_string(), "{name}: it was stored"),
            Taken::Command(outcomes) => {
                let body = report().await;
                let outcome = body["result"]["outcome"].as_str().unwrap_or_default();
                assert!(outcomes.contains(&outcome), "{name}: {body:#}");
            }
            Taken::WebhookRefused => assert_eq!(report().await["outcome"], "refused", "{name}"),
            Taken::Ignored => {
                self.told(&name, |heard| heard.taken.contains(&id).then_some(())).await;
            }
            Taken::NoMessage => {}
        }
        if attack.taken != Taken::Harmless {
            assert_eq!(self.hostile.heard().in_force, in_force, "{name}: another configuration is in force");
        }
    }

    /// The agent waits for up to a minute after an answer that is none; a new life does not.
    async fn begin_anew(&mut self) {
        let spoken = self.hostile.heard().said.len();
        let fresh = self.stage.purser.spawn(&["run", "--no-jitter"]);
        let old = std::mem::replace(&mut self.agent, fresh.unwrap());
        old.terminate().await.unwrap();
        drop(old.wait().await.unwrap());
        // The first one may have found the home in use.
        if !self.agent.is_running().unwrap() {
            self.agent = self.stage.purser.spawn(&["run", "--no-jitter"]).unwrap();
        }
        self.told("a new life", |heard| (heard.said.len() > spoken).then_some(())).await;
    }

    /// Nothing has reached a foreign place, nothing secret the enemy, and the books are as they were.
    async fn stands(&mut self, name: &str, booked: u64) {
        assert_eq!(self.stage.documents(), booked, "{name}: the ERP's books have changed");
        let reached = self.foreign.kept();
        assert!(reached.is_empty(), "{name}: {} connections to a foreign place", reached.len());
        for said in self.hostile.heard().said {
            let found = self.needles.in_bytes(&said);
            assert!(found.is_empty(), "{name}: {found:?} was said to the enemy");
        }
        assert!(self.agent.is_running().unwrap(), "{name}: the agent has ended");
        assert_eq!(self.stage.misuse(), Vec::<String>::new(), "{name}");
    }
}

fn report_of(heard: &Heard, delivery: &str) -> Option<Value> {
    let bodies = heard.reports.iter().map(|report| &report["body"]);
    bodies.filter(|body| body["delivery"] == delivery).next_back().cloned()
}

fn after(heard: &Heard, reports: usize, kind: &str) -> Option<Value> {
    let bodies = heard.reports.iter().skip(reports).map(|report| &report["body"]);
    bodies.filter(|body| body["kind"] == kind).next_back().cloned()
}

fn verdict(heard: &Heard, number: u64) -> Option<Value> {
    let found = after(heard, 0, "revision").filter(|body| body["number"] == number)?;
    assert!(found["refused"].as_array().is_none_or(Vec::is_empty), "a good revision is refused: {found:#}");
    Some(found)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_runs_the_control_plane_gets_neither_money_nor_secrets_nor_the_machine() {
    let mut siege = Siege::lay().await;
    let booked = siege.stage.documents();
    assert!(booked > 5, "there is nothing to protect");
    siege.stands("before", booked).await;
    let (posted, held) = (siege.stage.records("acknowledged").await, siege.stage.records("held").await);
    let key = |records: &[Value]| records[0]["key"].as_str().unwrap().to_owned();
    let beyond = held.iter().find(|one| one["code"] == "guard-rail").expect("the record beyond is held");
    assert_eq!(beyond["total"]["minor"], BEYOND, "{beyond:#}");
    let keys = siege.hostile.heard().keys;
    let knowledge = Knowledge {
        config: &siege.stage.config.clone(),
        foreign: &Foreign::open().await,
        keys: &keys,
        revision: 1,
        posted: &key(&posted),
        held: &key(&held),
        taken: "d-1",
        flow: ROUTE.flow(),
    };
    let attacks = knowledge.attacks();
    let count = attacks.len();
    assert!(count >= 25, "{count}");
    for (number, attack) in attacks.into_iter().enumerate() {
        let name = format!("{}. {}", number + 1, attack.what);
        siege.suffer(number + 1, attack).await;
        // Whatever it would lead to, it leads to now.
        siege.run().await;
        siege.stands(&name, booked).await;
        assert!(knowledge.foreign.kept().is_empty(), "{name}: a foreign place was reached");
        println!("contained: {name}");
    }
    // The agent has its secrets as they were, and books what is new.
    let (_, tested) = siege.stage.purser.json(&["connections", "test"]).await.unwrap();
    assert!(!tested.to_string().contains("mallory"), "{tested:#}");
    siege.agent.terminate().await.unwrap();
    siege.agent.wait().await.unwrap();
    let (found, files) = siege.needles.below(siege.stage.home.path()).unwrap();
    assert_eq!((found, files > 4), (Vec::new(), true));
    println!("{count} of {count} attacks contained");
}
