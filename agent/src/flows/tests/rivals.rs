//! A flow that was renamed, or has a twin: what the other name has begun to book is held, and never booked beside it.

use super::faults::{Call, Fault};
use super::world::{World, codes, document, set_amount};
use crate::flows::preview::Would;
use crate::flows::replay::{Decided, Decision};
use crate::flows::unattended;
use crate::store::Batch;
use spend::ids::{CompanyId, FlowId, SourceId};
use spend::mapping::{CategoryRule, LineSelection};
use spend::posting::{FailureClass, Posting, PostingState};
use std::collections::BTreeMap;

const CODE: &str = "booked-by-other-flow";

impl World {
    /// The configuration calls the flow by another name.
    pub(super) fn rename(&mut self, flow: &str) {
        self.settings.context.flow = FlowId::from(flow);
    }

    /// The configuration has it book in another company.
    fn move_to(&mut self, company: &str) {
        self.settings.context.company = CompanyId::from(company);
        self.settings.route.company = CompanyId::from(company);
        self.settings.route.books = Some(company.to_owned());
    }

    fn offered_again(&self, id: &str) {
        self.source.with(id, |record| record.marked = false);
    }
}

fn decision() -> Decision {
    Decision { by: "ann".to_owned(), note: "looked at it".to_owned() }
}

#[tokio::test]
async fn what_was_posted_under_a_former_name_is_held_in_words_and_never_booked_again() {
    let mut world = World::new();
    world.report("R1", 100);
    assert_eq!(world.run().await.posted, 1);
    let first = world.posting("R1");
    world.offered_again("R1");
    world.rename("renamed");
    world.reopen();
    world.pass(60);
    let preview = world.flow().preview().await.unwrap().unwrap();
    let Would::Hold { findings } = &preview.lines[0].would else { panic!("{preview:?}") };
    assert_eq!((findings[0].code.as_str(), findings[0].value.as_str()), (CODE, "expenses"));
    let report = world.run().await;
    assert_eq!((report.held, report.planned, report.posted), (1, 0, 0));
    let PostingState::Held(hold) = world.posting("R1").state else { panic!("not held") };
    let told = hold.findings[0].to_string();
    for word in ["`expenses`", first.key.as_str(), "journal 1", "purser records handle"] {
        assert!(told.contains(word), "{word} is not in: {told}");
    }
    let refused = world.flow().replay(&world.key("R1"), &decision()).await.unwrap();
    assert!(matches!(refused, Decided::Refused { why } if why.contains("journal 1")));
    for _ in 0..3 {
        world.pass(6 * 3600);
        assert_eq!(world.run().await.held, 0, "one item");
    }
    assert_eq!((world.erp.documents().len(), world.erp.books().writes), (1, 1));
    // Under its former name the flow goes on with what is its own.
    world.rename("expenses");
    world.pass(60);
    world.until_quiet().await;
    assert_eq!((world.states("R1"), world.source.marked()), (vec!["acknowledged"], vec!["R1".to_owned()]));
    assert_eq!(world.erp.books().writes, 1);
}

#[tokio::test]
async fn what_is_in_doubt_or_waits_for_its_next_write_under_a_former_name_is_held() {
    for (fault, state) in [
        (Fault::LostAnswer, "in-doubt"),
        (Fault::Fail(FailureClass::NotSent), "waiting"),
        (Fault::DieAfter, "claimed"),
    ] {
        let mut world = World::new();
        world.report("R1", 100);
        world.faults.once(Call::Post, fault);
        world.run_or_die().await;
        assert_eq!(world.states("R1"), [state]);
        world.rename("renamed");
        world.pass(60);
        world.run().await;
        assert_eq!(codes(&world.posting("R1")), [CODE], "{state}");
        world.rename("expenses");
        world.until_quiet().await;
        assert_eq!((world.states("R1"), world.erp.documents().len()), (vec!["acknowledged"], 1), "{state}");
    }
}

#[tokio::test]
async fn what_was_never_sent_under_a_former_name_is_booked_and_stays_away_from_it() {
    let mut world = World::new();
    world.report("R1", 100);
    world.faults.always(Call::LookUp, Fault::Fail(FailureClass::Unavailable));
    world.run().await;
    assert_eq!(world.states("R1"), ["waiting"]);
    world.faults.clear();
    world.rename("renamed");
    world.pass(60);
    world.until_quiet().await;
    assert_eq!(world.states("R1"), ["acknowledged"]);
    // What the former name had planned is stopped right before its claim.
    world.offered_again("R1");
    world.rename("expenses");
    world.pass(3600);
    world.until_quiet().await;
    assert_eq!(codes(&world.posting("R1")), [CODE]);
    assert_eq!(world.erp.books().writes, 1);
}

