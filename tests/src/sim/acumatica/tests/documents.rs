//! Bills and journals: what a PUT does, answers and refuses.

use super::*;
use crate::faults::{FaultAction, FaultMatch, FaultRule};
use crate::harness::Route;

fn line(amount: &str) -> Value {
    json!({ "Account": "6100", "Subaccount": "10-200", "ExtendedCost": amount })
}

/// Sheet item: Acumatica 9
#[tokio::test]
async fn a_put_answers_what_was_sent_or_selected_and_details_only_when_expanded() {
    let rig = Rig::new().await;
    let (status, plain) = rig.put("Bill", &sound_bill(json!({}))).await;
    assert_eq!(status, 200, "{plain}");
    assert_eq!(plain["VendorRef"]["value"], "EXP-R00123");
    for absent in ["ReferenceNbr", "Status", "Details", "CurrencyID"] {
        assert_eq!(plain.get(absent), None, "{absent}");
    }
    let path = "Bill?$expand=Details&$select=Type,ReferenceNbr,Status,Amount,Details/Account,Details/Amount";
    let bill = rig.put(path, &sound_bill(json!({ "VendorRef": "EXP-2" }))).await.1;
    assert_eq!(bill["ReferenceNbr"]["value"], "000102");
    assert_eq!(bill["Status"]["value"], "Balanced");
    assert_eq!(bill.get("VendorRef"), None);
    let detail = &bill["Details"][0];
    assert_eq!(detail["Amount"]["value"].to_string(), "125.5");
    assert_eq!(detail.get("Subaccount"), None);
    assert!(detail["id"].is_string() && detail["_links"]["files:put"].is_string());
    let read = rig.get("Bill/Bill/000102").await.1;
    assert_eq!((read.get("Details"), &read["Vendor"]["value"]), (None, &json!("EMP1001")));
    rig.knobs(json!({ "padded_decimals": true }));
    assert!(
        rig.call("GET", "Bill/Bill/000102").send().await.unwrap().text().await.unwrap().contains("125.5000")
    );
}

/// Sheet item: Acumatica 10
#[tokio::test]
async fn details_without_an_id_are_appended() {
    let rig = Rig::new().await;
    let bill = rig.bill(&sound_bill(json!({ "Hold": true }))).await;
    let number = bill["ReferenceNbr"]["value"].as_str().unwrap().to_owned();
    let again = wrap(json!({ "Type": "INV", "ReferenceNbr": number, "Details": [line("10.00")] }));
    let (status, changed) = rig.put("Bill?$expand=Details&$select=Details/Amount", &again).await;
    assert_eq!(status, 200, "{changed}");
    let rows = changed["Details"].as_array().unwrap().clone();
    assert_eq!(rows.len(), 2);
    let id = rows[1]["id"].clone();
    let by_id = json!({ "id": bill["id"], "Details": [{ "id": id, "ExtendedCost": { "value": 20 } }] });
    let rows = rig.put("Bill?$expand=Details&$select=Details/Amount", &by_id).await.1["Details"].clone();
    assert_eq!(
        (rows.as_array().unwrap().len(), rows[1]["Amount"]["value"].to_string()),
        (2, "20.0".to_owned())
    );
    let gone = json!({ "id": bill["id"], "Details": [{ "id": id, "delete": true }] });
    assert_eq!(rig.put("Bill", &gone).await.0, 200);
    assert_eq!(rig.documents()[0]["lines"].as_array().unwrap().len(), 1);
    let strange = json!({ "id": bill["id"], "Details": [{ "id": id, "Account": { "value": "6100" } }] });
    assert_eq!(rig.put("Bill", &strange).await.0, 422);
    assert_eq!(rig.put("Bill", &json!({ "id": "00000000-0000-0000-0000-000000000000" })).await.0, 500);
    let found = format!("Bill?$filter=ReferenceNbr eq '{number}'");
    assert_eq!(rig.put(&found, &wrap(json!({ "Description": "found" }))).await.0, 200);
    assert_eq!(rig.documents()[0]["description"], "found");
}

