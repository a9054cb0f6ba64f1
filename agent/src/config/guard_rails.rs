//! The machine's guard rails: `guard-rails.toml` in the home folder, which nobody remote can read or change. What a
//! control plane sends is measured by them when it arrives, and flows are held by them whatever the configuration says.
//!
//! Each set of limits counts by itself, so the strictest decides: this file, the configuration in force, and, while a
//! revision is in force, the guard rails of the machine's own `purser.toml`.

use super::destinations;
use super::{ConfigError, load};
use crate::flows::settings::guard_limits;
use crate::secret::Origin;
use purser_proto::config::{Config, GuardRails};
use purser_proto::finding::ConfigFinding;
use purser_proto::suggest::nearest;
use purser_proto::validate::{ValidConfig, ValidGuardRails, validate};
use serde::{Deserialize, Serialize};
use spend::guard::{GuardLimits, LimitPlace};
use spend::mapping::DocumentKind;
use spend::money::{Currency, Money};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Name of the file below the home folder.
pub const FILE: &str = "guard-rails.toml";

/// Words of every command.
const COMMANDS: [&str; 10] = [
    "run",
    "preview",
    "pause",
    "resume",
    "replay",
    "handle",
    "test-connection",
    "refresh-reference",
    "diagnostics",
    "rotate-keys",
];
/// Closing a posting is the one command that can make something never be booked, so it must be allowed on purpose.
const NOT_BY_DEFAULT: &str = "handle";

/// The file as it is written.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    version: u32,
    /// The only places that a remote configuration or a sealed secret may name.
    #[serde(skip_serializing_if = "Option::is_none")]
    origins: Option<Vec<String>>,
    /// Files with certificate authorities that a remote configuration may name.
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_ca: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    companies: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    document_kinds: Vec<DocumentKind>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    max_per_document: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    max_per_run: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    max_per_day: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_documents_per_run: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_documents_per_day: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    blackout_dates: Vec<String>,
    /// Commands of the control plane that are obeyed.
    #[serde(skip_serializing_if = "Option::is_none")]
    commands: Option<Vec<String>>,
    /// Whether a remote configuration may rename flows that have postings, lead them elsewhere, or add their twins.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    rename_flows: bool,
    /// How much of what the agent knows may leave the machine.
    visibility: Visibility,
    /// Who decides about updates.
    updates: Updates,
}

/// How much of what the agent knows may leave the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Visibility {
    /// States and counts.
    #[default]
    Counts,
    /// Also why things are held, by reason, and causes in words.
    Summary,
    /// Also the records that are held: ids, amounts, reasons.
    Detail,
}

/// Who decides about updates. No release obeys it yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Updates {
    /// A person on this machine.
    #[default]
    Manual,
    /// The control plane, within what the release key has signed.
    Automatic,
}

/// The file, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalRails {
    /// The only places that may be named from afar; `None` = those that this machine knows already.
    pub origins: Option<BTreeSet<Origin>>,
    /// Files of certificate authorities that may be named from afar; `None` = those of the machine's own configuration.
    pub extra_ca: Option<BTreeSet<String>>,
    /// Commands that are obeyed.
    pub commands: BTreeSet<&'static str>,
    /// A configuration from afar may rename flows that have postings, lead them elsewhere, or add their twins.
    pub rename_flows: bool,
    /// How much may be told.
    pub visibility: Visibility,
    /// Who decides about updates.
    pub updates: Updates,
    limits: GuardLimits,
}

impl Default for LocalRails {
    fn default() -> Self {
        Self {
            origins: None,
            extra_ca: None,
            commands: COMMANDS.into_iter().filter(|word| *word != NOT_BY_DEFAULT).collect(),
            rename_flows: false,
            visibility: Visibility::default(),
            updates: Updates::default(),
            limits: GuardLimits { place: LimitPlace::Machine, ..GuardLimits::default() },
        }
    }
}

/// Where the file is.
pub fn path(home: &Path) -> PathBuf {
    home.join(FILE)
}

