//! From the raw configuration to one that cannot be wrong, or to **every** finding with its path. Pure: both the agent
//! and the control plane call it. What only the agent knows (secrets present, vendor settings accepted) is checked
//! there.

mod connections;
mod flows;
mod mapping;
mod references;

use crate::config::{Config, FlowPolicy, GuardRails, LogSettings, NetworkSettings};
use crate::finding::ConfigFinding;
use crate::schedule::Schedule;
use spend::Date;
use spend::ids::{CompanyId, ConnectionId, FlowId};
use spend::mapping::{DocumentKind, MappingRules};
use spend::mirror::{MirrorCeiling, MirrorRules, ReferenceSet};
use spend::money::{Currency, Money};
use spend::plan::Stage;
use std::collections::{BTreeMap, BTreeSet};
use url::Url;

/// The only version of the format.
pub const VERSION: u32 = 1;

/// A configuration that has passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValidConfig {
    /// Logging.
    pub log: ValidLog,
    /// Limits that nobody remote can lift.
    pub guard_rails: ValidGuardRails,
    /// Vendor accounts, in the order of the file.
    pub connections: Vec<ValidConnection>,
    /// Flows, in the order of the file.
    pub flows: Vec<ValidFlow>,
    /// Reference flows, in the order of the file.
    pub references: Vec<ValidReference>,
}

impl ValidConfig {
    /// One connection.
    pub fn connection(&self, id: &ConnectionId) -> Option<&ValidConnection> {
        self.connections.iter().find(|connection| connection.id == *id)
    }

    /// One flow.
    pub fn flow(&self, id: &FlowId) -> Option<&ValidFlow> {
        self.flows.iter().find(|flow| flow.id == *id)
    }

    /// One reference flow.
    pub fn reference(&self, id: &FlowId) -> Option<&ValidReference> {
        self.references.iter().find(|flow| flow.id == *id)
    }

    /// The names of all flows, reference flows first, because booking needs what they bring.
    pub fn flow_ids(&self) -> impl Iterator<Item = &FlowId> + Clone {
        self.references.iter().map(|flow| &flow.id).chain(self.flows.iter().map(|flow| &flow.id))
    }
}

/// Logging.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValidLog {
    /// A level or a filter.
    pub level: String,
    /// Days of log files that are kept.
    pub keep_days: u16,
}

/// Limits set on the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValidGuardRails {
    /// Companies that may be posted to; empty = those that the flows name.
    pub companies: BTreeSet<CompanyId>,
    /// Document kinds that may be written; empty = all.
    pub document_kinds: BTreeSet<DocumentKind>,
    /// Largest single document. A currency that is not named is refused, unless the table is empty.
    pub max_per_document: BTreeMap<Currency, Money>,
    /// Largest sum of one run.
    pub max_per_run: BTreeMap<Currency, Money>,
    /// Largest sum of one day (UTC).
    pub max_per_day: BTreeMap<Currency, Money>,
    /// Most documents of one run.
    pub max_documents_per_run: Option<u32>,
    /// Days on which nothing is posted.
    pub blackout_dates: BTreeSet<Date>,
}

/// One vendor account.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValidConnection {
    /// Name.
    pub id: ConnectionId,
    /// Vendor, one of the known kinds.
    pub kind: String,
    /// Base URL: absolute, `https` (or `http` to loopback where allowed), without credentials, query or fragment.
    pub url: Url,
    /// Name of the secret.
    pub secret: String,
    /// How it is reached; every value checked.
    pub network: NetworkSettings,
    /// What the vendor's folder defines, unchecked.
    pub settings: serde_json::Map<String, serde_json::Value>,
}

/// One flow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValidFlow {
    /// Name.
    pub id: FlowId,
    /// Connection that records are read from.
    pub source: ConnectionId,
    /// Connection that postings are written to.
    pub target: ConnectionId,
    /// Company in the ERP.
    pub company: CompanyId,
    /// Journal or AP invoice.
    pub document: DocumentKind,
    /// Mark at the head of references: 1 to 6 capital letters or digits, and no other flow's into the same target
    /// begins with it.
    pub prefix: String,
    /// How far documents are taken.
    pub stage: Stage,
    /// When it runs by itself; `None` = by hand only.
    pub schedule: Option<Schedule>,
    /// Time zone of the schedule.
    pub zone: chrono_tz::Tz,
    /// First day of approval that is ever read.
    pub start: Date,
    /// Reading and posting policy, every value within its range.
    pub policy: FlowPolicy,
    /// Rules.
    pub mapping: MappingRules,
}

