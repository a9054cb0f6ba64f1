//! How the demo came out: the figures, and everything that is not as it must be.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::DemoOptions;
use crate::harness::Route;
use crate::invariants::{Tally, decimal};

/// What the script has seen on its way.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Answers that were cut off after the ERP had committed.
    pub(super) answers_lost: u64,
    /// The documents that they were about.
    pub(super) references_in_doubt: Vec<String>,
    /// Documents in the ERP when the agent was killed; `None` = it ended before.
    pub(super) killed_at: Option<u64>,
    /// Whether the proof says that the systems agree, by flow.
    pub(super) proof_agrees: BTreeMap<Route, bool>,
    /// The audit trail verifies.
    pub(super) audit_intact: bool,
    /// Entries of the audit trail.
    pub(super) audit_entries: u64,
    /// Documents that the second run booked.
    pub(super) second_run_posted: u64,
    /// How long a webhook took to a document in the ERP, in milliseconds; `None` = none was sent.
    pub(super) webhook_ms: Option<u64>,
    /// The held record that was replayed from afar.
    pub(super) replayed: Option<String>,
    /// Secrets or texts that were found in files.
    pub(super) leaks: Vec<String>,
    /// Wrong calls to the simulators.
    pub(super) misuse: Vec<String>,
    /// Whatever else is not as it must be.
    pub(super) faults: Vec<String>,
}

impl Seen {
    /// Documents that were booked from afar, after the runs.
    pub(super) fn booked_afar(&self) -> u64 {
        u64::from(self.webhook_ms.is_some()) + u64::from(self.replayed.is_some())
    }
}

/// The outcome.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) options: DemoOptions,
    pub(super) currency: String,
    /// What was judged, by flow.
    pub(super) flows: Vec<(Route, Tally)>,
    pub(super) seen: Seen,
    pub(super) seconds: f64,
}

impl Outcome {
    /// All flows together.
    fn whole(&self) -> Tally {
        let mut whole = Tally::default();
        self.flows.iter().for_each(|(_, tally)| whole.add(tally));
        whole
    }

    /// Everything that is not as it must be.
    pub(super) fn faults(&self) -> Vec<String> {
        let seen = &self.seen;
        let mut faults = Vec::new();
        for (route, tally) in &self.flows {
            let of_flow = |fault: String| match self.flows.len() {
                1 => fault,
                _ => format!("{}: {fault}", route.flow()),
            };
            faults.extend(tally.faults().into_iter().map(of_flow));
            faults.extend(self.wrong_with(*route, tally).into_iter().map(str::to_owned).map(of_flow));
        }
        faults.extend(seen.faults.iter().cloned());
        faults.extend(seen.leaks.iter().map(|leak| format!("leaked: {leak}")));
        faults.extend(seen.misuse.iter().map(|call| format!("wrong call: {call}")));
        let must = [
            (seen.audit_intact, "the audit trail does not verify"),
            (seen.second_run_posted == 0, "the second run booked documents"),
        ];
        faults.extend(must.iter().filter(|(holds, _)| !holds).map(|(_, words)| (*words).to_owned()));
        faults
    }

