//! The optional second step: hold off, release, what the site tells later.

use super::fake::{Fake, Fault, State};
use super::*;
use crate::vendors::ErpTarget;
use spend::plan::Stage;
use spend::posting::{ErpReceipt, LookUp};

async fn released(plan: &PostingPlan, change: impl FnOnce(&mut State)) -> (Arc<Fake>, ErpReceipt) {
    let fake = Fake::with(change);
    let erp = connect(fake.clone(), json!({ "release": true, "release_seconds": 5 }));
    let receipt = erp.post(&claimed(plan), &LookUp::Absent).await.unwrap();
    (fake, receipt)
}

/// Sheet item: Acumatica 14
#[tokio::test(start_paused = true)]
async fn a_release_is_followed_to_its_end_on_the_status_address_only() {
    for plan in [invoice_plan(), journal_plan(), memo_plan()] {
        let (fake, receipt) = released(&plan, |state| state.release_polls = 3).await;
        assert_eq!((receipt.stage, receipt.group), (Stage::InLedger, None));
        assert_eq!(fake.count("/status/1af4"), 4);
        let state = fake.state();
        let start =
            state.calls.iter().position(|call| call.starts_with("POST") && call.contains("Release")).unwrap();
        assert!(
            state.calls[start + 1..start + 5].iter().all(|call| call.contains("/status/")),
            "{:#?}",
            state.calls
        );
        let body: Value = serde_json::from_str(&state.bodies[start]).unwrap();
        assert_eq!(body["entity"].as_object().unwrap().len(), 2, "addressed by keys only: {body}");
    }
}

/// Sheet item: Acumatica 14
#[tokio::test(start_paused = true)]
async fn a_release_that_is_done_at_once_does_not_follow_the_dangling_address() {
    let (fake, receipt) = released(&invoice_plan(), |_| ()).await;
    assert_eq!(receipt.stage, Stage::InLedger);
    assert_eq!(fake.count("/status/"), 0);
}

/// Sheet item: Acumatica 14
#[tokio::test(start_paused = true)]
async fn a_release_that_fails_later_is_shown_as_such_and_the_document_stays() {
    let words = "The 01-2026 financial period is closed in AP.";
    for status in [200, 422, 500] {
        for plan in [invoice_plan(), journal_plan()] {
            let fails = Some((status, words.to_owned()));
            let (fake, receipt) = released(&plan, |state| {
                state.release_polls = 1;
                state.release_fails = fails;
            })
            .await;
            assert_eq!(receipt.stage, Stage::Staged);
            assert!(receipt.document.contains("not released"), "{receipt:?}");
            assert!(receipt.document.contains("financial period is closed"), "{receipt:?}");
            assert!(receipt.group.is_some(), "a person finds it");
            let state = fake.state();
            assert_eq!(state.bills.len() + state.journals.len(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_that_takes_too_long_is_left_to_itself() {
    let (_, receipt) = released(&journal_plan(), |state| {
        state.release_polls = 1000;
        state.release_fails = Some((500, String::new()));
    })
    .await;
    assert_eq!((receipt.stage, receipt.group), (Stage::Submitted, None));
}

/// Sheet item: Acumatica 15
#[tokio::test(start_paused = true)]
async fn a_document_that_waits_for_approval_is_not_released() {
    let plan = invoice_plan();
    let (fake, receipt) = released(&plan, |state| state.off_hold = Some("Pending Approval".to_owned())).await;
    assert_eq!(receipt.stage, Stage::Staged);
    assert!(receipt.document.contains("its status is Pending Approval"), "{receipt:?}");
    assert_eq!(fake.count("ReleaseBill"), 0);
}

/// Sheet items: Acumatica 14, Acumatica 24
#[tokio::test(start_paused = true)]
async fn a_release_whose_end_is_not_known_is_never_told_as_left_to_a_person() {
    let unknown = [Fault::LostAfter, Fault::LostBefore, Fault::Html];
    let later = [Fault::NotSent, Fault::LostBefore, Fault::Html, Fault::Throttled];
    for plan in [invoice_plan(), journal_plan()] {
        let (fake, _) = released(&plan, |state| state.release_polls = 2).await;
        let calls: Vec<String> =
            fake.state().calls.iter().filter(|call| !call.contains("token")).cloned().collect();
        let is_start = |call: &String| call.starts_with("POST") && call.contains("Release");
        let start = calls.iter().position(is_start).unwrap() + 1;
        for nth in start..=calls.len() {
            for fault in if nth == start { &unknown[..] } else { &later[..] } {
                let (fake, receipt) = released(&plan, |state| {
                    state.release_polls = 2;
                    state.fault = Some((nth, *fault));
                })
                .await;
                let told = format!("{fault:?} at {}: {receipt:?}", calls[nth - 1]);
                assert_ne!(receipt.stage, Stage::Staged, "{told}");
                assert!(!receipt.document.contains("not released"), "{told}");
                assert_eq!(fake.count("PUT"), 2, "{told}");
            }
        }
    }
}
