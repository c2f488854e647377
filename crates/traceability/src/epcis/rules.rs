//! What a JSON value must look like, as tables, and the walk that compares a value with its table.
//!
//! The tables themselves are in [`super::schema`]. A table says of each known member what it must be; members that no table
//! knows are extensions and are left alone, unless the table is closed. Faults are collected with the way to the
//! field, up to a limit; what comes after is counted only.

use std::fmt::{self, Write as _};

use super::time;
use super::vocabulary::Vocabulary;
use crate::json::{Json, Members};

/// What a value must be.
#[derive(Debug)]
pub(super) enum Rule {
    /// A string.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Truth,
    /// A date and time.
    Time,
    /// A string of a certain form, and what that form is called.
    Form(fn(&str) -> bool, &'static str),
    /// A word of a vocabulary, or a URI outside it.
    Word(&'static Vocabulary),
    /// One of a few strings.
    OneOf(&'static [&'static str]),
    /// An object.
    Record(&'static Record),
    /// An array.
    List(&'static List),
    /// Either what the rule says, or an array of it.
    OneOrMany(&'static Rule),
    /// A number, string or object.
    Attribute,
    /// A JSON-LD context: a string, an object, or an array of distinct ones.
    Context,
    /// An object with any members.
    Anything,
}

/// What an array must hold.
#[derive(Debug)]
pub(super) struct List {
    pub(super) item: Rule,
    pub(super) at_least: usize,
    pub(super) distinct: bool,
}

/// What an object must hold.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) fields: &'static [Field],
    /// Whether members that aren't in `fields` are refused.
    pub(super) closed: bool,
    /// What holds between several members.
    pub(super) also: Option<fn(&Members, &mut Findings)>,
}

/// A member of an object.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) rule: Rule,
}

pub(super) const fn required(name: &'static str, rule: Rule) -> Field {
    Field { name, required: true, rule }
}

pub(super) const fn optional(name: &'static str, rule: Rule) -> Field {
    Field { name, required: false, rule }
}

/// Something wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Index of the event in its document's list, from 0; `None` when it is outside the events.
    pub event: Option<usize>,
    /// The way to the field: `sensorElementList[0].sensorReport[1].type`; empty when the whole document or event is meant.
    pub field: String,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Problem {
    /// Counts events from 1, as people do, and gives the index too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(index) = self.event {
            write!(f, "event {} (eventList[{index}]): ", index.saturating_add(1))?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.what)
    }
}

/// The most characters of a document's own that stand in a message.
const SHOWN: usize = 80;

/// The problems found so far, and where the walk is.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<Problem>,
    /// All problems, including those beyond the limit.
    pub(super) total: usize,
    limit: usize,
    event: Option<usize>,
    field: String,
}

impl Findings {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Turns to an event of the list, or back to the document around it.
    pub(super) fn turn_to(&mut self, event: Option<usize>) {
        self.event = event;
        self.field.clear();
    }

    /// A problem with the value the walk is at.
    pub(super) fn here(&mut self, what: impl Into<String>) {
        self.total += 1;
        if self.problems.len() < self.limit {
            self.problems.push(Problem { event: self.event, field: self.field.clone(), what: what.into() });
        }
    }

    /// A problem with the member `name` of the value the walk is at.
    pub(super) fn member(&mut self, name: &str, what: impl Into<String>) {
        self.inside(name, |findings| findings.here(what));
    }

