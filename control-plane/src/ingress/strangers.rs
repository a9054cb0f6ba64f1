//! Calls of addresses that no hook has, by client. Looking an address up costs the database a query, and nobody who sends
//! webhooks calls many that do not exist: whoever does is told to slow down, and is not looked up for until then. Hooks that
//! this node knows (`known.rs`) are taken from everybody, so that strangers behind the same proxy or sender do no harm.

use super::bucket::Bucket;
use crate::settings::source;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Unknown ids of one client at once, and in a second in the long run.
pub(super) const AT_ONCE: i64 = 60;
const PER_SECOND: i64 = 1;
/// Clients that are told apart. Any more share one allowance, until some have been quiet for a minute.
const REMEMBERED: usize = 10_000;
/// A client is forgotten when it has all of its allowance again.
const FORGOTTEN: Duration = Duration::from_secs(AT_ONCE as u64 / PER_SECOND as u64);
/// How often there is a look for whom to forget.
const LOOK: Duration = Duration::from_secs(1);

/// Who called hooks that do not exist.
#[derive(Debug)]
pub(super) struct Strangers {
    remembered: usize,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    clients: HashMap<IpAddr, Bucket>,
    further: Bucket,
    looked: Instant,
}

impl Strangers {
    pub(super) fn new(now: Instant) -> Self {
        Self::remembering(REMEMBERED, now)
    }

    fn remembering(remembered: usize, now: Instant) -> Self {
        let known = Known { clients: HashMap::new(), further: bucket(now), looked: now };
        Self { remembered, known: Mutex::new(known) }
    }

    /// Whether an id that this node does not know may be looked up for a client.
    pub(super) fn may_ask(&self, client: IpAddr, now: Instant) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let full = known.clients.len() >= self.remembered;
        let Known { clients, further, .. } = &mut *known;
        match clients.get_mut(&source(client)) {
            Some(bucket) => bucket.has_one(now),
            None => !full || further.has_one(now),
        }
    }

    /// Counts an id that turned out to be nobody's.
    pub(super) fn missed(&self, client: IpAddr, now: Instant) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let client = source(client);
        let is_new = !known.clients.contains_key(&client);
        if is_new && known.clients.len() >= self.remembered && now - known.looked >= LOOK {
            known.looked = now;
            known.clients.retain(|_, bucket| bucket.quiet_for(now) < FORGOTTEN);
        }
        let bucket = if is_new && known.clients.len() >= self.remembered {
            &mut known.further
        } else {
            known.clients.entry(client).or_insert_with(|| bucket(now))
        };
        bucket.take(now);
    }
}

fn bucket(now: Instant) -> Bucket {
    Bucket::new(PER_SECOND, AT_ONCE, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many unknown ids of a client are looked up.
    fn asks(strangers: &Strangers, client: &str, times: usize, now: Instant) -> usize {
        let client: IpAddr = client.parse().unwrap();
        (0..times)
            .filter(|_| {
                let may = strangers.may_ask(client, now);
                if may {
                    strangers.missed(client, now);
                }
                may
            })
            .count()
    }

    #[test]
    fn a_client_has_its_burst_and_its_rate_and_others_have_theirs() {
        let start = Instant::now();
        let strangers = Strangers::new(start);
        assert_eq!(asks(&strangers, "192.0.2.1", 1000, start), 60);
        assert_eq!(asks(&strangers, "192.0.2.2", 1000, start), 60);
        assert_eq!(asks(&strangers, "192.0.2.1", 1000, start + Duration::from_secs(5)), 5);
    }

    #[test]
    fn addresses_of_one_network_of_version_six_are_one_client() {
        let start = Instant::now();
        let strangers = Strangers::new(start);
        assert_eq!(asks(&strangers, "2001:db8::1", 60, start), 60);
        assert_eq!(asks(&strangers, "2001:db8::ffff", 60, start), 0);
        assert_eq!(asks(&strangers, "2001:db8:0:1::1", 60, start), 60);
    }

    #[test]
    fn the_memory_is_bounded_and_who_comes_beyond_it_shares() {
        let start = Instant::now();
        let strangers = Strangers::remembering(3, start);
        let asked = |number: u8, now| asks(&strangers, &format!("192.0.2.{number}"), 100, now);
        assert_eq!((0..10).map(|number| asked(number, start)).sum::<usize>(), 4 * 60);
        assert_eq!(strangers.known.lock().unwrap().clients.len(), 3);
        // Who was quiet makes room for others.
        let later = start + Duration::from_secs(61);
        assert_eq!((20..23).map(|number| asked(number, later)).sum::<usize>(), 3 * 60);
        assert_eq!(strangers.known.lock().unwrap().clients.len(), 3);
    }
}
