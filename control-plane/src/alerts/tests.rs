//! Rules, their two limits, the steps of an alert, and what is said.

use super::digest::{self, DAY, Digest};
use super::message::{Event, Told, messages, trial};
use super::rules::{AgentFacts, Condition, EVENT, Happened, Key, Thresholds, conditions, named};
use super::state::{CLEAR, Open, Step, step};
use super::*;
use crate::clock::Millis;
use purser_proto::link::report::{ConnectionReport, FlowReport, StatusReport};

const MINUTE: Millis = 60_000;
const HOUR: Millis = 60 * MINUTE;
const NOW: Millis = 1_000 * DAY;

fn facts() -> AgentFacts {
    AgentFacts { agent: "a1".into(), name: "north".into(), last_seen: NOW, ..AgentFacts::default() }
}

fn found(facts: &AgentFacts, open: &[Kind]) -> Vec<Condition> {
    conditions(facts, Thresholds::default(), 0, NOW, |key| open.contains(&key.kind))
}

fn kinds(facts: &AgentFacts, open: &[Kind]) -> Vec<Kind> {
    found(facts, open).into_iter().map(|condition| condition.key.kind).collect()
}

fn status(days: Option<i64>, held: u64) -> StatusReport {
    let mut status = StatusReport::default();
    let connection = ConnectionReport { credential_days: days, ..ConnectionReport::default() };
    status.connections.insert("erp".into(), connection);
    let flow = FlowReport { postings: [("held".to_owned(), held)].into(), ..FlowReport::default() };
    status.flows.insert("expenses".into(), flow);
    status
}

#[test]
fn a_healthy_agent_is_no_news() {
    let facts = AgentFacts { status: Some(status(Some(90), 3)), ..facts() };
    assert_eq!(found(&facts, &Kind::ALL), []);
}

#[test]
fn an_agent_is_offline_after_its_minutes_and_not_because_nobody_listened() {
    let silent = |minutes: i64| AgentFacts { last_seen: NOW - minutes * MINUTE, ..facts() };
    assert_eq!(kinds(&silent(14), &[]), []);
    let condition = &found(&silent(15), &[])[0];
    assert_eq!(condition.title, "agent north has not been heard from for 15 minutes");
    // The control plane was away itself until a minute ago: nothing new is said, and what was said stays.
    let since = NOW - MINUTE;
    let ask = |open: bool| conditions(&silent(600), Thresholds::default(), since, NOW, |_| open).len();
    assert_eq!((ask(false), ask(true)), (0, 1));
    let never = Thresholds { offline_minutes: 0, ..Thresholds::default() };
    assert!(conditions(&silent(600), never, 0, NOW, |_| false).is_empty());
}

#[test]
fn figures_have_a_limit_to_begin_and_a_better_one_to_end() {
    let with = |days, held| AgentFacts { status: Some(status(days, held)), ..facts() };
    for (days, held, new, old) in [
        (Some(15), 19, vec![], vec![Kind::CredentialExpiring]),
        (Some(16), 20, vec![], vec![Kind::Holds]),
        (Some(14), 24, vec![Kind::CredentialExpiring], vec![Kind::CredentialExpiring, Kind::Holds]),
        (None, 25, vec![Kind::Holds], vec![Kind::Holds]),
        (Some(-1), 0, vec![Kind::CredentialExpiring], vec![Kind::CredentialExpiring]),
    ] {
        assert_eq!(kinds(&with(days, held), &[]), new, "{days:?} {held}");
        assert_eq!(kinds(&with(days, held), &Kind::ALL), old, "{days:?} {held}");
    }
    let titles: Vec<_> =
        found(&with(Some(0), 30), &[]).into_iter().map(|condition| condition.title).collect();
    assert_eq!(
        titles,
        [
            "the credential of connection erp of agent north may be dead",
            "flow expenses of agent north holds 30 postings"
        ]
    );
}

#[test]
fn events_stay_for_a_day_and_tell_codes_only() {
    let event = |age: Millis| Happened {
        code: "secret-for-another-origin".into(),
        concerns: Some("erp".into()),
        at: NOW - age,
    };
    let facts = AgentFacts {
        security: vec![event(EVENT - 1), event(EVENT)],
        audit_went_back: Some(NOW - 1),
        refused_revision: Some(7),
        ..facts()
    };
    let titles: Vec<_> = found(&facts, &[]).into_iter().map(|condition| condition.title).collect();
    assert_eq!(
        titles,
        [
            "agent north reports a security event: secret-for-another-origin (erp)",
            "the audit trail of agent north is shorter than it was",
            "agent north refuses revision 7 of its configuration",
        ]
    );
}