    /// Runs `walk` one member further in.
    pub(super) fn inside(&mut self, name: &str, walk: impl FnOnce(&mut Self)) {
        let outside = self.field.len();
        if outside > 0 {
            self.field.push('.');
        }
        // As most names are.
        if name.len() <= SHOWN && name.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.field.push_str(name);
        } else {
            self.field.push_str(&shown(name));
        }
        walk(self);
        self.field.truncate(outside);
    }

    fn item(&mut self, index: usize, walk: impl FnOnce(&mut Self)) {
        let outside = self.field.len();
        // Writing to a string cannot fail.
        let _ = write!(self.field, "[{index}]");
        walk(self);
        self.field.truncate(outside);
    }

    /// Compares `value` with `rule`.
    pub(super) fn check(&mut self, value: &Json, rule: &Rule) {
        match rule {
            Rule::Text => self.text(value, |_| None),
            Rule::Time => self.text(value, |text| {
                (!time::is_date_time(text))
                    .then(|| format!("`{}` is not a date and time like 2026-01-31T12:00:00Z", shown(text)))
            }),
            Rule::Form(holds, form) => {
                self.text(value, |text| (!holds(text)).then(|| format!("`{}` is not {form}", shown(text))));
            }
            Rule::Word(vocabulary) => self.text(value, |word| {
                vocabulary.fault(word).map(|fault| format!("{} `{}` {fault}", vocabulary.name, shown(word)))
            }),
            Rule::OneOf(words) => self.text(value, |word| {
                (!words.contains(&word)).then(|| format!("`{}` is not one of {}", shown(word), words.join(", ")))
            }),
            Rule::Number if value.as_number().is_none() => self.unlike(value, "a number"),
            Rule::Truth if !matches!(value, Json::Bool(_)) => self.unlike(value, "true or false"),
            Rule::Anything if value.as_object().is_none() => self.unlike(value, "an object"),
            Rule::Attribute if !matches!(value, Json::Text(_) | Json::Number(_) | Json::Object(_)) => {
                self.unlike(value, "a string, a number or an object");
            }
            Rule::Number | Rule::Truth | Rule::Anything | Rule::Attribute => {}
            Rule::Record(record) => match value.as_object() {
                Some(members) => self.record(members, record),
                None => self.unlike(value, "an object"),
            },
            Rule::List(list) => match value.as_list() {
                Some(items) => self.list(items, list),
                None => self.unlike(value, "an array"),
            },
            Rule::OneOrMany(rule) => match value.as_list() {
                Some(items) => self.items(items, rule),
                None => self.check(value, rule),
            },
            Rule::Context => self.context(value),
        }
    }

    /// Compares an object with its table.
    pub(super) fn record(&mut self, members: &Members, record: &Record) {
        for field in record.fields {
            match members.get(field.name) {
                Some(value) => self.inside(field.name, |findings| findings.check(value, &field.rule)),
                None if field.required => self.member(field.name, "is missing"),
                None => {}
            }
        }
        if record.closed {
            for name in members.keys() {
                if !record.fields.iter().any(|field| field.name == name) {
                    self.member(name, "is not allowed here");
                }
            }
        }
        if let Some(also) = record.also {
            also(members, self);
        }
    }

    fn list(&mut self, items: &[Json], list: &List) {
        if items.len() < list.at_least {
            self.here(format!("has {} items, needs at least {}", items.len(), list.at_least));
        }
        if list.distinct {
            self.distinct(items);
        }
        self.items(items, &list.item);
    }

    fn items(&mut self, items: &[Json], rule: &Rule) {
        for (index, item) in items.iter().enumerate() {
            self.item(index, |findings| findings.check(item, rule));
        }
    }

    fn distinct(&mut self, items: &[Json]) {
        let mut seen = std::collections::BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            if !seen.insert(item.to_bytes()) {
                self.item(index, |findings| findings.here("is in the list twice"));
            }
        }
    }

    fn context(&mut self, value: &Json) {
        match value {
            Json::Text(_) | Json::Object(_) => {}
            Json::List(items) => {
                self.distinct(items);
                for (index, item) in items.iter().enumerate() {
                    if !matches!(item, Json::Text(_) | Json::Object(_)) {
                        self.item(index, |findings| findings.unlike(item, "a URI or an object"));
                    }
                }
            }
            other => self.unlike(other, "a URI, an object or an array of them"),
        }
    }

    fn text(&mut self, value: &Json, fault: impl FnOnce(&str) -> Option<String>) {
        match value.as_text() {
            Some(text) => {
                if let Some(what) = fault(text) {
                    self.here(what);
                }
            }
            None => self.unlike(value, "a string"),
        }
    }

    fn unlike(&mut self, value: &Json, wanted: &str) {
        self.here(format!("is {}, must be {wanted}", value.kind()));
    }
}

/// `text` as it may stand in a message: short, on one line, without control characters.
pub(super) fn shown(text: &str) -> String {
    printable(text, SHOWN)
}

/// `text` on one line, without control characters, cut after `limit` characters.
pub(crate) fn printable(text: &str, limit: usize) -> String {
    let mut shown: String =
        text.chars().take(limit).map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect();
    if text.chars().nth(limit).is_some() {
        shown.push('…');
    }
    shown
}
