//! Login at an identity provider that the test starts: the way it should go, and what attackers try.

use super::world::{As, Got, PUBLIC, World, request};
use crate::accounts::oidc::jwt::tests::Signer;
use crate::accounts::oidc::{COOKIE as LOGIN_COOKIE, LONGEST, ProviderSettings};
use crate::accounts::sessions::COOKIE;
use actix_web::cookie::Cookie;
use actix_web::http::Method;
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use url::Url;

const CLIENT: &str = "purser";
const SECRET: &str = "the client's secret: 100 %";
const NOW: i64 = 1_800_000_000;

/// What the provider does next, and what it was asked.
struct Script {
    issuer: Mutex<String>,
    signer: Signer,
    stranger: Signer,
    header: Mutex<Value>,
    claims: Mutex<Value>,
    by_stranger: Mutex<bool>,
    asked: Mutex<Vec<HashMap<String, String>>>,
    described: AtomicU32,
    authorization: Mutex<String>,
}

type Shared = Data<Arc<Script>>;

async fn discovery(script: Shared) -> HttpResponse {
    let issuer = script.issuer.lock().unwrap().clone();
    script.described.fetch_add(1, Ordering::Relaxed);
    HttpResponse::Ok().json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
    }))
}

async fn keys(script: Shared) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "keys": [script.signer.jwk("k1")] }))
}

async fn token(script: Shared, request: HttpRequest, body: Bytes) -> HttpResponse {
    let form: HashMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    let authorization =
        request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
    *script.authorization.lock().unwrap() = authorization.unwrap_or_default();
    let good = form["code"] == "good";
    script.asked.lock().unwrap().push(form);
    if !good {
        return HttpResponse::BadRequest().json(json!({ "error": "invalid_grant" }));
    }
    let signer = if *script.by_stranger.lock().unwrap() { &script.stranger } else { &script.signer };
    let token = signer.token(&script.header.lock().unwrap(), &script.claims.lock().unwrap());
    HttpResponse::Ok().json(json!({ "id_token": token, "access_token": "x", "token_type": "Bearer" }))
}

struct Stage {
    world: World,
    script: Arc<Script>,
}

impl Stage {
    async fn new() -> Self {
        let script = Arc::new(Script {
            issuer: Mutex::default(),
            signer: Signer::new(),
            stranger: Signer::new(),
            header: Mutex::new(json!({ "alg": "ES256", "kid": "k1" })),
            claims: Mutex::default(),
            by_stranger: Mutex::new(false),
            asked: Mutex::default(),
            described: AtomicU32::new(0),
            authorization: Mutex::default(),
        });
        let shared = Data::new(script.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .route("/.well-known/openid-configuration", web::get().to(discovery))
                .route("/keys", web::get().to(keys))
                .route("/token", web::post().to(token))
        });
        let server = server.workers(1).bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", server.addrs()[0]);
        actix_web::rt::spawn(server.run());
        *script.issuer.lock().unwrap() = issuer.clone();
        // The tenant's id is known after the world exists: the fleet's people use this provider.
        let provider = ProviderSettings {
            id: "office".into(),
            name: "Office".into(),
            tenant: crate::store::users::FLEET.into(),
            issuer,
            client_id: CLIENT.into(),
            client_secret: SECRET.into(),
        };
        Self { world: World::with(vec![provider]).await, script }
    }

    /// Begins a login: the cookie, and where the browser is sent.
    async fn begin(&self) -> (String, HashMap<String, String>) {
        let got = self.world.ask(&As::Nobody, Method::GET, "/v1/oidc/office/start", None).await;
        assert_eq!(got.status, 303, "{got:?}");
        let address = Url::parse(got.header("location")).unwrap();
        (got.cookie(LOGIN_COOKIE).unwrap(), address.query_pairs().into_owned().collect())
    }

    fn claims(&self, nonce: &str) -> Value {
        json!({
            "iss": *self.script.issuer.lock().unwrap(), "sub": "7", "aud": CLIENT, "exp": NOW + 300, "iat": NOW,
            "nonce": nonce, "email": "Root@Fleet.example.test", "email_verified": true,
        })
    }

    async fn come_back(&self, cookie: Option<&str>, state: &str, code: &str) -> Got {
        let path = format!("/v1/oidc/office/callback?code={code}&state={state}");
        let mut back = request(&As::Nobody, Method::GET, &path, None);
        if let Some(cookie) = cookie {
            back = back.cookie(Cookie::new(LOGIN_COOKIE, cookie.to_owned()));
        }
        self.world.send(back).await
    }

    /// A whole login with claims that are changed in one place.
    async fn with(&self, change: Value) -> Got {
        let (cookie, sent) = self.begin().await;
        let mut claims = self.claims(&sent["nonce"]);
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        *self.script.claims.lock().unwrap() = claims;
        self.come_back(Some(&cookie), &sent["state"], "good").await
    }
}

#[actix_web::test]
async fn what_the_provider_says_of_itself_is_read_again_when_the_clock_went_back() {
    let stage = Stage::new().await;
    let described = || stage.script.described.load(Ordering::Relaxed);
    for days in [0, 0, -400] {
        stage.world.clock.set_by(chrono::TimeDelta::days(days));
        stage.begin().await;
    }
    assert_eq!(described(), 2);
    stage.begin().await;
    assert_eq!(described(), 2);
}

