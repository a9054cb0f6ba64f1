//! What every spend system that takes reference data must do, whoever made it. A vendor joins with a
//! [`ReferenceFixture`] and one line, `reference_conformance!(Fixture);`.

use super::bench::Wire;
use super::source::faults;
use async_trait::async_trait;
use purser::vendors::{ChangeOutcome, ReferenceTarget};
use sandbox::faults::{BodyKind, FaultAction, FaultMatch, FaultRule};
use serde_json::Value;
use spend::mirror::{
    Delta, MirrorChange, MirrorEntry, MirrorRules, Ours, ReferenceSet, Strangers, compare, fold,
};
use spend::posting::{Failure, FailureClass};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A spend system that takes reference data, on the bench.
#[async_trait]
pub(crate) trait ReferenceFixture: Send + Sync + Sized {
    /// A simulator of its own, which holds some entries of each set already.
    async fn start() -> Self;
    fn wire(&self) -> &Wire;
    /// A client of its own, as after a restart.
    fn client(&self) -> Arc<dyn ReferenceTarget>;
    /// The same with a secret that is wrong.
    fn stranger(&self) -> Arc<dyn ReferenceTarget>;
    /// Every secret of the client.
    fn secrets(&self) -> Vec<String>;
    /// The sets that are tried.
    fn sets(&self) -> Vec<ReferenceSet>;
    /// The n-th entry that the ERP wants and the spend system does not have.
    fn fresh(&self, set: ReferenceSet, n: usize) -> MirrorEntry;
    /// The same entry after the ERP has changed something of it that the spend system can hold; `None` where there is
    /// nothing beside its key.
    fn changed(&self, set: ReferenceSet, entry: &MirrorEntry) -> Option<MirrorEntry>;
    /// An entry that the spend system refuses; what makes it so is prepared here.
    fn impossible(&self, set: ReferenceSet) -> MirrorEntry;
    /// A person makes an entry on the vendor's pages; its key.
    fn plant(&self, set: ReferenceSet) -> String;
    /// Whether a key is one that only entries have which a person made: no ERP wants it.
    fn is_made_by_hand(&self, _key: &str) -> bool {
        false
    }
    /// Everything that no mirror may ever change: records, expenses, transactions, balances.
    fn records(&self) -> Value;
    /// Names of calls that were received and are neither reads nor writes of reference data.
    fn foreign_calls(&self) -> Vec<String>;
}

/// Runs the list against a fixture.
macro_rules! reference_conformance {
    ($fixture:ty) => {
        mod reference_list {
            use super::*;
            $crate::conformance::reference::run! { $fixture:
                what_is_added_is_read_back_and_a_second_compare_finds_nothing
                adding_what_is_there_already_makes_no_second_entry
                only_what_changed_is_changed
                what_is_disabled_is_active_no_more_and_comes_back_when_it_is_wanted
                what_a_person_made_is_never_touched
                one_refused_entry_does_not_stop_the_others
                a_fault_at_any_call_of_a_write_is_made_good_by_the_next_compare
                nothing_to_change_needs_no_write
                no_record_is_ever_written
                a_wrong_secret_is_refused_as_such_by_reads_and_writes
                a_throttled_write_says_so_and_is_finished_later
                no_secret_stands_in_what_is_told
            }
        }
    };
}
pub(crate) use reference_conformance;

/// One test per name.
macro_rules! run {
    ($fixture:ty: $($name:ident)*) => {$(
        #[tokio::test]
        async fn $name() {
            $crate::conformance::reference::$name::<$fixture>().await;
        }
    )*};
}
pub(crate) use run;

/// What the ERP wants when it wants all that is there.
async fn all_wanted<F: ReferenceFixture>(
    fixture: &F,
    target: &Arc<dyn ReferenceTarget>,
    set: ReferenceSet,
) -> Vec<MirrorEntry> {
    let mut present = target.read_set(set).await.unwrap();
    present.retain(|entry| !fixture.is_made_by_hand(&entry.key));
    assert!(!present.is_empty(), "the bench holds some {}", set.as_str());
    present
}

async fn delta(target: &Arc<dyn ReferenceTarget>, set: ReferenceSet, wanted: &[MirrorEntry]) -> Delta {
    let present = target.read_set(set).await.unwrap();
    let ours: Ours = wanted.iter().map(|entry| (fold(&entry.key), String::new())).collect();
    compare(wanted, &present, &ours, &MirrorRules::default())
}

