//! What every request passes first and every answer last: who called, a request id, the limits of its body, a panic that
//! becomes an answer, one line of the log, the figures, and the headers that every answer carries.
//!
//! The line of the log is made of a list of fields, so that nothing gets in by chance: the *pattern* of the route (a
//! hook's id is a secret), never the path, the query, a header or a body.

use super::body::{self, BodyLimit, Room};
use super::connection::Phase;
use super::{problem_response, proxy};
use crate::metrics::{Answered, Metrics};
use crate::request::{Caller, Note, REQUEST_ID, request_id};
use crate::settings::{Limits, Proxy};
use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::{InternalError, JsonPayloadError, PayloadError};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{HttpMessage as _, HttpResponse};
use futures_util::FutureExt as _;
use purser_proto::link::{Problem, assertion, limits::LARGEST_MESSAGE};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tracing::Instrument as _;

/// What the front goes by.
#[derive(Clone, Debug)]
pub(super) struct Front {
    pub(super) proxy: Arc<Proxy>,
    pub(super) limits: Arc<Limits>,
    pub(super) room: Arc<Room>,
    pub(super) metrics: Metrics,
}

/// The kinds of requests that differ in what is allowed and how a refusal is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    Agent,
    Hooks,
    Other,
}

impl Group {
    fn of(path: &str) -> Self {
        if path.starts_with("/v1/agent/") {
            Self::Agent
        } else if path.starts_with("/hooks/") {
            Self::Hooks
        } else {
            Self::Other
        }
    }
}

impl Front {
    fn body_limit(&self, group: Group) -> BodyLimit {
        let bytes = match group {
            Group::Agent => LARGEST_MESSAGE,
            Group::Hooks => self.limits.hook_body_bytes,
            Group::Other => self.limits.admin_body_bytes,
        };
        BodyLimit { bytes, time: self.limits.body_time }
    }

    /// Takes a request in, hands it on, and finishes its answer.
    pub(super) async fn pass<B: MessageBody + 'static>(
        self,
        mut request: ServiceRequest,
        next: Next<B>,
    ) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
        let began = Instant::now();
        let phase = request.conn_data::<Rc<Phase>>().cloned();
        let _running = phase.as_ref().map(Phase::request);
        let group = Group::of(request.path());
        let head_bytes = head_bytes(&request);
        let caller = self.caller(&mut request, phase.is_some_and(|phase| phase.tls));
        let line = Line { began, method: method(request.method()), group, caller: caller.clone() };
        request.extensions_mut().insert(caller.clone());
        if group == Group::Agent {
            keep_little(request.headers_mut());
        }
        if head_bytes > self.limits.header_bytes {
            let fix = format!("at most {} bytes are allowed", self.limits.header_bytes);
            let problem = Problem::new(431, "head-too-large", "the head of the request is too large", fix);
            return Ok(
                self.finish(request.into_response(problem_response(&problem)).map_into_right_body(), &line)
            );
        }
        if let Err(problem) = body::limited(&mut request, self.body_limit(group), &self.room) {
            return Ok(
                self.finish(request.into_response(problem_response(&problem)).map_into_right_body(), &line)
            );
        }
        let span = tracing::info_span!("request", request_id = %caller.request_id);
        match AssertUnwindSafe(next.call(request)).catch_unwind().instrument(span).await {
            Ok(Ok(response)) => Ok(self.finish(problem_body(response), &line)),
            Ok(Err(error)) => Err(self.refused(problem_of(&error), &line)),
            Err(_) => {
                self.metrics.panics.inc();
                let fix = "it is logged with this request's id; please report it";
                Err(self
                    .refused(Problem::new(500, "internal", "the control plane made a mistake", fix), &line))
            }
        }
    }

    fn caller(&self, request: &mut ServiceRequest, tls: bool) -> Caller {
        let peer = request.peer_addr();
        let head = request.head_mut();
        let mut caller = proxy::caller(peer, tls, &mut head.headers, &self.proxy);
        caller.request_id = request_id(&head.headers);
        caller
    }

    /// Writes the line, counts, and adds what every answer carries.
    fn finish<B>(
        &self,
        mut response: ServiceResponse<EitherBody<B>>,
        line: &Line,
    ) -> ServiceResponse<EitherBody<B>> {
        let status = line.status(response.status());
        *response.response_mut().status_mut() = status;
        line.headers(response.headers_mut());
        let route = response.request().match_pattern();
        let note = response.request().extensions().get::<Note>().cloned().unwrap_or_default();
        self.told(line, status, route, &note);
        response
    }

    /// The same for an answer that has no request any more.
    fn refused(&self, problem: Problem, line: &Line) -> actix_web::Error {
        let mut response = problem_response(&problem);
        let status = line.status(response.status());
        *response.status_mut() = status;
        line.headers(response.headers_mut());
        self.told(line, status, None, &Note::default());
        InternalError::from_response(line.group_word(), response).into()
    }

    fn told(&self, line: &Line, status: StatusCode, route: Option<String>, note: &Note) {
        let route = route.unwrap_or_else(|| "unmatched".to_owned());
        let taken = line.began.elapsed();
        tracing::info!(
            target: "purser_control::access",
            method = line.method,
            route,
            status = status.as_u16(),
            ms = u64::try_from(taken.as_millis()).unwrap_or(u64::MAX),
            tenant = note.tenant,
            agent = note.agent,
            client = %line.caller.address,
            request_id = line.caller.request_id,
            "request"
        );
        if !note.parked {
            self.metrics.request_seconds.observe(taken.as_secs_f64());
        }
        let answered = Answered { method: line.method, route, status: status.as_u16() };
        self.metrics.requests.get_or_create(&answered).inc();
    }
}

