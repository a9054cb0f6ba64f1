//! The main job from end to end: approved reports are booked once, what cannot be booked is held in words, and both
//! systems agree.

use std::collections::BTreeSet;

use sandbox::crash::Books;
use sandbox::harness::{DocumentKind, EPICOR, EXPENSIFY, FLOW, SandboxOptions, System};
use sandbox::invariants::minor_units;
use serde_json::{Value, json};

use crate::stage::{LONGEST, Stage, quick, wait_for};

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

/// What was booked and held is what the world says, with its reasons, and the proof agrees with both systems.
async fn all_is_booked_or_held(stage: &Stage) {
    let tally = stage.judge().await;
    assert_eq!((tally.posted, tally.held), (stage.bookable().len(), stage.holdable().len()));
    assert_eq!((tally.acknowledged, tally.duplicates, tally.lost), (tally.posted, 0, 0));

    let held = stage.records("held").await;
    let seen: BTreeSet<(&str, &str)> = held.iter().map(|r| (text(r, "source_id"), text(r, "code"))).collect();
    let ap = stage.is_ap();
    let planted = stage.holdable();
    let wanted: BTreeSet<(&str, &str)> =
        planted.iter().map(|r| (r.id.as_str(), r.hold(ap).unwrap())).collect();
    assert_eq!(seen, wanted);
    assert!(held.iter().all(|record| !text(record, "why").is_empty()));

    let proof = stage.proof(0).await;
    assert_eq!(proof["agrees"], true);
    let total = |reports: Vec<&sandbox::world::WorldReport>| reports.iter().map(|r| r.total()).sum::<i64>();
    let sums = &proof["sums"]["USD"];
    assert_eq!(sums["erp"], total(stage.bookable()));
    assert_eq!(sums["held"], total(stage.holdable()));
    assert_eq!(tally.erp_total["USD"], total(stage.bookable()));
}

async fn main_job(options: SandboxOptions, document: DocumentKind) -> Stage {
    let stage = Stage::set(options, |config| config.document = document).await;
    let report = stage.run().await;
    assert_eq!(report["posted"], stage.bookable().len());
    assert_eq!(report["held"], stage.holdable().len());
    assert_eq!(report["errors"], json!([]));
    all_is_booked_or_held(&stage).await;
    stage
}

