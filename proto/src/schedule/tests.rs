//! Schedules against a table of zones and against an independent implementation.

use super::*;
use proptest::prelude::*;
use std::str::FromStr;

fn at(text: &str) -> Timestamp {
    DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc)
}

fn runs(schedule: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::parse(schedule, zone).unwrap();
    schedule
        .upcoming(at(after), count)
        .into_iter()
        .map(|run| run.with_timezone(&schedule.zone()).format("%m-%d %H:%M %:z").to_string())
        .collect()
}

#[test]
fn each_zone_runs_at_its_own_wall_clock_time_and_every_change_of_offset_runs_once() {
    #[rustfmt::skip]
    let table: &[(&str, &str, &str, &[&str])] = &[
        // Spring in New York: 02:00 to 03:00 does not exist.
        ("30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", &["03-08 03:00 -04:00", "03-09 02:30 -04:00"]),
        ("0,30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", &["03-08 03:00 -04:00", "03-09 02:00 -04:00"]),
        ("*/30 * * * *", "America/New_York", "2026-03-08T06:00:00Z", &["03-08 01:30 -05:00", "03-08 03:00 -04:00", "03-08 03:30 -04:00"]),
        ("20 * * * *", "America/New_York", "2026-03-08T06:00:00Z", &["03-08 01:20 -05:00", "03-08 03:20 -04:00"]),
        ("*/20 2 * * *", "America/New_York", "2026-03-08T06:00:00Z", &["03-08 03:00 -04:00", "03-09 02:00 -04:00"]),
        // Autumn in New York: 01:00 to 02:00 happens twice.
        ("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", &["11-01 01:30 -04:00", "11-02 01:30 -05:00"]),
        ("*/30 * * * *", "America/New_York", "2026-11-01T05:00:00Z", &["11-01 01:30 -04:00", "11-01 01:00 -05:00", "11-01 01:30 -05:00", "11-01 02:00 -05:00"]),
        // London changes at 01:00.
        ("15 1 * * *", "Europe/London", "2026-03-28T12:00:00Z", &["03-29 02:00 +01:00", "03-30 01:15 +01:00"]),
        ("15 1 * * *", "Europe/London", "2026-10-24T12:00:00Z", &["10-25 01:15 +01:00", "10-26 01:15 +00:00"]),
        // Lord Howe moves by half an hour.
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", &["10-04 02:30 +11:00", "10-05 02:15 +11:00"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00:00Z", &["04-05 01:45 +11:00", "04-06 01:45 +10:30"]),
        // Kathmandu is 45 minutes off and never changes.
        ("0 6 * * 1-5", "Asia/Kathmandu", "2026-03-06T12:00:00Z", &["03-09 06:00 +05:45", "03-10 06:00 +05:45"]),
        ("@daily", "UTC", "2026-12-31T00:00:00Z", &["01-01 00:00 +00:00", "01-02 00:00 +00:00"]),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", &["02-29 00:00 +00:00"]),
        // 0 and 7 are Sunday, 1-5 is Monday to Friday (7 March 2026 is a Saturday).
        ("0 9 * * 7", "UTC", "2026-03-07T12:00:00Z", &["03-08 09:00 +00:00", "03-15 09:00 +00:00"]),
        ("0 9 * * 0", "UTC", "2026-03-07T12:00:00Z", &["03-08 09:00 +00:00"]),
        ("0 9 * * 1-5", "UTC", "2026-03-07T12:00:00Z", &["03-09 09:00 +00:00"]),
        ("0 9 * * fri-sat", "UTC", "2026-03-07T12:00:00Z", &["03-13 09:00 +00:00", "03-14 09:00 +00:00"]),
        ("0 9 * * 5-7", "UTC", "2026-03-07T12:00:00Z", &["03-08 09:00 +00:00", "03-13 09:00 +00:00"]),
        // Both day fields: either is enough.
        ("0 0 13 * 5", "UTC", "2026-03-02T00:00:00Z", &["03-06 00:00 +00:00", "03-13 00:00 +00:00", "03-20 00:00 +00:00"]),
    ];
    for (schedule, zone, after, expected) in table {
        assert_eq!(runs(schedule, zone, after, expected.len()), *expected, "{schedule} in {zone}");
    }
}

