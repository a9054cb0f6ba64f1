//! Lists, single records, filters, shapes and the vendor's failures to read.

use super::*;

fn ids(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["VendorID"]["value"].as_str().unwrap()).collect()
}

/// Sheet item: Acumatica 8
#[tokio::test]
async fn values_are_wrapped_empties_are_empty_objects_and_system_members_are_bare() {
    let rig = Rig::new().await;
    let vendor = rig.list("Vendor?$filter=VendorID eq 'AIRNORTH'").await.remove(0);
    assert_eq!(vendor["VendorName"], json!({ "value": "Air North Ltd." }));
    assert_eq!(vendor["CashAccount"], json!({}));
    assert_eq!((&vendor["rowNumber"], &vendor["note"]), (&json!(1), &json!({ "value": "" })));
    assert_eq!(vendor["custom"], json!({}));
    let id = vendor["id"].as_str().unwrap();
    let own = format!("/AcumaticaERP/entity/Default/24.200.001/Vendor/{id}");
    assert_eq!(vendor["_links"]["self"], own);
    assert_eq!(vendor.get("MainContact"), None);
    let wide = rig.get(&format!("Vendor/{id}?$expand=MainContact/Address")).await.1;
    assert_eq!(wide["MainContact"]["Address"]["Country"], json!({ "value": "US" }));
    let raw = json!({ "VendorID": { "value": "NEW1" }, "VendorName": "raw" });
    let (status, body) = rig.put("Vendor", &raw).await;
    assert_eq!((status, body["modelState"]["entity.VendorName"].is_array()), (400, true));
    let wrapped = json!({ "VendorID": { "value": "NEW1" }, "VendorName": { "value": "New" },
        "Fancy": { "value": 3 }, "custom": { "Vendor": { "UsrX": { "type": "CustomStringField", "value": "x" } } } });
    assert_eq!(rig.put("Vendor", &wrapped).await.0, 200);
    let found = rig.list("Vendor?$filter=cf.String(f='Vendor.UsrX') eq 'x'&$custom=Vendor.UsrX").await;
    assert_eq!(found[0]["custom"]["Vendor"]["UsrX"]["value"], "x");
    assert_eq!(found[0].get("Fancy"), None);
}

/// Sheet item: Acumatica 11
#[tokio::test]
async fn a_missing_record_is_an_error_by_key_and_an_empty_list_by_filter() {
    let rig = Rig::new().await;
    for path in ["Vendor/NOBODY", "Bill/Bill/000999", "Vendor/00000000-0000-0000-0000-000000000000"] {
        let (status, body) = rig.get(path).await;
        assert_eq!(status, 500, "{path}");
        assert_eq!(body["exceptionType"], "PX.Api.ContractBased.NoEntitySatisfiesTheConditionException");
    }
    assert!(rig.list("Vendor?$filter=VendorID eq 'NOBODY'").await.is_empty());
    assert_eq!(rig.get("Vendor/AIRNORTH").await.1["VendorName"]["value"], "Air North Ltd.");
}

/// Sheet item: Acumatica 18
#[tokio::test]
async fn lists_have_no_order_no_total_and_no_limit_of_their_own() {
    let rig = Rig::new().await;
    let all = rig.list("Vendor?$select=VendorID").await;
    assert_eq!(all.len(), 20 + 29);
    assert_eq!(all[0].as_object().unwrap().len(), 6, "{}", all[0]);
    let page = rig.list("Vendor?$select=VendorID&$top=5&$skip=5").await;
    assert_eq!(ids(&page), ids(&all)[5..10]);
    assert!(rig.misuse().is_empty());
    assert_eq!(ids(&rig.list("Vendor?$orderby=VendorID desc&$select=VendorID").await), ids(&all));
    assert_eq!(rig.misuse().len(), 1);
    // Somebody changes a row of the first page: the rows behind it move up, and one of them is missed.
    rig.knobs(json!({ "unstable_order": true }));
    let first = rig.list("Vendor?$select=VendorID&$top=5").await;
    rig.run.control("touch-vendor", &json!({ "id": ids(&first)[0] })).unwrap();
    let second = rig.list("Vendor?$select=VendorID&$top=5&$skip=5").await;
    assert_eq!(ids(&second), ids(&all)[6..11]);
}

