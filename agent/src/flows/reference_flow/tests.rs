//! What a reference flow does, with a fake ERP and a fake spend system over a real store.

use super::*;
use crate::store::{Options, StoreKeys};
use crate::vendors::{Claimed, ErpDocument};
use async_trait::async_trait;
use spend::Date;
use spend::plan::PostingPlan;
use spend::posting::{ErpReceipt, LookUp};
use spend::reference::{Employee, ReferenceData};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use tempfile::TempDir;

/// An ERP that knows employees and nothing else.
#[derive(Default)]
struct Erp(Mutex<BTreeMap<String, Employee>>);

fn no_erp() -> Failure {
    Failure::new(FailureClass::NotSent, "this ERP only knows employees")
}

#[async_trait]
impl ErpTarget for Erp {
    async fn look_up(&self, _: &PostingPlan) -> Result<LookUp, Failure> {
        Err(no_erp())
    }
    async fn post(&self, _: &Claimed, _: &LookUp) -> Result<ErpReceipt, Failure> {
        Err(no_erp())
    }
    async fn read_back(&self, _: &str, _: Date, _: Date) -> Result<Vec<ErpDocument>, Failure> {
        Err(no_erp())
    }
    fn refuses_duplicates(&self, _: &PostingPlan) -> bool {
        false
    }
    async fn reference_data(&self, company: &CompanyId) -> Result<ReferenceData, Failure> {
        Ok(ReferenceData {
            as_of: start(),
            company: company.clone(),
            accounts: BTreeMap::new(),
            segments: BTreeMap::new(),
            vendors: BTreeMap::new(),
            employees: self.0.lock().unwrap().clone(),
            projects: BTreeMap::new(),
            dimensions: BTreeMap::new(),
            periods: None,
        })
    }
}

/// What goes wrong at the spend system.
#[derive(Clone, Default)]
enum Trouble {
    #[default]
    None,
    /// Reading fails.
    Read(FailureClass),
    /// Entries with this in their key are refused.
    Refuse(&'static str),
    /// A write takes effect and its answer is lost.
    Lost,
    /// A write takes effect and is not seen yet when it is read back.
    Late,
    /// The process dies after this many written entries.
    DieAfter(usize),
}

/// A spend system that holds e-mail addresses, numbers and approvers.
#[derive(Default)]
struct Target {
    entries: Mutex<BTreeMap<String, MirrorEntry>>,
    writes: Mutex<Vec<String>>,
    trouble: Mutex<Trouble>,
    /// Numbers of people whose account has ended.
    ended: Mutex<Vec<String>>,
}

impl Target {
    /// A number is a person: an address that goes while another with its number comes is a change of address.
    fn end_of(&self, change: &MirrorChange, all: &[MirrorChange]) {
        let MirrorChange::Disable(entry) = change else { return };
        let number = entry.attribute("employee_number").unwrap_or_default();
        let comes = |other: &MirrorChange| {
            other.target().and_then(|entry| entry.attribute("employee_number")) == Some(number)
        };
        if !all.iter().any(comes) {
            self.ended.lock().unwrap().push(number.to_owned());
        }
    }
}

#[async_trait]
impl ReferenceTarget for Target {
    fn sets(&self) -> &'static [ReferenceSet] {
        &[ReferenceSet::Employees]
    }

    async fn read_set(&self, _: ReferenceSet) -> Result<Vec<MirrorEntry>, Failure> {
        if let Trouble::Read(class) = self.trouble.lock().unwrap().clone() {
            return Err(Failure::new(class, "fault: reading"));
        }
        Ok(self.entries.lock().unwrap().values().cloned().collect())
    }

