//! What will happen in a network, in order of time; what falls on one moment happens in the order in which it was
//! scheduled.

use crate::stages::Step;
use ledger_consensus::TimerId;
use ledger_core::{Lane, SignatureCheck, SignedTransaction, TransactionId};
use ledger_crypto::{PublicKey, VotePosition};
use ledger_node::core::join::JoinEffect;
use ledger_node::core::{Applied, CheckFailure, CheckId, Event, FinalBlock, ReadId, Token};
use ledger_storage::log::Outcome;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Something that will happen.
pub(super) enum Happening {
    /// Clients get their turn.
    Clients,
    /// The next thing of the plan.
    Planned,
    /// An operator starts a machine.
    Restart { machine: usize },
    /// A message arrives.
    Arrive { to: usize, from: PublicKey, lane: Lane, bytes: Arc<[u8]> },
    /// A machine's transport notices that a peer is gone, if it still is.
    NoticeLoss { machine: usize, peer: PublicKey },
    /// Something within one life of a machine; it happens to nobody when that life is over.
    Within { machine: usize, life: u64, what: Local },
}

/// Something within a machine.
pub(super) enum Local {
    /// An operator notices that the chain has stopped, and restarts the process.
    GiveUp,
    /// A transaction's check answers.
    Checked { id: TransactionId, transaction: Arc<SignedTransaction>, verdict: Option<Verdict> },
    /// The signature pool answers.
    Signatures { check: CheckId, checks: Vec<SignatureCheck> },
    /// The log writes what waits.
    Flush,
    /// The core hears of its records.
    Durable { token: Token, voted: Option<VotePosition>, outcome: Outcome },
    /// A block is executed, or stored.
    Stage(Step),
    /// The core hears of it.
    Applied { applied: Applied },
    /// The core wanted to be woken, unless it asked for another time since.
    Wake { request: u64 },
    /// A timer of the engine's, unless it was set anew since.
    Timer { id: TimerId, request: u64 },
    /// The log's size is looked at, or a cut of it goes on.
    Grow,
    /// Blocks were read for a peer.
    Read { read: ReadId, blocks: Vec<FinalBlock> },
    /// Something of a snapshot was read for a peer.
    Answer(Box<Event>),
    /// A machine that joins has verified, kept or finished something.
    Join(Box<JoinEffect>),
    /// It wanted to be woken, unless it asked for another time since.
    WakeJoining { request: u64 },
}

pub(super) type Verdict = Result<u64, CheckFailure>;

#[derive(Default)]
pub(super) struct Schedule {
    queue: BTreeMap<(u64, u64), Happening>,
    scheduled: u64,
}

impl Schedule {
    pub(super) fn at(&mut self, time: u64, happening: Happening) {
        self.scheduled += 1;
        self.queue.insert((time, self.scheduled), happening);
    }

    pub(super) fn next(&mut self) -> Option<(u64, Happening)> {
        let ((time, _), happening) = self.queue.pop_first()?;
        Some((time, happening))
    }

    /// The next happening, unless it is after `time`.
    pub(super) fn next_until(&mut self, time: u64) -> Option<(u64, Happening)> {
        self.queue.first_key_value().filter(|((at, _), _)| *at <= time)?;
        self.next()
    }

    pub(super) fn without_clients(&mut self) {
        self.queue.retain(|_, happening| !matches!(happening, Happening::Clients));
    }
}
