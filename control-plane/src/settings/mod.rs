//! What the control plane is told: one TOML file, over it the environment (`PURSER_CONTROL_MAIL_HOST` for
//! `mail.host`), over that the flags. Everything that is wrong is found at once, each with its path.
//!
//! Secrets come from the environment or from a file that is named (`mail.password_file`), never from the settings file
//! and never from a flag, and no finding, log line or `Debug` shows one.

pub mod keys;
mod layers;
mod network;
#[cfg(test)]
mod tests;

pub use layers::Layers;
pub use network::Network;
pub(crate) use network::source;

use layers::{From, Reader};
use purser_proto::ConfigFinding;
use secrecy::{ExposeSecret as _, SecretString};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// Name of the settings file, in the working folder, when none is named.
pub const FILE: &str = "purser-control.toml";

/// Settings that can be worked with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the data is.
    pub database: Database,
    /// The main listener.
    pub server: Server,
    /// TLS by this process; absent = plain HTTP, for loopback or behind a proxy.
    pub tls: Option<Tls>,
    /// Proxies in front.
    pub proxy: Proxy,
    /// What one client may take.
    pub limits: Limits,
    /// Who may read the figures.
    pub metrics: Metrics,
    /// What is logged and how.
    pub log: Log,
    /// An identity provider.
    pub oidc: Option<Oidc>,
    /// Where mails go out.
    pub mail: Option<Mail>,
    /// Alerts.
    pub alerts: Alerts,
    /// How long things are kept.
    pub retention: Retention,
}

/// Where the data is.
#[derive(Clone, Debug)]
pub struct Database {
    /// With its password.
    pub url: SecretString,
}

impl Database {
    /// The address without a password, to show.
    pub fn shown(&self) -> String {
        let text = self.url.expose_secret();
        match Url::parse(text) {
            Ok(mut url) if url.password().is_some() => match url.set_password(None) {
                Ok(()) => url.into(),
                Err(()) => "(hidden)".to_owned(),
            },
            Ok(_) | Err(_) => text.to_owned(),
        }
    }
}

/// The main listener.
#[derive(Clone, Debug)]
pub struct Server {
    /// Address.
    pub listen: SocketAddr,
    /// How it is reached from outside.
    pub public_url: Option<Url>,
    /// Threads; 0 = as many as processors.
    pub workers: usize,
    /// How long running requests may take to end at a stop.
    pub drain: Duration,
    /// How long readiness says no before that.
    pub announce: Duration,
}

/// Certificate and key.
#[derive(Clone, Debug)]
pub struct Tls {
    /// PEM file of the chain.
    pub certificate: PathBuf,
    /// PEM file of the key.
    pub key: PathBuf,
    /// How often both are looked at.
    pub reload: Duration,
}

/// Proxies in front.
#[derive(Clone, Debug, Default)]
pub struct Proxy {
    /// Whose headers are believed.
    pub trusted: Vec<Network>,
    /// Header with the subject of a client's certificate.
    pub client_certificate_header: Option<String>,
}

/// What one client may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest head of a request.
    pub header_bytes: usize,
    /// How long a head may take.
    pub header_time: Duration,
    /// How long a body may take.
    pub body_time: Duration,
    /// How long a client may take no byte of an answer.
    pub write_time: Duration,
    /// How long a connection may stay without a request.
    pub keep_alive: Duration,
    /// Largest webhook.
    pub hook_body_bytes: usize,
    /// Largest request of the admin API.
    pub admin_body_bytes: usize,
    /// Memory for all bodies that are being read and worked on.
    pub bodies_bytes: usize,
    /// Connections at one time.
    pub connections: usize,
    /// Of them from one address; 0 = no limit.
    pub connections_per_source: usize,
}

/// Who may read the figures.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// A listener of their own.
    pub listen: Option<SocketAddr>,
    /// The token with which they are answered on the main listener.
    pub token: Option<SecretString>,
}

