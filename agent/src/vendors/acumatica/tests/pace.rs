//! The pace over half an hour beside others, in simulated time: two callers of ours that always have a next call, other
//! clients that send evenly whatever comes back, and a site that does the documented arithmetic in a model of its own.

use super::super::throttle::Throttle;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
/// Requests a minute of the licence.
const LIMIT: u32 = 150;
/// Each world is lived through so often, each time with other chances.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=10;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The site's queue: one request after the other is looked at, and from half of the limit on each is then kept for the
/// time that the oldest one of the minute has left, shared among the requests that are left.
struct Site {
    limit: usize,
    starts: VecDeque<Duration>,
}

impl Site {
    fn new(limit: u32) -> Self {
        Self { limit: limit as usize, starts: VecDeque::new() }
    }

    /// How long a request waits that arrives now; `None` = it is declined.
    fn arrives(&mut self, now: Duration) -> Option<Duration> {
        while self.starts.front().is_some_and(|start| *start + MINUTE <= now) {
            self.starts.pop_front();
        }
        if self.starts.len() - self.starts.partition_point(|start| *start <= now) >= 20 {
            return None;
        }
        let looked_at = self.starts.back().copied().map_or(now, |last| last.max(now));
        let gone = self.starts.partition_point(|start| *start + MINUTE <= looked_at);
        let minute = self.starts.len() - gone;
        let delay = match self.starts.get(gone) {
            Some(first) if minute * 2 >= self.limit => {
                let left = u32::try_from(self.limit.saturating_sub(minute).max(1)).unwrap();
                (*first + MINUTE - looked_at) / left
            }
            _ => Duration::ZERO,
        };
        self.starts.push_back(looked_at + delay);
        Some(looked_at + delay - now)
    }
}

/// Another client: so many calls a minute, evenly, in these minutes.
#[derive(Clone, Copy)]
struct Other {
    minutes: (u32, u32),
    calls: u32,
}

/// What differs from world to world.
#[derive(Clone)]
struct World {
    /// What the site really allows, and what we were told.
    limit: u32,
    told: Option<u32>,
    others: Vec<Other>,
    /// Least milliseconds of work for a read (a write takes four times as long), and how many percent more it may be.
    work: u64,
    varies: u32,
    /// Of a hundred answers so many come late for reasons of the network or our own machine, ...
    hiccups: u64,
    /// ... and after so many we have nothing to do for a while.
    pauses: u64,
    seed: u64,
}

impl World {
    fn alone() -> Self {
        Self {
            limit: LIMIT,
            told: Some(LIMIT),
            others: Vec::new(),
            work: 20,
            varies: 30,
            hiccups: 3,
            pauses: 0,
            seed: 0,
        }
    }

    fn beside(others: &[Other]) -> Self {
        Self { others: others.to_vec(), ..Self::alone() }
    }
}

/// One call: when it came, whose, how long it waited, `None` = declined.
struct Taken {
    at: Duration,
    ours: bool,
    waited: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Ask(usize),
    Arrive(usize),
    Answer(usize),
    Other(usize),
}

#[derive(Clone, Copy, Default)]
struct Caller {
    sent: Duration,
    writes: bool,
    declined: bool,
}

struct Run<'w> {
    world: &'w World,
    throttle: Throttle,
    site: Site,
    chance: fastrand::Rng,
    events: BinaryHeap<Reverse<(Duration, Event)>>,
    callers: [Caller; 2],
    taken: Vec<Taken>,
}

/// Half an hour.
fn run(world: &World, seed: u64) -> Vec<Taken> {
    let world = World { seed, ..world.clone() };
    let mut run = Run {
        throttle: Throttle::new(world.told, 90),
        site: Site::new(world.limit),
        chance: fastrand::Rng::with_seed(world.seed),
        events: BinaryHeap::new(),
        callers: [Caller::default(); 2],
        taken: Vec::new(),
        world: &world,
    };
    for place in 0..run.callers.len() {
        run.at(ms(place as u64), Event::Ask(place));
    }
    for (place, other) in world.others.iter().enumerate() {
        run.at(MINUTE * other.minutes.0 + MINUTE / other.calls / 3, Event::Other(place));
    }
    while let Some(Reverse((now, event))) = run.events.pop()
        && now < MINUTE * 30
    {
        match event {
            Event::Ask(place) => run.ask(now, place),
            Event::Arrive(place) => run.arrive(now, place),
            Event::Answer(place) => run.answer(now, place),
            Event::Other(place) => run.other(now, place),
        }
    }
    run.taken
}

