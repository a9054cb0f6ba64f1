//! The other interfaces: they show the same spend, and take the writes that this vendor takes.

use super::*;
use std::collections::BTreeMap;

type Sums = BTreeMap<String, i64>;

fn sum(items: &[Value], money: &str, keep: impl Fn(&Value) -> bool) -> Sums {
    let mut sums = Sums::new();
    for item in items.iter().filter(|item| keep(item) && !item[money].is_null()) {
        let currency = item[money]["currency"].as_str().unwrap().to_owned();
        *sums.entry(currency).or_default() += item[money]["amount"].as_i64().unwrap();
    }
    sums
}

/// Sheet item: Brex 16
#[tokio::test]
async fn records_expenses_and_transactions_tell_of_the_same_spend() {
    let rig = Rig::of(&SpendOptions { count: 200, mixed_currencies: true }, |_| {}).await;
    let state = rig.run.state();
    let mut by_records = Sums::new();
    for record in state["records"].as_array().unwrap() {
        let card = ["CARD_EXPENSE_POST", "CARD_EXPENSE_REFUND"].contains(&record["type"].as_str().unwrap());
        if card {
            let currency = record["currency"].as_str().unwrap().to_owned();
            *by_records.entry(currency).or_default() += record["total"].as_i64().unwrap();
        }
    }
    let settled = rig.all("/v2/transactions/card/primary").await;
    let bought = |item: &Value| item["type"] != "COLLECTION";
    assert_eq!(sum(&settled, "amount", bought), by_records);
    let collected = sum(&settled, "amount", |item| item["type"] == "COLLECTION");
    assert!(collected.values().all(|sum| *sum < 0) && !collected.is_empty());

    let expenses = rig.all("/v1/expenses?expense_type[]=CARD").await;
    let posted = |item: &Value| item["status"] != "SPLIT" && item["payment_status"] != "CREDITED";
    assert_eq!(sum(&expenses, "billing_amount", posted), by_records);
    let parents: Vec<&Value> = expenses.iter().filter(|item| item["status"] == "SPLIT").collect();
    assert!(!parents.is_empty());
    for parent in parents {
        let id = parent["id"].as_str().unwrap();
        let parts = rig.all(&format!("/v1/expenses?parent_expense_id[]={id}")).await;
        let total: i64 = parts.iter().map(|part| part["billing_amount"]["amount"].as_i64().unwrap()).sum();
        assert_eq!(parent["billing_amount"]["amount"], total);
    }
    // What was made of the world's movements is what the world says.
    let by_world = rig.spend.iter().filter(|spend| spend.kind == crate::world::SpendKind::Purchase);
    assert_eq!(
        by_world.map(WorldSpend::amount).sum::<i64>(),
        settled
            .iter()
            .filter(|t| t["type"] == "PURCHASE")
            .map(|t| t["amount"]["amount"].as_i64().unwrap())
            .sum::<i64>()
    );
    rig.no_misuse();
}

/// Sheet item: Brex 16
#[tokio::test]
async fn expenses_are_filtered_expanded_and_coded_on_request() {
    let rig = Rig::new().await;
    let path = "/v1/expenses?expense_type[]=CARD&payment_status[]=CLEARED&status[]=APPROVED&status[]=SETTLED\
                &updated_at_start=2026-07-01T00:00:00.000&expand[]=merchant&load_custom_fields=true";
    let found = rig.all(path).await;
    assert!(found.len() > 30 && found.iter().all(|expense| expense["expense_type"] == "CARD"));
    let one = found.iter().find(|expense| expense["custom_fields"] != json!([])).unwrap();
    assert_eq!(one["custom_fields"][0]["value"]["data_type"], "OPTION_STRING");
    assert!(one["merchant"]["raw_descriptor"].is_string() && one["billing_amount"]["amount"].is_i64());
    let plain = rig.ok(&format!("/v1/expenses/{}", one["id"].as_str().unwrap())).await;
    assert!(plain.get("custom_fields").is_none() && plain.get("merchant").is_none());
    let id = one["id"].as_str().unwrap();
    let memo = |text: &str| json!({ "memo": text });
    let url = format!("/v1/expenses/card/{id}");
    assert_eq!(rig.send("PUT", &url, Some(&memo("Grinder")), &[]).await.status, 200);
    assert_eq!(rig.ok(&format!("/v1/expenses/{id}")).await["memo"], "Grinder");
    assert_eq!(rig.send("PUT", &url, Some(&memo("Café")), &[]).await.json()["message"], "memo is invalid");
    assert!(found.iter().all(|expense| expense["exported_at"].is_null() || expense["status"] == "SETTLED"));
}

