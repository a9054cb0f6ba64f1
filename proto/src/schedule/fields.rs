//! The five fields: read strictly as POSIX cron writes them, then spelled out as lists for the `cron` crate.

use super::{ScheduleError, shorten};
use std::str::FromStr;

/// What one field may hold.
struct Range {
    name: &'static str,
    first: u8,
    last: u8,
    words: &'static [&'static str],
}

const MINUTE: Range = Range { name: "minute", first: 0, last: 59, words: &[] };
const HOUR: Range = Range { name: "hour", first: 0, last: 23, words: &[] };
const DAY: Range = Range { name: "day of month", first: 1, last: 31, words: &[] };
const MONTH: Range = Range {
    name: "month",
    first: 1,
    last: 12,
    words: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
};
const WEEKDAY: Range = Range {
    name: "day of week",
    first: 0,
    last: 7,
    words: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
};

/// The fields as sets of values; bit n = value n.
pub(super) struct Fields {
    minute: u64,
    hour: u64,
    day: u64,
    month: u64,
    weekday: u64,
    /// The field is `*` or `*/n`.
    pub(super) minute_starred: bool,
    /// The field is `*` or `*/n`.
    pub(super) hour_starred: bool,
    day_restricted: bool,
    weekday_restricted: bool,
}

impl Fields {
    pub(super) fn parse(text: &str) -> Result<Self, ScheduleError> {
        let text = text.trim();
        let spelled = match text.to_ascii_lowercase().as_str() {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            word if word.starts_with('@') => return Err(ScheduleError::Word(shorten(text))),
            _ => text,
        };
        let fields: Vec<&str> = spelled.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(ScheduleError::FieldCount {
                text: shorten(text),
                count: fields.len(),
                help: count_help(fields.len()),
            });
        };
        let mut weekdays = WEEKDAY.parse(weekday)?;
        if weekdays & (1 << 7) != 0 {
            weekdays = (weekdays | 1) & !(1 << 7);
        }
        Ok(Self {
            minute: MINUTE.parse(minute)?,
            hour: HOUR.parse(hour)?,
            day: DAY.parse(day)?,
            month: MONTH.parse(month)?,
            weekday: weekdays,
            minute_starred: minute.starts_with('*'),
            hour_starred: hour.starts_with('*'),
            day_restricted: day != "*",
            weekday_restricted: weekday != "*",
        })
    }

    /// One expression, or two when both day fields are restricted: the crate would demand both at once.
    pub(super) fn expressions(&self) -> Result<Vec<cron::Schedule>, String> {
        let time = format!("0 {} {}", list(self.minute), list(self.hour));
        let (day, month, weekday) = (list(self.day), list(self.month), names(self.weekday));
        let texts = match (self.day_restricted, self.weekday_restricted) {
            (true, true) => vec![format!("{time} {day} {month} *"), format!("{time} * {month} {weekday}")],
            (true, false) => vec![format!("{time} {day} {month} *")],
            (false, true) => vec![format!("{time} * {month} {weekday}")],
            (false, false) => vec![format!("{time} * {month} *")],
        };
        texts.iter().map(|text| cron::Schedule::from_str(text).map_err(|error| error.to_string())).collect()
    }
}

fn count_help(count: usize) -> &'static str {
    match count {
        6 => {
            "write five (minute, hour, day of month, month, day of week); schedules have no seconds, so leave the \
             first field out"
        }
        7 => {
            "write five (minute, hour, day of month, month, day of week); schedules have no seconds and no year, so \
             leave the first and the last field out"
        }
        _ => {
            "write five (minute, hour, day of month, month, day of week), such as `0 6 * * 1-5`, or `@daily`"
        }
    }
}

fn values(set: u64) -> impl Iterator<Item = usize> {
    (0..64).filter(move |n| set & (1 << n) != 0)
}

fn list(set: u64) -> String {
    values(set).map(|n| n.to_string()).collect::<Vec<_>>().join(",")
}

fn names(set: u64) -> String {
    values(set).filter_map(|n| WEEKDAY.words.get(n).copied()).collect::<Vec<_>>().join(",")
}

impl Range {
    fn parse(&self, text: &str) -> Result<u64, ScheduleError> {
        text.split(',').try_fold(0, |set, part| {
            let more = self.part(part).map_err(|problem| ScheduleError::Field {
                field: self.name,
                text: shorten(text),
                problem,
            })?;
            Ok(set | more)
        })
    }

    fn part(&self, part: &str) -> Result<u64, String> {
        let (span, step) = match part.split_once('/') {
            Some((span, step)) => (span, Some(self.step(step)?)),
            None => (part, None),
        };
        let (first, last) = match span.split_once('-') {
            _ if span == "*" => {
                (self.first, self.last.min(if self.first == 0 && self.last == 7 { 6 } else { 63 }))
            }
            Some((first, last)) => (self.value(first)?, self.value(last)?),
            None if step.is_some() => {
                return Err(format!("`{part}` has a step without a range: write `{span}-{}/..`", self.last));
            }
            None => {
                let value = self.value(span)?;
                (value, value)
            }
        };
        if first > last {
            return Err(format!("`{span}` runs backwards: write it as two parts joined by a comma"));
        }
        Ok((first..=last).step_by(step.unwrap_or(1)).fold(0, |set, n| set | (1 << n)))
    }

    fn step(&self, text: &str) -> Result<usize, String> {
        match number(text) {
            Some(step) if step >= 1 && step <= self.last => Ok(usize::from(step)),
            _ => Err(format!("the step `{}` is not a number from 1 to {}", shorten(text), self.last)),
        }
    }

    fn value(&self, text: &str) -> Result<u8, String> {
        let word = self.words.iter().position(|word| word.eq_ignore_ascii_case(text));
        let value = match word {
            Some(index) => u8::try_from(index).ok().map(|index| index + self.first),
            None => number(text),
        };
        value.filter(|value| (self.first..=self.last).contains(value)).ok_or_else(|| {
            let extension = text.contains(['L', 'W', '#', '?']);
            let hint = if extension { "; `L`, `W`, `#` and `?` are not supported" } else { "" };
            let names = match self.words {
                [first, .., last] => format!(", or a name from {first} to {last}"),
                _ => String::new(),
            };
            format!("`{}` is not a number from {} to {}{names}{hint}", shorten(text), self.first, self.last)
        })
    }
}

fn number(text: &str) -> Option<u8> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}
