//! The seam: what a node asks of a transport, and what it is told.

use crate::inbox::Inbox;
use crate::report::PeerReport;
use ledger_core::{ChainId, Lane};
use ledger_crypto::PublicKey;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Carries messages between the members of chains. See the [crate](crate) for the contract.
pub trait Transport: Send + Sync {
    /// This node's member key.
    fn local(&self) -> PublicKey;

    /// Takes part in a chain, with those whom `admission` names. Dropping the inbox leaves the chain.
    ///
    /// # Errors
    /// [`JoinError`] when this transport is in the chain already, or has been closed.
    fn join(&self, chain: ChainId, admission: Admission) -> Result<Inbox, JoinError>;

    /// Replaces a chain's admission. Who isn't in the new one is cut off before this returns: nothing of theirs that
    /// waits in the inbox is delivered any more, a `Disconnected` says so, and a connection that no chain has a use for
    /// is closed.
    ///
    /// # Errors
    /// [`JoinError::NotJoined`] for a chain that this transport isn't in.
    fn admit(&self, chain: &ChainId, admission: Admission) -> Result<(), JoinError>;

    /// Queues a message for a peer. Never blocks, and promises nothing: the message may be lost with its connection. In
    /// [`Lane::Votes`] a full queue loses its oldest frame, in the other lanes it refuses the new one.
    ///
    /// # Errors
    /// [`SendError`] says why nothing was queued.
    fn send(&self, chain: &ChainId, to: &PublicKey, lane: Lane, bytes: Arc<[u8]>) -> Result<(), SendError>;

    /// What is known of every peer, in the order of their keys: those that are connected, those that a chain's admission
    /// names and that were connected once, and those that are being dialed.
    fn peers(&self) -> Vec<PeerReport>;
}

/// Who may talk about a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// Those who agree on it.
    pub members: BTreeSet<PublicKey>,
    /// Those who follow it.
    pub observers: Observers,
}

impl Admission {
    /// Admits these members and no observers.
    pub fn members(members: impl IntoIterator<Item = PublicKey>) -> Self {
        Self { members: members.into_iter().collect(), observers: Observers::None }
    }

    /// The same members with these observers.
    #[must_use]
    pub fn with_observers(self, observers: Observers) -> Self {
        Self { observers, ..self }
    }

    /// Whether `key` may talk about the chain.
    pub fn admits(&self, key: &PublicKey) -> bool {
        self.names(key) || self.observers == Observers::Anyone
    }

    /// Whether `key` is admitted by name.
    pub(crate) fn names(&self, key: &PublicKey) -> bool {
        self.members.contains(key) || matches!(&self.observers, Observers::Only(keys) if keys.contains(key))
    }
}

/// Who may follow a chain besides its members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Observers {
    /// Nobody.
    #[default]
    None,
    /// Those with these keys.
    Only(BTreeSet<PublicKey>),
    /// Everybody who proves to hold some key; as many as the transport takes connections.
    Anyone,
}

/// What an [`Inbox`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The peer takes part in the chain, admits this node, and can be sent to. Comes before its first message; after a
    /// loss of connection it comes again, so that what was lost can be sent again.
    Connected(PublicKey),
    /// The peer can't be sent to any more. It may overtake messages of the peer's.
    Disconnected(PublicKey),
    /// A message.
    Message {
        /// Who sent it: the holder of this key, proven when the connection was made.
        from: PublicKey,
        /// In which lane.
        lane: Lane,
        /// The message; hostile bytes, no longer than the lane's limit.
        bytes: Arc<[u8]>,
    },
}

/// Why a chain can't be joined or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// Its inbox is still in use.
    #[error("chain {0} is joined already")]
    AlreadyJoined(ChainId),
    /// There is no such chain here.
    #[error("chain {0} is not joined")]
    NotJoined(ChainId),
    /// The transport has been closed.
    #[error("the transport is closed")]
    Closed,
}

/// Why a message wasn't queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// This node isn't in the chain.
    #[error("chain {0} is not joined")]
    UnknownChain(ChainId),
    /// The chain's admission doesn't name the peer.
    #[error("{to} is not admitted to chain {chain}")]
    NotAdmitted {
        /// The chain.
        chain: ChainId,
        /// The peer.
        to: PublicKey,
    },
    /// There is no connection, or the peer doesn't take part in the chain.
    #[error("{to} is not connected for chain {chain}")]
    NotConnected {
        /// The chain.
        chain: ChainId,
        /// The peer.
        to: PublicKey,
    },
    /// The peer takes messages more slowly than they are sent.
    #[error("the queue of lane {lane} is full ({limit})")]
    QueueFull {
        /// The lane.
        lane: Lane,
        /// Which of the queue's bounds was met.
        limit: QueueBound,
    },
    /// The message is longer than its lane allows.
    #[error("a message of {size} bytes in lane {lane}, whose limit is {limit}")]
    TooLong {
        /// The lane.
        lane: Lane,
        /// The message's length in bytes.
        size: usize,
        /// The lane's longest frame in bytes.
        limit: usize,
    },
}

/// The bound that a full queue met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueBound {
    /// So many frames.
    Frames(usize),
    /// So many bytes.
    Bytes(usize),
}

impl core::fmt::Display for QueueBound {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            QueueBound::Frames(limit) => write!(f, "limit {limit} frames"),
            QueueBound::Bytes(limit) => write!(f, "limit {limit} bytes"),
        }
    }
}
