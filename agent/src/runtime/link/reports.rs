//! What the agent says of itself, within what the machine's guard rails let leave it: by default states and counts.

use super::commands::{done, failed, refused};
use super::desk::Said;
use super::exchange::Exchange;
use super::words;
use crate::flows::RunReport;
use crate::flows::preview::Preview;
use crate::flows::replay::Decided;
use crate::runtime::commands::Obeyed;
use crate::runtime::status::FlowStatus;
use crate::runtime::visible::{ON_THE_MACHINE, Sight};
use crate::store::{PostingFilter, Store, StoreError};
use crate::vendors::{ProbeResult, Verdict};
use chrono::TimeDelta;
use purser_proto::link::command::CommandResult;
use purser_proto::link::limits::Text;
use purser_proto::link::report::{ConnectionReport, FlowReport, HeldRecord, ReportBody, StatusReport};
use serde::Serialize;
use spend::ids::FlowId;
use spend::now::Tick;
use spend::posting::{Posting, PostingState};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often the agent is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How often held records are looked through, which may be many.
const LOOK_THROUGH: TimeDelta = TimeDelta::seconds(30);
/// Least time between two reports of how it is.
const LEAST: TimeDelta = TimeDelta::seconds(5);
/// Longest time between them.
const MOST: TimeDelta = TimeDelta::minutes(5);
/// Held records of a flow that are told one by one.
const MOST_RECORDS: usize = 100;

/// What was reported last.
#[derive(Debug, Default)]
pub(super) struct Watched {
    last: Option<(StatusReport, Tick)>,
    looked: Option<Tick>,
    /// Number of the last report that was seen in the outbox.
    seen: u64,
}

