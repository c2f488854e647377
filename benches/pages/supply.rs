//! Supply chains to make pages of: for every ten lots, four of fresh goods that are only shipped, one of goods that are processed once, and one of
//! coffee, which is processed, shipped, split into two roasts, and now and then blended with the coffee of the supply chain before.
//!
//! | supply chain | events | lots |
//! |---|---|---|
//! | fresh: harvested, inspected, packed, shipped, measured three times on the way, received, unpacked, sold | 10 | 1 |
//! | processed: the same, measured six times, stored, and made into another lot, which is inspected, shipped and sold | 20 | 2 |
//! | coffee: picked, dried, milled, graded, shipped with ten measurements, stored, roasted twice, each roast graded, shipped and sold | 40 | 4 |

use ledgerkit::traceability::epcis::{Event, Limits, NAMESPACE};

/// Lots of one round of supply chains, and events of it.
pub(crate) const LOTS: usize = 10;
pub(crate) const EVENTS: usize = 100;

/// A coffee is blended with the one before it once in so many.
const BLEND: usize = 4;

const MINUTES_A_DAY: u64 = 1_440;

/// The events of so many rounds, in the order of their times, as if all had been going on at once.
pub(crate) fn events(rounds: usize) -> Vec<Event> {
    let mut events: Vec<(u64, String)> = Vec::with_capacity(rounds * EVENTS);
    for round in 0..rounds {
        (0..4).for_each(|fresh| Chain::new(round, fresh, &mut events).fresh());
        Chain::new(round, 4, &mut events).processed();
        Chain::new(round, 5, &mut events).coffee();
    }
    events.sort();
    let limits = Limits::default();
    events.iter().map(|(_, event)| Event::from_bytes(event.as_bytes(), &limits).expect("an event")).collect()
}

/// Who takes part: so many of a kind, each with its own key.
#[derive(Clone, Copy)]
enum Kind {
    Farm,
    Mill,
    Laboratory,
    Carrier,
    Roaster,
    Shop,
}

impl Kind {
    fn company(self, round: usize) -> (usize, &'static str) {
        let (from, count, name) = match self {
            Kind::Farm => (9_521_000, 60, "Farm"),
            Kind::Mill => (9_521_100, 12, "Mill & Export"),
            Kind::Laboratory => (9_521_200, 4, "Laboratory"),
            Kind::Carrier => (9_521_300, 6, "Carrier"),
            Kind::Roaster => (9_521_400, 20, "Roastery"),
            Kind::Shop => (9_521_500, 60, "Shop"),
        };
        (from + round % count, name)
    }
}

/// One supply chain while its events are made.
struct Chain<'a> {
    round: usize,
    number: usize,
    minute: u64,
    events: &'a mut Vec<(u64, String)>,
}

impl<'a> Chain<'a> {
    fn new(round: usize, number: usize, events: &'a mut Vec<(u64, String)>) -> Self {
        // A new round begins every two hours: at any time many are under way.
        Self { round, number, minute: round as u64 * 120 + number as u64 * 7, events }
    }

    fn fresh(&mut self) {
        let lot = self.lot(Kind::Farm, "F");
        self.harvest(&lot);
        self.inspect(&lot, Kind::Laboratory);
        self.voyage(&lot, (Kind::Farm, Kind::Shop), 3, "A");
        self.sell(&lot);
    }

    fn processed(&mut self) {
        let (raw, made) = (self.lot(Kind::Farm, "P"), self.lot(Kind::Roaster, "Q"));
        self.harvest(&raw);
        self.inspect(&raw, Kind::Laboratory);
        self.voyage(&raw, (Kind::Farm, Kind::Roaster), 6, "B");
        (0..2).for_each(|_| self.store(&raw, Kind::Roaster));
        self.make(Kind::Roaster, "commissioning", &[&raw], &made);
        self.inspect(&made, Kind::Laboratory);
        let goods = quantities("quantityList", &[&made]);
        self.ship(&goods, (Kind::Roaster, Kind::Shop));
        self.measure(&goods);
        self.receive(&goods, Kind::Shop);
        self.sell(&made);
    }

