//! The hostile control plane: whoever runs it gets neither money nor credentials nor code execution. Every attack is sent
//! to a real agent with real secrets; after each one the ERP's books, the foreign listener and the agent are looked at.

mod attacks;
mod listener;
mod server;

use attacks::{Attack, Blow, Knowledge, Taken, revision};
use listener::Foreign;
use sandbox::harness::{Agent, Route, SandboxOptions, Secrets};
use sandbox::invariants::Needles;
use sandbox::world::SpendKind;
use serde_json::{Value, json};
use server::{Heard, Hostile};
use std::collections::BTreeSet;

use super::hand::now;
use super::site::start;
use crate::stage::{Stage, quick, wait_for};

/// Where the route's flow stands in the configuration.
const ROUTE: Route = Route::BrexEpicor;
/// Number of the revision that is in force before the first attack.
const REVISION: u64 = 7;
/// Nothing in the world is as large; in minor units.
const BEYOND: i64 = 200_000_000;

struct Siege {
    stage: Stage,
    hostile: Hostile,
    foreign: Foreign,
    needles: Needles,
    agent: Option<Agent>,
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
        let agent = Some(start(&stage.purser));
        let mut siege = Self { stage, hostile, foreign, needles, agent, sent: 0 };
        let number = siege.send(revision(REVISION, &siege.stage.config.render()));
        siege.told("the first revision", |heard| verdict(heard, REVISION)).await;
        assert_eq!(number, "d-1");
        siege.put_beyond();
        siege.run().await;
        siege
    }

    /// A record beyond the machine's ceiling, ready to be booked.
    fn put_beyond(&self) {
        let spend = self
            .stage
            .sandbox
            .spend
            .iter()
            .find(|one| one.lines.len() == 1 && one.fault.is_none() && one.kind == SpendKind::Purchase);
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
        let expires = (now() + chrono::TimeDelta::minutes(10)).to_rfc3339();
        let verb = json!({ "verb": "run", "flow": ROUTE.flow() });
        let body =
            json!({ "kind": "command", "by": "mallory", "reason": "go", "expires": expires, "verb": verb });
        let id = self.send(body);
        let result = self.told("the run", |heard| report_of(heard, &id)).await;
        assert_eq!(result["result"]["outcome"], "done", "{result:#}");
        result
    }

    /// What is wrong with how the agent took it.
    async fn suffer(&mut self, attack: &Attack) -> Result<(), String> {
        let in_force = self.hostile.heard().in_force;
        let reports = self.hostile.heard().reports.len();
        let id = match &attack.blow {
            Blow::Delivery(body) => self.send(body.clone()),
            Blow::Repeated(id, body) => {
                self.hostile.deliver(id, body.clone());
                id.clone()
            }
            Blow::Raw(raw) => {
                let sent = self.hostile.heard().raw_sent;
                self.hostile.answer_raw(raw.clone());
                self.told(attack.what, |heard| (heard.raw_sent > sent).then_some(())).await;
                self.begin_anew().await;
                String::new()
            }
        };
        let report = || async { self.told(attack.what, |heard| report_of(heard, &id)).await };
        let (good, said) = match attack.taken {
            Taken::RevisionRefused | Taken::Harmless => {
                let body = self.told(attack.what, |heard| after(heard, reports, "revision")).await;
                let refused = body["refused"].as_array().map_or(0, Vec::len);
                ((refused > 0) == (attack.taken == Taken::RevisionRefused), body)
            }
            Taken::SecretRefused => {
                let body = report().await;
                (body["refused"].is_string(), body)
            }
            Taken::Command(outcomes) => {
                let body = report().await;
                let outcome = body["result"]["outcome"].as_str().unwrap_or_default();
                (outcomes.contains(&outcome), body.clone())
            }
            Taken::WebhookRefused => {
                let body = report().await;
                (body["outcome"] == "refused", body)
            }
            Taken::Ignored => {
                self.told(attack.what, |heard| heard.taken.contains(&id).then_some(())).await;
                (true, Value::Null)
            }
            Taken::NoMessage => (true, Value::Null),
        };
        if !good {
            return Err(format!("the agent took it and said {said}"));
        }
        if attack.taken != Taken::Harmless && self.hostile.heard().in_force != in_force {
            return Err("another configuration is in force".to_owned());
        }
        Ok(())
    }

    /// The agent waits for up to a minute after an answer that is none; a new life does not.
    async fn begin_anew(&mut self) {
        self.end().await;
        let spoken = self.hostile.heard().said.len();
        self.agent = Some(start(&self.stage.purser));
        self.told("a new life", |heard| (heard.said.len() > spoken).then_some(())).await;
    }

    async fn end(&mut self) {
        if let Some(agent) = self.agent.take() {
            agent.terminate().await.unwrap();
            agent.wait().await.unwrap();
        }
    }

    /// What is not as it was: nothing may have reached a foreign place, nothing secret the enemy, nothing new the books.
    fn damage(&mut self, booked: u64) -> Vec<String> {
        let mut damage = Vec::new();
        if self.stage.documents() != booked {
            damage.push(format!("the ERP has {} documents in place of {booked}", self.stage.documents()));
        }
        let reached = self.foreign.kept();
        if !reached.is_empty() {
            damage.push(format!("{} connections to a foreign place", reached.len()));
        }
        let said = self.hostile.heard().said.into_iter().chain(reached);
        let found: BTreeSet<String> = said
            .flat_map(|said| self.needles.in_bytes(&said).into_iter().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        damage.extend(found.into_iter().map(|what| format!("{what} was said")));
        if !self.agent.as_mut().is_some_and(|agent| agent.is_running().unwrap()) {
            damage.push("the agent has ended".to_owned());
        }
        damage.extend(self.stage.misuse());
        damage
    }
}

