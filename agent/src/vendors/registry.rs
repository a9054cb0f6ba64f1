//! The one list of vendors. Adding a vendor is one line in [`VENDORS`] and its folder; nothing else in the agent
//! names a vendor.

use super::http::{CallLog, Gate, GateError, GateSettings, Pace, Paces, Transport};
use super::idle::IdleLife;
use super::sites::Sites;
use super::webhook::WebhookKind;
use super::{
    CredentialKeeper, ErpTarget, Notes, Probe, ProbeResult, ReferenceTarget, SpendSource, Verdict, acumatica,
    brex, epicor, expensify,
};
use crate::clock::Clock;
use crate::secret::Credential;
use async_trait::async_trait;
use purser_proto::validate::ValidConnection;
use serde_json::{Map, Value};
use spend::ids::{CompanyId, ConnectionId};
use spend::mapping::DocumentKind;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// All vendors.
pub static VENDORS: &[VendorKind] = &[acumatica::KIND, brex::KIND, epicor::KIND, expensify::KIND];

/// What the registry knows of a vendor.
pub struct VendorKind {
    /// The word in `connection.kind`.
    pub kind: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// Fields that its secret may have, for `purser secrets set` and `doctor`.
    pub credential_fields: &'static [&'static str],
    /// Rate ceilings per credential, with these settings: calls and window.
    pub pace: PaceWindows,
    /// Calls in flight at once.
    pub concurrency: usize,
    /// Whole time allowed for a call, unless the configuration says otherwise.
    pub timeout: Duration,
    /// The longest time that it may still commit a write after the connection is gone, with these settings, where that is
    /// known: flows that write to it must not settle earlier.
    pub least_settle_window: fn(&Map<String, Value>) -> Duration,
    /// JSON schema of its settings.
    pub schema: fn() -> Value,
    /// Checks its settings: every finding in words, with the path below `settings`.
    pub check: SettingsCheck,
    /// Kinds of documents of which, with these settings, the ERP itself refuses a second one under the same reference.
    pub unique: fn(&Map<String, Value>) -> &'static [DocumentKind],
    /// The books that a flow's company leads to, with these settings; `None` = its name does not tell them from others.
    pub books: fn(&Map<String, Value>, &CompanyId) -> Option<String>,
    /// How its webhooks are received; `None` = it sends none that are understood.
    pub webhook: Option<WebhookKind>,
    /// How long its credentials live unused; `None` = for ever, as far as is known.
    pub idle_life: Option<IdleLife>,
    /// Makes the client.
    pub build: fn(Build) -> Result<Roles, Vec<String>>,
}

/// How many calls may begin within each window of time, with a vendor's settings.
pub type PaceWindows = fn(&Map<String, Value>) -> Vec<(u32, Duration)>;

/// A check of a vendor's settings: every finding in words.
pub type SettingsCheck = fn(&Map<String, Value>) -> Result<(), Vec<String>>;

/// What a vendor's folder makes a client from.
pub struct Build {
    /// Sends calls.
    pub transport: Arc<dyn Transport>,
    /// What it authenticates with.
    pub credential: Credential,
    /// Keeps what the vendor renews of the credential.
    pub keeper: Arc<dyn CredentialKeeper>,
    /// What the connection must remember because the vendor does not.
    pub notes: Arc<dyn Notes>,
    /// Base URL of the configuration.
    pub url: Url,
    /// Its settings.
    pub settings: Map<String, Value>,
    /// Companies that flows post to through this connection.
    pub companies: Vec<CompanyId>,
    /// Time.
    pub clock: Clock,
    /// What connections to one site share.
    pub sites: Sites,
}

/// The roles a client can play.
pub struct Roles {
    /// As a spend system.
    pub source: Option<Arc<dyn SpendSource>>,
    /// As an ERP.
    pub erp: Option<Arc<dyn ErpTarget>>,
    /// As a spend system that reference data is mirrored into.
    pub reference: Option<Arc<dyn ReferenceTarget>>,
    /// For `doctor`.
    pub probe: Arc<dyn Probe>,
}

/// The words that `connection.kind` may have.
pub fn kinds() -> Vec<&'static str> {
    VENDORS.iter().map(|vendor| vendor.kind).collect()
}

/// One vendor.
pub fn vendor(kind: &str) -> Option<&'static VendorKind> {
    VENDORS.iter().find(|vendor| vendor.kind == kind)
}

