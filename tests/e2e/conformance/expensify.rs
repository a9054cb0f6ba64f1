//! Expensify on the bench: the list, and what is particular to the Integration Server.

use super::bench::{Plug, Wire, noon, today};
use super::source::{Known, SourceFixture, assert_holds, exported, ready, source_conformance};
use async_trait::async_trait;
use purser::vendors::{SourcePage, SourceWindow, SpendSource};
use sandbox::server::SimClock;
use sandbox::sim::expensify::{
    CredentialForm, ExpensifyKnobs, ExpensifySim, LimitOrder, NoMatch, NotReady, RateForm,
};
use sandbox::world::{World, WorldOptions, WorldReport};
use serde_json::json;
use spend::ids::SourceId;
use spend::posting::FailureClass;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub(crate) const USER: &str = "aa_bench_example_test";
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef01234567";

/// States that are read.
const READY: [&str; 2] = ["APPROVED", "REIMBURSED"];

/// What a report is to the list.
fn known<'w>(reports: impl IntoIterator<Item = &'w WorldReport>) -> Vec<Known> {
    let one = |report: &WorldReport| {
        let approved = report.approved.expect("an approved report has a day of approval");
        Known {
            id: report.id.clone(),
            currency: report.currency.clone(),
            total: report.total(),
            approved,
            changed: approved,
            done: false,
        }
    };
    reports.into_iter().map(one).collect()
}

/// The Integration Server as it is by default, without its rate limit.
pub(crate) struct Server {
    pub(crate) world: World,
    wire: Wire,
}

pub(crate) fn knobs() -> ExpensifyKnobs {
    ExpensifyKnobs {
        partner_user_id: USER.to_owned(),
        partner_user_secret: SECRET.to_owned(),
        rate_limits: Vec::new(),
        ..ExpensifyKnobs::default()
    }
}

impl Server {
    pub(crate) async fn with(knobs: ExpensifyKnobs) -> Self {
        Self::of(World::generate(7, 60, today()), knobs, SimClock::standing_at(noon())).await
    }

    async fn of(world: World, knobs: ExpensifyKnobs, clock: SimClock) -> Self {
        let wire = Wire::serve(Box::new(ExpensifySim::from_world(&world, knobs)), clock, None).await;
        Self { world, wire }
    }

    pub(crate) fn plug() -> Plug {
        Plug::new("expensify", "", &[("partner_user_id", USER), ("partner_user_secret", SECRET)])
            .set("first_wait", json!(0))
            .set("wait_step", json!(1))
            .set("wait_max", json!(1))
            .set("give_up", json!(10))
            .set("blank_after", json!(2))
    }

    fn connected(&self, plug: Plug) -> Arc<dyn SpendSource> {
        plug.into(&self.wire).source.expect("Expensify is a source")
    }

    fn label(&self, label: &str) -> BTreeSet<String> {
        let labels = self.wire.control("labels", json!({}));
        let ids = labels[label].as_array().cloned().unwrap_or_default();
        ids.iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    }

    async fn assert_reads_all(&self) {
        let page = self.client().read(&ready(1000)).await.unwrap();
        assert_holds(&page, &known(self.world.reports_in(&READY)));
    }
}

#[async_trait]
impl SourceFixture for Server {
    async fn start() -> Self {
        Self::with(knobs()).await
    }

    fn wire(&self) -> &Wire {
        &self.wire
    }

    fn records(&self) -> Vec<Known> {
        known(self.world.reports_in(&READY))
    }

