//! Webhooks on their way in: bounded, sealed to the agent, and durable before the sender is told so. Nobody here can read
//! what was sent or check who sent it: the agent does both.
//!
//! Senders drop an event for good on many answers, so there are three kinds only: taken, too many at the moment, and not at
//! the moment. Also a body that is too large and an address that is not known are answered with the last: a person can mend
//! both while the sender tries again.

mod bucket;
mod hook_cache;
mod known;
mod strangers;

use crate::clock::{Clock, Millis, millis, timestamp};
use crate::secrets::draw_id;
use crate::store::deliveries::{self, NewDelivery, body_text};
use crate::store::hooks::{self, AddressHash};
use crate::store::reports::{Origin, notice};
use crate::store::{Store, StoreError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hook_cache::{Cached, Counted, HookCache};
use known::Known;
use purser_proto::link::limits::SealedBody;
use purser_proto::link::report::{Notice, NoticeLevel};
use purser_proto::link::sealed::{Received, SealedWebhook};
use purser_proto::link::sync::DeliveryBody;
use serde_json::{Map, Value};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use strangers::Strangers;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Beginnings of headers that every hook keeps.
const PREFIXES: &[&str] = &["svix-", "webhook-", "concur-"];
/// Largest headers that are kept, together.
const LARGEST_HEADERS: usize = 16 << 10;

/// Addresses are shorter: nothing longer is looked for.
const LONGEST: usize = 128;

/// Bytes of sealed webhooks that wait to be written, all together. A sender that gives up leaves its webhook waiting.
const QUEUED: u32 = 64 << 20;
/// How long a webhook waits for room among them.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a sender is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is durable.
    Taken,
    /// A ceiling of the hook is reached.
    TooMany,
    /// It cannot be taken as things are.
    Unavailable,
}

/// The way in, shared by cloning.
#[derive(Clone)]
pub struct Ingress {
    store: Store,
    clock: Clock,
    hooks: Arc<HookCache>,
    known: Arc<Known>,
    queued: Arc<Semaphore>,
    most_queued: u32,
    patience: Duration,
    strangers: Arc<Strangers>,
}

impl Ingress {
    /// Over a store.
    pub fn new(store: Store, clock: Clock) -> Self {
        let (hooks, strangers) = (Arc::new(HookCache::new()), Arc::new(Strangers::new(Instant::now())));
        let (known, queued) = (Arc::new(Known::new()), Arc::new(Semaphore::new(QUEUED as usize)));
        Self { store, clock, hooks, known, queued, most_queued: QUEUED, patience: PATIENCE, strangers }
    }

    /// The same with another room for what waits to be written.
    #[cfg(test)]
    pub(crate) fn with_queue(self, most: u32, patience: Duration) -> Self {
        Self { queued: Arc::new(Semaphore::new(most as usize)), most_queued: most, patience, ..self }
    }

    /// Learns which addresses are hooks: of all at first and now and then, else of those that were made since. Whoever calls
    /// them is not taken for a stranger.
    ///
    /// # Errors
    /// [`StoreError`]; what was known stays known.
    pub async fn learn(&self) -> Result<(), StoreError> {
        self.known.learn(&self.store, millis(&self.clock), Instant::now()).await
    }

    /// Whether an address is known to be a hook's before anybody called it.
    #[cfg(test)]
    pub(crate) fn knows(&self, address: &str) -> bool {
        self.known.has(&AddressHash::of(address))
    }

    /// The largest body of a hook, before it is read. Also counts the call against the hook's rate or, when there is no such
    /// hook, against what its client may try.
    ///
    /// # Errors
    /// What the sender is answered, without its body being read.
    pub async fn admit(&self, address: &str, client: IpAddr) -> Result<Admitted, Answer> {
        let address = (address.len() <= LONGEST).then(|| AddressHash::of(address));
        let is_known = |address| self.hooks.knows(address) || self.known.has(address);
        if !address.as_ref().is_some_and(is_known) && !self.strangers.may_ask(client, Instant::now()) {
            return Err(Answer::TooMany);
        }
        let found = match &address {
            None => Ok(None),
            Some(address) => self.hooks.get(&self.store, address).await,
        };
        let cached = match found {
            Ok(Some(cached)) => cached,
            Ok(None) => {
                address.iter().for_each(|address| self.known.forget(address));
                self.strangers.missed(client, Instant::now());
                return Err(Answer::Unavailable);
            }
            Err(error) => {
                tracing::error!(%error, "a webhook could not be taken");
                return Err(Answer::Unavailable);
            }
        };
        if cached.hook.disabled_at.is_some() {
            cached.count_refused();
            return Err(Answer::Unavailable);
        }
        if !cached.within_rate() {
            cached.count_refused();
            return Err(Answer::TooMany);
        }
        Ok(Admitted(cached))
    }

