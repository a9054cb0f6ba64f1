//! An ERP in memory. It knows documents by reference and nothing of the posting protocol: given two writes, it holds
//! two documents, unless its own rule refuses the second.

use super::faults::{Call, Fault, Faults, failure};
use crate::clock::Clock;
use crate::vendors::{Claimed, ErpDocument, ErpTarget};
use async_trait::async_trait;
use spend::ids::{CompanyId, GlAccount, VendorCode};
use spend::money::Money;
use spend::plan::{PostingPlan, Stage};
use spend::posting::{ErpReceipt, Failure, FailureClass, LookUp};
use spend::reference::{Account, Effective, ReferenceData, Segment, SegmentValue, Vendor};
use spend::{Date, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// A document in the ERP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Doc {
    pub(super) reference: String,
    pub(super) number: u32,
    pub(super) total: Money,
    pub(super) date: Date,
    /// Stands for the whole content.
    pub(super) content: String,
    /// Begun and not finished.
    pub(super) half: bool,
}

#[derive(Default)]
pub(super) struct Books {
    pub(super) documents: Vec<Doc>,
    /// Writes that the ERP is still busy with, although nobody waits for them any more.
    late: Vec<(Timestamp, Doc)>,
    pub(super) unique: bool,
    next: u32,
    /// Writes that arrived, whatever came of them.
    pub(super) writes: u32,
    pub(super) refuses: Vec<String>,
}

pub(super) struct FakeErp {
    books: Mutex<Books>,
    faults: Arc<Faults>,
    /// The ERP's own time: steps of the agent's clock do not move it.
    time: Clock,
    /// The agent's clock, which stamps the reference data.
    agent: Clock,
}

impl Books {
    /// Commits what is ripe.
    fn settle(&mut self, now: Timestamp) {
        self.late.sort_by_key(|(at, _)| *at);
        while self.late.first().is_some_and(|(at, _)| *at <= now) {
            let (_, document) = self.late.remove(0);
            // A late write that resumed a half-written document ends it, it does not begin another.
            let begun = self.documents.iter_mut().find(|d| d.reference == document.reference);
            match begun {
                Some(begun) if begun.half => begun.half = false,
                Some(_) if self.unique => {}
                _ => self.documents.push(document),
            }
        }
    }

    /// A refusal leaves nothing behind, also of what an earlier attempt had begun: the contract of `ErpTarget::post`.
    fn clean_up(&mut self, plan: &PostingPlan) {
        let reference = plan.reference.to_string();
        self.documents.retain(|document| !(document.half && document.reference == reference));
    }

    fn write(&mut self, plan: &PostingPlan, half: bool) -> Result<Doc, Failure> {
        let reference = plan.reference.to_string();
        let same = self.documents.iter_mut().find(|d| d.reference == reference);
        match same {
            Some(begun) if begun.half => {
                begun.half = half;
                return Ok(begun.clone());
            }
            Some(there) if self.unique && there.content == plan.hash => return Ok(there.clone()),
            Some(_) if self.unique => {
                return Err(failure(FailureClass::Rejected { findings: Vec::new() }));
            }
            _ => {}
        }
        let document = self.document(plan, half);
        self.documents.push(document.clone());
        Ok(document)
    }

    fn document(&mut self, plan: &PostingPlan, half: bool) -> Doc {
        self.next += 1;
        Doc {
            reference: plan.reference.to_string(),
            number: self.next,
            total: plan.total,
            date: plan.date,
            content: plan.hash.clone(),
            half,
        }
    }

    fn find(&self, plan: &PostingPlan) -> LookUp {
        let of_record: Vec<&Doc> =
            self.documents.iter().filter(|d| plan.reference.stem_is_in(&d.reference)).collect();
        let different = |found: &Doc, differs: &str| LookUp::Different {
            receipt: found.receipt(),
            differs: differs.to_owned(),
        };
        match of_record.as_slice() {
            [] => LookUp::Absent,
            [one] if one.reference != plan.reference.to_string() => different(one, "another revision"),
            [one] if one.half => {
                LookUp::Unfinished { receipt: one.receipt(), missing: "half of the lines".to_owned() }
            }
            [one] if one.content == plan.hash => LookUp::Complete { receipt: one.receipt() },
            [one] => different(one, "content"),
            [first, ..] => different(first, "more than one document"),
        }
    }
}

impl Doc {
    fn receipt(&self) -> ErpReceipt {
        ErpReceipt { document: format!("journal {}", self.number), group: None, stage: Stage::Staged }
    }
}

