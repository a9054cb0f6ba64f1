//! Checks of one vendor account.

use super::{Check, ValidConnection, shorten};
use crate::config::{ConnectionConfig, NetworkSettings};
use crate::suggest::nearest;
use serde_json::Value;
use url::{Host, Url};

pub(super) fn valid(
    check: &mut Check,
    path: &str,
    raw: &ConnectionConfig,
    known_kinds: &[&str],
) -> Option<ValidConnection> {
    check.name(format!("{path}.id"), raw.id.as_str());
    if !known_kinds.contains(&raw.kind.as_str()) {
        let fix = match nearest(&raw.kind, known_kinds.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known vendors: {}", known_kinds.join(", ")),
        };
        check.refuse(format!("{path}.kind"), format!("unknown vendor `{}`", shorten(&raw.kind)), fix);
    }
    if let Some(secret) = &raw.secret {
        check.name(format!("{path}.secret"), secret);
    }
    for (name, value) in &raw.settings {
        no_secret(check, &format!("{path}.settings.{name}"), name, value);
    }
    let network = network(check, &format!("{path}.network"), &raw.network);
    let url = base_url(check, format!("{path}.url"), &raw.url, raw.network.allow_plain_loopback);
    Some(ValidConnection {
        id: raw.id.clone(),
        kind: raw.kind.clone(),
        url: url?,
        secret: raw.secret.clone().unwrap_or_else(|| raw.id.as_str().to_owned()),
        network: network?,
        settings: raw.settings.clone(),
    })
}

pub(super) fn unique(check: &mut Check, connections: &[ConnectionConfig]) {
    for (index, connection) in connections.iter().enumerate() {
        if let Some(first) = connections[..index].iter().position(|other| other.id == connection.id) {
            check.refuse_because(
                format!("connection[{index}].id"),
                format!("`{}` is already the name of connection[{first}]", shorten(connection.id.as_str())),
                "flows and secrets refer to connections by name",
                "give one of them another name",
            );
        }
    }
}

fn base_url(check: &mut Check, path: String, text: &str, plain_loopback: bool) -> Option<Url> {
    let before = check.findings.len();
    let url = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => url,
        _ => {
            // The text itself is not repeated: a password may stand in it.
            check.refuse(
                path,
                "not an absolute http or https URL",
                "write the whole URL, as in `https://erp.example.test/erp`",
            );
            return None;
        }
    };
    without_secrets(check, &path, &url);
    if url.query().is_some() || url.fragment().is_some() {
        check.refuse(path.clone(), "the URL has a query or a fragment", "leave out what follows `?` or `#`");
    }
    if url.scheme() == "http" && !(plain_loopback && is_loopback(&url)) {
        let fix = if is_loopback(&url) {
            "write `https://`, or set `network.allow_plain_loopback = true` for a sandbox on this machine"
        } else {
            "write `https://`"
        };
        check.refuse_because(
            path,
            "plain http is refused",
            "a password would cross the network in the clear",
            fix,
        );
    }
    (check.findings.len() == before).then_some(url)
}

fn without_secrets(check: &mut Check, path: &str, url: &Url) {
    if !url.username().is_empty() || url.password().is_some() {
        check.refuse_because(
            path,
            "the URL carries credentials",
            "secrets never stand in the configuration",
            "leave them out of the URL and use `purser secrets set`",
        );
    }
}

/// A secret typed into the settings would end up in backups, revisions and `purser config show`.
fn no_secret(check: &mut Check, path: &str, name: &str, value: &Value) {
    const NAMES: [&str; 9] = [
        "password",
        "passwd",
        "clientsecret",
        "apikey",
        "accesstoken",
        "refreshtoken",
        "bearertoken",
        "usersecret",
        "partnerusersecret",
    ];
    match value {
        Value::String(_) => {
            let bare: String = name.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
            if NAMES.contains(&bare.to_ascii_lowercase().as_str()) {
                check.refuse_because(
                    path,
                    "a secret stands in the configuration",
                    "the configuration is shown, copied and sent about",
                    "remove it, change it in the vendor's system too, and use `purser secrets set`",
                );
            }
        }
        Value::Object(below) => {
            for (name, value) in below {
                no_secret(check, &format!("{path}.{name}"), name, value);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                no_secret(check, &format!("{path}[{index}]"), name, item);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

fn network(check: &mut Check, path: &str, raw: &NetworkSettings) -> Option<NetworkSettings> {
    if let Some(secret) = &raw.proxy_secret {
        check.name(format!("{path}.proxy_secret"), secret);
    }
    if raw.extra_ca.as_deref().is_some_and(|file| file.trim().is_empty()) {
        check.refuse(
            format!("{path}.extra_ca"),
            "the file name is empty",
            "name a PEM file, or leave the field out",
        );
    }
    let connect = raw.connect_timeout.unwrap_or(10);
    check.range(format!("{path}.connect_timeout"), connect.into(), 1, 300);
    if let Some(timeout) = raw.timeout {
        check.range(format!("{path}.timeout"), timeout.into(), 1, 3600);
    }
    proxy(check, format!("{path}.proxy"), raw.proxy.as_deref()).then(|| raw.clone())
}

/// Whether the proxy can be used.
fn proxy(check: &mut Check, path: String, text: Option<&str>) -> bool {
    let text = match text {
        None | Some("none") => return true,
        Some(text) => text,
    };
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
            let before = check.findings.len();
            without_secrets(check, &path, &url);
            check.findings.len() == before
        }
        _ => {
            check.refuse(
                path,
                "not the URL of a proxy",
                "write it as in `http://proxy.example.test:3128`, or `none` for no proxy",
            );
            false
        }
    }
}
