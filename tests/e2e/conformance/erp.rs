//! What every ERP must do, whoever made it. A vendor joins with an [`ErpFixture`] and one line,
//! `erp_conformance!(Fixture);`.

use super::bench::{Wire, today};
use super::plans::{Draft, claim};
use async_trait::async_trait;
use purser::vendors::ErpTarget;
use sandbox::faults::{BodyKind, FaultAction, FaultMatch, FaultRule};
use sandbox::world::World;
use spend::Date;
use spend::finding::FindingCode;
use spend::plan::PostingPlan;
use spend::posting::{ErpReceipt, Failure, FailureClass, LookUp};
use spend::reference::ReferenceData;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An ERP on the bench.
#[async_trait]
pub(crate) trait ErpFixture: Send + Sync + Sized {
    /// A simulator of its own, filled from [`World`].
    async fn start() -> Self;
    fn wire(&self) -> &Wire;
    fn world(&self) -> &World;
    /// A client of its own, as after a restart.
    fn client(&self) -> Arc<dyn ErpTarget>;
    /// The same with a secret that is wrong.
    fn stranger(&self) -> Arc<dyn ErpTarget>;
    /// Every secret of the client.
    fn secrets(&self) -> Vec<String>;
    /// Every document in the ERP, half-written ones too.
    fn documents(&self) -> Vec<Booked>;
    /// A person closes the period of a day.
    fn close_period(&self, day: Date);
    /// A person switches an account off.
    fn deactivate_account(&self, account: &str);
    /// A person switches a vendor off.
    fn deactivate_vendor(&self, vendor: &str);
    /// A person stops the payments to a vendor.
    fn stop_payments(&self, vendor: &str);
    /// A person changes the amount of the first line.
    fn edit(&self, reference: &str, amount: &str);
    /// Everything that was handed in is posted.
    fn release(&self, group: &str);
    /// Every account that reference data must tell, and whether it may be posted to.
    fn chart(&self) -> BTreeMap<String, bool> {
        self.world().accounts.iter().map(|a| (a.segments.join("|"), a.active)).collect()
    }
    /// Name and kind of each segment of an account, with code, name and state of its values in order.
    fn segments(&self) -> Vec<Segment> {
        let segment = |segment: &sandbox::world::WorldSegment| {
            let mut values = segment.values.clone();
            values.sort();
            (segment.name.clone(), segment.dynamic, values)
        };
        self.world().segments.iter().map(segment).collect()
    }
    /// Projects that stand for none.
    fn non_projects(&self) -> &'static [&'static str] {
        &[]
    }
    /// A client, and a fault that stops it half way through a document.
    fn half_writing(&self) -> (Arc<dyn ErpTarget>, FaultRule) {
        // The save after the header's: the header stands without lines.
        let saves = FaultMatch { method: Some("POST".to_owned()), ..FaultMatch::path("/Update") };
        (self.client(), FaultRule::once(saves.nth(3), FaultAction::CutBeforeCommit))
    }
    /// Least calls of look-up and posting together.
    fn least_calls(&self) -> u64 {
        13
    }
    /// The code of a document in a closed period, of a vendor that is switched off, and so on, as the ERP itself can
    /// tell them; `None` = it takes the document.
    fn refusal(&self, code: FindingCode) -> Option<FindingCode> {
        Some(code)
    }
}

/// A segment as reference data must tell it.
pub(crate) type Segment = (String, bool, Vec<(String, String, bool)>);

/// A document as the ERP holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Booked {
    pub(crate) reference: String,
    /// Account and signed amount in cents, sorted.
    pub(crate) lines: Vec<(String, i64)>,
    pub(crate) in_ledger: bool,
}

