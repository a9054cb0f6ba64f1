//! Answers to outcome classes.

use super::super::outcome::{Fetched, Judge};
use super::*;
use crate::vendors::{SourceWindow, SpendSource};
use chrono::TimeDelta;

fn judge() -> Judge<'static> {
    Judge { operation: "expensify.export", secret: "spend-key", throttle_wait: TimeDelta::seconds(10) }
}

fn class(status: u16, body: &str) -> &'static str {
    match judge().job(&answer(status, body)) {
        Ok(Some(_)) => "envelope",
        Ok(None) => "bare",
        Err(failure) => name_of(&failure),
    }
}

fn name_of(failure: &Failure) -> &'static str {
    match failure.class {
        FailureClass::NotSent => "not sent",
        FailureClass::Rejected { .. } => "rejected",
        FailureClass::Unauthorised => "unauthorised",
        FailureClass::Throttled { .. } => "throttled",
        FailureClass::InDoubt => "in doubt",
        FailureClass::Unavailable => "unavailable",
    }
}

fn coded(code: &str, message: &str) -> String {
    format!(r#"{{"responseMessage":"{message}","responseCode":{code}}}"#)
}

/// Sheet item: Expensify 1, Expensify 4, Expensify 5, Expensify 20, Expensify 21
#[test]
fn the_code_in_the_body_wins_and_texts_tell_faults_from_refusals() {
    let limited =
        "You have been rate-limited. Please try again later or contact help@example.test for assistance.";
    for (status, body, expected) in [
        (200, coded("200", "OK"), "envelope"),
        (500, coded("200", "OK"), "envelope"),
        (200, coded("200.0", "OK"), "envelope"),
        (200, coded("\"200\"", "OK"), "envelope"),
        (200, coded("207", "partial"), "unavailable"),
        (200, coded("410", "Required parameter 'policyIDList' is missing"), "rejected"),
        (200, coded("500", "Required parameter 'policyName' is missing"), "rejected"),
        (200, coded("500", "Not authorized to authenticate as user user@example.test"), "rejected"),
        (200, coded("500", "Malformed date '16-01-01'. Expected format is yyyy-MM-dd"), "rejected"),
        (200, coded("500", "FreeMarker template error"), "rejected"),
        (
            200,
            coded("500", "Error encountered while trying to write reconcilation report to file."),
            "unavailable",
        ),
        (200, coded("404", "policy not found"), "rejected"),
        (200, coded("666", "Rule already exists"), "rejected"),
        (200, coded("403", "not a policy admin"), "rejected"),
        (200, coded("500", "Authentication error"), "unauthorised"),
        (200, coded("401", "no"), "unauthorised"),
        (200, coded("500", "Required parameter 'partnerUserSecret' is missing"), "unauthorised"),
        (403, coded("403", "Invalid Credentials"), "unauthorised"),
        (200, coded("429", "slow down"), "throttled"),
        (200, coded("500", limited), "throttled"),
        (200, format!(r#"{{"responseMessage":"{limited}"}}"#), "throttled"),
        (429, String::new(), "throttled"),
        (429, "<html>Too Many Requests</html>".into(), "throttled"),
        (503, format!("<html>{limited}</html>"), "throttled"),
        (500, SERVLET_ERROR.into(), "unavailable"),
        (200, SERVLET_ERROR.into(), "unavailable"),
        (502, String::new(), "unavailable"),
        (401, String::new(), "unauthorised"),
        (403, "Invalid Credentials".into(), "unauthorised"),
        (403, "<html>blocked by policy</html>".into(), "rejected"),
        (302, String::new(), "rejected"),
        (404, "<html>".into(), "rejected"),
        (200, NAME.into(), "bare"),
    ] {
        assert_eq!(class(status, &body), expected, "HTTP {status} {body}");
    }
}

#[test]
fn refusals_say_where_to_mend_them() {
    let failure = judge().job(&answer(200, coded("500", "Authentication error"))).unwrap_err();
    assert!(failure.message.contains("purser secrets set spend-key"), "{failure}");
    let failure = judge().job(&answer(200, coded("410", "policyID 'X' is malformed"))).unwrap_err();
    let FailureClass::Rejected { findings } = failure.class else { panic!("refused for good") };
    assert!(findings[0].fix.contains("`policies`"));
}

#[test]
fn an_answer_that_quotes_our_request_is_not_repeated() {
    let failure =
        judge().job(&answer(200, coded("410", r"cannot parse partnerUserSecret canary"))).unwrap_err();
    assert!(!failure.message.contains("canary"), "{failure}");
    let page = SERVLET_ERROR.replace("type", "canary");
    assert!(!judge().job(&answer(500, page)).unwrap_err().message.contains("canary"));
}

#[test]
fn waiting_after_too_many_calls_follows_the_answer_or_ten_seconds() {
    let until = |header: Option<&str>| {
        let mut answer = answer(429, "");
        answer.headers.extend(header.map(|value| ("retry-after".to_owned(), value.to_owned())));
        match judge().job(&answer).unwrap_err().class {
            FailureClass::Throttled { until } => (until - at()).num_seconds(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(until(None), 10);
    assert_eq!(until(Some("37")), 37);
    assert_eq!(until(Some("Sat, 01 Aug 2026 12:02:00 GMT")), 120);
    assert_eq!(until(Some("Sat, 01 Aug 2020 12:02:00 GMT")), 0);
    assert_eq!(until(Some("soon")), 10);
    assert_eq!(until(Some("4294967295")), 86_400);
}

/// Sheet item: Expensify 6
#[test]
fn a_download_is_not_ready_in_many_ways() {
    let fetched = |status: u16, body: &str| match judge().download(&answer(status, body)) {
        Ok(Fetched::File) => "file",
        Ok(Fetched::Blank) => "blank",
        Ok(Fetched::NotYet(_)) => "not yet",
        Err(failure) => name_of(&failure),
    };
    for (status, body, expected) in [
        (200, "".to_owned(), "blank"),
        (200, "[]\n".to_owned(), "blank"),
        (200, NOT_FOUND.to_owned(), "not yet"),
        (404, coded("404", "File not found"), "not yet"),
        (200, coded("500", "File not found"), "not yet"),
        (200, coded("500", "Something odd"), "not yet"),
        (400, "".to_owned(), "not yet"),
        (404, "<html>".to_owned(), "not yet"),
        (500, SERVLET_ERROR.to_owned(), "not yet"),
        (200, SERVLET_ERROR.to_owned(), "not yet"),
        (401, "".to_owned(), "unauthorised"),
        (403, "<html>".to_owned(), "rejected"),
        (429, "".to_owned(), "throttled"),
        (200, coded("410", "'fileName' is missing or malformed"), "rejected"),
        (200, coded("500", "Authentication error"), "unauthorised"),
        (200, EMPTY.to_owned(), "file"),
        (200, "{\"k\":\"F\"}".to_owned(), "file"),
        (200, "rate-limited, says a comment in the file".to_owned(), "file"),
    ] {
        assert_eq!(fetched(status, &body), expected, "HTTP {status} {body}");
    }
}

/// The canary of [`credential`] in the spellings of JSON and of a form.
#[tokio::test(start_paused = true)]
async fn what_a_refusal_under_http_200_repeats_of_the_credential_is_not_shown() {
    let words = r#"Job of canary\"1 (canary%221) not authorized to read the policy"#;
    for code in ["500", "410", "666", "401"] {
        let body = format!(r#"{{"responseMessage":"{words}","responseCode":{code}}}"#);
        let bodies = [("expensify.export", body.as_str()), ("expensify.policy-list", body.as_str())];
        let (client, _) = client_always(Settings::default(), bodies);
        let failure = client.read(&SourceWindow::Ids(vec!["R1".into()])).await.unwrap_err();
        let said = format!("{failure:?}");
        assert!(!said.contains("canary"), "{code}: {said}");
        assert!(said.contains("[secret]") && said.contains("not authorized"), "{code}: {said}");
    }
}