impl FakeErp {
    pub(super) fn new(faults: Arc<Faults>, time: Clock, agent: Clock) -> Self {
        let books = Books { unique: true, ..Books::default() };
        Self { books: Mutex::new(books), faults, time, agent }
    }

    /// The books as they are now.
    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        let mut books = self.books.lock().unwrap();
        books.settle(self.time.now());
        books
    }

    pub(super) fn documents(&self) -> Vec<Doc> {
        self.books().documents.clone()
    }
}

#[async_trait]
impl ErpTarget for FakeErp {
    async fn look_up(&self, plan: &PostingPlan) -> Result<LookUp, Failure> {
        match self.faults.step(Call::LookUp, plan.reference.stem()).await {
            Fault::Fail(class) => Err(failure(class)),
            Fault::LostAnswer | Fault::Late(_) | Fault::Half => Err(failure(FailureClass::Unavailable)),
            Fault::DieAfter => self.faults.die().await,
            _ => Ok(self.books().find(plan)),
        }
    }

    async fn post(&self, claimed: &Claimed, _found: &LookUp) -> Result<ErpReceipt, Failure> {
        let plan = claimed.plan();
        let fault = self.faults.step(Call::Post, plan.reference.stem()).await;
        if let Fault::Fail(class) = fault {
            if matches!(class, FailureClass::Rejected { .. }) {
                self.books().clean_up(plan);
            }
            return Err(failure(class));
        }
        let written = {
            let now = self.time.now();
            let mut books = self.books();
            books.writes += 1;
            if books.refuses.iter().any(|stem| plan.reference.stem().contains(stem.as_str())) {
                books.clean_up(plan);
                return Err(failure(FailureClass::Rejected { findings: Vec::new() }));
            }
            if let Fault::Late(after) = fault {
                let document = books.document(plan, false);
                books.late.push((now + after, document));
                return Err(failure(FailureClass::InDoubt));
            }
            books.write(plan, matches!(fault, Fault::Half))?
        };
        match fault {
            Fault::LostAnswer | Fault::Half => Err(failure(FailureClass::InDoubt)),
            Fault::DieAfter => self.faults.die().await,
            _ => Ok(written.receipt()),
        }
    }

    async fn read_back(&self, prefix: &str, from: Date, to: Date) -> Result<Vec<ErpDocument>, Failure> {
        if let Fault::Fail(class) = self.faults.step(Call::ReadBack, prefix).await {
            return Err(failure(class));
        }
        let books = self.books();
        let within = |d: &&Doc| d.reference.starts_with(prefix) && from <= d.date && d.date <= to;
        Ok(books
            .documents
            .iter()
            .filter(within)
            .map(|d| ErpDocument {
                reference: format!("{} January trip", d.reference),
                receipt: d.receipt(),
                date: Some(d.date),
                total: d.total,
            })
            .collect())
    }

    fn refuses_duplicates(&self, _plan: &PostingPlan) -> bool {
        self.books.lock().unwrap().unique
    }

    async fn reference_data(&self, company: &CompanyId) -> Result<ReferenceData, Failure> {
        match self.faults.step(Call::Reference, company.as_str()).await {
            Fault::Fail(class) => Err(failure(class)),
            Fault::LostAnswer => Err(failure(FailureClass::Unavailable)),
            Fault::DieAfter => self.faults.die().await,
            _ => Ok(reference(company, self.agent.now())),
        }
    }
}

fn vendor((code, name): (&str, &str)) -> (VendorCode, Vendor) {
    let vendor = Vendor {
        number: 70,
        name: name.to_owned(),
        inactive: false,
        pay_hold: false,
        currency: None,
        terms: None,
    };
    (VendorCode::from(code), vendor)
}

/// One segment, an account for travel and one for accrued expenses.
fn reference(company: &CompanyId, as_of: Timestamp) -> ReferenceData {
    let open = Effective::default();
    let account = |code: &str| {
        let entry = Account { description: format!("Account {code}"), active: true, effective: open };
        (GlAccount::from(code), entry)
    };
    let value = |code: &str| {
        (code.to_owned(), SegmentValue { name: format!("Account {code}"), active: true, effective: open })
    };
    let natural =
        Segment { name: "Account".to_owned(), dynamic: false, values: ["6100", "2100"].map(value).into() };
    ReferenceData {
        as_of,
        company: company.clone(),
        accounts: ["6100", "2100"].map(account).into(),
        segments: [(1, natural)].into(),
        vendors: [("ACME", "Acme Tools LLC"), ("NADIR", "Nadir Timber LLC")].map(vendor).into(),
        employees: BTreeMap::new(),
        projects: BTreeMap::new(),
        dimensions: BTreeMap::new(),
        periods: None,
    }
}
