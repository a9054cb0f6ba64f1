//! What is said between agent and control plane: frozen samples, limits, and what an assertion covers.

use super::assertion::{Asserted, Assertion, Claims};
use super::command::{Outcome, Verb};
use super::enrollment::{EnrollAnswer, EnrollRequest, KeysRequest, PublicKeys};
use super::limits::{List, Text};
use super::report::ReportBody;
use super::sync::{DeliveryBody, SyncAnswer, SyncRequest};
use super::{Problem, understood};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use spend::Timestamp;

/// What version 1 looked like when it was released. These files never change: agents in the field send exactly this.
const REQUEST: &str = include_str!("samples/sync-request-1.json");
const ANSWER: &str = include_str!("samples/sync-answer-1.json");
const ENROLL: &str = include_str!("samples/enroll-1.json");

fn reads_and_writes<T: DeserializeOwned + Serialize>(sample: &str) -> T {
    let value: Value = serde_json::from_str(sample).unwrap();
    let read: T = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), value);
    read
}

fn strange(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let more = [("from-the-future".to_owned(), json!({ "a": [1, null] }))];
            fields.iter().map(|(k, v)| (k.clone(), strange(v))).chain(more).collect()
        }
        Value::Array(entries) => entries.iter().map(strange).collect(),
        other => other.clone(),
    }
}

#[test]
fn frozen_samples_of_version_1_are_read_and_written_unchanged() {
    let request: SyncRequest = reads_and_writes(REQUEST);
    assert!(request.reports.as_slice().iter().all(|report| report.body != ReportBody::Unknown));
    let answer: SyncAnswer = reads_and_writes(ANSWER);
    assert!(answer.deliveries.as_slice().iter().all(|delivery| delivery.body != DeliveryBody::Unknown));
    let enroll: Value = serde_json::from_str(ENROLL).unwrap();
    reads_and_writes::<EnrollRequest>(&enroll["request"].to_string());
    reads_and_writes::<EnrollAnswer>(&enroll["answer"].to_string());
    reads_and_writes::<KeysRequest>(&enroll["keys"].to_string());
    reads_and_writes::<Problem>(&enroll["problem"].to_string());
}

#[test]
fn fields_from_the_future_change_nothing() {
    // Maps by id are data, not fields: a strange field there is one more connection.
    let mut value: Value = serde_json::from_str(ANSWER).unwrap();
    let plain: SyncAnswer = serde_json::from_value(value.clone()).unwrap();
    value = strange(&value);
    assert_eq!(serde_json::from_value::<SyncAnswer>(value).unwrap(), plain);
    let enroll: Value = serde_json::from_str(ENROLL).unwrap();
    let plain: EnrollRequest = serde_json::from_value(enroll["request"].clone()).unwrap();
    assert_eq!(serde_json::from_value::<EnrollRequest>(strange(&enroll["request"])).unwrap(), plain);
}

#[test]
fn kinds_from_the_future_are_read_as_unknown() {
    let body: DeliveryBody = serde_json::from_value(json!({ "kind": "dance", "steps": [1, 2] })).unwrap();
    assert_eq!(body, DeliveryBody::Unknown);
    let body: ReportBody = serde_json::from_value(json!({ "kind": "dance", "steps": [1, 2] })).unwrap();
    assert_eq!(body, ReportBody::Unknown);
    let verb: Verb = serde_json::from_value(json!({ "verb": "execute", "program": "/bin/sh" })).unwrap();
    assert_eq!((verb.word(), verb), ("unknown", Verb::Unknown));
    assert_eq!(serde_json::from_value::<Outcome>(json!("danced")).unwrap(), Outcome::Unknown);
}

#[test]
fn versions_outside_of_what_is_spoken_are_answered_with_what_is() {
    assert!(understood(super::VERSION) && understood(super::OLDEST));
    assert!(!understood(super::VERSION + 1) && !understood(0));
    let problem = Problem::version(9);
    assert_eq!((problem.status, problem.versions), (400, Some([super::OLDEST, super::VERSION])));
}

#[test]
fn what_is_too_long_is_refused_when_read_and_cut_when_made() {
    assert!(serde_json::from_value::<Text<4>>(json!("12345")).is_err());
    assert_eq!(Text::<4>::from("1234").as_str(), "1234");
    assert_eq!(Text::<4>::from("12345").as_str(), "1…");
    assert_eq!(Text::<5>::from("äöü").as_str(), "ä…");
    assert!(serde_json::from_value::<List<u8, 2>>(json!([1, 2, 3])).is_err());
    assert_eq!([1, 2, 3].into_iter().collect::<List<u8, 2>>().as_slice(), [1, 2]);
}

fn claims(agent: &str, millis: i64) -> Claims {
    Claims { agent: agent.to_owned(), at: Timestamp::from_timestamp_millis(millis).unwrap(), nonce: [7; 16] }
}

#[test]
fn an_assertion_covers_every_part_of_the_request() {
    let claims = claims("a1", 1_800_000_000_000);
    let asserted = Asserted { method: "POST", path: "/v1/agent/sync", body: b"{}" };
    let message = claims.message(asserted);
    for other in [
        Asserted { method: "PUT", ..asserted },
        Asserted { path: "/v1/agent/keys", ..asserted },
        Asserted { body: b"{} ", ..asserted },
        Asserted { method: "POST/", path: "v1/agent/sync", ..asserted },
    ] {
        assert_ne!(claims.message(other), message);
    }
    for other in [
        Claims { agent: "a2".to_owned(), ..claims.clone() },
        Claims { nonce: [8; 16], ..claims.clone() },
        super::tests::claims("a1", 1_800_000_000_001),
    ] {
        assert_ne!(other.message(asserted), message);
    }
}

#[test]
fn an_assertion_is_timely_within_two_minutes() {
    let claims = claims("a1", 1_800_000_000_000);
    let after = |seconds: i64| claims.at + chrono::TimeDelta::seconds(seconds);
    assert!(claims.is_timely(after(120)) && claims.is_timely(after(-120)));
    assert!(!claims.is_timely(after(121)) && !claims.is_timely(after(-121)));
}

#[test]
fn a_fingerprint_is_that_of_both_keys() {
    let keys = PublicKeys { signing: "00".repeat(32).into(), recipient: "age1x".into() };
    assert_eq!(keys.fingerprint().len(), 49);
    assert_ne!(PublicKeys { recipient: "age1y".into(), ..keys.clone() }.fingerprint(), keys.fingerprint());
    assert_ne!(
        PublicKeys { signing: "01".repeat(32).into(), ..keys.clone() }.fingerprint(),
        keys.fingerprint()
    );
}

proptest! {
    #[test]
    fn an_assertion_is_read_as_it_was_written(
        agent in "[A-Za-z0-9-]{1,64}", millis in 0..4_000_000_000_000_i64,
        nonce: [u8; 16], half: [u8; 32],
    ) {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&half);
        signature[32..].copy_from_slice(&half);
        let at = Timestamp::from_timestamp_millis(millis).unwrap();
        let assertion = Assertion { claims: Claims { agent, at, nonce }, signature };
        prop_assert_eq!(assertion.to_string().parse::<Assertion>(), Ok(assertion));
    }

    #[test]
    fn no_header_makes_the_reader_fail_to_answer(header in ".{0,300}") {
        drop(header.parse::<Assertion>());
    }

    #[test]
    fn no_text_is_longer_than_allowed(text in ".{0,40}") {
        prop_assert!(Text::<16>::from(text).as_str().len() <= 16);
    }
}
