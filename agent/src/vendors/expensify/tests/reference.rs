//! Reference data into workspaces, with scripted answers: what the simulator would never answer.

use super::super::{CategorySettings, EmployeeSettings, ReferenceSettings, TagSettings};
use super::*;
use crate::vendors::ReferenceTarget;
use spend::mirror::{MirrorChange, MirrorEntry, ReferenceSet};

const POLICY: &str = "0123456789ABCDEF";
const DONE: &str = r#"{"responseCode":200}"#;

fn settings() -> Settings {
    let policies = vec![POLICY.to_owned()];
    let level = "Project".to_owned();
    Settings {
        reference: ReferenceSettings {
            employees: EmployeeSettings { policies: policies.clone(), ..EmployeeSettings::default() },
            accounts: CategorySettings { policies: policies.clone(), ..CategorySettings::default() },
            projects: TagSettings { policies, level, ..TagSettings::default() },
            ..ReferenceSettings::default()
        },
        ..Settings::default()
    }
}

fn section(name: &str, content: &str) -> Result<Answer, Failure> {
    ok(format!("{{\"responseCode\":200,\"policyInfo\":{{\"{POLICY}\":{{\"{name}\":{content}}}}}}}"))
}

fn add(key: &str, name: &str, attributes: &[(&str, &str)]) -> MirrorChange {
    let attributes =
        attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    MirrorChange::Add(MirrorEntry { key: key.to_owned(), name: name.to_owned(), active: true, attributes })
}

fn person(email: &str, number: &str) -> MirrorChange {
    add(email, "New", &[("email", email), ("employee_number", number), ("manager", "boss@example.test")])
}

