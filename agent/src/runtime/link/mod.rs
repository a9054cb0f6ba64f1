//! The link to a control plane: one supervised actor that reports and takes what is to be done. It dials out only, it
//! holds no flow up, and an agent works on for weeks without it. Split by family of messages:
//!
//! - [`enroll`]: a one-time code for an identity; `identity`: lives, assertions, new keys;
//! - `transport`: one signed request and its answer; `pace`: when the next one is sent;
//! - `exchange`: the loop that syncs; `outbox`: what a request carries;
//! - `reports`: what the agent says of itself; [`status`]: what it says of the link;
//! - `deliveries`: what came, each once; `revisions`, `secrets`, `webhooks`, `commands`: the families of it;
//!   `pending`: commands that are not answered yet; `diagnostics`: what a person needs to find a fault;
//! - [`desk`]: how the link asks the agent, which lives on another thread and may be exchanged meanwhile.
//!
//! The one thing that a newcomer gets wrong: **nothing that comes from there is believed.** A revision is measured by the
//! machine's guard rails, a secret by the machine's own configuration, a webhook by its sender's proof, a command by the
//! list of those that are allowed.

mod commands;
mod deliveries;
pub mod desk;
mod diagnostics;
pub mod enroll;
mod exchange;
mod identity;
mod outbox;
mod pace;
mod pending;
mod reports;
mod revisions;
mod secrets;
pub mod status;
mod transport;
mod webhooks;

#[cfg(test)]
mod tests;

pub use identity::fenced;
pub use transport::LinkError;

use super::supervisor::{Handle, Policy, supervise};
use super::words;
use crate::clock::Clock;
use crate::config::ConfigError;
use crate::config::guard_rails::MachineRails;
use crate::store::{Enrollment, Store, StoreError};
use crate::vendors::http::{LinkClient, LinkClientError};
use actix::{Actor, AsyncContext as _, Context, WrapFuture as _};
use actix::{ActorContext as _, ActorFutureExt as _};
use desk::Desk;
use exchange::Exchange;
use purser_proto::link::sync::Instance;
use status::{LinkStatus, Shown};
use std::path::PathBuf;

/// What a link is made from.
#[derive(Clone)]
pub struct LinkParts {
    /// Where everything is kept.
    pub store: Store,
    /// Home folder, with the guard rails.
    pub home: PathBuf,
    /// The machine's own configuration file.
    pub config_file: PathBuf,
    /// Time.
    pub clock: Clock,
    /// How the agent is asked.
    pub desk: Desk,
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be used.
    #[error("the link cannot be started")]
    Store(#[from] StoreError),
}

/// Why a life of the link cannot begin.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("the store cannot be read")]
    Store(#[from] StoreError),
    #[error("the client of the link cannot be made")]
    Client(#[from] LinkClientError),
    #[error("the machine's guard rails cannot be read")]
    Rails(#[from] ConfigError),
    #[error("the agent is not enrolled any more")]
    NotEnrolled,
}

/// A running link.
pub struct Link {
    actor: Handle<LinkActor>,
    shown: Shown,
    mark: blake3::Hash,
}

impl Link {
    /// Starts the link of an enrolled agent; `None` when it is not enrolled. Must be called on an actix system.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(parts: LinkParts, policy: Policy) -> Result<Option<Self>, StartError> {
        let Some((enrollment, mark)) = parts.store.marked_enrollment()? else { return Ok(None) };
        // One life of the process, however often the actor is made anew.
        let instance = identity::begin_life(&parts.store, &parts.clock)?;
        let shown = Shown::new(LinkStatus::new(&enrollment, parts.clock.now()));
        let (clock, seen) = (parts.clock.clone(), shown.clone());
        let make = move |_: &mut Context<LinkActor>, _: &_| LinkActor {
            parts: parts.clone(),
            enrollment: (enrollment.clone(), mark),
            instance: instance.clone(),
            shown: seen.clone(),
        };
        let actor = supervise("link", make, policy, clock);
        Ok(Some(Self { actor, shown, mark }))
    }

    /// Of which enrollment it is: compare with [`Store::enrollment_mark`].
    pub fn mark(&self) -> blake3::Hash {
        self.mark
    }

    /// What is shown of it.
    pub fn status(&self) -> LinkStatus {
        self.shown.with_actor(self.actor.status())
    }

    /// Ends it.
    pub fn stop(&self) {
        self.actor.stop();
    }
}

/// One life of the link.
struct LinkActor {
    parts: LinkParts,
    /// With its mark.
    enrollment: (Enrollment, blake3::Hash),
    instance: Instance,
    shown: Shown,
}

impl Actor for LinkActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let opened = open(&self.parts, &self.enrollment, self.instance.clone(), self.shown.clone());
        match opened {
            Ok(exchange) => {
                let life = async move { exchange.run().await };
                ctx.spawn(life.into_actor(self).map(|(), _, ctx| ctx.stop()));
            }
            Err(error) => {
                let why = words(&error);
                tracing::error!(why, "the link cannot be used");
                self.shown.broken(self.parts.clock.now(), &why);
                ctx.stop();
            }
        }
    }
}

fn open(
    parts: &LinkParts,
    enrollment: &(Enrollment, blake3::Hash),
    instance: Instance,
    shown: Shown,
) -> Result<Exchange, OpenError> {
    let keys = parts.store.link_keys()?.ok_or(OpenError::NotEnrolled)?;
    let client = client_of(&parts.store, &enrollment.0)?;
    // Read anew for whatever arrives; here only to be told at once what is wrong with them.
    MachineRails::load(&parts.home, &parts.config_file)?;
    Ok(Exchange::new(parts.clone(), enrollment.clone(), instance, client, keys, shown))
}

fn client_of(store: &Store, enrollment: &Enrollment) -> Result<LinkClient, OpenError> {
    let secret = enrollment.network.proxy_secret.as_ref();
    let proxy = secret.map(|name| store.secret(name)).transpose()?.flatten();
    Ok(LinkClient::new(&enrollment.url, &enrollment.network, proxy)?)
}
