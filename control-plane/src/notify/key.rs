//! The key from which the signing secrets of alert webhooks are derived. No secret of a destination is in the database, so
//! whoever reads that, or a backup of it, cannot forge alerts. The key is a setting; for a SQLite database it may also be a
//! file beside it, which is made when it is first needed.

use super::signing::SigningSecret;
use crate::secrets::{NoRandomness, draw_token};
use crate::settings::Settings;
use crate::store::backup::file_of;
use purser::service::private_files::write_private;
use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString};
use std::io;
use std::path::{Path, PathBuf};

/// What separates these secrets from any other use of the same key.
const PURPOSE: &str = "purser alert webhooks 1";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// PostgreSQL has no folder of its own, and all nodes need the same key.
    #[error("alert webhooks need `alerts.key`: draw 32 characters at random and give all nodes the same")]
    Unset,
    /// The key file.
    #[error("the key file {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The machine gives no random numbers.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// The key.
#[derive(Clone)]
pub struct AlertKey(SecretString);

impl AlertKey {
    /// The key of the settings, or of the file beside the database.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn of(settings: &Settings) -> Result<Self, KeyError> {
        if let Some(key) = &settings.alerts.key {
            return Ok(Self(key.clone()));
        }
        let file = file_of(settings.database.url.expose_secret()).map_err(|_| KeyError::Unset)?;
        let mut name = file.into_os_string();
        name.push(".alerts-key");
        Self::beside(Path::new(&name))
    }

    fn beside(path: &Path) -> Result<Self, KeyError> {
        let at = |source| KeyError::File { path: path.to_owned(), source };
        let read = || std::fs::read_to_string(path).map(|text| Self(SecretString::from(text.trim())));
        match read() {
            Ok(key) => Ok(key),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let drawn = draw_token()?;
                match write_private(path, drawn.expose_secret().as_bytes(), false) {
                    Ok(()) => Ok(Self(drawn)),
                    // Another process was faster.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read().map_err(at),
                    Err(error) => Err(at(error)),
                }
            }
            Err(error) => Err(at(error)),
        }
    }

    /// The secret of a destination.
    pub fn secret(&self, tenant: &str, destination: &str, version: i64) -> SigningSecret {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose_secret().as_bytes());
        let tag = hmac::sign(&key, format!("{PURPOSE}\n{tenant}\n{destination}\n{version}").as_bytes());
        SigningSecret::new(tag.as_ref().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_file_is_made_once_and_each_destination_has_its_own_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.db.alerts-key");
        let (first, again) = (AlertKey::beside(&path).unwrap(), AlertKey::beside(&path).unwrap());
        let shown = |key: &AlertKey, tenant, destination, version| {
            key.secret(tenant, destination, version).shown().expose_secret().to_owned()
        };
        let secret = shown(&first, "t1", "d1", 1);
        assert_eq!(secret, shown(&again, "t1", "d1", 1));
        for (tenant, destination, version) in [("t2", "d1", 1), ("t1", "d2", 1), ("t1", "d1", 2)] {
            assert_ne!(secret, shown(&first, tenant, destination, version));
        }
        assert_eq!(purser::service::private_files::exposed(&path).unwrap(), None);
    }
}
