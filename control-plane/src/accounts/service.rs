//! Accounts on the store: who a cookie or a token belongs to, and what is needed for everything else.

use super::limits::LoginLimits;
use super::oidc::ProviderSettings;
use super::oidc::fetch::{OidcError, Provider};
use super::password::{HashingError, Passwords, Unfit};
use super::principal::{By, Principal, own_key};
use super::roles::{Permission, Role};
use super::sessions::{Life, TOUCH};
use super::token::Presented;
use super::totp::TotpError;
use crate::clock::{Clock, Millis, millis, passed};
use crate::secrets::NoRandomness;
use crate::store::admin_audit::Deed;
use crate::store::{Store, StoreError, sessions, tokens, users};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long a request waits for the note that it came.
const NOTING: Duration = Duration::from_secs(2);

/// Why something about accounts does not come about.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Address, password, code or state is wrong; it is not said which.
    #[error("e-mail address, password or code is wrong")]
    Refused,
    /// The password is right, and a code is needed as well.
    #[error("a code of the second factor is needed")]
    SecondFactor,
    /// Too many failures.
    #[error("too many logins have failed; try again in {} seconds", (.0 + 999) / 1000)]
    Wait(Millis),
    /// The new password.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// What was asked for does not fit what is there.
    #[error("{0}")]
    Conflict(&'static str),
    /// No such identity provider.
    #[error("there is no such identity provider")]
    NoProvider,
    /// The identity provider.
    #[error(transparent)]
    Oidc(#[from] OidcError),
    /// Hashing.
    #[error(transparent)]
    Hashing(#[from] HashingError),
    /// The second factor.
    #[error(transparent)]
    Totp(#[from] TotpError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NoRandomness> for AccountError {
    fn from(error: NoRandomness) -> Self {
        Self::Store(error.into())
    }
}

/// Where a request comes from, for lists and the audit log.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Network address.
    pub address: String,
    /// What the browser calls itself, shortened.
    pub browser: String,
    /// Id of the request.
    pub request: String,
}

/// Everything about accounts. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Accounts {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) passwords: Passwords,
    pub(super) limits: Arc<LoginLimits>,
    providers: Arc<Vec<Provider>>,
}

impl Accounts {
    /// Ties them to a store.
    ///
    /// # Errors
    /// [`AccountError`] when the machine gives no randomness or has no TLS.
    pub fn new(store: Store, clock: Clock, providers: Vec<ProviderSettings>) -> Result<Self, AccountError> {
        let providers = providers.into_iter().map(Provider::new).collect::<Result<Vec<_>, _>>()?;
        let limits = Arc::new(LoginLimits::default());
        Ok(Self { store, clock, passwords: Passwords::new()?, limits, providers: Arc::new(providers) })
    }

    /// The identity providers.
    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    pub(super) fn provider(&self, id: &str) -> Result<&Provider, AccountError> {
        let found = self.providers.iter().find(|provider| provider.settings().id == id);
        found.ok_or(AccountError::NoProvider)
    }

    /// For the limits: a clock that is set neither forgets failures nor keeps anybody out.
    pub(super) fn passed(&self) -> Millis {
        passed(&self.clock)
    }

    pub(super) fn now(&self) -> Millis {
        millis(&self.clock)
    }

    /// Who a session's cookie belongs to; nobody when it is over, unknown, or of somebody who may not log in.
    ///
    /// # Errors
    /// [`AccountError::Store`].
    pub async fn of_session(&self, word: &SecretString) -> Result<Option<Principal>, AccountError> {
        let now = self.now();
        let mut reader = self.store.read().await?;
        let hash = session_hash(word);
        let Some(session) = sessions::by_hash(&mut reader, &hash).await? else { return Ok(None) };
        let life = Life { created: session.created_at, seen: session.seen_at };
        if !life.is_alive(now) {
            return Ok(None);
        }
        let by = By::Session { id: session.id.clone() };
        let Some(principal) = principal(&mut reader, &session.tenant, &session.user, by, word).await? else {
            return Ok(None);
        };
        drop(reader);
        if life.is_to_be_noted(now) {
            let id = session.id;
            let touch = self
                .store
                .write(move |tx| Box::pin(async move { sessions::touch(tx.connection(), &id, now).await }));
            noted(touch).await;
        }
        Ok(Some(principal))
    }

    /// Who a token belongs to.
    ///
    /// # Errors
    /// [`AccountError::Store`].
    pub async fn of_token(&self, text: &SecretString) -> Result<Option<Principal>, AccountError> {
        let Some(presented) = Presented::read(text.expose_secret()) else { return Ok(None) };
        let now = self.now();
        let mut reader = self.store.read().await?;
        let Some(token) = tokens::by_id(&mut reader, &presented.id).await? else { return Ok(None) };
        if !presented.is_of(&token.hash) || !token.is_alive(now) {
            return Ok(None);
        }
        // A permission that does not exist any more is none.
        let scopes = token.scopes.iter().filter_map(|word| Permission::of(word)).collect();
        let by = By::Token { id: token.id.clone(), scopes };
        let Some(mut principal) = principal(&mut reader, &token.tenant, &token.user, by, text).await? else {
            return Ok(None);
        };
        principal.shown = format!("{} (token {})", principal.shown, token.name);
        drop(reader);
        if token.used_at.is_none_or(|used| now - used >= TOUCH) {
            let id = token.id;
            let touch = self
                .store
                .write(move |tx| Box::pin(async move { tokens::touch(tx.connection(), &id, now).await }));
            noted(touch).await;
        }
        Ok(Some(principal))
    }

    /// Throws away sessions that are over and answers that nobody can ask for any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prune(&self) -> Result<u64, StoreError> {
        let now = self.now();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let (began, used) = (now - super::sessions::ABSOLUTE, now - super::sessions::IDLE);
                    let over = sessions::prune(tx.connection(), began, used).await?;
                    Ok(over + crate::store::idempotency::prune(tx.connection(), now).await?)
                })
            })
            .await
    }
}

