//! Records that somebody touches between the planning and the booking: they are read again, and nothing is booked by an
//! old reading.

use sandbox::faults::{BodyKind, FaultAction, FaultMatch, FaultRule};
use sandbox::harness::Route;
use sandbox::invariants::verify_audit;
use serde_json::{Value, json};

use crate::stage::{Stage, quick};

/// Every reading is old, so that no test has to wait.
const ALWAYS: &str = "reread_after = 0";

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

/// Everything is planned, and nothing could be looked up because the ERP's ledger did not answer.
async fn waiting(route: Route) -> Stage {
    let stage = Stage::set_route(route, quick(40), |config| config.policy.push(ALWAYS.to_owned())).await;
    let broken = FaultAction::Status { code: 500, retry_after: None, body: BodyKind::default() };
    stage.erp().faults([FaultRule::always(FaultMatch::path("GLJrnDtlSvc"), broken)]);
    stage.purser.run(&["run", "--once"]).await.unwrap();
    stage.erp().clear_faults();
    assert_eq!(stage.documents(), 0);
    stage
}

/// Ids of records that wait and are worth something.
async fn ids(stage: &Stage) -> Vec<String> {
    let waiting = stage.records("waiting").await;
    assert!(waiting.len() > 6, "{waiting:?}");
    waiting.iter().map(|record| text(record, "source_id").to_owned()).collect()
}

/// State and code of a record's posting that was last planned.
async fn state_of(stage: &Stage, id: &str) -> (String, String) {
    let shown = stage.ask(0, &["records", "show", id]).await;
    let posting = &shown["posting"];
    let code = posting.pointer("/state/findings/0/code").and_then(Value::as_str).unwrap_or_default();
    (posting["state"]["state"].as_str().unwrap_or_default().to_owned(), code.to_owned())
}

/// Whether the ERP has it, read back; the proof says when it has it twice.
async fn is_booked(stage: &Stage, id: &str) -> bool {
    row(&stage.proof(0).await, id)["erp"].is_object()
}

fn row<'p>(proof: &'p Value, id: &str) -> &'p Value {
    let rows = proof["rows"].as_array().unwrap();
    rows.iter().find(|row| row["source_id"] == id).unwrap_or_else(|| panic!("no row of {id}"))
}

