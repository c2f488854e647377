//! Walking from an item to everything that happened to it, to what it was made of and to what it became.
//!
//! ```text
//!        inputs ◀── transformation ◀── ITEM ──▶ transformation ──▶ outputs
//!        (up, to the origins)           │ while it is in                (down, to the ends)
//!                                       ▼
//!                                   container: shipped, measured, received
//! ```
//!
//! - Up: from an item to the inputs of the event that made it, and so on. On this way its siblings' fate is left out.
//! - Down: from an item to the outputs of the events that used it, and so on.
//! - Aside: what happens to a container (aggregation or association) happens to its content, from the event that put it in to
//!   the one that took it out; so a reused container brings no stranger's events along.
//! - Into: a container that the walk starts from is asked for its content.
//! - Transformations with the same `transformationID` are one transformation.
//! - An event that its own recorder has declared wrong is kept in sight, but leads nowhere. A declaration about no event that the ledger
//!   has, or whose content differs from it, declares nothing wrong; the standard has it kept all the same. Another
//!   party's declaration is shown with the event, which stands.
//!
//! The walk reads a [`Graph`]: the contract's is the ledger's state, a verifier's is what was proven. Both take the same steps, so
//! a verifier who comes to the end has been shown everything that the ledger would have shown.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use ledger_core::AccountId;

use crate::epcis::{Action, Event, EventKey, EventKind, Identity, Item, Role};
use crate::records::Link;

/// Where the walk reads links and events.
pub trait Graph {
    /// Why it can't.
    type Error;

    /// All links of an item; none for an item that no event names.
    ///
    /// # Errors
    /// When they can't be read.
    fn links(&mut self, item: &Item) -> Result<Vec<Link>, Self::Error>;

    /// An event and the account that recorded it.
    ///
    /// # Errors
    /// When it can't be read or isn't there.
    fn event(&mut self, key: EventKey) -> Result<(Event, AccountId), Self::Error>;
}

/// How far a walk may go.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WalkLimits {
    /// Events read. Default 2,000.
    pub events: usize,
    /// Items asked for their links. Default 2,000.
    pub items: usize,
    /// Links read. Default 10,000.
    pub links: usize,
}

impl Default for WalkLimits {
    fn default() -> Self {
        Self { events: 2_000, items: 2_000, links: 10_000 }
    }
}

/// Why a walk didn't come to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WalkError<E> {
    /// No event names the item.
    #[error("no event names {item}")]
    Unknown {
        /// The item.
        item: Item,
    },
    /// There is more than the limits allow.
    #[error("the trace of {item} has more than {limit} {what}")]
    TooLarge {
        /// The item that the walk started from.
        item: Item,
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The graph can't be read.
    #[error(transparent)]
    Graph(E),
}

/// Something that became, or became part of, something else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// The input.
    pub from: Item,
    /// The output.
    pub to: Item,
    /// The transformation's event; of several with one `transformationID`, the one that the walk came through.
    pub by: EventKey,
}

/// An event that the walk has read.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The event.
    pub event: Arc<Event>,
    /// Who recorded it.
    pub recorder: AccountId,
    /// Whether it is part of the trace, not only read on the way.
    pub included: bool,
    /// Whether it concerns the item that the walk started from, itself or in its container, and not only what that was made of or became.
    pub own: bool,
    /// The event by which its recorder declared it wrong.
    pub declared_wrong_by: Option<EventKey>,
    /// The events by which others have declared it wrong.
    pub disputed_by: Vec<EventKey>,
    /// The event that it declares wrong itself.
    pub declares: Option<EventKey>,
}

/// What a walk has found.
#[derive(Debug, Clone, Default)]
pub struct Walk {
    /// The events read.
    pub events: BTreeMap<EventKey, Seen>,
    /// The items asked, with all their links.
    pub items: BTreeMap<Item, Vec<Link>>,
    /// What became of what.
    pub flows: BTreeSet<Flow>,
}

/// Walks from `start`.
///
/// # Errors
/// [`WalkError`] when no event names the item, when there is more than the limits allow, or when the graph fails.
pub fn walk<G: Graph>(graph: &mut G, start: &Item, limits: &WalkLimits) -> Result<Walk, WalkError<G::Error>> {
    let mut walker =
        Walker { graph, start, limits, walk: Walk::default(), links: 0, done: BTreeSet::new(), todo: VecDeque::new() };
    if walker.links(start)?.is_empty() {
        return Err(WalkError::Unknown { item: start.clone() });
    }
    walker.push(Step { item: start.clone(), up: true, down: true, into: true, own: true, within: ALWAYS });
    while let Some(step) = walker.todo.pop_front() {
        walker.visit(&step)?;
    }
    Ok(walker.walk)
}

type Span = (Timestamp, Timestamp);

/// When something came into a container or left it, and by which event; the earliest first. A heap takes less code than sorting, which a
/// module in WebAssembly pays for by the byte.
type Change = Reverse<(Timestamp, bool, EventKey)>;

