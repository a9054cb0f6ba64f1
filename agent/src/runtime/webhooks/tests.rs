//! What becomes of deliveries: accepted once, remembered for longer than a week, and never a reason to believe.

use super::*;
use crate::clock::Clock;
use crate::secret::{Credential, Origin};
use crate::vendors::webhook::svix;
use chrono::TimeDelta;
use ring::hmac;
use secrecy::SecretString;
use std::sync::Arc;

const SECRET: [u8; 32] = [7; 32];
const KIND: WebhookKind = WebhookKind {
    verify: |delivery, secrets, _| svix::verify(delivery, secrets),
    parse,
    company: |settings| Some(settings.get("company")?.as_str()?.to_owned()),
};

/// The body is the number of records, `other`, `quiet` or nonsense.
fn parse(body: &[u8]) -> Result<Hint, String> {
    let text = String::from_utf8_lossy(body).into_owned();
    let hint =
        Hint { event: "ready".to_owned(), company: Some("c1".to_owned()), wake: true, ..Hint::default() };
    match (text.as_str(), text.parse::<usize>()) {
        (_, Ok(count)) => {
            let records = (0..count).map(|n| spend::ids::SourceId::new(format!("r{n}"))).collect();
            Ok(Hint { records, ..hint })
        }
        ("other", _) => Ok(Hint { company: Some("c2".to_owned()), ..hint }),
        ("quiet", _) => Ok(Hint { wake: false, event: "news".to_owned(), ..hint }),
        _ => Err("nonsense".to_owned()),
    }
}

struct Bench {
    store: Store,
    clock: Clock,
    connection: ConnectionId,
    flows: Vec<FlowId>,
    settings: Map<String, Value>,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual("2026-08-01T12:00:00Z".parse().unwrap());
        let keys = key::create_or_open(folder.path(), None).unwrap();
        let store = Store::open(&crate::store::dir_of(folder.path()), keys, clock.clone()).unwrap();
        let settings = Map::from_iter([("company".to_owned(), Value::from("c1"))]);
        let flows = vec![FlowId::new("cards")];
        Self { store, clock, connection: ConnectionId::new("vendor"), flows, settings, _folder: folder }
    }

    fn secrets() -> Secrets {
        let origins: Arc<[Origin]> = Arc::from([Origin::parse("https://api.example.test").unwrap()]);
        let fields = [("webhook_secret".to_owned(), SecretString::from(STANDARD.encode(SECRET)))].into();
        Secrets::of(&Credential::new("vendor", fields, origins))
    }

    /// A line signed now.
    fn line(&self, id: &str, body: &str) -> String {
        self.signed(&SECRET, id, body)
    }

    fn signed(&self, key: &[u8], id: &str, body: &str) -> String {
        let at = self.clock.now();
        let content = format!("{id}.{}.{body}", at.timestamp());
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), content.as_bytes());
        serde_json::json!({
            "received_at": at.to_rfc3339(), "body_base64": STANDARD.encode(body),
            "headers": { "Webhook-Id": id, "Webhook-Timestamp": at.timestamp().to_string(),
                         "Webhook-Signature": format!("v1,{}", STANDARD.encode(tag)) },
        })
        .to_string()
    }

    fn receive(&self, lines: &[String]) -> Vec<Receipt> {
        let reception = Reception {
            store: &self.store,
            now: self.clock.now(),
            connection: &self.connection,
            kind: &KIND,
            settings: &self.settings,
            secrets: Self::secrets(),
            flows: &self.flows,
            actor: "person:test".to_owned(),
        };
        let (receipts, batch) = reception.receive(lines).unwrap();
        self.store.commit_blocking(batch).unwrap();
        receipts
    }

    fn outcomes(&self, lines: &[String]) -> Vec<Outcome> {
        self.receive(lines).into_iter().map(|receipt| receipt.outcome).collect()
    }

    fn woken(&self) -> bool {
        memory::woken(&self.store, &self.flows[0]).unwrap().is_some()
    }

    fn audit(&self) -> Vec<AuditDraft> {
        let mut all = Vec::new();
        self.store.audit().for_each(1, |entry| all.push(entry.draft)).unwrap();
        all
    }
}

#[test]
fn a_genuine_delivery_is_accepted_once_and_known_for_longer_than_a_week() {
    let bench = Bench::new();
    let line = bench.line("msg_1", "3");
    let receipts = bench.receive(std::slice::from_ref(&line));
    assert_eq!((receipts[0].outcome, receipts[0].records), (Outcome::Accepted, 3));
    assert!(bench.woken());
    assert_eq!(bench.outcomes(&[line.clone(), line]), [Outcome::KnownAlready; 2]);
    for day in 1..=7 {
        bench.clock.advance(TimeDelta::days(1));
        // A new attempt has a new time and signature, and the same id.
        assert_eq!(bench.outcomes(&[bench.line("msg_1", "3")]), [Outcome::KnownAlready], "day {day}");
    }
    bench.clock.advance(TimeDelta::days(2));
    assert_eq!(bench.outcomes(&[bench.line("msg_2", "1")]), [Outcome::Accepted]);
    let names = bench.store.names(crate::store::StateTable::Webhook).unwrap();
    assert_eq!(names.len(), 1, "what is old is taken away: {names:?}");
    assert_eq!(bench.outcomes(&[bench.line("msg_1", "3")]), [Outcome::Accepted]);
}

