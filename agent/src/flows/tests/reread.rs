//! Records that waited are read again before they are claimed: unchanged they go on, else nothing of the old reading is
//! written.

use super::faults::{Call, Fault};
use super::invariants::assert_sound;
use super::proofs::{proof, standing};
use super::world::{World, codes, set_amount};
use crate::flows::preview::Would;
use crate::flows::proof::Standing;
use crate::flows::replay::{Decided, Decision};
use chrono::TimeDelta;
use spend::ids::SourceId;
use spend::money::Currency;
use spend::posting::FailureClass;

/// A record that was planned and could not be looked up, because the ERP was down; then half an hour passes.
async fn waiting(ids: &[&str]) -> World {
    let mut world = World::new();
    for id in ids {
        world.report(id, 100);
    }
    world.faults.always(Call::LookUp, Fault::Fail(FailureClass::Unavailable));
    world.run().await;
    world.faults.clear();
    for id in ids {
        assert_eq!(world.states(id), ["waiting"]);
    }
    world.pass(1800);
    world
}

/// As [`waiting`], after a write that certainly did not leave.
async fn waiting_after_an_attempt() -> World {
    let mut world = World::new();
    world.report("R1", 100);
    world.faults.once(Call::Post, Fault::Fail(FailureClass::NotSent));
    world.run().await;
    assert_eq!((world.states("R1"), world.posting("R1").attempts), (vec!["waiting"], 1));
    world.pass(1800);
    world
}

fn asked_for(world: &World) -> Vec<Vec<SourceId>> {
    world.source.asked_for.lock().unwrap().clone()
}

async fn replay(world: &World, id: &str) -> Decided {
    let decision = Decision { by: "ann".to_owned(), note: "looked at it".to_owned() };
    let key = world.postings_of(id).last().unwrap().key.clone();
    world.flow().replay(&key, &decision).await.unwrap()
}