/// One reference flow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValidReference {
    /// Name.
    pub id: FlowId,
    /// Connection of the ERP.
    pub from: ConnectionId,
    /// Connection of the spend system.
    pub to: ConnectionId,
    /// Company in the ERP.
    pub company: CompanyId,
    /// What is mirrored.
    pub set: ReferenceSet,
    /// When it runs by itself; `None` = by hand only.
    pub schedule: Option<Schedule>,
    /// Time zone of the schedule.
    pub zone: chrono_tz::Tz,
    /// How much one run may change without a person.
    pub ceiling: MirrorCeiling,
    /// What is taken and how it is compared; every pattern readable.
    pub rules: MirrorRules,
}

/// Checks a configuration. `known_kinds` are the vendors of this build.
///
/// # Errors
/// Every finding, in the order of the file.
pub fn validate(config: &Config, known_kinds: &[&str]) -> Result<ValidConfig, Vec<ConfigFinding>> {
    let mut check = Check::default();
    if config.version != VERSION {
        check.refuse(
            "version",
            format!("version {} of the format is not known", config.version),
            format!("write `version = {VERSION}`"),
        );
    }
    let log = valid_log(&mut check, &config.log);
    let guard_rails = valid_guard_rails(&mut check, &config.guard_rails);
    let connections: Vec<_> = config
        .connections
        .iter()
        .enumerate()
        .map(|(index, raw)| connections::valid(&mut check, &format!("connection[{index}]"), raw, known_kinds))
        .collect();
    connections::unique(&mut check, &config.connections);
    let flows: Vec<_> = config
        .flows
        .iter()
        .enumerate()
        .map(|(index, raw)| flows::valid(&mut check, &format!("flow[{index}]"), raw, config))
        .collect();
    flows::apart(&mut check, &config.flows);
    let references: Vec<_> = config
        .references
        .iter()
        .enumerate()
        .map(|(index, raw)| references::valid(&mut check, &format!("reference[{index}]"), raw, config))
        .collect();
    references::apart(&mut check, config);

    let connections: Option<Vec<_>> = connections.into_iter().collect();
    let flows: Option<Vec<_>> = flows.into_iter().collect();
    let references: Option<Vec<_>> = references.into_iter().collect();
    match (log, guard_rails, connections, flows, references) {
        (Some(log), Some(guard_rails), Some(connections), Some(flows), Some(references))
            if check.findings.is_empty() =>
        {
            Ok(ValidConfig { log, guard_rails, connections, flows, references })
        }
        _ => Err(check.findings),
    }
}

/// What a name looks like, in words.
pub const NAME_RULE: &str = "1 to 40 lower-case letters, digits and `-`, not beginning with `-`";

/// Whether a connection, flow or secret may be called so: see [`NAME_RULE`].
pub fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=40).contains(&text.len()) && text.chars().all(plain) && !text.starts_with('-')
}

/// Collects findings.
#[derive(Default)]
struct Check {
    findings: Vec<ConfigFinding>,
}

impl Check {
    fn refuse(&mut self, path: impl Into<String>, what: impl Into<String>, fix: impl Into<String>) {
        self.findings.push(ConfigFinding::new(path, what, fix));
    }

    fn refuse_because(
        &mut self,
        path: impl Into<String>,
        what: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.findings.push(ConfigFinding::new(path, what, fix).because(why));
    }

    /// A number within its range.
    fn range(&mut self, path: String, value: u32, least: u32, most: u32) {
        if !(least..=most).contains(&value) {
            self.refuse(
                path,
                format!("{value} is out of range"),
                format!("write a number from {least} to {most}"),
            );
        }
    }

