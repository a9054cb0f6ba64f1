//! Files are planned and applied over HTTP, as from a repository.

use super::{Source, Summary, go, meant};
use crate::accounts::people::Newcomer;
use crate::accounts::roles::{Permission, Role};
use crate::accounts::token::{hash_of, text_of};
use crate::api::admin::Admin;
use crate::clock::Clock;
use crate::secrets::{draw_id, draw_token};
use crate::server::Services;
use crate::store::agents::NewAgent;
use crate::store::tokens::Token;
use crate::store::{Store, agents, revisions, tenants, tokens};
use actix_web::{App, HttpServer};
use purser_proto::link::enrollment::PublicKeys;
use secrecy::ExposeSecret as _;
use spend::Timestamp;
use std::path::PathBuf;

const NOW: i64 = 1_800_000_000_000;
/// Valid: connections without flows.
const GOOD: &str = "version = 1\n";

struct Place {
    folder: tempfile::TempDir,
    store: Store,
    tenant: String,
    agent: String,
    server: url::Url,
}

async fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("sqlite:{}/control.db", folder.path().display())).await.unwrap();
    let clock = Clock::manual(Timestamp::from_timestamp_millis(NOW).unwrap());
    let admin = Admin::new(store.clone(), clock.clone(), None, Vec::new()).unwrap();
    let tenant = store.write(move |tx| Box::pin(tenants::create(tx, "North works", NOW))).await.unwrap().id;
    let (email, by) = ("dora@example.test".to_owned(), "test".to_owned());
    let new = Newcomer {
        tenant: tenant.clone(),
        email,
        name: String::new(),
        role: Role::Owner,
        password: None,
        by,
    };
    let user = admin.accounts().create_from_host(new).await.unwrap();
    let agent = NewAgent {
        id: draw_id('a').unwrap(),
        tenant: tenant.clone(),
        name: "works".into(),
        host: "host".into(),
        platform: String::new(),
        agent_version: String::new(),
        keys: PublicKeys { signing: "00".into(), recipient: "age1x".into() },
        approved: true,
    };
    let id = agent.id.clone();
    store.write(move |tx| Box::pin(async move { agents::insert(tx, &agent, NOW).await })).await.unwrap();
    let secret = draw_token().unwrap();
    let scopes = [Permission::AgentsRead, Permission::ConfigurationRead, Permission::ConfigurationWrite];
    let token = Token {
        id: draw_id('k').unwrap(),
        hash: hash_of(&secret),
        tenant: tenant.clone(),
        user,
        name: "repository".into(),
        scopes: scopes.map(|scope| scope.word().to_owned()).to_vec(),
        created_at: NOW,
        expires_at: NOW + 1000,
        used_at: None,
        revoked_at: None,
    };
    let text = text_of(&token.id, &secret);
    store
        .write(move |tx| Box::pin(async move { tokens::create(tx.connection(), &token).await }))
        .await
        .unwrap();
    std::fs::write(folder.path().join("token"), format!("{}\n", text.expose_secret())).unwrap();
    let services = Services::new(store.clone(), clock).with_admin(admin);
    let server = HttpServer::new(move || {
        let services = services.clone();
        App::new().configure(move |config| services.routes(config))
    });
    let server = server.workers(1).bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", server.addrs()[0]).parse().unwrap();
    actix_web::rt::spawn(server.run());
    Place { folder, store, tenant, agent: id, server: url }
}

impl Place {
    fn source(&self, path: PathBuf, agent: Option<&str>) -> Source {
        let agent = agent.map(str::to_owned);
        let token_file = self.folder.path().join("token");
        Source { path, agent, server: self.server.clone(), token_file, tenant: None }
    }

    fn files(&self, files: &[(&str, &str)]) -> PathBuf {
        let folder = self.folder.path().join("fleet");
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir(&folder).unwrap();
        for (name, text) in files {
            std::fs::write(folder.join(name), text).unwrap();
        }
        folder
    }

    async fn newest(&self) -> Option<(i64, String)> {
        let mut reader = self.store.read().await.unwrap();
        let newest = revisions::newest(&mut reader, &self.tenant, &self.agent).await.unwrap();
        newest.map(|row| (row.number, row.note))
    }
}

#[actix_web::test]
async fn a_folder_is_planned_applied_and_then_as_it_should_be() {
    let place = place().await;
    let folder = place.files(&[("works.toml", GOOD), ("README.md", "not a configuration")]);
    let source = place.source(folder, None);
    let mut told = String::new();
    let plan = go(&source, None, &mut |text| told.push_str(text)).await.unwrap();
    assert_eq!(plan, Summary { changed: 1, ..Summary::default() });
    assert!(told.contains("+version = 1"), "{told}");
    assert_eq!(place.newest().await, None, "a plan changes nothing");
    go(&source, Some("month end"), &mut |_| {}).await.unwrap();
    assert_eq!(place.newest().await, Some((1, "month end".to_owned())));
    let again = go(&source, Some("again"), &mut |_| {}).await.unwrap();
    assert_eq!(again, Summary { same: 1, ..Summary::default() });
    assert_eq!(place.newest().await, Some((1, "month end".to_owned())));
}

#[actix_web::test]
async fn one_refused_file_keeps_all_back_and_says_where_it_is_wrong() {
    let place = place().await;
    let folder = place.files(&[("works.toml", "version = 1\nnonsense = true\n")]);
    let mut told = String::new();
    let summary = go(&place.source(folder, None), Some("x"), &mut |text| told.push_str(text)).await.unwrap();
    assert_eq!(summary, Summary { refused: 1, ..Summary::default() });
    assert!(told.contains("works.toml:2") && told.contains("nonsense"), "{told}");
    assert_eq!(place.newest().await, None);
}

#[actix_web::test]
async fn an_unknown_agent_an_unsafe_server_and_a_wrong_token_are_named() {
    let place = place().await;
    let folder = place.files(&[("elsewhere.toml", GOOD)]);
    let said =
        |source: Source| async move { format!("{:#}", go(&source, None, &mut |_| {}).await.unwrap_err()) };
    assert!(
        said(place.source(folder.clone(), None)).await.contains("no agent with the id or name `elsewhere`")
    );
    let plain = Source {
        server: "http://control.example.test".parse().unwrap(),
        ..place.source(folder.clone(), None)
    };
    assert!(said(plain).await.contains("not https"));
    std::fs::write(place.folder.path().join("token"), "pct_wrong").unwrap();
    assert!(said(place.source(folder.join("elsewhere.toml"), Some("works"))).await.contains("401"));
    let two = [("a1".to_owned(), "works".to_owned()), ("a2".to_owned(), "works".to_owned())];
    assert!(meant(&two, "works").is_err() && meant(&two, "a2").is_ok());
}
