//! Words that must not leave the machine, planted wherever something could say them, and every kind of message that goes up.

use super::bench::{Bench, CANARY};
use crate::flows::preview::{Preview, PreviewLine, Would};
use crate::flows::replay::Decided;
use crate::runtime::audit_log::AuditLog;
use crate::runtime::commands::Obeyed;
use crate::runtime::link::reports::Watched;
use crate::store::tests::samples::{in_state, posting};
use crate::store::{Batch, RunReport};
use crate::vendors::http::{CallContext, CallLog as _, CallRecord};
use crate::vendors::{ProbeResult, Unreadable, Verdict};
use serde_json::{Value, json};
use spend::finding::{Finding, FindingCode};
use spend::posting::{Hold, PostingState};
use std::sync::Arc;

/// In what is said of records.
const RECORD: &str = "CANARY-heron";
/// An amount, in minor units.
const AMOUNT: u32 = 777_122;
/// A ceiling of this machine.
const CEILING: &str = "31313.00";

fn finding() -> Finding {
    let code = FindingCode::AccountUnknown;
    Finding::document(code, "account", RECORD, format!("{RECORD} is not known"), format!("add {RECORD}"))
}

fn preview() -> Preview {
    let record = posting(AMOUNT);
    let line = |would| PreviewLine {
        source_id: record.source_id.clone(),
        title: RECORD.to_owned(),
        owner: RECORD.to_owned(),
        approved: None,
        total: record.total,
        would,
        notes: vec![finding()],
    };
    Preview {
        lines: vec![
            line(Would::Hold { findings: vec![finding()] }),
            line(Would::Unknown { why: RECORD.to_owned() }),
            line(Would::Post { plan: record.plan.clone().map(Arc::unwrap_or_clone).map(Box::new).unwrap() }),
        ],
        unreadable: vec![Unreadable { source_id: None, message: RECORD.to_owned() }],
        plan_hash: "x".to_owned(),
    }
}

/// Every answer of the agent that has words in it.
fn answers() -> Vec<Obeyed> {
    let report = RunReport { read: 3, errors: vec![RECORD.to_owned()], ..RunReport::default() };
    let probe = ProbeResult {
        check: "company".to_owned(),
        verdict: Verdict::Fail,
        detail: format!("{CANARY} answers"),
        fix: format!("look at {CANARY}"),
    };
    vec![
        Obeyed::Refused { why: format!("the posting log refused: cannot open /{CANARY}/x") },
        Obeyed::Ran { report },
        Obeyed::Previewed { preview: preview() },
        Obeyed::Changed { preview: preview() },
        Obeyed::Probed { results: vec![probe] },
        Obeyed::Decided { decided: Decided::Refused { why: format!("{RECORD} is booked") } },
        Obeyed::Decided { decided: Decided::StillHeld { findings: vec![finding()] } },
    ]
}

fn command(verb: Value) -> Value {
    json!({ "by": "ann", "reason": "x", "expires": "2026-08-10T13:00:00Z", "verb": verb })
}

fn astray() -> CallRecord {
    CallRecord {
        at: "2026-08-10T12:00:00Z".parse().unwrap(),
        connection: "erp".into(),
        operation: "x".to_owned(),
        method: "GET".to_owned(),
        url: String::new(),
        request_headers: Vec::new(),
        request_body: String::new(),
        status: None,
        answer_body: String::new(),
        duration_ms: 0,
        error: Some(format!("the call goes to https://{CANARY}.example.test")),
        security_event: true,
        context: CallContext::default(),
    }
}

