//! Two machines with one identity: which of them works. Pure.
//!
//! A restarted agent names the life before it, so restarts are told from copies. Of two lives that both speak, the one that
//! started first works; a copy of a machine takes the life of the original for the one before its own, and is found out
//! when the original speaks again. A younger life that names no known life before it is kept from working while the other
//! one may be alive, and takes its place when that one has been silent: so a machine that was restored from an older image
//! works after two minutes.

use crate::clock::Millis;
use crate::store::agents::{Challenger, Life};
use purser_proto::link::assertion::TOLERANCE_SECONDS;

/// How long after it spoke a life counts as alive: a request waits for 55 seconds, and when it came is written to 30.
pub const ALIVE: Millis = 120_000;

/// Clocks differ by less, else nobody is heard: a start that is further ahead was told by a clock that was wrong.
const WRONG: Millis = 2 * TOLERANCE_SECONDS * 1000;

/// A life that speaks.
#[derive(Clone, Debug)]
pub struct Speaker {
    /// Its id.
    pub instance: String,
    /// When it started, by its own clock.
    pub started: Millis,
    /// The life before it on its machine.
    pub before: Option<String>,
    /// When it signed what it says.
    pub at: Millis,
}

/// What is known of the agent.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The life that works.
    pub life: Option<&'a Life>,
    /// One that wants to.
    pub challenger: Option<&'a Challenger>,
    /// Those that must not.
    pub fenced: &'a [String],
    /// When the agent spoke last.
    pub last_seen: Option<Millis>,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It works, as before. The challenger, if there is one, is told from it and fenced.
    Works {
        /// Fenced from here on.
        fences: Option<String>,
    },
    /// It works from here on.
    Begins {
        /// As it is kept.
        life: Life,
        /// Fenced from here on.
        fences: Option<String>,
        /// The other life fell silent, and nothing shows that this is the same machine.
        instead_of_silent: bool,
    },
    /// It must not work as long as the other life is alive.
    Challenges,
    /// It must not work.
    Fenced {
        /// This is a restart of a fenced life, and is to be remembered too.
        new: bool,
    },
    /// Its request was under way while it was restarted.
    Straggles,
}

/// Decides.
pub fn judge(known: Known<'_>, speaker: &Speaker, now: Millis) -> Standing {
    let is_fenced = |instance: &str| known.fenced.iter().any(|fenced| fenced == instance);
    if is_fenced(&speaker.instance) {
        return Standing::Fenced { new: false };
    }
    if speaker.before.as_deref().is_some_and(is_fenced) {
        return Standing::Fenced { new: true };
    }
    let Some(life) = known.life else { return begins(speaker, speaker.started, None, now) };
    if life.instance == speaker.instance {
        let proven = known.challenger.filter(|challenger| speaker.at >= challenger.started);
        return Standing::Works { fences: proven.map(|challenger| challenger.instance.clone()) };
    }
    if speaker.before.as_deref() == Some(life.instance.as_str()) {
        return begins(speaker, life.lineage_started, None, now);
    }
    // Of a start in the future nothing follows about who was first; who is silent decides.
    let is_told_right = life.started <= now + WRONG;
    if is_told_right && speaker.at < life.started {
        return Standing::Straggles;
    }
    if is_told_right && speaker.started < life.started && speaker.started <= life.lineage_started {
        return begins(speaker, speaker.started, Some(life.instance.clone()), now);
    }
    if known.last_seen.is_some_and(|seen| now - seen < ALIVE) {
        return Standing::Challenges;
    }
    match begins(speaker, speaker.started, None, now) {
        Standing::Begins { life, fences, .. } => Standing::Begins { life, fences, instead_of_silent: true },
        other => other,
    }
}

