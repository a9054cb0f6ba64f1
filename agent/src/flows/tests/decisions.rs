//! What a person may do: preview, replay, handle. None of it books twice, and each leaves its name in the audit trail.

use super::faults::{Call, Fault};
use super::invariants::assert_sound;
use super::world::{World, codes, set_amount, usd};
use crate::flows::preview::{Preview, Would};
use crate::flows::replay::{Decided, Decision};
use crate::store::AuditKind;
use spend::mapping::CategoryRule;
use spend::money::Currency;
use spend::posting::{FailureClass, PostingState};
use std::collections::BTreeMap;

async fn replay(world: &World, id: &str) -> Decided {
    let key = world.postings_of(id).last().unwrap().key.clone();
    world.flow().replay(&key, &ann("looked at it")).await.unwrap()
}

async fn handle(world: &World, id: &str) -> Decided {
    let key = world.postings_of(id).last().unwrap().key.clone();
    world.flow().handle(&key, &ann("booked by hand")).await.unwrap()
}

fn ann(note: &str) -> Decision {
    Decision { by: "ann".to_owned(), note: note.to_owned() }
}

async fn preview(world: &World) -> Preview {
    world.flow().preview().await.unwrap().unwrap()
}

fn odd_category(world: &World, id: &str) {
    world.source.edit(id, |document| document.lines[0].category = Some("Gifts".to_owned()));
}

fn map_it(world: &mut World) {
    let rule =
        CategoryRule { account: "6100".to_owned(), segments: BTreeMap::new(), dimensions: BTreeMap::new() };
    world.settings.rules.categories.insert("Gifts".to_owned(), rule);
}

