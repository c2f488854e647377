//! What goes into a chain's core and what comes out of it.

use super::sync_message::Holding;
use crate::host::QuotaExceeded;
use crate::mempool::Refusal;
use ledger_consensus::{Record, TimerId};
use ledger_core::{
    Block, Checkpoint, Evidence, Execution, Height, HistoryHead, Lane, Outcome, Rejection, SignatureCheck,
    SignedTransaction, Timestamp, TransactionError, TransactionId,
};
use ledger_crypto::{PublicKey, VotePosition};
use ledger_storage::log::LogPosition;
use std::sync::Arc;

/// Pairs an answer with a request of the shell's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ask(pub u64);

/// Pairs a [`Event::Persisted`] with its [`Effect::Persist`]. Tokens of a chain grow by one and complete in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// Pairs an [`Event::SignaturesChecked`] with its [`Effect::CheckSignatures`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckId(pub u64);

/// Pairs an [`Event::BlocksRead`] with its [`Effect::ReadBlocks`]; likewise what is read of snapshots, counted by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub u64);

/// What a core is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// Where the chain stands after recovery. First, and once.
    Start(Start),
    /// A client asks for a transaction to be ordered.
    Submit {
        /// For the answer.
        ask: Ask,
        /// The decoded transaction.
        transaction: Arc<SignedTransaction>,
    },
    /// The answer to [`Effect::Check`].
    Checked {
        /// The transaction.
        id: TransactionId,
        /// The number that comes next in its lane as the state stands, or why it is refused.
        verdict: Result<u64, CheckFailure>,
    },
    /// The records of `token` are durable, and the signer's guard has moved.
    Persisted {
        /// What is durable.
        token: Token,
        /// Where each record stands in the log, in their order.
        positions: Arc<[LogPosition]>,
    },
    /// The answer to [`Effect::Execute`].
    Applied(Applied),
    /// The time that [`Effect::Wake`] asked for has come.
    Wake,
    /// A peer is connected: its messages may come, and it may be sent to.
    Connected {
        /// Who.
        peer: PublicKey,
    },
    /// A peer is gone.
    Disconnected {
        /// Who.
        peer: PublicKey,
    },
    /// A peer's message, from an authenticated connection. Its bytes are hostile.
    Received {
        /// Who sent it.
        from: PublicKey,
        /// In which lane.
        lane: Lane,
        /// The message.
        bytes: Arc<[u8]>,
    },
    /// A timer of the engine's, set by [`Effect::SetTimer`], has run out.
    Timer(TimerId),
    /// The answer to [`Effect::CheckSignatures`].
    SignaturesChecked {
        /// What it answers.
        check: CheckId,
        /// Whether each signature is valid, in their order.
        valid: Vec<bool>,
    },
    /// The answer to [`Effect::ReadBlocks`].
    BlocksRead {
        /// What it answers.
        read: ReadId,
        /// The blocks, from the height asked for on; empty where they can't be read.
        blocks: Vec<FinalBlock>,
    },
    /// The answer to [`Effect::ReadSnapshot`].
    SnapshotRead {
        /// What it answers.
        read: ReadId,
        /// What this node can give.
        holding: Holding,
    },
    /// The answer to [`Effect::ReadPiece`].
    PieceRead {
        /// What it answers.
        read: ReadId,
        /// The part; empty when there is no such piece.
        bytes: Vec<u8>,
    },
    /// Nothing new from now on, from clients and peers: what was accepted is still ordered where this node decides alone, and
    /// what is final here is executed. Blocks that others have besides are taken when the chain is opened again.
    Close,
}

/// A finalized block as it is logged and sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalBlock {
    /// The encoded block.
    pub payload: Arc<[u8]>,
    /// What makes it final.
    pub certificate: Arc<[u8]>,
}