    fn check_details(&self, page: &SourcePage) {
        for state in READY {
            assert!(self.world.reports_in(&[state]).next().is_some(), "the world must hold {state} records");
        }
        let world: BTreeMap<&str, &WorldReport> =
            self.world.reports.iter().map(|report| (report.id.as_str(), report)).collect();
        for document in &page.documents {
            let report = world[document.source_id.as_str()];
            assert_eq!(document.owner.email, report.employee);
            assert_eq!(
                (document.title.as_str(), document.lines.len()),
                (report.name.trim(), report.expenses.len())
            );
            for (line, expense) in document.lines.iter().zip(&report.expenses) {
                assert_eq!(
                    (line.id.as_str(), line.amount.minor),
                    (expense.id.as_str(), expense.effective_amount())
                );
                assert_eq!((line.date, line.reimbursable), (Some(expense.date), expense.reimbursable));
                assert_eq!(line.category.as_deref().unwrap_or_default(), expense.category);
                let merchant = expense.modified_merchant.as_ref().unwrap_or(&expense.merchant);
                assert_eq!(line.merchant, merchant.trim());
                let foreign = expense.currency != report.currency;
                assert_eq!(line.original.map(|m| m.minor), foreign.then_some(expense.amount));
                if !foreign {
                    assert_eq!(line.tax.map(|m| m.minor), expense.tax);
                }
                let departments: Vec<_> =
                    line.tags.iter().filter(|t| t.level == 1).filter_map(|t| t.code.as_deref()).collect();
                let department = Some(expense.department.as_str()).filter(|code| !code.is_empty());
                assert_eq!(departments, department.into_iter().collect::<Vec<_>>());
            }
        }
    }

    fn client(&self) -> Arc<dyn SpendSource> {
        self.connected(Self::plug())
    }

    fn stranger(&self) -> Arc<dyn SpendSource> {
        self.connected(Self::plug().secret("partner_user_secret", "not-the-secret"))
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned(), USER.to_owned()]
    }

    fn marked(&self) -> BTreeSet<String> {
        self.label("purser")
    }

    fn mark_actions(&self) -> u64 {
        let state = self.wire.sim.state();
        state["mark_actions"].as_object().unwrap().values().filter_map(serde_json::Value::as_u64).sum()
    }

    fn edit(&self, id: &str, cents: i64) {
        self.wire.control("edit", json!({ "report": id, "amount": cents }));
    }

    fn touch(&self, id: &str) {
        self.wire.control("reimburse", json!({ "id": id }));
    }

    fn approve_another(&self) -> Known {
        let late = self.world.reports_in(&["SUBMITTED"]).next().expect("a submitted report");
        self.wire.control("approve", json!({ "id": late.id, "date": today().to_string() }));
        let late = WorldReport { approved: Some(today()), ..late.clone() };
        known([&late]).remove(0)
    }

    fn add_unreadable(&self) -> String {
        let mut report = self.world.reports_in(&["APPROVED"]).next().unwrap().clone();
        report.id = "R00unreadabl".to_owned();
        report.currency = "no currency".to_owned();
        self.wire.control("add-report", serde_json::to_value(&report).unwrap());
        report.id
    }
}

source_conformance!(Server);

/// Sheet item: Expensify 4
#[tokio::test]
async fn too_many_calls_is_understood_in_every_form() {
    for rate_form in [RateForm::Http, RateForm::Body, RateForm::Html] {
        // The first call uses the window up.
        let server =
            Server::with(ExpensifyKnobs { rate_limits: vec![(1, 60_000)], rate_form, ..knobs() }).await;
        server.wire.forgive("without waiting");
        let named = [SourceId::from("R00aaaaaaaaa")];
        let source = server.client();
        // Its download is one too many; it would be waited for longer than this connection gives a file.
        let first = source.acknowledge(&exported(&named)).await.unwrap_err();
        assert_eq!(first.class, FailureClass::Unavailable, "{first}");
        let failure = server.client().read(&ready(10)).await.unwrap_err();
        assert!(matches!(failure.class, FailureClass::Throttled { .. }), "{rate_form:?}: {failure:?}");
    }
}

/// Sheet item: Expensify 1, Expensify 4
#[tokio::test]
async fn a_download_that_is_throttled_is_waited_for() {
    let server = Server::start().await;
    let body = sandbox::faults::BodyKind::Json;
    let action = sandbox::faults::FaultAction::Status { code: 429, retry_after: Some("1".to_owned()), body };
    server.wire.fail_nth(2, action);
    server.assert_reads_all().await;
}

#[tokio::test]
async fn a_wrong_secret_is_understood_in_every_form() {
    for credential_form in [CredentialForm::Body, CredentialForm::Http401, CredentialForm::Http403] {
        let server = Server::with(ExpensifyKnobs { credential_form, ..knobs() }).await;
        let failure = server.stranger().read(&ready(10)).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Unauthorised, "{credential_form:?}: {failure}");
        server.wire.control("rotate-credential", json!({}));
        let failure = server.client().read(&ready(10)).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Unauthorised, "{credential_form:?}: {failure}");
    }
}

