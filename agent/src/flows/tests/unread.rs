//! What could not be read is read later, without anybody asking for it again.

use super::faults::{Call, Fault};
use super::invariants::assert_sound;
use super::world::{Ended, World};
use crate::flows::unread;
use chrono::TimeDelta;
use spend::posting::FailureClass;

/// Runs whenever the last run said so, as the scheduler would, and nobody else.
async fn left_alone(world: &mut World) -> Vec<i64> {
    let mut pauses = Vec::new();
    while let Some(due) = unread::again_at(world.store(), world.settings.flow()).unwrap() {
        let pause = due - world.clock.now();
        assert!(TimeDelta::zero() <= pause && pause <= world.settings.posting.backoff_max, "{pause}");
        assert!(pauses.len() < 50, "{pauses:?}");
        pauses.push(pause.num_milliseconds());
        world.pass(pause.num_seconds() + 1);
        world.run().await;
    }
    pauses
}

#[tokio::test]
async fn a_source_or_reference_data_that_cannot_be_read_is_read_again_by_itself() {
    for call in [Call::Read, Call::Reference] {
        for class in [
            FailureClass::Unavailable,
            FailureClass::NotSent,
            FailureClass::InDoubt,
            FailureClass::Unauthorised,
            FailureClass::Rejected { findings: Vec::new() },
        ] {
            let mut world = World::new();
            world.report("R1", 100);
            world.faults.once(call, Fault::Fail(class.clone()));
            let report = world.run().await;
            assert_eq!((report.errors.len(), report.new), (1, 0), "{call:?} {class:?}");
            assert!(report.next_due.is_some(), "{call:?} {class:?}");
            world.reopen();
            assert_eq!(left_alone(&mut world).await.len(), 1, "{call:?} {class:?}");
            assert_eq!(world.states("R1"), ["acknowledged"], "{call:?} {class:?}");
            assert_eq!(world.run().await.next_due, None);
            assert_sound(&world, &[]);
        }
    }
}

#[tokio::test]
async fn the_delay_grows_and_a_vendor_that_says_when_is_believed() {
    let mut world = World::new();
    world.faults.always(Call::Read, Fault::Fail(FailureClass::Unavailable));
    world.run().await;
    let mut pauses = Vec::new();
    for _ in 0..14 {
        let due = unread::again_at(world.store(), world.settings.flow()).unwrap().unwrap();
        pauses.push((due - world.clock.now()).num_seconds());
        world.pass(pauses.last().unwrap() + 1);
        world.run().await;
    }
    assert!(pauses[..2].iter().all(|pause| *pause <= 10), "{pauses:?}");
    assert!(pauses[8..].iter().sum::<i64>() > 8 * pauses[..4].iter().sum::<i64>(), "{pauses:?}");
    let until = world.clock.now() + TimeDelta::seconds(777);
    world.faults.always(Call::Read, Fault::Fail(FailureClass::Throttled { until }));
    assert_eq!(world.run().await.next_due, Some(until));
}

#[tokio::test]
async fn a_run_that_was_stopped_before_it_read_everything_is_due_at_once() {
    let mut world = World::new();
    world.report("R1", 100);
    world.stop.send_replace(true);
    let report = world.run().await;
    assert_eq!((report.read, report.next_due), (0, Some(world.clock.now())));
    world.stop.send_replace(false);
    assert_eq!(world.run().await.next_due, None);
    assert_eq!(world.states("R1"), ["acknowledged"]);
}

#[tokio::test]
async fn a_run_that_died_before_it_read_everything_is_due_at_the_next_start() {
    let mut world = World::new();
    world.report("R1", 100);
    world.faults.once(Call::Read, Fault::DieBefore);
    assert!(matches!(world.run_or_die().await, Ended::Died));
    assert!(left_alone(&mut world).await.iter().all(|pause| *pause == 0));
    assert_eq!(world.states("R1"), ["acknowledged"]);
}

#[tokio::test]
async fn edits_that_could_not_be_looked_for_are_looked_for_soon() {
    let mut world = World::new();
    world.report("R1", 100);
    world.run().await;
    world.pass(7 * 3600);
    world.source.edit("R1", |document| super::world::set_amount(document, 150));
    let mut reads = 0;
    world.faults.script(move |_, call| {
        reads += u32::from(call == Call::Read);
        if call == Call::Read && reads == 2 { Fault::Fail(FailureClass::Unavailable) } else { Fault::None }
    });
    let report = world.run().await;
    assert_eq!((report.errors.len(), report.changed), (1, 0), "{report:?}");
    left_alone(&mut world).await;
    assert_eq!(world.postings_of("R1").len(), 2, "the edit was found");
}