#[actix_web::test]
async fn somebody_with_an_account_gets_in_by_the_provider() {
    let stage = Stage::new().await;
    let (cookie, sent) = stage.begin().await;
    *stage.script.claims.lock().unwrap() = stage.claims(&sent["nonce"]);
    let got = stage.come_back(Some(&cookie), &sent["state"], "good").await;
    assert_eq!((got.status, got.header("location")), (303, "/"), "{got:?}");
    assert_eq!(got.cookie(LOGIN_COOKIE).as_deref(), Some(""), "the login's cookie is over");
    let session = As::Session(got.cookie(COOKIE).unwrap());
    let who = stage.world.ask(&session, Method::GET, "/v1/session", None).await.json();
    assert_eq!((&who["shown"], &who["tenant"]), (&json!("root@fleet.example.test"), &json!("*")));

    let asked = stage.script.asked.lock().unwrap().last().unwrap().clone();
    assert_eq!(asked["redirect_uri"], format!("{PUBLIC}/v1/oidc/office/callback"));
    let challenge = ring::digest::digest(&ring::digest::SHA256, asked["code_verifier"].as_bytes());
    let challenge = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, challenge);
    assert_eq!((&challenge, sent["code_challenge_method"].as_str()), (&sent["code_challenge"], "S256"));
    let basic = stage.script.authorization.lock().unwrap().clone();
    let basic = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        basic.trim_start_matches("Basic "),
    );
    assert_eq!(String::from_utf8(basic.unwrap()).unwrap(), "purser:the+client%27s+secret%3A+100+%25");

    let renamed = stage.with(json!({ "email": "other@example.test", "email_verified": false })).await;
    assert_eq!(renamed.status, 303, "from then on the provider's id counts: {renamed:?}");
}

#[actix_web::test]
async fn a_token_that_was_made_for_something_else_lets_nobody_in() {
    let stage = Stage::new().await;
    for change in [
        json!({ "nonce": "another" }),
        json!({ "aud": "another" }),
        json!({ "iss": "https://evil.example.test" }),
        json!({ "exp": NOW - 120 }),
        json!({ "iat": NOW - 7200 }),
        json!({ "sub": "" }),
        json!({ "email_verified": false }),
        json!({ "email": "nobody@example.test" }),
        json!({ "email": "owner@one.example.test" }),
    ] {
        let got = stage.with(change.clone()).await;
        assert_eq!((got.status, got.cookie(COOKIE)), (401, None), "{change}: {got:?}");
        assert_eq!(got.header("content-type"), "application/problem+json");
    }
    for header in [
        json!({ "alg": "none" }),
        json!({ "alg": "HS256", "kid": "k1" }),
        json!({ "alg": "ES256", "kid": "k2" }),
    ] {
        *stage.script.header.lock().unwrap() = header.clone();
        assert_eq!(stage.with(json!({})).await.status, 401, "{header}");
    }
    *stage.script.header.lock().unwrap() = json!({ "alg": "ES256", "kid": "k1" });
    *stage.script.by_stranger.lock().unwrap() = true;
    assert_eq!(stage.with(json!({})).await.status, 401, "a foreign key");
    *stage.script.by_stranger.lock().unwrap() = false;
    assert_eq!(stage.with(json!({})).await.status, 303, "nothing else was wrong");
}

#[actix_web::test]
async fn an_answer_belongs_to_the_browser_that_asked_and_to_its_time() {
    let stage = Stage::new().await;
    let (cookie, sent) = stage.begin().await;
    let (other, _) = stage.begin().await;
    *stage.script.claims.lock().unwrap() = stage.claims(&sent["nonce"]);
    let state = sent["state"].as_str();
    let before = stage.script.asked.lock().unwrap().len();
    for (cookie, state) in [
        (None, state),
        (Some(other.as_str()), state),
        (Some(cookie.as_str()), "x"),
        (Some(cookie.as_str()), ""),
    ] {
        let got = stage.come_back(cookie, state, "good").await;
        assert_eq!((got.status, got.cookie(COOKIE)), (401, None), "{got:?}");
    }
    assert_eq!(stage.script.asked.lock().unwrap().len(), before, "the provider was not even asked");
    assert_eq!(stage.come_back(Some(&cookie), state, "bad").await.status, 401);
    stage.world.later(LONGEST);
    assert_eq!(stage.come_back(Some(&cookie), state, "good").await.status, 401);
}

#[actix_web::test]
async fn a_provider_that_names_another_issuer_is_not_used() {
    let stage = Stage::new().await;
    *stage.script.issuer.lock().unwrap() = "https://evil.example.test".into();
    let got = stage.world.ask(&As::Nobody, Method::GET, "/v1/oidc/office/start", None).await;
    assert_eq!((got.status, got.header("retry-after")), (503, "30"));
    let missing = stage.world.ask(&As::Nobody, Method::GET, "/v1/oidc/other/start", None).await;
    assert_eq!(missing.status, 404);
}

#[actix_web::test]
async fn somebody_who_may_not_log_in_may_not_by_the_provider_either() {
    let stage = Stage::new().await;
    assert_eq!(stage.with(json!({})).await.status, 303);
    let off = stage.world.store.write(move |tx| {
        Box::pin(async move {
            let sql = "update users set disabled_at = 1 where email = 'root@fleet.example.test'";
            Ok(sqlx::query(sql).execute(tx.connection()).await.map(drop)?)
        })
    });
    off.await.unwrap();
    assert_eq!(stage.with(json!({})).await.status, 401);
}
