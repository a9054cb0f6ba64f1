//! The command line: one file per noun. What changes the database opens it directly, also beside a running server, which
//! notices within a second.

mod agent;
mod backup;
mod code;
mod command;
pub mod config;
mod hook;
mod openapi;
mod output;
mod restore;
mod secret;
mod serve;
mod tenant;
mod user;

pub use output::told;

use crate::clock::{Clock, Millis};
use crate::settings::{self, Layers, Settings};
use crate::store::admin_audit::Deed;
use crate::store::{Store, StoreError};
use anyhow::Context as _;
use clap::{Parser, Subcommand};
use secrecy::ExposeSecret as _;
use std::path::{Path, PathBuf};

/// Purser's hosted side: configuration, status and webhooks for agents. Agents work without it.
#[derive(Debug, Parser)]
#[command(name = "purser-control", version)]
pub struct Cli {
    /// Settings file; without it `purser-control.toml` in this folder, if there is one.
    #[arg(long, global = true, env = "PURSER_CONTROL_SETTINGS", value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Database: `sqlite:FILE` or `postgres://USER@HOST/NAME` [env: PURSER_CONTROL_DATABASE=] [default:
    /// sqlite:control.db].
    #[arg(long, global = true, value_name = "URL")]
    database: Option<String>,
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
    /// Copy the database into a file, also beside a running server.
    Backup(backup::Backup),
    /// Put a backup in the place of the database.
    Restore(restore::Restore),
    /// What agents are asked to do.
    #[command(subcommand)]
    Command(command::Command),
    /// Addresses that senders of webhooks call.
    #[command(subcommand)]
    Hook(hook::Hook),
    /// Sealed secrets for agents.
    #[command(subcommand)]
    Secret(secret::Secret),
    /// People who use the admin API.
    #[command(subcommand)]
    User(user::User),
    /// Configurations out of a repository, by way of a running control plane.
    #[command(subcommand)]
    Config(config::Config),
    /// Print the document that describes the admin API.
    Openapi,
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
        // These need neither settings nor a database.
        let noun = match self.noun {
            Noun::Config(config) => return config.run().await,
            Noun::Openapi => {
                openapi::run();
                return Ok(());
            }
            other => other,
        };
        let mut flags = Vec::new();
        if let Some(database) = self.database {
            flags.push(("database.url", database));
        }
        if let Noun::Serve(serve) = &noun {
            flags.extend(serve.flags());
        }
        let settings = settings(self.settings.as_deref(), flags)?;
        let clock = Clock::system();
        let noun = match noun {
            Noun::Serve(serve) => return serve.run(settings, clock).await,
            Noun::Backup(backup) => return backup.run(&settings, &clock).await,
            Noun::Restore(restore) => return restore.run(&settings, &clock).await,
            other => other,
        };
        let context = Context { store: open(&settings).await?, clock };
        match noun {
            Noun::Serve(_) | Noun::Backup(_) | Noun::Restore(_) | Noun::Config(_) | Noun::Openapi => {}
            Noun::Tenant(tenant) => tenant.run(&context).await?,
            Noun::Code(code) => code.run(&context).await?,
            Noun::Agent(agent) => agent.run(&context).await?,
            Noun::Command(command) => command.run(&context).await?,
            Noun::Hook(hook) => hook.run(&context).await?,
            Noun::Secret(secret) => secret.run(&context).await?,
            Noun::User(user) => user.run(&context).await?,
        }
        context.store.close().await;
        Ok(())
    }
}

/// The settings: the file, over it the environment, over that the flags.
fn settings(file: Option<&Path>, flags: Vec<(&str, String)>) -> anyhow::Result<Settings> {
    let mut layers = Layers::default();
    let path = file.unwrap_or_else(|| Path::new(settings::FILE));
    match std::fs::read_to_string(path) {
        Ok(text) => layers = layers.file(path, &text),
        Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            let fix = "check that it exists and may be read";
            return Err(error)
                .with_context(|| format!("cannot read the settings in {}; {fix}", path.display()));
        }
    }
    Ok(Settings::read(layers.environment(|name| std::env::var(name).ok()).flags(flags))?)
}

/// Opens the database of the settings.
async fn open(settings: &Settings) -> Result<Store, StoreError> {
    Store::open(settings.database.url.expose_secret()).await
}

/// Who did it, where no person is known: whoever may use this machine's database.
const BY: &str = "command line";

/// An entry of the admin audit log for what is done here.
fn deed(tenant: &str, at: Millis, action: &str, target: &str, detail: String) -> Deed {
    Deed {
        tenant: tenant.to_owned(),
        at,
        who: "the command line of the server".to_owned(),
        who_id: "cli".to_owned(),
        action: action.to_owned(),
        target: target.to_owned(),
        detail,
        request: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_setting_can_be_given_to_serve_beside_a_settings_file() {
        let words = ["purser-control", "--settings", "a.toml", "serve", "--set", "limits.connections=50000"];
        let cli = Cli::try_parse_from(words).unwrap();
        assert_eq!(cli.settings.as_deref(), Some(Path::new("a.toml")));
        let Noun::Serve(serve) = cli.noun else { panic!("another noun") };
        assert_eq!(serve.flags(), [("limits.connections", "50000".to_owned())]);
    }
}