impl LocalRails {
    /// Reads the file; without one the defaults hold.
    ///
    /// # Errors
    /// [`ConfigError`] with every finding. Nothing is done then: limits that cannot be read are not none.
    pub fn load(home: &Path) -> Result<Self, ConfigError> {
        let path = path(home);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::check(&text).map_err(|findings| ConfigError::Refused { path, findings }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(ConfigError::Unreadable { path, source }),
        }
    }

    /// Checks the text of the file.
    ///
    /// # Errors
    /// Every finding.
    pub fn check(text: &str) -> Result<Self, Vec<ConfigFinding>> {
        let raw: Raw = toml::from_str(text).map_err(|error| {
            let finding = ConfigFinding::new("", error.message(), "see the guard rails in the README");
            vec![match error.span() {
                Some(span) => finding.at_offset(text, span.start),
                None => finding,
            }]
        })?;
        let mut findings = Vec::new();
        if raw.version != 1 {
            findings.push(ConfigFinding::new("version", "it is not 1", "write `version = 1`"));
        }
        let limits = limits(&raw).map_err(|found| findings.extend(found)).ok();
        let origins = raw.origins.as_ref().map(|list| origins(list, &mut findings));
        let commands = raw.commands.as_ref().map(|list| commands(list, &mut findings));
        match limits.filter(|_| findings.is_empty()) {
            None => Err(findings),
            Some(limits) => Ok(Self {
                origins,
                extra_ca: raw.extra_ca.map(|list| list.into_iter().collect()),
                commands: commands.unwrap_or_else(|| Self::default().commands),
                rename_flows: raw.rename_flows,
                visibility: raw.visibility,
                updates: raw.updates,
                limits,
            }),
        }
    }
}

/// The text of a first file that allows these origins only.
pub fn first_file(origins: &BTreeSet<Origin>) -> String {
    let list: Vec<String> = origins.iter().map(|origin| format!("  {:?},\n", origin.as_str())).collect();
    format!(
        "# Limits of this machine. Nobody remote can read or lift them; see the README.\nversion = 1\n\n\
         # The only places that a configuration or a secret from the control plane may name.\norigins = [\n{}]\n",
        list.concat()
    )
}

/// Amounts, dates and counts are checked by the code that checks those of the configuration.
fn limits(raw: &Raw) -> Result<GuardLimits, Vec<ConfigFinding>> {
    let rails = GuardRails {
        companies: raw.companies.iter().map(|company| company.as_str().into()).collect(),
        document_kinds: raw.document_kinds.clone(),
        max_per_document: raw.max_per_document.clone(),
        max_per_run: raw.max_per_run.clone(),
        max_per_day: raw.max_per_day.clone(),
        max_documents_per_run: raw.max_documents_per_run,
        blackout_dates: raw.blackout_dates.clone(),
    };
    let config = Config {
        version: purser_proto::validate::VERSION,
        log: purser_proto::config::LogSettings::default(),
        guard_rails: rails,
        connections: Vec::new(),
        flows: Vec::new(),
        references: Vec::new(),
    };
    let valid = validate(&config, &[]).map_err(|findings| {
        let own = |mut finding: ConfigFinding| {
            finding.path = finding.path.trim_start_matches("guard_rails.").to_owned();
            finding
        };
        findings.into_iter().map(own).collect::<Vec<_>>()
    })?;
    Ok(GuardLimits {
        max_documents_per_day: raw.max_documents_per_day,
        place: LimitPlace::Machine,
        ..guard_limits(&valid.guard_rails)
    })
}

fn origins(list: &[String], findings: &mut Vec<ConfigFinding>) -> BTreeSet<Origin> {
    let read = list.iter().enumerate().filter_map(|(at, text)| match Origin::parse(text) {
        Ok(origin) => Some(origin),
        Err(error) => {
            let fix = "write scheme, host and, where it is not the usual one, port";
            findings.push(ConfigFinding::new(format!("origins[{at}]"), error.to_string(), fix));
            None
        }
    });
    read.collect()
}

