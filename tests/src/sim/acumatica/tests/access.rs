//! Endpoints, tokens, sessions, seats and the licence's queue.

use super::*;

async fn login(rig: &Rig, body: Value) -> Whole {
    let call = rig.http.post(rig.root("entity/auth/login")).header("content-type", "application/json");
    whole(call.body(body.to_string())).await
}

fn cookies(answer: &Whole) -> String {
    let sent = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    sent.map(|cookie| cookie.split(';').next().unwrap()).collect::<Vec<_>>().join("; ")
}

async fn with_cookies(rig: &Rig, cookies: &str) -> Whole {
    whole(rig.http.get(rig.url("Vendor?$top=1")).header("cookie", cookies)).await
}

/// Sheet item: Acumatica 1
#[tokio::test]
async fn only_published_versions_answer_and_the_list_has_two_shapes() {
    let rig = Rig::new().await;
    let list = || taken(rig.http.get(rig.root("entity")));
    let (status, body) = list().await;
    assert_eq!(status, 200);
    assert_eq!(body["endpoints"][0]["version"], "24.200.001");
    assert_eq!(body["endpoints"][0]["href"], "/AcumaticaERP/entity/Default/24.200.001/");
    assert!(body["version"]["acumaticaBuildVersion"].is_string());
    rig.knobs(json!({ "bare_entity_list": true, "endpoints": [["Extended", "1.0"]] }));
    assert_eq!(list().await.1[3]["name"], "Extended");
    let at = |endpoint: &str| {
        taken(rig.http.get(rig.root(&format!("entity/{endpoint}/Vendor?$top=1"))).bearer_auth(&rig.token))
    };
    assert_eq!(at("Default/24.200.001").await.0, 200);
    assert_eq!(at("Default/22.200.001").await.0, 200);
    assert_eq!(at("Extended/1.0").await.0, 200);
    assert_eq!(at("Default/26.200.001").await.0, 404);
    assert_eq!(at("Other/24.200.001").await.0, 404);
}

/// Sheet item: Acumatica 2
#[tokio::test]
async fn the_client_id_carries_the_tenant_and_offline_access_can_be_off() {
    let rig = Rig::new().await;
    let rig_of = &rig;
    let with = |client: String| async move {
        let fields = [
            ("grant_type", "password"),
            ("client_id", &client),
            ("client_secret", CLIENT_SECRET),
            ("username", USER),
            ("password", PASSWORD),
            ("scope", "api"),
        ];
        rig_of.form(&fields).await
    };
    for bad in [CLIENT_GUID.to_owned(), format!("{CLIENT_GUID}@NOWHERE"), format!("other@{TENANT}")] {
        assert_eq!(with(bad).await, (400, json!({ "error": "invalid_client" })));
    }
    assert_eq!(with(format!("{CLIENT_GUID}@MYCO-TEST")).await.0, 200);
    rig.knobs(json!({ "refresh": "none" }));
    assert_eq!(rig.password("api offline_access").await, (400, json!({ "error": "invalid_scope" })));
    assert_eq!(rig.password("api").await.1["refresh_token"], Value::Null);
    assert_eq!(rig.password("everything").await.1["error"], "invalid_scope");
}

/// Sheet item: Acumatica 3
#[tokio::test]
async fn there_is_no_client_credentials_grant() {
    let rig = Rig::new().await;
    assert_eq!(rig.grant("client_credentials", &[("scope", "api")]).await.1["error"], "unauthorized_client");
    assert_eq!(rig.grant("device_code", &[]).await.1["error"], "unsupported_grant_type");
    assert_eq!(rig.misuse().len(), 2);
    rig.knobs(json!({ "password_grant": false }));
    assert_eq!(rig.password("api").await.1["error"], "unauthorized_client");
}

