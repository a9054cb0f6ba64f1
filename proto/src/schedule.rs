//! Schedules as people write them: five cron fields and a time zone, with the daylight-saving rule.
//!
//! The rule, on local wall-clock times:
//! - a time that exists once runs then;
//! - a fixed time (`30 1 * * *`) in the repeated hour runs at its first occurrence only; in the skipped hour it runs
//!   once, at the first instant after the gap;
//! - an interval (`*` or `*/n` in the minute or hour field) keeps its spacing: it also runs in the repeated hour, and
//!   what the skipped hour swallows is not made up (unless the hour is fixed, or the day would pass without a run).
//!
//! What a newcomer gets wrong: the `cron` crate counts weekdays from 1 = Sunday, joins the two day fields with AND and
//! knows nothing of the rule above. It is given translated fields and naive local times only.

mod fields;

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use spend::Timestamp;
use std::fmt;

/// A valid schedule in its time zone.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: String,
    zone: Tz,
    /// One expression, or two whose runs are merged when both day fields are restricted.
    expressions: Vec<cron::Schedule>,
    /// `*` or `*/n` in the minute or hour field: also runs in the repeated hour.
    keeps_spacing: bool,
    /// The hour is fixed: a run swallowed by a gap is made up at its end.
    makes_up: bool,
}

/// One run that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Names the run within its schedule: the local minute (`2026-03-08T03:00`). The second occurrence of a repeated
    /// minute carries its offset, so a repeated hour cannot run anything twice.
    pub key: String,
    /// When it was due.
    pub at: Timestamp,
}

/// Why a text is not a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Not five fields.
    #[error("`{text}` has {count} fields: {help}")]
    FieldCount {
        /// The text.
        text: String,
        /// How many fields it has.
        count: usize,
        /// How to mend it.
        help: &'static str,
    },
    /// An `@` word that is not known.
    #[error("`{0}` is not known: write `@hourly`, `@daily`, `@weekly` or `@monthly`, or five cron fields")]
    Word(String),
    /// A field that cannot be read.
    #[error("{field} `{text}`: {problem}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What stands there.
        text: String,
        /// What is wrong with it and how to mend it.
        problem: String,
    },
    /// Valid fields that name no day that ever comes.
    #[error("`{0}` never runs within five years: no such day exists (a 30 February, for instance)")]
    Never(String),
    /// Not a time zone.
    #[error("`{zone}` is not an IANA time zone: {help}")]
    Zone {
        /// What stands there.
        zone: String,
        /// How to mend it.
        help: String,
    },
}

/// Longer than any change of a zone's offset (a whole day at the date line).
const LONGEST_SHIFT: TimeDelta = TimeDelta::hours(26);
const MINUTE_FORMAT: &str = "%Y-%m-%dT%H:%M";

impl Schedule {
    /// Reads five cron fields (minute, hour, day of month, month, day of week with 0 and 7 = Sunday) or `@hourly`,
    /// `@daily`, `@weekly`, `@monthly`, in an IANA time zone. When both day fields are restricted, either is enough.
    ///
    /// # Errors
    /// [`ScheduleError`] says which field cannot be read and how to write it.
    pub fn parse(text: &str, zone: &str) -> Result<Self, ScheduleError> {
        let fields = fields::Fields::parse(text)?;
        let zone = parse_zone(zone)?;
        let expressions = fields.expressions().map_err(|problem| ScheduleError::Field {
            field: "schedule",
            text: shorten(text),
            problem,
        })?;
        let schedule = Self {
            text: text.split_whitespace().collect::<Vec<_>>().join(" "),
            zone,
            expressions,
            keeps_spacing: fields.minute_starred || fields.hour_starred,
            makes_up: !fields.hour_starred,
        };
        // Five fields repeat without a year, so any start with a leap day within five years shows whether a run exists.
        let start = chrono::NaiveDate::from_ymd_opt(2025, 1, 1).and_then(|day| day.and_hms_opt(0, 0, 0));
        let first = start.and_then(|start| schedule.local_times(start).next());
        match (start, first) {
            (Some(start), Some(first)) if first - start <= TimeDelta::days(5 * 366) => Ok(schedule),
            _ => Err(ScheduleError::Never(shorten(text))),
        }
    }