#[tokio::test]
async fn what_is_merely_held_under_a_former_name_does_not_stand_in_the_way() {
    let mut world = World::new();
    world.report("R1", 100);
    world.source.edit("R1", |document| document.lines[0].category = Some("Gifts".to_owned()));
    world.run().await;
    assert_eq!(codes(&world.posting("R1")), ["category-unmapped"]);
    let gifts =
        CategoryRule { account: "6100".to_owned(), segments: BTreeMap::new(), dimensions: BTreeMap::new() };
    world.settings.rules.categories.insert("Gifts".to_owned(), gifts);
    world.rename("renamed");
    world.pass(60);
    assert_eq!(world.run().await.posted, 1);
    // The person who replays it under the former name is told.
    world.offered_again("R1");
    world.rename("expenses");
    let refused = world.flow().replay(&world.key("R1"), &decision()).await.unwrap();
    assert!(matches!(refused, Decided::Refused { why } if why.contains("`renamed`")));
}

#[tokio::test]
async fn what_a_person_has_closed_under_a_former_name_is_held() {
    let mut world = World::new();
    world.report("R1", 100);
    world.source.edit("R1", |document| document.lines[0].category = Some("Gifts".to_owned()));
    world.run().await;
    world.flow().handle(&world.key("R1"), &decision()).await.unwrap();
    world.source.edit("R1", |document| document.lines[0].category = Some("Travel".to_owned()));
    world.rename("renamed");
    world.pass(60);
    world.run().await;
    assert_eq!(codes(&world.posting("R1")), [CODE]);
    assert!(world.erp.documents().is_empty());
}

#[tokio::test]
async fn another_company_another_system_and_other_lines_are_other_money() {
    let apart: [fn(&mut World); 3] = [
        |world| world.move_to("EPIC07"),
        |world| world.settings.route.source = "brex".to_owned(),
        |world| world.settings.route.select = LineSelection::NonReimbursable,
    ];
    for change in apart {
        let mut world = World::new();
        world.settings.route.select = LineSelection::Reimbursable;
        world.report("R1", 100);
        world.run().await;
        world.offered_again("R1");
        world.rename("second");
        change(&mut world);
        world.pass(60);
        world.until_quiet().await;
        assert_eq!((world.states("R1"), world.erp.documents().len()), (vec!["acknowledged"], 2));
    }
}

#[tokio::test]
async fn what_was_planned_before_its_flow_was_moved_counts_where_it_is_booked() {
    let mut world = World::new();
    world.report("R1", 100);
    world.faults.always(Call::LookUp, Fault::Fail(FailureClass::Unavailable));
    world.run().await;
    assert_eq!(world.states("R1"), ["waiting"]);
    world.faults.clear();
    world.move_to("EPIC07");
    world.pass(60);
    world.until_quiet().await;
    let booked = world.posting("R1");
    let plan = booked.plan.unwrap();
    assert_eq!((booked.state.name(), plan.company.as_str()), ("acknowledged", "EPIC06"));
    assert_eq!(booked.route.unwrap().books.as_deref(), Some("EPIC06"));
    world.offered_again("R1");
    world.rename("renamed");
    world.move_to("EPIC06");
    world.pass(60);
    world.until_quiet().await;
    assert_eq!((codes(&world.posting("R1")), world.erp.documents().len()), (vec![CODE], 1));
}

#[tokio::test]
async fn a_record_that_names_what_another_flow_has_booked_is_held() {
    let mut world = World::new();
    world.report("E1", 100);
    world.run().await;
    world.rename("renamed");
    let mut listed = document("A1", world.clock.now().date_naive(), 100);
    listed.same_as = Some(SourceId::from("E1"));
    world.source.put(listed);
    world.pass(60);
    world.run().await;
    assert_eq!(codes(&world.posting("A1")), [CODE]);
    assert_eq!(world.erp.documents().len(), 1);
}

#[tokio::test]
async fn what_an_earlier_release_has_booked_is_told_by_its_company() {
    for (company, documents) in [("EPIC06", 1), ("EPIC07", 2)] {
        let mut world = World::new();
        world.report("R1", 100);
        world.run().await;
        let mut batch = Batch::new();
        batch.put_posting(Posting { route: None, ..world.posting("R1") });
        world.store().commit(batch).await.unwrap();
        world.offered_again("R1");
        world.rename("renamed");
        world.move_to(company);
        world.pass(60);
        world.until_quiet().await;
        assert_eq!(world.erp.documents().len(), documents, "{company}");
    }
}

