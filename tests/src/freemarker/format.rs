//! Texts of numbers and dates, and the escapes of the text built-ins.

use super::Decimal;
use super::value::DateKind;
use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use std::fmt::Write as _;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// For machines: no grouping, no trailing zeros.
pub(super) fn computer(number: Decimal) -> String {
    number.rounded(16).unwrap_or(number).to_string()
}

/// By a pattern of `0`, `#`, `,` and `.`, or by name.
pub(super) fn number(value: Decimal, pattern: &str) -> String {
    match pattern {
        "computer" | "c" => return computer(value),
        "number" | "" => return number(value, ",##0.###"),
        _ => {}
    }
    let (whole_pattern, fraction_pattern) = pattern.split_once('.').unwrap_or((pattern, ""));
    let most = fraction_pattern.chars().filter(|c| matches!(c, '0' | '#')).count();
    let least = fraction_pattern.chars().filter(|c| *c == '0').count();
    let digits_least = whole_pattern.chars().filter(|c| *c == '0').count();
    let rounded = value.rounded(u32::try_from(most).unwrap_or(0)).unwrap_or(value);
    let (negative, whole, mut fraction) = rounded.parts();
    while fraction.len() > least && fraction.ends_with('0') {
        fraction.pop();
    }
    while fraction.len() < least {
        fraction.push('0');
    }
    let whole = format!("{whole:0>digits_least$}");
    let whole = if whole_pattern.contains(',') { grouped(&whole) } else { whole };
    let sign = if negative && !rounded.is_zero() { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn grouped(digits: &str) -> String {
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

pub(super) fn default_date(moment: NaiveDateTime, kind: DateKind) -> String {
    date(
        moment,
        match kind {
            DateKind::Date => "MMM d, yyyy",
            DateKind::Time => "HH:mm:ss",
            DateKind::DateTime => "MMM d, yyyy HH:mm:ss",
        },
    )
}

pub(super) fn date(moment: NaiveDateTime, pattern: &str) -> String {
    let mut out = String::new();
    for (letter, count, literal) in pieces(pattern) {
        let number = match letter {
            'y' if count == 2 => i64::from(moment.year() % 100),
            'y' => i64::from(moment.year()),
            'M' if count >= 3 => {
                out.push_str(MONTHS[moment.month0() as usize]);
                continue;
            }
            'M' => i64::from(moment.month()),
            'd' => i64::from(moment.day()),
            'H' => i64::from(moment.hour()),
            'm' => i64::from(moment.minute()),
            's' => i64::from(moment.second()),
            _ => {
                out.push_str(&literal);
                continue;
            }
        };
        // Writing to a string cannot fail.
        let _ = write!(out, "{number:0count$}");
    }
    out
}

/// A date by pattern; trailing text is left alone, as the parser of the vendor's platform does.
pub(super) fn parse_date(text: &str, pattern: &str) -> Option<NaiveDateTime> {
    let (mut year, mut month, mut day, mut hour, mut minute, mut second) = (1970, 1, 1, 0, 0, 0);
    let mut rest = text;
    for (letter, count, literal) in pieces(pattern) {
        if letter == 'M' && count >= 3 {
            let name = rest.get(..3)?;
            month = u32::try_from(MONTHS.iter().position(|m| m.eq_ignore_ascii_case(name))?).ok()? + 1;
            rest = rest.get(3..)?;
            continue;
        }
        if !"yMdHms".contains(letter) {
            rest = rest.strip_prefix(literal.as_str())?;
            continue;
        }
        let digits = rest.bytes().take(4).take_while(u8::is_ascii_digit).count();
        let digits = if letter == 'y' { digits } else { digits.min(2) };
        let number: u32 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        match letter {
            'y' => year = i32::try_from(number).ok()?,
            'M' => month = number,
            'd' => day = number,
            'H' => hour = number,
            'm' => minute = number,
            _ => second = number,
        }
    }
    let date = NaiveDate::from_ymd_opt(year, month, day)?;
    Some(date.and_time(NaiveTime::from_hms_opt(hour, minute, second)?))
}

/// Runs of one letter, and literals in between.
fn pieces(pattern: &str) -> Vec<(char, usize, String)> {
    let mut pieces: Vec<(char, usize, String)> = Vec::new();
    let mut quoted = false;
    for c in pattern.chars() {
        if c == '\'' {
            quoted = !quoted;
            continue;
        }
        match pieces.last_mut() {
            Some((letter, count, _)) if !quoted && *letter == c && c.is_ascii_alphabetic() => *count += 1,
            _ if quoted => pieces.push(('\'', 1, c.to_string())),
            _ => pieces.push((c, 1, c.to_string())),
        }
    }
    pieces
}

/// `& < > " '` as entities.
pub(super) fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// Inside a JSON (or JavaScript) string literal. Besides what JSON requires, sequences that would end a script or a
/// comment are broken up.
pub(super) fn script(text: &str, json: bool) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let chars: Vec<char> = text.chars().collect();
    for (index, &c) in chars.iter().enumerate() {
        let before = index.checked_sub(1).map(|i| chars[i]);
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\'' if !json => out.push_str("\\'"),
            '/' if matches!(before, None | Some('<')) => out.push_str("\\/"),
            '>' if closes_section(&chars, index) => {
                if json {
                    hex(&mut out, c, json);
                } else {
                    out.push_str("\\>");
                }
            }
            '<' if matches!(chars.get(index + 1), None | Some('!' | '?')) => hex(&mut out, c, json),
            c if (c as u32) < 0x20 || (0x7f..0xa0).contains(&(c as u32)) => hex(&mut out, c, json),
            '\u{2028}' | '\u{2029}' => hex(&mut out, c, json),
            c => out.push(c),
        }
    }
    out
}

fn closes_section(chars: &[char], index: usize) -> bool {
    match (index.checked_sub(1).map(|i| chars[i]), index.checked_sub(2).map(|i| chars[i])) {
        (None, _) => true,
        (Some(']' | '-'), None) => true,
        (Some(a @ (']' | '-')), Some(b)) => a == b,
        (Some(_), _) => false,
    }
}

fn hex(out: &mut String, c: char, json: bool) {
    let code = c as u32;
    // Writing to a string cannot fail.
    let _ = if json || code > 0xff { write!(out, "\\u{code:04X}") } else { write!(out, "\\x{code:02X}") };
}
