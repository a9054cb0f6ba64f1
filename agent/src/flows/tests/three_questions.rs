//! Every step of a run is asked three times: what if it runs twice, what if the process dies just there, what if the
//! answer is lost.

use super::faults::{Call, Fault};
use super::invariants::assert_sound;
use super::world::{Ended, World, moment, set_amount};
use chrono::TimeDelta;
use spend::posting::FailureClass;

/// Eight reports, of which one cannot be planned, one is edited after it was posted and one edited back before; batches of two, pages of
/// four.
async fn prepared() -> World {
    let mut world = World::new();
    world.settings.batch_size = 2;
    world.settings.page_size = 4;
    world.settings.posting.rewrite_without_uniqueness = true;
    edited_back(&mut world).await;
    world.report("EDIT", 4_000);
    world.run().await;
    world.source.edit("EDIT", |document| set_amount(document, 5_000));
    for n in 0..5 {
        world.report(&format!("R{n}"), 1_000 + n);
    }
    world.report("ODD", 700);
    world.source.edit("ODD", |document| document.lines[0].category = Some("Unheard of".to_owned()));
    world.report("BACK", 300);
    // Old enough for the change check to be due.
    world.pass(7 * 3600);
    world
}

/// A report that was edited while the ERP told everybody to wait; it is edited back later.
async fn edited_back(world: &mut World) {
    let until = moment("2026-01-15T18:00:00Z");
    world.faults.always(Call::LookUp, Fault::Fail(FailureClass::Throttled { until }));
    for cents in [300, 350] {
        world.report("BACK", cents);
        world.run().await;
    }
    world.faults.clear();
    assert_eq!(world.states("BACK"), ["superseded", "waiting"]);
}

const HELD: &[&str] = &["category-unmapped", "changed-after-posting"];

async fn end_well(mut world: World) {
    world.faults.clear();
    world.until_quiet().await;
    assert_sound(&world, HELD);
    assert_eq!(world.erp.documents().len(), 7, "all but the one that cannot be planned");
    assert_eq!(world.source.marked().len(), 7);
    assert_eq!(world.states("BACK"), ["acknowledged", "superseded"]);
}

async fn steps_of_a_run() -> u64 {
    let mut world = prepared().await;
    let before = world.faults.steps();
    world.run().await;
    let steps = world.faults.steps() - before;
    end_well(world).await;
    steps
}

/// Whether the step was reached at all.
async fn with_fault_at(nth: u64, unique: bool, fault: Fault, again: bool) -> bool {
    let mut world = prepared().await;
    world.erp.books().unique = unique;
    let target = world.faults.steps() + nth;
    world.faults.script(move |step, _| if step == target { fault.clone() } else { Fault::None });
    let mut last = world.run_or_die().await;
    let reached = world.faults.steps() >= target;
    if again {
        last = world.run_or_die().await;
    }
    drop(last);
    end_well(world).await;
    reached
}

async fn at_every_step(fault: Fault) {
    let steps = steps_of_a_run().await;
    assert!(steps > 15, "{steps} steps");
    for nth in 1..=steps {
        for unique in [true, false] {
            assert!(with_fault_at(nth, unique, fault.clone(), nth % 2 == 0).await, "step {nth}");
        }
    }
}

#[tokio::test]
async fn a_run_that_dies_before_any_of_its_calls_leaves_a_state_that_ends_well() {
    at_every_step(Fault::DieBefore).await;
}

#[tokio::test]
async fn a_run_that_dies_just_after_any_of_its_calls_leaves_a_state_that_ends_well() {
    at_every_step(Fault::DieAfter).await;
}

#[tokio::test]
async fn the_answer_to_any_call_may_be_lost() {
    at_every_step(Fault::LostAnswer).await;
}

#[tokio::test]
async fn a_write_may_commit_long_after_its_connection_is_gone_at_any_step() {
    for seconds in [6, 60, 119] {
        at_every_step(Fault::Late(TimeDelta::seconds(seconds))).await;
    }
}

#[tokio::test]
async fn a_write_may_stop_half_way_at_any_step() {
    at_every_step(Fault::Half).await;
}

#[tokio::test]
async fn every_step_may_be_run_twice() {
    let mut world = prepared().await;
    world.run().await;
    let documents = world.erp.documents();
    let writes = world.erp.books().writes;
    for _ in 0..3 {
        world.pass(30);
        world.run().await;
    }
    assert_eq!(world.erp.documents(), documents);
    assert_eq!(world.erp.books().writes, writes);
    end_well(world).await;
}

#[tokio::test]
async fn a_run_that_dies_while_any_of_its_commits_is_under_way_leaves_a_state_that_ends_well() {
    let (mut died, mut survived) = (0, 0);
    // A commit that is done before the run looks is not waited for; a few more runs show whether that was luck.
    while survived < 5 {
        let mut world = prepared().await;
        let ended = world.run_until_wait(died + 1).await;
        end_well(world).await;
        match ended {
            Ended::Died => (died, survived) = (died + 1, 0),
            Ended::Report(_) => survived += 1,
        }
    }
    assert!(died >= 5, "only {died} commits were waited for");
}

/// The next process dies as well: at every pair of steps of the two runs that write.
#[tokio::test]
async fn two_deaths_in_a_row_leave_a_state_that_ends_well() {
    for first in (1..=24).step_by(3) {
        for second in (1..=12).step_by(2) {
            let mut world = prepared().await;
            let die_at = world.faults.steps() + first;
            world.faults.script(move |step, _| if step == die_at { Fault::DieAfter } else { Fault::None });
            world.run_or_die().await;
            let die_at = world.faults.steps() + second;
            world.faults.script(move |step, _| if step == die_at { Fault::DieAfter } else { Fault::None });
            world.run_or_die().await;
            end_well(world).await;
        }
    }
}

/// Sheet of faults: F4, every write is answered with a cut, the ERP without a rule against duplicates.
#[tokio::test]
async fn every_write_may_lose_its_answer_at_once() {
    for unique in [true, false] {
        let mut world = prepared().await;
        world.erp.books().unique = unique;
        world.faults.always(Call::Post, Fault::LostAnswer);
        for _ in 0..5 {
            world.run().await;
            world.pass(40);
        }
        end_well(world).await;
    }
}
