//! What people and scripts get from the commands themselves: words of empty answers, exit codes, files and their rights.

use sandbox::harness::{EPICOR, FLOW, Route};
use serde_json::{Value, json};

use crate::stage::{Stage, quick};

const FAILED: i32 = 1;
const USAGE: i32 = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_list_says_what_it_is_empty_of() {
    let stage = Stage::set(quick(3), |_| {}).await;
    let listed = stage.say(0, &["records", "list", "--state", "held"]).await.stdout;
    assert_eq!(listed, "no record matches\n");
    let replayed = stage.say(0, &["records", "replay", "--state", "held"]).await.stdout;
    assert_eq!(replayed, "nothing is held\n");
    let codes = stage.say(0, &["explain", ""]).await.stdout;
    assert!(codes.contains("category-unmapped") && !codes.contains("did you mean"), "{codes}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_cannot_begin_has_failed_like_its_proof() {
    let stage = Stage::set(quick(3), |config| config.tables.push(reference_flow(&config.company))).await;
    let validated = stage.ask(0, &["config", "validate"]).await;
    assert_eq!(validated["flows"], 2, "both kinds count: {validated}");
    stage.ask(0, &["secrets", "rm", EPICOR, "--yes"]).await;
    for flow in [FLOW, "staff"] {
        for verb in [["run", "--once", "--flow"], ["flows", "run", ""]] {
            let words: Vec<&str> = verb.into_iter().filter(|word| !word.is_empty()).chain([flow]).collect();
            let report = stage.ask(FAILED, &words).await["flows"][0]["report"].clone();
            assert_eq!(report["could_not_begin"], true, "{report:#}");
            assert!(report["errors"][0].as_str().unwrap().contains("secret"), "{report:#}");
        }
        let shown = stage.say(FAILED, &["flows", "run", flow]).await.stdout;
        assert!(shown.starts_with(&format!("{flow}: the run could not begin\n")), "{shown}");
    }
    stage.ask(FAILED, &["proof"]).await;
}

fn reference_flow(company: &str) -> String {
    format!(
        "[[reference]]\nid = \"staff\"\nfrom = \"{EPICOR}\"\nto = \"expensify\"\ncompany = \"{company}\"\n\
         set = \"employees\""
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_flow_the_proof_is_made_of_every_flow_that_books() {
    let routes = [Route::ExpensifyEpicor, Route::BrexEpicor];
    let stage = Stage::set(quick(10), |config| config.routes = routes.to_vec()).await;
    stage.sandbox.give_secrets_for(&stage.purser, &routes).await.unwrap();
    stage.purser.run(&["run", "--once", "--settle", "60"]).await.unwrap();
    let (from, to) = (stage.config.start().to_string(), stage.config.today.to_string());
    let file = stage.home.beside().join("proof.csv");
    let csv = file.to_str().unwrap();
    let proof = ["proof", "--from", &from, "--to", &to, "--csv", csv];

    let shown = stage.ask(0, &proof).await;
    let proofs = shown["proofs"].as_array().unwrap_or_else(|| panic!("{shown:#}"));
    let named = |one: &Value| one["flow"].as_str().unwrap().to_owned();
    assert_eq!(proofs.iter().map(named).collect::<Vec<_>>(), routes.map(|route| route.flow().to_owned()));
    assert!(proofs.iter().all(|one| one["proof"]["agrees"] == true), "{shown:#}");
    let rows: usize = proofs.iter().map(|one| one["proof"]["rows"].as_array().unwrap().len()).sum();
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(rows > 10 && written.lines().count() == rows + 1, "{rows} rows, {written}");
    is_private(&file);

    // What is there is not written over, and no part is taken for the whole.
    let again = stage.say(USAGE, &proof).await.stderr;
    assert!(again.contains("exists already"), "{again}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), written);
    std::fs::remove_file(&file).unwrap();
    stage.ask(0, &["secrets", "rm", "brex", "--yes"]).await;
    let shown = stage.ask(FAILED, &proof).await;
    assert_eq!(shown["proofs"][0]["proof"]["agrees"], true, "{shown:#}");
    assert!(shown["proofs"][1]["failed"].as_str().unwrap().contains("secret"), "{shown:#}");
    assert!(!file.exists(), "a part was written");

    // One alone has the shape that it always has.
    let one = stage.ask(0, &["proof", "--flow", FLOW, "--from", &from, "--to", &to]).await;
    assert_eq!((&one["flow"], &one["proof"]["agrees"]), (&json!(FLOW), &json!(true)), "{one:#}");
}

#[cfg(unix)]
fn is_private(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o077, 0, "{}", path.display());
}

#[cfg(not(unix))]
fn is_private(_: &std::path::Path) {}

/// The tour of README.md makes the home by `mkdir -p`.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_that_others_can_enter_is_named_by_doctor_and_closed_by_what_writes() {
    use std::os::unix::fs::PermissionsExt as _;
    let stage = Stage::set(quick(3), |_| {}).await;
    let open =
        || std::fs::set_permissions(stage.home.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    open();
    let examined = stage.ask(5, &["doctor"]).await;
    let checks = examined["sections"][0]["checks"].as_array().unwrap();
    let rights = checks.iter().find(|check| check["check"] == "file rights").unwrap();
    assert_eq!(rights["verdict"], "fail", "{rights:#}");
    assert!(rights["detail"].as_str().unwrap().contains("home folder"), "{rights:#}");
    assert!(rights["fix"].as_str().unwrap().contains("chmod 700 "), "{rights:#}");
    open();
    stage.sandbox.give_secrets(&stage.purser).await.unwrap();
    is_private(stage.home.path());
    stage.run().await;
    is_private(&stage.home.path().join("status.json"));
}
