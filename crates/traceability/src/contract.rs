//! The contract that stores events, links items to them, and says what a trace consists of.
//!
//! | method | arguments | answer |
//! |---|---|---|
//! | [`RECORD`] | an event's canonical bytes | [`RecordAnswer`]; a second record of the same event, in whatever spelling, changes nothing and says so |
//! | [`TRACE`] | an item in any spelling, as UTF-8 text | [`TraceAnswer`]: what to prove |
//! | [`ITEMS`] | [`ItemsQuestion`] | [`ItemsAnswer`]: the items that events name, page by page |
//!
//! The party that records an event is the account that calls. Whoever has an account may record; a trace shows whose signature each event
//! bears. [`TRACE`] and [`ITEMS`] only read: they are for simulations.

use std::collections::BinaryHeap;

use ledger_contracts::{Contract, HashFunction, Host, Trap, decode_arguments};
use ledger_core::codec::{self, Bytes, Decode, Encode, Format, List, Text};
use ledger_core::{AccountId, Fuel};

use crate::epcis::{Event, EventKey, Item, Limits, Role};
use crate::guess;
use crate::records::{self, ItemNames, ItemRecord, Link, Recorded, Same, event_name, item_name, same_name};
use crate::walk::{Graph, WalkError, WalkLimits, walk};

pub use crate::records::RECORD;

/// Says which events and links a trace consists of.
pub const TRACE: &str = "trace";
/// Lists items.
pub const ITEMS: &str = "items";

/// Refusal: the bytes aren't an event that keeps to EPCIS 2.0.
pub const NOT_AN_EVENT: u32 = 1;
/// Refusal: the event isn't given in its canonical bytes.
pub const NOT_CANONICAL: u32 = 2;
/// Refusal: no event names the item.
pub const UNKNOWN_ITEM: u32 = 3;
/// Refusal: the trace is larger than the limits allow.
pub const TRACE_TOO_LARGE: u32 = 4;

/// The most items of one [`ItemsAnswer`]; fewer where their names are long.
pub const MAX_PAGE: u32 = 1_000;

/// Bytes of names after which a page ends, well below what a call may answer.
const PAGE_BYTES: usize = 256 << 10;

/// The longest event whose reads are guessed, in bytes, and the most items of it: with the event itself, as many as are read
/// together.
const GUESSED_BYTES: usize = 16 << 10;
const GUESSED_ITEMS: usize = 15;

/// Fuel that reading a byte of an event costs: parsing it, and comparing it with the standard.
const FUEL_PER_BYTE: u64 = 20;

/// What [`RECORD`] answers.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub struct RecordAnswer {
    /// The key under which the event is stored.
    pub event: [u8; 32],
    /// Whether it was stored now; `false` when it was there already.
    pub new: bool,
}

impl Format for RecordAnswer {
    const NAME: &'static str = "answer to record";
    const LIMIT: usize = 64;
}

/// What [`TRACE`] answers: all that a verifier must be shown.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub struct TraceAnswer {
    /// The items whose links the trace reads, and how many links each has.
    pub items: List<(Text, u32)>,
    /// The keys of the events that the trace reads.
    pub events: List<[u8; 32]>,
    /// How many of the events are part of the trace.
    pub included: u32,
}

impl Format for TraceAnswer {
    const NAME: &'static str = "answer to trace";
    const LIMIT: usize = 8 << 20;
}

/// What [`ITEMS`] asks.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub struct ItemsQuestion {
    /// Where the last page ended: its `next`, or nothing.
    pub from: Bytes,
    /// How many items, at most [`MAX_PAGE`].
    pub limit: u32,
}

impl Format for ItemsQuestion {
    const NAME: &'static str = "question for items";
    const LIMIT: usize = 128;
}

/// What [`ITEMS`] answers.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub struct ItemsAnswer {
    /// The items, in the order of their digests.
    pub items: List<ItemRecord>,
    /// Where to go on; `None` at the end.
    pub next: Option<Bytes>,
}

