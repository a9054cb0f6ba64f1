//! The two ways in which this vendor writes money, as two types that never become each other: decimal major units in
//! v3 (`100.5`), whole minor units everywhere else (`10050`). A mix-up would be an error by the factor 100. (D)

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use spend::money::{Currency, Money};
use std::borrow::Cow;

/// Largest exponent that is followed; larger ones are no amount of money.
const MOST_PLACES: u32 = 40;

/// The text of a JSON number, exactly as it was sent: never a float.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberText(String);

impl NumberText {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for NumberText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let text = raw.get();
        let bare = match text.as_bytes().first() {
            Some(b'"') => serde_json::from_str::<String>(text).map_err(D::Error::custom)?,
            Some(b'-' | b'0'..=b'9') => text.to_owned(),
            _ => return Err(D::Error::custom("an amount is a number")),
        };
        Ok(Self(bare.trim().to_owned()))
    }
}

/// Money of the v3 accounting API: a decimal number of major units (D).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Major {
    amount: Option<NumberText>,
    currency: Option<String>,
}

/// Money of every other API: a whole number of the currency's smallest unit; currency `null` means USD (D).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Minor {
    amount: Option<NumberText>,
    currency: Option<String>,
}

impl Major {
    /// The amount. `1e2`, `100`, `100.5` and `0.1` are amounts; more decimals than the currency has are not.
    ///
    /// # Errors
    /// What cannot be read of it, in words.
    pub fn money(&self) -> Result<Money, String> {
        let code = self.currency.as_deref().ok_or("the amount has no currency")?;
        let currency = Currency::new(code).map_err(|error| error.to_string())?;
        let text = self.amount.as_ref().ok_or("the amount is missing")?;
        let plain = plain_decimal(text.as_str())
            .ok_or_else(|| format!("`{}` is not an amount", shown(text.as_str())))?;
        Money::parse(&plain, currency).map_err(|error| error.to_string())
    }
}

impl Minor {
    /// The amount.
    ///
    /// # Errors
    /// What cannot be read of it, in words.
    pub fn money(&self) -> Result<Money, String> {
        let currency = match self.currency.as_deref().map(str::trim).filter(|code| !code.is_empty()) {
            None => Currency::USD,
            Some(code) => Currency::new(code).map_err(|error| error.to_string())?,
        };
        let text = self.amount.as_ref().ok_or("the amount is missing")?;
        let whole = plain_decimal(text.as_str())
            .filter(|plain| !plain.contains('.'))
            .ok_or_else(|| format!("`{}` is not a whole number of minor units", shown(text.as_str())))?;
        Money::from_minor_text(&whole, currency).map_err(|error| error.to_string())
    }
}

/// Writes a JSON number without its exponent, digit by digit: `1e2` is `100`, `15e-1` is `1.5`.
fn plain_decimal(text: &str) -> Option<Cow<'_, str>> {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return Some(Cow::Borrowed(text)) };
    let exponent: i32 = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
    let places = usize::try_from(exponent.unsigned_abs()).ok()?;
    if exponent.unsigned_abs() > MOST_PLACES || mantissa.len() > 64 {
        return None;
    }
    let (sign, digits) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let (whole, fraction) = if exponent >= 0 {
        let fraction = format!("{fraction:0<places$}");
        let (moved, rest) = fraction.split_at(places);
        (format!("{whole}{moved}"), rest.to_owned())
    } else {
        let whole = format!("{whole:0>width$}", width = places + 1);
        let (rest, moved) = whole.split_at(whole.len() - places);
        (rest.to_owned(), format!("{moved}{fraction}"))
    };
    // Zeros behind the point say nothing, and would make a whole number look like a fraction.
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    Some(Cow::Owned(format!("{sign}{whole}{point}{fraction}")))
}

fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}