    async fn write_set(
        &self,
        _: ReferenceSet,
        changes: &[MirrorChange],
    ) -> Result<Vec<ChangeOutcome>, Failure> {
        let trouble = self.trouble.lock().unwrap().clone();
        let mut outcomes = Vec::new();
        for (done, change) in changes.iter().enumerate() {
            if matches!(trouble, Trouble::DieAfter(most) if done == most) {
                std::future::pending::<()>().await;
            }
            let key = change.key().to_owned();
            if matches!(trouble, Trouble::Refuse(part) if key.contains(part)) {
                outcomes
                    .push(ChangeOutcome { refused: true, ..ChangeOutcome::unsure(key, "No policy found") });
                continue;
            }
            let mut entries = self.entries.lock().unwrap();
            match change.target() {
                Some(entry) => {
                    let mut entry = MirrorEntry { name: String::new(), ..entry.clone() };
                    entry.attributes.entry("manager".to_owned()).or_default();
                    entries.insert(key.clone(), entry);
                }
                None => drop(entries.get_mut(&key).map(|entry| entry.active = false)),
            }
            if change.target().is_none() {
                self.end_of(change, changes);
            }
            self.writes.lock().unwrap().push(format!("{} {key}", change.name()));
            outcomes.push(match trouble {
                Trouble::Late => ChangeOutcome::unsure(key, "read back, it is not there"),
                _ => ChangeOutcome { key, result: Ok(()), refused: false },
            });
        }
        match trouble {
            Trouble::Lost => Err(Failure::new(FailureClass::InDoubt, "fault: answer lost")),
            _ => Ok(outcomes),
        }
    }
}

fn start() -> Timestamp {
    "2026-01-15T08:00:00Z".parse().unwrap()
}

struct World {
    erp: Arc<Erp>,
    target: Arc<Target>,
    clock: Clock,
    store: Option<Store>,
    settings: ReferenceSettings,
    dir: TempDir,
}

impl World {
    fn new(employees: usize) -> Self {
        let mut world = Self {
            erp: Arc::default(),
            target: Arc::default(),
            clock: Clock::manual(start()),
            store: None,
            settings: ReferenceSettings {
                flow: FlowId::from("staff"),
                company: CompanyId::from("EPIC06"),
                set: ReferenceSet::Employees,
                rules: MirrorRules::default(),
                ceiling: MirrorCeiling { max_changes: 1000, max_disable_percent: 10 },
                place: "workspace A".to_owned(),
            },
            dir: TempDir::new().unwrap(),
        };
        for number in 0..employees {
            world.hire(number);
        }
        world.reopen();
        world
    }