impl Format for ItemsAnswer {
    const NAME: &'static str = "answer to items";
    const LIMIT: usize = 8 << 20;
}

/// The contract.
#[derive(Debug, Clone, Default)]
pub struct Traceability {
    limits: WalkLimits,
}

impl Contract for Traceability {
    fn name(&self) -> &str {
        records::CONTRACT
    }

    fn call(&self, host: &mut dyn Host, method: &str, arguments: &[u8]) -> Result<Vec<u8>, Trap> {
        match method {
            RECORD => record(host, arguments),
            TRACE => {
                let item = str::from_utf8(arguments).map_err(|_| Trap::bad_arguments("an item is UTF-8 text"))?;
                self.trace(host, &Item::new(item))
            }
            ITEMS => items(host, &decode_arguments(arguments)?),
            _ => Err(Trap::UnknownMethod),
        }
    }

    fn expected_reads(&self, _: &AccountId, method: &str, arguments: &[u8], names: &mut Vec<Vec<u8>>) {
        // What is longer than events are would take longer to look through than to read for.
        if method == RECORD && arguments.len() <= GUESSED_BYTES {
            names.push(event_name(&EventKey::of(arguments)));
            names.extend(guess::items(arguments).take(GUESSED_ITEMS).map(|item| item_name(&item)));
        }
    }
}

/// Fuel enough for recording an event of `bytes` bytes that names `mentions` items, under the default prices.
#[must_use]
pub fn fuel_for(bytes: usize, mentions: usize) -> Fuel {
    let sized = |count: usize, each: u64| u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(each);
    Fuel(100_000_u64.saturating_add(sized(bytes, 64)).saturating_add(sized(mentions, 10_000)))
}

/// The same for the contract as a module of `module` bytes in WebAssembly, which pays for its instructions and for being loaded:
/// generous for events as they are, though not for every event that could be.
#[must_use]
pub fn module_fuel_for(module: usize, bytes: usize, mentions: usize) -> Fuel {
    let sized = |count: usize, each: u64| u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(each);
    let loading = 600_000_u64.saturating_add(sized(module, 61));
    Fuel(loading.saturating_add(sized(bytes, 4_000)).saturating_add(sized(mentions, 200_000)))
}

fn read_event(host: &mut dyn Host, bytes: &[u8]) -> Result<Result<Event, String>, Trap> {
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    host.charge(Fuel(size.saturating_mul(FUEL_PER_BYTE)))?;
    Ok(Event::from_bytes(bytes, &Limits::default()).map_err(|error| error.reason.to_string()))
}

fn record(host: &mut dyn Host, bytes: &[u8]) -> Result<Vec<u8>, Trap> {
    // By the host, which has it done before a module has begun.
    let key = EventKey::from_bytes(host.hash(HashFunction::Sha256, bytes)?);
    if host.get(&event_name(&key))?.is_some() {
        return Ok(codec::encode(&RecordAnswer { event: *key.as_bytes(), new: false }));
    }
    let event = read_event(host, bytes)?.map_err(|reason| Trap::refused(NOT_AN_EVENT, reason))?;
    if event.to_bytes() != bytes {
        return Err(Trap::refused(NOT_CANONICAL, "the event is not given in its canonical bytes"));
    }
    let same = same_name(&event.identity());
    if let Some(Same { event }) = host.get_value(&same)? {
        return Ok(codec::encode(&RecordAnswer { event, new: false }));
    }
    host.put_value(&same, &Same { event: *key.as_bytes() })?;
    let recorded = Recorded { recorder: host.caller(), event: Bytes::from(bytes) };
    host.put_value(&event_name(&key), &recorded)?;
    // In an order that the names alone decide; a heap, since a module pays for code by the byte, and sorting takes more.
    let mut linked: BinaryHeap<(Item, Role)> =
        event.mentions().into_iter().map(|named| (named.item, named.role)).collect();
    let mut last = None;
    while let Some(named) = linked.pop() {
        if last.as_ref() != Some(&named) {
            link(host, &named.0, Link::new(key, named.1))?;
        }
        last = Some(named);
    }
    host.emit("recorded", key.as_bytes())?;
    Ok(codec::encode(&RecordAnswer { event: *key.as_bytes(), new: true }))
}

