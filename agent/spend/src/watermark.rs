//! How far a flow has read, and how far back it reads again. Vendors' timestamps are day-grained and late, so the
//! mark never stands alone: an overlap window is always read again and known records are recognised by id.

use crate::Date;
use chrono::Days;
use serde::{Deserialize, Serialize};

/// Every record approved on or before this day has been recorded, as far as the source told us then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Watermark {
    /// The newest day of approval that was recorded.
    pub through: Date,
}

/// The days of approval to read, both inclusive: from the mark less the overlap, never before `start`, to tomorrow
/// (a source in another time zone may be a day ahead).
///
/// A mark that lies in the future (a mistyped date at the source) counts as today, so that it hides nothing.
pub fn window(start: Date, mark: Option<Watermark>, overlap_days: u16, today: Date) -> (Date, Date) {
    let from = match mark {
        None => start,
        Some(mark) => {
            let through = mark.through.min(today);
            through.checked_sub_days(Days::new(overlap_days.into())).unwrap_or(start).max(start)
        }
    };
    let to = today.checked_add_days(Days::new(1)).unwrap_or(today);
    (from, to.max(from))
}

/// The mark after a batch. It moves only when `complete`, i.e. every record of the batch is durably recorded (planned,
/// held or already known), and never backwards.
pub fn advance(
    mark: Option<Watermark>,
    newest_approved_seen: Option<Date>,
    complete: bool,
) -> Option<Watermark> {
    let seen = newest_approved_seen.filter(|_| complete).map(|through| Watermark { through });
    mark.max(seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::day;

    fn mark(text: &str) -> Option<Watermark> {
        Some(Watermark { through: day(text) })
    }

    #[test]
    fn the_window_reaches_back_by_the_overlap_and_never_before_the_start() {
        let start = day("2026-01-01");
        for (mark, overlap, today, from, to) in [
            (None, 7, "2026-01-20", "2026-01-01", "2026-01-21"),
            (mark("2026-01-15"), 7, "2026-01-20", "2026-01-08", "2026-01-21"),
            (mark("2026-01-03"), 7, "2026-01-20", "2026-01-01", "2026-01-21"),
            (mark("2026-01-15"), 0, "2026-01-20", "2026-01-15", "2026-01-21"),
            (mark("2026-03-02"), 2, "2026-03-02", "2026-02-28", "2026-03-03"),
            // a report approved in the year 2099 hides nothing
            (mark("2099-01-01"), 7, "2026-01-20", "2026-01-13", "2026-01-21"),
            // the clock stands before the start
            (None, 7, "2025-12-01", "2026-01-01", "2026-01-01"),
        ] {
            assert_eq!(
                window(start, mark, overlap, day(today)),
                (day(from), day(to)),
                "{mark:?} {overlap} {today}"
            );
        }
        assert_eq!(
            window(Date::MIN, Some(Watermark { through: Date::MIN }), u16::MAX, Date::MAX).0,
            Date::MIN
        );
    }

    #[test]
    fn the_mark_moves_forward_only_and_only_with_a_complete_batch() {
        let old = mark("2026-01-10");
        assert_eq!(advance(old, Some(day("2026-01-12")), true), mark("2026-01-12"));
        assert_eq!(advance(old, Some(day("2026-01-12")), false), old);
        assert_eq!(advance(old, Some(day("2026-01-02")), true), old);
        assert_eq!(advance(old, None, true), old);
        assert_eq!(advance(None, None, true), None);
        assert_eq!(advance(None, Some(day("2026-01-02")), true), mark("2026-01-02"));
    }
}
