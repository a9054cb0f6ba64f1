//! A control plane in the test's own process, on a port that the system chose.

use super::TestAgent;
use crate::clock::{Clock, millis};
use crate::server::Services;
use crate::store::codes::{self, NewCode};
use crate::store::{Store, tenants};
use crate::wake;
use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer};
use secrecy::ExposeSecret as _;
use tokio::task::JoinHandle;

/// A node that serves.
pub struct Plane {
    /// Where: `http://127.0.0.1:1234`.
    pub base: String,
    /// What its routes share.
    pub services: Services,
    handle: ServerHandle,
    tasks: Vec<JoinHandle<()>>,
}

impl Plane {
    /// Opens the database and serves.
    pub async fn start(database: &str, clock: Clock) -> Self {
        let store = Store::open(database).await.unwrap_or_else(|why| panic!("{why}"));
        let services = Services::new(store, clock);
        let following = wake::follow(&services.store, &services.wake).await.expect("others are followed");
        let routes = services.clone();
        let server = HttpServer::new(move || {
            let routes = routes.clone();
            App::new().configure(move |config| routes.routes(config))
        });
        let server = server.workers(1).disable_signals().shutdown_timeout(1);
        let server = server.bind("127.0.0.1:0").expect("a port of the loopback interface");
        let base = format!("http://{}", server.addrs().first().expect("an address"));
        let server = server.run();
        let handle = server.handle();
        let serving = tokio::spawn(async move { server.await.expect("the server ends well") });
        Self { base, services, handle, tasks: vec![following, serving] }
    }

    /// A tenant.
    pub async fn tenant(&self, name: &str) -> String {
        let (name, now) = (name.to_owned(), millis(&self.services.clock));
        let made = self
            .services
            .store
            .write(move |tx| Box::pin(async move { tenants::create(tx, &name, now).await }));
        made.await.expect("a tenant").id
    }

    /// An enrollment code that works for an hour.
    pub async fn code(&self, tenant: &str, approve: bool) -> String {
        let now = millis(&self.services.clock);
        let new = NewCode {
            tenant: tenant.to_owned(),
            name: String::new(),
            approve,
            by: "test".to_owned(),
            minutes: 60,
        };
        let made =
            self.services.store.write(move |tx| Box::pin(async move { codes::create(tx, &new, now).await }));
        made.await.expect("a code").0.expose_secret().to_owned()
    }

    /// An agent of a tenant, enrolled.
    pub async fn agent(&self, tenant: &str) -> TestAgent {
        let mut agent = TestAgent::new(&self.base);
        agent.clock = self.services.clock.clone();
        agent.instance.started = agent.clock.now();
        let code = self.code(tenant, false).await;
        agent.enroll(&code).await.unwrap_or_else(|problem| panic!("{problem:?}"));
        agent
    }

    /// Ends the node as a crash would: nothing is finished.
    pub async fn kill(mut self) {
        self.handle.stop(false).await;
        self.end();
    }

    /// Ends the node well.
    pub async fn stop(mut self) {
        self.services.wake.drain();
        self.handle.stop(true).await;
        self.end();
        self.services.store.close().await;
    }

    fn end(&mut self) {
        self.tasks.drain(..).for_each(|task| task.abort());
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        // The server ends with its handle's last message; the rest would follow the database for ever.
        drop(self.handle.stop(false));
        self.end();
    }
}
