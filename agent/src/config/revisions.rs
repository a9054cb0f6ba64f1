//! Configurations of the control plane: which one is in force, and whether a new one may take its place. The one in force
//! stays with its whole text in the agent's own store, so an agent works on whatever becomes of the control plane.

use super::guard_rails::{LocalRails, MachineRails};
use super::{ConfigError, check, load, routes};
use crate::secret::Origin;
use crate::store::{Batch, Owner, SecretInfo, StateTable, Store, StoreError};
use purser_proto::config::Config;
use purser_proto::finding::ConfigFinding;
use purser_proto::link::configuration::{InForce, Revision};
use purser_proto::validate::{VERSION, ValidConfig};
use serde::{Deserialize, Serialize};
use spend::Timestamp;
use spend::guard::GuardLimits;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Its name among what the agent remembers of its control plane.
const NAME: &str = "revision";

/// The revision in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its number.
    pub number: u64,
    /// Hash of its text.
    pub hash: String,
    /// Its text.
    pub toml: String,
    /// Who made it.
    pub by: String,
    /// Why.
    pub note: String,
    /// When.
    pub at: Timestamp,
    /// Since when it is in force.
    pub since: Timestamp,
}

impl Kept {
    /// A revision that is in force from now on.
    pub fn new(revision: &Revision, since: Timestamp) -> Self {
        Self {
            number: revision.number,
            hash: revision.hash.as_str().to_owned(),
            toml: revision.toml.as_str().to_owned(),
            by: revision.by.as_str().to_owned(),
            note: revision.note.as_str().to_owned(),
            at: revision.at,
            since,
        }
    }

    /// Its place, as errors name it.
    pub fn place(&self) -> PathBuf {
        PathBuf::from(format!("revision {} of the control plane", self.number))
    }

    /// The configuration that it is.
    ///
    /// # Errors
    /// [`ConfigError::Refused`] when this release does not accept what an earlier one did.
    pub fn read(&self) -> Result<(Config, ValidConfig), ConfigError> {
        check(&self.toml).map_err(|findings| ConfigError::Refused { path: self.place(), findings })
    }
}

/// The revision in force; `None` = the machine's own file is.
///
/// # Errors
/// When the store cannot be read.
pub fn in_force(store: &Store) -> Result<Option<Kept>, StoreError> {
    store.get(StateTable::Link, NAME)
}

/// What the control plane is told about it.
pub fn told(kept: Option<&Kept>) -> InForce {
    kept.map_or_else(InForce::default, |kept| InForce {
        number: kept.number,
        hash: kept.hash.as_str().into(),
    })
}

/// Puts a revision in force, once the batch is durable.
pub fn keep(batch: &mut Batch, kept: &Kept) {
    batch.put(StateTable::Link, NAME, kept);
}

/// What a revision is for this machine.
#[derive(Debug)]
pub enum Judged {
    /// It is in force already.
    InForce,
    /// It may take the place of the one in force.
    Good(Box<(Config, ValidConfig)>),
    /// It may not, for all these reasons.
    Refused(Vec<ConfigFinding>),
    /// It would have the agent go beyond what this machine allows.
    Beyond(Vec<ConfigFinding>),
}

/// What the store says that a revision is judged by.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The revision in force.
    pub kept: Option<Kept>,
    /// The origins that stored secrets are bound to.
    pub bound: Vec<Origin>,
    /// The flows that have begun to book something.
    pub owners: Vec<Owner>,
}

impl Evidence {
    /// Reads it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn of(store: &Store) -> Result<Self, StoreError> {
        let bound = bound_origins(&store.secrets()?);
        Ok(Self { kept: in_force(store)?, bound, owners: store.owners()? })
    }
}

/// Judges a revision.
pub fn judge(revision: &Revision, evidence: Evidence, rails: &MachineRails) -> Judged {
    let Evidence { kept, bound, owners } = evidence;
    if !revision.is_whole() {
        let what = "the text is not the one that was hashed";
        return Judged::Refused(vec![ConfigFinding::new("hash", what, "send the revision again")]);
    }
    if let Some(kept) = &kept {
        if kept.number == revision.number && kept.hash == revision.hash.as_str() {
            return Judged::InForce;
        }
        if revision.number <= kept.number {
            let what = format!("revision {} is in force, this is {}", kept.number, revision.number);
            let fix = "going back is a new revision with the old text and a higher number";
            return Judged::Refused(vec![ConfigFinding::new("number", what, fix)]);
        }
    }
    match check(revision.toml.as_str()) {
        Err(findings) => Judged::Refused(findings),
        Ok((config, valid)) => {
            let mut beyond = rails.check(&valid, bound);
            if !rails.local.rename_flows {
                let kept = kept.and_then(|kept| kept.read().ok()).map(|(_, valid)| valid);
                beyond.extend(routes::check(&valid, kept.as_ref().or(rails.own()), &owners));
            }
            match beyond.is_empty() {
                true => Judged::Good(Box::new((config, valid))),
                false => Judged::Beyond(beyond),
            }
        }
    }
}

/// What an agent works with, and what holds it.
#[derive(Clone, Debug)]
pub struct Effective {
    /// As it is written.
    pub config: Config,
    /// As it was checked.
    pub valid: ValidConfig,
    /// The revision that it is; `None` = the machine's own file.
    pub revision: Option<Kept>,
    /// Limits of this machine that count beside those of the configuration.
    pub machine: Vec<GuardLimits>,
}

/// What the store knows about where the configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The revision in force.
    pub kept: Option<Kept>,
    /// The agent is enrolled: it may still have no configuration at all.
    pub enrolled: bool,
}

/// Reads it.
///
/// # Errors
/// When the store cannot be read.
pub fn known(store: &Store) -> Result<Known, StoreError> {
    let enrolled = store.enrollment_mark()?.is_some();
    // What a control plane has put in force holds only while the agent belongs to one.
    Ok(Known { kept: if enrolled { in_force(store)? } else { None }, enrolled })
}

/// The configuration in force and what holds it: the revision of an enrolled agent, else the machine's own file, else, of
/// an enrolled agent that waits for its first revision, an empty one.
///
/// # Errors
/// [`ConfigError`], also when the guard rails cannot be read: limits that cannot be read are not none.
pub fn effective(known: Known, home: &Path, config_file: &Path) -> Result<Effective, ConfigError> {
    match known.kept {
        Some(kept) => {
            let (config, valid) = kept.read()?;
            let machine = MachineRails::load(home, config_file)?.limits();
            Ok(Effective { config, valid, revision: Some(kept), machine })
        }
        None => {
            let (config, valid) = match load(config_file) {
                Err(ConfigError::Unreadable { source, .. })
                    if known.enrolled && source.kind() == ErrorKind::NotFound =>
                {
                    let nothing = format!("version = {VERSION}\n");
                    check(&nothing)
                        .map_err(|findings| ConfigError::Refused { path: config_file.to_owned(), findings })?
                }
                read => read?,
            };
            let machine = MachineRails::of(LocalRails::load(home)?, None).limits();
            Ok(Effective { config, valid, revision: None, machine })
        }
    }
}

/// The origins that secrets are bound to.
pub fn bound_origins(secrets: &[SecretInfo]) -> Vec<Origin> {
    secrets.iter().flat_map(|secret| &secret.origins).filter_map(|text| Origin::parse(text).ok()).collect()
}

#[cfg(test)]
mod tests;
