//! Secrets do not go back. Whoever forwards sealed secrets can keep a copy of each, and hand an old one in again to bring a
//! credential back that was replaced because it had leaked, or a refresh token that was used up.
//!
//! A sealed secret says when it was sealed. It is taken when that is later than what is stored: the moment at which that
//! one was sealed, or at which a person set or removed it on the machine. One moment for each name is enough however many
//! there were, so nothing is ever forgotten; and it also stops an old text that was held back and never handed in, which
//! a memory of what was seen would take for new.
//!
//! Texts of the release before say no moment. They are taken while no later rule stands: each content once, at most
//! [`MOST_UNTIMED`] under one name, and none once a moment is known.

use crate::store::{Batch, HandedSecret, StateTable, Store, StoreError};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use spend::Timestamp;

/// Contents without a moment that are taken under one name. Nobody replaces a credential so often with an old release, and
/// a list that drops its oldest entry would let that one come again.
const MOST_UNTIMED: usize = 16;
/// A moment further ahead is a clock that is wrong: it would keep out everything that is sealed until then.
const AHEAD: TimeDelta = TimeDelta::minutes(10);

/// What is remembered under the name of a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// What is taken must be sealed later than this.
    since: Option<Timestamp>,
    /// Digests of what was taken without a moment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    untimed: Vec<String>,
}

/// Why a sealed secret is not taken, although everything else about it fits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stale {
    /// It is older than what is stored, or the same again.
    #[error(
        "it was sealed at {sealed}, and what is known here is of {since}: an old secret does not come again; seal it anew \
         if it is right"
    )]
    Older {
        /// When it was sealed.
        sealed: Timestamp,
        /// What it must be later than.
        since: Timestamp,
    },
    /// It was taken before.
    #[error(
        "the same secret was taken before: an old secret does not come again; seal it anew if it is right"
    )]
    Again,
    /// Whether it is old cannot be told.
    #[error(
        "it does not say when it was sealed, so it may be an old one; seal it anew with the release of this agent"
    )]
    Untimed,
    /// The clock where it was sealed is wrong, or this one.
    #[error(
        "it was sealed at {sealed}, which is to come (here it is {now}); set the clocks and seal it anew"
    )]
    ToCome {
        /// When it was sealed.
        sealed: Timestamp,
        /// The present moment.
        now: Timestamp,
    },
}

impl Stale {
    /// Whether somebody may be handing in what they kept.
    pub(super) fn is_replay(&self) -> bool {
        !matches!(self, Self::ToCome { .. })
    }
}

fn taken(name: &str) -> String {
    format!("sealed/{name}")
}

/// Apart from what was taken: a clock may have been ahead where that was sealed, and neither moment lowers the other.
fn set_here(name: &str) -> String {
    format!("set-here/{name}")
}

/// A person has set or removed a secret on the machine: what was sealed before does not undo it.
pub(super) fn decided_here(batch: &mut Batch, name: &str, at: Timestamp) {
    batch.put(StateTable::Meta, &set_here(name), &at);
}

/// Whether a secret is new. The batch remembers it, once it is durable.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn take(
    store: &Store,
    handed: &HandedSecret,
    now: Timestamp,
) -> Result<Result<Batch, Stale>, StoreError> {
    let place = taken(&handed.name);
    let mut known: Known = store.get(StateTable::Meta, &place)?.unwrap_or_default();
    known.since = known.since.max(store.get(StateTable::Meta, &set_here(&handed.name))?);
    Ok(next(known, handed, now).map(|known| {
        let mut batch = Batch::new();
        batch.put(StateTable::Meta, &place, &known);
        batch
    }))
}

fn next(mut known: Known, handed: &HandedSecret, now: Timestamp) -> Result<Known, Stale> {
    match (handed.sealed_at, known.since) {
        (Some(sealed), _) if sealed > now + AHEAD => Err(Stale::ToCome { sealed, now }),
        (Some(sealed), Some(since)) if sealed <= since => Err(Stale::Older { sealed, since }),
        (Some(sealed), _) => Ok(Known { since: Some(sealed), untimed: Vec::new() }),
        (None, Some(_)) => Err(Stale::Untimed),
        (None, None) => {
            let digest = handed.digest().to_hex().to_string();
            if known.untimed.contains(&digest) {
                return Err(Stale::Again);
            }
            if known.untimed.len() >= MOST_UNTIMED {
                return Err(Stale::Untimed);
            }
            known.untimed.push(digest);
            Ok(known)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoredSecret;
    use secrecy::SecretString;

    fn at(text: &str) -> Timestamp {
        format!("2026-08-10T{text}Z").parse().unwrap()
    }

    fn handed(sealed_at: Option<&str>, value: &str) -> HandedSecret {
        HandedSecret {
            agent: "a1".to_owned(),
            fingerprint: "f".to_owned(),
            name: "erp".to_owned(),
            connection: "erp".to_owned(),
            sealed_at: sealed_at.map(at),
            secret: StoredSecret {
                kind: "epicor".to_owned(),
                origins: Vec::new(),
                fields: [("password".to_owned(), SecretString::from(value))].into(),
            },
        }
    }

    #[test]
    fn what_was_sealed_earlier_never_comes_after_what_was_sealed_later() {
        let now = at("12:00:00");
        let known = next(Known::default(), &handed(Some("11:00:00"), "x"), now).unwrap();
        for old in ["11:00:00", "10:59:59.999999999"] {
            let stale = next(known.clone(), &handed(Some(old), "y"), now).unwrap_err();
            assert!(matches!(stale, Stale::Older { .. }) && stale.is_replay(), "{old}: {stale}");
        }
        let later = next(known.clone(), &handed(Some("11:00:00.000001"), "y"), now).unwrap();
        assert_eq!(later.since, Some(at("11:00:00.000001")));
        assert_eq!(next(known, &handed(None, "z"), now).unwrap_err(), Stale::Untimed);
    }

    #[test]
    fn a_moment_to_come_would_keep_out_what_is_right_and_is_refused() {
        let now = at("12:00:00");
        let stale = next(Known::default(), &handed(Some("12:10:01"), "x"), now).unwrap_err();
        assert!(!stale.is_replay(), "{stale}");
        assert!(next(Known::default(), &handed(Some("12:09:59"), "x"), now).is_ok());
    }

    #[test]
    fn without_a_moment_each_content_is_taken_once_and_not_without_end() {
        let now = at("12:00:00");
        let mut known = next(Known::default(), &handed(None, "0"), now).unwrap();
        assert_eq!(next(known.clone(), &handed(None, "0"), now).unwrap_err(), Stale::Again);
        for n in 1..MOST_UNTIMED {
            known = next(known, &handed(None, &n.to_string()), now).unwrap();
        }
        assert_eq!(next(known.clone(), &handed(None, "one more"), now).unwrap_err(), Stale::Untimed);
        let timed = next(known, &handed(Some("11:00:00"), "0"), now).unwrap();
        assert!(timed.untimed.is_empty());
        assert_eq!(next(timed, &handed(None, "0"), now).unwrap_err(), Stale::Untimed);
    }
}
