//! What jobs that throw things away take for the present, kept over restarts.

use crate::clock::{Clock, Leap, Millis, Steady};
use crate::store::{Store, StoreError, times};
use std::sync::Arc;
use tokio::sync::Mutex;

/// The present, shared by cloning.
#[derive(Clone, Debug, Default)]
pub struct Present(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    steady: Steady,
    has_looked: bool,
}

impl Present {
    /// Looks, and keeps what is seen.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn look(&self, store: &Store, clock: &Clock) -> Result<Millis, StoreError> {
        let mut known = self.0.lock().await;
        let stored = match known.has_looked {
            true => None,
            false => times::get(&mut *store.read().await?, times::PRESENT).await?,
        };
        known.has_looked = true;
        let (now, leap) = known.steady.look(clock, stored);
        match leap {
            Some(Leap::Doubted(by)) => tracing::warn!(
                seconds = by / 1000,
                "the wall clock leapt, or nothing ran for a while: what is old is deleted later; check the machine's time"
            ),
            Some(Leap::Believed) => tracing::info!("the wall clock is believed again"),
            None => {}
        }
        store.write(move |tx| Box::pin(times::set(tx, times::PRESENT, now))).await?;
        Ok(now)
    }
}
