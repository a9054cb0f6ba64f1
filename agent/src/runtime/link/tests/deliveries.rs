//! What is delivered: each once, however often it comes, and nothing beyond what the machine allows.

use super::bench::{Bench, CANARY};
use crate::config::revisions::in_force;
use crate::secret::Origin;
use crate::store::{AuditKind, HandedSecret, StoredSecret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde_json::{Value, json};

const REVISION: &str = "version = 1\n[[connection]]\nid = \"cards\"\nkind = \"brex\"\n\
                        url = \"https://cards.example.test\"\n[[connection]]\nid = \"erp\"\nkind = \"epicor\"\n\
                        url = \"https://erp.example.test/site\"\n";

fn revision(number: u64, toml: &str) -> Value {
    json!({
        "number": number, "toml": toml, "hash": blake3::hash(toml.as_bytes()).to_hex().to_string(),
        "by": "ann", "note": "first", "at": "2026-08-10T11:00:00Z",
    })
}

fn command(verb: Value) -> Value {
    json!({ "by": "ann", "reason": "month end", "expires": "2026-08-10T13:00:00Z", "verb": verb })
}

pub(super) fn handed(bench: &Bench, change: impl FnOnce(&mut HandedSecret)) -> Value {
    let (recipient, fingerprint) = {
        let state = bench.plane.lock();
        (state.recipient.clone(), state.fingerprint.clone())
    };
    let mut handed = HandedSecret {
        agent: "a1".to_owned(),
        fingerprint,
        name: "erp".to_owned(),
        connection: "erp".to_owned(),
        sealed_at: Some(bench.clock.now()),
        secret: StoredSecret {
            kind: "epicor".to_owned(),
            origins: vec![Origin::parse("https://erp.example.test").unwrap()],
            fields: [("password".to_owned(), SecretString::from(CANARY))].into(),
        },
    };
    change(&mut handed);
    json!({ "name": "erp", "armored": handed.seal(&recipient).unwrap(), "by": "ann" })
}

fn webhook(bench: &Bench, outside: &str, inside: &str, agent: &str) -> Value {
    let recipient: age::x25519::Recipient = bench.plane.lock().recipient.parse().unwrap();
    let received = json!({
        "agent": agent, "connection": inside, "received_at": "2026-08-10T11:59:00Z",
        "headers": { "svix-id": "m1" }, "body_base64": STANDARD.encode(CANARY),
    });
    let sealed = age::encrypt(&recipient, received.to_string().as_bytes()).unwrap();
    json!({ "connection": outside, "sealed": STANDARD.encode(sealed) })
}

fn kinds(bench: &Bench) -> Vec<AuditKind> {
    let mut kinds = Vec::new();
    bench.store.audit().for_each(0, |entry| kinds.push(entry.draft.kind)).unwrap();
    kinds
}

#[actix_rt::test]
async fn each_delivery_has_its_effect_once_however_often_it_comes() {
    let mut bench = Bench::start().await;
    bench.plane.deliver("d1", "revision", revision(1, REVISION));
    bench.plane.deliver("d2", "secret", handed(&bench, |_| {}));
    bench.plane.deliver("d3", "webhook", webhook(&bench, "cards", "cards", "a1"));
    bench.plane.deliver("d4", "webhook", webhook(&bench, "cards", "cards", "a1"));
    bench.plane.deliver("d5", "command", command(json!({ "verb": "pause", "flow": "cards" })));
    bench.plane.deliver("d6", "release", json!({ "version": "9.9.9", "manifest": "https://x.example.test" }));
    bench.plane.deliver("d7", "dance", json!({ "steps": 3 }));
    bench.plane.lock().repeat = true;
    bench.settle().await;
    let first = (bench.asked().await, bench.plane.lock().reports.len(), kinds(&bench).len());
    let order = r#"{"order":"pause","flow":"cards","paused":true,"decision":{"by":"control-plane:ann","note":"month end"}}"#;
    assert_eq!(first.0, ["renew", "secret erp", "2 webhook(s) of cards", order]);
    let taken = bench.plane.lock().taken.clone();
    assert_eq!(taken.len(), 7, "{taken:?}");
    bench.settle().await;
    bench.restart();
    bench.settle().await;
    let again = (bench.asked().await, bench.plane.lock().reports.len(), kinds(&bench).len());
    assert_eq!(again, first);
    assert_eq!(in_force(&bench.store).unwrap().unwrap().number, 1);
    assert_eq!(bench.plane.told("revision"), [json!({ "kind": "revision", "number": 1 })]);
    assert_eq!(bench.plane.told("secret")[0]["delivery"], "d2");
    assert_eq!(bench.plane.told("webhook").len(), 2);
    assert_eq!(bench.plane.told("result")[0]["result"]["outcome"], "done");
    let codes: Vec<Value> = bench.plane.told("notice").iter().map(|notice| notice["code"].clone()).collect();
    assert_eq!(codes, ["release-told", "delivery-unknown"]);
    assert!(!bench.sent().contains(CANARY) && !bench.sent().contains(&STANDARD.encode(CANARY)));
    assert_eq!(bench.plane.lock().syncs.last().unwrap()["in_force"]["number"], 1);
}

#[actix_rt::test]
async fn a_refused_revision_leaves_the_last_good_one_in_force_and_names_every_finding() {
    let bench = Bench::start().await;
    bench.plane.deliver("d1", "revision", revision(5, REVISION));
    let evil = REVISION.replace("https://erp.example.test", "https://evil.example.test");
    bench.plane.deliver("d2", "revision", revision(6, &evil));
    bench.plane.deliver("d3", "revision", revision(7, "version = 1\n[[flow]]\nid = \"x\"\n"));
    bench.plane.deliver("d4", "revision", revision(4, REVISION));
    let mut torn = revision(8, REVISION);
    torn["hash"] = "00".into();
    bench.plane.deliver("d5", "revision", torn);
    bench.settle().await;
    assert_eq!(in_force(&bench.store).unwrap().unwrap().number, 5);
    assert_eq!(bench.asked().await, ["renew"]);
    let told = bench.plane.told("revision");
    let refused: Vec<usize> =
        told.iter().map(|verdict| verdict["refused"].as_array().map_or(0, Vec::len)).collect();
    assert_eq!((refused[0], refused[1], refused[3], refused[4]), (0, 1, 1, 1));
    assert!(refused[2] >= 1);
    assert_eq!(told[1]["refused"][0]["path"], "connection[1].url");
    let notices = bench.plane.told("notice");
    assert_eq!((notices.len(), notices[0]["code"].as_str()), (1, Some("revision-beyond-guard-rails")));
    assert!(kinds(&bench).contains(&AuditKind::Security));
    // Going back is a new revision with the old text.
    bench.plane.deliver("d6", "revision", revision(9, REVISION));
    bench.settle().await;
    assert_eq!(in_force(&bench.store).unwrap().unwrap().number, 9);
}

#[actix_rt::test]
async fn guard_rails_that_cannot_be_read_refuse_whatever_comes() {
    let bench = Bench::start().await;
    bench.rails("version = 1\ncompanys = []\n");
    bench.plane.deliver("d1", "revision", revision(1, REVISION));
    bench.plane.deliver("d2", "command", command(json!({ "verb": "run", "flow": "cards" })));
    bench.settle().await;
    assert_eq!(in_force(&bench.store).unwrap(), None);
    assert!(bench.asked().await.is_empty());
    assert_eq!(bench.plane.told("result")[0]["result"]["outcome"], "refused");
}

/// Each row: what is wrong with the secret, and whether that is told as a matter of security.
#[actix_rt::test]
async fn a_secret_is_stored_only_where_everything_about_it_fits() {
    type Change = fn(&mut HandedSecret);
    let rows: Vec<(&str, Change, &str, bool)> = vec![
        ("agent", |h| h.agent = "a2".to_owned(), "another agent", true),
        ("fingerprint", |h| h.fingerprint = "0000".to_owned(), "fingerprint", false),
        ("connection", |h| h.connection = "none".to_owned(), "no connection", false),
        ("kind", |h| h.secret.kind = "brex".to_owned(), "another kind", true),
        ("name", |h| h.name = "other".to_owned(), "no secret of that name", true),
        (
            "origin",
            |h| h.secret.origins = vec![Origin::parse("https://evil.example.test").unwrap()],
            "not where connection",
            true,
        ),
        (
            "one more origin",
            |h| h.secret.origins.push(Origin::parse("https://erp.example.test:8443").unwrap()),
            "not where connection",
            true,
        ),
        ("no origin", |h| h.secret.origins.clear(), "no origin", false),
        (
            "field",
            |h| h.secret.fields = [(CANARY.to_owned(), SecretString::from("x"))].into(),
            "not known",
            false,
        ),
    ];
    let bench = Bench::start().await;
    for (n, (_, change, _, _)) in rows.iter().enumerate() {
        bench.plane.deliver(&format!("d{n}"), "secret", handed(&bench, change));
    }
    bench.plane.deliver("torn", "secret", json!({ "name": "erp", "armored": "not armored", "by": "ann" }));
    bench.settle().await;
    assert!(bench.asked().await.is_empty() && bench.store.secrets().unwrap().is_empty());
    let told = bench.plane.told("secret");
    for ((what, _, why, _), told) in rows.iter().zip(&told) {
        assert!(told["refused"].as_str().unwrap().contains(why), "{what}: {told}");
    }
    assert_eq!(told.len(), rows.len() + 1);
    let foreign = rows.iter().filter(|(_, _, _, foreign)| *foreign).count();
    assert_eq!(bench.plane.told("notice").len(), foreign);
    assert_eq!(kinds(&bench).iter().filter(|kind| **kind == AuditKind::Security).count(), foreign);
    assert!(!bench.sent().contains(CANARY));
}

/// Each row: what was handed in, how long after noon it was sealed, and why it is refused.
#[actix_rt::test]
async fn an_old_sealed_secret_does_not_come_again_however_it_is_handed_in() {
    let bench = Bench::start().await;
    let sealed = |minutes: Option<i64>, value: &str| {
        let at = minutes.map(|minutes| bench.clock.now() + chrono::TimeDelta::minutes(minutes));
        handed(&bench, |handed| {
            handed.sealed_at = at;
            handed.secret.fields = [("password".to_owned(), SecretString::from(value))].into();
        })
    };
    let (first, held_back, second) = (sealed(Some(1), "1"), sealed(Some(2), "2"), sealed(Some(3), "3"));
    let mut spread = second.clone();
    spread["armored"] = spread["armored"].as_str().unwrap().replace('\n', "\r\n").into();
    let rows = [
        (first.clone(), None),
        (second, None),
        (first, Some("old secret")),
        (held_back, Some("old secret")),
        (spread, Some("old secret")),
        (sealed(None, "1"), Some("does not say when")),
        (sealed(Some(60), "4"), Some("set the clocks")),
    ];
    for (n, (body, _)) in rows.iter().enumerate() {
        bench.plane.deliver(&format!("d{n}"), "secret", body.clone());
    }
    bench.settle().await;
    let told = bench.plane.told("secret");
    for ((_, why), told) in rows.iter().zip(&told) {
        let refused = told["refused"].as_str();
        assert_eq!(refused.is_some(), why.is_some(), "{told}");
        assert!(refused.unwrap_or_default().contains(why.unwrap_or_default()), "{told}");
    }
    assert_eq!(bench.asked().await, ["secret erp", "secret erp"], "two are stored");
    assert_eq!(told.len(), rows.len());
    let codes: Vec<Value> = bench.plane.told("notice").iter().map(|notice| notice["code"].clone()).collect();
    assert_eq!(codes, vec![Value::from("secret-replayed"); 4]);
    assert_eq!(kinds(&bench).iter().filter(|kind| **kind == AuditKind::Security).count(), 4);
    // What a person sets on the machine is not undone by what was sealed before.
    bench.clock.advance(chrono::TimeDelta::minutes(20));
    let by = crate::flows::replay::Decision { by: "ann".to_owned(), note: String::new() };
    let removed = crate::runtime::obey::removing(bench.clock.now(), "erp", &by);
    bench.store.commit_blocking(removed).unwrap();
    bench.plane.deliver("late", "secret", sealed(Some(-1), "5"));
    bench.plane.deliver("new", "secret", sealed(Some(1), "6"));
    bench.settle().await;
    assert_eq!(bench.asked().await.len(), 3);
    assert!(bench.plane.told("secret")[rows.len()]["refused"].is_string());
}

/// Each row: how long after what the person has set it was sealed, and whether it is stored in the end.
#[actix_rt::test]
async fn what_a_person_sets_while_a_sealed_secret_is_about_to_be_stored_is_not_undone() {
    for (seconds, stored) in [(-1, "by hand"), (1, "from afar")] {
        let bench = Bench::start().await;
        let with = |value: &str| {
            handed(&bench, |handed| {
                handed.sealed_at = Some(bench.clock.now() + chrono::TimeDelta::seconds(seconds));
                handed.secret.fields = [("password".to_owned(), SecretString::from(value))].into();
            })
        };
        let by = crate::flows::replay::Decision { by: "ann".to_owned(), note: String::new() };
        let secret = StoredSecret {
            kind: "epicor".to_owned(),
            origins: vec![Origin::parse("https://erp.example.test").unwrap()],
            fields: [("password".to_owned(), SecretString::from("by hand"))].into(),
        };
        let set = crate::runtime::obey::putting(bench.clock.now(), "erp", secret, &by);
        *bench.meanwhile.borrow_mut() = Some(set);
        bench.plane.deliver("d1", "secret", with("from afar"));
        bench.settle().await;
        assert!(bench.plane.told("secret").is_empty(), "it is judged again before anything is said");
        bench.settle().await;
        let credential = bench.store.secret("erp").unwrap().unwrap();
        assert_eq!(credential.get("password").unwrap().expose(), stored);
        let told = bench.plane.told("secret");
        assert_eq!((told.len(), told[0]["refused"].is_string()), (1, seconds < 0), "{told:?}");
    }
}

#[actix_rt::test]
async fn a_secret_for_a_place_that_the_machine_does_not_allow_is_refused() {
    let bench = Bench::start().await;
    bench.rails("version = 1\norigins = [\"https://cards.example.test\"]\n");
    bench.plane.deliver("d1", "secret", handed(&bench, |_| {}));
    bench.settle().await;
    let told = bench.plane.told("secret");
    assert!(told[0]["refused"].as_str().unwrap().contains("guard rails"), "{told:?}");
    assert!(bench.store.secrets().unwrap().is_empty());
}

#[actix_rt::test]
async fn a_stored_secret_is_audited_in_the_name_of_who_handed_it_in() {
    let bench = Bench::start().await;
    bench.plane.deliver("d1", "secret", handed(&bench, |_| {}));
    bench.settle().await;
    let stored = bench.store.secrets().unwrap();
    assert_eq!(
        (stored[0].name.as_str(), stored[0].origins.as_slice()),
        ("erp", ["https://erp.example.test:443".to_owned()].as_slice())
    );
    let mut actors = Vec::new();
    bench
        .store
        .audit()
        .for_each(0, |entry| {
            if entry.draft.kind == AuditKind::Secret {
                actors.push(entry.draft.actor);
            }
        })
        .unwrap();
    assert_eq!(actors, ["control-plane:ann"]);
}

#[actix_rt::test]
async fn a_webhook_that_says_other_things_inside_than_outside_is_refused() {
    let bench = Bench::start().await;
    bench.plane.deliver("d1", "webhook", webhook(&bench, "cards", "erp", "a1"));
    bench.plane.deliver("d2", "webhook", webhook(&bench, "cards", "cards", "a2"));
    bench.plane.deliver("d3", "webhook", json!({ "connection": "cards", "sealed": "AAAA" }));
    bench.plane.deliver("d4", "webhook", json!({ "connection": "cards", "sealed": "%" }));
    bench.settle().await;
    assert!(bench.asked().await.is_empty());
    let codes: Vec<Value> = bench.plane.told("webhook").iter().map(|told| told["code"].clone()).collect();
    assert_eq!(codes, ["other-connection-inside", "not-for-this-agent", "not-for-this-agent", "not-sealed"]);
}

#[actix_rt::test]
async fn a_command_is_obeyed_when_it_is_allowed_known_and_in_time() {
    let bench = Bench::start().await;
    let late = json!({ "by": "ann", "reason": "x", "expires": "2026-08-10T12:00:00Z", "verb": { "verb": "diagnostics" } });
    bench.plane.deliver("d1", "command", late);
    bench.plane.deliver(
        "d2",
        "command",
        command(json!({ "verb": "handle", "flow": "cards", "posting": "p" })),
    );
    bench.plane.deliver("d3", "command", command(json!({ "verb": "execute", "program": "/bin/sh" })));
    bench.plane.deliver("d4", "command", command(json!({ "verb": "run", "flow": "cards" })));
    bench.plane.deliver("d5", "command", command(json!({ "verb": "diagnostics" })));
    bench.settle().await;
    let outcomes: Vec<(String, String)> = bench
        .plane
        .told("result")
        .iter()
        .map(|told| {
            (
                told["delivery"].as_str().unwrap().to_owned(),
                told["result"]["outcome"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let pair = |id: &str, outcome: &str| (id.to_owned(), outcome.to_owned());
    assert_eq!(
        outcomes,
        [
            pair("d1", "expired"),
            pair("d2", "refused"),
            pair("d3", "refused"),
            pair("d4", "done"),
            pair("d5", "done"),
        ]
    );
    assert_eq!(bench.asked().await, [r#"{"order":"run","flow":"cards"}"#]);
    let results = bench.plane.told("result");
    assert!(results[1]["result"]["words"].as_str().unwrap().contains("guard-rails.toml"));
    assert_eq!(
        results[3]["result"]["words"],
        "3 read, 2 posted, 1 held; 1 trouble(s), see `purser status` on the machine"
    );
    let bundle: Value = serde_json::from_str(results[4]["result"]["detail"].as_str().unwrap()).unwrap();
    assert_eq!(bundle["status"]["Ok"]["agent_version"], "1");
    assert!(!bench.sent().contains(CANARY), "nothing that a record contains");
    let decisions = kinds(&bench).iter().filter(|kind| **kind == AuditKind::Decision).count();
    assert_eq!(decisions, 5 + 2, "each, and how those that were obeyed ended");
}

#[actix_rt::test]
async fn a_command_that_was_begun_when_the_process_died_is_carried_out_by_the_next() {
    let mut bench = Bench::start().await;
    bench.plane.deliver("d1", "command", command(json!({ "verb": "resume", "flow": "cards" })));
    // It is taken, and nothing more.
    bench.exchange.round().await;
    assert!(bench.asked().await.is_empty());
    bench.restart();
    bench.exchange.take_up_commands().unwrap();
    bench.carry_out().await;
    bench.settle().await;
    assert_eq!((bench.asked().await.len(), bench.plane.told("result").len()), (1, 1));
    bench.restart();
    bench.exchange.take_up_commands().unwrap();
    bench.carry_out().await;
    assert_eq!(bench.asked().await.len(), 1, "once");
}

#[actix_rt::test]
async fn rotated_keys_are_told_and_open_what_was_sealed_before() {
    let bench = Bench::start().await;
    let before = webhook(&bench, "cards", "cards", "a1");
    bench.plane.deliver("d1", "command", command(json!({ "verb": "rotate-keys" })));
    bench.settle().await;
    let told = bench.plane.told("result").pop().unwrap();
    let fingerprint = bench.exchange.keys().current.public().fingerprint();
    assert!(told["result"]["words"].as_str().unwrap().contains(&fingerprint));
    bench.plane.deliver("d2", "webhook", before);
    bench.settle().await;
    assert_eq!(bench.plane.told("webhook")[0]["outcome"], "accepted");
}