#[tokio::test]
async fn what_waited_is_read_again_in_one_call_and_booked_when_it_is_unchanged() {
    let mut world = waiting(&["R1", "R2", "R3"]).await;
    let report = world.run().await;
    assert_eq!((report.posted, report.held), (3, 0));
    assert_eq!(asked_for(&world), [["R1", "R2", "R3"].map(SourceId::from).to_vec()]);
    assert!(world.posting("R1").read_at.is_some(), "with the claim");
    let entries = world.store().audit().of_posting(&world.key("R1")).unwrap();
    let claim = entries.iter().find(|entry| entry.draft.detail["event"] == "claimed").unwrap();
    assert!(claim.draft.detail["read_again"].is_string(), "{claim:?}");
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn what_was_just_read_is_not_read_again_and_a_second_run_asks_nobody() {
    let mut world = World::new();
    for n in 0..25 {
        world.report(&format!("R{n:02}"), 100 + n);
    }
    world.run().await;
    let calls = world.faults.calls();
    world.pass(3600);
    world.run().await;
    assert!(asked_for(&world).is_empty());
    let again: Vec<Call> = world.faults.calls().split_off(calls.len());
    assert_eq!(again.iter().filter(|call| **call == Call::Read).count(), 1, "the window alone: {again:?}");
    assert!(!again.iter().any(|call| matches!(call, Call::LookUp | Call::Post)), "{again:?}");
}

#[tokio::test]
async fn what_waited_for_less_than_the_policy_is_not_read_again_and_zero_means_always() {
    for (seconds, calls) in [(1801, 0), (1800, 1), (0, 1)] {
        let mut world = waiting(&["R1"]).await;
        world.settings.reread_after = TimeDelta::seconds(seconds);
        assert_eq!(world.run().await.posted, 1);
        assert_eq!(asked_for(&world).len(), calls, "{seconds} s");
    }
    let mut world = World::new();
    world.settings.reread_after = TimeDelta::zero();
    world.report("R1", 100);
    assert_eq!(world.run().await.posted, 1);
    assert_eq!(asked_for(&world).len(), 1, "also what was just listed");
}

#[tokio::test]
async fn a_clock_that_was_set_back_makes_a_reading_old() {
    let mut world = waiting(&["R1"]).await;
    world.settings.reread_after = TimeDelta::days(1);
    world.clock.set_by(TimeDelta::seconds(-1801));
    let mut posting = world.posting("R1");
    posting.state = spend::posting::PostingState::Planned;
    posting.updated_at = world.clock.now();
    let mut batch = crate::store::Batch::new();
    batch.put_posting(posting);
    world.store().commit(batch).await.unwrap();
    assert_eq!(world.run().await.posted, 1);
    assert_eq!(asked_for(&world).len(), 1);
}

#[tokio::test]
async fn an_edited_record_is_booked_as_it_is_now() {
    let mut world = waiting(&["R1"]).await;
    world.source.edit("R1", |document| set_amount(document, 150));
    let report = world.run().await;
    assert_eq!((report.posted, report.held), (1, 0));
    assert_eq!(world.states("R1"), ["superseded", "acknowledged"]);
    assert_eq!(world.erp.books().documents[0].total.minor, 150);
    assert_sound(&world, &[]);
}

/// The window of ready records is a window of days of approval: the edited one may be behind it.
#[tokio::test]
async fn an_edited_record_is_taken_in_also_when_no_window_shows_it() {
    let mut world = World::new();
    world.report("R1", 100);
    world.faults.always(Call::LookUp, Fault::Fail(FailureClass::Unavailable));
    world.run().await;
    world.until_morning(25);
    world.report("R2", 200);
    world.run().await;
    world.faults.clear();
    world.source.edit("R1", |document| set_amount(document, 150));
    world.pass(3600);
    world.run().await;
    assert_eq!(world.states("R1"), ["superseded", "acknowledged"]);
    world.until_quiet().await;
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn an_edited_record_that_cannot_be_planned_any_more_is_held_and_nothing_is_written() {
    let mut world = waiting(&["R1"]).await;
    world.source.edit("R1", |document| document.lines[0].category = Some("Gifts".to_owned()));
    world.run().await;
    assert_eq!(world.states("R1"), ["superseded", "held"]);
    assert_eq!(world.erp.books().writes, 0);
}

#[tokio::test]
async fn an_edited_record_outside_of_what_was_agreed_to_is_left_for_a_later_run() {
    let mut world = waiting(&["R1"]).await;
    let agreed = world.flow().preview().await.unwrap().unwrap().agreed();
    world.source.edit("R1", |document| set_amount(document, 150));
    let report = world.flow().run_only("test", Some(agreed)).await.unwrap();
    assert_eq!((report.posted, report.left_out), (0, 1));
    world.pass(60);
    assert_eq!(world.run().await.posted, 1);
    assert_eq!(world.erp.books().documents[0].total.minor, 150);
}

#[tokio::test]
async fn an_edit_after_a_failed_attempt_never_writes_the_old_state() {
    let mut world = waiting_after_an_attempt().await;
    world.source.edit("R1", |document| set_amount(document, 150));
    let report = world.run().await;
    assert_eq!(report.posted, 1);
    assert_eq!(world.states("R1"), ["superseded", "acknowledged"]);
    assert_eq!(world.erp.books().documents[0].total.minor, 150);
    assert_sound(&world, &[]);
}

/// The change is told before the attempt is given up; then it is no change after a posting any more.
#[tokio::test]
async fn an_edit_that_was_told_as_a_change_is_booked_once_the_old_state_is_certainly_not() {
    let mut world = World::new();
    world.report("R1", 100);
    world.faults.once(Call::Post, Fault::Fail(FailureClass::NotSent));
    world.run().await;
    world.source.edit("R1", |document| set_amount(document, 150));
    world.settings.posting.backoff_base = TimeDelta::seconds(1);
    world.run().await;
    assert_eq!(world.states("R1"), ["waiting", "held"]);
    world.pass(1800);
    world.run().await;
    assert_eq!(world.states("R1"), ["superseded", "acknowledged"]);
    assert_eq!(world.erp.books().writes, 1);
    assert_eq!(world.erp.books().documents[0].total.minor, 150);
    assert_sound(&world, &[]);
}

/// Half a document of a withdrawn record stays for a person; of an edited one it is finished, and the edit is told.
#[tokio::test]
async fn what_was_begun_is_finished_for_an_edited_record_and_named_for_a_withdrawn_one() {
    for withdrawn in [false, true] {
        let mut world = World::new();
        world.report("R1", 100);
        world.faults.once(Call::Post, Fault::Half);
        world.run().await;
        // Until the settle window is over, the outcome is unknown; then the ERP is down.
        world.faults.always(Call::Post, Fault::Fail(FailureClass::NotSent));
        while world.states("R1") != ["waiting"] {
            assert!(matches!(world.states("R1")[..], ["in-doubt"]), "{:?}", world.states("R1"));
            world.pass(60);
            world.run().await;
        }
        world.faults.clear();
        if withdrawn {
            world.source.with("R1", |record| record.gone = true);
        } else {
            world.source.edit("R1", |document| set_amount(document, 150));
        }
        world.pass(1800);
        world.run().await;
        assert!(!asked_for(&world).is_empty());
        if withdrawn {
            let posting = world.posting("R1");
            assert_eq!(codes(&posting), ["no-longer-ready"]);
            let said = format!("{:?}", posting.state);
            assert!(said.contains("half-written in the ERP"), "{said}");
        } else {
            assert_eq!(world.states("R1"), ["acknowledged", "held"]);
            assert_eq!(codes(&world.postings_of("R1")[1]), ["changed-after-posting"]);
            assert_eq!(world.erp.books().documents[0].total.minor, 100);
            assert_sound(&world, &["changed-after-posting"]);
        }
    }
}

#[tokio::test]
async fn a_record_exported_by_somebody_else_is_held_and_stands_so_in_the_proof() {
    for mut world in [waiting(&["R1"]).await, waiting_after_an_attempt().await] {
        world.source.export_elsewhere("R1");
        assert_eq!(standing(&proof(&world).await, "R1"), Standing::ExportedElsewhere);
        let report = world.run().await;
        assert_eq!((report.posted, report.held), (0, 1));
        assert_eq!(codes(&world.posting("R1")), ["exported-elsewhere"]);
        assert_eq!(world.erp.books().writes, 0);
        let proof = proof(&world).await;
        assert_eq!(standing(&proof, "R1"), Standing::ExportedElsewhere);
        assert!(proof.agrees, "{proof:?}");
        let sums = proof.sums[&Currency::USD];
        assert_eq!((sums.source, sums.exported_elsewhere, sums.held, sums.pending), (100, 100, 0, 0));
        // Nothing ends it by itself.
        world.pass(86_400);
        assert_eq!(world.run().await.posted, 0);
        assert_sound(&world, &["exported-elsewhere"]);
    }
}

#[tokio::test]
async fn a_person_may_book_what_somebody_else_exported_and_is_told_first() {
    let mut world = World::new();
    world.report("R1", 100);
    world.source.edit("R1", |document| document.lines[0].category = Some("Gifts".to_owned()));
    world.run().await;
    world.source.edit("R1", |document| document.lines[0].category = Some("Gifts".to_owned()));
    world.source.export_elsewhere("R1");
    let Decided::StillHeld { findings } = replay(&world, "R1").await else { panic!("not told") };
    assert_eq!(findings[0].code.as_str(), "exported-elsewhere");
    // The word counts, also when the mapping is mended only afterwards, and however long it takes.
    let Decided::StillHeld { findings } = replay(&world, "R1").await else { panic!("planned") };
    assert_eq!(findings[0].code.as_str(), "category-unmapped");
    world.settings.rules.default_category = world.settings.rules.categories.get("Travel").cloned();
    assert_eq!(replay(&world, "R1").await, Decided::Planned);
    world.pass(86_400);
    assert_eq!(standing(&proof(&world).await, "R1"), Standing::Pending);
    assert_eq!(world.run().await.posted, 1);
    assert_eq!(standing(&proof(&world).await, "R1"), Standing::Booked);
}

#[tokio::test]
async fn what_the_erp_has_already_is_adopted_whatever_the_source_says() {
    let mut world = waiting(&["R1"]).await;
    let old_log = world.postings();
    world.run().await;
    assert_eq!(world.source.marked(), ["R1"]);
    // A store that was restored from before the booking.
    let mut batch = crate::store::Batch::new();
    batch.put_posting(old_log[0].clone());
    world.store().commit(batch).await.unwrap();
    world.pass(1800);
    let report = world.run().await;
    assert_eq!((report.adopted, report.posted, report.held), (1, 0, 0));
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn a_withdrawn_record_is_held_until_it_is_offered_again() {
    let mut world = waiting(&["R1"]).await;
    world.source.with("R1", |record| record.gone = true);
    let report = world.run().await;
    assert_eq!((report.posted, report.held), (0, 1));
    assert_eq!(codes(&world.posting("R1")), ["no-longer-ready"]);
    world.pass(1800);
    assert_eq!(world.run().await.posted, 0);
    world.source.with("R1", |record| record.gone = false);
    let preview = world.flow().preview().await.unwrap().unwrap();
    assert!(matches!(preview.lines[0].would, Would::Post { .. }), "{preview:?}");
    assert_eq!(world.run().await.posted, 1, "as the preview said");
    assert_eq!(world.states("R1"), ["acknowledged"]);
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn a_withdrawn_record_that_comes_back_edited_is_booked_as_it_is_then() {
    let mut world = waiting(&["R1"]).await;
    world.source.with("R1", |record| record.gone = true);
    world.run().await;
    world.source.edit("R1", |document| set_amount(document, 70));
    world.source.with("R1", |record| record.gone = false);
    world.run().await;
    assert_eq!(world.states("R1"), ["superseded", "acknowledged"]);
    assert_eq!(world.erp.books().documents[0].total.minor, 70);
}

#[tokio::test]
async fn a_reading_that_fails_lets_everything_wait_and_writes_nothing() {
    for class in [FailureClass::Unavailable, FailureClass::NotSent, FailureClass::Unauthorised] {
        let mut world = waiting(&["R1", "R2"]).await;
        world.settings.batch_size = 1;
        world.faults.always(Call::Read, Fault::Fail(class.clone()));
        let report = world.run().await;
        assert_eq!((report.posted, report.held), (0, 0), "{class:?}");
        assert!(!report.errors.is_empty(), "{class:?}");
        assert_eq!(world.erp.books().writes, 0);
        world.faults.clear();
        world.until_quiet().await;
        assert_eq!(world.erp.books().writes, 2);
        assert_sound(&world, &[]);
    }
}

#[tokio::test]
async fn a_source_that_is_down_is_asked_once_for_all_batches() {
    let ids: Vec<String> = (0..30).map(|n| format!("R{n:02}")).collect();
    let mut world = waiting(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.faults.always(Call::Read, Fault::Fail(FailureClass::NotSent));
    let before = world.faults.count(Call::Read);
    world.run().await;
    // Three batches wait for it; the window is asked for as in every run.
    assert_eq!(world.faults.count(Call::Read) - before, 2);
    assert_eq!(world.erp.books().writes, 0);
}

#[tokio::test]
async fn an_answer_that_is_not_whole_proves_nothing_gone() {
    let mut world = waiting(&["R1", "R2"]).await;
    world.source.with("R1", |record| record.gone = true);
    world.source.with("R2", |record| record.unreadable = Some("cut".to_owned()));
    world.source.set_nameless(1);
    let report = world.run().await;
    assert_eq!((report.posted, report.held), (0, 0));
    assert_eq!((world.states("R1"), world.states("R2")), (vec!["waiting"], vec!["waiting"]));
    world.source.set_nameless(0);
    world.source.with("R2", |record| record.unreadable = None);
    world.pass(1800);
    assert_eq!(world.run().await.posted, 1);
    assert_eq!(codes(&world.posting("R1")), ["no-longer-ready"]);
}

#[tokio::test]
async fn what_is_in_doubt_is_settled_by_look_up_alone() {
    let mut world = World::new();
    world.report("R1", 100);
    world.faults.once(Call::Post, Fault::LostAnswer);
    world.run().await;
    world.source.edit("R1", |document| set_amount(document, 150));
    world.pass(6 * 3600);
    world.run().await;
    assert!(asked_for(&world).is_empty());
    assert_eq!(world.states("R1"), ["acknowledged", "held"]);
    assert_sound(&world, &["changed-after-posting"]);
}

#[tokio::test]
async fn a_death_between_the_reading_and_the_newer_state_loses_nothing() {
    for wait in 1..30 {
        let mut world = waiting(&["R1"]).await;
        world.source.edit("R1", |document| set_amount(document, 150));
        world.run_until_wait(wait).await;
        world.until_quiet().await;
        assert_eq!(world.states("R1"), ["superseded", "acknowledged"], "died at wait {wait}");
        assert_eq!(world.erp.books().documents[0].total.minor, 150);
        assert_sound(&world, &[]);
    }
}