impl Run<'_> {
    fn at(&mut self, moment: Duration, event: Event) {
        self.events.push(Reverse((moment, event)));
    }

    /// The way there or back.
    fn way(&mut self) -> Duration {
        Duration::from_micros(self.chance.u64(200..5_200))
    }

    fn ask(&mut self, now: Duration, place: usize) {
        let wait = self.throttle.wait(now);
        if !wait.is_zero() {
            let late = Duration::from_micros(self.chance.u64(0..1_500));
            return self.at(now + wait + late, Event::Ask(place));
        }
        self.throttle.sent(now);
        self.callers[place] = Caller { sent: now, writes: self.chance.u64(0..3) == 0, declined: false };
        let way = self.way();
        self.at(now + way, Event::Arrive(place));
    }

    fn arrive(&mut self, now: Duration, place: usize) {
        let waited = self.site.arrives(now);
        self.taken.push(Taken { at: now, ours: true, waited });
        self.callers[place].declined = waited.is_none();
        let work = ms(self.world.work * if self.callers[place].writes { 4 } else { 1 });
        let work = work + work * self.chance.u32(0..=self.world.varies) / 100;
        let hiccup = match self.chance.u64(0..100) < self.world.hiccups {
            true => ms(self.chance.u64(50..600)),
            false => Duration::ZERO,
        };
        let way = self.way();
        self.at(now + waited.unwrap_or_default() + work + hiccup + way, Event::Answer(place));
    }

    fn answer(&mut self, now: Duration, place: usize) {
        let caller = self.callers[place];
        if caller.declined {
            self.throttle.refused(now);
            return self.at(now + ms(10_000), Event::Ask(place));
        }
        self.throttle.answered(if caller.writes { "write" } else { "read" }, now - caller.sent, now);
        let idle = match self.chance.u64(0..100) < self.world.pauses {
            true => self.chance.u64(200..3_000),
            false => self.chance.u64(0..8),
        };
        self.at(now + ms(idle), Event::Ask(place));
    }

    fn other(&mut self, now: Duration, place: usize) {
        let other = self.world.others[place];
        if now < MINUTE * other.minutes.1 {
            let waited = self.site.arrives(now);
            self.taken.push(Taken { at: now, ours: false, waited });
            self.at(now + MINUTE / other.calls, Event::Other(place));
        }
    }
}

/// The worst of all seeds in some of the minutes.
#[derive(Debug)]
struct Worst {
    /// Percent of the site's limit that we used, at least.
    ours: f64,
    /// The same, at most.
    ours_most: f64,
    /// Percent of the time that our calls waited at the site.
    waited: f64,
    /// Percent of the limit that the others got before the minutes were over.
    theirs: f64,
    /// Calls of ours that were declined.
    declined: usize,
}

/// One world, lived through with each seed.
struct Lives {
    limit: u32,
    lives: Vec<Vec<Taken>>,
}

impl Lives {
    fn of(world: &World) -> Self {
        Self { limit: world.limit, lives: SEEDS.map(|seed| run(world, seed)).collect() }
    }

    fn worst(&self, minutes: (u32, u32)) -> Worst {
        let mut worst = Worst { ours: 100.0, ours_most: 0.0, waited: 0.0, theirs: 100.0, declined: 0 };
        let (from, to) = (MINUTE * minutes.0, MINUTE * minutes.1);
        let percent =
            |calls: usize| calls as f64 * 100.0 / f64::from(minutes.1 - minutes.0) / f64::from(self.limit);
        for taken in &self.lives {
            let within = || taken.iter().filter(|call| call.at >= from && call.at < to);
            let got = |call: &&Taken| !call.ours && call.waited.is_some_and(|waited| call.at + waited < to);
            let waited: Duration = within().filter(|call| call.ours).filter_map(|call| call.waited).sum();
            let used = percent(within().filter(|call| call.ours).count());
            worst.ours = worst.ours.min(used);
            worst.ours_most = worst.ours_most.max(used);
            worst.waited = worst.waited.max(waited.as_secs_f64() * 100.0 / (to - from).as_secs_f64());
            worst.theirs = worst.theirs.min(percent(within().filter(got).count()));
            worst.declined += within().filter(|call| call.ours && call.waited.is_none()).count();
        }
        worst
    }
}

/// A client that uses 40 %: of the 150 calls a minute one each second.
fn one_a_second(minutes: (u32, u32)) -> Other {
    Other { minutes, calls: LIMIT * 40 / 100 }
}

/// The formula of `throttle.rs`' documentation, by the model: what the site makes even calls wait.
#[test]
fn even_calls_at_eighty_percent_wait_next_to_nothing_and_at_ninety_six_a_twentieth_of_the_time() {
    for (ours, percent) in [(60, 0.8), (84, 5.0)] {
        let (mut site, mut calls) = (Site::new(LIMIT), Vec::new());
        // Ours fall among the others' as chance would have it.
        let mut chance = fastrand::Rng::with_seed(1);
        let every = |calls: u32, place: u32| MINUTE * place / calls;
        calls.extend((0..60 * 30).map(|place| (every(60, place), false)));
        calls.extend((0..ours * 30).map(|place| (every(ours, place) + ms(chance.u64(0..700)), true)));
        calls.sort_unstable();
        let mut waited = Duration::ZERO;
        for (at, ours) in calls {
            let wait = site.arrives(at).unwrap();
            // The first minutes are the beginning, in which the oldest call has long to go.
            waited += if ours && at >= MINUTE * 5 { wait } else { Duration::ZERO };
        }
        let part = waited.as_secs_f64() * 100.0 / (25.0 * 60.0);
        assert!((0.5..=2.0).contains(&(part / percent)), "{ours}: {part:.2} %");
    }
}

