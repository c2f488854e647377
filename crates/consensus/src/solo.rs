//! `solo`: the owner orders and signs.
//!
//! There is nobody to agree with, so a block is final when the owner's signature over its header's digest is durable.
//! What is left of consensus is what one signer can still get wrong: signing two blocks at one height. The
//! [`VoteSigner`] rules it out across crashes, restored folders and copied keys; position = (epoch 0, view = height,
//! slot 0).

use crate::seam::{
    Consensus, EngineFactory, Halt, Input, Output, Record, RecordKind, RequestId, Setup, SharedSigner, StartError,
    Started,
};
use ledger_core::finality::SOLO;
use ledger_core::{Header, Height, Timestamp, domains};
use ledger_crypto::{Guard, LogFacts, PublicKey, Signer, VotePosition, VoteSigner};
use std::sync::{Arc, Mutex, PoisonError};

/// Runs a chain of one owner: see the [module](self).
pub struct Solo {
    signer: Box<dyn Signer>,
    guard: Option<Box<dyn Guard>>,
}

impl Solo {
    /// `signer` holds the owner's key. The guard is a file on the node's disk, which protects against a lost log but
    /// not against a whole folder restored from a copy: for that, keep the guard beside the key ([`Solo::guard`]).
    pub fn new(signer: impl Signer + 'static) -> Self {
        Solo { signer: Box::new(signer), guard: None }
    }

    /// Keeps the signer's guard in `guard` instead of on the node's disk.
    #[must_use]
    pub fn guard(mut self, guard: impl Guard + 'static) -> Self {
        self.guard = Some(Box::new(guard));
        self
    }
}

/// Where in a chain's life its owner's vote for block `height` stands.
pub fn position(height: Height) -> VotePosition {
    VotePosition { epoch: 0, view: height.0, slot: 0 }
}

impl EngineFactory for Solo {
    fn start(self: Box<Self>, setup: Setup<'_>) -> Result<Started, StartError> {
        let engine = &setup.genesis.engine;
        if engine.name.as_str() != SOLO {
            return Err(StartError::WrongEngine { expected: engine.name.to_string(), given: SOLO });
        }
        setup.genesis.check()?;
        let found = self.signer.public_key();
        if engine.parameters.as_ref() != found.as_bytes() {
            let mut owner = [0; 32];
            owner.iter_mut().zip(engine.parameters.iter()).for_each(|(to, from)| *to = *from);
            return Err(StartError::WrongKey { role: "owner", found, expected: PublicKey::new(owner) });
        }
        let guard = self.guard.unwrap_or(setup.guard);
        // Each certificate is a vote, so the tip says where the votes stand.
        let height = setup.tip.height;
        let last = (height > Height::GENESIS).then(|| position(height));
        let signer = VoteSigner::open(self.signer, guard, setup.chain.0, LogFacts { id: setup.log, last })?;
        let signer: SharedSigner = Arc::new(Mutex::new(signer));
        let engine = SoloEngine { signer: Arc::clone(&signer), parent: None, request: RequestId(0) };
        Ok(Started { engine: Box::new(engine), signer: Some(signer) })
    }
}

struct SoloEngine {
    signer: SharedSigner,
    /// The last header signed, or the tip that the chain was recovered to; `None` before the start and after a halt.
    parent: Option<Header>,
    request: RequestId,
}

impl SoloEngine {
    fn propose(&mut self, out: &mut Vec<Output>) {
        if let Some(parent) = &self.parent {
            self.request = RequestId(self.request.0 + 1);
            out.push(Output::Propose { request: self.request, parent: parent.clone() });
        }
    }

    fn finalize(&mut self, header: Header, payload: Arc<[u8]>, out: &mut Vec<Output>) {
        let Some(parent) = self.parent.take() else { return };
        let (height, expected) = (header.height, parent.digest());
        if header.parent != expected || height != parent.height.next() {
            out.push(Output::Halt(Halt::WrongProposal { height, found: header.parent, expected }));
            return;
        }
        let position = position(height);
        let signed = self.signer.lock().unwrap_or_else(PoisonError::into_inner).sign_vote(
            domains::SIGN_SOLO,
            position,
            header.digest().as_bytes(),
        );
        let signature = match signed {
            Ok(signature) => signature,
            Err(error) => {
                out.push(Output::Halt(Halt::Signer { height, reason: error.to_string() }));
                return;
            }
        };
        let certificate: Arc<[u8]> = signature.as_bytes().as_slice().into();
        for (kind, bytes) in [(RecordKind::Payload, &payload), (RecordKind::Certificate, &certificate)] {
            let block = header.digest();
            out.push(Output::Persist(Record { kind, height, block, bytes: Arc::clone(bytes) }));
        }
        out.push(Output::Voted(position));
        out.push(Output::Finalize { header: header.clone(), payload, certificate });
        self.parent = Some(header);
        self.propose(out);
    }
}

impl Consensus for SoloEngine {
    fn step(&mut self, _now: Timestamp, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Start { tip } => {
                self.parent = Some(tip);
                self.propose(out);
            }
            Input::Proposed { request, header, payload } if request == self.request => {
                self.finalize(header, payload, out);
            }
            // An answer to an older request: the parent it was made for has been extended since.
            Input::Proposed { .. } => {}
            // Nobody else has a say.
            _ => {}
        }
    }
}
