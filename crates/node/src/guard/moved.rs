//! Moving a vote guard to the log of another folder: [`Chain::move_guard`].

use crate::chain::Chain;
use ledger_consensus::solo;
use ledger_core::{Height, finality};
use ledger_crypto::{Digest, Guard, GuardError, GuardRecord, LastVote, VotePosition};

/// Why a guard can't be moved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MoveGuardError {
    /// A validator's votes aren't its blocks: nobody can tell from a chain how far they went.
    #[error(
        "the guard of a validator can't be moved to another log: it may have voted behind the newest block here; give the \
         node the newest data folder, or a new key, or let it observe"
    )]
    NotOneOwner,
    /// There is no guard, so nobody knows how far the key has signed.
    #[error("there is no vote guard to move: restore the one that the old data folder was used with")]
    Missing,
    /// Another chain's guard.
    #[error("the vote guard is of chain {found}, not of {expected}")]
    OtherChain {
        /// The chain that it names.
        found: Digest,
        /// The chain here.
        expected: Digest,
    },
    /// The key has signed blocks that aren't here: going on would sign others in their place.
    #[error(
        "the key has signed at {guard}, and the newest block here is {newest}: begin from a snapshot of the newest block that \
         it signed"
    )]
    Behind {
        /// The last vote that the guard knows of.
        guard: VotePosition,
        /// The newest block.
        newest: Height,
    },
    /// The guard can't be read or written.
    #[error(transparent)]
    Guard(#[from] GuardError),
}

impl Chain {
    /// Makes a chain's vote guard one of this folder's log, so that its owner's key can go on here and not in the folder
    /// that the guard was used with before. For a chain of one owner that was begun from a snapshot, and opened with
    /// [`Observer`](ledger_consensus::Observer): each of its blocks is a vote, so the guard shows whether any was signed
    /// behind the newest one here. Does nothing where the guard belongs here already.
    ///
    /// # Errors
    /// [`MoveGuardError`]; the guard is then as it was.
    pub fn move_guard(&self, guard: &mut dyn Guard) -> Result<(), MoveGuardError> {
        if self.shared.genesis.engine.name.as_str() != finality::SOLO {
            return Err(MoveGuardError::NotOneOwner);
        }
        let record = guard.load()?.ok_or(MoveGuardError::Missing)?;
        let (found, expected) = (record.chain, self.shared.id.0);
        if found != expected {
            return Err(MoveGuardError::OtherChain { found, expected });
        }
        let log = Digest::new(*self.shared.log.id().as_bytes());
        if record.log == log {
            return Ok(());
        }
        let newest = self.progress().ordered;
        let here = (newest > Height::GENESIS).then(|| solo::position(newest));
        match record.last.map(|last| last.position) {
            Some(guard) if here < Some(guard) => Err(MoveGuardError::Behind { guard, newest }),
            _ => {
                // What was signed at it, the log has.
                let last = here.map(|position| LastVote { position, message: None });
                let moved = GuardRecord { log, chain: expected, last };
                // Twice, since it may be at the position of the record that it replaces: where a guard has two slots and
                // the higher position counts, both have it then. A crash in between leaves the one or the other.
                guard.store(&moved)?;
                Ok(guard.store(&moved)?)
            }
        }
    }
}
