//! Accounting records: what they look like, how they are found, what becomes of them.

use super::*;

/// Sheet item: Brex 19
#[tokio::test]
async fn a_list_without_a_bound_looks_back_a_day_and_silently_finds_nothing() {
    let rig = Rig::new().await;
    let path = "/v3/accounting/records?review_status=READY_FOR_EXPORT";
    let page = rig.ok(path).await;
    assert_eq!(
        (&page["items"], &page["total_count"], &page["has_next_page"]),
        (&json!([]), &json!(0), &json!(false))
    );
    assert_eq!(rig.run.misuse(), ["records were listed without a bound on `updated_at`"]);
    let all = rig.ready().await;
    assert!(all.len() > 60, "{}", all.len());
    // Ids need no bound, and the window is a setting.
    let id = all[0]["id"].as_str().unwrap();
    assert_eq!(rig.records(&format!("ids={id}")).await.len(), 1);
    rig.control("knobs", json!({"default_window_hours": 24 * 30}));
    assert_eq!(rig.ok(path).await["total_count"], all.len());
    let newest = all.last().unwrap()["updated_at"].as_str().unwrap().to_owned();
    assert_eq!(
        rig.records(&format!("review_status=READY_FOR_EXPORT&updated_at%5Bgt%5D={newest}")).await.len(),
        0
    );
    assert_eq!(
        rig.records(&format!("review_status=READY_FOR_EXPORT&updated_at[gte]={newest}")).await.len(),
        1
    );
    assert_eq!(rig.records("updated_at[lt]=2026-10-01").await.len(), 0);
}

/// Sheet item: Brex 20
#[tokio::test]
async fn pages_follow_cursors_that_say_limit_and_offset_and_limits_are_kept() {
    use base64::Engine as _;
    let rig = Rig::new().await;
    let page = rig.ok(&format!("/v3/accounting/records?{EVERYTHING}&limit=2")).await;
    let cursor = page["next_cursor"].as_str().unwrap();
    let decoded = base64::engine::general_purpose::STANDARD.decode(cursor).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&decoded).unwrap(), json!({"limit": 2, "offset": 2}));
    assert_eq!(page["has_next_page"], true);
    let first = rig.ok(&format!("/v3/accounting/records?{EVERYTHING}")).await;
    assert_eq!(first["items"].as_array().unwrap().len(), 100, "100 where no limit is named");
    let all = rig.records(&format!("{EVERYTHING}&limit=7")).await;
    let ids: std::collections::BTreeSet<String> = texts(&all, "id").into_iter().collect();
    assert_eq!(
        (all.len(), ids.len()),
        (rig.run.state()["record_count"].as_u64().unwrap() as usize, all.len())
    );

    let many: String = (0..501).map(|n| format!("ids=accr_{n}&")).collect();
    for path in
        ["/v1/expenses?limit=101", "/v1/vendors?limit=1001", "/v1/vendors?cursor=%21", "/v1/fields?limit=0"]
    {
        assert_eq!(rig.get(path).await.status, 400, "{path}");
    }
    assert_eq!(rig.get(&format!("/v3/accounting/records?{many}")).await.status, 400);
    assert_eq!(rig.get("/v1/expenses?limit=100").await.status, 200);
}

/// Sheet item: Brex 20
#[tokio::test]
async fn the_end_of_a_list_is_said_in_each_way_and_cursors_can_be_worthless() {
    let rig = Rig::new().await;
    let path = "/v2/titles";
    assert_eq!(rig.ok(path).await["next_cursor"], Value::Null);
    rig.control("knobs", json!({"page_end": "absent"}));
    assert_eq!(rig.ok(path).await.get("next_cursor"), None);
    rig.control("knobs", json!({"page_end": "empty"}));
    assert_eq!(rig.ok(path).await["next_cursor"], "");
    rig.control("knobs", json!({"cursors": "constant"}));
    let first = rig.ok(&format!("{path}?limit=1")).await;
    let again =
        rig.ok(&format!("{path}?limit=1&cursor={}", escaped(first["next_cursor"].as_str().unwrap()))).await;
    assert_eq!(first, again);
    rig.control("knobs", json!({"cursors": "endless"}));
    let past = rig.ok(&format!("/v3/accounting/records?{EVERYTHING}&limit=1000")).await;
    let next = escaped(past["next_cursor"].as_str().unwrap());
    let empty = rig.ok(&format!("/v3/accounting/records?{EVERYTHING}&limit=1000&cursor={next}")).await;
    assert_eq!((&empty["items"], &empty["has_next_page"]), (&json!([]), &json!(true)));
    assert_ne!(empty["next_cursor"], past["next_cursor"]);
    rig.control("knobs", json!({"cursors": "offset", "page_end": "null", "page_overlap": 1}));
    let ids = texts(&rig.all("/v2/users?limit=10").await, "id");
    let distinct: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!(distinct.len(), rig.world.employees.len());
    assert!(ids.len() > distinct.len(), "pages overlap");
}