fn report_of(heard: &Heard, delivery: &str) -> Option<Value> {
    let mut bodies = heard.reports.iter().map(|report| &report["body"]);
    bodies.rfind(|body| body["delivery"] == delivery).cloned()
}

fn after(heard: &Heard, reports: usize, kind: &str) -> Option<Value> {
    let mut bodies = heard.reports.iter().skip(reports).map(|report| &report["body"]);
    bodies.rfind(|body| body["kind"] == kind).cloned()
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
    assert_eq!(siege.damage(booked), Vec::<String>::new());
    let (posted, held) = (siege.stage.records("acknowledged").await, siege.stage.records("held").await);
    let key = |records: &[Value]| records[0]["key"].as_str().unwrap().to_owned();
    let beyond = held.iter().find(|one| one["code"] == "guard-rail").expect("the record beyond is held");
    assert_eq!(beyond["total"]["minor"], BEYOND, "{beyond:#}");
    let (config, keys) = (siege.stage.config.clone(), siege.hostile.heard().keys);
    let knowledge = Knowledge {
        config: &config,
        foreign: &siege.foreign,
        keys: &keys,
        revision: REVISION,
        posted: &key(&posted),
        held: &key(&held),
        taken: "d-1",
        flow: ROUTE.flow(),
    };
    let attacks = knowledge.attacks();
    assert!(attacks.len() >= 25, "{}", attacks.len());
    let mut contained = 0;
    for (number, attack) in (1..).zip(&attacks) {
        let mut damage = siege.suffer(attack).await.err().into_iter().collect::<Vec<_>>();
        // Whatever a configuration or a secret would lead to, it leads to now.
        if matches!(attack.taken, Taken::RevisionRefused | Taken::Harmless | Taken::SecretRefused) {
            siege.run().await;
        }
        damage.extend(siege.damage(booked));
        contained += usize::from(damage.is_empty());
        let verdict = if damage.is_empty() { "contained".to_owned() } else { damage.join("; ") };
        println!("{number:>2}. {}: {verdict}", attack.what);
    }
    siege.run().await;
    assert_eq!(siege.damage(booked), Vec::<String>::new());
    // The agent has its secrets as they were.
    let (tested, said) = siege.stage.purser.json(&["connections", "test"]).await.unwrap();
    assert_eq!(tested.code, Some(0), "{said:#}");
    siege.end().await;
    let (found, files) = siege.needles.below(siege.stage.home.path()).unwrap();
    assert_eq!((found, files > 4), (Vec::new(), true));
    println!("{contained} of {} attacks contained", attacks.len());
    assert_eq!(contained, attacks.len());
}