fn keys(changes: &[MirrorChange]) -> Vec<String> {
    changes.iter().map(|change| format!("{} {}", change.name(), change.key())).collect()
}

#[track_caller]
fn all_made(outcomes: &[ChangeOutcome], changes: &[MirrorChange]) {
    let told: Vec<&str> = outcomes.iter().map(|outcome| outcome.key.as_str()).collect();
    let asked: Vec<&str> = changes.iter().map(MirrorChange::key).collect();
    assert_eq!(told, asked, "an answer per change, in their order");
    for outcome in outcomes {
        assert_eq!(outcome.result, Ok(()), "{}", outcome.key);
    }
}

/// Writes the difference and finds none afterwards.
async fn bring(target: &Arc<dyn ReferenceTarget>, set: ReferenceSet, wanted: &[MirrorEntry]) -> Delta {
    let found = delta(target, set, wanted).await;
    all_made(&target.write_set(set, &found.changes).await.unwrap(), &found.changes);
    let again = delta(target, set, wanted).await;
    assert!(again.changes.is_empty(), "{}: {:#?}", set.as_str(), again.changes);
    found
}

async fn entry_of(target: &Arc<dyn ReferenceTarget>, set: ReferenceSet, key: &str) -> Option<MirrorEntry> {
    let present = target.read_set(set).await.unwrap();
    let mut found = present.into_iter().filter(|entry| fold(&entry.key) == fold(key));
    let first = found.next();
    assert!(found.next().is_none(), "{key} is there twice");
    first
}

/// Sheet item: Expensify 14
pub(crate) async fn what_is_added_is_read_back_and_a_second_compare_finds_nothing<F: ReferenceFixture>() {
    let fixture = F::start().await;
    let target = fixture.client();
    for set in fixture.sets() {
        assert!(target.sets().contains(&set));
        let before = all_wanted(&fixture, &target, set).await;
        let mut wanted = before.clone();
        wanted.extend((0..4).map(|n| fixture.fresh(set, n)));
        let found = bring(&target, set, &wanted).await;
        assert_eq!(found.count("add"), 4, "{:?}", keys(&found.changes));
        for n in 0..4 {
            let entry = fixture.fresh(set, n);
            let there = entry_of(&fixture.client(), set, &entry.key).await.expect("it was added");
            for (name, value) in &there.attributes {
                let wanted = entry.attributes.get(name).filter(|value| !value.is_empty());
                assert!(wanted.is_none_or(|wanted| wanted == value), "{name} of {there:?}");
            }
        }
        // Nothing that stood there before is gone or altered.
        let after = target.read_set(set).await.unwrap();
        for entry in &before {
            assert!(after.contains(entry), "{}: {entry:?}", set.as_str());
        }
    }
}

pub(crate) async fn adding_what_is_there_already_makes_no_second_entry<F: ReferenceFixture>() {
    let fixture = F::start().await;
    for set in fixture.sets() {
        let target = fixture.client();
        let changes = [MirrorChange::Add(fixture.fresh(set, 0)), MirrorChange::Add(fixture.fresh(set, 1))];
        for _ in 0..2 {
            all_made(&target.write_set(set, &changes).await.unwrap(), &changes);
        }
        assert!(entry_of(&target, set, changes[0].key()).await.is_some_and(|entry| entry.active));
    }
}

pub(crate) async fn only_what_changed_is_changed<F: ReferenceFixture>() {
    let fixture = F::start().await;
    let target = fixture.client();
    for set in fixture.sets() {
        let mut wanted = all_wanted(&fixture, &target, set).await;
        wanted.extend((0..2).map(|n| fixture.fresh(set, n)));
        bring(&target, set, &wanted).await;
        let at = wanted.len() - 1;
        let Some(changed) = fixture.changed(set, &wanted[at]) else { continue };
        let before = target.read_set(set).await.unwrap();
        let key = fold(&changed.key);
        wanted[at] = changed;
        let found = bring(&target, set, &wanted).await;
        assert_eq!(found.changes.len(), 1, "{:?}", keys(&found.changes));
        let after = target.read_set(set).await.unwrap();
        let others = |entries: &[MirrorEntry]| -> BTreeSet<MirrorEntry> {
            entries.iter().filter(|entry| fold(&entry.key) != key).cloned().collect()
        };
        assert_eq!(others(&before), others(&after));
    }
}

pub(crate) async fn what_is_disabled_is_active_no_more_and_comes_back_when_it_is_wanted<
    F: ReferenceFixture,
