//! Expensify as a spend system that takes reference data: the list, and what is particular to its categories, tags and
//! members.

use super::bench::Wire;
use super::expensify::{SECRET, Server, USER, knobs};
use super::reference::{ReferenceFixture, reference_conformance};
use super::source::SourceFixture;
use async_trait::async_trait;
use purser::vendors::{ReferenceTarget, Verdict};
use sandbox::sim::expensify::{ExpensifyKnobs, PolicySections};
use serde_json::{Value, json};
use spend::mirror::{MirrorChange, MirrorEntry, MirrorRules, Ours, ReferenceSet, compare};
use spend::posting::FailureClass;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Jobs that a mirror may order. Everything else would be about reports, expenses or cards.
const ALLOWED: [&str; 4] = ["get/policyList", "get/policy", "update/policy", "update/employees"];

/// The Integration Server whose first two workspaces take reference data.
pub(crate) struct Return(Server);

fn policy(server: &Server, at: usize) -> String {
    server.wire().sim.state()["policies"][at]["id"].as_str().unwrap().to_owned()
}

fn settings(first: &str) -> Value {
    json!({
        "employees": { "policies": [first] },
        "accounts": { "policies": [first] },
        "cost_centres": { "policies": [first], "level": "Department" },
        "projects": { "policies": [first], "level": "Project" },
    })
}

fn entry(key: &str, name: &str, attributes: &[(&str, &str)]) -> MirrorEntry {
    let attributes: BTreeMap<String, String> =
        attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    MirrorEntry { key: key.to_owned(), name: name.to_owned(), active: true, attributes }
}

fn person(email: &str, number: &str, manager: &str) -> MirrorEntry {
    entry(email, "Nora Neu", &[("email", email), ("employee_number", number), ("manager", manager)])
}

impl Return {
    async fn with(knobs: ExpensifyKnobs) -> Self {
        Self(Server::with(knobs).await)
    }

    fn target(&self, settings: Value) -> Arc<dyn ReferenceTarget> {
        let plug = Server::plug().set("reference", settings);
        plug.into(self.0.wire()).reference.expect("Expensify takes reference data")
    }

    fn page(&self, at: usize) -> Value {
        self.0.wire().control("policy", json!({ "policy": at }))
    }

    fn put(&self, what: Value) {
        self.0.wire().control("policy-put", what);
    }

    /// Names of one section of a workspace's page.
    fn names(&self, at: usize, section: &str) -> BTreeSet<String> {
        let page = self.page(at);
        let of = |items: &Value| -> Vec<String> {
            items.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
        };
        match section {
            "tags" => page["tags"].as_array().unwrap().iter().flat_map(|level| of(&level["tags"])).collect(),
            other => of(&page[other]).into_iter().collect(),
        }
    }

    fn category(&self, name: &str) -> Value {
        let page = self.page(0);
        let found = page["categories"].as_array().unwrap().iter().find(|category| category["name"] == name);
        found.cloned().unwrap_or_default()
    }

    fn member(&self, at: usize, email: &str) -> Value {
        let page = self.page(at);
        let found = page["employees"].as_array().unwrap().iter().find(|member| member["email"] == email);
        found.cloned().unwrap_or_default()
    }

    /// How much of its sections the getter tells from now on.
    fn tell(&self, sections: PolicySections) {
        self.0.wire().control("knobs", json!({ "policy_sections": sections }));
    }

    /// Updates so far.
    fn updates(&self) -> u64 {
        let jobs = self.0.wire().sim.state()["jobs"].clone();
        ["update/policy", "update/employees"].iter().filter_map(|job| jobs[job].as_u64()).sum()
    }

    fn boss(&self) -> String {
        self.0.world.employees[0].email.clone()
    }
}

#[async_trait]
impl ReferenceFixture for Return {
    async fn start() -> Self {
        Self::with(knobs()).await
    }

    fn wire(&self) -> &Wire {
        self.0.wire()
    }

    fn client(&self) -> Arc<dyn ReferenceTarget> {
        self.target(settings(&policy(&self.0, 0)))
    }

