//! What every spend system must do, whoever made it. A vendor joins with a [`SourceFixture`] and one line,
//! `source_conformance!(Fixture);`.

use super::bench::{Wire, today};
use async_trait::async_trait;
use purser::vendors::{Exported, SourcePage, SourceWindow, SpendSource};
use sandbox::faults::{BodyKind, FaultAction, FaultMatch, FaultRule};
use spend::Date;
use spend::document::SpendDocument;
use spend::ids::SourceId;
use spend::money::Money;
use spend::plan::Stage;
use spend::posting::{ErpReceipt, Failure, FailureClass};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A record that is approved, as the simulator holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) id: String,
    pub(crate) currency: String,
    /// In minor units.
    pub(crate) total: i64,
    /// What a period is cut out by.
    pub(crate) approved: Date,
    /// What a window of waiting records is cut out by.
    pub(crate) changed: Date,
    /// Exported before the agent came.
    pub(crate) done: bool,
}

/// A spend system on the bench.
#[async_trait]
pub(crate) trait SourceFixture: Send + Sync + Sized {
    /// Whether records carry a mark there, so that one that is marked is not offered again.
    const KEEPS_MARK: bool = true;
    /// A simulator of its own, with at least 40 records that wait.
    async fn start() -> Self;
    fn wire(&self) -> &Wire;
    /// Every record that is approved, exported or not, as the simulator holds it now.
    fn records(&self) -> Vec<Known>;
    /// What else must be true of documents that hold all records that wait.
    fn check_details(&self, page: &SourcePage);
    /// A client of its own, as after a restart.
    fn client(&self) -> Arc<dyn SpendSource>;
    /// The same with a secret that is wrong.
    fn stranger(&self) -> Arc<dyn SpendSource>;
    /// Every secret of the client.
    fn secrets(&self) -> Vec<String>;
    /// Ids that carry the agent's mark.
    fn marked(&self) -> BTreeSet<String>;
    /// How often records were marked, all together.
    fn mark_actions(&self) -> u64;
    /// A person changes the amount of the first line.
    fn edit(&self, id: &str, cents: i64);
    /// Something happens to a record that changes nothing of what is booked (a person pays it out).
    fn touch(&self, id: &str);
    /// A person approves a record that was not approved yet, today.
    fn approve_another(&self) -> Known;
    /// Puts in a record that cannot be read.
    fn add_unreadable(&self) -> String;
}

/// Runs the list against a fixture.
macro_rules! source_conformance {
    ($fixture:ty) => {
        mod source_list {
            use super::*;
            $crate::conformance::source::run! { $fixture:
                approved_records_are_read_once_each_to_the_cent
                marked_records_are_not_ready_and_still_there
                a_period_holds_its_first_and_its_last_day_and_no_other
                named_records_are_read_whatever_their_mark
                pages_that_are_marked_one_after_the_other_hold_every_record_once
                an_edited_record_has_another_revision_and_a_paid_one_keeps_it
                a_record_approved_later_is_read_then
                marking_twice_is_marking_once
                only_what_is_there_counts_as_marked
                a_lost_answer_while_marking_is_made_good_by_marking_again
                a_record_that_cannot_be_read_does_not_stop_the_others
                a_fault_at_any_call_of_a_read_loses_and_invents_nothing
                a_wrong_secret_is_unauthorised
                too_many_calls_is_throttled_and_loses_nothing
                no_secret_is_told_in_failures_and_records
            }
        }
    };
}
pub(crate) use source_conformance;

/// One test per name.
macro_rules! run {
    ($fixture:ty: $($name:ident)*) => {$(
        #[tokio::test]
        async fn $name() {
            $crate::conformance::source::$name::<$fixture>().await;
        }
    )*};
}
pub(crate) use run;

/// Everything that waits.
pub(crate) fn ready(limit: u32) -> SourceWindow {
    SourceWindow::Ready { from: today() - chrono::Days::new(40), to: today(), limit }
}

fn ids(page: &SourcePage) -> Vec<SourceId> {
    page.documents.iter().map(|document| document.source_id.clone()).collect()
}