/// Sheet item: Brex 18
#[tokio::test]
async fn a_record_goes_through_its_stages_with_a_new_version_each_and_success_ends_them() {
    let rig = Rig::new().await;
    let record = |list: &[Value]| list[0]["id"].as_str().unwrap().to_owned();
    let id = record(&rig.records(&format!("review_status=PREPARE&{EVERYTHING}")).await);
    let look = async || {
        let record = rig.ok(&format!("/v3/accounting/records/{id}")).await;
        let text = |name: &str| record[name].as_str().unwrap().to_owned();
        (text("review_status"), record["version"].as_u64().unwrap(), text("updated_at"))
    };
    let mut before = look().await;
    assert_eq!(before.0, "PREPARE");
    for (verb, status) in [("review", "REVIEW"), ("ready", "READY_FOR_EXPORT")] {
        rig.control(verb, json!({"id": id}));
        let now = look().await;
        assert_eq!((now.0.as_str(), now.1), (status, before.1 + 1));
        assert!(now.2 > before.2);
        before = now;
    }
    let link = "https://erp.example.test/ap/1";
    let body =
        json!([{"accounting_record_id": id, "success": {"reference_id": "EPIC06|1", "deep_link_url": link}}]);
    let answer = rig.report(body).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"updated_accounting_record_ids": [id]})));
    assert_eq!((look().await.0.as_str(), look().await.1), ("EXPORTED", before.1 + 1));
    let shown = rig.control("record", json!({"id": id}));
    assert_eq!((&shown["reference"], &shown["link"]), (&json!("EPIC06|1"), &json!(link)));

    let second = rig.success(&id, "EPIC06|1").await;
    assert_eq!(
        (second.status, &second.json()["error_code"]),
        (422, &json!("ACCOUNTING_RECORD_NOT_READY_FOR_EXPORT"))
    );
    assert_eq!(second.json()["details"], json!({"not_ready_for_export_accounting_record_ids": [id]}));
    rig.no_misuse();
    assert_eq!(rig.success(&id, "EPIC06|other").await.status, 422);
    assert_eq!(rig.run.misuse(), [format!("record {id} is exported and was reported otherwise")]);
}

/// Sheet item: Brex 18
#[tokio::test]
async fn a_reported_failure_takes_the_record_out_of_the_ready_ones_and_shows_its_words() {
    let rig = Rig::new().await;
    let ids = rig.ready_ids().await;
    let failure =
        |id: &str| json!([{"accounting_record_id": id, "failure": {"error_message": "account closed"}}]);
    assert_eq!(rig.report(failure(&ids[0])).await.status, 200);
    let shown = rig.control("record", json!({"id": ids[0]}));
    assert_eq!((&shown["review_status"], &shown["failure"]), (&json!("REVIEW"), &json!("account closed")));
    assert_eq!(rig.success(&ids[0], "X").await.status, 422, "a later success is refused");
    assert!(!rig.ready_ids().await.contains(&ids[0]));
    rig.control("knobs", json!({"failure_status": "PREPARE"}));
    assert_eq!(rig.report(failure(&ids[1])).await.status, 200);
    assert_eq!(rig.control("record", json!({"id": ids[1]}))["review_status"], "PREPARE");
}

