//! What is played, step by step.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::accidents::Look;
use super::outcome::{Outcome, Seen};
use super::{Stage, ceiling};
use crate::harness::{CARD_RECORDS, Finished, Route, System};
use crate::invariants::{
    Evidence, Needles, Sums, Tally, booked_documents, brex, decimal, open_records, ready_records, records_of,
    source_id,
};

/// Calls to Expensify that a process of the agent may make before its own pace holds it back.
const BURST: usize = 5;
/// Calls that a read makes: the export and its download.
pub(super) const READ: usize = 2;
/// Longest time for one run of the agent, however many reports there are.
pub(super) const LONGEST: Duration = Duration::from_secs(3600);
/// Exit codes of a run that did its work: done; done, and something waits for a person.
const RAN: [Option<i32>; 2] = [Some(0), Some(4)];

impl Stage {
    pub(super) async fn play(&self) -> Result<Outcome> {
        let mut seen = Seen::default();
        self.systems().await?;
        self.preview().await?;
        self.run_with_accidents(&mut seen).await?;
        self.run_again(&mut seen).await?;
        self.what_was_held().await?;
        self.prove(&mut seen).await?;
        self.second_run(&mut seen).await?;
        self.reach_from_afar(&mut seen).await?;
        self.look_for_leaks(&mut seen)?;
        for admin in self.admins.values() {
            seen.misuse.extend(admin.misuse().await?);
        }
        let mut flows = Vec::new();
        for route in self.routes() {
            let tally = self.tally_of_now(route).await?;
            self.compare_with_the_world(route, &tally, &mut seen);
            flows.push((route, tally));
        }
        Ok(Outcome {
            options: self.options.clone(),
            currency: self.sandbox.world.currency.clone(),
            flows,
            seen,
            seconds: self.begun.elapsed().as_secs_f64(),
        })
    }

    pub(super) fn routes(&self) -> impl Iterator<Item = Route> {
        self.options.routes.iter().copied()
    }

    /// The ERPs of the flows, each once.
    pub(super) fn erps(&self) -> Vec<System> {
        let erps = [System::Epicor, System::Acumatica].into_iter();
        erps.filter(|erp| self.routes().any(|route| route.erp() == *erp)).collect()
    }

    /// The name of a flow as the first cell of a row, where there are several.
    fn cell(&self, route: Route) -> Option<String> {
        (self.options.routes.len() > 1).then(|| route.flow().to_owned())
    }

    /// A table with a column for the flow in front, where there are several.
    fn table(&self, headers: &[&str], rows: &[Vec<String>]) {
        let flow = (self.options.routes.len() > 1).then_some("flow");
        let headers: Vec<&str> = flow.into_iter().chain(headers.iter().copied()).collect();
        self.voice.table(&headers, rows);
    }

    pub(super) async fn state(&self, system: System) -> Result<Value> {
        let admin = self.admins.get(&system).context("a system that takes no part")?;
        Ok(admin.state().await?)
    }

    async fn systems(&self) -> Result<()> {
        self.voice.step(1, "The systems");
        for route in self.routes() {
            let ready = ready_records(route, &self.state(route.source()).await?)?;
            let total = self.money(ready.values().map(|record| record.total).sum());
            let all = match route {
                Route::ExpensifyEpicor => self.sandbox.world.reports.len(),
                Route::ExpensifyAcumatica => self.sandbox.second_world.reports.len(),
                Route::BrexEpicor => self.sandbox.spend.len(),
            };
            let holds = match route.source() {
                System::Brex => format!("{all} movements, {} of them card spend to be booked", ready.len()),
                _ => format!("{all} reports, {} of them approved or reimbursed", ready.len()),
            };
            self.introduce(route.source(), &format!("{holds}: {total}"));
        }
        for erp in self.erps() {
            let place = match erp {
                System::Acumatica => format!("tenant {}", self.sandbox.tenant()),
                _ => format!("company {}", self.sandbox.company()),
            };
            self.introduce(erp, &format!("{place}, no documents yet"));
        }
        self.join().await?;
        self.voice.say(&format!(
            "           settle window {} s instead of minutes: that long an unanswered write may still appear in the ERP;",
            self.config.settle_window
        ));
        self.voice.say("           the simulated one commits at once, a real one within its request limit");
        Ok(())
    }

    fn introduce(&self, system: System, words: &str) {
        let name = match system {
            System::SecondExpensify => "Expensify",
            other => other.name(),
        };
        self.voice.say(&format!("{name:<10} {}  {words}", self.sandbox.running(system).url()));
    }

