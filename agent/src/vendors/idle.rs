//! Credentials that die when they are not used: how long one has been idle, and what that means. Pure.

use super::Verdict;
use serde::Serialize;
use spend::Date;

/// How long a credential lives when it is not used. Its use is noted by the vendor's client under
/// [`super::LAST_USE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleLife {
    /// Days without a successful call after which it dies.
    pub end_days: i64,
    /// Days after which somebody should look.
    pub warn_days: i64,
    /// Days after which the agent reads something only to keep it alive.
    pub keep_alive_days: i64,
}

/// How a credential stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Idle {
    /// The day of the last successful call, as far as it is known.
    pub last_use: Option<Date>,
    /// Days until it dies unless it is used; negative = it may be dead.
    pub days_left: Option<i64>,
    /// Whether somebody should look.
    pub verdict: Verdict,
}

impl IdleLife {
    /// How a credential stands today. One whose use was never noted is no cause for alarm.
    pub fn judge(&self, last_use: Option<Date>, today: Date) -> Idle {
        let idle = last_use.map(|last| (today - last).num_days().max(0));
        let verdict =
            if idle.is_some_and(|days| days >= self.warn_days) { Verdict::Warn } else { Verdict::Pass };
        Idle { last_use, days_left: idle.map(|days| self.end_days - days), verdict }
    }

    /// Whether something should be read only to keep it alive; one that was never used may have been idle for long.
    /// `tried` is the day of the last attempt: one a day is enough.
    pub fn wants_a_call(&self, last_use: Option<Date>, tried: Option<Date>, today: Date) -> bool {
        // A use that lies ahead was noted while the clock was: when it really was is not known.
        let recent = |last: Date| (0..self.keep_alive_days).contains(&(today - last).num_days());
        let idle = !last_use.is_some_and(recent);
        idle && tried != Some(today)
    }
}

impl Idle {
    /// In words, with the countdown.
    pub fn words(&self) -> String {
        match (self.last_use, self.days_left) {
            (Some(last), Some(left)) if left > 0 => {
                format!("last used on {last}; without another call it may be dead in {left} day(s)")
            }
            (Some(last), _) => format!("last used on {last}; it may be dead by now"),
            (None, _) => "no use of it is noted yet".to_owned(),
        }
    }

    /// What a person does about it; empty when there is nothing to do.
    pub fn fix(&self) -> &'static str {
        match self.verdict {
            Verdict::Warn | Verdict::Fail => {
                "let the agent run: it makes a call each week; or make one now with `purser connections test`"
            }
            Verdict::Pass | Verdict::Skipped => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: IdleLife = IdleLife { end_days: 30, warn_days: 25, keep_alive_days: 7 };

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn the_countdown_runs_from_the_last_use_and_warns_at_its_day() {
        let last = Some(day("2026-08-01"));
        for (today, left, verdict) in [
            ("2026-07-31", 30, Verdict::Pass),
            ("2026-08-01", 30, Verdict::Pass),
            ("2026-08-25", 6, Verdict::Pass),
            ("2026-08-26", 5, Verdict::Warn),
            ("2026-08-31", 0, Verdict::Warn),
            ("2026-10-01", -31, Verdict::Warn),
        ] {
            let idle = LIFE.judge(last, day(today));
            assert_eq!((idle.days_left, idle.verdict), (Some(left), verdict), "{today}");
            assert_eq!(idle.words().contains("dead by now"), left <= 0, "{today}");
            assert_eq!(idle.fix().is_empty(), verdict == Verdict::Pass, "{today}");
        }
        let unknown = LIFE.judge(None, day("2026-08-01"));
        assert_eq!((unknown.days_left, unknown.verdict), (None, Verdict::Pass));
    }

    #[test]
    fn a_call_only_to_keep_it_alive_is_made_after_a_week_and_once_a_day() {
        let (last, today) = (Some(day("2026-08-01")), day("2026-08-08"));
        assert!(LIFE.wants_a_call(last, None, today));
        assert!(LIFE.wants_a_call(last, Some(day("2026-08-07")), today));
        assert!(!LIFE.wants_a_call(last, Some(today), today));
        assert!(!LIFE.wants_a_call(last, None, day("2026-08-07")));
        assert!(LIFE.wants_a_call(None, None, today));
        assert!(LIFE.wants_a_call(Some(day("2027-08-08")), None, today), "noted while the clock was ahead");
    }
}
