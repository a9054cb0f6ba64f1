//! Where a call may go: HTTPS anywhere, plain HTTP to this machine only and only when allowed, and no secret to an
//! origin that it is not bound to.

use super::{Body, Call};
use crate::secret::{BoundSecret, Origin};
use std::net::IpAddr;
use url::{Host, Url};

/// Headers that only the transport sets; `host` could lead a secret to another site at the same address.
const TRANSPORT_HEADERS: [&str; 8] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "proxy-authorization",
    "te",
    "transfer-encoding",
];

/// Why a call was refused before anything was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// What is wrong and how to mend it.
    pub(super) message: String,
    /// A secret would have gone astray.
    pub(super) security: bool,
}

/// Checks a call; the answer is its origin.
pub(super) fn check(call: &Call, allow_plain_loopback: bool) -> Result<Origin, Refusal> {
    let security = has_secrets(call);
    let refused = |message: String| Refusal { message, security };
    let Some(origin) = Origin::of(&call.url) else {
        return Err(refused(format!("`{}` addresses are not called: use https", call.url.scheme())));
    };
    if call.url.scheme() != "https" && !(allow_plain_loopback && is_loopback(&call.url)) {
        let hint = "use https; plain http is possible only to this machine, with network.allow_plain_loopback = true";
        return Err(refused(format!("plain http to {origin} is refused: {hint}")));
    }
    if !call.url.username().is_empty() || call.url.password().is_some() {
        return Err(Refusal {
            message: format!(
                "the address of {origin} holds a user or password: put them into the secret store"
            ),
            security: true,
        });
    }
    if let Some((name, _)) = call.headers.iter().find(|(name, _)| is_transport_header(name)) {
        return Err(refused(format!("the header `{name}` is set by the transport, not by a call")));
    }
    match secrets(call).find(|secret| !secret.may_go_to(&origin)) {
        Some(secret) => Err(astray(secret, &origin)),
        None => Ok(origin),
    }
}

/// Whether the address is this machine's by its very spelling.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

/// Every secret in a call.
pub(super) fn secrets(call: &Call) -> impl Iterator<Item = &BoundSecret> {
    let body: Box<dyn Iterator<Item = &BoundSecret> + Send> = match &call.body {
        Body::Empty => Box::new(std::iter::empty()),
        Body::Json(text) => Box::new(text.secrets()),
        Body::Form(fields) => Box::new(fields.iter().flat_map(|(_, text)| text.secrets())),
    };
    call.headers.iter().flat_map(|(_, text)| text.secrets()).chain(body)
}

fn has_secrets(call: &Call) -> bool {
    secrets(call).next().is_some()
}

fn is_transport_header(name: &str) -> bool {
    TRANSPORT_HEADERS.iter().any(|held| name.eq_ignore_ascii_case(held))
}

fn astray(secret: &BoundSecret, origin: &Origin) -> Refusal {
    let bound: Vec<&str> = secret.origins().iter().map(Origin::as_str).collect();
    let bound = if bound.is_empty() { "no origin".to_owned() } else { bound.join(", ") };
    Refusal {
        message: format!(
            "a secret of this call is bound to {bound}; sending it to {origin} is refused: if the address has really \
             moved, set the secret again for the new origin (purser secrets set)"
        ),
        security: true,
    }
}
