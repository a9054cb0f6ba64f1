//! A wall clock that was far ahead for a while and is set right again: nothing sleeps until the wrong time comes.

use super::faults::{Call, Fault};
use super::invariants::assert_sound;
use super::world::{World, set_amount};
use crate::vendors::SourceHabits;
use chrono::TimeDelta;
use spend::posting::FailureClass;

const AHEAD: TimeDelta = TimeDelta::days(365);

/// A world in which something goes wrong while the clock is a year ahead, and whose clock is right again.
async fn after_a_year_ahead(call: Call, fault: Fault) -> World {
    let mut world = World::new();
    world.report("R1", 100);
    world.clock.set_by(AHEAD);
    world.faults.once(call, fault);
    world.run().await;
    world.clock.set_by(-AHEAD);
    world
}

#[tokio::test]
async fn what_was_left_open_while_the_clock_was_ahead_is_settled_in_its_time() {
    for (call, fault) in [
        (Call::Post, Fault::LostAnswer),
        (Call::Post, Fault::Fail(FailureClass::InDoubt)),
        (Call::Post, Fault::Fail(FailureClass::Unauthorised)),
        (Call::LookUp, Fault::Fail(FailureClass::Unavailable)),
        (Call::Acknowledge, Fault::Fail(FailureClass::Unavailable)),
    ] {
        let mut world = after_a_year_ahead(call, fault.clone()).await;
        assert_eq!(
            world.store().next_due(world.settings.flow()).unwrap(),
            Some(world.clock.now()),
            "{fault:?}"
        );
        let mut waited = 0;
        while world.states("R1") != ["acknowledged"] {
            world.run().await;
            let Some(due) = world.store().next_due(world.settings.flow()).unwrap() else { continue };
            let pause = (due - world.clock.now()).num_seconds().max(0) + 1;
            world.pass(pause);
            waited += pause;
            assert!(waited < 300, "{call:?} {fault:?}: {:?}", world.posting("R1"));
        }
        assert_sound(&world, &[]);
    }
}

#[tokio::test]
async fn edits_and_what_waits_for_long_are_looked_for_after_the_clock_was_set_right() {
    let mut world = World::new();
    *world.source.habits.lock().unwrap() = SourceHabits { sweep_days: 14, ..SourceHabits::default() };
    world.report("R1", 100);
    world.run().await;
    world.clock.set_by(AHEAD);
    world.run().await;
    world.run().await;
    world.clock.set_by(-AHEAD);
    world.source.edit("R1", |document| set_amount(document, 150));
    world.source.asked_from.lock().unwrap().clear();
    world.run().await;
    assert_eq!(world.postings_of("R1").len(), 2, "the edit was found");
    let wide = world.clock.now().date_naive() - chrono::Days::new(14);
    assert_eq!(world.source.asked_from.lock().unwrap().first(), Some(&wide));
}