fn sum(document: &SpendDocument) -> i64 {
    Money::sum(document.currency, document.lines.iter().map(|line| line.amount)).unwrap().minor
}

/// The page holds exactly these records, each once, to the cent.
pub(crate) fn assert_holds<'w>(page: &SourcePage, records: impl IntoIterator<Item = &'w Known>) {
    assert_eq!(page.unreadable, []);
    let read =
        page.documents.iter().map(|d| (d.source_id.to_string(), d.currency.to_string(), sum(d), d.approved));
    let mut read: Vec<_> = read.collect();
    read.sort();
    let known = records.into_iter().map(|r| (r.id.clone(), r.currency.clone(), r.total, Some(r.approved)));
    let mut known: Vec<_> = known.collect();
    known.sort();
    assert_eq!(read, known);
}

/// Everything that waits.
fn all_ready<F: SourceFixture>(fixture: &F) -> Vec<Known> {
    fixture.records().into_iter().filter(|record| !record.done).collect()
}

fn named(records: &[Known]) -> Vec<SourceId> {
    records.iter().map(|record| SourceId::new(&record.id)).collect()
}

pub(crate) async fn approved_records_are_read_once_each_to_the_cent<F: SourceFixture>() {
    let fixture = F::start().await;
    let page = fixture.client().read(&ready(1000)).await.unwrap();
    assert!(!page.more);
    assert_eq!(page.habits.keeps_no_mark, !F::KEEPS_MARK);
    let waiting = all_ready(&fixture);
    assert!(waiting.len() >= 40, "{}", waiting.len());
    assert_holds(&page, &waiting);
    fixture.check_details(&page);
}

pub(crate) async fn marked_records_are_not_ready_and_still_there<F: SourceFixture>() {
    let fixture = F::start().await;
    let source = fixture.client();
    let all = fixture.records();
    let page = source.read(&ready(1000)).await.unwrap();
    let (done, left) = ids(&page).split_at(page.documents.len() / 2).to_owned_pair();
    let marked = source.acknowledge(&exported(&done)).await.unwrap();
    assert_eq!(as_set(&marked), as_set(&done));
    let rest = fixture.client().read(&ready(1000)).await.unwrap();
    if F::KEEPS_MARK {
        assert_eq!(fixture.marked(), as_set(&done));
        assert_eq!(as_set(&ids(&rest)), as_set(&left));
    } else {
        assert_eq!(as_set(&ids(&rest)), as_set(&ids(&page)), "what keeps no mark is offered again");
    }
    let window = SourceWindow::Period { from: today() - chrono::Days::new(40), to: today() };
    assert_holds(&source.read(&window).await.unwrap(), &all);
}

trait Halves {
    fn to_owned_pair(self) -> (Vec<SourceId>, Vec<SourceId>);
}

impl Halves for (&[SourceId], &[SourceId]) {
    fn to_owned_pair(self) -> (Vec<SourceId>, Vec<SourceId>) {
        (self.0.to_vec(), self.1.to_vec())
    }
}

fn as_set(ids: &[SourceId]) -> BTreeSet<String> {
    let set: BTreeSet<String> = ids.iter().map(ToString::to_string).collect();
    assert_eq!(set.len(), ids.len(), "an id is named twice");
    set
}

/// Sheet item: Expensify 18
pub(crate) async fn a_period_holds_its_first_and_its_last_day_and_no_other<F: SourceFixture>() {
    let fixture = F::start().await;
    let source = fixture.client();
    let records = fixture.records();
    let middle = |days: BTreeSet<Date>| {
        let days: Vec<Date> = days.into_iter().collect();
        (days[2], days[days.len() - 3])
    };
    let (from, to) = middle(records.iter().map(|record| record.approved).collect());
    let within = records.iter().filter(|record| (from..=to).contains(&record.approved));
    assert_holds(&source.read(&SourceWindow::Period { from, to }).await.unwrap(), within);
    let (from, to) = middle(records.iter().filter(|r| !r.done).map(|record| record.changed).collect());
    let within = records.iter().filter(|r| !r.done && (from..=to).contains(&r.changed));
    assert_holds(&source.read(&SourceWindow::Ready { from, to, limit: 1000 }).await.unwrap(), within);
    let empty =
        SourceWindow::Period { from: today() + chrono::Days::new(2), to: today() + chrono::Days::new(9) };
    let page = source.read(&empty).await.unwrap();
    assert!(page.documents.is_empty() && page.unreadable.is_empty() && !page.more);
}