impl Exchange {
    /// Looks at the agent from time to time, for as long as it is polled.
    pub(super) async fn watch(&self) {
        let mut watched = Watched::default();
        loop {
            if let Err(error) = self.look(&mut watched).await {
                tracing::warn!(error = words(&error), "the agent's state cannot be reported");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// How much may leave the machine.
    pub(super) fn sight(&self) -> Sight {
        Sight::of(&self.parts.home)
    }

    /// Reports how the agent is when that has changed, and from time to time when it has not.
    pub(super) async fn look(&self, watched: &mut Watched) -> Result<(), StoreError> {
        let store = &self.parts.store;
        let sight = self.sight();
        let now = self.parts.clock.tick();
        let recent = |at: &Tick| sight.summary() && now.since(at) < LOOK_THROUGH;
        if watched.looked.as_ref().is_none_or(|at| !recent(at))
            && let Some(said) = self.parts.desk.status().await
        {
            watched.looked = Some(now);
            let report = status_report(&said, store, sight)?;
            let now = self.parts.clock.reading();
            if watched.wants(&report, &now.tick) {
                let mut batch = self.batch();
                batch.report(now.at, &ReportBody::Status(Box::new(report.clone())));
                store.commit(batch).await?;
                watched.last = Some((report, now.tick));
            }
        }
        let outbox = store.outbox_stats()?;
        self.shown.change(|status| status.outbox = outbox);
        let last = outbox.map_or(0, |outbox| outbox.last);
        if std::mem::replace(&mut watched.seen, last) < last {
            self.news.notify_one();
        }
        Ok(())
    }
}

impl Watched {
    fn wants(&self, report: &StatusReport, now: &Tick) -> bool {
        let Some((last, at)) = &self.last else { return true };
        let age = now.since(at);
        age >= MOST || (last != report && age >= LEAST)
    }
}

/// The state of the agent.
pub(super) fn status_report(
    (agent, credentials): &Said,
    store: &Store,
    sight: Sight,
) -> Result<StatusReport, StoreError> {
    let counts = store.counts()?;
    let connections = agent.connections.iter().map(|(id, actor)| {
        let alarm = agent.alarms.get(id);
        let broken = actor.last_error.as_ref().filter(|_| actor.state.name() != "running");
        let why = alarm.map(|alarm| &alarm.why).or(broken);
        let report = ConnectionReport {
            state: if alarm.is_some() { "paused" } else { actor.state.name() }.into(),
            why: why.map(|why| sight.about_machine(why.clone()).into()),
            credential_days: credentials.get(id).copied(),
        };
        (id.as_str().to_owned(), report)
    });
    let mut flows = BTreeMap::new();
    for (id, flow) in &agent.flows {
        let postings = counts.iter().filter(|((of, _), n)| of == id && **n > 0);
        let postings = postings.map(|((_, state), n)| ((*state).to_owned(), *n)).collect();
        flows.insert(id.as_str().to_owned(), flow_report(id, flow, postings, store, sight)?);
    }
    Ok(StatusReport {
        agent_version: agent.version.as_str().into(),
        started: Some(agent.started),
        connections: connections.collect(),
        flows,
    })
}

fn flow_report(
    id: &FlowId,
    flow: &FlowStatus,
    postings: BTreeMap<String, u64>,
    store: &Store,
    sight: Sight,
) -> Result<FlowReport, StoreError> {
    let last = store.runs(Some(id), 1)?.into_iter().next();
    let state = match (flow.paused, flow.running, flow.actor.state.name()) {
        (true, _, _) => "paused",
        (_, true, _) => "running",
        (_, _, "failed") => "failed",
        _ => "idle",
    };
    let mut report = FlowReport {
        state: state.into(),
        last_run: last.as_ref().map(|run| run.ended),
        next_run: flow.next_run,
        last: last.map(|run| run_words(&run.report, None)).unwrap_or_default().into(),
        postings,
        ..FlowReport::default()
    };
    if sight.summary() && report.postings.contains_key("held") {
        let filter = PostingFilter {
            flow: Some(id.clone()),
            state: Some("held".to_owned()),
            ..PostingFilter::default()
        };
        let mut records = Vec::new();
        store.for_each(&filter, |posting| {
            for code in codes(&posting) {
                *report.held.entry(code).or_default() += 1;
            }
            if sight.detail() && records.len() < MOST_RECORDS {
                records.push(held(&posting));
            }
        })?;
        report.records = records.into_iter().collect();
    }
    Ok(report)
}

fn codes(posting: &Posting) -> Vec<String> {
    let PostingState::Held(hold) = &posting.state else { return Vec::new() };
    let mut codes: Vec<String> =
        hold.findings.iter().map(|finding| finding.code.as_str().to_owned()).collect();
    codes.sort();
    codes.dedup();
    codes
}

fn held(posting: &Posting) -> HeldRecord {
    let summary = crate::store::PostingSummary::of(posting);
    HeldRecord {
        posting: posting.key.as_str().into(),
        record: posting.source_id.as_str().into(),
        minor: posting.total.minor,
        currency: posting.total.currency.code().into(),
        codes: codes(posting).into_iter().map(Into::into).collect(),
        why: summary.why.into(),
    }
}

/// What a run came to; its troubles in words only where those may leave the machine.
fn run_words(report: &RunReport, sight: Option<Sight>) -> String {
    let mut words = match &report.mirrored {
        _ if report.could_not_begin => "the run could not begin".to_owned(),
        Some(counts) => format!(
            "{} wanted; {} added, {} changed, {} disabled, {} failed, {} wait for consent",
            counts.wanted, counts.added, counts.changed, counts.disabled, counts.failed, counts.waiting
        ),
        None => {
            format!("{} read, {} posted, {} held", report.read, report.posted + report.adopted, report.held)
        }
    };
    match report.errors.len() {
        0 => {}
        _ if sight.is_some_and(Sight::detail) => words.push_str(&format!("; {}", report.errors.join("; "))),
        n => words.push_str(&format!("; {n} trouble(s), {ON_THE_MACHINE}")),
    }
    words
}

/// Why an order was not obeyed, in full: for the machine's own audit trail.
pub(super) fn why_not(obeyed: &Obeyed) -> Option<String> {
    match obeyed {
        Obeyed::Refused { why } | Obeyed::Decided { decided: Decided::Refused { why } } => Some(why.clone()),
        _ => None,
    }
}

/// What came of an order, within what may leave the machine.
pub(super) fn result_of(obeyed: Obeyed, sight: Sight) -> CommandResult {
    match obeyed {
        Obeyed::Done => done("done".to_owned()),
        Obeyed::Refused { why } => refused(sight.reason(why)),
        Obeyed::Ran { mut report } => {
            let words = run_words(&report, Some(sight));
            if !sight.detail() {
                report.errors.clear();
            }
            let result = if report.could_not_begin { failed(words) } else { done(words) };
            with_detail(result, &report)
        }
        Obeyed::Previewed { preview } | Obeyed::Changed { preview } => previewed(&preview, sight),
        Obeyed::PreviewedReference { preview } | Obeyed::ChangedReference { preview } => {
            let result = done("previewed".to_owned());
            if sight.detail() { with_detail(result, &preview) } else { result }
        }
        Obeyed::Probed { results } => probed(&results, sight),
        Obeyed::Decided { decided } => decision(decided, sight),
        Obeyed::Proved { .. } | Obeyed::Received { .. } => done("done".to_owned()),
    }
}

fn previewed(preview: &Preview, sight: Sight) -> CommandResult {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for line in &preview.lines {
        *counts.entry(line.would.name()).or_default() += 1;
    }
    let words: Vec<String> = counts.iter().map(|(would, n)| format!("{n} {would}")).collect();
    let words = if words.is_empty() { "nothing to do".to_owned() } else { words.join(", ") };
    let result = done(format!("{words}; {} unreadable", preview.unreadable.len()));
    let sums: Vec<_> = preview.totals().into_iter().map(|((would, currency), (n, minor))| {
        serde_json::json!({ "would": would, "currency": currency.code(), "count": n, "minor": minor })
    }).collect();
    if !sight.summary() {
        return with_detail(result, &counts);
    }
    let whole = if sight.detail() { with_detail(result.clone(), preview) } else { result.clone() };
    if whole.detail.is_empty() { with_detail(result, &sums) } else { whole }
}

fn probed(results: &[ProbeResult], sight: Sight) -> CommandResult {
    let bad = results.iter().filter(|result| result.verdict == Verdict::Fail);
    let bad: Vec<&str> = bad.map(|result| result.check.as_str()).collect();
    let result = match bad.len() {
        0 => done(format!("{} check(s), none failed", results.len())),
        n => failed(format!("{n} of {} check(s) failed: {}", results.len(), bad.join(", "))),
    };
    if !sight.summary() {
        let plain: BTreeMap<&str, Verdict> = results.iter().map(|r| (r.check.as_str(), r.verdict)).collect();
        return with_detail(result, &plain);
    }
    with_detail(result, &results)
}

fn decision(decided: Decided, sight: Sight) -> CommandResult {
    match decided {
        Decided::Planned => done("planned again; the next run posts it".to_owned()),
        Decided::AlreadyPosted { .. } => done("it is in the ERP already".to_owned()),
        Decided::NewRevision => done("a newer state of the record takes its place".to_owned()),
        Decided::Remembered { .. } => done("remembered".to_owned()),
        Decided::Handled => done("closed".to_owned()),
        Decided::Reported => done("closed, and the spend system was told".to_owned()),
        Decided::LeftUnmarked { .. } => {
            done("closed: it is in the ERP, and is not marked in the spend system any more".to_owned())
        }
        Decided::Refused { why } => refused(sight.reason_about_record(why)),
        Decided::StillHeld { findings } => {
            let codes: Vec<&str> = findings.iter().map(|finding| finding.code.as_str()).collect();
            let why = if sight.summary() { codes.join(", ") } else { format!("{} reason(s)", codes.len()) };
            let result = failed(format!("it is still held: {why}"));
            if sight.detail() { with_detail(result, &findings) } else { result }
        }
    }
}

/// Adds what is known, unless it is more than a message holds: half of a JSON is none.
pub(super) fn with_detail(mut result: CommandResult, detail: &impl Serialize) -> CommandResult {
    let text = serde_json::to_string(detail).unwrap_or_default();
    result.detail = Text::whole(text).unwrap_or_default();
    result
}
