//! Expensify's Integration Server: one URL, one form, jobs described in JSON. Reports are read by exporting them
//! through our own template into a file that is downloaded, and marked by a second job that exports nothing else.
//!
//! Quirks, all from <https://integrations.expensify.com/Integration-Server/doc/>:
//! - HTTP 200 does not mean success: `responseCode` in the body decides (`outcome.rs`).
//! - An export answers a bare file name; nothing tells when the file is ready (`export.rs`, `template.rs`).
//! - `markAsExported` takes effect when the job finishes, not when we have the bytes: never on the reading export.
//! - There is no cursor: a page is a limit plus the filter on our mark. Ranges over a year are refused (`read.rs`).
//! - Whether `approvedAfter` includes its day is contradictory: one day more is asked for and filtered here.
//! - Amounts are cents in every currency; `amount` is in the expense's own currency, `convertedAmount` in the
//!   report's (`convert.rs`).
//! - Missing values are empty strings; names may hold HTML entities and `\:`.
//! - Five calls in 10 seconds and twenty in a minute: [`Settings::rate_limits`].
//! - Reference data goes the other way; updates of tags replace all of them (`reference.rs`).
//! - Workspaces of other types than `team` and `corporate` are served in part or not at all: the probe warns.

mod auth;
mod calls;
mod convert;
mod export;
mod outcome;
mod probe;
mod read;
mod reference;
mod settings;
mod template;
mod wire;

#[cfg(test)]
mod tests;

pub use auth::CREDENTIAL_FIELDS;
pub use settings::{CategorySettings, EmployeeSettings, NameForm, ReferenceSettings, Settings, TagSettings};
pub use wire::{Category, Member, Policy, PolicyDetail, PolicyTag, Scalar, TagLevel};

use crate::clock::Clock;
use crate::secret::Credential;
use crate::vendors::http::Transport;
use crate::vendors::registry::{Build, Roles, VendorKind};
use crate::vendors::{Exported, Notes, Probe, ProbeResult, SourcePage, SourceWindow, SpendSource};
use async_trait::async_trait;
use outcome::unavailable;
use serde_json::{Map, Value};
use spend::Timestamp;
use spend::ids::SourceId;
use spend::posting::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;
use url::Url;

/// Whole time of a call: exports take minutes.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(240);

/// This vendor's line in the registry.
pub const KIND: VendorKind = VendorKind {
    kind: "expensify",
    name: "Expensify",
    credential_fields: CREDENTIAL_FIELDS,
    pace,
    concurrency: 2,
    timeout: DEFAULT_TIMEOUT,
    least_settle_window: |_| Duration::ZERO,
    schema: || schemars::schema_for!(Settings).to_value(),
    check: |settings| Settings::from_json(settings).map(drop),
    unique: |_| &[],
    books: |_, _| None,
    webhook: None,
    idle_life: None,
    build,
};

/// The configured ceilings; settings that cannot be read are refused elsewhere, and mean the documented ones here.
fn pace(settings: &Map<String, Value>) -> Vec<(u32, Duration)> {
    let settings = Settings::from_json(settings).unwrap_or_default();
    settings.rate_limits.iter().map(|(calls, s)| (*calls, Duration::from_secs((*s).into()))).collect()
}

fn build(parts: Build) -> Result<Roles, Vec<String>> {
    let settings = Settings::from_json(&parts.settings)?;
    let Build { transport, credential, url, notes, clock, .. } = parts;
    let client = Arc::new(Expensify::new(transport, credential, url, settings, notes, clock));
    Ok(Roles { source: Some(client.clone()), erp: None, reference: Some(client.clone()), probe: client })
}

/// One Expensify account.
pub struct Expensify {
    transport: Arc<dyn Transport>,
    credential: Credential,
    base: Url,
    settings: Settings,
    /// How long lists were when they were last read.
    notes: Arc<dyn Notes>,
    clock: Clock,
    /// "Too many calls" in a row.
    throttles: AtomicU32,
    /// Held from the read before a write of reference data to the read after it: two sets can share one list of tags.
    one_write: tokio::sync::Mutex<()>,
}

