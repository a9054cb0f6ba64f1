//! Tests of the Acumatica client: builders of plans and connections, and one file per subject.

mod contract;
mod fake;
mod licence;
mod lookup;
mod pace;
mod parsers;
mod posting;
mod push;
mod reads;
mod release;
mod sessions;
mod signin;
mod throttle;

use super::{Acumatica, Settings};
use crate::clock::Clock;
use crate::secret::{Credential, Origin, SecretText};
use crate::vendors::http::{Answer, Transport};
use crate::vendors::sites::Sites;
use crate::vendors::{Claimed, CredentialKeeper, KeepError};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use spend::ids::{FlowId, GlAccount, PostingKey, Revision, SourceId, VendorCode};
use spend::money::{Currency, Money};
use spend::plan::{DocumentReference, InvoiceLine, JournalLine, PlannedDocument, PostingPlan};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use url::Url;

pub(super) fn now() -> spend::Timestamp {
    "2026-02-01T10:00:00Z".parse().unwrap()
}

pub(super) fn usd(text: &str) -> Money {
    Money::parse(text, Currency::USD).unwrap()
}

pub(super) fn plan_of(id: &str, revision: &str, total: &str, document: PlannedDocument) -> PostingPlan {
    let (flow, source, revision) = (FlowId::from("expenses"), SourceId::from(id), Revision::from(revision));
    let mut plan = PostingPlan {
        key: PostingKey::derive(&flow, &source, &revision),
        reference: DocumentReference::derive("EXP", &flow, &source, &revision),
        company: "MYCO".into(),
        currency: Currency::USD,
        date: "2026-01-31".parse().unwrap(),
        description: "January travel".to_owned(),
        total: usd(total),
        document,
        hash: String::new(),
    };
    plan.hash = plan.compute_hash();
    plan
}

pub(super) fn journal_line(account: &str, amount: &str) -> JournalLine {
    JournalLine {
        account: GlAccount::from(account),
        amount: usd(amount),
        description: "Travel".to_owned(),
        project: None,
        dimensions: BTreeMap::new(),
    }
}

pub(super) fn invoice_line(account: &str, amount: &str) -> InvoiceLine {
    InvoiceLine {
        account: GlAccount::from(account),
        amount: usd(amount),
        description: "Travel".to_owned(),
        project: None,
        dimensions: BTreeMap::new(),
    }
}

/// Two expense lines and their offset.
pub(super) fn journal_plan() -> PostingPlan {
    let lines = vec![
        journal_line("61000|000-HQ", "125.50"),
        journal_line("62000|000-HQ", "-25.00"),
        journal_line("21500|000-00", "-100.50"),
    ];
    plan_of("R00123", "r1", "100.50", PlannedDocument::Journal { lines })
}

pub(super) fn invoice(lines: &[(&str, &str)]) -> PlannedDocument {
    let lines: Vec<InvoiceLine> =
        lines.iter().map(|(account, amount)| invoice_line(account, amount)).collect();
    let total: i64 = lines.iter().map(|line| line.amount.minor).sum();
    PlannedDocument::ApInvoice {
        vendor: VendorCode::from("V000123"),
        vendor_number: 0,
        terms: Some("30D".to_owned()),
        debit_memo: total < 0,
        lines,
    }
}

/// An invoice of two lines, one of them negative.
pub(super) fn invoice_plan() -> PostingPlan {
    let document = invoice(&[("61000|000-HQ", "125.50"), ("62000|000-HQ", "-25.00")]);
    plan_of("R00123", "r1", "100.50", document)
}

/// A debit adjustment.
pub(super) fn memo_plan() -> PostingPlan {
    plan_of("R00124", "r1", "-20.00", invoice(&[("61000|000-HQ", "-30.00"), ("62000|000-HQ", "10.00")]))
}

pub(super) fn claimed(plan: &PostingPlan) -> Claimed {
    Claimed::for_test(plan.clone(), now())
}

/// The secret of a connection, with `more` on top.
pub(super) fn credential(more: &[(&str, &str)]) -> Credential {
    let origins = ["https://erp.example.test"].map(|o| Origin::parse(o).unwrap());
    let usual = [
        ("user", "api_ap"),
        ("password", "s3cret-pass"),
        ("client_id", "8E07@MYCO"),
        ("client_secret", "cs-1"),
    ];
    let fields: BTreeMap<String, SecretString> =
        usual.iter().chain(more).map(|(k, v)| ((*k).to_owned(), SecretString::from(*v))).collect();
    Credential::new("acumatica", fields, Arc::from(origins))
}

pub(super) fn base() -> Url {
    Url::parse("https://erp.example.test/AcumaticaERP").unwrap()
}

pub(super) fn settings(more: Value) -> Settings {
    let Value::Object(map) = more else { panic!() };
    Settings::from_json(&map).unwrap()
}

/// What was given to be kept, in order.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) all: Mutex<Vec<(String, String)>>,
    pub(super) broken: Mutex<bool>,
}

impl Kept {
    pub(super) fn of(&self, field: &str) -> Vec<String> {
        let all = self.all.lock().unwrap();
        all.iter().filter(|(name, _)| name == field).map(|(_, value)| value.clone()).collect()
    }
}

impl CredentialKeeper for Kept {
    fn keep(&self, fields: &[(&str, SecretText)]) -> Result<(), KeepError> {
        if *self.broken.lock().unwrap() {
            return Err(KeepError { why: "the disk is full".to_owned() });
        }
        let spelled = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.expose().expose_secret().to_owned()));
        self.all.lock().unwrap().extend(spelled);
        Ok(())
    }
}

pub(super) fn connect(transport: Arc<dyn Transport>, more: Value) -> Acumatica {
    connect_with(transport, more, &[], Arc::default(), Clock::manual(now()))
}

pub(super) fn connect_with(
    transport: Arc<dyn Transport>,
    more: Value,
    secrets: &[(&str, &str)],
    kept: Arc<Kept>,
    clock: Clock,
) -> Acumatica {
    Acumatica::new(transport, credential(secrets), kept, &base(), settings(more), clock, &Sites::default())
}

pub(super) fn answer(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    Answer { status, headers: BTreeMap::new(), body: body.into(), at: now() }
}

/// A general error body.
pub(super) fn exception(status: u16, kind: &str, message: &str) -> Answer {
    let body =
        json!({ "message": "An error has occurred.", "exceptionMessage": message, "exceptionType": kind });
    answer(status, body.to_string())
}
