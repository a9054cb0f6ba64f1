//! `command send`, `command list`.

use super::output::{line, table};
use super::{BY, Context};
use crate::clock::{millis, timestamp};
use crate::store::commands::{self, CommandRow, NewCommand};
use crate::store::tenants;
use clap::{Args, Subcommand};
use purser_proto::link::command::Verb;

/// Longest time for which a command is obeyed, in minutes: a week.
const MOST_MINUTES: u32 = 7 * 24 * 60;

/// What agents are asked to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Ask an agent to do something, within what its machine's guard rails allow.
    Send {
        #[command(flatten)]
        to: To,
        #[command(subcommand)]
        verb: Asked,
    },
    /// What was asked of an agent, and what came of it.
    List {
        /// Id or name of the tenant.
        #[arg(long)]
        tenant: String,
        /// The agent's id.
        #[arg(long)]
        agent: String,
    },
}

/// Whom, why and until when.
#[derive(Debug, Args)]
pub(super) struct To {
    /// Id or name of the tenant.
    #[arg(long)]
    tenant: String,
    /// The agent's id.
    #[arg(long)]
    agent: String,
    /// Why; kept on both sides.
    #[arg(long)]
    reason: String,
    /// For how many minutes it is obeyed.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_MINUTES)))]
    minutes: u32,
}

/// What is asked.
#[derive(Debug, Subcommand)]
pub(super) enum Asked {
    /// Run a flow now.
    Run { flow: String },
    /// Show what a run would do.
    Preview { flow: String },
    /// Stop a flow's schedule and retries.
    Pause { flow: String },
    /// Continue them.
    Resume { flow: String },
    /// Replay a held posting.
    Replay { flow: String, posting: String },
    /// Close a held posting.
    Handle { flow: String, posting: String },
    /// Have a connection's checks made.
    TestConnection { connection: String },
    /// Run a reference flow now.
    RefreshReference { flow: String },
    /// Gather what a person needs to find a fault.
    Diagnostics,
    /// Make new keys.
    RotateKeys,
}

impl From<Asked> for Verb {
    fn from(asked: Asked) -> Self {
        match asked {
            Asked::Run { flow } => Self::Run { flow: flow.into() },
            Asked::Preview { flow } => Self::Preview { flow: flow.into() },
            Asked::Pause { flow } => Self::Pause { flow: flow.into() },
            Asked::Resume { flow } => Self::Resume { flow: flow.into() },
            Asked::Replay { flow, posting } => Self::Replay { flow: flow.into(), posting: posting.into() },
            Asked::Handle { flow, posting } => Self::Handle { flow: flow.into(), posting: posting.into() },
            Asked::TestConnection { connection } => Self::TestConnection { connection: connection.into() },
            Asked::RefreshReference { flow } => Self::RefreshReference { flow: flow.into() },
            Asked::Diagnostics => Self::Diagnostics,
            Asked::RotateKeys => Self::RotateKeys,
        }
    }
}

impl Command {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let now = millis(&context.clock);
        let store = &context.store;
        match self {
            Self::Send { to, verb } => {
                let new = NewCommand {
                    tenant: tenants::find(&mut *store.read().await?, &to.tenant).await?.id,
                    agent: to.agent,
                    verb: verb.into(),
                    by: BY.to_owned(),
                    reason: to.reason,
                    expires_at: now + i64::from(to.minutes) * 60_000,
                };
                let sent =
                    store.write(move |tx| Box::pin(async move { commands::create(tx, &new, now).await }));
                line(sent.await?);
            }
            Self::List { tenant, agent } => {
                let mut connection = store.read().await?;
                let tenant = tenants::find(&mut connection, &tenant).await?.id;
                let all = commands::of_agent(&mut connection, &tenant, &agent, i64::MAX, 100).await?;
                let rows: Vec<_> = all.into_iter().map(row).collect();
                table(&["ID", "WHAT", "BY", "WHY", "WHEN", "STATE", "WORDS"], &rows);
            }
        }
        Ok(())
    }
}

fn row(command: CommandRow) -> Vec<String> {
    let at = timestamp(command.created_at).to_rfc3339();
    let CommandRow { id, word, author, reason, state, words, .. } = command;
    vec![id, word, author, reason, at, state, words]
}
