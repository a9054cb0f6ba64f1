//! Who called. Headers that name a client are believed only when the connection comes from a listed proxy; from anybody
//! else they are removed before a handler could see them.

use crate::request::Caller;
use crate::settings::{Network, Proxy};
use actix_web::http::header::{HeaderMap, HeaderName};
use std::net::{IpAddr, SocketAddr};

/// Headers in which proxies name clients. Those that are not believed are removed.
const NAMING: &[&str] = &[
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-real-ip",
];

/// Longest subject of a certificate that is taken over.
const SUBJECT_MAX: usize = 1024;

/// Reads who called from the connection and, of a trusted proxy, from its headers. What is not believed is gone afterwards.
pub(super) fn caller(
    peer: Option<SocketAddr>,
    tls: bool,
    headers: &mut HeaderMap,
    settings: &Proxy,
) -> Caller {
    let peer = peer.map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.ip().to_canonical());
    let trusted = is_trusted(&settings.trusted, peer);
    let mut caller = Caller { address: peer, https: tls, ..Caller::default() };
    if trusted {
        caller.address = forwarded_for(headers, &settings.trusted).unwrap_or(peer);
        caller.https = tls || last(headers, "x-forwarded-proto").is_some_and(|proto| proto == "https");
    }
    if let Some(name) = &settings.client_certificate_header {
        caller.certificate_subject = subject(headers, name).filter(|_| trusted);
        // What a proxy says stays, for whoever hands webhooks on; what anybody else says is gone.
        if caller.certificate_subject.is_none() {
            remove(headers, name);
        }
    }
    for name in NAMING {
        remove(headers, name);
    }
    caller
}

/// The subject, said once. Two such headers can only mean that one is the client's own: then neither is believed.
fn subject(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut values = headers.get_all(name);
    let (Some(only), None) = (values.next(), values.next()) else { return None };
    let subject = only.to_str().ok()?.trim();
    (1..=SUBJECT_MAX).contains(&subject.len()).then(|| subject.to_owned())
}

fn is_trusted(trusted: &[Network], address: IpAddr) -> bool {
    trusted.iter().any(|proxy| proxy.holds(address))
}

fn remove(headers: &mut HeaderMap, name: &str) {
    if let Ok(name) = HeaderName::try_from(name) {
        headers.remove(name);
    }
}

/// The entries of a list that may be spread over several headers.
fn entries<'a>(headers: &'a HeaderMap, name: &'a str) -> Vec<&'a str> {
    let lines = headers.get_all(name).filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|entry| !entry.is_empty()).collect()
}

fn last(headers: &HeaderMap, name: &str) -> Option<String> {
    entries(headers, name).last().map(|entry| entry.to_ascii_lowercase())
}

/// The client, read from the end: each proxy appends who called it, so whatever stands before the first one that is not
/// trusted was written by that one and may be invented.
fn forwarded_for(headers: &HeaderMap, trusted: &[Network]) -> Option<IpAddr> {
    let mut nearest = None;
    for entry in entries(headers, "x-forwarded-for").into_iter().rev() {
        let address = entry
            .parse::<IpAddr>()
            .or_else(|_| entry.parse::<SocketAddr>().map(|with_port| with_port.ip()))
            .or_else(|_| entry.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>());
        let Ok(address) = address else { return nearest };
        nearest = Some(address.to_canonical());
        if !is_trusted(trusted, address) {
            return nearest;
        }
    }
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn settings() -> Proxy {
        Proxy {
            trusted: vec!["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()],
            client_certificate_header: Some("x-client-subject".into()),
        }
    }

    fn called(peer: &str, lines: &[(&'static str, &'static str)]) -> (Caller, HeaderMap) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let peer = SocketAddr::new(peer.parse().unwrap(), 40_000);
        (caller(Some(peer), false, &mut headers, &settings()), headers)
    }

    #[test]
    fn a_stranger_names_nobody_but_itself() {
        let (caller, left) = called(
            "192.0.2.1",
            &[
                ("x-forwarded-for", "198.51.100.7"),
                ("x-forwarded-proto", "https"),
                ("forwarded", "for=198.51.100.7"),
                ("x-real-ip", "198.51.100.7"),
                ("x-client-subject", "CN=concur"),
                ("accept", "*/*"),
            ],
        );
        assert_eq!(caller.address, "192.0.2.1".parse::<IpAddr>().unwrap());
        assert!(!caller.https && caller.certificate_subject.is_none());
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn a_trusted_proxy_names_its_client_and_what_the_client_invented_is_left_out() {
        for (list, client) in [
            ("198.51.100.7", "198.51.100.7"),
            ("127.0.0.1, 198.51.100.7", "198.51.100.7"),
            ("127.0.0.1, 198.51.100.7, 10.9.9.9", "198.51.100.7"),
            ("198.51.100.7:8080", "198.51.100.7"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("evil, 10.2.2.2", "10.2.2.2"),
            ("unknown", "10.0.0.1"),
            ("10.3.3.3", "10.3.3.3"),
        ] {
            let (caller, _) =
                called("10.0.0.1", &[("x-forwarded-for", list), ("x-forwarded-proto", "https")]);
            assert_eq!(caller.address, client.parse::<IpAddr>().unwrap(), "{list}");
            assert!(caller.https);
        }
        let (caller, _) =
            called("10.0.0.1", &[("x-forwarded-for", "127.0.0.1"), ("x-forwarded-for", "198.51.100.7")]);
        assert_eq!(caller.address, "198.51.100.7".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn a_certificates_subject_is_the_proxys_word_said_once() {
        let subject =
            |lines: &[(&'static str, &'static str)]| called("10.0.0.1", lines).0.certificate_subject;
        assert_eq!(subject(&[("x-client-subject", "CN=concur")]).as_deref(), Some("CN=concur"));
        assert_eq!(subject(&[("x-client-subject", "CN=concur"), ("x-client-subject", "CN=x")]), None);
        assert_eq!(subject(&[("x-client-subject", " ")]), None);
        let (_, left) = called("10.0.0.1", &[("x-client-subject", "CN=concur")]);
        assert_eq!(left.len(), 1, "who hands webhooks on reads it there");
        let (_, left) = called("10.0.0.1", &[("x-client-subject", "CN=a"), ("x-client-subject", "CN=b")]);
        assert!(left.is_empty(), "{left:?}");
    }
}