/// Sheet item: Brex 16
#[tokio::test]
async fn accounts_come_bare_or_paged_and_cash_amounts_may_be_null() {
    let rig = Rig::new().await;
    assert!(rig.ok("/v2/accounts/card").await.is_array());
    let cash = rig.ok("/v2/accounts/cash").await["items"][0].clone();
    let id = cash["id"].as_str().unwrap();
    assert_eq!(rig.ok("/v2/accounts/cash/primary").await, rig.ok(&format!("/v2/accounts/cash/{id}")).await);
    assert_eq!(rig.get("/v2/accounts/cash/none").await.status, 404);
    let moved = rig.all(&format!("/v2/transactions/cash/{id}")).await;
    assert!(moved.iter().any(|item| item["amount"].is_null() && item["type"] == "FEE"));
    assert!(moved.iter().any(|item| item["type"] == "CARD_COLLECTION" && item["transfer_id"].is_null()));
    let newest = moved[0]["posted_at_date"].as_str().unwrap();
    let since = format!("/v2/transactions/cash/{id}?posted_at_start={newest}T00:00:00.000");
    assert!(rig.all(&since).await.iter().all(|item| item["posted_at_date"] == newest));
    let expanded = rig.ok("/v2/transactions/card/primary?limit=5&expand[]=expense_id").await;
    assert!(expanded["items"].as_array().unwrap().iter().any(|item| item["expense_id"].is_string()));
    let card = rig.ok("/v2/transactions/card/primary").await;
    assert!(card["items"].as_array().unwrap().iter().all(|item| item["expense_id"].is_null()));
}

/// Sheet items: Brex 16, 21
#[tokio::test]
async fn an_idempotency_key_brings_the_same_answer_and_no_second_object() {
    let rig = Rig::new().await;
    let body = json!({"company_name": "Grinding Works", "email": "ar@grinding.example.test"});
    let count = async || rig.all("/v1/vendors").await.len();
    let before = count().await;
    let missing = rig.post("/v1/vendors", body.clone()).await;
    assert_eq!((missing.status, &missing.json()["message"]), (400, &json!("Idempotency-Key is required")));
    let first = rig.keyed("POST", "/v1/vendors", &body, 1).await;
    let again = rig.keyed("POST", "/v1/vendors", &body, 1).await;
    assert_eq!((first.status, first.json()), (200, again.json()));
    assert_eq!(count().await, before + 1);
    let other = rig.keyed("POST", "/v1/vendors", &json!({"company_name": "Else"}), 1).await;
    assert_eq!(other.status, 409);
    let taken = rig.keyed("POST", "/v1/vendors", &body, 2).await;
    assert_eq!(
        (taken.status, &taken.json()["message"]),
        (400, &json!("Vendor with this name already exists"))
    );
    let accents = rig.keyed("POST", "/v1/vendors", &json!({"company_name": "Café"}), 3).await;
    assert_eq!((accents.status, &accents.json()["message"]), (400, &json!("company_name is invalid")));
    for (path, body) in [
        ("/v1/fields", json!({"name": "Cost centre", "group": "ACCOUNTING"})),
        ("/v1/webhooks", json!({"url": "https://x.example.test", "event_types": ["USER_UPDATED"]})),
    ] {
        assert_eq!(rig.post(path, body.clone()).await.status, 400, "{path}");
        assert_eq!(rig.keyed("POST", path, &body, 4).await.status, 200, "{path}");
    }
    rig.run.advance_clock(TimeDelta::hours(25));
    assert_eq!(
        rig.keyed("POST", "/v1/vendors", &body, 1).await.status,
        400,
        "the key is forgotten, the name is not"
    );
    let url = format!("/v1/vendors/{}", first.json()["id"].as_str().unwrap());
    let phone = json!({"phone": "+13125550100"});
    assert_eq!(rig.send("PUT", &url, Some(&phone), &[]).await.json()["phone"], "+13125550100");
    assert_eq!(rig.send("DELETE", &url, None, &[]).await.status, 200);
    assert_eq!(rig.get(&url).await.status, 404);
}

#[tokio::test]
async fn vendors_are_found_by_name_as_the_setting_says() {
    let rig = Rig::new().await;
    let name = rig.ok("/v1/vendors").await["items"][0]["company_name"].as_str().unwrap().to_owned();
    let low = escaped(&name.to_lowercase());
    for (form, query, found) in [
        ("exact", escaped(&name), 1),
        ("exact", low.clone(), 0),
        ("ignore-case", low.clone(), 1),
        ("prefix", escaped(&name.to_lowercase()[..4]), 1),
    ] {
        rig.control("knobs", json!({"name_match": form}));
        let list = rig.all(&format!("/v1/vendors?name={query}")).await;
        assert_eq!(list.len(), found, "{form} {query}");
    }
}

