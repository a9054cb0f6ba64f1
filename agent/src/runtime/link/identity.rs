//! Who speaks: the life of this process, the assertion that each request carries, and new keys.

use super::transport::{LinkError, Wire};
use crate::clock::Clock;
use crate::store::{
    AuditDraft, AuditKind, Batch, Enrollment, LinkKeyring, LinkKeys, StateTable, Store, StoreError,
};
use chrono::TimeDelta;
use purser_proto::link::assertion::{Asserted, Assertion, Claims};
use purser_proto::link::enrollment::KeysRequest;
use purser_proto::link::sync::Instance;
use purser_proto::link::{KEYS, VERSION};
use ring::rand::{SecureRandom as _, SystemRandom};
use spend::Timestamp;

/// The life that may speak, as the home remembers.
const LIFE: &str = "life";
/// Why this life must not work.
const FENCED: &str = "fenced";

/// When the keys in use came into use; absent = at enrollment.
const KEYS_SINCE: &str = "keys-since";
/// Keys are replaced by themselves after this time.
const KEYS_LIVE: TimeDelta = TimeDelta::days(90);

/// Whether the keys in use are to be replaced.
pub(super) fn are_old(store: &Store, enrollment: &Enrollment, now: Timestamp) -> Result<bool, StoreError> {
    let since: Option<Timestamp> = store.get(StateTable::Link, KEYS_SINCE)?;
    Ok(now - since.unwrap_or(enrollment.at) >= KEYS_LIVE)
}

/// Begins a life.
pub(super) fn begin_life(store: &Store, clock: &Clock) -> Result<Instance, StoreError> {
    let before: Option<String> = store.get(StateTable::Link, LIFE)?;
    let id: String = drawn::<16>().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Instance { id: id.into(), started: clock.now(), before: before.map(Into::into) })
}

/// The store, as the link of one enrollment may write to it.
#[derive(Clone, Copy)]
pub(super) struct Ours<'s> {
    pub(super) store: &'s Store,
    /// Of the enrollment.
    pub(super) mark: blake3::Hash,
}

/// Remembers a life right before it speaks for the first time: one that never spoke is nothing that the next could name.
pub(super) async fn introduce(ours: &Ours<'_>, life: &Instance) -> Result<(), StoreError> {
    let mut batch = Batch::only_for(ours.mark);
    batch.put(StateTable::Link, LIFE, &life.id);
    ours.store.commit(batch).await
}

/// Why this machine must not work, as the control plane said last.
///
/// # Errors
/// When the store cannot be read.
pub fn fenced(store: &Store) -> Result<Option<String>, StoreError> {
    store.get(StateTable::Link, FENCED)
}

/// Remembers a fence, or that there is none any more.
pub(super) fn put_fence(batch: &mut Batch, fenced: Option<&str>) {
    match fenced {
        Some(why) => batch.put(StateTable::Link, FENCED, &why),
        None => batch.remove(StateTable::Link, FENCED),
    };
}

/// The value of the header that proves who sends a request.
pub(super) fn assertion(who: &str, keys: &LinkKeys, clock: &Clock, path: &str, body: &[u8]) -> String {
    let claims = Claims { agent: who.to_owned(), at: clock.now(), nonce: drawn() };
    let signature = keys.sign(&claims.message(Asserted { method: "POST", path, body }));
    Assertion { claims, signature }.to_string()
}

fn drawn<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // No system that the agent runs on refuses them.
    SystemRandom::new().fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// Why keys were not replaced. The keys in use stay in use.
#[derive(Debug, thiserror::Error)]
pub(super) enum RotateError {
    #[error("the new keys could not be stored")]
    Store(#[from] StoreError),
    #[error("the control plane did not take the new keys")]
    Link(#[from] LinkError),
}

/// Replaces the keys: the new ones are durable before they travel, and both open what arrives until the control plane
/// has confirmed them. One that was not confirmed is used by the next attempt.
pub(super) async fn rotate(
    ours: &Ours<'_>,
    wire: &Wire,
    agent: &str,
    keys: LinkKeyring,
) -> (LinkKeyring, Result<(), RotateError>) {
    let keys = if keys.next.is_some() { keys } else { keys.with_next(LinkKeys::generate()) };
    let mut batch = Batch::only_for(ours.mark);
    batch.put_link_keys(&keys);
    if let Err(error) = ours.store.commit(batch).await {
        return (keys, Err(error.into()));
    }
    if let Err(error) = hand_over(wire, agent, &keys).await {
        return (keys, Err(error.into()));
    }
    confirm(ours, keys).await
}

async fn hand_over(wire: &Wire, agent: &str, keys: &LinkKeyring) -> Result<(), LinkError> {
    let Some(next) = &keys.next else { return Ok(()) };
    let public = next.public();
    let signature = next.sign(&KeysRequest::proven(agent, &public));
    let proof: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
    let request = KeysRequest { version: VERSION, keys: public, proof: proof.into() };
    wire.tell(KEYS, agent, &keys.current, &request).await
}

/// The new keys are those in use from now on.
pub(super) async fn confirm(ours: &Ours<'_>, keys: LinkKeyring) -> (LinkKeyring, Result<(), RotateError>) {
    let keys = keys.rotated();
    let now = ours.store.clock().now();
    let mut batch = Batch::only_for(ours.mark);
    batch.put_link_keys(&keys);
    batch.put(StateTable::Link, KEYS_SINCE, &now);
    let detail = serde_json::json!({
        "what": "new keys of the link", "fingerprint": keys.current.public().fingerprint(),
    });
    batch.audit(AuditDraft::new(now, AuditKind::Agent, detail));
    let stored = ours.store.commit(batch).await.map_err(RotateError::from);
    (keys, stored)
}
