//! What happens to each lot, as EPCIS events.

use jiff::civil::{Date, DateTime};
use jiff::{Span, ToSpan as _};

use super::facts::Lot;
use super::print::{Node, list, number, object, text};

const TRACE: &str = "https://ns.example.com/ledgerkit/traceability/";
const COFFEE: &str = "https://ns.example.com/ledgerkit/coffee/";

/// Two lots travel too warm; only the first one's sensor raises an alarm.
const TOO_WARM: [(u32, &str); 2] = [(7, "41.2"), (19, "36.8")];
/// One comes nine days after the day that was promised.
const LATE: u32 = 12;
/// One is roasted when its grade no longer holds.
const EXPIRED: u32 = 23;
/// One is shipped in halves to two roasters.
const SPLIT: u32 = 30;
/// Two are roasted together.
const BLENDED: [u32; 2] = [37, 40];

const ROASTERS: [(&str, &str, &str); 4] = [
    ("Speicherstadt Roastery", "Hamburg, Germany", "+01:00"),
    ("Scheldt Coffee Works", "Antwerp, Belgium", "+01:00"),
    ("Molo Torrefazione", "Trieste, Italy", "+01:00"),
    ("Tidewater Roasters", "Oakland, United States", "-08:00"),
];
const CAFES: [&str; 4] = ["Corner Café", "Market Hall Coffee", "Bar Centrale", "Ferry Building Kiosk"];
const CARRIERS: [&str; 3] = ["Meridian Container Lines", "Blue Anchor Shipping", "Equator Reefer Services"];

/// The whole document.
pub(crate) fn document(lots: &[Lot]) -> Node {
    let mut events: Vec<(DateTime, Node)> = Vec::new();
    for lot in lots {
        Journey::new(lot).events(lots, &mut events);
    }
    events.sort_by_key(|(time, _)| *time);
    object([
        (
            "@context",
            list([
                text("https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"),
                object([("trace", text(TRACE)), ("coffee", text(COFFEE)), ("cbvmda", text("urn:epcglobal:cbv:mda#"))]),
            ]),
        ),
        ("id", text("https://ns.example.com/ledgerkit/documents/coffee")),
        ("type", text("EPCISDocument")),
        ("schemaVersion", text("2.0")),
        ("creationDate", text("2019-01-01T00:00:00Z")),
        ("epcisBody", object([("eventList", Node::List(events.into_iter().map(|(_, event)| event).collect()))])),
    ])
}

/// Somebody with a company prefix and a place.
struct Company {
    prefix: u32,
    name: String,
    site: String,
    offset: &'static str,
}

impl Company {
    fn party(&self) -> Node {
        text(format!("urn:epc:id:pgln:{}.00000", self.prefix))
    }

    fn place(&self) -> Node {
        object([("id", text(format!("urn:epc:id:sgln:{}.00001.0", self.prefix))), ("trace:name", text(&self.site))])
    }
}

struct Journey<'a> {
    lot: &'a Lot,
    farm: Company,
    exporter: Company,
    certifier: Company,
    carrier: Company,
    harvested: Date,
    processed: Date,
    packed: Date,
    shipped: Date,
    promised: Date,
    received: Date,
    roasted: Date,
    sold: Date,
}

