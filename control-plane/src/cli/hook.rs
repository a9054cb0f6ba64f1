//! `hook create`, `hook list`, `hook delete`.

use super::output::{line, table};
use super::{BY, Context};
use crate::clock::{millis, timestamp};
use crate::store::hooks::{self, Ceilings, NewHook};
use crate::store::tenants;
use clap::Subcommand;

/// Addresses that senders of webhooks call.
#[derive(Debug, Subcommand)]
pub(super) enum Hook {
    /// Make a hook and print the path that the sender is to call.
    Create {
        /// Id or name of the tenant.
        #[arg(long)]
        tenant: String,
        /// The agent's id.
        #[arg(long)]
        agent: String,
        /// The agent's connection that the webhooks are for.
        #[arg(long)]
        connection: String,
        /// A header that the agent needs beside `svix-*`, `webhook-*`, `concur-*` and the content type; can be repeated.
        #[arg(long = "header", value_name = "NAME")]
        headers: Vec<String>,
    },
    /// An agent's hooks.
    List {
        /// Id or name of the tenant.
        #[arg(long)]
        tenant: String,
        /// The agent's id.
        #[arg(long)]
        agent: String,
    },
    /// Take nothing more by a hook; what waits for the agent stays.
    Delete {
        /// Id or name of the tenant.
        #[arg(long)]
        tenant: String,
        /// The end of the hook's path.
        id: String,
    },
}

impl Hook {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let now = millis(&context.clock);
        let store = &context.store;
        match self {
            Self::Create { tenant, agent, connection, headers } => {
                let tenant = tenants::find(&mut *store.read().await?, &tenant).await?.id;
                let (ceilings, by) = (Ceilings::default(), BY.to_owned());
                let new = NewHook { tenant, agent, connection, headers, ceilings, by };
                let made = store.write(move |tx| Box::pin(async move { hooks::create(tx, &new, now).await }));
                line(format!("/hooks/{}", made.await?.id));
            }
            Self::List { tenant, agent } => {
                let mut connection = store.read().await?;
                let tenant = tenants::find(&mut connection, &tenant).await?.id;
                let hooks = hooks::of_agent(&mut connection, &tenant, &agent).await?;
                let rows: Vec<_> = hooks.iter().map(row).collect();
                table(&["CONNECTION", "TAKEN", "SENT AWAY", "LAST", "PATH"], &rows);
            }
            Self::Delete { tenant, id } => {
                let tenant = tenants::find(&mut *store.read().await?, &tenant).await?.id;
                store
                    .write(move |tx| Box::pin(async move { hooks::delete(tx, &tenant, &id, now).await }))
                    .await?;
            }
        }
        Ok(())
    }
}

fn row(hook: &hooks::Hook) -> Vec<String> {
    let last = hook.last_at.map_or_else(|| "never".to_owned(), |at| timestamp(at).to_rfc3339());
    let path = format!("/hooks/{}", hook.id);
    vec![hook.connection.clone(), hook.received.to_string(), hook.refused.to_string(), last, path]
}