    fn stranger(&self) -> Arc<dyn ReferenceTarget> {
        let plug = Server::plug().secret("partner_user_secret", "not-the-secret");
        let plug = plug.set("reference", settings(&policy(&self.0, 0)));
        plug.into(self.0.wire()).reference.unwrap()
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned(), USER.to_owned()]
    }

    fn sets(&self) -> Vec<ReferenceSet> {
        vec![
            ReferenceSet::Accounts,
            ReferenceSet::Employees,
            ReferenceSet::CostCentres,
            ReferenceSet::Projects,
        ]
    }

    fn fresh(&self, set: ReferenceSet, n: usize) -> MirrorEntry {
        match set {
            ReferenceSet::Employees => {
                person(&format!("new{n}@example.test"), &format!("N{n}"), &self.boss())
            }
            ReferenceSet::Accounts => {
                let code = format!("81{n:02}");
                entry(&code, &format!("Energy & \"power\" {n}"), &[("gl_code", &code)])
            }
            ReferenceSet::CostCentres | ReferenceSet::Projects | ReferenceSet::Vendors => {
                let code = format!("X-{n:03}");
                entry(&code, &format!("Hall B: <roof> {n}"), &[("code", &code)])
            }
        }
    }

    fn changed(&self, set: ReferenceSet, entry: &MirrorEntry) -> Option<MirrorEntry> {
        let mut entry = entry.clone();
        let other = self.0.world.employees[1].email.clone();
        entry.attributes.insert("manager".to_owned(), other);
        (set == ReferenceSet::Employees).then_some(entry)
    }

    fn impossible(&self, set: ReferenceSet) -> MirrorEntry {
        match set {
            ReferenceSet::Employees => person("bad@example.test", "N99", "nobody"),
            ReferenceSet::Accounts => {
                self.put(json!({ "category": { "name": "9990 Taken", "gl_code": "1" } }));
                entry("9990", "Taken", &[("gl_code", "9990")])
            }
            ReferenceSet::CostCentres | ReferenceSet::Projects | ReferenceSet::Vendors => {
                let level = u8::from(set == ReferenceSet::Projects);
                self.put(json!({ "tag": { "level": level, "name": "9990 Taken", "gl_code": "1" } }));
                entry("9990", "Taken", &[("code", "9990")])
            }
        }
    }

    fn plant(&self, set: ReferenceSet) -> String {
        match set {
            ReferenceSet::Employees => {
                let by_hand =
                    json!({ "email": "auditor@example.test", "role": "auditor", "employee_id": "" });
                self.put(json!({ "employee": by_hand }));
                "auditor@example.test".to_owned()
            }
            ReferenceSet::Accounts => {
                self.put(json!({ "category": { "name": "Made by hand", "gl_code": "" } }));
                "Made by hand".to_owned()
            }
            ReferenceSet::CostCentres | ReferenceSet::Projects | ReferenceSet::Vendors => {
                let level = u8::from(set == ReferenceSet::Projects);
                self.put(json!({ "tag": { "level": level, "name": "By hand: A & B", "gl_code": "" } }));
                "By hand: A & B".to_owned()
            }
        }
    }

    fn records(&self) -> Value {
        let state = self.0.wire().sim.state();
        let ids = state["reports"].as_array().unwrap().iter().map(|report| report["id"].clone());
        let whole = ids.map(|id| self.0.wire().control("report", json!({ "id": id })));
        json!({ "reports": whole.collect::<Vec<_>>(), "marks": state["mark_actions"], "files": state["files"] })
    }

    fn foreign_calls(&self) -> Vec<String> {
        let state = self.0.wire().sim.state();
        let jobs = state["jobs"].as_object().unwrap().keys();
        jobs.filter(|job| !ALLOWED.contains(&job.as_str())).cloned().collect()
    }
}

reference_conformance!(Return);

