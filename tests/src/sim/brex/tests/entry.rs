//! Who may call, how calls are refused, how often they may come.

use super::*;

/// Sheet item: Brex 16
#[tokio::test]
async fn each_route_answers_its_own_scope_and_refuses_a_token_without_it() {
    let rig = Rig::new().await;
    let record = rig.ready_ids().await.remove(0);
    let field = rig.ok("/v1/fields").await["items"][0]["brex_id"].as_str().unwrap().to_owned();
    let value = rig.ok(&format!("/v1/fields/{field}/values")).await["items"][0]["brex_id"].clone();
    let expense = rig.ok("/v1/expenses").await["items"][0]["id"].as_str().unwrap().to_owned();
    let vendor = rig.ok("/v1/vendors").await["items"][0]["id"].as_str().unwrap().to_owned();
    let user = rig.ok("/v2/users").await["items"][0]["id"].as_str().unwrap().to_owned();
    let department = rig.ok("/v2/departments").await["items"][0]["id"].as_str().unwrap().to_owned();
    let routes = [
        ("accounting.record.read", format!("/v3/accounting/records?{EVERYTHING}")),
        ("accounting.record.write", format!("/v3/accounting/records/{record}")),
        ("fields.read", "/v1/fields".to_owned()),
        ("fields.write", format!("/v1/fields/{field}")),
        ("field_values.read", format!("/v1/fields/{field}/values")),
        ("field_values.write", format!("/v1/fields/{field}/values/{}", value.as_str().unwrap())),
        ("expenses.card.readonly", "/v1/expenses".to_owned()),
        ("expenses.card", format!("/v1/expenses/{expense}")),
        ("expenses.card.readonly", "/v1/expenses/card".to_owned()),
        ("transactions.card.readonly", "/v2/transactions/card/primary".to_owned()),
        ("transactions.cash.readonly", "/v2/transactions/cash/primary".to_owned()),
        ("accounts.card.readonly", "/v2/accounts/card".to_owned()),
        ("accounts.cash.readonly", "/v2/accounts/cash".to_owned()),
        ("accounts.cash.readonly", "/v2/accounts/cash/primary".to_owned()),
        ("statements.card.readonly", "/v2/accounts/card/primary/statements".to_owned()),
        ("statements.cash.readonly", "/v2/accounts/cash/primary/statements".to_owned()),
        ("vendors.readonly", "/v1/vendors".to_owned()),
        ("vendors", format!("/v1/vendors/{vendor}")),
        ("users.readonly", "/v2/users/me".to_owned()),
        ("users.readonly", format!("/v2/users/{user}")),
        ("departments.readonly", format!("/v2/departments/{department}")),
        ("locations", "/v2/locations".to_owned()),
        ("titles.readonly", "/v2/titles".to_owned()),
        ("legal_entities.readonly", "/v2/legal_entities".to_owned()),
        ("companies.readonly", "/v2/company".to_owned()),
    ];
    for (scope, path) in routes {
        for (scopes, status) in [(json!([scope]), 200), (json!(["openid"]), 403)] {
            let token = rig.control("token", json!({"scopes": scopes}))["token"].as_str().unwrap().to_owned();
            let answer = rig.send("GET", &path, None, &[("authorization", &format!("Bearer {token}"))]).await;
            assert_eq!(answer.status, status, "{path} with {scopes}: {}", answer.text);
        }
    }
    // Webhooks need no scope of their own.
    let bare = rig.control("token", json!({"scopes": []}))["token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {bare}");
    for path in ["/v1/webhooks", "/v1/webhooks/secrets"] {
        assert_eq!(rig.send("GET", path, None, &[("authorization", &bearer)]).await.status, 200);
    }
    assert_eq!(rig.get("/v1/accounting/gl_accounts").await.status, 404);
    assert_eq!(rig.run.misuse(), ["a call went to GET /v1/accounting/gl_accounts"]);
}

