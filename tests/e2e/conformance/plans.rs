//! Plans to post, made from the reference data that the ERP itself told, and claims of them by a real store.

use super::bench::noon;
use purser::clock::Clock;
use purser::store::{Batch, Options, Store, StoreKeys};
use purser::vendors::Claimed;
use spend::Date;
use spend::document::{Owner, RecordKind, SpendDocument};
use spend::ids::{FlowId, GlAccount, PostingKey, Revision, SourceId, VendorCode};
use spend::money::{Currency, Money};
use spend::plan::{DocumentReference, InvoiceLine, JournalLine, PlannedDocument, PostingPlan};
use spend::posting::{Posting, PostingState};
use spend::reference::ReferenceData;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a plan is made of.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) source_id: String,
    pub(crate) revision: String,
    pub(crate) date: Date,
    pub(crate) company: String,
    /// Natural account, amount in cents.
    pub(crate) lines: Vec<(&'static str, i64)>,
    /// As an AP invoice to this vendor.
    pub(crate) vendor: Option<VendorCode>,
}

impl Draft {
    pub(crate) fn journal(id: &str) -> Self {
        Self {
            source_id: id.to_owned(),
            revision: "1".to_owned(),
            date: super::bench::today() - chrono::Days::new(3),
            company: "EPIC06".to_owned(),
            lines: vec![("6100", 12_550), ("6200", 4_005), ("6200", -1_000)],
            vendor: None,
        }
    }

    pub(crate) fn invoice(id: &str, vendor: &str) -> Self {
        Self { vendor: Some(VendorCode::from(vendor)), ..Self::journal(id) }
    }

    pub(crate) fn lines(mut self, lines: &[(&'static str, i64)]) -> Self {
        self.lines = lines.to_vec();
        self
    }

    pub(crate) fn revision(mut self, revision: &str) -> Self {
        self.revision = revision.to_owned();
        self
    }

    pub(crate) fn plan(&self, reference: &ReferenceData) -> PostingPlan {
        let flow = FlowId::from("conformance");
        let (source_id, revision) = (SourceId::new(&self.source_id), Revision::new(&self.revision));
        let usd = |cents| Money::new(cents, Currency::USD);
        let total = usd(self.lines.iter().map(|(_, cents)| cents).sum());
        let account = |natural: &str| GlAccount::from_segments(&[natural, "10", "200"]);
        let document = match &self.vendor {
            None => {
                let mut lines: Vec<JournalLine> = self
                    .lines
                    .iter()
                    .map(|(natural, cents)| JournalLine {
                        account: account(natural),
                        amount: usd(*cents),
                        description: format!("Natural account {natural}"),
                        project: None,
                        dimensions: BTreeMap::new(),
                    })
                    .collect();
                lines.push(JournalLine {
                    account: GlAccount::from_segments(&["2150", "00", "200"]),
                    amount: usd(-total.minor),
                    description: "Ann Lee, January trip".to_owned(),
                    project: None,
                    dimensions: BTreeMap::new(),
                });
                PlannedDocument::Journal { lines }
            }
            Some(code) => {
                let vendor = &reference.vendors[code];
                PlannedDocument::ApInvoice {
                    vendor: code.clone(),
                    vendor_number: vendor.number,
                    terms: vendor.terms.clone(),
                    debit_memo: total.minor < 0,
                    lines: self
                        .lines
                        .iter()
                        .map(|(natural, cents)| InvoiceLine {
                            account: account(natural),
                            amount: usd(*cents),
                            description: format!("Natural account {natural}"),
                            project: None,
                            dimensions: BTreeMap::new(),
                        })
                        .collect(),
                }
            }
        };
        let mut plan = PostingPlan {
            key: PostingKey::derive(&flow, &source_id, &revision),
            reference: DocumentReference::derive("EXP", &flow, &source_id, &revision),
            company: self.company.as_str().into(),
            currency: Currency::USD,
            date: self.date,
            description: "January trip, Ann Lee".to_owned(),
            total,
            document,
            hash: String::new(),
        };
        plan.hash = plan.compute_hash();
        plan
    }
}

/// Claims a plan as a flow does: durable intent in a store, here one of its own.
pub(crate) async fn claim(plan: &PostingPlan) -> Claimed {
    let home = tempfile::tempdir().unwrap();
    let options = Options { initial_map: 1 << 20, free_floor: 0, ..Options::default() };
    let keys = StoreKeys::from_data_key(&[7; 32]);
    let store = Store::open_with(home.path(), keys, Clock::manual(noon()), options).unwrap();
    let claims = store.claim(vec![posting(plan)], Batch::new()).await.unwrap();
    claims.into_iter().next().unwrap()
}

fn posting(plan: &PostingPlan) -> Posting {
    let (source_id, revision) = (SourceId::new("R1"), Revision::new("1"));
    let document = SpendDocument {
        source_id: source_id.clone(),
        revision: revision.clone(),
        kind: RecordKind::ExpenseReport,
        title: plan.description.clone(),
        owner: Owner { email: "ann@example.test".to_owned(), name: None, employee_number: None },
        workspace: "W1".to_owned(),
        status: "Approved".to_owned(),
        currency: plan.currency,
        submitted: None,
        approved: Some(plan.date),
        paid: None,
        declared_total: None,
        lines: Vec::new(),
        same_as: None,
        part_of: None,
    };
    Posting {
        key: plan.key.clone(),
        flow: FlowId::from("conformance"),
        source_id,
        revision,
        document: Arc::new(document),
        plan: Some(Arc::new(plan.clone())),
        total: plan.total,
        state: PostingState::Claimed { at: noon() },
        attempts: 1,
        failures: 0,
        counted: None,
        read_at: None,
        despite_mark: false,
        route: None,
        seen_at: noon(),
        updated_at: noon(),
    }
}