/// Every change of tags writes all levels anew, in both shapes that the server answers in; what other people and other
/// sets have put there survives, disabled ones included.
///
/// Sheet item: Expensify 9, Expensify 11, Expensify 14
#[tokio::test]
async fn no_tag_is_ever_deleted_by_an_update_that_replaces_them_all() {
    let bench = Return::start().await;
    bench.put(
        json!({ "tag": { "level": 1, "name": "Old: closed & gone", "enabled": false, "gl_code": "P-001" } }),
    );
    let before = bench.names(0, "tags");
    let target = bench.client();
    let change = [MirrorChange::Add(entry("40", "Sales: \"north\"", &[("code", "40")]))];
    let made = target.write_set(ReferenceSet::CostCentres, &change).await.unwrap();
    assert_eq!(made[0].result, Ok(()));
    let mut expected = before.clone();
    expected.insert("40 Sales: \"north\"".to_owned());
    assert_eq!(bench.names(0, "tags"), expected);
    let disabled = bench.page(0)["tags"][1]["tags"].as_array().unwrap().clone();
    assert!(disabled.iter().any(|tag| tag["name"] == "Old: closed & gone" && tag["enabled"] == false));
    // The second workspace has a single level, which is listed without its name.
    let flat = json!({ "cost_centres": { "policies": [policy(&bench.0, 1)], "level": "Department", "required": true } });
    let before = bench.names(1, "tags");
    let target = bench.target(flat);
    assert_eq!(target.write_set(ReferenceSet::CostCentres, &change).await.unwrap()[0].result, Ok(()));
    assert!(bench.names(1, "tags").is_superset(&before));
    assert_eq!(bench.page(1)["tags"][0]["level"], "Department");
    assert_eq!(bench.0.wire().sim.state()["tags_deleted"], 0);
}

#[tokio::test]
async fn a_renamed_value_is_a_new_tag_beside_the_disabled_old_one() {
    let bench = Return::start().await;
    let target = bench.client();
    let mut wanted = [entry("X-1", "Hall A", &[("code", "X-1")])];
    let rules = MirrorRules { rename: true, ..MirrorRules::default() };
    for name in ["Hall A", "Hall B", "Hall A"] {
        wanted[0].name = name.to_owned();
        let present = target.read_set(ReferenceSet::Projects).await.unwrap();
        let delta = compare(&wanted, &present, &Ours::new(), &rules);
        assert_eq!(delta.changes.len(), 1, "{name}");
        assert_eq!(target.write_set(ReferenceSet::Projects, &delta.changes).await.unwrap()[0].result, Ok(()));
    }
    let page = bench.page(0);
    let of = |name: &str| {
        page["tags"][1]["tags"].as_array().unwrap().iter().find(|tag| tag["name"] == name).unwrap()["enabled"]
            .clone()
    };
    assert_eq!((of("X-1 Hall A"), of("X-1 Hall B")), (json!(true), json!(false)));
    assert_eq!(bench.0.wire().sim.state()["tags_deleted"], 0);
}

#[tokio::test]
async fn a_level_that_is_not_there_is_named_with_those_that_are() {
    let bench = Return::start().await;
    let wrong = json!({ "projects": { "policies": [policy(&bench.0, 0)], "level": "Customer" } });
    let failure = bench.target(wrong).read_set(ReferenceSet::Projects).await.unwrap_err();
    assert!(matches!(failure.class, FailureClass::Rejected { .. }));
    assert!(failure.to_string().contains("`Customer`; it has Department, Project"), "{failure}");
    let nowhere = bench.target(json!({})).read_set(ReferenceSet::Accounts).await.unwrap_err();
    assert!(nowhere.to_string().contains("settings.reference.accounts.policies"), "{nowhere}");
    // Two sets would share the one level of the second workspace.
    let both = json!({
        "cost_centres": { "policies": [policy(&bench.0, 1)], "level": "Department" },
        "projects": { "policies": [policy(&bench.0, 1)], "level": "Project" },
    });
    let failure = bench.target(both).read_set(ReferenceSet::Projects).await.unwrap_err();
    assert!(failure.to_string().contains("single tag level"), "{failure}");
}

