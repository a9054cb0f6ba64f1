//! Acumatica on the bench: the list, and what is particular to it.

use super::bench::{Plug, Wire, noon, today};
use super::erp::{
    self, Booked, ErpFixture, Segment, assert_booked_once, drafts, erp_conformance, reference, settle,
};
use super::plans::{Draft, claim};
use async_trait::async_trait;
use purser::vendors::{ErpTarget, Verdict};
use sandbox::faults::{FaultAction, FaultMatch, FaultRule};
use sandbox::server::SimClock;
use sandbox::sim::acumatica::{
    AcumaticaKnobs, AcumaticaSim, CLIENT_GUID, CLIENT_SECRET, Duplicates, PASSWORD, Refresh, TENANT, USER,
};
use sandbox::world::World;
use serde_json::{Value, json};
use spend::Date;
use spend::finding::FindingCode;
use spend::ids::GlAccount;
use spend::plan::{PlannedDocument, Stage};
use spend::posting::{FailureClass, LookUp};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

/// A way in which a site and its connection can be set up.
pub(crate) trait Flavour: Send + Sync {
    fn knobs() -> AcumaticaKnobs {
        AcumaticaKnobs::default()
    }
    fn plug(plug: Plug) -> Plug {
        plug
    }
}

/// Everything by default.
pub(crate) struct Plain;

impl Flavour for Plain {}

/// A site on the bench.
pub(crate) struct Site<V = Plain> {
    world: World,
    wire: Wire,
    flavour: PhantomData<V>,
}

impl<V: Flavour> Site<V> {
    async fn with(knobs: AcumaticaKnobs) -> Self {
        let world = World::generate(7, 10, today());
        let sim = Box::new(AcumaticaSim::from_world(&world, knobs));
        let wire = Wire::serve(sim, SimClock::standing_at(noon()), None).await;
        Self { world, wire, flavour: PhantomData }
    }

    /// Names of the segments behind the natural account: what subaccounts are made of.
    fn parts(&self) -> Vec<&str> {
        let parts = self.world.segments.iter().skip(1).filter(|segment| !segment.dynamic);
        parts.map(|segment| segment.name.as_str()).collect()
    }

    fn plug(&self) -> Plug {
        let client = format!("{CLIENT_GUID}@{TENANT}");
        let secrets = [
            ("client_id", client.as_str()),
            ("client_secret", CLIENT_SECRET),
            ("user", USER),
            ("password", PASSWORD),
        ];
        let plug = Plug::new("acumatica", "/AcumaticaERP", &secrets)
            .set("endpoint", json!({ "version": "24.200.001" }))
            .set("subaccount_segments", json!(self.parts()));
        V::plug(plug)
    }

    fn connected(&self, plug: Plug) -> Arc<dyn ErpTarget> {
        plug.into(&self.wire).erp.expect("Acumatica is an ERP")
    }
}

#[async_trait]
impl<V: Flavour> ErpFixture for Site<V> {
    async fn start() -> Self {
        Self::with(V::knobs()).await
    }

    fn wire(&self) -> &Wire {
        &self.wire
    }

    fn world(&self) -> &World {
        &self.world
    }

    fn client(&self) -> Arc<dyn ErpTarget> {
        self.connected(self.plug())
    }

    fn stranger(&self) -> Arc<dyn ErpTarget> {
        self.connected(self.plug().secret("password", "not-the-password"))
    }

    fn secrets(&self) -> Vec<String> {
        let kept = self.wire.kept.0.lock().unwrap();
        let kept = kept.iter().filter(|(name, value)| !name.ends_with("_at") && !value.is_empty());
        let mut secrets = vec![PASSWORD.to_owned(), CLIENT_SECRET.to_owned()];
        secrets.extend(kept.map(|(_, value)| value.clone()));
        secrets
    }

    fn documents(&self) -> Vec<Booked> {
        let state = self.wire.sim.state();
        let companies = state["companies"].as_object().unwrap();
        companies.values().flat_map(|c| c["documents"].as_array().unwrap()).map(booked).collect()
    }

    fn close_period(&self, day: Date) {
        use chrono::Datelike as _;
        self.wire.control("close-period", json!({ "year": day.year(), "period": day.month() }));
    }

