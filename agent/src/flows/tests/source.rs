//! A spend system in memory: records with their marks, edits, pages and faults.

use super::faults::{Call, Fault, Faults, failure};
use crate::vendors::{Exported, SourceHabits, SourcePage, SourceWindow, SpendSource, Unreadable};
use async_trait::async_trait;
use spend::document::SpendDocument;
use spend::ids::{Revision, SourceId};
use spend::money::Money;
use spend::posting::{ErpReceipt, Failure, FailureClass};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// One record of the spend system.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) document: SpendDocument,
    pub(super) marked: bool,
    /// Somebody else has marked it.
    pub(super) elsewhere: bool,
    /// Why it cannot be read, when it cannot.
    pub(super) unreadable: Option<String>,
    /// It was withdrawn.
    pub(super) gone: bool,
    /// It was reported as not exported, and nobody has offered it again since.
    pub(super) failed: bool,
    /// When it was offered again after that: lists are bounded by the last approval.
    pub(super) offered: Option<spend::Date>,
    /// Every content it ever had.
    pub(super) history: BTreeMap<Revision, Money>,
}

pub(super) struct FakeSource {
    records: Mutex<BTreeMap<SourceId, Record>>,
    faults: Arc<Faults>,
    /// Broken records without an id.
    nameless: Mutex<u32>,
    /// Records that a list shows in an older state.
    shifted: Mutex<Vec<SpendDocument>>,
    /// What pages say of the source. Without marks, acknowledging leaves nothing behind.
    pub(super) habits: Mutex<SourceHabits>,
    /// A page shows this many times fewer records than are asked for.
    pub(super) stingy: Mutex<usize>,
    /// First days of windows of waiting records.
    pub(super) asked_from: Mutex<Vec<spend::Date>>,
    /// Records that were asked for by id, call by call.
    pub(super) asked_for: Mutex<Vec<Vec<SourceId>>>,
    /// How many records each reading asked for.
    pub(super) limits: Mutex<Vec<usize>>,
    /// What it was told of where records are in the ERP.
    pub(super) receipts: Mutex<BTreeMap<SourceId, ErpReceipt>>,
    /// What it was told of records that are not exported; `None` = it cannot be told.
    pub(super) failures: Mutex<Option<BTreeMap<SourceId, String>>>,
}