/// Runs the list against a fixture.
macro_rules! erp_conformance {
    ($fixture:ty) => {
        mod erp_list {
            use super::*;
            $crate::conformance::erp::run! { $fixture:
                reference_data_is_the_whole_world
                what_is_posted_is_found_equal
                a_second_posting_of_the_same_claim_finds_the_first
                a_lost_answer_at_any_call_ends_in_one_equal_document
                a_call_cut_before_it_arrived_ends_in_one_equal_document
                half_an_answer_at_any_call_ends_in_one_equal_document
                an_unreadable_answer_at_any_call_ends_in_one_equal_document
                a_server_fault_at_any_call_ends_in_one_equal_document
                a_late_commit_is_found_and_finished
                other_content_under_the_reference_is_a_conflict
                another_revision_of_the_record_is_a_conflict
                a_half_written_other_revision_is_a_conflict
                a_refused_document_leaves_nothing_behind_and_says_why
                an_account_refused_in_the_middle_leaves_nothing_behind
                negative_lines_and_totals_keep_their_sign
                one_line_and_many_lines_are_posted_alike
                read_back_tells_the_totals_of_the_plans
                read_back_tells_the_totals_of_documents_in_the_ledger
                a_wrong_secret_is_unauthorised_and_writes_nothing
                too_many_calls_is_throttled_and_writes_nothing
                no_secret_is_told_in_failures_and_records
            }
        }
    };
}
pub(crate) use erp_conformance;

/// One test per name.
macro_rules! run {
    ($fixture:ty: $($name:ident)*) => {$(
        #[tokio::test]
        async fn $name() {
            $crate::conformance::erp::$name::<$fixture>().await;
        }
    )*};
}
pub(crate) use run;

/// A journal and an invoice, each with a refund among its lines.
pub(crate) fn drafts(id: &str) -> [Draft; 2] {
    [Draft::journal(&format!("{id}J")), Draft::invoice(&format!("{id}I"), SOUND)]
}

/// A vendor without a fault.
const SOUND: &str = "EMP1001";

pub(crate) async fn reference(erp: &dyn ErpTarget) -> ReferenceData {
    erp.reference_data(&"EPIC06".into()).await.expect("reference data can be read")
}

/// What the ERP must hold for a plan.
pub(crate) fn expected(plan: &PostingPlan) -> Vec<(String, i64)> {
    use spend::plan::PlannedDocument::{ApInvoice, Journal};
    let mut lines: Vec<(String, i64)> = match &plan.document {
        Journal { lines } => lines.iter().map(|l| (l.account.to_string(), l.amount.minor)).collect(),
        ApInvoice { lines, .. } => lines.iter().map(|l| (l.account.to_string(), l.amount.minor)).collect(),
    };
    lines.sort();
    lines
}

/// Looks up and posts as a flow does, until the document is there.
pub(crate) async fn settle(erp: &dyn ErpTarget, plan: &PostingPlan) -> ErpReceipt {
    let mut story = Vec::new();
    for _ in 0..6 {
        let found = match erp.look_up(plan).await {
            Ok(LookUp::Complete { receipt }) => return receipt,
            Ok(LookUp::Different { differs, .. }) => panic!("a conflict: {differs}, after {story:#?}"),
            Ok(found) => found,
            Err(failure) => {
                story.push(format!("look-up: {failure:?}"));
                continue;
            }
        };
        match erp.post(&claim(plan).await, &found).await {
            Ok(receipt) => story.push(format!("posted: {receipt:?}")),
            Err(failure) => story.push(format!("post after {found:?}: {failure:?}")),
        }
    }
    panic!("not settled: {story:#?}");
}

/// The ERP holds the plan's document once, equal to the cent, and nothing else under its reference.
pub(crate) fn assert_booked_once(fixture: &impl ErpFixture, plan: &PostingPlan) {
    let under: Vec<Booked> = fixture
        .documents()
        .into_iter()
        .filter(|booked| plan.reference.stem_is_in(&booked.reference))
        .collect();
    assert_eq!(under.len(), 1, "under {}: {under:#?}", plan.reference);
    assert_eq!(under[0].lines, expected(plan), "{}", plan.reference);
}

