//! Two tenants with people of every role and one of everything, the fleet, and requests in their names.

use crate::accounts::oidc::ProviderSettings;
use crate::accounts::roles::{Permission, Role};
use crate::accounts::sessions::{COOKIE, CSRF_HEADER, csrf_of};
use crate::accounts::token::{hash_of, text_of};
use crate::api::admin::Admin;
use crate::clock::{Clock, Millis, millis};
use crate::metrics::Metrics;
use crate::notify::Notify;
use crate::secrets::{draw_id, draw_token};
use crate::server::Services;
use crate::settings::Settings;
use crate::store::agents::NewAgent;
use crate::store::alerts::{NewDestination, Way};
use crate::store::commands::NewCommand;
use crate::store::hooks::{Ceilings, NewHook};
use crate::store::revisions::NewRevision;
use crate::store::sessions::Session;
use crate::store::tokens::Token;
use crate::store::users::{FLEET, NewUser};
use crate::store::{
    Store, agents, alerts, codes, commands, hooks, revisions, sessions, templates, tenants, tokens, users,
};
use actix_web::App;
use actix_web::body::to_bytes;
use actix_web::http::Method;
use actix_web::test::{TestRequest, init_service};
use chrono::TimeDelta;
use futures_util::future::LocalBoxFuture;
use purser_proto::link::command::Verb;
use purser_proto::link::enrollment::PublicKeys;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use spend::Timestamp;
use std::collections::BTreeMap;
use std::rc::Rc;
use url::Url;

pub(super) const PUBLIC: &str = "https://control.example.test";

/// An answer as tests look at it.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, Vec<String>>,
    pub(super) body: String,
}

impl Got {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// What a cookie was set to.
    pub(super) fn cookie(&self, name: &str) -> Option<String> {
        let set =
            self.headers.get("set-cookie")?.iter().find_map(|set| set.strip_prefix(&format!("{name}=")))?;
        Some(set.split(';').next().unwrap_or_default().to_owned())
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|all| all.first()).map_or("", String::as_str)
    }
}

type Service = Rc<dyn Fn(TestRequest) -> LocalBoxFuture<'static, Got>>;

/// Who asks.
#[derive(Clone, Debug)]
pub(super) enum As {
    Nobody,
    Session(String),
    Token(String),
}

/// One thing of each kind.
#[derive(Clone, Debug)]
pub(super) struct Things {
    pub(super) tenant: String,
    pub(super) users: BTreeMap<&'static str, String>,
    pub(super) sessions: BTreeMap<&'static str, String>,
    pub(super) session_ids: BTreeMap<&'static str, String>,
    pub(super) token: String,
    pub(super) code: String,
    pub(super) agent: String,
    pub(super) template: String,
    pub(super) hook: String,
    pub(super) command: String,
    pub(super) destination: String,
}