/// What is logged and how.
#[derive(Clone, Debug)]
pub struct Log {
    /// A level or a filter.
    pub level: String,
    /// JSON lines, or lines for people.
    pub json: bool,
}

/// An identity provider.
#[derive(Clone, Debug)]
pub struct Oidc {
    /// Its name in addresses.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// The tenant whose people it knows.
    pub tenant: String,
    /// Its issuer.
    pub issuer: String,
    /// What it calls this control plane.
    pub client_id: String,
    /// How this control plane proves to be that.
    pub client_secret: SecretString,
}

/// Where mails go out.
#[derive(Clone, Debug)]
pub struct Mail {
    /// SMTP server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: MailSecurity,
    /// Sender.
    pub from: String,
    /// User and password.
    pub login: Option<(String, SecretString)>,
    /// An authority that is trusted as well.
    pub ca_file: Option<PathBuf>,
}

/// How the connection to the SMTP server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailSecurity {
    /// TLS from the first byte.
    Tls,
    /// TLS after the greeting; without it nothing is sent.
    StartTls,
    /// None, to loopback only.
    None,
}

/// Alerts.
#[derive(Clone, Debug)]
pub struct Alerts {
    /// How often the rules are asked.
    pub every: Duration,
    /// Whether private and link-local addresses may be written to.
    pub private_destinations: bool,
    /// Whether plain HTTP to loopback is allowed.
    pub http_to_loopback: bool,
    /// An authority that is trusted as well.
    pub ca_file: Option<PathBuf>,
    /// From which signing secrets are derived; absent = a key file beside the database.
    pub key: Option<SecretString>,
}

/// How long things are kept.
#[derive(Clone, Debug)]
pub struct Retention {
    /// Results of commands, and what became of sealed secrets.
    pub reports: Duration,
    /// Notices of agents.
    pub notices: Duration,
    /// Resolved alerts.
    pub alerts: Duration,
    /// How often what is too old is removed.
    pub every: Duration,
}

/// All that is wrong with the settings.
#[derive(Debug, thiserror::Error)]
#[error("the settings cannot be used:{}", listed(.0))]
pub struct SettingsError(pub Vec<ConfigFinding>);

fn listed(findings: &[ConfigFinding]) -> String {
    findings.iter().map(|finding| format!("\n  {finding}")).collect()
}

impl Settings {
    /// Makes sense of what the layers say.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub fn read(layers: Layers) -> Result<Self, SettingsError> {
        let mut reader = layers.reader();
        let settings = Self {
            database: database(&mut reader),
            server: server(&mut reader),
            tls: tls(&mut reader),
            proxy: proxy(&mut reader),
            limits: limits(&mut reader),
            metrics: Metrics {
                listen: address(&mut reader, "metrics.listen"),
                token: long_secret(&mut reader, "metrics.token", 16),
            },
            log: log(&mut reader),
            oidc: oidc(&mut reader),
            mail: mail(&mut reader),
            alerts: alerts(&mut reader),
            retention: retention(&mut reader),
        };
        let findings = reader.findings;
        if findings.is_empty() { Ok(settings) } else { Err(SettingsError(findings)) }
    }

    /// All defaults.
    ///
    /// # Panics
    /// Never: a test reads them.
    pub fn defaults() -> Self {
        Self::read(Layers::default()).expect("the defaults are in order")
    }
}

fn database(reader: &mut Reader) -> Database {
    let name = "database.url";
    let text = reader.text(name).unwrap_or_default();
    let password = reader.secret("database.password");
    let mut url = Url::parse(&text).ok();
    match url.as_ref().map(Url::scheme) {
        Some("sqlite") if password.is_some() => {
            reader.wrong("database.password", "SQLite has no password", "remove it");
        }
        Some("sqlite") => {}
        Some("postgres" | "postgresql") => {
            let inside = url.as_ref().is_some_and(|url| url.password().is_some());
            if inside && reader.from(name) != Some(From::Environment) {
                reader.wrong(
                    name,
                    "it holds a password",
                    "take the password out and name a file by `database.password_file`, or set the whole address in the environment",
                );
            }
        }
        Some(_) | None => {
            reader.wrong(
                name,
                "it is no database that can be used",
                "write `sqlite:FILE` or `postgres://user@host/name`",
            );
        }
    }
    if let (Some(url), Some(password)) = (&mut url, password)
        && url.set_password(Some(password.expose_secret())).is_ok()
    {
        return Database { url: SecretString::from(url.as_str()) };
    }
    Database { url: SecretString::from(text) }
}

