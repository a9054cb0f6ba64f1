//! The configuration as it is written: one structure for the local TOML file and for revisions from the control
//! plane. Raw shapes here; `validate` turns them into valid ones or into every finding with its path.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spend::ids::{CompanyId, ConnectionId, FlowId};
use spend::mapping::{DocumentKind, MappingRules};
use spend::mirror::{MirrorRules, ReferenceSet};
use spend::plan::Stage;
use std::collections::BTreeMap;

/// The whole configuration (`purser.toml`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Version of this format; 1.
    pub version: u32,
    /// Logging.
    #[serde(default)]
    pub log: LogSettings,
    /// Limits that nobody remote can lift.
    #[serde(default)]
    pub guard_rails: GuardRails,
    /// Vendor accounts.
    #[serde(default, rename = "connection", skip_serializing_if = "Vec::is_empty")]
    pub connections: Vec<ConnectionConfig>,
    /// Flows between them.
    #[serde(default, rename = "flow", skip_serializing_if = "Vec::is_empty")]
    pub flows: Vec<FlowConfig>,
    /// Reference flows: sets of reference data that are mirrored from an ERP into a spend system.
    #[serde(default, rename = "reference", skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<ReferenceConfig>,
}

/// Where and how much is logged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// `error`, `warn`, `info`, `debug` or `trace`, or a filter such as `info,purser::vendors=debug`. Default: info.
    pub level: Option<String>,
    /// Days of log files that are kept. Default: 14.
    pub keep_days: Option<u16>,
}

/// Limits set on the machine. Amounts are decimal texts in the document's currency. A currency that a table of limits
/// does not name is refused, because a limit that can be walked around is none; an empty table means no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GuardRails {
    /// Companies that may be posted to; empty = those that the flows name.
    pub companies: Vec<CompanyId>,
    /// Document kinds that may be written; empty = all.
    pub document_kinds: Vec<DocumentKind>,
    /// Largest single document, by currency code: `{ USD = "5000.00" }`.
    pub max_per_document: BTreeMap<String, String>,
    /// Largest sum of one run, by currency code.
    pub max_per_run: BTreeMap<String, String>,
    /// Largest sum of one day (UTC), by currency code.
    pub max_per_day: BTreeMap<String, String>,
    /// Most documents of one run.
    pub max_documents_per_run: Option<u32>,
    /// Days (`2026-12-31`) on which nothing is posted.
    pub blackout_dates: Vec<String>,
}

/// One vendor account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionConfig {
    /// Name, unique: lower-case letters, digits and `-`.
    pub id: ConnectionId,
    /// Vendor: `expensify`, `brex`, `epicor`, `acumatica`.
    pub kind: String,
    /// Base URL.
    pub url: String,
    /// Name of the secret in the secret store; default: the connection's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// How it is reached.
    #[serde(default)]
    pub network: NetworkSettings,
    /// What the vendor's folder defines: see `purser config schema`.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub settings: serde_json::Map<String, serde_json::Value>,
}

/// Proxy, trust and time-outs of one connection. Times are seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkSettings {
    /// `http://proxy.example.test:3128`; `none` = no proxy also when the environment names one.
    pub proxy: Option<String>,
    /// Name of a secret with `user` and `password` for the proxy.
    pub proxy_secret: Option<String>,
    /// PEM file with certificate authorities trusted in addition to the system's.
    pub extra_ca: Option<String>,
    /// Connect time-out. Default: 10.
    pub connect_timeout: Option<u16>,
    /// Time-out of a whole call. Default: the vendor's.
    pub timeout: Option<u16>,
    /// Allow `http://` to a loopback address (sandbox). Plain HTTP to any other address is refused always.
    pub allow_plain_loopback: bool,
}

