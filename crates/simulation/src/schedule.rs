//! What will happen, in order of time; what falls on one moment happens in the order in which it was scheduled.

use crate::stages::Step;
use ledger_core::{SignedTransaction, TransactionId};
use ledger_crypto::VotePosition;
use ledger_node::core::{Applied, CheckFailure, Token};
use ledger_storage::log::Outcome;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Something that will happen. All but the first belongs to one life of the host.
pub(crate) enum Happening {
    /// A chain's clients get their turn.
    Clients { chain: usize },
    /// The operator starts the host again.
    Restart,
    /// The operator notices that a chain has stopped, and ends the process.
    GiveUp,
    /// The armed fault strikes.
    Strike,
    /// A check reads the state, if it hasn't, and answers.
    Checked { chain: usize, id: TransactionId, transaction: Arc<SignedTransaction>, verdict: Option<Verdict> },
    /// The log writes what waits.
    Flush,
    /// The log has been idle.
    Seal,
    /// The log's size is looked at, or a cut of it goes on.
    Grow,
    /// A chain hears of its records.
    Durable { chain: usize, token: Token, voted: Option<VotePosition>, outcome: Outcome },
    /// A chain's block is executed, or stored.
    Stage { chain: usize, step: Step },
    /// The chain hears of it.
    Applied { chain: usize, applied: Applied },
    /// A chain wanted to be woken, unless it asked for another time since.
    Wake { chain: usize, request: u64 },
}

pub(crate) type Verdict = Result<u64, CheckFailure>;

impl Happening {
    fn is_work(&self) -> bool {
        !matches!(self, Happening::Clients { .. } | Happening::Seal | Happening::Grow | Happening::Wake { .. })
    }
}

#[derive(Default)]
pub(crate) struct Schedule {
    queue: BTreeMap<(u64, u64), Happening>,
    scheduled: u64,
    work: u64,
}

impl Schedule {
    pub(crate) fn at(&mut self, time: u64, happening: Happening) {
        self.scheduled += 1;
        self.work += u64::from(happening.is_work());
        self.queue.insert((time, self.scheduled), happening);
    }

    pub(crate) fn next(&mut self) -> Option<(u64, Happening)> {
        let ((time, _), happening) = self.queue.pop_first()?;
        self.work -= u64::from(happening.is_work());
        Some((time, happening))
    }

    /// The next happening, unless it is after `time`.
    pub(crate) fn next_until(&mut self, time: u64) -> Option<(u64, Happening)> {
        self.queue.first_key_value().filter(|((at, _), _)| *at <= time)?;
        self.next()
    }

    /// Whether nothing is under way: only turns of clients and alarms are to come.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.work == 0
    }

    /// The host's life has ended, and with it all that it had under way.
    pub(crate) fn end_life(&mut self) {
        self.queue.retain(|_, happening| matches!(happening, Happening::Clients { .. }));
        self.work = 0;
    }

    pub(crate) fn without_clients(&mut self) {
        self.queue.retain(|_, happening| !matches!(happening, Happening::Clients { .. }));
    }
}
