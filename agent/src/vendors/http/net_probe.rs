//! Checks of the way to a vendor for `purser doctor`: name, connection, proxy, certificate chain and clock. It goes
//! the gate's way (same proxy, same trust) and sends no secret of the vendor; the proxy's login goes to the proxy only.

mod certificates;
mod proxy;
#[cfg(test)]
mod tests;

use super::client::{self, connect_timeout};
use super::destination;
use crate::clock::Clock;
use crate::secret::Credential;
use crate::vendors::{ProbeResult, Verdict};
use certificates::Presented;
use chrono::TimeDelta;
use proxy::Way;
use purser_proto::config::NetworkSettings;
use spend::Timestamp;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use url::{Host, Url};

/// The checks, in the order in which they are shown.
const CHECKS: [&str; 5] = ["dns", "tcp", "proxy", "tls", "clock"];
/// Largest head of an answer that is read.
const HEAD_CAP: usize = 32 * 1024;
/// Difference of the clocks that is worth a look, and the one with which signatures and certificates begin to fail.
const SKEW_WARN: TimeDelta = TimeDelta::seconds(60);
const SKEW_FAIL: TimeDelta = TimeDelta::seconds(300);

/// What is examined.
#[derive(Clone, Debug)]
pub struct NetProbe {
    /// The connection's base URL.
    pub url: Url,
    /// Its network settings.
    pub network: NetworkSettings,
    /// `user` and `password` for the proxy.
    pub proxy_credential: Option<Credential>,
}

/// A connection, whatever it is made of.
trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}
type Stream = Box<dyn Duplex>;

/// Why a check failed: what was seen, and how to mend it.
#[derive(Debug)]
struct Fault {
    detail: String,
    fix: String,
}

impl Fault {
    fn new(detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { detail: detail.into(), fix: fix.into() }
    }
}

#[derive(Default)]
struct Report(Vec<ProbeResult>);

impl Report {
    fn add(&mut self, check: &str, verdict: Verdict, detail: impl Into<String>, fix: impl Into<String>) {
        self.0.push(ProbeResult { check: check.to_owned(), verdict, detail: detail.into(), fix: fix.into() });
    }

    /// Notes a failure and passes a success on.
    fn keep<T>(&mut self, check: &str, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.add(check, Verdict::Fail, fault.detail, fault.fix)).ok()
    }

    /// All checks in order; those that were not reached are marked so.
    fn complete(mut self) -> Vec<ProbeResult> {
        for check in CHECKS {
            if !self.0.iter().any(|result| result.check == check) {
                self.add(check, Verdict::Skipped, "not checked: an earlier check failed", "");
            }
        }
        self.0.sort_by_key(|result| CHECKS.iter().position(|check| *check == result.check));
        self.0
    }
}

impl NetProbe {
    /// Makes the checks `dns`, `tcp`, `proxy`, `tls` and `clock`, each after those it depends on.
    pub async fn run(&self, clock: &Clock) -> Vec<ProbeResult> {
        client::install_crypto();
        let mut report = Report::default();
        self.walk(clock, &mut report).await;
        report.complete()
    }

    async fn walk(&self, clock: &Clock, report: &mut Report) -> Option<()> {
        let way = report.keep("proxy", Way::of(&self.url, &self.network, self.proxy_credential.as_ref()))?;
        let (host, port) = report.keep("dns", host_and_port(way.first_hop(&self.url)))?;
        let addresses = report.keep("dns", self.resolve(&host, port).await)?;
        report.add("dns", Verdict::Pass, format!("{host} is {}", listed(&addresses)), "");
        let (stream, address) = report.keep("tcp", self.connect(&host, &addresses).await)?;
        report.add("tcp", Verdict::Pass, format!("connected to {address}"), "");
        let stream = self.through_proxy(&way, stream, report).await?;
        let stream = self.secure(stream, report).await?;
        let judged = self.compare_clocks(stream, clock).await;
        report.0.push(judged);
        Some(())
    }

    async fn through_proxy(&self, way: &Way, stream: TcpStream, report: &mut Report) -> Option<Stream> {
        let Way::Through(proxy) = way else {
            report.add("proxy", Verdict::Pass, "no proxy on the way", "");
            return Some(Box::new(stream));
        };
        let mut stream: Stream = Box::new(stream);
        if proxy.url.scheme() == "https" {
            let shaken = certificates::shake_hands(stream, &proxy.url, &self.network);
            let (_, secured) =
                report.keep("proxy", self.in_time("the proxy's TLS handshake", shaken).await)?;
            stream = secured;
        }
        let opened = self.in_time("the proxy's answer", proxy.open_tunnel(&mut stream, &self.url)).await;
        report.keep("proxy", opened)?;
        report.add("proxy", Verdict::Pass, format!("{} opened a tunnel", proxy.place()), "");
        Some(stream)
    }

    async fn secure(&self, stream: Stream, report: &mut Report) -> Option<Stream> {
        if self.url.scheme() == "http" {
            let allowed = self.network.allow_plain_loopback && destination::is_loopback(&self.url);
            if allowed {
                report.add(
                    "tls",
                    Verdict::Pass,
                    "plain http to this machine, as network.allow_plain_loopback says",
                    "",
                );
                return Some(stream);
            }
            let fix = "change the connection's url to https://; plain http is possible only to this machine, with \
                       network.allow_plain_loopback = true";
            report.add(
                "tls",
                Verdict::Fail,
                "the url is plain http: secrets would be readable on the way",
                fix,
            );
            return None;
        }
        let shaken = certificates::shake_hands(stream, &self.url, &self.network);
        let (presented, stream) = report.keep("tls", self.in_time("the TLS handshake", shaken).await)?;
        report.0.push(trusted(&presented));
        Some(stream)
    }

    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Fault> {
        let fix = "check the spelling of the host and this machine's DNS; a company network may need its own resolver";
        let found = async {
            tokio::net::lookup_host((host, port))
                .await
                .map(Iterator::collect::<Vec<_>>)
                .map_err(|error| Fault::new(format!("{host} could not be resolved: {error}"), fix))
        };
        let addresses = self.in_time("the name server's answer", found).await?;
        if addresses.is_empty() {
            return Err(Fault::new(format!("{host} has no address"), fix));
        }
        Ok(addresses)
    }