/// Sheet item: Acumatica 19
#[tokio::test]
async fn filters_need_typed_literals_and_find_nothing_across_views() {
    let rig = Rig::new().await;
    rig.run.advance_clock(minutes(10));
    let change = json!({ "id": "AIRNORTH", "set": { "VendorName": "Air South" } });
    rig.run.control("edit-vendor", &change).unwrap();
    let since = |literal: &str| format!("Vendor?$select=VendorID&$filter=LastModifiedDateTime gt {literal}");
    let noon = "datetimeoffset'2026-03-15T12:05:00.000%2B00:00'";
    assert_eq!(ids(&rig.list(&since(noon)).await), ["AIRNORTH"]);
    assert_eq!(ids(&rig.list(&since("datetimeoffset'2026-03-15T05:05:00.000-07:00'")).await), ["AIRNORTH"]);
    for bad in ["'2026-03-15T12:05:00'", "2026-03-15T12:05:00", "datetimeoffset'2026-03-15T12:05:00+00:00'"] {
        assert_eq!(rig.get(&since(bad)).await.0, 400, "{bad}");
    }
    rig.knobs(json!({ "bad_literal_status": 500 }));
    assert_eq!(rig.get(&since("'2026-03-15T12:05:00'")).await.0, 500);
    assert_eq!(rig.get("Account?$filter=Active eq 'true'").await.0, 500);
    let here = &rig;
    let count =
        |filter: &'static str| async move { here.list(&format!("Vendor?$filter={filter}")).await.len() };
    assert_eq!(count("substringof('North',VendorName) or endswith(VendorName,'GmbH')").await, 2);
    assert_eq!(count("startswith(VendorID,'EMP') and Status ne 'Active'").await, 2);
    assert_eq!(count("VendorName eq 'Machines O''Neil'").await, 1);
    assert_eq!(count("MainContact/Email eq 'nobody@example.test'").await, 0);
    assert_eq!(count("F1099Vendor eq false and not (VendorClass eq 'EMPLOYEE')").await, 20);
    rig.knobs(json!({ "foreign_view": ["VendorClass"] }));
    assert_eq!(count("VendorClass eq 'EMPLOYEE'").await, 29);
    assert_eq!(count("VendorClass eq 'EMPLOYEE' and VendorID eq 'EMP1001'").await, 0);
    let wrong = rig.misuse().len();
    rig.bill(&sound_bill(json!({}))).await;
    rig.bill(&sound_bill(json!({}))).await;
    let nonsense = rig.list("Bill?$filter=Details/Account eq '9999'").await;
    assert_eq!(nonsense.len(), 1);
    assert_eq!(rig.misuse().len(), wrong + 1);
}

