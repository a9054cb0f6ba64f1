//! Epicor Kinetic on the bench: the list, and what is particular to Kinetic.

use super::bench::{Plug, Wire, noon, today};
use super::erp::{
    self, Booked, ErpFixture, assert_booked_once, codes, drafts, erp_conformance, reference, settle,
};
use super::plans::{Draft, claim};
use async_trait::async_trait;
use purser::vendors::ErpTarget;
use sandbox::faults::{FaultAction, FaultMatch, FaultRule};
use sandbox::server::{SimClock, TestCa, TlsIdentity};
use sandbox::sim::epicor::{
    API_KEY, CLIENT_ID, CLIENT_SECRET, EpicorKnobs, EpicorSim, JournalAmounts, PASSWORD, Release,
    SCOPED_API_KEY, USER,
};
use sandbox::world::World;
use serde_json::{Value, json};
use spend::Date;
use spend::finding::FindingCode;
use spend::plan::{PostingPlan, Stage};
use spend::posting::{FailureClass, LookUp};
use std::marker::PhantomData;
use std::sync::Arc;

/// A way in which an instance and its connection can be set up.
pub(crate) trait Flavour: Send + Sync {
    fn knobs() -> EpicorKnobs {
        EpicorKnobs::default()
    }
    fn plug(plug: Plug) -> Plug {
        plug
    }
}

/// Everything by default.
pub(crate) struct Plain;

impl Flavour for Plain {}

/// Kinetic on the bench.
pub(crate) struct Kinetic<V = Plain> {
    world: World,
    wire: Wire,
    flavour: PhantomData<V>,
}

impl<V: Flavour> Kinetic<V> {
    async fn with(knobs: EpicorKnobs) -> Self {
        Self::served(knobs, SimClock::standing_at(noon()), None).await
    }

    async fn served(knobs: EpicorKnobs, clock: SimClock, tls: Option<TlsIdentity>) -> Self {
        let world = World::generate(7, 10, today());
        let sim = Box::new(EpicorSim::from_world(&world, knobs));
        Self { world, wire: Wire::serve(sim, clock, tls).await, flavour: PhantomData }
    }

    fn plug() -> Plug {
        let secrets = [("user", USER), ("password", PASSWORD), ("api_key", API_KEY)];
        V::plug(Plug::new("epicor", "/ERP11", &secrets).set("companies", json!(["EPIC06"])))
    }

    fn connected(&self, plug: Plug) -> Arc<dyn ErpTarget> {
        plug.into(&self.wire).erp.expect("Kinetic is an ERP")
    }
}

#[async_trait]
impl<V: Flavour> ErpFixture for Kinetic<V> {
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
        self.connected(Self::plug())
    }

    fn stranger(&self) -> Arc<dyn ErpTarget> {
        self.connected(Self::plug().secret("password", "not-the-password"))
    }

    fn secrets(&self) -> Vec<String> {
        vec![PASSWORD.to_owned(), API_KEY.to_owned()]
    }

    fn documents(&self) -> Vec<Booked> {
        let state = self.wire.sim.state();
        let companies = state["companies"].as_object().unwrap();
        let documents = companies.values().flat_map(|c| c["documents"].as_array().unwrap());
        documents.map(booked).collect()
    }

    fn close_period(&self, day: Date) {
        use chrono::Datelike as _;
        self.wire.control("close-period", json!({ "year": day.year(), "period": day.month() }));
    }

    fn deactivate_account(&self, account: &str) {
        self.wire.control("edit-account", json!({ "id": account, "set": { "Active": false } }));
    }

    fn deactivate_vendor(&self, vendor: &str) {
        self.wire.control("edit-vendor", json!({ "id": vendor, "set": { "Inactive": true } }));
    }

    fn stop_payments(&self, vendor: &str) {
        self.wire.control("edit-vendor", json!({ "id": vendor, "set": { "PayHold": true } }));
    }

    fn edit(&self, reference: &str, amount: &str) {
        self.wire.control("edit-document", json!({ "reference": reference, "amount": amount }));
    }

    fn release(&self, group: &str) {
        self.wire.control("post-group", json!({ "id": group }));
    }
}