    /// Seals and keeps a webhook.
    pub async fn take<'h>(
        &self,
        admitted: &Admitted,
        headers: impl Iterator<Item = (&'h str, &'h str)>,
        body: &[u8],
    ) -> Answer {
        let cached = &admitted.0;
        let now = millis(&self.clock);
        match self.keep(cached, headers, body, now).await {
            Ok(Answer::Taken) => {
                cached.count_received(now);
                Answer::Taken
            }
            Ok(answer) => {
                cached.count_refused();
                answer
            }
            Err(error) => {
                tracing::error!(%error, hook = cached.hook.id, "a webhook could not be taken");
                Answer::Unavailable
            }
        }
    }

    async fn keep<'h>(
        &self,
        cached: &Arc<Cached>,
        headers: impl Iterator<Item = (&'h str, &'h str)>,
        body: &[u8],
        now: Millis,
    ) -> Result<Answer, StoreError> {
        let id = draw_id('w')?;
        let sealed = seal(cached, &id, headers, body, now)?;
        let bytes = i64::try_from(sealed.len()).unwrap_or(i64::MAX);
        if !cached.has_room(&self.store, bytes).await? {
            self.tell_once(cached, full(cached), now);
            return Ok(Answer::TooMany);
        }
        // One that is larger than all the room takes all of it.
        let room = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.most_queued);
        let Ok(Ok(room)) = timeout(self.patience, self.queued.clone().acquire_many_owned(room)).await else {
            return Ok(Answer::Unavailable);
        };
        let hook = &cached.hook;
        let delivery = NewDelivery {
            id,
            tenant: hook.tenant.clone(),
            agent: hook.agent.clone(),
            hook: Some(hook.id.clone()),
            number: None,
            kind: "webhook",
            body: sealed,
            expires_at: Some(now + hook.ceilings.keep),
        };
        let kept = self.store.append(move |tx| {
            Box::pin(async move {
                let _until_written = room;
                deliveries::insert(tx, &delivery, now).await
            })
        });
        kept.await?;
        cached.stored(bytes);
        Ok(Answer::Taken)
    }

    /// A body was too large for the hook: a person can raise the ceiling while the sender tries again.
    pub fn too_large(&self, admitted: &Admitted) -> Answer {
        let cached = &admitted.0;
        cached.count_refused();
        self.tell_once(cached, too_large(cached), millis(&self.clock));
        Answer::Unavailable
    }

    /// Writes what was counted since.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn flush(&self) -> Result<(), StoreError> {
        for cached in self.hooks.called() {
            let Some(counted) = cached.take_counted() else { continue };
            let (id, Counted { received, refused, last }) = (cached.hook.id.clone(), counted);
            let op = self.store.write(move |tx| {
                Box::pin(async move { hooks::count(tx, &id, received, refused, last).await })
            });
            if let Err(error) = op.await {
                cached.put_back(counted);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Lets the tenant know, at most once an hour for a hook: a flood must not become a flood of notices.
    fn tell_once(&self, cached: &Arc<Cached>, what: Notice, now: Millis) {
        if !cached.may_tell(now) {
            return;
        }
        let (store, cached) = (self.store.clone(), cached.clone());
        tokio::spawn(async move {
            let told = store.write(move |tx| {
                Box::pin(async move {
                    let hook = &cached.hook;
                    notice(tx, &hook.tenant, &hook.agent, Origin::ControlPlane, &what, now, now).await
                })
            });
            if let Err(error) = told.await {
                tracing::error!(%error, "a notice was lost");
            }
        });
    }
}

/// A call that may go on: its hook is known and its rate is not reached.
pub struct Admitted(Arc<Cached>);

impl Admitted {
    /// Largest body that is read.
    pub fn largest_body(&self) -> usize {
        usize::try_from(self.0.hook.ceilings.largest_body).unwrap_or_default()
    }
}

fn seal<'h>(
    cached: &Cached,
    id: &str,
    headers: impl Iterator<Item = (&'h str, &'h str)>,
    body: &[u8],
    now: Millis,
) -> Result<String, StoreError> {
    let damaged = |why: String| StoreError::damaged("webhook", id, why);
    let hook = &cached.hook;
    let received = Received {
        agent: hook.agent.as_str().into(),
        connection: hook.connection.as_str().into(),
        received_at: timestamp(now),
        headers: kept(headers, &hook.headers),
        body_base64: STANDARD.encode(body),
    };
    let plain =
        zeroize::Zeroizing::new(serde_json::to_vec(&received).map_err(|why| damaged(why.to_string()))?);
    let sealed = age::encrypt(&cached.recipient, &plain).map_err(|why| damaged(why.to_string()))?;
    let sealed = SealedBody::whole(STANDARD.encode(sealed)).map_err(|why| damaged(why.to_string()))?;
    body_text(
        id,
        &DeliveryBody::Webhook(SealedWebhook { connection: hook.connection.as_str().into(), sealed }),
    )
}

/// The headers that a check can need.
fn kept<'h>(headers: impl Iterator<Item = (&'h str, &'h str)>, further: &[String]) -> Map<String, Value> {
    let mut kept = Map::new();
    let mut bytes = 0;
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        let wanted = name == "content-type"
            || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            || further.contains(&name);
        bytes += if wanted { name.len() + value.len() } else { 0 };
        if wanted && bytes <= LARGEST_HEADERS {
            kept.insert(name, value.into());
        }
    }
    kept
}

fn full(cached: &Cached) -> Notice {
    let hook = &cached.hook;
    Notice {
        level: NoticeLevel::Warning,
        code: "webhooks-full".into(),
        concerns: Some(hook.connection.as_str().into()),
        what: format!(
            "webhooks of {} are sent away: {} bytes wait for the agent, as many as the hook keeps",
            hook.connection, hook.ceilings.most_bytes
        )
        .into(),
        fix: "see why the agent does not fetch them; its schedule reads the same records".into(),
    }
}

fn too_large(cached: &Cached) -> Notice {
    let hook = &cached.hook;
    Notice {
        level: NoticeLevel::Warning,
        code: "webhook-too-large".into(),
        concerns: Some(hook.connection.as_str().into()),
        what: format!(
            "a webhook of {} was sent away: it is larger than {} bytes",
            hook.connection, hook.ceilings.largest_body
        )
        .into(),
        fix: "if the sender is the right one, raise the hook's ceiling".into(),
    }
}

#[cfg(test)]
mod tests;
