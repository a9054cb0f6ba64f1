//! Tells people: reads from the store what the rules of alerts need, writes alerts together with the messages that they
//! cause, and sends what is due, as [`webhook`] (Standard Webhooks) or [`mail`]. A message that is written is sent, also
//! after a restart and over hours of trouble at the receiver's.

pub mod destination;
mod evaluate;
mod facts;
pub mod key;
pub mod mail;
mod send;
pub mod signing;
pub mod webhook;

#[cfg(test)]
mod tests;

pub use evaluate::Evaluated;

use crate::clock::{Clock, Millis, passed};
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::store::alerts::{Destination, Way};
use crate::store::{Store, StoreError};
use key::{AlertKey, KeyError};
use mail::Mailer;
use secrecy::SecretString;
use signing::SigningSecret;
use webhook::Webhooks;

/// How long the last signing secret signs beside the new one.
const OVERLAP: Millis = 24 * 3_600_000;

/// Tells people. Shared by cloning.
#[derive(Clone)]
pub struct Notify {
    store: Store,
    clock: Clock,
    metrics: Metrics,
    webhooks: Webhooks,
    mailer: Option<Mailer>,
    key: AlertKey,
    /// Since when this node listens to agents, by the clock that nobody can set.
    since: Millis,
    /// Names this node while it has a turn.
    node: String,
}

/// Why nobody can be told.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The settings of alerts or mail cannot be used.
    #[error("alerts cannot be sent: {0}")]
    Settings(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Notify {
    /// By the settings. Without a key webhooks wait and say why; everything else works.
    ///
    /// # Errors
    /// [`NotifyError::Settings`].
    pub fn new(
        store: Store,
        clock: Clock,
        metrics: Metrics,
        settings: &Settings,
    ) -> Result<Self, NotifyError> {
        let mailer = settings.mail.as_ref().map(Mailer::new).transpose();
        Ok(Self {
            webhooks: Webhooks::new(&settings.alerts).map_err(NotifyError::Settings)?,
            mailer: mailer.map_err(|error| NotifyError::Settings(error.to_string()))?,
            key: AlertKey::of(settings),
            since: passed(&clock),
            node: crate::secrets::draw_id('n').map_err(StoreError::from)?,
            store,
            clock,
            metrics,
        })
    }

    /// With neither key nor mail server: everything can be written, webhooks and mails wait.
    ///
    /// # Errors
    /// [`StoreError::NoRandomness`].
    pub fn plain(store: Store, clock: Clock) -> Result<Self, StoreError> {
        Ok(Self {
            webhooks: Webhooks::strict(),
            mailer: None,
            key: AlertKey::none(),
            since: passed(&clock),
            node: crate::secrets::draw_id('n')?,
            store,
            clock,
            metrics: Metrics::new(),
        })
    }

    /// Checks the address of a destination, and writes it as it is kept.
    ///
    /// # Errors
    /// [`destination::DestinationError`].
    pub fn checked(&self, way: Way, target: &str) -> Result<String, destination::DestinationError> {
        match way {
            Way::Webhook => {
                destination::web_address(target, self.webhooks.allowed()).map(|url| url.to_string())
            }
            Way::Mail => destination::mail_address(target),
        }
    }

    /// The signing secret of a webhook, to be entered at the receiver.
    ///
    /// # Errors
    /// [`KeyError::Unset`].
    pub fn secret(&self, destination: &Destination) -> Result<SecretString, KeyError> {
        let secret = self.key.secret(&destination.tenant, &destination.id, destination.secret_version)?;
        Ok(secret.shown())
    }

    /// What signs at this moment, the newest first.
    fn signing(&self, destination: &Destination, now: Millis) -> Result<Vec<SigningSecret>, KeyError> {
        let version = destination.secret_version;
        let before = (version > 1 && now - destination.rotated_at < OVERLAP).then_some(version - 1);
        let secret = |version| self.key.secret(&destination.tenant, &destination.id, version);
        std::iter::once(version).chain(before).map(secret).collect()
    }
}