#[tokio::test]
async fn a_code_is_given_to_the_category_of_that_name_and_nothing_else_of_it_is_lost() {
    let bench = Return::start().await;
    let limits = json!({ "payroll_code": "PR7", "comment_hint": "why?", "comments_required": true, "max_amount": 2500 });
    for name in ["Energy", "8200. Water & waste"] {
        let mut category = limits.clone();
        category["name"] = json!(name);
        bench.put(json!({ "category": category }));
    }
    let before = bench.names(0, "categories");
    let target = bench.client();
    let wanted =
        [entry("8100", "Energy", &[("gl_code", "8100")]), entry("8200", "Water", &[("gl_code", "8200")])];
    let present = target.read_set(ReferenceSet::Accounts).await.unwrap();
    let delta = compare(&wanted, &present, &Ours::new(), &MirrorRules::default());
    assert_eq!((delta.count("add"), delta.count("change")), (1, 1), "a leading code makes it known");
    for outcome in target.write_set(ReferenceSet::Accounts, &delta.changes).await.unwrap() {
        assert_eq!(outcome.result, Ok(()));
    }
    assert_eq!(bench.names(0, "categories"), before, "no category was made");
    for (name, code) in [("Energy", "8100"), ("8200. Water & waste", "8200")] {
        let category = bench.category(name);
        assert_eq!((&category["gl_code"], &category["enabled"]), (&json!(code), &json!(true)));
        for (field, value) in limits.as_object().unwrap() {
            assert_eq!(&category[field], value, "{field} of {name}");
        }
    }
    // Disabling keeps all of it too.
    let gone = MirrorChange::Disable(entry("8100", "Energy", &[("gl_code", "8100")]));
    assert_eq!(target.write_set(ReferenceSet::Accounts, &[gone]).await.unwrap()[0].result, Ok(()));
    let category = bench.category("Energy");
    assert_eq!((&category["enabled"], &category["max_amount"]), (&json!(false), &json!(2500)));
}

/// Sheet item: Expensify 16
#[tokio::test]
async fn rows_that_are_skipped_under_code_200_are_told_by_name_with_the_reason() {
    let bench = Return::start().await;
    let target = bench.client();
    let boss = bench.boss();
    let mut nameless = person("no-number@example.test", "", &boss);
    nameless.attributes.remove("employee_number");
    let changes: Vec<MirrorChange> = [
        person("good@example.test", "N1", &boss),
        person("bad@example.test", "N2", "nobody"),
        nameless,
        person("alone@example.test", "N3", ""),
    ]
    .map(MirrorChange::Add)
    .into();
    let outcomes = target.write_set(ReferenceSet::Employees, &changes).await.unwrap();
    let why = |at: usize| outcomes[at].result.clone().unwrap_err();
    assert_eq!(outcomes[0].result, Ok(()));
    assert_eq!(why(1), "Invalid manager email address 'nobody'");
    assert!(why(2).contains("no employee number"));
    assert!(why(3).contains("default_approver"));
    assert!(bench.member(0, "bad@example.test").is_null());
    let jobs = bench.0.wire().sim.state()["jobs"]["update/employees"].clone();
    assert_eq!(jobs, 2, "a dry run and the real one, without the rows that were skipped");
    let with = json!({ "employees": { "policies": [policy(&bench.0, 0)], "default_approver": boss } });
    let outcomes = bench.target(with).write_set(ReferenceSet::Employees, &changes[3..]).await.unwrap();
    assert_eq!(outcomes[0].result, Ok(()));
    assert_eq!(bench.member(0, "alone@example.test")["submits_to"], json!(boss));
}

#[tokio::test]
async fn a_member_keeps_role_and_own_fields_when_the_approver_changes() {
    let bench = Return::start().await;
    let (email, number) = {
        let somebody = &bench.0.world.employees[7];
        (somebody.email.clone(), somebody.number.clone())
    };
    bench.put(
        json!({ "employee": { "email": email, "employee_id": number, "role": "admin", "custom_field2": "CC10",
                                    "submits_to": "old@example.test" } }),
    );
    let target = bench.client();
    let wanted = [person(&email, &number, &bench.boss())];
    let present = target.read_set(ReferenceSet::Employees).await.unwrap();
    let delta = compare(&wanted, &present, &Ours::new(), &MirrorRules::default());
    assert_eq!(target.write_set(ReferenceSet::Employees, &delta.changes).await.unwrap()[0].result, Ok(()));
    let member = bench.member(0, &email);
    assert_eq!((&member["role"], &member["custom_field2"]), (&json!("admin"), &json!("CC10")));
    assert_eq!(member["submits_to"], json!(bench.boss()));
}