/// Where a chain stands after recovery.
#[derive(Clone, Debug)]
pub struct Start {
    /// The last finalized block, executed already, and its certificate.
    pub checkpoint: Checkpoint,
    /// The history including it.
    pub history: HistoryHead,
    /// The last block with transactions whose outcome the tip doesn't commit to.
    pub owed: Option<Height>,
    /// The heads of the history from the one that the tip commits to up to the newest, so that headers which commit to
    /// any of them can be held against it.
    pub heads: Vec<HistoryHead>,
    /// Payloads in the log above the tip: the engine may yet finalize one of them.
    pub payloads: Vec<LoggedPayload>,
}

/// A block that was logged and isn't final.
#[derive(Clone, Debug)]
pub struct LoggedPayload {
    /// The block.
    pub block: Block,
    /// Where the log holds it.
    pub position: LogPosition,
}

/// What executing and storing a block gave.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The block's outcome.
    pub outcome: Outcome,
    /// The history including it.
    pub history: HistoryHead,
    /// What executing it gave, what became of its transactions among that.
    pub execution: Arc<Execution>,
}

/// Why a transaction didn't pass its check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckFailure {
    /// The signature isn't valid.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// The state doesn't let it in.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The state couldn't be read.
    #[error("the state can't be read: {0}")]
    State(String),
}

/// Why a transaction wasn't accepted, or was dropped before it was ordered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The bytes, form or signature are wrong.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// The mempool has no place for it.
    #[error(transparent)]
    Mempool(#[from] Refusal),
    /// The state couldn't be read to check it.
    #[error("the transaction couldn't be checked: {0}")]
    Check(String),
    /// The chain has used what it may of its host.
    #[error(transparent)]
    Quota(#[from] QuotaExceeded),
    /// The chain is shutting down.
    #[error("the chain takes no more transactions: it is shutting down")]
    Closed,
    /// The chain has stopped.
    #[error("the chain has stopped: {0}")]
    Stopped(Stop),
}

impl From<CheckFailure> for SubmitError {
    fn from(failure: CheckFailure) -> Self {
        match failure {
            CheckFailure::Transaction(error) => SubmitError::Transaction(error),
            CheckFailure::Rejected(rejection) => SubmitError::Mempool(rejection.into()),
            CheckFailure::State(reason) => SubmitError::Check(reason),
        }
    }
}

/// What a core wants done. Effects of one step are carried out in their order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Check the signature and ask the state, then tell [`Event::Checked`]. Pooled with other checks; any order.
    Check {
        /// The transaction's id.
        id: TransactionId,
        /// The transaction.
        transaction: Arc<SignedTransaction>,
    },
    /// Append to the log as one atomic group; when it is durable, move the signer's guard; then tell
    /// [`Event::Persisted`].
    Persist {
        /// For the answer.
        token: Token,
        /// What to append.
        records: Vec<Record>,
        /// Where the guard has to move.
        voted: Option<VotePosition>,
    },
    /// Execute a block on the state before it and store what comes of it, then tell [`Event::Applied`]. In order; as many
    /// may be under way at once as [`ChainCore::execute_ahead`](super::ChainCore::execute_ahead) says.
    Execute(Execute),
    /// Answer a submission: `Ok` is *Accepted*.
    Answer {
        /// Which one.
        ask: Ask,
        /// The transaction.
        id: TransactionId,
        /// Whether it was accepted.
        answer: Result<(), SubmitError>,
    },
    /// An accepted transaction won't be ordered.
    Drop {
        /// Which one.
        id: TransactionId,
        /// Why.
        reason: Refusal,
    },
    /// Check signatures, pooled with those of others and before the transactions', then tell
    /// [`Event::SignaturesChecked`].
    CheckSignatures {
        /// For the answer.
        check: CheckId,
        /// The signatures.
        checks: Vec<SignatureCheck>,
    },
    /// Send to a peer, if it is connected and its queue has room; nothing is promised.
    Send {
        /// To whom.
        to: PublicKey,
        /// In which lane.
        lane: Lane,
        /// The message.
        bytes: Arc<[u8]>,
    },
    /// Tell [`Event::Timer`] at this time. Setting a timer again replaces it.
    SetTimer {
        /// Which.
        id: TimerId,
        /// When.
        at: Timestamp,
    },
    /// Read finalized blocks from the log for a peer that catches up, then tell [`Event::BlocksRead`].
    ReadBlocks {
        /// For the answer.
        read: ReadId,
        /// The first height.
        from: Height,
        /// How many at the most.
        count: u64,
        /// Stop after so many bytes, though not before the first block.
        max_bytes: usize,
    },
    /// Say which blocks and which snapshot can be given to a peer, then tell [`Event::SnapshotRead`]. If the snapshot is
    /// old, a newer one may be begun.
    ReadSnapshot {
        /// For the answer.
        read: ReadId,
    },
    /// Read a part of a snapshot's manifest or chunk for a peer, of [`PART_BYTES`](super::PART_BYTES) or what is left, then
    /// tell [`Event::PieceRead`].
    ReadPiece {
        /// For the answer.
        read: ReadId,
        /// The piece's digest.
        digest: ledger_crypto::Digest,
        /// Where the part begins.
        offset: u32,
    },
    /// A validator signed what no honest one signs. To be kept, and shown to the network's members.
    Evidence(Box<Evidence>),
    /// A block is final, and durable: its transactions are *Ordered*.
    Ordered {
        /// The block.
        block: Arc<Block>,
        /// The ids of its transactions.
        ids: Arc<Vec<TransactionId>>,
    },
    /// A block's outcome is stored: its transactions are *Executed*.
    Executed {
        /// Which block.
        height: Height,
    },
    /// A checkpoint commits to all outcomes below its history's size: their transactions are *Certified*.
    Certified(Arc<Checkpoint>),
    /// Tell [`Event::Wake`] at this time; replaces an earlier request.
    Wake(Timestamp),
    /// The chain has stopped. Nothing follows but answers to who waits.
    Stop(Stop),
}

