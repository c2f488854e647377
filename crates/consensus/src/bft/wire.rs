//! The messages between validators, which are the records of the log as well.
//!
//! All but blocks travel in [`Lane::Votes`](ledger_core::Lane::Votes) as an encoded [`Envelope`]; a block travels in
//! [`Lane::Payloads`](ledger_core::Lane::Payloads) as its own encoding.

use ledger_core::codec::{self, Decode, Encode, Format, List};
use ledger_core::{BftVote, Epoch, Header, Signed, View};
use ledger_crypto::{Digest, Signature};
use std::sync::Arc;

/// A message, and the epoch that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub struct Envelope {
    /// The epoch.
    pub epoch: Epoch,
    /// The message.
    pub message: Message,
}

impl Format for Envelope {
    const NAME: &'static str = "consensus message";
    /// A header, and a vote of each of as many validators as a set has.
    const LIMIT: usize = 128 << 10;
}

/// What validators tell each other.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub enum Message {
    /// The leader's block of a view; its payload travels apart.
    Proposal(Proposal),
    /// The sender's vote.
    Vote(Vote),
    /// A quorum's votes: a notarization or a nullification.
    Quorum(Quorum),
    /// A quorum's *finalize* votes, and the header that they are for.
    Finalization(Finalization),
    /// Asks for blocks.
    Wanted {
        /// Their headers' digests; at most [`MAX_WANTED`].
        blocks: List<Digest>,
    },
    /// The sender is in view `from`: asks for what lets it go on, where the receiver is further.
    Missing {
        /// The first view whose certificates it lacks.
        from: View,
    },
}

/// The most blocks that one message asks for.
pub const MAX_WANTED: usize = 16;

/// A leader's proposal, which is its *notarize* vote too.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub struct Proposal {
    /// The view.
    pub view: View,
    /// The view in which the parent was notarized; or, where the proposal repeats a notarized block, that block. All views
    /// between are nullified.
    pub parent_view: View,
    /// The block's header.
    pub header: Header,
    /// The leader's signature under its *notarize* vote.
    pub signature: Signature,
}

/// A vote of the message's sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub struct Vote {
    /// The view.
    pub view: View,
    /// What it says.
    pub vote: BftVote,
    /// The signature.
    pub signature: Signature,
}

/// A notarization or nullification.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub struct Quorum {
    /// The view.
    pub view: View,
    /// What the votes say: *notarize* or *nullify*.
    pub vote: BftVote,
    /// A quorum's votes, by rising places.
    pub votes: List<Signed>,
}

/// A header that is final by votes for itself.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "ledger_core::codec::wire")]
pub struct Finalization {
    /// The header.
    pub header: Header,
    /// The view.
    pub view: View,
    /// A quorum's *finalize* votes, by rising places.
    pub votes: List<Signed>,
}

/// The message's bytes.
pub fn encode(epoch: Epoch, message: Message) -> Arc<[u8]> {
    codec::encode(&Envelope { epoch, message }).into()
}
