//! Sources that differ from others: without marks, and with records that wait for long.

use super::faults::Call;
use super::world::World;
use crate::vendors::SourceHabits;
use chrono::TimeDelta;

fn day(text: &str) -> spend::Date {
    text.parse().unwrap()
}

#[tokio::test]
async fn what_a_source_without_marks_offers_again_is_known_and_left_alone() {
    let mut world = World::new();
    *world.source.habits.lock().unwrap() = SourceHabits { keeps_no_mark: true, sweep_days: 0 };
    for n in 0..120 {
        world.report(&format!("R{n:03}"), 100 + n);
    }
    let first = world.run().await;
    assert_eq!((first.posted, first.acknowledged), (120, 120), "also beyond one page");
    let marks = world.faults.count(Call::Acknowledge);
    for _ in 0..3 {
        world.pass(60);
        let again = world.run().await;
        assert_eq!((again.posted, again.planned, again.acknowledged), (0, 0, 0));
    }
    assert_eq!(world.faults.count(Call::Acknowledge), marks);
    assert_eq!(world.erp.documents().len(), 120);
    assert!(world.states("R007").iter().all(|state| *state == "acknowledged"));
}

#[tokio::test]
async fn any_number_of_known_records_hides_no_new_one() {
    let mut world = World::new();
    *world.source.habits.lock().unwrap() = SourceHabits { keeps_no_mark: true, sweep_days: 0 };
    // As many pages as if there were a hundred thousand records.
    *world.source.stingy.lock().unwrap() = 1000;
    world.settings.page_size = 1000;
    for n in 0..130 {
        world.report(&format!("R{n:03}"), 100 + n);
        if n % 40 == 0 {
            world.run().await;
        }
    }
    let last = world.run().await;
    assert!(last.errors.is_empty(), "{:?}", last.errors);
    assert_eq!(world.erp.documents().len(), 130);
}

#[tokio::test]
async fn a_source_without_end_is_given_up_and_its_wide_look_waits_for_the_next_day() {
    let mut world = World::new();
    *world.source.habits.lock().unwrap() = SourceHabits { keeps_no_mark: false, sweep_days: 400 };
    world.report("R1", 100);
    world.run().await;
    world.until_morning(30);
    world.report("R2", 100);
    *world.source.stingy.lock().unwrap() = usize::MAX;
    for _ in 0..2 {
        let run = world.run().await;
        assert!(run.errors[0].contains("for ever"), "{:?}", run.errors);
        world.pass(3600);
    }
    let asked = world.source.asked_from.lock().unwrap().clone();
    let wide = asked.iter().filter(|from| **from == day("2026-01-01")).count();
    // The first run, and the two pages of the one wide look.
    assert_eq!(wide, 3, "{asked:?}");
}

#[tokio::test]
async fn a_wide_look_is_taken_once_a_day_and_never_before_the_start() {
    let mut world = World::new();
    let at = |days: i64| world_day() + TimeDelta::days(days);
    *world.source.habits.lock().unwrap() = SourceHabits { keeps_no_mark: false, sweep_days: 10 };
    world.report("R1", 100);
    world.run().await;
    world.until_morning(30);
    world.report("R2", 200);
    world.run().await;
    world.pass(3600);
    world.run().await;
    world.until_morning(31);
    world.run().await;
    world.until_morning(60);
    world.run().await;
    let asked = world.source.asked_from.lock().unwrap().clone();
    // Start; overlap of 7 days behind R1, which reaches further than the wide look; then behind R2; wide; wide.
    assert_eq!(asked, [day("2026-01-01"), at(-7), at(23), at(21), at(23)]);
}

fn world_day() -> spend::Date {
    day("2026-01-15")
}

#[tokio::test]
async fn a_source_that_asks_for_no_wide_look_gets_none() {
    let mut world = World::new();
    world.report("R1", 100);
    for morning in [0, 2, 4] {
        world.until_morning(morning);
        world.run().await;
    }
    let asked = world.source.asked_from.lock().unwrap().clone();
    assert_eq!(asked, [day("2026-01-01"), day("2026-01-08"), day("2026-01-08")]);
}
