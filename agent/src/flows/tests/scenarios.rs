//! The posting protocol, case by case.

use super::faults::{Call, Fault};
use super::invariants::assert_sound;
use super::world::{World, codes, moment, set_amount, usd};
use crate::flows::RunError;
use crate::store::StoreError;
use chrono::TimeDelta;
use spend::posting::{FailureClass, PostingState};

#[tokio::test]
async fn approved_reports_are_posted_marked_and_audited() {
    let mut world = World::new();
    for n in 0..25 {
        world.report(&format!("R{n:02}"), 100 + n);
    }
    let report = world.run().await;
    assert_eq!((report.read, report.new, report.planned), (25, 25, 25));
    assert_eq!((report.posted, report.acknowledged, report.adopted), (25, 25, 0));
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(world.erp.documents().len(), 25);
    assert_eq!(world.source.marked().len(), 25);
    for posting in world.postings() {
        let PostingState::Acknowledged { receipt, .. } = &posting.state else { panic!("{posting:?}") };
        assert_eq!(world.source.receipts.lock().unwrap()[&posting.source_id], *receipt);
    }
    assert_sound(&world, &[]);
    let entries = world.store().audit().of_posting(&world.key("R07")).unwrap();
    let events: Vec<&str> = entries.iter().filter_map(|e| e.draft.detail["event"].as_str()).collect();
    assert_eq!(events, ["planned", "looked-up", "claimed", "post-answered", "acknowledged"]);
}

#[tokio::test]
async fn a_second_run_posts_nothing_and_does_not_call_the_erp() {
    let mut world = World::new();
    world.report("R1", 100);
    world.run().await;
    let erp_calls = |world: &World| {
        [Call::LookUp, Call::Post, Call::Reference, Call::ReadBack].map(|call| world.faults.count(call))
    };
    let before = erp_calls(&world);
    world.pass(60);
    let report = world.run().await;
    assert_eq!(erp_calls(&world), before);
    assert_eq!((report.posted, report.planned, report.read), (0, 0, 0));
}

#[tokio::test]
async fn reference_data_is_read_again_when_it_is_old() {
    let mut world = World::new();
    world.run().await;
    world.pass(3599);
    world.run().await;
    assert_eq!(world.faults.count(Call::Reference), 1);
    world.pass(1);
    world.run().await;
    assert_eq!(world.faults.count(Call::Reference), 2);
}

#[tokio::test]
async fn report_is_posted_once_when_the_answer_is_lost() {
    for unique in [true, false] {
        let mut world = World::new();
        world.erp.books().unique = unique;
        world.report("R1", 100);
        world.faults.once(Call::Post, Fault::LostAnswer);
        let report = world.run().await;
        assert_eq!((report.posted, report.in_doubt), (0, 1));
        assert!(world.source.marked().is_empty());
        world.pass(10);
        let report = world.run().await;
        assert_eq!((report.posted, report.adopted, report.acknowledged), (0, 1, 1));
        assert_eq!(world.erp.books().writes, 1);
        assert_sound(&world, &[]);
    }
}

#[tokio::test]
async fn a_late_commit_is_waited_for_and_adopted() {
    for unique in [true, false] {
        for late in [6, 60, 119] {
            let mut world = World::new();
            world.erp.books().unique = unique;
            world.report("R1", 100);
            world.faults.once(Call::Post, Fault::Late(TimeDelta::seconds(late)));
            world.run().await;
            for _ in 0..40 {
                assert_eq!(world.erp.books().writes, 1, "no second write, {late} s");
                world.pass(5);
                world.run().await;
            }
            assert_eq!(world.states("R1"), ["acknowledged"]);
            assert_sound(&world, &[]);
        }
    }
}

