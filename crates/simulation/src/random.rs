//! Where every choice of a run comes from.

use ledger_crypto::{Digest, Domain, Hasher, hash};
use std::ops::RangeInclusive;

const STREAM: Domain = Domain::new("ledgerkit.sim.random");
const FORK: Domain = Domain::new("ledgerkit.sim.fork");

/// An endless stream of numbers that follow from a seed: BLAKE3 in counter mode, the same on every machine and in every
/// build.
#[derive(Clone, Debug)]
pub struct Random {
    key: Digest,
    counter: u64,
    ready: Vec<u64>,
}

impl Random {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self::of(hash(FORK, &seed.to_le_bytes()))
    }

    fn of(key: Digest) -> Self {
        Random { key, counter: 0, ready: Vec::with_capacity(4) }
    }

    /// A stream of its own for `purpose`. It doesn't depend on what was drawn from this one, so that one part of the
    /// world drawing more leaves the others as they were.
    #[must_use]
    pub fn fork(&self, purpose: &str, number: u64) -> Self {
        let mut hasher = Hasher::new(FORK);
        hasher.update(self.key.as_bytes()).update(&number.to_le_bytes()).update(purpose.as_bytes());
        Self::of(hasher.finalize())
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        loop {
            if let Some(number) = self.ready.pop() {
                return number;
            }
            let mut hasher = Hasher::new(STREAM);
            let digest = hasher.update(self.key.as_bytes()).update(&self.counter.to_le_bytes()).finalize();
            self.counter += 1;
            let (words, _) = digest.as_bytes().as_chunks::<8>();
            self.ready.extend(words.iter().map(|word| u64::from_le_bytes(*word)));
        }
    }

    /// A number below `bound`; 0 when the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.draw()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// A number of the range.
    pub fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (first, last) = (*range.start(), *range.end());
        first + self.below(last.saturating_sub(first).saturating_add(1))
    }

    /// True in `percent` of 100 draws.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// An index below `length`, which must not be 0 to be of use.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    /// 32 bytes.
    pub fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for chunk in bytes.as_chunks_mut::<8>().0 {
            *chunk = self.draw().to_le_bytes();
        }
        bytes
    }

    /// Puts `items` in an order of chance.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_follows_from_its_seed_and_purpose_alone() {
        let (mut one, mut same, other) = (Random::new(7), Random::new(7), Random::new(8));
        let first: Vec<u64> = (0..9).map(|_| one.draw()).collect();
        assert_eq!(first, (0..9).map(|_| same.draw()).collect::<Vec<_>>());
        let mut forked = one.fork("disk", 0);
        assert_eq!(forked.draw(), Random::new(7).fork("disk", 0).draw(), "draws don't change a fork");
        assert_ne!(one.fork("disk", 1).draw(), Random::new(7).fork("disk", 0).draw());
        assert_ne!(other.clone().draw(), first[0]);
    }

    #[test]
    fn draws_stay_in_their_bounds_and_reach_them() {
        let mut random = Random::new(1);
        let drawn: std::collections::BTreeSet<u64> = (0..200).map(|_| random.within(3..=6)).collect();
        assert_eq!(drawn, (3..=6).collect());
        assert_eq!(random.below(0), 0);
        assert!(!random.chance(0) && random.chance(100));
    }
}
