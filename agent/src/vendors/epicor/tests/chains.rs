//! Whole postings against a small Kinetic: the happy chains, a fault at every single call, clean-up, resume, prompts.

use super::fake::{Fake, Fault, State};
use super::{claimed, epicor, invoice_plan, journal_plan, settings};
use crate::vendors::ErpTarget;
use spend::finding::FindingCode;
use spend::plan::{PlannedDocument, PostingPlan, Stage};
use spend::posting::{FailureClass, LookUp};
use std::sync::{Arc, Mutex};

fn state(fake: &Fake) -> (usize, usize, usize) {
    let state = fake.0.lock().unwrap();
    (state.journals.len() + state.invoices.len(), state.entries.len() + state.lines.len(), state.groups.len())
}

#[tokio::test]
async fn journal_is_written_line_by_line_and_read_back() {
    let fake = Arc::new(Fake::default());
    let (epicor, plan) = (epicor(fake.clone(), settings()), journal_plan());
    assert_eq!(epicor.look_up(&plan).await.unwrap(), LookUp::Absent);
    let receipt = epicor.post(&claimed(&plan), &LookUp::Absent).await.unwrap();
    assert_eq!(receipt.document, "journal 2026/GJ/417");
    assert_eq!(receipt.group.as_deref(), Some("EXP260131"));
    assert_eq!(receipt.stage, Stage::Staged);
    assert_eq!(state(&fake), (1, 3, 1));
    assert_eq!(epicor.look_up(&plan).await.unwrap(), LookUp::Complete { receipt });
}

/// Sheet item: Epicor 9, 12 and 17: wide rows go back, the empty account is set by a second save, rows are not edited by position.
#[tokio::test]
async fn invoice_gets_the_account_of_every_line_by_a_second_save() {
    let fake = Arc::new(Fake::default());
    let (epicor, plan) = (epicor(fake.clone(), settings()), invoice_plan());
    let receipt = epicor.post(&claimed(&plan), &LookUp::Absent).await.unwrap();
    assert_eq!(receipt.document, format!("invoice 123/{}", plan.reference));
    let state = fake.0.lock().unwrap();
    let accounts: Vec<_> = state
        .accounts
        .iter()
        .map(|a| (a["GLAccount"].as_str().unwrap(), a["SegValue1"].as_str().unwrap()))
        .collect();
    assert_eq!(accounts, [("6100|00|200", "6100"), ("6200|00|200", "6200")]);
    assert_eq!(state.lines[1]["ScrVendorQty"], -1);
    assert_eq!(state.invoices[0]["Wide_c"].to_string(), "1.5");
    assert_eq!(state.invoices[0]["XRefInvoiceNum"], plan.key.as_str());
}

#[tokio::test]
async fn invoice_line_without_a_distribution_row_gets_a_new_one() {
    let fake = Arc::new(Fake(Mutex::new(State { no_distribution: true, ..State::default() })));
    let (epicor, plan) = (epicor(fake.clone(), settings()), invoice_plan());
    epicor.post(&claimed(&plan), &LookUp::Absent).await.unwrap();
    assert_eq!(fake.0.lock().unwrap().accounts.len(), 2);
}

#[tokio::test]
async fn new_distribution_row_is_saved_also_when_it_comes_with_the_right_account() {
    let prefilled = "6100|00|200".to_owned();
    let fake = Arc::new(Fake(Mutex::new(State { no_distribution: true, prefilled, ..State::default() })));
    let plan = invoice_plan();
    epicor(fake.clone(), settings()).post(&claimed(&plan), &LookUp::Absent).await.unwrap();
    assert_eq!(fake.0.lock().unwrap().accounts.len(), 2);
}

/// The server puts its own account on a line, and the agent dies at any call: what stands there does not balance, so that
/// nobody can post it.
#[tokio::test]
async fn half_written_invoice_never_balances() {
    let plan = invoice_plan();
    let world = |fault| State { default_account: "9999|00|000".to_owned(), fault, ..State::default() };
    let clean = Arc::new(Fake(Mutex::new(world(None))));
    drive(&epicor(clean.clone(), settings()), &plan).await.unwrap();
    for at in 0..clean.calls().len() {
        let fake = Arc::new(Fake(Mutex::new(world(Some((at, Fault::LostAfter))))));
        drop(epicor(fake.clone(), settings()).post(&claimed(&plan), &LookUp::Absent).await);
        let state = fake.0.lock().unwrap();
        let Some(invoice) = state.invoices.first() else { continue };
        let right = ["6100|00|200", "6200|00|200"];
        let whole = state.accounts.iter().map(|row| row["GLAccount"].as_str().unwrap()).eq(right);
        let balances = invoice["DocInvoiceVendorAmt"] == invoice["DocInvoiceAmt"];
        assert!(whole || !balances, "after call {at}: {invoice}");
    }
}

