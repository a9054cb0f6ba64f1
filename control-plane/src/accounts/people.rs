//! What people do to their own account: passwords and the second factor. And how the first owner comes to be.

use super::password::judge;
use super::roles::Role;
use super::service::{AccountError, Accounts, Origin, own_deed};
use super::totp::{SharedSecret, draw_salt};
use crate::secrets::draw_id;
use crate::store::admin_audit::{self, Deed};
use crate::store::users::{self, NewUser, User};
use crate::store::{StoreError, sessions};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;

/// Somebody new.
#[derive(Debug)]
pub struct Newcomer {
    /// Tenant, or `*`.
    pub tenant: String,
    /// What they log in with.
    pub email: String,
    /// What they are called.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Without one they log in at an identity provider.
    pub password: Option<SecretString>,
    /// Who creates them.
    pub by: String,
}

/// A second factor to be confirmed; shown once.
#[derive(Debug)]
pub struct NewFactor {
    /// The secret in base32, for typing.
    pub secret: SecretString,
    /// The secret as an address, for a QR code.
    pub address: SecretString,
}

impl Accounts {
    /// What is kept of somebody new; their password is judged and hashed.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn prepare(&self, new: Newcomer) -> Result<NewUser, AccountError> {
        let password = match &new.password {
            Some(password) => {
                judge(password, &new.email)?;
                Some(self.passwords.hash(password).await?)
            }
            None => None,
        };
        let id = draw_id('u')?;
        let (tenant, email, name, by) = (new.tenant, new.email, new.name, new.by);
        Ok(NewUser {
            id,
            tenant,
            email,
            name,
            role: new.role.word().to_owned(),
            password,
            at: self.now(),
            by,
        })
    }

    /// Creates somebody from the command line of the server.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn create_from_host(&self, new: Newcomer) -> Result<String, AccountError> {
        let new = self.prepare(new).await?;
        let id = new.id.clone();
        let deed = Deed {
            tenant: new.tenant.clone(),
            at: new.at,
            who: "the command line of the server".to_owned(),
            who_id: "cli".to_owned(),
            action: "user.create".to_owned(),
            target: new.id.clone(),
            detail: format!("{} as {}", new.email, new.role),
            request: String::new(),
        };
        let created = self.store.write(move |tx| {
            Box::pin(async move {
                users::create(tx.connection(), &new).await?;
                admin_audit::append(tx.connection(), &deed).await
            })
        });
        created.await?;
        Ok(id)
    }

    async fn person(&self, tenant: &str, id: &str) -> Result<User, AccountError> {
        Ok(users::get(&mut *self.store.read().await?, tenant, id).await?)
    }

    /// Whether it is the person's password; failures count as failed logins.
    async fn confirmed(
        &self,
        user: &User,
        password: &SecretString,
        origin: &Origin,
    ) -> Result<(), AccountError> {
        let at = self.passed();
        let (account, address) = (user.email.as_str(), origin.address.as_str());
        self.limits.admit(account, address, at).map_err(|wait| AccountError::Wait(wait.millis))?;
        let right = self.passwords.matches(password, user.password.as_deref()).await;
        if !matches!(right, Ok(false)) {
            self.limits.forgive(account, address, at);
        }
        if right? { Ok(()) } else { Err(AccountError::Refused) }
    }

    /// What is kept of a password that an owner sets.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn new_password(&self, user: &User, password: &SecretString) -> Result<String, AccountError> {
        judge(password, &user.email)?;
        Ok(self.passwords.hash(password).await?)
    }

    /// Changes one's own password. All other sessions end; the second factor is sealed anew.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn change_password(
        &self,
        (tenant, user, session): (&str, &str, &str),
        old: &SecretString,
        new: &SecretString,
        origin: &Origin,
    ) -> Result<(), AccountError> {
        let user = self.person(tenant, user).await?;
        self.confirmed(&user, old, origin).await?;
        judge(new, &user.email)?;
        let phc = self.passwords.hash(new).await?;
        let totp = match &user.totp {
            Some(sealed) => {
                let secret = self.open_totp(&user.id, sealed, old).await?;
                Some(self.seal_totp(&user.id, &secret, new).await?)
            }
            None => None,
        };
        let now = self.now();
        let deed = own_deed(&user, now, "user.password", origin);
        let (id, session) = (user.id, session.to_owned());
        let changed = self.store.write(move |tx| {
            Box::pin(async move {
                let connection = tx.connection();
                users::set_password(connection, &id, &phc, totp.as_deref(), now).await?;
                sessions::end_all(connection, &id, &session).await?;
                admin_audit::append(connection, &deed).await
            })
        });
        changed.await?;
        Ok(())
    }

    /// Draws a second factor. It counts once a code of it was given.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn begin_totp(
        &self,
        (tenant, user): (&str, &str),
        password: &SecretString,
        origin: &Origin,
    ) -> Result<NewFactor, AccountError> {
        let user = self.person(tenant, user).await?;
        self.confirmed(&user, password, origin).await?;
        if user.totp.is_some() {
            return Err(AccountError::Conflict("there is a second factor already; remove it first"));
        }
        let secret = SharedSecret::draw()?;
        let sealed = self.seal_totp(&user.id, &secret, password).await?;
        let deed = own_deed(&user, self.now(), "user.totp.begin", origin);
        let id = user.id;
        let kept = self.store.write(move |tx| {
            Box::pin(async move {
                users::set_pending_totp(tx.connection(), &id, &sealed).await?;
                admin_audit::append(tx.connection(), &deed).await
            })
        });
        kept.await?;
        Ok(NewFactor { secret: secret.base32().into(), address: secret.address(&user.email).into() })
    }

    /// Puts it in force, or ends the one in force; both need password and a code that was not used yet.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn settle_totp(
        &self,
        (tenant, user): (&str, &str),
        what: Settle,
        (password, code): (&SecretString, &str),
        origin: &Origin,
    ) -> Result<(), AccountError> {
        let user = self.person(tenant, user).await?;
        self.confirmed(&user, password, origin).await?;
        let (sealed, action) = match what {
            Settle::Confirm => (&user.totp_pending, "user.totp.confirm"),
            Settle::Remove => (&user.totp, "user.totp.remove"),
        };
        let sealed = sealed
            .as_ref()
            .ok_or(AccountError::Conflict("there is no second factor to which this applies"))?;
        let secret = self.open_totp(&user.id, sealed, password).await?;
        let now = self.now();
        let Some(step) = secret.step_of(code, now).filter(|step| *step > user.totp_step) else {
            self.limits.failed(&user.email, &origin.address, self.passed());
            return Err(AccountError::Refused);
        };
        let deed = own_deed(&user, now, action, origin);
        let id = user.id;
        let settled = self.store.write(move |tx| {
            Box::pin(async move {
                let connection = tx.connection();
                match what {
                    Settle::Confirm => users::confirm_totp(connection, &id, step).await?,
                    Settle::Remove if users::use_totp_step(connection, &id, step).await? => {
                        users::remove_totp(connection, &id).await?;
                    }
                    Settle::Remove => {
                        return Err(StoreError::Conflict("this code was used already".to_owned()));
                    }
                }
                admin_audit::append(connection, &deed).await
            })
        });
        settled.await?;
        Ok(())
    }

    async fn seal_totp(
        &self,
        user: &str,
        secret: &SharedSecret,
        password: &SecretString,
    ) -> Result<String, AccountError> {
        let salt = draw_salt()?;
        let key = self.passwords.key(password, salt).await?;
        Ok(STANDARD.encode(secret.seal(&key, salt, user)?))
    }
}

/// What becomes of a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settle {
    /// It counts from now on.
    Confirm,
    /// It counts no more.
    Remove,
}
