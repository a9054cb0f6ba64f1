//! Money: an integer of minor units and its ISO 4217 currency. No float touches an amount, also while parsing;
//! adding two currencies is an error, and so is a sum that does not fit.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// An ISO 4217 currency code with its number of decimals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// Currencies without decimals.
const ZERO_DECIMALS: &[&str] = &[
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF",
    "XOF", "XPF",
];
/// Currencies with three decimals.
const THREE_DECIMALS: &[&str] = &["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];
/// Units of account with four decimals.
const FOUR_DECIMALS: &[&str] = &["CLF", "UYW"];

/// Why a text or a sum is not an amount of money.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not three capital letters.
    #[error("`{0}` is not a currency code (three capital letters, ISO 4217)")]
    Currency(String),
    /// Not a plain decimal number.
    #[error("`{0}` is not a plain decimal number")]
    Malformed(String),
    /// More decimals than the currency has, and not zeros.
    #[error("`{text}` has more decimals than {currency} ({decimals})")]
    ExcessDecimals {
        /// The text that was read.
        text: String,
        /// The currency it was read for.
        currency: Currency,
        /// How many decimals that currency has.
        decimals: u32,
    },
    /// Outside what 64 bits hold.
    #[error("amount out of range")]
    Overflow,
    /// Two currencies in one sum.
    #[error("cannot combine {0} and {1}")]
    Mixed(Currency, Currency),
}

impl Currency {
    /// United States dollar, the default of tests and examples.
    pub const USD: Currency = Currency(*b"USD");

    /// Reads a three-letter code; lower case is accepted, everything else refused.
    ///
    /// # Errors
    /// [`MoneyError::Currency`] when it is not three ASCII letters.
    pub fn new(code: &str) -> Result<Self, MoneyError> {
        let upper = code.trim().to_ascii_uppercase();
        match <[u8; 3]>::try_from(upper.as_bytes()) {
            Ok(bytes) if bytes.iter().all(u8::is_ascii_uppercase) => Ok(Self(bytes)),
            _ => Err(MoneyError::Currency(shown(code))),
        }
    }

    /// The three letters.
    pub fn code(&self) -> &str {
        // Proven at construction: three ASCII capitals.
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// How many decimals amounts of this currency have.
    pub fn decimals(&self) -> u32 {
        let code = self.code();
        if ZERO_DECIMALS.contains(&code) {
            0
        } else if THREE_DECIMALS.contains(&code) {
            3
        } else if FOUR_DECIMALS.contains(&code) {
            4
        } else {
            2
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Currency {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Currency".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217 code" })
    }
}

/// An amount: minor units (cents for USD, yen for JPY, fils for KWD) and their currency. Negative amounts are credits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Money {
    /// Minor units.
    pub minor: i64,
    /// Their currency.
    pub currency: Currency,
}

impl Money {
    /// An amount of `minor` units.
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Nothing, in a currency.
    pub const fn zero(currency: Currency) -> Self {
        Self { minor: 0, currency }
    }

    /// Whether it is nothing.
    pub const fn is_zero(&self) -> bool {
        self.minor == 0
    }