#[tokio::test]
async fn a_login_is_renamed_only_when_the_erp_gives_up_the_old_address() {
    let bench = Return::start().await;
    let target = bench.client();
    let old = person("ann.lee@example.test", "N7", &bench.boss());
    let new = person("ann.smith@example.test", "N7", &bench.boss());
    let add = |entry: &MirrorEntry| MirrorChange::Add(entry.clone());
    assert_eq!(target.write_set(ReferenceSet::Employees, &[add(&old)]).await.unwrap()[0].result, Ok(()));
    let refused = target.write_set(ReferenceSet::Employees, &[add(&new)]).await.unwrap();
    assert!(refused[0].result.as_ref().unwrap_err().contains("whose login would be renamed"));
    assert!(!bench.member(0, "ann.lee@example.test").is_null());
    let both = [add(&new), MirrorChange::Disable(old)];
    for outcome in target.write_set(ReferenceSet::Employees, &both).await.unwrap() {
        assert_eq!(outcome.result, Ok(()), "{}", outcome.key);
    }
    assert_eq!(bench.member(0, "ann.smith@example.test")["employee_id"], "N7");
    assert!(bench.member(0, "ann.lee@example.test").is_null());
    // A number that two have: the end of one would be the end of the other.
    bench.put(json!({ "employee": { "email": "twin@example.test", "employee_id": "N7" } }));
    let twin = MirrorChange::Disable(person("twin@example.test", "N7", &bench.boss()));
    let refused = target.write_set(ReferenceSet::Employees, &[twin]).await.unwrap();
    assert!(refused[0].result.as_ref().unwrap_err().contains("would end with this one"), "{refused:?}");
    assert!(!bench.member(0, "ann.smith@example.test").is_null());
}

#[tokio::test]
async fn people_go_to_the_workspaces_of_their_domain_and_to_all_of_them() {
    let bench = Return::start().await;
    let (first, second) = (policy(&bench.0, 0), policy(&bench.0, 1));
    let both = json!({ "employees": {
        "policies": [first, second], "by_domain": { "plant.example.test": [second] } } });
    let target = bench.target(both);
    let wanted = [
        person("office@example.test", "N1", &bench.boss()),
        person("press@plant.example.test", "N2", &bench.boss()),
    ];
    let present = target.read_set(ReferenceSet::Employees).await.unwrap();
    let delta = compare(&wanted, &present, &Ours::new(), &MirrorRules::default());
    for outcome in target.write_set(ReferenceSet::Employees, &delta.changes).await.unwrap() {
        assert_eq!(outcome.result, Ok(()));
    }
    let there = |at, email| !bench.member(at, email).is_null();
    assert!(there(0, "office@example.test") && there(1, "office@example.test"));
    assert!(!there(0, "press@plant.example.test") && there(1, "press@plant.example.test"));
    // Somebody who was taken out of one of the two is put back.
    bench.0.wire().control("policy-remove", json!({ "policy": 1, "employee": "office@example.test" }));
    let present = target.read_set(ReferenceSet::Employees).await.unwrap();
    let delta = compare(&wanted, &present, &Ours::new(), &MirrorRules::default());
    assert_eq!(delta.count("change"), 1);
    target.write_set(ReferenceSet::Employees, &delta.changes).await.unwrap();
    assert!(there(1, "office@example.test"));
}

/// Both sets stand in one list, which every update replaces.
#[tokio::test]
async fn two_sets_that_are_written_at_once_do_not_undo_each_other() {
    let bench = Return::start().await;
    let target = bench.client();
    let add = |set, n: usize| [MirrorChange::Add(bench.fresh(set, n))];
    for n in 0..5 {
        let (centre, project) = (add(ReferenceSet::CostCentres, n), add(ReferenceSet::Projects, n));
        let (first, second) = tokio::join!(
            target.write_set(ReferenceSet::CostCentres, &centre),
            target.write_set(ReferenceSet::Projects, &project),
        );
        assert_eq!((&first.unwrap()[0].result, &second.unwrap()[0].result), (&Ok(()), &Ok(())));
    }
    assert_eq!(bench.0.wire().sim.state()["tags_deleted"], 0);
    for set in [ReferenceSet::CostCentres, ReferenceSet::Projects] {
        let there = target.read_set(set).await.unwrap();
        assert_eq!(there.iter().filter(|entry| entry.key.starts_with("X-")).count(), 5);
    }
}

