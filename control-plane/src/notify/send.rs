//! Sends what is due, several at a time, and notes how each attempt ended. Attempts go on for days with growing pauses, as
//! Standard Webhooks advises; a receiver that is away over a weekend misses nothing.

use super::mail::MailError;
use super::webhook::{Outgoing, SendError};
use super::{Notify, OVERLAP};
use crate::clock::{Millis, millis};
use crate::metrics::count;
use crate::store::StoreError;
use crate::store::alert_messages::{self, Due};
use crate::store::alerts::{self, Destination, Way};
use futures_util::StreamExt as _;

/// Messages taken at once.
const PORTION: i64 = 50;
/// Of them at a time.
const AT_ONCE: usize = 8;
const SECOND: Millis = 1000;
const MINUTE: Millis = 60 * SECOND;
const HOUR: Millis = 60 * MINUTE;

/// Pauses after the first, second, ... failed attempt. After the last there is no more.
pub(super) const PAUSES: [Millis; 9] =
    [5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];

/// How one attempt ended.
enum Attempt {
    Arrived,
    /// Try again; not before so many seconds, if the receiver said so.
    Later(String, Option<u64>),
    /// This message will never arrive.
    Never(String),
    /// Nor will any other.
    Silence(String),
}

impl Notify {
    /// Sends what is due; how many messages were tried.
    ///
    /// # Errors
    /// [`StoreError`]. A message whose attempt could not be noted is tried again.
    pub async fn send_due(&self) -> Result<usize, StoreError> {
        let now = millis(&self.clock);
        if !alert_messages::any_due(&mut *self.store.read().await?, now).await? {
            return Ok(0);
        }
        let due = self.store.write(move |tx| Box::pin(alert_messages::take_due(tx, PORTION, now))).await?;
        let number = due.len();
        let mut noted = futures_util::stream::iter(due.into_iter().map(|due| self.attempt(due)))
            .buffer_unordered(AT_ONCE);
        let mut failed = Ok(());
        while let Some(result) = noted.next().await {
            failed = failed.and(result);
        }
        failed.map(|()| number)
    }

    async fn attempt(&self, due: Due) -> Result<(), StoreError> {
        let found = alerts::destination(&mut *self.store.read().await?, &due.tenant, &due.destination).await;
        let attempt = match found {
            Ok(destination) if destination.enabled => self.sent(&due, &destination).await,
            Ok(_) | Err(StoreError::Missing { .. }) => {
                Attempt::Never("the destination is switched off".to_owned())
            }
            Err(error) => return Err(error),
        };
        self.note(due, attempt).await
    }

    async fn sent(&self, due: &Due, destination: &Destination) -> Attempt {
        match destination.way {
            Way::Webhook => self.sent_as_webhook(due, destination).await,
            Way::Mail => self.sent_as_mail(due, destination).await,
        }
    }

    async fn sent_as_webhook(&self, due: &Due, destination: &Destination) -> Attempt {
        let now = millis(&self.clock);
        let secrets = match self.signing(destination, now) {
            Ok(secrets) => secrets,
            Err(error) => return Attempt::Later(error.to_string(), None),
        };
        let message =
            Outgoing { target: &destination.target, id: &due.id, timestamp: now / SECOND, body: &due.body };
        match self.webhooks.send(message, &secrets).await {
            Ok(()) => Attempt::Arrived,
            Err(error @ SendError::Gone) => Attempt::Silence(error.to_string()),
            Err(error) => {
                let wait = match &error {
                    SendError::Refused { wait, .. } => *wait,
                    SendError::Gone | SendError::Destination(_) | SendError::NotReached(_) => None,
                };
                Attempt::Later(error.to_string(), wait)
            }
        }
    }

    async fn sent_as_mail(&self, due: &Due, destination: &Destination) -> Attempt {
        let Some(mailer) = &self.mailer else {
            return Attempt::Later(MailError::Unset.to_string(), None);
        };
        match mailer.send(&destination.target, &due.id, &due.subject, &due.body).await {
            Ok(()) => Attempt::Arrived,
            Err(error @ MailError::Refused(_)) => Attempt::Never(error.to_string()),
            Err(error) => Attempt::Later(error.to_string(), None),
        }
    }

    async fn note(&self, due: Due, attempt: Attempt) -> Result<(), StoreError> {
        let now = millis(&self.clock);
        let (outcome, why) = match &attempt {
            Attempt::Arrived => ("delivered", None),
            Attempt::Later(why, _) => ("failed", Some(why)),
            Attempt::Never(why) | Attempt::Silence(why) => ("given-up", Some(why)),
        };
        count(&self.metrics.alert_deliveries, outcome);
        if let Some(why) = why {
            tracing::warn!(
                destination = due.destination,
                message_id = due.id,
                attempt = due.attempts + 1,
                why,
                "an alert was not sent"
            );
        }
        let note = self.store.write(move |tx| {
            Box::pin(async move {
                match attempt {
                    Attempt::Arrived => alert_messages::delivered(tx, &due, now).await,
                    Attempt::Later(why, wait) => {
                        let next = next_attempt(due.attempts, wait, now);
                        alert_messages::failed(tx, &due, &why, next, now).await
                    }
                    Attempt::Never(why) => alert_messages::failed(tx, &due, &why, None, now).await,
                    Attempt::Silence(why) => {
                        alert_messages::failed(tx, &due, &why, None, now).await?;
                        alert_messages::silence(tx, &due.destination, now).await
                    }
                }
            })
        });
        note.await
    }
}

/// When the next attempt is, after so many before this one. Up to a tenth later than the pause, so that what failed
/// together does not come back together.
fn next_attempt(attempts: i64, wait: Option<u64>, now: Millis) -> Option<Millis> {
    let pause = *PAUSES.get(usize::try_from(attempts).ok()?)?;
    let asked = wait.and_then(|seconds| Millis::try_from(seconds).ok()).unwrap_or_default() * SECOND;
    let pause = pause.max(asked.min(OVERLAP));
    Some(now + pause + fastrand::i64(0..=pause / 10))
}