pub(crate) async fn reference_data_is_the_whole_world<F: ErpFixture>() {
    let fixture = F::start().await;
    let (data, world) = (reference(&*fixture.client()).await, fixture.world());
    let accounts: BTreeMap<String, bool> =
        data.accounts.iter().map(|(code, account)| (code.to_string(), account.active)).collect();
    assert_eq!(accounts, fixture.chart());
    for (number, (name, dynamic, known)) in (1_u8..).zip(fixture.segments()) {
        let read = &data.segments[&number];
        assert_eq!((read.name.as_str(), read.dynamic), (name.as_str(), dynamic));
        let values: Vec<_> = read.values.iter().map(|(c, v)| (c.clone(), v.name.clone(), v.active)).collect();
        assert_eq!(values, known);
    }
    let suppliers = world.employees.iter().filter(|e| e.vendor_code.is_some()).count() + world.vendors.len();
    assert_eq!(data.vendors.len(), suppliers);
    for employee in &world.employees {
        let read = &data.employees[&employee.email];
        assert_eq!((read.number.as_str(), read.active), (employee.number.as_str(), employee.active));
        assert_eq!(read.expense_vendor.as_ref().map(ToString::to_string), employee.vendor_code);
        if let Some(code) = &read.expense_vendor {
            let vendor = &data.vendors[code];
            assert_eq!(
                (vendor.inactive, vendor.pay_hold),
                (employee.vendor_inactive, employee.vendor_pay_hold)
            );
            assert!(vendor.terms.is_some(), "an invoice needs terms");
        }
    }
    let projects = data.projects.iter().map(|(c, p)| (c.to_string(), p.active));
    let projects: Vec<_> = projects.filter(|(c, _)| !fixture.non_projects().contains(&c.as_str())).collect();
    assert_eq!(projects, world.projects.iter().map(|p| (p.code.clone(), p.active)).collect::<Vec<_>>());
    let periods = data.periods.expect("periods can be read");
    assert!(periods.iter().any(|p| !p.closed && p.start <= today() && today() <= p.end));
    assert!(periods.iter().any(|p| p.closed));
}

pub(crate) async fn what_is_posted_is_found_equal<F: ErpFixture>() {
    let fixture = F::start().await;
    let erp = fixture.client();
    let data = reference(&*erp).await;
    for draft in drafts("R00a") {
        let plan = draft.plan(&data);
        assert_eq!(erp.look_up(&plan).await, Ok(LookUp::Absent));
        let receipt = erp.post(&claim(&plan).await, &LookUp::Absent).await.unwrap();
        assert_booked_once(&fixture, &plan);
        assert_eq!(erp.look_up(&plan).await, Ok(LookUp::Complete { receipt: receipt.clone() }));
        assert!(receipt.group.is_some(), "a person must know where to release it");
        assert_eq!(
            fixture.client().look_up(&plan).await,
            Ok(LookUp::Complete { receipt }),
            "after a restart"
        );
    }
}

pub(crate) async fn a_second_posting_of_the_same_claim_finds_the_first<F: ErpFixture>() {
    let fixture = F::start().await;
    let erp = fixture.client();
    let data = reference(&*erp).await;
    for draft in drafts("R00b") {
        let plan = draft.plan(&data);
        let first = settle(&*erp, &plan).await;
        let found = erp.look_up(&plan).await.unwrap();
        assert_eq!(erp.post(&claim(&plan).await, &found).await, Ok(first.clone()));
        assert_booked_once(&fixture, &plan);
        if erp.refuses_duplicates(&plan) {
            let again = erp.post(&claim(&plan).await, &LookUp::Absent).await;
            assert_eq!(again, Ok(first), "an old look-up does no harm where the ERP refuses duplicates");
            assert_booked_once(&fixture, &plan);
        }
    }
}

/// Every call of look-up and posting goes wrong once, each in a posting of its own; each must end in one document.
async fn fault_everywhere<F: ErpFixture>(action: FaultAction) {
    let fixture = F::start().await;
    let erp = fixture.client();
    let data = reference(&*erp).await;
    for which in 0..2 {
        let mut nth = 0;
        loop {
            nth += 1;
            let mut draft = drafts(&format!("R00f{which}n{nth}"))[which].clone();
            // A day of its own, so that its group has to be made too.
            draft.date = today() - chrono::Days::new(nth.min(45));
            let plan = draft.plan(&data);
            let before = fixture.wire().faulted();
            fixture.wire().fail_nth(nth, action.clone());
            settle(&*erp, &plan).await;
            let hit = fixture.wire().faulted() > before;
            fixture.wire().sim.clear_faults();
            assert_booked_once(&fixture, &plan);
            if !hit {
                break;
            }
            assert!(nth < 200, "a posting takes too many calls");
        }
        assert!(nth >= fixture.least_calls(), "only {nth} calls were tried");
    }
}

