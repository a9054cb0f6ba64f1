//! Removes a call's own secrets from what came back: vendors echo requests in error texts. What we write ourselves is
//! kept clean by type; this is for the words of others.

use super::Answer;
use crate::secret::{BoundSecret, Credential};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use std::borrow::Cow;
use zeroize::Zeroizing;

/// Shorter values occur in ordinary words; replacing them would spoil the evidence and hide nothing.
const SHORTEST: usize = 3;

/// The spellings of a call's secrets, longest first.
pub(super) struct Scrub(Vec<Zeroizing<String>>);

impl Scrub {
    /// For these secrets.
    pub(super) fn new<'a>(
        secrets: impl Iterator<Item = &'a BoundSecret>,
        spelled: &[Zeroizing<String>],
    ) -> Self {
        let mut found: Vec<Zeroizing<String>> =
            secrets.flat_map(|secret| spellings(secret.expose())).collect();
        found.extend(spelled.iter().flat_map(|text| spellings(text)));
        found.retain(|text| text.len() >= SHORTEST);
        found.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        found.dedup();
        Self(found)
    }

    /// The text without them.
    pub(super) fn clean<'a>(&self, text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        self.0.iter().fold(text.into(), |text, secret| {
            if text.contains(secret.as_str()) {
                Cow::Owned(text.replace(secret.as_str(), "[secret]"))
            } else {
                text
            }
        })
    }
}

/// The answer without what it repeats of the credential: for refusals that a vendor hides under a good status, which
/// the gate cannot tell from data.
pub fn without_secrets(mut answer: Answer, credential: &Credential) -> Answer {
    let scrub = Scrub::new(credential.field_names().filter_map(|name| credential.get(name)), &[]);
    if let Ok(text) = std::str::from_utf8(&answer.body) {
        answer.body = scrub.clean(text).into_owned().into_bytes();
    }
    answer
}

fn spellings(value: &str) -> Vec<Zeroizing<String>> {
    if value.len() < SHORTEST {
        return Vec::new();
    }
    let quoted = Zeroizing::new(serde_json::Value::String(value.to_owned()).to_string());
    let form: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let percent =
        percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC).to_string();
    vec![
        Zeroizing::new(value.to_owned()),
        Zeroizing::new(quoted[1..quoted.len() - 1].to_owned()),
        Zeroizing::new(form.to_lowercase()),
        Zeroizing::new(form),
        Zeroizing::new(percent.to_lowercase()),
        Zeroizing::new(percent),
        Zeroizing::new(STANDARD.encode(value)),
        Zeroizing::new(STANDARD_NO_PAD.encode(value)),
        Zeroizing::new(URL_SAFE.encode(value)),
        Zeroizing::new(URL_SAFE_NO_PAD.encode(value)),
    ]
}
