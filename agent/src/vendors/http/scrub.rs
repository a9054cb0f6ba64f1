//! Removes a call's own secrets from what came back: vendors echo requests in error texts. What we write ourselves is
//! kept clean by type; this is for the words of others.

use super::Answer;
use crate::secret::{BoundSecret, Credential};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use memchr::memmem;
use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// Shorter values occur in ordinary words; replacing them would spoil the evidence and hide nothing.
const SHORTEST: usize = 3;

/// How much of a spelling is looked for first. To look for a long one, a table of it is made each time.
const PROBE: usize = 24;

/// The spellings of a call's secrets.
#[derive(Default)]
pub(super) struct Scrub {
    /// What they were made from, in order: tells whether they also serve the next call.
    values: Vec<Zeroizing<String>>,
    /// Longest first.
    spellings: Vec<Zeroizing<String>>,
    /// Those that hold no other one: a text without these has none of the others either.
    telling: Vec<Zeroizing<String>>,
}

impl Scrub {
    fn of<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let values: Vec<_> = values.map(|value| Zeroizing::new(value.to_owned())).collect();
        let mut found: Vec<Zeroizing<String>> = values.iter().flat_map(|value| spellings(value)).collect();
        found.retain(|text| text.len() >= SHORTEST);
        found.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        found.dedup();
        let holds_another =
            |text: &str| found.iter().any(|o| o.len() < text.len() && text.contains(o.as_str()));
        let telling = found.iter().filter(|text| !holds_another(text)).cloned().collect();
        Self { values, spellings: found, telling }
    }

    /// The text without them.
    pub(super) fn clean<'a>(&self, text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        let text = text.into();
        if !self.telling.iter().any(|secret| holds(&text, secret)) {
            return text;
        }
        self.spellings.iter().fold(text, |text, secret| {
            if holds(&text, secret) { Cow::Owned(text.replace(secret.as_str(), "[secret]")) } else { text }
        })
    }
}

/// Whether the secret is in the text. Nearly always it is not, and then its end is not there either.
fn holds(text: &str, secret: &str) -> bool {
    let (text, secret) = (text.as_bytes(), secret.as_bytes());
    let probe = &secret[secret.len().saturating_sub(PROBE)..];
    memmem::find(text, probe)
        .is_some_and(|_| probe.len() == secret.len() || memmem::find(text, secret).is_some())
}

/// The answer without what it repeats of the credential: for refusals that a vendor hides under a good status, which
/// the gate cannot tell from data.
pub fn without_secrets(mut answer: Answer, credential: &Credential) -> Answer {
    let scrub =
        Scrub::of(credential.field_names().filter_map(|name| credential.get(name)).map(BoundSecret::expose));
    if let Ok(text) = std::str::from_utf8(&answer.body) {
        answer.body = scrub.clean(text).into_owned().into_bytes();
    }
    answer
}

/// The spellings that served last: nearly all calls of a connection bear the same secrets.
#[derive(Default)]
pub(super) struct LastScrub(Mutex<Arc<Scrub>>);

impl LastScrub {
    /// For these secrets, and for texts that are secret as they are.
    pub(super) fn serve<'a>(
        &self,
        secrets: impl Iterator<Item = &'a BoundSecret>,
        spelled: &'a [Zeroizing<String>],
    ) -> Arc<Scrub> {
        let values: Vec<&str> =
            secrets.map(BoundSecret::expose).chain(spelled.iter().map(|text| text.as_str())).collect();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !last.values.iter().map(|value| value.as_str()).eq(values.iter().copied()) {
            *last = Arc::new(Scrub::of(values.into_iter()));
        }
        Arc::clone(&last)
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;

    fn secret(value: &str) -> BoundSecret {
        BoundSecret::new(SecretString::from(value.to_owned()), Arc::from([]))
    }

    #[test]
    fn a_call_with_other_secrets_gets_spellings_of_its_own() {
        let last = LastScrub::default();
        let (one, two) = (secret("first-secret"), secret("second-secret"));
        for (served, other) in [(&one, &two), (&one, &two), (&two, &one)] {
            let scrub = last.serve([served].into_iter(), &[]);
            let text = format!("{} and {}", served.expose(), other.expose());
            assert_eq!(scrub.clean(text.as_str()), format!("[secret] and {}", other.expose()));
        }
        let both = last.serve([&one, &two].into_iter(), &[]);
        assert_eq!(both.clean("first-secret, second-secret"), "[secret], [secret]");
        assert_eq!(last.serve(std::iter::empty(), &[]).clean("second-secret"), "second-secret");
    }

    #[test]
    fn the_longest_spelling_goes_first_where_one_holds_another() {
        let last = LastScrub::default();
        let spelled = [Zeroizing::new("abc-tiger-xyz".to_owned())];
        let scrub = last.serve([&secret("tiger")].into_iter(), &spelled);
        assert_eq!(scrub.clean("abc-tiger-xyz tiger TIGER"), "[secret] [secret] TIGER");
    }
}
