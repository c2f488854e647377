//! The beginnings of key digests, in steps of four bits.

use ledger_crypto::Digest;

/// The first `nibbles` half-bytes of a key digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Prefix {
    nibbles: u8,
    /// The rest is zero.
    bits: [u8; 32],
}

impl Prefix {
    pub(super) const ROOT: Self = Self { nibbles: 0, bits: [0; 32] };

    /// How many bits it has.
    pub(super) fn depth(&self) -> usize {
        usize::from(self.nibbles) * 4
    }

    /// This prefix and one half-byte more.
    pub(super) fn child(mut self, nibble: u8) -> Self {
        if let Some(byte) = self.bits.get_mut(usize::from(self.nibbles / 2)) {
            *byte |= if self.nibbles.is_multiple_of(2) { nibble << 4 } else { nibble & 15 };
            self.nibbles += 1;
        }
        self
    }

    /// The half-byte of `place` that follows this prefix.
    pub(super) fn next(&self, place: &Digest) -> u8 {
        let byte = place.as_bytes().get(usize::from(self.nibbles / 2)).copied().unwrap_or_default();
        if self.nibbles.is_multiple_of(2) { byte >> 4 } else { byte & 15 }
    }

    /// The first and the last digest that begin so.
    pub(super) fn bounds(&self) -> (Digest, Digest) {
        let (whole, half) = (usize::from(self.nibbles / 2), !self.nibbles.is_multiple_of(2));
        let mut last = self.bits;
        for (index, byte) in last.iter_mut().enumerate().skip(whole) {
            *byte |= if half && index == whole { 15 } else { u8::MAX };
        }
        (Digest::new(self.bits), Digest::new(last))
    }

    /// The key of a page: the number of half-bytes, then the bytes that hold them.
    pub(super) fn with_bytes<T>(&self, use_parts: impl FnOnce(&[&[u8]]) -> T) -> T {
        let length = usize::from(self.nibbles).div_ceil(2);
        use_parts(&[&[self.nibbles], self.bits.get(..length).unwrap_or_default()])
    }
}
