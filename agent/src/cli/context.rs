//! What a verb works with: home folder, configuration, keys, posting log.

use super::{Global, Usage};
use crate::clock::Clock;
use crate::config::ConfigError;
use crate::config::revisions::{self, Effective, Kept, Known};
use crate::flows::replay::Decision;
use crate::runtime::status::{self, AgentStatus};
use crate::service::paths::{Home, ProcessSurroundings};
use crate::store::{Store, StoreError, dir_of, key};
use anyhow::Result;
use purser_proto::config::Config;
use purser_proto::suggest::nearest;
use purser_proto::validate::{ValidConfig, ValidConnection, ValidFlow};
use spend::ids::{ConnectionId, FlowId};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where things are on this machine.
#[derive(Clone, Debug)]
pub struct Context {
    home: Home,
    config: PathBuf,
    /// Time.
    pub clock: Clock,
}

/// The posting log as this process could open it.
pub enum Access {
    /// This process is the only writer.
    Alone(Store),
    /// An agent is running; this process reads beside it.
    Beside(Store),
}

impl Access {
    /// For reading.
    pub fn store(&self) -> &Store {
        match self {
            Access::Alone(store) | Access::Beside(store) => store,
        }
    }
}

impl Context {
    /// Finds the home folder.
    ///
    /// # Errors
    /// When nothing says where it is.
    pub fn new(global: &Global) -> Result<Self> {
        let home = Home::find(global.home.as_deref(), &ProcessSurroundings)?;
        let config = global.config.clone().unwrap_or_else(|| home.config_file());
        Ok(Self { home, config, clock: Clock::system() })
    }

    /// The home folder.
    pub fn home(&self) -> &Path {
        self.home.root()
    }

    /// The folder of log files.
    pub fn logs(&self) -> PathBuf {
        self.home.logs()
    }

    /// The configuration file.
    pub fn config_file(&self) -> &Path {
        &self.config
    }

    /// Whether nobody has begun anything here: nothing is stored, and no configuration was written or named.
    pub fn is_untouched(&self) -> bool {
        let own = self.home.config_file();
        self.config == own && !own.exists() && !dir_of(self.home()).exists()
    }

    /// The valid configuration.
    ///
    /// # Errors
    /// [`ConfigError`] with every finding.
    pub fn config(&self) -> Result<ValidConfig> {
        Ok(self.whole_config()?.1)
    }

    /// The configuration as it is written, and as it was checked.
    ///
    /// # Errors
    /// [`ConfigError`] with every finding; when there is no file, how to get a first one.
    pub fn whole_config(&self) -> Result<(Config, ValidConfig)> {
        self.effective().map(|effective| (effective.config, effective.valid))
    }

    /// The revision of the control plane that is in force; `None` = the machine's own file is, or the store cannot be
    /// read, in which case no agent can run either.
    pub fn revision(&self) -> Option<Kept> {
        self.known().kept
    }

    fn known(&self) -> Known {
        if !dir_of(self.home()).is_dir() {
            return Known::default();
        }
        self.look().ok().and_then(|store| revisions::known(&store).ok()).unwrap_or_default()
    }

    /// The configuration in force, where it comes from, and the machine's limits that count beside it.
    ///
    /// # Errors
    /// [`ConfigError`] with every finding; when there is no file, how to get a first one.
    pub fn effective(&self) -> Result<Effective> {
        self.readable()?;
        revisions::effective(self.known(), self.home(), &self.config).map_err(|error| match &error {
            ConfigError::Unreadable { path, source }
                if source.kind() == ErrorKind::NotFound && *path == self.config =>
            {
                let words = format!(
                    "there is no configuration {0} yet; write a first one with `purser config example --file {0}`, \
                     fill it in, then `purser config validate`",
                    path.display()
                );
                anyhow::Error::from(error).context(words)
            }
            ConfigError::Unreadable { .. } | ConfigError::Refused { .. } => error.into(),
        })
    }

    /// The name of a flow of the configuration that books, or of a reference flow.
    ///
    /// # Errors
    /// When there is none of that name, with the nearest one.
    pub fn any_flow(&self, config: &ValidConfig, name: &str) -> Result<FlowId> {
        let found = config.flow_ids().find(|id| id.as_str() == name).cloned();
        found.ok_or_else(|| self.unknown("flow", name, config.flow_ids().map(FlowId::as_str)))
    }