    async fn preview(&self) -> Result<()> {
        self.voice.step(2, "Preview: what a run would do (nothing is written)");
        self.wait_for_room(READ).await;
        let mut rows = Vec::new();
        for route in self.routes() {
            let (finished, preview) = self.purser.json(&["flows", "preview", route.flow()]).await?;
            ensure!(RAN.contains(&finished.code), "the preview failed: {}", finished.words());
            let mut own = Vec::new();
            for total in preview.get("totals").and_then(Value::as_array).into_iter().flatten() {
                let word =
                    |name: &str| total.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
                let would = match word("would").as_str() {
                    "post" => "book".to_owned(),
                    "hold" => "hold for a person".to_owned(),
                    other => other.to_owned(),
                };
                let cells = [would, count(total, "records").to_string(), word("total"), word("currency")];
                own.push(self.cell(route).into_iter().chain(cells).collect());
            }
            own.sort();
            rows.extend(own);
        }
        self.table(&["a run would", "records", "total", ""], &rows);
        ensure!(self.documents() == 0, "the preview has written into the ERP");
        Ok(())
    }

    async fn run_again(&self, seen: &mut Seen) -> Result<()> {
        self.voice
            .step(4, "Start it again: what is in doubt is looked up in the ERP before anything is written");
        self.wait_for_room(BURST).await;
        let (finished, reports) = self.run_and_watch("documents in the ERP").await?;
        let sum = |name: &str| reports.iter().map(|report| count(report, name)).sum::<u64>();
        let (adopted, posted) = (sum("adopted"), sum("posted"));
        let known = self.documents().saturating_sub(adopted + posted);
        self.voice.say(&format!(
            "{known} were known to be booked, {adopted} were found in the ERP and adopted, {posted} were written or \
             finished;"
        ));
        let mut held = 0;
        for route in self.routes() {
            held += self.held(route).await?.len();
        }
        self.voice.say(&format!("{} marked as exported, {held} held for a person", sum("acknowledged")));
        for reference in &seen.references_in_doubt {
            let times = self.documents_under(reference).await?;
            self.voice.say(&format!("{reference}, whose answer was lost, is in the ERP {}", in_words(times)));
        }
        let open = sum("in_doubt") + sum("waiting");
        if open > 0 {
            seen.faults.push(format!("{open} records are still open after the run: {}", finished.words()));
        }
        let errors = reports.iter().filter_map(|report| report.get("errors").and_then(Value::as_array));
        for error in errors.flatten() {
            self.voice.say(&format!("trouble on the way: {}", error.as_str().unwrap_or_default()));
        }
        Ok(())
    }

    async fn what_was_held(&self) -> Result<()> {
        self.voice.step(5, "What waits for a person, and why");
        let mut rows = Vec::new();
        for route in self.routes() {
            let held = self.held(route).await?;
            let mut by_code: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
            for record in &held {
                let code = record.get("code").and_then(Value::as_str).unwrap_or("?");
                by_code.entry(code).or_default().push(record);
            }
            for (code, records) in by_code {
                let Some(id) = records.first().and_then(|record| source_id(record)) else { continue };
                let (message, fix) = self.first_finding(id).await?;
                let why = format!("{code}: {message}");
                let cells = [records.len().to_string(), id.to_owned(), why, fix];
                rows.push(self.cell(route).into_iter().chain(cells).collect());
            }
        }
        if rows.is_empty() {
            self.voice.say("nothing");
        } else {
            self.table(&["records", "such as", "why", "how to mend it"], &rows);
        }
        Ok(())
    }

    async fn first_finding(&self, id: &str) -> Result<(String, String)> {
        let (_, shown) = self.purser.json(&["records", "show", id]).await?;
        let finding =
            shown.pointer("/posting/state/findings/0").context("a held record without a finding")?;
        let word = |name: &str| finding.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok((word("message"), word("fix")))
    }

    async fn prove(&self, seen: &mut Seen) -> Result<()> {
        self.voice.step(6, "The proof: source, posting log and ERP, each asked anew");
        self.wait_for_room(READ).await;
        let mut rows = Vec::new();
        for route in self.routes() {
            rows.push(self.prove_one(route, seen).await?);
        }
        self.table(
            &["source", "posting log", "ERP", "held", "elsewhere", "pending", "handled", "", "verdict"],
            &rows,
        );
        for route in self.routes() {
            for (currency, minor) in self.exported_by_others(route).await? {
                let amount = decimal(minor, &currency);
                self.voice.say(&format!(
                    "elsewhere in {}: {amount} {currency} that somebody exported by hand before",
                    route.flow()
                ));
            }
        }
        let (finished, audit) = self.purser.json(&["audit", "verify"]).await?;
        seen.audit_intact = finished.code == Some(0);
        seen.audit_entries = audit.pointer("/head/entries").and_then(Value::as_u64).unwrap_or_default();
        self.voice.say(&format!(
            "audit trail: {} entries, {}",
            seen.audit_entries,
            if seen.audit_intact { "the chain of hashes is intact" } else { "NOT as it was written" }
        ));
        Ok(())
    }