    fn deactivate_account(&self, account: &str) {
        let natural = account.split('|').next().unwrap();
        self.wire.control("edit-account", json!({ "id": natural, "set": { "Active": false } }));
    }

    fn deactivate_vendor(&self, vendor: &str) {
        self.wire.control("edit-vendor", json!({ "id": vendor, "set": { "Status": "Inactive" } }));
    }

    fn stop_payments(&self, vendor: &str) {
        self.wire.control("edit-vendor", json!({ "id": vendor, "set": { "Status": "Hold Payments" } }));
    }

    fn edit(&self, reference: &str, amount: &str) {
        self.wire.control("edit-document", json!({ "reference": reference, "amount": amount }));
    }

    fn release(&self, group: &str) {
        let number = group.rsplit('/').next().unwrap();
        let document = self.state_of(|document| document["number"] == number);
        let reference = document["reference"].as_str().unwrap().to_owned();
        if document["status"] == "On Hold" {
            self.wire.control("action", json!({ "reference": reference, "action": "ReleaseFromHold" }));
        }
        let action =
            if document["kind"] == "gl-journal" { "ReleaseJournalTransaction" } else { "ReleaseBill" };
        self.wire.control("action", json!({ "reference": reference, "action": action }));
    }

    /// Any account goes with any subaccount, so natural accounts are the chart.
    fn chart(&self) -> BTreeMap<String, bool> {
        let mut chart: BTreeMap<String, bool> = BTreeMap::new();
        for account in &self.world.accounts {
            *chart.entry(account.segments[0].clone()).or_default() |= account.active;
        }
        chart
    }

    fn segments(&self) -> Vec<Segment> {
        let names: BTreeMap<&str, &str> = self.world.segments[0]
            .values
            .iter()
            .map(|(code, name, _)| (code.as_str(), name.as_str()))
            .collect();
        let natural = self.chart().into_iter().map(|(code, active)| {
            let name = names.get(code.as_str()).map_or(String::new(), |name| (*name).to_owned());
            (code, name, active)
        });
        let mut all = vec![("Account".to_owned(), false, natural.collect())];
        for segment in self.world.segments.iter().skip(1).filter(|segment| !segment.dynamic) {
            let values = segment.values.iter().map(|(code, _, active)| (code.clone(), code.clone(), *active));
            let mut values: Vec<_> = values.collect();
            values.sort();
            all.push((segment.name.clone(), true, values));
        }
        all
    }

    fn non_projects(&self) -> &'static [&'static str] {
        &["X"]
    }

    fn half_writing(&self) -> (Arc<dyn ErpTarget>, FaultRule) {
        // One line a request: the second one never arrives.
        let puts = FaultMatch::default().method("PUT").nth(2);
        let halfway = self.connected(self.plug().set("lines_per_request", json!(1)));
        (halfway, FaultRule::once(puts, FaultAction::CutBeforeCommit))
    }

    fn least_calls(&self) -> u64 {
        5
    }

    /// Payments to a vendor may be stopped while bills are taken.
    fn refusal(&self, code: FindingCode) -> Option<FindingCode> {
        (code != FindingCode::VendorPayHold).then_some(code)
    }
}

impl<V: Flavour> Site<V> {
    pub(crate) fn state_of(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let state = self.wire.sim.state();
        let companies = state["companies"].as_object().unwrap().clone();
        let mut documents = companies.values().flat_map(|c| c["documents"].as_array().unwrap());
        documents.find(|document| wanted(document)).cloned().unwrap_or_default()
    }
}

