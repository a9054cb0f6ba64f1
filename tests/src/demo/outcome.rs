//! How the demo came out: the figures, and everything that is not as it must be.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::DemoOptions;
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
    /// The proof says that the systems agree.
    pub(super) proof_agrees: bool,
    /// The audit trail verifies.
    pub(super) audit_intact: bool,
    /// Entries of the audit trail.
    pub(super) audit_entries: u64,
    /// Documents that the second run booked.
    pub(super) second_run_posted: u64,
    /// Secrets or texts that were found in files.
    pub(super) leaks: Vec<String>,
    /// Wrong calls to the simulators.
    pub(super) misuse: Vec<String>,
    /// Whatever else is not as it must be.
    pub(super) faults: Vec<String>,
}

/// The outcome.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) options: DemoOptions,
    pub(super) currency: String,
    pub(super) tally: Tally,
    pub(super) seen: Seen,
    pub(super) seconds: f64,
}

impl Outcome {
    /// Everything that is not as it must be.
    pub(super) fn faults(&self) -> Vec<String> {
        let (tally, seen) = (&self.tally, &self.seen);
        let mut faults = tally.faults();
        faults.extend(seen.faults.iter().cloned());
        faults.extend(seen.leaks.iter().map(|leak| format!("leaked: {leak}")));
        let sums = |sums: &BTreeMap<String, i64>| sums.get(&self.currency).copied().unwrap_or_default();
        let (source, erp, held) =
            (sums(&tally.source_total), sums(&tally.erp_total), sums(&tally.held_total));
        let must = [
            (tally.duplicates == 0, "documents are doubled"),
            (tally.lost == 0, "reports are lost"),
            (source == erp + held, "what the source holds is not what the ERP holds and what is held"),
            (tally.posted == tally.acknowledged, "not every booked report is marked as exported"),
            (tally.posted + tally.held == tally.source_documents, "reports are neither booked nor held"),
            (tally.source_total.len() <= 1, "more than one currency"),
            (seen.proof_agrees, "the agent's proof does not agree"),
            (seen.audit_intact, "the audit trail does not verify"),
            (seen.second_run_posted == 0, "the second run booked documents"),
        ];
        faults.extend(must.iter().filter(|(holds, _)| !holds).map(|(_, words)| (*words).to_owned()));
        faults
    }

    pub(super) fn is_good(&self) -> bool {
        self.faults().is_empty()
    }

    fn amount(&self, sums: &BTreeMap<String, i64>) -> String {
        decimal(sums.get(&self.currency).copied().unwrap_or_default(), &self.currency)
    }

    pub(super) fn json(&self) -> Value {
        let (tally, seen) = (&self.tally, &self.seen);
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
            "document": self.options.document.as_str(),
            "reports": self.options.reports,
            "seed": self.options.seed,
            "answers_lost": seen.answers_lost,
            "killed_at_documents": seen.killed_at,
            "second_run_posted": seen.second_run_posted,
            "proof_agrees": seen.proof_agrees,
            "audit_intact": seen.audit_intact,
            "audit_entries": seen.audit_entries,
            "misuse": seen.misuse,
            "leaks": seen.leaks,
            "faults": self.faults(),
            "ok": self.is_good(),
            "seconds": (self.seconds * 10.0).round() / 10.0,
        })
    }

    pub(super) fn words(&self) -> Vec<String> {
        let tally = &self.tally;
        let currency = &self.currency;
        let mut words = vec![
            format!(
                "Result   {} reports = {} booked + {} held; duplicates {}, lost {}",
                tally.source_documents, tally.posted, tally.held, tally.duplicates, tally.lost
            ),
            format!(
                "         {} = {} in the ERP + {} held ({currency}); {} of {} booked reports are marked as exported",
                self.amount(&tally.source_total),
                self.amount(&tally.erp_total),
                self.amount(&tally.held_total),
                tally.acknowledged,
                tally.posted
            ),
        ];
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
}