    async fn prove_one(&self, route: Route, seen: &mut Seen) -> Result<Vec<String>> {
        let (from, to) = (self.config.start().to_string(), self.config.today.to_string());
        let asked = ["proof", "--flow", route.flow(), "--from", &from, "--to", &to];
        let (_, answer) = self.purser.json(&asked).await?;
        let proof = answer.get("proof").with_context(|| format!("no proof: {answer}"))?;
        let agrees = proof.get("agrees").and_then(Value::as_bool).unwrap_or_default();
        seen.proof_agrees.insert(route, agrees);
        let currency = self.sandbox.world.currency.as_str();
        let sums = proof.pointer(&format!("/sums/{currency}")).cloned().unwrap_or_default();
        let sum = |name: &str| sums.get(name).and_then(Value::as_i64).unwrap_or_default();
        let judged = self.tally_of_now(route).await?;
        let independent = |sums: &BTreeMap<String, i64>| sums.get(currency).copied().unwrap_or_default();
        let mine = [&judged.source_total, &judged.erp_total, &judged.held_total].map(independent);
        let others = self.exported_by_others(route).await?;
        let other = independent(&others);
        let proved = [sum("source") - other, sum("erp"), sum("held")];
        if mine != proved || (sum("exported_elsewhere"), sum("pending")) != (other, 0) {
            let flow = route.flow();
            seen.faults.push(format!("the proof's sums of {flow} are not those of the simulators"));
        }
        let row = ["source", "log", "erp", "held", "exported_elsewhere", "pending", "handled"]
            .map(|name| decimal(sum(name), currency));
        let verdict = if agrees { "agree" } else { "DIFFER" };
        let row = row.into_iter().chain([currency.to_owned(), verdict.to_owned()]);
        Ok(self.cell(route).into_iter().chain(row).collect())
    }

    /// What was exported at the source before the agent came.
    async fn exported_by_others(&self, route: Route) -> Result<Sums> {
        if route.source() != System::Brex {
            return Ok(Sums::new());
        }
        brex::exported_by_others(&self.state(route.source()).await?, &CARD_RECORDS)
    }

    async fn second_run(&self, seen: &mut Seen) -> Result<()> {
        self.voice.step(7, "Run once more: nothing new, so nothing is booked");
        self.wait_for_room(READ).await;
        let before = self.documents();
        let (_, reports) = self.run_and_watch("documents in the ERP").await?;
        let sum = |name: &str| reports.iter().map(|report| count(report, name)).sum::<u64>();
        seen.second_run_posted = self.documents().saturating_sub(before) + sum("posted") + sum("adopted");
        self.voice.say(&format!(
            "{} records read, {} of them known; {} booked; {} documents in the ERP as before",
            sum("read"),
            sum("known"),
            seen.second_run_posted,
            self.documents()
        ));
        Ok(())
    }

    /// Secrets and planted texts in the files of the agent.
    fn look_for_leaks(&self, seen: &mut Seen) -> Result<()> {
        let needles = Needles::default()
            .with("a credential", self.sandbox.secrets.values())
            .with("a text of an expense", self.sandbox.planted.iter().map(String::as_str));
        let (mut found, files) = needles.below(self.home.path())?;
        for (place, bytes) in self.control.kept()? {
            found.extend(needles.in_bytes(&bytes).into_iter().map(|what| format!("{what}: in {place}")));
        }
        self.voice.say(&format!(
            "no credential and no text of an expense in the {files} files of its home, nor in what the control plane keeps: \
             {}",
            if found.is_empty() { "checked" } else { "NOT true" }
        ));
        seen.leaks = found;
        Ok(())
    }

    /// From the simulators' states over their admin interface. Only which records are held is the agent's word.
    async fn tally_of_now(&self, route: Route) -> Result<Tally> {
        let evidence = Evidence {
            route,
            source: self.state(route.source()).await?,
            erp: self.state(route.erp()).await?,
            company: self.sandbox.company_of(route).to_owned(),
            open: open_records(&self.purser, route).await?,
            misuse: Vec::new(),
        };
        evidence.examine()
    }

