//! `/healthz`, `/readyz` and `/metrics`.

use super::problem_response;
use crate::api::problem::only;
use crate::drain::Drain;
use crate::metrics::{CONTENT_TYPE, Metrics};
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE as TYPE};
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, web};
use purser_proto::link::Problem;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// How long the store may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks whether the store is there with all its tables: nothing, or why not in a word that may be shown.
pub type StoreCheck = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), &'static str>>>> + Send + Sync>;

/// What the probes go by.
#[derive(Clone)]
pub(super) struct Probes {
    pub(super) drain: Drain,
    pub(super) metrics: Metrics,
    pub(super) store: StoreCheck,
    pub(super) look: Arc<dyn Fn() + Send + Sync>,
    /// Who may read the figures on this listener: nobody, everybody, or who knows the token.
    pub(super) figures: Figures,
}

/// Who may read the figures on a listener.
#[derive(Clone, Debug)]
pub(super) enum Figures {
    Nobody,
    Everybody,
    Token(SecretString),
}

#[derive(Debug, Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
}

fn health(status: &'static str, why: Option<&'static str>) -> Health {
    Health { status, version: env!("CARGO_PKG_VERSION"), why }
}

impl Probes {
    /// Plugs the three routes in.
    pub(super) fn routes(self, config: &mut web::ServiceConfig) {
        config
            .app_data(web::Data::new(self))
            .service(probe("/healthz", healthz))
            .service(probe("/readyz", readyz))
            .service(web::resource("/metrics").route(web::get().to(figures)).default_service(only("GET")));
    }

    async fn ready(&self) -> Result<(), &'static str> {
        if self.drain.is_leaving() {
            return Err("it is about to end");
        }
        match tokio::time::timeout(PATIENCE, (self.store)()).await {
            Ok(answer) => answer,
            Err(_) => Err("the store does not answer"),
        }
    }
}

/// Some monitors ask without wanting the answer's body.
fn probe<F, A>(path: &str, handler: F) -> Resource
where
    F: Handler<A, Output = HttpResponse> + Clone,
    A: FromRequest + 'static,
{
    web::resource(path)
        .route(web::get().to(handler.clone()))
        .route(web::head().to(handler))
        .default_service(only("GET, HEAD"))
}

/// Whether the process lives. Says nothing about the store: a restart would not mend that.
async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(health("ok", None))
}

/// Whether requests should be sent here.
async fn readyz(probes: web::Data<Probes>) -> HttpResponse {
    match probes.ready().await {
        Ok(()) => HttpResponse::Ok().json(health("ready", None)),
        Err(why) => HttpResponse::ServiceUnavailable().json(health("not-ready", Some(why))),
    }
}

async fn figures(request: HttpRequest, probes: web::Data<Probes>) -> HttpResponse {
    let refused = match &probes.figures {
        Figures::Everybody => None,
        Figures::Nobody => Some(Problem::new(404, "not-found", "there is nothing here", "check the address")),
        Figures::Token(token) => (!bears(&request, token)).then(|| {
            Problem::new(
                401,
                "unauthorised",
                "the figures need their token",
                "send `Authorization: Bearer ...`",
            )
        }),
    };
    match refused {
        Some(problem) => problem_response(&problem),
        None => {
            (probes.look)();
            HttpResponse::Ok().insert_header((TYPE, CONTENT_TYPE)).body(probes.metrics.text())
        }
    }
}

/// Whether a request bears the token. Hashes are compared, so that the time tells nothing of the token.
fn bears(request: &HttpRequest, token: &SecretString) -> bool {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(given) = header.and_then(|value| value.strip_prefix("Bearer ")) else { return false };
    blake3::hash(given.trim().as_bytes()) == blake3::hash(token.expose_secret().as_bytes())
}
