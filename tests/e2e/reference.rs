//! Reference flows through the real binary: from the ERP into the spend system, looked at before, finished after a kill,
//! and held back by their ceilings.

use sandbox::harness::{EPICOR, EXPENSIFY, FLOW, System};
use serde_json::{Value, json};

use crate::stage::{Stage, quick, wait_for};

/// The reference flows of one stage, into the first workspace.
async fn stage(options: &str) -> Stage {
    let mut stage = Stage::set(quick(6), |_| {}).await;
    let policy = stage.sandbox.expensify.state()["policies"][0]["id"].as_str().unwrap().to_owned();
    let flow = |id: &str, set: &str, more: &str| {
        let company = stage.sandbox.company();
        format!(
            "[[reference]]\nid = \"{id}\"\nfrom = \"{EPICOR}\"\nto = \"{EXPENSIFY}\"\ncompany = \"{company}\"\n\
             set = \"{set}\"\n{more}"
        )
    };
    let tables = vec![
        flow("staff", "employees", options),
        flow("departments", "cost-centres", "options = { segment = 2 }\n"),
        flow("jobs", "projects", ""),
        flow("accounts", "accounts", "options = { include = [\"6*\"], create = false }\n"),
    ];
    stage.configure(|config| {
        config.tables = tables;
        let settings = config.settings.entry(System::Expensify).or_default();
        settings.push(format!(
            "reference = {{ employees = {{ policies = [\"{policy}\"] }}, accounts = {{ policies = [\"{policy}\"] }}, \
             cost_centres = {{ policies = [\"{policy}\"], level = \"Department\" }}, \
             projects = {{ policies = [\"{policy}\"], level = \"Project\" }} }}"
        ));
    });
    stage
}

fn page(stage: &Stage) -> Value {
    stage.sandbox.expensify.control("policy", &json!({ "policy": 0 })).unwrap()
}

fn writes(stage: &Stage) -> u64 {
    let jobs = stage.sandbox.expensify.state()["jobs"].clone();
    ["update/policy", "update/employees"].iter().filter_map(|job| jobs[job].as_u64()).sum()
}

fn members(stage: &Stage) -> usize {
    page(stage)["employees"].as_array().unwrap().len()
}