    /// Reads a plain decimal text (`-12.50`, `1234`), as vendors write amounts in JSON or text.
    /// Grouping, exponents, NaN and decimals beyond the currency's (unless zero) are refused.
    ///
    /// # Errors
    /// [`MoneyError`] says what is wrong with the text.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        if !is_digits(whole) || !is_digits(fraction) {
            return Err(malformed(text));
        }
        let decimals = currency.decimals();
        let (kept, excess) = fraction.split_at(fraction.len().min(decimals as usize));
        if excess.bytes().any(|b| b != b'0') {
            return Err(MoneyError::ExcessDecimals { text: shown(text), currency, decimals });
        }
        let padded = format!("{whole}{kept:0<width$}", width = decimals as usize);
        let signed = if negative { format!("-{padded}") } else { padded };
        let minor = signed.parse::<i64>().map_err(|_| MoneyError::Overflow)?;
        Ok(Self { minor, currency })
    }

    /// Reads the raw token of a JSON value: a number or a string that holds one. Exponents are refused like in
    /// [`Money::parse`], so that no reader is tempted to go through a float.
    ///
    /// # Errors
    /// [`MoneyError`] says what is wrong with the token.
    pub fn parse_json(raw: &str, currency: Currency) -> Result<Self, MoneyError> {
        Self::parse(&unquoted(raw)?, currency)
    }

    /// Reads an integer text of minor units (`-1250` for -12.50 USD), as Expensify writes amounts.
    ///
    /// # Errors
    /// [`MoneyError`] says what is wrong with the text.
    pub fn from_minor_text(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if !is_digits(digits) {
            return Err(malformed(text));
        }
        let minor = text.parse::<i64>().map_err(|_| MoneyError::Overflow)?;
        Ok(Self { minor, currency })
    }

    /// Reads the raw token of a JSON value that holds minor units: an integer, or a string that holds one.
    ///
    /// # Errors
    /// [`MoneyError`] says what is wrong with the token.
    pub fn from_minor_json(raw: &str, currency: Currency) -> Result<Self, MoneyError> {
        Self::from_minor_text(&unquoted(raw)?, currency)
    }

    /// The plain decimal text with exactly the currency's decimals, e.g. `-12.50`. The inverse of [`Money::parse`].
    pub fn to_decimal(&self) -> String {
        let decimals = self.currency.decimals() as usize;
        let scale = 10_u64.pow(self.currency.decimals());
        let (whole, fraction) = (self.minor.unsigned_abs() / scale, self.minor.unsigned_abs() % scale);
        let sign = if self.minor < 0 { "-" } else { "" };
        if decimals == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction:0>decimals$}") }
    }

    /// The sum of two amounts of one currency.
    ///
    /// # Errors
    /// [`MoneyError::Mixed`] or [`MoneyError::Overflow`].
    pub fn plus(self, other: Money) -> Result<Money, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Mixed(self.currency, other.currency));
        }
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Money { minor, currency: self.currency })
    }

    /// The difference of two amounts of one currency.
    ///
    /// # Errors
    /// [`MoneyError::Mixed`] or [`MoneyError::Overflow`].
    pub fn minus(self, other: Money) -> Result<Money, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Mixed(self.currency, other.currency));
        }
        let minor = self.minor.checked_sub(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Money { minor, currency: self.currency })
    }

    /// The amount with the other sign.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] for the one value without a counterpart.
    pub fn negated(self) -> Result<Money, MoneyError> {
        let minor = self.minor.checked_neg().ok_or(MoneyError::Overflow)?;
        Ok(Money { minor, currency: self.currency })
    }

    /// The sum of many amounts; nothing in `currency` when there are none.
    ///
    /// # Errors
    /// As [`Money::plus`].
    pub fn sum(currency: Currency, amounts: impl IntoIterator<Item = Money>) -> Result<Money, MoneyError> {
        let mut sum = 0_i128;
        for amount in amounts {
            if amount.currency != currency {
                return Err(MoneyError::Mixed(currency, amount.currency));
            }
            // Wide, so that whether a sum fits does not depend on the order of its terms.
            sum += i128::from(amount.minor);
        }
        let minor = i64::try_from(sum).map_err(|_| MoneyError::Overflow)?;
        Ok(Money { minor, currency })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} {}", self.to_decimal(), self.currency))
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.to_decimal(), self.currency)
    }
}

fn is_digits(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())
}

/// Enough of a hostile text to recognise it by.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

fn malformed(text: &str) -> MoneyError {
    MoneyError::Malformed(shown(text))
}