/// Sheet items: Brex 16, 17
#[tokio::test]
async fn a_missing_role_is_401_with_words_and_expiry_is_403() {
    let rig = Rig::new().await;
    let said = |answer: &Answer| (answer.status, answer.json()["message"].as_str().unwrap().to_owned());
    let token = rig.control("token", json!({"role": "EMPLOYEE"}))["token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    let as_employee = async |path: &str| rig.send("GET", path, None, &[("authorization", &bearer)]).await;
    let contacts = said(&as_employee("/v1/vendors").await);
    assert_eq!(
        contacts,
        (401, "Only account admin, ap clerks and bookkeepers can access contacts".to_owned())
    );
    let cash = said(&as_employee("/v2/accounts/cash").await);
    assert_eq!(cash, (401, "Must be cash admin, bookkeeper or user.".to_owned()));
    let own = as_employee("/v2/transactions/card/primary").await.json()["items"].as_array().unwrap().len();
    let all = rig.ok("/v2/transactions/card/primary").await["items"].as_array().unwrap().len();
    assert!(own < all, "an ordinary user sees what is theirs: {own} of {all}");

    // Ninety days without a call; a call in between starts them anew.
    rig.run.advance_clock(TimeDelta::days(89));
    assert_eq!(rig.get("/v2/users/me").await.status, 200);
    rig.run.advance_clock(TimeDelta::days(89));
    assert_eq!(rig.get("/v2/users/me").await.status, 200);
    rig.run.advance_clock(TimeDelta::days(91));
    for path in ["/v2/users/me", "/v3/accounting/records/accr_x"] {
        assert_eq!(said(&rig.get(path).await), (403, "Expired token".to_owned()));
    }
    rig.control("revoke-token", json!({}));
    let revoked = rig.get("/v2/company").await;
    assert_eq!(said(&revoked), (401, "PERMISSION_DENIED: Invalid or Revoked Token".to_owned()));
    assert_eq!(revoked.json()["type"], "UNAUTHORIZED");
    rig.no_misuse();
}

/// Sheet item: Brex 17
#[tokio::test]
async fn errors_have_one_shape_below_v3_and_another_elsewhere_and_every_answer_a_trace_id() {
    let rig = Rig::new().await;
    let unknown = rig.get("/v3/accounting/records/accr_nothing").await;
    assert_eq!(unknown.status, 404);
    assert_eq!(
        unknown.json(),
        json!({"error_code": "NOT_FOUND", "message": "The requested accounting record was not found.", "details": null})
    );
    let other = rig.get("/v2/users/nobody").await;
    assert_eq!(
        other.json(),
        json!({"type": "NOT_FOUND", "message": "User not found", "code": "USER_NOT_FOUND"})
    );
    let traces: std::collections::BTreeSet<String> = [&unknown, &other, &rig.get("/v2/company").await]
        .iter()
        .map(|answer| answer.headers["x-brex-trace-id"].to_str().unwrap().to_owned())
        .collect();
    assert_eq!(traces.len(), 3);
    let stranger = [("authorization", "Bearer nobody")];
    let refused = rig.send("GET", "/v3/accounting/records", None, &stranger).await;
    assert_eq!((refused.status, refused.json()["error_code"].as_str()), (401, Some("UNAUTHORIZED")));
    // A gateway in front has the other shape on the same route.
    rig.control("knobs", json!({"gateway_errors": true}));
    let refused = rig.send("GET", "/v3/accounting/records", None, &stranger).await;
    assert_eq!((refused.status, refused.json()["type"].as_str()), (401, Some("UNAUTHORIZED")));
}

#[tokio::test]
async fn an_account_without_the_alpha_has_the_other_interfaces_only() {
    let rig = Rig::new().await;
    for (form, status) in [("forbidden", 403), ("not-found", 404), ("unauthorized", 401)] {
        rig.control("knobs", json!({"alpha": form}));
        let answer = rig.get(&format!("/v3/accounting/records?{EVERYTHING}")).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert!(answer.json()["error_code"].is_string());
        assert_eq!(rig.get("/v1/expenses").await.status, 200);
    }
    rig.no_misuse();
}

/// Sheet item: Brex 16
#[tokio::test]
async fn refresh_tokens_rotate_and_access_tokens_live_an_hour() {
    let rig = Rig::new().await;
    let knobs = BrexKnobs::default();
    let form = |pairs: &[(&str, &str)]| {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("client_id", &knobs.client_id).append_pair("client_secret", &knobs.client_secret);
        form.extend_pairs(pairs).finish()
    };
    let token = async |pairs: &[(&str, &str)]| {
        let url = format!("{}/oauth2/default/v1/token", rig.run.url());
        let call = rig.http.post(url).header("content-type", "application/x-www-form-urlencoded");
        let answer = call.body(form(pairs)).send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap())
    };
    let refresh =
        |name: &str| [("grant_type", "refresh_token".to_owned()), ("refresh_token", name.to_owned())];
    let by = async |name: &str| {
        let [a, b] = refresh(name);
        token(&[(a.0, &a.1), (b.0, &b.1)]).await
    };
    let (status, first) = by(&knobs.refresh_token).await;
    assert_eq!((status, &first["expires_in"], &first["token_type"]), (200, &json!(3600), &json!("Bearer")));
    let bearer = format!("Bearer {}", first["access_token"].as_str().unwrap());
    let me = async || rig.send("GET", "/v2/users/me", None, &[("authorization", &bearer)]).await.status;
    assert_eq!(me().await, 200);
    rig.run.advance_clock(TimeDelta::seconds(3_600));
    assert_eq!(me().await, 403);
    let (status, second) = by(first["refresh_token"].as_str().unwrap()).await;
    assert_eq!(status, 200);
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_eq!(by(&knobs.refresh_token).await, (400, json!({"error": "invalid_grant"})));
    assert_eq!(rig.run.misuse(), ["a refresh token was used twice"]);
    rig.run.advance_clock(TimeDelta::days(90));
    assert_eq!(by(second["refresh_token"].as_str().unwrap()).await.0, 400);
    let code = rig.control("authorize", json!({"scopes": ["openid", "users.readonly"]}));
    let grant = [("grant_type", "authorization_code"), ("code", code["code"].as_str().unwrap())];
    let (status, short) = token(&grant).await;
    assert_eq!((status, short.get("refresh_token")), (200, None), "no offline_access, no refresh token");
    assert_eq!(token(&grant).await.0, 400, "a code works once");
    let discovery = rig.ok("/oauth2/default/.well-known/openid-configuration").await;
    assert!(discovery["token_endpoint"].as_str().unwrap().ends_with("/oauth2/default/v1/token"));
}