/// What is kept of a request until it is answered.
struct Line {
    began: Instant,
    method: &'static str,
    group: Group,
    caller: Caller,
}

impl Line {
    /// The status that is sent. Senders of webhooks throw an event away when they read 404, 400 or 410, so whatever the
    /// server itself finds wrong is told to them as "later".
    fn status(&self, status: StatusCode) -> StatusCode {
        let theirs = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS);
        if self.group == Group::Hooks && !status.is_success() && !status.is_server_error() && !theirs {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            status
        }
    }

    fn group_word(&self) -> &'static str {
        match self.group {
            Group::Agent => "agent request refused",
            Group::Hooks => "webhook refused",
            Group::Other => "request refused",
        }
    }

    fn headers(&self, headers: &mut HeaderMap) {
        let mut unless_set = |name: HeaderName, value: &'static str| {
            if !headers.contains_key(&name) {
                headers.insert(name, HeaderValue::from_static(value));
            }
        };
        unless_set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        unless_set(header::REFERRER_POLICY, "no-referrer");
        unless_set(header::CACHE_CONTROL, "no-store");
        unless_set(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        );
        if self.caller.https {
            unless_set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains");
        }
        if let Ok(id) = HeaderValue::from_str(&self.caller.request_id) {
            headers.insert(REQUEST_ID, id);
        }
    }
}

/// Bytes of a head, as they were sent.
fn head_bytes(request: &ServiceRequest) -> usize {
    let line = request.method().as_str().len() + request.uri().to_string().len() + 12;
    request.headers().iter().fold(line, |sum, (name, value)| sum + name.as_str().len() + value.len() + 4)
}

/// What the link's handlers read of a head.
const OF_AGENTS: [HeaderName; 2] = [HeaderName::from_static(assertion::HEADER), header::CONTENT_LENGTH];

/// Forgets the rest of a head, and copies these: an agent's request waits for a minute, ten thousand of them together, and the
/// framework's map has room for 28 headers, whose values keep the buffer alive that they were read into.
fn keep_little(headers: &mut HeaderMap) {
    let mut kept = HeaderMap::with_capacity(OF_AGENTS.len());
    for name in OF_AGENTS {
        if let Some(Ok(value)) = headers.get(&name).map(|value| HeaderValue::from_bytes(value.as_bytes())) {
            kept.insert(name, value);
        }
    }
    *headers = kept;
}

/// Clients may invent methods; the log and the figures know only these.
fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// Turns an error answer of the framework into a problem; what handlers answer stays.
fn problem_body<B: MessageBody>(response: ServiceResponse<B>) -> ServiceResponse<EitherBody<B>> {
    let status = response.status();
    let typed = response.headers().contains_key(header::CONTENT_TYPE);
    let text = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.to_str().is_ok_and(|kind| kind.starts_with("text/plain")));
    if (!status.is_client_error() && !status.is_server_error()) || (typed && !text) {
        return response.map_into_left_body();
    }
    let problem = response.response().error().map_or_else(|| plain(status), problem_of);
    let (request, old) = response.into_parts();
    let mut fresh: HttpResponse<BoxBody> = problem_response(&problem);
    // `Allow` and the like belong to the refusal.
    for (name, value) in old.headers() {
        if !fresh.headers().contains_key(name) && name != header::CONTENT_LENGTH {
            fresh.headers_mut().append(name.clone(), value.clone());
        }
    }
    ServiceResponse::new(request, fresh).map_into_right_body()
}

fn problem_of(error: &actix_web::Error) -> Problem {
    let within_json = error.as_error::<JsonPayloadError>().and_then(|error| match error {
        JsonPayloadError::Payload(error) => Some(error),
        _ => None,
    });
    match error.as_error::<PayloadError>().or(within_json) {
        Some(error) => body::refusal(error),
        None => plain(error.as_response_error().status_code()),
    }
}

/// A status in words.
fn plain(status: StatusCode) -> Problem {
    let (code, title, detail) = match status.as_u16() {
        400 => ("bad-request", "the request cannot be read", "compare it with the API's description"),
        401 => ("unauthorised", "the request is not authorised", "log in, or send a token"),
        403 => ("forbidden", "this is not allowed", "ask for the role that is needed"),
        404 => ("not-found", "there is nothing here", "check the address"),
        405 => ("method-not-allowed", "this method is not known here", "see the header Allow"),
        408 => ("too-slow", "the request took too long", "send it again"),
        413 => ("too-large", "the request is too large", "send less at once"),
        415 => ("media-type", "this media type is not understood", "send application/json"),
        429 => ("too-many", "too many requests", "wait as long as Retry-After says"),
        503 => ("busy", "this cannot be answered at the moment", "try again in a few seconds"),
        500..=599 => ("internal", "the control plane made a mistake", "it is logged with this request's id"),
        _ => ("refused", "the request is refused", "compare it with the API's description"),
    };
    Problem::new(status.as_u16(), code, title, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_agents_head_only_what_is_read_is_kept() {
        let mut headers = HeaderMap::with_capacity(16);
        for (name, value) in
            [("host", "a"), ("purser-assertion", "b"), ("content-length", "3"), ("user-agent", "d")]
        {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        keep_little(&mut headers);
        assert_eq!(headers.len(), 2);
        assert_eq!(headers.get(assertion::HEADER).unwrap(), "b");
        assert_eq!(headers.get(header::CONTENT_LENGTH).unwrap(), "3");
        assert!(headers.capacity() < 4, "room for {} headers", headers.capacity());
    }
}
