//! What sensors reported, and what it is held against.
//!
//! A report of EPCIS 2.0 may have a single value, or the minimum, maximum, mean, standard deviation and a percentile of
//! many. Times and devices stand in the report, or for all reports of an element in its metadata.

use jiff::Timestamp;
use jiff::tz::Offset;

use super::view::{local_name, text_of};
use super::{Decimal, Event, Unit, time};
use crate::json::Json;

/// A number as an event has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number {
    /// The digits as written.
    pub written: String,
    /// The value, where a [`Decimal`] can hold it.
    pub value: Option<Decimal>,
}

/// `percRank` per cent of the values were at most `percValue`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Percentile {
    /// Which per cent.
    pub rank: Number,
    /// The value that they didn't exceed.
    pub value: Number,
}

/// A sensor's report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What was measured, by its local name: `Temperature`, `RelativeHumidity`.
    pub measured: String,
    /// The single value.
    pub value: Option<Number>,
    /// The lowest of many values.
    pub minimum: Option<Number>,
    /// The highest of many values.
    pub maximum: Option<Number>,
    /// Their mean.
    pub mean: Option<Number>,
    /// Their standard deviation.
    pub deviation: Option<Number>,
    /// A percentile of them.
    pub percentile: Option<Percentile>,
    /// The value where it is no number: text, truth, hexadecimal digits, a URI.
    pub other: Option<String>,
    /// The unit.
    pub unit: Unit,
    /// The direction or coordinate that it is of: `x`, `latitude`.
    pub component: Option<String>,
    /// The substance or the organism that was looked for, as its identifier.
    pub substance: Option<String>,
    /// When it was measured.
    pub time: Option<Timestamp>,
    /// When measuring began.
    pub from: Option<Timestamp>,
    /// When measuring ended.
    pub until: Option<Timestamp>,
    /// The device that measured.
    pub device: Option<String>,
    /// What is known of the device, as a URI.
    pub device_metadata: Option<String>,
    /// Where the raw data are.
    pub raw_data: Option<String>,
    /// How values were made from the raw data.
    pub processing: Option<String>,
    /// The rules, a URI, that say when a reading is an exception.
    pub rules: Option<String>,
    /// The sensor's own alarm, by its local name: `ALARM_CONDITION`, `ERROR_CONDITION`.
    pub exception: Option<String>,
}

impl Reading {
    /// The lowest value that the report says was reached.
    #[must_use]
    pub fn lowest(&self) -> Option<Decimal> {
        self.values().min()
    }

    /// The highest value that the report says was reached.
    #[must_use]
    pub fn highest(&self) -> Option<Decimal> {
        self.values().max()
    }

    fn values(&self) -> impl Iterator<Item = Decimal> {
        let percentile = self.percentile.as_ref().map(|percentile| &percentile.value);
        let numbers =
            [self.value.as_ref(), self.mean.as_ref(), self.minimum.as_ref(), self.maximum.as_ref(), percentile];
        numbers.into_iter().flatten().filter_map(|number| number.value)
    }
}

/// What readings had to stay within.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// What is measured.
    pub measured: String,
    /// The lowest value allowed.
    pub lowest: Option<Decimal>,
    /// The highest value allowed.
    pub highest: Option<Decimal>,
    /// The unit.
    pub unit: Unit,
}

impl Limit {
    /// Whether the reading, of the same measure, went beyond it; units that measure the same are compared exactly.
    #[must_use]
    pub fn is_broken_by(&self, reading: &Reading) -> bool {
        let beyond = |reached: Option<Decimal>, limit: Option<Decimal>, way: std::cmp::Ordering| match (reached, limit)
        {
            (Some(reached), Some(limit)) => reading.unit.compare(reached, limit, &self.unit) == Some(way),
            _ => false,
        };
        self.measured == reading.measured
            && (beyond(reading.lowest(), self.lowest, std::cmp::Ordering::Less)
                || beyond(reading.highest(), self.highest, std::cmp::Ordering::Greater))
    }
}

impl Event {
    /// The sensors' reports, in the event's order.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        let mut readings = Vec::new();
        for element in self.list("sensorElementList") {
            let metadata = element.get("sensorMetadata");
            let reports = element.get("sensorReport").and_then(Json::as_list).unwrap_or_default();
            readings.extend(reports.iter().filter_map(|report| reading(report, metadata, self.offset())));
        }
        readings
    }

    /// What the readings had to stay within.
    #[must_use]
    pub fn limits(&self) -> Vec<Limit> {
        let limits = self.extension(self.body(), "limits").and_then(Json::as_list).unwrap_or_default();
        let bound = |limit: &Json, name: &str| number(limit, name).and_then(|number| number.value);
        limits
            .iter()
            .filter_map(|limit| {
                Some(Limit {
                    measured: local_name(limit.get("type")?.as_text()?).to_owned(),
                    lowest: bound(limit, "minValue"),
                    highest: bound(limit, "maxValue"),
                    unit: unit(limit),
                })
            })
            .collect()
    }
}

fn reading(report: &Json, metadata: Option<&Json>, offset: Offset) -> Option<Reading> {
    // What the report doesn't say itself holds as the metadata say it.
    let named = |name: &str| text_of(report, name).or_else(|| text_of(metadata?, name));
    let moment = |name: &str| time::instant(&named(name)?, offset);
    let other = ["stringValue", "hexBinaryValue", "uriValue", "booleanValue"].iter().find_map(|name| {
        match report.get(name)? {
            Json::Text(text) => Some(text.clone()),
            Json::Bool(truth) => Some(truth.to_string()),
            _ => None,
        }
    });
    let percentile = match (number(report, "percRank"), number(report, "percValue")) {
        (Some(rank), Some(value)) => Some(Percentile { rank, value }),
        _ => None,
    };
    Some(Reading {
        measured: local_name(report.get("type")?.as_text()?).to_owned(),
        value: number(report, "value"),
        minimum: number(report, "minValue"),
        maximum: number(report, "maxValue"),
        mean: number(report, "meanValue"),
        deviation: number(report, "sDev"),
        percentile,
        other,
        unit: unit(report),
        component: text_of(report, "component").map(|component| local_name(&component).to_owned()),
        substance: text_of(report, "chemicalSubstance").or_else(|| text_of(report, "microorganism")),
        time: moment("time"),
        from: moment("startTime"),
        until: moment("endTime"),
        device: named("deviceID"),
        device_metadata: named("deviceMetadata"),
        raw_data: named("rawData"),
        processing: named("dataProcessingMethod"),
        rules: named("bizRules"),
        exception: text_of(report, "exception").map(|exception| local_name(&exception).to_owned()),
    })
}

fn unit(holder: &Json) -> Unit {
    Unit::new(holder.get("uom").and_then(Json::as_text).unwrap_or_default())
}

fn number(holder: &Json, name: &str) -> Option<Number> {
    let written = holder.get(name)?.as_number()?;
    Some(Number { written: written.to_owned(), value: Decimal::parse(written) })
}