impl<'a> Journey<'a> {
    fn new(lot: &'a Lot) -> Self {
        let offset = offset_of(&lot.country);
        let farm = Company {
            prefix: 9_521_000 + lot.index,
            name: lot.farm.clone(),
            site: format!("{}, {}, {}", lot.farm, lot.region, lot.country),
            offset,
        };
        let exporter = Company {
            prefix: 9_521_100 + lot.country_number,
            name: format!("{} Mill & Export", lot.country),
            site: format!("Export mill, {}", lot.country),
            offset,
        };
        let certifier = Company {
            prefix: 9_521_400 + lot.certifier_number,
            name: lot.certifier.clone(),
            site: format!("Cupping laboratory, {}", lot.certifier),
            offset,
        };
        let carrier_number = lot.index % 3;
        let carrier = Company {
            prefix: 9_521_200 + carrier_number,
            name: chosen(&CARRIERS, carrier_number).to_owned(),
            site: "In transit".to_owned(),
            offset: "+00:00",
        };
        let after = |day: Date, what: &str, low: i64, high: i64| day + days(lot.pick(what, low, high));
        let processed = lot.graded - days(lot.pick("rest", 30, 60));
        let harvested = processed - days(if lot.processing.starts_with("Washed") { 3 } else { 19 });
        let packed = after(lot.graded, "packing", 4, 14);
        let shipped = after(packed, "shipping", 1, 6);
        let promised = after(shipped, "voyage", 26, 40);
        let received = if lot.index == LATE { promised + days(9) } else { promised - days(lot.pick("early", 1, 4)) };
        let roasted = if lot.index == EXPIRED { lot.expires + days(21) } else { after(received, "roasting", 6, 30) };
        let sold = after(roasted, "sale", 4, 12);
        Self {
            lot,
            farm,
            exporter,
            certifier,
            carrier,
            harvested,
            processed,
            packed,
            shipped,
            promised,
            received,
            roasted,
            sold,
        }
    }

    fn cherries(&self) -> String {
        format!("urn:epc:class:lgtin:{}.000001.C{:02}", self.farm.prefix, self.lot.index)
    }

    fn green(&self) -> String {
        format!("urn:epc:class:lgtin:{}.000002.G{:02}", self.exporter.prefix, self.lot.index)
    }

    fn roaster_number(&self, half: u32) -> u32 {
        if BLENDED.contains(&self.lot.index) { 0 } else { (self.lot.index + half) % 4 }
    }

    fn events(&self, lots: &[Lot], out: &mut Vec<(DateTime, Node)>) {
        let lot = self.lot;
        let weight = lot.weight;
        self.harvest(out);
        self.process(out);
        self.grade(out);
        let halves: &[(u32, u32)] =
            if lot.index == SPLIT { &[(0, weight / 2), (1, weight - weight / 2)] } else { &[(0, weight)] };
        for (half, weight) in halves {
            let roaster = roaster(self.roaster_number(*half));
            self.pack(*half, *weight, out);
            self.ship(*half, &roaster, out);
            self.travel(*half, &roaster, out);
            self.receive(*half, *weight, &roaster, out);
            if lot.index == BLENDED[0] {
                continue;
            }
            let mut inputs = vec![quantity(&self.green(), *weight)];
            let mut total = *weight;
            let mut roasted = self.roasted;
            if lot.index == BLENDED[1] {
                for other in lots.iter().filter(|other| other.index == BLENDED[0]) {
                    let other = Journey::new(other);
                    inputs.push(quantity(&other.green(), other.lot.weight));
                    total += other.lot.weight;
                    roasted = roasted.max(other.roasted);
                }
            }
            self.roast(*half, inputs, total, roasted, &roaster, out);
        }
    }

    fn harvest(&self, out: &mut Vec<(DateTime, Node)>) {
        let lot = self.lot;
        let picked = lot.weight * 6;
        let ilmd = object([
            ("coffee:country", text(&lot.country)),
            ("coffee:region", text(&lot.region)),
            ("coffee:farm", text(&lot.farm)),
            ("coffee:altitudeMetres", number(&lot.altitude)),
            ("coffee:variety", text(&lot.variety)),
        ]);
        self.event(
            "ObjectEvent",
            "harvest",
            self.harvested,
            17,
            &self.farm,
            out,
            vec![
                ("action", text("ADD")),
                ("bizStep", text("commissioning")),
                ("disposition", text("active")),
                ("quantityList", list([quantity(&self.cherries(), picked)])),
                ("ilmd", ilmd),
                ("trace:note", text(format!("{} cherries picked at {} m", lot.variety, lot.altitude))),
            ],
        );
    }

