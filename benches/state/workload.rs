//! The keys and values that every contender gets, from seeds alone. This file is compiled into the bench and into the
//! package of the peers, so that all draw the same.

use std::collections::HashSet;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;
/// Bytes of a value.
pub(crate) const VALUE_BYTES: usize = 100;

/// SplitMix64 (Steele, Lea, Flood 2014): one multiplication chain from a counter, good enough to spread keys evenly.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in `0..limit` up to a bias of `limit / 2^64`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        let wide = u128::from(self.draw()) * u128::from(limit);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    fn fill<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for chunk in bytes.chunks_mut(8) {
            for (byte, drawn) in chunk.iter_mut().zip(self.draw().to_le_bytes()) {
                *byte = drawn;
            }
        }
        bytes
    }
}

/// The key with a number.
pub(crate) fn key(number: u64) -> [u8; KEY_BYTES] {
    Random::new(number.wrapping_mul(0xd6e8_feb8_6659_fd93) ^ 0x6b65_7973).fill()
}

/// The value with a number: random bytes, which nothing can compress.
pub(crate) fn value(number: u64) -> [u8; VALUE_BYTES] {
    Random::new(number.wrapping_mul(0xa076_1d64_78bd_642f) ^ 0x7661_6c73).fill()
}

/// One key with its new value.
pub(crate) type Update = ([u8; KEY_BYTES], [u8; VALUE_BYTES]);

/// What is asked of a contender.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    /// Keys in the state before the clock starts.
    pub(crate) keys: u64,
    /// Updates in a batch; all of different keys.
    pub(crate) batch: u64,
    /// Batches that are timed.
    pub(crate) batches: u64,
    /// Batches before those, not timed.
    pub(crate) warm_up: u64,
}

impl Workload {
    /// Keys that are loaded in one batch.
    const LOADED_AT_ONCE: u64 = 20_000;

    /// The batches that make the state.
    pub(crate) fn loads(self) -> impl Iterator<Item = Vec<Update>> {
        (0..self.keys).step_by(20_000).map(move |first| {
            let end = (first + Self::LOADED_AT_ONCE).min(self.keys);
            (first..end).map(|number| (key(number), value(number))).collect()
        })
    }

    /// Batch `number`, uniformly drawn without repetition, in the order of drawing.
    pub(crate) fn batch(self, number: u64) -> Vec<Update> {
        let mut random = Random::new(0x6261_7463 ^ (number << 32));
        let mut drawn = HashSet::new();
        let mut updates = Vec::new();
        let wanted = self.batch.min(self.keys);
        while (updates.len() as u64) < wanted {
            let chosen = random.below(self.keys);
            if drawn.insert(chosen) {
                updates.push((key(chosen), value((number + 1) << 32 | chosen)));
            }
        }
        updates
    }

    /// Numbers of keys to read or prove, uniformly drawn.
    pub(crate) fn reads(self, count: u64) -> impl Iterator<Item = u64> {
        let mut random = Random::new(0x7265_6164);
        (0..count).map(move |_| random.below(self.keys))
    }
}