#[tokio::test]
async fn a_dimension_that_kinetic_does_not_have_is_refused_before_anything_is_written() {
    for mut plan in [journal_plan(), invoice_plan()] {
        let fake = Arc::new(Fake::default());
        let branch = [("branch".to_owned(), "HQ".to_owned())].into();
        match &mut plan.document {
            PlannedDocument::Journal { lines } => lines[0].dimensions = branch,
            PlannedDocument::ApInvoice { lines, .. } => lines[0].dimensions = branch,
        }
        let failure =
            epicor(fake.clone(), settings()).post(&claimed(&plan), &LookUp::Absent).await.unwrap_err();
        let FailureClass::Rejected { findings } = &failure.class else { panic!("{failure}") };
        assert_eq!((findings[0].code.as_str(), findings[0].value.as_str()), ("dimension-unknown", "HQ"));
        assert_eq!(state(&fake), (0, 0, 0));
    }
}

/// How often a document is attempted before a test gives up; a real flow waits between attempts.
const ATTEMPTS: usize = 6;

/// Posts as the flow does: look up, post when something is missing, until the document is complete or refused.
async fn drive(epicor: &super::Epicor, plan: &PostingPlan) -> Result<LookUp, FailureClass> {
    for _ in 0..ATTEMPTS {
        let Ok(found) = epicor.look_up(plan).await else { continue };
        match &found {
            LookUp::Complete { .. } | LookUp::Different { .. } => return Ok(found),
            LookUp::Absent | LookUp::Unfinished { .. } => {}
        }
        if let Err(failure) = epicor.post(&claimed(plan), &found).await
            && matches!(failure.class, FailureClass::Rejected { .. })
        {
            return Err(failure.class);
        }
    }
    panic!("not settled in {ATTEMPTS} attempts");
}

/// Sheet item: Epicor 20: written but the answer lost, at every call of both chains, and six other faults there.
/// Whatever happens at whatever call, the document ends once and whole, or refused with nothing left of it.
#[tokio::test]
async fn one_fault_at_any_call_never_doubles_or_halves_a_document() {
    for plan in [journal_plan(), invoice_plan()] {
        let clean = Arc::new(Fake::default());
        drive(&epicor(clean.clone(), settings()), &plan).await.unwrap();
        let (calls, whole) = (clean.calls(), state(&clean));
        assert!(calls.len() > 15, "{calls:?}");
        for (at, operation) in calls.iter().enumerate() {
            for fault in Fault::ALL {
                let fake = Arc::new(Fake::with(Some((at, fault))));
                let ended = drive(&epicor(fake.clone(), settings()), &plan).await;
                let place = format!("{fault:?} at call {at} ({operation})");
                match ended {
                    Ok(LookUp::Complete { .. }) => assert_eq!(state(&fake), whole, "{place}"),
                    Err(FailureClass::Rejected { .. }) if fault == Fault::Refused => {
                        let (documents, lines, _) = state(&fake);
                        assert_eq!((documents, lines), (0, 0), "{place}");
                    }
                    other => panic!("{place}: {other:?}"),
                }
            }
        }
    }
}

/// A fault before the document's first write is never reported as in doubt.
#[tokio::test]
async fn fault_before_the_first_write_leaves_no_doubt() {
    for (plan, first_write) in
        [(journal_plan(), "epicor.gl.update"), (invoice_plan(), "epicor.ap.header-save")]
    {
        let clean = Arc::new(Fake::default());
        epicor(clean.clone(), settings()).post(&claimed(&plan), &LookUp::Absent).await.unwrap();
        let first = clean.calls().iter().position(|operation| operation == first_write).unwrap();
        for at in 0..first {
            for fault in [Fault::LostAfter, Fault::LostBefore, Fault::Internal, Fault::Truncated] {
                let fake = Arc::new(Fake::with(Some((at, fault))));
                let done = epicor(fake.clone(), settings()).post(&claimed(&plan), &LookUp::Absent).await;
                // Descriptions of services may fail; the documented names stand in then.
                assert!(
                    done.is_ok() || done.unwrap_err().class == FailureClass::NotSent,
                    "{fault:?} at {at}"
                );
            }
        }
        for fault in [Fault::LostAfter, Fault::LostBefore, Fault::Internal, Fault::Truncated] {
            let fake = Arc::new(Fake::with(Some((first, fault))));
            let failure = epicor(fake, settings()).post(&claimed(&plan), &LookUp::Absent).await.unwrap_err();
            assert_eq!(failure.class, FailureClass::InDoubt, "{fault:?}");
        }
    }
}

