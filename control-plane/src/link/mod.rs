//! What is decided about the link between agents and this control plane: who may enroll, whose request is whose, what is
//! kept of what an agent says, and what it gets. No HTTP here; `api::agent` translates.

mod authenticate;
mod enroll;
pub mod fencing;
mod keys;
pub mod refusal;
mod reports;
mod sync;
mod take;

pub use refusal::Refusal;
pub use sync::Heard;

use crate::clock::{Clock, Millis, millis};
use crate::store::Store;
use crate::wake::Wake;
use std::sync::Arc;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Requests that a worker works on at the same time. Enough for every connection to the database and for large groups of
/// writes. When ten thousand agents come at once, the rest waits with next to no memory, instead of each holding what a request
/// needs that is being worked on: the allocator does not give that back.
pub(crate) const AT_ONCE: usize = 128;

/// The link's services, shared by cloning.
#[derive(Clone)]
pub struct Link {
    store: Store,
    wake: Wake,
    clock: Clock,
    turns: Arc<Semaphore>,
}

/// A request as it came in.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The header `purser-assertion`.
    pub assertion: Option<&'a str>,
    /// `POST`.
    pub method: &'a str,
    /// Path and query as they were sent.
    pub path: &'a str,
    /// The body, byte for byte.
    pub body: &'a [u8],
}

impl Link {
    /// The link over a store.
    pub fn new(store: Store, wake: Wake, clock: Clock) -> Self {
        Self { store, wake, clock, turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// A request's turn to be worked on. Taken once everything has come that the agent sends, so that a slow one keeps nobody
    /// waiting.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.turns.acquire().await.ok()
    }

    fn now(&self) -> Millis {
        millis(&self.clock)
    }
}

/// Reads a message and refuses versions that are not understood before anything else of it.
fn message<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u16,
    }
    let Versioned { version } = serde_json::from_slice(body).map_err(|why| Refusal::malformed(&why))?;
    if !purser_proto::link::understood(version) {
        return Err(Refusal::Version(version));
    }
    serde_json::from_slice(body).map_err(|why| Refusal::malformed(&why))
}
