//! The timeline as text for a terminal of 100 columns.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use jiff::tz::Offset;

use super::warnings::{range_of, spaced, step_of};
use super::{Line, Timeline, Warning};
use crate::epcis::{Certificate, Event, EventKey, Item, Mention, Role, Unit, printable};

const WIDTH: usize = 100;
const INDENT: usize = 11;

impl fmt::Display for Timeline {
    /// One paragraph for each event, warnings marked with `!`, and what it is all proven by.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Timeline of {}", printable(&self.item.short(), WIDTH))?;
        writeln!(f, "         {}", printable(self.item.as_str(), WIDTH))?;
        let mut warnings: BTreeMap<EventKey, Vec<&Warning>> = BTreeMap::new();
        for warning in &self.warnings {
            warnings.entry(warning.event).or_default().push(warning);
        }
        for line in &self.lines {
            writeln!(f)?;
            self.line(f, line, warnings.get(&line.key).map_or(&[], Vec::as_slice))?;
        }
        writeln!(f)?;
        writeln!(f, "{}", "-".repeat(WIDTH))?;
        writeln!(
            f,
            "{} events, {} links from lot to lot, {} warning{}; {} proofs verified at checkpoint {}",
            self.lines.len(),
            self.flows.len(),
            self.warnings.len(),
            if self.warnings.len() == 1 { "" } else { "s" },
            self.proofs_verified,
            self.checkpoint
        )?;
        writeln!(f, "state root {}", self.state_root)
    }
}

impl Timeline {
    fn line(&self, f: &mut fmt::Formatter<'_>, line: &Line, warnings: &[&Warning]) -> fmt::Result {
        let event = &line.event;
        let step = printable(&step_of(event), 30);
        writeln!(f, "{}  {}", local(event.time(), event.offset()), step.to_uppercase())?;
        if let Some(place) = event.place() {
            field(f, "where", &place.name.unwrap_or_else(|| place.id.short()))?;
        }
        let account = line.recorder.to_string();
        let account = account.get(..12).unwrap_or(&account);
        let party = event.recorder().map(|party| party.name.unwrap_or_else(|| party.id.short()));
        let party = party.unwrap_or_else(|| "a party that the event doesn't name".to_owned());
        let recorded = format!(
            "{party} (signed by account {account}…, block {}, transaction {})",
            line.place.height, line.place.index
        );
        field(f, "who", &recorded)?;
        for what in what(event) {
            field(f, "what", &what)?;
        }
        if let Some(note) = event.note() {
            field(f, "", note)?;
        }
        let details: Vec<String> =
            event.lot_data().into_iter().map(|(name, value)| format!("{} {value}", spaced(&name))).collect();
        if !details.is_empty() {
            field(f, "lot", &details.join(", "))?;
        }
        let readings: Vec<String> = event
            .readings()
            .iter()
            .map(|reading| format!("{} {}", spaced(&reading.measured), range_of(reading)))
            .collect();
        if !readings.is_empty() {
            field(f, "sensors", &readings.join(", "))?;
        }
        if let Some(state) = line.state.as_ref().filter(|state| !state.persistent.is_empty()) {
            let held: Vec<String> = state.persistent.iter().map(|held| held.disposition.replace('_', " ")).collect();
            field(f, "holds", &held.join(", "))?;
        }
        for wrong in line.corrects.iter().filter_map(|key| self.lines.iter().find(|other| other.key == *key)) {
            let when = local(wrong.event.time(), wrong.event.offset());
            field(f, "corrects", &format!("the {} of {when}, which was declared wrong", step_of(&wrong.event)))?;
        }
        for certificate in event.certificates() {
            field(f, "certified", &certified(&certificate, event))?;
        }
        if let Some(delivery) = line.delivery {
            let day = |time| local(time, event.offset());
            let actual = delivery
                .received
                .map_or_else(|| "no receipt recorded".to_owned(), |at| format!("received {}", day(at)));
            field(f, "promised", &format!("{}; {actual}", day(delivery.promised)))?;
        }
        for warning in warnings {
            field(f, "! WARNING", &warning.text)?;
        }
        Ok(())
    }
}

/// What the event says of the items: one text for each thing it does to some.
fn what(event: &Event) -> Vec<String> {
    let mentions = event.mentions();
    let named = |role: Role| -> Option<String> {
        let items: Vec<String> = mentions.iter().filter(|named| named.role == role).map(amount).collect();
        let shown = items.iter().take(4).cloned().collect::<Vec<_>>().join(", ");
        match items.len() {
            0 => None,
            1..=4 => Some(shown),
            more => Some(format!("{shown} and {} more", more.saturating_sub(4))),
        }
    };
    let mut what = Vec::new();
    what.extend(named(Role::Subject));
    match (named(Role::Input), named(Role::Output)) {
        (Some(from), Some(to)) => what.push(format!("{from}  ->  {to}")),
        (Some(from), None) => what.push(format!("{from} used up")),
        (None, Some(to)) => what.push(format!("{to} made")),
        (None, None) => {}
    }
    match (named(Role::Child), named(Role::Parent)) {
        (Some(children), Some(parent)) => {
            let way = match event.action() {
                Some(crate::epcis::Action::Delete) => "out of",
                Some(crate::epcis::Action::Observe) => "seen in",
                _ => "into",
            };
            what.push(format!("{children}  {way}  {parent}"));
        }
        (None, Some(parent)) => what.push(format!("{parent} emptied")),
        (Some(children), None) => what.push(children),
        (None, None) => {}
    }
    what
}

fn amount(mention: &Mention) -> String {
    let item = Item::short(&mention.item);
    match &mention.quantity {
        None => item,
        Some(quantity) => {
            let unit = Unit::new(quantity.unit.as_deref().unwrap_or("H87"));
            format!("{} {} of {item}", quantity.amount, unit.symbol())
        }
    }
}

fn certified(certificate: &Certificate, event: &Event) -> String {
    let mut text = certificate.id.clone();
    for detail in [&certificate.standard, &certificate.value, &certificate.agency].into_iter().flatten() {
        if !text.contains(detail.as_str()) {
            text.push_str(", ");
            text.push_str(detail);
        }
    }
    let day = |time: Timestamp| event.offset().to_datetime(time).date().to_string();
    match (certificate.from, certificate.until) {
        (Some(from), Some(until)) => text.push_str(&format!("; valid {} to {}", day(from), day(until))),
        (None, Some(until)) => text.push_str(&format!("; valid until {}", day(until))),
        (Some(from), None) => text.push_str(&format!("; valid from {}", day(from))),
        (None, None) => text.push_str("; no end of validity stated"),
    }
    text
}

/// `2015-05-23 11:00 +03:00`.
fn local(time: Timestamp, offset: Offset) -> String {
    let clock = offset.to_datetime(time);
    let (sign, minutes) = (if offset.seconds() < 0 { '-' } else { '+' }, offset.seconds().unsigned_abs() / 60);
    let zone = format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60);
    format!("{} {:02}:{:02} {zone}", clock.date(), clock.hour(), clock.minute())
}

/// A labelled text, wrapped at the width.
fn field(f: &mut fmt::Formatter<'_>, label: &str, text: &str) -> fmt::Result {
    let text = printable(text, 2_000);
    let mut line = format!("{label:<INDENT$}");
    let mut empty = true;
    for word in text.split(' ') {
        let length = line.chars().count() + word.chars().count();
        if !empty && length >= WIDTH {
            writeln!(f, "{}", line.trim_end())?;
            line = " ".repeat(INDENT);
        } else if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    writeln!(f, "{}", line.trim_end())
}
