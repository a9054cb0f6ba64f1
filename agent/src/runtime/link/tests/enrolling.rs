//! Enrolling, new keys, and who is believed.

use super::bench::{Bench, wish};
use super::plane::{Plane, problem};
use crate::clock::Clock;
use crate::config::revisions::{Kept, keep, known};
use crate::runtime::link::enroll::{EnrollError, Enrolled, enroll};
use crate::runtime::link::exchange::Round;
use crate::runtime::link::identity::are_old;
use crate::runtime::link::status::LinkState;
use crate::store::{Batch, Store, dir_of, key};
use serde_json::json;
use spend::Timestamp;

fn clock() -> Clock {
    Clock::manual("2026-08-10T12:00:00Z".parse().unwrap())
}

#[actix_rt::test]
async fn a_code_is_traded_for_an_identity_by_who_holds_the_keys() {
    let plane = Plane::start().await;
    let enrolled = enroll(wish(&plane.url, " AAAA-BBBB \n"), &clock()).await.unwrap();
    assert_eq!((enrolled.enrollment.agent.as_str(), enrolled.enrollment.tenant.as_str()), ("a1", "works"));
    let public = enrolled.keys.current.public();
    {
        let state = plane.lock();
        assert_eq!(
            (state.fingerprint.clone(), state.recipient.clone()),
            (public.fingerprint(), public.recipient.to_string())
        );
    }
    let error = enroll(wish(&plane.url, "AAAA-BBBB"), &clock()).await.unwrap_err().to_string();
    assert!(error.contains("code-used") && error.contains("ask for a new one"), "{error}");
}