/// Sheet item: Acumatica 12
#[tokio::test]
async fn preconditions_are_for_inserting_and_for_updating_only() {
    let rig = Rig::new().await;
    let vendor = |code: &str| wrap(json!({ "VendorID": code, "VendorName": "Name" }));
    let with = |header: &'static str, code: &'static str| {
        taken(rig.json("PUT", "Vendor", &vendor(code)).header(header, "*"))
    };
    assert_eq!(with("if-none-match", "AIRNORTH").await.0, 412);
    assert_eq!(with("if-match", "NEWONE").await.0, 412);
    assert_eq!(with("if-none-match", "NEWONE").await.0, 200);
    assert_eq!(with("if-match", "NEWONE").await.0, 200);
    // A bill has no key of its own before it is saved, so it is no guard against a second one.
    for _ in 0..2 {
        let call = rig.json("PUT", "Bill", &sound_bill(json!({}))).header("if-none-match", "*");
        assert_eq!(taken(call).await.0, 200);
    }
    assert_eq!(rig.run.state()["summary"]["duplicates_by_reference"]["EXP-R00123"], 2);
}

/// Sheet item: Acumatica 13
#[tokio::test]
async fn refusals_echo_the_record_with_errors_at_every_level() {
    let rig = Rig::new().await;
    let details = json!([line("1.00"), { "Account": "9999", "Subaccount": "77-777", "ExtendedCost": 1,
        "Project": "PX99" }]);
    let bad = sound_bill(json!({ "Vendor": "NOBODY", "Details": details }));
    let (status, tree) = rig.put("Bill", &bad).await;
    assert_eq!(status, 422);
    let headline = "Inserting 'AP Invoice' record raised at least one error. Please review the errors.";
    assert_eq!(tree["error"], headline);
    assert_eq!(tree["ReferenceNbr"]["value"], "<NEW>");
    assert_eq!(
        tree["Vendor"],
        json!({ "value": "NOBODY", "error": "Vendor 'NOBODY    ' cannot be found in the system." })
    );
    assert_eq!(tree["Details"][0]["Account"].get("error"), None);
    let second = &tree["Details"][1];
    assert_eq!(second["Account"]["error"], "Account '9999      ' cannot be found in the system.");
    assert!(second["Subaccount"]["error"].is_string() && second["Project"]["error"].is_string());
    let vendor = wrap(json!({ "VendorID": "V1", "VendorName": "V",
        "MainContact": { "Email": "nowhere", "Address": { "Country": "Nowhere" } } }));
    let (status, tree) = rig.put("Vendor", &vendor).await;
    assert_eq!(status, 422);
    assert!(tree["MainContact"]["Email"]["error"].is_string(), "{tree}");
    assert!(tree["MainContact"]["Address"]["Country"]["error"].is_string(), "{tree}");
    assert!(rig.documents().is_empty() && rig.misuse().is_empty());
}

/// The error at a field of a refused bill.
async fn refusal(rig: &Rig, changes: Value, path: &str) -> String {
    let (status, tree) = rig.put("Bill", &sound_bill(changes)).await;
    assert_eq!(status, 422, "{tree}");
    tree.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("{path} in {tree}")).to_owned()
}

/// Sheet item: Acumatica 15
#[tokio::test]
async fn closed_periods_inactive_accounts_unknown_codes_and_wrong_totals_are_refused() {
    let rig = Rig::new().await;
    assert!(
        refusal(&rig, json!({ "Amount": "125.49" }), "/Amount/error").await.contains("out of the balance")
    );
    let old = json!({ "Date": "2025-12-31T00:00:00" });
    assert!(refusal(&rig, old, "/PostPeriod/error").await.contains("12-2025 financial period is closed"));
    let far = json!({ "PostPeriod": "012031" });
    assert!(refusal(&rig, far, "/PostPeriod/error").await.contains("does not exist"));
    rig.run.control("close-period", &json!({ "year": 2026, "period": 3, "payables": true })).unwrap();
    assert!(refusal(&rig, json!({}), "/PostPeriod/error").await.contains("closed in Accounts Payable"));
    rig.journal(&sound_journal(json!({}))).await;
    rig.run.control("open-period", &json!({ "year": 2026, "period": 3 })).unwrap();
    let with = |field: &str, value: &str| {
        let mut line = line("125.50");
        line[field] = json!(value);
        json!({ "Details": [line] })
    };
    let at = |field: &str| format!("/Details/0/{field}/error");
    assert!(refusal(&rig, with("Account", "6950"), &at("Account")).await.contains("is inactive"));
    assert!(refusal(&rig, with("Subaccount", "90-100"), &at("Subaccount")).await.contains("is inactive"));
    assert!(refusal(&rig, with("Subaccount", "11-111"), &at("Subaccount")).await.contains("cannot be found"));
    assert!(refusal(&rig, with("Branch", "MOON"), &at("Branch")).await.contains("cannot be found"));
    assert!(refusal(&rig, with("Project", "P-190"), &at("Project")).await.contains("is not active"));
    assert!(refusal(&rig, with("CostCode", "9"), &at("CostCode")).await.contains("cannot be found"));
    let mut done = line("125.50");
    (done["Project"], done["ProjectTask"]) = (json!("P-100"), json!("DESIGN"));
    assert!(refusal(&rig, json!({ "Details": [done] }), &at("ProjectTask")).await.contains("is not active"));
    for vendor in ["EMP1029", ""] {
        refusal(&rig, json!({ "Vendor": vendor }), "/Vendor/error").await;
    }
    refusal(&rig, json!({ "CurrencyID": "XXX" }), "/CurrencyID/error").await;
    refusal(&rig, json!({ "Terms": "99D" }), "/Terms/error").await;
    refusal(&rig, json!({ "Type": "Receipt" }), "/Type/error").await;
    rig.knobs(json!({ "require_branch": true, "require_vendor_ref": true }));
    assert!(refusal(&rig, json!({ "BranchID": null }), "/BranchID/error").await.contains("cannot be empty"));
    refusal(&rig, json!({ "VendorRef": null }), "/VendorRef/error").await;
    let call = rig.json("PUT", "Bill?$select=BranchID", &sound_bill(json!({ "BranchID": null })));
    assert_eq!(taken(call.header("px-cbapibranch", "PLANT")).await.1["BranchID"]["value"], "PLANT");
}