fn commands(list: &[String], findings: &mut Vec<ConfigFinding>) -> BTreeSet<&'static str> {
    let read = list.iter().enumerate().filter_map(|(at, text)| {
        let known = COMMANDS.into_iter().find(|word| word == text);
        if known.is_none() {
            let fix = match nearest(text, COMMANDS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known: {}", COMMANDS.join(", ")),
            };
            findings.push(ConfigFinding::new(format!("commands[{at}]"), "there is no such command", fix));
        }
        known
    });
    read.collect()
}

/// All that this machine says about what may come from afar.
#[derive(Clone, Debug, Default)]
pub struct MachineRails {
    /// The file of guard rails.
    pub local: LocalRails,
    /// The machine's own configuration file, where there is one.
    own: Option<ValidConfig>,
}

impl MachineRails {
    /// Reads them. A configuration file of the machine that cannot be read is an error, because limits may stand in it.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(home: &Path, config_file: &Path) -> Result<Self, ConfigError> {
        let local = LocalRails::load(home)?;
        let own = match load(config_file) {
            Ok((_, valid)) => Some(valid),
            Err(ConfigError::Unreadable { source, .. }) if source.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self { local, own })
    }

    /// Rails of these two.
    pub fn of(local: LocalRails, own: Option<ValidConfig>) -> Self {
        Self { local, own }
    }

    /// The machine's own configuration file, where there is one.
    pub fn own(&self) -> Option<&ValidConfig> {
        self.own.as_ref()
    }

    /// The limits that count in flows beside those of the configuration in force.
    pub fn limits(&self) -> Vec<GuardLimits> {
        let own = self.own.iter().map(|own| guard_limits(&own.guard_rails));
        std::iter::once(self.local.limits.clone()).chain(own).collect()
    }

    /// The places that may be named from afar: those of the file, else those of the machine's own configuration and
    /// those that secrets of its store are bound to. `bound` are the latter.
    pub fn origins(&self, bound: impl IntoIterator<Item = Origin>) -> BTreeSet<Origin> {
        if let Some(origins) = &self.local.origins {
            return origins.clone();
        }
        let own = self.own.iter().flat_map(|own| &own.connections).flat_map(|connection| {
            destinations::of_vendor(connection).into_iter().chain(destinations::of_proxy(connection))
        });
        own.chain(bound).collect()
    }

    /// Every rail that a configuration from afar is beyond; `bound` as in [`MachineRails::origins`].
    pub fn check(&self, config: &ValidConfig, bound: impl IntoIterator<Item = Origin>) -> Vec<ConfigFinding> {
        let mut findings = self.check_places(config, &self.origins(bound));
        for limits in self.limits() {
            check_flows(config, &limits, &mut findings);
            check_ceilings(&config.guard_rails, &limits, &mut findings);
        }
        findings.dedup();
        findings
    }

    fn check_places(&self, config: &ValidConfig, allowed: &BTreeSet<Origin>) -> Vec<ConfigFinding> {
        let mut findings = Vec::new();
        let files = self.authorities();
        for (at, connection) in config.connections.iter().enumerate() {
            let own = Origin::of(&connection.url);
            let vendor = destinations::of_vendor(connection).into_iter();
            let vendor = vendor.map(|origin| {
                if Some(&origin) == own.as_ref() { ("url", origin) } else { ("settings", origin) }
            });
            let proxy = destinations::of_proxy(connection).map(|origin| ("network.proxy", origin));
            for (field, origin) in vendor.chain(proxy).filter(|(_, origin)| !allowed.contains(origin)) {
                findings.push(foreign(format!("connection[{at}].{field}"), &origin));
            }
            if let Some(file) = connection.network.extra_ca.as_ref().filter(|file| !files.contains(*file)) {
                let path = format!("connection[{at}].network.extra_ca");
                let what = format!("{file} is not allowed on this machine");
                let fix = format!("add it to extra_ca in {FILE} on the machine, if it is right");
                let why = "whoever is trusted there can read what is sent";
                findings.push(ConfigFinding::new(path, what, fix).because(why));
            }
        }
        findings
    }

    fn authorities(&self) -> BTreeSet<String> {
        self.local.extra_ca.clone().unwrap_or_else(|| {
            let own = self.own.iter().flat_map(|own| &own.connections);
            own.filter_map(|connection| connection.network.extra_ca.clone()).collect()
        })
    }
}