impl fmt::Debug for Expensify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expensify").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Expensify {
    /// A client. `base` is the host, or the whole URL of the integration server.
    pub fn new(
        transport: Arc<dyn Transport>,
        credential: Credential,
        base: Url,
        settings: Settings,
        notes: Arc<dyn Notes>,
        clock: Clock,
    ) -> Self {
        let one_write = tokio::sync::Mutex::default();
        Self { transport, credential, base, settings, notes, clock, throttles: AtomicU32::new(0), one_write }
    }

    /// The policies that the account administers.
    ///
    /// # Errors
    /// As every call; `Unavailable` when the answer is not understood.
    pub async fn policies(&self) -> Result<Vec<Policy>, Failure> {
        let (envelope, _) = self.job(calls::policy_list(&self.credential, &self.base)?).await?;
        let listed = envelope.as_ref().ok_or_else(|| "the answer is not an object".to_owned());
        listed.and_then(calls::policies).map_err(|why| unavailable(format!("expensify.policy-list: {why}")))
    }

    /// Sections (`categories`, `tags`, `employees`) of policies, by policy id.
    ///
    /// # Errors
    /// As [`Expensify::policies`].
    pub async fn policy_details(
        &self,
        ids: &[String],
        sections: &[&str],
    ) -> Result<BTreeMap<String, PolicyDetail>, Failure> {
        let (envelope, _) = self.job(calls::policy(&self.credential, &self.base, ids, sections)?).await?;
        let answer = envelope.as_ref().ok_or_else(|| "the answer is not an object".to_owned());
        answer.and_then(calls::policy_details).map_err(|why| unavailable(format!("expensify.policy: {why}")))
    }

    /// Marks one chunk and keeps of the answer what was asked for.
    async fn acknowledge_chunk(&self, ids: &[&str]) -> Result<Vec<SourceId>, Failure> {
        let marked = self.mark(ids).await?;
        let strangers = marked.iter().filter(|id| !ids.contains(&id.as_str())).count();
        if strangers > 0 {
            tracing::error!(strangers, "expensify marked reports that were not asked for");
        }
        Ok(ids.iter().filter(|id| marked.contains(**id)).map(|id| SourceId::new(*id)).collect())
    }
}

#[async_trait]
impl SpendSource for Expensify {
    async fn read(&self, window: &SourceWindow) -> Result<SourcePage, Failure> {
        match window {
            SourceWindow::Ready { from, to, limit } => self.read_ready(*from, *to, *limit).await,
            SourceWindow::Period { from, to } => self.read_period(*from, *to).await,
            SourceWindow::Ids(ids) => self.read_ids(ids).await,
        }
    }

    async fn acknowledge(&self, exported: &[Exported]) -> Result<Vec<SourceId>, Failure> {
        let unique: BTreeSet<&str> =
            exported.iter().map(|one| one.id.as_str()).filter(|id| settings::is_id(id)).collect();
        let unique: Vec<&str> = unique.into_iter().collect();
        let mut marked = Vec::new();
        for chunk in unique.chunks(read::IDS_PER_JOB) {
            match self.acknowledge_chunk(chunk).await {
                Ok(part) => marked.extend(part),
                // What is marked is worth knowing; the rest is asked for again by the caller.
                Err(failure) if !marked.is_empty() => {
                    tracing::warn!(%failure, marked = marked.len(), "reports are marked in part");
                    break;
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(marked)
    }
}

#[async_trait]
impl Probe for Expensify {
    async fn probe(&self) -> Vec<ProbeResult> {
        self.examine().await
    }
}

/// The time until a moment; none when it is past.
fn time_until(clock: &Clock, until: Timestamp) -> Duration {
    (until - clock.now()).to_std().unwrap_or_default()
}
