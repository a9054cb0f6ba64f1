//! The client of the link to a control plane: the same trust, proxy and care as every other client, one origin, one
//! method, small answers. What proves the sender is a header made for each request; no secret is sent.

use super::client::Clients;
use super::destination;
use super::net_probe::NetProbe;
use super::outcome::Scene;
use super::{Effect, GateError};
use crate::clock::Clock;
use crate::secret::{Credential, Origin};
use crate::vendors::{ProbeResult, Verdict};
use purser_proto::config::NetworkSettings;
use purser_proto::link::limits::LARGEST_MESSAGE;
use reqwest::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use spend::Timestamp;
use std::time::Duration;
use url::Url;

const USER_AGENT: &str = concat!("purser/", env!("CARGO_PKG_VERSION"));

/// Why the link has no client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkClientError {
    /// The address is none that a link may have.
    #[error("the control plane's address: {0}")]
    Address(String),
    /// Proxy, certificates or the client itself.
    #[error(transparent)]
    Gate(#[from] GateError),
}

/// Sends requests to one control plane.
#[derive(Debug)]
pub struct LinkClient {
    base: Url,
    origin: Origin,
    clients: Clients,
    network: NetworkSettings,
    proxy: Option<Credential>,
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct LinkAnswer {
    /// HTTP status.
    pub status: u16,
    /// The other side's clock.
    pub date: Option<Timestamp>,
    /// Seconds after which it wants to be asked again.
    pub retry_after: Option<u64>,
    /// Its type, as it says.
    pub content_type: String,
    /// Its body, unpacked and capped.
    pub body: Vec<u8>,
}

impl LinkClient {
    /// Prepares the way to one origin. Plain HTTP only to this machine, and only where the settings allow it.
    ///
    /// # Errors
    /// [`LinkClientError`].
    pub fn new(
        address: &str,
        network: &NetworkSettings,
        proxy: Option<Credential>,
    ) -> Result<Self, LinkClientError> {
        let refused = |why: String| LinkClientError::Address(why);
        let origin = Origin::parse(address).map_err(|error| refused(error.to_string()))?;
        let base = Url::parse(address).map_err(|error| refused(error.to_string()))?;
        let plain_here = network.allow_plain_loopback && destination::is_loopback(&base);
        if base.scheme() != "https" && !plain_here {
            return Err(refused(
                "plain http is refused; use https (plain http is possible only to this machine, with \
                 --allow-plain-loopback)"
                    .to_owned(),
            ));
        }
        let clients = Clients::new(network, proxy.as_ref(), USER_AGENT)?;
        Ok(Self { base, origin, clients, network: network.clone(), proxy })
    }

    /// Where it leads.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Sends one JSON message.
    ///
    /// # Errors
    /// Why there is no answer, in words, with how to mend it.
    pub async fn post(
        &self,
        path: &'static str,
        header: (&'static str, String),
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<LinkAnswer, String> {
        let scene = Scene {
            operation: "link",
            origin: &self.origin,
            effect: Effect::Read,
            timeout,
            connect_timeout: super::client::connect_timeout(&self.network),
        };
        let mut url = self.base.clone();
        url.set_path(path);
        let client = self.clients.of(&url).map_err(ToString::to_string)?;
        let request = client
            .post(url)
            .timeout(timeout)
            .header(CONTENT_TYPE, "application/json")
            .header(header.0, header.1)
            .body(body);
        let failed = |error: reqwest::Error| scene.judge(&error.without_url()).message;
        let mut response = request.send().await.map_err(failed)?;
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let mut answer = LinkAnswer {
            status: response.status().as_u16(),
            date: text(DATE).and_then(|date| httpdate::parse_http_date(date).ok()).map(Timestamp::from),
            retry_after: text(RETRY_AFTER).and_then(|seconds| seconds.trim().parse().ok()),
            content_type: text(CONTENT_TYPE).unwrap_or_default().chars().take(80).collect(),
            body: Vec::new(),
        };
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if answer.body.len() + chunk.len() > LARGEST_MESSAGE {
                return Err(scene
                    .after_sending("the answer is larger than a message of the link may be")
                    .message);
            }
            answer.body.extend_from_slice(&chunk);
        }
        Ok(answer)
    }

    /// Examines the way there, as `doctor` does.
    pub async fn examine(&self, clock: &Clock) -> Vec<ProbeResult> {
        let probe = NetProbe {
            url: self.base.clone(),
            network: self.network.clone(),
            proxy_credential: self.proxy.clone(),
        };
        probe.run(clock).await
    }

    /// The first thing on the way that fails, in words, with its mend.
    pub async fn fault_on_the_way(&self, clock: &Clock) -> Option<String> {
        let results = self.examine(clock).await;
        let fault = results.into_iter().find(|result| result.verdict == Verdict::Fail)?;
        Some(format!("{}: {}; {}", fault.check, fault.detail, fault.fix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_one_origin_by_https_or_to_this_machine_on_purpose() {
        let plain = NetworkSettings { allow_plain_loopback: true, ..NetworkSettings::default() };
        let refused = |address: &str, network: &NetworkSettings| {
            LinkClient::new(address, network, None).unwrap_err().to_string()
        };
        assert!(refused("http://control.example.test", &plain).contains("plain http is refused"));
        assert!(refused("http://127.0.0.1:8080", &NetworkSettings::default()).contains("plain http"));
        for address in ["https://ann:pw@control.example.test", "https://control.example.test/x", "ftp://x"] {
            assert!(refused(address, &plain).contains("not an origin"), "{address}");
        }
        let here = LinkClient::new("http://127.0.0.1:8080", &plain, None).unwrap();
        assert_eq!(here.origin().as_str(), "http://127.0.0.1:8080");
    }
}