pub(crate) async fn named_records_are_read_whatever_their_mark<F: SourceFixture>() {
    let fixture = F::start().await;
    let source = fixture.client();
    let wanted: Vec<Known> = all_ready(&fixture).into_iter().step_by(3).collect();
    let mut asked = named(&wanted);
    source.acknowledge(&exported(&asked[..2])).await.unwrap();
    asked.push(SourceId::from("R00doesnotexist"));
    assert_holds(&source.read(&SourceWindow::Ids(asked)).await.unwrap(), &wanted);
}

pub(crate) async fn pages_that_are_marked_one_after_the_other_hold_every_record_once<F: SourceFixture>() {
    let fixture = F::start().await;
    let source = fixture.client();
    let waiting = all_ready(&fixture);
    let (mut documents, mut pages, mut limit) = (Vec::new(), 0, 7);
    loop {
        let page = source.read(&ready(limit)).await.unwrap();
        pages += 1;
        assert!(page.documents.len() <= limit as usize && pages < 100, "{} records", page.documents.len());
        let found = ids(&page);
        if !found.is_empty() {
            assert_eq!(as_set(&source.acknowledge(&exported(&found)).await.unwrap()), as_set(&found));
        }
        if F::KEEPS_MARK {
            documents.extend(page.documents);
        } else {
            // As the flow does: what is known already does not hide the rest.
            documents = page.documents;
            limit *= 2;
        }
        if !page.more {
            break;
        }
    }
    assert!(pages > 2);
    assert_holds(&SourcePage { documents, ..SourcePage::default() }, &waiting);
    if F::KEEPS_MARK {
        assert_eq!(source.read(&ready(7)).await.map(|page| page.documents), Ok(Vec::new()));
    }
}

/// Sheet item: Expensify 22
pub(crate) async fn an_edited_record_has_another_revision_and_a_paid_one_keeps_it<F: SourceFixture>() {
    let fixture = F::start().await;
    let source = fixture.client();
    let waiting = all_ready(&fixture);
    let mut sound = waiting.iter().filter(|record| record.total != 0);
    let (edited, paid, same) = (sound.next().unwrap(), sound.next().unwrap(), sound.next().unwrap());
    let window = SourceWindow::Ids([edited, paid, same].map(|r| SourceId::new(&r.id)).to_vec());
    let revisions = async || -> BTreeMap<String, String> {
        let page = source.read(&window).await.unwrap();
        page.documents.iter().map(|d| (d.source_id.to_string(), d.revision.to_string())).collect()
    };
    let before = revisions().await;
    fixture.edit(&edited.id, 4_711);
    fixture.touch(&paid.id);
    let after = revisions().await;
    assert_ne!(before[&edited.id], after[&edited.id]);
    assert_eq!(before[&paid.id], after[&paid.id], "being paid is no change of content");
    assert_eq!(before[&same.id], after[&same.id]);
    source.acknowledge(&exported(&[SourceId::new(&same.id)])).await.unwrap();
    assert_eq!(revisions().await[&same.id], after[&same.id], "the mark is no change of content");
}

pub(crate) async fn a_record_approved_later_is_read_then<F: SourceFixture>() {
    let fixture = F::start().await;
    let source = fixture.client();
    let page = source.read(&ready(1000)).await.unwrap();
    source.acknowledge(&exported(&ids(&page))).await.unwrap();
    let late = fixture.approve_another();
    let mut page = source.read(&ready(1000)).await.unwrap();
    if !F::KEEPS_MARK {
        page.documents.retain(|document| document.source_id.as_str() == late.id);
    }
    assert_holds(&page, [&late]);
}

