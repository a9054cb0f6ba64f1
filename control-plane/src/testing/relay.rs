//! A way to a PostgreSQL server that can fall silent, as one over a firewall that forgets does: nothing is closed, and
//! nothing arrives any more.

use super::Postgres;
use std::path::PathBuf;
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A relay. It closes, and so does what goes through it, when this goes.
pub struct Relay {
    from: String,
    to: String,
    silenced: watch::Sender<u64>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// Before a server; one per server.
    pub fn open(server: &Postgres) -> Self {
        const NAME: &str = ".s.PGSQL.5432";
        let folder: PathBuf = server.folder().join("relay");
        std::fs::create_dir(&folder).expect("a folder");
        let listener = UnixListener::bind(folder.join(NAME)).expect("a socket");
        let inside = server.folder().join(NAME);
        let (silenced, silences) = watch::channel(0);
        let accepting = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((mut outside, _)) = listener.accept().await {
                let (inside, mut silences) = (inside.clone(), silences.clone());
                silences.mark_unchanged();
                open.spawn(async move {
                    let mut inside = UnixStream::connect(inside).await.expect("the server's socket");
                    tokio::select! {
                        // Either side may cut it.
                        ended = copy_bidirectional(&mut outside, &mut inside) => drop(ended),
                        Ok(()) = silences.changed() => std::future::pending().await,
                    }
                });
            }
        });
        let shown = |folder: &std::path::Path| folder.display().to_string();
        Self { from: shown(server.folder()), to: shown(&folder), silenced, accepting }
    }

    /// The address of a database, through this.
    pub fn through(&self, url: &str) -> String {
        url.replace(&self.from, &self.to)
    }

    /// Nothing comes through the connections that are open; new ones work.
    pub fn silence(&self) {
        self.silenced.send_modify(|times| *times += 1);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
