//! Passwords: what is accepted, and how it is kept. Length counts, composition does not; what everybody uses is refused.
//! Hashing costs 19 MiB each time, so a semaphore bounds how many run at once; a login of nobody costs the same as a
//! login of somebody, so that time does not tell who exists.

use super::common_passwords;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Fewer characters are refused.
pub const SHORTEST: usize = 8;
/// From here on nothing is advised.
pub const ADVISED: usize = 15;
/// More characters are refused, so that nobody has a book hashed.
pub const LONGEST: usize = 128;

/// Hashes that run at once: 19 MiB each.
const AT_ONCE: usize = 4;
/// Hashes that wait for their turn; more are refused.
const WAITING: usize = 64;

/// Why a password is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Too short.
    #[error(
        "a password has at least {SHORTEST} characters; {ADVISED} or more are advised, a sentence is best"
    )]
    TooShort,
    /// Too long.
    #[error("a password has at most {LONGEST} characters")]
    TooLong,
    /// Among those that are tried first.
    #[error("this password is among those that are guessed first; take a sentence of your own")]
    Common,
    /// Made of the person's own address.
    #[error("this password is made of the e-mail address; take a sentence of your own")]
    OwnAddress,
}

/// Judges a new password. Characters are counted, not bytes; nothing is trimmed or folded.
///
/// # Errors
/// [`Unfit`].
pub fn judge(password: &SecretString, email: &str) -> Result<(), Unfit> {
    let text = password.expose_secret();
    let length = text.chars().count();
    if length < SHORTEST {
        return Err(Unfit::TooShort);
    }
    if length > LONGEST {
        return Err(Unfit::TooLong);
    }
    if common_passwords::is_common(text) {
        return Err(Unfit::Common);
    }
    if is_of_the_address(&text.to_lowercase(), &email.to_lowercase()) {
        return Err(Unfit::OwnAddress);
    }
    Ok(())
}

fn is_of_the_address(password: &str, email: &str) -> bool {
    let kept = password.trim_matches(|c: char| !c.is_alphabetic());
    let local = email.split('@').next().unwrap_or_default();
    password == email || (local.len() >= 4 && kept == local)
}

/// Why a password could not be hashed or compared.
#[derive(Debug, thiserror::Error)]
pub enum HashingError {
    /// Too many logins at once.
    #[error("too many passwords are being checked; try again in a moment")]
    Busy,
    /// The hash in the store cannot be read, or the hash function refused.
    #[error("the password could not be processed: {0}")]
    Broken(String),
}

/// Hashes and compares passwords away from the threads that serve.
#[derive(Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    /// What a login of nobody is compared with.
    nobody: Arc<str>,
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords")
    }
}

impl Passwords {
    /// Makes the hash that nobody's password matches.
    ///
    /// # Errors
    /// [`HashingError::Broken`] when the machine gives no randomness.
    pub fn new() -> Result<Self, HashingError> {
        let mut drawn = [0; 32];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut drawn)
            .map_err(|_| HashingError::Broken("no randomness".into()))?;
        let nobody = hash(&drawn)?.into();
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Ok(Self { turns: semaphore(AT_ONCE), queue: semaphore(AT_ONCE + WAITING), nobody })
    }

    /// The PHC string to keep.
    ///
    /// # Errors
    /// [`HashingError`].
    pub async fn hash(&self, password: &SecretString) -> Result<String, HashingError> {
        let password = password.clone();
        self.in_turn(move || hash(password.expose_secret().as_bytes())).await
    }

    /// Whether the password is the one of the hash. Without a hash it costs the same and is never true.
    ///
    /// # Errors
    /// [`HashingError`].
    pub async fn matches(&self, password: &SecretString, phc: Option<&str>) -> Result<bool, HashingError> {
        let (password, known) = (password.clone(), phc.is_some());
        let phc = phc.map_or_else(|| self.nobody.clone(), Arc::from);
        let equal = self.in_turn(move || verify(password.expose_secret().as_bytes(), &phc)).await?;
        Ok(equal && known)
    }

    /// A key from a password, for what only its owner shall open.
    ///
    /// # Errors
    /// [`HashingError`].
    pub async fn key(&self, password: &SecretString, salt: [u8; 16]) -> Result<[u8; 32], HashingError> {
        let password = password.clone();
        self.in_turn(move || {
            let mut key = [0; 32];
            hasher()?
                .hash_password_into(password.expose_secret().as_bytes(), &salt, &mut key)
                .map_err(|error| HashingError::Broken(error.to_string()))?;
            Ok(key)
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashingError> + Send + 'static,
    ) -> Result<T, HashingError> {
        let _place = self.queue.try_acquire().map_err(|_| HashingError::Busy)?;
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| HashingError::Busy)?;
        let outcome = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        outcome.await.map_err(|error| HashingError::Broken(error.to_string()))?
    }
}

