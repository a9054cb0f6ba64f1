//! Brex: a company card. Spend is read as accounting records where Brex has granted that API, else as expenses and
//! transactions; accounts, cost centres, projects and vendors are mirrored into it.
//!
//! Quirks, from the vendor's documentation (D) or observed (D-obs):
//! - Money is decimal major units in v3 and whole minor units elsewhere (`money.rs`). (D)
//! - A list of records without a bound on `updated_at` silently answers nothing (`calls.rs`). (D-obs)
//! - 401 is often a missing role and 403 an expired token; errors come in two shapes (`outcome.rs`). (D)
//! - Reporting a failure takes a record out of the list for good: only a person does that (`report.rs`).
//! - There is no key for reports: a record that is `EXPORTED` when we report it was reported by us before. (D)
//! - Double entry: the amounts of lines are positive, the side says the sign (`convert.rs`). (D)
//! - The same purchase has one id as a record and another as an expense, so the surface is chosen once (`surface.rs`),
//!   and each names the other's id (`same_as`, `part_of`).
//! - A split expense is replaced by parts with ids of their own. (I)
//! - Refresh tokens rotate (`auth.rs`). (D) Cursors may be offsets and shift (`page.rs`). (D)
//! - Receipts are addressed by URLs that live 15 minutes; none is ever kept. (D)

mod auth;
mod book;
mod calls;
mod coding;
mod convert;
mod expenses;
mod fields;
mod idempotency;
mod money;
mod outcome;
mod page;
mod probe;
mod read;
mod reference;
mod report;
mod settings;
mod surface;
mod vendors;
pub mod webhook;
mod wire;

#[cfg(test)]
mod tests;

pub use auth::{CREDENTIAL_FIELDS, IDLE_END_DAYS, IDLE_WARN_DAYS, KEEP_ALIVE_DAYS};
pub use money::{Major, Minor, NumberText};
pub use settings::Settings;

use crate::clock::Clock;
use crate::secret::{Credential, SecretText};
use crate::vendors::http::{Answer, Body, Call, Effect, Transport};
use crate::vendors::idle::IdleLife;
use crate::vendors::registry::{Build, Roles, VendorKind};
use crate::vendors::webhook::{WebhookKind, svix};
use crate::vendors::{
    CredentialKeeper, Exported, LAST_USE, Notes, Probe, ProbeResult, SourcePage, SourceWindow, SpendSource,
};
use async_trait::async_trait;
use auth::Identity;
use calls::Request;
use outcome::{Denied, Judge, Refusal, unavailable};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use spend::Date;
use spend::ids::SourceId;
use spend::posting::{ErpReceipt, Failure, FailureClass};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use surface::Surface;
use url::Url;

/// Whole time of a call.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// This vendor's line in the registry.
pub const KIND: VendorKind = VendorKind {
    kind: "brex",
    name: "Brex",
    credential_fields: CREDENTIAL_FIELDS,
    pace,
    concurrency: 16,
    timeout: DEFAULT_TIMEOUT,
    least_settle_window: |_| Duration::ZERO,
    schema: || schemars::schema_for!(Settings).to_value(),
    check: |settings| Settings::from_json(settings).map(drop),
    unique: |_| &[],
    books: |_, _| None,
    webhook: Some(WebhookKind {
        verify: |delivery, secrets, _| svix::verify(delivery, secrets),
        parse: webhook::parse,
        company: |settings| Settings::from_json(settings).ok()?.company_id,
    }),
    idle_life: Some(IdleLife {
        end_days: IDLE_END_DAYS,
        warn_days: IDLE_WARN_DAYS,
        keep_alive_days: KEEP_ALIVE_DAYS,
    }),
    build,
};

/// The configured ceilings; settings that cannot be read are refused elsewhere, and mean the documented ones here.
fn pace(settings: &Map<String, Value>) -> Vec<(u32, Duration)> {
    let settings = Settings::from_json(settings).unwrap_or_default();
    settings.rate_limits.iter().map(|(calls, s)| (*calls, Duration::from_secs((*s).into()))).collect()
}

