//! The proof: one record for each standing, and sums that say the same.

use super::erp::Doc;
use super::faults::{Call, Fault};
use super::world::{World, set_amount, usd};
use crate::flows::proof::{Proof, Standing};
use crate::flows::replay::{Decided, Decision};
use spend::Date;
use spend::money::Currency;
use spend::posting::FailureClass;

fn span() -> (Date, Date) {
    ("2026-01-01".parse().unwrap(), "2026-01-31".parse().unwrap())
}

pub(super) async fn proof(world: &World) -> Proof {
    let (from, to) = span();
    world.flow().proof(from, to).await.unwrap().unwrap()
}

pub(super) fn standing(proof: &Proof, id: &str) -> Standing {
    let rows: Vec<_> =
        proof.rows.iter().filter(|row| row.source_id.as_ref().is_some_and(|i| i.as_str() == id)).collect();
    assert_eq!(rows.len(), 1, "one row for {id}");
    rows[0].standing
}

async fn booked(ids: &[&str]) -> World {
    let mut world = World::new();
    for id in ids {
        world.report(id, 100);
    }
    world.run().await;
    world
}

#[tokio::test]
async fn what_is_booked_agrees_in_all_three() {
    let world = booked(&["A", "B"]).await;
    let proof = proof(&world).await;
    assert!(proof.agrees, "{proof:?}");
    assert_eq!(standing(&proof, "A"), Standing::Booked);
    let sums = proof.sums[&Currency::USD];
    assert_eq!((sums.source, sums.log, sums.erp), (200, 200, 200));
}

#[tokio::test]
async fn what_waits_is_explained() {
    let mut world = World::new();
    world.report("BOOKED", 100);
    for (id, category) in [("HELD", "Gifts"), ("HANDLED", "Gifts")] {
        world.report(id, 100);
        world.source.edit(id, |document| document.lines[0].category = Some(category.to_owned()));
    }
    world.run().await;
    let decision = Decision { by: "ann".to_owned(), note: "booked by hand elsewhere".to_owned() };
    let handled = world.flow().handle(&world.key("HANDLED"), &decision).await.unwrap();
    assert_eq!(handled, Decided::Handled);
    world.report("DOUBT", 100);
    world.faults.once(Call::Post, Fault::LostAnswer);
    world.pass(1);
    world.run().await;
    world.report("WAITING", 100);
    world.faults.always(Call::LookUp, Fault::Fail(FailureClass::Unavailable));
    world.run().await;
    world.report("NEW", 100);
    let proof = proof(&world).await;
    for (id, expected) in [
        ("BOOKED", Standing::Booked),
        ("HELD", Standing::Held),
        ("HANDLED", Standing::Handled),
        ("DOUBT", Standing::Pending),
        ("WAITING", Standing::Pending),
        ("NEW", Standing::NotRead),
    ] {
        assert_eq!(standing(&proof, id), expected, "{id}");
    }
    assert_eq!(proof.sums[&Currency::USD].source, 600);
}

#[tokio::test]
async fn records_that_wait_do_not_spoil_the_sums() {
    let mut world = World::new();
    world.report("BOOKED", 100);
    world.report("HELD", 70);
    world.source.edit("HELD", |document| document.lines[0].category = None);
    world.run().await;
    world.report("WAITING", 30);
    world.faults.always(Call::LookUp, Fault::Fail(FailureClass::Unavailable));
    world.pass(1);
    world.run().await;
    world.report("NEW", 9);
    let proof = proof(&world).await;
    assert!(proof.agrees, "{proof:?}");
    let sums = proof.sums[&Currency::USD];
    assert_eq!((sums.source, sums.erp, sums.held, sums.pending), (209, 100, 70, 39));
}