fn booked(document: &Value) -> Booked {
    let cents = |text: &Value| {
        let text = text.as_str().unwrap();
        spend::money::Money::parse(text, spend::money::Currency::USD).unwrap().minor
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let lines = document["lines"].as_array().unwrap().iter();
    let mut lines: Vec<(String, i64)> = lines.map(|l| (text(&l["account"]), cents(&l["amount"]))).collect();
    lines.sort();
    Booked {
        reference: text(&document["reference"]),
        lines,
        in_ledger: document["posted"].as_bool().unwrap(),
    }
}

erp_conformance!(Kinetic);

/// Posts a journal, an invoice, a debit memo and a long invoice; each must be there once and be read back.
async fn books_everything<V: Flavour>(kinetic: &Kinetic<V>, erp: &dyn ErpTarget, told: &str) {
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
        assert_booked_once(kinetic, &plan);
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

/// Sheet item: Epicor 3, Epicor 5, Epicor 9, Epicor 11, Epicor 12, Epicor 18, Epicor 25
#[tokio::test]
async fn documents_are_the_same_however_the_instance_is_set_up() {
    let usual = EpicorKnobs::default;
    let forms: Vec<(&str, EpicorKnobs)> = vec![
        ("older release", EpicorKnobs { release: Release::R2021, ..usual() }),
        ("small pages", EpicorKnobs { page_cap: 7, default_page: 7, ..usual() }),
        ("linked pages", EpicorKnobs { page_cap: 40, next_link: true, ..usual() }),
        ("XML errors", EpicorKnobs { xml_errors: true, ..usual() }),
        ("POST only", EpicorKnobs { get_for_reads: false, ..usual() }),
        ("duplicates as 400", EpicorKnobs { duplicate_status: 400, ..usual() }),
        ("no account rows", EpicorKnobs { account_rows: false, ..usual() }),
        ("wide rows", EpicorKnobs { width: 533, ..usual() }),
        ("no periods", EpicorKnobs { fiscal_periods: false, ..usual() }),
        ("no filter by version", EpicorKnobs { sysrevid_filter: false, ..usual() }),
    ];
    for (told, knobs) in forms {
        let kinetic = Kinetic::<Plain>::with(knobs).await;
        books_everything(&kinetic, &*kinetic.client(), told).await;
    }
}

/// Sheet 9: which amount columns of a journal line count is a capability of the instance.
#[tokio::test]
async fn journals_are_booked_whichever_amount_columns_count() {
    for (knob, setting) in [
        (JournalAmounts::Tot, "tot-debit-credit"),
        (JournalAmounts::Tot, "both"),
        (JournalAmounts::Debit, "debit-credit"),
    ] {
        let kinetic =
            Kinetic::<Plain>::with(EpicorKnobs { journal_amounts: knob, ..EpicorKnobs::default() }).await;
        let plug = Kinetic::<Plain>::plug().set("journal_amounts", json!(setting));
        books_everything(&kinetic, &*kinetic.connected(plug), setting).await;
    }
}

/// A wrong choice of columns is never taken for a posting: what was written is a conflict for a person.
#[tokio::test]
async fn amounts_that_do_not_arrive_are_noticed() {
    let knobs = EpicorKnobs { journal_amounts: JournalAmounts::Debit, ..EpicorKnobs::default() };
    let kinetic = Kinetic::<Plain>::with(knobs).await;
    let erp = kinetic.client();
    let plan = Draft::journal("R00amounts").plan(&reference(&*erp).await);
    let failure = erp.post(&claim(&plan).await, &LookUp::Absent).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::InDoubt, "{failure}");
    let found = erp.look_up(&plan).await.unwrap();
    let LookUp::Different { differs, .. } = &found else { panic!("{found:?}") };
    assert!(differs.contains("`journal_amounts`"), "{differs}");
}

#[tokio::test]
async fn sites_without_descriptions_are_served_by_the_documented_names() {
    let kinetic = Kinetic::<Plain>::start().await;
    let plug = Kinetic::<Plain>::plug().set("discover", json!(false));
    books_everything(&kinetic, &*kinetic.connected(plug), "not discovered").await;
    let knobs = EpicorKnobs { release: Release::R2021, ..EpicorKnobs::default() };
    let old = Kinetic::<Plain>::with(knobs).await;
    let plug = Kinetic::<Plain>::plug().set("discover", json!(false)).set(
        "methods",
        json!({
            "ap.vendor_change": { "parameters": ["ProposedVendorID", "ds"] },
            "ap.date_change": { "parameters": ["ProposedInvoiceDate", "recalcAmts", "cMessageText", "ds"] },
        }),
    );
    books_everything(&old, &*old.connected(plug), "older names by settings").await;
}

/// Bearer tokens from the site's own service.
pub(crate) struct Tokens;

impl Flavour for Tokens {
    fn plug(plug: Plug) -> Plug {
        plug.set("auth", json!({ "method": "token" }))
    }
}

/// Sheet item: Epicor 4
#[tokio::test]
async fn tokens_of_either_service_authorise() {
    let knobs = || EpicorKnobs { basic: false, ..EpicorKnobs::default() };
    let kinetic = Kinetic::<Tokens>::with(knobs()).await;
    books_everything(&kinetic, &*kinetic.client(), "token").await;
    let logins = kinetic.wire.sim.journal().iter().filter(|c| c.path.contains("TokenResource")).count();
    assert_eq!(logins, 1);

    let kinetic = Kinetic::<Plain>::with(knobs()).await;
    let token_url = format!("{}/connect/token", kinetic.wire.sim.url());
    let plug = Kinetic::<Plain>::plug()
        .secret("client_id", CLIENT_ID)
        .secret("client_secret", CLIENT_SECRET)
        .set("auth", json!({ "method": "oauth2", "token_url": token_url }));
    books_everything(&kinetic, &*kinetic.connected(plug), "oauth2").await;
}

/// Sheet item: Epicor 4
#[tokio::test]
async fn a_token_that_is_revoked_at_any_call_is_replaced_once() {
    let kinetic = Kinetic::<Tokens>::start().await;
    let erp = kinetic.client();
    let data = reference(&*erp).await;
    for which in 0..2 {
        for nth in 1.. {
            let plan = drafts(&format!("R00tok{which}n{nth}"))[which].plan(&data);
            let (before, logins) = (kinetic.wire.faulted(), logins(&kinetic));
            kinetic.wire.fail_nth(nth, FaultAction::UnauthorizedUntilRelogin);
            assert_eq!(erp.look_up(&plan).await, Ok(LookUp::Absent));
            erp.post(&claim(&plan).await, &LookUp::Absent).await.unwrap();
            let hit = kinetic.wire.faulted() - before;
            kinetic.wire.sim.clear_faults();
            assert_booked_once(&kinetic, &plan);
            assert_eq!(self::logins(&kinetic) - logins, hit);
            if hit == 0 {
                break;
            }
        }
    }
    // Revoked by an administrator, between two calls.
    kinetic.wire.control("revoke-tokens", json!({}));
    let plan = Draft::journal("R00revoked").plan(&data);
    settle(&*erp, &plan).await;
    assert_booked_once(&kinetic, &plan);
}

fn logins<V: Flavour>(kinetic: &Kinetic<V>) -> usize {
    kinetic.wire.sim.journal().iter().filter(|call| call.path.contains("TokenResource")).count()
}

#[tokio::test]
async fn a_refused_login_is_not_repeated_at_once() {
    let kinetic = Kinetic::<Tokens>::start().await;
    let erp = kinetic.stranger();
    for _ in 0..3 {
        let failure = erp.reference_data(&"EPIC06".into()).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Unauthorised, "{failure}");
    }
    assert_eq!(logins(&kinetic), 1, "repeated logins lock accounts");
}

