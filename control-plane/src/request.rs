//! What the server knows of a request before any handler sees it, and what handlers tell it for the log. Handlers learn
//! here who called, and never read `X-Forwarded-For` themselves: anybody can write that.

use crate::metrics::{self, Metrics, Outcomes};
use actix_web::web::Data;
use actix_web::{HttpMessage as _, HttpRequest};
use std::net::{IpAddr, Ipv4Addr};

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

/// Who called. Without the server in front (a handler's own test) nobody in particular.
pub fn caller(request: &HttpRequest) -> Caller {
    request.extensions().get::<Caller>().cloned().unwrap_or_default()
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
        assert_eq!(caller(&request), Caller::default());
    }
}
