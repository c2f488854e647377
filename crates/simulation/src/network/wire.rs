//! What travels between validators, read as the engine reads it.

use ledger_consensus::bft::wire::{Envelope, Message};
use ledger_core::codec;
use ledger_core::{BftVote, Lane, Signed, View};
use ledger_crypto::Signature;

/// A consensus message, or `None` for everything else.
pub(super) fn read(lane: Lane, bytes: &[u8]) -> Option<Envelope> {
    (lane == Lane::Votes).then(|| codec::decode(bytes).ok()).flatten()
}

/// The view that a message belongs to; `None` for those of no view.
pub(super) fn view(message: &Message) -> Option<View> {
    match message {
        Message::Proposal(proposal) => Some(proposal.view),
        Message::Vote(vote) => Some(vote.view),
        Message::Quorum(quorum) => Some(quorum.view),
        Message::Finalization(finalization) => Some(finalization.view),
        _ => None,
    }
}

/// The vote that the sender itself casts with a message.
pub(super) fn own_vote(message: &Message) -> Option<(View, BftVote, Signature)> {
    match message {
        Message::Proposal(proposal) => {
            Some((proposal.view, BftVote::Notarize(proposal.header.digest()), proposal.signature))
        }
        Message::Vote(vote) => Some((vote.view, vote.vote, vote.signature)),
        _ => None,
    }
}

/// Others' votes that a message carries.
pub(super) fn carried_votes(message: &Message) -> Option<(View, BftVote, &[Signed])> {
    match message {
        Message::Quorum(quorum) => Some((quorum.view, quorum.vote, &quorum.votes)),
        Message::Finalization(final_one) => {
            Some((final_one.view, BftVote::Finalize(final_one.header.digest()), &final_one.votes))
        }
        _ => None,
    }
}
