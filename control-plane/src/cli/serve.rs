//! `serve`.

use super::Context;
use super::output::line;
use crate::api::admin::Admin;
use crate::server::{self, Services};
use clap::Args;
use std::net::SocketAddr;

/// Serve until a signal ends it.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Address to listen on; port 0 takes any that is free.
    #[arg(long, env = "PURSER_CONTROL_LISTEN", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// How browsers reach this server: `https://control.example.test`.
    #[arg(long, env = "PURSER_CONTROL_PUBLIC_URL")]
    public_url: Option<url::Url>,
}

impl Serve {
    pub(super) async fn run(self, context: Context) -> anyhow::Result<()> {
        let admin = Admin::new(context.store.clone(), context.clock.clone(), self.public_url, Vec::new())?;
        let services = Services::new(context.store, context.clock).with_admin(admin);
        server::serve(self.listen, services, |address| line(format!("listening on http://{address}")))
            .await?;
        Ok(())
    }
}
