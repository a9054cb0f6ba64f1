//! Logging in as a person does: password, second factor, limits, sessions by a clock that is moved by hand.

use super::world::{As, Got, PUBLIC, World, request, token};
use crate::accounts::limits::WINDOW;
use crate::accounts::people::Newcomer;
use crate::accounts::roles::{Permission, Role};
use crate::accounts::sessions::{ABSOLUTE, COOKIE, IDLE};
use crate::accounts::totp::SharedSecret;
use actix_web::http::Method;
use chrono::TimeDelta;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

const EMAIL: &str = "dora@example.test";
const PASSWORD: &str = "a lamp in the harbour";

async fn world() -> World {
    let world = World::new().await;
    let new = Newcomer {
        tenant: world.one.tenant.clone(),
        email: EMAIL.into(),
        name: "Dora".into(),
        role: Role::Owner,
        password: Some(PASSWORD.into()),
        by: "test".into(),
    };
    world.admin.accounts().create_from_host(new).await.unwrap();
    world
}

async fn try_login(world: &World, email: &str, password: &str, code: Option<&str>) -> Got {
    let body = json!({ "email": email, "password": password, "code": code });
    world.ask(&As::Nobody, Method::POST, "/v1/session", Some(&body)).await
}

async fn log_in(world: &World, code: Option<&str>) -> As {
    let got = try_login(world, EMAIL, PASSWORD, code).await;
    assert_eq!(got.status, 200, "{got:?}");
    As::Session(got.cookie(COOKIE).unwrap())
}

async fn status(world: &World, who: &As) -> u16 {
    world.ask(who, Method::GET, "/v1/session", None).await.status
}

#[actix_web::test]
async fn the_right_password_opens_a_session_with_a_safe_cookie() {
    let world = world().await;
    let got = try_login(&world, " Dora@Example.test ", PASSWORD, None).await;
    assert_eq!(got.status, 200, "{got:?}");
    let set = &got.headers["set-cookie"][0];
    for part in ["__Host-purser=", "Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
        assert!(set.contains(part), "{part}: {set}");
    }
    assert!(!set.contains("Domain"));
    let word = got.cookie(COOKIE).unwrap();
    assert!(!got.body.contains(&word), "the session is in the cookie only");
    let who = world.ask(&As::Session(word.clone()), Method::GET, "/v1/session", None).await.json();
    assert_eq!((&who["role"], &who["shown"]), (&json!("owner"), &json!(EMAIL)));
    assert_eq!(who["csrf"], got.json()["csrf"]);
    let (action, ..) = world.audit(&world.one.tenant).await.remove(0);
    assert_eq!(action, "session.begin");
}

#[actix_web::test]
async fn a_wrong_address_and_a_wrong_password_get_the_same_answer() {
    let world = world().await;
    let wrong = try_login(&world, EMAIL, "a lamp in the harbor", None).await;
    let nobody = try_login(&world, "nobody@example.test", PASSWORD, None).await;
    let no_password = try_login(&world, "viewer@one.example.test", PASSWORD, None).await;
    assert_eq!((wrong.status, &wrong.body), (401, &nobody.body));
    assert_eq!(wrong.body, no_password.body);
    assert_eq!(wrong.headers, nobody.headers);
}

#[actix_web::test]
async fn a_login_of_nobody_takes_as_long_as_one_of_somebody() {
    // By construction both hash once; a wide margin, because the machine is shared.
    let world = world().await;
    let accounts = world.admin.accounts();
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..12 {
        for (which, email) in [EMAIL, "nobody@example.test"].into_iter().enumerate() {
            let given = crate::accounts::login::Credentials {
                email: email.into(),
                password: "a lamp in the harbor".to_owned().into(),
                code: None,
            };
            let origin = crate::accounts::service::Origin {
                address: format!("192.0.2.{round}"),
                ..Default::default()
            };
            let began = std::time::Instant::now();
            accounts.login(given, None, &origin).await.unwrap_err();
            times[which].push(began.elapsed());
        }
    }
    let [somebody, nobody] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2].as_secs_f64()
    });
    assert!(nobody > somebody / 3.0 && somebody > nobody / 3.0, "{somebody} s against {nobody} s");
}

