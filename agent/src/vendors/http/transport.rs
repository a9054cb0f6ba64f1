//! What a vendor client sends calls through: the gate in production, a scripted answerer in a client's own tests.

use super::{Answer, Call, Gate};
use spend::posting::Failure;

/// Something that calls can be sent through.
#[async_trait::async_trait]
pub trait Transport: Send + Sync {
    /// Sends one call; see [`Gate::send`].
    async fn send(&self, call: Call) -> Result<Answer, Failure>;
}

#[async_trait::async_trait]
impl Transport for Gate {
    async fn send(&self, call: Call) -> Result<Answer, Failure> {
        Gate::send(self, call).await
    }
}
