//! What is done beside the requests, again and again: forgetting, alerts, mails. Each is asked whether there is anything
//! to do; none keeps state that a restart would lose. With several nodes on one database a *turn* is taken first, so that
//! one of them does it.

use super::Services;
use crate::clock::millis;
use crate::store::{StoreError, nonces};
use purser_proto::link::assertion::TOLERANCE_SECONDS;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How often what is too old to matter within minutes is forgotten.
const SWEEP: Duration = Duration::from_secs(30);

/// The jobs of a server.
pub(super) struct Jobs(Vec<JoinHandle<()>>);

pub(super) fn start(services: &Services) -> Jobs {
    Jobs(vec![tokio::spawn(every("forgetting nonces", SWEEP, services.clone(), sweep))])
}

impl Jobs {
    /// Ends them. What one of them was doing is done again by whoever comes next.
    pub(super) async fn end(self) {
        for job in self.0 {
            job.abort();
            // Either it was cut off, which is what was asked, or it had ended.
            drop(job.await);
        }
    }
}

/// Does a job again and again, until the store is closed.
async fn every<F>(name: &'static str, pause: Duration, services: Services, job: F)
where
    F: AsyncFn(&Services) -> Result<(), StoreError>,
{
    loop {
        tokio::time::sleep(pause).await;
        match job(&services).await {
            Ok(()) => {}
            Err(StoreError::Stopped) => return,
            Err(error) => tracing::warn!(%error, job = name, "it did not work; trying again"),
        }
    }
}

async fn sweep(services: &Services) -> Result<(), StoreError> {
    let before = millis(&services.clock) - 3 * TOLERANCE_SECONDS * 1000;
    services.store.write(move |tx| Box::pin(nonces::forget(tx, before))).await?;
    Ok(())
}
