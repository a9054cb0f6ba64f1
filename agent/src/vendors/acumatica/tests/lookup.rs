//! Look-ups and the proof on sites that cannot or will not show everything: a document that is there is never told as
//! absent.

use super::fake::Fake;
use super::*;
use crate::vendors::ErpTarget;
use spend::finding::FindingCode;
use spend::posting::{FailureClass, LookUp};

/// A site with this plan's document in it.
async fn holding(plan: &PostingPlan) -> (Arc<Fake>, Acumatica) {
    let fake = Fake::with(|_| ());
    let erp = connect(fake.clone(), json!({}));
    erp.post(&claimed(plan), &LookUp::Absent).await.unwrap();
    (fake, erp)
}

/// Sheet item: Acumatica 20
#[tokio::test]
async fn a_site_that_does_not_list_what_a_document_is_known_by_has_not_said_that_it_is_absent() {
    for (plan, entity, needed, other) in [
        (invoice_plan(), "Bill", ["Type", "VendorRef"], "Status"),
        (journal_plan(), "JournalTransaction", ["Module", "Description"], "Status"),
    ] {
        let (fake, erp) = holding(&plan).await;
        for field in needed {
            fake.state().unexportable = vec![format!("{entity}/{field}")];
            let failure = erp.look_up(&plan).await.unwrap_err();
            assert_eq!(failure.class, FailureClass::Unavailable, "{failure}");
            assert!(failure.message.contains(&format!("`{field}` of {entity}")), "{failure}");
        }
        // What only people read is done without.
        fake.state().unexportable = vec![format!("{entity}/{other}")];
        assert!(matches!(erp.look_up(&plan).await, Ok(LookUp::Complete { .. })));
    }
}

/// Sheet item: Acumatica 20
#[tokio::test]
async fn a_database_that_is_busy_for_a_moment_hides_no_document_and_no_other_revision() {
    for plan in [invoice_plan(), journal_plan()] {
        let (fake, erp) = holding(&plan).await;
        for busy in 1..5 {
            fake.state().busy = busy;
            let failure = erp.look_up(&plan).await.unwrap_err();
            assert_eq!(failure.class, FailureClass::Unavailable, "{failure}");
            fake.state().busy = 0;
            assert!(matches!(erp.look_up(&plan).await, Ok(LookUp::Complete { .. })));
        }
    }
    let (fake, erp) = holding(&invoice_plan()).await;
    let newer = plan_of("R00123", "r2", "5.00", invoice(&[("61000|000-HQ", "5.00")]));
    fake.state().busy = 1;
    assert!(erp.look_up(&newer).await.is_err(), "the exact reference alone would find nothing");
}

#[tokio::test]
async fn a_row_that_does_not_show_what_it_is_known_by_is_not_passed_over() {
    for (plan, field) in [(invoice_plan(), "Type"), (journal_plan(), "Module")] {
        let (fake, erp) = holding(&plan).await;
        fake.state().bills.iter_mut().for_each(|record| record[field] = json!({}));
        fake.state().journals.iter_mut().for_each(|record| record[field] = json!({}));
        let failure = erp.look_up(&plan).await.unwrap_err();
        assert!(failure.message.contains(&format!("without `{field}`")), "{failure}");
    }
}

/// Sheet item: Acumatica 20
#[tokio::test]
async fn the_proof_leaves_no_bill_out_because_a_field_of_it_is_not_listed() {
    let plan = invoice_plan();
    let (fake, erp) = holding(&plan).await;
    for field in ["Type", "VendorRef", "Status", "Amount", "CurrencyID"] {
        fake.state().unexportable = vec![format!("Bill/{field}")];
        let failure = erp.read_back("EXP-", plan.date, plan.date).await.unwrap_err();
        assert!(failure.message.contains(field), "{failure}");
    }
    fake.state().unexportable = vec!["Bill/Vendor".to_owned()];
    assert_eq!(erp.read_back("EXP-", plan.date, plan.date).await.unwrap().len(), 1);
}