/// Sheet item: Brex 16
#[tokio::test]
async fn fields_and_values_are_made_changed_and_disabled() {
    let rig = Rig::new().await;
    let integration = json!({"vendor": "ERP_A", "vendor_account_id": "EPIC06"});
    let tie = rig.post("/v3/accounting/integration", integration).await.json()["id"].clone();
    let wish =
        |id: Value| json!({"name": "Cost centre", "group": "ERP", "remote_id": "CC", "integration_id": id});
    assert_eq!(rig.keyed("POST", "/v1/fields", &wish(Value::Null), 1).await.status, 400);
    let field = rig.keyed("POST", "/v1/fields", &wish(tie), 2).await.json();
    let id = field["brex_id"].as_str().unwrap();
    let values = format!("/v1/fields/{id}/values");
    let items: Vec<Value> = (0..3)
        .map(|n| json!({"value": format!("Centre {n}"), "value_id": n.to_string(), "remote_id": format!("K{n}")}))
        .collect();
    let made = rig.keyed("POST", &values, &json!({ "items": items }), 3).await;
    assert_eq!((made.status, made.json()["items"].as_array().unwrap().len()), (200, 3));
    assert_eq!(
        rig.keyed("POST", &values, &json!({"items": [items[0]]}), 4).await.status,
        400,
        "the key is taken"
    );
    let found = rig.all(&format!("{values}?remote_id[]=K1&remote_id[]=K2")).await;
    assert_eq!(texts(&found, "value"), ["Centre 1", "Centre 2"]);
    let change = json!({"items": [{"remote_id": "K1", "data": {"is_disabled": true, "value": "Gone"}}]});
    let changed = rig.send("PUT", &values, Some(&change), &[]).await.json();
    assert_eq!(
        (&changed["items"][0]["is_disabled"], &changed["items"][0]["value"]),
        (&json!(true), &json!("Gone"))
    );
    let unknown = json!({"items": [{"remote_id": "K9", "data": {}}]});
    assert_eq!(rig.send("PUT", &values, Some(&unknown), &[]).await.status, 404);
    let two = json!({"items": [{"remote_id": "K0", "value_id": "0"}]});
    assert_eq!(rig.send("DELETE", &values, Some(&two), &[]).await.status, 400, "one id each");
    assert_eq!(
        rig.send("DELETE", &values, Some(&json!({"items": [{"remote_id": "K0"}]})), &[]).await.status,
        200
    );
    assert_eq!(rig.all(&values).await.len(), 2);
    let one = rig.all(&values).await[0]["brex_id"].as_str().unwrap().to_owned();
    assert_eq!(rig.ok(&format!("{values}/{one}")).await["remote_id"], "K1");
    let url = format!("/v1/fields/{id}");
    let renamed = rig.send("PUT", &url, Some(&json!({"name": "CC", "is_disabled": true})), &[]).await.json();
    assert_eq!((&renamed["name"], &renamed["is_disabled"]), (&json!("CC"), &json!(true)));
    assert_eq!(rig.send("DELETE", &url, None, &[]).await.status, 200);
    assert_eq!(rig.all(&format!("/v1/fields?field_id[]={id}")).await.len(), 0);
    assert!(rig.run.misuse().iter().any(|call| call.starts_with("values of a field were deleted")));
    let many: Vec<Value> = (0..1_001).map(|n| json!({"value": n.to_string()})).collect();
    let accounts = rig.ok("/v1/fields").await["items"][0]["brex_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/fields/{accounts}/values");
    assert_eq!(rig.keyed("POST", &path, &json!({ "items": many }), 5).await.status, 400);
}

/// Sheet item: Brex 16
#[tokio::test]
async fn accounts_departments_and_people_are_those_of_the_erp() {
    let rig = Rig::new().await;
    let fields = rig.all("/v1/fields").await;
    assert_eq!(texts(&fields, "remote_id"), ["GL_ACCOUNT", "DEPT", "PROJECT"]);
    let accounts = rig.all(&format!("/v1/fields/{}/values", fields[0]["brex_id"].as_str().unwrap())).await;
    let naturals: Vec<&str> = rig.world.segments[0].values.iter().map(|(code, ..)| code.as_str()).collect();
    let synced: Vec<String> =
        texts(&accounts, "remote_id").into_iter().filter(|code| !code.is_empty()).collect();
    assert_eq!(synced, naturals);
    let user = &rig.world.employees[3];
    let email = escaped(&user.email.to_uppercase());
    let found = rig.all(&format!("/v2/users?email={email}")).await;
    assert_eq!((found.len(), &found[0]["remote_display_id"]), (1, &json!(user.number)));
    let departments = rig.all("/v2/departments").await;
    assert_eq!(departments.len(), rig.world.segments[1].values.len());
    let made = rig.post("/v2/departments", json!({"name": "Paint shop", "description": "40"})).await;
    let url = format!("/v2/departments/{}", made.json()["id"].as_str().unwrap());
    assert_eq!(rig.ok(&url).await["name"], "Paint shop");
    assert_eq!(rig.send("DELETE", &url, None, &[]).await.status, 404, "there is no such call");
    assert_eq!(rig.ok("/v2/company").await["accountType"], "BREX_EMPOWER");
    assert!(rig.ok("/v2/legal_entities").await["items"][0].get("isDefault").is_some());
}
