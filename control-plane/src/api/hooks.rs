//! `POST /hooks/{id}`. Senders give an event up for good on 400, 404, 410 and the like; they get 200, 429 or 503, whatever
//! is wrong, also for an address that is not known and a body that is too large.

use crate::ingress::{Answer, Ingress};
use crate::request::{caller, count};
use actix_web::web::{self, BytesMut, Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt as _;

/// Where hooks are.
pub const PATH: &str = "/hooks/{id:.*}";

/// Routes of the webhooks; expects an [`Ingress`] as data.
pub fn routes(config: &mut ServiceConfig) {
    let other =
        web::to(|| async { HttpResponse::MethodNotAllowed().insert_header(("allow", "POST")).finish() });
    config.service(web::resource(PATH).route(web::post().to(hook)).default_service(other));
}

async fn hook(ingress: Data<Ingress>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let tell = |outcome| count(&request, |metrics| &metrics.hooks, outcome);
    // As it was sent: an id that cannot be decoded is one that nobody has.
    let id = request.match_info().get("id").unwrap_or_default();
    let admitted = match ingress.admit(id, caller(&request).address).await {
        Ok(admitted) => admitted,
        Err(answer) => {
            tell(word(&answer));
            return sent_away(answer);
        }
    };
    let body = match whole(&request, payload, admitted.largest_body()).await {
        Whole::Body(body) => body,
        Whole::TooLarge => {
            tell("too-large");
            return sent_away(ingress.too_large(&admitted));
        }
        Whole::CutOff => {
            tell("cut-off");
            return sent_away(Answer::Unavailable);
        }
    };
    let headers = request.headers().iter();
    let headers = headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let answer = ingress.take(&admitted, headers, &body).await;
    tell(word(&answer));
    match answer {
        Answer::Taken => HttpResponse::Ok().finish(),
        answer => sent_away(answer),
    }
}

/// How it ended, in a word for the figures.
fn word(answer: &Answer) -> &'static str {
    match answer {
        Answer::Taken => "ok",
        Answer::TooMany => "too-many",
        Answer::Unavailable => "unavailable",
    }
}

enum Whole {
    Body(BytesMut),
    TooLarge,
    CutOff,
}

async fn whole(request: &HttpRequest, mut payload: Payload, most: usize) -> Whole {
    let announced =
        request.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > most) {
        return Whole::TooLarge;
    }
    let mut body = BytesMut::new();
    while let Some(part) = payload.next().await {
        let Ok(part) = part else { return Whole::CutOff };
        if body.len() + part.len() > most {
            return Whole::TooLarge;
        }
        body.extend_from_slice(&part);
    }
    Whole::Body(body)
}

/// What was not read of the body is not waited for: the connection is closed.
fn sent_away(answer: Answer) -> HttpResponse {
    let mut response = match answer {
        Answer::Taken => HttpResponse::Ok(),
        Answer::TooMany => HttpResponse::TooManyRequests(),
        Answer::Unavailable => HttpResponse::ServiceUnavailable(),
    };
    response.insert_header(("retry-after", "60")).force_close().finish()
}