/// Documents are handed to the posting process.
pub(crate) struct Submitting;

impl Flavour for Submitting {
    fn plug(plug: Plug) -> Plug {
        plug.set("submit", json!(true))
    }
}

/// Sheet item: Epicor 24
#[tokio::test]
async fn submitted_documents_get_to_the_ledger_and_are_found_there() {
    let kinetic = Kinetic::<Submitting>::start().await;
    let erp = kinetic.client();
    let data = reference(&*erp).await;
    let mut plans = Vec::new();
    for draft in drafts("R00sub") {
        let plan = draft.plan(&data);
        let receipt = erp.post(&claim(&plan).await, &LookUp::Absent).await.unwrap();
        assert_eq!(receipt.stage, Stage::Submitted);
        plans.push(plan);
    }
    kinetic.wire.control("run-posts", json!({}));
    for plan in &plans {
        assert_booked_once(&kinetic, plan);
        let found = erp.look_up(plan).await.unwrap();
        let LookUp::Complete { receipt } = found else { panic!("{found:?}") };
        assert_eq!(receipt.stage, Stage::InLedger);
    }
    let day = plans[0].date;
    let total: i64 = erp.read_back("EXP-", day, day).await.unwrap().iter().map(|d| d.total.minor).sum();
    assert_eq!(total, plans.iter().map(|plan| plan.total.minor).sum::<i64>());
}

