//! The HTTP client of one connection: trust, proxy, time-outs. The only place that builds one.

use super::{GateError, destination, trust};
use crate::secret::{Credential, Origin};
use purser_proto::config::NetworkSettings;
use reqwest::{Client, ClientBuilder, Proxy, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::LazyLock;
use std::time::Duration;
use url::Url;

/// Connect time-out when none is configured.
const CONNECT_TIMEOUT: u16 = 10;
/// Below the keep-alive of common servers (IIS: 120 s), so that they rarely close a connection that we are about to use.
const POOL_IDLE: Duration = Duration::from_secs(60);
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Makes ring the TLS provider of the process; calling it again does nothing. The gate calls it itself; `main` calls
/// it for everything else.
pub fn install_crypto() {
    // An error means that somebody was faster, which is what we want.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client that speaks HTTPS, made when it is first wanted.
type Late = LazyLock<Result<Client, GateError>, Box<dyn FnOnce() -> Result<Client, GateError> + Send>>;

/// The clients of one gate.
#[derive(Debug)]
pub(super) struct Clients {
    /// For everything else. Where plain HTTP to this machine is allowed it may be all that is used, so a machine
    /// without any certificate authority is told so only when HTTPS is wanted.
    outward: Late,
    /// For this machine's own addresses: never through a proxy, which would see plain HTTP and could not reach them.
    loopback: Option<Loopback>,
}

#[derive(Debug)]
struct Loopback {
    plain: Client,
    https: Late,
}

impl Clients {
    pub(super) fn new(
        network: &NetworkSettings,
        proxy_credential: Option<&Credential>,
        user_agent: &str,
    ) -> Result<Self, GateError> {
        install_crypto();
        let extra = extra_ca(network)?;
        let base = || base(network, user_agent);
        let outward = match proxy_setting(network)? {
            ProxySetting::FromSystem => base(),
            ProxySetting::None => base().no_proxy(),
            ProxySetting::Through(url) => base().proxy(proxy(&url, network, proxy_credential)?),
        };
        let outward = late(outward, &extra);
        if !network.allow_plain_loopback {
            LazyLock::force(&outward).as_ref().map_err(Clone::clone)?;
            return Ok(Self { outward, loopback: None });
        }
        // Plain HTTP trusts nobody, and asking for the system's authorities fails where there are none.
        let plain = build(base().tls_certs_only(Vec::new()).no_proxy())?;
        Ok(Self { outward, loopback: Some(Loopback { plain, https: late(base().no_proxy(), &extra) }) })
    }

    /// The client for an address that was checked.
    pub(super) fn of(&self, url: &Url) -> Result<&Client, &GateError> {
        match self.loopback.as_ref().filter(|_| destination::is_loopback(url)) {
            Some(loopback) if url.scheme() == "http" => Ok(&loopback.plain),
            Some(loopback) => loopback.https.as_ref(),
            None => self.outward.as_ref(),
        }
    }
}

fn late(builder: ClientBuilder, extra: &[CertificateDer<'static>]) -> Late {
    let extra = extra.to_vec();
    LazyLock::new(Box::new(move || build(builder.tls_backend_preconfigured(trust::tls(&extra)?))))
}

fn build(builder: ClientBuilder) -> Result<Client, GateError> {
    builder.build().map_err(|error| GateError::Client(super::outcome::chain(&error.without_url())))
}

/// How the outside is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ProxySetting {
    /// What the environment or the operating system says.
    FromSystem,
    /// Directly.
    None,
    /// Through this one.
    Through(Url),
}

/// Reads `network.proxy`.
pub(super) fn proxy_setting(network: &NetworkSettings) -> Result<ProxySetting, GateError> {
    let text = match network.proxy.as_deref().map(str::trim) {
        None | Some("") => return Ok(ProxySetting::FromSystem),
        Some("none") => return Ok(ProxySetting::None),
        Some(text) => text,
    };
    let refused = |why: &str| GateError::Proxy(why.to_owned());
    let url = Url::parse(text).map_err(|_| refused("it is not a URL"))?;
    if Origin::of(&url).is_none() {
        return Err(refused("only http and https proxies are possible"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused(
            "it holds a user or password: put them into a secret and name it in network.proxy_secret",
        ));
    }
    Ok(ProxySetting::Through(url))
}

/// User and password for the proxy, after a check that they are meant for it.
pub(super) fn proxy_login<'a>(
    url: &Url,
    network: &NetworkSettings,
    credential: Option<&'a Credential>,
) -> Result<Option<(&'a str, &'a str)>, GateError> {
    let Some(credential) = credential else {
        return match &network.proxy_secret {
            None => Ok(None),
            Some(name) => Err(GateError::ProxySecret(format!("secret `{name}` is not in the secret store"))),
        };
    };
    let field = |name: &str| {
        let missing =
            || GateError::ProxySecret(format!("secret `{}` has no field `{name}`", credential.name));
        let secret = credential.get(name).ok_or_else(missing)?;
        let allowed = Origin::of(url).is_some_and(|origin| secret.may_go_to(&origin));
        let astray = || {
            GateError::ProxySecret(format!("secret `{}` is not bound to the proxy's origin", credential.name))
        };
        allowed.then(|| secret.expose()).ok_or_else(astray)
    };
    Ok(Some((field("user")?, field("password")?)))
}

/// The certificates of `network.extra_ca`, each known to be usable as a trust anchor.
pub(super) fn extra_ca(network: &NetworkSettings) -> Result<Vec<CertificateDer<'static>>, GateError> {
    let Some(path) = &network.extra_ca else { return Ok(Vec::new()) };
    let refused = |why: String| GateError::ExtraCa { path: path.clone(), why };
    let pem = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| refused(format!("it is not PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(refused("there is no `BEGIN CERTIFICATE` in it".to_owned()));
    }
    let mut store = rustls::RootCertStore::empty();
    for (at, certificate) in certificates.iter().enumerate() {
        store
            .add(certificate.clone())
            .map_err(|error| refused(format!("certificate {} in it cannot be read: {error}", at + 1)))?;
    }
    Ok(certificates)
}

/// Connect time-out of a connection.
pub(super) fn connect_timeout(network: &NetworkSettings) -> Duration {
    Duration::from_secs(network.connect_timeout.unwrap_or(CONNECT_TIMEOUT).max(1).into())
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that builds a client")]
fn base(network: &NetworkSettings, user_agent: &str) -> ClientBuilder {
    // `localhost` is this machine by decree: no resolver can lead it elsewhere.
    let here = [
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
        SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0),
    ];
    Client::builder()
        .tls_backend_rustls()
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .connect_timeout(connect_timeout(network))
        .pool_idle_timeout(POOL_IDLE)
        .tcp_keepalive(KEEP_ALIVE)
        .gzip(true)
        .resolve_to_addrs("localhost", &here)
        .user_agent(user_agent)
}

fn proxy(url: &Url, network: &NetworkSettings, credential: Option<&Credential>) -> Result<Proxy, GateError> {
    let proxy = Proxy::all(url.clone())
        .map_err(|error| GateError::Proxy(super::outcome::chain(&error.without_url())))?;
    Ok(match proxy_login(url, network, credential)? {
        Some((user, password)) => proxy.basic_auth(user, password),
        None => proxy,
    })
}
