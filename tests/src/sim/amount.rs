//! Decimal amounts as integers of a hundred-thousandth, as precise as the simulated ERPs keep them. No float anywhere.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Neg, Sub};

/// Digits after the point.
const DIGITS: usize = 5;
/// One whole unit.
const ONE: i64 = 100_000;

/// An amount, a quantity or a cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Amount(i64);

impl Amount {
    pub(super) const ZERO: Self = Self(0);
    pub(super) const ONE: Self = Self(ONE);

    /// From decimal text; more digits than are kept must be zeros.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits_only = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits_only(whole) || !digits_only(part) {
            return None;
        }
        let (kept, dropped) = part.split_at(part.len().min(DIGITS));
        if dropped.bytes().any(|byte| byte != b'0') {
            return None;
        }
        let part: i64 = format!("{kept:0<DIGITS$}").parse().ok()?;
        let value = whole.parse::<i64>().ok()?.checked_mul(ONE)?.checked_add(part)?;
        Some(Self(if negative { -value } else { value }))
    }

    pub(super) fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Quantity times cost, half away from zero.
    pub(super) fn times(self, other: Self) -> Self {
        let product = i128::from(self.0) * i128::from(other.0);
        let half = i128::from(ONE / 2) * product.signum();
        Self(i64::try_from((product + half) / i128::from(ONE)).unwrap_or(i64::MAX))
    }

    /// Amount by quantity; by nothing gives the amount itself.
    pub(super) fn per(self, quantity: Self) -> Self {
        if quantity.is_zero() {
            return self;
        }
        Self(i64::try_from(i128::from(self.0) * i128::from(ONE) / i128::from(quantity.0)).unwrap_or(i64::MAX))
    }
}

impl Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Amount {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for Amount {
    type Output = Self;

    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// At least two digits after the point, more only where they say something.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let value = self.0.unsigned_abs();
        let part = format!("{:05}", value % ONE as u64);
        let part = part.trim_end_matches('0');
        write!(f, "{sign}{}.{part:0<2}", value / ONE as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_texts_survive_exactly() {
        for text in ["0.00", "125.50", "-0.10", "99999999999.99", "1.12345"] {
            assert_eq!(Amount::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Amount::parse("125.5000000").unwrap().to_string(), "125.50");
        for bad in ["", "1e3", "1.123456", ".5", "1.2.3", "NaN", "--1"] {
            assert_eq!(Amount::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn quantity_times_cost_keeps_cents() {
        let amount = |text| Amount::parse(text).unwrap();
        assert_eq!(amount("-1").times(amount("125.50")), amount("-125.50"));
        assert_eq!(amount("100").per(amount("3")).to_string(), "33.33333");
    }
}
