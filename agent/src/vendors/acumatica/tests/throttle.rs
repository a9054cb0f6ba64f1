//! The pace against a model of the site's own throttle, in simulated time.

use super::super::throttle::Throttle;
use std::collections::VecDeque;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The site as it is documented: from half of the limit on, each request waits for the time until the oldest one of the
/// minute leaves it, shared among the requests that are left.
struct Site {
    limit: u32,
    processed: VecDeque<Duration>,
    longest: Duration,
}

impl Site {
    fn new(limit: u32) -> Self {
        Self { limit, processed: VecDeque::new(), longest: Duration::ZERO }
    }

    /// How long a request waits that arrives now.
    fn arrives(&mut self, now: Duration) -> Duration {
        while self.processed.front().is_some_and(|at| *at + MINUTE <= now) {
            self.processed.pop_front();
        }
        let count = u32::try_from(self.processed.len()).unwrap();
        let remaining =
            self.processed.front().map_or(Duration::ZERO, |at| (*at + MINUTE).saturating_sub(now));
        let wait = if count * 2 < self.limit {
            Duration::ZERO
        } else if count < self.limit {
            remaining / (self.limit - count)
        } else {
            // No room at all: until the one leaves that makes it too many.
            let leaver = self.processed[(count - self.limit) as usize];
            (leaver + MINUTE).saturating_sub(now)
        };
        self.longest = self.longest.max(wait);
        let at = now + wait;
        let place = self.processed.partition_point(|known| *known <= at);
        self.processed.insert(place, at);
        wait
    }
}

struct Ran {
    sent: usize,
    waited: Duration,
    span: Duration,
    other: usize,
    other_waited: Duration,
    longest: Duration,
}

/// One connection with one call at a time, each taking `work` of its own, beside another client that sends evenly.
fn run(limit: u32, known: bool, minutes: u32, work: Duration, other_share: u32) -> Ran {
    run_with_hiccups(limit, known, minutes, work, other_share, 0)
}

/// The same where so many of a hundred answers are late for reasons that are not the site's.
fn run_with_hiccups(
    limit: u32,
    known: bool,
    minutes: u32,
    work: Duration,
    other_share: u32,
    hiccups: u64,
) -> Ran {
    let mut throttle = Throttle::new(known.then_some(limit), 90);
    let mut site = Site::new(limit);
    let span = MINUTE * minutes;
    let other_every = (other_share > 0).then(|| MINUTE * 100 / (limit * other_share));
    let mut other_next = other_every.map(|every| every / 3);
    let (mut now, mut sent, mut waited) = (Duration::ZERO, 0, Duration::ZERO);
    let (mut other, mut other_waited) = (0, Duration::ZERO);
    let mut jitter = fastrand::Rng::with_seed(7);
    while now < span {
        let wait = throttle.wait(now);
        let next = if wait.is_zero() { now } else { now + wait };
        while let (Some(at), Some(every)) = (other_next, other_every)
            && at <= next
        {
            other_waited += site.arrives(at);
            other += 1;
            other_next = Some(at + every);
        }
        now = next;
        if !wait.is_zero() {
            continue;
        }
        throttle.sent(now);
        let delay = site.arrives(now + ms(jitter.u64(1..8)));
        waited += delay;
        sent += 1;
        let hiccup = if jitter.u64(0..100) < hiccups { ms(jitter.u64(50..400)) } else { Duration::ZERO };
        now += delay + work + hiccup + ms(jitter.u64(0..10));
        throttle.answered("test", delay + work + hiccup, now);
    }
    Ran { sent, waited, span, other, other_waited, longest: site.longest }
}

/// Sheet item: Acumatica 17
#[test]
fn the_licensed_rate_is_used_to_nine_tenths_with_next_to_no_wait_on_the_server() {
    for limit in [50, 100, 150, 600] {
        let ran = run(limit, true, 10, ms(30), 0);
        let rate = ran.sent as f64 / 10.0 / f64::from(limit);
        let share = ran.waited.as_secs_f64() / ran.span.as_secs_f64();
        assert!(share <= 0.05, "{limit}: {share:.3} of the time is spent waiting there, {rate:.2} used");
        assert!(rate >= 0.84, "{limit}: only {rate:.2} of the limit is used");
        assert!(ran.longest < Duration::from_secs(30), "{limit}: one waited {:?}", ran.longest);
    }
}