fn foreign(path: String, origin: &Origin) -> ConfigFinding {
    ConfigFinding::new(
        path,
        format!("{origin} is not allowed on this machine"),
        format!("add it to origins in {FILE} on the machine, if it is right"),
    )
    .because("nobody remote may lead the agent to another place")
}

fn check_flows(config: &ValidConfig, limits: &GuardLimits, findings: &mut Vec<ConfigFinding>) {
    let refused = |path: String, what: String| {
        let why = "the machine's guard rails do not allow it";
        ConfigFinding::new(path, what, format!("change it, or have it allowed in {FILE} on the machine"))
            .because(why)
    };
    let booked = config.flows.iter().enumerate().map(|(at, flow)| (format!("flow[{at}]"), &flow.company));
    let read =
        config.references.iter().enumerate().map(|(at, flow)| (format!("reference[{at}]"), &flow.company));
    for (path, company) in booked.chain(read) {
        if !limits.companies.is_empty() && !limits.companies.contains(company) {
            findings.push(refused(format!("{path}.company"), format!("company {company}")));
        }
    }
    for (at, flow) in config.flows.iter().enumerate() {
        if !limits.kinds.is_empty() && !limits.kinds.contains(&flow.document) {
            let what = format!("documents of the kind {}", flow.document.as_str());
            findings.push(refused(format!("flow[{at}].document"), what));
        }
    }
}

/// Ceilings of a configuration that are above those of the machine. They would not count; whoever wrote them must know.
fn check_ceilings(asked: &ValidGuardRails, limits: &GuardLimits, findings: &mut Vec<ConfigFinding>) {
    let lifts = |path: String, what: String| {
        let why = "nobody remote can lift the machine's guard rails";
        let fix = format!("stay within them, leave it out, or have {FILE} changed on the machine");
        ConfigFinding::new(path, what, fix).because(why)
    };
    let tables = [
        ("max_per_document", &asked.max_per_document, &limits.max_per_document),
        ("max_per_run", &asked.max_per_run, &limits.max_per_run),
        ("max_per_day", &asked.max_per_day, &limits.max_per_day),
    ];
    for (name, asked, machine) in tables {
        for (currency, amount) in asked.iter().filter(|_| !machine.is_empty()) {
            if let Some(words) = above(*currency, *amount, machine) {
                findings.push(lifts(format!("guard_rails.{name}.{}", currency.code()), words));
            }
        }
    }
    if let (Some(asked), Some(most)) = (asked.max_documents_per_run, limits.max_documents_per_run)
        && asked > most
    {
        let what = format!("{asked} is above this machine's {most}");
        findings.push(lifts("guard_rails.max_documents_per_run".to_owned(), what));
    }
    if !limits.companies.is_empty() {
        let foreign = asked.companies.iter().filter(|company| !limits.companies.contains(*company));
        findings.extend(foreign.map(|company| {
            lifts("guard_rails.companies".to_owned(), format!("company {company} is not this machine's"))
        }));
    }
    if !limits.kinds.is_empty() {
        let foreign = asked.document_kinds.iter().filter(|kind| !limits.kinds.contains(*kind));
        findings.extend(foreign.map(|kind| {
            lifts("guard_rails.document_kinds".to_owned(), format!("{} is not this machine's", kind.as_str()))
        }));
    }
}

fn above(currency: Currency, asked: Money, machine: &BTreeMap<Currency, Money>) -> Option<String> {
    match machine.get(&currency) {
        None => Some(format!("this machine posts nothing in {currency}", currency = currency.code())),
        Some(most) if asked.minor > most.minor => Some(format!("{asked} is above this machine's {most}")),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests;