/// Sheet item: Acumatica 17
#[test]
fn alone_the_licence_is_used_and_hardly_anything_waits() {
    let worst = Lives::of(&World::alone()).worst((0, 30));
    assert!(worst.ours >= 85.0 && worst.waited <= 5.0 && worst.declined == 0, "{worst:?}");
}

/// Sheet item: Acumatica 17
#[test]
fn beside_a_client_of_forty_percent_we_have_as_much_and_nobody_waits_long() {
    let lives = Lives::of(&World::beside(&[one_a_second((0, 30))]));
    // From the first call on, when both begin at once, as well as later.
    // The common first minute alone costs a 50th of the first five.
    for (minutes, most) in [((0, 5), 7.0), ((5, 30), 5.0), ((0, 30), 5.0)] {
        let worst = lives.worst(minutes);
        assert!(worst.ours >= 40.0 && worst.theirs >= 38.0, "{minutes:?}: {worst:?}");
        assert!(worst.waited <= most && worst.declined == 0, "{minutes:?}: {worst:?}");
    }
}

/// Sheet item: Acumatica 17
#[test]
fn another_client_gets_its_part_when_it_comes_and_we_have_it_back_when_it_goes() {
    let lives = Lives::of(&World::beside(&[one_a_second((10, 20))]));
    let meanwhile = lives.worst((10, 20));
    assert!(meanwhile.theirs >= 38.0 && meanwhile.ours >= 40.0, "{meanwhile:?}");
    // It came when nine tenths were in use: what had to leave first made everybody wait.
    assert!(meanwhile.waited <= 7.0 && meanwhile.declined == 0, "{meanwhile:?}");
    let afterwards = lives.worst((26, 30));
    assert!(afterwards.ours >= 80.0, "six minutes later: {afterwards:?}");
}

/// Sheet item: Acumatica 17
#[test]
fn a_third_heavy_client_makes_us_shrink_and_none_of_our_calls_is_refused() {
    let third = Other { minutes: (10, 20), calls: LIMIT * 40 / 100 };
    let lives = Lives::of(&World::beside(&[one_a_second((0, 30)), third]));
    assert_eq!(lives.worst((0, 30)).declined, 0);
    let meanwhile = lives.worst((12, 20));
    assert!(meanwhile.ours_most <= 20.0 && meanwhile.theirs >= 76.0, "{meanwhile:?}");
    assert!(meanwhile.waited <= 10.0, "{meanwhile:?}");
    let afterwards = lives.worst((24, 30));
    assert!(afterwards.ours >= 40.0 && afterwards.waited <= 8.0, "{afterwards:?}");
}

/// A site that allows less than its console is said to show.
#[test]
fn a_limit_that_is_told_wrongly_does_not_make_calls_wait_without_end() {
    for limit in [LIMIT * 2 / 3, LIMIT / 2] {
        let lives = Lives::of(&World { limit, ..World::alone() });
        let (beginning, later) = (lives.worst((0, 5)), lives.worst((5, 30)));
        assert!(beginning.waited <= 10.0 && later.waited <= 5.0, "{limit}: {beginning:?} {later:?}");
        assert!(later.ours >= 50.0 && later.declined + beginning.declined == 0, "{limit}: {later:?}");
    }
    let unknown = Lives::of(&World { told: None, ..World::alone() }).worst((5, 30));
    assert!(unknown.waited <= 10.0 && unknown.ours >= 50.0 && unknown.declined == 0, "{unknown:?}");
}

/// Neither hiccups nor idleness nor work of varying size is taken for the site's waits.
#[test]
fn what_is_not_the_sites_fault_costs_no_share() {
    let clumsy = World { hiccups: 10, pauses: 3, ..World::alone() };
    let alone = Lives::of(&clumsy).worst((0, 30));
    assert!(alone.ours >= 85.0 && alone.waited <= 5.0, "{alone:?}");
    let beside = Lives::of(&World { others: vec![one_a_second((0, 30))], ..clumsy }).worst((0, 30));
    assert!(beside.ours >= 40.0 && beside.theirs >= 38.0 && beside.waited <= 5.0, "{beside:?}");
    // One to four times as long; the pace that measured against the fastest answer was left with a tenth.
    let varying = Lives::of(&World { work: 60, varies: 300, ..World::alone() }).worst((0, 30));
    assert!(varying.ours >= 40.0 && varying.waited <= 5.0, "{varying:?}");
}
