//! Where alerts may be sent. A destination is written by a tenant's operator and called from inside the control plane's
//! network, so it must not reach what only that network may reach: neither by its name, nor by what its name resolves to
//! at the moment of sending, nor by a redirect (which is not followed).

use crate::settings::Alerts;
use lettre::Address;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use url::{Host, Url};

/// Longest address of a destination.
const LONGEST: usize = 2048;

/// What the operator of this control plane allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Private and link-local addresses.
    pub private: bool,
    /// `http://` to loopback.
    pub http_to_loopback: bool,
}

impl From<&Alerts> for Allowed {
    fn from(settings: &Alerts) -> Self {
        Self { private: settings.private_destinations, http_to_loopback: settings.http_to_loopback }
    }
}

/// Why a destination is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// It is no address of a web server.
    #[error("it is no web address: write `https://host/path`")]
    Unreadable,
    /// It is longer than any real one.
    #[error("it has more than {LONGEST} bytes: use a shorter address")]
    TooLong,
    /// The way there is not protected.
    #[error("alerts are sent by https only: write `https://…`")]
    Plain,
    /// It carries a user or a password.
    #[error("it holds a user or a password: take them out, the receiver checks the signature instead")]
    Credentials,
    /// It leads inside.
    #[error(
        "it leads to {0}, which is not reachable from outside: use a public address, or ask who runs this control plane to allow `alerts.private_destinations`"
    )]
    Inside(IpAddr),
    /// Its name is unknown.
    #[error("its name cannot be resolved: check the spelling")]
    Unknown,
    /// It is no mail address.
    #[error("it is no mail address: write `name@host`")]
    Mail,
}

/// Reads the address of a webhook as far as that goes without asking anybody.
///
/// # Errors
/// [`DestinationError`].
pub fn web_address(text: &str, allowed: Allowed) -> Result<Url, DestinationError> {
    if text.len() > LONGEST {
        return Err(DestinationError::TooLong);
    }
    let url = Url::parse(text.trim()).map_err(|_| DestinationError::Unreadable)?;
    let literal = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        Some(Host::Domain("localhost")) => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        Some(Host::Domain(_)) => None,
        None => return Err(DestinationError::Unreadable),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(DestinationError::Credentials);
    }
    match url.scheme() {
        "https" => {}
        "http" if allowed.http_to_loopback && literal.is_some_and(|address| address.is_loopback()) => {}
        "http" => return Err(DestinationError::Plain),
        _ => return Err(DestinationError::Unreadable),
    }
    literal.map_or(Ok(()), |address| may_be_called(address, allowed))?;
    Ok(url)
}

/// Reads a mail address.
///
/// # Errors
/// [`DestinationError::Mail`].
pub fn mail_address(text: &str) -> Result<String, DestinationError> {
    let text = text.trim();
    if text.len() > 320 || text.chars().any(char::is_control) {
        return Err(DestinationError::Mail);
    }
    text.parse::<Address>().map(|address| address.to_string()).map_err(|_| DestinationError::Mail)
}

/// The addresses of a host, all of which may be called. One that may not spoils them all: whoever answers so has
/// something in mind.
///
/// # Errors
/// [`DestinationError`].
pub async fn resolved(url: &Url, allowed: Allowed) -> Result<Vec<SocketAddr>, DestinationError> {
    let port = url.port_or_known_default().ok_or(DestinationError::Unreadable)?;
    let host = url.host_str().ok_or(DestinationError::Unreadable)?.trim_matches(['[', ']']);
    let found: Vec<SocketAddr> =
        tokio::net::lookup_host((host, port)).await.map_err(|_| DestinationError::Unknown)?.collect();
    if found.is_empty() {
        return Err(DestinationError::Unknown);
    }
    found.iter().try_for_each(|address| may_be_called(address.ip(), allowed))?;
    Ok(found)
}

fn may_be_called(address: IpAddr, allowed: Allowed) -> Result<(), DestinationError> {
    let fine = match reach(address) {
        Reach::Outside => true,
        Reach::Private => allowed.private,
        Reach::Loopback => allowed.http_to_loopback,
        Reach::Nowhere => false,
    };
    if fine { Ok(()) } else { Err(DestinationError::Inside(address)) }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Outside,
    Private,
    Loopback,
    Nowhere,
}

