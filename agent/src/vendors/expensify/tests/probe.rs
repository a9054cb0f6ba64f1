//! What `doctor` says about a connection.

use super::*;
use crate::vendors::{Probe, ProbeResult, Verdict};

async fn examined(policies: &[&str], answers: Vec<Result<Answer, Failure>>) -> Vec<ProbeResult> {
    let settings =
        Settings { policies: policies.iter().map(|id| (*id).to_owned()).collect(), ..Settings::default() };
    let (client, _) = client(settings, answers);
    client.probe().await
}

fn verdicts(results: &[ProbeResult]) -> Vec<Verdict> {
    results.iter().map(|result| result.verdict).collect()
}

#[tokio::test(start_paused = true)]
async fn a_sound_connection_passes_every_check() {
    let results = examined(&["0123456789abcdef"], vec![ok(POLICY_LIST), ok(POLICIES)]).await;
    assert_eq!(verdicts(&results), [Verdict::Pass; 4], "{results:?}");
    assert!(results[3].detail.contains("1 of them with a GL code"), "{results:?}");
}

/// Sheet item: Expensify 23
#[tokio::test(start_paused = true)]
async fn workspaces_that_are_served_in_part_are_named() {
    let results = examined(&[], vec![ok(POLICY_LIST), ok(POLICIES)]).await;
    assert_eq!(verdicts(&results), [Verdict::Pass, Verdict::Pass, Verdict::Warn, Verdict::Pass]);
    assert!(results[2].detail.contains("New") && results[2].detail.contains("hovercraft"));
}

/// Sheet item: Expensify 11
#[tokio::test(start_paused = true)]
async fn workspaces_are_named_as_people_know_them() {
    let list = r#"{"policyList":[{"id":"A1","name":"Bolts &amp; Nuts &#39;North&#39; &amp;lt;","type":"personal",
        "role":"admin"}],"responseCode":200}"#;
    let results = examined(&[], vec![ok(list), ok(POLICIES)]).await;
    let name = "Bolts & Nuts 'North' &lt; (A1)";
    assert_eq!(results[1].detail, name);
    assert!(results[2].detail.starts_with(&format!("{name} is `personal`")), "{results:?}");
    let auditor = list.replace("\"admin\"", "\"auditor\"");
    let results = examined(&[], vec![ok(auditor), ok(POLICIES)]).await;
    assert!(results[1].detail.ends_with(&format!("administrator of: {name}")), "{results:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_credential_fails_and_the_rest_is_skipped() {
    let denied = r#"{"responseMessage":"Authentication error","responseCode":500}"#;
    let results = examined(&[], vec![ok(denied)]).await;
    assert_eq!(verdicts(&results), [Verdict::Fail, Verdict::Skipped, Verdict::Skipped, Verdict::Skipped]);
    assert!(results[0].fix.contains("purser secrets set spend-key"));
}

#[tokio::test(start_paused = true)]
async fn missing_and_foreign_workspaces_fail_with_the_way_to_mend_them() {
    let results = examined(&["AAAA"], vec![ok(POLICY_LIST)]).await;
    assert_eq!(verdicts(&results), [Verdict::Pass, Verdict::Fail, Verdict::Skipped, Verdict::Skipped]);
    assert!(results[1].detail.contains("AAAA") && results[1].fix.contains("`policies`"));
    let auditor = POLICY_LIST.replace("admin", "auditor");
    let results = examined(&[], vec![ok(auditor), ok(POLICIES)]).await;
    assert_eq!(results[1].verdict, Verdict::Fail);
    let none = examined(&[], vec![ok(r#"{"policyList":[],"responseCode":200}"#)]).await;
    assert_eq!(none[1].verdict, Verdict::Fail);
}

#[tokio::test(start_paused = true)]
async fn unreadable_details_fail() {
    let results =
        examined(&["0123456789ABCDEF"], vec![ok(POLICY_LIST), ok(r#"{"policyInfo":{},"responseCode":200}"#)])
            .await;
    assert_eq!(results[3].verdict, Verdict::Fail);
    let refused = r#"{"responseMessage":"Not authorized","responseCode":500}"#;
    let results = examined(&["0123456789ABCDEF"], vec![ok(POLICY_LIST), ok(refused)]).await;
    assert_eq!(results[3].verdict, Verdict::Fail);
    assert!(results[3].fix.contains("administrator"));
}
