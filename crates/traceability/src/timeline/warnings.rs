//! What a reader of the timeline should know.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use ledger_core::AccountId;

use super::{Correction, Declaration, Line, Standing};
use crate::epcis::{Decimal, Event, EventKey, EventKind, Item, Limit, Number, Reading, Role, Unit};
use crate::walk::{Seen, Walk};

/// What kind of thing to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum WarningKind {
    /// A reading was beyond its limits, or the sensor raised an alarm.
    Excursion,
    /// The goods came after the promised time.
    Late,
    /// A certificate didn't hold any more, or not yet.
    Certificate,
    /// One lot went several ways.
    Split,
    /// Several lots became one.
    Blend,
    /// The recorder has declared the event wrong, or the event is such a declaration.
    DeclaredWrong,
    /// Another party than the recorder has declared the event wrong.
    Disputed,
    /// An identifier looks like one of GS1's, but isn't: its length or its check digit is wrong.
    Identifier,
    /// Two different events have the same `eventID`.
    SameId,
    /// Events of one party were signed by different accounts.
    Signers,
}

/// Something to know about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What kind of thing.
    pub kind: WarningKind,
    /// The event.
    pub event: EventKey,
    /// One sentence.
    pub text: String,
}

/// The warnings for a timeline's lines, which are in the order of time. What was declared wrong says nothing of the item any more, and its
/// declaration, which repeats it, doesn't either: they are warned of as such only. `templates/derive.js` of the trace page does the same.
pub(super) fn of(lines: &[Line], found: &Walk) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let valid: Vec<&Line> = lines.iter().filter(|line| line.standing == Standing::Stands).collect();
    excursions(&valid, &mut warnings);
    late(&valid, &mut warnings);
    certificates(&valid, found, &mut warnings);
    splits(found, &mut warnings);
    blends(&valid, &mut warnings);
    declared_wrong(lines, &mut warnings);
    identifiers(&valid, &mut warnings);
    same_id(&valid, &mut warnings);
    signers(lines, &mut warnings);
    let order: BTreeMap<EventKey, usize> = lines.iter().enumerate().map(|(at, line)| (line.key, at)).collect();
    warnings.sort_by_key(|warning| (order.get(&warning.event).copied(), warning.kind));
    warnings
}

fn warn(warnings: &mut Vec<Warning>, kind: WarningKind, event: EventKey, text: String) {
    warnings.push(Warning { kind, event, text });
}

/// Readings of one event that are beyond the same limit, or with the same alarm.
struct Excursion<'a> {
    first: &'a Reading,
    limit: Option<(usize, &'a Limit)>,
    readings: usize,
    lowest: Option<Decimal>,
    highest: Option<Decimal>,
}

impl<'a> Excursion<'a> {
    fn is_of(&self, reading: &Reading, limit: Option<(usize, &Limit)>) -> bool {
        self.first.measured == reading.measured
            && self.first.unit == reading.unit
            && self.limit.map(|(at, _)| at) == limit.map(|(at, _)| at)
            && (limit.is_some() || self.first.exception == reading.exception)
    }

    fn add(&mut self, reading: &Reading) {
        self.readings = self.readings.saturating_add(1);
        self.lowest = self.lowest.into_iter().chain(reading.lowest()).min();
        self.highest = self.highest.into_iter().chain(reading.highest()).max();
    }

    fn text(&self) -> String {
        let name = spaced(&self.first.measured);
        let unit = symbol(&self.first.unit);
        let range = match (self.readings, self.lowest, self.highest) {
            (0..=1, ..) => range_of(self.first),
            (count, Some(lowest), Some(highest)) if lowest == highest => format!("{lowest}{unit} in {count} readings"),
            (count, Some(lowest), Some(highest)) => format!("{lowest} to {highest}{unit} in {count} readings"),
            (count, ..) => format!("no value in {count} readings"),
        };
        match (self.limit, self.first.exception.as_deref()) {
            (Some((_, limit)), _) => format!("{name} {range}, allowed {}", limits_of(limit)),
            (None, Some("ERROR_CONDITION")) => format!("{name} {range}: the sensor reported an error of its own"),
            (None, _) => format!("{name} {range}: the sensor raised an alarm"),
        }
    }
}

