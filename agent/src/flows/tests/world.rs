//! One flow between two fakes over a real store, with two clocks moved by hand: the agent's, which may step, and the
//! true one, by which the ERP works.

use super::erp::FakeErp;
use super::faults::Faults;
use super::source::FakeSource;
use crate::clock::Clock;
use crate::flows::{FlowSettings, RunReport, SpendFlow};
use crate::store::{Options, PostingFilter, Store, StoreKeys};
use chrono::TimeDelta;
use spend::document::{Owner, RecordKind, SpendDocument, SpendLine};
use spend::guard::GuardLimits;
use spend::ids::{CompanyId, FlowId, LineId, PostingKey, Revision, SourceId};
use spend::mapping::{CategoryRule, DocumentKind, LineSelection, MappingRules};
use spend::money::{Currency, Money};
use spend::plan::{DocumentReference, PlanContext};
use spend::posting::{Posting, PostingPolicy, PostingState};
use spend::route::Route;
use spend::{Date, Timestamp};
use std::collections::BTreeMap;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tempfile::TempDir;
use tokio::sync::watch;

pub(super) struct World {
    pub(super) clock: Clock,
    pub(super) time: Clock,
    pub(super) source: Arc<FakeSource>,
    pub(super) erp: Arc<FakeErp>,
    pub(super) faults: Arc<Faults>,
    pub(super) settings: FlowSettings,
    pub(super) stop: watch::Sender<bool>,
    pub(super) seed: u64,
    store: Option<Store>,
    dir: TempDir,
}

/// When every world begins.
const START: &str = "2026-01-15T08:00:00Z";

/// How a run ended.
#[derive(Debug)]
pub(super) enum Ended {
    Report(RunReport),
    Died,
}

impl World {
    pub(super) fn new() -> Self {
        let start = moment(START);
        let (clock, time) = (Clock::manual(start), Clock::manual(start));
        let faults = Arc::new(Faults::none());
        let mut world = Self {
            source: Arc::new(FakeSource::new(Arc::clone(&faults))),
            erp: Arc::new(FakeErp::new(Arc::clone(&faults), time.clone(), clock.clone())),
            clock,
            time,
            faults,
            settings: settings(),
            stop: watch::Sender::new(false),
            seed: 1,
            store: None,
            dir: folder(),
        };
        world.reopen();
        world
    }

    /// What a new process finds.
    pub(super) fn reopen(&mut self) {
        self.store = None;
        let options =
            Options { initial_map: 1 << 20, free_floor: 0, free_space: Arc::new(|_: &Path| Ok(u64::MAX)) };
        let keys = StoreKeys::from_data_key(&[7; 32]);
        self.store = Some(Store::open_with(self.dir.path(), keys, self.clock.clone(), options).unwrap());
        self.seed += 1;
    }

    pub(super) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    pub(super) fn flow(&self) -> SpendFlow {
        SpendFlow::new(
            self.settings.clone(),
            self.store().clone(),
            Arc::clone(&self.source) as _,
            Arc::clone(&self.erp) as _,
            self.clock.clone(),
            self.seed,
            self.stop.subscribe(),
            watch::Sender::new(RunReport::default()),
        )
    }

    /// One run, which may die on the way; then the store is opened anew.
    pub(super) async fn run_or_die(&mut self) -> Ended {
        self.seed += 1;
        let flow = self.flow();
        self.faults.live();
        let ended = tokio::select! {
            biased;
            () = self.faults.death() => None,
            report = flow.run("test") => Some(report.unwrap()),
        };
        drop(flow);
        match ended {
            Some(report) => Ended::Report(report),
            None => {
                self.reopen();
                Ended::Died
            }
        }
    }

    /// One run that is dropped when it has waited for the store for the `nth` time.
    pub(super) async fn run_until_wait(&mut self, nth: u32) -> Ended {
        self.seed += 1;
        let flow = self.flow();
        let mut waits = 0;
        let ended = {
            let mut run = pin!(flow.run("test"));
            std::future::poll_fn(|context| match run.as_mut().poll(context) {
                Poll::Ready(report) => Poll::Ready(Some(report.unwrap())),
                Poll::Pending if waits + 1 == nth => Poll::Ready(None),
                Poll::Pending => {
                    waits += 1;
                    Poll::Pending
                }
            })
            .await
        };
        drop(flow);
        match ended {
            Some(report) => Ended::Report(report),
            None => {
                self.reopen();
                Ended::Died
            }
        }
    }

    pub(super) async fn run(&mut self) -> RunReport {
        match self.run_or_die().await {
            Ended::Report(report) => report,
            Ended::Died => panic!("the run died"),
        }
    }