impl FakeSource {
    pub(super) fn new(faults: Arc<Faults>) -> Self {
        Self {
            records: Mutex::default(),
            faults,
            nameless: Mutex::default(),
            shifted: Mutex::default(),
            habits: Mutex::default(),
            stingy: Mutex::new(1),
            asked_from: Mutex::default(),
            asked_for: Mutex::default(),
            limits: Mutex::default(),
            receipts: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    pub(super) fn records(&self) -> MutexGuard<'_, BTreeMap<SourceId, Record>> {
        self.records.lock().unwrap()
    }

    /// Adds a record or edits it; the mark stays as it is.
    pub(super) fn put(&self, document: SpendDocument) {
        let document = document.with_content_revision();
        let total = document.total_or_zero();
        let mut records = self.records();
        let record = records.entry(document.source_id.clone()).or_insert_with(|| Record {
            document: document.clone(),
            marked: false,
            elsewhere: false,
            unreadable: None,
            gone: false,
            failed: false,
            offered: None,
            history: BTreeMap::new(),
        });
        record.history.insert(document.revision.clone(), total);
        record.document = document;
    }

    pub(super) fn edit(&self, id: &str, change: impl FnOnce(&mut SpendDocument)) {
        let mut document = self.records()[&SourceId::from(id)].document.clone();
        change(&mut document);
        self.put(document);
    }

    pub(super) fn with<T>(&self, id: &str, change: impl FnOnce(&mut Record) -> T) -> T {
        change(self.records().get_mut(&SourceId::from(id)).unwrap())
    }

    /// Somebody else exports a record.
    pub(super) fn export_elsewhere(&self, id: &str) {
        self.with(id, |record| (record.marked, record.elsewhere) = (true, true));
    }

    /// What was reported as not exported is sent back.
    pub(super) fn offer_again(&self, id: &str, today: spend::Date) {
        self.with(id, |record| (record.failed, record.offered) = (false, Some(today)));
    }

    pub(super) fn marked(&self) -> Vec<String> {
        self.records().values().filter(|r| r.marked).map(|r| r.document.source_id.to_string()).collect()
    }

    pub(super) fn set_nameless(&self, count: u32) {
        *self.nameless.lock().unwrap() = count;
    }

    pub(super) fn shift(&self, document: SpendDocument) {
        self.shifted.lock().unwrap().push(document.with_content_revision());
    }

    fn page(&self, window: &SourceWindow) -> SourcePage {
        match window {
            SourceWindow::Ready { from, .. } => self.asked_from.lock().unwrap().push(*from),
            SourceWindow::Ids(ids) => self.asked_for.lock().unwrap().push(ids.clone()),
            SourceWindow::Period { .. } => {}
        }
        let habits = *self.habits.lock().unwrap();
        let records = self.records();
        let mut found: Vec<&Record> = records
            .values()
            .filter(|record| {
                let document = &record.document;
                let day = record.offered.or(document.approved);
                let within = |from, to| day.is_some_and(|day| from <= day && day <= to);
                !record.gone
                    && !record.failed
                    && match window {
                        SourceWindow::Ready { from, to, .. } => !record.marked && within(*from, *to),
                        SourceWindow::Period { from, to } => within(*from, *to),
                        SourceWindow::Ids(ids) => ids.contains(&document.source_id),
                    }
            })
            .collect();
        found.sort_by_key(|record| (record.document.approved, record.document.source_id.clone()));
        let limit = match window {
            SourceWindow::Ready { limit, .. } => {
                usize::try_from(*limit).unwrap() / *self.stingy.lock().unwrap()
            }
            SourceWindow::Period { .. } | SourceWindow::Ids(_) => usize::MAX,
        };
        self.limits.lock().unwrap().push(limit);
        let more = found.len() > limit;
        let mut page = SourcePage { more, habits, ..SourcePage::default() };
        for record in found.into_iter().take(limit) {
            match &record.unreadable {
                Some(message) => page.unreadable.push(Unreadable {
                    source_id: Some(record.document.source_id.clone()),
                    message: message.clone(),
                }),
                None => {
                    page.exported.extend(record.marked.then(|| record.document.source_id.clone()));
                    page.documents.push(record.document.clone());
                }
            }
        }
        for _ in 0..*self.nameless.lock().unwrap() {
            page.unreadable.push(Unreadable { source_id: None, message: "cut in the middle".to_owned() });
        }
        if !matches!(window, SourceWindow::Ids(_)) {
            page.documents.extend(self.shifted.lock().unwrap().iter().cloned());
        }
        page
    }
}

#[async_trait]
impl SpendSource for FakeSource {
    async fn read(&self, window: &SourceWindow) -> Result<SourcePage, Failure> {
        match self.faults.step(Call::Read, "").await {
            Fault::Fail(class) => Err(failure(class)),
            Fault::LostAnswer | Fault::Late(_) | Fault::Half => Err(failure(FailureClass::Unavailable)),
            Fault::DieAfter => self.faults.die().await,
            _ => Ok(self.page(window)),
        }
    }

    async fn acknowledge(&self, exported: &[Exported]) -> Result<Vec<SourceId>, Failure> {
        let fault = self.faults.step(Call::Acknowledge, "").await;
        if let Fault::Fail(class) = fault {
            return Err(failure(class));
        }
        let told = exported.iter().map(|one| (one.id.clone(), one.receipt.clone()));
        self.receipts.lock().unwrap().extend(told);
        let mut marked: Vec<SourceId> = exported.iter().map(|one| one.id.clone()).collect();
        if matches!(fault, Fault::MarkSome) {
            marked = marked.into_iter().step_by(2).collect();
        }
        let keeps_no_mark = self.habits.lock().unwrap().keeps_no_mark;
        if !matches!(fault, Fault::MarkLost) && !keeps_no_mark {
            let mut records = self.records();
            for id in &marked {
                if let Some(record) = records.get_mut(id) {
                    record.marked = true;
                }
            }
        }
        match fault {
            Fault::LostAnswer | Fault::Late(_) | Fault::Half => Err(failure(FailureClass::InDoubt)),
            Fault::DieAfter => self.faults.die().await,
            _ => Ok(marked),
        }
    }
    async fn report_failure(&self, id: &SourceId, why: &str) -> Result<(), Failure> {
        let mut failures = self.failures.lock().unwrap();
        let known = failures.as_mut().ok_or_else(|| failure(FailureClass::NotSent))?;
        if let Some(record) = self.records().get_mut(id) {
            if record.marked {
                return Err(failure(FailureClass::Rejected { findings: Vec::new() }));
            }
            record.failed = true;
        }
        known.insert(id.clone(), why.to_owned());
        Ok(())
    }
}