>() {
    let fixture = F::start().await;
    let target = fixture.client();
    for set in fixture.sets() {
        let mut wanted = all_wanted(&fixture, &target, set).await;
        wanted.push(fixture.fresh(set, 0));
        bring(&target, set, &wanted).await;
        let at = wanted.len() - 1;
        let key = wanted[at].key.clone();
        for active in [false, true, false] {
            wanted[at].active = active;
            let found = bring(&target, set, &wanted).await;
            assert_eq!(found.changes.len(), 1, "{:?}", keys(&found.changes));
            let there = entry_of(&target, set, &key).await;
            assert_eq!(there.is_some_and(|entry| entry.active), active, "{}", set.as_str());
        }
    }
}

pub(crate) async fn what_a_person_made_is_never_touched<F: ReferenceFixture>() {
    let fixture = F::start().await;
    let target = fixture.client();
    for set in fixture.sets() {
        let wanted = all_wanted(&fixture, &target, set).await;
        let planted = fixture.plant(set);
        let before = entry_of(&target, set, &planted).await.expect("it was planted");
        // Most of what is wanted goes, something comes, and what the person made stays as it is.
        let mut other: Vec<MirrorEntry> = wanted.iter().take(2).cloned().collect();
        other.extend((0..2).map(|n| fixture.fresh(set, n)));
        let present = target.read_set(set).await.unwrap();
        let ours: Ours = wanted.iter().map(|entry| (fold(&entry.key), String::new())).collect();
        let rules = MirrorRules { strangers: Strangers::Leave, ..MirrorRules::default() };
        let found = compare(&other, &present, &ours, &rules);
        assert!(found.left_alone.iter().any(|entry| entry.key == before.key));
        all_made(&target.write_set(set, &found.changes).await.unwrap(), &found.changes);
        assert_eq!(entry_of(&target, set, &planted).await, Some(before));
    }
}

/// Sheet item: Expensify 16
pub(crate) async fn one_refused_entry_does_not_stop_the_others<F: ReferenceFixture>() {
    let fixture = F::start().await;
    for set in fixture.sets() {
        let target = fixture.client();
        let bad = fixture.impossible(set);
        let mut changes: Vec<MirrorChange> =
            (0..5).map(|n| MirrorChange::Add(fixture.fresh(set, n))).collect();
        changes.insert(2, MirrorChange::Add(bad.clone()));
        let outcomes = target.write_set(set, &changes).await.unwrap();
        assert_eq!(outcomes.len(), 6);
        for outcome in &outcomes {
            match &outcome.result {
                Ok(()) => assert_ne!(outcome.key, bad.key),
                Err(why) => assert!(outcome.key == bad.key && why.len() > 10, "{}: {why}", outcome.key),
            }
        }
        for change in changes.iter().filter(|change| change.key() != bad.key) {
            assert!(entry_of(&target, set, change.key()).await.is_some_and(|entry| entry.active));
        }
    }
}

pub(crate) async fn a_fault_at_any_call_of_a_write_is_made_good_by_the_next_compare<F: ReferenceFixture>() {
    let fixture = F::start().await;
    for (at, set) in fixture.sets().into_iter().enumerate() {
        let mut wanted = all_wanted(&fixture, &fixture.client(), set).await;
        let mut fresh = 0;
        // Every fault for the first set, every second one for the others: they share the way to the vendor.
        for action in faults().into_iter().skip(at % 2).step_by(if at == 0 { 1 } else { 2 }) {
            for nth in 1.. {
                wanted.push(fixture.fresh(set, fresh));
                fresh += 1;
                let target = fixture.client();
                let found = delta(&target, set, &wanted).await;
                assert_eq!(found.changes.len(), 1, "{action:?} at {nth}: {:?}", keys(&found.changes));
                let before = fixture.wire().faulted();
                fixture.wire().fail_nth(nth, action.clone());
                let first = target.write_set(set, &found.changes).await;
                let hit = fixture.wire().faulted() > before;
                fixture.wire().sim.clear_faults();
                let told = first.as_ref().is_ok_and(|outcomes| outcomes.iter().all(|one| one.result.is_ok()));
                if told {
                    let there = delta(&target, set, &wanted).await;
                    assert!(there.changes.is_empty(), "{action:?} at {nth}: said made, and is not");
                } else {
                    bring(&target, set, &wanted).await;
                }
                if !hit {
                    assert!(told, "{action:?} at {nth}: {first:?}");
                    break;
                }
            }
        }
        let after = delta(&fixture.client(), set, &wanted).await;
        let strange = after.left_alone.iter().filter(|entry| !fixture.is_made_by_hand(&entry.key)).count();
        assert!(after.changes.is_empty() && strange == 0, "{after:#?}");
    }
}