/// Sheet item: Expensify 16
#[tokio::test(start_paused = true)]
async fn an_update_that_would_remove_somebody_else_is_never_followed_by_the_real_one() {
    let dry = r#"{"responseCode":200,"dry-run":true,"diff":{"diffToAdd":{},"diffToRemove":{"0123456789ABCDEF":["ann@example.test","bob@example.test"]}}}"#;
    let members = r#"[{"email":"ann@example.test","submitsTo":"b@example.test","employeeID":"E1"}]"#;
    let answers = [section("employees", members), ok(dry), section("employees", members)];
    let (target, script) = client(settings(), answers);
    let outcomes =
        target.write_set(ReferenceSet::Employees, &[person("new@example.test", "E2")]).await.unwrap();
    let why = outcomes[0].result.as_ref().unwrap_err();
    assert!(why.contains("2 members would be removed who are to stay"), "{why}");
    assert_eq!(script.operations(), ["policy", "employees-dry-run", "policy"]);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_that_is_not_understood_is_never_followed_by_the_real_one() {
    let strangers = [
        r#"{"diffToRemove":["ann@example.test"]}"#,
        r#"{"diffToRemove":{"0":{"0":"ann@example.test"}}}"#,
        r#"{"diffToRemove":[{"email":"ann@example.test"}]}"#,
        r#"{"diffToRemove":{"ann@example.test":true}}"#,
        r#"{"diffToRemove":"ann@example.test"}"#,
        r#"{"diffToRemove":1}"#,
        r#"{"toRemove":{"0123456789ABCDEF":["ann@example.test"]}}"#,
        r#"["ann@example.test"]"#,
        "true",
    ];
    for diff in strangers {
        let dry = format!("{{\"responseCode\":200,\"dry-run\":true,\"diff\":{diff}}}");
        let (target, script) =
            client(settings(), [section("employees", "[]"), ok(dry), section("employees", "[]")]);
        let new = [person("new@example.test", "E2")];
        let outcomes = target.write_set(ReferenceSet::Employees, &new).await.unwrap();
        assert!(outcomes[0].result.is_err(), "{diff}");
        assert_eq!(script.operations(), ["policy", "employees-dry-run", "policy"], "{diff}");
    }
    let nobody =
        ["[]", "{}", "null", r#"{"diffToRemove":[]}"#, r#"{"diffToRemove":{"0123456789ABCDEF":[]}}"#];
    let after = r#"[{"email":"new@example.test","submitsTo":"boss@example.test","employeeID":"E2"}]"#;
    for diff in nobody {
        let told = format!("{{\"responseCode\":200,\"diff\":{diff}}}");
        let answers = [section("employees", "[]"), ok(&told), ok(&told), section("employees", after)];
        let (target, script) = client(settings(), answers);
        let new = [person("new@example.test", "E2")];
        assert_eq!(
            target.write_set(ReferenceSet::Employees, &new).await.unwrap()[0].result,
            Ok(()),
            "{diff}"
        );
        assert_eq!(script.unused(), 0, "{diff}");
    }
}

#[tokio::test(start_paused = true)]
async fn empty_lists_where_objects_are_documented_mean_nothing() {
    let told = r#"{"responseCode":"200","dry-run":true,"diff":[],"skippedEmployees":[],"securityGroupEmployeesMap":[]}"#;
    let after = r#"[{"email":"New@Example.test","submitsTo":"Boss@example.test","employeeID":7}]"#;
    let answers = [section("employees", "[]"), ok(told), ok(told), section("employees", after)];
    let (target, script) = client(settings(), answers);
    let outcomes =
        target.write_set(ReferenceSet::Employees, &[person("new@example.test", "7")]).await.unwrap();
    assert_eq!(outcomes[0].result, Ok(()));
    let job = &script.sent()[2].job;
    assert_eq!(
        (&job["dry-run"], &job["dataSource"]),
        (&serde_json::json!(false), &serde_json::json!("request"))
    );
    assert_eq!(job["setEmployeePrimaryPolicy"], "none");
}

/// Sheet item: Expensify 14
#[tokio::test(start_paused = true)]
async fn a_tag_that_is_gone_after_an_update_is_an_error() {
    let before = r#"[{"name":"Project","tags":[{"name":"Roof","glCode":"P1","enabled":true}]}]"#;
    let after = r#"[{"name":"Project","tags":[{"name":"P2 Hall","glCode":"P2","enabled":true}]}]"#;
    let (target, script) = client(settings(), [section("tags", before), ok(DONE), section("tags", after)]);
    let failure =
        target.write_set(ReferenceSet::Projects, &[add("P2", "Hall", &[("code", "P2")])]).await.unwrap_err();
    assert!(failure.to_string().contains("are not there: `Roof`"), "{failure}");
    let sent = &script.sent()[1].job["tags"];
    assert_eq!(sent["data"][0]["tags"].as_array().unwrap().len(), 2, "the whole list was sent");
    assert!(sent["data"][0].get("setRequired").is_none(), "what Expensify does not tell is not decided here");
}

#[tokio::test(start_paused = true)]
async fn dependent_tags_are_never_written() {
    let flat = r#"[{"name":"Parent:Child","glCode":"","enabled":true}]"#;
    let (target, script) = client(settings(), [section("tags", flat)]);
    let change = [add("P2", "Hall", &[("code", "P2")])];
    let failure = target.write_set(ReferenceSet::Projects, &change).await.unwrap_err();
    assert!(failure.to_string().contains("dependent levels"), "{failure}");
    assert_eq!(script.operations(), ["policy"]);
}

#[tokio::test(start_paused = true)]
async fn one_category_that_is_refused_is_found_and_the_others_go_on() {
    let refused = r#"{"responseCode":410,"responseMessage":"'categories' object malformed"}"#;
    let both = r#"[{"name":"6100 Travel","enabled":true,"glCode":"6100"},{"name":"6200 Meals","enabled":true,"glCode":"6200"}]"#;
    let none = || section("categories", "[]");
    // All three, then the first alone, then the other two, then each of them.
    let answers = [
        none(),
        ok(refused),
        none(),
        ok(DONE),
        none(),
        ok(refused),
        none(),
        ok(DONE),
        none(),
        ok(refused),
        section("categories", both),
    ];
    let (target, script) = client(settings(), answers);
    let code = |code: &'static str| [("gl_code", code)];
    let changes = [
        add("6100", "Travel", &code("6100")),
        add("6200", "Meals", &code("6200")),
        add("6300", "Odd", &code("6300")),
    ];
    let outcomes = target.write_set(ReferenceSet::Accounts, &changes).await.unwrap();
    let results: Vec<bool> = outcomes.iter().map(|outcome| outcome.result.is_ok()).collect();
    assert_eq!(results, [true, true, false], "{outcomes:#?}");
    assert!(outcomes[2].result.as_ref().unwrap_err().contains("'categories' object malformed"));
    assert!(outcomes[2].refused);
    assert_eq!(script.unused(), 0);
    assert_eq!(script.sent()[3].job["categories"]["action"], "merge");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_settled_by_reading_back() {
    let after = r#"[{"name":"6100 Travel","enabled":"true","glCode":"6100"}]"#;
    for (there, made) in [(after, true), ("[]", false)] {
        let answers =
            [section("categories", "[]"), lost(FailureClass::InDoubt), section("categories", there)];
        let (target, _) = client(settings(), answers);
        let change = [add("6100", "Travel", &[("gl_code", "6100")])];
        let outcomes = target.write_set(ReferenceSet::Accounts, &change).await.unwrap();
        assert_eq!(outcomes[0].result.is_ok(), made);
        assert!(!outcomes[0].refused, "it may still show up");
    }
}

#[test]
fn settings_say_where_each_set_goes_and_faults_have_their_path() {
    let read = |json: serde_json::Value| {
        Settings::from_json(serde_json::json!({ "reference": json }).as_object().unwrap())
    };
    assert!(
        read(serde_json::json!({ "employees": { "by_domain": { "plant.example.test": [POLICY] } } })).is_ok()
    );
    let table = [
        (serde_json::json!({ "employees": { "policies": ["a,b"] } }), "reference.employees.policies[0]"),
        (
            serde_json::json!({ "employees": { "default_approver": "boss" } }),
            "reference.employees.default_approver",
        ),
        (
            serde_json::json!({ "employees": { "by_domain": { "@x": [] } } }),
            "reference.employees.by_domain.\"@x\"",
        ),
        (serde_json::json!({ "projects": { "policies": [POLICY] } }), "reference.projects.level"),
        (
            serde_json::json!({ "projects": { "policies": [POLICY], "level": "A" },
                                "cost_centres": { "policies": [POLICY], "level": "a" } }),
            "reference.projects.level",
        ),
        (serde_json::json!({ "accounts": { "polices": [] } }), "settings.reference: unknown field `polices`"),
    ];
    for (json, part) in table {
        let faults = read(json).unwrap_err();
        assert!(faults[0].contains(part), "{faults:?}");
    }
}
