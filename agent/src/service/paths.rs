//! Where the agent keeps its things: one folder, its home.
//!
//! The first of these that is given: `--home`, `PURSER_HOME`, systemd's `STATE_DIRECTORY`, the service's folder where
//! it exists (`/var/lib/purser`, on Windows `%ProgramData%\Purser`), else a folder of the user
//! (`$XDG_STATE_HOME/purser`, `~/.local/state/purser`, on Windows `%LOCALAPPDATA%\Purser`).
//!
//! On Windows the folders come from the environment; the installer of the service sets `PURSER_HOME`, so that a changed
//! environment cannot move the home.

use super::private_files::{create_private_dir, make_private};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// The agent's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home(PathBuf);

/// Why there is no home.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Neither an option nor the environment says where it is.
    #[error("no home folder is known: pass --home or set PURSER_HOME")]
    Unknown,
    /// The folder cannot be made.
    #[error("cannot make the home folder {path}: check the rights of the folder above it")]
    Make {
        /// Which folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The environment as the search needs it, so that tests need none.
pub trait Surroundings {
    /// One variable; `None` when it is not set or empty.
    fn variable(&self, name: &str) -> Option<OsString>;
    /// Whether a folder exists.
    fn exists(&self, folder: &Path) -> bool;
}

/// The process's own environment.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessSurroundings;

impl Surroundings for ProcessSurroundings {
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name).filter(|value| !value.is_empty())
    }

    fn exists(&self, folder: &Path) -> bool {
        folder.is_dir()
    }
}

impl Home {
    /// A given folder.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    /// Finds the home: see the head of this file. Makes nothing.
    ///
    /// # Errors
    /// [`HomeError::Unknown`] when nothing says where it is.
    pub fn find(option: Option<&Path>, around: &impl Surroundings) -> Result<Self, HomeError> {
        if let Some(option) = option {
            return Ok(Self::at(option));
        }
        if let Some(named) = around.variable("PURSER_HOME") {
            return Ok(Self::at(named));
        }
        if let Some(of_service) = around.variable("STATE_DIRECTORY") {
            // systemd joins several folders by a colon; the first is ours.
            let text = of_service.to_string_lossy().into_owned();
            if let Some(first) = text.split(':').next().filter(|first| first.starts_with('/')) {
                return Ok(Self::at(first));
            }
        }
        let service = service_folder(around);
        if let Some(folder) = service.filter(|folder| around.exists(folder)) {
            return Ok(Self::at(folder));
        }
        user_folder(around).map(Self::at).ok_or(HomeError::Unknown)
    }

    /// Makes the folder and that of the logs, for the owner only. The store makes its own.
    ///
    /// A folder that was there before is taken away from everybody else when it is for the agent alone: it is empty, or
    /// the configuration stands in it. Any other (`--home /opt`) could be in use by others and stays as it is; `doctor`
    /// tells.
    ///
    /// # Errors
    /// [`HomeError::Make`].
    pub fn make(&self) -> Result<(), HomeError> {
        let own = self.is_own();
        for path in [self.0.clone(), self.logs()] {
            create_private_dir(&path).map_err(|source| HomeError::Make { path, source })?;
        }
        if own {
            // A folder of another account cannot be changed by this one; `doctor` tells that, too.
            drop(make_private(&self.0));
        }
        drop(make_private(&self.logs()));
        Ok(())
    }

    fn is_own(&self) -> bool {
        let empty = std::fs::read_dir(&self.0).is_ok_and(|mut entries| entries.next().is_none());
        empty || self.config_file().is_file()
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// The configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.0.join("purser.toml")
    }

    /// The folder of log files.
    pub fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }
}

#[cfg(not(windows))]
fn service_folder(_: &impl Surroundings) -> Option<PathBuf> {
    Some(PathBuf::from("/var/lib/purser"))
}

#[cfg(windows)]
fn service_folder(around: &impl Surroundings) -> Option<PathBuf> {
    around.variable("ProgramData").map(|folder| PathBuf::from(folder).join("Purser"))
}

#[cfg(not(windows))]
fn user_folder(around: &impl Surroundings) -> Option<PathBuf> {
    let state = around.variable("XDG_STATE_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let home = || around.variable("HOME").map(|home| PathBuf::from(home).join(".local").join("state"));
    state.or_else(home).map(|folder| folder.join("purser"))
}

#[cfg(windows)]
fn user_folder(around: &impl Surroundings) -> Option<PathBuf> {
    around.variable("LOCALAPPDATA").map(|folder| PathBuf::from(folder).join("Purser"))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake(&'static [(&'static str, &'static str)], bool);

    impl Surroundings for Fake {
        fn variable(&self, name: &str) -> Option<OsString> {
            self.0.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
        }
        fn exists(&self, _: &Path) -> bool {
            self.1
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_first_place_that_is_given_is_the_home() {
        const ALL: &[(&str, &str)] = &[
            ("PURSER_HOME", "/named"),
            ("STATE_DIRECTORY", "/state:/more"),
            ("XDG_STATE_HOME", "/xdg"),
            ("HOME", "/home/ann"),
        ];
        let find = |around: &Fake| Home::find(None, around).unwrap().root().to_owned();
        assert_eq!(Home::find(Some(Path::new("/given")), &Fake(ALL, true)).unwrap(), Home::at("/given"));
        assert_eq!(find(&Fake(ALL, true)), Path::new("/named"));
        assert_eq!(find(&Fake(&ALL[1..], true)), Path::new("/state"));
        assert_eq!(find(&Fake(&ALL[2..], true)), Path::new("/var/lib/purser"));
        assert_eq!(find(&Fake(&ALL[2..], false)), Path::new("/xdg/purser"));
        assert_eq!(find(&Fake(&ALL[3..], false)), Path::new("/home/ann/.local/state/purser"));
        let error = Home::find(None, &Fake(&[], false)).unwrap_err().to_string();
        assert!(error.contains("PURSER_HOME"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn the_home_is_made_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("deep/home"));
        home.make().unwrap();
        home.make().unwrap();
        for path in [home.root().to_owned(), home.logs()] {
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700, "{path:?}");
        }

        // One that a person made is taken away from the others, but not one that others may use.
        for (name, content, mode) in
            [("empty", None, 0o700), ("tour", Some("purser.toml"), 0o700), ("opt", Some("theirs"), 0o755)]
        {
            let home = Home::at(folder.path().join(name));
            std::fs::create_dir(home.root()).unwrap();
            std::fs::set_permissions(home.root(), std::fs::Permissions::from_mode(0o755)).unwrap();
            if let Some(content) = content {
                std::fs::write(home.root().join(content), "").unwrap();
            }
            home.make().unwrap();
            assert_eq!(std::fs::metadata(home.root()).unwrap().permissions().mode() & 0o777, mode, "{name}");
        }
        std::fs::write(folder.path().join("file"), "").unwrap();
        let error = Home::at(folder.path().join("file/home")).make().unwrap_err();
        assert!(error.to_string().contains("cannot make the home folder"), "{error}");
    }
}