    fn name(&mut self, path: String, name: &str) {
        if !is_name(name) {
            self.refuse(
                path,
                format!("`{}` is not a well-formed name", shorten(name)),
                format!("write {NAME_RULE}"),
            );
        }
    }

    fn date(&mut self, path: String, text: &str) -> Option<Date> {
        let date = Date::parse_from_str(text, "%Y-%m-%d").ok().filter(|date| date.to_string() == text);
        if date.is_none() {
            self.refuse(
                path,
                format!("`{}` is not a date", shorten(text)),
                "write year, month and day as in `2026-01-31`",
            );
        }
        date
    }

    fn currency(&mut self, path: String, code: &str) -> Option<Currency> {
        match Currency::new(code).ok().filter(|currency| currency.code() == code) {
            Some(currency) => Some(currency),
            None => {
                self.refuse(
                    path,
                    format!("`{}` is not a currency code", shorten(code)),
                    "write three capital letters (ISO 4217), such as `USD`",
                );
                None
            }
        }
    }
}

fn valid_log(check: &mut Check, raw: &LogSettings) -> Option<ValidLog> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let level = raw.level.clone().unwrap_or_else(|| "info".to_owned());
    let known = |part: &str| {
        let (target, level) = part.split_once('=').unwrap_or(("purser", part));
        !target.is_empty()
            && target.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-'))
            && LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level))
    };
    if let Some(part) = level.split(',').find(|part| !known(part.trim())) {
        check.refuse(
            "log.level",
            format!("`{}` is neither a level nor a filter", shorten(part)),
            "write `error`, `warn`, `info`, `debug` or `trace`, or a filter such as `info,purser::vendors=debug`",
        );
    }
    let keep_days = raw.keep_days.unwrap_or(14);
    check.range("log.keep_days".to_owned(), keep_days.into(), 1, 3650);
    Some(ValidLog { level, keep_days })
}

fn valid_guard_rails(check: &mut Check, raw: &GuardRails) -> Option<ValidGuardRails> {
    for (index, company) in raw.companies.iter().enumerate() {
        flows::company(check, format!("guard_rails.companies[{index}]"), company);
    }
    if raw.max_documents_per_run == Some(0) {
        check.refuse(
            "guard_rails.max_documents_per_run",
            "0 would let nothing be posted",
            "write at least 1, or leave the field out",
        );
    }
    let dates: Option<BTreeSet<Date>> = raw
        .blackout_dates
        .iter()
        .enumerate()
        .map(|(index, text)| check.date(format!("guard_rails.blackout_dates[{index}]"), text))
        .collect::<Vec<_>>()
        .into_iter()
        .collect();
    let mut limits = |field: &str, raw: &BTreeMap<String, String>| limits(check, field, raw);
    let max_per_document = limits("max_per_document", &raw.max_per_document);
    let max_per_run = limits("max_per_run", &raw.max_per_run);
    let max_per_day = limits("max_per_day", &raw.max_per_day);
    Some(ValidGuardRails {
        companies: raw.companies.iter().cloned().collect(),
        document_kinds: raw.document_kinds.iter().copied().collect(),
        max_per_document: max_per_document?,
        max_per_run: max_per_run?,
        max_per_day: max_per_day?,
        max_documents_per_run: raw.max_documents_per_run,
        blackout_dates: dates?,
    })
}

fn limits(
    check: &mut Check,
    field: &str,
    raw: &BTreeMap<String, String>,
) -> Option<BTreeMap<Currency, Money>> {
    let limits: Vec<_> = raw
        .iter()
        .map(|(code, amount)| {
            let path = format!("guard_rails.{field}.{code}");
            let currency = check.currency(path.clone(), code)?;
            match Money::parse(amount, currency) {
                Ok(limit) if limit.minor > 0 => Some((currency, limit)),
                Ok(_) => {
                    check.refuse(
                        path,
                        format!("`{}` is not above zero", shorten(amount)),
                        "write an amount above zero",
                    );
                    None
                }
                Err(error) => {
                    check.refuse(path, error.to_string(), "write a plain decimal text such as \"5000.00\"");
                    None
                }
            }
        })
        .collect();
    limits.into_iter().collect()
}

fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests;
