//! Acumatica over its contract-based REST API: AP bills and GL journals by one conditional `PUT` each, reads by lists.
//!
//! Quirks that decide the shape of this folder (the numbers are those of the fact sheet's list):
//! - only published versions answer, so the contract is settled against `GET /entity` first (1);
//! - a session holds a licensed seat: one per connection, renewed by refresh token, or signed out (2 to 7);
//! - business fields are wrapped, answers show only what was asked for (8, 9);
//! - a `PUT` without a condition adds its lines to whatever it matches, so each one says whether it inserts or updates
//!   (10, 12), and a document is read back before it counts as posted;
//! - a missing record is a 500, a refused field an `error` inside the record, a page of HTML a site in maintenance
//!   (11, 13, 20, 23);
//! - nothing makes `VendorRef` unique unless the customer switched that on, so the look-up is the only guarantee (16);
//! - the site keeps requests waiting long before it refuses any: pace goes by delay, time-outs are beyond ten minutes
//!   (17), and a write may be carried out that long after the connection is gone (24);
//! - lists have no order: pages overlap (18); filters keep to one field (19); subaccounts bear no date of change (21).

mod auth;
mod calls;
mod client;
mod convert;
mod endpoint;
mod licence;
mod lookup;
mod mirror;
mod naming;
mod outcome;
mod probe;
mod readback;
mod reference;
mod release;
mod saga;
pub mod settings;
#[cfg(test)]
mod tests;
mod throttle;
mod waits;
pub mod webhook;
mod wire;

pub use mirror::{Changes, Mirror, Watched};
pub use settings::Settings;

use self::auth::Identity;
use self::client::Client;
use crate::clock::Clock;
use crate::secret::Credential;
use crate::vendors::http::Transport;
use crate::vendors::registry::{Build, Roles, VendorKind};
use crate::vendors::sites::Sites;
use crate::vendors::webhook::{SECRET_FIELDS, WebhookKind};
use crate::vendors::{Claimed, CredentialKeeper, ErpDocument, ErpTarget, Probe, ProbeResult};
use async_trait::async_trait;
use serde_json::{Map, Value};
use spend::Date;
use spend::ids::CompanyId;
use spend::plan::PostingPlan;
use spend::posting::{ErpReceipt, Failure, LookUp};
use spend::reference::ReferenceData;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Whole time of a call: it may wait ten minutes in the site's queue before it is looked at (D).
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(12 * 60);
/// Every secret field that some way of authorisation needs or keeps.
pub const CREDENTIAL_FIELDS: &[&str] = &[
    "client_id",
    "client_secret",
    "client_assertion",
    "user",
    "password",
    "refresh_token",
    SECRET_FIELDS[0],
    SECRET_FIELDS[1],
];

/// This vendor's line in the registry.
pub const KIND: VendorKind = VendorKind {
    kind: "acumatica",
    name: "Acumatica",
    credential_fields: CREDENTIAL_FIELDS,
    // The licence counts, and delays from half of it on: a window alone would not do, see `throttle.rs`.
    pace: |_| Vec::new(),
    concurrency: licence::CONCURRENCY,
    timeout: DEFAULT_TIMEOUT,
    least_settle_window,
    schema: || schemars::schema_for!(Settings).to_value(),
    check: |settings| Settings::from_json(settings).map(drop),
    unique: |settings| Settings::from_json(settings).map_or(&[], |settings| settings.unique_kinds()),
    // The name of a company is the flow's own; where no branch is named for it, it is whichever the user's is.
    books: |settings, company| {
        let branch = Settings::from_json(settings).ok()?.branches.remove(company)?;
        Some(branch.trim().to_uppercase())
    },
    webhook: Some(WebhookKind {
        verify: webhook::verify,
        parse: webhook::hint,
        // Its company is a tenant, which only the older sign-in names.
        company: |_| None,
    }),
    idle_life: None,
    build,
};

/// Settings that cannot be read are refused elsewhere.
fn least_settle_window(settings: &Map<String, Value>) -> Duration {
    let settings = Settings::from_json(settings).unwrap_or_default();
    Duration::from_secs(settings.commit_seconds.into())
}

fn build(parts: Build) -> Result<Roles, Vec<String>> {
    let settings = Settings::from_json(&parts.settings)?;
    let client = Arc::new(Acumatica::new(
        parts.transport,
        parts.credential,
        parts.keeper,
        &parts.url,
        settings,
        parts.clock,
        &parts.sites,
    ));
    Ok(Roles { source: None, erp: Some(client.clone()), reference: None, probe: client })
}

/// One connection to Acumatica.
pub struct Acumatica {
    client: Arc<Client>,
}

impl Acumatica {
    /// A connection. `base` is the instance (`https://host` or `https://host/instance`), whose licence it shares with the
    /// other connections of `sites`.
    pub fn new(
        transport: Arc<dyn Transport>,
        credential: Credential,
        keeper: Arc<dyn CredentialKeeper>,
        base: &Url,
        settings: Settings,
        clock: Clock,
        sites: &Sites,
    ) -> Self {
        let identity = Identity::new(credential, keeper, &settings, clock.clone());
        Self { client: Arc::new(Client::new(transport, identity, base, settings, clock, sites)) }
    }

    /// What changed among records since `mirror` was last brought up to date. `full` reads everything, which alone finds
    /// what was deleted.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn changes(
        &self,
        watched: Watched,
        mirror: &mut Mirror,
        full: bool,
    ) -> Result<Changes, Failure> {
        self.work(mirror::changes(&self.client, watched, mirror, full)).await
    }

    /// A piece of work, after which the session may rest.
    async fn work<T>(&self, work: impl Future<Output = T> + Send) -> T {
        let busy = self.client.begin();
        let done = work.await;
        drop(busy);
        self.client.rest().await;
        done
    }
}

#[async_trait]
impl ErpTarget for Acumatica {
    async fn look_up(&self, plan: &PostingPlan) -> Result<LookUp, Failure> {
        self.work(lookup::look_up(&self.client, plan)).await
    }

    async fn post(&self, claimed: &Claimed, found: &LookUp) -> Result<ErpReceipt, Failure> {
        self.work(saga::post(&self.client, claimed, found)).await
    }

    /// Covers every branch that the user may see.
    async fn read_back(&self, prefix: &str, from: Date, to: Date) -> Result<Vec<ErpDocument>, Failure> {
        self.work(readback::read_back(&self.client, prefix, (from, to))).await
    }

    fn refuses_duplicates(&self, plan: &PostingPlan) -> bool {
        self.client.settings.unique_kinds().contains(&plan.document.kind())
    }

    async fn reference_data(&self, company: &CompanyId) -> Result<ReferenceData, Failure> {
        self.work(reference::read(&self.client, company, self.client.now())).await
    }
}

#[async_trait]
impl Probe for Acumatica {
    async fn probe(&self) -> Vec<ProbeResult> {
        self.work(probe::probe(&self.client)).await
    }
}