pub(crate) async fn marking_twice_is_marking_once<F: SourceFixture>() {
    let fixture = F::start().await;
    let source = fixture.client();
    let page = source.read(&ready(1000)).await.unwrap();
    let named: Vec<SourceId> = ids(&page).into_iter().take(5).collect();
    let twice: Vec<SourceId> = named.iter().chain(&named).cloned().collect();
    for asked in [&named, &named, &twice] {
        assert_eq!(as_set(&source.acknowledge(&exported(asked)).await.unwrap()), as_set(&named));
        if F::KEEPS_MARK {
            assert_eq!(fixture.marked(), as_set(&named));
        }
    }
    let calls = fixture.wire().calls();
    assert_eq!(source.acknowledge(&[]).await, Ok(Vec::new()));
    assert_eq!(fixture.wire().calls(), calls, "nothing to mark needs no call");
}

pub(crate) async fn only_what_is_there_counts_as_marked<F: SourceFixture>() {
    let fixture = F::start().await;
    let source = fixture.client();
    if !F::KEEPS_MARK {
        return;
    }
    let known = SourceId::new(&all_ready(&fixture)[0].id);
    let asked = [known.clone(), SourceId::from("R00doesnotexist"), SourceId::from("no,id \"at all\"")];
    assert_eq!(source.acknowledge(&exported(&asked)).await, Ok(vec![known]));
}

/// Records as a flow says them when they are in the ERP.
pub(crate) fn exported(ids: &[SourceId]) -> Vec<Exported> {
    let receipt = |id: &SourceId| ErpReceipt {
        document: format!("journal 2026/GJ/{id}"),
        group: None,
        stage: Stage::Staged,
    };
    ids.iter().map(|id| Exported { id: id.clone(), receipt: receipt(id) }).collect()
}

/// Faults of transport and server, each of which may strike any call once.
pub(crate) fn faults() -> Vec<FaultAction> {
    let status = |code, body| FaultAction::Status { code, retry_after: None, body };
    vec![
        FaultAction::CutAfterCommit,
        FaultAction::CutBeforeCommit,
        FaultAction::HalfAnswer,
        FaultAction::MalformedBody,
        FaultAction::TruncatedBody,
        status(500, BodyKind::Html),
        status(502, BodyKind::Empty),
        status(503, BodyKind::Html),
    ]
}

/// Sheet item: Expensify 25
pub(crate) async fn a_lost_answer_while_marking_is_made_good_by_marking_again<F: SourceFixture>() {
    let fixture = F::start().await;
    if !F::KEEPS_MARK {
        return;
    }
    let named = named(&all_ready(&fixture));
    let mut chunks = named.chunks(1);
    for action in faults() {
        for nth in 1.. {
            let asked = chunks.next().expect("enough records").to_vec();
            let before = fixture.wire().faulted();
            fixture.wire().fail_nth(nth, action.clone());
            let source = fixture.client();
            let first = source.acknowledge(&exported(&asked)).await;
            let hit = fixture.wire().faulted() > before;
            fixture.wire().sim.clear_faults();
            if first.as_ref().is_ok_and(|marked| *marked == asked) {
                assert!(fixture.marked().contains(asked[0].as_str()), "{action:?} at {nth}: not marked");
            } else {
                assert_eq!(
                    source.acknowledge(&exported(&asked)).await.as_ref(),
                    Ok(&asked),
                    "{action:?} at {nth}: {first:?}"
                );
            }
            assert!(fixture.marked().contains(asked[0].as_str()));
            if !hit {
                break;
            }
        }
    }
}

pub(crate) async fn a_record_that_cannot_be_read_does_not_stop_the_others<F: SourceFixture>() {
    let fixture = F::start().await;
    let (waiting, all) = (all_ready(&fixture), fixture.records());
    let bad = fixture.add_unreadable();
    let source = fixture.client();
    let period = SourceWindow::Period { from: today() - chrono::Days::new(40), to: today() };
    for (window, expected) in [(ready(1000), &waiting), (period, &all)] {
        let mut page = source.read(&window).await.unwrap();
        let unreadable = std::mem::take(&mut page.unreadable);
        assert_eq!(unreadable.len(), 1, "{unreadable:?}");
        assert_eq!(unreadable[0].source_id, Some(SourceId::new(&bad)));
        assert!(!unreadable[0].message.is_empty());
        assert_holds(&page, expected);
    }
}