/// Sheet item: Epicor 20, Epicor 24
#[tokio::test]
async fn a_lost_answer_at_any_call_of_a_submitted_posting_ends_in_one_document() {
    erp::a_lost_answer_at_any_call_ends_in_one_equal_document::<Kinetic<Submitting>>().await;
}

/// Sheet item: Epicor 10
#[tokio::test]
async fn a_locked_group_is_waited_for_and_an_own_lock_is_taken_off() {
    let kinetic = Kinetic::<Plain>::start().await;
    let erp = kinetic.client();
    let data = reference(&*erp).await;
    for (index, draft) in drafts("R00lock").into_iter().enumerate() {
        let first = draft.plan(&data);
        let group = settle(&*erp, &first).await.group.unwrap();
        kinetic.wire.control("lock-group", json!({ "id": group, "user": "FINANCE" }));
        let second = drafts("R00lock2")[index].plan(&data);
        let failure = erp.post(&claim(&second).await, &LookUp::Absent).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::NotSent, "{failure}");
        assert!(failure.message.contains("FINANCE"), "{failure}");
        assert_eq!(erp.look_up(&second).await, Ok(LookUp::Absent));
        // A lock of ours, left over from a call that was cut.
        kinetic.wire.control("lock-group", json!({ "id": group, "user": USER }));
        let ours = kinetic.connected(Kinetic::<Plain>::plug().set("user_id", json!(USER)));
        settle(&*ours, &second).await;
        assert_booked_once(&kinetic, &second);
    }
}

/// Sheet item: Epicor 14
#[tokio::test]
async fn a_save_that_asks_a_question_is_no_save_and_leaves_nothing_behind() {
    for prompts in 1..=4 {
        let kinetic = Kinetic::<Plain>::start().await;
        let erp = kinetic.client();
        let plan = drafts("R00ask")[1].plan(&reference(&*erp).await);
        kinetic.wire.knobs(json!({ "prompts": prompts }));
        let failure = erp.post(&claim(&plan).await, &LookUp::Absent).await.unwrap_err();
        assert_eq!(codes(&failure), [FindingCode::ErpRefused], "{failure:?}");
        assert_eq!(kinetic.documents(), []);
        kinetic.wire.knobs(json!({ "prompts": 0 }));
        settle(&*erp, &plan).await;
        assert_booked_once(&kinetic, &plan);
    }
}

/// Sheet item: Epicor 21
#[tokio::test]
async fn a_seat_that_is_not_free_at_any_call_costs_no_document_and_doubles_none() {
    for status in [500, 400] {
        let kinetic = Kinetic::<Plain>::start().await;
        kinetic.wire.knobs(json!({ "seat_status": status }));
        let erp = kinetic.client();
        let data = reference(&*erp).await;
        for which in 0..2 {
            for after in (0..24).step_by(4) {
                let plan = drafts(&format!("R00seat{which}n{after}"))[which].plan(&data);
                let found = erp.look_up(&plan).await.unwrap();
                let calls = kinetic.wire.calls();
                let posting = async {
                    let claim = claim(&plan).await;
                    erp.post(&claim, &found).await
                };
                let trouble = async {
                    while kinetic.wire.calls() < calls + after {
                        tokio::task::yield_now().await;
                    }
                    kinetic.wire.knobs(json!({ "no_seats": 1 }));
                    std::future::pending::<()>().await;
                };
                let answer = tokio::select! { answer = posting => answer, () = trouble => unreachable!() };
                kinetic.wire.knobs(json!({ "no_seats": 0 }));
                if answer.is_err() {
                    settle(&*erp, &plan).await;
                }
                assert_booked_once(&kinetic, &plan);
            }
        }
    }
}

