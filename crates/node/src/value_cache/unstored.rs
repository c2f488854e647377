//! What a block wrote that was executed and isn't stored yet: laid over the state before it, it is the state after it.

use ledger_core::{Execution, Height, Key, KeyRange, Scan, StateError, Version, Versioned, Write};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::iter::Peekable;
use std::sync::{Arc, OnceLock};

use super::entries::Whole;

/// A block that was executed, by what it wrote.
pub(crate) struct Unstored {
    height: Height,
    execution: Arc<Execution>,
    /// A key each, in order.
    groups: Vec<Group>,
    /// Groups by the key's hash. Of two keys that share one, the later stands here.
    places: HashMap<u64, usize, BuildHasherDefault<Whole>>,
}

/// The writes of a key.
struct Group {
    from: usize,
    to: usize,
    /// What the key has after them, once somebody has asked.
    value: OnceLock<Option<Versioned>>,
}

impl Unstored {
    /// What the block at `height` wrote. `hash` gives the hash by which a key will be asked for.
    pub(crate) fn new(height: Height, execution: Arc<Execution>, hash: impl Fn(&Key) -> u64) -> Self {
        let mut groups = Vec::with_capacity(execution.writes.len());
        let mut places = HashMap::with_capacity_and_hasher(execution.writes.len(), BuildHasherDefault::default());
        let mut from = 0;
        for writes in execution.writes.by_key() {
            let to = from + writes.len();
            if let Some(write) = writes.first() {
                places.insert(hash(&write.key), groups.len());
            }
            groups.push(Group { from, to, value: OnceLock::new() });
            from = to;
        }
        Unstored { height, execution, groups, places }
    }

    /// The block.
    pub(crate) fn height(&self) -> Height {
        self.height
    }

    fn writes(&self, group: &Group) -> &[Write] {
        self.execution.writes.iter().as_slice().get(group.from..group.to).unwrap_or_default()
    }

    fn key(&self, group: &Group) -> Option<&Key> {
        self.writes(group).first().map(|write| &write.key)
    }

    /// What `key` has after the block, if that wrote it. `before` says what it had before.
    pub(super) fn find(
        &self,
        hash: u64,
        key: &Key,
        before: impl FnOnce() -> Result<Option<Versioned>, StateError>,
    ) -> Option<Result<Option<Versioned>, StateError>> {
        let group = self.groups.get(*self.places.get(&hash)?)?;
        let group = match self.key(group) {
            Some(found) if found == key => group,
            // It shares its hash with another key, which may be all that was written of the two.
            _ => {
                let place = self.groups.binary_search_by(|group| self.key(group).cmp(&Some(key))).ok()?;
                self.groups.get(place)?
            }
        };
        Some(self.after(group, before))
    }

    /// What a key has after its writes.
    fn after(
        &self,
        group: &Group,
        before: impl FnOnce() -> Result<Option<Versioned>, StateError>,
    ) -> Result<Option<Versioned>, StateError> {
        if let Some(value) = group.value.get() {
            return Ok(value.clone());
        }
        let mut value = before()?;
        for write in self.writes(group) {
            let predecessor = value.map(|before| before.leaf(&write.key));
            let version = Version { height: self.height, index: write.index };
            value = write.value.clone().map(|value| Versioned { value, version, predecessor });
        }
        Ok(group.value.get_or_init(|| value).clone())
    }

    /// The keys of `range` after the block; `before` are those before it.
    pub(super) fn scan<'a>(&'a self, range: &KeyRange, before: Scan<'a>) -> Scan<'a> {
        let first = Key { namespace: range.namespace, name: range.from.clone() };
        let from = self.groups.partition_point(|group| self.key(group).is_some_and(|key| *key < first));
        let groups = self.groups.get(from..).unwrap_or_default().iter();
        Box::new(Merged { of: self, range: range.clone(), before: before.peekable(), groups: groups.peekable() })
    }
}

/// What stood there before, and what was written, by key.
struct Merged<'a> {
    of: &'a Unstored,
    range: KeyRange,
    before: Peekable<Scan<'a>>,
    groups: Peekable<std::slice::Iter<'a, Group>>,
}

impl Iterator for Merged<'_> {
    type Item = Result<(Key, Versioned), StateError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let written = self.groups.peek().and_then(|group| self.of.key(group));
            let written = written.filter(|key| self.range.contains(key));
            let (Some(key), Some(group)) = (written, self.groups.peek()) else { return self.before.next() };
            let before = match self.before.peek() {
                Some(Ok((before, _))) if before < key => return self.before.next(),
                Some(Ok((before, _))) if before == key => match self.before.next() {
                    Some(Ok((_, versioned))) => Some(versioned),
                    other => return other,
                },
                Some(Err(_)) => return self.before.next(),
                _ => None,
            };
            let after = self.of.after(group, || Ok(before));
            self.groups.next();
            match after {
                Ok(Some(versioned)) => return Some(Ok((key.clone(), versioned))),
                // Deleted.
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl std::fmt::Debug for Unstored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unstored").field("height", &self.height).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_core::codec::List;
    use ledger_core::{ContractId, Fuel, Writes};
    use ledger_crypto::Digest;

    #[test]
    fn keys_that_share_a_hash_are_told_apart() {
        let key = |number: u8| Key::new(ContractId(Digest::ZERO), vec![number]);
        let write = |number: u8| Write { key: key(number), index: 0, value: Some(vec![number].into()) };
        let writes = Writes::new((1..9).map(write).collect());
        let execution = Execution { writes, results: Vec::new(), fuel_used: Fuel(0), validators: List::new() };
        let unstored = Unstored::new(Height(4), Arc::new(execution), |_| 7);
        for number in 0..10 {
            let found = unstored.find(7, &key(number), || Ok(None)).map(|found| found.unwrap().unwrap().value);
            assert_eq!(found, (1..9).contains(&number).then(|| vec![number].into()));
        }
        assert!(unstored.find(8, &key(3), || Ok(None)).is_none());
    }
}
