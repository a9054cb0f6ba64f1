//! Tokens: grants, renewal, rotation that is durable before use, ends that are told in time.

use super::*;
use crate::vendors::http::{Body, Call};
use crate::vendors::{ErpTarget, Probe, Verdict};
use async_trait::async_trait;
use chrono::TimeDelta;
use spend::posting::{Failure, FailureClass, LookUp};

/// A token endpoint with an empty Acumatica behind it.
#[derive(Default)]
struct Site {
    state: Mutex<SiteState>,
}

#[derive(Default)]
struct SiteState {
    forms: Vec<String>,
    bearers: Vec<String>,
    /// The only access token that is accepted.
    valid: String,
    /// The only refresh token that is accepted.
    refresh: String,
    rotates: bool,
    answer: Option<(u16, Value)>,
    issued: u32,
}

impl Site {
    fn state(&self) -> std::sync::MutexGuard<'_, SiteState> {
        self.state.lock().unwrap()
    }
}

#[async_trait]
impl Transport for Site {
    async fn send(&self, call: Call) -> Result<Answer, Failure> {
        // Everybody who wants to log in at the same time gets the chance.
        tokio::task::yield_now().await;
        let mut state = self.state();
        if let Body::Form(fields) = &call.body {
            assert!(call.secret_answer, "an answer with tokens is kept out of the records");
            let spelled: Vec<String> =
                fields.iter().map(|(n, v)| format!("{n}={}", v.expose().expose_secret())).collect();
            state.forms.push(spelled.join("&"));
            let refused = |code: &str| Ok(answer(400, json!({ "error": code }).to_string()));
            if let Some((status, body)) = &state.answer {
                return Ok(answer(*status, body.to_string()));
            }
            let grant = &spelled[0];
            assert!(!grant.contains("client_credentials"));
            if grant == "grant_type=refresh_token" && spelled[1] != format!("refresh_token={}", state.refresh)
            {
                return refused("invalid_grant");
            }
            state.issued += 1;
            let issued = state.issued;
            state.valid = format!("access-{issued}");
            if state.rotates || grant == "grant_type=password" {
                state.refresh = format!("refresh-{issued}");
            }
            let body =
                json!({ "access_token": state.valid, "expires_in": 3600, "refresh_token": state.refresh });
            return Ok(answer(200, body.to_string()));
        }
        let bearer = call.headers.iter().find(|(name, _)| *name == "authorization").unwrap();
        let bearer = bearer.1.expose().expose_secret().to_owned();
        let good = bearer == format!("Bearer {}", state.valid);
        state.bearers.push(bearer);
        if !good {
            return Ok(exception(401, "PX.X", "expired"));
        }
        if call.url.path().ends_with("/entity") {
            return Ok(answer(200, r#"[{"name":"Default","version":"24.200.001"}]"#));
        }
        Ok(answer(200, "[]"))
    }
}

fn site(change: impl FnOnce(&mut SiteState)) -> Arc<Site> {
    let site = Site::default();
    change(&mut site.state());
    Arc::new(site)
}

/// Sheet item: Acumatica 4
#[tokio::test]
async fn the_password_grant_asks_for_one_session_and_is_renewed_by_refresh_token() {
    let (site, kept, clock) = (site(|s| s.rotates = true), Arc::<Kept>::default(), Clock::manual(now()));
    let erp = connect_with(site.clone(), json!({}), &[], kept.clone(), clock.clone());
    let plan = invoice_plan();
    assert_eq!(erp.look_up(&plan).await, Ok(LookUp::Absent));
    clock.advance(TimeDelta::minutes(61));
    assert_eq!(erp.look_up(&plan).await, Ok(LookUp::Absent));
    assert_eq!(
        site.state().forms,
        [
            "grant_type=password&username=api_ap&password=s3cret-pass&scope=api offline_access&client_id=8E07@MYCO&client_secret=cs-1",
            "grant_type=refresh_token&refresh_token=refresh-1&client_id=8E07@MYCO&client_secret=cs-1",
        ]
    );
    assert_eq!(kept.of("refresh_token"), ["refresh-1", "refresh-2"]);
    assert_eq!(kept.of("refresh_token_at")[0], now().to_rfc3339());
}

/// Sheet item: Acumatica 4
#[tokio::test]
async fn a_token_that_is_refused_is_renewed_once_for_everybody() {
    let (site, kept) = (site(|s| s.rotates = true), Arc::<Kept>::default());
    let erp = connect_with(site.clone(), json!({}), &[], kept.clone(), Clock::manual(now()));
    let plan = invoice_plan();
    assert_eq!(erp.look_up(&plan).await, Ok(LookUp::Absent));
    site.state().valid = "revoked".to_owned();
    let all = futures_util::future::join_all((0..4).map(|_| erp.look_up(&plan))).await;
    assert!(all.iter().all(|found| *found == Ok(LookUp::Absent)), "{all:?}");
    assert_eq!(site.state().forms.len(), 2, "one refresh in flight");
    assert_eq!(kept.of("refresh_token"), ["refresh-1", "refresh-2"]);
}

#[tokio::test]
async fn a_restart_goes_on_with_the_kept_token_and_signs_in_again_when_it_has_ended() {
    let site = site(|s| s.refresh = "kept".to_owned());
    let secrets = [("refresh_token", "kept"), ("refresh_token_at", "2026-01-20T00:00:00Z")];
    let erp = connect_with(site.clone(), json!({}), &secrets, Arc::default(), Clock::manual(now()));
    assert_eq!(erp.look_up(&invoice_plan()).await, Ok(LookUp::Absent));
    assert!(site.state().forms[0].starts_with("grant_type=refresh_token&refresh_token=kept"));
    assert_eq!(site.state().forms.len(), 1, "no second seat");
    site.state().refresh = "gone".to_owned();
    let erp = connect_with(site.clone(), json!({}), &secrets, Arc::default(), Clock::manual(now()));
    assert_eq!(erp.look_up(&invoice_plan()).await, Ok(LookUp::Absent));
    assert!(site.state().forms.last().unwrap().starts_with("grant_type=password"));
}

#[tokio::test]
async fn a_rotated_token_that_cannot_be_kept_is_not_used_and_not_lost() {
    let (site, kept, clock) = (site(|s| s.rotates = true), Arc::<Kept>::default(), Clock::manual(now()));
    let erp = connect_with(site.clone(), json!({}), &[], kept.clone(), clock.clone());
    *kept.broken.lock().unwrap() = true;
    let failure = erp.look_up(&invoice_plan()).await.unwrap_err();
    assert!(failure.message.contains("the disk is full"), "{failure}");
    assert!(site.state().bearers.is_empty(), "nothing was done with it");
    *kept.broken.lock().unwrap() = false;
    assert_eq!(erp.look_up(&invoice_plan()).await, Ok(LookUp::Absent));
    assert_eq!(kept.of("refresh_token"), ["refresh-1", "refresh-2"]);
    assert!(site.state().forms[1].contains("refresh_token=refresh-1"), "the chain goes on");
}

/// Sheet items: Acumatica 2, Acumatica 3
#[tokio::test]
async fn refused_sign_ins_say_what_to_mend_and_are_not_repeated_at_once() {
    for (code, hint) in [
        ("invalid_client", "GUID@Tenant"),
        ("unauthorized_client", "another flow"),
        ("unsupported_grant_type", "another flow"),
        ("invalid_scope", "no refresh tokens"),
        ("invalid_grant", "user or password"),
    ] {
        let site = site(|s| s.answer = Some((400, json!({ "error": code }))));
        let erp = connect(site.clone(), json!({}));
        for _ in 0..3 {
            let failure = erp.look_up(&invoice_plan()).await.unwrap_err();
            assert_eq!(failure.class, FailureClass::Unauthorised);
            assert!(failure.message.contains(hint), "{failure}");
        }
        assert_eq!(site.state().forms.len(), 1, "repeated sign-ins lock accounts");
        let results = erp.probe().await;
        assert!(
            results.iter().any(|r| r.check == "credentials" && r.verdict == Verdict::Fail),
            "{results:?}"
        );
    }
}

/// Sheet item: Acumatica 5
#[tokio::test]
async fn exhausted_seats_are_waited_for() {
    let words = json!({ "error": "invalid_grant", "error_description": "API Login Limit is reached" });
    let site = site(|s| s.answer = Some((400, words)));
    let erp = connect(site.clone(), json!({ "maintenance_minutes": 7 }));
    let failure = erp.look_up(&invoice_plan()).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Throttled { until: now() + TimeDelta::minutes(7) });
    let results = erp.probe().await;
    assert!(results.iter().any(|r| r.check == "seats" && r.verdict == Verdict::Fail), "{results:?}");
}

/// Sheet item: Acumatica 4
#[tokio::test]
async fn a_sign_in_of_a_person_is_renewed_and_its_end_is_told_in_time() {
    let code = json!({ "auth": { "method": "oauth2", "grant": "authorization-code" } });
    let none = connect(site(|_| ()), code.clone());
    let failure = none.look_up(&invoice_plan()).await.unwrap_err();
    assert!(failure.message.contains("sign in once in a browser"), "{failure}");
    for (since, verdict) in
        [("2026-01-30", Verdict::Pass), ("2026-01-08", Verdict::Warn), ("2026-01-01", Verdict::Fail)]
    {
        let site = site(|s| s.refresh = "kept".to_owned());
        let since = format!("{since}T00:00:00Z");
        let secrets = [("refresh_token", "kept"), ("refresh_token_at", since.as_str())];
        for grant in ["authorization-code", "hybrid"] {
            let settings = json!({ "auth": { "method": "oauth2", "grant": grant } });
            let erp = connect_with(site.clone(), settings, &secrets, Arc::default(), Clock::manual(now()));
            let results = erp.probe().await;
            let end = results.iter().find(|r| r.check == "sign-in").unwrap();
            assert_eq!(end.verdict, verdict, "{end:?}");
        }
    }
    // Refused for good: only a person can help.
    let ended = site(|s| s.refresh = "other".to_owned());
    let erp = connect_with(ended, code, &[("refresh_token", "kept")], Arc::default(), Clock::manual(now()));
    let failure = erp.look_up(&invoice_plan()).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Unauthorised);
    assert!(failure.message.contains("a person has to sign in again"), "{failure}");
}

#[tokio::test]
async fn an_application_may_prove_itself_by_a_signed_assertion() {
    let site = site(|_| ());
    let settings = json!({ "auth": { "method": "oauth2", "client": "assertion" } });
    let secrets = [("client_assertion", "jwt")];
    let erp = connect_with(site.clone(), settings, &secrets, Arc::default(), Clock::manual(now()));
    assert_eq!(erp.look_up(&invoice_plan()).await, Ok(LookUp::Absent));
    let form = site.state().forms[0].clone();
    assert!(form.contains(
        "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_assertion=jwt"
    ));
    assert!(!form.contains("client_secret"));
}