pub(super) struct World {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) admin: Admin,
    pub(super) one: Things,
    pub(super) two: Things,
    pub(super) fleet: String,
    service: Service,
    folder: tempfile::TempDir,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(Vec::new()).await
    }

    pub(super) async fn with(providers: Vec<ProviderSettings>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = format!("sqlite:{}/control.db", folder.path().display());
        Self::made(&database, providers, folder).await
    }

    /// On a database that is there.
    #[cfg(unix)]
    pub(super) async fn on(database: &str) -> Self {
        Self::made(database, Vec::new(), tempfile::tempdir().unwrap()).await
    }

    async fn made(database: &str, providers: Vec<ProviderSettings>, folder: tempfile::TempDir) -> Self {
        let store = Store::open(database).await.unwrap();
        let clock = Clock::manual(Timestamp::from_timestamp_millis(1_800_000_000_000).unwrap());
        let public = Url::parse(PUBLIC).unwrap();
        let mut settings = Settings::defaults();
        settings.alerts.key = Some("a-key-of-32-characters-for-tests".to_owned().into());
        let notify = Notify::new(store.clone(), clock.clone(), Metrics::new(), &settings).unwrap();
        let admin = Admin::new(store.clone(), clock.clone(), Some(public), providers).unwrap();
        let admin = admin.with_notify(notify);
        let services = Services::new(store.clone(), clock.clone()).with_admin(admin.clone());
        let app = init_service(App::new().configure(|config| services.routes(config))).await;
        let app = Rc::new(app);
        let service: Service = Rc::new(move |request| {
            let app = app.clone();
            Box::pin(async move {
                let answer = actix_web::dev::Service::call(&*app, request.to_request()).await;
                let answer = answer.map_or_else(
                    |error| error.error_response().map_into_boxed_body(),
                    |answer| answer.into_parts().1.map_into_boxed_body(),
                );
                got(answer).await
            })
        });
        let now = millis(&clock);
        let one = things(&store, "North works", "one", now).await;
        let two = things(&store, "South works", "two", now).await;
        let fleet = person(&store, FLEET, "root@fleet.example.test", Role::Owner, now).await;
        let (_, fleet) = session(&store, FLEET, &fleet, now).await;
        Self { store, clock, admin, one, two, fleet, service, folder }
    }

    /// Where the database is.
    pub(super) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(super) fn later(&self, millis: i64) {
        self.clock.advance(TimeDelta::milliseconds(millis));
    }

    pub(super) fn now(&self) -> Millis {
        millis(&self.clock)
    }

    /// Sends a request as it is.
    pub(super) async fn send(&self, request: TestRequest) -> Got {
        (self.service)(request).await
    }

    /// Sends a request in somebody's name, as a page of ours or a program would.
    pub(super) async fn ask(&self, who: &As, method: Method, path: &str, body: Option<&Value>) -> Got {
        self.send(request(who, method, path, body)).await
    }

    pub(super) fn owner(&self) -> As {
        As::Session(self.one.sessions["owner"].clone())
    }

    pub(super) fn as_role(&self, role: Role) -> As {
        As::Session(self.one.sessions[role.word()].clone())
    }

    /// Entries of a tenant's audit log, the newest first: action, target, detail.
    pub(super) async fn audit(&self, tenant: &str) -> Vec<(String, String, String)> {
        let mut reader = self.store.read().await.unwrap();
        let found = crate::store::admin_audit::list(&mut reader, tenant, i64::MAX, 200).await.unwrap();
        found.into_iter().map(|entry| (entry.deed.action, entry.deed.target, entry.deed.detail)).collect()
    }
}

/// A request in somebody's name.
pub(super) fn request(who: &As, method: Method, path: &str, body: Option<&Value>) -> TestRequest {
    let mut request = TestRequest::default().method(method).uri(path);
    match who {
        As::Nobody => {}
        As::Session(word) => {
            request = request.cookie(actix_web::cookie::Cookie::new(COOKIE, word.clone()));
            request = request.insert_header((CSRF_HEADER, csrf_of(word)));
        }
        As::Token(token) => request = request.insert_header(("authorization", format!("Bearer {token}"))),
    }
    match body {
        Some(body) => {
            request.insert_header(("content-type", "application/json")).set_payload(body.to_string())
        }
        None => request,
    }
}

async fn got(answer: actix_web::HttpResponse) -> Got {
    let status = answer.status().as_u16();
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in answer.headers() {
        headers.entry(name.to_string()).or_default().push(value.to_str().unwrap().to_owned());
    }
    let body = to_bytes(answer.into_body()).await.unwrap_or_default();
    Got { status, headers, body: String::from_utf8_lossy(&body).into_owned() }
}

async fn things(store: &Store, name: &'static str, short: &'static str, now: Millis) -> Things {
    let tenant = store.write(move |tx| Box::pin(tenants::create(tx, name, now))).await.unwrap().id;
    let mut things = Things {
        tenant: tenant.clone(),
        users: BTreeMap::new(),
        sessions: BTreeMap::new(),
        session_ids: BTreeMap::new(),
        token: String::new(),
        code: String::new(),
        agent: draw_id('a').unwrap(),
        template: String::new(),
        hook: String::new(),
        command: String::new(),
        destination: String::new(),
    };
    for role in Role::ALL {
        let user = person(store, &tenant, &format!("{role}@{short}.example.test"), role, now).await;
        let (id, word) = session(store, &tenant, &user, now).await;
        things.users.insert(role.word(), user);
        things.sessions.insert(role.word(), word);
        things.session_ids.insert(role.word(), id);
    }
    let owner = things.users["owner"].clone();
    things.token = token(store, &tenant, &owner, &[Permission::AgentsRead], now).await.0;
    let code = codes::NewCode {
        tenant: tenant.clone(),
        name: String::new(),
        approve: false,
        by: "x".into(),
        minutes: 60,
    };
    let code =
        store.write(move |tx| Box::pin(async move { codes::create(tx, &code, now).await })).await.unwrap();
    things.code = code.1.id;
    let agent = NewAgent {
        id: things.agent.clone(),
        tenant,
        name: format!("Works {short}"),
        host: "host".into(),
        platform: "linux-x86_64".into(),
        agent_version: "0.1.0".into(),
        keys: PublicKeys { signing: draw_token().unwrap().expose_secret().into(), recipient: "age1x".into() },
        approved: false,
    };
    store.write(move |tx| Box::pin(async move { agents::insert(tx, &agent, now).await })).await.unwrap();
    of_the_agent(store, things, now).await
}

