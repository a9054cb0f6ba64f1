//! Look-up, writing and settling against a small Acumatica: every call goes wrong once in every way, and what is left
//! behind is one equal document or nothing.

use super::fake::{Duplicates, Fake, Fault};
use super::*;
use crate::vendors::ErpTarget;
use spend::finding::FindingCode;
use spend::plan::Stage;
use spend::posting::{Failure, FailureClass, LookUp};

fn codes(failure: &Failure) -> Vec<FindingCode> {
    match &failure.class {
        FailureClass::Rejected { findings } => findings.iter().map(|finding| finding.code).collect(),
        other => panic!("not refused for good but {other:?}: {failure}"),
    }
}

/// Looks up and posts as a flow does, until the document is there.
async fn settle(erp: &Acumatica, plan: &PostingPlan) {
    for _ in 0..5 {
        let found = match erp.look_up(plan).await {
            Ok(LookUp::Complete { .. }) => return,
            Ok(found) => found,
            Err(_) => continue,
        };
        let _ = erp.post(&claimed(plan), &found).await;
    }
    panic!("not settled");
}

/// Sheet items: Acumatica 8, Acumatica 9, Acumatica 22
#[tokio::test]
async fn a_bill_is_one_insert_with_wrapped_fields_and_is_found_equal() {
    let fake = Fake::with(|_| ());
    let erp = connect(fake.clone(), json!({}));
    let plan = invoice_plan();
    assert_eq!(erp.look_up(&plan).await, Ok(LookUp::Absent));
    let receipt = erp.post(&claimed(&plan), &LookUp::Absent).await.unwrap();
    assert_eq!((receipt.document.as_str(), receipt.stage), ("bill 000001", Stage::Staged));
    assert_eq!(erp.look_up(&plan).await, Ok(LookUp::Complete { receipt }));
    let bill = fake.state().bills[0].clone();
    let value = |field: &str| bill[field]["value"].clone();
    assert_eq!(value("Type"), "Bill");
    assert_eq!(value("Vendor"), "V000123");
    assert_eq!(value("VendorRef"), plan.reference.to_string());
    assert_eq!(value("Date"), "2026-01-31T00:00:00");
    assert_eq!(value("Terms"), "30D");
    assert_eq!(value("Hold"), true);
    assert_eq!(value("Amount").to_string(), "100.5");
    let line = &bill["Details"][1];
    assert_eq!(line["Account"]["value"], "62000");
    assert_eq!(line["Subaccount"]["value"], "000-HQ");
    assert_eq!(line["Qty"]["value"].to_string(), "-1");
    assert_eq!(line["ExtendedCost"]["value"].to_string(), "-25.0");
    let body = fake.state().bodies.iter().find(|body| body.contains("VendorRef")).cloned().unwrap();
    assert!(body.contains(r#""Amount":{"value":100.50}"#), "digits as they are, no float: {body}");
    let put = fake.state().headers.iter().find(|h| h.iter().any(|(n, _)| n == "If-None-Match")).cloned();
    assert!(put.unwrap().contains(&("If-None-Match".to_owned(), "*".to_owned())));
}

#[tokio::test]
async fn a_negative_total_is_a_debit_adjustment_with_turned_signs() {
    let fake = Fake::with(|_| ());
    let erp = connect(fake.clone(), json!({}));
    let plan = memo_plan();
    settle(&erp, &plan).await;
    let bill = fake.state().bills[0].clone();
    assert_eq!(bill["Type"]["value"], "Debit Adj.");
    assert_eq!(bill["Amount"]["value"].to_string(), "20.0");
    assert_eq!(bill["Details"][0]["ExtendedCost"]["value"].to_string(), "30.0");
    assert_eq!(bill["Details"][1]["ExtendedCost"]["value"].to_string(), "-10.0");
    assert!(bill.get("Terms").is_none(), "a debit adjustment bears no terms");
    let day = plan.date;
    let back = erp.read_back("EXP-", day, day).await.unwrap();
    assert_eq!(back.iter().map(|d| d.total).collect::<Vec<_>>(), [plan.total]);
}

#[tokio::test]
async fn a_journal_bears_the_reference_in_its_description_and_tells_its_spend_total() {
    let fake = Fake::with(|_| ());
    let erp = connect(fake.clone(), json!({ "ledger": "ACTUAL" }));
    let plan = journal_plan();
    settle(&erp, &plan).await;
    let journal = fake.state().journals[0].clone();
    assert_eq!(journal["Description"]["value"], format!("{} January travel", plan.reference));
    assert_eq!(
        (&journal["Module"]["value"], &journal["LedgerID"]["value"]),
        (&json!("GL"), &json!("ACTUAL"))
    );
    assert_eq!(journal["Details"][0]["DebitAmount"]["value"].to_string(), "125.5");
    assert_eq!(journal["Details"][1]["CreditAmount"]["value"].to_string(), "25.0");
    assert_eq!(journal["Details"][2]["TransactionDescription"]["value"], "=3 Travel");
    let back = erp.read_back("EXP-", plan.date, plan.date).await.unwrap();
    assert_eq!(
        back.iter().map(|d| (d.reference.clone(), d.total)).collect::<Vec<_>>(),
        [(plan.reference.to_string(), plan.total)]
    );
}

/// Sheet items: Acumatica 10, Acumatica 24
#[tokio::test(start_paused = true)]
async fn every_call_may_fail_in_every_way_and_one_document_stands_with_its_lines_once() {
    for plan in [invoice_plan(), journal_plan(), memo_plan()] {
        for more in [json!({}), json!({ "lines_per_request": 1, "endpoint": { "version": "24.200.001" } })] {
            for fault in Fault::ALL {
                for nth in 1..16 {
                    let fake = Fake::with(|state| state.fault = Some((nth, fault)));
                    let mut more = more.clone();
                    more["endpoint"] = json!({ "version": "24.200.001" });
                    let erp = connect(fake.clone(), more);
                    let told = format!("{fault:?} at call {nth} of {}", plan.document.kind() as u8);
                    settle(&erp, &plan).await;
                    let state = fake.state();
                    let all: Vec<&Value> = state.bills.iter().chain(&state.journals).collect();
                    assert_eq!(all.len(), 1, "{told}");
                    let lines = all[0]["Details"].as_array().unwrap().len();
                    assert_eq!(lines, plan.document.amounts().len(), "{told}");
                    if state.calls.len() < nth {
                        break;
                    }
                }
            }
        }
    }
}

/// Sheet items: Acumatica 24
#[tokio::test]
async fn a_lost_answer_is_in_doubt_and_the_look_up_finds_the_document() {
    for fault in [Fault::LostAfter, Fault::NotShown, Fault::NotFound] {
        for plan in [invoice_plan(), journal_plan()] {
            let fake = Fake::with(|_| ());
            let erp = connect(fake.clone(), json!({}));
            assert_eq!(erp.look_up(&plan).await, Ok(LookUp::Absent));
            let next = fake.state().calls.iter().filter(|c| !c.contains("token")).count() + 1;
            fake.state().fault = Some((next, fault));
            let failure = erp.post(&claimed(&plan), &LookUp::Absent).await.unwrap_err();
            assert_eq!(failure.class, FailureClass::InDoubt, "{fault:?}: {failure}");
            assert!(matches!(erp.look_up(&plan).await, Ok(LookUp::Complete { .. })));
            let state = fake.state();
            assert_eq!(state.bills.len() + state.journals.len(), 1);
        }
    }
}

/// Sheet item: Acumatica 16
#[tokio::test]
async fn a_duplicate_is_compared_whichever_way_it_is_told() {
    for duplicates in [Duplicates::As422, Duplicates::As500] {
        let fake = Fake::with(|state| state.duplicates = duplicates);
        let erp = connect(fake.clone(), json!({ "unique_vendor_refs": true }));
        let plan = invoice_plan();
        assert!(erp.refuses_duplicates(&plan));
        let first = erp.post(&claimed(&plan), &LookUp::Absent).await.unwrap();
        let again = erp.post(&claimed(&plan), &LookUp::Absent).await;
        assert_eq!(again, Ok(first), "an old look-up does no harm");
        fake.state().bills[0]["Amount"]["value"] = json!(99);
        let failure = erp.post(&claimed(&plan), &LookUp::Absent).await.unwrap_err();
        assert_eq!(codes(&failure), [FindingCode::ErpConflict], "{failure}");
        assert_eq!(fake.state().bills.len(), 1);
    }
    let allowed = connect(Fake::with(|_| ()), json!({}));
    assert!(!allowed.refuses_duplicates(&invoice_plan()), "nothing is unique unless the customer says so");
    assert!(!allowed.refuses_duplicates(&journal_plan()));
}

/// Sheet item: Acumatica 12
#[tokio::test]
async fn a_condition_that_does_not_hold_is_settled_by_look_up() {
    let failure = saga_after(super::super::outcome::Kind::Duplicate);
    assert_eq!(failure, crate::vendors::saga::Next::Compare);
}

fn saga_after(kind: super::super::outcome::Kind) -> crate::vendors::saga::Next {
    use super::super::outcome::{Asked, judge};
    use super::super::saga::after;
    use crate::vendors::saga::Progress;
    let asked = Asked {
        operation: "acumatica.bill.put",
        effect: crate::vendors::http::Effect::Write,
        maintenance_minutes: 5,
    };
    let refusal = judge(asked, &answer(412, "")).unwrap_err();
    assert_eq!(refusal.kind, kind);
    after(Progress::FirstSent, &refusal)
}

/// Sheet items: Acumatica 13, Acumatica 15
#[tokio::test]
async fn a_refused_line_is_told_with_its_place_and_leaves_nothing_behind() {
    for per_request in [500, 1] {
        for (plan, place) in [(invoice_plan(), 2), (journal_plan(), 2)] {
            let fake = Fake::with(|state| {
                state.refused = Some(("62000".to_owned(), "Account '62000  ' is inactive.".to_owned()));
            });
            let erp = connect(fake.clone(), json!({ "lines_per_request": per_request }));
            let failure = erp.post(&claimed(&plan), &LookUp::Absent).await.unwrap_err();
            let FailureClass::Rejected { findings } = &failure.class else { panic!("{failure:?}") };
            let place = if per_request == 1 { 1 } else { place };
            assert_eq!(findings.len(), 1, "{findings:?}");
            assert_eq!(findings[0].code, FindingCode::AccountInactive);
            assert_eq!(findings[0].field, format!("Details[{place}].Account"));
            assert_eq!(findings[0].value, "62000");
            let left = fake.state().bills.len();
            assert_eq!(left + fake.state().journals.len(), 0);
            assert_eq!(erp.look_up(&plan).await, Ok(LookUp::Absent));
        }
    }
}

/// Sheet item: Acumatica 15
#[tokio::test]
async fn an_approval_map_that_changes_the_status_does_no_harm_and_added_taxes_do() {
    let fake = Fake::with(|state| state.status = Some("Pending Approval".to_owned()));
    let erp = connect(fake.clone(), json!({ "hold": false }));
    let plan = invoice_plan();
    let receipt = erp.post(&claimed(&plan), &LookUp::Absent).await.unwrap();
    assert_eq!(receipt.stage, Stage::Staged);

    let fake = Fake::with(|state| state.tax = Some(json!(7.25)));
    let erp = connect(fake.clone(), json!({}));
    let failure = erp.post(&claimed(&plan), &LookUp::Absent).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::InDoubt, "it stands there, with other content: {failure}");
    let Ok(LookUp::Different { differs, .. }) = erp.look_up(&plan).await else { panic!() };
    assert!(differs.contains("taxes of 7.25"), "{differs}");
}

#[tokio::test]
async fn what_else_stands_under_the_reference_is_told_apart() {
    let fake = Fake::with(|_| ());
    let erp = connect(fake.clone(), json!({}));
    let plan = invoice_plan();
    settle(&erp, &plan).await;
    let differs = async |erp: &Acumatica, plan: &PostingPlan| match erp.look_up(plan).await {
        Ok(LookUp::Different { differs, .. }) => differs,
        other => panic!("{other:?}"),
    };
    // Another revision of the same record.
    let newer = plan_of("R00123", "r2", "5.00", invoice(&[("61000|000-HQ", "5.00")]));
    assert!(differs(&erp, &newer).await.contains("another revision"));
    // Another record whose id merely begins alike.
    let longer = plan_of("R001234", "r1", "100.50", plan.document.clone());
    assert_eq!(erp.look_up(&longer).await, Ok(LookUp::Absent));
    // A reversal bears the same reference under another type.
    let mut reversal = fake.state().bills[0].clone();
    reversal["Type"]["value"] = json!("Debit Adj.");
    reversal["id"] = json!("7b89c293-0000-0000-0000-000000000099");
    fake.state().bills.push(reversal);
    assert!(matches!(erp.look_up(&plan).await, Ok(LookUp::Complete { .. })));
    fake.state().bills.pop();
    // Internal codes are words too.
    fake.state().bills[0]["Type"]["value"] = json!("INV");
    assert!(matches!(erp.look_up(&plan).await, Ok(LookUp::Complete { .. })));
    // Of another vendor.
    fake.state().bills[0]["Vendor"]["value"] = json!("V000999");
    assert!(differs(&erp, &plan).await.contains("vendor V000999"));
    fake.state().bills[0]["Vendor"]["value"] = json!("V000123");
    // Twice.
    let mut twin = fake.state().bills[0].clone();
    twin["id"] = json!("7b89c293-0000-0000-0000-000000000098");
    fake.state().bills.push(twin);
    assert!(differs(&erp, &plan).await.contains("2 documents bear this reference"));
    fake.state().bills.pop();
    // Annulled.
    fake.state().bills[0]["Status"]["value"] = json!("Voided");
    assert!(differs(&erp, &plan).await.contains("voided"));
}

/// Sheet item: Acumatica 19
#[tokio::test]
async fn look_ups_filter_on_one_field_and_fall_back_to_the_exact_reference() {
    for no_startswith in [false, true] {
        let fake = Fake::with(|state| state.no_startswith = no_startswith);
        let erp = connect(fake.clone(), json!({}));
        let plan = invoice_plan();
        settle(&erp, &plan).await;
        assert!(matches!(erp.look_up(&plan).await, Ok(LookUp::Complete { .. })));
        let state = fake.state();
        let looks = state.calls.iter().filter(|call| call.contains("$filter"));
        for look in looks {
            assert!(!look.contains(" and "), "{look}");
            assert!(look.contains("VendorRef"), "{look}");
        }
    }
}

#[tokio::test]
async fn a_long_reference_is_shortened_the_same_way_each_time_and_told_in_full() {
    use super::super::naming::VendorRef;
    let document = || invoice(&[("61000|000-HQ", "5.00")]);
    let long = plan_of("6000000000000123456789", "r1", "5.00", document());
    let other = plan_of("6000000000000123456780", "r1", "5.00", document());
    let newer = plan_of("6000000000000123456789", "r2", "5.00", document());
    assert!(long.reference.to_string().len() > 40);
    let name = |plan: &PostingPlan| VendorRef::of(&plan.reference, 40);
    assert_eq!(name(&long).to_string().len(), 40);
    assert_ne!(name(&long), name(&other));
    assert!(name(&long).is_kin(&name(&newer).to_string()) && !name(&long).is(&name(&newer).to_string()));
    assert!(!name(&long).is_kin(&name(&other).to_string()));
    assert_eq!(VendorRef::of(&long.reference, 50).to_string(), long.reference.to_string());

    let fake = Fake::with(|_| ());
    let erp = connect(fake.clone(), json!({}));
    settle(&erp, &long).await;
    assert_eq!(fake.state().bills[0]["VendorRef"]["value"], name(&long).to_string());
    assert_eq!(erp.look_up(&other).await, Ok(LookUp::Absent));
    assert!(matches!(erp.look_up(&newer).await, Ok(LookUp::Different { .. })));
    let back = erp.read_back("EXP-", long.date, long.date).await.unwrap();
    assert_eq!(back[0].reference, long.reference.to_string());
}

#[tokio::test]
async fn branch_project_and_dimensions_go_to_their_fields_and_unknown_ones_are_refused() {
    let fake = Fake::with(|_| ());
    let erp = connect(fake.clone(), json!({ "branches": { "MYCO": "HQ" } }));
    let mut line = invoice_line("61000|000-HQ", "5.00");
    line.project = Some("PX01".into());
    line.dimensions = [("project-task", "T1"), ("cost-code", "01-100"), ("branch", "EAST")]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
    let with = |line: InvoiceLine| {
        let mut document = invoice(&[]);
        if let PlannedDocument::ApInvoice { lines, .. } = &mut document {
            lines.push(line);
        }
        plan_of("R9", "r1", "5.00", document)
    };
    settle(&erp, &with(line.clone())).await;
    let bill = fake.state().bills[0].clone();
    assert_eq!(bill["BranchID"]["value"], "HQ");
    let row = &bill["Details"][0];
    for (field, value) in
        [("Project", "PX01"), ("ProjectTask", "T1"), ("CostCode", "01-100"), ("Branch", "EAST")]
    {
        assert_eq!(row[field]["value"], value);
    }
    line.dimensions.insert("department".to_owned(), "D1".to_owned());
    let failure = erp.post(&claimed(&with(line)), &LookUp::Absent).await.unwrap_err();
    assert!(failure.message.contains("`department` has no field"), "{failure}");
    let mut elsewhere = invoice_plan();
    elsewhere.company = "OTHER".into();
    let failure = erp.post(&claimed(&elsewhere), &LookUp::Absent).await.unwrap_err();
    assert!(failure.message.contains("`OTHER` has no branch"), "{failure}");
}

#[tokio::test]
async fn a_document_of_many_lines_goes_out_in_parts_and_stays_on_hold_until_it_is_whole() {
    for (settings, status) in [(json!({ "hold": true }), "On Hold"), (json!({ "hold": false }), "Balanced")] {
        let lines: Vec<(String, String)> =
            (1..=25).map(|n| ("61000|000-HQ".to_owned(), format!("{n}.00"))).collect();
        let lines: Vec<(&str, &str)> = lines.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let plan = plan_of("R25", "r1", "325.00", invoice(&lines));
        let fake = Fake::with(|_| ());
        let mut settings = settings.clone();
        settings["lines_per_request"] = json!(10);
        let erp = connect(fake.clone(), settings);
        settle(&erp, &plan).await;
        let state = fake.state();
        assert_eq!(state.bills[0]["Details"].as_array().unwrap().len(), 25);
        assert_eq!(state.bills[0]["Status"]["value"], status);
        let first = state.bodies.iter().find(|body| body.contains("VendorRef")).unwrap();
        let first: Value = serde_json::from_str(first).unwrap();
        assert_eq!(first["Hold"]["value"], true);
        assert_eq!(first["Details"].as_array().unwrap().len(), 10);
    }
}
