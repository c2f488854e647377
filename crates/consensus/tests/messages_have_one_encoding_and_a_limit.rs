//! Messages of the largest set fit; bytes that aren't a message's one encoding are refused, without a panic.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use ledger_consensus::bft::wire::{self, Envelope, Finalization, Message, Vote};
use ledger_core::codec::{self, Format};
use ledger_core::validators::MAX_VALIDATORS;
use ledger_core::{BftVote, Epoch, Genesis, Header, Signed, Timestamp, View};
use ledger_crypto::{Digest, MemorySigner, Signature, Signer};
use proptest::prelude::*;

fn header() -> Header {
    Genesis::solo("test", MemorySigner::from_seed([1; 32]).public_key(), Timestamp(u64::MAX)).header()
}

#[test]
fn a_vote_of_every_validator_fits() {
    let seal = vec![0; Header::LIMIT - codec::encoded_length(&header()) - 8].into();
    let header = Header { seal, ..header() };
    let count = u16::try_from(MAX_VALIDATORS).unwrap();
    let signature = Signature::new([255; 64]);
    let votes: Vec<Signed> = (0..count).map(|validator| Signed { validator, signature }).collect();
    let message = Message::Finalization(Finalization { header, view: View(u64::MAX), votes: votes.into() });
    let bytes = wire::encode(Epoch(u64::MAX), message.clone());
    assert_eq!(codec::decode::<Envelope>(&bytes).unwrap().message, message);
}

proptest! {
    #[test]
    fn what_decodes_encodes_to_the_same_bytes(mut bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0u8..6) {
        if bytes.len() > 1 {
            bytes[0] = 0;
            bytes[1] = kind;
        }
        if let Ok(envelope) = codec::decode::<Envelope>(&bytes) {
            prop_assert_eq!(codec::encode(&envelope), bytes);
        }
    }

    #[test]
    fn a_changed_vote_is_another_vote_or_none(view in any::<u64>(), digest in any::<[u8; 32]>(), at in any::<usize>(), by in 1u8..) {
        let vote = Vote { view: View(view), vote: BftVote::Notarize(Digest::new(digest)), signature: Signature::new([7; 64]) };
        let bytes = wire::encode(Epoch(0), Message::Vote(vote));
        let mut changed = bytes.to_vec();
        let at = at % changed.len();
        changed[at] = changed[at].wrapping_add(by);
        if let Ok(envelope) = codec::decode::<Envelope>(&changed) {
            prop_assert_ne!(envelope, Envelope { epoch: Epoch(0), message: Message::Vote(vote) });
        }
    }
}