/// That a request came is noted if it can be: a full disk, or a database that is held up, keeps nobody from reading.
async fn noted(touch: impl Future<Output = Result<(), StoreError>>) {
    let error = match timeout(NOTING, touch).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        // It goes on beside this.
        Err(_) => "the database takes long".to_owned(),
    };
    tracing::warn!(error, "when a session or a token was used last could not be noted");
}

/// What is kept of a session's word.
pub(super) fn session_hash(word: &SecretString) -> String {
    blake3::hash(word.expose_secret().as_bytes()).to_hex().to_string()
}

/// The role of a person as the store has it.
///
/// # Errors
/// [`StoreError::Damaged`].
pub fn role_of(user: &users::User) -> Result<Role, StoreError> {
    Role::of(&user.role).ok_or_else(|| StoreError::damaged("role", &user.id, "there is no such role"))
}

async fn principal(
    reader: &mut crate::store::Connection,
    tenant: &str,
    user: &str,
    by: By,
    credential: &SecretString,
) -> Result<Option<Principal>, StoreError> {
    let user = match users::get(reader, tenant, user).await {
        Ok(user) if user.disabled_at.is_none() => user,
        Ok(_) | Err(StoreError::Missing { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let role = role_of(&user)?;
    let own_key = own_key(credential.expose_secret());
    Ok(Some(Principal { shown: user.email, tenant: user.tenant, user: user.id, role, by, own_key }))
}

/// The entry for something that a person does to their own account.
pub(super) fn own_deed(user: &users::User, at: Millis, action: &str, origin: &Origin) -> Deed {
    Deed {
        tenant: user.tenant.clone(),
        at,
        who: user.email.clone(),
        who_id: user.id.clone(),
        action: action.to_owned(),
        target: user.id.clone(),
        detail: format!("from {}", origin.address),
        request: origin.request.clone(),
    }
}