/// Sheet item: Expensify 6, Expensify 19
#[tokio::test]
async fn a_file_that_is_not_ready_is_waited_for_in_every_form() {
    use NotReady::{Empty, Envelope, Http404, Http500, Incomplete, Message, Rotate};
    let waits =
        [Empty, Envelope, Message, Http404, Http500, Incomplete, Rotate].map(|not_ready| async move {
            let knobs = ExpensifyKnobs { ready_delay_ms: 700, not_ready, ..knobs() };
            let mut world = World::generate(7, 60, today());
            world.reports.truncate(20);
            let server = Server::of(world, knobs, SimClock::running()).await;
            server.assert_reads_all().await;
            let named = vec![SourceId::new(&server.world.reports_in(&READY).next().unwrap().id)];
            assert_eq!(
                server.client().acknowledge(&exported(&named)).await.as_ref(),
                Ok(&named),
                "{not_ready:?}"
            );
            assert_eq!(server.marked().len(), 1);
        });
    for wait in waits {
        wait.await;
    }
}

/// Sheet item: Expensify 7
#[tokio::test]
async fn no_match_is_an_empty_page_in_every_form() {
    for no_match in [NoMatch::EmptyList, NoMatch::EmptyFile] {
        let server = Server::with(ExpensifyKnobs { no_match, ..knobs() }).await;
        let day = today() + chrono::Days::new(300);
        let window = SourceWindow::Ready { from: day, to: day, limit: 10 };
        assert_eq!(server.client().read(&window).await, Ok(SourcePage::default()), "{no_match:?}");
    }
}

/// Sheet item: Expensify 9, Expensify 11, Expensify 18
#[tokio::test]
async fn reports_are_the_same_however_the_server_renders_them() {
    let forms: Vec<ExpensifyKnobs> = vec![
        ExpensifyKnobs { piece_size: 3, ..knobs() },
        ExpensifyKnobs { escape_entities: false, ..knobs() },
        ExpensifyKnobs { grouped_numbers: true, ..knobs() },
        ExpensifyKnobs { approved_after_inclusive: true, ..knobs() },
        ExpensifyKnobs { limit_order: LimitOrder::NewestApproved, ..knobs() },
        ExpensifyKnobs { flat_tags: true, ..knobs() },
        ExpensifyKnobs { total_reimbursable_only: true, ..knobs() },
        ExpensifyKnobs { accept_get: true, lenient_json: true, ..knobs() },
    ];
    let plain = Server::start().await;
    let usual = plain.client().read(&ready(1000)).await.unwrap();
    for knobs in forms {
        let told = format!("{knobs:?}");
        let plug = Server::plug().set("decode_entities", json!(knobs.escape_entities));
        let server = Server::with(knobs).await;
        let page = server.connected(plug).read(&ready(1000)).await.unwrap();
        assert_holds(&page, &known(server.world.reports_in(&READY)));
        let lines = |page: &SourcePage| -> Vec<_> {
            let mut documents = page.documents.clone();
            documents.sort_by(|a, b| a.source_id.cmp(&b.source_id));
            documents.into_iter().map(|d| (d.source_id, d.lines)).collect()
        };
        assert_eq!(lines(&page), lines(&usual), "{told}");
    }
}

/// Sheet item: Expensify 13
#[tokio::test]
async fn other_currencies_are_read_to_their_own_minor_unit() {
    let options = WorldOptions { seed: 3, reports: 80, today: today(), mixed_currencies: true };
    let world = World::generate_with(&options);
    let server = Server::of(world, knobs(), SimClock::standing_at(noon())).await;
    server.assert_reads_all().await;
    let page = server.client().read(&ready(1000)).await.unwrap();
    let currencies: BTreeSet<&str> = page.documents.iter().map(|d| d.currency.code()).collect();
    assert_eq!(currencies, BTreeSet::from(["EUR", "JPY", "USD"]));
    // An account where yen are sent as yen.
    let knobs = ExpensifyKnobs { two_decimals_always: false, ..knobs() };
    let whole = Server::of(World::generate_with(&options), knobs, SimClock::standing_at(noon())).await;
    let plug = Server::plug().set("currency_decimals", json!({ "JPY": 0 }));
    let page = whole.connected(plug).read(&ready(1000)).await.unwrap();
    assert_holds(&page, &known(whole.world.reports_in(&READY)));
}