    async fn connect(&self, host: &str, addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), Fault> {
        let mut seen = Vec::new();
        for address in addresses {
            match tokio::time::timeout(connect_timeout(&self.network), TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok((stream, *address)),
                Ok(Err(error)) => seen.push(format!("{address}: {}", io_words(&error))),
                Err(_) => seen.push(format!("{address}: no answer within {} s", self.waited())),
            }
        }
        let fix = "check host and port, the firewall between here and there, and whether a proxy is needed \
                   (network.proxy)";
        Err(Fault::new(format!("no connection to {host}: {}", seen.join("; ")), fix))
    }

    async fn compare_clocks(&self, mut stream: Stream, clock: &Clock) -> ProbeResult {
        let head = self.in_time("the answer", ask_for_head(&mut stream, &self.url)).await;
        let date = match head {
            Ok(head) => header(&head, "date").and_then(|date| httpdate::parse_http_date(date).ok()),
            Err(fault) => return clock_result(Verdict::Warn, fault.detail, fault.fix),
        };
        match date {
            Some(date) => judge_skew(clock.now() - Timestamp::from(date)),
            None => clock_result(
                Verdict::Warn,
                "the server does not tell its time (no `Date` in its answer)",
                "compare this machine's clock with another source",
            ),
        }
    }

    async fn in_time<T>(&self, what: &str, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        tokio::time::timeout(connect_timeout(&self.network), work).await.unwrap_or_else(|_| {
            let fix = "check the firewall on the way; raise network.connect_timeout if the line is slow";
            Err(Fault::new(format!("{what} did not come within {} s", self.waited()), fix))
        })
    }

    fn waited(&self) -> u64 {
        connect_timeout(&self.network).as_secs()
    }
}

fn trusted(presented: &Presented) -> ProbeResult {
    let detail = presented.to_string();
    let (verdict, detail, fix) = match presented.inspector() {
        None => (Verdict::Pass, detail, String::new()),
        Some(name) => (
            Verdict::Warn,
            format!("{detail}; the issuer looks like a TLS-inspecting proxy ({name})"),
            "calls work, but that proxy can read them: ask your network team to exempt this host".to_owned(),
        ),
    };
    ProbeResult { check: "tls".to_owned(), verdict, detail, fix }
}

fn clock_result(verdict: Verdict, detail: impl Into<String>, fix: impl Into<String>) -> ProbeResult {
    ProbeResult { check: "clock".to_owned(), verdict, detail: detail.into(), fix: fix.into() }
}

/// `ours` = this machine's time minus the server's.
fn judge_skew(ours: TimeDelta) -> ProbeResult {
    let by = ours.abs();
    let direction = if ours > TimeDelta::zero() { "ahead of" } else { "behind" };
    let detail = format!("this machine's clock is {} s {direction} the server's", by.num_seconds());
    let fix = "set the clock by NTP (timedatectl set-ntp true; on Windows: w32tm /resync)";
    if by > SKEW_FAIL {
        clock_result(Verdict::Fail, detail, fix)
    } else if by > SKEW_WARN {
        clock_result(Verdict::Warn, detail, fix)
    } else {
        clock_result(Verdict::Pass, detail, "")
    }
}

fn host_and_port(url: &Url) -> Result<(String, u16), Fault> {
    let host = match url.host() {
        Some(Host::Domain(name)) => Some(name.to_owned()),
        Some(Host::Ipv4(ip)) => Some(ip.to_string()),
        Some(Host::Ipv6(ip)) => Some(ip.to_string()),
        None => None,
    };
    host.zip(url.port_or_known_default())
        .ok_or_else(|| Fault::new("the url names no host", "write the connection's url as https://host/path"))
}

fn listed(addresses: &[SocketAddr]) -> String {
    let mut ips: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    ips.dedup();
    ips.join(", ")
}

fn io_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "connection refused (nothing listens there, or a firewall refuses)".into()
        }
        _ => error.to_string(),
    }
}

/// Asks for the head of the site's root, which carries the server's time and costs nobody anything.
async fn ask_for_head(stream: &mut Stream, url: &Url) -> Result<String, Fault> {
    let (host, port) = (url.host_str().unwrap_or_default(), url.port());
    let place = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let request = format!(
        "HEAD / HTTP/1.1\r\nHost: {place}\r\nUser-Agent: purser\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    let failed = |error: io::Error| {
        let fix = "check that the url's port speaks HTTP; the clock could not be compared";
        Fault::new(format!("no answer to a plain question: {error}"), fix)
    };
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    stream.flush().await.map_err(failed)?;
    read_head(stream).await.map_err(failed)
}

/// Reads up to the empty line that ends a head.
async fn read_head(stream: &mut Stream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_CAP {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !head.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// The first header of that name in a head.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    headers(head, name).next()
}

fn headers<'a>(head: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    head.lines().skip(1).filter_map(move |line| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
    })
}
