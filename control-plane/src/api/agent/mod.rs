//! HTTP of the link: `/v1/agent/{enroll,sync,keys}`. The body is read up to its limit, checked, and let go before a request
//! waits.

use super::problem::{Refused, only};
use crate::link::{Heard, Link, Refusal, Request};
use crate::request::{count, let_go, note};
use actix_web::http::header::HeaderMap;
use actix_web::web::{self, Bytes, Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt as _;
use purser_proto::link::limits::LARGEST_MESSAGE;
use purser_proto::link::{ENROLL, KEYS, Problem, SYNC, assertion, codes};
use serde::Serialize;

/// What is believed of an announced length before anything has come.
const PROMISED: usize = 64 << 10;

/// Routes of the link; expects a [`Link`] as data.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(web::resource(ENROLL).route(web::post().to(enroll)).default_service(only("POST")))
        .service(web::resource(SYNC).route(web::post().to(sync)).default_service(only("POST")))
        .service(web::resource(KEYS).route(web::post().to(keys)).default_service(only("POST")));
}

async fn enroll(link: Data<Link>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Refused> {
    let body = whole(&request, payload).await?;
    let done = link.enroll(asked(&request, &body)).await;
    count(&request, |metrics| &metrics.enrollments, outcome(&done));
    answer(done)
}

async fn sync(link: Data<Link>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Refused> {
    // In a box of its own, so that body and buffers are gone while the request waits.
    let said = Box::pin(hear(&link, &request, payload)).await;
    let_go(&request);
    match said? {
        Ok(heard) => {
            note(&request, |note| {
                note.agent = Some(heard.agent().to_owned());
                note.parked = true;
            });
            let done = link.answer(heard).await;
            count(&request, |metrics| &metrics.syncs, outcome(&done));
            answer(done)
        }
        Err(refusal) => {
            let refused = Err(refusal);
            count(&request, |metrics| &metrics.syncs, outcome(&refused));
            answer::<()>(refused)
        }
    }
}

/// How it ended, in a word for the figures.
fn outcome<T>(result: &Result<T, Refusal>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(Refusal::Store(_)) => "error",
        Err(Refusal::WaitsForApproval) => "waits-for-approval",
        Err(_) => "refused",
    }
}

async fn keys(link: Data<Link>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Refused> {
    let body = whole(&request, payload).await?;
    match link.rotate(asked(&request, &body)).await {
        Ok(()) => Ok(HttpResponse::NoContent().finish()),
        Err(refusal) => answer::<()>(Err(refusal)),
    }
}

async fn hear(
    link: &Link,
    request: &HttpRequest,
    payload: Payload,
) -> Result<Result<Heard, Refusal>, Refused> {
    let body = whole(request, payload).await?;
    Ok(link.hear(asked(request, &body)).await)
}

fn asked<'a>(request: &'a HttpRequest, body: &'a Bytes) -> Request<'a> {
    Request {
        assertion: header(request.headers(), assertion::HEADER),
        method: request.method().as_str(),
        path: request.uri().path_and_query().map_or("", |path| path.as_str()),
        body,
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The body, unless it is larger than any message may be; that is known from its announced length, or else while it is
/// read.
async fn whole(request: &HttpRequest, mut payload: Payload) -> Result<Bytes, Refused> {
    let announced = header(request.headers(), "content-length").and_then(|length| length.parse().ok());
    if announced.is_some_and(|length: usize| length > LARGEST_MESSAGE) {
        return Err(too_large());
    }
    let mut body = web::BytesMut::with_capacity(announced.unwrap_or_default().min(PROMISED));
    while let Some(part) = payload.next().await {
        let part = part.map_err(|why| Refused(Refusal::Malformed(why.to_string()).problem()))?;
        if body.len() + part.len() > LARGEST_MESSAGE {
            return Err(too_large());
        }
        body.extend_from_slice(&part);
    }
    Ok(body.freeze())
}

fn too_large() -> Refused {
    let detail = format!("at most {LARGEST_MESSAGE} bytes are read");
    Refused(Problem::new(413, codes::TOO_LARGE, "the message is too large", detail))
}

fn answer<T: Serialize>(result: Result<T, Refusal>) -> Result<HttpResponse, Refused> {
    match result {
        Ok(answer) => Ok(HttpResponse::Ok().json(answer)),
        Err(refusal) => {
            if let Refusal::Store(error) = &refusal {
                tracing::error!(%error, "a request of an agent failed");
            }
            Err(Refused(refusal.problem()))
        }
    }
}
