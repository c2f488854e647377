//! The facts about the lots, and a stream of choices that is the same for the same lot.

use jiff::civil::Date;
use sha2::{Digest as _, Sha256};

/// The table of lots.
pub(crate) const LOTS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/data/coffee_lots.csv"));

/// A graded lot.
pub(crate) struct Lot {
    /// Place in the table, from 1.
    pub(crate) index: u32,
    /// Country of origin.
    pub(crate) country: String,
    /// Region.
    pub(crate) region: String,
    /// Farm.
    pub(crate) farm: String,
    /// Mean altitude in metres.
    pub(crate) altitude: String,
    /// Variety of the plants.
    pub(crate) variety: String,
    /// How the cherries were processed.
    pub(crate) processing: String,
    /// Moisture of the green coffee as a part of one.
    pub(crate) moisture: String,
    /// Points of the cupping, out of 100.
    pub(crate) score: String,
    /// Day of the grading.
    pub(crate) graded: Date,
    /// Last day on which the grade holds.
    pub(crate) expires: Date,
    /// Who graded it.
    pub(crate) certifier: String,
    /// Weight of the green coffee in kilograms.
    pub(crate) weight: u32,
    /// Place of the country among the countries, in the order of first appearance.
    pub(crate) country_number: u32,
    /// The same for the certifier.
    pub(crate) certifier_number: u32,
}

/// Reads the table.
pub(crate) fn read(table: &str) -> Result<Vec<Lot>, String> {
    let (mut countries, mut certifiers) = (Vec::new(), Vec::new());
    let mut lots = Vec::new();
    for (index, line) in (1_u32..).zip(table.lines().skip(1)) {
        let fields: Vec<&str> = line.split(',').collect();
        let [
            country,
            region,
            farm,
            altitude,
            variety,
            processing,
            moisture,
            score,
            graded,
            expires,
            certifier,
            bags,
            bag,
        ] = fields.as_slice()
        else {
            return Err(format!("lot {index}: {} columns, expected 13", fields.len()));
        };
        let day = |text: &str| text.parse::<Date>().map_err(|error| format!("lot {index}: {text}: {error}"));
        let whole = |text: &str| text.parse::<u32>().map_err(|error| format!("lot {index}: {text}: {error}"));
        lots.push(Lot {
            index,
            country: (*country).to_owned(),
            region: (*region).to_owned(),
            farm: (*farm).to_owned(),
            altitude: (*altitude).to_owned(),
            variety: (*variety).to_owned(),
            processing: (*processing).to_owned(),
            moisture: (*moisture).to_owned(),
            score: (*score).to_owned(),
            graded: day(graded)?,
            expires: day(expires)?,
            certifier: (*certifier).to_owned(),
            weight: whole(bags)? * whole(bag)?,
            country_number: number_of(&mut countries, country),
            certifier_number: number_of(&mut certifiers, certifier),
        });
    }
    Ok(lots)
}

fn number_of(known: &mut Vec<String>, name: &str) -> u32 {
    let at = known.iter().position(|other| other == name).unwrap_or_else(|| {
        known.push(name.to_owned());
        known.len() - 1
    });
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl Lot {
    /// A number from `low` to `high`, always the same for the same lot and `what`.
    pub(crate) fn pick(&self, what: &str, low: i64, high: i64) -> i64 {
        let digest = Sha256::digest(format!("{} {what}", self.index));
        let drawn = digest.iter().take(6).fold(0_i64, |sum, byte| (sum << 8) | i64::from(*byte));
        low + drawn % (high - low + 1)
    }

    /// The UUID of one of the lot's events: version 8, made from a digest.
    pub(crate) fn event_id(&self, what: &str) -> String {
        let digest = Sha256::digest(format!("{} event {what}", self.index));
        let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        format!("urn:uuid:{}-{}-8{}-8{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
    }
}
