//! What the log holds, and where.

use std::fmt;

use ledger_crypto::Digest;

/// What a record is to the chain that wrote it. The log keeps the byte and gives it no meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKind(u8);

impl RecordKind {
    /// An ordered block's bytes.
    pub const PAYLOAD: Self = Self(1);
    /// What makes a block final.
    pub const CERTIFICATE: Self = Self(2);
    /// A validator's own vote, durable before it is sent.
    pub const VOTE: Self = Self(3);

    /// A kind of a consensus engine's own.
    #[must_use]
    pub const fn new(kind: u8) -> Self {
        Self(kind)
    }

    /// The byte in the log.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// One record of one chain.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// The chain that wrote it.
    pub chain: Digest,
    /// What it is.
    pub kind: RecordKind,
    /// The height it belongs to.
    pub height: u64,
    /// Its content, opaque to the log.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Record {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Record")
            .field("chain", &self.chain)
            .field("kind", &self.kind)
            .field("height", &self.height)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// Where a record stands. Ordered as the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition {
    /// The segment's number.
    pub segment: u64,
    /// Bytes from the segment's start to the record's frame.
    pub offset: u64,
    /// The frame's length in bytes, its header included.
    pub length: u32,
}

impl LogPosition {
    /// The bytes of [`to_bytes`](Self::to_bytes).
    pub const ENCODED: usize = 20;

    /// Before every record of every log.
    pub const START: Self = Self { segment: 0, offset: 0, length: 0 };

    /// The place right behind the record: where reading goes on for whoever has dealt with it.
    #[must_use]
    pub fn after(self) -> Self {
        Self { offset: self.offset.saturating_add(self.length.into()), length: 0, ..self }
    }

    /// Big-endian segment, offset and length: bytes that sort as positions do, for an index.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::ENCODED] {
        let mut bytes = [0; Self::ENCODED];
        let fields = self.segment.to_be_bytes().into_iter().chain(self.offset.to_be_bytes());
        for (byte, value) in bytes.iter_mut().zip(fields.chain(self.length.to_be_bytes())) {
            *byte = value;
        }
        bytes
    }

    /// The position that [`to_bytes`](Self::to_bytes) wrote.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::ENCODED]) -> Self {
        let mut rest = bytes.as_slice();
        let mut take = |count: usize| {
            let (head, tail) = rest.split_at(count);
            rest = tail;
            head.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte))
        };
        let (segment, offset, length) = (take(8), take(8), take(4));
        Self { segment, offset, length: u32::try_from(length).unwrap_or(u32::MAX) }
    }
}

impl fmt::Display for LogPosition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "segment {} offset {} ({} bytes)", self.segment, self.offset, self.length)
    }
}

/// One file of the log, as far as it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogSegment {
    /// The file's name.
    pub file: String,
    /// Where its first group stands; reading from here begins with its first record.
    pub start: LogPosition,
    /// Its length in bytes, header included and zeros written ahead excluded.
    pub bytes: u64,
    /// Records ever written before it.
    pub records_before: u64,
    /// Records in it.
    pub records: u64,
}

/// Where the log ends: the place of the next group, and how much came before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogEnd {
    /// The number of records ever written, those removed since included. It never shrinks while the log is intact.
    pub records: u64,
    /// The last segment's number.
    pub segment: u64,
    /// Bytes from that segment's start to the end.
    pub offset: u64,
}

/// Identifies one log: 32 random bytes, drawn once when it is created. A vote guard refuses to sign beside another log.
///
/// It also keys the log's checksums, so that nobody who doesn't know it can prepare bytes that look like a part of the log.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogId([u8; 32]);

impl LogId {
    /// An identifier of 32 random bytes, which the caller draws.
    #[must_use]
    pub const fn new(random: [u8; 32]) -> Self {
        Self(random)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LogId(")?;
        for byte in self.0.iter().take(4) {
            write!(formatter, "{byte:02x}")?;
        }
        formatter.write_str("..)")
    }
}