fn address(reader: &mut Reader, name: &str) -> Option<SocketAddr> {
    reader.parsed(name, "write an address and a port, such as `127.0.0.1:8080`", |text| text.parse().ok())
}

fn server(reader: &mut Reader) -> Server {
    let name = "server.public_url";
    let public_url = reader.parsed(name, "write `https://host`", |text| Url::parse(text).ok());
    let plain = |url: &Url| {
        !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.query().is_some()
    };
    if public_url.as_ref().is_some_and(plain) {
        reader.wrong(name, "it is no plain web address", "write `https://host`");
    }
    Server {
        listen: address(reader, "server.listen").unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8443))),
        public_url,
        workers: reader.size("server.workers"),
        drain: reader.seconds("server.drain_seconds"),
        announce: reader.seconds("server.announce_seconds"),
    }
}

fn tls(reader: &mut Reader) -> Option<Tls> {
    let (certificate, key) = (reader.path("tls.certificate"), reader.path("tls.key"));
    let reload = reader.seconds("tls.reload_seconds");
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(Tls { certificate, key, reload }),
        (None, None) => None,
        (Some(_), None) => {
            reader.wrong("tls.key", "a certificate is named, but no key", "name its key");
            None
        }
        (None, Some(_)) => {
            reader.wrong("tls.certificate", "a key is named, but no certificate", "name its certificate");
            None
        }
    }
}

fn proxy(reader: &mut Reader) -> Proxy {
    let mut trusted = Vec::new();
    for (index, text) in reader.list("proxy.trusted").iter().enumerate() {
        match text.parse() {
            Ok(network) => trusted.push(network),
            Err(error) => reader.findings.push(ConfigFinding::new(
                format!("proxy.trusted[{index}]"),
                format!("`{}`: {error}", text.chars().take(80).collect::<String>()),
                "write an address such as `10.0.0.7` or a network such as `10.0.0.0/8`",
            )),
        }
    }
    let name = "proxy.client_certificate_header";
    let header = reader.parsed(name, "write the name of a header, such as `x-client-subject`", |text| {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '-';
        text.chars().all(word).then(|| text.to_ascii_lowercase())
    });
    if header.is_some() && trusted.is_empty() {
        reader.wrong(
            name,
            "no proxy is trusted, so nobody may send it",
            "list the proxies in `proxy.trusted`",
        );
    }
    Proxy { trusted, client_certificate_header: header }
}

fn limits(reader: &mut Reader) -> Limits {
    Limits {
        header_bytes: reader.size("limits.header_bytes"),
        header_time: reader.seconds("limits.header_seconds"),
        body_time: reader.seconds("limits.body_seconds"),
        write_time: reader.seconds("limits.write_seconds"),
        keep_alive: reader.seconds("limits.keep_alive_seconds"),
        hook_body_bytes: reader.size("limits.hook_body_bytes"),
        admin_body_bytes: reader.size("limits.admin_body_bytes"),
        bodies_bytes: reader.size("limits.bodies_bytes"),
        connections: reader.size("limits.connections"),
        connections_per_source: reader.size("limits.connections_per_source"),
    }
}

/// A secret that cannot be guessed because it is short.
fn long_secret(reader: &mut Reader, name: &str, least: usize) -> Option<SecretString> {
    let secret = reader.secret(name)?;
    if secret.expose_secret().len() < least {
        reader.wrong(name, "it is too short", format!("draw {least} characters or more at random"));
    }
    Some(secret)
}