/// Sheet item: Epicor 20
pub(crate) async fn a_lost_answer_at_any_call_ends_in_one_equal_document<F: ErpFixture>() {
    fault_everywhere::<F>(FaultAction::CutAfterCommit).await;
}

pub(crate) async fn a_call_cut_before_it_arrived_ends_in_one_equal_document<F: ErpFixture>() {
    fault_everywhere::<F>(FaultAction::CutBeforeCommit).await;
}

pub(crate) async fn half_an_answer_at_any_call_ends_in_one_equal_document<F: ErpFixture>() {
    fault_everywhere::<F>(FaultAction::HalfAnswer).await;
}

pub(crate) async fn an_unreadable_answer_at_any_call_ends_in_one_equal_document<F: ErpFixture>() {
    fault_everywhere::<F>(FaultAction::MalformedBody).await;
    fault_everywhere::<F>(FaultAction::TruncatedBody).await;
}

/// Sheet item: Epicor 19
pub(crate) async fn a_server_fault_at_any_call_ends_in_one_equal_document<F: ErpFixture>() {
    let fault = |code, body| FaultAction::Status { code, retry_after: None, body };
    fault_everywhere::<F>(fault(500, BodyKind::Json)).await;
    fault_everywhere::<F>(fault(502, BodyKind::Html)).await;
}

/// Sheet item: Epicor 20
pub(crate) async fn a_late_commit_is_found_and_finished<F: ErpFixture>() {
    let fixture = F::start().await;
    let erp = fixture.client();
    let data = reference(&*erp).await;
    for (which, draft) in drafts("R00late").into_iter().enumerate() {
        // The calls of a posting that goes well, to know which of them are there to go late.
        let probe = drafts("R00probe")[which].plan(&data);
        let before = fixture.wire().calls();
        erp.look_up(&probe).await.unwrap();
        let looked = fixture.wire().calls();
        erp.post(&claim(&probe).await, &LookUp::Absent).await.unwrap();
        let (look_up, posting) = (looked - before, fixture.wire().calls() - looked);
        for nth in 1..=posting {
            let mut draft = draft.clone();
            draft.source_id = format!("{}{nth}", draft.source_id);
            let plan = draft.plan(&data);
            assert_eq!(erp.look_up(&plan).await, Ok(LookUp::Absent));
            assert!(look_up > 0);
            fixture.wire().fail_nth(nth as u64, FaultAction::LateCommit { after_seconds: 90, hang: false });
            let answer = erp.post(&claim(&plan).await, &LookUp::Absent).await;
            fixture.wire().sim.clear_faults();
            fixture.wire().let_late_commits_happen(90).await;
            if answer.is_err() {
                settle(&*erp, &plan).await;
            }
            assert_booked_once(&fixture, &plan);
        }
    }
}

pub(crate) async fn other_content_under_the_reference_is_a_conflict<F: ErpFixture>() {
    let fixture = F::start().await;
    let erp = fixture.client();
    let data = reference(&*erp).await;
    for draft in drafts("R00c") {
        let plan = draft.plan(&data);
        settle(&*erp, &plan).await;
        let reference = fixture.documents().into_iter().find(|b| plan.reference.stem_is_in(&b.reference));
        fixture.edit(&reference.unwrap().reference, "1.23");
        let found = erp.look_up(&plan).await.unwrap();
        assert!(matches!(found, LookUp::Different { .. }), "{found:?}");
        let documents = fixture.documents();
        let failure = erp.post(&claim(&plan).await, &found).await.unwrap_err();
        assert_eq!(codes(&failure), [FindingCode::ErpConflict], "{failure:?}");
        if erp.refuses_duplicates(&plan) {
            let failure = erp.post(&claim(&plan).await, &LookUp::Absent).await.unwrap_err();
            assert_eq!(codes(&failure), [FindingCode::ErpConflict], "{failure:?}");
        }
        assert_eq!(fixture.documents(), documents);
    }
}

