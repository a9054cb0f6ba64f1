//! `secret send`, `secret list`. What is sent was sealed before, with `purser seal`; nobody here can open it.

use super::output::{line, table};
use super::{BY, Context};
use crate::clock::{millis, timestamp};
use crate::store::sealed::{self, NewSecret};
use crate::store::tenants;
use anyhow::Context as _;
use clap::Subcommand;
use std::path::PathBuf;

/// The longest text that is read: far longer than any that is taken.
const LONGEST: u64 = 1 << 20;

/// Sealed secrets for agents.
#[derive(Debug, Subcommand)]
pub(super) enum Secret {
    /// Send a sealed secret to an agent: what `purser seal` printed.
    Send {
        /// Id or name of the tenant.
        #[arg(long)]
        tenant: String,
        /// The agent's id.
        #[arg(long)]
        agent: String,
        /// What people call it; what counts is inside.
        #[arg(long)]
        name: String,
        /// The file that `purser seal` wrote; `-` = standard input.
        file: PathBuf,
    },
    /// What became of an agent's secrets.
    List {
        /// Id or name of the tenant.
        #[arg(long)]
        tenant: String,
        /// The agent's id.
        #[arg(long)]
        agent: String,
    },
}

impl Secret {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let now = millis(&context.clock);
        let store = &context.store;
        match self {
            Self::Send { tenant, agent, name, file } => {
                let tenant = tenants::find(&mut *store.read().await?, &tenant).await?.id;
                let armored = text(&file)?;
                let new = NewSecret { tenant, agent, name, armored, by: BY.to_owned() };
                line(store.write(move |tx| Box::pin(sealed::hand_in(tx, new, now))).await?);
            }
            Self::List { tenant, agent } => {
                let mut connection = store.read().await?;
                let tenant = tenants::find(&mut connection, &tenant).await?.id;
                let secrets = sealed::of_agent(&mut connection, &tenant, &agent).await?;
                let rows: Vec<_> = secrets.into_iter().map(row).collect();
                table(&["NAME", "STATE", "SENT", "BY", "WHY"], &rows);
            }
        }
        Ok(())
    }
}

/// What a file or standard input holds.
pub(super) fn text(file: &std::path::Path) -> anyhow::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin().take(LONGEST).read_to_string(&mut text)
    } else {
        let opened =
            std::fs::File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
        opened.take(LONGEST).read_to_string(&mut text)
    };
    read.with_context(|| format!("{} cannot be read as text", file.display()))?;
    Ok(text)
}

fn row(secret: sealed::SecretRow) -> Vec<String> {
    let sent = timestamp(secret.created_at).to_rfc3339();
    vec![secret.name, secret.state, sent, secret.author, secret.refused.unwrap_or_default()]
}
