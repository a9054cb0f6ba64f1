//! What the control plane keeps and forwards and cannot open: secrets sealed by a person, webhooks sealed on arrival.

use super::limits::{Armor, Name, SealedBody};
use serde::{Deserialize, Serialize};
use spend::Timestamp;

/// A secret on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSecret {
    /// Its name in the agent's secret store, for people; what counts is inside.
    pub name: Name,
    /// An armored age text, made by `purser seal`.
    pub armored: Armor,
    /// Who handed it in.
    pub by: Name,
}

/// A webhook on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedWebhook {
    /// The connection whose hook was called.
    pub connection: Name,
    /// An age file of a [`Received`], base64.
    pub sealed: SealedBody,
}

/// What is inside a [`SealedWebhook`]: one line of `purser webhooks replay`, and where it belongs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// The agent that it is for.
    pub agent: Name,
    /// The connection whose hook was called; a webhook that says another one outside is refused.
    pub connection: Name,
    /// When the control plane had received all of it.
    pub received_at: Timestamp,
    /// Headers that a check can need.
    pub headers: serde_json::Map<String, serde_json::Value>,
    /// The body, byte for byte.
    pub body_base64: String,
}
