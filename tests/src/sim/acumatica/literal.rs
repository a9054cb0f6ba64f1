//! Values of fields: what is accepted on write, how they are written in answers, and days and moments in the site's
//! time zone.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, SecondsFormat, TimeZone as _, Utc};

use super::contract::Kind;
use super::json::{Json, Row, row};
use crate::sim::amount::Amount;

/// How values are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) offset: FixedOffset,
    pub(super) padded: bool,
}

impl Style {
    pub(super) fn new(minutes: i32, padded: bool) -> Self {
        let utc = FixedOffset::east_opt(0);
        let offset = FixedOffset::east_opt(minutes.saturating_mul(60)).or(utc).unwrap_or_else(fixed_utc);
        Self { offset, padded }
    }

    /// `{"value": ..}`, or `{}` for an empty field.
    pub(super) fn wrapped(&self, kind: Kind, value: Option<&Json>) -> Row {
        match value {
            None | Some(Json::Null) => Row::new(),
            Some(value) => row([("value", self.written(kind, value))]),
        }
    }

    fn written(&self, kind: Kind, value: &Json) -> Json {
        match (kind, value) {
            (Kind::Date, Json::Str(day)) => match day.parse::<NaiveDate>() {
                Ok(day) => Json::Str(self.midnight(day).to_rfc3339()),
                Err(_) => value.clone(),
            },
            (Kind::Moment, Json::Str(moment)) => match moment.parse::<DateTime<Utc>>() {
                Ok(moment) => {
                    let local = moment.with_timezone(&self.offset);
                    Json::Str(local.to_rfc3339_opts(SecondsFormat::Millis, false))
                }
                Err(_) => value.clone(),
            },
            (Kind::Decimal, Json::Num(_)) => {
                value.as_amount().map_or_else(|| value.clone(), |amount| self.number(amount))
            }
            _ => value.clone(),
        }
    }

    /// As short as can be, or with four decimals.
    fn number(&self, amount: Amount) -> Json {
        let text = amount.to_string();
        let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
        let part =
            if self.padded { format!("{part:0<4}") } else { format!("{:0<1}", part.trim_end_matches('0')) };
        Json::Num(format!("{whole}.{part}").into())
    }

    pub(super) fn midnight(&self, day: NaiveDate) -> DateTime<FixedOffset> {
        let start = day.and_time(chrono::NaiveTime::MIN);
        self.offset.from_local_datetime(&start).earliest().unwrap_or_else(|| start.and_utc().fixed_offset())
    }

    /// A value as it is stored; `None` = not of that type.
    pub(super) fn taken(&self, kind: Kind, value: &Json) -> Option<Json> {
        match (kind, value) {
            (_, Json::Null) => Some(Json::Null),
            (Kind::Text, Json::Str(text)) => Some(Json::Str(text.trim_end().to_owned())),
            (Kind::Text, Json::Num(number)) => Some(Json::str(number)),
            (Kind::Decimal, Json::Num(text)) => Amount::parse(text).map(Json::from),
            (Kind::Decimal, Json::Str(text)) => Amount::parse(text).map(Json::from),
            (Kind::Whole, Json::Num(text)) => text.parse::<i64>().ok().map(Json::from),
            (Kind::Flag, Json::Bool(flag)) => Some(Json::Bool(*flag)),
            (Kind::Flag, Json::Str(text)) => text.to_ascii_lowercase().parse().ok().map(Json::Bool),
            (Kind::Date, Json::Str(text)) => self.day(text).map(|day| Json::Str(day.to_string())),
            (Kind::Moment, Json::Str(text)) => self.moment(text).map(stored),
            _ => None,
        }
    }

    /// A day on write: with an offset it is a moment, and the day is the site's at that moment.
    fn day(&self, text: &str) -> Option<NaiveDate> {
        if let Ok(day) = NaiveDate::parse_from_str(text, "%m/%d/%Y").or_else(|_| text.parse()) {
            return Some(day);
        }
        if let Ok(local) = text.parse::<NaiveDateTime>() {
            return Some(local.date());
        }
        self.moment(text).map(|moment| moment.with_timezone(&self.offset).date_naive())
    }

    /// A moment; without an offset it is the site's.
    pub(super) fn moment(&self, text: &str) -> Option<DateTime<Utc>> {
        if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
            return Some(moment.to_utc());
        }
        let local = text.parse::<NaiveDateTime>().ok()?;
        self.offset.from_local_datetime(&local).earliest().map(|moment| moment.to_utc())
    }
}

/// A moment as it is stored.
pub(super) fn stored(moment: DateTime<Utc>) -> Json {
    Json::Str(moment.to_rfc3339_opts(SecondsFormat::Millis, true))
}

fn fixed_utc() -> FixedOffset {
    use chrono::Offset as _;
    Utc.fix()
}

/// `MMyyyy`, from that or from `MM-yyyy`.
pub(super) fn period_code(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|letter| *letter != '-').collect();
    let plain = digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then_some(digits)
}