    fn process(&self, out: &mut Vec<(DateTime, Node)>) {
        let lot = self.lot;
        let ilmd = object([("coffee:processing", text(&lot.processing)), ("coffee:moisture", number(&lot.moisture))]);
        self.event(
            "TransformationEvent",
            "processing",
            self.processed,
            12,
            &self.exporter,
            out,
            vec![
                ("bizStep", text("coffee:processing")),
                ("disposition", text("in_progress")),
                ("inputQuantityList", list([quantity(&self.cherries(), lot.weight * 6)])),
                ("outputQuantityList", list([quantity(&self.green(), lot.weight)])),
                ("ilmd", ilmd),
                ("trace:note", text(format!("Processed ({}) to green coffee", lot.processing))),
            ],
        );
    }

    fn grade(&self, out: &mut Vec<(DateTime, Node)>) {
        let lot = self.lot;
        let id = format!("Q-{}-{:02}", lot.graded.year(), lot.index);
        let certificate = object([
            ("cbvmda:certificationStandard", text("Q Arabica grade")),
            ("cbvmda:certificationAgency", text(&lot.certifier)),
            ("cbvmda:certificationValue", text(format!("{} points", lot.score))),
            ("cbvmda:certificationIdentification", text(&id)),
            ("cbvmda:certificationEffectiveStartDateTime", text(stamp(lot.graded, 0, self.certifier.offset))),
            (
                "cbvmda:certificationEffectiveEndDateTime",
                text(format!("{}T23:59:59{}", lot.expires, self.certifier.offset)),
            ),
        ]);
        self.event(
            "ObjectEvent",
            "grading",
            lot.graded,
            11,
            &self.certifier,
            out,
            vec![
                ("action", text("OBSERVE")),
                ("bizStep", text("inspecting")),
                ("disposition", text("conformant")),
                ("quantityList", list([quantity(&self.green(), lot.weight)])),
                ("certificationInfo", text(format!("https://certificates.example.com/{id}"))),
                ("cbvmda:certificationList", object([("cbvmda:certification", list([certificate]))])),
                ("trace:note", text(format!("Cupped at {} points, moisture {}", lot.score, lot.moisture))),
            ],
        );
    }

    fn container(&self, half: u32) -> String {
        format!("urn:epc:id:sscc:{}.1{:09}", self.exporter.prefix, self.lot.index * 10 + half)
    }

    fn pack(&self, half: u32, weight: u32, out: &mut Vec<(DateTime, Node)>) {
        self.event(
            "AggregationEvent",
            &format!("packing {half}"),
            self.packed,
            9 + half,
            &self.exporter,
            out,
            vec![
                ("action", text("ADD")),
                ("bizStep", text("packing")),
                ("disposition", text("container_closed")),
                ("parentID", text(self.container(half))),
                ("childQuantityList", list([quantity(&self.green(), weight)])),
            ],
        );
    }