/// Sheet item: Brex 22
#[tokio::test]
async fn a_thousand_calls_in_sixty_seconds_and_then_429_in_each_form() {
    let rig = Rig::with(|knobs| knobs.rate_limit = 1_000).await;
    for _ in 0..1_000 {
        assert_eq!(rig.get("/v2/company").await.status, 200);
    }
    let refused = rig.get("/v2/company").await;
    assert_eq!((refused.status, refused.headers.get("retry-after")), (429, None));
    let other = rig.control("token", json!({}))["token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {other}");
    let answer = rig.send("GET", "/v2/company", None, &[("authorization", &bearer)]).await;
    assert_eq!(answer.status, 200, "each token has a budget of its own");
    rig.control("knobs", json!({"rate_form": "html", "retry_after": 7}));
    let refused = rig.get("/v2/company").await;
    assert_eq!((refused.status, &refused.headers["retry-after"]), (429, &"7".parse().unwrap()));
    assert!(refused.text.starts_with("<html>"));
    rig.run.advance_clock(TimeDelta::seconds(60));
    assert_eq!(rig.get("/v2/company").await.status, 200);
    assert_eq!(rig.run.state()["throttled"], 2);
}

/// Sheet item: Brex 26
#[tokio::test]
async fn faults_strike_before_after_and_in_the_middle_of_a_commit() {
    use crate::faults::{FaultAction, FaultMatch, FaultRule};
    let rig = Rig::new().await;
    let ids = rig.ready_ids().await;
    let report = FaultMatch::path("export-results");
    rig.run.faults([FaultRule::once(report.clone(), FaultAction::CutAfterCommit)]);
    let url = format!("{}/v3/accounting/records/export-results", rig.run.url());
    let body = json!({"results": [{"accounting_record_id": ids[0], "success": {"reference_id": "R-1"}}]});
    let sent = rig.http.post(url).bearer_auth(&rig.token).body(body.to_string()).send().await;
    assert!(sent.is_err());
    // The lost answer is settled by the second call's refusal and a look at the record.
    assert_eq!(rig.success(&ids[0], "R-1").await.status, 422);
    let record = rig.ok(&format!("/v3/accounting/records/{}", ids[0])).await;
    assert_eq!(record["review_status"], "EXPORTED");
    for action in [FaultAction::TruncatedBody, FaultAction::MalformedBody] {
        rig.run.faults([FaultRule::once(FaultMatch::path("/v2/users"), action)]);
        let answer = rig.get("/v2/users").await;
        assert_eq!(answer.status, 200);
        assert!(serde_json::from_str::<Value>(&answer.text).is_err());
    }
    rig.no_misuse();
}