#[test]
fn a_repetition_within_one_batch_is_known() {
    let bench = Bench::new();
    let (one, two) = (bench.line("msg_1", "1"), bench.line("msg_2", "1"));
    use Outcome::{Accepted, KnownAlready};
    assert_eq!(
        bench.outcomes(&[one.clone(), two.clone(), one, two]),
        [Accepted, Accepted, KnownAlready, KnownAlready]
    );
}

#[test]
fn a_forged_delivery_is_refused_audited_and_does_not_shadow_the_genuine_one() {
    let bench = Bench::new();
    let forged = bench.signed(&[8; 32], "msg_1", "3");
    let receipts = bench.receive(&[forged, "nonsense".to_owned(), String::new()]);
    let codes: Vec<_> = receipts.iter().map(|receipt| receipt.code.as_deref().unwrap()).collect();
    assert_eq!(codes, ["bad-signature", "no-delivery", "no-delivery"]);
    assert!(!bench.woken());
    let entries = bench.audit();
    assert_eq!(entries.len(), 3);
    assert!(entries.iter().all(|entry| entry.kind == AuditKind::Security && entry.actor == "person:test"));
    assert_eq!(entries[0].detail["id"], "msg_1");
    assert_eq!(bench.outcomes(&[bench.line("msg_1", "3")]), [Outcome::Accepted]);
    assert_eq!(bench.audit().last().unwrap().kind, AuditKind::Webhook);
}

#[test]
fn what_is_about_another_company_or_nothing_to_fetch_wakes_nobody() {
    let bench = Bench::new();
    let receipts = bench.receive(&[bench.line("msg_1", "other"), bench.line("msg_2", "quiet")]);
    assert!(receipts.iter().all(|receipt| receipt.outcome == Outcome::Ignored && receipt.why.is_some()));
    assert!(!bench.woken());
    assert_eq!(bench.outcomes(&[bench.line("msg_2", "quiet")]), [Outcome::KnownAlready]);
    let odd = bench.receive(&[bench.line("msg_3", "gibberish")]);
    assert_eq!(odd[0].code.as_deref(), Some("bad-event"));
    assert!(!bench.woken());
}

#[test]
fn an_empty_list_and_six_hundred_records_each_wake_once_and_only_their_number_is_kept() {
    let bench = Bench::new();
    let receipts = bench.receive(&[bench.line("msg_1", "0"), bench.line("msg_2", "600")]);
    let seen: Vec<_> = receipts.iter().map(|receipt| (receipt.outcome, receipt.records)).collect();
    assert_eq!(seen, [(Outcome::Accepted, 0), (Outcome::Accepted, 600)]);
    assert!(bench.audit().iter().all(|entry| !entry.detail.to_string().contains("r599")));
}

#[test]
fn a_connection_that_no_flow_reads_from_says_so() {
    let mut bench = Bench::new();
    bench.flows.clear();
    let receipts = bench.receive(&[bench.line("msg_1", "1")]);
    assert_eq!(receipts[0].outcome, Outcome::Ignored);
    assert!(receipts[0].why.as_deref().unwrap().contains("no flow reads from"));
}

#[tokio::test]
async fn a_wish_to_run_outlives_a_crash_and_ends_with_a_run_that_began_after_it() {
    let bench = Bench::new();
    let flow = bench.flows[0].clone();
    bench.receive(&[bench.line("msg_1", "1")]);
    let began = bench.clock.now();
    memory::ran(&bench.store, &flow, began - TimeDelta::seconds(1), began).await.unwrap();
    assert!(bench.woken(), "a run that was under way already may not have seen it");
    memory::ran(&bench.store, &flow, began, began).await.unwrap();
    assert!(!bench.woken());
    bench.receive(&[bench.line("msg_2", "1")]);
    let corrected = began - TimeDelta::days(365);
    memory::ran(&bench.store, &flow, corrected, corrected).await.unwrap();
    assert!(!bench.woken(), "noted while the clock was ahead");
}

#[test]
fn deliveries_are_sealed_on_their_way_to_the_agent() {
    let folder = tempfile::tempdir().unwrap();
    key::create_or_open(folder.path(), None).unwrap();
    let lines = vec!["{\"headers\":{\"x-push\":\"CANARY-bramble\"}}".to_owned()];
    let sealed = seal(folder.path(), &lines).unwrap();
    assert!(!sealed.contains("CANARY"));
    assert_eq!(open(folder.path(), &sealed).unwrap(), lines);
    assert!(open(folder.path(), "nonsense").is_err());
    assert!(open(folder.path(), "bm9uc2Vuc2U=").is_err());
}