    fn handover(&self, roaster: &Company) -> [(&'static str, Node); 3] {
        let deed = format!("urn:epc:id:gdti:{}.00001.BL{:04}", self.carrier.prefix, self.lot.index);
        let possessing = |side, party| list([object([("type", text("possessing_party")), (side, party)])]);
        [
            ("bizTransactionList", list([object([("type", text("bol")), ("bizTransaction", text(deed))])])),
            ("sourceList", possessing("source", self.exporter.party())),
            ("destinationList", possessing("destination", roaster.party())),
        ]
    }

    fn ship(&self, half: u32, roaster: &Company, out: &mut Vec<(DateTime, Node)>) {
        let celsius = format!("{}.{}", self.lot.pick("ship", 18, 26), self.lot.pick("ship tenth", 0, 9));
        let humidity = self.lot.pick("ship humidity", 54, 63).to_string();
        let mut members = vec![
            ("action", text("OBSERVE")),
            ("bizStep", text("shipping")),
            ("disposition", text("in_transit")),
            ("epcList", list([text(self.container(half))])),
        ];
        members.extend(self.handover(roaster));
        members.extend([
            ("sensorElementList", single_readings(&celsius, &humidity)),
            ("trace:promised", text(stamp(self.promised, 18, roaster.offset))),
            ("trace:limits", limits()),
        ]);
        self.event("ObjectEvent", &format!("shipping {half}"), self.shipped, 15, &self.exporter, out, members);
    }

    fn travel(&self, half: u32, roaster: &Company, out: &mut Vec<(DateTime, Node)>) {
        let lot = self.lot;
        let warm = TOO_WARM.iter().find(|(index, _)| *index == lot.index);
        let lowest = format!("{}.{}", lot.pick("low", 13, 17), lot.pick("low tenth", 0, 9));
        let mean = format!("{}.{}", lot.pick("mean", 20, 23), lot.pick("mean tenth", 0, 9));
        let highest = match warm {
            Some((_, highest)) => (*highest).to_owned(),
            None => format!("{}.{}", lot.pick("high", 25, 28), lot.pick("high tenth", 0, 9)),
        };
        let mut temperature = vec![
            ("type", text("Temperature")),
            ("minValue", number(lowest)),
            ("maxValue", number(highest)),
            ("meanValue", number(mean)),
            ("uom", text("CEL")),
        ];
        if warm.is_some_and(|(index, _)| *index == TOO_WARM[0].0) {
            temperature.push(("exception", text("ALARM_CONDITION")));
        }
        let humidity = object([
            ("type", text("RelativeHumidity")),
            ("minValue", number(lot.pick("dry", 51, 55))),
            ("maxValue", number(lot.pick("damp", 61, 68))),
            ("meanValue", number(lot.pick("humid", 56, 60))),
            ("uom", text("P1")),
        ]);
        let metadata = object([
            ("deviceID", text(format!("urn:epc:id:giai:{}.LOGGER{:03}", self.carrier.prefix, lot.index))),
            ("startTime", text(stamp(self.shipped, 16, "+00:00"))),
            ("endTime", text(stamp(self.arrived(), 5, "+00:00"))),
        ]);
        let element =
            object([("sensorMetadata", metadata), ("sensorReport", list([Node::Object(temperature), humidity]))]);
        let mut members = vec![
            ("action", text("OBSERVE")),
            ("bizStep", text("transporting")),
            ("disposition", text("in_transit")),
            ("epcList", list([text(self.container(half))])),
        ];
        members.extend(self.handover(roaster));
        members.extend([("sensorElementList", list([element])), ("trace:limits", limits())]);
        self.event("ObjectEvent", &format!("voyage {half}"), self.arrived(), 6, &self.carrier, out, members);
    }

    fn arrived(&self) -> Date {
        self.received - days(1)
    }

    fn receive(&self, half: u32, weight: u32, roaster: &Company, out: &mut Vec<(DateTime, Node)>) {
        let celsius = format!("{}.{}", self.lot.pick("arrival", 14, 22), self.lot.pick("arrival tenth", 0, 9));
        let humidity = self.lot.pick("arrival humidity", 52, 62).to_string();
        let mut members = vec![
            ("action", text("OBSERVE")),
            ("bizStep", text("receiving")),
            ("disposition", text("in_progress")),
            ("epcList", list([text(self.container(half))])),
        ];
        members.extend(self.handover(roaster));
        members.extend([("sensorElementList", single_readings(&celsius, &humidity)), ("trace:limits", limits())]);
        self.event("ObjectEvent", &format!("receiving {half}"), self.received, 10, roaster, out, members);
        self.event(
            "AggregationEvent",
            &format!("unpacking {half}"),
            self.received,
            14,
            roaster,
            out,
            vec![
                ("action", text("DELETE")),
                ("bizStep", text("unpacking")),
                ("disposition", text("available")),
                ("parentID", text(self.container(half))),
                ("childQuantityList", list([quantity(&self.green(), weight)])),
            ],
        );
    }

    fn roast(
        &self,
        half: u32,
        inputs: Vec<Node>,
        weight: u32,
        day: Date,
        roaster: &Company,
        out: &mut Vec<(DateTime, Node)>,
    ) {
        let lot = self.lot;
        let letter = if half == 0 { "R" } else { "S" };
        let roasted = format!("urn:epc:class:lgtin:{}.000003.{letter}{:02}", roaster.prefix, lot.index);
        let output = weight * 84 / 100;
        let blend = inputs.len() > 1;
        let degree = chosen(&["light", "medium", "medium dark"], lot.index % 3);
        let note = if blend { format!("Blended and roasted {degree}") } else { format!("Roasted {degree}") };
        self.event(
            "TransformationEvent",
            &format!("roasting {half}"),
            day,
            8,
            roaster,
            out,
            vec![
                ("bizStep", text("coffee:roasting")),
                ("disposition", text("sellable_not_accessible")),
                ("inputQuantityList", Node::List(inputs)),
                ("outputQuantityList", list([quantity(&roasted, output)])),
                ("ilmd", object([("coffee:roast", text(degree))])),
                ("trace:note", text(note)),
            ],
        );
        let number = self.roaster_number(half);
        let cafe = Company {
            prefix: 9_521_500 + number,
            name: chosen(&CAFES, number).to_owned(),
            site: format!("{}, {}", chosen(&CAFES, number), chosen(&ROASTERS, number).1),
            offset: roaster.offset,
        };
        let sold = day.max(self.sold) + days(2);
        self.event(
            "ObjectEvent",
            &format!("sale {half}"),
            sold,
            16,
            &cafe,
            out,
            vec![
                ("action", text("OBSERVE")),
                ("bizStep", text("retail_selling")),
                ("disposition", text("retail_sold")),
                ("quantityList", list([quantity(&roasted, output)])),
            ],
        );
    }

    #[expect(clippy::too_many_arguments, reason = "what every event has")]
    fn event(
        &self,
        kind: &'static str,
        what: &str,
        day: Date,
        hour: u32,
        by: &Company,
        out: &mut Vec<(DateTime, Node)>,
        members: Vec<(&'static str, Node)>,
    ) {
        let hour = i8::try_from(hour).unwrap_or_default();
        let mut event = vec![
            ("type", text(kind)),
            ("eventID", text(self.lot.event_id(what))),
            ("eventTime", text(stamp(day, hour, by.offset))),
            ("eventTimeZoneOffset", text(by.offset)),
        ];
        event.extend(members);
        event.extend([
            ("readPoint", by.place()),
            ("trace:recordedBy", by.party()),
            ("trace:recordedByName", text(&by.name)),
        ]);
        out.push((day.at(hour, 0, 0, 0), Node::Object(event)));
    }
}

fn roaster(number: u32) -> Company {
    let (name, town, offset) = chosen(&ROASTERS, number);
    Company { prefix: 9_521_300 + number, name: name.to_owned(), site: format!("{name}, {town}"), offset }
}

fn quantity(class: &str, weight: u32) -> Node {
    object([("epcClass", text(class)), ("quantity", number(weight)), ("uom", text("KGM"))])
}

fn single_readings(celsius: &str, humidity: &str) -> Node {
    let reading = |what, value, unit| object([("type", text(what)), ("value", number(value)), ("uom", text(unit))]);
    let reports = list([reading("Temperature", celsius, "CEL"), reading("RelativeHumidity", humidity, "P1")]);
    list([object([("sensorReport", reports)])])
}

fn limits() -> Node {
    let limit = |what, low, high, unit| {
        object([("type", text(what)), ("minValue", number(low)), ("maxValue", number(high)), ("uom", text(unit))])
    };
    list([limit("Temperature", 10, 30, "CEL"), limit("RelativeHumidity", 50, 70, "P1")])
}

fn chosen<T: Copy>(from: &[T], number: u32) -> T {
    let at = usize::try_from(number).unwrap_or_default() % from.len();
    #[expect(clippy::indexing_slicing, reason = "the remainder is within the constant lists")]
    from[at]
}

fn days(count: i64) -> Span {
    count.days()
}

fn stamp(day: Date, hour: i8, offset: &str) -> String {
    format!("{day}T{hour:02}:00:00{offset}")
}

fn offset_of(country: &str) -> &'static str {
    match country {
        "Brazil" => "-03:00",
        "Costa Rica" | "El Salvador" | "Guatemala" | "Honduras" | "Nicaragua" => "-06:00",
        "Malawi" => "+02:00",
        "Kenya" | "Tanzania" | "Uganda" => "+03:00",
        "Indonesia" | "Laos" | "Thailand" => "+07:00",
        "Taiwan" => "+08:00",
        _ => "+00:00",
    }
}
