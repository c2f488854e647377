//! The seam: what a consensus engine is told, and what it asks for.

use ledger_core::{
    ChainId, Evidence, Genesis, GenesisError, Header, Height, HistoryHead, Lane, SignatureCheck, Timestamp,
};
use ledger_crypto::{Digest, PublicKey, VoteError, VotePosition, VoteSigner};
use std::fmt;
use std::sync::{Arc, Mutex};

/// Pairs an answer with what was asked. Numbers are the engine's own and never repeat within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Names a timer. Numbers are the engine's own; setting one again replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId(pub u64);

/// What an engine is told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Input {
    /// The first input, once: where the chain stands after recovery.
    Start {
        /// The last finalized header (the genesis header on a new chain).
        tip: Header,
    },
    /// The answer to [`Output::Propose`]: a block that extends the parent named there.
    Proposed {
        /// What it answers.
        request: RequestId,
        /// The block's header.
        header: Header,
        /// The encoded block; its header digest names it.
        payload: Arc<[u8]>,
    },
    /// Block `height` was executed; `history` is the head that the next proposals commit to.
    Applied {
        /// The block.
        height: Height,
        /// The history including it.
        history: HistoryHead,
    },
    /// A peer's message. Its bytes are hostile; `from` is who the connection was authenticated for.
    Message {
        /// Whose connection it came over.
        from: PublicKey,
        /// In which lane.
        lane: Lane,
        /// The message.
        bytes: Arc<[u8]>,
    },
    /// A timer that [`Output::SetTimer`] set has run out. It may come late, and after it was set anew or lost its point.
    Timer(TimerId),
    /// Whether there is something to order: transactions, an outcome to be committed to, a heartbeat that is due. Told
    /// when it changes; while there is nothing, an engine runs no timers.
    Work(bool),
    /// The answer to [`Output::Verify`].
    Verified {
        /// What it answers.
        request: RequestId,
        /// Whether the block may follow its parent; if not, why.
        verdict: Result<(), String>,
    },
    /// The answer to [`Output::Check`].
    Checked {
        /// What it answers.
        request: RequestId,
        /// Whether each signature is valid, in their order.
        valid: Vec<bool>,
    },
    /// The driver has caught up from its peers: this header is final, everything before it is finalized here already,
    /// durable, and on its way to be executed. The engine goes on behind it and finalizes nothing at or below it.
    Synced {
        /// The newest final header.
        header: Header,
        /// Its certificate.
        certificate: Arc<[u8]>,
    },
}

/// What an engine asks for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Output {
    /// Append to the log. All `Persist`s of one step are durable, together, before any later effect of that step.
    Persist(Record),
    /// A vote was signed at this position: once the step's records are durable, and before anything of the step leaves,
    /// the signer's guard moves there.
    Voted(VotePosition),
    /// Make a block on `parent`. The driver answers when there is something to order, which may be never.
    Propose {
        /// To be repeated in the answer.
        request: RequestId,
        /// What the block extends.
        parent: Header,
    },
    /// The block is final. Heights come in order, without gaps.
    Finalize {
        /// The block's header.
        header: Header,
        /// The encoded block.
        payload: Arc<[u8]>,
        /// What proves it to everyone: see [`ledger_core::Finality`].
        certificate: Arc<[u8]>,
    },
    /// The open request for a proposal has lost its point.
    Withdraw {
        /// Which.
        request: RequestId,
    },
    /// Send to one peer. Nothing is promised: it may be lost, late, or come twice.
    Send {
        /// To whom.
        to: PublicKey,
        /// In which lane.
        lane: Lane,
        /// The message.
        bytes: Arc<[u8]>,
    },
    /// Send to every other validator.
    Broadcast {
        /// In which lane.
        lane: Lane,
        /// The message.
        bytes: Arc<[u8]>,
    },
    /// Tell [`Input::Timer`] after so many ms.
    SetTimer {
        /// Which; an earlier setting is replaced.
        id: TimerId,
        /// In how many ms.
        after: u64,
    },
    /// May this block follow its parent? The driver checks what its bytes and its ancestors decide, signatures included,
    /// and that its history head is what this node's own execution gives; it waits with the answer until it has
    /// executed as far. Every block between the last finalized one and `parent` was given to it before, by a `Verify`
    /// or in its own `Proposed`.
    Verify {
        /// To be repeated in the answer.
        request: RequestId,
        /// What the block extends.
        parent: Header,
        /// The block's header.
        header: Header,
        /// The encoded block.
        payload: Arc<[u8]>,
    },
    /// Check signatures, pooled with those of others.
    Check {
        /// To be repeated in the answer.
        request: RequestId,
        /// The signatures.
        checks: Vec<SignatureCheck>,
    },
    /// Others have finalized further than this engine can follow by itself: the driver catches up, then tells
    /// [`Input::Synced`].
    FellBehind {
        /// A final header that was seen there.
        to: Header,
        /// Its certificate.
        certificate: Arc<[u8]>,
    },
    /// A validator signed what no honest one signs.
    Evidence(Box<Evidence>),
    /// The engine can't go on: its signer refuses, or it was told something impossible. Nothing follows.
    Halt(Halt),
}

