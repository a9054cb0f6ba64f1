//! Two conventions of money, read from the text of the number.

use super::super::{Major, Minor};
use proptest::prelude::*;
use spend::money::{Currency, Money};

fn major(amount: &str, currency: &str) -> Result<Money, String> {
    let json = format!(r#"{{"amount":{amount},"currency":{currency}}}"#);
    serde_json::from_str::<Major>(&json).map_err(|error| error.to_string())?.money()
}

fn minor(amount: &str, currency: &str) -> Result<Money, String> {
    let json = format!(r#"{{"amount":{amount},"currency":{currency}}}"#);
    serde_json::from_str::<Minor>(&json).map_err(|error| error.to_string())?.money()
}

fn money(minor: i64, code: &str) -> Money {
    Money::new(minor, Currency::new(code).unwrap())
}

/// Sheet item: Brex 4
#[test]
fn major_units_are_read_digit_by_digit() {
    for (text, code, expected) in [
        ("100.5", "USD", 10_050),
        ("100", "USD", 10_000),
        ("0.1", "USD", 10),
        ("1e2", "USD", 10_000),
        ("1E+2", "USD", 10_000),
        ("1.5e1", "USD", 1_500),
        ("17175e-2", "USD", 17_175),
        ("5e-2", "USD", 5),
        ("1.005e3", "USD", 100_500),
        ("100.50", "USD", 10_050),
        ("-3.25", "USD", -325),
        ("90071992547409.93", "USD", 9_007_199_254_740_993),
        ("1234", "JPY", 1_234),
        ("1e3", "JPY", 1_000),
        ("1.234", "KWD", 1_234),
        ("\"12.30\"", "USD", 1_230),
    ] {
        assert_eq!(major(text, &format!("\"{code}\"")), Ok(money(expected, code)), "{text} {code}");
    }
}

/// Sheet item: Brex 4
#[test]
fn minor_units_are_whole_numbers_of_the_smallest_unit() {
    assert_eq!(minor("10050", "\"USD\""), Ok(money(10_050, "USD")));
    assert_eq!(minor("-10050", "null"), Ok(money(-10_050, "USD")));
    assert_eq!(minor("1e3", "\"JPY\""), Ok(money(1_000, "JPY")));
    assert_eq!(minor("1234", "\"KWD\""), Ok(money(1_234, "KWD")));
    assert!(minor("100.5", "\"USD\"").unwrap_err().contains("minor units"));
}

/// Sheet item: Brex 4
#[test]
fn the_same_number_is_a_hundred_times_more_in_the_one_than_in_the_other() {
    let (major, minor) = (major("100", "\"USD\"").unwrap(), minor("100", "\"USD\"").unwrap());
    assert_eq!(major.minor, 100 * minor.minor);
}

#[test]
fn what_is_no_certain_amount_is_refused_in_words() {
    for (text, code) in [
        ("100.505", "\"USD\""),
        ("1.5", "\"JPY\""),
        ("0.30000000000000004", "\"USD\""),
        ("1e999999999", "\"USD\""),
        ("1e41", "\"USD\""),
        ("99999999999999999999", "\"USD\""),
        ("\"12,30\"", "\"USD\""),
        ("\"\"", "\"USD\""),
        ("null", "\"USD\""),
        ("true", "\"USD\""),
        ("{}", "\"USD\""),
        ("1", "null"),
        ("1", "\"US\""),
    ] {
        assert!(major(text, code).is_err(), "{text} {code}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn an_exponent_never_changes_the_value(minor in -1_000_000_000_i64..1_000_000_000, shift in 0_u32..6) {
        let money = Money::new(minor, Currency::USD);
        let plain = money.to_decimal();
        let digits: String = plain.replace('.', "");
        let spelled = format!("{digits}{}e-{}", "0".repeat(shift as usize), 2 + shift);
        // JSON knows no leading zeros.
        let (sign, rest) = spelled.strip_prefix('-').map_or(("", spelled.as_str()), |rest| ("-", rest));
        let rest = rest.trim_start_matches('0');
        let rest = if rest.starts_with('e') { format!("0{rest}") } else { rest.to_owned() };
        prop_assert_eq!(major(&format!("{sign}{rest}"), "\"USD\""), Ok(money));
        prop_assert_eq!(major(&plain, "\"USD\""), Ok(money));
    }

    #[test]
    fn no_text_panics(text in "[-0-9eE.+]{0,24}") {
        let _ = major(&format!("\"{text}\""), "\"USD\"");
        let _ = minor(&format!("\"{text}\""), "\"USD\"");
    }
}
