//! A secret on its way to an agent that its giver cannot reach: sealed to the agent's public recipient, together with
//! everything that it is bound to. Whoever forwards the text can neither open nor change it; the agent believes nothing
//! of it that it cannot compare with itself.

use super::keys::LinkKeyring;
use crate::secret::Origin;
use crate::store::secrets::StoredSecret;
use age::x25519::Recipient;
use purser_proto::link::enrollment::PublicKeys;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use spend::Timestamp;
use std::collections::BTreeMap;
use std::str::FromStr as _;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Version of what is inside.
const VERSION: u16 = 1;

/// A secret and all that it is bound to.
#[derive(Clone, Debug)]
pub struct HandedSecret {
    /// The agent that it is for.
    pub agent: String,
    /// Fingerprint of the keys that it is sealed to.
    pub fingerprint: String,
    /// Its name in the agent's secret store.
    pub name: String,
    /// The connection that uses it.
    pub connection: String,
    /// When it was sealed, so that an old one cannot come again; texts of the release before do not say it.
    pub sealed_at: Option<Timestamp>,
    /// Kind, origins and fields.
    pub secret: StoredSecret,
}

/// Why a secret cannot be sealed, or what was sealed cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandoverError {
    /// Not an age recipient.
    #[error(
        "the recipient is not an age recipient (age1...); copy it from the control plane or from `purser status`"
    )]
    Recipient,
    /// It does not open.
    #[error("it is not sealed to this agent's keys; seal it again with the agent's present recipient")]
    NotForUs,
    /// It opens and is not what `purser seal` makes.
    #[error("what is sealed is not a secret that this release knows; seal it with a release of the same age")]
    NotASecret,
    /// Something in it contradicts the keys that it was sealed to.
    #[error("the fingerprint inside is not that of the keys that it is sealed to; seal it again")]
    Fingerprint,
}

/// The sealed form. Wiped when dropped.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Wire {
    version: u16,
    agent: String,
    fingerprint: String,
    name: String,
    connection: String,
    kind: String,
    origins: Vec<String>,
    fields: Vec<(String, String)>,
    /// RFC 3339. Readers of the release before pass over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed_at: Option<String>,
}

impl HandedSecret {
    /// Seals it: an armored age text.
    ///
    /// # Errors
    /// [`HandoverError::Recipient`].
    pub fn seal(&self, recipient: &str) -> Result<String, HandoverError> {
        let recipient = Recipient::from_str(recipient.trim()).map_err(|_| HandoverError::Recipient)?;
        let fields = self.secret.fields.iter().map(|(k, v)| (k.clone(), v.expose_secret().to_owned()));
        let wire = Wire {
            version: VERSION,
            agent: self.agent.clone(),
            fingerprint: self.fingerprint.clone(),
            name: self.name.clone(),
            connection: self.connection.clone(),
            kind: self.secret.kind.clone(),
            origins: self.secret.origins.iter().map(ToString::to_string).collect(),
            fields: fields.collect(),
            sealed_at: self.sealed_at.map(|at| at.to_rfc3339()),
        };
        // Room for any credential, so that no half-filled copy is left behind by a vector that grows.
        let mut plain = Zeroizing::new(Vec::with_capacity(64 << 10));
        serde_json::to_writer(&mut *plain, &wire).map_err(|_| HandoverError::NotASecret)?;
        age::encrypt_and_armor(&recipient, &plain).map_err(|_| HandoverError::Recipient)
    }

    /// Opens what [`HandedSecret::seal`] has made.
    ///
    /// # Errors
    /// [`HandoverError`].
    pub fn open(keys: &LinkKeyring, armored: &str) -> Result<Self, HandoverError> {
        let (to, plain) = keys.open(armored.trim().as_bytes()).ok_or(HandoverError::NotForUs)?;
        Self::read(&to, &plain)
    }

    /// Differs where what would be stored differs.
    pub fn digest(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        let mut add = |part: &[u8]| {
            hasher.update(&(part.len() as u64).to_be_bytes()).update(part);
        };
        let StoredSecret { kind, origins, fields } = &self.secret;
        [&self.name, &self.connection, kind].into_iter().for_each(|part| add(part.as_bytes()));
        origins.iter().for_each(|origin| add(origin.as_str().as_bytes()));
        for (field, value) in fields {
            add(field.as_bytes());
            add(value.expose_secret().as_bytes());
        }
        hasher.finalize()
    }