    /// One flow of the configuration that books.
    ///
    /// # Errors
    /// When there is none of that name, with the nearest one.
    pub fn flow<'a>(&self, config: &'a ValidConfig, name: &str) -> Result<&'a ValidFlow> {
        let (id, names) = (FlowId::new(name), config.flows.iter().map(|flow| flow.id.as_str()));
        config.flow(&id).ok_or_else(|| match config.reference(&id) {
            Some(_) => Usage(format!(
                "`{name}` is a reference flow: it books nothing and has no proof, records or merchants"
            ))
            .into(),
            None => self.unknown("flow", name, names),
        })
    }

    /// One connection of the configuration.
    ///
    /// # Errors
    /// When there is none of that name, with the nearest one.
    pub fn connection<'a>(&self, config: &'a ValidConfig, name: &str) -> Result<&'a ValidConnection> {
        let names = config.connections.iter().map(|connection| connection.id.as_str());
        config.connection(&ConnectionId::new(name)).ok_or_else(|| self.unknown("connection", name, names))
    }

    fn unknown<'a>(
        &self,
        what: &str,
        name: &str,
        known: impl Iterator<Item = &'a str> + Clone,
    ) -> anyhow::Error {
        let file = self.config.display();
        let help = match nearest(name, known.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.clone().next().is_none() => format!("it has no [[{what}]] at all"),
            None => format!("known: {}", known.collect::<Vec<_>>().join(", ")),
        };
        Usage(format!("there is no {what} `{name}` in {file}; {help}")).into()
    }

    /// Refuses a home folder that this account may not enter.
    fn readable(&self) -> Result<()> {
        match std::fs::read_dir(self.home()) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => anyhow::bail!(
                "this account may not enter the home folder {0}; run the command as the account that the agent runs \
                 under (`sudo -u ACCOUNT purser ...`), or name another folder with --home",
                self.home().display()
            ),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Opens the posting log for reading, also beside a running agent. Makes nothing.
    ///
    /// # Errors
    /// Also when no agent has ever run in this home.
    pub fn look(&self) -> Result<Store> {
        self.readable()?;
        if !dir_of(self.home()).is_dir() {
            anyhow::bail!(
                "nothing is stored in {} yet: no secret was set and no agent has run there; begin with `purser secrets \
                 set NAME`, or name another folder with --home",
                self.home().display()
            );
        }
        self.open_beside(key::open_existing(self.home())?)
    }

    /// What the running agent says of itself; `None` when none is running.
    pub fn running(&self) -> Option<AgentStatus> {
        status::read(self.home()).filter(|status| status::is_current(status, self.clock.now()))
    }

    /// Whether the configuration was changed after the running agent had read it.
    pub fn config_is_newer(&self, agent: &AgentStatus) -> bool {
        let changed = std::fs::metadata(&self.config).and_then(|about| about.modified());
        changed.is_ok_and(|at| spend::Timestamp::from(at) > agent.started)
    }

    /// Who asks, and why, for the audit trail.
    pub fn decision(note: Option<&str>) -> Decision {
        let names = ["SUDO_USER", "USER", "LOGNAME", "USERNAME"];
        let named = names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        Decision {
            by: named.unwrap_or_else(|| "unknown".to_owned()),
            note: note.unwrap_or_default().to_owned(),
        }
    }

    /// Opens the posting log, making identity, keys and folder at the first use. Reads beside a running agent.
    ///
    /// # Errors
    /// Keys or store that cannot be used, each with its mend.
    pub fn open(&self) -> Result<Access> {
        self.readable()?;
        self.home.make()?;
        let keys = key::create_or_open(self.home(), None)?;
        match Store::open(&dir_of(self.home()), keys.clone(), self.clock.clone()) {
            Ok(store) => Ok(Access::Alone(store)),
            Err(StoreError::Locked { .. }) => Ok(Access::Beside(self.open_beside(keys)?)),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the posting log as its only writer.
    ///
    /// # Errors
    /// Also when an agent is running.
    pub fn open_alone(&self) -> Result<Store> {
        match self.open()? {
            Access::Alone(store) => Ok(store),
            Access::Beside(_) => anyhow::bail!(
                "another purser process works in {}; stop the service first, or leave the work to it",
                self.home().display()
            ),
        }
    }

    fn open_beside(&self, keys: crate::store::StoreKeys) -> Result<Store> {
        Ok(Store::open_read_only(&dir_of(self.home()), keys, self.clock.clone())?)
    }
}
