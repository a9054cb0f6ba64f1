//! Exact decimal numbers. FreeMarker counts in decimal, and so do amounts of money; nothing here is a float.

use std::cmp::Ordering;
use std::fmt;

/// `mantissa / 10^scale`, normalised (no trailing zero digits after the point).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    mantissa: i128,
    scale: u32,
}

/// Digits after the point that a division keeps at least.
const DIVISION_SCALE: u32 = 12;
const MAX_SCALE: u32 = 18;

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        Self { mantissa: i128::from(value), scale: 0 }
    }
}

impl Decimal {
    /// Whether it is zero.
    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// Digits with an optional sign and point.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() && fraction.is_empty() || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let scale = u32::try_from(fraction.len()).ok().filter(|s| *s <= MAX_SCALE)?;
        let mut mantissa: i128 = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            mantissa = mantissa.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
        }
        Self { mantissa: if negative { -mantissa } else { mantissa }, scale }.normal()
    }

    pub(super) fn to_i64(self) -> Option<i64> {
        if self.scale == 0 { i64::try_from(self.mantissa).ok() } else { None }
    }

    /// Towards zero.
    pub(super) fn truncated(self) -> Self {
        Self { mantissa: self.mantissa / 10_i128.pow(self.scale), scale: 0 }
    }

    pub(super) fn negated(self) -> Self {
        Self { mantissa: -self.mantissa, scale: self.scale }
    }

    pub(super) fn is_negative(self) -> bool {
        self.mantissa < 0
    }

    pub(super) fn add(self, other: Self) -> Option<Self> {
        let (a, b, scale) = self.aligned(other)?;
        Self { mantissa: a.checked_add(b)?, scale }.normal()
    }

    pub(super) fn multiply(self, other: Self) -> Option<Self> {
        let scale = self.scale + other.scale;
        Self { mantissa: self.mantissa.checked_mul(other.mantissa)?, scale }.rounded(MAX_SCALE)?.normal()
    }

    /// Half up, twelve digits after the point or as many as the operands have. `None` for a division by zero or when
    /// the result is too large.
    pub(super) fn divide(self, other: Self) -> Option<Self> {
        let scale = DIVISION_SCALE.max(self.scale).max(other.scale);
        let shift = scale + other.scale - self.scale;
        let numerator = self.mantissa.checked_mul(10_i128.checked_pow(shift)?)?;
        Self { mantissa: divide_half_up(numerator, other.mantissa)?, scale }.normal()
    }

    pub(super) fn remainder(self, other: Self) -> Option<Self> {
        let (a, b) = (self.truncated().mantissa, other.truncated().mantissa);
        a.checked_rem(b).map(|mantissa| Self { mantissa, scale: 0 })
    }

    pub(super) fn compare(self, other: Self) -> Ordering {
        match self.aligned(other) {
            Some((a, b, _)) => a.cmp(&b),
            None => self.truncated().mantissa.cmp(&other.truncated().mantissa),
        }
    }

    /// Half even to at most that many digits after the point, as number formats round.
    pub(super) fn rounded(self, scale: u32) -> Option<Self> {
        if self.scale <= scale {
            return Some(self);
        }
        let divisor = 10_i128.checked_pow(self.scale - scale)?;
        let (quotient, rest) = (self.mantissa / divisor, (self.mantissa % divisor).abs());
        let up = match (rest * 2).cmp(&divisor) {
            Ordering::Greater => true,
            Ordering::Equal => quotient % 2 != 0,
            Ordering::Less => false,
        };
        let step = if up { self.mantissa.signum() } else { 0 };
        Some(Self { mantissa: quotient + step, scale })
    }

    /// Sign, digits before the point, digits after the point.
    pub(super) fn parts(self) -> (bool, String, String) {
        let digits = self.mantissa.unsigned_abs().to_string();
        let scale = self.scale as usize;
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        (self.mantissa < 0, whole.to_owned(), fraction.to_owned())
    }

    fn aligned(self, other: Self) -> Option<(i128, i128, u32)> {
        let scale = self.scale.max(other.scale);
        let lift = |d: Self| d.mantissa.checked_mul(10_i128.checked_pow(scale - d.scale)?);
        Some((lift(self)?, lift(other)?, scale))
    }

    fn normal(mut self) -> Option<Self> {
        while self.scale > 0 && self.mantissa % 10 == 0 {
            self.mantissa /= 10;
            self.scale -= 1;
        }
        self.rounded(MAX_SCALE)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (negative, whole, fraction) = self.parts();
        let sign = if negative { "-" } else { "" };
        if fraction.is_empty() { write!(f, "{sign}{whole}") } else { write!(f, "{sign}{whole}.{fraction}") }
    }
}

fn divide_half_up(numerator: i128, denominator: i128) -> Option<i128> {
    let quotient = numerator.checked_div(denominator)?;
    let rest = numerator.checked_rem(denominator)?;
    let away = rest.unsigned_abs() >= denominator.unsigned_abs() - rest.unsigned_abs();
    let sign = if (numerator < 0) == (denominator < 0) { 1 } else { -1 };
    Some(if away { quotient + sign } else { quotient })
}
