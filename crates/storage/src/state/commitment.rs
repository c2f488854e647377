//! The seam between the state and what its root commits to.

use std::sync::Arc;

use ledger_core::state::sparse::StatePath;
use ledger_core::{Height, Key, StateError};
use ledger_crypto::Digest;

use crate::engine::{Batch, Snapshot};

/// A key's new leaf after a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The key's [place](ledger_core::state::sparse::key_digest).
    pub place: Digest,
    /// Its [leaf](ledger_core::state::sparse::leaf); `None` when the key has no value any more.
    pub leaf: Option<Digest>,
}

/// What a state root commits to, kept in an engine and changed in place. One writer: the chain's.
///
/// # Contract
/// - `reader` is always a snapshot of all that was committed, and of nothing else.
/// - [`update`](Self::update) puts what it changes into the batch. Once the batch is applied,
///   [`commit`](Self::commit) makes it the present; if it isn't applied, the value is dropped and opened again.
/// - The root follows from the leaves alone, never from the order of updates or from what is cached.
/// - Leaves are the values' table of [`state`](crate::state): implementations read it, and write only pages.
pub trait StateCommitment: Send {
    /// The root of what was committed.
    fn root(&self) -> Digest;

    /// The leaves at `places` (sorted, distinct), in their order.
    ///
    /// # Errors
    /// [`StateError`] when they can't be read.
    fn leaves(&mut self, reader: &dyn Snapshot, places: &[Digest]) -> Result<Vec<Option<Digest>>, StateError>;

    /// The root after block `height` made `changes` (sorted by place, distinct).
    ///
    /// # Errors
    /// [`StateError`] when the tree can't be read; the value must then be opened again.
    fn update(
        &mut self,
        reader: &dyn Snapshot,
        height: Height,
        changes: &[Change],
        batch: &mut Batch,
    ) -> Result<Digest, StateError>;

    /// The batch of the last [`update`](Self::update) was applied.
    fn commit(&mut self);

    /// What proves keys against recent roots, beside the writer.
    fn prover(&self) -> Arc<dyn StateProver>;
}

/// Proves keys present or absent in recent states.
pub trait StateProver: Send + Sync {
    /// The oldest height whose state [`prove`](Self::prove) still knows, given a snapshot taken before the call.
    ///
    /// # Errors
    /// [`StateError`] when it can't be read.
    fn oldest(&self) -> Height;

    /// The path of `key` in the tree as it was after block `at`, which `reader` has applied. `newest` is the last
    /// block that `reader` has applied.
    ///
    /// # Errors
    /// [`StateError::Height`] when that tree isn't known any more, others when it can't be read.
    fn prove(&self, reader: &dyn Snapshot, newest: Height, at: Height, key: &Key) -> Result<StatePath, StateError>;
}