/// A plan in another currency.
fn foreign(mut plan: PostingPlan, code: &str) -> PostingPlan {
    let currency = Currency::new(code).unwrap();
    let turn = |amount: &mut Money| *amount = Money::new(amount.minor, currency);
    plan.currency = currency;
    turn(&mut plan.total);
    match &mut plan.document {
        PlannedDocument::ApInvoice { lines, .. } => lines.iter_mut().for_each(|l| turn(&mut l.amount)),
        PlannedDocument::Journal { lines } => lines.iter_mut().for_each(|l| turn(&mut l.amount)),
    }
    plan.hash = plan.compute_hash();
    plan
}

#[tokio::test]
async fn a_site_of_one_currency_gets_no_document_in_another_and_holds_none() {
    let only = json!({ "send_currency": false, "currency": "USD" });
    for plan in [invoice_plan(), journal_plan()] {
        let fake = Fake::with(|_| ());
        let erp = connect(fake.clone(), only.clone());
        let euros = foreign(plan.clone(), "EUR");
        let failure = erp.post(&claimed(&euros), &LookUp::Absent).await.unwrap_err();
        let FailureClass::Rejected { findings } = &failure.class else { panic!("{failure:?}") };
        assert_eq!(findings[0].code, FindingCode::CurrencyRefused);
        assert_eq!(fake.count("PUT"), 0);
        erp.post(&claimed(&plan), &LookUp::Absent).await.unwrap();
        {
            let state = fake.state();
            let mut all = state.bills.iter().chain(&state.journals);
            assert!(all.all(|record| record.get("CurrencyID").is_none()));
        }
        assert!(matches!(erp.look_up(&plan).await, Ok(LookUp::Complete { .. })));
        // The same digits in another currency are another document.
        let Ok(LookUp::Different { differs, .. }) = erp.look_up(&euros).await else { panic!() };
        assert!(differs.contains("currency USD instead of EUR"), "{differs}");
    }
}

/// A plan whose accounts name no subaccount.
fn natural(lines: &[(&str, &str)]) -> PostingPlan {
    let total: i64 = lines.iter().map(|(_, amount)| usd(amount).minor).sum();
    plan_of("R00777", "r1", &Money::new(total, Currency::USD).to_decimal(), invoice(lines))
}

#[tokio::test]
async fn a_plan_without_subaccounts_equals_what_the_site_filled_in() {
    let plan = natural(&[("61000", "10.00"), ("62000", "5.00")]);
    let (fake, erp) = holding(&plan).await;
    assert!(fake.state().bills[0]["Details"][0].get("Subaccount").is_none(), "none is sent");
    let fill = |fake: &Fake, line: usize, with: &str| {
        fake.state().bills[0]["Details"][line]["Subaccount"] = json!({ "value": with });
    };
    for line in 0..2 {
        fill(&fake, line, "000-00");
        assert!(matches!(erp.look_up(&plan).await, Ok(LookUp::Complete { .. })));
    }
    // A line that leaves it open takes none from the one that names it.
    let mixed = natural(&[("61000", "10.00"), ("61000|000-HQ", "10.00")]);
    let (fake, erp) = holding(&mixed).await;
    fake.state().bills[0]["Details"].as_array_mut().unwrap().reverse();
    fill(&fake, 1, "000-00");
    assert!(matches!(erp.look_up(&mixed).await, Ok(LookUp::Complete { .. })));
    // What was planned is still compared.
    fill(&fake, 0, "000-EA");
    assert!(matches!(erp.look_up(&mixed).await, Ok(LookUp::Different { .. })));
}

/// Sheet item: Acumatica 11
#[tokio::test]
async fn a_document_that_is_listed_and_cannot_be_read_is_not_absent() {
    for plan in [invoice_plan(), journal_plan()] {
        let (fake, erp) = holding(&plan).await;
        fake.state().ghosts = true;
        let failure = erp.look_up(&plan).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Unavailable);
        assert!(failure.message.contains("is listed and not there"), "{failure}");
    }
}