/// Sheet item: Brex 18
#[tokio::test]
async fn a_batch_is_taken_whole_or_not_at_all() {
    let rig = Rig::new().await;
    let ids = rig.ready_ids().await;
    let success = |id: &str| json!({"accounting_record_id": id, "success": {}});
    let twice = rig.report(json!([success(&ids[0]), success(&ids[1]), success(&ids[0])])).await;
    assert_eq!((twice.status, &twice.json()["error_code"]), (422, &json!("DUPLICATE_ACCOUNTING_RECORD_IDS")));
    assert_eq!(twice.json()["details"], json!({"duplicate_accounting_record_ids": [ids[0]]}));
    let unknown = rig.report(json!([success(&ids[0]), success("accr_x")])).await;
    assert_eq!((unknown.status, &unknown.json()["error_code"]), (404, &json!("NOT_FOUND")));
    assert_eq!(unknown.json()["details"], json!({"not_found_export_entry_source_ids": ["accr_x"]}));
    assert_eq!(unknown.json()["message"], "Accounting record source IDs not found: accr_x");
    rig.control("export", json!({"id": ids[1], "reference": "BY-SOMEBODY-ELSE"}));
    assert_eq!(rig.report(json!([success(&ids[0]), success(&ids[1])])).await.status, 422);
    assert!(rig.ready_ids().await.contains(&ids[0]), "nothing of a refused batch is done");
    assert_eq!(rig.report(json!([success(&ids[0])])).await.status, 200);
    rig.no_misuse();
    for bad in [
        json!([]),
        json!([{"accounting_record_id": ids[2]}]),
        json!([{"accounting_record_id": ids[2], "failure": {}}]),
        json!([{"accounting_record_id": ids[2], "success": {"deep_link_url": null}}]),
    ] {
        let refused = rig.report(bad).await;
        assert_eq!((refused.status, &refused.json()["error_code"]), (400, &json!("INVALID_REQUEST")));
    }
}

/// Sheet item: Brex 24
#[tokio::test]
async fn lines_balance_and_show_splits_refunds_and_foreign_currency() {
    let rig = Rig::new().await;
    let records = rig.records(EVERYTHING).await;
    let amount = |value: &Value| minor(&value["amount"]["amount"].to_string());
    for record in &records {
        let lines = record["line_items"].as_array().unwrap();
        let side = |wanted: &str| lines.iter().filter(|line| line["type"] == wanted).map(amount).sum::<i64>();
        assert_eq!(side("DEBIT"), side("CREDIT"), "{record}");
        assert!(lines.iter().all(|line| amount(line) > 0));
        let coded = |line: &&Value| !line["accounting_field_values"].as_array().unwrap().is_empty();
        let spend = if record["type"] == "CARD_EXPENSE_REFUND" { "CREDIT" } else { "DEBIT" };
        if ["CARD_EXPENSE_POST", "CARD_EXPENSE_REFUND"].contains(&record["type"].as_str().unwrap()) {
            assert!(lines.iter().filter(coded).all(|line| line["type"] == spend), "{record}");
        }
    }
    let any = |fits: &dyn Fn(&Value) -> bool| records.iter().any(fits);
    assert!(
        any(&|r| r["line_items"].as_array().unwrap().iter().filter(|l| l["type"] == "DEBIT").count() > 1)
    );
    assert!(any(&|r| r["type"] == "CARD_EXPENSE_REFUND"));
    assert!(any(&|r| r["original_amount"]["currency"] == "JPY" && r["amount"]["currency"] == "USD"));
    assert!(
        any(&|r| r["vendor"].is_null()) && any(&|r| r["user"].is_null()) && any(&|r| r["memo"].is_null())
    );
    assert!(any(&|r| r["receipts"] == json!([])));
    assert!(any(&|r| r["vendor"]["name"].as_str().is_some_and(|name| name.ends_with(' '))));
    assert!(any(&|r| r["user"]["first_name"].as_str().is_some_and(|name| name.ends_with(' '))));
    let refund = records.iter().find(|r| r["type"] == "CARD_EXPENSE_REFUND").unwrap()["id"].as_str().unwrap();
    rig.control("knobs", json!({"negative_refunds": true}));
    assert!(amount(&rig.ok(&format!("/v3/accounting/records/{refund}")).await) < 0);
}