/// An event without limits of its own is held to the last ones that were stated for one of its items.
fn excursions(lines: &[&Line], warnings: &mut Vec<Warning>) {
    let mut stated: BTreeMap<Item, Vec<Limit>> = BTreeMap::new();
    for line in lines {
        let items: Vec<Item> = line.event.mentions().into_iter().map(|named| named.item).collect();
        let mut limits = line.event.limits();
        if limits.is_empty() {
            limits = items.iter().find_map(|item| stated.get(item)).cloned().unwrap_or_default();
        } else {
            stated.extend(items.into_iter().map(|item| (item, limits.clone())));
        }
        let readings = line.event.readings();
        let mut beyond: Vec<Excursion<'_>> = Vec::new();
        for reading in &readings {
            let broken = limits.iter().enumerate().find(|(_, limit)| limit.is_broken_by(reading));
            if broken.is_none() && reading.exception.is_none() {
                continue;
            }
            match beyond.iter_mut().find(|excursion| excursion.is_of(reading, broken)) {
                Some(excursion) => excursion.add(reading),
                None => {
                    let mut excursion =
                        Excursion { first: reading, limit: broken, readings: 0, lowest: None, highest: None };
                    excursion.add(reading);
                    beyond.push(excursion);
                }
            }
        }
        for excursion in beyond {
            warn(warnings, WarningKind::Excursion, line.key, excursion.text());
        }
    }
}

fn late(lines: &[&Line], warnings: &mut Vec<Warning>) {
    for line in lines {
        let Some(delivery) = line.delivery else { continue };
        if let Some(received) = delivery.received.filter(|received| *received > delivery.promised) {
            let text = format!("received {} after the promised time", span(delivery.promised, received));
            warn(warnings, WarningKind::Late, line.key, text);
        }
    }
}

/// For each certificate the first event at which it didn't hold, of the items it was given for and of what they became.
fn certificates(lines: &[&Line], found: &Walk, warnings: &mut Vec<Warning>) {
    for line in lines {
        for certificate in line.event.certificates() {
            let covered = descendants(line.event.mentions().into_iter().map(|named| named.item).collect(), found);
            let used = lines.iter().filter(|other| other.event.time() >= line.event.time()).find(|other| {
                let concerned = other.event.mentions().iter().any(|named| covered.contains(&named.item));
                concerned && !certificate.held_at(other.event.time())
            });
            let Some(used) = used else { continue };
            let what = step_of(&used.event);
            let text = match certificate.until {
                Some(until) if until < used.event.time() => {
                    format!(
                        "certificate {} expired {} before this {what}",
                        certificate.id,
                        span(until, used.event.time())
                    )
                }
                _ => format!("certificate {} did not hold yet at this {what}", certificate.id),
            };
            warn(warnings, WarningKind::Certificate, used.key, text);
        }
    }
}

fn descendants(mut items: BTreeSet<Item>, found: &Walk) -> BTreeSet<Item> {
    loop {
        let more: Vec<Item> = found
            .flows
            .iter()
            .filter(|flow| items.contains(&flow.from) && !items.contains(&flow.to))
            .map(|flow| flow.to.clone())
            .collect();
        if more.is_empty() {
            return items;
        }
        items.extend(more);
    }
}