#[tokio::test]
async fn a_record_is_found_by_its_identifier_and_newer_contracts_know_days() {
    let knobs = AcumaticaKnobs { versions: vec!["25.200.001".to_owned()], ..AcumaticaKnobs::default() };
    let rig = Rig::with(knobs).await;
    let at = |rest: &str| {
        let url = rig.root(&format!("entity/Default/25.200.001/{rest}"));
        taken(rig.http.get(url).bearer_auth(&rig.token))
    };
    let id = at("Vendor?$top=1").await.1[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(at(&format!("Vendor?$filter=id eq guid'{id}'")).await.1.as_array().unwrap().len(), 1);
    assert_eq!(at("Bill?$filter=Date ge date'2026-03-01'").await, (200, json!([])));
}

/// Sheet item: Acumatica 20
#[tokio::test]
async fn lists_can_fail_for_a_field_for_missing_setup_and_for_a_feature_that_is_off() {
    let rig = Rig::new().await;
    rig.knobs(json!({ "unexportable": ["Vendor/Terms"] }));
    let (status, body) = rig.get("Vendor?$top=1").await;
    let text = body["exceptionMessage"].as_str().unwrap();
    assert!(status == 500 && text.contains("Optimization cannot be performed"), "{body}");
    assert!(text.contains("has BQL delegate"));
    assert_eq!(rig.get("Vendor?$top=1&$select=VendorID,VendorName").await.0, 200);
    assert_eq!(rig.get("Vendor/AIRNORTH").await.1["Terms"]["value"], "30D");
    rig.knobs(json!({ "not_set_up": ["Project"], "forbidden": ["CostCode"] }));
    let (status, body) = rig.get("Project").await;
    assert_eq!((status, &body["exceptionType"]), (500, &json!("PX.Data.PXSetupNotEnteredException")));
    assert!(body["exceptionMessage"].as_str().unwrap().contains("PM301000"));
    assert_eq!(rig.get("CostCode").await.0, 403);
    rig.knobs(json!({ "internal_errors": 1 }));
    assert_eq!(rig.get("Vendor?$top=1").await.0, 500);
    assert_eq!(rig.get("Vendor/AIRNORTH").await.0, 200);
}

/// Sheet item: Acumatica 21
#[tokio::test]
async fn subaccounts_have_no_date_of_change() {
    let rig = Rig::new().await;
    let rows = rig.list("Subaccount").await;
    assert!(rows.iter().all(|row| row.get("LastModifiedDateTime").is_none()));
    let filter = "LastModifiedDateTime gt datetimeoffset'2026-01-01T00:00:00.000%2B00:00'";
    assert_eq!(rig.get(&format!("Subaccount?$filter={filter}")).await.0, 400);
    let active = rig.list("Subaccount?$filter=Active eq true&$select=SubaccountCD").await;
    assert_eq!(active.len(), 12);
    assert_eq!(active[1]["SubaccountCD"]["value"], "00-200");
}

/// Sheet item: Acumatica 22
#[tokio::test]
async fn dates_carry_the_sites_offset_and_periods_are_month_and_year() {
    let rig = Rig::new().await;
    rig.knobs(json!({ "utc_offset_minutes": -240 }));
    let body = sound_bill(json!({ "Date": "2026-03-10T00:00:00" }));
    let bill = rig.put("Bill?$select=Date,PostPeriod,LastModifiedDateTime", &body).await.1;
    assert_eq!(bill["Date"]["value"], "2026-03-10T00:00:00-04:00");
    assert_eq!(bill["PostPeriod"]["value"], "032026");
    assert_eq!(bill["LastModifiedDateTime"]["value"], "2026-03-15T08:00:00.000-04:00");
    // Midnight in Greenwich is still yesterday there.
    let bill = rig.put("Bill", &sound_bill(json!({ "Date": "2026-03-01T00:00:00+00:00" }))).await.1;
    assert_eq!(bill["Date"]["value"], "2026-02-28T00:00:00-04:00");
    for spelled in ["03/10/2026", "2026-03-10", "2026-03-10T09:30:00-04:00"] {
        let bill = rig.put("Bill", &sound_bill(json!({ "Date": spelled, "PostPeriod": "03-2026" }))).await.1;
        assert_eq!(bill["Date"]["value"], "2026-03-10T00:00:00-04:00");
        assert_eq!(bill["PostPeriod"]["value"], "032026");
    }
    rig.knobs(json!({ "utc_offset_minutes": 0 }));
    let vendor = rig.get("Vendor/AIRNORTH?$select=LastModifiedDateTime").await.1;
    assert!(vendor["LastModifiedDateTime"]["value"].as_str().unwrap().ends_with("+00:00"));
}

#[tokio::test]
async fn reference_data_is_the_worlds() {
    let rig = Rig::new().await;
    let account = rig.get("Account/6950").await.1;
    assert_eq!((&account["Active"]["value"], &account["Type"]["value"]), (&json!(false), &json!("Expense")));
    assert_eq!(rig.get("Account/6100").await.1["Description"]["value"], "Airfare");
    let employee = rig.get("Employee/E1002?$expand=ContactInfo,EmployeeSettings,FinancialSettings").await.1;
    let vendor = rig.get("Vendor/EMP1002?$expand=MainContact").await.1;
    assert_eq!(employee["ContactInfo"]["Email"], vendor["MainContact"]["Email"]);
    assert_eq!(employee["EmployeeSettings"]["ReportsTo"]["value"], "E1001");
    assert_eq!(rig.get("Project/P-190").await.1["Status"]["value"], "Completed");
    assert_eq!(rig.list("ProjectTask?$filter=ProjectID eq 'P-100'").await.len(), 2);
    assert_eq!(rig.get("ProjectTask/P-100/GENERAL").await.1["Default"]["value"], true);
    assert_eq!(rig.list("CostCode").await.len(), 3);
    let ledger = rig.get("Ledger/ACTUAL?$expand=Branches").await.1;
    assert_eq!(ledger["Branches"][0]["BranchID"]["value"], "HQ");
    let (_, structure) = rig.put("CompaniesStructure?$expand=Results", &json!({})).await;
    assert_eq!(structure["Results"][1]["BranchID"]["value"], "PLANT");
    let years = rig.list("FinancialPeriod?$expand=Details").await;
    assert_eq!(years.len(), 3);
    let month = &years[1]["Details"][2];
    assert_eq!(month["FinancialPeriodID"]["value"], "032026");
    assert_eq!(month["Status"]["value"], "Open");
    assert_eq!(years[0]["Details"][11]["Status"]["value"], "Closed");
    assert_eq!(rig.get("Department").await.0, 404);
    assert_eq!(rig.get("Vendor/$adHocSchema").await.0, 200);
}
