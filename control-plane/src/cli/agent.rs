//! `agent list`, `agent show`, `agent approve`, `agent revoke`, `agent configure`, `agent unfence`.

use super::output::{line, table};
use super::secret::text;
use super::{BY, Context};
use crate::clock::{Millis, millis, timestamp};
use crate::configurations::{ConfigurationError, Configurations, Wanted};
use crate::store::{Connection, agents, lives, reports, revisions, tenants};
use clap::Subcommand;
use std::path::PathBuf;

/// Enrolled agents.
#[derive(Debug, Subcommand)]
pub(super) enum Agent {
    /// A tenant's agents.
    List {
        /// Id or name of the tenant.
        #[arg(long)]
        tenant: String,
    },
    /// One agent: its fingerprint and recipient, how it is, and what somebody should look at.
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
    /// Have an agent work with a configuration, after showing what changes.
    Configure {
        /// Id or name of the tenant.
        #[arg(long)]
        tenant: String,
        /// The agent's id.
        id: String,
        /// The TOML file; `-` = standard input.
        file: PathBuf,
        /// Why; kept with the revision.
        #[arg(long, default_value = "")]
        note: String,
        /// Only show what would change, and what is wrong.
        #[arg(long)]
        plan: bool,
    },
    /// Forget which of two machines with one identity works: the one that speaks next does.
    Unfence {
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
                state_of(&mut connection, &tenant, &id).await?;
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
            Self::Configure { tenant, id, file, note, plan } => {
                let tenant = tenants::find(&mut connection, &tenant).await?.id;
                drop(connection);
                let wanted = Wanted { tenant, agent: id, toml: text(&file)?, by: BY.to_owned(), note };
                configure(context, wanted, plan).await?;
            }
            Self::Unfence { tenant, id } => {
                let tenant = tenants::find(&mut connection, &tenant).await?.id;
                store.write(move |tx| Box::pin(async move { lives::forget(tx, &tenant, &id).await })).await?;
            }
        }
        Ok(())
    }
}

async fn configure(context: &Context, wanted: Wanted, only_plan: bool) -> anyhow::Result<()> {
    let all = Configurations::new(context.store.clone(), context.clock.clone());
    let plan = all.plan(&wanted.tenant, &wanted.agent, &wanted.toml).await?;
    for finding in &plan.findings {
        line(finding.to_string());
    }
    if !plan.findings.is_empty() {
        return Err(ConfigurationError::Refused(plan.findings).into());
    }
    line(if plan.diff.is_empty() { "nothing changes" } else { plan.diff.trim_end() });
    if !only_plan && let Some(made) = all.apply(wanted).await? {
        line(format!("revision {}", made.number));
    }
    Ok(())
}

/// How the agent is, by its latest status and the newest notices.
async fn state_of(connection: &mut Connection, tenant: &str, id: &str) -> anyhow::Result<()> {
    if let Some(newest) = revisions::newest(connection, tenant, id).await? {
        line(format!("{:<12}{} ({})", "newest", newest.number, newest.state));
    }
    if let Some(row) = reports::status(connection, tenant, id).await? {
        for (id, connection) in &row.status.connections {
            let why = connection.why.as_ref().map_or(String::new(), |why| format!(": {why}"));
            line(format!("{:<12}{id} {}{why}", "connection", connection.state));
        }
        for (id, flow) in &row.status.flows {
            line(format!("{:<12}{id} {} {}", "flow", flow.state, flow.last));
        }
    }
    for notice in reports::notices(connection, tenant, Some(id), i64::MAX, 5).await? {
        let at = timestamp(notice.at).to_rfc3339();
        line(format!("{:<12}{at} {} {}: {}", "notice", notice.level, notice.code, notice.what));
    }
    Ok(())
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