/// Sheet item: Expensify 5, Expensify 6
pub(crate) async fn a_fault_at_any_call_of_a_read_loses_and_invents_nothing<F: SourceFixture>() {
    let fixture = F::start().await;
    for action in faults() {
        for nth in 1.. {
            let before = fixture.wire().faulted();
            fixture.wire().fail_nth(nth, action.clone());
            match fixture.client().read(&ready(1000)).await {
                Ok(page) => assert_holds(&page, &all_ready(&fixture)),
                Err(failure) => assert!(is_passing(&failure), "{action:?} at {nth}: {failure:?}"),
            }
            let hit = fixture.wire().faulted() > before;
            fixture.wire().sim.clear_faults();
            if !hit {
                break;
            }
        }
    }
    assert_holds(&fixture.client().read(&ready(1000)).await.unwrap(), &all_ready(&fixture));
}

fn is_passing(failure: &Failure) -> bool {
    match failure.class {
        FailureClass::NotSent | FailureClass::Throttled { .. } | FailureClass::Unavailable => true,
        FailureClass::Rejected { .. } | FailureClass::Unauthorised | FailureClass::InDoubt => false,
    }
}

pub(crate) async fn a_wrong_secret_is_unauthorised<F: SourceFixture>() {
    let fixture = F::start().await;
    let source = fixture.stranger();
    let failure = source.read(&ready(10)).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Unauthorised, "{failure}");
    if F::KEEPS_MARK {
        let failure = source.acknowledge(&exported(&[SourceId::from("R00aaaaaaaaa")])).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Unauthorised, "{failure}");
        assert_eq!(fixture.marked(), BTreeSet::new());
    }
}

/// Sheet item: Expensify 4
pub(crate) async fn too_many_calls_is_throttled_and_loses_nothing<F: SourceFixture>() {
    let fixture = F::start().await;
    let named = vec![SourceId::new(&all_ready(&fixture)[0].id)];
    for body in [BodyKind::Json, BodyKind::Html, BodyKind::Empty] {
        let action = FaultAction::Status { code: 429, retry_after: None, body };
        fixture.wire().fault(FaultRule::always(FaultMatch::default(), action));
        // A client of its own, because a throttled one waits.
        let failure = fixture.client().read(&ready(10)).await.unwrap_err();
        assert!(matches!(failure.class, FailureClass::Throttled { .. }), "{body:?}: {failure:?}");
        if F::KEEPS_MARK {
            let failure = fixture.client().acknowledge(&exported(&named)).await.unwrap_err();
            assert!(matches!(failure.class, FailureClass::Throttled { .. }), "{body:?}: {failure:?}");
        }
        fixture.wire().sim.clear_faults();
    }
    assert_eq!(fixture.mark_actions(), 0);
    assert_holds(&fixture.client().read(&ready(1000)).await.unwrap(), &all_ready(&fixture));
}

pub(crate) async fn no_secret_is_told_in_failures_and_records<F: SourceFixture>() {
    let fixture = F::start().await;
    let named = vec![SourceId::new(&all_ready(&fixture)[0].id)];
    let mut told = Vec::new();
    for action in [
        FaultAction::CutAfterCommit,
        FaultAction::Status { code: 400, retry_after: None, body: BodyKind::Xml },
        FaultAction::Status { code: 401, retry_after: None, body: BodyKind::Json },
        FaultAction::Status { code: 429, retry_after: None, body: BodyKind::Json },
    ] {
        fixture.wire().fault(FaultRule::always(FaultMatch::default(), action));
        told.push(fixture.client().read(&ready(10)).await.unwrap_err().to_string());
        if F::KEEPS_MARK {
            told.push(fixture.client().acknowledge(&exported(&named)).await.unwrap_err().to_string());
        }
        fixture.wire().sim.clear_faults();
    }
    fixture.client().read(&ready(1000)).await.unwrap();
    told.extend(fixture.wire().log.all().iter().map(|record| format!("{record:?}")));
    assert!(told.len() > 8);
    for secret in fixture.secrets() {
        for text in &told {
            assert!(!text.contains(&secret), "a secret is told in: {text}");
        }
    }
}