/// Sheet item: Epicor 14.
#[tokio::test]
async fn save_that_asks_a_question_is_refused_and_cleaned_up() {
    let fake = Arc::new(Fake(Mutex::new(State { prompts: true, ..State::default() })));
    let plan = invoice_plan();
    let failure = epicor(fake.clone(), settings()).post(&claimed(&plan), &LookUp::Absent).await.unwrap_err();
    let FailureClass::Rejected { findings } = failure.class else { panic!("{failure:?}") };
    assert!(findings[0].message.contains("Are you sure?"));
    assert_eq!(state(&fake), (0, 0, 1));
}

/// Sheet item: Epicor 11: a duplicate is looked up and compared, told as 409 or as 400 in words.
#[tokio::test]
async fn duplicate_that_equals_the_plan_is_adopted() {
    for duplicate_as_400 in [false, true] {
        let fake = Arc::new(Fake(Mutex::new(State { duplicate_as_400, ..State::default() })));
        let (epicor, plan) = (epicor(fake.clone(), settings()), invoice_plan());
        let first = epicor.post(&claimed(&plan), &LookUp::Absent).await.unwrap();
        // A look-up that saw nothing although the document is there: the ERP's own refusal saves us.
        let second = epicor.post(&claimed(&plan), &LookUp::Absent).await.unwrap();
        assert_eq!(first, second);
        assert_eq!(state(&fake).0, 1);
    }
}

#[tokio::test]
async fn duplicate_with_other_content_is_a_conflict() {
    let fake = Arc::new(Fake::default());
    let (epicor, plan) = (epicor(fake.clone(), settings()), invoice_plan());
    epicor.post(&claimed(&plan), &LookUp::Absent).await.unwrap();
    fake.0.lock().unwrap().lines[0]["DocExtCost"] = serde_json::json!(1.00);
    let failure = epicor.post(&claimed(&plan), &LookUp::Absent).await.unwrap_err();
    let FailureClass::Rejected { findings } = failure.class else { panic!("{failure:?}") };
    assert_eq!(findings[0].code, FindingCode::ErpConflict);
}

/// Sheet item: Epicor 10.
#[tokio::test]
async fn group_locked_by_somebody_else_makes_the_document_wait() {
    let fake = Arc::new(Fake::default());
    let plan = journal_plan();
    let group = serde_json::json!({"GroupID": "EXP260131", "ActiveUserID": "mary", "RowMod": ""});
    fake.0.lock().unwrap().groups.push(group);
    let failure = epicor(fake.clone(), settings()).post(&claimed(&plan), &LookUp::Absent).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::NotSent);
    assert!(failure.message.contains("locked by mary"));
    assert_eq!(state(&fake).0, 0);
}

#[tokio::test]
async fn document_of_another_revision_is_named_and_nothing_is_written() {
    let fake = Arc::new(Fake::default());
    let (epicor, plan) = (epicor(fake.clone(), settings()), journal_plan());
    epicor.post(&claimed(&plan), &LookUp::Absent).await.unwrap();
    let older = format!("{}-0000000000 January", plan.reference.stem());
    {
        let mut state = fake.0.lock().unwrap();
        state.journals[0]["Description"] = serde_json::json!(older);
        state.entries.clear();
    }
    let found = epicor.look_up(&plan).await.unwrap();
    let LookUp::Different { differs, .. } = &found else { panic!("{found:?}") };
    assert!(differs.contains("0000000000"), "{differs}");
    let failure = epicor.post(&claimed(&plan), &found).await.unwrap_err();
    assert!(matches!(failure.class, FailureClass::Rejected { .. }));
}