fn unquoted(raw: &str) -> Result<std::borrow::Cow<'_, str>, MoneyError> {
    let token = raw.trim_matches([' ', '\t', '\r', '\n']);
    if !token.starts_with('"') {
        return Ok(token.into());
    }
    serde_json::from_str::<String>(token).map(Into::into).map_err(|_| malformed(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn currency(code: &str) -> Currency {
        Currency::new(code).unwrap()
    }

    #[test]
    fn decimal_texts_become_minor_units() {
        for (text, code, minor) in [
            ("12.50", "USD", 1250),
            ("12.5", "USD", 1250),
            ("12", "USD", 1200),
            ("-0.01", "USD", -1),
            ("-0", "USD", 0),
            ("-0.00", "USD", 0),
            ("007.10", "USD", 710),
            ("1.2300000", "USD", 123),
            ("1234", "JPY", 1234),
            ("1234.000", "JPY", 1234),
            ("1.234", "KWD", 1234),
            ("0.0001", "CLF", 1),
            ("92233720368547758.07", "USD", i64::MAX),
            ("-92233720368547758.08", "USD", i64::MIN),
            ("00000000000000000000000000000001.00", "USD", 100),
        ] {
            assert_eq!(
                Money::parse(text, currency(code)),
                Ok(Money::new(minor, currency(code))),
                "{text} {code}"
            );
        }
    }

    #[test]
    fn texts_that_are_no_plain_decimal_are_refused() {
        for text in [
            "", "-", "--1", "+1", " 1", "1 ", "1.", ".5", "1.2.3", "1e2", "1E2", "1,000", "1_000", "NaN",
            "inf", "0x10", "١٢", "1٫5", "−1", "1-", "-.1",
        ] {
            assert!(matches!(Money::parse(text, Currency::USD), Err(MoneyError::Malformed(_))), "{text}");
        }
        assert!(matches!(Money::parse("1.005", Currency::USD), Err(MoneyError::ExcessDecimals { .. })));
        assert!(matches!(Money::parse("1.5", currency("JPY")), Err(MoneyError::ExcessDecimals { .. })));
        assert_eq!(Money::parse("92233720368547758.08", Currency::USD), Err(MoneyError::Overflow));
        assert_eq!(Money::parse("99999999999999999999999", Currency::USD), Err(MoneyError::Overflow));
    }

    /// Sheet item: Epicor 22
    #[test]
    fn json_tokens_are_read_without_a_float() {
        for (raw, minor) in [("12.5", 1250), (" \"12.50\"\n", 1250), ("-3", -300), ("\"\\u0031\"", 100)] {
            assert_eq!(Money::parse_json(raw, Currency::USD), Ok(Money::new(minor, Currency::USD)), "{raw}");
        }
        for raw in ["null", "true", "1e2", "\"1e2\"", "\"", "[1]", "{}", "\"1\" x", ""] {
            assert!(Money::parse_json(raw, Currency::USD).is_err(), "{raw}");
        }
        assert_eq!(Money::from_minor_json("\"-1250\"", Currency::USD), Ok(Money::new(-1250, Currency::USD)));
    }

    #[test]
    fn minor_texts_are_whole_numbers() {
        assert_eq!(Money::from_minor_text("-1250", Currency::USD), Ok(Money::new(-1250, Currency::USD)));
        assert_eq!(
            Money::from_minor_text(&i64::MIN.to_string(), Currency::USD).map(|money| money.minor),
            Ok(i64::MIN)
        );
        for text in ["", "-", "12.5", "1,250", "+5", "1e3", " 1"] {
            assert!(Money::from_minor_text(text, Currency::USD).is_err(), "{text}");
        }
        assert_eq!(Money::from_minor_text("9223372036854775808", Currency::USD), Err(MoneyError::Overflow));
    }

    #[test]
    fn two_currencies_are_never_added() {
        let mixed = Err(MoneyError::Mixed(Currency::USD, currency("EUR")));
        let (dollar, euro) = (Money::new(1, Currency::USD), Money::new(1, currency("EUR")));
        assert_eq!(dollar.plus(euro), mixed);
        assert_eq!(dollar.minus(euro), mixed);
        assert_eq!(Money::sum(Currency::USD, [dollar, euro]), mixed);
    }

    #[test]
    fn whether_a_sum_fits_does_not_depend_on_the_order() {
        let money = |minor| Money::new(minor, Currency::USD);
        let terms = [money(i64::MAX), money(1), money(-1)];
        assert_eq!(Money::sum(Currency::USD, terms), Ok(money(i64::MAX)));
        assert_eq!(Money::sum(Currency::USD, [money(i64::MAX), money(1)]), Err(MoneyError::Overflow));
        assert_eq!(money(i64::MIN).negated(), Err(MoneyError::Overflow));
        assert_eq!(money(i64::MAX).plus(money(1)), Err(MoneyError::Overflow));
        assert_eq!(money(i64::MIN).minus(money(1)), Err(MoneyError::Overflow));
    }

    #[test]
    fn currency_codes_are_three_letters() {
        assert_eq!(Currency::new(" usd "), Ok(Currency::USD));
        for code in ["", "US", "USDX", "U1D", "ÜSD", "€"] {
            assert!(Currency::new(code).is_err(), "{code}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn parsing_what_was_printed_gives_the_same_amount(
            minor: i64,
            code in prop::sample::select(vec!["USD", "JPY", "KWD", "CLF", "EUR"]),
        ) {
            let money = Money::new(minor, currency(code));
            prop_assert_eq!(Money::parse(&money.to_decimal(), money.currency), Ok(money));
            prop_assert_eq!(Money::parse_json(&format!("\"{}\"", money.to_decimal()), money.currency), Ok(money));
            let json = serde_json::to_string(&money).unwrap();
            prop_assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), money);
        }

        #[test]
        fn no_text_panics(text in ".{0,60}", digits in "-?[0-9]{0,30}\\.?[0-9]{0,30}") {
            for text in [text, digits] {
                for code in ["USD", "JPY", "KWD", "CLF"] {
                    if let Ok(money) = Money::parse(&text, currency(code)) {
                        prop_assert_eq!(Money::parse(&money.to_decimal(), money.currency), Ok(money));
                    }
                }
                let _ = Money::parse_json(&text, Currency::USD);
                let _ = Money::from_minor_text(&text, Currency::USD);
                let _ = Currency::new(&text);
            }
        }
    }
}