fn link(host: &mut dyn Host, item: &Item, link: Link) -> Result<(), Trap> {
    let names = ItemNames::of(item);
    let name = names.item();
    let known = host.get_value::<ItemRecord>(&name)?;
    let mut record = known.unwrap_or_else(|| ItemRecord { item: Text::from(item.as_str()), links: 0 });
    host.put_value(&names.link(record.links), &link)?;
    record.links = record.links.checked_add(1).ok_or_else(|| Trap::broken("the item has too many links"))?;
    host.put_value(&name, &record)?;
    Ok(())
}

impl Traceability {
    fn trace(&self, host: &mut dyn Host, item: &Item) -> Result<Vec<u8>, Trap> {
        let found = walk(&mut Stored { host }, item, &self.limits).map_err(|error| match error {
            WalkError::Graph(trap) => trap,
            unknown @ WalkError::Unknown { .. } => Trap::refused(UNKNOWN_ITEM, unknown.to_string()),
            too_large @ WalkError::TooLarge { .. } => Trap::refused(TRACE_TOO_LARGE, too_large.to_string()),
        })?;
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let answer = TraceAnswer {
            items: found.items.iter().map(|(item, links)| (Text::from(item.as_str()), count(links.len()))).collect(),
            events: found.events.keys().map(|key| *key.as_bytes()).collect(),
            included: count(found.events.values().filter(|seen| seen.included).count()),
        };
        Ok(codec::encode(&answer))
    }
}

fn items(host: &mut dyn Host, question: &ItemsQuestion) -> Result<Vec<u8>, Trap> {
    let from: &[u8] = if question.from.is_empty() { b"i" } else { &question.from };
    if from.first() != Some(&b'i') {
        return Err(Trap::bad_arguments("a page starts where the one before it ended"));
    }
    let limit = usize::try_from(question.limit.clamp(1, MAX_PAGE)).unwrap_or(1);
    let entries = host.scan(from, Some(b"j"), limit)?;
    let (mut items, mut bytes, mut last) = (List::new(), 0_usize, None);
    for entry in &entries {
        if bytes >= PAGE_BYTES {
            break;
        }
        let record: ItemRecord = ledger_contracts::decode_value(&entry.value)?;
        bytes = bytes.saturating_add(record.item.len());
        items.push(record);
        last = Some(&entry.key);
    }
    let ended = items.len() == entries.len() && entries.len() < limit;
    let next = last.filter(|_| !ended).map(|key| Bytes::from([key.as_slice(), &[0]].concat()));
    Ok(codec::encode(&ItemsAnswer { items, next }))
}

/// The contract's own state as a graph.
struct Stored<'a> {
    host: &'a mut dyn Host,
}

impl Graph for Stored<'_> {
    type Error = Trap;

    fn links(&mut self, item: &Item) -> Result<Vec<Link>, Trap> {
        let names = ItemNames::of(item);
        let Some(record) = self.host.get_value::<ItemRecord>(&names.item())? else {
            return Ok(Vec::new());
        };
        let count = usize::try_from(record.links).unwrap_or(usize::MAX);
        let entries = self.host.scan(&names.link(0), Some(&names.link(record.links)), count)?;
        entries.iter().map(|entry| ledger_contracts::decode_value(&entry.value)).collect()
    }

    fn event(&mut self, key: EventKey) -> Result<(Event, AccountId), Trap> {
        let recorded: Recorded =
            self.host.get_value(&event_name(&key))?.ok_or_else(|| Trap::broken("a link leads to no event"))?;
        let event = read_event(self.host, &recorded.event)?;
        let event = event.map_err(|_| Trap::broken("a stored event can't be read"))?;
        Ok((event, recorded.recorder))
    }
}