    /// Time passes for everybody.
    pub(super) fn pass(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds));
        self.time.advance(TimeDelta::seconds(seconds));
    }

    /// Time passes until eight o'clock of a day of the simulation, by the true clock.
    pub(super) fn until_morning(&self, day: i64) {
        let morning = moment(START) + TimeDelta::days(day);
        self.pass((morning - self.time.now()).num_seconds().max(0));
    }

    /// Runs as the scheduler would, until nothing is due for a long time.
    pub(super) async fn until_quiet(&mut self) {
        let mut quiet = 0;
        for _ in 0..200 {
            let report = self.run().await;
            quiet = if report.next_due.is_none() && report.errors.is_empty() { quiet + 1 } else { 0 };
            if quiet == 2 {
                return;
            }
            self.pass(1900);
        }
        panic!("the flow does not come to rest: {:?}", self.postings());
    }

    pub(super) fn postings(&self) -> Vec<Posting> {
        let mut all = Vec::new();
        self.store().for_each(&PostingFilter::default(), |posting| all.push(posting)).unwrap();
        all
    }

    pub(super) fn postings_of(&self, id: &str) -> Vec<Posting> {
        self.store().postings_of(self.settings.flow(), &SourceId::from(id)).unwrap()
    }

    /// The states of a record's postings, oldest first.
    pub(super) fn states(&self, id: &str) -> Vec<&'static str> {
        self.postings_of(id).iter().map(|p| p.state.name()).collect()
    }

    /// The one posting of a record.
    pub(super) fn posting(&self, id: &str) -> Posting {
        let [posting] = self.postings_of(id).try_into().unwrap();
        posting
    }

    pub(super) fn key(&self, id: &str) -> PostingKey {
        self.posting(id).key
    }

    /// Whether the ERP has anything of a record.
    pub(super) fn is_in_erp(&self, id: &str) -> bool {
        let (prefix, flow) = (&self.settings.context.prefix, self.settings.flow());
        let revision = Revision::from("");
        let stem = DocumentReference::derive(prefix, flow, &SourceId::from(id), &revision);
        self.erp.documents().iter().any(|document| stem.stem_is_in(&document.reference))
    }

    pub(super) fn report(&self, id: &str, cents: i64) {
        self.source.put(document(id, self.clock.now().date_naive(), cents));
    }
}

/// The codes of a held posting, or nothing.
pub(super) fn codes(posting: &Posting) -> Vec<&'static str> {
    match &posting.state {
        PostingState::Held(hold) => hold.findings.iter().map(|f| f.code.as_str()).collect(),
        _ => Vec::new(),
    }
}

fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory).unwrap() } else { TempDir::new().unwrap() }
}

pub(super) fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn usd(cents: i64) -> Money {
    Money::new(cents, Currency::USD)
}

/// An approved report with one line.
pub(super) fn document(id: &str, approved: Date, cents: i64) -> SpendDocument {
    SpendDocument {
        source_id: SourceId::from(id),
        revision: Revision::from(""),
        kind: RecordKind::ExpenseReport,
        title: format!("Trip {id}"),
        owner: Owner { email: "ann@example.test".to_owned(), ..Owner::default() },
        workspace: "W1".to_owned(),
        status: "Approved".to_owned(),
        currency: Currency::USD,
        submitted: Some(approved),
        approved: Some(approved),
        paid: None,
        declared_total: Some(usd(cents)),
        lines: vec![SpendLine {
            id: LineId::from("1"),
            date: Some(approved),
            merchant: "Acme Air".to_owned(),
            merchant_id: None,
            category: Some("Travel".to_owned()),
            category_code: None,
            tags: Vec::new(),
            amount: usd(cents),
            original: None,
            tax: None,
            reimbursable: true,
            billable: false,
            comment: String::new(),
            receipt_url: None,
        }],
        same_as: None,
        part_of: None,
    }
}

pub(super) fn set_amount(document: &mut SpendDocument, cents: i64) {
    document.lines[0].amount = usd(cents);
    document.declared_total = Some(usd(cents));
}

fn settings() -> FlowSettings {
    let travel =
        CategoryRule { account: "6100".to_owned(), segments: BTreeMap::new(), dimensions: BTreeMap::new() };
    FlowSettings {
        context: PlanContext {
            flow: FlowId::from("expenses"),
            prefix: "EXP".to_owned(),
            company: CompanyId::from("EPIC06"),
            kind: DocumentKind::Journal,
        },
        route: Route {
            source: "expensify".to_owned(),
            target: "epicor".to_owned(),
            company: CompanyId::from("EPIC06"),
            books: Some("EPIC06".to_owned()),
            select: LineSelection::All,
            by_name: true,
        },
        others: BTreeMap::new(),
        start: "2026-01-01".parse().unwrap(),
        overlap_days: 7,
        page_size: 50,
        batch_size: 10,
        concurrency: 2,
        posting: PostingPolicy::default(),
        reference_max_age: TimeDelta::hours(1),
        change_check: TimeDelta::hours(6),
        reread_after: TimeDelta::seconds(900),
        wait_for: Vec::new(),
        wait_max_age: TimeDelta::hours(24),
        rules: MappingRules {
            categories: [("Travel".to_owned(), travel)].into(),
            segment_count: 1,
            offset_reimbursable: Some("2100".to_owned()),
            ..MappingRules::default()
        },
        guard: GuardLimits::default(),
        machine: Vec::new(),
    }
}