/// A finalized block to be executed.
#[derive(Clone, Debug)]
pub struct Execute {
    /// The block.
    pub block: Arc<Block>,
    /// Its certificate.
    pub certificate: Arc<[u8]>,
    /// Where the log holds it.
    pub position: LogPosition,
}

/// Why a chain stopped. Other chains of the host go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Stop {
    /// The consensus engine halted.
    #[error("consensus halted: {0}")]
    Consensus(ledger_consensus::Halt),
    /// A finalized header commits to a history that this node's execution doesn't give.
    #[error(
        "block {height} commits to history {expected} of {size} leaves, this node has {found}: execution diverged; \
         remove the views and let them be replayed from the log, with the program version that wrote it"
    )]
    Diverged {
        /// The block.
        height: Height,
        /// The size in question.
        size: u64,
        /// The root in the header.
        expected: ledger_crypto::Digest,
        /// The root here.
        found: ledger_crypto::Digest,
    },
    /// A quorum has finalized another block than the one that is final here: more validators lie than the chain bears. A
    /// restart doesn't help; which of the two counts is for the members to agree on.
    #[error(
        "block {height} is final as {here} here, and as {there} elsewhere, by the certificate of block {}: the chain has \
         forked; keep both and find out which validators signed twice", proof.header.height
    )]
    Forked {
        /// The height at which the two chains are known to differ. They may have parted below it.
        height: Height,
        /// The digest of the block here.
        here: ledger_crypto::Digest,
        /// The digest of the other one.
        there: ledger_crypto::Digest,
        /// What makes the other one final: its own valid certificate, or that of its child.
        proof: Arc<Checkpoint>,
    },
    /// The log, or the signer's guard, failed. What was acknowledged is safe; reopen the host.
    #[error("durability failed: {0}")]
    Log(String),
    /// The block couldn't be executed or stored.
    #[error("block {height} can't be applied: {reason}")]
    Apply {
        /// The block.
        height: Height,
        /// What failed.
        reason: String,
    },
    /// A panic. It is a bug in ledgerkit or in a part of the builder's own.
    #[error("a panic in {place}: {message}")]
    Panic {
        /// Where.
        place: &'static str,
        /// What it said.
        message: String,
    },
}