/// Decimal text of at most two decimals in cents.
fn minor(text: &str) -> i64 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{part:0<2}").parse().unwrap()
}

/// Sheet item: Brex 24
#[tokio::test]
async fn values_made_by_hand_have_no_key_and_members_that_nobody_documents_are_there() {
    let rig = Rig::new().await;
    let records = rig.records(EVERYTHING).await;
    let values: Vec<&Value> = records
        .iter()
        .flat_map(|record| record["line_items"].as_array().unwrap())
        .flat_map(|line| line["accounting_field_values"].as_array().unwrap())
        .collect();
    let by_hand = values.iter().find(|value| value["remote_field_value_id"].is_null()).unwrap();
    assert!(by_hand["field_value_name"].as_str().unwrap().contains("(typed in)"));
    assert!(values.iter().any(|value| value["remote_field_id"] == "GL_ACCOUNT" && value["remote_field_value_id"] == "6500"));
    for (name, value) in [("status", json!("SUBMITTED")), ("billing_amount", records[0]["amount"].clone())] {
        assert_eq!(records[0][name], value);
    }
    assert!(records[0]["line_items"][0].get("amortization").is_some());
    rig.control("knobs", json!({"extra_fields": false, "trailing_blanks": false}));
    let plain = rig.records(EVERYTHING).await;
    assert!(plain[0].get("status").is_none() && plain[0]["line_items"][0].get("amortization").is_none());
}

/// Sheet item: Brex 24
#[tokio::test]
async fn amounts_are_major_units_digit_by_digit_in_every_form_and_currency() {
    let rig = Rig::of(&SpendOptions { count: 60, mixed_currencies: true }, |_| {}).await;
    let state = rig.run.state();
    for record in rig.records(EVERYTHING).await {
        let told = state["records"].as_array().unwrap().iter().find(|r| r["id"] == record["id"]).unwrap();
        let text = record["amount"]["amount"].to_string();
        let places = if record["amount"]["currency"] == "JPY" { 0 } else { 2 };
        assert!(places == 2 || !text.contains('.'), "{text}");
        let counted = if places == 0 { text.parse().unwrap() } else { minor(&text) };
        assert_eq!(counted, told["total"].as_i64().unwrap().abs(), "{text}");
    }
    rig.control("knobs", json!({"numbers": "exponent"}));
    let text = rig.get(&format!("/v3/accounting/records?{EVERYTHING}")).await.text;
    assert!(text.contains("e-2,\"currency\":\"USD\""), "{text}");
}

/// Sheet item: Brex 25
#[tokio::test]
async fn receipts_have_addresses_that_expire_and_refuse_another_credential() {
    let rig = Rig::new().await;
    let record = rig.ready().await.into_iter().find(|r| r["receipts"] != json!([])).unwrap();
    let address = |record: &Value| record["receipts"][0]["download_uris"][0].as_str().unwrap().to_owned();
    let old = address(&record);
    let file = rig.get(&old).await;
    assert_eq!((file.status, &file.headers["content-type"]), (200, &"image/png".parse().unwrap()));
    assert_eq!(rig.get(&old.replace("sig=", "sig=0")).await.status, 403);
    rig.no_misuse();
    let bearer = format!("Bearer {}", rig.token);
    assert_eq!(rig.send("GET", &old, None, &[("authorization", &bearer)]).await.status, 400);
    assert_eq!(rig.run.misuse(), ["a receipt was fetched with an `Authorization` header"]);
    rig.run.advance_clock(TimeDelta::minutes(15));
    let late = rig.get(&old).await;
    assert!(late.status == 403 && late.text.contains("<Code>AccessDenied</Code>"), "{}", late.text);
    let fresh = rig.ok(&format!("/v3/accounting/records/{}", record["id"].as_str().unwrap())).await;
    assert_eq!(rig.get(&address(&fresh)).await.status, 200);
}

