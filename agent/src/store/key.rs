//! The agent's identity and the data key.
//!
//! `identity.age-key` (0600) holds an age X25519 identity; `data-key.age` holds the 32-byte data key, wrapped to that
//! identity and, if the customer wants, to an offline recovery key. Under systemd the identity comes from the
//! credential `purser-identity` instead of the file. On Windows the seam is `read_identity`: the file's content will
//! be wrapped with DPAPI by the service's own account.
//!
//! Neither file is ever overwritten: if one of them is missing while the other or a store exists, that is an error
//! with a mend, not a first start.

use super::StoreKeys;
use crate::service::private_files;
use age::secrecy::ExposeSecret as _;
use age::x25519::{Identity, Recipient};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use zeroize::Zeroizing;

const CREDENTIAL: &str = "purser-identity";

/// Why the keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Others can read the identity.
    #[error("{path} can be read by {who}; run `{mend}` and, if others had access, make new keys")]
    Exposed {
        /// The identity file.
        path: PathBuf,
        /// By whom.
        who: String,
        /// The command that mends it.
        mend: String,
    },
    /// No identity although there is a data key or a store.
    #[error(
        "the identity {path} is missing although there is data sealed to it; restore it from a backup, or open the data key with the recovery key"
    )]
    IdentityMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// No data key although there is a store.
    #[error("the data key {path} is missing although there is a store; restore it from a backup")]
    DataKeyMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// Nothing was ever created.
    #[error("there are no keys in {home} yet; start the agent once (`purser run`)")]
    NotCreated {
        /// The agent's home.
        home: PathBuf,
    },
    /// Not an identity.
    #[error("{path} does not hold an age identity (a line that begins with AGE-SECRET-KEY-1)")]
    NotAnIdentity {
        /// The identity file.
        path: PathBuf,
    },
    /// Not a recipient.
    #[error("the recovery recipient is not an age recipient (age1...)")]
    NotARecipient,
    /// The data key does not open.
    #[error("{path} does not open with this identity ({cause}); restore both from the same backup")]
    Unwrap {
        /// The data key file.
        path: PathBuf,
        /// What age said.
        cause: String,
    },
    /// The operating system refused.
    #[error("cannot {doing} {path}: {cause}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
}

/// Where the identity file is.
pub fn identity_path(home: &Path) -> PathBuf {
    home.join("identity.age-key")
}

/// Where the wrapped data key is.
pub fn data_key_path(home: &Path) -> PathBuf {
    home.join("data-key.age")
}

/// Opens the keys, or makes them on the very first start. `recovery` is an age recipient (`age1...`) that the data key
/// is wrapped to as well; it matters only when the data key is made.
///
/// # Errors
/// [`KeyError`], naming the file and the mend.
pub fn create_or_open(home: &Path, recovery: Option<&str>) -> Result<StoreKeys, KeyError> {
    private_files::create_private_dir(home).map_err(|cause| io("create", home, cause))?;
    Keyring::here(home).create_or_open(recovery)
}

/// Opens the keys for reading; makes nothing.
///
/// # Errors
/// [`KeyError`], naming the file and the mend.
pub fn open_existing(home: &Path) -> Result<StoreKeys, KeyError> {
    let ring = Keyring::here(home);
    match ring.identity()? {
        None if !ring.has_data() => Err(KeyError::NotCreated { home: home.to_owned() }),
        None => Err(KeyError::IdentityMissing { path: ring.identity_path() }),
        Some(identity) => ring.unwrap(&identity),
    }
}

/// The agent's public key, to which others seal secrets for it.
///
/// # Errors
/// [`KeyError`], naming the file and the mend.
pub fn recipient(home: &Path) -> Result<String, KeyError> {
    match Keyring::here(home).identity()? {
        Some(identity) => Ok(identity.to_public().to_string()),
        None => Err(KeyError::NotCreated { home: home.to_owned() }),
    }
}

/// How a sealed text begins.
const SEALED: &[u8] = b"age-encryption.org/";

/// Seals bytes so that only who has this agent's identity can read them: for what goes from one process of the agent
/// to another through a file.
///
/// # Errors
/// [`KeyError`], naming the file and the mend.
pub fn seal_for_agent(home: &Path, plain: &[u8]) -> Result<Vec<u8>, KeyError> {
    let recipient = parse_recipient(&recipient(home)?)?;
    wrap(&[recipient], plain).map_err(|cause| KeyError::Unwrap { path: identity_path(home), cause })
}

/// Opens what [`seal_for_agent`] has sealed.
///
/// # Errors
/// [`KeyError`], also when it was sealed for another agent or changed on the way.
pub fn open_for_agent(home: &Path, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let ring = Keyring::here(home);
    let identity = ring.identity()?.ok_or_else(|| KeyError::NotCreated { home: home.to_owned() })?;
    let opened = age::decrypt(&identity, sealed).map(Zeroizing::new);
    opened.map_err(|e| KeyError::Unwrap { path: ring.identity_path(), cause: e.to_string() })
}

/// Whether bytes are sealed, by how they begin.
pub fn is_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(SEALED)
}

/// Where keys are looked for.
pub(crate) struct Keyring {
    home: PathBuf,
    credentials: Option<PathBuf>,
}