/// Sheet item: Acumatica 15
#[tokio::test]
async fn the_sites_preferences_decide_the_status() {
    let rig = Rig::new().await;
    let status = |bill: &Value| bill["Status"]["value"].as_str().unwrap().to_owned();
    let as_the_site_likes = || {
        let mut bill = sound_bill(json!({}));
        bill.as_object_mut().unwrap().remove("Hold");
        bill
    };
    assert_eq!(status(&rig.bill(&as_the_site_likes()).await), "On Hold");
    rig.knobs(json!({ "hold_on_entry": false }));
    assert_eq!(status(&rig.bill(&as_the_site_likes()).await), "Balanced");
    // On hold the totals may differ; without the check they are worked out.
    assert_eq!(status(&rig.bill(&sound_bill(json!({ "Hold": true, "Amount": 1 }))).await), "On Hold");
    rig.knobs(json!({ "validate_totals": false }));
    assert_eq!(rig.bill(&sound_bill(json!({ "Amount": 1 }))).await["Amount"]["value"].to_string(), "125.5");
    rig.knobs(json!({ "approval_map": true, "validate_totals": true }));
    let held = rig.bill(&sound_bill(json!({ "VendorRef": "EXP-9" }))).await;
    assert_eq!(status(&held), "On Hold");
    let free = json!({ "id": held["id"], "Hold": { "value": false } });
    assert_eq!(status(&rig.bill(&free).await), "Pending Approval");
    rig.run.control("action", &json!({ "reference": "EXP-9", "action": "Approve" })).unwrap();
    assert_eq!(rig.documents().last().unwrap()["status"], "Balanced");
    rig.knobs(json!({ "employees_as_payees": true }));
    assert_eq!(status(&rig.bill(&sound_bill(json!({ "Vendor": "E1001" }))).await), "On Hold");
}

/// Sheet item: Acumatica 16
#[tokio::test]
async fn a_second_bill_with_a_reference_is_allowed_or_refused_in_two_ways() {
    let rig = Rig::new().await;
    rig.bill(&sound_bill(json!({}))).await;
    rig.bill(&sound_bill(json!({}))).await;
    rig.knobs(json!({ "duplicates": "error-422" }));
    let text = refusal(&rig, json!({}), "/VendorRef/error").await;
    assert!(text.contains("EXP-R00123") && text.contains("000101"), "{text}");
    rig.bill(&sound_bill(json!({ "Vendor": "EMP1002" }))).await;
    rig.bill(&sound_bill(json!({ "VendorRef": "exp-r00123" }))).await;
    rig.knobs(json!({ "case_insensitive": true }));
    refusal(&rig, json!({ "VendorRef": "Exp-R00123" }), "/VendorRef/error").await;
    rig.knobs(json!({ "duplicates": "error-500" }));
    let (status, body) = rig.put("Bill", &sound_bill(json!({}))).await;
    assert_eq!((status, &body["exceptionType"]), (500, &json!("PX.Data.PXException")));
    let found = rig.list("Bill?$filter=VendorRef eq 'EXP-R00123'&$select=Type,Vendor,Amount").await;
    assert_eq!(found.len(), 4);
}