pub(crate) async fn nothing_to_change_needs_no_write<F: ReferenceFixture>() {
    let fixture = F::start().await;
    let target = fixture.client();
    for set in fixture.sets() {
        let wanted = all_wanted(&fixture, &target, set).await;
        let (before, records) = (fixture.wire().sim.state(), fixture.records());
        let found = delta(&target, set, &wanted).await;
        assert!(found.changes.is_empty(), "{:?}", keys(&found.changes));
        assert_eq!(target.write_set(set, &[]).await, Ok(Vec::new()));
        assert_eq!(fixture.records(), records);
        assert_eq!(fixture.wire().sim.state()["policies"], before["policies"]);
    }
}

pub(crate) async fn no_record_is_ever_written<F: ReferenceFixture>() {
    let fixture = F::start().await;
    let records = fixture.records();
    let target = fixture.client();
    for set in fixture.sets() {
        let mut wanted = all_wanted(&fixture, &target, set).await;
        wanted.extend((0..3).map(|n| fixture.fresh(set, n)));
        bring(&target, set, &wanted).await;
        for entry in wanted.iter_mut().skip(1) {
            entry.active = false;
        }
        bring(&target, set, &wanted).await;
    }
    assert_eq!(fixture.records(), records);
    assert_eq!(fixture.foreign_calls(), Vec::<String>::new());
}

fn is_unauthorised<T>(answer: Result<T, Failure>) -> bool {
    answer.is_err_and(|failure| failure.class == FailureClass::Unauthorised)
}

pub(crate) async fn a_wrong_secret_is_refused_as_such_by_reads_and_writes<F: ReferenceFixture>() {
    let fixture = F::start().await;
    let target = fixture.stranger();
    for set in fixture.sets() {
        assert!(is_unauthorised(target.read_set(set).await));
        let change = [MirrorChange::Add(fixture.fresh(set, 0))];
        assert!(is_unauthorised(target.write_set(set, &change).await));
        assert_eq!(entry_of(&fixture.client(), set, change[0].key()).await, None);
    }
}

pub(crate) async fn a_throttled_write_says_so_and_is_finished_later<F: ReferenceFixture>() {
    let fixture = F::start().await;
    for set in fixture.sets() {
        let mut wanted = all_wanted(&fixture, &fixture.client(), set).await;
        for (n, body) in [BodyKind::Json, BodyKind::Html, BodyKind::Empty].into_iter().enumerate() {
            wanted.push(fixture.fresh(set, n));
            let target = fixture.client();
            let found = delta(&target, set, &wanted).await;
            let action = FaultAction::Status { code: 429, retry_after: None, body };
            fixture.wire().fault(FaultRule::always(FaultMatch::default(), action));
            let failure = target.write_set(set, &found.changes).await.unwrap_err();
            assert!(matches!(failure.class, FailureClass::Throttled { .. }), "{body:?}: {failure:?}");
            fixture.wire().sim.clear_faults();
            bring(&fixture.client(), set, &wanted).await;
        }
    }
}

pub(crate) async fn no_secret_stands_in_what_is_told<F: ReferenceFixture>() {
    let fixture = F::start().await;
    let mut told = Vec::new();
    for set in fixture.sets() {
        let change = [MirrorChange::Add(fixture.fresh(set, 0))];
        for action in [
            FaultAction::CutAfterCommit,
            FaultAction::Status { code: 400, retry_after: None, body: BodyKind::Xml },
            FaultAction::Status { code: 401, retry_after: None, body: BodyKind::Json },
        ] {
            fixture.wire().fault(FaultRule::always(FaultMatch::default(), action));
            told.push(fixture.client().read_set(set).await.unwrap_err().to_string());
            told.push(fixture.client().write_set(set, &change).await.unwrap_err().to_string());
            fixture.wire().sim.clear_faults();
        }
        all_made(&fixture.client().write_set(set, &change).await.unwrap(), &change);
    }
    told.extend(fixture.wire().log.all().iter().map(|record| format!("{record:?}")));
    for secret in fixture.secrets() {
        for text in &told {
            assert!(!text.contains(&secret), "a secret is told in: {text}");
        }
    }
}