/// One flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowConfig {
    /// Name, unique: lower-case letters, digits and `-`. Never change it: posting keys are made from it.
    pub id: FlowId,
    /// Connection that records are read from.
    pub source: ConnectionId,
    /// Connection that postings are written to.
    pub target: ConnectionId,
    /// Company in the ERP.
    pub company: CompanyId,
    /// Journal or AP invoice.
    #[serde(default)]
    pub document: DocumentKind,
    /// Short mark at the head of references, 1 to 6 letters or digits. Default: `EXP`. Never change it.
    #[serde(default = "default_prefix")]
    pub prefix: String,
    /// How far documents are taken. Default: staged.
    #[serde(default)]
    pub stage: Stage,
    /// Five cron fields or `@hourly`, `@daily`, ...; `None` = by hand only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// IANA time zone of the schedule. Default: UTC.
    #[serde(default = "default_zone")]
    pub timezone: String,
    /// First day of approval that is ever read (`2026-01-01`).
    pub start: String,
    /// Reading and posting policy.
    #[serde(default)]
    pub policy: FlowPolicy,
    /// Rules.
    #[serde(default)]
    pub mapping: MappingRules,
}

/// One reference flow: a set of reference data, mirrored from an ERP into a spend system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceConfig {
    /// Name, unique among all flows: lower-case letters, digits and `-`.
    pub id: FlowId,
    /// Connection of the ERP that the set is read from.
    pub from: ConnectionId,
    /// Connection of the spend system that it is written to. Where it goes there is said by that connection's settings.
    pub to: ConnectionId,
    /// Company in the ERP.
    pub company: CompanyId,
    /// `vendors`, `accounts`, `employees`, `cost-centres` or `projects`.
    pub set: ReferenceSet,
    /// Five cron fields or `@hourly`, `@daily`, ...; `None` = by hand only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// IANA time zone of the schedule. Default: UTC.
    #[serde(default = "default_zone")]
    pub timezone: String,
    /// Most changes of one run without a person's consent. Default: 1000.
    #[serde(default = "default_max_changes")]
    pub max_changes: u32,
    /// Most of the active entries that one run may disable without a person's consent, in percent, rounded up to a
    /// whole entry. Default: 10.
    #[serde(default = "default_max_disable")]
    pub max_disable_percent: u8,
    /// What is taken from the ERP, and how it is compared.
    #[serde(default)]
    pub options: MirrorRules,
}

/// How a flow reads, retries and settles. Times are seconds unless the name says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FlowPolicy {
    /// Days that are read again below the high-water mark. Default: 7.
    pub overlap_days: u16,
    /// Records per page. Default: 100.
    pub page_size: u32,
    /// Postings claimed and written per commit. Default: 100.
    pub batch_size: u16,
    /// Longest time the ERP may still commit after our connection is gone. Default: 120; 0 only where the ERP refuses
    /// duplicates.
    pub settle_window: u32,
    /// Least time between the two empty look-ups after the settle window. Default: 30.
    pub settle_interval: u32,
    /// After the settle window and two empty look-ups, write again also where the ERP does not refuse duplicates.
    /// Default: no, hold for a person.
    pub rewrite_without_uniqueness: bool,
    /// Transient failures before a posting is held. Default: 12.
    pub max_attempts: u16,
    /// First delay of the exponential back-off. Default: 5.
    pub backoff_base: u32,
    /// Longest delay. Default: 1800.
    pub backoff_max: u32,
    /// Age at which reference data is read again. Default: 900.
    pub reference_max_age: u32,
    /// How often records that were posted and marked are read again to see whether they changed. Default: 21600.
    pub change_check: u32,
    /// How long ago a record may have been read when its posting is claimed; one that has waited longer is read again right
    /// before. Default: 900; 0 = always.
    pub reread_after: u32,
    /// Reference flows that must have ended well before new records are booked; what is under way is settled meanwhile.
    /// Default: none.
    pub wait_for: Vec<FlowId>,
    /// How long ago that may be at most. Default: 86400.
    pub wait_max_age: u32,
}

impl Default for FlowPolicy {
    fn default() -> Self {
        Self {
            overlap_days: 7,
            page_size: 100,
            batch_size: 100,
            settle_window: 120,
            settle_interval: 30,
            rewrite_without_uniqueness: false,
            max_attempts: 12,
            backoff_base: 5,
            backoff_max: 1800,
            reference_max_age: 900,
            change_check: 21_600,
            reread_after: 900,
            wait_for: Vec::new(),
            wait_max_age: 86_400,
        }
    }
}

fn default_prefix() -> String {
    "EXP".to_owned()
}

const fn default_max_changes() -> u32 {
    1000
}

const fn default_max_disable() -> u8 {
    10
}

fn default_zone() -> String {
    "UTC".to_owned()
}
