//! What waits for a person: changes, findings and limits, each exactly once and visibly.

use super::faults::{Call, Fault};
use super::invariants::assert_sound;
use super::world::{World, codes, set_amount, usd};
use spend::guard::{GuardLimits, LimitPlace};
use spend::money::Currency;
use spend::posting::{FailureClass, PostingState};

#[tokio::test]
async fn a_change_after_posting_is_held_exactly_once() {
    let mut world = World::new();
    world.report("R1", 100);
    world.run().await;
    world.source.edit("R1", |document| set_amount(document, 150));
    world.pass(6 * 3600);
    let report = world.run().await;
    assert_eq!((report.changed, report.held), (1, 1));
    assert_eq!(world.states("R1"), ["acknowledged", "held"]);
    assert_eq!(codes(&world.postings_of("R1")[1]), ["changed-after-posting"]);
    for _ in 0..3 {
        world.pass(6 * 3600);
        let report = world.run().await;
        assert_eq!((report.changed, report.held), (0, 0));
    }
    assert_eq!(world.erp.books().writes, 1);
    assert_sound(&world, &["changed-after-posting"]);
}

#[tokio::test]
async fn a_second_change_after_posting_takes_the_place_of_the_first_and_an_edit_back_ends_both() {
    for marked in [true, false] {
        let mut world = World::new();
        world.report("R1", 100);
        world.run().await;
        for (cents, states) in [
            (150, ["acknowledged", "held", ""]),
            (160, ["acknowledged", "superseded", "held"]),
            (150, ["acknowledged", "held", "superseded"]),
            (100, ["acknowledged", "superseded", "superseded"]),
        ] {
            world.source.edit("R1", |document| set_amount(document, cents));
            // Found by the check for changes, or because the mark was lost.
            world.source.with("R1", |record| record.marked = marked);
            world.pass(6 * 3600);
            world.run().await;
            let states: Vec<_> = states.into_iter().filter(|state| !state.is_empty()).collect();
            assert_eq!(world.states("R1"), states, "{cents}, marked {marked}");
        }
        world.until_quiet().await;
        assert_eq!(world.erp.books().writes, 1);
        assert_sound(&world, &[]);
    }
}

#[tokio::test]
async fn a_change_of_a_record_whose_mark_was_lost_is_held_at_intake() {
    let mut world = World::new();
    world.report("R1", 100);
    world.faults.once(Call::Acknowledge, Fault::MarkLost);
    world.run().await;
    world.source.edit("R1", |document| set_amount(document, 150));
    world.pass(60);
    for _ in 0..3 {
        world.run().await;
        world.pass(60);
    }
    assert_eq!(world.states("R1"), ["acknowledged", "held"]);
    assert_eq!(world.erp.books().writes, 1);
}

#[tokio::test]
async fn a_change_while_the_outcome_is_in_doubt_is_held_and_the_first_state_is_settled() {
    let mut world = World::new();
    world.report("R1", 100);
    world.faults.once(Call::Post, Fault::LostAnswer);
    world.run().await;
    world.source.edit("R1", |document| set_amount(document, 150));
    world.until_quiet().await;
    assert_eq!(world.states("R1"), ["acknowledged", "held"]);
    assert_sound(&world, &["changed-after-posting"]);
}

