//! The accidents of the demo: an answer that is lost at each ERP, and the agent killed in the middle of its work.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::Stage;
use super::outcome::Seen;
use super::script::{LONGEST, READ};
use crate::harness::{Agent, DocumentKind, Finished, Route, System};
use crate::invariants::ready_records;
use crate::server::Call;

/// Longest time until the agent's service is up.
const UP: Duration = Duration::from_secs(30);

impl Stage {
    pub(super) async fn run_with_accidents(&self, seen: &mut Seen) -> Result<()> {
        let erps = self.erps();
        let accidents = ["no", "one", "two", "three"].get(erps.len() + 1).unwrap_or(&"some");
        self.voice.step(3, &format!("Run, with {accidents} accidents"));
        let expected: u64 = self.routes().map(|route| self.expected_documents(route)).sum();
        let kill_at = (expected / 3).max(1);
        for erp in &erps {
            let (lose, what) = self.lost_answer(*erp);
            let admin = self.admins.get(erp).context("an ERP that takes no part")?;
            admin.call("POST", "faults", Some(&lose)).await?;
            let name = if erps.len() > 1 { erp.name() } else { "the ERP" };
            self.voice.say(&format!(
                "{name} will save the first {what} and its answer will be lost on the way back;"
            ));
        }
        self.voice.say(&format!(
            "and the agent will be killed (kill -9) once {kill_at} of {expected} documents are in the ERP"
        ));
        self.wait_for_room(READ).await;
        let mut lost: BTreeMap<System, Vec<String>> = BTreeMap::new();
        let (killed, early) = self.run_until_killed(expected, kill_at, &mut lost).await?;
        seen.answers_lost = 0;
        for erp in &erps {
            let struck = self.answers_lost(*erp).await?;
            seen.answers_lost += struck;
            let named = lost.remove(erp).unwrap_or_default();
            if struck != 1 || named.len() != 1 {
                seen.faults.push(format!("{struck} answers of {} were lost instead of one", erp.name()));
            }
            for reference in named {
                self.voice.say(&format!("a lost answer was about {reference}"));
                seen.references_in_doubt.push(reference);
            }
        }
        let documents = self.documents();
        match killed.code {
            None if !early => {
                seen.killed_at = Some(documents);
                let mut marked = 0;
                for route in self.routes() {
                    let ready = ready_records(route, &self.state(route.source()).await?)?;
                    marked += ready.values().filter(|record| record.marked).count();
                }
                self.voice.say(&format!(
                    "killed: {documents} documents are in the ERP, {marked} records are marked as exported;"
                ));
                self.voice.say("the agent never heard of some of them, and one may be half written");
            }
            None => self.voice.say(&format!("it was done ({documents} documents) before it could be killed")),
            _ => bail!("the agent ended before it could be killed: {}", killed.words()),
        }
        Ok(())
    }

    /// The fault that loses the answer to the first saved document, and what that is.
    fn lost_answer(&self, erp: System) -> (Value, &'static str) {
        let (method, path, what) = match (erp, self.options.document) {
            (System::Acumatica, DocumentKind::Journal) => ("PUT", "/JournalTransaction", "journal"),
            (System::Acumatica, DocumentKind::ApInvoice) => ("PUT", "/Bill", "bill"),
            (_, DocumentKind::Journal) => ("POST", "GLJournalEntrySvc/Update", "journal"),
            (_, DocumentKind::ApInvoice) => ("POST", "APInvoiceSvc/Update", "invoice"),
        };
        let lose = json!({
            "match": { "method": method, "path_contains": path, "nth": 1 },
            "times": 1,
            "action": { "kind": "cut-after-commit" },
        });
        (lose, what)
    }