#[tokio::test]
async fn of_two_twins_that_run_at_the_same_time_each_record_is_booked_by_one() {
    for seed in 0..10 {
        let mut world = World::new();
        world.seed = seed;
        // What one has booked the other reads all the same.
        world.source.habits.lock().unwrap().keeps_no_mark = true;
        for n in 0..30 {
            world.report(&format!("R{n}"), 100 + n);
        }
        let one = world.flow();
        world.rename("twin");
        world.seed += 100;
        let two = world.flow();
        let (first, second) = tokio::join!(one.run("test"), two.run("test"));
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!((first.posted + second.posted, first.held + second.held), (30, 30));
        assert_eq!(world.erp.documents().len(), 30);
        assert!(first.errors.is_empty() && second.errors.is_empty(), "{first:?} {second:?}");
    }
}

/// The configuration as it has other flows beside this one, on the same way.
fn configured(world: &mut World, others: &[&str]) {
    let route = world.settings.route.clone();
    world.settings.others = others.iter().map(|flow| (FlowId::from(*flow), route.clone())).collect();
}

/// Closes a record of a flow that the configuration does not name, beside flows that it does.
async fn close_left(world: &World, flow: &str, id: &str, configured: &[&str]) -> Decided {
    let route = world.settings.route.clone();
    let configured = configured.iter().map(|flow| (FlowId::from(*flow), route.clone())).collect();
    let (flow, store) = (FlowId::from(flow), world.store());
    let posting = store.postings_of(&flow, &SourceId::from(id)).unwrap().pop().unwrap();
    unattended::close(store, &world.clock, &configured, &flow, &posting.key, &decision()).await.unwrap()
}

#[tokio::test]
async fn what_is_held_under_a_name_that_was_taken_back_is_closed_and_left_to_the_flow_that_goes_on() {
    let mut world = World::new();
    world.report("R1", 100);
    // It was tried and certainly not sent.
    world.faults.once(Call::Post, Fault::Fail(FailureClass::NotSent));
    world.run().await;
    world.rename("renamed");
    world.pass(60);
    world.run().await;
    assert_eq!(codes(&world.posting("R1")), [CODE]);
    let before = world.store().audit().head().unwrap().entries;
    assert_eq!(close_left(&world, "renamed", "R1", &["expenses"]).await, Decided::Handled);
    let closed = world.posting("R1");
    let left_to = |posting: &Posting| {
        let PostingState::Handled { left_to, .. } = &posting.state else { panic!("not closed") };
        left_to.clone()
    };
    assert_eq!(left_to(&closed), Some(FlowId::from("expenses")));
    assert_eq!(world.store().audit().head().unwrap().entries, before + 2, "the decision and the transition");
    let history = world.store().audit().of_posting(&closed.key).unwrap();
    let said = history.iter().map(|entry| format!("{:?}", entry.draft)).collect::<String>();
    assert!(said.contains("person:ann") && said.contains("looked at it"), "{said}");
    // Nobody else of that name has anything.
    let key = world.key("R1");
    world.rename("expenses");
    let other = world.flow().handle(&key, &decision()).await.unwrap();
    assert!(matches!(other, Decided::Refused { why } if why.contains("of flow `expenses`")));
    world.until_quiet().await;
    assert_eq!((world.states("R1"), world.erp.books().writes), (vec!["acknowledged"], 1));
    // It was closed: under that name it is never booked.
    world.offered_again("R1");
    world.rename("renamed");
    world.pass(60);
    world.until_quiet().await;
    assert_eq!((left_to(&world.posting("R1")), world.erp.documents().len()), (Some("expenses".into()), 1));
}

#[tokio::test]
async fn what_is_closed_while_the_other_flow_goes_on_with_nothing_stands_in_its_way() {
    // Closed where the other flow is not configured, or leads elsewhere: it may have been booked by hand.
    for elsewhere in [false, true] {
        let mut world = World::new();
        world.report("R1", 100);
        world.faults.once(Call::Post, Fault::Fail(FailureClass::NotSent));
        world.run().await;
        world.rename("renamed");
        if elsewhere {
            configured(&mut world, &["expenses"]);
            world.settings.others.values_mut().for_each(|route| route.books = Some("EPIC07".to_owned()));
        }
        world.pass(60);
        world.run().await;
        let PostingState::Held(hold) = world.posting("R1").state else { panic!("not held") };
        assert_eq!(hold.findings[0].fix.contains("leave the record to flow `expenses`"), elsewhere);
        world.flow().handle(&world.key("R1"), &decision()).await.unwrap();
        world.rename("expenses");
        configured(&mut world, &[]);
        world.pass(600);
        world.until_quiet().await;
        assert_eq!((codes(&world.posting("R1")), world.erp.documents().len()), (vec![CODE], 0));
    }
}