#[actix_web::test]
async fn ten_failures_slow_an_address_down_and_lock_nobody_out() {
    let world = world().await;
    let mut tried = 0;
    for _ in 0..40 {
        let got = try_login(&world, EMAIL, "a lamp in the harbor", None).await;
        if got.status == 429 {
            let seconds: i64 = got.header("retry-after").parse().unwrap();
            assert_eq!(got.json()["retry_after"], seconds);
            world.later(1000);
        } else {
            assert_eq!(got.status, 401);
            tried += 1;
        }
    }
    assert!((3..=10).contains(&tried), "{tried} of 40 within 40 s");
    assert_eq!(try_login(&world, EMAIL, PASSWORD, None).await.status, 429);
    let elsewhere = crate::accounts::service::Origin { address: "192.0.2.99".into(), ..Default::default() };
    let given = crate::accounts::login::Credentials {
        email: EMAIL.into(),
        password: PASSWORD.to_owned().into(),
        code: None,
    };
    assert!(
        world.admin.accounts().login(given, None, &elsewhere).await.is_ok(),
        "from elsewhere they get in"
    );
    world.later(crate::accounts::limits::WINDOW);
    assert_eq!(try_login(&world, EMAIL, PASSWORD, None).await.status, 200);
}

#[actix_web::test]
async fn a_clock_that_goes_back_keeps_nobody_out_for_longer() {
    let world = world().await;
    while try_login(&world, EMAIL, "a lamp in the harbor", None).await.status != 429 {}
    world.clock.set_by(TimeDelta::days(-400));
    world.clock.advance(TimeDelta::milliseconds(WINDOW));
    assert_eq!(try_login(&world, EMAIL, PASSWORD, None).await.status, 200);
    while try_login(&world, EMAIL, "a lamp in the harbor", None).await.status != 429 {}
    world.clock.set_by(TimeDelta::days(400));
    assert_eq!(try_login(&world, EMAIL, PASSWORD, None).await.status, 429, "and lets nobody in sooner");
}

#[actix_web::test]
async fn sessions_end_by_silence_by_age_by_logout_and_by_revocation() {
    let world = world().await;
    let session = log_in(&world, None).await;
    world.later(IDLE - 1);
    assert_eq!(status(&world, &session).await, 200);
    world.later(IDLE - 1);
    assert_eq!(status(&world, &session).await, 200, "the request before counts");
    world.later(IDLE);
    assert_eq!(status(&world, &session).await, 401);

    let session = log_in(&world, None).await;
    for _ in 0..(ABSOLUTE / (IDLE / 2)) {
        assert_eq!(status(&world, &session).await, 200);
        world.later(IDLE / 2);
    }
    assert_eq!(status(&world, &session).await, 401, "twelve hours, however busy");

    let session = log_in(&world, None).await;
    let out = world.ask(&session, Method::DELETE, "/v1/session", None).await;
    assert_eq!((out.status, out.cookie(COOKIE).as_deref()), (204, Some("")));
    assert_eq!(status(&world, &session).await, 401);

    let (one, two) = (log_in(&world, None).await, log_in(&world, None).await);
    let list = world.ask(&two, Method::GET, "/v1/sessions", None).await.json();
    let other = list.as_array().unwrap().iter().find(|session| session["current"] == false).unwrap();
    let path = format!("/v1/sessions/{}", other["id"].as_str().unwrap());
    assert_eq!(world.ask(&two, Method::DELETE, &path, None).await.status, 204);
    assert_eq!((status(&world, &one).await, status(&world, &two).await), (401, 200));
}

#[actix_web::test]
async fn a_store_that_takes_nothing_keeps_nobody_from_reading() {
    let world = world().await;
    let session = log_in(&world, None).await;
    let owner = &world.one.users["owner"];
    let made = token(&world.store, &world.one.tenant, owner, &[Permission::AgentsRead], world.now()).await;
    let token = As::Token(made.1.expose_secret().to_owned());
    for table in ["sessions", "tokens"] {
        let trigger = format!(
            "create trigger full_{table} before update on {table} begin select raise(abort, 'full'); end"
        );
        let made = world.store.write(move |tx| {
            Box::pin(async move {
                sqlx::query(sqlx::AssertSqlSafe(trigger)).execute(tx.connection()).await?;
                Ok(())
            })
        });
        made.await.unwrap();
    }
    world.clock.advance(TimeDelta::minutes(5));
    assert_eq!(status(&world, &session).await, 200);
    assert_eq!(world.ask(&token, Method::GET, "/v1/agents", None).await.status, 200);
}