/// Posting moves a journal from one entity set to another: both are looked at.
#[tokio::test]
async fn posted_journal_is_found_in_the_ledger() {
    let fake = Arc::new(Fake::default());
    let (epicor, plan) = (epicor(fake.clone(), settings()), journal_plan());
    epicor.post(&claimed(&plan), &LookUp::Absent).await.unwrap();
    {
        let mut state = fake.0.lock().unwrap();
        state.journals.clear();
        state.ledger = std::mem::take(&mut state.entries);
    }
    let found = epicor.look_up(&plan).await.unwrap();
    let LookUp::Complete { receipt } = found else { panic!("{found:?}") };
    assert_eq!(receipt.stage, Stage::InLedger);
    let found =
        epicor.read_back("EXP", "2026-01-01".parse().unwrap(), "2026-01-31".parse().unwrap()).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].total, super::usd("100.50"));
    assert_eq!(found[0].reference, plan.reference.to_string());
}

#[tokio::test]
async fn line_committed_twice_is_seen_and_never_taken_for_complete() {
    let fake = Arc::new(Fake::default());
    let (epicor, plan) = (epicor(fake.clone(), settings()), journal_plan());
    epicor.post(&claimed(&plan), &LookUp::Absent).await.unwrap();
    {
        let mut state = fake.0.lock().unwrap();
        let again = state.entries[0].clone();
        state.entries.push(again);
    }
    let found = epicor.look_up(&plan).await.unwrap();
    assert!(matches!(found, LookUp::Different { .. }), "{found:?}");
}

#[tokio::test]
async fn negative_total_becomes_a_debit_memo() {
    let fake = Arc::new(Fake::default());
    let mut plan = invoice_plan();
    plan.total = super::usd("-25.00");
    let PlannedDocument::ApInvoice { debit_memo, lines, .. } = &mut plan.document else { unreachable!() };
    *debit_memo = true;
    lines.remove(0);
    epicor(fake.clone(), settings()).post(&claimed(&plan), &LookUp::Absent).await.unwrap();
    assert!(fake.calls().iter().any(|operation| operation == "epicor.ap.debit-memo-new"));
    let state = fake.0.lock().unwrap();
    assert_eq!(
        (&state.lines[0]["ScrVendorQty"], &state.lines[0]["DocUnitCost"]),
        (&(-1).into(), &25.0.into())
    );
}

/// Only our own left-over lock is taken off, and only when the settings say who we are.
#[tokio::test]
async fn own_lock_is_taken_off_when_the_settings_name_us() {
    let fake = Arc::new(Fake::default());
    let group = serde_json::json!({"GroupID": "EXP260131", "ActiveUserID": "purser", "RowMod": ""});
    fake.0.lock().unwrap().groups.push(group);
    let settings = super::Settings { user_id: Some("Purser".to_owned()), ..settings() };
    epicor(fake.clone(), settings).post(&claimed(&journal_plan()), &LookUp::Absent).await.unwrap();
    assert!(fake.calls().iter().any(|operation| operation == "epicor.gl.group-unlock"));
}

/// Sheet item: Epicor 24: handing over is one thing, being in the ledger another; a failed hand-over stays staged.
#[tokio::test]
async fn verified_document_is_submitted_in_a_group_of_its_own_when_asked() {
    for (plan, last) in [(journal_plan(), "epicor.gl.post-group"), (invoice_plan(), "epicor.ap.submit")] {
        let fake = Arc::new(Fake::default());
        let settings = super::Settings { submit: true, ..settings() };
        let receipt = epicor(fake.clone(), settings).post(&claimed(&plan), &LookUp::Absent).await.unwrap();
        assert_eq!(receipt.stage, Stage::Submitted);
        assert_eq!(fake.calls().last().unwrap(), last);
    }
    let fake =
        Arc::new(Fake(Mutex::new(State { not_posted: "out of balance".to_owned(), ..State::default() })));
    let settings = super::Settings { submit: true, ..settings() };
    let receipt = epicor(fake, settings).post(&claimed(&journal_plan()), &LookUp::Absent).await.unwrap();
    assert_eq!(receipt.stage, Stage::Staged);
}

#[tokio::test]
async fn only_invoices_are_protected_by_the_erp_itself() {
    let epicor = epicor(Arc::new(Fake::default()), settings());
    assert!(epicor.refuses_duplicates(&invoice_plan()));
    assert!(!epicor.refuses_duplicates(&journal_plan()));
}