/// Sheet item: Acumatica 4
#[tokio::test]
async fn tokens_live_an_hour_and_a_chain_thirty_days_from_its_beginning() {
    let rig = Rig::new().await;
    let tokens = rig.password("api offline_access").await.1;
    assert_eq!(tokens["expires_in"], 3600);
    rig.run.advance_clock(TimeDelta::seconds(3601));
    let (status, body) = rig.get("Vendor?$top=1").await;
    assert_eq!((status, &body["exceptionType"]), (401, &json!("PX.Data.PXException")));
    let refresh = |token: &Value| {
        let token = token.as_str().unwrap().to_owned();
        let rig = &rig;
        async move { rig.grant("refresh_token", &[("refresh_token", &token)]).await }
    };
    let second = refresh(&tokens["refresh_token"]).await.1;
    assert_ne!(second["refresh_token"], tokens["refresh_token"]);
    assert_eq!(refresh(&tokens["refresh_token"]).await.1["error"], "invalid_grant");
    rig.run.advance_clock(TimeDelta::days(29));
    let third = refresh(&second["refresh_token"]).await.1;
    assert!(third["refresh_token"].is_string());
    rig.run.advance_clock(TimeDelta::days(1));
    assert_eq!(refresh(&third["refresh_token"]).await.1["error"], "invalid_grant");
}

/// Sheet item: Acumatica 4
#[tokio::test]
async fn refresh_tokens_can_stay_slide_and_be_revoked() {
    let rig = Rig::new().await;
    rig.knobs(json!({ "rotate_refresh": false, "refresh": "sliding", "refresh_days": 15 }));
    let first = rig.password("api offline_access").await.1["refresh_token"].as_str().unwrap().to_owned();
    for day in 1..=9 {
        rig.run.advance_clock(TimeDelta::days(10));
        let (status, body) = rig.grant("refresh_token", &[("refresh_token", &first)]).await;
        assert_eq!(status, if day < 9 { 200 } else { 400 }, "day {day}0: {body}");
        assert_eq!(body["refresh_token"], Value::Null);
    }
    let token = rig.password("api offline_access").await.1["refresh_token"].as_str().unwrap().to_owned();
    rig.run.control("revoke-refresh-tokens", &Value::Null).unwrap();
    assert_eq!(rig.grant("refresh_token", &[("refresh_token", &token)]).await.0, 400);
}

#[tokio::test]
async fn an_authorization_code_is_good_for_one_use_with_the_exact_address() {
    let rig = Rig::new().await;
    let made = rig.run.control("authorization-code", &Value::Null).unwrap();
    let code = made["code"].as_str().unwrap();
    let swap = |address: &'static str| rig.grant_code(code, address);
    assert_eq!(swap("http://127.0.0.1/other").await.1["error"], "invalid_grant");
    let tokens = swap(super::super::REDIRECT_URI).await.1;
    assert!(tokens["refresh_token"].is_string(), "{tokens}");
    assert_eq!(swap(super::super::REDIRECT_URI).await.1["error"], "invalid_grant");
}

impl Rig {
    async fn grant_code(&self, code: &str, address: &str) -> Answer {
        self.grant("authorization_code", &[("code", code), ("redirect_uri", address)]).await
    }
}

/// Sheet item: Acumatica 5
#[tokio::test]
async fn seats_are_freed_by_expiry_by_logout_and_by_idleness() {
    let rig = Rig::new().await;
    rig.knobs(json!({ "api_users": 2 }));
    let mine = rig.password("api").await.1["access_token"].as_str().unwrap().to_owned();
    let full = rig.password("api").await;
    assert_eq!((full.0, full.1.as_str().unwrap().contains("API Login Limit")), (429, true));
    let logout = || rig.http.post(rig.root("entity/auth/logout")).header("content-length", "0");
    assert_eq!(taken(logout().bearer_auth(&mine)).await.0, 204);
    assert_eq!(taken(rig.http.get(rig.url("Vendor")).bearer_auth(&mine)).await.0, 401);
    let entered = login(&rig, json!({ "name": USER, "password": PASSWORD, "tenant": TENANT })).await;
    assert_eq!(entered.status, 204);
    // The session that nobody signs out of leaks until it is idle for long enough.
    assert_eq!(rig.password("api").await.0, 429);
    rig.run.advance_clock(minutes(19));
    assert_eq!(with_cookies(&rig, &cookies(&entered)).await.status, 200);
    rig.run.advance_clock(minutes(19));
    assert_eq!(rig.password("api").await.0, 429);
    rig.run.advance_clock(minutes(2));
    assert_eq!(rig.password("api").await.0, 200);
    rig.run.advance_clock(minutes(61));
    assert_eq!(rig.password("api").await.0, 200);
    assert_eq!(rig.run.state()["access"]["sessions"], json!([{ "tenant": TENANT, "kind": "token" }]));
}

