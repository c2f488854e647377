//! Units of measure, by the codes of UN/ECE Recommendation 20 that GS1 uses.

use super::Decimal;

/// What a unit measures: units of one dimension can be converted to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Dimension {
    /// How warm.
    Temperature,
    /// How heavy.
    Mass,
    /// How much room.
    Volume,
    /// How long.
    Length,
    /// How much ground.
    Area,
    /// How much time.
    Time,
    /// How much pressure.
    Pressure,
    /// How much mass in how much room.
    Density,
    /// How fast.
    Speed,
    /// How fast the speed changes.
    Acceleration,
    /// How often.
    Frequency,
    /// How much light.
    Illuminance,
    /// How much energy.
    Energy,
    /// How much energy over time.
    Power,
    /// Electric tension.
    Voltage,
    /// Electric current.
    Current,
    /// A share of the whole: percent, parts per million.
    Share,
    /// A number of things.
    Count,
    /// A direction.
    Angle,
    /// Anything else: it is only ever compared with the same unit.
    Other,
}

/// A unit: its code as written, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Unit {
    code: String,
    /// Where it is in the table.
    known: Option<usize>,
}

/// A unit of the table: to the dimension's base it is (value + `add` hundredths) × `times` / `by`.
struct Known {
    code: &'static str,
    symbol: &'static str,
    dimension: Dimension,
    add: i128,
    times: i128,
    by: i128,
}

const fn unit(code: &'static str, symbol: &'static str, dimension: Dimension, times: i128, by: i128) -> Known {
    Known { code, symbol, dimension, add: 0, times, by }
}

