//! The bytes that were appended last, in memory.
//!
//! A state that is written to is read where it was written last: each new version of a key needs the record of the one
//! before. Where thousands of chains write a few keys a block, reading those records one by one from the system's own
//! cache costs more than making the new ones. So what was appended stays here until as much has come after it.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::engine::Address;
use crate::engine::address::aligned;

/// Bytes of a part; parts are locked one by one and allocated when they are first written.
const PART: u64 = 256 << 10;

/// A ring of parts: the bytes at an address lie in the part with the number of the address's multiple of [`PART`], modulo
/// their number. Addresses only grow, so a newer one takes an older one's place.
pub(super) struct Recent {
    parts: Vec<RwLock<Part>>,
}

/// What is known of one multiple of [`PART`].
#[derive(Default)]
struct Part {
    /// The addresses whose bytes are here; none where both are the same.
    from: u64,
    to: u64,
    /// The bytes, at their distance from the multiple; allocated as a whole or not at all.
    bytes: Vec<u8>,
}

fn read(part: &RwLock<Part>) -> RwLockReadGuard<'_, Part> {
    // A part's bounds are widened only after its bytes are there.
    part.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(part: &RwLock<Part>) -> RwLockWriteGuard<'_, Part> {
    part.write().unwrap_or_else(PoisonError::into_inner)
}

/// Where in its part an address lies.
fn place(address: u64) -> usize {
    usize::try_from(address % PART).unwrap_or(0)
}

impl Recent {
    /// Room for about so many bytes; 0 keeps nothing.
    pub(super) fn new(bytes: u64) -> Self {
        let parts = usize::try_from(bytes.div_ceil(PART)).unwrap_or(0);
        Recent { parts: (0..parts).map(|_| RwLock::default()).collect() }
    }

    fn part(&self, address: u64) -> Option<&RwLock<Part>> {
        let number = (address / PART).checked_rem(self.parts.len() as u64)?;
        self.parts.get(usize::try_from(number).ok()?)
    }

    /// `bytes` were written at `address`, and zeros behind them up to the next address. To be told by one at a time.
    pub(super) fn appended(&self, address: Address, bytes: &[u8]) {
        let most = (self.parts.len() as u64).saturating_mul(PART);
        let end = address.get().saturating_add(aligned(bytes.len() as u64));
        if most == 0 {
            return;
        }
        // What would be overwritten by the rest of itself is left out.
        let mut at = address.get().max(end.saturating_sub(most));
        while at < end {
            let next = (at - at % PART).saturating_add(PART).min(end);
            let from = usize::try_from(at - address.get()).unwrap_or(usize::MAX);
            let count = usize::try_from(next - at).unwrap_or(0);
            let taken = bytes.get(from..).unwrap_or_default();
            let taken = taken.get(..count).unwrap_or(taken);
            if let Some(part) = self.part(at) {
                let mut part = write(part);
                if part.bytes.is_empty() {
                    part.bytes.resize(usize::try_from(PART).unwrap_or(0), 0);
                }
                if part.to != at || at.is_multiple_of(PART) {
                    (part.from, part.to) = (at, at);
                }
                let room = part.bytes.get_mut(place(at)..).and_then(|room| room.get_mut(..count)).unwrap_or_default();
                let (own, rest) = room.split_at_mut_checked(taken.len()).unwrap_or_default();
                own.copy_from_slice(taken);
                rest.fill(0);
                part.to = next;
            }
            at = next;
        }
    }

    /// Fills `buffer` with the bytes from `address` on, if all of them are here.
    pub(super) fn read(&self, address: Address, buffer: &mut [u8]) -> bool {
        let (mut at, mut rest) = (address.get(), buffer);
        while !rest.is_empty() {
            let Some(part) = self.part(at) else { return false };
            let part = read(part);
            let left = usize::try_from(PART).unwrap_or(0) - place(at);
            let (own, others) = rest.split_at_mut(left.min(rest.len()));
            let end = at.saturating_add(own.len() as u64);
            if part.from > at || end > part.to {
                return false;
            }
            let Some(bytes) = part.bytes.get(place(at)..).and_then(|bytes| bytes.get(..own.len())) else {
                return false;
            };
            own.copy_from_slice(bytes);
            (at, rest) = (end, others);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_gives_what_was_appended_or_nothing(
            first in 0u64..4 * PART / 16,
            appended in prop::collection::vec((0usize..300_000, 0u64..3, any::<u8>()), 1..30),
            reads in prop::collection::vec((0u64..1_000_000, 0usize..600), 1..40),
        ) {
            let recent = Recent::new(3 * PART);
            let start = first * 16;
            let mut all = Vec::new();
            // Gaps between two appends are known to nobody.
            let mut known = Vec::new();
            for (length, gap, byte) in appended {
                let gap = usize::try_from(gap * 16).unwrap();
                all.extend(std::iter::repeat_n(0, gap));
                known.extend(std::iter::repeat_n(false, gap));
                let bytes: Vec<u8> = (0..251).cycle().take(length).map(|index: u8| byte.wrapping_add(index)).collect();
                recent.appended(Address::new(start + all.len() as u64).unwrap(), &bytes);
                all.extend(&bytes);
                all.resize(usize::try_from(aligned(all.len() as u64)).unwrap(), 0);
                known.resize(all.len(), true);
                for (from_end, length) in &reads {
                    let Some(from) = (all.len() as u64).checked_sub(from_end - from_end % 16) else { continue };
                    let from = usize::try_from(from).unwrap();
                    let length = (*length).min(all.len() - from);
                    let mut buffer = vec![0xee; length];
                    if recent.read(Address::new(start + from as u64).unwrap(), &mut buffer) {
                        prop_assert_eq!(&buffer[..], &all[from..from + length]);
                        prop_assert!(known[from..from + length].iter().all(|known| *known));
                    } else {
                        // The last two parts are always here, unless a gap lies in them.
                        let near = all.len() - from < usize::try_from(2 * PART).unwrap();
                        prop_assert!(!near || known[from..].iter().any(|known| !known) || from_end > &(2 * PART));
                    }
                }
            }
        }
    }

    #[test]
    fn none_keeps_nothing() {
        let recent = Recent::new(0);
        recent.appended(Address::ZERO, b"bytes");
        assert!(!recent.read(Address::ZERO, &mut [0; 5]));
    }
}
