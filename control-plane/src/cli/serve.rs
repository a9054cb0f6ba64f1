//! `serve`.

use super::Context;
use super::output::line;
use crate::server::{self, Services};
use clap::Args;
use std::net::SocketAddr;

/// Serve until a signal ends it.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Address to listen on; port 0 takes any that is free.
    #[arg(long, env = "PURSER_CONTROL_LISTEN", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
}

impl Serve {
    pub(super) async fn run(self, context: Context) -> anyhow::Result<()> {
        let services = Services::new(context.store, context.clock);
        server::serve(self.listen, services, |address| line(format!("listening on http://{address}")))
            .await?;
        Ok(())
    }
}