pub(crate) async fn another_revision_of_the_record_is_a_conflict<F: ErpFixture>() {
    let fixture = F::start().await;
    let erp = fixture.client();
    let data = reference(&*erp).await;
    for draft in drafts("R00d") {
        settle(&*erp, &draft.plan(&data)).await;
        let newer = draft.revision("2").lines(&[("6100", 999)]).plan(&data);
        let found = erp.look_up(&newer).await.unwrap();
        assert!(matches!(found, LookUp::Different { .. }), "{found:?}");
    }
    // A record whose id merely begins alike is another record.
    for draft in drafts("R00d") {
        let mut other = draft.clone();
        other.source_id.push('x');
        assert_eq!(erp.look_up(&other.plan(&data)).await, Ok(LookUp::Absent));
    }
}

pub(crate) async fn a_half_written_other_revision_is_a_conflict<F: ErpFixture>() {
    let fixture = F::start().await;
    let erp = fixture.client();
    let data = reference(&*erp).await;
    for draft in drafts("R00e") {
        let plan = draft.plan(&data);
        let (halfway, stop) = fixture.half_writing();
        assert_eq!(halfway.look_up(&plan).await, Ok(LookUp::Absent));
        fixture.wire().fault(stop);
        let failure = halfway.post(&claim(&plan).await, &LookUp::Absent).await.unwrap_err();
        fixture.wire().sim.clear_faults();
        assert_eq!(failure.class, FailureClass::InDoubt, "{failure:?}");
        let found = erp.look_up(&plan).await.unwrap();
        assert!(matches!(found, LookUp::Unfinished { .. }), "{found:?}");
        let newer = draft.clone().revision("2").lines(&[("6100", 999)]).plan(&data);
        let found = erp.look_up(&newer).await.unwrap();
        assert!(matches!(found, LookUp::Different { .. }), "{found:?}");
        settle(&*erp, &plan).await;
        assert_booked_once(&fixture, &plan);
    }
}

pub(crate) fn codes(failure: &Failure) -> Vec<FindingCode> {
    match &failure.class {
        FailureClass::Rejected { findings } => findings.iter().map(|finding| finding.code).collect(),
        other => panic!("not refused for good but {other:?}: {failure}"),
    }
}

/// Sheet item: Epicor 15
pub(crate) async fn a_refused_document_leaves_nothing_behind_and_says_why<F: ErpFixture>() {
    let fixture = F::start().await;
    let erp = fixture.client();
    let data = reference(&*erp).await;
    let day = today() - chrono::Days::new(3);
    let refused = async |draft: Draft, code: FindingCode| {
        let plan = draft.plan(&data);
        let Some(code) = fixture.refusal(code) else {
            settle(&*erp, &plan).await;
            return;
        };
        let before = fixture.documents();
        let failure = erp.post(&claim(&plan).await, &LookUp::Absent).await.unwrap_err();
        assert_eq!(codes(&failure), [code], "{failure:?}");
        assert_eq!(fixture.documents(), before, "{failure}");
        assert_eq!(erp.look_up(&plan).await, Ok(LookUp::Absent));
    };
    fixture.deactivate_vendor("EMP1002");
    refused(Draft::invoice("R00inactive", "EMP1002"), FindingCode::VendorInactive).await;
    fixture.stop_payments("EMP1003");
    refused(Draft::invoice("R00stopped", "EMP1003"), FindingCode::VendorPayHold).await;
    fixture.deactivate_account("6300|10|200");
    for draft in drafts("R00account") {
        refused(draft.lines(&[("6300", 4_200)]), FindingCode::AccountInactive).await;
    }
    for draft in drafts("R00unknown") {
        refused(draft.lines(&[("9999", 4_200)]), FindingCode::AccountUnknown).await;
    }
    fixture.close_period(day);
    for draft in drafts("R00closed") {
        refused(draft, FindingCode::PeriodClosed).await;
    }
}