/// Sheet item: Brex 8
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn card_records_that_were_touched_while_they_waited_are_not_booked_by_the_old_reading() {
    let stage = waiting(Route::BrexEpicor).await;
    let touched = ids(&stage).await;
    let [edited, elsewhere, back] = [&touched[0], &touched[1], &touched[2]];
    let brex = &stage.sandbox.brex;
    brex.control("edit", &json!({ "id": edited, "amount": 4_711 })).unwrap();
    brex.control("export", &json!({ "id": elsewhere, "reference": "typed in by hand" })).unwrap();
    brex.control("review", &json!({ "id": back })).unwrap();
    stage.run().await;

    assert_eq!(state_of(&stage, elsewhere).await, ("held".into(), "exported-elsewhere".into()));
    assert_eq!(state_of(&stage, back).await, ("held".into(), "no-longer-ready".into()));
    assert_eq!(state_of(&stage, edited).await.0, "acknowledged");
    for (id, booked) in [(edited, true), (elsewhere, false), (back, false)] {
        assert_eq!(is_booked(&stage, id).await, booked, "{id}");
    }
    let kept = brex.control("record", &json!({ "id": elsewhere })).unwrap();
    assert_eq!(kept["reference"], "typed in by hand", "the other's mark was written over: {kept}");

    let proof = stage.proof(0).await;
    assert_eq!(row(&proof, elsewhere)["standing"], "exported-elsewhere");
    assert_eq!(row(&proof, edited)["log"]["minor"], 4_711, "{}", row(&proof, edited));
    let sums = &proof["sums"]["USD"];
    let sum = |name: &str| sums[name].as_i64().unwrap();
    assert!(sum("exported_elsewhere") != 0 && sum("pending") == 0, "{sums}");
    assert_eq!(sum("source"), sum("erp") + sum("held") + sum("handled") + sum("exported_elsewhere"));

    // Approved again as it was, it is booked by itself; the other waits for a person's word, and then is.
    brex.control("ready", &json!({ "id": back })).unwrap();
    stage.run().await;
    assert_eq!(state_of(&stage, back).await.0, "acknowledged");
    assert!(is_booked(&stage, back).await && !is_booked(&stage, elsewhere).await);
    let calls = stage.erp().received();
    stage.run().await;
    assert_eq!(stage.erp().received(), calls, "the ERP was called although nothing has changed");
    let decided =
        stage.ask(0, &["records", "replay", elsewhere, "--note", "the hand-typed one is void"]).await;
    assert_eq!(decided["decided"][0]["outcome"], "planned", "{decided}");
    stage.run().await;
    assert!(is_booked(&stage, elsewhere).await);
    verify_audit(&stage.purser).await.unwrap();
    assert_eq!(stage.misuse(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_else_has_exported_before_stands_in_the_proof_by_its_reason() {
    let stage = Stage::set_route(Route::BrexEpicor, quick(80), |_| {}).await;
    let before = stage.sandbox.brex.state()["statuses"]["EXPORTED"].as_u64().unwrap();
    stage.run().await;
    let proof = stage.proof(0).await;
    let count = |what: &str| proof["counts"][what].as_u64().unwrap_or_default();
    let listed = count("exported-elsewhere");
    assert!(0 < listed && listed <= before, "{:#}", proof["counts"]);
    assert_eq!((count("pending"), count("not-read")), (0, 0), "{:#}", proof["counts"]);
    let text = stage.say(0, &["proof", "--from", &stage.config.start().to_string()]).await.stdout;
    assert!(text.contains("exported elsewhere"), "{text}");
    assert!(text.contains("before this flow had read it"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_that_were_touched_while_they_waited_are_not_booked_by_the_old_reading() {
    let stage = waiting(Route::ExpensifyEpicor).await;
    let touched = ids(&stage).await;
    let [edited, back] = [&touched[0], &touched[1]];
    let expensify = &stage.sandbox.expensify;
    let total = expensify.control("edit", &json!({ "report": edited, "amount": 4_711 })).unwrap();
    expensify.control("unapprove", &json!({ "id": back })).unwrap();
    stage.run().await;
    assert_eq!(state_of(&stage, back).await, ("held".into(), "no-longer-ready".into()));
    assert_eq!(state_of(&stage, edited).await.0, "acknowledged");
    assert!(is_booked(&stage, edited).await && !is_booked(&stage, back).await);
    let proof = stage.proof(0).await;
    assert_eq!(row(&proof, edited)["log"]["minor"], total["total"], "{}", row(&proof, edited));

    expensify.control("approve", &json!({ "id": back })).unwrap();
    stage.run().await;
    assert!(is_booked(&stage, back).await);
    let calls = stage.erp().received();
    stage.run().await;
    assert_eq!(stage.erp().received(), calls, "the ERP was called although nothing has changed");
    verify_audit(&stage.purser).await.unwrap();
    assert_eq!(stage.misuse(), Vec::<String>::new());
}

/// Between a person's word and the run that follows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_edited_after_it_was_replayed_is_booked_as_it_is_then() {
    let mut stage = Stage::set(quick(30), |config| config.policy.push(ALWAYS.to_owned())).await;
    stage.run().await;
    let held = stage.records("held").await;
    let record = held.iter().find(|r| r["code"] == "category-unmapped").expect("the world plants one");
    let id = text(record, "source_id").to_owned();
    let account = stage.sandbox.world.categories.iter().find_map(|c| c.gl_code.clone()).unwrap();
    stage
        .configure(|config| config.mapping.push(format!("default_category = {{ account = \"{account}\" }}")));
    let replayed = stage.ask(0, &["records", "replay", &id]).await;
    assert_eq!(replayed["decided"][0]["outcome"], "planned", "{replayed}");
    let edited = stage.sandbox.expensify.control("edit", &json!({ "report": id, "amount": 4_711 })).unwrap();
    stage.run().await;
    assert!(is_booked(&stage, &id).await);
    let proof = stage.proof(0).await;
    assert_eq!(row(&proof, &id)["log"]["minor"], edited["total"], "{}", row(&proof, &id));
}
