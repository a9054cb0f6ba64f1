//! `code create`, `code list`, `code revoke`.

use super::output::{line, table};
use super::{BY, Context};
use crate::clock::{Millis, millis, timestamp};
use crate::store::codes::{self, DEFAULT_MINUTES, NewCode};
use crate::store::tenants;
use clap::Subcommand;
use secrecy::ExposeSecret as _;

/// One-time codes by which agents enroll.
#[derive(Debug, Subcommand)]
pub(super) enum Code {
    /// Make a code and print it; it is kept nowhere and not shown again.
    Create {
        /// Whose agent it makes: id or name of the tenant.
        #[arg(long)]
        tenant: String,
        /// For how many minutes it can be used.
        #[arg(long, default_value_t = DEFAULT_MINUTES)]
        minutes: u32,
        /// Have a person compare the fingerprint before the link carries anything.
        #[arg(long)]
        approve: bool,
        /// What the agent will be called; otherwise as its machine calls itself.
        #[arg(long, default_value = "")]
        name: String,
    },
    /// A tenant's codes, without what makes them usable.
    List {
        /// Id or name of the tenant.
        #[arg(long)]
        tenant: String,
    },
    /// Make a code useless.
    Revoke {
        /// Id or name of the tenant.
        #[arg(long)]
        tenant: String,
        /// The code's id, as `list` shows it.
        id: String,
    },
}

impl Code {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let now = millis(&context.clock);
        let store = &context.store;
        match self {
            Self::Create { tenant, minutes, approve, name } => {
                let tenant = tenants::find(&mut *store.read().await?, &tenant).await?.id;
                let new = NewCode { tenant, name, approve, by: BY.to_owned(), minutes };
                let op = store.write(move |tx| Box::pin(async move { codes::create(tx, &new, now).await }));
                line(op.await?.0.expose_secret());
            }
            Self::List { tenant } => {
                let mut connection = store.read().await?;
                let tenant = tenants::find(&mut connection, &tenant).await?.id;
                let codes = codes::of_tenant(&mut connection, &tenant).await?;
                let rows: Vec<_> = codes.iter().map(|code| row(code, now)).collect();
                table(&["ID", "FOR", "APPROVAL", "EXPIRES", "STATE"], &rows);
            }
            Self::Revoke { tenant, id } => {
                let tenant = tenants::find(&mut *store.read().await?, &tenant).await?.id;
                store
                    .write(move |tx| Box::pin(async move { codes::revoke(tx, &tenant, &id, now).await }))
                    .await?;
            }
        }
        Ok(())
    }
}

fn row(code: &codes::Code, now: Millis) -> Vec<String> {
    let state = match (&code.agent, code.revoked_at) {
        (Some(agent), _) => format!("made {agent}"),
        (None, Some(_)) => "revoked".to_owned(),
        (None, None) if code.expires_at <= now => "expired".to_owned(),
        (None, None) => "waits".to_owned(),
    };
    let approval = if code.approve { "by a person" } else { "none" };
    let expires = timestamp(code.expires_at).to_rfc3339();
    vec![code.id.clone(), code.name.clone(), approval.to_owned(), expires, state]
}
