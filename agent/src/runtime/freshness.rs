//! Secrets do not go back. Whoever forwards sealed secrets can keep a copy of each, and hand an old one in again to bring a
//! credential back that was replaced because it had leaked, or a refresh token that was used up.
//!
//! A sealed secret says when it was sealed. It is taken when that is later than what is stored: the moment at which that
//! one was sealed, or at which a person set or removed it on the machine. One moment for each name is enough however many
//! there were, so nothing is ever forgotten; and it also stops an old text that was held back and never handed in, which
//! a memory of what was seen would take for new. What is read here is read again by the transaction that writes, so nothing
//! that a person sets in between is lost.
//!
//! A clock that was far ahead, here and where it was sealed, leaves a moment that keeps out what is right for as long as it
//! was ahead. A person ends that by setting the secret on the machine: what counts then is the moment of that. Only a
//! decision made after the text was taken does so, which is told by a number, since the moments themselves are in doubt.
//! Texts that were sealed in the last day of such a time are refused when it comes; earlier ones are not known by then.
//!
//! Texts of the release before say no moment. They are taken while no later rule stands: each content once, at most
//! [`MOST_UNTIMED`] under one name, and none once a moment is known.

use crate::store::{Batch, HandedSecret, StateTable, Store, StoreError};
use chrono::TimeDelta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use spend::Timestamp;

/// Contents without a moment that are taken under one name. Nobody replaces a credential so often with an old release, and
/// a list that drops its oldest entry would let that one come again.
const MOST_UNTIMED: usize = 16;
/// A moment further ahead is a clock that is wrong: it would keep out everything that is sealed until then.
const AHEAD: TimeDelta = TimeDelta::minutes(10);
/// How much of a time in which clocks were ahead is remembered, before its last moment.
const DOUBTED: TimeDelta = TimeDelta::days(1);

/// What is remembered under the name of a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// What is taken must be sealed later than this.
    since: Option<Timestamp>,
    /// Digests of what was taken without a moment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    untimed: Vec<String>,
    /// Which decision of a person stood when this was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decision: Option<u64>,
    /// Last moment of a time in which clocks were ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doubted: Option<Timestamp>,
}

/// What a person has decided on the machine about a secret.
#[derive(Clone, Copy, Debug, Default)]
struct Here {
    at: Option<Timestamp>,
    /// Another one for each decision; decisions made under the release before have none.
    decision: Option<u64>,
}

/// Why a sealed secret is not taken, although everything else about it fits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stale {
    /// It is older than what is stored, or the same again.
    #[error(
        "it was sealed at {sealed}, and what is known here is of {since}: an old secret does not come again; if it is \
         right, seal it anew, later than that"
    )]
    Older {
        /// When it was sealed.
        sealed: Timestamp,
        /// What it must be later than.
        since: Timestamp,
    },
    /// What is known here is of a time to come, so whether it is old cannot be told.
    #[error(
        "what is known here is of {since}, which is to come (here it is {now}): a clock was ahead then; set the clock of \
         this machine, then set this secret on it (`purser secrets set`); what is sealed more than ten minutes after that \
         is taken again"
    )]
    Ahead {
        /// What is known.
        since: Timestamp,
        /// The present moment.
        now: Timestamp,
    },
    /// It may be one of those that were sealed while clocks were ahead.
    #[error(
        "it was sealed at {sealed}, and clocks that were ahead have sealed up to {until} before: an old secret does not \
         come again; set it on the machine (`purser secrets set`), or seal it anew after that"
    )]
    Doubted {
        /// When it was sealed.
        sealed: Timestamp,
        /// Last moment that such a clock has shown.
        until: Timestamp,
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
        match self {
            Self::Older { .. } | Self::Doubted { .. } | Self::Again | Self::Untimed => true,
            Self::Ahead { .. } | Self::ToCome { .. } => false,
        }
    }
}

fn taken(name: &str) -> String {
    format!("sealed/{name}")
}

/// Apart from what was taken: a clock may have been ahead where that was sealed, and neither moment lowers the other.
fn set_here(name: &str) -> String {
    format!("set-here/{name}")
}

/// Which decision that was, apart from its moment.
fn decision(name: &str) -> String {
    format!("set-here/{name}/decision")
}

/// A person has set or removed a secret on the machine: what was sealed before does not undo it.
pub(super) fn decided_here(batch: &mut Batch, name: &str, at: Timestamp) {
    batch.put(StateTable::Meta, &set_here(name), &at);
    batch.put(StateTable::Meta, &decision(name), &fastrand::u64(..));
}

/// Whether a secret is new. The batch remembers it, once it is durable, and is refused when anything that was looked at is
/// another by then.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn take(
    store: &Store,
    handed: &HandedSecret,
    now: Timestamp,
) -> Result<Result<Batch, Stale>, StoreError> {
    let mut batch = Batch::new();
    let (place, at, number) = (taken(&handed.name), set_here(&handed.name), decision(&handed.name));
    let known: Option<Known> = read(store, &mut batch, &place)?;
    let here = Here { at: read(store, &mut batch, &at)?, decision: read(store, &mut batch, &number)? };
    let known = decided(known.unwrap_or_default(), here, now);
    Ok(next(known, handed, now).map(|known| {
        batch.put(StateTable::Meta, &place, &known);
        batch
    }))
}

/// Reads a value; the batch is refused when it is another one by then.
fn read<T: DeserializeOwned>(store: &Store, batch: &mut Batch, name: &str) -> Result<Option<T>, StoreError> {
    let (value, seen) = store.get_stamped(StateTable::Meta, name)?;
    batch.expect(StateTable::Meta, name, seen);
    Ok(value)
}

