//! Repetition of reads, and `Retry-After`.

use super::server::{Act, reply};
use super::*;
use chrono::TimeDelta;
use spend::posting::FailureClass;

fn fast() -> ReadRetries {
    ReadRetries { base: Duration::from_millis(1), ..ReadRetries::default() }
}

fn answer(headers: &[(&str, &str)]) -> Answer {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Answer { status: 429, headers, body: Vec::new(), at: noon() }
}

fn asked(value: &str) -> Option<i64> {
    retry_after(&answer(&[("retry-after", value)]), noon()).map(|until| (until - noon()).num_seconds())
}

#[test]
fn retry_after_is_read_in_seconds_and_as_a_date() {
    assert_eq!(asked("17"), Some(17));
    assert_eq!(asked(" 0 "), Some(0));
    assert_eq!(asked("1.5"), Some(2));
    assert_eq!(asked("Mon, 02 Mar 2026 12:01:40 GMT"), Some(100));
    assert_eq!(asked("Monday, 02-Mar-26 12:01:40 GMT"), Some(100));
    assert_eq!(asked("Mon, 02 Mar 2026 11:00:00 GMT"), Some(0));
}

#[test]
fn retry_after_is_at_most_an_hour() {
    assert_eq!(asked("86400"), Some(3600));
    assert_eq!(asked("99999999999999999999999999"), Some(3600));
    assert_eq!(asked("Tue, 02 Mar 2027 12:00:00 GMT"), Some(3600));
}

#[test]
fn an_unreadable_retry_after_is_none() {
    for text in ["", "soon", "-5", ".", "1e3", "1.5s", "\u{665}"] {
        assert_eq!(asked(text), None, "{text}");
    }
    assert_eq!(retry_after(&answer(&[]), noon()), None);
}

#[test]
fn a_date_counts_from_the_servers_own_clock() {
    let skewed = answer(&[
        ("date", "Mon, 02 Mar 2026 15:00:00 GMT"),
        ("retry-after", "Mon, 02 Mar 2026 15:00:30 GMT"),
    ]);
    assert_eq!(retry_after(&skewed, noon()), Some(noon() + TimeDelta::seconds(30)));
}

/// Sheet item: Epicor 19 (maintenance windows).
#[tokio::test]
async fn a_read_is_repeated_until_it_succeeds() {
    let server = TestServer::start(|_, before| match before {
        0 => Act::Reset(Vec::new()),
        1 => reply(503, &[], ""),
        2 => reply(502, &[], ""),
        _ => reply(200, &[], "at last"),
    })
    .await;
    let (gate, kept) = gate();
    let answer = send_read_with(&gate, fast(), || call(&server.url(), Effect::Read)).await.unwrap();
    assert_eq!(answer.body, b"at last");
    assert_eq!(kept.all().len(), 4, "every attempt is on record");
}

#[tokio::test]
async fn a_read_is_tried_five_times_at_most() {
    let server = TestServer::start(|_, _| reply(503, &[], "")).await;
    let (gate, _) = gate();
    let answer = send_read_with(&gate, fast(), || call(&server.url(), Effect::Read)).await.unwrap();
    assert_eq!((answer.status, server.requests().len()), (503, 5));
}

#[tokio::test]
async fn answers_that_repetition_cannot_mend_are_returned_at_once() {
    for status in [200, 302, 400, 401, 404, 409, 500] {
        let server = TestServer::start(move |_, _| reply(status, &[], "")).await;
        let (gate, _) = gate();
        let answer = send_read_with(&gate, fast(), || call(&server.url(), Effect::Read)).await.unwrap();
        assert_eq!((answer.status, server.requests().len()), (status, 1));
    }
}

#[tokio::test]
async fn a_read_does_not_wait_longer_than_its_budget() {
    let server = TestServer::start(|_, _| reply(503, &[("retry-after", "600")], "")).await;
    let (gate, _) = gate();
    let answer = send_read_with(&gate, fast(), || call(&server.url(), Effect::Read)).await.unwrap();
    assert_eq!((answer.status, server.requests().len()), (503, 1));
}

#[tokio::test]
async fn a_write_is_never_repeated_and_not_even_sent_here() {
    let server = TestServer::start(|_, _| Act::Reset(Vec::new())).await;
    let (gate, _) = gate();
    let failure = send_read_with(&gate, fast(), || call(&server.url(), Effect::Write)).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::NotSent);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_refusal_of_the_gate_is_not_repeated() {
    let (gate, kept) = gate();
    send_read_with(&gate, fast(), || call("http://erp.example.test/", Effect::Read)).await.unwrap_err();
    assert_eq!(kept.all().len(), 1);
}