pub(crate) async fn an_account_refused_in_the_middle_leaves_nothing_behind<F: ErpFixture>() {
    let fixture = F::start().await;
    let erp = fixture.client();
    let data = reference(&*erp).await;
    fixture.deactivate_account("6300|10|200");
    for draft in drafts("R00mid") {
        let draft = draft.lines(&[("6100", 1_000), ("6200", 2_000), ("6300", 3_000), ("6100", 500)]);
        let plan = draft.plan(&data);
        let failure = erp.post(&claim(&plan).await, &LookUp::Absent).await.unwrap_err();
        assert_eq!(codes(&failure), [FindingCode::AccountInactive], "{failure:?}");
        assert_eq!(fixture.documents(), []);
        assert_eq!(erp.look_up(&plan).await, Ok(LookUp::Absent));
    }
}

/// Sheet item: Epicor 22
pub(crate) async fn negative_lines_and_totals_keep_their_sign<F: ErpFixture>() {
    let fixture = F::start().await;
    let erp = fixture.client();
    let data = reference(&*erp).await;
    let books: [&[(&str, i64)]; 4] = [
        &[("6100", -12_550)],
        &[("6100", -12_550), ("6200", 2_550)],
        &[("6100", 10), ("6200", -20), ("6300", 11)],
        &[("6100", 1), ("6200", -1), ("6300", 99_999_999_999)],
    ];
    for (index, lines) in books.into_iter().enumerate() {
        for draft in drafts(&format!("R00neg{index}")) {
            let plan = draft.lines(lines).plan(&data);
            settle(&*erp, &plan).await;
            assert_booked_once(&fixture, &plan);
            let back = erp.read_back(plan.reference.stem(), plan.date, plan.date).await.unwrap();
            assert_eq!(back.iter().map(|d| d.total).collect::<Vec<_>>(), [plan.total]);
        }
    }
}

pub(crate) async fn one_line_and_many_lines_are_posted_alike<F: ErpFixture>() {
    let fixture = F::start().await;
    let erp = fixture.client();
    let data = reference(&*erp).await;
    let many: Vec<(&'static str, i64)> = ["6100", "6110", "6120", "6200", "6300"]
        .into_iter()
        .cycle()
        .zip((1..).map(|n| n * 7 + 3))
        .take(25)
        .collect();
    for lines in [&many[..1], &many[..]] {
        for draft in drafts(&format!("R00many{}", lines.len())) {
            let plan = draft.lines(lines).plan(&data);
            settle(&*erp, &plan).await;
            assert_booked_once(&fixture, &plan);
        }
    }
}

pub(crate) async fn read_back_tells_the_totals_of_the_plans<F: ErpFixture>() {
    let (fixture, plans) = booked::<F>().await;
    let erp = fixture.client();
    assert_read_back(&*erp, &plans).await;
    let (from, to) = (today() - chrono::Days::new(40), today());
    assert_eq!(erp.read_back("OTHER-", from, to).await, Ok(Vec::new()));
    assert_eq!(erp.read_back("EXP-", from - chrono::Days::new(40), from).await, Ok(Vec::new()));
}

/// Sheet item: Epicor 24
pub(crate) async fn read_back_tells_the_totals_of_documents_in_the_ledger<F: ErpFixture>() {
    let (fixture, plans) = booked::<F>().await;
    let erp = fixture.client();
    let mut receipts = Vec::new();
    for plan in &plans {
        receipts.push(settle(&*erp, plan).await);
    }
    let groups: std::collections::BTreeSet<String> = receipts.into_iter().filter_map(|r| r.group).collect();
    groups.iter().for_each(|group| fixture.release(group));
    assert!(fixture.documents().iter().all(|booked| booked.in_ledger), "{:#?}", fixture.documents());
    assert_read_back(&*erp, &plans).await;
    for plan in &plans {
        let found = erp.look_up(plan).await.unwrap();
        let LookUp::Complete { receipt } = found else { panic!("{found:?}") };
        assert_eq!(receipt.stage, spend::plan::Stage::InLedger);
    }
}

async fn booked<F: ErpFixture>() -> (F, Vec<PostingPlan>) {
    let fixture = F::start().await;
    let erp = fixture.client();
    let data = reference(&*erp).await;
    let books: [&[(&str, i64)]; 3] =
        [&[("6100", 12_550), ("6200", -550)], &[("6100", -4_200)], &[("6100", 1), ("6200", 2), ("6300", -3)]];
    let mut plans = Vec::new();
    for (index, lines) in books.into_iter().enumerate() {
        for mut draft in drafts(&format!("R00back{index}")) {
            draft.date = today() - chrono::Days::new(index as u64 * 9);
            if draft.vendor.is_some() && lines.iter().map(|(_, cents)| cents).sum::<i64>() == 0 {
                continue;
            }
            let plan = draft.lines(lines).plan(&data);
            settle(&*erp, &plan).await;
            plans.push(plan);
        }
    }
    (fixture, plans)
}

async fn assert_read_back(erp: &dyn ErpTarget, plans: &[PostingPlan]) {
    let (from, to) = (today() - chrono::Days::new(40), today());
    let back = erp.read_back("EXP-", from, to).await.unwrap();
    let mut read: Vec<_> = back.into_iter().map(|d| (d.reference, d.date, d.total)).collect();
    let mut known: Vec<_> = plans.iter().map(|p| (p.reference.to_string(), Some(p.date), p.total)).collect();
    read.sort_by(|a, b| a.0.cmp(&b.0));
    known.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(read, known);
}

pub(crate) async fn a_wrong_secret_is_unauthorised_and_writes_nothing<F: ErpFixture>() {
    let fixture = F::start().await;
    let data = reference(&*fixture.client()).await;
    let erp = fixture.stranger();
    let failure = erp.reference_data(&"EPIC06".into()).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Unauthorised, "{failure}");
    for draft in drafts("R00s") {
        let plan = draft.plan(&data);
        assert_eq!(erp.look_up(&plan).await.unwrap_err().class, FailureClass::Unauthorised);
        let failure = erp.post(&claim(&plan).await, &LookUp::Absent).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Unauthorised, "{failure}");
    }
    assert_eq!(fixture.documents(), []);
}

