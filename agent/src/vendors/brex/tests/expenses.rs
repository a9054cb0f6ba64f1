//! The fall-back surface.

use super::*;
use crate::vendors::{SourcePage, SourceWindow, SpendSource};
use spend::document::RecordKind;
use spend::ids::SourceId;

fn expense(id: &str) -> Value {
    json!({"id": id, "updated_at": "2026-07-12T15:00:10Z", "memo": "Bench grinder", "expense_type": "CARD",
        "status": "APPROVED", "payment_status": "CLEARED", "category": "GENERAL_MERCHANDISE", "merchant_id": "pmch_01",
        "merchant": {"raw_descriptor": "ACME TOOLS  0123 ", "mcc": "5085", "country": "USA"}, "user_id": "cuuser_01",
        "department_id": "dep_1", "location_id": null,
        "original_amount": {"amount": 17175, "currency": "USD"}, "billing_amount": {"amount": 17175, "currency": "USD"},
        "usd_equivalent_amount": {"amount": 17175, "currency": "USD"},
        "purchased_at": "2026-07-10T18:00:00Z", "payment_posted_at": "2026-07-11T09:09:05Z", "exported_at": null,
        "custom_fields": [{"key": "extended_field_gl", "value": {"value_type": "SINGLE_VALUE", "data_type": "OPTION_STRING",
            "value": {"data": {"option_id": "efo_7500", "option_label": "7500 Other G&A"}}}}]})
}

fn transaction(id: &str, kind: &str, amount: i64, posted: &str) -> Value {
    json!({"id": id, "card_id": null, "description": "ACME TOOLS 0123", "amount": {"amount": amount, "currency": "USD"},
           "initiated_at_date": "2026-07-10", "posted_at_date": posted, "type": kind, "merchant": null,
           "card_metadata": null, "expense_id": null})
}

fn users() -> Reply {
    page(&[
        json!({"id": "cuuser_01", "first_name": "Ana", "last_name": "Diaz", "email": "Ana@Example.test "}),
    ])
}