fn leave(stage: &Stage, count: usize) -> Vec<String> {
    let leaving: Vec<_> = stage.sandbox.world.employees.iter().rev().take(count).collect();
    for person in &leaving {
        let change = json!({ "id": person.number, "set": { "EmpStatus": "T" } });
        stage.sandbox.epicor.control("edit-employee", &change).unwrap();
    }
    leaving.iter().map(|person| person.email.clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_erp_knows_is_mirrored_and_a_second_run_writes_nothing() {
    let stage = stage("").await;
    let lost = stage.sandbox.world.employees[9].email.clone();
    let control = |verb: &str, body: Value| stage.sandbox.expensify.control(verb, &body).unwrap();
    control("policy-remove", json!({ "employee": lost }));
    let moved = stage.sandbox.world.employees[12].clone();
    control(
        "policy-put",
        json!({ "employee": { "email": moved.email, "employee_id": moved.number, "submits_to": "x@example.test" } }),
    );
    let shown = stage.say(0, &["flows", "preview", "staff"]).await.stdout;
    assert!(shown.contains(&lost) && shown.contains("x@example.test to "), "{shown}");
    assert!(shown.contains("1 of employees to add, 1 to change, 0 to disable, 28 untouched"), "{shown}");
    assert_eq!(writes(&stage), 0, "a preview writes nothing");
    let answer = stage.ask(0, &["flows", "run", "staff"]).await;
    let counts = answer["flows"][0]["report"]["mirrored"].clone();
    assert_eq!(
        (&counts["added"], &counts["changed"], &counts["untouched"]),
        (&json!(1), &json!(1), &json!(28))
    );
    assert_eq!(members(&stage), stage.sandbox.world.employees.len());
    for flow in ["departments", "jobs", "accounts"] {
        let answer = stage.ask(0, &["flows", "run", flow]).await;
        assert_eq!(answer["flows"][0]["report"]["errors"], json!([]), "{flow}");
    }
    let closed = page(&stage)["tags"][1]["tags"].clone();
    let closed = closed.as_array().unwrap().iter().find(|tag| tag["name"] == "Old furnace").unwrap();
    assert_eq!(closed["enabled"], false, "a closed project is disabled and still there");
    let before = writes(&stage);
    let listed = stage.ask(0, &["flows", "list"]).await;
    for flow in ["staff", "departments", "jobs", "accounts"] {
        assert!(listed["flows"].as_array().unwrap().iter().any(|row| row["id"] == flow));
        stage.ask(0, &["flows", "run", flow]).await;
    }
    assert_eq!(writes(&stage), before, "a second run writes nothing");
    let status = stage.ask(0, &["status"]).await;
    assert!(status["flows"]["staff"]["fresh_at"].is_string(), "{status:#}");
    stage.ask(0, &["audit", "verify"]).await;
    let audit = stage.say(0, &["audit", "show", "--kind", "reference", "--limit", "1000"]).await.stdout;
    assert!(audit.contains(&format!("add employees {lost}")), "{audit}");
    assert_eq!(stage.misuse(), Vec::<String>::new());
    assert_eq!(stage.sandbox.expensify.state()["tags_deleted"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leavers_beyond_the_ceiling_wait_for_a_person_and_a_paused_flow_for_its_resumption() {
    let stage = stage("").await;
    stage.ask(0, &["flows", "run", "staff"]).await;
    let gone = leave(&stage, 5);
    let answer = stage.ask(4, &["flows", "run", "staff"]).await;
    let report = &answer["flows"][0]["report"];
    assert_eq!((&report["mirrored"]["waiting"], &report["mirrored"]["disabled"]), (&json!(5), &json!(0)));
    assert!(report["errors"][0].as_str().unwrap().contains("5 of 30 active entries"), "{report:#}");
    let preview = stage.ask(4, &["flows", "preview", "staff"]).await;
    let hash = preview["plan_hash"].as_str().unwrap().to_owned();
    let consent = ["flows", "run", "staff", "--beyond-ceiling", "--note", "plant closed", "--expect"];
    let with = |hash: &str| {
        consent.iter().map(|word| (*word).to_owned()).chain([hash.to_owned()]).collect::<Vec<_>>()
    };
    fn words(all: &[String]) -> Vec<&str> {
        all.iter().map(String::as_str).collect()
    }
    let other = with("0123456789abcdef");
    stage.ask(1, &words(&other)).await;
    stage.say(2, &["flows", "run", "staff", "--beyond-ceiling"]).await;
    assert_eq!(members(&stage), 30);
    stage.ask(0, &["flows", "pause", "staff", "--note", "audit"]).await;
    let agreed = with(&hash);
    stage.say(1, &words(&agreed)).await;
    stage.ask(0, &["flows", "resume", "staff"]).await;
    stage.ask(0, &words(&agreed)).await;
    let left = page(&stage)["employees"].clone();
    for email in gone {
        assert!(!left.as_array().unwrap().iter().any(|member| member["email"] == email));
    }
    let audit = stage.say(0, &["audit", "show", "--kind", "decision"]).await.stdout;
    assert!(audit.contains("consent") && audit.contains("plant closed"), "{audit}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_new_is_booked_until_reference_data_is_fresh() {
    let mut stage = stage("").await;
    stage.configure(|config| config.policy.push("wait_for = [\"staff\"]".to_owned()));
    let (finished, answer) = stage.purser.json(&["run", "--once", "--flow", FLOW]).await.unwrap();
    assert_eq!(finished.code, Some(4), "{}", finished.words());
    let report = &answer["flows"][0]["report"];
    assert_eq!((&report["read"], &report["posted"]), (&json!(0), &json!(0)), "{report:#}");
    assert!(report["errors"][0].as_str().unwrap().contains("`staff` never ended well"), "{report:#}");
    // Reference flows come first, so one look at everything is enough.
    let (finished, answer) = stage.purser.json(&["run", "--once"]).await.unwrap();
    assert!(matches!(finished.code, Some(0 | 4)), "{}", finished.words());
    let booked = answer["flows"].as_array().unwrap().iter().find(|flow| flow["flow"] == FLOW).unwrap();
    assert!(booked["report"]["posted"].as_u64().unwrap() > 0, "{booked:#}");
}

/// The agent is killed while it writes members in many pieces; the next run finishes, and nothing is there twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_run_is_finished_by_the_next_one() {
    let stage = stage("").await;
    let control = |verb: &str, body: Value| stage.sandbox.expensify.control(verb, &body).unwrap();
    for person in &stage.sandbox.world.employees {
        control("policy-remove", json!({ "employee": person.email }));
    }
    let running = stage.purser.spawn(&["flows", "run", "staff"]).unwrap();
    assert!(wait_for(|| writes(&stage) >= 1).await);
    running.kill().await.unwrap();
    let answer = stage.ask(0, &["flows", "run", "staff"]).await;
    assert_eq!(answer["flows"][0]["report"]["errors"], json!([]));
    assert_eq!(members(&stage), stage.sandbox.world.employees.len());
    let before = writes(&stage);
    stage.ask(0, &["flows", "run", "staff"]).await;
    assert_eq!(writes(&stage), before);
}