#[tokio::test]
async fn of_two_twins_the_one_that_was_kept_out_is_closed_and_the_other_goes_on() {
    let mut world = World::new();
    world.report("R1", 100);
    world.faults.once(Call::Post, Fault::Fail(FailureClass::NotSent));
    world.run().await;
    world.rename("twin");
    configured(&mut world, &["expenses"]);
    world.run().await;
    let PostingState::Held(hold) = world.posting("R1").state else { panic!("not held") };
    assert!(hold.findings[0].fix.contains("leave the record to flow `expenses`"), "{:?}", hold.findings);
    assert_eq!(world.flow().handle(&world.key("R1"), &decision()).await.unwrap(), Decided::Handled);
    world.rename("expenses");
    configured(&mut world, &["twin"]);
    world.pass(60);
    world.until_quiet().await;
    assert_eq!((world.states("R1"), world.erp.documents().len()), (vec!["acknowledged"], 1));
    // A later state of the record is the other flow's as well.
    world.source.edit("R1", |document| set_amount(document, 200));
    world.offered_again("R1");
    world.rename("twin");
    configured(&mut world, &["expenses"]);
    world.pass(60);
    world.run().await;
    let newest = world.postings_of("R1").into_iter().find(|posting| posting.state.name() == "held").unwrap();
    assert_eq!(codes(&newest), [CODE]);
    world.flow().handle(&newest.key, &decision()).await.unwrap();
    for posting in world.postings_of("R1") {
        assert!(!posting.was_begun(), "{:?}", posting.state);
    }
}

#[tokio::test]
async fn what_a_write_was_begun_of_is_not_closed_because_its_flow_is_configured_no_more() {
    for (fault, state) in [
        (Fault::LostAnswer, "in-doubt"),
        (Fault::Fail(FailureClass::NotSent), "waiting"),
        (Fault::DieAfter, "claimed"),
    ] {
        let mut world = World::new();
        world.report("R1", 100);
        world.faults.once(Call::Post, fault);
        world.run_or_die().await;
        let before = world.posting("R1");
        let Decided::Refused { why } = close_left(&world, "expenses", "R1", &["renamed"]).await else {
            panic!("closed while {state}")
        };
        assert!(why.contains(state) && why.contains("name the flow again"), "{why}");
        assert_eq!(world.posting("R1"), before);
    }
    // What is booked stays so; a mark that has failed is given up as it is for a flow that is configured.
    let mut world = World::new();
    world.report("R1", 100);
    world.faults.once(Call::Acknowledge, Fault::Fail(FailureClass::Unavailable));
    world.run().await;
    let left = close_left(&world, "expenses", "R1", &[]).await;
    assert!(matches!(left, Decided::LeftUnmarked { .. }), "{left:?}");
    assert_eq!(world.states("R1"), ["acknowledged"]);
    let again = close_left(&world, "expenses", "R1", &[]).await;
    assert!(matches!(again, Decided::AlreadyPosted { .. }), "{again:?}");
}

#[tokio::test]
async fn the_source_is_not_told_that_a_record_is_not_exported_which_another_flow_has_begun_to_book() {
    let mut world = World::new();
    world.report("R1", 100);
    *world.source.failures.lock().unwrap() = Some(BTreeMap::new());
    world.faults.once(Call::Post, Fault::LostAnswer);
    world.run().await;
    assert_eq!(world.states("R1"), ["in-doubt"]);
    world.rename("renamed");
    world.pass(60);
    world.run().await;
    let held = world.posting("R1");
    assert_eq!(codes(&held), [CODE]);
    let refused = world.flow().report_and_handle(&held.key, &decision()).await.unwrap();
    assert!(matches!(&refused, Decided::Refused { why } if why.contains("may be in the ERP")), "{refused:?}");
    assert_eq!(world.source.failures.lock().unwrap().as_ref().map(BTreeMap::len), Some(0));
    assert_eq!(world.posting("R1"), held);
}
