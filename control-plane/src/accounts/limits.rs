//! How often a login may fail. Nobody is locked out: what is slowed down is one address at one account, one address at
//! all accounts, and everything together, each for as long as its failures are recent. Kept in memory, per process, and
//! bounded; who is known to the store is not asked, so the limits say nothing about who exists. Moments are those of the clock
//! that nobody can set.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How long a failure counts, in milliseconds.
pub const WINDOW: i64 = 15 * 60 * 1000;
/// Failures of one address at one account within the window.
pub const PER_ACCOUNT_AND_ADDRESS: usize = 10;
/// Failures of one address at any accounts within the window.
pub const PER_ADDRESS: usize = 50;
/// Failures of all together within a minute.
pub const PER_MINUTE: usize = 600;
/// From this failure on there is a pause, which doubles with each.
const PAUSES_FROM: usize = 3;
/// Longest pause before the limit is reached, in milliseconds.
const LONGEST_PAUSE: i64 = 60 * 1000;
/// Pairs and addresses that are remembered.
const REMEMBERED: usize = 50_000;

/// The login must wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// For so long, in milliseconds.
    pub millis: i64,
}

/// Failures in memory.
#[derive(Debug, Default)]
pub struct LoginLimits {
    failures: Mutex<Failures>,
}

#[derive(Debug, Default)]
struct Failures {
    pairs: HashMap<[u8; 16], Vec<i64>>,
    addresses: HashMap<[u8; 16], Vec<i64>>,
    all: Vec<i64>,
}

impl LoginLimits {
    /// Admits a try, and counts it as failed until [`Self::forgive`] says otherwise: so that a thousand tries at once are
    /// not all admitted before the first of them has failed.
    ///
    /// # Errors
    /// How long to wait.
    pub fn admit(&self, account: &str, address: &str, now: i64) -> Result<(), Wait> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.may_try(account, address, now)?;
        failures.note(account, address, now);
        Ok(())
    }

    /// Takes back what [`Self::admit`] counted at that moment: the try did not fail.
    pub fn forgive(&self, account: &str, address: &str, then: i64) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let Failures { pairs, addresses, all } = &mut *failures;
        let lists =
            [pairs.get_mut(&key(&[account, address])), addresses.get_mut(&key(&[address])), Some(all)];
        for times in lists.into_iter().flatten() {
            if let Some(at) = times.iter().rposition(|time| *time == then) {
                times.remove(at);
            }
        }
    }

    /// Notes a failure of somebody who was admitted for something else.
    pub fn failed(&self, account: &str, address: &str, now: i64) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).note(account, address, now);
    }

    /// Forgets the failures of who has got in. Those of the address at other accounts stay.
    pub fn succeeded(&self, account: &str, address: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.pairs.remove(&key(&[account, address]));
    }
}

impl Failures {
    fn may_try(&self, account: &str, address: &str, now: i64) -> Result<(), Wait> {
        let pair = self.pairs.get(&key(&[account, address])).map_or(0, |times| pause(times, now));
        let from =
            self.addresses.get(&key(&[address])).map_or(0, |times| ceiling(times, PER_ADDRESS, WINDOW, now));
        let all = ceiling(&self.all, PER_MINUTE, 60_000, now);
        match pair.max(from).max(all) {
            0 => Ok(()),
            millis => Err(Wait { millis }),
        }
    }

    fn note(&mut self, account: &str, address: &str, now: i64) {
        let Self { pairs, addresses, all } = self;
        note(pairs, key(&[account, address]), PER_ACCOUNT_AND_ADDRESS, now);
        note(addresses, key(&[address]), PER_ADDRESS, now);
        all.retain(|time| now - time < 60_000);
        if all.len() < 2 * PER_MINUTE {
            all.push(now);
        }
    }
}

/// Addresses and accounts are remembered by their hash: fixed in size, and nothing to read in a core dump.
fn key(parts: &[&str]) -> [u8; 16] {
    let mut hash = blake3::Hasher::new();
    for part in parts {
        hash.update(&(part.trim().len() as u64).to_be_bytes());
        hash.update(part.trim().to_lowercase().as_bytes());
    }
    let mut key = [0; 16];
    hash.finalize_xof().fill(&mut key);
    key
}

fn note(map: &mut HashMap<[u8; 16], Vec<i64>>, key: [u8; 16], most: usize, now: i64) {
    if map.len() >= REMEMBERED && !map.contains_key(&key) {
        map.retain(|_, times| times.last().is_some_and(|last| now - last < WINDOW));
        if map.len() >= REMEMBERED {
            // The oldest makes room: an attacker with that many addresses is met by the ceiling of all.
            let oldest = map.iter().min_by_key(|(_, times)| times.last().copied()).map(|(key, _)| *key);
            oldest.and_then(|key| map.remove(&key));
        }
    }
    let times = map.entry(key).or_default();
    times.retain(|time| now - time < WINDOW);
    if times.len() >= most {
        times.remove(0);
    }
    times.push(now);
}

