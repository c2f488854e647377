//! Ordered key-value engines: where the views of the log live.
//!
//! ```text
//!   ChainStore ──Batch──▶ Engine::apply     all of it or nothing, seen by every later snapshot
//!   ChainReader ◀──get, range── Snapshot    one moment, whatever is applied meanwhile
//! ```
//!
//! # Contract
//! - Keys are byte strings of 1 to [`MAX_KEY_BYTES`], ordered byte by byte; many chains share one engine and keep
//!   apart by the prefix of their keys.
//! - A batch is atomic, before a crash and after it. A snapshot sees whole batches only, and always the same ones.
//! - **No durability is asked.** After a crash an engine may come back as it was after any earlier batch, but never
//!   with a later batch and without an earlier one. Who writes here can write it again from the log.
//!
//! # Failure
//! A failed [`Engine::apply`] leaves open whether the batch is in: open the engine again to know. An engine whose files
//! are damaged says so with [`EngineError::Damaged`], and is deleted and filled again from the log.
//!
//! # Engines
//! [`MemoryEngine`], and [`FjallEngine`] with the feature `fjall` (on by default). An engine of one's own shows with
//! [`testing::conformance`] that it keeps this contract.

mod batch;
mod error;
#[cfg(feature = "fjall")]
mod fjall;
mod memory;
mod space;
pub mod testing;

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

/// An ordered key-value store.
pub trait Engine: Send + Sync {
    /// Everything that was applied up to now, and nothing that is applied later.
    fn snapshot(&self) -> Box<dyn Snapshot>;

    /// Applies all of `batch`, or nothing.
    ///
    /// # Errors
    /// [`EngineError`] when it can't; whether the batch is in is unknown until the engine was opened again.
    fn apply(&self, batch: Batch) -> Result<(), EngineError>;
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