const ALWAYS: Span = (Timestamp::MIN, Timestamp::MAX);

/// An item to visit, and which ways to go from it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    item: Item,
    up: bool,
    down: bool,
    into: bool,
    /// Whether what happens to it happens to the item that the walk started from.
    own: bool,
    within: Span,
}

struct Walker<'a, G> {
    graph: &'a mut G,
    start: &'a Item,
    limits: &'a WalkLimits,
    walk: Walk,
    links: usize,
    done: BTreeSet<Step>,
    todo: VecDeque<Step>,
}

/// An event as one of the item's links leads to it.
struct Mentioned {
    key: EventKey,
    role: Role,
    event: Arc<Event>,
    void: bool,
}

impl<G: Graph> Walker<'_, G> {
    fn too_large(&self, what: &'static str, limit: usize) -> WalkError<G::Error> {
        WalkError::TooLarge { item: self.start.clone(), what, limit }
    }

    fn push(&mut self, step: Step) {
        if self.done.insert(step.clone()) {
            self.todo.push_back(step);
        }
    }

    fn links(&mut self, item: &Item) -> Result<Vec<Link>, WalkError<G::Error>> {
        if let Some(links) = self.walk.items.get(item) {
            return Ok(links.clone());
        }
        if self.walk.items.len() >= self.limits.items {
            return Err(self.too_large("items", self.limits.items));
        }
        let links = self.graph.links(item).map_err(WalkError::Graph)?;
        self.links = self.links.saturating_add(links.len());
        if self.links > self.limits.links {
            return Err(self.too_large("links", self.limits.links));
        }
        if !links.is_empty() {
            self.walk.items.insert(item.clone(), links.clone());
        }
        Ok(links)
    }

    fn read(&mut self, key: EventKey) -> Result<(), WalkError<G::Error>> {
        if self.walk.events.contains_key(&key) {
            return Ok(());
        }
        if self.walk.events.len() >= self.limits.events {
            return Err(self.too_large("events", self.limits.events));
        }
        let (event, recorder) = self.graph.event(key).map_err(WalkError::Graph)?;
        let event = Arc::new(event);
        self.walk.events.insert(
            key,
            Seen {
                event,
                recorder,
                included: false,
                own: false,
                declared_wrong_by: None,
                disputed_by: Vec::new(),
                declares: None,
            },
        );
        Ok(())
    }

    fn include(&mut self, key: EventKey) {
        if let Some(seen) = self.walk.events.get_mut(&key) {
            seen.included = true;
        }
    }

    /// The item's events in the order of time.
    fn mentioned(&mut self, item: &Item) -> Result<Vec<Mentioned>, WalkError<G::Error>> {
        let links = self.links(item)?;
        for link in &links {
            self.read(link.event())?;
        }
        self.declare(&links);
        let mut mentioned: Vec<Mentioned> = links
            .iter()
            .filter_map(|link| {
                let seen = self.walk.events.get(&link.event())?;
                let void = seen.declared_wrong_by.is_some() || seen.event.declares_error();
                Some(Mentioned { key: link.event(), role: link.role()?, event: Arc::clone(&seen.event), void })
            })
            .collect();
        mentioned.sort_unstable_by_key(|mention| (mention.event.time(), mention.key, mention.role));
        Ok(mentioned)
    }

    /// Links declarations and the events that they declare wrong. A declaration repeats what it declares, so it is among the links
    /// of the same item, and the event's key can be told from it, whichever of the two was recorded first.
    fn declare(&mut self, links: &[Link]) {
        let open = |seen: &&Seen| seen.declares.is_none() && seen.event.declares_error();
        let seen = |link: &Link| self.walk.events.get(&link.event());
        if !links.iter().filter_map(seen).any(|seen| open(&seen)) {
            return;
        }
        let subjects: Vec<(Identity, EventKey)> = links
            .iter()
            .filter_map(|link| {
                Some((seen(link).filter(|seen| !seen.event.declares_error())?.event.identity(), link.event()))
            })
            .collect();
        for by in links.iter().map(Link::event) {
            let Some(seen) = self.walk.events.get(&by).filter(open) else { continue };
            let Some(declared) = seen.event.declared() else { continue };
            let (content, recorder) = (seen.event.content_identity(), seen.recorder);
            let Some(&(_, of)) = subjects.iter().find(|(identity, _)| *identity == content) else { continue };
            let Some(subject) = self.walk.events.get(&of) else { continue };
            // Of several declarations by the recorder the last one counts.
            let earlier =
                subject.declared_wrong_by.and_then(|earlier| self.walk.events.get(&earlier)?.event.declared());
            let last = earlier.is_none_or(|earlier| earlier <= declared);
            if let Some(subject) = self.walk.events.get_mut(&of) {
                if subject.recorder != recorder {
                    subject.disputed_by.push(by);
                } else if last {
                    subject.declared_wrong_by = Some(by);
                }
            }
            if let Some(seen) = self.walk.events.get_mut(&by) {
                seen.declares = Some(of);
            }
        }
    }

    fn visit(&mut self, step: &Step) -> Result<(), WalkError<G::Error>> {
        let mentioned = self.mentioned(&step.item)?;
        let within = |event: &Event| step.within.0 <= event.time() && event.time() <= step.within.1;
        for mention in mentioned.iter().filter(|mention| within(&mention.event)) {
            if let (true, Some(seen)) = (step.own, self.walk.events.get_mut(&mention.key)) {
                seen.own = true;
            }
            if mention.void {
                self.include(mention.key);
                continue;
            }
            match mention.role {
                Role::Subject | Role::Child => self.include(mention.key),
                Role::Input if step.down => self.transformation(mention, &step.item, Role::Output)?,
                Role::Output if step.up => self.transformation(mention, &step.item, Role::Input)?,
                Role::Parent if step.into => self.content(mention, step),
                Role::Input | Role::Output | Role::Parent | Role::Process => {}
            }
        }
        self.containers(step, &mentioned)
    }

    /// Goes on to the `other` side of the transformation that `item` is on one side of.
    fn transformation(&mut self, mention: &Mentioned, item: &Item, other: Role) -> Result<(), WalkError<G::Error>> {
        let mut events = vec![(mention.key, Arc::clone(&mention.event))];
        let process = mention.event.mentions().into_iter().find(|named| named.role == Role::Process);
        if let Some(process) = process {
            let parts = self.mentioned(&process.item)?;
            events.extend(parts.into_iter().filter(|part| !part.void).map(|part| (part.key, part.event)));
        }
        for (key, event) in events {
            self.include(key);
            for named in event.mentions().into_iter().filter(|named| named.role == other) {
                let up = other == Role::Input;
                let (from, to) =
                    if up { (named.item.clone(), item.clone()) } else { (item.clone(), named.item.clone()) };
                self.walk.flows.insert(Flow { from, to, by: mention.key });
                self.push(Step { item: named.item, up, down: !up, into: false, own: false, within: ALWAYS });
            }
        }
        Ok(())
    }

    /// Goes into a container's content.
    fn content(&mut self, mention: &Mentioned, step: &Step) {
        self.include(mention.key);
        for child in mention.event.mentions().into_iter().filter(|named| named.role == Role::Child) {
            self.push(Step { item: child.item, up: step.up, down: step.down, into: true, own: false, within: ALWAYS });
        }
    }

    /// Goes aside to the containers that the item was in, for as long as it was.
    fn containers(&mut self, step: &Step, mentioned: &[Mentioned]) -> Result<(), WalkError<G::Error>> {
        let mut by_container: BTreeMap<Item, Vec<&Mentioned>> = BTreeMap::new();
        for mention in mentioned.iter().filter(|mention| mention.role == Role::Child && !mention.void) {
            if let Some(parent) = mention.event.mentions().into_iter().find(|named| named.role == Role::Parent) {
                by_container.entry(parent.item).or_default().push(mention);
            }
        }
        for (container, own) in by_container {
            let of_container = self.mentioned(&container)?;
            let emptied = of_container
                .iter()
                .filter(|mention| mention.role == Role::Parent && !mention.void && empties(&mention.event));
            // What comes in at a time comes before what goes out then.
            let changes: BinaryHeap<Change> = own
                .iter()
                .copied()
                .chain(emptied)
                .filter_map(|mention| {
                    let leaves = mention.event.action()? == Action::Delete;
                    Some(Reverse((mention.event.time(), leaves, mention.key)))
                })
                .collect();
            for (from, to) in self.stays(changes) {
                let within = (from.max(step.within.0), to.min(step.within.1));
                if within.0 <= within.1 {
                    self.push(Step {
                        item: container.clone(),
                        up: step.up,
                        down: step.down,
                        into: false,
                        own: step.own,
                        within,
                    });
                }
            }
        }
        Ok(())
    }

    /// The spans from each addition to the next removal; what was seen inside without having been added was inside from then
    /// on. The events that end a span are part of the trace.
    fn stays(&mut self, mut changes: BinaryHeap<Change>) -> Vec<Span> {
        let mut stays = Vec::new();
        let mut since = None;
        while let Some(Reverse((time, leaves, key))) = changes.pop() {
            if !leaves {
                since = since.or(Some(time));
            } else if let Some(from) = since.take() {
                self.include(key);
                stays.push((from, time));
            }
        }
        stays.extend(since.map(|from| (from, Timestamp::MAX)));
        stays
    }
}

/// Whether the event takes everything out of its container: a removal that names no children.
fn empties(event: &Event) -> bool {
    matches!(event.kind(), EventKind::Aggregation | EventKind::Association)
        && event.action() == Some(Action::Delete)
        && event.mentions().iter().all(|named| named.role != Role::Child)
}
