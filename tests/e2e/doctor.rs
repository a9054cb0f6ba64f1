//! `purser doctor` names each trouble with its cause and its fix.

use chrono::{Datelike, TimeDelta};
use sandbox::harness::{EPICOR, EXPENSIFY, SandboxOptions};
use serde_json::{Value, json};

use crate::stage::{Stage, quick};

const FAILED: i32 = 5;

/// What doctor says of one connection.
async fn examined(stage: &Stage, code: i32, connection: &str) -> Vec<Value> {
    let answer = stage.ask(code, &["doctor", "--connection", connection]).await;
    assert_eq!(answer["healthy"], code == 0);
    let named = format!("connection {connection} ");
    let sections = answer["sections"].as_array().unwrap();
    let section = sections.iter().find(|s| s["name"].as_str().unwrap().starts_with(&named)).unwrap();
    section["checks"].as_array().unwrap().clone()
}

/// The first failed check must be this one, with these words in what was seen and in the fix.
fn fails(checks: &[Value], check: &str, seen: &[&str], fix: &[&str]) {
    let failed = checks.iter().find(|c| c["verdict"] == "fail").unwrap_or_else(|| panic!("{checks:#?}"));
    assert_eq!(failed["check"], check, "{checks:#?}");
    for (field, words) in [("detail", seen), ("fix", fix)] {
        let text = failed[field].as_str().unwrap();
        for word in words {
            assert!(text.contains(word), "`{word}` is not in the {field} of {failed:#}");
        }
    }
}

fn verdict<'c>(checks: &'c [Value], check: &str) -> &'c str {
    checks.iter().find(|c| c["check"] == check).unwrap_or_else(|| panic!("no {check}: {checks:#?}"))["verdict"]
        .as_str()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sound_installation_passes_every_check_over_http_and_https() {
    for https in [false, true] {
        let stage = Stage::set(SandboxOptions { https, ..quick(3) }, |_| {}).await;
        let answer = stage.ask(0, &["doctor"]).await;
        assert_eq!((&answer["healthy"], &answer["failed"]), (&json!(true), &json!(0)), "{answer:#}");
        let shown = stage.say(0, &["doctor"]).await.stdout;
        for word in ["this machine", "dns", "tcp", "tls", "clock", "credentials", "company", "fiscal-period"]
        {
            assert!(shown.contains(word), "{word} is not in {shown}");
        }
        assert_eq!(stage.misuse(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_host_is_named_as_a_name_that_does_not_resolve() {
    let mut stage = Stage::set(quick(3), |_| {}).await;
    stage.configure(|config| config.epicor = "https://erp.invalid/kinetic".to_owned());
    let checks = examined(&stage, FAILED, EPICOR).await;
    // The secret is bound to the right host, so it would not be sent to the wrong one either.
    fails(&checks, "secret", &["would not be sent"], &["enter the secret again"]);
    fails(&checks[1..], "dns", &["erp.invalid", "could not be resolved"], &["spelling", "DNS"]);
    assert_eq!(verdict(&checks, "tls"), "skipped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_untrusted_authority_is_named_with_how_to_trust_it() {
    let options = SandboxOptions { https: true, ..quick(3) };
    let stage = Stage::set(options, |config| config.ca_file = None).await;
    let checks = examined(&stage, FAILED, EPICOR).await;
    fails(&checks, "tls", &["not trusted"], &["network.extra_ca"]);
    assert_eq!(verdict(&checks, "tcp"), "pass");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told_apart_from_a_wrong_api_key() {
    let stage = Stage::set(quick(3), |_| {}).await;
    let knob = |knobs: Value| stage.sandbox.epicor.control("knobs", &knobs).unwrap();
    let sound = knob(json!({}));

    knob(json!({ "password": "another one" }));
    let checks = examined(&stage, FAILED, EPICOR).await;
    fails(&checks, "credentials", &["user or password refused"], &["password", "purser secrets set"]);
    assert_eq!(verdict(&checks, "company"), "skipped");

    knob(json!({ "password": sound["password"], "api_keys": [] }));
    let checks = examined(&stage, FAILED, EPICOR).await;
    fails(&checks, "api-key", &["user is accepted", "API key is not"], &["api_key", "purser secrets set"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_without_an_api_key_is_named_with_the_missing_field() {
    let stage = Stage::set(quick(3), |_| {}).await;
    let fields = "user=PURSER_API\npassword=sandbox-password\n";
    let set = ["secrets", "set", EPICOR, "--yes"];
    let finished = stage.purser.run_with_input(&set, fields).await.unwrap();
    assert_eq!(finished.code, Some(0), "{}", finished.words());
    let checks = examined(&stage, FAILED, EPICOR).await;
    fails(&checks, "api-key", &["no field `api_key`"], &["api_key", "purser secrets set"]);
    assert_eq!(verdict(&checks, "company"), "skipped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_expensify_credential_is_named() {
    let stage = Stage::set(quick(3), |_| {}).await;
    stage.sandbox.expensify.control("rotate-credential", &json!({})).unwrap();
    let checks = examined(&stage, FAILED, EXPENSIFY).await;
    fails(&checks, "credentials", &[], &["purser secrets set"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_company_is_named() {
    let stage = Stage::set(quick(3), |config| config.company = "EPIC99".to_owned()).await;
    let checks = examined(&stage, FAILED, EPICOR).await;
    fails(&checks, "company", &["EPIC99"], &["company id exactly"]);
    assert_eq!(verdict(&checks, "methods"), "skipped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_period_is_named() {
    let stage = Stage::set(quick(3), |_| {}).await;
    let today = stage.sandbox.world.today;
    let period = json!({ "year": today.year(), "period": today.month() });
    stage.sandbox.epicor.control("close-period", &period).unwrap();
    let checks = examined(&stage, FAILED, EPICOR).await;
    fails(&checks, "fiscal-period", &["closed"], &["open the period"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_system_is_named_as_one_where_nothing_listens() {
    let Stage { route, sandbox, home, purser, config } = Stage::set(quick(3), |_| {}).await;
    let spare = Stage::set(quick(3), |_| {}).await.sandbox;
    let address = sandbox.epicor.address();
    drop(sandbox);
    while std::net::TcpStream::connect(address).is_ok() {
        tokio::task::yield_now().await;
    }
    let stage = Stage { route, sandbox: spare, home, purser, config };
    let checks = examined(&stage, FAILED, EPICOR).await;
    fails(&checks, "tcp", &["connection refused"], &["host and port", "firewall"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_off_is_named_with_its_difference() {
    let stage = Stage::set(quick(3), |_| {}).await;
    stage.sandbox.epicor.clock().skew(TimeDelta::minutes(-20));
    let checks = examined(&stage, FAILED, EPICOR).await;
    fails(&checks, "clock", &["ahead of", "s"], &["NTP"]);
    let seconds: i64 = {
        let clock = checks.iter().find(|c| c["check"] == "clock").unwrap();
        let words = clock["detail"].as_str().unwrap().split(' ');
        words.filter_map(|word| word.parse().ok()).next().unwrap()
    };
    assert!((1198..=1202).contains(&seconds), "{seconds}");
}
