//! Renewal of OAuth tokens: one at a time, and durable before use.

use super::super::settings::{Auth, Oauth};
use super::*;
use crate::vendors::{SourceWindow, SpendSource};

fn settings() -> Settings {
    let token_url = Some("https://accounts.example.test/oauth2/default/v1/token".to_owned());
    Settings { auth: Auth::Oauth2, oauth: Oauth { token_url, ..Oauth::default() }, ..accounting() }
}

fn tokens(number: u32) -> Reply {
    told(&json!({"access_token": format!("access-{number}"), "refresh_token": format!("refresh-{number}"),
                 "expires_in": 3600, "token_type": "Bearer"}))
}

fn ready() -> SourceWindow {
    SourceWindow::Ready { from: day("2026-07-01"), to: day("2026-08-01"), limit: 100 }
}

/// Sheet item: Brex 13
#[tokio::test(start_paused = true)]
async fn one_renewal_serves_all_and_its_refresh_token_is_kept_before_the_first_call() {
    let (client, script) =
        client(settings(), [("brex.token", vec![tokens(1)]), ("brex.records", vec![page(&[])])]);
    let window = ready();
    let (a, b, c) = tokio::join!(client.read(&window), client.read(&window), client.read(&window));
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(script.operations(), ["token", "records", "records", "records"]);
    assert_eq!(*script.kept.lock().unwrap(), [("refresh_token".to_owned(), "refresh-1".to_owned())]);
    let token = &script.sent()[0];
    assert!(token.spelled.contains("canary-refresh_token") && token.body["grant_type"] == "refresh_token");
    assert_eq!(token.body["client_secret"], "[secret]");
    assert!(script.sent()[1].spelled.contains("Bearer access-1"));
}

/// Sheet item: Brex 13
#[tokio::test(start_paused = true)]
async fn what_cannot_be_kept_is_not_used_and_is_kept_before_anything_else() {
    let (client, script) =
        client(settings(), [("brex.token", vec![tokens(1)]), ("brex.records", vec![page(&[])])]);
    *script.keeping_fails.lock().unwrap() = true;
    let failure = client.read(&ready()).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Unavailable);
    assert!(failure.message.contains("disk is full"), "{failure}");
    assert_eq!(script.operations(), ["token"], "nothing was called with the new token");
    *script.keeping_fails.lock().unwrap() = false;
    client.clock.advance(chrono::TimeDelta::seconds(61));
    client.read(&ready()).await.unwrap();
    assert_eq!(script.operations(), ["token", "records"], "the pair was kept, not renewed once more");
    assert_eq!(script.kept.lock().unwrap().len(), 1);
}

/// Sheet item: Brex 13
#[tokio::test(start_paused = true)]
async fn a_token_that_was_refused_is_renewed_once_with_the_rotated_refresh_token() {
    let expired = status(403, r#"{"type":"FORBIDDEN","message":"Expired token"}"#);
    let (client, script) = client(
        settings(),
        [
            ("brex.token", vec![tokens(1), tokens(2)]),
            ("brex.records", vec![expired.clone(), page(&[]), expired]),
        ],
    );
    client.read(&ready()).await.unwrap();
    assert_eq!(script.operations(), ["token", "records", "token", "records"]);
    assert!(script.sent()[2].spelled.contains("refresh-1") && script.sent()[3].spelled.contains("access-2"));
    // After a restart the newest one is used.
    let after = again(settings(), &script);
    script.forget("brex.records");
    script.then("brex.records", [page(&[])]);
    after.read(&ready()).await.unwrap();
    assert!(script.sent()[4].spelled.contains("refresh-2"));
}

/// Sheet item: Brex 13
#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_was_used_before_a_crash_is_a_dead_credential() {
    let (client, script) =
        client(settings(), [("brex.token", vec![status(400, r#"{"error":"invalid_grant"}"#)])]);
    for _ in 0..3 {
        let failure = client.read(&ready()).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Unauthorised);
        assert!(failure.message.contains("sign in again"), "{failure}");
    }
    assert_eq!(script.operations(), ["token"], "a refused sign-in is not repeated in a loop");
}

#[tokio::test(start_paused = true)]
async fn the_token_endpoint_is_discovered_and_must_be_the_issuers_own() {
    let issuer = "https://accounts.example.test/oauth2/default".to_owned();
    let found = |url: &str| told(&json!({ "issuer": issuer, "token_endpoint": url }));
    let oauth = Oauth { issuer: issuer.clone(), ..Oauth::default() };
    let settings = Settings { auth: Auth::Oauth2, oauth, ..accounting() };
    let own = "https://accounts.example.test/oauth2/default/v1/token";
    let (client, script) = super::client(
        settings.clone(),
        [
            ("brex.discovery", vec![found(own)]),
            ("brex.token", vec![tokens(1)]),
            ("brex.records", vec![page(&[])]),
        ],
    );
    client.read(&ready()).await.unwrap();
    assert_eq!(script.sent()[0].path, "/oauth2/default/.well-known/openid-configuration");
    assert_eq!(script.sent()[1].path, "/oauth2/default/v1/token");
    let (client, script) =
        super::client(settings, [("brex.discovery", vec![found("https://elsewhere.example.test/token")])]);
    assert_eq!(client.read(&ready()).await.unwrap_err().class, FailureClass::Unauthorised);
    assert_eq!(script.operations(), ["discovery"], "no secret goes to a stranger");
}

#[tokio::test(start_paused = true)]
async fn passing_faults_of_the_token_endpoint_pass() {
    for (reply, unavailable) in [(status(503, ""), true), (ok("<html>"), true), (status(429, ""), false)] {
        let (client, _) = client(settings(), [("brex.token", vec![reply])]);
        let class = client.read(&ready()).await.unwrap_err().class;
        assert_eq!(class == FailureClass::Unavailable, unavailable, "{class:?}");
        assert!(unavailable || matches!(class, FailureClass::Throttled { .. }));
    }
}
