//! Which events of a timeline stand, what corrects those that don't, and the condition that the item is in.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Line;
use crate::epcis::{ErrorDeclaration, Event, EventKey, Moment};
use crate::walk::Walk;

/// Whether an event stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Standing {
    /// Nothing that its recorder has said since speaks against it.
    #[default]
    Stands,
    /// Its recorder has declared it wrong: it leads nowhere, and says nothing of the item any more.
    Withdrawn(Withdrawal),
    /// It repeats an earlier event to declare it wrong.
    Declaration(Declaration),
}

/// How an event was declared wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawal {
    /// The event that declares it.
    pub by: EventKey,
    /// When it was declared.
    pub declared: Timestamp,
    /// Why, by its local name: `did_not_occur`, `incorrect_data`.
    pub reason: Option<String>,
    /// What is right instead.
    pub corrections: Vec<Correction>,
}

/// What an error declaration declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    /// The event that it is about; `None` when the ledger has none with its content.
    pub of: Option<EventKey>,
    /// Whether the event that it is about was recorded by the same account: only then is that event withdrawn.
    pub own: bool,
    /// What is right instead.
    pub corrections: Vec<Correction>,
}

/// An event that is right where another was wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// Its `eventID`, as the declaration has it.
    pub id: String,
    /// The event; `None` when it isn't in the timeline: it names other items, or isn't recorded.
    pub event: Option<EventKey>,
}

/// A condition, and since which event it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The disposition, by its local name.
    pub disposition: String,
    /// When that began.
    pub since: Moment,
    /// The event that says so.
    pub by: EventKey,
}

/// The condition that an item is in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The disposition that the last event with one gave.
    pub current: Option<Held>,
    /// The persistent dispositions that were set and not unset again, in the order of their words.
    pub persistent: Vec<Held>,
}

/// Fills in what lines say of each other, and gives the item's condition at the end. The lines are in the order of time.
pub(super) fn fill(lines: &mut [Line], found: &Walk) -> State {
    let mut by_id: BTreeMap<String, EventKey> = BTreeMap::new();
    for line in lines.iter().filter(|line| !line.event.declares_error()) {
        if let Some(id) = line.event.id() {
            by_id.entry(id.to_owned()).or_insert(line.key);
        }
    }
    let corrections = |declaration: &ErrorDeclaration| -> Vec<Correction> {
        let correction = |id: &String| Correction { id: id.clone(), event: by_id.get(id).copied() };
        declaration.corrections.iter().map(correction).collect()
    };
    let mut corrects: BTreeMap<EventKey, Vec<EventKey>> = BTreeMap::new();
    for line in lines.iter_mut() {
        let Some(seen) = found.events.get(&line.key) else { continue };
        line.disputed_by.clone_from(&seen.disputed_by);
        if let Some(declaration) = line.event.error_declaration() {
            line.standing = Standing::Declaration(Declaration {
                of: seen.declares,
                own: seen.declares.is_some_and(|of| found.events.get(&of).map(|of| of.recorder) == Some(seen.recorder)),
                corrections: corrections(&declaration),
            });
            continue;
        }
        let declared = seen.declared_wrong_by.and_then(|by| Some((by, found.events.get(&by)?)));
        if let Some((by, declaration)) = declared.and_then(|(by, seen)| Some((by, seen.event.error_declaration()?))) {
            let corrections = corrections(&declaration);
            for right in corrections.iter().filter_map(|correction| correction.event) {
                corrects.entry(right).or_default().push(line.key);
            }
            let (declared, reason) = (declaration.declared, declaration.reason);
            line.standing = Standing::Withdrawn(Withdrawal { by, declared, reason, corrections });
        }
    }
    let mut state = State::default();
    for line in lines.iter_mut() {
        line.corrects = corrects.remove(&line.key).unwrap_or_default();
        let own = found.events.get(&line.key).is_some_and(|seen| seen.own);
        if own && line.standing == Standing::Stands {
            state.follow(&line.event, line.key);
            line.state = Some(state.clone());
        }
    }
    state
}

impl State {
    /// The condition after the event.
    fn follow(&mut self, event: &Event, by: EventKey) {
        let disposition = event.disposition();
        let held = |disposition: String| Held { disposition, since: event.moment(), by };
        if let Some(current) = disposition.current {
            // The same one again doesn't begin anew.
            if self.current.as_ref().map(|held| held.disposition.as_str()) != Some(current.as_str()) {
                self.current = Some(held(current));
            }
        }
        self.persistent.retain(|held| !disposition.unset.contains(&held.disposition));
        for word in disposition.set {
            if let Err(at) = self.persistent.binary_search_by(|held| held.disposition.cmp(&word)) {
                self.persistent.insert(at, held(word));
            }
        }
    }
}