    fn coffee(&mut self) {
        let (cherries, green) = (self.lot(Kind::Farm, "C"), self.lot(Kind::Mill, "G"));
        self.harvest(&cherries);
        (0..3).for_each(|_| self.store(&cherries, Kind::Farm));
        self.make(Kind::Mill, "commissioning", &[&cherries], &green);
        self.inspect(&green, Kind::Laboratory);
        self.voyage(&green, (Kind::Mill, Kind::Roaster), 10, "D");
        (0..4).for_each(|_| self.store(&green, Kind::Roaster));
        let before = (self.round > 0 && self.round.is_multiple_of(BLEND)).then(|| {
            Chain { round: self.round - 1, number: self.number, minute: 0, events: &mut Vec::new() }
                .lot(Kind::Mill, "G")
        });
        for (roast, serial) in [("R", "E"), ("S", "H")] {
            let lot = self.lot(Kind::Roaster, roast);
            let blended = before.as_ref().filter(|_| roast == "R");
            let inputs: Vec<&String> = [Some(&green), blended].into_iter().flatten().collect();
            self.make(Kind::Roaster, "commissioning", &inputs, &lot);
            self.inspect(&lot, Kind::Laboratory);
            self.voyage(&lot, (Kind::Roaster, Kind::Shop), 1, serial);
            self.sell(&lot);
        }
    }

    fn lot(&self, kind: Kind, letter: &str) -> String {
        let (company, _) = kind.company(self.round);
        format!("urn:epc:class:lgtin:{company}.{:06}.{letter}{}-{}", self.number + 1, self.round, self.number)
    }

    /// Adds an event of the party, `hours` after the one before.
    fn add(&mut self, kind: Kind, hours: u64, members: &str) {
        self.minute += hours * 60;
        let (company, name) = kind.company(self.round);
        let number = self.events.len();
        let event = format!(
            r#"{{"@context":["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",{{"trace":"{NAMESPACE}","goods":"https://example.com/goods/","cbvmda":"urn:epcglobal:cbv:mda#"}}],"eventID":"urn:uuid:{number:08x}-0000-8000-8000-{:012x}","eventTime":"{}","eventTimeZoneOffset":"+01:00",{members},"readPoint":{{"id":"urn:epc:id:sgln:{company}.00001.0","trace:name":"{name} {company}, Hamburg, Germany"}},"trace:recordedBy":"urn:epc:id:pgln:{company}.00000","trace:recordedByName":"{name} {company}"}}"#,
            self.round,
            instant(self.minute),
        );
        self.events.push((self.minute, event));
    }

    /// An event that only sees the objects.
    fn observe(&mut self, kind: Kind, hours: u64, step: &str, disposition: &str, objects: &str, more: &str) {
        let members = format!(
            r#""type":"ObjectEvent","action":"OBSERVE","bizStep":"{step}","disposition":"{disposition}",{objects}{more}"#
        );
        self.add(kind, hours, &members);
    }

    fn harvest(&mut self, lot: &str) {
        let altitude = 900 + self.round % 900;
        let objects = quantities("quantityList", &[lot]);
        self.add(
            Kind::Farm,
            0,
            &format!(
                r#""type":"ObjectEvent","action":"ADD","bizStep":"commissioning","disposition":"active",{objects},"ilmd":{{"goods:country":"El Salvador","goods:farm":"La Esperanza {0}","goods:altitudeMetres":{altitude},"goods:variety":"Bourbon"}},"trace:note":"Picked at {altitude} m""#,
                self.round
            ),
        );
    }

    fn inspect(&mut self, lot: &str, kind: Kind) {
        let objects = quantities("quantityList", &[lot]);
        let more = format!(
            r#","cbvmda:certificationList":{{"cbvmda:certification":[{{"cbvmda:certificationStandard":"Grade","cbvmda:certificationAgency":"Council","cbvmda:certificationValue":"8{}.25 points","cbvmda:certificationIdentification":"Q-2026-{}-{}","cbvmda:certificationEffectiveStartDateTime":"2026-01-01T00:00:00+01:00","cbvmda:certificationEffectiveEndDateTime":"2027-12-31T23:59:59+01:00"}}]}}"#,
            self.round % 10,
            self.round,
            self.events.len()
        );
        self.observe(kind, 20, "inspecting", "conformant", &objects, &more);
    }

