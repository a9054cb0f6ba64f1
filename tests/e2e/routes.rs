//! The other flows from end to end: expense reports into Acumatica, card spend of Brex into Epicor. What cannot be booked
//! is held in words, everything else is booked once, and all systems agree.

use std::collections::{BTreeMap, BTreeSet};

use sandbox::crash::Books;
use sandbox::faults::{FaultAction, FaultMatch, FaultRule};
use sandbox::harness::{ACUMATICA, DocumentKind, Expected, Route, SandboxOptions, Secrets, System};
use sandbox::invariants::Needles;
use sandbox::sim::brex::Alpha;
use serde_json::{Value, json};

use crate::stage::{Stage, quick};

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

async fn staged(route: Route, document: DocumentKind, options: SandboxOptions) -> Stage {
    Stage::set_route(route, options, |config| config.document = document).await
}

fn total<'e>(records: impl Iterator<Item = &'e Expected>) -> i64 {
    records.map(|record| record.total).sum()
}

/// What was booked and held is what the world says, with its reasons, and the proof agrees with both systems.
async fn all_is_booked_or_held(stage: &Stage) {
    let tally = stage.judge().await;
    let expected = stage.expected();
    let wanted: BTreeMap<&str, &str> =
        expected.iter().filter_map(|(id, one)| Some((id.as_str(), one.hold.as_deref()?))).collect();
    let held = stage.records("held").await;
    let seen: BTreeMap<&str, &str> =
        held.iter().map(|record| (text(record, "source_id"), text(record, "code"))).collect();
    assert_eq!(seen, wanted);
    assert!(held.iter().all(|record| !text(record, "why").is_empty()));
    assert_eq!((tally.posted, tally.held), (expected.len() - wanted.len(), wanted.len()));
    assert_eq!((tally.acknowledged, tally.duplicates, tally.lost), (tally.posted, 0, 0));

    let proof = stage.proof(0).await;
    assert_eq!(proof["agrees"], true, "{proof:#}");
    let (booked, open): (Vec<&Expected>, Vec<&Expected>) =
        expected.values().partition(|one| one.hold.is_none());
    let sums = &proof["sums"]["USD"];
    assert_eq!(sums["erp"], total(booked.iter().copied()));
    assert_eq!(sums["held"], total(open.into_iter()));
    assert_eq!(sums["pending"], 0, "{sums}");
    assert_eq!(tally.erp_total["USD"], total(booked.into_iter()));
}

/// A first run books, a second one books nothing and does not even ask the ERP; both leave the licensed seats alone.
async fn once_and_no_second_time(route: Route, document: DocumentKind, reports: usize) -> Stage {
    let stage = staged(route, document, quick(reports)).await;
    let report = stage.run().await;
    assert_eq!(report["errors"], json!([]), "{report:#}");
    all_is_booked_or_held(&stage).await;
    let (calls, books) = (stage.erp().received(), Books::of(&stage.erp().state()));
    let again = stage.run().await;
    for counter in ["new", "planned", "posted", "adopted", "acknowledged", "held", "in_doubt", "waiting"] {
        assert_eq!(again[counter], 0, "{counter} in {again}");
    }
    assert_eq!(stage.erp().received(), calls, "the ERP was called");
    assert_eq!(Books::of(&stage.erp().state()), books);
    all_is_booked_or_held(&stage).await;
    stage
}