#[test]
fn a_faulty_text_says_what_is_wrong_and_how_to_mend_it() {
    for (text, zone, part) in [
        ("0 0 6 * * 1", "UTC", "no seconds"),
        ("0 0 6 * * 1 2026", "UTC", "no year"),
        ("0 6 * *", "UTC", "such as `0 6 * * 1-5`"),
        ("", "UTC", "0 fields"),
        ("@yearly", "UTC", "`@monthly`"),
        ("60 * * * *", "UTC", "minute `60`: `60` is not a number from 0 to 59"),
        ("0 24 * * *", "UTC", "from 0 to 23"),
        ("0 22-4 * * *", "UTC", "two parts joined by a comma"),
        ("5/15 * * * *", "UTC", "step without a range"),
        ("*/0 * * * *", "UTC", "step `0`"),
        ("0 0 L * *", "UTC", "not supported"),
        ("0 0 * * 5#2", "UTC", "not supported"),
        ("0 0 ? * *", "UTC", "not supported"),
        ("0 0 * FEBR *", "UTC", "or a name from JAN to DEC"),
        ("0 0 30 2 *", "UTC", "never runs within five years"),
        ("0 0 31 4,6 *", "UTC", "never runs"),
        ("@daily", "Europe/Lodnon", "did you mean `Europe/London`"),
        ("@daily", "Mars", "such as `Europe/London`"),
    ] {
        let error = Schedule::parse(text, zone).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn of_missed_runs_only_the_latest_is_due() {
    let schedule = Schedule::parse("0 6 * * *", "Europe/London").unwrap();
    let due = schedule.latest_due(at("2026-06-01T00:00:00Z"), at("2026-06-20T12:00:00Z")).unwrap();
    assert_eq!(due, Due { key: "2026-06-20T06:00".to_owned(), at: at("2026-06-20T05:00:00Z") });
    assert_eq!(schedule.latest_due(due.at, at("2026-06-21T04:59:59Z")), None);
    assert_eq!(schedule.latest_due(at("2026-06-22T00:00:00Z"), at("2026-06-21T00:00:00Z")), None);
    let leap = Schedule::parse("0 0 29 2 *", "UTC").unwrap();
    assert_eq!(
        leap.latest_due(at("2021-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z")).unwrap().key,
        "2024-02-29T00:00"
    );
}

#[test]
fn keys_tell_the_two_occurrences_of_a_minute_apart_and_lead_back_to_their_moments() {
    let schedule = Schedule::parse("*/30 * * * *", "America/New_York").unwrap();
    let runs = schedule.upcoming(at("2026-11-01T04:00:00Z"), 8);
    let keys: std::collections::BTreeSet<_> = runs.iter().map(|run| schedule.key(*run)).collect();
    assert_eq!(keys.len(), 8, "{keys:?}");
    for run in runs {
        assert_eq!(schedule.moment_of(&schedule.key(run)), Some(run));
    }
    assert_eq!(schedule.moment_of("yesterday"), None);
}

/// One field's text: a star, a step, a list of values and ranges.
fn field(first: u8, last: u8, steps: bool) -> impl Strategy<Value = String> {
    let range = (first..=last, first..=last).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b)));
    let part = prop_oneof![(first..=last).prop_map(|n| n.to_string()), range];
    let list = proptest::collection::vec(part, 1..4).prop_map(|parts| parts.join(","));
    let step = (2..=last.min(20)).prop_map(move |n| if steps { format!("*/{n}") } else { "*".to_owned() });
    prop_oneof![Just("*".to_owned()), step, list]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn runs_agree_with_an_independent_implementation_where_no_offset_changes(
        minute in field(0, 59, true), hour in field(0, 23, true), day in field(1, 28, false),
        month in field(1, 12, true), weekday in field(0, 6, false), start in 0_i64..2_000_000_000,
    ) {
        let text = format!("{minute} {hour} {day} {month} {weekday}");
        let ours = Schedule::parse(&text, "Asia/Kathmandu").unwrap();
        let theirs = croner::Cron::from_str(&text).unwrap();
        let start = DateTime::from_timestamp(start, 0).unwrap().max(at("1990-01-01T00:00:00Z"));
        let expected: Vec<Timestamp> = theirs
            .iter_after(start.with_timezone(&chrono_tz::Asia::Kathmandu))
            .take(50)
            .map(|run| run.with_timezone(&Utc))
            .collect();
        prop_assert_eq!(ours.upcoming(start, 50), expected, "{}", text);
    }

    #[test]
    fn runs_go_forward_in_time_and_keys_never_repeat_across_changes_of_offset(
        minute in field(0, 59, true), hour in field(0, 23, true),
        zone in proptest::sample::select(vec!["America/New_York", "Europe/London", "Australia/Lord_Howe", "Pacific/Apia"]),
        days in 0_i64..6000,
    ) {
        let schedule = Schedule::parse(&format!("{minute} {hour} * * *"), zone).unwrap();
        let runs = schedule.upcoming(at("2010-01-01T00:00:00Z") + TimeDelta::days(days), 60);
        prop_assert!(runs.windows(2).all(|pair| pair[0] < pair[1]));
        let keys: std::collections::BTreeSet<_> = runs.iter().map(|run| schedule.key(*run)).collect();
        prop_assert_eq!(keys.len(), runs.len());
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[0-9*/,@A-Za-z# -]{0,24}|\\PC{0,24}", zone in "\\PC{0,16}") {
        let _ = Schedule::parse(&text, "UTC");
        let _ = Schedule::parse("@daily", &zone);
    }
}