/// Has every kind of report made, of an agent whose every word is planted.
async fn everything(rails: &str) -> Bench {
    let bench = Bench::start().await;
    bench.rails(rails);
    let hold = Hold { findings: vec![finding()], since: bench.clock.now(), in_doubt: false };
    let mut batch = Batch::new();
    batch.put_posting(in_state(posting(AMOUNT), PostingState::Held(hold)));
    bench.store.commit_blocking(batch).unwrap();
    AuditLog { store: bench.store.clone(), home: bench.home.path().to_owned() }.record(astray());
    bench.exchange.look(&mut Watched::default()).await.unwrap();
    for (n, answer) in answers().into_iter().enumerate() {
        bench.answers.borrow_mut().push_back(answer);
        bench.plane.deliver(
            &format!("c{n}"),
            "command",
            command(json!({ "verb": "preview", "flow": "cards" })),
        );
        bench.settle().await;
    }
    bench.plane.deliver("v1", "command", command(json!({ "verb": "diagnostics" })));
    let toml = format!("{}[guard_rails]\nmax_per_document = {{ USD = \"9999999.00\" }}\n", super::bench::OWN);
    let hash = blake3::hash(toml.as_bytes()).to_hex().to_string();
    let revision =
        json!({ "number": 1, "toml": toml, "hash": hash, "by": "ann", "at": "2026-08-10T11:00:00Z" });
    bench.plane.deliver("r1", "revision", revision);
    bench.plane.deliver("s1", "secret", json!({ "name": "erp", "armored": "x", "by": "ann" }));
    bench.plane.deliver("w1", "webhook", json!({ "connection": "cards", "sealed": "x" }));
    bench.plane.deliver("l1", "release", json!({ "version": "9.9.9", "manifest": "https://x.example.test" }));
    bench.plane.deliver("u1", "dance", json!({}));
    bench.settle().await;
    // The configuration cannot be read any more, and says so with its path.
    bench.rails(&format!("{rails}nonsense = \"{CANARY}\"\n"));
    bench.plane.deliver("c-rails", "command", command(json!({ "verb": "diagnostics" })));
    let again = json!({ "number": 2, "toml": toml, "hash": hash, "by": "ann", "at": "2026-08-10T11:00:00Z" });
    bench.plane.deliver("r2", "revision", again);
    bench.plane.deliver("s2", "secret", super::deliveries::handed(&bench, |_| {}));
    bench.exchange.look(&mut Watched::default()).await.unwrap();
    bench.settle().await;
    bench.rails(rails);
    bench.plane.deliver("v2", "command", command(json!({ "verb": "rotate-keys" })));
    bench.settle().await;
    bench
}

fn said(bench: &Bench) -> String {
    let sent = bench.sent();
    for kind in ["status", "result", "revision", "secret", "webhook", "notice"] {
        assert!(!bench.plane.told(kind).is_empty(), "no {kind} was told");
    }
    sent
}

fn rails(visibility: &str) -> String {
    format!("version = 1\nvisibility = \"{visibility}\"\nmax_per_document = {{ USD = \"{CEILING}\" }}\n")
}

#[actix_rt::test]
async fn counts_let_out_no_word_and_no_amount() {
    let bench = everything(&rails("counts")).await;
    let sent = said(&bench);
    for secret in [CANARY, RECORD, "777123", "R00777122", "31313", "31,313", "account-unknown"] {
        assert!(!sent.contains(secret), "{secret} left the machine: {}", around(&sent, secret));
    }
    // On the machine it is all there.
    let mut trail = String::new();
    bench.store.audit().for_each(0, |entry| trail.push_str(&entry.draft.detail.to_string())).unwrap();
    for kept in ["the posting log refused: cannot open", "is booked", "31313"] {
        assert!(trail.contains(kept), "{kept}");
    }
}

#[actix_rt::test]
async fn a_summary_lets_out_words_about_the_machine_reasons_and_sums_and_no_record() {
    let bench = everything(&rails("summary")).await;
    let sent = said(&bench);
    for shown in [CANARY, "777123", "31313", "account-unknown"] {
        assert!(sent.contains(shown), "{shown} may be said");
    }
    for secret in [RECORD, "R00777122"] {
        assert!(!sent.contains(secret), "{secret} left the machine: {}", around(&sent, secret));
    }
}

#[actix_rt::test]
async fn detail_lets_records_out() {
    let bench = everything(&rails("detail")).await;
    let sent = said(&bench);
    for shown in [CANARY, RECORD, "777123", "R00777122"] {
        assert!(sent.contains(shown), "{shown} may be said");
    }
}

/// What stands around it.
fn around(text: &str, what: &str) -> String {
    let at = text.find(what).unwrap_or_default();
    let before: String = text[..at].chars().rev().take(300).collect::<Vec<_>>().into_iter().rev().collect();
    before + &text[at..].chars().take(100).collect::<String>()
}