fn build(parts: Build) -> Result<Roles, Vec<String>> {
    let settings = Settings::from_json(&parts.settings)?;
    let client = Arc::new(Brex::new(Parts {
        transport: parts.transport,
        credential: parts.credential,
        base: parts.url,
        settings,
        keeper: parts.keeper,
        notes: parts.notes,
        clock: parts.clock,
    }));
    Ok(Roles { source: Some(client.clone()), erp: None, reference: Some(client.clone()), probe: client })
}

/// What a client is made from.
pub struct Parts {
    /// Sends calls.
    pub transport: Arc<dyn Transport>,
    /// What it authenticates with.
    pub credential: Credential,
    /// Base URL.
    pub base: Url,
    /// Its settings.
    pub settings: Settings,
    /// Keeps what Brex renews of the credential.
    pub keeper: Arc<dyn CredentialKeeper>,
    /// Remembers what Brex does not: the surface that was found, pairs of vendors.
    pub notes: Arc<dyn Notes>,
    /// Time.
    pub clock: Clock,
}

/// One Brex account.
pub struct Brex {
    transport: Arc<dyn Transport>,
    identity: Identity,
    base: Url,
    settings: Settings,
    notes: Arc<dyn Notes>,
    clock: Clock,
    /// "Too many calls" in a row.
    throttles: AtomicU32,
    /// The surface, once it is known.
    surface: tokio::sync::Mutex<Option<Surface>>,
    /// E-mail addresses by user id, of the fall-back surface.
    people: tokio::sync::Mutex<BTreeMap<String, Option<String>>>,
    /// Fields of the fall-back surface.
    book: tokio::sync::Mutex<book::Book>,
    /// The day on which the use of the credential was noted last.
    noted: Mutex<Option<Date>>,
}