fn hasher() -> Result<Argon2<'static>, HashingError> {
    let params =
        Params::new(19 * 1024, 2, 1, None).map_err(|error| HashingError::Broken(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &[u8]) -> Result<String, HashingError> {
    let hashed =
        hasher()?.hash_password(password).map_err(|error| HashingError::Broken(error.to_string()))?;
    Ok(hashed.to_string())
}

fn verify(password: &[u8], phc: &str) -> Result<bool, HashingError> {
    let phc = PasswordHash::new(phc).map_err(|error| HashingError::Broken(error.to_string()))?;
    Ok(hasher()?.verify_password(password, &phc).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(password: &str) -> Result<(), Unfit> {
        judge(&password.into(), "dora.quill@example.test")
    }

    #[test]
    fn length_counts_in_characters_and_composition_does_not() {
        assert_eq!(judged("kleiner"), Err(Unfit::TooShort));
        assert_eq!(judged("åäöüéèñç"), Ok(()));
        assert_eq!(judged("correct horse battery staple"), Ok(()));
        assert_eq!(judged("nur kleine buchstaben hier"), Ok(()));
        assert_eq!(judged(&"harbour lamp ".repeat(9)), Ok(()));
        assert_eq!(judged(&"é".repeat(LONGEST + 1)), Err(Unfit::TooLong));
    }

    #[test]
    fn what_is_guessed_first_is_refused() {
        for common in
            ["password", "Password1!", "P@ssw0rd2026", "12345678", "qwertyuiop", "aaaaaaaa", "iloveyou1"]
        {
            assert_eq!(judged(common), Err(Unfit::Common), "{common}");
        }
        assert_eq!(judged("dora.quill@example.test"), Err(Unfit::OwnAddress));
        assert_eq!(judged("Dora.Quill77"), Err(Unfit::OwnAddress));
    }

    #[tokio::test]
    async fn a_hash_says_its_parameters_and_matches_its_password_alone() {
        let passwords = Passwords::new().unwrap();
        let (right, wrong) = ("a lamp in the harbour".into(), "a lamp in the harbour ".into());
        let phc = passwords.hash(&right).await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert!(passwords.matches(&right, Some(&phc)).await.unwrap());
        assert!(!passwords.matches(&wrong, Some(&phc)).await.unwrap());
        assert!(!passwords.matches(&right, None).await.unwrap());
        assert_ne!(passwords.hash(&right).await.unwrap(), phc);
    }

    #[tokio::test]
    async fn a_flood_of_logins_is_refused_instead_of_filling_the_memory() {
        let passwords = Passwords::new().unwrap();
        let places = passwords.queue.clone().try_acquire_many_owned((AT_ONCE + WAITING) as u32).unwrap();
        let refused = passwords.matches(&"a lamp in the harbour".into(), None).await;
        assert!(matches!(refused, Err(HashingError::Busy)));
        drop(places);
        assert!(!passwords.matches(&"a lamp in the harbour".into(), None).await.unwrap());
    }
}
