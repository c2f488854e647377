//! Headers and certificates of a network of validators, made by hand.

use super::chain::{BEGINNING, signer};
use ledger_core::codec::{Bytes, List};
use ledger_core::*;
use ledger_crypto::{Digest, Signature, Signer};

/// An epoch of a chain of validators. A validator is known by its signer's seed.
#[derive(Clone)]
pub struct Network {
    pub genesis: Genesis,
    pub epoch: Epoch,
    pub set: ValidatorSet,
}

/// The set of the validators with these seeds and weights.
pub fn set(validators: &[(u8, u64)]) -> ValidatorSet {
    let validator = |(seed, weight): &(u8, u64)| Validator { key: signer(*seed).public_key(), weight: Weight(*weight) };
    ValidatorSet::new(validators.iter().map(validator)).unwrap()
}

impl Network {
    pub fn new(name: &str, validators: &[(u8, u64)]) -> Self {
        let set = set(validators);
        Network { genesis: Genesis::bft(name, &set, BEGINNING), epoch: Epoch(0), set }
    }

    pub fn finality(&self) -> BftFinality {
        BftFinality::new(self.epoch, self.set.clone())
    }

    /// The genesis header and `count` empty ones after it, none of which has executed more than the genesis.
    pub fn headers(&self, count: u64) -> Vec<Header> {
        let mut headers = vec![self.genesis.header()];
        for height in 1..=count {
            let parent = &headers[height as usize - 1];
            headers.push(Header {
                height: Height(height),
                parent: parent.digest(),
                timestamp: BEGINNING.plus(1_000 * height),
                history: HistoryHead { size: 1, root: Digest::new([9; 32]) },
                epoch: self.epoch,
                ..parent.clone()
            });
        }
        headers
    }

    /// All validators' seeds.
    pub fn seeds(&self) -> Vec<u8> {
        (0..=u8::MAX).filter(|seed| self.set.place(&signer(*seed).public_key()).is_some()).collect()
    }

    /// The epoch after this one.
    pub fn after(&self, updates: &[ValidatorUpdate]) -> Network {
        Network { genesis: self.genesis.clone(), epoch: self.epoch.next(), set: self.set.updated(updates).unwrap() }
    }

    pub fn place(&self, seed: u8) -> u16 {
        self.set.place(&signer(seed).public_key()).unwrap()
    }

    /// A validator's vote.
    pub fn signature(&self, vote: &BftVote, view: View, seed: u8) -> Signature {
        let message = vote.message(self.genesis.chain(), self.epoch, view);
        signer(seed).sign(vote.domain(), &message).unwrap()
    }

    /// What these validators make of `header`, or of the last of its `descendants`.
    pub fn certificate(&self, header: &Header, view: View, seeds: &[u8], descendants: &[Header]) -> BftCertificate {
        let vote = BftVote::Finalize(descendants.last().unwrap_or(header).digest());
        let mut votes: Vec<Signed> = seeds
            .iter()
            .map(|seed| Signed { validator: self.place(*seed), signature: self.signature(&vote, view, *seed) })
            .collect();
        votes.sort_by_key(|vote| vote.validator);
        BftCertificate { descendants: List::from(descendants.to_vec()), view, votes: votes.into() }
    }

    /// `header` with the certificate of these validators.
    pub fn checkpoint(&self, header: &Header, view: View, seeds: &[u8]) -> Checkpoint {
        let certificate = codec::encode(&self.certificate(header, view, seeds, &[]));
        Checkpoint { header: header.clone(), certificate: Bytes::from(certificate) }
    }
}

/// A validator's votes for two headers in one view.
pub fn equivocation(network: &Network, seed: u8) -> Evidence {
    let view = View(7);
    let votes = [1, 2].map(|byte| {
        let vote = BftVote::Notarize(Digest::new([byte; 32]));
        (vote, network.signature(&vote, view, seed))
    });
    Evidence {
        chain: network.genesis.chain(),
        epoch: network.epoch,
        view,
        validator: signer(seed).public_key(),
        first: votes[0],
        second: votes[1],
    }
}

/// Weights from the next epoch on; weight 0 removes.
pub fn updates(weights: &[(u8, u64)]) -> Vec<ValidatorUpdate> {
    let update =
        |(seed, weight): &(u8, u64)| ValidatorUpdate { key: signer(*seed).public_key(), weight: Weight(*weight) };
    weights.iter().map(update).collect()
}
