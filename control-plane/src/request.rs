//! What the server knows of a request before any handler sees it, and what handlers tell it for the log. Handlers learn
//! here who called, and never read `X-Forwarded-For` themselves: anybody can write that.

use crate::metrics::{self, Metrics, Outcomes};
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::web::Data;
use actix_web::{HttpMessage as _, HttpRequest};
use std::any::Any;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// Names a request in logs and answers.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest and shortest request id that is taken from a client.
const REQUEST_ID_LENGTH: std::ops::RangeInclusive<usize> = 8..=64;

/// Who called, as far as it can be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The client's address; of a trusted proxy's client, when one stands between.
    pub address: IpAddr,
    /// Whether the client used HTTPS, up to a trusted proxy or to here.
    pub https: bool,
    /// Subject of the client's certificate, as a trusted proxy says.
    pub certificate_subject: Option<String>,
    /// Names this request in logs and answers.
    pub request_id: String,
}

impl Default for Caller {
    fn default() -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            https: false,
            certificate_subject: None,
            request_id: String::new(),
        }
    }
}

/// Who called. Without the server in front (a handler's own test) whoever is at the other end.
pub fn caller(request: &HttpRequest) -> Caller {
    if let Some(caller) = request.extensions().get::<Caller>() {
        return caller.clone();
    }
    let address = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    Caller { address, request_id: request_id(request.headers()), ..Caller::default() }
}

/// The client's own id, if it looks like one, so that a request can be followed through several systems.
pub fn request_id(headers: &HeaderMap) -> String {
    let well_formed = |id: &&str| {
        REQUEST_ID_LENGTH.contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    match headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).filter(well_formed) {
        Some(id) => id.to_owned(),
        None => format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)),
    }
}

/// What a handler tells for the line of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// The tenant.
    pub tenant: Option<String>,
    /// The agent.
    pub agent: Option<String>,
    /// Whether the request was kept waiting on purpose, so that its time says nothing.
    pub parked: bool,
}

/// Adds to the note of a request.
pub fn note(request: &HttpRequest, add: impl FnOnce(&mut Note)) {
    let mut extensions = request.extensions_mut();
    let mut note = extensions.remove::<Note>().unwrap_or_default();
    add(&mut note);
    extensions.insert(note);
}

/// A request's part of the memory for bodies: what was read lives on as what was made of it, until the request ends or
/// says that all of it is gone.
pub(crate) struct Held(
    #[expect(dead_code, reason = "dropping it is what it is for")] Arc<dyn Any + Send + Sync>,
);

/// A request holds its part until it ends.
pub(crate) fn hold(request: &impl actix_web::HttpMessage, part: Arc<dyn Any + Send + Sync>) {
    request.extensions_mut().insert(Held(part));
}

/// Nothing is left of a request's body, and the request goes on.
pub fn let_go(request: &HttpRequest) {
    drop(request.extensions_mut().remove::<Held>());
}

/// Counts how something ended, where the server keeps figures.
pub fn count(request: &HttpRequest, which: impl FnOnce(&Metrics) -> &Outcomes, outcome: &'static str) {
    if let Some(metrics) = request.app_data::<Data<Metrics>>() {
        metrics::count(which(metrics), outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn notes_of_one_request_add_up() {
        let request = TestRequest::default().to_http_request();
        note(&request, |note| note.tenant = Some("t1".into()));
        note(&request, |note| note.agent = Some("a1".into()));
        let both = Note { tenant: Some("t1".into()), agent: Some("a1".into()), parked: false };
        assert_eq!(request.extensions().get::<Note>(), Some(&both));
        assert_eq!(caller(&request).request_id.len(), 32);
        assert!(caller(&request).certificate_subject.is_none());
    }
}