/// Sorted by nothing: there are few. Only factors that are exact by definition stand here.
static KNOWN: &[Known] = &[
    Known { add: 27_315, ..unit("CEL", "°C", Dimension::Temperature, 1, 1) },
    Known { add: 45_967, ..unit("FAH", "°F", Dimension::Temperature, 5, 9) },
    unit("KEL", "K", Dimension::Temperature, 1, 1),
    unit("MC", "µg", Dimension::Mass, 1, 1_000_000_000),
    unit("MGM", "mg", Dimension::Mass, 1, 1_000_000),
    unit("GRM", "g", Dimension::Mass, 1, 1_000),
    unit("KGM", "kg", Dimension::Mass, 1, 1),
    unit("DTN", "dt", Dimension::Mass, 100, 1),
    unit("TNE", "t", Dimension::Mass, 1_000, 1),
    unit("LBR", "lb", Dimension::Mass, 45_359_237, 100_000_000),
    unit("ONZ", "oz", Dimension::Mass, 45_359_237, 1_600_000_000),
    unit("CWA", "cwt (US)", Dimension::Mass, 45_359_237, 1_000_000),
    unit("STN", "ton (US)", Dimension::Mass, 45_359_237, 50_000),
    unit("MLT", "ml", Dimension::Volume, 1, 1_000),
    unit("CLT", "cl", Dimension::Volume, 1, 100),
    unit("DLT", "dl", Dimension::Volume, 1, 10),
    unit("LTR", "l", Dimension::Volume, 1, 1),
    unit("HLT", "hl", Dimension::Volume, 100, 1),
    unit("CMQ", "cm³", Dimension::Volume, 1, 1_000),
    unit("DMQ", "dm³", Dimension::Volume, 1, 1),
    unit("MTQ", "m³", Dimension::Volume, 1_000, 1),
    unit("GLL", "gal (US)", Dimension::Volume, 3_785_411_784, 1_000_000_000),
    unit("GLI", "gal (UK)", Dimension::Volume, 454_609, 100_000),
    unit("OZA", "fl oz (US)", Dimension::Volume, 295_735_295_625, 10_000_000_000_000),
    unit("4H", "µm", Dimension::Length, 1, 1_000_000),
    unit("MMT", "mm", Dimension::Length, 1, 1_000),
    unit("CMT", "cm", Dimension::Length, 1, 100),
    unit("DMT", "dm", Dimension::Length, 1, 10),
    unit("MTR", "m", Dimension::Length, 1, 1),
    unit("KMT", "km", Dimension::Length, 1_000, 1),
    unit("INH", "in", Dimension::Length, 254, 10_000),
    unit("FOT", "ft", Dimension::Length, 3_048, 10_000),
    unit("YRD", "yd", Dimension::Length, 9_144, 10_000),
    unit("SMI", "mi", Dimension::Length, 1_609_344, 1_000),
    unit("NMI", "nmi", Dimension::Length, 1_852, 1),
    unit("CMK", "cm²", Dimension::Area, 1, 10_000),
    unit("MTK", "m²", Dimension::Area, 1, 1),
    unit("HAR", "ha", Dimension::Area, 10_000, 1),
    unit("KMK", "km²", Dimension::Area, 1_000_000, 1),
    unit("FTK", "ft²", Dimension::Area, 9_290_304, 100_000_000),
    unit("C26", "ms", Dimension::Time, 1, 1_000),
    unit("SEC", "s", Dimension::Time, 1, 1),
    unit("MIN", "min", Dimension::Time, 60, 1),
    unit("HUR", "h", Dimension::Time, 3_600, 1),
    unit("DAY", "d", Dimension::Time, 86_400, 1),
    unit("WEE", "wk", Dimension::Time, 604_800, 1),
    unit("PAL", "Pa", Dimension::Pressure, 1, 1),
    unit("A97", "hPa", Dimension::Pressure, 100, 1),
    unit("MBR", "mbar", Dimension::Pressure, 100, 1),
    unit("KPA", "kPa", Dimension::Pressure, 1_000, 1),
    unit("BAR", "bar", Dimension::Pressure, 100_000, 1),
    unit("ATM", "atm", Dimension::Pressure, 101_325, 1),
    unit("MPA", "MPa", Dimension::Pressure, 1_000_000, 1),
    unit("A93", "g/m³", Dimension::Density, 1, 1_000),
    unit("GP", "mg/m³", Dimension::Density, 1, 1_000_000),
    unit("M1", "mg/l", Dimension::Density, 1, 1_000),
    unit("GL", "g/l", Dimension::Density, 1, 1),
    unit("KMQ", "kg/m³", Dimension::Density, 1, 1),
    unit("23", "g/cm³", Dimension::Density, 1_000, 1),
    unit("MTS", "m/s", Dimension::Speed, 1, 1),
    unit("KMH", "km/h", Dimension::Speed, 5, 18),
    unit("KNT", "kn", Dimension::Speed, 463, 900),
    unit("HM", "mph", Dimension::Speed, 1_397, 3_125),
    unit("MSK", "m/s²", Dimension::Acceleration, 1, 1),
    unit("A76", "Gal", Dimension::Acceleration, 1, 100),
    unit("HTZ", "Hz", Dimension::Frequency, 1, 1),
    unit("KHZ", "kHz", Dimension::Frequency, 1_000, 1),
    unit("MHZ", "MHz", Dimension::Frequency, 1_000_000, 1),
    unit("LUX", "lx", Dimension::Illuminance, 1, 1),
    unit("KLX", "klx", Dimension::Illuminance, 1_000, 1),
    unit("JOU", "J", Dimension::Energy, 1, 1),
    unit("KJO", "kJ", Dimension::Energy, 1_000, 1),
    unit("WHR", "Wh", Dimension::Energy, 3_600, 1),
    unit("KWH", "kWh", Dimension::Energy, 3_600_000, 1),
    unit("WTT", "W", Dimension::Power, 1, 1),
    unit("KWT", "kW", Dimension::Power, 1_000, 1),
    unit("2Z", "mV", Dimension::Voltage, 1, 1_000),
    unit("VLT", "V", Dimension::Voltage, 1, 1),
    unit("4K", "mA", Dimension::Current, 1, 1_000),
    unit("AMP", "A", Dimension::Current, 1, 1),
    unit("61", "ppb", Dimension::Share, 1, 10_000_000),
    unit("59", "ppm", Dimension::Share, 1, 10_000),
    unit("P1", "%", Dimension::Share, 1, 1),
    unit("H87", "pieces", Dimension::Count, 1, 1),
    unit("EA", "pieces", Dimension::Count, 1, 1),
    unit("C62", "pieces", Dimension::Count, 1, 1),
    unit("NIU", "pieces", Dimension::Count, 1, 1),
    unit("DZN", "dozen", Dimension::Count, 12, 1),
    unit("D61", "′", Dimension::Angle, 1, 60),
    unit("DD", "°", Dimension::Angle, 1, 1),
    unit("2N", "dB", Dimension::Other, 1, 1),
    unit("Q30", "pH", Dimension::Other, 1, 1),
    unit("C34", "mol", Dimension::Other, 1, 1),
    unit("C36", "mol/m³", Dimension::Other, 1, 1),
    unit("OHM", "Ω", Dimension::Other, 1, 1),
    unit("NEW", "N", Dimension::Other, 1, 1),
    unit("LUM", "lm", Dimension::Other, 1, 1),
    unit("CDL", "cd", Dimension::Other, 1, 1),
    unit("BQL", "Bq", Dimension::Other, 1, 1),
    unit("D13", "Sv", Dimension::Other, 1, 1),
    unit("D33", "T", Dimension::Other, 1, 1),
];

impl Unit {
    /// The unit with this code; one that isn't known is shown as it is, and compared only with itself.
    #[must_use]
    pub fn new(code: &str) -> Self {
        Self { code: code.to_owned(), known: KNOWN.iter().position(|known| known.code == code) }
    }