/// What is known, once what a person has decided is considered.
fn decided(mut known: Known, here: Here, now: Timestamp) -> Known {
    let is_later = here.decision.is_some() && here.decision != known.decision;
    match (known.since, here.at) {
        (Some(since), Some(at)) if since > now + AHEAD && at <= now && is_later => {
            known.doubted = known.doubted.max(Some(since));
            // Whatever was taken before, while the clock was right, was sealed no later.
            known.since = Some(at + AHEAD);
        }
        (since, at) => known.since = since.max(at),
    }
    known.decision = here.decision;
    known
}

fn next(known: Known, handed: &HandedSecret, now: Timestamp) -> Result<Known, Stale> {
    let Some(sealed) = handed.sealed_at else { return next_untimed(known, handed) };
    if sealed > now + AHEAD {
        return Err(Stale::ToCome { sealed, now });
    }
    match known.since {
        Some(since) if sealed <= since && since > now + AHEAD => return Err(Stale::Ahead { since, now }),
        Some(since) if sealed <= since => return Err(Stale::Older { sealed, since }),
        Some(_) | None => {}
    }
    let doubted = known.doubted.filter(|until| sealed <= *until);
    match doubted {
        Some(until) if sealed > until - DOUBTED => Err(Stale::Doubted { sealed, until }),
        Some(_) | None => {
            Ok(Known { since: Some(sealed), untimed: Vec::new(), decision: known.decision, doubted })
        }
    }
}

/// One of the release before.
fn next_untimed(mut known: Known, handed: &HandedSecret) -> Result<Known, Stale> {
    let digest = handed.digest().to_hex().to_string();
    if known.since.is_some() {
        return Err(Stale::Untimed);
    }
    if known.untimed.contains(&digest) {
        return Err(Stale::Again);
    }
    if known.untimed.len() >= MOST_UNTIMED {
        return Err(Stale::Untimed);
    }
    known.untimed.push(digest);
    Ok(known)
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

    fn here(at: Timestamp, decision: u64) -> Here {
        Here { at: Some(at), decision: Some(decision) }
    }

    /// Taken while both clocks were four years ahead, over the decision `1`.
    fn from_afar() -> (Known, Timestamp) {
        let ahead: Timestamp = "2030-08-10T12:00:00Z".parse().unwrap();
        let text = HandedSecret { sealed_at: Some(ahead), ..handed(None, "x") };
        let known = decided(Known::default(), here(at("08:00:00"), 1), ahead);
        (next(known, &text, ahead).unwrap(), ahead)
    }

    #[test]
    fn a_moment_of_a_clock_that_was_ahead_counts_until_a_person_decides_and_no_longer() {
        let now = at("12:00:00");
        let (known, ahead) = from_afar();
        // What was decided before it was taken, and a decision by a clock that is still ahead, end nothing.
        for before in [Here::default(), here(at("08:00:00"), 1), here(ahead, 2)] {
            let stale = next(decided(known.clone(), before, now), &handed(Some("11:59:00"), "y"), now);
            let stale = stale.unwrap_err();
            assert!(matches!(stale, Stale::Ahead { .. }) && !stale.is_replay(), "{stale}");
            assert!(stale.to_string().contains("purser secrets set"), "{stale}");
        }
        let known = decided(known, here(at("11:00:00"), 2), now);
        for old in ["10:00:00", "11:00:00", "11:10:00"] {
            let stale = next(known.clone(), &handed(Some(old), "y"), now).unwrap_err();
            assert!(matches!(stale, Stale::Older { .. }), "{old}: {stale}");
        }
        let mended = next(known, &handed(Some("11:10:01"), "y"), now).unwrap();
        assert_eq!(mended.since, Some(at("11:10:01")));
        // The same decision does not count twice.
        let again = decided(mended, here(at("11:00:00"), 2), now);
        assert_eq!(again.since, Some(at("11:10:01")));
    }

    #[test]
    fn what_was_sealed_while_clocks_were_ahead_does_not_come_again_when_its_time_comes() {
        let (known, ahead) = from_afar();
        let known = decided(known, here(at("11:00:00"), 2), at("12:00:00"));
        let known = next(known, &handed(Some("11:30:00"), "y"), at("12:00:00")).unwrap();
        let known = decided(known, here(at("11:00:00"), 2), ahead);
        let sealed = |sealed_at: Timestamp| HandedSecret { sealed_at: Some(sealed_at), ..handed(None, "x") };
        for old in [ahead, ahead - TimeDelta::hours(23)] {
            let stale = next(known.clone(), &sealed(old), ahead).unwrap_err();
            assert!(matches!(stale, Stale::Doubted { .. }) && stale.is_replay(), "{stale}");
        }
        let later = next(known, &sealed(ahead + TimeDelta::seconds(1)), ahead).unwrap();
        assert_eq!(later.doubted, None, "from then on one moment is enough again");
    }

    #[test]
    fn what_the_release_before_has_written_is_understood() {
        let known: Known = serde_json::from_str(r#"{"since":"2030-08-10T12:00:00Z"}"#).unwrap();
        let now = at("12:00:00");
        // A decision of that release has no number: whether it came later cannot be told.
        let before = Here { at: Some(at("11:00:00")), decision: None };
        let stale = next(decided(known.clone(), before, now), &handed(Some("11:59:00"), "y"), now);
        assert!(matches!(stale, Err(Stale::Ahead { .. })), "{stale:?}");
        let mended = next(decided(known, here(at("11:00:00"), 1), now), &handed(Some("11:59:00"), "y"), now);
        assert!(mended.is_ok());
    }
}
