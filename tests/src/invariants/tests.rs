//! The checker finds what it is there for.

use super::*;
use serde_json::json;

fn report(id: &str, total: i64, marked: bool) -> Value {
    let labels = if marked { vec!["purser"] } else { vec![] };
    json!({ "id": id, "state": "APPROVED", "labels": labels, "total": total, "currency": "USD" })
}

fn journal(id: &str, amount: &str) -> Value {
    let tail = amount.strip_prefix('-').map_or_else(|| format!("-{amount}"), str::to_owned);
    json!({
        "kind": "gl-journal", "reference": format!("EXP-{id}-0a1b2c3d-00ff00ff00 Trip"), "currency": "USD",
        "total": "999.00", "balanced": true,
        "lines": [{ "account": "6100|10|200", "amount": amount }, { "account": "2150|00|200", "amount": tail }],
    })
}

fn evidence(reports: Vec<Value>, documents: Vec<Value>, open: &[(&str, &str)]) -> Evidence {
    Evidence {
        route: Route::ExpensifyEpicor,
        source: json!({ "reports": reports }),
        erp: json!({ "companies": { "C1": { "documents": documents }, "C2": { "documents": [] } } }),
        company: "C1".to_owned(),
        open: open.iter().map(|(id, state)| ((*id).to_owned(), (*state).to_owned())).collect(),
        misuse: Vec::new(),
    }
}

#[test]
fn booked_and_held_reports_add_up_and_nothing_is_faulty() {
    let reports = vec![report("A", 1050, true), report("B", -250, true), report("C", 99, false)];
    let tally = evidence(reports, vec![journal("A", "10.50"), journal("B", "-2.50")], &[("C", "held")])
        .examine()
        .unwrap();
    assert_eq!(tally.faults(), Vec::<String>::new());
    assert_eq!((tally.source_documents, tally.posted, tally.held, tally.acknowledged), (3, 2, 1, 2));
    assert_eq!((tally.source_total["USD"], tally.erp_total["USD"], tally.held_total["USD"]), (899, 800, 99));
}

#[test]
fn open_reports_that_are_not_ready_are_nobodys_business() {
    let mut open = report("A", 1, false);
    open["state"] = json!("OPEN");
    assert_eq!(evidence(vec![open], vec![], &[]).examine().unwrap(), Tally::default());
}

#[test]
fn each_breach_is_named() {
    let one = |evidence: Evidence| evidence.examine().unwrap();
    let doubled =
        one(evidence(vec![report("A", 100, true)], vec![journal("A", "1.00"), journal("A", "1.00")], &[]));
    assert_eq!((doubled.duplicates, doubled.broken.len()), (1, 1));
    let lost = one(evidence(vec![report("A", 100, false)], vec![], &[]));
    assert_eq!((lost.lost, lost.unfinished.len()), (1, 1));
    let altered = one(evidence(vec![report("A", 100, true)], vec![journal("A", "1.01")], &[]));
    assert!(altered.broken[0].contains("1.00 USD is in the ERP as 1.01 USD"), "{altered:?}");
    let half = one(evidence(vec![report("A", 100, false)], vec![journal("A", "0.50")], &[("A", "in-doubt")]));
    assert_eq!((half.broken.len(), half.unfinished.len()), (0, 2));
    let marked = one(evidence(vec![report("A", 100, true)], vec![], &[("A", "held")]));
    assert!(marked.broken[0].contains("marked as exported and not in the ERP"), "{marked:?}");
    let unmarked = one(evidence(vec![report("A", 100, false)], vec![journal("A", "1.00")], &[]));
    assert_eq!((unmarked.acknowledged, unmarked.unfinished.len()), (0, 1));
    let stray = one(evidence(vec![], vec![journal("Z", "1.00")], &[]));
    assert!(stray.broken[0].contains("without a ready report Z"), "{stray:?}");
    let misuse = one(Evidence { misuse: vec!["x".to_owned()], ..evidence(vec![], vec![], &[]) });
    assert_eq!(misuse.broken, ["wrong call: x"]);
    let mut neighbour = journal("Z", "1.00");
    neighbour["reference"] = json!("BRX-Z-0a1b2c3d-00ff00ff00");
    assert_eq!(one(evidence(vec![], vec![neighbour], &[])).faults(), Vec::<String>::new());
    let mut foreign = journal("A", "1.00");
    foreign["reference"] = json!("typed by hand");
    assert!(evidence(vec![], vec![foreign], &[]).examine().is_err());
}

