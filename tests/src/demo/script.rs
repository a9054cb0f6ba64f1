//! What is played, step by step.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::outcome::{Outcome, Seen};
use super::{Stage, ceiling};
use crate::harness::{DocumentKind, FLOW, Finished, PREFIX};
use crate::invariants::{
    Evidence, Needles, Tally, booked_documents, decimal, open_records, ready_reports, records_of, source_id,
};
use crate::server::Call;

/// Calls to Expensify that a process of the agent may make before its own pace holds it back.
const BURST: usize = 5;
/// Calls that a read makes: the export and its download.
const READ: usize = 2;
/// Longest time for one run of the agent, however many reports there are.
const LONGEST: Duration = Duration::from_secs(3600);
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
        self.look_for_leaks(&mut seen)?;
        let tally = self.tally(&mut seen).await?;
        self.compare_with_the_world(&tally, &mut seen);
        Ok(Outcome {
            options: self.options.clone(),
            currency: self.sandbox.world.currency.clone(),
            tally,
            seen,
            seconds: self.begun.elapsed().as_secs_f64(),
        })
    }

    async fn systems(&self) -> Result<()> {
        self.voice.step(1, "The systems");
        let ready = ready_reports(&self.expensify.state().await?)?;
        let total: i64 = ready.values().map(|report| report.total).sum();
        self.voice.say(&format!(
            "Expensify  {}  {} reports, {} of them approved or reimbursed: {}",
            self.sandbox.expensify.url(),
            self.sandbox.world.reports.len(),
            ready.len(),
            self.money(total)
        ));
        self.voice.say(&format!(
            "Epicor     {}  company {}, no documents yet",
            self.sandbox.epicor.url(),
            self.sandbox.company()
        ));
        self.home.configure(&self.config)?;
        self.sandbox.give_secrets(&self.purser).await?;
        self.voice.say(&format!(
            "Agent      {}, home {}",
            self.purser.binary().display(),
            self.home.path().display()
        ));
        self.voice.say("           its credentials are sealed in its home, each bound to its one system");
        self.voice.say(&format!(
            "           settle window {} s instead of 120: that long an unanswered write may still appear in the ERP;",
            self.config.settle_window
        ));
        self.voice.say("           the simulated one commits at once, a real one within its request limit");
        Ok(())
    }

    async fn preview(&self) -> Result<()> {
        self.voice.step(2, "Preview: what a run would do (nothing is written)");
        self.wait_for_room(READ).await;
        let (finished, preview) = self.purser.json(&["flows", "preview", FLOW]).await?;
        ensure!(RAN.contains(&finished.code), "the preview failed: {}", finished.words());
        let mut rows = Vec::new();
        for total in preview.get("totals").and_then(Value::as_array).into_iter().flatten() {
            let word = |name: &str| total.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let would = match word("would").as_str() {
                "post" => "book".to_owned(),
                "hold" => "hold for a person".to_owned(),
                other => other.to_owned(),
            };
            rows.push(vec![would, count(total, "records").to_string(), word("total"), word("currency")]);
        }
        rows.sort();
        self.voice.table(&["a run would", "reports", "total", ""], &rows);
        ensure!(self.sandbox.documents_in_erp() == 0, "the preview has written into the ERP");
        Ok(())
    }

    async fn run_with_accidents(&self, seen: &mut Seen) -> Result<()> {
        self.voice.step(3, "Run, with two accidents");
        let expected = self.expected_documents();
        let kill_at = (expected / 3).max(1);
        let (path, what) = match self.options.document {
            DocumentKind::Journal => ("GLJournalEntrySvc/Update", "journal"),
            DocumentKind::ApInvoice => ("APInvoiceSvc/Update", "invoice"),
        };
        let lose = json!({
            "match": { "path_contains": path, "nth": 1 },
            "times": 1,
            "action": { "kind": "cut-after-commit" },
        });
        self.epicor.call("POST", "faults", Some(&lose)).await?;
        self.voice
            .say(&format!("the ERP will save the first {what} and its answer will be lost on the way back;"));
        self.voice.say(&format!(
            "and the agent will be killed (kill -9) once {kill_at} of {expected} documents are in the ERP"
        ));
        self.wait_for_room(READ).await;
        let bar = self.voice.bar(expected, "documents in the ERP");
        let mut look = Look::new(&bar);
        let mut lost = Vec::new();
        let killed = self
            .purser
            .spawn(&["run", "--once", "--settle", "60", "--output", "json"])?
            .kill_when(LONGEST, || {
                let documents = look.documents(self);
                // The journal keeps the newest calls only, so it is asked as soon as there is something to find.
                if documents > 0 && lost.is_empty() {
                    lost = self.documents_without_answer();
                }
                documents >= kill_at
            })
            .await?;
        bar.finish_and_clear();
        seen.answers_lost = self.answers_lost().await?;
        if seen.answers_lost != 1 || lost.len() != 1 {
            seen.faults.push(format!("{} answers were lost instead of one", seen.answers_lost));
        }
        for reference in &lost {
            self.voice.say(&format!("the lost answer was about {reference}"));
        }
        seen.references_in_doubt = lost;
        let documents = self.sandbox.documents_in_erp();
        match killed.code {
            None => {
                seen.killed_at = Some(documents);
                let marked =
                    ready_reports(&self.expensify.state().await?)?.values().filter(|r| r.marked).count();
                self.voice.say(&format!(
                    "killed: {documents} documents are in the ERP, {marked} reports are marked as exported;"
                ));
                self.voice.say("the agent never heard of some of them, and one may be half written");
            }
            code if RAN.contains(&code) => {
                self.voice.say(&format!("it was done ({documents} documents) before it could be killed"));
            }
            _ => bail!("the run failed before it could be killed: {}", killed.words()),
        }
        Ok(())
    }

    async fn run_again(&self, seen: &mut Seen) -> Result<()> {
        self.voice
            .step(4, "Start it again: what is in doubt is looked up in the ERP before anything is written");
        self.wait_for_room(BURST).await;
        let (finished, report) = self.run_and_watch("documents in the ERP").await?;
        let (adopted, posted) = (count(&report, "adopted"), count(&report, "posted"));
        let known = self.sandbox.documents_in_erp().saturating_sub(adopted + posted);
        self.voice.say(&format!(
            "{known} were known to be booked, {adopted} were found in the ERP and adopted, {posted} were written or \
             finished;"
        ));
        self.voice.say(&format!(
            "{} marked as exported, {} held for a person",
            count(&report, "acknowledged"),
            self.held().await?.len()
        ));
        for reference in &seen.references_in_doubt {
            let times = self.documents_under(reference).await?;
            self.voice.say(&format!("{reference}, whose answer was lost, is in the ERP {}", in_words(times)));
        }
        let open = count(&report, "in_doubt") + count(&report, "waiting");
        if open > 0 {
            seen.faults.push(format!("{open} records are still open after the run: {}", finished.words()));
        }
        for error in report.get("errors").and_then(Value::as_array).into_iter().flatten() {
            self.voice.say(&format!("trouble on the way: {}", error.as_str().unwrap_or_default()));
        }
        Ok(())
    }

    async fn what_was_held(&self) -> Result<()> {
        self.voice.step(5, "What waits for a person, and why");
        let held = self.held().await?;
        let mut by_code: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for record in &held {
            by_code
                .entry(record.get("code").and_then(Value::as_str).unwrap_or("?"))
                .or_default()
                .push(record);
        }
        let mut rows = Vec::new();
        for (code, records) in by_code {
            let Some(id) = records.first().and_then(|record| source_id(record)) else { continue };
            let (message, fix) = self.first_finding(id).await?;
            rows.push(vec![records.len().to_string(), id.to_owned(), format!("{code}: {message}"), fix]);
        }
        if rows.is_empty() {
            self.voice.say("nothing");
        } else {
            self.voice.table(&["reports", "such as", "why", "how to mend it"], &rows);
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
        let (from, to) = (self.config.start().to_string(), self.config.today.to_string());
        let (_, answer) = self.purser.json(&["proof", "--flow", FLOW, "--from", &from, "--to", &to]).await?;
        let proof = answer.get("proof").with_context(|| format!("no proof: {answer}"))?;
        seen.proof_agrees = proof.get("agrees").and_then(Value::as_bool).unwrap_or_default();
        let currency = self.sandbox.world.currency.as_str();
        let sums = proof.pointer(&format!("/sums/{currency}")).cloned().unwrap_or_default();
        let sum = |name: &str| sums.get(name).and_then(Value::as_i64).unwrap_or_default();
        let row =
            ["source", "log", "erp", "held", "pending", "handled"].map(|name| decimal(sum(name), currency));
        let verdict = if seen.proof_agrees { "agree" } else { "DIFFER" };
        let row = row.into_iter().chain([currency.to_owned(), verdict.to_owned()]).collect();
        self.voice
            .table(&["source", "posting log", "ERP", "held", "pending", "handled", "", "verdict"], &[row]);
        let judged = self.tally_of_now().await?;
        let independent = |sums: &BTreeMap<String, i64>| sums.get(currency).copied().unwrap_or_default();
        let mine = [&judged.source_total, &judged.erp_total, &judged.held_total].map(independent);
        if mine != [sum("source"), sum("erp"), sum("held")] {
            seen.faults.push("the proof's sums are not those of the simulators".to_owned());
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

    async fn second_run(&self, seen: &mut Seen) -> Result<()> {
        self.voice.step(7, "Run once more: nothing new, so nothing is booked");
        self.wait_for_room(READ).await;
        let before = self.sandbox.documents_in_erp();
        let (_, report) = self.run_and_watch("documents in the ERP").await?;
        seen.second_run_posted = self.sandbox.documents_in_erp().saturating_sub(before)
            + count(&report, "posted")
            + count(&report, "adopted");
        self.voice.say(&format!(
            "{} reports read, {} of them known; {} booked; {} documents in the ERP as before",
            count(&report, "read"),
            count(&report, "known"),
            seen.second_run_posted,
            self.sandbox.documents_in_erp()
        ));
        Ok(())
    }

    /// Secrets and planted texts in the files of the agent.
    fn look_for_leaks(&self, seen: &mut Seen) -> Result<()> {
        let needles = Needles::default()
            .with("a credential", self.sandbox.secrets.values())
            .with("a text of an expense", self.sandbox.planted.iter().map(String::as_str));
        let (found, files) = needles.below(self.home.path())?;
        self.voice.say(&format!(
            "no credential and no text of an expense in the {files} files of its home: {}",
            if found.is_empty() { "checked" } else { "NOT true" }
        ));
        seen.leaks = found;
        Ok(())
    }

    async fn tally(&self, seen: &mut Seen) -> Result<Tally> {
        for admin in [&self.expensify, &self.epicor] {
            seen.misuse.extend(admin.misuse().await?);
        }
        let mut tally = self.tally_of_now().await?;
        tally.broken.extend(seen.misuse.iter().map(|call| format!("wrong call: {call}")));
        Ok(tally)
    }

    /// From the simulators' states over their admin interface. Only which reports are held is the agent's word.
    async fn tally_of_now(&self) -> Result<Tally> {
        let evidence = Evidence {
            expensify: self.expensify.state().await?,
            epicor: self.epicor.state().await?,
            company: self.sandbox.company().to_owned(),
            open: open_records(&self.purser).await?,
            misuse: Vec::new(),
        };
        evidence.examine()
    }

    /// The world knows which reports carry a fault; all others must be booked.
    fn compare_with_the_world(&self, tally: &Tally, seen: &mut Seen) {
        let expected = self.expected_documents();
        if tally.posted as u64 != expected {
            seen.faults.push(format!("{} reports are booked, {expected} could be", tally.posted));
        }
    }

    fn expected_documents(&self) -> u64 {
        let ap = self.options.document == DocumentKind::ApInvoice;
        let ready = self.sandbox.world.reports_in(&["APPROVED", "REIMBURSED"]);
        ready.filter(|report| report.hold(ap).is_none()).count() as u64
    }

    async fn documents_under(&self, reference: &str) -> Result<usize> {
        let booked = booked_documents(&self.epicor.state().await?, self.sandbox.company())?;
        Ok(booked.iter().filter(|document| document.reference == reference).count())
    }

    async fn held(&self) -> Result<Vec<Value>> {
        let (_, answer) =
            self.purser.json(&["records", "list", "--state", "held", "--limit", "10000000"]).await?;
        Ok(records_of(&answer)?.clone())
    }

    /// How often the fault that loses answers has struck.
    async fn answers_lost(&self) -> Result<u64> {
        let journal = self.epicor.call("GET", "journal?limit=1", None).await?;
        Ok(journal.pointer("/counters/faults/cut-after-commit").and_then(Value::as_u64).unwrap_or_default())
    }

    /// References of the documents whose answer was lost, as the ERP received them.
    fn documents_without_answer(&self) -> Vec<String> {
        let struck = |call: &Call| call.fault.as_deref() == Some("cut-after-commit");
        self.sandbox.epicor.journal().iter().filter(|call| struck(call)).map(reference_in).collect()
    }

    /// Runs the flow to its end; the answer is its report.
    async fn run_and_watch(&self, what: &str) -> Result<(Finished, Value)> {
        let bar = self.voice.bar(self.expected_documents(), what);
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
        let report = answer.pointer("/flows/0/report").cloned();
        let report = report.with_context(|| format!("the run gave no report: {answer}"))?;
        Ok((finished, report))
    }

    async fn wait_for_room(&self, calls: usize) {
        let wait = ceiling::wait_for(&self.sandbox, calls);
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
                "cargo run --bin sandbox -- serve       the two systems alone, for an agent set up by hand".to_owned(),
            ];
        }
        let purser = format!("{} --home {}", self.purser.binary().display(), self.home.path().display());
        let state = |url: String| format!("curl {url}/_sandbox/state");
        vec![
            format!("{purser} status"),
            format!("{purser} records list --state held"),
            format!("{purser} audit show --limit 20"),
            format!("{purser} proof --from {} --to {}", self.config.start(), self.config.today),
            format!("configuration: {}", self.home.config_file().display()),
            state(self.sandbox.epicor.url()),
            state(self.sandbox.expensify.url()),
        ]
    }
}

/// Looks at the ERP, more seldom the longer a look takes, so that looking does not slow it down.
struct Look<'a> {
    bar: &'a ProgressBar,
    documents: u64,
    next: Instant,
}

impl<'a> Look<'a> {
    fn new(bar: &'a ProgressBar) -> Self {
        Self { bar, documents: 0, next: Instant::now() }
    }

    fn documents(&mut self, stage: &Stage) -> u64 {
        let begun = Instant::now();
        if begun >= self.next {
            self.documents = stage.sandbox.documents_in_erp();
            self.bar.set_position(self.documents);
            self.next = Instant::now() + begun.elapsed() * 20;
        }
        self.documents
    }
}

fn count(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

/// The first reference of the flow in a call's body.
fn reference_in(call: &Call) -> String {
    let head = format!("{PREFIX}-");
    let of_reference = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let rest = call.body.find(&head).map_or("", |at| &call.body[at..]);
    rest.chars().take_while(|c| of_reference(*c)).collect()
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
