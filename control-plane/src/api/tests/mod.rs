//! The routes over real sockets, with an agent that signs as a real one does.

mod enrollment;
mod exchange;
mod fences;
mod forged;
#[cfg(unix)]
mod nodes;
mod webhooks;

use crate::clock::Clock;
use crate::store::reports;
use crate::testing::Plane;

/// A control plane on a new SQLite file, and a tenant.
struct House {
    plane: Plane,
    tenant: String,
    /// Goes last.
    _folder: tempfile::TempDir,
}

impl House {
    async fn new() -> Self {
        Self::at(Clock::system()).await
    }

    async fn at(clock: Clock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plane = Plane::start(&format!("sqlite:{}/control.db", folder.path().display()), clock).await;
        let tenant = plane.tenant("example").await;
        Self { plane, tenant, _folder: folder }
    }

    /// Codes of the tenant's notices, the oldest first.
    async fn notices(&self) -> Vec<String> {
        let mut connection = self.plane.services.store.read().await.unwrap();
        let all = reports::notices(&mut connection, &self.tenant, None, i64::MAX, 100).await.unwrap();
        all.into_iter().rev().map(|notice| notice.code).collect()
    }
}
