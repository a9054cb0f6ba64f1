//! `user create`: the first owner, and whoever is locked out. Passwords come from a prompt or from standard input, never
//! as an argument, which other people of the machine could read.

use super::Context;
use super::output::line;
use crate::accounts::people::Newcomer;
use crate::accounts::roles::Role;
use crate::accounts::service::Accounts;
use crate::store::tenants;
use crate::store::users::FLEET;
use anyhow::{Context as _, bail};
use clap::Subcommand;
use secrecy::{ExposeSecret as _, SecretString};
use std::io::Read as _;

/// Longest text that is read as a password, in bytes.
const LONGEST: u64 = 4096;

/// People who use the admin API.
#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// Create somebody; asks for their password.
    Create {
        /// Id or name of the tenant; `*` is the fleet.
        #[arg(long)]
        tenant: String,
        /// E-mail address to log in with.
        #[arg(long)]
        email: String,
        /// What people call them.
        #[arg(long, default_value = "")]
        name: String,
        /// owner, operator, finance, viewer or auditor.
        #[arg(long, default_value = "owner")]
        role: Role,
        /// Read the password from standard input.
        #[arg(long)]
        password_stdin: bool,
        /// No password: they log in at an identity provider.
        #[arg(long, conflicts_with = "password_stdin")]
        no_password: bool,
    },
}

impl User {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let Self::Create { tenant, email, name, role, password_stdin, no_password } = self;
        let tenant = match tenant.as_str() {
            FLEET => tenant,
            other => tenants::find(&mut *context.store.read().await?, other).await?.id,
        };
        if !email.contains('@') {
            bail!("`{email}` is no e-mail address; people log in with one");
        }
        let password = if no_password { None } else { Some(password(password_stdin)?) };
        let accounts = Accounts::new(context.store.clone(), context.clock.clone(), Vec::new())?;
        let by = super::BY.to_owned();
        let id = accounts.create_from_host(Newcomer { tenant, email, name, role, password, by }).await?;
        line(id);
        Ok(())
    }
}

fn password(from_stdin: bool) -> anyhow::Result<SecretString> {
    if from_stdin {
        let mut text = String::new();
        std::io::stdin().take(LONGEST).read_to_string(&mut text).context("the password cannot be read")?;
        return Ok(text.trim_end_matches(['\r', '\n']).to_owned().into());
    }
    let ask = |words| {
        let typed = rpassword::prompt_password(words);
        typed.map(SecretString::from).context("no terminal to ask at; use --password-stdin")
    };
    let password = ask("Password (15 characters or more are advised): ")?;
    if ask("Again: ")?.expose_secret() != password.expose_secret() {
        bail!("the two passwords differ; nothing was created");
    }
    Ok(password)
}