#[test]
fn ids_that_differ_only_in_case_are_two_reports() {
    let reports = vec![report("Ab", 100, true), report("aB", 200, true)];
    let tally = evidence(reports, vec![journal("Ab", "1.00"), journal("aB", "2.00")], &[]).examine().unwrap();
    assert_eq!((tally.posted, tally.faults().len()), (2, 0));
}

#[test]
fn amounts_are_read_and_printed_to_the_cent() {
    for (text, currency, minor) in [
        ("12.5", "USD", 1250),
        ("-0.07", "USD", -7),
        ("12.5000", "USD", 1250),
        ("7", "USD", 700),
        ("81.00", "JPY", 81),
    ] {
        assert_eq!(minor_units(text, currency), Some(minor), "{text}");
    }
    for text in ["", "-", "1.234", ".5", "1e3", "1,000.00", "+1"] {
        assert_eq!(minor_units(text, "USD"), None, "{text}");
    }
    for (minor, currency, text) in
        [(1250, "USD", "12.50"), (-7, "USD", "-0.07"), (0, "USD", "0.00"), (81, "JPY", "81")]
    {
        assert_eq!(decimal(minor, currency), text);
    }
}

#[test]
fn a_planted_text_is_found_in_every_spelling_and_nowhere_else() {
    let secret = "s3cret \"word\"/+%";
    let needles = Needles::default().with("password", [secret]);
    let encode = base64::engine::general_purpose::STANDARD;
    let basic = |user: &str| base64::Engine::encode(&encode, format!("{user}:{secret}"));
    let hex: String = secret.bytes().map(|byte| format!("{byte:02X}")).collect();
    for (form, text) in [
        ("as it is", secret.to_owned()),
        ("in JSON", json!({ "a": secret }).to_string()),
        ("percent-encoded", "s3cret%20%22word%22%2F%2B%25".to_owned()),
        ("as form text", "s3cret+%22word%22%2F%2B%25".to_owned()),
        ("in hexadecimal", hex),
        ("in base64", basic("u")),
        ("in base64", basic("us")),
        ("in base64", basic("use")),
    ] {
        let found = needles.in_bytes(format!("before {text} after").as_bytes());
        assert!(found.contains(format!("password, {form}").as_str()), "{form}: {found:?}");
    }
    assert!(needles.in_bytes(b"s3cret word").is_empty());
    assert_eq!(Needles::default().with("short", ["Railway"]).count(), 0);
}

#[test]
fn files_are_searched_across_the_borders_of_blocks() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("deep")).unwrap();
    let mut bytes = vec![b'.'; (1 << 20) - 5];
    bytes.extend_from_slice(b"planted-canary");
    bytes.extend_from_slice(&[b'.'; 100]);
    std::fs::write(folder.path().join("deep/data.mdb"), bytes).unwrap();
    let (found, files) = Needles::default().with("canary", ["planted-canary"]).below(folder.path()).unwrap();
    assert_eq!((found.len(), files), (1, 1), "{found:?}");
    assert!(found[0].starts_with("canary, as it is: in "), "{found:?}");
}

#[tokio::test]
async fn the_books_of_every_erp_are_read_alike() {
    use crate::harness::{Sandbox, SandboxOptions};
    let sandbox = Sandbox::start(SandboxOptions::new(3)).await.unwrap();
    for route in Route::ALL {
        let erp = sandbox.erp(route);
        assert_eq!(booked_documents(&erp.state(), sandbox.company_of(route), route).unwrap(), []);
        assert!(erp.state()["summary"]["total_by_currency"].is_object());
    }
    assert_eq!((sandbox.documents_in_erp(), sandbox.documents_in_acumatica()), (0, 0));
}

#[test]
fn ids_that_do_not_fit_a_reference_are_matched_by_what_is_left_of_them() {
    let id = "accr_c0123456789abcdefghijklmn";
    let record = json!({ "id": id, "type": "CARD_EXPENSE_POST", "review_status": "EXPORTED", "reported": true,
        "total": 100, "currency": "USD" });
    let mut document = journal("A", "1.00");
    document["reference"] = json!(format!("BRX-{}-0a1b2c3d-00ff00ff00", &id[..26]));
    let both = Evidence {
        route: Route::BrexEpicor,
        source: json!({ "records": [record] }),
        ..evidence(vec![], vec![document], &[])
    };
    let tally = both.examine().unwrap();
    assert_eq!((tally.posted, tally.faults()), (1, Vec::new()));
}