#[tokio::test]
async fn an_absent_document_is_written_again_after_the_window_where_the_erp_refuses_duplicates() {
    let mut world = World::new();
    world.report("R1", 100);
    world.faults.once(Call::Post, Fault::Fail(FailureClass::InDoubt));
    world.run().await;
    let mut waited = 0;
    while world.erp.documents().is_empty() {
        world.pass(5);
        waited += 5;
        world.run().await;
        assert!(waited < 1000);
    }
    // The settle window, then two look-ups thirty seconds apart.
    assert!((150..=200).contains(&waited), "{waited} s");
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn a_clock_that_is_set_forward_does_not_end_the_wait_for_a_late_commit() {
    let mut world = World::new();
    world.erp.books().unique = false;
    world.settings.posting.rewrite_without_uniqueness = true;
    world.report("R1", 100);
    world.faults.once(Call::Post, Fault::Late(TimeDelta::seconds(110)));
    world.run().await;
    world.clock.set_by(TimeDelta::days(1));
    for _ in 0..60 {
        assert_eq!(world.erp.books().writes, 1, "no second write");
        world.pass(5);
        world.run().await;
    }
    assert_eq!(world.states("R1"), ["acknowledged"]);
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn a_move_to_a_machine_that_was_up_for_long_does_not_end_the_wait_for_a_late_commit() {
    let mut world = World::new();
    world.erp.books().unique = false;
    world.settings.posting.rewrite_without_uniqueness = true;
    world.report("R1", 100);
    world.faults.once(Call::Post, Fault::Late(TimeDelta::seconds(110)));
    world.run().await;
    world.clock.move_house();
    world.reopen();
    for _ in 0..60 {
        assert_eq!(world.erp.books().writes, 1, "no second write");
        world.pass(5);
        world.run().await;
    }
    assert_eq!(world.states("R1"), ["acknowledged"]);
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn an_absent_document_is_held_in_doubt_where_the_erp_does_not_refuse_duplicates() {
    let mut world = World::new();
    world.erp.books().unique = false;
    world.report("R1", 100);
    world.faults.once(Call::Post, Fault::Fail(FailureClass::InDoubt));
    world.until_quiet().await;
    assert_eq!(codes(&world.posting("R1")), ["outcome-unknown"]);
    assert!(world.erp.documents().is_empty() && world.source.marked().is_empty());
    assert_sound(&world, &["outcome-unknown"]);
}

#[tokio::test]
async fn an_absent_document_is_written_again_without_uniqueness_only_when_that_is_allowed() {
    let mut world = World::new();
    world.erp.books().unique = false;
    world.settings.posting.rewrite_without_uniqueness = true;
    world.report("R1", 100);
    world.faults.once(Call::Post, Fault::Fail(FailureClass::InDoubt));
    world.until_quiet().await;
    assert_eq!(world.states("R1"), ["acknowledged"]);
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn a_failed_mark_is_retried_alone() {
    for fault in [
        Fault::Fail(FailureClass::Unavailable),
        Fault::Fail(FailureClass::NotSent),
        Fault::Fail(FailureClass::Rejected { findings: Vec::new() }),
        Fault::LostAnswer,
    ] {
        let mut world = World::new();
        world.report("R1", 100);
        world.faults.once(Call::Acknowledge, fault);
        let report = world.run().await;
        assert_eq!((report.posted, report.acknowledged), (1, 0));
        assert_eq!(world.states("R1"), ["posted"]);
        let erp_calls = world.faults.count(Call::LookUp) + world.faults.count(Call::Post);
        world.pass(60);
        let report = world.run().await;
        assert_eq!((report.posted, report.acknowledged), (0, 1));
        assert_eq!(world.faults.count(Call::LookUp) + world.faults.count(Call::Post), erp_calls);
        assert_sound(&world, &[]);
    }
}

#[tokio::test]
async fn records_that_the_source_did_not_mark_are_marked_later() {
    let mut world = World::new();
    for n in 0..6 {
        world.report(&format!("R{n}"), 100);
    }
    world.faults.once(Call::Acknowledge, Fault::MarkSome);
    let report = world.run().await;
    assert_eq!((report.posted, report.acknowledged), (6, 3));
    world.until_quiet().await;
    assert_eq!(world.source.marked().len(), 6);
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn a_mark_that_the_source_lost_is_set_again_and_nothing_is_posted_twice() {
    let mut world = World::new();
    world.report("R1", 100);
    world.faults.once(Call::Acknowledge, Fault::MarkLost);
    let report = world.run().await;
    assert_eq!(report.acknowledged, 1);
    assert!(world.source.marked().is_empty());
    world.pass(60);
    world.run().await;
    assert_eq!(world.source.marked(), ["R1"]);
    assert_eq!(world.erp.books().writes, 1);
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn a_poison_record_does_not_stop_the_others() {
    let mut world = World::new();
    for n in 0..30 {
        world.report(&format!("R{n:02}"), 100);
    }
    world.erp.books().refuses.push("R07".to_owned());
    world.source.edit("R11", |document| document.lines[0].category = None);
    world.source.with("R13", |record| record.unreadable = Some("line 3: no amount".to_owned()));
    let report = world.run().await;
    assert_eq!((report.posted, report.held, report.unreadable), (27, 3, 1));
    assert_eq!(codes(&world.posting("R07")), ["erp-refused"]);
    assert_eq!(codes(&world.posting("R11")), ["category-missing"]);
    assert_eq!(codes(&world.posting("R13")), ["source-unreadable"]);
    world.until_quiet().await;
    assert_sound(&world, &["erp-refused", "category-missing", "source-unreadable"]);
}

#[tokio::test]
async fn nothing_is_taken_in_without_reference_data_and_due_work_is_still_done() {
    let mut world = World::new();
    world.report("R1", 100);
    world.faults.once(Call::Post, Fault::LostAnswer);
    world.run().await;
    world.report("R2", 200);
    world.pass(2 * 3600);
    world.faults.always(Call::Reference, Fault::Fail(FailureClass::Unavailable));
    let report = world.run().await;
    assert_eq!((report.adopted, report.acknowledged, report.new), (1, 1, 0));
    assert!(world.postings_of("R2").is_empty());
    assert_eq!(report.errors.len(), 1, "{:?}", report.errors);
    world.faults.clear();
    world.until_quiet().await;
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn throttled_calls_wait_until_the_erp_says_and_end_the_calls_of_the_run() {
    let mut world = World::new();
    for n in 0..8 {
        world.report(&format!("R{n}"), 100);
    }
    world.settings.batch_size = 2;
    let until = moment("2026-01-15T08:20:00Z");
    world.faults.always(Call::Post, Fault::Fail(FailureClass::Throttled { until }));
    world.run().await;
    assert!(world.faults.count(Call::Post) <= 2, "the first refusal ends the calls of this run");
    world.faults.clear();
    let posts = world.faults.count(Call::Post);
    let throttled =
        world.postings().iter().filter(|p| matches!(p.state, PostingState::Waiting { .. })).count();
    world.pass(19 * 60);
    world.run().await;
    assert_eq!(world.faults.count(Call::Post) - posts, 8 - throttled, "throttled ones wait");
    world.pass(61);
    world.run().await;
    assert_eq!(world.erp.documents().len(), 8);
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn a_refused_credential_ends_the_calls_of_the_run() {
    let mut world = World::new();
    for n in 0..20 {
        world.report(&format!("R{n:02}"), 100);
    }
    world.settings.batch_size = 4;
    world.faults.always(Call::LookUp, Fault::Fail(FailureClass::Unauthorised));
    world.run().await;
    assert!(world.faults.count(Call::LookUp) <= 4, "{} calls", world.faults.count(Call::LookUp));
    assert_eq!(world.postings().len(), 20, "all are taken in");
    world.faults.clear();
    world.until_quiet().await;
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn a_run_that_could_read_neither_side_says_that_it_could_not_begin() {
    let mut world = World::new();
    world.report("R1", 100);
    let until = world.clock.now() + TimeDelta::seconds(5);
    let table = [
        (Call::Reference, FailureClass::NotSent, true),
        (Call::Reference, FailureClass::Unavailable, false),
        (Call::Read, FailureClass::Unauthorised, true),
        (Call::Read, FailureClass::Rejected { findings: Vec::new() }, true),
        (Call::Read, FailureClass::Throttled { until }, false),
        // What the source gave is there: it waits for the ERP.
        (Call::LookUp, FailureClass::Unauthorised, false),
    ];
    for (call, class, expected) in table {
        world.faults.always(call, Fault::Fail(class.clone()));
        let report = world.run().await;
        assert_eq!(report.could_not_begin, expected, "{call:?} {class:?}: {report:?}");
        assert!(!report.is_clean());
    }
    world.faults.clear();
    world.until_quiet().await;
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn a_source_that_refuses_marks_does_not_keep_the_erp_from_being_settled() {
    let mut world = World::new();
    world.settings.batch_size = 2;
    for n in 0..6 {
        world.report(&format!("A{n}"), 100);
    }
    world.faults.always(Call::Acknowledge, Fault::Fail(FailureClass::NotSent));
    world.run().await;
    // One write in doubt, due after all those marks.
    world.report("B", 100);
    world.faults.script(|_, call| match call {
        Call::Acknowledge => Fault::Fail(FailureClass::NotSent),
        Call::Post => Fault::LostAnswer,
        _ => Fault::None,
    });
    world.run().await;
    assert_eq!(world.states("B"), ["in-doubt"]);
    world.pass(3600);
    world.faults.always(Call::Acknowledge, Fault::Fail(FailureClass::NotSent));
    world.run().await;
    assert_eq!(world.states("B"), ["posted"]);
    world.faults.clear();
    world.until_quiet().await;
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn a_graceful_stop_in_the_middle_releases_claims_that_were_not_sent() {
    let mut world = World::new();
    for n in 0..10 {
        world.report(&format!("R{n}"), 100);
    }
    let stop = world.stop.clone();
    let mut writes = 0;
    world.faults.script(move |_, call| {
        writes += u32::from(call == Call::Post);
        if writes == 3 {
            stop.send_replace(true);
        }
        Fault::None
    });
    world.run().await;
    let written = world.erp.documents().len();
    assert!((3..=4).contains(&written), "{written}");
    let planned: Vec<_> =
        world.postings().into_iter().filter(|p| matches!(p.state, PostingState::Planned)).collect();
    assert_eq!(planned.len(), 10 - written);
    assert!(planned.iter().all(|p| p.attempts == 0), "an unsent claim is no attempt");
    world.stop.send_replace(false);
    world.faults.clear();
    world.until_quiet().await;
    assert_eq!(world.erp.books().writes, 10);
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn a_flow_that_is_stopped_writes_to_nobody() {
    let mut world = World::new();
    world.report("R1", 100);
    world.stop.send_replace(true);
    world.run().await;
    assert_eq!(world.faults.calls(), []);
}

#[tokio::test]
async fn a_life_that_was_replaced_does_not_touch_what_its_successor_wrote() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let mut world = World::new();
    world.report("R1", 100);
    // The ERP can be asked, the write waits.
    world.faults.once(Call::Post, Fault::Fail(FailureClass::NotSent));
    world.run().await;
    assert_eq!(world.states("R1"), ["waiting"]);
    world.pass(60);
    // The old life's look-up hangs; meanwhile another life begins a write, whose answer it does not know yet.
    let current = Arc::new(AtomicBool::new(true));
    let lease = Arc::clone(&current);
    let old = world.flow().while_current(move || lease.load(Ordering::SeqCst));
    let store = world.store().clone();
    let policy = world.settings.posting.clone();
    let posting = world.posting("R1");
    let now = world.clock.reading();
    world.faults.script(move |_, call| {
        if call == Call::LookUp && current.swap(false, Ordering::SeqCst) {
            let claimed = posting.apply(spend::posting::Event::Claimed, &policy, 0.5, &now).unwrap();
            let mut batch = crate::store::Batch::new();
            batch.put_posting(claimed);
            store.commit_blocking(batch).unwrap();
            return Fault::Fail(FailureClass::Unavailable);
        }
        Fault::None
    });
    let _ = old.run("test").await;
    assert_eq!(world.states("R1"), ["claimed"]);
}

#[tokio::test]
async fn a_disk_that_fails_under_a_claim_or_an_answer_loses_and_doubles_nothing() {
    for at in [Call::LookUp, Call::Post] {
        let mut world = World::new();
        world.report("R1", 100);
        world.report("R2", 100);
        let (store, mut fails) = (world.store().clone(), true);
        world.faults.script(move |_, call| {
            if call == at && std::mem::take(&mut fails) {
                store.fail_next_commit(std::io::Error::other("Input/output error (os error 5)"));
            }
            Fault::None
        });
        let error = world.flow().run("test").await.unwrap_err();
        assert!(matches!(&error, RunError::Store(StoreError::Poisoned { .. })), "{error:?}");
        // The commit after the look-ups is the claim: without it nothing was written.
        assert_eq!(world.erp.books().writes, if at == Call::LookUp { 0 } else { 2 });
        assert!(world.source.marked().is_empty());
        world.faults.clear();
        world.reopen();
        world.until_quiet().await;
        assert_eq!(world.erp.books().writes, 2);
        assert_eq!(world.source.marked().len(), 2);
        assert_sound(&world, &[]);
    }
}

#[tokio::test]
async fn pages_are_read_to_the_end_even_when_held_records_fill_them() {
    let mut world = World::new();
    world.settings.page_size = 3;
    for n in 0..20 {
        world.report(&format!("A{n:02}"), 100);
        world.source.edit(&format!("A{n:02}"), |document| document.lines[0].category = None);
    }
    world.run().await;
    for n in 0..5 {
        world.report(&format!("B{n}"), 100);
    }
    world.pass(60);
    let report = world.run().await;
    assert_eq!(report.posted, 5);
    assert_sound(&world, &["category-missing"]);
}

#[tokio::test]
async fn held_records_that_come_back_leave_room_for_a_whole_page_of_others() {
    let mut world = World::new();
    world.settings.page_size = 4;
    for n in 0..3 {
        world.report(&format!("A{n}"), 100);
        world.source.edit(&format!("A{n}"), |document| document.lines[0].category = None);
    }
    for n in 0..12 {
        world.report(&format!("B{n:02}"), 100);
    }
    let report = world.run().await;
    assert_eq!((report.posted, report.held), (12, 3));
    // Three of the first page are held: one more of each later page is asked for per held record.
    assert_eq!(*world.source.limits.lock().unwrap(), [4, 4, 7, 7, 7]);
    assert_sound(&world, &["category-missing"]);
}

#[tokio::test]
async fn the_high_water_mark_stands_still_until_a_reading_was_complete() {
    let mut world = World::new();
    world.settings.page_size = 2;
    for n in 0..6 {
        world.report(&format!("R{n}"), 100);
    }
    let mut reads = 0;
    world.faults.script(move |_, call| {
        reads += u32::from(call == Call::Read);
        if call == Call::Read && reads == 2 { Fault::Fail(FailureClass::Unavailable) } else { Fault::None }
    });
    world.run().await;
    let flow = world.settings.flow().clone();
    assert_eq!(world.store().watermark(&flow).unwrap(), None);
    world.faults.clear();
    world.run().await;
    assert!(world.store().watermark(&flow).unwrap().is_some());
    assert_eq!(world.erp.documents().len(), 6);
}

#[tokio::test]
async fn a_broken_record_without_an_id_keeps_the_high_water_mark_where_it_is() {
    let mut world = World::new();
    world.report("R1", 100);
    world.source.set_nameless(1);
    let report = world.run().await;
    assert_eq!((report.posted, report.errors.len()), (1, 1));
    assert_eq!(world.store().watermark(world.settings.flow()).unwrap(), None);
}

#[tokio::test]
async fn a_date_of_approval_in_the_future_does_not_carry_the_high_water_mark_along() {
    let mut world = World::new();
    let today = world.clock.now().date_naive();
    world.source.shift(super::world::document("ODD", "2099-01-01".parse().unwrap(), 100));
    world.run().await;
    let mark = world.store().watermark(world.settings.flow()).unwrap();
    assert!(mark.is_none_or(|mark| mark.through <= today), "{mark:?}");
}

#[tokio::test]
async fn two_states_of_a_record_on_one_page_are_not_both_posted() {
    let mut world = World::new();
    world.report("R1", 100);
    let mut older = world.source.with("R1", |record| record.document.clone());
    set_amount(&mut older, 90);
    world.source.shift(older);
    world.run().await;
    assert_eq!(world.erp.documents().len(), 1);
}

#[tokio::test]
async fn the_erp_holds_the_amount_of_the_report_to_the_cent() {
    let mut world = World::new();
    for (id, cents) in [("A", 1), ("B", 99_999_999_999), ("C", -4_250)] {
        world.report(id, cents);
    }
    world.run().await;
    let mut totals: Vec<_> = world.erp.documents().iter().map(|d| d.total).collect();
    totals.sort_by_key(|total| total.minor);
    assert_eq!(totals, [usd(-4_250), usd(1), usd(99_999_999_999)]);
}
