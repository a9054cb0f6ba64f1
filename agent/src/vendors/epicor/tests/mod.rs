//! Tests of the Kinetic client: builders of plans and connections, and one file per subject.

mod calls;
mod chains;
mod compare;
mod fake;
mod parsers;
mod reads;

use super::{Epicor, Settings};
use crate::clock::Clock;
use crate::secret::{Credential, Origin};
use crate::vendors::Claimed;
use crate::vendors::http::{Answer, Call, Transport};
use async_trait::async_trait;
use secrecy::SecretString;
use spend::ids::{FlowId, GlAccount, PostingKey, Revision, SourceId, VendorCode};
use spend::money::{Currency, Money};
use spend::plan::{DocumentReference, InvoiceLine, JournalLine, PlannedDocument, PostingPlan};
use spend::posting::Failure;
use std::collections::BTreeMap;
use std::sync::Arc;
use url::Url;

pub(super) fn now() -> spend::Timestamp {
    "2026-02-01T10:00:00Z".parse().unwrap()
}

pub(super) fn usd(text: &str) -> Money {
    Money::parse(text, Currency::USD).unwrap()
}

fn plan(total: Money, document: PlannedDocument) -> PostingPlan {
    let (flow, source, revision) = (FlowId::from("expenses"), SourceId::from("R00123"), Revision::from("r1"));
    let mut plan = PostingPlan {
        key: PostingKey::derive(&flow, &source, &revision),
        reference: DocumentReference::derive("EXP", &flow, &source, &revision),
        company: "EPIC06".into(),
        currency: total.currency,
        date: "2026-01-31".parse().unwrap(),
        description: "January travel".to_owned(),
        total,
        document,
        hash: String::new(),
    };
    plan.hash = plan.compute_hash();
    plan
}

/// Two expense lines and their offset.
pub(super) fn journal_plan() -> PostingPlan {
    let line = |account: &str, amount: &str, text: &str| JournalLine {
        account: GlAccount::from(account),
        amount: usd(amount),
        description: text.to_owned(),
        project: None,
        dimensions: BTreeMap::new(),
    };
    let lines = vec![
        line("6100|00|200", "125.50", "Travel"),
        line("6200|00|200", "-25.00", "Meals refund"),
        line("2100|00|000", "-100.50", "Accrued expenses"),
    ];
    plan(usd("100.50"), PlannedDocument::Journal { lines })
}

/// An invoice of two lines, one of them negative.
pub(super) fn invoice_plan() -> PostingPlan {
    let line = |account: &str, amount: &str, text: &str| InvoiceLine {
        account: GlAccount::from(account),
        amount: usd(amount),
        description: text.to_owned(),
        project: None,
        dimensions: BTreeMap::new(),
    };
    let lines = vec![line("6100|00|200", "125.50", "Travel"), line("6200|00|200", "-25.00", "Meals refund")];
    let document = PlannedDocument::ApInvoice {
        vendor: VendorCode::from("ACME"),
        vendor_number: 123,
        terms: Some("N30".to_owned()),
        debit_memo: false,
        lines,
    };
    plan(usd("100.50"), document)
}

pub(super) fn claimed(plan: &PostingPlan) -> Claimed {
    Claimed::for_test(plan.clone(), now())
}

pub(super) fn credential() -> Credential {
    let origins =
        ["https://erp.example.test", "https://login.example.test"].map(|o| Origin::parse(o).unwrap());
    let fields = [
        ("user", "XX_API_AP"),
        ("password", "s3cret-pass"),
        ("api_key", "key-0001"),
        ("client_id", "id-1"),
        ("client_secret", "cs-1"),
    ];
    let fields: BTreeMap<String, SecretString> =
        fields.iter().map(|(k, v)| ((*k).to_owned(), SecretString::from(*v))).collect();
    Credential::new("kinetic", fields, Arc::from(origins))
}

pub(super) fn base() -> Url {
    Url::parse("https://erp.example.test/ERP11").unwrap()
}

pub(super) fn settings() -> Settings {
    Settings { companies: vec!["EPIC06".into()], ..Settings::default() }
}

pub(super) fn epicor(transport: Arc<dyn Transport>, settings: Settings) -> Epicor {
    Epicor::new(transport, credential(), &base(), settings, Clock::manual(now()))
}

pub(super) fn answer(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    Answer { status, headers: BTreeMap::new(), body: body.into(), at: now() }
}

/// Answers each call by a function.
pub(super) struct By<F>(pub(super) F);

#[async_trait]
impl<F: Fn(&Call) -> Result<Answer, Failure> + Send + Sync> Transport for By<F> {
    async fn send(&self, call: Call) -> Result<Answer, Failure> {
        (self.0)(&call)
    }
}
