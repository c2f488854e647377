//! How chains share one engine.

/// The part of an engine that belongs to one chain: a prefix of four bytes, then a byte for the table. A chain costs
/// its keys and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Space(u32);

const SCRATCH: u32 = 1 << 31;

impl Space {
    /// The space of what belongs to no chain.
    pub const SHARED: Self = Self(0);

    /// The space of the chain with this number. [`u32::MAX`] is taken for the number before it, so that every space
    /// has an end.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(if number == u32::MAX { u32::MAX - 1 } else { number })
    }

    /// The chain's number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The space of this chain's short-lived bulk bytes: [`FjallEngine`](super::FjallEngine) keeps them apart from
    /// those that stay, so that whole segments of them can go. Chains have numbers below 2³¹.
    #[must_use]
    pub const fn scratch(self) -> Self {
        Self(self.0 | SCRATCH)
    }

    /// Whether this is a chain's [scratch](Self::scratch) space.
    #[must_use]
    pub const fn is_scratch(self) -> bool {
        self.0 & SCRATCH != 0
    }

    /// The engine's key for `parts`, one after another, in `table`.
    #[must_use]
    pub fn key(self, table: u8, parts: &[&[u8]]) -> Vec<u8> {
        let mut key = Vec::with_capacity(5 + parts.iter().map(|part| part.len()).sum::<usize>());
        key.extend_from_slice(&self.0.to_be_bytes());
        key.push(table);
        for part in parts {
            key.extend_from_slice(part);
        }
        key
    }

    /// What [`Space::key`] put behind the table's byte.
    #[must_use]
    pub fn suffix(key: &[u8]) -> &[u8] {
        key.get(5..).unwrap_or_default()
    }
}

/// The first key after all that begin with `prefix`; `None` when there is none.
#[must_use]
pub fn after_prefix(mut prefix: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = prefix.pop() {
        if let Some(next) = last.checked_add(1) {
            prefix.push(next);
            return Some(prefix);
        }
    }
    None
}