#[actix_web::test]
async fn a_login_begins_a_new_session_and_ends_the_one_before() {
    let world = world().await;
    let before = log_in(&world, None).await;
    let body = json!({ "email": EMAIL, "password": PASSWORD });
    let got = world.ask(&before, Method::POST, "/v1/session", Some(&body)).await;
    assert_eq!(got.status, 200, "{got:?}");
    let after = As::Session(got.cookie(COOKIE).unwrap());
    assert_eq!((status(&world, &before).await, status(&world, &after).await), (401, 200));
    let foreign = request(&As::Nobody, Method::POST, "/v1/session", Some(&body));
    let foreign = world.send(foreign.insert_header(("origin", "https://evil.example.test"))).await;
    assert_eq!(foreign.status, 403, "no page of strangers logs anybody in");
    let own = request(&As::Nobody, Method::POST, "/v1/session", Some(&body));
    assert_eq!(world.send(own.insert_header(("origin", PUBLIC))).await.status, 200);
}

/// Sets a second factor up and answers how its codes are made.
async fn second_factor(world: &World, session: &As) -> impl Fn(i64) -> String + use<> {
    let body = json!({ "password": PASSWORD });
    let got = world.ask(session, Method::POST, "/v1/me/totp", Some(&body)).await;
    assert_eq!(got.status, 200, "{got:?}");
    let secret = SharedSecret::of_base32(got.json()["secret"].as_str().unwrap()).unwrap();
    let code = move |now| secret.code_at(now).unwrap();
    assert_eq!(
        try_login(world, EMAIL, PASSWORD, None).await.status,
        200,
        "not in force before it is confirmed"
    );
    let wrong = json!({ "password": PASSWORD, "code": code(world.now() + 90_000) });
    assert_eq!(world.ask(session, Method::POST, "/v1/me/totp/confirm", Some(&wrong)).await.status, 401);
    world.later(2000);
    let right = json!({ "password": PASSWORD, "code": code(world.now()) });
    let got = world.ask(session, Method::POST, "/v1/me/totp/confirm", Some(&right)).await;
    assert_eq!(got.status, 204, "{got:?}");
    code
}

#[actix_web::test]
async fn a_code_of_the_second_factor_is_needed_and_used_once() {
    let world = world().await;
    let session = log_in(&world, None).await;
    let code = second_factor(&world, &session).await;
    let got = try_login(&world, EMAIL, PASSWORD, None).await;
    assert_eq!((got.status, &got.json()["code"]), (401, &json!("second-factor")));
    assert_eq!(
        try_login(&world, EMAIL, PASSWORD, Some(&code(world.now()))).await.status,
        401,
        "it confirmed the factor"
    );
    world.later(60_000);
    let fresh = code(world.now());
    assert_eq!(try_login(&world, EMAIL, PASSWORD, Some(&fresh)).await.status, 200);
    assert_eq!(try_login(&world, EMAIL, PASSWORD, Some(&fresh)).await.status, 401, "used");
    assert_eq!(
        try_login(&world, EMAIL, PASSWORD, Some(&code(world.now() - 30_000))).await.status,
        401,
        "older"
    );
    world.later(60_000);
    assert_eq!(try_login(&world, EMAIL, PASSWORD, Some("000000")).await.status, 401);
}

#[actix_web::test]
async fn two_logins_with_one_code_at_once_let_one_in() {
    let world = world().await;
    let session = log_in(&world, None).await;
    let code = second_factor(&world, &session).await;
    world.later(60_000);
    let fresh = code(world.now());
    let (one, two) = futures_util::future::join(
        try_login(&world, EMAIL, PASSWORD, Some(&fresh)),
        try_login(&world, EMAIL, PASSWORD, Some(&fresh)),
    )
    .await;
    let mut both = [one.status, two.status];
    both.sort_unstable();
    assert_eq!(both, [200, 401]);
}

