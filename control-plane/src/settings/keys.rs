//! The one list of settings: name, kind, default and a sentence. Files, environment, flags, findings and the table of
//! the manual all go by it, so that a setting cannot be known to one of them only.

/// What a setting holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A whole number from .. to.
    Number(u64, u64),
    /// `true` or `false`.
    Switch,
    /// Texts; with commas between them in the environment.
    List,
    /// A secret: from the environment, or from the file that `<name>_file` says. Never from the settings file itself,
    /// never from a flag.
    Secret,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// `section.name`.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What it is when nobody says anything, as it would be written in the file; empty = not set.
    pub default: &'static str,
    /// What it is for.
    pub help: &'static str,
}

const fn text(name: &'static str, default: &'static str, help: &'static str) -> Key {
    Key { name, kind: Kind::Text, default, help }
}

const fn number(name: &'static str, range: (u64, u64), default: &'static str, help: &'static str) -> Key {
    Key { name, kind: Kind::Number(range.0, range.1), default, help }
}

const fn switch(name: &'static str, help: &'static str) -> Key {
    Key { name, kind: Kind::Switch, default: "false", help }
}

const fn list(name: &'static str, help: &'static str) -> Key {
    Key { name, kind: Kind::List, default: "", help }
}

const fn secret(name: &'static str, help: &'static str) -> Key {
    Key { name, kind: Kind::Secret, default: "", help }
}

/// All settings.
pub const KEYS: &[Key] = &[
    text("database.url", "sqlite:control.db", "`sqlite:FILE` or `postgres://user@host/name`"),
    secret("database.password", "Password of the PostgreSQL user"),
    text("server.listen", "127.0.0.1:8443", "Address to listen on"),
    text("server.public_url", "", "How people and agents reach it, for links in mails: `https://host`"),
    number("server.workers", (0, 512), "0", "Threads that answer requests; 0 = as many as processors"),
    number("server.drain_seconds", (1, 20), "15", "How long running requests may take to end at a stop"),
    number(
        "server.announce_seconds",
        (0, 300),
        "0",
        "How long `/readyz` says no before a stop begins, so that a load balancer sends nobody new",
    ),
    text("tls.certificate", "", "PEM file: the certificate, then those between it and the root"),
    text("tls.key", "", "PEM file: its private key"),
    number("tls.reload_seconds", (1, 86_400), "10", "How often the two files are looked at"),
    list("proxy.trusted", "Addresses or networks (`10.0.0.0/8`) of proxies whose headers are believed"),
    text(
        "proxy.client_certificate_header",
        "",
        "Header in which they pass the subject of a client's certificate",
    ),
    number("limits.header_bytes", (1024, 131_072), "32768", "Largest head of a request"),
    number("limits.header_seconds", (1, 120), "10", "How long a client may take to send a head"),
    number("limits.body_seconds", (1, 600), "60", "How long a client may take to send a body"),
    number("limits.write_seconds", (1, 600), "60", "How long a client may take no byte of an answer"),
    number("limits.keep_alive_seconds", (1, 600), "75", "How long a connection may stay without a request"),
    number("limits.hook_body_bytes", (1024, 1_048_576), "1048576", "Largest webhook"),
    number("limits.admin_body_bytes", (65_536, 16_777_216), "2097152", "Largest request of the admin API"),
    number(
        "limits.bodies_bytes",
        (16_777_216, 1 << 40),
        "268435456",
        "Memory for the bodies that are being read and worked on, of all requests together",
    ),
    number("limits.connections", (16, 1_000_000), "20000", "Connections at one time"),
    number(
        "limits.connections_per_source",
        (0, 1_000_000),
        "512",
        "Connections at one time from one address, trusted proxies excepted; 0 = no limit",
    ),
    text("metrics.listen", "", "Address where `/metrics` is answered to everybody who reaches it"),
    secret("metrics.token", "Bearer token with which `/metrics` is answered on the main address"),
    text("log.level", "info", "A level, or a filter such as `info,purser_control::link=debug`"),
    text("log.format", "json", "`json` or `text`"),
    text("oidc.issuer", "", "Identity provider at which people log in: its issuer, letter by letter"),
    text("oidc.id", "sso", "Its name in addresses: a-z, 0-9 and `-`"),
    text("oidc.name", "Single sign-on", "Its name for people"),
    text(
        "oidc.tenant",
        "*",
        "Id of the tenant whose people it knows; `*` = those who look after all tenants",
    ),
    text("oidc.client_id", "", "What it calls this control plane"),
    secret("oidc.client_secret", "How this control plane proves to be that"),
    text("mail.host", "", "SMTP server; without one no mail is sent"),
    number(
        "mail.port",
        (0, 65_535),
        "0",
        "Its port; 0 = 465 with `tls`, 587 with `starttls`, 25 with `none`",
    ),
    text("mail.security", "starttls", "`tls`, `starttls`, or `none`, which is for loopback only"),
    text("mail.from", "", "Sender of the mails, such as `Purser <purser@example.test>`"),
    text("mail.username", "", "User of the SMTP server"),
    secret("mail.password", "Password of that user"),
    text("mail.ca_file", "", "PEM file with a certificate authority that is trusted for mail as well"),
    number("alerts.every_seconds", (5, 3600), "30", "How often the rules are asked"),
    switch("alerts.private_destinations", "Whether alerts may be sent to private and link-local addresses"),
    switch("alerts.http_to_loopback", "Whether alerts may be sent to `http://127.0.0.1`, for trials"),
    text("alerts.ca_file", "", "PEM file with a certificate authority that is trusted for alerts as well"),
    secret("alerts.key", "Key from which the signing secrets of alerts are derived; 32 characters or more"),
    number(
        "retention.report_days",
        (1, 3650),
        "90",
        "Results of commands, and what became of sealed secrets",
    ),
    number("retention.notice_days", (1, 3650), "90", "Notices of agents"),
    number("retention.alert_days", (1, 3650), "90", "Resolved alerts and what was sent about them"),
    number("retention.every_minutes", (1, 1440), "15", "How often what is too old is removed"),
];

/// A setting by its name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The variable that sets a setting: `PURSER_CONTROL_MAIL_HOST` for `mail.host`. The two that everybody sets have short
/// names: `PURSER_CONTROL_DATABASE` and, with all of their section, `PURSER_CONTROL_LISTEN`.
pub fn variable(name: &str) -> String {
    let short =
        if name == "database.url" { "database" } else { name.strip_prefix("server.").unwrap_or(name) };
    format!("PURSER_CONTROL_{}", short.replace('.', "_").to_ascii_uppercase())
}

/// The table of the manual, one line a setting.
pub fn table() -> String {
    let mut lines = String::from("| Setting | Default | What it is for |\n|---|---|---|\n");
    for key in KEYS {
        let default = match (key.kind, key.default) {
            (Kind::Secret, _) => "secret".to_owned(),
            (_, "") => "–".to_owned(),
            (_, default) => format!("`{default}`"),
        };
        lines.push_str(&format!("| `{}` | {default} | {} |\n", key.name, key.help));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_variables_are_unique_and_no_secret_has_a_default() {
        let mut names: Vec<String> = KEYS.iter().map(|key| variable(key.name)).collect();
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
        for key in KEYS {
            assert_eq!(key.name.matches('.').count(), 1, "{}", key.name);
            assert!(key.kind != Kind::Secret || key.default.is_empty(), "{}", key.name);
            assert!(!key.help.contains('|') && !key.help.is_empty(), "{}", key.name);
            assert!(table().contains(&format!("| `{}` |", key.name)));
        }
    }
}
