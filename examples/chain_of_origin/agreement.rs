//! Whether members agree, from what they say and the genesis alone.

use ledger_core::codec;
use ledger_core::{Checkpoint, Genesis, Key, LightClient, Proof, Proven, TrustRoot};
use ledger_crypto::Digest;

use crate::book::Book;
use crate::ledger::Figures;
use crate::member::Standing;
use crate::processes::Fallible;

/// What a light client that knows the genesis has verified of one member's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// Digest of the checkpoint's header.
    pub(crate) block: Digest,
    pub(crate) height: u64,
    pub(crate) history_size: u64,
    pub(crate) history_root: Digest,
    pub(crate) state_root: Digest,
}

impl View {
    /// Verifies a member's checkpoint, and the state root through a proof of state against it.
    pub(crate) fn verify(genesis: &Genesis, standing: &Standing) -> Fallible<Self> {
        let mut client = LightClient::new(TrustRoot::new(genesis.clone()))?;
        let checkpoint: Checkpoint = codec::decode(&standing.checkpoint)?;
        let verified = client.advance(checkpoint, None)?;
        let proof = standing.proof.as_ref().ok_or("a member can't prove its state yet")?;
        let proof: Proof = codec::decode(proof)?;
        let (Proof::State(state), Proven::State { value: Some(_), .. }) = (&proof, proof.verify(verified)?) else {
            return Err("a member proves something else than that the contract is there".into());
        };
        let header = verified.header();
        Ok(View {
            block: header.digest(),
            height: header.height.0,
            history_size: header.history.size,
            history_root: header.history.root,
            state_root: state.block.outcome.state_root,
        })
    }

    pub(crate) fn figures(&self) -> Figures {
        Figures { blocks: self.height, checkpoint_size: self.history_size, state_root: self.state_root.to_string() }
    }
}

/// Where the ledger of one owner stands.
pub(crate) fn figures(book: &Book) -> Fallible<Figures> {
    let (proof, checkpoint) = book.chain.prove_state(&Key::contract(&book.contract))?;
    let Proof::State(state) = proof else { return Err("asked for a proof of state, got another".into()) };
    Ok(Figures {
        blocks: book.chain.progress().ordered.0,
        checkpoint_size: checkpoint.header.history.size,
        state_root: state.block.outcome.state_root.to_string(),
    })
}