/// Nothing is posted again, and the ERP is not even asked.
async fn a_second_run_does_nothing(stage: &Stage) {
    let (calls, books) = (stage.sandbox.epicor.received(), Books::of(&stage.sandbox.epicor.state()));
    let report = stage.run().await;
    for counter in ["new", "planned", "posted", "adopted", "acknowledged", "held", "in_doubt", "waiting"] {
        assert_eq!(report[counter], 0, "{counter} in {report}");
    }
    assert_eq!(stage.sandbox.epicor.received(), calls, "the ERP was called");
    assert_eq!(Books::of(&stage.sandbox.epicor.state()), books);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_become_journals_once_and_a_second_run_makes_no_erp_call() {
    let stage = main_job(quick(60), DocumentKind::Journal).await;
    a_second_run_does_nothing(&stage).await;
    all_is_booked_or_held(&stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_become_ap_invoices_once_and_a_second_run_makes_no_erp_call() {
    let stage = main_job(quick(60), DocumentKind::ApInvoice).await;
    a_second_run_does_nothing(&stage).await;
    all_is_booked_or_held(&stage).await;
}

/// The vendor's rate ceilings are in force here, as shipped, also over the processes of several commands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_https_with_a_private_authority_reports_are_booked_within_the_rate_ceilings() {
    let options = SandboxOptions { https: true, ..SandboxOptions::new(12) };
    let stage = Stage::set(options, |config| config.document = DocumentKind::Journal).await;
    assert!(stage.sandbox.expensify.url().starts_with("https://"));
    let report = stage.run().await;
    assert_eq!(report["posted"], stage.bookable().len());
    assert_eq!(report["errors"], json!([]));
    all_is_booked_or_held(&stage).await;
    assert_eq!(stage.sandbox.expensify.state()["throttled"], 0);
}

/// Keys and references carry the flow's name, so a look-up in the ERP does not find what the former name has written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flow_that_is_renamed_on_the_machine_books_nothing_again() {
    let mut stage = Stage::set(quick(20), |_| {}).await;
    stage.run().await;
    let booked = Books::of(&stage.sandbox.epicor.state());
    // With another label every report is offered again.
    stage.configure(|config| {
        config.settings.insert(System::Expensify, vec!["label = \"second\"".to_owned()]);
    });
    let file = stage.home.path().join("purser.toml");
    let former = std::fs::read_to_string(&file).unwrap();
    let named = |id: &str| format!("[[flow]]\nid = \"{id}\"");
    assert!(former.contains(&named(FLOW)));
    std::fs::write(&file, former.replace(&named(FLOW), &named("renamed"))).unwrap();
    let report = stage.run().await;
    assert_eq!((&report["posted"], &report["adopted"]), (&json!(0), &json!(0)), "{report}");
    assert_eq!(Books::of(&stage.sandbox.epicor.state()), booked);
    let held = stage.records("held").await;
    let told: BTreeSet<&str> = held
        .iter()
        .filter(|record| record["flow"] == "renamed" && record["code"] == "booked-by-other-flow")
        .map(|record| text(record, "source_id"))
        .collect();
    let bookable: BTreeSet<&str> = stage.bookable().into_iter().map(|report| report.id.as_str()).collect();
    assert_eq!(told, bookable);
    // Under its former name it goes on where it was: what it reads again it knows, and marks.
    std::fs::write(&file, former).unwrap();
    let report = stage.run().await;
    assert_eq!(
        (&report["posted"], &report["held"], &report["new"]),
        (&json!(0), &json!(0), &json!(0)),
        "{report}"
    );
    assert!(report["acknowledged"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(Books::of(&stage.sandbox.epicor.state()), booked);
    // What the new name had held is closed although the configuration does not know it any more.
    let left = stage.ask(0, &["records", "list", "--flow", "renamed", "--state", "held"]).await;
    let left = left["records"].as_array().unwrap().clone();
    assert!(!left.is_empty());
    for record in &left {
        let answer =
            stage.ask(0, &["records", "handle", text(record, "key"), "--note", "the name is back"]).await;
        assert_eq!(answer["decided"][0]["outcome"], "handled", "{answer}");
    }
    let echo =
        left.iter().find(|record| record["code"] == "booked-by-other-flow").expect("one of those told above");
    let shown = stage.ask(0, &["records", "show", text(echo, "key")]).await;
    assert_eq!(shown["posting"]["state"]["left_to"], FLOW, "{shown}");
    let decisions = stage.ask(0, &["audit", "show", "--kind", "decision", "--limit", "1000"]).await;
    assert!(decisions.to_string().contains("the name is back"), "{decisions}");
    let counts = stage.ask(4, &["status"]).await["flows"]["renamed"]["counts"].clone();
    assert_eq!((&counts["held"], &counts["handled"]), (&json!(0), &json!(left.len())), "{counts}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_shows_what_a_run_does_and_writes_nothing() {
    let stage = Stage::set(quick(30), |_| {}).await;
    let before = (stage.sandbox.epicor.state(), stage.sandbox.expensify.state()["mark_actions"].clone());
    let preview = stage.ask(4, &["flows", "preview", FLOW]).await;
    let would =
        |what: &str| preview["lines"].as_array().unwrap().iter().filter(|line| line["would"] == what).count();
    assert_eq!((would("post"), would("hold")), (stage.bookable().len(), stage.holdable().len()));
    let after = (stage.sandbox.epicor.state(), stage.sandbox.expensify.state()["mark_actions"].clone());
    assert_eq!(after, before, "the preview wrote something");
    let records = stage.ask(0, &["records", "list"]).await;
    assert_eq!(records["records"], json!([]), "the preview filled the posting log");

    // What was agreed to is what is run.
    let hash = text(&preview, "plan_hash");
    stage.ask(4, &["flows", "run", FLOW, "--expect", hash]).await;
    all_is_booked_or_held(&stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_refused_when_the_source_has_changed_since_the_preview() {
    let stage = Stage::set(quick(10), |_| {}).await;
    let preview = stage.ask(4, &["flows", "preview", FLOW]).await;
    let report = stage.bookable()[0].id.clone();
    stage.sandbox.expensify.control("edit", &json!({ "report": report, "amount": 4711 })).unwrap();
    let answer = stage.ask(1, &["flows", "run", FLOW, "--expect", text(&preview, "plan_hash")]).await;
    assert!(answer["error"].as_str().unwrap().contains("nothing was run"), "{answer}");
    assert_eq!(stage.sandbox.documents_in_erp(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_report_is_booked_after_its_mapping_is_mended_and_replayed() {
    let mut stage = Stage::set(quick(30), |_| {}).await;
    stage.run().await;
    let held = stage.records("held").await;
    let record = held.iter().find(|r| r["code"] == "category-unmapped").expect("the world plants one");
    let id = text(record, "source_id").to_owned();

    let shown = stage.ask(0, &["records", "show", &id]).await;
    let finding = &shown["posting"]["state"]["held"]["findings"][0];
    let finding = if finding.is_null() { &shown["posting"]["state"]["findings"][0] } else { finding };
    assert!(!text(finding, "fix").is_empty(), "no fix in {shown:#}");
    let category = text(finding, "value").to_owned();
    assert!(!category.is_empty(), "{finding}");

    // Replayed without a mend it stays held, for the same reason.
    let again = stage.ask(4, &["records", "replay", &id]).await;
    assert_eq!(again["decided"][0]["outcome"], "still-held", "{again}");

    let account = stage.sandbox.world.categories.iter().find_map(|c| c.gl_code.clone()).unwrap();
    let rule = format!("categories = {{ {} = {{ account = \"{account}\" }} }}", json!(category));
    stage.configure(|config| config.mapping.push(rule));
    stage.ask(0, &["config", "validate"]).await;
    let replayed = stage.ask(0, &["records", "replay", &id, "--note", "category mapped"]).await;
    assert_eq!(replayed["decided"][0]["outcome"], "planned", "{replayed}");
    let before = stage.sandbox.documents_in_erp();
    let report = stage.run().await;
    assert_eq!(report["posted"], 1, "{report}");
    assert_eq!(stage.sandbox.documents_in_erp(), before + 1);
    let tally = stage.judge().await;
    assert_eq!(tally.held, stage.holdable().len() - 1);

    // And once it is booked, replaying it says where.
    let booked = stage.ask(0, &["records", "replay", &id]).await;
    assert_eq!(booked["decided"][0]["outcome"], "already-posted");
    let document = booked["decided"][0]["receipt"]["document"].clone();
    let posted = stage.records("acknowledged").await;
    let record = posted.iter().find(|r| r["source_id"] == id.as_str()).unwrap();
    assert_eq!(record["document"], document);
    stage.run().await;
    assert_eq!(stage.sandbox.documents_in_erp(), before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_changes_after_it_was_booked_is_held_and_never_booked_again() {
    let stage = Stage::set(quick(20), |config| config.policy.push("change_check = 0".to_owned())).await;
    stage.run().await;
    let books = Books::of(&stage.sandbox.epicor.state());
    let (id, total) = {
        let report = stage.bookable()[0];
        (report.id.clone(), report.total())
    };
    let edited = stage.sandbox.expensify.control("edit", &json!({ "report": id, "amount": 99_999 })).unwrap();
    assert_ne!(edited["total"], total);

    let report = stage.run().await;
    assert_eq!((&report["changed"], &report["posted"]), (&json!(1), &json!(0)), "{report}");
    let held = stage.records("held").await;
    let record = held.iter().find(|r| r["source_id"] == id.as_str()).expect("the new revision is held");
    assert_eq!(record["code"], "changed-after-posting", "{record}");
    assert_eq!(Books::of(&stage.sandbox.epicor.state()), books, "the ERP was touched");

    // The proof shows the difference; seeing it again makes no second one.
    let proof = stage.proof(6).await;
    assert_eq!(proof["agrees"], false);
    let count = stage.records("held").await.len();
    stage.run().await;
    assert_eq!(stage.records("held").await.len(), count);
    assert_eq!(stage.misuse(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proof_names_what_was_edited_and_deleted_in_the_erp() {
    let stage = main_job(quick(20), DocumentKind::Journal).await;
    let state = stage.sandbox.epicor.state();
    let documents = state.pointer(&format!("/companies/{}/documents", stage.sandbox.company())).unwrap();
    let reference = |at: usize| json!(text(&documents[at], "reference"));
    let deleted = json!({ "reference": reference(0) });
    stage.sandbox.epicor.control("delete-document", &deleted).unwrap();
    let edited = json!({ "reference": reference(1), "amount": "123456.78" });
    stage.sandbox.epicor.control("edit-document", &edited).unwrap();
    let proof = stage.proof(6).await;
    let standing =
        |what: &str| proof["rows"].as_array().unwrap().iter().filter(|row| row["standing"] == what).count();
    assert_eq!((standing("missing-in-erp"), standing("edited-in-erp")), (1, 1), "{:#}", proof["counts"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_runs_by_its_schedule_and_not_while_it_is_paused() {
    let stage = Stage::set(quick(10), |config| config.schedule = Some("* * * * *".to_owned())).await;
    stage.ask(0, &["flows", "pause", FLOW, "--note", "month-end close"]).await;
    let agent = stage.purser.spawn(&["run", "--no-jitter"]).unwrap();
    let flow = format!("/flows/{FLOW}");
    let of =
        |status: &Value, name: &str| status.pointer(&format!("{flow}/{name}")).cloned().unwrap_or_default();
    let paused = stage.status_when("it is paused", |status| of(status, "paused") == true).await;
    assert!(of(&paused, "next_run").is_string(), "{paused:#}");

    // A paused flow lets its time pass: the next run moves on and nothing is called.
    let first = of(&paused, "next_run");
    let moved = |status: &Value| of(status, "next_run").is_string() && of(status, "next_run") != first;
    stage.status_when("its time has passed", moved).await;
    assert_eq!(stage.sandbox.expensify.received(), 0, "a paused flow ran");

    stage.ask(0, &["flows", "resume", FLOW]).await;
    let booked = stage.bookable().len() as u64;
    assert!(
        wait_for(|| stage.sandbox.documents_in_erp() == booked).await,
        "the schedule did not run the flow"
    );
    let done =
        |status: &Value| of(status, "running") == false && status.pointer(&format!("{flow}/last")).is_some();
    stage.status_when("the run has ended", done).await;
    agent.terminate().await.unwrap();
    assert_eq!(agent.wait_within(LONGEST).await.unwrap().code, Some(0));
    stage.run().await;
    all_is_booked_or_held(&stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_asked_to_end_in_the_middle_of_a_run_ends_in_order_and_loses_nothing() {
    let stage = Stage::set(quick(60), |_| {}).await;
    let agent = stage.purser.spawn(&["run", "--no-jitter"]).unwrap();
    let up = |status: &Value| {
        status.pointer(&format!("/flows/{FLOW}/actor/state")).is_some_and(|s| s == "running")
    };
    stage.status_when("it runs", up).await;
    let order = stage.purser.spawn(&["flows", "run", FLOW]).unwrap();
    assert!(wait_for(|| stage.sandbox.documents_in_erp() >= 3).await, "nothing was booked");
    agent.terminate().await.unwrap();
    let ended = agent.wait_within(LONGEST).await.unwrap();
    assert_eq!(ended.code, Some(0), "{}", ended.words());
    order.kill().await.unwrap();
    let booked = stage.sandbox.documents_in_erp();
    assert!(booked < stage.bookable().len() as u64, "it was not in the middle of the run");

    // Nothing is in doubt: what was under way was finished, what was not sent was released.
    let (_, status) = stage.purser.json(&["status"]).await.unwrap();
    let counts = status.pointer(&format!("/flows/{FLOW}/counts")).unwrap();
    for state in ["claimed", "in-doubt"] {
        assert!(matches!(counts[state].as_u64(), None | Some(0)), "{counts}");
    }
    stage.run().await;
    all_is_booked_or_held(&stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_in_the_erp_have_the_reports_totals_to_the_cent() {
    let stage = main_job(quick(40), DocumentKind::ApInvoice).await;
    let state = stage.sandbox.epicor.state();
    let documents = state.pointer(&format!("/companies/{}/documents", stage.sandbox.company())).unwrap();
    for document in documents.as_array().unwrap() {
        let reference = text(document, "reference");
        let report = stage.bookable().into_iter().find(|r| reference.contains(&r.id)).unwrap();
        assert_eq!(minor_units(text(document, "total"), "USD"), Some(report.total()), "{reference}");
        assert_eq!(text(document, "control_total"), text(document, "total"), "{reference}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_listed_and_tested_by_their_names() {
    let stage = Stage::set(quick(5), |_| {}).await;
    let listed = stage.say(0, &["connections", "list"]).await.stdout;
    assert!(listed.contains(EXPENSIFY) && listed.contains(EPICOR), "{listed}");
    let tested = stage.ask(0, &["connections", "test", EPICOR]).await;
    assert_eq!(tested["healthy"], true, "{tested:#}");
}