fn log(reader: &mut Reader) -> Log {
    let json = reader.parsed("log.format", "write `json` or `text`", |text| match text {
        "json" => Some(true),
        "text" => Some(false),
        _ => None,
    });
    let level = reader.parsed("log.level", "write `info`, or `info,purser_control::link=debug`", |text| {
        tracing_subscriber::EnvFilter::try_new(text).ok().map(|_| text.to_owned())
    });
    Log { level: level.unwrap_or_else(|| "info".to_owned()), json: json.unwrap_or(true) }
}

fn oidc(reader: &mut Reader) -> Option<Oidc> {
    let text = |reader: &mut Reader, name| reader.text(name).unwrap_or_default();
    let (id, name, tenant) =
        (text(reader, "oidc.id"), text(reader, "oidc.name"), text(reader, "oidc.tenant"));
    let (client_id, client_secret) = (reader.text("oidc.client_id"), reader.secret("oidc.client_secret"));
    let issuer = reader.text("oidc.issuer")?;
    if client_id.is_none() {
        reader.wrong(
            "oidc.client_id",
            "an issuer is named, but no client",
            "name the client that was made there",
        );
    }
    if client_secret.is_none() {
        let fix = "name its file by `oidc.client_secret_file`";
        reader.wrong("oidc.client_secret", "an issuer is named, but no secret", fix);
    }
    Some(Oidc { id, name, tenant, issuer, client_id: client_id?, client_secret: client_secret? })
}

fn mail(reader: &mut Reader) -> Option<Mail> {
    let host = reader.text("mail.host");
    let security = reader.parsed("mail.security", "write `tls`, `starttls` or `none`", |text| match text {
        "tls" => Some(MailSecurity::Tls),
        "starttls" => Some(MailSecurity::StartTls),
        "none" => Some(MailSecurity::None),
        _ => None,
    });
    let security = security.unwrap_or(MailSecurity::StartTls);
    let from = reader.parsed("mail.from", "write `Name <name@host>`", |text| {
        text.parse::<lettre::message::Mailbox>().ok().map(|_| text.to_owned())
    });
    let login = match (reader.text("mail.username"), reader.secret("mail.password")) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        (Some(_), None) => {
            reader.wrong(
                "mail.password",
                "there is a user but no password",
                "name its file by `mail.password_file`",
            );
            None
        }
        (None, Some(_)) => {
            reader.wrong("mail.username", "there is a password but no user", "name the user");
            None
        }
    };
    let port = match (reader.number("mail.port"), security) {
        (0, MailSecurity::Tls) => 465,
        (0, MailSecurity::StartTls) => 587,
        (0, MailSecurity::None) => 25,
        (port, _) => u16::try_from(port).unwrap_or_default(),
    };
    let ca_file = reader.path("mail.ca_file");
    let host = host?;
    if security == MailSecurity::None && !loopback(&host) {
        reader.wrong(
            "mail.security",
            "mails would go over the network in the clear",
            "write `tls` or `starttls`",
        );
    }
    if from.is_none() && reader.from("mail.from").is_none() {
        reader.wrong("mail.from", "mails have no sender", "write `Name <name@host>`");
    }
    Some(Mail { host, port, security, from: from.unwrap_or_default(), login, ca_file })
}

fn loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn alerts(reader: &mut Reader) -> Alerts {
    Alerts {
        every: reader.seconds("alerts.every_seconds"),
        private_destinations: reader.switch("alerts.private_destinations"),
        http_to_loopback: reader.switch("alerts.http_to_loopback"),
        ca_file: reader.path("alerts.ca_file"),
        key: long_secret(reader, "alerts.key", 32),
    }
}

fn retention(reader: &mut Reader) -> Retention {
    let mut days = |name: &str| Duration::from_secs(reader.number(name) * 86_400);
    Retention {
        reports: days("retention.report_days"),
        notices: days("retention.notice_days"),
        alerts: days("retention.alert_days"),
        every: Duration::from_secs(reader.number("retention.every_minutes") * 60),
    }
}
