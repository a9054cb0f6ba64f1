//! `agent list`, `agent show`, `agent approve`, `agent revoke`.

use super::output::{line, table};
use super::{BY, Context};
use crate::clock::{Millis, millis, timestamp};
use crate::store::{agents, tenants};
use clap::Subcommand;

/// Enrolled agents.
#[derive(Debug, Subcommand)]
pub(super) enum Agent {
    /// A tenant's agents.
    List {
        /// Id or name of the tenant.
        #[arg(long)]
        tenant: String,
    },
    /// One agent: its fingerprint and recipient.
    Show {
        /// Id or name of the tenant.
        #[arg(long)]
        tenant: String,
        /// The agent's id.
        id: String,
    },
    /// Let the link carry something: the fingerprint is the one that the machine shows.
    Approve {
        /// Id or name of the tenant.
        #[arg(long)]
        tenant: String,
        /// The agent's id.
        id: String,
    },
    /// End an agent's identity; it is refused at once.
    Revoke {
        /// Id or name of the tenant.
        #[arg(long)]
        tenant: String,
        /// The agent's id.
        id: String,
    },
}

impl Agent {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let now = millis(&context.clock);
        let store = &context.store;
        let mut connection = store.read().await?;
        match self {
            Self::List { tenant } => {
                let tenant = tenants::find(&mut connection, &tenant).await?.id;
                let agents = agents::of_tenant(&mut connection, &tenant, "", 100_000).await?;
                table(&["ID", "NAME", "STATE", "LAST SEEN"], &agents.iter().map(row).collect::<Vec<_>>());
            }
            Self::Show { tenant, id } => {
                let tenant = tenants::find(&mut connection, &tenant).await?.id;
                show(&agents::of(&mut connection, &tenant, &id).await?);
            }
            Self::Approve { tenant, id } => {
                let tenant = tenants::find(&mut connection, &tenant).await?.id;
                let op = store.write(move |tx| {
                    Box::pin(async move { agents::approve(tx, &tenant, &id, BY, now).await })
                });
                op.await?;
            }
            Self::Revoke { tenant, id } => {
                let tenant = tenants::find(&mut connection, &tenant).await?.id;
                let op = store.write(move |tx| {
                    Box::pin(async move { agents::revoke(tx, &tenant, &id, BY, now).await })
                });
                op.await?;
            }
        }
        Ok(())
    }
}

fn show(agent: &agents::Agent) {
    for (name, value) in [
        ("id", agent.id.clone()),
        ("name", agent.name.clone()),
        ("host", format!("{} ({})", agent.host, agent.platform)),
        ("version", agent.agent_version.clone()),
        ("state", state(agent).to_owned()),
        ("fingerprint", agent.fingerprint.clone()),
        ("recipient", agent.recipient.clone()),
        ("enrolled", shown(Some(agent.enrolled_at))),
        ("last seen", shown(agent.last_seen)),
        ("revision", agent.in_force.to_string()),
    ] {
        line(format!("{name:<12}{value}"));
    }
}

fn row(agent: &agents::Agent) -> Vec<String> {
    vec![agent.id.clone(), agent.name.clone(), state(agent).to_owned(), shown(agent.last_seen)]
}

fn state(agent: &agents::Agent) -> &'static str {
    match (agent.revoked_at, agent.approved_at) {
        (Some(_), _) => "revoked",
        (None, None) => "waits for approval",
        (None, Some(_)) => "enrolled",
    }
}

fn shown(at: Option<Millis>) -> String {
    at.map_or_else(|| "never".to_owned(), |at| timestamp(at).to_rfc3339())
}
