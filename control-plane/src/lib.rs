//! The hosted side of Purser. In this release it answers health checks and nothing else: no tenant, no agent link.
//! Agents do not need it; they run stand-alone from their own `purser.toml`.

pub mod drain;
pub mod metrics;
pub mod request;
pub mod server;
pub mod settings;

use actix_web::{App, HttpResponse, HttpServer, get};
use serde::Serialize;
use std::net::SocketAddr;

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

/// Serves until a signal ends it. `on_bound` is told the address, which differs from `listen` for port 0.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(listen: SocketAddr, on_bound: impl FnOnce(SocketAddr)) -> std::io::Result<()> {
    let server = HttpServer::new(|| App::new().service(health)).workers(1).bind(listen)?;
    if let Some(address) = server.addrs().first() {
        on_bound(*address);
    }
    server.run().await
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

    #[actix_web::test]
    async fn everything_else_is_not_found() {
        let app = init_service(App::new().service(health)).await;
        let answer = call_service(&app, TestRequest::get().uri("/").to_request()).await;
        assert_eq!(answer.status(), 404);
    }
}
