//! Numbers of events as exact decimals: what is compared and converted never goes through a float.

use std::cmp::Ordering;
use std::fmt;

/// Significant digits that a [`Decimal`] may have.
pub const MAX_DIGITS: usize = 20;
/// Digits behind the point that a [`Decimal`] may have; finer ones are rounded, half away from zero.
pub const MAX_SCALE: u32 = 18;

/// An exact decimal number: at most [`MAX_DIGITS`] digits, at most [`MAX_SCALE`] of them behind the point.
///
/// Equal numbers are equal values however they were written: `1.50` and `15e-1`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// The number is this over ten to the power of `scale`; no trailing zeros behind the point.
    mantissa: i128,
    scale: u32,
}

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self { mantissa: 0, scale: 0 };

    /// The number that JSON writes so; `None` when it isn't one, or is larger than [`MAX_DIGITS`] digits can say.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let Digits { negative, digits, exponent } = Digits::of(text)?;
        let mut mantissa: i128 = 0;
        let places = i64::try_from(digits.len()).ok()?.checked_add(exponent)?;
        if digits.is_empty() || places < -i64::from(MAX_SCALE) {
            return Some(Self::ZERO);
        }
        let integers = usize::try_from(places.max(0)).ok()?;
        if integers > MAX_DIGITS {
            return None;
        }
        // Behind the point the digits end at the finest place, or where the significant ones do.
        let leading = usize::try_from((-places).max(0)).ok()?;
        let finest = usize::try_from(MAX_SCALE).ok()?.checked_sub(leading)?.checked_add(integers)?;
        let kept = finest.min(MAX_DIGITS).min(digits.len());
        for digit in digits.get(..kept)? {
            mantissa = mantissa * 10 + i128::from(*digit);
        }
        if digits.get(kept).is_some_and(|digit| *digit >= 5) {
            mantissa += 1;
        }
        let power = places - i64::try_from(kept).ok()?;
        let (mantissa, scale) = match u32::try_from(power) {
            Ok(zeros) => (mantissa.checked_mul(10_i128.checked_pow(zeros)?)?, 0),
            Err(_) => (mantissa, u32::try_from(-power).ok()?),
        };
        Self::new(if negative { -mantissa } else { mantissa }, scale)
    }

    /// `mantissa` over ten to the power of `scale`; `None` when that has more digits than a decimal may.
    #[must_use]
    pub fn new(mut mantissa: i128, mut scale: u32) -> Option<Self> {
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        let fits = mantissa.unsigned_abs() <= 10_u128.pow(20) && scale <= MAX_SCALE;
        fits.then_some(Self { mantissa, scale })
    }

    /// The digits without the point, with the sign.
    #[must_use]
    pub fn mantissa(self) -> i128 {
        self.mantissa
    }

    /// How many of the digits stand behind the point.
    #[must_use]
    pub fn scale(self) -> u32 {
        self.scale
    }

    /// The nearest float, for drawing.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        self.to_string().parse().unwrap_or(0.0)
    }

    /// (this + `add`) × `times` / `by`, where that is a decimal number again.
    pub(super) fn scaled(self, add: Self, times: i128, by: i128) -> Option<Self> {
        let scale = self.scale.max(add.scale);
        let sum = self.at(scale)?.checked_add(add.at(scale)?)?;
        let (mut above, mut below) = (sum.checked_mul(times)?, by);
        let common = divisor(above, below);
        (above, below) = (above / common, below / common);
        // What is left below must be made of twos and fives, else the number never ends.
        let mut scale = scale;
        while below != 1 {
            let factor = match (below % 2 == 0, below % 5 == 0) {
                (true, true) => 1,
                (true, false) => 5,
                (false, true) => 2,
                (false, false) => return None,
            };
            above = above.checked_mul(factor)?;
            below = below.checked_mul(factor)? / 10;
            scale = scale.checked_add(1)?;
        }
        Self::new(above, scale)
    }

    /// The mantissa at a scale that is no smaller than its own.
    pub(super) fn at(self, scale: u32) -> Option<i128> {
        self.mantissa.checked_mul(10_i128.checked_pow(scale.checked_sub(self.scale)?)?)
    }

    /// The negative of it.
    pub(super) fn negated(self) -> Self {
        Self { mantissa: -self.mantissa, scale: self.scale }
    }
}

