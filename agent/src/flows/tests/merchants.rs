//! Invoices of merchants: matched by name and noted, or held until a person chooses; a choice is remembered.

use super::invariants::assert_sound;
use super::world::{World, codes, document, usd};
use crate::flows::merchants::{choices, forgetting};
use crate::flows::preview::Would;
use crate::flows::replay::{Decided, Decision};
use crate::store::{AuditKind, StateTable};
use spend::document::{Owner, RecordKind};
use spend::ids::VendorCode;
use spend::mapping::{DocumentKind, VendorFrom};
use spend::plan::PlannedDocument;

fn world() -> World {
    let mut world = World::new();
    world.settings.context.kind = DocumentKind::ApInvoice;
    world.settings.rules.vendor_from = VendorFrom::Merchant;
    world.settings.rules.card_lines_on_invoice = true;
    world
}

/// A card record without an owner.
fn card(world: &World, id: &str, merchant: &str, merchant_id: Option<&str>) {
    let mut record = document(id, world.clock.now().date_naive(), 100);
    record.kind = RecordKind::CardTransaction;
    record.owner = Owner::default();
    record.lines[0].reimbursable = false;
    record.lines[0].merchant = merchant.to_owned();
    record.lines[0].merchant_id = merchant_id.map(str::to_owned);
    world.source.put(record);
}

fn ann() -> Decision {
    Decision { by: "ann".to_owned(), note: "known to me".to_owned() }
}

async fn choose(world: &World, id: &str, vendor: &str) -> Decided {
    let key = world.postings_of(id).last().unwrap().key.clone();
    world.flow().choose(&key, &VendorCode::from(vendor), &ann()).await.unwrap()
}

fn vendor_of(world: &World, id: &str) -> String {
    match &world.posting(id).plan.unwrap().document {
        PlannedDocument::ApInvoice { vendor, .. } => vendor.to_string(),
        PlannedDocument::Journal { .. } => panic!("a journal"),
    }
}

#[tokio::test]
async fn a_matched_merchant_is_booked_and_the_trail_and_the_preview_say_how_it_was_found() {
    let mut world = world();
    card(&world, "R1", "SQ *ACME TOOLS 0123  ", Some("m1"));
    let preview = world.flow().preview().await.unwrap().unwrap();
    assert!(matches!(preview.lines[0].would, Would::Post { .. }));
    assert_eq!(preview.lines[0].notes[0].code.as_str(), "merchant-matched");
    world.until_quiet().await;
    assert_eq!((vendor_of(&world, "R1").as_str(), world.states("R1")), ("ACME", vec!["acknowledged"]));
    let entries = world.store().audit().of_posting(&world.key("R1")).unwrap();
    let note = entries.iter().find_map(|entry| entry.draft.detail["notes"][0]["message"].as_str()).unwrap();
    assert!(note.contains("ACME (Acme Tools LLC, likeness "), "{note}");
    assert_sound(&world, &[]);
}

#[tokio::test]
async fn a_choice_books_the_held_record_and_every_later_one_of_the_merchant() {
    let mut world = world();
    card(&world, "R1", "ACME TOOLSHED", Some("m1"));
    world.run().await;
    assert_eq!(codes(&world.posting("R1")), ["merchant-unmatched"]);
    assert_eq!(choose(&world, "R1", "ACME").await, Decided::Planned);
    card(&world, "R2", "TOOLSHED BY ACME 7", Some("m1"));
    card(&world, "R3", "ACME TOOLSHED", Some("m2"));
    world.reopen();
    world.pass(60);
    world.until_quiet().await;
    for id in ["R1", "R2"] {
        assert_eq!(
            (vendor_of(&world, id).as_str(), world.states(id)),
            ("ACME", vec!["acknowledged"]),
            "{id}"
        );
    }
    assert_eq!(codes(&world.posting("R3")), ["merchant-unmatched"]);
    let entries = world.store().audit().of_posting(&world.key("R1")).unwrap();
    let chosen: Vec<_> = entries.iter().filter(|entry| entry.draft.detail["verb"] == "choose").collect();
    assert_eq!((chosen.len(), chosen[0].draft.kind), (1, AuditKind::Decision));
    assert_eq!(
        (chosen[0].draft.actor.as_str(), &chosen[0].draft.detail["vendor"]),
        ("person:ann", &"ACME".into())
    );
    assert_sound(&world, &["merchant-unmatched"]);
}

