//! Where bulk bytes lie.

/// What every [`Address`] is a multiple of, in bytes.
pub const ADDRESS_ALIGN: u64 = 16;

/// Where bulk bytes lie in an engine: a multiple of [`ADDRESS_ALIGN`]. 48 bits of multiples are used (4.5 PB an
/// engine, for all that is ever appended), so that an address fits in six bytes. Addresses grow; a later blob has a larger one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(u64);

impl Address {
    /// The first address.
    pub const ZERO: Self = Self(0);

    /// The last address.
    pub const MAX: Self = Self(((1 << 48) - 1) * ADDRESS_ALIGN);

    /// The address of the byte with this number; `None` unless it is a multiple of [`ADDRESS_ALIGN`] and at most
    /// [`Address::MAX`].
    #[must_use]
    pub const fn new(byte: u64) -> Option<Self> {
        if byte.is_multiple_of(ADDRESS_ALIGN) && byte <= Self::MAX.0 { Some(Self(byte)) } else { None }
    }

    /// Half of all addresses are for what spaces keep, half for their [scratch](super::Space::scratch).
    #[cfg(feature = "fjall")]
    pub(super) const MIDDLE: Self = Self((1 << 47) * ADDRESS_ALIGN);

    /// The byte's number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The address `bytes` further on; `None` under the conditions of [`Address::new`].
    #[must_use]
    pub const fn offset(self, bytes: u64) -> Option<Self> {
        match self.0.checked_add(bytes) {
            Some(byte) => Self::new(byte),
            None => None,
        }
    }

    /// How many multiples of [`ADDRESS_ALIGN`] it is, most significant byte first: these bytes sort as addresses do.
    #[must_use]
    pub const fn packed(self) -> [u8; 6] {
        let [_, _, a, b, c, d, e, f] = (self.0 / ADDRESS_ALIGN).to_be_bytes();
        [a, b, c, d, e, f]
    }

    /// What [`Address::packed`] gave. Any six bytes are an address.
    #[must_use]
    pub const fn from_packed([a, b, c, d, e, f]: [u8; 6]) -> Self {
        Self(u64::from_be_bytes([0, 0, a, b, c, d, e, f]) * ADDRESS_ALIGN)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// `bytes` up to the next multiple of [`ADDRESS_ALIGN`].
pub(super) const fn aligned(bytes: u64) -> u64 {
    bytes.saturating_add(ADDRESS_ALIGN - 1) / ADDRESS_ALIGN * ADDRESS_ALIGN
}

/// The bytes of a slice, as addresses count them.
pub(super) fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_addresses_come_back_and_sort_alike() {
        let addresses = [0, 16, 32, 4_080, 4_096, 1 << 32, (1 << 52) - 16].map(|byte| Address::new(byte).unwrap());
        for pair in addresses.windows(2) {
            assert!(pair[0] < pair[1] && pair[0].packed() < pair[1].packed());
        }
        for address in addresses {
            assert_eq!(Address::from_packed(address.packed()), address);
        }
        assert_eq!(Address::from_packed([255; 6]), Address::MAX);
    }

    #[test]
    fn unaligned_and_too_large_addresses_are_none() {
        for byte in [1, 15, 17, 1 << 52, u64::MAX] {
            assert_eq!(Address::new(byte), None);
        }
        assert_eq!(Address::MAX.offset(16), None);
        assert_eq!(Address::MAX.offset(u64::MAX), None);
        assert_eq!(Address::ZERO.offset(8), None);
        assert_eq!(Address::ZERO.offset(48), Address::new(48));
        assert_eq!((aligned(0), aligned(1), aligned(16), aligned(17)), (0, 16, 16, 32));
    }
}