/// Sheet item: Brex 16
#[tokio::test]
async fn one_integration_is_active_at_a_time() {
    let rig = Rig::new().await;
    let path = "/v3/accounting/integration";
    let wish = |vendor: &str, account: &str| json!({"vendor": vendor, "vendor_account_id": account});
    let made = rig.post(path, wish("ERP_A", "EPIC06")).await.json();
    assert_eq!((&made["id"], &made["status"]), (&made["integration_id"], &json!("ACTIVE")));
    assert_eq!(rig.post(path, wish("ERP_A", "EPIC06")).await.json(), made);
    let other = rig.post(path, wish("ERP_B", "X")).await;
    assert_eq!((other.status, &other.json()["error_code"]), (409, &json!("ACTIVE_INTEGRATION_EXISTS")));
    assert_eq!(other.json()["details"]["existing_vendor"], "ERP_A");
    let mismatch = rig.post(path, wish("ERP_A", "EPIC07")).await;
    assert_eq!(
        (mismatch.status, &mismatch.json()["error_code"]),
        (409, &json!("VENDOR_ACCOUNT_ID_MISMATCH"))
    );
    let of = |end: &str| format!("{path}/{}/{end}", made["id"].as_str().unwrap());
    let bare = async |path: &str| rig.send("POST", path, None, &[]).await;
    assert_eq!(bare(&of("disconnect")).await.json()["status"], "DISABLED");
    let again = bare(&of("disconnect")).await;
    assert_eq!((again.status, &again.json()["details"]["current_status"]), (409, &json!("DISABLED")));
    assert_eq!(rig.post(path, wish("ERP_B", "X")).await.status, 200);
    assert_eq!(bare(&of("reactivate")).await.status, 409);
    assert_eq!(bare(&format!("{path}/int_none/disconnect")).await.status, 404);
    rig.control("knobs", json!({"user_token_integration": false}));
    assert_eq!(rig.post(path, wish("ERP_B", "X")).await.status, 403);
}

#[tokio::test]
async fn bills_are_read_only_and_their_status_is_no_filter() {
    let rig = Rig::new().await;
    let bills = rig.records(&format!("source_type=BILL&{EVERYTHING}")).await;
    assert!(bills.iter().all(|bill| bill["invoice_number"].is_string() && bill["due_at"].is_string()));
    assert!(!bills.is_empty() && !rig.ready().await.iter().any(|record| record["source_type"] == "BILL"));
    let id = bills[0]["id"].as_str().unwrap();
    assert_eq!(rig.success(id, "X").await.status, 422);
    rig.control("knobs", json!({"bills_exportable": true}));
    assert_eq!(rig.success(id, "X").await.status, 200);
    let both = rig.get("/v3/accounting/records?source_type=BILL&review_status=EXPORTED").await;
    assert_eq!(both.status, 400);
}

#[tokio::test]
async fn edits_bring_a_new_version_and_can_break_what_must_hold() {
    let rig = Rig::new().await;
    let id = rig.ready_ids().await.remove(0);
    let before = rig.ok(&format!("/v3/accounting/records/{id}")).await;
    rig.control(
        "edit",
        json!({"id": id, "amount": 12_345, "account": "6300", "project": "P-100", "merchant": null}),
    );
    let after = rig.ok(&format!("/v3/accounting/records/{id}")).await;
    assert_eq!(after["version"].as_u64(), before["version"].as_u64().map(|version| version + 1));
    assert!(after["vendor"].is_null());
    assert_eq!(rig.control("record", json!({"id": id}))["lines"][0]["codes"]["GL_ACCOUNT"], "6300");
    rig.control("edit", json!({"id": id, "credit_amount": 1, "account": null, "type": "SOMETHING_NEW"}));
    let broken = rig.ok(&format!("/v3/accounting/records/{id}")).await;
    assert_eq!(broken["type"], "SOMETHING_NEW");
    assert_eq!(
        broken["line_items"].as_array().unwrap().last().unwrap()["amount"]["amount"].to_string(),
        "0.01"
    );
    assert!(rig.run.control("dance", &json!({})).unwrap_err().contains("announce"));
    rig.run.reset().unwrap();
    assert_eq!(rig.ok(&format!("/v3/accounting/records/{id}")).await["version"], before["version"]);
}