fn fields() -> [(&'static str, Vec<Reply>); 2] {
    [
        (
            "brex.fields",
            vec![page(&[
                json!({"brex_id": "extended_field_gl", "name": "GL Account", "remote_id": "GL_ACCOUNT"}),
                json!({"brex_id": "extended_field_x", "name": "Other", "remote_id": null}),
            ])],
        ),
        (
            "brex.field-values",
            vec![page(&[json!({"brex_id": "efo_7500", "remote_id": "7500", "value": "7500 Other G&A"})])],
        ),
    ]
}

fn ready() -> SourceWindow {
    SourceWindow::Ready { from: day("2026-07-01"), to: day("2026-07-31"), limit: 100 }
}

fn ids(page: &SourcePage) -> Vec<&str> {
    page.documents.iter().map(|document| document.source_id.as_str()).collect()
}

fn on_the_bench(expenses: Vec<Value>, transactions: &[Value]) -> (Brex, Arc<Script>) {
    let [fields, values] = fields();
    client(
        on_expenses(),
        [
            ("brex.expenses", vec![page(&expenses)]),
            ("brex.card-transactions", vec![page(transactions)]),
            ("brex.users", vec![users()]),
            fields,
            values,
        ],
    )
}

/// Sheet item: Brex 4
#[tokio::test(start_paused = true)]
async fn settled_expenses_become_documents_in_minor_units_with_owner_and_account() {
    let (client, script) = on_the_bench(vec![expense("expense_01")], &[]);
    let read = client.read(&ready()).await.unwrap();
    let document = &read.documents[0];
    assert_eq!((document.kind, document.source_id.as_str()), (RecordKind::CardTransaction, "expense_01"));
    assert_eq!(
        (document.owner.email.as_str(), document.approved),
        ("ana@example.test", Some(day("2026-07-11")))
    );
    let line = &document.lines[0];
    assert_eq!((line.amount.minor, line.date), (17_175, Some(day("2026-07-10"))));
    assert_eq!(
        (line.category.as_deref(), line.category_code.as_deref()),
        (Some("7500 Other G&A"), Some("7500"))
    );
    assert_eq!((line.merchant.as_str(), line.merchant_id.as_deref()), ("ACME TOOLS 0123", Some("pmch_01")));
    assert!(read.habits.keeps_no_mark && read.habits.sweep_days == 400);
    let sent = &script.of("brex.expenses")[0];
    assert_eq!(sent.asked("updated_at_start"), ["2026-07-01T00:00:00.000"]);
    assert_eq!(sent.asked("updated_at_end"), ["2026-08-01T00:00:00.000"]);
    assert_eq!(
        (sent.asked("expense_type[]"), sent.asked("payment_status[]")),
        (vec!["CARD"], vec!["CLEARED"])
    );
    assert_eq!((sent.asked("status[]"), sent.asked("limit")), (vec!["APPROVED", "SETTLED"], vec!["100"]));
    client.read(&ready()).await.unwrap();
    assert_eq!(script.of("brex.users").len(), 1, "people are read once");
    assert_eq!(script.of("brex.fields").len(), 1, "fields too");
}

#[tokio::test(start_paused = true)]
async fn wholes_of_splits_and_what_somebody_else_exported_are_not_offered() {
    let mut expenses = ["split", "exported", "pending", "bill", "good"].map(expense);
    expenses[0]["status"] = "SPLIT".into();
    expenses[1]["exported_at"] = "2026-07-20T00:00:00Z".into();
    expenses[2]["payment_status"] = "PROCESSING".into();
    expenses[3]["expense_type"] = "BILLPAY".into();
    let (client, script) = on_the_bench(expenses.to_vec(), &[]);
    assert_eq!(ids(&client.read(&ready()).await.unwrap()), ["good"]);
    let period = SourceWindow::Period { from: day("2026-07-11"), to: day("2026-07-11") };
    let read = client.read(&period).await.unwrap();
    assert_eq!(ids(&read), ["exported", "good"]);
    assert_eq!(read.exported, [SourceId::from("exported")].into());
    let before = SourceWindow::Period { from: day("2026-07-01"), to: day("2026-07-10") };
    assert_eq!(ids(&client.read(&before).await.unwrap()), [""; 0]);
    script.then("brex.expense", [told(&expenses[1]), told(&expenses[0]), status(404, "{}")]);
    let named = ["exported", "split", "gone"].map(SourceId::from).to_vec();
    let read = client.read(&SourceWindow::Ids(named)).await.unwrap();
    assert_eq!(ids(&read), ["exported"]);
    assert_eq!(read.exported, [SourceId::from("exported")].into(), "and it is said so");
}

#[tokio::test(start_paused = true)]
async fn the_parts_of_a_split_name_their_whole_and_movements_their_expense() {
    let mut expenses = ["part", "plain"].map(expense);
    expenses[0]["parent_expense_id"] = "whole".into();
    expenses[1]["parent_expense_id"] = Value::Null;
    let mut refund = transaction("pste_2", "REFUND", -2_000, "2026-07-12");
    refund["expense_id"] = "plain".into();
    let (client, _) = on_the_bench(expenses.to_vec(), &[refund]);
    let read = client.read(&ready()).await.unwrap();
    let named: Vec<_> = read.documents.iter().map(|d| d.part_of.as_ref().map(SourceId::as_str)).collect();
    assert_eq!(named, [Some("whole"), None, Some("plain")]);
    let plain = expense("part");
    let (client, _) = on_the_bench(vec![plain], &[]);
    let unsplit = client.read(&ready()).await.unwrap();
    assert_eq!(unsplit.documents[0].revision, read.documents[0].revision, "no change of what is booked");
}

#[tokio::test(start_paused = true)]
async fn refunds_are_read_from_the_card_and_purchases_only_once() {
    let transactions = [
        transaction("pste_1", "PURCHASE", 17_175, "2026-07-11"),
        transaction("pste_2", "REFUND", -2_000, "2026-07-12"),
        transaction("pste_3", "COLLECTION", -99, "2026-07-12"),
        transaction("pste_4", "REFUND", -1, "2026-06-30"),
    ];
    let (client, script) = on_the_bench(vec![expense("expense_01")], &transactions);
    let read = client.read(&ready()).await.unwrap();
    assert_eq!(ids(&read), ["expense_01", "card:pste_2"]);
    let refund = &read.documents[1];
    assert_eq!((refund.lines[0].amount.minor, refund.owner.email.as_str()), (-2_000, ""));
    assert_eq!(refund.lines[0].category.as_deref(), Some("REFUND"));
    assert_eq!(script.of("brex.card-transactions")[0].asked("posted_at_start"), ["2026-06-30T00:00:00.000"]);
    let named = vec![SourceId::from("card:pste_2")];
    assert_eq!(ids(&client.read(&SourceWindow::Ids(named)).await.unwrap()), ["card:pste_2"]);
}

/// Sheet item: Brex 6
#[tokio::test(start_paused = true)]
async fn cash_fees_are_costs_and_one_without_an_amount_is_held() {
    let mut settings = on_expenses();
    settings.expenses.card_transactions.clear();
    settings.expenses.cash_accounts = vec!["dpacc_1".to_owned()];
    let mut fees = [
        transaction("dptx_1", "FEE", -1_500, "2026-07-11"),
        transaction("dptx_2", "FEE", 0, "2026-07-12"),
        transaction("dptx_3", "PAYMENT", -9, "2026-07-12"),
    ];
    fees[1]["amount"] = Value::Null;
    let (client, script) =
        client(settings, [("brex.expenses", vec![page(&[])]), ("brex.cash-transactions", vec![page(&fees)])]);
    let read = client.read(&ready()).await.unwrap();
    assert_eq!(ids(&read), ["cash:dpacc_1:dptx_1"]);
    assert_eq!(read.documents[0].lines[0].amount.minor, 1_500);
    assert_eq!(read.unreadable[0].source_id, Some(SourceId::from("cash:dpacc_1:dptx_2")));
    assert_eq!(script.of("brex.cash-transactions")[0].path, "/v2/transactions/cash/dpacc_1");
}

/// Sheet item: Brex 6
#[tokio::test(start_paused = true)]
async fn an_expense_of_nulls_is_unreadable_and_stops_nobody() {
    let bare = json!({"id": "expense_00", "updated_at": "2026-07-12T15:00:10Z"});
    let mut nothing_else = expense("expense_02");
    for key in [
        "memo",
        "category",
        "merchant_id",
        "merchant",
        "user_id",
        "department_id",
        "original_amount",
        "custom_fields",
    ] {
        nothing_else[key] = Value::Null;
    }
    let (client, _) = on_the_bench(vec![bare, nothing_else], &[]);
    let read = client.read(&ready()).await.unwrap();
    assert_eq!(ids(&read), ["expense_02"]);
    assert_eq!(read.unreadable[0].source_id, Some(SourceId::from("expense_00")));
    assert_eq!(read.documents[0].lines[0].category, None);
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_users_and_fields_expenses_are_read_without_owner_and_code() {
    let no = || vec![status(403, r#"{"type":"FORBIDDEN","message":"Insufficient scope"}"#)];
    let (client, script) = client(
        on_expenses(),
        [
            ("brex.expenses", vec![page(&[expense("expense_01")])]),
            ("brex.card-transactions", vec![page(&[])]),
            ("brex.users", no()),
            ("brex.fields", no()),
        ],
    );
    let read = client.read(&ready()).await.unwrap();
    assert_eq!((read.documents[0].owner.email.as_str(), read.documents.len()), ("", 1));
    assert_eq!(read.documents[0].lines[0].category.as_deref(), Some("GENERAL_MERCHANDISE"));
    client.read(&ready()).await.unwrap();
    assert_eq!((script.of("brex.users").len(), script.of("brex.fields").len()), (1, 1), "asked once");
}

#[tokio::test(start_paused = true)]
async fn an_expense_is_not_read_without_owner_or_code_because_a_look_up_failed() {
    let proxy = status(403, "<html>blocked</html>");
    let dead = status(403, r#"{"message": "Expired token"}"#);
    for reply in [status(500, ""), lost(FailureClass::Unavailable), status(429, ""), proxy, dead] {
        for operation in ["brex.users", "brex.fields", "brex.field-values"] {
            let (client, script) = on_the_bench(vec![expense("expense_01")], &[]);
            let well = client.read(&ready()).await.unwrap();
            let client = again(on_expenses(), &script);
            let answers = script.answers.lock().unwrap().remove(operation).unwrap();
            script.then(operation, [reply.clone()]);
            script.then(operation, answers);
            let failed = client.read(&ready()).await;
            assert!(failed.is_err(), "{operation} {reply:?}: {failed:?}");
            assert_eq!(client.read(&ready()).await.unwrap(), well, "{operation} {reply:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_that_was_added_since_has_its_code_and_one_that_brex_does_not_list_costs_no_more_reads() {
    let (client, script) = on_the_bench(vec![expense("expense_01")], &[]);
    client.read(&ready()).await.unwrap();
    let mut added = ["expense_02", "expense_03"].map(expense);
    for (expense, option) in added.iter_mut().zip(["efo_7600", "efo_lost"]) {
        expense["custom_fields"][0]["value"]["value"]["data"] =
            json!({"option_id": option, "option_label": "7600 Added"});
    }
    let value = |id: &str, code: &str| json!({"brex_id": id, "remote_id": code, "value": code});
    let list = |values: &[Value]| {
        script.forget("brex.field-values");
        script.then("brex.field-values", [page(values)]);
    };
    script.forget("brex.expenses");
    script.then("brex.expenses", [page(&added)]);
    list(&[value("efo_7500", "7500"), value("efo_7600", "7600")]);
    for _ in 0..3 {
        let read = client.read(&ready()).await.unwrap();
        let codes: Vec<_> = read.documents.iter().map(|d| d.lines[0].category_code.as_deref()).collect();
        assert_eq!(codes, [Some("7600"), None]);
    }
    assert_eq!(script.of("brex.fields").len(), 2, "once more for both");
    list(&[value("efo_7600", "7600"), value("efo_lost", "7700")]);
    client.clock.advance(chrono::TimeDelta::hours(1));
    let read = client.read(&ready()).await.unwrap();
    assert_eq!(read.documents[1].lines[0].category_code.as_deref(), Some("7700"));
    assert_eq!(script.of("brex.fields").len(), 3);
}
