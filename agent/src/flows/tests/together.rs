//! The machine's limits of a day count all flows together, so that a configuration that makes several of one lifts nothing.

use super::faults::{Call, Fault};
use super::world::{World, codes, usd};
use crate::store::{Batch, StateTable};
use spend::guard::{Day, GuardLimits, LimitPlace};
use spend::ids::CompanyId;
use spend::money::Currency;
use spend::posting::{FailureClass, PostingState};

fn machine(cents: i64, documents: u32) -> Vec<GuardLimits> {
    vec![GuardLimits {
        max_per_day: [(Currency::USD, usd(cents))].into(),
        max_documents_per_day: Some(documents),
        place: LimitPlace::Machine,
        ..GuardLimits::default()
    }]
}

impl World {
    /// The same records as another flow books them, into a company of its own.
    fn other_company(&mut self, name: &str) {
        self.rename(&format!("into-{name}"));
        self.settings.context.company = CompanyId::from(name);
        self.settings.route.company = CompanyId::from(name);
        self.settings.route.books = Some(name.to_owned());
        for record in self.source.records().values_mut() {
            record.marked = false;
        }
    }

    fn together(&self) -> Day {
        self.store().get(StateTable::Flow, "*/spent").unwrap().unwrap()
    }
}

#[tokio::test]
async fn two_flows_stop_at_the_ceiling_of_the_machine_also_after_a_restart_and_until_the_day_ends() {
    for limits in [machine(350, 100), machine(10_000, 3)] {
        let mut world = World::new();
        world.settings.machine = limits;
        world.settings.guard.max_per_day = [(Currency::USD, usd(250))].into();
        world.report("A", 100);
        world.report("B", 100);
        assert_eq!(world.run().await.posted, 2);
        world.reopen();
        world.other_company("EPIC07");
        world.pass(60);
        assert_eq!(world.run().await.posted, 1, "the flow alone is far from its limits");
        let held: Vec<_> = ["A", "B"].into_iter().filter(|id| world.states(id) == ["held"]).collect();
        let PostingState::Held(hold) = world.posting(held[0]).state else { panic!("{held:?}") };
        let [finding] = hold.findings.as_slice() else { panic!("{hold:?}") };
        assert_eq!(finding.code.as_str(), "guard-rail");
        assert!(finding.message.contains("of all flows together"), "{finding}");
        assert!(finding.fix.contains("guard-rails.toml"), "{finding}");
        assert_eq!((world.together().sums[&Currency::USD], world.together().documents), (usd(300), 3));
        world.pass(24 * 3600);
        world.report("C", 100);
        assert_eq!(world.run().await.posted, 1, "another day");
        assert_eq!((world.together().sums[&Currency::USD], world.together().documents), (usd(100), 1));
    }
}

#[tokio::test]
async fn flows_that_run_at_the_same_time_stop_at_the_ceiling_together() {
    let mut world = World::new();
    world.settings.machine = machine(100_000, 35);
    // What one has booked the others read all the same.
    world.source.habits.lock().unwrap().keeps_no_mark = true;
    for n in 0..30 {
        world.report(&format!("R{n}"), 100);
    }
    let one = world.flow();
    world.other_company("EPIC07");
    let two = world.flow();
    world.other_company("EPIC08");
    let three = world.flow();
    let ran = tokio::join!(one.run("test"), two.run("test"), three.run("test"));
    for report in [ran.0, ran.1, ran.2] {
        let report = report.unwrap();
        assert!(report.errors.is_empty(), "{report:?}");
    }
    assert_eq!((world.erp.documents().len(), world.together().documents), (35, 35));
}

#[tokio::test]
async fn limits_of_the_configuration_count_each_flow_by_itself() {
    let mut world = World::new();
    world.settings.guard.max_per_day = [(Currency::USD, usd(250))].into();
    world.report("A", 200);
    world.run().await;
    world.other_company("EPIC07");
    world.pass(60);
    assert_eq!(world.run().await.posted, 1);
    assert_eq!(world.erp.documents().len(), 2);
}

#[tokio::test]
async fn a_claim_that_is_made_again_counts_once_for_all_flows_together() {
    let mut world = World::new();
    world.settings.machine = machine(250, 2);
    world.settings.posting.backoff_base = chrono::TimeDelta::zero();
    world.settings.posting.backoff_max = chrono::TimeDelta::zero();
    world.report("A", 200);
    for _ in 0..3 {
        world.faults.always(Call::Post, Fault::Fail(FailureClass::NotSent));
        world.run().await;
        world.pass(5);
    }
    assert!(world.posting("A").attempts >= 3);
    assert_eq!((world.together().sums[&Currency::USD], world.together().documents), (usd(200), 1));
    world.faults.clear();
    world.report("B", 50);
    world.run().await;
    assert_eq!((world.states("A"), world.states("B")), (vec!["acknowledged"], vec!["acknowledged"]));
    world.other_company("EPIC07");
    world.run().await;
    assert_eq!(codes(&world.posting("A")), ["guard-rail", "guard-rail"]);
}

#[tokio::test]
async fn a_store_of_a_release_without_this_count_begins_with_what_its_flows_have_claimed() {
    let mut world = World::new();
    world.settings.machine = machine(250, 10);
    world.report("A", 200);
    world.run().await;
    let mut batch = Batch::new();
    batch.remove(StateTable::Flow, "*/spent");
    world.store().commit(batch).await.unwrap();
    world.reopen();
    world.other_company("EPIC07");
    world.pass(60);
    world.run().await;
    assert_eq!(codes(&world.posting("A")), ["guard-rail"]);
    assert_eq!(world.together().sums[&Currency::USD], usd(200));
}
