//! The second factor (RFC 6238, SHA-1, six digits, 30 seconds: what every authenticator app can). The shared secret is
//! kept sealed with a key made from the person's password, so that who reads the database has no second factor of
//! anybody. A password that is set by somebody else therefore ends the second factor, which is then set up anew.

use super::seal;
use totp_rs::{Algorithm, Builder, Totp};
use zeroize::Zeroizing;

const SECRET: usize = 20;
const SALT: usize = 16;

/// What can go wrong with a second factor besides a wrong code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TotpError {
    /// The machine gives no randomness.
    #[error("no randomness can be had")]
    NoRandomness,
    /// What is in the store was sealed with another password, or is damaged.
    #[error("the second factor cannot be opened; an owner has to remove it, and it is set up anew")]
    Unopened,
}

/// The shared secret. `Debug` shows nothing of it.
pub struct SharedSecret(Zeroizing<[u8; SECRET]>);

impl std::fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedSecret")
    }
}

impl SharedSecret {
    /// A new one.
    ///
    /// # Errors
    /// [`TotpError::NoRandomness`].
    pub fn draw() -> Result<Self, TotpError> {
        Ok(Self(Zeroizing::new(seal::drawn().ok_or(TotpError::NoRandomness)?)))
    }

    /// As authenticator apps take it: base32 without padding.
    pub fn base32(&self) -> String {
        const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let mut text = String::new();
        for chunk in self.0.chunks(5) {
            let bits = chunk.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
            for place in (0..8).rev() {
                text.push(char::from(ALPHABET[(bits >> (5 * place) & 31) as usize]));
            }
        }
        text
    }

    /// Reads what [`Self::base32`] shows: for programs that keep their second factor, and for tests.
    pub fn of_base32(text: &str) -> Option<Self> {
        let mut bits = 0_u64;
        let mut bytes = Vec::new();
        for (at, digit) in text.bytes().enumerate() {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'2'..=b'7' => digit - b'2' + 26,
                _ => return None,
            };
            bits = bits << 5 | u64::from(value);
            if at % 8 == 7 {
                bytes.extend_from_slice(&bits.to_be_bytes()[3..]);
            }
        }
        let secret = <[u8; SECRET]>::try_from(bytes).ok()?;
        Some(Self(Zeroizing::new(secret)))
    }

    /// The address that a QR code shows.
    pub fn address(&self, account: &str) -> String {
        let account: String = url::form_urlencoded::byte_serialize(account.as_bytes()).collect();
        let account = account.replace('+', "%20");
        format!("otpauth://totp/Purser:{account}?secret={}&issuer=Purser", self.base32())
    }

    /// The time step that the code belongs to, when it is of now, or of 30 seconds before or after. A step is used once:
    /// the caller refuses one that is not later than the last.
    pub fn step_of(&self, code: &str, now_millis: i64) -> Option<i64> {
        if code.len() != 6 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let seconds = u64::try_from(now_millis / 1000).ok()?;
        self.generator()?.check(code, seconds).and_then(|step| i64::try_from(step).ok())
    }

    /// The code of a moment; for tests and for those who keep their second factor in a program.
    pub fn code_at(&self, now_millis: i64) -> Option<String> {
        let seconds = u64::try_from(now_millis / 1000).ok()?;
        Some(self.generator()?.generate(seconds).to_string())
    }

    fn generator(&self) -> Option<Totp> {
        Builder::new().with_algorithm(Algorithm::SHA1).with_secret(*self.0).build().ok()
    }

    /// Seals it with a key of the person's password; [`salt_of`] says with which salt the key is made again.
    ///
    /// # Errors
    /// [`TotpError::NoRandomness`].
    pub fn seal(&self, key: &[u8; 32], salt: [u8; SALT], user: &str) -> Result<Vec<u8>, TotpError> {
        let sealed = seal::seal(key, user, &self.0[..]).ok_or(TotpError::NoRandomness)?;
        Ok([&salt[..], &sealed[..]].concat())
    }

    /// Opens it for the person that it was sealed for.
    ///
    /// # Errors
    /// [`TotpError::Unopened`].
    pub fn open(sealed: &[u8], key: &[u8; 32], user: &str) -> Result<Self, TotpError> {
        let opened =
            sealed.get(SALT..).and_then(|rest| seal::open(key, user, rest)).ok_or(TotpError::Unopened)?;
        let secret = <[u8; SECRET]>::try_from(opened.as_slice()).map_err(|_| TotpError::Unopened)?;
        Ok(Self(Zeroizing::new(secret)))
    }
}

/// The salt of the key that a secret was sealed with.
///
/// # Errors
/// [`TotpError::Unopened`] for what is no sealed secret.
pub fn salt_of(sealed: &[u8]) -> Result<[u8; SALT], TotpError> {
    sealed.first_chunk().copied().ok_or(TotpError::Unopened)
}

/// A salt for a new key.
///
/// # Errors
/// [`TotpError::NoRandomness`].
pub fn draw_salt() -> Result<[u8; SALT], TotpError> {
    seal::drawn().ok_or(TotpError::NoRandomness)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn of_the_rfc() -> SharedSecret {
        SharedSecret(Zeroizing::new(*b"12345678901234567890"))
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 6238, appendix B, the last six of eight digits.
        for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            assert_eq!(of_the_rfc().code_at(seconds * 1000).unwrap(), code);
        }
        assert_eq!(of_the_rfc().base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(SharedSecret::of_base32("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap().0, of_the_rfc().0);
        assert!(SharedSecret::of_base32("GEZDGNBV").is_none() && SharedSecret::of_base32("1").is_none());
        assert_eq!(
            of_the_rfc().address("dora quill@example.test"),
            "otpauth://totp/Purser:dora%20quill%40example.test?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Purser"
        );
    }

    #[test]
    fn a_code_is_taken_from_one_step_before_to_one_after() {
        let secret = SharedSecret::draw().unwrap();
        let step = NOW / 30_000;
        let code = secret.code_at(NOW).unwrap();
        for (later, taken) in
            [(-60_000, None), (-30_000, Some(step)), (0, Some(step)), (30_000, Some(step)), (60_000, None)]
        {
            assert_eq!(secret.step_of(&code, NOW + later), taken, "{later}");
        }
        for wrong in ["", "12345", "1234567", "12 456", "１２３４５６", "abcdef"] {
            assert_eq!(secret.step_of(wrong, NOW), None, "{wrong}");
        }
    }

    #[test]
    fn a_sealed_secret_opens_with_its_key_for_its_person_only() {
        let secret = SharedSecret::draw().unwrap();
        let salt = draw_salt().unwrap();
        let sealed = secret.seal(&[7; 32], salt, "u1").unwrap();
        assert_eq!(salt_of(&sealed), Ok(salt));
        assert!(!sealed.windows(SECRET).any(|window| window == &secret.0[..]));
        assert_eq!(SharedSecret::open(&sealed, &[7; 32], "u1").unwrap().0, secret.0);
        assert_eq!(SharedSecret::open(&sealed, &[8; 32], "u1").unwrap_err(), TotpError::Unopened);
        assert_eq!(SharedSecret::open(&sealed, &[7; 32], "u2").unwrap_err(), TotpError::Unopened);
        assert_eq!(SharedSecret::open(&sealed[..20], &[7; 32], "u1").unwrap_err(), TotpError::Unopened);
        assert_eq!(format!("{secret:?}"), "SharedSecret");
    }
}