/// Sheet item: Epicor 19
#[tokio::test]
async fn maintenance_is_waited_for() {
    let kinetic = Kinetic::<Plain>::start().await;
    let plan = Draft::journal("R00maint").plan(&reference(&*kinetic.client()).await);
    kinetic.wire.knobs(json!({ "maintenance": true }));
    let failure = kinetic.client().look_up(&plan).await.unwrap_err();
    assert!(matches!(failure.class, FailureClass::Throttled { .. }), "{failure:?}");
    kinetic.wire.knobs(json!({ "maintenance": false }));
    let window = FaultAction::Maintenance { seconds: 600 };
    kinetic.wire.fault(FaultRule::once(FaultMatch::path("/GetNewGlJrnHedTran"), window));
    let failure = kinetic.client().post(&claim(&plan).await, &LookUp::Absent).await.unwrap_err();
    let waits = matches!(failure.class, FailureClass::Throttled { .. } | FailureClass::NotSent);
    assert!(waits, "{failure:?}");
    kinetic.wire.sim.advance_clock(chrono::TimeDelta::seconds(601));
    settle(&*kinetic.client(), &plan).await;
    assert_booked_once(&kinetic, &plan);
}

/// Sheet item: Epicor 1, Epicor 2
#[tokio::test]
async fn companies_and_keys_are_told_apart() {
    let kinetic = Kinetic::<Plain>::start().await;
    let data = reference(&*kinetic.client()).await;
    let mut plan: PostingPlan = Draft::journal("R00company").plan(&data);
    settle(&*kinetic.client(), &plan).await;
    plan.company = "EPIC07".into();
    plan.hash = plan.compute_hash();
    assert_eq!(kinetic.client().look_up(&plan).await, Ok(LookUp::Absent), "another company's books");
    for status in [403, 404, 400] {
        kinetic.wire.knobs(json!({ "unknown_company_status": status }));
        plan.company = "EPIC99".into();
        let erp = kinetic.client();
        let failure = erp.post(&claim(&plan).await, &LookUp::Absent).await.unwrap_err();
        let known = matches!(failure.class, FailureClass::Unauthorised | FailureClass::Rejected { .. });
        assert!(known, "{status}: {failure:?}");
        assert!(erp.look_up(&plan).await.is_err());
    }
    for key in ["another-environment", SCOPED_API_KEY] {
        let erp = kinetic.connected(Kinetic::<Plain>::plug().secret("api_key", key));
        let failure = erp.reference_data(&"EPIC06".into()).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Unauthorised, "{key}: {failure}");
    }
    assert_eq!(kinetic.documents().len(), 1);
}

#[tokio::test]
async fn tls_is_trusted_through_the_extra_authority_only() {
    let (ca, home) = (TestCa::new().unwrap(), tempfile::tempdir().unwrap());
    let file = home.path().join("ca.pem");
    std::fs::write(&file, &ca.pem).unwrap();
    let plug = |trusts: bool| {
        let mut plug = Kinetic::<Plain>::plug();
        plug.extra_ca = trusts.then(|| file.clone());
        plug
    };
    let served = async |identity| {
        let clock = SimClock::standing_at(noon());
        Kinetic::<Plain>::served(EpicorKnobs::default(), clock, Some(identity)).await
    };
    let good = served(ca.issue(&["127.0.0.1"]).unwrap()).await;
    books_everything(&good, &*good.connected(plug(true)), "TLS").await;
    let bad = [
        (served(ca.issue(&["127.0.0.1"]).unwrap()).await, false),
        (served(ca.issue(&["erp.example.test"]).unwrap()).await, true),
        (served(ca.issue_expired(&["127.0.0.1"]).unwrap()).await, true),
        (served(TlsIdentity::self_signed(&["127.0.0.1"]).unwrap()).await, true),
    ];
    for (kinetic, trusts) in bad {
        let erp = kinetic.connected(plug(trusts));
        let failure = erp.reference_data(&"EPIC06".into()).await.unwrap_err();
        assert!(matches!(failure.class, FailureClass::NotSent | FailureClass::Unavailable), "{failure:?}");
        assert_eq!(kinetic.wire.calls(), 0, "nothing is told to a server that is not trusted");
    }
}

/// Sheet item: Epicor 11, Epicor 23
#[tokio::test]
async fn a_number_that_somebody_else_used_is_a_conflict() {
    let kinetic = Kinetic::<Plain>::start().await;
    let erp = kinetic.client();
    let data = reference(&*erp).await;
    let plan = Draft::invoice("R00/with#odd%signs?", "EMP1005").plan(&data);
    settle(&*erp, &plan).await;
    assert_booked_once(&kinetic, &plan);
    let other = Draft::invoice("R00/with#odd%signs?", "EMP1006").plan(&data);
    let found = erp.look_up(&other).await.unwrap();
    assert!(matches!(found, LookUp::Different { .. }), "the same number of another vendor: {found:?}");
}