#[tokio::test]
async fn a_replay_of_what_is_posted_says_so_and_writes_nothing() {
    let mut world = World::new();
    world.report("R1", 100);
    world.run().await;
    let Decided::AlreadyPosted { receipt } = replay(&world, "R1").await else { panic!("not told") };
    assert_eq!(receipt.document, "journal 1");
    world.pass(60);
    world.run().await;
    assert_eq!(world.erp.books().writes, 1);
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn a_replay_after_the_mapping_was_mended_posts_the_record() {
    let mut world = World::new();
    world.report("R1", 100);
    odd_category(&world, "R1");
    world.run().await;
    let Decided::StillHeld { findings } = replay(&world, "R1").await else { panic!("nothing was mended") };
    assert_eq!(findings[0].code.as_str(), "category-unmapped");
    map_it(&mut world);
    assert_eq!(replay(&world, "R1").await, Decided::Planned);
    world.pass(1);
    assert_eq!(world.run().await.posted, 1);
    assert_sound(&world, &[]);
    let entries = world.store().audit().of_posting(&world.key("R1")).unwrap();
    let decisions: Vec<_> = entries.iter().filter(|e| e.draft.kind == AuditKind::Decision).collect();
    assert_eq!(decisions.len(), 2);
    assert!(decisions.iter().all(|e| e.draft.actor == "person:ann"));
}

#[tokio::test]
async fn a_replay_twice_posts_once() {
    let mut world = World::new();
    world.report("R1", 100);
    odd_category(&world, "R1");
    world.run().await;
    map_it(&mut world);
    for _ in 0..2 {
        assert_eq!(replay(&world, "R1").await, Decided::Planned);
    }
    world.until_quiet().await;
    assert!(matches!(replay(&world, "R1").await, Decided::AlreadyPosted { .. }));
    assert_eq!(world.erp.books().writes, 1);
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn a_replay_of_a_record_that_was_mended_at_the_source_takes_its_newer_state() {
    let mut world = World::new();
    world.report("R1", 100);
    odd_category(&world, "R1");
    world.run().await;
    world.source.edit("R1", |document| document.lines[0].category = Some("Travel".to_owned()));
    assert_eq!(replay(&world, "R1").await, Decided::NewRevision);
    assert_eq!(world.states("R1"), ["superseded", "planned"]);
    world.until_quiet().await;
    assert_eq!(world.states("R1"), ["superseded", "acknowledged"]);
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn a_replay_of_a_record_that_was_edited_back_at_the_source_takes_the_older_state_again() {
    let mut world = World::new();
    world.report("R1", 100);
    odd_category(&world, "R1");
    world.run().await;
    let first = world.source.with("R1", |record| record.document.clone());
    world.source.edit("R1", |document| set_amount(document, 150));
    world.pass(60);
    world.run().await;
    assert_eq!(world.states("R1"), ["superseded", "held"]);
    world.source.put(first);
    map_it(&mut world);
    assert_eq!(replay(&world, "R1").await, Decided::NewRevision);
    world.until_quiet().await;
    assert_eq!(world.states("R1"), ["acknowledged", "superseded"]);
    assert_eq!(world.erp.documents()[0].total, usd(100));
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn a_replay_of_a_change_after_posting_never_books_beside_what_is_there() {
    let mut world = World::new();
    world.erp.books().unique = false;
    world.report("R1", 100);
    world.run().await;
    world.source.edit("R1", |document| set_amount(document, 150));
    world.pass(6 * 3600);
    world.run().await;
    // Also on an ERP whose look-up could not see the other revision: the posting log knows of it.
    assert!(matches!(replay(&world, "R1").await, Decided::Refused { .. }));
    world.until_quiet().await;
    assert_eq!(codes(&world.postings_of("R1")[1]), ["changed-after-posting"]);
    let totals: Vec<_> = world.erp.documents().iter().map(|d| d.total).collect();
    assert_eq!(totals, [usd(100)]);
}

#[tokio::test]
async fn a_replay_of_what_is_in_doubt_is_refused_until_it_is_settled() {
    let mut world = World::new();
    world.report("R1", 100);
    world.faults.once(Call::Post, Fault::LostAnswer);
    world.run().await;
    assert!(matches!(replay(&world, "R1").await, Decided::Refused { .. }));
    assert!(matches!(handle(&world, "R1").await, Decided::Refused { .. }));
    world.until_quiet().await;
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn a_replay_of_an_outcome_that_stayed_unknown_looks_again_before_it_writes() {
    for there in [true, false] {
        let mut world = World::new();
        world.erp.books().unique = false;
        world.report("R1", 100);
        world.faults.once(Call::Post, Fault::LostAnswer);
        world.run().await;
        // The ERP does not show it for a while (a view that lags, a restored copy).
        let hidden = std::mem::take(&mut world.erp.books().documents);
        world.until_quiet().await;
        assert_eq!(codes(&world.posting("R1")), ["outcome-unknown"]);
        if there {
            world.erp.books().documents = hidden;
        }
        assert_eq!(replay(&world, "R1").await, Decided::Planned);
        world.until_quiet().await;
        assert_eq!(world.erp.documents().len(), 1);
        assert_eq!(world.erp.books().writes, if there { 1 } else { 2 });
        assert_sound(&world, &[]);
    }
}

#[tokio::test]
async fn a_replay_of_a_guard_rail_posts_when_the_limit_allows_it() {
    let mut world = World::new();
    world.settings.guard.max_per_document = [(Currency::USD, usd(50))].into();
    world.report("R1", 100);
    world.run().await;
    assert_eq!(replay(&world, "R1").await, Decided::Planned);
    world.pass(1);
    world.run().await;
    assert_eq!(codes(&world.posting("R1")), ["guard-rail"], "the limit still stands");
    world.settings.guard.max_per_document.clear();
    assert_eq!(replay(&world, "R1").await, Decided::Planned);
    world.until_quiet().await;
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn a_replay_without_the_vendors_is_refused_with_a_reason_and_changes_nothing() {
    let mut world = World::new();
    world.report("R1", 100);
    odd_category(&world, "R1");
    world.run().await;
    map_it(&mut world);
    world.faults.always(Call::Read, Fault::Fail(FailureClass::Unavailable));
    assert!(matches!(replay(&world, "R1").await, Decided::Refused { .. }));
    world.faults.clear();
    world.source.with("R1", |record| record.gone = true);
    assert!(matches!(replay(&world, "R1").await, Decided::Refused { .. }));
    assert_eq!(codes(&world.posting("R1")), ["category-unmapped"]);
}

#[tokio::test]
async fn a_handled_record_is_closed_with_its_note_and_never_posted() {
    let mut world = World::new();
    world.report("R1", 100);
    odd_category(&world, "R1");
    world.run().await;
    assert_eq!(handle(&world, "R1").await, Decided::Handled);
    map_it(&mut world);
    assert!(matches!(replay(&world, "R1").await, Decided::Refused { .. }));
    world.until_quiet().await;
    assert_eq!(world.states("R1"), ["handled"]);
    assert_eq!(world.erp.books().writes, 0);
    // An edit after that is not booked beside what a person did.
    world.source.edit("R1", |document| set_amount(document, 150));
    world.until_quiet().await;
    assert_eq!(world.states("R1"), ["handled", "held"]);
    assert_eq!(world.erp.books().writes, 0);
}

#[tokio::test]
async fn what_is_posted_cannot_be_handled() {
    let mut world = World::new();
    world.report("R1", 100);
    world.run().await;
    assert!(matches!(handle(&world, "R1").await, Decided::AlreadyPosted { .. }));
}

#[tokio::test]
async fn a_failure_is_told_to_the_source_only_when_a_person_says_so_and_before_the_record_is_closed() {
    let mut world = World::new();
    for id in ["DONE", "TOLD", "QUIET"] {
        world.report(id, 100);
    }
    odd_category(&world, "TOLD");
    odd_category(&world, "QUIET");
    world.run().await;
    let decide = async |id: &str| {
        let key = world.postings_of(id).last().unwrap().key.clone();
        world.flow().report_and_handle(&key, &ann("paid twice")).await.unwrap()
    };
    // A source that cannot be told: nothing is changed, and the attempt is on record.
    let Decided::Refused { why } = decide("TOLD").await else { panic!("it cannot be told") };
    assert!(why.contains("not told, so the record stays open"), "{why}");
    assert!(matches!(world.posting("TOLD").state, PostingState::Held(_)));
    *world.source.failures.lock().unwrap() = Some(BTreeMap::new());
    assert!(matches!(decide("DONE").await, Decided::AlreadyPosted { .. }));
    assert_eq!(handle(&world, "QUIET").await, Decided::Handled);
    assert_eq!(decide("TOLD").await, Decided::Reported);
    let told = world.source.failures.lock().unwrap().clone().unwrap();
    assert_eq!(told, [("TOLD".into(), "paid twice".to_owned())].into());
    let entries = world.store().audit().of_posting(&world.key("TOLD")).unwrap();
    let by_ann = entries.iter().filter(|entry| entry.draft.actor == "person:ann");
    let verbs: Vec<&str> = by_ann.filter_map(|entry| entry.draft.detail["verb"].as_str()).collect();
    assert_eq!(verbs, ["report-failure", "report-failure", "handle"]);
}

/// A world with one record that a person had reported to the source as not exported.
async fn reported(world: &mut World) {
    *world.source.failures.lock().unwrap() = Some(BTreeMap::new());
    world.report("R1", 100);
    odd_category(world, "R1");
    world.run().await;
    let key = world.key("R1");
    assert_eq!(world.flow().report_and_handle(&key, &ann("no receipt")).await.unwrap(), Decided::Reported);
    map_it(world);
    world.pass(3600);
    world.until_quiet().await;
    assert_eq!((world.states("R1"), world.erp.books().writes), (vec!["handled"], 0));
}

#[tokio::test]
async fn what_was_reported_is_booked_when_it_is_offered_again_unchanged_or_edited() {
    for edited in [false, true] {
        let mut world = World::new();
        reported(&mut world).await;
        assert!(
            matches!(replay(&world, "R1").await, Decided::Refused { why } if why.contains("offered again"))
        );
        world.source.offer_again("R1", world.clock.now().date_naive());
        if edited {
            world.source.edit("R1", |document| set_amount(document, 150));
        }
        let shown = preview(&world).await;
        assert_eq!(shown.lines.iter().map(|line| line.would.name()).collect::<Vec<_>>(), ["post"]);
        let report = world.run().await;
        assert_eq!((report.new, report.planned, report.posted), (1, 1, 1), "{report:?}");
        assert_eq!(
            world.states("R1"),
            if edited { vec!["handled", "acknowledged"] } else { vec!["acknowledged"] }
        );
        let key = world.postings_of("R1").last().unwrap().key.clone();
        let entries = world.store().audit().of_posting(&key).unwrap();
        let again = entries.iter().find(|entry| entry.draft.detail["event"] == "offered-again").unwrap();
        assert!(again.draft.detail["plan"].is_object(), "{again:?}");
        world.until_quiet().await;
        assert_sound(&world, &[]);
    }
}

#[tokio::test]
async fn what_a_list_still_shows_after_its_report_is_read_again_and_not_booked() {
    let mut world = World::new();
    reported(&mut world).await;
    // The list lags, the record itself does not.
    let stale = world.source.with("R1", |record| record.document.clone());
    world.source.shift(stale);
    world.run().await;
    assert_eq!(codes(&world.posting("R1")), ["no-longer-ready"]);
    assert_eq!(world.erp.books().writes, 0);
}

#[tokio::test]
async fn no_failure_is_reported_while_another_state_of_the_record_may_be_booked() {
    for lost in [false, true] {
        let mut world = World::new();
        *world.source.failures.lock().unwrap() = Some(BTreeMap::new());
        world.report("R1", 100);
        if lost {
            world.faults.once(Call::Post, Fault::LostAnswer);
        }
        world.run().await;
        world.source.edit("R1", |document| set_amount(document, 150));
        world.pass(6 * 3600);
        world.faults.always(Call::LookUp, Fault::Fail(FailureClass::Unavailable));
        world.run().await;
        let newest = world.postings_of("R1")[1].clone();
        assert_eq!(codes(&newest), ["changed-after-posting"]);
        let decided = world.flow().report_and_handle(&newest.key, &ann("booked in part")).await.unwrap();
        let expected = if lost { "in-doubt and may be in the ERP" } else { "journal 1 in the ERP" };
        assert!(matches!(&decided, Decided::Refused { why } if why.contains(expected)), "{decided:?}");
        assert_eq!(*world.source.failures.lock().unwrap(), Some(BTreeMap::new()), "it was told all the same");
        assert_eq!(world.postings_of("R1")[1], newest);
    }
}

#[tokio::test]
async fn a_mark_that_never_succeeds_is_seen_and_given_up_by_a_person_without_a_call() {
    let mut world = World::new();
    world.faults.always(Call::Acknowledge, Fault::MarkSome);
    world.report("R1", 100);
    world.report("R2", 100);
    let report = world.run().await;
    assert_eq!(report.posted, 2);
    assert!(report.errors.iter().any(|error| error.contains("did not confirm R2;")), "{report:?}");
    assert_eq!((world.states("R1"), world.states("R2")), (vec!["acknowledged"], vec!["posted"]));
    let writes = world.erp.books().writes;
    world.faults.always(Call::Acknowledge, Fault::Fail(FailureClass::Unavailable));
    let decided = handle(&world, "R2").await;
    assert!(
        matches!(&decided, Decided::LeftUnmarked { receipt } if receipt.document == "journal 2"),
        "{decided:?}"
    );
    // Offered for ever, it stays closed; only an edit is told.
    world.pass(24 * 3600);
    world.until_quiet().await;
    assert_eq!((world.states("R2"), world.erp.books().writes), (vec!["acknowledged"], writes));
    assert_eq!(world.source.marked(), ["R1"]);
    let entries = world.store().audit().of_posting(&world.key("R2")).unwrap();
    assert!(
        entries
            .iter()
            .any(|entry| entry.draft.actor == "person:ann" && entry.draft.detail["verb"] == "handle")
    );
    assert_sound(&world, &[]);
    world.source.edit("R2", |document| set_amount(document, 150));
    world.pass(6 * 3600);
    world.run().await;
    assert_eq!(world.states("R2"), ["acknowledged", "held"]);
}

#[tokio::test]
async fn a_decision_on_an_unknown_posting_is_refused() {
    let world = World::new();
    let key = "nothing".into();
    assert!(matches!(world.flow().replay(&key, &ann("")).await.unwrap(), Decided::Refused { .. }));
    assert!(matches!(world.flow().handle(&key, &ann("")).await.unwrap(), Decided::Refused { .. }));
}

#[tokio::test]
async fn a_preview_says_what_a_run_does_and_writes_nothing() {
    let mut world = World::new();
    for id in ["DONE", "ODD", "CHANGED"] {
        world.report(id, 100);
    }
    odd_category(&world, "ODD");
    world.faults.once(Call::Acknowledge, Fault::Fail(FailureClass::Unavailable));
    world.run().await;
    world.source.edit("CHANGED", |document| set_amount(document, 150));
    world.report("NEW", 100);
    world.report("BROKEN", 100);
    world.source.with("BROKEN", |record| record.unreadable = Some("cut".to_owned()));
    let commits = world.store().stats().commits;
    let head = world.store().audit().head().unwrap();
    let (writes, marked) = (world.erp.books().writes, world.source.marked());
    let before = world.postings();

    let shown = preview(&world).await;
    let would: BTreeMap<_, _> =
        shown.lines.iter().map(|line| (line.source_id.to_string(), line.would.name())).collect();
    let expected = [("CHANGED", "hold"), ("DONE", "already-there"), ("NEW", "post"), ("ODD", "hold")];
    assert_eq!(would, expected.map(|(id, name)| (id.to_owned(), name)).into());
    assert_eq!(shown.unreadable.len(), 1);
    assert_eq!(shown.plan_hash, preview(&world).await.plan_hash, "the same twice");

    assert_eq!(world.store().stats().commits, commits);
    assert_eq!(world.store().audit().head().unwrap(), head);
    assert_eq!((world.erp.books().writes, world.source.marked()), (writes, marked));
    assert_eq!(world.postings(), before);

    let report = world.run().await;
    assert_eq!((report.posted, report.changed), (1, 1));
}

#[tokio::test]
async fn a_preview_does_not_promise_to_post_what_waits_for_a_person() {
    let mut world = World::new();
    world.settings.guard.max_per_document = [(Currency::USD, usd(50))].into();
    world.report("R1", 100);
    world.report("R2", 10);
    odd_category(&world, "R2");
    world.run().await;
    world.settings.guard.max_per_document.clear();
    map_it(&mut world);
    let names: Vec<_> = preview(&world).await.lines.iter().map(|line| line.would.name()).collect();
    assert_eq!(names, ["hold", "hold"]);
    world.pass(60);
    assert_eq!(world.run().await.posted, 0);
}

#[tokio::test]
async fn a_preview_shows_what_is_in_the_erp_and_unknown_to_the_log() {
    let mut world = World::new();
    world.report("R1", 100);
    world.report("R2", 200);
    world.run().await;
    let mut there = world.erp.documents();
    there[1].content = "something else".to_owned();
    let other = World::new();
    other.report("R1", 100);
    other.report("R2", 200);
    other.erp.books().documents = there;
    let shown = preview(&other).await;
    assert!(matches!(shown.lines[0].would, Would::AlreadyThere { .. }), "{:?}", shown.lines[0]);
    assert!(matches!(shown.lines[1].would, Would::Conflict { .. }), "{:?}", shown.lines[1]);
}

#[tokio::test]
async fn a_run_that_was_agreed_to_books_exactly_what_the_preview_showed() {
    let mut world = World::new();
    world.report("A", 100);
    world.report("B", 100);
    // One that waits, of which the preview cannot say what the ERP holds.
    world.report("W", 100);
    world.faults.always(Call::Post, Fault::Fail(FailureClass::NotSent));
    world.source.with("A", |record| record.gone = true);
    world.source.with("B", |record| record.gone = true);
    world.run().await;
    assert_eq!(world.states("W"), ["waiting"]);
    world.pass(60);
    for id in ["A", "B"] {
        world.source.with(id, |record| record.gone = false);
    }
    let mut looked_up = 0;
    world.faults.script(move |_, call| {
        looked_up += u32::from(call == Call::LookUp);
        let third = call == Call::LookUp && looked_up == 3;
        if third { Fault::Fail(FailureClass::Unavailable) } else { Fault::None }
    });
    let preview = world.flow().preview().await.unwrap().unwrap();
    world.faults.clear();
    assert_eq!(preview.totals().keys().map(|(would, _)| *would).collect::<Vec<_>>(), ["post", "unknown"]);
    // Meanwhile one more is approved and one is edited.
    world.report("C", 100);
    world.source.edit("B", |document| set_amount(document, 900));
    let report = world.flow().run_only("test", Some(preview.agreed())).await.unwrap();
    assert_eq!((report.posted, report.left_out), (1, 2));
    assert_eq!((world.states("A"), world.states("W")), (vec!["acknowledged"], vec!["waiting"]));
    assert!(world.postings_of("B").is_empty() && world.postings_of("C").is_empty());
    world.until_quiet().await;
    assert_eq!(world.erp.documents().len(), 4);
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn a_preview_shows_the_plan_that_waits_and_not_one_by_newer_rules() {
    let mut world = World::new();
    world.report("R1", 100);
    world.faults.always(Call::Post, Fault::Fail(FailureClass::NotSent));
    world.run().await;
    world.faults.clear();
    world.pass(60);
    let travel = world.settings.rules.categories.get_mut("Travel").unwrap();
    travel.account = "2100".to_owned();
    let preview = world.flow().preview().await.unwrap().unwrap();
    let report = world.flow().run_only("test", Some(preview.agreed())).await.unwrap();
    assert_eq!((report.posted, report.left_out), (1, 0));
    assert_sound(&world, &[]);
}
