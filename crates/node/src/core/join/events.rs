//! What goes into the machine that joins and what comes out of it, and its bounds.

use ledger_core::{Height, Timestamp};
use ledger_crypto::{Digest, PublicKey};
use std::sync::Arc;

/// Bounds and patience of joining.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinConfig {
    /// The most bytes of pieces in assembly and waiting to be added (default 64 MiB). A longer piece comes alone.
    pub memory_bytes: usize,
    /// How long a part may take before somebody else is asked for the piece, in ms (default 2,000).
    pub timeout_ms: u64,
    /// How long a peer that gave what can't be is left out, in ms (default 60,000).
    pub ban_ms: u64,
    /// How long offers are waited for after the first answer, in ms (default 500).
    pub gather_ms: u64,
    /// How often peers are asked what they have while nothing can be fetched, in ms (default 1,000); while something can,
    /// 30 times as seldom.
    pub ask_ms: u64,
    /// How long peers may have no snapshot, or none of the pieces that are missing, in ms, before blocks from the genesis, or
    /// a newer snapshot, are taken (default 5,000).
    pub patience_ms: u64,
}

impl Default for JoinConfig {
    fn default() -> Self {
        JoinConfig {
            memory_bytes: 64 << 20,
            timeout_ms: 2_000,
            ban_ms: 60_000,
            gather_ms: 500,
            ask_ms: 1_000,
            patience_ms: 5_000,
        }
    }
}

/// A chunk that is to be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingChunk {
    /// Which, from 0 on.
    pub index: usize,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub length: u32,
}

/// An import that was opened, anew or again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The manifest's digest.
    pub manifest: Digest,
    /// The height of the state.
    pub height: Height,
    /// How many chunks there are.
    pub chunks: usize,
    /// Those that aren't here yet.
    pub missing: Vec<MissingChunk>,
}

/// What the machine is told.
#[derive(Clone, Debug)]
pub enum JoinEvent {
    /// A peer can be sent to.
    Connected {
        /// Who.
        peer: PublicKey,
    },
    /// A peer is gone.
    Disconnected {
        /// Who.
        peer: PublicKey,
    },
    /// A message in [`Lane::Sync`](ledger_core::Lane::Sync). Its bytes are hostile.
    Received {
        /// Who sent it.
        from: PublicKey,
        /// The message.
        bytes: Arc<[u8]>,
    },
    /// The time that [`JoinEffect::Wake`] asked for has come.
    Wake,
    /// The manifest of [`JoinEffect::Begin`] is verified and its import is open.
    Begun(Begun),
    /// The manifest of [`JoinEffect::Begin`] is none that can be taken, or its chunks didn't lead to its state.
    Refused {
        /// The manifest's digest.
        manifest: Digest,
        /// Whether no honest node offers such a one.
        lie: bool,
    },
    /// The chunk of [`JoinEffect::Add`] is kept, or isn't what its manifest says in spite of its digest.
    Added {
        /// Which manifest's.
        manifest: Digest,
        /// Which chunk.
        chunk: usize,
        /// Whether it holds the state.
        holds: bool,
    },
}

/// What the machine wants done, in order.
#[derive(Clone, Debug)]
pub enum JoinEffect {
    /// Send in [`Lane::Sync`](ledger_core::Lane::Sync); nothing is promised.
    Send {
        /// To whom.
        to: PublicKey,
        /// The message.
        bytes: Arc<[u8]>,
    },
    /// Verify a manifest and open its import, in place of an earlier one; then tell [`JoinEvent::Begun`] or
    /// [`JoinEvent::Refused`].
    Begin {
        /// Its digest.
        manifest: Digest,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// Verify a chunk of the open import and keep it, then tell [`JoinEvent::Added`].
    Add {
        /// The manifest's digest.
        manifest: Digest,
        /// Which chunk.
        chunk: usize,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// All chunks are kept: make them the chain's views. Nothing follows, unless [`JoinEvent::Refused`] comes.
    Finish {
        /// The manifest's digest.
        manifest: Digest,
    },
    /// Most validators have all blocks and no snapshot: begin at the genesis. Nothing follows.
    TakeBlocks,
    /// Tell [`JoinEvent::Wake`] at this time; replaces an earlier request.
    Wake(Timestamp),
}

/// How far joining has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JoinProgress {
    /// Validators that are connected and not left out.
    pub peers: usize,
    /// How often a peer was left out for what it gave.
    pub banned: u64,
    /// The height of the snapshot that is being fetched, once its manifest is verified.
    pub height: Option<Height>,
    /// Its chunks.
    pub chunks: usize,
    /// Those that are kept, from earlier attempts too.
    pub kept: usize,
    /// Bytes of parts that came in.
    pub fetched_bytes: u64,
}
