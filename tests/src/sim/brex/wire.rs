//! How this vendor writes things: money in two units, instants in three precisions, ids. Amounts reach the wire digit by
//! digit; no binary float takes part.

use super::knobs::NumberForm;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// A number that must be written digit by digit stands in a [`Value`] as a text behind this mark.
const RAW: char = '\u{1}';
/// The same as serde writes it, with the quote before it.
const RAW_WRITTEN: &str = "\"\\u0001";

/// Decimals of a currency.
pub(super) fn decimals(currency: &str) -> usize {
    match currency {
        "JPY" | "KRW" | "CLP" => 0,
        "KWD" | "BHD" | "TND" => 3,
        _ => 2,
    }
}

/// `{"amount":100.5,"currency":"USD"}`.
pub(super) fn major(minor: i64, currency: &str, form: NumberForm) -> Value {
    json!({"amount": format!("{RAW}{}", number(minor, decimals(currency), form)), "currency": currency})
}

/// `{"amount":10050,"currency":"USD"}`.
pub(super) fn minor(amount: i64, currency: &str) -> Value {
    json!({"amount": amount, "currency": currency})
}

fn number(minor: i64, places: usize, form: NumberForm) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", minor.unsigned_abs(), width = places + 1);
    let (whole, part) = digits.split_at(digits.len() - places);
    let kept = part.trim_end_matches('0');
    match form {
        NumberForm::Fixed if places > 0 => format!("{sign}{whole}.{part}"),
        NumberForm::Exponent => exponent(minor, places),
        _ if kept.is_empty() => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{kept}"),
    }
}

/// Significant digits and an exponent: `1005e-1`, `1e2`.
fn exponent(minor: i64, places: usize) -> String {
    let (mut digits, mut power) = (minor, -i64::try_from(places).unwrap_or_default());
    while digits != 0 && digits % 10 == 0 {
        (digits, power) = (digits / 10, power + 1);
    }
    if digits == 0 || power == 0 { digits.to_string() } else { format!("{digits}e{power}") }
}

/// The value as JSON text.
pub(super) fn text(value: &Value) -> String {
    let written = value.to_string();
    let mut out = String::with_capacity(written.len());
    let mut rest = written.as_str();
    while let Some(at) = rest.find(RAW_WRITTEN) {
        out.push_str(&rest[..at]);
        let tail = &rest[at + RAW_WRITTEN.len()..];
        let end = tail.find('"').unwrap_or(tail.len());
        out.push_str(&tail[..end]);
        rest = tail.get(end + 1..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

pub(super) fn micros(moment: DateTime<Utc>) -> String {
    moment.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

pub(super) fn millis(moment: DateTime<Utc>) -> String {
    moment.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

pub(super) fn seconds(moment: DateTime<Utc>) -> String {
    moment.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// An opaque id with the vendor's prefix.
pub(super) fn id(rng: &mut fastrand::Rng, prefix: &str) -> String {
    const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let tail: String = (0..24).map(|_| char::from(LETTERS[rng.usize(..36)])).collect();
    format!("{prefix}_c{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_exactly_in_each_form() {
        let all = |minor, currency: &str| {
            [NumberForm::Plain, NumberForm::Fixed, NumberForm::Exponent]
                .map(|form| text(&major(minor, currency, form)["amount"]))
        };
        assert_eq!(all(10_050, "USD"), ["100.5", "100.50", "1005e-1"]);
        assert_eq!(all(10_000, "USD"), ["100", "100.00", "1e2"]);
        assert_eq!(all(-10, "USD"), ["-0.1", "-0.10", "-1e-1"]);
        assert_eq!(all(1_200, "JPY"), ["1200", "1200", "12e2"]);
        assert_eq!(all(1_205, "KWD"), ["1.205", "1.205", "1205e-3"]);
        assert_eq!(all(0, "USD"), ["0", "0.00", "0"]);
    }

    #[test]
    fn raw_numbers_leave_texts_alone() {
        let value = json!({"a": major(17_175, "USD", NumberForm::Plain), "b": "x\\u0001y\"z"});
        let back: Value = serde_json::from_str(&text(&value)).unwrap();
        assert_eq!(back["b"], "x\\u0001y\"z");
        assert!(text(&value).contains("{\"amount\":171.75,"));
    }
}