#[test]
fn names_are_short_and_on_one_line_and_one_agent_has_so_many_alerts() {
    assert_eq!(named("a\r\nbcc: x\u{7}"), "a  bcc: x");
    assert_eq!(named(&"x".repeat(1000)).len(), 128);
    let mut status = StatusReport::default();
    for number in 0..200 {
        let flow = FlowReport { postings: [("held".to_owned(), 99)].into(), ..FlowReport::default() };
        status.flows.insert(format!("f{number}"), flow);
    }
    assert_eq!(found(&AgentFacts { status: Some(status), ..facts() }, &[]).len(), 50);
}

#[test]
fn an_alert_opens_is_noted_repeated_and_resolved_only_when_it_has_been_well_for_a_while() {
    let open = |seen: Millis, told: Millis| Some(Open { seen_at: NOW - seen, told_at: NOW - told });
    for (open, wrong, repeat, expected) in [
        (None, true, HOUR, Step::Open),
        (None, false, HOUR, Step::Rest),
        (open(0, 0), true, HOUR, Step::Rest),
        (open(MINUTE, MINUTE), true, HOUR, Step::Note),
        (open(0, HOUR - 1), true, HOUR, Step::Rest),
        (open(0, HOUR), true, HOUR, Step::Repeat),
        (open(MINUTE, 100 * HOUR), true, 0, Step::Note),
        (open(CLEAR - 1, HOUR), false, HOUR, Step::Rest),
        (open(CLEAR, HOUR), false, HOUR, Step::Resolve),
    ] {
        assert_eq!(step(open, wrong, repeat, NOW), expected, "{open:?} {wrong}");
    }
}

fn told(number: usize, kind: Kind) -> Told {
    Told {
        alert: format!("l{number}"),
        kind,
        agent: format!("a{number}"),
        agent_name: format!("agent {number}"),
        concerns: String::new(),
        title: format!("agent {number} has not been heard from for 15 minutes"),
        since: NOW,
    }
}

#[test]
fn a_few_alerts_are_told_one_by_one_and_many_together() {
    let few = (0..9).map(|number| (Event::Opened, told(number, Kind::AgentOffline))).collect();
    let few = messages("t1", few, NOW);
    assert_eq!(few.len(), 9);
    assert_eq!(few[0].subject, "[Purser] agent 0 has not been heard from for 15 minutes");
    let json: serde_json::Value = serde_json::from_str(&few[0].json).unwrap();
    assert_eq!(json["type"], "alert.opened");
    assert_eq!(json["timestamp"], "1972-09-27T00:00:00+00:00");
    assert_eq!(json["data"]["kind"], "agent-offline");
    assert_eq!(json["data"]["agent"], "a0");
    assert_eq!(json["data"]["tenant"], "t1");
    let many = (0..300).map(|number| (Event::Opened, told(number, Kind::AgentOffline)));
    let many = many.chain([(Event::Resolved, told(1, Kind::Holds))]).collect();
    let many = messages("t1", many, NOW);
    assert_eq!(many.len(), 2);
    assert_eq!(many[0].subject, "[Purser] 300 agents have not been heard from");
    assert!(many[0].text.ends_with("- and 280 more\n"), "{}", many[0].text);
    let json: serde_json::Value = serde_json::from_str(&many[0].json).unwrap();
    assert_eq!(
        (json["data"]["count"].as_u64(), json["data"]["alerts"].as_array().unwrap().len()),
        (Some(300), 20)
    );
    assert!(many[1].subject.starts_with("[Purser] resolved: "));
    assert!(trial("t1", NOW).json.contains("\"alert.trial\""));
}

#[test]
fn a_digest_is_due_once_a_day_after_its_hour() {
    let today = NOW.div_euclid(DAY);
    assert!(!digest::is_due(None, 0, NOW));
    assert!(!digest::is_due(Some(7), today - 1, NOW + 7 * HOUR - 1));
    assert!(digest::is_due(Some(7), today - 1, NOW + 7 * HOUR));
    assert!(!digest::is_due(Some(7), today, NOW + 8 * HOUR));
    let digest = Digest {
        agents: 12,
        offline: 1,
        postings: [("acknowledged".to_owned(), 340), ("held".to_owned(), 4)].into(),
        open: [("agent-offline", 1)].into(),
        titles: vec!["agent north has not been heard from for 40 minutes".into()],
    };
    let message = digest::message("t1", "Example", &digest, NOW);
    assert_eq!(message.subject, "[Purser] Example: 12 agents, 1 open alerts");
    assert_eq!(
        message.text,
        "Example, 1972-09-27\n\nAgents: 12 (1 not heard from)\nPostings: 340 acknowledged, 4 held\nOpen alerts: 1\n  1 agents \
         have not been heard from\n\n- agent north has not been heard from for 40 minutes\n"
    );
}

#[test]
fn words_of_kinds_are_read_back() {
    for kind in Kind::ALL {
        assert_eq!(Kind::of(kind.word()), Some(kind));
    }
    assert_eq!(Kind::of("weather"), None);
    let key = |kind| Key { kind, agent: String::new(), concerns: String::new() };
    assert!(key(Kind::AgentOffline) < key(Kind::Holds));
}