/// Sheet item: Expensify 5, Expensify 20, Expensify 21
#[tokio::test]
async fn errors_of_a_job_are_told_apart() {
    for (form, passing) in
        [("html", true), ("error", true), ("permission", false), ("validation", false), ("no-code", true)]
    {
        for validation_as_500 in [false, true] {
            let server = Server::with(ExpensifyKnobs { validation_as_500, ..knobs() }).await;
            let job = "file/combinedReportData";
            server.wire.control("fail", json!({ "job": job, "form": form, "times": 100 }));
            let failure = server.client().read(&ready(10)).await.unwrap_err();
            match &failure.class {
                FailureClass::Unavailable => assert!(passing, "{form}: {failure}"),
                FailureClass::Rejected { findings } => {
                    assert!(!passing || form == "no-code", "{form}: {failure}");
                    assert!(!findings.is_empty() && findings.iter().all(|f| !f.fix.is_empty()));
                }
                other => panic!("{form}: {other:?}"),
            }
            assert_eq!(server.mark_actions(), 0);
        }
    }
}

/// Sheet item: Expensify 24
#[tokio::test]
async fn a_slow_export_is_waited_for() {
    let server = Server::with(ExpensifyKnobs { export_delay_ms: 1_200, ..knobs() }).await;
    server.assert_reads_all().await;
}

/// Sheet item: Expensify 27
#[tokio::test]
async fn two_agents_with_labels_of_their_own_see_everything() {
    let server = Server::start().await;
    let first = server.client();
    let page = first.read(&ready(1000)).await.unwrap();
    let named: Vec<SourceId> = page.documents.iter().map(|d| d.source_id.clone()).collect();
    first.acknowledge(&exported(&named)).await.unwrap();
    let second = server.connected(Server::plug().set("label", json!("second \"agent\", 2")));
    assert_holds(&second.read(&ready(1000)).await.unwrap(), &known(server.world.reports_in(&READY)));
    second.acknowledge(&exported(&named[..1])).await.unwrap();
    assert_eq!(server.label("second \"agent\", 2").len(), 1);
}

/// Sheet item: Expensify 17
#[tokio::test]
async fn ranges_over_a_year_are_cut_into_exports_that_are_allowed() {
    let server = Server::start().await;
    let window = SourceWindow::Period { from: today() - chrono::Days::new(900), to: today() };
    let page = server.client().read(&window).await.unwrap();
    assert_holds(&page, &known(server.world.reports_in(&READY)));
}

#[tokio::test]
async fn only_the_configured_policies_and_states_are_read() {
    let server = Server::start().await;
    let state = server.wire.sim.state();
    let policy = state["policies"][0]["id"].as_str().unwrap().to_owned();
    let page = server.connected(Server::plug().set("policies", json!([policy]))).read(&ready(1000)).await;
    assert_holds(&page.unwrap(), &known(server.world.reports_in(&READY)));
    let other = server.connected(Server::plug().set("policies", json!(["0000000000000000"])));
    assert!(other.read(&ready(1000)).await.is_ok_and(|page| page.documents.is_empty()));
    let approved = server.connected(Server::plug().set("states", json!(["APPROVED"])));
    assert_holds(&approved.read(&ready(1000)).await.unwrap(), &known(server.world.reports_in(&["APPROVED"])));
}

/// The vendor's two windows, ten times faster, are never overrun however many calls are wanted.
#[tokio::test]
async fn the_rate_limit_is_kept_before_it_is_hit() {
    let limits = vec![(5, 1_000), (20, 6_000)];
    let knobs = ExpensifyKnobs { rate_limits: limits, ..knobs() };
    let mut world = World::generate(7, 60, today());
    world.reports.truncate(12);
    let server = Server::of(world, knobs, SimClock::running()).await;
    let mut plug = Server::plug();
    plug.windows = vec![(5, Duration::from_secs(1)), (20, Duration::from_secs(6))];
    let source = server.connected(plug);
    let reads = (0..6).map(|_| {
        let source = Arc::clone(&source);
        tokio::spawn(async move { source.read(&ready(1000)).await })
    });
    for read in reads.collect::<Vec<_>>() {
        assert_holds(&read.await.unwrap().unwrap(), &known(server.world.reports_in(&READY)));
    }
    assert_eq!(server.wire.sim.state()["throttled"], 0);
}
