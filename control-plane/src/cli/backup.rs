//! `backup FILE`.

use super::output::line;
use crate::clock::Clock;
use crate::settings::Settings;
use crate::store::Engine;
use crate::store::backup::copy;
use clap::Args;
use secrecy::ExposeSecret as _;
use std::path::PathBuf;

/// Copy the database into a file, also beside a running server.
#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The copy; must not exist.
    file: PathBuf,
}

impl Backup {
    pub(super) async fn run(self, settings: &Settings, _clock: &Clock) -> anyhow::Result<()> {
        let url = settings.database.url.expose_secret();
        if Engine::of(url)? == Engine::Postgres {
            anyhow::bail!(
                "nothing was copied: the database is PostgreSQL, which has its own tool. Run\n  pg_dump --format=custom \
                 --file={} '{}'\nwith the password in ~/.pgpass or PGPASSFILE, and keep alerts.key apart from it",
                self.file.display(),
                settings.database.shown()
            );
        }
        let bytes = copy(url, &self.file).await?;
        line(format!("{}: {bytes} bytes, looked through", self.file.display()));
        Ok(())
    }
}
