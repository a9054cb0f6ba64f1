//! Where a secret may be sent: what the person says, else what the connections that use it need.

use super::{PROXY, SetArgs};
use crate::cli::Usage;
use crate::config::destinations;
use crate::secret::Origin;
use anyhow::Result;
use purser_proto::validate::ValidConfig;
use std::collections::BTreeSet;
use url::{Host, Url};

/// A use of the secret by a connection.
pub(super) struct User {
    /// The connection.
    pub(super) id: String,
    /// Vendor, or `proxy`.
    pub(super) kind: String,
    /// Where it must be able to go.
    origins: BTreeSet<Origin>,
}

/// Who uses a secret.
pub(super) fn users(config: &ValidConfig, name: &str) -> Vec<User> {
    let mut users = Vec::new();
    for connection in &config.connections {
        if connection.secret == name {
            let origins = destinations::of_vendor(connection);
            users.push(User { id: connection.id.to_string(), kind: connection.kind.clone(), origins });
        }
        if connection.network.proxy_secret.as_deref() == Some(name) {
            let origins = destinations::of_proxy(connection).into_iter().collect();
            users.push(User { id: connection.id.to_string(), kind: PROXY.to_owned(), origins });
        }
    }
    users
}

/// The kind that was given, else the one of all users.
pub(super) fn kind(args: &SetArgs, users: &[User]) -> Result<String> {
    if let Some(kind) = &args.kind {
        return Ok(kind.clone());
    }
    let kinds: BTreeSet<&str> = users.iter().map(|user| user.kind.as_str()).collect();
    match (kinds.first(), kinds.len()) {
        (Some(only), 1) => Ok((*only).to_owned()),
        (None, _) => Err(Usage(format!(
            "no connection of the configuration uses a secret `{}`; check its name, or say --kind and --origin",
            args.name
        ))
        .into()),
        (Some(_), _) => {
            let kinds: Vec<&str> = kinds.into_iter().collect();
            Err(Usage(format!(
                "`{}` is used for several kinds ({}); give each its own secret",
                args.name,
                kinds.join(", ")
            ))
            .into())
        }
    }
}

/// The origins that were given, else those of all users of this kind.
pub(super) fn choose(args: &SetArgs, kind: &str, users: &[User]) -> Result<Vec<Origin>> {
    if !args.origin.is_empty() {
        return given(&args.origin, kind);
    }
    checked(
        users.iter().filter(|user| user.kind == kind).flat_map(|user| user.origins.clone()).collect(),
        kind,
    )
}

/// The origins that were given.
pub(in crate::cli) fn given(texts: &[String], kind: &str) -> Result<Vec<Origin>> {
    let read = texts.iter().map(|text| Origin::parse(text).map_err(|error| Usage(error.to_string())));
    checked(read.collect::<Result<_, _>>()?, kind)
}

fn checked(chosen: BTreeSet<Origin>, kind: &str) -> Result<Vec<Origin>> {
    if chosen.is_empty() {
        return Err(Usage("say where it may be sent with --origin https://host".to_owned()).into());
    }
    if let Some(plain) = chosen.iter().find(|origin| kind != PROXY && is_plain(origin)) {
        return Err(Usage(format!(
            "{plain} is plain http: the secret would be readable on the way; use https (plain http is possible only to \
             this machine itself)"
        ))
        .into());
    }
    Ok(chosen.into_iter().collect())
}

/// Plain HTTP to another machine.
fn is_plain(origin: &Origin) -> bool {
    let Ok(url) = Url::parse(origin.as_str()) else { return true };
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    url.scheme() != "https" && !loopback
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(kind: Option<&str>, origins: &[&str]) -> SetArgs {
        SetArgs {
            name: "erp".to_owned(),
            kind: kind.map(str::to_owned),
            origin: origins.iter().map(|text| (*text).to_owned()).collect(),
            field: Vec::new(),
            yes: false,
            note: String::new(),
        }
    }

    fn chosen(origins: &[&str], kind: &str) -> Result<Vec<String>, String> {
        let chosen = choose(&args(None, origins), kind, &[]).map_err(|error| error.to_string())?;
        Ok(chosen.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_secret_is_never_bound_to_plain_http_except_on_this_machine() {
        assert!(chosen(&["http://erp.example.test"], "epicor").unwrap_err().contains("plain http"));
        assert!(chosen(&["http://127.0.0.1.example.test"], "epicor").unwrap_err().contains("plain http"));
        assert_eq!(chosen(&["http://127.0.0.1:8080"], "epicor").unwrap(), ["http://127.0.0.1:8080"]);
        assert_eq!(chosen(&["http://[::1]:8080"], "epicor").unwrap(), ["http://[::1]:8080"]);
        assert_eq!(
            chosen(&["https://erp.example.test"], "epicor").unwrap(),
            ["https://erp.example.test:443"]
        );
        assert_eq!(
            chosen(&["http://proxy.example.test:3128"], PROXY).unwrap(),
            ["http://proxy.example.test:3128"]
        );
        assert!(chosen(&["https://erp.example.test/path"], "epicor").unwrap_err().contains("not an origin"));
        assert!(chosen(&[], "epicor").unwrap_err().contains("--origin"));
    }

    #[test]
    fn kind_and_origins_come_from_the_connections_that_use_the_secret() {
        let text = r#"
            version = 1
            [[connection]]
            id = "erp"
            kind = "epicor"
            url = "https://erp.example.test/site"
            network = { proxy = "http://proxy.example.test:3128", proxy_secret = "way-out" }
            [connection.settings.auth]
            method = "oauth2"
            token_url = "https://login.example.test/connect/token"
        "#;
        let config = purser_proto::parse_toml(text).unwrap();
        let config = purser_proto::validate::validate(&config, &["epicor"]).unwrap();
        let erp = users(&config, "erp");
        assert_eq!(kind(&args(None, &[]), &erp).unwrap(), "epicor");
        let origins = choose(&args(None, &[]), "epicor", &erp).unwrap();
        let origins: Vec<&str> = origins.iter().map(Origin::as_str).collect();
        assert_eq!(origins, ["https://erp.example.test:443", "https://login.example.test:443"]);
        let proxy = users(&config, "way-out");
        assert_eq!(kind(&args(None, &[]), &proxy).unwrap(), PROXY);
        assert_eq!(choose(&args(None, &[]), PROXY, &proxy).unwrap().len(), 1);
        assert!(kind(&args(None, &[]), &users(&config, "other")).is_err());
    }
}