    fn known(&self) -> Option<&'static Known> {
        KNOWN.get(self.known?)
    }

    /// The code as written; empty where none was given.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// What people write for it: `°C`; the code itself where it isn't known.
    #[must_use]
    pub fn symbol(&self) -> &str {
        self.known().map_or(&self.code, |known| known.symbol)
    }

    /// What it measures; `None` where it isn't known.
    #[must_use]
    pub fn dimension(&self) -> Option<Dimension> {
        self.known().map(|known| known.dimension)
    }

    /// `value` of this unit in another, where both measure the same and the result is exact.
    #[must_use]
    pub fn convert(&self, value: Decimal, to: &Unit) -> Option<Decimal> {
        if self == to {
            return Some(value);
        }
        let (from, to) = (self.known()?, to.known()?);
        if from.dimension != to.dimension || from.dimension == Dimension::Other {
            return None;
        }
        // As one step, since a step to the base in between may not be exact.
        let times = from.times.checked_mul(to.by)?;
        let by = from.by.checked_mul(to.times)?;
        if from.add == 0 && to.add == 0 {
            return value.scaled(Decimal::ZERO, times, by);
        }
        let shifted = value.scaled(Decimal::new(from.add, 2)?, times, by)?;
        shifted.scaled(Decimal::new(to.add, 2)?.negated(), 1, 1)
    }

    /// How `value` of this unit compares with `other` of unit `of`, exactly, also where neither can be written in the other's unit;
    /// `None` where they measure different things.
    #[must_use]
    pub fn compare(&self, value: Decimal, other: Decimal, of: &Unit) -> Option<std::cmp::Ordering> {
        if self == of {
            return Some(value.cmp(&other));
        }
        let (own, of) = (self.known()?, of.known()?);
        if own.dimension != of.dimension || own.dimension == Dimension::Other {
            return None;
        }
        let scale = value.scale().max(other.scale()).max(2);
        let base = |value: Decimal, unit: &Known| value.at(scale)?.checked_add(Decimal::new(unit.add, 2)?.at(scale)?);
        let left = base(value, own)?.checked_mul(own.times.checked_mul(of.by)?)?;
        let right = base(other, of)?.checked_mul(of.times.checked_mul(own.by)?)?;
        Some(left.cmp(&right))
    }
}

#[cfg(test)]
mod tests {
    use super::{KNOWN, Unit};
    use crate::epcis::Decimal;
    use std::cmp::Ordering;

    fn converted(value: &str, from: &str, to: &str) -> Option<String> {
        let value = Unit::new(from).convert(Decimal::parse(value).unwrap(), &Unit::new(to))?;
        Some(value.to_string())
    }

    #[test]
    fn conversions_are_exact_or_not_made() {
        for (value, from, to, expected) in [
            ("20", "CEL", "KEL", Some("293.15")),
            ("20", "CEL", "FAH", Some("68")),
            ("-40", "FAH", "CEL", Some("-40")),
            ("40", "FAH", "CEL", None),
            ("0.45359237", "KGM", "LBR", Some("1")),
            ("1", "ONZ", "GRM", Some("28.349523125")),
            ("12.5", "A93", "KMQ", Some("0.0125")),
            ("36", "KMH", "MTS", Some("10")),
            ("1", "MTS", "KMH", Some("3.6")),
            ("1013.25", "MBR", "ATM", Some("1")),
            ("350", "59", "P1", Some("0.035")),
            ("1", "CEL", "P1", None),
            ("1", "XYZ", "KGM", None),
            ("7", "XYZ", "XYZ", Some("7")),
            ("7", "Q30", "2N", None),
        ] {
            assert_eq!(converted(value, from, to).as_deref(), expected, "{value} {from} in {to}");
        }
    }

    #[test]
    fn what_cannot_be_converted_exactly_is_compared_exactly() {
        let compare = |value: &str, from: &str, other: &str, to: &str| {
            let (value, other) = (Decimal::parse(value).unwrap(), Decimal::parse(other).unwrap());
            Unit::new(from).compare(value, other, &Unit::new(to))
        };
        assert_eq!(compare("46.4", "FAH", "8", "CEL"), Some(Ordering::Equal));
        assert_eq!(compare("46.40000000001", "FAH", "8", "CEL"), Some(Ordering::Greater));
        assert_eq!(compare("40", "FAH", "4.4444444444", "CEL"), Some(Ordering::Greater));
        assert_eq!(compare("1", "CEL", "1", "KGM"), None);
        assert_eq!(compare("1", "", "2", ""), Some(Ordering::Less));
    }

    #[test]
    fn each_code_stands_in_the_table_once() {
        for (at, known) in KNOWN.iter().enumerate() {
            assert_eq!(KNOWN.iter().position(|other| other.code == known.code), Some(at), "{}", known.code);
            assert!(known.times > 0 && known.by > 0);
        }
    }
}
