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

/// The link's services, shared by cloning.
#[derive(Clone)]
pub struct Link {
    store: Store,
    wake: Wake,
    clock: Clock,
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
        Self { store, wake, clock }
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