fn reach(address: IpAddr) -> Reach {
    match address.to_canonical() {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (127, ..) => Reach::Loopback,
        (10, ..) | (172, 16..=31, _) | (192, 168, _) | (169, 254, _) | (100, 64..=127, _) => Reach::Private,
        // This host, protocols, tests, benchmarks, groups, reserved.
        (0, ..) | (192, 0, 0 | 2) | (198, 51, 100) | (203, 0, 113) | (198, 18..=19, _) | (224..=255, ..) => {
            Reach::Nowhere
        }
        _ => Reach::Outside,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        reach_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        _ if address.is_loopback() => Reach::Loopback,
        _ if address.is_unspecified() || address.is_multicast() => Reach::Nowhere,
        [0xfc00..=0xfdff, ..] | [0xfe80..=0xfeff, ..] => Reach::Private,
        // Translated, tunnelled and old embedded addresses of version 4 lead where those lead.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x2002, high, low, ..] => embedded(high, low),
        [0x2001, 0x0db8 | 0, ..] | [0x64, 0xff9b, ..] | [0x100, ..] | [0x5f00, ..] => Reach::Nowhere,
        _ => Reach::Outside,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Allowed = Allowed { private: false, http_to_loopback: false };

    #[test]
    fn only_what_is_outside_may_be_called() {
        for inside in [
            "127.0.0.1",
            "127.9.9.9",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "::1",
            "::",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:a00:1::",
            "::10.0.0.1",
            "2001:db8::1",
        ] {
            assert!(may_be_called(inside.parse().unwrap(), STRICT).is_err(), "{inside}");
        }
        for outside in ["9.9.9.9", "172.32.0.1", "100.128.0.1", "2620:fe::fe", "64:ff9b::9.9.9.9"] {
            assert!(may_be_called(outside.parse().unwrap(), STRICT).is_ok(), "{outside}");
        }
        let private = Allowed { private: true, ..STRICT };
        assert!(may_be_called("10.0.0.1".parse().unwrap(), private).is_ok());
        assert!(may_be_called("127.0.0.1".parse().unwrap(), private).is_err());
    }

    #[test]
    fn an_address_is_https_without_a_password_and_not_inside() {
        let read = |text: &str| web_address(text, STRICT).map(|url| url.to_string());
        assert_eq!(read("https://alerts.example.test/in").unwrap(), "https://alerts.example.test/in");
        for (text, error) in [
            ("http://alerts.example.test/", DestinationError::Plain),
            ("http://127.0.0.1/", DestinationError::Plain),
            ("https://user:pw@alerts.example.test/", DestinationError::Credentials),
            ("ftp://alerts.example.test/", DestinationError::Unreadable),
            ("file:///etc/passwd", DestinationError::Unreadable),
            ("alerts.example.test", DestinationError::Unreadable),
            ("https://0x7f000001/", DestinationError::Inside("127.0.0.1".parse().unwrap())),
            ("https://2130706433/", DestinationError::Inside("127.0.0.1".parse().unwrap())),
            ("https://[::ffff:10.0.0.1]/", DestinationError::Inside("::ffff:10.0.0.1".parse().unwrap())),
            ("https://localhost/", DestinationError::Inside("127.0.0.1".parse().unwrap())),
        ] {
            assert_eq!(read(text).unwrap_err(), error, "{text}");
        }
        let trial = Allowed { http_to_loopback: true, ..STRICT };
        assert!(web_address("http://127.0.0.1:8080/in", trial).is_ok());
        assert_eq!(web_address("http://10.0.0.1/", trial), Err(DestinationError::Plain));
    }

    #[tokio::test]
    async fn what_a_name_resolves_to_counts() {
        let url = Url::parse("https://localhost:8443/").unwrap();
        assert!(matches!(resolved(&url, STRICT).await, Err(DestinationError::Inside(_))));
        let trial = Allowed { http_to_loopback: true, ..STRICT };
        assert!(resolved(&url, trial).await.unwrap().iter().all(|address| address.ip().is_loopback()));
    }

    #[test]
    fn a_mail_address_is_one_address() {
        assert_eq!(mail_address(" ops@example.test ").unwrap(), "ops@example.test");
        for text in ["", "ops", "a@b\r\nbcc: c@d", "a@example.test, b@example.test", "Ops <a@example.test>"] {
            assert_eq!(mail_address(text), Err(DestinationError::Mail), "{text}");
        }
    }
}