    /// The agent as a service, all flows ordered at once, until it is killed. The second answer: nothing was left to do
    /// by then.
    async fn run_until_killed(
        &self,
        expected: u64,
        kill_at: u64,
        lost: &mut BTreeMap<System, Vec<String>>,
    ) -> Result<(Finished, bool)> {
        let agent = self.purser.spawn(&["run", "--no-jitter"])?;
        self.wait_until_up(&agent).await?;
        let mut orders = Vec::new();
        for route in self.routes() {
            orders.push(self.purser.spawn(&["flows", "run", route.flow()])?);
        }
        let bar = self.voice.bar(expected, "documents in the ERP");
        let mut look = Look::new(&bar);
        let erps = self.erps();
        let mut early = false;
        let killed = agent
            .kill_when(LONGEST, || {
                let documents = look.documents(self);
                // The journal keeps the newest calls only, so it is asked as soon as there is something to find.
                for erp in &erps {
                    if documents > 0 && !lost.contains_key(erp) {
                        let found = self.documents_without_answer(*erp);
                        if !found.is_empty() {
                            lost.insert(*erp, found);
                        }
                    }
                }
                early = are_done(&mut orders);
                early || (documents >= kill_at && lost.len() == erps.len())
            })
            .await?;
        bar.finish_and_clear();
        for order in orders {
            order.kill().await?;
        }
        Ok((killed, early))
    }

    /// The service says in its status file which flows can take orders. What an earlier one said does not count.
    pub(super) async fn wait_until_up(&self, agent: &Agent) -> Result<()> {
        let file = self.home.path().join("status.json");
        let pid = agent.pid();
        let up = || {
            let status: Value =
                std::fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())?;
            let running = |route: Route| {
                let state = status.pointer(&format!("/flows/{}/actor/state", route.flow()));
                state.is_some_and(|state| state == "running")
            };
            let own = status.get("pid").and_then(Value::as_u64) == pid.map(u64::from);
            (own && self.routes().all(running)).then_some(())
        };
        let waited = async {
            while up().is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(UP, waited).await.context("the agent did not come up as a service")
    }

    /// How often the fault that loses answers has struck.
    async fn answers_lost(&self, erp: System) -> Result<u64> {
        let admin = self.admins.get(&erp).context("an ERP that takes no part")?;
        let journal = admin.call("GET", "journal?limit=1", None).await?;
        Ok(journal.pointer("/counters/faults/cut-after-commit").and_then(Value::as_u64).unwrap_or_default())
    }

    /// References of the documents whose answer was lost, as the ERP received them.
    fn documents_without_answer(&self, erp: System) -> Vec<String> {
        let struck = |call: &Call| call.fault.as_deref() == Some("cut-after-commit");
        self.sandbox.running(erp).journal().iter().filter(|call| struck(call)).map(reference_in).collect()
    }
}

/// Looks at the ERPs, more seldom the longer a look takes, so that looking does not slow them down.
pub(super) struct Look<'a> {
    bar: &'a ProgressBar,
    documents: u64,
    next: Instant,
}

impl<'a> Look<'a> {
    pub(super) fn new(bar: &'a ProgressBar) -> Self {
        Self { bar, documents: 0, next: Instant::now() }
    }

    pub(super) fn documents(&mut self, stage: &Stage) -> u64 {
        let begun = Instant::now();
        if begun >= self.next {
            self.documents = stage.documents();
            self.bar.set_position(self.documents);
            self.next = Instant::now() + begun.elapsed() * 20;
        }
        self.documents
    }
}

/// Whether every order has been carried out. One that cannot be asked is taken for done.
fn are_done(orders: &mut [Agent]) -> bool {
    orders.iter_mut().all(|order| !order.is_running().unwrap_or_default())
}

/// The first reference of a flow in a call's body.
fn reference_in(call: &Call) -> String {
    let of_reference = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let heads = Route::ALL.map(|route| format!("{}-", route.prefix()));
    let rest = heads.iter().filter_map(|head| call.body.find(head)).min();
    let rest = rest.map_or("", |at| &call.body[at..]);
    rest.chars().take_while(|c| of_reference(*c)).collect()
}