#[tokio::test]
async fn what_somebody_else_has_exported_is_listed_and_counted_by_its_own_reason() {
    let mut world = booked(&["BOOKED"]).await;
    world.report("HELD", 70);
    world.source.edit("HELD", |document| document.lines[0].category = None);
    world.report("HANDLED", 40);
    world.source.edit("HANDLED", |document| document.lines[0].category = None);
    world.pass(1);
    world.run().await;
    let decision = Decision { by: "ann".to_owned(), note: "booked by hand".to_owned() };
    world.flow().handle(&world.key("HANDLED"), &decision).await.unwrap();
    world.report("DOUBT", 20);
    world.faults.once(Call::Post, Fault::Fail(FailureClass::InDoubt));
    world.pass(1);
    world.run().await;
    world.report("UNREAD", 9);
    for id in ["HELD", "HANDLED", "DOUBT", "UNREAD"] {
        world.source.export_elsewhere(id);
    }
    let proof = proof(&world).await;
    for (id, expected) in [
        ("BOOKED", Standing::Booked),
        ("HELD", Standing::ExportedElsewhere),
        ("HANDLED", Standing::Handled),
        ("DOUBT", Standing::Pending),
        ("UNREAD", Standing::ExportedElsewhere),
    ] {
        assert_eq!(standing(&proof, id), expected, "{id}");
    }
    let detail = |id: &str| {
        let row = proof.rows.iter().find(|row| row.source_id.as_ref().is_some_and(|i| i.as_str() == id));
        row.unwrap().detail.clone()
    };
    assert!(detail("HELD").contains("held here: category-missing"), "{}", detail("HELD"));
    assert!(detail("UNREAD").contains("exported"), "{}", detail("UNREAD"));
    assert!(proof.agrees, "{proof:?}");
    let sums = proof.sums[&Currency::USD];
    assert_eq!((sums.source, sums.erp, sums.exported_elsewhere), (239, 100, 79));
    assert_eq!((sums.held, sums.handled, sums.pending), (0, 40, 20));
}

#[tokio::test]
async fn a_document_deleted_in_the_erp_is_missing() {
    let world = booked(&["A", "B"]).await;
    world.erp.books().documents.remove(0);
    let proof = proof(&world).await;
    assert_eq!(standing(&proof, "A"), Standing::MissingInErp);
    assert!(!proof.agrees);
}

#[tokio::test]
async fn a_document_edited_in_the_erp_is_named() {
    let world = booked(&["A"]).await;
    world.erp.books().documents[0].total = usd(99);
    let proof = proof(&world).await;
    assert_eq!(standing(&proof, "A"), Standing::EditedInErp);
    assert!(!proof.agrees);
}

#[tokio::test]
async fn a_second_document_is_a_double() {
    let world = booked(&["A"]).await;
    let copy: Doc = world.erp.documents().remove(0);
    world.erp.books().documents.push(copy);
    let proof = proof(&world).await;
    assert_eq!(standing(&proof, "A"), Standing::Doubled);
    assert!(!proof.agrees);
}

#[tokio::test]
async fn a_change_at_the_source_is_named_before_and_after_a_run_has_seen_it() {
    let mut world = booked(&["A"]).await;
    world.source.edit("A", |document| set_amount(document, 150));
    assert_eq!(standing(&proof(&world).await, "A"), Standing::ChangedInSource);
    world.pass(6 * 3600);
    world.run().await;
    let proof = proof(&world).await;
    assert_eq!(standing(&proof, "A"), Standing::ChangedInSource);
    assert!(!proof.agrees);
}

#[tokio::test]
async fn a_record_that_was_withdrawn_after_posting_is_named() {
    let world = booked(&["A"]).await;
    world.source.with("A", |record| record.gone = true);
    assert_eq!(standing(&proof(&world).await, "A"), Standing::GoneFromSource);
}

#[tokio::test]
async fn a_document_that_the_log_does_not_know_is_named() {
    let world = booked(&["A"]).await;
    let mut stray = world.erp.documents().remove(0);
    stray.reference = "EXP-OTHER-0011223344-5566778899".to_owned();
    world.erp.books().documents.push(stray);
    let proof = proof(&world).await;
    let strays: Vec<_> = proof.rows.iter().filter(|row| row.standing == Standing::UnknownInLog).collect();
    assert_eq!(strays.len(), 1);
    assert!(!proof.agrees);
}

#[tokio::test]
async fn an_edit_that_leaves_the_total_as_it_is_needs_no_explanation_in_sums() {
    let mut world = booked(&["A"]).await;
    world.source.edit("A", |document| document.lines[0].merchant = "Other Air".to_owned());
    world.pass(6 * 3600);
    world.run().await;
    let proof = proof(&world).await;
    assert_eq!(standing(&proof, "A"), Standing::Booked);
    assert!(proof.agrees);
}

#[tokio::test]
async fn a_proof_writes_nothing() {
    let world = booked(&["A"]).await;
    let commits = world.store().stats().commits;
    proof(&world).await;
    assert_eq!(world.store().stats().commits, commits);
    assert_eq!(world.erp.books().writes, 1);
}