fn booked(document: &Value) -> Booked {
    let cents = |text: &Value| {
        let text = text.as_str().unwrap();
        spend::money::Money::parse(text, spend::money::Currency::USD).unwrap().minor
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let lines = document["lines"].as_array().unwrap().iter();
    // A subaccount is written with dashes, an account of ours with bars.
    let account = |line: &Value| text(&line["account"]).replace('-', "|");
    let mut lines: Vec<(String, i64)> = lines.map(|l| (account(l), cents(&l["amount"]))).collect();
    lines.sort();
    Booked {
        reference: text(&document["reference"]),
        lines,
        in_ledger: document["posted"].as_bool().unwrap(),
    }
}

erp_conformance!(Site);

/// Posts a journal, an invoice, a debit adjustment and a long invoice; each must be there once and be read back.
async fn books_everything<V: Flavour>(site: &Site<V>, erp: &dyn ErpTarget, told: &str) {
    let data = reference(erp).await;
    let mut all: Vec<Draft> = drafts("R00k").to_vec();
    all.push(Draft::invoice("R00memo", "EMP1004").lines(&[("6100", -2_000), ("6200", 500)]));
    all.push(Draft::invoice("R00long", "EMP1004").lines(&[("6100", 100), ("6110", 200), ("6120", 300)]));
    let mut totals = Vec::new();
    for draft in all {
        let plan = draft.plan(&data);
        assert_eq!(erp.look_up(&plan).await, Ok(LookUp::Absent), "{told}");
        let receipt = erp.post(&claim(&plan).await, &LookUp::Absent).await;
        let receipt = receipt.unwrap_or_else(|failure| panic!("{told}: {failure:?}"));
        assert_booked_once(site, &plan);
        let found = erp.look_up(&plan).await.unwrap();
        assert!(matches!(found, LookUp::Complete { .. }), "{told}: {receipt:?} then {found:?}");
        totals.push((plan.reference.to_string(), plan.total));
    }
    let day = today() - chrono::Days::new(3);
    let back = erp.read_back("EXP-", day, day).await.unwrap();
    let mut read: Vec<_> = back.into_iter().map(|d| (d.reference, d.total)).collect();
    read.sort_by(|a, b| a.0.cmp(&b.0));
    totals.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(read, totals, "{told}");
}

/// Sheet items: Acumatica 1, Acumatica 8, Acumatica 15, Acumatica 16, Acumatica 18, Acumatica 19, Acumatica 20,
/// Acumatica 22
#[tokio::test]
async fn documents_are_the_same_however_the_site_is_set_up() {
    let usual = AcumaticaKnobs::default;
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let forms: Vec<(&str, AcumaticaKnobs)> = vec![
        ("older list of endpoints", AcumaticaKnobs { bare_entity_list: true, ..usual() }),
        ("west of Greenwich", AcumaticaKnobs { utc_offset_minutes: -300, ..usual() }),
        ("east of Greenwich", AcumaticaKnobs { utc_offset_minutes: 600, ..usual() }),
        ("padded numbers", AcumaticaKnobs { padded_decimals: true, ..usual() }),
        ("approval map", AcumaticaKnobs { approval_map: true, ..usual() }),
        ("totals not validated", AcumaticaKnobs { validate_totals: false, ..usual() }),
        ("duplicates as 422", AcumaticaKnobs { duplicates: Duplicates::Error422, ..usual() }),
        ("duplicates as 500", AcumaticaKnobs { duplicates: Duplicates::Error500, ..usual() }),
        (
            "false empty lists",
            AcumaticaKnobs { foreign_view: words(&["VendorRef", "Description"]), ..usual() },
        ),
        ("unstable order", AcumaticaKnobs { unstable_order: true, ..usual() }),
        (
            "not exportable",
            AcumaticaKnobs { unexportable: words(&["Vendor/MainContact", "Vendor/Terms"]), ..usual() },
        ),
        (
            "no projects",
            AcumaticaKnobs { forbidden: words(&["Project", "ProjectTask", "CostCode"]), ..usual() },
        ),
        ("no preferences", AcumaticaKnobs { not_set_up: words(&["Project", "Ledger"]), ..usual() }),
        ("no rotation", AcumaticaKnobs { rotate_refresh: false, ..usual() }),
    ];
    for (told, knobs) in forms {
        let site = Site::<Plain>::with(knobs).await;
        if told == "false empty lists" {
            site.wire.forgive("joins");
        }
        books_everything(&site, &*site.client(), told).await;
    }
}

/// The older sign-in by cookie.
pub(crate) struct Cookies;

impl Flavour for Cookies {
    fn plug(plug: Plug) -> Plug {
        plug.set("auth", json!({ "method": "cookie", "tenant": TENANT, "linger_seconds": 0 }))
    }
}

/// Sheet items: Acumatica 5, Acumatica 7
#[tokio::test]
async fn sessions_by_cookie_book_the_same_and_leave_no_seat_taken() {
    let site = Site::<Cookies>::with(AcumaticaKnobs { api_users: 1, ..AcumaticaKnobs::default() }).await;
    books_everything(&site, &*site.client(), "cookie").await;
    let open = site.wire.sim.journal().iter().filter(|call| call.path.ends_with("/auth/login")).count();
    let closed = site.wire.sim.journal().iter().filter(|call| call.path.ends_with("/auth/logout")).count();
    assert_eq!(open, closed);
    assert_eq!(site.wire.kept.0.lock().unwrap()["session"], "");
}

/// Sheet items: Acumatica 4, Acumatica 5
#[tokio::test]
async fn a_token_that_is_revoked_is_renewed_in_the_one_session() {
    let knobs = AcumaticaKnobs { api_users: 1, refresh: Refresh::Sliding, ..AcumaticaKnobs::default() };
    let site = Site::<Plain>::with(knobs).await;
    let erp = site.client();
    let data = reference(&*erp).await;
    for draft in drafts("R00revoked") {
        site.wire.control("revoke-tokens", json!({}));
        let plan = draft.plan(&data);
        settle(&*erp, &plan).await;
        assert_booked_once(&site, &plan);
    }
    let kept = site.wire.kept.0.lock().unwrap()["refresh_token"].clone();
    // As after a restart: the kept token goes on, no second seat is asked for.
    let again = site.connected(site.plug().secret("refresh_token", &kept));
    reference(&*again).await;
}

/// Documents are released.
pub(crate) struct Releasing;

impl Flavour for Releasing {
    fn plug(plug: Plug) -> Plug {
        plug.set("release", json!(true))
    }
}

/// Sheet item: Acumatica 14
#[tokio::test]
async fn released_documents_get_to_the_ledger_and_are_found_there() {
    for (asynchronous, dangling_location) in [(true, true), (false, true), (false, false)] {
        let knobs = AcumaticaKnobs { asynchronous, dangling_location, ..AcumaticaKnobs::default() };
        let site = Site::<Releasing>::with(knobs).await;
        let erp = site.client();
        let data = reference(&*erp).await;
        for draft in drafts("R00rel") {
            let plan = draft.plan(&data);
            let receipt = erp.post(&claim(&plan).await, &LookUp::Absent).await.unwrap();
            assert_eq!(receipt.stage, Stage::InLedger, "{receipt:?}");
            assert_booked_once(&site, &plan);
            assert_eq!(erp.look_up(&plan).await, Ok(LookUp::Complete { receipt }));
        }
    }
}

/// Sheet item: Acumatica 14
#[tokio::test]
async fn a_release_that_fails_is_shown_as_such_and_the_document_stays_for_a_person() {
    for failed_operation_status in [422, 500] {
        let knobs = AcumaticaKnobs { fail_releases: 2, failed_operation_status, ..AcumaticaKnobs::default() };
        let site = Site::<Releasing>::with(knobs).await;
        let erp = site.client();
        let data = reference(&*erp).await;
        for draft in drafts("R00fail") {
            let plan = draft.plan(&data);
            let receipt = erp.post(&claim(&plan).await, &LookUp::Absent).await.unwrap();
            assert_eq!(receipt.stage, Stage::Staged);
            assert!(receipt.document.contains("not released"), "{receipt:?}");
            assert_booked_once(&site, &plan);
            assert!(matches!(erp.look_up(&plan).await, Ok(LookUp::Complete { .. })));
        }
    }
}

/// Sheet items: Acumatica 10, Acumatica 24
#[tokio::test]
async fn a_bill_whose_answer_was_lost_and_that_is_written_again_stands_once_with_its_lines() {
    for duplicates in [Duplicates::Allowed, Duplicates::Error422, Duplicates::Error500] {
        let site = Site::<Plain>::with(AcumaticaKnobs { duplicates, ..AcumaticaKnobs::default() }).await;
        let erp = site.client();
        let data = reference(&*erp).await;
        let plan = drafts("R00lost")[1].plan(&data);
        let puts = FaultMatch::default().method("PUT");
        site.wire.fault(FaultRule::once(puts, FaultAction::CutAfterCommit));
        let failure = erp.post(&claim(&plan).await, &LookUp::Absent).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::InDoubt);
        settle(&*erp, &plan).await;
        assert_booked_once(&site, &plan);
    }
}