/// The settings' schemas by kind, for `purser config schema`.
pub fn schemas() -> BTreeMap<String, Value> {
    VENDORS.iter().map(|vendor| (vendor.kind.to_owned(), (vendor.schema)())).collect()
}

/// What every connection of the process shares.
#[derive(Clone)]
pub struct Shared {
    /// Paces by credential.
    pub paces: Arc<Paces>,
    /// What connections to one site share.
    pub sites: Sites,
    /// Where calls are recorded.
    pub log: Arc<dyn CallLog>,
    /// Time.
    pub clock: Clock,
}

/// A connection, ready to be called.
pub struct Connection {
    /// Which.
    pub id: ConnectionId,
    /// Its roles.
    pub roles: Roles,
    /// Why it cannot be used, when it cannot.
    pub problem: Option<String>,
}

/// Why a connection cannot be made from its configuration and its secret.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No vendor of that kind.
    #[error("connection `{connection}`: kind `{kind}` is not known")]
    Kind {
        /// Which connection.
        connection: ConnectionId,
        /// What it says.
        kind: String,
    },
    /// The secret store has no such secret.
    #[error(
        "connection `{connection}`: there is no secret `{secret}`; set it with `purser secrets set {secret}`"
    )]
    NoSecret {
        /// Which connection.
        connection: ConnectionId,
        /// Which secret.
        secret: String,
    },
    /// The secret lacks a field, or the settings are wrong.
    #[error("connection `{connection}`: {}", .findings.join("; "))]
    Settings {
        /// Which connection.
        connection: ConnectionId,
        /// All of them.
        findings: Vec<String>,
    },
    /// The HTTP client cannot be made (CA file, proxy).
    #[error("connection `{connection}`: the HTTP client cannot be made")]
    Gate {
        /// Which connection.
        connection: ConnectionId,
        /// Why.
        #[source]
        source: GateError,
    },
}

/// Makes a connection. Called inside the arbiter of its actor, because the HTTP client's sockets live there.
///
/// # Errors
/// [`ConnectError`] says what to mend.
pub fn connect(
    config: &ValidConnection,
    credential: Option<Credential>,
    proxy_credential: Option<Credential>,
    companies: Vec<CompanyId>,
    keeper: Arc<dyn CredentialKeeper>,
    notes: Arc<dyn Notes>,
    shared: &Shared,
) -> Result<Connection, ConnectError> {
    let vendor = vendor(&config.kind)
        .ok_or_else(|| ConnectError::Kind { connection: config.id.clone(), kind: config.kind.clone() })?;
    let credential = credential.ok_or_else(|| ConnectError::NoSecret {
        connection: config.id.clone(),
        secret: config.secret.clone(),
    })?;
    let windows = (vendor.pace)(&config.settings);
    let pace: Arc<Pace> = shared.paces.for_credential(vendor.kind, &credential, &windows, vendor.concurrency);
    let settings = GateSettings::new(config, proxy_credential, vendor.timeout);
    let gate = Gate::new(settings, pace, Arc::clone(&shared.log), shared.clock.clone())
        .map_err(|source| ConnectError::Gate { connection: config.id.clone(), source })?;
    let build = Build {
        transport: Arc::new(gate),
        credential,
        keeper,
        notes,
        url: config.url.clone(),
        settings: config.settings.clone(),
        companies,
        clock: shared.clock.clone(),
        sites: shared.sites.clone(),
    };
    let roles = (vendor.build)(build)
        .map_err(|findings| ConnectError::Settings { connection: config.id.clone(), findings })?;
    Ok(Connection { id: config.id.clone(), roles, problem: None })
}

impl Connection {
    /// A connection that cannot be used, and says why whenever it is asked.
    pub fn unusable(id: ConnectionId, why: String) -> Self {
        let probe = Arc::new(Unusable(why.clone()));
        Self { id, roles: Roles { source: None, erp: None, reference: None, probe }, problem: Some(why) }
    }
}

struct Unusable(String);

#[async_trait]
impl Probe for Unusable {
    async fn probe(&self) -> Vec<ProbeResult> {
        vec![ProbeResult {
            check: "settings".to_owned(),
            verdict: Verdict::Fail,
            detail: self.0.clone(),
            fix: "mend what is named here, then start the agent again".to_owned(),
        }]
    }
}