/// Links are proven with their number, so a split shows even where the other ways aren't part of the trace.
fn splits(found: &Walk, warnings: &mut Vec<Warning>) {
    let valid = |key: &EventKey| found.events.get(key).is_some_and(|seen| !is_void(seen));
    for (item, links) in &found.items {
        let with_role = |role: Role| -> Vec<EventKey> {
            let mut events: Vec<EventKey> =
                links.iter().filter(|link| link.role() == Some(role)).map(|link| link.event()).filter(valid).collect();
            events.sort_by_key(|key| (found.events.get(key).map(|seen| seen.event.time()), *key));
            events.dedup();
            events
        };
        let used = with_role(Role::Input);
        if let (Some(first), 2..) = (used.iter().find(|key| is_included(key, found)), used.len()) {
            let text = format!("split: {} went into {} transformations", item.short(), used.len());
            warn(warnings, WarningKind::Split, *first, text);
        }
    }
}

fn is_included(key: &EventKey, found: &Walk) -> bool {
    found.events.get(key).is_some_and(|seen| seen.included)
}

fn is_void(seen: &Seen) -> bool {
    seen.declared_wrong_by.is_some() || seen.event.declares_error()
}

fn blends(lines: &[&Line], warnings: &mut Vec<Warning>) {
    for line in lines.iter().filter(|line| line.event.kind() == EventKind::Transformation) {
        let inputs: BTreeSet<Item> = line
            .event
            .mentions()
            .into_iter()
            .filter(|named| named.role == Role::Input)
            .map(|named| named.item)
            .collect();
        if inputs.len() > 1 {
            let names: Vec<String> = inputs.iter().take(4).map(Item::short).collect();
            let more = if inputs.len() > names.len() { " and others" } else { "" };
            let text = format!("blend of {}: {}{more}", inputs.len(), names.join(", "));
            warn(warnings, WarningKind::Blend, line.key, text);
        }
    }
}

fn declared_wrong(lines: &[Line], warnings: &mut Vec<Warning>) {
    for line in lines {
        let text = match &line.standing {
            Standing::Stands => None,
            Standing::Withdrawn(withdrawal) => {
                let reason = withdrawal.reason.as_deref().map(|reason| format!(": {}", reason.replace('_', " ")));
                let reason = reason.unwrap_or_default();
                Some(format!(
                    "declared wrong by the party that recorded it{reason}{}",
                    instead(&withdrawal.corrections)
                ))
            }
            Standing::Declaration(declaration) => Some(match declaration {
                Declaration { of: None, .. } => {
                    "declares wrong what the ledger has no record of: no event has the same content".to_owned()
                }
                Declaration { own: false, .. } => "declares another party's record wrong, which stands".to_owned(),
                Declaration { corrections, .. } => format!("declares an earlier record wrong{}", instead(corrections)),
            }),
        };
        if let Some(text) = text {
            warn(warnings, WarningKind::DeclaredWrong, line.key, text);
        }
        if !line.disputed_by.is_empty() {
            let text = "another party than the recorder declares it wrong".to_owned();
            warn(warnings, WarningKind::Disputed, line.key, text);
        }
    }
}

/// What is right instead, and whether it can be seen here.
fn instead(corrections: &[Correction]) -> String {
    let shown = corrections.iter().filter(|correction| correction.event.is_some()).count();
    match (corrections.len(), corrections.len().saturating_sub(shown)) {
        (0, _) => String::new(),
        (_, 0) => "; what corrects it is in this timeline".to_owned(),
        (_, missing) => format!("; of what corrects it {missing} cannot be seen here"),
    }
}

/// Each wrong identifier once, at the first event that has it.
fn identifiers(lines: &[&Line], warnings: &mut Vec<Warning>) {
    let mut told: BTreeSet<Item> = BTreeSet::new();
    for line in lines {
        let places = [line.event.read_point(), line.event.business_location()].into_iter().flatten();
        let ends = line.event.sources().into_iter().chain(line.event.destinations()).map(|end| end.id);
        let named =
            line.event.mentions().into_iter().map(|named| named.item).chain(places.map(|place| place.id)).chain(ends);
        for item in named.filter(Item::is_faulty) {
            if told.insert(item.clone()) {
                let text =
                    format!("{} is no identifier of GS1's: its length or its check digit is wrong", item.short());
                warn(warnings, WarningKind::Identifier, line.key, text);
            }
        }
    }
}

