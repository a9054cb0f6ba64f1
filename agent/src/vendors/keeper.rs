//! Credentials that their own system renews: a rotated refresh token is durable in the store before it is used, for the
//! one before it is worth nothing from then on.

use crate::clock::Clock;
use crate::secret::SecretText;
use crate::store::{AuditDraft, AuditKind, Batch, SecretStamp, Store, StoreError};
use spend::ids::ConnectionId;

/// Why a renewed credential could not be kept. Nothing of it was stored; it must not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the renewed credential could not be kept: {why}")]
pub struct KeepError {
    /// What stood against it, in words.
    pub why: String,
}

/// Keeps what a vendor renewed of the connection's own secret.
pub trait CredentialKeeper: Send + Sync {
    /// Replaces these fields of the connection's secret, durably: they survive a crash right after this has returned.
    /// Called with new values **before** they are used. Values are bound to the origins of the secret
    /// ([`crate::secret::BoundSecret::derived`]); plain text may be kept too (when a refresh token was first issued).
    /// Blocks for one sync of the disk. The caller holds the lock of its token cache, so that renewals do not overtake
    /// each other.
    ///
    /// # Errors
    /// [`KeepError`] when nothing was stored: the store cannot be written, or the secret was set anew or removed by a
    /// person meanwhile.
    fn keep(&self, fields: &[(&str, SecretText)]) -> Result<(), KeepError>;
}

/// Keeps renewed fields in the agent's store, with an audit entry that names them.
pub struct StoreKeeper {
    store: Store,
    clock: Clock,
    connection: ConnectionId,
    secret: String,
    stamp: Option<SecretStamp>,
}

impl StoreKeeper {
    /// For the secret of a connection as it is stored now. Make it before the secret itself is read: then a secret
    /// that is replaced in between makes `keep` refuse, and never the other way round.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(
        store: &Store,
        clock: &Clock,
        connection: &ConnectionId,
        secret: &str,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            store: store.clone(),
            clock: clock.clone(),
            connection: connection.clone(),
            secret: secret.to_owned(),
            stamp: store.secret_stamp(secret)?,
        })
    }
}

impl CredentialKeeper for StoreKeeper {
    fn keep(&self, fields: &[(&str, SecretText)]) -> Result<(), KeepError> {
        let Some(stamp) = self.stamp else {
            return Err(KeepError { why: format!("there is no secret `{}`", self.secret) });
        };
        let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        let detail = serde_json::json!({ "verb": "renewed", "secret": self.secret, "fields": names });
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let mut batch = Batch::new();
        batch.renew_secret(&self.secret, stamp, fields);
        batch.audit(AuditDraft {
            connection: Some(self.connection.clone()),
            ..AuditDraft::new(self.clock.now(), AuditKind::Secret, detail)
        });
        self.store.commit_blocking(batch).map_err(|error| KeepError { why: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Origin;
    use crate::store::{Options, StoreKeys, StoredSecret};
    use secrecy::SecretString;

    const CANARY: &str = "CANARY-tamarind";

    #[test]
    fn what_is_kept_is_durable_audited_and_never_told() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(spend::Timestamp::UNIX_EPOCH);
        let open = || {
            let keys = StoreKeys::from_data_key(&[7; 32]);
            Store::open_with(folder.path(), keys, clock.clone(), Options::default()).unwrap()
        };
        let store = open();
        let id = ConnectionId::from("cards");
        let keeper = |store: &Store| StoreKeeper::new(store, &clock, &id, "cards").unwrap();
        let nobody = keeper(&store);
        assert!(nobody.keep(&[("refresh_token", SecretText::plain("x"))]).is_err());
        let mut batch = Batch::new();
        let fields = [("refresh_token".to_owned(), SecretString::from("first"))].into();
        let origins = vec![Origin::parse("https://accounts.example.test").unwrap()];
        batch.put_secret("cards", StoredSecret { kind: "brex".to_owned(), origins, fields });
        store.commit_blocking(batch).unwrap();
        let keeper = keeper(&store);
        let own = store.secret("cards").unwrap().unwrap();
        let renewed = own.get("refresh_token").unwrap().derived(SecretString::from(CANARY));
        keeper.keep(&[("refresh_token", SecretText::secret(&renewed))]).unwrap();
        drop((keeper, nobody));
        store.close();
        let store = open();
        let own = store.secret("cards").unwrap().unwrap();
        assert_eq!(own.get("refresh_token").unwrap().expose(), CANARY);
        let entries = store.audit().entries(1, 10).unwrap();
        let told = format!("{entries:?}");
        assert!(
            told.contains("renewed") && told.contains("refresh_token") && !told.contains(CANARY),
            "{told}"
        );
        assert_eq!(entries.last().unwrap().draft.connection, Some(id.clone()));
    }
}