/// Sheet item: Acumatica 1
#[tokio::test]
async fn a_version_that_is_not_published_is_told_with_those_that_are() {
    let site = Site::<Plain>::start().await;
    let plug = || site.plug().set("endpoint", json!({ "version": "25.200.001" }));
    let failure = site.connected(plug()).reference_data(&"EPIC06".into()).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::NotSent);
    for published in ["version mismatch", "Default/24.200.001", "Default/23.200.001"] {
        assert!(failure.message.contains(published), "{failure}");
    }
    let results = plug().into(&site.wire).probe.probe().await;
    let version = results.iter().find(|result| result.check == "version").unwrap();
    assert_eq!(version.verdict, Verdict::Fail, "{results:#?}");
    let results = site.plug().into(&site.wire).probe.probe().await;
    assert!(results.iter().all(|r| r.verdict != Verdict::Fail), "{results:#?}");
}

/// Sheet items: Acumatica 13, Acumatica 15
#[tokio::test]
async fn a_lost_answer_at_any_call_of_a_document_in_parts_ends_in_one_document() {
    erp::a_lost_answer_at_any_call_ends_in_one_equal_document::<Site<Parts>>().await;
}

/// Long documents go out in parts.
pub(crate) struct Parts;

impl Flavour for Parts {
    fn plug(plug: Plug) -> Plug {
        plug.set("lines_per_request", json!(1))
    }
}