impl Keyring {
    fn here(home: &Path) -> Self {
        Self::new(home, std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from))
    }

    pub(crate) fn new(home: &Path, credentials: Option<PathBuf>) -> Self {
        Self { home: home.to_owned(), credentials }
    }

    fn credential_path(&self) -> Option<PathBuf> {
        self.credentials.as_ref().map(|dir| dir.join(CREDENTIAL)).filter(|path| path.exists())
    }

    fn identity_path(&self) -> PathBuf {
        self.credential_path().unwrap_or_else(|| identity_path(&self.home))
    }

    fn has_data(&self) -> bool {
        let store = super::dir_of(&self.home);
        data_key_path(&self.home).exists()
            || super::marker::marker_path(&store).exists()
            || super::marker::data_path(&store).exists()
    }

    pub(crate) fn create_or_open(&self, recovery: Option<&str>) -> Result<StoreKeys, KeyError> {
        // A recovery recipient that is mistyped must be noticed before anything is made.
        let recovery = recovery.map(parse_recipient).transpose()?;
        let identity = match self.identity()? {
            Some(identity) => identity,
            None if self.has_data() => return Err(KeyError::IdentityMissing { path: self.identity_path() }),
            None => self.create_identity()?,
        };
        if !data_key_path(&self.home).exists() && !self.has_data() {
            self.create_data_key(&identity, recovery)?;
        }
        self.unwrap(&identity)
    }

    fn identity(&self) -> Result<Option<Identity>, KeyError> {
        let credential = self.credential_path();
        let path = self.identity_path();
        match read_identity(&path) {
            Ok(text) => {
                // systemd guards its credentials itself, and grants access by lists that look like group bits.
                if credential.is_none() {
                    refuse_exposed(&path)?;
                }
                parse_identity(&text).map(Some).ok_or(KeyError::NotAnIdentity { path })
            }
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(io("read", &path, cause)),
        }
    }

    fn create_identity(&self) -> Result<Identity, KeyError> {
        let identity = Identity::generate();
        let secret = identity.to_string();
        let text = Zeroizing::new(format!(
            "# The identity of this agent. Whoever has it can read its store.\n# public key: {}\n{}\n",
            identity.to_public(),
            secret.expose_secret()
        ));
        let path = identity_path(&self.home);
        private_files::write_private(&path, text.as_bytes(), false)
            .map_err(|cause| io("write", &path, cause))?;
        Ok(identity)
    }

    fn create_data_key(&self, identity: &Identity, recovery: Option<Recipient>) -> Result<(), KeyError> {
        let path = data_key_path(&self.home);
        let data_key = super::seal::random_key();
        let recipients: Vec<Recipient> = std::iter::once(identity.to_public()).chain(recovery).collect();
        let wrapped = wrap(&recipients, data_key.as_slice())
            .map_err(|cause| KeyError::Unwrap { path: path.clone(), cause })?;
        private_files::write_private(&path, &wrapped, false).map_err(|cause| io("write", &path, cause))
    }

    fn unwrap(&self, identity: &Identity) -> Result<StoreKeys, KeyError> {
        let path = data_key_path(&self.home);
        let wrapped = match std::fs::read(&path) {
            Ok(wrapped) => wrapped,
            Err(cause) if cause.kind() == ErrorKind::NotFound => {
                return Err(KeyError::DataKeyMissing { path });
            }
            Err(cause) => return Err(io("read", &path, cause)),
        };
        let opened = age::decrypt(identity, &wrapped).map(Zeroizing::new);
        let opened = opened.map_err(|e| KeyError::Unwrap { path: path.clone(), cause: e.to_string() })?;
        let data_key = <&[u8; 32]>::try_from(opened.as_slice())
            .map_err(|_| KeyError::Unwrap { path, cause: "it does not hold 32 bytes".to_owned() })?;
        Ok(StoreKeys::from_data_key(data_key))
    }
}

/// Reads the identity's text. The one place where an operating system's own protection (DPAPI) is to be taken off.
fn read_identity(path: &Path) -> std::io::Result<Zeroizing<String>> {
    std::fs::read_to_string(path).map(Zeroizing::new)
}

fn parse_identity(text: &str) -> Option<Identity> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    Identity::from_str(line).ok()
}

fn parse_recipient(text: &str) -> Result<Recipient, KeyError> {
    Recipient::from_str(text.trim()).map_err(|_| KeyError::NotARecipient)
}

fn refuse_exposed(path: &Path) -> Result<(), KeyError> {
    match private_files::exposed(path).map_err(|cause| io("examine", path, cause))? {
        Some(exposed) => {
            Err(KeyError::Exposed { path: path.to_owned(), who: exposed.who, mend: exposed.mend })
        }
        None => Ok(()),
    }
}

fn wrap(recipients: &[Recipient], plain: &[u8]) -> Result<Vec<u8>, String> {
    let recipients = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
    let encryptor = age::Encryptor::with_recipients(recipients).map_err(|e| e.to_string())?;
    let mut wrapped = Vec::new();
    let mut writer = encryptor.wrap_output(&mut wrapped).map_err(|e| e.to_string())?;
    writer.write_all(plain).map_err(|e| e.to_string())?;
    writer.finish().map_err(|e| e.to_string())?;
    Ok(wrapped)
}

fn io(doing: &'static str, path: &Path, cause: std::io::Error) -> KeyError {
    KeyError::Io { doing, path: path.to_owned(), cause }
}