#[tokio::test]
async fn a_choice_counts_for_the_company_that_it_was_made_in() {
    let mut world = world();
    card(&world, "R1", "ACME TOOLSHED", Some("m1"));
    world.run().await;
    choose(&world, "R1", "ACME").await;
    world.settings.context.company = "OTHER".into();
    card(&world, "R2", "ACME TOOLSHED", Some("m1"));
    world.pass(60);
    world.run().await;
    assert_eq!(codes(&world.posting("R2")), ["merchant-unmatched"]);
}

#[tokio::test]
async fn a_merchant_without_an_id_is_remembered_by_its_name() {
    let mut world = world();
    card(&world, "R1", "TST* Acme Toolshed", None);
    world.run().await;
    assert_eq!(choose(&world, "R1", "ACME").await, Decided::Planned);
    card(&world, "R2", "ACME TOOLSHED #0042", None);
    world.pass(60);
    world.until_quiet().await;
    assert_eq!((vendor_of(&world, "R2").as_str(), world.states("R2")), ("ACME", vec!["acknowledged"]));
}

#[tokio::test]
async fn a_choice_may_be_changed_and_forgotten_and_what_is_booked_stays() {
    let mut world = world();
    card(&world, "R1", "ACME TOOLSHED", Some("m1"));
    world.run().await;
    choose(&world, "R1", "ACME").await;
    world.until_quiet().await;
    assert_eq!(choose(&world, "R1", "NADIR").await, Decided::Remembered { state: "acknowledged".to_owned() });
    card(&world, "R2", "ACME TOOLSHED", Some("m1"));
    world.pass(60);
    world.until_quiet().await;
    assert_eq!((vendor_of(&world, "R1").as_str(), vendor_of(&world, "R2").as_str()), ("ACME", "NADIR"));
    let flow = world.settings.flow().clone();
    let remembered = choices(world.store(), &flow).unwrap();
    assert_eq!(remembered["m1"].vendor.as_str(), "NADIR");
    let batch = forgetting(world.clock.now(), &flow, &remembered["m1"], &ann());
    world.store().commit(batch).await.unwrap();
    assert!(world.store().names(StateTable::Choice).unwrap().is_empty());
    card(&world, "R3", "ACME TOOLSHED", Some("m1"));
    world.pass(60);
    world.run().await;
    assert_eq!(codes(&world.posting("R3")), ["merchant-unmatched"]);
    assert_eq!(world.erp.documents().iter().map(|d| d.total).collect::<Vec<_>>(), [usd(100), usd(100)]);
}

#[tokio::test]
async fn a_choice_that_cannot_be_meant_is_refused_in_words() {
    let mut world = world();
    card(&world, "R1", "ACME TOOLSHED", Some("m1"));
    card(&world, "R2", " ", None);
    world.run().await;
    for (id, vendor, part) in [
        ("R1", "ACMEE", "did you mean `ACME`?"),
        ("R1", "", "nearest to `ACME TOOLSHED`: ACME (Acme Tools LLC, likeness "),
        ("R2", "ACME", "no merchant"),
    ] {
        let Decided::Refused { why } = choose(&world, id, vendor).await else { panic!("{vendor}") };
        assert!(why.contains(part), "{why}");
    }
    world.settings.rules.merchants = [("m1".to_owned(), VendorCode::from("NADIR"))].into();
    let Decided::Refused { why } = choose(&world, "R1", "ACME").await else { panic!() };
    assert!(why.contains("rules come first"), "{why}");
    world.settings.rules.vendor_from = VendorFrom::Owner;
    let Decided::Refused { why } = choose(&world, "R1", "ACME").await else { panic!() };
    assert!(why.contains("vendor_from"), "{why}");
    assert!(world.store().names(StateTable::Choice).unwrap().is_empty());
}