/// Sheet item: Acumatica 17
#[test]
fn a_second_client_gets_its_share_and_is_not_kept_waiting() {
    for limit in [50, 100, 150] {
        let ran = run(limit, true, 15, ms(30), 40);
        let ours = ran.sent as f64 / 15.0 / f64::from(limit);
        let theirs = ran.other as f64 / 15.0 / f64::from(limit);
        let share = ran.waited.as_secs_f64() / ran.span.as_secs_f64();
        let their_wait = ran.other_waited.as_secs_f64() / ran.other as f64;
        assert!(theirs > 0.39, "{limit}: {theirs:.2}");
        assert!(ours > 0.3, "{limit}: {ours:.2} of the limit is ours");
        assert!(share <= 0.05, "{limit}: {share:.3} of the time is spent waiting");
        assert!(their_wait < 1.0, "{limit}: the other one waits {their_wait:.2} s each");
        assert!(ran.longest < Duration::from_secs(30), "{limit}: one waited {:?}", ran.longest);
    }
}

/// Answers that a network or a busy machine makes late are no waits of the site's, which meet every call alike.
#[test]
fn hiccups_that_are_not_the_sites_cost_no_share() {
    for limit in [50, 100, 150, 600] {
        let ran = run_with_hiccups(limit, true, 10, ms(30), 0, 10);
        let rate = ran.sent as f64 / 10.0 / f64::from(limit);
        assert!(rate >= 0.84, "{limit}: only {rate:.2} of the limit is used");
    }
    for limit in [50, 100, 150] {
        let ran = run_with_hiccups(limit, true, 15, ms(30), 40, 10);
        let ours = ran.sent as f64 / 15.0 / f64::from(limit);
        let share = ran.waited.as_secs_f64() / ran.span.as_secs_f64();
        assert!(ours > 0.35, "{limit}: {ours:.2} of the limit is ours");
        assert!(share <= 0.05, "{limit}: {share:.3} of the time is spent waiting");
    }
}

/// Sheet item: Acumatica 17
#[test]
fn a_limit_that_nobody_told_is_felt_by_its_delays() {
    let ran = run(60, false, 10, ms(30), 0);
    let share = ran.waited.as_secs_f64() / ran.span.as_secs_f64();
    assert!(share < 0.5, "{share:.3}");
    assert!(ran.longest < MINUTE, "{:?}", ran.longest);
}

#[test]
fn a_short_run_is_not_slowed_down_and_a_refusal_is_heeded() {
    let mut throttle = Throttle::new(Some(100), 90);
    for n in 0..10 {
        assert_eq!(throttle.wait(ms(n)), Duration::ZERO);
        throttle.sent(ms(n));
    }
    let mut unknown = Throttle::new(None, 90);
    for n in 0..500 {
        assert_eq!(unknown.wait(ms(n)), Duration::ZERO);
        unknown.sent(ms(n));
        unknown.answered("test", ms(5), ms(n));
    }
    unknown.refused(ms(500));
    assert_eq!(unknown.allowed(), Some(250));
    assert!(unknown.wait(ms(501)) > Duration::from_secs(50));
}

/// One slow operation among fast ones is no delay of the server.
#[test]
fn operations_are_measured_each_against_itself() {
    let mut throttle = Throttle::new(Some(600), 90);
    let mut now = Duration::ZERO;
    for n in 0..200_u64 {
        now += ms(150);
        throttle.sent(now);
        let (operation, took) = if n % 4 == 0 { ("put", ms(2_500)) } else { ("list", ms(60)) };
        throttle.answered(operation, took, now);
    }
    assert_eq!(throttle.allowed(), Some(540));
}
