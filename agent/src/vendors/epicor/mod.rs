//! Epicor Kinetic over REST v2: journals and AP invoices by the same method chains as its own screens, reads by OData.
//!
//! Quirks that decide the shape of this folder (the numbers are those of the fact sheet's survival list):
//! - a save may answer 200 and not have saved (14); every document is read back before it counts as posted;
//! - the account of an invoice line lives in a row that the server makes at the line's first save, often empty (12);
//! - journals have no natural key: the reference heads every description, of the header and of each line (20);
//! - names and parameters of methods differ by release, so they are resolved against `$metadata` (25);
//! - pages are 100 rows and may be clipped without a word (5); refusals may be XML (3), duplicates 400 or 409 (11);
//! - rows go back whole, edited by their `RowMod`, never by position (9, 17).
//!
//! The spend total of a journal is not in any column: each line's description carries `#n` (spend) or `=n` (offset)
//! behind the reference, and the header's comment repeats the total for people.

mod auth;
mod calls;
mod client;
mod convert;
mod group;
mod invoice;
mod journal;
mod lookup;
mod outcome;
mod probe;
mod profile;
mod readback;
mod reference;
mod saga;
pub mod settings;
#[cfg(test)]
mod tests;
mod wire;

pub use reference::{Changes, Mirror};
pub use settings::Settings;

use self::client::Client;
use crate::clock::Clock;
use crate::secret::Credential;
use crate::vendors::http::{TokenCache, Transport};
use crate::vendors::registry::{Build, Roles, VendorKind};
use crate::vendors::{Claimed, ErpDocument, ErpTarget, Probe, ProbeResult};
use async_trait::async_trait;
use spend::Date;
use spend::ids::CompanyId;
use spend::plan::PostingPlan;
use spend::posting::{ErpReceipt, Failure, FailureClass, LookUp};
use spend::reference::ReferenceData;
use spend::route::books_by_name;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use url::Url;

/// Calls at the same time: each takes a licence seat while it runs.
pub const CONCURRENCY: usize = 2;
/// Whole time of a call: the first one after an application pool was recycled takes tens of seconds.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);
/// Every secret field that some way of authorisation needs; [`Settings::secret_fields`] says which.
pub const CREDENTIAL_FIELDS: &[&str] = &["user", "password", "client_id", "client_secret", "api_key"];

/// This vendor's line in the registry.
pub const KIND: VendorKind = VendorKind {
    kind: "epicor",
    name: "Epicor Kinetic",
    credential_fields: CREDENTIAL_FIELDS,
    // Kinetic publishes no rate ceiling.
    pace: |_| Vec::new(),
    concurrency: CONCURRENCY,
    timeout: DEFAULT_TIMEOUT,
    least_settle_window: |_| Duration::ZERO,
    schema: || schemars::schema_for!(Settings).to_value(),
    check: |settings| Settings::from_json(settings).map(drop),
    unique: |settings| Settings::from_json(settings).map_or(&[], |settings| settings.unique_kinds()),
    books: |_, company| Some(books_by_name(company)),
    webhook: None,
    idle_life: None,
    build,
};

fn build(parts: Build) -> Result<Roles, Vec<String>> {
    let mut settings = Settings::from_json(&parts.settings)?;
    if settings.companies.is_empty() {
        settings.companies = parts.companies;
    }
    let client = Arc::new(Epicor::new(parts.transport, parts.credential, &parts.url, settings, parts.clock));
    Ok(Roles { source: None, erp: Some(client.clone()), reference: None, probe: client })
}

/// One connection to Kinetic.
pub struct Epicor {
    client: Client,
    clock: Clock,
    seen: Mutex<BTreeSet<CompanyId>>,
}

impl Epicor {
    /// A connection. `base` is the site root (`https://host/instance`).
    pub fn new(
        transport: Arc<dyn Transport>,
        credential: Credential,
        base: &Url,
        settings: Settings,
        clock: Clock,
    ) -> Self {
        let identity = auth::Identity::new(credential, &settings, clock.clone());
        let seen = settings.companies.iter().cloned().collect();
        Self { client: Client::new(transport, identity, base, settings), clock, seen: Mutex::new(seen) }
    }

    /// Uses a token cache that outlives this value, so that a restart of the connection remembers a refused login.
    #[must_use]
    pub fn with_tokens(mut self, tokens: Arc<TokenCache>) -> Self {
        self.client.identity.with_tokens(tokens);
        self
    }

    /// What changed among the vendors since `mirror` was last brought up to date: by row version, or by full compare
    /// where this instance does not filter by it. `margin` is read again below the mark.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn vendor_changes(
        &self,
        company: &CompanyId,
        mirror: &mut Mirror,
        margin: i64,
    ) -> Result<Changes, Failure> {
        reference::vendor_changes(&self.client, company, mirror, margin).await
    }

    fn note(&self, company: &CompanyId) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.contains(company) {
            seen.insert(company.clone());
        }
    }

    fn companies(&self) -> Vec<CompanyId> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[async_trait]
impl ErpTarget for Epicor {
    async fn look_up(&self, plan: &PostingPlan) -> Result<LookUp, Failure> {
        self.note(&plan.company);
        lookup::look_up(&self.client, plan).await
    }

    async fn post(&self, claimed: &Claimed, found: &LookUp) -> Result<ErpReceipt, Failure> {
        self.note(&claimed.plan().company);
        convert::no_dimensions(claimed.plan())?;
        saga::post(&self.client, claimed, found).await
    }

    /// Covers the companies of the settings and those that this connection has worked for since it started.
    async fn read_back(&self, prefix: &str, from: Date, to: Date) -> Result<Vec<ErpDocument>, Failure> {
        let companies = self.companies();
        if companies.is_empty() {
            let message =
                "no company to read back: name the company ids in `settings.companies` of the connection";
            return Err(Failure::new(FailureClass::Unavailable, message));
        }
        let mut documents = Vec::new();
        for company in &companies {
            documents.extend(readback::read_back(&self.client, company, prefix, (from, to)).await?);
        }
        Ok(documents)
    }

    fn refuses_duplicates(&self, plan: &PostingPlan) -> bool {
        self.client.settings.unique_kinds().contains(&plan.document.kind())
    }

    async fn reference_data(&self, company: &CompanyId) -> Result<ReferenceData, Failure> {
        self.note(company);
        reference::read(&self.client, company, self.clock.now()).await
    }
}

#[async_trait]
impl Probe for Epicor {
    async fn probe(&self) -> Vec<ProbeResult> {
        probe::probe(&self.client, &self.companies(), self.clock.now().date_naive()).await
    }
}
