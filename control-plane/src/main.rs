//! The control plane's binary.

use clap::Parser;
use std::net::SocketAddr;

/// Purser control plane. This release answers health checks only; agents run without it.
#[derive(Debug, Parser)]
#[command(name = "purser-control", version)]
enum Cli {
    /// Serve until a signal ends it.
    Serve {
        /// Address to listen on.
        #[arg(long, env = "PURSER_CONTROL_LISTEN", default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
    },
}

#[actix_web::main]
#[expect(clippy::print_stderr, reason = "the address is told to the person who started it")]
async fn main() -> anyhow::Result<()> {
    let Cli::Serve { listen } = Cli::parse();
    purser_control::serve(listen, |address| eprintln!("listening on http://{address}/healthz"))
        .await
        .map_err(|error| anyhow::anyhow!("cannot listen on {listen}: {error}; choose another --listen"))
}
