//! The proxy on the way, as the gate would use it.

use super::super::GateError;
use super::super::client::{ProxySetting, proxy_login, proxy_setting};
use super::super::destination::is_loopback;
use super::{Fault, Stream, headers, host_and_port, read_head};
use crate::secret::Credential;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper_util::client::proxy::matcher::Matcher;
use purser_proto::config::NetworkSettings;
use std::io;
use tokio::io::AsyncWriteExt;
use url::Url;
use zeroize::Zeroizing;

/// How the vendor is reached.
pub(super) enum Way {
    Direct,
    Through(ProxyHop),
}

/// One HTTP proxy.
pub(super) struct ProxyHop {
    pub(super) url: Url,
    /// Value of `Proxy-Authorization`.
    login: Option<Zeroizing<String>>,
}

impl Way {
    /// The way of a connection.
    pub(super) fn of(
        url: &Url,
        network: &NetworkSettings,
        login: Option<&Credential>,
    ) -> Result<Self, Fault> {
        if network.allow_plain_loopback && is_loopback(url) {
            return Ok(Self::Direct);
        }
        match proxy_setting(network).map_err(|error| unusable(&error))? {
            ProxySetting::None => Ok(Self::Direct),
            ProxySetting::Through(proxy) => {
                let login = proxy_login(&proxy, network, login).map_err(|error| unusable(&error))?;
                Ok(Self::Through(ProxyHop {
                    login: login.map(|(user, password)| basic(user, password)),
                    url: proxy,
                }))
            }
            ProxySetting::FromSystem => Ok(from_system(url)),
        }
    }

    /// What is resolved and connected to.
    pub(super) fn first_hop<'a>(&'a self, vendor: &'a Url) -> &'a Url {
        match self {
            Self::Direct => vendor,
            Self::Through(proxy) => &proxy.url,
        }
    }
}

impl ProxyHop {
    /// Host and port in words.
    pub(super) fn place(&self) -> String {
        let port = self.url.port_or_known_default().unwrap_or_default();
        format!("proxy {}:{port}", self.url.host_str().unwrap_or_default())
    }

    /// Asks for a tunnel to the vendor.
    pub(super) async fn open_tunnel(&self, stream: &mut Stream, vendor: &Url) -> Result<(), Fault> {
        let (_, port) = host_and_port(vendor)?;
        let target = format!("{}:{port}", vendor.host_str().unwrap_or_default());
        let login = self.login.as_deref().map(|value| format!("Proxy-Authorization: {value}\r\n"));
        let login = Zeroizing::new(login.unwrap_or_default());
        let request =
            Zeroizing::new(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{}\r\n", login.as_str()));
        let failed = |error: io::Error| {
            Fault::new(
                format!("{} did not answer: {error}", self.place()),
                "check network.proxy: host, port and scheme",
            )
        };
        stream.write_all(request.as_bytes()).await.map_err(failed)?;
        stream.flush().await.map_err(failed)?;
        let head = read_head(stream).await.map_err(failed)?;
        self.judge(&head, &target)
    }

    fn judge(&self, head: &str, target: &str) -> Result<(), Fault> {
        let status = head.split_whitespace().nth(1).and_then(|status| status.parse::<u16>().ok());
        match status {
            Some(200..=299) => Ok(()),
            Some(407) => Err(self.login_wanted(head)),
            Some(status) => Err(Fault::new(
                format!("{} refused a tunnel to {target} (status {status})", self.place()),
                "ask your network team to allow this host and port, or set network.proxy = \"none\" if none is needed",
            )),
            None => Err(Fault::new(
                format!("{} did not answer like an HTTP proxy", self.place()),
                "check network.proxy: host, port and scheme (http:// for nearly all proxies)",
            )),
        }
    }

    fn login_wanted(&self, head: &str) -> Fault {
        let schemes: Vec<String> = headers(head, "proxy-authenticate")
            .filter_map(|value| value.split_whitespace().next())
            .map(|scheme| scheme.chars().filter(char::is_ascii_alphanumeric).take(20).collect())
            .collect();
        let offers_basic = schemes.iter().any(|scheme: &String| scheme.eq_ignore_ascii_case("basic"));
        let place = self.place();
        if !schemes.is_empty() && !offers_basic {
            return Fault::new(
                format!("{place} takes only {} logins (407)", schemes.join(", ")),
                "only Basic can be used: run a local relay that speaks it to the proxy (cntlm, px) and name the relay \
                 in network.proxy, or ask for an exemption for this host",
            );
        }
        match self.login {
            None => Fault::new(
                format!("{place} asks for a login (407)"),
                "put `user` and `password` into a secret (purser secrets set) and name it in network.proxy_secret",
            ),
            Some(_) => Fault::new(
                format!("{place} refused the login (407)"),
                "set user and password of the secret named in network.proxy_secret again",
            ),
        }
    }
}

fn from_system(url: &Url) -> Way {
    let found = url.as_str().parse().ok().and_then(|uri| Matcher::from_system().intercept(&uri));
    let Some(found) = found else { return Way::Direct };
    let login = found
        .basic_auth()
        .and_then(|value| value.to_str().ok())
        .map(|value| Zeroizing::new(value.to_owned()));
    match Url::parse(&found.uri().to_string()) {
        Ok(url) => Way::Through(ProxyHop { url, login }),
        Err(_) => Way::Direct,
    }
}

fn basic(user: &str, password: &str) -> Zeroizing<String> {
    let joined = Zeroizing::new(format!("{user}:{password}"));
    Zeroizing::new(format!("Basic {}", STANDARD.encode(joined.as_bytes())))
}

fn unusable(error: &GateError) -> Fault {
    Fault::new(error.to_string(), "correct the connection's network settings")
}