/// Sheet item: Acumatica 24
#[tokio::test]
async fn a_put_can_be_saved_without_an_answer_and_a_refused_one_takes_a_number() {
    let rig = Rig::new().await;
    rig.run.faults([FaultRule::once(FaultMatch::path("/Bill").method("PUT"), FaultAction::CutAfterCommit)]);
    assert!(rig.json("PUT", "Bill", &sound_bill(json!({}))).send().await.is_err());
    assert_eq!(rig.documents().len(), 1);
    let late = FaultAction::LateCommit { after_seconds: 90, hang: false };
    rig.run.faults([FaultRule::once(FaultMatch::path("/Bill").method("PUT"), late)]);
    assert!(rig.json("PUT", "Bill", &sound_bill(json!({ "VendorRef": "EXP-2" }))).send().await.is_err());
    let found = "Bill?$filter=VendorRef eq 'EXP-2'&$select=ReferenceNbr";
    assert!(rig.list(found).await.is_empty());
    rig.run.advance_clock(TimeDelta::seconds(91));
    while rig.run.pending_commits() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.list(found).await[0]["ReferenceNbr"]["value"], "000102");
    // A slow server: saved at once, answered after the caller has gone.
    rig.knobs(json!({ "put_ms": 60_000 }));
    let slow = tokio::spawn(rig.json("PUT", "Bill", &sound_bill(json!({ "VendorRef": "EXP-3" }))).send());
    while rig.documents().len() < 3 {
        tokio::task::yield_now().await;
    }
    slow.abort();
    rig.knobs(json!({ "put_ms": 0 }));
    rig.put("Bill", &sound_bill(json!({ "Vendor": "NOBODY" }))).await;
    assert_eq!(rig.bill(&sound_bill(json!({}))).await["ReferenceNbr"]["value"], "000105");
    rig.knobs(json!({ "concurrent_updates": 1 }));
    let (status, body) = rig.put("Bill", &sound_bill(json!({}))).await;
    assert_eq!(status, 500);
    assert!(body["exceptionMessage"].as_str().unwrap().contains("Another process has updated"));
}

#[tokio::test]
async fn a_bills_amounts_are_worked_out_from_what_is_sent() {
    let rig = Rig::new().await;
    rig.knobs(json!({ "validate_totals": false }));
    let details = json!([
        { "Account": "6100", "Subaccount": "10-200", "Qty": 3, "UnitCost": "10.10" },
        { "Account": "6100", "Subaccount": "10-200", "Amount": "-5.05" },
        { "Account": "6100", "Subaccount": "10-200", "Qty": 1, "UnitCost": 1, "ExtendedCost": "2.00", "Project": "P-100" },
    ]);
    let bill = rig.bill(&sound_bill(json!({ "Details": details }))).await;
    assert_eq!(bill["Amount"]["value"].to_string(), "27.25");
    let kept = rig.documents().remove(0);
    assert_eq!(
        (&kept["total"], &kept["kind"], &kept["posted"]),
        (&json!("27.25"), &json!("ap-invoice"), &json!(false))
    );
    assert_eq!(kept["lines"][2]["task"], "GENERAL");
    assert_eq!(kept["lines"][0]["account"], "6100|10-200");
    let negative = json!({ "Details": [{ "Account": "6100", "Amount": "-1.00" }] });
    assert!(refusal(&rig, negative, "/Amount/error").await.contains("negative"));
    let debit = sound_bill(json!({ "Type": "ADR", "VendorRef": "EXP-D" }));
    assert_eq!(rig.bill(&debit).await["Type"]["value"], "Debit Adj.");
    assert_eq!(rig.documents()[1]["total"], "-125.50");
}