impl fmt::Debug for Brex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brex").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Brex {
    /// A client.
    pub fn new(parts: Parts) -> Self {
        let identity = Identity::new(parts.credential, &parts.settings, parts.keeper, parts.clock.clone());
        Self {
            transport: parts.transport,
            identity,
            base: parts.base,
            settings: parts.settings,
            notes: parts.notes,
            clock: parts.clock,
            throttles: AtomicU32::new(0),
            surface: tokio::sync::Mutex::default(),
            people: tokio::sync::Mutex::default(),
            book: tokio::sync::Mutex::default(),
            noted: Mutex::default(),
        }
    }

    fn today(&self) -> Date {
        self.clock.now().date_naive()
    }

    /// Sends a call; what comes back is a successful answer.
    async fn send(&self, request: &Request) -> Result<Answer, Refusal> {
        let (answer, token) = self.exchange(request).await?;
        let refusal = match self.judged(request, &answer) {
            Ok(()) => return Ok(answer),
            Err(refusal) => refusal,
        };
        // An access token that ended before its time was refused before anything was done: once more with a new one.
        if let (Some(token), Some(Denied::Credential | Denied::Unclear)) = (token, refusal.denied) {
            self.identity.refused(&token).await;
            let (answer, _) = self.exchange(request).await?;
            return match self.judged(request, &answer) {
                Ok(()) => Ok(answer),
                Err(refusal) => Err(self.settled(request, refusal).await),
            };
        }
        Err(self.settled(request, refusal).await)
    }

    fn judged(&self, request: &Request, answer: &Answer) -> Result<(), Refusal> {
        let judged = self.judge(request).judge(answer);
        match &judged {
            Ok(()) => {
                self.throttles.store(0, Ordering::Relaxed);
                self.note_use();
            }
            Err(refusal) if matches!(refusal.failure.class, FailureClass::Throttled { .. }) => {
                self.throttles.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => {}
        }
        judged
    }

    fn judge(&self, request: &Request) -> Judge<'_> {
        Judge {
            operation: request.operation,
            effect: request.effect,
            secret: self.identity.secret(),
            throttles: self.throttles.load(Ordering::Relaxed),
        }
    }

    /// A refusal that does not say whether the credential is dead: the plainest read tells.
    async fn settled(&self, request: &Request, refusal: Refusal) -> Refusal {
        if refusal.denied != Some(Denied::Unclear) {
            return refusal;
        }
        let me = calls::me();
        let told = match self.exchange(&me).await {
            Ok((answer, _)) => self.judge(&me).judge(&answer),
            Err(failure) => Err(failure.into()),
        };
        match told {
            Ok(()) => return Refusal { denied: Some(Denied::Permission), ..refusal },
            Err(other) => match other.denied {
                Some(Denied::Permission) => return Refusal { denied: Some(Denied::Permission), ..refusal },
                Some(Denied::Credential | Denied::Unclear) => {}
                // What cannot be told now is told by the next call.
                None => return other,
            },
        }
        let what = format!("{}: HTTP {}", request.operation, refusal.status);
        let failure = self.judge(request).unauthorised(&what);
        Refusal { failure, denied: Some(Denied::Credential), ..refusal }
    }

    async fn exchange(
        &self,
        request: &Request,
    ) -> Result<(Answer, Option<crate::vendors::http::Token>), Failure> {
        let (authorization, token) = self.identity.header(&*self.transport).await?;
        let mut headers = vec![authorization, ("accept", SecretText::plain("application/json"))];
        if let Some(key) = &request.key {
            headers.push(("idempotency-key", SecretText::plain(key)));
        }
        let body = match &request.body {
            None => Body::Empty,
            Some(body) => Body::Json(SecretText::plain(body.to_string())),
        };
        let answer = self
            .transport
            .send(Call {
                operation: request.operation,
                method: request.method.clone(),
                url: request.url(&self.base),
                headers,
                body,
                effect: request.effect,
                secret_answer: false,
                timeout: None,
            })
            .await?;
        Ok((answer, token))
    }

    /// Reads and understands.
    async fn get<T: DeserializeOwned>(&self, request: &Request) -> Result<T, Refusal> {
        let answer = self.send(request).await?;
        self.understood(request, &answer).map_err(Refusal::from)
    }

    /// The answer as what it should be.
    fn understood<T: DeserializeOwned>(&self, request: &Request, answer: &Answer) -> Result<T, Failure> {
        serde_json::from_slice(&answer.body).map_err(|error| match request.effect {
            Effect::Read => {
                unavailable(format!("{}: the answer is not understood: {error}", request.operation))
            }
            Effect::Write => {
                self.judge(request).lost(answer, &format!("the answer is not understood: {error}"))
            }
        })
    }

    /// Remembers, once a day, that the credential was used: one that is not used for weeks dies.
    fn note_use(&self) {
        let today = self.today();
        let mut noted = self.noted.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *noted != Some(today) {
            *noted = Some(today);
            if let Err(error) = self.notes.write(LAST_USE, &today.to_string()) {
                tracing::warn!(%error, "the use of the credential could not be noted");
            }
        }
    }
}

#[async_trait]
impl SpendSource for Brex {
    async fn read(&self, window: &SourceWindow) -> Result<SourcePage, Failure> {
        match self.surface().await? {
            Surface::Accounting => self.read_records(window).await,
            Surface::Expenses => self.read_expenses(window).await,
        }
    }

    async fn acknowledge(&self, exported: &[Exported]) -> Result<Vec<SourceId>, Failure> {
        let unique: BTreeMap<&SourceId, &ErpReceipt> =
            exported.iter().map(|one| (&one.id, &one.receipt)).collect();
        if unique.is_empty() {
            return Ok(Vec::new());
        }
        match self.surface().await? {
            Surface::Accounting => self.report_exported(&unique).await,
            // The API cannot set the exported mark of an expense (D): the posting log alone knows.
            Surface::Expenses => Ok(unique.into_keys().cloned().collect()),
        }
    }

    async fn report_failure(&self, id: &SourceId, why: &str) -> Result<(), Failure> {
        self.report_failed(id, why).await
    }
}

#[async_trait]
impl Probe for Brex {
    async fn probe(&self) -> Vec<ProbeResult> {
        self.examine().await
    }
}
