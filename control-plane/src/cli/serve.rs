//! `serve`.

use super::open;
use super::output::line;
use crate::accounts::oidc::ProviderSettings;
use crate::api::admin::Admin;
use crate::clock::Clock;
use crate::server::{self, Addresses, Services};
use crate::settings::{Oidc, Settings};
use clap::Args;
use std::net::SocketAddr;

/// Serve until a signal ends it.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Address to listen on; port 0 takes any that is free [env: PURSER_CONTROL_LISTEN=] [default: 127.0.0.1:8443].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// PEM file of the certificate; without one HTTP is spoken in the clear.
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<String>,
    /// PEM file of its key.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<String>,
    /// Address where `/metrics` is answered.
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// How browsers reach this server: `https://control.example.test` [env: PURSER_CONTROL_PUBLIC_URL=].
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Any other setting, such as `--set limits.connections=50000`.
    #[arg(long, value_name = "SETTING=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) => Ok((name.trim().to_owned(), value.to_owned())),
        None => Err("write SETTING=VALUE".to_owned()),
    }
}

impl Serve {
    /// The settings that flags give.
    pub(super) fn flags(&self) -> Vec<(&str, String)> {
        let mut flags: Vec<(&str, String)> =
            self.set.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let mut add = |name, value: Option<String>| flags.extend(value.map(|value| (name, value)));
        add("server.listen", self.listen.map(|address| address.to_string()));
        add("server.public_url", self.public_url.clone());
        add("tls.certificate", self.certificate.clone());
        add("tls.key", self.key.clone());
        add("metrics.listen", self.metrics.map(|address| address.to_string()));
        flags
    }

    pub(super) async fn run(self, settings: Settings, clock: Clock) -> anyhow::Result<()> {
        server::log::begin(&settings.log)?;
        let store = open(&settings).await?;
        let providers = settings.oidc.as_ref().map(provider).into_iter().collect();
        let public_url = settings.server.public_url.clone();
        let admin = Admin::new(store.clone(), clock.clone(), public_url, providers)?;
        let services = Services::with(store, clock, settings);
        let admin = admin.with_notify(services.notify()?);
        server::serve(services.with_admin(admin), announce).await?;
        Ok(())
    }
}

fn provider(settings: &Oidc) -> ProviderSettings {
    let Oidc { id, name, tenant, issuer, client_id, client_secret } = settings.clone();
    ProviderSettings { id, name, tenant, issuer, client_id, client_secret }
}

fn announce(addresses: Addresses) {
    let scheme = if addresses.tls { "https" } else { "http" };
    line(format!("listening on {scheme}://{}", addresses.main));
    if let Some(metrics) = addresses.metrics {
        line(format!("figures on http://{metrics}/metrics"));
    }
}