    fn read(to: &PublicKeys, plain: &[u8]) -> Result<Self, HandoverError> {
        let wire: Wire = serde_json::from_slice(plain).map_err(|_| HandoverError::NotASecret)?;
        if wire.version != VERSION {
            return Err(HandoverError::NotASecret);
        }
        if wire.fingerprint != to.fingerprint() {
            return Err(HandoverError::Fingerprint);
        }
        let origins: Result<Vec<Origin>, _> = wire.origins.iter().map(|text| Origin::parse(text)).collect();
        let sealed_at = wire.sealed_at.as_deref().map(str::parse::<Timestamp>).transpose();
        let fields: BTreeMap<String, SecretString> =
            wire.fields.iter().map(|(k, v)| (k.clone(), SecretString::from(v.as_str()))).collect();
        Ok(Self {
            agent: wire.agent.clone(),
            fingerprint: wire.fingerprint.clone(),
            name: wire.name.clone(),
            connection: wire.connection.clone(),
            sealed_at: sealed_at.map_err(|_| HandoverError::NotASecret)?,
            secret: StoredSecret {
                kind: wire.kind.clone(),
                origins: origins.map_err(|_| HandoverError::NotASecret)?,
                fields,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::LinkKeys;
    use super::*;

    fn handed(fingerprint: String) -> HandedSecret {
        HandedSecret {
            agent: "a1".to_owned(),
            fingerprint,
            name: "erp".to_owned(),
            connection: "erp".to_owned(),
            sealed_at: Some("2026-08-10T11:00:00.5Z".parse().unwrap()),
            secret: StoredSecret {
                kind: "epicor".to_owned(),
                origins: vec![Origin::parse("https://erp.example.test").unwrap()],
                fields: [("password".to_owned(), SecretString::from("CANARY-heron"))].into(),
            },
        }
    }

    #[test]
    fn a_sealed_secret_is_opened_by_its_agent_only_and_shows_nothing_on_the_way() {
        let ring = LinkKeyring::first(LinkKeys::generate());
        let public = ring.current.public();
        let text = handed(public.fingerprint()).seal(public.recipient.as_str()).unwrap();
        assert!(text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----") && !text.contains("CANARY"));
        let opened = HandedSecret::open(&ring, &text).unwrap();
        assert_eq!((opened.agent.as_str(), opened.secret.kind.as_str()), ("a1", "epicor"));
        assert_eq!(opened.secret.fields["password"].expose_secret(), "CANARY-heron");
        assert_eq!(opened.sealed_at, Some("2026-08-10T11:00:00.5Z".parse().unwrap()));
        assert!(!format!("{opened:?}").contains("CANARY"));
        let other = LinkKeyring::first(LinkKeys::generate());
        assert_eq!(HandedSecret::open(&other, &text).unwrap_err(), HandoverError::NotForUs);
        assert_eq!(HandedSecret::open(&ring, "plain text").unwrap_err(), HandoverError::NotForUs);
        let mut cut = text.clone();
        cut.truncate(text.len() / 2);
        assert!(HandedSecret::open(&ring, &cut).is_err());
    }

    /// What the release before seals, and how it reads what this one seals. This text never changes.
    #[test]
    fn the_release_before_is_understood_and_understands() {
        let ring = LinkKeyring::first(LinkKeys::generate());
        let public = ring.current.public();
        let before = r#"{"version":1,"agent":"a1","fingerprint":"FINGERPRINT","name":"erp","connection":"erp","kind":"epicor","origins":["https://erp.example.test:443"],"fields":[["password","CANARY-heron"]]}"#;
        let before = before.replace("FINGERPRINT", &public.fingerprint());
        let read = HandedSecret::read(&public, before.as_bytes()).unwrap();
        assert_eq!(read.sealed_at, None);
        let recipient = public.recipient.as_str();
        let text = HandedSecret { sealed_at: None, ..handed(public.fingerprint()) }.seal(recipient).unwrap();
        let (_, plain) = ring.open(text.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(plain.to_vec()).unwrap(), before);
        let text = handed(public.fingerprint()).seal(recipient).unwrap();
        let (_, plain) = ring.open(text.as_bytes()).unwrap();
        let with_more: serde_json::Value = serde_json::from_slice(&plain).unwrap();
        assert_eq!(with_more["version"], 1, "an unknown field more, which version 1 passes over");
        assert_eq!(with_more["sealed_at"], "2026-08-10T11:00:00.500+00:00");
        assert_eq!(read.digest(), HandedSecret::open(&ring, &text).unwrap().digest());
    }

    #[test]
    fn a_secret_that_names_other_keys_than_those_it_is_sealed_to_is_refused() {
        let ring = LinkKeyring::first(LinkKeys::generate());
        let text = handed("0000-0000".to_owned()).seal(ring.current.public().recipient.as_str()).unwrap();
        assert_eq!(HandedSecret::open(&ring, &text).unwrap_err(), HandoverError::Fingerprint);
        assert_eq!(handed(String::new()).seal("age1nonsense").unwrap_err(), HandoverError::Recipient);
    }
}