/// What an engine has written to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is.
    pub kind: RecordKind,
    /// The height it belongs to. When a height is final, records at or below it may be forgotten, but for the last vote.
    pub height: Height,
    /// The digest of the header that a payload or certificate is of; [`Digest::ZERO`] for the other kinds.
    pub block: Digest,
    /// Its content.
    pub bytes: Arc<[u8]>,
}

/// What a [`Record`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKind {
    /// An encoded block.
    Payload,
    /// The certificate that makes a block final whose payload was recorded before.
    Certificate,
    /// A vote of this node's, durable before it is sent.
    Vote,
    /// What the engine has to know again after a crash besides: certificates that make nothing final.
    Note,
}

/// Why an engine stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Halt {
    /// The vote signer refused.
    #[error("block {height} can't be signed: {reason}")]
    Signer {
        /// The block.
        height: Height,
        /// What the signer said.
        reason: String,
    },
    /// A quorum finalized a block that doesn't follow what is final here: more validators lie than the protocol bears.
    #[error("block {height} was finalized as {found}, which doesn't follow what is final here")]
    Forked {
        /// The block.
        height: Height,
        /// Its digest.
        found: Digest,
    },
    /// A proposal that doesn't extend what was asked to be extended.
    #[error("the proposal {found} at height {height} doesn't extend {expected}")]
    WrongProposal {
        /// Its height.
        height: Height,
        /// The parent it names.
        found: Digest,
        /// The parent it should have.
        expected: Digest,
    },
}

/// A consensus protocol as a pure state machine: the same inputs give the same outputs. See the [crate](crate) for the
/// contract between an engine and its driver.
pub trait Consensus: Send {
    /// Takes one input and appends what follows from it to `out`. `now` never runs backwards.
    fn step(&mut self, now: Timestamp, input: Input, out: &mut Vec<Output>);
}

/// A vote signer that an engine signs with and its driver advances.
pub type SharedSigner = Arc<Mutex<VoteSigner>>;

/// What an engine is made from.
pub struct Setup<'a> {
    /// The chain's genesis.
    pub genesis: &'a Genesis,
    /// The chain's id.
    pub chain: ChainId,
    /// The log's identity.
    pub log: Digest,
    /// The last header that the log proves final.
    pub tip: &'a Header,
    /// What the engine has recorded above that height, in its order, and its last vote wherever that stands.
    pub records: Vec<Record>,
    /// A guard on the node's own disk, for engines that weren't given another.
    pub guard: Box<dyn ledger_crypto::Guard>,
}

/// An engine and the signer whose guard the driver has to move.
pub struct Started {
    /// The protocol.
    pub engine: Box<dyn Consensus>,
    /// Its signer; `None` for an engine that signs nothing.
    pub signer: Option<SharedSigner>,
}

/// Why an engine can't be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The genesis is for another engine, or makes no sense.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The genesis asks for another engine than the one given.
    #[error("the genesis asks for engine `{expected}`, this is `{given}`")]
    WrongEngine {
        /// What the genesis says.
        expected: String,
        /// What was given.
        given: &'static str,
    },
    /// The signer's key has no part in this chain.
    #[error("the key {found} is not the chain's {role} {expected}")]
    WrongKey {
        /// What the key would have to be.
        role: &'static str,
        /// The signer's key.
        found: ledger_crypto::PublicKey,
        /// The key in the genesis.
        expected: ledger_crypto::PublicKey,
    },
    /// The engine's settings make no sense together.
    #[error("the engine's settings are refused: {reason}")]
    Config {
        /// Which, and why.
        reason: String,
    },
    /// The signer's key is none of the chain's validators.
    #[error("the key {found} is none of the chain's {validators} validators")]
    NoValidator {
        /// The signer's key.
        found: ledger_crypto::PublicKey,
        /// How many there are.
        validators: usize,
    },
    /// Signer, guard and log don't belong together, or the guard can't be used.
    #[error(transparent)]
    Vote(#[from] VoteError),
}

/// Chooses an engine for a chain: one line of the node's builder.
pub trait EngineFactory: Send {
    /// Makes the engine.
    ///
    /// # Errors
    /// [`StartError`] says why it can't run this chain.
    fn start(self: Box<Self>, setup: Setup<'_>) -> Result<Started, StartError>;
}

impl fmt::Debug for Setup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("chain", &self.chain).field("tip", &self.tip.height).finish_non_exhaustive()
    }
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started").field("signs", &self.signer.is_some()).finish_non_exhaustive()
    }
}
