//! The HTTP server: which routes there are and what they share.

use crate::api;
use crate::clock::Clock;
use crate::ingress::Ingress;
use crate::link::Link;
use crate::store::{Store, StoreError, commands, deliveries, nonces};
use crate::wake::{self, Wake};
use actix_web::web::{Data, ServiceConfig};
use actix_web::{App, HttpResponse, HttpServer, get};
use purser_proto::link::assertion::TOLERANCE_SECONDS;
use serde::Serialize;
use std::net::SocketAddr;
use std::time::Duration;

/// How often what is too old is forgotten.
const SWEEP: Duration = Duration::from_secs(30);

/// What all routes share.
#[derive(Clone)]
pub struct Services {
    /// The database.
    pub store: Store,
    /// Requests that wait.
    pub wake: Wake,
    /// The time.
    pub clock: Clock,
    /// Webhooks on their way in.
    pub ingress: Ingress,
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be used.
    #[error("cannot listen on {0}: {1}; choose another --listen")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// It ended badly.
    #[error("the server ended: {0}")]
    Ended(#[source] std::io::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a health check is answered with.
#[derive(Debug, Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
}

#[get("/healthz")]
async fn health() -> HttpResponse {
    HttpResponse::Ok().json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

impl Services {
    /// Services over a store.
    pub fn new(store: Store, clock: Clock) -> Self {
        let ingress = Ingress::new(store.clone(), clock.clone());
        Self { store, wake: Wake::new(), clock, ingress }
    }

    /// All routes, with what they share.
    pub fn routes(&self, config: &mut ServiceConfig) {
        let link = Link::new(self.store.clone(), self.wake.clone(), self.clock.clone());
        config
            .app_data(Data::new(link))
            .app_data(Data::new(self.ingress.clone()))
            .service(health)
            .configure(api::agent::routes)
            .configure(api::hooks::routes);
    }
}

/// Serves until a signal ends it. `on_bound` is told the address, which differs from `listen` for port 0.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(
    listen: SocketAddr,
    services: Services,
    on_bound: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    let following = wake::follow(&services.store, &services.wake).await?;
    let sweeping = tokio::spawn(sweep(services.clone()));
    let routes = services.clone();
    let server = HttpServer::new(move || {
        let routes = routes.clone();
        App::new().configure(move |config| routes.routes(config))
    })
    .workers(2)
    .bind(listen)
    .map_err(|why| ServeError::Listen(listen, why))?;
    if let Some(address) = server.addrs().first() {
        on_bound(*address);
    }
    let ended = server.run().await;
    services.wake.drain();
    services.ingress.flush().await?;
    following.abort();
    sweeping.abort();
    services.store.close().await;
    ended.map_err(ServeError::Ended)
}

/// Forgets what is too old to matter, and writes what was counted.
async fn sweep(services: Services) {
    loop {
        tokio::time::sleep(SWEEP).await;
        match sweep_once(&services).await {
            Ok(()) => {}
            Err(StoreError::Stopped) => return,
            Err(error) => tracing::warn!(%error, "nothing old was forgotten; trying again"),
        }
    }
}

/// What is done now and then.
///
/// # Errors
/// [`StoreError`].
pub async fn sweep_once(services: &Services) -> Result<(), StoreError> {
    let now = crate::clock::millis(&services.clock);
    let timely = now - 3 * TOLERANCE_SECONDS * 1000;
    services.store.write(move |tx| Box::pin(nonces::forget(tx, timely))).await?;
    services.store.write(move |tx| Box::pin(commands::expire(tx, now))).await?;
    services.store.write(move |tx| Box::pin(deliveries::expire(tx, now))).await?;
    services.ingress.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};

    #[actix_web::test]
    async fn health_names_the_version() {
        let app = init_service(App::new().service(health)).await;
        let answer = call_service(&app, TestRequest::get().uri("/healthz").to_request()).await;
        assert_eq!(answer.status(), 200);
        let body = read_body(answer).await;
        assert_eq!(
            body,
            format!(r#"{{"status":"ok","version":"{}"}}"#, env!("CARGO_PKG_VERSION")).as_bytes()
        );
    }
}