#[tokio::test]
async fn all_tokens_of_one_grant_share_a_session() {
    let rig = Rig::new().await;
    rig.knobs(json!({ "api_users": 2 }));
    let mut refresh =
        rig.password("api offline_access").await.1["refresh_token"].as_str().unwrap().to_owned();
    for _ in 0..5 {
        let (status, body) = rig.grant("refresh_token", &[("refresh_token", &refresh)]).await;
        assert_eq!(status, 200, "{body}");
        refresh = body["refresh_token"].as_str().unwrap().to_owned();
    }
    assert_eq!(rig.run.state()["access"]["sessions"].as_array().unwrap().len(), 2);
}

/// Sheet item: Acumatica 6
#[tokio::test]
async fn login_proves_no_tenant_and_bad_credentials_are_an_error_object() {
    let rig = Rig::new().await;
    let as_tenant =
        |tenant: &'static str| login(&rig, json!({ "name": USER, "password": PASSWORD, "tenant": tenant }));
    assert_eq!(as_tenant("").await.status, 204);
    let strange = as_tenant("FRESH").await;
    assert_eq!(strange.json()["exceptionType"], "PX.Data.PXUndefinedCompanyException");
    rig.knobs(json!({ "tenants": ["MYCO", "MYCO-TEST", "FRESH"] }));
    assert_eq!(as_tenant("FRESH").await.status, 500);
    rig.run.control("restart", &Value::Null).unwrap();
    assert_eq!(as_tenant("FRESH").await.status, 204);
    let bad = login(&rig, json!({ "name": USER, "password": "wrong" })).await;
    assert_eq!(bad.status, 500);
    assert_eq!(bad.json()["exceptionMessage"], "Error: Invalid credentials. Please try again.");
    let single =
        Rig::with(AcumaticaKnobs { tenants: vec![TENANT.to_owned()], ..AcumaticaKnobs::default() }).await;
    let entered = login(&single, json!({ "name": USER, "password": PASSWORD, "company": "NOWHERE" })).await;
    assert_eq!(entered.status, 204);
    assert_eq!(with_cookies(&single, &cookies(&entered)).await.status, 200);
}

#[tokio::test]
async fn repeated_failures_lock_the_user() {
    let rig = Rig::new().await;
    rig.knobs(json!({ "lock_after": 3 }));
    for _ in 0..3 {
        let wrong = [("username", USER), ("password", "wrong"), ("scope", "api")];
        assert_eq!(rig.grant("password", &wrong).await.1["error"], "invalid_grant");
    }
    assert_eq!(rig.password("api").await.1["error"], "invalid_grant");
    rig.run.control("unlock-user", &Value::Null).unwrap();
    assert_eq!(rig.password("api").await.0, 200);
}

/// Sheet item: Acumatica 7
#[tokio::test]
async fn logout_without_a_length_is_refused_by_the_web_server() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let rig = Rig::new().await;
    let mut stream = tokio::net::TcpStream::connect(rig.run.address()).await.unwrap();
    let head = "POST /AcumaticaERP/entity/auth/logout HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 411 "), "{answer}");
    assert_eq!(rig.misuse().len(), 1);
}

