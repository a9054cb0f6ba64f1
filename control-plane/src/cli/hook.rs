//! `hook create`, `hook list`, `hook rotate`, `hook disable`, `hook enable`, `hook delete`. Each change is in the audit log of
//! the admin API. The address of a hook is printed when it is made and never again: it is kept nowhere.

use super::output::{line, table};
use super::{BY, Context, deed};
use crate::clock::{Millis, millis, timestamp};
use crate::store::hooks::{self, Ceilings, NewHook};
use crate::store::{StoreError, Tx, admin_audit, tenants};
use clap::Subcommand;

/// Addresses that senders of webhooks call.
#[derive(Debug, Subcommand)]
pub(super) enum Hook {
    /// Make a hook and print the path that the sender is to call. It is shown this once: only a hash of it is kept.
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
    /// An agent's hooks, by their names.
    List {
        /// Id or name of the tenant.
        #[arg(long)]
        tenant: String,
        /// The agent's id.
        #[arg(long)]
        agent: String,
    },
    /// Give a hook another address and name, and print its new path; the path until now is nobody's. For a path that is lost,
    /// or that somebody has seen.
    Rotate {
        /// Id or name of the tenant.
        #[arg(long)]
        tenant: String,
        /// The hook's name, as `hook list` shows it.
        id: String,
    },
    /// Take nothing by a hook until it is enabled again; senders are told to try later.
    Disable {
        /// Id or name of the tenant.
        #[arg(long)]
        tenant: String,
        /// The hook's name, as `hook list` shows it.
        id: String,
    },
    /// Take webhooks again by a hook that was disabled.
    Enable {
        /// Id or name of the tenant.
        #[arg(long)]
        tenant: String,
        /// The hook's name, as `hook list` shows it.
        id: String,
    },
    /// Take nothing more by a hook; what waits for the agent stays.
    Delete {
        /// Id or name of the tenant.
        #[arg(long)]
        tenant: String,
        /// The hook's name, as `hook list` shows it.
        id: String,
    },
}