pub(crate) async fn too_many_calls_is_throttled_and_writes_nothing<F: ErpFixture>() {
    let fixture = F::start().await;
    let data = reference(&*fixture.client()).await;
    for (code, retry_after) in [(429, Some("7")), (429, None), (503, Some("120"))] {
        for draft in drafts("R00t") {
            let plan = draft.plan(&data);
            let retry_after = retry_after.map(str::to_owned);
            let action = FaultAction::Status { code, retry_after, body: BodyKind::Html };
            fixture.wire().fault(FaultRule::always(FaultMatch::default(), action));
            // A client of its own, because a throttled one waits.
            let failure = fixture.client().look_up(&plan).await.unwrap_err();
            assert!(matches!(failure.class, FailureClass::Throttled { .. }), "{code}: {failure:?}");
            let failure = fixture.client().post(&claim(&plan).await, &LookUp::Absent).await.unwrap_err();
            assert!(matches!(failure.class, FailureClass::Throttled { .. }), "{code}: {failure:?}");
            fixture.wire().sim.clear_faults();
            assert_eq!(fixture.documents(), []);
        }
    }
}

pub(crate) async fn no_secret_is_told_in_failures_and_records<F: ErpFixture>() {
    let fixture = F::start().await;
    let erp = fixture.client();
    let data = reference(&*erp).await;
    let mut told = Vec::new();
    let plan = Draft::journal("R00secret").plan(&data);
    for action in [
        FaultAction::CutAfterCommit,
        FaultAction::MalformedBody,
        FaultAction::Status { code: 400, retry_after: None, body: BodyKind::Xml },
        FaultAction::Status { code: 401, retry_after: None, body: BodyKind::Json },
    ] {
        fixture.wire().fault(FaultRule::always(FaultMatch::default(), action));
        told.push(erp.look_up(&plan).await.unwrap_err().to_string());
        told.push(erp.post(&claim(&plan).await, &LookUp::Absent).await.unwrap_err().to_string());
        fixture.wire().sim.clear_faults();
    }
    told.extend(fixture.wire().log.all().iter().map(|record| format!("{record:?}")));
    assert!(told.len() > 12);
    for secret in fixture.secrets() {
        for text in &told {
            assert!(!text.contains(&secret), "a secret is told in: {text}");
        }
    }
}
