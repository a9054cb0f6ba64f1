//! The same card spend under two ids from end to end: an expense that is split after it was booked, and a connection that
//! changes from expenses to accounting records. Neither books anything twice.

use std::collections::{BTreeMap, BTreeSet};

use sandbox::harness::{Route, System};
use sandbox::sim::brex::Alpha;
use serde_json::{Value, json};

use crate::stage::{Stage, quick};

const CODE: &str = "booked-under-other-id";

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

/// Ids of records that are in the ERP, as the agent knows.
async fn booked(stage: &Stage) -> BTreeSet<String> {
    let records = stage.records("acknowledged").await;
    records.iter().map(|record| text(record, "source_id").to_owned()).collect()
}

/// Every accounting record with all the ids under which its spend is shown elsewhere.
fn other_ids(stage: &Stage) -> BTreeMap<String, Vec<String>> {
    let state = stage.source().state();
    let records = state["records"].as_array().unwrap().iter().map(|record| text(record, "id").to_owned());
    let ids = |id: String| {
        let detail = stage.source().control("record", &json!({ "id": id })).unwrap();
        let parts = detail["parts"].as_array().unwrap().iter().filter_map(Value::as_str).map(str::to_owned);
        let card = detail["card"].as_str().map(|card| format!("card:{card}"));
        let own = detail["expense"].as_str().map(str::to_owned);
        let others = parts.chain(own).chain(card).collect();
        (id, others)
    };
    records.map(ids).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expense_that_is_split_after_it_was_booked_is_not_booked_again() {
    let mut options = quick(60);
    options.brex.alpha = Alpha::Forbidden;
    let stage = Stage::set_route(Route::BrexEpicor, options, |_| {}).await;
    stage.run().await;
    let (booked, before) = (booked(&stage).await, stage.documents());
    let whole = other_ids(&stage)
        .into_iter()
        .find(|(_, ids)| {
            ids.iter().any(|id| id.starts_with("expense") && booked.contains(id)) && ids.len() == 2
        })
        .expect("a booked purchase in one piece");
    let made = stage.source().control("split", &json!({ "id": whole.0 })).unwrap();
    let parts: BTreeSet<&str> = made["parts"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for _ in 0..2 {
        let report = stage.run().await;
        assert_eq!((&report["errors"], &report["posted"]), (&json!([]), &json!(0)), "{report:#}");
    }
    let held = stage.records("held").await;
    let held: BTreeSet<&str> =
        held.iter().filter(|one| text(one, "code") == CODE).map(|one| text(one, "source_id")).collect();
    assert_eq!((held, stage.documents()), (parts, before));
    assert_eq!(stage.misuse(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spend_that_was_booked_as_expenses_is_not_booked_again_as_accounting_records() {
    let surface = |name: &str| (System::Brex, vec![format!("surface = \"{name}\"")]);
    let mut stage = Stage::set_route(Route::BrexEpicor, quick(60), |config| {
        config.settings.extend([surface("expenses")]);
        // Refunds are card transactions there, without coding.
        config.mapping.push("[flow.mapping.categories.REFUND]\naccount = \"6100\"".to_owned());
    })
    .await;
    stage.run().await;
    let (first, before) = (booked(&stage).await, stage.documents());
    assert!(before > 10 && first.iter().any(|id| id.starts_with("card:")), "{first:?}");
    // Somebody else gets the right to the other list and changes the settings; the flow's start stays.
    stage.configure(|config| config.settings.extend([surface("accounting")]));
    let report = stage.run().await;
    assert_eq!(report["errors"], json!([]), "{report:#}");
    let others = other_ids(&stage);
    let was_booked = |record: &str| others[record].iter().any(|id| first.contains(id));
    let second: BTreeSet<String> = &booked(&stage).await - &first;
    let doubled: Vec<&String> = second.iter().filter(|record| was_booked(record)).collect();
    assert_eq!(doubled, Vec::<&String>::new());
    assert_eq!(stage.documents() - before, second.len() as u64);
    let held = stage.records("held").await;
    let held: Vec<&Value> = held.iter().filter(|one| text(one, "code") == CODE).collect();
    assert!(held.len() > 10 && held.iter().all(|one| was_booked(text(one, "source_id"))), "{held:#?}");
    assert_eq!(stage.misuse(), Vec::<String>::new());
}