    /// Temperature and humidity at six times.
    fn store(&mut self, lot: &str, kind: Kind) {
        let reports: Vec<String> = (0..6)
            .map(|hour| {
                let time = instant(self.minute + 12 * 60 + hour * 60);
                let degrees = 18 + (self.round as u64 + hour) % 9;
                format!(
                    r#"{{"type":"Temperature","value":{degrees}.5,"uom":"CEL","time":"{time}"}},{{"type":"RelativeHumidity","value":{},"uom":"P1","time":"{time}"}}"#,
                    52 + hour
                )
            })
            .collect();
        let more = format!(r#","sensorElementList":[{{"sensorReport":[{}]}}],{LIMITS}"#, reports.join(","));
        self.observe(kind, 24, "storing", "in_progress", &quantities("quantityList", &[lot]), &more);
    }

    /// Packs a lot, ships it in a container that is measured so often, and unpacks it.
    fn voyage(&mut self, lot: &str, (from, to): (Kind, Kind), measured: usize, letter: &str) {
        let (company, _) = from.company(self.round);
        let serial = format!("{}{:08}{}", letter.as_bytes()[0] % 10, self.round, self.number);
        let container = format!("urn:epc:id:sscc:{company}.{serial}");
        let objects = format!(r#""epcList":["{container}"]"#);
        let children = quantities("childQuantityList", &[lot]);
        let pack = |chain: &mut Self, kind, action: &str, step: &str, disposition: &str| {
            let members = format!(
                r#""type":"AggregationEvent","action":"{action}","bizStep":"{step}","disposition":"{disposition}","parentID":"{container}",{children}"#
            );
            chain.add(kind, 5, &members);
        };
        pack(self, from, "ADD", "packing", "container_closed");
        self.ship(&objects, (from, to));
        (0..measured).for_each(|_| self.measure(&objects));
        self.receive(&objects, to);
        pack(self, to, "DELETE", "unpacking", "available");
    }

    fn ship(&mut self, objects: &str, (from, to): (Kind, Kind)) {
        let ends = self.ends(from, to);
        let promised = instant(self.minute + 30 * MINUTES_A_DAY);
        let more = format!(r#",{ends},"trace:promised":"{promised}",{LIMITS}"#);
        self.observe(from, 3, "shipping", "in_transit", objects, &more);
    }

    fn measure(&mut self, objects: &str) {
        let (start, end) = (instant(self.minute), instant(self.minute + MINUTES_A_DAY));
        let (round, number) = (self.round, self.events.len());
        let low = 12 + number % 7;
        let high = if number.is_multiple_of(97) { 36 } else { low + 8 };
        let more = format!(
            r#","sensorElementList":[{{"sensorMetadata":{{"deviceID":"urn:epc:id:giai:9521300.LOGGER{round}","startTime":"{start}","endTime":"{end}"}},"sensorReport":[{{"type":"Temperature","minValue":{low},"maxValue":{high},"meanValue":{}.5,"uom":"CEL"}},{{"type":"RelativeHumidity","minValue":53,"maxValue":64,"meanValue":57,"uom":"P1"}}]}}],{LIMITS}"#,
            low + 3
        );
        self.observe(Kind::Carrier, 24, "transporting", "in_transit", objects, &more);
    }

    fn receive(&mut self, objects: &str, to: Kind) {
        self.observe(to, 6, "receiving", "in_progress", objects, &format!(",{LIMITS}"));
    }

    fn make(&mut self, kind: Kind, step: &str, from: &[&String], to: &str) {
        let (inputs, outputs) = (quantities("inputQuantityList", from), quantities("outputQuantityList", &[to]));
        let members = format!(
            r#""type":"TransformationEvent","bizStep":"{step}","disposition":"in_progress",{inputs},{outputs},"ilmd":{{"goods:processing":"Washed","goods:moisture":0.11}}"#
        );
        self.add(kind, 48, &members);
    }

    fn sell(&mut self, lot: &str) {
        self.observe(Kind::Shop, 72, "retail_selling", "retail_sold", &quantities("quantityList", &[lot]), "");
    }

    fn ends(&self, from: Kind, to: Kind) -> String {
        let ((from, _), (to, _)) = (from.company(self.round), to.company(self.round));
        format!(
            r#""sourceList":[{{"type":"possessing_party","source":"urn:epc:id:pgln:{from}.00000"}}],"destinationList":[{{"type":"possessing_party","destination":"urn:epc:id:pgln:{to}.00000"}}]"#
        )
    }
}

const LIMITS: &str = r#""trace:limits":[{"type":"Temperature","minValue":10,"maxValue":30,"uom":"CEL"},{"type":"RelativeHumidity","minValue":50,"maxValue":70,"uom":"P1"}]"#;

fn quantities(name: &str, lots: &[impl AsRef<str>]) -> String {
    let each = lots.iter().map(|lot| format!(r#"{{"epcClass":"{}","quantity":6000,"uom":"KGM"}}"#, lot.as_ref()));
    format!(r#""{name}":[{}]"#, each.collect::<Vec<_>>().join(","))
}

/// The time so many minutes after the beginning of 2026, which has no leap day.
fn instant(minutes: u64) -> String {
    let (mut day, minute) = (minutes / MINUTES_A_DAY, minutes % MINUTES_A_DAY);
    let mut month = 0;
    let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    while day >= lengths[month % 12] {
        day -= lengths[month % 12];
        month += 1;
    }
    let (year, month) = (2026 + month / 12, month % 12 + 1);
    format!("{year}-{month:02}-{:02}T{:02}:{:02}:00+01:00", day + 1, minute / 60, minute % 60)
}
