//! `tenant create`, `tenant list`.

use super::Context;
use super::output::{line, table};
use crate::clock::{millis, timestamp};
use crate::store::tenants;
use clap::Subcommand;

/// Whose agents these are.
#[derive(Debug, Subcommand)]
pub(super) enum Tenant {
    /// Make a tenant and print its id.
    Create {
        /// What people call it.
        name: String,
    },
    /// All tenants.
    List,
}

impl Tenant {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::Create { name } => {
                let now = millis(&context.clock);
                let made = context
                    .store
                    .write(move |tx| Box::pin(async move { tenants::create(tx, &name, now).await }))
                    .await?;
                line(made.id);
            }
            Self::List => {
                let tenants = tenants::all(&mut *context.store.read().await?).await?;
                let row = |t: &tenants::Tenant| {
                    vec![t.id.clone(), t.name.clone(), timestamp(t.created_at).to_rfc3339()]
                };
                table(&["ID", "NAME", "SINCE"], &tenants.iter().map(row).collect::<Vec<_>>());
            }
        }
        Ok(())
    }
}