fn same_id(lines: &[&Line], warnings: &mut Vec<Warning>) {
    let mut by_id: BTreeMap<&str, usize> = BTreeMap::new();
    for line in lines {
        let Some(id) = line.event.id() else { continue };
        let count = by_id.entry(id).or_default();
        *count += 1;
        if *count > 1 {
            warn(warnings, WarningKind::SameId, line.key, "another, different event has the same ID".to_owned());
        }
    }
}

/// An account isn't bound to a party but by the events it signs; so a change is worth knowing.
fn signers(lines: &[Line], warnings: &mut Vec<Warning>) {
    let mut accounts: BTreeMap<Item, AccountId> = BTreeMap::new();
    for line in lines {
        let Some(party) = line.event.recorder() else { continue };
        let first = *accounts.entry(party.id).or_insert(line.recorder);
        if first != line.recorder {
            let text = "signed by another account than the party's earlier events".to_owned();
            warn(warnings, WarningKind::Signers, line.key, text);
        }
    }
}

/// What the event does, as a word.
pub(super) fn step_of(event: &Event) -> String {
    let step = event.text("bizStep").filter(|step| !step.is_empty());
    let step = step.map(|step| step.rsplit([':', '/', '#']).next().unwrap_or(step).replace('_', " "));
    step.unwrap_or_else(|| match event.kind() {
        EventKind::Object => "observation".to_owned(),
        EventKind::Aggregation => "aggregation".to_owned(),
        EventKind::Transaction => "transaction".to_owned(),
        EventKind::Transformation => "transformation".to_owned(),
        EventKind::Association => "association".to_owned(),
        EventKind::Extension => "event".to_owned(),
    })
}

/// `13.5 to 26.1 °C, mean 20.4 °C`.
pub(super) fn range_of(reading: &Reading) -> String {
    let unit = symbol(&reading.unit);
    let written = |number: &Option<Number>| number.as_ref().map(|number| format!("{}{unit}", number.written));
    let range = match (&reading.minimum, &reading.maximum) {
        (Some(lowest), Some(highest)) => Some(format!("{} to {}{unit}", lowest.written, highest.written)),
        (Some(lowest), None) => Some(format!("at least {}{unit}", lowest.written)),
        (None, Some(highest)) => Some(format!("at most {}{unit}", highest.written)),
        (None, None) => None,
    };
    let mut parts = Vec::new();
    parts.extend(written(&reading.value));
    parts.extend(range);
    parts.extend(written(&reading.mean).map(|mean| format!("mean {mean}")));
    parts.extend(
        reading.percentile.as_ref().map(|percentile| {
            format!("{} % of them up to {}{unit}", percentile.rank.written, percentile.value.written)
        }),
    );
    parts.extend(reading.other.clone());
    if parts.is_empty() { "no value".to_owned() } else { parts.join(", ") }
}

fn limits_of(limit: &Limit) -> String {
    let unit = symbol(&limit.unit);
    match (limit.lowest, limit.highest) {
        (Some(lowest), Some(highest)) => format!("{lowest} to {highest}{unit}"),
        (Some(lowest), None) => format!("at least {lowest}{unit}"),
        (None, Some(highest)) => format!("at most {highest}{unit}"),
        (None, None) => "anything".to_owned(),
    }
}

fn symbol(unit: &Unit) -> String {
    match unit.symbol() {
        "" => String::new(),
        symbol => format!(" {symbol}"),
    }
}

/// `RelativeHumidity` as `relative humidity`.
pub(super) fn spaced(name: &str) -> String {
    let mut spaced = String::new();
    for (at, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && at > 0 {
            spaced.push(' ');
        }
        spaced.extend(letter.to_lowercase());
    }
    spaced
}

/// How much time is between the two, in the largest unit that says it.
fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.as_second().saturating_sub(from.as_second());
    let (count, unit) = match seconds {
        86_400.. => (seconds / 86_400, "day"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 60, "minute"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}