/// How long one address waits at one account: doubling from the third failure on, and at the limit until the oldest
/// failure is no longer recent.
fn pause(times: &[i64], now: i64) -> i64 {
    let recent = times.iter().filter(|time| now - **time < WINDOW).count();
    let Some(last) = times.last() else { return 0 };
    if recent >= PER_ACCOUNT_AND_ADDRESS {
        return ceiling(times, PER_ACCOUNT_AND_ADDRESS, WINDOW, now);
    }
    let Some(beyond) = recent.checked_sub(PAUSES_FROM) else { return 0 };
    let pause = (1000 << beyond).min(LONGEST_PAUSE);
    (last + pause - now).max(0)
}

fn ceiling(times: &[i64], most: usize, window: i64, now: i64) -> i64 {
    let recent: Vec<i64> = times.iter().copied().filter(|time| now - time < window).collect();
    recent.len().checked_sub(most).map_or(0, |at| (recent[at] + window - now).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn may_try(limits: &LoginLimits, account: &str, address: &str, now: i64) -> Result<(), Wait> {
        limits.failures.lock().unwrap().may_try(account, address, now)
    }

    #[test]
    fn tries_at_once_are_admitted_one_after_the_other() {
        let limits = LoginLimits::default();
        let admit = || limits.admit("dora@example.test", "192.0.2.1", NOW);
        assert_eq!((0..1000).filter(|_| admit().is_ok()).count(), PAUSES_FROM);
        limits.forgive("dora@example.test", "192.0.2.1", NOW);
        assert_eq!((admit(), admit().is_err()), (Ok(()), true), "what did not fail makes room for one");
    }

    #[test]
    fn a_thousand_tries_of_one_address_come_to_ten_in_a_window() {
        let limits = LoginLimits::default();
        let mut tried = 0;
        for at in 0..1000 {
            let now = NOW + at * (WINDOW / 1000);
            if limits.admit("dora@example.test", "192.0.2.1", now).is_ok() {
                tried += 1;
            }
        }
        assert_eq!(tried, PER_ACCOUNT_AND_ADDRESS);
    }

    #[test]
    fn pauses_double_and_end() {
        let limits = LoginLimits::default();
        let mut now = NOW;
        let mut pauses = Vec::new();
        for _ in 0..PER_ACCOUNT_AND_ADDRESS {
            limits.failed("dora@example.test", "192.0.2.1", now);
            let wait = may_try(&limits, "dora@example.test", "192.0.2.1", now)
                .map_or_else(|wait| wait.millis, |()| 0);
            pauses.push(wait);
            now += wait;
        }
        assert_eq!(pauses[..9], [0, 0, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000]);
        assert!(pauses[9] > LONGEST_PAUSE && pauses[9] <= WINDOW);
        assert_eq!(may_try(&limits, "dora@example.test", "192.0.2.1", now), Ok(()), "no lock-out for good");
    }

    #[test]
    fn the_person_gets_in_from_elsewhere_while_somebody_guesses() {
        let limits = LoginLimits::default();
        for _ in 0..PER_ACCOUNT_AND_ADDRESS {
            limits.failed("dora@example.test", "192.0.2.1", NOW);
        }
        assert!(may_try(&limits, "DORA@example.test", "192.0.2.1", NOW).is_err());
        assert_eq!(may_try(&limits, "dora@example.test", "192.0.2.2", NOW), Ok(()));
        assert_eq!(may_try(&limits, "emil@example.test", "192.0.2.1", NOW), Ok(()));
        limits.succeeded("dora@example.test", "192.0.2.1");
        assert_eq!(may_try(&limits, "dora@example.test", "192.0.2.1", NOW), Ok(()));
    }

    #[test]
    fn one_address_at_many_accounts_and_all_together_are_slowed_down() {
        let limits = LoginLimits::default();
        for account in 0..PER_ADDRESS {
            limits.failed(&format!("{account}@example.test"), "192.0.2.1", NOW);
        }
        assert!(may_try(&limits, "new@example.test", "192.0.2.1", NOW).is_err());
        let all = LoginLimits::default();
        for address in 0..PER_MINUTE {
            all.failed("dora@example.test", &format!("2001:db8::{address:x}"), NOW);
        }
        assert!(may_try(&all, "emil@example.test", "192.0.2.9", NOW).is_err());
        assert_eq!(may_try(&all, "emil@example.test", "192.0.2.9", NOW + 60_000), Ok(()));
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut map = HashMap::new();
        for number in 0..REMEMBERED as u64 + 10 {
            note(&mut map, key(&[&number.to_string()]), 10, NOW + i64::from(number >= REMEMBERED as u64));
            if number >= REMEMBERED as u64 {
                assert_eq!(map.len(), REMEMBERED);
            }
        }
    }
}