fn begins(speaker: &Speaker, lineage_started: Millis, fences: Option<String>, now: Millis) -> Standing {
    let life = Life {
        instance: speaker.instance.clone(),
        started: speaker.started,
        since: now,
        lineage_started: lineage_started.min(speaker.started),
    };
    Standing::Begins { life, fences, instead_of_silent: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the control plane would know, kept in memory.
    #[derive(Default)]
    struct Plane {
        life: Option<Life>,
        challenger: Option<Challenger>,
        fenced: Vec<String>,
        last_seen: Option<Millis>,
    }

    impl Plane {
        fn hears(&mut self, instance: &str, started: Millis, before: Option<&str>, at: Millis) -> Standing {
            let before = before.map(str::to_owned);
            let speaker = Speaker { instance: instance.to_owned(), started, before, at };
            let known = Known {
                life: self.life.as_ref(),
                challenger: self.challenger.as_ref(),
                fenced: &self.fenced,
                last_seen: self.last_seen,
            };
            let standing = judge(known, &speaker, at);
            match &standing {
                Standing::Works { fences } => {
                    self.fenced.extend(fences.clone());
                    self.last_seen = Some(at);
                    self.challenger = self.challenger.take().filter(|_| fences.is_none());
                }
                Standing::Begins { life, fences, .. } => {
                    self.fenced.extend(fences.clone());
                    self.last_seen = Some(at);
                    self.life = Some(life.clone());
                }
                Standing::Challenges => {
                    self.challenger = Some(Challenger { instance: instance.to_owned(), started });
                }
                Standing::Fenced { new } => self.fenced.extend(new.then(|| instance.to_owned())),
                Standing::Straggles => {}
            }
            standing
        }

        fn works(&self) -> &str {
            self.life.as_ref().map_or("", |life| &life.instance)
        }
    }

    #[test]
    fn restarts_go_on_without_a_word() {
        let mut plane = Plane::default();
        plane.hears("a1", 0, None, 10);
        for n in 2..5 {
            let standing = plane.hears(&format!("a{n}"), n * 100, Some(&format!("a{}", n - 1)), n * 100 + 10);
            assert!(matches!(standing, Standing::Begins { fences: None, instead_of_silent: false, .. }));
        }
        assert_eq!((plane.works(), plane.fenced.len()), ("a4", 0));
    }

    #[test]
    fn a_request_that_was_under_way_during_a_restart_changes_nothing() {
        let mut plane = Plane::default();
        plane.hears("a1", 0, None, 10);
        plane.hears("a2", 1000, Some("a1"), 1010);
        assert_eq!(plane.hears("a1", 0, None, 990), Standing::Straggles);
        assert_eq!(plane.works(), "a2");
    }

    #[test]
    fn a_copy_of_a_running_machine_is_fenced_when_the_original_speaks_and_stays_fenced() {
        let mut plane = Plane::default();
        plane.hears("a1", 0, None, 10);
        assert!(matches!(plane.hears("c1", 1000, Some("a1"), 1010), Standing::Begins { .. }));
        let standing = plane.hears("a1", 0, None, 1020);
        assert!(matches!(standing, Standing::Begins { fences: Some(ref fenced), .. } if fenced == "c1"));
        assert_eq!(plane.hears("c1", 1000, Some("a1"), 1030), Standing::Fenced { new: false });
        assert_eq!(plane.hears("c2", 2000, Some("c1"), 2010), Standing::Fenced { new: true });
        assert_eq!(plane.hears("c3", 3000, Some("c2"), 3010), Standing::Fenced { new: true });
        assert!(matches!(plane.hears("a2", 4000, Some("a1"), 4010), Standing::Begins { fences: None, .. }));
        assert_eq!(plane.hears("c1", 1000, Some("a1"), 4020), Standing::Fenced { new: false });
        assert_eq!(plane.works(), "a2");
    }

    #[test]
    fn a_younger_stranger_is_kept_out_at_once_and_fenced_when_the_other_speaks() {
        let mut plane = Plane::default();
        plane.hears("a1", 0, None, 10);
        assert_eq!(plane.hears("b1", 1000, None, 1010), Standing::Challenges);
        let standing = plane.hears("a1", 0, None, 1020);
        assert_eq!(standing, Standing::Works { fences: Some("b1".to_owned()) });
        assert_eq!(plane.hears("b1", 1000, None, 1030 + ALIVE), Standing::Fenced { new: false });
    }

    #[test]
    fn a_restart_of_the_original_does_not_make_it_younger_than_a_stranger() {
        let mut plane = Plane::default();
        plane.hears("a1", 0, None, 10);
        assert_eq!(plane.hears("b1", 1000, None, 1010), Standing::Challenges);
        plane.hears("a2", 2000, Some("a1"), 2010);
        assert_eq!(plane.hears("b1", 1000, None, 2020), Standing::Challenges);
        assert_eq!(plane.works(), "a2");
    }

    #[test]
    fn an_older_stranger_takes_its_place_back() {
        let mut plane = Plane::default();
        plane.hears("b1", 1000, None, 1010);
        let standing = plane.hears("a1", 0, None, 1020);
        assert!(matches!(standing, Standing::Begins { fences: Some(ref fenced), .. } if fenced == "b1"));
    }

    #[test]
    fn a_machine_restored_from_an_older_image_works_once_the_other_is_silent() {
        let mut plane = Plane::default();
        plane.hears("a1", 0, None, 10);
        plane.hears("a2", 1000, Some("a1"), 1010);
        assert_eq!(plane.hears("a3", 2000, Some("a0"), 2010), Standing::Challenges);
        let standing = plane.hears("a3", 2000, Some("a0"), 1010 + ALIVE);
        assert!(matches!(standing, Standing::Begins { instead_of_silent: true, fences: None, .. }));
        assert_eq!(plane.works(), "a3");
    }

    #[test]
    fn a_life_that_started_by_a_clock_that_was_ahead_gives_way_when_it_is_silent() {
        let mut plane = Plane::default();
        plane.hears("a1", 500 * ALIVE, None, 500 * ALIVE);
        plane.last_seen = Some(10);
        assert_eq!(plane.hears("b1", 20, None, 30), Standing::Challenges);
        assert!(matches!(
            plane.hears("b1", 20, None, 10 + ALIVE),
            Standing::Begins { instead_of_silent: true, fences: None, .. }
        ));
    }

    #[test]
    fn of_two_lives_that_speak_in_any_order_one_works_in_the_end() {
        fastrand::seed(7);
        for _ in 0..2000 {
            let mut plane = Plane::default();
            let before = [None, Some("b"), Some("x")][fastrand::usize(..3)];
            let first = fastrand::bool();
            let mut at = 10_000;
            plane.hears("a", 0, None, 100);
            if first {
                plane.hears("b", 5000, before.map(|_| "a"), at);
            }
            // Both speak for a while, mixed at random, and at last each once more.
            let turns: Vec<bool> =
                (0..8).map(|_| fastrand::bool()).chain([true, false, true, false]).collect();
            let mut last = (false, false);
            for a in turns {
                at += 500;
                let standing = if a {
                    plane.hears("a", 0, None, at)
                } else {
                    plane.hears("b", 5000, before.map(|_| "a"), at)
                };
                let works = matches!(standing, Standing::Works { .. } | Standing::Begins { .. });
                if a { last.0 = works } else { last.1 = works }
            }
            assert_eq!(last, (true, false));
        }
    }
}