#[tokio::test]
async fn doctor_sees_whether_each_set_can_be_read_where_it_goes() {
    let bench = Return::start().await;
    let checks = |settings: Value| {
        let plug = Server::plug().set("reference", settings);
        let probe = plug.into(bench.0.wire()).probe;
        async move { probe.probe().await }
    };
    let all = checks(settings(&policy(&bench.0, 0))).await;
    let found: Vec<_> = all.iter().filter(|check| check.check.starts_with("reference data")).collect();
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|check| check.verdict == Verdict::Pass), "{found:#?}");
    let wrong = json!({ "projects": { "policies": [policy(&bench.0, 0)], "level": "Customer" } });
    let all = checks(wrong).await;
    let failed = all.iter().find(|check| check.check == "reference data: projects").unwrap();
    assert!(failed.verdict == Verdict::Fail && failed.fix.contains("correct the level"), "{failed:#?}");
}

#[tokio::test]
async fn a_missing_permission_is_a_refusal_with_its_fix() {
    let bench = Return::with(ExpensifyKnobs { policy_admin: false, ..knobs() }).await;
    for set in bench.sets() {
        let failure = bench.client().read_set(set).await.unwrap_err();
        assert!(matches!(failure.class, FailureClass::Rejected { .. }), "{failure:?}");
        assert!(failure.to_string().contains("administrator of the workspace"), "{failure}");
    }
}

/// A section that is left out, half an answer, and a list of half its length are no reason to write.
///
/// Sheet item: Expensify 14
#[tokio::test]
async fn what_is_not_told_whole_is_not_taken_for_what_is_there() {
    for told in [PolicySections::Missing, PolicySections::Partial, PolicySections::Half] {
        let bench = Return::start().await;
        let before = bench.page(0);
        for set in bench.sets() {
            let target = bench.client();
            target.read_set(set).await.unwrap();
            let change = [MirrorChange::Add(bench.fresh(set, 0))];
            bench.tell(told);
            let read = target.read_set(set).await;
            assert_eq!(read.is_ok(), told == PolicySections::Half, "{set:?} {told:?}: {read:?}");
            // Also for a client that was started since.
            for target in [target, bench.client()] {
                let failure = target.write_set(set, &change).await.unwrap_err();
                assert_eq!(failure.class, FailureClass::Unavailable, "{set:?} {told:?}: {failure}");
            }
            bench.tell(PolicySections::Whole);
        }
        assert_eq!((bench.updates(), bench.page(0)), (0, before), "{told:?}");
    }
}

#[tokio::test]
async fn a_list_that_people_have_made_much_shorter_is_written_to_once_they_say_so() {
    let bench = Return::start().await;
    let target = bench.client();
    let present = target.read_set(ReferenceSet::Employees).await.unwrap();
    for member in present.iter().skip(1).take(present.len() / 2) {
        bench.0.wire().control("policy-remove", json!({ "employee": member.key }));
    }
    let change = [MirrorChange::Add(bench.fresh(ReferenceSet::Employees, 0))];
    let failure = target.write_set(ReferenceSet::Employees, &change).await.unwrap_err();
    assert!(failure.to_string().contains("max_shrink_percent = 100"), "{failure}");
    let mut said = settings(&policy(&bench.0, 0));
    said["max_shrink_percent"] = json!(100);
    let told = bench.target(said).write_set(ReferenceSet::Employees, &change).await.unwrap();
    assert_eq!(told[0].result, Ok(()));
    // From then on that is the size to hold on to.
    let change = [MirrorChange::Add(bench.fresh(ReferenceSet::Employees, 1))];
    assert_eq!(bench.client().write_set(ReferenceSet::Employees, &change).await.unwrap()[0].result, Ok(()));
}

#[tokio::test]
async fn a_member_whose_role_is_not_told_is_not_written_and_may_still_leave() {
    let bench = Return::start().await;
    bench.tell(PolicySections::NoRoles);
    let target = bench.client();
    let present = target.read_set(ReferenceSet::Employees).await.unwrap();
    let mut moved = present[3].clone();
    moved.attributes.insert("manager".to_owned(), bench.fresh(ReferenceSet::Employees, 0).key);
    let changes = [
        MirrorChange::Update { before: present[3].clone(), after: moved },
        MirrorChange::Disable(present[4].clone()),
    ];
    let outcomes = target.write_set(ReferenceSet::Employees, &changes).await.unwrap();
    assert!(outcomes[0].result.as_ref().unwrap_err().contains("role"), "{outcomes:?}");
    assert_eq!(outcomes[1].result, Ok(()));
}
