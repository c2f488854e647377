//! Key-value engines with bulk storage: where the views of the log live.
//!
//! ```text
//!   ChainStore ──Batch──▶ Engine::apply        all of it or nothing, seen by every later snapshot
//!   ChainReader ◀──get, range── Snapshot       one moment, whatever is applied meanwhile
//!   values ──bytes──▶ Engine::append ──▶ Address ──▶ Engine::read_bulk ──▶ bytes
//! ```
//!
//! # Contract
//! - Keys are byte strings of 1 to [`MAX_KEY_BYTES`], ordered byte by byte; many chains share one engine and keep
//!   apart by the prefix of their keys.
//! - A batch is atomic, before a crash and after it. A snapshot sees whole batches only, and always the same ones.
//! - **No durability is asked.** After a crash an engine may come back as it was after any earlier batch, but never
//!   with a later batch and without an earlier one. Who writes here can write it again from the log.
//!
//!
//! Beside its ordered keys an engine has *bulk storage*: bytes that are written once, read from anywhere and given up
//! from the oldest on, without the cost of being sorted and merged.
//! - [`Engine::append`] writes a blob behind all others and gives its [`Address`]. A blob is contiguous and lies within
//!   one *segment*; a segment is what is freed at a time. Addresses only grow, and stay valid when the engine is opened
//!   again.
//! - [`Engine::read_bulk`] reads from any address, the inside of a blob included. The bytes between the end of a blob and
//!   the next address mean nothing. In [`FjallEngine`], readers don't wait for appends.
//! - [`Engine::release`] says how far a space needs nothing any more. A segment is deleted when that holds for every
//!   space that wrote into it and when what was applied and appended before is durable; [scratch](Space::scratch) goes
//!   without that, since a crash may take it anyway. A chain's scratch is a space beside the chain's own: what is released
//!   in the one stays in the other.
//! - **No durability here either, and no order.** After a crash bytes that were appended since the last [`Engine::sync`]
//!   may be missing, zero or torn, although a batch applied later is there; and their addresses may be given again to
//!   other bytes. Who reads bulk bytes checks them by a digest or checksum of his own.
//!
//! # Failure
//! A failed [`Engine::apply`] leaves open whether the batch is in: open the engine again to know. An engine whose files
//! are damaged says so with [`EngineError::Damaged`], and is deleted and filled again from the log.
//!
//! A failed [`Engine::append`] leaves nothing that can be read, and may be tried again. A segment that is missing is
//! [`EngineError::Damaged`] when something in it is read; one that is cut reads short, as after a crash. After a failed
//! [`Engine::sync`] nothing is known about what is durable: every later `append`, `release` and `sync` fails. An engine on
//! a disk isn't opened again either before the machine was restarted: until then what can be read may be in memory alone,
//! though the next sync would succeed.
//!
//! # Engines
//! [`MemoryEngine`], and [`FjallEngine`] with the feature `fjall` (on by default). An engine of one's own shows with
//! [`testing::conformance`] that it keeps this contract.

mod address;
mod batch;
mod error;
#[cfg(feature = "fjall")]
mod fjall;
mod memory;
mod space;
pub mod testing;

pub use address::{ADDRESS_ALIGN, Address};
pub use batch::{Batch, Operations};
pub use error::EngineError;
#[cfg(feature = "fjall")]
pub use fjall::{FjallConfig, FjallEngine};
pub use memory::{MemoryConfig, MemoryEngine};
pub use space::{Space, after_prefix};

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 16 << 10;

/// Which end of a range comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The smallest key first.
    Forward,
    /// The largest key first.
    Backward,
}

/// What a range gives: keys and values.
pub type Entries<'a> = Box<dyn Iterator<Item = Result<(Vec<u8>, Vec<u8>), EngineError>> + 'a>;

/// An ordered key-value store with bulk storage.
pub trait Engine: Send + Sync {
    /// Everything that was applied up to now, and nothing that is applied later.
    fn snapshot(&self) -> Box<dyn Snapshot>;

    /// Applies all of `batch`, or nothing.
    ///
    /// # Errors
    /// [`EngineError`] when it can't; whether the batch is in is unknown until the engine was opened again.
    fn apply(&self, batch: Batch) -> Result<(), EngineError>;

    /// Writes `bytes` into bulk storage, on behalf of `space`, and returns the address of the first one.
    ///
    /// # Errors
    /// [`EngineError::BlobLength`] when they are more than [`Engine::largest_blob`]; [`EngineError`] when they can't be
    /// written, and then nothing of them can be read.
    fn append(&self, space: Space, bytes: &[u8]) -> Result<Address, EngineError>;

    /// The most bytes that [`Engine::append`] takes at once.
    fn largest_blob(&self) -> u64;

    /// Reads the bytes from `address` on into `buffer`, and returns how many there were: fewer than `buffer` holds only
    /// where the written bytes of the segment end, so 0 where nothing was written.
    ///
    /// # Errors
    /// [`EngineError::Released`] when they were given up; [`EngineError::Damaged`] when the segment is missing;
    /// [`EngineError`] when they can't be read.
    fn read_bulk(&self, address: Address, buffer: &mut [u8]) -> Result<usize, EngineError>;

    /// Reads from each of `addresses` as [`Engine::read_bulk`] does: `buffer` is filled in equal parts, one for each
    /// address, and `counts` says how many bytes there were in each. For many reads at once, where what is common to them
    /// is done once.
    ///
    /// # Errors
    /// Those of [`Engine::read_bulk`], for any of the addresses; what the buffer holds is then unknown.
    fn read_bulk_each(
        &self,
        addresses: &[Address],
        buffer: &mut [u8],
        counts: &mut [usize],
    ) -> Result<(), EngineError> {
        let length = buffer.len() / addresses.len().max(1);
        let parts = buffer.chunks_mut(length.max(1));
        for ((address, part), count) in addresses.iter().zip(parts).zip(counts) {
            *count = self.read_bulk(*address, part)?;
        }
        Ok(())
    }

    /// Takes note that `space` needs no bulk bytes below `below` any more, and deletes the segments that no space
    /// needs; the one that is being written is kept. Returns how many bytes that freed. What was said once holds: an
    /// address below an earlier one changes nothing.
    ///
    /// # Errors
    /// [`EngineError`] when it can't be noted or deleted; what is needed is there in any case.
    fn release(&self, space: Space, below: Address) -> Result<u64, EngineError>;

    /// Returns when all that was applied and appended before the call would survive a loss of power.
    ///
    /// # Errors
    /// [`EngineError`] when that can't be promised, and never will be by this engine.
    fn sync(&self) -> Result<(), EngineError>;

    /// Bytes that the engine takes up, bulk storage included: on disk, or in memory.
    ///
    /// # Errors
    /// [`EngineError`] when it can't be told.
    fn disk_bytes(&self) -> Result<u64, EngineError>;
}

/// An engine's content at one moment. Short-lived: while it exists, the engine keeps what it sees.
pub trait Snapshot: Send + Sync {
    /// The value of `key`.
    ///
    /// # Errors
    /// [`EngineError`] when it can't be read; an absent key is `Ok(None)`.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;

    /// The entries from `from` (inclusive) to `to` (exclusive; `None` is the end), in the order of `direction`. Empty
    /// when `from` isn't before `to`. After an error the iterator ends.
    fn range(&self, from: &[u8], to: Option<&[u8]>, direction: Direction) -> Entries<'_>;
}
