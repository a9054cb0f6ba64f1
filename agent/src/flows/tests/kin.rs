//! The same spend under another id: split after it was booked, or read from another list of the source.

use super::faults::{Call, Fault};
use super::world::{World, codes, document};
use crate::flows::preview::Would;
use crate::flows::replay::{Decided, Decision};
use spend::ids::SourceId;
use spend::posting::FailureClass;

const CODE: &str = "booked-under-other-id";

/// What a record names: nothing, the same spend in another list, or the whole of which it is a part.
#[derive(Clone, Copy)]
enum Names {
    Nothing,
    Same(&'static str),
    Whole(&'static str),
}

fn put(world: &World, id: &str, cents: i64, names: Names) {
    let mut document = document(id, world.clock.now().date_naive(), cents);
    match names {
        Names::Nothing => {}
        Names::Same(other) => document.same_as = Some(SourceId::from(other)),
        Names::Whole(whole) => document.part_of = Some(SourceId::from(whole)),
    }
    world.source.put(document);
}

/// The parts of a split are offered, the whole is not any more.
fn split(world: &World) {
    world.source.with("E1", |record| record.gone = true);
    put(world, "E1a", 60, Names::Whole("E1"));
    put(world, "E1b", 40, Names::Whole("E1"));
}

async fn replay(world: &World, id: &str) -> Decided {
    let decision = Decision { by: "ann".to_owned(), note: "looked at it".to_owned() };
    world.flow().replay(&world.key(id), &decision).await.unwrap()
}

#[tokio::test]
async fn parts_of_a_record_that_is_booked_are_held_and_never_booked_beside_it() {
    let mut world = World::new();
    put(&world, "E1", 100, Names::Nothing);
    assert_eq!(world.run().await.posted, 1);
    split(&world);
    world.pass(60);
    let preview = world.flow().preview().await.unwrap().unwrap();
    assert_eq!(preview.lines.len(), 2);
    for line in &preview.lines {
        let Would::Hold { findings } = &line.would else { panic!("{line:?}") };
        assert_eq!((findings[0].code.as_str(), findings[0].value.as_str()), (CODE, "E1"));
        assert!(findings[0].message.contains("journal 1"), "{findings:?}");
    }
    let report = world.run().await;
    assert_eq!((report.held, report.planned, report.posted), (2, 0, 0));
    assert_eq!(codes(&world.posting("E1a")), [CODE]);
    assert!(matches!(replay(&world, "E1a").await, Decided::Refused { why } if why.contains("journal 1")));
    for _ in 0..3 {
        world.pass(6 * 3600);
        assert_eq!(world.run().await.held, 0, "one item for each part");
    }
    assert_eq!((world.erp.documents().len(), world.erp.books().writes), (1, 1));
    assert_eq!(world.states("E1"), ["acknowledged"]);
}

#[tokio::test]
async fn a_record_that_was_booked_from_another_list_is_held_whichever_was_first() {
    // The record of one list, then that of the other: the second names the first, is named by it, or the first were
    // parts of what the second stands for.
    let cases = [
        (Names::Nothing, Names::Same("first")),
        (Names::Same("second"), Names::Nothing),
        (Names::Whole("whole"), Names::Same("whole")),
        (Names::Same("whole"), Names::Whole("whole")),
    ];
    for (first, second) in cases {
        let mut world = World::new();
        put(&world, "first", 100, first);
        assert_eq!(world.run().await.posted, 1);
        world.reopen();
        put(&world, "second", 100, second);
        world.pass(60);
        assert_eq!(world.run().await.held, 1);
        assert_eq!(codes(&world.posting("second")), [CODE]);
        assert_eq!(world.erp.documents().len(), 1);
    }
}

#[tokio::test]
async fn parts_of_one_record_and_records_of_one_list_are_booked_side_by_side() {
    for names in [Names::Whole("E1"), Names::Same("E1")] {
        let mut world = World::new();
        put(&world, "E1a", 60, names);
        world.run().await;
        put(&world, "E1b", 40, names);
        put(&world, "E1c", 30, names);
        world.pass(60);
        world.until_quiet().await;
        assert_eq!(world.erp.documents().len(), 3);
    }
}

#[tokio::test]
async fn a_refund_is_not_the_purchase_that_it_belongs_to() {
    let mut world = World::new();
    put(&world, "E1", 100, Names::Nothing);
    world.run().await;
    put(&world, "R1", -20, Names::Whole("E1"));
    world.pass(60);
    world.until_quiet().await;
    assert_eq!(world.erp.documents().len(), 2);
    // Also where one page brings both.
    put(&world, "E2", 100, Names::Nothing);
    put(&world, "R2", -20, Names::Whole("E2"));
    assert_eq!(world.run().await.posted, 2);
}

#[tokio::test]
async fn parts_take_the_place_of_a_whole_that_nobody_has_sent() {
    for held in [true, false] {
        let mut world = World::new();
        put(&world, "E1", 100, Names::Nothing);
        if held {
            world.source.edit("E1", |document| document.lines[0].category = Some("Gifts".to_owned()));
        } else {
            world.faults.always(Call::LookUp, Fault::Fail(FailureClass::Unavailable));
        }
        world.run().await;
        assert_eq!(world.states("E1"), [if held { "held" } else { "waiting" }]);
        split(&world);
        world.pass(1);
        world.run().await;
        assert_eq!(world.states("E1"), ["superseded"]);
        world.faults.clear();
        world.until_quiet().await;
        let superseded = world.store().audit().of_posting(&world.key("E1")).unwrap();
        let told = superseded.iter().filter(|entry| entry.draft.detail["event"] == "superseded").count();
        assert_eq!(told, 1, "{superseded:?}");
        let mut totals: Vec<i64> = world.erp.documents().iter().map(|one| one.total.minor).collect();
        totals.sort_unstable();
        assert_eq!(totals, [40, 60]);
    }
}

#[tokio::test]
async fn a_record_waits_for_a_person_while_the_other_one_is_on_its_way() {
    let mut world = World::new();
    world.faults.always(Call::LookUp, Fault::Fail(FailureClass::Unavailable));
    put(&world, "E1", 100, Names::Nothing);
    world.run().await;
    put(&world, "A1", 100, Names::Same("E1"));
    world.pass(1);
    world.run().await;
    assert_eq!((world.states("E1"), codes(&world.posting("A1"))), (vec!["waiting"], vec![CODE]));
    world.faults.clear();
    world.until_quiet().await;
    assert_eq!(world.erp.documents().len(), 1);
    // One that is held itself is in nobody's way.
    put(&world, "E2", 100, Names::Nothing);
    world.source.edit("E2", |document| document.lines[0].category = Some("Gifts".to_owned()));
    world.run().await;
    put(&world, "A2", 100, Names::Same("E2"));
    world.pass(60);
    world.until_quiet().await;
    assert_eq!((world.states("E2"), world.states("A2")), (vec!["held"], vec!["acknowledged"]));
    let mended = |document: &mut spend::document::SpendDocument| {
        document.lines[0].category = Some("Travel".to_owned());
    };
    world.source.edit("E2", mended);
    assert_eq!(replay(&world, "E2").await, Decided::NewRevision);
    world.pass(60);
    world.until_quiet().await;
    assert_eq!(codes(&world.postings_of("E2")[1]), [CODE]);
    assert_eq!(world.erp.documents().len(), 2);
}

#[tokio::test]
async fn a_whole_and_its_part_on_one_page_are_told_apart_by_the_next_run() {
    let mut world = World::new();
    put(&world, "E1", 100, Names::Nothing);
    put(&world, "E1a", 60, Names::Whole("E1"));
    let report = world.run().await;
    assert_eq!((report.posted, report.held), (1, 0));
    assert!(world.postings_of("E1a").is_empty());
    assert!(world.store().watermark(world.settings.flow()).unwrap().is_none(), "it was passed over");
    world.pass(60);
    assert_eq!(world.run().await.held, 1);
    assert_eq!(codes(&world.posting("E1a")), [CODE]);
    assert_eq!(world.erp.documents().len(), 1);
}
