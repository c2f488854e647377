//! Dates and times as EPCIS writes them.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// An instant, with the offset from UTC of the place where it was: in order by instant, shown in the place's own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub instant: Timestamp,
    /// The offset from UTC there.
    pub offset: Offset,
}

impl Moment {
    /// Date and clock of the place.
    #[must_use]
    pub fn local(self) -> DateTime {
        self.offset.to_datetime(self.instant)
    }

    /// The offset as RFC 3339 writes it: `+05:30`, `-03:00`.
    #[must_use]
    pub fn zone(self) -> String {
        let seconds = self.offset.seconds();
        let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs() / 60);
        format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

impl fmt::Display for Moment {
    /// As RFC 3339 writes it, in the place's own time: `2015-05-23T11:00:00+03:00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.local(), self.zone())
    }
}

/// Whether `text` is a date and time of RFC 3339; the UTC offset may be missing.
pub(super) fn is_date_time(text: &str) -> bool {
    instant(text, Offset::UTC).is_some()
}

/// The instant that `text` names; `local` is the offset from UTC where it names none.
///
/// A leap second counts as the second before it; digits beyond nanoseconds are dropped.
pub(crate) fn instant(text: &str, local: Offset) -> Option<Timestamp> {
    let (clock, rest) = text.split_at_checked(19)?;
    let digits = rest.strip_prefix('.').map_or(0, |fraction| fraction.bytes().take_while(u8::is_ascii_digit).count());
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(_) if digits == 0 => return None,
        Some(fraction) => fraction.split_at_checked(digits)?,
        None => ("", rest),
    };
    let offset = match zone {
        "" => local,
        "Z" | "z" => Offset::UTC,
        other => any_offset(other)?,
    };
    let nanoseconds = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(9)
        .fold(0_i32, |sum, digit| sum * 10 + i32::from(digit.saturating_sub(b'0')));
    offset.to_timestamp(civil(clock, nanoseconds)?).ok()
}

/// The offset from UTC that `eventTimeZoneOffset` may give: `-14:00` to `+14:00`.
pub(crate) fn offset(text: &str) -> Option<Offset> {
    let offset = any_offset(text)?;
    (offset.seconds().unsigned_abs() <= 14 * 3600).then_some(offset)
}

fn any_offset(text: &str) -> Option<Offset> {
    let sign = match text.as_bytes() {
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    let [tens, hours, b':', minute_tens, minutes] = text.as_bytes().get(1..)? else {
        return None;
    };
    let hours = two_digits(*tens, *hours)?;
    let minutes = two_digits(*minute_tens, *minutes)?;
    if hours > 23 || minutes > 59 {
        return None;
    }
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

fn two_digits(tens: u8, ones: u8) -> Option<i32> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| i32::from(tens - b'0') * 10 + i32::from(ones - b'0'))
}

/// The first 19 characters, `2026-01-31T12:00:00`, and so many nanoseconds.
fn civil(text: &str, nanoseconds: i32) -> Option<DateTime> {
    let shape = text.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        10 => matches!(byte, b'T' | b't'),
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    if !shape {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i16>().ok();
    let small = |from: usize| number(from, from + 2).and_then(|number| i8::try_from(number).ok());
    let second = small(17).map(|second| if second == 60 { 59 } else { second })?;
    DateTime::new(number(0, 4)?, small(5)?, small(8)?, small(11)?, small(14)?, second, nanoseconds).ok()
}