    fn reopen(&mut self) {
        self.store = None;
        let options =
            Options { initial_map: 1 << 20, free_floor: 0, free_space: Arc::new(|_: &Path| Ok(u64::MAX)) };
        let keys = StoreKeys::from_data_key(&[7; 32]);
        self.store = Some(Store::open_with(self.dir.path(), keys, self.clock.clone(), options).unwrap());
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn hire(&self, number: usize) {
        let employee = Employee {
            number: format!("E{number}"),
            name: format!("Person {number}"),
            active: true,
            expense_vendor: None,
            manager: Some("boss@example.test".to_owned()),
        };
        self.erp.0.lock().unwrap().insert(format!("p{number:03}@example.test"), employee);
    }

    fn flow(&self) -> ReferenceFlow {
        ReferenceFlow::new(
            self.settings.clone(),
            self.store().clone(),
            Arc::clone(&self.erp) as _,
            Arc::clone(&self.target) as _,
            self.clock.clone(),
            watch::Sender::new(false).subscribe(),
            watch::Sender::new(RunReport::default()),
            || true,
        )
    }

    async fn run_with(&self, agreed: Agreement) -> MirrorEnded {
        self.flow().run("test", &agreed).await.unwrap()
    }

    async fn run(&self) -> RunReport {
        match self.run_with(Agreement::default()).await {
            MirrorEnded::Ran(report) => report,
            MirrorEnded::Changed(preview) => panic!("{preview:?}"),
        }
    }

    fn set_trouble(&self, trouble: Trouble) {
        *self.target.trouble.lock().unwrap() = trouble;
    }

    fn writes(&self) -> Vec<String> {
        std::mem::take(&mut *self.target.writes.lock().unwrap())
    }

    fn active(&self) -> usize {
        self.target.entries.lock().unwrap().values().filter(|entry| entry.active).count()
    }
}

fn counts(report: &RunReport) -> MirrorCounts {
    *report.mirrored.clone().unwrap()
}

#[tokio::test]
async fn a_second_run_writes_nothing() {
    let world = World::new(150);
    let report = world.run().await;
    assert_eq!((counts(&report).added, report.errors.len()), (150, 0), "{:?}", report.errors);
    assert_eq!(world.writes().len(), 150);
    let report = world.run().await;
    assert_eq!((counts(&report).added, counts(&report).untouched), (0, 150));
    assert_eq!(world.writes(), Vec::<String>::new());
    assert_eq!(fresh_at(world.store(), &world.settings.flow).unwrap(), Some(start()));
}

#[tokio::test]
async fn only_the_difference_is_written_and_each_write_is_audited() {
    let world = World::new(30);
    world.run().await;
    world.writes();
    world.hire(30);
    world.erp.0.lock().unwrap().get_mut("p003@example.test").unwrap().manager =
        Some("new@example.test".to_owned());
    world.erp.0.lock().unwrap().get_mut("p004@example.test").unwrap().active = false;
    world.erp.0.lock().unwrap().remove("p005@example.test");
    let report = world.run().await;
    assert_eq!(report.errors, Vec::<String>::new());
    assert_eq!(
        world.writes(),
        [
            "add p030@example.test",
            "change p003@example.test",
            "disable p004@example.test",
            "disable p005@example.test"
        ]
    );
    let mut written = Vec::new();
    world
        .store()
        .audit()
        .for_each(0, |entry| {
            if entry.draft.kind == AuditKind::Reference && entry.draft.detail["what"].is_object() {
                written.push(entry.draft.detail["key"].as_str().unwrap().to_owned());
            }
        })
        .unwrap();
    assert_eq!(written.len(), 34);
    assert!(written.contains(&"p004@example.test".to_owned()));
    world.store().audit().verify().unwrap();
}

#[tokio::test]
async fn a_changed_address_among_many_newcomers_ends_nobody() {
    let world = World::new(20);
    world.run().await;
    for number in 20..120 {
        world.hire(number);
    }
    let moved = world.erp.0.lock().unwrap().remove("p003@example.test").unwrap();
    world.erp.0.lock().unwrap().insert("a-new-name@example.test".to_owned(), moved);
    world.erp.0.lock().unwrap().remove("p004@example.test");
    let report = world.run().await;
    assert_eq!((counts(&report).added, counts(&report).disabled), (101, 2), "{:?}", report.errors);
    assert_eq!(*world.target.ended.lock().unwrap(), ["E4"], "only who left");
}

#[tokio::test]
async fn an_entry_that_a_person_made_is_left_alone_for_ever() {
    let world = World::new(3);
    let own = MirrorEntry {
        key: "contractor@example.test".to_owned(),
        name: String::new(),
        active: true,
        attributes: BTreeMap::new(),
    };
    world.target.entries.lock().unwrap().insert(own.key.clone(), own);
    for _ in 0..3 {
        let report = world.run().await;
        assert_eq!((counts(&report).left_alone, counts(&report).disabled), (1, 0));
    }
    assert_eq!(world.active(), 4);
}

#[tokio::test]
async fn what_is_seen_late_is_ours_and_what_was_refused_is_not() {
    let world = World::new(20);
    world.run().await;
    world.hire(20);
    world.set_trouble(Trouble::Late);
    assert_eq!(counts(&world.run().await).failed, 1);
    // It is there by now, and gone from the ERP. A disabling that fails does not make it a stranger either.
    world.erp.0.lock().unwrap().remove("p020@example.test");
    assert_eq!(counts(&world.run().await).failed, 1);
    world.target.entries.lock().unwrap().get_mut("p020@example.test").unwrap().active = true;
    world.set_trouble(Trouble::None);
    assert_eq!(counts(&world.run().await).disabled, 1);
    assert_eq!(world.active(), 20);
    // Refused, then made by a person, and gone from the ERP: the person's own affair.
    world.hire(21);
    world.set_trouble(Trouble::Refuse("p021"));
    assert_eq!(counts(&world.run().await).failed, 1);
    world.erp.0.lock().unwrap().remove("p021@example.test");
    let own = world.target.entries.lock().unwrap()["p001@example.test"].clone();
    let own = MirrorEntry { key: "p021@example.test".to_owned(), ..own };
    world.target.entries.lock().unwrap().insert(own.key.clone(), own);
    world.set_trouble(Trouble::None);
    assert_eq!(counts(&world.run().await).disabled, 0);
    assert_eq!(world.active(), 21);
}

#[tokio::test]
async fn a_flow_that_goes_elsewhere_is_answerable_for_nothing_there_yet() {
    let mut world = World::new(20);
    world.run().await;
    assert!(fresh_at(world.store(), &world.settings.flow).unwrap().is_some());
    // Somebody has left; in the other workspace people keep the account of that person on purpose.
    world.erp.0.lock().unwrap().remove("p003@example.test");
    world.settings.place = "workspace B".to_owned();
    world.settings.ceiling.max_disable_percent = 100;
    let preview = world.flow().preview().await.unwrap().unwrap();
    assert_eq!((preview.delta.changes.len(), preview.delta.left_alone.len()), (0, 1));
    let report = world.run().await;
    assert_eq!((counts(&report).disabled, counts(&report).left_alone), (0, 1));
    // What is found there as wanted is learned anew.
    world.erp.0.lock().unwrap().remove("p004@example.test");
    assert_eq!(counts(&world.run().await).disabled, 1);
    assert_eq!(world.active(), 19);
}

#[test]
fn what_a_flow_remembers_is_about_one_place() {
    let place = |from: &str, to: &str| {
        let text = include_str!("fixtures/staff.toml").replace(from, to);
        let (_, config) = crate::config::check(&text).unwrap();
        let flow = &config.references[0];
        ReferenceSettings::new(flow, config.connection(&flow.to)).place
    };
    let own = place("", "");
    for (from, to) in [
        ("0123456789ABCDEF", "FEDCBA9876543210"),
        ("company = \"EPIC06\"", "company = \"EPIC07\""),
        ("set = \"employees\"", "set = \"projects\""),
        ("integrations.expensify.com", "integrations.example.test"),
    ] {
        assert_ne!(place(from, to), own, "{from}");
    }
    for (from, to) in
        [("page_limit = 500", "page_limit = 50"), ("max_shrink_percent = 10", "max_shrink_percent = 100")]
    {
        assert_eq!(place(from, to), own, "{from}: not about where");
    }
}

#[tokio::test]
async fn too_much_at_once_waits_for_a_person_who_agrees_to_exactly_that() {
    let world = World::new(20);
    world.run().await;
    world.writes();
    for number in 0..5 {
        world.erp.0.lock().unwrap().remove(&format!("p{number:03}@example.test"));
    }
    let report = world.run().await;
    assert_eq!((counts(&report).waiting, world.writes().len()), (5, 0));
    assert!(report.errors[0].contains("5 of 20 active entries would be disabled"), "{:?}", report.errors);
    let preview = world.flow().preview().await.unwrap().unwrap();
    let consent = || Some(Decision { by: "ann".to_owned(), note: "plant closed".to_owned() });
    let other = Agreement { expect: Some("0123456789abcdef".to_owned()), consent: consent() };
    assert!(matches!(world.run_with(other).await, MirrorEnded::Changed(_)));
    assert_eq!(world.writes().len(), 0, "what was not agreed to is not written");
    let agreed = Agreement { expect: Some(preview.plan_hash), consent: consent() };
    assert!(matches!(world.run_with(agreed).await, MirrorEnded::Ran(report) if report.errors.is_empty()));
    assert_eq!(world.active(), 15);
    let mut consents = 0;
    world
        .store()
        .audit()
        .for_each(0, |entry| {
            consents +=
                u32::from(entry.draft.actor == "person:ann" && entry.draft.detail["note"] == "plant closed");
        })
        .unwrap();
    assert_eq!(consents, 1);
}

#[tokio::test]
async fn an_erp_that_suddenly_knows_nobody_disables_nobody() {
    let mut world = World::new(20);
    world.settings.ceiling.max_disable_percent = 100;
    world.run().await;
    world.erp.0.lock().unwrap().clear();
    let report = world.run().await;
    assert!(report.errors[0].contains("gave nothing that is active"), "{:?}", report.errors);
    assert_eq!(world.active(), 20);
}

#[tokio::test]
async fn one_refused_entry_does_not_stop_the_others() {
    let world = World::new(10);
    world.set_trouble(Trouble::Refuse("p004"));
    let report = world.run().await;
    assert_eq!((counts(&report).added, counts(&report).failed), (9, 1));
    assert!(report.errors[0].contains("p004@example.test: No policy found"), "{:?}", report.errors);
    assert_eq!(fresh_at(world.store(), &world.settings.flow).unwrap(), None, "both sides are not equal");
    world.set_trouble(Trouble::None);
    assert_eq!(counts(&world.run().await).added, 1);
    assert!(fresh_at(world.store(), &world.settings.flow).unwrap().is_some());
}

#[tokio::test]
async fn a_run_that_dies_between_writes_is_finished_by_the_next() {
    let mut world = World::new(25);
    world.set_trouble(Trouble::DieAfter(7));
    let (flow, nothing_agreed) = (world.flow(), Agreement::default());
    let died = tokio::time::timeout(std::time::Duration::from_millis(300), flow.run("test", &nothing_agreed));
    assert!(died.await.is_err());
    drop(flow);
    assert_eq!(world.active(), 7);
    world.reopen();
    world.set_trouble(Trouble::None);
    // One of those that were written before the end has left in the meantime: it was ours already.
    world.erp.0.lock().unwrap().remove("p002@example.test");
    let report = world.run().await;
    assert_eq!((counts(&report).added, counts(&report).disabled), (18, 1), "{:?}", report.errors);
    assert_eq!(world.active(), 24);
    world.writes();
    world.run().await;
    assert_eq!(world.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_lost_answer_is_looked_at_again_and_nothing_is_written_twice() {
    let world = World::new(5);
    world.set_trouble(Trouble::Lost);
    let report = world.run().await;
    assert_eq!(counts(&report).failed, 5);
    assert_eq!(report.next_due, Some(start() + RETRY_BASE));
    world.set_trouble(Trouble::None);
    world.writes();
    let report = world.run().await;
    assert_eq!((counts(&report).untouched, report.next_due), (5, None));
    assert_eq!(world.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_passing_failure_is_tried_again_and_a_lasting_one_waits_for_a_person() {
    let world = World::new(2);
    let until = start() + TimeDelta::seconds(40);
    let table = [
        (FailureClass::Throttled { until }, Some(until), false),
        (FailureClass::Unavailable, Some(start() + RETRY_BASE * 2), false),
        (FailureClass::NotSent, Some(start() + RETRY_BASE * 4), true),
        (FailureClass::Unauthorised, None, true),
        (FailureClass::Unavailable, Some(start() + RETRY_BASE), false),
    ];
    for (class, due, could_not_begin) in table {
        world.set_trouble(Trouble::Read(class.clone()));
        let report = world.run().await;
        assert_eq!((report.errors.len(), report.next_due), (1, due), "{class:?}");
        assert_eq!(report.could_not_begin, could_not_begin, "{class:?}");
        assert_eq!(next_due(world.store(), &world.settings.flow).unwrap(), due);
    }
    assert_eq!(world.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_set_that_the_spend_system_cannot_take_is_said_so() {
    let mut world = World::new(1);
    world.settings.set = ReferenceSet::Vendors;
    let report = world.run().await;
    assert!(report.errors[0].contains("cannot take vendors") && report.errors[0].contains("employees"));
}