    fn wrong_with(&self, route: Route, tally: &Tally) -> Vec<&'static str> {
        let sums = |sums: &BTreeMap<String, i64>| sums.get(&self.currency).copied().unwrap_or_default();
        let (source, erp, held) =
            (sums(&tally.source_total), sums(&tally.erp_total), sums(&tally.held_total));
        let must = [
            (tally.duplicates == 0, "documents are doubled"),
            (tally.lost == 0, "records are lost"),
            (source == erp + held, "what the source holds is not what the ERP holds and what is held"),
            (tally.posted == tally.acknowledged, "not every booked record is marked as exported"),
            (tally.posted + tally.held == tally.source_documents, "records are neither booked nor held"),
            (tally.source_total.len() <= 1, "more than one currency"),
            (self.proof_agrees(route), "the agent's proof does not agree"),
        ];
        must.iter().filter(|(holds, _)| !holds).map(|(_, words)| *words).collect()
    }

    fn proof_agrees(&self, route: Route) -> bool {
        self.seen.proof_agrees.get(&route).copied().unwrap_or_default()
    }

    pub(super) fn is_good(&self) -> bool {
        self.faults().is_empty()
    }

    fn amount(&self, sums: &BTreeMap<String, i64>) -> String {
        decimal(sums.get(&self.currency).copied().unwrap_or_default(), &self.currency)
    }

    fn figures(&self, tally: &Tally) -> Value {
        json!({
            "source_documents": tally.source_documents,
            "posted": tally.posted,
            "held": tally.held,
            "acknowledged": tally.acknowledged,
            "duplicates": tally.duplicates,
            "lost": tally.lost,
            "source_total": self.amount(&tally.source_total),
            "erp_total": self.amount(&tally.erp_total),
            "held_total": self.amount(&tally.held_total),
            "currency": self.currency,
        })
    }

    fn flow_json(&self, route: Route, tally: &Tally) -> Value {
        let mut flow = self.figures(tally);
        flow["flow"] = route.flow().into();
        flow["source"] = route.source().id().into();
        flow["target"] = route.erp().id().into();
        flow["proof_agrees"] = self.proof_agrees(route).into();
        flow
    }

    /// Sums over all flows, which have one currency, and each flow's own beside them.
    pub(super) fn json(&self) -> Value {
        let seen = &self.seen;
        let mut whole = self.figures(&self.whole());
        let rest = json!({
            "flows": self.flows.iter().map(|(route, tally)| self.flow_json(*route, tally)).collect::<Vec<_>>(),
            "document": self.options.document.as_str(),
            "reports": self.options.reports,
            "seed": self.options.seed,
            "answers_lost": seen.answers_lost,
            "killed_at_documents": seen.killed_at,
            "second_run_posted": seen.second_run_posted,
            "proof_agrees": self.flows.iter().all(|(route, _)| self.proof_agrees(*route)),
            "audit_intact": seen.audit_intact,
            "audit_entries": seen.audit_entries,
            "webhook_ms": seen.webhook_ms,
            "replayed": seen.replayed,
            "misuse": seen.misuse,
            "leaks": seen.leaks,
            "faults": self.faults(),
            "ok": self.is_good(),
            "seconds": (self.seconds * 10.0).round() / 10.0,
        });
        if let (Some(whole), Value::Object(rest)) = (whole.as_object_mut(), rest) {
            whole.extend(rest);
        }
        whole
    }

    pub(super) fn words(&self) -> Vec<String> {
        let mut words: Vec<String> =
            self.flows.iter().flat_map(|(route, tally)| self.flow_words(*route, tally)).collect();
        if let Some(first) = words.first_mut() {
            first.replace_range(..6, "Result");
        }
        let faults = self.faults();
        if faults.is_empty() {
            words.push(format!(
                "         totals equal, nothing doubled, nothing lost ({:.0} s)",
                self.seconds
            ));
        } else {
            words.push("         NOT as it must be:".to_owned());
            words.extend(faults.iter().map(|fault| format!("         - {fault}")));
        }
        words
    }

    fn flow_words(&self, route: Route, tally: &Tally) -> [String; 2] {
        let (one, currency) = (route.record(), &self.currency);
        let flow = if self.flows.len() > 1 { format!("{}: ", route.flow()) } else { String::new() };
        [
            format!(
                "         {flow}{} {one}s = {} booked + {} held; duplicates {}, lost {}",
                tally.source_documents, tally.posted, tally.held, tally.duplicates, tally.lost
            ),
            format!(
                "         {} = {} in the ERP + {} held ({currency}); {} of {} booked {one}s are marked as exported",
                self.amount(&tally.source_total),
                self.amount(&tally.erp_total),
                self.amount(&tally.held_total),
                tally.acknowledged,
                tally.posted
            ),
        ]
    }
}