    /// The text as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The time zone.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The first run after a moment.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let wall = |t: Timestamp| t.with_timezone(&self.zone).naive_local();
        let offset = |t: Timestamp| wall(t) - t.naive_utc();
        let (before, beyond) =
            (after.checked_sub_signed(LONGEST_SHIFT)?, after.checked_add_signed(LONGEST_SHIFT)?);
        // Without a change of offset nearby, no earlier wall-clock time can come after this moment.
        let steady = offset(before) == offset(after) && offset(after) == offset(beyond);
        let start = if steady { wall(after) } else { wall(after).checked_sub_signed(LONGEST_SHIFT)? };
        let mut best: Option<Timestamp> = None;
        for candidate in self.local_times(start) {
            let instants = self.instants(candidate);
            for instant in instants.into_iter().flatten().filter(|instant| *instant > after) {
                best = Some(best.map_or(instant, |best| best.min(instant)));
            }
            // First occurrences never go back in time, so nothing later can undercut the best one.
            if let (Some(best), Some(first)) = (best, instants[0].or(instants[1]))
                && first >= best
            {
                break;
            }
        }
        best
    }

    /// The next runs, for people to look at before they save.
    pub fn upcoming(&self, after: Timestamp, count: usize) -> Vec<Timestamp> {
        std::iter::successors(self.next_after(after), |last| self.next_after(*last)).take(count).collect()
    }

    /// The latest run that became due after `since` and not after `now`. Of missed runs only the latest counts.
    pub fn latest_due(&self, since: Timestamp, now: Timestamp) -> Option<Due> {
        let mut reach = TimeDelta::hours(2);
        loop {
            let start = now.checked_sub_signed(reach).map_or(since, |start| start.max(since));
            let mut latest = None;
            let mut next = self.next_after(start);
            while let Some(at) = next.filter(|at| *at <= now) {
                latest = Some(at);
                next = self.next_after(at);
            }
            match latest {
                Some(at) => return Some(Due { key: self.key(at), at }),
                None if start <= since => return None,
                None => reach = reach * 4,
            }
        }
    }

    /// The key of the run at a moment: see [`Due::key`].
    pub fn key(&self, at: Timestamp) -> String {
        let local = at.with_timezone(&self.zone);
        let minute = local.naive_local();
        let repeated = self.zone.from_local_datetime(&minute).latest().filter(|latest| {
            latest.with_timezone(&Utc) == at && self.zone.from_local_datetime(&minute).single().is_none()
        });
        match repeated {
            Some(second) => second.format("%Y-%m-%dT%H:%M%:z").to_string(),
            None => minute.format(MINUTE_FORMAT).to_string(),
        }
    }

    /// The moment that a key names; `None` when it is not a key.
    pub fn moment_of(&self, key: &str) -> Option<Timestamp> {
        if let Ok(exact) = DateTime::parse_from_str(key, "%Y-%m-%dT%H:%M%:z") {
            return Some(exact.with_timezone(&Utc));
        }
        let minute = NaiveDateTime::parse_from_str(key, MINUTE_FORMAT).ok()?;
        self.zone
            .from_local_datetime(&minute)
            .earliest()
            .map(|local| local.with_timezone(&Utc))
            .or_else(|| self.end_of_gap(minute))
    }

    /// Local wall-clock times from `start` (included) on, in order, as if no offset ever changed.
    fn local_times(&self, start: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> {
        let before = (start - TimeDelta::seconds(1)).and_utc();
        let mut streams: Vec<_> =
            self.expressions.iter().map(|one| one.after(&before).map(|t| t.naive_utc()).peekable()).collect();
        std::iter::from_fn(move || {
            let next = streams.iter_mut().filter_map(|stream| stream.peek().copied()).min()?;
            for stream in &mut streams {
                stream.next_if_eq(&next);
            }
            Some(next)
        })
    }

    /// When a local time happens: once, twice (intervals), or at the end of the gap that swallows it.
    fn instants(&self, local: NaiveDateTime) -> [Option<Timestamp>; 2] {
        let utc = |t: DateTime<Tz>| t.with_timezone(&Utc);
        match self.zone.from_local_datetime(&local) {
            chrono::LocalResult::Single(t) => [Some(utc(t)), None],
            chrono::LocalResult::Ambiguous(first, second) => {
                [Some(utc(first)), self.keeps_spacing.then(|| utc(second))]
            }
            chrono::LocalResult::None if self.makes_up => [self.end_of_gap(local), None],
            chrono::LocalResult::None => [None, None],
        }
    }

    fn end_of_gap(&self, local: NaiveDateTime) -> Option<Timestamp> {
        (1..=LONGEST_SHIFT.num_minutes())
            .filter_map(|minutes| local.checked_add_signed(TimeDelta::minutes(minutes)))
            .find_map(|later| self.zone.from_local_datetime(&later).earliest())
            .map(|t| t.with_timezone(&Utc))
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.zone == other.zone
    }
}

impl Eq for Schedule {}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.zone)
    }
}

/// Reads the name of a time zone.
///
/// # Errors
/// [`ScheduleError::Zone`] with a suggestion.
pub fn parse_zone(name: &str) -> Result<Tz, ScheduleError> {
    name.trim().parse::<Tz>().map_err(|_| {
        let near = crate::suggest::nearest(name, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()));
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write a name such as `Europe/London`, `America/New_York` or `UTC`".to_owned(),
        };
        ScheduleError::Zone { zone: shorten(name), help }
    })
}

fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests;