impl Hook {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let store = &context.store;
        match self {
            Self::Create { tenant, agent, connection, headers } => {
                let tenant = tenants::find(&mut *store.read().await?, &tenant).await?.id;
                let (ceilings, by) = (Ceilings::default(), BY.to_owned());
                let new = NewHook { tenant, agent, connection, headers, ceilings, by };
                let now = millis(&context.clock);
                let made = store.write(move |tx| {
                    Box::pin(async move {
                        let hook = hooks::create(tx, &new, now).await?;
                        note(tx, &hook.hook, now, "hook.create", of(&hook.hook)).await?;
                        Ok(hook)
                    })
                });
                line(made.await?.path());
            }
            Self::List { tenant, agent } => {
                let mut connection = store.read().await?;
                let tenant = tenants::find(&mut connection, &tenant).await?.id;
                let hooks = hooks::of_agent(&mut connection, &tenant, &agent).await?;
                let rows: Vec<_> = hooks.iter().map(row).collect();
                table(&["CONNECTION", "STATE", "TAKEN", "SENT AWAY", "LAST", "NAME"], &rows);
            }
            Self::Rotate { tenant, id } => {
                let tenant = tenants::find(&mut *store.read().await?, &tenant).await?.id;
                let now = millis(&context.clock);
                let made = store.write(move |tx| {
                    Box::pin(async move {
                        let hook = hooks::rotate(tx, &tenant, &id, BY, now).await?;
                        note(tx, &hook.hook, now, "hook.rotate", format!("before: {id}")).await?;
                        Ok(hook)
                    })
                });
                line(made.await?.path());
            }
            Self::Disable { tenant, id } => change(context, &tenant, id, Change::Disable).await?,
            Self::Enable { tenant, id } => change(context, &tenant, id, Change::Enable).await?,
            Self::Delete { tenant, id } => change(context, &tenant, id, Change::Delete).await?,
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Change {
    Disable,
    Enable,
    Delete,
}

async fn change(context: &Context, tenant: &str, id: String, what: Change) -> anyhow::Result<()> {
    let (store, now) = (&context.store, millis(&context.clock));
    let tenant = tenants::find(&mut *store.read().await?, tenant).await?.id;
    let changed = store.write(move |tx| {
        Box::pin(async move {
            let hook = hooks::of(tx.connection(), &tenant, &id).await?;
            let action = match what {
                Change::Disable => {
                    // Switched off twice, it is off since the first time.
                    let since = hook.disabled_at.or(Some(now));
                    hooks::disable(tx, &tenant, &id, since).await?;
                    "hook.disable"
                }
                Change::Enable => {
                    hooks::disable(tx, &tenant, &id, None).await?;
                    "hook.enable"
                }
                Change::Delete => {
                    hooks::delete(tx, &tenant, &id, now).await?;
                    "hook.remove"
                }
            };
            note(tx, &hook, now, action, of(&hook)).await
        })
    });
    Ok(changed.await?)
}

fn of(hook: &hooks::Hook) -> String {
    format!("{} of agent {}", hook.connection, hook.agent)
}

async fn note(
    tx: &mut Tx,
    hook: &hooks::Hook,
    now: Millis,
    action: &str,
    detail: String,
) -> Result<(), StoreError> {
    admin_audit::append(tx.connection(), &deed(&hook.tenant, now, action, &hook.id, detail)).await?;
    Ok(())
}

fn row(hook: &hooks::Hook) -> Vec<String> {
    let last = hook.last_at.map_or_else(|| "never".to_owned(), |at| timestamp(at).to_rfc3339());
    let state = if hook.disabled_at.is_some() { "off" } else { "on" };
    vec![
        hook.connection.clone(),
        state.to_owned(),
        hook.received.to_string(),
        hook.refused.to_string(),
        last,
        hook.id.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::testing::Plane;

    #[tokio::test]
    async fn each_change_of_a_hook_is_in_the_audit_log() {
        let folder = tempfile::tempdir().unwrap();
        let database = format!("sqlite:{}/control.db", folder.path().display());
        let plane = Plane::start(&database, Clock::system()).await;
        let tenant = plane.tenant("example").await;
        let agent = plane.agent(&tenant).await.id;
        let store = plane.services.store.clone();
        let context = Context { store: store.clone(), clock: Clock::system() };
        let only = async || {
            let all = hooks::of_agent(&mut store.read().await.unwrap(), &tenant, &agent).await.unwrap();
            all.into_iter().next()
        };
        let create = Hook::Create {
            tenant: tenant.clone(),
            agent: agent.clone(),
            connection: "cards".into(),
            headers: Vec::new(),
        };
        create.run(&context).await.unwrap();
        let made = only().await.unwrap();
        let (tenant_of, id) = (|| tenant.clone(), || made.id.clone());
        Hook::Disable { tenant: tenant_of(), id: id() }.run(&context).await.unwrap();
        let since = only().await.unwrap().disabled_at;
        Hook::Disable { tenant: tenant_of(), id: id() }.run(&context).await.unwrap();
        assert!(since.is_some() && only().await.unwrap().disabled_at == since, "off since the first time");
        Hook::Enable { tenant: tenant_of(), id: id() }.run(&context).await.unwrap();
        assert_eq!(only().await.unwrap().disabled_at, None);
        Hook::Rotate { tenant: tenant_of(), id: id() }.run(&context).await.unwrap();
        let rotated = only().await.unwrap();
        assert!(rotated.id != made.id && rotated.connection == made.connection, "{rotated:?}");
        assert!(
            Hook::Disable { tenant: tenant_of(), id: id() }.run(&context).await.is_err(),
            "the one before"
        );
        Hook::Delete { tenant: tenant_of(), id: rotated.id.clone() }.run(&context).await.unwrap();
        assert_eq!(only().await, None);
        let log = admin_audit::list(&mut store.read().await.unwrap(), &tenant, i64::MAX, 100).await.unwrap();
        let deeds: Vec<(&str, &str)> =
            log.iter().rev().map(|entry| (entry.deed.action.as_str(), entry.deed.target.as_str())).collect();
        let (before, after) = (made.id.as_str(), rotated.id.as_str());
        let wanted = [
            ("hook.create", before),
            ("hook.disable", before),
            ("hook.disable", before),
            ("hook.enable", before),
            ("hook.rotate", after),
            ("hook.remove", after),
        ];
        assert_eq!(deeds, wanted);
        assert!(log.iter().all(|entry| entry.deed.who_id == "cli"));
        plane.stop().await;
    }
}