#[tokio::test]
async fn a_journal_must_balance_unless_it_is_on_hold_and_has_no_natural_key() {
    let rig = Rig::new().await;
    let lopsided = json!({ "Details": [{ "Account": "6100", "Subaccount": "10-200", "DebitAmount": 1 }] });
    let (status, tree) = rig.put("JournalTransaction", &sound_journal(lopsided.clone())).await;
    assert_eq!((status, &tree["error"]), (422, &json!("Batch is out of balance, please review.")));
    let mut held = lopsided;
    held["Hold"] = json!(true);
    assert_eq!(rig.journal(&sound_journal(held)).await["Status"]["value"], "On Hold");
    let first = rig.journal(&sound_journal(json!({}))).await;
    assert_eq!(first["PostPeriod"]["value"], "032026");
    rig.journal(&sound_journal(json!({}))).await;
    let filter = "Module eq 'GL' and substringof('EXP-R00123',Description)";
    assert_eq!(rig.list(&format!("JournalTransaction?$filter={filter}&$select=BatchNbr")).await.len(), 3);
    let kept = rig.documents().remove(1);
    assert_eq!((&kept["reference"], &kept["balanced"]), (&json!("EXP-R00123"), &json!(true)));
    assert_eq!((&kept["lines"][1]["amount"], &kept["lines"][1]["line"]), (&json!("-125.50"), &json!(2)));
    let (status, tree) = rig.put("JournalTransaction", &sound_journal(json!({ "LedgerID": "BUDGET" }))).await;
    assert!(status == 422 && tree["LedgerID"]["error"].is_string(), "{tree}");
}

#[tokio::test]
async fn methods_media_types_and_entities_that_do_not_exist_are_wrong_calls() {
    let rig = Rig::new().await;
    let patch = taken(rig.json("PATCH", "Bill", &sound_bill(json!({})))).await;
    assert_eq!(patch.0, 405);
    let text = rig.call("PUT", "Bill").header("content-type", "text/plain").body("{}");
    assert_eq!(taken(text).await.0, 415);
    assert_eq!(rig.get("Departments").await.0, 404);
    assert_eq!(rig.misuse().len(), 3);
    let bill = rig.bill(&sound_bill(json!({}))).await;
    let path = format!("Bill/Bill/{}", bill["ReferenceNbr"]["value"].as_str().unwrap());
    let file = rig.call("PUT", &format!("{path}/files/receipt.pdf")).body("%PDF");
    assert_eq!(taken(file.header("content-type", "application/octet-stream")).await.0, 204);
    let shown = rig.get(&format!("{path}?$expand=Details")).await.1;
    for link in [&shown["_links"]["files:put"], &shown["Details"][0]["_links"]["files:put"]] {
        let address = link.as_str().unwrap().replace("{filename}", "more.pdf");
        let file = rig.http.put(format!("{}{address}", rig.run.url())).bearer_auth(&rig.token).body("%PDF");
        assert_eq!(taken(file.header("content-type", "application/octet-stream")).await.0, 204, "{address}");
    }
    assert_eq!(rig.get(&format!("{path}?$expand=files")).await.1["files"][0]["filename"], "receipt.pdf");
    assert_eq!(taken(rig.call("DELETE", &path)).await.0, 204);
    assert_eq!(taken(rig.call("DELETE", &path)).await.0, 500);
}

#[tokio::test]
async fn people_in_finance_change_and_delete_documents() {
    let rig = Rig::new().await;
    rig.bill(&sound_bill(json!({}))).await;
    rig.run.control("edit-document", &json!({ "reference": "EXP-R00123", "amount": "100.00" })).unwrap();
    assert_eq!(rig.documents()[0]["total"], "100.00");
    rig.run.control("delete-document", &json!({ "reference": "EXP-R00123" })).unwrap();
    assert!(rig.documents().is_empty());
    assert!(rig.run.control("delete-document", &json!({ "reference": "EXP-R00123" })).is_err());
    assert!(rig.run.control("dance", &Value::Null).unwrap_err().contains("push-destination"));
    rig.run.control("reset", &Value::Null).unwrap();
    assert_eq!(rig.get("Vendor?$top=1").await.0, 401);
}

#[tokio::test]
async fn the_judge_of_the_books_reads_bills_and_journals() {
    let rig = Rig::new().await;
    rig.bill(&sound_bill(json!({ "VendorRef": "EXP-R1-0a1b" }))).await;
    let journal = json!({ "Description": "EXP-R2-0a1b Trip", "Details": [
        { "Account": "6100", "Subaccount": "10-200", "DebitAmount": "125.50" },
        { "Account": "2150", "Subaccount": "00-200", "CreditAmount": "125.50" },
    ] });
    rig.journal(&sound_journal(journal)).await;
    let debit = json!({ "Type": "Debit Adj.", "VendorRef": "EXP-R3-0a1b" });
    rig.bill(&sound_bill(debit)).await;
    let booked =
        crate::invariants::booked_documents(&rig.run.state(), TENANT, Route::ExpensifyEpicor).unwrap();
    let seen: Vec<_> = booked.iter().map(|one| (one.record.as_str(), one.total, one.balanced)).collect();
    assert_eq!(seen, [("R1", 12_550, true), ("R3", -12_550, true), ("R2", 12_550, true)]);
}
