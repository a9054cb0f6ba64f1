//! The command line: one file per noun. What changes the database opens it directly, also beside a running server, which
//! notices within a second.

mod agent;
mod code;
mod command;
mod hook;
mod output;
mod secret;
mod serve;
mod tenant;

use crate::clock::Clock;
use crate::store::Store;
use clap::{Parser, Subcommand};

/// Purser's hosted side: configuration, status and webhooks for agents. Agents work without it.
#[derive(Debug, Parser)]
#[command(name = "purser-control", version)]
pub struct Cli {
    /// Database: `sqlite:FILE` or `postgres://USER@HOST/NAME`.
    #[arg(
        long,
        global = true,
        env = "PURSER_CONTROL_DATABASE",
        hide_env_values = true,
        default_value = "sqlite:control.db"
    )]
    database: String,
    #[command(subcommand)]
    noun: Noun,
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// Serve until a signal ends it.
    Serve(serve::Serve),
    /// Whose agents these are.
    #[command(subcommand)]
    Tenant(tenant::Tenant),
    /// One-time codes by which agents enroll.
    #[command(subcommand)]
    Code(code::Code),
    /// Enrolled agents.
    #[command(subcommand)]
    Agent(agent::Agent),
    /// What agents are asked to do.
    #[command(subcommand)]
    Command(command::Command),
    /// Addresses that senders of webhooks call.
    #[command(subcommand)]
    Hook(hook::Hook),
    /// Sealed secrets for agents.
    #[command(subcommand)]
    Secret(secret::Secret),
}

/// What the verbs share.
struct Context {
    store: Store,
    clock: Clock,
}

impl Cli {
    /// Does what was asked.
    ///
    /// # Errors
    /// In words for the person who asked.
    pub async fn run(self) -> anyhow::Result<()> {
        let context = Context { store: Store::open(&self.database).await?, clock: Clock::system() };
        match self.noun {
            Noun::Serve(serve) => return serve.run(context).await,
            Noun::Tenant(tenant) => tenant.run(&context).await?,
            Noun::Code(code) => code.run(&context).await?,
            Noun::Agent(agent) => agent.run(&context).await?,
            Noun::Command(command) => command.run(&context).await?,
            Noun::Hook(hook) => hook.run(&context).await?,
            Noun::Secret(secret) => secret.run(&context).await?,
        }
        context.store.close().await;
        Ok(())
    }
}

/// Who did it, where no person is known: whoever may use this machine's database.
const BY: &str = "command line";