/// Sheet item: Acumatica 17
#[tokio::test]
async fn requests_beyond_half_of_the_licence_are_delayed_and_only_a_long_queue_declines() {
    let rig = Rig::new().await;
    rig.knobs(json!({ "requests_per_minute": 50, "queue_length": 2 }));
    for _ in 0..25 {
        assert_eq!(rig.get("Vendor?$top=1").await.0, 200);
    }
    rig.run.advance_clock(TimeDelta::seconds(40));
    let ask = || tokio::spawn(taken(rig.call("GET", "Vendor?$top=1")));
    let first = ask();
    until(&rig, 1).await;
    let second = ask();
    until(&rig, 2).await;
    let (status, text) = rig.get("Vendor?$top=1").await;
    assert_eq!(status, 429);
    assert!(text.is_string(), "{text}");
    assert_eq!(rig.run.state()["queue"]["declined"], 1);
    assert!(!first.is_finished());
    rig.run.advance_clock(TimeDelta::milliseconds(800));
    assert_eq!(first.await.unwrap().0, 200);
    assert!(!second.is_finished());
    rig.run.advance_clock(TimeDelta::milliseconds(800));
    assert_eq!(second.await.unwrap().0, 200);
    rig.knobs(json!({ "declines": 1, "plain_decline": false }));
    let (status, body) = rig.get("Vendor?$top=1").await;
    assert_eq!((status, body["message"].is_string()), (429, true));
}

async fn until(rig: &Rig, waiting: u64) {
    while rig.run.state()["queue"]["waiting"] != waiting {
        tokio::task::yield_now().await;
    }
}

/// Sheet item: Acumatica 23
#[tokio::test]
async fn a_restart_answers_pages_and_a_dead_cookie_leads_to_the_login_page() {
    let rig = Rig::new().await;
    let entered = login(&rig, json!({ "name": USER, "password": PASSWORD, "tenant": TENANT })).await;
    let cookies = cookies(&entered);
    assert_eq!(with_cookies(&rig, &cookies).await.status, 200);
    rig.knobs(json!({ "maintenance": true }));
    let page = with_cookies(&rig, &cookies).await;
    assert_eq!((page.status, page.header("content-type")), (503, "text/html"));
    rig.knobs(json!({ "maintenance": false }));
    rig.run.control("restart", &Value::Null).unwrap();
    let moved = with_cookies(&rig, &cookies).await;
    assert_eq!((moved.status, moved.header("location")), (302, "/AcumaticaERP/Frames/Login.aspx"));
    rig.knobs(json!({ "dead_cookie_redirects": false }));
    assert_eq!(with_cookies(&rig, &cookies).await.status, 401);
    assert_eq!(whole(rig.http.get(rig.url("Vendor"))).await.status, 401);
}

/// Sheet item: Acumatica 5
#[tokio::test]
async fn the_scope_of_concurrent_access_opens_a_session_with_every_call_without_its_cookie() {
    let rig = Rig::new().await;
    let tokens = rig.password("api api:concurrent_access").await.1;
    let token = tokens["access_token"].as_str().unwrap();
    let ask = |cookie: &str| {
        let call = rig.http.get(rig.url("Vendor?$top=1")).bearer_auth(token);
        whole(if cookie.is_empty() { call } else { call.header("cookie", cookie) })
    };
    let sessions = || rig.run.state()["access"]["sessions"].as_array().unwrap().len();
    let first = ask("").await;
    ask("").await;
    assert_eq!(sessions(), 4);
    assert_eq!(ask(&cookies(&first)).await.status, 200);
    assert_eq!(sessions(), 4);
    assert_eq!(rig.misuse().len(), 1);
}

#[tokio::test]
async fn the_journal_counts_by_entity_and_action_and_keeps_no_secret() {
    let rig = Rig::new().await;
    rig.bill(&sound_bill(json!({}))).await;
    rig.get("Bill/Bill/000101").await;
    rig.post("Bill/ReleaseBill", &wrap(json!({ "entity": { "Type": "Bill", "ReferenceNbr": "000101" } })))
        .await;
    let calls = rig.run.journal();
    let operations: Vec<&str> = calls.iter().map(|call| call.operation.as_str()).collect();
    let token = "POST /AcumaticaERP/identity/connect/token";
    assert_eq!(operations, [token, "PUT Bill", "GET Bill/", "POST Bill/ReleaseBill"]);
    let kept = format!("{calls:?}");
    for secret in [CLIENT_SECRET, PASSWORD, rig.token.as_str()] {
        assert!(!kept.contains(secret), "{secret}");
    }
}