/// Sessions of Acumatica that hold a seat.
fn seats(stage: &Stage) -> usize {
    stage.sandbox.acumatica.state()["access"]["sessions"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_become_journals_of_acumatica_once_with_one_seat() {
    let stage = once_and_no_second_time(Route::ExpensifyAcumatica, DocumentKind::Journal, 40).await;
    assert_eq!(seats(&stage), 1, "{}", stage.sandbox.acumatica.state()["access"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_become_bills_of_acumatica_once_with_a_line_for_each_expense() {
    let stage = once_and_no_second_time(Route::ExpensifyAcumatica, DocumentKind::ApInvoice, 40).await;
    let state = stage.erp().state();
    let documents = state.pointer(&format!("/companies/{}/documents", stage.sandbox.tenant())).unwrap();
    for document in documents.as_array().unwrap() {
        let mut reports = stage.sandbox.second_world.reports.iter();
        let report = reports.find(|report| text(document, "reference").contains(&report.id)).unwrap();
        let spent = report.expenses.iter().filter(|expense| expense.effective_amount() != 0);
        assert_eq!(document["lines"].as_array().unwrap().len(), spent.count(), "{document:#}");
        assert_eq!(document["posted"], false, "a bill was released that a person was to look at");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn card_spend_becomes_journals_once() {
    once_and_no_second_time(Route::BrexEpicor, DocumentKind::Journal, 80).await;
}

/// Each invoice goes to the supplier that the merchant is, refunds as debit memos.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn card_spend_becomes_invoices_of_the_merchants_suppliers_once() {
    let stage = once_and_no_second_time(Route::BrexEpicor, DocumentKind::ApInvoice, 80).await;
    let (brex, erp) = (stage.source().state(), stage.erp().state());
    let records = brex["records"].as_array().unwrap();
    let documents = erp.pointer(&format!("/companies/{}/documents", stage.sandbox.company())).unwrap();
    for document in documents.as_array().unwrap() {
        let reference = text(document, "reference").split('-').nth(1).unwrap();
        let record = records.iter().find(|record| text(record, "id").starts_with(reference)).unwrap();
        assert_eq!(document["vendor"], record["vendor_code"], "{record:#} as {document:#}");
    }
    let numbers: BTreeSet<&str> =
        documents.as_array().unwrap().iter().map(|d| text(d, "reference")).collect();
    assert_eq!(numbers.len(), documents.as_array().unwrap().len());
}

/// What a person decides once is remembered for the merchant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_record_of_an_unknown_merchant_is_booked_once_a_person_has_chosen_the_supplier() {
    let stage = staged(Route::BrexEpicor, DocumentKind::ApInvoice, quick(80)).await;
    let report = stage.run().await;
    assert_eq!(report["errors"], json!([]), "{report:#}");
    let held = stage.records("held").await;
    let record = held.iter().find(|r| r["code"] == "merchant-unmatched").expect("the world plants one");
    let id = text(record, "source_id");
    let before = stage.documents();
    stage.say(0, &["records", "choose", id, "OFFICE01", "--note", "asked the cardholder"]).await;
    stage.run().await;
    assert!(stage.documents() > before, "the record was not booked");
    let tally = stage.judge().await;
    assert_eq!((tally.duplicates, tally.lost), (0, 0));
    let shown = stage.ask(0, &["records", "replay", id]).await;
    assert_eq!(shown["decided"][0]["outcome"], "already-posted", "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_report_is_booked_into_acumatica_after_its_mapping_is_mended_and_replayed() {
    let mut stage = staged(Route::ExpensifyAcumatica, DocumentKind::ApInvoice, quick(30)).await;
    stage.run().await;
    let held = stage.records("held").await;
    let record = held.iter().find(|r| r["code"] == "category-unmapped").expect("the world plants one");
    let id = text(record, "source_id").to_owned();
    let shown = stage.ask(0, &["records", "show", &id]).await;
    let category = shown.pointer("/posting/state/findings/0/value").unwrap().clone();
    let account = stage.sandbox.world.categories.iter().find_map(|c| c.gl_code.clone()).unwrap();
    let rule = format!("categories = {{ {category} = {{ account = \"{account}\" }} }}");
    stage.configure(|config| config.mapping.push(rule));
    let before = stage.documents();
    let replayed = stage.ask(0, &["records", "replay", &id, "--note", "category mapped"]).await;
    assert_eq!(replayed["decided"][0]["outcome"], "planned", "{replayed}");
    assert_eq!(stage.run().await["posted"], 1);
    assert_eq!(stage.documents(), before + 1);
    stage.judge().await;
}

/// The answer to every third `PUT` is lost after it was committed; it is looked up, and where it is written again, it is
/// written as the same document.
///
/// Sheet item: Acumatica 10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bills_whose_answers_were_lost_are_there_once_with_the_same_lines() {
    let route = Route::ExpensifyAcumatica;
    let undisturbed = staged(route, DocumentKind::ApInvoice, quick(30)).await;
    undisturbed.run().await;
    for unique in [true, false] {
        let options = SandboxOptions { unique, ..quick(30) };
        let stage = staged(route, DocumentKind::ApInvoice, options).await;
        let put = || FaultMatch::path("/Bill").method("PUT");
        stage.erp().faults([
            FaultRule::always(FaultMatch { every: Some(3), ..put() }, FaultAction::CutAfterCommit),
            FaultRule::always(FaultMatch { every: Some(7), ..put() }, FaultAction::CutBeforeCommit),
        ]);
        stage.run().await;
        stage.erp().clear_faults();
        stage.run().await;
        assert_eq!(
            Books::of(&stage.erp().state()),
            Books::of(&undisturbed.erp().state()),
            "unique: {unique}"
        );
        stage.judge().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bill_whose_release_failed_is_shown_as_such_and_stays_for_a_person() {
    let mut options = quick(10);
    options.acumatica.fail_releases = 1;
    let stage = Stage::set_route(Route::ExpensifyAcumatica, options, |config| {
        config.document = DocumentKind::ApInvoice;
        config.settings.insert(System::Acumatica, vec!["release = true".to_owned()]);
    })
    .await;
    let report = stage.run().await;
    assert_eq!(report["errors"], json!([]), "{report:#}");
    let booked = stage.records("acknowledged").await;
    let unreleased: Vec<&Value> =
        booked.iter().filter(|record| text(record, "document").contains("not released")).collect();
    assert_eq!(unreleased.len(), 1, "{booked:#?}");
    let state = stage.erp().state();
    let documents = state.pointer(&format!("/companies/{}/documents", stage.sandbox.tenant())).unwrap();
    let staged = documents.as_array().unwrap().iter().filter(|document| document["posted"] == false);
    assert_eq!(staged.count(), 1, "{documents:#}");
    stage.judge().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_endpoint_version_is_named_by_doctor_with_the_published_ones() {
    let stage = Stage::set_route(Route::ExpensifyAcumatica, quick(3), |config| {
        let version = "endpoint = { version = \"19.200.001\" }".to_owned();
        config.settings.insert(System::Acumatica, vec![version]);
    })
    .await;
    let answer = stage.ask(5, &["doctor", "--connection", ACUMATICA]).await;
    let sections = answer["sections"].as_array().unwrap().iter();
    let mut checks = sections.flat_map(|section| section["checks"].as_array().unwrap());
    let failed = checks.find(|check| check["verdict"] == "fail").unwrap();
    assert_eq!(failed["check"], "version", "{failed:#}");
    for published in ["22.200.001", "23.200.001", "24.200.001"] {
        assert!(text(failed, "detail").contains(published), "{published} is not in {failed:#}");
    }
}

/// The API of accounting records is not granted: expenses and transactions are read, and only our own posting log keeps
/// them from being booked twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_accounting_surface_card_expenses_are_booked_once_by_our_own_log() {
    let mut options = quick(60);
    options.brex.alpha = Alpha::Forbidden;
    let stage = Stage::set_route(Route::BrexEpicor, options, |_| {}).await;
    let report = stage.run().await;
    assert_eq!(report["errors"], json!([]), "{report:#}");
    let (booked, books) = (stage.documents(), Books::of(&stage.erp().state()));
    assert!(booked > 10, "{report:#}");
    assert_eq!(report["posted"], booked);
    let again = stage.run().await;
    assert_eq!((&again["posted"], &again["adopted"], &again["new"]), (&json!(0), &json!(0), &json!(0)));
    assert_eq!(Books::of(&stage.erp().state()), books);
    let references: BTreeSet<String> = stage.references();
    assert_eq!(references.len() as u64, booked, "a document is doubled");
    assert_eq!(stage.proof(0).await["agrees"], true);
    assert_eq!(stage.misuse(), Vec::<String>::new());
}

/// Planted texts and credentials of each route's systems.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_credential_and_no_text_of_a_record_is_left_in_any_file() {
    for route in [Route::ExpensifyAcumatica, Route::BrexEpicor] {
        let mut options = quick(30);
        options.secrets = Secrets::canaries(0xCAFE);
        options.plant = true;
        let stage = Stage::set_route(route, options, |config| {
            config.tables.push("[log]\nlevel = \"trace\"".to_owned());
        })
        .await;
        let broken = |action| FaultRule { when: FaultMatch::default(), times: Some(2), action };
        for action in [FaultAction::MalformedBody, FaultAction::TruncatedBody] {
            stage.erp().faults([broken(action)]);
            stage.purser.run(&["run", "--once"]).await.unwrap();
            stage.erp().clear_faults();
        }
        stage.run().await;
        stage.ask(0, &["doctor"]).await;
        let needles = Needles::default()
            .with("a credential", stage.sandbox.secrets.values())
            .with("a text of a record", stage.sandbox.planted.iter().map(String::as_str));
        let (found, files) = needles.below(stage.home.path()).unwrap();
        assert_eq!(found, Vec::<String>::new(), "{}", route.flow());
        assert!(files >= 5, "only {files} files were looked at");
        let content = stage.home.beside().join("audit.jsonl");
        stage.say(0, &["audit", "export", "--content", "--file", content.to_str().unwrap()]).await;
        let secrets = Needles::default().with("a credential", stage.hidden());
        let content = std::fs::read(content).unwrap();
        assert_eq!(secrets.in_bytes(&content), BTreeSet::new(), "{}", route.flow());
        assert!(!needles.in_bytes(&content).is_empty(), "the needles find nothing at all");
    }
}