#[actix_web::test]
async fn a_new_password_keeps_the_second_factor_and_ends_other_sessions() {
    let world = world().await;
    let (other, session) = (log_in(&world, None).await, log_in(&world, None).await);
    let code = second_factor(&world, &session).await;
    let change = |old: &str, new: &str| json!({ "old": old, "new": new });
    let ask = |body: Value| {
        let (world, session) = (&world, &session);
        async move { world.ask(session, Method::POST, "/v1/me/password", Some(&body)).await }
    };
    assert_eq!(ask(change(PASSWORD, "password1")).await.json()["code"], "unfit-password");
    assert_eq!(ask(change("a lamp in the harbor", "two lamps in the harbour")).await.status, 401);
    assert_eq!(ask(change(PASSWORD, "two lamps in the harbour")).await.status, 204);
    assert_eq!((status(&world, &other).await, status(&world, &session).await), (401, 200));
    world.later(60_000);
    let got = try_login(&world, EMAIL, "two lamps in the harbour", None).await;
    assert_eq!(got.json()["code"], "second-factor");
    let got = try_login(&world, EMAIL, "two lamps in the harbour", Some(&code(world.now()))).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert_eq!(try_login(&world, EMAIL, PASSWORD, None).await.status, 401);
}

#[actix_web::test]
async fn a_password_that_an_owner_sets_ends_tokens_unless_they_are_kept() {
    let world = world().await;
    let user = &world.one.users["operator"];
    let read = async |token: &As| world.ask(token, Method::GET, "/v1/agents", None).await.status;
    let make = async || {
        let made = token(&world.store, &world.one.tenant, user, &[Permission::AgentsRead], world.now()).await;
        As::Token(made.1.expose_secret().to_owned())
    };
    let set = async |body: Value| {
        let path = format!("/v1/users/{user}/password");
        world.ask(&world.owner(), Method::POST, &path, Some(&body)).await.status
    };
    let (one, two) = (make().await, make().await);
    assert_eq!(set(json!({ "password": "two lamps in the harbour", "keep_tokens": true })).await, 204);
    assert_eq!((read(&one).await, read(&two).await), (200, 200));
    assert_eq!(set(json!({ "password": "two lamps in the harbour" })).await, 204);
    assert_eq!((read(&one).await, read(&two).await), (401, 401));
    let (action, _, detail) = world.audit(&world.one.tenant).await.remove(0);
    assert_eq!(action, "user.password.set");
    assert!(detail.ends_with("2 token(s) revoked"), "{detail}");
    assert_eq!(status(&world, &world.owner()).await, 200);
}

#[actix_web::test]
async fn one_s_own_new_password_leaves_tokens() {
    let world = world().await;
    let session = log_in(&world, None).await;
    let body = json!({ "name": "nightly", "scopes": ["agents-read"] });
    let made = world.ask(&session, Method::POST, "/v1/me/tokens", Some(&body)).await.json();
    let token = As::Token(made["token"].as_str().unwrap().to_owned());
    let body = json!({ "old": PASSWORD, "new": "two lamps in the harbour" });
    assert_eq!(world.ask(&session, Method::POST, "/v1/me/password", Some(&body)).await.status, 204);
    assert_eq!(world.ask(&token, Method::GET, "/v1/agents", None).await.status, 200);
}

#[actix_web::test]
async fn the_database_holds_no_password_session_code_or_token() {
    let world = world().await;
    let session = log_in(&world, None).await;
    let code = second_factor(&world, &session).await;
    let token = json!({ "name": "plan", "scopes": ["agents-read"] });
    let made = request(&session, Method::POST, "/v1/me/tokens", Some(&token));
    let made = world.send(made.insert_header(("idempotency-key", "0123456789abcdef"))).await.json();
    let As::Session(word) = &session else { panic!("a session") };
    let enrolled = world.ask(&session, Method::POST, "/v1/codes", Some(&json!({}))).await.json();
    let text = made["token"].as_str().unwrap();
    let secret = text.rsplit('_').next().unwrap();
    world.store.close().await;
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(world.folder()).unwrap() {
        bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    let holds = |canary: &str| bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
    assert!(holds(EMAIL), "the database was read");
    for canary in [PASSWORD, word, secret, &code(world.now()), enrolled["code"].as_str().unwrap()] {
        assert!(!holds(canary), "{canary} is in the database");
    }
}