    /// The world knows which records carry a fault; all others must be booked.
    fn compare_with_the_world(&self, route: Route, tally: &Tally, seen: &mut Seen) {
        let later = if route == Route::BrexEpicor { seen.booked_afar() } else { 0 };
        let expected = self.expected_documents(route) + later;
        if tally.posted as u64 != expected {
            let (flow, one) = (route.flow(), route.record());
            seen.faults.push(format!("{flow}: {} {one}s are booked, {expected} could be", tally.posted));
        }
    }

    pub(super) fn expected_documents(&self, route: Route) -> u64 {
        let expected = self.sandbox.expected(route, self.options.document);
        expected.values().filter(|record| record.hold.is_none()).count() as u64
    }

    pub(super) fn documents(&self) -> u64 {
        self.sandbox.documents_of(&self.options.routes)
    }

    async fn documents_under(&self, reference: &str) -> Result<usize> {
        let Some(route) = Route::of_reference(reference) else { return Ok(0) };
        let erp = self.state(route.erp()).await?;
        let booked = booked_documents(&erp, self.sandbox.company_of(route), route)?;
        Ok(booked.iter().filter(|document| document.reference == reference).count())
    }

    pub(super) async fn held(&self, route: Route) -> Result<Vec<Value>> {
        let list = ["records", "list", "--flow", route.flow(), "--state", "held", "--limit", "10000000"];
        let (_, answer) = self.purser.json(&list).await?;
        Ok(records_of(&answer)?.clone())
    }

    /// Runs the flows to their end; the answer are their reports.
    async fn run_and_watch(&self, what: &str) -> Result<(Finished, Vec<Value>)> {
        let bar = self.voice.bar(self.routes().map(|route| self.expected_documents(route)).sum(), what);
        let mut look = Look::new(&bar);
        let agent = self.purser.spawn(&["run", "--once", "--settle", "60", "--output", "json"])?;
        let watched = async {
            loop {
                look.documents(self);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let finished = tokio::select! {
            finished = agent.wait_within(LONGEST) => finished?,
            () = watched => unreachable_end()?,
        };
        bar.finish_and_clear();
        ensure!(RAN.contains(&finished.code), "the run failed: {}", finished.words());
        let answer = finished.json()?;
        let flows = answer.get("flows").and_then(Value::as_array).into_iter().flatten();
        let reports: Vec<Value> = flows.filter_map(|flow| flow.get("report").cloned()).collect();
        ensure!(reports.len() == self.options.routes.len(), "the run gave too few reports: {answer}");
        Ok((finished, reports))
    }

    pub(super) async fn wait_for_room(&self, calls: usize) {
        let accounts = Route::systems(&self.options.routes);
        let accounts = accounts.into_iter().filter(|system| system.kind() == "expensify");
        let waits = accounts.map(|system| ceiling::wait_for(self.sandbox.running(system), calls));
        let wait = waits.max().unwrap_or_default();
        if wait > Duration::from_secs(1) {
            let why = "it takes 5 calls in 10 s and 20 in 60 s";
            self.voice.say(&format!("({} s of rest for Expensify: {why})", wait.as_secs() + 1));
        }
        tokio::time::sleep(wait).await;
    }

    fn money(&self, minor: i64) -> String {
        let currency = &self.sandbox.world.currency;
        format!("{} {currency}", decimal(minor, currency))
    }

    /// Commands that a person may type next.
    pub(super) fn where_to_look(&self) -> Vec<String> {
        if !self.options.keep {
            return vec![
                "cargo demo -- --keep                   the same, and everything stays up to look around in".to_owned(),
                "cargo demo -- --document ap-invoice    AP invoices instead of journals; --reports 500 for more"
                    .to_owned(),
                "cargo demo -- --flow cards             one flow alone; also expenses, expenses-acumatica".to_owned(),
                "cargo run --bin sandbox -- serve       the systems alone, for an agent set up by hand".to_owned(),
            ];
        }
        let purser = format!("{} --home {}", self.purser.binary().display(), self.home.path().display());
        let mut next = vec![
            format!("{purser} status"),
            format!("{purser} records list --state held"),
            format!("{purser} audit show --limit 20"),
            format!("{purser} proof --from {} --to {}", self.config.start(), self.config.today),
            format!("{purser} config show"),
        ];
        let states = Route::systems(&self.options.routes).into_iter();
        next.extend(states.map(|system| {
            format!("curl {}/_sandbox/state   # {}", self.sandbox.running(system).url(), system.name())
        }));
        next
    }
}

fn count(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn in_words(times: usize) -> String {
    match times {
        1 => "exactly once".to_owned(),
        times => format!("{times} times"),
    }
}

fn unreachable_end() -> Result<Finished> {
    bail!("watching ended before the run did")
}
