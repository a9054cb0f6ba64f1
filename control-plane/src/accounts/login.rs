//! Getting in: with password and code, or by way of an identity provider; and getting out.
//!
//! A wrong address costs as much time as a wrong password and gets the same answer. What only follows on a right
//! password may take longer.

use super::oidc::Begun;
use super::oidc::fetch::OidcError;
use super::oidc::jwt::Identity;
use super::service::{AccountError, Accounts, Origin, own_deed, session_hash};
use super::totp::{SharedSecret, salt_of};
use crate::clock::Millis;
use crate::secrets::{draw_id, draw_token};
use crate::store::sessions::Session;
use crate::store::users::User;
use crate::store::{StoreError, admin_audit, sessions, users};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// What a person types.
#[derive(Debug)]
pub struct Credentials {
    /// E-mail address.
    pub email: String,
    /// Password.
    pub password: SecretString,
    /// Code of the second factor, when there is one.
    pub code: Option<String>,
}

/// Somebody is in.
#[derive(Debug)]
pub struct LoggedIn {
    /// What the cookie says.
    pub word: SecretString,
    /// Who it is.
    pub user: User,
}

impl Accounts {
    /// Lets somebody in who knows their password and, if set up, has their second factor. The session that the browser
    /// had before ends.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn login(
        &self,
        given: Credentials,
        before: Option<&SecretString>,
        origin: &Origin,
    ) -> Result<LoggedIn, AccountError> {
        let at = self.passed();
        let (account, address) = (given.email.as_str(), origin.address.as_str());
        self.limits.admit(account, address, at).map_err(|wait| AccountError::Wait(wait.millis))?;
        let tried = self.tried(&given, before, origin, self.now()).await;
        match &tried {
            Err(AccountError::Refused) => {
                tracing::warn!(address, request = %origin.request, "a login was refused");
            }
            Err(_) => self.limits.forgive(account, address, at),
            Ok(_) => {
                self.limits.forgive(account, address, at);
                self.limits.succeeded(account, address);
            }
        }
        tried
    }

    async fn tried(
        &self,
        given: &Credentials,
        before: Option<&SecretString>,
        origin: &Origin,
        now: Millis,
    ) -> Result<LoggedIn, AccountError> {
        let (user, step) = self.proven(given, now).await?;
        let how = if step.is_some() { "password+totp" } else { "password" };
        self.let_in(user, how, step, before, origin).await
    }

    /// Who it is, and the time step of the code that was given.
    async fn proven(&self, given: &Credentials, now: Millis) -> Result<(User, Option<i64>), AccountError> {
        let mut reader = self.store.read().await?;
        let user = users::by_email(&mut reader, &given.email).await?;
        drop(reader);
        let phc = user.as_ref().and_then(|user| user.password.as_deref());
        let right = self.passwords.matches(&given.password, phc).await?;
        let user = user.filter(|user| right && user.disabled_at.is_none()).ok_or(AccountError::Refused)?;
        let Some(sealed) = &user.totp else { return Ok((user, None)) };
        let Some(code) = given.code.as_deref().filter(|code| !code.is_empty()) else {
            return Err(AccountError::SecondFactor);
        };
        let secret = self.open_totp(&user.id, sealed, &given.password).await?;
        let step =
            secret.step_of(code, now).filter(|step| *step > user.totp_step).ok_or(AccountError::Refused)?;
        Ok((user, Some(step)))
    }

    /// The second factor of somebody whose password is known.
    pub(super) async fn open_totp(
        &self,
        user: &str,
        sealed: &str,
        password: &SecretString,
    ) -> Result<SharedSecret, AccountError> {
        let sealed = STANDARD.decode(sealed).map_err(|_| super::totp::TotpError::Unopened)?;
        let key = self.passwords.key(password, salt_of(&sealed)?).await?;
        Ok(SharedSecret::open(&sealed, &key, user)?)
    }

    async fn let_in(
        &self,
        user: User,
        how: &str,
        step: Option<i64>,
        before: Option<&SecretString>,
        origin: &Origin,
    ) -> Result<LoggedIn, AccountError> {
        let now = self.now();
        let word = draw_token()?;
        let session = Session {
            id: draw_id('s')?,
            tenant: user.tenant.clone(),
            user: user.id.clone(),
            how: how.to_owned(),
            address: origin.address.clone(),
            browser: origin.browser.clone(),
            created_at: now,
            seen_at: now,
        };
        let mut deed = own_deed(&user, now, "session.begin", origin);
        deed.target = session.id.clone();
        deed.detail = format!("by {how} from {}", origin.address);
        let (hash, before) = (session_hash(&word), before.map(session_hash));
        let done = self.store.write(move |tx| {
            Box::pin(async move {
                let connection = tx.connection();
                if let Some(step) = step
                    && !users::use_totp_step(connection, &session.user, step).await?
                {
                    return Ok(false);
                }
                if let Some(before) = before {
                    sessions::end_by_hash(connection, &before).await?;
                }
                sessions::create(connection, &session, &hash).await?;
                admin_audit::append(connection, &deed).await?;
                Ok(true)
            })
        });
        // Somebody else has used the same code in the meantime.
        if done.await? { Ok(LoggedIn { word, user }) } else { Err(AccountError::Refused) }
    }

    /// Begins a login at a provider: what the cookie keeps, and where the browser is sent.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn begin_oidc(&self, provider: &str, back: &Url) -> Result<(Begun, Url), AccountError> {
        let now = self.now();
        let begun = Begun::new(draw_token()?.expose_secret().to_owned(), now);
        let address = self.provider(provider)?.address(&begun, back, now).await?;
        Ok((begun, address))
    }

    /// Ends it: the provider's answer belongs to this browser's login, and to a person who has an account.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn finish_oidc(
        &self,
        provider: &str,
        answer: OidcAnswer<'_>,
        before: Option<&SecretString>,
        origin: &Origin,
    ) -> Result<LoggedIn, AccountError> {
        let now = self.now();
        let provider = self.provider(provider)?;
        let settings = provider.settings();
        let begun = Begun::read(answer.cookie, now).ok_or(AccountError::Refused)?;
        if !begun.is_answered_by(&settings.id, answer.state) {
            return Err(AccountError::Refused);
        }
        let identity = provider.identify(&begun, answer.code, answer.back, now).await;
        let identity = identity.inspect_err(|error: &OidcError| {
            tracing::warn!(provider = %settings.id, request = %origin.request, %error, "a login by a provider failed");
        })?;
        let user = self.person_of(&settings.tenant, &settings.id, identity).await?;
        self.let_in(user, "oidc", None, before, origin).await
    }

    /// Somebody is known by the provider's id; the first time by the address that the provider has verified.
    async fn person_of(
        &self,
        tenant: &str,
        provider: &str,
        identity: Identity,
    ) -> Result<User, AccountError> {
        let mut reader = self.store.read().await?;
        let known = users::by_subject(&mut reader, tenant, provider, &identity.subject).await?;
        let user = match (known, &identity.verified_email) {
            (Some(user), _) => user,
            (None, Some(email)) => {
                let user = users::by_email(&mut reader, email).await?;
                user.filter(|user| user.tenant == tenant && user.oidc.is_none())
                    .ok_or(AccountError::Refused)?
            }
            (None, None) => return Err(AccountError::Refused),
        };
        drop(reader);
        if user.disabled_at.is_some() {
            return Err(AccountError::Refused);
        }
        if user.oidc.is_none() {
            let (id, provider, subject) = (user.id.clone(), provider.to_owned(), identity.subject);
            let tied = self.store.write(move |tx| {
                Box::pin(async move { users::tie(tx.connection(), &id, &provider, &subject).await })
            });
            if !tied.await? {
                return Err(AccountError::Refused);
            }
        }
        Ok(user)
    }

    /// Ends the session of a cookie.
    ///
    /// # Errors
    /// [`AccountError::Store`].
    pub async fn logout(
        &self,
        tenant: &str,
        user: &str,
        session: &str,
        origin: &Origin,
    ) -> Result<(), AccountError> {
        let now = self.now();
        let user = users::get(&mut *self.store.read().await?, tenant, user).await?;
        let mut deed = own_deed(&user, now, "session.end", origin);
        deed.target = session.to_owned();
        let (user, session) = (user.id, session.to_owned());
        let ended = self.store.write(move |tx| {
            Box::pin(async move {
                match sessions::end(tx.connection(), &user, &session).await {
                    Ok(()) => admin_audit::append(tx.connection(), &deed).await.map(drop),
                    Err(StoreError::Missing { .. }) => Ok(()),
                    Err(error) => Err(error),
                }
            })
        });
        Ok(ended.await?)
    }
}

/// What the provider sends the browser back with.
#[derive(Clone, Copy)]
pub struct OidcAnswer<'a> {
    /// Our cookie.
    pub cookie: &'a str,
    /// `state`.
    pub state: &'a str,
    /// `code`.
    pub code: &'a str,
    /// The address that it was sent back to.
    pub back: &'a Url,
}
