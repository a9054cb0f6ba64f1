//! A one-time code is traded for an identity. The agent makes its keys; only their public halves travel.

use super::limits::{Line, Name};
use serde::{Deserialize, Serialize};

/// What the agent asks. The request carries an assertion in the name of the keys' fingerprint, signed with the key that
/// it enrolls, so that nobody can enroll a key that they do not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollRequest {
    /// Version of the link.
    pub version: u16,
    /// The code, as it was shown.
    pub code: Name,
    /// The keys.
    pub keys: PublicKeys,
    /// How the machine calls itself, for people.
    #[serde(default)]
    pub host: Name,
    /// Version of the agent.
    #[serde(default)]
    pub agent_version: Name,
    /// Operating system and processor, e.g. `linux-x86_64`.
    #[serde(default)]
    pub platform: Name,
}

/// What an agent has enrolled with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKeys {
    /// Ed25519 public key of its requests, 64 lower-case hexadecimal digits.
    pub signing: Name,
    /// age recipient (`age1...`) that secrets and webhooks are sealed to.
    pub recipient: Name,
}

impl PublicKeys {
    /// What people compare: 40 hexadecimal digits in groups of four, of both keys.
    pub fn fingerprint(&self) -> String {
        let mut hash = blake3::Hasher::new();
        for key in [&self.signing, &self.recipient] {
            hash.update(&(key.as_str().len() as u64).to_be_bytes());
            hash.update(key.as_str().as_bytes());
        }
        let digits = hash.finalize().to_hex();
        let groups: Vec<&str> = (0..10).map(|at| &digits[4 * at..4 * at + 4]).collect();
        groups.join("-")
    }
}

/// What the agent gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollAnswer {
    /// Version of the link.
    pub version: u16,
    /// The agent's id.
    pub agent: Name,
    /// How the control plane calls the agent, for people.
    pub name: Line,
    /// How the control plane calls the tenant, for people.
    pub tenant: Line,
    /// Whether a person has still to approve the fingerprint; until then the link carries nothing.
    pub waits_for_approval: bool,
}

/// New keys of an enrolled agent; the request is signed with the present key, `proof` with the new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysRequest {
    /// Version of the link.
    pub version: u16,
    /// The new keys.
    pub keys: PublicKeys,
    /// Ed25519 by the new key over [`KeysRequest::proven`], 128 hexadecimal digits.
    pub proof: Line,
}

impl KeysRequest {
    /// What is signed with the new key: that it belongs to this agent.
    pub fn proven(agent: &str, keys: &PublicKeys) -> Vec<u8> {
        format!("purser-keys-1\n{agent}\n{}", keys.fingerprint()).into_bytes()
    }
}
