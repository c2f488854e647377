//! What lasts on a mocked chain, and how it is taken back.

use super::{Emitted, Failure};
use crate::Definition;
use crate::host::Entry;
use crate::id::ContractId;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Bound;

/// The default limits of a chain's rules.
const MAX_KEY_BYTES: usize = 1 << 10;
const MAX_VALUE_BYTES: usize = 1 << 20;
const MAX_EVENTS: usize = 1_024;
const MAX_EVENT_BYTES: usize = 64 << 10;
pub(super) const MAX_OUTPUT_BYTES: usize = 1 << 20;
pub(super) const MAX_CALL_DEPTH: usize = 16;

type Name = (ContractId, Vec<u8>);

/// Contracts, state and events, with a log to take changes back by.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) contracts: BTreeMap<ContractId, &'static Definition>,
    pub(super) state: BTreeMap<Name, Vec<u8>>,
    pub(super) events: Vec<Emitted>,
    deployed: u64,
    /// What was there before each write of the call that is running.
    replaced: Vec<(Name, Option<Vec<u8>>)>,
    /// Where the running call's events begin.
    first_event: usize,
}

/// A place to go back to.
#[derive(Clone, Copy)]
pub(super) struct Savepoint {
    replaced: usize,
    events: usize,
}

pub(super) fn within(what: &'static str, size: usize, limit: usize) -> Result<(), Failure> {
    if size > limit { Err(Failure::Limit { what, size, limit }) } else { Ok(()) }
}

impl World {
    pub(super) const fn new() -> Self {
        World {
            contracts: BTreeMap::new(),
            state: BTreeMap::new(),
            events: Vec::new(),
            deployed: 0,
            replaced: Vec::new(),
            first_event: 0,
        }
    }

    pub(super) fn next_id(&mut self) -> ContractId {
        self.deployed += 1;
        ContractId(*blake3::hash(&self.deployed.to_le_bytes()).as_bytes())
    }

    /// From here on a call runs.
    pub(super) fn begin(&mut self) {
        self.replaced.clear();
        self.first_event = self.events.len();
    }

    pub(super) fn savepoint(&self) -> Savepoint {
        Savepoint { replaced: self.replaced.len(), events: self.events.len() }
    }

    pub(super) fn rollback(&mut self, to: Savepoint) {
        while self.replaced.len() > to.replaced
            && let Some((name, value)) = self.replaced.pop()
        {
            match value {
                Some(value) => self.state.insert(name, value),
                None => self.state.remove(&name),
            };
        }
        self.events.truncate(to.events);
    }

    pub(super) fn get(&self, contract: ContractId, key: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        within("the key", key.len(), MAX_KEY_BYTES)?;
        Ok(self.state.get(&(contract, key.to_vec())).cloned())
    }

    pub(super) fn set(&mut self, contract: ContractId, key: &[u8], value: Option<&[u8]>) -> Result<(), Failure> {
        within("the key", key.len(), MAX_KEY_BYTES)?;
        within("the value", value.map_or(0, <[u8]>::len), MAX_VALUE_BYTES)?;
        let name = (contract, key.to_vec());
        let before = match value {
            Some(value) => self.state.insert(name.clone(), value.to_vec()),
            None => self.state.remove(&name),
        };
        self.replaced.push((name, before));
        Ok(())
    }

    pub(super) fn scan(&self, contract: ContractId, from: &[u8], to: Option<&[u8]>, limit: u32) -> Vec<Entry> {
        if to.is_some_and(|to| to <= from) {
            return Vec::new();
        }
        let start = Bound::Included((contract, from.to_vec()));
        let inside = |name: &Name| name.0 == contract && to.is_none_or(|to| name.1.as_slice() < to);
        let found = self.state.range((start, Bound::Unbounded)).take_while(|(name, _)| inside(name));
        let found = found.take(usize::try_from(limit).unwrap_or(usize::MAX));
        found.map(|((_, key), value)| Entry { key: key.clone(), value: value.clone() }).collect()
    }

    pub(super) fn emit(&mut self, contract: ContractId, topic: &str, data: &[u8]) -> Result<(), Failure> {
        within("the number of events", self.events.len() + 1 - self.first_event, MAX_EVENTS)?;
        within("the event", topic.len() + data.len(), MAX_EVENT_BYTES)?;
        self.events.push(Emitted { contract, topic: String::from(topic), data: data.to_vec() });
        Ok(())
    }
}