/// A template, a hook, a command and a revision.
async fn of_the_agent(store: &Store, things: Things, now: Millis) -> Things {
    let made = store.write(move |tx| {
        Box::pin(async move {
            let (tenant, agent) = (things.tenant.clone(), things.agent.clone());
            let template = templates::create(tx, &tenant, "First", "version = 1\n", "test", now).await?.id;
            let hook = NewHook {
                tenant: tenant.clone(),
                agent: agent.clone(),
                connection: "cards".into(),
                headers: Vec::new(),
                ceilings: Ceilings::default(),
                by: "test".into(),
            };
            let hook = hooks::create(tx, &hook, now).await?.hook.id;
            let command = NewCommand {
                tenant: tenant.clone(),
                agent: agent.clone(),
                verb: Verb::Diagnostics,
                by: "test".into(),
                reason: "test".into(),
                expires_at: now + 60_000,
            };
            let command = commands::create(tx, &command, now).await?;
            let revision = NewRevision {
                tenant,
                agent,
                toml: "version = 1\n".into(),
                by: "test".into(),
                note: String::new(),
                diff: String::new(),
                base: 0,
                rolls_back: None,
            };
            revisions::insert(tx, revision, now).await?;
            let target = "https://alerts.example.test/in".to_owned();
            let by = "test".to_owned();
            let told = NewDestination { way: Way::Webhook, target, kinds: Vec::new(), digest: false, by };
            let destination = alerts::add_destination(tx, &things.tenant, &told, now).await?.id;
            Ok(Things { template, hook, command, destination, ..things })
        })
    });
    made.await.unwrap()
}

async fn person(store: &Store, tenant: &str, email: &str, role: Role, at: Millis) -> String {
    let id = draw_id('u').unwrap();
    let new = NewUser {
        id: id.clone(),
        tenant: tenant.to_owned(),
        email: email.to_owned(),
        name: String::new(),
        role: role.word().to_owned(),
        password: None,
        at,
        by: "test".into(),
    };
    store.write(move |tx| Box::pin(async move { users::create(tx.connection(), &new).await })).await.unwrap();
    id
}

/// A session's id and word.
pub(super) async fn session(store: &Store, tenant: &str, user: &str, now: Millis) -> (String, String) {
    let word = draw_token().unwrap();
    let hash = blake3::hash(word.expose_secret().as_bytes()).to_hex().to_string();
    let session = Session {
        id: draw_id('s').unwrap(),
        tenant: tenant.to_owned(),
        user: user.to_owned(),
        how: "password".into(),
        address: "192.0.2.1".into(),
        browser: "test".into(),
        created_at: now,
        seen_at: now,
    };
    let id = session.id.clone();
    let kept = store
        .write(move |tx| Box::pin(async move { sessions::create(tx.connection(), &session, &hash).await }));
    kept.await.unwrap();
    (id, word.expose_secret().to_owned())
}

/// A token's id and text.
pub(super) async fn token(
    store: &Store,
    tenant: &str,
    user: &str,
    scopes: &[Permission],
    now: Millis,
) -> (String, SecretString) {
    let secret = draw_token().unwrap();
    let token = Token {
        id: draw_id('k').unwrap(),
        hash: hash_of(&secret),
        tenant: tenant.to_owned(),
        user: user.to_owned(),
        name: "test".into(),
        scopes: scopes.iter().map(|scope| scope.word().to_owned()).collect(),
        created_at: now,
        expires_at: now + 86_400_000,
        used_at: None,
        revoked_at: None,
    };
    let (id, text) = (token.id.clone(), text_of(&token.id, &secret));
    store
        .write(move |tx| Box::pin(async move { tokens::create(tx.connection(), &token).await }))
        .await
        .unwrap();
    (id, text)
}
