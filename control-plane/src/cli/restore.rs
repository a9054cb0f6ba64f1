//! `restore FILE`.

use super::open;
use super::output::line;
use crate::clock::{Clock, millis};
use crate::settings::Settings;
use crate::store::Engine;
use crate::store::backup::put_back;
use clap::Args;
use secrecy::ExposeSecret as _;
use std::path::PathBuf;

/// Put a backup in the place of the database. No server may be running on it.
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// A file that `backup` has made.
    file: PathBuf,
    /// Replace a database that holds something; it is kept beside the new one.
    #[arg(long)]
    replace: bool,
}

impl Restore {
    pub(super) async fn run(self, settings: &Settings, clock: &Clock) -> anyhow::Result<()> {
        let url = settings.database.url.expose_secret();
        if Engine::of(url)? == Engine::Postgres {
            anyhow::bail!(
                "nothing was restored: the database is PostgreSQL, which has its own tool. End all nodes and run\n  \
                 pg_restore --clean --if-exists --dbname='{}' {}\nwith the password in ~/.pgpass or PGPASSFILE",
                settings.database.shown(),
                self.file.display()
            );
        }
        let old = put_back(&self.file, url, self.replace, millis(clock)).await?;
        // Opening brings the tables of an older backup to this version.
        open(settings).await?.close().await;
        if let Some(old) = old {
            line(format!("what was there is kept as {}", old.display()));
        }
        line("restored; agents that have a newer configuration than this backup keep it");
        Ok(())
    }
}