#[actix_rt::test]
async fn why_an_agent_could_not_enroll_is_told_with_its_mend() {
    let plane = Plane::start().await;
    plane.lock().refuse = Some((401, problem(401, "clock-skewed")));
    plane.lock().date = Some("Mon, 10 Aug 2026 13:00:00 GMT".to_owned());
    let error = enroll(wish(&plane.url, "AAAA-BBBB"), &clock()).await.unwrap_err().to_string();
    for part in ["3600 s apart", "2026-08-10 12:00:00", "2026-08-10 13:00:00", "NTP"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    plane.lock().refuse =
        Some((400, json!({ "code": "version", "status": 400, "title": "too old", "versions": [2, 3] })));
    let error = enroll(wish(&plane.url, "AAAA-BBBB"), &clock()).await.unwrap_err().to_string();
    assert!(error.contains("update the older"), "{error}");
    plane.lock().refuse = Some((200, json!("<html>sign in</html>")));
    let error = enroll(wish(&plane.url, "AAAA-BBBB"), &clock()).await.unwrap_err().to_string();
    assert!(error.contains("no message of the link"), "{error}");
    let error = enroll(wish("http://127.0.0.1:1", "x"), &clock()).await.unwrap_err();
    assert!(matches!(&error, EnrollError::Unreachable { why } if why.starts_with("tcp:")), "{error}");
    let error = enroll(wish("https://nowhere.invalid", "x"), &clock()).await.unwrap_err().to_string();
    assert!(error.contains("dns:") && error.contains("could not be resolved"), "{error}");
}

#[actix_rt::test]
async fn an_identity_goes_to_a_running_agent_sealed() {
    let plane = Plane::start().await;
    let home = tempfile::tempdir().unwrap();
    key::create_or_open(home.path(), None).unwrap();
    let enrolled = enroll(wish(&plane.url, "AAAA-BBBB"), &clock()).await.unwrap();
    let sealed = enrolled.seal(home.path()).unwrap();
    let opened = Enrolled::open(home.path(), &sealed).unwrap();
    assert_eq!(opened.enrollment, enrolled.enrollment);
    assert_eq!(opened.keys.current.public(), enrolled.keys.current.public());
    let other = tempfile::tempdir().unwrap();
    key::create_or_open(other.path(), None).unwrap();
    assert!(Enrolled::open(other.path(), &sealed).is_err());
}

#[actix_rt::test]
async fn keys_are_replaced_and_a_lost_answer_costs_nothing() {
    let bench = Bench::start().await;
    bench.settle().await;
    let first = bench.exchange.keys().current.public();
    bench.exchange.rotate().await.unwrap();
    bench.settle().await;
    let second = bench.exchange.keys().current.public();
    assert_ne!(first, second);
    assert_eq!(
        bench.plane.lock().signing,
        [second.signing.to_string()],
        "the first one is not used any more"
    );
    bench.plane.lock().lose_keys_answer = true;
    assert!(bench.exchange.rotate().await.is_err());
    assert_eq!(bench.exchange.keys().current.public(), second, "not confirmed, so not in use");
    // The control plane believes only the third from here on, and the agent finds that out.
    bench.settle().await;
    let third = bench.exchange.keys().current.public();
    assert_ne!(third, second);
    assert_eq!(bench.store.link_keys().unwrap().unwrap().current.public(), third);
    assert_eq!(bench.exchange.keys().before.len(), 2);
}

#[actix_rt::test]
async fn keys_are_replaced_by_themselves_when_they_are_old() {
    let bench = Bench::start().await;
    let old = |bench: &Bench| {
        let enrollment = bench.store.enrollment().unwrap().unwrap();
        are_old(&bench.store, &enrollment, bench.clock.now()).unwrap()
    };
    bench.clock.advance(chrono::TimeDelta::days(89));
    assert!(!old(&bench));
    bench.clock.advance(chrono::TimeDelta::days(1));
    assert!(old(&bench));
    let first = bench.exchange.keys().current.public();
    bench.exchange.renew_old_keys().await;
    assert_ne!(bench.exchange.keys().current.public(), first);
    assert!(!old(&bench));
}

#[actix_rt::test]
async fn a_life_names_the_one_before_it_that_spoke() {
    let mut bench = Bench::start().await;
    let of = |bench: &Bench| bench.plane.lock().syncs.last().unwrap()["instance"].clone();
    bench.settle().await;
    let first = of(&bench);
    assert!(first.get("before").is_none());
    bench.restart();
    // This one dies before it ever speaks.
    bench.restart();
    bench.settle().await;
    assert_eq!(of(&bench)["before"], first["id"]);
    assert_ne!(of(&bench)["id"], first["id"]);
}

#[test]
fn a_revision_that_was_left_behind_is_not_in_force_without_a_control_plane() {
    let home = tempfile::tempdir().unwrap();
    let keys = key::create_or_open(home.path(), None).unwrap();
    let store = Store::open(&dir_of(home.path()), keys, clock()).unwrap();
    let (at, text) = (clock().now(), "version = 1\n".to_owned());
    let (hash, by, note) = (String::new(), "ann".to_owned(), String::new());
    let mut batch = Batch::new();
    keep(&mut batch, &Kept { number: 3, hash, toml: text, by, note, at, since: at });
    store.commit_blocking(batch).unwrap();
    let known = known(&store).unwrap();
    assert!(known.kept.is_none() && !known.enrolled);
}

#[actix_rt::test]
async fn refusals_are_shown_with_what_to_do() {
    let bench = Bench::start().await;
    let rows = [
        (403, "waits-for-approval", LinkState::WaitsForApproval, "fingerprint"),
        (403, "revoked", LinkState::Refused, "enroll it anew"),
        (401, "unknown-agent", LinkState::Refused, "enroll it anew"),
        (503, "busy", LinkState::Refused, "tried again by itself"),
    ];
    for (status, code, state, fix) in rows {
        bench.plane.lock().refuse = Some((status, problem(status, code)));
        let Round::Failed(error) = bench.exchange.round().await else { panic!("{code}") };
        bench.exchange.show_failure(&error, std::time::Duration::from_secs(5));
        bench.exchange.shown.change(|shown| {
            assert_eq!(shown.state, state, "{code}");
            assert!(shown.fix.as_ref().unwrap().contains(fix), "{code}: {:?}", shown.fix);
            assert_eq!(shown.next_try, Some("2026-08-10T12:00:05Z".parse::<Timestamp>().unwrap()));
        });
    }
    bench.plane.lock().refuse = None;
    bench.settle().await;
    bench.exchange.shown.change(|shown| assert_eq!((shown.state, &shown.why), (LinkState::Connected, &None)));
}