/// The greatest common divisor; `below` is above zero.
fn divisor(above: i128, below: i128) -> i128 {
    let (mut one, mut other) = (above.unsigned_abs(), below.unsigned_abs());
    while other != 0 {
        (one, other) = (other, one % other);
    }
    i128::try_from(one.max(1)).unwrap_or(1)
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        // 20 digits and 18 more stay below 2^127.
        let scale = self.scale.max(other.scale);
        let own = self.at(scale).unwrap_or(self.mantissa);
        own.cmp(&other.at(scale).unwrap_or(other.mantissa))
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let places = usize::try_from(self.scale).unwrap_or(0);
        let digits = format!("{:0>width$}", self.mantissa.unsigned_abs(), width = places.saturating_add(1));
        let (whole, part) = digits.split_at_checked(digits.len().saturating_sub(places)).unwrap_or((&digits, ""));
        let point = if part.is_empty() { "" } else { "." };
        write!(f, "{sign}{whole}{point}{part}")
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A number taken apart: its significant digits, without zeros at either end, and the power of ten of the last one.
pub(super) struct Digits {
    pub(super) negative: bool,
    pub(super) digits: Vec<u8>,
    pub(super) exponent: i64,
}

impl Digits {
    /// Takes apart what JSON's grammar calls a number, in time and space that its text bounds.
    pub(super) fn of(text: &str) -> Option<Self> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (number, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let (sign, power) = match power.as_bytes().first() {
            Some(b'-') => (-1, power.get(1..)?),
            Some(b'+') => (1, power.get(1..)?),
            _ => (1, power),
        };
        if whole.is_empty() || power.is_empty() || !plain(whole) || !plain(part) || !plain(power) {
            return None;
        }
        let all = whole.bytes().chain(part.bytes()).map(|byte| byte.saturating_sub(b'0'));
        let mut digits: Vec<u8> = all.skip_while(|digit| *digit == 0).collect();
        let significant = digits.iter().rposition(|digit| *digit != 0).map_or(0, |last| last.saturating_add(1));
        let trailing = i64::try_from(digits.len().saturating_sub(significant)).ok()?;
        digits.truncate(significant);
        if digits.is_empty() {
            return Some(Self { negative: false, digits, exponent: 0 });
        }
        // An exponent beyond this says as much as this one does: larger or smaller than any decimal.
        let power = power.bytes().fold(0_i64, |sum, byte| (sum * 10 + i64::from(byte - b'0')).min(1 << 40));
        let exponent = sign * power + trailing - i64::try_from(part.len()).ok()?;
        Some(Self { negative, digits, exponent })
    }
}

#[cfg(test)]
mod tests {
    use super::Decimal;

    #[test]
    fn one_number_is_one_value_however_it_is_written() {
        for (one, other) in [("1.50", "15e-1"), ("-0", "0.000"), ("100", "1e2"), ("0.001", "1E-3"), ("-2.0", "-2")] {
            assert_eq!(Decimal::parse(one).unwrap(), Decimal::parse(other).unwrap(), "{one} {other}");
        }
        assert_eq!(Decimal::parse("-12.340").unwrap().to_string(), "-12.34");
        assert_eq!(Decimal::parse("-0.05").unwrap().to_string(), "-0.05");
        assert_eq!(Decimal::parse("99999999999999999999").unwrap().to_string(), "99999999999999999999");
    }

    #[test]
    fn what_is_too_fine_is_rounded_and_what_is_too_large_is_none() {
        assert_eq!(Decimal::parse("21.2999992370605468750").unwrap().to_string(), "21.299999237060546875");
        assert_eq!(Decimal::parse("0.0000000000000000005").unwrap().to_string(), "0.000000000000000001");
        assert_eq!(Decimal::parse("0.0000000000000000004").unwrap(), Decimal::ZERO);
        assert_eq!(Decimal::parse("1e-999999999999999999999").unwrap(), Decimal::ZERO);
        assert_eq!(Decimal::parse("9999999999.99999999995").unwrap().to_string(), "10000000000");
        for text in ["1e20", "123456789012345678901", "1e400", "1e999999999999999999999", "", "-", "x", "1.e", "+1"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn order_is_that_of_the_numbers() {
        let sorted =
            ["-99999999999999999999", "-1.5", "-0.000000000000000001", "0", "0.1", "2", "99999999999999999999"];
        for (at, low) in sorted.iter().enumerate() {
            for high in sorted.iter().skip(at + 1) {
                assert!(Decimal::parse(low).unwrap() < Decimal::parse(high).unwrap(), "{low} {high}");
            }
        }
    }
}