/// Sheet items: Acumatica 5, Acumatica 17, Acumatica 23
#[tokio::test]
async fn maintenance_declined_calls_and_taken_seats_are_waited_for_and_nothing_is_written() {
    let site = Site::<Plain>::start().await;
    let data = reference(&*site.client()).await;
    let plan = drafts("R00wait")[1].plan(&data);
    for knobs in [json!({ "maintenance": true }), json!({ "declines": 1000 }), json!({ "api_users": 0 })] {
        site.wire.knobs(knobs.clone());
        let failure = site.client().look_up(&plan).await.unwrap_err();
        let waits = matches!(failure.class, FailureClass::Throttled { .. } | FailureClass::Unavailable);
        assert!(waits, "{knobs}: {failure:?}");
        site.wire.knobs(json!({ "maintenance": false, "declines": 0, "api_users": 20 }));
    }
    assert_eq!(site.documents(), []);
}

/// Sheet items: Acumatica 15, Acumatica 20
#[tokio::test]
async fn a_site_without_subaccounts_is_read_and_its_documents_are_found_equal() {
    let knobs = AcumaticaKnobs { forbidden: vec!["Subaccount".to_owned()], ..AcumaticaKnobs::default() };
    let site = Site::<Plain>::with(knobs).await;
    let erp = site.client();
    let data = reference(&*erp).await;
    assert!(!data.accounts.is_empty());
    for (count, draft) in drafts("R00natural").into_iter().enumerate() {
        let mut plan = draft.plan(&data);
        let natural = |account: &mut GlAccount| *account = GlAccount::new(account.segments()[0]);
        match &mut plan.document {
            PlannedDocument::ApInvoice { lines, .. } => {
                lines.iter_mut().for_each(|l| natural(&mut l.account))
            }
            PlannedDocument::Journal { lines } => lines.iter_mut().for_each(|l| natural(&mut l.account)),
        }
        plan.hash = plan.compute_hash();
        assert_eq!(erp.look_up(&plan).await, Ok(LookUp::Absent));
        let receipt = erp.post(&claim(&plan).await, &LookUp::Absent).await.unwrap();
        assert_eq!(erp.look_up(&plan).await, Ok(LookUp::Complete { receipt }));
        assert_eq!(site.documents().len(), count + 1);
    }
    let probed = site.plug().into(&site.wire).probe.probe().await;
    assert!(probed.iter().all(|result| result.verdict != Verdict::Fail), "{probed:#?}");
}