#[tokio::test]
async fn a_change_before_posting_supersedes_the_older_state() {
    let mut world = World::new();
    world.report("R1", 100);
    world.faults.always(Call::LookUp, Fault::Fail(FailureClass::Unavailable));
    world.run().await;
    world.source.edit("R1", |document| set_amount(document, 150));
    world.faults.clear();
    world.until_quiet().await;
    assert_eq!(world.states("R1"), ["superseded", "acknowledged"]);
    assert_eq!(world.erp.documents()[0].total, usd(150));
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn a_record_that_is_edited_and_edited_back_is_posted_as_it_is_at_the_source() {
    let mut world = World::new();
    world.faults.always(Call::LookUp, Fault::Fail(FailureClass::Unavailable));
    for cents in [100, 150, 100] {
        world.report("R1", cents);
        world.run().await;
        world.pass(1);
    }
    world.faults.clear();
    world.until_quiet().await;
    assert_eq!(world.erp.documents()[0].total, usd(100));
    assert_eq!(world.states("R1"), ["acknowledged", "superseded"]);
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn a_record_that_is_edited_back_after_the_edit_was_posted_counts_as_changed() {
    let mut world = World::new();
    world.report("R1", 100);
    world.faults.always(Call::LookUp, Fault::Fail(FailureClass::Unavailable));
    world.run().await;
    world.report("R1", 150);
    world.faults.clear();
    world.run().await;
    world.report("R1", 100);
    world.pass(6 * 3600);
    world.until_quiet().await;
    assert_eq!(world.states("R1"), ["held", "acknowledged"]);
    assert_sound(&world, &["changed-after-posting"]);
}

#[tokio::test]
async fn an_unreadable_record_is_held_and_posted_once_it_can_be_read() {
    let mut world = World::new();
    world.report("R1", 100);
    world.source.with("R1", |record| record.unreadable = Some("line 1: amount is not a number".to_owned()));
    for _ in 0..2 {
        world.run().await;
        assert_eq!(codes(&world.posting("R1")), ["source-unreadable"]);
        world.pass(60);
    }
    world.source.with("R1", |record| record.unreadable = None);
    world.until_quiet().await;
    assert_eq!(world.states("R1"), ["superseded", "acknowledged"]);
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn a_foreign_document_under_the_reference_is_never_overwritten() {
    let mut world = World::new();
    world.report("R1", 100);
    world.run().await;
    let mut other = world.erp.documents().remove(0);
    let mut world = World::new();
    world.report("R1", 100);
    other.content = "something else".to_owned();
    world.erp.books().documents.push(other);
    world.run().await;
    assert_eq!(codes(&world.posting("R1")), ["erp-conflict"]);
    assert_eq!(world.erp.books().writes, 0);
    assert!(world.source.marked().is_empty());
}

#[tokio::test]
async fn a_document_that_is_in_the_erp_already_is_adopted() {
    // The store of yesterday: the ERP knows more than the log.
    let mut world = World::new();
    world.report("R1", 100);
    world.run().await;
    let there = world.erp.documents();
    let mut world = World::new();
    world.report("R1", 100);
    world.erp.books().documents = there;
    let report = world.run().await;
    assert_eq!((report.adopted, report.posted, report.acknowledged), (1, 0, 1));
    assert_eq!(world.erp.books().writes, 0);
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn a_document_beyond_the_limit_of_one_is_held() {
    let mut world = World::new();
    world.settings.guard.max_per_document = [(Currency::USD, usd(1_000))].into();
    world.report("BIG", 1_001);
    world.report("SMALL", 1_000);
    world.run().await;
    assert_eq!(codes(&world.posting("BIG")), ["guard-rail"]);
    assert_eq!(world.states("SMALL"), ["acknowledged"]);
    assert_sound(&world, &["guard-rail"]);
}

#[tokio::test]
async fn a_run_stops_at_its_limit_and_the_next_one_has_its_own() {
    let mut world = World::new();
    world.settings.batch_size = 1;
    world.settings.guard.max_per_run = [(Currency::USD, usd(250))].into();
    for id in ["A", "B", "C"] {
        world.report(id, 100);
    }
    let report = world.run().await;
    assert_eq!((report.posted, report.held), (2, 1));
    world.report("D", 250);
    world.pass(60);
    assert_eq!(world.run().await.posted, 1);
    assert_sound(&world, &["guard-rail"]);
}

#[tokio::test]
async fn the_limit_of_a_day_survives_a_restart_and_ends_with_the_day() {
    let mut world = World::new();
    world.settings.guard.max_per_day = [(Currency::USD, usd(250))].into();
    world.report("A", 200);
    world.run().await;
    world.reopen();
    world.report("B", 51);
    world.report("C", 50);
    world.pass(60);
    world.run().await;
    assert_eq!((world.states("B"), world.states("C")), (vec!["held"], vec!["acknowledged"]));
    world.pass(24 * 3600);
    world.report("D", 250);
    world.run().await;
    assert_eq!(world.states("D"), ["acknowledged"]);
    assert_sound(&world, &["guard-rail"]);
}

#[tokio::test]
async fn the_strictest_of_all_sets_of_limits_decides_and_says_where_it_is_written() {
    let mut world = World::new();
    world.settings.guard.max_per_document = [(Currency::USD, usd(1_000))].into();
    let machine = |most: i64| GuardLimits {
        max_per_document: [(Currency::USD, usd(most))].into(),
        max_documents_per_day: Some(2),
        place: LimitPlace::Machine,
        ..GuardLimits::default()
    };
    world.settings.machine = vec![machine(500), machine(2_000)];
    for (id, cents) in [("A", 1_001), ("B", 501), ("C", 500), ("D", 100)] {
        world.report(id, cents);
    }
    world.run().await;
    let of = |world: &World, id: &str| match world.posting(id).state {
        PostingState::Held(hold) => hold.findings.into_iter().map(|finding| finding.fix).collect(),
        _ => Vec::new(),
    };
    let (a, b) = (of(&world, "A"), of(&world, "B"));
    assert_eq!((a.len(), b.len()), (2, 1), "{a:?} {b:?}");
    assert!(a[0].contains("purser.toml") && a[1].contains("guard-rails.toml"), "{a:?}");
    assert!(b[0].contains("guard-rails.toml"), "{b:?}");
    assert_eq!((world.states("C"), world.states("D")), (vec!["acknowledged"], vec!["acknowledged"]));
    // The count of the day goes on after a restart and begins anew on the next.
    world.reopen();
    world.report("E", 100);
    world.pass(60);
    world.run().await;
    assert_eq!(world.states("E"), ["held"]);
    world.pass(24 * 3600);
    world.report("F", 100);
    world.run().await;
    assert_eq!(world.states("F"), ["acknowledged"]);
    assert_sound(&world, &["guard-rail"]);
}

#[tokio::test]
async fn the_limit_of_a_day_counts_a_claim_whose_answer_never_came() {
    let mut world = World::new();
    world.settings.guard.max_per_day = [(Currency::USD, usd(250))].into();
    world.report("A", 200);
    world.faults.once(Call::Post, Fault::DieAfter);
    world.run_or_die().await;
    world.faults.clear();
    world.report("B", 51);
    world.pass(60);
    world.until_quiet().await;
    assert_eq!((world.states("A"), world.states("B")), (vec!["acknowledged"], vec!["held"]));
}

#[tokio::test]
async fn the_limits_of_a_day_and_a_run_count_a_claim_that_is_made_again_once() {
    let mut world = World::new();
    world.settings.guard.max_per_day = [(Currency::USD, usd(250))].into();
    world.settings.guard.max_per_run = [(Currency::USD, usd(250))].into();
    world.settings.posting.backoff_base = chrono::TimeDelta::zero();
    world.settings.posting.backoff_max = chrono::TimeDelta::zero();
    world.report("A", 200);
    for _ in 0..3 {
        world.faults.always(Call::Post, Fault::Fail(FailureClass::NotSent));
        world.run().await;
        world.pass(5);
    }
    assert!(world.posting("A").attempts >= 3);
    world.faults.clear();
    world.report("B", 50);
    world.report("C", 1);
    world.run().await;
    assert_eq!((world.states("A"), world.states("B")), (vec!["acknowledged"], vec!["acknowledged"]));
    assert_eq!(world.states("C"), ["held"]);
    assert_sound(&world, &["guard-rail"]);
}

#[tokio::test]
async fn the_limit_of_a_day_does_not_begin_anew_when_the_clock_is_set_back() {
    let mut world = World::new();
    world.settings.guard.max_per_day = [(Currency::USD, usd(250))].into();
    world.report("A", 200);
    world.run().await;
    world.clock.set_by(chrono::TimeDelta::hours(-12));
    world.report("B", 51);
    world.pass(60);
    world.run().await;
    assert_eq!(world.states("B"), ["held"]);
    // After a real day the limit is free again, whatever the clock says.
    world.report("C", 250);
    world.clock.set_by(chrono::TimeDelta::hours(-48));
    world.pass(24 * 3600);
    world.report("C", 250);
    world.run().await;
    assert_eq!(world.states("C"), ["acknowledged"]);
    assert_sound(&world, &["guard-rail"]);
}

#[tokio::test]
async fn too_many_failures_hold_a_record() {
    let mut world = World::new();
    world.settings.posting.max_failures = 3;
    world.report("R1", 100);
    world.faults.always(Call::LookUp, Fault::Fail(FailureClass::Unavailable));
    for _ in 0..5 {
        world.run().await;
        world.pass(1800);
    }
    assert_eq!(codes(&world.posting("R1")), ["attempts-exhausted"]);
    assert_sound(&world, &["attempts-exhausted"]);
}
